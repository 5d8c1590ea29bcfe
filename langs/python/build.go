package python

import (
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/python/lock"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// The stages' names, which --target and progress show.
const (
	depsStage     = "deps"
	testDepsStage = "test-deps"
	backendStage  = "build-system"
	metadataStage = "metadata"
	packagesStage = "packages"
	testStage     = "test"
	buildStage    = "build"
)

// Where things lie in the build containers; the environment is where the image has it,
// as its scripts name their interpreter.
const (
	sourceDir   = "/src"
	venvDir     = app.Dir + "/.venv"
	backendDir  = "/opt/build-system"
	packagesDir = "/opt/packages"
	metadataDir = "/opt/metadata"
	wheelsDir   = "/wheels"
	uvCache     = "/root/.cache/uv"
	searchPath  = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// compilerVariant is that of the build image that has a compiler.
const compilerVariant = "build-full"

// builder makes the plan out of the decisions.
type builder struct {
	*project
	// versions are the catalog's.
	versions []string
	runtime  runtime
	tool     tool
	// lock is what a lock file says, nil without one.
	lock *lock.Lock
	deps dependencies
	// pytest says that it is installed for tests.
	pytest bool
	// own are the project's packages that become wheels, after those that they need.
	own   []*own
	entry entry
}

// decide makes the decisions that need each other.
func (b *builder) decide() spec.Problems {
	problems := b.readDependencies()
	if problems.HasErrors() {
		return problems
	}
	problems = append(problems, b.findOwn()...)
	if problems.HasErrors() {
		return problems
	}
	problems = append(problems, b.chooseEntry()...)
	return append(problems, b.checkTest()...)
}

// isPackage says whether the program is installed as a package, so that the image has
// none of the project's files beside it.
func (b *builder) isPackage() bool {
	return slices.ContainsFunc(b.own, func(o *own) bool { return o.dir == b.app.dir })
}

// hasVenv says whether the image has an environment.
func (b *builder) hasVenv() bool { return b.installs() || len(b.own) > 0 }

// installs says whether there are dependencies to install.
func (b *builder) installs() bool { return b.tool.name != "" && !b.deps.empty }

// bytecode says whether bytecode is compiled.
func (b *builder) bytecode() bool { return b.spec.Build.Bytecode.Or(true) }

func (b *builder) stages() []plan.Stage {
	var stages []plan.Stage
	for _, l := range b.deps.large {
		stages = append(stages, b.installLarge(l))
	}
	if b.resolvesSource() {
		stages = append(stages, b.backends(), b.metadata())
	}
	if b.hasVenv() {
		stages = append(stages, b.install(depsStage))
	}
	if b.runsBefore() {
		stages = append(stages, b.build())
	}
	if len(b.own) > 0 {
		if !b.resolvesSource() {
			stages = append(stages, b.backends())
		}
		stages = append(stages, b.packages())
	}
	if b.spec.Test != nil {
		if b.testInstalls() {
			stages = append(stages, b.install(testDepsStage))
		}
		stages = append(stages, b.test())
	}
	if b.builds() && !b.runsBefore() {
		stages = append(stages, b.build())
	}
	if b.hasLibraries() {
		stages = append(stages, b.libraries())
	}
	return stages
}

// catalogImage is Python's image in the catalog, "" being the variant that programs run on.
func (b *builder) catalogImage(variant string) plan.Base {
	return plan.Base{Image: "python", Version: b.runtime.version, Variant: variant}
}

// base is the base of the stages that run the project's code.
func (b *builder) base() plan.Base {
	return app.WithPackages(b.catalogImage("build"), b.spec.Build.Packages, "build.packages")
}

// compilerBase is that of stages that compile C.
func (b *builder) compilerBase() plan.Base {
	return app.WithPackages(b.catalogImage(compilerVariant), b.spec.Build.Packages, "build.packages")
}

func (b *builder) runBase() plan.Base {
	base := b.catalogImage("")
	if b.spec.Init.Or(true) {
		base.With = []string{"init"}
	}
	return app.WithPackages(base, b.spec.Packages, "packages")
}

// at is a folder of the project in the build containers.
func at(dir string) string { return path.Join(sourceDir, dir) }

// neverRead are files of the project that no build reads: what a commit changes, and
// what the machine has installed or compiled.
var neverRead = []string{"**/.git", "**/.venv", "**/venv", "**/__pycache__", "**/*.pyc", "**/node_modules", "**/.tox", "**/.nox", "**/.mypy_cache", "**/.ruff_cache", "**/.pytest_cache"}

// sources is the project, in which commands may write.
func (b *builder) sources() plan.Mount {
	return plan.Mount{Kind: plan.MountSource, Target: sourceDir, Exclude: slices.Clone(neverRead), Writable: true}
}

// environment are the mounts and the variables with which the project's code runs: the
// dependencies of the image, or those with what tests need, and the project's packages.
func (b *builder) environment(stage string, withOwn bool) ([]plan.Mount, []plan.Env) {
	var mounts []plan.Mount
	search := searchPath
	var modules []string
	if b.hasVenv() {
		mounts = append(mounts, plan.Mount{Kind: plan.MountStage, Target: venvDir, From: stage})
		search = venvDir + "/bin:" + search
	}
	for _, l := range b.deps.large {
		if stage != depsStage {
			break // what tests need has all in one environment
		}
		dir := path.Join("/opt", largeStage(l))
		mounts = append(mounts, plan.Mount{Kind: plan.MountStage, Target: dir, From: largeStage(l), Large: true})
		search = dir + "/bin:" + search
		modules = append(modules, path.Join(dir, b.runtime.sitePackages()))
	}
	if len(b.own) > 0 && withOwn {
		mounts = append(mounts, plan.Mount{Kind: plan.MountStage, Target: packagesDir, From: packagesStage})
		search = packagesDir + "/bin:" + search
		modules = append(modules, path.Join(packagesDir, b.runtime.sitePackages()))
	}
	env := []plan.Env{{Name: "HOME", Value: "/root"}, {Name: "PATH", Value: search}, {Name: "PYTHONDONTWRITEBYTECODE", Value: "1"}, {Name: "PYTHONUNBUFFERED", Value: "1"}}
	if src := b.sourceRoot(); src != "." {
		modules = append([]string{path.Join(at(b.app.dir), src)}, modules...)
	}
	if len(modules) > 0 {
		env = append(env, plan.Env{Name: "PYTHONPATH", Value: strings.Join(modules, ":")})
	}
	return mounts, env
}

// offlineEnv adds the descriptor's variables of the build.
func (b *builder) offlineEnv(env []plan.Env) []plan.Env {
	return app.AppendEnv(env, app.BuildEnv(b.spec))
}

// secrets are the descriptor's secrets but those that only downloads get.
func (b *builder) secrets() []plan.Mount {
	return app.SecretMounts(b.spec, downloadSecret)
}

// hasLibraries says whether the environment may have machine code in it.
func (b *builder) hasLibraries() bool {
	return b.installs() && !b.deps.pure || b.native() != ""
}

// modules are patterns of the modules in machine code that Python loads. What else an
// environment has of it are libraries that these are linked against, or that are loaded
// where there is a use for them.
var modules = []string{"**/*.cpython-*.so", "**/*.abi3.so", "**/_*.so"}

// libraries checks that the run image has what native modules are linked against.
func (b *builder) libraries() plan.Stage {
	asked := "language"
	if b.spec.Has("packages") {
		asked = "packages"
	}
	// Reading an environment for a cache key takes longer than checking it.
	what := []plan.Mount{{Kind: plan.MountStage, Target: "/environment/deps", From: depsStage, Large: true}}
	for _, l := range b.deps.large {
		what = append(what, plan.Mount{Kind: plan.MountStage, Target: "/environment/" + largeStage(l), From: largeStage(l), Large: true})
	}
	// An edit of a package of Python alone checks nothing.
	if b.native() != "" {
		what = append(what, plan.Mount{Kind: plan.MountStage, Target: "/environment/packages", From: packagesStage})
	}
	stage := app.Libraries(b.catalogImage("build"), what[0], asked,
		"native modules are linked against libraries that the run image does not have: packages: [NAME] adds the Debian package that has them")
	step := &stage.Steps[0]
	step.Args = step.Args[:len(step.Args)-1]
	for _, pattern := range modules {
		step.Args = append(step.Args, "--modules", pattern)
	}
	for _, m := range what {
		step.Args = append(step.Args, m.Target)
	}
	step.Mounts = append(step.Mounts, what[1:]...)
	return stage
}

// reservedEnv are variables that the plan decides, with the key to use instead.
var reservedEnv = map[string]string{
	"HOME": "", "PATH": "", "PYTHONHASHSEED": "", "PYTHONDONTWRITEBYTECODE": "", "PYC_INVALIDATION_MODE": "",
	"UV_PROJECT_ENVIRONMENT": "", "UV_PYTHON": "write version", "UV_PYTHON_DOWNLOADS": "", "UV_CACHE_DIR": "", "UV_LINK_MODE": "",
	"UV_COMPILE_BYTECODE": "write build: {bytecode: false}", "UV_NO_INSTALLER_METADATA": "", "VIRTUAL_ENV": "",
}
