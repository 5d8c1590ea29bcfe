package golang

import (
	"fmt"
	"path"
	"sort"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// programs are the main packages to build.
type programs struct {
	// dirs are their folders, sorted, relative to the context.
	dirs []string
	// names are the names of the binaries, in the order of dirs.
	names []string
	// source is where the choice came from.
	source string
}

// sideDirs are folders whose programs serve the project itself: they are built
// when package names them, but never chosen.
var sideDirs = map[string]bool{
	"testdata": true, "example": true, "examples": true, "tool": true, "tools": true, "hack": true,
	"script": true, "scripts": true, "test": true, "tests": true, "e2e": true, "integration": true,
	"benchmark": true, "benchmarks": true, "docs": true, "third_party": true,
}

// side says whether a folder below the project's is one that holds no product.
func (p *project) side(dir string) bool {
	for _, e := range strings.Split(app.Relative(p.dir, dir), "/") {
		if sideDirs[e] {
			return true
		}
	}
	return false
}

// mains returns the folders of all main packages, sorted.
func (p *project) mains() []string {
	var mains []string
	for _, m := range p.modules {
		for _, dir := range p.src.walk(m).packages {
			if p.src.packageName(dir) == "main" {
				mains = append(mains, dir)
			}
		}
	}
	sort.Strings(mains)
	return mains
}

// pattern is a folder as an argument of the go command run in the project's.
func (p *project) pattern(dir string) string {
	if rel := app.Relative(p.dir, dir); rel != "." {
		return "./" + rel
	}
	return "."
}

func (p *project) patterns(dirs []string) []string {
	var list []string
	for _, d := range dirs {
		list = append(list, p.pattern(d))
	}
	return list
}

// programs decides what to build.
func (p *project) programs() (programs, spec.Problems) {
	var found programs
	var problems spec.Problems
	if len(p.spec.Package) > 0 {
		found, problems = p.namedPrograms()
	} else {
		found, problems = p.chosenProgram()
	}
	if problems.HasErrors() {
		return programs{}, problems
	}
	seen := map[string]string{}
	for _, dir := range found.dirs {
		importPath, _ := p.importPath(dir)
		name := programName(importPath)
		if other, ok := seen[name]; ok {
			problems = append(problems, p.spec.Problem("package",
				fmt.Sprintf("package: %s and %s both make a program named %s", p.pattern(other), p.pattern(dir), name),
				"build one of them, or give each an image of its own in images"))
		}
		seen[name] = dir
		found.names = append(found.names, name)
	}
	return found, problems
}

// chosenProgram is the one main package that a project without package means:
// the project's folder itself, the only one, or cmd/ and the module's name.
func (p *project) chosenProgram() (programs, spec.Problems) {
	mains := p.mains()
	var candidates []string
	for _, dir := range mains {
		if dir == p.dir {
			return programs{dirs: []string{dir}, source: "the main package in " + describeFolder(p.dir)}, nil
		}
		if !p.side(dir) {
			candidates = append(candidates, dir)
		}
	}
	if len(candidates) == 1 {
		return programs{dirs: candidates, source: "the only main package"}, nil
	}
	var named []string
	for _, m := range p.modules {
		for _, dir := range candidates {
			if dir == path.Join(m.dir, "cmd", programName(m.path())) {
				named = append(named, dir)
			}
		}
	}
	if len(named) == 1 {
		return programs{dirs: named, source: "the main package named as the module"}, nil
	}

	at := "language"
	if p.dir != "." {
		at = "dir"
	}
	if len(mains) == 0 {
		return programs{}, spec.Problems{p.spec.Problem(at, "there is no main package in "+describeFolder(p.dir),
			"an image needs a program: a folder with package main and func main; check also that .dockerignore does not exclude it")}
	}
	if len(candidates) == 0 {
		return programs{}, spec.Problems{p.spec.Problem(at,
			"there are main packages only where examples, tools and tests are kept", "name the one to build; add one of\n"+p.packageLines(mains))}
	}
	return programs{}, spec.Problems{p.spec.Problem(at,
		fmt.Sprintf("there are %d main packages, and nothing says which one to build", len(candidates)), "add one of\n"+p.packageLines(candidates))}
}

func describeFolder(dir string) string {
	if dir == "." {
		return "the project's folder"
	}
	return dir
}

func (p *project) packageLines(dirs []string) string {
	var lines []string
	for _, pattern := range p.patterns(dirs) {
		lines = append(lines, "package: "+pattern)
	}
	return app.Listed(lines)
}

// namedPrograms resolves the entries of package.
func (p *project) namedPrograms() (programs, spec.Problems) {
	var problems spec.Problems
	chosen := map[string]bool{}
	for i, entry := range p.spec.Package {
		dirs, pr := p.resolve(entry)
		if pr != nil {
			problems = append(problems, p.spec.Problem(fmt.Sprintf("package[%d]", i), "package: "+pr.message, pr.hint))
		}
		for _, dir := range dirs {
			chosen[dir] = true
		}
	}
	found := programs{source: p.spec.Where("package")}
	for dir := range chosen {
		found.dirs = append(found.dirs, dir)
	}
	sort.Strings(found.dirs)
	return found, problems
}

// complaint is a problem without its place.
type complaint struct{ message, hint string }

// resolve returns the main packages that an entry of package stands for: a
// folder (./cmd/api), an import path of the project, or either with /... behind.
func (p *project) resolve(entry string) ([]string, *complaint) {
	base, all := entry, false
	if b, ok := strings.CutSuffix(entry, "/..."); ok {
		base, all = b, true
	}
	if strings.Contains(base, "...") {
		return nil, &complaint{fmt.Sprintf("%q: ... may only stand at the end", entry), "such as ./cmd/..."}
	}
	var dir string
	switch {
	case base == "." || base == ".." || strings.HasPrefix(base, "./") || strings.HasPrefix(base, "../"):
		dir = path.Join(p.dir, base)
	default:
		var ok bool
		if dir, ok = p.folder(base); !ok {
			if base != "" && !path.IsAbs(base) && p.files.IsDir(path.Join(p.dir, base)) {
				return nil, &complaint{fmt.Sprintf("%q is not a package of this project", entry), "did you mean \"./" + strings.TrimPrefix(entry, "/") + "\"?"}
			}
			return nil, p.notThere(entry, "is not a package of this project")
		}
	}
	if !app.Within(p.dir, dir) {
		return nil, &complaint{fmt.Sprintf("%q is outside of the project's folder", entry), "dir: names the folder that holds the project"}
	}
	if all {
		var dirs []string
		for _, main := range p.mains() {
			if app.Within(dir, main) {
				dirs = append(dirs, main)
			}
		}
		if len(dirs) == 0 {
			return nil, p.notThere(entry, "has no main package")
		}
		return dirs, nil
	}
	if !p.files.IsDir(dir) {
		return nil, p.notThere(entry, "is not there")
	}
	if other := p.otherModule(dir); other != "" {
		return nil, &complaint{fmt.Sprintf("%q belongs to another module, that of %s", entry, path.Join(other, "go.mod")), "build that one: dir: " + other}
	}
	switch name := p.src.packageName(dir); name {
	case "main":
		return []string{dir}, nil
	case "":
		return nil, p.notThere(entry, "has no Go files to build for Linux")
	default:
		return nil, p.notThere(entry, fmt.Sprintf("is not a program: it is package %s", name))
	}
}

// otherModule returns the folder of the module that dir belongs to when that is
// none of those built here.
func (p *project) otherModule(dir string) string {
	for {
		for _, m := range p.modules {
			if m.dir == dir {
				return ""
			}
		}
		if p.files.Exists(path.Join(dir, "go.mod")) {
			return dir
		}
		if dir == "." {
			return ""
		}
		dir = path.Dir(dir)
	}
}

// notThere is a complaint that lists the main packages there are.
func (p *project) notThere(entry, what string) *complaint {
	mains := p.mains()
	c := &complaint{message: fmt.Sprintf("%q %s", entry, what)}
	list := p.patterns(mains)
	if near, ok := spec.Nearest(entry, list); ok {
		c.hint = fmt.Sprintf("did you mean %q?", near)
		return c
	}
	if len(mains) == 0 {
		c.hint = "the project has no main package"
		return c
	}
	c.hint = "the main packages are\n" + p.packageLines(mains)
	return c
}
