package java

import (
	"archive/zip"
	"fmt"
	"io"
	"path"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/birdhouse-build/birdhouse/steps/java/classfile"
	"github.com/birdhouse-build/birdhouse/steps/java/jimage"
)

// findings are what the code of the whole program says.
type findings struct {
	// modules are the modules of the JDK that the code refers to, each with a place
	// that does: "com.example.Main, for java.sql.Driver".
	modules map[string]string
	// requires are the modules that descriptions of modules name, in order.
	requires []requirement
	// provided are the names of modules that are on the class path.
	provided map[string]bool
	// libraries says that there is code of others, reflective that the program's own
	// looks for classes by name.
	libraries, reflective bool
	// tls says that encrypted connections are made, zipfs that file systems are.
	tls, fileSystems bool
	// preview says that the program's own code has features of a preview.
	preview bool
	// mains are the classes of the module that is built, and others those of the
	// project's other modules, which have a main method of the old kind; instance
	// those of both with one of the new.
	mains, others, instance []string
	// own are the program's own classes, by name as com.example.Main.
	own map[string]ownClass
	// count is how many classes the built module has.
	count int
	// skipped says that something in a library was not read, which each build tells.
	skipped bool
}

// requirement is a module that the module By requires; own says that the program has By.
type requirement struct {
	Module string `json:"module"`
	By     string `json:"by"`
	own    bool
}

type ownClass struct {
	main, inherits bool
	major          int
}

// look reads all classes of the program, several archives at once.
func (r *run) look() (*findings, error) {
	results := make([]*findings, len(r.units))
	errs := make([]error, len(r.units))
	var wg sync.WaitGroup
	next := make(chan int)
	for range min(runtime.GOMAXPROCS(0), 8) {
		wg.Go(func() {
			for i := range next {
				results[i], errs[i] = r.lookOnce(r.units[i])
			}
		})
	}
	for i := range r.units {
		next <- i
	}
	close(next)
	wg.Wait()
	all := newFindings()
	for i, u := range r.units {
		if errs[i] != nil {
			return nil, errs[i]
		}
		all.add(results[i])
		all.libraries = all.libraries || !u.own
	}
	return all, nil
}

func newFindings() *findings {
	return &findings{modules: map[string]string{}, provided: map[string]bool{}, own: map[string]ownClass{}}
}

// add adds what was found in an archive further down the class path.
func (f *findings) add(o *findings) {
	for m, by := range o.modules {
		if f.modules[m] == "" {
			f.modules[m] = by
		}
	}
	for m := range o.provided {
		f.provided[m] = true
	}
	for name, c := range o.own {
		if _, has := f.own[name]; !has {
			f.own[name] = c
		}
	}
	f.requires = append(f.requires, o.requires...)
	f.reflective = f.reflective || o.reflective
	f.tls = f.tls || o.tls
	f.fileSystems = f.fileSystems || o.fileSystems
	f.preview = f.preview || o.preview
	f.mains = append(f.mains, o.mains...)
	f.others = append(f.others, o.others...)
	f.instance = append(f.instance, o.instance...)
	f.count += o.count
}

// versioned splits the path of a class for one version of Java and newer ones:
// META-INF/versions/17/com/example/Main.class.
func versioned(name string) (version int, rest string, ok bool) {
	name, ok = strings.CutPrefix(name, "META-INF/versions/")
	number, rest, found := strings.Cut(name, "/")
	version, err := strconv.Atoi(number)
	return version, rest, ok && found && rest != "" && err == nil
}

// code are the entries that Java of a version loads, by the name that it looks for.
func (u unit) code(java int) []namedEntry {
	var list []namedEntry
	multi := strings.EqualFold(u.jar.manifest.get("Multi-Release"), "true")
	newest := map[string]int{}
	at := map[string]int{}
	for _, e := range u.jar.entries {
		name, ok := strings.CutPrefix(e.Name, u.dir)
		if !ok || isDir(e) {
			continue
		}
		version := 0
		if v, rest, ok := versioned(name); ok {
			if !multi || v > java {
				continue
			}
			version, name = v, rest
		}
		i, has := at[name]
		switch {
		case !has:
			at[name] = len(list)
			list = append(list, namedEntry{name, e})
		case version > newest[name]:
			list[i].File = e
		default:
			continue
		}
		newest[name] = version
	}
	return list
}

