package java

import (
	"io/fs"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/internal/plantest"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// versions are those of the tests' catalog.
var versions = []string{"17", "21", "25"}

func planFor(t testing.TB, descriptor string, project fs.FS) plantest.Result {
	t.Helper()
	return plantest.For(t, Language{}, versions, descriptor, project, "")
}

func TestSamples(t *testing.T) {
	plantest.Samples(t, "../../testdata/java", 8, func(t *testing.T, descriptor string, project fs.FS) plantest.Result {
		return planFor(t, descriptor, project)
	})
}

const java = "language: java\n"

// pomText is a pom of com.acme:NAME:1.0 with more elements.
func pomText(name string, more ...string) string {
	return "<project>\n<modelVersion>4.0.0</modelVersion>\n<groupId>com.acme</groupId>\n<artifactId>" + name + "</artifactId>\n<version>1.0</version>\n" + strings.Join(more, "\n") + "\n</project>\n"
}

// childText is a pom whose parent is com.acme:top.
func childText(name string, more ...string) string {
	return "<project>\n<parent><groupId>com.acme</groupId><artifactId>top</artifactId><version>1.0</version></parent>\n<artifactId>" + name + "</artifactId>\n" + strings.Join(more, "\n") + "\n</project>\n"
}

func propertiesText(pairs ...string) string {
	text := "<properties>"
	for i := 0; i < len(pairs); i += 2 {
		text += "<" + pairs[i] + ">" + pairs[i+1] + "</" + pairs[i] + ">"
	}
	return text + "</properties>"
}

func dependencyText(id string, more ...string) string {
	parts := strings.Split(id, ":")
	return "<dependency><groupId>" + parts[0] + "</groupId><artifactId>" + parts[1] + "</artifactId><version>" + parts[2] + "</version>" + strings.Join(more, "") + "</dependency>"
}

func pluginText(artifact string, more ...string) string {
	return "<build><plugins><plugin><artifactId>" + artifact + "</artifactId>" + strings.Join(more, "") + "</plugin></plugins></build>"
}

func layerNames(p *plan.Plan) []string {
	var names []string
	for _, l := range p.Layers {
		names = append(names, l.Name)
	}
	return names
}

// args are the words of a stage's only step, those of commands before it included.
func args(t *testing.T, p *plan.Plan, stage string) string {
	t.Helper()
	s := plantest.Stage(t, p, stage)
	require.Len(t, s.Steps, 1)
	return strings.Join(s.Steps[0].Args, " ")
}

func TestVersions(t *testing.T) {
	release := func(v string) string { return pomText("a", propertiesText("maven.compiler.release", v)) }
	for name, c := range map[string]struct {
		descriptor    string
		files         []string
		want, because string
	}{
		"nothing":        {java, []string{"pom.xml", pomText("a")}, "25", "the newest in the catalog"},
		"descriptor":     {java + "version: 21\n", []string{"pom.xml", release("17"), ".java-version", "25\n"}, "21", "birdhouse.yaml:2"},
		"java-version":   {java, []string{"pom.xml", release("17"), ".java-version", "21\n"}, "21", ".java-version:1"},
		"sdkman":         {java, []string{"pom.xml", pomText("a"), ".sdkmanrc", "# sdk\nmaven=3.9\njava=21.0.8-tem\n"}, "21", ".sdkmanrc:3"},
		"tool-versions":  {java, []string{"pom.xml", pomText("a"), ".tool-versions", "java temurin-17.0.9+9\n"}, "17", ".tool-versions:1"},
		"mise":           {java, []string{"pom.xml", pomText("a"), "mise.toml", "[tools]\njava = \"corretto-24\"\n"}, "25", "mise.toml:2 says corretto-24; the lowest in the catalog that fits"},
		"release":        {java, []string{"pom.xml", release("21")}, "21", "pom.xml:6"},
		"old":            {java, []string{"pom.xml", release("8")}, "17", "pom.xml:6 says 8; the lowest in the catalog that fits"},
		"1.8":            {java, []string{"pom.xml", release("1.8")}, "17", "pom.xml:6 says 1.8"},
		"property":       {java, []string{"pom.xml", pomText("a", propertiesText("jdk", "21", "maven.compiler.release", "${jdk}"))}, "21", "pom.xml:6"},
		"spring":         {java, []string{"pom.xml", pomText("a", propertiesText("java.version", "21"))}, "21", "pom.xml:6"},
		"plugin":         {java, []string{"pom.xml", pomText("a", pluginText("maven-compiler-plugin", "<configuration><release>21</release></configuration>"))}, "21", "pom.xml:6"},
		"toolchain":      {java, []string{"pom.xml", pomText("a", propertiesText("maven.compiler.release", "11"), pluginText("maven-toolchains-plugin", "<configuration><toolchains><jdk><version>21</version></jdk></toolchains></configuration>"))}, "21", "pom.xml:7"},
		"parent":         {java + "dir: app\n", []string{"pom.xml", pomText("top", "<packaging>pom</packaging><modules><module>app</module></modules>", propertiesText("maven.compiler.release", "21")), "app/pom.xml", childText("app")}, "21", "pom.xml:7"},
		"profile":        {java + "build: {profiles: [new]}\n", []string{"pom.xml", pomText("a", propertiesText("maven.compiler.release", "17"), "<profiles><profile><id>new</id>"+propertiesText("maven.compiler.release", "21")+"</profile></profiles>")}, "21", "pom.xml:7"},
		"given":          {java + "build: {properties: {maven.compiler.release: 21}}\n", []string{"pom.xml", release("17")}, "21", "a property of the build"},
		"maven.config":   {java, []string{"pom.xml", release("17"), ".mvn/maven.config", "-Dmaven.compiler.release=21\n"}, "21", "a property of the build"},
		"gradle":         {java, gradleFiles("plugins { application }\njava { toolchain { languageVersion = JavaLanguageVersion.of(21) } }\n"), "21", "build.gradle.kts:2"},
		"gradle old":     {java, gradleFiles("plugins { application }\n// JavaLanguageVersion.of(25)\njava.sourceCompatibility = JavaVersion.VERSION_1_8\n"), "17", "build.gradle.kts:3 says 8"},
		"gradle kotlin":  {java, gradleFiles("plugins { kotlin(\"jvm\") version \"2.2.0\"\napplication }\nkotlin { jvmToolchain(21) }\n"), "21", "build.gradle.kts:3"},
		"gradle release": {java, gradleFiles("plugins { application }\ntasks.compileJava { options.release.set(21) }\n"), "21", "build.gradle.kts:2"},
	} {
		t.Run(name, func(t *testing.T) {
			r := planFor(t, c.descriptor, plantest.Files(c.files...))
			require.NotNil(t, r.Plan, r.Text)
			f := plantest.Fact(t, r.Plan, "version")
			require.Equal(t, c.want, f.Value)
			require.Contains(t, f.Source, c.because)
			require.Equal(t, c.want, r.Plan.Run.Version)
			require.Equal(t, "/usr/lib/jvm/java-"+c.want+"/bin/java", r.Plan.Image.Entrypoint[0])
		})
	}
}

// gradleFiles are a project of one build file, with a wrapper.
func gradleFiles(build string, more ...string) []string {
	return append([]string{
		"settings.gradle.kts", "rootProject.name = \"a\"\n", "build.gradle.kts", build, "gradlew", "#!/bin/sh\n",
		"gradle/wrapper/gradle-wrapper.properties", wrapperText("gradle-9.1.0-bin.zip"),
	}, more...)
}

func wrapperText(name string) string {
	return "distributionUrl=https\\://repo.example.com/" + name + "\ndistributionSha256Sum=" + strings.Repeat("0a", 32) + "\n"
}

func TestLayers(t *testing.T) {
	lib := "<dependencies>" + dependencyText("org.x:y:1.0") + "</dependencies>"
	for name, c := range map[string]struct {
		descriptor string
		files      []string
		layers     string
	}{
		"alone":      {java, []string{"pom.xml", pomText("a")}, "runtime resources application"},
		"whole":      {java + "build: {jlink: false}\n", []string{"pom.xml", pomText("a")}, "resources application"},
		"libraries":  {java, []string{"pom.xml", pomText("a", lib)}, "runtime dependencies resources application"},
		"test scope": {java, []string{"pom.xml", pomText("a", "<dependencies>"+dependencyText("junit:junit:4.13", "<scope>test</scope>")+"</dependencies>")}, "runtime resources application"},
		"managed scope": {java, []string{"pom.xml", pomText("a", "<dependencyManagement><dependencies>"+dependencyText("junit:junit:4.13", "<scope>test</scope>")+"</dependencies></dependencyManagement>",
			"<dependencies><dependency><groupId>junit</groupId><artifactId>junit</artifactId></dependency></dependencies>")}, "runtime resources application"},
		"snapshot": {java, []string{"pom.xml", pomText("a", "<dependencies>"+dependencyText("org.x:y:1.0-SNAPSHOT")+"</dependencies>")}, "runtime dependencies snapshots resources application"},
		"assets":   {java + "copy: [pom.xml:/pom.xml]\n", []string{"pom.xml", pomText("a", lib)}, "runtime assets dependencies resources application"},
		"aot":      {java + "build: {aot: true}\n", []string{"pom.xml", pomText("a", lib)}, "runtime dependencies application aot"},
		"war":      {java, []string{"pom.xml", pomText("a", "<packaging>war</packaging>", lib)}, "runtime application"},
		"shaded":   {java, []string{"pom.xml", pomText("a", lib, pluginText("maven-shade-plugin", "<executions><execution><goals><goal>shade</goal></goals></execution></executions>"))}, "runtime application"},
		"boot":     {java, []string{"pom.xml", "<project><parent><groupId>org.springframework.boot</groupId><artifactId>spring-boot-starter-parent</artifactId><version>4.0.0</version></parent><artifactId>a</artifactId><version>1</version>" + lib + pluginText("spring-boot-maven-plugin") + "</project>"}, "runtime dependencies resources application"},
		"quarkus":  {java, []string{"pom.xml", pomText("a", lib, pluginText("quarkus-maven-plugin"))}, "runtime dependencies application"},
		"file":     {java + "package: app.jar\n", []string{"app.jar", "PK"}, "runtime application"},
		"built":    {java + "package: target/app.war\n", []string{"target/app.war", "PK"}, "runtime application"},
		"uber jar": {java, []string{"pom.xml", pomText("a", propertiesText("quarkus.package.jar.type", "uber-jar"), lib, pluginText("quarkus-maven-plugin"))}, "runtime application"},
		"bootJar":  {java, gradleFiles("plugins {\n id(\"org.springframework.boot\") version \"4.0.0\"\n}\n"), "runtime dependencies resources application"},
		"install":  {java, gradleFiles("plugins {\n application\n}\ndependencies { implementation(\"a:b:1\") }\n"), "runtime dependencies resources application"},
		"no needs": {java, gradleFiles("plugins {\n application\n}\n"), "runtime resources application"},
	} {
		t.Run(name, func(t *testing.T) {
			r := planFor(t, c.descriptor, plantest.Files(c.files...))
			require.NotNil(t, r.Plan, r.Text)
			require.Equal(t, c.layers, strings.Join(layerNames(r.Plan), " "))
			// What the step lays out is what the layers take.
			build := plantest.Stage(t, r.Plan, buildStage)
			outputs := map[string]bool{}
			for _, m := range build.Steps[0].Mounts {
				if m.Kind == plan.MountOutput {
					outputs[m.Output] = true
				}
			}
			for _, l := range r.Plan.Layers {
				for _, from := range l.Copies {
					if from.Stage == buildStage {
						require.True(t, outputs[from.Output], from.Output)
						delete(outputs, from.Output)
					}
				}
			}
			delete(outputs, "link")
			require.Empty(t, outputs)
		})
	}
}

// twoModules are a reactor of a library and a program.
func twoModules(core, app string) []string {
	return []string{
		"pom.xml", pomText("top", "<packaging>pom</packaging>", "<modules><module>core</module><module>app</module></modules>"),
		"core/pom.xml", childText("core", core), "app/pom.xml", childText("app", app),
	}
}

func TestModules(t *testing.T) {
	needs := "<dependencies>" + dependencyText("com.acme:core:${project.version}") + "</dependencies>"
	for name, c := range map[string]struct {
		descriptor   string
		files        []string
		module, from string
		pl           string
	}{
		"named":        {java + "package: :core\n", twoModules("", ""), "core", "birdhouse.yaml:2", "-pl core -am"},
		"by group":     {java + "package: com.acme:app\n", twoModules("", needs), "app", "birdhouse.yaml:2", "-pl app -am"},
		"folder":       {java + "package: app\n", twoModules("", needs), "app", "birdhouse.yaml:2", "-pl app -am"},
		"dir":          {java + "dir: app\n", twoModules("", needs), "app", "birdhouse.yaml:2", "-pl app -am"},
		"needs others": {java, twoModules("", needs), "app", "the only module that no other one needs", "-pl app -am"},
		"has a main":   {java, twoModules("", propertiesText("exec.mainClass", "a.B")), "app", "the only module that says how it is started", "-pl app -am"},
		"boot":         {java, twoModules(pluginText("spring-boot-maven-plugin"), ""), "core", "the only module that says how it is started", "-pl core -am"},
	} {
		t.Run(name, func(t *testing.T) {
			r := planFor(t, c.descriptor, plantest.Files(c.files...))
			require.NotNil(t, r.Plan, r.Text)
			f := plantest.Fact(t, r.Plan, "package")
			require.Equal(t, c.module, f.Value)
			require.Equal(t, c.from, f.Source)
			require.Contains(t, args(t, r.Plan, depsStage), c.pl)
		})
	}

	r := planFor(t, java+"package: :app\n", plantest.Files(twoModules("", needs)...))
	require.Equal(t, "core", plantest.Fact(t, r.Plan, "built with it").Value)
	require.Contains(t, layerNames(r.Plan), "modules")
	require.NotContains(t, layerNames(r.Plan), "dependencies", "the only library is the project's own")

	// Gradle.
	files := plantest.Files(
		"settings.gradle", "rootProject.name = 'shop'\ninclude 'core',\n  ':services:api'\n", "build.gradle", "plugins {\n id 'org.springframework.boot' version '4.0.0' apply false\n}\n",
		"core/build.gradle", "plugins { id 'java-library' }\n", "services/api/build.gradle", "plugins { id 'application' }\ndependencies { implementation project(':core') }\n",
		"gradlew", "", "gradle/wrapper/gradle-wrapper.properties", wrapperText("gradle-9.1.0-bin.zip"),
	)
	for _, descriptor := range []string{java, java + "package: :services:api\n", java + "package: services/api\n", java + "dir: services/api\n"} {
		r = planFor(t, descriptor, files)
		require.NotNil(t, r.Plan, r.Text)
		require.Equal(t, ":services:api", plantest.Fact(t, r.Plan, "package").Value)
		require.Contains(t, args(t, r.Plan, depsStage), " :services:api:installDist ")
		require.Contains(t, layerNames(r.Plan), "modules")
	}
}

func TestMainClasses(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want, source string }{
		"jar":      {"pom.xml", pomText("a", pluginText("maven-jar-plugin", "<configuration><archive><manifest>\n<mainClass>com.acme.Main</mainClass></manifest></archive></configuration>")), "com.acme.Main", "pom.xml:7, maven-jar-plugin"},
		"shade":    {"pom.xml", pomText("a", pluginText("maven-shade-plugin", "<executions><execution><configuration><transformers><transformer implementation=\"x\"/><transformer><mainClass>com.acme.Main</mainClass></transformer></transformers></configuration></execution></executions>")), "com.acme.Main", "pom.xml:6, maven-shade-plugin"},
		"property": {"pom.xml", pomText("a", propertiesText("base", "com.acme", "start-class", "${base}.Main")), "com.acme.Main", "pom.xml:6, the property start-class"},
		"managed":  {"pom.xml", pomText("a", "<build><pluginManagement><plugins><plugin><artifactId>exec-maven-plugin</artifactId><configuration><mainClass>com.acme.Main</mainClass></configuration></plugin></plugins></pluginManagement><plugins><plugin><artifactId>exec-maven-plugin</artifactId></plugin></plugins></build>"), "com.acme.Main", "pom.xml:6, exec-maven-plugin"},
		"unknown":  {"pom.xml", pomText("a", propertiesText("start-class", "${elsewhere}")), "of what is built", "its manifest, or its only class with a main method"},
	} {
		t.Run(name, func(t *testing.T) {
			r := planFor(t, java, plantest.Files(c.file, c.text))
			require.NotNil(t, r.Plan, r.Text)
			f := plantest.Fact(t, r.Plan, "main")
			require.Equal(t, c.want, f.Value)
			require.Equal(t, c.source, f.Source)
		})
	}
	r := planFor(t, java+"build: {main: com.acme.Other}\n", plantest.Files("pom.xml", pomText("a", propertiesText("start-class", "com.acme.Main"))))
	require.Equal(t, "com.acme.Other", plantest.Fact(t, r.Plan, "main").Value)
	require.Equal(t, "com.acme.Other", specOf(t, r.Plan)["main"])

	r = planFor(t, java, plantest.Files(gradleFiles("plugins { id(\"application\") }\napplication {\n  mainClass.set(\"com.acme.MainKt\")\n}\n")...))
	require.Equal(t, "com.acme.MainKt", plantest.Fact(t, r.Plan, "main").Value)
	require.Equal(t, "build.gradle.kts:3", plantest.Fact(t, r.Plan, "main").Source)
}

