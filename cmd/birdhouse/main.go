// Command birdhouse builds the smallest safe image of a program from a short
// descriptor, with no daemon.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/failure"
	"github.com/birdhouse-build/birdhouse/engine"
)

// version is set by the linker.
var version = "dev"

// memoryLimit is from where on, in bytes, memory is worth more than time.
const memoryLimit = 512 << 20

func main() {
	// Libraries' logs are not for people; BuildKit's go to --debug.
	logrus.SetLevel(logrus.PanicLevel)
	// A build with nothing to do is mostly garbage collection otherwise. The limit
	// makes it collect as usual where there is much to do.
	if os.Getenv("GOGC") == "" && os.Getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(800)
		debug.SetMemoryLimit(memoryLimit)
	}
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	root := newRootCommand()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	if err != nil && !errors.Is(err, failure.Reported) {
		fmt.Fprint(os.Stderr, failure.Text(err))
	}
	return failure.ExitCode(err)
}

func newRootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "birdhouse",
		Short: "Small, safe images from one line of YAML",
		Long: "birdhouse builds the smallest safe image of a program from a short descriptor.\n" +
			"`birdhouse init` writes one for the project in this folder, `birdhouse build` builds it.",
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; `%s --help` lists the flags", err, cmd.CommandPath())
	})
	cmd.PersistentFlags().String("root", "", "`folder` for images and the build cache (default $BIRDHOUSE_ROOT, else "+engine.DefaultRoot()+")")
	cmd.AddCommand(
		newBuildCommand(),
		newRunCommand(),
		newInitCommand(),
		newPlanCommand(),
		newCheckCommand(),
		newInspectCommand(),
		newImageCommand(),
		newCatalogCommand(),
		newSchemaCommand(),
		newVersionCommand(),
	)
	return cmd
}

// rootDir is the folder that --root names.
func rootDir(cmd *cobra.Command) string {
	return cmp.Or(cmd.Flag("root").Value.String(), os.Getenv("BIRDHOUSE_ROOT"), engine.DefaultRoot())
}

// interruptible returns a context that the first SIGINT or SIGTERM cancels, so
// that what has begun is ended in order. The second ends the process at once.
func interruptible(parent context.Context) (context.Context, func()) {
	ctx, cancel := context.WithCancelCause(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		for cancelled := false; ; cancelled = true {
			select {
			case s := <-signals:
				code := 128
				if n, ok := s.(syscall.Signal); ok {
					code += int(n)
				}
				if cancelled {
					os.Exit(code)
				}
				cancel(&failure.Interrupted{Code: code})
			case <-parent.Done():
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		cancel(nil)
	}
}

// oneArg is the argument of a command that takes one at most.
func oneArg(args []string, other string) string {
	if len(args) > 0 {
		return args[0]
	}
	return other
}
