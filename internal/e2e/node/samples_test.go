package node_test

import (
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// nodeSample is a project of testdata/node and what its image must do.
type nodeSample struct {
	name string
	// want is what the program answers for /.
	want string
	// files are those of /app but node_modules, modules the packages in its
	// node_modules; nil is anything.
	files, modules []string
	// says must be in the build's output, not what must not.
	says, not []string
}

var nodeSamples = []nodeSample{
	{name: "bare", want: "hello from node", files: []string{"server.js"}, not: []string{"npm ci"}},
	{name: "odd", want: "robin true --loud", files: []string{"early.js", "package.json", "server.js"}},
	{name: "types", want: "waited 3000", files: []string{"greeting.ts", "package.json", "server.ts"}, modules: []string{"ms"}},
	{name: "typescript", want: "waited 2000", files: []string{"dist/main.js", "package.json"}, modules: []string{"ms"}, says: []string{"[build] npm run build"}},
	{name: "pnpm", want: "waited 4000", files: []string{"package.json", "server.js"}, modules: []string{"ms"}, says: []string{"pnpm install --frozen-lockfile"}},
	{name: "prebuilt", want: "907060870", files: []string{"package.json", "server.js"}, modules: []string{"@node-rs/crc32", "@node-rs/crc32-linux-x64-gnu"}},
	{name: "compiled", want: "x86", files: []string{"package.json", "server.js"}, modules: []string{"buildcheck", "cpu-features", "nan"}},
	{name: "npm-workspaces", want: "waited 1000", files: workspaceFiles, modules: []string{"@acme/api", "@acme/lib", "has-flag", "ms"}},
	{name: "pnpm-workspaces", want: "waited 1000", files: workspaceFiles},
	{name: "yarn1-workspaces", want: "waited 1000", files: workspaceFiles},
	{name: "berry-workspaces", want: "waited 1000", files: workspaceFiles, modules: []string{"@acme/api", "@acme/lib", "has-flag", "ms"}},
	{name: "bundle", want: "hello from a bundle", files: []string{"pages/hello.txt", "server.cjs", "server.cjs.map"}, modules: []string{}, says: []string{"one file with its dependencies"}},
	{name: "nest", want: "Hello World!", says: []string{"[build] npm run build"}, files: []string{
		"dist/app.controller.js", "dist/app.controller.js.map", "dist/app.module.js", "dist/app.module.js.map", "dist/app.service.js", "dist/app.service.js.map", "dist/main.js", "dist/main.js.map", "package.json",
	}},
	{name: "astro", want: "<!DOCTYPE html><h1>hello from GET /</h1>", says: []string{"[build] npm run build", "files for browsers"}},
	{name: "berry-pnp", want: "waited 1000"},
}

// workspaceFiles are those of the samples with a workspace. The program and the
// package that it needs are there, the others not.
var workspaceFiles = []string{"apps/api/package.json", "apps/api/server.js", "packages/lib/index.js", "packages/lib/package.json"}

// nodeElsewhere are the samples that other tests build.
var nodeElsewhere = map[string]string{
	"express": "TestNodeExpress",
	"git":     "TestNodeGit",
	"vite":    "TestNodeSite",
	"next":    "TestNodeFrameworks", "nuxt": "TestNodeFrameworks", "sveltekit": "TestNodeFrameworks", "react-router": "TestNodeFrameworks",
	"next-export": "TestNodeNextExport",
	"angular":     "TestNodeStarters", "vite-react": "TestNodeStarters", "vite-vue": "TestNodeStarters", "vite-svelte": "TestNodeStarters",
}

// Every sample is built and started, answers, and ends when it is told to.
func TestNodeSamples(t *testing.T) {
	for _, s := range nodeSamples {
		t.Run(s.name, func(t *testing.T) {
			name, out := e2etest.Build(t, nodeProject(t, s.name))
			for _, text := range s.says {
				if !strings.Contains(out, text) {
					t.Errorf("the build does not say %q:\n%s", text, out)
				}
			}
			for _, text := range s.not {
				if strings.Contains(out, text) {
					t.Errorf("the build says %q:\n%s", text, out)
				}
			}
			p := e2etest.Start(t, name, "--read-only")
			if got := p.Get(t, "/"); got != s.want {
				t.Errorf("the program answers %q, want %q", got, s.want)
			}
			p.Ends(t, 0, 143)
			files, modules := nodeFiles(t, e2etest.Stored(t, name, ""))
			if s.files != nil && !slices.Equal(files, s.files) {
				t.Errorf("the image has %q, want %q", files, s.files)
			}
			if s.modules != nil && !slices.Equal(modules, s.modules) {
				t.Errorf("the image has the packages %q, want %q", modules, s.modules)
			}
		})
	}
}

// nodeProject is a sample, with a descriptor that says on which port it answers if it
// has none.
func nodeProject(t *testing.T, name string) string {
	t.Helper()
	dir := e2etest.Sample(t, "node/"+name)
	if _, err := os.Stat(filepath.Join(dir, "birdhouse.yaml")); errors.Is(err, fs.ErrNotExist) {
		e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\nexpose: [3000]\n")
	}
	return dir
}

func TestNodeSamplesAreComplete(t *testing.T) {
	harness.Birdhouse(t)
	known := map[string]bool{}
	for _, s := range nodeSamples {
		known[s.name] = true
	}
	for name := range nodeElsewhere {
		known[name] = true
	}
	e2etest.SamplesAreBuilt(t, "node", known)
}

// nodeFiles are the files below /app that the image has beside those of packages,
// and the packages at the top. All files must be root's and of the epoch, and none
// be what only installations and builds need.
func nodeFiles(t *testing.T, img v1.Image) (files, modules []string) {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]e2etest.Member{}
	for _, l := range layers {
		// The runtime has nothing there.
		if size, err := l.Size(); err != nil {
			t.Fatal(err)
		} else if size > 30<<20 {
			continue
		}
		for name, f := range e2etest.Members(t, l) {
			if name == "app" || strings.HasPrefix(name, "app/") {
				found[strings.TrimPrefix(name, "app/")] = f
			}
		}
	}
	e2etest.Modes(t, found)
	for name, f := range found {
		base := filepath.Base(name)
		if slices.Contains([]string{".package-lock.json", ".yarn-state.yml", ".yarn-integrity", ".modules.yaml", "package-lock.json", "yarn.lock", "pnpm-lock.yaml", ".npmrc", ".cache", "birdhouse.yaml"}, base) {
			t.Errorf("the image has %s", name)
		}
		if f.Mode&0o022 != 0 && f.Linkname == "" {
			t.Errorf("others may write to %s", name)
		}
		if module, ok := strings.CutPrefix(name, "node_modules/"); ok {
			parts := strings.Split(module, "/")
			if strings.HasPrefix(parts[0], "@") && len(parts) > 1 {
				parts[0] += "/" + parts[1]
			}
			if !strings.HasPrefix(parts[0], ".") && (!strings.HasPrefix(parts[0], "@") || strings.Contains(parts[0], "/")) {
				modules = append(modules, parts[0])
			}
			continue
		}
		if !f.FileInfo().IsDir() && !strings.Contains(name, "node_modules/") {
			files = append(files, name)
		}
	}
	slices.Sort(files)
	slices.Sort(modules)
	return files, slices.Compact(modules)
}

