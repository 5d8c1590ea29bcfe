package node_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// What a package manager refuses or a package cannot do is said in its own words,
// and what to write is the last thing to read.
func TestNodeInstallFails(t *testing.T) {
	for _, b := range []struct {
		name, sample string
		change       func(t *testing.T, dir string)
		want         []string
	}{
		{"an install script", "types", func(t *testing.T, dir string) {
			e2etest.Write(t, filepath.Join(dir, "nest", "package.json"), `{"name": "nest", "version": "1.0.0", "scripts": {"install": "echo the nest is wet; exit 7"}}`)
			npm(t, filepath.Join(dir, "nest"), "pack", "--pack-destination", "..")
			if err := os.RemoveAll(filepath.Join(dir, "nest")); err != nil {
				t.Fatal(err)
			}
			e2etest.Edit(t, filepath.Join(dir, "package.json"), `"ms": "2.1.3"`, `"ms": "2.1.3", "nest": "file:nest-1.0.0.tgz"`)
			npm(t, dir, "install", "--package-lock-only")
		}, []string{"npm error path /src/node_modules/nest", "the nest is wet", "[prod] npm ci --omit=dev failed with exit code 7"}},
		{"a lock file that npm would change", "prebuilt", func(t *testing.T, dir string) {
			without(t, filepath.Join(dir, "package-lock.json"), "node_modules/@node-rs/crc32-linux-arm64-gnu")
		}, []string{`Run "npm help ci" for more info`, "npm error Missing: @node-rs/crc32-linux-arm64-gnu@1.10.6 from lock file",
			"[prod] npm ci --omit=dev failed", "where package-lock.json is not that of package.json, `npm install --package-lock-only` writes it anew"}},
		{"scripts that yarn has disabled", "types", func(t *testing.T, dir string) {
			e2etest.Remove("package-lock.json")(t, dir)
			e2etest.Edit(t, filepath.Join(dir, "package.json"), `"ms": "2.1.3"`, `"core-js": "3.40.0"`)
			e2etest.Write(t, filepath.Join(dir, ".yarnrc.yml"), "nodeLinker: node-modules\nenableScripts: false\n")
			e2etest.Write(t, filepath.Join(dir, "yarn.lock"), yarnLock)
		}, []string{"core-js@npm:3.40.0 lists build scripts, but all build scripts have been disabled", "failed with exit code 1", `"dependenciesMeta": {"NAME": {"built": true}}`}},
	} {
		t.Run(b.name, func(t *testing.T) {
			dir := nodeProject(t, b.sample)
			b.change(t, dir)
			out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
			at := 0
			for _, want := range b.want {
				i := strings.Index(out[at:], want)
				if i < 0 {
					t.Fatalf("it does not say %q, or not in its place:\n%s", want, out)
				}
				at += i
			}
		})
	}
}

// yarnLock is that of a project named types that needs a package with an install
// script.
const yarnLock = `__metadata:
  version: 10
  cacheKey: 10c0

"core-js@npm:3.40.0":
  version: 3.40.0
  resolution: "core-js@npm:3.40.0"
  checksum: 10c0/db7946ada881e845d8b157061945b1187618fa45cf162f392a151e8a497962aed2da688c982eaa1d444c864be97a70f8be4d73385294b515d224dd164d19f1d4
  languageName: node
  linkType: hard

"types@workspace:.":
  version: 0.0.0-use.local
  resolution: "types@workspace:."
  dependencies:
    core-js: "npm:3.40.0"
  languageName: unknown
  linkType: soft
`

// without removes a package from a package-lock.json.
func without(t *testing.T, file, id string) {
	t.Helper()
	var lock map[string]any
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &lock); err != nil {
		t.Fatal(err)
	}
	packages := lock["packages"].(map[string]any)
	if packages[id] == nil {
		t.Fatalf("%s has no %s", file, id)
	}
	delete(packages, id)
	if data, err = json.Marshal(lock); err != nil {
		t.Fatal(err)
	}
	e2etest.Write(t, file, string(data))
}

