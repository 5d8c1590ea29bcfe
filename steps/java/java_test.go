package java

import (
	"archive/zip"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

var (
	own    = []string{"-XX:Flags=/app/jvm.flags"}
	birdOf = text("birds.txt", "robin ")
)

func birdsJar(t *testing.T, more ...entry) []byte {
	t.Helper()
	return zipped(t, append(more, birdOf, class(t, "com.example.Birds"))...)
}

// A plain jar is taken apart; its libraries are in the order of the class path, each
// in the layer of how often it changes.
func TestPlain(t *testing.T) {
	p := newProject(t)
	module := library(t, "com.example.core.Core")
	p.file("core/target/core-1.0.jar", module)
	jar := birdsJar(t, manifestOf("Main-Class: com.example.Birds"), text("META-INF/maven/com.example/birds/pom.properties", "#now"), text("META-INF/X.SF", "signed"))
	p.file("target/birds-1.0.jar", jar)
	p.file("target/birds-1.0-sources.jar", jar)
	p.file("target/birds-1.0-tests.jar", jar)
	one := p.file("repo/one/lib-1.0.jar", library(t, "one.One"))
	other := p.file("repo/other/lib-1.0.jar", library(t, "other.Other"))
	snap := p.file("repo/snap/snap-2.0-20251122.101112-3.jar", library(t, "snap.Snap"))
	p.classPath(snap, p.dir+"/core/target/core-1.0.jar", one, other)

	require.Equal(t, map[string][]string{
		"dependencies": {"libs/lib-1.0-2.jar", "libs/lib-1.0.jar"},
		"snapshots":    {"libs/snap-2.0-20251122.101112-3.jar"},
		"modules":      {"libs/core-1.0.jar"},
		"resources":    {"jvm.args", "jvm.flags", "resources/META-INF/MANIFEST.MF", "resources/birds.txt"},
		"classes":      {"classes/com/example/Birds.class"},
	}, p.layers())
	require.Equal(t, append(slices.Clone(own), "-cp",
		"/app/resources:/app/classes:/app/libs/snap-2.0-20251122.101112-3.jar:/app/libs/core-1.0.jar:/app/libs/lib-1.0.jar:/app/libs/lib-1.0-2.jar", "com.example.Birds"), p.args())
	require.Contains(t, p.said, "target/birds-1.0.jar starts com.example.Birds (the manifest of target/birds-1.0.jar)")
	require.Equal(t, "robin wren", p.start("wren"))

	first, err := os.ReadFile(filepath.Join(p.out, "modules/libs/core-1.0.jar"))
	require.NoError(t, err)
	require.NotEqual(t, module, first)
	lib, err := os.ReadFile(filepath.Join(p.out, "dependencies/libs/lib-1.0.jar"))
	require.NoError(t, err)
	want, err := os.ReadFile(one)
	require.NoError(t, err)
	require.Equal(t, want, lib, "what others made stays as it is")

	// Layers without an output fall into the next one.
	p.spec.Layers = []string{javaspec.Classes, javaspec.Snapshots}
	layers := p.layers()
	require.Equal(t, []string{"libs/lib-1.0-2.jar", "libs/lib-1.0.jar", "libs/snap-2.0-20251122.101112-3.jar"}, layers["snapshots"])
	require.Equal(t, []string{"classes/com/example/Birds.class", "jvm.args", "jvm.flags", "libs/core-1.0.jar", "resources/META-INF/MANIFEST.MF", "resources/birds.txt"}, layers["classes"])
	require.Len(t, layers, 2)
}

// A folder on the class path, as a build leaves that of a module which it did not
// package, becomes a jar.
func TestFolderOnClassPath(t *testing.T) {
	p := newProject(t)
	core := class(t, "core.Core")
	p.file("core/target/classes/"+core.name, core.content)
	main := compile(t, map[string]string{"Main.java": "public class Main { public static void main(String[] a) { System.out.print(core.Core.sing()); } }"}, p.dir+"/core/target/classes")
	p.file("target/main.jar", zipped(t, entries(main)...))
	p.classPath(p.dir + "/core/target/classes")
	require.Equal(t, []string{"libs/core.jar"}, p.layers()["modules"])
	require.Equal(t, "tweet", p.start())
}

// With what is learnt of a start there is no folder on the class path.
func TestAOT(t *testing.T) {
	p := newProject(t)
	p.file("target/birds.jar", birdsJar(t, manifestOf("Main-Class: com.example.Birds")))
	p.spec.AOT, p.spec.Java = true, 25
	layers := p.layers()
	require.Equal(t, []string{"app.jar"}, layers["classes"])
	require.Equal(t, append(slices.Clone(own), "-XX:AOTCache=/app/app.aot", "-XX:AOTMode=auto", "-cp", "/app/app.jar", "com.example.Birds"), p.args())
	p.spec.Java = 21
	require.ErrorContains(t, p.run(), "build.aot needs Java 25")
}

// What Java reads in the manifest of what -jar names becomes options.
func TestManifestOptions(t *testing.T) {
	p := newProject(t)
	p.file("target/birds.jar", birdsJar(t, manifestOf("Main-Class: com.exam", " ple.Birds", "Add-Opens: java.base/java.lang java.base/java.util", "Add-Exports: java.base/sun.security.x509")))
	p.layers()
	require.Equal(t, append(slices.Clone(own), "--add-exports", "java.base/sun.security.x509=ALL-UNNAMED",
		"--add-opens", "java.base/java.lang=ALL-UNNAMED", "--add-opens", "java.base/java.util=ALL-UNNAMED",
		"-cp", "/app/resources:/app/classes", "com.example.Birds"), p.args())
	require.Equal(t, "robin ", p.start())
}

// A jar with its libraries in it is one file, told by what the plugin leaves beside it,
// by its name, or by what is in it.
func TestWhole(t *testing.T) {
	lib, in := library(t, "lib.Lib"), class(t, "lib.Lib")
	main := manifestOf("Main-Class: com.example.Birds")
	for name, files := range map[string]map[string][]byte{
		"original":   {"birds.jar": birdsJar(t, main, in), "original-birds.jar": birdsJar(t, main)},
		"classifier": {"birds-jar-with-dependencies.jar": birdsJar(t, main, in), "birds.jar": birdsJar(t, main)},
		"content":    {"birds.jar": birdsJar(t, main, in)},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			for file, content := range files {
				p.file("target/"+file, content)
			}
			p.spec.Name = "birds"
			p.classPath(p.file("repo/lib.jar", lib))
			layers := p.layers()
			require.Equal(t, map[string][]string{"classes": {"app.jar"}, "resources": {"jvm.args", "jvm.flags"}}, layers)
			require.Equal(t, append(slices.Clone(own), "-jar", "/app/app.jar"), p.args())
			require.Contains(t, p.said, "warning: target/birds")
			require.Equal(t, "robin ", p.start())
			first, err := os.ReadFile(p.out + "/classes/app.jar")
			require.NoError(t, err)

			// Another class is started out of the same jar.
			p.spec.Main = "lib.Lib"
			require.ErrorContains(t, p.run(), "build.main names the main class lib.Lib, which has no method")
			p.spec.Main = "com.example.Birds"
			p.layers()
			again, err := os.ReadFile(p.out + "/classes/app.jar")
			require.NoError(t, err)
			require.Equal(t, first, again)
		})
	}
}

