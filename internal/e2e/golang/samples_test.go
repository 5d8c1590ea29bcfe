package golang_test

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/birdhouse-build/birdhouse/image"
	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// goSample is a project of testdata/go and what its image must do.
type goSample struct {
	name string
	// build are flags of birdhouse build, run are those of birdhouse run and
	// args the program's arguments.
	build, run, args []string
	// want is what the program prints.
	want string
	// programs are what /app holds; by default the sample's name alone.
	programs []string
	// version is the Go that compiled it, by default the newest; "1.25." is the
	// newest of those, and want then is that.
	version string
	// settings are what `go version -m` must say besides.
	settings map[string]string
	// env is what the image's environment has besides the base's.
	env []string
	// says must be in the build's output, not what must not.
	says, not []string
}

// goSamples are all projects of testdata/go that a build needs nothing else for.
// Those of goElsewhere have tests of their own.
var goSamples = []goSample{
	{name: "cgo", args: []string{"3.14159265358979"}, want: "-1.000", settings: map[string]string{"CGO_ENABLED": "1"}},
	{name: "cgo-unused", programs: []string{"unused"}, want: "no database"},
	{name: "cmds", programs: []string{"a", "b"}, want: "program a", says: []string{"go build ./cmd/a ./cmd/b"}},
	{name: "cmds", programs: []string{"a", "b"}, run: []string{"--entrypoint", "/app/b"}, want: "program b"},
	{name: "constraints", programs: []string{"server"}, want: "server"},
	{name: "deps", want: "4a63a3ed-c1d1-5183-95b9-8491ccc69182", says: []string{"[deps] go mod download"}},
	{name: "embed", want: "<p>embedded</p>", settings: map[string]string{"-pgo": "default.pgo"}},
	{name: "generate", want: "generated", says: []string{"[generate] go generate ./...", "go test ./..."}},
	{name: "images", programs: []string{"web"}, want: "web"},
	{name: "images", build: []string{"--target", "worker"}, programs: []string{"worker"}, want: "worker [-once]"},
	{name: "named", want: "named"},
	{name: "notests", want: "no tests", says: []string{"test: the project has no test files"}, not: []string{"go test"}},
	{name: "pattern", programs: []string{"one", "two"}, want: "two"},
	{name: "pattern", programs: []string{"one", "two"}, run: []string{"--entrypoint", "/app/one"}, want: "one"},
	{name: "replace", programs: []string{"app"}, want: "from the library", not: []string{"go mod download"}},
	{name: "tags", want: "fancy", settings: map[string]string{"-tags": "fancy,netgo"}},
	{name: "testcmd", want: "3", says: []string{"[test] go test -run TestAdd ./..."}},
	{name: "tests", want: "3", says: []string{"[test 1/2] go vet ./...", "[test 2/2] go test ./..."}},
	{name: "toolchain", want: "go1.26.8", version: "go1.26.8"},
	{name: "vendored", args: []string{"a", "'b", "c'"}, want: `["a" "b c"]`, not: []string{"go mod download"}},
	{name: "version", version: "1.25."},
	{name: "version-file", programs: []string{"version"}, version: "go1.26.7", want: "go1.26.7"},
	{name: "workspace", programs: []string{"api"}, want: "hello 00000000-0000-0000-0000-000000000000", says: []string{"go test ./api/... ./greet/..."}},
}

// goElsewhere are the samples that other tests build.
var goElsewhere = map[string]string{
	"hello":       "TestGoHello",
	"ldflags":     "TestGoLinkerFlags",
	"packages":    "TestPackages",
	"private":     "TestGoPrivateProxy",
	"private-ssh": "TestGoPrivateSSH",
	"testfail":    "TestGoTestGate",
}

