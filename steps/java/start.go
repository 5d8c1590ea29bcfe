package java

import (
	"fmt"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/steps/java/classfile"
)

// startOf decides what comes after the virtual machine's options: the main class, or
// the jar that knows it.
func (r *run) startOf(p *program, found *findings) error {
	if found.preview {
		r.options = append(r.options, "--enable-preview")
	}
	main, source, err := r.mainOf(p, found)
	if err != nil {
		return err
	}
	if p.jar != "" && main == p.main {
		r.start = []string{"-jar", p.jar}
	} else {
		path := p.classPath
		if p.jar != "" {
			path = []string{p.jar}
		}
		r.start = []string{"-cp", strings.Join(path, ":"), main}
	}
	r.note("%s starts %s (%s)", p.artifact.name, main, source)
	return nil
}

// mainOf finds the main class, and says why it is the one.
func (r *run) mainOf(p *program, found *findings) (main, source string, err error) {
	if p.fixed {
		if r.spec.Main != "" && r.spec.Main != p.main {
			return "", "", fmt.Errorf("build.main: %s is started by its framework's own class, %s: leave build.main out, and tell the framework which class it is to start", p.artifact.name, p.main)
		}
		return p.main, p.source, nil
	}
	if r.spec.Main != "" {
		return r.spec.Main, "build.main", r.mainThere(p, r.spec.Main, "build.main", found)
	}
	if p.main != "" {
		return p.main, p.source, r.mainThere(p, p.main, p.source, found)
	}
	for _, c := range r.spec.Configured {
		if r.hasClass(c.Class) {
			return c.Class, c.Source, r.mainThere(p, c.Class, c.Source, found)
		}
	}
	if len(r.spec.Configured) > 0 {
		c := r.spec.Configured[0]
		return "", "", r.mainThere(p, c.Class, c.Source, found)
	}
	mains := found.candidates()
	switch len(mains) {
	case 1:
		return mains[0], "the only class with a main method", nil
	case 0:
		return "", "", fmt.Errorf("there is nothing to start: none of the %d classes of %s has a method `public static void main(String[] args)`; name the class that has one: `build: {main: com.example.Main}`", found.count, p.artifact.name)
	}
	return "", "", fmt.Errorf("%d classes of %s have a main method, and nothing says which one starts the program: %s; write `build: {main: %s}`", len(mains), p.artifact.name, list(mains), mains[0])
}

// candidates are the main classes of the project, sorted: those of the module that was
// built, else of its other modules; such as only Java 25 starts come last.
func (f *findings) candidates() []string {
	for _, mains := range [][]string{f.mains, f.others, f.instance} {
		if len(mains) > 0 {
			mains = slices.Sorted(slices.Values(mains))
			return slices.Compact(mains)
		}
	}
	return nil
}

// list names some, so that what a project has hundreds of can still be read.
func list(names []string) string {
	const most = 20
	if len(names) > most {
		return fmt.Sprintf("%s, and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return strings.Join(names, ", ")
}

func (r *run) hasClass(class string) bool {
	return slices.ContainsFunc(r.units, func(u unit) bool { return u.jar.hasClass(u.dir, class) })
}

// mainThere checks a main class that something names.
func (r *run) mainThere(p *program, class, source string, found *findings) error {
	more := ""
	if mains := found.candidates(); len(mains) > 0 {
		more = fmt.Sprintf("; these classes have a main method: %s; write `build: {main: %s}`", list(mains), mains[0])
	}
	if !r.hasClass(class) {
		return fmt.Errorf("%s names the main class %s, which is neither in %s nor in its libraries%s", source, class, p.artifact.name, more)
	}
	own, known := found.own[class]
	switch {
	case !known:
	case own.major > classfile.Major(r.spec.Java):
		return r.tooNew(r.units[slices.IndexFunc(r.units, func(u unit) bool { return u.jar.hasClass(u.dir, class) })], class, own.major)
	case !own.main && !own.inherits:
		return fmt.Errorf("%s names the main class %s, which has no method `public static void main(String[] args)`%s", source, class, more)
	}
	return nil
}
