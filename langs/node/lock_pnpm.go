package node

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// pnpmLock is a pnpm-lock.yaml: https://github.com/pnpm/spec/blob/master/lockfile/9.0.md.
type pnpmLock struct {
	Version   string                  `yaml:"lockfileVersion"`
	Importers map[string]pnpmImporter `yaml:"importers"`
	Packages  map[string]pnpmPackage  `yaml:"packages"`
	Snapshots map[string]pnpmSnapshot `yaml:"snapshots"`
}

type pnpmImporter struct {
	Dependencies map[string]pnpmDependency `yaml:"dependencies"`
	Dev          map[string]pnpmDependency `yaml:"devDependencies"`
	Optional     map[string]pnpmDependency `yaml:"optionalDependencies"`
}

type pnpmDependency struct {
	Specifier string `yaml:"specifier"`
	Version   string `yaml:"version"`
}

type pnpmPackage struct {
	Resolution struct {
		Type    string `yaml:"type"`
		Tarball string `yaml:"tarball"`
		Repo    string `yaml:"repo"`
	} `yaml:"resolution"`
	OS   []string `yaml:"os"`
	CPU  []string `yaml:"cpu"`
	Libc []string `yaml:"libc"`
}

type pnpmSnapshot struct {
	Dependencies map[string]string `yaml:"dependencies"`
	Optional     map[string]string `yaml:"optionalDependencies"`
	IsOptional   bool              `yaml:"optional"`
}

// readPnpmLock reads version 9. A file may have a document before it, which is
// about pnpm's own configuration.
func (p *project) readPnpmLock(l *lock) spec.Problems {
	var file pnpmLock
	for d := yaml.NewDecoder(bytes.NewReader(l.data)); ; {
		var next pnpmLock
		err := d.Decode(&next)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return spec.Problems{yamlProblem(l.file, err)}
		}
		file = next
	}
	if !strings.HasPrefix(file.Version, "9") {
		return spec.Problems{app.FileProblem(l.file, fmt.Sprintf("the lock file has version %q; version 9 is needed", file.Version),
			"pnpm 9 and newer write it: run `pnpm install --lockfile-only` and commit it")}
	}
	for id, s := range file.Snapshots {
		base, _, _ := strings.Cut(id, "(")
		info := file.Packages[base]
		name, version := splitName(base)
		lk := &locked{
			name: name, version: version, optional: s.IsOptional, os: info.OS, cpu: info.CPU, libc: info.Libc,
			git: info.Resolution.Type == "git" || info.Resolution.Repo != "",
			url: info.Resolution.Tarball != "" && strings.Contains(version, ":"),
		}
		for _, kind := range []map[string]string{s.Dependencies, s.Optional} {
			for _, need := range slices.Sorted(maps.Keys(kind)) {
				lk.needs = append(lk.needs, pnpmID(file, need, kind[need]))
			}
		}
		l.packages[id] = lk
	}
	for _, m := range p.packages() {
		if m.manifest == nil {
			continue
		}
		in, ok := file.Importers[m.rel]
		if !ok {
			if len(m.all()) > 0 {
				l.drift = append(l.drift, m.file+" is not in it")
			}
			continue
		}
		roots := map[string]string{}
		for _, kind := range []struct {
			wanted map[string]string
			locked map[string]pnpmDependency
		}{{m.dependencies, in.Dependencies}, {m.dev, in.Dev}, {m.optional, in.Optional}} {
			for _, name := range slices.Sorted(maps.Keys(kind.wanted)) {
				// One that is of two kinds is in the lock as the stronger one.
				got, ok := kind.locked[name]
				if !ok {
					if _, elsewhere := either(in, name); !elsewhere {
						l.drift = append(l.drift, name+" is not in it")
					}
					continue
				}
				roots[name] = pnpmID(file, name, got.Version)
				if want := kind.wanted[name]; got.Specifier != want && !strings.HasPrefix(want, "catalog:") && len(p.pnpm.Overrides) == 0 && p.top.raw("pnpm", "overrides") == nil {
					l.drift = append(l.drift, fmt.Sprintf("%s is %s in it, and %s asks for %s", name, got.Specifier, m.where(kindOf(m, name), name), want))
				}
			}
		}
		l.roots[m.rel] = roots
	}
	return nil
}

func either(in pnpmImporter, name string) (pnpmDependency, bool) {
	for _, kind := range []map[string]pnpmDependency{in.Optional, in.Dependencies, in.Dev} {
		if d, ok := kind[name]; ok {
			return d, true
		}
	}
	return pnpmDependency{}, false
}

// pnpmID is the snapshot that a dependency means, "" for a member.
func pnpmID(file pnpmLock, name, version string) string {
	if strings.HasPrefix(version, "link:") {
		return ""
	}
	for _, id := range []string{name + "@" + version, version} {
		if _, ok := file.Snapshots[id]; ok {
			return id
		}
	}
	return ""
}

// splitName splits name@version, where a name may have a scope.
func splitName(id string) (name, version string) {
	if i := strings.Index(strings.TrimPrefix(id, "@"), "@"); i >= 0 {
		if strings.HasPrefix(id, "@") {
			i++
		}
		return id[:i], id[i+1:]
	}
	return path.Clean(id), ""
}
