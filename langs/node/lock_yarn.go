package node

import (
	"bufio"
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// readYarnLock reads a yarn.lock of yarn 1, which looks like YAML and is not:
// https://github.com/yarnpkg/yarn/blob/master/src/lockfile/parse.js.
func (p *project) readYarnLock(l *lock) spec.Problems {
	type entry struct {
		*locked
		needs map[string]string
	}
	byKey := map[string]*entry{}
	var at *entry
	section := ""
	lines := bufio.NewScanner(bytes.NewReader(l.data))
	lines.Buffer(nil, len(l.data)+1)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimRight(lines.Text(), " \r")
		if line == "" || strings.HasPrefix(strings.TrimSpace(line), "#") {
			continue
		}
		broken := func(what string) spec.Problems {
			return spec.Problems{app.LineProblem(l.file, number, line, "", "the lock file cannot be read: "+what, "run `yarn install` with the version of yarn that the project uses, and commit it")}
		}
		switch indent := len(line) - len(strings.TrimLeft(line, " ")); {
		case indent == 0:
			head, ok := strings.CutSuffix(line, ":")
			if !ok {
				return broken("a line without indentation ends in a colon")
			}
			if strings.HasPrefix(head, "<<<<<<<") || strings.HasPrefix(head, "=======") {
				return broken("it has a conflict of a merge in it")
			}
			at, section = &entry{locked: &locked{}, needs: map[string]string{}}, ""
			for _, key := range strings.Split(head, ",") {
				key = strings.Trim(strings.TrimSpace(key), `"`)
				at.name, _ = splitName(key)
				byKey[key] = at
			}
		case at == nil:
			return broken("a value stands before the first package")
		case indent == 2:
			key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			value = strings.Trim(value, `"`)
			section = strings.TrimSuffix(key, ":")
			switch key {
			case "version":
				at.version = value
			case "resolved":
				at.git = strings.HasPrefix(value, "git") || strings.Contains(value, ".git#")
				at.url = !at.git && !strings.Contains(value, "/-/") && strings.Contains(value, "://")
			}
		case section == "dependencies" || section == "optionalDependencies":
			name, want, ok := strings.Cut(strings.TrimSpace(line), " ")
			if strings.HasPrefix(name, `"`) {
				// A quoted name has no blanks.
				name = strings.Trim(name, `"`)
			}
			if !ok {
				return broken("a dependency has no range")
			}
			at.needs[name] = strings.Trim(want, `"`)
		}
	}
	if err := lines.Err(); err != nil {
		return spec.Problems{app.FileProblem(l.file, "the lock file cannot be read: "+err.Error(), "")}
	}
	for key, e := range byKey {
		for _, name := range slices.Sorted(maps.Keys(e.needs)) {
			if _, ok := byKey[name+"@"+e.needs[name]]; ok {
				e.locked.needs = append(e.locked.needs, name+"@"+e.needs[name])
			}
		}
		slices.Sort(e.locked.needs)
		e.locked.needs = slices.Compact(e.locked.needs)
		e.cpu = cpuByName(e.name)
		l.packages[key] = e.locked
	}
	return p.yarnRoots(l, func(name, want string) (string, bool) {
		_, ok := byKey[name+"@"+want]
		return name + "@" + want, ok
	})
}

// yarnRoots finds what the members need by the ranges in their manifests, which
// are the keys of yarn's lock files.
func (p *project) yarnRoots(l *lock, find func(name, want string) (string, bool)) spec.Problems {
	names := map[string]bool{}
	for _, m := range p.packages() {
		if m.manifest != nil {
			names[m.name] = true
		}
	}
	for _, m := range p.packages() {
		if m.manifest == nil {
			continue
		}
		roots := map[string]string{}
		for _, kind := range []map[string]string{m.dependencies, m.optional, m.dev} {
			for _, name := range slices.Sorted(maps.Keys(kind)) {
				id, ok := find(name, kind[name])
				switch {
				case ok:
					roots[name] = id
				case !names[name] && p.top.raw("resolutions") == nil && !local(kind[name]):
					l.drift = append(l.drift, fmt.Sprintf("%s@%s is not in it", name, kind[name]))
				}
			}
		}
		l.roots[m.rel] = roots
	}
	return nil
}

// local says whether a range is a folder or an archive of the project.
func local(want string) bool {
	for _, prefix := range []string{"file:", "link:", "portal:", "./", "../", "patch:", "catalog:", "workspace:"} {
		if strings.HasPrefix(want, prefix) {
			return true
		}
	}
	return false
}

// cpuByName tells what yarn 1 does not note: for which processor a package is,
// which names such as @esbuild/linux-arm64 and sharp-linux-x64 say.
func cpuByName(name string) []string {
	for _, cpu := range []string{"arm64", "x64"} {
		for _, system := range []string{"linux", "darwin", "win32"} {
			if strings.Contains(name, system+"-"+cpu) {
				return []string{cpu}
			}
		}
	}
	return nil
}

// readBerryLock reads a yarn.lock of yarn 2 and newer, which is YAML.
func (p *project) readBerryLock(l *lock) spec.Problems {
	type entry struct {
		Version    string            `yaml:"version"`
		Resolution string            `yaml:"resolution"`
		Conditions string            `yaml:"conditions"`
		LinkType   string            `yaml:"linkType"`
		Needs      map[string]string `yaml:"dependencies"`
		Bin        map[string]string `yaml:"bin"`
	}
	file := map[string]entry{}
	if err := yaml.Unmarshal(l.data, &file); err != nil {
		return spec.Problems{yamlProblem(l.file, err)}
	}
	byKey := map[string]string{}
	for key := range file {
		if key != "__metadata" {
			for _, one := range strings.Split(key, ", ") {
				byKey[one] = key
			}
		}
	}
	find := func(name, want string) (string, bool) {
		for _, one := range []string{name + "@" + want, name + "@npm:" + want, name + "@patch:" + want} {
			if key, ok := byKey[one]; ok {
				return key, true
			}
		}
		return "", false
	}
	for key, e := range file {
		if key == "__metadata" || strings.Contains(e.Resolution, "@workspace:") {
			continue
		}
		name, reference := splitName(e.Resolution)
		lk := &locked{
			name: name, version: e.Version, bin: e.Bin,
			git: strings.Contains(reference, "commit=") || strings.HasPrefix(reference, "git@"),
		}
		lk.os, lk.cpu, lk.libc = conditions(e.Conditions)
		for _, need := range slices.Sorted(maps.Keys(e.Needs)) {
			if id, ok := find(need, e.Needs[need]); ok {
				lk.needs = append(lk.needs, id)
			}
		}
		l.packages[key] = lk
	}
	return p.yarnRoots(l, func(name, want string) (string, bool) {
		key, ok := find(name, want)
		if ok && l.packages[key] == nil {
			return "", true // a member
		}
		return key, ok
	})
}

// conditions reads `os=linux & cpu=x64 & libc=glibc`, where alternatives are in
// parentheses.
func conditions(text string) (os, cpu, libc []string) {
	for _, part := range strings.FieldsFunc(text, func(r rune) bool { return strings.ContainsRune("&|() ", r) }) {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "os":
			os = append(os, value)
		case "cpu":
			cpu = append(cpu, value)
		case "libc":
			libc = append(libc, value)
		}
	}
	return os, cpu, libc
}
