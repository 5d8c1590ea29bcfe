package golang_test

import (
	"bytes"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// Every sample is built for arm64 on amd64, nothing being emulated: no program of
// the other architecture can even start here.
func TestGoArm64(t *testing.T) {
	for _, s := range goSamples {
		if s.run != nil {
			continue // the same image again
		}
		t.Run(strings.Join(append([]string{s.name}, s.build...), " "), func(t *testing.T) {
			args := append([]string{"--platform", "linux/arm64"}, s.build...)
			name, _ := e2etest.Build(t, e2etest.Sample(t, "go/"+s.name), args...)
			s.check(t, e2etest.Stored(t, name, "arm64"), "arm64")
		})
	}
}

// One name for two platforms; what does not depend on the platform is done once.
func TestGoTwoPlatforms(t *testing.T) {
	dir := e2etest.Sample(t, "go/deps")
	// A download that no other test has in the cache.
	e2etest.Edit(t, filepath.Join(dir, "go.mod"), "go 1.25", "// two platforms\n\ngo 1.25")
	name, out := e2etest.Build(t, dir, "--platform", "linux/amd64,linux/arm64")
	for _, arch := range []string{"amd64", "arm64"} {
		goSample{name: "deps"}.check(t, e2etest.Stored(t, name, arch), arch)
		if !strings.Contains(out, "linux/"+arch+" build] go build .") {
			t.Errorf("the progress does not say what is built for %s:\n%s", arch, out)
		}
		if !strings.Contains(out, name+"  linux/"+arch) {
			t.Errorf("the report lacks %s:\n%s", arch, out)
		}
	}
	if steps := stepsOf(out, "[deps] go mod download"); len(steps) != 1 {
		t.Errorf("modules were downloaded %d times for two platforms:\n%s", len(steps), out)
	}
	if got := e2etest.Answer(t, name, nil); got != "4a63a3ed-c1d1-5183-95b9-8491ccc69182" {
		t.Errorf("the program prints %q", got)
	}
	cmd := e2etest.Birdhouse(t, "run", "--platform", "linux/arm64", name)
	if out := harness.RunFails(t, cmd); !strings.Contains(out, "arm64") {
		t.Errorf("a program of another architecture cannot run, which is not explained:\n%s", out)
	}

	// A smoke check is for the builder's own platform.
	_, out = e2etest.Build(t, e2etest.Sample(t, "go/hello"), "--platform", "linux/amd64,linux/arm64")
	if steps := stepsOf(out, "[smoke] start the image and check it"); len(steps) != 1 || strings.Contains(out, "arm64] [smoke] start") {
		t.Errorf("%d smoke checks for two platforms:\n%s", len(steps), out)
	}
}

// -o type=local writes the files of each platform; --target build those of the
// stage.
func TestGoLocalOutput(t *testing.T) {
	dest := filepath.Join(t.TempDir(), "out")
	harness.Run(t, e2etest.Birdhouse(t, "build", "--progress=plain", "--platform", "linux/amd64,linux/arm64", "-o", "type=local,dest="+dest, e2etest.Sample(t, "go/hello")))
	for _, arch := range []string{"amd64", "arm64"} {
		program, err := os.ReadFile(filepath.Join(dest, "linux_"+arch, "app/hello"))
		if err != nil {
			t.Fatal(err)
		}
		e2etest.CheckGoProgram(t, program, arch, e2etest.GoVersion(t, ""), false, nil)
	}

	dest = filepath.Join(t.TempDir(), "stage")
	harness.Run(t, e2etest.Birdhouse(t, "build", "--progress=plain", "--target", "build", "-o", dest, e2etest.Sample(t, "go/cmds")))
	entries, err := os.ReadDir(dest)
	if err != nil || len(entries) != 2 {
		t.Fatalf("the stage build has %v, %v, want the programs a and b", entries, err)
	}
	for _, e := range entries {
		program, err := os.ReadFile(filepath.Join(dest, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		e2etest.CheckGoProgram(t, program, "amd64", e2etest.GoVersion(t, ""), false, nil)
	}
}

// --platform linux/amd64/v3 reaches the compiler.
func TestGoPlatformLevel(t *testing.T) {
	name, _ := e2etest.Build(t, e2etest.Sample(t, "go/tags"), "--platform", "linux/amd64/v3")
	info, err := buildinfo.Read(bytes.NewReader(e2etest.Content(t, e2etest.Stored(t, name, ""), "app/tags")))
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range info.Settings {
		if s.Key == "GOAMD64" && s.Value == "v3" {
			return
		}
	}
	t.Errorf("the program was built with %v", info.Settings)
}

// A program with C in it needs libraries at run time: those that the image does
// not have stop the build.
func TestGoMissingLibrary(t *testing.T) {
	dir := e2etest.Sample(t, "go/cgo")
	e2etest.Write(t, filepath.Join(dir, "main.go"), `package main

//go:generate x86_64-linux-gnu-gcc -shared -fPIC -o lib/libbird.so lib/bird.c

// #cgo LDFLAGS: -L${SRCDIR}/lib -lbird
// extern int bird(void);
import "C"

func main() { println(int(C.bird())) }
`)
	e2etest.Write(t, filepath.Join(dir, "lib/bird.c"), "int bird(void) { return 7; }\n")
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "cgo: true", "cgo: true\n  generate: true")
	name := e2etest.ImageName(t)
	out := harness.RunFails(t, e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", dir))
	for _, want := range []string{"needs libbird.so, which the image does not have", "[libraries]", "birdhouse.yaml:4", "cgo: true"} {
		if !strings.Contains(out, want) {
			t.Errorf("the failure does not say %q:\n%s", want, out)
		}
	}
	notStored(t, name)
}

// versions are the ends of what there is: the first Go with toolchains, which
// the catalog does not list, the oldest of the catalog, the newest.
func TestGoVersions(t *testing.T) {
	for _, tt := range []struct{ version, want string }{
		{"1.21.0", "go1.21.0"},
		{"1.21", e2etest.GoVersion(t, "1.21.")},
		{"", e2etest.GoVersion(t, "")},
	} {
		t.Run(tt.version, func(t *testing.T) {
			dir := e2etest.Sample(t, "go/hello")
			e2etest.Edit(t, filepath.Join(dir, "go.mod"), "go 1.25", "go 1.21")
			e2etest.Edit(t, filepath.Join(dir, "main.go"), "/{$}", "/") // of Go 1.22
			if tt.version != "" {
				e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "language: go", fmt.Sprintf("language: go\nversion: %q", tt.version))
			}
			name, _ := e2etest.Build(t, dir)
			goSample{name: "hello", version: tt.want}.check(t, e2etest.Stored(t, name, ""), "amd64")
			s := e2etest.Start(t, name)
			if got := s.Get(t, "/"); got != "hello" {
				t.Errorf("/ answers %q", got)
			}
			if got := s.Get(t, "/tz"); got != "1970-01-01T12:00:00+12:00" {
				t.Errorf("/tz answers %q", got)
			}
		})
	}
}
