package node

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/tidwall/jsonc"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// framework is what a framework's build writes and how that is run. The zero
// framework is a program like any other.
type framework struct {
	// name is for people, and source where it comes from.
	name, source string
	// static is the folder of a site that needs no Node, "" for a program.
	static string
	// fallback is the site's file for paths that are not there, "" for none.
	fallback string
	// immutable are folders of the site whose files have a hash in their names.
	immutable []string
	// hashed is a regular expression (PCRE) for the paths of more such files, beside others.
	hashed string
	// htmlNames says that the site's page /about is the file about.html, in place of
	// about/index.html.
	htmlNames bool
	// output are the files and folders that the program is, below the package's
	// folder; nil for all but what serves development.
	output []string
	// standalone is the folder that Next writes its own reduced copy of program and
	// dependencies below, "" for other programs.
	standalone string
	// bundled programs have their dependencies in them.
	bundled bool
	// assets are the folders of output that hold files for browsers, modules those with
	// the packages that the build copied.
	assets, modules []string
	// exclude are files of output that nothing reads, and that have times in them.
	exclude []string
	start   start
	env     []plan.Env
	// caches are folders that the build keeps things for the next one in.
	caches []string
	// identity is the variable that gets a name for the sources, "" for none: in its
	// place the framework would take random or the time, and no two builds of the
	// same sources were the same.
	identity string
}

// buildID is the variable with a name for the sources that settings of frameworks
// may ask for.
const buildID = "BIRDHOUSE_BUILD_ID"

// configNames are the endings of the configuration files of frameworks.
var configNames = []string{".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"}

// config returns the configuration file of a framework in the package's folder,
// such as next.config.mjs.
func (p *project) config(name string) (file string, text string, problems spec.Problems) {
	return p.firstFile(name + ".config")
}

// firstFile returns the first file of JavaScript with one of these names, which lack
// the ending, in the package's folder.
func (p *project) firstFile(names ...string) (file string, text string, problems spec.Problems) {
	for _, name := range names {
		for _, ending := range configNames {
			file := path.Join(p.app.dir, name+ending)
			data, err := p.files.Read(file)
			if err != nil {
				return file, "", spec.Problems{app.Unreadable(file, err)}
			}
			if data != nil {
				return file, withoutComments(string(data)), nil
			}
		}
	}
	return "", "", nil
}

var comments = regexp.MustCompile(`(?s)/\*.*?\*/|(?m)^\s*//.*$`)

// withoutComments drops what most probably is a comment of JavaScript.
func withoutComments(text string) string { return comments.ReplaceAllString(text, "") }

