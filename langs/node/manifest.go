package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// manifest is a package.json, as far as a build cares; its form is npm's:
// https://docs.npmjs.com/cli/configuring-npm/package-json.
type manifest struct {
	// file is its path in the context.
	file   string
	data   []byte
	fields map[string]json.RawMessage

	name, version string
	// module says that .js files are ES modules.
	module  bool
	main    string
	bin     map[string]string
	scripts map[string]string
	// deps are the four kinds of dependencies, name to range.
	dependencies, dev, optional, peer map[string]string
	workspaces                        []string
	engine                            string
	manager                           string
	volta                             string
	allowScripts                      map[string]bool
}

// parseManifest reads a package.json.
func parseManifest(file string, data []byte) (*manifest, spec.Problems) {
	m := &manifest{file: file, data: bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))}
	if err := json.Unmarshal(m.data, &m.fields); err != nil {
		return nil, spec.Problems{jsonProblem(file, m.data, err)}
	}
	if m.fields == nil {
		return nil, spec.Problems{app.FileProblem(file, "the file is not a JSON object", `write at least {"private": true}`)}
	}
	var problems spec.Problems
	read := func(v any, what string, path ...string) {
		raw := m.raw(path...)
		if raw == nil {
			return
		}
		if err := json.Unmarshal(raw, v); err != nil {
			problems = append(problems, m.problem(path, fmt.Sprintf("%s: it is not %s", strings.Join(path, "."), what), "see the documentation of package.json"))
		}
	}
	const text, texts = "text", "an object of names and texts"
	read(&m.name, text, "name")
	read(&m.version, text, "version")
	read(&m.scripts, texts, "scripts")
	read(&m.dependencies, texts, "dependencies")
	read(&m.dev, texts, "devDependencies")
	read(&m.optional, texts, "optionalDependencies")
	read(&m.peer, texts, "peerDependencies")
	read(&m.manager, text, "packageManager")
	m.module = m.text("type") == "module"
	m.main = m.text("main")
	m.engine = m.text("engines", "node")
	m.volta = m.text("volta", "node")
	m.bin = m.bins()
	if raw := m.raw("workspaces"); raw != nil && json.Unmarshal(raw, &m.workspaces) != nil {
		read(&m.workspaces, "a list of folders", "workspaces", "packages")
	}
	// npm takes lists of nothing but true and false; others are no concern here.
	var allowed map[string]any
	if json.Unmarshal(m.raw("allowScripts"), &allowed) == nil {
		m.allowScripts = map[string]bool{}
		for name, v := range allowed {
			if on, ok := v.(bool); ok {
				m.allowScripts[name] = on
			}
		}
	}
	if problems.HasErrors() {
		return nil, problems
	}
	return m, nil
}

// raw is the value at a path of keys, nil when it is not there or null.
func (m *manifest) raw(path ...string) json.RawMessage {
	fields := m.fields
	for i, key := range path {
		value := fields[key]
		if len(value) == 0 || string(value) == "null" {
			return nil
		}
		if i == len(path)-1 {
			return value
		}
		fields = nil
		if json.Unmarshal(value, &fields) != nil {
			return nil
		}
	}
	return nil
}

// text is the text at a path of keys, "" when it is something else.
func (m *manifest) text(path ...string) string {
	var s string
	if raw := m.raw(path...); raw != nil {
		_ = json.Unmarshal(raw, &s)
	}
	return s
}

func (m *manifest) bins() map[string]string {
	raw := m.raw("bin")
	if raw == nil {
		return nil
	}
	var one string
	if json.Unmarshal(raw, &one) == nil {
		name := m.name
		if i := strings.LastIndexByte(name, '/'); i >= 0 {
			name = name[i+1:]
		}
		return map[string]string{name: one}
	}
	var many map[string]string
	_ = json.Unmarshal(raw, &many)
	return many
}

// mainBin is the bin that a package is known for, by name and file: the one with the
// package's name, or the only one; "" for none.
func (m *manifest) mainBin() (name, file string) {
	own := m.name[strings.LastIndexByte(m.name, '/')+1:]
	if file := m.bin[own]; file != "" {
		return own, file
	}
	files := slices.Sorted(maps.Values(m.bin))
	if len(slices.Compact(files)) != 1 {
		return "", ""
	}
	return slices.Sorted(maps.Keys(m.bin))[0], files[0]
}

// needs says whether a package is among the dependencies of any kind but peers.
func (m *manifest) needs(name string) bool {
	return m.ships(name) || m.dev[name] != ""
}

// ships says whether a package is a dependency of the running program.
func (m *manifest) ships(name string) bool {
	return m.dependencies[name] != "" || m.optional[name] != ""
}

