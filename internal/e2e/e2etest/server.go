package e2etest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// FreePort is a TCP port of loopback that nothing listens on.
func FreePort(t testing.TB) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// Asks is a server that answers those alone who know the password; others are asked for it.
func Asks(user, password string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if name, secret, ok := r.BasicAuth(); !ok || name != user || secret != password {
			w.Header().Set("WWW-Authenticate", `Basic realm="birds"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Server is a started program that answers HTTP.
type Server struct {
	// Addr is where it answers: "http://127.0.0.1:43210".
	Addr string
	Cmd  *exec.Cmd
	// Out is what it prints, to be read after its end.
	Out  *bytes.Buffer
	port int
	done chan error
}

// Serve starts a command that serves HTTP on the port and waits for its first
// answer. The test's end stops it.
func Serve(t testing.TB, port int, cmd *exec.Cmd) *Server {
	t.Helper()
	s := &Server{Addr: fmt.Sprintf("http://127.0.0.1:%d", port), Cmd: cmd, Out: &bytes.Buffer{}, port: port, done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = s.Out, s.Out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { s.done <- cmd.Wait() }()
	t.Cleanup(func() { s.Stop(t) })
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) {
		select {
		case err := <-s.done:
			s.done <- err
			t.Fatalf("%s ended: %v\n%s", cmd, err, s.Out)
		default:
		}
		res, err := http.Get(s.Addr)
		if err == nil {
			res.Body.Close()
			return s
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("%s does not answer on port %d", cmd, port)
	return nil
}

// Get is the answer to a GET of a path ("/"): its body without white space at the
// ends. The status must be 200.
func (s *Server) Get(t testing.TB, path string) string {
	t.Helper()
	res, err := http.Get(s.Addr + path)
	if err != nil {
		t.Fatalf("%v\n%s", err, s.Out)
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

// Stop ends the program with SIGTERM and returns how long that took, which must be
// less than 15 seconds. It does nothing when the program has ended.
func (s *Server) Stop(t testing.TB) time.Duration {
	t.Helper()
	begin := time.Now()
	if s.Cmd.ProcessState != nil {
		return 0
	}
	_ = s.Cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.done:
		s.done <- err
	case <-time.After(15 * time.Second):
		_ = s.Cmd.Process.Kill()
		t.Errorf("%s did not end within 15 s of SIGTERM", s.Cmd)
	}
	return time.Since(begin)
}

// Start runs an image of the shared store, with flags of birdhouse run, as a server
// on the port it gets in PORT.
func Start(t testing.TB, image string, args ...string) *Server {
	t.Helper()
	port := FreePort(t)
	args = append(append([]string{"run", "-e", fmt.Sprintf("PORT=%d", port)}, args...), image)
	return Serve(t, port, Birdhouse(t, args...))
}

// Ends sends the program SIGTERM: it must end within a second, with one of the
// codes. Where it takes longer it is started twice more: a machine that builds
// other things meanwhile is no fault of the program's.
func (s *Server) Ends(t testing.TB, codes ...int) {
	t.Helper()
	var took []time.Duration
	for {
		took = append(took, s.Stop(t))
		if got := s.Cmd.ProcessState.ExitCode(); !slices.Contains(codes, got) {
			t.Errorf("it ended with code %d\n%s", got, s.Out)
		}
		if took[len(took)-1] <= time.Second {
			return
		}
		if len(took) == 3 {
			t.Errorf("it took %s to end", took)
			return
		}
		again := exec.Command(s.Cmd.Path)
		again.Args, again.Env, again.Dir = s.Cmd.Args, s.Cmd.Env, s.Cmd.Dir
		s = Serve(t, s.port, again)
	}
}
