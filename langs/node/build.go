package node

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// The stages' names, which --target and progress show.
const (
	toolStage    = "package-manager"
	depsStage    = "deps"
	prodStage    = "prod"
	testStage    = "test"
	buildStage   = "build"
	bundlerStage = "bundler"
	bundleStage  = "bundle"
)

// Where things lie in the build containers.
const (
	sourceDir  = "/src"
	toolDir    = "/opt/package-manager"
	bundlerDir = "/opt/bundler"
	outDir     = "/out"
	caBundle   = "/etc/ssl/certs/ca-certificates.crt"
	searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
)

// compilerVariant is that of the build image that has a compiler.
const compilerVariant = "build-full"

// builder makes the plan out of the decisions.
type builder struct {
	*project
	runtime   runtime
	tool      tool
	lock      *lock
	yarn      yarnSettings
	framework framework
	start     start
	life      lifecycle
	// script is the build script, "" for none.
	script string
	// all are the packages that the build installs, prod those that the image has.
	all, prod []*locked
	// traced are the names of packages with machine code that a framework may copy
	// into the server that it writes.
	traced []string
	// native are packages of prod that compile when they are installed.
	native []*locked
	// site is set when the image serves files without Node.
	site *staticSite
	// variables of the machine that settings of package managers name.
	variables []string
}

// decide makes the decisions that need each other.
func (b *builder) decide() spec.Problems {
	var problems spec.Problems
	add := func(found spec.Problems) { problems = append(problems, found...) }
	var found spec.Problems
	if b.tool.berry {
		b.yarn, found = b.yarnSettings()
		add(found)
	}
	b.framework, found = b.chooseFramework()
	add(found)
	b.script = b.buildScript()
	if found := b.checkScript(b.framework); len(found) > 0 {
		add(found)
		b.script = ""
	}
	if problems.HasErrors() {
		return problems
	}
	b.life = b.lifecycles()
	add(b.chooseSite())
	b.all = b.lock.reach(b.packages(), true)
	if b.site == nil && !b.framework.bundled {
		b.prod = b.lock.reach(b.shippedMembers(), false)
	}
	if b.site == nil && b.framework.bundled {
		b.traces()
	}
	b.native = addonsOf(b.lock, b.prod)
	installed := b.prod
	if b.runsCode() {
		installed = b.all
	}
	add(b.checkScripts(b.tool, b.lock, installed))
	add(b.checkTool())
	if b.site == nil && !b.ownStart() {
		b.start, found = b.chooseStart(b.framework, b.lock, b.runtime, b.script)
		add(found)
	}
	add(b.checkBundle())
	if b.spec.Test != nil && b.spec.Test.Command == nil && (b.app.manifest == nil || b.app.scripts["test"] == "") {
		problems = append(problems, b.spec.Problem("test", "test: "+b.app.place()+" has no script \"test\"", "add one, or name the command as a list"))
	}
	return problems
}

// traces finds the packages with machine code that the framework may copy into its
// server. Those of Next's are installed for the image: it copies the build machine's.
func (b *builder) traces() {
	shipped := b.lock.reach(b.shippedMembers(), false)
	for _, l := range b.withMachineCode(shipped) {
		linux := allows(l.os, "linux") && (allows(l.cpu, "x64") || allows(l.cpu, "arm64"))
		if linux && !slices.Contains(l.libc, "musl") && !strings.HasPrefix(l.name, "@next/swc-") && !slices.Contains(b.traced, l.name) {
			b.traced = append(b.traced, l.name) // but Next's compiler, which it leaves out
		}
	}
	slices.Sort(b.traced)
	if b.framework.standalone != "" && len(b.traced) > 0 {
		b.prod = shipped
	}
}

// place is what a member's scripts are written in.
func (m *member) place() string {
	if m.manifest == nil {
		return "the project"
	}
	return m.file
}

// ownStart says whether the descriptor says what is started.
func (b *builder) ownStart() bool {
	return len(b.spec.Entrypoint) > 0 || len(b.spec.Cmd) > 0 && nodeProgram(b.spec.Cmd[0])
}

func nodeProgram(word string) bool {
	return word == "node" || word == "nodejs" || word == nodePath
}

// runsCode says whether the project's own programs run before the image is made.
func (b *builder) runsCode() bool { return b.script != "" || b.spec.Test != nil }

