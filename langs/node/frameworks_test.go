package node_test

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/node"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// npmLock is a package-lock.json of a project that needs these packages; those
// whose names end in ! have install scripts.
func npmLock(dependencies ...string) string {
	var root, packages []string
	for _, d := range dependencies {
		name, script := strings.CutSuffix(d, "!")
		root = append(root, fmt.Sprintf("%q: \"1.0.0\"", name))
		packages = append(packages, fmt.Sprintf("\"node_modules/%s\": {\"version\": \"1.0.0\", \"hasInstallScript\": %t}", name, script))
	}
	return fmt.Sprintf(`{"lockfileVersion": 3, "packages": {"": {"dependencies": {%s}}, %s}}`, strings.Join(root, ", "), strings.Join(packages, ", "))
}

// app is a project with npm's lock file.
func app(manifest string, dependencies []string, more ...string) fstest.MapFS {
	return files(append([]string{"package.json", manifest, "package-lock.json", npmLock(dependencies...)}, more...)...)
}

func layer(t *testing.T, p *plan.Plan, name string) plan.Layer {
	t.Helper()
	for _, l := range p.Layers {
		if l.Name == name {
			return l
		}
	}
	t.Fatalf("there is no layer %q", name)
	return plan.Layer{}
}

func stageNames(p *plan.Plan) string {
	var names []string
	for _, s := range p.Stages {
		names = append(names, s.Name)
	}
	return strings.Join(names, " ")
}

