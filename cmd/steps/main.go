// Command steps holds the programs that run inside builds:
//
//	steps layer SPEC OUT                          unpack packages into OUT
//	steps exec [FLAGS] -- COMMAND [ARGS]          run a command, keep and remove files
//	steps check --root ROOT SPEC                  look for what has no place in an image
//	steps libcheck --root ROOT FILE|DIR...        check that programs find their libraries
//	steps resolve SPEC OUT                        find packages and what they need
//	steps smoke SPEC                              start a program and check its answer
//	steps truststore BUNDLE OUT                   make Java's trust store of CA certificates
//	steps java SPEC OUT                           lay out a Java program
//	steps jlink --home JDK --of JDK --args FILE OUT  link a Java runtime
//	steps jvm -- COMMAND [ARGS]                   run Maven or Gradle with the build's certificates and proxy
//	steps aot OUT [ARGS]                          start a Java program and keep what Java learnt of it
//
// Its bytes are part of the cache key of everything that it does, so it is
// small, and changes only when a step does.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/birdhouse-build/birdhouse/steps/check"
	"github.com/birdhouse-build/birdhouse/steps/exec"
	"github.com/birdhouse-build/birdhouse/steps/java"
	"github.com/birdhouse-build/birdhouse/steps/java/aot"
	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
	"github.com/birdhouse-build/birdhouse/steps/java/jlink"
	"github.com/birdhouse-build/birdhouse/steps/java/jvm"
	"github.com/birdhouse-build/birdhouse/steps/layer"
	"github.com/birdhouse-build/birdhouse/steps/libcheck"
	"github.com/birdhouse-build/birdhouse/steps/resolve"
	"github.com/birdhouse-build/birdhouse/steps/smoke"
	"github.com/birdhouse-build/birdhouse/steps/truststore"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

const usage = `steps runs inside builds:

  steps layer SPEC OUT
  steps exec [--optional NAME]... [--ask NAME=COMMAND]... [--prepend NAME=PREFIX]... [--before JSON]... [--save SRC=DST]... [--mkdir DIR]... [--collect JSON]... [--remove DIR=GLOB]... [--normalize DIR]... [--repeat TEXT]... [--message TEXT] -- COMMAND [ARGS]
  steps check --root ROOT SPEC
  steps libcheck --root ROOT [--modules GLOB]... FILE|DIR...
  steps resolve SPEC OUT
  steps smoke SPEC
  steps truststore BUNDLE OUT
  steps java SPEC OUT
  steps jlink --home JDK --of JDK --args FILE OUT
  steps jvm -- COMMAND [ARGS]
  steps aot OUT [ARGS]
`

var errUsage = errors.New("wrong arguments")

// run returns the exit code: 0, 1 for a failure, 2 for wrong arguments, or that
// of the command that exec ran.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	if len(args) == 0 {
		fmt.Fprint(stderr, usage)
		return 2
	}
	var err error
	switch name, args := args[0], args[1:]; name {
	case "layer":
		err = runLayer(args)
	case "exec":
		err = runExec(ctx, args, stdin, stdout, stderr)
	case "check":
		err = runCheck(args, stdout, stderr)
	case "libcheck":
		err = runLibcheck(args, stdout, stderr)
	case "resolve":
		err = runResolve(args, stdout)
	case "smoke":
		err = runSmoke(ctx, args, stdout, stderr)
	case "truststore":
		err = runTruststore(args)
	case "java":
		err = runJava(args, stdout)
	case "jlink":
		err = runJlink(ctx, args, stdin, stdout, stderr)
	case "jvm":
		err = runJVM(ctx, args, stdin, stdout, stderr)
	case "aot":
		err = runAOT(ctx, args, stdout, stderr)
	case "help", "-h", "--help":
		fmt.Fprint(stdout, usage)
	default:
		err = fmt.Errorf("%w: there is no step %q", errUsage, name)
	}
	var exit *exec.ExitError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprint(stdout, usage)
		return 0
	case errors.As(err, &exit):
		// The command has said what was wrong.
		return exit.Code
	}
	fmt.Fprintf(stderr, "steps %s: %v\n", args[0], err)
	if errors.Is(err, errUsage) {
		fmt.Fprint(stderr, usage)
		return 2
	}
	return 1
}

func runLayer(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	var spec layer.Spec
	if err := readSpec(args[0], &spec); err != nil {
		return err
	}
	return layer.Build(spec, args[1])
}

func runTruststore(args []string) error {
	if len(args) != 2 {
		return errUsage
	}
	return truststore.Make(args[0], args[1])
}

func runJava(args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return errUsage
	}
	var spec javaspec.Spec
	if err := readSpec(args[0], &spec); err != nil {
		return err
	}
	return java.Run(spec, args[1], stdout)
}

func runJlink(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	o := jlink.Options{Root: "/", Stdin: stdin, Stdout: stdout, Stderr: stderr}
	flags := newFlags("jlink")
	flags.StringVar(&o.Home, "home", "", "")
	flags.StringVar(&o.Of, "of", "", "")
	flags.StringVar(&o.Args, "args", "", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if o.Home == "" || o.Of == "" || o.Args == "" || flags.NArg() != 1 {
		return errUsage
	}
	return jlink.Link(ctx, o, flags.Arg(0))
}

func runJVM(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	flags := newFlags("jvm")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errUsage
	}
	return jvm.Run(ctx, jvm.Options{Args: flags.Args(), Env: os.Environ(), Stdin: stdin, Stdout: stdout, Stderr: stderr})
}