// checkTool reports settings of package managers that cannot work here.
func (b *builder) checkTool() spec.Problems {
	var problems spec.Problems
	rc := path.Join(b.root, ".yarnrc.yml")
	if b.tool.berry && len(b.prod) > 0 && b.tool.version != "" && b.tool.major() < 4 && !b.yarn.focuses() {
		problems = append(problems, app.FileProblem(rc, fmt.Sprintf("yarn %s needs its plugin workspace-tools to install what the running program needs alone", b.tool.version),
			"run `yarn plugin import workspace-tools`, or move on to yarn 4, which has it"))
	}
	if b.tool.berry && b.yarn.Linker == "pnpm" {
		problems = append(problems, app.FileProblem(rc, "nodeLinker: pnpm is not supported", "write nodeLinker: node-modules, or pnp"))
	}
	if b.tool.name == pnpm && b.pnpm.InjectWorkspacePackages {
		problems = append(problems, b.spec.Warning("language", "injectWorkspacePackages copies packages of the workspace before they are built", "leave it out of pnpm-workspace.yaml for packages that have a build script"))
	}
	return problems
}

// install says whether there are dependencies to install for the build, and for
// the image.
func (b *builder) installsAll() bool  { return b.runsCode() && len(b.all) > 0 }
func (b *builder) installsProd() bool { return len(b.prod) > 0 }

func (b *builder) stages() []plan.Stage {
	var stages []plan.Stage
	if b.tool.version != "" && b.tool.file == "" && (b.installsAll() || b.installsProd() || b.runsCode()) {
		stages = append(stages, b.installTool())
	}
	if b.installsAll() {
		stages = append(stages, b.install(depsStage))
	}
	if _, same := b.beyond(); b.installsProd() && !same {
		stages = append(stages, b.install(prodStage))
	}
	if b.spec.Test != nil {
		stages = append(stages, b.test())
	}
	if b.script != "" {
		stages = append(stages, b.build())
	}
	if b.spec.Build.Bundle != nil {
		stages = append(stages, b.bundler(), b.bundle())
	}
	if b.hasLibraries() || b.tracesLibraries() {
		stages = append(stages, b.libraries())
	}
	return stages
}

// base is the base of the stages that run the project's code.
func (b *builder) base() plan.Base {
	return app.WithPackages(plan.Base{Image: "node", Version: b.runtime.version, Variant: "build"}, b.spec.Build.Packages, "build.packages")
}

// installBase is that of installations: with a compiler for addons, and git for
// packages that come from it.
func (b *builder) installBase(packages []*locked) plan.Base {
	base := plan.Base{Image: "node", Version: b.runtime.version, Variant: "build"}
	full := len(addonsOf(b.lock, packages)) > 0 || b.life.all && len(b.spec.Build.Packages) > 0
	if full {
		base.Variant = compilerVariant
		base = app.WithPackages(base, b.spec.Build.Packages, "build.packages")
	}
	if !full && slices.ContainsFunc(packages, func(l *locked) bool { return l.git }) {
		base.With = []string{"git"}
	}
	return base
}

func (b *builder) runBase() plan.Base {
	if b.site != nil {
		return app.WithPackages(plan.Base{Image: siteImage, Version: app.Debian, With: []string{"init"}}, b.spec.Packages, "packages")
	}
	base := plan.Base{Image: "node", Version: b.runtime.version}
	if b.spec.Init.Or(true) {
		base.With = []string{"init"}
	}
	return app.WithPackages(base, b.spec.Packages, "packages")
}

// at is a folder of the project in the build containers.
func at(dir string) string { return path.Join(sourceDir, dir) }

// toolEnv is the environment of every command.
func (b *builder) toolEnv() []plan.Env {
	search := searchPath
	if b.tool.version != "" && b.tool.file == "" {
		search = toolDir + "/node_modules/.bin:" + search
	}
	env := []plan.Env{
		{Name: "HOME", Value: "/root"},
		{Name: "PATH", Value: search},
		{Name: "npm_config_update_notifier", Value: "false"},
	}
	if b.tool.berry {
		env = append(env,
			plan.Env{Name: "YARN_ENABLE_TELEMETRY", Value: "0"},
			plan.Env{Name: "YARN_ENABLE_GLOBAL_CACHE", Value: map[bool]string{true: "false", false: "true"}[b.pnp()]},
			plan.Env{Name: "YARN_GLOBAL_FOLDER", Value: yarnFolder})
		if b.tool.file == "" {
			env = append(env, plan.Env{Name: "YARN_IGNORE_PATH", Value: "1"})
		}
	}
	return env
}

func (b *builder) pnp() bool { return b.tool.berry && b.yarn.pnp() }

// program is the package manager's own.
func (b *builder) program() []string {
	if b.tool.file != "" {
		return []string{"node", at(b.tool.file)}
	}
	return []string{b.tool.name}
}

