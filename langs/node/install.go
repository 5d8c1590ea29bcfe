package node

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// integrity is the hash of packageManager in the form of lock files; "" when
// there is none, or when it is not of the archive that the registry has: that of
// newer yarns is the hash of one file in it.
func (t tool) integrity() string {
	kind, digits, ok := strings.Cut(t.hash, ".")
	if !ok || t.berry || !slices.Contains([]string{"sha1", "sha256", "sha384", "sha512"}, kind) {
		return ""
	}
	sum, err := hex.DecodeString(digits)
	if err != nil {
		return ""
	}
	return kind + "-" + base64.StdEncoding.EncodeToString(sum)
}

// install is the stage that installs dependencies: all of them for the build, or
// those that the image has.
func (b *builder) install(stage string) plan.Stage {
	prod := stage == prodStage
	packages := b.all
	if prod {
		packages = b.prod
	}
	env := append(b.toolEnv(), plan.Env{Name: "CI", Value: "true"})
	if b.tool.name == npm {
		env = append(env, plan.Env{Name: "npm_config_strict_allow_scripts", Value: fmt.Sprint(b.tool.version != "" && b.tool.major() >= 12)})
		if slices.ContainsFunc(packages, func(l *locked) bool { return l.git }) {
			env = append(env, plan.Env{Name: "npm_config_allow_git", Value: "all"})
		}
		if slices.ContainsFunc(packages, func(l *locked) bool { return l.url }) {
			env = append(env, plan.Env{Name: "npm_config_allow_remote", Value: "all"})
		}
	}
	if base := b.installBase(packages); base.Variant == compilerVariant && b.oldGyp() {
		env = append(env, plan.Env{Name: "npm_config_nodedir", Value: "/usr/local"})
	}
	if b.tool.name == pnpm {
		// It is the version that packageManager names: pnpm 12 would note it in the lock file.
		env = append(env, plan.Env{Name: "pnpm_config_pm_on_fail", Value: "ignore"})
	}
	name, args := b.installCommand(prod)
	step := plan.Step{
		Name: name, Env: b.downloadEnv(env), Dir: at(b.root), Network: true,
		Mounts: slices.Concat([]plan.Mount{b.manifests(prod)}, b.toolMounts(), b.cacheMounts(), b.downloadMounts()),
		Hint:   b.installHint(packages),
	}
	out := plan.Stage{Name: stage, Base: b.installBase(packages)}
	scripts := b.running(packages)
	if prod && (len(scripts) > 0 || len(b.native) > 0) {
		out.PerPlatform = true
		out.Native = fmt.Sprintf("%s may compile native code when it is installed", strings.Join(scripts, ", "))
	}
	if prod && slices.ContainsFunc(packages, (*locked).particular) {
		out.PerPlatform = true
		args = b.selectPlatform(args, &step, &out)
	}
	if b.tool.berry {
		b.yarnHome(&step, prod && stage == prodStage && slices.ContainsFunc(packages, (*locked).particular))
	}
	var keep []string
	// What others mount has to be there, also where nothing was installed.
	mounted := b.mounted()
	if prod {
		mounted = b.bundled()
	}
	for _, m := range mounted {
		keep = append(keep, "--mkdir", at(path.Join(m.dir, "node_modules")))
	}
	if prod && b.hasLibraries() {
		keep = append(keep, "--collect", b.collectLibraries())
		step.Mounts = append(step.Mounts, plan.Mount{Kind: plan.MountOutput, Target: librariesDir, Output: librariesOutput})
		b.otherPlatform(&step)
		out.PerPlatform = true
	}
	if b.tool.name == npm {
		// After its reasons npm explains how it is used.
		keep = append(keep, "--repeat", "npm error Missing: ", "--repeat", "npm error Invalid: ")
	} else {
		// They take an empty variable for a wrong URL.
		for _, name := range registries {
			if slices.ContainsFunc(step.Mounts, func(m plan.Mount) bool { return m.Kind == plan.MountSecretEnv && m.Target == name }) {
				keep = append(keep, "--optional", name)
			}
		}
	}
	if step.Args = args; len(keep) > 0 {
		step.Args = slices.Concat([]string{plan.StepsProgram, "exec"}, keep, []string{"--"}, args)
	}
	out.Steps = []plan.Step{step}
	return out
}

// running are the packages whose install scripts run and matter.
func (b *builder) running(packages []*locked) []string {
	var names []string
	for _, lk := range packages {
		_, known := addons[lk.name]
		script := lk.script != nil && *lk.script || lk.script == nil && known || b.lock.needsOne(lk, gypOnly)
		if !script || b.lock.harmless(lk) || b.refused(lk) {
			continue
		}
		names = append(names, lk.name)
	}
	return slices.Compact(names)
}

