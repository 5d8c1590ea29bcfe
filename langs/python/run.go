package python

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// development are files that serve the work on the project alone, as patterns of
// .dockerignore.
var development = []string{
	"**/.gitignore", "**/.gitattributes", "**/.github", "**/.gitlab-ci.yml", "**/.vscode", "**/.idea", "**/.DS_Store",
	"**/.env", "**/.env.*", "**/.netrc", "**/pip.conf", "**/.pypirc", "**/uv.toml", "**/poetry.toml",
	"**/uv.lock", "**/pylock.toml", "**/poetry.lock", "**/pdm.lock", "**/Pipfile", "**/Pipfile.lock", "**/*requirements*.txt", "**/*requirements*.in", "**/requirements",
	"**/.python-version", "**/.tool-versions", "**/mise.toml", "**/.mise.toml", "**/runtime.txt",
	"**/tests", "**/test_*.py", "**/*_test.py", "**/conftest.py", "**/pytest.ini", "**/tox.ini", "**/noxfile.py", "**/.coveragerc", "**/htmlcov", "**/.coverage",
	"**/.pre-commit-config.yaml", "**/.flake8", "**/.pylintrc", "**/mypy.ini", "**/ruff.toml", "**/.ruff.toml", "**/.editorconfig", "**/.isort.cfg",
	"**/*.egg-info", "**/Dockerfile*", "**/.dockerignore", "**/*.dockerignore", "**/docker-compose*.yml", "**/compose.yaml", "**/Makefile", "**/Procfile",
}

// unshipped are the patterns of what the image gets nothing of.
func (b *builder) unshipped() []string {
	// The descriptor may have another name, and lie in the project's folder.
	patterns := append(slices.Clone(neverRead), "**/"+app.EscapePattern(path.Base(b.spec.File())))
	for _, p := range development {
		if b.entry.file != "" && strings.HasSuffix(p, ".py") {
			if ok, err := path.Match(path.Base(p), path.Base(b.entry.file)); err == nil && ok {
				continue
			}
		}
		patterns = append(patterns, p)
	}
	return patterns
}

// ships says whether the image has files of the project beside its packages.
func (b *builder) ships() bool { return !b.isPackage() || len(b.spec.Build.Output) > 0 }

// compilesFiles says whether bytecode of files of the project is compiled.
func (b *builder) compilesFiles() bool { return b.bytecode() && !b.isPackage() }

// builds says whether something runs before the application layer is taken.
func (b *builder) builds() bool { return len(b.spec.Build.Run) > 0 || b.compilesFiles() }

// runsBefore says whether the descriptor's commands run before the program becomes a
// package, so that what they write is a part of it.
func (b *builder) runsBefore() bool { return b.isPackage() && len(b.spec.Build.Run) > 0 }

// runName is what progress shows of a command of build.run.
func runName(c spec.BuildCommand) string {
	if len(c) == 3 && c[0] == "/bin/sh" && c[1] == "-c" {
		return c[2]
	}
	return strings.Join(c, " ")
}

// build runs the commands that the descriptor asks for in the project, and compiles
// bytecode.
func (b *builder) build() plan.Stage {
	out := plan.Stage{Name: buildStage, Base: b.base()}
	source := plan.Mount{Kind: plan.MountOutput, Target: sourceDir, From: "source", Exclude: slices.Clone(neverRead)}
	mounts, env := b.environment(depsStage, !b.runsBefore())
	for i, command := range b.spec.Build.Run {
		step := plan.Step{
			Name: runName(command), Args: command, Env: b.offlineEnv(slices.Clone(env)), Dir: at(b.app.dir),
			Mounts: slices.Concat([]plan.Mount{source}, mounts, b.secrets()),
			Asked:  fmt.Sprintf("build.run[%d]", i),
			Hint:   "commands of build.run run without network (build: {network: true} gives it), with the dependencies of the image and the files that .dockerignore does not exclude",
		}
		if b.spec.Build.Network {
			step.Network = true
			step.Mounts = append(step.Mounts, b.downloadMounts()...)
		}
		out.Steps = append(out.Steps, step)
	}
	if b.compilesFiles() {
		if len(b.spec.Build.Run) == 0 {
			source.Exclude = b.unshipped()
			if b.root != "." {
				source.Include = []string{app.EscapePattern(b.root) + "/**"}
			}
		}
		out.Steps = append(out.Steps, plan.Step{
			Name: "compile bytecode",
			Args: b.compileCommand(at(b.root), app.Dir, bytecodeCache, "strict"),
			Env:  []plan.Env{{Name: "PYTHONHASHSEED", Value: "0"}}, Dir: at(b.root),
			Mounts: []plan.Mount{source, programs(), b.bytecodeMount()},
			Hint:   "leave files out that are no Python with .dockerignore, or write build: {bytecode: false}",
		})
	}
	return out
}

// testRunner is what runs the project's tests, "" when there are none.
func (b *builder) testRunner() string {
	if b.pytest || b.deps.has("pytest") || b.namesPytest() {
		return "pytest"
	}
	for _, name := range []string{"tests", "test"} {
		if b.files.IsDir(path.Join(b.app.dir, name)) {
			return "unittest"
		}
	}
	entries, err := fs.ReadDir(b.files, b.app.dir)
	if err != nil {
		return ""
	}
	if slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return strings.HasSuffix(e.Name(), ".py") && isTest(e.Name()) }) {
		return "unittest"
	}
	return ""
}

