package python_test

import (
	"io/fs"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/internal/plantest"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/python"
	"github.com/birdhouse-build/birdhouse/steps/exec"
)

const samples = "../../testdata/python"

// versions are those of a small catalog.
var versions = []string{"3.11", "3.13", "3.14"}

// Of projects and plans.
var files, fact, stage, value = plantest.Files, plantest.Fact, plantest.Stage, plantest.Value

func planFor(t testing.TB, descriptor string, project fs.FS) plantest.Result {
	t.Helper()
	return plantest.For(t, python.Language{}, versions, descriptor, project, "")
}

func TestSamples(t *testing.T) {
	plantest.Samples(t, samples, 10, func(t *testing.T, descriptor string, project fs.FS) plantest.Result {
		return planFor(t, descriptor, project)
	})
}

func TestVersion(t *testing.T) {
	pyproject := func(requires string) fstest.MapFS {
		return files("pyproject.toml", "[project]\nname = \"a\"\nrequires-python = \""+requires+"\"\n")
	}
	for _, tt := range []struct {
		name       string
		descriptor string
		project    fstest.MapFS
		want       string
	}{
		{"nothing said", "", files(), "3.14 the newest in the catalog"},
		{"descriptor", "version: 3.13", files(), "3.13 birdhouse.yaml:2"},
		{"descriptor, in full", "version: 3.13.5", files(), "3.13 birdhouse.yaml:2 says 3.13.5; the catalog's newest of that line"},
		{"descriptor, major", "version: 3", files(), "3.14 birdhouse.yaml:2 says 3"},
		{"descriptor, not there", "version: '3.10'", files(), "birdhouse.yaml:2:10: version: Python 3.10 is not in the catalog"},
		{"what there is", "version: 3.12", files(), "there are 3.11, 3.13, 3.14"},
		{"Python 2", "version: '2.7'", files(), "version: Python 2.7 is not in the catalog"},
		{"descriptor, no version", "version: newest", files(), `version: "newest" is not a version of Python`},
		{"PyPy", "", files(".python-version", "pypy3.10-7.3.12\n"), ".python-version:1:1: pypy3.10-7.3.12 is not supported: the images have CPython"},
		{".python-version", "", files(".python-version", "# ours\n3.13.1\n3.11\n"), "3.13 .python-version:2 says 3.13.1"},
		{".python-version of uv", "", files(".python-version", "cpython-3.13\n"), "3.13 .python-version:1"},
		{".python-version, a range", "", files(".python-version", ">=3.11,<3.14\n"), "3.13 .python-version:1 says >=3.11,<3.14"},
		{".python-version before .tool-versions", "", files(".python-version", "3.11", ".tool-versions", "python 3.13.0"), "3.11 .python-version:1"},
		{".tool-versions", "", files(".tool-versions", "golang 1.26\npython 3.13.1 3.11.2\n"), "3.13 .tool-versions:2 says 3.13.1"},
		{"mise.toml", "", files("mise.toml", "[tools]\npython = \"3.11\"\n"), "3.11 mise.toml:2"},
		{"runtime.txt", "", files("runtime.txt", "python-3.13.7\n"), "3.13 runtime.txt:1 says python-3.13.7"},
		{"Pipfile", "", files("Pipfile", "[requires]\npython_version = \"3.11\"\n"), "3.11 Pipfile:2"},
		{"Pipfile, not there", "", files("Pipfile", "[requires]\npython_version = \"3.9\"\n"), "Pipfile:2:18: python_version: Python 3.9 is not in the catalog"},
		{"requires-python", "", pyproject(">=3.9,<3.14"), "3.13 pyproject.toml:3 says >=3.9,<3.14; the newest in the catalog that fits"},
		{"requires-python, patch", "", pyproject(">=3.13.4,<3.14"), "3.13 pyproject.toml:3"},
		{"requires-python, compatible", "", pyproject("~=3.11"), "3.14 pyproject.toml:3"},
		{"requires-python, one line", "", pyproject("~=3.11.2"), "3.11 pyproject.toml:3"},
		{"requires-python that nothing is in", "", pyproject(">=3.12,<3.13"), "pyproject.toml:3:19: requires-python: no Python of the catalog is in >=3.12,<3.13"},
		{"requires-python that is none", "", pyproject("^3.12"), "pyproject.toml:3:19: requires-python: "},
		{"asked against requires-python", "version: 3.11", pyproject(">=3.13"), "birdhouse.yaml:2:10: version: Python 3.11 is not what pyproject.toml:3 asks for (>=3.13)"},
		{".python-version against requires-python", "", func() fstest.MapFS {
			p := pyproject(">=3.13")
			p[".python-version"] = &fstest.MapFile{Data: []byte("3.11\n")}
			return p
		}(), ".python-version:1:1: Python 3.11 is not what pyproject.toml:3 asks for (>=3.13)"},
		{"Poetry's caret", "", files("pyproject.toml", "[tool.poetry]\nname = \"a\"\npackage-mode = false\n[tool.poetry.dependencies]\npython = \"~3.11\"\n", "poetry.lock", poetryLock), "3.11 pyproject.toml:5 says ~3.11"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.project["main.py"] = &fstest.MapFile{Data: []byte("print(1)\n")}
			r := planFor(t, "language: python\n"+tt.descriptor+"\n", tt.project)
			if r.Plan == nil {
				require.Contains(t, r.Text, tt.want)
				return
			}
			f := fact(t, r.Plan, "version")
			require.Contains(t, f.Value+" "+f.Source, tt.want)
			require.Equal(t, f.Value, r.Plan.Run.Version)
		})
	}
}

const poetryLock = "package = []\n\n[metadata]\nlock-version = \"2.1\"\npython-versions = \"~3.11\"\n"

