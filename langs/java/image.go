package java

import (
	"fmt"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// image is the image's configuration. The arguments of the virtual machine are in a file, which
// the build writes: so the image starts alike whatever was built.
func (b *builder) image() plan.Image {
	image := app.Image(b.spec)
	if b.spec.WorkDir == "" {
		image.WorkingDir = app.Dir
	}
	if b.port != nil && !b.spec.Has("expose") && len(image.Expose) == 0 {
		image.Expose = []string{b.port.number + "/tcp"}
	}
	switch {
	case len(image.Entrypoint) == 0:
		image.Entrypoint = []string{b.java(), "@" + javaspec.ArgsFile}
	case image.Entrypoint[0] == "java":
		image.Entrypoint = append([]string{b.java()}, image.Entrypoint[1:]...)
	}
	return image
}

// smoke is the check of the finished image.
func (b *builder) smoke() (*plan.Smoke, spec.Problems) {
	if b.spec.Smoke != nil && b.port != nil && len(b.spec.Expose) == 0 {
		s := *b.spec
		s.Expose = []spec.Port{spec.Port(b.port.number + "/tcp")}
		return app.Smoke(&s)
	}
	return app.Smoke(b.spec)
}

// java is the program in the image.
func (b *builder) java() string { return path.Join(b.runtime.home(), "bin/java") }

// layerTexts say of the layers how often they change, and what they hold.
var layerTexts = map[string][2]string{
	javaspec.Dependencies: {"rarely", "libraries"},
	javaspec.Snapshots:    {"sometimes", "libraries whose versions are snapshots"},
	javaspec.Modules:      {"sometimes", "the project's other modules"},
	javaspec.Resources:    {"sometimes", "resources, and what Java is started with"},
	javaspec.Classes:      {"always", "classes"},
}

// layers are the image's own, from the least to the most likely to change.
func (b *builder) layers() []plan.Layer {
	var layers []plan.Layer
	if !b.spec.Build.JLink.Off {
		layers = append(layers, plan.Layer{
			Name: "runtime", Changes: "rarely", What: fmt.Sprintf("%s  Java %d, %s", b.runtime.home(), b.runtime.version, b.linked()),
			Copies: []plan.Copy{{Stage: runtimeStage, Source: "/", Target: "/"}},
		})
	}
	layers = append(layers, app.Assets(b.spec)...)
	for _, name := range b.outputs() {
		text := layerTexts[name]
		what := text[1]
		if name == javaspec.Classes && b.shape.what != "" && !b.shape.resources {
			what = b.shape.what
		}
		layers = append(layers, plan.Layer{
			Name: layerName(name), Changes: text[0], What: app.Dir + "  " + what,
			Copies: []plan.Copy{{Stage: buildStage, Output: name, Source: "/", Target: app.Dir}},
		})
	}
	if b.spec.Build.AOT {
		layers = append(layers, plan.Layer{
			Name: aotStage, Changes: "always", What: javaspec.AOT + "  what Java learnt of a start",
			Copies: []plan.Copy{{Stage: aotStage, Source: "/", Target: app.Dir}},
		})
	}
	return layers
}

// layerName is what people call a layer: the last one is the application in all languages.
func layerName(output string) string {
	if output == javaspec.Classes {
		return "application"
	}
	return output
}

// linked says what the linked runtime has.
func (b *builder) linked() string {
	if m := b.spec.Build.JLink.Modules; len(m) > 0 {
		return strings.Join(m, " ")
	}
	return "the modules that the program needs"
}

// facts are the decisions, in the order in which they are read.
func (b *builder) facts(image plan.Image) []plan.Fact {
	s := b.spec
	f := app.NewFacts(s)
	f.Add("version", fmt.Sprint(b.runtime.version), b.runtime.source)
	switch {
	case b.maven != nil:
		f.Add("tool", b.mavenTitle(), b.toolFrom())
		if len(b.maven.poms) > 1 {
			f.Add("modules", app.Count(len(b.maven.poms), "pom"), b.maven.top.file)
		}
		f.Add("package", b.maven.app.title(), b.maven.source)
		if needed := b.maven.needed(); len(needed) > 0 {
			var names []string
			for _, p := range needed {
				names = append(names, p.title())
			}
			f.Add("built with it", strings.Join(names, " "), "modules that it needs")
		}
		if len(s.Build.Profiles) > 0 {
			f.Add("profiles", strings.Join(s.Build.Profiles, " "), s.Where("build.profiles"))
		}
	case b.gradle != nil:
		f.Add("tool", "Gradle "+b.gradleTitle(), b.toolFrom())
		f.Add("package", b.gradle.app.title(), b.gradle.source)
		f.Add("task", b.gradle.app.taskPath(), b.gradle.app.taskSource)
	default:
		f.Add("package", b.archive, s.Where("package"))
	}
	if len(s.Build.Properties) > 0 {
		f.Add("properties", strings.Join(s.Build.Properties.Keys(), " "), s.Where("build.properties"))
	}
	if b.shape.what != "" && b.tool != "" {
		f.Add("shape", b.shape.what, "what the build files ask for; what is built decides")
	}
	switch configured := b.javaSpec().Configured; {
	case s.Build.Main != "":
		f.Add("main", string(s.Build.Main), s.Where("build.main"))
	case len(configured) > 0:
		f.Add("main", configured[0].Class, configured[0].Source)
	default:
		f.Add("main", "of what is built", "its manifest, or its only class with a main method")
	}
	if len(s.Build.Packages) > 0 {
		f.Add("build packages", strings.Join(b.base().Packages, " "), s.Where("build.packages"))
	}
	base := b.runBase()
	if s.Build.JLink.Off {
		f.Add("base", base.String(), s.Where("build.jlink"))
	} else {
		f.Add("base", base.String(), "what Java needs")
		f.Add("runtime", "jlink: "+b.linked(), f.Given("build.jlink", "the smallest that runs it"))
	}
	if len(base.Packages) > 0 {
		f.Add("packages", strings.Join(base.Packages, " "), s.Where("packages"))
	}
	if s.Build.AOT {
		f.Add("aot", "a cache made by one start of the program", s.Where("build.aot"))
	}
	switch {
	case s.Test != nil:
		f.Add("test", b.testName(), s.Where("test"))
	case b.tool != "":
		f.Add("test", "no", "add `test: true` to run the tests before the image")
	}
	f.Image(image, "Java, with the arguments that the build writes")
	return f.List
}

// testName is what runs the tests.
func (b *builder) testName() string {
	if c := b.spec.Test.Command; c != nil {
		return strings.Join(c, " ")
	}
	if b.gradle != nil {
		return "gradle test"
	}
	return "mvn test"
}

// mavenTitle is which Maven builds.
func (b *builder) mavenTitle() string {
	if b.wrapper != nil {
		return "Maven " + b.wrapper.version
	}
	return "Maven of the build image"
}

// gradleTitle is which Gradle builds.
func (b *builder) gradleTitle() string {
	if b.wrapper != nil {
		return b.wrapper.version
	}
	return ""
}

// toolFrom is where the tool and its version come from.
func (b *builder) toolFrom() string {
	if b.wrapper != nil {
		return b.wrapper.source
	}
	return b.toolSource
}