func TestPort(t *testing.T) {
	web := func(more ...string) []string {
		return append([]string{"pom.xml", pomText("a", "<dependencies>"+dependencyText("org.springframework.boot:spring-boot-starter-web:4.0.0")+"</dependencies>", pluginText("spring-boot-maven-plugin"))}, more...)
	}
	for name, c := range map[string]struct {
		files []string
		want  []string
	}{
		"default":    {web(), []string{"8080/tcp"}},
		"properties": {web("src/main/resources/application.properties", "spring.application.name=a\nserver.port=9090\n"), []string{"9090/tcp"}},
		"variable":   {web("src/main/resources/application.properties", "server.port=${PORT:8081}\n"), []string{"8081/tcp"}},
		"yaml":       {web("src/main/resources/application.yml", "spring:\n  port: 1\nserver:\n  port: 9191\n---\nserver:\n  port: 1\n"), []string{"9191/tcp"}},
		"no server":  {[]string{"pom.xml", pomText("a", pluginText("spring-boot-maven-plugin"))}, nil},
		"gradle":     {gradleFiles("plugins {\n id(\"org.springframework.boot\")\n}\ndependencies {\n implementation(\"org.springframework.boot:spring-boot-starter-webmvc\")\n}\n"), []string{"8080/tcp"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := planFor(t, java, plantest.Files(c.files...))
			require.NotNil(t, r.Plan, r.Text)
			require.Equal(t, c.want, r.Plan.Image.Expose)
		})
	}
	r := planFor(t, java+"smoke: {path: /health}\n", plantest.Files(web()...))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, 8080, r.Plan.Smoke.Port)
}

