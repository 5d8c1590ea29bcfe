package java

import (
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"sort"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// gradle is what Gradle's files say, as far as that can be read without running them:
// which modules there are, which plugins they use, and the main class.
type gradle struct {
	project *project
	// root is the folder of the settings and of the wrapper.
	root string
	// modules are the root project and those that the settings include.
	modules []*module
	// app is the one whose program is the image's, and source where that comes from.
	app    *module
	source string
	// aliases are the ids of plugins by their names in the version catalog.
	aliases map[string]string
}

// module is one of Gradle's projects.
type module struct {
	in *gradle
	// path is Gradle's: ":" or ":services:api".
	path string
	// name is the last part, dir its folder.
	name, dir string
	// build is its build file, nil for none.
	build *script
	// task makes the program, and taskSource says why it is that one.
	task, taskSource string
}

// script is a build file without its comments.
type script struct {
	file  string
	lines []string
}

// found is what a pattern matches in a script.
type found struct {
	text string
	// where is its place, for people.
	where string
	in    *script
	line  int
}

// find returns the first match of the pattern's last group that matched.
func (s *script) find(pattern *regexp.Regexp) *found {
	if s == nil {
		return nil
	}
	for i, line := range s.lines {
		m := pattern.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		text := m[0]
		for _, g := range slices.Backward(m[1:]) {
			if g != "" {
				text = g
				break
			}
		}
		return &found{text, fmt.Sprintf("%s:%d", s.file, i+1), s, i + 1}
	}
	return nil
}

// readScript reads a build file; nil where there is none of the names.
func (p *project) readScript(dir string, names ...string) (*script, spec.Problems) {
	for _, name := range names {
		file := path.Join(dir, name)
		data, err := p.files.Read(file)
		if err != nil {
			return nil, spec.Problems{app.Unreadable(file, err)}
		}
		if data != nil {
			return &script{file, strings.Split(withoutComments(string(data)), "\n")}, nil
		}
	}
	return nil, nil
}

// withoutComments replaces the comments of Groovy and Kotlin by blanks, so that lines stay
// where they are.
func withoutComments(text string) string {
	out := []byte(text)
	blank := func(from, to int) {
		for i := from; i < to; i++ {
			if out[i] != '\n' {
				out[i] = ' '
			}
		}
	}
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"' || c == '\'':
			for i++; i < len(text) && text[i] != c && text[i] != '\n'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case strings.HasPrefix(text[i:], "//"):
			end := strings.IndexByte(text[i:], '\n')
			if end < 0 {
				end = len(text) - i
			}
			blank(i, i+end)
			i += end
		case strings.HasPrefix(text[i:], "/*"):
			end := strings.Index(text[i:], "*/")
			if end < 0 {
				end = len(text) - i - 2
			}
			blank(i, i+end+2)
			i += end + 1
		}
	}
	return string(out)
}

var (
	buildNames    = []string{"build.gradle.kts", "build.gradle"}
	settingsNames = []string{"settings.gradle.kts", "settings.gradle"}

	rootName    = regexp.MustCompile(`rootProject\.name\s*=\s*["']([^"']+)["']`)
	includeCall = regexp.MustCompile(`(?s)\binclude\s*(?:\(([^)]*)\)|((?:\s*["'][^"']+["']\s*,?)+))`)
	quoted      = regexp.MustCompile(`["']([^"'$]+)["']`)
	projectDir  = regexp.MustCompile(`project\(\s*["']([^"']+)["']\s*\)\.projectDir\s*=\s*(?:file|new File)\(\s*(?:rootDir\s*,\s*|settingsDir\s*,\s*)?["']([^"']+)["']`)
)

// maxModules bounds how many build files are read.
const maxModules = 2000

// loadGradle reads the settings and build files and chooses a module.
func (p *project) loadGradle() (*gradle, spec.Problems) {
	g := &gradle{project: p, root: p.dir}
	// Gradle looks for the settings in the folders above as well.
	for dir := p.dir; ; dir = path.Dir(dir) {
		if p.files.IsFile(path.Join(dir, settingsNames[0])) || p.files.IsFile(path.Join(dir, settingsNames[1])) {
			g.root = dir
			break
		}
		if dir == "." {
			break
		}
	}
	if problems := g.readAliases(); problems.HasErrors() {
		return nil, problems
	}
	if problems := g.readModules(); problems.HasErrors() {
		return nil, problems
	}
	if problems := g.choose(); problems.HasErrors() {
		return nil, problems
	}
	return g, g.app.chooseTask()
}

