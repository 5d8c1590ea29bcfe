package node

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/Masterminds/semver/v3"
	"mvdan.cc/sh/v3/syntax"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// start is how the program is started, in the package's folder.
type start struct {
	// flags are Node's own, file is the program, args what comes behind it.
	flags []string
	file  string
	args  []string
	env   []plan.Env
	// source is where it comes from, for people.
	source string
	// built says that the file is not in the project before the build.
	built bool
}

// refusal says why a script cannot be run as it is.
type refusal struct {
	message, hint string
}

// serverNames are the files that a program without any statement is.
var serverNames = []string{
	"server.js", "server.mjs", "server.cjs", "server.ts", "server.mts",
	"index.js", "index.mjs", "index.cjs", "index.ts", "index.mts",
	"app.js", "app.mjs", "app.cjs", "app.ts", "main.js", "main.mjs", "main.ts",
	"src/server.js", "src/index.js", "src/main.js", "src/app.js", "src/server.ts", "src/index.ts", "src/main.ts", "src/app.ts",
}

// chooseStart decides what the image runs: the start script, the bin, main, a file
// with a usual name. Framework says what it starts with, if it does.
func (p *project) chooseStart(f framework, l *lock, r runtime, script string) (start, spec.Problems) {
	m := p.app
	if f.start.file != "" {
		return f.start, nil
	}
	if m.manifest != nil {
		for _, name := range []string{"start:prod", "start"} {
			text := m.scripts[name]
			// Nest's start script compiles; start:prod is what it has for images.
			if text == "" || name == "start:prod" && !m.needs("@nestjs/core") {
				continue
			}
			s, bad := p.readScript(l, name, 0)
			where := []string{"scripts", name}
			if bad != nil && p.firstProgram(name) == "nest" {
				break // what nest starts is dist/main.js
			}
			if bad != nil {
				return start{}, spec.Problems{m.problem(where, fmt.Sprintf("scripts.%s: %s", name, bad.message), bad.hint)}
			}
			s.source = m.where(where...) + ": scripts." + name
			found := p.findFile(&s, script != "")
			if found != "" {
				return start{}, spec.Problems{m.problem(where, fmt.Sprintf("scripts.%s: %s", name, found), "name the file that is there, or a build script that writes it")}
			}
			return s, p.checkTypeScript(s, r)
		}
		// Of a package that has both, main is what others import.
		if name, file := m.mainBin(); file != "" {
			s := start{file: path.Clean(file), source: m.where("bin", name) + ": bin, " + name}
			if found := p.findFile(&s, script != ""); found != "" {
				return start{}, spec.Problems{m.problem([]string{"bin", name}, "bin: "+found, "name the file that is there")}
			}
			return s, p.checkTypeScript(s, r)
		}
		if m.main != "" {
			s := start{file: strings.TrimPrefix(path.Clean(m.main), "./"), source: m.where("main") + ": main"}
			if found := p.findFile(&s, script != ""); found != "" {
				return start{}, spec.Problems{m.problem([]string{"main"}, "main: "+found, "name the file that is there, or add a start script")}
			}
			return s, p.checkTypeScript(s, r)
		}
	}
	if m.manifest != nil && m.needs("@nestjs/core") && script != "" {
		return start{file: "dist/main.js", source: "what Nest builds", built: true}, nil
	}
	return p.usualStart(r, script)
}

// usualStart looks for a file with a usual name.
func (p *project) usualStart(r runtime, script string) (start, spec.Problems) {
	var found []string
	for _, name := range serverNames {
		if p.files.IsFile(path.Join(p.app.dir, name)) {
			found = append(found, name)
		}
	}
	if len(found) > 1 {
		// server.js is what it says; its neighbours are what it is made of.
		if first := strings.Split(path.Base(found[0]), ".")[0]; first == "server" && !strings.Contains(found[0], "/") && !strings.HasPrefix(found[1], "server.") {
			found = found[:1]
		}
	}
	if len(found) == 1 {
		s := start{file: found[0], source: "the file with this name"}
		return s, p.checkTypeScript(s, r)
	}
	at, hint := "language", "name it with a start script in package.json, such as \"start\": \"node server.js\", or with\nentrypoint: [node, server.js]"
	if p.app.manifest == nil {
		hint = "write its name:\nentrypoint: [node, FILE.js]"
	}
	if len(found) > 1 {
		var lines []string
		for _, name := range found {
			lines = append(lines, "entrypoint: [node, "+name+"]")
		}
		return start{}, spec.Problems{p.spec.Problem(at, fmt.Sprintf("there are %d files that could be the program (%s), and nothing says which one is", len(found), strings.Join(found, ", ")), "add one of\n"+app.Listed(lines))}
	}
	if p.app.manifest == nil {
		if only := p.onlyFile(); only != "" {
			s := start{file: only, source: "the only file that Node runs"}
			return s, p.checkTypeScript(s, r)
		}
	}
	if script != "" {
		hint = "what does the build write? Name it with a start script in package.json, such as \"start\": \"node dist/index.js\", or with\nentrypoint: [node, dist/index.js]\nor, for a site that needs no Node,\nbuild: {static: dist}"
	}
	return start{}, spec.Problems{p.spec.Problem(at, fmt.Sprintf("nothing says how the program in %s is started: there is no start script, no main, and no file such as server.js", app.Describe(p.app.dir)), hint)}
}

