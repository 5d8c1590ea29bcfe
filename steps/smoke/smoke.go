// Package smoke starts the program of a finished image inside the build and
// checks that it works: that a port opens, that a path answers, or that it
// runs to its end with the right exit code and output.
package smoke

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/birdhouse-build/birdhouse/steps/java/missing"
)

// Spec says what to start and what to see. With Port it waits until the port
// accepts a connection on the loopback interface or, with Path, until an HTTP
// GET of it answers Status; without Port the program runs to its end.
type Spec struct {
	// Args is the program, looked for in the PATH of Env unless it has a slash,
	// and its arguments.
	Args []string `json:"args"`
	// Env is the whole environment, NAME=VALUE.
	Env []string `json:"env,omitempty"`
	// Dir is the working directory; "" is /.
	Dir  string `json:"dir,omitempty"`
	Port int    `json:"port,omitempty"`
	Path string `json:"path,omitempty"`
	// Status is the HTTP status wanted; 0 is 200. Redirects are not followed.
	Status int `json:"status,omitempty"`
	// Output must be a part of the HTTP body or, without Path, of what the
	// program printed.
	Output string `json:"output,omitempty"`
	// Exit is the exit code wanted, without Port.
	Exit int `json:"exit,omitempty"`
	// TimeoutSeconds bounds it all; 0 is 30.
	TimeoutSeconds int `json:"timeoutSeconds,omitempty"`
}

// A program has this long to end after SIGTERM, and its output this long to
// arrive after its end.
const (
	grace      = 5 * time.Second
	drain      = 500 * time.Millisecond
	firstDelay = 10 * time.Millisecond
	lastDelay  = 100 * time.Millisecond
)

func (s *Spec) complete() error {
	switch {
	case len(s.Args) == 0 || s.Args[0] == "":
		return errors.New("there is no program to start")
	case s.Port < 0 || s.Port > 65535:
		return fmt.Errorf("%d is not a port (1–65535)", s.Port)
	case s.Path != "" && s.Port == 0:
		return errors.New("a path needs a port")
	case s.Path != "" && (!strings.HasPrefix(s.Path, "/") || strings.ContainsFunc(s.Path, func(r rune) bool { return r <= ' ' || r > '~' })):
		return fmt.Errorf("the path %q must begin with / and be escaped as in a URL", s.Path)
	case s.Status != 0 && s.Path == "":
		return errors.New("a status needs a path")
	case s.Status != 0 && (s.Status < 200 || s.Status > 599):
		return fmt.Errorf("%d is not a final HTTP status (200–599)", s.Status)
	case s.TimeoutSeconds < 0:
		return fmt.Errorf("%d seconds is not a time to wait", s.TimeoutSeconds)
	}
	if s.Status == 0 {
		s.Status = 200
	}
	if s.TimeoutSeconds == 0 {
		s.TimeoutSeconds = 30
	}
	if s.Dir == "" {
		s.Dir = "/"
	}
	return nil
}

// Run starts the program and checks it. On success it says so on stdout and
// stops the program: SIGTERM, and after 5 seconds SIGKILL. Otherwise it writes
// the end of what the program printed to stderr, and the error says what was
// wanted and what was seen.
//
// Run waits for every child of this process, as process 1 must, so nothing else
// in the process may have children meanwhile.
func Run(ctx context.Context, spec Spec, stdout, stderr io.Writer) error {
	if err := spec.complete(); err != nil {
		return fmt.Errorf("the smoke check: %w", err)
	}
	limit := time.Duration(spec.TimeoutSeconds) * time.Second
	ctx, cancel := context.WithTimeoutCause(ctx, limit, fmt.Errorf("no success within %v", limit))
	defer cancel()

	began := time.Now()
	p, err := start(spec)
	if err != nil {
		return fmt.Errorf("starting %s: %w", spec.Args[0], err)
	}
	defer p.kill()
	var saw string
	if spec.Port == 0 {
		saw, err = runsToItsEnd(ctx, spec, p)
	} else {
		saw, err = answers(ctx, spec, p)
	}
	if err != nil {
		p.kill()
		p.output.print(stderr)
		if why := missing.Explain(spec.Args[0], p.output.bytes()); why != "" {
			err = fmt.Errorf("%w\n%s", err, why)
		}
		return err
	}
	fmt.Fprintf(stdout, "%s after %.2f s\n", saw, time.Since(began).Seconds())
	if spec.Port != 0 && !p.stop() {
		fmt.Fprintf(stderr, "warning: the program did not end within %v of SIGTERM and was killed; stopping its containers will take as long\n", grace)
	}
	return nil
}

// runsToItsEnd checks the exit code and output of a program that ends.
func runsToItsEnd(ctx context.Context, spec Spec, p *process) (string, error) {
	select {
	case <-p.ended:
	case <-ctx.Done():
		return "", fmt.Errorf("wanted the program to end with exit code %d: %w", spec.Exit, context.Cause(ctx))
	}
	if !p.status.Exited() || p.status.ExitStatus() != spec.Exit {
		return "", fmt.Errorf("wanted exit code %d, but the program ended with %s", spec.Exit, p.howEnded())
	}
	if !p.output.has() {
		return "", fmt.Errorf("wanted %q in what the program prints, which was not there", spec.Output)
	}
	return fmt.Sprintf("the program ended with exit code %d", spec.Exit), nil
}

// answers waits until the program does what is wanted of it on its port.
func answers(ctx context.Context, spec Spec, p *process) (string, error) {
	wanted := fmt.Sprintf("port %d to open", spec.Port)
	if spec.Path != "" {
		wanted = fmt.Sprintf("status %d from GET %s on port %d", spec.Status, spec.Path, spec.Port)
	}
	if spec.Output != "" {
		wanted += fmt.Sprintf(" and %q in the output", spec.Output)
	}
	last := ""
	for delay := firstDelay; ; delay = min(delay*3/2, lastDelay) {
		ok, saw := probe(ctx, spec, p)
		if ok {
			return saw, nil
		}
		// What the end of the time cut short says nothing of the program.
		if last == "" || ctx.Err() == nil {
			last = saw
		}
		select {
		case <-p.ended:
			return "", fmt.Errorf("wanted %s, but the program ended with %s", wanted, p.howEnded())
		case <-ctx.Done():
			return "", fmt.Errorf("wanted %s: %w; last seen: %s", wanted, context.Cause(ctx), last)
		case <-time.After(delay):
		}
	}
}
