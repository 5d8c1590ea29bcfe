package golang

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
	"unicode/utf8"

	"golang.org/x/mod/modfile"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// project is what the module files say.
type project struct {
	spec  *spec.Spec
	files app.Files
	src   *sources
	// dir is the project's folder in the context; like all folders here it is
	// relative to the context, "." for the context itself.
	dir string
	// work is the workspace, nil without one.
	work *workspace
	// modules are those whose programs are built: the one in dir, or all of the
	// workspace that dir is the root of.
	modules []*module
	// others are further modules that the build reads: the rest of the
	// workspace, and what replace directives point to.
	others []*module
	// vendored is the folder of vendor/, "" without it.
	vendored string
}

type module struct {
	dir  string
	file *modfile.File
	// sum is the content of go.sum, nil when there is none.
	sum []byte
}

type workspace struct {
	dir  string
	file *modfile.WorkFile
}

func (m *module) path() string { return m.file.Module.Mod.Path }

func (m *module) name() string { return path.Join(m.dir, "go.mod") }

// load reads the module files. It returns nil and at least one error when they
// cannot be used.
func load(s *spec.Spec, files fs.FS) (*project, spec.Problems) {
	p := &project{spec: s, files: app.Files{FS: files}}
	var problems spec.Problems
	if p.dir, problems = app.CheckedDir(s, p.files, "Go files"); problems.HasErrors() {
		return nil, problems
	}
	p.src = newSources(p)
	if s.Build.Env["GOWORK"] != "off" {
		problems = p.loadWorkspace()
		if problems.HasErrors() {
			return nil, problems
		}
	}
	if p.work == nil {
		m, found := p.loadModule(p.dir)
		problems = append(problems, found...)
		if m == nil {
			if !problems.HasErrors() {
				problems = append(problems, p.noModule())
			}
			return nil, problems
		}
		p.modules = []*module{m}
	}
	problems = append(problems, p.findVendor()...)
	problems = append(problems, p.loadReplaced()...)
	if problems.HasErrors() {
		return nil, problems
	}
	return p, problems
}

// loadModule reads the module in dir; nil without a problem when there is none.
func (p *project) loadModule(dir string) (*module, spec.Problems) {
	name := path.Join(dir, "go.mod")
	data, err := p.files.Read(name)
	if err != nil {
		return nil, spec.Problems{app.Unreadable(name, err)}
	}
	if data == nil {
		return nil, nil
	}
	f, err := modfile.Parse(name, data, nil)
	if err != nil {
		return nil, syntaxProblems(name, data, err)
	}
	if f.Module == nil {
		return nil, spec.Problems{app.FileProblem(name, "the file has no module line", "add the module's path as the first line, such as\nmodule example.com/app")}
	}
	m := &module{dir: dir, file: f}
	if m.sum, err = p.files.Read(path.Join(dir, "go.sum")); err != nil {
		return nil, spec.Problems{app.Unreadable(path.Join(dir, "go.sum"), err)}
	}
	return m, nil
}

// loadWorkspace finds the workspace that dir belongs to and reads its modules.
// Without one it leaves p.work nil.
func (p *project) loadWorkspace() spec.Problems {
	for dir := p.dir; ; dir = path.Dir(dir) {
		name := path.Join(dir, "go.work")
		data, err := p.files.Read(name)
		if err != nil {
			return spec.Problems{app.Unreadable(name, err)}
		}
		if data != nil {
			f, err := modfile.ParseWork(name, data, nil)
			if err != nil {
				return syntaxProblems(name, data, err)
			}
			p.work = &workspace{dir: dir, file: f}
			break
		}
		if dir == "." {
			return nil
		}
	}

	var problems spec.Problems
	name := path.Join(p.work.dir, "go.work")
	var all []*module
	for _, use := range p.work.file.Use {
		dir, ok := app.InContext(p.work.dir, use.Path)
		if !ok {
			problems = append(problems, lineProblem(name, use.Syntax,
				fmt.Sprintf("use %s is outside of the build context", use.Path),
				"give a folder that holds both as the build context, and name the project's folder with dir:"))
			continue
		}
		m, found := p.loadModule(dir)
		problems = append(problems, found...)
		if m != nil {
			all = append(all, m)
		} else if len(found) == 0 {
			problems = append(problems, lineProblem(name, use.Syntax, fmt.Sprintf("use %s: there is no %s", use.Path, path.Join(dir, "go.mod")),
				"remove the line, or check that .dockerignore does not exclude the folder"))
		}
	}
	if problems.HasErrors() {
		return problems
	}
	if len(all) == 0 {
		return append(problems, app.FileProblem(name, "the workspace uses no modules", "go work use ./DIR adds one"))
	}
	sort.Slice(all, func(i, j int) bool { return all[i].dir < all[j].dir })

	for _, m := range all {
		if m.dir == p.dir || p.dir == p.work.dir && app.Within(p.dir, m.dir) {
			p.modules = append(p.modules, m)
		} else {
			p.others = append(p.others, m)
		}
	}
	if len(p.modules) > 0 {
		return problems
	}
	if !p.files.Exists(path.Join(p.dir, "go.mod")) {
		return append(problems, p.noModule())
	}
	return append(problems, app.FileProblem(name, fmt.Sprintf("the module in %s is not part of the workspace", p.dir),
		fmt.Sprintf("add it with\nuse ./%s\nor build it on its own with\nbuild:\n  env:\n    GOWORK: \"off\"", app.Relative(p.work.dir, p.dir))))
}

