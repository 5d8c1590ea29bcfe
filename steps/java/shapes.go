package java

import (
	"archive/zip"
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// Where the image has the parts of a program that was taken apart.
const (
	libsDir      = "libs"
	classesDir   = "classes"
	resourcesDir = "resources"
	appJar       = "app.jar"
	appWar       = "app.war"
)

// program is a program that was laid out.
type program struct {
	artifact *artifact
	// classPath is the class path in the image, in order; none for one that is
	// started by -jar.
	classPath []string
	// jar is what -jar names in the image.
	jar string
	// main is the main class that the artifact names itself, and source what says so.
	main, source string
	// fixed says that the main class is one of a framework that starts the program.
	fixed bool
}

func (r *run) layOut(a *artifact) (*program, error) {
	switch a.shape {
	case plain:
		return r.layOutPlain(a)
	case whole:
		return r.layOutWhole(a)
	case boot:
		return r.layOutBoot(a)
	case bootWar:
		return r.layOutBootWar(a)
	case quarkus:
		return r.layOutQuarkus(a)
	}
	return r.layOutDist(a)
}

// inImage is the path that a file of the program has in the image.
func inImage(name string) string { return path.Join(javaspec.Dir, name) }

// snapshot says whether a name has a version that may change: one that says so, or
// that has the time at which it was made, as in 1.0-20251122.101112-3.
func snapshot(name string) bool {
	if strings.Contains(name, "-SNAPSHOT") {
		return true
	}
	const form = "-########.######-#"
	for i := 0; i+len(form) <= len(name); i++ {
		fits := true
		for j := range len(form) {
			digit := name[i+j] >= '0' && name[i+j] <= '9'
			fits = fits && (form[j] == '#' && digit || form[j] == name[i+j])
		}
		if fits {
			return true
		}
	}
	return false
}

// layerOf is the layer of a library.
func (r *run) layerOf(name string, c content) string {
	switch {
	case r.own[c]:
		return javaspec.Modules
	case snapshot(name):
		return javaspec.Snapshots
	}
	return javaspec.Dependencies
}

// unique is the name of a library in the image: two with the same name, of different
// makers, get different ones.
func (r *run) unique(dir, name string) (string, error) {
	if strings.ContainsAny(name, ":\n\r") {
		return "", fmt.Errorf("the library %q cannot be on a class path: its name has a colon or a line break", name)
	}
	free := path.Join(dir, name)
	for n := 2; r.names[free]; n++ {
		free = path.Join(dir, fmt.Sprintf("%s-%d%s", stem(name), n, path.Ext(name)))
	}
	r.names[free] = true
	return free, nil
}

// addLibrary puts a library of the build's file system into its layer, and returns
// the path in it.
func (r *run) addLibrary(file, name string, c content) error {
	layer := r.layerOf(path.Base(file), c)
	return r.placeLibrary(layer, name, func(to string) error { return r.out.copy(layer, to, file) })
}

// placeLibrary has put write a library to a layer. It opens it there, writes it as it
// would be wherever it was built if it is the project's own, and notes its code.
func (r *run) placeLibrary(layer, name string, put func(to string) error) error {
	to := name
	if layer == javaspec.Modules {
		to += ".unsorted"
	}
	if err := put(to); err != nil {
		return err
	}
	file := r.out.path(layer, to)
	j, err := openJar(file, path.Base(name))
	if err != nil {
		return err
	}
	if layer == javaspec.Modules {
		err := r.out.normal(layer, name, j)
		j.Close()
		if err == nil {
			err = os.Remove(file)
		}
		if err != nil {
			return err
		}
		if j, err = openJar(r.out.path(layer, name), path.Base(name)); err != nil {
			return err
		}
	}
	r.units = append(r.units, unit{jar: j, own: layer == javaspec.Modules})
	return nil
}

// layOutPlain takes a jar with the program's own classes apart.
func (r *run) layOutPlain(a *artifact) (*program, error) {
	p := &program{artifact: a, main: a.jar.manifest.get("Main-Class"), source: "the manifest of " + a.name}
	if err := r.explode(p, a.jar, "", func(e *zip.File) bool { return true }); err != nil {
		return nil, err
	}
	for _, lib := range a.classPath {
		if err := r.addToClassPath(p, lib); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// addToClassPath adds a library, or a folder of classes that a build has made of one
// of the project's modules.
func (r *run) addToClassPath(p *program, lib string) error {
	info, err := os.Stat(lib)
	if err != nil {
		return fmt.Errorf("the library %s is on the class path, and is not there: %w", r.label(lib), err)
	}
	if !info.IsDir() {
		if ext := path.Ext(lib); ext != ".jar" {
			r.note("%s is on the class path, and is no jar: it is left out", path.Base(lib))
			return nil
		}
		name, err := r.unique(libsDir, path.Base(lib))
		if err != nil {
			return err
		}
		c, err := contentOf(lib)
		if err != nil {
			return err
		}
		p.classPath = append(p.classPath, inImage(name))
		return r.addLibrary(lib, name, c)
	}
	module := path.Base(strings.TrimSuffix(strings.TrimSuffix(lib, "/classes"), "/target"))
	name, err := r.unique(libsDir, module+".jar")
	if err != nil {
		return err
	}
	p.classPath = append(p.classPath, inImage(name))
	return r.placeLibrary(javaspec.Modules, name, func(to string) error {
		return r.out.write(javaspec.Modules, to, func(w io.Writer) error { return archive(w, lib) })
	})
}

// archive writes a folder as a jar.
func archive(w io.Writer, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	z := zip.NewWriter(w)
	err = fs.WalkDir(root.FS(), ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		to, err := z.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Deflate})
		if err != nil {
			return err
		}
		f, err := root.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(to, f)
		return err
	})
	if err != nil {
		return err
	}
	return z.Close()
}