// nativePnpm says whether the package manager is machine code in a package beside
// its own, as pnpm is since 12.
func (b *builder) nativePnpm() bool { return b.tool.name == pnpm && b.tool.major() >= 12 }

// bin is the file of the package manager's program in its package.
func (t tool) bin() string {
	switch {
	case t.name == yarn:
		return "bin/yarn.js"
	case t.major() < 11:
		return "bin/pnpm.cjs"
	case t.major() == 11:
		return "bin/pnpm.mjs"
	}
	return pnpm
}

// installTool installs the package manager at its exact version; npm checks its
// archive against what packageManager says of it.
func (b *builder) installTool() plan.Stage {
	name := b.tool.name
	if b.tool.berry {
		name = "@yarnpkg/cli-dist"
	}
	files := []plan.File{{Path: "package.json", Mode: 0o644, Content: encodeJSON(map[string]any{
		"private": true, "dependencies": map[string]string{name: b.tool.version},
	})}}
	if integrity := b.tool.integrity(); integrity != "" {
		// Of what a lock file names npm reads nothing else: neither programs nor dependencies.
		locked := map[string]any{"version": b.tool.version, "integrity": integrity, "bin": map[string]string{name: b.tool.bin()}}
		if b.nativePnpm() {
			locked["optionalDependencies"] = map[string]string{"@pnpm/exe.linux-x64": b.tool.version, "@pnpm/exe.linux-arm64": b.tool.version}
		}
		files = append(files, plan.File{Path: "package-lock.json", Mode: 0o644, Content: encodeJSON(map[string]any{
			"lockfileVersion": 3,
			"packages": map[string]any{
				"":                     map[string]any{"dependencies": map[string]string{name: b.tool.version}},
				"node_modules/" + name: locked,
			},
		})})
	}
	args := []string{"npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"}
	if b.nativePnpm() {
		// Its script puts the program in the place of files that are none.
		args = []string{plan.StepsProgram, "exec", "--before", app.JSON(exec.Command{Args: args}), "--", "node", "node_modules/pnpm/install.js"}
	}
	return plan.Stage{
		Name: toolStage,
		Base: plan.Base{Image: "node", Version: b.runtime.version, Variant: "build"},
		Steps: []plan.Step{{
			Name: "install " + b.tool.String(),
			Args: args,
			Env:  b.downloadEnv([]plan.Env{{Name: "HOME", Value: "/root"}, {Name: "PATH", Value: searchPath}, {Name: "npm_config_update_notifier", Value: "false"}}),
			Dir:  toolDir, Network: true,
			Mounts: append([]plan.Mount{
				{Kind: plan.MountOutput, Target: toolDir, From: plan.FromFiles, Files: files},
				{Kind: plan.MountCache, Target: npmCache, CacheID: "birdhouse-node-npm"},
			}, b.registryMounts()...),
			Asked: "build.tool",
			Hint:  "the package manager comes from the registry that npm is set to: NPM_CONFIG_REGISTRY, or the secret npmrc",
		}},
	}
}

// Where package managers keep what they download.
const (
	npmCache   = "/root/.npm"
	pnpmStore  = "/root/.local/share/pnpm-store"
	yarnCache  = "/root/.cache/yarn"
	yarnFolder = "/root/.yarn-global"
)

// cacheMounts keep downloads between builds. Those of private packages are kept
// apart: who builds another project has perhaps no right to see them.
func (b *builder) cacheMounts() []plan.Mount {
	target, kind := npmCache, npm
	switch {
	case b.tool.name == pnpm:
		target, kind = pnpmStore, pnpm
	case b.tool.berry:
		target, kind = yarnFolder, "yarn-berry"
	case b.tool.name == yarn:
		target, kind = yarnCache, "yarn-classic"
	}
	id := "birdhouse-node-" + kind
	if b.private() {
		id += "-private-" + b.top.title()
	}
	return []plan.Mount{{Kind: plan.MountCache, Target: target, CacheID: id, Locked: kind == "yarn-classic"}}
}

// private says whether the descriptor prepares for packages that not everybody
// may have, or there are some of git, which may be such.
func (b *builder) private() bool {
	for _, s := range b.spec.Secrets {
		if app.BareSecret(s, "npmrc") || isNetrc(s) || slices.Contains(b.variables, s.Env) && s.Env != "" {
			return true
		}
	}
	return b.spec.SSH != "" || slices.ContainsFunc(b.all, func(l *locked) bool { return l.git })
}

// registries are the variables by which package managers know their registry, all
// set from one secret: where a package came from does not change it.
var registries = []string{"NPM_CONFIG_REGISTRY", "YARN_NPM_REGISTRY_SERVER", "pnpm_config_registry"}

