package harness

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// How long a daemon may take to answer after its start, and to end when told to.
const (
	startTimeout = 60 * time.Second
	stopTimeout  = 60 * time.Second
)

// daemon is a process that keeps its state in a folder of its own.
type daemon struct {
	name   string
	dir    string
	cmd    *exec.Cmd
	exited chan struct{}
}

// startDaemon starts a program whose whole state is below dir and waits until
// ready returns nil. Its output goes to a file there.
func startDaemon(t testing.TB, dir string, cmd *exec.Cmd, ready func() error) *daemon {
	t.Helper()
	d := &daemon{name: filepath.Base(cmd.Path), dir: dir, cmd: cmd, exited: make(chan struct{})}
	log, err := os.Create(d.logPath())
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	// BuildKit does not remove all of its temporary files.
	temp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(cmd.Environ(), "TMPDIR="+temp)
	// A test process that dies takes the daemon with it. A signal of its own
	// group keeps Ctrl-C from the daemon, which Stop ends in order.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}

	started := make(chan error)
	go func() {
		// The kernel sends Pdeathsig when the thread that started the process
		// ends: keep it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
			close(d.exited)
		}
	}()
	if err := <-started; err != nil {
		t.Fatalf("starting %s: %v", d.name, err)
	}

	deadline := time.Now().Add(startTimeout)
	for {
		err := ready()
		if err == nil {
			return d
		}
		select {
		case <-d.exited:
			err = fmt.Errorf("it ended: %s", cmd.ProcessState)
		case <-time.After(50 * time.Millisecond):
			if time.Now().Before(deadline) {
				continue
			}
		}
		out := d.tail()
		_ = d.stop()
		t.Fatalf("starting %s: %v\n%s", d.name, err, out)
	}
}

func (d *daemon) logPath() string { return filepath.Join(d.dir, d.name+".log") }

// tail returns the end of what the daemon printed.
func (d *daemon) tail() string {
	const most = 8 << 10
	out, err := os.ReadFile(d.logPath())
	if err != nil {
		return err.Error()
	}
	if len(out) > most {
		out = out[len(out)-most:]
	}
	return string(out)
}

// stop ends the process and removes its state. It returns an error when the
// process had to be killed.
func (d *daemon) stop() error {
	var killed error
	_ = d.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(stopTimeout):
		killed = fmt.Errorf("stopping %s: it did not end in %s\n%s", d.name, stopTimeout, d.tail())
		_ = d.cmd.Process.Kill()
		<-d.exited
	}
	return errors.Join(killed, removeState(d.dir))
}

// stopAfter stops the daemon at the end of the test and, if the test failed,
// shows what the daemon printed last.
func (d *daemon) stopAfter(t testing.TB) {
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("%s printed last:\n%s", d.name, d.tail())
		}
		if err := d.stop(); err != nil {
			t.Error(err)
		}
	})
}

// removeState unmounts everything below dir and removes it.
func removeState(dir string) error {
	mounts, err := mountsBelow(dir)
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range mounts {
		if err := unix.Unmount(m, unix.MNT_DETACH); err != nil {
			errs = append(errs, fmt.Errorf("unmounting %s: %w", m, err))
		}
	}
	return errors.Join(append(errs, os.RemoveAll(dir))...)
}

// mountsBelow returns the mount points in dir, the latest mounted first.
func mountsBelow(dir string) ([]string, error) {
	infos, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	var points []string
	for _, info := range infos {
		points = append(points, info.Mountpoint)
	}
	slices.Reverse(points)
	return points, nil
}

// environ returns this process's environment without the variables named, and
// with those added, each NAME=VALUE.
func environ(without []string, with ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		return slices.Contains(without, name)
	})
	return append(env, with...)
}
