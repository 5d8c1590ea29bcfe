package python

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// entry is what the image runs.
type entry struct {
	// args follow the interpreter: [-m gunicorn …], [main.py].
	args []string
	// file is the program's file in the project, "" for what is a module.
	file string
	// serves says that it listens on defaultPort, or the first of expose.
	serves bool
	// source is where it comes from, for people.
	source string
}

// defaultPort is where servers listen unless `expose` says otherwise.
const defaultPort = 8080

// port is where a server listens.
func (b *builder) port() int {
	if n := app.FirstPort(b.spec.Expose); n != 0 {
		return n
	}
	return defaultPort
}

// ownStart says whether the descriptor says what is started.
func (b *builder) ownStart() bool {
	return len(b.spec.Entrypoint) > 0 || len(b.spec.Cmd) > 0 && b.program(b.spec.Cmd[0])
}

var pythonWord = regexp.MustCompile(`^(/usr/bin/|/app/\.venv/bin/)?python[0-9.]*$`)

// program says whether a word of cmd is a program, not an argument: the interpreter, a
// server, or a console script.
func (b *builder) program(word string) bool {
	if pythonWord.MatchString(word) || path.IsAbs(word) || b.deps.has(requirement.Name(word)) {
		return true
	}
	if slices.ContainsFunc(servers, func(s server) bool { return s.name == word }) {
		return true
	}
	return b.app.pyproject != nil && b.app.scripts[word] != ""
}

// identifier is a name in Python.
var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// chooseEntry decides what the image runs.
func (b *builder) chooseEntry() spec.Problems {
	if b.ownStart() {
		return nil
	}
	for _, look := range []func() (bool, spec.Problems){b.scriptEntry, b.mainModule, b.djangoEntry, b.applicationEntry, b.fileEntry} {
		if found, problems := look(); found || problems.HasErrors() {
			return problems
		}
	}
	return spec.Problems{b.spec.Problem("language", fmt.Sprintf("nothing says how the program in %s is started: there are no [project.scripts], no __main__.py, no WSGI or ASGI application, and no file such as main.py", app.Describe(b.app.dir)),
		"write what starts it, such as one of\nentrypoint: [python, FILE.py]\nentrypoint: [python, -m, PACKAGE]\nentrypoint: [gunicorn, --bind, 0.0.0.0:8080, \"PACKAGE.MODULE:app\"]")}
}

// scriptEntry is the console script of a project that is installed: the only one, or the
// one with the project's name.
func (b *builder) scriptEntry() (bool, spec.Problems) {
	m := b.app.pyproject
	if !b.isPackage() || m == nil || len(m.scripts) == 0 {
		return false, nil
	}
	var names []string
	for name := range m.scripts {
		names = append(names, name)
	}
	sort.Strings(names)
	chosen := ""
	if len(names) == 1 {
		chosen = names[0]
	}
	for _, name := range names {
		if requirement.Name(name) == requirement.Name(m.name) {
			chosen = name
		}
	}
	table := m.root.Get("project", "scripts")
	if table == nil {
		table = m.root.Get("tool", "poetry", "scripts")
	}
	if chosen == "" {
		var lines []string
		for _, name := range names {
			lines = append(lines, "entrypoint: ["+name+"]")
		}
		return false, spec.Problems{m.problem(table, fmt.Sprintf("the project has %d scripts, and nothing says which one the image runs", len(names)), "add one of\n"+app.Listed(lines))}
	}
	b.entry = entry{args: []string{venvDir + "/bin/" + chosen}, source: m.where(table.Get(chosen)) + ": the script " + chosen}
	return true, nil
}

