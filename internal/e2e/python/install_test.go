package python_test

import (
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
)

// The same project in two folders gives the same image, though everything runs twice.
func TestPythonReproducible(t *testing.T) {
	var first e2etest.Contents
	for i, stages := range []string{"", "deps,build-system,packages,build,libraries"} {
		dir := project(t, "uv-workspace")
		if i > 0 {
			moved := filepath.Join(t.TempDir(), "another", "folder")
			if err := os.CopyFS(moved, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			dir = moved
		}
		var args []string
		if stages != "" {
			for _, s := range strings.Split(stages, ",") {
				args = append(args, "--no-cache-filter", s)
			}
		}
		name, out := e2etest.Build(t, dir, args...)
		got := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
		if i == 0 {
			first = got
			continue
		}
		for _, step := range []string{"[deps] uv sync", "build the wheel of acme-birds", "[build] compile bytecode"} {
			e2etest.Contains(t, out, step)
			if e2etest.IsCached(out, step) {
				t.Errorf("%s did not run again:\n%s", step, out)
			}
		}
		if got.Config != first.Config || !slices.Equal(got.Layers, first.Layers) {
			t.Errorf("the images differ: %+v and %+v", first, got)
		}
	}
}

// Wheels are those of the image's architecture, whose programs are never run.
func TestPythonOtherPlatform(t *testing.T) {
	for name, want := range map[string]string{"flask": "markupsafe", "uv-workspace": "yaml"} {
		dir := project(t, name)
		image, _ := e2etest.Build(t, dir, "--platform", "linux/arm64")
		img := e2etest.Stored(t, image, "arm64")
		if got := e2etest.Machines(t, img, "app/.venv/"); !slices.Equal(got, []elf.Machine{elf.EM_AARCH64}) {
			t.Errorf("%s: the environment has machine code for %v", name, got)
		}
		if _, modules := contents(t, img); !slices.Contains(modules, want) {
			t.Errorf("%s: the image has the modules %q, not %s", name, modules, want)
		}
	}
}

// What a module in C is linked against must be in the image; what is missing is named
// with the module and the Debian package that has it.
func TestPythonLibraries(t *testing.T) {
	dir := e2etest.Project(t, map[string]string{
		"requirements.txt": "psycopg2==2.9.11\n",
		"main.py":          "import psycopg2.extensions\nprint(psycopg2.extensions.libpq_version() // 10000)\n",
		"birdhouse.yaml":   "language: python\nversion: \"3.13\"\n",
	})
	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
	e2etest.Contains(t, out, "psycopg2==2.9.11 has no usable wheels", "failed at requirements.txt:1: psycopg2==2.9.11", "build: {sdist: [psycopg2]}")
	descriptor := "language: python\nversion: \"3.13\"\nbuild: {sdist: [psycopg2], packages: [libpq-dev, perl-base]}\n"
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), descriptor)
	out = e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
	e2etest.Contains(t, out, "psycopg2/_psycopg.cpython-313-x86_64-linux-gnu.so", "libpq.so.5", "packages: [libpq5]", "[libraries] check shared libraries failed")
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), descriptor+"packages: [libpq5]\n")
	name, _ := e2etest.Build(t, dir)
	if got := e2etest.Answer(t, name, []string{"--read-only"}); got != "17" {
		t.Errorf("the program prints %q", got)
	}
	contents(t, e2etest.Stored(t, name, ""))
}

// wheel is a wheel of one module of Python: its file's name and content.
func wheel(t *testing.T, name, version, tag, text string) (file string, data []byte) {
	t.Helper()
	info := fmt.Sprintf("%s-%s.dist-info/", name, version)
	return fmt.Sprintf("%s-%s-%s.whl", name, version, tag), zipped(t, [][2]string{
		{name + ".py", text},
		{info + "METADATA", fmt.Sprintf("Metadata-Version: 2.1\nName: %s\nVersion: %s\n", name, version)},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: " + tag + "\n"},
		{info + "RECORD", fmt.Sprintf("%s.py,,\n%sMETADATA,,\n%sWHEEL,,\n%sRECORD,,\n", name, info, info, info)},
	})
}

