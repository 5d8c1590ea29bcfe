package lock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// pipfileLock is Pipfile.lock: https://pipenv.pypa.io/en/latest/pipfile.html, version 6 of its
// format.
type pipfileLock struct {
	Meta struct {
		Hash    map[string]string `json:"hash"`
		Version int               `json:"pipfile-spec"`
		Sources []any             `json:"sources"`
	} `json:"_meta"`
}

type pipfilePackage struct {
	Version      string   `json:"version"`
	Markers      string   `json:"markers"`
	Hashes       []string `json:"hashes"`
	Extras       []string `json:"extras"`
	Git          string   `json:"git"`
	Ref          string   `json:"ref"`
	Path         string   `json:"path"`
	File         string   `json:"file"`
	Subdirectory string   `json:"subdirectory"`
	Editable     bool     `json:"editable"`
}

// maxPipfile bounds a Pipfile.lock, in bytes.
const maxPipfile = 64 << 20

// pipfileReader finds the lines of what JSON says.
type pipfileReader struct {
	reader
	data []byte
	// lines are those that begin with a key, of which pipenv writes one a line.
	lines map[string][]int
}

func (r *pipfileReader) index() {
	r.lines = map[string][]int{}
	for i, line := range bytes.Split(r.data, []byte("\n")) {
		text, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte(`"`))
		if key, _, found := bytes.Cut(text, []byte(`":`)); ok && found {
			r.lines[string(key)] = append(r.lines[string(key)], i+1)
		}
	}
}

func (r *pipfileReader) problem(line int, format string, args ...any) {
	if len(r.problems) < maxProblems {
		r.problems = append(r.problems, r.lock.problemAt(line, fmt.Sprintf(format, args...)))
	}
}

// line is the first line behind another one that begins with a key; that other one when
// there is none.
func (r *pipfileReader) line(key string, behind int) int {
	all := r.lines[key]
	if i, _ := slices.BinarySearch(all, behind+1); i < len(all) {
		return all[i]
	}
	return max(behind, 1)
}

func (r *pipfileReader) lineAt(offset int) int {
	return bytes.Count(r.data[:min(offset, len(r.data))], []byte("\n")) + 1
}

func (l *Lock) readPipfile(data []byte) spec.Problems {
	r := &pipfileReader{reader: reader{lock: l}, data: data}
	if len(data) > maxPipfile {
		r.problem(0, "it is larger than %d MiB", maxPipfile>>20)
		return r.problems
	}
	r.index()
	var head pipfileLock
	var sections map[string]json.RawMessage
	err := json.Unmarshal(data, &head)
	if err == nil {
		err = json.Unmarshal(data, &sections)
	}
	if err != nil {
		r.jsonProblem(err)
		return r.problems
	}
	if head.Meta.Version != 6 {
		r.problem(r.line("pipfile-spec", 0), "version %d of Pipfile.lock is not known: 6 is", head.Meta.Version)
		return r.problems
	}
	l.grouped = true
	l.digest, l.sources = head.Meta.Hash["sha256"], head.Meta.Sources
	l.digestLine = r.line("sha256", 0)
	for _, source := range l.sources {
		table, _ := source.(map[string]any)
		if address, _ := table["url"].(string); requirement.Credentials(address) {
			r.problems = append(r.problems, requirement.CredentialsProblem(l.File, r.line("sources", 0)))
		}
	}
	delete(sections, "_meta")
	for _, section := range slices.Sorted(maps.Keys(sections)) {
		group := requirement.Name(section)
		switch section {
		case "default":
			group = Main
		case "develop":
			group = "dev"
		}
		l.groups = append(l.groups, group)
		var packages map[string]pipfilePackage
		if err := json.Unmarshal(sections[section], &packages); err != nil {
			r.problem(r.line(section, 0), "section %q is not one of packages: %v", section, err)
			continue
		}
		start := r.line(section, 0)
		for _, name := range slices.Sorted(maps.Keys(packages)) {
			r.pipfilePackage(group, name, packages[name], r.line(name, start))
		}
	}
	slices.Sort(l.groups)
	return r.problems
}

func (r *pipfileReader) jsonProblem(err error) {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		r.problem(r.lineAt(int(syntax.Offset)), "it is not JSON: %v", err)
	case errors.As(err, &kind):
		r.problem(r.lineAt(int(kind.Offset)), "it is not a Pipfile.lock: %q is of another kind", kind.Field)
	default:
		r.problem(0, "it is not JSON: %v", err)
	}
}

func (r *pipfileReader) pipfilePackage(group, name string, e pipfilePackage, line int) {
	if !requirement.ValidName(name) {
		r.problem(line, "%q is not the name of a package", name)
		return
	}
	p := &Package{Name: requirement.Name(name), Line: line, groups: []string{group}}
	marker, err := requirement.ParseMarker(e.Markers)
	if err != nil {
		r.problem(line, "package %s: %v", name, err)
		return
	}
	p.Marker = marker
	for _, hash := range e.Hashes {
		p.hash(hash)
	}
	for _, address := range []string{e.Git, e.File} {
		if requirement.Credentials(address) {
			r.problems = append(r.problems, requirement.CredentialsProblem(r.lock.File, line))
			return
		}
	}
	switch {
	case e.Git != "":
		p.Source = Source{Kind: Git, URL: strings.TrimPrefix(e.Git, "git+"), Commit: e.Ref, Subdirectory: e.Subdirectory}
	case e.File != "" && strings.Contains(e.File, "://"):
		p.Source = Source{Kind: URL, URL: e.File, Subdirectory: e.Subdirectory}
	case e.Path != "" || e.File != "":
		where := path.Clean(e.Path + e.File)
		p.Source = Source{Kind: Directory, Path: where, Editable: e.Editable, Subdirectory: e.Subdirectory}
		if requirement.IsArchive(where) {
			p.Source.Kind = File
		}
	default:
		s, err := requirement.ParseSpecifier(e.Version)
		if e.Version == "*" {
			// Of a package that was not needed where the lock was made.
			err = nil
		}
		if err != nil {
			r.problem(line, "package %s: %v", name, err)
			return
		}
		if v, exact := s.Exact(); exact {
			p.Version = strings.TrimSpace(strings.TrimPrefix(e.Version, "=="))
			if strings.ContainsAny(p.Version, ",=<> ") {
				p.Version = v.String()
			}
		}
	}
	r.lock.Packages = append(r.lock.Packages, p)
}
