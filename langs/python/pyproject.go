package python

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/lock"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// pyproject is a pyproject.toml, as far as a build cares:
// https://packaging.python.org/en/latest/specifications/pyproject-toml/, and the tables
// of uv, Poetry and PDM.
type pyproject struct {
	// file is its path in the context.
	file string
	root *toml.Value

	// name is as it is written, "" for none.
	name string
	// python are the conditions on Python's version.
	python []bound
	// dependencies are those of [project], optional those of its extras, by the extra's
	// name; groups are those of PEP 735, by the group's name.
	dependencies     []dependency
	optional, groups map[string][]dependency
	// scripts are the console scripts, by name: "package.module:function".
	scripts map[string]string
	// poetry says that it has Poetry's own dependencies, which no other tool reads.
	poetry bool
}

// dependency is a requirement and its place.
type dependency struct {
	requirement.Requirement
	value *toml.Value
}

// parsePyproject reads a pyproject.toml.
func parsePyproject(file string, data []byte) (*pyproject, spec.Problems) {
	root, problem := parseTOML(file, data)
	if problem != nil {
		return nil, spec.Problems{*problem}
	}
	m := &pyproject{file: file, root: root, optional: map[string][]dependency{}, groups: map[string][]dependency{}, scripts: map[string]string{}}
	for _, key := range [][]string{{"project"}, {"dependency-groups"}, {"build-system"}, {"tool", "uv"}, {"tool", "poetry"}, {"tool", "pdm"}, {"tool", "hatch"}} {
		if problems := checkCredentials(file, root.Get(key...)); problems != nil {
			return nil, problems
		}
	}
	project, poetry := root.Get("project"), root.Get("tool", "poetry")
	m.name = project.Get("name").String()
	if m.name == "" {
		m.name = poetry.Get("name").String()
	}
	m.poetry = poetry.Get("dependencies") != nil || poetry.Get("group") != nil
	var problems spec.Problems
	list := func(v *toml.Value, what string) []dependency {
		found, bad := m.requirements(v, what)
		problems = append(problems, bad...)
		return found
	}
	m.dependencies = list(project.Get("dependencies"), "dependencies")
	for _, key := range project.Get("optional-dependencies").Keys() {
		m.optional[requirement.Name(key)] = list(project.Get("optional-dependencies", key), key)
	}
	groups := map[string]*toml.Value{}
	for _, key := range root.Get("dependency-groups").Keys() {
		groups[requirement.Name(key)] = root.Get("dependency-groups", key)
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		for _, v := range groupLists(groups, name, map[string]bool{}) {
			m.groups[name] = append(m.groups[name], list(v, name)...)
		}
	}
	for _, table := range []*toml.Value{project.Get("scripts"), poetry.Get("scripts")} {
		for _, key := range table.Keys() {
			v := table.Get(key)
			text := v.String()
			if text == "" {
				text = v.Get("callable").String() // Poetry before 2
			}
			if text == "" {
				text = v.Get("reference").String()
			}
			if text != "" {
				m.scripts[key] = text
			}
		}
	}
	problems = append(problems, m.readPython()...)
	if problems.HasErrors() {
		return nil, problems
	}
	return m, problems
}

// parseTOML reads a file of the project.
func parseTOML(file string, data []byte) (*toml.Value, *spec.Problem) {
	root, err := toml.Parse(data)
	if err == nil {
		return root, nil
	}
	pr := app.FileProblem(file, "the file is not TOML: "+err.Error(), "")
	var te *toml.Error
	if errors.As(err, &te) {
		pr.Message, pr.Range = "the file is not TOML: "+te.Message, te.Range
	}
	return nil, &pr
}

// groupLists are the lists of a group and of those that it includes:
// https://packaging.python.org/en/latest/specifications/dependency-groups/.
func groupLists(groups map[string]*toml.Value, name string, seen map[string]bool) []*toml.Value {
	if groups[name] == nil || seen[name] || len(seen) > maxGroups {
		return nil
	}
	seen[name] = true
	all := []*toml.Value{groups[name]}
	for _, e := range groups[name].List() {
		all = append(all, groupLists(groups, requirement.Name(e.Get("include-group").String()), seen)...)
	}
	return all
}

// maxGroups bounds how many groups one includes.
const maxGroups = 100

