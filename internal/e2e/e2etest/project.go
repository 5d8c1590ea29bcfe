package e2etest

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// Project makes a project of files, by their paths, and returns its folder. It needs the command.
func Project(t testing.TB, files map[string]string) string {
	t.Helper()
	harness.Birdhouse(t)
	dir := filepath.Join(t.TempDir(), "project")
	for name, text := range files {
		Write(t, filepath.Join(dir, name), text)
	}
	return dir
}

// Outside returns a change to a project: a file becomes a link to one with that
// content that is not part of the project.
func Outside(name, content string) func(testing.TB, string) {
	return func(t testing.TB, dir string) {
		t.Helper()
		path := filepath.Join(filepath.Dir(dir), "outside")
		Write(t, path, content)
		if err := errors.Join(os.RemoveAll(filepath.Join(dir, name)), os.Symlink("../outside", filepath.Join(dir, name))); err != nil {
			t.Fatal(err)
		}
	}
}

// Remove returns a change to a project: a file is gone.
func Remove(name string) func(testing.TB, string) {
	return func(t testing.TB, dir string) {
		t.Helper()
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
}

// Syntax replaces the first line of a project's birdhouse.yaml, its syntax line, by
// one with the frontend image.
func Syntax(t testing.TB, dir, frontend string) {
	t.Helper()
	path := filepath.Join(dir, "birdhouse.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\n")
	Write(t, path, "# syntax="+frontend+"\n"+rest)
}

// Sample is a copy of a project of testdata ("go/hello") that the test may change,
// without what its plan is compared with, which would be a part of the image.
func Sample(t testing.TB, name string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), filepath.Base(name))
	if err := os.CopyFS(dir, os.DirFS(filepath.Join(harness.Root(t), "testdata", name))); err != nil {
		t.Fatal(err)
	}
	for _, golden := range []string{"plan.json", "graph.txt", "problems.txt"} {
		if err := os.Remove(filepath.Join(dir, golden)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
	}
	return dir
}

// Write writes a file, and makes its folder.
func Write(t testing.TB, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

// SamplesAreBuilt checks that every sample of a language ("go") with a plan is known
// to a test: one that no test builds is a sample that nobody knows to work.
func SamplesAreBuilt(t testing.TB, language string, known map[string]bool) {
	t.Helper()
	plans, err := filepath.Glob(filepath.Join(harness.Root(t), "testdata", language, "*/plan.json"))
	if err != nil || len(plans) == 0 {
		t.Fatalf("no samples: %v", err)
	}
	for _, p := range plans {
		if name := filepath.Base(filepath.Dir(p)); !known[name] {
			t.Errorf("testdata/%s/%s has a plan, and no test builds it", language, name)
		}
	}
}

// Edit replaces text in a file, wherever it stands there. The file must have it.
func Edit(t testing.TB, path, old, new string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(data, []byte(old)) {
		t.Fatalf("%s has no %q", path, old)
	}
	Write(t, path, strings.ReplaceAll(string(data), old, new))
}
