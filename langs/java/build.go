package java

import (
	"path"
	"slices"
	"strconv"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/exec"
	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// The stages' names, which --target and progress show.
const (
	mavenStage   = "maven"
	depsStage    = "deps"
	testStage    = "test"
	buildStage   = "build"
	runtimeStage = "runtime"
	aotStage     = "aot"
)

// Where things lie in the build containers.
const (
	sourceDir = "/src"
	outDir    = "/out"
	specDir   = "/spec"
	specFile  = "java.json"
	linkDir   = "/link"
	// cacheDir is what builds of a project keep for the next one that is no download.
	cacheDir = "/root/.cache/birdhouse"
)

// The catalog's variants of Java's image.
const (
	// linkedVariant has what a runtime that is linked for a program stands on.
	linkedVariant = "base"
	// wholeVariant has the whole runtime.
	wholeVariant = "jre"
	buildVariant = "build"
	// fullVariant has what runtimes are linked of as well.
	fullVariant = "build-full"
)

// firstAOT is the version of Java from which on one command makes what `build.aot` keeps.
const firstAOT = 25

// builder makes the plan out of the decisions.
type builder struct {
	*project
	runtime runtime
	// wrapper is the tool's version that the project brings, nil for the image's own.
	wrapper *wrapper
	shape   shape
	// port is the one that the program listens on unless told otherwise, nil where that is
	// not known.
	port *port
}

// shape is what the plan expects of what is built: the step that lays the program out looks
// for itself, and what it finds in spite of this goes into the next layer.
type shape struct {
	// what is for people: "a Spring Boot jar", "" where only the result tells.
	what string
	// libraries, snapshots, modules and resources are the layers that there may be
	// something for.
	libraries, snapshots, modules, resources bool
	// classPath says that the libraries are known from the build tool alone.
	classPath bool
}

// catalogImage is an image of Java in the catalog.
func (b *builder) catalogImage(variant string) plan.Base {
	return plan.Base{Image: "java", Version: strconv.Itoa(b.runtime.version), Variant: variant}
}

// base is the base of the stages that build.
func (b *builder) base() plan.Base {
	return app.WithPackages(b.catalogImage(buildVariant), b.spec.Build.Packages, "build.packages")
}

// runBase is what the image stands on.
func (b *builder) runBase() plan.Base {
	variant := linkedVariant
	if b.spec.Build.JLink.Off {
		variant = wholeVariant
	}
	return app.WithPackages(b.catalogImage(variant), b.spec.Packages, "packages")
}

// at is a folder of the project in the build containers.
func at(dir string) string { return path.Join(sourceDir, dir) }

// cache is what makes the project's next build faster. Other projects have others: the
// builds of one do not trust what those of another left there.
func (b *builder) cache() plan.Mount {
	name := b.archive
	switch {
	case b.maven != nil:
		name = b.maven.top.title()
	case b.gradle != nil:
		name = b.gradle.modules[0].name
	}
	id := "birdhouse-java-build-"
	if b.private() {
		id += "private-"
	}
	return plan.Mount{Kind: plan.MountCache, Target: cacheDir, CacheID: id + name, Locked: true}
}

// withDeps are the mounts of a stage that has the project and what the stage deps downloaded,
// beside the tool's own.
func (b *builder) withDeps(tool []plan.Mount) []plan.Mount {
	return append([]plan.Mount{b.sources(), {Kind: plan.MountStage, Target: depsDir, From: depsStage, Large: true}}, tool...)
}

// tests is the stage that runs tests before the image is made.
func (b *builder) tests(step plan.Step) plan.Stage {
	step.Network = true
	step.Mounts = append(step.Mounts, plan.Mount{Kind: plan.MountOutput, Target: outDir})
	step.Asked, step.Hint = "test", "the image is built when the tests pass; they run as root"
	return plan.Stage{Name: testStage, Base: b.base(), Gate: true, Steps: []plan.Step{step}}
}

func (b *builder) stages() []plan.Stage {
	var stages []plan.Stage
	switch {
	case b.maven != nil:
		if b.wrapper != nil {
			stages = append(stages, b.fetchMaven())
		}
		stages = append(stages, b.mavenDeps())
		if b.spec.Test != nil {
			stages = append(stages, b.mavenTest())
		}
		stages = append(stages, b.mavenBuild())
	case b.gradle != nil:
		stages = append(stages, b.gradleDeps())
		if b.spec.Test != nil {
			stages = append(stages, b.gradleTest())
		}
		stages = append(stages, b.gradleBuild())
	default:
		stages = append(stages, b.layOut(plan.Step{
			Name: "look at " + b.archive, Dir: "/",
			Mounts: []plan.Mount{{Kind: plan.MountSource, Target: sourceDir, Include: []string{app.EscapePattern(b.archive)}}},
			Asked:  "package",
		}, nil))
	}
	if !b.spec.Build.JLink.Off {
		stages = append(stages, b.link())
	}
	if b.spec.Build.AOT {
		stages = append(stages, b.train())
	}
	return stages
}

// outputs are the layers that the step makes, each an output of the stage.
func (b *builder) outputs() []string {
	var names []string
	for _, one := range []struct {
		name string
		on   bool
	}{
		{javaspec.Dependencies, b.shape.libraries}, {javaspec.Snapshots, b.shape.snapshots}, {javaspec.Modules, b.shape.modules},
		{javaspec.Resources, b.shape.resources && !b.spec.Build.AOT}, {javaspec.Classes, true},
	} {
		if one.on {
			names = append(names, one.name)
		}
	}
	return names
}

// javaSpec is what the step that lays the program out is told.
func (b *builder) javaSpec() javaspec.Spec {
	s := javaspec.Spec{
		Java: b.runtime.version, Home: b.runtime.home(), Project: sourceDir,
		Main: string(b.spec.Build.Main), Layers: b.outputs(),
		Cache: cacheDir, Link: !b.spec.Build.JLink.Off, LinkModules: b.spec.Build.JLink.Modules, AOT: b.spec.Build.AOT,
	}
	switch {
	case b.maven != nil:
		r := b.maven
		s.Project, s.Built = at(r.top.dir), at(path.Join(r.app.dir, "target"))
		if name, ok := r.app.expand(r.app.finalName()); ok {
			s.Name = name
		}
		if b.shape.classPath {
			s.ClassPath = path.Join(classPathDir, classPathName)
		}
		s.Configured = r.app.mains()
	case b.gradle != nil:
		s.Project, s.Built, s.Name = at(b.gradle.root), at(path.Join(b.gradle.app.dir, "build")), b.gradle.app.name
		s.Configured = b.gradle.app.mains()
		if b.gradle.app.task == "installDist" {
			s.File = path.Join(s.Built, "install", b.gradle.app.name)
		}
	default:
		s.File = at(b.archive)
	}
	return s
}

// layOut makes the build stage of a step: the commands run one after the other, and what they
// made becomes the layers.
func (b *builder) layOut(step plan.Step, commands [][]string) plan.Stage {
	step.Args = []string{plan.StepsProgram, "exec"}
	for _, c := range commands {
		step.Args = append(step.Args, "--before", app.JSON(exec.Command{Args: c}))
	}
	step.Args = append(step.Args, "--", plan.StepsProgram, "java", path.Join(specDir, specFile), outDir)
	files := []plan.File{{Path: specFile, Mode: 0o644, Content: app.JSON(b.javaSpec()) + "\n"}}
	i := slices.IndexFunc(step.Mounts, func(m plan.Mount) bool { return m.Kind == plan.MountFiles && m.Target == specDir })
	if i < 0 {
		i = len(step.Mounts)
		step.Mounts = append(step.Mounts, plan.Mount{Kind: plan.MountFiles, Target: specDir})
	}
	step.Mounts[i].Files = append(step.Mounts[i].Files, files...)
	if !slices.ContainsFunc(step.Mounts, func(m plan.Mount) bool { return m.Target == cacheDir }) {
		step.Mounts = append(step.Mounts, b.cache())
	}
	outputs := b.outputs()
	if !b.spec.Build.JLink.Off {
		outputs = append(outputs, javaspec.Link)
	}
	for _, name := range outputs {
		step.Mounts = append(step.Mounts, plan.Mount{Kind: plan.MountOutput, Target: path.Join(outDir, name), Output: name})
	}
	return plan.Stage{Name: buildStage, Base: b.base(), Steps: []plan.Step{step}}
}

// link makes a runtime of the modules that the program needs, for the image's
// architecture.
func (b *builder) link() plan.Stage {
	base := b.catalogImage(fullVariant)
	base.Cross = "jmods-"
	asked := "language"
	if b.spec.Has("build.jlink") {
		asked = "build.jlink"
	}
	home := b.runtime.home()
	return plan.Stage{
		Name: runtimeStage, Base: base, PerPlatform: true,
		Steps: []plan.Step{{
			Name: "jlink",
			Args: []string{plan.StepsProgram, "jlink", "--home", home, "--of", home + "-openjdk-" + plan.TargetArch, "--args", path.Join(linkDir, javaspec.LinkArgs), outDir},
			Dir:  "/",
			Mounts: []plan.Mount{
				{Kind: plan.MountStage, Target: linkDir, From: buildStage, Output: javaspec.Link},
				{Kind: plan.MountOutput, Target: outDir},
			},
			Asked: asked,
			Hint:  "build: {jlink: false} takes the whole runtime in place of one that is linked",
		}},
	}
}

// train starts the finished program once, and keeps what Java learnt of it.
func (b *builder) train() plan.Stage {
	return plan.Stage{
		Name: aotStage, PerPlatform: true, Assembled: true,
		Native: "build.aot starts the program in the build",
		Steps: []plan.Step{{
			Name:   "train",
			Args:   append([]string{plan.StepsProgram, "aot", outDir}, b.spec.Cmd...),
			Dir:    app.Dir,
			Mounts: []plan.Mount{{Kind: plan.MountOutput, Target: outDir}},
			Asked:  "build.aot",
			Hint:   "the program is started once in the build, without network but loopback; where it cannot start there, write build: {aot: false}",
		}},
	}
}

// reservedEnv are variables that the plan decides, with the key to use instead.
var reservedEnv = map[string]string{
	"HOME": "", "JAVA_HOME": "write version", "MAVEN_OPTS": "", "MAVEN_ARGS": "write build: {properties: {…}} or build: {profiles: […]}", "GRADLE_USER_HOME": "",
	"GRADLE_OPTS": "",
}

// env is a step's environment, with what the descriptor adds to that of the build.
func (b *builder) env(env []plan.Env) []plan.Env {
	return app.AppendEnv(env, app.BuildEnv(b.spec))
}

// toolSecrets are secrets that the tools find by themselves where they are mounted.
var toolSecrets = []string{settingsSecret, gradleSecret}

// secretMounts are the settings of the tool, and the descriptor's other secrets.
func (b *builder) secretMounts() []plan.Mount {
	id, target := settingsSecret, "/root/.m2/settings.xml"
	if b.gradle != nil {
		id, target = gradleSecret, gradleHome+"/gradle.properties"
	}
	settings := plan.Mount{Kind: plan.MountSecret, Target: target, SecretID: id, Optional: true}
	for _, s := range b.spec.Secrets {
		if app.BareSecret(s, id) {
			settings.Optional = s.Optional
		}
	}
	mounts := append([]plan.Mount{settings}, app.SecretMounts(b.spec, toolSecret)...)
	return append(mounts, app.SSHMounts(b.spec)...)
}

// toolSecret says whether a secret is a tool's.
func toolSecret(s spec.Secret) bool {
	return slices.ContainsFunc(toolSecrets, func(id string) bool { return app.BareSecret(s, id) })
}

// private says whether the descriptor prepares for packages that not everybody may have.
func (b *builder) private() bool {
	return b.spec.SSH != "" || slices.ContainsFunc(b.spec.Secrets, toolSecret)
}

// The ids of the secrets with credentials and settings of the tools.
const (
	settingsSecret = "settings.xml"
	gradleSecret   = "gradle.properties"
)