// shipped are the names of what the running program depends on, sorted.
func (m *manifest) shipped() []string {
	all := maps.Clone(m.dependencies)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, m.optional)
	return slices.Sorted(maps.Keys(all))
}

// all are the names of dependencies of every kind but peers, sorted.
func (m *manifest) all() []string {
	names := append(m.shipped(), slices.Collect(maps.Keys(m.dev))...)
	slices.Sort(names)
	return slices.Compact(names)
}

// problem is an error at the value at a path of keys.
func (m *manifest) problem(path []string, message, hint string) spec.Problem {
	pr := app.FileProblem(m.file, message, hint)
	if start, end, ok := locate(m.data, path); ok {
		pr.Range = spec.Range{Start: position(m.data, start), End: position(m.data, end)}
		if pr.Range.End.Line > pr.Range.Start.Line {
			// The first line is all that a message marks.
			pr.Range.End = spec.Position{Line: pr.Range.Start.Line, Column: pr.Range.Start.Column + 1}
		}
	}
	return pr
}

// where is file:line of the value at a path of keys.
func (m *manifest) where(path ...string) string {
	if start, _, ok := locate(m.data, path); ok {
		return fmt.Sprintf("%s:%d", m.file, position(m.data, start).Line)
	}
	return m.file
}

// locate returns the offsets of the value at a path of keys of a JSON object.
func locate(data []byte, path []string) (start, end int, ok bool) {
	if len(path) == 0 {
		return 0, 0, false
	}
	d := json.NewDecoder(bytes.NewReader(data))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return 0, 0, false
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return 0, 0, false
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return 0, 0, false
		}
		if key != path[0] {
			continue
		}
		end = int(d.InputOffset())
		start = end - len(value)
		if len(path) > 1 {
			s, e, found := locate(value, path[1:])
			if !found {
				return start, end, true
			}
			return start + s, start + e, true
		}
		return start, end, true
	}
	return 0, 0, false
}

// position is the place of an offset.
func position(data []byte, offset int) spec.Position {
	offset = min(max(offset, 0), len(data))
	before := data[:offset]
	line := bytes.Count(before, []byte("\n")) + 1
	return spec.Position{Line: line, Column: offset - bytes.LastIndexByte(before, '\n')}
}

// jsonProblem is an error of encoding/json at its place.
func jsonProblem(file string, data []byte, err error) spec.Problem {
	pr := app.FileProblem(file, "", "")
	at := -1
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		pr.Message = "the file is not JSON: " + strings.TrimPrefix(syntax.Error(), "json: ")
		// The decoder has read the character that it does not like.
		at = max(int(syntax.Offset)-1, 0)
		if before := bytes.TrimRight(data[:max(min(at, len(data)), 0)], " \t\r\n"); bytes.HasSuffix(before, []byte(",")) {
			pr.Hint = "JSON has no comma behind the last entry"
			at = len(before) - 1
		}
	case errors.As(err, &typ):
		pr.Message = fmt.Sprintf("the file is a JSON %s where an object is wanted", typ.Value)
		at = 0
	default:
		pr.Message = "the file is not JSON: " + err.Error()
	}
	if at >= 0 {
		start := position(data, at)
		pr.Range = spec.Range{Start: start, End: spec.Position{Line: start.Line, Column: start.Column + 1}}
	}
	return pr
}

// kept are the keys of a package.json that decide what is installed. The others
// may change without a new installation.
var kept = []string{
	"allowScripts", "bin", "bundleDependencies", "bundledDependencies", "cpu", "dependencies", "dependenciesMeta",
	"devDependencies", "engines", "installConfig", "libc", "name", "optionalDependencies", "os", "overrides",
	"packageExtensions", "packageManager", "peerDependencies", "peerDependenciesMeta", "pnpm", "private",
	"resolutions", "type", "version", "workspaces",
}

// reduced is the package.json with what decides about the installation, with
// these scripts, with these workspaces in place of its own where there are any,
// and without its version unless that counts. It is always the same for the same
// content.
func (m *manifest) reduced(version bool, scripts map[string]string, workspaces []string) string {
	out := map[string]any{}
	for _, key := range kept {
		if raw := m.fields[key]; raw != nil {
			out[key] = raw
		}
	}
	if !version {
		delete(out, "version")
	}
	if len(scripts) > 0 {
		out["scripts"] = scripts
	}
	if len(workspaces) > 0 {
		out["workspaces"] = workspaces
	}
	return encodeJSON(out)
}

// encodeJSON writes JSON with sorted keys; what it is given can be written.
func encodeJSON(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return b.String()
}
