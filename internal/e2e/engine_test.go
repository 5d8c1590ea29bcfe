package e2e_test

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// job is a command that runs.
type job struct {
	cmd  *exec.Cmd
	done chan error

	mu  sync.Mutex
	out bytes.Buffer
}

func (j *job) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.out.Write(p)
}

func (j *job) output() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.out.String()
}

// begin starts a command in a process group of its own, as a shell does.
func begin(t *testing.T, cmd *exec.Cmd) *job {
	t.Helper()
	j := &job{cmd: cmd, done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = j, j
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { j.done <- cmd.Wait() }()
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			<-j.done
		}
	})
	return j
}

// says waits until the command has printed something.
func (j *job) says(t *testing.T, what string) {
	t.Helper()
	j.until(t, "it says "+what, func() bool { return strings.Contains(j.output(), what) })
}

// until waits until something is so, while the command runs.
func (j *job) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(3 * time.Minute); !so(); time.Sleep(5 * time.Millisecond) {
		select {
		case err := <-j.done:
			j.done <- err
			t.Fatalf("the command ended before %s: %v\n%s", what, err, j.output())
		default:
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s\n%s", what, j.output())
		}
	}
}

// signal sends a signal to the command and its children, as a terminal does.
func (j *job) signal(t *testing.T, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(-j.cmd.Process.Pid, s); err != nil {
		t.Fatal(err)
	}
}

// ends waits for the command's end, which must come soon and with a code.
func (j *job) ends(t *testing.T, code int) {
	t.Helper()
	const soon = 10 * time.Second
	select {
	case <-j.done:
	case <-time.After(soon):
		_ = j.cmd.Process.Signal(syscall.SIGQUIT)
		<-j.done
		t.Fatalf("it did not end within %s\n%s", soon, j.output())
	}
	if got := j.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d\n%s", got, code, j.output())
	}
}

// hanging is a project whose build does not end: its smoke check waits for a port
// that nobody listens on. The program's name is its own.
func hanging(t *testing.T) (dir, program string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "hanging")
	program = fmt.Sprintf("hang%d", time.Now().UnixNano())
	e2etest.Write(t, filepath.Join(dir, "go.mod"), "module example.test/"+program+"\n\ngo 1.26\n")
	e2etest.Write(t, filepath.Join(dir, "main.go"), "package main\n\nimport \"time\"\n\nfunc main() { time.Sleep(time.Hour) }\n")
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\nsmoke: {port: 8080, timeout: 1h}\n")
	return dir, program
}

// runs reports whether a program runs anywhere on the machine.
func runs(t *testing.T, program string) bool {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err != nil {
			continue
		}
		args, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.HasPrefix(args, []byte("/app/"+program+"\x00")) {
			return true
		}
	}
	return false
}

// leftovers are the containers and mounts of a state directory.
func leftovers(t *testing.T, root string) []string {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(root, "buildkit/*/executor/*/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, root+"/") || strings.Contains(m.VFSOptions, root+"/") {
			left = append(left, m.Mountpoint)
		}
	}
	// It fails when a container of somebody else's goes away meanwhile.
	var out []byte
	for range 100 {
		if out, err = exec.Command("runc", "list", "--format", "json").Output(); err == nil {
			break
		}
		time.Sleep(50 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	var containers []struct{ ID, Bundle string }
	if err := json.Unmarshal(out, &containers); err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		if strings.HasPrefix(c.Bundle, root+"/") {
			left = append(left, "container "+c.ID)
		}
	}
	return left
}

func nothingLeft(t *testing.T, root, program string) {
	t.Helper()
	if left := leftovers(t, root); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	if program != "" && runs(t, program) {
		t.Errorf("%s still runs", program)
	}
}