// The command of the image, or the problem.
func TestEntry(t *testing.T) {
	const (
		bare = "/usr/bin/tini -- /usr/bin/python3.14 "
		venv = "/usr/bin/tini -- /app/.venv/bin/python "
	)
	project := func(more string) string {
		return "[project]\nname = \"bird-house\"\nversion = \"1\"\n" + more + "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n"
	}
	const flask, fastapi = "from flask import Flask\napp = Flask(__name__)\n", "from fastapi import FastAPI\napp: FastAPI = FastAPI(title='x')\n"
	for _, tt := range []struct {
		name       string
		project    []string
		descriptor string
		want       string
	}{
		{name: "main.py", project: []string{"main.py", ""}, want: bare + "main.py"},
		{name: "only file", project: []string{"count.py", "", "test_count.py", ""}, want: bare + "count.py"},
		{name: "main.py and others", project: []string{"main.py", "", "server.py", "", "util.py", ""}, want: bare + "main.py"},
		{name: "two names", project: []string{"app.py", "", "server.py", ""}, want: "there are 2 files that could be the program (app.py, server.py)"},
		{name: "two names, the line", project: []string{"app.py", "", "server.py", ""}, want: "entrypoint: [python, server.py]"},
		{name: "nothing", project: []string{"a.py", "", "b.py", ""}, want: "nothing says how the program in the build context is started"},
		{name: "src", project: []string{"src/main.py", ""}, want: bare + "src/main.py | PYTHONPATH=/app/src"},
		{name: "__main__.py", project: []string{"birds/__main__.py", "", "birds/__init__.py", ""}, want: bare + "-m birds"},
		{name: "two __main__.py", project: []string{"a/__main__.py", "", "b/__main__.py", ""}, want: "there are 2 packages with a __main__.py"},
		{name: "script", project: []string{"pyproject.toml", project("[project.scripts]\nserve = \"bird_house:main\"\n"), "src/bird_house/__init__.py", ""}, want: venv + "/app/.venv/bin/serve"},
		{name: "script with the project's name", project: []string{"pyproject.toml", project("[project.scripts]\nserve = \"b:main\"\nbird-house = \"b:run\"\n"), "src/bird_house/__init__.py", ""}, want: venv + "/app/.venv/bin/bird-house"},
		{name: "two scripts", project: []string{"pyproject.toml", project("[project.scripts]\nserve = \"b:main\"\nwork = \"b:run\"\n"), "src/bird_house/__init__.py", ""}, want: "pyproject.toml:4:2: the project has 2 scripts"},
		{name: "two scripts, one chosen", project: []string{"pyproject.toml", project("[project.scripts]\nserve = \"b:main\"\nwork = \"b:run\"\n"), "src/bird_house/__init__.py", ""}, descriptor: "cmd: [work, --fast]", want: "/usr/bin/tini -- | work --fast"},
		{name: "scripts of no package", project: []string{"pyproject.toml", "[project]\nname = \"a\"\n[project.scripts]\nserve = \"main:main\"\n", "main.py", ""}, want: bare + "main.py"},

		{name: "Flask", project: []string{"app.py", flask, "requirements.txt", "flask\ngunicorn\n"}, want: venv + "-m gunicorn --bind 0.0.0.0:8080 --worker-tmp-dir /dev/shm app:app"},
		{name: "Flask, another port", project: []string{"app.py", flask, "requirements.txt", "flask\ngunicorn\n"}, descriptor: "expose: [5000]", want: venv + "-m gunicorn --bind 0.0.0.0:5000 --worker-tmp-dir /dev/shm app:app"},
		{name: "Flask, waitress", project: []string{"app.py", flask, "requirements.txt", "flask\nwaitress\n"}, want: venv + "-m waitress --listen=0.0.0.0:8080 app:app"},
		{name: "Flask alone", project: []string{"app.py", flask, "requirements.txt", "flask\n"}, want: "app:app is an application of Flask, and there is no server for it among the dependencies"},
		{name: "Flask, two servers", project: []string{"app.py", flask, "requirements.txt", "flask\ngunicorn\nwaitress\n"}, want: "there are 2 servers among the dependencies that could run app:app"},
		{name: "Flask, two servers, the line", project: []string{"app.py", flask, "requirements.txt", "flask\ngunicorn\nwaitress\n"}, want: `entrypoint: [python, -m, gunicorn, --bind, "0.0.0.0:8080", --worker-tmp-dir, /dev/shm, "app:app"]`},
		{name: "factory", project: []string{"birds/__init__.py", "def create_app():\n    return None\n", "requirements.txt", "flask\ngunicorn\n"}, want: venv + "-m gunicorn --bind 0.0.0.0:8080 --worker-tmp-dir /dev/shm birds:create_app()"},
		{name: "factory, Hypercorn", project: []string{"birds/__init__.py", "def create_app():\n    return None\n", "requirements.txt", "quart\nhypercorn\ndaphne\n"}, want: venv + "-m hypercorn --bind 0.0.0.0:8080 birds:create_app()"},
		{name: "factory, a server that takes none", project: []string{"birds/__init__.py", "def create_app():\n    return None\n", "requirements.txt", "quart\ndaphne\n"}, want: "birds:create_app is a function that makes an application of Quart, and there is no server for it"},
		{name: "made by a factory", project: []string{"birds/__init__.py", "def create_app():\n    return None\n", "wsgi.py", "from birds import create_app\napp = create_app()\n", "requirements.txt", "flask\ngunicorn\n"}, want: venv + "-m gunicorn --bind 0.0.0.0:8080 --worker-tmp-dir /dev/shm wsgi:app"},
		{name: "FastAPI", project: []string{"app/main.py", fastapi, "app/__init__.py", "", "requirements.txt", "fastapi\nuvicorn\n"}, want: venv + "-m uvicorn --host 0.0.0.0 --port 8080 app.main:app"},
		{name: "FastAPI, standard", project: []string{"main.py", fastapi, "requirements.txt", "fastapi[standard]\n"}, want: venv + "-m uvicorn --host 0.0.0.0 --port 8080 main:app"},
		{name: "FastAPI, gunicorn too", project: []string{"main.py", fastapi, "requirements.txt", "fastapi\nuvicorn\ngunicorn\n"}, want: venv + "-m uvicorn --host 0.0.0.0 --port 8080 main:app"},
		{name: "FastAPI, hypercorn", project: []string{"main.py", fastapi, "requirements.txt", "fastapi\nhypercorn\n"}, want: venv + "-m hypercorn --bind 0.0.0.0:8080 main:app"},
		{name: "FastAPI, granian", project: []string{"main.py", fastapi, "requirements.txt", "fastapi\ngranian\n"}, want: venv + "-m granian --interface asgi --host 0.0.0.0 --port 8080 main:app"},
		{name: "FastAPI in src", project: []string{"src/main.py", fastapi, "requirements.txt", "fastapi\nuvicorn\n"}, want: venv + "-m uvicorn --host 0.0.0.0 --port 8080 main:app | PYTHONPATH=/app/src"},
		{name: "parts of an application", project: []string{"main.py", fastapi, "routes.py", "from fastapi import FastAPI\napi = FastAPI()\n", "requirements.txt", "fastapi\nuvicorn\n"}, want: venv + "-m uvicorn --host 0.0.0.0 --port 8080 main:app"},
		{name: "two applications", project: []string{"a.py", fastapi, "b.py", fastapi, "requirements.txt", "fastapi\nuvicorn\n"}, want: "there are 2 applications that a server could run"},
		{name: "two applications, the line", project: []string{"a.py", fastapi, "b.py", fastapi, "requirements.txt", "fastapi\nuvicorn\n"}, want: `entrypoint: [python, -m, uvicorn, --host, 0.0.0.0, --port, 8080, "b:app"]`},
		{name: "development server", project: []string{"main.py", "import bottle\n\nif True:\n    app.run(debug=True)\n", "requirements.txt", "bottle\n"}, want: "main.py:4:5: this starts a server for development"},
		{name: "package of FastAPI", project: []string{"pyproject.toml", project("dependencies = [\"fastapi\", \"uvicorn\"]\n"), "src/bird_house/__init__.py", "", "src/bird_house/api.py", fastapi}, want: venv + "-m uvicorn --host 0.0.0.0 --port 8080 bird_house.api:app"},

		{name: "Django", project: django("WSGI_APPLICATION = 'site_.wsgi.application'\n", "django\ngunicorn\n"), want: venv + "-m gunicorn --bind 0.0.0.0:8080 --worker-tmp-dir /dev/shm site_.wsgi:application"},
		{name: "Django, uvicorn alone", project: django("WSGI_APPLICATION = 'site_.wsgi.application'\n", "django\nuvicorn\n"), want: venv + "-m uvicorn --host 0.0.0.0 --port 8080 site_.asgi:application"},
		{name: "Django, ASGI", project: django("ASGI_APPLICATION = 'site_.asgi.application'\n", "django\nuvicorn\ngunicorn\n"), want: venv + "-m uvicorn --host 0.0.0.0 --port 8080 site_.asgi:application"},
		{name: "Django, both", project: django("WSGI_APPLICATION = 'site_.wsgi.application'\nASGI_APPLICATION = 'site_.asgi.application'\n", "django\nuvicorn\ngunicorn\n"), want: "Django's settings name a WSGI and an ASGI application"},
		{name: "Django alone", project: django("WSGI_APPLICATION = 'site_.wsgi.application'\n", "django\n"), want: "there is no server for it among the dependencies"},

		{name: "entrypoint", project: []string{"a.py", "", "b.py", ""}, descriptor: "entrypoint: [python, -X, dev, b.py]", want: bare + "-X dev b.py"},
		{name: "entrypoint, a server", project: []string{"a.py", "", "requirements.txt", "gunicorn\n"}, descriptor: "entrypoint: [gunicorn, 'a:app']", want: "/usr/bin/tini -- gunicorn a:app"},
		{name: "entrypoint that is not there", project: []string{"a.py", ""}, descriptor: "entrypoint: [python, b.py]", want: "birdhouse.yaml:2:13: entrypoint: the image will not have /app/b.py: there is no b.py"},
		{name: "entrypoint that is copied", project: []string{"a.py", "", "x/b.py", ""}, descriptor: "entrypoint: [python, b.py]\ncopy: ['x/b.py:/app/b.py']", want: bare + "b.py"},
		{name: "runserver", project: []string{"manage.py", ""}, descriptor: "entrypoint: [python, manage.py, runserver]", want: "entrypoint: manage.py runserver is for development"},
		{name: "flask run", project: []string{"a.py", "", "requirements.txt", "flask\n"}, descriptor: "cmd: [flask, run]", want: "cmd: flask run is for development"},
		{name: "cmd", project: []string{"a.py", "", "b.py", ""}, descriptor: "cmd: [python, a.py]", want: "/usr/bin/tini -- | /usr/bin/python3.14 a.py"},
		{name: "cmd, a server", project: []string{"main.py", fastapi, "requirements.txt", "fastapi\nuvicorn\n"}, descriptor: "cmd: [uvicorn, 'main:app']", want: "/usr/bin/tini -- | uvicorn main:app"},
		{name: "cmd, arguments", project: []string{"main.py", ""}, descriptor: "cmd: [--loud]", want: bare + "main.py | --loud"},
		{name: "no init", project: []string{"main.py", ""}, descriptor: "init: false", want: "/usr/bin/python3.14 main.py"},
		{name: "workdir", project: []string{"main.py", ""}, descriptor: "workdir: /data", want: bare + "/app/main.py | PYTHONPATH=/app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := planFor(t, "language: python\n"+tt.descriptor+"\n", files(tt.project...))
			if r.Plan == nil {
				require.Contains(t, r.Text, tt.want)
				return
			}
			got := strings.Join(r.Plan.Image.Entrypoint, " ")
			if len(r.Plan.Image.Cmd) > 0 {
				got += " | " + strings.Join(r.Plan.Image.Cmd, " ")
			}
			if v := value(r.Plan.Image.Env, "PYTHONPATH"); v != "" {
				got += " | PYTHONPATH=" + v
			}
			require.Equal(t, tt.want, got)
			require.Equal(t, "1", value(r.Plan.Image.Env, "PYTHONUNBUFFERED"))
			require.Equal(t, "1", value(r.Plan.Image.Env, "PYTHONDONTWRITEBYTECODE"))
		})
	}
}

