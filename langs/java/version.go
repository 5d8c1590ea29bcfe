package java

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// runtime is the version of Java.
type runtime struct {
	// version is one of the catalog's: 21.
	version int
	// source is where it came from, for people.
	source string
}

// home is where all images with Java have it.
func (r runtime) home() string { return fmt.Sprintf("/usr/lib/jvm/java-%d", r.version) }

// versionFiles are those that version managers of Java read: jenv's, SDKMAN's, asdf's and
// mise's.
var versionFiles = []app.VersionFile{
	{Name: ".java-version", Line: app.WholeLine},
	{Name: ".sdkmanrc", Line: sdkmanLine},
	{Name: ".tool-versions", Line: app.ToolLine("java")},
	{Name: "mise.toml", Line: miseTool}, {Name: ".mise.toml", Line: miseTool},
}

// sdkmanLine reads java=21.0.8-tem.
func sdkmanLine(line string) string {
	key, value, ok := strings.Cut(app.WholeLine(line), "=")
	if !ok || strings.TrimSpace(key) != "java" {
		return ""
	}
	return strings.TrimSpace(value)
}

var miseLine = regexp.MustCompile(`^\s*"?java"?\s*=\s*\[?\s*["']([^"']+)["']`)

// miseTool reads `java = "temurin-21"` of mise.toml.
func miseTool(line string) string {
	if m := miseLine.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}

// release is the number of a version as people write it: 21, 21.0.8, 21.0.8-tem,
// temurin-21.0.8+9, openjdk64-17, 1.8.
var release = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z0-9]*(?:[-_][A-Za-z][A-Za-z0-9]*)*[-@])?(?:1\.)?([0-9]{1,2})(?:[.+_-][0-9A-Za-z.+_-]*)?$`)

// feature is the number that a version of Java begins with, 0 for what is none.
func feature(text string) int {
	m := release.FindStringSubmatch(strings.TrimSpace(text))
	if m == nil {
		return 0
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		return 0
	}
	return n
}

// chooseVersion decides the version: the one that the descriptor says, or the lowest in
// the catalog that fits what the files of version managers, or else the build files, ask for.
func (p *project) chooseVersion(catalog []string) (runtime, spec.Problems) {
	var versions []int
	for _, v := range catalog {
		if n, err := strconv.Atoi(v); err == nil {
			versions = append(versions, n)
		}
	}
	slices.Sort(versions)
	if len(versions) == 0 {
		return runtime{}, spec.Problems{p.spec.Problem("version", "the catalog has no Java", "")}
	}
	there := "there are " + strings.Join(catalog, ", ")
	dir := p.dir
	if p.maven != nil {
		dir = p.maven.app.dir
	}
	ask, problems := app.AskedVersion(p.spec, p.files, dir, versionFiles)
	if problems.HasErrors() {
		return runtime{}, problems
	}
	compiled, problems := p.compiledFor()
	if problems.HasErrors() {
		return runtime{}, problems
	}
	if ask == nil {
		ask = compiled
	}
	if ask == nil {
		newest := versions[len(versions)-1]
		return runtime{newest, "the newest in the catalog"}, nil
	}
	wanted := feature(ask.Text)
	if wanted == 0 {
		return runtime{}, spec.Problems{ask.Problem(fmt.Sprintf("%q is not a version of Java", ask.Text), there)}
	}
	if p.spec.Version != "" {
		if !slices.Contains(versions, wanted) {
			return runtime{}, spec.Problems{ask.Problem(fmt.Sprintf("Java %d is not in the catalog", wanted), there)}
		}
		if compiled != nil && feature(compiled.Text) > wanted {
			return runtime{}, spec.Problems{ask.Problem(fmt.Sprintf("Java %d does not run the program: it is compiled for Java %s (%s)", wanted, compiled.Text, compiled.Source), fmt.Sprintf("write a version from %s on, or compile for an older one", compiled.Text))}
		}
		return runtime{wanted, ask.Source}, nil
	}
	if compiled != nil {
		if n := feature(compiled.Text); n > wanted {
			return runtime{}, spec.Problems{ask.Problem(fmt.Sprintf("Java %d does not run the program: it is compiled for Java %s (%s)", wanted, compiled.Text, compiled.Source), "let the two say the same")}
		}
	}
	for _, v := range versions {
		if v < wanted {
			continue
		}
		source := ask.Source
		if v != wanted {
			source = fmt.Sprintf("%s says %s; the lowest in the catalog that fits", ask.Source, ask.Text)
		}
		return runtime{v, source}, nil
	}
	return runtime{}, spec.Problems{ask.Problem(fmt.Sprintf("Java %d is not in the catalog", wanted), there)}
}

// compiledFor is the version that the build files compile for, nil where they do not say.
func (p *project) compiledFor() (*app.Asked, spec.Problems) {
	switch {
	case p.maven != nil:
		return p.maven.app.compiledFor()
	case p.gradle != nil:
		return p.gradle.compiledFor(), nil
	}
	return nil, nil
}

// releaseProperties are the properties that say what Maven compiles for.
var releaseProperties = []string{"maven.compiler.release", "java.version", "maven.compiler.target", "maven.compiler.source", "jdk.version", "java.release"}

// compiledFor is the version that a pom asks for: a toolchain's, or what it compiles for.
func (p *pom) compiledFor() (*app.Asked, spec.Problems) {
	asked := func(l located) *app.Asked {
		text := p.value(l.element)
		if feature(text) == 0 {
			return nil // such as a range of versions, or what only a parent knows
		}
		return &app.Asked{Text: text, Source: l.where(), Problem: func(message, hint string) spec.Problem {
			if l.in == nil {
				return app.FileProblem(p.file, message, hint)
			}
			return l.in.problem(l.element, message, hint)
		}}
	}
	for _, place := range [][]string{
		{"maven-toolchains-plugin", "toolchains", "jdk", "version"},
		{"maven-compiler-plugin", "release"},
	} {
		if l, ok := p.configured(place[0], place[1:]...); ok {
			if a := asked(l); a != nil {
				return a, nil
			}
		}
	}
	for _, name := range releaseProperties {
		if l, ok := p.property(name); ok {
			if a := asked(l); a != nil {
				return a, nil
			}
		}
	}
	for _, place := range [][]string{{"maven-compiler-plugin", "target"}, {"maven-compiler-plugin", "source"}, {"kotlin-maven-plugin", "jvmTarget"}} {
		if l, ok := p.configured(place[0], place[1:]...); ok {
			if a := asked(l); a != nil {
				return a, nil
			}
		}
	}
	if l, ok := p.property("kotlin.compiler.jvmTarget"); ok {
		return asked(l), nil
	}
	return nil, nil
}

// wrapperFile is the file with the settings of a tool's wrapper, below the project's folder.
func wrapperFile(tool string) string {
	if tool == gradleTool {
		return path.Join("gradle", "wrapper", "gradle-wrapper.properties")
	}
	return path.Join(".mvn", "wrapper", "maven-wrapper.properties")
}