// refused says whether package.json refuses a package's install scripts.
func (b *builder) refused(lk *locked) bool {
	allowed, ok := b.top.allowScripts[lk.name]
	return ok && !allowed && b.tool.name == npm
}

// oldGyp says whether a node-gyp may run that does not find Node's headers by the
// variable of the build image, which those before 12 do not know: the project's own,
// or that of another package manager than npm.
func (b *builder) oldGyp() bool {
	if b.tool.name != npm {
		return true
	}
	for _, lk := range b.lock.packages {
		if lk.name == "node-gyp" {
			return true
		}
	}
	return false
}

// yarnHome adds settings of newer yarns that the project's may override: which
// platform to install for, and that an install script that nobody has allowed or
// refused is an error with the package's name, not a warning.
func (b *builder) yarnHome(step *plan.Step, platform bool) {
	var content string
	if platform && b.yarn.Supported == nil {
		content = "supportedArchitectures:\n  os: [linux]\n  cpu: [\"${" + targetCPU + "}\"]\n  libc: [glibc]\n"
	}
	if b.yarnMajor() >= 3 && (b.yarn.Scripts == nil || !*b.yarn.Scripts) {
		content += "logFilters:\n  - code: YN0004\n    level: error\n"
	}
	if content == "" {
		return
	}
	step.Mounts = append(step.Mounts, plan.Mount{Kind: plan.MountFiles, Target: "/root/.yarnrc.yml", Path: ".yarnrc.yml", Files: []plan.File{{
		Path: ".yarnrc.yml", Mode: 0o644, Content: content,
	}}})
}

// targetCPU is the variable that has the image's architecture in npm's words.
const targetCPU = "npm_config_cpu"

// selectPlatform has the package manager choose what is for the target platform
// and not what is for the build machine.
func (b *builder) selectPlatform(args []string, step *plan.Step, stage *plan.Stage) []string {
	step.PlatformEnv = map[string][]plan.Env{
		"amd64": {{Name: targetCPU, Value: "x64"}},
		"arm64": {{Name: targetCPU, Value: "arm64"}},
	}
	step.Env = append(step.Env, plan.Env{Name: "npm_config_os", Value: "linux"}, plan.Env{Name: "npm_config_libc", Value: "glibc"})
	if stage.Native == "" {
		// The scripts that are left would run programs of the other platform.
		for _, pair := range []string{"amd64@arm64", "arm64@amd64"} {
			step.PlatformEnv[pair] = []plan.Env{{Name: "npm_config_ignore_scripts", Value: "true"}, {Name: "YARN_ENABLE_SCRIPTS", Value: "false"}, {Name: "pnpm_config_ignore_scripts", Value: "true"}}
		}
	}
	switch {
	case b.tool.name == npm:
	case b.tool.name == pnpm:
		if b.tool.major() < 10 {
			if stage.Native == "" {
				stage.Native = "pnpm " + b.tool.version + " installs for the machine that it runs on alone (pnpm 10.14 and newer can do more)"
			}
			return args
		}
		args = append(args, "--os=linux", "--cpu=${"+targetCPU+"}", "--libc=glibc")
	case b.tool.berry && b.yarn.Supported == nil:
	case stage.Native == "":
		stage.Native = "yarn " + b.tool.version + " installs for the machine that it runs on alone (newer ones can do more, as npm can)"
	}
	return args
}

// The second output of the installation for the image: programs and libraries in
// machine code, without what prebuilt packages have for other systems.
const (
	librariesOutput = "libraries"
	librariesDir    = "/libraries"
	otherCPU        = "BIRDHOUSE_OTHER_CPU"
)

// hasLibraries says whether what is installed for the image may have machine code
// in it.
func (b *builder) hasLibraries() bool {
	return len(b.native) > 0 || len(b.withMachineCode(b.prod)) > 0
}

// withMachineCode are the packages that have machine code, or need it.
func (b *builder) withMachineCode(packages []*locked) []*locked {
	var found []*locked
	for _, l := range packages {
		if l.particular() || slices.ContainsFunc(l.needs, func(id string) bool {
			need := b.lock.packages[id]
			return need != nil && slices.Contains(compilers, need.name)
		}) {
			found = append(found, l)
		}
	}
	return found
}

// tracesLibraries says whether the framework's build may copy packages with machine
// code into the server that it writes, so that the server has to be looked at.
func (b *builder) tracesLibraries() bool {
	return len(b.traced) > 0 && b.framework.standalone == ""
}

// tracedPatterns are those of packages with machine code, wherever they lie.
func (b *builder) tracedPatterns() []string {
	var patterns []string
	for _, name := range b.traced {
		patterns = append(patterns, "**/node_modules/"+app.EscapePattern(name))
	}
	return patterns
}