func django(settings, requirements string) []string {
	return []string{
		"manage.py", "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site_.settings')\n",
		"site_/__init__.py", "", "site_/settings.py", settings, "site_/wsgi.py", "", "site_/asgi.py", "", "requirements.txt", requirements,
	}
}

// steps are the arguments of all commands of a stage.
func steps(s plan.Stage) string {
	var all []string
	for _, one := range s.Steps {
		args := slices.Clone(one.Args)
		for i, arg := range args {
			if i > 0 && one.Args[i-1] == "--before" {
				if c, err := exec.ParseCommand(arg); err == nil {
					args[i] = strings.Join(c.Args, " ")
				}
			}
		}
		all = append(all, strings.Join(args, " "))
	}
	return strings.Join(all, "\n")
}

func stageNames(p *plan.Plan) []string {
	var names []string
	for _, s := range p.Stages {
		names = append(names, s.Name)
	}
	return names
}

func layerNames(p *plan.Plan) []string {
	var names []string
	for _, l := range p.Layers {
		names = append(names, l.Name)
	}
	return names
}

// requirementsOf is the text that a stage installs.
func requirementsOf(t *testing.T, s plan.Stage) string {
	t.Helper()
	for _, m := range s.Steps[0].Mounts {
		for _, f := range m.Files {
			if strings.HasSuffix(f.Path, "requirements.txt") {
				return f.Content
			}
		}
	}
	t.Fatal("there are no requirements")
	return ""
}

