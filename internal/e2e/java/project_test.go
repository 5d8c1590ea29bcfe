package java_test

import (
	"bytes"
	"crypto/sha1"
	"debug/elf"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// How large, in bytes as they are pushed, images may be.
const (
	maxHello  = 24_000_000
	maxSpring = 60_000_000
)

// A server of the JDK's own: what it runs as, how large it is, what edits cost.
func TestJavaHello(t *testing.T) {
	dir := project(t, "hello")
	port := listenOn(t, dir)
	describe(t, dir, "smoke: {path: /, output: hello, timeout: 3m}\n")
	name, _ := e2etest.Build(t, dir)
	p := start(t, name, port, "-e", "JAVA_TOOL_OPTIONS=-Dnobody=here")
	if got := p.Get(t, "/"); got != "hello from java" {
		t.Errorf("/ answers %q", got)
	}
	// Without flags for containers the heap is a quarter of the memory.
	env := regexp.MustCompile(`^java 21 /app 65532 /tmp UTF-8 heap (\d+)$`).FindStringSubmatch(p.Get(t, "/env"))
	if env == nil {
		t.Fatalf("/env answers %q", p.Get(t, "/env"))
	}
	if heap, _ := strconv.Atoi(env[1]); heap < memory(t)*6/10 {
		t.Errorf("the heap may be %d MB of %d", heap, memory(t))
	}
	p.Ends(t, 143)
	if !strings.Contains(p.Out.String(), "Picked up JAVA_TOOL_OPTIONS: -Dnobody=here") {
		t.Errorf("JAVA_TOOL_OPTIONS is not the user's: %s", p.Out)
	}
	img := e2etest.Stored(t, name, "")
	has(t, laidOut(t, img), []string{"jvm.* resources/**", "classes/com/example/hello/Hello.class"})
	if got := modules(t, img, "21"); !slices.Equal(got, []string{"java.base", "jdk.httpserver"}) {
		t.Errorf("the runtime has the modules %q", got)
	}
	if n := size(t, img); n > maxHello {
		t.Errorf("the image has %d bytes, more than %d", n, maxHello)
	} else {
		t.Logf("the image has %d bytes", n)
	}
	before := e2etest.ContentsOf(t, img)

	// An edit of the source changes the classes alone, and resolves and links nothing.
	source := filepath.Join(dir, "src/main/java/com/example/hello/Hello.java")
	e2etest.Edit(t, source, "from java", "again from java")
	_, out := e2etest.Build(t, dir)
	for _, step := range []string{"[deps] ", "[runtime] "} {
		if !e2etest.IsCached(out, step) {
			t.Errorf("%s is not cached after an edit:\n%s", step, out)
		}
	}
	onlyLast(t, before, e2etest.ContentsOf(t, e2etest.Stored(t, name, "")))

	// One of a resource changes the resources.
	before = e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	e2etest.Write(t, filepath.Join(dir, "src/main/resources/greeting.txt"), "good morning\n")
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "output: hello", "output: morning")
	e2etest.Build(t, dir)
	after := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	if n := len(before.Layers); len(after.Layers) != n || before.Layers[n-2] == after.Layers[n-2] || before.Layers[n-1] != after.Layers[n-1] || !slices.Equal(before.Layers[:n-2], after.Layers[:n-2]) {
		t.Errorf("an edit of a resource is to change the resources alone: %q became %q", before.Layers, after.Layers)
	}

	// Java 25, by the pom.
	e2etest.Edit(t, filepath.Join(dir, "pom.xml"), ">21<", ">25<")
	e2etest.Build(t, dir)
	img = e2etest.Stored(t, name, "")
	if got := modules(t, img, "25"); !slices.Equal(got, []string{"java.base", "jdk.httpserver"}) {
		t.Errorf("the runtime has the modules %q", got)
	}
	if n := size(t, img); n > maxHello {
		t.Errorf("on Java 25 the image has %d bytes, more than %d", n, maxHello)
	} else {
		t.Logf("on Java 25 the image has %d bytes", n)
	}
}

// memory is the machine's in MB.
func memory(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	total := regexp.MustCompile(`MemTotal: +(\d+) kB`).FindSubmatch(data)
	if total == nil {
		t.Fatalf("no memory in\n%s", data)
	}
	kb, err := strconv.Atoi(string(total[1]))
	if err != nil {
		t.Fatal(err)
	}
	return kb >> 10
}

