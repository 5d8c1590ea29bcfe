// Package engine is BuildKit in this process: no daemon, no socket. Open starts
// it on a folder, Client gives the same client that a daemon would be spoken to
// with, Close ends it.
//
// It needs Linux, root and an OCI runtime on PATH (runc, or crun from 1.15 on).
// Build steps use the host's network, name servers included, unless they ask
// for none. Snapshots are made with overlayfs where the folder's file system can
// carry it, and as plain copies elsewhere (inside a container without a volume,
// say). Images for other architectures can be put together as they are; steps that
// run a program for another architecture need its emulator (binfmt_misc).
//
// Registries on localhost (localhost, 127.0.0.0/8, ::1, any port) are spoken to
// in plain HTTP, all others in HTTPS with the host's certificates; SSL_CERT_FILE,
// SSL_CERT_DIR and the proxy variables mean what they mean to any Go program.
//
// The frontends dockerfile.v0 and gateway.v0 are there, so that a build file
// which names a frontend image on its syntax line works. Caches can be exported
// to and imported from local folders, registries and images (inline). The cache
// services of cloud vendors (s3, azblob, gha) are left out: each brings its
// vendor's client libraries, for something that a registry does as well. There
// are no records of builds.
package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/adrg/xdg"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/util/apicaps"
	"github.com/moby/buildkit/util/imageutil"
	"github.com/sirupsen/logrus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/test/bufconn"
)

// Options say where and how the engine works. The zero value is usable.
type Options struct {
	// Root is the folder with all state; "" is DefaultRoot. It is made, for its
	// owner alone (0700), if it does not exist. Everything of the engine's lies
	// in ROOT/lock and ROOT/buildkit; the rest of it is free for others.
	Root string
	// Runc is the OCI runtime, a path or a name on PATH. "" takes the first on
	// PATH of buildkit-runc, runc and crun.
	Runc string
	// MaxDiskBytes is what the build cache may take, in bytes. Close removes
	// what was not used for the longest time until it fits. 0 is the smaller of
	// 20 GB and 20 % of the disk with Root.
	MaxDiskBytes int64
	// Log gets the engine's own messages, for debugging. nil drops them. There is
	// one log in a process: the engine that was opened last decides.
	Log io.Writer
	// Notice is told what the user should know of before the build: once, after
	// about 200 ms, that another process has the root, for which Open waits; and
	// that the cache was damaged and is empty now. May be nil.
	Notice func(msg string)
}

// Engine is a running BuildKit. It is safe for concurrent use.
type Engine struct {
	root     string
	lock     *rootLock
	server   *grpc.Server
	listener *bufconn.Listener
	state    *state
	stop     chan struct{}

	mu      sync.Mutex
	clients []*client.Client
	closing bool

	closeOnce sync.Once
	closeErr  error
}

const (
	// pipeBytes is what each direction of a client's connection buffers.
	pipeBytes = 256 << 10
	// stopTimeout is how long Close waits for builds to wind down, and again for
	// their containers to go.
	stopTimeout = 10 * time.Second
)

func init() {
	// BuildKit names the product to upgrade in its messages about missing features.
	apicaps.ExportedProduct = "birdhouse"
}

// DefaultRoot is $XDG_DATA_HOME/birdhouse, by default ~/.local/share/birdhouse.
func DefaultRoot() string {
	xdg.Reload()
	return filepath.Join(xdg.DataHome, "birdhouse")
}

// Open starts an engine on o.Root. One process at a time can use a root: Open
// waits for the others and can be interrupted through ctx, whose error it then
// returns. What a killed process left behind (containers, mounts, unfinished
// files) is cleaned up first. Whoever gets an Engine must Close it; until then
// another Open in the same process is an error.
func Open(ctx context.Context, o Options) (*Engine, error) {
	if o.MaxDiskBytes < 0 {
		return nil, fmt.Errorf("starting the build engine: the limit of %d bytes for the cache is negative; give a positive number, or 0 for the default", o.MaxDiskBytes)
	}
	if err := checkUser(os.Geteuid()); err != nil {
		return nil, fmt.Errorf("starting the build engine: %w", err)
	}
	runtime, err := findRuntime(o.Runc)
	if err != nil {
		return nil, fmt.Errorf("starting the build engine: %w", err)
	}
	if o.Root == "" {
		o.Root = DefaultRoot()
	}
	root, err := makeRoot(o.Root)
	if err != nil {
		return nil, fmt.Errorf("starting the build engine: %w", err)
	}
	setLog(o.Log)

	again, err := claimProcess()
	if err != nil {
		return nil, err
	}
	lock, err := lockRoot(ctx, root, o.Notice)
	if err != nil {
		releaseProcess()
		return nil, err
	}
	s, err := openState(root, runtime, o, lock.killed)
	if err != nil {
		_ = lock.release(!lock.killed)
		releaseProcess()
		if isDiskFull(err) {
			err = diskFull(root, err)
		}
		return nil, fmt.Errorf("starting the build engine in %s: %w", root, err)
	}
	if again {
		err = forget(s.worker)
	}
	e := &Engine{root: root, lock: lock, state: s, stop: make(chan struct{})}
	if err == nil {
		err = e.serve()
	}
	if err != nil {
		_ = s.close()
		_ = lock.release(!lock.killed)
		releaseProcess()
		return nil, fmt.Errorf("starting the build engine in %s: %w", root, err)
	}
	return e, nil
}

