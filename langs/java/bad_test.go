package java

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/internal/plantest"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// specOf is what the step that lays the program out is told.
func specOf(t *testing.T, p *plan.Plan) map[string]any {
	t.Helper()
	for _, m := range plantest.Stage(t, p, buildStage).Steps[0].Mounts {
		for _, f := range m.Files {
			if path.Join(m.Target, f.Path) == "/spec/java.json" {
				spec := map[string]any{}
				require.NoError(t, json.Unmarshal([]byte(f.Content), &spec))
				return spec
			}
		}
	}
	t.Fatal("there is no specification")
	return nil
}

func TestBad(t *testing.T) {
	modules := "<packaging>pom</packaging>\n<modules>\n<module>nowhere</module>\n</modules>"
	noSum := "distributionUrl=https\\://repo.example.com/gradle-9.1.0-bin.zip\n"
	for name, c := range map[string]struct {
		descriptor string
		files      []string
		want       []string
	}{
		"nothing":          {java, []string{"a.txt", ""}, []string{"birdhouse.yaml:1:", "there is no pom.xml and no build.gradle in the build context"}},
		"no such dir":      {java + "dir: api\n", []string{"pom.xml", pomText("a")}, []string{"birdhouse.yaml:2:6", `"api" is not a folder`}},
		"both":             {java, append(gradleFiles("plugins { application }\n"), "pom.xml", pomText("a")), []string{"both Maven and Gradle", "build: {tool: maven}", "build: {tool: gradle}"}},
		"tool":             {java + "build: {tool: mavn}\n", []string{"pom.xml", pomText("a")}, []string{"birdhouse.yaml:2:15", `"mavn" builds no Java`, "maven"}},
		"other tool":       {java + "build: {tool: gradle}\n", []string{"pom.xml", pomText("a")}, []string{"there is no build.gradle.kts in the build context"}},
		"not XML":          {java, []string{"pom.xml", "<project>\n<version>1</versoin>\n</project>"}, []string{"pom.xml:2:", "this is no XML that Maven can read", "versoin"}},
		"entity":           {java, []string{"pom.xml", "<!DOCTYPE project [<!ENTITY a \"b\">]>\n<project>\n<version>&a;</version></project>"}, []string{"pom.xml:3:", "invalid character entity"}},
		"empty":            {java, []string{"pom.xml", ""}, []string{"pom.xml:1:", "it is empty"}},
		"no pom":           {java, []string{"pom.xml", "<settings/>"}, []string{"pom.xml:1:", "it begins with <settings>"}},
		"deep":             {java, []string{"pom.xml", strings.Repeat("<a>", 100_000)}, []string{"pom.xml:1:", "larger than any file of this kind"}},
		"no module":        {java, []string{"pom.xml", pomText("top", modules)}, []string{"pom.xml:8:9", "there is no module nowhere", "nowhere/pom.xml"}},
		"wrong module":     {java + "package: :ap\n", twoModules("", ""), []string{"birdhouse.yaml:2:10", `":ap" is no module of the project`, "did you mean"}},
		"module of one":    {java + "package: :b\n", []string{"pom.xml", pomText("a")}, []string{"the project has no modules"}},
		"ambiguous":        {java, twoModules("", ""), []string{"there are 2 modules, and none says how it is started", "package: :core", "package: :app"}},
		"two programs":     {java, twoModules(propertiesText("start-class", "a.B"), propertiesText("start-class", "a.C")), []string{"there are 2 modules that could be the program", "package: :core"}},
		"pom packaging":    {java + "package: :top\n", twoModules("", ""), []string{"makes no jar: its packaging is pom", "package: :app"}},
		"two packages":     {java + "package: [\":a\", \":b\"]\n", twoModules("", ""), []string{"an image has one Java program"}},
		"own parent":       {java, []string{"pom.xml", "<project><parent><artifactId>b</artifactId><relativePath>b/pom.xml</relativePath></parent><artifactId>a</artifactId></project>", "b/pom.xml", "<project><parent><artifactId>a</artifactId></parent><artifactId>b</artifactId></project>"}, []string{"each other's parents"}},
		"no parent":        {java, []string{"pom.xml", "<project>\n<parent><artifactId>b</artifactId>\n<relativePath>../up/pom.xml</relativePath></parent><artifactId>a</artifactId></project>"}, []string{"pom.xml:3:", "the parent of this pom"}},
		"ear":              {java, []string{"pom.xml", pomText("a", "<packaging>ear</packaging>")}, []string{"pom.xml:6:12", "needs an application server"}},
		"no archive":       {java + "package: target/app.jar\n", []string{"pom.xml", pomText("a")}, []string{"birdhouse.yaml:2:10", "there is no file target/app.jar", ".dockerignore"}},
		"archive outside":  {java + "dir: a\npackage: b.jar\n", []string{"b.jar", "PK", "a/x", ""}, []string{"there is no file a/b.jar"}},
		"test of archive":  {java + "package: a.jar\ntest: true\n", []string{"a.jar", "PK"}, []string{"test: nothing is built"}},
		"version":          {java + "version: 22\n", []string{"pom.xml", pomText("a")}, []string{"birdhouse.yaml:2:10", "Java 22 is not in the catalog", "there are 17, 21, 25"}},
		"no version":       {java, []string{"pom.xml", pomText("a"), ".java-version", "system\n"}, []string{".java-version:1:1", `"system" is not a version of Java`}},
		"too new":          {java, []string{"pom.xml", pomText("a", propertiesText("maven.compiler.release", "26"))}, []string{"pom.xml:6:", "Java 26 is not in the catalog"}},
		"too old":          {java + "version: 17\n", []string{"pom.xml", pomText("a", propertiesText("maven.compiler.release", "21"))}, []string{"birdhouse.yaml:2:10", "it is compiled for Java 21 (pom.xml:6)"}},
		"file too old":     {java, []string{"pom.xml", pomText("a", propertiesText("maven.compiler.release", "21")), ".java-version", "17\n"}, []string{".java-version:1:1", "it is compiled for Java 21"}},
		"aot":              {java + "version: 21\nbuild: {aot: true}\n", []string{"pom.xml", pomText("a")}, []string{"birdhouse.yaml:3:14", "build.aot needs Java 25, and the image has 21"}},
		"main":             {java + "build: {main: com/acme/Main}\n", []string{"pom.xml", pomText("a")}, []string{`"com/acme/Main" is not the full name of a class`}},
		"module name":      {java + "build: {jlink: [\"java.base,java.sql\"]}\n", []string{"pom.xml", pomText("a")}, []string{"is not the name of a module"}},
		"password":         {java, []string{"pom.xml", pomText("a"), ".mvn/settings.xml", "<settings><servers><server><id>a</id>\n<password>hunter2</password></server></servers></settings>"}, []string{".mvn/settings.xml: line 2: the password of a repository is written into the file", "secrets: [settings.xml]"}},
		"password in URL":  {java, []string{"pom.xml", pomText("a", "<repositories><repository><url>https://me:hunter2@repo.example.com/x</url></repository></repositories>")}, []string{"pom.xml: line 6: the password of a repository is written into the file"}},
		"malformed sum":    {java, []string{"pom.xml", pomText("a"), ".mvn/wrapper/maven-wrapper.properties", "distributionUrl=https://repo.example.com/maven2/org/apache/maven/apache-maven/3.9.9/apache-maven-3.9.9-bin.zip\ndistributionSha256Sum=abc\n"}, []string{"maven-wrapper.properties:2:", "is no SHA-256"}},
		"gradle profiles":  {java + "build: {profiles: [a]}\n", gradleFiles("plugins { application }\n"), []string{"only Maven has profiles"}},
		"no wrapper":       {java, []string{"build.gradle", "plugins { id 'application' }\n"}, []string{"gradle/wrapper/gradle-wrapper.properties", "gradle wrapper"}},
		"no sum":           {java, []string{"build.gradle", "plugins { id 'application' }\n", "gradle/wrapper/gradle-wrapper.properties", noSum}, []string{"gradle-wrapper.properties:1:", "there is no distributionSha256Sum", "distributionSha256Sum=SHA-256 of gradle-9.1.0-bin.zip"}},
		"no program":       {java, gradleFiles("plugins { `java-library` }\n"), []string{"build.gradle.kts", "nothing here makes a program that runs", "plugins { application }"}},
		"no gradle module": {java + "package: :x\n", append(gradleFiles(""), "settings.gradle", ""), []string{`":x" is no module of the project`}},
		"env":              {java + "build: {env: {MAVEN_OPTS: -Xmx1g}}\n", []string{"pom.xml", pomText("a")}, []string{"MAVEN_OPTS is set by the build itself"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := planFor(t, c.descriptor, plantest.Files(c.files...))
			require.Nil(t, r.Plan)
			for _, want := range c.want {
				require.Contains(t, r.Text, want)
			}
			require.NotContains(t, r.Text, "hunter2", "a password is shown")
		})
	}
}

