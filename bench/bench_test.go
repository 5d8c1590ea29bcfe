//go:build bench

package bench

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

var (
	rounds = flag.Int("rounds", 7, "how often each warm case is measured, at most 7")
	cold   = flag.Int("cold", 3, "how often the cold case is measured")
	out    = flag.String("out", "", "the file for the table, from the repository's root")
)

func TestMain(m *testing.M) { harness.Main(m) }

// added are the versions of the dependency that is added, another one each time,
// so that no cache has it.
var added = []string{"v1.6.0", "v1.5.0", "v1.4.0", "v1.3.1", "v1.3.0", "v1.2.0", "v1.1.5", "v1.1.4"}

const addedModule = "github.com/google/uuid"

// The cases, in the table's order.
const (
	caseCold   = "cold"
	caseSame   = "no change"
	caseLine   = "one source line changed"
	caseModule = "one dependency added"
)

// world is what contestants share.
type world struct {
	registry string
	frontend string
	// dockerfile is the Dockerfile frontend as an image, as a syntax line names it.
	dockerfile string
	// bases by digest, for the Dockerfile, ko, and birdhouse with a catalog.
	goBase, static plan.Base
	goRef, run     string
	goroot         string
	secrets        []string
	mirror         string
	lock           string
	birdhouse      string
}

// contestant is a way to build and push the program.
type contestant struct {
	name, note string
	// command builds the project in dir and pushes it as image, with whatever
	// cache is in state, a folder, and on daemon.
	command func(t *testing.T, w *world, daemon *harness.BuildKit, state, dir, image string) *exec.Cmd
	// daemonless contestants keep their cache in state.
	daemonless bool
}

func contestants() []contestant {
	return []contestant{
		{name: "birdhouse", note: "`buildctl build --frontend gateway.v0`, bases made from Debian packages in the same build",
			command: func(t *testing.T, w *world, b *harness.BuildKit, _, dir, image string) *exec.Cmd {
				return b.Buildctl(t, w.gateway(dir, image)...)
			}},
		{name: "birdhouse, bases pulled", note: "the same, bases from the registry by digest (`--opt context:…`), as the Dockerfile has them",
			command: func(t *testing.T, w *world, b *harness.BuildKit, _, dir, image string) *exec.Cmd {
				return b.Buildctl(t, append(w.gateway(dir, image),
					"--opt", "context:"+w.goBase.String()+"=docker-image://"+w.goRef,
					"--opt", "context:"+w.static.String()+"=docker-image://"+w.run)...)
			}},
		{name: "Dockerfile, `# syntax`", note: "bench/testdata/Dockerfile with BuildKit's own Dockerfile frontend as an image, which is what a `# syntax` line does; bases from the registry by digest",
			command: func(t *testing.T, w *world, b *harness.BuildKit, _, dir, image string) *exec.Cmd {
				return b.Buildctl(t, append(w.dockerfileBuild(t, dir, image), "--frontend", "gateway.v0", "--opt", "source="+w.dockerfile)...)
			}},
		{name: "Dockerfile", note: "the same file with the frontend that is compiled into the daemon, which needs no container of its own",
			command: func(t *testing.T, w *world, b *harness.BuildKit, _, dir, image string) *exec.Cmd {
				return b.Buildctl(t, append(w.dockerfileBuild(t, dir, image), "--frontend", "dockerfile.v0")...)
			}},
		{name: "ko", note: "v0.19.1, no SBOM, base from the registry by digest; the compiler is on the machine already, and there is no test, check or sandbox around the build", daemonless: true,
			command: func(t *testing.T, w *world, _ *harness.BuildKit, state, dir, image string) *exec.Cmd {
				cmd := exec.Command(harness.Tool(t, "ko"), "build", "--bare", "--sbom=none", "--insecure-registry", "--platform=linux/amd64", ".")
				cmd.Dir = dir
				cmd.Env = append(os.Environ(),
					"KO_DOCKER_REPO="+image, "KO_DEFAULTBASEIMAGE="+w.run,
					"GOCACHE="+filepath.Join(state, "build"), "GOMODCACHE="+filepath.Join(state, "mod"), "KOCACHE="+filepath.Join(state, "ko"),
					"GOFLAGS=-modcacherw", "GOTOOLCHAIN=local", "PATH="+filepath.Join(w.goroot, "bin")+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+t.TempDir())
				return cmd
			}},
		{name: "birdhouse build --addr", note: "the command on a daemon, the frontend inside the command",
			command: func(t *testing.T, w *world, b *harness.BuildKit, state, dir, image string) *exec.Cmd {
				return w.command(t, "--root", state, "build", "--addr", b.Address, "--progress", "plain", "--push", "-t", image, dir)
			}},
		{name: "birdhouse build", note: "the command with no daemon; the whole process, with the start and the end of its engine", daemonless: true,
			command: func(t *testing.T, w *world, _ *harness.BuildKit, state, dir, image string) *exec.Cmd {
				return w.command(t, "--root", state, "build", "--progress", "plain", "--push", "-t", image, dir)
			}},
	}
}

