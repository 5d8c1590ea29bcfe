package main

import (
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/failure"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/find"
	"github.com/birdhouse-build/birdhouse/image"
)

func newInspectCommand() *cobra.Command {
	var format, platform string
	cmd := &cobra.Command{
		Use:   "inspect IMAGE",
		Short: "Show what an image holds, and what in it is waste or a risk",
		Long: "inspect reads every layer of an image of this machine, of a registry (its name\n" +
			"begins with the registry's), or of a folder that is an OCI layout.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if err := checkFormat(format); err != nil {
				return err
			}
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			defer func() { err = failure.Cause(ctx, err) }()
			img, err := find.Image(ctx, filepath.Join(rootDir(cmd), "images"), args[0], platform, cmd.ErrOrStderr())
			if err != nil {
				return err
			}
			r, err := image.Inspect(ctx, img, args[0])
			if err != nil {
				return err
			}
			if format == "json" {
				return r.JSON(cmd.OutOrStdout())
			}
			return r.Text(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&platform, "platform", "", "the image for this `platform` (default: this machine's)")
	registerFormat(cmd, &format)
	return cmd
}
