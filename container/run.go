package container

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/containerd/console"
	cfs "github.com/containerd/continuity/fs"
	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/profiles/seccomp"
	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// container is one container, and the directory that is its OCI bundle.
type container struct {
	state     *state
	id        string
	dir       string
	image     string
	lock      *flock.Flock
	imageLock *flock.Flock
}

func (c *container) path(name string) string { return filepath.Join(c.dir, name) }

// lower is the unpacked image.
func (c *container) lower() string { return filepath.Join(c.state.dir, c.image) }

// remove ends the container when it still runs, and removes all of it.
func (c *container) remove() error {
	c.state.runtime.delete(context.Background(), c.path("runtime"), c.id)
	err := removeAll(c.dir)
	for _, l := range []*flock.Flock{c.lock, c.imageLock} {
		if l != nil {
			err = errors.Join(err, l.Close())
		}
	}
	return err
}

// configure writes the bundle's configuration and what it mounts.
func (c *container) configure(config v1.Config, o Options, userEnv []string, volumes []volume) error {
	args, err := command(config, o.Entrypoint, o.Args)
	if err != nil {
		return err
	}
	name := config.User
	if o.User != "" {
		name = o.User
	}
	account, home, err := account(c.lower(), name)
	if err != nil {
		return err
	}
	cwd, err := workDir(config.WorkingDir, o.WorkDir)
	if err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("asking for the host's name: %w", err)
	}
	mounts, err := c.machineFiles(hostname, o.ReadOnly)
	if err != nil {
		return err
	}
	own, err := c.volumes(config, volumes, account)
	if err != nil {
		return err
	}
	mounts = append(mounts, own...)

	s := settings{
		Args: args, Env: environment(config.Env, userEnv, hostname, home, o.TTY), Cwd: cwd, User: account,
		Hostname: hostname, ReadOnly: o.ReadOnly, TTY: o.TTY, Mounts: mounts,
	}
	if err := findProgram(c.lower(), args, cwd, getenv(s.Env, "PATH"), targets(own)); err != nil {
		return err
	}
	if t := terminal(o.Stdin, o.Stdout); o.TTY && t != nil {
		if w, h, err := term.GetSize(int(t.Fd())); err == nil {
			s.Size = &specs.Box{Width: uint(w), Height: uint(h)}
		}
	}
	if s.Cgroup, err = cgroupVersion(); err != nil {
		return err
	}
	spec := newSpec(s)
	if c.state.runtime.seccomp {
		if spec.Linux.Seccomp, err = seccomp.GetDefaultProfile(spec); err != nil {
			return fmt.Errorf("making the system call filter: %w", err)
		}
	}
	data, err := json.Marshal(spec)
	if err != nil {
		return err
	}
	return os.WriteFile(c.path("config.json"), data, 0o600)
}

func targets(mounts []specs.Mount) []string {
	var ts []string
	for _, m := range mounts {
		ts = append(ts, m.Destination)
	}
	return ts
}

// machineFiles are copies of what a program on this machine's network needs.
func (c *container) machineFiles(hostname string, readOnly bool) ([]specs.Mount, error) {
	var mounts []specs.Mount
	for _, name := range []string{"hosts", "resolv.conf", "hostname"} {
		data := []byte(hostname + "\n")
		if name != "hostname" {
			var err error
			data, err = os.ReadFile("/etc/" + name)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("reading this machine's network configuration: %w", err)
			}
		}
		if err := os.WriteFile(c.path(name), data, 0o644); err != nil {
			return nil, err
		}
		if err := os.Chmod(c.path(name), 0o644); err != nil {
			return nil, err
		}
		mounts = append(mounts, bind(c.path(name), "/etc/"+name, "rprivate", readOnly))
	}
	return mounts, nil
}

// volumes returns the mounts that the user and the image ask for, and makes the
// directories that they need.
func (c *container) volumes(config v1.Config, asked []volume, account specs.User) ([]specs.Mount, error) {
	all := slices.Clone(asked)
	for name := range config.Volumes {
		target := filepath.Join("/", name)
		if target == "/" || slices.ContainsFunc(all, func(v volume) bool { return v.Target == target }) {
			continue
		}
		all = append(all, volume{Target: target, Propagation: "rprivate"})
	}
	slices.SortFunc(all, func(a, b volume) int { return strings.Compare(a.Target, b.Target) })
	var mounts []specs.Mount
	for i, v := range all {
		if v.Source == "" {
			v.Source = c.path(fmt.Sprintf("volume-%d", i))
			if err := c.anonymous(v.Source, v.Target, account); err != nil {
				return nil, fmt.Errorf("making volume %s: %w", v.Target, err)
			}
		} else if _, err := os.Stat(v.Source); errors.Is(err, fs.ErrNotExist) {
			// As docker does it.
			if err := os.MkdirAll(v.Source, 0o755); err != nil {
				return nil, fmt.Errorf("making %s for volume %s: %w", v.Source, v.Target, err)
			}
		} else if err != nil {
			return nil, fmt.Errorf("mounting volume %s: %w", v.Target, err)
		}
		mounts = append(mounts, bind(v.Source, v.Target, v.Propagation, v.ReadOnly))
	}
	return mounts, nil
}

