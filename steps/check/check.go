// Package check looks through the root file system of a base image for what has
// no place in one: programs that do not find their libraries, rights that files
// must not have, links that lead nowhere, shells and package managers. It runs
// nothing of the image, so the image may be for any architecture.
package check

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/birdhouse-build/birdhouse/steps/internal/glob"
	"github.com/birdhouse-build/birdhouse/steps/libcheck"
)

// Spec says what an image may have that others may not.
type Spec struct {
	// Tools says which shells and package managers may be there.
	Tools Tools `json:"tools,omitempty"`
	// Owners are the absolute paths that are not root's, with the number of the
	// user and group that they belong to. They must be there.
	Owners map[string]int `json:"owners,omitempty"`
	// Dangling are patterns (path.Match per element, ** for any number of
	// elements) of symlinks that may lead nowhere, since a package ships them so.
	Dangling []string `json:"dangling,omitempty"`
	// Libraries are patterns of directories from which programs load libraries by
	// themselves, before others that need them.
	Libraries []string `json:"libraries,omitempty"`
}

// Tools are the shells and package managers that an image may have.
type Tools string

const (
	NoTools     Tools = ""        // none: an image to run a program in
	BusyboxOnly Tools = "busybox" // busybox and links to it: an image to look around in
	AnyTools    Tools = "any"     // all: an image to build in
)

// Problem is something that has no place in the image.
type Problem struct {
	// Path is the absolute path in the image.
	Path string
	// What is wrong, and Do what to do about it.
	What, Do string
}

// String is one line for people.
func (p Problem) String() string { return p.Path + ": " + p.What + "; " + p.Do }

// Summary is what was looked at.
type Summary struct {
	// Files counts all that is no directory, Programs the ELF files among them.
	Files, Programs int
}

// Check looks through a root file system and returns all problems, sorted by
// path. An error means that it could not be read.
func Check(root string, spec Spec) ([]Problem, Summary, error) {
	return run(root, spec, ownerOf)
}

func run(root string, spec Spec, ownerOf func(fs.FileInfo) (uid, gid uint32)) ([]Problem, Summary, error) {
	c := &checker{root: root, spec: spec, ownerOf: ownerOf, nodes: map[string]node{}}
	var err error
	if c.dangling, err = glob.ParseAll(spec.Dangling); err != nil {
		return nil, Summary{}, fmt.Errorf("dangling: %w", err)
	}
	if c.libraries, err = glob.ParseAll(spec.Libraries); err != nil {
		return nil, Summary{}, fmt.Errorf("libraries: %w", err)
	}
	if !slices.Contains([]Tools{NoTools, BusyboxOnly, AnyTools}, spec.Tools) {
		return nil, Summary{}, fmt.Errorf("tools: %q is none of %q, %q and %q", spec.Tools, NoTools, BusyboxOnly, AnyTools)
	}
	if info, err := os.Stat(root); err != nil {
		return nil, Summary{}, fmt.Errorf("reading the root file system: %w", err)
	} else if !info.IsDir() {
		return nil, Summary{}, fmt.Errorf("reading the root file system: %s is not a directory", root)
	}
	if err := c.walk(); err != nil {
		return nil, Summary{}, fmt.Errorf("reading the root file system: %w", err)
	}
	c.links()
	c.owners()
	c.linked()
	slices.SortFunc(c.problems, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.What, b.What))
	})
	return c.problems, c.summary, nil
}

type checker struct {
	root                string
	spec                Spec
	ownerOf             func(fs.FileInfo) (uid, gid uint32)
	dangling, libraries glob.Set
	// nodes has every path, relative and clean, "." for the root.
	nodes    map[string]node
	dirs     []string // that match libraries
	summary  Summary
	problems []Problem
}

// node is a file as it is, not what a symlink leads to.
type node struct {
	mode fs.FileMode
	link string
	tool tool
}

func (c *checker) problem(name, do, what string, args ...any) {
	c.problems = append(c.problems, Problem{Path: path.Join("/", name), What: fmt.Sprintf(what, args...), Do: do})
}

func (c *checker) walk() error {
	return filepath.WalkDir(c.root, func(host string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(c.root, host)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return c.file(host, filepath.ToSlash(name), info)
	})
}

// file checks what can be told of one file alone.
func (c *checker) file(host, name string, info fs.FileInfo) error {
	n := node{mode: info.Mode()}
	var err error
	switch {
	case n.mode.IsDir():
		if c.libraries.Match(name) {
			c.dirs = append(c.dirs, "/"+name)
		}
	case n.mode&fs.ModeSymlink != 0:
		if n.link, err = os.Readlink(host); err != nil {
			return err
		}
	case n.mode.IsRegular():
		if n.tool, err = c.content(host); err != nil {
			return err
		}
	default:
		c.problem(name, "leave it out: containers get their devices from the runtime", "it is a %s", special(n.mode))
	}
	if !n.mode.IsDir() {
		c.summary.Files++
	}
	c.nodes[name] = n
	c.rights(name, n.mode)
	want := uint32(c.spec.Owners["/"+name])
	if uid, gid := c.ownerOf(info); uid != want || gid != want {
		c.problem(name, "set the owner where the layer is made", "it belongs to %d:%d, not to %d:%d", uid, gid, want, want)
	}
	return c.capabilities(host, name, n.mode)
}

func ownerOf(info fs.FileInfo) (uid, gid uint32) {
	st := info.Sys().(*syscall.Stat_t) // on Linux, the only system that builds run on
	return st.Uid, st.Gid
}

func special(mode fs.FileMode) string {
	switch {
	case mode&fs.ModeDevice != 0:
		return "device node"
	case mode&fs.ModeNamedPipe != 0:
		return "named pipe"
	case mode&fs.ModeSocket != 0:
		return "socket"
	}
	return "file of an unknown kind"
}

