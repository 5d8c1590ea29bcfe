package node

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Where the run images have their programs.
const (
	nodePath = "/usr/local/bin/node"
	initPath = "/usr/bin/tini"
)

// workDir is the folder of the program in the image, which is that of npm start.
func (b *builder) workDir() string { return path.Join(app.Dir, b.app.rel) }

// image is the image's configuration.
func (b *builder) image() (plan.Image, spec.Problems) {
	s, image := b.spec, app.Image(b.spec)
	if b.site != nil {
		return b.siteImage(image)
	}
	var problems spec.Problems
	if s.WorkDir == "" {
		image.WorkingDir = b.workDir()
	}
	env := []plan.Env{{Name: "NODE_ENV", Value: "production"}}
	set := func(e plan.Env) {
		if i := slices.IndexFunc(env, func(one plan.Env) bool { return one.Name == e.Name }); i >= 0 {
			env[i] = e
			return
		}
		env = append(env, e)
	}
	for _, e := range b.framework.env {
		set(e)
	}
	for _, e := range b.start.env {
		set(e)
	}
	for _, e := range image.Env {
		set(e)
	}
	image.Env = env

	command := slices.Clone(image.Entrypoint)
	switch {
	case len(command) > 0:
		if nodeProgram(command[0]) {
			command = b.nodeArgs(command[1:])
		}
		problems = append(problems, b.checkEntrypoint(command)...)
	case len(image.Cmd) > 0 && nodeProgram(image.Cmd[0]):
		// The program is a part of cmd: docker run replaces it.
		problems = append(problems, b.checkEntrypoint(image.Cmd)...)
		image.Cmd = b.nodeArgs(image.Cmd[1:])
	default:
		file := b.start.file
		if s.Build.Bundle != nil {
			file = b.bundleFile()
		}
		if s.WorkDir != "" {
			file = path.Join(b.workDir(), file)
		}
		command = b.nodeArgs(append(slices.Clone(b.start.flags), file))
		if image.Cmd == nil && len(b.start.args) > 0 {
			image.Cmd = b.start.args
		}
	}
	if s.Init.Or(true) {
		command = append([]string{initPath, "--"}, command...)
	}
	image.Entrypoint = command
	return image, problems
}

// nodeArgs is Node with arguments, which yarn's way without node_modules adds to.
func (b *builder) nodeArgs(args []string) []string {
	command := []string{nodePath}
	if b.pnp() && len(b.prod) > 0 && b.spec.Build.Bundle == nil {
		command = append(command, "-r", path.Join(app.Dir, ".pnp.cjs"))
		if b.esmLoader() {
			command = append(command, "--experimental-loader", path.Join(app.Dir, ".pnp.loader.mjs"))
		}
	}
	return append(command, args...)
}

// checkEntrypoint reports a file that nothing puts into the image.
func (b *builder) checkEntrypoint(command []string) spec.Problems {
	key := "entrypoint"
	if len(b.spec.Entrypoint) == 0 {
		key = "cmd"
	}
	for _, word := range command[1:] {
		if strings.HasPrefix(word, "-") || !slices.Contains(codeEndings, path.Ext(word)) {
			continue
		}
		name, ok := strings.CutPrefix(word, b.workDir()+"/")
		if path.IsAbs(word) && !ok || b.spec.WorkDir != "" || b.script != "" || app.Copied(b.spec, path.Join(b.workDir(), name)) {
			return nil
		}
		name = path.Clean(name)
		if seen(name) && !strings.HasPrefix(name, "node_modules/") && !strings.HasPrefix(name, "../") && !b.files.IsFile(path.Join(b.app.dir, name)) {
			return spec.Problems{b.spec.Problem(key, fmt.Sprintf("%s: the image will not have %s: there is no %s", key, path.Join(b.workDir(), name), path.Join(b.app.dir, name)),
				"name a file of the project, and check that .dockerignore does not exclude it")}
		}
		if typescript(name) && !b.runtime.strips() {
			return b.checkTypeScript(start{file: name, source: b.spec.Where(key)}, b.runtime)
		}
		return nil
	}
	return nil
}

// smoke is the check of the finished image.
func (b *builder) smoke() (*plan.Smoke, spec.Problems) {
	if b.site != nil && b.spec.Smoke != nil && len(b.spec.Expose) == 0 {
		s := *b.spec
		s.Expose = []spec.Port{sitePort}
		return app.Smoke(&s)
	}
	return app.Smoke(b.spec)
}

