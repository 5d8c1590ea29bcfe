package python

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// project is what the project's files say.
type project struct {
	spec  *spec.Spec
	files app.Files
	// root is the folder of the workspace and of the lock file; like all folders here
	// it is relative to the context.
	root string
	// top is the project in root; its pyproject is nil when there is none.
	top *member
	// members are the workspace's projects but top, sorted by folder.
	members []*member
	// app is the project that is built and run, and appSource where that comes from.
	app       *member
	appSource string
	// pipfile is the Pipfile in root, nil without one.
	pipfile *toml.Value
}

// member is a project of a workspace.
type member struct {
	// dir is its folder in the context, rel the one below the root.
	dir, rel string
	*pyproject
}

// title is how people know a member.
func (m *member) title() string {
	if m.pyproject != nil && m.name != "" {
		return m.name
	}
	return m.rel
}

// maxMembers bounds how many pyproject.toml files are read.
const maxMembers = 2000

// load reads the manifests. It returns nil and at least one error when they cannot be
// used.
func load(s *spec.Spec, files fs.FS) (*project, spec.Problems) {
	p := &project{spec: s, files: app.Files{FS: files}}
	dir, problems := app.CheckedDir(s, p.files, "Python's files")
	if problems.HasErrors() {
		return nil, problems
	}
	own, problems := p.manifestIn(dir)
	if problems.HasErrors() {
		return nil, problems
	}
	p.root, p.top = dir, &member{dir: dir, rel: ".", pyproject: own}
	problems = append(problems, p.findRoot(dir)...)
	if problems.HasErrors() {
		return nil, problems
	}
	problems = append(problems, p.choose(dir)...)
	if problems.HasErrors() {
		return nil, problems
	}
	found := p.readPipfile()
	problems = append(problems, found...)
	if problems.HasErrors() {
		return nil, problems
	}
	return p, problems
}

// manifestIn reads the pyproject.toml in a folder; nil without a problem when there is
// none.
func (p *project) manifestIn(dir string) (*pyproject, spec.Problems) {
	name := path.Join(dir, "pyproject.toml")
	data, err := p.files.Read(name)
	if err != nil {
		return nil, spec.Problems{app.Unreadable(name, err)}
	}
	if data == nil {
		return nil, nil
	}
	return parsePyproject(name, data)
}

func (p *project) readPipfile() spec.Problems {
	name := path.Join(p.root, "Pipfile")
	data, err := p.files.Read(name)
	if err != nil {
		return spec.Problems{app.Unreadable(name, err)}
	}
	if data == nil {
		return nil
	}
	root, problem := parseTOML(name, data)
	if problem != nil {
		return spec.Problems{*problem}
	}
	p.pipfile = root
	return checkCredentials(name, root)
}

// checkSettings reads uv.toml, which uv sees as it is.
func (p *project) checkSettings() spec.Problems {
	name := path.Join(p.root, "uv.toml")
	data, err := p.files.Read(name)
	if err != nil {
		return spec.Problems{app.Unreadable(name, err)}
	}
	root, problem := parseTOML(name, data)
	if problem != nil {
		return spec.Problems{*problem}
	}
	return checkCredentials(name, root)
}

// findRoot finds uv's workspace that a folder belongs to, its own or one further up
// that has it as a member: https://docs.astral.sh/uv/concepts/projects/workspaces/. It
// sets root, top and members.
func (p *project) findRoot(dir string) spec.Problems {
	for at := dir; ; at = path.Dir(at) {
		top := p.top.pyproject
		if at != dir {
			var problems spec.Problems
			if top, problems = p.manifestIn(at); problems.HasErrors() {
				return problems
			}
		}
		if top != nil {
			w := top.root.Get("tool", "uv", "workspace")
			globs, exclude := w.Get("members").Strings(), w.Get("exclude").Strings()
			if w != nil && (at == dir || inWorkspace(globs, exclude, app.Relative(at, dir))) {
				p.root, p.top = at, &member{dir: at, rel: ".", pyproject: top}
				return p.loadMembers(globs, exclude)
			}
		}
		if at == "." {
			return nil
		}
	}
}

// inWorkspace says whether a folder below the workspace's root is a member.
func inWorkspace(members, exclude []string, rel string) bool {
	match := func(globs []string) bool {
		return slices.ContainsFunc(globs, func(g string) bool {
			return app.MatchGlob(path.Clean(g), rel)
		})
	}
	return match(members) && !match(exclude)
}

// ignoredDirs have nothing of a project's own.
var ignoredDirs = []string{".git", ".venv", "venv", "node_modules", "site-packages", "__pycache__", ".tox", ".nox"}

