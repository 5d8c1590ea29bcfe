package python_test

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// repository serves a git repository of files, with the tag v1.0, as NAME.git.
func repository(t *testing.T, name string, files map[string]string) *httptest.Server {
	t.Helper()
	root, work := t.TempDir(), filepath.Join(t.TempDir(), name)
	for file, text := range files {
		e2etest.Write(t, filepath.Join(work, file), text)
	}
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", work},
		{"-C", work, "add", "."},
		{"-C", work, "-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-q", "-m", "first"},
		{"-C", work, "tag", "v1.0"},
		{"clone", "-q", "--bare", work, filepath.Join(root, name+".git")},
	} {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "HOME="+root, "GIT_CONFIG_NOSYSTEM=1")
		harness.Run(t, cmd)
	}
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(&cgi.Handler{Path: git, Args: []string{"http-backend"}, Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root}})
	t.Cleanup(server.Close)
	return server
}

// One project with what comes from elsewhere than an index: a package of a git repository, a
// wheel in the project, and a package of the project, editable in its requirements, with a
// module in C, in a namespace, with data. Its server is hypercorn.
func TestPythonShapes(t *testing.T) {
	harness.Birdhouse(t)
	const backend = "[build-system]\nrequires = [\"setuptools==80.9.0\"]\nbuild-backend = \"setuptools.build_meta\"\n"
	server := repository(t, "twig", map[string]string{
		"pyproject.toml": "[project]\nname = \"twig\"\nversion = \"1.0\"\n\n" + backend + "\n[tool.setuptools]\npy-modules = [\"twig\"]\n",
		"twig.py":        "text = 'from git'\n",
	})
	file, data := wheel(t, "oak_hollow_nest", "1.0", "py3-none-any", "text = 'from a file'\n")
	dir := e2etest.Project(t, map[string]string{
		"requirements.txt": "starlette==0.50.0\nhypercorn==0.17.3\ntwig @ git+" + server.URL + "/twig.git@v1.0\n./wheels/" + file + "\n-e ./feather\n",
		"wheels/" + file:   string(data),
		"feather/pyproject.toml": "[project]\nname = \"acme-feather\"\nversion = \"1.0\"\n\n" + backend +
			"\n[tool.setuptools]\next-modules = [{name = \"acme.feather.down\", sources = [\"src/down.c\"]}]\n\n[tool.setuptools.package-data]\n\"acme.feather\" = [\"colours.txt\"]\n",
		"feather/src/acme/feather/__init__.py":  "from importlib.resources import files\n\nfrom .down import soft\n\ntext = files(__name__).joinpath('colours.txt').read_text().strip() + ' ' + soft()\n",
		"feather/src/acme/feather/colours.txt":  "blue\n",
		"feather/src/acme/feather/test_down.py": "",
		"feather/src/down.c":                    "#include <Python.h>\nstatic PyObject *soft(PyObject *self, PyObject *args) { return PyUnicode_FromString(\"from C\"); }\nstatic PyMethodDef m[] = {{\"soft\", soft, METH_NOARGS, \"\"}, {0}};\nstatic struct PyModuleDef d = {PyModuleDef_HEAD_INIT, \"down\", \"\", -1, m};\nPyMODINIT_FUNC PyInit_down(void) { return PyModule_Create(&d); }\n",
		"app.py":                                "import acme.feather, oak_hollow_nest, twig\nfrom starlette.applications import Starlette\nfrom starlette.responses import PlainTextResponse\nfrom starlette.routing import Route\n\n\nasync def hello(request):\n    return PlainTextResponse(', '.join([twig.text, oak_hollow_nest.text, acme.feather.text]))\n\n\napp = Starlette(routes=[Route('/', hello)])\n",
		"birdhouse.yaml":                        "language: python\nversion: \"3.13\"\nbuild: {sdist: [twig]}\n",
	})
	port := listenOn(t, dir)
	name, out := e2etest.Build(t, dir)
	e2etest.Contains(t, out, "build the wheel of acme-feather")
	p := start(t, name, port)
	if got, want := p.Get(t, "/"), "from git, from a file, blue from C"; got != want {
		t.Errorf("the program answers %q, want %q", got, want)
	}
	p.Ends(t, 0, 143)
	files, modules := contents(t, e2etest.Stored(t, name, ""))
	if slices.ContainsFunc(files, func(f string) bool { return strings.HasPrefix(f, "feather/") }) {
		t.Errorf("the sources of an installed package are in the image: %q", files)
	}
	for _, m := range []string{"acme", "oak_hollow_nest.py", "twig.py", "hypercorn"} {
		if !slices.Contains(modules, m) {
			t.Errorf("the image has the modules %q, not %s", modules, m)
		}
	}
}

// Granian serves applications of both kinds.
func TestPythonGranian(t *testing.T) {
	for kind, files := range map[string]map[string]string{
		"wsgi": {
			"requirements.txt": "flask==3.1.2\ngranian==2.8.5\n",
			"main.py":          "from flask import Flask\n\napp = Flask(__name__)\n\n\n@app.get('/')\ndef hello():\n    return 'wsgi'\n",
		},
		"asgi": {
			"requirements.txt": "starlette==0.50.0\ngranian==2.8.5\n",
			"main.py":          "from starlette.applications import Starlette\nfrom starlette.responses import PlainTextResponse\nfrom starlette.routing import Route\n\n\nasync def hello(request):\n    return PlainTextResponse('asgi')\n\n\napp = Starlette(routes=[Route('/', hello)])\n",
		},
	} {
		t.Run(kind, func(t *testing.T) {
			files["birdhouse.yaml"] = "language: python\n"
			dir := e2etest.Project(t, files)
			port := listenOn(t, dir)
			name, _ := e2etest.Build(t, dir)
			p := start(t, name, port)
			if got := p.Get(t, "/"); got != kind {
				t.Errorf("the program answers %q", got)
			}
			p.Ends(t, 0, 143)
		})
	}
}

