package project_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/project"
)

// tree writes files into a new folder; a value that begins with "-> " is a
// symbolic link.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		p := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(p), 0o755))
		if target, ok := bytes.CutPrefix([]byte(text), []byte("-> ")); ok {
			require.NoError(t, os.Symlink(string(target), p))
			continue
		}
		require.NoError(t, os.WriteFile(p, []byte(text), 0o644))
	}
	return dir
}

func open(t *testing.T, dir, ignore string) fs.FS {
	t.Helper()
	p, err := project.Open(dir, []byte(ignore))
	require.NoError(t, err)
	return p
}

// names are all paths of a file system.
func names(t *testing.T, p fs.FS) []string {
	t.Helper()
	var out []string
	require.NoError(t, fs.WalkDir(p, ".", func(name string, _ fs.DirEntry, err error) error {
		require.NoError(t, err)
		if name != "." {
			out = append(out, name)
		}
		return nil
	}))
	return out
}

func TestFileSystem(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": "module m\n", "cmd/api/main.go": "package main\n", "empty/.keep": ""})
	require.NoError(t, fstest.TestFS(open(t, dir, ""), "go.mod", "cmd/api/main.go", "empty/.keep"))
}

func TestIgnore(t *testing.T) {
	files := map[string]string{
		"go.mod": "", "main.go": "", "node_modules/a/x.js": "", "node_modules/keep/y.js": "",
		"doc/a.md": "", "doc/b.txt": "", "sub/c.md": "", ".git/config": "",
	}
	for _, test := range []struct {
		name, ignore string
		want         []string
	}{
		{"none", "", []string{".git", ".git/config", "doc", "doc/a.md", "doc/b.txt", "go.mod", "main.go", "node_modules", "node_modules/a", "node_modules/a/x.js", "node_modules/keep", "node_modules/keep/y.js", "sub", "sub/c.md"}},
		{"folders and a comment", "# tools\n.git\n/node_modules/\n", []string{"doc", "doc/a.md", "doc/b.txt", "go.mod", "main.go", "sub", "sub/c.md"}},
		{"by extension", "**/*.md\n.git\nnode_modules\n", []string{"doc", "doc/b.txt", "go.mod", "main.go", "sub"}},
		{"an exception in an ignored folder", ".git\ndoc\nsub\nnode_modules\n!node_modules/keep\n", []string{"go.mod", "main.go", "node_modules", "node_modules/keep", "node_modules/keep/y.js"}},
		{"all but", "*\n!go.mod\n!doc/*.txt\n", []string{"doc", "doc/b.txt", "go.mod"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := open(t, tree(t, files), test.ignore)
			require.Equal(t, test.want, names(t, p))
		})
	}

	p := open(t, tree(t, files), "node_modules\n")
	_, err := fs.ReadFile(p, "node_modules/a/x.js")
	require.ErrorIs(t, err, fs.ErrNotExist)
	_, err = fs.Stat(p, "node_modules")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestIgnoreRejectsBadPatterns(t *testing.T) {
	_, err := project.Open(t.TempDir(), []byte("[\n"))
	require.ErrorContains(t, err, "reading the ignore file")
}

func TestFirstIgnoreFile(t *testing.T) {
	dir := tree(t, map[string]string{".dockerignore": "general", "b/birdhouse.yaml.dockerignore": "special"})
	general, special := filepath.Join(dir, ".dockerignore"), filepath.Join(dir, "b", "birdhouse.yaml.dockerignore")

	text, name, err := project.Ignore(special, general)
	require.NoError(t, err)
	require.Equal(t, "special", string(text))
	require.Equal(t, special, name)

	text, _, err = project.Ignore(filepath.Join(dir, "birdhouse.yaml.dockerignore"), general)
	require.NoError(t, err)
	require.Equal(t, "general", string(text))

	text, name, err = project.Ignore(filepath.Join(dir, "none"))
	require.NoError(t, err)
	require.Empty(t, text)
	require.Empty(t, name)

	_, _, err = project.Ignore(dir)
	require.ErrorContains(t, err, "not a regular file")
}

func TestLinksStayInTheProject(t *testing.T) {
	outside := tree(t, map[string]string{"secret": "do not read"})
	dir := tree(t, map[string]string{
		"real/go.mod": "module m\n",
		"go.mod":      "-> real/go.mod",
		"deep/er":     "-> ../real",
		"absolute":    "-> " + filepath.Join(outside, "secret"),
		"up":          "-> ../../etc/passwd",
		"folder":      "-> " + outside,
		"second":      "-> real/../absolute",
		"through":     "-> deep/er/../go.mod",
		"round":       "-> round",
		"hidden":      "-> private/key",
		"private/key": "x",
	})
	p := open(t, dir, "*\n!real\n!go.mod\n!deep\n!through\n!absolute\n!up\n!folder\n!second\n!round\n!hidden\n")

	for _, name := range []string{"go.mod", "deep/er/go.mod", "through"} {
		text, err := fs.ReadFile(p, name)
		require.NoError(t, err)
		require.Equal(t, "module m\n", string(text))
	}
	info, err := fs.Stat(p, "go.mod")
	require.NoError(t, err)
	require.Equal(t, "go.mod", info.Name())

	for name, link := range map[string]string{"absolute": "absolute", "up": "up", "folder/secret": "folder", "second": "absolute"} {
		_, err := fs.ReadFile(p, name)
		require.ErrorContains(t, err, link+" is a symbolic link to ", name)
		require.ErrorContains(t, err, "outside the project", name)
		require.False(t, errors.Is(err, fs.ErrNotExist), name)
	}
	_, err = fs.ReadDir(p, "folder")
	require.ErrorContains(t, err, "outside the project")
	_, err = fs.ReadFile(p, "round")
	require.ErrorIs(t, err, syscall.ELOOP)
	_, err = fs.ReadFile(p, "hidden")
	require.ErrorIs(t, err, fs.ErrNotExist, "a link does not bring back what is ignored")
	_, err = fs.ReadFile(p, "../"+filepath.Base(outside)+"/secret")
	require.ErrorIs(t, err, fs.ErrInvalid)
}

func TestOnlyFilesAndFolders(t *testing.T) {
	dir := tree(t, map[string]string{"go.mod": ""})
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	_, err := fs.ReadFile(open(t, dir, ""), "pipe")
	require.ErrorContains(t, err, "neither a regular file nor a folder")
}

func TestFilesAreBounded(t *testing.T) {
	dir := tree(t, nil)
	big, err := os.Create(filepath.Join(dir, "big"))
	require.NoError(t, err)
	require.NoError(t, big.Truncate(project.MaxFileSize+1))
	require.NoError(t, big.Close())
	_, err = fs.ReadFile(open(t, dir, ""), "big")
	require.ErrorContains(t, err, "larger than 16 MB")
}

func TestMissingFolder(t *testing.T) {
	_, err := project.Open(filepath.Join(t.TempDir(), "none"), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
}