func TestRequirements(t *testing.T) {
	r := planFor(t, "language: python\n", files(
		"app.py", "", "requirements.txt", "# ours\n-r base.txt   # more\n-c constraints.txt\nflask >= 3 ; python_version > '3'\n",
		"base.txt", "click\n", "constraints.txt", "click<9\n"))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, "click\nflask>=3 ; python_version > \"3\"\n", requirementsOf(t, stage(t, r.Plan, "deps")))

	hash := "sha256:" + strings.Repeat("a", 64)
	r = planFor(t, "language: python\n", files("app.py", "", "requirements.txt", "-r requirements/base.txt\nflask==3.0 --hash="+hash+"\n-c constraints.txt\n",
		"requirements/base.txt", "click==8.1 \\\n   --hash="+hash+"\n", "constraints.txt", "click<9\n"))
	require.NotNil(t, r.Plan, r.Text)
	deps := stage(t, r.Plan, "deps")
	require.Equal(t, "click==8.1 --hash="+hash+"\nflask==3.0 --hash="+hash+"\n", requirementsOf(t, deps))
	require.Contains(t, steps(deps), "--only-binary :all: --require-hashes --constraints constraints.txt --requirements requirements.txt --python-platform=${BIRDHOUSE_PLATFORM}")
	require.True(t, deps.PerPlatform)
	require.Empty(t, deps.Native)
	require.Equal(t, []string{"dependencies", "application"}, layerNames(r.Plan))

	// A line that cannot be read, and passwords.
	r = planFor(t, "language: python\n", files("app.py", "", "requirements.txt", "flask\nclick=8\n"))
	require.Contains(t, r.Text, "requirements.txt:2:")
	require.Contains(t, r.Text, "==8")
	r = planFor(t, "language: python\n", files("app.py", "", "requirements.txt", "--index-url https://me:hunter2@example.com/simple\nflask\n"))
	require.Nil(t, r.Plan)
	require.NotContains(t, r.Text, "hunter2")
	const secret = "\"https://me:hunter2@example.com/simple\"\n"
	for file, text := range map[string]string{
		"uv.toml": "[pip]\nx = 1\nindex-url = " + secret,
		"Pipfile": "[packages]\n[packages.a]\ngit = " + secret,
		// In pyproject.toml.
		"index":        "[[tool.uv.index]]\n\nurl = " + secret,
		"default":      "[tool.uv]\n\nindex-url = " + secret,
		"source":       "[tool.uv.sources.a]\n\ngit = " + secret,
		"build system": "[build-system]\n\nrequires = [\"a @ " + secret[1:len(secret)-1] + "]\n",
		"group":        "[dependency-groups]\n\na = [\"a @ " + secret[1:len(secret)-1] + "]\n",
		"poetry":       "[tool.poetry.dependencies]\n\na = {git = " + secret[:len(secret)-1] + "}\n",
	} {
		name := "pyproject.toml"
		if strings.Contains(file, "file") || strings.HasSuffix(file, ".toml") {
			name = file
		}
		r = planFor(t, "language: python\n", files("main.py", "", name, text))
		require.Nil(t, r.Plan, file)
		require.Contains(t, r.Text, name+": line 3: a password or a token stands in the URL", file)
		require.NotContains(t, r.Text, "hunter2", file)
	}

	// A source that is compiled.
	r = planFor(t, "language: python\nbuild: {sdist: [psycopg2], packages: [libpq-dev]}\n", files("app.py", "", "requirements.txt", "psycopg2\n"))
	deps = stage(t, r.Plan, "deps")
	require.Equal(t, "build-full", deps.Base.Variant)
	require.Equal(t, []string{"libpq-dev"}, deps.Base.Packages)
	require.Equal(t, "psycopg2 is compiled from its source", deps.Native)
	require.Contains(t, steps(deps), "--only-binary :all: --no-binary psycopg2")
	require.Contains(t, deps.Steps[0].Hint, "build: {packages: [perl-base]}")
	require.NotContains(t, steps(deps), "--python-platform")
	require.Contains(t, steps(stage(t, r.Plan, "libraries")), "libcheck --root /run-root --modules **/*.cpython-*.so")
}

