package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

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
	cmd.AddCommand(newCatalogListCommand(), newCatalogDiffCommand(), newCatalogUpdateCommand(),
		newCatalogPublishCommand(), newCatalogVerifyCommand(), newCatalogMeasureCommand(), newCatalogMirrorCommand())
	return cmd
}

func newCatalogUpdateCommand() *cobra.Command {
	var mirror, format string
	cmd := &cobra.Command{
		Use:   "update LOCKFILE",
		Short: "Lock the newest Debian packages for the base images",
		Long: "update verifies Debian's signatures on a mirror, finds the newest version of every\n" +
			"package of the base images, and writes the lock file. Builds use it with --catalog.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			previous, err := catalog.ReadLock(args[0])
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
			lock, changes, err := newLock(cmd.Context(), mirror, previous)
			if err != nil {
				return err
			}
			if previous == nil || !changes.Empty() {
				if err := lock.Write(args[0]); err != nil {
					return err
				}
			}
			return writeChanges(cmd.OutOrStdout(), format, args[0], previous, changes)
		},
	}
	cmd.Flags().StringVar(&mirror, "mirror", "", "Debian `mirror`: \"URL\" or \"URL SECURITY-URL\" (default: this machine's)")
	registerFormat(cmd, &format)
	return cmd
}

func newCatalogDiffCommand() *cobra.Command {
	var mirror, format, lock string
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show what an update of the lock would change, and change nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
			c, err := openCatalog(lock)
			if err != nil {
				return err
			}
			_, changes, err := newLock(cmd.Context(), mirror, c.Lock())
			if err != nil {
				return err
			}
			return writeChanges(cmd.OutOrStdout(), format, cmp.Or(lock, "the lock"), c.Lock(), changes)
		},
	}
	cmd.Flags().StringVar(&mirror, "mirror", "", "Debian `mirror`: \"URL\" or \"URL SECURITY-URL\" (default: this machine's)")
	registerCatalog(cmd, &lock)
	registerFormat(cmd, &format)
	return cmd
}

// newLock finds the newest packages, and what is other than in a previous lock.
func newLock(ctx context.Context, mirror string, previous *catalog.Lock) (_ *catalog.Lock, _ catalog.Changes, err error) {
	m, err := updateMirror(mirror)
	if err != nil {
		return nil, catalog.Changes{}, err
	}
	ctx, stop := interruptible(ctx)
	defer stop()
	defer func() { err = failure.Cause(ctx, err) }()
	locations, err := catalog.MachineLocations(ctx)
	if err != nil {
		return nil, catalog.Changes{}, err
	}
	known, err := catalog.BuiltInLock()
	if err != nil {
		return nil, catalog.Changes{}, err
	}
	return update.Run(ctx, update.Options{Mirror: m, Previous: previous, Locations: locations, Known: known})
}

func writeChanges(out io.Writer, format, file string, previous *catalog.Lock, changes catalog.Changes) error {
	if format == "json" {
		return writeJSON(out, changes)
	}
	if previous != nil && changes.Empty() {
		_, err := fmt.Fprintf(out, "%s: nothing has changed\n", file)
		return err
	}
	_, err := fmt.Fprint(out, changes.Text())
	return err
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
	var lock, format string
	cmd := &cobra.Command{
		Use:   "mirror",
		Short: "Print where builds on this machine fetch Debian packages from",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(format); err != nil {
				return err
			}
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
			if format == "json" {
				return writeJSON(cmd.OutOrStdout(), map[string]string{"debian": m.Debian, "debian-security": m.Security})
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "debian           %s\ndebian-security  %s\n", m.Debian, m.Security)
			return err
		},
	}
	registerCatalog(cmd, &lock)
	registerFormat(cmd, &format)
	return cmd
}
