package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

func newSchemaCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON schema of the descriptor, for editors",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			var text []byte
			var err error
			switch format {
			case "json":
				text, err = spec.Schema()
			case "markdown":
				text = spec.Reference()
			default:
				err = fmt.Errorf("--format %q: json or markdown", format)
			}
			if err != nil {
				return err
			}
			_, err = cmd.OutOrStdout().Write(text)
			return err
		},
	}
	cmd.Flags().StringVar(&format, "format", "json", "json, or markdown for a page that people read")
	return cmd
}
