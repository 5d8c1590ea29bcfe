package python

import (
	"fmt"
	"maps"
	"net/url"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/lock"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// dependencies are what is installed for the running program, as far as the files say.
type dependencies struct {
	// empty says that there is nothing to install but what the project itself consists of.
	empty bool
	// direct are the packages that the program names itself, all those that are installed,
	// as far as they are known.
	direct, all map[string]bool
	// count is how many are installed, 0 when that is not known before.
	count int
	// text are the requirements in the form of a requirements file, constraints further
	// conditions; of what uv reads by itself there are none. testText is the text for
	// tests, "" when they need no more than the image has.
	text, constraints, testText string
	// hashes says that every requirement has one, complete that the text has everything.
	hashes, complete bool
	// git says that something comes out of a git repository.
	git bool
	// pure says that everything is the same on all platforms.
	pure bool
	// large are installed, and are layers, each by itself.
	large []large
	// indexes are those that the project names beside the default one.
	indexes []string
	// variables are those that the requirements take credentials from.
	variables []string
	// paths are folders of the project that are requirements, files are archives in it and
	// folders of them, in the context.
	paths []localPath
	files []string
	// places are where the requirements stand.
	places []place
}

// large is a package whose wheel is very large.
type large struct {
	name string
	// text is its requirement.
	text string
	pure bool
}

// largeSize is from which size on a wheel is a layer by itself, in bytes.
const largeSize = 50 << 20

// largeNames are packages with very large wheels, where a lock does not say the size.
var largeNames = []string{"torch", "tensorflow", "tensorflow-cpu", "jaxlib", "triton", "nvidia-*", "cupy-*", "pyspark", "paddlepaddle", "mxnet", "vllm"}

// localPath is a folder of the project that is a requirement.
type localPath struct {
	path string
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
		return b.checkGroups(b.manifestGroups())
	case requirements:
		return append(b.checkGroups(b.manifestGroups()), b.readRequirements()...)
	case unlocked:
		return append(b.checkGroups(b.manifestGroups()), b.readManifest()...)
	}
	return b.selectLocked()
}

// manifestGroups are the names of the groups and extras of pyproject.toml.
func (b *builder) manifestGroups() (groups, extras []string) {
	if m := b.app.pyproject; m != nil {
		groups, extras = slices.Sorted(maps.Keys(m.groups)), slices.Sorted(maps.Keys(m.optional))
	}
	return groups, extras
}

// checkGroups reports groups and extras that the project does not have.
func (b *builder) checkGroups(groups, extras []string) spec.Problems {
	var problems spec.Problems
	check := func(key, what string, asked, known []string) {
		for i, name := range asked {
			if slices.Contains(known, requirement.Name(name)) {
				continue
			}
			hint := "there are none"
			if len(known) > 0 {
				hint = spec.Meant(name, known, "there are "+strings.Join(known, ", "))
			}
			place := key
			if len(asked) > 1 {
				place = fmt.Sprintf("%s[%d]", key, i)
			}
			problems = append(problems, b.spec.Problem(place, fmt.Sprintf("%s: the project has no %s %q", key, what, name), hint))
		}
	}
	check("build.groups", "group", b.spec.Build.Groups, groups)
	check("build.extras", "extra", b.spec.Build.Extras, extras)
	return problems
}

// testRequirements are the requirements files of tests.
var testRequirements = []string{
	"requirements-dev.txt", "requirements-test.txt", "requirements_dev.txt", "requirements_test.txt", "dev-requirements.txt", "test-requirements.txt",
	"requirements/dev.txt", "requirements/development.txt", "requirements/test.txt", "requirements/tests.txt",
}

