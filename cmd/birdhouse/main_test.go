package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/failure"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// command runs the command in this process.
func command(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	var out, errs bytes.Buffer
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(&out)
	root.SetErr(&errs)
	err := root.ExecuteContext(t.Context())
	if err != nil {
		errs.WriteString(failure.Text(err))
	}
	return out.String(), errs.String(), failure.ExitCode(err)
}

// files writes a project.
func files(t *testing.T, content map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range content {
		path := filepath.Join(dir, filepath.FromSlash(name))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
	}
	return dir
}

var goProject = map[string]string{"go.mod": "module example.test/app\n\ngo 1.25\n", "main.go": "package main\n\nfunc main() {}\n"}

func with(content map[string]string, name, text string) map[string]string {
	out := map[string]string{name: text}
	for k, v := range content {
		out[k] = v
	}
	return out
}

func TestInitThenPlanThenCheck(t *testing.T) {
	dir := files(t, goProject)
	out, errs, code := command(t, "init", dir, "--syntax", "localhost:5000/birdhouse:1", "--schema", "schema.json")
	require.Zero(t, code, errs)
	path := filepath.Join(dir, "birdhouse.yaml")
	require.Contains(t, out, path+" written, from go.mod")
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(string(text), "# syntax=localhost:5000/birdhouse:1\n# yaml-language-server: $schema=schema.json\n\nlanguage: go\n"), string(text))

	_, errs, code = command(t, "init", dir)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "--force replaces it")

	out, errs, code = command(t, "plan", dir)
	require.Zero(t, code, errs)
	require.Regexp(t, `(?m)^language +go +birdhouse\.yaml:4$`, out)

	out, errs, code = command(t, "plan", "--format", "json", dir)
	require.Zero(t, code, errs)
	var p plan.Plan
	require.NoError(t, json.Unmarshal([]byte(out), &p))
	require.Equal(t, "go", p.Language)

	out, errs, code = command(t, "check", dir)
	require.Zero(t, code)
	require.Empty(t, out+errs)
}

func TestInitWritesNothingThatDoesNotBuild(t *testing.T) {
	dir := files(t, map[string]string{"go.mod": goProject["go.mod"], "cmd/a/main.go": goProject["main.go"], "cmd/b/main.go": goProject["main.go"]})
	_, errs, code := command(t, "init", dir)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "No descriptor was written")
	require.Contains(t, errs, "./cmd/a")
	require.NoFileExists(t, filepath.Join(dir, "birdhouse.yaml"))
}

func TestCheckReportsAllProblems(t *testing.T) {
	dir := files(t, with(goProject, "birdhouse.yaml", "language: go\nversoin: 1.26\nexpose: [-1]\n"))
	out, errs, code := command(t, "check", dir)
	require.Equal(t, 1, code)
	require.Empty(t, errs)
	require.True(t, strings.HasPrefix(out, `birdhouse.yaml:2:1: unknown key "versoin"
  1 | language: go
  2 | versoin: 1.26
    | ^^^^^^^ did you mean "version"?
`), out)
	require.Contains(t, out, "2 problems, nothing was built\n")

	out, _, code = command(t, "check", "--format", "json", dir)
	require.Equal(t, 1, code)
	var problems spec.Problems
	require.NoError(t, json.Unmarshal([]byte(out), &problems))
	require.Len(t, problems, 2)

	out, errs, code = command(t, "plan", dir)
	require.Equal(t, 1, code)
	require.Empty(t, out)
	require.Contains(t, errs, "2 problems")

	dir = files(t, with(goProject, "birdhouse.yaml", "language: go\n"))
	out, _, code = command(t, "check", "--format", "json", dir)
	require.Zero(t, code)
	require.Equal(t, "[]\n", out)
}

func TestSchema(t *testing.T) {
	out, errs, code := command(t, "schema")
	require.Zero(t, code, errs)
	var schema map[string]any
	require.NoError(t, json.Unmarshal([]byte(out), &schema))
	require.Equal(t, "https://json-schema.org/draft/2020-12/schema", schema["$schema"])
	require.Contains(t, schema["properties"], "language")
}