// readModules reads the settings and the build files of the modules that they include:
// https://docs.gradle.org/current/userguide/multi_project_builds.html.
func (g *gradle) readModules() spec.Problems {
	settings, problems := g.project.readScript(g.root, settingsNames...)
	if problems.HasErrors() {
		return problems
	}
	name := path.Base(g.root)
	if g.root == "." {
		name = "app" // that of a folder nobody knows
	}
	if f := settings.find(rootName); f != nil {
		name = f.text
	}
	g.modules = []*module{{in: g, path: ":", name: name, dir: g.root}}
	dirs := map[string]string{}
	if settings != nil {
		text := strings.Join(settings.lines, "\n")
		for _, m := range projectDir.FindAllStringSubmatch(text, -1) {
			dirs[":"+strings.TrimPrefix(m[1], ":")] = m[2]
		}
		for _, m := range includeCall.FindAllStringSubmatch(text, -1) {
			for _, q := range quoted.FindAllStringSubmatch(m[1]+m[2], -1) {
				full := ":" + strings.Trim(strings.ReplaceAll(q[1], "/", ":"), ":")
				rel := strings.ReplaceAll(full[1:], ":", "/")
				if other, ok := dirs[full]; ok {
					rel = other
				}
				dir, ok := app.InContext(g.root, rel)
				if !ok || len(g.modules) >= maxModules {
					return spec.Problems{app.FileProblem(settings.file, fmt.Sprintf("the module %s lies outside the build context", full), "build with a folder further up as context, and write dir:")}
				}
				g.modules = append(g.modules, &module{in: g, path: full, name: path.Base(strings.ReplaceAll(full, ":", "/")), dir: dir})
			}
		}
	}
	for _, m := range g.modules {
		names := append(slices.Clone(buildNames), m.name+".gradle.kts", m.name+".gradle")
		var found spec.Problems
		m.build, found = g.project.readScript(m.dir, names...)
		problems = append(problems, found...)
	}
	return problems
}

var (
	catalogPlugin = regexp.MustCompile(`^\s*"?([A-Za-z0-9_.-]+)"?\s*=\s*(?:["']([^"':]+):[^"']*["']|\{.*\bid\s*=\s*["']([^"']+)["'])`)
	tomlHeader    = regexp.MustCompile(`^\s*\[([^\]]+)\]`)
)

// readAliases reads the plugins of the version catalog:
// https://docs.gradle.org/current/userguide/version_catalogs.html.
func (g *gradle) readAliases() spec.Problems {
	file := path.Join(g.root, "gradle", "libs.versions.toml")
	data, err := g.project.files.Read(file)
	if err != nil {
		return spec.Problems{app.Unreadable(file, err)}
	}
	g.aliases = map[string]string{}
	section := ""
	for _, line := range strings.Split(string(data), "\n") {
		if m := tomlHeader.FindStringSubmatch(line); m != nil {
			section = m[1]
		}
		if m := catalogPlugin.FindStringSubmatch(line); m != nil && section == "plugins" {
			g.aliases[strings.NewReplacer("-", ".", "_", ".").Replace(m[1])] = m[2] + m[3]
		}
	}
	return nil
}

// pluginLine is a line that applies a plugin: by its id, by a name that Kotlin knows, by a
// name of the version catalog, or as Groovy wrote it first.
var pluginLine = regexp.MustCompile(`(?:\bid\s*\(?\s*["']([A-Za-z0-9_.-]+)["']|\balias\s*\(\s*libs\.plugins\.([A-Za-z0-9_.]+)\s*\)|\bapply\s+plugin:\s*["']([A-Za-z0-9_.-]+)["']|\bapply\s*\(\s*plugin\s*=\s*["']([A-Za-z0-9_.-]+)["']|\bkotlin\s*\(\s*["'](jvm)["']|^\s*` + "`?" + `(application|java|war|` + "`java-library`" + `)` + "`?" + `\s*[;}]?\s*$|\bplugins\s*\{\s*(application|java|war)\s*[;}])`)

