package lock

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Select returns the packages that are needed, sorted by name and version. The
// manifest is needed for locks that do not repeat what it asks for: those of poetry 1 and old
// ones of pdm; it may be empty for all others.
//
// Packages of the project itself are returned as well, as they are in the lock: their Source is a
// Directory or Virtual.
func (l *Lock) Select(m Manifest, w Want) ([]Chosen, spec.Problems) {
	w.Groups, w.Extras = names(w.Groups), names(w.Extras)
	if problems := l.checkNames(m, w); problems.HasErrors() {
		return nil, problems
	}
	// Entries that differ in their extras (pdm) or their section (Pipfile.lock) are one.
	type key struct {
		name, version string
		source        Source
	}
	chosen := map[key]*Chosen{}
	var problems spec.Problems
	for _, t := range w.Targets {
		env := requirement.Linux(t.Python, t.Arch)
		if len(l.environments) > 0 && !slices.ContainsFunc(l.environments, func(e requirement.Marker) bool { return e.Holds(env, nil, nil) }) {
			problems = append(problems, app.FileProblem(l.File, fmt.Sprintf("the lock was made for other platforms than linux/%s with Python %s", t.Arch, t.Python),
				"add the platform where the manifest limits them (environments), and run: "+l.relock()))
			continue
		}
		s := &selection{lock: l, want: w, target: t, env: env, found: map[*Package][]string{}}
		if l.grouped {
			s.byGroup()
		} else {
			s.walk(m)
		}
		problems = append(problems, s.problems...)
		for _, p := range l.Packages {
			extras, found := s.found[p]
			if !found {
				continue
			}
			k := key{p.Name, p.Version, p.Source}
			c := chosen[k]
			if c == nil {
				c = &Chosen{Package: p}
				chosen[k] = c
			}
			c.Extras = names(append(c.Extras, extras...))
			if !slices.Contains(c.Targets, t) {
				c.Targets = append(c.Targets, t)
			}
		}
	}
	var all []*Chosen
	for _, c := range chosen {
		if len(c.Targets) < len(w.Targets) {
			for i, t := range c.Targets {
				if i > 0 {
					c.Marker += " or "
				}
				c.Marker += fmt.Sprintf("platform_machine == %q", requirement.Linux(t.Python, t.Arch)["platform_machine"])
			}
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(a, b *Chosen) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Version, b.Version), cmp.Compare(a.Line, b.Line))
	})
	sorted := make([]Chosen, len(all))
	for i, c := range all {
		sorted[i] = *c
	}
	return sorted, problems.Sorted()
}

// checkNames finds groups and extras that were asked for and are not there.
func (l *Lock) checkNames(m Manifest, w Want) (problems spec.Problems) {
	groups, extras := l.Groups(m, w.Package)
	if l.Format == PDM {
		// pdm treats both alike.
		groups = append(slices.Clone(groups), extras...)
		extras = groups
	}
	for _, asked := range []struct {
		kind         string
		names, known []string
	}{{"group", w.Groups, groups}, {"extra", w.Extras, extras}} {
		for _, name := range asked.names {
			if slices.Contains(asked.known, name) || asked.kind == "group" && name == Main {
				continue
			}
			hint := "there are: " + strings.Join(asked.known, ", ")
			if len(asked.known) == 0 {
				hint = "there is none"
			}
			if l.Format == PDM {
				hint += "\nadd it to the lock: pdm lock -G " + name
			}
			problems = append(problems, app.FileProblem(l.File, fmt.Sprintf("the lock has no %s %q", asked.kind, name), hint))
		}
	}
	return problems
}

// Groups returns the names of the project's groups and extras that can be asked for, sorted; pkg is as
// Want.Package.
func (l *Lock) Groups(m Manifest, pkg string) (groups, extras []string) {
	add := func(list ...string) { groups = append(groups, list...) }
	add(l.groups...)
	extras = slices.Collect(maps.Keys(l.extras))
	switch l.Format {
	case UV:
		add(slices.Collect(maps.Keys(l.rootGroups))...)
		for _, p := range l.roots(pkg) {
			add(slices.Collect(maps.Keys(p.groupNeeds))...)
			extras = append(extras, slices.Collect(maps.Keys(p.extraNeeds))...)
		}
	case Poetry:
		// A group without packages of its own is in the manifest alone.
		add(m.Root.Get("tool", "poetry", "group").Keys()...)
		add(m.Root.Get("dependency-groups").Keys()...)
		if m.Root.Get("tool", "poetry", "dev-dependencies") != nil {
			add("dev")
		}
	}
	groups = slices.DeleteFunc(names(groups), func(g string) bool { return g == Main })
	return groups, names(extras)
}