// What a build makes at another time and in another order comes out the same.
func TestNormalised(t *testing.T) {
	list := []entry{text("z.txt", "z"), manifestOf("A: b"), {"dir/", nil}, text("a.txt", "a"), text("a.txt", "twice")}
	write := func(list []entry) []byte {
		data := zipped(t, list...)
		j, err := readJar(bytes.NewReader(data), int64(len(data)), "x.jar")
		require.NoError(t, err)
		var out bytes.Buffer
		require.NoError(t, writeJar(&out, j.entries, func(name string) string { return name }))
		return out.Bytes()
	}
	got := write(list)
	slices.Reverse(list[:4])
	require.Equal(t, got, write(list))
	z, err := zip.NewReader(bytes.NewReader(got), int64(len(got)))
	require.NoError(t, err)
	var names []string
	for _, f := range z.File {
		names = append(names, f.Name)
		require.Empty(t, f.Extra, f.Name)
		require.Empty(t, f.Comment, f.Name)
		require.Equal(t, 1980, f.Modified.Year())
		if !isDir(f) {
			_, err := readEntry(f, 100)
			require.NoError(t, err)
		}
	}
	require.Equal(t, []string{"META-INF/MANIFEST.MF", "a.txt", "dir/", "z.txt"}, names)
}

// Of a ready-made jar the libraries are those that its manifest names.
func TestReadyMade(t *testing.T) {
	p := newProject(t)
	p.spec.Built = ""
	data := birdsJar(t, manifestOf("Main-Class: com.example.Birds"))
	p.spec.File = p.file("dist/birds.jar", data)
	require.Equal(t, map[string][]string{"classes": {"app.jar"}, "resources": {"jvm.args", "jvm.flags"}}, p.layers())
	same, err := os.ReadFile(p.out + "/classes/app.jar")
	require.NoError(t, err)
	require.Equal(t, data, same)
	require.NotContains(t, p.said, "warning")
	require.Equal(t, "robin ", p.start())

	p.file("dist/lib/one.jar", library(t, "one.One"))
	p.spec.File = p.file("dist/birds.jar", birdsJar(t, manifestOf("Main-Class: com.example.Birds", "Class-Path: . lib/one.jar")))
	require.Equal(t, []string{"libs/one.jar"}, p.layers()["dependencies"])
	require.Equal(t, "/app/resources:/app/classes:/app/libs/one.jar", p.args()[2])

	p.spec.File = p.file("dist/birds.jar", birdsJar(t, manifestOf("Main-Class: com.example.Birds", "Class-Path: ../../../etc/one.jar")))
	p.layers()
	require.Contains(t, p.said, "warning: the manifest of dist/birds.jar names ../../../etc/one.jar on its class path, which is not there")
}