// anonymous makes a directory with the content, owner and mode of what the image
// has at target; where it has nothing, the directory is the program's user's.
func (c *container) anonymous(dir, target string, account specs.User) error {
	inside, err := cfs.RootPath(c.lower(), target)
	if err == nil {
		if info, err := os.Lstat(inside); err == nil && info.IsDir() {
			return cfs.CopyDir(dir, inside)
		}
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	return os.Chown(dir, int(account.UID), int(account.GID))
}

// run starts the container, passes signals on and waits for its end. Without
// an error the code is the program's.
func (c *container) run(ctx context.Context, o Options) (int, error) {
	stdio, err := newStdio(o)
	if err != nil {
		return ExitFailed, err
	}
	defer stdio.close()

	cmd := exec.Command(c.state.runtime.path, "--root", c.path("runtime"), "--log", c.path("log.json"), "--log-format", "json",
		"run", "--bundle", c.dir, "--pid-file", c.path("pid"), c.id)
	cmd.Dir = c.dir
	stdio.attach(cmd)
	// What copies into a pipe may not keep us when the container is gone.
	cmd.WaitDelay = 2 * time.Second

	started := make(chan error, 1)
	ended := make(chan error, 1)
	go c.supervise(cmd, started, ended)
	if err := <-started; err != nil {
		return ExitFailed, err
	}
	stdio.started()

	// The runtime passes signals on from when the program has started.
	var waiting []os.Signal
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	running := false
	kill := ctx.Done()
	for {
		select {
		case s := <-o.Signals:
			waiting = append(waiting, s)
		case <-tick.C:
		case <-kill:
			kill = nil
			c.state.runtime.delete(ctx, c.path("runtime"), c.id)
			_ = cmd.Process.Kill()
		case err := <-ended:
			stdio.wait()
			return c.result(ctx, cmd, err)
		}
		if !running {
			running = c.pid() != ""
			if running {
				tick.Stop()
			}
		}
		if running {
			for _, s := range waiting {
				if passedOn(s) {
					stdio.resize(s)
					_ = cmd.Process.Signal(s)
				}
			}
			waiting = nil
		}
	}
}

// passedOn leaves out the signals that tell a process about itself.
func passedOn(s os.Signal) bool {
	switch s {
	case syscall.SIGCHLD, syscall.SIGPIPE, syscall.SIGURG:
		return false
	}
	return true
}

// pid is what the runtime writes when the program has started.
func (c *container) pid() string {
	data, err := os.ReadFile(c.path("pid"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

func (c *container) result(ctx context.Context, cmd *exec.Cmd, err error) (int, error) {
	if ctx.Err() != nil {
		return ExitFailed, &startError{128 + int(unix.SIGKILL), fmt.Errorf("killed: %w", context.Cause(ctx))}
	}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		return ExitFailed, fmt.Errorf("waiting for the container: %w", err)
	}
	if c.pid() == "" {
		return ExitFailed, failure(c.path("log.json"), err)
	}
	ws, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && ws.Signaled() {
		return 128 + int(ws.Signal()), nil
	}
	return cmd.ProcessState.ExitCode(), nil
}

// supervise mounts the root file system and runs the runtime, from a thread with
// a mount namespace of its own: its mounts end with the last process that sees
// them, however that ends.
func (c *container) supervise(cmd *exec.Cmd, started, ended chan<- error) {
	// Never unlocked: the thread ends with this function, and nothing else
	// must run in its namespace. The runtime gets a signal when it ends.
	goruntime.LockOSThread()
	err := c.mount()
	if err == nil {
		if err = cmd.Start(); err != nil {
			err = fmt.Errorf("starting %s: %w", c.state.runtime.path, err)
		}
	}
	started <- err
	if err == nil {
		ended <- cmd.Wait()
	}
}

// ownMounts gives this thread a mount namespace, which sees what is mounted
// later outside but not the other way round.
func ownMounts() error {
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("making a mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return fmt.Errorf("making a mount namespace: %w", err)
	}
	version, err := cgroupVersion()
	if err != nil {
		return err
	}
	if version == 0 {
		// runc does not start without control groups. Where the kernel has none
		// either, its own error says so.
		_ = unix.Mount("cgroup2", "/sys/fs/cgroup", "cgroup2", unix.MS_NOSUID|unix.MS_NOEXEC|unix.MS_NODEV, "")
	}
	return nil
}

// mount lays a layer for this container's own changes over the unpacked image.
func (c *container) mount() error {
	if err := ownMounts(); err != nil {
		return err
	}
	info, err := os.Stat(c.lower())
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("reading %s: no owner", c.lower())
	}
	for _, name := range []string{"upper", "work", "rootfs"} {
		if err := os.Mkdir(c.path(name), 0o755); err != nil {
			return err
		}
	}
	// The root directory's owner and mode are the upper one's.
	if err := os.Chown(c.path("upper"), int(st.Uid), int(st.Gid)); err != nil {
		return err
	}
	if err := unix.Chmod(c.path("upper"), st.Mode&0o7777); err != nil {
		return err
	}
	// Relative paths have none of the characters that mean something in mount
	// options. The namespace comes with a working directory of its own.
	if err := unix.Chdir(c.state.dir); err != nil {
		return err
	}
	own := "containers/" + c.id
	options := "lowerdir=" + c.image + ",upperdir=" + own + "/upper,workdir=" + own + "/work"
	if err := unix.Mount("overlay", own+"/rootfs", "overlay", 0, options); err == nil {
		return nil
	}
	// No overlay here, for example on another overlay: a copy does.
	if err := os.Remove(c.path("rootfs")); err != nil {
		return err
	}
	if err := cfs.CopyDir(c.path("rootfs"), c.lower()); err != nil {
		return fmt.Errorf("copying the image: %w", err)
	}
	// The runtime needs a mount for its root.
	if err := unix.Mount(c.path("rootfs"), c.path("rootfs"), "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mounting the copy of the image: %w", err)
	}
	return nil
}

// terminal returns the terminal that the user sits at, or nil.
func terminal(files ...any) *os.File {
	for _, f := range files {
		if file, ok := f.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
			return file
		}
	}
	return nil
}

