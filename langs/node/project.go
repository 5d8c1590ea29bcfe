package node

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// project is what the project's files say.
type project struct {
	spec  *spec.Spec
	files app.Files
	// root is the folder of the workspace, of the lock file and of the
	// installation; like all folders here it is relative to the context.
	root string
	// top is the package in root; its manifest is nil when there is no
	// package.json at all.
	top *member
	// members are the workspace's packages but top, sorted by folder.
	members []*member
	// app is the package that is built and run, and appSource where that comes
	// from.
	app       *member
	appSource string
	// libs are the members that app needs when it runs, sorted by folder.
	libs []*member
	// builds are libs and those that only its build needs, in the order in which
	// they are built.
	builds []*member

	// pnpm is the content of pnpm-workspace.yaml.
	pnpm pnpmSettings
}

// member is a package of the project.
type member struct {
	// dir is its folder in the context, rel the one below the root.
	dir, rel string
	*manifest
}

// title is how people know a member.
func (m *member) title() string {
	if m.manifest != nil && m.name != "" {
		return m.name
	}
	return m.rel
}

// pnpmSettings are those of pnpm-workspace.yaml that a build cares about:
// https://pnpm.io/settings.
type pnpmSettings struct {
	Packages                []string       `yaml:"packages"`
	InjectWorkspacePackages bool           `yaml:"injectWorkspacePackages"`
	Overrides               map[string]any `yaml:"overrides"`
}

// maxMembers bounds how many package.json files are read.
const maxMembers = 5000

// load reads the manifests. It returns nil and at least one error when they
// cannot be used.
func load(s *spec.Spec, files fs.FS) (*project, spec.Problems) {
	p := &project{spec: s, files: app.Files{FS: files}}
	dir, problems := app.CheckedDir(s, p.files, "Node's files")
	if problems.HasErrors() {
		return nil, problems
	}
	own, problems := p.manifestIn(dir)
	if problems.HasErrors() {
		return nil, problems
	}
	p.root, p.top = dir, &member{dir: dir, rel: ".", manifest: own}
	if own == nil {
		if len(s.Package) > 0 {
			return nil, append(problems, s.Problem("package", fmt.Sprintf("package: there is no package.json in %s, so there are no workspaces", app.Describe(dir)), "remove the line, or name the folder with dir:"))
		}
		p.app, p.appSource = p.top, "there is no package.json"
		return p, problems
	}
	found := p.findRoot(dir)
	problems = append(problems, found...)
	if problems.HasErrors() {
		return nil, problems
	}
	problems = append(problems, p.choose(dir)...)
	if problems.HasErrors() {
		return nil, problems
	}
	p.libs = p.reach(false)
	p.builds = p.reach(true)
	return p, problems
}

// manifestIn reads the package.json in a folder; nil without a problem when there
// is none.
func (p *project) manifestIn(dir string) (*manifest, spec.Problems) {
	name := path.Join(dir, "package.json")
	data, err := p.files.Read(name)
	if err != nil {
		return nil, spec.Problems{app.Unreadable(name, err)}
	}
	if data == nil {
		return nil, nil
	}
	return parseManifest(name, data)
}

// findRoot finds the workspace that a folder belongs to: its own, or one further
// up that has it as a member. It sets root, top and members.
func (p *project) findRoot(dir string) spec.Problems {
	for at := dir; ; at = path.Dir(at) {
		top := p.top.manifest
		if at != dir {
			var problems spec.Problems
			if top, problems = p.manifestIn(at); problems.HasErrors() {
				return problems
			}
		}
		settings, globs, problems := p.workspaceGlobs(at, top)
		if problems.HasErrors() {
			return problems
		}
		if len(globs) > 0 && (at == dir || matchesAny(globs, app.Relative(at, dir))) {
			p.root, p.pnpm = at, settings
			if at != dir && top == nil {
				top = &manifest{file: path.Join(at, "package.json"), data: []byte("{}")}
			}
			p.top = &member{dir: at, rel: ".", manifest: top}
			return p.loadMembers(globs)
		}
		if at == dir {
			p.pnpm = settings
		}
		if at == "." {
			return nil
		}
	}
}