// mainModule is a package with a __main__.py: the one with the project's name, or the
// only one.
func (b *builder) mainModule() (bool, spec.Problems) {
	var found []string
	for _, dir := range b.packagesIn(b.app) {
		if b.files.IsFile(path.Join(dir, "__main__.py")) {
			found = append(found, dir)
		}
	}
	if m := b.app.pyproject; m != nil && len(found) > 1 {
		for _, dir := range found {
			if requirement.Name(path.Base(dir)) == requirement.Name(m.name) {
				found = []string{dir}
				break
			}
		}
	}
	switch len(found) {
	case 0:
		if b.files.IsFile(path.Join(b.app.dir, "__main__.py")) && !b.isPackage() {
			b.entry = entry{args: []string{"__main__.py"}, file: "__main__.py", source: "the file with this name"}
			return true, nil
		}
		return false, nil
	case 1:
		b.entry = entry{args: []string{"-m", path.Base(found[0])}, source: path.Join(found[0], "__main__.py")}
		return true, nil
	}
	var lines []string
	for _, dir := range found {
		lines = append(lines, "entrypoint: [python, -m, "+path.Base(dir)+"]")
	}
	return false, spec.Problems{b.spec.Problem("language", fmt.Sprintf("there are %d packages with a __main__.py, and nothing says which one the image runs", len(found)), "add one of\n"+app.Listed(lines))}
}

// kind is which protocol an application speaks.
type kind string

const (
	wsgi kind = "WSGI"
	asgi kind = "ASGI"
)

// server is a program that serves WSGI or ASGI applications, fit for production.
type server struct {
	name  string
	kinds []kind
	// args are its arguments before the application ("module:object"), in which PORT and KIND
	// are replaced.
	args string
	// factory is the argument that says that the application is a function that makes it, or
	// "()" where that stands behind its name; "" for a server that takes none.
	factory string
}

// servers are those that are started when they are dependencies. Gunicorn keeps its workers'
// heartbeat in memory: a file system on a disk may block them, and /tmp may not be there.
var servers = []server{
	{"gunicorn", []kind{wsgi}, "--bind 0.0.0.0:PORT --worker-tmp-dir /dev/shm", "()"},
	{"waitress", []kind{wsgi}, "--listen=0.0.0.0:PORT", "--call"},
	{"uvicorn", []kind{asgi}, "--host 0.0.0.0 --port PORT", "--factory"},
	{"hypercorn", []kind{asgi}, "--bind 0.0.0.0:PORT", "()"},
	{"granian", []kind{wsgi, asgi}, "--interface KIND --host 0.0.0.0 --port PORT", "--factory"},
	{"daphne", []kind{asgi}, "-b 0.0.0.0 -p PORT", ""},
}

// runnable is what a server can run.
type runnable struct {
	kind kind
	// target is "module:object"; factory says that the object is a function that makes the
	// application.
	target  string
	factory bool
}

func (s server) serves(r runnable) bool {
	return slices.Contains(s.kinds, r.kind) && (s.factory != "" || !r.factory)
}

// command is what the interpreter runs to serve an application.
func (b *builder) command(s server, r runnable) []string {
	args := strings.NewReplacer("PORT", strconv.Itoa(b.port()), "KIND", strings.ToLower(string(r.kind))).Replace(s.args)
	all := append([]string{"-m", s.name}, strings.Fields(args)...)
	switch {
	case !r.factory:
	case s.factory == "()":
		r.target += "()"
	default:
		all = append(all, s.factory)
	}
	return append(all, r.target)
}

// line is the descriptor's for a command.
func (b *builder) line(s server, r runnable) string {
	return "entrypoint: [" + quoteWords(append([]string{"python"}, b.command(s, r)...)) + "]"
}

// able are the servers among the dependencies that can run an application: those that the
// project names itself, otherwise those that come with others.
func (b *builder) able(r runnable) []server {
	for _, names := range []map[string]bool{b.deps.direct, b.deps.all} {
		if found := slices.DeleteFunc(slices.Clone(servers), func(s server) bool { return !names[s.name] || !s.serves(r) }); len(found) > 0 {
			return found
		}
	}
	return nil
}

