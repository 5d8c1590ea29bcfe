package main

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/update"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/failure"
)

func newCatalogCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "catalog",
		Short: "The base images: what there is, and which packages are in them",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newCatalogListCommand(), newCatalogUpdateCommand(), newCatalogMirrorCommand(),
		newCatalogPublishCommand(), newCatalogVerifyCommand())
	return cmd
}

func newCatalogListCommand() *cobra.Command {
	var lock, format string
	var packages bool
	cmd := &cobra.Command{
		Use:   "list [IMAGE]...",
		Short: "List the base images, or those named, with what is in them",
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			c, err := openCatalog(lock)
			if err != nil {
				return err
			}
			images, err := catalogImages(c, args)
			if err != nil {
				return err
			}
			if format == "json" {
				return writeJSON(cmd.OutOrStdout(), images)
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			for _, img := range images {
				fmt.Fprintf(w, "%s\t%s\t%s\n", img.Ref, strings.Join(img.Architectures, " "), strings.Join(img.Layers, "; "))
				if !packages {
					continue
				}
				for _, p := range img.Packages {
					fmt.Fprintf(w, "  %s\t%s\t%s\n", p.Name, p.Architecture, p.Version)
				}
			}
			fmt.Fprintf(w, "Debian packages as of %s\n", c.Locked().UTC().Format(time.DateOnly))
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&packages, "packages", false, "list the Debian packages in each")
	registerCatalog(cmd, &lock)
	registerFormat(cmd, &format)
	return cmd
}

// catalogImage is an entry of the list.
type catalogImage struct {
	Ref           string            `json:"ref"`
	Architectures []string          `json:"architectures"`
	Layers        []string          `json:"layers"`
	Packages      []catalog.Package `json:"packages"`
}

// catalogImages are all images of the catalog or those whose reference or
// repository was asked for.
func catalogImages(c *catalog.Catalog, only []string) ([]catalogImage, error) {
	found := map[string]bool{}
	images := []catalogImage{}
	for _, base := range c.Bases() {
		ref := base.String()
		wanted := len(only) == 0
		for _, name := range only {
			if name == ref || name == base.Image {
				wanted, found[name] = true, true
			}
		}
		if !wanted {
			continue
		}
		entry := catalogImage{Ref: ref, Architectures: []string{}, Layers: []string{}, Packages: []catalog.Package{}}
		for _, arch := range c.Architectures() {
			img, err := c.Image(base, arch, arch)
			if err != nil {
				return nil, err
			}
			first := len(entry.Architectures) == 0
			entry.Architectures = append(entry.Architectures, arch)
			for _, l := range img.Layers {
				if first {
					entry.Layers = append(entry.Layers, l.Name+" ("+l.What+")")
				}
				entry.Packages = append(entry.Packages, l.Packages...)
			}
		}
		images = append(images, entry)
	}
	for _, name := range only {
		if !found[name] {
			return nil, fmt.Errorf("the catalog has no image %q; birdhouse catalog list names those it has", name)
		}
	}
	return images, nil
}

func newCatalogUpdateCommand() *cobra.Command {
	var mirror string
	cmd := &cobra.Command{
		Use:   "update LOCKFILE",
		Short: "Lock the newest Debian packages for the base images",
		Long: "update verifies Debian's signatures on a mirror, finds the newest version of every\n" +
			"package of the base images, and writes the lock file. Builds use it with --catalog.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			m, err := updateMirror(mirror)
			if err != nil {
				return err
			}
			previous, err := catalog.ReadLock(args[0])
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			ctx, stop := interruptible(cmd.Context())
			defer stop()
			defer func() { err = failure.Cause(ctx, err) }()
			locations, err := catalog.MachineLocations(ctx)
			if err != nil {
				return err
			}
			known, err := catalog.BuiltInLock()
			if err != nil {
				return err
			}
			lock, changes, err := update.Run(ctx, update.Options{Mirror: m, Previous: previous, Locations: locations, Known: known})
			if err != nil {
				return err
			}
			if previous != nil && changes.Empty() {
				_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s: nothing has changed\n", args[0])
				return err
			}
			if err := lock.Write(args[0]); err != nil {
				return err
			}
			_, err = fmt.Fprint(cmd.OutOrStdout(), changes.Text())
			return err
		},
	}
	cmd.Flags().StringVar(&mirror, "mirror", "", "Debian `mirror`: \"URL\" or \"URL SECURITY-URL\" (default: this machine's)")
	return cmd
}

func updateMirror(flag string) (catalog.Mirror, error) {
	if flag != "" {
		return catalog.ParseMirror(flag)
	}
	if m, ok := catalog.MachineMirror(); ok {
		return m, m.Check()
	}
	return catalog.Mirror{}, fmt.Errorf("no Debian mirror is known on this machine: name one with --mirror or in the variable %s", catalog.MirrorVariable)
}

func newCatalogMirrorCommand() *cobra.Command {
	var lock string
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Print where builds on this machine fetch Debian packages from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			m, ok := catalog.MachineMirror()
			if !ok {
				c, err := openCatalog(lock)
				if err != nil {
					return err
				}
				m = c.SnapshotMirror()
			}
			if err := m.Check(); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "debian           %s\ndebian-security  %s\n", m.Debian, m.Security)
			return err
		},
	}
	registerCatalog(cmd, &lock)
	return cmd
}