// stalling is a server that answers nothing once it is asked for what matches:
// then it says so and waits for its end.
func stalling(t *testing.T, matches func(*http.Request) bool) (addr string, asked func() bool) {
	t.Helper()
	var mu sync.Mutex
	var was bool
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !matches(r) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		mu.Lock()
		was = true
		mu.Unlock()
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(func() { close(release); server.Close() })
	return server.Listener.Addr().String(), func() bool {
		mu.Lock()
		defer mu.Unlock()
		return was
	}
}

// Ctrl-C ends a build at any moment, soon, with 130, and leaves nothing behind.
func TestInterrupt(t *testing.T) {
	root := harness.SharedRoot(t)
	good := e2etest.Sample(t, "go/hello")
	// The commands' temporary files, which others do not write between.
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	nothingLeft := func(t *testing.T, root, program string) {
		t.Helper()
		nothingLeft(t, root, program)
		folders, err := filepath.Glob(filepath.Join(temp, "birdhouse-*"))
		if err != nil || len(folders) > 0 {
			t.Errorf("left behind for temporary files: %q, %v", folders, err)
		}
	}
	works := func(t *testing.T) {
		t.Helper()
		harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "kept", "--progress=plain", good))
	}
	works(t)
	before := inStore(t, root)

	t.Run("at the start", func(t *testing.T) {
		for _, ms := range []int{30, 60, 100, 150} {
			j := begin(t, e2etest.Birdhouse(t, "build", "-t", "kept", good)) // it may be done by then
			time.Sleep(time.Duration(ms) * time.Millisecond)
			if err := syscall.Kill(-j.cmd.Process.Pid, syscall.SIGINT); err != nil && !errors.Is(err, syscall.ESRCH) {
				t.Fatal(err)
			}
			<-j.done
			status := j.cmd.ProcessState.Sys().(syscall.WaitStatus)
			if !(status.Signaled() && status.Signal() == syscall.SIGINT) && status.ExitStatus() != 130 && status.ExitStatus() != 0 {
				t.Errorf("after %d ms it ended with %v\n%s", ms, j.cmd.ProcessState, j.output())
			}
		}
		nothingLeft(t, root, "")
	})

	for _, test := range []struct {
		name   string
		signal syscall.Signal
		code   int
	}{{"while a step runs", syscall.SIGINT, 130}, {"a step, by SIGTERM", syscall.SIGTERM, 143}} {
		t.Run(test.name, func(t *testing.T) {
			dir, program := hanging(t)
			first := begin(t, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
			first.until(t, program+" runs", func() bool { return runs(t, program) })

			// Another build waits, says so, and can be interrupted.
			second := begin(t, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", good))
			second.says(t, fmt.Sprintf("another birdhouse (pid %d) is using %s; waiting", first.cmd.Process.Pid, root))
			second.signal(t, test.signal)
			second.ends(t, test.code)
			// A third waits until it is its turn.
			third := begin(t, e2etest.Birdhouse(t, "build", "-t", "kept", "--progress=plain", good))
			third.says(t, "; waiting")

			first.signal(t, test.signal)
			first.ends(t, test.code)
			e2etest.Contains(t, first.output(), "birdhouse: interrupted\n")
			for _, n := range e2etest.Noise {
				if strings.Contains(e2etest.Said(first.output()), n) {
					t.Errorf("%q in:\n%s", n, first.output())
				}
			}
			third.ends(t, 0)
			nothingLeft(t, root, program)
		})
	}

	t.Run("while it is pushed", func(t *testing.T) {
		addr, asked := stalling(t, func(r *http.Request) bool { return r.Method == http.MethodPost })
		j := begin(t, e2etest.Birdhouse(t, "build", "-t", addr+"/app", "--push", "--progress=plain", good))
		j.until(t, "it pushes", asked)
		j.signal(t, syscall.SIGINT)
		j.ends(t, 130)
		nothingLeft(t, root, "")
	})

	t.Run("while it is exported", func(t *testing.T) {
		pipe := filepath.Join(t.TempDir(), "pipe")
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		reader, err := os.OpenFile(pipe, os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer reader.Close()
		j := begin(t, e2etest.Birdhouse(t, "build", "-o", "type=oci,dest="+pipe, "--progress=plain", good))
		j.says(t, "sending tarball")
		j.signal(t, syscall.SIGINT)
		j.ends(t, 130)
		nothingLeft(t, root, "")
	})

	if diff := cmp.Diff(before, inStore(t, root)); diff != "" {
		t.Errorf("interrupted builds have changed the store:\n%s", diff)
	}
	e2etest.Fails(t, 1, e2etest.Birdhouse(t, "inspect", "never"))
	works(t)
}

// A build that was killed, which could clean up nothing, leaves work for the next.
func TestKilled(t *testing.T) {
	root := harness.SharedRoot(t)
	good := e2etest.Sample(t, "go/hello")
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "kept", "--progress=plain", good))
	want := digest(t, root, "kept")

	t.Run("while a step runs", func(t *testing.T) {
		dir, program := hanging(t)
		j := begin(t, e2etest.Birdhouse(t, "build", "-t", "never", dir))
		j.until(t, program+" runs", func() bool { return runs(t, program) })
		if err := j.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-j.done
		if len(leftovers(t, root)) == 0 {
			t.Fatal("a killed build leaves nothing: the test looks for the wrong thing")
		}
		harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "kept", "--progress=plain", good))
		nothingLeft(t, root, program)
	})

	t.Run("while it is stored", func(t *testing.T) {
		dir := e2etest.Sample(t, "go/hello")
		bigFile(t, dir, 96)
		j := begin(t, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
		j.says(t, "exporting layers")
		if err := j.cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		<-j.done
		e2etest.Fails(t, 1, e2etest.Birdhouse(t, "inspect", "never"))
		harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "kept", "--progress=plain", good))
		// The one that was killed, once more.
		harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "again", "--progress=plain", dir))
		harness.Run(t, e2etest.Birdhouse(t, "inspect", "again"))
		nothingLeft(t, root, "")
	})

	if got := digest(t, root, "kept"); got != want {
		t.Errorf("the image is another one: %s, was %s", got, want)
	}
}

