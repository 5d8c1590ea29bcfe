package python

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// dependencies are what is installed for the running program, as far as the files say.
type dependencies struct {
	// empty says that there is nothing to install but what the project itself consists of.
	empty bool
	// direct are the packages that the program names itself, all those that are installed,
	// as far as they are known.
	direct, all map[string]bool
	// text are the requirements in the form of a requirements file, constraints further
	// conditions; of what uv reads by itself there are none. testText is what tests need
	// beside it.
	text, constraints, testText string
	// hashes says that every requirement has one, complete that the text has everything.
	hashes, complete bool
	// git says that something comes out of a git repository.
	git bool
	// variables are those that the requirements take credentials from.
	variables []string
	// paths are folders and files of the project that requirements name, in the context.
	paths []localPath
	// source says what another installation depends on.
	source string
}

// localPath is a folder or file of the project that is a requirement.
type localPath struct {
	path   string
	extras []string
	// problem reports something wrong with it, at its place.
	problem func(message, hint string) spec.Problem
}

// has says whether a package is installed, as far as is known.
func (d *dependencies) has(name string) bool { return d.all[name] }

func (d *dependencies) add(r requirement.Requirement) {
	d.direct[r.Name], d.all[r.Name] = true, true
	for _, also := range extraPackages[r.Name] {
		if slices.Contains(r.Extras, also.extra) {
			d.all[also.brings] = true
		}
	}
}

// extraPackages are extras that bring a server.
var extraPackages = map[string][]struct{ extra, brings string }{
	"fastapi": {{"standard", "uvicorn"}, {"all", "uvicorn"}},
	"quart":   {{"hypercorn", "hypercorn"}},
}

// readDependencies finds out what is to be installed.
func (b *builder) readDependencies() spec.Problems {
	b.deps = dependencies{direct: map[string]bool{}, all: map[string]bool{}}
	switch b.tool.name {
	case "":
		b.deps.empty = true
		return b.checkGroups()
	case requirements:
		return append(b.checkGroups(), b.readRequirements()...)
	case unlocked:
		return append(b.checkGroups(), b.readManifest()...)
	case uvTool:
		return append(b.checkGroups(), b.readUV()...)
	}
	return nil
}

// checkGroups reports groups and extras that the project does not have.
func (b *builder) checkGroups() spec.Problems {
	var problems spec.Problems
	check := func(key, what string, asked []string, known map[string][]dependency) {
		var names []string
		for name := range known {
			names = append(names, name)
		}
		slices.Sort(names)
		for i, name := range asked {
			if _, ok := known[requirement.Name(name)]; ok {
				continue
			}
			hint := "there are none"
			if len(names) > 0 {
				hint = "there are " + strings.Join(names, ", ")
			}
			if near, ok := spec.Nearest(name, names); ok {
				hint = fmt.Sprintf("did you mean %q?", near)
			}
			place := key
			if len(asked) > 1 {
				place = fmt.Sprintf("%s[%d]", key, i)
			}
			problems = append(problems, b.spec.Problem(place, fmt.Sprintf("%s: the project has no %s %q", key, what, name), hint))
		}
	}
	var groups, extras map[string][]dependency
	if m := b.app.pyproject; m != nil {
		groups, extras = m.groups, m.optional
	}
	check("build.groups", "group", b.spec.Build.Groups, groups)
	check("build.extras", "extra", b.spec.Build.Extras, extras)
	return problems
}

// readRequirements reads requirements files.
func (b *builder) readRequirements() spec.Problems {
	file, problems := requirement.Read(b.files, b.root, b.tool.file)
	if problems.HasErrors() {
		return problems
	}
	b.deps.variables = file.Variables
	b.deps.source = strings.Join(file.Files, ", ")
	b.deps.text = b.write(file.Options, file.Requirements, true)
	b.deps.constraints = b.write(nil, file.Constraints, false)
	b.deps.empty = !slices.ContainsFunc(file.Requirements, func(l requirement.Line) bool { return l.Path == "" })
	return problems
}

