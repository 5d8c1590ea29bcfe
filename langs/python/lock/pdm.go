package lock

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
)

// pdm reads pdm.lock: https://pdm-project.org/latest/usage/lockfile/, and
// src/pdm/formats and project/lockfile. With the strategy inherit_metadata, the default since
// pdm 2.11, a package says which groups it is for.
func (r *reader) pdm(root *toml.Value) {
	l := r.lock
	meta := root.Get("metadata")
	if meta == nil {
		r.problem(root, "the table [metadata] is missing: is it a pdm.lock?")
		return
	}
	r.format(meta.Get("lock_version"), "4")
	l.grouped = slices.Contains(meta.Get("strategy").Strings(), "inherit_metadata")
	_, l.digest, _ = strings.Cut(meta.Get("content_hash").String(), ":")
	l.digestLine = meta.Get("content_hash").Line()
	for _, group := range names(meta.Get("groups").Strings()) {
		l.groups = append(l.groups, pdmGroup(group))
	}
	for _, t := range meta.Get("targets").List() {
		if platform := t.Get("platform").String(); platform != "" {
			// "manylinux_2_17_x86_64", "macos_14_0_arm64": the part behind the last number.
			m := "sys_platform == 'other'"
			for _, machine := range machines {
				if strings.HasSuffix(platform, "_"+machine) && (strings.HasPrefix(platform, "manylinux") || strings.HasPrefix(platform, "linux")) {
					m = fmt.Sprintf("platform_machine == '%s'", machine)
				}
			}
			marker, err := requirement.ParseMarker(m)
			if err == nil {
				l.environments = append(l.environments, marker)
			}
		}
		if v := t.Get("requires_python"); v != nil && len(meta.Get("targets").List()) == 1 {
			r.requiresPython(v)
		}
	}
	for _, t := range root.Get("package").List() {
		p := r.pkg(t)
		if p == nil {
			continue
		}
		p.extras = names(t.Get("extras").Strings())
		p.Marker = r.marker(t.Get("marker"))
		for _, group := range names(t.Get("groups").Strings()) {
			p.groups = append(p.groups, pdmGroup(group))
		}
		if python, err := requirement.ParseSpecifier(t.Get("requires_python").String()); err == nil {
			p.python = python
		}
		r.pdmSource(p, t)
		for _, f := range t.Get("files").List() {
			name := f.Get("file").String()
			if name == "" {
				r.checkURL(f.Get("url"))
				name = fileName(f.Get("url").String())
			}
			p.file(name, f.Get("hash").String())
		}
		for _, d := range t.Get("dependencies").List() {
			if n, ok := r.need(d); ok {
				p.needs = append(p.needs, n)
			}
		}
	}
}

// pdmGroup is a group by the name that it has here.
func pdmGroup(name string) string {
	if name == "default" {
		return Main
	}
	return name
}

func (r *reader) pdmSource(p *Package, t *toml.Value) {
	subdirectory := t.Get("subdirectory").String()
	for _, key := range []string{"git", "hg", "svn", "bzr"} {
		v := t.Get(key)
		if v == nil {
			continue
		}
		if key != "git" {
			r.problem(v, "package %q comes from %s: only git is supported", p.Name, key)
		}
		r.checkURL(v)
		p.Source = Source{Kind: Git, URL: v.String(), Commit: t.Get("revision").String(), Subdirectory: subdirectory}
		return
	}
	if v := t.Get("url"); v != nil {
		r.checkURL(v)
		p.Source = Source{Kind: URL, URL: v.String(), Subdirectory: subdirectory}
	}
	if v := t.Get("path"); v != nil {
		p.Source = Source{Kind: Directory, Path: path.Clean(v.String()), Editable: t.Get("editable").True(), Subdirectory: subdirectory}
		if requirement.IsArchive(v.String()) {
			p.Source.Kind = File
		}
	}
}

// need reads a requirement.
func (r *reader) need(v *toml.Value) (need, bool) {
	text := v.String()
	if rest, ok := strings.CutPrefix(text, "-e "); ok {
		text = rest
	}
	req, err := requirement.Parse(text)
	if err != nil {
		r.problem(v, "%v", err)
		return need{}, false
	}
	n := need{name: req.Name, extras: req.Extras, marker: req.Marker, line: v.Line()}
	if s := req.Specifier; !s.IsZero() {
		n.allows = func(text string) bool {
			version, err := requirement.ParseVersion(text)
			return err == nil && s.Contains(version)
		}
	}
	return n, true
}

// pdmRoots are what pyproject.toml asks for, which locks without inherit_metadata do not
// repeat.
func (l *Lock) pdmRoots(m Manifest, w Want) ([]need, *reader) {
	r := &reader{lock: l}
	var roots []need
	add := func(requirements *toml.Value) {
		for _, v := range requirements.List() {
			if v.Kind() != toml.String {
				continue
			}
			if n, ok := r.need(v); ok {
				roots = append(roots, n)
			}
		}
	}
	add(m.Root.Get("project", "dependencies"))
	for _, name := range names(append(slices.Clone(w.Groups), w.Extras...)) {
		for _, table := range []*toml.Value{m.Root.Get("project", "optional-dependencies"), m.Root.Get("tool", "pdm", "dev-dependencies"), m.Root.Get("dependency-groups")} {
			for _, key := range table.Keys() {
				if requirement.Name(key) == name {
					add(table.Get(key))
				}
			}
		}
	}
	return roots, r
}
