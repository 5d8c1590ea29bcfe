package golang

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// sources reads the Go files of a project as the go command would choose them.
type sources struct {
	project *project
	// release is the version of Go that builds, for constraints such as go1.22.
	release string
	data    map[string][]byte
	// broken are the errors of files that are listed and cannot be read.
	broken  map[string]error
	dirs    map[string][]fs.DirEntry
	clauses map[string]string
	// platforms are those that a file may be compiled for, with cgo and without.
	platforms map[bool][]platform
}

func newSources(p *project) *sources {
	return &sources{project: p, data: map[string][]byte{}, broken: map[string]error{}, dirs: map[string][]fs.DirEntry{}, clauses: map[string]string{}, platforms: map[bool][]platform{}}
}

// platformsFor are those that a file may be compiled for: Linux on any of the
// architectures that images exist for.
func (s *sources) platformsFor(cgo bool) []platform {
	if all, ok := s.platforms[cgo]; ok {
		return all
	}
	var all []platform
	for _, arch := range []string{"amd64", "arm64"} {
		p := platform{"linux": true, "unix": true, "gc": true, arch: true, "cgo": cgo}
		for _, tag := range tags(s.project.spec) {
			p[tag] = true
		}
		minor := 99
		if parts := strings.Split(s.release, "."); len(parts) > 1 {
			if n, err := strconv.Atoi(leadingDigits(parts[1])); err == nil {
				minor = min(n, minor)
			}
		}
		for i := 1; i <= minor; i++ {
			p[fmt.Sprintf("go1.%d", i)] = true
		}
		all = append(all, p)
	}
	s.platforms[cgo] = all
	return all
}

func leadingDigits(s string) string {
	return s[:len(s)-len(strings.TrimLeft(s, "0123456789"))]
}

// read returns the content of a file that is listed in its folder.
func (s *sources) read(name string) ([]byte, error) {
	if data, ok := s.data[name]; ok {
		return data, nil
	}
	data, err := s.project.files.Read(name)
	if err == nil && data == nil {
		err = &fs.PathError{Op: "open", Path: name, Err: errors.New("it is a symbolic link to nothing in the build context")}
	}
	if err != nil {
		s.broken[name] = err
		return nil, err
	}
	s.data[name] = data
	return data, nil
}

// problems are those of the files that could not be read: the compiler could
// not read them either.
func (s *sources) problems() spec.Problems {
	var problems spec.Problems
	for _, name := range slices.Sorted(maps.Keys(s.broken)) {
		problems = append(problems, app.Unreadable(name, s.broken[name]))
	}
	return problems
}

// list returns the entries of a folder that matter to Go, none for a folder
// that is not there.
func (s *sources) list(dir string) []fs.DirEntry {
	if entries, ok := s.dirs[dir]; ok {
		return entries
	}
	all, err := fs.ReadDir(s.project.files.FS, dir)
	if err != nil {
		all = nil
	}
	var entries []fs.DirEntry
	for _, e := range all {
		if e.IsDir() || strings.HasSuffix(e.Name(), ".go") || e.Name() == "go.mod" {
			entries = append(entries, e)
		}
	}
	s.dirs[dir] = entries
	return entries
}

// goFiles returns the names of the Go files in dir that a build could compile
// by their names: no tests, no hidden files.
func (s *sources) goFiles(dir string) []string {
	var names []string
	for _, e := range s.list(dir) {
		n := e.Name()
		if !e.IsDir() && strings.HasSuffix(n, ".go") && !strings.HasSuffix(n, "_test.go") && n[0] != '_' && n[0] != '.' {
			names = append(names, n)
		}
	}
	return names
}

// matches says whether the build constraints of a file hold for some platform.
func (s *sources) matches(dir, name string, cgo bool) bool {
	src, err := s.read(path.Join(dir, name))
	return err == nil && slices.ContainsFunc(s.platformsFor(cgo), func(p platform) bool { return p.compiles(name, src) })
}

// packageName returns the name in the package clauses of dir's files, "" when
// there is no file to compile. Files that do not parse are left to the compiler.
func (s *sources) packageName(dir string) string {
	if name, ok := s.clauses[dir]; ok {
		return name
	}
	found := ""
	for _, name := range s.goFiles(dir) {
		// Constraints on cgo choose between implementations, not packages.
		if !s.matches(dir, name, false) && !s.matches(dir, name, true) {
			continue
		}
		data, err := s.read(path.Join(dir, name))
		if err != nil {
			continue
		}
		if clause, ok := packageClause(name, data); ok && clause != "documentation" {
			found = clause
			break
		}
	}
	s.clauses[dir] = found
	return found
}