// write writes requirements in the form of a requirements file, sorted by nothing: the
// order of options counts. Folders of the project become wheels of their own.
func (b *builder) write(options []requirement.Option, lines []requirement.Line, install bool) string {
	var text strings.Builder
	for _, o := range options {
		switch o.Name {
		case requirement.NoBinary, requirement.OnlyBinary, requirement.RequireHashes, requirement.PreferBinary, requirement.UseFeature:
			b.deps.hashes = b.deps.hashes || o.Name == requirement.RequireHashes && install
			continue // decided here
		}
		text.WriteString(strings.TrimSpace(o.Name+" "+o.Value) + "\n")
	}
	for _, l := range lines {
		if l.Path != "" {
			b.deps.paths = append(b.deps.paths, localPath{l.Path, l.Extras, func(message, hint string) spec.Problem {
				return app.LineProblem(l.File, l.Number, l.Text, "", message, hint)
			}})
			continue
		}
		if install {
			b.deps.add(l.Requirement)
			b.deps.hashes = b.deps.hashes || len(l.Hashes) > 0
			b.deps.git = b.deps.git || l.VCS()
		}
		text.WriteString(l.Requirement.String())
		for _, h := range l.Hashes {
			text.WriteString(" --hash=" + h)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// readManifest makes requirements of a manifest's dependencies, which no file locks.
func (b *builder) readManifest() spec.Problems {
	m := b.app.pyproject
	if m == nil {
		return nil
	}
	b.deps.source = m.file
	b.deps.text = b.manifestText(b.shippedDependencies())
	b.deps.empty = b.deps.text == ""
	return nil
}

// shippedDependencies are the manifest's own, with the groups and extras that are asked
// for.
func (b *builder) shippedDependencies() []dependency {
	m := b.app.pyproject
	all := slices.Clone(m.dependencies)
	for _, e := range b.spec.Build.Extras {
		all = append(all, m.optional[requirement.Name(e)]...)
	}
	for _, g := range b.spec.Build.Groups {
		all = append(all, m.groups[requirement.Name(g)]...)
	}
	return all
}

// manifestText writes dependencies as requirements, without those that are members of
// the project.
func (b *builder) manifestText(all []dependency) string {
	var lines []string
	for _, d := range all {
		if dir, ok := b.localSource(b.app, d.Name); ok {
			b.deps.paths = append(b.deps.paths, localPath{dir, d.Extras, func(message, hint string) spec.Problem {
				return b.app.problem(d.value, message, hint)
			}})
			continue
		}
		b.deps.add(d.Requirement)
		b.deps.git = b.deps.git || strings.HasPrefix(d.URL, "git+")
		lines = append(lines, d.String()+"\n")
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}

// readUV reads what uv's lock file says; uv itself installs by it.
func (b *builder) readUV() spec.Problems {
	b.deps.source = b.tool.file
	for _, d := range b.shippedDependencies() {
		b.deps.add(d.Requirement)
	}
	return nil
}

// localSource is the folder of the project that a dependency of a member stands for by
// uv's sources (https://docs.astral.sh/uv/concepts/projects/dependencies/#dependency-sources)
// or Poetry's paths.
func (b *builder) localSource(m *member, name string) (string, bool) {
	if m.pyproject == nil {
		return "", false
	}
	for _, from := range []*member{m, b.top} {
		if from.pyproject == nil {
			continue
		}
		sources := from.root.Get("tool", "uv", "sources")
		for _, key := range sources.Keys() {
			if requirement.Name(key) != name {
				continue
			}
			v := sources.Get(key)
			if v.Get("workspace").True() {
				for _, other := range append([]*member{b.top}, b.members...) {
					if other.pyproject != nil && requirement.Name(other.name) == name {
						return other.dir, true
					}
				}
			}
			if text := v.Get("path").String(); text != "" {
				if dir, ok := app.InContext(from.dir, text); ok {
					return dir, true
				}
			}
		}
	}
	table := m.root.Get("tool", "poetry", "dependencies")
	for _, key := range table.Keys() {
		if text := table.Get(key, "path").String(); requirement.Name(key) == name && text != "" {
			if dir, ok := app.InContext(m.dir, text); ok {
				return dir, true
			}
		}
	}
	return "", false
}

// lockBase is the name of the file that says what is installed.
func (b *builder) lockBase() string { return path.Base(b.tool.file) }