// serve decides which server runs an application.
func (b *builder) serve(r runnable, what, source string) (bool, spec.Problems) {
	found := b.able(r)
	switch len(found) {
	case 1:
		b.entry = entry{args: b.command(found[0], r), serves: true, source: fmt.Sprintf("%s: %s, served by %s", source, what, found[0].name)}
		return true, nil
	case 0:
		names := "gunicorn, waitress or granian"
		if r.kind == asgi {
			names = "uvicorn, hypercorn or granian"
		}
		return false, spec.Problems{b.spec.Problem("language", fmt.Sprintf("%s is %s, and there is no server for it among the dependencies: a framework's own is for development", r.target, what),
			"add one of them to the dependencies: "+names+"; or write what serves it:\nentrypoint: [python, FILE.py]")}
	}
	var lines []string
	for _, s := range found {
		lines = append(lines, b.line(s, r))
	}
	return false, spec.Problems{b.spec.Problem("language", fmt.Sprintf("there are %d servers among the dependencies that could run %s, and nothing says which one does", len(found), r.target), "add one of\n"+app.Listed(lines))}
}

// quoteWords are words of a list in YAML.
func quoteWords(words []string) string {
	var quoted []string
	for _, w := range words {
		if strings.ContainsAny(w, ":,[]{}#&*!|>'\"%@`() ") {
			w = strconv.Quote(w)
		}
		quoted = append(quoted, w)
	}
	return strings.Join(quoted, ", ")
}

var (
	djangoTarget   = regexp.MustCompile(`(?m)^(WSGI|ASGI)_APPLICATION\s*=\s*["']([\w.]+)\.(\w+)["']`)
	settingsModule = regexp.MustCompile(`DJANGO_SETTINGS_MODULE["']\s*,\s*["']([\w.]+)["']`)
)

// djangoEntry is the application that Django's settings name.
func (b *builder) djangoEntry() (bool, spec.Problems) {
	base, manage := b.djangoManage()
	if base == "" {
		return false, nil
	}
	var targets = map[kind]string{}
	source := path.Join(base, "manage.py")
	if m := settingsModule.FindSubmatch(manage); m != nil {
		file := path.Join(base, strings.ReplaceAll(string(m[1]), ".", "/"))
		texts := ""
		for _, name := range b.settingsFiles(file) {
			data, err := b.files.Read(name)
			if err != nil {
				return false, spec.Problems{app.Unreadable(name, err)}
			}
			texts += string(data) + "\n"
			source = name
		}
		for _, found := range djangoTarget.FindAllStringSubmatch(texts, -1) {
			if k := kind(found[1]); targets[k] == "" {
				targets[k] = found[2] + ":" + found[3]
			}
		}
		if len(targets) == 0 {
			dir := path.Dir(file)
			for strings.HasSuffix(dir, "/settings") {
				dir = path.Dir(dir)
			}
			module := strings.ReplaceAll(app.Relative(base, dir), "/", ".")
			for _, k := range []kind{wsgi, asgi} {
				name := strings.ToLower(string(k))
				if b.files.IsFile(path.Join(dir, name+".py")) {
					targets[k] = module + "." + name + ":application"
				}
			}
		}
		// Django writes both files into every project, and settings with WSGI alone: a
		// server for ASGI says that it is meant.
		if targets[asgi] == "" && targets[wsgi] != "" && len(b.able(runnable{kind: wsgi})) == 0 && len(b.able(runnable{kind: asgi})) > 0 {
			module := strings.TrimSuffix(strings.Split(targets[wsgi], ":")[0], ".wsgi") + ".asgi"
			if b.files.IsFile(path.Join(base, strings.ReplaceAll(module, ".", "/")+".py")) {
				targets[asgi] = module + ":application"
			}
		}
	}
	// served are those that there is a server for; where there is none for either, the first is
	// reported.
	var found, served []runnable
	var lines []string
	for _, k := range []kind{wsgi, asgi} {
		if targets[k] == "" {
			continue
		}
		r := runnable{kind: k, target: targets[k]}
		found = append(found, r)
		for i, s := range b.able(r) {
			if i == 0 {
				served = append(served, r)
			}
			lines = append(lines, b.line(s, r))
		}
	}
	switch {
	case len(served) == 2:
		return false, spec.Problems{b.spec.Problem("language", "Django's settings name a WSGI and an ASGI application, and there are servers for both", "add one of\n"+app.Listed(lines))}
	case len(found) > 0:
		r := append(served, found...)[0]
		return b.serve(r, "Django's "+string(r.kind)+" application", source)
	}
	return false, spec.Problems{app.FileProblem(path.Join(base, "manage.py"), "this is a Django project, and no WSGI or ASGI application is found for it; runserver is for development",
		"write what serves it:\nentrypoint: [gunicorn, --bind, 0.0.0.0:8080, --worker-tmp-dir, /dev/shm, \"PROJECT.wsgi:application\"]")}
}