func boots(t *testing.T, dir, loader string, more ...entry) []byte {
	t.Helper()
	list := []entry{
		manifestOf("Main-Class: org.springframework.boot.loader.launch."+loader, "Start-Class: com.example.Birds", "Spring-Boot-Version: 3.5.7"),
		text("META-INF/services/java.nio.file.spi.FileSystemProvider", "org.springframework.boot.loader.nio.file.NestedFileSystemProvider"),
		{"org/springframework/boot/loader/launch/", nil},
		{"org/springframework/boot/loader/launch/" + loader + ".class", library(t, "x.X")},
		text(dir+"classes/birds.txt", "robin "),
		text("META-INF/native/hint.txt", "x"),
	}
	main := class(t, "com.example.Birds")
	list = append(list, entry{dir + "classes/" + main.name, main.content})
	return zipped(t, append(list, more...)...)
}

// A Spring Boot jar is taken apart: its loader is not needed, its index has the order.
func TestBoot(t *testing.T) {
	p := newProject(t)
	module := library(t, "core.Core")
	p.file("core/target/core-1.0.jar", module)
	p.file("target/nest.jar", boots(t, "BOOT-INF/", "JarLauncher",
		entry{"BOOT-INF/lib/a-1.0.jar", library(t, "a.A")},
		entry{"BOOT-INF/lib/b-1.0.jar", library(t, "b.B")},
		entry{"BOOT-INF/lib/c-1.0-SNAPSHOT.jar", library(t, "c.C")},
		entry{"BOOT-INF/lib/core-1.0.jar", module},
		entry{"BOOT-INF/lib/ours-1.0.jar", library(t, "ours.Ours")},
		entry{"BOOT-INF/lib/spring-boot-jarmode-tools-3.5.7.jar", library(t, "mode.Mode")},
		text("BOOT-INF/classpath.idx", "- \"BOOT-INF/lib/b-1.0.jar\"\n- \"BOOT-INF/lib/a-1.0.jar\"\n- \"BOOT-INF/lib/none.jar\"\n- \"BOOT-INF/lib/c-1.0-SNAPSHOT.jar\"\n- \"BOOT-INF/lib/core-1.0.jar\"\n"),
		text("BOOT-INF/layers.idx", "- \"dependencies\":\n  - \"BOOT-INF/lib/a-1.0.jar\"\n- \"snapshot-dependencies\":\n- \"application\":\n  - \"BOOT-INF/classes/\"\n  - \"BOOT-INF/lib/ours-1.0.jar\"\n"),
	))
	p.file("target/nest.jar.original", []byte("x"))
	require.Equal(t, map[string][]string{
		"dependencies": {"libs/a-1.0.jar", "libs/b-1.0.jar"},
		"snapshots":    {"libs/c-1.0-SNAPSHOT.jar"},
		"modules":      {"libs/core-1.0.jar", "libs/ours-1.0.jar"},
		"resources":    {"jvm.args", "jvm.flags", "resources/META-INF/MANIFEST.MF", "resources/META-INF/native/hint.txt", "resources/birds.txt"},
		"classes":      {"classes/com/example/Birds.class"},
	}, p.layers())
	require.Equal(t, append(slices.Clone(own), "-cp",
		"/app/resources:/app/classes:/app/libs/b-1.0.jar:/app/libs/a-1.0.jar:/app/libs/c-1.0-SNAPSHOT.jar:/app/libs/core-1.0.jar:/app/libs/ours-1.0.jar", "com.example.Birds"), p.args())
	require.Equal(t, "robin wren", p.start("wren"))

	p.spec.AOT, p.spec.Java = true, 25
	require.Equal(t, []string{"app.jar"}, p.layers()["classes"])
	j, err := openJar(p.out+"/classes/app.jar", "app.jar")
	require.NoError(t, err)
	defer j.Close()
	require.True(t, j.hasClass("", "com.example.Birds"))
	require.False(t, j.has("org/springframework"))
}

// A war that starts by itself keeps its places.
func TestBootWar(t *testing.T) {
	p := newProject(t)
	p.file("target/nest.war", boots(t, "WEB-INF/", "WarLauncher",
		entry{"WEB-INF/lib/a-1.0.jar", library(t, "a.A")},
		entry{"WEB-INF/lib-provided/b-1.0.jar", library(t, "b.B")},
		text("index.html", "<p>birds")))
	require.Equal(t, map[string][]string{
		"dependencies": {"WEB-INF/lib/a-1.0.jar", "WEB-INF/lib-provided/b-1.0.jar", "org/springframework/boot/loader/launch/WarLauncher.class"},
		"resources":    {"META-INF/MANIFEST.MF", "META-INF/native/hint.txt", "META-INF/services/java.nio.file.spi.FileSystemProvider", "WEB-INF/classes/birds.txt", "index.html", "jvm.args", "jvm.flags"},
		"classes":      {"WEB-INF/classes/com/example/Birds.class"},
	}, p.layers())
	require.Equal(t, append(slices.Clone(own), "-cp", "/app", "org.springframework.boot.loader.launch.WarLauncher"), p.args())
	p.spec.Main = "com.example.Birds"
	require.ErrorContains(t, p.run(), "build.main: target/nest.war is started by its framework's own class")
}

