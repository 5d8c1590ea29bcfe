package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/diff/apply"
	ctdmetadata "github.com/containerd/containerd/v2/core/metadata"
	"github.com/containerd/containerd/v2/core/snapshots"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/containerd/containerd/v2/plugins/diff/walking"
	"github.com/containerd/containerd/v2/plugins/snapshots/native"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay"
	"github.com/containerd/containerd/v2/plugins/snapshots/overlay/overlayutils"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/moby/buildkit/cache/metadata"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/executor/oci"
	"github.com/moby/buildkit/executor/resources"
	"github.com/moby/buildkit/executor/runcexecutor"
	containerdsnapshot "github.com/moby/buildkit/snapshot/containerd"
	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/bboltcachestorage"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/leaseutil"
	"github.com/moby/buildkit/util/network"
	"github.com/moby/buildkit/util/resolver"
	"github.com/moby/buildkit/util/winlayers"
	"github.com/moby/buildkit/version"
	"github.com/moby/buildkit/worker"
	"github.com/moby/buildkit/worker/base"
	wlabel "github.com/moby/buildkit/worker/label"
	"github.com/moby/sys/userns"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	bolt "go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// state is everything that lies in ROOT/buildkit/SNAPSHOTTER, opened.
type state struct {
	dir        string
	runtime    string
	limit      limit
	killed     bool
	worker     *base.Worker
	workers    *worker.Controller
	cacheStore *bboltcachestorage.Store
	cache      solver.CacheManager
	containers *containers
	// controller closes workers, cache store and solver, once there is one.
	controller *control.Controller
	// closers are closed after that, last opened first.
	closers []func() error
}