// TestMavenCommands asserts what Maven is told.
func TestMavenCommands(t *testing.T) {
	project := plantest.Files(append(twoModules("<dependencies>"+dependencyText("org.x:y:1")+"</dependencies>", propertiesText("exec.mainClass", "a.B")+"<dependencies>"+dependencyText("com.acme:core:1.0")+"</dependencies>"), ".mvn/extensions.xml", "<extensions/>", "app/src/main/java/A.java", "")...)
	r := planFor(t, java+`package: :app
test: true
build:
  profiles: [prod, eu]
  properties: {skipDocs: true, revision: "{{.Version}}"}
  env: {A: b}
secrets: [settings.xml, {id: TOKEN, env: TOKEN}]
`, project)
	require.NotNil(t, r.Plan, r.Text)
	const common = "-pl app -am -P prod,eu -Drevision=1.2.3 -DskipDocs=true"
	deps := args(t, r.Plan, depsStage)
	require.Contains(t, deps, "-Dmaven.repo.local=/deps "+common+" -fn ")
	require.Contains(t, args(t, r.Plan, testStage), "-Dmaven.repo.local=/root/.m2/repository "+common+" test")
	build := args(t, r.Plan, buildStage)
	for _, want := range []string{`"-Dmaven.test.skip=true"`, `"-Dproject.build.outputTimestamp=1980-01-01T00:00:02Z"`, `"package"`, `:build-classpath -DincludeScope=runtime `, "steps java /spec/java.json /out"} {
		require.Contains(t, build, want)
	}
	require.NotContains(t, build, `"test"`)
	require.Contains(t, deps, " ./app/target/birdhouse.classpath ", "the class path is found out from the poms alone")
	require.Equal(t, "/classpath/runtime", specOf(t, r.Plan)["classPath"])

	// The dependencies are those of the poms: no source is a part of them.
	for _, m := range plantest.Stage(t, r.Plan, depsStage).Steps[0].Mounts {
		require.NotEqual(t, plan.MountSource, m.Kind)
		if m.Target == sourceDir {
			require.Equal(t, []string{"app/pom.xml", "core/pom.xml", "pom.xml", ".mvn/**"}, m.Include)
		}
	}
	for _, stage := range []string{depsStage, testStage, buildStage} {
		step := plantest.Stage(t, r.Plan, stage).Steps[0]
		require.Equal(t, "b", plantest.Value(step.Env, "A"))
		var cache, settings, token bool
		for _, m := range step.Mounts {
			cache = cache || m.Kind == plan.MountCache && m.Locked && m.CacheID == "birdhouse-java-maven-private-top"
			settings = settings || m.Kind == plan.MountSecret && m.Target == "/root/.m2/settings.xml" && !m.Optional
			token = token || m.Kind == plan.MountSecretEnv && m.Target == "TOKEN"
		}
		require.True(t, cache && settings && token, "%s: %v %v %v", stage, cache, settings, token)
	}
	require.Empty(t, r.Plan.Image.Env, "nothing of the build is in the image")

	// The build image's JDK is the toolchain that a pom asks for.
	r = planFor(t, java, plantest.Files("pom.xml", pomText("a", pluginText("maven-toolchains-plugin", "<configuration><toolchains><jdk><version>21</version></jdk></toolchains></configuration>"))))
	require.Contains(t, args(t, r.Plan, buildStage), "-gt")
	for _, stage := range []string{depsStage, buildStage} {
		var text string
		for _, m := range plantest.Stage(t, r.Plan, stage).Steps[0].Mounts {
			for _, f := range m.Files {
				if path.Join(m.Target, f.Path) == "/spec/toolchains.xml" {
					text = f.Content
				}
			}
		}
		require.Contains(t, text, "<version>21</version>", stage)
	}

	// What asks git for the revision does not run.
	r = planFor(t, java, plantest.Files("pom.xml", pomText("a", pluginText("git-commit-id-maven-plugin"))))
	require.Contains(t, r.Text, "pom.xml:6:37: warning: git-commit-id-maven-plugin does not run")
	require.Contains(t, args(t, r.Plan, buildStage), "-Dmaven.gitcommitid.skip=true")

	// Where modules use the tests of others, those are compiled.
	jars := twoModules(pluginText("maven-jar-plugin", "<executions><execution><goals><goal>test-jar</goal></goals></execution></executions>"), "")
	r = planFor(t, java+"package: :app\n", plantest.Files(jars...))
	require.Contains(t, args(t, r.Plan, buildStage), `"-DskipTests"`)
}