func TestChooseTool(t *testing.T) {
	const uvLock, project = "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { virtual = \".\" }\n", "[project]\nname = \"a\"\nversion = \"1\"\nrequires-python = \">=3.11\"\n"
	for _, tt := range []struct {
		name       string
		project    []string
		descriptor string
		want       string
	}{
		{"two locks", []string{"uv.lock", uvLock, "poetry.lock", poetryLock, "pyproject.toml", project}, "", "there are 2 files that say what to install (uv.lock, poetry.lock)"},
		{"two locks, the line", []string{"uv.lock", uvLock, "poetry.lock", poetryLock, "pyproject.toml", project}, "", "build: {tool: poetry}"},
		{"a lock and requirements", []string{"uv.lock", uvLock, "requirements.txt", "flask\n", "pyproject.toml", project}, "", "(uv.lock, requirements.txt)"},
		{"requirements that were exported", []string{"uv.lock", uvLock, "requirements.txt", "# This file was autogenerated by uv via the following command:\n#    uv export -o requirements.txt\nflask==1\n", "pyproject.toml", project}, "", ""},
		{"a tool is named", []string{"uv.lock", uvLock, "requirements.txt", "click\n", "pyproject.toml", project}, "build: {tool: requirements}", ""},
		{"a tool that is not there", []string{"uv.lock", uvLock, "pyproject.toml", project}, "build: {tool: pdm}", "birdhouse.yaml:2:15: build.tool: there is no pdm.lock"},
		{"a tool that nobody knows", []string{"uv.lock", uvLock, "pyproject.toml", project}, "build: {tool: potry}", `did you mean "poetry"?`},
		{"a requirements file is named", []string{"requirements/web.txt", "click\n"}, "build: {tool: requirements/web.txt}", ""},
		{"two requirements files", []string{"requirements/prod.txt", "click\n", "requirements/base.txt", "click\n"}, "", "build: {tool: requirements/base.txt}"},
		{"conda", []string{"environment.yml", "dependencies: [numpy]\n"}, "", "environment.yml: conda's environments are not supported"},
		{"Pipfile alone", []string{"Pipfile", "[packages]\nflask = \"*\"\n"}, "", "Pipfile: there is no Pipfile.lock"},
		{"Poetry without a lock", []string{"pyproject.toml", "[tool.poetry]\nname = \"a\"\n[tool.poetry.dependencies]\nflask = \"*\"\n"}, "", "pyproject.toml:3:2: there is no poetry.lock"},
		{"not locked", []string{"pyproject.toml", project + "dependencies = [\"click\"]\n"}, "", "pyproject.toml:5:1: warning: there is no lock file: the newest versions that fit are installed"},
		{"a stale uv.lock", []string{"uv.lock", uvLock, "pyproject.toml", project + "dependencies = [\n  \"click>=8\",\n]\n"}, "", "pyproject.toml:6:3: uv.lock was not made from pyproject.toml as it is now: it does not have click>=8"},
		{"a lock alone", []string{"uv.lock", uvLock}, "", "uv.lock: there is no pyproject.toml, which the lock file was made from"},
		{"no group", []string{"uv.lock", uvLock, "pyproject.toml", project}, "build: {groups: [prod]}", `birdhouse.yaml:2:17: build.groups: the project has no group "prod"`},
		{"no extra", []string{"pyproject.toml", project + "dependencies = [\"click\"]\n[project.optional-dependencies]\npostgres = []\n"}, "build: {extras: [postgers]}", `did you mean "postgres"?`},
		{"not TOML", []string{"pyproject.toml", "[project]\nname = a\n"}, "", "pyproject.toml:2:"},
		{"an old lock", []string{"uv.lock", strings.Replace(uvLock, ">=3.11", ">=3.15", 1), "pyproject.toml", strings.Replace(project, ">=3.11", ">=3.10", 1)}, "", "no Python of the catalog is in"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := planFor(t, "language: python\n"+tt.descriptor+"\n", files(append(tt.project, "main.py", "")...))
			if tt.want == "" {
				require.NotNil(t, r.Plan, r.Text)
				require.Empty(t, r.Text)
				return
			}
			require.Contains(t, r.Text, tt.want)
		})
	}
}

// uvProject has a pure package, one for machines, and a very large one.
func uvProject() fstest.MapFS {
	hash := strings.Repeat("a", 64)
	wheel := func(name string, size string) string {
		return "{ url = \"https://index.example.com/" + name + "\", hash = \"sha256:" + hash + "\", size = " + size + " },\n"
	}
	return files("main.py", "", "pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = [\"click\", \"numpy\", \"torch\"]\n",
		"uv.lock", "version = 1\nrevision = 3\nrequires-python = \">=3.11\"\n\n"+
			"[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { virtual = \".\" }\ndependencies = [\n    { name = \"click\" },\n    { name = \"numpy\" },\n    { name = \"torch\" },\n]\n\n[package.metadata]\nrequires-dist = [{ name = \"click\" }, { name = \"numpy\" }, { name = \"torch\" }]\n\n"+
			"[[package]]\nname = \"click\"\nversion = \"8.1\"\nsource = { registry = \"https://index.example.com/simple\" }\nwheels = [\n"+wheel("click-8.1-py3-none-any.whl", "1000")+"]\n\n"+
			"[[package]]\nname = \"numpy\"\nversion = \"2.0\"\nsource = { registry = \"https://index.example.com/simple\" }\nsdist = { url = \"https://index.example.com/numpy-2.0.tar.gz\", hash = \"sha256:"+hash+"\", size = 1 }\nwheels = [\n"+
			wheel("numpy-2.0-cp313-cp313-manylinux_2_17_x86_64.whl", "1000")+wheel("numpy-2.0-cp313-cp313-manylinux_2_17_aarch64.whl", "1000")+"]\n\n"+
			"[[package]]\nname = \"torch\"\nversion = \"2.9\"\nsource = { registry = \"https://index.example.com/simple\" }\nwheels = [\n"+
			wheel("torch-2.9-cp313-cp313-manylinux_2_28_x86_64.whl", "900000000")+wheel("torch-2.9-cp313-cp313-manylinux_2_28_aarch64.whl", "90000000")+
			wheel("torch-2.9-cp314-cp314-manylinux_2_28_x86_64.whl", "900000000")+"]\n")
}

