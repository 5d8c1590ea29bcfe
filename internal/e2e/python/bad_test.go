package python_test

import (
	"archive/zip"
	"bytes"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
)

// zipped is an archive of files: names and contents.
func zipped(t *testing.T, files [][2]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range files {
		m, err := w.Create(f[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.Write([]byte(f[1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// What a build shows of a project that cannot be built: what is wrong, and what to do.
func TestPythonBadInput(t *testing.T) {
	windows, data := wheel(t, "elsewhere", "1.0", "py3-none-win_amd64", "")
	pure, ours := wheel(t, "oak_hollow_nest", "1.0", "py3-none-any", "")
	server := index(t, "", map[string][]byte{windows: data, pure: ours, "source_only-1.0.tar.gz": []byte("no archive")})
	from := "build: {env: {UV_DEFAULT_INDEX: \"" + server.URL + "/simple\"}}\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		// tool is what the program that fails prints, want what is said of it.
		tool, want []string
	}{
		{"a hash that is another", map[string]string{
			"requirements.txt": "oak_hollow_nest==1.0 --hash=sha256:" + strings.Repeat("0", 64) + "\n",
			"main.py":          "", "birdhouse.yaml": "language: python\n" + from,
		}, []string{"Hash mismatch for `oak-hollow-nest==1.0`", strings.Repeat("0", 64)}, []string{"[deps] uv pip install --requirements requirements.txt failed at requirements.txt:1: oak-hollow-nest==1.0"}},
		{"no wheel", map[string]string{
			"requirements.txt": "# birds\noak_hollow_nest==1.0\nsource-only==1.0\n",
			"main.py":          "", "birdhouse.yaml": "language: python\n" + from,
		}, []string{"source-only", "no usable wheels"}, []string{"failed at requirements.txt:3: source-only==1.0", "build: {sdist: [source-only]}"}},
		{"a wheel for another platform", map[string]string{
			"requirements.txt": "elsewhere==1.0\n",
			"main.py":          "", "birdhouse.yaml": "language: python\n" + from,
		}, []string{"elsewhere", "no wheels with a matching platform tag"}, []string{"failed at requirements.txt:1: elsewhere==1.0", "or has one for another"}},
		{"requirements that nothing satisfies", map[string]string{
			"pyproject.toml": "[project]\nname = \"nest\"\nversion = \"1\"\ndependencies = [\n  \"oak_hollow_nest>=7\",\n]\n",
			"main.py":        "", "birdhouse.yaml": "language: python\n" + from,
		}, []string{"No solution found"}, []string{"failed at pyproject.toml:5: oak-hollow-nest>=7"}},
		{"a module that does not import", map[string]string{
			"requirements.txt": "flask==3.1.2\ngunicorn==23.0.0\n",
			"app.py":           "from flask import Flask\nimport nothing_like_that\n\napp = Flask(__name__)\n",
			"birdhouse.yaml":   "language: python\nversion: \"3.13\"\nsmoke: {path: /}\n",
		}, []string{"Traceback", "ModuleNotFoundError: No module named 'nothing_like_that'"}, []string{"birdhouse.yaml:3", "smoke"}},
		{"setup.py that reads the network", map[string]string{
			"pyproject.toml": "[project]\nname = \"nest\"\nversion = \"1\"\n\n[build-system]\nrequires = [\"setuptools==80.9.0\"]\nbuild-backend = \"setuptools.build_meta\"\n\n[tool.setuptools]\npy-modules = [\"nest\"]\n",
			"setup.py":       "import urllib.request\nfrom setuptools import setup\n\nurllib.request.urlopen('http://192.0.2.1/version', timeout=5)\nsetup()\n",
			"nest.py":        "print('hello')\n",
			"birdhouse.yaml": "language: python\nentrypoint: [python, -m, nest]\n",
		}, []string{"Network is unreachable"}, []string{"build the wheel of", "without network"}},
		{"setup.py that reads the network for its dependencies", map[string]string{
			"setup.py":       "import urllib.request\nfrom setuptools import setup\n\nsetup(name='nest', version='1', py_modules=['nest'], install_requires=urllib.request.urlopen('http://192.0.2.1/needs', timeout=5).read().decode().split())\n",
			"nest.py":        "print('hello')\n",
			"birdhouse.yaml": "language: python\nentrypoint: [python, -m, nest]\n",
		}, []string{"Network is unreachable"}, []string{"[metadata] ask setup.py for dependencies failed", "without network", "dependencies = "}},
		{"a lock file that is older than its manifest", map[string]string{
			"pyproject.toml": "[project]\nname = \"nest\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = [\"oak_hollow_nest\"]\n",
			"uv.lock":        "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"nest\"\nversion = \"1\"\nsource = { virtual = \".\" }\n",
			"main.py":        "", "birdhouse.yaml": "language: python\n" + from,
		}, nil, []string{"pyproject.toml:5", "uv.lock was not made from pyproject.toml", "`uv lock`"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := e2etest.Project(t, c.files)
			out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
			e2etest.Contains(t, out, c.tool...)
			said := e2etest.Said(out)
			e2etest.Contains(t, said, c.want...)
			for _, noise := range e2etest.Noise {
				if strings.Contains(said, noise) {
					t.Errorf("the error has %q in it:\n%s", noise, said)
				}
			}
		})
	}
}
