// Package aot starts a finished Java program once, in its own root file system, and
// keeps what the virtual machine learnt of it: an ahead-of-time cache (JEP 483, 514).
package aot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"path"
	"strings"
	"syscall"
	"time"

	"github.com/birdhouse-build/birdhouse/steps/exec"
	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// Options say what to start.
type Options struct {
	// Java is the command, looked for in PATH: "java".
	Java string
	// ArgsFile is the program's file of arguments, javaspec.ArgsFile in builds.
	ArgsFile string
	// Args are the program's own.
	Args []string
	// Settle is how long a program runs after it began to listen on a port, and
	// Limit how long one that does neither listen nor end. After that it is told to
	// end.
	Settle, Limit time.Duration
	// TCP are the files in which Linux lists sockets.
	TCP            []string
	Stdout, Stderr io.Writer
}

const (
	// writing is how long a virtual machine may take to write a cache.
	writing = 5 * time.Minute
	pause   = 100 * time.Millisecond
)

// Defaults are the options of a build.
func Defaults() Options {
	return Options{
		Java: "java", ArgsFile: javaspec.ArgsFile, Settle: 2 * time.Second, Limit: 2 * time.Minute,
		TCP:    []string{"/proc/net/tcp", "/proc/net/tcp6"},
		Stdout: os.Stdout, Stderr: os.Stderr,
	}
}

// Train writes the cache to the folder out, under its name in the image.
func Train(ctx context.Context, o Options, out string) error {
	args, err := arguments(o.ArgsFile)
	if err != nil {
		return err
	}
	cache := path.Join(out, path.Base(javaspec.AOT))
	f, err := os.CreateTemp("", "arguments-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(args)
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	// Spring ends when all is set up, and has then used what it needs.
	words := append([]string{"-XX:AOTCacheOutput=" + cache, "-Dspring.context.exit=onRefresh", "@" + f.Name()}, o.Args...)
	cmd := osexec.CommandContext(ctx, o.Java, words...)
	cmd.Stdout, cmd.Stderr = o.Stdout, o.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = writing
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the program: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	stopped, err := o.watch(cmd, ended)
	if info, missing := os.Stat(cache); missing != nil || info.Size() == 0 {
		return notWritten(err, stopped)
	}
	var exit *osexec.ExitError
	if err != nil && !stopped && errors.As(err, &exit) {
		return fmt.Errorf("the program did not start: it ended with %s", exit)
	}
	return exec.Normalize(out)
}

// watch waits for the end of the program, which it brings about once the program
// listens, or does nothing that can be waited for.
func (o Options) watch(cmd *osexec.Cmd, ended <-chan error) (stopped bool, err error) {
	limit := time.After(o.Limit)
	var settled <-chan time.Time
	for {
		select {
		case err := <-ended:
			return stopped, err
		case <-limit:
			stopped, limit = true, nil
			cmd.Process.Signal(syscall.SIGTERM)
		case <-settled:
			stopped, settled = true, nil
			cmd.Process.Signal(syscall.SIGTERM)
		case <-time.After(pause):
			if settled == nil && !stopped && o.listening() {
				settled = time.After(o.Settle)
			}
		}
	}
}

// listening says whether a socket waits for connections (state 0A, proc_net_tcp in the
// documentation of Linux). Nothing else runs here.
func (o Options) listening() bool {
	for _, table := range o.TCP {
		text, err := os.ReadFile(table)
		if err != nil {
			continue
		}
		for line := range bytes.Lines(text) {
			if fields := bytes.Fields(line); len(fields) > 3 && string(fields[3]) == "0A" {
				return true
			}
		}
	}
	return false
}

func notWritten(err error, stopped bool) error {
	switch {
	case err != nil && !stopped:
		return fmt.Errorf("the program did not start, so that nothing could be learnt of it: it ended with %w", err)
	case stopped:
		return errors.New("the virtual machine wrote nothing of what it learnt: the program does not end on SIGTERM, or ends without its shutdown")
	}
	return errors.New("the virtual machine wrote nothing of what it learnt")
}

// arguments is the file of arguments without what names the cache that is yet to be
// made.
func arguments(file string) (string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return "", fmt.Errorf("reading how the program is started: %w", err)
	}
	var kept strings.Builder
	for line := range strings.Lines(string(text)) {
		if !strings.HasPrefix(line, "-XX:AOTCache=") && !strings.HasPrefix(line, "-XX:AOTMode=") {
			kept.WriteString(line)
		}
	}
	return kept.String(), nil
}