func TestWar(t *testing.T) {
	p := newProject(t)
	p.file("target/nest.war", zipped(t, text("WEB-INF/web.xml", "<web-app/>"), entry{"WEB-INF/lib/a.jar", library(t, "a.A")}))
	require.EqualError(t, p.run(), "target/nest.war needs a servlet container: it has no main class; make a war that starts by itself (Spring Boot's plugin does, with its goal repackage), or a jar with a server in it")
	sql := compile(t, map[string]string{"a/Sql.java": "package a; class Sql { java.sql.Driver d; }"})
	p.file("target/nest.war", birdsJar(t, manifestOf("Main-Class: com.example.Birds"), text("WEB-INF/web.xml", "<web-app/>"), entry{"WEB-INF/lib/a.jar", zipped(t, entries(sql)...)}))
	p.spec.Link = true
	require.Equal(t, []string{"app.war"}, p.layers()["classes"])
	require.Equal(t, append(slices.Clone(own), "-jar", "/app/app.war"), p.args())
	require.Contains(t, p.modules(), "java.sql", "a library in it refers to it")
}

// Quarkus' folder is copied as it is.
func TestQuarkus(t *testing.T) {
	p := newProject(t)
	module := library(t, "core.Core")
	p.file("core/target/core-1.0.jar", module)
	p.file("target/flock.jar", birdsJar(t))
	for name, content := range map[string][]byte{
		"quarkus-run.jar":                 birdsJar(t, manifestOf("Main-Class: com.example.Birds", "Class-Path: lib/boot/b.jar")),
		"quarkus-app-dependencies.txt":    nil,
		"app/flock.jar":                   birdsJar(t),
		"quarkus/generated-bytecode.jar":  library(t, "generated.G"),
		"quarkus/quarkus-application.dat": []byte("dat"),
		"lib/boot/b.jar":                  library(t, "b.B"),
		"lib/main/a-1.0-SNAPSHOT.jar":     library(t, "a.A"),
		"lib/main/com.example.core.jar":   module,
		"lib/deployment/d.jar":            library(t, "d.D"),
	} {
		p.file("target/quarkus-app/"+name, content)
	}
	require.Equal(t, map[string][]string{
		"dependencies": {"lib/boot/b.jar"},
		"snapshots":    {"lib/main/a-1.0-SNAPSHOT.jar"},
		"modules":      {"lib/main/com.example.core.jar"},
		"resources":    {"jvm.args", "jvm.flags"},
		"classes":      {"app/flock.jar", "quarkus/generated-bytecode.jar", "quarkus/quarkus-application.dat", "quarkus-run.jar"},
	}, p.layers())
	require.Equal(t, append(slices.Clone(own), "-jar", "/app/quarkus-run.jar"), p.args())
	require.NoError(t, os.Symlink("/etc/passwd", p.dir+"/target/quarkus-app/app/link"))
	require.ErrorContains(t, p.run(), "laying out target/quarkus-app: app/link is not a file")
}

// Gradle's start script has the class path and the main class.
func TestInstallDist(t *testing.T) {
	for name, start := range map[string]string{
		"8": "exec \"$JAVACMD\" \"$@\"\nset -- \\\n        -classpath \"$CLASSPATH\" \\\n        com.example.Birds \\\n        \"$@\"\n",
		"6": "eval set -- $DEFAULT_JVM_OPTS $JAVA_OPTS $BIRDS_OPTS -classpath \"\\\"$CLASSPATH\\\"\" com.example.Birds \"$APP_ARGS\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.spec.Built = p.dir + "/build"
			jar, module := birdsJar(t), library(t, "core.Core")
			p.file("build/libs/birds-1.0.jar", jar)
			p.file("core/build/libs/core.jar", module)
			p.file("build/install/birds/lib/birds-1.0.jar", jar)
			p.file("build/install/birds/lib/core.jar", module)
			p.file("build/install/birds/lib/a.jar", library(t, "a.A"))
			p.file("build/install/birds/bin/birds.bat", []byte("@rem"))
			p.file("build/install/birds/bin/birds", []byte("#!/bin/sh\nDEFAULT_JVM_OPTS='\"-Dhome=$APP_HOME/x\" \"-Xss2m\"'\n"+
				"CLASSPATH=$APP_HOME/lib/birds-1.0.jar:$APP_HOME/lib/core.jar:$APP_HOME/lib/a.jar\n"+start))
			require.Equal(t, map[string][]string{
				"dependencies": {"libs/a.jar"},
				"modules":      {"libs/core.jar"},
				"resources":    {"jvm.args", "jvm.flags", "resources/birds.txt"},
				"classes":      {"classes/com/example/Birds.class"},
			}, p.layers())
			require.Equal(t, append(slices.Clone(own), "-Dhome=/app/x", "-Xss2m", "-cp", "/app/resources:/app/classes:/app/libs/core.jar:/app/libs/a.jar", "com.example.Birds"), p.args())
			require.Equal(t, "robin ", p.start())

			// The plan may name the folder.
			p.spec.File = p.dir + "/build/install/birds"
			require.Equal(t, []string{"classes/com/example/Birds.class"}, p.layers()["classes"])
		})
	}
}

