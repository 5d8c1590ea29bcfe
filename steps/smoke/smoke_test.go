package smoke

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// The test program is also the program under check: told by this variable.
const role = "SMOKE_TEST_ROLE"

func TestMain(m *testing.M) {
	if what := os.Getenv(role); what != "" {
		program(what, os.Getenv("PORT"))
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is what the checks start.
func program(what, port string) {
	fmt.Println("started as", what)
	listen := func(host string) net.Listener {
		l, err := net.Listen("tcp", net.JoinHostPort(host, port))
		if err != nil {
			fmt.Println(err)
			os.Exit(9)
		}
		return l
	}
	raw := func(answer string) {
		l := listen("127.0.0.1")
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				request := make([]byte, 1024)
				_, _ = c.Read(request)
				_, _ = io.WriteString(c, answer)
				// The check must not wait for the connection's end.
				if !strings.HasSuffix(answer, "END") {
					time.Sleep(time.Minute)
				}
				c.Close()
			}()
		}
	}
	switch what {
	case "exit":
		fmt.Println("hello", os.Args[1:], "from", mustGetwd())
		code, _ := strconv.Atoi(os.Getenv("CODE"))
		os.Exit(code)
	case "signal":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		time.Sleep(time.Hour) // without cgo, `select {}` would be a deadlock to Go
	case "flood":
		line := strings.Repeat("x", 1022)
		fmt.Println("the beginning")
		for range 200 {
			fmt.Println(line)
		}
		fmt.Println("the end")
		os.Exit(1)
	case "orphan":
		// A child of the program outlives it, and holds its output open.
		c := exec.Command(os.Args[0])
		c.Env = []string{role + "=never"}
		c.Stdout, c.Stderr = os.Stdout, os.Stderr
		if err := c.Start(); err != nil {
			os.Exit(9)
		}
		fmt.Println("child", c.Process.Pid)
	case "pid 1":
		// The check as process 1 of a container.
		spec := Spec{Args: os.Args[:1], Env: []string{role + "=leaves a child"}, Output: "reaped", TimeoutSeconds: 20}
		if err := Run(context.Background(), spec, os.Stdout, os.Stderr); err != nil || os.Getpid() != 1 {
			fmt.Println("as process", os.Getpid(), err)
			os.Exit(1)
		}
	case "leaves a child":
		// The child of a child that is gone belongs to process 1.
		c := exec.Command(os.Args[0])
		c.Env = []string{role + "=starts a child"}
		answer, err := c.Output()
		fields := strings.Fields(string(answer))
		pid, _ := strconv.Atoi(fields[len(fields)-1])
		if err != nil || pid == 0 {
			fmt.Println(err, fields)
			os.Exit(9)
		}
		for range 200 {
			if syscall.Kill(pid, 0) == syscall.ESRCH {
				fmt.Println("reaped")
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
		fmt.Println("process", pid, "is a zombie")
	case "starts a child":
		c := exec.Command(os.Args[0])
		c.Env = []string{role + "=nap"}
		if err := c.Start(); err != nil {
			os.Exit(9)
		}
		fmt.Println(c.Process.Pid)
	case "nap":
		time.Sleep(200 * time.Millisecond)
	case "environment":
		fmt.Println(os.Environ())
		input, err := io.ReadAll(os.Stdin)
		fmt.Println("input", len(input), err)
	case "never":
		time.Sleep(time.Hour) // without cgo, `select {}` would be a deadlock to Go
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
		serve(listen("127.0.0.1"), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hi") }))
	case "stops":
		go serve(listen("127.0.0.1"), http.NotFoundHandler())
		c := make(chan os.Signal, 1)
		signal.Notify(c, syscall.SIGTERM)
		<-c
		_ = os.WriteFile(os.Getenv("NOTE"), []byte("stopped"), 0o644)
	case "http", "http6":
		host := "127.0.0.1"
		if what == "http6" {
			host = "::1"
		}
		mux := http.NewServeMux()
		mux.HandleFunc("/ok", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "%s asks %s of %s", r.UserAgent(), r.Method, r.Host)
		})
		mux.HandleFunc("/chunked", func(w http.ResponseWriter, _ *http.Request) {
			for _, part := range []string{"one ", "two ", "three"} {
				fmt.Fprint(w, part)
				w.(http.Flusher).Flush()
			}
		})
		mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/ok", http.StatusFound) })
		mux.HandleFunc("/broken", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "broken", 500) })
		mux.HandleFunc("/hints", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusEarlyHints)
			fmt.Fprint(w, "late")
		})
		var asked atomic.Bool
		mux.HandleFunc("/stuck", func(w http.ResponseWriter, r *http.Request) {
			if asked.Swap(true) {
				<-r.Context().Done()
			}
			w.WriteHeader(http.StatusServiceUnavailable)
		})
		began := time.Now()
		mux.HandleFunc("/slow", func(w http.ResponseWriter, _ *http.Request) {
			if time.Since(began) < 300*time.Millisecond {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		})
		serve(listen(host), mux)
	case "late":
		time.Sleep(200 * time.Millisecond)
		l := listen("127.0.0.1")
		time.Sleep(100 * time.Millisecond)
		fmt.Println("ready now")
		serve(l, http.NotFoundHandler())
	case "opens and dies":
		serveFor(listen("127.0.0.1"), 200*time.Millisecond)
		os.Exit(3)
	case "not http":
		raw("SSH-2.0-OpenSSH\r\nEND")
	case "silent":
		raw("")
	case "length":
		raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
	case "cut":
		raw("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\nhello END")
	}
}

