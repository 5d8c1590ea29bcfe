package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/image"
)

func newImageCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "image",
		Short: "List and remove the images that are kept on this machine",
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newImageListCommand(), newImageRemoveCommand())
	return cmd
}

func newImageListCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "ls",
		Aliases: []string{"list"},
		Short:   "List the images: name, platforms, digest and the size of their layers",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			store, err := openStore(cmd)
			if err != nil {
				return err
			}
			entries, err := store.List()
			if err != nil {
				return err
			}
			images := make([]keptImage, 0, len(entries))
			for _, e := range entries {
				images = append(images, describe(store, e))
			}
			if format == "json" {
				return writeJSON(cmd.OutOrStdout(), images)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, img := range images {
				name, size := img.Name, image.Size(img.Size)
				if name == "" {
					name = "-"
				}
				if img.Damage != "" {
					size = img.Damage
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", name, strings.Join(img.Platforms, " "), img.Digest, size)
			}
			return w.Flush()
		},
	}
	registerFormat(cmd, &format)
	return cmd
}

// keptImage is an entry of the list.
type keptImage struct {
	// Name is "" for an image that is kept by its digest alone.
	Name      string   `json:"name"`
	Platforms []string `json:"platforms"`
	Digest    string   `json:"digest"`
	// Size is that of the compressed layers of all platforms, each counted once,
	// in bytes.
	Size int64 `json:"size"`
	// Damage says why the image cannot be read.
	Damage string `json:"damage,omitempty"`
}

// describe reads what an image is; one that is damaged keeps nobody from seeing the
// others.
func describe(store *image.Store, e image.Entry) keptImage {
	out := keptImage{Name: e.Name, Digest: e.Descriptor.Digest.String()}
	ps, err := store.Platforms(out.Digest)
	seen := map[v1.Hash]bool{}
	for i := 0; i < len(ps) && err == nil; i++ {
		out.Platforms = append(out.Platforms, platforms.Format(ps[i]))
		var img v1.Image
		if img, err = store.Image(out.Digest, &ps[i]); err != nil {
			break
		}
		var m *v1.Manifest
		if m, err = img.Manifest(); err != nil {
			break
		}
		for _, l := range m.Layers {
			if !seen[l.Digest] {
				seen[l.Digest] = true
				out.Size += l.Size
			}
		}
	}
	if err != nil {
		out.Damage = err.Error()
	}
	return out
}

func newImageRemoveCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "rm IMAGE...",
		Aliases: []string{"remove"},
		Short:   "Remove images, by name or digest, and what no other image needs",
		Long: "rm takes names from images; a digest stands for all its names. What no image has\n" +
			"any more is deleted. What steps of builds have left is in the build cache, which\n" +
			"builds keep below --cache-size.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			store, err := openStore(cmd)
			if err != nil {
				return err
			}
			var errs []error
			for _, name := range args {
				if err := store.Remove(name); err != nil {
					errs = append(errs, err)
					continue
				}
				fmt.Fprintf(cmd.OutOrStdout(), "removed %s\n", name)
			}
			freed, err := store.GC()
			if freed > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "%s freed\n", image.Size(freed))
			}
			return errors.Join(append(errs, err)...)
		},
	}
}

// openStore opens the store of images below --root.
func openStore(cmd *cobra.Command) (*image.Store, error) {
	return image.OpenStore(filepath.Join(rootDir(cmd), "images"))
}