// The main class is what the descriptor names, then the manifest, then a plugin, then
// the only one.
func TestMain(t *testing.T) {
	two := compile(t, map[string]string{
		"a/One.java":   "package a; public class One { public static void main(String[] x) {} }",
		"a/Two.java":   "package a; public class Two { public static void main(String... x) {} }",
		"a/Three.java": "package a; public class Three extends One {}",
		"a/None.java":  "package a; public class None { public void main(String[] x) {} public static int main() { return 0; } static void main(int x) {} }",
	})
	for name, tt := range map[string]struct {
		manifest, main string
		configured     []javaspec.Main
		without        []string
		want, err      string
	}{
		"descriptor":  {manifest: "a.Two", main: "a.One", want: "a.One"},
		"inherited":   {main: "a.Three", want: "a.Three"},
		"manifest":    {manifest: "a.Two", configured: []javaspec.Main{{Class: "a.One", Source: "pom.xml:3"}}, want: "a.Two"},
		"plugin":      {configured: []javaspec.Main{{Class: "b.Gone", Source: "pom.xml:2"}, {Class: "a.One", Source: "pom.xml:3"}}, want: "a.One"},
		"the only":    {without: []string{"a/One.class", "a/Three.class"}, want: "a.Two"},
		"two":         {err: "2 classes of target/m.jar have a main method, and nothing says which one starts the program: a.One, a.Two; write `build: {main: a.One}`"},
		"none":        {without: []string{"a/One.class", "a/Two.class", "a/Three.class"}, err: "there is nothing to start: none of the 1 classes of target/m.jar has a method `public static void main(String[] args)`; name the class that has one: `build: {main: com.example.Main}`"},
		"not there":   {main: "a.Onne", err: "build.main names the main class a.Onne, which is neither in target/m.jar nor in its libraries; these classes have a main method: a.One, a.Two; write `build: {main: a.One}`"},
		"no method":   {main: "a.None", err: "build.main names the main class a.None, which has no method `public static void main(String[] args)`; these classes have a main method: a.One, a.Two; write `build: {main: a.One}`"},
		"bad plugin":  {configured: []javaspec.Main{{Class: "b.Gone", Source: "pom.xml:2, exec-maven-plugin"}}, err: "pom.xml:2, exec-maven-plugin names the main class b.Gone, which is neither in target/m.jar nor in its libraries; these classes have a main method: a.One, a.Two; write `build: {main: a.One}`"},
		"in manifest": {manifest: "a.Gone", err: "the manifest of target/m.jar names the main class a.Gone, which is neither in target/m.jar nor in its libraries"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			var list []entry
			if tt.manifest != "" {
				list = append(list, manifestOf("Main-Class: "+tt.manifest))
			}
			for _, e := range entries(two) {
				if !slices.Contains(tt.without, e.name) {
					list = append(list, e)
				}
			}
			p.file("target/m.jar", zipped(t, list...))
			p.spec.Main, p.spec.Configured, p.spec.Java = tt.main, tt.configured, min(p.spec.Java, 21)
			if tt.err != "" {
				require.ErrorContains(t, p.run(), tt.err)
				return
			}
			p.layers()
			require.Equal(t, tt.want, p.args()[len(p.args())-1])
		})
	}
}

func TestSeveralPrograms(t *testing.T) {
	p := newProject(t)
	p.file("target/one.jar", birdsJar(t, manifestOf("Main-Class: com.example.Birds")))
	p.file("target/two.jar", zipped(t, manifestOf("Main-Class: lib.Lib"), text("x", "x")))
	require.ErrorContains(t, p.run(), "the build made several programs, and which one is the image's cannot be told: target/one.jar (com.example.Birds), target/two.jar (lib.Lib)")
	p.spec.Main = "com.example.Birds"
	require.NoError(t, p.run())
	p.spec.Main, p.spec.Name = "", "one"
	require.NoError(t, p.run())
	require.NoError(t, os.RemoveAll(p.dir+"/target"))
	require.EqualError(t, p.run(), "the build made no jar and no war in target: name the module that makes the program, as in `package: :MODULE`")
}

