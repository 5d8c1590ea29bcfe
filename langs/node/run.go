package node

import (
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// development are files that serve the work on the project alone, as patterns of
// .dockerignore and of the steps program.
var development = []string{
	"**/.git", "**/.gitignore", "**/.gitattributes", "**/.github", "**/.gitlab-ci.yml", "**/.husky", "**/.vscode", "**/.idea", "**/.DS_Store",
	"**/.env", "**/.env.*", "**/.npmrc", "**/.yarnrc", "**/.yarnrc.yml", "**/.yarn", "**/.pnp.*",
	"**/package-lock.json", "**/npm-shrinkwrap.json", "**/pnpm-lock.yaml", "**/yarn.lock", "**/pnpm-workspace.yaml", "**/.pnpmfile.*",
	"**/.nvmrc", "**/.node-version", "**/.tool-versions", "**/.mise.toml", "**/mise.toml",
	"**/tsconfig.json", "**/tsconfig.*.json", "**/*.tsbuildinfo", "**/.eslintrc*", "**/eslint.config.*", "**/.prettierrc*", "**/.editorconfig",
	"**/jest.config.*", "**/vitest.config.*", "**/nest-cli.json", "**/turbo.json", "**/nx.json",
	"**/__tests__", "**/*.test.js", "**/*.test.cjs", "**/*.test.mjs", "**/*.test.ts", "**/*.spec.js", "**/*.spec.ts",
	"**/coverage", "**/.turbo", "**/.nx", "**/.cache", "**/Dockerfile*", "**/.dockerignore", "**/*.dockerignore", "**/docker-compose*.yml", "**/compose.yaml",
}

// environments are files with variables, often secret ones.
var environments = []string{"**/.env", "**/.env.*"}

// withoutTypes are the sources of TypeScript.
var withoutTypes = []string{"**/*.ts", "**/*.tsx", "**/*.mts", "**/*.cts"}

// unshipped are the patterns of what the image gets nothing of.
func (b *builder) unshipped() []string {
	patterns := append([]string{"**/node_modules"}, development...)
	// The descriptor may have another name, and lie in the project's folder.
	patterns = append(patterns, "**/"+path.Base(b.spec.File()))
	if !b.runsTypes() {
		patterns = append(patterns, withoutTypes...)
	}
	return patterns
}

// runsTypes says whether Node strips the types of what it runs.
func (b *builder) runsTypes() bool {
	if typescript(b.start.file) {
		return true
	}
	for _, word := range append(slices.Clone(b.spec.Entrypoint), b.spec.Cmd...) {
		if typescript(word) {
			return true
		}
	}
	return false
}

// nodeModules are the folders of dependencies that the build sees.
func (b *builder) nodeModules() []plan.Mount {
	if !b.installsAll() {
		return nil
	}
	var mounts []plan.Mount
	add := func(name string) {
		mounts = append(mounts, plan.Mount{Kind: plan.MountStage, Target: at(name), From: depsStage, Path: "/" + name, Large: true, Writable: true})
	}
	if b.tool.berry {
		add(path.Join(b.root, ".yarn"))
	}
	if b.pnp() {
		add(path.Join(b.root, ".pnp.cjs"))
		if b.esmLoader() {
			add(path.Join(b.root, ".pnp.loader.mjs"))
		}
		return mounts
	}
	for _, m := range b.mounted() {
		add(path.Join(m.dir, "node_modules"))
	}
	return mounts
}

// sources is the project, in which scripts may write.
func (b *builder) sources() plan.Mount {
	return plan.Mount{Kind: plan.MountSource, Target: sourceDir, Exclude: slices.Clone(neverRead), Writable: true}
}

// cacheFolders are kept from one build to the next.
func (b *builder) cacheFolders() []plan.Mount {
	var mounts []plan.Mount
	for _, dir := range b.framework.caches {
		mounts = append(mounts, plan.Mount{
			Kind: plan.MountCache, Target: at(path.Join(b.app.dir, dir)),
			CacheID: "birdhouse-node-" + strings.Trim(strings.ReplaceAll(dir, "/", "-"), ".") + "-" + b.app.title() + "-" + plan.BuildArch,
		})
	}
	if b.installsAll() && !b.pnp() {
		mounts = append(mounts, plan.Mount{
			Kind: plan.MountCache, Target: at(path.Join(b.app.dir, "node_modules/.cache")),
			CacheID: "birdhouse-node-cache-" + b.app.title() + "-" + plan.BuildArch,
		})
	}
	return mounts
}

// compileCache is where Node keeps what it has compiled of the programs of the
// build, which are the same in the next: https://nodejs.org/api/module.html#module-compile-cache.
func (b *builder) compileCache() string {
	if !b.installsAll() || b.pnp() {
		return ""
	}
	return at(path.Join(b.app.dir, "node_modules/.cache/node-compile"))
}

// build runs the build scripts of the packages that the program needs, and its own,
// and keeps what the image gets.
func (b *builder) build() plan.Stage {
	args := []string{plan.StepsProgram, "exec"}
	var mounts []plan.Mount
	if b.framework.identity != "" {
		var question string
		question, mounts = b.askIdentity()
		args = append(args, "--ask", b.framework.identity+"="+question)
	}
	args = append(args, b.buildOthers()...)
	for _, c := range b.collections() {
		args = append(args, "--collect", app.JSON(c))
	}
	outputs := []plan.Mount{{Kind: plan.MountOutput, Target: outDir}}
	if b.tracesLibraries() {
		args = append(args, "--collect", app.JSON(exec.Collection{
			From: outDir, To: librariesDir, Include: libraryFiles, Exclude: append([]string{"**/prebuilds"}, otherSystems...),
		}))
		outputs = append(outputs, plan.Mount{Kind: plan.MountOutput, Target: librariesDir, Output: librariesOutput})
	}
	args = append(append(args, "--"), append(b.program(), "run", b.script)...)
	asked := ""
	if b.spec.Has("build.script") {
		asked = "build.script"
	}
	env := []plan.Env{{Name: "NODE_ENV", Value: "production"}, {Name: "NEXT_TELEMETRY_DISABLED", Value: "1"}, {Name: "ASTRO_TELEMETRY_DISABLED", Value: "1"}, {Name: "NUXT_TELEMETRY_DISABLED", Value: "1"}, {Name: "NG_CLI_ANALYTICS", Value: "false"}}
	if v, ok := b.spec.Build.Env["NODE_ENV"]; ok {
		env[0].Value = v
	}
	step := plan.Step{
		Name: b.tool.name + " run " + b.script, Args: args, Env: b.offlineEnv(env...), Dir: at(b.app.dir),
		Mounts: slices.Concat([]plan.Mount{b.sources()}, b.nodeModules(), b.toolMounts(), mounts, b.cacheFolders(), b.secrets(), outputs),
		Asked:  asked,
		Hint:   "the build script runs without network (build: {network: true} gives it), with the files that .dockerignore does not exclude; build.output and build.static say what it writes",
	}
	if dir := b.compileCache(); dir != "" {
		step.Env = append([]plan.Env{{Name: "NODE_COMPILE_CACHE", Value: dir}}, step.Env...)
	}
	if b.spec.Build.Network {
		step.Network = true
		step.Mounts = append(step.Mounts, b.registryMounts()...)
		step.Env = append(step.Env, plan.Env{Name: "NODE_EXTRA_CA_CERTS", Value: caBundle})
	}
	return plan.Stage{Name: buildStage, Base: b.base(), Steps: []plan.Step{step}}
}

//go:embed buildid.mjs
var buildIDProgram string

// askIdentity is the command that prints a name for the sources and what else decides
// about the build, and the mount that has it.
func (b *builder) askIdentity() (command string, mounts []plan.Mount) {
	const dir = "/opt/build-id"
	salt := sha256.Sum256([]byte(app.JSON(app.BuildEnv(b.spec)) + b.runtime.version))
	words := []string{"node", dir + "/buildid.mjs", sourceDir, hex.EncodeToString(salt[:8])}
	for _, built := range b.framework.caches {
		words = append(words, path.Join(b.app.dir, built))
	}
	return strings.Join(words, " "), []plan.Mount{{Kind: plan.MountFiles, Target: dir, Files: []plan.File{
		{Path: "buildid.mjs", Mode: 0o644, Content: buildIDProgram},
	}}}
}

// buildOthers has the steps program run the build scripts of the packages that the
// program needs.
func (b *builder) buildOthers() []string {
	var args []string
	for _, m := range b.builds {
		if m.scripts["build"] != "" {
			args = append(args, "--before", app.JSON(exec.Command{Dir: at(m.dir), Args: append(b.program(), "run", "build")}))
		}
	}
	return args
}

// collections are what is kept of a build, in the layout of the image's folder.
func (b *builder) collections() []exec.Collection {
	dir, rel, root := at(b.app.dir), b.app.rel, at(b.root)
	out := func(name string) string { return path.Join(outDir, name) }
	if b.site != nil {
		return []exec.Collection{{From: path.Join(dir, b.site.dir), To: out("site"), Root: root, Exclude: slices.Clone(environments)}}
	}
	if dist := b.framework.standalone; dist != "" {
		standalone, static := path.Join(dir, dist, "standalone"), path.Join(dist, "static")
		return []exec.Collection{
			{From: standalone, To: outDir, Root: standalone, Exclude: slices.Clone(environments)},
			{From: path.Join(dir, static), To: out(path.Join(rel, static)), Root: root},
			{From: path.Join(dir, "public"), To: out(path.Join(rel, "public")), Root: root, Optional: true},
		}
	}
	var list []exec.Collection
	for _, m := range b.libs {
		list = append(list, exec.Collection{From: at(m.dir), To: out(m.rel), Root: root, Exclude: b.unshipped()})
	}
	output := []string(b.spec.Build.Output)
	if len(output) == 0 {
		output = b.framework.output
	}
	if len(output) == 0 || slices.Contains(output, "") {
		exclude := b.unshipped()
		for _, m := range b.members {
			if m != b.app && app.Within(b.app.dir, m.dir) {
				exclude = append(exclude, app.Relative(b.app.dir, m.dir))
			}
		}
		exclude = append(exclude, b.framework.caches...)
		return append(list, exec.Collection{From: dir, To: out(rel), Root: root, Exclude: exclude})
	}
	// Node reads of it whether files are modules, and programs their version.
	list = append(list, exec.Collection{From: path.Join(dir, "package.json"), To: out(path.Join(rel, "package.json")), Optional: true})
	for _, name := range output {
		exclude := append(slices.Clone(environments), b.framework.exclude...)
		if !b.runsTypes() {
			exclude = append(exclude, withoutTypes...)
		}
		if !strings.HasPrefix(name, ".output") {
			exclude = append(exclude, "**/node_modules/.cache")
		}
		list = append(list, exec.Collection{From: path.Join(dir, name), To: out(path.Join(rel, name)), Root: root, Exclude: exclude})
	}
	return list
}

// test runs the project's tests before the image is made.
func (b *builder) test() plan.Stage {
	args := b.spec.Test.Command
	if args == nil {
		args = append(b.program(), "run", "test")
	}
	env := b.offlineEnv()
	for i, e := range env {
		if e.Name == "PATH" {
			env[i].Value = at(path.Join(b.app.dir, "node_modules/.bin")) + ":" + at(path.Join(b.root, "node_modules/.bin")) + ":" + e.Value
		}
	}
	name := strings.Join(args, " ")
	if commands := b.buildOthers(); len(commands) > 0 {
		args = append(append([]string{plan.StepsProgram, "exec"}, commands...), append([]string{"--"}, args...)...)
	}
	return plan.Stage{
		Name: testStage, Base: b.base(), Gate: true,
		Steps: []plan.Step{{
			Name: name, Args: args, Env: env, Dir: at(b.app.dir),
			Mounts: slices.Concat([]plan.Mount{b.sources()}, b.nodeModules(), b.toolMounts(), b.secrets(), []plan.Mount{{Kind: plan.MountOutput, Target: outDir}}),
			Asked:  "test",
			Hint:   "the image is built when the tests pass; they run as root, without network but loopback",
		}},
	}
}

// libraries checks that the run image has what addons are linked against.
func (b *builder) libraries() plan.Stage {
	asked := "language"
	if b.spec.Has("packages") {
		asked = "packages"
	}
	from := prodStage
	if b.tracesLibraries() {
		from = buildStage
	}
	return app.Libraries(plan.Base{Image: "node", Version: b.runtime.version, Variant: "build"},
		plan.Mount{Kind: plan.MountStage, Target: librariesDir, From: from, Output: librariesOutput}, asked,
		"native addons are linked against libraries that the run image does not have: packages: [NAME] adds the Debian package that has them")
}

// leftovers are what installations leave in node_modules that no program reads, and
// that has times or paths in it, as patterns.
var leftovers = []string{
	"**/node_modules/.package-lock.json", "**/node_modules/.package-map.json", "**/node_modules/.yarn-integrity", "**/node_modules/.yarn-state.yml",
	"**/node_modules/.modules.yaml", "**/node_modules/.pnpm-workspace-state*.json", "**/node_modules/.pnpm/lock.yaml", "**/node_modules/.cache",
	"**/node_modules/**/build/Release/obj", "**/node_modules/**/build/Release/obj.target", "**/node_modules/**/build/Release/.deps",
	"**/node_modules/**/build/config.gypi", "**/node_modules/**/build/Makefile", "**/node_modules/**/build/*.mk", "**/node_modules/**/build/node_gyp_bins",
	"**/node_modules/**/build/gyp-mac-tool",
}

// dependencies are the patterns of what is installed for the image, below the
// root.
func (b *builder) dependencies() (include, exclude []string) {
	exclude = slices.Concat(leftovers, otherSystems, b.trimmed())
	if b.pnp() {
		include = []string{".pnp.cjs", ".yarn/cache", ".yarn/unplugged"}
		if b.esmLoader() {
			include = append(include, ".pnp.loader.mjs")
		}
		return include, exclude
	}
	if b.tool.name == pnpm {
		// Its programs are shell scripts with paths of the build in them.
		exclude = append(exclude, "**/node_modules/.bin")
	}
	for _, m := range append([]*member{b.top}, b.shippedMembers()...) {
		pattern := app.EscapePattern(path.Join(m.rel, "node_modules"))
		if !slices.Contains(include, pattern) {
			include = append(include, pattern)
		}
	}
	return include, exclude
}

// esmLoader says whether yarn writes a loader for ES modules: when one of the
// packages is such a module.
func (b *builder) esmLoader() bool {
	if b.yarn.ESMLoader != nil {
		return *b.yarn.ESMLoader
	}
	return slices.ContainsFunc(b.packages(), func(m *member) bool { return m.manifest != nil && m.module })
}

// layers are the image's own, from the least to the most likely to change:
// dependencies, the workspace's packages, files for browsers, the program.
func (b *builder) layers() []plan.Layer {
	var layers []plan.Layer
	add := func(l plan.Layer) { layers = append(layers, l) }
	if b.site != nil {
		return b.siteLayers()
	}
	if len(b.prod) > 0 && b.spec.Build.Bundle == nil && !b.framework.bundled {
		include, exclude := b.dependencies()
		stage := prodStage
		if patterns, same := b.beyond(); same {
			stage, exclude = depsStage, append(exclude, patterns...)
		}
		add(plan.Layer{
			Name: "dependencies", Changes: "sometimes", What: app.Count(len(b.prod), "package"),
			Copies: []plan.Copy{{Stage: stage, Source: path.Join("/", b.root), Target: app.Dir, Include: include, Exclude: exclude}},
		})
	}
	layers = append(layers, app.Assets(b.spec)...)
	if b.spec.Build.Bundle != nil {
		add(plan.Layer{
			Name: "application", Changes: "always", What: app.Dir + "  one file with its dependencies",
			Copies: []plan.Copy{{Stage: bundleStage, Source: "/", Target: app.Dir}},
		})
		return layers
	}
	if b.framework.standalone != "" {
		modules := []string{"node_modules"}
		if b.app.rel != "." {
			modules = append(modules, app.EscapePattern(b.app.rel)+"/node_modules")
		}
		copies := []plan.Copy{{Stage: buildStage, Source: "/", Target: app.Dir, Include: modules}}
		if machine := b.tracedPatterns(); len(machine) > 0 {
			// What Next copies of them is the build machine's.
			copies[0].Exclude = machine
			copies = append(copies, plan.Copy{Stage: prodStage, Source: path.Join("/", b.root), Target: app.Dir, Include: machine, Exclude: slices.Concat(leftovers, otherSystems)})
		}
		add(plan.Layer{Name: "dependencies", Changes: "sometimes", What: "what Next needs of node_modules", Copies: copies})
		static := b.below(b.framework.assets)
		add(plan.Layer{
			Name: "static", Changes: "often", What: "files for browsers",
			Copies: []plan.Copy{{Stage: buildStage, Source: "/", Target: app.Dir, Include: static}},
		})
		add(plan.Layer{
			Name: "application", Changes: "always", What: b.workDir() + "  " + b.framework.name,
			Copies: []plan.Copy{{Stage: buildStage, Source: "/", Target: app.Dir, Exclude: append(withoutContent(modules), withoutContent(static)...)}},
		})
		return layers
	}
	from := plan.Copy{Stage: buildStage, Source: "/", Target: app.Dir}
	if b.script == "" {
		from = plan.Copy{Source: b.root, Target: app.Dir}
	}
	members := []string{}
	for _, m := range b.libs {
		members = append(members, app.EscapePattern(m.rel)+"/**")
	}
	if len(members) > 0 {
		c := from
		c.Include = members
		if b.script == "" {
			c.Exclude = b.unshipped()
		}
		add(plan.Layer{Name: "workspace", Changes: "often", What: listTitles(b.libs), Copies: []plan.Copy{c}})
	}
	modules := b.below(b.framework.modules)
	if len(modules) > 0 && b.script != "" {
		c := from
		c.Include = modules
		add(plan.Layer{Name: "dependencies", Changes: "sometimes", What: "what " + b.framework.name + " needs of node_modules", Copies: []plan.Copy{c}})
	} else {
		modules = nil
	}
	static := b.below(b.framework.assets)
	if len(static) > 0 && b.script != "" {
		c := from
		c.Include = static
		add(plan.Layer{Name: "static", Changes: "often", What: "files for browsers", Copies: []plan.Copy{c}})
	} else {
		static = nil
	}
	c := from
	if b.script == "" {
		c.Exclude = b.unshipped()
		if b.app.rel != "." {
			c.Include = []string{app.EscapePattern(b.app.rel) + "/**"}
		}
		for _, m := range b.members {
			if m != b.app && app.Within(b.app.dir, m.dir) {
				c.Exclude = append(c.Exclude, app.EscapePattern(m.rel))
			}
		}
		if output := b.spec.Build.Output; len(output) > 0 && !slices.Contains(output, "") {
			// What is named is wanted, whatever it looks like.
			c.Exclude = slices.Concat([]string{"**/node_modules"}, environments)
			if !b.runsTypes() {
				c.Exclude = append(c.Exclude, withoutTypes...)
			}
			c.Include = []string{app.EscapePattern(path.Join(b.app.rel, "package.json"))}
			for _, name := range output {
				c.Include = append(c.Include, app.EscapePattern(path.Join(b.app.rel, name)))
			}
		}
	} else {
		c.Exclude = slices.Concat(withoutContent(members), withoutContent(modules), withoutContent(static))
	}
	add(plan.Layer{Name: "application", Changes: "always", What: b.whatRuns(), Copies: []plan.Copy{c}})
	return layers
}

func listTitles(members []*member) string {
	var names []string
	for _, m := range members {
		names = append(names, m.title())
	}
	return strings.Join(names, ", ")
}

func (b *builder) whatRuns() string {
	what := b.workDir()
	switch {
	case len(b.framework.output) == 1:
		what = path.Join(what, b.framework.output[0])
	case b.start.file != "":
		what = path.Join(what, b.start.file)
	}
	return fmt.Sprintf("%s  Node %s", what, b.runtime.version)
}

// below are patterns of folders of the program, below the root.
func (b *builder) below(dirs []string) []string {
	var patterns []string
	for _, dir := range dirs {
		patterns = append(patterns, app.EscapePattern(path.Join(b.app.rel, dir))+"/**")
	}
	return patterns
}

// withoutContent are patterns of folders in place of those of their content.
func withoutContent(patterns []string) []string {
	var dirs []string
	for _, p := range patterns {
		dirs = append(dirs, strings.TrimSuffix(p, "/**"))
	}
	return dirs
}
