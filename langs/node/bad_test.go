package node_test

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/internal/plantest"
	"github.com/birdhouse-build/birdhouse/langs/node"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

const pnpmLock = `lockfileVersion: '9.0'

importers:

  .:
    dependencies:
      x:
        specifier: ^1.0.0
        version: 1.2.0

packages:

  x@1.2.0:
    resolution: {integrity: sha512-AA==}

snapshots:

  x@1.2.0: {}
`

const needsX = `{"scripts": {"start": "node server.js"}, "dependencies": {"x": "^1.0.0"}}`

func TestBadInput(t *testing.T) {
	lock := func(version string) string {
		return fmt.Sprintf(`{"lockfileVersion": 3, "packages": {"": {}, "node_modules/x": {"version": %q}}}`, version)
	}
	for _, tt := range []struct {
		name, descriptor string
		project          fstest.MapFS
		want             string
	}{
		{"not JSON", "", files("package.json", "{\n  \"name\": \"a\",\n}"), "package.json:2:14: the file is not JSON: invalid character '}'"},
		{"not JSON, a hint", "", files("package.json", "{\n  \"name\": \"a\",\n}"), "JSON has no comma behind the last entry"},
		{"empty", "", files("package.json", ""), "package.json:1:1: the file is not JSON"},
		{"a list", "", files("package.json", "[]"), "package.json:1:1: the file is a JSON array where an object is wanted"},
		{"scripts of a wrong kind", "", files("package.json", "{\n  \"scripts\": [\"a\"]\n}"), "package.json:2:14: scripts: it is not an object of names and texts"},
		{"no lock", "", files("package.json", needsX), "package.json: there is no lock file"},
		{"no lock, what to run", "", files("package.json", needsX), "npm install --package-lock-only"},
		{"two locks", "", files("package.json", needsX, "package-lock.json", "", "yarn.lock", ""), "there are two lock files, package-lock.json and yarn.lock, and nothing says which one counts"},
		{"two locks, what to write", "", files("package.json", needsX, "package-lock.json", "", "yarn.lock", ""), "build: {tool: yarn}"},
		{"another manager's lock", "", files("package.json", `{"packageManager": "pnpm@10.0.0", "dependencies": {"x": "1"}}`, "yarn.lock", ""), "packageManager: pnpm is to install the dependencies, and there is no lock file of it; there is yarn.lock"},
		{"bun", "", files("package.json", needsX, "bun.lock", "{}"), "bun.lock: this is a lock file of bun, which is not supported"},
		{"bun, what is", "", files("package.json", needsX, "bun.lockb", "x"), "npm, pnpm and yarn are"},
		{"bun in packageManager", "", files("package.json", `{"packageManager": "bun@1.2.0"}`), "packageManager: bun is not supported"},
		{"no version in packageManager", "", files("package.json", `{"packageManager": "pnpm@latest"}`), "write npm, pnpm or yarn, and a full version such as pnpm@12.21.0"},
		{"unknown tool", "build: {tool: pip}", files("package.json", needsX), `birdhouse.yaml:2:15: build.tool: "pip" is no package manager`},
		{"npm lock that lacks what a package needs", "", files("package.json", needsX, "package-lock.json", `{"lockfileVersion": 3, "packages": {"": {}, "node_modules/x": {"version": "1.0.0", "dependencies": {"y": "1"}}}}`), "package-lock.json: the lock file is not that of package.json: y, which x needs, is not in it"},
		{"broken npm lock", "", files("package.json", needsX, "package-lock.json", "{,}"), "package-lock.json:1:2: the file is not JSON"},
		{"old npm lock", "", files("package.json", needsX, "package-lock.json", `{"lockfileVersion": 1}`), "the lock file has version 1; version 2 or 3 is needed"},
		{"npm lock without it", "", files("package.json", needsX, "package-lock.json", `{"lockfileVersion": 3, "packages": {"": {}}}`), "package-lock.json: the lock file is not that of package.json: x is not in it"},
		{"npm lock that is older", "", files("package.json", needsX, "package-lock.json", lock("0.9.0")), "x is 0.9.0, and package.json:1 asks for ^1.0.0"},
		{"npm lock, what to run", "", files("package.json", needsX, "package-lock.json", lock("0.9.0")), "run `npm install --package-lock-only` and commit package-lock.json"},
		{"broken pnpm lock", "", files("package.json", needsX, "pnpm-lock.yaml", "a: b: c"), "pnpm-lock.yaml:1:1: the file is not YAML"},
		{"old pnpm lock", "", files("package.json", needsX, "pnpm-lock.yaml", "lockfileVersion: '6.0'"), `the lock file has version "6.0"; version 9 is needed`},
		{"pnpm lock that is older", "", files("package.json", strings.Replace(needsX, "^1", "^2", 1), "pnpm-lock.yaml", pnpmLock), "x is ^1.0.0 in it, and package.json:1 asks for ^2.0.0"},
		{"broken yarn lock", "", files("package.json", needsX, "yarn.lock", "# v1\n\n<<<<<<< HEAD:\n"), "yarn.lock:3:1: the lock file cannot be read: it has a conflict of a merge in it"},
		{"yarn lock without it", "", files("package.json", needsX, "yarn.lock", "# yarn lockfile v1\n\ny@1:\n  version \"1.0.0\"\n"), "x@^1.0.0 is not in it"},
		{"a yarn that does not read it", "", files("package.json", `{"packageManager": "yarn@4.0.0", "dependencies": {"x": "1"}}`, "yarn.lock", "x@1:\n  version \"1.0.0\"\n"), "packageManager: yarn 4.0.0 does not read yarn.lock, which yarn 1 wrote"},
		{"old pnpm", "", files("package.json", `{"packageManager": "pnpm@8.0.0", "dependencies": {"x": "1"}}`, "pnpm-lock.yaml", pnpmLock), "packageManager: pnpm 8.0.0 is too old"},
		{"a token in .npmrc", "", files("package.json", "{}", ".npmrc", "a=b\n//r.test/:_authToken=SECRET\n"), ".npmrc: line 2: _authToken is written into the file"},
		{"a password in .npmrc", "", files("package.json", "{}", ".npmrc", "_auth = SECRET"), "secrets: [npmrc]"},
		{"a token in .yarnrc.yml", "", files("package.json", "{}", ".yarnrc.yml", "npmScopes:\n  a:\n    npmAuthToken: SECRET\n"), ".yarnrc.yml: line 3: npmAuthToken is written"},
		{"unknown workspace", "package: '@a/b'", files("package.json", `{"workspaces": ["p/*"]}`, "p/c/package.json", `{"name": "@a/c"}`), `package: "@a/b" is no workspace`},
		{"no workspaces", "package: a", files("package.json", "{}"), `package: "a" is not there: the project has no workspaces`},
		{"two that can be started", "", files("package.json", `{"workspaces": ["*"]}`, "a/package.json", `{"name": "@s/a", "scripts": {"start": "node x.js"}}`, "b/package.json", `{"scripts": {"start": "node y.js"}}`), "package: \"@s/a\"\n    | package: b"},
		{"equal names", "", files("package.json", `{"workspaces": ["*"]}`, "a/package.json", `{"name": "x"}`, "b/package.json", `{"name": "x"}`), "b/package.json:1:10: x is the name of a/package.json as well"},
		{"a folder that is not there", "dir: web", files("package.json", "{}"), "birdhouse.yaml:2:6: dir: \"web\" is not a folder"},
		{"npm 12 and a script", "", files("package.json", "{\"packageManager\": \"npm@12.2.0\",\n\"scripts\": {\"start\": \"node server.js\"}, \"dependencies\": {\"b\": \"1\"}}", "server.js", "",
			"package-lock.json", `{"lockfileVersion": 3, "packages": {"": {}, "node_modules/b": {"version": "1.0.0", "hasInstallScript": true}}}`), "1 package has an install script that is neither allowed nor refused: b"},
		{"reserved variable", "build: {env: {HOME: /x}}", files("package.json", "{}", "server.js", ""), "build.env: HOME is set by the build itself"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := planFor(t, "language: node\n"+tt.descriptor+"\n", tt.project)
			require.Nil(t, r.Plan)
			require.Contains(t, r.Text, tt.want)
			require.NotContains(t, r.Text, "SECRET")
		})
	}
}