// loadMembers reads the manifests of the folders that match.
func (p *project) loadMembers(globs, exclude []string) spec.Problems {
	var problems spec.Problems
	dirs, all := app.Members(p.files, p.root, "pyproject.toml", ignoredDirs, maxMembers, func(rel string) bool { return inWorkspace(globs, exclude, rel) })
	for _, dir := range dirs {
		m, found := p.manifestIn(dir)
		problems = append(problems, found...)
		if m != nil {
			p.members = append(p.members, &member{dir: dir, rel: app.Relative(p.root, dir), pyproject: m})
		}
	}
	if !all {
		problems = append(problems, p.top.problem(p.top.pyproject.root.Get("tool", "uv", "workspace"), fmt.Sprintf("the workspace has more than %d members", maxMembers), "name fewer folders"))
	}
	sort.Slice(p.members, func(i, j int) bool { return p.members[i].dir < p.members[j].dir })
	return problems
}

// choose decides which project is built: the one that package names, the one in dir,
// or the only one that can be started.
func (p *project) choose(dir string) spec.Problems {
	s := p.spec
	if len(s.Package) > 1 {
		return spec.Problems{s.Problem("package[1]", "package: an image has one Python program", "write one, and give each an image of its own in images")}
	}
	if len(s.Package) == 1 {
		return p.chooseNamed(s.Package[0])
	}
	for _, m := range p.members {
		if m.dir == dir {
			p.app, p.appSource = m, s.Where("dir")
			return nil
		}
	}
	p.app, p.appSource = p.top, "the project's own"
	if len(p.members) == 0 || p.startable(p.top) {
		return nil
	}
	var able []*member
	for _, m := range p.members {
		if p.startable(m) {
			able = append(able, m)
		}
	}
	if len(able) == 1 {
		p.app, p.appSource = able[0], "the only member of the workspace that can be started"
		return nil
	}
	candidates, what := able, fmt.Sprintf("there are %d members of the workspace that can be started, and nothing says which one to build", len(able))
	if len(able) == 0 {
		candidates, what = p.members, "no member of the workspace says how it is started"
	}
	return spec.Problems{s.Problem("package", what, "add one of\n"+app.Listed(packageLines(candidates)))}
}

func packageLines(members []*member) []string {
	var lines []string
	for _, m := range members {
		lines = append(lines, "package: "+m.title())
	}
	return lines
}

func (p *project) chooseNamed(name string) spec.Problems {
	s := p.spec
	clean := path.Clean(strings.TrimSuffix(name, "/"))
	var names []string
	for _, m := range append([]*member{p.top}, p.members...) {
		if m.pyproject == nil {
			continue
		}
		if requirement.Name(m.name) == requirement.Name(name) || m.rel == clean {
			p.app, p.appSource = m, s.Where("package")
			return nil
		}
		names = append(names, m.title())
	}
	if len(p.members) == 0 {
		return spec.Problems{s.Problem("package[0]", fmt.Sprintf("package: %q is not there: the project has no workspace", name), "remove the line, or name the folder with dir:")}
	}
	hint := spec.Meant(name, names, "there are\n"+app.Listed(packageLines(p.members)))
	return spec.Problems{s.Problem("package[0]", fmt.Sprintf("package: %q is no member of the workspace", name), hint)}
}

// startable says whether a member looks like a program, not a library.
func (p *project) startable(m *member) bool {
	if m.pyproject == nil {
		return false
	}
	if len(m.scripts) > 0 {
		return true
	}
	for _, name := range []string{"main.py", "app.py", "manage.py", "wsgi.py", "asgi.py", "__main__.py"} {
		if p.files.IsFile(path.Join(m.dir, name)) {
			return true
		}
	}
	for _, dir := range p.packagesIn(m) {
		for _, name := range []string{"__main__.py", "main.py", "app.py", "wsgi.py", "asgi.py"} {
			if p.files.IsFile(path.Join(dir, name)) {
				return true
			}
		}
	}
	return false
}

// packagesIn are the folders of a project that are Python packages, in src or beside
// the manifest: those that have an __init__.py, and in src also those without.
func (p *project) packagesIn(m *member) []string {
	var found []string
	for _, base := range []string{"src", "."} {
		dir := path.Join(m.dir, base)
		entries, err := fs.ReadDir(p.files, dir)
		if err != nil {
			continue
		}
		for _, e := range entries {
			name := e.Name()
			if !e.IsDir() || slices.Contains(ignoredDirs, name) || notPrograms[name] || !identifier.MatchString(name) || base == "." && name == "src" {
				continue
			}
			if base == "src" || p.files.IsFile(path.Join(dir, name, "__init__.py")) || p.files.IsFile(path.Join(dir, name, "__main__.py")) || p.files.IsFile(path.Join(dir, name, "main.py")) {
				found = append(found, path.Join(dir, name))
			}
		}
	}
	return found
}

// notPrograms are folders that hold something else than the program.
var notPrograms = map[string]bool{
	"tests": true, "test": true, "docs": true, "doc": true, "examples": true, "example": true, "scripts": true, "tools": true,
	"migrations": true, "alembic": true, "build": true, "dist": true, "benchmarks": true, "notebooks": true,
}
