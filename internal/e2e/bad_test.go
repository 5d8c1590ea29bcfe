package e2e_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// bad is a project that cannot be built: the sample hello, changed.
type bad struct {
	name string
	// descriptor is the text of birdhouse.yaml.
	descriptor string
	// change makes further changes.
	change func(t testing.TB, dir string)
	// want is all that birdhouse says, "" where only parts are the same on every
	// machine.
	want  string
	parts []string
	// clients says that buildctl and buildx are tried as well.
	clients bool
	// late says that the build alone finds it, not check.
	late bool
}

const (
	minimal = "language: go\n"
	manyA   = "x, x, x, x, x, x, x, x, x"
)

var bads = []bad{
	{
		name:       "unknown, duplicate and wrong, all at once",
		descriptor: "language: go\nversoin: 1.26\nlanguage: go\nexpose: [-1]\nenv: [A]\nbuild:\n  tag: x\n",
		clients:    true,
		want: `birdhouse.yaml:2:1: unknown key "versoin"
  1 | language: go
  2 | versoin: 1.26
    | ^^^^^^^ did you mean "version"?
birdhouse.yaml:3:1: the key "language" is written twice
  2 | versoin: 1.26
  3 | language: go
    | ^^^^^^^^ the first is on line 1; remove one of the two
birdhouse.yaml:4:10: expose[0]: -1 is not a port (1–65535, or 1–65535/udp)
  3 | language: go
  4 | expose: [-1]
    |          ^^
birdhouse.yaml:5:6: env is a list where a mapping is wanted
  4 | expose: [-1]
  5 | env: [A]
    |      ^^^
    | write it as a mapping:
    | env:
    |   NAME: value
birdhouse.yaml:7:3: unknown key "tag" in build
  6 | build:
  7 |   tag: x
    |   ^^^ did you mean "tags"?
5 problems, nothing was built
`,
	},
	{
		name:       "anchors, merge keys and aliases",
		descriptor: "language: go\nenv: &e {A: b}\nlabels:\n  <<: *e\n",
		clients:    true,
		want: `birdhouse.yaml:2:6: the anchor "&e" is not allowed
  1 | language: go
  2 | env: &e {A: b}
    |      ^^ write the value out where it is needed
birdhouse.yaml:4:3: the merge key << is not allowed
  3 | labels:
  4 |   <<: *e
    |   ^^ write the keys out where they are needed
birdhouse.yaml:4:7: the alias "*e" is not allowed
  3 | labels:
  4 |   <<: *e
    |       ^^ write the value out where it is needed
3 problems, nothing was built
`,
	},
	{
		name: "aliases that blow up",
		descriptor: "language: go\nargs:\n  a: &a [" + manyA + "]\n  b: &b [" + strings.ReplaceAll(manyA, "x", "*a") + "]\n  c: &c [" + strings.ReplaceAll(manyA, "x", "*b") +
			"]\n  d: &d [" + strings.ReplaceAll(manyA, "x", "*c") + "]\n  e: &e [" + strings.ReplaceAll(manyA, "x", "*d") + "]\n  f: &f [" + strings.ReplaceAll(manyA, "x", "*e") +
			"]\n  g: &g [" + strings.ReplaceAll(manyA, "x", "*f") + "]\n  h: &h [" + strings.ReplaceAll(manyA, "x", "*g") + "]\n  i: [" + strings.ReplaceAll(manyA, "x", "*h") + "]\n",
		parts: []string{`birdhouse.yaml:3:6: the anchor "&a" is not allowed`, `the alias "*h" is not allowed`},
	},
	{
		name: "tabs", descriptor: "language: go\nenv:\n\tA: b\n", clients: true,
		want: "birdhouse.yaml:3:1: a tab in the indentation\n  2 | env:\n  3 | \tA: b\n    | ^ use spaces\n1 problem, nothing was built\n",
	},
	{
		name: "not UTF-8", descriptor: "language: go\nlabels: {a: \"\xff\xfe\"}\n", clients: true,
		want: "birdhouse.yaml:2:14: the byte 0xff is not UTF-8\n  1 | language: go\n  2 | labels: {a: \"\ufffd\ufffd\"}\n    |              ^ save the file as UTF-8\n1 problem, nothing was built\n",
	},
	{
		name: "an empty file", descriptor: "", clients: true,
		want: "birdhouse.yaml: the descriptor is empty\n    a descriptor's shortest form is one line: language: go (or java, python, node)\n1 problem, nothing was built\n",
	},
	{
		name: "two documents", descriptor: "language: go\n---\nlanguage: go\n", clients: true,
		want: `birdhouse.yaml:2:1: a second YAML document begins here
  1 | language: go
  2 | ---
    | ^
    | a descriptor is one document: remove what follows, or put it into a file of its own; several images go under ` + "`images`" + `
1 problem, nothing was built
`,
	},
	{
		name: "10 MB", descriptor: "language: go\n" + strings.Repeat("# padding\n", 1<<20),
		want: "birdhouse.yaml: the file has 10485773 bytes; a descriptor has at most 1048576\n    is this the right file? -f names the descriptor\n1 problem, nothing was built\n",
	},
	{
		name: "no mapping", descriptor: "[]\n",
		want: "birdhouse.yaml:1:1: the descriptor is a list where `key: value` lines are wanted\n  1 | []\n    | ^^\n    | a descriptor's shortest form is one line: language: go (or java, python, node)\n1 problem, nothing was built\n",
	},
	{
		name: "another language", descriptor: "language: rust\n",
		want: "birdhouse.yaml:1:11: language: \"rust\" is not a language that birdhouse knows\n  1 | language: rust\n    |           ^^^^ write one of: go, java, python, node\n1 problem, nothing was built\n",
	},
	{
		name: "paths that leave the context", descriptor: "language: go\ndir: ../x\npackage: /etc\ncopy: [\"../../etc/passwd:/x\"]\n", clients: true,
		want: `birdhouse.yaml:2:6: dir: "../x" has .. in it
  1 | language: go
  2 | dir: ../x
    |      ^^^^
    | the build sees nothing outside its context; build with a folder further up as context
birdhouse.yaml:3:10: package: "/etc" is absolute
  2 | dir: ../x
  3 | package: /etc
    |          ^^^^ paths start at the build context; write: etc
birdhouse.yaml:4:8: copy[0]: the source "../../etc/passwd" has .. in it
  3 | package: /etc
  4 | copy: ["../../etc/passwd:/x"]
    |        ^^^^^^^^^^^^^^^^^^^^^
    | the build sees nothing outside its context; build with a folder further up as context
3 problems, nothing was built
`,
	},
	{
		name: "go.mod is a link out of the project", descriptor: minimal, change: e2etest.Outside("go.mod", "module example.test/hello\n\ngo 1.26\n"), clients: true,
		want: "go.mod: the file cannot be read: go.mod is a symbolic link to ../outside, outside the project: put the file itself there\n1 problem, nothing was built\n",
	},
	{
		name: "main.go is a link out of the project", descriptor: minimal, change: e2etest.Outside("main.go", "package main\n\nfunc main() {}\n"), clients: true,
		want: "main.go: the file cannot be read: main.go is a symbolic link to ../outside, outside the project: put the file itself there\n1 problem, nothing was built\n",
	},
	{
		name: "one of the sources is a link out of the project", descriptor: minimal, change: e2etest.Outside("more.go", "package main\n"),
		want: "more.go: the file cannot be read: more.go is a symbolic link to ../outside, outside the project: put the file itself there\n1 problem, nothing was built\n",
	},
	{
		name: "a link out of the project to copy", descriptor: minimal + "copy: [data:/data]\n", change: e2etest.Outside("data", "secret\n"), clients: true, late: true,
		want: `birdhouse.yaml:2:8: layer assets failed: there is no "data" in the build context
  1 | language: go
  2 | copy: [data:/data]
    |        ^^^^^^^^^^
    | files that .dockerignore excludes are not there, nor is what a symbolic link out of the build context leads to
1 problem, nothing was built
`,
	},
	{
		name: "no such project folder", descriptor: minimal + "dir: services/api\n", clients: true,
		want: `birdhouse.yaml:2:6: dir: "services/api" is not a folder with Go files in the build context
  1 | language: go
  2 | dir: services/api
    |      ^^^^^^^^^^^^ check that .dockerignore does not exclude it
1 problem, nothing was built
`,
	},
	{
		name: "no go.mod", descriptor: minimal, change: e2etest.Remove("go.mod"),
		want: `birdhouse.yaml:1:11: there are Go files in the build context, but no go.mod
  1 | language: go
    |           ^^
    | make it a module, there, with
    | go mod init example.com/app && go mod tidy
1 problem, nothing was built
`,
	},
	{
		name: "no main", descriptor: minimal, change: func(t testing.TB, dir string) {
			e2etest.Write(t, filepath.Join(dir, "main.go"), "package hello\n")
		},
		want: `birdhouse.yaml:1:11: there is no main package in the project's folder
  1 | language: go
    |           ^^
    | an image needs a program: a folder with package main and func main; check also that .dockerignore does not exclude it
1 problem, nothing was built
`,
	},
	{
		name: "two mains", descriptor: minimal, clients: true, change: func(t testing.TB, dir string) {
			e2etest.Remove("main.go")(t, dir)
			e2etest.Write(t, filepath.Join(dir, "cmd/api/main.go"), "package main\n\nfunc main() {}\n")
			e2etest.Write(t, filepath.Join(dir, "cmd/worker/main.go"), "package main\n\nfunc main() {}\n")
		},
		want: `birdhouse.yaml:1:11: there are 2 main packages, and nothing says which one to build
  1 | language: go
    |           ^^
    | add one of
    | package: ./cmd/api
    | package: ./cmd/worker
1 problem, nothing was built
`,
	},
	{
		name: "a go.mod that does not parse", descriptor: minimal, clients: true, change: func(t testing.TB, dir string) {
			e2etest.Write(t, filepath.Join(dir, "go.mod"), "module example.test/hello\n\ngo 1.26\n\nrequires example.test/x v1.0.0\n")
		},
		want: `go.mod:5:1: unknown directive: requires
  5 | requires example.test/x v1.0.0
    | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
1 problem, nothing was built
`,
	},
	{
		name: "an argument that is not declared", descriptor: minimal + "args: {REGION: eu}\nenv: {R: \"{{.Args.REGOIN}}\"}\n",
		parts: []string{"birdhouse.yaml:3:", "REGOIN", `did you mean`, "REGION"},
	},
}

