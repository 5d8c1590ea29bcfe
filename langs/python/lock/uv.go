package lock

import (
	"fmt"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
)

// uv reads uv.lock, of which uv says no more than its source, crates/uv-resolver/src/lock.
func (r *reader) uv(root *toml.Value) {
	l := r.lock
	r.format(root.Get("version"), "1")
	r.requiresPython(root.Get("requires-python"))
	l.environments = r.markers(root.Get("supported-markers"))
	l.members = names(root.Get("manifest", "members").Strings())
	for _, group := range root.Get("manifest", "dependency-groups").Keys() {
		l.rootGroups = setNeeds(l.rootGroups, group, r.uvNeeds(root.Get("manifest", "dependency-groups", group)))
	}
	for _, t := range root.Get("package").List() {
		p := r.pkg(t)
		if p == nil {
			continue
		}
		p.Listed = true
		p.Source = r.uvSource(t.Get("source"), t)
		if sdist := t.Get("sdist"); sdist != nil {
			p.Sdist = true
			p.hash(sdist.Get("hash").String())
			r.checkURL(sdist.Get("url"))
		}
		for _, w := range t.Get("wheels").List() {
			name := w.Get("filename").String()
			for _, key := range []string{"url", "path"} {
				if name == "" {
					name = fileName(w.Get(key).String())
				}
			}
			r.checkURL(w.Get("url"))
			p.wheel(name, w.Get("size"))
			p.hash(w.Get("hash").String())
		}
		p.needs = r.uvNeeds(t.Get("dependencies"))
		for _, extra := range t.Get("optional-dependencies").Keys() {
			p.extraNeeds = setNeeds(p.extraNeeds, extra, r.uvNeeds(t.Get("optional-dependencies", extra)))
		}
		for _, extra := range t.Get("metadata", "provides-extras").Strings() {
			// Extras without dependencies are not listed with the others.
			p.extraNeeds = setNeeds(p.extraNeeds, extra, nil)
		}
		for _, group := range t.Get("dev-dependencies").Keys() {
			p.groupNeeds = setNeeds(p.groupNeeds, group, r.uvNeeds(t.Get("dev-dependencies", group)))
		}
		for _, group := range t.Get("metadata", "requires-dev").Keys() {
			p.groupNeeds = setNeeds(p.groupNeeds, group, nil)
		}
	}
}

// setNeeds adds the needs of an extra or a group.
func setNeeds(all map[string][]need, name string, needs []need) map[string][]need {
	if all == nil {
		all = map[string][]need{}
	}
	all[requirement.Name(name)] = append(all[requirement.Name(name)], needs...)
	return all
}

func (r *reader) uvNeeds(entries *toml.Value) []need {
	var needs []need
	for _, e := range entries.List() {
		n := need{name: requirement.Name(e.Get("name").String()), extras: names(e.Get("extra").Strings()), marker: r.marker(e.Get("marker")), line: e.Line()}
		if version := e.Get("version").String(); version != "" {
			n.allows = func(v string) bool { return v == version }
		}
		if s := e.Get("source"); s != nil {
			source := r.uvSource(s, e)
			n.source = &source
		}
		needs = append(needs, n)
	}
	return needs
}

func (r *reader) uvSource(t, owner *toml.Value) Source {
	for _, key := range t.Keys() {
		v := t.Get(key)
		text := v.String()
		s := Source{Subdirectory: t.Get("subdirectory").String()}
		switch key {
		case "registry":
			s.Kind = Index
			s.URL = text
		case "git":
			// https://…/repo.git?subdirectory=a&rev=v1#commit
			s.Kind = Git
			s.URL, s.Commit, _ = strings.Cut(text, "#")
			var query string
			s.URL, query, _ = strings.Cut(s.URL, "?")
			if values, err := url.ParseQuery(query); err == nil && s.Subdirectory == "" {
				s.Subdirectory = values.Get("subdirectory")
			}
		case "url":
			s.Kind, s.URL = URL, text
		case "path":
			s.Kind, s.Path = File, path.Clean(text)
		case "directory":
			s.Kind, s.Path = Directory, path.Clean(text)
		case "editable":
			s.Kind, s.Path, s.Editable = Directory, path.Clean(text), true
		case "virtual":
			s.Kind, s.Path = Virtual, path.Clean(text)
		default:
			continue
		}
		r.checkURL(v)
		return s
	}
	r.problem(owner, "package %q has no source that is known", owner.Get("name").String())
	return Source{}
}

// pylock reads pylock.toml: https://packaging.python.org/en/latest/specifications/pylock-toml/.
func (r *reader) pylock(root *toml.Value) {
	l := r.lock
	l.grouped = true
	r.format(root.Get("lock-version"), "1")
	if root.Get("lock-version") == nil {
		r.problem(root, "lock-version is missing: is it a pylock.toml?")
	}
	r.requiresPython(root.Get("requires-python"))
	l.environments = r.markers(root.Get("environments"))
	l.groups = names(root.Get("dependency-groups").Strings())
	l.extras = map[string][]string{}
	for _, extra := range root.Get("extras").Strings() {
		l.extras[requirement.Name(extra)] = nil
	}
	l.defaultGroups = names(root.Get("default-groups").Strings())
	for _, t := range root.Get("packages").List() {
		p := r.pkg(t)
		if p == nil {
			continue
		}
		p.Listed = true
		p.Marker = r.marker(t.Get("marker"))
		p.python = r.specifier(t.Get("requires-python"))
		p.Source.URL = t.Get("index").String()
		r.checkURL(t.Get("index"))
		if sdist := t.Get("sdist"); sdist != nil {
			p.Sdist = true
			r.pylockFile(p, sdist)
		}
		for _, w := range t.Get("wheels").List() {
			name := w.Get("name").String()
			for _, key := range []string{"url", "path"} {
				if name == "" {
					name = fileName(w.Get(key).String())
				}
			}
			p.wheel(name, w.Get("size"))
			r.pylockFile(p, w)
		}
		r.pylockSource(p, t)
	}
}

