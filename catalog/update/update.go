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
	"sync"
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
	// Known is a lock whose archives, in the releases that are still the newest,
	// are not downloaded again to be verified; nil for none.
	Known *catalog.Lock
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
	// Locations are where what is no Debian package is looked for. Of an archive
	// with none that is known, what was locked before stays.
	Locations catalog.Locations
	// ArchiveKeys are the armored OpenPGP public keys of those who sign releases
	// of what is no Debian package. Only keys count that the definitions name.
	ArchiveKeys []byte
	// Keep are the releases of Debian ("14") of which the previous lock's packages
	// stay, without asking for newer ones.
	Keep []string
	// Notice is told what deserves to be looked at; may be nil.
	Notice func(string)
	// Archives find the releases of what is no Debian package, by its name in
	// the definitions; nil look for them at Locations.
	Archives map[string]Archive
}

// Archive finds the releases of something that is no Debian package.
type Archive interface {
	// Lock returns the newest release of a version ("24"), with its files for
	// all of these architectures. What was locked before, empty for nothing, may
	// be returned again, so that a release is not taken back.
	Lock(ctx context.Context, version string, arches []string, previous catalog.LockedArchive) (catalog.LockedArchive, error)
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
	locker := &locker{defs: o.Definitions, leftOut: map[string]map[string]bool{}}
	var problems []error
	if err := o.checkKept(); err != nil {
		return nil, err
	}
	for _, name := range o.Definitions.SuiteNames() {
		if slices.Contains(o.Keep, name) {
			lock.Suites[name] = o.Previous.Suites[name]
			for _, src := range lock.Suites[name].Sources {
				lock.Time = latest(lock.Time, src.Date)
			}
			continue
		}
		suite := o.Definitions.Suites[name]
		releases := make([]*archive.Release, len(suite.Sources))
		group, gctx := errgroup.WithContext(ctx)
		for i, src := range suite.Sources {
			group.Go(func() (err error) {
				releases[i], err = archive.FetchRelease(gctx, fetcher, o.Mirror.Base(src.Archive), src.Suite, keys, now, src.Grace())
				if expired := (*archive.ExpiredError)(nil); errors.As(err, &expired) {
					return o.expired(name, err)
				}
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
				Indices: map[string]catalog.LockedIndex{},
			})
			lock.Time = latest(lock.Time, r.Date)
			if !r.ValidUntil.IsZero() && now.After(r.ValidUntil) {
				o.notice("the mirror's %s of Debian %s expired on %s; as it is in development, it is accepted until %s",
					src.Suite, name, r.ValidUntil.Format(time.DateOnly), r.ValidUntil.Add(src.Grace()).Format(time.DateOnly))
			}
		}
		indices, err := fetchIndices(ctx, fetcher, suite, releases, o.Definitions.ArchitectureNames(), locked.Sources)
		if err != nil {
			return nil, err
		}
		lock.Suites[name] = locked
		problems = append(problems, locker.lock(name, indices, locked.Layers)...)
	}
	if len(o.Keep) == 0 {
		// Of a release that is kept nobody has asked what its packages need.
		problems = append(problems, locker.unused()...)
	}
	if len(problems) > 0 {
		return nil, errors.Join(problems...)
	}
	if err := lockArchives(ctx, o, lock); err != nil {
		return nil, err
	}
	// What was kept may be older than the definitions.
	if _, err := catalog.New(o.Definitions, lock); err != nil && len(o.Keep) > 0 {
		return nil, fmt.Errorf("release %s of Debian cannot be kept as it is locked: %w", strings.Join(o.Keep, ", "), err)
	}
	return lock, nil
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

func (o Options) notice(format string, args ...any) {
	if o.Notice != nil {
		o.Notice(fmt.Sprintf(format, args...))
	}
}

func (o Options) checkKept() error {
	for _, name := range o.Keep {
		if o.Definitions.Suites[name].Sources == nil {
			return fmt.Errorf("keeping Debian %s: there is only %s", name, strings.Join(o.Definitions.SuiteNames(), ", "))
		}
		if o.Previous == nil || len(o.Previous.Suites[name].Layers) == 0 {
			return fmt.Errorf("keeping Debian %s: the lock has no packages of it", name)
		}
	}
	return nil
}

// expired says what can be done about a suite that a mirror no longer follows.
func (o Options) expired(name string, err error) error {
	way := "use another mirror"
	if o.Previous != nil && len(o.Previous.Suites[name].Layers) > 0 {
		way += fmt.Sprintf(", or keep what is locked of Debian %s, with --keep %s", name, name)
	}
	return fmt.Errorf("release %s of Debian: %w; %s", name, err, way)
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

// fetchIndices reads the package indices for all architectures at once, and
// notes in the sources which they are.
func fetchIndices(ctx context.Context, f *archive.Fetcher, suite define.Suite, releases []*archive.Release, arches []string, sources []catalog.LockedSource) (map[string]*debian.Index, error) {
	indices := map[string]*debian.Index{}
	var noting sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(4)
	for _, arch := range arches {
		ix := debian.NewIndex(arch)
		indices[arch] = ix
		group.Go(func() error {
			// One after the other: the first archive that has a version wins.
			for i, r := range releases {
				file, err := r.IndexFile(suite.Component, arch)
				if err != nil {
					return err
				}
				text, err := r.Index(ctx, f, suite.Component, arch)
				if err != nil {
					return err
				}
				if err := ix.Add(text, suite.Sources[i].Archive); err != nil {
					return err
				}
				noting.Lock()
				sources[i].Indices[arch] = catalog.LockedIndex(file)
				noting.Unlock()
			}
			return nil
		})
	}
	return indices, group.Wait()
}

// locker finds the packages of layers.
type locker struct {
	defs *define.Definitions
	// leftOut has, by the layer's name as it is written and the package's,
	// whether something needs what is left out.
	leftOut map[string]map[string]bool
}

// lock finds the packages of every layer that is used in a suite and checks the
// definitions against what the packages need. It returns all problems.
func (k *locker) lock(suite string, indices map[string]*debian.Index, into map[string]map[string][]catalog.LockedPackage) (problems []error) {
	for _, arch := range k.defs.ArchitectureNames() {
		found := map[string][]*debian.Package{}
		failed := map[string]bool{}
		for _, l := range k.defs.Used(suite, arch) {
			if len(l.Packages) == 0 {
				continue
			}
			var have []*debian.Package
			for _, lower := range k.defs.Stack(l.Place, l.On...) {
				have = append(have, found[lower.Name]...)
				failed[l.Name] = failed[l.Name] || failed[lower.Name]
			}
			if failed[l.Name] {
				// What it lies on has to be right first.
				continue
			}
			res, err := indices[arch].Resolve(debian.Query{Names: l.Packages, Have: have, Without: l.Without, Prefer: k.defs.Prefer})
			if err != nil {
				problems = append(problems, fmt.Errorf("layer %s of %s for %s: %w", l.Name, suite, arch, err))
				failed[l.Name] = true
				continue
			}
			k.note(l, res)
			if into[l.Name] == nil {
				into[l.Name] = map[string][]catalog.LockedPackage{}
			}
			for _, p := range res.Packages {
				if !p.Asked && !l.Closure {
					problems = append(problems, fmt.Errorf("layer %s of %s for %s: %s needs %s (%d bytes), which is neither listed nor left out",
						l.Name, suite, arch, strings.Join(p.NeededBy, ", "), p.Name, p.Size))
				}
				found[l.Name] = append(found[l.Name], p.Package)
				into[l.Name][arch] = append(into[l.Name][arch], catalog.LockedPackage{
					Package: catalog.Package{
						Name: p.Name, Version: p.Version, Architecture: p.Architecture,
						Archive: p.Archive, Path: p.Path, SHA256: p.SHA256, Size: p.Size,
					},
					NeededBy: p.NeededBy,
				})
			}
		}
	}
	return problems
}

// note notes which of the packages that a layer leaves out something needs.
func (k *locker) note(l define.Used, res *debian.Resolution) {
	if k.leftOut[l.Defined] == nil {
		k.leftOut[l.Defined] = map[string]bool{}
	}
	for _, w := range l.Without {
		_, needed := res.LeftOut[w]
		k.leftOut[l.Defined][w] = k.leftOut[l.Defined][w] || needed
	}
}

// unused returns a problem for each package that is left out nowhere.
func (k *locker) unused() (problems []error) {
	for _, l := range slices.Sorted(maps.Keys(k.leftOut)) {
		for _, w := range slices.Sorted(maps.Keys(k.leftOut[l])) {
			if !k.leftOut[l][w] {
				problems = append(problems, fmt.Errorf("layer %s leaves out %s, which nothing in it needs", l, w))
			}
		}
	}
	return problems
}