func TestScriptsThatAreDecided(t *testing.T) {
	project := func(allow string) fstest.MapFS {
		return files("package.json", `{"packageManager": "npm@12.2.0", "scripts": {"start": "node server.js"}, "dependencies": {"b": "1"}, "allowScripts": `+allow+`}`, "server.js", "",
			"package-lock.json", `{"lockfileVersion": 3, "packages": {"": {}, "node_modules/b": {"version": "1.0.0", "hasInstallScript": true},
				"node_modules/c": {"version": "1.0.0", "hasInstallScript": true, "os": ["darwin"]}}}`)
	}
	for allow, want := range map[string]bool{`{"b": true}`: true, `{"b": false}`: true, `{"b@1.0.0": true}`: true, `{"b@0.9.0 || 1.0.0": true}`: true, `{"b@2.0.0": true}`: false, `{}`: false} {
		require.Equal(t, want, planFor(t, "language: node\n", project(allow)).Plan != nil, allow)
	}
}

func TestTools(t *testing.T) {
	lock := `{"lockfileVersion": 3, "packages": {"": {}, "node_modules/x": {"version": "1.0.0"}}}`
	yarn1 := "x@^1.0.0:\n  version \"1.0.0\"\n"
	berry := "__metadata:\n  version: 8\n\n\"x@npm:^1.0.0\":\n  version: 1.0.0\n  resolution: \"x@npm:1.0.0\"\n  conditions: os=linux & cpu=arm64\n"
	for _, tt := range []struct {
		name, descriptor, manifest string
		more                       []string
		tool, stages, command      string
	}{
		{"npm", "", needsX, []string{"package-lock.json", lock}, "npm", "prod", "npm ci --prefer-offline --no-audit --no-fund --omit=dev"},
		{"npm, exactly", "", strings.Replace(needsX, "{", `{"packageManager": "npm@11.1.0", `, 1), []string{"package-lock.json", lock}, "npm 11.1.0", "package-manager prod", "npm ci --prefer-offline --no-audit --no-fund --omit=dev"},
		{"shrinkwrap", "", needsX, []string{"npm-shrinkwrap.json", lock}, "npm", "prod", "npm ci --prefer-offline --no-audit --no-fund --omit=dev"},
		{"pnpm", "", needsX, []string{"pnpm-lock.yaml", pnpmLock}, "pnpm 10.34.9", "package-manager prod", "pnpm install --frozen-lockfile --config.package-import-method=copy --store-dir=/root/.local/share/pnpm-store --config.strict-dep-builds=true --prod"},
		{"pnpm, by the descriptor", "build: {tool: pnpm@12.21.0}", needsX, []string{"pnpm-lock.yaml", pnpmLock, "yarn.lock", ""}, "pnpm 12.21.0", "package-manager prod", "pnpm install"},
		{"yarn 1", "", needsX, []string{"yarn.lock", yarn1}, "yarn 1.22.22", "package-manager prod", "yarn install --frozen-lockfile --non-interactive --cache-folder=/root/.cache/yarn --production"},
		{"yarn 4", "", needsX, []string{"yarn.lock", berry, ".yarnrc.yml", "nodeLinker: node-modules"}, "yarn 4.12.0", "package-manager prod libraries", "yarn workspaces focus --production"},
		{"yarn in the project", "", needsX, []string{"yarn.lock", berry, ".yarnrc.yml", "nodeLinker: node-modules\nyarnPath: .yarn/releases/yarn.cjs", ".yarn/releases/yarn.cjs", ""}, "yarn", "prod libraries", "node /src/.yarn/releases/yarn.cjs workspaces focus --production"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := planFor(t, "language: node\n"+tt.descriptor+"\n", files(append([]string{"package.json", tt.manifest, "server.js", server}, tt.more...)...))
			require.NotNil(t, r.Plan, r.Text)
			require.Equal(t, tt.tool, fact(t, r.Plan, "tool").Value)
			require.Equal(t, tt.stages, stageNames(r.Plan))
			require.Contains(t, strings.Join(stage(t, r.Plan, "prod").Steps[0].Args, " "), tt.command)
		})
	}
}

