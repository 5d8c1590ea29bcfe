package java

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

const (
	// repository is Maven's own repository, a cache mount.
	repository = "/root/.m2/repository"
	// depsDir is the repository of the stage deps.
	depsDir = "/deps"
	// globalSettings are those that a plan writes for Maven.
	globalSettings = "settings.xml"
	// globalToolchains tell Maven of the JDK of the build image.
	globalToolchains = "toolchains.xml"
	// classPathDir has the file with the runtime class path of the module.
	classPathDir  = "/classpath"
	classPathName = "runtime"
	// writtenClassPath is where Maven writes that of each module, in its folder.
	writtenClassPath = "target/birdhouse.classpath"

	dependencyPlugin = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1"
)

// settings are Maven's global settings: a folder with what earlier builds have downloaded
// is asked before any repository, and always anew: what was missing yesterday may be there.
// Maven's own are repeated: no repository is asked by HTTP without TLS.
func settings(dir string) string {
	repo := "<id>earlier-builds</id><url>file://" + dir + "</url><releases><updatePolicy>always</updatePolicy><checksumPolicy>ignore</checksumPolicy></releases><snapshots><enabled>false</enabled></snapshots>"
	return `<settings>
  <mirrors><mirror><id>maven-default-http-blocker</id><mirrorOf>external:http:*</mirrorOf><url>http://0.0.0.0/</url><blocked>true</blocked></mirror></mirrors>
  <profiles><profile><id>earlier-builds</id>
    <repositories><repository>` + repo + `</repository></repositories>
    <pluginRepositories><pluginRepository>` + repo + `</pluginRepository></pluginRepositories>
  </profile></profiles>
  <activeProfiles><activeProfile>earlier-builds</activeProfile></activeProfiles>
</settings>
`
}

// mavenEnv is Maven's environment. Most of its time is the start of the virtual machine, so
// that is made short.
func (b *builder) mavenEnv(stage string) []plan.Env {
	options := "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
	if stage != mavenStage && b.runtime.version >= firstSharedArchive {
		options += " -Xlog:disable -XX:+AutoCreateSharedArchive -XX:SharedArchiveFile=" + path.Join(cacheDir, b.startArchive(stage))
	}
	return b.env(append([]plan.Env{
		{Name: "HOME", Value: "/root"},
		{Name: "MAVEN_OPTS", Value: options},
	}, app.SSHEnv(b.spec)...))
}

// firstSharedArchive is the version of Java from which on the virtual machine itself keeps
// the classes that a program loads, and looks whether they still are those (JDK-8261455).
const firstSharedArchive = 19

// startArchive names the file with the classes that Maven and its plugins load in a stage:
// with it, Maven takes two thirds of the time. Another version of Maven has another file, as
// one that does not fit is made anew.
func (b *builder) startArchive(stage string) string {
	version := ""
	if b.wrapper != nil {
		version = "-" + b.wrapper.version
	}
	return fmt.Sprintf("maven%s-java-%d-%s.jsa", version, b.runtime.version, stage)
}

// toolchains says whether a pom asks for a JDK by its version.
func (b *builder) toolchains() bool {
	return slices.ContainsFunc(b.reactor().poms, func(p *pom) bool { return p.uses("maven-toolchains-plugin") })
}

// mvn is the program that is started.
func (b *builder) mvn() string {
	if b.wrapper != nil {
		return path.Join(b.wrapper.home(), "bin/mvn")
	}
	return "mvn"
}

// command is Maven with what holds for all of its commands, and goals. Local is its own
// repository, whatever the user's settings say.
func (b *builder) command(local string, goals ...string) []string {
	args := []string{plan.StepsProgram, "jvm", "--", b.mvn(), "-B", "-ntp", "-Dstyle.color=never", "-gs", path.Join(specDir, globalSettings), "-Dmaven.repo.local=" + local}
	if b.toolchains() {
		args = append(args, "-gt", path.Join(specDir, globalToolchains))
	}
	if rel := app.Relative(b.reactor().top.dir, b.reactor().app.dir); rel != "." {
		args = append(args, "-pl", rel, "-am")
	}
	if p := b.spec.Build.Profiles; len(p) > 0 {
		args = append(args, "-P", strings.Join(p, ","))
	}
	for _, name := range b.spec.Build.Properties.Keys() {
		args = append(args, "-D"+name+"="+b.spec.Build.Properties[name])
	}
	for _, g := range gitPlugins {
		if slices.ContainsFunc(b.reactor().poms, func(p *pom) bool { return p.uses(g.plugin) }) {
			args = append(args, "-D"+g.skip+"=true")
		}
	}
	return append(args, goals...)
}

