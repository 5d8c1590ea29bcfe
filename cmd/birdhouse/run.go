package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/container"
)

// exitCode is an error with an exit code of its own. Err is nil when there is
// nothing to say: the program that ran said it.
type exitCode struct {
	code int
	err  error
}

func (e *exitCode) Error() string {
	if e.err == nil {
		return ""
	}
	return e.err.Error()
}

func (e *exitCode) Unwrap() error { return e.err }

// ExitCode is what the process ends with.
func (e *exitCode) ExitCode() int { return e.code }

// passedOn are the signals for the program: all but those that our own parent
// has us ignore, as nohup does.
func passedOn() []os.Signal {
	var all []os.Signal
	for n := syscall.Signal(1); n < 65; n++ {
		if !signal.Ignored(n) {
			all = append(all, n)
		}
	}
	return all
}

func newRunCommand() *cobra.Command {
	var o container.Options
	var entrypoint string
	var rm bool
	cmd := &cobra.Command{
		Use:   "run [flags] IMAGE [ARG...]",
		Short: "Start an image, on this machine's network",
		Long: `Start an image of the local store or, when it is not there, of its registry.

The program uses this machine's network; it gets the image's user, environment
and working directory, signals are passed on to it, and its exit code is the
command's. Nothing stays of the container. It needs root, and runc or crun.

Exit codes for what goes wrong before the program runs: 125, 126 when it is not
executable, 127 when the image does not have it.`,
		Example: `  birdhouse run app
  birdhouse run -e PORT=9000 -v ./data:/data:ro app --verbose
  birdhouse run -it --entrypoint /bin/sh debian`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return &exitCode{code: container.ExitFailed, err: errors.New("run needs an image: birdhouse run [flags] IMAGE [ARG...]")}
			}
			return nil
		},
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			o.Root, o.Image, o.Args = rootDir(cmd), args[0], args[1:]
			if cmd.Flags().Changed("entrypoint") {
				o.Entrypoint = &entrypoint
			}
			o.Stdin, o.Stdout, o.Stderr = cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr()
			o.Log = cmd.ErrOrStderr()
			signals := make(chan os.Signal, 64)
			signal.Notify(signals, passedOn()...)
			defer signal.Stop(signals)
			o.Signals = signals
			// A signal is the program's to answer: it must not end our context.
			code, err := container.Run(context.WithoutCancel(cmd.Context()), o)
			if code == 0 && err == nil {
				return nil
			}
			return &exitCode{code: code, err: err}
		},
	}
	// As docker has it: what is wrong before the program runs is 125.
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &exitCode{code: container.ExitFailed, err: fmt.Errorf("%w; `%s --help` lists the flags", err, cmd.CommandPath())}
	})
	f := cmd.Flags()
	f.SetInterspersed(false) // what follows IMAGE is the program's
	f.StringArrayVarP(&o.Env, "env", "e", nil, "set NAME=VALUE, or NAME to its value here")
	f.StringArrayVar(&o.EnvFiles, "env-file", nil, "read variables from a `file`, one a line")
	f.StringVar(&entrypoint, "entrypoint", "", "start this `program` instead of the image's entrypoint and cmd")
	f.StringVarP(&o.User, "user", "u", "", "run as this `user`: name or number, [:group]")
	f.StringVarP(&o.WorkDir, "workdir", "w", "", "start in this `directory`")
	f.StringArrayVarP(&o.Volumes, "volume", "v", nil, "mount a path of this machine: `host-path:path[:ro]`")
	f.BoolVar(&o.ReadOnly, "read-only", false, "make the root file system read-only")
	f.BoolVarP(&o.TTY, "tty", "t", false, "give the program a terminal")
	f.BoolVarP(&o.Interactive, "interactive", "i", false, "pass input on to the program")
	f.StringVar(&o.Platform, "platform", "", "run the image of this `platform`")
	f.BoolVar(&rm, "rm", false, "accepted for docker's sake: a container never stays")
	return cmd
}
