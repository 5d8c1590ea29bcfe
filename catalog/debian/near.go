package debian

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// mostNear is how many names are offered in place of one that there is not.
const mostNear = 3

// nearest returns the names of packages that a wrong one may stand for, best
// first: few letters differ (libpq4: libpq5), or one name is a part of the other
// (sqlite3-dev: libsqlite3-dev; libssl3: libssl3t64).
func (ix *Index) nearest(name string) []string {
	const longest = 64 // Nobody mistypes more, and the distance costs its square.
	if len(name) > longest {
		return nil
	}
	type near struct {
		name     string
		distance int
	}
	var all []near
	for candidate := range ix.byName {
		more := len(candidate) - len(name)
		if more < -longest/4 || more > longest/4 {
			continue
		}
		distance := levenshtein.Distance(name, candidate, nil)
		part := strings.Contains(candidate, name) || len(candidate) > 3 && strings.HasPrefix(name, candidate)
		// Three letters wrong of six is another word.
		switch {
		case part && distance <= 8:
			// More of the same name is nearer than other letters.
			all = append(all, near{candidate, (distance + 1) / 2})
		case distance <= min(2, len(name)/3):
			all = append(all, near{candidate, distance})
		}
	}
	slices.SortFunc(all, func(a, b near) int {
		return cmp.Or(cmp.Compare(a.distance, b.distance), strings.Compare(a.name, b.name))
	})
	var names []string
	for _, n := range all[:min(len(all), mostNear)] {
		names = append(names, n.name)
	}
	return names
}
