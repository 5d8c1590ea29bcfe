package java

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// safe are the modules that libraries find by reflection alone, often enough that a
// program with libraries has them. They are small; java.desktop is not, and is there
// when something refers to it or names a class of it.
var safe = []string{
	"java.instrument", "java.logging", "java.management", "java.naming", "java.net.http", "java.security.jgss", "java.sql", "java.xml",
	"jdk.jfr", "jdk.unsupported", "jdk.zipfs",
}

// elliptic has what most encrypted connections need; since Java 22 java.base has it.
const elliptic = "jdk.crypto.ec"

// link writes the modules of the runtime for jlink.
func (r *run) link(found *findings) error {
	modules, err := r.linked(found)
	if err != nil {
		return err
	}
	if err := r.out.open(javaspec.Link); err != nil {
		return err
	}
	f, err := r.out.roots[javaspec.Link].Create(javaspec.LinkArgs)
	if err == nil {
		_, err = io.WriteString(f, "--add-modules\n"+strings.Join(modules, ",")+"\n")
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", javaspec.LinkArgs, err)
	}
	r.note("its runtime has the modules %s", strings.Join(r.jdk.Closure(modules), ", "))
	return nil
}

// linked are the modules to link, sorted. What those need is linked as well.
func (r *run) linked(found *findings) ([]string, error) {
	if r.spec.LinkModules != nil {
		return r.exactly(found)
	}
	in := map[string]bool{"java.base": true}
	add := func(modules ...string) {
		for _, m := range modules {
			if r.jdk.Has(m) {
				in[m] = true
			}
		}
	}
	for m := range found.modules {
		add(m)
	}
	for _, q := range found.requires {
		add(q.Module)
		if err := r.there(q, found); err != nil {
			return nil, err
		}
	}
	if found.fileSystems {
		add("jdk.zipfs")
	}
	if found.libraries || found.reflective {
		add(safe...)
	}
	if r.spec.Java < 22 && (found.tls || found.libraries || found.reflective) {
		add(elliptic)
	}
	return slices.Sorted(maps.Keys(in)), nil
}

// there checks that a module which a description requires is somewhere. On a class path
// nothing asks for it, so of libraries only what the JDK alone could have counts.
func (r *run) there(q requirement, found *findings) error {
	ofJDK := strings.HasPrefix(q.Module, "java.") || strings.HasPrefix(q.Module, "jdk.")
	if r.jdk.Has(q.Module) || found.provided[q.Module] || !q.own && !ofJDK {
		return nil
	}
	return fmt.Errorf("the module %s requires the module %s, which neither Java %d nor a library has; add the library that has it, or name the modules of the runtime yourself: `build: {jlink: [MODULE]}`, or take all: `build: {jlink: false}`", q.By, q.Module, r.spec.Java)
}

// exactly are the modules that the descriptor names.
func (r *run) exactly(found *findings) ([]string, error) {
	modules := append([]string{"java.base"}, r.spec.LinkModules...)
	for _, m := range modules {
		if !r.jdk.Has(m) {
			return nil, fmt.Errorf("build.jlink: Java %d has no module %q; it has %s", r.spec.Java, m, strings.Join(r.jdk.Modules(), ", "))
		}
	}
	slices.Sort(modules)
	modules = slices.Compact(modules)
	all := r.jdk.Closure(modules)
	for _, m := range slices.Sorted(maps.Keys(found.modules)) {
		if !slices.Contains(all, m) {
			r.note("warning: build.jlink leaves out the module %s, which the code refers to (%s)", m, found.modules[m])
		}
	}
	for _, q := range found.requires {
		if r.jdk.Has(q.Module) && !slices.Contains(all, q.Module) && found.modules[q.Module] == "" {
			r.note("warning: build.jlink leaves out the module %s, which the module %s requires", q.Module, q.By)
		}
	}
	return modules, nil
}
