package main

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/descriptor"
)

func newInitCommand() *cobra.Command {
	var (
		o           descriptor.InitOptions
		force       bool
		catalogLock string
	)
	cmd := &cobra.Command{
		Use:   "init [PATH]",
		Short: "Write the descriptor for the project in this folder",
		Long: "init looks at the project, writes the shortest descriptor that is right for it,\n" +
			"and has planned the build before it writes.",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := oneArg(args, ".")
			if !force {
				if old, err := descriptor.Find(dir, ""); err == nil {
					return fmt.Errorf("%s is there already; --force replaces it", old.Path)
				}
			}
			o.Syntax = cmp.Or(o.Syntax, os.Getenv("BIRDHOUSE_SYNTAX"))
			c, err := openCatalog(catalogLock)
			if err != nil {
				return err
			}
			text, from, r, err := descriptor.Init(dir, descriptor.Planner{Catalog: c}, o)
			if err != nil {
				return err
			}
			if r.Problems.HasErrors() {
				fmt.Fprintf(cmd.ErrOrStderr(), "No descriptor was written: with what the project says, it would be this one, and not build.\n\n%s\n", text)
				return reportProblems(nil, cmd.ErrOrStderr(), "text", r)
			}
			path := filepath.Join(dir, descriptor.Names[0])
			if err := descriptor.WriteNew(path, text, force); err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s written, from %s:\n\n%s\nNext: birdhouse plan %s, birdhouse build %[4]s\n", path, from, text, dir)
			return err
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&force, "force", false, "replace a descriptor that is there")
	flags.StringVar(&o.Language, "language", "", "the `language`, where the project has several")
	flags.StringVar(&o.Syntax, "syntax", "", "the frontend `image` for the syntax line, REGISTRY/birdhouse:1 (default $BIRDHOUSE_SYNTAX, else "+descriptor.Syntax+")")
	flags.StringVar(&o.Schema, "schema", "", "`path or URL` of the JSON schema for editors (default: the published one)")
	registerCatalog(cmd, &catalogLock)
	return cmd
}