// What the image of each framework runs or serves, and which stages make it.
func TestFrameworks(t *testing.T) {
	const node = "/usr/bin/tini -- /usr/local/bin/node "
	deps := func(names ...string) string {
		var list []string
		for _, n := range names {
			list = append(list, fmt.Sprintf("%q: \"1.0.0\"", n))
		}
		return `"dependencies": {` + strings.Join(list, ", ") + `}`
	}
	for _, tt := range []struct {
		name, manifest string
		packages       []string
		more           []string
		descriptor     string
		runs, stages   string
		served         string // the folder of a site
		problem        string
	}{
		{name: "tsc", manifest: `{"scripts": {"build": "tsc", "start": "node dist/server.js"}, "devDependencies": {"typescript": "1.0.0"}}`, packages: []string{"typescript"},
			more: []string{"src/server.ts", ""}, runs: node + "dist/server.js", stages: "deps build"},
		{name: "express and tsc", manifest: `{"scripts": {"build": "tsc", "start": "node dist/server.js"}, "dependencies": {"express": "1.0.0"}, "devDependencies": {"typescript": "1.0.0"}}`,
			packages: []string{"typescript", "express"}, runs: node + "dist/server.js", stages: "deps prod build"},
		{name: "Next, standalone", manifest: `{"scripts": {"build": "next build", "start": "next start"}, ` + deps("next", "react") + `}`, packages: []string{"next", "react"},
			more: []string{"next.config.mjs", "export default { output: 'standalone' }"}, runs: node + "server.js", stages: "deps build"},
		{name: "Next, exported", manifest: `{"scripts": {"build": "next build"}, ` + deps("next") + `}`, packages: []string{"next"},
			more: []string{"next.config.ts", "const config = {\n  output: \"export\",\n}\nexport default config"}, served: "out", stages: "deps build"},
		{name: "Next, neither", manifest: `{"scripts": {"build": "next build"}, ` + deps("next") + `}`, packages: []string{"next"},
			more: []string{"next.config.js", "module.exports = {\n  // output: 'standalone'\n}"}, problem: "next.config.js: Next builds a server that needs all of node_modules"},
		{name: "Next, no configuration", manifest: `{"scripts": {"build": "next build"}, ` + deps("next") + `}`, packages: []string{"next"}, problem: `export default { output: "standalone" }`},
		{name: "Next, a server of its own", manifest: `{"scripts": {"build": "next build", "start": "node server.js"}, ` + deps("next") + `}`, packages: []string{"next"},
			more: []string{"server.js", ""}, runs: node + "server.js", stages: "deps build"},
		{name: "Nuxt", manifest: `{"scripts": {"build": "nuxt build"}, ` + deps("nuxt") + `}`, packages: []string{"nuxt"}, runs: node + ".output/server/index.mjs", stages: "deps build"},
		{name: "Nuxt, generated", manifest: `{"scripts": {"build": "nuxt generate"}, ` + deps("nuxt") + `}`, packages: []string{"nuxt"}, served: ".output/public", stages: "deps build"},
		{name: "SvelteKit, node", manifest: `{"scripts": {"build": "vite build"}, "devDependencies": {"@sveltejs/kit": "1.0.0", "@sveltejs/adapter-node": "1.0.0", "vite": "1.0.0"}}`,
			packages: []string{"@sveltejs/kit", "@sveltejs/adapter-node", "vite"}, runs: node + "build/index.js", stages: "deps build"},
		{name: "SvelteKit, set in Vite's file", manifest: `{"scripts": {"build": "vite build"}, "devDependencies": {"@sveltejs/kit": "1.0.0", "@sveltejs/adapter-node": "1.0.0", "vite": "1.0.0"}}`,
			packages: []string{"@sveltejs/kit", "@sveltejs/adapter-node", "vite"}, more: []string{"vite.config.ts", "export default { plugins: [sveltekit({ adapter: adapter({ out: 'built' }) })] }"},
			runs: node + "built/index.js", stages: "deps build"},
		{name: "SvelteKit, static", manifest: `{"scripts": {"build": "vite build"}, "devDependencies": {"@sveltejs/kit": "1.0.0", "@sveltejs/adapter-static": "1.0.0", "vite": "1.0.0"}}`,
			packages: []string{"@sveltejs/kit", "@sveltejs/adapter-static", "vite"}, served: "build", stages: "deps build"},
		{name: "SvelteKit, auto", manifest: `{"scripts": {"build": "vite build"}, "devDependencies": {"@sveltejs/kit": "1.0.0", "@sveltejs/adapter-auto": "1.0.0"}}`,
			packages: []string{"@sveltejs/kit", "@sveltejs/adapter-auto"}, problem: "there is neither adapter-node nor adapter-static"},
		{name: "React Router", manifest: `{"scripts": {"build": "react-router build", "start": "react-router-serve ./build/server/index.js"}, "dependencies": {"@react-router/serve": "1.0.0"}, "devDependencies": {"@react-router/dev": "1.0.0"}}`,
			packages: []string{"@react-router/serve", "@react-router/dev"}, runs: node + "node_modules/@react-router/serve/bin.js | ./build/server/index.js", stages: "deps prod build"},
		{name: "React Router without a server", manifest: `{"scripts": {"build": "react-router build"}, "devDependencies": {"@react-router/dev": "1.0.0"}}`, packages: []string{"@react-router/dev"},
			more: []string{"react-router.config.ts", "export default { ssr: false }"}, served: "build/client", stages: "deps build"},
		{name: "Astro", manifest: `{"scripts": {"build": "astro build"}, ` + deps("astro") + `}`, packages: []string{"astro"}, served: "dist", stages: "deps build"},
		{name: "Astro, node", manifest: `{"scripts": {"build": "astro build"}, ` + deps("astro", "@astrojs/node") + `}`, packages: []string{"astro", "@astrojs/node"},
			more: []string{"astro.config.mjs", "node({ mode: 'standalone' })"}, runs: node + "dist/server/entry.mjs", stages: "deps build"},
		{name: "Angular", manifest: `{"scripts": {"build": "ng build", "start": "ng serve"}, ` + deps("@angular/core") + `}`, packages: []string{"@angular/core"},
			more: []string{"angular.json", `{ /* c */ "projects": {"shop": {"projectType": "application", "architect": {"build": {"builder": "@angular/build:application", "options": {}}}}}}`}, served: "dist/shop/browser", stages: "deps build"},
		{name: "Vite", manifest: `{"scripts": {"build": "vite build", "dev": "vite"}, "devDependencies": {"vite": "1.0.0"}}`, packages: []string{"vite"}, served: "dist", stages: "deps build"},
		{name: "Vite, another folder", manifest: `{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "1.0.0"}}`, packages: []string{"vite"},
			more: []string{"vite.config.ts", "export default { build: { outDir: './public/app' } }"}, served: "public/app", stages: "deps build"},
		{name: "Vite, the folder on the command line", manifest: `{"scripts": {"build": "tsc -b && vite build --mode live --outDir=www"}, "devDependencies": {"vite": "1.0.0"}}`, packages: []string{"vite"}, served: "www", stages: "deps build"},
		{name: "Vite, sources in a folder", manifest: `{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "1.0.0"}}`, packages: []string{"vite"},
			more: []string{"vite.config.js", "export default { root: 'client', build: { outDir: '../dist/client' } }"}, served: "dist/client", stages: "deps build"},
		{name: "Vite, a folder as an argument", manifest: `{"scripts": {"build": "vite build client"}, "devDependencies": {"vite": "1.0.0"}}`, packages: []string{"vite"}, served: "client/dist", stages: "deps build"},
		{name: "VitePress as its init leaves it", manifest: `{"main": "index.js", "scripts": {"docs:dev": "vitepress dev", "docs:build": "vitepress build", "docs:preview": "vitepress preview"}, "devDependencies": {"vitepress": "1.0.0"}}`,
			packages: []string{"vitepress"}, served: ".vitepress/dist", stages: "deps build"},
		{name: "VitePress in a folder", manifest: `{"scripts": {"docs:dev": "vitepress dev docs", "docs:build": "vitepress build docs"}, "devDependencies": {"vitepress": "1.0.0"}}`, packages: []string{"vitepress"},
			more: []string{"docs/.vitepress/config.mts", "export default defineConfig({ cleanUrls: true })"}, served: "docs/.vitepress/dist", stages: "deps build"},
		{name: "VitePress, another folder", manifest: `{"scripts": {"build": "vitepress build docs"}, "devDependencies": {"vitepress": "1.0.0"}}`, packages: []string{"vitepress"},
			more: []string{"docs/.vitepress/config.js", "export default { outDir: '../public' }"}, served: "public", stages: "deps build"},
		{name: "VitePress, several scripts", manifest: `{"scripts": {"docs:en": "vitepress build en", "docs:fr": "vitepress build fr"}, "devDependencies": {"vitepress": "1.0.0"}}`, packages: []string{"vitepress"},
			problem: "package.json: 2 scripts build with VitePress, and none is called build\n    write one of\n    build: {script: \"docs:en\"}\n    build: {script: \"docs:fr\"}\n"},
		{name: "Docusaurus", manifest: `{"scripts": {"start": "docusaurus start", "build": "docusaurus build"}, ` + deps("@docusaurus/core") + `}`, packages: []string{"@docusaurus/core"}, served: "build", stages: "deps build"},
		{name: "Docusaurus, another folder", manifest: `{"scripts": {"start": "docusaurus start", "site": "docusaurus build website --out-dir ../public"}, ` + deps("@docusaurus/core") + `}`, packages: []string{"@docusaurus/core"}, served: "public", stages: "deps build"},
		{name: "Gatsby", manifest: `{"scripts": {"start": "gatsby develop", "build": "gatsby build"}, ` + deps("gatsby") + `}`, packages: []string{"gatsby"}, served: "public", stages: "deps build"},
		{name: "Eleventy", manifest: `{"scripts": {"start": "npx @11ty/eleventy --serve", "site": "ELEVENTY_ENV=live npx @11ty/eleventy"}, ` + deps("@11ty/eleventy") + `}`, packages: []string{"@11ty/eleventy"}, served: "_site", stages: "deps build"},
		{name: "Eleventy, a setting", manifest: `{"scripts": {"build": "eleventy"}, ` + deps("@11ty/eleventy") + `}`, packages: []string{"@11ty/eleventy"},
			more: []string{".eleventy.js", "module.exports = function(eleventyConfig) { return { dir: { input: 'views', output: 'dist' } } }"}, served: "dist", stages: "deps build"},
		{name: "Eleventy, a call", manifest: `{"scripts": {"build": "eleventy --quiet"}, ` + deps("@11ty/eleventy") + `}`, packages: []string{"@11ty/eleventy"},
			more: []string{"eleventy.config.mjs", "export default function(c) { c.setOutputDirectory(\"public\") }"}, served: "public", stages: "deps build"},
		{name: "Eleventy, never built", manifest: `{"scripts": {"start": "eleventy --serve"}, ` + deps("@11ty/eleventy") + `}`, packages: []string{"@11ty/eleventy"}, problem: "add the script, such as \"build\": \"eleventy\""},
		{name: "Vue CLI", manifest: `{"scripts": {"build": "vue-cli-service build"}, "devDependencies": {"@vue/cli-service": "1.0.0"}}`, packages: []string{"@vue/cli-service"},
			more: []string{"vue.config.js", "module.exports = { outputDir: 'public/app' }"}, served: "public/app", stages: "deps build"},
		{name: "Parcel", manifest: `{"scripts": {"build": "parcel build index.html --dist-dir www"}, "devDependencies": {"parcel": "1.0.0"}}`, packages: []string{"parcel"}, served: "www", stages: "deps build"},
		{name: "a server with a site that it does not build", manifest: `{"scripts": {"start": "node server.js", "client": "vite build"}, "dependencies": {"express": "1.0.0"}, "devDependencies": {"vite": "1.0.0"}}`, packages: []string{"vite", "express"},
			more: []string{"server.js", ""}, runs: node + "server.js", stages: "prod"},
		{name: "Vite with a server", manifest: `{"scripts": {"build": "vite build", "start": "node server.js"}, "dependencies": {"express": "1.0.0"}, "devDependencies": {"vite": "1.0.0"}}`, packages: []string{"vite", "express"},
			more: []string{"server.js", ""}, runs: node + "server.js", stages: "deps prod build"},
		{name: "Vite without a build", manifest: `{"devDependencies": {"vite": "1.0.0"}}`, packages: []string{"vite"}, problem: "Vite needs a build, and there is no script that builds"},
		{name: "Create React App", manifest: `{"scripts": {"build": "react-scripts build", "start": "react-scripts start"}, ` + deps("react-scripts") + `}`, packages: []string{"react-scripts"}, served: "build", stages: "deps build"},
		{name: "Nest", manifest: `{"scripts": {"build": "nest build", "start": "nest start", "start:prod": "node dist/main"}, "dependencies": {"@nestjs/core": "1.0.0"}, "devDependencies": {"@nestjs/cli": "1.0.0"}}`,
			packages: []string{"@nestjs/core", "@nestjs/cli"}, runs: node + "dist/main", stages: "deps prod build"},
		{name: "Nest, start alone", manifest: `{"scripts": {"build": "nest build", "start": "nest start"}, "dependencies": {"@nestjs/core": "1.0.0"}}`, packages: []string{"@nestjs/core"}, runs: node + "dist/main.js", stages: "deps build"},
		{name: "static folder", manifest: `{}`, descriptor: "build: {static: public}", more: []string{"public/index.html", ""}, served: "public"},
		{name: "static folder that is not there", manifest: `{}`, descriptor: "build: {static: public}", problem: "there is no public/index.html, and no build script that writes it"},
		{name: "static, unsaid", manifest: `{"scripts": {"build": "make"}}`, descriptor: "build: {static: true}", problem: "nothing says which folder is the site"},
		{name: "static and a command", manifest: `{}`, descriptor: "build: {static: public}\ncmd: [x]", more: []string{"public/index.html", ""}, problem: "cmd: a site is served by the image's own server"},
		{name: "bundle", manifest: `{"type": "module", "scripts": {"start": "node server.js"}, ` + deps("express") + `}`, packages: []string{"express"}, descriptor: "build: {bundle: true}",
			more: []string{"server.js", ""}, runs: node + "server.mjs", stages: "prod bundler bundle"},
		{name: "bundle, addon", manifest: `{"scripts": {"start": "node server.js"}, ` + deps("better-sqlite3") + `}`, packages: []string{"better-sqlite3!"}, descriptor: "build: {bundle: true}",
			more: []string{"server.js", ""}, problem: "build.bundle: better-sqlite3 has machine code in it"},
		{name: "bundle, something before", manifest: `{"scripts": {"start": "node -r dotenv/config server.js"}, ` + deps("dotenv") + `}`, packages: []string{"dotenv"}, descriptor: "build: {bundle: true}",
			more: []string{"server.js", ""}, problem: "Node loads dotenv/config before the program"},
		{name: "addon", manifest: `{"scripts": {"start": "node server.js"}, ` + deps("better-sqlite3") + `}`, packages: []string{"better-sqlite3!"}, more: []string{"server.js", ""}, runs: node + "server.js", stages: "prod libraries"},
		{name: "missing script", manifest: `{"scripts": {"build": "x"}}`, descriptor: "build: {script: biuld}", problem: "birdhouse.yaml:2:17: build.script: package.json has no script \"biuld\"\n"},
		{name: "missing test", manifest: `{}`, descriptor: "test: true", more: []string{"server.js", ""}, problem: "test: package.json has no script \"test\""},
		{name: "no build", manifest: `{"scripts": {"build": "webpack", "start": "node server.js"}, "devDependencies": {"webpack": "1.0.0"}}`, packages: []string{"webpack"}, descriptor: "build: {script: false}",
			more: []string{"server.js", ""}, runs: node + "server.js", stages: ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := planFor(t, "language: node\n"+tt.descriptor+"\n", app(tt.manifest, tt.packages, tt.more...))
			if tt.problem != "" {
				require.Nil(t, r.Plan)
				require.Contains(t, r.Text, tt.problem)
				return
			}
			require.NotNil(t, r.Plan, r.Text)
			require.Equal(t, tt.stages, stageNames(r.Plan))
			if tt.served != "" {
				require.Equal(t, "web:13", r.Plan.Run.String())
				require.Equal(t, tt.served, fact(t, r.Plan, "static").Value)
				require.Equal(t, []string{"8080/tcp"}, r.Plan.Image.Expose)
				return
			}
			got := strings.Join(r.Plan.Image.Entrypoint, " ")
			if len(r.Plan.Image.Cmd) > 0 {
				got += " | " + strings.Join(r.Plan.Image.Cmd, " ")
			}
			require.Equal(t, tt.runs, got)
			require.Equal(t, plan.Base{Image: "node", Version: "26", With: []string{"init"}}, r.Plan.Run)
		})
	}
}

