// Package project shows a folder on this machine as the project that a build
// would see: files that the ignore file names are not there, and no symbolic
// link leads out of it.
package project

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// MaxFileSize is the largest file, in bytes, that ReadFile returns. It is the
// most that BuildKit's gateway hands to a frontend in one piece, so that a
// project is read alike on both ways.
const MaxFileSize = 16 << 20

// maxLinks is how many symbolic links one path may go through, as in Linux.
const maxLinks = 40

// Open returns the folder dir as a read-only file system without the files
// that ignore names. Ignore is the text of a .dockerignore file, nil for none.
//
// Paths follow symbolic links as long as they stay in the folder; one that
// leaves it, by an absolute path or by "..", gives an error that names it. So
// does a file that is neither a regular file nor a folder. The file system is
// safe for concurrent use and implements fs.ReadFileFS, fs.ReadDirFS and
// fs.StatFS. ReadFile refuses files larger than MaxFileSize.
func Open(dir string, ignore []byte) (fs.FS, error) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(ignore))
	if err != nil {
		return nil, fmt.Errorf("reading the ignore file of %s: %w", dir, err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, fmt.Errorf("reading the ignore file of %s: %w", dir, err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("opening the project: %w", err)
	}
	return &folder{root: root, matcher: matcher}, nil
}

// Ignore returns the text and the name of the first of the ignore files that
// exists; both are empty when none does. For a project they are, as in docker,
// DESCRIPTOR.dockerignore and then .dockerignore in the project's folder.
func Ignore(files ...string) (text []byte, name string, err error) {
	for _, name := range files {
		text, err := readBounded(name)
		switch {
		case err == nil:
			return text, name, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, "", fmt.Errorf("reading the ignore file: %w", err)
		}
	}
	return nil, "", nil
}

func readBounded(name string) ([]byte, error) {
	f, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return readAll(f, name)
}

func readAll(f fs.File, name string) ([]byte, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("not a regular file")}
	}
	data, err := io.ReadAll(io.LimitReader(f, MaxFileSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxFileSize {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("larger than %d MB", MaxFileSize>>20)}
	}
	return data, nil
}

// folder is the file system that the function Open returns.
type folder struct {
	root *os.Root

	// The matcher compiles its patterns on first use.
	mu      sync.Mutex
	matcher *patternmatcher.PatternMatcher
}

var _ interface {
	fs.ReadFileFS
	fs.ReadDirFS
	fs.StatFS
} = (*folder)(nil)

// Open implements fs.FS.
func (f *folder) Open(name string) (fs.File, error) {
	real, info, err := f.resolve("open", name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		entries, err := f.entries(real)
		if err != nil {
			return nil, &fs.PathError{Op: "open", Path: name, Err: err}
		}
		return &dirFile{name: name, info: info, entries: entries}, nil
	}
	file, err := f.openRegular(real)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return file, nil
}

// openRegular opens a resolved path. The check comes after the open, which does
// not block on a pipe, so that it holds for what was opened.
func (f *folder) openRegular(real string) (*os.File, error) {
	file, err := f.root.OpenFile(real, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, cause(err)
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		file.Close()
		return nil, cause(err)
	}
	return file, nil
}

// ReadFile implements fs.ReadFileFS.
func (f *folder) ReadFile(name string) ([]byte, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return readAll(file, name)
}

// ReadDir implements fs.ReadDirFS. Symbolic links are listed as such.
func (f *folder) ReadDir(name string) ([]fs.DirEntry, error) {
	real, info, err := f.resolve("readdir", name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: errors.New("not a folder")}
	}
	entries, err := f.entries(real)
	if err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	return entries, nil
}

// Stat implements fs.StatFS.
func (f *folder) Stat(name string) (fs.FileInfo, error) {
	_, info, err := f.resolve("stat", name)
	if err != nil {
		return nil, err
	}
	return named{info, path.Base(name)}, nil
}