// leftOut are entries that serve the archive and not the program.
func leftOut(name string) bool {
	return signature(name) || name == "META-INF/INDEX.LIST" || strings.HasPrefix(name, "META-INF/maven/")
}

// explode writes the program's own classes and resources: those below dir, and what
// else is in META-INF. With an archive of what was learnt they are one jar.
func (r *run) explode(p *program, j *jar, dir string, mine func(e *zip.File) bool) error {
	r.options = append(r.options, r.manifestOptions(j.manifest)...)
	r.units = append(r.units, unit{jar: j, dir: dir, own: true, first: true})
	called := func(name string) string {
		switch rest, ok := strings.CutPrefix(name, dir); {
		case leftOut(name):
			return ""
		case ok && rest != "":
			return rest
		case strings.HasPrefix(name, "META-INF/"):
			return name
		}
		return ""
	}
	entries := slices.DeleteFunc(slices.Clone(j.entries), func(e *zip.File) bool { return !mine(e) })
	if r.spec.AOT {
		p.classPath = append(p.classPath, inImage(appJar))
		return r.out.write(javaspec.Classes, appJar, func(w io.Writer) error { return writeJar(w, entries, called) })
	}
	hasClasses, hasResources := false, false
	seen := map[string]bool{}
	for _, e := range entries {
		name := called(e.Name)
		if name == "" || isDir(e) || seen[name] {
			continue
		}
		seen[name] = true
		layer, to := javaspec.Resources, path.Join(resourcesDir, name)
		if strings.HasSuffix(name, ".class") {
			layer, to = javaspec.Classes, path.Join(classesDir, name)
			hasClasses = true
		} else {
			hasResources = true
		}
		if err := r.out.unpack(layer, to, e); err != nil {
			return fmt.Errorf("unpacking %s: %w", j.name, err)
		}
	}
	if hasResources {
		p.classPath = append(p.classPath, inImage(resourcesDir))
	}
	if hasClasses {
		p.classPath = append(p.classPath, inImage(classesDir))
	}
	return nil
}