// A bundle of a workspace's package has in it what that needs of the others, and
// lies where the package is.
func TestBundleOfWorkspace(t *testing.T) {
	project := func(build string) fstest.MapFS {
		return files(
			"package.json", `{"private": true, "workspaces": ["apps/*", "packages/*"]}`,
			"apps/api/package.json", `{"name": "api", "scripts": {"start": "node server.js"}, "dependencies": {"lib": "1.0.0", "x": "1.0.0"}}`, "apps/api/server.js", "",
			"apps/web/package.json", `{"name": "web", "dependencies": {"y": "1.0.0"}}`,
			"packages/lib/package.json", `{"name": "lib", "version": "1.0.0", "type": "module", "scripts": {`+build+`}}`,
			"package-lock.json", `{"lockfileVersion": 3, "packages": {"": {"workspaces": ["apps/*", "packages/*"]},
				"apps/api": {"name": "api", "dependencies": {"lib": "1.0.0", "x": "1.0.0"}}, "apps/web": {"name": "web", "dependencies": {"y": "1.0.0"}}, "packages/lib": {"name": "lib", "version": "1.0.0"},
				"node_modules/api": {"link": true, "resolved": "apps/api"}, "node_modules/web": {"link": true, "resolved": "apps/web"}, "node_modules/lib": {"link": true, "resolved": "packages/lib"},
				"node_modules/x": {"version": "1.0.0"}, "node_modules/y": {"version": "1.0.0"}}}`)
	}
	r := planFor(t, "language: node\npackage: api\nbuild: {bundle: true}\n", project(""))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, "prod bundler bundle", stageNames(r.Plan))
	require.Equal(t, "/app/apps/api", r.Plan.Image.WorkingDir)
	require.Equal(t, []string{"/usr/bin/tini", "--", "/usr/local/bin/node", "server.cjs"}, r.Plan.Image.Entrypoint)
	step := stage(t, r.Plan, "bundle").Steps[0]
	require.Equal(t, "/src", step.Dir)
	settings := step.Args[len(step.Args)-1]
	for _, text := range []string{`"entry":"/src/apps/api/server.js"`, `"outfile":"/out/apps/api/server.cjs"`, `"root":"/src"`, `"app":"/app"`} {
		require.Contains(t, settings, text)
	}
	prod := stage(t, r.Plan, "prod").Steps[0].Args
	seen := 0
	for _, m := range step.Mounts {
		if m.From != "prod" {
			continue
		}
		seen++
		// Npm makes these folders only where it puts something.
		require.True(t, slices.Contains(prod, m.Target) && prod[slices.Index(prod, m.Target)-1] == "--mkdir", "%s is mounted, and nothing makes it: %q", m.Target, prod)
	}
	require.Equal(t, 3, seen, "of the root, api and lib: %v", step.Mounts)
	require.Equal(t, []plan.Copy{{Stage: "bundle", Source: "/", Target: "/app"}}, layer(t, r.Plan, "application").Copies)

	// The package that is needed is built first, and what it became is bundled.
	r = planFor(t, "language: node\npackage: api\nbuild: {bundle: true}\n", project(`"build": "tsc"`))
	require.NotNil(t, r.Plan, r.Text)
	require.Contains(t, stageNames(r.Plan), "bundle")
}