// A wheel of more than 50 MB is a layer by itself, which another choice of groups and extras
// leaves alone.
func TestPythonLarge(t *testing.T) {
	harness.Birdhouse(t)
	const info = "oak_hollow_big-1.0.dist-info/"
	noise := make([]byte, 51<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(noise)
	big := zipped(t, [][2]string{
		{"oak_hollow_big/__init__.py", "text = 'big'\n"}, {"oak_hollow_big/noise.bin", string(noise)},
		{info + "METADATA", "Metadata-Version: 2.1\nName: oak_hollow_big\nVersion: 1.0\n"},
		{info + "WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"},
		{info + "RECORD", "oak_hollow_big/__init__.py,,\noak_hollow_big/noise.bin,,\n" + info + "METADATA,,\n" + info + "WHEEL,,\n" + info + "RECORD,,\n"},
	})
	wheels := map[string][]byte{"oak_hollow_big-1.0-py3-none-any.whl": big}
	for _, bird := range []string{"owl", "wren"} {
		file, data := wheel(t, "oak_hollow_"+bird, "1.0", "py3-none-any", "text = '"+bird+"'\n")
		wheels[file] = data
	}
	server := index(t, "", wheels)
	lock := "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"nest\"\nversion = \"1.0\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"oak-hollow-big\" }]\n\n" +
		"[package.optional-dependencies]\nsongs = [{ name = \"oak-hollow-wren\" }]\n\n[package.dev-dependencies]\nnight = [{ name = \"oak-hollow-owl\" }]\n\n" +
		"[package.metadata]\nrequires-dist = [{ name = \"oak-hollow-big\" }, { name = \"oak-hollow-wren\", marker = \"extra == 'songs'\" }]\nprovides-extras = [\"songs\"]\n\n[package.metadata.requires-dev]\nnight = [{ name = \"oak-hollow-owl\" }]\n"
	for _, name := range []string{"big", "owl", "wren"} {
		file := "oak_hollow_" + name + "-1.0-py3-none-any.whl"
		lock += fmt.Sprintf("\n[[package]]\nname = \"oak-hollow-%s\"\nversion = \"1.0\"\nsource = { registry = %q }\nwheels = [{ url = \"%s/files/%s\", hash = \"sha256:%x\", size = %d }]\n",
			name, server.URL+"/simple", server.URL, file, sha256.Sum256(wheels[file]), len(wheels[file]))
	}
	descriptor := "language: python\nbuild: {env: {UV_DEFAULT_INDEX: \"" + server.URL + "/simple\"}}\n"
	dir := e2etest.Project(t, map[string]string{
		"pyproject.toml": "[project]\nname = \"nest\"\nversion = \"1.0\"\nrequires-python = \">=3.11\"\ndependencies = [\"oak-hollow-big\"]\n\n[project.optional-dependencies]\nsongs = [\"oak-hollow-wren\"]\n\n[dependency-groups]\nnight = [\"oak-hollow-owl\"]\n",
		"uv.lock":        lock,
		"main.py":        "import importlib, oak_hollow_big\n\nbirds = []\nfor name in 'owl', 'wren':\n    try:\n        birds.append(importlib.import_module('oak_hollow_' + name).text)\n    except ModuleNotFoundError:\n        pass\nprint(oak_hollow_big.text, *birds)\n",
		"birdhouse.yaml": strings.Replace(descriptor, "{env", "{groups: [night], extras: [songs], env", 1),
	})
	name, _ := e2etest.Build(t, dir)
	if got := e2etest.Answer(t, name, []string{"--read-only"}); got != "big owl wren" {
		t.Errorf("the program prints %q", got)
	}
	before := e2etest.Stored(t, name, "")
	contents(t, before)
	layers := e2etest.ContentsOf(t, before).Layers
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), descriptor)
	_, out := e2etest.Build(t, dir)
	if step := "[deps-oak-hollow-big] uv pip install oak-hollow-big"; !e2etest.IsCached(out, step) {
		t.Errorf("%s is not cached:\n%s", step, out)
	}
	if got := e2etest.Answer(t, name, []string{"--read-only"}); got != "big" {
		t.Errorf("the program prints %q", got)
	}
	after := e2etest.ContentsOf(t, e2etest.Stored(t, name, "")).Layers
	at := len(layers) - 3 // before dependencies and application
	if len(after) != len(layers) || !slices.Equal(after[:at+1], layers[:at+1]) || after[at+1] == layers[at+1] {
		t.Errorf("another choice is to change the dependencies alone: %q became %q", layers, after)
	}
	if parts, err := before.Layers(); err != nil {
		t.Fatal(err)
	} else if found := e2etest.Members(t, parts[at]); found["app/.venv/lib/python3.14/site-packages/oak_hollow_big/noise.bin"].Size != int64(len(noise)) {
		t.Errorf("the layer before the dependencies has no large package: %d files", len(found))
	}
}
