package node

import (
	_ "embed"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// esbuild is the bundler, and what the registry's archives of it hash to.
const esbuild = "0.28.2"

var esbuildIntegrity = map[string]string{
	"esbuild":              "sha512-HKVLS8dvII+xoKW9kmqxbRKrnWEXfJJr/FZhhJmiqIB0e053QNYFqOBouTMO/k5sID4MvCiUCvv8b9M4h32wIA==",
	"@esbuild/linux-x64":   "sha512-4xTZr1FUmSoQW4XIWmit3tzQrUTZM+N3P0XV8xROKYF50XfI7xeO90+1bZvNwxIufQ9hDQVRJH5YhgPVF8A/HQ==",
	"@esbuild/linux-arm64": "sha512-pW4AC0P3it8c7do9MVM4p51FzHzdM/TZrerurgRcHJ2WTa1VQ1CIq18xncfpBJw4ojkiZZrKW2yIBWBP92j6Ug==",
}

// bundleProgram runs esbuild and explains what it cannot bundle.
//
//go:embed bundle.mjs
var bundleProgram string

// checkBundle reports what cannot be one file.
func (b *builder) checkBundle() spec.Problems {
	s := b.spec
	if s.Build.Bundle == nil || b.site != nil {
		return nil
	}
	refuse := func(message, hint string) spec.Problems {
		return spec.Problems{s.Problem("build.bundle", "build.bundle: "+message, hint)}
	}
	var addons []string
	for _, lk := range b.prod {
		if slices.Contains(b.native, lk) || lk.particular() {
			addons = append(addons, lk.name)
		}
	}
	switch {
	case b.framework.bundled:
		return refuse(b.framework.name+" makes a bundle of its own", "remove the line")
	case b.ownStart():
		return refuse("the program has to be known, and the descriptor's own command may be anything", "name the program with a start script in package.json, and leave out entrypoint and cmd")
	case len(addons) > 0:
		return refuse(fmt.Sprintf("%s has machine code in it, which a bundle cannot hold", shortList(slices.Compact(addons))), "remove the line: the dependencies are a layer of their own")
	case b.pnp():
		return refuse("yarn's way without node_modules is not one that the bundler knows", "write nodeLinker: node-modules in .yarnrc.yml")
	}
	for i, flag := range b.start.flags {
		if (flag == "-r" || flag == "--require" || flag == "--import") && i+1 < len(b.start.flags) {
			return refuse(fmt.Sprintf("Node loads %s before the program, which a bundle leaves out (%s)", b.start.flags[i+1], b.start.source), "import it in the program itself")
		}
	}
	return nil
}

// bundleFile is the bundle, below the package's folder: beside the program, so that
// what looks for files beside itself looks in the same place.
func (b *builder) bundleFile() string {
	name := strings.TrimSuffix(b.start.file, path.Ext(b.start.file))
	if b.bundleFormat() == "esm" {
		return name + ".mjs"
	}
	return name + ".cjs"
}

func (b *builder) bundleFormat() string {
	switch path.Ext(b.start.file) {
	case ".mjs", ".mts":
		return "esm"
	case ".cjs", ".cts":
		return "cjs"
	}
	if b.app.manifest != nil && b.app.module {
		return "esm"
	}
	return "cjs"
}

// bundler installs esbuild, checked against its hashes.
func (b *builder) bundler() plan.Stage {
	wanted := map[string]string{"esbuild": esbuild}
	optional := map[string]string{}
	packages := map[string]any{"": map[string]any{"dependencies": wanted}}
	for name, integrity := range esbuildIntegrity {
		entry := map[string]any{"version": esbuild, "integrity": integrity}
		if name != "esbuild" {
			optional[name] = esbuild
			entry["optional"], entry["os"], entry["cpu"] = true, []string{"linux"}, []string{strings.TrimPrefix(name, "@esbuild/linux-")}
		}
		packages["node_modules/"+name] = entry
	}
	packages["node_modules/esbuild"].(map[string]any)["optionalDependencies"] = optional
	return plan.Stage{
		Name: bundlerStage,
		Base: plan.Base{Image: "node", Version: b.runtime.version, Variant: "build"},
		Steps: []plan.Step{{
			Name: "install esbuild " + esbuild,
			Args: []string{"npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"},
			Env:  b.downloadEnv([]plan.Env{{Name: "HOME", Value: "/root"}, {Name: "PATH", Value: searchPath}, {Name: "npm_config_update_notifier", Value: "false"}}),
			Dir:  bundlerDir, Network: true,
			Mounts: append([]plan.Mount{
				{Kind: plan.MountOutput, Target: bundlerDir, From: plan.FromFiles, Files: []plan.File{
					{Path: "bundle.mjs", Mode: 0o644, Content: bundleProgram},
					{Path: "package-lock.json", Mode: 0o644, Content: encodeJSON(map[string]any{"lockfileVersion": 3, "packages": packages})},
					{Path: "package.json", Mode: 0o644, Content: encodeJSON(map[string]any{"private": true, "dependencies": wanted})},
				}},
				{Kind: plan.MountCache, Target: npmCache, CacheID: "birdhouse-node-npm"},
			}, b.registryMounts()...),
			Asked: "build.bundle",
			Hint:  "the bundler comes from the registry that npm is set to: NPM_CONFIG_REGISTRY, or the secret npmrc",
		}},
	}
}

// bundleSettings are what bundle.mjs reads.
type bundleSettings struct {
	// Entry is the program, Outfile the bundle; Format is esm or cjs, Target as
	// esbuild names versions of Node.
	Entry   string `json:"entry"`
	Outfile string `json:"outfile"`
	Format  string `json:"format"`
	Target  string `json:"target"`
	// Maps asks for a map of the source lines beside the bundle.
	Maps bool `json:"maps"`
	// Accepted are packages of which nothing is refused.
	Accepted []string `json:"accepted"`
	// Root is the folder that is App in the image.
	Root string `json:"root"`
	App  string `json:"app"`
	// Ships says that the image gets files beside the bundle.
	Ships bool `json:"ships"`
}

// bundled are the packages whose node_modules the bundler sees; none without a bundle.
func (b *builder) bundled() []*member {
	if b.spec.Build.Bundle == nil {
		return nil
	}
	members := []*member{b.top}
	for _, m := range b.shippedMembers() {
		if !slices.Contains(members, m) {
			members = append(members, m)
		}
	}
	return members
}

// bundle makes one file of the program and what it needs to run.
func (b *builder) bundle() plan.Stage {
	source := b.sources()
	file := path.Join(sourceDir, b.app.dir, b.start.file)
	dir := at(b.root)
	if b.script != "" {
		source = plan.Mount{Kind: plan.MountStage, Target: at(b.root), From: buildStage, Writable: true}
	}
	var modules []plan.Mount
	if b.installsProd() {
		for _, m := range b.bundled() {
			name := path.Join(m.dir, "node_modules")
			modules = append(modules, plan.Mount{Kind: plan.MountStage, Target: at(name), From: prodStage, Path: "/" + name, Large: true})
		}
	}
	settings := bundleSettings{
		Entry: file, Outfile: path.Join(outDir, b.app.rel, b.bundleFile()), Format: b.bundleFormat(), Target: "node" + strings.Split(b.runtime.version, ".")[0],
		Maps:     slices.Contains(b.start.flags, "--enable-source-maps"),
		Accepted: append([]string{}, b.spec.Build.Bundle.Packages...),
		Root:     at(b.root), App: app.Dir,
		Ships: len(b.spec.Build.Output)+len(b.spec.Copy) > 0,
	}
	args := []string{plan.StepsProgram, "exec"}
	args = append(args, b.bundledFiles()...)
	args = append(args, "--", "node", path.Join(bundlerDir, "bundle.mjs"), path.Join(bundlerDir, "package.json"), app.JSON(settings))
	return plan.Stage{
		Name: bundleStage,
		Base: plan.Base{Image: "node", Version: b.runtime.version, Variant: "build"},
		Steps: []plan.Step{{
			Name: "bundle " + b.start.file, Args: args, Env: b.offlineEnv(), Dir: dir,
			Mounts: slices.Concat([]plan.Mount{source}, modules, []plan.Mount{
				{Kind: plan.MountStage, Target: bundlerDir, From: bundlerStage},
				{Kind: plan.MountOutput, Target: outDir},
			}),
			Asked: "build.bundle",
			Hint:  "files that the program reads when it runs are not in the bundle: build.output or copy adds them",
		}},
	}
}

// bundledFiles are what the image gets beside the bundle: what build.output names.
func (b *builder) bundledFiles() []string {
	var args []string
	for _, name := range b.spec.Build.Output {
		if name == "" {
			continue
		}
		args = append(args, "--collect", app.JSON(exec.Collection{
			From: path.Join(at(b.app.dir), name), To: path.Join(outDir, b.app.rel, name), Root: at(b.root), Exclude: b.unshipped(),
		}))
	}
	return args
}
