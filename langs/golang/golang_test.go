package golang_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs"
	"github.com/birdhouse-build/birdhouse/langs/golang"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const samples = "../../testdata/go"

// versions are those of a small catalog.
var versions = []string{"1.21.13", "1.24.13", "1.25.11", "1.26.7", "1.26.8", "1.27.3", "1.27.4", "1.28rc1"}

var _ langs.Language = golang.Language{}

// result is what a descriptor and a project lead to.
type result struct {
	plan     *plan.Plan
	problems spec.Problems
	text     string
}

// planFor parses a descriptor and plans its project, which it may only read as
// far as Files says.
func planFor(t *testing.T, descriptor string, project fs.FS, image string) result {
	t.Helper()
	data := []byte(descriptor)
	s, problems := spec.Parse("birdhouse.yaml", data, []string{"go"})
	require.NotNil(t, s, "%v", problems)
	if !problems.HasErrors() {
		args := map[string]string(s.Args)
		problems = append(problems, s.Expand(spec.Vars{Version: "1.2.3", Revision: "0123abc", Args: args})...)
		one, found := s.For(image)
		problems = append(problems, found...)
		require.NotNil(t, one, "%v", problems)
		guarded := &guardedFS{t: t, FS: project}
		var err error
		guarded.patterns, err = patternmatcher.New(golang.Language{}.Files(one))
		require.NoError(t, err)
		p, found := golang.Language{}.Plan(one, guarded, versions)
		problems = append(problems, found...)
		require.Equal(t, problems.HasErrors(), p == nil, "a plan or an error, not both or neither: %v", problems)
		return result{p, problems, text(problems, data, project)}
	}
	return result{nil, problems, text(problems, data, project)}
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
	t        *testing.T
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

// TestSamples plans every sample: valid ones have plan.json, invalid ones
// problems.txt, and problems.txt beside plan.json holds warnings.
func TestSamples(t *testing.T) {
	descriptors, err := filepath.Glob(filepath.Join(samples, "*/birdhouse.yaml"))
	require.NoError(t, err)
	require.Greater(t, len(descriptors), 30)
	for _, file := range descriptors {
		dir := filepath.Dir(file)
		t.Run(filepath.Base(dir), func(t *testing.T) {
			data, err := os.ReadFile(file)
			require.NoError(t, err)
			r := planFor(t, string(data), os.DirFS(dir), "")
			var encoded []byte
			if r.plan != nil {
				encoded = encode(t, r.plan)
				again := planFor(t, string(data), os.DirFS(dir), "")
				require.Equal(t, string(encoded), string(encode(t, again.plan)), "the plan differs from one time to the next")
			}
			golden(t, filepath.Join(dir, "plan.json"), encoded)
			golden(t, filepath.Join(dir, "problems.txt"), []byte(r.text))
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
