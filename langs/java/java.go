// Package java plans images for Java programs and those of its relatives: Maven and
// Gradle, single and multi-module, Spring Boot, Quarkus, plain jars with their
// libraries, and jars that are there already.
package java

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Language is Java. It implements langs.Language.
type Language struct{}

// Name returns "java".
func (Language) Name() string { return "java" }

// Files returns patterns of the poms and build files, the settings of Maven, Gradle and
// their wrappers, the files of version managers, and the archive that `package` names.
func (Language) Files(s *spec.Spec) []string {
	patterns := []string{
		"**/pom.xml", "**/.mvn/**", "**/settings.xml",
		"**/*.gradle", "**/*.gradle.kts", "**/gradle.properties", "**/gradle/*.toml", "**/gradle/wrapper/*", "**/gradlew",
		"**/src/main/resources/application.properties", "**/src/main/resources/application.yml", "**/src/main/resources/application.yaml",
		"**/.java-version", "**/.sdkmanrc", "**/.tool-versions", "**/mise.toml", "**/.mise.toml",
		"!**/target", "!**/.gradle", "!**/.git", "!**/node_modules",
	}
	// Modules may name their poms as they like.
	patterns = append(patterns, app.ProjectPattern(s)+"*.xml")
	for _, name := range s.Package {
		if file, ok := app.InContext(app.ProjectDir(s), name); ok && isArchive(name) {
			patterns = append(patterns, app.EscapePattern(file))
		}
	}
	return patterns
}

// isArchive says whether `package` names a program that is there already.
func isArchive(name string) bool {
	ext := path.Ext(name)
	return ext == ".jar" || ext == ".war"
}

// Plan decides how the project is built; see langs.Language.
func (Language) Plan(s *spec.Spec, files fs.FS, versions []string) (*plan.Plan, spec.Problems) {
	p, problems := load(s, files)
	if p == nil {
		return nil, problems
	}
	problems = append(problems, p.checkSettings()...)
	b := &builder{project: p}
	var found spec.Problems
	b.runtime, found = p.chooseVersion(versions)
	problems = append(problems, found...)
	b.wrapper, found = p.readWrapper()
	problems = append(problems, found...)
	if problems.HasErrors() {
		return nil, problems
	}
	b.shape = p.shape()
	problems = append(problems, b.check()...)
	problems = append(problems, app.Reserved(s, reservedEnv)...)
	b.port = p.findPort()
	image := b.image()
	smoke, found := b.smoke()
	problems = append(problems, found...)
	if problems.HasErrors() {
		return nil, problems
	}
	return &plan.Plan{
		Language: s.Language,
		Facts:    b.facts(image),
		Stages:   b.stages(),
		Run:      b.runBase(),
		Layers:   b.layers(),
		Image:    image,
		Smoke:    smoke,
	}, problems
}

// shape is what the build files let one expect of what is built.
func (p *project) shape() shape {
	switch {
	case p.maven != nil:
		return p.maven.shape()
	case p.gradle != nil:
		return p.gradle.shape()
	}
	return shape{what: "ready-made"}
}

// check reports keys that do not go together, or with the project.
func (b *builder) check() spec.Problems {
	var problems spec.Problems
	s := b.spec
	if s.Build.AOT && b.runtime.version < firstAOT {
		problems = append(problems, s.Problem("build.aot", fmt.Sprintf("build.aot needs Java %d, and the image has %d (%s)", firstAOT, b.runtime.version, b.runtime.source), fmt.Sprintf("write version: %d, or remove build.aot", firstAOT)))
	}
	if s.Build.AOT && len(s.Entrypoint) > 0 {
		problems = append(problems, s.Problem("build.aot", "build.aot: what is learnt is of the start that the build writes, and entrypoint is another one", "remove entrypoint, or build.aot"))
	}
	if m := string(s.Build.Main); m != "" && !className(m) {
		problems = append(problems, s.Problem("build.main", fmt.Sprintf("build.main: %q is not the full name of a class", m), "write it with its package: com.example.Main"))
	}
	if b.maven == nil && len(s.Build.Profiles) > 0 {
		problems = append(problems, s.Problem("build.profiles", "build.profiles: only Maven has profiles", "remove the key"))
	}
	if b.tool == "" {
		for _, key := range []string{"test", "build.properties", "build.packages"} {
			if s.Has(key) && !(key == "test" && s.Test == nil) {
				problems = append(problems, s.Problem(key, fmt.Sprintf("%s: nothing is built, as package names a file", key), "remove the key, or name a module"))
			}
		}
	}
	for _, m := range s.Build.JLink.Modules {
		if strings.ContainsAny(m, ",/") || !className(m) {
			problems = append(problems, s.Problem("build.jlink", fmt.Sprintf("build.jlink: %q is not the name of a module", m), "write modules as in: jlink: [java.base, java.sql]"))
		}
	}
	return problems
}