// What a site's settings say about its pages' names is what the server goes by.
func TestSitePages(t *testing.T) {
	const byName = `url.rewrite-if-not-file = ("^([^?]+)(\?.*)?$" => "$1.html$2")`
	for _, tt := range []struct {
		tool, script, config, text string
		names                      bool
		immutable                  string
	}{
		{tool: "vitepress", script: "vitepress build", config: ".vitepress/config.mts", text: "export default { cleanUrls: true }", names: true, immutable: "assets"},
		{tool: "vitepress", script: "vitepress build docs", config: "docs/.vitepress/config/index.ts", text: "export default { cleanUrls: true }", names: true, immutable: "assets"},
		{tool: "vitepress", script: "vitepress build", config: ".vitepress/config.mts", text: "export default {}", immutable: "assets"},
		{tool: "@docusaurus/core", script: "docusaurus build", config: "docusaurus.config.ts", text: "const config = { trailingSlash: false }", names: true, immutable: "assets"},
		{tool: "@docusaurus/core", script: "docusaurus build", config: "docusaurus.config.ts", text: "const config = {}", immutable: "assets"},
		{tool: "vite", script: "vite build", config: "vite.config.ts", text: "export default { build: { assetsDir: 'files' } }", immutable: "files"},
	} {
		r := planFor(t, "language: node\n", app(`{"scripts": {"build": "`+tt.script+`"}, "devDependencies": {"`+tt.tool+`": "1.0.0"}}`, []string{tt.tool}, tt.config, tt.text))
		require.NotNil(t, r.Plan, r.Text)
		require.Equal(t, tt.names, strings.Contains(layer(t, r.Plan, "server").Files[0].Content, byName), "%s: %s", tt.config, tt.text)
		require.Equal(t, []string{tt.immutable + "/**"}, layer(t, r.Plan, "static").Copies[0].Include)
	}
}