// Client gives a connection to the engine, for ctx's tracing if it has any. It
// ends with its own Close or the engine's.
func (e *Engine) Client(ctx context.Context) (*client.Client, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return nil, errors.New("connecting to the build engine: it is closed")
	}
	c, err := client.New(ctx, "", client.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) {
		return e.listener.DialContext(ctx)
	}))
	if err != nil {
		return nil, fmt.Errorf("connecting to the build engine: %w", err)
	}
	e.clients = append(e.clients, c)
	return c, nil
}

// Close ends the engine: it cancels builds still running and waits for their
// containers to go, brings the cache down to its limit, and gives the root free
// for others (and for another Open in this process). Calls after the first
// return the first one's error.
func (e *Engine) Close() error {
	e.closeOnce.Do(func() { e.closeErr = e.close() })
	return e.closeErr
}

func (e *Engine) close() error {
	e.mu.Lock()
	e.closing = true
	clients := e.clients
	e.mu.Unlock()
	// Without their clients the running builds are cancelled.
	for _, c := range clients {
		_ = c.Close() // already closed by its user, most of the time
	}
	stopped := make(chan struct{})
	go func() {
		e.server.GracefulStop() // returns when the last build has cleaned up
		close(stopped)
	}()
	select {
	case <-stopped:
	case <-time.After(stopTimeout):
		go e.server.Stop()
	}
	close(e.stop)
	_ = e.listener.Close()

	var errs []error
	if err := e.state.containers.wait(stopTimeout); err != nil {
		logrus.Warn(err)
		e.state.removeContainers()
	}
	imageutil.CancelCacheLeases() // on a timer in a package variable otherwise
	if err := e.state.prune(context.Background()); err != nil {
		errs = append(errs, fmt.Errorf("making room in the build cache: %w", err))
	}
	if err := e.state.close(); err != nil {
		errs = append(errs, err)
	}
	if err := e.lock.release(true); err != nil {
		errs = append(errs, err)
	}
	releaseProcess()
	if len(errs) > 0 {
		return fmt.Errorf("closing the build engine in %s: %w", e.root, errors.Join(errs...))
	}
	return nil
}

// makeRoot gives the absolute path of the root, free of symbolic links: paths
// below it are compared with the kernel's mount table.
func makeRoot(root string) (string, error) {
	abs, err := filepath.Abs(root)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("making the folder for build state: %w", err)
	}
	return filepath.EvalSymlinks(abs)
}

func checkUser(uid int) error {
	if uid == 0 {
		return nil
	}
	return fmt.Errorf("it needs root, this is user %d; run the command as root (with sudo, or in a container), or build on a BuildKit daemon with --addr", uid)
}

// runtimes are looked for in this order.
var runtimes = []string{"buildkit-runc", "runc", "crun"}

func findRuntime(name string) (string, error) {
	if name != "" {
		path, err := exec.LookPath(name)
		if err != nil {
			return "", fmt.Errorf("the OCI runtime %q cannot be run: %w", name, err)
		}
		if err := checkRuntime(path); err != nil {
			return "", err
		}
		return filepath.Abs(path)
	}
	var tooOld error
	for _, name := range runtimes {
		path, err := exec.LookPath(name)
		if err != nil {
			continue
		}
		if tooOld = checkRuntime(path); tooOld == nil {
			return filepath.Abs(path)
		}
	}
	if tooOld != nil {
		return "", tooOld
	}
	return "", fmt.Errorf("no OCI runtime on PATH (looked for %s); install one, for example with `apt install runc`, or build on a BuildKit daemon with --addr", strings.Join(runtimes, ", "))
}

// checkRuntime looks for the one flag that not every runtime has: runc always
// had it, crun has it since 1.15.
func checkRuntime(path string) error {
	if strings.HasSuffix(filepath.Base(path), "runc") {
		return nil
	}
	help, err := exec.Command(path, "run", "--help").CombinedOutput()
	if strings.Contains(string(help), "--keep") {
		return nil
	}
	if err == nil {
		err = errors.New("its `run` does not know --keep")
	}
	return fmt.Errorf("the OCI runtime %s is too old or of another kind: %w; install runc, for example with `apt install runc`, or crun 1.15 or newer", path, err)
}

// setLog points BuildKit's log, which is logrus' global one, to w.
func setLog(w io.Writer) {
	if w == nil {
		logrus.SetOutput(io.Discard)
		logrus.SetLevel(logrus.PanicLevel)
		return
	}
	logrus.SetOutput(w)
	logrus.SetLevel(logrus.DebugLevel)
}
