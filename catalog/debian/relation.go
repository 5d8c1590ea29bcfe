package debian

import (
	"fmt"
	"strings"
)

// relation is one alternative of a dependency: "libc6 (>= 2.38)".
type relation struct {
	name    string
	arch    string // the qualifier after ":", or ""
	op      string // "<<", "<=", "=", ">=", ">>", or ""
	version string
}

func (r relation) String() string {
	s := r.name
	if r.arch != "" {
		s += ":" + r.arch
	}
	if r.op != "" {
		s += " (" + r.op + " " + r.version + ")"
	}
	return s
}

// clause is a list of alternatives, one of which must hold.
type clause []relation

func (c clause) String() string {
	parts := make([]string, len(c))
	for i, r := range c {
		parts[i] = r.String()
	}
	return strings.Join(parts, " | ")
}

// parseRelations reads the value of Depends, Provides, Conflicts and the like.
func parseRelations(value string) ([]clause, error) {
	var out []clause
	for _, group := range strings.Split(value, ",") {
		if strings.TrimSpace(group) == "" {
			continue
		}
		var c clause
		for _, alt := range strings.Split(group, "|") {
			r, err := parseRelation(strings.TrimSpace(alt))
			if err != nil {
				return nil, err
			}
			c = append(c, r)
		}
		out = append(out, c)
	}
	return out, nil
}

func parseRelation(s string) (relation, error) {
	bad := fmt.Errorf("%.80q is not a relation between packages", s)
	var r relation
	name, rest := s, ""
	if i := strings.IndexAny(s, " \t\n("); i >= 0 {
		name, rest = s[:i], strings.TrimSpace(s[i:])
	}
	r.name, r.arch, _ = strings.Cut(name, ":")
	if !IsPackageName(r.name) {
		return relation{}, bad
	}
	if rest == "" {
		return r, nil
	}
	inner, found := strings.CutPrefix(rest, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !found || !closed {
		return relation{}, bad
	}
	inner = strings.TrimSpace(inner)
	for _, op := range []string{"<<", "<=", ">=", ">>", "="} {
		if v, ok := strings.CutPrefix(inner, op); ok {
			r.op, r.version = op, strings.TrimSpace(v)
			if checkVersion(r.version) != nil {
				return relation{}, bad
			}
			return r, nil
		}
	}
	return relation{}, bad
}

// holds says whether a version satisfies the relation's.
func (r relation) holds(version string) bool {
	c := CompareVersions(version, r.version)
	switch r.op {
	case "":
		return true
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	case ">>":
		return c > 0
	}
	return false
}

// satisfiedBy says whether a package is what the relation asks for, by its
// name or by what it provides. A relation with a version is only satisfied by
// a provided name that has one
// (https://www.debian.org/doc/debian-policy/ch-relationships.html#virtual-packages-provides).
func (r relation) satisfiedBy(p *Package) bool {
	if r.arch != "" && r.arch != "any" && r.arch != "native" && r.arch != p.Architecture {
		return false
	}
	if p.Name == r.name && r.holds(p.Version) {
		return true
	}
	for _, c := range p.provides {
		for _, v := range c {
			if v.name == r.name && (r.op == "" || v.op == "=" && r.holds(v.version)) {
				return true
			}
		}
	}
	return false
}
