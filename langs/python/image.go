package python

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// initPath is where the run images have their init.
const initPath = "/usr/bin/tini"

// workDir is the folder of the program in the image.
func (b *builder) workDir() string {
	if b.isPackage() {
		return app.Dir
	}
	return path.Join(app.Dir, b.app.rel)
}

// interpreter is the program that the image runs: the environment's, which finds its
// packages, or the base's where there is no environment.
func (b *builder) interpreter() string {
	if b.hasVenv() {
		return venvDir + "/bin/python"
	}
	return b.runtime.interpreter()
}

// image is the image's configuration.
func (b *builder) image() (plan.Image, spec.Problems) {
	s, image := b.spec, app.Image(b.spec)
	if s.WorkDir == "" {
		image.WorkingDir = b.workDir()
	}
	env := []plan.Env{{Name: "PYTHONUNBUFFERED", Value: "1"}, {Name: "PYTHONDONTWRITEBYTECODE", Value: "1"}}
	if b.hasVenv() {
		env = append([]plan.Env{{Name: "PATH", Value: venvDir + "/bin:" + searchPath}}, env...)
	}
	if !b.isPackage() {
		switch src := b.sourceRoot(); {
		case src != ".":
			env = append(env, plan.Env{Name: "PYTHONPATH", Value: path.Join(b.workDir(), src)})
		case s.WorkDir != "":
			env = append(env, plan.Env{Name: "PYTHONPATH", Value: b.workDir()})
		}
	}
	for _, e := range image.Env {
		if i := slices.IndexFunc(env, func(one plan.Env) bool { return one.Name == e.Name }); i >= 0 {
			env[i] = e
			continue
		}
		env = append(env, e)
	}
	image.Env = env

	var problems spec.Problems
	command := slices.Clone(image.Entrypoint)
	switch {
	case len(command) > 0:
		command, problems = b.resolveProgram(command, "entrypoint")
	case len(image.Cmd) > 0 && b.program(image.Cmd[0]):
		// The program is a part of cmd: docker run replaces it.
		image.Cmd, problems = b.resolveProgram(image.Cmd, "cmd")
	default:
		args := slices.Clone(b.entry.args)
		if b.entry.file != "" && s.WorkDir != "" {
			args[0] = path.Join(b.workDir(), args[0])
		}
		command = append([]string{b.interpreter()}, args...)
		if b.entry.serves && len(image.Expose) == 0 {
			image.Expose = []string{"8080/tcp"}
		}
	}
	if s.Init.Or(true) {
		command = append([]string{initPath, "--"}, command...)
	}
	image.Entrypoint = command
	return image, problems
}

// resolveProgram writes the interpreter out in full, and reports a file that nothing puts
// into the image, and servers for development.
func (b *builder) resolveProgram(words []string, key string) ([]string, spec.Problems) {
	words = slices.Clone(words)
	if dev := developmentCommand(words); dev != "" {
		return nil, spec.Problems{b.spec.Problem(key, fmt.Sprintf("%s: %s is for development: it is slow, serves one request at a time or shows its source to whoever asks", key, dev), "name a server for production, such as gunicorn or uvicorn")}
	}
	if !pythonWord.MatchString(words[0]) {
		return words, nil
	}
	words[0] = b.interpreter()
	if len(words) < 2 || strings.HasPrefix(words[1], "-") || b.spec.WorkDir != "" || len(b.spec.Build.Run) > 0 {
		return words, nil
	}
	name := strings.TrimPrefix(words[1], b.workDir()+"/")
	full := path.Join(b.workDir(), name)
	if path.IsAbs(name) || app.Copied(b.spec, full) || !strings.HasSuffix(name, ".py") {
		return words, nil
	}
	if b.isPackage() && len(b.spec.Build.Output) == 0 {
		return nil, spec.Problems{b.spec.Problem(key, fmt.Sprintf("%s: the image will not have %s: the project is installed as a package, and its files are not beside it", key, full), "start it by its module or script, or copy the file: copy: ["+name+":"+full+"], or write build: {install: false}")}
	}
	b.entry.file = name
	if strings.Count(name, "/") < walkDepth && !b.files.IsFile(path.Join(b.app.dir, name)) {
		return nil, spec.Problems{b.spec.Problem(key, fmt.Sprintf("%s: the image will not have %s: there is no %s", key, full, path.Join(b.app.dir, name)), "name a file of the project, and check that .dockerignore does not exclude it")}
	}
	return words, nil
}