func mustGetwd() string {
	dir, err := os.Getwd()
	if err != nil {
		return err.Error()
	}
	return dir
}

func serve(l net.Listener, h http.Handler) { _ = http.Serve(l, h) }

func serveFor(l net.Listener, d time.Duration) {
	go serve(l, http.NotFoundHandler())
	time.Sleep(d)
}

// freePort returns a port that nothing listens on.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func run(t *testing.T, what string, spec Spec) (stdout, stderr string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if spec.Args == nil {
		spec.Args = []string{self}
	}
	spec.Env = append(spec.Env, role+"="+what, fmt.Sprintf("PORT=%d", spec.Port), "GORACE=atexit_sleep_ms=0")
	var out, errs bytes.Buffer
	err = Run(context.Background(), spec, &out, &errs)
	return out.String(), errs.String(), err
}

func TestSuccess(t *testing.T) {
	port := freePort(t)
	for name, c := range map[string]struct {
		what string
		spec Spec
		said string
	}{
		"port":             {"http", Spec{Port: port}, fmt.Sprintf("port %d was open", port)},
		"path":             {"http", Spec{Port: port, Path: "/ok"}, fmt.Sprintf("GET /ok on port %d answered 200", port)},
		"body":             {"http", Spec{Port: port, Path: "/ok", Output: fmt.Sprintf("asks GET of localhost:%d", port)}, "answered 200"},
		"query":            {"http", Spec{Port: port, Path: "/ok?a=%20b"}, "answered 200"},
		"chunked":          {"http", Spec{Port: port, Path: "/chunked", Output: "one two three"}, "answered 200"},
		"redirect":         {"http", Spec{Port: port, Path: "/moved", Status: 302}, "answered 302"},
		"status":           {"http", Spec{Port: port, Path: "/broken", Status: 500, Output: "broken"}, "answered 500"},
		"interim":          {"http", Spec{Port: port, Path: "/hints", Output: "late"}, "answered 200"},
		"unavailable":      {"http", Spec{Port: port, Path: "/slow"}, "answered 200"},
		"late":             {"late", Spec{Port: port, Output: "ready now"}, "was open"},
		"length":           {"length", Spec{Port: port, Path: "/", Output: "hello"}, "answered 200"},
		"cut":              {"cut", Spec{Port: port, Path: "/", Output: "hello"}, "answered 200"},
		"exit":             {"exit", Spec{Output: "hello"}, "ended with exit code 0"},
		"exit code":        {"exit", Spec{Exit: 3, Env: []string{"CODE=3"}}, "ended with exit code 3"},
		"working dir":      {"exit", Spec{Output: "from /"}, "exit code 0"},
		"orphan":           {"orphan", Spec{Output: "child"}, "exit code 0"},
		"no environment":   {"environment", Spec{Output: "[" + role + "=environment PORT=0 GORACE=atexit_sleep_ms=0]\ninput 0 <nil>"}, "exit code 0"},
		"across the tail":  {"flood", Spec{Exit: 1, Output: "the beginning"}, "exit code 1"},
		"output and flood": {"flood", Spec{Exit: 1, Output: "the end"}, "exit code 1"},
	} {
		t.Run(name, func(t *testing.T) {
			c.spec.TimeoutSeconds = 20
			stdout, stderr, err := run(t, c.what, c.spec)
			if err != nil || !strings.Contains(stdout, c.said) || stderr != "" {
				t.Errorf("got %q, %q, %v; want %q", stdout, stderr, err, c.said)
			}
		})
	}
}

