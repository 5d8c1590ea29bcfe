package python

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// checkUVLock reports requirements of the manifests that uv's lock file does not repeat: uv
// installs by the lock as it is. Of each project in it the file has what its manifest asked for
// (https://docs.astral.sh/uv/concepts/projects/sync/#checking-if-the-lockfile-is-up-to-date);
// markers, which uv writes anew, are not compared.
func (p *project) checkUVLock(file string, root *toml.Value) spec.Problems {
	locked := map[string]*toml.Value{}
	for _, pkg := range root.Get("package").List() {
		source := pkg.Get("source")
		if source.Get("virtual") != nil || source.Get("editable") != nil || source.Get("directory") != nil {
			locked[requirement.Name(pkg.Get("name").String())] = pkg.Get("metadata")
		}
	}
	var problems spec.Problems
	for _, m := range append([]*member{p.top}, p.members...) {
		if m.pyproject == nil || m.root.Get("project") == nil || slices.Contains(m.root.Get("project", "dynamic").Strings(), "dependencies") {
			continue
		}
		metadata, ok := locked[requirement.Name(m.name)]
		if !ok {
			if p.top.root.Get("tool", "uv", "workspace") != nil && len(m.dependencies) > 0 {
				problems = append(problems, m.problem(m.root.Get("project", "name"), fmt.Sprintf("%s was made before %s was a member of the workspace", file, m.name), "run `uv lock` and commit the file"))
			}
			continue
		}
		problems = append(problems, m.compareUV(file, metadata)...)
	}
	return problems
}

// compareUV compares a manifest with what a lock file says that it asked for.
func (m *member) compareUV(file string, metadata *toml.Value) spec.Problems {
	has := map[string]bool{}
	names := map[string]bool{}
	add := func(v *toml.Value) {
		for _, one := range v.List() {
			name := requirement.Name(one.Get("name").String())
			names[name] = true
			has[name] = has[name] || fromElsewhere(one)
			s, err := requirement.ParseSpecifier(one.Get("specifier").String())
			if err == nil {
				has[uvKey(name, one.Get("extras").Strings(), s)] = true
			}
		}
	}
	add(metadata.Get("requires-dist"))
	dev := metadata.Get("requires-dev")
	for _, group := range dev.Keys() {
		add(dev.Get(group))
	}
	asked := slices.Clone(m.dependencies)
	for _, more := range []map[string][]dependency{m.optional, m.groups} {
		for _, name := range slices.Sorted(maps.Keys(more)) {
			asked = append(asked, more[name]...)
		}
	}
	known := map[string]bool{}
	for _, d := range asked {
		known[d.Name] = true
		if has[d.Name] || d.URL != "" && names[d.Name] || has[uvKey(d.Name, d.Extras, d.Specifier)] {
			continue
		}
		return spec.Problems{m.problem(d.value, fmt.Sprintf("%s was not made from %s as it is now: it does not have %s", file, path.Base(m.file), d.Requirement), "run `uv lock` and commit the file")}
	}
	for _, one := range metadata.Get("requires-dist").List() {
		if name := requirement.Name(one.Get("name").String()); !known[name] {
			return spec.Problems{m.problem(m.root.Get("project", "dependencies"), fmt.Sprintf("%s was not made from %s as it is now: it was made when the project depended on %s", file, path.Base(m.file), name), "run `uv lock` and commit the file")}
		}
	}
	return nil
}

// fromElsewhere says whether a requirement comes from somewhere else than an index, so that its
// version is not what counts.
func fromElsewhere(v *toml.Value) bool {
	return slices.ContainsFunc([]string{"git", "url", "path", "editable", "directory", "virtual", "workspace"}, func(key string) bool { return v.Get(key) != nil })
}

func uvKey(name string, extras []string, s requirement.Specifier) string {
	clauses := strings.Split(s.String(), ",")
	slices.Sort(clauses)
	extras = normalized(extras)
	slices.Sort(extras)
	return name + "[" + strings.Join(extras, ",") + "]" + strings.Join(clauses, ",")
}
