package langs

import (
	"fmt"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Catalog is what planning needs to know of the base images.
type Catalog interface {
	// Versions are those of a language, oldest first.
	Versions(language string) []string
	// EndOfLife is the day from which on a version gets no more fixes,
	// "2026-04-30"; false where none is known.
	EndOfLife(language, version string) (string, bool)
}

// EndOfLife warns of a plan that stands on a version of its language that gets
// no more fixes.
func EndOfLife(s *spec.Spec, p *plan.Plan, c Catalog) spec.Problems {
	bases := []plan.Base{p.Run}
	for _, stage := range p.Stages {
		bases = append(bases, stage.Base)
	}
	i := slices.IndexFunc(bases, func(b plan.Base) bool { return b.Image == p.Language })
	if i < 0 {
		return nil
	}
	version := bases[i].Version
	since, ok := c.EndOfLife(p.Language, version)
	if !ok {
		return nil
	}
	var others []string
	for _, v := range c.Versions(p.Language) {
		if _, ended := c.EndOfLife(p.Language, v); !ended {
			others = append(others, v)
		}
	}
	from := ""
	for _, f := range p.Facts {
		if f.Name == "version" {
			from = " (" + f.Source + ")"
		}
	}
	hint := ""
	if len(others) > 0 {
		hint = fmt.Sprintf("those that do are %s; write for example\nversion: %q", strings.Join(others, ", "), others[len(others)-1])
	}
	return spec.Problems{s.Warning("version", fmt.Sprintf("%s %s%s gets no security fixes since %s", p.Language, version, from, since), hint)}
}