func TestVersion(t *testing.T) {
	out, _, code := command(t, "version")
	require.Zero(t, code)
	require.Regexp(t, `^birdhouse dev \(BuildKit `, out)
}

func TestCatalogList(t *testing.T) {
	out, errs, code := command(t, "catalog", "list", "static", "--format", "json")
	require.Zero(t, code, errs)
	var list catalogList
	require.NoError(t, json.Unmarshal([]byte(out), &list))
	require.False(t, list.Lock.IsZero())
	var refs []string
	for _, img := range list.Images {
		refs = append(refs, img.Ref)
		require.Equal(t, []string{"amd64", "arm64"}, img.Architectures)
		require.NotEmpty(t, img.Packages)
		require.NotEmpty(t, img.Tags)
	}
	require.Contains(t, refs, "static:13")

	out, errs, code = command(t, "catalog", "list", "--packages", "static:13")
	require.Zero(t, code, errs)
	require.Contains(t, out, "tzdata")
	out, errs, code = command(t, "catalog", "list", "--packages", "cc:13")
	require.Zero(t, code, errs)
	require.Regexp(t, `\n  libgcc-s1 +amd64 +\S+ +needed by libstdc\+\+6\n`, out)
	out, errs, code = command(t, "catalog", "list", "--packages", "static:13")
	require.Zero(t, code, errs)
	require.Regexp(t, `\nstatic:13 +amd64 \S+ arm64 \S+ +5 +:13 :13-\d{8} +static \(CA `, out)
	require.Regexp(t, `\nDebian packages as of \d{4}-\d\d-\d\d, `, out)
	require.NotContains(t, out, "go:")

	_, errs, code = command(t, "catalog", "list", "statik")
	require.Equal(t, 1, code)
	require.Contains(t, errs, `no image "statik"`)
}

// A lock of an older form is replaced; what cannot be read for another reason stays.
func TestCatalogUpdateReplacesOldLocks(t *testing.T) {
	mirror := httptest.NewServer(http.NotFoundHandler())
	defer mirror.Close()
	for text, want := range map[string]string{
		`{"schema": 1, "packages": []}`: "catalog.lock has the schema 1, which is no longer read: a new lock, of schema 2, replaces it\n",
		`{"schema": 3}`:                 "a newer birdhouse has written it",
		`{"name": "x"}`:                 "it is no lock",
		`nonsense`:                      "reading the catalog's lock",
	} {
		file := filepath.Join(t.TempDir(), "catalog.lock")
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		_, errs, code := command(t, "catalog", "update", file, "--mirror", mirror.URL+"/debian")
		require.Equal(t, 1, code)
		require.Contains(t, errs, want)
		asked := strings.Contains(errs, "the server answers 404")
		require.Equal(t, strings.HasPrefix(want, "catalog.lock has"), asked, errs)
		left, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, text, string(left), "an update that fails changes nothing")
	}
}

