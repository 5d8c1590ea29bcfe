package e2e_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// birdhouse is a birdhouse command on the shared state, with this machine's lock.
func birdhouse(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return birdhouseIn(t, harness.SharedRoot(t), args...)
}

// birdhouseIn is a birdhouse command on a state directory.
func birdhouseIn(t *testing.T, root string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(harness.Birdhouse(t), args...)
	cmd.Env = append(os.Environ(), "BIRDHOUSE_ROOT="+root, "BIRDHOUSE_CATALOG="+harness.Lock(t))
	return cmd
}

// sample is a copy of a project of testdata that the test may change.
func sample(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(harness.Root(t), "testdata", name))); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write changes a file of a project.
func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// freePort is a TCP port of loopback that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// server is a started program.
type server struct {
	addr string
	cmd  *exec.Cmd
	out  *bytes.Buffer
	done chan error
}

// serve starts a command that serves HTTP on the port and waits for its first
// answer. The test's end stops it.
func serve(t *testing.T, port int, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{addr: fmt.Sprintf("http://127.0.0.1:%d", port), cmd: cmd, out: &bytes.Buffer{}, done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = s.out, s.out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- cmd.Wait() }()
	t.Cleanup(func() { s.stop(t) })
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		select {
		case err := <-s.done:
			s.done <- err
			t.Fatalf("%s ended: %v\n%s", cmd, err, s.out)
		default:
		}
		res, err := http.Get(s.addr)
		if err == nil {
			res.Body.Close()
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not answer on port %d", cmd, port)
	return nil
}

// get is the answer to a GET: its body without white space at the ends.
func (s *server) get(t *testing.T, path string) string {
	t.Helper()
	res, err := http.Get(s.addr + path)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.out)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	if res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s: %s", path, res.Status, body)
	}
	return strings.TrimSpace(string(body))
}

// stop ends the program with SIGTERM and returns how long it took.
func (s *server) stop(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	if s.cmd.ProcessState != nil {
		return 0
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		s.done <- err
	case <-time.After(15 * time.Second):
		_ = s.cmd.Process.Kill()
		t.Errorf("%s did not end within 15 s of SIGTERM", s.cmd)
	}
	return time.Since(begin)
}

// start runs an image of the shared store as a server on the port it gets in PORT.
func start(t *testing.T, image string, args ...string) *server {
	t.Helper()
	port := freePort(t)
	args = append(append([]string{"run", "-e", fmt.Sprintf("PORT=%d", port)}, args...), image)
	return serve(t, port, birdhouse(t, args...))
}

// samplesAreBuilt checks that every sample of a language with a plan is known to a
// test: one that no test builds is a sample that nobody knows to work.
func samplesAreBuilt(t *testing.T, language string, known map[string]bool) {
	t.Helper()
	plans, err := filepath.Glob(filepath.Join(harness.Root(t), "testdata", language, "*/plan.json"))
	if err != nil || len(plans) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, p := range plans {
		if name := filepath.Base(filepath.Dir(p)); !known[name] {
			t.Errorf("testdata/%s/%s has a plan, and no test builds it", language, name)
		}
	}
}
