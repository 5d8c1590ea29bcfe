package catalog_test

import (
	"bytes"
	"debug/elf"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// A program with a library of a Debian package: compiled against its headers and
// linked with it for both architectures on one, the library in the image, with a
// record that scanners read.
func TestPackages(t *testing.T) {
	dir := e2etest.Sample(t, "go/packages")
	name, out := e2etest.Build(t, dir, "--platform", "linux/amd64,linux/arm64")
	if got := e2etest.Answer(t, name, nil); got != "2 birds" {
		t.Errorf("the program prints %q", got)
	}
	e2etest.Contains(t, out, "  packages     rarely ", "libsqlite3-0 3.", "needed by libsqlite3-dev", "[test 2/2] go test ./...")
	for arch, want := range map[string]struct {
		triplet string
		machine elf.Machine
	}{"amd64": {"x86_64-linux-gnu", elf.EM_X86_64}, "arm64": {"aarch64-linux-gnu", elf.EM_AARCH64}} {
		img := e2etest.Stored(t, name, arch)
		for _, file := range []string{"app/packages", "usr/lib/" + want.triplet + "/libsqlite3.so.0.8.6"} {
			f, err := elf.NewFile(bytes.NewReader(e2etest.Content(t, img, file)))
			if err != nil {
				t.Fatalf("%s: %s: %v", arch, file, err)
			}
			if f.Machine != want.machine {
				t.Errorf("%s: %s is for %s", arch, file, f.Machine)
			}
		}
		record := string(e2etest.Content(t, img, "var/lib/dpkg/status.d/libsqlite3-0"))
		e2etest.Contains(t, record, "Package: libsqlite3-0\n", "Architecture: "+arch+"\n", "Version: 3.")
		for path := range e2etest.Files(t, img) {
			if strings.Contains(path, "libsqlite3-dev") || strings.HasPrefix(path, "usr/include/") || strings.HasPrefix(path, "usr/share/man/") {
				t.Errorf("%s: the image has %s", arch, path)
			}
		}
	}

	// Nothing is looked for again.
	_, out = e2etest.Build(t, dir)
	for _, names := range []string{"libsqlite3-0", "libsqlite3-dev"} {
		if !e2etest.IsCached(out, "find the packages for "+names) {
			t.Errorf("what %s needs was looked for again:\n%s", names, out)
		}
	}

	// Without the line the image lacks the library, and the build says the line.
	descriptor := filepath.Join(dir, "birdhouse.yaml")
	e2etest.Edit(t, descriptor, "packages: [libsqlite3-0]\n", "")
	out = harness.RunFails(t, e2etest.Birdhouse(t, "build", "--progress=plain", dir))
	e2etest.Contains(t, out, "needs libsqlite3.so.0, which the image does not have", "add to the descriptor: packages: [libsqlite3-0]", "birdhouse.yaml:4")

	// A name that there is not is marked.
	e2etest.Edit(t, descriptor, "test: true\n", "packages:\n  - libsqlite3\n  - libc6\n")
	out = harness.RunFails(t, e2etest.Birdhouse(t, "build", "--progress=plain", dir))
	e2etest.Contains(t, out, `birdhouse.yaml:7:5: packages: the archive has no package "libsqlite3" for amd64`,
		"7 |   - libsqlite3\n    |     ^^^^^^^^^^ did you mean libsqlite3-0, ")
}

// Packages through every client, on the catalog's base and on one that the user
// gave: the same layers.
func TestPackagesThroughClients(t *testing.T) {
	registry := harness.Registry(t)
	daemon := harness.SharedBuildkitd(t)
	frontend := harness.FrontendImage(t, daemon, registry)
	dir := e2etest.Sample(t, "go/hello")
	e2etest.Syntax(t, dir, frontend)
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\n", "language: go\npackages: [tini]\n")
	buildctl := func(ref string, more ...string) {
		t.Helper()
		args := append([]string{
			"build", "--frontend", "gateway.v0", "--opt", "source=" + frontend,
			"--local", "context=" + dir, "--local", "dockerfile=" + dir,
			"--opt", "build-arg:BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t),
			"--output", "type=image,name=" + ref + ",push=true",
		}, harness.Secrets(t)...)
		harness.Run(t, daemon.Buildctl(t, append(args, more...)...))
	}

	buildctl(registry + "/buildctl")
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", registry+"/birdhouse", "--push", "--progress=plain", dir))
	if diff := cmp.Diff(e2etest.Pulled(t, registry+"/buildctl"), e2etest.Pulled(t, registry+"/birdhouse")); diff != "" {
		t.Errorf("the image that birdhouse built is another than buildctl's:\n%s", diff)
	}

	given, err := crane.Image(map[string][]byte{"marker": []byte("given")})
	if err != nil {
		t.Fatal(err)
	}
	if err := crane.Push(given, registry+"/given", crane.Insecure); err != nil {
		t.Fatal(err)
	}
	buildctl(registry+"/replaced", "--opt", "context:base:13=docker-image://"+registry+"/given")
	img := e2etest.Pull(t, registry+"/replaced")
	if got := string(e2etest.Content(t, img, "marker")); got != "given" {
		t.Errorf("the base is not the one given: %q", got)
	}
	whole, replaced := e2etest.Pulled(t, registry+"/buildctl").Layers, e2etest.Pulled(t, registry+"/replaced").Layers
	if len(replaced) != 3 || replaced[1] != whole[len(whole)-2] {
		t.Errorf("the packages on another base are another layer: %v and %v", replaced, whole)
	}
	e2etest.Content(t, img, "usr/bin/tini")
}