// onlyFile is the one file in the project's folder that Node could run.
func (p *project) onlyFile() string {
	entries, err := p.readDir(p.app.dir)
	if err != nil {
		return ""
	}
	only := ""
	for _, name := range entries {
		if !slices.Contains(codeEndings, path.Ext(name)) || strings.Contains(name, ".config.") || strings.HasSuffix(name, ".d.ts") {
			continue
		}
		if only != "" {
			return ""
		}
		only = name
	}
	return only
}

// findFile completes the file as Node does, and says what is wrong when it is not
// there and no build writes it.
func (p *project) findFile(s *start, builds bool) string {
	if path.IsAbs(s.file) {
		return fmt.Sprintf("%s is a path of a machine, not of the project", s.file)
	}
	full := path.Join(p.app.dir, s.file)
	if !app.Within(p.root, full) {
		return fmt.Sprintf("%s is outside of the project", s.file)
	}
	if strings.HasPrefix(s.file, "node_modules/") || strings.Contains(s.file, "/node_modules/") {
		return ""
	}
	for _, name := range append([]string{full}, alternatives(full)...) {
		if _, err := fs.Stat(p.files, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return app.Unreadable(name, err).Message + ": " + name
		}
		if p.files.IsFile(name) {
			s.file = app.Relative(p.app.dir, name)
			return ""
		}
	}
	if s.built = builds; builds {
		return ""
	}
	// Programs in bin have no ending, and are not in sight.
	if seen(s.file) || path.Ext(s.file) == "" && path.Base(path.Dir(s.file)) != "bin" {
		return fmt.Sprintf("there is no %s, and no build script that writes it; check that .dockerignore does not exclude it", full)
	}
	return ""
}

func alternatives(name string) []string {
	list := []string{name + ".js", name + ".cjs", name + ".mjs"}
	for _, index := range []string{"index.js", "index.cjs", "index.mjs"} {
		list = append(list, path.Join(name, index))
	}
	return list
}

// checkTypeScript reports TypeScript that this Node does not run.
func (p *project) checkTypeScript(s start, r runtime) spec.Problems {
	if !typescript(s.file) || r.version == "" || r.strips() {
		return nil
	}
	return spec.Problems{p.spec.Problem("version", fmt.Sprintf("Node %s does not run TypeScript, and the program is %s (%s)", r.version, s.file, s.source),
		"Node 22 and newer strip types: write a newer version; or add a build script that compiles it, such as \"build\": \"tsc\"")}
}

// readScript reads a script of package.json as a command without a shell.
func (p *project) readScript(l *lock, name string, depth int) (start, *refusal) {
	text := p.app.scripts[name]
	if depth > 5 {
		return start{}, &refusal{"the scripts call each other", "write the command itself"}
	}
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(text), "")
	if err != nil {
		return start{}, &refusal{fmt.Sprintf("%q is not a command that can be read", text), "write it so that a shell understands it, such as node server.js"}
	}
	if len(file.Stmts) == 0 {
		return start{}, &refusal{"the script is empty", "write a command such as node server.js"}
	}
	var commands []*syntax.Stmt
	for _, s := range file.Stmts {
		flat, ok := conjunction(s)
		if !ok {
			return start{}, p.needsShell(text)
		}
		commands = append(commands, flat...)
	}
	var last start
	for i, s := range commands {
		words, env, ok := simple(s)
		if !ok {
			return start{}, p.needsShell(text)
		}
		if i < len(commands)-1 {
			if harmless(words) || p.buildsAgain(words) {
				continue
			}
			return start{}, &refusal{
				fmt.Sprintf("it runs %s before the program, and an image runs one", quoted(strings.Join(words, " "))),
				"do it when the image is built (a build script), or in another container, and write what starts the program alone:\n" + p.entrypointLine(text),
			}
		}
		var bad *refusal
		if last, bad = p.program(l, words, env, text, depth); bad != nil {
			return start{}, bad
		}
	}
	return last, nil
}