// requirements reads a list of requirements; other entries, those of groups that include
// another one, are left out.
func (m *pyproject) requirements(v *toml.Value, what string) ([]dependency, spec.Problems) {
	if v == nil {
		return nil, nil
	}
	if v.Kind() != toml.Array {
		return nil, spec.Problems{m.problem(v, fmt.Sprintf("%s: it is %s where a list of requirements is wanted", what, v.Kind()), `write ["flask>=3"]`)}
	}
	var all []dependency
	var problems spec.Problems
	for _, e := range v.List() {
		if e.Kind() == toml.Table {
			continue
		}
		r, err := requirement.Parse(e.String())
		if err != nil {
			problems = append(problems, m.problem(e, fmt.Sprintf("%s: %v", what, err), ""))
			continue
		}
		all = append(all, dependency{r, e})
	}
	return all, problems
}

// checkCredentials reports the first URL with a password in a value or in what is in it: all that
// installers read becomes a part of plans and of cache keys.
func checkCredentials(file string, v *toml.Value) spec.Problems {
	if requirement.Credentials(v.String()) {
		return spec.Problems{requirement.CredentialsProblem(file, v.Line())}
	}
	for _, e := range v.List() {
		if problems := checkCredentials(file, e); problems != nil {
			return problems
		}
	}
	for _, key := range v.Keys() {
		if problems := checkCredentials(file, v.Get(key)); problems != nil {
			return problems
		}
	}
	return nil
}

// readPython reads the condition on Python's version. One with alternatives, of Poetry's, is for
// the lock file to say.
func (m *pyproject) readPython() spec.Problems {
	key, v := "requires-python", m.root.Get("project", "requires-python")
	var alternatives []requirement.Specifier
	var err error
	if v != nil {
		alternatives = make([]requirement.Specifier, 1)
		alternatives[0], err = requirement.ParseSpecifier(v.String())
	} else {
		key, v = "python", m.root.Get("tool", "poetry", "dependencies", "python")
		alternatives, err = lock.PoetrySpecifiers(v.String())
	}
	if err != nil {
		return spec.Problems{m.problem(v, fmt.Sprintf("%s: %v", key, err), `write a condition such as ">=3.11"`)}
	}
	if len(alternatives) == 1 && !alternatives[0].IsZero() {
		m.python = append(m.python, bound{
			specifier: alternatives[0], key: key, text: v.String(), source: m.where(v),
			problem: func(message, hint string) spec.Problem { return m.problem(v, message, hint) },
		})
	}
	return nil
}

// problem is an error at a value.
func (m *pyproject) problem(v *toml.Value, message, hint string) spec.Problem {
	return valueProblem(m.file, v, message, hint)
}

// valueProblem is an error at a value of a file.
func valueProblem(file string, v *toml.Value, message, hint string) spec.Problem {
	pr := app.FileProblem(file, message, hint)
	pr.Range = v.Range()
	if pr.Range.End.Line > pr.Range.Start.Line {
		// The first line is all that a message marks.
		pr.Range.End = spec.Position{Line: pr.Range.Start.Line, Column: pr.Range.Start.Column + 1}
	}
	return pr
}

// where is file:line of a value.
func (m *pyproject) where(v *toml.Value) string {
	if v == nil || v.Line() == 0 {
		return m.file
	}
	return fmt.Sprintf("%s:%d", m.file, v.Line())
}

// builds says whether the project is a package: whether it has a build system, as far
// as its tool is not told otherwise.
func (m *pyproject) builds() bool {
	if m == nil {
		return false
	}
	for _, key := range [][]string{{"uv", "package"}, {"poetry", "package-mode"}, {"pdm", "distribution"}} {
		if v := m.root.Get(append([]string{"tool"}, key...)...); v.Kind() == toml.Bool {
			return v.True()
		}
	}
	return m.root.Get("build-system") != nil && m.name != ""
}

// requires are what the build system needs; without a build system it is setuptools,
// as PEP 517 has it.
func (m *pyproject) requires() []string {
	v := m.root.Get("build-system", "requires")
	if v == nil {
		return []string{"setuptools"}
	}
	requires := v.Strings()
	requires = append(requires, m.hatchRequires()...)
	return requires
}

// hatchRequires are what Hatch's build hooks need, which it asks for when it builds:
// https://hatch.pypa.io/latest/config/build/#dependencies.
func (m *pyproject) hatchRequires() []string {
	build := m.root.Get("tool", "hatch", "build")
	var all []string
	tables := []*toml.Value{build, build.Get("targets", "wheel")}
	for _, t := range tables {
		all = append(all, t.Get("dependencies").Strings()...)
		for _, hook := range t.Get("hooks").Keys() {
			all = append(all, t.Get("hooks", hook, "dependencies").Strings()...)
		}
	}
	return all
}