// Only what runs has to be installed: packages for the work on a project need no
// lock file where nothing is built.
func TestNothingToInstall(t *testing.T) {
	const manifest = `{"name": "tool", "bin": "server.js", "devDependencies": {"x": "1"}, "scripts": {"build": "x", "test": "x"}}`
	r := planFor(t, "language: node\n", files("package.json", manifest, "server.js", ""))
	require.Contains(t, r.Text, "there is no lock file")
	r = planFor(t, "language: node\nbuild: {script: false}\ntest: true\n", files("package.json", manifest, "server.js", ""))
	require.Contains(t, r.Text, "there is no lock file")
	r = planFor(t, "language: node\nbuild: {script: false}\n", files("package.json", manifest, "server.js", ""))
	require.NotNil(t, r.Plan, r.Text)
	require.Empty(t, r.Plan.Stages)
}

// A lock file larger than a generated file may be is reduced as well, as long as
// what counts of it is not: another version of the project installs nothing.
func TestLargeLock(t *testing.T) {
	lock := func(version string, packages int) string {
		var b strings.Builder
		fmt.Fprintf(&b, `{"name": "a", "version": %q, "lockfileVersion": 3, "packages": {"": {"name": "a", "version": %q, "dependencies": {"x": "^1.0.0"}}, "node_modules/x": {"version": "1.0.0"}`, version, version)
		for i := range packages {
			fmt.Fprintf(&b, ",\n            \"node_modules/p%d\": {\n                \"version\": \"1.0.0\",\n                \"integrity\": \"sha512-%0150d\",\n                \"license\": %q,\n                \"funding\": {\"url\": \"https://example.test/%0100d\"}\n            }", i, i, strings.Repeat("MIT ", 10), i)
		}
		return b.String() + "}}"
	}
	inputs := func(version string, packages int) plan.Mount {
		text := lock(version, packages)
		require.Greater(t, len(text), plan.MaxContent)
		r := planFor(t, "language: node\n", files("package.json", strings.Replace(needsX, "{", `{"version": "`+version+`", `, 1), "package-lock.json", text, "server.js", ""))
		require.NotNil(t, r.Plan, r.Text)
		return stage(t, r.Plan, "prod").Steps[0].Mounts[0]
	}
	require.Equal(t, inputs("1.0.0", 15_000), inputs("1.0.1", 15_000))
	require.Equal(t, []string{"package-lock.json"}, inputs("1.0.0", 30_000).Include, "as it is")
}

