package node

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// npmPackage is an entry of `packages`:
// https://docs.npmjs.com/cli/configuring-npm/package-lock-json.
type npmPackage struct {
	Name             string            `json:"name"`
	Version          string            `json:"version"`
	Resolved         string            `json:"resolved"`
	Link             bool              `json:"link"`
	Dev              bool              `json:"dev"`
	Optional         bool              `json:"optional"`
	InBundle         bool              `json:"inBundle"`
	Extraneous       bool              `json:"extraneous"`
	HasInstallScript bool              `json:"hasInstallScript"`
	OS               []string          `json:"os"`
	CPU              []string          `json:"cpu"`
	Libc             []string          `json:"libc"`
	Bin              json.RawMessage   `json:"bin"`
	Dependencies     map[string]string `json:"dependencies"`
	Optionals        map[string]string `json:"optionalDependencies"`
	Peers            map[string]string `json:"peerDependencies"`
}

func (p *project) readNpmLock(l *lock) spec.Problems {
	var file struct {
		Version  int                   `json:"lockfileVersion"`
		Packages map[string]npmPackage `json:"packages"`
	}
	if err := json.Unmarshal(l.data, &file); err != nil {
		return spec.Problems{jsonProblem(l.file, l.data, err)}
	}
	if file.Packages == nil {
		return spec.Problems{app.FileProblem(l.file, fmt.Sprintf("the lock file has version %d; version 2 or 3 is needed", max(file.Version, 1)),
			"npm 7 and newer write it: run `npm install --package-lock-only` and commit it")}
	}
	// find is Node's own way from a package to one that it requires.
	find := func(from, name string) string {
		for at := from; ; {
			if id := path.Join(at, "node_modules", name); file.Packages[id].Link {
				return path.Clean(file.Packages[id].Resolved)
			} else if _, ok := file.Packages[id]; ok {
				return id
			}
			if at == "" {
				return ""
			}
			next := path.Dir(at)
			if i := strings.LastIndex(at, "node_modules/"); i >= 0 {
				next = strings.TrimSuffix(at[:i], "/")
			}
			if next == "." || next == at {
				next = ""
			}
			at = next
		}
	}
	for id, entry := range file.Packages {
		if id == "" || entry.Link {
			l.links = l.links || entry.Link
			continue
		}
		own := entry
		name := own.Name
		if i := strings.LastIndex(id, "node_modules/"); name == "" && i >= 0 {
			name = id[i+len("node_modules/"):]
		}
		lk := &locked{
			name: name, version: own.Version, optional: own.Optional, dev: own.Dev,
			os: own.OS, cpu: own.CPU, libc: own.Libc, bin: binsOf(name, own.Bin),
			git: strings.HasPrefix(own.Resolved, "git"),
		}
		script := own.HasInstallScript && !own.InBundle
		lk.script = &script
		lk.url = !lk.git && own.Resolved != "" && !strings.Contains(own.Resolved, "/-/") && strings.Contains(own.Resolved, "://")
		for _, kind := range []map[string]string{own.Dependencies, own.Optionals, own.Peers} {
			for _, need := range slices.Sorted(maps.Keys(kind)) {
				lk.needs = append(lk.needs, find(id, need))
			}
		}
		l.packages[id] = lk
	}
	overridden := p.top.raw("overrides") != nil
	for _, id := range slices.Sorted(maps.Keys(l.packages)) {
		// What npm may leave out need not be complete, nor what is in another
		// package's archive.
		own := file.Packages[id]
		if overridden || own.Optional || own.InBundle || own.Extraneous || !strings.Contains(id, "node_modules/") {
			continue
		}
		for _, need := range slices.Sorted(maps.Keys(own.Dependencies)) {
			if find(id, need) == "" && own.Optionals[need] == "" {
				l.drift = append(l.drift, fmt.Sprintf("%s, which %s needs, is not in it", need, l.packages[id].name))
			}
		}
	}
	for _, m := range p.packages() {
		if m.manifest == nil {
			continue
		}
		at := m.rel
		if at == "." {
			at = ""
		} else if _, ok := file.Packages[at]; !ok {
			l.drift = append(l.drift, m.file+" is not in it")
			continue
		}
		roots := map[string]string{}
		for _, name := range append(m.all(), slices.Sorted(maps.Keys(m.peer))...) {
			roots[name] = find(at, name)
		}
		l.roots[m.rel] = roots
		for _, kind := range []map[string]string{m.dependencies, m.dev, m.optional} {
			for _, name := range slices.Sorted(maps.Keys(kind)) {
				got, ok := file.Packages[roots[name]]
				switch {
				case roots[name] == "" || !ok:
					l.drift = append(l.drift, name+" is not in it")
				case got.Name == "" && !satisfies(got.Version, kind[name]) && m.raw("overrides") == nil && p.top.raw("overrides") == nil:
					l.drift = append(l.drift, fmt.Sprintf("%s is %s, and %s asks for %s", name, got.Version, m.where(kindOf(m, name), name), kind[name]))
				}
			}
		}
	}
	return nil
}

// kindOf is the key of a package.json that has a dependency.
func kindOf(m *member, name string) string {
	switch {
	case m.dependencies[name] != "":
		return "dependencies"
	case m.optional[name] != "":
		return "optionalDependencies"
	}
	return "devDependencies"
}

func binsOf(name string, raw json.RawMessage) map[string]string {
	var many map[string]string
	if len(raw) > 0 && json.Unmarshal(raw, &many) != nil {
		var one string
		if json.Unmarshal(raw, &one) == nil {
			return map[string]string{path.Base(name): one}
		}
	}
	return many
}

// reducedNpmLock is a package-lock.json without what says nothing about the
// installation: names and versions of the project's own packages, where those do
// not count, and who is paid for what under which license. It returns false for one
// that is too large to be a generated file even so, which are those of more than
// about 15,000 packages.
func (p *project) reducedNpmLock(l *lock) (string, bool) {
	var file map[string]any
	d := json.NewDecoder(bytes.NewReader(l.data))
	d.UseNumber()
	if d.Decode(&file) != nil {
		return "", false
	}
	delete(file, "name")
	delete(file, "version")
	packages, _ := file["packages"].(map[string]any)
	for _, m := range p.packages() {
		at := m.rel
		if at == "." {
			at = ""
		}
		entry, ok := packages[at].(map[string]any)
		if !ok {
			continue
		}
		if at == "" || !p.versionCounts(m) {
			delete(entry, "version")
		}
	}
	for _, entry := range packages {
		if entry, ok := entry.(map[string]any); ok {
			delete(entry, "license")
			delete(entry, "funding")
		}
	}
	// Of a file of version 2 npm reads packages alone.
	if packages != nil {
		delete(file, "dependencies")
	}
	text := app.JSON(file)
	return text, len(text) <= plan.MaxContent
}
