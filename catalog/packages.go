package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/birdhouse-build/birdhouse/catalog/define"
	"github.com/birdhouse-build/birdhouse/steps/layer/layerspec"
)

// Index is a list of the packages that a suite of an archive had when the lock
// was made: those that are not in the lock are found in it.
type Index struct {
	// Archive is "debian" or "debian-security", Suite "trixie-security".
	Archive, Suite string
	// Path is the path below the archive's URL, by the checksum.
	Path   string
	SHA256 string
	// Locked is the date of the release of Debian that it is of, as it was locked.
	Locked time.Time
}

// Indices returns the indices of a release of Debian ("13") for an architecture:
// of packages of one version, those in an earlier index count.
func (c *Catalog) Indices(suite, arch string) ([]Index, error) {
	var out []Index
	for _, s := range c.lock.Suites[suite].Sources {
		file := s.IndexPath(arch)
		if file == "" {
			return nil, fmt.Errorf("the lock does not say which packages %s has for %s; `birdhouse catalog update FILE` writes one that does", s.Suite, arch)
		}
		out = append(out, Index{Archive: s.Archive, Suite: s.Suite, Path: file, SHA256: s.Indices[arch].SHA256, Locked: c.lock.Date(suite)})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("the lock has no release %q of Debian", suite)
	}
	return out, nil
}

// IndexURL returns where the mirror has an index.
func (m Mirror) IndexURL(ix Index) string { return m.Base(ix.Archive) + "/" + ix.Path }

// Scripts returns the names of packages that only the scripts of others need.
func (c *Catalog) Scripts() []string { return slices.Clone(c.defs.Scripts) }

// PackageLayer returns a layer of packages that are not in the lock, above the
// layers of an image for an architecture, trimmed as these are. Asked are the
// names of those that it is about; the others are there for them. What a package
// says of itself is checked as the lock is.
func (c *Catalog) PackageLayer(suite, arch string, packages []Package, asked []string) (Layer, error) {
	at := define.Place{Suite: suite, Arch: arch}
	l := Layer{
		Name:     "packages",
		Packages: packages,
		Locked:   c.lock.Date(suite),
		Spec: layerspec.Spec{
			Exclude: c.defs.Expand(at, c.defs.Trim.Exclude),
			Keep:    c.defs.Expand(at, c.defs.Trim.Keep),
			Lower:   true,
		},
	}
	var first, rest []string
	for _, p := range packages {
		if err := p.check(arch); err != nil {
			return Layer{}, fmt.Errorf("package %.80q: %w", p.Name, err)
		}
		l.Spec.Packages = append(l.Spec.Packages, layerspec.Package{SHA256: p.SHA256})
		if slices.Contains(asked, p.Name) {
			first = append(first, p.Name+" "+upstream(p.Version))
		} else {
			rest = append(rest, p.Name)
		}
	}
	l.What = summary(first, rest)
	return l, nil
}

// summary is a line for people: "libpq5 17.6, with libssl3t64, libldap2".
func summary(first, rest []string) string {
	const most = 24
	all := slices.Concat(first, rest)
	n := min(len(all), most)
	s := list(all[:min(len(first), n)])
	if n > len(first) {
		if s != "" {
			s += ", with "
		}
		s += list(all[len(first):n])
	}
	if more := len(all) - n; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return strings.TrimSpace(s)
}
