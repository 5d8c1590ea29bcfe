package java_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// project is a copy of a sample.
func project(t *testing.T, name string) string {
	t.Helper()
	harness.Birdhouse(t)
	return e2etest.Sample(t, "java/"+name)
}

// describe adds lines to a project's birdhouse.yaml.
func describe(t *testing.T, dir, lines string) {
	t.Helper()
	file := filepath.Join(dir, "birdhouse.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	e2etest.Write(t, file, string(data)+lines)
}

// listenOn makes a project's server listen on a free port, which it returns: also where smoke
// starts it.
func listenOn(t *testing.T, dir string) int {
	t.Helper()
	port := e2etest.FreePort(t)
	describe(t, dir, fmt.Sprintf("expose: [%d]\nenv: {PORT: \"%[1]d\"}\n", port))
	return port
}

// readOnly are flags of birdhouse run with which a program may write to /tmp alone.
func readOnly(t *testing.T) []string {
	t.Helper()
	tmp := t.TempDir()
	if err := os.Chmod(tmp, 0o777|os.ModeSticky); err != nil {
		t.Fatal(err)
	}
	return []string{"--read-only", "-v", tmp + ":/tmp"}
}

// start starts an image of a project whose server listens on the port; flags are those
// of birdhouse run, and after the image's name arguments.
func start(t *testing.T, image string, port int, flags ...string) *e2etest.Server {
	t.Helper()
	return e2etest.Serve(t, port, e2etest.Birdhouse(t, slices.Concat([]string{"run", "-e", fmt.Sprintf("PORT=%d", port)}, readOnly(t), flags, []string{image})...))
}

// never is in no image: what builds, and what it leaves behind.
var never = regexp.MustCompile(`(^|/)(pom\.xml|\.mvn|mvnw|gradlew|\.m2|\.gradle|settings\.xml|birdhouse[^/]*|[^/]*\.java|[^/]*\.kt|[^/]*\.original|original-[^/]*|[^/]*\.lastUpdated|_remote\.repositories)(/|$)`)

// builder is what no runtime has: what runtimes are made of and with.
var builder = regexp.MustCompile(`^usr/lib/jvm/[^/]*/(bin/(jlink|jdeps|jmod)|jmods|include|man|src\.zip|lib/src\.zip)(/|$)`)

// laidOut are the layers of an image that have a program's files, from the lowest, each
// with the files by their paths below /app. All must be root's, of the epoch, of plain
// modes, and in one layer alone; jars that the project has made are such as are always
// the same.
func laidOut(t *testing.T, img v1.Image) []map[string]e2etest.Member {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]e2etest.Member
	seen := map[string]bool{}
	for _, l := range layers {
		members, files := e2etest.Members(t, l), map[string]e2etest.Member{}
		for name, f := range members {
			if builder.MatchString(name) {
				t.Errorf("the image has %s", name)
			}
			if name != "app" && !strings.HasPrefix(name, "app/") {
				continue
			}
			e2etest.Modes(t, map[string]e2etest.Member{name: f})
			if f.FileInfo().IsDir() {
				if f.Mode != 0o755 {
					t.Errorf("%s has the mode %o", name, f.Mode)
				}
				continue
			}
			if f.Mode != 0o644 {
				t.Errorf("%s has the mode %o", name, f.Mode)
			}
			if seen[name] {
				t.Errorf("%s is in two layers", name)
			}
			seen[name] = true
			rest := strings.TrimPrefix(name, "app/")
			if never.MatchString(rest) && !strings.Contains(rest, "META-INF/maven/") {
				t.Errorf("the image has %s", name)
			}
			files[rest] = f
		}
		if len(files) > 0 {
			all = append(all, files)
		}
	}
	return all
}

// made checks that a jar is the same whenever it is made: entries in order, of one time,
// and without fields of the machine's.
func made(t *testing.T, name string, data []byte) {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for _, f := range r.File {
		if at := f.Modified.UTC(); at.After(time.Date(1980, 2, 2, 0, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: %s is of %s", name, f.Name, at)
		}
	}
}

// names are the paths of each layer's files.
func names(layers []map[string]e2etest.Member) [][]string {
	var out [][]string
	for _, l := range layers {
		var files []string
		for name := range l {
			files = append(files, name)
		}
		slices.Sort(files)
		out = append(out, files)
	}
	return out
}

// has checks what files the layers of a program have: for each layer patterns with
// spaces between them (path.Match; with ** at the end all below), of which all must be
// there, and nothing else.
func has(t *testing.T, layers []map[string]e2etest.Member, want []string) {
	t.Helper()
	got := names(layers)
	if len(got) != len(want) {
		t.Errorf("the program has %d layers, want %d: %q", len(got), len(want), got)
		return
	}
	for i, files := range got {
		patterns := strings.Fields(want[i])
		used := map[string]bool{}
		for _, f := range files {
			n := slices.IndexFunc(patterns, func(p string) bool {
				if below, ok := strings.CutSuffix(p, "**"); ok {
					return strings.HasPrefix(f, below)
				}
				ok, err := path.Match(p, f)
				if err != nil {
					t.Fatal(err)
				}
				return ok
			})
			if n < 0 {
				t.Errorf("layer %d has %s, and should have %s", i, f, want[i])
				continue
			}
			used[patterns[n]] = true
		}
		for _, p := range patterns {
			if !used[p] {
				t.Errorf("layer %d has no %s: %q", i, p, files)
			}
		}
	}
}

// size is what an image has in bytes as it is pushed.
func size(t *testing.T, img v1.Image) int64 {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	n := m.Config.Size
	for _, l := range m.Layers {
		n += l.Size
	}
	return n
}

// onlyLast checks that two images differ in their last layer, and in no other.
func onlyLast(t *testing.T, before, after e2etest.Contents) {
	t.Helper()
	n := len(before.Layers)
	if len(after.Layers) != n || !slices.Equal(before.Layers[:n-1], after.Layers[:n-1]) || before.Layers[n-1] == after.Layers[n-1] {
		t.Errorf("an edit is to change the last layer alone: %q became %q", before.Layers, after.Layers)
	}
}

// modules are those of the runtime, as its file release has them.
func modules(t *testing.T, img v1.Image, version string) []string {
	t.Helper()
	files := e2etest.Files(t, img)
	home := "usr/lib/jvm/java-" + version
	if link, ok := files[home]; ok && link.Linkname != "" { // Debian's own
		home = path.Join(path.Dir(home), link.Linkname)
	}
	f, ok := files[home+"/release"]
	if !ok {
		t.Fatalf("the image has no %s/release: %q", home, slices.Sorted(maps.Keys(files)))
	}
	release := string(f.Data)
	_, list, _ := strings.Cut(release, "MODULES=\"")
	list, _, ok = strings.Cut(list, "\"")
	if !ok {
		t.Fatalf("the runtime's file release names no modules:\n%s", release)
	}
	all := strings.Fields(list)
	slices.Sort(all)
	return all
}