// A class that the image's Java cannot read is an error before there is an image.
func TestTooNew(t *testing.T) {
	p := newProject(t)
	p.spec.Java = 11
	p.file("target/birds.jar", birdsJar(t))
	require.ErrorContains(t, p.run(), "the class com.example.Birds in target/birds.jar is for Java ")
	require.ErrorContains(t, p.run(), ", and the image has Java 11: write `version: ")
	require.ErrorContains(t, p.run(), "<maven.compiler.release>11</maven.compiler.release>")

	old := compileWith(t, []string{"--release", "11"}, map[string]string{"com/example/Birds.java": birds, "lib/Lib.java": "package lib; public class Lib {}"})
	p.file("target/birds.jar", zipped(t, entry{"com/example/Birds.class", old["com/example/Birds.class"]}, birdOf))
	require.NoError(t, p.run())
	p.classPath(p.file("repo/lib.jar", library(t, "lib.Lib")))
	require.ErrorContains(t, p.run(), "the library lib.jar (lib.Lib in it) is for Java ")

	// Newer classes for newer versions of Java are no harm.
	p.file("repo/lib.jar", zipped(t, entry{"lib/Lib.class", old["lib/Lib.class"]}, manifestOf("Multi-Release: true"), entry{"META-INF/versions/17/lib/Lib.class", class(t, "lib.Lib").content}))
	require.NoError(t, p.run())
}

// What JAVA_TOOL_OPTIONS says counts more than what the image does.
func TestFlags(t *testing.T) {
	p := newProject(t)
	const source = `public class Main { public static void main(String[] a) throws Exception {
		var bean = java.lang.management.ManagementFactory.getPlatformMXBean(com.sun.management.HotSpotDiagnosticMXBean.class);
		System.out.println(bean.getVMOption("MaxRAMPercentage").getValue() + " " + bean.getVMOption("ExitOnOutOfMemoryError").getValue()); } }`
	p.file("target/m.jar", zipped(t, entries(compile(t, map[string]string{"Main.java": source}))...))
	p.layers()
	require.Contains(t, p.start(), "75.0 true")
	t.Setenv("JAVA_TOOL_OPTIONS", "-XX:MaxRAMPercentage=50 -XX:-ExitOnOutOfMemoryError")
	require.Contains(t, p.start(), "50.0 false")
}

func TestSupported(t *testing.T) {
	for java, want := range map[int]int{8: 17, 17: 17, 18: 21, 21: 21, 22: 25, 25: 25, 26: 29} {
		require.Equal(t, want, supported(java), java)
	}
}

// Java 25 starts what older versions do not; of two kinds the old one counts.
func TestInstanceMain(t *testing.T) {
	classes := compile(t, map[string]string{"New.java": "class New { void main() {} }", "Old.java": "class Old { public static void main(String[] a) {} }"})
	p := newProject(t)
	p.file("target/m.jar", zipped(t, entry{"New.class", classes["New.class"]}))
	p.spec.Java = 25
	p.layers()
	require.Equal(t, "New", p.args()[len(p.args())-1])
	p.spec.Java = 21
	require.ErrorContains(t, p.run(), "there is nothing to start")
	p.file("target/m.jar", zipped(t, entries(classes)...))
	p.spec.Java = 25
	p.layers()
	require.Equal(t, "Old", p.args()[len(p.args())-1])
}

func TestQuote(t *testing.T) {
	require.Equal(t, "-Dx=y", quote("-Dx=y"))
	require.Equal(t, `"/app/libs/my lib.jar"`, quote("/app/libs/my lib.jar"))
	require.Equal(t, `"a\\b\"c#"`, quote(`a\b"c#`))
	p := newProject(t)
	p.file("target/birds.jar", birdsJar(t))
	p.classPath(p.file("repo/my lib#1.jar", library(t, "lib.Lib")))
	p.layers()
	require.Equal(t, "robin a b", p.start("a b"))
}

// The modules are at least those that the JDK's own tool finds.
func TestModulesAgainstJdeps(t *testing.T) {
	home, _ := jdk(t)
	sources := map[string]string{
		"Http.java":   "public class Http { public static void main(String[] a) throws Exception { com.sun.net.httpserver.HttpServer.create(); } }",
		"Sql.java":    "class Sql { java.sql.Connection c; Object o = new javax.script.ScriptEngineManager(); }",
		"Types.java":  "class Types { java.util.List<? extends javax.naming.Context> list; java.rmi.Remote[][] m(java.util.prefs.Preferences p) throws javax.xml.stream.XMLStreamException { return null; } }",
		"Lambda.java": "class Lambda { java.util.function.Supplier<Object> s = java.beans.Introspector::getBeanInfoSearchPath; }",
		"Deprec.java": "@javax.annotation.processing.SupportedOptions(\"x\") class Deprec { Class<?> c = java.net.http.HttpClient[].class; }",
		"Sun.java":    "class Sun { Object o() { return sun.misc.Unsafe.class; } }",
	}
	p := newProject(t)
	file := p.file("target/m.jar", zipped(t, entries(compile(t, sources))...))
	p.spec.Link = true
	require.NoError(t, p.run())
	out, err := exec.Command(home+"/bin/jdeps", "--ignore-missing-deps", "--print-module-deps", "--multi-release", "base", file).Output()
	require.NoError(t, err)
	want := strings.Split(strings.TrimSpace(string(out)), ",")
	require.Contains(t, want, "java.desktop")
	require.Subset(t, p.modules(), want)
}