// djangoManage finds manage.py, beside the manifest or in src, and reads it.
func (b *builder) djangoManage() (dir string, data []byte) {
	for _, base := range []string{".", "src"} {
		dir := path.Join(b.app.dir, base)
		if data, err := b.files.Read(path.Join(dir, "manage.py")); err == nil && settingsModule.Match(data) {
			return dir, data
		}
	}
	return "", nil
}

// settingsFiles are those of a settings module: a file, or a folder of them.
func (b *builder) settingsFiles(file string) []string {
	if b.files.IsFile(file + ".py") {
		files := []string{file + ".py"}
		// settings/production.py builds on settings/base.py.
		if base := path.Join(path.Dir(file), "base.py"); path.Base(file) != "base" && b.files.IsFile(base) {
			files = append(files, base)
		}
		return files
	}
	var files []string
	entries, err := fs.ReadDir(b.files, file)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".py") {
			files = append(files, path.Join(file, e.Name()))
		}
	}
	return files
}

// frameworks are the classes of applications.
var frameworks = map[string]kind{
	"FastAPI": asgi, "Starlette": asgi, "Quart": asgi, "Litestar": asgi, "Starlite": asgi, "BlackSheep": asgi, "Esmerald": asgi, "Ravyn": asgi,
	"Flask": wsgi, "Bottle": wsgi, "APIFlask": wsgi, "OpenAPI": wsgi, "Dash": wsgi, "Eve": wsgi,
}

var (
	applicationLine = regexp.MustCompile(`(?m)^([A-Za-z_]\w*)(?:\s*:\s*[\w.\[\]"']+)?\s*=\s*(?:\w+\.)*(FastAPI|Starlette|Quart|Litestar|Starlite|BlackSheep|Esmerald|Ravyn|Flask|Bottle|APIFlask|OpenAPI|Dash|Eve)\(`)
	falconLine      = regexp.MustCompile(`(?m)^([A-Za-z_]\w*)\s*=\s*falcon\.(asgi\.)?(?:App|API)\(`)
	pyramidLine     = regexp.MustCompile(`(?m)^([A-Za-z_]\w*)\s*=\s*\w+\.make_wsgi_app\(`)
	factoryLine     = regexp.MustCompile(`(?m)^def\s+(create_app|make_app)\s*\(\s*(\)|[^)]*=)`)
	madeByFactory   = regexp.MustCompile(`(?m)^([A-Za-z_]\w*)\s*=\s*(?:create_app|make_app|create_application)\(`)
	dashServer      = regexp.MustCompile(`(?m)^server\s*=\s*\w+\.server\b`)
)

// application is an object that a server can run.
type application struct {
	file, object, class string
	kind                kind
	factory             bool
}

// module is the name of a file's module, seen from a folder.
func module(base, file string) string {
	name := strings.TrimSuffix(app.Relative(base, file), ".py")
	name = strings.TrimSuffix(name, "/__init__")
	return strings.ReplaceAll(name, "/", ".")
}

// applicationEntry is an object that is made of a web framework's class.
func (b *builder) applicationEntry() (bool, spec.Problems) {
	var found, factories []application
	for _, file := range b.sourceFiles() {
		data, err := b.files.Read(file)
		if err != nil {
			return false, spec.Problems{app.Unreadable(file, err)}
		}
		apps, made := b.applications(file, string(data))
		found, factories = append(found, apps...), append(factories, made...)
	}
	found = preferred(found)
	if len(found) == 0 {
		found = preferred(factories)
	}
	if len(found) == 0 {
		return false, nil
	}
	base := path.Join(b.app.dir, b.sourceRoot())
	run := func(a application) runnable {
		return runnable{a.kind, module(base, a.file) + ":" + a.object, a.factory}
	}
	if len(found) > 1 {
		var lines []string
		for _, a := range found {
			r := run(a)
			able := b.able(r)
			if len(able) == 0 {
				able = slices.DeleteFunc(slices.Clone(servers), func(s server) bool { return !s.serves(r) })
			}
			lines = append(lines, b.line(able[0], r))
		}
		return false, spec.Problems{b.spec.Problem("language", fmt.Sprintf("there are %d applications that a server could run, and nothing says which one is the program", len(found)), "add one of\n"+app.Listed(lines))}
	}
	a := found[0]
	what := "an application of " + a.class
	if a.factory {
		what = "a function that makes an application of " + a.class
	}
	return b.serve(run(a), what, a.file)
}

