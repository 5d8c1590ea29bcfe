package java_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// sample is a project of testdata/java and what its image must do.
type sample struct {
	name string
	// serves says that it answers HTTP; others print and end.
	serves bool
	// path is what it is asked for; "" is /.
	path string
	// want is what the program answers, or prints.
	want string
	// version is the Java that the image has.
	version string
	// layers are the program's (has).
	layers []string
	// small says that nothing refers to java.desktop, which is large.
	small bool
	// says must be in the build's output, not what must not.
	says, not []string
}

var samples = []sample{
	{name: "deps", serves: true, version: "17", want: `[{"name":"robin","count":2},{"name":"wren","count":1}]`,
		layers: []string{"libs/*.jar", "jvm.* resources/**", "classes/com/example/birds/*.class"},
		says:   []string{"Tests run: 1, Failures: 0"}, not: []string{"libs/lombok", "libs/junit"}},
	{name: "shaded", small: true, version: "25", want: `["robin","wren"]`, layers: []string{"jvm.* *.jar"}, says: []string{"one layer"}},
	{name: "spring-war", serves: true, path: "/servlet", version: "21", want: "<p>hello from a war</p>",
		layers: []string{"WEB-INF/lib/*.jar WEB-INF/lib-provided/*.jar org/springframework/boot/loader/**", "jvm.* META-INF/MANIFEST.MF META-INF/services/* WEB-INF/*.idx WEB-INF/classes/application.properties index.html", "WEB-INF/classes/com/example/aviary/*.class"}},
	{name: "quarkus", serves: true, version: "21", want: "hello from quarkus",
		layers: []string{"lib/boot/*.jar lib/main/*.jar", "app/*.jar jvm.* quarkus-run.jar quarkus/*"}},
	{name: "modules", small: true, serves: true, version: "21", want: "robin, swift, wren",
		layers: []string{"libs/*.jar", "libs/core-2.0-SNAPSHOT.jar", "jvm.* resources/**", "classes/com/example/modules/service/*.class"}, not: []string{"apps/broken"}},
	{name: "kotlin", small: true, serves: true, version: "21", want: "2 robin, 1 wren",
		layers: []string{"libs/*.jar", "jvm.* **", "classes/com/example/*.class"}},
	{name: "wrapper", small: true, version: "25", want: "built by Maven 3.9.11", layers: []string{"jvm.* resources/**", "classes/Wrapper.class"}},
	{name: "jar", small: true, version: "17", want: "wren"},
}

// elsewhere are the samples that other tests build.
var elsewhere = map[string]string{"hello": "TestJavaHello", "spring-boot": "TestJavaSpringBoot", "gradle": "TestJavaGradle", "gradle-boot": "TestJavaGradle"}

// Every sample is built and started, answers, and ends when it is told to.
func TestJavaSamples(t *testing.T) {
	for _, s := range samples {
		t.Run(s.name, func(t *testing.T) {
			dir := project(t, s.name)
			port := 0
			if s.serves {
				port = listenOn(t, dir)
			}
			name, out := e2etest.Build(t, dir)
			e2etest.Contains(t, out, s.says...)
			if s.serves {
				p := start(t, name, port)
				if got := p.Get(t, "/"+strings.TrimPrefix(s.path, "/")); got != s.want {
					t.Errorf("the program answers %q, want %q", got, s.want)
				}
				p.Ends(t, 143)
			} else if got := e2etest.Answer(t, name, readOnly(t)); got != s.want {
				t.Errorf("the program prints %q, want %q", got, s.want)
			}
			img := e2etest.Stored(t, name, "")
			layers := laidOut(t, img)
			if s.layers != nil {
				has(t, layers, s.layers)
			}
			for _, text := range s.not {
				if strings.Contains(out, text) || strings.Contains(fmt.Sprint(names(layers)), text) {
					t.Errorf("%q is in the build's output or in the image:\n%s\n%q", text, out, names(layers))
				}
			}
			if got := modules(t, img, s.version); !slices.Contains(got, "java.base") || slices.Contains(got, "java.desktop") && s.small {
				t.Errorf("the runtime has the modules %q", got)
			}
			for file, m := range layers[len(layers)-1] {
				if filepath.Ext(file) == ".jar" && s.name != "jar" {
					made(t, file, m.Data)
				}
			}
		})
	}
}

func TestJavaSamplesAreComplete(t *testing.T) {
	harness.Birdhouse(t)
	known := map[string]bool{}
	for _, s := range samples {
		known[s.name] = true
	}
	for name := range elsewhere {
		known[name] = true
	}
	e2etest.SamplesAreBuilt(t, "java", known)
}
