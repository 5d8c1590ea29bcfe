package java

import (
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

// ownJars are the jars that were built of the project's modules. A library is one of
// them when it has the same content, wherever it was copied to and whatever it is
// called there.
type ownJars struct {
	jars map[content]string
}

// content tells files apart: whose they are decides in which layer they are, and
// nothing else.
type content struct {
	size int64
	crc  uint32
}

// findOwnJars looks for jars where Maven and Gradle put them.
func findOwnJars(project string) (*ownJars, error) {
	o := &ownJars{map[content]string{}}
	err := filepath.WalkDir(project, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() {
			return nil
		}
		switch entry.Name() {
		case "target":
			return o.addAll(path.Join(name, "*.jar"))
		case "build":
			return o.addAll(path.Join(name, "libs/*.jar"))
		case ".git", ".gradle", "node_modules":
			return fs.SkipDir
		}
		return nil
	})
	return o, err
}

// addAll adds the jars that match, and has the walk pass over the rest.
func (o *ownJars) addAll(pattern string) error {
	files, err := filepath.Glob(pattern)
	if err != nil {
		return fs.SkipDir // its name is no pattern; its jars are libraries like others
	}
	for _, file := range files {
		if !isFile(file) {
			continue
		}
		c, err := contentOf(file)
		if err != nil {
			return err
		}
		o.jars[c] = file
	}
	return fs.SkipDir
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

func (o *ownJars) has(c content) bool {
	_, ok := o.jars[c]
	return ok
}