// registrySecret is the id of the secret that holds the registry's URL.
const registrySecret = "NPM_CONFIG_REGISTRY"

// registryMounts are the secrets of downloads.
func (b *builder) registryMounts() []plan.Mount {
	npmrc := plan.Mount{Kind: plan.MountSecret, Target: "/root/.npmrc", SecretID: "npmrc", Optional: true}
	given := map[string]bool{}
	for _, s := range b.spec.Secrets {
		if app.BareSecret(s, "npmrc") {
			npmrc.Optional = s.Optional
		}
		given[s.Env] = true
	}
	mounts := []plan.Mount{npmrc}
	for _, name := range registries {
		if _, set := b.spec.Build.Env[name]; set || given[name] {
			continue
		}
		if name == "YARN_NPM_REGISTRY_SERVER" && !b.tool.berry || name == "pnpm_config_registry" && b.tool.name != pnpm {
			continue
		}
		mounts = append(mounts, plan.Mount{Kind: plan.MountSecretEnv, Target: name, SecretID: registrySecret, Optional: true})
	}
	return mounts
}

// downloadMounts are registryMounts, the descriptor's secrets, and the variables
// that the project's settings name.
func (b *builder) downloadMounts() []plan.Mount {
	mounts := append(b.registryMounts(), b.secrets()...)
	if slices.ContainsFunc(b.all, func(l *locked) bool { return l.git }) || slices.ContainsFunc(b.spec.Secrets, isNetrc) {
		netrc := plan.Mount{Kind: plan.MountSecret, Target: "/root/.netrc", SecretID: "netrc", Optional: true}
		for _, s := range b.spec.Secrets {
			if isNetrc(s) {
				netrc.Optional = s.Optional
			}
		}
		mounts = append(mounts, netrc)
	}
	for _, name := range b.variables {
		_, set := b.spec.Build.Env[name]
		_, arg := b.spec.Args[name]
		if !set && !arg && !slices.ContainsFunc(mounts, func(m plan.Mount) bool { return m.Kind == plan.MountSecretEnv && m.Target == name }) {
			mounts = append(mounts, plan.Mount{Kind: plan.MountSecretEnv, Target: name, SecretID: name, Optional: true})
		}
	}
	return append(mounts, app.SSHMounts(b.spec)...)
}

// secrets are the descriptor's secrets but npmrc and netrc, which only downloads get.
func (b *builder) secrets() []plan.Mount {
	return app.SecretMounts(b.spec, func(s spec.Secret) bool { return app.BareSecret(s, "npmrc") || isNetrc(s) })
}

func isNetrc(s spec.Secret) bool { return app.BareSecret(s, "netrc") }

// downloadNames are what the names of variables begin with that decide about an
// installation. The others stay out of it: it would run again when they change.
var downloadNames = []string{
	"NPM_", "YARN_", "PNPM_", "GIT_", "SSH_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "NODE_EXTRA_CA", "NODE_GYP", "GYP_",
	"PUPPETEER_", "PLAYWRIGHT_", "CYPRESS_", "ELECTRON_", "PRISMA_", "SHARP_", "SENTRYCLI_", "HUSKY", "CC", "CXX", "CFLAGS", "LDFLAGS", "MAKEFLAGS", "PYTHON", "PKG_CONFIG",
}

// downloadEnv adds the variables that installations read.
func (b *builder) downloadEnv(env []plan.Env) []plan.Env {
	env = append(env, plan.Env{Name: "NODE_EXTRA_CA_CERTS", Value: caBundle})
	user := map[string]string{}
	for k, v := range b.spec.Build.Env {
		if slices.ContainsFunc(downloadNames, func(prefix string) bool { return strings.HasPrefix(strings.ToUpper(k), prefix) }) {
			user[k] = v
		}
	}
	return app.AppendEnv(append(env, app.SSHEnv(b.spec)...), user)
}

// offlineEnv is the environment of the project's own scripts.
func (b *builder) offlineEnv(more ...plan.Env) []plan.Env {
	env := append(b.toolEnv(), more...)
	if b.tool.name == pnpm {
		// Dependencies are those of the lock file: nothing is looked for anew.
		env = append(env, plan.Env{Name: "npm_config_verify_deps_before_run", Value: "false"}, plan.Env{Name: "pnpm_config_verify_deps_before_run", Value: "false"},
			plan.Env{Name: "npm_config_manage_package_manager_versions", Value: "false"}, plan.Env{Name: "pnpm_config_manage_package_manager_versions", Value: "false"},
			plan.Env{Name: "pnpm_config_pm_on_fail", Value: "ignore"})
	}
	return app.AppendEnv(env, app.BuildEnv(b.spec))
}
