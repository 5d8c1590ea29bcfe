package debian

import (
	"errors"
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
	// Choose takes, of several packages that provide a virtual one that nothing
	// prefers, the one with the highest priority, of these the first by name. It
	// is told in Resolution.Chosen. Without it that is an error.
	Choose bool
	// Cross says that the index is of another machine's packages. Only libraries
	// are taken then; the tools that they need are named in Resolution.Tools.
	Cross bool
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
	// Chosen are the choices between packages that provide the same, in the order
	// in which they were made.
	Chosen []Choice
	// Tools are the packages, asked for or needed, that are no libraries, sorted;
	// only with Query.Cross.
	Tools []string
}

// Choice is a package that was taken among several for a virtual one.
type Choice struct {
	// For is the package of the query that led to it, NeededBy the one that needs
	// the virtual package Virtual.
	For, NeededBy, Virtual string
	Taken                  string
	// Of are the names of all, sorted.
	Of []string
}

// Problem is why a package cannot be had.
type Problem struct {
	// Name is the package of the query that it is about, or that led to it.
	Name string
	// Text is what is wrong.
	Text string
	// Instead are names of packages that may have been meant, best first.
	Instead []string
}

func (p *Problem) Error() string { return p.Text }

// Resolve finds the newest packages asked for and, through Pre-Depends and
// Depends, all that they need. Of alternatives it takes one that is there
// already, then one that the query leaves out, then the first that the archive
// has. Recommended packages are not taken. A package that conflicts with
// another is an error. Errors are *Problem, or several joined.
func (ix *Index) Resolve(q Query) (*Resolution, error) {
	s := &resolver{
		ix: ix, q: q, found: map[string]*Selected{},
		without: map[string]bool{}, leftOut: map[string]map[string]bool{}, tools: map[string]bool{},
	}
	for _, n := range q.Without {
		s.without[n] = true
	}
	var unknown []error
	for _, n := range q.Names {
		p := ix.newest(relation{name: n})
		switch {
		case p == nil:
			unknown = append(unknown, ix.unknown(n))
		case q.Cross && !p.library():
			s.tools[n] = true
		case s.found[n] == nil:
			s.take(p).Asked = true
		}
	}
	if len(unknown) > 0 {
		return nil, errors.Join(unknown...)
	}
	for len(s.queue) > 0 {
		p := s.queue[0]
		s.queue = s.queue[1:]
		if err := s.follow(p); err != nil {
			return nil, &Problem{Name: s.asked(p), Text: err.Error()}
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
	chosen  []Choice
	tools   map[string]bool
}

// asked returns the package of the query that led to p.
func (s *resolver) asked(p *Package) string {
	for sel := s.found[p.Name]; sel != nil; sel = s.found[sel.NeededBy[0]] {
		// What is not asked for was taken for a package that was taken before it.
		if sel.Asked {
			return sel.Name
		}
	}
	return ""
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
	var choices []*Package
	virtual := ""
	for _, r := range c {
		found, providers := s.candidate(r)
		if found != nil {
			return s.add(p, c, r, found)
		}
		if s.q.Choose && len(providers) > 0 {
			choices, virtual = providers, r.name
			break
		}
		choices = append(choices, providers...)
	}
	if len(choices) == 0 {
		return fmt.Errorf("%s needs %s, which the archive does not have", p.Name, c)
	}
	names := make([]string, len(choices))
	for i, choice := range choices {
		names[i] = choice.Name
	}
	if !s.q.Choose {
		return fmt.Errorf("%s needs %s, which several packages provide: prefer one of %s", p.Name, c, strings.Join(names, ", "))
	}
	best := slices.MinFunc(choices, func(a, b *Package) int { return a.priority - b.priority })
	s.chosen = append(s.chosen, Choice{For: s.asked(p), NeededBy: p.Name, Virtual: virtual, Taken: best.Name, Of: names})
	return s.add(p, c, relation{name: virtual}, best)
}

// add takes a package that p needs by the relation r of the clause c.
func (s *resolver) add(p *Package, c clause, r relation, found *Package) error {
	if s.q.Cross && (r.arch == "any" || !found.library()) {
		s.tools[found.Name] = true
		return nil
	}
	if other := s.found[found.Name]; other != nil {
		return fmt.Errorf("%s needs %s, but %s %s is taken already", p.Name, c, other.Name, other.Version)
	}
	for _, have := range s.q.Have {
		if have.Name == found.Name {
			return fmt.Errorf("%s needs %s, but %s %s is there already", p.Name, c, have.Name, have.Version)
		}
	}
	s.take(found).NeededBy = []string{p.Name}
	return nil
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

// candidate returns the package to take for r, or those between which there is
// no reason to choose, by name.
func (s *resolver) candidate(r relation) (*Package, []*Package) {
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
	var all []*Package
	for _, name := range sortedKeys(newest) {
		all = append(all, newest[name])
	}
	if len(all) == 1 {
		return all[0], nil
	}
	return nil, all
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
			return s.problem(fmt.Sprintf("the conflicts of %s %s: %v", p.Name, p.Version, err), p)
		}
		for _, c := range clauses {
			for _, r := range c {
				for _, other := range all {
					// A package may conflict with a name that it provides itself,
					// which means all others that provide it.
					if other.Name != p.Name && r.satisfiedBy(other) {
						return s.problem(fmt.Sprintf("%s %s conflicts with %s %s", p.Name, p.Version, other.Name, other.Version), p, other)
					}
				}
			}
		}
	}
	return nil
}

// problem is one of the first of the packages that was not there before.
func (s *resolver) problem(text string, packages ...*Package) error {
	for _, p := range packages {
		if name := s.asked(p); name != "" {
			return &Problem{Name: name, Text: text}
		}
	}
	return &Problem{Text: text}
}

func (s *resolver) resolution() *Resolution {
	r := &Resolution{LeftOut: map[string][]string{}, Chosen: s.chosen, Tools: sortedKeys(s.tools)}
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

func (ix *Index) unknown(name string) *Problem {
	providers := map[string]bool{}
	for _, p := range ix.providers[name] {
		providers[p.Name] = true
	}
	if names := sortedKeys(providers); len(names) > 0 {
		return &Problem{Name: name, Instead: names, Text: fmt.Sprintf("%s is a virtual package: name one that provides it: %s", name, strings.Join(names, ", "))}
	}
	return &Problem{Name: name, Instead: ix.nearest(name), Text: fmt.Sprintf("the archive has no package %q for %s", name, ix.arch)}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
