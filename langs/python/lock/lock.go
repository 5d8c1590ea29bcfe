// Package lock reads the lock files of Python's tools (uv.lock, pylock.toml, poetry.lock,
// pdm.lock, Pipfile.lock) and says which packages a project needs on a platform.
//
// Files come from projects, which are not trusted: their size is bounded by whoever
// reads them and by toml.Parse, and what is followed in them ends.
package lock

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Format is the kind of a lock file, by its usual name.
type Format string

// The formats. PyLock also is every pylock.NAME.toml.
const (
	UV      Format = "uv.lock"
	PyLock  Format = "pylock.toml"
	Poetry  Format = "poetry.lock"
	PDM     Format = "pdm.lock"
	Pipfile Format = "Pipfile.lock"
)

// Lock is what a lock file says.
type Lock struct {
	Format Format
	// File is the path that was given to Read.
	File string
	// Root is the file's content, nil of a Pipfile.lock.
	Root *toml.Value
	// RequiresPython is for which versions of Python the lock was made; zero when it does
	// not say. PythonLine is where that stands.
	RequiresPython requirement.Specifier
	PythonLine     int
	// Packages are all that are in the lock, in the order of the file, the project's own
	// among them where the format has those (uv.lock).
	Packages []*Package

	byName map[string][]*Package
	// grouped says that every package has the groups that it is for, so that no
	// dependencies need be followed.
	grouped bool
	// environments are those that the lock was limited to; none for all.
	environments []requirement.Marker
	// digest is what the lock says of the manifest that it was made from, digestLine
	// where. Sources are those that Pipfile.lock has.
	digest     string
	digestLine int
	sources    []any
	// extras are those of the project, with their packages where these are optional
	// (poetry); groups are those of the project, which may be in the lock alone.
	extras        map[string][]string
	groups        []string
	defaultGroups []string
	// members are the names of the packages of a workspace whose root is none, and rootGroups
	// the groups of that root (uv).
	members    []string
	rootGroups map[string][]need
}

// Kind says where a package comes from.
type Kind int

// The kinds of sources.
const (
	// Index is a package index; Source.URL is its address if the lock has it.
	Index Kind = iota
	// Git is a repository at a commit.
	Git
	// URL is an archive on a server.
	URL
	// File is an archive in the project, Directory a folder of it that is a package.
	File
	Directory
	// Virtual is a folder of the project that is no package, only a list of
	// dependencies.
	Virtual
)

// Source is where a package comes from.
type Source struct {
	Kind Kind
	// URL is the index, the repository or the archive, without credentials.
	URL string
	// Commit of a repository: 40 hexadecimal digits.
	Commit string
	// Path is, of File, Directory and Virtual, a path as in the lock: from the lock's folder, "." for
	// that folder itself.
	Path string
	// Subdirectory is the package's folder in a repository or an archive.
	Subdirectory string
	// Editable says that Python reads a Directory where it is.
	Editable bool
}

// Package is a package of a lock file. The same name may be there more than once, for
// different platforms.
type Package struct {
	// Name is in the normal form. Version is empty where the lock does not say it, as of
	// folders.
	Name, Version string
	Source        Source
	// Line is where the package stands in the lock.
	Line int
	// Marker says where the package is installed, by itself; conditions of
	// dependencies upon it come on top.
	Marker requirement.Marker
	// Hashes are those of all files of the package, as "sha256:…", sorted.
	Hashes []string
	// Wheels are those that the lock lists, and Sdist says that there is source. Listed is
	// false of locks that name no files, such as Pipfile.lock: then nothing is known
	// about wheels.
	Wheels []Wheel
	Sdist  bool
	Listed bool

	// groups are those of the project that the package is for, and groupMarkers conditions
	// of some of them.
	groups       []string
	groupMarkers map[string]requirement.Marker
	// needs are dependencies, and those of extras and, of the project's own packages,
	// of groups.
	needs      []need
	extraNeeds map[string][]need
	groupNeeds map[string][]need
	// extras are those of an entry that is for a package with extras and stands beside
	// the package's own (pdm).
	extras []string
	// python is for which versions the package is.
	python requirement.Specifier
}

// need is a dependency.
type need struct {
	name   string
	extras []string
	marker requirement.Marker
	// allows and python say whether a version of the package and of Python meets the
	// condition; nil is every version.
	allows, python func(version string) bool
	// source is that of the package where a lock has two of one version.
	source *Source
	line   int
}

// Main is the group of the dependencies that a program needs to run, as poetry calls it.
const Main = "main"

// Target is a platform that packages are installed on: CPython on Linux with glibc.
type Target struct {
	// Arch is an architecture of OCI images: "amd64", "arm64".
	Arch string
	// Python is the full version: "3.13.5".
	Python string
	// Glibc is the C library's version: "2.36".
	Glibc string
}