func TestIPv6(t *testing.T) {
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		t.Skip("this machine has no ::1")
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	if _, stderr, err := run(t, "http6", Spec{Port: port, Path: "/ok", TimeoutSeconds: 20}); err != nil {
		t.Errorf("%v, %s", err, stderr)
	}
}

func TestFailure(t *testing.T) {
	port := freePort(t)
	for name, c := range map[string]struct {
		what string
		spec Spec
		want []string // in the error
		said string   // of the program
	}{
		"never listens":     {"never", Spec{Port: port, TimeoutSeconds: 2}, []string{fmt.Sprintf("wanted port %d to open", port), "no success within 2s", "nothing listens on port"}, "started as never\n"},
		"dies early":        {"exit", Spec{Port: port, Path: "/ok", Env: []string{"CODE=3"}}, []string{"wanted status 200 from GET /ok", "ended with exit code 3"}, "hello"},
		"ends early":        {"exit", Spec{Port: port}, []string{"ended with exit code 0"}, "hello"},
		"killed early":      {"signal", Spec{Port: port}, []string{"signal 9 (killed)"}, "started as signal"},
		"opens and dies":    {"opens and dies", Spec{Port: port, Path: "/"}, []string{"ended with exit code 3"}, "started"},
		"wrong status":      {"http", Spec{Port: port, Path: "/nothing", TimeoutSeconds: 3}, []string{"wanted status 200", "no success within 3s", "last seen: status 404"}, "started as http"},
		"answers once":      {"http", Spec{Port: port, Path: "/stuck", TimeoutSeconds: 3}, []string{"no success within 3s", "last seen: status 503"}, "started"},
		"redirect":          {"http", Spec{Port: port, Path: "/moved", TimeoutSeconds: 3}, []string{"last seen: status 302"}, "started"},
		"wrong body":        {"http", Spec{Port: port, Path: "/chunked", Output: "four", TimeoutSeconds: 3}, []string{`"four" in the output`, `which begins "one two three"`}, "started"},
		"not printed":       {"http", Spec{Port: port, Output: "ready", TimeoutSeconds: 3}, []string{`"ready" was not printed`}, "started"},
		"not http":          {"not http", Spec{Port: port, Path: "/", TimeoutSeconds: 3}, []string{"no HTTP answer", "SSH-2.0"}, "started"},
		"silent":            {"silent", Spec{Port: port, Path: "/", TimeoutSeconds: 3}, []string{"no success within 3s"}, "started"},
		"wrong exit code":   {"exit", Spec{Env: []string{"CODE=3"}}, []string{"wanted exit code 0", "ended with exit code 3"}, "hello"},
		"signal":            {"signal", Spec{Exit: 137}, []string{"wanted exit code 137", "signal 9 (killed)"}, "started"},
		"wrong output":      {"exit", Spec{Output: "goodbye"}, []string{`wanted "goodbye"`}, "hello"},
		"does not end":      {"never", Spec{TimeoutSeconds: 2}, []string{"wanted the program to end with exit code 0", "no success within 2s"}, "started as never"},
		"flood":             {"flood", Spec{}, []string{"exit code 1"}, "the end\n"},
		"no program":        {"", Spec{Args: []string{"/nonexistent/app"}}, []string{"starting /nonexistent/app", "no such file"}, ""},
		"not in PATH":       {"", Spec{Args: []string{"app"}, Env: []string{"PATH=/nonexistent:/x"}}, []string{"not in the PATH /nonexistent:/x"}, ""},
		"not executable":    {"", Spec{Args: []string{"/etc/passwd"}}, []string{"permission denied"}, ""},
		"nothing to start":  {"", Spec{Args: []string{}}, []string{"no program"}, ""},
		"port":              {"", Spec{Port: 70000}, []string{"70000 is not a port"}, ""},
		"path without port": {"", Spec{Path: "/"}, []string{"needs a port"}, ""},
		"request smuggling": {"", Spec{Port: 80, Path: "/ HTTP/1.1\r\nX: y"}, []string{"must begin with /"}, ""},
		"status":            {"", Spec{Port: 80, Path: "/", Status: 1000}, []string{"not a final HTTP status"}, ""},
		"status alone":      {"", Spec{Port: 80, Status: 200}, []string{"needs a path"}, ""},
		"timeout":           {"", Spec{TimeoutSeconds: -1}, []string{"-1 seconds"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			switch c.spec.TimeoutSeconds {
			case 0:
				c.spec.TimeoutSeconds = 20 // not reached
			case 3:
				if name != "wrong status" && testing.Short() {
					t.Skip("takes 3 seconds, its timeout")
				}
			}
			stdout, stderr, err := run(t, c.what, c.spec)
			if err == nil || stdout != "" {
				t.Fatalf("got %q, %q, %v; want an error", stdout, stderr, err)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got the error %v, want %q in it", err, want)
				}
			}
			if !strings.Contains(stderr, c.said) || len(stderr) > maxTail+200 {
				t.Errorf("the program's output was shown as %.300q, want %q in it", stderr, c.said)
			}
		})
	}
}

