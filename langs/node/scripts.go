package node

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}

// compilers are what addons are built with; a package with an install script that
// needs one of them may compile C or C++.
var compilers = []string{"node-gyp", "nan", "node-addon-api", "prebuild-install", "node-pre-gyp", "@mapbox/node-pre-gyp", "node-gyp-build", "cmake-js", "bindings", "pkg-prebuilds"}

// addons are packages that compile C or C++ when they are installed, for lock
// files that do not tell. Value: the Debian packages that have what they need to
// compile, where that is more than a compiler; pg_config is a program of Perl's.
var addons = map[string]string{
	"argon2": "", "bcrypt": "", "better-sqlite3": "", "bufferutil": "", "canvas": "libcairo2-dev", "cpu-features": "", "deasync": "", "farmhash": "",
	"isolated-vm": "", "kerberos": "libkrb5-dev", "leveldown": "", "libpq": "libpq-dev, perl-base", "libxmljs": "", "libxmljs2": "", "microtime": "", "node-expat": "",
	"node-pty": "", "node-rdkafka": "librdkafka-dev", "node-sass": "", "nodegit": "", "odbc": "unixodbc-dev", "pg-native": "libpq-dev, perl-base", "re2": "",
	"serialport": "", "@serialport/bindings-cpp": "", "snappy": "", "sqlite3": "", "ssh2": "", "tree-sitter": "", "usb": "libudev-dev", "utf-8-validate": "", "zeromq": "libzmq3-dev",
}

// harmlessScripts are packages whose install script only prints, or prepares what
// works without it.
var harmlessScripts = map[string]bool{
	"core-js": true, "core-js-pure": true, "es5-ext": true, "esbuild": true, "protobufjs": true, "fsevents": true, "msgpackr-extract": true,
	"@parcel/watcher": true, "nodemon": true, "styled-components": true, "unrs-resolver": true, "vue-demi": false, "lmdb": true, "@swc/core": true,
}

// harmless says whether a package's install script does nothing that matters.
func (l *lock) harmless(lk *locked) bool {
	// From 0.33 on its machine code comes in packages of their own, one for each platform.
	return harmlessScripts[lk.name] || lk.name == "sharp" && l.needsOne(lk, []string{"@img/sharp-linux-x64", "@img/sharp-linux-arm64"})
}

// addonsOf are the packages that may compile C or C++ when they are installed.
func addonsOf(l *lock, packages []*locked) []*locked {
	var found []*locked
	for _, lk := range packages {
		if l.harmless(lk) {
			continue
		}
		_, known := addons[lk.name]
		script := lk.script != nil && *lk.script
		if known && (script || lk.script == nil || l.needsOne(lk, compilers)) || script && l.needsOne(lk, compilers) || l.needsOne(lk, gypOnly) {
			found = append(found, lk)
		}
	}
	return found
}

// gypOnly is what only addons need that node-gyp compiles. A package with such a one
// and a binding.gyp needs no script, and then lock files do not tell that it has one.
var gypOnly = []string{"nan"}

// needsOne says whether a package needs one of those names.
func (l *lock) needsOne(lk *locked, names []string) bool {
	return slices.ContainsFunc(lk.needs, func(id string) bool {
		need := l.packages[id]
		return need != nil && slices.Contains(names, need.name)
	})
}

// checkScripts reports packages whose install scripts nobody has allowed or
// refused: npm 12 does not run them, and says nothing that stops a build. The npm
// of the build images is older and runs them.
func (p *project) checkScripts(t tool, l *lock, packages []*locked) spec.Problems {
	if t.name != npm || t.major() < 12 {
		return nil
	}
	var open, lines []string
	for _, lk := range packages {
		if lk.script == nil || !*lk.script || p.decided(lk) {
			continue
		}
		if len(open) > 0 && open[len(open)-1] == lk.name {
			continue
		}
		open = append(open, lk.name)
		lines = append(lines, fmt.Sprintf("    %q: %t", lk.name, !harmlessScripts[lk.name]))
	}
	if len(open) == 0 {
		return nil
	}
	if rc, _ := p.files.Read(path.Join(p.root, ".npmrc")); allowInConfig.Match(rc) {
		return nil
	}
	what, verb := "packages have install scripts", "are"
	if len(open) == 1 {
		what, verb = "package has an install script", "is"
	}
	at := []string{"allowScripts"}
	if p.top.raw("allowScripts") == nil {
		at = []string{"dependencies"}
	}
	return spec.Problems{p.top.problem(at,
		fmt.Sprintf("%d %s that %s neither allowed nor refused: %s", len(open), what, verb, shortList(open)),
		"npm does not run them. Add to package.json, with false for those that need not run:\n  \"allowScripts\": {\n"+strings.Join(lines, ",\n")+"\n  }")}
}

var allowInConfig = regexp.MustCompile(`(?m)^\s*(allow-scripts\s*(\[\])?\s*=|dangerously-allow-all-scripts\s*=\s*true|ignore-scripts\s*=\s*true)`)

// decided says whether package.json allows or refuses a package's scripts, by its
// name or by exact versions.
func (p *project) decided(lk *locked) bool {
	for key := range p.top.allowScripts {
		name, version := splitName(key)
		if name != lk.name {
			continue
		}
		if version == "" || version == "*" {
			return true
		}
		for _, one := range strings.Split(version, "||") {
			if strings.TrimSpace(one) == lk.version {
				return true
			}
		}
	}
	return false
}

// ownScripts are the scripts of package.json that an installation runs.
var ownScripts = []string{"preinstall", "install", "postinstall"}

// lifecycle is what the project's own install scripts mean for the installation.
type lifecycle struct {
	// scripts are kept in the reduced package.json of each member, by its folder.
	scripts map[string]map[string]string
	// include are patterns of what they read; all says that nobody knows.
	include []string
	all     bool
}

// gitHooks are programs that an installation on a developer's machine needs, and
// checks of which package manager runs.
var gitHooks = regexp.MustCompile(`^\s*(is-ci\s*\|\|\s*)?(npx\s+(-y\s+)?)?(husky|lefthook|simple-git-hooks|lint-staged|only-allow|nuxt prepare|nuxi prepare|svelte-kit sync|wxt prepare|patch-package --version|ngcc|git config)\b[^&;]*$`)

var patches = regexp.MustCompile(`^\s*(npx\s+)?patch-package(\s+--[a-z-]+(=\S+)?)*\s*$`)
var generates = regexp.MustCompile(`^\s*(npx\s+)?prisma generate\b[^&;|]*$`)

// lifecycles decides which of the project's own install scripts run with the
// installation: those for git hooks do not, those that are known read what they
// are known to read, and for others all of the project is there.
func (p *project) lifecycles() lifecycle {
	life := lifecycle{scripts: map[string]map[string]string{}}
	for _, m := range p.packages() {
		if m.manifest == nil {
			continue
		}
		for _, name := range ownScripts {
			text := m.scripts[name]
			if text == "" || gitHooks.MatchString(text) {
				continue
			}
			if life.scripts[m.dir] == nil {
				life.scripts[m.dir] = map[string]string{}
			}
			life.scripts[m.dir][name] = text
			switch {
			case patches.MatchString(text):
				life.include = append(life.include, app.EscapePattern(path.Join(m.dir, "patches")))
			case generates.MatchString(text):
				life.include = append(life.include, app.EscapePattern(path.Join(m.dir, "prisma")), app.EscapePattern(path.Join(m.dir, "prisma.config.ts")))
			default:
				life.all = true
			}
		}
	}
	return life
}