// Want says which packages are needed.
type Want struct {
	// Package is the name of a member of uv's workspace; "" for the project in the
	// lock's folder.
	Package string
	// Groups and Extras are added to the dependencies that the program needs to run.
	Groups, Extras []string
	// Targets are all platforms of the build; one at least.
	Targets []Target
}

// Chosen is a package that is to be installed.
type Chosen struct {
	*Package
	// Extras that are asked of it, sorted.
	Extras []string
	// Targets are those that it is for, in their order. Marker is empty when these are all; else
	// it says which, for a requirements file: `platform_machine == "x86_64"`.
	Targets []Target
	Marker  string
}

// Manifest is the file that a lock was made from: pyproject.toml, or Pipfile.
type Manifest struct {
	File string
	Root *toml.Value
}

// maxVersions bounds how often a lock has one name, as every dependency upon it looks at
// all of them.
const maxVersions = 500

// Read reads a lock file, whose format its name tells. Problems stand at a line and say how the
// lock is made anew.
func Read(file string, data []byte) (*Lock, spec.Problems) {
	l := &Lock{File: file, byName: map[string][]*Package{}}
	base := path.Base(file)
	switch {
	case base == string(UV):
		l.Format = UV
	case base == string(Poetry):
		l.Format = Poetry
	case base == string(PDM):
		l.Format = PDM
	case base == string(Pipfile):
		l.Format = Pipfile
		return l.done(l.readPipfile(data))
	case base == string(PyLock), strings.HasPrefix(base, "pylock.") && strings.HasSuffix(base, ".toml"):
		l.Format = PyLock
	default:
		return nil, spec.Problems{app.FileProblem(file, "it is not a lock file that is known", "")}
	}
	root, err := toml.Parse(data)
	if err != nil {
		return nil, spec.Problems{tomlProblem(file, err, l.relock())}
	}
	l.Root = root
	r := &reader{lock: l}
	switch l.Format {
	case UV:
		r.uv(root)
	case PyLock:
		r.pylock(root)
	case Poetry:
		r.poetry(root)
	case PDM:
		r.pdm(root)
	}
	return l.done(r.problems)
}

func (l *Lock) done(problems spec.Problems) (*Lock, spec.Problems) {
	if problems.HasErrors() {
		return nil, problems
	}
	for _, p := range l.Packages {
		slices.Sort(p.Hashes)
		p.Hashes = slices.Compact(p.Hashes)
		l.byName[p.Name] = append(l.byName[p.Name], p)
		if len(l.byName[p.Name]) > maxVersions {
			return nil, spec.Problems{l.problemAt(p.Line, fmt.Sprintf("package %s is there more than %d times", p.Name, maxVersions))}
		}
	}
	return l, problems
}

// relock is the command that makes the lock anew.
func (l *Lock) relock() string {
	return map[Format]string{
		UV: "uv lock", PyLock: "the command that is named at the file's top", Poetry: "poetry lock", PDM: "pdm lock", Pipfile: "pipenv lock",
	}[l.Format]
}

// problemAt is a problem at a line, 0 for the whole file.
func (l *Lock) problemAt(line int, message string) spec.Problem {
	p := app.FileProblem(l.File, message, "make the lock anew: "+l.relock())
	if line > 0 {
		p.Range = spec.Range{Start: spec.Position{Line: line, Column: 1}, End: spec.Position{Line: line, Column: 1}}
	}
	return p
}

// tomlProblem is that of a file that is no TOML.
func tomlProblem(file string, err error, relock string) spec.Problem {
	p := app.FileProblem(file, "it is not TOML: "+err.Error(), "make it anew: "+relock)
	if e, ok := err.(*toml.Error); ok {
		p.Message, p.Range = "it is not TOML: "+e.Message, e.Range
	}
	return p
}

// reader collects what is wrong in a lock.
type reader struct {
	lock     *Lock
	problems spec.Problems
}

// maxProblems bounds what is said of a lock: one that is broken is broken everywhere.
const maxProblems = 10

func (r *reader) problem(at *toml.Value, format string, args ...any) {
	if len(r.problems) < maxProblems {
		p := app.FileProblem(r.lock.File, fmt.Sprintf(format, args...), "make the lock anew: "+r.lock.relock())
		p.Range = at.Range()
		r.problems = append(r.problems, p)
	}
}

// version of the format: those whose first number is another are not read.
func (r *reader) format(v *toml.Value, known ...string) {
	major, _, _ := strings.Cut(v.Text(), ".")
	if v != nil && !slices.Contains(known, major) {
		r.problem(v, "version %s of %s is not known: %s are", v.Text(), r.lock.Format, strings.Join(known, ", "))
	}
}
