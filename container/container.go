// Package container starts an image with runc or crun, so that somebody with no
// container engine sees the program run. A container lives as long as the Run
// that started it and leaves nothing behind.
package container

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"github.com/birdhouse-build/birdhouse/image"
)

// Exit codes for what goes wrong before the program runs, as docker has them.
const (
	ExitFailed        = 125
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// Options say what to run and how. Flags of docker run have the same meaning.
type Options struct {
	// Root is the directory of everything that birdhouse keeps: images are in
	// Root/images, unpacked images and running containers in Root/run.
	Root string
	// Image is a name, or a digest of an image in the store. A name that is not
	// in the store is pulled from its registry.
	Image string
	// Args replace the image's cmd.
	Args []string
	// Platform is "linux/arm64"; "" is this machine's. It must be one that this
	// machine runs.
	Platform string
	// Entrypoint replaces the image's entrypoint and cmd; nil keeps them, a
	// pointer to "" leaves Args alone.
	Entrypoint *string
	// Env are NAME=VALUE, or NAME for the value that this process has. They
	// win over EnvFiles, which have the form of docker's.
	Env      []string
	EnvFiles []string
	// User is "name", "uid", "name:group", "uid:gid".
	User string
	// WorkDir is absolute.
	WorkDir string
	// Volumes are "/host/path:/path[:ro]", or "/path" for an empty directory
	// that goes away with the container.
	Volumes []string
	// ReadOnly makes the root file system read-only.
	ReadOnly bool
	// TTY gives the program a terminal, Interactive this process's input.
	TTY         bool
	Interactive bool
	// Stdin, Stdout and Stderr are the program's. With TTY and Interactive,
	// Stdin must be a terminal.
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Signals are passed on to the program; nil passes none. Those that end a
	// program end the preparation, too.
	Signals <-chan os.Signal
	// Runtime is the path of runc or crun; "" looks for them in PATH.
	Runtime string
	// Log gets a line about an image that is pulled; nil is silent.
	Log io.Writer
}

// startError is a failure with an exit code of its own.
type startError struct {
	code int
	err  error
}

func (e *startError) Error() string { return e.err.Error() }
func (e *startError) Unwrap() error { return e.err }

// Run runs a container to its end and returns the program's exit code, 128+n
// for one that signal n ended. With an error, the program did not run and the
// code is one of the constants above, or 128+n when signal n came before it
// started. When ctx ends, the program is killed.
func Run(ctx context.Context, o Options) (exitCode int, err error) {
	prepCtx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	type prepared struct {
		c   *container
		err error
	}
	done := make(chan prepared, 1)
	go func() {
		c, err := prepare(prepCtx, o)
		done <- prepared{c, err}
	}()
	var p prepared
	for waiting := true; waiting; {
		select {
		case p = <-done:
			waiting = false
		case s := <-o.Signals:
			if n, ok := ends(s); ok {
				cancel(&startError{128 + n, fmt.Errorf("%s before the program started", unix.SignalName(syscall.Signal(n)))})
			}
		}
	}
	if p.err == nil && prepCtx.Err() != nil {
		p.c.remove()
		p.err = context.Cause(prepCtx)
	}
	if p.err != nil {
		code := ExitFailed
		var se *startError
		if cause := context.Cause(prepCtx); errors.As(cause, &se) {
			return se.code, cause
		}
		if errors.As(p.err, &se) {
			code = se.code
		}
		return code, fmt.Errorf("running %s: %w", o.Image, p.err)
	}
	defer func() {
		if e := p.c.remove(); e != nil && err == nil && o.Log != nil {
			fmt.Fprintf(o.Log, "removing the container of %s: %v\n", o.Image, e)
		}
	}()
	code, err := p.c.run(ctx, o)
	if err != nil {
		var se *startError
		if errors.As(err, &se) {
			code = se.code
		}
		return code, fmt.Errorf("running %s: %w", o.Image, err)
	}
	return code, nil
}

// ends says whether a signal ends a program that does nothing about it, and
// its number.
func ends(s os.Signal) (int, bool) {
	switch s {
	case syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT:
		return int(s.(syscall.Signal)), true
	}
	return 0, false
}

// prepare does everything up to the start of the runtime.
func prepare(ctx context.Context, o Options) (_ *container, err error) {
	if os.Geteuid() != 0 {
		return nil, errors.New("containers need root: use sudo")
	}
	rt, err := findRuntime(ctx, o.Runtime)
	if err != nil {
		return nil, err
	}
	env, err := userEnv(o.Env, o.EnvFiles, os.LookupEnv)
	if err != nil {
		return nil, err
	}
	volumes, err := parseVolumes(o.Volumes)
	if err != nil {
		return nil, err
	}
	var platform *ocispecs.Platform
	if o.Platform != "" {
		p, err := platforms.Parse(o.Platform)
		if err != nil {
			return nil, fmt.Errorf("--platform: %w", err)
		}
		platform = &p
	}

	store, err := image.OpenStore(filepath.Join(o.Root, "images"))
	if err != nil {
		return nil, err
	}
	img, err := store.Image(o.Image, platform)
	if missing := err; errors.Is(missing, image.ErrNotFound) {
		img, err = store.Pull(ctx, o.Image, image.PullOptions{Platform: platform, Log: o.Log})
		if err != nil {
			err = fmt.Errorf("%w; %w", missing, err)
		}
	}
	if err != nil {
		return nil, err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, err
	}
	if err := runsHere(config); err != nil {
		return nil, err
	}

	st, err := openState(filepath.Join(o.Root, "run"), rt)
	if err != nil {
		return nil, err
	}
	if err := st.clean(ctx, store); err != nil {
		return nil, err
	}
	c, err := st.create(ctx, store, img)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.remove())
		}
	}()
	return c, c.configure(config.Config, o, env, volumes)
}

// runsHere says whether this machine can run the image.
func runsHere(config *v1.ConfigFile) error {
	p := platforms.Normalize(ocispecs.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant})
	here := platforms.DefaultSpec()
	if !platforms.Only(here).Match(p) {
		return fmt.Errorf("the image is for %s, this machine runs %s", platforms.Format(p), platforms.Format(here))
	}
	return nil
}