// A server on npm's most used package: what it runs as, and what an edit costs.
func TestNodeExpress(t *testing.T) {
	dir := nodeProject(t, "express")
	name, out := e2etest.Build(t, dir)
	e2etest.Contains(t, out, "[deps] npm ci", "[test]", "dependencies  sometimes", "init ")
	p := e2etest.Start(t, name, "--read-only")
	if got := p.Get(t, "/"); got != "hello from express" {
		t.Errorf("/ answers %q", got)
	}
	e2etest.Contains(t, p.Get(t, "/env"), `"mode":"production"`, `"user":65532`, `"dir":"/app"`)
	p.Ends(t, 0, 143)
	before := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))

	// Another version, another script, a changed source: dependencies stay.
	e2etest.Edit(t, filepath.Join(dir, "package.json"), `"version": "1.0.0"`, `"version": "1.0.1"`)
	e2etest.Edit(t, filepath.Join(dir, "package.json"), `"node --test"`, `"node --test --test-reporter=dot"`)
	e2etest.Edit(t, filepath.Join(dir, "server.js"), "hello from express", "hello again")
	_, out = e2etest.Build(t, dir)
	if step := "[deps] npm ci"; !e2etest.IsCached(out, step) {
		t.Errorf("%s is not cached after an edit:\n%s", step, out)
	}
	if strings.Contains(out, "[prod]") {
		t.Errorf("what is installed already is installed once more:\n%s", out)
	}
	after := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	if n := len(before.Layers); len(after.Layers) != n || !slices.Equal(before.Layers[:n-1], after.Layers[:n-1]) || before.Layers[n-1] == after.Layers[n-1] {
		t.Errorf("an edit is to change the last layer alone: %q became %q", before.Layers, after.Layers)
	}

	// A test that fails keeps the image from being made.
	e2etest.Edit(t, filepath.Join(dir, "server.test.js"), "isOdd(1)", "isOdd(2)")
	e2etest.Contains(t, e2etest.Said(e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", dir))), "birdhouse.yaml:3:", "test")
}

// A bundle of a workspace's package has the package of the workspace that it needs in
// it, and of each dependency the version that each of them gets.
func TestNodeBundleOfWorkspace(t *testing.T) {
	dir := nodeProject(t, "npm-workspaces")
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\npackage: \"@acme/api\"\nexpose: [3000]\nbuild: {bundle: true}\n")
	name, _ := e2etest.Build(t, dir)
	p := e2etest.Start(t, name, "--read-only")
	if got := p.Get(t, "/"); got != "waited 1000" {
		t.Errorf("the program answers %q", got)
	}
	p.Ends(t, 0, 143)
	files, modules := nodeFiles(t, e2etest.Stored(t, name, ""))
	if want := []string{"apps/api/server.cjs"}; !slices.Equal(files, want) || len(modules) > 0 {
		t.Errorf("the image has %q and the packages %q, want %q alone", files, modules, want)
	}
}