// plugin finds the place at which a module applies a plugin, nil where it does not.
func (m *module) plugin(ids ...string) *found {
	if m.build == nil {
		return nil
	}
	for i, line := range m.build.lines {
		if strings.Contains(line, "apply false") || strings.Contains(line, "apply(false)") {
			continue
		}
		for _, match := range pluginLine.FindAllStringSubmatch(line, -1) {
			id := strings.Join(match[1:], "")
			if match[2] != "" {
				id = m.in.aliases[strings.ReplaceAll(match[2], "_", ".")]
			}
			if slices.Contains(ids, id) {
				return &found{id, fmt.Sprintf("%s:%d", m.build.file, i+1), m.build, i + 1}
			}
		}
	}
	return nil
}

// tasks are what makes a program, by the plugins that have it, the first that is used counts.
var tasks = []struct {
	plugins []string
	task    string
}{
	{[]string{"io.quarkus"}, "quarkusBuild"},
	{[]string{"org.springframework.boot"}, "bootJar"},
	{[]string{"application", "org.gradle.application", "io.ktor.plugin", "io.micronaut.application", "io.micronaut.minimal.application"}, "installDist"},
	{[]string{"com.gradleup.shadow", "com.github.johnrengelman.shadow"}, "shadowJar"},
}

// program is the task that makes a program of a module, and the plugin that has it.
func (m *module) program() (task string, by *found) {
	for _, t := range tasks {
		if f := m.plugin(t.plugins...); f != nil {
			if t.task == "bootJar" && m.plugin("war", "org.gradle.war") != nil {
				return "bootWar", f
			}
			return t.task, f
		}
	}
	return "", nil
}

// chooseTask decides which task makes the program. Where no plugin is to be seen, one of the
// project's own may apply it.
func (m *module) chooseTask() spec.Problems {
	task, by := m.program()
	if by != nil {
		m.task, m.taskSource = task, fmt.Sprintf("%s, the plugin %s", by.where, by.text)
		return nil
	}
	hint := "apply the plugin application and name the main class, as in\nplugins { application }\napplication { mainClass = \"com.example.Main\" }"
	if m.build == nil {
		return spec.Problems{app.FileProblem(path.Join(m.dir, buildNames[0]), fmt.Sprintf("the module %s has no build file", m.title()), "check that .dockerignore does not exclude it")}
	}
	if m.in.hasConventions() {
		m.task, m.taskSource = "installDist", "no plugin for programs in "+m.build.file+"; one of the project's own is taken to apply application"
		return nil
	}
	return spec.Problems{app.FileProblem(m.build.file, "nothing here makes a program that runs: there is no plugin such as application, org.springframework.boot or io.quarkus", hint)}
}

// hasConventions says whether the project has plugins of its own.
func (g *gradle) hasConventions() bool {
	return g.project.files.IsDir(path.Join(g.root, "buildSrc")) || g.project.files.IsDir(path.Join(g.root, "build-logic"))
}

// title is how people know a module.
func (m *module) title() string {
	if m.path == ":" {
		return m.name
	}
	return m.path
}

// taskPath is the task in full: ":app:installDist".
func (m *module) taskPath() string { return strings.TrimSuffix(m.path, ":") + ":" + m.task }

// choose decides which module is built: the one that package names, the one in dir, or the
// only one that makes a program.
func (g *gradle) choose() spec.Problems {
	s := g.project.spec
	var names []string
	for _, m := range g.modules {
		if m.path != ":" {
			names = append(names, m.path)
		}
	}
	if len(s.Package) == 1 {
		name := s.Package[0]
		clean := moduleName(name)
		for _, m := range g.modules {
			if m.path == ":"+strings.ReplaceAll(clean, "/", ":") || m.dir == path.Join(g.root, clean) || m.name == clean {
				g.app, g.source = m, s.Where("package")
				return nil
			}
		}
		return noModule(s, name, names)
	}
	if g.project.dir != g.root {
		for _, m := range g.modules {
			if m.dir == g.project.dir {
				g.app, g.source = m, s.Where("dir")
				return nil
			}
		}
	}
	g.app, g.source = g.modules[0], "the project's own"
	if _, by := g.app.program(); by != nil || len(g.modules) == 1 {
		return nil
	}
	var able []*module
	for _, m := range g.modules {
		if _, by := m.program(); by != nil {
			able = append(able, m)
		}
	}
	if len(able) == 1 {
		g.app, g.source = able[0], "the only module that makes a program"
		return nil
	}
	what := fmt.Sprintf("there are %d modules that make a program, and nothing says which one to build", len(able))
	if len(able) == 0 {
		what, able = fmt.Sprintf("there are %d modules, and none says that it makes a program", len(names)), g.modules[1:]
	}
	var lines []string
	for _, m := range able {
		lines = append(lines, m.path)
	}
	return spec.Problems{s.Problem("package", what, "add one of\n"+app.Listed(packageLines(lines)))}
}