// readRequirements reads requirements files.
func (b *builder) readRequirements() spec.Problems {
	file, problems := requirement.Read(b.files, b.root, b.tool.file)
	if problems.HasErrors() {
		return problems
	}
	for _, l := range file.Requirements {
		if l.VCS() && b.holds(l.Marker) && !b.sdist(l.Name) {
			name, hint := l.Name, ""
			if name == "" {
				name, hint = "NAME", "write NAME @ "+l.URL+", and in the descriptor\n"
			}
			problems = append(problems, app.LineProblem(l.File, l.Number, l.Text, "", name+fromGit, hint+"build: {sdist: ["+name+"]}"))
		}
	}
	b.deps.variables = file.Variables
	b.deps.text = b.write(file, file.Requirements, &b.deps)
	b.deps.constraints = b.write(nil, file.Constraints, nil)
	b.deps.empty = len(b.deps.all) == 0 && len(b.deps.files) == 0
	if b.spec.Test == nil {
		return problems
	}
	names := []string{b.tool.file}
	for _, name := range testRequirements {
		if name = path.Join(b.root, name); b.files.IsFile(name) {
			names = append(names, name)
		}
	}
	if len(names) > 1 {
		tests, found := requirement.Read(b.files, b.root, names...)
		problems = append(problems, found...)
		b.deps.testText = b.write(tests, tests.Requirements, nil)
		if slices.ContainsFunc(tests.Requirements, func(l requirement.Line) bool { return l.Name == "pytest" }) {
			b.pytest = true
		}
	}
	return problems
}

// write writes requirements in the form of a requirements file, in their order, behind
// the options of their files. What it finds is added to d, which may be nil. Folders of the
// project are left out: they become wheels of their own.
func (b *builder) write(file *requirement.File, lines []requirement.Line, d *dependencies) string {
	var text strings.Builder
	if file != nil {
		for _, o := range file.Options {
			switch o.Name {
			case requirement.NoBinary, requirement.OnlyBinary, requirement.RequireHashes, requirement.PreferBinary, requirement.UseFeature, requirement.TrustedHost:
				if d != nil && o.Name == requirement.RequireHashes {
					d.hashes = true
				}
				continue // decided here, and TrustedHost is for the machine to say
			case requirement.FindLinks:
				// A folder of archives in the project, or a page on a server.
				if name, ok := app.InContext(path.Dir(o.File), o.Value); ok && !strings.Contains(o.Value, ":") {
					o.Value = at(name)
					if d != nil {
						d.files = append(d.files, name)
					}
				}
			}
			text.WriteString(strings.TrimSpace(o.Name+" "+o.Value) + "\n")
		}
	}
	for _, l := range lines {
		if l.Path != "" && !requirement.IsArchive(l.Path) {
			if d != nil {
				d.paths = append(d.paths, localPath{l.Path, func(message, hint string) spec.Problem {
					return app.LineProblem(l.File, l.Number, l.Text, "", message, hint)
				}})
			}
			continue
		}
		if d != nil {
			if l.Name != "" && b.holds(l.Marker) {
				d.add(l.Requirement)
				d.remember(l.Name, l.File, l.Number, l.Requirement.String())
			}
			d.hashes = d.hashes || len(l.Hashes) > 0
			d.git = d.git || l.VCS()
		}
		one := l.Requirement
		if l.Path != "" {
			if d != nil {
				d.files = append(d.files, l.Path)
			}
			one.URL = archiveURL(l.Path)
		}
		text.WriteString(one.String())
		for _, h := range l.Hashes {
			text.WriteString(" --hash=" + h)
		}
		text.WriteByte('\n')
	}
	return text.String()
}

// holds says whether a marker holds on a platform of images.
func (b *builder) holds(m requirement.Marker) bool {
	return slices.ContainsFunc(b.runtime.targets(), func(t lock.Target) bool { return m.Holds(requirement.Linux(t.Python, t.Arch), nil, nil) })
}