func project(t *testing.T, b bad) string {
	t.Helper()
	dir := e2etest.Sample(t, "go/hello")
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), b.descriptor)
	if b.change != nil {
		b.change(t, dir)
	}
	return dir
}

// inStore are the files of a store of images, with the names and the index.
func inStore(t *testing.T, root string) map[string]string {
	t.Helper()
	found := map[string]string{}
	dir := filepath.Join(root, "images")
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		found[path] = info.Mode().String()
		if filepath.Base(path) == "index.json" {
			data, err := os.ReadFile(path)
			found[path] += string(data)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// digest is the digest of a kept image.
func digest(t *testing.T, root, name string) string {
	t.Helper()
	cmd := e2etest.BirdhouseIn(t, root, "inspect", "--format=json", name)
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var report struct {
		Digest string `json:"digest"`
	}
	if err := json.Unmarshal(out, &report); err != nil || report.Digest == "" {
		t.Fatalf("inspect says %s, %v", out, err)
	}
	return report.Digest
}

// Every problem is reported with its place and what to write, alike by build and
// check, and nothing changes.
func TestBadInput(t *testing.T) {
	root := harness.SharedRoot(t)
	good := e2etest.Sample(t, "go/hello")
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "kept", "--progress=plain", good))
	before := inStore(t, root)
	for _, b := range bads {
		t.Run(b.name, func(t *testing.T) {
			dir := project(t, b)
			out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "kept", "-t", "never", "--progress=plain", dir))
			got := e2etest.Said(out)
			if b.want != "" {
				if diff := cmp.Diff(b.want, got); diff != "" {
					t.Errorf("build says something else:\n%s", diff)
				}
			}
			e2etest.Contains(t, got, b.parts...)
			for _, n := range e2etest.Noise {
				if strings.Contains(got, n) {
					t.Errorf("%q in:\n%s", n, got)
				}
			}
			checked := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "check", dir))
			if !b.late {
				if diff := cmp.Diff(got, checked); diff != "" {
					t.Errorf("check says something else:\n%s", diff)
				}
			}
		})
	}
	if diff := cmp.Diff(before, inStore(t, root)); diff != "" {
		t.Errorf("failed builds have changed the store:\n%s", diff)
	}
	e2etest.Fails(t, 1, e2etest.Birdhouse(t, "inspect", "never"))
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "kept", "--progress=plain", good))
}