func quoted(text string) string { return fmt.Sprintf("%q", text) }

// needsShell refuses a script that a shell has to run.
func (p *project) needsShell(text string) *refusal {
	return &refusal{
		fmt.Sprintf("%q needs a shell, and the image has none", text),
		"write what starts the program without variables, pipes and redirections:\n" + p.entrypointLine(text),
	}
}

// entrypointLine is the line that starts the last thing in a script that looks
// like a file for Node.
func (p *project) entrypointLine(text string) string {
	file := "server.js"
	for _, word := range strings.Fields(text) {
		word = strings.Trim(word, `"';&|()`)
		if slices.Contains(codeEndings, path.Ext(word)) {
			file = word
		}
	}
	return "entrypoint: [node, " + file + "]"
}

// conjunction splits a && b; everything else that joins commands is refused.
func conjunction(s *syntax.Stmt) ([]*syntax.Stmt, bool) {
	if s.Negated || s.Background || s.Coprocess || len(s.Redirs) > 0 {
		return nil, false
	}
	b, ok := s.Cmd.(*syntax.BinaryCmd)
	if !ok {
		return []*syntax.Stmt{s}, true
	}
	if b.Op != syntax.AndStmt {
		return nil, false
	}
	x, ok := conjunction(b.X)
	if !ok {
		return nil, false
	}
	y, ok := conjunction(b.Y)
	return append(x, y...), ok
}

// simple returns the words and variables of a command that needs no shell.
func simple(s *syntax.Stmt) (words []string, env []plan.Env, ok bool) {
	call, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return nil, nil, false
	}
	for _, a := range call.Assigns {
		value := ""
		if a.Append || a.Naked || a.Index != nil || a.Array != nil {
			return nil, nil, false
		}
		if a.Value != nil {
			if value, ok = literal(a.Value); !ok {
				return nil, nil, false
			}
		}
		env = append(env, plan.Env{Name: a.Name.Value, Value: value})
	}
	for _, w := range call.Args {
		text, ok := literal(w)
		if !ok {
			return nil, nil, false
		}
		words = append(words, text)
	}
	return words, env, true
}