// readManifest makes requirements of a manifest's dependencies, which no file locks.
func (b *builder) readManifest() spec.Problems {
	m := b.app.pyproject
	if m == nil || b.resolvesSource() {
		return nil
	}
	all := slices.Clone(m.dependencies)
	for _, e := range b.spec.Build.Extras {
		all = append(all, m.optional[requirement.Name(e)]...)
	}
	for _, g := range b.spec.Build.Groups {
		all = append(all, m.groups[requirement.Name(g)]...)
	}
	var problems spec.Problems
	for _, d := range all {
		if strings.HasPrefix(d.URL, "git+") && b.holds(d.Marker) && !b.sdist(d.Name) {
			problems = append(problems, b.app.problem(d.value, d.Name+fromGit, "build: {sdist: ["+d.Name+"]}"))
		}
	}
	b.deps.text = b.manifestText(all, &b.deps)
	b.deps.empty = b.deps.text == ""
	if b.spec.Test == nil {
		return problems
	}
	for _, more := range []map[string][]dependency{m.optional, m.groups} {
		for _, name := range slices.Sorted(maps.Keys(more)) {
			all = append(all, more[name]...)
		}
	}
	if text := b.manifestText(all, nil); text != b.deps.text {
		b.deps.testText = text
	}
	return problems
}

// resolvesSource says whether only the project's own build system knows what it depends on.
func (b *builder) resolvesSource() bool {
	if b.tool.name != unlocked {
		return false
	}
	m := b.app.pyproject
	return m == nil || m.root.Get("project") == nil || slices.Contains(m.root.Get("project", "dynamic").Strings(), "dependencies")
}

// manifestText writes dependencies as requirements, without those that are folders of
// the project. What it finds is added to d, which may be nil.
func (b *builder) manifestText(all []dependency, d *dependencies) string {
	var lines []string
	for _, one := range all {
		if dir, ok := b.localSource(b.app, one.Name); ok {
			if d != nil {
				d.paths = append(d.paths, localPath{dir, func(message, hint string) spec.Problem {
					return b.app.problem(one.value, message, hint)
				}})
			}
			continue
		}
		if d != nil && b.holds(one.Marker) {
			d.add(one.Requirement)
			d.remember(one.Name, b.app.file, one.value.Line(), one.String())
		}
		if d != nil {
			d.git = d.git || strings.HasPrefix(one.URL, "git+")
		}
		lines = append(lines, one.String()+"\n")
	}
	slices.Sort(lines)
	return strings.Join(slices.Compact(lines), "")
}

// manifest is what the lock file was made from.
func (p *project) manifest(t tool) lock.Manifest {
	if t.name == pipenvTool {
		return lock.Manifest{File: path.Join(p.root, "Pipfile"), Root: p.pipfile}
	}
	if p.top.pyproject == nil {
		return lock.Manifest{}
	}
	return lock.Manifest{File: p.top.file, Root: p.top.root}
}

// readLock reads the lock file.
func (p *project) readLock(t tool) (*lock.Lock, spec.Problems) {
	if lockCommands[t.name] == "" {
		return nil, nil
	}
	if p.top.pyproject == nil && (t.name == uvTool || t.name == poetryTool || t.name == pdmTool) {
		return nil, spec.Problems{app.FileProblem(t.file, fmt.Sprintf("there is no %s, which the lock file was made from", path.Join(p.root, "pyproject.toml")), "commit it, and check that .dockerignore does not exclude it")}
	}
	data, err := p.files.Read(t.file)
	if err != nil {
		return nil, spec.Problems{app.Unreadable(t.file, err)}
	}
	l, problems := lock.Read(t.file, data)
	if problems.HasErrors() {
		return nil, problems
	}
	if m := p.manifest(t); m.Root != nil {
		problems = append(problems, l.Stale(m)...)
	}
	if t.name == uvTool && p.top.pyproject != nil {
		problems = append(problems, p.checkUVLock(t.file, l.Root)...)
	}
	return l, problems
}

// targets are the platforms of images. The patch release of Python is not known here: its first
// one needs whatever others need.
func (r runtime) targets() []lock.Target {
	glibc := strings.ReplaceAll(strings.TrimPrefix(r.glibc(), "manylinux_"), "_", ".")
	var all []lock.Target
	for _, arch := range []string{"amd64", "arm64"} {
		all = append(all, lock.Target{Arch: arch, Python: r.version + ".0", Glibc: glibc})
	}
	return all
}

// member is the name of the member of uv's workspace that is built, "" for its root.
func (b *builder) member() string {
	if b.app == b.top {
		return ""
	}
	return b.app.name
}