// A new lock is written when anything is other than before, also when that is only what
// descriptors' packages are looked for in; and it is said what it was.
func TestReplaceLock(t *testing.T) {
	previous, err := catalog.BuiltInLock()
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "catalog.lock")
	replace := func(previous, lock *catalog.Lock, format string) string {
		t.Helper()
		var out strings.Builder
		require.NoError(t, replaceLock(&out, format, file, previous, lock, catalog.Compare(previous, lock)))
		return out.String()
	}
	again := func(change func(*catalog.Lock)) *catalog.Lock {
		data, err := previous.Bytes()
		require.NoError(t, err)
		lock, err := catalog.ParseLock("catalog.lock", data)
		require.NoError(t, err)
		change(lock)
		return lock
	}
	written := func(want *catalog.Lock) {
		t.Helper()
		got, err := catalog.ReadLock(file)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}

	require.Equal(t, file+": nothing has changed\n", replace(previous, again(func(*catalog.Lock) {}), "text"))
	published := previous.WithPublished(&catalog.Published{Prefix: "localhost:5000/bases", Images: map[string]string{}})
	require.Equal(t, file+": nothing has changed\n", replace(published, again(func(*catalog.Lock) {}), "text"))
	require.NoFileExists(t, file, "what is as it was is not written")

	newer := again(func(l *catalog.Lock) {
		l.Time = l.Time.AddDate(0, 0, 3)
		l.Suites["13"].Sources[0].Date = l.Time
	})
	require.Equal(t, fmt.Sprintf("%s: no package of the images has changed; the others are those of %s, no longer of %s\n",
		file, newer.Time.Format(time.DateOnly), previous.Time.Format(time.DateOnly)), replace(previous, newer, "text"))
	written(newer)
	var changes catalog.Changes
	require.NoError(t, json.Unmarshal([]byte(replace(previous, newer, "json")), &changes))
	require.Empty(t, changes.Packages)
	require.Equal(t, newer.Time, changes.To)

	fixed := again(func(l *catalog.Lock) {
		for _, packages := range l.Suites["13"].Layers["static"] {
			packages[0].Version += "+fixed"
		}
	})
	require.Contains(t, replace(previous, fixed, "text"), "+fixed")
	written(fixed)
}

func TestCatalogMirror(t *testing.T) {
	t.Setenv("BIRDHOUSE_DEBIAN_MIRROR", "http://mirror.example.com/debian")
	out, errs, code := command(t, "catalog", "mirror")
	require.Zero(t, code, errs)
	require.Equal(t, "debian           http://mirror.example.com/debian\ndebian-security  http://mirror.example.com/debian-security\n", out)

	out, errs, code = command(t, "catalog", "mirror", "--format", "json")
	require.Zero(t, code, errs)
	require.JSONEq(t, `{"debian": "http://mirror.example.com/debian", "debian-security": "http://mirror.example.com/debian-security"}`, out)

	t.Setenv("BIRDHOUSE_DEBIAN_MIRROR", "ftp://mirror.example.com")
	_, errs, code = command(t, "catalog", "mirror")
	require.Equal(t, 1, code)
	require.Contains(t, errs, "not an http or https URL")
}

// What cannot be published is said before anything is built.
func TestCatalogPublishThatIsRefused(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string
	}{
		{[]string{"publish"}, "requires at least 1 arg"},
		{[]string{"publish", "localhost:5000/a:b"}, "REGISTRY/PREFIX"},
		{[]string{"publish", "localhost:5000/A"}, "REGISTRY/PREFIX"},
		{[]string{"publish", "localhost:5000/a", "statik"}, `no image "statik"`},
		{[]string{"publish", "localhost:5000/a", "static:13", "--platform", "linux/s390x"}, "linux/amd64, linux/arm64"},
		{[]string{"publish", "localhost:5000/a", "static:13", "--compression", "xz"}, "gzip and zstd"},
		{[]string{"publish", "localhost:5000/a", "static:13", "--revision", "b"}, "--revision b"},
		{[]string{"publish", "localhost:5000/a", "static:13", "--format", "xml"}, "--format xml"},
		{[]string{"verify", "localhost:5000/a:b"}, "REGISTRY/PREFIX"},
		{[]string{"measure", "statik"}, `no image "statik"`},
	} {
		_, errs, code := command(t, append([]string{"catalog"}, tt.args...)...)
		require.Equal(t, 1, code, tt.args)
		require.Contains(t, errs, tt.want, tt.args)
	}
}