func runAOT(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 0 {
		return errUsage
	}
	o := aot.Defaults()
	o.Args, o.Stdout, o.Stderr = args[1:], stdout, stderr
	return aot.Train(ctx, o, args[0])
}

func runResolve(args []string, stdout io.Writer) error {
	if len(args) != 2 {
		return errUsage
	}
	var spec resolve.Spec
	if err := readSpec(args[0], &spec); err != nil {
		return err
	}
	return resolve.Run(spec, args[1], stdout)
}

func runSmoke(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) != 1 {
		return errUsage
	}
	var spec smoke.Spec
	if err := readSpec(args[0], &spec); err != nil {
		return err
	}
	return smoke.Run(ctx, spec, stdout, stderr)
}

// readSpec reads a specification of at most 16 MiB. A field that this program
// does not know is an error: it was written for another version.
func readSpec(name string, spec any) error {
	f, err := os.Open(name)
	if err != nil {
		return fmt.Errorf("reading the specification: %w", err)
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, 16<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(spec); err != nil {
		return fmt.Errorf("reading the specification %s: %w", name, err)
	}
	if _, err := d.Token(); err != io.EOF {
		return fmt.Errorf("reading the specification %s: something follows it", name)
	}
	return nil
}

func runCheck(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("check")
	root := flags.String("root", "", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if *root == "" || flags.NArg() != 1 {
		return errUsage
	}
	var spec check.Spec
	if err := readSpec(flags.Arg(0), &spec); err != nil {
		return err
	}
	problems, summary, err := check.Check(*root, spec)
	if err != nil {
		return err
	}
	for _, p := range problems {
		fmt.Fprintln(stderr, p)
	}
	switch len(problems) {
	case 0:
		fmt.Fprintf(stdout, "nothing wrong with %d files, %d of them programs and libraries\n", summary.Files, summary.Programs)
		return nil
	case 1:
		return errors.New("the image has a problem")
	}
	return fmt.Errorf("the image has %d problems", len(problems))
}

func runLibcheck(args []string, stdout, stderr io.Writer) error {
	flags := newFlags("libcheck")
	root := flags.String("root", "", "")
	var modules []string
	flags.Func("modules", "", func(pattern string) error {
		modules = append(modules, pattern)
		return nil
	})
	if err := parse(flags, args); err != nil {
		return err
	}
	if *root == "" || flags.NArg() == 0 {
		return errUsage
	}
	missing, err := libcheck.Modules(*root, flags.Args(), modules)
	if err != nil {
		return err
	}
	for _, m := range missing {
		fmt.Fprintln(stderr, m)
	}
	what := "a library is missing"
	switch len(missing) {
	case 0:
		return nil
	case 1:
	default:
		what = fmt.Sprintf("%d libraries are missing", len(missing))
	}
	if names := libcheck.Packages(missing); len(names) > 0 {
		what += "; add to the descriptor: packages: [" + strings.Join(names, ", ") + "]"
	}
	return errors.New(what)
}

func runExec(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) error {
	o := exec.Options{Env: os.Environ(), Stdin: stdin, Stdout: stdout, Stderr: stderr}
	flags := newFlags("exec")
	pairs := func(name string, list *[]exec.Pair) {
		flags.Func(name, "", func(s string) error {
			p, err := exec.ParsePair(s)
			*list = append(*list, p)
			return err
		})
	}
	flags.Func("optional", "", func(name string) error {
		o.Optional = append(o.Optional, name)
		return nil
	})
	pairs("ask", &o.Ask)
	pairs("prepend", &o.Prepend)
	pairs("save", &o.Save)
	flags.Func("before", "", func(s string) error {
		c, err := exec.ParseCommand(s)
		o.Before = append(o.Before, c)
		return err
	})
	flags.Func("mkdir", "", func(dir string) error {
		o.Mkdir = append(o.Mkdir, dir)
		return nil
	})
	flags.Func("collect", "", func(s string) error {
		c, err := exec.ParseCollection(s)
		o.Collect = append(o.Collect, c)
		return err
	})
	flags.Func("remove", "", func(s string) error {
		r, err := exec.ParseRemoval(s)
		o.Remove = append(o.Remove, r)
		return err
	})
	flags.Func("normalize", "", func(dir string) error {
		o.Normalize = append(o.Normalize, dir)
		return nil
	})
	flags.Func("repeat", "", func(text string) error {
		o.Repeat = append(o.Repeat, text)
		return nil
	})
	flags.StringVar(&o.Message, "message", "", "")
	if err := parse(flags, args); err != nil {
		return err
	}
	if flags.NArg() == 0 {
		return errUsage
	}
	o.Args = flags.Args()
	return exec.Run(ctx, o)
}

func newFlags(name string) *flag.FlagSet {
	flags := flag.NewFlagSet(name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	return flags
}

func parse(flags *flag.FlagSet, args []string) error {
	err := flags.Parse(args)
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		return fmt.Errorf("%w: %w", errUsage, err)
	}
	return err
}