// inClients is what docker and buildctl must show of what birdhouse says: the
// problems with their places, what to write, and the lines that are marked.
func inClients(want string) (parts []string) {
	hint := regexp.MustCompile(`^ +\| *\^* ?(.*)$`)
	line := regexp.MustCompile(`^ +(\d+) \| (.*)$`)
	// A step's place is in the excerpt that they print, not in its message.
	step := regexp.MustCompile(`^\S+:\d+:\d+: ((?:layer |\[).* failed\b.*)$`)
	lines := strings.Split(want, "\n")
	for i, l := range lines {
		switch {
		case strings.HasSuffix(l, "nothing was built"):
		case line.MatchString(l):
			if i+1 < len(lines) && strings.Contains(lines[i+1], "| ") && strings.HasPrefix(strings.TrimSpace(strings.SplitN(lines[i+1], "| ", 2)[1]), "^") {
				parts = append(parts, ">>> "+line.FindStringSubmatch(l)[2])
			}
		case hint.MatchString(l):
			parts = append(parts, strings.TrimSpace(hint.FindStringSubmatch(l)[1]))
		case step.MatchString(l):
			parts = append(parts, step.FindStringSubmatch(l)[1])
		default:
			parts = append(parts, strings.TrimSpace(l))
		}
	}
	return slices.DeleteFunc(parts, func(s string) bool { return s == "" })
}