// Nothing of the project's development, and no secret of its own, is copied.
func TestWhatShips(t *testing.T) {
	r := planFor(t, "language: node\n", app(`{"scripts": {"start": "node server.js"}}`, nil, "server.js", ""))
	exclude := layer(t, r.Plan, "application").Copies[0].Exclude
	for _, pattern := range []string{"**/node_modules", "**/.env", "**/.env.*", "**/.npmrc", "**/*.ts", "**/package-lock.json", "**/birdhouse.yaml", "**/.git"} {
		require.Contains(t, exclude, pattern)
	}
	r = planFor(t, "language: node\n", app(`{"scripts": {"start": "node server.ts"}}`, nil, "server.ts", ""))
	require.NotContains(t, layer(t, r.Plan, "application").Copies[0].Exclude, "**/*.ts", "Node runs it")
}

// A version bump, a script's edit and another entry of package.json install
// nothing anew.
func TestManifestsAreReduced(t *testing.T) {
	manifest := func(version, more string) fstest.MapFS {
		return files(
			"package.json", `{"name": "a", "version": "`+version+`", "workspaces": ["b"], "dependencies": {"x": "1.0.0"}, "devDependencies": {"y": "1.0.0"}, "scripts": {"build": "make", "start": "node server.js"`+more+`}, "description": "`+version+more[:0]+`"}`,
			"b/package.json", `{"name": "b", "version": "`+version+`"}`,
			"package-lock.json", `{"name": "a", "version": "`+version+`", "lockfileVersion": 3, "packages": {"": {"name": "a", "version": "`+version+`"}, "b": {"name": "b", "version": "`+version+`"}, "node_modules/b": {"link": true, "resolved": "b"}, "node_modules/x": {"version": "1.0.0"}, "node_modules/y": {"version": "1.0.0", "dev": true}}}`,
			"server.js", "")
	}
	one := planFor(t, "language: node\n", manifest("1.0.0", ""))
	two := planFor(t, "language: node\n", manifest("1.0.1", `, "lint": "eslint"`))
	require.NotNil(t, one.Plan, one.Text)
	for _, name := range []string{"deps", "prod"} {
		require.Equal(t, stage(t, one.Plan, name), stage(t, two.Plan, name))
	}
	three := manifest("1.0.0", "")
	three["package.json"].Data = []byte(strings.Replace(string(three["package.json"].Data), `"x": "1.0.0"`, `"x": "^1.0.0"`, 1))
	require.NotEqual(t, stage(t, one.Plan, "prod"), stage(t, planFor(t, "language: node\n", three).Plan, "prod"))
}

