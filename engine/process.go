package engine

import (
	"errors"
	"sync"

	"github.com/moby/buildkit/cache"
	"github.com/moby/buildkit/cache/contenthash"
	"github.com/moby/buildkit/solver/llbsolver/mounts"
	"github.com/moby/buildkit/worker/base"
)

// BuildKit was made for one daemon in a process: it keeps the cache mounts in
// use and the checksums of files in package variables. So there is one engine at
// a time, and a later one forgets what an earlier one left there.
var process struct {
	mu   sync.Mutex
	open bool
	used bool
}

// claimProcess says whether there was an engine in this process before.
func claimProcess() (again bool, err error) {
	process.mu.Lock()
	defer process.mu.Unlock()
	if process.open {
		return false, errors.New("starting the build engine: there is one in this process already; close it first, or use that one")
	}
	again = process.used
	process.open, process.used = true, true
	return again, nil
}

func releaseProcess() {
	process.mu.Lock()
	defer process.mu.Unlock()
	process.open = false
}

// forget removes what BuildKit's package variables hold for w's records: it
// leads to databases that are closed.
func forget(w *base.Worker) error {
	mu := mounts.CacheMountsLocker()
	mu.Lock()
	mounts.ClearActiveCacheMounts()
	mu.Unlock()
	records, err := w.MetadataStore.All()
	if err != nil {
		return err
	}
	for _, r := range records {
		contenthash.ClearCacheContext(recordID{id: r.ID()})
	}
	return nil
}

// recordID is as much of a record as clearing needs.
type recordID struct {
	cache.RefMetadata
	id string
}

func (r recordID) ID() string { return r.id }