// index serves files as a package index
// (https://packaging.python.org/en/latest/specifications/simple-repository-api/); with a
// password, to those alone who know it.
func index(t *testing.T, password string, files map[string][]byte) *httptest.Server {
	t.Helper()
	var h http.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if data, ok := files[path.Base(r.URL.Path)]; ok && strings.HasPrefix(r.URL.Path, "/files/") {
			_, _ = w.Write(data)
			return
		}
		project, found := strings.CutPrefix(strings.TrimSuffix(r.URL.Path, "/"), "/simple/")
		w.Header().Set("Content-Type", "text/html")
		any := false
		for name, data := range files {
			if found && strings.HasPrefix(name, strings.ReplaceAll(project, "-", "_")+"-") {
				fmt.Fprintf(w, "<a href=\"/files/%s#sha256=%x\">%s</a>\n", name, sha256.Sum256(data), name)
				any = true
			}
		}
		if !any {
			w.WriteHeader(http.StatusNotFound)
		}
	})
	if password != "" {
		h = e2etest.Asks("robin", password, h)
	}
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// A private index opens for the secret netrc, or the variables of an index that
// pyproject.toml names; the password is nowhere but there.
func TestPythonPrivateIndex(t *testing.T) {
	const password = "sings-at-dawn"
	file, data := wheel(t, "oak_hollow_nest", "1.0", "py3-none-any", "where = 'in the oak'\n")
	wren, more := wheel(t, "oak_hollow_wren", "1.0", "py3-none-any", "name = 'wren'\n")
	server := index(t, password, map[string][]byte{file: data, wren: more})
	dir := e2etest.Project(t, map[string]string{
		"requirements.txt": "oak_hollow_nest==1.0\noak_hollow_wren @ " + server.URL + "/files/" + wren + "\n",
		"main.py":          "import oak_hollow_nest, oak_hollow_wren\nprint(oak_hollow_wren.name, oak_hollow_nest.where)\n",
		"birdhouse.yaml":   "language: python\nsecrets: [netrc]\nbuild: {env: {UV_DEFAULT_INDEX: \"" + server.URL + "/simple\"}}\n",
	})
	netrc := func(password string) string {
		file := filepath.Join(t.TempDir(), "netrc")
		e2etest.Write(t, file, "machine 127.0.0.1 login robin password "+password+"\n")
		return "id=netrc,src=" + file
	}
	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", "--secret", netrc("sings-at-dusk"), dir))
	e2etest.Contains(t, out, "oak-hollow-", "401 Unauthorized", "secrets: [netrc]")
	name, out := e2etest.Build(t, dir, "--secret", netrc(password))
	if got := e2etest.Answer(t, name, nil); got != "wren in the oak" {
		t.Errorf("the program prints %q", got)
	}
	checkSecret(t, name, out, password)

	// The configuration of pip has the index's address and the password.
	config := filepath.Join(t.TempDir(), "pip.conf")
	e2etest.Write(t, config, "[global]\nindex-url = "+strings.Replace(server.URL, "://", "://robin:"+password+"@", 1)+"/simple\n")
	dir = e2etest.Project(t, map[string]string{
		"requirements.txt": "oak_hollow_nest==1.0\n",
		"main.py":          "import oak_hollow_nest\nprint(oak_hollow_nest.where)\n",
		"birdhouse.yaml":   "language: python\nsecrets: [pip.conf]\n",
	})
	name, out = e2etest.Build(t, dir, "--secret", "id=pip.conf,src="+config)
	if got := e2etest.Answer(t, name, nil); got != "in the oak" {
		t.Errorf("the program prints %q", got)
	}
	checkSecret(t, name, out, password)

	// The index that a manifest names, with credentials of its own, and no lock file.
	dir = e2etest.Project(t, map[string]string{
		"pyproject.toml": "[project]\nname = \"nest\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = [\"oak_hollow_nest\"]\n\n[[tool.uv.index]]\nname = \"oak-tree\"\nurl = \"" + server.URL + "/simple\"\n",
		"main.py":        "import oak_hollow_nest\nprint(oak_hollow_nest.where)\n",
		"birdhouse.yaml": "language: python\n",
	})
	t.Setenv("NEST_PASSWORD", password)
	t.Setenv("NEST_USER", "robin")
	name, out = e2etest.Build(t, dir, "--secret", "id=UV_INDEX_OAK_TREE_USERNAME,env=NEST_USER", "--secret", "id=UV_INDEX_OAK_TREE_PASSWORD,env=NEST_PASSWORD")
	if got := e2etest.Answer(t, name, nil); got != "in the oak" {
		t.Errorf("the program prints %q", got)
	}
	checkSecret(t, name, out, password)
}

// checkSecret checks that a password is in no file of an image, and was not printed.
func checkSecret(t *testing.T, name, out, password string) {
	t.Helper()
	if strings.Contains(out, password) {
		t.Errorf("the build printed the password:\n%s", out)
	}
	contents(t, e2etest.Stored(t, name, ""))
	for file, m := range e2etest.Files(t, e2etest.Stored(t, name, "")) {
		if strings.Contains(string(m.Data), password) {
			t.Errorf("%s has the password in it", file)
		}
	}
}
