package golang_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// `test: true` builds nothing when a test fails, and shows what the test printed.
func TestGoTestGate(t *testing.T) {
	dir := e2etest.Sample(t, "go/testfail")
	name := e2etest.ImageName(t) + ":" + unheard()
	out := harness.RunFails(t, e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", dir))
	for _, want := range []string{
		"add(1, 2) = 3, want 4",                 // the test's own words
		"--- FAIL: TestAdd",                     // Go's
		"go test ./... failed with exit code 1", // ours
		"birdhouse.yaml:3",                      // where it was asked for
		"test: true",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the failure does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "exporting") {
		t.Errorf("something was exported:\n%s", out)
	}
	notStored(t, name)

	// Go's vet is part of it.
	e2etest.Edit(t, filepath.Join(dir, "main_test.go"), "!= 4", "!= 3")
	e2etest.Edit(t, filepath.Join(dir, "main.go"), "fmt.Println(add(1, 2))", `fmt.Printf("%s\n", add(1, 2))`)
	out = harness.RunFails(t, e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", dir))
	if !strings.Contains(out, "go vet ./... failed with exit code 1") || !strings.Contains(out, "Printf format %s has arg") {
		t.Errorf("go vet's complaint is not shown:\n%s", out)
	}
	notStored(t, name)

	// A command of one's own has its own exit code.
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "test: true", "test: [go, run, ./check]")
	e2etest.Write(t, filepath.Join(dir, "check/main.go"), "package main\n\nimport \"os\"\n\nfunc main() { println(\"checked\"); os.Exit(3) }\n")
	out = harness.RunFails(t, e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", dir))
	if !strings.Contains(out, "checked") || !strings.Contains(out, "go run ./check failed with exit code") {
		t.Errorf("the command's failure is not shown:\n%s", out)
	}
	notStored(t, name)

	// The next build works.
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "test: [go, run, ./check]", "test: true")
	e2etest.Edit(t, filepath.Join(dir, "main.go"), `fmt.Printf("%s\n", add(1, 2))`, "fmt.Println(add(1, 2))")
	e2etest.Edit(t, filepath.Join(dir, "check/main.go"), "os.Exit(3)", "os.Exit(0)")
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "language: go", "language: go\npackage: .")
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", dir))
	img := e2etest.Stored(t, name, "")
	goSample{name: "testfail"}.check(t, img, "amd64")
	if got := e2etest.Answer(t, name, nil); got != "3" {
		t.Errorf("the program prints %q", got)
	}
	if c, err := img.ConfigFile(); err != nil || len(c.RootFS.DiffIDs) != 2 {
		t.Errorf("tests have added a layer: %v, %v", c.RootFS.DiffIDs, err)
	}
}

// prober is a program that can do what smoke checks look for, and that says in
// which surroundings it runs.
var prober = map[string]string{
	"go.mod": "module example.test/prober\n\ngo 1.25\n",
	"main.go": `package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case "version":
			fmt.Println("prober 1.0", run)
		case "leave":
			fmt.Println("leaving early")
			os.Exit(3)
		case "crash":
			var m map[string]int
			m["x"] = 1
		case "hang":
			fmt.Println("waiting for a database")
			time.Sleep(time.Hour)
		case "around":
			around()
		}
		return
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/tea" {
			w.WriteHeader(http.StatusTeapot)
		}
		fmt.Fprintln(w, "ready to serve", r.URL.Path)
	})
	fmt.Println("listening")
	if err := http.ListenAndServe(":8080", nil); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

func around() {
	fmt.Printf("user %d:%d\n", os.Getuid(), os.Getgid())
	fmt.Printf("MODE=%s\n", os.Getenv("MODE"))
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		fmt.Printf("interface %s\n", i.Name)
	}
	for _, dir := range []string{"/", "/app", "/etc", "/home/nonroot", "/tmp", "/data"} {
		err := os.WriteFile(dir+"/x", nil, 0o600)
		fmt.Printf("write %s %v\n", dir, err == nil)
	}
}
`,
}

// proberProject is a program that was not checked before: what a check says is
// shown when it is made, not when it comes from the cache.
func proberProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range prober {
		e2etest.Write(t, filepath.Join(dir, name), text)
	}
	e2etest.Write(t, filepath.Join(dir, "run.go"), "package main\n\nvar run = \""+unheard()+"\"\n")
	return dir
}