// developmentCommand is the part of a command that starts a server for development, "" for
// none.
func developmentCommand(words []string) string {
	text := " " + strings.Join(words, " ") + " "
	for _, dev := range []string{" manage.py runserver", " fastapi dev", " --reload ", " --debug-server ", " livereload "} {
		if strings.Contains(text, dev) {
			return strings.TrimSpace(dev)
		}
	}
	// Options may stand before the command: flask --app birds run.
	for _, name := range []string{"flask", "quart"} {
		if at := slices.IndexFunc(words, func(w string) bool { return path.Base(w) == name }); at >= 0 && slices.Contains(words[at:], "run") {
			return name + " run"
		}
	}
	return ""
}

// smoke is the check of the finished image.
func (b *builder) smoke(image plan.Image) (*plan.Smoke, spec.Problems) {
	if b.spec.Smoke != nil && len(b.spec.Expose) == 0 && b.entry.serves {
		s := *b.spec
		s.Expose = []spec.Port{"8080/tcp"}
		return app.Smoke(&s)
	}
	return app.Smoke(b.spec)
}

// facts are the decisions, in the order in which they are read.
func (b *builder) facts(image plan.Image) []plan.Fact {
	s := b.spec
	f := app.NewFacts(s)
	f.Add("version", b.runtime.version, b.runtime.source)
	if len(b.members) > 0 {
		f.Add("workspace", app.Count(len(b.members), "member"), b.top.where(b.top.root.Get("tool", "uv", "workspace")))
		f.Add("package", b.app.title(), b.appSource)
	} else if m := b.app.pyproject; m != nil && m.name != "" {
		f.Add("package", m.name, m.file)
	}
	switch {
	case !b.installs():
		f.Add("dependencies", "none", "nothing to install")
	case b.tool.name == unlocked:
		f.Add("dependencies", b.tool.file, "not locked: the newest versions that fit")
	case b.deps.count > 0:
		f.Add("dependencies", app.Count(b.deps.count, "package"), b.tool.source)
	default:
		f.Add("dependencies", strings.Join(slices.Sorted(maps.Keys(b.deps.direct)), " "), b.tool.source)
	}
	if len(b.deps.large) > 0 {
		var names []string
		for _, l := range b.deps.large {
			names = append(names, l.name)
		}
		f.Add("large", strings.Join(names, " "), "layers of their own")
	}
	if len(s.Build.Groups) > 0 {
		f.Add("groups", strings.Join(s.Build.Groups, " "), s.Where("build.groups"))
	}
	if len(s.Build.Extras) > 0 {
		f.Add("extras", strings.Join(s.Build.Extras, " "), s.Where("build.extras"))
	}
	if len(s.Build.SDist) > 0 {
		f.Add("compiled", strings.Join(s.Build.SDist, " "), s.Where("build.sdist"))
	}
	if len(b.own) > 0 {
		f.Add("packages of the project", listOwn(b.own), f.Given("build.install", "installed as wheels"))
	}
	for i, command := range s.Build.Run {
		f.Add("run", runName(command), s.Where(fmt.Sprintf("build.run[%d]", i)))
	}
	if len(s.Build.Output) > 0 {
		f.Add("output", strings.Join(s.Build.Output, " "), s.Where("build.output"))
	}
	if len(s.Build.Packages) > 0 {
		f.Add("build packages", strings.Join(b.base().Packages, " "), s.Where("build.packages"))
	}
	base := b.runBase()
	f.Add("base", base.String(), "Python, and the libraries that it needs")
	if len(base.Packages) > 0 {
		f.Add("packages", strings.Join(base.Packages, " "), s.Where("packages"))
	}
	switch {
	case s.Test != nil:
		f.Add("test", strings.Join(b.testCommand(), " "), s.Where("test"))
	case b.testRunner() != "":
		f.Add("test", "no", "add `test: true` to run "+b.testRunner()+" before the image")
	default:
		f.Add("test", "no", "there are no tests")
	}
	source := b.entry.source
	if b.ownStart() && !s.Has("entrypoint") {
		source = s.Where("cmd")
	}
	f.Image(image, source)
	return f.List
}