// roots are the packages of uv's workspace that are installed.
func (l *Lock) roots(name string) (roots []*Package) {
	for _, p := range l.Packages {
		own := p.Source.Kind == Directory || p.Source.Kind == Virtual
		switch {
		case name != "" && own && p.Name == requirement.Name(name), name == "" && own && p.Source.Path == ".":
			return []*Package{p}
		case name == "" && own && slices.Contains(l.members, p.Name):
			roots = append(roots, p)
		}
	}
	return roots
}

// selection finds the packages for one target.
type selection struct {
	lock   *Lock
	want   Want
	target Target
	env    requirement.Environment
	// found has the extras that are asked of each package.
	found    map[*Package][]string
	problems spec.Problems
}

// byGroup takes every package that says that it is for a group.
func (s *selection) byGroup() {
	l := s.lock
	groups := append([]string{Main}, s.want.Groups...)
	if l.Format == PDM {
		groups = append(groups, s.want.Extras...)
	}
	asked := names(append(slices.Clone(s.want.Groups), l.defaultGroups...))
	for _, p := range l.Packages {
		if !p.Marker.Holds(s.env, s.want.Extras, asked) {
			continue
		}
		// pylock.toml has no groups but in markers.
		if l.Format != PyLock && !slices.ContainsFunc(p.groups, func(group string) bool {
			return slices.Contains(groups, group) && p.groupMarkers[group].Holds(s.env, s.want.Extras, nil)
		}) {
			continue
		}
		s.found[p] = p.extras
	}
}

// visit is a package with one of its extras, or with none.
type visit struct {
	p     *Package
	extra string
}

// walk follows dependencies from what the project asks for.
func (s *selection) walk(m Manifest) {
	l := s.lock
	var queue []visit
	seen := map[visit]bool{}
	push := func(p *Package, extras ...string) {
		for _, extra := range append([]string{""}, extras...) {
			if v := (visit{p, extra}); !seen[v] {
				seen[v] = true
				queue = append(queue, v)
			}
		}
		s.found[p] = append(s.found[p], extras...)
	}
	follow := func(from string, needs []need, extras []string) {
		for _, n := range needs {
			if !n.marker.Holds(s.env, extras, nil) || n.python != nil && !n.python(s.target.Python) {
				continue
			}
			for _, p := range s.resolve(from, n) {
				push(p, n.extras...)
			}
		}
	}

	// active are all that markers of uv's forks name: "extra-4-demo-cpu".
	var active []string
	switch l.Format {
	case UV:
		roots := l.roots(s.want.Package)
		if len(roots) == 0 {
			s.problems = append(s.problems, app.FileProblem(l.File, fmt.Sprintf("the lock has no package %q of the project", s.want.Package), "make the lock anew: "+l.relock()))
			return
		}
		for _, p := range roots {
			for _, extra := range s.want.Extras {
				active = append(active, fmt.Sprintf("extra-%d-%s-%s", len(p.Name), p.Name, extra))
			}
			for _, group := range s.want.Groups {
				active = append(active, fmt.Sprintf("group-%d-%s-%s", len(p.Name), p.Name, group))
			}
		}
		for _, p := range roots {
			push(p, s.want.Extras...)
			for _, group := range s.want.Groups {
				follow(p.Name, p.groupNeeds[group], active)
			}
		}
		for _, group := range s.want.Groups {
			follow("the workspace", l.rootGroups[group], active)
		}
	case Poetry:
		roots, r := l.poetryRoots(m, s.want)
		s.problems = append(s.problems, r.problems...)
		follow(m.File, roots, s.want.Extras)
	case PDM:
		roots, r := l.pdmRoots(m, s.want)
		s.problems = append(s.problems, r.problems...)
		follow(m.File, roots, s.want.Extras)
	}
	for len(queue) > 0 && len(s.problems) < maxProblems {
		v := queue[0]
		queue = queue[1:]
		extras := active
		if v.extra != "" {
			extras = append(slices.Clone(active), v.extra)
		}
		if v.extra == "" || l.Format != UV {
			follow(v.p.Name, v.p.needs, extras)
		}
		follow(v.p.Name, v.p.extraNeeds[v.extra], extras)
	}
}