func TestModules(t *testing.T) {
	bodies := map[string]string{
		"nothing":    "System.out.println();",
		"http":       "com.sun.net.httpserver.HttpServer.create();",
		"named":      "String s = \"javax.sql.rowset.RowSetFactory\", tool = \"jdk.jshell.JShell\";",
		"files":      "java.nio.file.FileSystems.getDefault();",
		"reflection": "Class.forName(a[0]);",
		"encrypted":  "new java.net.URL(a[0]).openStream();",
		"database":   "java.sql.DriverManager.getDrivers();",
	}
	sources := map[string]string{
		"desktop/Lib.java": "package desktop; class Lib { java.awt.Point p; }",
		"rmi/Lib.java":     "package rmi; class Lib { java.rmi.Remote r; }",
		"script/Lib.java":  "package script; class Lib { javax.script.Bindings b; }",
	}
	for name, body := range bodies {
		sources[name+"/Main.java"] = "package " + name + "; public class Main { public static void main(String[] a) throws Exception { " + body + " } }"
	}
	classes := compile(t, sources)
	build := func(t *testing.T, name string) *project {
		p := newProject(t)
		p.spec.Link = true
		p.file("target/m.jar", zipped(t, entry{name + "/Main.class", classes[name+"/Main.class"]}))
		return p
	}
	for name, want := range map[string][]string{
		"nothing": {"java.base"},
		"http":    {"java.base", "jdk.httpserver"},
		"named":   {"java.base", "java.sql.rowset"},
		"files":   {"java.base", "jdk.zipfs"},
	} {
		t.Run(name, func(t *testing.T) {
			p := build(t, name)
			require.NoError(t, p.run())
			require.Equal(t, want, p.modules())
		})
	}
	t.Run("reflection", func(t *testing.T) {
		p := build(t, "reflection")
		require.NoError(t, p.run())
		require.Subset(t, p.modules(), safe)
		require.NotContains(t, p.modules(), "java.desktop")
	})
	t.Run("libraries", func(t *testing.T) {
		p := build(t, "nothing")
		p.classPath(p.file("repo/lib.jar", zipped(t, class(t, "lib.Lib"), text("META-INF/services/javax.script.ScriptEngineFactory", "lib.Lib"))))
		require.NoError(t, p.run())
		require.Subset(t, p.modules(), append([]string{"java.scripting"}, safe...))
		require.NotContains(t, p.modules(), "java.desktop")
	})
	t.Run("encrypted", func(t *testing.T) {
		p := build(t, "encrypted")
		p.spec.Java = 17
		if _, version := jdk(t); version > 17 {
			t.Skip("classes are for a newer Java")
		}
		require.NoError(t, p.run())
		require.Equal(t, []string{"java.base", elliptic}, p.modules())
	})
	t.Run("multi-release", func(t *testing.T) {
		p := build(t, "nothing")
		base, nine, future := classes["desktop/Lib.class"], classes["rmi/Lib.class"], classes["script/Lib.class"]
		list := []entry{manifestOf("Multi-Release: true"), {"lib/Lib.class", base}, {"META-INF/versions/9/lib/Lib.class", nine}, {"META-INF/versions/99/lib/Lib.class", future}}
		p.classPath(p.file("repo/lib.jar", zipped(t, list...)))
		require.NoError(t, p.run())
		require.Contains(t, p.modules(), "java.rmi")
		require.NotContains(t, p.modules(), "java.desktop")
		require.NotContains(t, p.modules(), "java.scripting")
		p.file("repo/lib.jar", zipped(t, list[1:]...))
		require.NoError(t, p.run())
		require.Contains(t, p.modules(), "java.desktop")
		require.NotContains(t, p.modules(), "java.rmi")
	})
	t.Run("exactly", func(t *testing.T) {
		p := build(t, "database")
		p.spec.LinkModules = []string{"java.logging"}
		require.NoError(t, p.run())
		require.Equal(t, []string{"java.base", "java.logging"}, p.modules())
		require.Contains(t, p.said, "warning: build.jlink leaves out the module java.sql, which the code refers to (database.Main, for java.sql.DriverManager)")
		p.spec.LinkModules = []string{"java.squl"}
		require.ErrorContains(t, p.run(), `build.jlink: Java `)
		require.ErrorContains(t, p.run(), ` has no module "java.squl"; it has java.base, `)
	})
	t.Run("described", func(t *testing.T) {
		lib := compile(t, map[string]string{"module-info.java": "module m { requires java.rmi; requires static java.compiler; }", "m/M.java": "package m; class M {}"})
		p := build(t, "nothing")
		p.classPath(p.file("repo/lib.jar", zipped(t, entries(lib)...)))
		require.NoError(t, p.run())
		require.Contains(t, p.modules(), "java.rmi")
		require.NotContains(t, p.modules(), "java.compiler", "it is not needed when it runs")
		lib["module-info.class"] = bytes.ReplaceAll(lib["module-info.class"], []byte("java.rmi"), []byte("java.rmx"))
		p.file("repo/lib.jar", zipped(t, entries(lib)...))
		require.ErrorContains(t, p.run(), "the module m requires the module java.rmx, which neither Java ")
		p.spec.LinkModules = []string{}
		require.NoError(t, p.run(), "who names the modules has decided")
	})
}