// TestCaches: who asks other repositories than everybody has a cache of their own.
func TestCaches(t *testing.T) {
	id := func(descriptor string, more ...string) string {
		r := planFor(t, descriptor, plantest.Files("pom.xml", pomText("a", more...)))
		require.NotNil(t, r.Plan, r.Text)
		for _, m := range plantest.Stage(t, r.Plan, buildStage).Steps[0].Mounts {
			if m.Kind == plan.MountCache {
				return m.CacheID
			}
		}
		return ""
	}
	require.Equal(t, "birdhouse-java-maven", id(java))
	require.Equal(t, "birdhouse-java-maven-private-a", id(java+"secrets: [settings.xml]\n"))
	require.Equal(t, "birdhouse-java-maven-private-a", id(java, "<repositories><repository><url>https://repo.example.com/x</url></repository></repositories>"))

	r := planFor(t, java, plantest.Files("pom.xml", pomText("a", "<repositories><repository><url>file://${project.basedir}/lib/repo</url></repository></repositories>"), "lib/repo/x", ""))
	for _, m := range plantest.Stage(t, r.Plan, depsStage).Steps[0].Mounts {
		if m.Target == sourceDir {
			require.Contains(t, m.Include, "lib/repo/**")
		}
	}
}

func TestWrapper(t *testing.T) {
	const url = "distributionUrl=https\\://repo.example.com/maven2/org/apache/maven/apache-maven/3.9.11/apache-maven-3.9.11-bin.zip\n"
	sum := strings.Repeat("0a", 32)
	project := func(properties string) fs.FS {
		return plantest.Files("pom.xml", pomText("a"), "mvnw", "", ".mvn/wrapper/maven-wrapper.properties", properties)
	}
	r := planFor(t, java, project("wrapperVersion=3.3.2\n"+url+"distributionSha256Sum="+sum+"\n"))
	require.NotNil(t, r.Plan, r.Text)
	require.Empty(t, r.Problems)
	require.Equal(t, "Maven 3.9.11", plantest.Fact(t, r.Plan, "tool").Value)
	require.Equal(t, ".mvn/wrapper/maven-wrapper.properties:2", plantest.Fact(t, r.Plan, "tool").Source)
	fetch := args(t, r.Plan, mavenStage)
	require.Contains(t, fetch, "org.apache.maven:apache-maven:3.9.11:zip:bin")
	require.Contains(t, fetch, sum)
	require.Contains(t, fetch, ".mvn/wrapper/maven-wrapper.properties:3")
	require.NotContains(t, fetch, "example.com", "it comes from where the build gets its packages")
	for _, m := range plantest.Stage(t, r.Plan, mavenStage).Steps[0].Mounts {
		require.NotEqual(t, plan.MountSource, m.Kind, "the stage is keyed by version and checksum")
	}
	require.Contains(t, args(t, r.Plan, depsStage), "/opt/maven/apache-maven-3.9.11/bin/mvn -B")

	r = planFor(t, java, project(url))
	require.NotNil(t, r.Plan, r.Text)
	require.Contains(t, r.Text, "Maven 3.9.11 is not used: there is no distributionSha256Sum")
	require.Contains(t, r.Text, "distributionSha256Sum=SHA-256 of apache-maven-3.9.11-bin.zip")
	require.Equal(t, "Maven of the build image", plantest.Fact(t, r.Plan, "tool").Value)
	require.Contains(t, args(t, r.Plan, depsStage), " mvn -B")
}

