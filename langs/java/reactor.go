package java

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// reactor are the poms that Maven builds together.
type reactor struct {
	project *project
	// top is the pom that Maven is started with, which has the folder .mvn beside it.
	top *pom
	// poms are all in the reactor, top first, in the order in which they are named.
	poms []*pom
	// app is the one whose program is the image's, and source where that comes from.
	app    *pom
	source string
	// read are all poms that were read, by their files.
	read map[string]*pom
	// given and profiles are as in pom.
	given    map[string]string
	profiles []string
}

// maxPoms bounds how many poms are read.
const maxPoms = 2000

// loadMaven reads the poms and chooses one.
func (p *project) loadMaven() (*reactor, spec.Problems) {
	r := &reactor{project: p, read: map[string]*pom{}}
	own, problems := r.pomAt(path.Join(p.dir, "pom.xml"))
	if problems.HasErrors() {
		return nil, problems
	}
	// Maven starts in the folder furthest up that has this one as a module.
	r.top = own
	for dir := p.dir; dir != "."; {
		dir = path.Dir(dir)
		file := path.Join(dir, "pom.xml")
		if !p.files.IsFile(file) {
			continue
		}
		up := &reactor{project: p, read: map[string]*pom{}}
		top, found := up.pomAt(file)
		if found.HasErrors() || up.collect(top).HasErrors() {
			continue // one that has nothing to do with this project may be anything
		}
		if slices.ContainsFunc(up.poms, func(one *pom) bool { return one.file == own.file }) {
			r.top = top
		}
	}
	r.read = map[string]*pom{}
	if problems = r.configure(path.Dir(r.top.file)); problems.HasErrors() {
		return nil, problems
	}
	top, problems := r.pomAt(r.top.file)
	if problems.HasErrors() {
		return nil, problems
	}
	r.top = top
	if problems = r.collect(top); problems.HasErrors() {
		return nil, problems
	}
	problems = append(problems, r.choose(own.file)...)
	if problems.HasErrors() {
		return nil, problems
	}
	return r, append(problems, r.check()...)
}

// configure reads what counts before the poms: the descriptor, and .mvn/maven.config
// (https://maven.apache.org/configure.html).
func (r *reactor) configure(dir string) spec.Problems {
	r.given = map[string]string{}
	name := path.Join(dir, ".mvn", "maven.config")
	data, err := r.project.files.Read(name)
	if err != nil {
		return spec.Problems{app.Unreadable(name, err)}
	}
	words := strings.Fields(string(data))
	for i, word := range words {
		next := ""
		if i+1 < len(words) {
			next = words[i+1]
		}
		switch {
		case word == "-P" || word == "--activate-profiles":
			r.profiles = append(r.profiles, strings.Split(next, ",")...)
		case strings.HasPrefix(word, "-P"):
			r.profiles = append(r.profiles, strings.Split(word[2:], ",")...)
		case strings.HasPrefix(word, "-D"):
			if key, value, ok := strings.Cut(word[2:], "="); ok {
				r.given[key] = value
			}
		}
	}
	r.profiles = append(r.profiles, r.project.spec.Build.Profiles...)
	for key, value := range r.project.spec.Build.Properties {
		r.given[key] = value
	}
	return nil
}

// pomAt reads a pom, and those that it inherits from.
func (r *reactor) pomAt(file string) (*pom, spec.Problems) { return r.pomWithin(file, 0) }

func (r *reactor) pomWithin(file string, depth int) (*pom, spec.Problems) {
	if p := r.read[file]; p != nil {
		return p, nil
	}
	data, err := r.project.files.Read(file)
	if err != nil {
		return nil, spec.Problems{app.Unreadable(file, err)}
	}
	if data == nil {
		return nil, spec.Problems{app.FileProblem(file, "there is no such file", "check that .dockerignore does not exclude it")}
	}
	p, problems := parsePom(file, data)
	if problems.HasErrors() {
		return nil, problems
	}
	p.given, p.profiles = r.given, r.profiles
	r.read[file] = p
	up, problems := r.parentOf(p, depth)
	p.parent = up
	return p, problems
}