// stdio connects the runtime with the program's input and output.
type stdio struct {
	o Options
	// restore brings the user's terminal back.
	restore func()
	// master and slave are a terminal of our own, where the program gets one
	// and the user's is not its.
	master console.Console
	slave  *os.File
	copied chan struct{}
}

func newStdio(o Options) (*stdio, error) {
	s := &stdio{o: o, restore: func() {}}
	if !o.TTY {
		return s, nil
	}
	if o.Interactive {
		in := terminal(o.Stdin)
		if in == nil {
			return nil, errors.New("--tty with --interactive needs a terminal as input")
		}
		saved, err := term.GetState(int(in.Fd()))
		if err != nil {
			return nil, fmt.Errorf("reading the terminal's state: %w", err)
		}
		s.restore = func() { _ = term.Restore(int(in.Fd()), saved) }
		return s, nil
	}
	master, name, err := console.NewPty()
	if err != nil {
		return nil, fmt.Errorf("making a terminal: %w", err)
	}
	slave, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		_ = master.Close()
		return nil, fmt.Errorf("making a terminal: %w", err)
	}
	s.master, s.slave = master, slave
	s.resize(syscall.SIGWINCH)
	return s, nil
}

func (s *stdio) attach(cmd *exec.Cmd) {
	// When this process is killed, the program is asked to end. The next run
	// ends it if it did not.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM}
	switch {
	case s.master != nil:
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.slave, s.slave, s.slave
		cmd.SysProcAttr.Setsid = true
	case s.o.TTY:
		// In our process group: another one could not read the terminal.
		cmd.Stdin, cmd.Stdout, cmd.Stderr = s.o.Stdin, s.o.Stdout, s.o.Stderr
	default:
		// In a session of its own, so that a Ctrl-C comes to us alone and is
		// passed on, once; reading the terminal stays possible.
		cmd.SysProcAttr.Setsid = true
		if s.o.Interactive {
			cmd.Stdin = s.o.Stdin
		}
		cmd.Stdout, cmd.Stderr = s.o.Stdout, s.o.Stderr
	}
}

func (s *stdio) started() {
	if s.master == nil {
		return
	}
	_ = s.slave.Close()
	s.copied = make(chan struct{})
	go func() {
		defer close(s.copied)
		out := s.o.Stdout
		if out == nil {
			out = io.Discard
		}
		// Ends with EIO when the last process has closed the terminal.
		_, _ = io.Copy(out, s.master)
	}()
}

// wait returns when all output was copied.
func (s *stdio) wait() {
	if s.copied == nil {
		return
	}
	select {
	case <-s.copied:
	case <-time.After(5 * time.Second):
	}
}

func (s *stdio) resize(sig os.Signal) {
	if sig != syscall.SIGWINCH || s.master == nil {
		return
	}
	if t := terminal(s.o.Stdout, s.o.Stdin); t != nil {
		if w, h, err := term.GetSize(int(t.Fd())); err == nil {
			_ = s.master.Resize(console.WinSize{Width: uint16(w), Height: uint16(h)})
		}
	}
}

func (s *stdio) close() {
	s.restore()
	if s.master != nil {
		_ = s.master.Close()
		_ = s.slave.Close()
	}
}