func (c *checker) rights(name string, mode fs.FileMode) {
	if mode&fs.ModeSymlink != 0 {
		return
	}
	for _, bit := range []struct {
		mode fs.FileMode
		name string
	}{{fs.ModeSetuid, "setuid"}, {fs.ModeSetgid, "setgid"}} {
		if mode&bit.mode != 0 {
			c.problem(name, "take that bit away, or leave the file out", "it is %s", bit.name)
		}
	}
	const everybody = 0o777 | fs.ModeSticky
	switch {
	case name == "tmp" && mode.IsDir():
		if mode&everybody != everybody {
			c.problem(name, "give it the mode 1777", "it has the mode %s, so that not everybody can use it, each for his own files", octal(mode))
		}
	case mode&0o002 != 0:
		c.problem(name, "take that right away; only /tmp is for all", "everybody may write to it (mode %s)", octal(mode))
	}
}

func octal(mode fs.FileMode) string {
	bits := mode.Perm()
	if mode&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	return fmt.Sprintf("%04o", uint32(bits))
}

// capabilities finds rights that a program gets by being started,
// https://man7.org/linux/man-pages/man7/capabilities.7.html.
func (c *checker) capabilities(host, name string, mode fs.FileMode) error {
	if !mode.IsRegular() {
		return nil
	}
	size, err := unix.Lgetxattr(host, "security.capability", nil)
	switch {
	case errors.Is(err, unix.ENODATA) || errors.Is(err, unix.ENOTSUP):
		return nil
	case err != nil:
		return &fs.PathError{Op: "getxattr", Path: host, Err: err}
	case size > 0:
		c.problem(name, "take them away, or leave the file out", "it has capabilities (the attribute security.capability)")
	}
	return nil
}

// owners reports those files with an owner of their own that are not there.
func (c *checker) owners() {
	for name, owner := range c.spec.Owners {
		if _, ok := c.nodes[strings.TrimPrefix(name, "/")]; !ok {
			c.problem(name, "add it to a layer", "it is not there, and should belong to %d:%d", owner, owner)
		}
	}
}

// links checks symlinks, and names of tools, which links may be.
func (c *checker) links() {
	for name, n := range c.nodes {
		end, ok := name, true
		if n.mode&fs.ModeSymlink != 0 {
			end, ok = c.resolve(name)
			if !ok && !c.dangling.Match(name) {
				c.problem(name, "leave the link out too, or, if a package ships it so, list it under `dangling` of the checks",
					"it is a symlink to %s, where nothing is", n.link)
			}
		}
		if found := c.nodes[end].tool; ok && found != noTool {
			if end == name {
				c.tool(name, found)
			}
			// A link to a tool is as good as the tool, which has been reported.
			continue
		}
		if what := toolByName(name, n.mode); what != "" && c.spec.Tools != AnyTools {
			c.problem(name, leaveOutTool, "it has the name of %s", what)
		}
	}
}

const leaveOutTool = "leave it out: an image to run programs in has no use for it, but an attacker has"

func (c *checker) tool(name string, found tool) {
	if c.spec.Tools == AnyTools || c.spec.Tools == BusyboxOnly && found == busybox {
		return
	}
	c.problem(name, leaveOutTool, "by its content it is %s", found)
}

// maxLinks is Linux's own limit.
const maxLinks = 40

// resolve follows a path as the kernel does with this root, and reports whether
// something is there. What the runtime mounts counts as there.
func (c *checker) resolve(name string) (string, bool) {
	pending := strings.Split(name, "/")
	at, links := ".", 0
	for len(pending) > 0 {
		element := pending[0]
		pending = pending[1:]
		switch element {
		case "", ".":
			continue
		case "..":
			at = path.Dir(at)
			continue
		}
		if !c.nodes[at].mode.IsDir() {
			return "", false
		}
		next := path.Join(at, element)
		if slices.Contains([]string{"dev", "proc", "sys"}, next) {
			return next, true
		}
		n, ok := c.nodes[next]
		if !ok {
			return "", false
		}
		if n.mode&fs.ModeSymlink == 0 {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", false
		}
		if path.IsAbs(n.link) {
			at = "."
		}
		pending = append(strings.Split(n.link, "/"), pending...)
	}
	return at, true
}

// linked checks that programs and libraries find what they are linked against.
func (c *checker) linked() {
	slices.Sort(c.dirs)
	missing, err := libcheck.Image(c.root, c.dirs)
	if err != nil {
		c.problem("/", "replace the file, or leave it out", "%v", err)
	}
	for _, m := range missing {
		name, err := filepath.Rel(c.root, m.File)
		if err != nil {
			name = m.File
		}
		what := "the library " + m.Library
		if m.Interpreter {
			what = "the dynamic linker " + m.Library
		}
		if m.OtherMachine != "" {
			what += fmt.Sprintf(" (%s is for another architecture)", m.OtherMachine)
		}
		do := "add the package that has it, or leave the file out"
		if m.Package != "" {
			do = fmt.Sprintf("add the package %s, or leave the file out", m.Package)
		}
		c.problem(filepath.ToSlash(name), do, "it needs %s, which the image does not have", what)
	}
}

// content tells what a regular file is by what is in it.
func (c *checker) content(host string) (tool, error) {
	f, err := os.Open(host)
	if err != nil {
		return noTool, err
	}
	defer f.Close()
	magic := make([]byte, 4)
	if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "\x7fELF" {
		return noTool, nil
	}
	c.summary.Programs++
	if c.spec.Tools == AnyTools {
		return noTool, nil
	}
	found, err := identify(f)
	if err != nil {
		return noTool, fmt.Errorf("reading %s: %w", host, err)
	}
	return found, nil
}
