package catalog

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Changes are the differences between two locks.
type Changes struct {
	// From and To are the locks' times; From is zero where there was no lock.
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
	// Packages are sorted by suite, layer and name; after them come archives, in
	// the layer of their own name and, as the suite, the version of the image.
	Packages []Change `json:"packages"`
}

// Change is one package of a layer that came, went or changed, on the
// architectures named.
type Change struct {
	Suite         string   `json:"suite"`
	Layer         string   `json:"layer"`
	Name          string   `json:"name"`
	Architectures []string `json:"architectures"`
	// Old and New are versions; "" for a package that was or is not there. They
	// are equal when only the file changed.
	Old string `json:"old"`
	New string `json:"new"`
	// NeededBy are the packages of the layer that depend on a new one.
	NeededBy []string `json:"neededBy,omitempty"`
}

// Compare returns what changed from one lock, which may be nil, to another.
func Compare(from, to *Lock) Changes {
	if from == nil {
		from = &Lock{}
	}
	c := Changes{From: from.Time, To: to.Time}
	suites := union(from.Suites, to.Suites)
	for _, suite := range suites {
		a, b := from.Suites[suite].Layers, to.Suites[suite].Layers
		for _, layer := range union(a, b) {
			var found []Change
			for _, arch := range union(a[layer], b[layer]) {
				found = append(found, compareLists(a[layer][arch], b[layer][arch], arch)...)
			}
			c.Packages = append(c.Packages, merge(found, suite, layer)...)
		}
	}
	for _, name := range union(from.Archives, to.Archives) {
		a, b := from.Archives[name], to.Archives[name]
		for _, version := range union(a, b) {
			c.Packages = append(c.Packages, merge(compareArchives(name, a[version], b[version]), version, name)...)
		}
	}
	return c
}

// compareArchives returns what changed of something that is no Debian package.
func compareArchives(name string, a, b LockedArchive) []Change {
	var out []Change
	for _, arch := range union(a.Files, b.Files) {
		ch := Change{Name: name, Architectures: []string{arch}}
		if len(a.Files[arch]) > 0 {
			ch.Old = a.Version
		}
		if len(b.Files[arch]) > 0 {
			ch.New = b.Version
		}
		if ch.Old != ch.New || !slices.Equal(a.Files[arch], b.Files[arch]) {
			out = append(out, ch)
		}
	}
	return out
}

func compareLists(a, b []LockedPackage, arch string) []Change {
	old, new := byName(a), byName(b)
	var out []Change
	for _, name := range union(old, new) {
		was, is := old[name], new[name]
		if was.Package == is.Package {
			continue
		}
		ch := Change{Name: name, Architectures: []string{arch}, Old: was.Version, New: is.Version}
		if was.Version == "" {
			ch.NeededBy = is.NeededBy
		}
		out = append(out, ch)
	}
	return out
}

// merge joins what is the same on several architectures.
func merge(found []Change, suite, layer string) []Change {
	var out []Change
	for _, ch := range found {
		i := slices.IndexFunc(out, func(o Change) bool { return o.Name == ch.Name && o.Old == ch.Old && o.New == ch.New })
		if i >= 0 {
			out[i].Architectures = append(out[i].Architectures, ch.Architectures...)
			continue
		}
		ch.Suite, ch.Layer = suite, layer
		out = append(out, ch)
	}
	slices.SortStableFunc(out, func(a, b Change) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func byName(list []LockedPackage) map[string]LockedPackage {
	m := make(map[string]LockedPackage, len(list))
	for _, p := range list {
		m[p.Name] = p
	}
	return m
}

func union[V any](a, b map[string]V) []string {
	keys := slices.AppendSeq(slices.Collect(maps.Keys(a)), maps.Keys(b))
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Empty says whether every package is as it was.
func (c Changes) Empty() bool { return len(c.Packages) == 0 }

// Text returns the changes for people, a line for each package and a summary;
// "" when nothing changed.
func (c Changes) Text() string {
	if c.Empty() {
		return ""
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	var added, removed, changed int
	for _, ch := range c.Packages {
		var what string
		switch {
		case ch.Old == "":
			added++
			what = "+ " + ch.New
			if len(ch.NeededBy) > 0 {
				what += "  (needed by " + strings.Join(ch.NeededBy, ", ") + ")"
			}
		case ch.New == "":
			removed++
			what = "- " + ch.Old
		case ch.Old == ch.New:
			changed++
			what = "  " + ch.Old + " (another file)"
		default:
			changed++
			what = "  " + ch.Old + " -> " + ch.New
		}
		fmt.Fprintf(w, "%s:%s\t%s\t%s\t%s\n", ch.Layer, ch.Suite, ch.Name, strings.Join(ch.Architectures, " "), what)
	}
	w.Flush()
	fmt.Fprintf(&b, "%d changed, %d added, %d removed; ", changed, added, removed)
	if !c.From.IsZero() {
		fmt.Fprintf(&b, "from %s ", c.From.UTC().Format(time.DateOnly))
	}
	fmt.Fprintf(&b, "to %s\n", c.To.UTC().Format(time.DateOnly))
	return b.String()
}
