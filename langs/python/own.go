package python

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// own is a package of the project itself, which the image gets as a wheel.
type own struct {
	// dir is its folder in the context.
	dir string
	// pyproject is nil for one with a setup.py alone.
	*pyproject
	// requires are what its build system needs, sorted.
	requires []string
	// native says why it is compiled for a platform, "" for one of Python alone.
	native string
}

func (o *own) title() string {
	if o.pyproject != nil && o.name != "" {
		return o.name
	}
	if o.dir == "." {
		return "the project"
	}
	return path.Base(o.dir)
}

// findOwn finds the packages of the project that the program consists of: itself, the
// members of the workspace that it needs, and the folders that its dependencies name.
func (b *builder) findOwn() spec.Problems {
	var problems spec.Problems
	done := map[string]bool{}
	var visit func(dir string, problem func(message, hint string) spec.Problem)
	visit = func(dir string, problem func(message, hint string) spec.Problem) {
		if done[dir] || len(done) > maxMembers {
			return
		}
		done[dir] = true
		o := &own{dir: dir}
		if !b.files.IsDir(dir) {
			problems = append(problems, problem(fmt.Sprintf("there is no folder %s", dir), "check that .dockerignore does not exclude it"))
			return
		}
		m := b.memberAt(dir)
		if m == nil {
			read, found := b.manifestIn(dir)
			problems = append(problems, found...)
			m = &member{dir: dir, rel: app.Relative(b.root, dir), pyproject: read}
		}
		o.pyproject = m.pyproject
		if m.pyproject == nil && !b.files.IsFile(path.Join(dir, "setup.py")) && !b.files.IsFile(path.Join(dir, "setup.cfg")) {
			problems = append(problems, problem(fmt.Sprintf("%s is no package: it has no pyproject.toml and no setup.py", app.Describe(dir)), "add a pyproject.toml with a [build-system], or remove the dependency"))
			return
		}
		if m.pyproject != nil {
			for _, name := range m.needs() {
				if next, ok := b.localSource(m, name); ok {
					visit(next, func(message, hint string) spec.Problem { return app.FileProblem(m.file, message, hint) })
				}
			}
		}
		o.requires = buildSystem(m.pyproject)
		o.native = b.compiles(o)
		problems = append(problems, b.checkGitVersion(o)...)
		b.own = append(b.own, o)
	}
	for _, p := range b.deps.paths {
		if p.path != b.app.dir || b.installsApp() {
			visit(p.path, p.problem)
		}
	}
	if m := b.app.pyproject; m != nil {
		for _, name := range b.app.needs() {
			if dir, ok := b.localSource(b.app, name); ok {
				visit(dir, func(message, hint string) spec.Problem { return app.FileProblem(m.file, message, hint) })
			}
		}
	}
	if b.installsApp() {
		visit(b.app.dir, func(message, hint string) spec.Problem { return b.spec.Problem("build.install", message, hint) })
	}
	return problems
}

// buildSystem is what the build system of a package needs, sorted; m is nil for a setup.py alone.
func buildSystem(m *pyproject) []string {
	requires := []string{"setuptools"}
	if m != nil {
		requires = slices.Clone(m.requires())
	}
	slices.Sort(requires)
	return slices.Compact(requires)
}

// installsApp says whether the program itself is a package.
func (b *builder) installsApp() bool {
	if s := b.spec.Build.Install; s.Set {
		return s.On
	}
	if slices.ContainsFunc(b.deps.paths, func(p localPath) bool { return p.path == b.app.dir }) {
		return true
	}
	if b.app.pyproject != nil {
		return b.app.builds()
	}
	return b.tool.name == unlocked // setup.py alone
}

func (p *project) memberAt(dir string) *member {
	for _, m := range append([]*member{p.top}, p.members...) {
		if m.dir == dir {
			return m
		}
	}
	return nil
}

// needs are the names of all dependencies that a manifest states for the running program.
func (m *member) needs() []string {
	var names []string
	for _, d := range m.dependencies {
		names = append(names, d.Name)
	}
	table := m.root.Get("tool", "poetry", "dependencies")
	for _, key := range table.Keys() {
		names = append(names, requirement.Name(key))
	}
	return names
}