// parentOf finds the pom that one inherits from, where it is in the context: the one that
// relativePath leads to. Another is Maven's to find.
func (r *reactor) parentOf(p *pom, depth int) (*pom, spec.Problems) {
	e := p.root.get("parent")
	if e == nil {
		return nil, nil
	}
	relative := "../pom.xml"
	said := e.get("relativePath")
	if said != nil {
		if relative = said.text; relative == "" {
			return nil, nil
		}
	}
	file, ok := app.InContext(p.dir, relative)
	if ok && r.project.files.IsDir(file) {
		file = path.Join(file, "pom.xml")
	}
	if !ok || !r.project.files.IsFile(file) {
		if said != nil && e.get("version").string() == "" {
			return nil, spec.Problems{p.problem(said, fmt.Sprintf("there is no %s, the parent of this pom", path.Join(p.dir, relative)), "the parent must be in the build context: build with a folder further up as context and write dir:")}
		}
		return nil, nil
	}
	if depth > maxParents {
		return nil, spec.Problems{p.problem(e, "the chain of parents has no end", "")}
	}
	up, problems := r.pomWithin(file, depth+1)
	if problems.HasErrors() {
		return nil, problems
	}
	if up == p || up.artifactID() != e.get("artifactId").string() {
		return nil, nil // a neighbour that is no parent
	}
	for _, at := range up.chain() {
		if at == p {
			return nil, spec.Problems{p.problem(e, fmt.Sprintf("%s and %s are each other's parents", p.file, up.file), "")}
		}
	}
	return up, nil
}

// collect reads the modules below a pom.
func (r *reactor) collect(p *pom) spec.Problems {
	if slices.Contains(r.poms, p) {
		return nil
	}
	r.poms = append(r.poms, p)
	var problems spec.Problems
	for _, e := range p.modules() {
		name := p.value(e)
		file, ok := app.InContext(p.dir, name)
		if ok && r.project.files.IsDir(file) {
			file = path.Join(file, "pom.xml")
		}
		if !ok || name == "" || !r.project.files.IsFile(file) {
			problems = append(problems, p.problem(e, fmt.Sprintf("there is no module %s: %s is not in the build context", e.text, path.Join(p.dir, name, "pom.xml")), "correct the name, and check that .dockerignore does not exclude it"))
			continue
		}
		if len(r.poms) >= maxPoms {
			return append(problems, p.problem(e, fmt.Sprintf("there are more than %d modules", maxPoms), "build with a folder further down as context"))
		}
		module, found := r.pomAt(file)
		problems = append(problems, found...)
		if module != nil && !found.HasErrors() {
			problems = append(problems, r.collect(module)...)
		}
	}
	return problems
}

// programs are the poms whose result may be a program: all but those that only hold others
// together.
func (r *reactor) programs() []*pom {
	var found []*pom
	for _, p := range r.poms {
		if p.packaging() != "pom" {
			found = append(found, p)
		}
	}
	return found
}

// choose decides which module is built: the one that package names, the one in dir, or the
// only one that says that it is a program.
func (r *reactor) choose(own string) spec.Problems {
	s := r.project.spec
	if len(s.Package) == 1 {
		return r.chooseNamed(s.Package[0])
	}
	dirs := r.programs()
	if own != r.top.file || len(r.poms) == 1 {
		r.app, r.source = r.read[own], s.Where("dir")
		if own == r.top.file {
			r.source = own
		}
		if r.app.packaging() == "pom" {
			return spec.Problems{r.app.problem(r.app.root.get("packaging"), "this pom makes no jar: its packaging is pom", "name a module that makes one: package: :NAME")}
		}
		return nil
	}
	if len(dirs) == 1 {
		r.app, r.source = dirs[0], "the only module that makes a jar"
		return nil
	}
	var able []*pom
	for _, p := range dirs {
		if len(p.mains()) > 0 || p.uses(bootPlugin) || p.uses(quarkusPlugin) {
			able = append(able, p)
		}
	}
	if len(able) == 1 {
		r.app, r.source = able[0], "the only module that says how it is started"
		return nil
	}
	what := fmt.Sprintf("there are %d modules that could be the program, and nothing says which one to build", len(able))
	if len(able) == 0 {
		// What others need is a library.
		for _, p := range dirs {
			if !slices.ContainsFunc(dirs, func(other *pom) bool { return other != p && r.needsDirectly(other, p) }) {
				able = append(able, p)
			}
		}
		if len(able) == 1 {
			r.app, r.source = able[0], "the only module that no other one needs"
			return nil
		}
		what = fmt.Sprintf("there are %d modules, and none says how it is started", len(dirs))
		if len(able) == 0 {
			able = dirs
		}
	}
	if len(able) == 0 {
		return spec.Problems{r.top.problem(r.top.root.get("packaging"), "no module makes a jar: all have the packaging pom", "name the folder of the program with dir:")}
	}
	return spec.Problems{s.Problem("package", what, "add one of\n"+app.Listed(packageLines(r.names(able))))}
}