// Newer yarns leave out install scripts that nobody has allowed, with a warning;
// here that is an error.
func TestYarnScripts(t *testing.T) {
	berry := "__metadata:\n  version: 8\n\n\"x@npm:^1.0.0\":\n  version: 1.0.0\n  resolution: \"x@npm:1.0.0\"\n"
	for settings, want := range map[string]bool{"": true, "enableScripts: false\n": true, "enableScripts: true\n": false} {
		r := planFor(t, "language: node\n", files("package.json", needsX, "yarn.lock", berry, ".yarnrc.yml", "nodeLinker: node-modules\n"+settings, "server.js", ""))
		require.NotNil(t, r.Plan, r.Text)
		filters := strings.Contains(fmt.Sprint(stage(t, r.Plan, "prod").Steps[0].Mounts), "code: YN0004\n    level: error")
		require.Equal(t, want, filters, settings)
	}
}

// The archive of a package manager is checked against what packageManager says.
func TestToolIntegrity(t *testing.T) {
	r := planFor(t, "language: node\n", files("package.json", strings.Replace(needsX, "{", `{"packageManager": "pnpm@10.0.0+sha512.00ff", `, 1), "pnpm-lock.yaml", pnpmLock, "server.js", ""))
	require.NotNil(t, r.Plan, r.Text)
	install := stage(t, r.Plan, "package-manager").Steps[0].Mounts[0]
	require.Equal(t, "package-lock.json", install.Files[1].Path)
	require.Contains(t, install.Files[1].Content, `"integrity": "sha512-AP8="`)
	other := planFor(t, "language: node\n", files("package.json", strings.Replace(needsX, "{", `{"packageManager": "pnpm@10.0.0+sha512.00ff", "version": "2.0.0", `, 1), "pnpm-lock.yaml", pnpmLock, "server.js", ""))
	require.Equal(t, stage(t, r.Plan, "package-manager"), stage(t, other.Plan, "package-manager"))
}

// What is for one processor is chosen for the image's, and what compiles is
// refused for another machine's, by name.
func TestPlatforms(t *testing.T) {
	lock := `{"lockfileVersion": 3, "packages": {"": {}, "node_modules/x": {"version": "1.0.0", "optionalDependencies": {"x-arm": "1"}}, "node_modules/x-arm": {"version": "1.0.0", "optional": true, "cpu": ["arm64"], "os": ["linux"]}}}`
	r := planFor(t, "language: node\n", files("package.json", needsX, "package-lock.json", lock, "server.js", ""))
	prod := stage(t, r.Plan, "prod")
	require.True(t, prod.PerPlatform)
	require.Empty(t, prod.Native)
	require.Equal(t, "arm64", value(prod.Steps[0].PlatformEnv["arm64"], "npm_config_cpu"))
	require.Equal(t, "x64", value(prod.Steps[0].PlatformEnv["amd64"], "npm_config_cpu"))

	r = planFor(t, "language: node\n", files("package.json", needsX, "package-lock.json", npmLock("x"), "server.js", ""))
	require.False(t, stage(t, r.Plan, "prod").PerPlatform, "plain JavaScript is the same everywhere")

	r = planFor(t, "language: node\n", app(`{"scripts": {"start": "node server.js"}, "dependencies": {"bcrypt": "1.0.0"}}`, []string{"bcrypt!"}, "server.js", ""))
	prod = stage(t, r.Plan, "prod")
	require.Equal(t, "bcrypt may compile native code when it is installed", prod.Native)
	require.Equal(t, "build-full", prod.Base.Variant)
	require.True(t, stage(t, r.Plan, "libraries").Gate)
}