// selectLocked chooses what is installed of what is locked.
func (b *builder) selectLocked() spec.Problems {
	m := b.manifest(b.tool)
	groups, extras := b.lock.Groups(m, b.member())
	if b.tool.name == pdmTool {
		groups = append(groups, extras...)
		extras = groups
	}
	if problems := b.checkGroups(groups, extras); problems.HasErrors() {
		return problems
	}
	want := lock.Want{Package: b.member(), Groups: b.spec.Build.Groups, Extras: b.spec.Build.Extras, Targets: b.runtime.targets()}
	chosen, problems := b.lock.Select(m, want)
	if problems.HasErrors() {
		return problems
	}
	problems = append(problems, b.checkWheels(chosen)...)
	b.deps.complete, b.deps.hashes, b.deps.pure = true, true, true
	var rest []lock.Chosen
	separate := b.largeOnes(chosen)
	for _, c := range chosen {
		switch c.Source.Kind {
		case lock.Directory, lock.Virtual:
			if dir, ok := app.InContext(b.root, c.Source.Path); !ok {
				problems = append(problems, b.lockProblem(c.Line, fmt.Sprintf("%s is in %s, outside of the build context", c.Name, c.Source.Path), "build with a folder further up as context, and name the project with dir:"))
			} else if c.Source.Kind == lock.Directory && dir != b.app.dir {
				b.deps.paths = append(b.deps.paths, localPath{dir, func(message, hint string) spec.Problem { return b.lockProblem(c.Line, message, hint) }})
			}
			continue
		case lock.File:
			b.deps.hashes, b.deps.pure = false, false
		case lock.Git:
			b.deps.git, b.deps.hashes, b.deps.pure = true, false, false
		}
		b.deps.all[c.Name] = true
		b.deps.count++
		b.deps.remember(c.Name, b.tool.file, c.Line, c.Name+" "+c.Version)
		b.deps.hashes = b.deps.hashes && len(c.Hashes) > 0
		pure := b.pure(c)
		b.deps.pure = b.deps.pure && pure
		if separate[c.Name] {
			text, found := b.lock.Requirements([]lock.Chosen{c})
			problems = append(problems, found...)
			if last := len(b.deps.large) - 1; last >= 0 && b.deps.large[last].name == c.Name {
				// Another version of it, for another platform.
				b.deps.large[last].text += text
				b.deps.large[last].pure = false
				continue
			}
			b.deps.large = append(b.deps.large, large{c.Name, text, pure})
			continue
		}
		rest = append(rest, c)
	}
	var found spec.Problems
	b.deps.text, found = b.lockedText(rest)
	problems = append(problems, found...)
	b.deps.indexes = b.namedIndexes()
	b.deps.empty = b.deps.count == 0
	for _, name := range b.directNames() {
		b.deps.direct[name] = true
	}
	return append(problems, b.testLocked(m)...)
}

// lockedText writes what is locked as requirements, archives of the project among them.
func (b *builder) lockedText(chosen []lock.Chosen) (string, spec.Problems) {
	text, problems := b.lock.Requirements(chosen)
	for _, c := range chosen {
		if c.Source.Kind != lock.File {
			continue
		}
		name, ok := app.InContext(b.root, c.Source.Path)
		if !ok {
			problems = append(problems, b.lockProblem(c.Line, fmt.Sprintf("%s is the file %s, outside of the build context", c.Name, c.Source.Path), "put it into the project"))
			continue
		}
		if !slices.Contains(b.deps.files, name) {
			b.deps.files = append(b.deps.files, name)
		}
		text += c.Name + " @ " + archiveURL(name)
		if c.Marker != "" {
			text += " ; " + c.Marker
		}
		text += "\n"
	}
	return text, problems
}

// archiveURL is the URL that an archive of the project has in build containers.
func archiveURL(name string) string { return (&url.URL{Scheme: "file", Path: at(name)}).String() }

