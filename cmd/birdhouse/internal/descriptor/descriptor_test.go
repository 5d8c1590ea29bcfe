package descriptor_test

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/descriptor"
)

const samples = "../../../../testdata/go"

func planner() descriptor.Planner {
	return descriptor.Planner{Catalog: images{"go": {"1.25.9", "1.26.8", "1.27.4"}, "node": {"20", "24"}}}
}

// images are the versions by language; Node 20 has ended.
type images map[string][]string

func (i images) Versions(language string) []string { return i[language] }

func (i images) EndOfLife(language, version string) (string, bool) {
	return "2026-04-30", language == "node" && version == "20"
}

func TestEndOfLife(t *testing.T) {
	for _, test := range []struct{ version, want string }{
		{"20", `birdhouse.yaml:2:10: warning: node 20 (birdhouse.yaml:2) gets no security fixes since 2026-04-30
  1 | language: node
  2 | version: 20
    |          ^^
    | those that do are 24; write for example
    | version: "24"
`},
		{"24", ""},
	} {
		dir := project(t, map[string]string{"server.js": "", "birdhouse.yaml": "language: node\nversion: " + test.version + "\n"})
		f, err := descriptor.Find(dir, "")
		require.NoError(t, err)
		r, err := planner().Plan(dir, f, "")
		require.NoError(t, err)
		require.NotNil(t, r.Plan)
		require.Equal(t, test.want, r.Text())
	}
}

// project is a folder with files.
func project(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

const (
	goMod = "module example.test/app\n\ngo 1.25\n"
	goApp = "package main\n\nfunc main() {}\n"
)

func TestFind(t *testing.T) {
	for _, test := range []struct {
		name  string
		files map[string]string
		want  string
		err   string
	}{
		{"yaml", map[string]string{"birdhouse.yaml": "a", "birdhouse.yml": "b", "Dockerfile": "# syntax=x/birdhouse:1\n"}, "birdhouse.yaml", ""},
		{"yml", map[string]string{"birdhouse.yml": "b", "Dockerfile": "# syntax=x/birdhouse:1\n"}, "birdhouse.yml", ""},
		{"Dockerfile", map[string]string{"Dockerfile": "# syntax=localhost:5000/birdhouse:1\nlanguage: go\n"}, "Dockerfile", ""},
		{"another's Dockerfile", map[string]string{"Dockerfile": "# syntax=docker/dockerfile:1\nFROM x\n"}, "", "is not for birdhouse"},
		{"none", nil, "", "birdhouse init writes one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := project(t, test.files)
			f, err := descriptor.Find(dir, "")
			if test.err != "" {
				require.ErrorContains(t, err, test.err)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.want, f.Name)
			require.Equal(t, filepath.Join(dir, test.want), f.Path)
			require.Equal(t, test.files[test.want], string(f.Data))
		})
	}
}

func TestFindIsBounded(t *testing.T) {
	dir := project(t, map[string]string{"birdhouse.yaml": ""})
	require.NoError(t, os.Truncate(filepath.Join(dir, "birdhouse.yaml"), descriptor.MaxSize+1))
	_, err := descriptor.Find(dir, "")
	require.ErrorContains(t, err, "larger than 16 MB")
}

func TestPlan(t *testing.T) {
	for _, sample := range []string{"hello", "images", "cmds"} {
		dir := filepath.Join(samples, sample)
		f, err := descriptor.Find(dir, "")
		require.NoError(t, err)
		r, err := planner().Plan(dir, f, "")
		require.NoError(t, err)
		require.Empty(t, r.Text(), sample)
		got, err := json.Marshal(r.Plan)
		require.NoError(t, err)
		require.Equal(t, "go", r.Plan.Language)

		again, err := planner().Plan(dir, f, "run")
		require.NoError(t, err)
		same, err := json.Marshal(again.Plan)
		require.NoError(t, err)
		require.JSONEq(t, string(got), string(same))
	}
}

func TestPlanOfTargets(t *testing.T) {
	dir := filepath.Join(samples, "images")
	f, err := descriptor.Find(dir, "")
	require.NoError(t, err)

	r, err := planner().Plan(dir, f, "worker")
	require.NoError(t, err)
	require.NotNil(t, r.Plan)
	require.Equal(t, []string{"-once"}, r.Plan.Image.Cmd)

	r, err = planner().Plan(dir, f, "build")
	require.NoError(t, err)
	require.NotNil(t, r.Plan, "a stage")

	r, err = planner().Plan(dir, f, "wroker")
	require.NoError(t, err)
	require.Nil(t, r.Plan)
	require.Contains(t, r.Text(), "worker")
}

