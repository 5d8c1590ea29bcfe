// Package libcheck tells whether the programs and libraries of an image find
// what they are linked against, without running anything: it looks where the
// dynamic linker would, inside the image's root file system.
//
// Libraries that a program opens by itself (dlopen) are not seen.
package libcheck

import (
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	securejoin "github.com/cyphar/filepath-securejoin"

	"github.com/birdhouse-build/birdhouse/steps/internal/glob"
)

// Missing is something that a file needs and the image does not have.
type Missing struct {
	// File is the file that needs it, as it was given or found.
	File string
	// Library is the name it asks for, or the path of its dynamic linker.
	Library string
	// Interpreter is set for a dynamic linker.
	Interpreter bool
	// Package is the Debian package that has it, "" if it is not known here.
	Package string
	// OtherMachine is a file of that name that is built for another machine;
	// "" if there is none.
	OtherMachine string
}

// String is one line for people.
func (m Missing) String() string {
	what := m.Library
	if m.Interpreter {
		what = "the dynamic linker " + m.Library
	}
	s := fmt.Sprintf("%s: needs %s, which the image does not have", m.File, what)
	if m.OtherMachine != "" {
		s += fmt.Sprintf(" (%s is for another architecture)", m.OtherMachine)
	}
	switch {
	case strings.HasPrefix(path.Base(m.Library), "ld-musl-") || strings.HasPrefix(m.Library, "libc.musl-"):
		return s + "; it was built for musl (Alpine), and the images are Debian's: build it against glibc, or statically"
	case m.Package != "":
		return s + "; the Debian package " + m.Package + " has it"
	}
	return s + "; no package is known here that has it: `apt-file search " + path.Base(m.Library) + "` finds one"
}