// workspaceGlobs are the patterns of a workspace's members.
func (p *project) workspaceGlobs(dir string, m *manifest) (settings pnpmSettings, globs []string, problems spec.Problems) {
	name := path.Join(dir, "pnpm-workspace.yaml")
	data, err := p.files.Read(name)
	if err != nil {
		return settings, nil, spec.Problems{app.Unreadable(name, err)}
	}
	if data != nil {
		if err := yaml.Unmarshal(data, &settings); err != nil {
			return settings, nil, spec.Problems{yamlProblem(name, err)}
		}
		globs = settings.Packages
	}
	if len(globs) == 0 && m != nil {
		globs = m.workspaces
	}
	for _, g := range globs {
		if _, err := path.Match(strings.TrimPrefix(g, "!"), ""); err != nil {
			return settings, nil, spec.Problems{app.FileProblem(name, fmt.Sprintf("the workspace pattern %q cannot be read: %v", g, err), "")}
		}
	}
	return settings, globs, nil
}

// loadMembers reads the manifests of the folders that match.
func (p *project) loadMembers(globs []string) spec.Problems {
	var problems spec.Problems
	dirs, all := app.Members(p.files, p.root, "package.json", []string{"node_modules", ".git"}, maxMembers, func(rel string) bool { return matchesAny(globs, rel) })
	for _, dir := range dirs {
		m, found := p.manifestIn(dir)
		problems = append(problems, found...)
		if m != nil {
			p.members = append(p.members, &member{dir: dir, rel: app.Relative(p.root, dir), manifest: m})
		}
	}
	if !all {
		problems = append(problems, app.FileProblem(path.Join(p.root, "package.json"), fmt.Sprintf("the workspace has more than %d packages", maxMembers), "name fewer folders in workspaces"))
	}
	sort.Slice(p.members, func(i, j int) bool { return p.members[i].dir < p.members[j].dir })
	names := map[string]*member{}
	for _, m := range p.members {
		if other := names[m.name]; m.name != "" && other != nil {
			problems = append(problems, m.problem([]string{"name"}, fmt.Sprintf("%s is the name of %s as well", m.name, other.file), "every workspace needs a name of its own"))
		}
		names[m.name] = m
	}
	return problems
}

// matchesAny says whether a folder below the workspace's root is a member:
// https://docs.npmjs.com/cli/configuring-npm/package-json#workspaces. The last
// pattern that matches counts.
func matchesAny(globs []string, rel string) bool {
	member := false
	for _, g := range globs {
		pattern, without := strings.CutPrefix(g, "!")
		for _, one := range braces(pattern) {
			one = strings.Trim(path.Clean(strings.TrimPrefix(one, "./")), "/")
			if app.MatchGlob(one, rel) {
				member = !without
			}
		}
	}
	return member
}

// braces expands {a,b}.
func braces(pattern string) []string {
	open := strings.IndexByte(pattern, '{')
	if open < 0 || strings.Count(pattern, "{") > 3 {
		return []string{pattern}
	}
	end := strings.IndexByte(pattern[open:], '}')
	if end < 0 {
		return []string{pattern}
	}
	var all []string
	for _, choice := range strings.Split(pattern[open+1:open+end], ",") {
		all = append(all, braces(pattern[:open]+choice+pattern[open+end+1:])...)
	}
	return all
}

