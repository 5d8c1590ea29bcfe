package java

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// pom is one of Maven's project files, https://maven.apache.org/pom.html.
type pom struct {
	// file is its path in the context, dir the folder that it is in.
	file, dir string
	root      *element
	lines     []string
	// parent is the pom that it inherits from, where that is in the context.
	parent *pom
	// given are properties from outside the poms, which count before theirs, and
	// profiles those that are active.
	given    map[string]string
	profiles []string
}

// parsePom reads a pom.
func parsePom(file string, data []byte) (*pom, spec.Problems) {
	lines := strings.Split(string(data), "\n")
	root, err := parseXML(data)
	if err != nil {
		var bad *syntaxError
		line, text := 1, ""
		if errors.As(err, &bad) && bad.line >= 1 && bad.line <= len(lines) {
			line, text = bad.line, lines[bad.line-1]
			err = errors.New(bad.message)
		}
		return nil, spec.Problems{app.LineProblem(file, line, text, "", "this is no XML that Maven can read: "+err.Error(), "`mvn validate` reads it as well")}
	}
	p := &pom{file: file, dir: path.Dir(file), root: root, lines: lines}
	if root.name != "project" {
		return nil, spec.Problems{p.problem(root, fmt.Sprintf("this is no pom: it begins with <%s>", root.name), "a pom begins with <project>")}
	}
	return p, nil
}

// problem is an error at an element.
func (p *pom) problem(e *element, message, hint string) spec.Problem {
	line := 1
	if e != nil {
		line = e.line
	}
	text := ""
	if line <= len(p.lines) {
		text = p.lines[line-1]
	}
	first, _, _ := strings.Cut(e.string(), "\n")
	return app.LineProblem(p.file, line, text, first, message, hint)
}

// where is an element's place, for people.
func (p *pom) where(e *element) string {
	if e == nil {
		return p.file
	}
	return fmt.Sprintf("%s:%d", p.file, e.line)
}

// parts are the pom and its active profiles, which may have the same elements. The last
// one counts.
func (p *pom) parts() []*element {
	parts := []*element{p.root}
	var named, defaults []*element
	for _, profile := range p.root.get("profiles").all("profile") {
		if slices.Contains(p.profiles, profile.get("id").string()) {
			named = append(named, profile)
		}
		if profile.get("activation", "activeByDefault").string() == "true" && !slices.Contains(p.profiles, "!"+profile.get("id").string()) {
			defaults = append(defaults, profile)
		}
	}
	if len(named) == 0 {
		named = defaults
	}
	return append(parts, named...)
}

// maxParents bounds how long a chain of parents is.
const maxParents = 50

// chain are the pom and those that it inherits from, as far as they are in the context.
func (p *pom) chain() []*pom {
	var all []*pom
	for at := p; at != nil && len(all) < maxParents; at = at.parent {
		all = append(all, at)
	}
	return all
}

// located is an element and the pom that has it.
type located struct {
	*element
	in *pom
}

// where is the place, for people.
func (l located) where() string {
	if l.in == nil {
		return "a property of the build"
	}
	return l.in.where(l.element)
}

// property is a property's value, as it is written.
func (p *pom) property(name string) (located, bool) {
	if value, ok := p.given[name]; ok {
		return located{&element{name: name, text: value}, nil}, true
	}
	for _, at := range p.chain() {
		parts := at.parts()
		for _, part := range slices.Backward(parts) {
			if e := part.get("properties", name); e != nil {
				return located{e, at}, true
			}
		}
	}
	return located{}, false
}

// builtin are the values of the pom itself that expressions name.
func (p *pom) builtin(name string) (string, bool) {
	name, ok := strings.CutPrefix(strings.Replace(name, "pom.", "project.", 1), "project.")
	if !ok {
		return "", false
	}
	switch name {
	case "groupId":
		return p.groupID(), true
	case "artifactId":
		return p.artifactID(), true
	case "version":
		return p.version(), true
	case "packaging":
		return p.packaging(), true
	case "build.finalName":
		return p.finalName(), true
	case "build.directory":
		return "target", true
	case "parent.groupId", "parent.artifactId", "parent.version":
		e := p.root.get(strings.Split(name, ".")...)
		return e.string(), e != nil
	}
	return "", false
}

var expression = regexp.MustCompile(`\$\{([^${}]+)\}`)

// Bounds of expressions in expressions.
const (
	maxNesting      = 20
	maxReplacements = 1000
	maxExpanded     = 64 << 10
)

// expand replaces ${name} in a text. It is false where one is not known, such as what
// only a parent outside the project says.
func (p *pom) expand(text string) (string, bool) {
	left := maxReplacements
	return p.expandWithin(text, 0, &left)
}

func (p *pom) expandWithin(text string, depth int, left *int) (string, bool) {
	if !strings.Contains(text, "${") {
		return text, true
	}
	known := true
	out := expression.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		if *left--; depth > maxNesting || *left < 0 {
			known = false
			return match
		}
		value, ok := "", false
		if l, found := p.property(name); found {
			value, ok = l.text, true
		} else {
			value, ok = p.builtin(name)
		}
		if ok {
			value, ok = p.expandWithin(value, depth+1, left)
		}
		if !ok || len(value) > maxExpanded {
			known = false
			return match
		}
		return value
	})
	if len(out) > maxExpanded {
		return text, false
	}
	return out, known
}

