//go:build bench

package bench

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// edit is a change of the program and its value; the zero value is the program as
// it is.
type edit struct{ kase, value string }

// files are the program's files after an edit.
func (p *program) files(t *testing.T, e edit) map[string][]byte {
	t.Helper()
	if made, ok := p.made[e]; ok {
		return made
	}
	dir := t.TempDir()
	if e == (edit{}) {
		if err := os.CopyFS(dir, os.DirFS(p.source(t))); err != nil {
			t.Fatal(err)
		}
	} else {
		write(t, dir, p.files(t, edit{}))
		p.changes()[e.kase].apply(t, dir, e.value)
	}
	files := read(t, dir)
	if p.complete != nil && e == (edit{}) {
		p.complete(t, p.world, files)
	}
	p.made[e] = files
	return files
}

// changes are the language's, by the case that they are for.
func (l language) changes() map[string]change {
	return map[string]change{caseLine: l.line, caseDependency: l.dependency}
}

// apply changes the program in dir.
func (c change) apply(t *testing.T, dir, value string) {
	t.Helper()
	with := strings.NewReplacer("VALUE", value).Replace
	files := map[string][]byte{}
	for name, text := range c.add {
		files[name] = []byte(with(text))
	}
	for name, pair := range c.replace {
		old, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if files[name] = bytes.Replace(old, []byte(pair[0]), []byte(with(pair[1])), 1); bytes.Equal(old, files[name]) {
			t.Fatalf("%s has no %q", name, pair[0])
		}
	}
	write(t, dir, files)
	if len(c.command) > 0 {
		cmd := exec.Command(c.command[0])
		for _, arg := range c.command[1:] {
			cmd.Args = append(cmd.Args, with(arg))
		}
		cmd.Dir = dir
		harness.Run(t, cmd)
	}
}

// edit makes the project in dir what it is after an edit, changing only files
// that differ, as an editor does.
func (p *program) edit(t *testing.T, dir string, e edit) {
	t.Helper()
	files := p.files(t, e)
	if _, err := os.Stat(dir); err == nil {
		for name := range read(t, dir) {
			if _, ok := files[name]; !ok {
				if err := os.Remove(filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	write(t, dir, files)
}

// read returns the files below dir by their paths with slashes.
func read(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[name], err = os.ReadFile(filepath.Join(dir, name))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// write writes the files that differ.
func write(t *testing.T, dir string, files map[string][]byte) {
	t.Helper()
	for name, text := range files {
		file := filepath.Join(dir, name)
		if old, err := os.ReadFile(file); err == nil && bytes.Equal(old, text) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// resolvedLock puts URLs of archives into package-lock.json, as npm does unless it
// is told otherwise: with them an installation asks nobody where a package is.
func resolvedLock(t *testing.T, w *world, files map[string][]byte) {
	t.Helper()
	const name = "package-lock.json"
	var lock map[string]any
	if err := json.Unmarshal(files[name], &lock); err != nil {
		t.Fatal(err)
	}
	for at, entry := range lock["packages"].(map[string]any) {
		if i := strings.LastIndex(at, "node_modules/"); i >= 0 {
			pkg, one := at[i+len("node_modules/"):], entry.(map[string]any)
			one["resolved"] = w.locations["npm"] + "/" + pkg + "/-/" + path.Base(pkg) + "-" + one["version"].(string) + ".tgz"
		}
	}
	text, err := json.MarshalIndent(lock, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	files[name] = append(text, '\n')
}
