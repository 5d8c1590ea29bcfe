// Package update makes a new lock for the catalog: it verifies the state of
// Debian's suites on a mirror and finds the newest versions of the packages that
// the definitions list.
package update

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/debian"
	"github.com/birdhouse-build/birdhouse/catalog/debian/archive"
	"github.com/birdhouse-build/birdhouse/catalog/define"
)

// Options say how to make a lock.
type Options struct {
	// Mirror is where the archive is read.
	Mirror catalog.Mirror
	// Previous is the lock that is replaced; nil for none. A mirror that is
	// older than it is refused.
	Previous *catalog.Lock
	// HTTP is used for all requests; nil is a client with time limits.
	HTTP *http.Client
	// Keys are the armored OpenPGP public keys that may sign the archive; nil
	// are Debian's own, for a mirror that is signed anew.
	Keys []byte
	// Now tells the time by which Release files must be valid; nil is the
	// machine's clock.
	Now func() time.Time
	// Definitions are what to lock; nil are the built-in ones.
	Definitions *define.Definitions
}

// Run returns a new lock and what changed from the previous one.
func Run(ctx context.Context, o Options) (*catalog.Lock, catalog.Changes, error) {
	lock, err := run(ctx, o)
	if err != nil {
		return nil, catalog.Changes{}, fmt.Errorf("updating the catalog: %w", err)
	}
	return lock, catalog.Compare(o.Previous, lock), nil
}

func run(ctx context.Context, o Options) (*catalog.Lock, error) {
	if err := o.Mirror.Check(); err != nil {
		return nil, err
	}
	if o.Definitions == nil {
		defs, err := catalog.Definitions()
		if err != nil {
			return nil, err
		}
		o.Definitions = defs
	}
	keys, err := archive.DebianKeys()
	if o.Keys != nil {
		keys, err = archive.ReadKeys(o.Keys)
	}
	if err != nil {
		return nil, err
	}
	now := time.Now()
	if o.Now != nil {
		now = o.Now()
	}
	fetcher := &archive.Fetcher{Client: o.HTTP}
	lock := &catalog.Lock{Schema: catalog.LockSchema, Suites: map[string]catalog.LockedSuite{}}
	for _, name := range o.Definitions.SuiteNames() {
		suite := o.Definitions.Suites[name]
		releases := make([]*archive.Release, len(suite.Sources))
		group, gctx := errgroup.WithContext(ctx)
		for i, src := range suite.Sources {
			group.Go(func() (err error) {
				releases[i], err = archive.FetchRelease(gctx, fetcher, o.Mirror.Base(src.Archive), src.Suite, keys, now)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return nil, err
		}
		locked := catalog.LockedSuite{Layers: map[string]map[string][]catalog.LockedPackage{}}
		for i, r := range releases {
			src := suite.Sources[i]
			if err := notOlder(o.Previous, name, src, r); err != nil {
				return nil, err
			}
			locked.Sources = append(locked.Sources, catalog.LockedSource{
				Archive: src.Archive, Suite: src.Suite, InRelease: r.SHA256, Date: r.Date, Signer: r.Signer,
			})
			if r.Date.After(lock.Time) {
				lock.Time = r.Date
			}
		}
		indices, err := fetchIndices(ctx, fetcher, suite, releases, o.Definitions.ArchitectureNames())
		if err != nil {
			return nil, err
		}
		if err := lockLayers(o.Definitions, indices, locked.Layers); err != nil {
			return nil, err
		}
		lock.Suites[name] = locked
	}
	return lock, nil
}

// notOlder refuses a mirror that lags behind what was locked already: whoever
// stands between could hide fixes so.
func notOlder(previous *catalog.Lock, suite string, src define.Source, r *archive.Release) error {
	if previous == nil {
		return nil
	}
	for _, p := range previous.Suites[suite].Sources {
		if p.Archive == src.Archive && p.Suite == src.Suite && r.Date.Before(p.Date) {
			return fmt.Errorf("the mirror's %s is of %s, but the lock is already of %s: use another mirror, or delete the lock to go back",
				src.Suite, r.Date.Format(time.RFC3339), p.Date.UTC().Format(time.RFC3339))
		}
	}
	return nil
}

// fetchIndices reads the package indices for all architectures at once.
func fetchIndices(ctx context.Context, f *archive.Fetcher, suite define.Suite, releases []*archive.Release, arches []string) (map[string]*debian.Index, error) {
	indices := map[string]*debian.Index{}
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, arch := range arches {
		ix := debian.NewIndex(arch)
		indices[arch] = ix
		group.Go(func() error {
			// One after the other: the first archive that has a version wins.
			for i, r := range releases {
				text, err := r.Index(ctx, f, suite.Component, arch)
				if err != nil {
					return err
				}
				if err := ix.Add(text, suite.Sources[i].Archive); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return indices, group.Wait()
}

// lockLayers finds the packages of every layer and checks the definitions
// against what the packages need.
func lockLayers(defs *define.Definitions, indices map[string]*debian.Index, into map[string]map[string][]catalog.LockedPackage) error {
	var problems []error
	found := map[string]map[string][]*debian.Package{} // by architecture and layer
	for _, arch := range defs.ArchitectureNames() {
		found[arch] = map[string][]*debian.Package{}
	}
	for _, l := range defs.Layers {
		into[l.Name] = map[string][]catalog.LockedPackage{}
		unused := map[string]bool{}
		for _, arch := range defs.ArchitectureNames() {
			if !l.For(arch) {
				continue
			}
			var have []*debian.Package
			for _, lower := range defs.Stack(arch, l.On...) {
				have = append(have, found[arch][lower.Name]...)
			}
			without := defs.Expand(arch, l.Without)
			res, err := indices[arch].Resolve(debian.Query{Names: defs.Expand(arch, l.Packages), Have: have, Without: without})
			if err != nil {
				problems = append(problems, fmt.Errorf("layer %s for %s: %w", l.Name, arch, err))
				continue
			}
			for i, w := range without {
				if _, used := res.LeftOut[w]; used {
					unused[l.Without[i]] = false
				} else if _, seen := unused[l.Without[i]]; !seen {
					unused[l.Without[i]] = true
				}
			}
			for _, p := range res.Packages {
				if !p.Asked {
					problems = append(problems, fmt.Errorf("layer %s for %s: %s needs %s (%d bytes), which is neither listed nor left out",
						l.Name, arch, strings.Join(p.NeededBy, ", "), p.Name, p.Size))
				}
				found[arch][l.Name] = append(found[arch][l.Name], p.Package)
				into[l.Name][arch] = append(into[l.Name][arch], catalog.LockedPackage{
					Package: catalog.Package{
						Name: p.Name, Version: p.Version, Architecture: p.Architecture,
						Archive: p.Archive, Path: p.Path, SHA256: p.SHA256, Size: p.Size,
					},
					NeededBy: p.NeededBy,
				})
			}
		}
		for _, w := range slices.Sorted(maps.Keys(unused)) {
			if unused[w] {
				problems = append(problems, fmt.Errorf("layer %s leaves out %s, which nothing in it needs", l.Name, w))
			}
		}
	}
	if len(problems) > 0 {
		return errors.Join(problems...)
	}
	return nil
}