// gitPlugins ask git for the revision, and have a property with which they do not.
var gitPlugins = []struct{ plugin, skip string }{
	{"buildnumber-maven-plugin", "maven.buildNumber.skip"},
	{"git-commit-id-maven-plugin", "maven.gitcommitid.skip"},
	{"git-commit-id-plugin", "maven.gitcommitid.skip"},
}

// checkGit warns of plugins that ask git: its folder is no part of a build, as every commit
// would be another program.
func (r *reactor) checkGit() spec.Problems {
	for _, p := range r.poms {
		for _, g := range gitPlugins {
			found, declared := p.plugins(g.plugin)
			if !declared {
				continue
			}
			pr := found[0].in.problem(found[0].get("artifactId"), fmt.Sprintf("%s does not run: git's folder is no part of a build", g.plugin),
				"the revision can be a label of the image: labels: {org.opencontainers.image.revision: \"{{.Revision}}\"}")
			pr.Severity = spec.Warning
			return spec.Problems{pr}
		}
	}
	return nil
}

// goals are those that make the program.
var goals = []string{"-Dproject.build.outputTimestamp=1980-01-01T00:00:02Z", "package"}

// classPathGoals write the runtime class path. The version of the plugin is fixed, so that a
// build does not change by itself.
var classPathGoals = []string{dependencyPlugin + ":build-classpath", "-DincludeScope=runtime", "-Dmdep.outputFile=" + writtenClassPath}

// mavenMounts are the cache and what Maven is configured with. Found is the folder whose
// packages are asked for first.
func (b *builder) mavenMounts(found string) []plan.Mount {
	files := []plan.File{{Path: globalSettings, Mode: 0o644, Content: settings(found)}}
	if b.toolchains() {
		files = append(files, plan.File{Path: globalToolchains, Mode: 0o644, Content: fmt.Sprintf(
			"<toolchains><toolchain><type>jdk</type><provides><version>%d</version></provides><configuration><jdkHome>%s</jdkHome></configuration></toolchain></toolchains>\n", b.runtime.version, b.runtime.home())})
	}
	mounts := []plan.Mount{
		{Kind: plan.MountCache, Target: repository, CacheID: b.mavenCache(), Locked: true},
		b.cache(),
		{Kind: plan.MountFiles, Target: specDir, Files: files},
	}
	if b.wrapper != nil {
		mounts = append(mounts, plan.Mount{Kind: plan.MountStage, Target: wrapperHome, From: mavenStage})
	}
	return append(mounts, b.secretMounts()...)
}

// mavenCache names the cache of downloads. A package is what its name says only for those
// who ask the same repositories: who names others has a cache of their own.
func (b *builder) mavenCache() string {
	id := "birdhouse-java-maven"
	if b.private() || len(b.reactor().repositories()) > 0 {
		id += "-private-" + b.reactor().top.title()
	}
	return id
}

// problems that keep Maven from resolving what poms say, as it prints them.
const unresolved = `^\[ERROR\].*(The build could not read|Could not transfer artifact)`

// tryDeps runs a command whose end does not matter, as there are no sources for what it
// builds, unless Maven could not read the poms or reach a repository ($0). The class path that
// it wrote to the file $1 is kept.
const tryDeps = `file=$1
shift
"$@" 2>&1 | tee /tmp/maven.log
if grep -Eq "$0" /tmp/maven.log; then exit 1; fi
if [ -f "$file" ]; then cp "$file" ` + classPathDir + "/" + classPathName + `; fi`

// withClassPath runs a command, which writes the class path to the file $0 where no earlier
// stage has found it out.
var withClassPath = `if [ -f ` + classPathDir + "/" + classPathName + ` ]; then exec "$@"; fi
"$@" ` + strings.Join(classPathGoals, " ") + ` && cp "$0" ` + classPathDir + "/" + classPathName

