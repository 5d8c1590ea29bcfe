package python_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// lockedByTest are the samples whose lock files name the index that they were written
// with: those in testdata name one that is not there, and a test writes its own.
var lockedByTest = map[string]string{"uv-package": "uv.lock", "uv-app": "uv.lock", "uv-workspace": "uv.lock", "pylock": "pylock.toml"}

// project is a sample, with a lock file for this machine's index where it has one.
func project(t *testing.T, name string) string {
	t.Helper()
	dir := e2etest.Sample(t, "python/"+name)
	if file := lockedByTest[name]; file != "" {
		e2etest.Write(t, filepath.Join(dir, file), locks(t)[name])
	}
	return dir
}

var made struct {
	sync.Once
	locks map[string]string
}

// locks are the lock files of lockedByTest, by sample, as uv writes them with the index
// that this machine is set to. uv is the build image's: a build with the samples in it
// writes them all.
func locks(t *testing.T) map[string]string {
	t.Helper()
	harness.Birdhouse(t)
	made.Do(func() {
		dir := t.TempDir()
		var names, script []string
		for name, file := range lockedByTest {
			names = append(names, name)
			sample := filepath.Join(dir, name)
			if err := os.CopyFS(sample, os.DirFS(filepath.Join(harness.Root(t), "testdata", "python", name))); err != nil {
				t.Fatal(err)
			}
			e2etest.Remove(file)(t, sample)
			command := "uv lock"
			if file == "pylock.toml" {
				command = "uv export --quiet --format pylock.toml --output-file pylock.toml"
			}
			script = append(script, fmt.Sprintf("cd /src/%s && %s && mv %s /src/%s.txt", name, command, file, name))
		}
		slices.Sort(script)
		e2etest.Write(t, filepath.Join(dir, "main.py"), "")
		var descriptor strings.Builder
		descriptor.WriteString("language: python\nentrypoint: [python, main.py]\nbuild:\n  network: true\n  run:\n")
		for _, s := range script {
			fmt.Fprintf(&descriptor, "  - %s\n", s)
		}
		fmt.Fprintf(&descriptor, "  output: [%s.txt]\n", strings.Join(names, ".txt, "))
		e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), descriptor.String())
		name, _ := e2etest.Build(t, dir)
		files := e2etest.Files(t, e2etest.Stored(t, name, ""))
		locks := map[string]string{}
		for _, n := range names {
			locks[n] = string(files["app/"+n+".txt"].Data)
		}
		made.locks = locks
	})
	if made.locks == nil {
		t.Fatal("lock files could not be written")
	}
	return made.locks
}

// start starts an image of a project whose server listens on the port.
func start(t *testing.T, image string, port int, args ...string) *e2etest.Server {
	t.Helper()
	return e2etest.Serve(t, port, e2etest.Birdhouse(t, append([]string{"run", "--read-only", "-e", fmt.Sprintf("PORT=%d", port), image}, args...)...))
}

// listenOn makes a project's server listen on a free port, which it returns.
func listenOn(t *testing.T, dir string) int {
	t.Helper()
	port := e2etest.FreePort(t)
	file := filepath.Join(dir, "birdhouse.yaml")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	e2etest.Write(t, file, fmt.Sprintf("%sexpose: [%d]\n", data, port))
	return port
}

// never is in no image: what installs and builds, and what it leaves behind.
var never = regexp.MustCompile(`(^|/)(pip|uv|setuptools|wheel|_distutils_hack|poetry|pdm|pipenv|hatchling)(-[^/]*dist-info)?(/|$)` +
	`|(^|/)(activate[^/]*|deactivate[^/]*|pydoc\.bat|CACHEDIR\.TAG|\.lock|\.gitignore|INSTALLER|REQUESTED|direct_url\.json|uv_cache\.json|uv_build\.json|\.env|birdhouse\.yaml|[^/]*\.lock|Pipfile|pylock\.toml|requirements[^/]*\.txt)$` +
	`|(^|/)(tests|conftest\.py|test_[^/]*\.py)(/|$)|/include/.*\.h$`)

// contents are the files below /app that the image has beside its environment's, and the
// modules and packages at the top of that. All must be root's and of the epoch, and have
// bytecode where they are Python.
func contents(t *testing.T, img v1.Image) (files, modules []string) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]e2etest.Member{}
	// The base's layers have nothing there.
	for _, l := range layers[4:] {
		for name, f := range e2etest.Members(t, l) {
			if name == "app" || strings.HasPrefix(name, "app/") {
				if before, ok := found[strings.TrimPrefix(name, "app/")]; ok && !f.FileInfo().IsDir() {
					t.Errorf("%s is in two layers: %d and %d bytes", name, before.Size, f.Size)
				}
				found[strings.TrimPrefix(name, "app/")] = f
			}
		}
	}
	e2etest.Modes(t, found)
	for name, f := range found {
		third, packaged := strings.CutPrefix(name, ".venv/")
		if never.MatchString(name) && (!packaged || !regexp.MustCompile(`site-packages/.*/(tests|test_[^/]*\.py)|site-packages/tests`).MatchString(third)) {
			t.Errorf("the image has %s", name)
		}
		if f.Mode&0o022 != 0 && f.Linkname == "" {
			t.Errorf("others may write to %s", name)
		}
		if !packaged && bytes.Contains(f.Data, []byte("/src/")) && strings.HasSuffix(name, ".pyc") {
			t.Errorf("%s names the folder it was compiled in", name)
		}
		if strings.HasSuffix(name, ".pyc") && (len(f.Data) < 16 || f.Data[4] != 1) {
			t.Errorf("%s is bytecode that is compared with its source", name)
		}
		if rest, ok := strings.CutPrefix(name, ".venv/lib/python3."); ok {
			if _, rest, ok = strings.Cut(rest, "/site-packages/"); ok && !strings.Contains(rest, "/") && !strings.HasSuffix(rest, ".dist-info") && rest != "__pycache__" {
				modules = append(modules, rest)
			}
			continue
		}
		if !f.FileInfo().IsDir() && !packaged && !strings.Contains(name, "__pycache__/") {
			files = append(files, name)
		}
		if strings.HasSuffix(name, ".py") && !packaged && f.Size > 0 {
			dir, base := filepath.Split(name)
			if !slices.ContainsFunc([]string{"311", "313", "314"}, func(v string) bool {
				_, ok := found[dir+"__pycache__/"+strings.TrimSuffix(base, ".py")+".cpython-"+v+".pyc"]
				return ok
			}) {
				t.Errorf("%s has no bytecode", name)
			}
		}
	}
	slices.Sort(files)
	slices.Sort(modules)
	return files, modules
}