// Every sample that can be built is: its program is started and gives its answer.
func TestGoSamples(t *testing.T) {
	for _, s := range goSamples {
		t.Run(strings.Join(append([]string{s.name}, slices.Concat(s.build, s.run)...), " "), func(t *testing.T) {
			name, out := e2etest.Build(t, e2etest.Sample(t, "go/"+s.name), s.build...)
			for _, text := range s.says {
				if !strings.Contains(out, text) {
					t.Errorf("the build does not say %q:\n%s", text, out)
				}
			}
			for _, text := range s.not {
				if strings.Contains(out, text) {
					t.Errorf("the build says %q:\n%s", text, out)
				}
			}
			if steps := stepsOf(out, "] go build "); len(steps) != 1 {
				t.Errorf("%d steps compile, want one:\n%s", len(steps), out)
			}
			want := s.want
			if want == "" {
				want = e2etest.GoVersion(t, s.version)
			}
			if got := e2etest.Answer(t, name, s.run, s.args...); got != want {
				t.Errorf("the program prints %q, want %q", got, want)
			}
			img := e2etest.Stored(t, name, "")
			s.check(t, img, "amd64")
		})
	}
}

func TestGoSamplesAreComplete(t *testing.T) {
	harness.Birdhouse(t)
	known := map[string]bool{}
	for _, s := range goSamples {
		known[s.name] = true
	}
	for name := range goElsewhere {
		known[name] = true
	}
	e2etest.SamplesAreBuilt(t, "go", known)
}

// check checks what is the same for every image of a Go program.
func (s goSample) check(t *testing.T, img v1.Image, arch string) {
	t.Helper()
	programs := s.programs
	if programs == nil {
		programs = []string{s.name}
	}
	version := s.version
	if !strings.HasPrefix(version, "go") {
		version = e2etest.GoVersion(t, version)
	}
	cgo := s.settings["CGO_ENABLED"] == "1"
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" || config.OS != "linux" || config.Architecture != arch {
		t.Errorf("the image is for user %q on %s/%s", config.Config.User, config.OS, config.Architecture)
	}
	env := []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	if cgo {
		env = append(env, "LANG=C.UTF-8")
	}
	if env = append(env, s.env...); !slices.Equal(config.Config.Env, env) {
		t.Errorf("the image has the environment %q, want %q", config.Config.Env, env)
	}

	// The last layer is the program and nothing else.
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"app": "drwxr-xr-x"}
	for _, p := range programs {
		want["app/"+p] = "-r-xr-xr-x"
	}
	if got := e2etest.Modes(t, e2etest.Members(t, layers[len(layers)-1])); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the application's layer has %v, want %v", got, want)
	}

	for _, p := range programs {
		e2etest.CheckGoProgram(t, e2etest.Content(t, img, "app/"+p), arch, version, cgo, s.settings)
	}
}

// stepsOf are the steps of a build whose names have the text in them, by their
// numbers: plain progress names a step again when it comes back to it.
func stepsOf(out, text string) []string {
	var steps []string
	for line := range strings.Lines(out) {
		if number, name, ok := strings.Cut(line, " "); ok && strings.HasPrefix(number, "#") && strings.HasPrefix(name, "[") && strings.Contains(name, text) {
			steps = append(steps, number)
		}
	}
	slices.Sort(steps)
	return slices.Compact(steps)
}

// notStored checks that a failed build left no image of that name.
func notStored(t *testing.T, name string) {
	t.Helper()
	out := harness.RunFails(t, e2etest.Birdhouse(t, "inspect", name))
	if !strings.Contains(out, name) {
		t.Errorf("inspect does not say what it looked for:\n%s", out)
	}
	store, err := image.OpenStore(filepath.Join(harness.SharedRoot(t), "images"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Image(name, nil); err == nil {
		t.Errorf("the image %s is in the store", name)
	}
}

// with sets variables of a command.
func with(cmd *exec.Cmd, env ...string) *exec.Cmd {
	cmd.Env = append(cmd.Env, env...)
	return cmd
}

// notPushed checks that a registry has no image of that name.
func notPushed(t *testing.T, ref string) {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := remote.Head(r); err == nil {
		t.Errorf("%s was pushed", ref)
	}
}