// The same through docker and on a build farm.
func TestBadInputThroughOtherClients(t *testing.T) {
	registry := harness.Registry(t)
	daemon := harness.SharedBuildkitd(t)
	frontend := harness.FrontendImage(t, daemon, registry)
	buildx := daemon.Buildx(t)
	mirror := "BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t)
	secrets := harness.Secrets(t)
	for _, b := range bads {
		if !b.clients {
			continue
		}
		t.Run(b.name, func(t *testing.T) {
			dir := project(t, b)
			// An invalid byte is shown as it is.
			parts := slices.DeleteFunc(inClients(b.want), func(s string) bool { return strings.Contains(s, "\ufffd") })
			if len(parts) == 0 {
				t.Fatal("nothing to look for")
			}
			args := slices.Concat([]string{"build", "--progress=plain", "--provenance=false", "--build-arg", mirror, "--build-arg", "BUILDKIT_SYNTAX=" + frontend,
				"-f", filepath.Join(dir, "birdhouse.yaml"), "-t", registry + "/never", "--push", dir}, secrets)
			e2etest.Contains(t, harness.RunFails(t, buildx.Command(args...)), parts...)
			args = slices.Concat([]string{"build", "--progress=plain", "--frontend", "gateway.v0", "--opt", "source=" + frontend, "--local", "context=" + dir, "--local", "dockerfile=" + dir,
				"--opt", "build-arg:" + mirror, "--output", "type=image,name=" + registry + "/never,push=true"}, secrets)
			e2etest.Contains(t, harness.RunFails(t, daemon.Buildctl(t, args...)), parts...)
		})
	}
	e2etest.Fails(t, 1, e2etest.Birdhouse(t, "inspect", registry+"/never"))
}