func TestPlanText(t *testing.T) {
	dir := project(t, map[string]string{"go.mod": goMod, "cmd/app/main.go": goApp, "birdhouse.yaml": "language: go\nexpose: [8080]\n"})
	f, err := descriptor.Find(dir, "")
	require.NoError(t, err)
	r, err := planner().Plan(dir, f, "")
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, descriptor.WritePlan(&b, r.Plan))
	lines := strings.Split(b.String(), "\n")
	require.Regexp(t, `^language +go +birdhouse\.yaml:1$`, lines[0])
	require.Contains(t, b.String(), "the only main package")
	require.Contains(t, b.String(), "\nbuild\n")
	require.Regexp(t, `\n  base +rarely +static:13\n`, b.String())
	require.Regexp(t, `\n  application +always +/app/app`, b.String())
	for _, line := range lines {
		require.Equal(t, strings.TrimRight(line, " "), line, "no space at the end")
	}
}

func TestPlanTextOfPackages(t *testing.T) {
	dir := filepath.Join(samples, "packages")
	f, err := descriptor.Find(dir, "")
	require.NoError(t, err)
	r, err := planner().Plan(dir, f, "")
	require.NoError(t, err)
	var b bytes.Buffer
	require.NoError(t, descriptor.WritePlan(&b, r.Plan))
	require.Regexp(t, `(?m)^build packages +libsqlite3-dev +birdhouse.yaml:5$`, b.String())
	require.Regexp(t, `(?m)^packages +libsqlite3-0 +birdhouse.yaml:6$`, b.String())
	require.Regexp(t, `(?m)^  packages +rarely +libsqlite3-0 and what they need$`, b.String())
}

func TestProblemsShowTheirFiles(t *testing.T) {
	dir := filepath.Join(samples, "badmod")
	f, err := descriptor.Find(dir, "")
	require.NoError(t, err)
	want, err := os.ReadFile(filepath.Join(dir, "problems.txt"))
	require.NoError(t, err)
	r, err := planner().Plan(dir, f, "")
	require.NoError(t, err)
	require.Nil(t, r.Plan)
	require.Equal(t, string(want), r.Text())
}

func TestUndeclaredArgument(t *testing.T) {
	dir := project(t, map[string]string{"go.mod": goMod, "main.go": goApp, "birdhouse.yaml": "language: go\n"})
	f, err := descriptor.Find(dir, "")
	require.NoError(t, err)
	p := planner()
	p.Args = map[string]string{"CHANNEL": "beta"}
	r, err := p.Plan(dir, f, "")
	require.NoError(t, err)
	require.Contains(t, r.Text(), `build argument "CHANNEL" is not declared`)
}

func TestCheckLooksAtEveryImage(t *testing.T) {
	dir := project(t, map[string]string{
		"go.mod": goMod, "cmd/a/main.go": goApp, "cmd/b/main.go": goApp,
		"birdhouse.yaml": "language: go\nimages:\n  a: {package: ./cmd/a}\n  b: {package: ./cmd/none}\n",
	})
	f, err := descriptor.Find(dir, "")
	require.NoError(t, err)
	r, err := planner().Check(dir, f, "")
	require.NoError(t, err)
	require.Contains(t, r.Text(), "./cmd/none")
	require.Contains(t, r.Text(), "1 problem,", "what the images share is not looked at as an image")

	r, err = planner().Check(dir, f, "a")
	require.NoError(t, err)
	require.Empty(t, r.Problems)

	require.NoError(t, os.WriteFile(f.Path, []byte("language: go\npackage: ./cmd/nothere\nimages:\n  a: {package: ./cmd/a}\n"), 0o644))
	f, err = descriptor.Find(dir, "")
	require.NoError(t, err)
	r, err = planner().Check(dir, f, "")
	require.NoError(t, err)
	require.Contains(t, r.Text(), "./cmd/nothere")
}

