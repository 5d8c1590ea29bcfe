package node

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// runtime is the version of Node.
type runtime struct {
	// version is one of the catalog's: "24".
	version string
	major   int
	// full is its release where the catalog says it, else the version.
	full string
	// source is where it came from, for people.
	source string
}

// strips says whether this Node runs TypeScript: https://nodejs.org/api/typescript.html.
func (r runtime) strips() bool { return r.major >= 22 }

// asked is a version that the user or a file of the project asks for.
type asked struct{ *app.Asked }

// release is a version of the catalog.
type release struct {
	name  string
	major int
	// newest is the release, with 999s for what the name does not say: a tag such
	// as 24 is the newest of its line.
	newest *semver.Version
}

func releases(versions []string) []release {
	var list []release
	for _, v := range versions {
		parts := strings.Split(v, ".")
		major, err := strconv.Atoi(parts[0])
		if err != nil {
			continue
		}
		full := v
		for range 3 - len(parts) {
			full += ".999"
		}
		if parsed, err := semver.NewVersion(full); err == nil {
			list = append(list, release{v, major, parsed})
		}
	}
	return list
}

// lts are the names of lines with long-term support, which version managers know:
// https://github.com/nodejs/Release/blob/main/CODENAMES.md.
var lts = map[string]int{"hydrogen": 18, "iron": 20, "jod": 22, "krypton": 24, "lithium": 26}

// longTerm says whether a line gets long-term support: an even one, and every one
// from 27 on (https://github.com/nodejs/Release). It begins in the October after the
// line's first release; the catalog has no line before that.
func longTerm(major int) bool { return major%2 == 0 || major >= 27 }

var plainVersion = regexp.MustCompile(`^v?([0-9]+)(\.[0-9x*]+)?(\.[0-9x*]+)?$`)

// chooseVersion decides the version: what the descriptor says, the files of
// version managers, package.json, else the newest with long-term support that
// engines allows.
func (p *project) chooseVersion(versions []string) (runtime, spec.Problems) {
	all := releases(versions)
	ask, problems := p.askedVersion()
	if problems.HasErrors() {
		return runtime{}, problems
	}
	if len(all) == 0 {
		return runtime{}, spec.Problems{p.spec.Problem("version", "the catalog has no Node", "")}
	}
	engine, engineSource := p.engine()
	if ask != nil {
		r, bad := ask.resolve(all)
		if bad != nil {
			return runtime{}, append(problems, *bad)
		}
		if engine != nil && !engine.Check(r.newest) {
			pr := ask.Problem(fmt.Sprintf("Node %s is not what %s asks for (%s)", r.name, engineSource, p.app.engineText(p)), "write a version that fits, or change engines")
			pr.Severity = spec.Warning
			problems = append(problems, pr)
		}
		return runtime{r.name, r.major, r.name, ask.says(r)}, problems
	}
	for i := len(all) - 1; i >= 0; i-- {
		r := all[i]
		if !longTerm(r.major) {
			continue
		}
		if engine == nil {
			return runtime{r.name, r.major, r.name, "the newest with long-term support in the catalog"}, problems
		}
		if engine.Check(r.newest) {
			return runtime{r.name, r.major, r.name, fmt.Sprintf("%s says %s; the newest with long-term support in the catalog", engineSource, p.app.engineText(p))}, problems
		}
	}
	where := p.engineManifest()
	return runtime{}, append(problems, where.problem([]string{"engines", "node"},
		fmt.Sprintf("engines.node: no Node of the catalog is in %s", where.engine), "there are "+strings.Join(versions, ", ")))
}

// engineManifest is the package.json whose engines count: the program's, else the
// workspace's.
func (p *project) engineManifest() *manifest {
	for _, m := range []*member{p.app, p.top} {
		if m.manifest != nil && m.engine != "" {
			return m.manifest
		}
	}
	return nil
}

func (m *member) engineText(p *project) string {
	if e := p.engineManifest(); e != nil {
		return e.engine
	}
	return ""
}