// choose decides which package is built: the one that package names, the one in
// dir, or the only one that can be started.
func (p *project) choose(dir string) spec.Problems {
	s := p.spec
	if len(s.Package) > 1 {
		return spec.Problems{s.Problem("package[1]", "package: an image has one Node program", "write one, and give each an image of its own in images")}
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
	p.app, p.appSource = p.top, "the project's own package"
	if len(p.members) == 0 {
		return nil
	}
	p.appSource = "the workspace's root, which can be started"
	if p.startable(p.top) {
		return nil
	}
	var able, servers []*member
	for _, m := range p.members {
		if !p.startable(m) {
			continue
		}
		able = append(able, m)
		if m.scripts["start"] != "" {
			servers = append(servers, m)
		}
	}
	if len(servers) == 1 {
		able = servers
	}
	if len(able) == 1 {
		p.app, p.appSource = able[0], "the only workspace that can be started"
		return nil
	}
	candidates, what := able, fmt.Sprintf("there are %d workspaces that can be started, and nothing says which one to build", len(able))
	if len(able) == 0 {
		candidates, what = p.members, "no workspace says how it is started"
	}
	return spec.Problems{s.Problem("package", what, "add one of\n"+app.Listed(packageLines(candidates)))}
}

func packageLines(members []*member) []string {
	var lines []string
	for _, m := range members {
		lines = append(lines, "package: "+quoteName(m.title()))
	}
	return lines
}

// quoteName is a name as YAML: a scope's @ needs quotes.
func quoteName(name string) string {
	if strings.HasPrefix(name, "@") {
		return `"` + name + `"`
	}
	return name
}

func (p *project) chooseNamed(name string) spec.Problems {
	s := p.spec
	clean := path.Clean(strings.TrimSuffix(name, "/"))
	for _, m := range append([]*member{p.top}, p.members...) {
		if m.name == name || m.rel == clean {
			p.app, p.appSource = m, s.Where("package")
			return nil
		}
	}
	if len(p.members) == 0 {
		return spec.Problems{s.Problem("package[0]", fmt.Sprintf("package: %q is not there: the project has no workspaces", name), "remove the line, or name the folder with dir:")}
	}
	var names []string
	for _, m := range p.members {
		names = append(names, m.title())
	}
	hint := spec.Meant(name, names, "there are\n"+app.Listed(packageLines(p.members)))
	return spec.Problems{s.Problem("package[0]", fmt.Sprintf("package: %q is no workspace", name), hint)}
}

// startable says whether a package looks like a program, not a library.
func (p *project) startable(m *member) bool {
	if m.manifest == nil {
		return false
	}
	if m.scripts["start"] != "" || m.needs("next") || m.needs("nuxt") || m.needs("vite") || m.needs("astro") {
		return m.scripts["start"] != "" || m.scripts["build"] != ""
	}
	for _, name := range serverNames {
		if p.files.IsFile(path.Join(m.dir, name)) && strings.HasPrefix(name, "server") {
			return true
		}
	}
	return false
}

// reach returns the members that app needs when it runs, or also those that its
// build needs, after those that they need themselves.
func (p *project) reach(build bool) []*member {
	byName := map[string]*member{}
	for _, m := range p.members {
		if m.name != "" {
			byName[m.name] = m
		}
	}
	var found []*member
	done := map[*member]bool{p.app: true}
	var visit func(m *member)
	visit = func(m *member) {
		names := m.shipped()
		if build {
			names = m.all()
		}
		for _, name := range names {
			next := byName[name]
			if next == nil || done[next] {
				continue
			}
			done[next] = true
			visit(next)
			found = append(found, next)
		}
	}
	if p.app.manifest != nil {
		visit(p.app)
	}
	if !build {
		sort.Slice(found, func(i, j int) bool { return found[i].dir < found[j].dir })
	}
	return found
}

// packages are the root's and all members.
func (p *project) packages() []*member {
	return append([]*member{p.top}, p.members...)
}

// shippedMembers are app and libs.
func (p *project) shippedMembers() []*member {
	return append([]*member{p.app}, p.libs...)
}

// versionCounts says whether other packages of the workspace ask for a member by
// a range that its version must be in.
func (p *project) versionCounts(m *member) bool {
	for _, other := range p.packages() {
		if other.manifest == nil {
			continue
		}
		for _, kind := range []map[string]string{other.dependencies, other.dev, other.optional, other.peer} {
			want, ok := kind[m.name]
			if !ok || want == "*" || want == "" {
				continue
			}
			protocol, _, found := strings.Cut(want, ":")
			if found && slices.Contains([]string{"file", "link", "portal"}, protocol) {
				continue
			}
			if rest, ok := strings.CutPrefix(want, "workspace:"); ok && (rest == "*" || rest == "^" || rest == "~") {
				continue
			}
			return true
		}
	}
	return false
}

// yamlProblem is an error of the YAML library, whose messages have lines.
func yamlProblem(file string, err error) spec.Problem {
	message := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " ")
	pr := app.FileProblem(file, "the file is not YAML: "+message, "")
	if _, rest, ok := strings.Cut(message, "line "); ok {
		line := 0
		if _, err := fmt.Sscanf(rest, "%d", &line); err == nil && line > 0 {
			pr.Range = spec.Range{Start: spec.Position{Line: line, Column: 1}, End: spec.Position{Line: line, Column: 2}}
		}
	}
	return pr
}