func TestLocked(t *testing.T) {
	// The newest Python has no wheel of numpy.
	r := planFor(t, "language: python\n", uvProject())
	require.Nil(t, r.Plan)
	require.Contains(t, r.Text, "numpy 2.0 has no wheel for Python 3.14 on Linux")
	require.Contains(t, r.Text, "version: \"3.13\"")
	require.Contains(t, r.Text, "build: {sdist: [numpy]}")

	r = planFor(t, "language: python\nversion: 3.13\n", uvProject())
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, []string{"deps-torch", "deps", "build", "libraries"}, stageNames(r.Plan))
	require.Equal(t, []string{"torch", "dependencies", "application"}, layerNames(r.Plan))
	require.Contains(t, steps(stage(t, r.Plan, "deps")), "--no-install-package torch")
	large := stage(t, r.Plan, "deps-torch")
	require.Contains(t, steps(large), "--no-deps --require-hashes")
	require.Contains(t, requirementsOf(t, large), "torch==2.9 ")
	// The layers do not share the interpreter.
	require.Contains(t, steps(large), "--remove /app/.venv=pyvenv.cfg")
	require.NotContains(t, steps(stage(t, r.Plan, "deps")), "pyvenv.cfg")
	require.Contains(t, steps(stage(t, r.Plan, "libraries")), "/environment/deps /environment/deps-torch")

	r = planFor(t, "language: python\nversion: 3.13\nbuild: {sdist: [nunpy]}\n", uvProject())
	require.Contains(t, r.Text, `build.sdist: "nunpy" is none of the dependencies`)
	require.Contains(t, r.Text, `did you mean "numpy"?`)

	// An edit that does not matter to uv installs nothing.
	manifest := func(project fstest.MapFS) string {
		r := planFor(t, "language: python\nversion: 3.13\n", project)
		require.NotNil(t, r.Plan, r.Text)
		for _, m := range stage(t, r.Plan, "deps").Steps[0].Mounts {
			if len(m.Files) > 0 {
				return m.Files[0].Content
			}
		}
		return ""
	}
	edited := uvProject()
	edited["pyproject.toml"].Data = []byte(strings.Replace(string(edited["pyproject.toml"].Data), "version = \"1\"", "version = \"2\"\ndescription = \"new\"", 1) + "[tool.ruff]\nline-length = 100\n")
	require.Equal(t, "[project]\nversion = \"0\"\nname = \"a\"\nrequires-python = \">=3.11\"\ndependencies = [\"click\", \"numpy\", \"torch\"]\n", manifest(edited))
	require.Equal(t, manifest(uvProject()), manifest(edited))
	odd := uvProject()
	odd["pyproject.toml"].Data = append(odd["pyproject.toml"].Data, "[[tool.uv.index]]\nname = 'a\"b'\nurl = \"https://index.example.com/simple\"\nexplicit = true\n[tool.uv.sources]\ntorch = [{ index = \"x\", marker = \"sys_platform == 'linux'\" }]\n"...)
	require.Contains(t, manifest(odd), "[tool.uv]\n\"index\" = [{\"explicit\" = true, \"name\" = \"a\\\"b\", \"url\" = \"https://index.example.com/simple\"}]\n\"sources\" = {\"torch\" = [{\"index\" = \"x\", \"marker\" = \"sys_platform == 'linux'\"}]}\n")

	// Nothing that is for a machine is installed once for all platforms.
	pure := uvProject()
	for name, cut := range map[string][]string{"uv.lock": {"    { name = \"numpy\" },\n    { name = \"torch\" },\n", ", { name = \"numpy\" }, { name = \"torch\" }"}, "pyproject.toml": {", \"numpy\", \"torch\""}} {
		text := string(pure[name].Data)
		for _, c := range cut {
			require.Contains(t, text, c)
			text = strings.Replace(text, c, "", 1)
		}
		pure[name].Data = []byte(text)
	}
	r = planFor(t, "language: python\n", pure)
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, []string{"deps", "build"}, stageNames(r.Plan))
	require.False(t, stage(t, r.Plan, "deps").PerPlatform)
}

func TestOwnPackages(t *testing.T) {
	const backend = "[build-system]\nrequires = [\"hatchling\"]\nbuild-backend = \"hatchling.build\"\n"
	project := files("pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\n[project.scripts]\na = \"a:main\"\n"+backend, "src/a/__init__.py", "", "tests/test_a.py", "")
	r := planFor(t, "language: python\ntest: true\nbuild: {run: [[python, gen.py]]}\n", project)
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, []string{"deps", "build", "build-system", "packages", "test"}, stageNames(r.Plan))
	require.Equal(t, []string{"dependencies", "packages"}, layerNames(r.Plan))
	// The wheel is built without network, of what the commands have left.
	packages := stage(t, r.Plan, "packages")
	for _, s := range packages.Steps {
		require.False(t, s.Network, s.Name)
	}
	require.True(t, slices.ContainsFunc(packages.Steps[0].Mounts, func(m plan.Mount) bool { return m.Kind == plan.MountStage && m.From == "build" }))
	require.Contains(t, steps(packages), "uv build --wheel --no-build-isolation")
	// What the build system needs is keyed by that alone.
	require.Equal(t, "hatchling\n", requirementsOf(t, stage(t, r.Plan, "build-system")))
	require.Equal(t, "/app", r.Plan.Image.WorkingDir)

	r = planFor(t, "language: python\nbuild: {install: false}\nentrypoint: [python, -m, a]\n", project)
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, []string{"application"}, layerNames(r.Plan))
	require.Equal(t, "/app/src", value(r.Plan.Image.Env, "PYTHONPATH"))

	// A version from git.
	scm := files("pyproject.toml", "[project]\nname = \"a\"\ndynamic = [\"version\"]\n[project.scripts]\na = \"a:main\"\n[build-system]\nrequires = [\"hatchling\", \"hatch-vcs\"]\n", "src/a/__init__.py", "")
	r = planFor(t, "language: python\n", scm)
	require.Contains(t, r.Text, "pyproject.toml:7:26: hatch-vcs takes the version of a from git, which is no part of a build")
	r = planFor(t, "language: python\nbuild: {env: {SETUPTOOLS_SCM_PRETEND_VERSION: '{{.Version}}'}}\n", scm)
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, "1.2.3", value(stage(t, r.Plan, "packages").Steps[0].Env, "SETUPTOOLS_SCM_PRETEND_VERSION"))

	// Folders of the project that requirements name become wheels, each with its build system.
	r = planFor(t, "language: python\n", files("main.py", "", "requirements.txt", "-e ./lib\n", "lib/pyproject.toml", "[project]\nname = \"lib\"\nversion = \"1\"\n[build-system]\nrequires = [\"maturin\"]\n", "lib/lib.py", ""))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, "lib is built with maturin, which compiles", stage(t, r.Plan, "packages").Native)
	require.Equal(t, []string{"dependencies", "packages", "application"}, layerNames(r.Plan))
	r = planFor(t, "language: python\n", files("main.py", "", "requirements.txt", "click\n-e ./lib\n"))
	require.Contains(t, r.Text, "requirements.txt:2:")
	require.Contains(t, r.Text, "there is no file or folder lib")
}