// noModule explains why there is no module in the project's folder.
func (p *project) noModule() spec.Problem {
	at, folder := "language", "the build context"
	if p.dir != "." {
		at, folder = "dir", p.dir
	}
	for dir := p.dir; dir != "."; {
		dir = path.Dir(dir)
		if p.files.Exists(path.Join(dir, "go.mod")) {
			return p.spec.Problem(at, fmt.Sprintf("there is no go.mod in %s: it is part of the module in %s", folder, app.Describe(dir)),
				fmt.Sprintf("name the module's folder, and the program with\npackage: ./%s", app.Relative(dir, p.dir)))
		}
	}
	if names, _ := fs.Glob(p.files.FS, path.Join(p.dir, "*.go")); len(names) > 0 {
		return p.spec.Problem(at, fmt.Sprintf("there are Go files in %s, but no go.mod", folder),
			"make it a module, there, with\ngo mod init example.com/app && go mod tidy")
	}
	var lines []string
	for _, dir := range p.findModules() {
		if dir != p.dir && len(lines) < app.MaxListed {
			lines = append(lines, "dir: "+dir)
		}
	}
	if len(lines) > 0 {
		return p.spec.Problem(at, fmt.Sprintf("there is no go.mod in %s", folder), "there is one elsewhere; add one of\n"+strings.Join(lines, "\n"))
	}
	return p.spec.Problem(at, fmt.Sprintf("there is no go.mod in %s", folder), "dir: names the folder that holds the project; check also that .dockerignore does not exclude go.mod")
}

// findModules returns the folders of the context that hold a go.mod.
func (p *project) findModules() []string {
	var dirs []string
	var walk func(dir string)
	walk = func(dir string) {
		entries, err := fs.ReadDir(p.files.FS, dir)
		if err != nil {
			return
		}
		for _, e := range entries {
			if e.Name() == "go.mod" && !e.IsDir() {
				dirs = append(dirs, dir)
			}
		}
		for _, e := range entries {
			if e.IsDir() && !ignoredDir(e.Name()) {
				walk(path.Join(dir, e.Name()))
			}
		}
	}
	walk(".")
	sort.Strings(dirs)
	return dirs
}

