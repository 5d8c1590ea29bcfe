// Package exec runs a command inside a build and, when it succeeds, keeps what
// is worth keeping of what it wrote: files that other builds can use are copied
// to a shared cache, and files that nobody needs are removed before they become
// part of a layer.
package exec

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	osexec "os/exec"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/birdhouse-build/birdhouse/steps/internal/glob"
)

// Options say what to run and what to do around it.
type Options struct {
	// Args is the command and its arguments.
	Args []string
	// Before are commands that run before it, in order; the first that fails is
	// the last.
	Before []Command
	// Env is the command's environment as NAME=VALUE, before Ask and Prepend.
	Env []string
	// Optional are variables that are left out when they are empty, as those of
	// secrets are that nobody has given.
	Optional []string
	// Ask sets variables that are unset or empty to what a command prints.
	Ask []Pair
	// Prepend puts text before the values of variables, after Ask.
	Prepend []Pair
	// Save copies the files below Key that are missing below Value.
	Save []Pair
	// Mkdir are directories to make where the commands made none, after Save.
	Mkdir []string
	// Collect copies what the commands wrote, after Mkdir.
	Collect []Collection
	// Remove deletes what matches, after Collect.
	Remove []Removal
	// Normalize are directories whose content, at last, gets the time 0, root as
	// its owner and modes of ours.
	Normalize []string
	// Repeat are texts: lines of the commands' output that have one in them are
	// printed once more when a command fails, at most 20 of each.
	Repeat []string
	// Message is printed to Stderr when the command fails.
	Message string

	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Pair is KEY=VALUE.
type Pair struct{ Key, Value string }

// ParsePair splits at the first =. Neither side may be empty.
func ParsePair(s string) (Pair, error) {
	key, value, ok := strings.Cut(s, "=")
	if !ok || key == "" || value == "" {
		return Pair{}, fmt.Errorf("%q is not of the form NAME=VALUE", s)
	}
	return Pair{key, value}, nil
}

// Removal is what to delete below a directory.
type Removal struct {
	Dir  string
	What glob.Pattern
}

// ParseRemoval reads DIR=GLOB.
func ParseRemoval(s string) (Removal, error) {
	p, err := ParsePair(s)
	if err != nil {
		return Removal{}, err
	}
	what, err := glob.Parse(p.Value)
	return Removal{p.Key, what}, err
}

// ExitError says that the command ran and failed.
type ExitError struct {
	// Code is the exit code, or 128 and the signal's number.
	Code int
	// Signal ended the command; 0 if it exited.
	Signal syscall.Signal
}

func (e *ExitError) Error() string {
	if e.Signal != 0 {
		return fmt.Sprintf("ended by signal %d (%s)", int(e.Signal), e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// Run runs the command. The error is an *ExitError if the command failed;
// nothing is saved or removed then. When ctx ends, the command is sent SIGTERM.
func Run(ctx context.Context, o Options) error {
	if len(o.Args) == 0 {
		return errors.New("no command to run")
	}
	env, err := environment(ctx, o)
	if err != nil {
		return err
	}
	stdout, stderr := &repeater{out: o.Stdout, texts: o.Repeat}, &repeater{out: o.Stderr, texts: o.Repeat}
	for _, c := range o.commands() {
		var err error
		if len(o.Repeat) > 0 {
			err = start(ctx, c, env, o.Stdin, stdout, stderr)
		} else {
			err = start(ctx, c, env, o.Stdin, o.Stdout, o.Stderr)
		}
		var exit *ExitError
		if errors.As(err, &exit) {
			for _, line := range append(stdout.found, stderr.found...) {
				fmt.Fprintln(o.Stderr, line)
			}
			if o.Message != "" {
				fmt.Fprintln(o.Stderr, o.Message)
			}
			return exit
		}
		if err != nil {
			return err
		}
	}
	for _, s := range o.Save {
		if err := save(s.Key, s.Value); err != nil {
			return fmt.Errorf("saving %s to %s: %w", s.Key, s.Value, err)
		}
	}
	for _, dir := range o.Mkdir {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	for _, c := range o.Collect {
		if err := collect(c); err != nil {
			return fmt.Errorf("collecting %s: %w", c.From, err)
		}
	}
	for _, r := range o.Remove {
		if err := remove(r); err != nil {
			return fmt.Errorf("removing %s below %s: %w", r.What, r.Dir, err)
		}
	}
	for _, dir := range o.Normalize {
		if err := Normalize(dir); err != nil {
			return fmt.Errorf("what the command wrote to %s: %w", dir, err)
		}
	}
	return nil
}

func start(ctx context.Context, c Command, env []string, stdin io.Reader, stdout, stderr io.Writer) error {
	cmd := osexec.CommandContext(ctx, c.Args[0], c.Args[1:]...)
	cmd.Dir = c.Dir
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = env, stdin, stdout, stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	// What a command leaves behind may hold its output open.
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	if errors.Is(err, osexec.ErrWaitDelay) {
		return nil
	}
	var exit *osexec.ExitError
	if !errors.As(err, &exit) {
		if err != nil {
			return fmt.Errorf("running %s: %w", c.Args[0], err)
		}
		return nil
	}
	if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return &ExitError{128 + int(status.Signal()), status.Signal()}
	}
	return &ExitError{Code: exit.ExitCode()}
}

// environment returns o.Env after Ask and Prepend.
func environment(ctx context.Context, o Options) ([]string, error) {
	env := slices.DeleteFunc(slices.Clone(o.Env), func(v string) bool {
		name, value, _ := strings.Cut(v, "=")
		return value == "" && slices.Contains(o.Optional, name)
	})
	for _, a := range o.Ask {
		if getenv(env, a.Key) != "" {
			continue
		}
		args := strings.Fields(a.Value)
		if len(args) == 0 {
			return nil, fmt.Errorf("asking for %s: no command", a.Key)
		}
		var answer strings.Builder
		if err := start(ctx, Command{Args: args}, env, nil, &answer, o.Stderr); err != nil {
			// Not wrapped: an ExitError would pass for the command's own.
			return nil, fmt.Errorf("asking %q for %s: %v", a.Value, a.Key, err)
		}
		env = setenv(env, a.Key, strings.TrimSpace(answer.String()))
	}
	for _, p := range o.Prepend {
		env = setenv(env, p.Key, p.Value+getenv(env, p.Key))
	}
	return env, nil
}

// getenv returns the last value, which is the one that counts.
func getenv(env []string, name string) string {
	for _, v := range slices.Backward(env) {
		if value, ok := strings.CutPrefix(v, name+"="); ok {
			return value
		}
	}
	return ""
}

func setenv(env []string, name, value string) []string {
	env = slices.DeleteFunc(env, func(v string) bool { return strings.HasPrefix(v, name+"=") })
	return append(env, name+"="+value)
}

// transient are files that mean something only to the process that wrote them:
// locks, unfinished downloads, and Go's lists of known versions.
var transient = func() glob.Set {
	set, err := glob.ParseAll([]string{"**/*.lock", "**/*.tmp*", "**/@v/list"})
	if err != nil {
		panic(err) // constants
	}
	return set
}()

// save copies the regular files below src that are missing below dst, which
// others may be writing to at the same time: a file appears whole or not at all.
func save(src, dst string) error {
	from, err := os.OpenRoot(src)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer from.Close()
	if err := os.MkdirAll(dst, 0o755); err != nil {
		return err
	}
	to, err := os.OpenRoot(dst)
	if err != nil {
		return err
	}
	defer to.Close()
	return fs.WalkDir(from.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() || transient.Match(name) {
			return nil
		}
		if _, err := to.Lstat(name); err == nil {
			return nil
		}
		return copyFile(from, to, name)
	})
}

func copyFile(from, to *os.Root, name string) (err error) {
	r, err := from.Open(name)
	if err != nil {
		return err
	}
	defer r.Close()
	if err := to.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	// The process id alone would be the same in every container.
	temporary := path.Join(path.Dir(name), fmt.Sprintf(".%016x.tmp", rand.Uint64()))
	w, err := to.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = to.Remove(temporary)
		}
	}()
	_, err = io.Copy(w, r)
	if e := w.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return to.Rename(temporary, name)
}

// remove deletes what matches. A directory goes with all that is in it.
func remove(r Removal) error {
	root, err := os.OpenRoot(r.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer root.Close()
	return fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name == "." || !r.What.Match(name) {
			return nil
		}
		if !entry.IsDir() {
			return root.Remove(name)
		}
		if err := makeWritable(root, name); err != nil {
			return err
		}
		if err := root.RemoveAll(name); err != nil {
			return err
		}
		return fs.SkipDir
	})
}

// makeWritable lets files be removed from read-only directories, such as those
// of Go's module cache, by others than root too.
func makeWritable(root *os.Root, dir string) error {
	return fs.WalkDir(root.FS(), dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		info, err := entry.Info()
		if err != nil || info.Mode().Perm()&0o700 == 0o700 {
			return err
		}
		return root.Chmod(name, info.Mode().Perm()|0o700)
	})
}
