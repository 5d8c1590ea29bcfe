package lock

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/langs/python/toml"
)

// projects are the folders of testdata and their locks. The locks were made by the tools, then
// shortened: fewer files of each package, another index, and the hash of the manifest
// computed by the tool's own code. selected.json is what the tools then said
// that they install: `poetry install --dry-run`, `pdm sync --dry-run`, and `uv pip install --dry-run` of
// what `uv export` and `pipenv requirements` write.
var projects = []struct{ dir, lock, manifest string }{
	{"poetry1", "poetry.lock", "pyproject.toml"},
	{"poetry2", "poetry.lock", "pyproject.toml"},
	{"arch-poetry", "poetry.lock", "pyproject.toml"},
	{"pdm", "pdm.lock", "pyproject.toml"},
	{"arch-pdm", "pdm.lock", "pyproject.toml"},
	{"pipenv", "Pipfile.lock", "Pipfile"},
	{"uv", "uv.lock", "pyproject.toml"},
	{"arch-uv", "uv.lock", "pyproject.toml"},
	{"pylock", "pylock.toml", ""},
}

func load(t *testing.T, dir, file string) *Lock {
	t.Helper()
	l, problems := Read(file, read(t, dir, file))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return l
}

func read(t *testing.T, dir, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func manifest(t *testing.T, file string, data []byte) Manifest {
	t.Helper()
	root, err := toml.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return Manifest{File: file, Root: root}
}

func TestSelectAsTheTools(t *testing.T) {
	for _, p := range projects {
		t.Run(p.dir, func(t *testing.T) {
			l := load(t, p.dir, p.lock)
			var m Manifest
			if p.manifest != "" {
				m = manifest(t, p.manifest, read(t, p.dir, p.manifest))
			}
			var cases []struct {
				Python, Arch, Package    string
				Groups, Extras, Packages []string
			}
			if err := json.Unmarshal(read(t, p.dir, "selected.json"), &cases); err != nil {
				t.Fatal(err)
			}
			if len(cases) == 0 {
				t.Fatal("nothing to compare with")
			}
			for _, c := range cases {
				groups := []string{}
				for _, g := range c.Groups {
					groups = append(groups, strings.TrimSuffix(g, "-packages"))
				}
				w := Want{Package: c.Package, Groups: groups, Extras: c.Extras, Targets: []Target{{Arch: c.Arch, Python: c.Python, Glibc: "2.36"}}}
				chosen, problems := l.Select(m, w)
				if len(problems) > 0 {
					t.Errorf("%+v: %v", w, problems)
				}
				var got []string
				for _, one := range chosen {
					if one.Source.Kind != Directory && one.Source.Kind != Virtual {
						got = append(got, one.Name+" "+one.Version)
					}
				}
				if !slices.Equal(got, c.Packages) {
					t.Errorf("%+v:\n got %q\nwant %q", w, got, c.Packages)
				}
			}
		})
	}
}