// node-gyp compiles what has a binding.gyp, also where no script says so.
func TestAddonWithoutScript(t *testing.T) {
	r := planFor(t, "language: node\n", files("package.json", needsX, "server.js", "",
		"package-lock.json", `{"lockfileVersion": 3, "packages": {"": {}, "node_modules/x": {"version": "1.0.0", "dependencies": {"nan": "2"}}, "node_modules/nan": {"version": "2.0.0"}}}`))
	require.NotNil(t, r.Plan, r.Text)
	prod := stage(t, r.Plan, "prod")
	require.Equal(t, "build-full", prod.Base.Variant)
	require.Equal(t, "x may compile native code when it is installed", prod.Native)
}

// Credentials are mounts; the project's settings name the variables that hold them.
func TestSecrets(t *testing.T) {
	project := files("package.json", needsX, "package-lock.json", npmLock("x"), "server.js", "", ".npmrc", "//r.test/:_authToken=${REGISTRY_TOKEN}\n")
	r := planFor(t, "language: node\nsecrets: [npmrc, {id: other, env: OTHER}]\nbuild: {env: {PLAIN: a, NPM_CONFIG_FUND: b}}\n", project)
	require.NotNil(t, r.Plan, r.Text)
	step := stage(t, r.Plan, "prod").Steps[0]
	require.Contains(t, step.Mounts, plan.Mount{Kind: plan.MountSecret, Target: "/root/.npmrc", SecretID: "npmrc"})
	require.Contains(t, step.Mounts, plan.Mount{Kind: plan.MountSecretEnv, Target: "OTHER", SecretID: "other"})
	require.Contains(t, step.Mounts, plan.Mount{Kind: plan.MountSecretEnv, Target: "REGISTRY_TOKEN", SecretID: "REGISTRY_TOKEN", Optional: true})
	require.Contains(t, step.Mounts, plan.Mount{Kind: plan.MountSecretEnv, Target: "NPM_CONFIG_REGISTRY", SecretID: "NPM_CONFIG_REGISTRY", Optional: true})
	require.Equal(t, "b", value(step.Env, "NPM_CONFIG_FUND"))
	require.Empty(t, value(step.Env, "PLAIN"), "the installation would run again when it changes")
	require.Contains(t, step.Hint, "--secret id=REGISTRY_TOKEN,env=REGISTRY_TOKEN")
	require.Contains(t, step.Mounts[1].CacheID, "-private-", "others have perhaps no right to it")
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc", ".nvmrc", "server.js"} {
		t.Run(name, func(t *testing.T) {
			project := files("package.json", needsX, "package-lock.json", npmLock("x"), "server.js", "", ".npmrc", "", ".nvmrc", "24")
			project[name].Mode |= fs.ModeSymlink
			r := planFor(t, "language: node\n", plantest.Linked{MapFS: project, Name: name})
			require.Nil(t, r.Plan)
			require.Contains(t, r.Text, name)
			require.Contains(t, r.Text, "it is a link out of the project")
		})
	}
}

// A project of very many files is planned by its manifests.
func TestManyFiles(t *testing.T) {
	project := app(`{"scripts": {"start": "node server.js"}}`, nil, "server.js", "")
	for i := range 60_000 {
		project[fmt.Sprintf("data/%d/%d.txt", i/100, i)] = &fstest.MapFile{}
	}
	require.NotNil(t, planFor(t, "language: node\n", project).Plan)
}

// Lock files and manifests are not trusted.
func FuzzPlan(f *testing.F) {
	f.Add(needsX, npmLock("x"), pnpmLock, "x@1:\n  version \"1\"\n")
	f.Add(needsX, `{"lockfileVersion": 3, "packages": {"": {}, "/": {"dependencies": {"q": "1"}}, "../x": {"dependencies": {"q": "1"}}, "a//": {"dependencies": {"q": "1"}}}}`, "", "")
	f.Add("{}", "{}", "", "__metadata:\n  version: 8\n")
	f.Fuzz(func(t *testing.T, manifest, npm, pnpm, yarn string) {
		for file, text := range map[string]string{"package-lock.json": npm, "pnpm-lock.yaml": pnpm, "yarn.lock": yarn} {
			s, _ := spec.Parse("birdhouse.yaml", []byte("language: node\n"), []string{"node"})
			p, problems := node.Language{}.Plan(s, files("package.json", manifest, file, text, "server.js", ""), versions)
			if (p == nil) != problems.HasErrors() {
				t.Fatalf("a plan or an error, not both or neither: %v", problems)
			}
		}
	})
}
