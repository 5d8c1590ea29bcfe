package node_test

import (
	"bytes"
	"fmt"
	"maps"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
)

// frameworkServer is a sample of which a framework writes the server.
type frameworkServer struct {
	name string
	// hashed matches the path of a script that the page loads, which has a hash in it.
	hashed *regexp.Regexp
	// modules are the packages at the top of node_modules.
	modules []string
	// sources are the endings of files that the image must not have.
	sources []string
	// repeats says that the same sources built anew, with empty caches, are the same
	// image, but for the files keys, which have keys in them that nobody may know.
	repeats bool
	keys    []string
}

var frameworkServers = []frameworkServer{
	{
		name: "next", hashed: regexp.MustCompile(`/_next/static/chunks/[^"]+\.js`), repeats: true,
		modules: []string{
			"@img/colour", "@img/sharp-libvips-linux-x64", "@img/sharp-linux-x64", "@next/env", "@swc/helpers", "client-only", "detect-libc",
			"next", "react", "react-dom", "semver", "sharp", "styled-jsx",
		},
		sources: []string{"app/page.js", "app/counter.js", "next.config.mjs"},
		keys: []string{
			".next/prerender-manifest.json", ".next/server/preview-props.json",
			".next/server/server-reference-manifest.js", ".next/server/server-reference-manifest.json",
		},
	},
	{name: "nuxt", hashed: regexp.MustCompile(`/_nuxt/[^"]+\.js`), sources: []string{".vue", "nuxt.config.ts", "server/api/birds.js"}},
	{
		name: "sveltekit", hashed: regexp.MustCompile(`/?_app/immutable/[^"]+\.js`), repeats: true,
		modules: []string{"ms"}, sources: []string{".svelte", "svelte.config.js", "app.html"},
	},
	{name: "react-router", hashed: regexp.MustCompile(`/assets/[^"]+\.js`), repeats: true, sources: []string{".jsx", "vite.config.js", "routes.js"}},
}

// The server of every framework renders its page, answers as an API, says how long
// its files may be kept, and ends when it is told to. The image has nothing of what
// built it.
func TestNodeFrameworks(t *testing.T) {
	for _, f := range frameworkServers {
		t.Run(f.name, func(t *testing.T) {
			dir := nodeProject(t, f.name)
			name, _ := e2etest.Build(t, dir)
			p := e2etest.Start(t, name, "--read-only")
			page := p.Get(t, "/")
			e2etest.Contains(t, page, "hello from ", "</html>")
			if got, want := p.Get(t, "/api/birds?name=robin"), `{"bird":"robin","mode":"production","user":65532}`; strings.Join(strings.Fields(got), "") != want {
				t.Errorf("the API answers %s, want %s", got, want)
			}
			e2etest.Contains(t, p.Get(t, "/robots.txt"), "User-agent: *")
			script := f.hashed.FindString(page)
			if script == "" {
				t.Fatalf("the page loads no script: %s", page)
			}
			script = "/" + strings.TrimPrefix(script, "/")
			h := headers(t, p.Addr+script, nil)
			if kind, keep := h.Get("Content-Type"), h.Get("Cache-Control"); !strings.Contains(kind, "javascript") || !strings.Contains(keep, "immutable") || !strings.Contains(keep, "max-age=31536000") {
				t.Errorf("%s is %q and may be kept %q", script, kind, keep)
			}
			if f.name == "next" {
				// sharp is there, and its machine code is this platform's.
				h := headers(t, p.Addr+"/_next/image?url=%2Fbird.png&w=64&q=75", http.Header{"Accept": {"image/webp"}})
				if kind := h.Get("Content-Type"); kind != "image/webp" {
					t.Errorf("an image for a browser that wants WebP is %q", kind)
				}
			}
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			p.Ends(t, 0, 143)

			built := e2etest.Stored(t, name, "")
			files, modules := nodeFiles(t, built)
			for _, file := range files {
				for _, source := range f.sources {
					// What Next makes of a source has its name.
					if strings.HasSuffix(file, source) && !strings.HasPrefix(file, ".next/") {
						t.Errorf("the image has %s", file)
					}
				}
			}
			for _, module := range modules {
				if slices.Contains([]string{"vite", "esbuild", "typescript", "@react-router/dev", "nuxt", "svelte"}, module) {
					t.Errorf("the image has the package %s", module)
				}
			}
			if f.modules != nil && !slices.Equal(modules, f.modules) {
				t.Errorf("the image has the packages %q, want %q", modules, f.modules)
			}
			if !f.repeats {
				return
			}
			_, out := e2etest.Build(t, nodeProject(t, f.name), "--no-cache-filter", "build")
			if e2etest.IsCached(out, "[build] npm run build") {
				t.Errorf("the build was not done again:\n%s", out)
			}
			same(t, built, e2etest.Stored(t, name, ""), f.keys)
		})
	}
}

