package java_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// fetched are the files of the image of testdata/tools: programs that Maven has fetched,
// and the stand-in for Gradle.
var fetched struct {
	sync.Once
	files map[string]e2etest.Member
}

func tools(t *testing.T) map[string]e2etest.Member {
	t.Helper()
	harness.Birdhouse(t)
	fetched.Do(func() {
		dir := filepath.Join(t.TempDir(), "tools")
		if err := os.CopyFS(dir, os.DirFS("testdata/tools")); err != nil {
			t.Fatal(err)
		}
		cmd := e2etest.Birdhouse(t, "build", "-t", "tools", "--progress=plain", dir)
		harness.Run(t, cmd)
		fetched.files = e2etest.Files(t, e2etest.Stored(t, "tools", ""))
	})
	if fetched.files == nil {
		t.Fatal("programs could not be fetched")
	}
	return fetched.files
}

// jar is a library of the tools, by the beginning of its file's name.
func jar(t *testing.T, prefix string) []byte {
	t.Helper()
	for name, f := range tools(t) {
		if strings.HasPrefix(name, "app/libs/"+prefix) {
			return f.Data
		}
	}
	t.Fatalf("no %s was fetched", prefix)
	return nil
}

// entries are the files of a jar.
func entries(t testing.TB, data []byte) map[string][]byte {
	t.Helper()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, f := range r.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err := errors.Join(err, in.Close()); err != nil {
			t.Fatal(err)
		}
		out[f.Name] = text
	}
	return out
}