// setting finds `name: "value"` in JavaScript.
func setting(text, name string) string {
	m := regexp.MustCompile(`\b` + name + "\\s*:\\s*[\"'`]([^\"'`]*)[\"'`]").FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// called finds `name("value")` in JavaScript.
func called(text, name string) string {
	m := regexp.MustCompile(`\b` + name + "\\(\\s*[\"'`]([^\"'`]*)[\"'`]").FindStringSubmatch(text)
	if m == nil {
		return ""
	}
	return m[1]
}

// folder is the folder that a setting names, else what it is without.
func folder(text, name, otherwise string) string {
	return path.Clean(cmp.Or(setting(text, name), otherwise))
}

// turnedOff finds `name: false` in JavaScript.
func turnedOff(text, name string) bool {
	return regexp.MustCompile(`\b` + name + `\s*:\s*false\b`).MatchString(text)
}

// turnedOn finds `name: true` in JavaScript.
func turnedOn(text, name string) bool {
	return regexp.MustCompile(`\b` + name + `\s*:\s*true\b`).MatchString(text)
}

// plainStart says whether the start script starts a file of the project with
// Node, so that whatever else is used is a part of that program.
func (p *project) plainStart() bool {
	m := p.app
	if m.scripts["start"] == "" {
		return false
	}
	s, bad := p.readScript(nil, "start", 0)
	return bad == nil && !strings.HasPrefix(s.file, "node_modules/") && !frameworkOutput(s.file)
}

// frameworkOutput says whether a file is what a framework's build writes.
func frameworkOutput(file string) bool {
	for _, prefix := range []string{".output/", ".next/", "build/server", "dist/server/entry", "build/index.js"} {
		if file == prefix || strings.HasPrefix(file, prefix) {
			return true
		}
	}
	return file == "build"
}

// chooseFramework finds out what kind of program the package is.
func (p *project) chooseFramework() (framework, spec.Problems) {
	m := p.app
	if m.manifest == nil {
		return framework{}, nil
	}
	plain := p.plainStart()
	static := p.spec.Build.Static != nil
	from := func(name string) string {
		for _, kind := range []string{"dependencies", "devDependencies", "optionalDependencies"} {
			if m.raw(kind, name) != nil {
				return m.where(kind, name)
			}
		}
		return m.file
	}
	var f framework
	var problems spec.Problems
	switch {
	case m.needs("next") && !plain:
		f, problems = p.next()
		f.source = from("next")
	case m.needs("nuxt") && !plain:
		f = p.nuxt()
		f.source = from("nuxt")
	case m.needs("@sveltejs/kit") && !plain:
		f, problems = p.svelteKit()
		f.source = from("@sveltejs/kit")
	case m.needs("@react-router/dev") && !plain:
		f, problems = p.reactRouter()
		f.source = from("@react-router/dev")
	case m.needs("astro") && !plain:
		f, problems = p.astro()
		f.source = from("astro")
	case m.needs("@angular/core") && !plain:
		f, problems = p.angular()
		f.source = from("@angular/core")
	case plain && !static:
		return framework{}, nil
	default:
		if tool := p.siteTool(); tool != nil {
			f, problems = p.site(*tool)
			f.source = from(tool.name)
		}
	}
	return f, problems
}

// next reads Next's configuration: https://nextjs.org/docs/app/api-reference/config/next-config-js/output.
func (p *project) next() (framework, spec.Problems) {
	file, text, problems := p.config("next")
	if problems.HasErrors() {
		return framework{}, problems
	}
	f := framework{name: "Next", caches: []string{".next/cache"}, identity: "NEXT_DEPLOYMENT_ID"}
	switch setting(text, "output") {
	case "export":
		f.name += ", exported"
		f.static, f.immutable = folder(text, "distDir", "out"), []string{"_next/static"}
		f.htmlNames = !turnedOn(text, "trailingSlash")
		return f, nil
	case "standalone":
		f.name += ", standalone"
		dir := folder(text, "distDir", ".next")
		f.standalone, f.bundled = dir, true
		f.caches = []string{path.Join(dir, "cache")}
		f.assets = []string{path.Join(dir, "static"), "public"}
		f.start = start{file: "server.js", source: "what Next builds", built: true}
		f.env = []plan.Env{{Name: "HOSTNAME", Value: "0.0.0.0"}}
		return f, nil
	}
	if p.spec.Build.Static != nil || len(p.spec.Entrypoint) > 0 {
		return f, nil
	}
	hint := "write in it:\noutput: \"standalone\"\nfor a server, or\noutput: \"export\"\nfor a site that needs no Node"
	if file == "" {
		return f, spec.Problems{p.app.problem([]string{"dependencies", "next"}, "Next builds a server that needs all of node_modules: there is no next.config.js that asks for another output",
			"write next.config.mjs:\nexport default { output: \"standalone\" }\nfor a server, or output: \"export\" for a site that needs no Node")}
	}
	return f, spec.Problems{app.FileProblem(file, "Next builds a server that needs all of node_modules: the file does not ask for another output", hint)}
}

// nuxt: https://nuxt.com/docs/getting-started/deployment.
func (p *project) nuxt() framework {
	f := framework{name: "Nuxt"}
	if strings.Contains(p.app.scripts[p.buildScript()], "nuxt generate") || strings.Contains(p.app.scripts[p.buildScript()], "nuxi generate") {
		f.name += ", generated"
		f.static, f.immutable = ".output/public", []string{"_nuxt"}
		return f
	}
	f.output, f.bundled = []string{".output"}, true
	f.assets, f.modules, f.exclude = []string{".output/public"}, []string{".output/server/node_modules"}, []string{"nitro.json"}
	f.start = start{file: ".output/server/index.mjs", source: "what Nuxt builds", built: true}
	return f
}

// svelteKit: https://svelte.dev/docs/kit/adapters.
func (p *project) svelteKit() (framework, spec.Problems) {
	m := p.app
	f := framework{name: "SvelteKit", identity: buildID}
	_, text, problems := p.config("svelte")
	if !strings.Contains(text, "adapter") {
		// Newer projects have it among Vite's plugins.
		_, vite, found := p.config("vite")
		text, problems = text+vite, append(problems, found...)
	}
	if problems.HasErrors() {
		return f, problems
	}
	switch {
	case m.needs("@sveltejs/adapter-static"):
		f.name += ", static"
		f.static, f.immutable = folder(text, "pages", "build"), []string{"_app/immutable"}
		f.fallback, f.htmlNames = setting(text, "fallback"), true
	case m.needs("@sveltejs/adapter-node"):
		out := folder(text, "out", "build")
		f.output, f.assets = []string{out}, []string{path.Join(out, "client")}
		f.start = start{file: path.Join(out, "index.js"), source: "what SvelteKit's adapter-node builds", built: true}
	default:
		return f, spec.Problems{m.problem([]string{"devDependencies", "@sveltejs/kit"}, "SvelteKit builds for a platform that its adapter names, and there is neither adapter-node nor adapter-static",
			"run `npm install --save-dev @sveltejs/adapter-node`, and import adapter from it in place of @sveltejs/adapter-auto, in svelte.config.js or vite.config.ts")}
	}
	return f, nil
}

// reactRouter: https://reactrouter.com/start/framework/deploying.
func (p *project) reactRouter() (framework, spec.Problems) {
	m := p.app
	f := framework{name: "React Router"}
	_, text, problems := p.config("react-router")
	if problems.HasErrors() {
		return f, problems
	}
	dir := folder(text, "buildDirectory", "build")
	if turnedOff(text, "ssr") {
		f.name += ", without a server"
		f.static, f.fallback, f.immutable = path.Join(dir, "client"), "index.html", []string{"assets"}
		return f, nil
	}
	f.output, f.assets = []string{dir}, []string{path.Join(dir, "client")}
	if !m.ships("@react-router/serve") {
		return f, spec.Problems{m.problem([]string{"dependencies"}, "React Router's build is a request handler, and @react-router/serve, which serves it, is not among the dependencies",
			"run `npm install @react-router/serve`, or write a server of your own and start it with a start script")}
	}
	return f, nil
}

// astro: https://docs.astro.build/en/guides/integrations-guide/node/.
func (p *project) astro() (framework, spec.Problems) {
	m := p.app
	f := framework{name: "Astro"}
	_, text, problems := p.config("astro")
	if problems.HasErrors() {
		return f, problems
	}
	dir := folder(text, "outDir", "dist")
	if !m.needs("@astrojs/node") {
		f.static, f.immutable = dir, []string{"_astro"}
		return f, nil
	}
	if setting(text, "mode") == "middleware" {
		return f, spec.Problems{m.problem([]string{"dependencies", "@astrojs/node"}, "Astro's node adapter is in the mode middleware, which is no program", "write in astro.config.mjs:\nadapter: node({ mode: 'standalone' })\nor write a server of your own and start it with a start script")}
	}
	f.output, f.assets = []string{dir}, []string{path.Join(dir, "client")}
	f.start = start{file: path.Join(dir, "server/entry.mjs"), source: "what Astro's node adapter builds", built: true}
	f.env = []plan.Env{{Name: "HOST", Value: "0.0.0.0"}}
	return f, nil
}

// angular reads angular.json: https://angular.dev/reference/configs/workspace-config.
func (p *project) angular() (framework, spec.Problems) {
	f := framework{name: "Angular", caches: []string{".angular/cache"}}
	name := path.Join(p.app.dir, "angular.json")
	data, err := p.files.Read(name)
	if err != nil {
		return f, spec.Problems{app.Unreadable(name, err)}
	}
	if data == nil {
		return f, nil
	}
	var file struct {
		Projects map[string]struct {
			Type      string `json:"projectType"`
			Architect map[string]struct {
				Builder string `json:"builder"`
				Options struct {
					OutputPath json.RawMessage `json:"outputPath"`
					SSR        json.RawMessage `json:"ssr"`
					OutputMode string          `json:"outputMode"`
					angularHashing
				} `json:"options"`
				Configurations map[string]angularHashing `json:"configurations"`
			} `json:"architect"`
		} `json:"projects"`
	}
	if err := json.Unmarshal(jsonc.ToJSON(data), &file); err != nil {
		return f, spec.Problems{jsonProblem(name, data, err)}
	}
	var apps []string
	for project, settings := range file.Projects {
		if settings.Type != "library" {
			apps = append(apps, project)
		}
	}
	if len(apps) != 1 {
		if p.spec.Build.Static != nil && p.spec.Build.Static.Dir != "" {
			return f, nil
		}
		return f, spec.Problems{app.FileProblem(name, fmt.Sprintf("there are %d applications in it, and nothing says which one the image serves", len(apps)), "name the folder that its build writes:\nbuild: {static: dist/NAME/browser}")}
	}
	build := file.Projects[apps[0]].Architect["build"]
	dir := path.Join("dist", apps[0])
	var paths struct {
		Base    string  `json:"base"`
		Browser *string `json:"browser"`
	}
	if json.Unmarshal(build.Options.OutputPath, &dir) != nil && json.Unmarshal(build.Options.OutputPath, &paths) == nil && paths.Base != "" {
		dir = paths.Base
	}
	dir = path.Clean(dir)
	browser := path.Join(dir, "browser")
	if paths.Browser != nil {
		browser = path.Join(dir, *paths.Browser)
	}
	if strings.HasSuffix(build.Builder, ":browser") { // before the application builder
		browser = dir
	}
	if ssr := string(build.Options.SSR); ssr != "" && ssr != "false" && build.Options.OutputMode != "static" {
		f.output, f.assets, f.bundled = []string{dir}, []string{browser}, false
		f.start = start{file: path.Join(dir, "server/server.mjs"), source: "what Angular builds", built: true}
		return f, nil
	}
	f.static, f.fallback = browser, "index.html"
	for _, of := range append(slices.Collect(maps.Values(build.Configurations)), build.Options.angularHashing) {
		if of.Hashing == "all" || of.Hashing == "bundles" {
			f.hashed = angularHashed
		}
	}
	return f, nil
}

// angularHashing is the part of a configuration that says which files get a hash into their
// names: none, media, bundles or all.
type angularHashing struct {
	Hashing string `json:"outputHashing"`
}

// angularHashed are the bundles that Angular hashes: main-5TT7AQY6.js, and with the builder
// before esbuild's main.2c7f0ce4b2a1d9e8.js.
const angularHashed = `^/(.*/)?[^/]+(-[0-9A-Z]{8}|\.[0-9a-f]{16,20})\.(css|js|mjs)$`

// buildScript is the name of the script that builds the program, "" for none.
func (p *project) buildScript() string {
	m := p.app
	if m.manifest == nil {
		return ""
	}
	switch name := string(p.spec.Build.Script); name {
	case "false":
		return ""
	case "":
		if m.scripts["build"] != "" {
			return "build"
		}
		// What sites are begun with names it otherwise: docs:build.
		if names := p.siteScripts(); len(names) == 1 {
			return names[0]
		}
		return ""
	default:
		return name
	}
}

// checkScript reports a build script that is not there.
func (p *project) checkScript(f framework) spec.Problems {
	s := p.spec
	name := p.buildScript()
	if p.app.manifest == nil {
		if s.Build.Script != "" && s.Build.Script != "false" {
			return spec.Problems{s.Problem("build.script", "build.script: there is no package.json that has scripts", "remove the line")}
		}
		return nil
	}
	if name != "" && p.app.scripts[name] == "" {
		hint := "there are no scripts"
		if names := slices.Sorted(maps.Keys(p.app.scripts)); len(names) > 0 {
			hint = spec.Meant(name, names, "there are: "+strings.Join(names, ", "))
		}
		return spec.Problems{s.Problem("build.script", fmt.Sprintf("build.script: %s has no script %q", p.app.file, name), hint)}
	}
	if name == "" && f.name != "" && s.Build.Script != "false" && !p.files.Exists(path.Join(p.app.dir, f.static)) {
		if names := p.siteScripts(); len(names) > 1 {
			var lines []string
			for _, name := range names {
				lines = append(lines, "build: {script: \""+name+"\"}")
			}
			return spec.Problems{app.FileProblem(p.app.file, fmt.Sprintf("%d scripts build with %s, and none is called build", len(names), f.name), "write one of\n"+app.Listed(lines))}
		}
		return spec.Problems{app.FileProblem(p.app.file, fmt.Sprintf("%s needs a build, and there is no script that builds", f.name), "add the script, such as \"build\": \""+builders[strings.Split(f.name, ",")[0]]+"\"")}
	}
	return nil
}

var builders = map[string]string{
	"Next": "next build", "Nuxt": "nuxt build", "SvelteKit": "vite build", "React Router": "react-router build", "Astro": "astro build", "Angular": "ng build",
	"Create React App": "react-scripts build", "Gatsby": "gatsby build", "Docusaurus": "docusaurus build", "VitePress": "vitepress build", "Eleventy": "eleventy",
	"Vue CLI": "vue-cli-service build", "Parcel": "parcel build index.html", "Vite": "vite build",
}