func TestBuild(t *testing.T) {
	r := planFor(t, "language: python\nbuild:\n  run:\n    - python gen.py > out.txt\n    - [python, -m, gen]\n  env: {A: b}\n  network: true\nsecrets: [netrc, token]\n", files("main.py", "", "gen.py", ""))
	require.NotNil(t, r.Plan, r.Text)
	build := stage(t, r.Plan, "build")
	require.Equal(t, []string{"/bin/sh", "-c", "python gen.py > out.txt"}, build.Steps[0].Args)
	require.Equal(t, "python gen.py > out.txt", build.Steps[0].Name)
	require.Equal(t, "build.run[1]", build.Steps[1].Asked)
	require.True(t, build.Steps[0].Network)
	require.Equal(t, "b", value(build.Steps[0].Env, "A"))
	require.True(t, slices.ContainsFunc(build.Steps[0].Mounts, func(m plan.Mount) bool { return m.SecretID == "token" }))
	require.Contains(t, build.Steps[2].Args, "/run/python/compile.py")
	require.False(t, build.Steps[2].Network)
	// Bytecode of what the commands wrote is in the image.
	require.NotContains(t, r.Plan.Layers[0].Copies[0].Exclude, "**/__pycache__")

	r = planFor(t, "language: python\nbuild: {bytecode: false}\n", files("main.py", "", "requirements.txt", "click\n"))
	require.Equal(t, []string{"deps", "libraries"}, stageNames(r.Plan))
	require.NotContains(t, steps(stage(t, r.Plan, "deps")), "/run/python/compile.py")
	r = planFor(t, "language: python\nbuild: {output: [app, static]}\nentrypoint: [python, app/main.py]\n", files("app/main.py", "", "other.py", ""))
	require.Equal(t, []string{"app", "static"}, r.Plan.Layers[0].Copies[0].Include)
	r = planFor(t, "language: python\nbuild: {env: {UV_CACHE_DIR: /x}}\n", files("main.py", ""))
	require.Contains(t, r.Text, "build.env: UV_CACHE_DIR is set by the build itself")
}

func TestSecrets(t *testing.T) {
	project := files("main.py", "", "pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"click\"]\n[[tool.uv.index]]\nname = \"our-own\"\nurl = \"https://index.example.com/simple\"\n")
	mounts := func(descriptor string) map[string]plan.Mount {
		r := planFor(t, "language: python\n"+descriptor, project)
		require.NotNil(t, r.Plan, r.Text)
		all := map[string]plan.Mount{}
		for _, m := range stage(t, r.Plan, "deps").Steps[0].Mounts {
			if m.Kind == plan.MountSecret || m.Kind == plan.MountSecretEnv || m.Kind == plan.MountCache {
				all[m.SecretID] = m
			}
		}
		return all
	}
	m := mounts("")
	require.True(t, m["netrc"].Optional && m["UV_DEFAULT_INDEX"].Optional && m["UV_INDEX_OUR_OWN_PASSWORD"].Optional)
	require.Equal(t, "birdhouse-python-uv-bytecode", m[""].CacheID)
	m = mounts("secrets: [netrc, UV_INDEX_OUR_OWN_PASSWORD, pip.conf]\n")
	require.False(t, m["netrc"].Optional || m["UV_INDEX_OUR_OWN_PASSWORD"].Optional)
	require.Equal(t, "/root/.config/pip/pip.conf", m["pip.conf"].Target)
	require.Equal(t, "birdhouse-python-uv-private-a-bytecode", m[""].CacheID)
	r := planFor(t, "language: python\nsecrets: [pip.conf]\nssh: true\n", project)
	require.Contains(t, steps(stage(t, r.Plan, "deps")), "import configparser")
	require.Equal(t, "/run/birdhouse-ssh-agent", value(stage(t, r.Plan, "deps").Steps[0].Env, "SSH_AUTH_SOCK"))
}

// A group has what the groups have that it includes.
func TestIncludedGroups(t *testing.T) {
	const manifest = "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"flask\"]\n[dependency-groups]\nAll = [{include-group = \"b_c\"}, \"x\"]\nb-c = [\"y\", {include-group = \"all\"}]\n"
	r := planFor(t, "language: python\nbuild: {groups: [all]}\n", files("main.py", "", "pyproject.toml", manifest))
	require.Equal(t, "flask\nx\ny\n", requirementsOf(t, stage(t, r.Plan, "deps")))
}

