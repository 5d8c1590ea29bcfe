package update

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/debian/archive"
	"github.com/birdhouse-build/birdhouse/catalog/define"
)

// lockArchives finds the releases of the archives that layers have, at the
// versions of the images.
func lockArchives(ctx context.Context, o Options, lock *catalog.Lock) error {
	finders := o.Archives
	if finders == nil {
		finders = map[string]Archive{}
		fetcher := &archive.Fetcher{Client: secureRedirects(o.HTTP)}
		for name := range o.Definitions.Archives {
			finders[name] = &releases{name: name, defs: o.Definitions, locations: o.Locations, keys: o.ArchiveKeys, now: o.Now, fetcher: fetcher}
		}
	}
	needed := neededArchives(o.Definitions)
	locked := make([]catalog.LockedArchive, len(needed))
	group, ctx := errgroup.WithContext(ctx)
	// Releases are large, and kept in memory while they are verified.
	group.SetLimit(2)
	for i, n := range needed {
		group.Go(func() (err error) {
			finder := finders[n.name]
			if finder == nil {
				return fmt.Errorf("the definitions have the archive %q, and there is no way to find its releases", n.name)
			}
			if locked[i], err = finder.Lock(ctx, n.version, n.arches, o.previousArchive(n.name, n.version)); err != nil {
				return fmt.Errorf("%s for version %s: %w", n.name, n.version, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for i, n := range needed {
		if lock.Archives == nil {
			lock.Archives = map[string]map[string]catalog.LockedArchive{}
		}
		if lock.Archives[n.name] == nil {
			lock.Archives[n.name] = map[string]catalog.LockedArchive{}
		}
		lock.Archives[n.name][n.version] = locked[i]
	}
	return nil
}

func (o Options) previousArchive(name, version string) catalog.LockedArchive {
	for _, l := range []*catalog.Lock{o.Previous, o.Known} {
		if l != nil && l.Archives[name][version].Version != "" {
			return l.Archives[name][version]
		}
	}
	return catalog.LockedArchive{}
}

// neededArchive is an archive that layers have, for a version of images.
type neededArchive struct {
	name, version string
	arches        []string // sorted
}

// neededArchives are sorted by name and version.
func neededArchives(defs *define.Definitions) []neededArchive {
	var out []neededArchive
	for _, suite := range defs.SuiteNames() {
		for _, arch := range defs.ArchitectureNames() {
			for _, l := range defs.Used(suite, arch) {
				if l.Archive == "" {
					continue
				}
				i := slices.IndexFunc(out, func(n neededArchive) bool { return n.name == l.Archive && n.version == l.Version })
				if i < 0 {
					i, out = len(out), append(out, neededArchive{name: l.Archive, version: l.Version})
				}
				if !slices.Contains(out[i].arches, arch) {
					out[i].arches = append(out[i].arches, arch)
				}
			}
		}
	}
	for _, n := range out {
		slices.Sort(n.arches)
	}
	slices.SortFunc(out, func(a, b neededArchive) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.version, b.version))
	})
	return out
}
