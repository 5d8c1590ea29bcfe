package e2e_test

import (
	"archive/tar"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/image"
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
			name, out := buildGo(t, sample(t, "go/"+s.name), s.build...)
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
				want = goVersion(t, s.version)
			}
			if got := answer(t, name, s.run, s.args...); got != want {
				t.Errorf("the program prints %q, want %q", got, want)
			}
			img := stored(t, name, "")
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
	samplesAreBuilt(t, "go", known)
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
		version = goVersion(t, version)
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
	if got := modes(t, members(t, layers[len(layers)-1])); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the application's layer has %v, want %v", got, want)
	}

	for _, p := range programs {
		checkGoProgram(t, content(t, img, "app/"+p), arch, version, cgo, s.settings)
	}
}

// goVersion is the newest Go in the catalog whose version begins with the prefix.
func goVersion(t *testing.T, prefix string) string {
	t.Helper()
	c, err := catalog.Open(harness.Lock(t))
	if err != nil {
		t.Fatal(err)
	}
	versions := c.Versions("go")
	for _, v := range slices.Backward(versions) {
		if strings.HasPrefix(v, prefix) {
			return "go" + v
		}
	}
	t.Fatalf("the catalog has no Go %s: there are %v", prefix, versions)
	return ""
}

// checkGoProgram checks a binary: its architecture, that it is stripped, static
// unless it has C in it, and what the compiler noted in it.
func checkGoProgram(t *testing.T, program []byte, arch, version string, cgo bool, settings map[string]string) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	if f.Machine != machine {
		t.Errorf("the program is for %s, want %s", f.Machine, machine)
	}
	for _, s := range f.Sections {
		if s.Name == ".symtab" || strings.HasPrefix(s.Name, ".debug") || strings.HasPrefix(s.Name, ".zdebug") {
			t.Errorf("the program is not stripped: it has %s", s.Name)
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil && !cgo {
		t.Fatal(err)
	}
	if (len(libraries) > 0) != cgo {
		t.Errorf("with cgo %v the program needs the libraries %v", cgo, libraries)
	}

	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if info.GoVersion != version {
		t.Errorf("the program was compiled by %s, want %s", info.GoVersion, version)
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
		if strings.HasPrefix(s.Key, "vcs") {
			t.Errorf("the program knows of its repository: %s=%s", s.Key, s.Value)
		}
	}
	want := map[string]string{"-trimpath": "true", "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": arch}
	for k, v := range settings {
		want[k] = v
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("the program was built with %s=%s, want %s", k, got[k], v)
		}
	}
}

// buildGo builds the image of a project with birdhouse and returns its name in
// the shared store, and what the build printed.
func buildGo(t *testing.T, dir string, args ...string) (name, out string) {
	t.Helper()
	name = imageName(t)
	args = append([]string{"build", "-t", name, "--progress=plain"}, args...)
	return name, harness.Run(t, birdhouse(t, append(args, dir)...))
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

// imageName makes an image's name of the test's.
func imageName(t *testing.T) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '/':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '.'
	}, t.Name())
	for strings.Contains(name, "..") {
		name = strings.ReplaceAll(name, "..", ".")
	}
	return strings.Trim(strings.NewReplacer("/.", "/", "./", "/").Replace(name), ".")
}

// answer runs an image and returns what its program prints. The program must end
// with exit code 0.
func answer(t *testing.T, name string, flags []string, args ...string) string {
	t.Helper()
	cmd := birdhouse(t, slices.Concat([]string{"run"}, flags, []string{name}, args)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}

// stored is an image of the shared store, for an architecture if one is named.
func stored(t *testing.T, name, arch string) v1.Image {
	t.Helper()
	store, err := image.OpenStore(filepath.Join(harness.SharedRoot(t), "images"))
	if err != nil {
		t.Fatal(err)
	}
	var p *ocispecs.Platform
	if arch != "" {
		p = &ocispecs.Platform{OS: "linux", Architecture: arch}
	}
	img, err := store.Image(name, p)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// notStored checks that a failed build left no image of that name.
func notStored(t *testing.T, name string) {
	t.Helper()
	out := harness.RunFails(t, birdhouse(t, "inspect", name))
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

// member is a file of a layer.
type member struct {
	*tar.Header
	data []byte
}

// members are the files of a layer or of a whole image by their paths, without
// slashes at the ends.
func members(t *testing.T, from interface {
	Uncompressed() (io.ReadCloser, error)
}) map[string]member {
	t.Helper()
	r, err := from.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[string]member{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.Trim(h.Name, "/")] = member{h, data}
	}
}

// flat is an image as if it had one layer.
type flat struct{ v1.Image }

func (f flat) Uncompressed() (io.ReadCloser, error) { return mutate.Extract(f.Image), nil }

// modes are the types and permissions of files, which must all be root's, not
// setuid or setgid, of the epoch.
func modes(t *testing.T, files map[string]member) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, f := range files {
		if f.Uid != 0 || f.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", name, f.Uid, f.Gid)
		}
		if f.Mode&0o6000 != 0 {
			t.Errorf("%s is setuid or setgid", name)
		}
		if f.ModTime.Unix() != 0 {
			t.Errorf("%s is of %s", name, f.ModTime)
		}
		out[name] = f.FileInfo().Mode().String()
	}
	return out
}

// content is a file of an image.
func content(t *testing.T, img v1.Image, path string) []byte {
	t.Helper()
	f, ok := members(t, flat{img})[path]
	if !ok {
		t.Fatalf("the image has no %s", path)
	}
	return f.data
}

// edit replaces text in a file of a project.
func edit(t *testing.T, path, old, new string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s has no %q", path, old)
	}
	write(t, path, strings.ReplaceAll(string(data), old, new))
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