func TestIgnoredFilesAreNotInTheProject(t *testing.T) {
	dir := project(t, map[string]string{
		"go.mod": goMod, "cmd/a/main.go": goApp, "cmd/b/main.go": goApp,
		".dockerignore":  "nothing\n",
		"birdhouse.yaml": "language: go\n", "birdhouse.yaml.dockerignore": "cmd/b\n",
	})
	f, err := descriptor.Find(dir, "")
	require.NoError(t, err)
	r, err := planner().Plan(dir, f, "")
	require.NoError(t, err)
	require.Empty(t, r.Text())

	require.NoError(t, os.Remove(filepath.Join(dir, "birdhouse.yaml.dockerignore")))
	f, err = descriptor.Find(dir, "")
	require.NoError(t, err)
	r, err = planner().Plan(dir, f, "")
	require.NoError(t, err)
	require.True(t, r.Problems.HasErrors(), "two main packages")
}

func TestInit(t *testing.T) {
	dir := project(t, map[string]string{"go.mod": goMod, "main.go": goApp})
	text, from, r, err := descriptor.Init(dir, planner(), descriptor.InitOptions{Syntax: "registry.example.com/birdhouse:1"})
	require.NoError(t, err)
	require.Equal(t, "go.mod", from)
	require.Empty(t, r.Text())
	require.NotNil(t, r.Plan)

	syntax, _, _, ok := parser.DetectSyntax(text)
	require.True(t, ok, "BuildKit finds the syntax line")
	require.Equal(t, "registry.example.com/birdhouse:1", syntax)
	require.Contains(t, string(text), "\n# yaml-language-server: $schema="+descriptor.SchemaURL+"\n")
	require.Contains(t, string(text), "\nlanguage: go\n")

	path := filepath.Join(dir, "birdhouse.yaml")
	require.NoError(t, descriptor.WriteNew(path, text, false))
	written, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, written)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode())

	require.ErrorContains(t, descriptor.WriteNew(path, []byte("other"), false), "--force")
	written, err = os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, text, written)
	require.NoError(t, descriptor.WriteNew(path, []byte("other"), true))
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 3, "no temporary file stays")
}

func TestInitOfWhatIsNotClear(t *testing.T) {
	_, _, _, err := descriptor.Init(t.TempDir(), planner(), descriptor.InitOptions{})
	require.ErrorContains(t, err, "there is no project")
	_, _, _, err = descriptor.Init(t.TempDir(), planner(), descriptor.InitOptions{Language: "cobol"})
	require.ErrorContains(t, err, "--language cobol")
	_, _, _, err = descriptor.Init(t.TempDir(), planner(), descriptor.InitOptions{Language: "go"})
	require.ErrorContains(t, err, "no project of the language go")
	_, _, _, err = descriptor.Init(t.TempDir(), planner(), descriptor.InitOptions{Syntax: "a\nb"})
	require.ErrorContains(t, err, "white space")

	dir := project(t, map[string]string{"go.mod": goMod, "cmd/a/main.go": goApp, "cmd/b/main.go": goApp})
	_, _, r, err := descriptor.Init(dir, planner(), descriptor.InitOptions{})
	require.NoError(t, err)
	require.True(t, r.Problems.HasErrors(), "two programs: the choice is the user's")
	require.Contains(t, r.Text(), "cmd/a")
}

func TestFilesToCopyAreThere(t *testing.T) {
	dir := project(t, map[string]string{
		"go.mod": goMod, "main.go": goApp,
		"there": "", ".dockerignore": "hidden\n", "hidden": "",
	})
	require.NoError(t, os.Symlink("/etc/hostname", filepath.Join(dir, "out")))
	require.NoError(t, os.Symlink("there", filepath.Join(dir, "in")))
	f := &descriptor.File{Name: "birdhouse.yaml", Data: []byte("language: go\ncopy: [there:/a, in:/b, none:/c, hidden:/d, out:/e]\n")}
	r, err := planner().Plan(dir, f, "")
	require.NoError(t, err)
	require.Nil(t, r.Plan)
	var got []string
	for _, p := range r.Problems {
		got = append(got, p.Message)
	}
	require.Equal(t, []string{
		`copy[2]: there is no "none" in the build context`,
		`copy[3]: there is no "hidden" in the build context`,
		"copy[4]: out is a symbolic link to /etc/hostname, outside the project: put the file itself there",
	}, got)
}