// bigFile adds a file that does not compress to a project and its image.
func bigFile(t *testing.T, dir string, megabytes int64) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "big"))
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyN(f, rand.Reader, megabytes<<20)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\ncopy: [big:/big]\n")
}

// Two builds on one root take turns and both succeed.
func TestTwoBuildsAtOnce(t *testing.T) {
	a, b := e2etest.Sample(t, "go/hello"), e2etest.Sample(t, "go/hello")
	e2etest.Write(t, filepath.Join(b, "birdhouse.yaml"), "language: go\nlabels: {which: b}\n")
	first := begin(t, e2etest.Birdhouse(t, "build", "-t", "first", "--progress=plain", a))
	second := begin(t, e2etest.Birdhouse(t, "build", "-t", "second", "--progress=plain", b))
	for _, j := range []*job{first, second} {
		if err := <-j.done; err != nil {
			t.Errorf("%v\n%s", err, j.output())
		}
	}
	root := harness.SharedRoot(t)
	if x, y := digest(t, root, "first"), digest(t, root, "second"); x == y {
		t.Errorf("both are %s", x)
	}
}

// copied is a copy of the shared state directory.
func copied(t *testing.T, to string) {
	t.Helper()
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "kept", "--progress=plain", e2etest.Sample(t, "go/hello")))
	harness.Run(t, exec.Command("cp", "-a", harness.SharedRoot(t)+"/.", to))
}