// mavenDeps downloads what the poms ask for: the program is built without its sources,
// as far as that goes. What is only asked for when there are some is downloaded by the build.
func (b *builder) mavenDeps() plan.Stage {
	command := []string{"-fn", "-Dmaven.main.skip=true", "-Dmaven.test.skip=true", "-Dspring-boot.repackage.skip=true"}
	command = append(command, goals...)
	file := ""
	var found []plan.Mount
	if b.shape.classPath {
		found = append(found, plan.Mount{Kind: plan.MountOutput, Target: classPathDir, Output: classPathOutput})
		command = append(command, classPathGoals...)
		if !b.shape.snapshots { // another of theirs may be there when the program is built
			file = b.classPathFile()
		}
	}
	args := []string{plan.StepsProgram, "exec", "--save", depsDir + "=" + repository}
	for _, pattern := range []string{"**/_remote.repositories", "**/*.lastUpdated", "**/resolver-status.properties"} {
		args = append(args, "--remove", depsDir+"="+pattern)
	}
	args = append(args, "--normalize", depsDir, "--", "/bin/sh", "-c", tryDeps, unresolved, file)
	return plan.Stage{
		Name: depsStage, Base: b.base(),
		Steps: []plan.Step{{
			Name: "mvn package (without sources)", Args: append(args, b.command(depsDir, command...)...), Env: b.mavenEnv(depsStage), Dir: at(b.reactor().top.dir), Network: true,
			Mounts: append([]plan.Mount{
				{Kind: plan.MountOutput, Target: depsDir},
				{Kind: plan.MountFiles, Target: sourceDir, Include: b.reactor().manifests(), Writable: true},
			}, append(found, b.mavenMounts(repository)...)...),
			Hint: mavenHint,
		}},
	}
}

// classPathOutput is the output of the stage deps that has the class path.
const classPathOutput = "classpath"

// classPathFile is the file in which Maven leaves the class path of the program's module,
// from the folder in which it runs.
func (b *builder) classPathFile() string {
	return "./" + path.Join(app.Relative(b.reactor().top.dir, b.reactor().app.dir), writtenClassPath)
}

// mavenHint is what to try when Maven fails.
const mavenHint = `what is wrong is said above. Where Maven could not get a package or a parent, from earlier-builds or from any repository:
private repositories need credentials: secrets: [settings.xml], and --secret id=settings.xml,src=$HOME/.m2/settings.xml
a parent in a folder further up must be in the build context: build with that folder as context, and write dir:`

// sources is the project, in which commands may write.
func (b *builder) sources() plan.Mount {
	return plan.Mount{Kind: plan.MountSource, Target: sourceDir, Exclude: b.neverRead(), Writable: true}
}

// neverRead are files of the project that no build reads: what a commit changes, and
// what the machine has built.
func (b *builder) neverRead() []string {
	patterns := []string{"**/.git", "**/.gradle", "**/.idea", "**/.vscode", "**/*.iml"}
	var dirs []string
	switch {
	case b.maven != nil:
		for _, p := range b.maven.poms {
			dirs = append(dirs, path.Join(p.dir, "target"))
		}
	case b.gradle != nil:
		for _, m := range b.gradle.modules {
			dirs = append(dirs, path.Join(m.dir, "build"))
		}
	}
	sort.Strings(dirs)
	for _, dir := range slices.Compact(dirs) {
		patterns = append(patterns, app.EscapePattern(dir))
	}
	return patterns
}

// mavenBuild makes the program and lays it out.
func (b *builder) mavenBuild() plan.Stage {
	skip := "-Dmaven.test.skip=true"
	if b.reactor().testJars() {
		skip = "-DskipTests" // others need them compiled
	}
	command := b.command(repository, append([]string{skip}, goals...)...)
	step := plan.Step{
		Name: "mvn package", Env: b.mavenEnv(buildStage), Dir: at(b.reactor().top.dir), Network: true, Mounts: b.withDeps(b.mavenMounts(depsDir)), Hint: mavenHint,
	}
	if b.shape.classPath {
		command = append([]string{"/bin/sh", "-c", withClassPath, b.classPathFile()}, command...)
		step.Mounts = append(step.Mounts, plan.Mount{Kind: plan.MountStage, Target: classPathDir, From: depsStage, Output: classPathOutput, Writable: true})
	}
	return b.layOut(step, [][]string{command})
}

// mavenTest runs the tests before the image is made.
func (b *builder) mavenTest() plan.Stage {
	command := b.command(repository, "test")
	name := "mvn test"
	if c := b.spec.Test.Command; c != nil {
		command, name = append([]string{plan.StepsProgram, "jvm", "--"}, c...), strings.Join(c, " ")
	}
	return b.tests(plan.Step{Name: name, Args: command, Env: b.mavenEnv(testStage), Dir: at(b.reactor().top.dir), Mounts: b.withDeps(b.mavenMounts(depsDir))})
}

// reactor is what the poms say.
func (b *builder) reactor() *reactor { return b.project.maven }

// manifests are patterns of the files that decide what Maven downloads.
func (r *reactor) manifests() []string {
	var patterns []string
	for _, file := range slices.Sorted(maps.Keys(r.read)) {
		patterns = append(patterns, app.EscapePattern(file))
	}
	patterns = append(patterns, app.EscapePattern(path.Join(r.top.dir, ".mvn"))+"/**")
	for _, dir := range r.localRepositories() {
		patterns = append(patterns, app.EscapePattern(dir)+"/**")
	}
	return patterns
}