func TestLinkOutOfTheProject(t *testing.T) {
	files := plantest.Linked{MapFS: plantest.Files("pom.xml", pomText("a")), Name: "pom.xml"}
	r := planFor(t, java, files)
	require.Nil(t, r.Plan)
	require.Contains(t, r.Text, "pom.xml: the file cannot be read: it is a link out of the project")
}

// TestExpressions that never end, or grow without bound, cost little and are not known.
func TestExpressions(t *testing.T) {
	p, problems := parsePom("pom.xml", []byte(pomText("a", propertiesText(
		"a", "${b}", "b", "${a}", "x", "${y}${y}${y}", "y", "${z}${z}${z}", "z", strings.Repeat("${w}", 1000), "w", strings.Repeat("w", 1000), "v", "${project.artifactId}-${project.version}"))))
	require.Empty(t, problems)
	for _, text := range []string{"${a}", "${x}", "${nothing}"} {
		_, known := p.expand(text)
		require.False(t, known, text)
	}
	text, known := p.expand("${v}!")
	require.True(t, known)
	require.Equal(t, "a-1.0!", text)
}

func FuzzPom(f *testing.F) {
	f.Add(pomText("a", propertiesText("a", "${b}", "b", "1")))
	f.Add("<project><build><plugins><plugin><artifactId>${a}</artifactId></plugin></plugins></build>")
	f.Fuzz(func(t *testing.T, text string) {
		p, problems := parsePom("pom.xml", []byte(text))
		if p == nil {
			require.NotEmpty(t, problems)
			return
		}
		p.mains()
		p.dependencies()
		_, _ = p.compiledFor()
	})
}

func TestWithoutComments(t *testing.T) {
	require.Equal(t, "id 'a'      \nid 'b'", withoutComments("id 'a' //'x'\nid 'b'"))
	require.Equal(t, "a    \n   b", withoutComments("a /* \n */b"))
	require.Equal(t, "'//' ", withoutComments("'//' "))
}