type namedEntry struct {
	name string
	*zip.File
}

// looker looks at one archive.
type looker struct {
	*findings
	unit   unit
	jdk    *jimage.Image
	java   int
	oldest int
	// newer is a class of the oldest version that is too new.
	newer string
	// buffer has the class that is looked at.
	buffer []byte
}

// lookOnce looks at one archive, unless an earlier build did.
func (r *run) lookOnce(u unit) (*findings, error) {
	id, err := r.known.id(u)
	if err != nil {
		return nil, err
	}
	if id == "" {
		return r.lookAt(u)
	}
	if f := r.known.find(id); f != nil {
		return f, nil
	}
	f, err := r.lookAt(u)
	if err == nil && !f.skipped {
		r.known.add(id, f)
	}
	return f, err
}

// lookAt looks at one archive.
func (r *run) lookAt(u unit) (*findings, error) {
	l := &looker{findings: newFindings(), unit: u, jdk: r.jdk, java: r.spec.Java}
	for _, e := range u.code(r.spec.Java) {
		if service, ok := strings.CutPrefix(e.name, "META-INF/services/"); ok {
			l.refers(l.jdk.ModuleOf(service), e.name, service)
			continue
		}
		if path.Ext(e.name) != ".class" || strings.HasPrefix(e.name, "META-INF/") {
			continue
		}
		c, err := l.parse(e)
		if err == nil {
			err = r.class(l, c)
		} else if !u.own {
			// A library may have what only looks like a class.
			r.note("warning: %s in the library %s is no class: %v", e.name, u.jar.name, err)
			l.skipped = true
			continue
		} else {
			err = fmt.Errorf("reading the class %s in %s: %w", e.name, u.jar.name, err)
		}
		if err != nil {
			return nil, err
		}
	}
	if name := u.jar.manifest.get("Automatic-Module-Name"); name != "" {
		l.provided[name] = true
	}
	l.provided[derivedModule(u.jar.name)] = true
	if l.oldest > classfile.Major(r.spec.Java) {
		return nil, r.tooNew(u, l.newer, l.oldest)
	}
	return l.findings, nil
}

// parse reads a class into the looker's buffer.
func (l *looker) parse(e namedEntry) (*classfile.Class, error) {
	if e.UncompressedSize64 > maxClass {
		return nil, fmt.Errorf("it has %d bytes, more than a class can have", e.UncompressedSize64)
	}
	f, err := e.Open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	// One byte more, so that the end is seen, and the checksum compared.
	size := int(e.UncompressedSize64) + 1
	l.buffer = slices.Grow(l.buffer[:0], size)[:size]
	n, err := io.ReadFull(f, l.buffer)
	if err != io.ErrUnexpectedEOF && err != io.EOF {
		if err == nil {
			err = zip.ErrFormat
		}
		return nil, err
	}
	return classfile.Parse(l.buffer[:n])
}

// refers notes a module.
func (l *looker) refers(module, from, to string) {
	if module != "" && module != "java.base" && l.modules[module] == "" {
		l.modules[module] = fmt.Sprintf("%s, for %s", dotted(strings.TrimSuffix(from, ".class")), dotted(to))
	}
}

// dotted is the name of a class as people write it.
func dotted(name string) string { return strings.ReplaceAll(name, "/", ".") }

// class notes what a class says.
func (r *run) class(l *looker, c *classfile.Class) error {
	u := l.unit
	if c.Module != nil {
		l.provided[c.Module.Name] = true
		for _, m := range c.Module.Requires {
			l.requires = append(l.requires, requirement{m, c.Module.Name, u.own})
		}
		return nil
	}
	if l.oldest == 0 || c.Major < l.oldest {
		l.oldest, l.newer = c.Major, c.Name
	}
	if u.own {
		if err := r.ownClass(l, c); err != nil {
			return err
		}
	}
	c.References(func(name []byte) {
		m := l.jdk.Module(name)
		switch {
		case m == "":
		case m != "java.base":
			if l.modules[m] == "" {
				l.refers(m, c.Name, string(name))
			}
			l.tls = l.tls || m == "java.net.http"
		case l.reflective && l.tls && l.fileSystems:
		case hasPrefix(name, "javax/net/ssl/") || string(name) == "java/net/URL":
			l.tls = true
		case string(name) == "java/nio/file/FileSystems":
			l.fileSystems = true
		case u.own && (hasPrefix(name, "java/lang/reflect/") || string(name) == "java/util/ServiceLoader"):
			l.reflective = true
		}
	})
	if u.own && !l.reflective && c.Calls("java/lang/Class", "forName") {
		l.reflective = true
	}
	c.Strings(func(text []byte) {
		if len(text) > 256 || len(text) < 5 || !slices.ContainsFunc(text, func(b byte) bool { return b == '.' || b == '/' }) {
			return
		}
		if m := l.jdk.ModuleOf(string(text)); m != "" && !slices.Contains(developers, m) {
			l.refers(m, c.Name, string(text))
		}
	})
	return nil
}

