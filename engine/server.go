package engine

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/defaults"
	"github.com/moby/buildkit/cache/remotecache"
	inlinecache "github.com/moby/buildkit/cache/remotecache/inline"
	localcache "github.com/moby/buildkit/cache/remotecache/local"
	registrycache "github.com/moby/buildkit/cache/remotecache/registry"
	"github.com/moby/buildkit/cmd/buildkitd/config"
	"github.com/moby/buildkit/control"
	"github.com/moby/buildkit/frontend"
	dockerfile "github.com/moby/buildkit/frontend/dockerfile/builder"
	"github.com/moby/buildkit/frontend/gateway"
	"github.com/moby/buildkit/frontend/gateway/forwarder"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/db/boltutil"
	"github.com/moby/buildkit/util/grpcerrors"
	bolt "go.etcd.io/bbolt"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// serve puts BuildKit's own server around the state, on a listener in memory.
func (e *Engine) serve() error {
	sessions, err := session.NewManager()
	if err != nil {
		return err
	}
	s := e.state
	gatewayFrontend, err := gateway.NewGatewayFrontend(s.workers.Infos(), nil)
	if err != nil {
		return err
	}
	// There are no records of builds, yet the database has to be there to say so.
	history, err := boltutil.SafeOpen(filepath.Join(s.dir, historyDatabase), 0o600, &bolt.Options{NoSync: true, FreelistType: bolt.FreelistMapType})
	if err != nil {
		return err
	}
	noRecords := int64(0)
	s.controller, err = control.NewController(control.Opt{
		SessionManager:   sessions,
		WorkerController: s.workers,
		Frontends: map[string]frontend.Frontend{
			"dockerfile.v0": forwarder.NewGatewayForwarder(s.workers.Infos(), dockerfile.Build),
			"gateway.v0":    gatewayFrontend,
		},
		ResolveCacheExporterFuncs: map[string]remotecache.ResolveCacheExporterFunc{
			"inline":   inlinecache.ResolveCacheExporterFunc(),
			"local":    localcache.ResolveCacheExporterFunc(sessions),
			"registry": registrycache.ResolveCacheExporterFunc(sessions, s.worker.RegistryHosts),
		},
		ResolveCacheImporterFuncs: map[string]remotecache.ResolveCacheImporterFunc{
			"local":    localcache.ResolveCacheImporterFunc(sessions),
			"registry": registrycache.ResolveCacheImporterFunc(sessions, s.worker.ContentStore(), s.worker.RegistryHosts),
		},
		CacheManager: s.cache,
		// The default network is the host's, so nothing is given away here; the
		// client has to allow it all the same.
		Entitlements:   []string{"network.host"},
		HistoryDB:      history,
		HistoryConfig:  &config.HistoryConfig{MaxEntries: &noRecords},
		CacheStore:     s.cacheStore,
		LeaseManager:   s.worker.LeaseManager(),
		ContentStore:   s.worker.ContentStore(),
		GarbageCollect: s.worker.GarbageCollect,
		GracefulStop:   e.stop,
	})
	if err != nil {
		_ = history.Close()
		return err
	}
	e.server = grpc.NewServer(
		grpc.ChainUnaryInterceptor(grpcerrors.UnaryServerInterceptor, e.explain),
		grpc.StreamInterceptor(grpcerrors.StreamServerInterceptor),
		grpc.MaxRecvMsgSize(defaults.DefaultMaxRecvMsgSize),
		grpc.MaxSendMsgSize(defaults.DefaultMaxSendMsgSize),
	)
	s.controller.Register(e.server)
	e.listener = bufconn.Listen(pipeBytes)
	go func() { _ = e.server.Serve(e.listener) }() // ends with the listener
	return nil
}

// explain turns the many faces of a full disk into one sentence.
func (e *Engine) explain(ctx context.Context, req any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	resp, err := handler(ctx, req)
	if err == nil || errors.Is(err, context.Canceled) {
		return resp, err
	}
	if isDiskFull(err) || noSpace(e.root) {
		err = diskFull(e.root, err)
	}
	return resp, err
}

// fullBytes of free space are taken for none: a tool inside a step that ran out
// of space says so in its own words, and little of what it wrote is gone.
const fullBytes = 1 << 20

func noSpace(root string) bool {
	d := disk(root)
	return d.total > 0 && d.free < fullBytes
}

// diskFullText is looked for in errors that crossed a connection as text.
const diskFullText = "the disk is full"

func isDiskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) ||
		strings.Contains(err.Error(), syscall.ENOSPC.Error()) || strings.Contains(err.Error(), syscall.EDQUOT.Error())
}

func diskFull(root string, err error) error {
	if strings.Contains(err.Error(), diskFullText) {
		return err
	}
	return fmt.Errorf("%s: make room where %s lies, or use another place with --root: %w", diskFullText, root, err)
}