// resolve follows the symbolic links of a path and returns the path of what it
// leads to, which is a regular file or a folder and not ignored.
func (f *folder) resolve(op, name string) (string, fs.FileInfo, error) {
	fail := func(err error) (string, fs.FileInfo, error) {
		return "", nil, &fs.PathError{Op: op, Path: name, Err: cause(err)}
	}
	if !fs.ValidPath(name) {
		return fail(fs.ErrInvalid)
	}

	done, rest, links := ".", name, 0
	info, err := f.root.Lstat(done)
	if err != nil {
		return fail(err)
	}
	via := "" // the last link, and what it says
	for rest != "" {
		var first string
		first, rest, _ = strings.Cut(rest, "/")
		switch {
		case first == "" || first == ".":
			continue
		case first == ".." && done == ".":
			return fail(fmt.Errorf("%s, outside the project: put the file itself there", via))
		}
		next := path.Join(done, first)
		if info, err = f.root.Lstat(next); err != nil {
			return fail(err)
		}
		if first == ".." {
			done = next
			continue
		}
		if hidden, err := f.hidden(next, info); err != nil {
			return fail(err)
		} else if hidden {
			return fail(fs.ErrNotExist)
		}
		if info.Mode()&fs.ModeSymlink == 0 {
			done = next
			continue
		}
		if links++; links > maxLinks {
			return fail(syscall.ELOOP)
		}
		target, err := f.root.Readlink(next)
		if err != nil {
			return fail(err)
		}
		via = fmt.Sprintf("%s is a symbolic link to %s", next, target)
		if path.IsAbs(target) {
			return fail(fmt.Errorf("%s, outside the project: put the file itself there", via))
		}
		rest = target + "/" + rest
	}
	if !info.IsDir() && !info.Mode().IsRegular() {
		return fail(errors.New("neither a regular file nor a folder"))
	}
	return done, info, nil
}

// entries lists a resolved folder in the order of the names.
func (f *folder) entries(real string) ([]fs.DirEntry, error) {
	dir, err := f.root.Open(real)
	if err != nil {
		return nil, cause(err)
	}
	defer dir.Close()
	all, err := dir.ReadDir(-1)
	if err != nil {
		return nil, cause(err)
	}
	var kept []fs.DirEntry
	for _, e := range all {
		info, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // gone since
		}
		if err != nil {
			return nil, cause(err)
		}
		hidden, err := f.hidden(path.Join(real, e.Name()), info)
		if err != nil {
			return nil, err
		}
		if !hidden {
			kept = append(kept, e)
		}
	}
	slices.SortFunc(kept, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return kept, nil
}

// hidden reports whether the ignore file keeps a path out of the build. An
// ignored folder is still there when an exception ("!kept") brings back
// something below it.
func (f *folder) hidden(name string, info fs.FileInfo) (bool, error) {
	ignored, err := f.ignored(name)
	if err != nil || !ignored {
		return false, err
	}
	if !info.IsDir() || !f.exceptionsBelow(name) {
		return true, nil
	}
	entries, err := f.entries(name)
	if err != nil {
		return false, err
	}
	return len(entries) == 0, nil
}

func (f *folder) ignored(name string) (bool, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.matcher.MatchesOrParentMatches(name)
}

// exceptionsBelow reports whether an exception could match below a folder.
func (f *folder) exceptionsBelow(dir string) bool {
	if !f.matcher.Exclusions() {
		return false
	}
	for _, p := range f.matcher.Patterns() {
		if !p.Exclusion() {
			continue
		}
		pattern := filepath.ToSlash(p.String())
		fixed := pattern
		if i := strings.IndexAny(pattern, `*?[\`); i >= 0 {
			fixed = pattern[:i]
			if strings.HasPrefix(dir+"/", fixed) {
				return true
			}
		}
		if strings.HasPrefix(fixed, dir+"/") {
			return true
		}
	}
	return false
}

// cause drops the path from an error, since the caller names the one asked for.
func cause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// named is a FileInfo under the name that was asked for.
type named struct {
	fs.FileInfo
	name string
}

func (n named) Name() string { return n.name }

// dirFile is an open folder.
type dirFile struct {
	name    string
	info    fs.FileInfo
	entries []fs.DirEntry
}

func (d *dirFile) Stat() (fs.FileInfo, error) { return named{d.info, path.Base(d.name)}, nil }
func (d *dirFile) Close() error               { return nil }

func (d *dirFile) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.name, Err: errors.New("is a folder")}
}

// ReadDir implements fs.ReadDirFile.
func (d *dirFile) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 {
		n = len(d.entries)
	} else if len(d.entries) == 0 {
		return nil, io.EOF
	}
	n = min(n, len(d.entries))
	out := d.entries[:n:n]
	d.entries = d.entries[n:]
	return out, nil
}