// smokeCases are `smoke:` sections; fails is what a failing one must say.
var smokeCases = []struct {
	name, smoke string
	env         []string
	says, fails []string
}{
	{name: "port", smoke: "smoke: {port: 8080}", says: []string{"port 8080 was open"}},
	{name: "port of expose", smoke: "expose: [8080]\nsmoke: {path: /x, output: ready to serve /x}", says: []string{"GET /x on port 8080 answered 200"}},
	{name: "status", smoke: "smoke: {port: 8080, path: /tea, status: 418}", says: []string{"answered 418"}},
	{name: "arguments", smoke: "smoke: {args: [version], output: prober 1.0}", says: []string{"the program ended with exit code 0"}},
	{name: "exit code", smoke: "smoke: {args: [leave], exit: 3, output: leaving early}", says: []string{"the program ended with exit code 3"}},
	{name: "user", smoke: "smoke: {args: [around], output: \"user 65532:65532\\n\"}"},
	{name: "environment", env: []string{"MODE=image"}, smoke: "env: {MODE: image}\nsmoke: {args: [around], output: \"MODE=image\\n\"}"},
	{name: "environment of the check", env: []string{"MODE=image"}, smoke: "env: {MODE: image}\nsmoke: {args: [around], env: {MODE: check}, output: \"MODE=check\\n\"}"},
	{name: "loopback alone, nothing writable", smoke: "volumes: [/data]\nsmoke:\n  args: [around]\n" +
		"  output: \"interface lo\\nwrite / false\\nwrite /app false\\nwrite /etc false\\nwrite /home/nonroot false\\nwrite /tmp true\\nwrite /data true\\n\""},

	{name: "wrong port", smoke: "smoke: {port: 8081, timeout: 2s}", fails: []string{"listening", "nothing listens on port 8081", "no success within 2s"}},
	{name: "wrong status", smoke: "smoke: {port: 8080, path: /tea, timeout: 5s}", fails: []string{"listening", "wanted status 200 from GET /tea", "last seen: status 418"}},
	{name: "wrong output", smoke: "smoke: {port: 8080, path: /, output: served, timeout: 5s}", fails: []string{"listening", `"served" is not in the answer`, "ready to serve /"}},
	{name: "wrong exit code", smoke: "smoke: {args: [leave]}", fails: []string{"leaving early", "wanted exit code 0, but the program ended with exit code 3"}},
	{name: "crash", smoke: "smoke: {args: [crash], port: 8080}", fails: []string{"assignment to entry in nil map", "wanted port 8080 to open, but the program ended with exit code 2"}},
	{name: "wrong text", smoke: "smoke: {args: [version], output: prober 2}", fails: []string{"prober 1.0", `wanted "prober 2"`}},
	{name: "no end", smoke: "smoke: {args: [hang], timeout: 2s}", fails: []string{"waiting for a database", "no success within 2s"}},
}

// `smoke:` starts the image inside the build, as it will run: its user, its
// environment, nothing writable, no network.
func TestGoSmokeGate(t *testing.T) {
	dir := proberProject(t)
	for _, c := range smokeCases {
		t.Run(c.name, func(t *testing.T) {
			e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\n"+c.smoke+"\n")
			name := e2etest.ImageName(t) + ":" + unheard()
			args := []string{"build", "-t", name, "--progress=plain", dir}
			if c.fails == nil {
				out := harness.Run(t, e2etest.Birdhouse(t, args...))
				for _, want := range append(c.says, "[smoke] start the image and check it") {
					if !strings.Contains(out, want) {
						t.Errorf("the build does not say %q:\n%s", want, out)
					}
				}
				goSample{name: "prober", env: c.env}.check(t, e2etest.Stored(t, name, ""), "amd64")
				return
			}
			out := harness.RunFails(t, e2etest.Birdhouse(t, args...))
			for _, want := range append(c.fails, "[smoke] start the image and check it failed with exit code 1", "birdhouse.yaml:2", c.smoke) {
				if !strings.Contains(out, want) {
					t.Errorf("the failure does not say %q:\n%s", want, out)
				}
			}
			notStored(t, name)
		})
	}
}

// The gates hold with another client and the frontend image, too: nothing is
// pushed when one fails.
func TestGoGatesBuildctl(t *testing.T) {
	registry := harness.Registry(t)
	daemon := harness.SharedBuildkitd(t)
	frontend := harness.FrontendImage(t, daemon, registry)
	common := append([]string{
		"build", "--progress=plain", "--frontend", "gateway.v0", "--opt", "source=" + frontend,
		"--opt", "build-arg:BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t),
	}, harness.Secrets(t)...)

	smoke := func(check string) func(*testing.T) string {
		return func(t *testing.T) string {
			dir := proberProject(t)
			e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\n"+check+"\n")
			return dir
		}
	}
	for _, tt := range []struct {
		name  string
		dir   func(*testing.T) string
		says  []string
		fails bool
	}{
		{"test", func(t *testing.T) string { return e2etest.Sample(t, "go/tests") }, []string{"[test 2/2] go test ./..."}, false},
		{"testfail", func(t *testing.T) string { return e2etest.Sample(t, "go/testfail") }, []string{
			"add(1, 2) = 3, want 4", "go test ./... failed with exit code 1", "birdhouse.yaml:3",
		}, true},
		{"smoke", smoke("smoke: {port: 8080, path: /, output: ready to serve}"), []string{"GET / on port 8080 answered 200"}, false},
		{"smokefail", smoke("smoke: {args: [leave]}"), []string{
			"leaving early", "wanted exit code 0, but the program ended with exit code 3", "birdhouse.yaml:2",
		}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := tt.dir(t)
			ref := registry + "/" + tt.name
			cmd := daemon.Buildctl(t, slices.Concat(common, []string{
				"--local", "context=" + dir, "--local", "dockerfile=" + dir,
				"--output", "type=image,name=" + ref + ",push=true",
			})...)
			var out string
			if tt.fails {
				out = harness.RunFails(t, cmd)
				notPushed(t, ref)
			} else {
				out = harness.Run(t, cmd)
				name := map[string]string{"test": "tests", "smoke": "prober"}[tt.name]
				goSample{name: name}.check(t, e2etest.Pull(t, ref), "amd64")
			}
			for _, want := range tt.says {
				if !strings.Contains(out, want) {
					t.Errorf("the output lacks %q:\n%s", want, out)
				}
			}
		})
	}
}
