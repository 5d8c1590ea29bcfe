package app

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// maxFile bounds what is read of one file of a project.
const maxFile = 16 << 20

// Files are the files of a project that a language may read.
type Files struct{ fs.FS }

// Read returns a file's content, nil when there is no such file. Its errors are for
// Unreadable.
func (f Files) Read(name string) ([]byte, error) {
	file, err := f.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("it is larger than %d MiB", maxFile>>20)
	}
	if data == nil {
		data = []byte{}
	}
	return data, nil
}

// Exists says whether there is a file or folder.
func (f Files) Exists(name string) bool {
	_, err := fs.Stat(f.FS, name)
	return err == nil
}

// IsDir says whether there is a folder.
func (f Files) IsDir(name string) bool {
	info, err := fs.Stat(f.FS, name)
	return err == nil && info.IsDir()
}

// IsFile says whether there is a file.
func (f Files) IsFile(name string) bool {
	info, err := fs.Stat(f.FS, name)
	return err == nil && info.Mode().IsRegular()
}

// ProjectDir is the descriptor's dir, cleaned: "." for the context itself. It may
// leave the context, which fs.ValidPath tells.
func ProjectDir(s *spec.Spec) string {
	return path.Clean(strings.TrimSuffix(s.Dir, "/"))
}

// ProjectPattern begins patterns of files in the project's folder: "" or "services/api/",
// escaped.
func ProjectPattern(s *spec.Spec) string {
	dir := ProjectDir(s)
	if dir == "." || !fs.ValidPath(dir) {
		return ""
	}
	return EscapePattern(dir) + "/"
}

// EscapePattern makes a path match only itself as a pattern of .dockerignore.
func EscapePattern(p string) string {
	var b strings.Builder
	for i, r := range p {
		if strings.ContainsRune(`*?[]\^`, r) || i == 0 && (r == '!' || r == '#') {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}

// InContext resolves a path that a file in dir has; false when it is absolute or
// leaves the context.
func InContext(dir, target string) (string, bool) {
	target = strings.ReplaceAll(target, `\`, "/")
	if path.IsAbs(target) || len(target) > 1 && target[1] == ':' {
		return "", false
	}
	joined := path.Join(dir, target)
	return joined, fs.ValidPath(joined)
}

// Relative returns the path from one folder to another, both in the context.
func Relative(from, to string) string {
	var a, b []string
	if from != "." {
		a = strings.Split(from, "/")
	}
	if to != "." {
		b = strings.Split(to, "/")
	}
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	return path.Clean(strings.Repeat("../", len(a)) + strings.Join(b, "/"))
}

// Within says whether a folder is dir or lies in it.
func Within(dir, sub string) bool {
	return dir == "." && fs.ValidPath(sub) || sub == dir || strings.HasPrefix(sub, dir+"/")
}

// Describe names a folder in a message.
func Describe(dir string) string {
	if dir == "." {
		return "the build context"
	}
	return dir
}

// FileProblem is an error of a whole file.
func FileProblem(file, message, hint string) spec.Problem {
	return spec.Problem{Severity: spec.Error, File: file, Message: message, Hint: hint}
}

// LineProblem is an error at a piece of a line, which counts from 1; without the
// piece in it, of the whole line.
func LineProblem(file string, number int, line, piece, message, hint string) spec.Problem {
	pr := FileProblem(file, message, hint)
	start := strings.Index(line, piece)
	if piece == "" || start < 0 {
		start, piece = 0, strings.TrimRight(line, " \t\r")
	}
	pr.Range = spec.Range{
		Start: spec.Position{Line: number, Column: start + 1},
		End:   spec.Position{Line: number, Column: start + len(piece) + 1},
	}
	return pr
}

// Unreadable is an error of a file that is there and cannot be read, such as a
// symbolic link that leaves the project.
func Unreadable(file string, err error) spec.Problem {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err // the path is shown already
	}
	return FileProblem(file, "the file cannot be read: "+err.Error(), "")
}

// MaxListed is how many candidates a message lists.
const MaxListed = 20

// Listed joins the lines of a hint, cut where there are many.
func Listed(lines []string) string {
	if len(lines) > MaxListed {
		lines = append(slices.Clone(lines[:MaxListed]), fmt.Sprintf("… and %d more", len(lines)-MaxListed))
	}
	return strings.Join(lines, "\n")
}