// libraryFiles are the patterns of machine code that Node loads.
var libraryFiles = []string{"**/node_modules/**/*.node", "**/node_modules/**/*.so", "**/node_modules/**/*.so.*"}

func (b *builder) collectLibraries() string {
	return app.JSON(exec.Collection{
		From: at(b.root), To: librariesDir, Root: at(b.root),
		Include: libraryFiles,
		Exclude: append([]string{"**/prebuilds/linux-${" + otherCPU + "}*", "**/prebuilds/**/*.armv7.node", "**/prebuilds/linux-arm", "**/prebuilds/linux-ia32", "**/obj.target", "**/obj"}, otherSystems...),
	})
}

// otherSystems are what prebuilt packages have for other systems, as patterns:
// https://github.com/prebuild/prebuildify.
var otherSystems = []string{
	"**/prebuilds/android-*", "**/prebuilds/darwin-*", "**/prebuilds/freebsd-*", "**/prebuilds/win32-*", "**/prebuilds/**/*musl*",
}

func (b *builder) otherPlatform(step *plan.Step) {
	if step.PlatformEnv == nil {
		step.PlatformEnv = map[string][]plan.Env{}
	}
	for arch, other := range map[string]string{"amd64": "arm64", "arm64": "x64"} {
		step.PlatformEnv[arch] = append(step.PlatformEnv[arch], plan.Env{Name: otherCPU, Value: other})
	}
}

