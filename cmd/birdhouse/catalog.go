package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
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
	cmd.AddCommand(newCatalogListCommand(), newCatalogDiffCommand(), newCatalogUpdateCommand(),
		newCatalogPublishCommand(), newCatalogVerifyCommand(), newCatalogMeasureCommand(), newCatalogMirrorCommand())
	return cmd
}

// updateFlags say how a lock is made.
type updateFlags struct {
	mirror, nodeKeys, format string
	keep                     []string
}

func (f *updateFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.mirror, "mirror", "", "Debian `mirror`: \"URL\" or \"URL SECURITY-URL\" (default: this machine's)")
	flags.StringVar(&f.nodeKeys, "node-keys", "", "`file` with the OpenPGP keys of Node's release team, for Node's release site (default: $BIRDHOUSE_NODE_KEYS)")
	flags.StringSliceVar(&f.keep, "keep", nil, "keep what is locked of a `release` of Debian, such as 14; several with commas")
	registerFormat(cmd, &f.format)
}

func newCatalogUpdateCommand() *cobra.Command {
	var f updateFlags
	cmd := &cobra.Command{
		Use:   "update LOCKFILE",
		Short: "Lock the newest Debian packages for the base images",
		Long: "update verifies Debian's signatures on a mirror, finds the newest version of every\n" +
			"package of the base images, and writes the lock file. Builds use it with --catalog.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkFormat(f.format); err != nil {
				return err
			}
			notice := notes(cmd.ErrOrStderr())
			previous, err := previousLock(args[0], notice)
			if err != nil {
				return err
			}
			lock, changes, err := f.newLock(cmd.Context(), previous, notice)
			if err != nil {
				return err
			}
			return replaceLock(cmd.OutOrStdout(), f.format, args[0], previous, lock, changes)
		},
	}
	f.register(cmd)
	return cmd
}

// replaceLock writes a lock in place of the previous one, nil for none, and says what
// changed. A lock with the same packages is written as well: packages that are not in it,
// which descriptors ask for, are found in the lists that it names, and mirrors drop old
// lists. One that pins the same is not: what the previous one says of published images
// stays.
func replaceLock(out io.Writer, format, file string, previous, lock *catalog.Lock, changes catalog.Changes) error {
	same := previous != nil && previous.Same(lock)
	if !same {
		if err := lock.Write(file); err != nil {
			return err
		}
	}
	return writeChanges(out, format, file, same, changes)
}

// notes returns a function that says what is neither a result nor a failure.
func notes(out io.Writer) func(string) {
	return func(s string) { fmt.Fprintln(out, "note: "+s) }
}

// previousLock reads the lock that an update replaces; nil for none, and for one of
// an older form, of which nothing can be kept. What is no lock is not replaced.
func previousLock(file string, notice func(string)) (*catalog.Lock, error) {
	lock, err := catalog.ReadLock(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if e := (*catalog.SchemaError)(nil); errors.As(err, &e) && 0 < e.Schema && e.Schema < catalog.LockSchema {
		notice(fmt.Sprintf("%s has the schema %d, which is no longer read: a new lock, of schema %d, replaces it", file, e.Schema, catalog.LockSchema))
		return nil, nil
	}
	return lock, err
}

func newCatalogDiffCommand() *cobra.Command {
	var f updateFlags
	var lock string
	cmd := &cobra.Command{
		Use:   "diff",
		Short: "Show what an update of the lock would change, and change nothing",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := checkFormat(f.format); err != nil {
				return err
			}
			c, err := openCatalog(lock)
			if err != nil {
				return err
			}
			newest, changes, err := f.newLock(cmd.Context(), c.Lock(), notes(cmd.ErrOrStderr()))
			if err != nil {
				return err
			}
			return writeChanges(cmd.OutOrStdout(), f.format, cmp.Or(lock, "the lock"), c.Lock().Same(newest), changes)
		},
	}
	registerCatalog(cmd, &lock)
	f.register(cmd)
	return cmd
}

// newLock finds the newest packages, and what is other than in a previous lock.
func (f *updateFlags) newLock(ctx context.Context, previous *catalog.Lock, notice func(string)) (_ *catalog.Lock, _ catalog.Changes, err error) {
	m, err := updateMirror(f.mirror)
	if err != nil {
		return nil, catalog.Changes{}, err
	}
	var keys []byte
	if file := cmp.Or(f.nodeKeys, os.Getenv("BIRDHOUSE_NODE_KEYS")); file != "" {
		if keys, err = os.ReadFile(file); err != nil {
			return nil, catalog.Changes{}, fmt.Errorf("reading the keys of Node's release team: %w", err)
		}
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
	return update.Run(ctx, update.Options{
		Mirror: m, Previous: previous, Locations: locations, Known: known, ArchiveKeys: keys,
		Keep: f.keep, Notice: notice,
	})
}

// writeChanges says what changed between two locks, of which same says whether they
// pin the same.
func writeChanges(out io.Writer, format, file string, same bool, changes catalog.Changes) error {
	if format == "json" {
		return writeJSON(out, changes)
	}
	text := changes.Text()
	switch {
	case same:
		text = file + ": nothing has changed\n"
	case changes.Empty():
		text = fmt.Sprintf("%s: no package of the images has changed; the others are those of %s, no longer of %s\n",
			file, changes.To.UTC().Format(time.DateOnly), changes.From.UTC().Format(time.DateOnly))
	}
	_, err := io.WriteString(out, text)
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