// same compares the layers of two images; only these files of the last one, the
// application, may differ.
func same(t *testing.T, one, two v1.Image, but []string) {
	t.Helper()
	a, b := e2etest.ContentsOf(t, one).Layers, e2etest.ContentsOf(t, two).Layers
	last := len(a) - 1
	if len(b) != len(a) || !slices.Equal(a[:last], b[:last]) {
		t.Fatalf("the same sources became the layers %q and %q", a, b)
	}
	if a[last] == b[last] {
		return
	}
	application := func(img v1.Image) map[string]e2etest.Member {
		layers, err := img.Layers()
		if err != nil {
			t.Fatal(err)
		}
		return e2etest.Members(t, layers[last])
	}
	before, after := application(one), application(two)
	for name, f := range before {
		if !slices.Contains(but, strings.TrimPrefix(name, "app/")) && !bytes.Equal(f.Data, after[name].Data) {
			t.Errorf("%s differs from one build to the next", name)
		}
		delete(after, name)
	}
	if len(after) > 0 {
		t.Errorf("one build has more files than the other: %v", slices.Sorted(maps.Keys(after)))
	}
}

// headers are those of the answer to a GET, which must be OK.
func headers(t *testing.T, url string, asked http.Header) http.Header {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if asked != nil {
		req.Header = asked
	}
	res, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s", url, res.Status)
	}
	return res.Header
}

// Sites as create-vite begins them with React, and smaller ones with Vue and Svelte, and what `ng new` makes, whose
// bundles lie beside the page: the page loads its script and its styles, paths are the browser's, and the image has
// the site alone.
func TestNodeStarters(t *testing.T) {
	type asset struct{ path, kind, keep string }
	vite := []asset{
		{`/assets/index-[^"]+\.js`, "text/javascript", "immutable"},
		{`/assets/index-[^"]+\.css`, "text/css; charset=utf-8", "immutable"},
		{`/favicon\.svg`, "image/svg+xml", "no-cache"},
	}
	viteFiles := regexp.MustCompile(`^(assets/|(index\.html|favicon\.svg|icons\.svg)$)`)
	for _, s := range []struct {
		name   string
		assets []asset
		files  *regexp.Regexp
	}{
		{"vite-react", vite, viteFiles},
		{"vite-vue", vite, viteFiles},
		{"vite-svelte", vite, viteFiles},
		{"angular", []asset{
			{`main-[0-9A-Z]+\.js`, "text/javascript", "immutable"},
			{`styles-[0-9A-Z]+\.css`, "text/css; charset=utf-8", "immutable"},
			{`favicon\.ico`, "image/x-icon", "no-cache"},
		}, regexp.MustCompile(`^[^/]+\.(css|html|ico|js)$`)},
	} {
		t.Run(s.name, func(t *testing.T) {
			dir := nodeProject(t, s.name)
			port := e2etest.FreePort(t)
			e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), fmt.Sprintf("language: node\nexpose: [%d]\n", port))
			image, _ := e2etest.Build(t, dir)
			p := e2etest.Serve(t, port, e2etest.Birdhouse(t, "run", "--read-only", image))
			page := p.Get(t, "/")
			e2etest.Contains(t, page, "<title>"+s.name+"</title>")
			if got := p.Get(t, "/birds/robin"); got != page {
				t.Errorf("a path of the browser's is %q", got)
			}
			for _, a := range s.assets {
				file := regexp.MustCompile(a.path).FindString(page)
				if file == "" {
					t.Fatalf("the page has no %s: %s", a.path, page)
				}
				h := headers(t, p.Addr+"/"+strings.TrimPrefix(file, "/"), nil)
				if got, keep := h.Get("Content-Type"), h.Get("Cache-Control"); got != a.kind || !strings.Contains(keep, a.keep) {
					t.Errorf("%s is %q and may be kept %q", file, got, keep)
				}
				if s.name == "angular" && strings.HasSuffix(file, ".js") {
					e2etest.Contains(t, p.Get(t, "/"+file), "Welcome to ")
				}
			}
			http.DefaultTransport.(*http.Transport).CloseIdleConnections()
			p.Ends(t, 0)
			files, modules := nodeFiles(t, e2etest.Stored(t, image, ""))
			if len(modules) > 0 {
				t.Errorf("the image has the packages %q", modules)
			}
			for _, file := range files {
				if !s.files.MatchString(file) {
					t.Errorf("the image has %s", file)
				}
			}
		})
	}
}

