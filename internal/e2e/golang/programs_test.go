package golang_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/v1/random"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// Programs of other people, as they are published: `birdhouse init` writes the
// descriptor, or says which line it lacks.

func TestGoProgramYq(t *testing.T) {
	dir := published(t, "github.com/mikefarah/yq/v4", "v4.45.1")
	initialised(t, dir)
	name, _ := e2etest.Build(t, dir)
	// go.mod's toolchain line says which Go.
	goSample{name: "yq", version: "go1.22.5"}.check(t, e2etest.Stored(t, name, ""), "amd64")
	if got := filter(t, name, "birds: [{name: wren}, {name: robin}]\n", ".birds[1].name"); got != "robin\n" {
		t.Errorf("yq prints %q", got)
	}
}

func TestGoProgramShfmt(t *testing.T) {
	dir := published(t, "mvdan.cc/sh/v3", "v3.10.0")
	chosen(t, dir, "package: ./cmd/shfmt")
	name, _ := e2etest.Build(t, dir)
	goSample{name: "shfmt"}.check(t, e2etest.Stored(t, name, ""), "amd64")
	if got := filter(t, name, "if true;then echo   x;fi\n"); got != "if true; then echo x; fi\n" {
		t.Errorf("shfmt prints %q", got)
	}
}

func TestGoProgramHTTPEcho(t *testing.T) {
	dir := published(t, "github.com/hashicorp/http-echo", "v1.0.0")
	initialised(t, dir)
	descriptor := filepath.Join(dir, "birdhouse.yaml")
	e2etest.Edit(t, descriptor, "language: go", `language: go
version: 1 # go.mod asks for a Go that gets no fixes any more
entrypoint: [/app/http-echo, -text=tweet]
expose: [5678]
smoke: {path: /, output: tweet}`)
	name, out := e2etest.Build(t, dir)
	if !strings.Contains(out, "GET / on port 5678 answered 200") {
		t.Errorf("the smoke check is not shown:\n%s", out)
	}
	goSample{name: "http-echo"}.check(t, e2etest.Stored(t, name, ""), "amd64")
	port := e2etest.FreePort(t)
	s := e2etest.Serve(t, port, e2etest.Birdhouse(t, "run", name, fmt.Sprintf("-listen=127.0.0.1:%d", port)))
	if got := s.Get(t, "/"); got != "tweet" {
		t.Errorf("http-echo answers %q", got)
	}
}

// Two programs of one module in one image: a registry, and a client for it.
func TestGoProgramsCraneAndRegistry(t *testing.T) {
	dir := published(t, "github.com/google/go-containerregistry", "v0.22.1")
	chosen(t, dir, "package: ./cmd/registry")
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "package: ./cmd/registry", "package: [./cmd/crane, ./cmd/registry]\nentrypoint: [/app/registry]\nversion: 1")
	name, _ := e2etest.Build(t, dir)
	goSample{programs: []string{"crane", "registry"}}.check(t, e2etest.Stored(t, name, ""), "amd64")

	port := e2etest.FreePort(t)
	e2etest.Serve(t, port, e2etest.Birdhouse(t, "run", name, fmt.Sprintf("-port=%d", port)))
	img, err := random.Image(1<<16, 2)
	if err != nil {
		t.Fatal(err)
	}
	ref := fmt.Sprintf("127.0.0.1:%d/nest:1", port)
	if err := crane.Push(img, ref); err != nil {
		t.Fatal(err)
	}
	digest, err := img.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got := e2etest.Answer(t, name, []string{"--entrypoint", "/app/crane"}, "digest", ref); got != digest.String() {
		t.Errorf("crane says the digest is %q, want %s", got, digest)
	}
}

// published is a copy of a module as its proxy has it.
func published(t *testing.T, module, version string) string {
	t.Helper()
	harness.Birdhouse(t) // not under -short
	cmd := exec.Command("go", "mod", "download", "-json", module+"@"+version)
	cmd.Dir = t.TempDir()
	cmd.Env = append(os.Environ(), "GOFLAGS=", "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	var m struct{ Dir string }
	if err := json.Unmarshal(out, &m); err != nil || m.Dir == "" {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	dir := filepath.Join(t.TempDir(), "module")
	if err := os.CopyFS(dir, os.DirFS(m.Dir)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// initialised has birdhouse write the descriptor.
func initialised(t *testing.T, dir string) {
	t.Helper()
	out := harness.Run(t, e2etest.Birdhouse(t, "init", dir))
	text, err := os.ReadFile(filepath.Join(dir, "birdhouse.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "language: go\n") || !strings.Contains(out, string(text)) {
		t.Errorf("init has written\n%s\nand says\n%s", text, out)
	}
}

// chosen writes the descriptor that init shows for a project of several programs,
// with the line that it asks for.
func chosen(t *testing.T, dir, line string) {
	t.Helper()
	out := harness.RunFails(t, e2etest.Birdhouse(t, "init", dir))
	if !strings.Contains(out, "\n# "+line+"\n") {
		t.Fatalf("init does not say that one may write %q:\n%s", line, out)
	}
	if _, err := os.Stat(filepath.Join(dir, "birdhouse.yaml")); err == nil {
		t.Fatal("init has written a descriptor that does not build")
	}
	_, rest, _ := strings.Cut(out, "\n\n")
	text, _, _ := strings.Cut(rest, "\nbirdhouse.yaml:")
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), strings.Replace(text, "# "+line+"\n", line+"\n", 1))
}

// filter is what a program prints that is given something to read.
func filter(t *testing.T, name, input string, args ...string) string {
	t.Helper()
	cmd := e2etest.Birdhouse(t, slices.Concat([]string{"run", "-i", name}, args)...)
	cmd.Stdin = strings.NewReader(input)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}