// command is the birdhouse command, with the catalog that all use.
func (w *world) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(w.birdhouse, args...)
	cmd.Env = append(os.Environ(), "BIRDHOUSE_CATALOG="+w.lock, "DOCKER_CONFIG="+t.TempDir(), "BUILDKIT_HOST=")
	return cmd
}

func (w *world) gateway(dir, image string) []string {
	return append([]string{"build", "--frontend", "gateway.v0", "--opt", "source=" + w.frontend,
		"--local", "context=" + dir, "--local", "dockerfile=" + dir, "--opt", "filename=birdhouse.yaml",
		"--opt", "build-arg:BIRDHOUSE_DEBIAN_MIRROR=" + w.mirror,
		"--output", "type=image,push=true,name=" + image}, w.secrets...)
}

func (w *world) dockerfileBuild(t *testing.T, dir, image string) []string {
	return append([]string{"build",
		"--local", "context=" + dir, "--local", "dockerfile=" + filepath.Join(harness.Root(t), "bench", "testdata"),
		"--opt", "build-arg:GO=" + w.goRef, "--opt", "build-arg:STATIC=" + w.run,
		"--output", "type=image,push=true,name=" + image}, w.secrets...)
}

// measured are the times by case and contestant.
type measured map[string]map[string][]time.Duration

