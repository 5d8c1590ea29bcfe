package java

import (
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
)

// content tells files apart: whose they are decides in which layer they are, and
// nothing else.
type content struct {
	size int64
	crc  uint32
}

// contents are those of some files.
type contents map[content]bool

// findOwnJars looks for the jars of the project's modules where Maven and Gradle put them. A
// library is one of them when it has the same content, wherever it was copied to and
// whatever it is called there.
func findOwnJars(project string) (contents, error) {
	own := contents{}
	err := filepath.WalkDir(project, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			return nil
		}
		switch entry.Name() {
		case "target":
			return own.addAll(path.Join(name, "*.jar"))
		case "build":
			return own.addAll(path.Join(name, "libs/*.jar"))
		case ".git", ".gradle", "node_modules":
			return fs.SkipDir
		}
		return nil
	})
	return own, err
}

// addAll adds the jars that match, and has the walk pass over the rest.
func (o contents) addAll(pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return fs.SkipDir // its name is no pattern; its jars are libraries like others
	}
	if err := o.add(slices.DeleteFunc(files, func(f string) bool { return !isFile(f) })); err != nil {
		return err
	}
	return fs.SkipDir
}

// add adds files.
func (o contents) add(files []string) error {
	for _, file := range files {
		c, err := contentOf(file)
		if err != nil {
			return err
		}
		o[c] = true
	}
	return nil
}

func contentOf(file string) (content, error) {
	f, err := os.Open(file)
	if err != nil {
		return content{}, err
	}
	defer f.Close()
	sum := crc32.NewIEEE()
	n, err := io.Copy(sum, f)
	return content{n, sum.Sum32()}, err
}