// On a full disk the error says so and names the disk; with room again, all works.
func TestFullDisk(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	size := func(options string) error { return syscall.Mount("tmpfs", root, "tmpfs", 0, options) }
	if err := size("size=8g"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	copied(t, root)
	want := digest(t, root, "kept")
	var st syscall.Statfs_t
	if err := syscall.Statfs(root, &st); err != nil {
		t.Fatal(err)
	}
	used := int64(st.Blocks-st.Bfree) * st.Bsize
	remount := func(bytes int64) {
		t.Helper()
		if err := syscall.Mount("tmpfs", root, "tmpfs", syscall.MS_REMOUNT, fmt.Sprintf("size=%d", bytes)); err != nil {
			t.Fatal(err)
		}
	}
	dir := e2etest.Sample(t, "go/hello")
	bigFile(t, dir, 64)
	for _, room := range []int64{40 << 20, 150 << 20} { // too little for the cache; for the image as well
		remount(used + room)
		// A cache within its limit: one that is beyond it makes room of its own.
		out := e2etest.Fails(t, 1, e2etest.BirdhouseIn(t, root, "build", "-t", "kept", "--progress=plain", "--cache-size", fmt.Sprint(8<<30), dir))
		e2etest.Contains(t, e2etest.Said(out), "no space left on device", root)
		for _, n := range e2etest.Noise {
			if strings.Contains(e2etest.Said(out), n) {
				t.Errorf("%q in:\n%s", n, out)
			}
		}
		if got := digest(t, root, "kept"); got != want {
			t.Errorf("the image is another one: %s, was %s", got, want)
		}
	}
	remount(used + 1<<30)
	harness.Run(t, e2etest.BirdhouseIn(t, root, "build", "-t", "kept", "--progress=plain", dir))
	harness.Run(t, e2etest.BirdhouseIn(t, root, "inspect", "kept"))
	nothingLeft(t, root, "")
}

// State that is damaged is replaced, or the error says what to remove.
func TestDamagedState(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	if err := os.Mkdir(root, 0o700); err != nil {
		t.Fatal(err)
	}
	copied(t, root)
	dir := e2etest.Sample(t, "go/hello")

	blobs, err := filepath.Glob(filepath.Join(root, "images/blobs/sha256/*"))
	if err != nil || len(blobs) == 0 {
		t.Fatalf("blobs %v, %v", blobs, err)
	}
	for _, b := range blobs {
		if err := os.Truncate(b, 10); err != nil {
			t.Fatal(err)
		}
	}
	e2etest.Contains(t, e2etest.Fails(t, 1, e2etest.BirdhouseIn(t, root, "inspect", "kept")), "the image store is damaged: ", "remove it, and build or pull the image again")
	harness.Run(t, e2etest.BirdhouseIn(t, root, "build", "-t", "kept", "--progress=plain", dir))
	harness.Run(t, e2etest.BirdhouseIn(t, root, "inspect", "kept"))

	index := filepath.Join(root, "images/index.json")
	if err := os.Truncate(index, 20); err != nil {
		t.Fatal(err)
	}
	e2etest.Contains(t, e2etest.Fails(t, 1, e2etest.BirdhouseIn(t, root, "build", dir)), index+" is damaged: ", "remove it")
	if err := os.Remove(index); err != nil {
		t.Fatal(err)
	}
	harness.Run(t, e2etest.BirdhouseIn(t, root, "build", "-t", "kept", "--progress=plain", dir))
	harness.Run(t, e2etest.BirdhouseIn(t, root, "inspect", "kept"))

	databases, err := filepath.Glob(filepath.Join(root, "buildkit/*/metadata_v2.db"))
	if err != nil || len(databases) != 1 {
		t.Fatalf("databases %v, %v", databases, err)
	}
	if err := os.Truncate(databases[0], 8192); err != nil {
		t.Fatal(err)
	}
	// Everything would be built again: a mirror that is not there ends it soon.
	closed := fmt.Sprintf("http://127.0.0.1:%d/debian", e2etest.FreePort(t))
	out := e2etest.Fails(t, 1, e2etest.BirdhouseIn(t, root, "build", "--progress=plain", "--build-arg", "BIRDHOUSE_DEBIAN_MIRROR="+closed, dir))
	e2etest.Contains(t, out, "the build cache in "+filepath.Dir(databases[0])+" is damaged", "starting with an empty one", "connection refused")
	nothingLeft(t, root, "")
}