// applications finds what a file defines for servers.
func (b *builder) applications(file, text string) (found, factories []application) {
	for _, m := range applicationLine.FindAllStringSubmatch(text, -1) {
		a := application{file: file, object: m[1], class: m[2], kind: frameworks[m[2]]}
		if m[2] == "Dash" {
			if !dashServer.MatchString(text) {
				continue
			}
			a.object = "server"
		}
		found = append(found, a)
	}
	for _, m := range falconLine.FindAllStringSubmatch(text, -1) {
		a := application{file: file, object: m[1], class: "Falcon", kind: wsgi}
		if m[2] != "" {
			a.kind = asgi
		}
		found = append(found, a)
	}
	for _, m := range pyramidLine.FindAllStringSubmatch(text, -1) {
		found = append(found, application{file: file, object: m[1], class: "Pyramid", kind: wsgi})
	}
	class, k := b.framework()
	if class == "" {
		return found, nil
	}
	for _, m := range madeByFactory.FindAllStringSubmatch(text, -1) {
		found = append(found, application{file: file, object: m[1], class: class, kind: k})
	}
	for _, m := range factoryLine.FindAllStringSubmatch(text, -1) {
		factories = append(factories, application{file: file, object: m[1], class: class, kind: k, factory: true})
	}
	return found, factories
}

// framework is the web framework among the dependencies, for functions whose name alone
// says what they make.
func (b *builder) framework() (class string, k kind) {
	for _, f := range []struct {
		name, class string
		kind        kind
	}{{"fastapi", "FastAPI", asgi}, {"starlette", "Starlette", asgi}, {"quart", "Quart", asgi}, {"litestar", "Litestar", asgi}, {"flask", "Flask", wsgi}} {
		if b.deps.direct[f.name] {
			return f.class, f.kind
		}
	}
	return "", ""
}

// preferred are those of the applications that are meant where others are parts of them: the
// ones in files with a usual name, and among them those called app or application.
func preferred(all []application) []application {
	narrow := func(list []application, keep func(a application) bool) []application {
		var kept []application
		for _, a := range list {
			if keep(a) {
				kept = append(kept, a)
			}
		}
		if len(kept) == 0 {
			return list
		}
		return kept
	}
	all = narrow(all, func(a application) bool {
		return a.object == "app" || a.object == "application" || a.object == "server" || a.factory
	})
	return narrow(all, func(a application) bool { return slices.Contains([]string{"wsgi.py", "asgi.py"}, path.Base(a.file)) })
}

// sourceRoot is the folder from which modules are imported, below the program's: src where
// code lies there that is not installed.
func (b *builder) sourceRoot() string {
	src := path.Join(b.app.dir, "src")
	if b.files.IsFile(path.Join(src, "__init__.py")) {
		return "."
	}
	entries, err := fs.ReadDir(b.files, src)
	if err != nil {
		return "."
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".py") || e.IsDir() && identifier.MatchString(e.Name()) {
			return "src"
		}
	}
	return "."
}

// maxSourceFiles bounds how many files are looked through for an application.
const maxSourceFiles = 2000