// developers are modules of tools. A text that names a class of them is no use of it:
// frameworks name what native programs are to leave out.
var developers = []string{"jdk.compiler", "jdk.jartool", "jdk.javadoc", "jdk.jconsole", "jdk.jdeps", "jdk.jdi", "jdk.jlink", "jdk.jshell"}

func hasPrefix(name []byte, prefix string) bool {
	return len(name) >= len(prefix) && string(name[:len(prefix)]) == prefix
}

// ownClass notes main methods, and checks the version.
func (r *run) ownClass(l *looker, c *classfile.Class) error {
	u, name := l.unit, dotted(c.Name)
	l.own[name] = ownClass{main: c.Main || c.InstanceMain && r.spec.Java >= 25, inherits: c.Super != "java/lang/Object", major: c.Major}
	switch {
	case u.first && c.Main:
		l.mains = append(l.mains, name)
	case c.Main:
		l.others = append(l.others, name)
	case c.InstanceMain && r.spec.Java >= 25:
		l.instance = append(l.instance, name)
	}
	if u.first {
		l.count++
	}
	if u.whole {
		return nil // code of others is among it
	}
	if c.Major > classfile.Major(r.spec.Java) {
		return r.tooNew(u, c.Name, c.Major)
	}
	if c.Preview {
		if c.Major != classfile.Major(r.spec.Java) {
			return fmt.Errorf("the class %s in %s has features of Java %d in preview, which no other version runs, and the image has Java %d: compile it without --enable-preview, or write the `version` that it is for", name, u.jar.name, classfile.Java(c.Major), r.spec.Java)
		}
		l.preview = true
	}
	return nil
}

// tooNew is the error of a class that the image's Java does not read.
func (r *run) tooNew(u unit, class string, major int) error {
	what := "the class " + dotted(class) + " in " + u.jar.name
	way := fmt.Sprintf("use a release of the library that is for Java %d", r.spec.Java)
	switch {
	case !u.own:
		what = fmt.Sprintf("the library %s (%s in it)", u.jar.name, dotted(class))
	case r.spec.Built == "":
		way = fmt.Sprintf("take a jar that is for Java %d", r.spec.Java)
	case path.Base(r.spec.Built) == "target":
		way = fmt.Sprintf("have the build make classes for Java %d: <maven.compiler.release>%d</maven.compiler.release> in the pom's <properties>", r.spec.Java, r.spec.Java)
	default:
		way = fmt.Sprintf("have the build make classes for Java %d: options.release = %d", r.spec.Java, r.spec.Java)
	}
	return fmt.Errorf("%s is for Java %d, and the image has Java %d: write `version: \"%d\"`, or %s", what, classfile.Java(major), r.spec.Java, supported(classfile.Java(major)), way)
}

// supported is the oldest version with long support that runs what is for a version:
// every fourth one since 17.
func supported(java int) int { return max(17, java+(21-java%4)%4) }

// derivedModule is the name that a jar's module has by the name of its file
// (java.lang.module.ModuleFinder.of).
func derivedModule(file string) string {
	name := stem(file)
	for i := 0; i+1 < len(name); i++ {
		if name[i] != '-' {
			continue
		}
		end := i + 1
		for end < len(name) && name[end] >= '0' && name[end] <= '9' {
			end++
		}
		if end > i+1 && (end == len(name) || name[end] == '.') {
			name = name[:i]
			break
		}
	}
	parts := strings.FieldsFunc(name, func(r rune) bool {
		return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z')
	})
	return strings.Join(parts, ".")
}