// A lock file that is older than package.json is an error before anything is built,
// whichever tool wrote it.
func TestNodeOldLock(t *testing.T) {
	for sample, want := range map[string][]string{
		"types":            {"package-lock.json: the lock file is not that of package.json: has-flag is not in it", "npm install --package-lock-only"},
		"pnpm":             {"pnpm-lock.yaml: the lock file is not that of package.json: has-flag is not in it", "pnpm install --lockfile-only"},
		"yarn1-workspaces": {"yarn.lock: the lock file is not that of the workspace's package.json files: has-flag@^9.9.9 is not in it", "yarn install"},
		"berry-pnp":        {"yarn.lock: the lock file is not that of the workspace's package.json files: has-flag@^9.9.9 is not in it", "yarn install --mode=update-lockfile"},
	} {
		t.Run(sample, func(t *testing.T) {
			dir := nodeProject(t, sample)
			e2etest.Edit(t, filepath.Join(dir, "package.json"), `"private"`, `"optionalDependencies": {"has-flag": "^9.9.9"}, "private"`)
			e2etest.Contains(t, e2etest.Said(e2etest.Fails(t, 1, e2etest.Birdhouse(t, "check", dir))), want...)
		})
	}
}

// An addon is linked against a library that the image lacks: it is named with the
// package that has it, and adding that package is all there is to do.
func TestNodeMissingLibrary(t *testing.T) {
	harness.Birdhouse(t)
	dir := filepath.Join(t.TempDir(), "postgres")
	e2etest.Write(t, filepath.Join(dir, "package.json"), `{"private": true, "scripts": {"start": "node server.js"}, "dependencies": {"libpq": "1.11.0"}}`)
	e2etest.Write(t, filepath.Join(dir, "server.js"), `const Client = require("libpq")
require("node:http").createServer((q, s) => s.end(typeof new Client().connect)).listen(process.env.PORT)
`)
	descriptor := filepath.Join(dir, "birdhouse.yaml")
	e2etest.Write(t, descriptor, "language: node\nbuild: {packages: [libpq-dev, perl-base]}\n")
	npm(t, dir, "install", "--package-lock-only")
	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", dir))
	e2etest.Contains(t, out, "libpq.so.5", "libpq5")
	e2etest.Write(t, descriptor, "language: node\nbuild: {packages: [libpq-dev, perl-base]}\npackages: [libpq5]\n")
	name, out := e2etest.Build(t, dir)
	if !e2etest.IsCached(out, "[prod] npm ci") {
		t.Errorf("a package for the image installs anew:\n%s", out)
	}
	s := e2etest.Start(t, name, "--read-only")
	if got := s.Get(t, "/"); got != "function" {
		t.Errorf("the addon answers %q", got)
	}
}

// Addons that need more of V8 than its headers say, all of it when they are loaded, find
// it in the image's Node.
func TestNodeAddons(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "addons")
	e2etest.Write(t, filepath.Join(dir, "package.json"), `{"private": true, "scripts": {"start": "node server.js"},
	"dependencies": {"isolated-vm": "7.0.1", "@datadog/pprof": "5.20.0"}}`)
	e2etest.Write(t, filepath.Join(dir, "server.js"), `const ivm = require("isolated-vm"), { time } = require("@datadog/pprof")
require("node:http").createServer(async (q, s) => {
	time.start({ intervalMicros: 1000 })
	const context = await new ivm.Isolate().createContext()
	s.end(await context.eval("6 * 7") + " " + time.stop().sampleType.length)
}).listen(process.env.PORT)
`)
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\n")
	npm(t, dir, "install", "--package-lock-only")
	name, _ := e2etest.Build(t, dir)
	s := e2etest.Start(t, name, "--read-only", "-e", "LD_BIND_NOW=1")
	if got := s.Get(t, "/"); got != "42 2" {
		t.Errorf("the addons answer %q", got)
	}
}

// A project of very many files is built within bounds.
func TestNodeManyFiles(t *testing.T) {
	dir := nodeProject(t, "bare")
	for i := range 300 {
		for j := range 200 {
			e2etest.Write(t, filepath.Join(dir, "data", fmt.Sprint(i), fmt.Sprint(j)), fmt.Sprint("bird ", i, j))
		}
	}
	cmd := e2etest.Birdhouse(t, "build", "-t", e2etest.ImageName(t), "--progress=plain", dir)
	harness.Run(t, cmd)
	if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok && used.Maxrss > 1<<20 {
		t.Errorf("it takes %d MiB of memory", used.Maxrss>>10)
	}
	found := 0
	for name, f := range e2etest.Files(t, e2etest.Stored(t, e2etest.ImageName(t), "")) {
		if strings.HasPrefix(name, "app/data/") && !f.FileInfo().IsDir() {
			found++
		}
	}
	if found != 60_000 {
		t.Errorf("the image has %d of the files", found)
	}
}