// mounted are the packages whose node_modules the build sees.
func (b *builder) mounted() []*member {
	all := []*member{b.top}
	for _, m := range append(slices.Clone(b.builds), b.app) {
		if m != b.top && !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	sort.SliceStable(all[1:], func(i, j int) bool { return all[i+1].dir < all[j+1].dir })
	return all
}

// installCommand is what installs the dependencies.
func (b *builder) installCommand(prod bool) (name string, args []string) {
	only := prod && len(b.members) > 0
	switch {
	case b.tool.name == npm:
		args = []string{"npm", "ci", "--prefer-offline", "--no-audit", "--no-fund"}
		if prod {
			args = append(args, "--omit=dev")
		}
		switch {
		case only && b.app != b.top:
			args = append(args, "--workspace="+b.app.rel)
		case only && len(b.libs) == 0:
			args = append(args, "--workspaces=false")
		}
		name = strings.Join(args[:2], " ")
		if prod {
			name += " --omit=dev"
		}
	case b.tool.name == pnpm:
		args = []string{"pnpm", "install", "--frozen-lockfile", "--config.package-import-method=copy", "--store-dir=" + pnpmStore, "--config.strict-dep-builds=true"}
		name = "pnpm install --frozen-lockfile"
		if prod {
			args = append(args, "--prod")
			name += " --prod"
		}
		if only {
			which := b.app.name
			if which == "" || b.app == b.top {
				which = "{./" + strings.TrimPrefix(b.app.rel, ".") + "}"
			}
			args = append(args, "--filter-prod="+which+"...")
		}
	case b.tool.berry && prod:
		args = append(b.program(), "workspaces", "focus")
		if b.app.name != "" {
			args = append(args, b.app.name)
		}
		args = append(args, "--production")
		name = "yarn " + strings.Join(args[len(b.program()):], " ")
	case b.tool.berry:
		args = append(b.program(), "install", "--immutable")
		name = "yarn install --immutable"
	default:
		args = append(b.program(), "install", "--frozen-lockfile", "--non-interactive", "--cache-folder="+yarnCache)
		name = "yarn install --frozen-lockfile"
		if prod {
			args = append(args, "--production")
			name += " --production"
		}
	}
	return name, args
}

func (b *builder) installHint(packages []*locked) string {
	hint := "a private package needs its registry's token: secrets: [npmrc], and --secret id=npmrc,src=$HOME/.npmrc"
	for _, name := range b.variables {
		hint += fmt.Sprintf(", or --secret id=%s,env=%s", name, name)
	}
	if slices.ContainsFunc(packages, func(l *locked) bool { return l.git }) {
		hint += "\na private git repository needs ssh: true and --ssh default, or secrets: [netrc] and --secret id=netrc,src=$HOME/.netrc"
	}
	if b.lock != nil {
		hint += fmt.Sprintf("\nwhere %s is not that of package.json, `%s` writes it anew", b.lock.file, b.tool.lockCommand())
	}
	if b.tool.name == pnpm {
		hint += "\ninstall scripts that pnpm ignores are allowed or refused in pnpm-workspace.yaml (allowBuilds, or onlyBuiltDependencies of pnpm 10)"
	}
	if b.tool.berry {
		hint += "\ninstall scripts that yarn has disabled are allowed or refused in package.json: \"dependenciesMeta\": {\"NAME\": {\"built\": true}}, or false"
	}
	var debian []string
	for _, lk := range addonsOf(b.lock, packages) {
		for pkg := range strings.SplitSeq(addons[lk.name], ", ") {
			if pkg != "" && !slices.Contains(b.spec.Build.Packages, pkg) {
				debian = append(debian, pkg)
			}
		}
	}
	if len(debian) > 0 {
		hint += fmt.Sprintf("\nwhat it compiles may need a Debian package: build: {packages: [%s]}", strings.Join(slices.Compact(sorted(debian)), ", "))
	}
	return hint
}

// toolMounts is the package manager.
func (b *builder) toolMounts() []plan.Mount {
	if b.tool.version == "" || b.tool.file != "" {
		return nil
	}
	return []plan.Mount{{Kind: plan.MountStage, Target: toolDir, From: toolStage}}
}

// manifests are the files that decide about the installation, as the start of
// what it writes. Manifests are reduced to what counts, so that another version or
// script is no reason to install anew.
func (b *builder) manifests(prod bool) plan.Mount {
	mount := plan.Mount{Kind: plan.MountOutput, Target: sourceDir, From: plan.FromFiles}
	packages := b.packages()
	var workspaces []string
	if prod && b.tool.name == yarn && !b.tool.berry && len(b.members) > 0 {
		// Yarn 1 installs for all workspaces that there are.
		packages = []*member{b.top}
		for _, m := range b.shippedMembers() {
			if m != b.top {
				packages, workspaces = append(packages, m), append(workspaces, m.rel)
			}
		}
	}
	for _, m := range packages {
		if m.manifest == nil {
			continue
		}
		content := m.reduced(m.rel != "." && b.versionCounts(m), b.life.scripts[m.dir], nil)
		if m == b.top && workspaces != nil {
			content = m.reduced(false, b.life.scripts[m.dir], workspaces)
		}
		mount.Files = append(mount.Files, plan.File{Path: m.file, Mode: 0o644, Content: content})
	}
	var include []string
	add := func(name string) { include = append(include, app.EscapePattern(path.Join(b.root, name))) }
	if b.lock != nil {
		text, reduced := "", false
		if b.tool.name == npm {
			text, reduced = b.reducedNpmLock(b.lock)
		}
		if reduced {
			mount.Files = append(mount.Files, plan.File{Path: b.lock.file, Mode: 0o644, Content: text})
		} else {
			include = append(include, app.EscapePattern(b.lock.file))
		}
	}
	for _, name := range []string{".npmrc", ".yarnrc", ".yarnrc.yml", "pnpm-workspace.yaml", ".pnpmfile.cjs", ".pnpmfile.mjs"} {
		if b.files.Exists(path.Join(b.root, name)) {
			add(name)
		}
	}
	if b.tool.name == yarn {
		add(".yarn/releases")
		add(".yarn/plugins")
		add(".yarn/patches")
		add(".yarn/cache")
		if b.tool.file != "" {
			include = append(include, app.EscapePattern(b.tool.file))
		}
	}
	if b.tool.name == pnpm || b.top.raw("patchedDependencies") != nil {
		add("patches")
	}
	include = append(include, b.localFiles()...)
	include = append(include, b.life.include...)
	if b.life.all {
		// Nobody knows what the project's own install script reads.
		include = []string{"**"}
	}
	sort.Strings(include)
	if mount.Include = slices.Compact(include); len(include) > 0 {
		mount.Exclude = slices.Clone(neverRead)
	}
	return mount
}

// neverRead are files of the project that no build reads: what a commit changes,
// and what the machine has installed.
var neverRead = []string{"**/.git", "**/node_modules"}

// localFiles are the folders and archives of the project that manifests name as
// dependencies, as patterns.
func (b *builder) localFiles() []string {
	var found []string
	for _, m := range b.packages() {
		if m.manifest == nil {
			continue
		}
		for _, kind := range []map[string]string{m.dependencies, m.dev, m.optional} {
			for _, want := range kind {
				_, file, ok := strings.Cut(want, ":")
				if !ok && (strings.HasPrefix(want, "./") || strings.HasPrefix(want, "../")) {
					file, ok = want, true
				} else if protocol := strings.TrimSuffix(want, ":"+file); !slices.Contains([]string{"file", "link", "portal"}, protocol) {
					continue
				}
				name := path.Join(m.dir, file)
				if ok && fsValid(name) && name != "." && !b.isMember(name) {
					found = append(found, app.EscapePattern(name))
				}
			}
		}
	}
	return found
}

func (b *builder) isMember(dir string) bool {
	return slices.ContainsFunc(b.packages(), func(m *member) bool { return m.dir == dir })
}