func (m measured) add(t *testing.T, kase, who string, d time.Duration) {
	t.Logf("%-26s %-26s %s", kase, who, d.Round(time.Millisecond))
	if m[kase] == nil {
		m[kase] = map[string][]time.Duration{}
	}
	m[kase][who] = append(m[kase][who], d)
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

func TestBench(t *testing.T) {
	w := newWorld(t)
	m := measured{}
	all := contestants()

	for round := range *cold {
		for i := range all {
			c := all[(i+round)%len(all)]
			t.Run("cold", func(t *testing.T) {
				m.add(t, caseCold, c.name, coldBuild(t, w, c, round))
			})
		}
	}

	// Each has a daemon, a copy of the project and an image of its own, so that
	// nobody finds what somebody else has built, transferred or pushed.
	type place struct {
		daemon            *harness.BuildKit
		state, dir, image string
	}
	places := map[string]place{}
	build := func(c contestant) time.Duration {
		p := places[c.name]
		return run(t, c.command(t, w, p.daemon, p.state, p.dir, p.image))
	}
	for i, c := range all {
		p := place{state: state(t), dir: filepath.Join(t.TempDir(), "app"), image: fmt.Sprintf("%s/warm%d/app:latest", w.registry, i)}
		if !c.daemonless {
			p.daemon = harness.Buildkitd(t)
		}
		if c.name == "ko" {
			p.image = strings.TrimSuffix(p.image, ":latest")
		}
		places[c.name] = p
		copyProject(t, p.dir, variant{})
		build(c)
	}
	for round := range *rounds {
		for i := range all {
			c := all[(i+round)%len(all)]
			dir := places[c.name].dir
			build(c) // leaves what the case before changed
			m.add(t, caseSame, c.name, build(c))
			copyProject(t, dir, variant{revision: fmt.Sprint(round + 1)})
			m.add(t, caseLine, c.name, build(c))
			copyProject(t, dir, variant{module: added[round%len(added)]})
			m.add(t, caseModule, c.name, build(c))
			copyProject(t, dir, variant{})
		}
	}
	answers(t, w, places["birdhouse"].image)

	table := report(t, w, m, all)
	t.Log("\n" + table)
	if *out != "" {
		path := *out
		if !filepath.IsAbs(path) {
			path = filepath.Join(harness.Root(t), path)
		}
		if err := os.WriteFile(path, []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func newWorld(t *testing.T) *world {
	w := &world{
		registry:  harness.Registry(t),
		secrets:   harness.Secrets(t),
		mirror:    harness.Mirror(t),
		birdhouse: harness.Birdhouse(t),
		lock:      harness.Lock(t),
		static:    plan.Base{Image: "static", Version: "13"},
	}
	w.goBase = plan.Base{Image: "go", Version: goVersion(t, w), Variant: "build"}
	b := harness.SharedBuildkitd(t)
	w.frontend = harness.FrontendImage(t, b, w.registry)
	w.dockerfile = dockerfileFrontend(t, w.registry)
	w.goRef = pushBase(t, b, w, w.goBase)
	w.run = pushBase(t, b, w, w.static)

	// ko compiles with the machine's go: give it the same release.
	env := exec.Command("go", "env", "GOROOT")
	env.Env = append(os.Environ(), "GOTOOLCHAIN=go"+w.goBase.Version)
	root, err := env.Output()
	if err != nil {
		t.Fatalf("go env GOROOT of go%s: %v", w.goBase.Version, err)
	}
	w.goroot = strings.TrimSpace(string(root))
	return w
}

// goVersion is the version that birdhouse takes for the program.
func goVersion(t *testing.T, w *world) string {
	cmd := w.command(t, "plan", "--format", "json", project(t))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("birdhouse plan: %v", err)
	}
	var p plan.Plan
	if err := json.Unmarshal(text, &p); err != nil {
		t.Fatalf("birdhouse plan: %v", err)
	}
	for _, s := range p.Stages {
		if s.Name == "build" {
			return s.Base.Version
		}
	}
	t.Fatal("the plan has no build stage")
	return ""
}

func project(t *testing.T) string {
	return filepath.Join(harness.Root(t), "bench", "testdata", "app")
}

// coldBuild builds with nothing in any cache.
func coldBuild(t *testing.T, w *world, c contestant, round int) time.Duration {
	dir := filepath.Join(t.TempDir(), "app")
	copyProject(t, dir, variant{})
	var daemon *harness.BuildKit
	if !c.daemonless {
		daemon = harness.Buildkitd(t)
	}
	image := fmt.Sprintf("%s/cold-%s-%d/app", w.registry, strings.Map(letters, c.name), round)
	return run(t, c.command(t, w, daemon, state(t), dir, image))
}

func letters(r rune) rune {
	if r >= 'a' && r <= 'z' {
		return r
	}
	return -1
}

// state makes a folder for a contestant's caches.
func state(t *testing.T) string {
	dir, err := os.MkdirTemp("", "bh-bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// run returns how long the command took, from its start to its end.
func run(t *testing.T, cmd *exec.Cmd) time.Duration {
	t.Helper()
	start := time.Now()
	harness.Run(t, cmd)
	return time.Since(start)
}

// variant is what differs from the project as it is in testdata.
type variant struct {
	// revision replaces a constant in main.go.
	revision string
	// module is the version of addedModule to import.
	module string
}

// copyProject writes the project into dir, changing only files that differ, as
// an editor does.
func copyProject(t *testing.T, dir string, v variant) {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(project(t)), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(project(t), path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if v.revision != "" {
		files["main.go"] = bytes.Replace(files["main.go"], []byte(`revision = "0"`), []byte(fmt.Sprintf("revision = %q", v.revision)), 1)
	}
	if v.module != "" {
		files["added.go"] = []byte("package main\n\nimport \"" + addedModule + "\"\n\nvar instance = uuid.NewString()\n\nfunc init() { _ = instance }\n")
		files["go.mod"], files["go.sum"] = withModule(t, files, v.module)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
			continue
		}
		if err := os.WriteFile(path, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if v.module == "" {
		if err := os.RemoveAll(filepath.Join(dir, "added.go")); err != nil {
			t.Fatal(err)
		}
	}
}

// withModule returns go.mod and go.sum of the project with one more requirement,
// as `go get` writes them.
func withModule(t *testing.T, files map[string][]byte, version string) (mod, sum []byte) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	get := exec.Command("go", "get", addedModule+"@"+version)
	get.Dir = dir
	get.Env = append(os.Environ(), "GOFLAGS=-mod=mod")
	harness.Run(t, get)
	for name, text := range map[string]*[]byte{"go.mod": &mod, "go.sum": &sum} {
		var err error
		if *text, err = os.ReadFile(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return mod, sum
}

// answers checks that what was measured is the program: an image with one
// binary on the static base.
func answers(t *testing.T, w *world, ref string) {
	t.Helper()
	img, err := crane.Pull(ref)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/app/app"}; !slices.Equal(config.Config.Entrypoint, want) {
		t.Errorf("entrypoint is %q, want %q", config.Config.Entrypoint, want)
	}
	layers, err := img.Layers()
	if err != nil || len(layers) != 2 {
		t.Errorf("%d layers, want the base's and the program's: %v", len(layers), err)
	}
}
