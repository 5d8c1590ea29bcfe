package debian

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Query says which packages to find.
type Query struct {
	// Names are the packages asked for.
	Names []string
	// Have are packages that are there already, in lower layers.
	Have []*Package
	// Without are names of packages, real or virtual, that are left out on
	// purpose though others need them.
	Without []string
	// Prefer says which real package stands for a virtual one.
	Prefer map[string]string
}

// Selected is a package that was found.
type Selected struct {
	*Package
	// Asked says that the query names it.
	Asked bool
	// NeededBy are the selected packages that depend on it, sorted.
	NeededBy []string
}

// Resolution is the answer to a Query.
type Resolution struct {
	// Packages are those asked for and all that they need, sorted by name.
	Packages []Selected
	// LeftOut are the names in Without that something needs, with the packages
	// that do, sorted.
	LeftOut map[string][]string
}

// Resolve finds the newest packages asked for and, through Pre-Depends and
// Depends, all that they need. Of alternatives it takes one that is there
// already, then one that the query leaves out, then the first that the archive
// has. Recommended packages are not taken. A package that conflicts with
// another is an error.
func (ix *Index) Resolve(q Query) (*Resolution, error) {
	s := &resolver{ix: ix, q: q, found: map[string]*Selected{}, without: map[string]bool{}, leftOut: map[string]map[string]bool{}}
	for _, n := range q.Without {
		s.without[n] = true
	}
	for _, n := range q.Names {
		p := ix.newest(relation{name: n})
		if p == nil {
			return nil, ix.unknown(n)
		}
		if s.found[n] == nil {
			s.take(p).Asked = true
		}
	}
	for len(s.queue) > 0 {
		p := s.queue[0]
		s.queue = s.queue[1:]
		if err := s.follow(p); err != nil {
			return nil, err
		}
	}
	if err := s.conflicts(); err != nil {
		return nil, err
	}
	return s.resolution(), nil
}

type resolver struct {
	ix      *Index
	q       Query
	found   map[string]*Selected
	queue   []*Package
	without map[string]bool
	leftOut map[string]map[string]bool
}

func (s *resolver) take(p *Package) *Selected {
	sel := &Selected{Package: p}
	s.found[p.Name] = sel
	s.queue = append(s.queue, p)
	return sel
}

// follow takes what p depends on.
func (s *resolver) follow(p *Package) error {
	clauses, err := parseRelations(p.depends)
	if err != nil {
		return fmt.Errorf("the dependencies of %s %s: %w", p.Name, p.Version, err)
	}
	for _, c := range clauses {
		if err := s.satisfy(p, c); err != nil {
			return err
		}
	}
	return nil
}

func (s *resolver) satisfy(p *Package, c clause) error {
	for _, r := range c {
		if sel := s.selected(r); sel != nil {
			if sel.Name != p.Name {
				sel.NeededBy = append(sel.NeededBy, p.Name)
			}
			return nil
		}
		for _, have := range s.q.Have {
			if r.satisfiedBy(have) {
				return nil
			}
		}
	}
	for _, r := range c {
		if s.without[r.name] {
			if s.leftOut[r.name] == nil {
				s.leftOut[r.name] = map[string]bool{}
			}
			s.leftOut[r.name][p.Name] = true
			return nil
		}
	}
	var choices []string
	for _, r := range c {
		found, providers := s.candidate(r)
		if found == nil {
			choices = append(choices, providers...)
			continue
		}
		if other := s.found[found.Name]; other != nil {
			return fmt.Errorf("%s needs %s, but %s %s is taken already", p.Name, c, other.Name, other.Version)
		}
		s.take(found).NeededBy = []string{p.Name}
		return nil
	}
	if len(choices) > 0 {
		return fmt.Errorf("%s needs %s, which several packages provide: prefer one of %s", p.Name, c, strings.Join(choices, ", "))
	}
	return fmt.Errorf("%s needs %s, which the archive does not have", p.Name, c)
}

// selected returns the first selected package, by name, that satisfies r.
func (s *resolver) selected(r relation) *Selected {
	if sel := s.found[r.name]; sel != nil && r.satisfiedBy(sel.Package) {
		return sel
	}
	// Only packages that provide the name can be another answer.
	for _, p := range s.ix.providers[r.name] {
		if sel := s.found[p.Name]; sel != nil && sel.Package == p && r.satisfiedBy(p) {
			return sel
		}
	}
	return nil
}

// candidate returns the package to take for r, or the names of those between
// which there is no reason to choose.
func (s *resolver) candidate(r relation) (*Package, []string) {
	if p := s.ix.newest(r); p != nil {
		return p, nil
	}
	if name, ok := s.q.Prefer[r.name]; ok {
		for _, p := range s.ix.byName[name] {
			if r.satisfiedBy(p) {
				return p, nil
			}
		}
	}
	newest := map[string]*Package{}
	for _, p := range s.ix.providers[r.name] {
		if best := newest[p.Name]; r.satisfiedBy(p) && (best == nil || CompareVersions(best.Version, p.Version) < 0) {
			newest[p.Name] = p
		}
	}
	names := sortedKeys(newest)
	if len(names) == 1 {
		return newest[names[0]], nil
	}
	return nil, names
}

func (s *resolver) conflicts() error {
	var all []*Package
	for _, n := range sortedKeys(s.found) {
		all = append(all, s.found[n].Package)
	}
	all = append(all, s.q.Have...)
	for _, p := range all {
		clauses, err := parseRelations(p.conflicts)
		if err != nil {
			return fmt.Errorf("the conflicts of %s %s: %w", p.Name, p.Version, err)
		}
		for _, c := range clauses {
			for _, r := range c {
				for _, other := range all {
					// A package may conflict with a name that it provides itself,
					// which means all others that provide it.
					if other.Name != p.Name && r.satisfiedBy(other) {
						return fmt.Errorf("%s %s conflicts with %s %s", p.Name, p.Version, other.Name, other.Version)
					}
				}
			}
		}
	}
	return nil
}

func (s *resolver) resolution() *Resolution {
	r := &Resolution{LeftOut: map[string][]string{}}
	for _, n := range sortedKeys(s.found) {
		sel := *s.found[n]
		slices.Sort(sel.NeededBy)
		sel.NeededBy = slices.Compact(sel.NeededBy)
		r.Packages = append(r.Packages, sel)
	}
	for n, by := range s.leftOut {
		r.LeftOut[n] = sortedKeys(by)
	}
	return r
}

func (ix *Index) unknown(name string) error {
	providers := map[string]bool{}
	for _, p := range ix.providers[name] {
		providers[p.Name] = true
	}
	if len(providers) > 0 {
		return fmt.Errorf("%s is a virtual package: name one that provides it: %s", name, strings.Join(sortedKeys(providers), ", "))
	}
	return fmt.Errorf("the archive has no package %q for %s", name, ix.arch)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
