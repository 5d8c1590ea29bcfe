package e2e_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// brokenRegistry is a registry that answers some requests itself.
func brokenRegistry(t *testing.T, breaks func(w http.ResponseWriter, r *http.Request) bool) string {
	t.Helper()
	good := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !breaks(w, r) {
			good.ServeHTTP(w, r)
		}
	}))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// A registry that cannot be reached, that denies, or that fails half way: the
// error names it, and nothing is pushed.
func TestBadRegistries(t *testing.T) {
	dir := e2etest.Sample(t, "go/hello")
	closed := fmt.Sprintf("127.0.0.1:%d", e2etest.FreePort(t))
	unauthorized := brokenRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
		w.Header().Set("WWW-Authenticate", `Basic realm="registry"`)
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}`)
		return true
	})
	denied := brokenRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			return false
		}
		w.WriteHeader(http.StatusForbidden)
		fmt.Fprint(w, `{"errors":[{"code":"DENIED","message":"requested access to the resource is denied"}]}`)
		return true
	})
	var uploads atomic.Int32
	full := brokenRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut && r.Method != http.MethodPatch || uploads.Add(1) < 2 {
			return false
		}
		w.WriteHeader(http.StatusInsufficientStorage)
		return true
	})
	cut := brokenRegistry(t, func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method != http.MethodPut && r.Method != http.MethodPatch {
			return false
		}
		// A client that is still writing would say that instead.
		_, _ = io.Copy(io.Discard, r.Body)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			_ = conn.(*net.TCPConn).SetLinger(0)
			conn.Close()
		}
		return true
	})
	for _, test := range []struct {
		name, host string
		want       []string
	}{
		{"nobody there", closed, []string{"connection refused"}},
		{"not logged in", unauthorized, []string{"401 Unauthorized", "`docker login " + unauthorized + "`"}},
		{"denied", denied, []string{": denied", "`docker login " + denied + "`"}},
		{"full", full, []string{"507 Insufficient Storage"}},
		{"cut off", cut, []string{"connection reset by peer"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := e2etest.Said(e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", test.host+"/app", "--push", "--progress=plain", dir)))
			e2etest.Contains(t, out, append(test.want, test.host+"/app")...)
			for _, n := range e2etest.Noise {
				if strings.Contains(out, n) {
					t.Errorf("%q in:\n%s", n, out)
				}
			}
		})
	}
	t.Run("no base there", func(t *testing.T) {
		out := e2etest.Said(e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "--build-context", "static:13=docker-image://"+closed+"/base", "--progress=plain", dir)))
		e2etest.Contains(t, out, "base static:13 from its build context", closed, "connection refused")
	})
	good := harness.Registry(t)
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", good+"/app", "--push", "--progress=plain", dir))
	harness.Run(t, e2etest.Birdhouse(t, "inspect", good+"/app"))
}

// brokenMirror is a mirror of Debian's archive whose answers are changed.
func brokenMirror(t *testing.T, answer func(w http.ResponseWriter, good []byte)) string {
	t.Helper()
	debian, ok := catalog.MachineMirror()
	if !ok {
		t.Fatal("this machine has no mirror of Debian's archive: set BIRDHOUSE_DEBIAN_MIRROR")
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		base, rest := debian.Debian, strings.TrimPrefix(r.URL.Path, "/debian")
		if s, ok := strings.CutPrefix(r.URL.Path, "/debian-security"); ok {
			base, rest = debian.Security, s
		}
		res, err := http.Get(base + rest)
		if err != nil {
			t.Error(err)
			return
		}
		defer res.Body.Close()
		good, err := io.ReadAll(res.Body)
		if err != nil {
			t.Error(err)
		}
		answer(w, good)
	}))
	t.Cleanup(server.Close)
	return "http://" + server.Listener.Addr().String() + "/debian"
}

// A mirror that cannot be reached, has no longer what is locked, or gives something
// else: the error names the package and what to do, nothing of it is unpacked, and
// when the mirror is well again the build works.
func TestBadMirrors(t *testing.T) {
	root := t.TempDir()
	dir := e2etest.Sample(t, "go/hello")
	fetch := `(?m)^birdhouse.yaml:2:11: \[base \S+\] fetch \S+ \S+ failed: `
	ways := []string{"when it was locked", "`birdhouse catalog update FILE`", "fetch from the snapshot archive, which keeps them, with --build-arg BIRDHOUSE_DEBIAN_MIRROR="}
	lock, err := catalog.ReadLock(harness.Lock(t))
	if err != nil {
		t.Fatal(err)
	}
	ways = append(ways, "the catalog's packages are those of "+lock.Date("13").UTC().Format(time.DateOnly))
	other := fetch + `the checksum does not match: http://127\.0\.0\.1:\d+/debian\S*\.deb answered with something else, perhaps an error page, and nothing of it was used$`

	for _, test := range []struct {
		name, mirror, want string
		parts              []string
	}{
		{"nobody there", fmt.Sprintf("http://127.0.0.1:%d/debian", e2etest.FreePort(t)), fetch + `Get "http://127\.0\.0\.1:\d+/debian\S*\.deb": dial tcp .*: connection refused$`, nil},
		{"dropped", brokenMirror(t, func(w http.ResponseWriter, _ []byte) { http.Error(w, "no such package", http.StatusNotFound) }),
			other, []string{"    | got  sha256:", "    | want sha256:"}},
		{"altered", brokenMirror(t, func(w http.ResponseWriter, good []byte) {
			good[len(good)/2] ^= 1
			_, _ = w.Write(good)
		}), other, []string{"    | got  sha256:", "    | want sha256:"}},
		{"cut off", brokenMirror(t, func(w http.ResponseWriter, good []byte) {
			w.Header().Set("Content-Length", strconv.Itoa(len(good)))
			_, _ = w.Write(good[:len(good)/2])
		}), fetch + `http://127\.0\.0\.1:\d+/debian\S*\.deb: unexpected EOF$`, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := e2etest.Fails(t, 1, e2etest.BirdhouseIn(t, root, "build", "-t", "app", "--progress=plain", "--build-arg", "BIRDHOUSE_DEBIAN_MIRROR="+test.mirror, dir))
			if !regexp.MustCompile(test.want).MatchString(e2etest.Said(out)) {
				t.Errorf("%s is missing in:\n%s", test.want, e2etest.Said(out))
			}
			e2etest.Contains(t, e2etest.Said(out), append(test.parts, ways...)...)
			if strings.Contains(out, "] unpack ") {
				t.Errorf("something was unpacked:\n%s", out)
			}
			if strings.Count(e2etest.Said(out), "language: go") != 1 {
				t.Errorf("the descriptor is not shown once:\n%s", e2etest.Said(out))
			}
			for _, n := range e2etest.Noise {
				if strings.Contains(e2etest.Said(out), n) {
					t.Errorf("%q in:\n%s", n, out)
				}
			}
		})
	}
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run("stalling, "+s.String(), func(t *testing.T) {
			mirror, asked := stalling(t, func(*http.Request) bool { return true })
			j := begin(t, e2etest.BirdhouseIn(t, root, "build", "-t", "app", "--progress=plain", "--build-arg", "BIRDHOUSE_DEBIAN_MIRROR=http://"+mirror+"/debian", dir))
			j.until(t, "it fetches", asked)
			j.signal(t, s)
			if s == syscall.SIGINT {
				j.ends(t, 130)
			} else {
				<-j.done
			}
		})
	}
	e2etest.Fails(t, 1, e2etest.BirdhouseIn(t, root, "inspect", "app"))
	harness.Run(t, e2etest.BirdhouseIn(t, root, "build", "-t", "app", "--progress=plain", dir))
	harness.Run(t, e2etest.BirdhouseIn(t, root, "inspect", "app"))
	nothingLeft(t, root, "")
}