// Packages returns the Debian packages that have what is missing, as far as they
// are known here, sorted.
func Packages(missing []Missing) []string {
	var names []string
	for _, m := range missing {
		// A library for another machine is no reason to add this machine's.
		if m.Package != "" && m.OtherMachine == "" {
			names = append(names, m.Package)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Check reads every ELF file among paths, files or directories, and returns
// what is missing for them, sorted. Libraries are looked for in the root file
// system root and in the directories among paths, each taken as laid over
// root. Files that are not ELF are passed over.
func Check(root string, paths []string) ([]Missing, error) {
	return run(root, paths, nil, nil)
}

// Modules is Check of those files alone that match patterns (see steps/internal/glob) by their
// paths in the directories, as of modules that a program loads by itself. What they are linked
// against may be any other file of the directories with its name, too: programs load
// libraries before the modules that need them. Without patterns it is Check.
func Modules(root string, paths, patterns []string) ([]Missing, error) {
	set, err := glob.ParseAll(patterns)
	if err != nil {
		return nil, err
	}
	return run(root, paths, nil, set)
}

// Image is Check of a whole root file system. Libraries are also looked for in
// dirs, absolute paths in it: those from which programs load libraries before
// others that need them, as a JVM does with libjvm.so.
func Image(root string, dirs []string) ([]Missing, error) {
	return run(root, []string{root}, dirs, nil)
}

func run(root string, paths, dirs []string, modules glob.Set) ([]Missing, error) {
	if len(paths) == 0 {
		return nil, errors.New("no files to check")
	}
	root, err := filepath.Abs(root)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(root); err != nil {
		return nil, fmt.Errorf("reading the root file system: %w", err)
	} else if !info.IsDir() {
		return nil, fmt.Errorf("reading the root file system: %s is not a directory", root)
	}
	c := &checker{root: root, trees: []string{root}, dirs: dirs, objects: map[string]*object{}, found: map[Missing]bool{}, loaded: map[string]bool{}}
	var files []located
	for _, p := range paths {
		list, err := c.list(p)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", p, err)
		}
		files = append(files, list...)
	}
	if len(modules) > 0 {
		for _, f := range files {
			c.loaded[path.Base(f.path)] = true
		}
		files = slices.DeleteFunc(files, func(f located) bool { return !modules.Match(strings.TrimPrefix(f.path, "/")) })
	}
	for _, f := range files {
		if err := c.check(f); err != nil {
			return nil, fmt.Errorf("reading %s: %w", f.host(), err)
		}
	}
	missing := make([]Missing, 0, len(c.found))
	for m := range c.found {
		missing = append(missing, m)
	}
	slices.SortFunc(missing, func(a, b Missing) int {
		return strings.Compare(a.File+"\x00"+a.Library, b.File+"\x00"+b.Library)
	})
	return missing, nil
}

// located is a file at a path inside a tree.
type located struct{ tree, path string }

func (l located) host() string { return filepath.Join(l.tree, l.path) }

type checker struct {
	root    string
	trees   []string // root first
	dirs    []string // searched last
	objects map[string]*object
	found   map[Missing]bool
	// loaded are names of libraries that are there wherever they are looked for.
	loaded map[string]bool
}

// list returns the regular files that p stands for, and adds p to the trees.
func (c *checker) list(p string) ([]located, error) {
	p, err := filepath.Abs(p)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(p)
	if err != nil {
		return nil, err
	}
	tree := p
	if !info.IsDir() {
		tree = filepath.Dir(p)
	}
	if inside, err := filepath.Rel(c.root, p); err == nil && filepath.IsLocal(inside) {
		tree = c.root
	} else if info.IsDir() {
		c.trees = append(c.trees, tree)
	}
	var files []located
	err = filepath.WalkDir(p, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.Type().IsRegular() && (name != p || entry.IsDir()) {
			return nil
		}
		inside, err := filepath.Rel(tree, name)
		if err != nil {
			return err
		}
		files = append(files, located{tree, "/" + filepath.ToSlash(inside)})
		return nil
	})
	return files, err
}

// check follows all that one file is linked against, as the dynamic linker
// does when it starts.
func (c *checker) check(file located) error {
	first, err := c.open(file)
	if err != nil || first == nil {
		return err
	}
	if first.interpreter != "" {
		at, other := c.find(first, path.Dir(first.interpreter), path.Base(first.interpreter), file.tree)
		if at == nil {
			c.miss(Missing{File: file.host(), Library: first.interpreter, Interpreter: true, OtherMachine: other})
		}
	}
	type loading struct {
		*object
		loader *loading
	}
	loaded := map[string]bool{}
	queue := []*loading{{object: first}}
	for len(queue) > 0 {
		l := queue[0]
		queue = queue[1:]
		// DT_RPATH counts for what is loaded on behalf of the file too, and not
		// at all for a file that has DT_RUNPATH.
		var dirs []string
		if len(l.runpath) == 0 {
			for up := l; up != nil; up = up.loader {
				if len(up.runpath) == 0 {
					dirs = append(dirs, up.rpath...)
				}
			}
		}
		dirs = append(dirs, l.runpath...)
		dirs = append(dirs, c.defaults(first)...)
		for _, name := range l.needed {
			if loaded[name] {
				continue
			}
			loaded[name] = true
			search := dirs
			if strings.Contains(name, "/") {
				search = []string{path.Dir(name)}
			}
			var next *object
			var other string
			for _, dir := range search {
				at, mismatch := c.find(first, dir, path.Base(name), l.at.tree)
				if other == "" {
					other = mismatch
				}
				if at != nil {
					next = at
					break
				}
			}
			if next == nil && c.loaded[name] {
				continue
			}
			if next == nil {
				c.miss(Missing{File: l.at.host(), Library: name, OtherMachine: other})
				continue
			}
			if next.soname != "" {
				loaded[next.soname] = true
			}
			queue = append(queue, &loading{next, l})
		}
	}
	return nil
}

func (c *checker) miss(m Missing) {
	m.Package = packageOf(m.Library)
	c.found[m] = true
}

// find looks for a file in one directory of all trees, own first. Without one
// for the machine of like, it returns one for another machine by its path.
func (c *checker) find(like *object, dir, name, own string) (*object, string) {
	other := ""
	for _, tree := range append([]string{own}, c.trees...) {
		host, err := securejoin.SecureJoin(tree, path.Join(dir, name))
		if err != nil {
			continue
		}
		inside, err := filepath.Rel(tree, host)
		if err != nil {
			continue
		}
		o, err := c.open(located{tree, "/" + filepath.ToSlash(inside)})
		if err != nil || o == nil {
			continue
		}
		if o.machine == like.machine && o.class == like.class && o.order == like.order {
			return o, ""
		}
		if other == "" {
			other = path.Join(dir, name)
		}
	}
	return nil, other
}

// open reads an ELF file once; nil for what is no program or library.
func (c *checker) open(at located) (*object, error) {
	host := at.host()
	if o, ok := c.objects[host]; ok {
		return o, nil
	}
	o, err := readObject(host)
	if err != nil {
		return nil, err
	}
	if o != nil {
		o.at = at
		o.expand()
	}
	c.objects[host] = o
	return o, nil
}

// triplets are the multiarch names of https://wiki.debian.org/Multiarch/Tuples.
var triplets = map[elf.Machine][]string{
	elf.EM_X86_64:  {"x86_64-linux-gnu"},
	elf.EM_AARCH64: {"aarch64-linux-gnu"},
	elf.EM_386:     {"i386-linux-gnu"},
	elf.EM_ARM:     {"arm-linux-gnueabihf", "arm-linux-gnueabi"},
	elf.EM_RISCV:   {"riscv64-linux-gnu"},
	elf.EM_PPC64:   {"powerpc64le-linux-gnu"},
	elf.EM_S390:    {"s390x-linux-gnu"},
}

// defaults are the directories that the dynamic linker of a program looks in
// by itself: for Debian's glibc those of `ld.so --help`.
func (c *checker) defaults(program *object) []string {
	if strings.HasPrefix(path.Base(program.interpreter), "ld-musl-") {
		return append([]string{"/lib", "/usr/local/lib", "/usr/lib"}, c.dirs...)
	}
	var dirs []string
	for _, t := range triplets[program.machine] {
		dirs = append(dirs, "/lib/"+t, "/usr/lib/"+t)
	}
	return slices.Concat(dirs, []string{"/lib", "/usr/lib"}, c.configured(), c.dirs)
}

// configured are the directories of /etc/ld.so.conf.d. They mean something only
// to ldconfig, so without the cache that it writes nothing is found there.
func (c *checker) configured() []string {
	read := func(name string) []byte {
		host, err := securejoin.SecureJoin(c.root, name)
		if err != nil {
			return nil
		}
		text, err := readBounded(host, 1<<20)
		if err != nil {
			return nil
		}
		return text
	}
	if read("/etc/ld.so.cache") == nil {
		return nil
	}
	dir, err := securejoin.SecureJoin(c.root, "/etc/ld.so.conf.d")
	if err != nil {
		return nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	var dirs []string
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".conf") {
			continue
		}
		for line := range strings.Lines(string(read(path.Join("/etc/ld.so.conf.d", e.Name())))) {
			line, _, _ = strings.Cut(line, "#")
			if line = strings.TrimSpace(line); path.IsAbs(line) {
				dirs = append(dirs, line)
			}
		}
	}
	return dirs
}