func TestWrongUse(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	t.Setenv("BUILDKIT_HOST", "")
	dir := files(t, with(goProject, "birdhouse.yaml", "language: go\n"))
	empty := t.TempDir()
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"biuld"}, "unknown command \"biuld\" for \"birdhouse\"\n\nDid you mean this?\n\tbuild\n"},
		{[]string{"build", "--no-such-flag"}, "unknown flag: --no-such-flag; `birdhouse build --help` lists the flags"},
		{[]string{"build", "a", "b"}, "accepts at most 1 arg"},
		{[]string{"build", filepath.Join(empty, "none")}, "there is no folder " + filepath.Join(empty, "none")},
		{[]string{"check", filepath.Join(empty, "none")}, "there is no folder " + filepath.Join(empty, "none")},
		{[]string{"plan", filepath.Join(dir, "main.go")}, "main.go is a file; name the project's folder"},
		{[]string{"build", empty}, "birdhouse init writes one"},
		{[]string{"build", "--progress", "fancy", dir}, "--progress fancy"},
		{[]string{"build", "-q", "--progress", "plain", dir}, "contradict"},
		{[]string{"build", "--load", "-t", "a", dir}, "no docker command"},
		{[]string{"build", "--cache-size", "much", dir}, "invalid argument \"much\" for \"--cache-size\" flag: it is no size; write a number of bytes, or one with a unit such as 50GB"},
		{[]string{"build", "--cache-size", "-1", dir}, "it is no size"},
		{[]string{"build", "--cache-size", "2GB", "--push", dir}, "--tag REGISTRY/NAME:TAG"},
		{[]string{"build", "--push", dir}, "--tag REGISTRY/NAME:TAG"},
		{[]string{"build", "--platform", "linux/pdp 11", dir}, "--platform"},
		{[]string{"build", "--addr", "what://x", dir}, "what"},
		{[]string{"build", "--addr", "unix://" + filepath.Join(empty, "no.sock"), dir}, "no.sock: connect: no such file or directory; is buildkitd running there?\n"},
		{[]string{"build", "--root", filepath.Join(empty, "r"), "--catalog", filepath.Join(empty, "none.lock"), "--addr", "unix://" + filepath.Join(empty, "no.sock"), dir}, "reading the catalog's lock"},
		{[]string{"plan", "--format", "xml", dir}, "--format xml"},
		{[]string{"plan", "--target", "worker", dir}, "worker"},
		{[]string{"plan", "-f", filepath.Join(empty, "none.yaml"), dir}, "no such file"},
		{[]string{"inspect", "--root", empty, "none"}, "not in the image store"},
		{[]string{"catalog", "update"}, "accepts 1 arg"},
	} {
		t.Run(strings.Join(test.args[:min(2, len(test.args))], " "), func(t *testing.T) {
			out, errs, code := command(t, test.args...)
			require.Equal(t, 1, code, out)
			require.Contains(t, errs, test.want)
			require.Empty(t, out)
		})
	}
}

func TestVariables(t *testing.T) {
	root, lock := t.TempDir(), filepath.Join(t.TempDir(), "none.lock")
	t.Setenv("BIRDHOUSE_ROOT", root)
	t.Setenv("BIRDHOUSE_CATALOG", lock)
	t.Setenv("BIRDHOUSE_SYNTAX", "localhost:5000/birdhouse:1")
	_, errs, _ := command(t, "inspect", "none")
	require.Contains(t, errs, "not in the image store")
	require.DirExists(t, filepath.Join(root, "images"))
	_, errs, _ = command(t, "plan", files(t, with(goProject, "birdhouse.yaml", "language: go\n")))
	require.Contains(t, errs, lock)

	t.Setenv("BIRDHOUSE_CATALOG", "")
	out, errs, code := command(t, "init", files(t, goProject))
	require.Zero(t, code, errs)
	require.Contains(t, out, "# syntax=localhost:5000/birdhouse:1\n")
}

func TestHelpNamesEveryCommand(t *testing.T) {
	out, _, code := command(t)
	require.Zero(t, code)
	for _, name := range []string{"build", "run", "init", "plan", "check", "inspect", "catalog", "schema", "version"} {
		require.Regexp(t, `(?m)^  `+name+` `, out)
	}
}
