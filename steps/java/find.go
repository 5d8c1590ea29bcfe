package java

import (
	"archive/zip"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// shape is how what was built is started and taken apart.
type shape int

const (
	// plain is a jar of the program's own classes beside its libraries.
	plain shape = iota
	// whole is a jar or war that has all in it and is started as it is.
	whole
	// boot is a Spring Boot jar, bootWar a war that Spring Boot starts by itself.
	boot
	bootWar
	// quarkus is Quarkus' folder, dist that of Gradle's installDist.
	quarkus
	dist
)

// artifact is what was built.
type artifact struct {
	shape shape
	// name is what messages call it.
	name string
	// jar is the jar or war, dir the folder of those that are one.
	jar *jar
	dir string
	// readyMade says that the build did not make it.
	readyMade bool
	// classPath are the libraries of a plain jar, in order.
	classPath []string
}

func (a *artifact) close() {
	if a.jar != nil {
		a.jar.Close()
	}
}

// label names a file of the build relative to the project.
func (r *run) label(file string) string {
	if rel, err := filepath.Rel(r.spec.Project, file); err == nil && rel != ".." && !strings.HasPrefix(rel, "../") {
		return rel
	}
	return file
}

// find finds what was built.
func (r *run) find() (*artifact, error) {
	if r.spec.File != "" {
		return r.given(r.spec.File)
	}
	dir := r.spec.Built
	if isFile(path.Join(dir, "quarkus-app/quarkus-run.jar")) {
		return r.given(path.Join(dir, "quarkus-app"))
	}
	installed, err := os.ReadDir(path.Join(dir, "install"))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	switch {
	case len(installed) == 1:
		return r.given(path.Join(dir, "install", installed[0].Name()))
	case len(installed) > 1:
		return nil, fmt.Errorf("the build installed %d programs in %s: which one is the image's cannot be told", len(installed), r.label(path.Join(dir, "install")))
	}
	return r.built(dir)
}

func isFile(name string) bool {
	info, err := os.Lstat(name)
	return err == nil && info.Mode().IsRegular()
}

// given looks at what the specification names.
func (r *run) given(file string) (*artifact, error) {
	info, err := os.Stat(file)
	if err != nil {
		return nil, fmt.Errorf("looking for the program: %w", err)
	}
	if path.Base(file) == "quarkus-run.jar" {
		file = path.Dir(file)
		if info, err = os.Stat(file); err != nil {
			return nil, err
		}
	}
	a := &artifact{name: r.label(file), readyMade: r.spec.Built == ""}
	if !info.IsDir() {
		if a.jar, err = openJar(file, a.name); err != nil {
			return nil, err
		}
		return a, r.classify(a)
	}
	a.dir = file
	if isFile(path.Join(file, "quarkus-run.jar")) {
		a.shape = quarkus
		return a, nil
	}
	if libs, _ := filepath.Glob(path.Join(file, "lib/*.jar")); len(libs) > 0 {
		a.shape = dist
		return a, nil
	}
	return nil, fmt.Errorf("%s is neither a Quarkus application (it has no quarkus-run.jar) nor one that Gradle's installDist made (it has no lib/*.jar)", a.name)
}

// notPrograms are the ends of names of what builds make beside the program.
var notPrograms = []string{"-sources", "-javadoc", "-tests", "-test-sources", "-test-fixtures", "-test-javadoc"}

// bundled are the ends of names that are given to jars with all libraries in them.
var bundled = []string{"-jar-with-dependencies", "-shaded", "-all", "-uber", "-fat", "-bundled", "-standalone", "-runner", "-exec", "-boot"}

func hasSuffix(name string, ends []string) bool {
	return slices.ContainsFunc(ends, func(end string) bool { return strings.HasSuffix(name, end) })
}

// stem is the name of a jar or war without extension.
func stem(file string) string {
	return strings.TrimSuffix(path.Base(file), path.Ext(file))
}

// candidates are the files in a folder that may be the program.
func candidates(dir string) ([]string, error) {
	var files []string
	for _, pattern := range []string{"*.jar", "*.war"} {
		found, err := filepath.Glob(path.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	files = slices.DeleteFunc(files, func(f string) bool {
		name := stem(f)
		return !isFile(f) || strings.HasPrefix(name, "original-") || hasSuffix(name, notPrograms)
	})
	// Spring Boot's plugin for Gradle makes two, of which one has no libraries.
	if proper := slices.DeleteFunc(slices.Clone(files), func(f string) bool { return strings.HasSuffix(stem(f), "-plain") }); len(proper) > 0 {
		files = proper
	}
	slices.Sort(files)
	return files, nil
}

// built looks for the jar or war that a build left in a folder.
func (r *run) built(dir string) (*artifact, error) {
	files, err := candidates(dir)
	if err == nil && len(files) == 0 {
		files, err = candidates(path.Join(dir, "libs"))
	}
	if err != nil {
		return nil, err
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("the build made no jar and no war in %s: name the module that makes the program, as in `package: :MODULE`", r.label(dir))
	}
	var all []*artifact
	for _, file := range files {
		a := &artifact{name: r.label(file)}
		if a.jar, err = openJar(file, a.name); err != nil {
			return nil, err
		}
		if err := r.classify(a); err != nil {
			if len(files) == 1 {
				return nil, err
			}
			a.close() // a war beside a jar
			continue
		}
		all = append(all, a)
	}
	if len(all) == 0 {
		return nil, needsContainer(r.label(files[0]))
	}
	chosen, err := r.choose(all)
	for _, a := range all {
		if a != chosen {
			a.close()
		}
	}
	return chosen, err
}

// choose finds the program among several: what starts by itself comes before what
// does not, then counts what the specification says.
func (r *run) choose(all []*artifact) (*artifact, error) {
	left := all
	for _, is := range []func(*artifact) bool{
		func(a *artifact) bool { return r.spec.Main != "" && r.hasMain(a, r.spec.Main) },
		func(a *artifact) bool { return a.shape == boot || a.shape == bootWar },
		func(a *artifact) bool { return a.shape == whole && a.jar.manifest.get("Main-Class") != "" },
		func(a *artifact) bool { return stem(a.jar.file) == r.spec.Name },
	} {
		var some []*artifact
		for _, a := range left {
			if is(a) {
				some = append(some, a)
			}
		}
		if len(some) > 0 {
			left = some
		}
	}
	if len(left) == 1 {
		return left[0], nil
	}
	var names []string
	for _, a := range left {
		what := a.name
		if main := a.jar.manifest.get("Main-Class"); main != "" {
			what += " (" + main + ")"
		}
		names = append(names, what)
	}
	return nil, fmt.Errorf("the build made several programs, and which one is the image's cannot be told: %s; write `build: {main: CLASS}` with a class that is in one of them alone, or have the build make one", strings.Join(names, ", "))
}

func (r *run) hasMain(a *artifact, class string) bool {
	return slices.ContainsFunc([]string{"", "BOOT-INF/classes/", "WEB-INF/classes/"}, func(dir string) bool { return a.jar.hasClass(dir, class) })
}

func needsContainer(name string) error {
	return fmt.Errorf("%s needs a servlet container: it has no main class; make a war that starts by itself (Spring Boot's plugin does, with its goal repackage), or a jar with a server in it", name)
}

const bootLoader = "org.springframework.boot.loader."

// classify finds out what a jar or war is.
func (r *run) classify(a *artifact) error {
	j, m := a.jar, a.jar.manifest
	main := m.get("Main-Class")
	switch {
	case strings.HasPrefix(main, bootLoader) && j.has("BOOT-INF/"):
		a.shape = boot
		return nil
	case strings.HasPrefix(main, bootLoader) && j.has("WEB-INF/"):
		a.shape = bootWar
		if r.spec.AOT {
			a.shape = whole // its folders would be on the class path
		}
		return nil
	case strings.EqualFold(path.Ext(j.file), ".war") || j.has("WEB-INF/"):
		if main == "" || !j.hasClass("", main) {
			return needsContainer(a.name)
		}
		a.shape = whole
		return nil
	}
	named := r.manifestClassPath(a)
	switch {
	case m.get("Launcher-Agent-Class") != "":
		a.shape = whole
	case len(named) > 0:
		a.classPath = named
	case r.spec.ClassPath != "":
		libs, err := readClassPath(r.spec.ClassPath)
		if err != nil {
			return err
		}
		if r.bundles(a, libs) {
			a.shape = whole
		} else {
			a.classPath = libs
		}
	case a.readyMade || r.bundles(a, nil):
		a.shape = whole
	}
	return nil
}

// readClassPath reads what Maven's dependency plugin wrote. A file that is not there
// is that of a module without dependencies.
func readClassPath(file string) ([]string, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the class path: %w", err)
	}
	defer f.Close()
	text, err := readAtMost(f, 16<<20)
	if err != nil {
		return nil, fmt.Errorf("reading the class path %s: %w", file, err)
	}
	var libs []string
	for one := range strings.SplitSeq(strings.TrimSpace(string(text)), ":") {
		switch {
		case one == "":
		case !path.IsAbs(one):
			return nil, fmt.Errorf("reading the class path %s: %q is not an absolute path", file, one)
		default:
			libs = append(libs, path.Clean(one))
		}
	}
	return libs, nil
}

// manifestClassPath are the libraries that the manifest names, where all are there:
// of one that was only meant to be put beside them it is no use.
func (r *run) manifestClassPath(a *artifact) []string {
	dir := path.Dir(a.jar.file)
	var libs []string
	for one := range strings.FieldsSeq(a.jar.manifest.get("Class-Path")) {
		if !strings.HasSuffix(one, ".jar") {
			continue // a folder of configuration
		}
		file := path.Join(dir, strings.TrimPrefix(one, "file:"))
		if path.IsAbs(one) || !strings.HasPrefix(file, path.Clean(r.spec.Project)+"/") || !isFile(file) {
			if a.readyMade {
				r.note("warning: the manifest of %s names %s on its class path, which is not there", a.name, one)
			}
			return nil
		}
		libs = append(libs, file)
	}
	return libs
}

// bundles says whether a jar has its libraries in it: the jar that was there before it
// did is still there, its name says so, or every library has a class in it.
func (r *run) bundles(a *artifact, libs []string) bool {
	name := path.Base(a.jar.file)
	if isFile(path.Join(path.Dir(a.jar.file), "original-"+name)) {
		return true
	}
	if hasSuffix(stem(name), bundled) && stem(name) != r.spec.Name && a.jar.manifest.get("Main-Class") != "" {
		return true
	}
	found := 0
	for _, lib := range libs {
		if !isFile(lib) {
			continue
		}
		j, err := openJar(lib, r.label(lib))
		if err != nil {
			return false // whoever unpacks it says why
		}
		class := slices.IndexFunc(j.entries, func(e *zip.File) bool {
			return strings.HasSuffix(e.Name, ".class") && !strings.HasSuffix(e.Name, "module-info.class") && !strings.HasPrefix(e.Name, "META-INF/")
		})
		if class >= 0 && a.jar.by[j.entries[class].Name] == nil {
			j.Close()
			return false
		}
		if class >= 0 {
			found++
		}
		j.Close()
	}
	return found > 0
}

// startScript is the part of what Gradle's script says that counts.
type startScript struct {
	classPath []string
	main      string
	options   []string
}

// assigned is the value of a variable in a shell script, as it is written on the line that
// sets it; false when no line does.
func assigned(script, name string) (string, bool) {
	for line := range strings.Lines(script) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// mainOfScript is the word after the class path in the command that starts Java, which
// may go on over several lines.
func mainOfScript(script string) string {
	words := strings.FieldsFunc(script, func(r rune) bool { return strings.ContainsRune(" \t\r\n\\\"", r) })
	for i := 0; i+2 < len(words); i++ {
		if (words[i] == "-classpath" || words[i] == "-cp") && words[i+1] == "$CLASSPATH" {
			return words[i+2]
		}
	}
	return ""
}

// quotedWords are the words in double quotes, as Gradle writes options.
func quotedWords(text string) []string {
	var words []string
	for i, part := range strings.Split(text, `"`) {
		if i%2 == 1 {
			words = append(words, part)
		}
	}
	return words
}

// readScript reads the script that Gradle makes for Unix.
func (r *run) readScript(a *artifact) (*startScript, error) {
	scripts, err := filepath.Glob(path.Join(a.dir, "bin/*"))
	if err != nil {
		return nil, err
	}
	scripts = slices.DeleteFunc(scripts, func(f string) bool { return strings.HasSuffix(f, ".bat") || !isFile(f) })
	if named := path.Join(a.dir, "bin", path.Base(a.dir)); len(scripts) > 1 && slices.Contains(scripts, named) {
		scripts = []string{named}
	}
	if len(scripts) != 1 {
		return nil, fmt.Errorf("%s/bin has %d scripts that may start the program, and needs one", a.name, len(scripts))
	}
	f, err := os.Open(scripts[0])
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := readAtMost(f, 1<<20)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", r.label(scripts[0]), err)
	}
	script := string(text)
	s := &startScript{main: mainOfScript(script)}
	list, ok := assigned(script, "CLASSPATH")
	if !ok && strings.Contains(script, "--module-path") {
		return nil, fmt.Errorf("reading %s: it starts Java with a module path: have Gradle make one with a class path, by `java { modularity.inferModulePath = false }`", r.label(scripts[0]))
	}
	for one := range strings.SplitSeq(strings.Trim(list, `"`), ":") {
		rel, ok := strings.CutPrefix(one, "$APP_HOME/lib/")
		if ok && fs.ValidPath(rel) && strings.HasSuffix(rel, ".jar") {
			s.classPath = append(s.classPath, path.Join(a.dir, "lib", rel))
		}
	}
	if len(s.classPath) == 0 {
		return nil, fmt.Errorf("reading %s: it has no CLASSPATH of files in lib, as scripts of Gradle's installDist do", r.label(scripts[0]))
	}
	options, _ := assigned(script, "DEFAULT_JVM_OPTS")
	options = strings.ReplaceAll(strings.Trim(options, "'"), `'"$APP_HOME"'`, "$APP_HOME")
	for _, word := range quotedWords(options) {
		s.options = append(s.options, strings.ReplaceAll(strings.ReplaceAll(word, `\$APP_HOME`, "$APP_HOME"), "$APP_HOME", javaspec.Dir))
	}
	return s, nil
}