// The project's own install scripts run with what they read.
func TestLifecycle(t *testing.T) {
	include := func(script string) []string {
		r := planFor(t, "language: node\n", app(`{"scripts": {"start": "node server.js", "postinstall": "`+script+`"}, "dependencies": {"x": "1.0.0"}}`, []string{"x"}, "server.js", ""))
		require.NotNil(t, r.Plan, r.Text)
		mount := stage(t, r.Plan, "prod").Steps[0].Mounts[0]
		kept := strings.Contains(mount.Files[0].Content, "postinstall")
		require.Equal(t, !slices.Contains([]string{"husky", "npx only-allow npm"}, script), kept, script)
		return mount.Include
	}
	require.Empty(t, include("husky"))
	require.Empty(t, include("npx only-allow npm"))
	require.Equal(t, []string{"patches"}, include("patch-package"))
	require.Equal(t, []string{"prisma", "prisma.config.ts"}, include("prisma generate"))
	require.Equal(t, []string{"**"}, include("node scripts/setup.js"))
}

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		name    string
		project fstest.MapFS
		file    string
		lines   string
	}{
		{"nothing", files("go.mod", ""), "", ""},
		{"bare", files("server.js", ""), "server.js", ""},
		{"server", app(`{"scripts": {"start": "node server.js"}}`, nil, "server.js", ""), "package.json", "# expose: [3000]"},
		{"tests", app(`{"scripts": {"start": "node server.js", "test": "node --test"}}`, nil, "server.js", ""), "package.json", "# test: true"},
		{"no start", app(`{}`, nil), "package.json", "# entrypoint: [node, server.js]"},
		{"below", files("web/package.json", "{}"), "web/package.json", "dir: web"},
		{"several below", files("web/package.json", "{}", "api/package.json", "{}"), "api/package.json", "# dir: api\n# dir: web"},
		{"workspaces", files("package.json", `{"workspaces": ["*"]}`, "a/package.json", `{"name": "@x/a", "scripts": {"start": "node a.js"}}`, "b/package.json", `{"name": "b", "scripts": {"start": "node b.js"}}`), "package.json", "# package: \"@x/a\"\n# package: b"},
		{"two locks", files("package.json", `{"dependencies": {"x": "1"}}`, "yarn.lock", "", "package-lock.json", "{}"), "package.json", "# build: {tool: npm}"},
		{"broken", files("package.json", "{"), "package.json", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d, ok := node.Language{}.Detect(tt.project)
			require.Equal(t, tt.file != "", ok)
			require.Equal(t, tt.file, d.File)
			text := strings.Join(d.Lines, "\n")
			require.Contains(t, text, tt.lines)
			_, problems := spec.Parse("birdhouse.yaml", []byte("language: node\n"+text+"\n"), []string{"node"})
			require.Empty(t, problems, "what init writes must be right")
		})
	}
}

// The server of a site: what pages, hashed files and unknown paths get.
func TestSiteServer(t *testing.T) {
	manifest := `{"scripts": {"build": "vite build"}, "devDependencies": {"vite": "1.0.0"}}`
	config := func(descriptor string) string {
		r := planFor(t, "language: node\n"+descriptor, app(manifest, []string{"vite"}))
		require.NotNil(t, r.Plan, r.Text)
		require.Equal(t, []string{"/usr/bin/tini", "-e", "1", "--", "/usr/sbin/lighttpd", "-D", "-f", "/etc/lighttpd/lighttpd.conf"}, r.Plan.Image.Entrypoint)
		require.Equal(t, []string{"/assets/**"}, prefixed(layer(t, r.Plan, "static").Copies[0].Include))
		require.Equal(t, []string{"/assets"}, prefixed(layer(t, r.Plan, "application").Copies[0].Exclude))
		return layer(t, r.Plan, "server").Files[0].Content
	}
	text := config("")
	for _, want := range []string{"server.port = 8080", `"^/(assets)/"`, "immutable", `url.rewrite-if-not-file = ("^" => "/index.html")`, "/healthz", `"Last-Modified" => ""`} {
		require.Contains(t, text, want)
	}
	require.Contains(t, config("expose: [3000]\n"), "server.port = 3000")
	text = config("build: {static: {fallback: false}}\n")
	require.NotContains(t, text, "rewrite-if-not-file")
	require.Contains(t, text, `server.errorfile-prefix = "/app/"`)
}

