package node_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
)

// What is wrong with a project is said with its place and what to write instead.
func TestNodeBadInput(t *testing.T) {
	for _, b := range []struct {
		name   string
		change func(t testing.TB, dir string)
		want   []string
	}{
		{"no JSON", func(t testing.TB, dir string) {
			e2etest.Write(t, filepath.Join(dir, "package.json"), `{"name": "birds",,}`)
		}, []string{"package.json:1:17: the file is not JSON"}},
		{"no script", func(t testing.TB, dir string) {
			e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\nbuild: {script: compile}\n")
		}, []string{`birdhouse.yaml:2:17: build.script: package.json has no script "compile"`, "there are: start, test"}},
		{"no file", func(t testing.TB, dir string) {
			e2etest.Edit(t, filepath.Join(dir, "package.json"), "node server.js", "node dist/server.js")
		}, []string{"package.json:6:14: scripts.start: there is no dist/server.js"}},
		{"two lock files", func(t testing.TB, dir string) {
			e2etest.Write(t, filepath.Join(dir, "pnpm-lock.yaml"), "lockfileVersion: '9.0'\n")
		}, []string{"birdhouse.yaml:1:11: there are two lock files, package-lock.json and pnpm-lock.yaml", "build: {tool: npm}", "build: {tool: pnpm}"}},
		{"no lock file", e2etest.Remove("package-lock.json"), []string{"package.json: there is no lock file", "npm install --package-lock-only"}},
		{"bun", func(t testing.TB, dir string) {
			e2etest.Write(t, filepath.Join(dir, "bun.lock"), "{}\n")
			e2etest.Remove("package-lock.json")(t, dir)
		}, []string{"bun.lock: this is a lock file of bun, which is not supported", "npm, pnpm and yarn are"}},
		{"a pipe", func(t testing.TB, dir string) {
			e2etest.Edit(t, filepath.Join(dir, "package.json"), "node server.js", "node server.js | tee log")
		}, []string{`package.json:6:14: scripts.start: "node server.js | tee log" needs a shell`, "entrypoint: [node, server.js]"}},
		{"a token", func(t testing.TB, dir string) {
			e2etest.Write(t, filepath.Join(dir, ".npmrc"), "//registry.example.test/:_authToken=npm_abcdefghijklmnopqrstuvwxyz0123456789\n")
		}, []string{".npmrc: line 1: _authToken is written into the file", "secrets: [npmrc]"}},
		{"a link out of the project", e2etest.Outside("server.js", "what is not the project's"),
			[]string{"server.js is a symbolic link to ../outside, outside the project: put the file itself there"}},
		{"an old lock file", func(t testing.TB, dir string) {
			e2etest.Edit(t, filepath.Join(dir, "package.json"), `"express": "5.1.0"`, `"express": "5.1.0", "ms": "2.1.2"`)
		}, []string{"package-lock.json: the lock file is not that of package.json: ", "npm install --package-lock-only"}},
	} {
		t.Run(b.name, func(t *testing.T) {
			dir := nodeProject(t, "express")
			b.change(t, dir)
			got := e2etest.Said(e2etest.Fails(t, 1, e2etest.Birdhouse(t, "check", dir)))
			e2etest.Contains(t, got, b.want...)
			for _, n := range e2etest.Noise {
				if strings.Contains(got, n) {
					t.Errorf("%q in:\n%s", n, got)
				}
			}
		})
	}
}

// A registry that wants to know who asks: the token of a secret gets the package,
// and without one the error says how to give it.
func TestNodePrivateRegistry(t *testing.T) {
	const token = "a-token-of-a-test"
	asked := make(chan string, 100)
	registry := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case asked <- r.Header.Get("Authorization"):
		default:
		}
		http.Error(w, `{"error":"who are you?"}`, http.StatusUnauthorized)
	}))
	defer registry.Close()
	dir := nodeProject(t, "types")
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\nexpose: [3000]\nsecrets: [npmrc]\n")
	e2etest.Edit(t, filepath.Join(dir, "package.json"), `"ms": "2.1.3"`, `"@acme/secret": "1.0.0"`)
	lock := `{"name": "types", "version": "1.0.0", "lockfileVersion": 3, "packages": {
  "": {"name": "types", "version": "1.0.0", "dependencies": {"@acme/secret": "1.0.0"}},
  "node_modules/@acme/secret": {"version": "1.0.0", "integrity": "sha512-z4PhNX7vuL3xVChQ1m2AB9Yg5AULVxXcg/SpIdNs6c5H0NE8XYXysP+DGNKHfuwvY7kxvUdBeoGlODJ6+SfaPg=="}
}}`
	e2etest.Write(t, filepath.Join(dir, "package-lock.json"), lock)
	npmrc := filepath.Join(t.TempDir(), "npmrc")
	e2etest.Write(t, npmrc, "@acme:registry="+registry.URL+"\n"+strings.TrimPrefix(registry.URL, "http:")+"/:_authToken="+token+"\n")
	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", "--secret", "id=npmrc,src="+npmrc, dir))
	e2etest.Contains(t, e2etest.Said(out), "npm ci", "a private package needs its registry's token: secrets: [npmrc]")
	if strings.Contains(out, token) {
		t.Errorf("the token is printed:\n%s", out)
	}
	select {
	case got := <-asked:
		if got != "Bearer "+token {
			t.Errorf("the registry was asked by %q", got)
		}
	default:
		t.Errorf("the registry was not asked:\n%s", out)
	}
}

// A package that requires what a bundle cannot have is named with the place and the
// line that accepts it.
func TestNodeBundleRefused(t *testing.T) {
	dir := nodeProject(t, "bundle")
	e2etest.Edit(t, filepath.Join(dir, "birdhouse.yaml"), "[express]", "true")
	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
	e2etest.Contains(t, out, `This call to "require" will not be bundled`, "node_modules/express/lib/view.js:81:13", `bundle: ["express"]`, "birdhouse.yaml:3:")
}