var mainClass = regexp.MustCompile(`\bmainClass(?:Name)?(?:\.set\(\s*|\s*=\s*|\s+)["']([^"'$]+)["']`)

// mains are the main classes that the build file names.
func (m *module) mains() []javaspec.Main {
	if f := m.build.find(mainClass); f != nil && className(f.text) {
		return []javaspec.Main{{Class: f.text, Source: f.where}}
	}
	return nil
}

var languageVersion = []*regexp.Regexp{
	regexp.MustCompile(`JavaLanguageVersion\.of\(\s*["']?([0-9]+)["']?\s*\)`),
	regexp.MustCompile(`\bjvmToolchain\s*\(?\s*([0-9]+)`),
	regexp.MustCompile(`\boptions\.release(?:\.set\(\s*|\s*=\s*)([0-9]+)`),
	regexp.MustCompile(`\b(?:target|source)Compatibility\s*=?\s*(?:JavaVersion\.VERSION_(?:1_)?([0-9]+)|["']?(?:1\.)?([0-9]+)["']?)`),
}

// compiledFor is the version that the build files ask for: the module's, the root's, or those
// of the project's own plugins.
func (g *gradle) compiledFor() *app.Asked {
	scripts := []*script{g.app.build, g.modules[0].build}
	for _, dir := range []string{"buildSrc", "build-logic"} {
		scripts = append(scripts, g.scriptsBelow(path.Join(g.root, dir))...)
	}
	for _, pattern := range languageVersion {
		for _, s := range scripts {
			f := s.find(pattern)
			if f == nil || feature(f.text) == 0 {
				continue
			}
			return &app.Asked{Text: f.text, Source: f.where, Problem: func(message, hint string) spec.Problem {
				return app.LineProblem(f.in.file, f.line, f.in.lines[f.line-1], f.text, message, hint)
			}}
		}
	}
	return nil
}

// scriptsBelow are the build files in a folder and those in it.
func (g *gradle) scriptsBelow(dir string) []*script {
	var names []string
	err := fs.WalkDir(g.project.files, dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || len(names) >= maxModules {
			return fs.SkipAll
		}
		if !e.IsDir() && (strings.HasSuffix(name, ".gradle") || strings.HasSuffix(name, ".gradle.kts")) {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return nil
	}
	sort.Strings(names)
	var scripts []*script
	for _, name := range names {
		if s, problems := g.project.readScript(".", name); s != nil && !problems.HasErrors() {
			scripts = append(scripts, s)
		}
	}
	return scripts
}

var (
	projectNeed = regexp.MustCompile(`\bproject\s*\(\s*(?:path\s*[:=]\s*)?["']:|\bprojects\.[a-zA-Z]`)
	anyNeed     = regexp.MustCompile(`\b(?:implementation|api|runtimeOnly|compile|runtime)\b[\s(]+(?:["']|libs\.|platform|enforcedPlatform|group|kotlin|files|fileTree|dependencies\.)`)
	snapshot    = regexp.MustCompile(`["'][^"']+:[^"']+:[^"']*-SNAPSHOT["']`)
)

// shape is what the build file lets one expect.
func (g *gradle) shape() shape {
	m := g.app
	s := shape{
		what: m.task, libraries: m.build.find(anyNeed) != nil, modules: m.build.find(projectNeed) != nil,
		snapshots: m.build.find(snapshot) != nil, resources: true,
	}
	if s.modules || g.hasConventions() {
		s.libraries = true // theirs
	}
	switch m.task {
	case "bootJar":
		s.what, s.libraries = "a Spring Boot jar", true
	case "bootWar":
		s.what, s.libraries, s.snapshots, s.modules = "a Spring Boot war", true, false, false
	case "quarkusBuild":
		s.what, s.libraries, s.modules, s.resources = "a Quarkus application", true, false, false
	case "shadowJar":
		s.what, s.libraries, s.snapshots, s.modules, s.resources = "a shaded jar", false, false, false, false
	case "installDist":
		s.what = "an installed distribution"
	}
	return s
}