// Angular's bundles lie beside the page: those with a hash in their names are kept, where
// its configuration says that they have one.
func TestAngularHashes(t *testing.T) {
	for hashing, kept := range map[string]bool{"all": true, "bundles": true, "media": false, "none": false} {
		manifest := `{"scripts": {"build": "ng build"}, "dependencies": {"@angular/core": "1.0.0"}}`
		workspace := `{"projects": {"shop": {"architect": {"build": {"builder": "@angular/build:application", "configurations": {"production": {"outputHashing": "` + hashing + `"}}}}}}}`
		r := planFor(t, "language: node\n", app(manifest, []string{"@angular/core"}, "angular.json", workspace))
		require.NotNil(t, r.Plan, r.Text)
		text := layer(t, r.Plan, "server").Files[0].Content
		found := regexp.MustCompile(`=~ "(.*)" \{ .* immutable"`).FindStringSubmatch(text)
		require.Equal(t, kept, found != nil, "%s: %s", hashing, text)
		if !kept {
			continue
		}
		hashed := regexp.MustCompile(found[1])
		for name, want := range map[string]bool{
			"/main-5TT7AQY6.js": true, "/styles-KQ4ZCH26.css": true, "/en/chunk-2QWXS5NT.js": true, "/main.2c7f0ce4b2a1d9e8.js": true,
			"/main.js": false, "/index.html": false, "/photo-5TT7AQY6.png": false, "/jquery-3.7.1.js": false, "/my-library.js": false,
		} {
			require.Equal(t, want, hashed.MatchString(name), name)
		}
	}
}

// Pages that are files of their own name with .html are found by it.
func TestSiteHTMLNames(t *testing.T) {
	config := func(settings string) string {
		r := planFor(t, "language: node\n", app(`{"scripts": {"build": "next build"}, "dependencies": {"next": "1.0.0"}}`, []string{"next"}, "next.config.mjs", settings))
		require.NotNil(t, r.Plan, r.Text)
		return layer(t, r.Plan, "server").Files[0].Content
	}
	const rewrite = `url.rewrite-if-not-file = ("^([^?]+)(\?.*)?$" => "$1.html$2")`
	require.Contains(t, config(`export default { output: "export" }`), rewrite)
	require.NotContains(t, config(`export default { output: "export", trailingSlash: true }`), rewrite)
}

func prefixed(patterns []string) []string {
	var list []string
	for _, p := range patterns {
		list = append(list, "/"+p)
	}
	return list
}

// A site has a port of its own, which a check asks on.
func TestSiteSmoke(t *testing.T) {
	r := planFor(t, "language: node\nbuild: {static: public}\nsmoke: {path: /healthz}\n", app("{}", nil, "public/index.html", ""))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, 8080, r.Plan.Smoke.Port)
}