// mentions says whether a file of dir that is compiled has a line beginning
// with text.
func (s *sources) mentions(dir, text string) bool {
	for _, name := range s.goFiles(dir) {
		data, err := s.read(path.Join(dir, name))
		if err == nil && (bytes.HasPrefix(data, []byte(text)) || bytes.Contains(data, []byte("\n"+text))) {
			return true
		}
	}
	return false
}

// imports returns the imports of the files of dir that are compiled without
// cgo.
func (s *sources) imports(dir string) []importSpec {
	var found []importSpec
	for _, name := range s.goFiles(dir) {
		if !s.matches(dir, name, false) {
			continue
		}
		found = append(found, s.fileImports(dir, name)...)
	}
	return found
}

func (s *sources) fileImports(dir, name string) []importSpec {
	file := path.Join(dir, name)
	data, err := s.read(file)
	if err != nil {
		return nil
	}
	imports, _ := importsOf(file, data)
	return imports
}

// tree is what a walk through a module found.
type tree struct {
	// packages are the folders with Go files, tests left out.
	packages []string
	// tests is the number of _test.go files.
	tests int
}

// walk goes through the folders of a module that the pattern ./... stands for.
func (s *sources) walk(m *module) tree {
	var t tree
	var visit func(dir string)
	visit = func(dir string) {
		entries := s.list(dir)
		code := false
		for _, e := range entries {
			n := e.Name()
			switch {
			case e.IsDir() || n == "" || n[0] == '_' || n[0] == '.':
			case n == "go.mod" && dir != m.dir:
				return // another module
			case strings.HasSuffix(n, "_test.go"):
				t.tests++
			case strings.HasSuffix(n, ".go"):
				code = true
				if e.Type()&fs.ModeSymlink != 0 {
					_, _ = s.read(path.Join(dir, n)) // for problems
				}
			}
		}
		if code {
			t.packages = append(t.packages, dir)
		}
		for _, e := range entries {
			sub := path.Join(dir, e.Name())
			if e.IsDir() && !ignoredDir(e.Name()) && !m.ignores(sub) {
				visit(sub)
			}
		}
	}
	visit(m.dir)
	sort.Strings(t.packages)
	return t
}

// ignores says whether an ignore directive of the module's go.mod names dir.
// See https://go.dev/ref/mod#go-mod-file-ignore.
func (m *module) ignores(dir string) bool {
	rel := app.Relative(m.dir, dir)
	for _, i := range m.file.Ignore {
		p := strings.TrimSuffix(i.Path, "/")
		if rooted, ok := strings.CutPrefix(p, "./"); ok {
			if rel == rooted {
				return true
			}
		} else if rel == p || strings.HasSuffix(rel, "/"+p) {
			return true
		}
	}
	return false
}

var versionElement = regexp.MustCompile(`^v([2-9]|[1-9][0-9]+)$`)

// programName is the name that go build gives to a program: the last element of
// its import path that is not a major version.
func programName(importPath string) string {
	base := path.Base(importPath)
	if versionElement.MatchString(base) && base != importPath {
		base = path.Base(path.Dir(importPath))
	}
	return base
}

// importPath returns the import path of a folder, and the module it is in.
func (p *project) importPath(dir string) (string, *module) {
	var in *module
	for _, m := range p.allModules() {
		if app.Within(m.dir, dir) && (in == nil || len(m.dir) > len(in.dir) || in.dir == ".") {
			in = m
		}
	}
	if in == nil {
		return "", nil
	}
	return path.Join(in.path(), app.Relative(in.dir, dir)), in
}

// folder returns the folder of a package of the modules built here; false for
// any other package.
func (p *project) folder(importPath string) (string, bool) {
	var in *module
	for _, m := range p.allModules() {
		if (importPath == m.path() || strings.HasPrefix(importPath, m.path()+"/")) && (in == nil || len(m.path()) > len(in.path())) {
			in = m
		}
	}
	if in == nil {
		return "", false
	}
	return path.Join(in.dir, strings.TrimPrefix(strings.TrimPrefix(importPath, in.path()), "/")), true
}

// isDir says whether a folder is there.
