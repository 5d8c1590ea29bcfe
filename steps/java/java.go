// Package java looks at what a build tool made of a Java project, whatever it is, and
// lays out the program in the layers of an image, with the arguments that start it
// and the modules that its runtime needs.
package java

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/birdhouse-build/birdhouse/steps/exec"
	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
	"github.com/birdhouse-build/birdhouse/steps/java/jimage"
)

// run is a specification under way.
type run struct {
	spec   javaspec.Spec
	out    *layout
	stdout io.Writer
	noting sync.Mutex
	jdk    *jimage.Image
	own    contents
	// known is nil where nothing is kept from one build to the next.
	known *known

	// names are those of files that libraries have in the image.
	names map[string]bool
	// units are all code of the program.
	units []unit
	// options and start are what starts it: what comes before the class path or jar,
	// and these.
	options, start []string
}

// unit is an archive with code in it.
type unit struct {
	jar *jar
	// dir is the folder of the code in it, "" or "BOOT-INF/classes/".
	dir string
	// own says that it is the program's own code, and first that it is that of the
	// module which is built.
	own, first bool
	// whole says that code of libraries is among it.
	whole bool
}

// Run lays out the program below the folder out, as package javaspec says, and tells
// on stdout what it found.
func Run(spec javaspec.Spec, out string, stdout io.Writer) error {
	if err := check(spec); err != nil {
		return err
	}
	l, err := newLayout(out, spec.Layers)
	if err != nil {
		return err
	}
	defer l.close()
	r := &run{spec: spec, out: l, stdout: stdout, names: map[string]bool{}}
	defer func() {
		for _, u := range r.units {
			u.jar.Close()
		}
	}()
	if err := r.run(); err != nil {
		return err
	}
	outputs := slices.Clone(spec.Layers)
	if spec.Link {
		outputs = append(outputs, javaspec.Link)
	}
	for _, name := range outputs {
		if err := exec.Normalize(path.Join(out, name)); err != nil {
			return err
		}
	}
	return nil
}

func check(s javaspec.Spec) error {
	switch {
	case s.Java < 8 || s.Java > 1000:
		return fmt.Errorf("the specification has no version of Java: %d", s.Java)
	case s.Built == "" && s.File == "":
		return errors.New("the specification names nothing that was built")
	case s.AOT && s.Java < 25:
		return fmt.Errorf("build.aot needs Java 25: Java %d cannot learn from a start", s.Java)
	}
	for _, p := range []string{s.Home, s.Project, s.Built, s.File, s.ClassPath, s.Cache} {
		if p != "" && !path.IsAbs(p) {
			return fmt.Errorf("the specification has the path %q, which is not absolute", p)
		}
	}
	return nil
}

func (r *run) run() error {
	var err error
	if r.jdk, err = jimage.Open(path.Join(r.spec.Home, "lib/modules")); err != nil {
		return err
	}
	a, err := r.find()
	if err != nil {
		return err
	}
	defer a.close()
	if r.own, err = findOwnJars(r.spec.Project); err != nil {
		return err
	}
	p, err := r.layOut(a)
	if err != nil {
		return err
	}
	if r.known, err = openKnown(r.spec); err != nil {
		return err
	}
	found, err := r.look()
	if err != nil {
		return err
	}
	if err := r.known.save(); err != nil {
		return err
	}
	if err := r.startOf(p, found); err != nil {
		return err
	}
	if err := r.writeArgs(); err != nil {
		return err
	}
	if !r.spec.Link {
		return nil
	}
	return r.link(found)
}

// note tells what was found; several archives are looked at at once.
func (r *run) note(format string, args ...any) {
	r.noting.Lock()
	defer r.noting.Unlock()
	fmt.Fprintf(r.stdout, format+"\n", args...)
}

// flags are what the virtual machine is told of its own accord: what JAVA_TOOL_OPTIONS
// says counts more than a file of flags, as it would not than arguments.
const flags = "MaxRAMPercentage=75\n+ExitOnOutOfMemoryError\n"

// writeArgs writes the file of arguments, and that of flags.
func (r *run) writeArgs() error {
	lines := []string{"-XX:Flags=" + javaspec.FlagsFile}
	if r.spec.AOT {
		lines = append(lines, "-XX:AOTCache="+javaspec.AOT, "-XX:AOTMode=auto")
	}
	lines = append(append(lines, r.options...), r.start...)
	var text strings.Builder
	for _, line := range lines {
		text.WriteString(quote(line) + "\n")
	}
	if err := r.writeText(javaspec.FlagsFile, flags); err != nil {
		return err
	}
	return r.writeText(javaspec.ArgsFile, text.String())
}

// writeText writes a file that says how the program is started.
func (r *run) writeText(file, text string) error {
	return r.out.write(javaspec.Resources, path.Base(file), func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	})
}

// quote writes an argument as the java command reads it of a file.
func quote(arg string) string {
	if arg != "" && !strings.ContainsAny(arg, " \t\n\r\f\"'#\\") {
		return arg
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "\f", `\f`).Replace(arg) + `"`
}

// readAtMost reads a file that may have limit bytes.
func readAtMost(f *os.File, limit int64) ([]byte, error) {
	text, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(text)) > limit {
		err = fmt.Errorf("it has more than %d bytes", limit)
	}
	return text, err
}
