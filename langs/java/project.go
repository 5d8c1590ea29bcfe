package java

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// The tools that build programs.
const (
	mavenTool  = "maven"
	gradleTool = "gradle"
)

// project is what the project's files say.
type project struct {
	spec  *spec.Spec
	files app.Files
	// dir is the project's folder; like all folders here it is relative to the context.
	dir string
	// tool is what builds it, "" for an archive that is there already, and toolSource
	// where that comes from.
	tool, toolSource string
	// archive is a jar or war that is there already, "" when one is built.
	archive string
	// maven and gradle are what those tools' files say, nil for all but the tool.
	maven  *reactor
	gradle *gradle
}

// load reads the build files. It returns nil and at least one error when they cannot be used.
func load(s *spec.Spec, files fs.FS) (*project, spec.Problems) {
	p := &project{spec: s, files: app.Files{FS: files}}
	var problems spec.Problems
	if p.dir, problems = app.CheckedDir(s, p.files, "Java's files"); problems.HasErrors() {
		return nil, problems
	}
	if len(s.Package) > 1 {
		return nil, spec.Problems{s.Problem("package[1]", "package: an image has one Java program", "write one, and give each an image of its own in images")}
	}
	if len(s.Package) == 1 && isArchive(s.Package[0]) {
		return p.loadArchive(s.Package[0])
	}
	if problems = p.chooseTool(); problems.HasErrors() {
		return nil, problems
	}
	switch p.tool {
	case mavenTool:
		p.maven, problems = p.loadMaven()
	case gradleTool:
		p.gradle, problems = p.loadGradle()
	}
	if problems.HasErrors() {
		return nil, problems
	}
	return p, problems
}

// loadArchive is a project that is built already.
func (p *project) loadArchive(name string) (*project, spec.Problems) {
	file, ok := app.InContext(p.dir, name)
	if !ok || !p.files.IsFile(file) {
		return nil, spec.Problems{p.spec.Problem("package[0]", fmt.Sprintf("package: there is no file %s", path.Join(p.dir, name)),
			"build it before the image, and check that .dockerignore does not exclude it (often target or build is in there)")}
	}
	p.archive = file
	return p, nil
}

// shown are the files that show which tool builds a folder.
var shown = map[string][]string{
	mavenTool:  {"pom.xml"},
	gradleTool: {"build.gradle.kts", "build.gradle", "settings.gradle.kts", "settings.gradle"},
}

// shows is the file in a folder that shows that a tool builds it, "" for none.
func (p *project) shows(dir, tool string) string {
	for _, name := range shown[tool] {
		file := path.Join(dir, name)
		// A file that cannot be read is one to report.
		if info, err := fs.Stat(p.files, file); err == nil && !info.IsDir() || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return file
		}
	}
	return ""
}

// chooseTool decides what builds the project.
func (p *project) chooseTool() spec.Problems {
	s := p.spec
	said := string(s.Build.Tool)
	if said != "" && said != mavenTool && said != gradleTool {
		hint := spec.Meant(said, []string{mavenTool, gradleTool}, "write maven or gradle")
		return spec.Problems{s.Problem("build.tool", fmt.Sprintf("build.tool: %q builds no Java", said), hint)}
	}
	maven, gradle := p.shows(p.dir, mavenTool), p.shows(p.dir, gradleTool)
	switch {
	case said != "":
		if p.shows(p.dir, said) == "" {
			return spec.Problems{s.Problem("build.tool", fmt.Sprintf("build.tool: there is no %s in %s", shown[said][0], app.Describe(p.dir)), "name the folder with dir:, and check that .dockerignore does not exclude the file")}
		}
		p.tool, p.toolSource = said, s.Where("build.tool")
	case maven != "" && gradle != "":
		return spec.Problems{s.Problem("build", fmt.Sprintf("both Maven and Gradle can build the project (%s, %s), and nothing says which one does", maven, gradle),
			"delete the files of one, or add one of\nbuild: {tool: maven}\nbuild: {tool: gradle}")}
	case maven != "":
		p.tool, p.toolSource = mavenTool, maven
	case gradle != "":
		p.tool, p.toolSource = gradleTool, gradle
	default:
		return spec.Problems{s.Problem("language", fmt.Sprintf("there is no pom.xml and no build.gradle in %s", app.Describe(p.dir)),
			"name the folder that has one with dir:, or a program that is built already with package: app.jar")}
	}
	return nil
}

// packageLines are the lines that choose one of several modules.
func packageLines(names []string) []string {
	var lines []string
	for _, n := range names {
		lines = append(lines, "package: "+n)
	}
	return lines
}

// noModule is the error for a `package` that is none of the modules of these names.
func noModule(s *spec.Spec, name string, names []string) spec.Problems {
	hint := "the project has no modules: remove the line, or name the folder with dir:"
	if len(names) > 0 {
		hint = spec.Meant(":"+moduleName(name), names, "there are\n"+app.Listed(packageLines(names)))
	}
	return spec.Problems{s.Problem("package[0]", fmt.Sprintf("package: %q is no module of the project", name), hint)}
}

// moduleName is the name of a module as `package` has it, without the colon that Maven and
// Gradle write before it.
func moduleName(name string) string {
	return path.Clean(strings.TrimSuffix(strings.TrimPrefix(name, ":"), "/"))
}