// reservedEnv are variables that the plan decides, with the key to use instead.
var reservedEnv = map[string]string{
	"HOME":                       "",
	"PATH":                       "",
	"npm_config_update_notifier": "",
	"npm_config_cache":           "",
	"npm_config_omit":            "dependencies for the build and for the image are installed apart",
	"npm_config_include":         "dependencies for the build and for the image are installed apart",
	"YARN_ENABLE_GLOBAL_CACHE":   "",
	"YARN_GLOBAL_FOLDER":         "",
}

// facts are the decisions, in the order in which they are read.
func (b *builder) facts(image plan.Image) []plan.Fact {
	s := b.spec
	f := app.NewFacts(s)
	f.Add("version", b.runtime.version, b.runtime.source)
	if len(b.members) > 0 {
		f.Add("workspace", app.Count(len(b.members), "package"), b.workspaceFile())
		f.Add("package", b.app.title(), b.appSource)
		if len(b.libs) > 0 {
			f.Add("with", listTitles(b.libs), "packages of the workspace that it needs")
		}
	} else if b.app.manifest != nil && b.app.name != "" {
		f.Add("package", b.app.name, b.app.where("name"))
	}
	if b.app.manifest != nil {
		f.Add("tool", b.tool.String(), b.tool.source)
	}
	if b.framework.name != "" {
		f.Add("framework", b.framework.name, b.framework.source)
	}
	switch {
	case len(b.prod) > 0:
		f.Add("dependencies", app.Count(len(b.prod), "package"), "installed again when "+path.Base(b.tool.lockFile)+" or the dependencies of package.json change")
	case len(b.all) > 0 && b.installsAll():
		f.Add("dependencies", "none in the image", app.Count(len(b.all), "package")+" for the build")
	default:
		f.Add("dependencies", "none", "nothing to install")
	}
	if len(b.native) > 0 {
		var names []string
		for _, lk := range b.native {
			names = append(names, lk.name)
		}
		f.Add("addons", strings.Join(slices.Compact(names), " "), "compiled if there is no prebuilt one, against the libraries of "+b.runBase().String())
	}
	switch {
	case b.script != "":
		f.Add("build", b.app.scripts[b.script], f.Given("build.script", b.app.where("scripts", b.script)))
	case s.Build.Script == "false":
		f.Add("build", "no", s.Where("build.script"))
	default:
		f.Add("build", "no", "there is no script \"build\"")
	}
	if len(s.Build.Output) > 0 {
		f.Add("output", strings.Join(s.Build.Output, " "), s.Where("build.output"))
	} else if len(b.framework.output) > 0 {
		f.Add("output", strings.Join(b.framework.output, " "), "what "+b.framework.name+" builds")
	}
	if b.site != nil {
		f.Add("static", b.site.dir, b.site.source)
		if b.site.fallback != "" {
			f.Add("fallback", b.site.fallback, b.site.fallbackSource)
		}
	}
	if s.Build.Bundle != nil {
		f.Add("bundle", b.bundleFile(), s.Where("build.bundle"))
	}
	if len(s.Build.Packages) > 0 {
		f.Add("build packages", strings.Join(b.base().Packages, " "), s.Where("build.packages"))
	}
	base := b.runBase()
	if b.site != nil {
		f.Add("base", base.String(), "a site needs no Node")
	} else {
		f.Add("base", base.String(), "Node, and the libraries that it needs")
	}
	if len(base.Packages) > 0 {
		f.Add("packages", strings.Join(base.Packages, " "), s.Where("packages"))
	}
	switch {
	case s.Test != nil && s.Test.Command != nil:
		f.Add("test", strings.Join(s.Test.Command, " "), s.Where("test"))
	case s.Test != nil:
		f.Add("test", b.app.scripts["test"], s.Where("test"))
	case b.app.manifest != nil && b.app.scripts["test"] != "" && !strings.Contains(b.app.scripts["test"], "no test specified"):
		f.Add("test", "no", "add `test: true` to run "+b.app.scripts["test"]+" before the image")
	default:
		f.Add("test", "no", "there is no script \"test\"")
	}
	source := b.start.source
	if b.site != nil {
		source = "the server of " + base.String()
	} else if b.ownStart() && !s.Has("entrypoint") {
		source = s.Where("cmd")
	}
	f.Image(image, source)
	return f.List
}

func (b *builder) workspaceFile() string {
	if name := path.Join(b.root, "pnpm-workspace.yaml"); b.files.Exists(name) && len(b.pnpm.Packages) > 0 {
		return name
	}
	return b.top.where("workspaces")
}
