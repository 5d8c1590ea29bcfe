package node

import (
	"cmp"
	"maps"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// siteTool is a program that makes files for browsers alone.
type siteTool struct {
	// name is its package, title what people call it, program and verb what its build
	// is started with; an empty verb is none.
	name, title, program, verb string
	// dir is the folder that it writes, fallback the file for paths that are not there,
	// "" for none.
	dir, fallback string
	// immutable are folders below dir whose files have a hash in their names.
	immutable []string
}

// siteTools in the order in which they are looked for: those that use others first.
var siteTools = []siteTool{
	{"react-scripts", "Create React App", "react-scripts", "build", "build", "index.html", []string{"static"}},
	{"gatsby", "Gatsby", "gatsby", "build", "public", "", []string{"static"}},
	{"@docusaurus/core", "Docusaurus", "docusaurus", "build", "build", "", []string{"assets"}},
	{"vitepress", "VitePress", "vitepress", "build", ".vitepress/dist", "", []string{"assets"}},
	{"@11ty/eleventy", "Eleventy", "eleventy", "", "_site", "", nil},
	{"@vue/cli-service", "Vue CLI", "vue-cli-service", "build", "dist", "index.html", []string{"js", "css"}},
	{"parcel", "Parcel", "parcel", "build", "dist", "index.html", nil},
	{"vite", "Vite", "vite", "build", "dist", "index.html", []string{"assets"}},
}

// siteTool is the one that the package uses, nil for none.
func (p *project) siteTool() *siteTool {
	for i := range siteTools {
		if p.app.needs(siteTools[i].name) {
			return &siteTools[i]
		}
	}
	return nil
}

// site is what a tool makes: where its settings and the words of the build script
// say so, elsewhere than by default.
func (p *project) site(tool siteTool) (framework, spec.Problems) {
	f := framework{name: tool.title, static: tool.dir, fallback: tool.fallback, immutable: tool.immutable}
	args, _ := p.buildArgs(tool, p.buildScript())
	root := positional(args)
	var text string
	var problems spec.Problems
	switch tool.name {
	case "vite": // https://vite.dev/config/build-options.html#build-outdir
		_, text, problems = p.config("vite")
		if root == "" {
			root = setting(text, "root")
		}
		f.static = path.Join(root, cmp.Or(option(args, "--outDir"), setting(text, "outDir"), tool.dir))
		if dir := setting(text, "assetsDir"); dir != "" {
			f.immutable = []string{path.Clean(dir)}
		}
	case "vitepress": // https://vitepress.dev/reference/site-config#outdir
		_, text, problems = p.firstFile(path.Join(root, ".vitepress/config"), path.Join(root, ".vitepress/config/index"))
		f.static = path.Join(root, cmp.Or(setting(text, "outDir"), tool.dir))
		if dir := option(args, "--outDir"); dir != "" {
			f.static = path.Clean(dir)
		}
		f.htmlNames = turnedOn(text, "cleanUrls")
	case "@docusaurus/core": // https://docusaurus.io/docs/cli
		_, text, problems = p.firstFile(path.Join(root, "docusaurus.config"))
		f.static = path.Join(root, cmp.Or(option(args, "--out-dir"), tool.dir))
		f.htmlNames = turnedOff(text, "trailingSlash")
	case "@11ty/eleventy": // https://www.11ty.dev/docs/config/#output-directory
		_, text, problems = p.firstFile(".eleventy", "eleventy.config")
		f.static = path.Clean(cmp.Or(option(args, "--output"), setting(text, "output"), called(text, "setOutputDirectory"), tool.dir))
	case "@vue/cli-service": // https://cli.vuejs.org/config/#outputdir
		_, text, problems = p.config("vue")
		f.static = path.Clean(cmp.Or(option(args, "--dest"), setting(text, "outputDir"), tool.dir))
	case "parcel": // https://parceljs.org/features/cli/
		f.static = path.Clean(cmp.Or(option(args, "--dist-dir"), tool.dir))
	}
	return f, problems
}

// siteScripts are the scripts that run the build of the package's site. There are none
// where a start script starts something else: the site is a part of that.
func (p *project) siteScripts() []string {
	tool := p.siteTool()
	if tool == nil {
		return nil
	}
	if p.app.scripts["start"] != "" && !slices.ContainsFunc(p.commands("start"), func(words []string) bool { return tool.runs(words[0]) }) {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(p.app.scripts)) {
		if _, builds := p.buildArgs(*tool, name); builds {
			names = append(names, name)
		}
	}
	return names
}

// runs says whether a word is the tool's program, or its package as npx takes it.
func (t siteTool) runs(word string) bool { return word == t.program || word == t.name }

// buildArgs are the words behind the tool's build in a script, and whether the script
// runs it.
func (p *project) buildArgs(tool siteTool, script string) (args []string, builds bool) {
	for _, words := range p.commands(script) {
		if !tool.runs(words[0]) {
			continue
		}
		words = words[1:]
		if tool.verb != "" {
			if len(words) == 0 || words[0] != tool.verb {
				continue
			}
			words = words[1:]
		}
		if slices.ContainsFunc(words, func(w string) bool {
			return slices.Contains([]string{"--serve", "--watch", "-w", "--help", "--version"}, w)
		}) {
			continue
		}
		return words, true
	}
	return nil, false
}

// commands are those of a script that need no shell, without what only sets the scene
// for a program.
func (p *project) commands(script string) [][]string {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(p.app.scripts[script]), "")
	if err != nil {
		return nil
	}
	var commands [][]string
	for _, s := range file.Stmts {
		flat, ok := conjunction(s)
		if !ok {
			continue
		}
		for _, one := range flat {
			words, _, ok := simple(one)
			for ok && len(words) > 1 && (slices.Contains([]string{"npx", "cross-env", "env"}, words[0]) || strings.Contains(words[0], "=")) {
				words = words[1:]
			}
			if ok {
				commands = append(commands, words)
			}
		}
	}
	return commands
}

// option is the value of a flag among the words of a command, "" for none.
func option(words []string, flag string) string {
	for i, word := range words {
		if value, ok := strings.CutPrefix(word, flag+"="); ok {
			return value
		}
		if word == flag && i+1 < len(words) {
			return words[i+1]
		}
	}
	return ""
}

// positional is the first word of a command unless that is a flag.
func positional(words []string) string {
	if len(words) == 0 || strings.HasPrefix(words[0], "-") {
		return ""
	}
	return words[0]
}
