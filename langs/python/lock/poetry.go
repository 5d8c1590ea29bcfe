package lock

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
)

// poetry reads poetry.lock: https://python-poetry.org/docs/, and src/poetry/packages/locker.py.
// Since version 2.1 of the format (poetry 2.0) a package says which groups it is for.
func (r *reader) poetry(root *toml.Value) {
	l := r.lock
	meta := root.Get("metadata")
	if meta == nil {
		r.problem(root, "the table [metadata] is missing: is it a poetry.lock?")
		return
	}
	format := meta.Get("lock-version")
	r.format(format, "1", "2")
	if v, err := requirement.ParseVersion(format.Text()); err == nil {
		l.grouped = v.Release(0) == 2 && v.Release(1) >= 1
	}
	python := meta.Get("python-versions")
	l.PythonLine = python.Line()
	if alternatives, err := PoetrySpecifiers(python.String()); err != nil {
		r.problem(python, "%v", err)
	} else if len(alternatives) == 1 {
		l.RequiresPython = alternatives[0]
	}
	l.digest, l.digestLine = meta.Get("content-hash").String(), meta.Get("content-hash").Line()
	l.extras = map[string][]string{}
	for _, extra := range root.Get("extras").Keys() {
		l.extras[requirement.Name(extra)] = names(root.Get("extras", extra).Strings())
	}
	for _, t := range root.Get("package").List() {
		p := r.pkg(t)
		if p == nil {
			continue
		}
		p.groups = names(t.Get("groups").Strings())
		if m := t.Get("markers"); m.Kind() == toml.Table {
			p.groupMarkers = map[string]requirement.Marker{}
			for _, group := range m.Keys() {
				p.groupMarkers[requirement.Name(group)] = r.marker(m.Get(group))
			}
		} else {
			p.Marker = r.marker(m)
		}
		if alternatives, err := PoetrySpecifiers(t.Get("python-versions").String()); err == nil && len(alternatives) == 1 {
			p.python = alternatives[0]
		}
		r.poetrySource(p, t.Get("source"))
		files := t.Get("files")
		if files == nil {
			// Before version 2.0 of the format.
			files = meta.Get("files", t.Get("name").String())
		}
		for _, f := range files.List() {
			p.file(f.Get("file").String(), f.Get("hash").String())
		}
		for _, name := range t.Get("dependencies").Keys() {
			p.needs = append(p.needs, r.poetryNeeds(name, t.Get("dependencies", name))...)
		}
	}
	for _, p := range l.Packages {
		l.groups = append(l.groups, p.groups...)
	}
	l.groups = names(l.groups)
}

func (r *reader) poetrySource(p *Package, t *toml.Value) {
	if t == nil {
		return
	}
	where := t.Get("url").String()
	r.checkURL(t.Get("url"))
	switch kind := t.Get("type").String(); kind {
	case "legacy", "pypi":
		p.Source.URL = where
	case "git":
		p.Source = Source{Kind: Git, URL: where, Commit: t.Get("resolved_reference").String(), Subdirectory: t.Get("subdirectory").String()}
	case "url":
		p.Source = Source{Kind: URL, URL: where, Subdirectory: t.Get("subdirectory").String()}
	case "file":
		p.Source = Source{Kind: File, Path: path.Clean(where), Subdirectory: t.Get("subdirectory").String()}
	case "directory":
		p.Source = Source{Kind: Directory, Path: path.Clean(where), Subdirectory: t.Get("subdirectory").String()}
	default:
		r.problem(t, "package %q has a source of type %q, which is not known", p.Name, kind)
	}
}

// poetryNeeds reads a dependency, in a lock or in pyproject.toml: a condition, a table, or several
// of them for different platforms.
func (r *reader) poetryNeeds(name string, v *toml.Value) []need {
	if v.Kind() == toml.Array {
		var all []need
		for _, e := range v.List() {
			if e.Kind() != toml.Array {
				all = append(all, r.poetryNeeds(name, e)...)
			}
		}
		return all
	}
	n := need{name: requirement.Name(name), line: v.Line()}
	condition := v
	if v.Kind() == toml.Table {
		condition = v.Get("version")
		n.extras = names(v.Get("extras").Strings())
		n.marker = r.marker(v.Get("markers"))
		if python := v.Get("python"); python != nil {
			n.python = r.poetryAllows(python)
		}
	}
	n.allows = r.poetryAllows(condition)
	return []need{n}
}