// A site needs no Node: its files are served with their types, told how long they
// may be kept, and compressed.
func TestNodeSite(t *testing.T) {
	dir := nodeProject(t, "vite")
	port := e2etest.FreePort(t)
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\nexpose: [8080]\n")
	e2etest.Write(t, filepath.Join(dir, "public", ".secret"), "for nobody")
	e2etest.Write(t, filepath.Join(dir, "public", "long.txt"), strings.Repeat("a bird ", 1000))
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "8080", strconv.Itoa(port))
	name, out := e2etest.Build(t, dir)
	e2etest.Contains(t, out, "[build] npm run build", "lighttpd", "files with a hash in their names")
	if strings.Contains(out, "node-2") {
		t.Errorf("Node is in the image:\n%s", out)
	}
	p := e2etest.Serve(t, port, e2etest.Birdhouse(t, "run", "--read-only", name))
	page := p.Get(t, "/")
	e2etest.Contains(t, page, "<title>birds</title>")
	_, script, _ := strings.Cut(page, `src="`)
	script, _, _ = strings.Cut(script, `"`)
	if !strings.HasPrefix(script, "/assets/") {
		t.Fatalf("the page has no script: %s", page)
	}
	const pages, hashed = "no-cache", "public, max-age=31536000, immutable"
	for _, c := range []struct {
		path, encoding string
		status         int
		kind, caching  string
	}{
		{"/", "", 200, "text/html; charset=utf-8", pages},
		{"/birds/robin", "", 200, "text/html; charset=utf-8", pages},
		{"/robots.txt", "", 200, "text/plain; charset=utf-8", pages},
		{script, "", 200, "text/javascript", hashed},
		{"/long.txt", "br", 200, "text/plain; charset=utf-8", pages},
		{"/long.txt", "gzip", 200, "text/plain; charset=utf-8", pages},
		{"/healthz", "", 200, "", pages},
		{"/missing.js", "", 404, "", ""},
		{"/assets/", "", 200, "", ""},
		{"/.secret", "", 403, "", ""},
	} {
		req, err := http.NewRequest(http.MethodGet, p.Addr+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c.encoding != "" {
			req.Header.Set("Accept-Encoding", c.encoding)
		}
		res, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		h := res.Header
		if res.StatusCode != c.status || c.kind != "" && h.Get("Content-Type") != c.kind || c.caching != "" && h.Get("Cache-Control") != c.caching || h.Get("Content-Encoding") != c.encoding {
			t.Errorf("%s in %q: %s %v", c.path, c.encoding, res.Status, h)
		}
		if strings.Contains(string(body), "nobody") || c.encoding != "" && len(body) > 1000 {
			t.Errorf("%s in %q has %d bytes: %.60s", c.path, c.encoding, len(body), body)
		}
	}
	// It ends also when somebody has asked before and may ask again, and when
	// somebody is in the middle of a question.
	p.Get(t, "/")
	half, err := net.Dial("tcp", strings.TrimPrefix(p.Addr, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer half.Close()
	if _, err := io.WriteString(half, "GET / HTTP/1.1\r\nHost:"); err != nil {
		t.Fatal(err)
	}
	p.Ends(t, 0)
	config, err := e2etest.Stored(t, name, "").ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.StopSignal != "SIGINT" {
		t.Errorf("it is stopped by %q", config.Config.StopSignal)
	}
}

// Prebuilt addons are those of the image's architecture, which is never run. What
// would have to be compiled for it is named.
func TestNodeOtherPlatform(t *testing.T) {
	name, _ := e2etest.Build(t, nodeProject(t, "prebuilt"), "--platform", "linux/arm64")
	_, modules := nodeFiles(t, e2etest.Stored(t, name, "arm64"))
	if want := []string{"@node-rs/crc32", "@node-rs/crc32-linux-arm64-gnu"}; !slices.Equal(modules, want) {
		t.Errorf("the image has the packages %q, want %q", modules, want)
	}
	if _, err := os.Stat("/proc/sys/fs/binfmt_misc/qemu-aarch64"); err == nil {
		return // This machine compiles for the other architecture.
	}
	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", "--platform", "linux/arm64", nodeProject(t, "compiled")))
	e2etest.Contains(t, out, "cpu-features may compile native code when it is installed", "build on a machine of that architecture")
}