// manifestOptions are the attributes of a manifest that Java reads of what -jar names
// alone, as options.
func (r *run) manifestOptions(m manifest) []string {
	var options []string
	for _, attr := range []struct{ name, option string }{{"Add-Exports", "--add-exports"}, {"Add-Opens", "--add-opens"}} {
		for what := range strings.FieldsSeq(m.get(attr.name)) {
			options = append(options, attr.option, what+"=ALL-UNNAMED")
		}
	}
	if m.get("Enable-Native-Access") != "" && r.spec.Java >= 22 {
		options = append(options, "--enable-native-access=ALL-UNNAMED")
	}
	return options
}

// layOutWhole copies a program that is one file.
func (r *run) layOutWhole(a *artifact) (*program, error) {
	to := appJar
	if strings.EqualFold(path.Ext(a.jar.file), ".war") {
		to = appWar
	}
	p := &program{artifact: a, jar: inImage(to), main: a.jar.manifest.get("Main-Class"), source: "the manifest of " + a.name}
	p.fixed = strings.HasPrefix(p.main, bootLoader)
	if a.readyMade {
		if err := r.out.copy(javaspec.Classes, to, a.jar.file); err != nil {
			return nil, err
		}
	} else {
		if err := r.out.normal(javaspec.Classes, to, a.jar); err != nil {
			return nil, err
		}
		r.note("warning: %s has its libraries in it, so that the program and they are one layer: every edit makes all of it anew. A plain jar would have them in a layer of their own", a.name)
	}
	r.units = append(r.units, unit{jar: a.jar, own: true, first: true, whole: true})
	return p, r.nested(a.jar)
}

// nested notes the code of jars in a jar or war that is not taken apart.
func (r *run) nested(j *jar) error {
	for _, e := range j.entries {
		if path.Ext(e.Name) != ".jar" || isDir(e) {
			continue
		}
		content, err := readEntry(e, maxNested)
		if err != nil {
			return fmt.Errorf("reading %s: %w", j.name, err)
		}
		inner, err := readJar(bytes.NewReader(content), int64(len(content)), path.Base(e.Name))
		if err != nil {
			return fmt.Errorf("reading %s in %s: %w", e.Name, j.name, err)
		}
		r.units = append(r.units, unit{jar: inner})
	}
	if j.has("WEB-INF/classes/") {
		r.units = append(r.units, unit{jar: &jar{name: j.name, entries: j.entries, by: j.by, manifest: j.manifest}, dir: "WEB-INF/classes/", own: true, first: true})
	}
	return nil
}

// contentOfEntry is that of an entry, as its archive's directory has it.
func contentOfEntry(e *zip.File) content { return content{int64(e.UncompressedSize64), e.CRC32} }

// layOutBoot takes a Spring Boot jar apart: its libraries in the order in which its
// loader has them, and its classes. The loader is not needed then.
func (r *run) layOutBoot(a *artifact) (*program, error) {
	j := a.jar
	p := &program{artifact: a, main: j.manifest.get("Start-Class"), source: "Start-Class in the manifest of " + a.name}
	own := func(e *zip.File) bool {
		// Services in the jar's own META-INF are the loader's.
		return strings.HasPrefix(e.Name, "BOOT-INF/classes/") || strings.HasPrefix(e.Name, "META-INF/") && !strings.HasPrefix(e.Name, "META-INF/services/")
	}
	if err := r.explode(p, j, "BOOT-INF/classes/", own); err != nil {
		return nil, err
	}
	index, err := readIndex(j.by["BOOT-INF/classpath.idx"])
	if err != nil {
		return nil, err
	}
	layers, err := readIndex(j.by["BOOT-INF/layers.idx"])
	if err != nil {
		return nil, err
	}
	var libs []*zip.File
	listed := map[string]bool{}
	for _, line := range index {
		if e := j.by[line.value]; e != nil && !listed[e.Name] {
			listed[e.Name] = true
			libs = append(libs, e)
		}
	}
	for _, e := range j.entries {
		name := path.Base(e.Name)
		if path.Dir(e.Name) == "BOOT-INF/lib" && !isDir(e) && !listed[e.Name] && !strings.HasPrefix(name, "spring-boot-jarmode-") {
			libs = append(libs, e)
		}
	}
	for _, e := range libs {
		name, err := r.unique(libsDir, path.Base(e.Name))
		if err != nil {
			return nil, err
		}
		p.classPath = append(p.classPath, inImage(name))
		if err := r.addEntry(e, name, layers); err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", a.name, err)
		}
	}
	return p, nil
}

