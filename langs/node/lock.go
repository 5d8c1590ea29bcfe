package node

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// lock is what a lock file says, whichever tool wrote it.
type lock struct {
	// file is its path in the context, data its content.
	file string
	data []byte
	// packages by an id of the lock's own, without the project's.
	packages map[string]*locked
	// roots are the ids that each member needs, by its folder below the root
	// and the dependency's name.
	roots map[string]map[string]string
	// drift are the places where the lock is not what the manifests ask for.
	drift []string
	// links says that packages are links to folders.
	links bool
}

// locked is one package of a lock file.
type locked struct {
	name, version string
	// script says that it has install scripts; nil when the lock does not say.
	script *bool
	// dev says that the lock file marks it as one that only the build needs.
	dev bool
	// git and url packages do not come from a registry.
	git, url bool
	optional bool
	// os, cpu and libc are those that it is for; empty for all.
	os, cpu, libc []string
	bin           map[string]string
	// needs are ids; parent is the folder that a package of npm's lies in.
	needs []string
}

// forLinux says whether a package is installed in a Linux image at all.
func (l *locked) forLinux() bool {
	return allows(l.os, "linux") && (allows(l.cpu, "x64") || allows(l.cpu, "arm64")) && allows(l.libc, "glibc")
}

// particular says whether a package is for one architecture and not for others.
func (l *locked) particular() bool {
	return len(l.cpu) > 0 && allows(l.cpu, "x64") != allows(l.cpu, "arm64")
}

// allows applies npm's lists: https://docs.npmjs.com/cli/configuring-npm/package-json#os.
func allows(list []string, value string) bool {
	if len(list) == 0 {
		return true
	}
	named, negated := false, false
	for _, entry := range list {
		if rest, not := strings.CutPrefix(entry, "!"); not {
			if rest == value {
				return false
			}
			negated = true
		} else if entry == value || entry == "any" {
			return true
		} else {
			named = true
		}
	}
	return negated && !named
}

// reach returns the packages that members need: when they run, or also for their
// build. Sorted by name and version.
func (l *lock) reach(members []*member, build bool) []*locked {
	var found []*locked
	for id := range l.reached(members, build) {
		if p := l.packages[id]; p.forLinux() {
			found = append(found, p)
		}
	}
	sort.Slice(found, func(i, j int) bool {
		if found[i].name != found[j].name {
			return found[i].name < found[j].name
		}
		return found[i].version < found[j].version
	})
	return found
}

// reached are the ids of the packages that members need, those for other systems
// among them.
func (l *lock) reached(members []*member, build bool) map[string]bool {
	if l == nil {
		return nil
	}
	done := map[string]bool{}
	var queue []string
	add := func(id string) {
		if id != "" && !done[id] && l.packages[id] != nil {
			done[id] = true
			queue = append(queue, id)
		}
	}
	for _, m := range members {
		names := m.shipped()
		if build {
			names = m.all()
		}
		for _, name := range append(names, slices.Collect(maps.Keys(m.peer))...) {
			add(l.roots[m.rel][name])
		}
	}
	for len(queue) > 0 {
		id := queue[0]
		queue = queue[1:]
		for _, need := range l.packages[id].needs {
			add(need)
		}
	}
	return done
}

// find returns a package that a member needs by its name.
func (l *lock) find(m *member, name string) *locked {
	if l == nil {
		return nil
	}
	return l.packages[l.roots[m.rel][name]]
}

// loadLock reads the lock file of the tool. Where it is not what the manifests
// ask for, that is an error: the tool would refuse it, or change it.
func (p *project) loadLock(t tool) (*lock, spec.Problems) {
	if t.lockFile == "" {
		return nil, nil
	}
	data, err := p.files.Read(t.lockFile)
	if err != nil {
		return nil, spec.Problems{app.Unreadable(t.lockFile, err)}
	}
	l := &lock{file: t.lockFile, data: data, packages: map[string]*locked{}, roots: map[string]map[string]string{}}
	var problems spec.Problems
	switch {
	case t.name == npm:
		problems = p.readNpmLock(l)
	case t.name == pnpm:
		problems = p.readPnpmLock(l)
	case t.berry:
		problems = p.readBerryLock(l)
	default:
		problems = p.readYarnLock(l)
	}
	if problems.HasErrors() {
		return nil, problems
	}
	if len(l.drift) > 0 {
		problems = append(problems, app.FileProblem(l.file,
			fmt.Sprintf("the lock file is not that of %s: %s", describeManifests(p), shortList(l.drift)),
			fmt.Sprintf("run `%s` and commit %s", t.lockCommand(), path.Base(l.file))))
	}
	return l, problems
}

func describeManifests(p *project) string {
	if len(p.members) > 0 {
		return "the workspace's package.json files"
	}
	return p.top.file
}

func shortList(list []string) string {
	const most = 5
	if len(list) > most {
		return strings.Join(list[:most], "; ") + fmt.Sprintf("; and %d more", len(list)-most)
	}
	return strings.Join(list, "; ")
}

// satisfies says whether a version is in a range of npm's. Ranges that are none
// (tags, URLs, other names) are not judged.
func satisfies(version, want string) bool {
	c, err := semver.NewConstraint(want)
	if err != nil {
		return true
	}
	v, err := semver.NewVersion(version)
	if err != nil {
		return true
	}
	if v.Prerelease() != "" {
		// npm lets a pre-release in when the range names one of the same
		// version; the library is stricter, so only clear cases are judged.
		return true
	}
	return c.Check(v)
}