// What Spring Boot makes is taken apart: libraries, resources, classes. The other
// architecture's image has the same layers but the runtime's.
func TestJavaSpringBoot(t *testing.T) {
	dir := project(t, "spring-boot")
	port := listenOn(t, dir)
	name, _ := e2etest.Build(t, dir)
	p := start(t, name, port)
	if got := p.Get(t, "/"); got != "hello from spring, robin" {
		t.Errorf("/ answers %q", got)
	}
	e2etest.Contains(t, p.Get(t, "/actuator/health"), `"status":"UP"`)
	p.Ends(t, 143)
	img := e2etest.Stored(t, name, "")
	layers := laidOut(t, img)
	has(t, layers, []string{"libs/*.jar", "jvm.* resources/**", "classes/com/example/nest/NestApplication.class"})
	if n := size(t, img); n > maxSpring {
		t.Errorf("the image has %d bytes, more than %d", n, maxSpring)
	} else {
		t.Logf("the image has %d bytes", n)
	}
	before := e2etest.ContentsOf(t, img)
	e2etest.Edit(t, filepath.Join(dir, "src/main/java/com/example/nest/NestApplication.java"), "hello from", "hello again from")
	_, out := e2etest.Build(t, dir)
	for _, step := range []string{"[deps] ", "[runtime] "} {
		if !e2etest.IsCached(out, step) {
			t.Errorf("%s is not cached after an edit:\n%s", step, out)
		}
	}
	img = e2etest.Stored(t, name, "")
	onlyLast(t, before, e2etest.ContentsOf(t, img))

	want, a := modules(t, img, "21"), e2etest.ContentsOf(t, img).Layers // the next build takes its name

	name, out = e2etest.Build(t, dir, "--platform", "linux/arm64")
	if step := "[build] "; !e2etest.IsCached(out, step) {
		t.Errorf("%s is not cached for another architecture:\n%s", step, out)
	}
	other := e2etest.Stored(t, name, "arm64")
	if got := e2etest.Machines(t, other, "usr/lib/jvm/"); !slices.Equal(got, []elf.Machine{elf.EM_AARCH64}) {
		t.Errorf("the runtime has machine code for %v", got)
	}
	if got := modules(t, other, "21"); !slices.Equal(got, want) {
		t.Errorf("the runtime has the modules %q, and %q for the machine's own architecture", got, want)
	}
	b := e2etest.ContentsOf(t, other).Layers
	if n := len(layers); !slices.Equal(a[len(a)-n:], b[len(b)-n:]) || slices.ContainsFunc(b[:len(b)-n], func(l string) bool { return slices.Contains(a, l) && l == a[len(a)-n-1] }) {
		t.Errorf("the program's layers are to be the same for every architecture, and the runtime's another: %q and %q", a, b)
	}
}

// What a start has taught is the image's last layer, and classes come out of it.
func TestJavaAOT(t *testing.T) {
	dir := project(t, "spring-boot")
	port := listenOn(t, dir)
	e2etest.Edit(t, filepath.Join(dir, "pom.xml"), "<java.version>21<", "<java.version>25<")
	describe(t, dir, "build: {aot: true}\n")
	name, _ := e2etest.Build(t, dir)
	p := start(t, name, port, "-e", "JAVA_TOOL_OPTIONS=-Xlog:class+load")
	if got := p.Get(t, "/"); got != "hello from spring, robin" {
		t.Errorf("/ answers %q", got)
	}
	p.Ends(t, 143)
	if loaded := regexp.MustCompile(`com\.example\.nest\.NestApplication source: .*`).FindString(p.Out.String()); !strings.Contains(loaded, "shared objects file") {
		t.Errorf("the program's class is not taken from the cache: %q", loaded)
	}
	if n := strings.Count(p.Out.String(), "source: shared objects file"); n < 5000 {
		t.Errorf("%d classes are taken from the cache", n)
	}
	img := e2etest.Stored(t, name, "")
	has(t, laidOut(t, img), []string{"libs/*.jar", "app.jar jvm.*", "app.aot"})

	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", "--platform", "linux/arm64", dir))
	e2etest.Contains(t, e2etest.Said(out), "aot", "linux/arm64")
}

// The runtime that the descriptor asks for: the catalog's whole one, in layers that other
// images share, and exactly some modules.
func TestJavaRuntimes(t *testing.T) {
	dir := project(t, "hello")
	port := listenOn(t, dir)
	describe(t, dir, "build: {jlink: false}\n")
	name, _ := e2etest.Build(t, dir)
	p := start(t, name, port)
	if got := p.Get(t, "/"); got != "hello from java" {
		t.Errorf("/ answers %q", got)
	}
	p.Ends(t, 143)
	img := e2etest.Stored(t, name, "")
	if got := modules(t, img, "21"); !slices.Contains(got, "java.desktop") || !slices.Contains(got, "java.rmi") {
		t.Errorf("the full runtime has the modules %q", got)
	}
	has(t, laidOut(t, img), []string{"jvm.* resources/**", "classes/com/example/hello/Hello.class"})

	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "jlink: false", "jlink: [jdk.httpserver, java.xml]")
	e2etest.Build(t, dir)
	if got := modules(t, e2etest.Stored(t, name, ""), "21"); !slices.Equal(got, []string{"java.base", "java.xml", "jdk.httpserver"}) {
		t.Errorf("the runtime has the modules %q", got)
	}
}