// addEntry adds a library that is in an archive.
func (r *run) addEntry(e *zip.File, name string, index []indexLine) error {
	layer := r.layerOf(path.Base(e.Name), contentOfEntry(e))
	if layer == javaspec.Dependencies {
		layer = indexed(index, e.Name)
	}
	return r.placeLibrary(layer, name, func(to string) error { return r.out.unpack(layer, to, e) })
}

// indexed is the layer of a library after layers.idx.
func indexed(index []indexLine, name string) string {
	for _, line := range index {
		if name != line.value && (!strings.HasSuffix(line.value, "/") || !strings.HasPrefix(name, line.value)) {
			continue
		}
		switch line.key {
		case "snapshot-dependencies":
			return javaspec.Snapshots
		case "application":
			return javaspec.Modules
		}
		break
	}
	return javaspec.Dependencies
}

// indexLine is an item of a list, and the key that the list has in the mapping.
type indexLine struct{ key, value string }

// readIndex reads classpath.idx and layers.idx, lists in a very small part of YAML:
// - "key": and - "value", https://docs.spring.io/spring-boot/specification/executable-jar/nested-jars.html.
func readIndex(e *zip.File) ([]indexLine, error) {
	if e == nil {
		return nil, nil
	}
	text, err := readEntry(e, 16<<20)
	if err != nil {
		return nil, err
	}
	var lines []indexLine
	key := ""
	scanner := bufio.NewScanner(bytes.NewReader(text))
	scanner.Buffer(nil, 1<<20)
	for scanner.Scan() {
		item, ok := strings.CutPrefix(strings.TrimSpace(scanner.Text()), "- ")
		if !ok {
			continue
		}
		if name, ok := strings.CutSuffix(item, ":"); ok {
			key = strings.Trim(name, `"`)
			continue
		}
		lines = append(lines, indexLine{key, strings.Trim(item, `"`)})
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	return lines, nil
}

// layOutBootWar unpacks a war that Spring Boot starts by itself; everything keeps its
// place, since its loader looks for it there.
func (r *run) layOutBootWar(a *artifact) (*program, error) {
	j := a.jar
	p := &program{artifact: a, classPath: []string{javaspec.Dir}, main: j.manifest.get("Main-Class"), source: "the manifest of " + a.name, fixed: true}
	r.options = append(r.options, r.manifestOptions(j.manifest)...)
	index, err := readIndex(j.by["WEB-INF/layers.idx"])
	if err != nil {
		return nil, err
	}
	for _, e := range j.entries {
		dir := path.Dir(e.Name)
		var err error
		switch {
		case isDir(e) || leftOut(e.Name):
		case path.Ext(e.Name) == ".jar" && (dir == "WEB-INF/lib" || dir == "WEB-INF/lib-provided"):
			err = r.addEntry(e, e.Name, index)
		case strings.HasPrefix(e.Name, strings.ReplaceAll(bootLoader, ".", "/")):
			err = r.out.unpack(javaspec.Dependencies, e.Name, e)
		case path.Ext(e.Name) == ".class":
			err = r.out.unpack(javaspec.Classes, e.Name, e)
		default:
			err = r.out.unpack(javaspec.Resources, e.Name, e)
		}
		if err != nil {
			return nil, fmt.Errorf("unpacking %s: %w", a.name, err)
		}
	}
	r.units = append(r.units, unit{jar: j, dir: "WEB-INF/classes/", own: true, first: true})
	return p, nil
}

// layOutQuarkus copies Quarkus' folder as it is.
func (r *run) layOutQuarkus(a *artifact) (*program, error) {
	p := &program{artifact: a, jar: inImage("quarkus-run.jar"), source: "Quarkus", fixed: true}
	err := walk(a.dir, func(rel, file string) error {
		top, _, _ := strings.Cut(rel, "/")
		switch {
		case rel == "quarkus-app-dependencies.txt" || strings.HasPrefix(rel, "lib/deployment/"):
			return nil
		case path.Ext(rel) != ".jar":
			return r.out.copy(javaspec.Classes, rel, file)
		case top == "lib":
			c, err := contentOf(file)
			if err != nil {
				return err
			}
			return r.addLibrary(file, rel, c)
		}
		j, err := openJar(file, r.label(file))
		if err != nil {
			return err
		}
		r.units = append(r.units, unit{jar: j, own: true, first: top == "app"})
		if rel == "quarkus-run.jar" {
			p.main = j.manifest.get("Main-Class")
			r.options = append(r.options, r.manifestOptions(j.manifest)...)
		}
		return r.out.normal(javaspec.Classes, rel, j)
	})
	if err == nil && p.main == "" {
		err = errors.New("quarkus-run.jar has no Main-Class in its manifest")
	}
	if err != nil {
		return nil, fmt.Errorf("laying out %s: %w", a.name, err)
	}
	return p, nil
}

// walk calls each for the files below dir, in the order of their names.
func walk(dir string, each func(rel, file string) error) error {
	return fs.WalkDir(os.DirFS(dir), ".", func(rel string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil || entry.IsDir():
			return err
		case !entry.Type().IsRegular():
			return fmt.Errorf("%s is not a file: the build may not make links and devices there", rel)
		}
		return each(rel, path.Join(dir, rel))
	})
}