func (r *reader) pylockSource(p *Package, t *toml.Value) {
	if d := t.Get("directory"); d != nil {
		p.Source = Source{Kind: Directory, Path: path.Clean(d.Get("path").String()), Editable: d.Get("editable").True(), Subdirectory: d.Get("subdirectory").String()}
	}
	if vcs := t.Get("vcs"); vcs != nil {
		if kind := vcs.Get("type").String(); kind != "git" {
			r.problem(vcs, "package %q comes from %s: only git is supported", p.Name, kind)
		}
		p.Source = Source{Kind: Git, URL: vcs.Get("url").String(), Commit: vcs.Get("commit-id").String(), Subdirectory: vcs.Get("subdirectory").String()}
		if p.Source.URL == "" {
			r.problem(vcs, "package %q is from a repository in a folder, which a build does not have", p.Name)
		}
		r.checkURL(vcs.Get("url"))
	}
	if a := t.Get("archive"); a != nil {
		p.Source = Source{Kind: URL, URL: a.Get("url").String(), Subdirectory: a.Get("subdirectory").String()}
		if file := a.Get("path").String(); file != "" {
			p.Source = Source{Kind: File, Path: path.Clean(file), Subdirectory: p.Source.Subdirectory}
		}
		p.file(fileName(p.Source.URL+p.Source.Path), "")
		r.pylockFile(p, a)
	}
}

func (r *reader) pylockFile(p *Package, t *toml.Value) {
	r.checkURL(t.Get("url"))
	hashes := t.Get("hashes")
	for _, algorithm := range hashes.Keys() {
		p.hash(algorithm + ":" + hashes.Get(algorithm).String())
	}
}

// pkg reads what the packages of all formats have.
func (r *reader) pkg(t *toml.Value) *Package {
	name, version := t.Get("name"), t.Get("version")
	switch {
	case t.Kind() != toml.Table:
		r.problem(t, "a package is a table, not %s", t.Kind())
		return nil
	case !requirement.ValidName(name.String()):
		r.problem(t, "%q is not the name of a package", name.String())
		return nil
	}
	if version != nil {
		if _, err := requirement.ParseVersion(version.String()); err != nil {
			r.problem(version, "package %s: %v", name.String(), err)
			return nil
		}
	}
	p := &Package{Name: requirement.Name(name.String()), Version: version.String(), Line: t.Line()}
	r.lock.Packages = append(r.lock.Packages, p)
	return p
}

// checkURL refuses credentials: a lock goes into caches and build records.
func (r *reader) checkURL(v *toml.Value) {
	if requirement.Credentials(v.String()) && len(r.problems) < maxProblems {
		r.problems = append(r.problems, requirement.CredentialsProblem(r.lock.File, v.Line()))
	}
}

func (r *reader) requiresPython(v *toml.Value) {
	r.lock.RequiresPython, r.lock.PythonLine = r.specifier(v), v.Line()
}

func (r *reader) specifier(v *toml.Value) requirement.Specifier {
	s, err := requirement.ParseSpecifier(v.String())
	if err != nil {
		r.problem(v, "%v", err)
	}
	return s
}

func (r *reader) marker(v *toml.Value) requirement.Marker {
	m, err := requirement.ParseMarker(v.String())
	if err != nil {
		r.problem(v, "%v", err)
	}
	return m
}

func (r *reader) markers(v *toml.Value) []requirement.Marker {
	var all []requirement.Marker
	for _, e := range v.List() {
		all = append(all, r.marker(e))
	}
	return all
}

// names are names in the normal form, sorted.
func names(list []string) []string {
	var all []string
	for _, name := range list {
		all = append(all, requirement.Name(name))
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// fileName is the last part of a URL's or a path's.
func fileName(text string) string {
	text, _, _ = strings.Cut(text, "#")
	text, _, _ = strings.Cut(text, "?")
	text = text[strings.LastIndexByte(text, '/')+1:]
	if plain, err := url.PathUnescape(text); err == nil {
		text = plain
	}
	return text
}

// hash adds a hash such as "sha256:…".
func (p *Package) hash(text string) {
	text = strings.ToLower(text)
	algorithm, digits, ok := strings.Cut(text, ":")
	if !ok || digits == "" || strings.Trim(digits, "0123456789abcdef") != "" || !requirement.ValidName(algorithm) {
		return
	}
	p.Hashes = append(p.Hashes, text) // sorted in the end
}

// wheel adds a wheel; of other files nothing.
func (p *Package) wheel(name string, size *toml.Value) {
	w, err := ParseWheel(name)
	if err != nil {
		return
	}
	if size.Kind() == toml.Integer {
		if n, err := strconv.ParseInt(size.Text(), 10, 64); err == nil && n > 0 {
			w.Size = n
		}
	}
	p.Wheels = append(p.Wheels, w)
}

// file adds a file of a lock that lists wheels and source alike.
func (p *Package) file(name, hash string) {
	p.Listed = true
	p.hash(hash)
	if strings.HasSuffix(name, ".whl") {
		p.wheel(name, nil)
	} else {
		p.Sdist = true
	}
}

// String is for messages: "flask 3.1.3".
func (p *Package) String() string {
	if p.Version == "" {
		return p.Name
	}
	return fmt.Sprintf("%s %s", p.Name, p.Version)
}