func TestTests(t *testing.T) {
	r := planFor(t, "language: python\ntest: true\n", files("main.py", ""))
	require.Contains(t, r.Text, "test: there are no tests")
	r = planFor(t, "language: python\ntest: true\n", files("main.py", "", "test_main.py", ""))
	require.Equal(t, "python -m unittest discover", steps(stage(t, r.Plan, "test")))
	r = planFor(t, "language: python\ntest: true\n", files("main.py", "", "requirements.txt", "click\n", "requirements-dev.txt", "-r requirements.txt\npytest\n"))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, []string{"deps", "test-deps", "test", "build", "libraries"}, stageNames(r.Plan))
	require.Contains(t, requirementsOf(t, stage(t, r.Plan, "test-deps")), "pytest")
	require.NotContains(t, requirementsOf(t, stage(t, r.Plan, "deps")), "pytest")
	require.True(t, slices.ContainsFunc(stage(t, r.Plan, "test").Steps[0].Mounts, func(m plan.Mount) bool { return m.From == "test-deps" && m.Target == "/app/.venv" }))
	r = planFor(t, "language: python\ntest: [python, check.py]\n", files("main.py", ""))
	require.Equal(t, "python check.py", steps(stage(t, r.Plan, "test")))
}

func TestSmoke(t *testing.T) {
	r := planFor(t, "language: python\nsmoke: {path: /}\n", files("app.py", "from flask import Flask\napp = Flask('a')\n", "requirements.txt", "flask\ngunicorn\n"))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, 8080, r.Plan.Smoke.Port)
	r = planFor(t, "language: python\nsmoke: {path: /}\n", files("main.py", ""))
	require.Contains(t, r.Text, "smoke: there is no port to ask")
}

func TestBadProjects(t *testing.T) {
	for _, tt := range []struct{ name, descriptor, want string }{
		{"dir outside", "dir: ../x", "has .. in it"},
		{"dir not there", "dir: x", `dir: "x" is not a folder with Python's files`},
		{"no workspace", "package: x", `package: "x" is not there: the project has no workspace`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := planFor(t, "language: python\n"+tt.descriptor+"\n", files("main.py", "", "pyproject.toml", "[project]\nname = \"a\"\n"))
			require.Contains(t, r.Text, tt.want)
		})
	}
	linked := plantest.Linked{MapFS: files("main.py", "", "pyproject.toml", ""), Name: "pyproject.toml"}
	require.Contains(t, planFor(t, "language: python\n", linked).Text, "the file cannot be read")
}

func TestWorkspace(t *testing.T) {
	member := func(name, more string) string {
		return "[project]\nname = \"" + name + "\"\nversion = \"1\"\nrequires-python = \">=3.11\"\n" + more
	}
	const backend = "[build-system]\nrequires = [\"hatchling\"]\n"
	project := files("pyproject.toml", "[tool.uv.workspace]\nmembers = [\"apps/*\", \"libs/*\"]\nexclude = [\"libs/old\"]\n",
		"apps/api/pyproject.toml", member("api", "dependencies = [\"birds\"]\n[tool.uv.sources]\nbirds = { workspace = true }\n"), "apps/api/main.py", "",
		"apps/worker/pyproject.toml", member("worker", ""), "apps/worker/main.py", "",
		"libs/birds/pyproject.toml", member("birds", backend), "libs/birds/src/birds/__init__.py", "",
		"libs/old/pyproject.toml", "not read = ", "libs/old/x.py", "")
	r := planFor(t, "language: python\n", project)
	require.Contains(t, r.Text, "there are 2 members of the workspace that can be started")
	require.Contains(t, r.Text, "package: worker")
	r = planFor(t, "language: python\npackage: wroker\n", project)
	require.Contains(t, r.Text, `did you mean "worker"?`)
	for _, descriptor := range []string{"package: api", "package: apps/api", "dir: apps/api"} {
		r = planFor(t, "language: python\n"+descriptor+"\n", project)
		require.NotNil(t, r.Plan, r.Text)
		require.Equal(t, "birds", fact(t, r.Plan, "packages of the project").Value)
		require.Equal(t, "/app/apps/api", r.Plan.Image.WorkingDir)
		application := r.Plan.Layers[len(r.Plan.Layers)-1].Copies[0]
		require.Equal(t, []string{"apps/api/**"}, application.Include)
	}
}

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		name    string
		project fstest.MapFS
		file    string
		lines   string
	}{
		{"nothing", files("README.md", ""), "", ""},
		{"Node with a script", files("package.json", "{}", "main.py", ""), "", ""},
		{"main.py", files("main.py", ""), "main.py", ""},
		{"requirements.txt", files("requirements.txt", "flask\ngunicorn\n", "app.py", "from flask import Flask\napp = Flask(__name__)\n"), "requirements.txt", "expose: [8080]"},
		{"a folder", files("api/pyproject.toml", "[project]\nname = \"a\"\n", "api/main.py", ""), "api/pyproject.toml", "dir: api"},
		{"two folders", files("a/requirements.txt", "", "b/pyproject.toml", "[build-system]\n"), "a/requirements.txt", "# dir: b"},
		{"settings of a tool", files("pyproject.toml", "[tool.ruff]\nline-length = 100\n"), "", ""},
		{"two locks", files("pyproject.toml", "[project]\nname = \"a\"\n", "uv.lock", "", "pdm.lock", ""), "pyproject.toml", "# build: {tool: pdm}"},
		{"nothing to start", files("pyproject.toml", "[project]\nname = \"a\"\n"), "pyproject.toml", "# entrypoint: [python, "},
		{"two programs", files("app.py", "", "server.py", "", "requirements.txt", ""), "requirements.txt", "# entrypoint: [python, server.py]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, ok := python.Language{}.Detect(tt.project)
			require.Equal(t, tt.file != "", ok)
			require.Equal(t, tt.file, d.File)
			require.Contains(t, strings.Join(d.Lines, "\n"), tt.lines)
		})
	}
}