// layOutDist takes apart what Gradle's installDist made: the class path is the script's,
// and of it the jar that the module was built into becomes classes.
func (r *run) layOutDist(a *artifact) (*program, error) {
	s, err := r.readScript(a)
	if err != nil {
		return nil, err
	}
	p := &program{artifact: a, main: s.main, source: "the start script in " + a.name + "/bin"}
	r.options = append(r.options, s.options...)
	var libs []string
	if r.spec.Built != "" {
		if libs, err = candidates(path.Join(r.spec.Built, "libs")); err != nil {
			return nil, err
		}
	}
	own := contents{}
	if err := own.add(libs); err != nil {
		return nil, err
	}
	for i, lib := range s.classPath {
		c, err := contentOf(lib)
		if err != nil {
			return nil, fmt.Errorf("the start script has %s on the class path: %w", path.Base(lib), err)
		}
		if own[c] && a.jar == nil {
			if a.jar, err = openJar(lib, r.label(lib)); err != nil {
				return nil, err
			}
			if err := r.explode(p, a.jar, "", func(e *zip.File) bool { return true }); err != nil {
				return nil, err
			}
			continue
		}
		name, err := r.unique(libsDir, path.Base(lib))
		if err != nil {
			return nil, err
		}
		p.classPath = append(p.classPath, inImage(name))
		if err := r.addLibrary(lib, name, c); err != nil {
			return nil, err
		}
		if i == 0 && !r.spec.AOT && len(own) == 0 {
			// Of a ready-made one, Gradle puts the program first.
			u := &r.units[len(r.units)-1]
			u.own, u.first = true, true
		}
	}
	return p, nil
}