// Next is told what identifies the build; what its server has of machine code is
// what is installed for the image's platform.
func TestNextServer(t *testing.T) {
	lock := `{"lockfileVersion": 3, "packages": {"": {"dependencies": {"next": "1.0.0"}}, "node_modules/next": {"version": "1.0.0", "optionalDependencies": {"@next/swc-linux-x64-gnu": "1", "sharp": "1"}},
		"node_modules/@next/swc-linux-x64-gnu": {"version": "1.0.0", "optional": true, "cpu": ["x64"], "os": ["linux"]}%s}}`
	project := func(more, config string) *plan.Plan {
		r := planFor(t, "language: node\n", files("package.json", `{"scripts": {"build": "next build"}, "dependencies": {"next": "1.0.0"}}`,
			"package-lock.json", fmt.Sprintf(lock, more), "next.config.mjs", config))
		require.NotNil(t, r.Plan, r.Text)
		return r.Plan
	}
	p := project(`, "node_modules/sharp": {"version": "1.0.0", "optional": true, "optionalDependencies": {"@img/sharp-linux-x64": "1", "@img/sharp-linux-arm64": "1", "@img/sharp-darwin-arm64": "1", "@img/sharp-linuxmusl-x64": "1"}},
		"node_modules/@img/sharp-linux-x64": {"version": "1.0.0", "optional": true, "cpu": ["x64"], "os": ["linux"], "libc": ["glibc"]}, "node_modules/@img/sharp-linux-arm64": {"version": "1.0.0", "optional": true, "cpu": ["arm64"], "os": ["linux"]},
		"node_modules/@img/sharp-darwin-arm64": {"version": "1.0.0", "optional": true, "cpu": ["arm64"], "os": ["darwin"]}, "node_modules/@img/sharp-linuxmusl-x64": {"version": "1.0.0", "optional": true, "cpu": ["x64"], "os": ["linux"], "libc": ["musl"]}`,
		`export default { output: "standalone", distDir: "built" }`)
	require.Equal(t, "deps prod build libraries", stageNames(p))
	require.False(t, stage(t, p, "build").PerPlatform)
	require.True(t, stage(t, p, "prod").PerPlatform)
	require.Empty(t, stage(t, p, "prod").Native)
	machine := []string{"**/node_modules/@img/sharp-linux-arm64", "**/node_modules/@img/sharp-linux-x64"}
	copies := layer(t, p, "dependencies").Copies
	require.Len(t, copies, 2)
	require.Equal(t, machine, copies[0].Exclude)
	require.Equal(t, machine, copies[1].Include)
	args := strings.Join(stage(t, p, "build").Steps[0].Args, " ")
	require.Contains(t, args, "--ask NEXT_DEPLOYMENT_ID=node /opt/build-id/buildid.mjs /src ")
	require.Contains(t, args, ` built/cache `)
	require.Contains(t, args, `{"from":"/src/built/standalone","to":"/out"`)
	require.Contains(t, args, `{"from":"/src/built/static","to":"/out/built/static"`)
	require.Equal(t, []string{"built/static/**", "public/**"}, layer(t, p, "static").Copies[0].Include)

	p = project("", `export default { output: "standalone" }`)
	require.Equal(t, "deps build", stageNames(p), "its compiler is no part of the server")
	require.Len(t, layer(t, p, "dependencies").Copies, 1)
}

// The name of a build changes with what is built, and with nothing else.
func TestBuildID(t *testing.T) {
	question := func(descriptor, version string) string {
		r := planFor(t, "language: node\n"+descriptor, app(`{"version": "`+version+`", "scripts": {"build": "vite build"}, "devDependencies": {"@sveltejs/kit": "1.0.0", "@sveltejs/adapter-node": "1.0.0"}}`, []string{"@sveltejs/kit", "@sveltejs/adapter-node"}))
		require.NotNil(t, r.Plan, r.Text)
		args := stage(t, r.Plan, "build").Steps[0].Args
		require.Equal(t, "--ask", args[2])
		return args[3]
	}
	one := question("", "1.0.0")
	require.True(t, strings.HasPrefix(one, "BIRDHOUSE_BUILD_ID=node "), one)
	require.Equal(t, one, question("", "1.0.1"))
	require.NotEqual(t, one, question("build: {env: {PUBLIC_SHOP: birds}}", "1.0.0"))
}

// react-router-serve is another file since React Router 8, which pnpm's lock file
// does not tell.
func TestKnownBins(t *testing.T) {
	for version, file := range map[string]string{"7.9.3": "bin.js", "8.4.0": "bin.cjs"} {
		lock := "lockfileVersion: '9.0'\nimporters:\n  .:\n    dependencies:\n      '@react-router/serve':\n        specifier: " + version + "\n        version: " + version +
			"\npackages:\n  '@react-router/serve@" + version + "':\n    resolution: {integrity: sha512-AA==}\n    hasBin: true\nsnapshots:\n  '@react-router/serve@" + version + "': {}\n"
		r := planFor(t, "language: node\n", files("package.json", `{"packageManager": "pnpm@10.0.0", "scripts": {"start": "react-router-serve ./build/server/index.js", "build": "react-router build"}, "dependencies": {"@react-router/serve": "`+version+`"}}`,
			"pnpm-lock.yaml", lock))
		require.NotNil(t, r.Plan, r.Text)
		require.Equal(t, "node_modules/@react-router/serve/"+file, r.Plan.Image.Entrypoint[len(r.Plan.Image.Entrypoint)-1])
	}
}

// A package manager that is checked against a hash is found by its program, and
// pnpm 12 by the package that has it.
func TestToolPrograms(t *testing.T) {
	for tool, file := range map[string]string{"pnpm@10.0.0": "bin/pnpm.cjs", "pnpm@11.0.0": "bin/pnpm.mjs", "pnpm@12.0.0": "pnpm"} {
		r := planFor(t, "language: node\n", files("package.json", strings.Replace(needsX, "{", `{"packageManager": "`+tool+`+sha512.00ff", `, 1), "pnpm-lock.yaml", pnpmLock, "server.js", ""))
		require.NotNil(t, r.Plan, r.Text)
		step := stage(t, r.Plan, "package-manager").Steps[0]
		require.Contains(t, step.Mounts[0].Files[1].Content, `"pnpm": "`+file+`"`)
		native := tool == "pnpm@12.0.0"
		require.Equal(t, native, strings.Contains(step.Mounts[0].Files[1].Content, "@pnpm/exe.linux-arm64"))
		require.Equal(t, native, slices.Contains(step.Args, "node_modules/pnpm/install.js"))
	}
}