// literal is a word in which a shell would replace nothing.
func literal(w *syntax.Word) (string, bool) {
	var b strings.Builder
	for _, part := range w.Parts {
		switch x := part.(type) {
		case *syntax.Lit:
			if strings.ContainsAny(unescaped(x.Value), "*?[") || strings.HasPrefix(x.Value, "~") {
				return "", false
			}
			b.WriteString(strings.ReplaceAll(x.Value, `\`, ""))
		case *syntax.SglQuoted:
			b.WriteString(x.Value)
		case *syntax.DblQuoted:
			for _, inner := range x.Parts {
				l, ok := inner.(*syntax.Lit)
				if !ok {
					return "", false
				}
				b.WriteString(strings.NewReplacer(`\"`, `"`, `\\`, `\`, `\$`, `$`, "\\`", "`").Replace(l.Value))
			}
		default:
			return "", false
		}
	}
	return b.String(), true
}

// unescaped drops characters that a backslash protects.
func unescaped(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' {
			i++
			continue
		}
		b.WriteByte(text[i])
	}
	return b.String()
}

// harmless commands before the program only print, or do nothing.
func harmless(words []string) bool {
	return slices.Contains([]string{"echo", "true", ":", "printf"}, words[0])
}

// buildsAgain says whether a command is the build, which is done already.
func (p *project) buildsAgain(words []string) bool {
	script := p.buildScript()
	if script == "" {
		return false
	}
	name, ok := scriptName(words)
	if ok {
		return name == script
	}
	return strings.Join(words, " ") == p.app.scripts[script]
}

// scriptName is the script that `npm run NAME` and its like run.
func scriptName(words []string) (string, bool) {
	if len(words) < 2 {
		return "", false
	}
	switch words[0] {
	case npm, pnpm, yarn:
	case "node":
		if len(words) == 3 && words[1] == "--run" {
			return words[2], true
		}
		return "", false
	default:
		return "", false
	}
	rest := slices.DeleteFunc(slices.Clone(words[1:]), func(w string) bool { return w == "--silent" || w == "-s" || w == "--if-present" })
	switch {
	case len(rest) == 2 && (rest[0] == "run" || rest[0] == "run-script"):
		return rest[1], true
	case len(rest) == 1 && (rest[0] == "start" || rest[0] == "test"):
		return rest[0], true
	case len(rest) == 1 && words[0] != npm && !strings.HasPrefix(rest[0], "-"):
		return rest[0], true
	}
	return "", false
}

// firstProgram is the name of the program that a script begins with.
func (p *project) firstProgram(script string) string {
	fields := strings.Fields(p.app.scripts[script])
	if len(fields) == 0 {
		return ""
	}
	return fields[0]
}

// program turns the words of a command into a start of Node.
func (p *project) program(l *lock, words []string, env []plan.Env, text string, depth int) (start, *refusal) {
	// Programs that only set the scene for another one.
	for len(words) > 1 {
		switch words[0] {
		case "exec", "dumb-init", "tini", "--":
			words = words[1:]
			continue
		case "cross-env", "env":
			words = words[1:]
			for len(words) > 0 {
				name, value, ok := strings.Cut(words[0], "=")
				if !ok || strings.HasPrefix(words[0], "-") || strings.Contains(value, "$") {
					break
				}
				env = append(env, plan.Env{Name: name, Value: value})
				words = words[1:]
			}
			continue
		case "npx", "yarn", "pnpm":
			if words[0] == "npx" || len(words) > 2 && words[1] == "exec" {
				words = words[1:]
				if words[0] == "exec" {
					words = words[1:]
				}
				continue
			}
		}
		break
	}
	if len(words) == 0 {
		return start{}, &refusal{fmt.Sprintf("%q starts no program", text), "write a command such as node server.js"}
	}
	if name, ok := scriptName(words); ok && p.app.scripts[name] != "" {
		s, bad := p.readScript(l, name, depth+1)
		s.env = append(env, s.env...)
		return s, bad
	}
	switch name := path.Base(words[0]); name {
	case "node", "nodejs":
		return p.nodeCommand(words[1:], env, text)
	default:
		return p.otherProgram(l, name, words, env, text)
	}
}

// withValue are flags of Node that take the next word as their value:
// https://nodejs.org/api/cli.html.
var withValue = map[string]bool{
	"-r": true, "--require": true, "--import": true, "--loader": true, "--experimental-loader": true,
	"-C": true, "--conditions": true, "--env-file": true, "--env-file-if-exists": true, "--title": true,
	"--max-old-space-size": false, "--dns-result-order": true, "--icu-data-dir": true, "--openssl-config": true,
	"--unhandled-rejections": true, "--input-type": true, "--diagnostic-dir": true, "--experimental-config-file": true,
}

func (p *project) nodeCommand(words []string, env []plan.Env, text string) (start, *refusal) {
	s := start{env: env}
	for len(words) > 0 && strings.HasPrefix(words[0], "-") && words[0] != "-" {
		flag := words[0]
		switch {
		case flag == "-e" || flag == "--eval" || flag == "-p" || flag == "--print" || flag == "--test" || flag == "--run":
			return start{}, &refusal{fmt.Sprintf("%q starts no file", text), "put the program into a file, and write:\nentrypoint: [node, FILE.js]"}
		case flag == "--watch" || strings.HasPrefix(flag, "--watch-path") || flag == "--inspect" || strings.HasPrefix(flag, "--inspect"):
			return start{}, &refusal{fmt.Sprintf("%s is for development", flag), "write what starts the program alone:\n" + p.entrypointLine(text)}
		case flag == "--":
			words = words[1:]
		case withValue[flag] && len(words) > 1:
			s.flags = append(s.flags, flag, words[1])
			words = words[2:]
			continue
		default:
			s.flags = append(s.flags, flag)
			words = words[1:]
			continue
		}
		break
	}
	if len(words) == 0 {
		return start{}, &refusal{fmt.Sprintf("%q names no file", text), "write a command such as node server.js"}
	}
	s.file, s.args = path.Clean(words[0]), words[1:]
	return s, nil
}

// forDevelopment are programs that serve while one writes, with what to do
// instead.
var forDevelopment = map[string]string{
	"nodemon":       "it watches files",
	"ts-node-dev":   "it watches files",
	"tsc-watch":     "it watches files",
	"webpack":       "it builds",
	"vite":          "it serves while one develops; a site that needs no Node is build: {static: true}",
	"react-scripts": "it serves while one develops; a site that needs no Node is build: {static: true}",
	"ng":            "it serves while one develops; a site that needs no Node is build: {static: true}",
	"parcel":        "it serves while one develops; a site that needs no Node is build: {static: true}",
	"gatsby":        "it serves while one develops; a site that needs no Node is build: {static: true}",
	"concurrently":  "it runs several programs; an image runs one",
	"npm-run-all":   "it runs several programs; an image runs one",
	"run-p":         "it runs several programs; an image runs one",
	"run-s":         "it runs several programs; an image runs one",
	"pm2":           "it puts programs into the background; the container is what watches a program here",
	"pm2-runtime":   "it watches a program, which is what the container does",
	"forever":       "it watches a program, which is what the container does",
}

// otherProgram starts a program that a dependency brings.
func (p *project) otherProgram(l *lock, name string, words []string, env []plan.Env, text string) (start, *refusal) {
	line := p.entrypointLine(text)
	if why, ok := forDevelopment[name]; ok {
		return start{}, &refusal{fmt.Sprintf("%s is not for an image: %s", name, why), "write what starts the program alone:\n" + line}
	}
	switch name {
	case "tsx", "ts-node", "babel-node", "swc-node", "esno", "jiti":
		if !p.app.ships(name) {
			hint := "Node 22 and newer run TypeScript that has no enums, namespaces or path aliases:\n" + line + "\nelse add a build script that compiles it"
			return start{}, &refusal{fmt.Sprintf("%s is no dependency of the running program", name), hint}
		}
		if name == "tsx" {
			s, bad := p.nodeCommand(words[1:], env, text)
			s.flags = append([]string{"--import", "tsx"}, s.flags...)
			return s, bad
		}
	case npm, pnpm, yarn, "npx", "bun", "deno":
		return start{}, &refusal{fmt.Sprintf("%q runs %s, which is not in the image", text, name), "write what it starts:\n" + line}
	case "sh", "bash", "dotenv", "sleep", "cd":
		return start{}, p.needsShell(text)
	}
	if strings.HasPrefix(words[0], "./") || strings.HasPrefix(words[0], "/") {
		if slices.Contains(codeEndings, path.Ext(words[0])) {
			return p.nodeCommand(words, env, text)
		}
		return start{}, p.needsShell(text)
	}
	if file := p.binFile(l, name); file != "" {
		return start{file: file, args: words[1:], env: env}, nil
	}
	return start{}, &refusal{fmt.Sprintf("%s is no program of a dependency that the image has", name), "add the package that has it to the dependencies, or write what it starts:\n" + line}
}

// binFile is the file of a program that a dependency of the running program
// brings, below the package's folder.
func (p *project) binFile(l *lock, name string) string {
	for _, dependency := range p.app.shipped() {
		lk := l.find(p.app, dependency)
		if lk == nil {
			continue
		}
		if file := lk.bin[name]; file != "" {
			return p.modulePath(l, dependency, file)
		}
		if file := knownBins[name]; file.pkg == dependency {
			if major, ok := majorOf(lk.version); ok && file.newer != "" && major >= file.since {
				return p.modulePath(l, dependency, file.newer)
			}
			return p.modulePath(l, dependency, file.file)
		}
	}
	return ""
}

// knownBins are programs whose files only package-lock.json and yarn's newer lock
// files tell; newer is the file since that major version.
var knownBins = map[string]struct {
	pkg, file, newer string
	since            uint64
}{
	"react-router-serve": {pkg: "@react-router/serve", file: "bin.js", newer: "bin.cjs", since: 8},
	"remix-serve":        {pkg: "@remix-run/serve", file: "dist/cli.js"},
	"fastify":            {pkg: "fastify-cli", file: "cli.js"},
	"http-server":        {pkg: "http-server", file: "bin/http-server"},
	"serve":              {pkg: "serve", file: "build/main.js"},
	"strapi":             {pkg: "@strapi/strapi", file: "bin/strapi.js"},
	"directus":           {pkg: "directus", file: "cli.js"},
	"json-server":        {pkg: "json-server", file: "lib/bin.js"},
	"tsx":                {pkg: "tsx", file: "dist/cli.mjs"},
	"ts-node":            {pkg: "ts-node", file: "dist/bin.js"},
	"next":               {pkg: "next", file: "dist/bin/next"},
}

func majorOf(version string) (uint64, bool) {
	v, err := semver.NewVersion(version)
	if err != nil {
		return 0, false
	}
	return v.Major(), true
}

// modulePath is a file of a dependency relative to the program's folder: where
// npm's lock file says that it lies, else where every linker puts it.
func (p *project) modulePath(l *lock, dependency, file string) string {
	id := l.roots[p.app.rel][dependency]
	if strings.HasPrefix(path.Base(l.file), "package-lock") || strings.HasPrefix(path.Base(l.file), "npm-shrinkwrap") {
		return app.Relative(p.app.rel, path.Join(id, file))
	}
	if p.app.rel != "." && !strings.HasPrefix(path.Base(l.file), "pnpm") {
		return path.Join(app.Relative(p.app.rel, "."), "node_modules", dependency, file)
	}
	return path.Join("node_modules", dependency, file)
}