// namesPytest says whether a group of dependencies has pytest in it.
func (b *builder) namesPytest() bool {
	for _, m := range []*member{b.app, b.top} {
		if m.pyproject == nil {
			continue
		}
		for _, all := range m.groups {
			if slices.ContainsFunc(all, func(d dependency) bool { return d.Name == "pytest" }) {
				return true
			}
		}
		for _, all := range m.optional {
			if slices.ContainsFunc(all, func(d dependency) bool { return d.Name == "pytest" }) {
				return true
			}
		}
	}
	return false
}

// testCommand runs the tests.
func (b *builder) testCommand() []string {
	if c := b.spec.Test.Command; c != nil {
		return c
	}
	if b.testRunner() == "pytest" {
		return []string{"python", "-m", "pytest", "-p", "no:cacheprovider"}
	}
	return []string{"python", "-m", "unittest", "discover"}
}

// checkTest reports tests that are asked for and not there.
func (b *builder) checkTest() spec.Problems {
	if b.spec.Test == nil || b.spec.Test.Command != nil || b.testRunner() != "" {
		return nil
	}
	return spec.Problems{b.spec.Problem("test", "test: there are no tests: pytest is in no group of dependencies, and there is no folder tests", "add pytest to a group, or name the command as a list")}
}

// testInstalls says whether tests need more than the image has.
func (b *builder) testInstalls() bool {
	return b.deps.testText != ""
}

// test runs the project's tests before the image is made.
func (b *builder) test() plan.Stage {
	args := b.testCommand()
	stage := depsStage
	if b.testInstalls() {
		stage = testDepsStage
	}
	mounts, env := b.environment(stage, true)
	if !b.hasVenv() && b.testInstalls() {
		mounts = append(mounts, plan.Mount{Kind: plan.MountStage, Target: venvDir, From: stage})
		for i := range env {
			if env[i].Name == "PATH" {
				env[i].Value = venvDir + "/bin:" + env[i].Value
			}
		}
	}
	return plan.Stage{
		Name: testStage, Base: b.base(), Gate: true,
		Steps: []plan.Step{{
			Name: strings.Join(args, " "), Args: args, Env: b.offlineEnv(env), Dir: at(b.app.dir),
			Mounts: slices.Concat([]plan.Mount{b.sources()}, mounts, b.secrets(), []plan.Mount{{Kind: plan.MountOutput, Target: "/out"}}),
			Asked:  "test",
			Hint:   "the image is built when the tests pass; they run as root, without network but loopback",
		}},
	}
}

// layers are the image's own, from the least to the most likely to change: dependencies,
// the project's packages, the program.
func (b *builder) layers() []plan.Layer {
	var layers []plan.Layer
	add := func(l plan.Layer) { layers = append(layers, l) }
	for _, l := range b.deps.large {
		add(plan.Layer{
			Name: l.name, Changes: "rarely", What: l.name + ", which is large",
			Copies: []plan.Copy{{Stage: largeStage(l), Source: "/", Target: venvDir}},
		})
	}
	if b.hasVenv() {
		what := "the environment"
		if b.deps.count > 0 {
			what = app.Count(b.deps.count-len(b.deps.large), "package")
		} else if b.installs() {
			what = "what " + path.Base(b.tool.file) + " asks for"
		}
		add(plan.Layer{
			Name: "dependencies", Changes: "sometimes", What: what,
			Copies: []plan.Copy{{Stage: depsStage, Source: "/", Target: venvDir}},
		})
	}
	layers = append(layers, app.Assets(b.spec)...)
	if len(b.own) > 0 {
		changes := "often"
		if !b.ships() {
			changes = "always"
		}
		add(plan.Layer{
			Name: "packages", Changes: changes, What: listOwn(b.own),
			Copies: []plan.Copy{{Stage: packagesStage, Source: "/", Target: venvDir}},
		})
	}
	if b.ships() {
		add(b.application())
	}
	return layers
}

// application is the layer of the project's files.
func (b *builder) application() plan.Layer {
	from := plan.Copy{Source: b.root, Target: app.Dir, Exclude: b.unshipped()}
	if b.builds() {
		from.Stage, from.Source = buildStage, path.Join("/", b.root)
		if len(b.spec.Build.Run) > 0 {
			from.Exclude = slices.DeleteFunc(from.Exclude, func(p string) bool { return b.compilesFiles() && (p == "**/__pycache__" || p == "**/*.pyc") })
		} else {
			from.Exclude = nil
		}
	}
	if b.app.rel != "." {
		from.Include = []string{app.EscapePattern(b.app.rel) + "/**"}
	}
	for _, m := range b.members {
		if m != b.app && app.Within(b.app.dir, m.dir) {
			from.Exclude = append(from.Exclude, app.EscapePattern(m.rel))
		}
	}
	for _, o := range b.own {
		// What is installed is not there a second time.
		if o.dir != b.app.dir && app.Within(b.app.dir, o.dir) && b.memberAt(o.dir) == nil {
			from.Exclude = append(from.Exclude, app.EscapePattern(app.Relative(b.root, o.dir)))
		}
	}
	if output := b.spec.Build.Output; len(output) > 0 && !slices.Contains(output, "") {
		from.Include = nil
		for _, name := range output {
			from.Include = append(from.Include, app.EscapePattern(path.Join(b.app.rel, name)))
		}
	}
	what := b.workDir()
	if b.entry.file != "" {
		what = path.Join(what, b.entry.file)
	}
	return plan.Layer{Name: "application", Changes: "always", What: what + "  Python " + b.runtime.version, Copies: []plan.Copy{from}}
}