func TestDerivedModule(t *testing.T) {
	for file, want := range map[string]string{"foo-bar-1.2.3-SNAPSHOT.jar": "foo.bar", "a_b.jar": "a.b", "jackson-core-2.20.jar": "jackson.core", "x--y.jar": "x.y"} {
		require.Equal(t, want, derivedModule(file))
	}
}

// Archives that were made to do harm, and such as are damaged, are named errors.
func TestHostileArchives(t *testing.T) {
	class := class(t, "com.example.Birds").content
	good := birdsJar(t)
	bomb := func() []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for range 3 {
			w, err := z.CreateRaw(&zip.FileHeader{Name: strings.Repeat("x", b.Len()%50+1), Method: zip.Deflate, UncompressedSize64: maxUnpacked / 2, CompressedSize64: 2})
			require.NoError(t, err)
			_, err = w.Write([]byte{3, 0})
			require.NoError(t, err)
		}
		require.NoError(t, z.Close())
		return b.Bytes()
	}()
	lies := func() []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		w, err := z.CreateRaw(&zip.FileHeader{Name: "a/A.class", Method: zip.Store, UncompressedSize64: 10, CompressedSize64: 1000})
		require.NoError(t, err)
		_, err = w.Write(make([]byte, 1000))
		require.NoError(t, err)
		require.NoError(t, z.Close())
		return b.Bytes()
	}()
	damaged := slices.Clone(good)
	copy(damaged[bytes.Index(damaged, []byte("Birds.class"))+30:], "damaged!damaged!")
	for name, tt := range map[string]struct {
		data []byte
		want string
	}{
		"empty":             {nil, "it is no jar"},
		"text":              {[]byte("not found"), "it is no jar"},
		"cut off":           {good[:len(good)-30], "it is no jar"},
		"damaged":           {damaged, "com/example/Birds.class: "},
		"climbs":            {zipped(t, text("../../etc/passwd", "x")), `its entry "../../etc/passwd" is not a path inside the jar`},
		"absolute":          {zipped(t, text("/etc/passwd", "x")), `its entry "/etc/passwd" is not a path inside the jar`},
		"backslash":         {zipped(t, text(`..\x`, "x")), `is not a path inside the jar`},
		"bomb":              {bomb, "it unpacks to more than 4 GiB"},
		"lies of its size":  {lies, "a/A.class: "},
		"class is cut off":  {zipped(t, entry{"com/example/Birds.class", class[:len(class)/2]}), "reading the class com/example/Birds.class in target/m.jar: it is cut off"},
		"class is text":     {zipped(t, text("com/example/Birds.class", "not a class")), "it does not begin as a class file does"},
		"file and folder":   {zipped(t, text("a", "x"), text("a/b", "y"), entry{"com/example/Birds.class", class}), "resources/a"},
		"endless manifest":  {zipped(t, text("META-INF/MANIFEST.MF", strings.Repeat("x", maxManifest+1))), "META-INF/MANIFEST.MF has 1048577 bytes, and may have 1048576"},
		"library of boot":   {zipped(t, manifestOf("Main-Class: org.springframework.boot.loader.launch.JarLauncher", "Start-Class: x.Y"), text("BOOT-INF/lib/a.jar", "text")), "reading a.jar: it is no jar"},
		"boot without main": {zipped(t, manifestOf("Main-Class: org.springframework.boot.loader.launch.JarLauncher"), text("BOOT-INF/lib/", "")), "there is nothing to start: none of the 0 classes of target/m.jar"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProject(t)
			p.file("target/m.jar", tt.data)
			err := p.run()
			require.ErrorContains(t, err, tt.want)
			require.Contains(t, err.Error()+p.said, "m.jar")
			require.NotContains(t, err.Error(), p.dir, "files are named as in the project")
		})
	}

	// What is no class in a library is told, and no more.
	p := newProject(t)
	p.file("target/m.jar", good)
	p.classPath(p.file("repo/lib.jar", zipped(t, text("template/A.class", "${name}"))))
	require.NoError(t, p.run())
	require.Contains(t, p.said, "warning: template/A.class in the library lib.jar is no class: it does not begin as a class file does")
	p.classPath(p.dir + "/repo/gone.jar")
	require.ErrorContains(t, p.run(), "the library repo/gone.jar is on the class path, and is not there")
}
