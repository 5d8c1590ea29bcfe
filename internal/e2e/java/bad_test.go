package java_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// change returns a change of a file's text.
func change(file, old, new string) func(testing.TB, string) {
	return func(t testing.TB, dir string) {
		t.Helper()
		e2etest.Edit(t, filepath.Join(dir, file), old, new)
	}
}

// add returns a change that adds a file.
func add(file, text string) func(testing.TB, string) {
	return func(t testing.TB, dir string) {
		t.Helper()
		e2etest.Write(t, filepath.Join(dir, file), text)
	}
}

const class = "public class %s {\n    public static void main(String[] args) {}\n}\n"

// What a build shows of a project that cannot be built: what is wrong, and what to do.
func TestJavaBadInput(t *testing.T) {
	harness.Birdhouse(t)
	for _, c := range []struct {
		name, sample string
		changes      []func(testing.TB, string)
		// tool is what the program that fails prints, want what is said of it.
		tool, want []string
	}{
		{"a pom that does not parse", "hello", []func(testing.TB, string){change("pom.xml", "</version>", "</verson>")},
			nil, []string{"pom.xml:7", "version"}},
		{"a parent that is not there", "hello", []func(testing.TB, string){change("pom.xml", "  <groupId>com.example</groupId>", "  <parent><groupId>com.example.nowhere</groupId><artifactId>oak</artifactId><version>7</version></parent>\n  <groupId>com.example</groupId>")},
			[]string{"Non-resolvable parent POM", "com.example.nowhere:oak:pom:7", "@ line 5"}, []string{"[deps] ", "settings.xml"}},
		{"a module that is not there", "modules", []func(testing.TB, string){change("pom.xml", "<module>core</module>", "<module>cores</module>")},
			nil, []string{"pom.xml:", "cores"}},
		{"a package that is no module", "modules", []func(testing.TB, string){change("birdhouse.yaml", ":service", ":servant")},
			nil, []string{"birdhouse.yaml:2", ":servant", "did you mean \":service\"?"}},
		{"no main", "hello", []func(testing.TB, string){change("src/main/java/com/example/hello/Hello.java", "void main(", "void begin(")},
			[]string{"there is nothing to start", "build: {main: com.example.Main}"}, []string{"[build] "}},
		{"two mains", "hello", []func(testing.TB, string){add("src/main/java/Other.java", strings.ReplaceAll(class, "%s", "Other"))},
			[]string{"Other", "com.example.hello.Hello", "build: {main: "}, []string{"[build] "}},
		{"code that does not compile", "hello", []func(testing.TB, string){change("src/main/java/com/example/hello/Hello.java", "int port", "String port")},
			[]string{"Hello.java:[", "incompatible types"}, []string{"[build] "}},
		{"a test that fails", "deps", []func(testing.TB, string){change("src/main/resources/com/example/birds/birds.txt", "robin 2", "robin 3")},
			[]string{"BirdsTest.listsAll", "robin"}, []string{"[test] "}},
		{"Maven with another checksum", "wrapper", []func(testing.TB, string){change(".mvn/wrapper/maven-wrapper.properties", "Sum=0d7125", "Sum=1d7125")},
			[]string{"maven-wrapper.properties:4", "1d7125e8c91097b36edb990ea5934e6c68b4440eef4ea96510a0f6815e7eeadb", "0d7125e8c91097b36edb990ea5934e6c68b4440eef4ea96510a0f6815e7eeadb"}, []string{"maven-wrapper.properties:4: distributionSha256Sum is not that of apache-maven-3.9.11-bin.zip"}},
		{"a class that is newer than the runtime", "jar", []func(testing.TB, string){newer},
			[]string{"Birds", "Java 25", "Java 17", "version"}, []string{"birdhouse.yaml:2:10", "[build] "}},
		{"a library that needs a module that is not there", "hello", []func(testing.TB, string){add("birdhouse.yaml", "language: java\nbuild: {jlink: [java.logging]}\nsmoke: {port: 8080, path: /}\n")},
			[]string{"NoClassDefFoundError", "com/sun/net/httpserver", "is of the module jdk.httpserver, which is not in the image's Java", "build: {jlink: [java.base, java.logging, jdk.httpserver]}"}, []string{"[smoke] "}},
		{"a war that does not run by itself", "hello", []func(testing.TB, string){change("pom.xml", "<version>1.0.0</version>", "<version>1.0.0</version>\n  <packaging>war</packaging>"), add("src/main/webapp/WEB-INF/web.xml", "<web-app/>\n")},
			[]string{"servlet container"}, []string{"[build] "}},
		{"Maven and Gradle", "hello", []func(testing.TB, string){add("build.gradle", "plugins { id 'java' }\n")},
			nil, []string{"pom.xml", "build.gradle", "build: {tool: "}},
		{"a wrapper of Gradle without a checksum", "gradle", []func(testing.TB, string){change("gradle/wrapper/gradle-wrapper.properties", "distributionSha256Sum=", "other=")},
			nil, []string{"gradle-wrapper.properties", "distributionSha256Sum"}},
		{"a password in the project", "hello", []func(testing.TB, string){add(".mvn/maven.config", "-s\n.mvn/settings.xml\n"), add(".mvn/settings.xml", "<settings><servers><server><id>oak</id><username>robin</username><password>sings-at-dawn</password></server></servers></settings>\n")},
			nil, []string{".mvn/settings.xml: line 1: the password", "secrets: [settings.xml]"}},
		{"a jar that is not there", "jar", []func(testing.TB, string){change("birdhouse.yaml", "birds.jar", "bird.jar")},
			nil, []string{"birdhouse.yaml:2", "dist/bird.jar"}},
		{"a cache of the start for an old Java", "hello", []func(testing.TB, string){add("birdhouse.yaml", "language: java\nbuild: {aot: true}\n")},
			nil, []string{"aot", "25", "21"}},
		{"a Java that there is not yet", "hello", []func(testing.TB, string){change("pom.xml", ">21<", ">99<")},
			nil, []string{"pom.xml:", "99", "25"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := project(t, c.sample)
			for _, change := range c.changes {
				change(t, dir)
			}
			out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
			e2etest.Contains(t, out, c.tool...)
			said := e2etest.Said(out)
			e2etest.Contains(t, said, c.want...)
			if strings.Contains(out, "sings-at-dawn") {
				t.Errorf("the password is shown:\n%s", out)
			}
			for _, noise := range e2etest.Noise {
				if strings.Contains(said, noise) {
					t.Errorf("the error has %q in it:\n%s", noise, said)
				}
			}
			t.Logf("it says:\n%s", said)
		})
	}
}

// newer makes the class of the ready-made jar one for Java 25.
func newer(t testing.TB, dir string) {
	t.Helper()
	file := filepath.Join(dir, "dist", "birds.jar")
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	files := entries(t, data)
	const java17, java25 = "\xca\xfe\xba\xbe\x00\x00\x00\x3d", "\xca\xfe\xba\xbe\x00\x00\x00\x45"
	if !bytes.HasPrefix(files["Birds.class"], []byte(java17)) {
		t.Fatal("the sample's class is not one for Java 17")
	}
	copy(files["Birds.class"], java25)
	e2etest.Write(t, file, string(packed(t, files)))
}
