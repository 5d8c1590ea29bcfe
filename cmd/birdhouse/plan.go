package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/descriptor"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/failure"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/machine"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/request"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// planFlags are the flags of the commands that plan.
type planFlags struct {
	file, target, catalog, format string
	args                          []string
}

func (f *planFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVarP(&f.file, "file", "f", "", "the descriptor `file` (default: PATH/birdhouse.yaml)")
	flags.StringVar(&f.target, "target", "", "an image of the descriptor's `images`")
	flags.StringArrayVar(&f.args, "build-arg", nil, "a build argument, `KEY=VALUE`, or KEY from the environment")
	registerCatalog(cmd, &f.catalog)
	registerFormat(cmd, &f.format)
}

func registerCatalog(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "catalog", "", "`lockfile` of the base images (default $BIRDHOUSE_CATALOG, else the one built in)")
}

func registerFormat(cmd *cobra.Command, value *string) {
	cmd.Flags().StringVar(value, "format", "text", "output `format`: text or json")
}

func checkFormat(format string) error {
	if format != "text" && format != "json" {
		return fmt.Errorf("--format %s: there is text and json", format)
	}
	return nil
}

// openCatalog opens the catalog with the lock that --catalog names.
func openCatalog(flag string) (*catalog.Catalog, error) {
	if lock := cmp.Or(flag, os.Getenv("BIRDHOUSE_CATALOG")); lock != "" {
		return catalog.Open(lock)
	}
	return catalog.Default()
}

// planner returns what plans, and the descriptor of the project in dir.
func (f *planFlags) planner(cmd *cobra.Command, dir string) (descriptor.Planner, *descriptor.File, error) {
	var p descriptor.Planner
	if err := checkFormat(f.format); err != nil {
		return p, nil, err
	}
	file, err := findDescriptor(cmd, dir, f.file)
	if err != nil {
		return p, nil, err
	}
	c, err := openCatalog(f.catalog)
	if err != nil {
		return p, nil, err
	}
	p.Catalog = c
	if p.Args, err = request.BuildArgs(f.args); err != nil {
		return p, nil, err
	}
	p.Revision, _ = machine.Revision(cmd.Context(), dir)
	return p, file, nil
}

func findDescriptor(cmd *cobra.Command, dir, file string) (*descriptor.File, error) {
	if file != "-" {
		return descriptor.Find(dir, file)
	}
	data, err := descriptor.ReadBounded(cmd.InOrStdin())
	if err != nil {
		return nil, fmt.Errorf("reading the descriptor from standard input: %w", err)
	}
	return &descriptor.File{Name: descriptor.Names[0], Data: data}, nil
}

func newPlanCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "plan [PATH]",
		Short: "Show what would be built, and where each value came from",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := oneArg(args, ".")
			p, file, err := f.planner(cmd, dir)
			if err != nil {
				return err
			}
			r, err := p.Plan(dir, file, f.target)
			if err != nil {
				return err
			}
			if r.Plan == nil {
				return reportProblems(cmd.OutOrStdout(), cmd.ErrOrStderr(), f.format, r)
			}
			fmt.Fprint(cmd.ErrOrStderr(), r.Text())
			if f.format == "json" {
				return writeJSON(cmd.OutOrStdout(), r.Plan)
			}
			return descriptor.WritePlan(cmd.OutOrStdout(), r.Plan)
		},
	}
	f.register(cmd)
	return cmd
}

func newCheckCommand() *cobra.Command {
	var f planFlags
	cmd := &cobra.Command{
		Use:   "check [PATH]",
		Short: "Report every problem of the descriptor and the project, and build nothing",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := oneArg(args, ".")
			p, file, err := f.planner(cmd, dir)
			if err != nil {
				return err
			}
			r, err := p.Check(dir, file, f.target)
			if err != nil {
				return err
			}
			return reportProblems(cmd.OutOrStdout(), cmd.OutOrStdout(), f.format, r)
		},
	}
	f.register(cmd)
	return cmd
}

// reportProblems writes problems, as text or as JSON, and returns an error when
// one of them is.
func reportProblems(machines, people io.Writer, format string, r *descriptor.Result) error {
	var err error
	if format == "json" {
		problems := r.Problems.Sorted()
		if problems == nil {
			problems = spec.Problems{}
		}
		err = writeJSON(machines, problems)
	} else {
		_, err = io.WriteString(people, r.Text())
	}
	if err != nil {
		return err
	}
	if r.Problems.HasErrors() {
		return failure.Reported
	}
	return nil
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