// ignoredDir says whether Go's patterns (./...) skip folders of that name.
// node_modules is no place for the project's own packages either.
func ignoredDir(name string) bool {
	return name == "vendor" || name == "testdata" || name == "node_modules" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

func (p *project) findVendor() spec.Problems {
	root := p.dir
	if p.work != nil {
		root = p.work.dir
	}
	name := path.Join(root, "vendor/modules.txt")
	data, err := p.files.Read(name)
	if err != nil {
		return spec.Problems{app.Unreadable(name, err)}
	}
	// A vendor folder made in a module is of no use to a workspace.
	if data != nil && (p.work == nil || bytes.HasPrefix(data, []byte("## workspace"))) {
		p.vendored = path.Join(root, "vendor")
	}
	return nil
}

// allModules are the modules that the build reads.
func (p *project) allModules() []*module {
	return append(append([]*module(nil), p.modules...), p.others...)
}

// mainModules are all that Go treats as main modules: of a workspace also those
// that are not built.
func (p *project) mainModules() []*module {
	all := append([]*module(nil), p.modules...)
	if p.work != nil {
		for _, m := range p.others {
			if p.used(m.dir) {
				all = append(all, m)
			}
		}
	}
	return all
}

func (p *project) used(dir string) bool {
	for _, use := range p.work.file.Use {
		if d, ok := app.InContext(p.work.dir, use.Path); ok && d == dir {
			return true
		}
	}
	return false
}

// replacement is a replace directive with the file and folder it is in.
type replacement struct {
	*modfile.Replace
	file string
	dir  string
}

// replacements returns the replace directives that apply, by the path of what
// they replace; those of a workspace come before those of its modules.
func (p *project) replacements() map[string][]replacement {
	found := map[string][]replacement{}
	add := func(file, dir string, list []*modfile.Replace) {
		for _, r := range list {
			found[r.Old.Path] = append(found[r.Old.Path], replacement{r, file, dir})
		}
	}
	if p.work != nil {
		add(path.Join(p.work.dir, "go.work"), p.work.dir, p.work.file.Replace)
	}
	for _, m := range p.mainModules() {
		add(m.name(), m.dir, m.file.Replace)
	}
	return found
}

// replaced returns the directive that applies to a requirement; one that names
// the version comes before one for all.
func replaced(all map[string][]replacement, r *modfile.Require) (replacement, bool) {
	for _, version := range []string{r.Mod.Version, ""} {
		for _, c := range all[r.Mod.Path] {
			if c.Old.Version == version {
				return c, true
			}
		}
	}
	return replacement{}, false
}

// loadReplaced reads the modules that replace directives with a path point to.
// What no module requires is left alone, as Go does.
func (p *project) loadReplaced() spec.Problems {
	if p.vendored != "" {
		return nil
	}
	var problems spec.Problems
	all := p.replacements()
	done := map[string]bool{}
	for _, m := range p.allModules() {
		done[m.dir] = true
	}
	for queue := p.allModules(); len(queue) > 0; queue = queue[1:] {
		for _, r := range queue[0].file.Require {
			c, ok := replaced(all, r)
			if !ok || c.New.Version != "" {
				continue
			}
			dir, ok := app.InContext(c.dir, c.New.Path)
			if !ok {
				problems = append(problems, lineProblem(c.file, c.Syntax,
					fmt.Sprintf("%s is replaced by %s, which is outside of the build context", r.Mod.Path, c.New.Path),
					"build from a folder that holds both, and name this project's folder there with dir:, or require a published version"))
				delete(all, r.Mod.Path)
				continue
			}
			if done[dir] {
				continue
			}
			done[dir] = true
			other, found := p.loadModule(dir)
			problems = append(problems, found...)
			if other == nil {
				if len(found) == 0 {
					problems = append(problems, lineProblem(c.file, c.Syntax,
						fmt.Sprintf("%s is replaced by %s, but there is no %s", r.Mod.Path, c.New.Path, path.Join(dir, "go.mod")),
						"check the path, and that .dockerignore does not exclude it"))
				}
				continue
			}
			p.others = append(p.others, other)
			queue = append(queue, other)
		}
	}
	return problems
}

// external returns the requirements that have to be downloaded, by module path.
// A module of the workspace is among them when another requires it and nothing
// replaces it: Go asks for that version's go.mod all the same.
func (p *project) external() map[string]*modfile.Require {
	all := p.replacements()
	found := map[string]*modfile.Require{}
	for _, m := range p.allModules() {
		for _, r := range m.file.Require {
			if c, ok := replaced(all, r); ok && c.New.Version == "" {
				continue
			}
			if _, ok := found[r.Mod.Path]; !ok {
				found[r.Mod.Path] = r
			}
		}
	}
	return found
}

// checkRequirements reports requirements that go mod download could not satisfy.
func (p *project) checkRequirements() spec.Problems {
	if p.vendored != "" {
		return nil
	}
	var problems spec.Problems
	external := p.external()
	var workSum []byte
	if p.work != nil {
		name := path.Join(p.work.dir, "go.work.sum")
		var err error
		if workSum, err = p.files.Read(name); err != nil {
			problems = append(problems, app.Unreadable(name, err))
		}
	}
	all := p.replacements()
	for _, m := range p.mainModules() {
		download := false
		for _, r := range m.file.Require {
			if _, ok := external[r.Mod.Path]; !ok {
				continue
			}
			_, isReplaced := replaced(all, r)
			if !isReplaced && unpublished(r.Mod.Version) && !bytes.Contains(m.sum, []byte(r.Mod.Path+" "+r.Mod.Version+" ")) {
				problems = append(problems, lineProblem(m.name(), r.Syntax,
					fmt.Sprintf("%s %s is not a published version", r.Mod.Path, r.Mod.Version), p.siblingHint(m, r)))
				continue
			}
			download = true
		}
		if download && m.sum == nil && workSum == nil {
			problems = append(problems, app.FileProblem(m.name(),
				fmt.Sprintf("there is no %s, which holds the checksums of the required modules", path.Join(m.dir, "go.sum")),
				"run go mod tidy in "+app.Describe(m.dir)+" and commit go.sum; check that .dockerignore does not exclude it"))
		}
	}
	return problems
}

// unpublished says whether a version is one that go work and go mod edit write
// for a module that only exists on this disk.
func unpublished(version string) bool {
	return version == "v0.0.0" || version == "v0.0.0-00010101000000-000000000000"
}

func (p *project) siblingHint(m *module, r *modfile.Require) string {
	for _, dir := range p.findModules() {
		data, err := p.files.Read(path.Join(dir, "go.mod"))
		if err != nil || modfile.ModulePath(data) != r.Mod.Path {
			continue
		}
		rel := app.Relative(m.dir, dir)
		if !strings.HasPrefix(rel, "..") {
			rel = "./" + rel
		}
		return fmt.Sprintf("it is in %s: add\nreplace %s => %s\nor a go.work that uses both", app.Describe(dir), r.Mod.Path, rel)
	}
	return "if it is a module next to this one, build from a folder that holds both, with dir:, and add\nreplace " + r.Mod.Path + " => ../DIR"
}

// lineProblem is an error at a line of go.mod or go.work.
func lineProblem(file string, line *modfile.Line, message, hint string) spec.Problem {
	pr := app.FileProblem(file, message, hint)
	pr.Range = lineRange(line)
	return pr
}

// lineRange takes columns in runes for columns in bytes: modfile counts runes,
// and what stands before a directive is white space.
func lineRange(line *modfile.Line) spec.Range {
	if line == nil {
		return spec.Range{}
	}
	width := line.End.Byte - line.Start.Byte
	return spec.Range{
		Start: spec.Position{Line: line.Start.Line, Column: line.Start.LineRune},
		End:   spec.Position{Line: line.Start.Line, Column: line.Start.LineRune + width},
	}
}

// syntaxProblems turns the errors of modfile into problems.
func syntaxProblems(name string, data []byte, err error) spec.Problems {
	var list modfile.ErrorList
	if !errors.As(err, &list) || len(list) == 0 {
		return spec.Problems{app.FileProblem(name, err.Error(), "")}
	}
	lines := strings.Split(string(data), "\n")
	var problems spec.Problems
	for _, e := range list {
		pr := app.FileProblem(name, "", "")
		if line := e.Pos.Line; line > 0 && line <= len(lines) {
			text := strings.TrimRight(lines[line-1], " \t\r")
			column := byteColumn(text, e.Pos.LineRune)
			pr.Range = spec.Range{Start: spec.Position{Line: line, Column: column}, End: spec.Position{Line: line, Column: max(len(text)+1, column+1)}}
		}
		switch {
		case e.ModPath != "":
			pr.Message = fmt.Sprintf("%s %s: %v", e.Verb, e.ModPath, e.Err)
		case e.Verb != "":
			pr.Message = fmt.Sprintf("%s: %v", e.Verb, e.Err)
		default:
			pr.Message = e.Err.Error()
		}
		// Usages have line ends in them.
		pr.Message = strings.Join(strings.Fields(pr.Message), " ")
		problems = append(problems, pr)
	}
	return problems
}

// byteColumn turns a column in runes into one in bytes, both from 1.
func byteColumn(line string, column int) int {
	at := 0
	for i := 1; i < column && at < len(line); i++ {
		_, size := utf8.DecodeRuneInString(line[at:])
		at += size
	}
	return at + 1
}
