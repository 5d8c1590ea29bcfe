package golang_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// goProxy is a module proxy on a loopback address that remembers what it was
// asked for.
type goProxy struct {
	dir string

	mu    sync.Mutex
	asked []string
}

func newGoProxy(t *testing.T) *goProxy {
	t.Helper()
	return &goProxy{dir: filepath.Join(e2etest.Sample(t, "go/proxy"))}
}

func (p *goProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	p.asked = append(p.asked, r.URL.Path)
	p.mu.Unlock()
	http.FileServer(http.Dir(p.dir)).ServeHTTP(w, r)
}

// forget returns what was asked for since it was called last.
func (p *goProxy) forget() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	asked := p.asked
	p.asked = nil
	return asked
}

// add publishes a module of one file and returns its lines for go.sum.
func (p *goProxy) add(t *testing.T, path, version, source string) string {
	t.Helper()
	dir := t.TempDir()
	mod := "module " + path + "\n\ngo 1.25\n"
	e2etest.Write(t, filepath.Join(dir, "go.mod"), mod)
	e2etest.Write(t, filepath.Join(dir, "lib.go"), source)
	at := filepath.Join(p.dir, path, "@v")
	e2etest.Write(t, filepath.Join(at, version+".mod"), mod)
	e2etest.Write(t, filepath.Join(at, version+".info"), `{"Version":"`+version+`"}`)
	e2etest.Write(t, filepath.Join(at, "list"), version+"\n")
	f, err := os.Create(filepath.Join(at, version+".zip"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := modzip.CreateFromDir(f, module.Version{Path: path, Version: version}, dir); err != nil {
		t.Fatal(err)
	}
	return goSum(t, dir, path, version)
}

// unheard is a version that no build has downloaded yet, also not one of this
// test, when it runs again.
func unheard() string { return fmt.Sprintf("v1.0.%d", time.Now().UnixNano()) }

// goSum are the lines of go.sum for a module in a folder.
func goSum(t *testing.T, dir, path, version string) string {
	t.Helper()
	all, err := dirhash.HashDir(dir, path+"@"+version, dirhash.Hash1)
	if err != nil {
		t.Fatal(err)
	}
	mod, err := dirhash.Hash1([]string{"go.mod"}, func(name string) (io.ReadCloser, error) { return os.Open(filepath.Join(dir, name)) })
	if err != nil {
		t.Fatal(err)
	}
	return path + " " + version + " " + all + "\n" + path + " " + version + "/go.mod " + mod + "\n"
}

// An edit of the source downloads nothing, and does not even ask; one module
// more downloads that one. A commit alone changes nothing.
func TestGoDownloadsOnce(t *testing.T) {
	proxy := newGoProxy(t)
	server := httptest.NewServer(proxy)
	defer server.Close()
	version := unheard()
	one := proxy.add(t, "example.test/once/one", version, "package one\n\nconst Text = \"one\"\n")
	two := proxy.add(t, "example.test/once/two", version, "package two\n\nconst Text = \"two\"\n")

	dir := t.TempDir()
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\n")
	e2etest.Write(t, filepath.Join(dir, "go.mod"), "module example.test/once\n\ngo 1.25\n\nrequire example.test/once/one "+version+"\n")
	e2etest.Write(t, filepath.Join(dir, "go.sum"), one)
	e2etest.Write(t, filepath.Join(dir, "main.go"), "package main\n\nimport \"example.test/once/one\"\n\nfunc main() { println(one.Text) }\n")
	const deps, compile = "[deps] go mod download", "[build] go build ."
	name := e2etest.ImageName(t)
	build := func(goproxy string) string {
		t.Helper()
		cmd := e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", dir)
		return harness.Run(t, with(cmd, "GOPROXY="+goproxy, "GONOSUMDB=example.test"))
	}
	says := func(want string) {
		t.Helper()
		if out := harness.Run(t, e2etest.Birdhouse(t, "run", name)); !strings.HasSuffix(strings.TrimSpace(out), want) {
			t.Errorf("the program prints %q, want %q", out, want)
		}
	}

	out := build(server.URL)
	says("one")
	if e2etest.IsCached(out, deps) || len(proxy.forget()) == 0 {
		t.Fatalf("the first build downloads nothing:\n%s", out)
	}

	t.Run("source edit", func(t *testing.T) {
		e2etest.Edit(t, filepath.Join(dir, "main.go"), "one.Text)", `one.Text + "!")`)
		out := build("off")
		says("one!")
		if !e2etest.IsCached(out, deps) || e2etest.IsCached(out, compile) {
			t.Errorf("an edit of the source is compiled, and nothing is downloaded; but:\n%s", out)
		}
		if asked := proxy.forget(); asked != nil {
			t.Errorf("the proxy was asked for %v", asked)
		}
	})

	t.Run("another file", func(t *testing.T) {
		e2etest.Write(t, filepath.Join(dir, "docs/notes.txt"), "a file of no package\n")
		if out := build("off"); !e2etest.IsCached(out, deps) {
			t.Errorf("a file of no package makes the download happen again:\n%s", out)
		}
	})

	t.Run("one module more", func(t *testing.T) {
		e2etest.Edit(t, filepath.Join(dir, "go.mod"), "require example.test/once/one "+version, "require (\n\texample.test/once/one "+version+"\n\texample.test/once/two "+version+"\n)")
		e2etest.Write(t, filepath.Join(dir, "go.sum"), one+two)
		e2etest.Edit(t, filepath.Join(dir, "main.go"), "import \"example.test/once/one\"", "import (\n\t\"example.test/once/one\"\n\t\"example.test/once/two\"\n)")
		e2etest.Edit(t, filepath.Join(dir, "main.go"), `one.Text + "!"`, "one.Text + two.Text")
		build(server.URL)
		says("onetwo")
		zips := 0
		for _, path := range proxy.forget() {
			if strings.HasPrefix(path, "/example.test/once/one/") {
				t.Errorf("the module that was there was asked for: %s", path)
			}
			if strings.HasSuffix(path, ".zip") {
				zips++
			}
		}
		if zips != 1 {
			t.Errorf("%d modules were downloaded, want one", zips)
		}
	})

	t.Run("a checksum that is wrong", func(t *testing.T) {
		three := proxy.add(t, "example.test/once/three", version, "package three\n")
		wrong := strings.Replace(three, "h1:", "h1:AAAA", 1)
		e2etest.Write(t, filepath.Join(dir, "go.sum"), one+two+wrong[:strings.Index(wrong, "h1:")]+"h1:"+strings.Repeat("A", 43)+"=\n"+three[strings.Index(three, "\n")+1:])
		e2etest.Edit(t, filepath.Join(dir, "go.mod"), "once/two "+version+"\n", "once/two "+version+"\n\texample.test/once/three "+version+"\n")
		cmd := e2etest.Birdhouse(t, "build", "-t", "nothing", "--progress=plain", dir)
		out := harness.RunFails(t, with(cmd, "GOPROXY="+server.URL, "GONOSUMDB=example.test"))
		if !strings.Contains(out, "checksum mismatch") || !strings.Contains(out, "example.test/once/three@"+version) {
			t.Errorf("the module is another than go.sum says, which is not explained:\n%s", out)
		}
		notStored(t, "nothing")
	})
}

const (
	proxyUser     = "bird"
	proxyPassword = "tits-and-w4rblers"
)

// A module that only a proxy with a password has: with the secret it is built,
// without it is not, and the password is nowhere.
func TestGoPrivateProxy(t *testing.T) {
	// The proxy below has no Go: the build image is there already.
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", e2etest.ImageName(t)+":toolchain", "--target", "build", e2etest.Sample(t, "go/hello")))
	proxy := newGoProxy(t)
	server := httptest.NewTLSServer(e2etest.Asks(proxyUser, proxyPassword, proxy))
	defer server.Close()
	host := strings.TrimPrefix(server.URL, "https://")
	env := []string{
		"GOPROXY=" + server.URL, "GONOSUMDB=example.test", "HOME=" + t.TempDir(), "NETRC=" + filepath.Join(t.TempDir(), "none"),
		"SSL_CERT_FILE=" + trusting(t, certificatePEM(server.Certificate().Raw)),
	}
	netrc := func(password string) string {
		path := filepath.Join(t.TempDir(), "netrc")
		e2etest.Write(t, path, "machine "+host+" login "+proxyUser+" password "+password+"\n")
		return path
	}
	dir := e2etest.Sample(t, "go/private")
	version := unheard()
	sum := proxy.add(t, "example.test/private", version, "package private\n\nconst Text = \"from a private module\"\n")
	e2etest.Write(t, filepath.Join(dir, "go.sum"), sum)
	e2etest.Edit(t, filepath.Join(dir, "go.mod"), "v1.0.0", version)
	var outputs strings.Builder
	name := e2etest.ImageName(t) + ":" + version
	build := func(fails bool, env []string, flags ...string) string {
		t.Helper()
		cmd := with(e2etest.Birdhouse(t, append([]string{"build", "-t", name, "--progress=plain", dir}, flags...)...), env...)
		run := harness.Run
		if fails {
			run = harness.RunFails
		}
		out := run(t, cmd)
		outputs.WriteString(out)
		return out
	}

	if out := build(true, env); !strings.Contains(out, "netrc") {
		t.Errorf("nothing says that the secret is missing:\n%s", out)
	}
	notStored(t, name)
	out := build(true, env, "--secret", "id=netrc,src="+netrc("wrong-"+proxyPassword))
	for _, want := range []string{"401 Unauthorized", "example.test/private", "go mod download failed with exit code 1", "--secret id=netrc"} {
		if !strings.Contains(out, want) {
			t.Errorf("a refused password is not explained by %q:\n%s", want, out)
		}
	}
	notStored(t, name)

	build(false, env, "--secret", "id=netrc,src="+netrc(proxyPassword))
	if got := e2etest.Answer(t, name, nil); got != "from a private module" {
		t.Errorf("the program prints %q", got)
	}
	goSample{name: "app"}.check(t, e2etest.Stored(t, name, ""), "amd64")
	if len(proxy.forget()) == 0 {
		t.Error("the proxy was not asked for anything")
	}

	// What was downloaded with the secret is for this project alone: another one's
	// build does not find it.
	own := dir
	dir = e2etest.Sample(t, "go/private")
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\n")
	e2etest.Write(t, filepath.Join(dir, "go.sum"), sum)
	e2etest.Edit(t, filepath.Join(dir, "go.mod"), "v1.0.0", version)
	e2etest.Edit(t, filepath.Join(dir, "go.mod"), "module example.test/app", "module example.test/stranger")
	build(true, env)
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\nsecrets: [{id: netrc, optional: true}]\n")
	if out := build(true, env); !strings.Contains(out, "401 Unauthorized") {
		t.Errorf("the build fails for another reason than the missing secret:\n%s", out)
	}
	dir = own

	// Once downloaded, the secret is of no interest: another one is no other build.
	if out := build(false, env, "--secret", "id=netrc,src="+netrc("another-"+proxyPassword)); !e2etest.IsCached(out, "[deps] go mod download") {
		t.Errorf("the secret is part of a cache key:\n%s", out)
	}

	// The machine's own .netrc needs no flag.
	sum = proxy.add(t, "example.test/private/two", version, "package two\n\nconst Text = \"second\"\n")
	e2etest.Write(t, filepath.Join(dir, "go.sum"), sum)
	e2etest.Edit(t, filepath.Join(dir, "go.mod"), "example.test/private "+version, "example.test/private/two "+version)
	e2etest.Edit(t, filepath.Join(dir, "main.go"), `"example.test/private"`, `private "example.test/private/two"`)
	build(false, append(env, "NETRC="+netrc(proxyPassword)))
	if got := e2etest.Answer(t, name, nil); got != "second" {
		t.Errorf("the program prints %q", got)
	}

	// So does a password in GOPROXY itself, right or wrong.
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\n")
	sum = proxy.add(t, "example.test/private/three", version, "package three\n\nconst Text = \"third\"\n")
	e2etest.Write(t, filepath.Join(dir, "go.sum"), sum)
	e2etest.Edit(t, filepath.Join(dir, "go.mod"), "private/two", "private/three")
	e2etest.Edit(t, filepath.Join(dir, "main.go"), "private/two", "private/three")
	build(true, append(env, "GOPROXY=https://"+proxyUser+":wrong-"+proxyPassword+"@"+host))
	build(false, append(env, "GOPROXY=https://"+proxyUser+":"+proxyPassword+"@"+host))
	if got := e2etest.Answer(t, name, nil); got != "third" {
		t.Errorf("the program prints %q", got)
	}

	const known = "from a private module"
	secrets := []string{proxyPassword, base64.StdEncoding.EncodeToString([]byte(proxyUser + ":" + proxyPassword))}
	found := containing(t, harness.SharedRoot(t), append(secrets, known)...)
	if found[known] == nil {
		t.Error("the module's source is not found in the state either, so nothing can be said of secrets")
	}
	img := e2etest.Stored(t, name, "")
	config, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if found[secret] != nil {
			t.Errorf("the secret %q is in %v", secret, found[secret])
		}
		if strings.Contains(outputs.String(), secret) {
			t.Errorf("the output has the secret %q:\n%s", secret, outputs.String())
		}
		for path, f := range e2etest.Files(t, img) {
			if bytes.Contains(f.Data, []byte(secret)) {
				t.Errorf("the image's %s has the secret %q", path, secret)
			}
		}
		if bytes.Contains(config, []byte(secret)) {
			t.Errorf("the image's configuration has the secret %q: %s", secret, config)
		}
	}
}

// containing are the files below a folder that have a text in them, by text.
func containing(t *testing.T, dir string, texts ...string) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	longest := 0
	for _, text := range texts {
		longest = max(longest, len(text))
	}
	buf := make([]byte, 1<<20)
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		// What is carried over finds a text that two reads divide.
		carried := 0
		for {
			n, err := f.Read(buf[carried:])
			have := buf[:carried+n]
			for _, text := range texts {
				if bytes.Contains(have, []byte(text)) && !slices.Contains(found[text], path) {
					found[text] = append(found[text], path)
				}
			}
			carried = copy(buf, have[max(0, len(have)-longest+1):])
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// trusting is a bundle of the machine's certificates and some more.
func trusting(t *testing.T, more []byte) string {
	t.Helper()
	bundle, err := os.ReadFile(harness.CABundle(t))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "bundle.pem")
	e2etest.Write(t, path, string(bundle)+"\n"+string(more))
	return path
}