// repositories are those that the poms name beside Maven's own.
func (r *reactor) repositories() []located {
	var found []located
	for _, file := range slices.Sorted(maps.Keys(r.read)) {
		p := r.read[file]
		for _, part := range p.parts() {
			for _, e := range slices.Concat(part.get("repositories").all("repository"), part.get("pluginRepositories").all("pluginRepository")) {
				if url := e.get("url"); url != nil {
					found = append(found, located{url, p})
				}
			}
		}
	}
	return found
}

// localRepositories are folders of the project that are repositories.
func (r *reactor) localRepositories() []string {
	var dirs []string
	for _, l := range r.repositories() {
		url, ok := strings.CutPrefix(l.text, "file:")
		if !ok {
			continue
		}
		url = strings.TrimLeft(url, "/")
		base := ""
		for prefix, dir := range map[string]string{
			"${project.basedir}": l.in.dir, "${basedir}": l.in.dir, "${pom.basedir}": l.in.dir,
			"${maven.multiModuleProjectDirectory}": r.top.dir, "${session.executionRootDirectory}": r.top.dir,
		} {
			if rest, ok := strings.CutPrefix(url, prefix); ok {
				base, url = dir, strings.TrimLeft(rest, "/")
			}
		}
		if dir, ok := app.InContext(base, url); ok && base != "" && url != "" {
			dirs = append(dirs, dir)
		}
	}
	sort.Strings(dirs)
	return slices.Compact(dirs)
}

// testJars says whether modules use the tests of others.
func (r *reactor) testJars() bool {
	for _, p := range r.poms {
		if p.goals("maven-jar-plugin", "test-jar") {
			return true
		}
		if slices.ContainsFunc(p.dependencies(), func(d dependency) bool {
			return d.get("type").string() == "test-jar" || d.get("classifier").string() == "tests"
		}) {
			return true
		}
	}
	return false
}

// shape is what the poms let one expect.
func (r *reactor) shape() shape {
	p := r.app
	needed := r.needed()
	s := shape{modules: len(needed) > 0, resources: true}
	for _, m := range append([]*pom{p}, needed...) {
		for _, d := range m.dependencies() {
			if d.runs() && !slices.ContainsFunc(needed, func(m *pom) bool { return r.is(m, d) }) {
				s.libraries = true
				s.snapshots = s.snapshots || strings.HasSuffix(d.version, "-SNAPSHOT")
			}
		}
	}
	boot := p.uses(bootPlugin)
	switch {
	case p.uses(quarkusPlugin) || p.packaging() == "quarkus":
		s.what, s.libraries, s.modules, s.resources = "a Quarkus application", !p.uberJar(), false, false
	case p.packaging() == "war" && boot:
		s.what, s.libraries, s.snapshots, s.modules = "a Spring Boot war", true, false, false
	case p.packaging() == "war":
		s.what, s.libraries, s.snapshots, s.modules, s.resources = "a war", false, false, false, false
	case boot && p.repackages():
		s.what, s.libraries = "a Spring Boot jar", true
	case p.goals(shadePlugin, "shade"):
		s.what, s.libraries, s.snapshots, s.modules, s.resources = "a shaded jar", false, false, false, false
	case p.goals(assemblyPlugin, "single"):
		s.what, s.libraries, s.snapshots, s.modules, s.resources = "a jar of maven-assembly-plugin", false, false, false, false
	default:
		s.what, s.classPath = "a jar and its class path", !r.complete() || s.libraries || s.modules
	}
	return s
}

// complete says whether all that the program needs is in poms of the project: there is no parent
// elsewhere, and no profile that only the machine decides about.
func (r *reactor) complete() bool {
	chain := r.app.chain()
	if chain[len(chain)-1].root.get("parent") != nil {
		return false
	}
	for _, p := range chain {
		for _, profile := range p.root.get("profiles").all("profile") {
			if profile.get("dependencies") != nil {
				return false
			}
		}
	}
	return true
}

// uberJar says whether Quarkus makes one jar of all.
func (p *pom) uberJar() bool {
	for _, name := range []string{"quarkus.package.jar.type", "quarkus.package.type"} {
		if l, ok := p.property(name); ok && p.value(l.element) == "uber-jar" {
			return true
		}
	}
	return false
}

// repackages says whether Spring Boot's plugin makes a jar that runs by itself: in an
// execution, or in one of Spring's own parent.
func (p *pom) repackages() bool {
	if p.goals(bootPlugin, "repackage") {
		return true
	}
	for _, at := range p.chain() {
		if at.root.get("parent", "artifactId").string() == "spring-boot-starter-parent" {
			return true
		}
	}
	return false
}