func (r *reader) poetryAllows(v *toml.Value) func(string) bool {
	alternatives, err := PoetrySpecifiers(v.String())
	if err != nil {
		r.problem(v, "%v", err)
	}
	if len(alternatives) == 0 {
		return nil
	}
	return func(text string) bool {
		version, err := requirement.ParseVersion(text)
		return err == nil && slices.ContainsFunc(alternatives, func(s requirement.Specifier) bool { return s.Contains(version) })
	}
}

// maxAlternatives bounds a condition of poetry's.
const maxAlternatives = 100

// PoetrySpecifiers reads a condition as poetry writes it: "^1.2", "~1.2", "1.2.*", "*", ">=1 <2", and
// alternatives with "||" (https://python-poetry.org/docs/dependency-specification/). Empty for every
// version.
func PoetrySpecifiers(text string) ([]requirement.Specifier, error) {
	var all []requirement.Specifier
	for _, alternative := range strings.Split(strings.ReplaceAll(text, "||", "|"), "|") {
		if len(all) >= maxAlternatives {
			return nil, fmt.Errorf("the condition has more than %d alternatives", maxAlternatives)
		}
		// A space is a comma, but not behind an operator.
		var clauses []string
		operator := ""
		for _, word := range strings.FieldsFunc(alternative, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' }) {
			if strings.Trim(word, "=<>~^!") == "" {
				operator = word
				continue
			}
			clause, err := poetryClause(operator + word)
			if err != nil {
				return nil, err
			}
			if operator = ""; clause != "" {
				clauses = append(clauses, clause)
			}
		}
		if operator != "" {
			return nil, fmt.Errorf("no version follows %q", operator)
		}
		s, err := requirement.ParseSpecifier(strings.Join(clauses, ","))
		if err != nil {
			return nil, err
		}
		if s.IsZero() {
			return nil, nil
		}
		all = append(all, s)
	}
	return all, nil
}

// poetryClause turns one condition into one of PEP 440.
func poetryClause(text string) (string, error) {
	caret, isCaret := strings.CutPrefix(text, "^")
	tilde, isTilde := strings.CutPrefix(text, "~")
	switch {
	case text == "*":
		return "", nil
	case isTilde && strings.HasPrefix(tilde, "="):
		return text, nil
	case isCaret, isTilde:
		low := strings.TrimSuffix(caret, ".*")
		if isTilde {
			low = strings.TrimSuffix(tilde, ".*")
		}
		v, err := requirement.ParseVersion(low)
		if err != nil {
			return "", err
		}
		numbers := strings.Count(strings.FieldsFunc(low, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })[0], ".") + 1
		// The number that must not grow.
		fixed := min(1, numbers-1)
		if isCaret {
			for fixed = 0; fixed < min(2, numbers-1) && v.Release(fixed) == 0; {
				fixed++
			}
		}
		var high []string
		for i := range fixed + 1 {
			n := v.Release(i)
			if i == fixed {
				n++
			}
			high = append(high, fmt.Sprint(n))
		}
		return fmt.Sprintf(">=%s,<%s", low, strings.Join(high, ".")), nil
	case strings.Trim(text[:1], "0123456789v") == "":
		return "==" + text, nil
	}
	return text, nil
}

// poetryRoots are what pyproject.toml asks for, which locks before version 2.1 do not repeat.
func (l *Lock) poetryRoots(m Manifest, w Want) ([]need, *reader) {
	r := &reader{lock: l}
	poetry := m.Root.Get("tool", "poetry")
	var optional []string
	for _, extra := range w.Extras {
		optional = append(optional, l.extras[requirement.Name(extra)]...)
	}
	var roots []need
	add := func(dependencies *toml.Value) {
		for _, name := range dependencies.Keys() {
			v := dependencies.Get(name)
			if name == "python" || v.Get("optional").True() && !slices.Contains(optional, requirement.Name(name)) {
				continue
			}
			roots = append(roots, r.poetryNeeds(name, v)...)
		}
	}
	add(poetry.Get("dependencies"))
	for _, group := range names(w.Groups) {
		for _, key := range poetry.Get("group").Keys() {
			if requirement.Name(key) == group {
				add(poetry.Get("group", key, "dependencies"))
			}
		}
		if group == "dev" {
			add(poetry.Get("dev-dependencies"))
		}
	}
	return roots, r
}