// sourceFiles are the program's files near its folder, without tests.
func (b *builder) sourceFiles() []string {
	var files []string
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		entries, err := fs.ReadDir(b.files, dir)
		if err != nil || depth >= walkDepth || len(files) > maxSourceFiles {
			return
		}
		for _, e := range entries {
			name := e.Name()
			switch {
			case e.IsDir() && !slices.Contains(ignoredDirs, name) && !notPrograms[name] && identifier.MatchString(name) && b.memberAt(path.Join(dir, name)) == nil:
				walk(path.Join(dir, name), depth+1)
			case !e.IsDir() && strings.HasSuffix(name, ".py") && !isTest(name) && name != "setup.py":
				files = append(files, path.Join(dir, name))
			}
		}
	}
	walk(b.app.dir, 0)
	sort.Strings(files)
	return files
}

// isTest says whether a file is one of tests, by its name.
func isTest(name string) bool {
	return name == "conftest.py" || name == "tests.py" || strings.HasPrefix(name, "test_") || strings.HasSuffix(name, "_test.py")
}

// usualNames are the files that a program without any statement is.
var usualNames = []string{"main.py", "app.py", "server.py", "run.py", "__main__.py", "bot.py", "worker.py", "cli.py"}

// developmentServer are the ways to start servers that are not for production.
var developmentServer = regexp.MustCompile(`(?m)^\s+(?:app|application|api|server)\.run(?:_server)?\(|\brun_simple\(|\bmake_server\(|uvicorn\.run\([^)]*reload\s*=\s*True`)

// fileEntry is a file with a usual name, or the only one.
func (b *builder) fileEntry() (bool, spec.Problems) {
	if b.isPackage() {
		return false, nil
	}
	dir := path.Join(b.app.dir, b.sourceRoot())
	var found []string
	for _, base := range []string{b.app.dir, dir} {
		for _, name := range usualNames {
			if file := path.Join(base, name); b.files.IsFile(file) && !slices.Contains(found, file) {
				found = append(found, file)
			}
		}
	}
	source := "the file with this name"
	if len(found) == 0 {
		entries, err := fs.ReadDir(b.files, b.app.dir)
		if err != nil {
			return false, nil
		}
		for _, e := range entries {
			if name := e.Name(); !e.IsDir() && strings.HasSuffix(name, ".py") && name != "setup.py" && !isTest(name) {
				found = append(found, path.Join(b.app.dir, name))
			}
		}
		if len(found) > 1 {
			found = nil
		}
		source = "the only file that Python runs"
	}
	if len(found) > 1 && path.Base(found[0]) == "main.py" && path.Dir(found[0]) == b.app.dir {
		found = found[:1] // its neighbours are what it is made of
	}
	switch len(found) {
	case 0:
		return false, nil
	case 1:
		rel := app.Relative(b.app.dir, found[0])
		data, err := b.files.Read(found[0])
		if err != nil {
			return false, spec.Problems{app.Unreadable(found[0], err)}
		}
		if m := developmentServer.FindIndex(data); m != nil && b.webFramework() {
			line := 1 + strings.Count(string(data[:m[0]]), "\n")
			text := strings.Split(string(data), "\n")
			if strings.TrimSpace(text[line-1]) == "" && line < len(text) {
				line++
			}
			return false, spec.Problems{app.LineProblem(found[0], line, text[line-1], strings.TrimSpace(text[line-1]), "this starts a server for development, and no application is found that a server for production could run",
				"name the application, and add its server to the dependencies:\nentrypoint: [gunicorn, --bind, 0.0.0.0:8080, --worker-tmp-dir, /dev/shm, \"MODULE:app\"]")}
		}
		b.entry = entry{args: []string{rel}, file: rel, source: source}
		return true, nil
	}
	var lines []string
	for _, file := range found {
		lines = append(lines, "entrypoint: [python, "+app.Relative(b.app.dir, file)+"]")
	}
	return false, spec.Problems{b.spec.Problem("language", fmt.Sprintf("there are %d files that could be the program (%s), and nothing says which one is", len(found), strings.Join(found, ", ")), "add one of\n"+app.Listed(lines))}
}

// webFramework says whether the program depends on one.
func (b *builder) webFramework() bool {
	for _, name := range []string{"flask", "bottle", "quart", "fastapi", "starlette", "dash", "sanic", "werkzeug", "apiflask"} {
		if b.deps.direct[name] {
			return true
		}
	}
	return false
}
