package layer

import (
	"bytes"
	"crypto/md5"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

type kind int

const (
	directory kind = iota
	regular
	symlink
	hardLink
)

func (k kind) String() string {
	return [...]string{"directory", "file", "symlink", "hard link"}[k]
}

// file is something to put into the tree.
type file struct {
	pkg     string // "" for what the layer itself adds
	path    string // relative and clean
	kind    kind
	mode    fs.FileMode
	content io.Reader // of a regular file
	link    string    // target of a symlink; clean path of a hard link's file
	owner   int
}

// node is what the tree knows of a path that holds no symlink but perhaps at
// its end.
type node struct {
	kind kind
	pkg  string
	mode fs.FileMode
	link string
	// owner is the user and group id.
	owner int
	md5   [md5.Size]byte
	// implied directories were needed before a package listed them.
	implied bool
	// Directories are made on disk when something is put into them. At the end
	// come those that a package wants empty: one whose files were all left out
	// is not made.
	made, wanted bool
}

// tree is the layer in memory and on disk. Paths are resolved in memory, as if
// the layer were the root: so what reaches the disk goes through no symlink,
// and os.Root makes sure of it.
type tree struct {
	root  *os.Root
	lower bool
	nodes map[string]*node
	// The directories that the current package lists, and those that it has
	// something for.
	listed []string
	filled map[string]bool
	// The directory that was used last; archives are in order, so it is mostly
	// the next one too.
	last *openDir
	buf  []byte
}

// openDir is an open directory of the tree.
type openDir struct {
	path string
	*os.Root
	file *os.File // the same, for calls that os.Root does not have
}

func (d *openDir) close() {
	d.file.Close()
	d.Root.Close()
}

func newTree(out string, lower bool) (*tree, error) {
	root, err := os.OpenRoot(out)
	if err != nil {
		return nil, fmt.Errorf("opening the layer's directory: %w", err)
	}
	names, err := readDirNames(root, ".")
	if err == nil && len(names) > 0 {
		err = fmt.Errorf("%s is not empty", out)
	}
	if err != nil {
		root.Close()
		return nil, fmt.Errorf("opening the layer's directory: %w", err)
	}
	return &tree{
		root: root, lower: lower,
		nodes:  map[string]*node{".": {kind: directory, mode: 0o755, made: true}},
		filled: map[string]bool{},
		buf:    make([]byte, 256<<10),
	}, nil
}

func readDirNames(root *os.Root, name string) ([]string, error) {
	dir, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func (t *tree) close() {
	t.closeLast()
	t.root.Close()
}

func (t *tree) closeLast() {
	if t.last != nil {
		t.last.close()
		t.last = nil
	}
}

// empty removes everything.
func (t *tree) empty() {
	t.closeLast()
	names, err := readDirNames(t.root, ".")
	if err != nil {
		return
	}
	for _, name := range names {
		// The error that made this necessary is the one to report.
		_ = t.root.RemoveAll(name)
	}
}

// merged are the directories that are symlinks into /usr in Debian,
// https://wiki.debian.org/UsrMerge.
var merged = []string{"bin", "lib", "lib64", "sbin"}

// merge returns where a path lies in a layer that goes on top of others.
func (t *tree) merge(name string) string {
	if !t.lower {
		return name
	}
	first, _, _ := strings.Cut(name, "/")
	if slices.Contains(merged, first) {
		return "usr/" + name
	}
	return name
}

// isMerge reports whether a symlink is one of those that merge stands for.
func (t *tree) isMerge(name, link string) bool {
	return t.lower && slices.Contains(merged, name) && path.Join("/", link) == "/usr/"+name
}

// maxLinks is Linux's own limit.
const maxLinks = 40

// resolve returns the path without symlinks, but for the last element unless
// follow is set. Absolute targets begin at the layer's root.
func (t *tree) resolve(name string, follow bool) (string, error) {
	pending := strings.Split(name, "/")
	at, links := "", 0
	for len(pending) > 0 {
		element := pending[0]
		pending = pending[1:]
		switch element {
		case "", ".":
			continue
		case "..":
			if at == "" {
				return "", errors.New("it leads out of the layer through a symlink")
			}
			if at = path.Dir(at); at == "." {
				at = ""
			}
			continue
		}
		next := t.merge(path.Join(at, element))
		n := t.nodes[next]
		if n == nil || n.kind != symlink || len(pending) == 0 && !follow {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return "", errors.New("it leads through a loop of symlinks")
		}
		if path.IsAbs(n.link) {
			at = ""
		}
		pending = append(strings.Split(n.link, "/"), pending...)
	}
	if at == "" {
		return ".", nil
	}
	return at, nil
}

// climbs reports whether a symlink at name leads above the root, as far as the
// text says.
func climbs(name, link string) bool {
	if path.IsAbs(link) {
		return false
	}
	depth := strings.Count(name, "/")
	for element := range strings.SplitSeq(link, "/") {
		switch element {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

// leaveOut notes that a rule keeps f out of the layer.
func (t *tree) leaveOut(f file) {
	name, err := t.resolve(f.path, false)
	if err != nil {
		return
	}
	t.filled[path.Dir(name)] = true
	if f.kind == directory && t.nodes[name] == nil {
		// What is kept below it gets it with the right mode.
		t.nodes[name] = &node{kind: directory, pkg: f.pkg, mode: f.mode}
	}
}

// endPackage ends what add and leaveOut were told of one package: those of its
// directories that it has nothing for are wanted as they are.
func (t *tree) endPackage() {
	for _, name := range t.listed {
		if n := t.nodes[name]; n != nil && !t.filled[name] {
			n.wanted = true
		}
	}
	t.listed = t.listed[:0]
	clear(t.filled)
}

// add puts an entry of a package into the tree.
func (t *tree) add(f file) error {
	name, err := t.resolve(f.path, f.kind == directory)
	if err != nil {
		return err
	}
	t.filled[path.Dir(name)] = true
	old := t.nodes[name]
	switch f.kind {
	case directory:
		t.listed = append(t.listed, name)
		if old == nil {
			t.nodes[name] = &node{kind: directory, pkg: f.pkg, mode: f.mode}
			return nil
		}
		if old.kind != directory {
			return t.conflict(f, name, old)
		}
		if old.implied {
			old.pkg, old.mode, old.implied = f.pkg, f.mode, false
		}
		return nil
	case symlink:
		if f.link == "" || len(f.link) > 4096 || strings.ContainsRune(f.link, 0) {
			return fmt.Errorf("the symlink's target %.80q is not a path", f.link)
		}
		if climbs(name, f.link) {
			return fmt.Errorf("the symlink's target %q leads out of the layer", f.link)
		}
		if old != nil {
			if old.kind == symlink && old.link == f.link {
				return nil
			}
			return t.conflict(f, name, old)
		}
		return t.create(name, f)
	case hardLink:
		if old != nil {
			return t.conflict(f, name, old)
		}
		return t.hardLink(name, f)
	}
	if old == nil {
		return t.create(name, f)
	}
	if old.kind != regular || old.pkg == f.pkg || old.mode != f.mode {
		return t.conflict(f, name, old)
	}
	same, err := t.holds(name, f.content)
	if err != nil {
		return err
	}
	if !same {
		return t.conflict(f, name, old)
	}
	return nil
}

func (t *tree) conflict(f file, name string, old *node) error {
	switch {
	case old.pkg == "":
		return fmt.Errorf("/%s is a %s already", name, old.kind)
	case old.pkg == f.pkg:
		return fmt.Errorf("/%s is there twice", name)
	}
	return fmt.Errorf("package %s has /%s too, and not the same (a %s there, a %s here); leave it out of the layer, or write it as one of the layer's files",
		old.pkg, name, old.kind, f.kind)
}

// put writes one of the layer's own files, in place of what a package has there.
func (t *tree) put(f file) error {
	name, err := t.resolve(f.path, f.kind == directory)
	if err != nil {
		return err
	}
	if f.kind == symlink {
		// "/lib" itself is where the layer says, though what is below it is not.
		if t.lower && slices.Contains(merged, f.path) {
			name = f.path
		}
		if climbs(name, f.link) {
			return fmt.Errorf("the symlink's target %q leads out of the layer", f.link)
		}
	}
	old := t.nodes[name]
	if old != nil {
		switch {
		case f.kind == directory && old.kind == directory:
			old.mode, old.owner, old.pkg, old.wanted, old.implied = f.mode, f.owner, "", true, false
			return nil
		case old.kind == directory && old.made:
			return errors.New("there is a directory with files in its place")
		case old.kind != directory:
			if err := t.root.Remove(name); err != nil {
				return err
			}
		}
		delete(t.nodes, name)
	}
	if f.kind == directory {
		t.nodes[name] = &node{kind: directory, mode: f.mode, owner: f.owner, wanted: true}
		return nil
	}
	return t.create(name, f)
}

// create writes a regular file or a symlink where there is nothing.
func (t *tree) create(name string, f file) error {
	dir, err := t.directory(path.Dir(name))
	if err != nil {
		return err
	}
	n := &node{kind: f.kind, pkg: f.pkg, mode: f.mode, link: f.link, owner: f.owner}
	if f.kind == symlink {
		err = dir.Symlink(f.link, path.Base(name))
	} else {
		err = t.write(dir, path.Base(name), f, n)
	}
	if err != nil {
		return err
	}
	t.nodes[name] = n
	return nil
}

func (t *tree) write(dir *openDir, base string, f file, n *node) (err error) {
	w, err := dir.OpenFile(base, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if e := w.Close(); err == nil {
			err = e
		}
	}()
	hash := md5.New()
	// The writer hides the file's ReadFrom, so that the buffer is used.
	if _, err := io.CopyBuffer(struct{ io.Writer }{io.MultiWriter(w, hash)}, f.content, t.buf); err != nil {
		return err
	}
	copy(n.md5[:], hash.Sum(nil))
	// Open modes are subject to the umask.
	return w.Chmod(f.mode)
}

func (t *tree) hardLink(name string, f file) error {
	target, err := t.resolve(f.link, false)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", f.link, err)
	}
	n := t.nodes[target]
	if n == nil {
		return fmt.Errorf("hard link to /%s, which the layer does not have: leave out both or none", target)
	}
	if n.kind != regular || n.pkg != f.pkg {
		return fmt.Errorf("hard link to /%s, which is not a file of the same package", target)
	}
	if _, err := t.directory(path.Dir(name)); err != nil {
		return err
	}
	if err := t.root.Link(target, name); err != nil {
		return err
	}
	linked := *n
	t.nodes[name] = &linked
	return nil
}

// holds reports whether the file on disk has this content. It reads content to
// its end or to the first difference.
func (t *tree) holds(name string, content io.Reader) (bool, error) {
	r, err := t.root.Open(name)
	if err != nil {
		return false, err
	}
	defer r.Close()
	have, want := t.buf[:len(t.buf)/2], t.buf[len(t.buf)/2:]
	for {
		n, err := fill(content, want)
		if err != nil && err != io.EOF {
			return false, err
		}
		m, err2 := fill(r, have)
		if err2 != nil && err2 != io.EOF {
			return false, err2
		}
		if !bytes.Equal(have[:m], want[:n]) {
			return false, nil
		}
		if err == io.EOF || err2 == io.EOF {
			return err == err2, nil
		}
	}
}

// directory returns the directory at a resolved path, having made what of it
// is missing. It stays open until the next call.
func (t *tree) directory(name string) (*openDir, error) {
	if t.last != nil && t.last.path == name {
		return t.last, nil
	}
	if err := t.makeDirectory(name); err != nil {
		return nil, err
	}
	t.closeLast()
	root, err := t.root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	f, err := root.Open(".")
	if err != nil {
		root.Close()
		return nil, err
	}
	t.last = &openDir{name, root, f}
	return t.last, nil
}

func (t *tree) makeDirectory(name string) error {
	n := t.nodes[name]
	if n == nil {
		n = &node{kind: directory, mode: 0o755, implied: true}
		t.nodes[name] = n
	}
	if n.kind != directory {
		return fmt.Errorf("/%s is a %s, not a directory", name, n.kind)
	}
	if n.made {
		return nil
	}
	if parent := path.Dir(name); parent != "." {
		if err := t.makeDirectory(parent); err != nil {
			return err
		}
	}
	// Its own mode comes last: it may forbid to write.
	if err := t.root.Mkdir(name, 0o700); err != nil {
		return err
	}
	n.made = true
	return nil
}

// finish makes the directories that are meant to be empty, and sets modes,
// owners and times of everything, the inner before the outer, since writing
// touches the directory.
func (t *tree) finish() error {
	for _, name := range slices.Sorted(maps.Keys(t.nodes)) {
		if n := t.nodes[name]; n.kind == directory && n.wanted {
			if err := t.makeDirectory(name); err != nil {
				return fmt.Errorf("making /%s: %w", name, err)
			}
		}
	}
	owned := os.Geteuid() == 0
	for _, name := range slices.Backward(slices.Sorted(maps.Keys(t.nodes))) {
		n := t.nodes[name]
		if n.kind == directory && !n.made {
			continue
		}
		if err := t.stamp(name, n, owned); err != nil {
			return fmt.Errorf("/%s: %w", name, err)
		}
	}
	return nil
}

func (t *tree) stamp(name string, n *node, owned bool) error {
	dir, err := t.directory(path.Dir(name))
	if err != nil {
		return err
	}
	base := path.Base(name)
	if owned {
		if err := dir.Lchown(base, n.owner, n.owner); err != nil {
			return err
		}
	}
	if n.kind == directory {
		if err := dir.Chmod(base, n.mode); err != nil {
			return err
		}
	}
	epoch := []unix.Timespec{{}, {}}
	return unix.UtimesNanoAt(int(dir.file.Fd()), base, epoch, unix.AT_SYMLINK_NOFOLLOW)
}