func TestDetect(t *testing.T) {
	for name, c := range map[string]struct {
		files []string
		file  string
		lines []string
	}{
		"maven":  {[]string{"pom.xml", pomText("a")}, "pom.xml", []string{"# expose: [8080]", "# test: true"}},
		"below":  {[]string{"api/pom.xml", pomText("a"), "web/package.json", "{}"}, "api/pom.xml", []string{"dir: api"}},
		"module": {twoModules("", ""), "pom.xml", []string{"# package: :core", "# package: :app"}},
		"gradle": {gradleFiles("plugins { application }\n"), "build.gradle.kts", nil},
		"both":   {append(gradleFiles("plugins { application }\n"), "pom.xml", pomText("a")), "pom.xml", []string{"# build: {tool: maven}", "# build: {tool: gradle}"}},
		"many":   {[]string{"a/pom.xml", "", "b/pom.xml", ""}, "a/pom.xml", []string{"# dir: a", "# dir: b"}},
	} {
		t.Run(name, func(t *testing.T) {
			d, ok := Language{}.Detect(plantest.Files(c.files...))
			require.True(t, ok)
			require.Equal(t, c.file, d.File)
			require.Subset(t, d.Lines, c.lines)
		})
	}
	_, ok := Language{}.Detect(plantest.Files("package.json", "{}", "Main.java", "class Main {}"))
	require.False(t, ok)
}