// engine is the range of engines.node; nil when there is none that can be read.
func (p *project) engine() (*semver.Constraints, string) {
	m := p.engineManifest()
	if m == nil {
		return nil, ""
	}
	c, err := semver.NewConstraint(m.engine)
	if err != nil {
		return nil, ""
	}
	return c, m.where("engines", "node")
}

// resolve returns the catalog's version for what was asked.
func (a *asked) resolve(all []release) (release, *spec.Problem) {
	newest := func(fits func(r release) bool) (release, bool) {
		for i := len(all) - 1; i >= 0; i-- {
			if fits(all[i]) {
				return all[i], true
			}
		}
		return release{}, false
	}
	var names []string
	for _, r := range all {
		names = append(names, r.name)
	}
	there := "there are " + strings.Join(names, ", ")
	fail := func(message string) (release, *spec.Problem) {
		pr := a.Problem(message, there)
		return release{}, &pr
	}
	text := strings.ToLower(strings.TrimSpace(a.Text))
	var r release
	var ok bool
	switch {
	case text == "node" || text == "latest" || text == "current" || text == "stable":
		r, ok = newest(func(release) bool { return true })
	case text == "lts/*" || text == "lts" || text == "--lts":
		r, ok = newest(func(r release) bool { return longTerm(r.major) })
	case strings.HasPrefix(text, "lts/"):
		major := lts[strings.TrimPrefix(text, "lts/")]
		r, ok = newest(func(r release) bool { return r.major == major })
	case plainVersion.MatchString(text):
		m := plainVersion.FindStringSubmatch(text)
		r, ok = newest(func(r release) bool { return "v"+r.name == "v"+strings.TrimPrefix(text, "v") })
		if !ok {
			r, ok = newest(func(r release) bool { return strconv.Itoa(r.major) == m[1] })
		}
	default:
		c, err := semver.NewConstraint(text)
		if err != nil {
			return fail(fmt.Sprintf("%q is not a version of Node", a.Text))
		}
		r, ok = newest(func(r release) bool { return longTerm(r.major) && c.Check(r.newest) })
		if !ok {
			r, ok = newest(func(r release) bool { return c.Check(r.newest) })
		}
	}
	if !ok {
		return fail(fmt.Sprintf("Node %s is not in the catalog", a.Text))
	}
	return r, nil
}

// says is the source of a version, with what was asked when that is not it.
func (a *asked) says(r release) string {
	if strings.TrimPrefix(a.Text, "v") == r.name {
		return a.Source
	}
	return fmt.Sprintf("%s says %s; the catalog's newest of that line", a.Source, a.Text)
}

// versionFiles are those that version managers of Node read.
var versionFiles = []app.VersionFile{
	{Name: ".nvmrc", Line: app.WholeLine}, {Name: ".node-version", Line: app.WholeLine},
	{Name: ".tool-versions", Line: app.ToolLine("nodejs", "node")},
	{Name: "mise.toml", Line: miseTool}, {Name: ".mise.toml", Line: miseTool},
}

// askedVersion finds the version that the descriptor or a file names, nil when
// none does.
func (p *project) askedVersion() (*asked, spec.Problems) {
	found, problems := app.AskedVersion(p.spec, p.files, p.app.dir, versionFiles)
	if problems.HasErrors() {
		return nil, problems
	}
	if found != nil {
		return &asked{found}, nil
	}
	for _, m := range []*member{p.app, p.top} {
		if m.manifest == nil {
			continue
		}
		for _, key := range [][]string{{"devEngines", "runtime", "version"}, {"volta", "node"}} {
			if key[0] == "devEngines" && m.text("devEngines", "runtime", "name") != "node" {
				continue
			}
			if text := m.text(key...); text != "" {
				return &asked{&app.Asked{
					Text: text, Source: m.where(key...),
					Problem: func(message, hint string) spec.Problem {
						return m.problem(key, strings.Join(key, ".")+": "+message, hint)
					},
				}}, nil
			}
		}
	}
	return nil, nil
}

var miseLine = regexp.MustCompile(`^\s*"?node(?:js)?"?\s*=\s*["']([^"']+)["']`)

// miseTool reads `node = "24"` of mise.toml.
func miseTool(line string) string {
	if m := miseLine.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}