// gitVersions are what takes a package's version from git, and the variables that give it
// another one.
var gitVersions = map[string]string{
	"setuptools-scm": "SETUPTOOLS_SCM_PRETEND_VERSION", "hatch-vcs": "SETUPTOOLS_SCM_PRETEND_VERSION",
	"uv-dynamic-versioning": "UV_DYNAMIC_VERSIONING_BYPASS", "poetry-dynamic-versioning": "POETRY_DYNAMIC_VERSIONING_BYPASS",
}

// checkGitVersion reports a version that comes from git, whose folder is no part of a build: every
// commit would be another wheel.
func (b *builder) checkGitVersion(o *own) spec.Problems {
	if o.pyproject == nil {
		return nil
	}
	for _, fallback := range [][]string{{"setuptools_scm", "fallback_version"}, {"hatch", "version", "fallback-version"}, {"hatch", "version", "raw-options", "fallback_version"}, {"uv-dynamic-versioning", "fallback-version"}} {
		if o.root.Get(append([]string{"tool"}, fallback...)...) != nil {
			return nil
		}
	}
	for _, v := range o.root.Get("build-system", "requires").List() {
		r, err := requirement.Parse(v.String())
		if err != nil || gitVersions[r.Name] == "" {
			continue
		}
		variable := gitVersions[r.Name]
		if app.BuildEnv(b.spec)[variable] == "" {
			return spec.Problems{o.problem(v, fmt.Sprintf("%s takes the version of %s from git, which is no part of a build", r.Name, o.title()),
				"write the version in the descriptor:\nbuild: {env: {"+variable+": \"1.0\"}}\nor, with --build-arg VERSION=1.0,\nbuild: {env: {"+variable+": \"{{.Version}}\"}}")}
		}
	}
	return nil
}

// compilers are build systems that compile for a platform.
var compilers = map[string]bool{
	"maturin": true, "scikit-build-core": true, "scikit-build": true, "meson-python": true, "setuptools-rust": true,
	"cython": true, "pybind11": true, "nanobind": true, "mypy": true, "cffi": true, "py-build-cmake": true,
}

// compiles says why a package is compiled for a platform.
func (b *builder) compiles(o *own) string {
	for _, text := range o.requires {
		if r, err := requirement.Parse(text); err == nil && compilers[r.Name] {
			return fmt.Sprintf("%s is built with %s, which compiles", o.title(), r.Name)
		}
	}
	if o.pyproject != nil && o.root.Get("tool", "setuptools", "ext-modules") != nil {
		return fmt.Sprintf("%s has modules in C", o.title())
	}
	if data, err := b.files.Read(path.Join(o.dir, "setup.py")); err == nil && strings.Contains(string(data), "ext_modules") {
		return fmt.Sprintf("%s has modules in C", o.title())
	}
	return ""
}

// backend are the requirements of a build system; packages that need the same share one.
func (o *own) backend() string { return strings.Join(o.requires, "\n") + "\n" }

// backendNames are the build systems that are needed, by their requirements, and the names
// of their outputs.
func (b *builder) backendNames() (requires []string, names map[string]string) {
	names = map[string]string{}
	all := slices.Clone(b.own)
	if b.resolvesSource() {
		all = append(all, b.asked())
	}
	for _, o := range all {
		if text := o.backend(); names[text] == "" {
			names[text] = fmt.Sprintf("%d", len(requires)+1)
			requires = append(requires, text)
		}
	}
	return requires, names
}