// testLocked chooses what tests need: all groups.
func (b *builder) testLocked(m lock.Manifest) spec.Problems {
	if b.spec.Test == nil {
		return nil
	}
	groups, _ := b.lock.Groups(m, b.member())
	chosen, problems := b.lock.Select(m, lock.Want{Package: b.member(), Groups: groups, Extras: b.spec.Build.Extras, Targets: b.runtime.targets()})
	if problems.HasErrors() {
		return problems
	}
	more := false
	for _, c := range chosen {
		local := c.Source.Kind == lock.Directory || c.Source.Kind == lock.Virtual
		more = more || !local && !b.deps.all[c.Name]
		b.pytest = b.pytest || c.Name == "pytest"
	}
	if !more {
		return nil
	}
	b.deps.testText, problems = b.lockedText(chosen)
	return problems
}

// lockProblem is an error at a line of the lock file.
func (b *builder) lockProblem(line int, message, hint string) spec.Problem {
	pr := app.FileProblem(b.tool.file, message, hint)
	if line > 0 {
		pr.Range = spec.Range{Start: spec.Position{Line: line, Column: 1}, End: spec.Position{Line: line, Column: 2}}
	}
	return pr
}

// sdist says whether the descriptor wants a package compiled from its source.
func (b *builder) sdist(name string) bool {
	return slices.ContainsFunc(b.spec.Build.SDist, func(s string) bool { return requirement.Name(s) == name })
}

// pure says whether what is installed of a package is the same on all platforms.
func (b *builder) pure(c lock.Chosen) bool {
	if !c.Listed || c.Marker != "" || b.sdist(c.Name) {
		return false
	}
	for _, t := range c.Targets {
		if w, ok := c.Wheel(t); !ok || w.Platform() {
			return false
		}
	}
	return true
}

// largeOnes are the names of packages that are layers by themselves: of one that is another for
// each platform all are, as uv leaves out of an installation whatever has the name.
func (b *builder) largeOnes(chosen []lock.Chosen) map[string]bool {
	names := map[string]bool{}
	for _, c := range chosen {
		if b.isLarge(c) {
			names[c.Name] = true
		}
	}
	for _, c := range chosen {
		if c.Source.Kind != lock.Index {
			delete(names, c.Name)
		}
	}
	return names
}

func (b *builder) isLarge(c lock.Chosen) bool {
	if b.sdist(c.Name) || c.Source.Kind != lock.Index {
		return false
	}
	for _, t := range c.Targets {
		if w, ok := c.Wheel(t); ok && w.Size > 0 {
			return w.Size >= largeSize
		}
	}
	return slices.ContainsFunc(largeNames, func(pattern string) bool {
		ok, err := path.Match(pattern, c.Name)
		return err == nil && ok
	})
}

// fitting says whether a package has a wheel for a version of Python on any platform, as
// far as is known.
func fitting(c lock.Chosen, r runtime) bool {
	if !c.Listed || c.Source.Kind != lock.Index && c.Source.Kind != lock.URL {
		return true
	}
	return slices.ContainsFunc(r.targets(), func(t lock.Target) bool {
		_, ok := c.Wheel(t)
		return ok
	})
}

// checkWheels reports packages that have no wheel for the version of Python, and names in
// build.sdist that are no dependencies.
func (b *builder) checkWheels(chosen []lock.Chosen) spec.Problems {
	var problems spec.Problems
	for i, name := range b.spec.Build.SDist {
		if !slices.ContainsFunc(chosen, func(c lock.Chosen) bool { return c.Name == requirement.Name(name) }) {
			var names []string
			for _, c := range chosen {
				names = append(names, c.Name)
			}
			key := "build.sdist"
			if len(b.spec.Build.SDist) > 1 {
				key = fmt.Sprintf("%s[%d]", key, i)
			}
			problems = append(problems, b.spec.Problem(key, fmt.Sprintf("build.sdist: %q is none of the dependencies", name), spec.Meant(name, names, "remove it")))
		}
	}
	var without []lock.Chosen
	for _, c := range chosen {
		if c.Source.Kind == lock.Git && !b.sdist(c.Name) {
			problems = append(problems, b.lockProblem(c.Line, c.Name+fromGit, "build: {sdist: ["+c.Name+"]}"))
		}
		if !b.sdist(c.Name) && !fitting(c, b.runtime) {
			without = append(without, c)
		}
	}
	if len(without) == 0 {
		return problems
	}
	other := ""
	for _, v := range slices.Backward(b.versions) {
		r := runtime{version: v}
		if v != b.runtime.version && !slices.ContainsFunc(chosen, func(c lock.Chosen) bool { return !b.sdist(c.Name) && !fitting(c, r) }) {
			other = v
			break
		}
	}
	for _, c := range without {
		var hints []string
		if other != "" && b.allows(other) {
			hints = append(hints, fmt.Sprintf("Python %s has wheels of all dependencies:\nversion: %q", other, other))
		}
		if c.Sdist {
			packages := ""
			if needs := b.compilePackages([]string{c.Name}); len(needs) > 0 {
				packages = ", packages: [" + strings.Join(needs, ", ") + "]"
			}
			hints = append(hints, "it can be compiled from its source:\nbuild: {sdist: ["+c.Name+"]"+packages+"}")
		}
		problems = append(problems, b.lockProblem(c.Line, fmt.Sprintf("%s %s has no wheel for Python %s on Linux", c.Name, c.Version, b.runtime.version), strings.Join(hints, "\n")))
	}
	return problems
}