// What is wrong with the command line is said before anything is built.
func TestBadCommandLine(t *testing.T) {
	dir := e2etest.Sample(t, "go/hello")
	none := filepath.Join(t.TempDir(), "none")
	file := filepath.Join(dir, "go.mod")
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"command", []string{"biuld"}, "Did you mean this?\n\tbuild"},
		{"flag", []string{"build", "--pussh", dir}, "unknown flag: --pussh; `birdhouse build --help` lists the flags"},
		{"no folder", []string{"build", none}, "there is no folder " + none},
		{"no descriptor", []string{"build", filepath.Dir(none)}, "there is no birdhouse.yaml in " + filepath.Dir(none) + "; birdhouse init writes one"},
		{"no descriptor to check", []string{"check", filepath.Dir(none)}, "birdhouse init writes one"},
		{"target", []string{"build", "--target", "biuld", dir}, `target "biuld": there is build, run; did you mean "build"?`},
		{"build argument", []string{"build", "--build-arg", "REGION=eu", dir}, `build argument "REGION" is not declared`},
		{"platform", []string{"build", "--platform", "linux/riscv64", dir}, `no images for the architecture "riscv64"; there are amd64, arm64`},
		{"system", []string{"build", "--platform", "windows/amd64", dir}, "images are for linux only"},
		{"output in a file", []string{"build", "-o", filepath.Join(file, "out"), dir}, file + "/out: not a directory"},
		{"output file in a file", []string{"build", "-o", "type=oci,dest=" + filepath.Join(file, "out.tar"), dir}, file + "/out.tar: not a directory"},
		{"output on a read-only disk", []string{"build", "-o", "/sys/out", dir}, "/sys"},
		{"secret", []string{"build", "--secret", "id=a,src=" + none, dir}, "--secret: stat " + none + ": no such file or directory\n"},
		{"no such daemon", []string{"build", "--addr", "unix://" + none, dir}, "connecting to BuildKit at unix://" + none + ": dial unix " + none + ": connect: no such file or directory; is buildkitd running there?"},
		{"a root that cannot be", []string{"build", "--root", filepath.Join(file, "root"), dir}, "making the folder for build state: mkdir " + file + ": not a directory"},
		{"a read-only root", []string{"build", "--root", "/sys/kernel/birdhouse", dir}, "making the folder for build state"},
		{"push without a name", []string{"build", "--push", dir}, "--tag REGISTRY/NAME:TAG"},
		{"image", []string{"inspect", "nowhere"}, `image "nowhere" is not in the image store`},
	} {
		t.Run(test.name, func(t *testing.T) {
			out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, test.args...))
			e2etest.Contains(t, out, test.want)
			for _, n := range e2etest.Noise {
				if strings.Contains(e2etest.Said(out), n) {
					t.Errorf("%q in:\n%s", n, out)
				}
			}
		})
	}
}

// Without the programs of the machine that it needs, the command says which and
// how to get them.
func TestMissingPrograms(t *testing.T) {
	dir := e2etest.Sample(t, "go/hello")
	for _, test := range []struct {
		args []string
		code int
		want []string
	}{
		{[]string{"build", dir}, 1, []string{"no OCI runtime on PATH", "`apt install runc`", "--addr"}},
		{[]string{"build", "--load", dir}, 1, []string{"no docker command on PATH", "birdhouse run"}},
		{[]string{"run", "kept"}, 125, []string{"neither runc nor crun is in PATH"}},
	} {
		cmd := e2etest.Birdhouse(t, test.args...)
		cmd.Env = append(cmd.Env, "PATH="+t.TempDir())
		e2etest.Contains(t, e2etest.Fails(t, test.code, cmd), test.want...)
	}
}

// A file that is there stands for a build that has succeeded.
func TestFailedBuildsLeaveNoFiles(t *testing.T) {
	dir := e2etest.Sample(t, "go/hello")
	e2etest.Write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { undefined() }\n")
	out := t.TempDir()
	old := filepath.Join(out, "old.json")
	e2etest.Write(t, old, "{}")
	e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "--metadata-file", old, "--iidfile", filepath.Join(out, "id"), "-o", "type=oci,dest="+filepath.Join(out, "image.tar"), "-o", "type=local,dest="+filepath.Join(out, "files"), dir))
	left, err := os.ReadDir(out)
	if err != nil {
		t.Fatal(err)
	}
	if len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// What a tool says is shown, and where it was asked for.
func TestCompileError(t *testing.T) {
	dir := e2etest.Sample(t, "go/hello")
	e2etest.Write(t, filepath.Join(dir, "main.go"), "package main\n\nfunc main() { undefined() }\n")
	cmd := e2etest.Birdhouse(t, "build", "--progress=plain", dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err == nil {
		t.Fatal("it was built")
	}
	e2etest.Contains(t, stderr.String(), "./main.go:3:15: undefined: undefined", "birdhouse.yaml:2:11: [build] go build . failed with exit code 1\n")
	if got := e2etest.Said(stderr.String()); strings.Count(got, "language: go") != 1 {
		t.Errorf("the descriptor is not shown once:\n%s", got)
	}
	if stdout.Len() > 0 {
		t.Errorf("on standard output: %s", &stdout)
	}
}