// names are the modules as `package` has them.
func (r *reactor) names(poms []*pom) []string {
	var names []string
	for _, p := range poms {
		names = append(names, ":"+p.title())
	}
	return names
}

// chooseNamed finds the module of a name: :artifact, group:artifact as Maven has them, or its folder.
func (r *reactor) chooseNamed(name string) spec.Problems {
	s := r.project.spec
	group, artifact, full := strings.Cut(name, ":")
	clean := moduleName(name)
	var found []*pom
	for _, p := range r.poms {
		byName := p.title() == clean || full && p.title() == artifact && (group == "" || p.value(p.root.get("groupId")) == group || p.groupID() == group)
		if byName || path.Join(r.top.dir, clean) == p.dir || path.Join(r.project.dir, clean) == p.dir {
			found = append(found, p)
		}
	}
	switch {
	case len(found) == 0:
		var names []string
		if len(r.poms) > 1 {
			names = r.names(r.programs())
		}
		return noModule(s, name, names)
	case found[0].packaging() == "pom":
		return spec.Problems{s.Problem("package[0]", fmt.Sprintf("package: %s makes no jar: its packaging is pom", name), "name one of its modules:\n"+app.Listed(packageLines(r.names(r.programs()))))}
	}
	r.app, r.source = found[0], s.Where("package")
	return nil
}

// needsDirectly says whether a module depends on another one.
func (r *reactor) needsDirectly(p, other *pom) bool {
	return slices.ContainsFunc(p.dependencies(), func(d dependency) bool {
		return d.runs() && r.is(other, d)
	})
}

// is says whether a dependency is a module of the reactor.
func (r *reactor) is(p *pom, d dependency) bool {
	group, _ := p.expand(p.groupID())
	return d.artifactID == p.title() && d.groupID == group
}

// needed are the modules that the program consists of, but for itself.
func (r *reactor) needed() []*pom {
	var found []*pom
	queue := []*pom{r.app}
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		for _, d := range p.dependencies() {
			if !d.runs() {
				continue
			}
			for _, other := range r.poms {
				if r.is(other, d) && other != r.app && !slices.Contains(found, other) {
					found = append(found, other)
					queue = append(queue, other)
				}
			}
		}
	}
	return found
}

// check reports what Maven would fail at.
func (r *reactor) check() spec.Problems {
	if r.app.packaging() == "ear" || r.app.packaging() == "rar" || r.app.packaging() == "ejb" {
		return spec.Problems{r.app.problem(r.app.root.get("packaging"), fmt.Sprintf("a program of the packaging %s needs an application server, which the images do not have", r.app.packaging()), "make a jar that runs by itself, with Spring Boot or Quarkus")}
	}
	var problems spec.Problems
	for _, l := range r.repositories() {
		if urlPassword.MatchString(l.text) {
			problems = append(problems, writtenSecret(l.in.file, l.element.line, "password", "write the URL without it, and give both as a secret: secrets: [settings.xml], with a server of the repository's id"))
		}
	}
	return append(problems, r.checkGit()...)
}

// urlPassword is a password in a URL.
var urlPassword = regexp.MustCompile(`://[^/@:]*:[^/@$]+@`)