// The end of the output is what is shown of much.
func TestTail(t *testing.T) {
	_, stderr, _ := run(t, "flood", Spec{})
	if !strings.HasPrefix(stderr, "the program printed (the first ") || strings.Contains(stderr, "the beginning") {
		t.Errorf("shown %.200q", stderr)
	}
}

// A text is found wherever the writes cut it.
func TestSearch(t *testing.T) {
	const text = "xxreadyready to servexx"
	for cut := range text {
		for second := cut; second < len(text); second++ {
			for wanted, want := range map[string]bool{"ready to serve": true, "x": true, "xxx": false, text: true, "": true} {
				tail := newTail(wanted)
				for _, part := range []string{text[:cut], text[cut:second], text[second:]} {
					if _, err := io.WriteString(tail, part); err != nil {
						t.Fatal(err)
					}
				}
				if tail.has() != want {
					t.Fatalf("%q in %q|%q|%q: got %v", wanted, text[:cut], text[cut:second], text[second:], tail.has())
				}
			}
		}
	}
}

func TestStops(t *testing.T) {
	note := filepath.Join(t.TempDir(), "note")
	if _, stderr, err := run(t, "stops", Spec{Port: freePort(t), Env: []string{"NOTE=" + note}, TimeoutSeconds: 20}); err != nil {
		t.Fatal(err, stderr)
	}
	if got, err := os.ReadFile(note); string(got) != "stopped" {
		t.Errorf("the program was not asked to stop: %q, %v", got, err)
	}
}

func TestIgnoresSIGTERM(t *testing.T) {
	if testing.Short() {
		t.Skip("takes 5 seconds, the time that a program has to stop")
	}
	port := freePort(t)
	_, stderr, err := run(t, "stubborn", Spec{Port: port, Path: "/", TimeoutSeconds: 20})
	if err != nil || !strings.Contains(stderr, "did not end within 5s of SIGTERM") {
		t.Errorf("got %q, %v", stderr, err)
	}
	if c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		c.Close()
		t.Error("the program is still there")
	}
}

// A child that the program leaves behind ends with the check, and does not make
// it wait.
func TestOrphanEnds(t *testing.T) {
	began := time.Now()
	_, stderr, err := run(t, "orphan", Spec{Output: "not this"})
	if err == nil {
		t.Fatal("no error")
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
	_, after, _ := strings.Cut(stderr, "child ")
	pid, err := strconv.Atoi(strings.Fields(after)[0])
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		if state, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid)); err != nil || strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Error("the child is still there")
}

// As process 1, the check waits for the children that the program left behind.
func TestReaps(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = []string{role + "=pid 1"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if output, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, output)
	}
}

func TestCancel(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
	defer cancel()
	began := time.Now()
	spec := Spec{Args: []string{self}, Env: []string{role + "=never"}, Port: freePort(t), TimeoutSeconds: 60}
	if err := Run(ctx, spec, io.Discard, io.Discard); err == nil || time.Since(began) > 20*time.Second {
		t.Errorf("got %v after %v", err, time.Since(began))
	}
}
