package node

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
)

// otherLayout are settings of npm that change where packages lie, or which there are.
var otherLayout = regexp.MustCompile(`(?mi)^\s*(install-strategy|global-style|legacy-bundling|install-links|omit|only|production|dev|include|optional)(\[\])?\s*(=|$)`)

// beyond returns the patterns, below the root, of what the installation for the build has
// beyond that for the image, when the second is the first without them: npm puts
// each package where the lock file says, whoever needs it. Then the image takes its dependencies from
// the first, and nothing is installed twice. It returns false where that may not be
// so: where scripts run that may look around or write anywhere, where packages are for one
// platform, in workspaces, and where the lock file's own marks say otherwise.
func (b *builder) beyond() (patterns []string, same bool) {
	if b.tool.name != npm || !b.installsAll() || !b.installsProd() || b.spec.Build.Bundle != nil || b.framework.bundled || len(b.members) > 0 || b.lock.links {
		return nil, false
	}
	if len(b.life.scripts) > 0 || len(b.running(b.all)) > 0 || b.hasLibraries() || slices.ContainsFunc(b.all, func(l *locked) bool { return l.git }) {
		return nil, false
	}
	if rc, _ := b.files.Read(path.Join(b.root, ".npmrc")); otherLayout.Match(rc) {
		return nil, false
	}
	for name := range b.spec.Build.Env {
		if strings.HasPrefix(strings.ToLower(name), "npm_config_") {
			return nil, false
		}
	}

	shipped := b.lock.reached(b.shippedMembers(), false)
	// What is in the image: folders that lead to a package, and programs.
	folders, programs := map[string]bool{}, map[string]bool{}
	for id, lk := range b.lock.packages {
		if shipped[id] == lk.dev || !strings.HasPrefix(id, "node_modules/") || path.Clean(id) != id {
			return nil, false
		}
		if !shipped[id] || !lk.forLinux() {
			continue
		}
		for dir := path.Dir(id); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true
		}
		for _, name := range lk.programs(id) {
			programs[name], folders[path.Dir(name)] = true, true
		}
	}
	found := map[string]bool{}
	leave := func(name string) {
		for dir := path.Dir(name); dir != "." && !folders[dir]; dir = path.Dir(dir) {
			name = dir
		}
		found[name] = true
	}
	for id, lk := range b.lock.packages {
		if shipped[id] {
			continue
		}
		leave(id)
		for _, name := range lk.programs(id) {
			if programs[name] {
				return nil, false
			}
			leave(name)
		}
	}
	for name := range found {
		patterns = append(patterns, app.EscapePattern(name))
	}
	return sorted(patterns), true
}

// programs are the paths of the links to a package's programs, below the root.
func (l *locked) programs(id string) []string {
	at := id[:strings.LastIndex(id, "node_modules/")+len("node_modules")]
	var names []string
	for name := range l.bin {
		names = append(names, path.Join(at, ".bin", path.Base(name)))
	}
	return names
}
