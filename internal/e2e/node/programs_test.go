package node_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// Programs of other people, as the registry has them: npm writes the lock file, and
// birdhouse is told next to nothing.

// program is a package of the registry that is a program.
type program struct {
	// pkg is its name and version, start what a user writes to start it.
	pkg, start string
	// descriptor is more of birdhouse.yaml than the language.
	descriptor string
	// files are the project's own.
	files map[string]string
	// input goes into the program, with args; want is in what it prints.
	input string
	args  []string
	want  string
	// path is what a server is asked for; its answer has want in it.
	path string
	// codes are what a server may end with that is told to.
	codes []int
}

// Each is a dependency of a project that has nothing else but the script that starts
// it, as people ship tools.
func TestNodePrograms(t *testing.T) {
	for _, p := range []program{
		{pkg: "http-server@14.1.1", start: "http-server nest -p $PORT", path: "/", want: "robin.txt", codes: []int{0}, files: map[string]string{"nest/robin.txt": "tweet"}},
		{pkg: "serve@14.2.5", start: "serve -l $PORT nest", path: "/robin.txt", want: "tweet", codes: []int{0}, files: map[string]string{"nest/robin.txt": "tweet"}},
		{pkg: "json-server@0.17.4", start: "json-server birds.json --port $PORT", path: "/birds/2", want: `"name": "wren"`, codes: []int{143}, files: map[string]string{"birds.json": `{"birds": [{"id": 1, "name": "robin"}, {"id": 2, "name": "wren"}]}`}},
		{pkg: "typescript@5.9.3", start: "tsc --noEmit --target esnext nest.js --checkJs --allowJs", want: "",
			// What the compiler knows of the language lies in declarations.
			files: map[string]string{"nest.js": "export const birds = Promise.resolve([1].findLast(n => n > 0))\n"}},
		{pkg: "svgo@4.0.0", start: "svgo -i - -o -", input: `<svg xmlns="http://www.w3.org/2000/svg"><g><path d="M0 0L10 10"/></g></svg>`, want: `<path d="m0 0 10 10"/>`},
		{pkg: "terser@5.44.0", start: "terser", args: []string{"--compress", "--mangle", "--toplevel"}, input: "const birds = 1 + 2; console.log(birds)", want: "console.log(3);"},
		{pkg: "eslint@9.38.0", start: "eslint --stdin", input: "var a = 1", want: "Unexpected var", files: map[string]string{"eslint.config.mjs": `export default [{ rules: { "no-var": "warn" } }]`},
			descriptor: "build: {output: [eslint.config.mjs]}"},
		// It has machine code, which is not compiled.
		{pkg: "sharp-cli@5.2.0", start: "sharp -f png", input: `<svg xmlns="http://www.w3.org/2000/svg" width="4" height="4"><rect width="4" height="4" fill="red"/></svg>`, want: "\x89PNG\r\n"},
		{pkg: "mocha@11.7.4", start: "mocha nest.cjs", want: "1 passing", files: map[string]string{"nest.cjs": `it("sings", () => require("node:assert").equal(1, 1))`}},
	} {
		name, version, _ := strings.Cut(p.pkg, "@")
		t.Run(name, func(t *testing.T) {
			harness.Birdhouse(t)
			port := 0
			if p.path != "" {
				port = e2etest.FreePort(t)
			}
			dir := filepath.Join(t.TempDir(), name)
			e2etest.Write(t, filepath.Join(dir, "package.json"), fmt.Sprintf(`{"private": true, "scripts": {"start": %q}, "dependencies": {%q: %q}}`,
				strings.ReplaceAll(p.start, "$PORT", fmt.Sprint(port)), name, version))
			e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\n"+p.descriptor+"\n")
			for file, text := range p.files {
				e2etest.Write(t, filepath.Join(dir, file), text)
			}
			npm(t, dir, "install", "--package-lock-only")
			image, _ := e2etest.Build(t, dir)
			p.check(t, image, port)
		})
	}
}

// Each is the project itself: its package as it is published, with its package.json.
func TestNodePackages(t *testing.T) {
	for _, p := range []program{
		{pkg: "prettier@3.6.2", args: []string{"--parser", "json"}, input: `{"birds":[1,2]}`, want: `{ "birds": [1, 2] }`},
		// The published package is built already.
		{pkg: "marked@16.4.1", descriptor: "build: {script: false}", input: "# birds", want: "<h1>birds</h1>"},
		{pkg: "uuid@13.0.0", descriptor: "build: {script: false}", args: []string{"v5", "robin", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"}, want: "-"},
		{pkg: "tiddlywiki@5.3.8", args: []string{"editions/empty", "--listen", "port=$PORT"}, path: "/", want: "<title>", codes: []int{0, 143}},
		{pkg: "sirv-cli@3.0.1", args: []string{".", "--port", "$PORT", "--host", "0.0.0.0"}, path: "/package.json", want: `"sirv-cli"`, codes: []int{0, 143}},
	} {
		name, _, _ := strings.Cut(p.pkg, "@")
		t.Run(name, func(t *testing.T) {
			harness.Birdhouse(t)
			dir := unpacked(t, p.pkg)
			e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\n"+p.descriptor+"\n")
			if name == "sirv-cli" {
				// It has dependencies, and no package is published with a lock file.
				out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "check", dir))
				e2etest.Contains(t, out, "package.json: there is no lock file", "npm install --package-lock-only")
				npm(t, dir, "install", "--package-lock-only")
			}
			port := 0
			if p.path != "" {
				port = e2etest.FreePort(t)
			}
			image, _ := e2etest.Build(t, dir)
			p.check(t, image, port)
		})
	}
}

// check starts the image and compares what it answers or prints.
func (p program) check(t *testing.T, image string, port int) {
	t.Helper()
	var args []string
	for _, a := range p.args {
		args = append(args, strings.ReplaceAll(a, "$PORT", fmt.Sprint(port)))
	}
	if p.path != "" {
		s := e2etest.Serve(t, port, e2etest.Birdhouse(t, slices.Concat([]string{"run", "--read-only", image}, args)...))
		if got := s.Get(t, p.path); !strings.Contains(got, p.want) {
			t.Errorf("%s answers %.300q, without %q", p.pkg, got, p.want)
		}
		s.Ends(t, p.codes...)
		return
	}
	if len(args) > 0 {
		// What is given takes the place of the script's own arguments.
		args = slices.Concat(strings.Fields(p.start)[min(1, len(strings.Fields(p.start))):], args)
	}
	cmd := e2etest.Birdhouse(t, slices.Concat([]string{"run", "-i", image}, args)...)
	cmd.Stdin = strings.NewReader(p.input)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	if got := string(out); !strings.Contains(got, p.want) || p.want == "" && got != "" {
		t.Errorf("%s prints %.300q, want %q", p.pkg, got, p.want)
	}
}

// npm runs this machine's npm in a folder, which asks the registry that it is set to.
func npm(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cmd := exec.Command("npm", append(args, "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error")...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
	return string(out)
}

var archive = regexp.MustCompile(`(?m)^\S+\.tgz$`)

// unpacked is a package as the registry has it.
func unpacked(t *testing.T, pkg string) string {
	t.Helper()
	dir := t.TempDir()
	name := archive.FindString(npm(t, dir, "pack", pkg))
	if name == "" {
		t.Fatalf("npm pack %s names no archive", pkg)
	}
	harness.Run(t, exec.Command("tar", "-x", "--no-same-owner", "-f", filepath.Join(dir, name), "-C", dir))
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "package")
}
