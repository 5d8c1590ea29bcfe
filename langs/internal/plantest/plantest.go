// Package plantest is what tests of languages have in common: projects in memory,
// plans of them, and golden files.
package plantest

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/moby/patternmatcher"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// Language is what is tested of langs.Language.
type Language interface {
	Name() string
	Files(s *spec.Spec) []string
	Plan(s *spec.Spec, project fs.FS, versions []string) (*plan.Plan, spec.Problems)
}

// Result is what a descriptor and a project lead to.
type Result struct {
	// Plan is nil when there are problems of severity error.
	Plan     *plan.Plan
	Problems spec.Problems
	// Text is the problems as people see them.
	Text string
}

// For parses a descriptor and plans an image of it, "" for its own. The project may
// only be read as far as Files says, and there is a plan or an error, never both.
func For(t testing.TB, l Language, versions []string, descriptor string, project fs.FS, image string) Result {
	t.Helper()
	data := []byte(descriptor)
	s, problems := spec.Parse("birdhouse.yaml", data, []string{l.Name()})
	require.NotNil(t, s, "%v", problems)
	if problems.HasErrors() {
		return Result{nil, problems, text(problems, data, project)}
	}
	problems = append(problems, s.Expand(spec.Vars{Version: "1.2.3", Revision: "0123abc", Args: s.Args})...)
	one, found := s.For(image)
	problems = append(problems, found...)
	require.NotNil(t, one, "%v", problems)
	guarded := &guardedFS{t: t, FS: project}
	var err error
	guarded.patterns, err = patternmatcher.New(l.Files(one))
	require.NoError(t, err)
	p, found := l.Plan(one, guarded, versions)
	problems = append(problems, found...)
	require.Equal(t, problems.HasErrors(), p == nil, "a plan or an error, not both or neither: %v", problems)
	return Result{p, problems, text(problems, data, project)}
}

func text(problems spec.Problems, descriptor []byte, project fs.FS) string {
	sources := map[string][]byte{"": descriptor}
	for _, p := range problems {
		if data, err := fs.ReadFile(project, p.File); p.File != "" && err == nil {
			sources[p.File] = data
		}
	}
	return problems.Sorted().Text(sources)
}

// guardedFS fails the test when a file is read that Files does not name: the
// frontend would not have it.
type guardedFS struct {
	fs.FS
	t        testing.TB
	patterns *patternmatcher.PatternMatcher
}

func (g *guardedFS) Open(name string) (fs.File, error) {
	f, err := g.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err == nil && !info.IsDir() {
		ok, err := g.patterns.MatchesOrParentMatches(name)
		require.NoError(g.t, err)
		if !ok {
			g.t.Errorf("%s is read, but Files does not name it", name)
		}
	}
	return f, nil
}

// Samples plans every sample in a folder, of which there are more than a number:
// valid ones have plan.json, invalid ones problems.txt, and problems.txt beside
// plan.json holds warnings.
func Samples(t *testing.T, dir string, moreThan int, planFor func(t *testing.T, descriptor string, project fs.FS) Result) {
	t.Helper()
	descriptors, err := filepath.Glob(filepath.Join(dir, "*/birdhouse.yaml"))
	require.NoError(t, err)
	require.Greater(t, len(descriptors), moreThan)
	for _, file := range descriptors {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			r := planFor(t, string(data), os.DirFS(dir))
			var encoded []byte
			if r.Plan != nil {
				encoded = encode(t, r.Plan)
				again := planFor(t, string(data), os.DirFS(dir))
				require.Equal(t, string(encoded), string(encode(t, again.Plan)), "the plan differs from one time to the next")
			}
			golden(t, filepath.Join(dir, "plan.json"), encoded)
			golden(t, filepath.Join(dir, "problems.txt"), []byte(r.Text))
		})
	}
}

func encode(t *testing.T, p *plan.Plan) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	require.NoError(t, e.Encode(p))
	return b.Bytes()
}

// golden compares with a file; no content stands for no file.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if len(got) == 0 {
			err := os.Remove(file)
			require.True(t, err == nil || os.IsNotExist(err))
			return
		}
		require.NoError(t, os.WriteFile(file, got, 0o644))
		return
	}
	want, err := os.ReadFile(file)
	if !os.IsNotExist(err) {
		require.NoError(t, err)
	}
	require.Equal(t, string(want), string(got), file)
}

// Files makes a project: pairs of name and content.
func Files(pairs ...string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for i := 0; i < len(pairs); i += 2 {
		fsys[pairs[i]] = &fstest.MapFile{Data: []byte(pairs[i+1])}
	}
	return fsys
}

// Linked is a project with a file, Name, that is a link out of it.
type Linked struct {
	fstest.MapFS
	Name string
}

// Open implements fs.FS.
func (l Linked) Open(name string) (fs.File, error) {
	if name == l.Name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("it is a link out of the project")}
	}
	return l.MapFS.Open(name)
}

// Fact is the plan's fact of a name, which it must have.
func Fact(t testing.TB, p *plan.Plan, name string) plan.Fact {
	t.Helper()
	require.NotNil(t, p)
	for _, f := range p.Facts {
		if f.Name == name {
			return f
		}
	}
	t.Fatalf("there is no fact %q in %v", name, p.Facts)
	return plan.Fact{}
}

// Stage is the plan's stage of a name, which it must have.
func Stage(t testing.TB, p *plan.Plan, name string) plan.Stage {
	t.Helper()
	require.NotNil(t, p)
	for _, s := range p.Stages {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("there is no stage %q", name)
	return plan.Stage{}
}

// Value is a variable's value, "" when there is none of the name.
func Value(env []plan.Env, name string) string {
	for _, e := range env {
		if e.Name == name {
			return e.Value
		}
	}
	return ""
}