// The same project gives the same image from clean caches, in another folder.
func TestJavaReproducible(t *testing.T) {
	dir := project(t, "modules")
	name, _ := e2etest.Build(t, dir)
	first := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	again := project(t, "modules")
	ref := harness.Registry(t) + "/modules:1"
	harness.Run(t, e2etest.BirdhouseIn(t, t.TempDir(), "build", "--addr", harness.SharedBuildkitd(t).Address, "--progress=plain", "--push", "-t", ref, again))
	if got := e2etest.Pulled(t, ref); got.Config != first.Config {
		t.Errorf("the images differ: %+v and %+v", first, got)
	}
}

// repository serves files as a repository of Maven's, with their checksums, to those
// alone who know the password.
func repository(t *testing.T, password string, files map[string][]byte) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(e2etest.Asks("robin", password, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/maven/")
		if data, ok := files[name]; ok {
			_, _ = w.Write(data)
		} else if data, ok := files[strings.TrimSuffix(name, ".sha1")]; ok {
			fmt.Fprintf(w, "%x", sha1.Sum(data))
		} else {
			http.NotFound(w, r)
		}
	})))
	t.Cleanup(server.Close)
	return server
}

// A private repository opens for the settings of Maven: those of the secret settings.xml,
// which the command takes from the machine's by itself. The password is nowhere but there.
func TestJavaPrivateRepository(t *testing.T) {
	const password = "sings-at-dawn"
	pom := func(artifact, version string) []byte {
		return fmt.Appendf(nil, "<project><modelVersion>4.0.0</modelVersion><groupId>com.example.oak</groupId><artifactId>%s</artifactId><version>%s</version></project>", artifact, version)
	}
	server := repository(t, password, map[string][]byte{
		"com/example/oak/hollow/1.0/hollow-1.0.pom":           pom("hollow", "1.0"),
		"com/example/oak/hollow/1.0/hollow-1.0.jar":           packed(t, map[string][]byte{"hollow.txt": []byte("in the oak")}),
		"com/example/oak/wren/2-SNAPSHOT/wren-2-SNAPSHOT.pom": pom("wren", "2-SNAPSHOT"),
		"com/example/oak/wren/2-SNAPSHOT/wren-2-SNAPSHOT.jar": packed(t, map[string][]byte{"wren.txt": []byte("wren")}),
	})
	dir := e2etest.Project(t, map[string]string{
		"pom.xml": `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>com.example</groupId>
  <artifactId>nest</artifactId>
  <version>1</version>
  <properties><maven.compiler.release>21</maven.compiler.release></properties>
  <dependencies>
    <dependency><groupId>com.example.oak</groupId><artifactId>hollow</artifactId><version>1.0</version></dependency>
    <dependency><groupId>com.example.oak</groupId><artifactId>wren</artifactId><version>2-SNAPSHOT</version></dependency>
  </dependencies>
  <repositories><repository><id>oak</id><url>` + server.URL + `/maven</url></repository></repositories>
</project>
`,
		"src/main/java/Nest.java": `public class Nest {
    public static void main(String[] args) throws Exception {
        for (String name : new String[] {"/wren.txt", "/hollow.txt"}) {
            System.out.print(new String(Nest.class.getResourceAsStream(name).readAllBytes()) + " ");
        }
    }
}
`,
		"birdhouse.yaml": "language: java\n",
	})
	settings := func(file, password string) string {
		e2etest.Write(t, file, "<settings><localRepository>/nowhere/of/mine</localRepository><servers><server><id>oak</id><username>robin</username><password>"+password+"</password></server></servers></settings>")
		return "id=settings.xml,src=" + file
	}
	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", "--secret", settings(filepath.Join(t.TempDir(), "settings.xml"), "sings-at-dusk"), dir))
	e2etest.Contains(t, out, "com.example.oak:", "401", "settings.xml")
	name, out := e2etest.Build(t, dir, "--secret", settings(filepath.Join(t.TempDir(), "settings.xml"), password))
	if got := e2etest.Answer(t, name, readOnly(t)); got != "wren in the oak" {
		t.Errorf("the program prints %q", got)
	}
	img := e2etest.Stored(t, name, "")
	has(t, laidOut(t, img), []string{"libs/hollow-1.0.jar", "libs/wren-2-SNAPSHOT.jar", "jvm.* resources/**", "classes/Nest.class"})
	if strings.Contains(out, password) {
		t.Errorf("the build printed the password:\n%s", out)
	}
	for file, m := range e2etest.Files(t, img) {
		if bytes.Contains(m.Data, []byte(password)) {
			t.Errorf("%s has the password in it", file)
		}
	}

	// The machine's own settings.
	home := t.TempDir()
	settings(filepath.Join(home, ".m2", "settings.xml"), password)
	e2etest.Edit(t, filepath.Join(dir, "src/main/java/Nest.java"), `" "`, `"; "`)
	cmd := e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", "--no-cache-filter", "deps,build", dir)
	cmd.Env = append(cmd.Env, "HOME="+home)
	harness.Run(t, cmd)
	if got := e2etest.Answer(t, name, readOnly(t)); got != "wren; in the oak;" {
		t.Errorf("the program prints %q", got)
	}
}