// backends is the stage that installs build systems, each an environment of its own.
func (b *builder) backends() plan.Stage {
	out := plan.Stage{Name: backendStage, Base: b.catalogImage("build")}
	requires, names := b.backendNames()
	for _, text := range requires {
		dir := path.Join(backendDir, names[text])
		step := plan.Step{
			Name: "install " + strings.ReplaceAll(strings.TrimSpace(text), "\n", ", "),
			Env:  b.downloadEnv(b.uvEnv()), Dir: sourceDir, Network: true,
			Mounts: append([]plan.Mount{
				{Kind: plan.MountOutput, Target: dir, Output: names[text]},
				{Kind: plan.MountCache, Target: uvCache, CacheID: b.cacheID()},
				{Kind: plan.MountFiles, Target: sourceDir, Files: append(b.indexSettings(), plan.File{Path: requirementsFile, Mode: 0o644, Content: text})},
			}, b.downloadMounts()...),
			Hint: "this is what [build-system] of pyproject.toml requires; " + b.installHint(),
		}
		step.Args = []string{plan.StepsProgram, "exec", "--before", app.JSON(exec.Command{Args: b.makeVenv(dir)})}
		for _, name := range b.optionalVariables(step.Mounts) {
			step.Args = append(step.Args, "--optional", name)
		}
		step.Args = append(append(step.Args, "--"), b.withPipConfig([]string{"uv", "pip", "install", "--python", dir + "/bin/python", "--only-binary", ":all:", "--requirements", requirementsFile})...)
		out.Steps = append(out.Steps, step)
	}
	return out
}

// native says why the project's packages are compiled for a platform, "" when they are
// not.
func (b *builder) native() string {
	for _, o := range b.own {
		if o.native != "" {
			return o.native
		}
	}
	return ""
}

// packages is the stage that makes wheels of the project's packages, without network, and
// installs them into an environment of their own.
func (b *builder) packages() plan.Stage {
	out := plan.Stage{Name: packagesStage, Base: b.base()}
	if native := b.native(); native != "" {
		out.Base, out.PerPlatform, out.Native = b.compilerBase(), true, native
	}
	_, names := b.backendNames()
	source := b.sources()
	if b.runsBefore() {
		source = plan.Mount{Kind: plan.MountStage, Target: sourceDir, From: buildStage, Writable: true}
	}
	// One package is built and installed in one container.
	alone := len(b.own) == 1
	install := []string{"/bin/sh", "-c", fmt.Sprintf("exec uv pip install --python %s/bin/python --offline --no-deps --no-index %s/*.whl", venvDir, wheelsDir)}
	last := plan.Step{
		Name: "install " + listOwn(b.own), Env: b.uvEnv(), Dir: "/",
		Mounts: []plan.Mount{{Kind: plan.MountOutput, Target: wheelsDir, Output: "wheels"}, {Kind: plan.MountOutput, Target: venvDir}},
		Asked:  b.askedInstall(),
	}
	var before [][]string
	for _, o := range b.own {
		backend := path.Join(backendDir, names[o.backend()])
		build := []string{"uv", "build", "--wheel", "--no-build-isolation", "--python", backend + "/bin/python", "--offline", "--out-dir", wheelsDir, at(o.dir)}
		step := plan.Step{
			Name: "build the wheel of " + o.title(), Args: build,
			Env: b.offlineEnv(append(b.uvEnv(), plan.Env{Name: "SOURCE_DATE_EPOCH", Value: "315532800"}, plan.Env{Name: "PYTHONDONTWRITEBYTECODE", Value: "1"})),
			Dir: at(o.dir),
			Mounts: append([]plan.Mount{
				source,
				{Kind: plan.MountStage, Target: backend, From: backendStage, Output: names[o.backend()]},
			}, b.secrets()...),
			Asked: b.askedInstall(),
			Hint:  "a wheel is built without network, with the files that .dockerignore does not exclude and what [build-system] requires; build: {install: false} runs the project's files where they are",
		}
		if alone {
			before = append(before, build)
			step.Mounts = append(step.Mounts, plan.Mount{Kind: plan.MountOutput, Target: venvDir})
			last = step
			continue
		}
		step.Mounts = append(step.Mounts, last.Mounts[0])
		out.Steps = append(out.Steps, step)
	}
	before = append(before, b.makeVenv(venvDir))
	if b.bytecode() {
		before, install = append(before, install), b.compileInstalled("")
		last.Mounts = append(last.Mounts, programs())
	}
	last.Args = execArgs(before, append(slices.Clone(venvLeftovers), interpreterFiles...), install)
	out.Steps = append(out.Steps, last)
	return out
}

func (b *builder) askedInstall() string {
	if b.spec.Has("build.install") {
		return "build.install"
	}
	return ""
}

func listOwn(all []*own) string {
	var names []string
	for _, o := range all {
		names = append(names, o.title())
	}
	return strings.Join(names, ", ")
}
