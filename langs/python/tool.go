package python

import (
	"bytes"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// The tools whose lock files are read.
const (
	uvTool       = "uv"
	pylockTool   = "pylock"
	poetryTool   = "poetry"
	pdmTool      = "pdm"
	pipenvTool   = "pipenv"
	requirements = "requirements"
	// unlocked stands for dependencies that are in a manifest alone, so that versions are
	// chosen when the image is built.
	unlocked = "unlocked"
)

// tool is what says which versions of the dependencies are installed.
type tool struct {
	// name is one of the above, "" when there is nothing to install.
	name string
	// file is the lock or requirements file, or the manifest of what is not locked, in the
	// context.
	file string
	// source is where the choice came from.
	source string
}

// lockNames are the lock files by tool.
var lockNames = []struct{ file, tool string }{
	{"uv.lock", uvTool},
	{"pylock.toml", pylockTool},
	{"poetry.lock", poetryTool},
	{"pdm.lock", pdmTool},
	{"Pipfile.lock", pipenvTool},
}

// lockCommands write the lock files anew.
var lockCommands = map[string]string{
	uvTool: "uv lock", pylockTool: "uv export --format pylock.toml -o pylock.toml", poetryTool: "poetry lock", pdmTool: "pdm lock", pipenvTool: "pipenv lock",
}

// condaFiles are those of conda and its relatives, whose packages are not those of the
// Python index.
var condaFiles = []string{"environment.yml", "environment.yaml", "conda-lock.yml", "pixi.toml"}

// chooseTool decides which file says what is installed.
func (p *project) chooseTool() (tool, spec.Problems) {
	said := string(p.spec.Build.Tool)
	if strings.HasSuffix(said, ".txt") {
		name, ok := app.InContext(p.root, said)
		if !ok || !p.files.IsFile(name) {
			return tool{}, spec.Problems{p.spec.Problem("build.tool", fmt.Sprintf("build.tool: there is no %s", said), "name a requirements file of the project, and check that .dockerignore does not exclude it")}
		}
		return tool{requirements, name, p.spec.Where("build.tool")}, nil
	}
	found, problems := p.locks()
	if problems.HasErrors() {
		return tool{}, problems
	}
	if said != "" {
		return p.saidTool(said, found)
	}
	switch {
	case len(found) == 1:
		return found[0], problems
	case len(found) > 1:
		var names, lines []string
		for _, t := range found {
			names = append(names, t.file)
			lines = append(lines, "build: {tool: "+t.word(p.root)+"}       # reads "+path.Base(t.file))
		}
		return tool{}, append(problems, p.spec.Problem("build", fmt.Sprintf("there are %s that say what to install (%s), and nothing says which one counts", app.Count(len(found), "file"), strings.Join(names, ", ")),
			"delete the ones that are not used, or add one of\n"+app.Listed(lines)))
	}
	return p.noLock()
}

// word is what build.tool says for a tool.
func (t tool) word(root string) string {
	if t.name == requirements && path.Base(t.file) != "requirements.txt" {
		return app.Relative(root, t.file)
	}
	return t.name
}

// saidTool is the tool that the descriptor names.
func (p *project) saidTool(said string, found []tool) (tool, spec.Problems) {
	var known []string
	for _, l := range lockNames {
		known = append(known, l.tool)
	}
	known = append(known, requirements)
	if !slices.Contains(known, said) {
		hint := spec.Meant(said, known, "write one of "+strings.Join(known, ", ")+", or the path of a requirements file")
		return tool{}, spec.Problems{p.spec.Problem("build.tool", fmt.Sprintf("build.tool: %q does not lock dependencies of Python", said), hint)}
	}
	for _, t := range found {
		if t.name == said {
			t.source = p.spec.Where("build.tool")
			return t, nil
		}
	}
	file := "requirements.txt"
	for _, l := range lockNames {
		if l.tool == said {
			file = l.file
		}
	}
	hint := "check that .dockerignore does not exclude it"
	if c := lockCommands[said]; c != "" {
		hint = fmt.Sprintf("run `%s` and commit the file; %s", c, hint)
	}
	return tool{}, spec.Problems{p.spec.Problem("build.tool", fmt.Sprintf("build.tool: there is no %s", path.Join(p.root, file)), hint)}
}

// exported are the first lines of requirements files that tools write out of their lock
// file, which says the same.
var exported = regexp.MustCompile(`(?m)^#.*\b(uv export|poetry export|pdm export|pipenv requirements)\b`)

// locks are the files in the root that say what to install: lock files and requirements.
func (p *project) locks() ([]tool, spec.Problems) {
	var found []tool
	for _, l := range lockNames {
		if name := path.Join(p.root, l.file); p.files.Exists(name) {
			found = append(found, tool{l.tool, name, name})
		}
	}
	locks := len(found)
	for _, name := range requirementsNames {
		name = path.Join(p.root, name)
		if !p.files.IsFile(name) {
			continue
		}
		data, err := p.files.Read(name)
		if err != nil {
			return nil, spec.Problems{app.Unreadable(name, err)}
		}
		if locks > 0 && exported.Match(data[:min(len(data), 2048)]) {
			continue
		}
		if locks > 0 && len(bytes.TrimSpace(data)) == 0 {
			continue
		}
		found = append(found, tool{requirements, name, name})
		if path.Base(name) == "requirements.txt" {
			break // its neighbours are what it is made of
		}
	}
	return found, nil
}

// requirementsNames are the requirements files of a running program.
var requirementsNames = []string{
	"requirements.txt", "requirements/production.txt", "requirements/prod.txt", "requirements/base.txt", "requirements-prod.txt", "requirements-production.txt",
}

// noLock decides where no file locks versions: there may be nothing to install, and
// there may be dependencies in a manifest.
func (p *project) noLock() (tool, spec.Problems) {
	for _, name := range condaFiles {
		if name = path.Join(p.root, name); p.files.IsFile(name) {
			return tool{}, spec.Problems{app.FileProblem(name, "conda's environments are not supported: images are made of Debian and of packages of the Python index",
				"list the dependencies in pyproject.toml and run `uv lock`, or write a requirements.txt; libraries in C are Debian packages:\npackages: [libpq5]")}
		}
	}
	if p.pipfile != nil && len(p.pipfile.Get("packages").Keys()) > 0 {
		return tool{}, spec.Problems{app.FileProblem(path.Join(p.root, "Pipfile"), "there is no Pipfile.lock, so nobody knows which versions to install", "run `pipenv lock` and commit the file; check that .dockerignore does not exclude it")}
	}
	m := p.app.pyproject
	if m == nil {
		m = p.top.pyproject
	}
	if m != nil && m.root.Get("project") == nil && m.poetry {
		return tool{}, spec.Problems{m.problem(m.root.Get("tool", "poetry", "dependencies"), "there is no poetry.lock, so nobody knows which versions to install", "run `poetry lock` and commit the file; check that .dockerignore does not exclude it")}
	}
	if m != nil && m.root.Get("project") != nil {
		if len(m.dependencies)+len(m.optional)+len(m.groups) == 0 && m.root.Get("project", "dynamic") == nil {
			return tool{source: "no dependencies"}, nil
		}
		if pr := m.unlockedSource(); pr != nil {
			return tool{}, spec.Problems{*pr}
		}
		pr := m.problem(m.root.Get("project", "dependencies"), "there is no lock file: the newest versions that fit are installed, and another build may install others", "run `uv lock` and commit uv.lock; check that .dockerignore does not exclude it")
		pr.Severity = spec.Warning
		return tool{unlocked, m.file, "no lock file"}, spec.Problems{pr}
	}
	for _, name := range []string{"setup.py", "setup.cfg"} {
		if name = path.Join(p.root, name); p.files.IsFile(name) {
			pr := app.FileProblem(name, "there is no lock file: the newest versions that fit are installed, and another build may install others", "write a pyproject.toml and run `uv lock`, or pin versions in a requirements.txt")
			pr.Severity = spec.Warning
			return tool{unlocked, name, "no lock file"}, spec.Problems{pr}
		}
	}
	return tool{source: "nothing to install"}, nil
}

// unlockedSource reports a dependency that comes from a place of its own, which without a
// lock file is not known: a package of the same name might be installed from elsewhere.
func (m *pyproject) unlockedSource() *spec.Problem {
	sources := m.root.Get("tool", "uv", "sources")
	for _, name := range sources.Keys() {
		for _, one := range slices.Concat(sources.Get(name).List(), []*toml.Value{sources.Get(name)}) {
			for _, key := range []string{"git", "url", "index", "path"} {
				if v := one.Get(key); v != nil && (key != "path" || requirement.IsArchive(v.String())) {
					pr := m.problem(one.Get(key), fmt.Sprintf("%s comes from another place than the default index, and there is no lock file that says what was found there", name), "run `uv lock` and commit uv.lock; check that .dockerignore does not exclude it")
					return &pr
				}
			}
		}
	}
	return nil
}