// An edited page installs nothing, and moves nothing but what was built of it.
func TestNodeFrameworkEdit(t *testing.T) {
	dir := nodeProject(t, "react-router")
	name, _ := e2etest.Build(t, dir)
	before := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	e2etest.Edit(t, filepath.Join(dir, "app/routes/birds.js"), "bird,", "bird, again: true,")
	_, out := e2etest.Build(t, dir)
	// What the image has of packages is a layer that is there: nobody asks for its stage.
	if !e2etest.IsCached(out, "[deps] npm ci") || !e2etest.IsCached(out, "layer dependencies") {
		t.Errorf("packages are installed again after an edit:\n%s", out)
	}
	after := e2etest.ContentsOf(t, e2etest.Stored(t, name, ""))
	// Of the server alone: not even files for browsers move.
	if n := len(before.Layers) - 1; len(after.Layers) != n+1 || !slices.Equal(before.Layers[:n], after.Layers[:n]) || before.Layers[n] == after.Layers[n] {
		t.Errorf("an edit is to change the application alone: %q became %q", before.Layers, after.Layers)
	}
}

// An exported site is files: pages by their names, and no Node. Without an output
// Next's server would need all that builds it.
func TestNodeNextExport(t *testing.T) {
	dir := nodeProject(t, "next-export")
	port := e2etest.FreePort(t)
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), fmt.Sprintf("language: node\nexpose: [%d]\n", port))
	name, out := e2etest.Build(t, dir)
	if strings.Contains(out, "node-2") {
		t.Errorf("Node is in the image:\n%s", out)
	}
	p := e2etest.Serve(t, port, e2etest.Birdhouse(t, "run", "--read-only", name))
	page := p.Get(t, "/")
	e2etest.Contains(t, page, "hello from an export")
	e2etest.Contains(t, p.Get(t, "/about"), "about birds")
	e2etest.Contains(t, p.Get(t, "/about?from=test"), "about birds")
	script := regexp.MustCompile(`/_next/static/chunks/[^"]+\.js`).FindString(page)
	if keep := headers(t, p.Addr+script, nil).Get("Cache-Control"); script == "" || !strings.Contains(keep, "immutable") {
		t.Errorf("%q may be kept %q", script, keep)
	}
	res, err := http.Get(p.Addr + "/nowhere")
	if err != nil {
		t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != http.StatusNotFound {
		t.Errorf("a page that is not there is %s", res.Status)
	}
	http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	p.Ends(t, 0)

	e2etest.Edit(t, filepath.Join(dir, "next.config.mjs"), `output: "export",`, "")
	said := e2etest.Said(e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", name, "--progress=plain", dir)))
	e2etest.Contains(t, said, "next.config.mjs: Next builds a server that needs all of node_modules", `output: "standalone"`, `output: "export"`)
}