// resolve returns the package that a dependency means; two where a package with
// extras stands beside the package without (pdm).
func (s *selection) resolve(from string, n need) []*Package {
	var fit []*Package
	for _, p := range s.lock.byName[n.name] {
		if n.source != nil && *n.source != p.Source || n.allows != nil && p.Version != "" && !n.allows(p.Version) {
			continue
		}
		if v, err := requirement.ParseVersion(s.target.Python); err == nil && !p.python.Contains(v) || !p.Marker.Holds(s.env, nil, nil) {
			continue
		}
		if len(p.extras) > 0 && !slices.Equal(p.extras, n.extras) {
			continue
		}
		fit = append(fit, p)
	}
	if len(fit) == 0 {
		s.problems = append(s.problems, s.lock.problemAt(s.lock.lineOf(from), fmt.Sprintf("the lock has no %s that %s needs on linux/%s with Python %s", n.name, from, s.target.Arch, s.target.Python)))
		return nil
	}
	// The newest, as poetry prefers it; packages with extras and without have one version.
	newest := slices.MaxFunc(fit, func(a, b *Package) int {
		x, _ := requirement.ParseVersion(a.Version)
		y, _ := requirement.ParseVersion(b.Version)
		return cmp.Or(x.Compare(y), cmp.Compare(b.Line, a.Line))
	})
	return slices.DeleteFunc(fit, func(p *Package) bool { return p.Version != newest.Version || p.Source != newest.Source })
}

func (l *Lock) lineOf(name string) int {
	if all := l.byName[name]; len(all) > 0 {
		return all[0].Line
	}
	return 0
}

// Requirements returns the text of a requirements file that installs packages as they are
// locked, one a line, with hashes, in their order: for `uv pip install --no-deps -r`. Packages from files and
// folders of the project are left out, as it is for the caller where these are. Problems are
// packages that the lock does not pin.
func (l *Lock) Requirements(chosen []Chosen) (string, spec.Problems) {
	var b strings.Builder
	var problems spec.Problems
	for _, c := range chosen {
		unpinned := func(what string) {
			problems = append(problems, l.problemAt(c.Line, fmt.Sprintf("package %s is needed on linux/%s, but the lock has no %s of it", c.Name, c.Targets[0].Arch, what)))
		}
		var line string
		switch s := c.Source; s.Kind {
		case Index:
			if c.Version == "" {
				unpinned("version")
				continue
			}
			line = c.Name + "==" + strings.TrimSpace(c.Version)
		case Git:
			if !commit(s.Commit) {
				unpinned("commit")
				continue
			}
			address := s.URL
			if !strings.Contains(address, "://") {
				// git@example.com:a/b.git
				address = "ssh://" + strings.Replace(address, ":", "/", 1)
			}
			line = fmt.Sprintf("%s @ git+%s@%s", c.Name, address, s.Commit)
		case URL:
			line = c.Name + " @ " + s.URL
		default:
			continue
		}
		if c.Source.Subdirectory != "" && c.Source.Kind != Index {
			line += "#subdirectory=" + c.Source.Subdirectory
		}
		// What would end the address, or be replaced by a variable of the build's.
		if address := strings.TrimPrefix(line, c.Name+" @ "); strings.ContainsAny(address, " \t\r\n\\") || strings.Contains(address, "${") {
			problems = append(problems, l.problemAt(c.Line, fmt.Sprintf("package %s has an address that is none: %q", c.Name, address)))
			continue
		}
		b.WriteString(line)
		if c.Marker != "" {
			b.WriteString(" ; " + c.Marker)
		}
		if c.Source.Kind != Git {
			for _, hash := range c.Hashes {
				b.WriteString(" \\\n    --hash=" + hash)
			}
		}
		b.WriteByte('\n')
	}
	return b.String(), problems
}

// commit says whether a text is the full name of a commit.
func commit(text string) bool {
	return (len(text) == 40 || len(text) == 64) && strings.Trim(text, "0123456789abcdef") == ""
}
