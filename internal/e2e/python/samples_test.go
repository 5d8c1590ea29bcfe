package python_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// sample is a project of testdata/python and what its image must do.
type sample struct {
	name string
	// serves says that it answers HTTP; others print and end.
	serves bool
	// want is what the program answers for /, or prints.
	want string
	// files are those of /app without the environment, modules those at the top of the
	// environment's; nil is anything.
	files, modules []string
	// says must be in the build's output, not what must not.
	says, not []string
}

var samples = []sample{
	{name: "bare", serves: true, want: "hello from python", files: []string{"main.py"}, modules: []string{}, not: []string{"uv "}},
	{name: "script", want: "3 birds", files: []string{"birds.txt", "count.py"}, modules: []string{}, not: []string{"uv "}},
	{name: "requirements", serves: true, want: "hello from requests 2.32.5, 2 proxies", files: []string{"app.py"},
		modules: []string{"bottle.py", "certifi", "charset_normalizer", "greeting.py", "idna", "requests", "socks.py", "sockshandler.py", "urllib3", "waitress"}},
	{name: "hashed", serves: true, want: "hello from bottle", files: []string{"wsgi.py"}, modules: []string{"bottle.py", "waitress"}},
	{name: "uv-package", want: "robin, swift, wren", files: []string{}, modules: []string{"bird_list", "click"},
		says: []string{"[deps] uv sync --frozen", "[test] python -m pytest", "1 passed", "build the wheel of bird-list"}},
	{name: "uv-app", serves: true, want: `{"hello":"fastapi"}`, files: []string{"birds/__init__.py", "main.py", "pyproject.toml"}},
	{name: "uv-workspace", serves: true, want: "robin, wren", files: []string{"apps/api/main.py", "apps/api/pyproject.toml"},
		modules: []string{"_yaml", "acme", "anyio", "click", "h11", "idna", "starlette", "typing_extensions.py", "uvicorn", "yaml"},
		says:    []string{"build the wheel of acme-birds"}},
	{name: "pylock", serves: true, want: "hello from pylock", files: []string{"pyproject.toml", "wsgi.py"}, modules: []string{"bottle.py", "waitress"}},
	{name: "poetry", serves: true, want: "hello from poetry", files: []string{}, modules: []string{"bottle.py", "nest", "waitress"}},
	{name: "pdm", serves: true, want: "hello from pdm", files: []string{"pyproject.toml", "wsgi.py"}, modules: []string{"bottle.py", "gunicorn", "packaging"}},
	{name: "pipenv", serves: true, want: "hello from pipenv", files: []string{"wsgi.py"}, modules: []string{"bottle.py", "waitress"}},
	{name: "unlocked", want: "hello robin", files: []string{"pyproject.toml", "unlocked/__init__.py", "unlocked/__main__.py"}, modules: []string{"click"}, says: []string{"click==8.3", "there is no lock file: the newest versions"}},
	{name: "setup-py", want: "['robin', 'wren', 'swift']", files: []string{}, modules: []string{"oldbird"}, says: []string{"there is no lock file: the newest versions"}},
}

// elsewhere are the samples that other tests build.
var elsewhere = map[string]string{"flask": "TestPythonFlask", "django": "TestPythonDjango"}

// Every sample is built and started, answers, and ends when it is told to.
func TestPythonSamples(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			dir := project(t, s.name)
			port := 0
			if s.serves {
				port = listenOn(t, dir)
			}
			name, out := e2etest.Build(t, dir)
			e2etest.Contains(t, out, s.says...)
			for _, text := range s.not {
				if strings.Contains(out, "] "+text) {
					t.Errorf("the build says %q:\n%s", text, out)
				}
			}
			if s.serves {
				p := start(t, name, port)
				if got := p.Get(t, "/"); got != s.want {
					t.Errorf("the program answers %q, want %q", got, s.want)
				}
				p.Ends(t, 0, 143)
			} else if got := e2etest.Answer(t, name, []string{"--read-only"}); got != s.want {
				t.Errorf("the program prints %q, want %q", got, s.want)
			}
			files, modules := contents(t, e2etest.Stored(t, name, ""))
			if s.files != nil && !slices.Equal(files, s.files) {
				t.Errorf("the image has %q, want %q", files, s.files)
			}
			if s.modules != nil && !slices.Equal(modules, s.modules) {
				t.Errorf("the image has the modules %q, want %q", modules, s.modules)
			}
		})
	}
}

func TestPythonSamplesAreComplete(t *testing.T) {
	harness.Birdhouse(t)
	known := map[string]bool{}
	for _, s := range samples {
		known[s.name] = true
	}
	for name := range elsewhere {
		known[name] = true
	}
	e2etest.SamplesAreBuilt(t, "python", known)
}

// maxFlask is how large, in bytes as they are pushed, the image of a server with Flask
// and gunicorn may be.
const maxFlask = 21_000_000