// value is an element's text with its expressions replaced, "" where one is not known.
func (p *pom) value(e *element) string {
	text, ok := p.expand(e.string())
	if !ok {
		return ""
	}
	return text
}

func (p *pom) groupID() string {
	if e := p.root.get("groupId"); e != nil {
		return e.text
	}
	return p.root.get("parent", "groupId").string()
}

func (p *pom) artifactID() string { return p.root.get("artifactId").string() }

func (p *pom) version() string {
	if e := p.root.get("version"); e != nil {
		return e.text
	}
	return p.root.get("parent", "version").string()
}

func (p *pom) packaging() string {
	if e := p.root.get("packaging"); e != nil {
		return p.value(e)
	}
	return "jar"
}

// finalName is what the jar is called, without extension.
func (p *pom) finalName() string {
	for _, at := range p.chain() {
		for _, part := range slices.Backward(at.parts()) {
			if e := part.get("build", "finalName"); e != nil {
				return e.text
			}
		}
	}
	return p.artifactID() + "-" + p.version()
}

// title is how people know the pom.
func (p *pom) title() string {
	if name, ok := p.expand(p.artifactID()); ok && name != "" {
		return name
	}
	return p.dir
}

// modules are the folders or poms that the pom is built together with.
func (p *pom) modules() []*element {
	var found []*element
	for _, part := range p.parts() {
		found = append(found, part.get("modules").all("module")...)
		found = append(found, part.get("subprojects").all("subproject")...) // Maven 4
	}
	return found
}

// plugins are what a pom and those that it inherits from say of a plugin: those that
// declare it, with the nearest first, and behind them what is only managed. Declared is
// false when it is not used.
func (p *pom) plugins(artifactID string) (found []located, declared bool) {
	var managed []located
	for _, at := range p.chain() {
		for _, part := range slices.Backward(at.parts()) {
			for _, e := range part.get("build", "plugins").all("plugin") {
				inherited := at == p || e.get("inherited").string() != "false"
				if inherited && p.value(e.get("artifactId")) == artifactID {
					found = append(found, located{e, at})
				}
			}
			for _, e := range part.get("build", "pluginManagement", "plugins").all("plugin") {
				if p.value(e.get("artifactId")) == artifactID {
					managed = append(managed, located{e, at})
				}
			}
		}
	}
	return append(found, managed...), len(found) > 0
}

// uses says whether the pom uses a plugin.
func (p *pom) uses(artifactID string) bool {
	_, declared := p.plugins(artifactID)
	return declared
}

// configured finds an element of the configuration of a plugin that is used, in its own
// or in that of an execution.
func (p *pom) configured(artifactID string, names ...string) (located, bool) {
	found, declared := p.plugins(artifactID)
	if !declared {
		return located{}, false
	}
	for _, plugin := range found {
		places := []*element{plugin.get("configuration")}
		for _, e := range plugin.get("executions").all("execution") {
			places = append(places, e.get("configuration"))
		}
		for _, place := range places {
			if e := place.get(names...); e != nil {
				return located{e, plugin.in}, true
			}
		}
	}
	return located{}, false
}

// goals says whether a plugin that is used has a goal in one of its executions.
func (p *pom) goals(artifactID, goal string) bool {
	found, declared := p.plugins(artifactID)
	if !declared {
		return false
	}
	for _, plugin := range found {
		for _, e := range plugin.get("executions").all("execution") {
			for _, g := range e.get("goals").all("goal") {
				if g.text == goal {
					return true
				}
			}
		}
	}
	return false
}

// dependency is one that a pom declares.
type dependency struct {
	located
	groupID, artifactID, version, scope string
}

// dependencies are those of a pom and what it inherits from. Their versions are "" where
// only a pom outside the project says them.
func (p *pom) dependencies() []dependency {
	var found []dependency
	for _, at := range p.chain() {
		for _, part := range at.parts() {
			for _, e := range part.get("dependencies").all("dependency") {
				d := dependency{
					located: located{e, at}, groupID: p.value(e.get("groupId")), artifactID: p.value(e.get("artifactId")),
					version: p.value(e.get("version")), scope: p.value(e.get("scope")),
				}
				if managed := p.managed(d.groupID, d.artifactID); managed != nil {
					if d.version == "" {
						d.version = p.value(managed.get("version"))
					}
					if d.scope == "" {
						d.scope = p.value(managed.get("scope"))
					}
				}
				if d.scope == "" {
					d.scope = "compile"
				}
				found = append(found, d)
			}
		}
	}
	return found
}

// managed is what dependencyManagement says of a dependency, nil for nothing.
func (p *pom) managed(groupID, artifactID string) *element {
	for _, at := range p.chain() {
		for _, part := range slices.Backward(at.parts()) {
			for _, e := range part.get("dependencyManagement", "dependencies").all("dependency") {
				if p.value(e.get("artifactId")) == artifactID && p.value(e.get("groupId")) == groupID {
					return e
				}
			}
		}
	}
	return nil
}

// runs says whether the running program needs a dependency.
func (d dependency) runs() bool { return d.scope == "compile" || d.scope == "runtime" }
