package update

import (
	"context"
	"fmt"
	"slices"

	"github.com/birdhouse-build/birdhouse/catalog"
)

// lockArchives finds the releases of the archives that layers have, at the
// versions of the images.
func lockArchives(ctx context.Context, o Options, lock *catalog.Lock) error {
	arches := map[string]map[string][]string{} // by archive and version
	for _, suite := range o.Definitions.SuiteNames() {
		for _, arch := range o.Definitions.ArchitectureNames() {
			for _, l := range o.Definitions.Used(suite, arch) {
				if l.Archive == "" {
					continue
				}
				if arches[l.Archive] == nil {
					arches[l.Archive] = map[string][]string{}
				}
				arches[l.Archive][l.Version] = append(arches[l.Archive][l.Version], arch)
			}
		}
	}
	finders := o.Archives
	if finders == nil {
		finders = archives
	}
	for name, versions := range arches {
		finder := finders[name]
		if finder == nil {
			return fmt.Errorf("the definitions have the archive %q, and there is no way to find its releases", name)
		}
		for version, of := range versions {
			slices.Sort(of)
			var previous catalog.LockedArchive
			if o.Previous != nil {
				previous = o.Previous.Archives[name][version]
			}
			locked, err := finder.Lock(ctx, version, slices.Compact(of), previous)
			if err != nil {
				return fmt.Errorf("%s %s: %w", name, version, err)
			}
			if lock.Archives == nil {
				lock.Archives = map[string]map[string]catalog.LockedArchive{}
			}
			if lock.Archives[name] == nil {
				lock.Archives[name] = map[string]catalog.LockedArchive{}
			}
			lock.Archives[name][version] = locked
		}
	}
	return nil
}

// archives find what the built-in definitions have.
var archives = map[string]Archive{}