// A server with Flask: what it runs as, how large it is, what an edit costs.
func TestPythonFlask(t *testing.T) {
	dir := project(t, "flask")
	port := listenOn(t, dir)
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "language: python", "language: python\nsmoke: {path: /, output: flask}")
	name, out := e2etest.Build(t, dir)
	e2etest.Contains(t, out, "[deps] uv pip install --requirements requirements.txt", "dependencies   sometimes")
	p := start(t, name, port)
	if got := p.Get(t, "/"); got != "hello from flask" {
		t.Errorf("/ answers %q", got)
	}
	if got := p.Get(t, "/env"); got != `{"dir":"/app","unbuffered":"1","user":65532}` {
		t.Errorf("/env answers %s", got)
	}
	p.Ends(t, 0)
	img := e2etest.Stored(t, name, "")
	contents(t, img)
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	size := manifest.Config.Size
	for _, l := range manifest.Layers {
		size += l.Size
	}
	if size > maxFlask {
		t.Errorf("the image has %d bytes, more than %d", size, maxFlask)
	}
	before := e2etest.ContentsOf(t, img)

	// A source edit changes the last layer alone.
	e2etest.Edit(t, filepath.Join(dir, "app.py"), "hello from flask", "hello again from flask")
	_, out = e2etest.Build(t, dir)
	if step := "[deps] uv pip install"; !e2etest.IsCached(out, step) {
		t.Errorf("%s is not cached after an edit:\n%s", step, out)
	}
	after := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	if n := len(before.Layers); len(after.Layers) != n || !slices.Equal(before.Layers[:n-1], after.Layers[:n-1]) || before.Layers[n-1] == after.Layers[n-1] {
		t.Errorf("an edit is to change the last layer alone: %q became %q", before.Layers, after.Layers)
	}
	// A comment in the requirements installs nothing.
	e2etest.Edit(t, filepath.Join(dir, "requirements.txt"), "flask==", "# the web\nflask==")
	_, out = e2etest.Build(t, dir)
	if step := "[deps] uv pip install"; !e2etest.IsCached(out, step) {
		t.Errorf("%s is not cached after a comment:\n%s", step, out)
	}
}

// Django on a WSGI and on an ASGI server, whichever is a dependency, with the static
// files that a command of the build collects.
func TestPythonDjango(t *testing.T) {
	for _, c := range []struct{ server, says string }{{"gunicorn==23.0.0", "Django's WSGI application, served by gunicorn"}, {"uvicorn==0.38.0", "Django's ASGI application, served by uvicorn"}} {
		server, _, _ := strings.Cut(c.server, "==")
		t.Run(server, func(t *testing.T) {
			dir := project(t, "django")
			port := listenOn(t, dir)
			e2etest.Edit(t, filepath.Join(dir, "requirements.txt"), "gunicorn==23.0.0", c.server)
			e2etest.Contains(t, harness.Run(t, e2etest.Birdhouse(t, "plan", dir)), c.says)
			name, out := e2etest.Build(t, dir)
			e2etest.Contains(t, out, "python manage.py collectstatic --noinput", "1 static file copied")
			p := start(t, name, port)
			page := p.Get(t, "/")
			e2etest.Contains(t, page, "<p>robin</p>")
			_, css, _ := strings.Cut(page, `href="`)
			css, _, _ = strings.Cut(css, `"`)
			if !strings.HasPrefix(css, "/static/birds/birds.") || css == "/static/birds/birds.css" {
				t.Errorf("the style sheet is %q", css)
			}
			e2etest.Contains(t, p.Get(t, css), "teal")
			p.Ends(t, 0, 143)
			files, _ := contents(t, e2etest.Stored(t, name, ""))
			for _, f := range []string{"staticfiles/staticfiles.json", "birds/templates/birds/index.html"} {
				if !slices.Contains(files, f) {
					t.Errorf("the image has no %s: %q", f, files)
				}
			}
		})
	}
}

// An edit of a package's source makes its wheel anew, and one layer.
func TestPythonPackageEdit(t *testing.T) {
	dir := project(t, "uv-package")
	name, _ := e2etest.Build(t, dir)
	before := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	e2etest.Edit(t, filepath.Join(dir, "src", "bird_list", "birds.txt"), "swift", "kestrel")
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "swift, wren", "wren")
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "robin, wren", "kestrel, robin, wren")
	e2etest.Edit(t, filepath.Join(dir, "pyproject.toml"), `version = "1.0.0"`, `version = "1.0.1"`)
	_, out := e2etest.Build(t, dir)
	for _, step := range []string{"[deps] uv sync", "[build-system] install hatchling", "[test-deps] uv sync"} {
		if !e2etest.IsCached(out, step) {
			t.Errorf("%s is not cached after an edit:\n%s", step, out)
		}
	}
	if got := e2etest.Answer(t, name, nil, "--count"); got != "3" {
		t.Errorf("the program prints %q", got)
	}
	after := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	if n := len(before.Layers); len(after.Layers) != n || !slices.Equal(before.Layers[:n-1], after.Layers[:n-1]) || before.Layers[n-1] == after.Layers[n-1] {
		t.Errorf("an edit is to change the last layer alone: %q became %q", before.Layers, after.Layers)
	}
}