// packed is a jar of files.
func packed(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, name := range names {
		f, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write(files[name]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Programs of other people, as the repository has them: a jar each, that birdhouse is
// told nothing of but its name.
func TestJavaPrograms(t *testing.T) {
	for _, p := range []struct {
		// jar begins its file's name.
		jar string
		// args start it; PORT in them and in env is a free port.
		args, env []string
		// files are in the image beside it.
		files map[string]string
		// A server is asked for path, and answers what has want in it. Others get input,
		// and print that.
		path, input, want string
		layers            []string
	}{
		{jar: "h2-", args: []string{"-web", "-webPort", "PORT", "-webAllowOthers"}, path: "/", want: "H2 Console"},
		{jar: "wiremock-standalone-", args: []string{"--port", "PORT", "--disable-banner", "--root-dir", "/tmp"}, path: "/__admin/mappings", want: `"total" : 0`},
		{jar: "greenmail-standalone-", env: []string{"JAVA_TOOL_OPTIONS=-Dgreenmail.smtp.hostname=127.0.0.1 -Dgreenmail.smtp.port=OTHER -Dgreenmail.api.hostname=127.0.0.1 -Dgreenmail.api.port=PORT"},
			path: "/api/service/readiness", want: "Service running"},
		// It was made by Spring Boot's plugin, and is taken apart.
		{jar: "zipkin-server-", env: []string{"QUERY_PORT=PORT"}, path: "/health", want: `"status" : "UP"`, layers: []string{"libs/*.jar jvm.* resources/** classes/**"}},
		// It needs the compiler's modules, and packages that the manifest opens.
		{jar: "google-java-format-", args: []string{"-"}, input: "class A{int  b( ){return 1;}}", want: "class A {\n  int b() {\n    return 1;\n  }\n}\n"},
		{jar: "antlr4-", args: []string{"-depend", "/app/Nest.g4"}, files: map[string]string{"Nest.g4": "grammar Nest;\nnest : BIRD+ EOF ;\nBIRD : [a-z]+ ;\n"}, want: "NestParser.java : /app/Nest.g4"},
	} {
		t.Run(strings.Trim(p.jar, "-"), func(t *testing.T) {
			files := map[string]string{"program.jar": string(jar(t, p.jar))}
			descriptor := "language: java\nversion: \"21\"\npackage: program.jar\n"
			port, other := e2etest.FreePort(t), e2etest.FreePort(t)
			ports := strings.NewReplacer("PORT", fmt.Sprint(port), "OTHER", fmt.Sprint(other))
			if len(p.args) > 0 {
				descriptor += fmt.Sprintf("cmd: [%s]\n", ports.Replace(`"`+strings.Join(p.args, `", "`)+`"`))
			}
			for name, text := range p.files {
				files[name] = text
				descriptor += fmt.Sprintf("copy: [\"%s:/app/%[1]s\"]\n", name)
			}
			files["birdhouse.yaml"] = descriptor
			name, _ := e2etest.Build(t, e2etest.Project(t, files))
			var flags []string
			for _, e := range p.env {
				name, value, _ := strings.Cut(e, "=")
				flags = append(flags, "-e", name+"="+ports.Replace(value))
			}
			if p.path != "" {
				s := start(t, name, port, flags...)
				if got := s.Get(t, p.path); !strings.Contains(got, p.want) {
					t.Errorf("it answers %.300q, without %q", got, p.want)
				}
				// How long they take to end, and with which code, is theirs to decide; the signal reaches them.
				s.Stop(t)
				if got := s.Cmd.ProcessState.ExitCode(); got != 143 && got != 0 {
					t.Errorf("it ended with code %d\n%s", got, s.Out)
				}
			} else {
				cmd := e2etest.Birdhouse(t, slices.Concat([]string{"run", "-i"}, readOnly(t), []string{name})...)
				var out, stderr bytes.Buffer
				cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(p.input), &out, &stderr
				if err := cmd.Run(); err != nil {
					t.Fatalf("%s: %v\n%s%s", cmd, err, &out, &stderr)
				}
				if !strings.Contains(out.String(), p.want) {
					t.Errorf("it prints %.300q, without %q\n%s", &out, p.want, &stderr)
				}
			}
			img := e2etest.Stored(t, name, "")
			layers := laidOut(t, img)
			if p.layers != nil {
				has(t, layers, p.layers)
			}
			t.Logf("the image has %d bytes, its runtime the modules %q", size(t, img), modules(t, img, "21"))
		})
	}
}

// A project that an archetype makes: a server of Jersey, as its authors begin one, for a
// Java that no compiler of today knows any more but that of 17.
func TestJavaArchetype(t *testing.T) {
	const root = "archetype-resources/"
	port := e2etest.FreePort(t)
	files := map[string]string{"birdhouse.yaml": fmt.Sprintf("language: java\nexpose: [%d]\n", port)}
	values := strings.NewReplacer("${groupId}", "com.example", "${artifactId}", "quickstart", "${version}", "1.0", "${package}", "com.example.nest", "$package", "com.example.nest",
		"localhost:8080", fmt.Sprintf("localhost:%d", port))
	for name, text := range entries(t, jar(t, "jersey-quickstart-grizzly2-")) {
		if file, ok := strings.CutPrefix(name, root); ok && file != "" && !strings.HasSuffix(file, "/") {
			file = strings.Replace(file, "/java/", "/java/com/example/nest/", 1)
			files[file] = values.Replace(string(text))
		}
	}
	if len(files) != 5 {
		t.Fatalf("the archetype has %d files", len(files)-1)
	}
	name, _ := e2etest.Build(t, e2etest.Project(t, files))
	cmd := e2etest.Birdhouse(t, slices.Concat([]string{"run", "-i"}, readOnly(t), []string{name})...)
	// It ends when its input does.
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	s := e2etest.Serve(t, port, cmd)
	if got := s.Get(t, "/myapp/myresource"); got != "Got it!" {
		t.Errorf("it answers %q", got)
	}
	s.Stop(t)
	if got := s.Cmd.ProcessState.ExitCode(); got != 143 {
		t.Errorf("it ended with code %d\n%s", got, s.Out)
	}
	img := e2etest.Stored(t, name, "")
	has(t, laidOut(t, img), []string{"libs/*.jar", "jvm.* resources/**", "classes/com/example/nest/*.class"})
	modules(t, img, "17")
}