// openState opens the state of the root, which must be locked. killed says that
// the last process to use it did not close it.
func openState(root, runtime string, o Options, killed bool) (*state, error) {
	base := filepath.Join(root, "buildkit")
	if err := os.MkdirAll(base, 0o700); err != nil {
		return nil, err
	}
	snapshotter := "overlayfs"
	if err := overlaySupported(base); err != nil {
		if isDiskFull(err) {
			return nil, err
		}
		logrus.Warnf("overlayfs does not work in %s, layers are copied instead, which is slower and takes more space: %v", base, err)
		snapshotter = "native"
	}
	dir := filepath.Join(base, snapshotter)
	if err := repair(dir, runtime, killed); err != nil {
		return nil, err
	}
	notice := func(damage error, what string) {
		msg := fmt.Sprintf("the build cache in %s is damaged (%v); %s", dir, damage, what)
		logrus.Warn(msg)
		if o.Notice != nil {
			o.Notice(msg)
		}
	}
	var s *state
	whole := killed || !sealed(dir)
	if whole {
		// It has no records in it; a new one is made.
		if err := os.Remove(filepath.Join(dir, historyDatabase)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	err := checkDatabases(dir, whole)
	if err == nil {
		var damage error
		if damage, err = checkCacheDatabase(dir, whole); damage != nil {
			notice(damage, "what was built before is built again")
		}
	}
	if err == nil {
		s, err = tryState(dir, snapshotter, runtime, killed)
	}
	if isBroken(err) {
		// A database that lost a race with a power cut. All of it can be built again.
		notice(err, "starting with an empty one")
		if err := os.RemoveAll(dir); err != nil {
			return nil, fmt.Errorf("removing the damaged build cache: %w; remove %s yourself", err, dir)
		}
		s, err = tryState(dir, snapshotter, runtime, killed)
	}
	if err != nil {
		return nil, err
	}
	s.limit = diskLimit(o.MaxDiskBytes, root)
	s.killed = killed
	return s, nil
}

// bootID is the file that has another content after each start of the machine.
const bootID = "/proc/sys/kernel/random/boot_id"

// overlaySupported tries overlayfs in dir. The trial takes longer than all else
// that Open does, so it is not repeated in the same place: the same folder, as
// seen by the same mount namespace of the same run of the machine.
func overlaySupported(dir string) error {
	var st syscall.Stat_t
	boot, err := os.ReadFile(bootID)
	mounts, err2 := os.Readlink("/proc/self/ns/mnt")
	if err := errors.Join(err, err2, syscall.Stat(dir, &st)); err != nil {
		logrus.Debug(err)
		return overlayutils.Supported(dir)
	}
	place := fmt.Sprintf("%s %s %d %d\n", strings.TrimSpace(string(boot)), mounts, st.Dev, st.Ino)
	file := filepath.Join(dir, "overlayfs.works")
	if known, err := os.ReadFile(file); err == nil && string(known) == place {
		return nil
	}
	if err := overlayutils.Supported(dir); err != nil {
		return err
	}
	if err := os.WriteFile(file, []byte(place), 0o600); err != nil {
		logrus.Warn(err)
	}
	return nil
}

func isBroken(err error) bool {
	return errors.Is(err, errDatabase) || errors.Is(err, bolterrors.ErrInvalid) ||
		errors.Is(err, bolterrors.ErrVersionMismatch) || errors.Is(err, bolterrors.ErrChecksum)
}

// tryState opens the databases and puts the worker together. It does what
// BuildKit's runc.NewWorkerOpt does, save that it closes what it opens and
// leaves out the capturing proxy, whose RSA key takes longer to make than a build
// with nothing to do.
func tryState(dir, snapshotter, runtime string, killed bool) (_ *state, err error) {
	s := &state{dir: dir, runtime: runtime, containers: newContainers()}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDatabase, r)
		}
		if err != nil {
			_ = s.closeFiles()
		}
	}()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}

	var sn snapshots.Snapshotter
	snapshotDir := filepath.Join(dir, "snapshots")
	if killed {
		if err := removeUnknownSnapshots(snapshotDir); err != nil {
			return nil, err
		}
	}
	if snapshotter == "overlayfs" {
		sn, err = overlay.NewSnapshotter(snapshotDir, overlay.AsynchronousRemove)
	} else {
		sn, err = native.NewSnapshotter(snapshotDir)
	}
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, sn.Close)
	// It opens its database when it first needs it, which is too late to notice
	// that it is damaged.
	if _, err := sn.Stat(context.Background(), "none"); err != nil && !errdefs.IsNotFound(err) {
		return nil, err
	}

	blobs, err := local.NewStore(filepath.Join(dir, "content"))
	if err != nil {
		return nil, err
	}
	db, err := bolt.Open(filepath.Join(dir, "containerdmeta.db"), 0o600, &bolt.Options{FreelistType: bolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	s.closers = append(s.closers, db.Close)
	mdb := ctdmetadata.NewDB(db, blobs, map[string]snapshots.Snapshotter{snapshotter: sn})
	if err := mdb.Init(context.Background()); err != nil {
		return nil, err
	}
	content := containerdsnapshot.NewContentStore(mdb.ContentStore(), "buildkit")

	md, err := metadata.NewStore(filepath.Join(dir, "metadata_v2.db"))
	if err != nil {
		return nil, err
	}
	closeMetadata := true // until the worker has it
	defer func() {
		if closeMetadata {
			_ = md.Close()
		}
	}()

	id, err := base.ID(dir)
	if err != nil {
		return nil, err
	}
	monitor, err := resources.NewMonitor()
	if err != nil {
		return nil, err
	}
	host, none := s.containers.tracked(network.NewHostProvider()), s.containers.tracked(network.NewNoneProvider())
	networks := map[pb.NetMode]network.Provider{
		pb.NetMode_UNSET: host,
		pb.NetMode_HOST:  host,
		pb.NetMode_NONE:  none,
	}
	exe, err := runcexecutor.New(runcexecutor.Opt{
		Root:              filepath.Join(dir, "executor"),
		CommandCandidates: []string{runtime},
		Rootless:          userns.RunningInUserNS(),
		ProcessMode:       oci.ProcessSandbox,
		ResourceMonitor:   monitor,
	}, networks)
	if err != nil {
		return nil, err
	}

	w, err := base.NewWorker(context.Background(), base.WorkerOpt{
		ID:   id,
		Root: dir,
		Labels: map[string]string{
			wlabel.Executor:       "oci",
			wlabel.Snapshotter:    snapshotter,
			wlabel.Network:        "host",
			wlabel.OCIProcessMode: oci.ProcessSandbox.String(),
		},
		// What emulators (binfmt_misc) add is found when somebody lists the workers
		// or a step asks for it: looking takes longer than a build with nothing to do.
		Platforms:        []ocispecs.Platform{platforms.Normalize(platforms.DefaultSpec())},
		BuildkitVersion:  client.BuildkitVersion{Package: version.Package, Version: version.Version, Revision: version.Revision},
		NetworkProviders: networks,
		Executor:         hostNetwork{exe},
		Snapshotter:      containerdsnapshot.NewSnapshotter(snapshotter, mdb.Snapshotter(snapshotter), "buildkit", nil),
		ContentStore:     content,
		Applier:          winlayers.NewFileSystemApplierWithWindows(content, apply.NewFileSystemApplier(content)),
		Differ:           winlayers.NewWalkingDiffWithWindows(content, walking.NewWalkingDiff(content)),
		RegistryHosts:    resolver.NewRegistryConfig(nil),
		LeaseManager:     leaseutil.WithNamespace(ctdmetadata.NewLeaseManager(mdb), "buildkit"),
		GarbageCollect:   mdb.GarbageCollect,
		MetadataStore:    md,
		MountPoolRoot:    filepath.Join(dir, "cachemounts"),
		ResourceMonitor:  monitor,
	})
	if err != nil {
		return nil, err
	}
	s.worker, s.workers = w, &worker.Controller{}
	if err := s.workers.Add(nativeWorker{w}); err != nil {
		return nil, err
	}
	s.cacheStore, err = bboltcachestorage.NewStore(filepath.Join(dir, cacheDatabase))
	if err != nil {
		return nil, err
	}
	results := &lateResults{CacheResultStorage: worker.NewCacheResultStorage(s.workers), checking: killed}
	s.cache = solver.NewCacheManager(context.Background(), "local", s.cacheStore, results)
	results.checking = true
	closeMetadata = false
	return s, nil
}

// lateResults keeps the cache manager from looking up every result it knows of
// when it starts, which takes a large part of the start. It looks them up again
// when it uses them, and all of them when some were removed.
type lateResults struct {
	solver.CacheResultStorage
	checking bool
}

func (r *lateResults) Exists(ctx context.Context, id string) bool {
	return !r.checking || r.CacheResultStorage.Exists(ctx, id)
}

func (s *state) close() error {
	var err error
	if s.controller != nil {
		err = s.controller.Close()
	} else {
		err = errors.Join(s.workers.Close(), s.cacheStore.Close())
	}
	if err = errors.Join(err, s.closeFiles()); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(s.dir, sealFile), []byte(seal(s.dir)), 0o600); err != nil {
		// On a full disk. The next process reads the databases as a whole then.
		logrus.Warn(err)
	}
	return nil
}

func (s *state) closeFiles() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	return errors.Join(errs...)
}

// nativeWorker runs programs of the machine's own platform. BuildKit's worker
// looks for emulators by starting a probe for each architecture whenever a
// client lists the workers, which every build does: tens of milliseconds for
// what no build of ours uses.
type nativeWorker struct{ *base.Worker }

// Platforms implements worker.Worker.
func (w nativeWorker) Platforms(bool) []ocispecs.Platform { return w.WorkerOpt.Platforms }