// fromGit is what is wrong with a package that comes from a repository, and is not named in
// build.sdist.
const fromGit = " comes from a git repository, so it is built from its source, which the descriptor must ask for"

// allows says whether the manifests allow a version of Python.
func (b *builder) allows(version string) bool {
	return !slices.ContainsFunc(b.bounds(), func(one bound) bool { return !fits(version, one.specifier) })
}

// directNames are the dependencies that the manifests name themselves.
func (b *builder) directNames() []string {
	if b.tool.name == pipenvTool {
		return normalized(b.pipfile.Get("packages").Keys())
	}
	m := b.app.pyproject
	if m == nil {
		return slices.Collect(maps.Keys(b.deps.all))
	}
	names := b.app.needs()
	for _, e := range b.spec.Build.Extras {
		for _, d := range m.optional[requirement.Name(e)] {
			names = append(names, d.Name)
		}
	}
	for _, g := range b.spec.Build.Groups {
		for _, d := range m.groups[requirement.Name(g)] {
			names = append(names, d.Name)
		}
		names = append(names, normalized(m.root.Get("tool", "poetry", "group", g, "dependencies").Keys())...)
	}
	return names
}

func normalized(names []string) []string {
	all := make([]string, 0, len(names))
	for _, name := range names {
		all = append(all, requirement.Name(name))
	}
	return all
}

// namedIndexes are the indexes that the project's manifest names beside the default one;
// uv reads its own by itself.
func (b *builder) namedIndexes() []string {
	var all []string
	add := func(v *toml.Value) {
		for _, e := range v.List() {
			// The public index is the machine's default, which may be a mirror of it.
			public := strings.EqualFold(e.Get("name").String(), "pypi")
			u := e.Get("url").String()
			if u == "" || public {
				continue
			}
			// By the name uv finds credentials: UV_INDEX_NAME_PASSWORD.
			if name := e.Get("name").String(); requirement.ValidName(name) {
				u = name + "=" + u
			}
			if !slices.Contains(all, u) {
				all = append(all, u)
			}
		}
	}
	if b.tool.name == pipenvTool {
		add(b.pipfile.Get("source"))
	}
	if m := b.top.pyproject; m != nil {
		for _, key := range [][]string{{"tool", "uv", "index"}, {"tool", "poetry", "source"}, {"tool", "pdm", "source"}} {
			add(m.root.Get(key...))
		}
	}
	return all
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
			if dir, ok := b.localFolder(from.dir, v.Get("path").String()); ok {
				return dir, true
			}
		}
	}
	table := m.root.Get("tool", "poetry", "dependencies")
	for _, key := range table.Keys() {
		if requirement.Name(key) == name {
			return b.localFolder(m.dir, table.Get(key, "path").String())
		}
	}
	return "", false
}

// localFolder is the folder that a path in a manifest names; archives are for the lock to
// say.
func (b *builder) localFolder(dir, text string) (string, bool) {
	if text == "" || requirement.IsArchive(text) {
		return "", false
	}
	return app.InContext(dir, text)
}
