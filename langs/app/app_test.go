package app_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

func parse(t *testing.T, text string) *spec.Spec {
	t.Helper()
	s, problems := spec.Parse("birdhouse.yaml", []byte("language: go\n"+text), []string{"go"})
	require.False(t, problems.HasErrors(), "%v", problems)
	return s
}

func TestDefaults(t *testing.T) {
	s := parse(t, "expose: [53/udp, 8080]\nsmoke: {path: /}\ncopy: [a:/srv/a]\n")
	image := app.Image(s)
	require.Equal(t, plan.Image{User: "65532:65532", WorkingDir: "/", Expose: []string{"53/udp", "8080/tcp"}}, image)
	smoke, problems := app.Smoke(s)
	require.Empty(t, problems)
	require.Equal(t, &plan.Smoke{Port: 8080, Path: "/", Status: 200, Timeout: 30}, smoke)
	require.Equal(t, "/srv/a", app.Assets(s)[0].What)
	require.True(t, app.Copied(s, "/srv/a/b"))
	require.False(t, app.Copied(s, "/srv/ab"))
	facts := app.NewFacts(s)
	image.Entrypoint = []string{"/app/x"}
	facts.Image(image, "the program")
	require.Equal(t, []plan.Fact{
		{Name: "language", Value: "go", Source: "birdhouse.yaml:1"},
		{Name: "entrypoint", Value: "/app/x", Source: "the program"},
		{Name: "user", Value: "65532:65532", Source: "the default, not root"},
		{Name: "expose", Value: "53/udp 8080/tcp", Source: "birdhouse.yaml:2"},
	}, facts.List)

	s = parse(t, "")
	require.Empty(t, app.Assets(s))
	smoke, problems = app.Smoke(s)
	require.Nil(t, smoke)
	require.Empty(t, problems)
}

func TestBuildInputs(t *testing.T) {
	s := parse(t, "args: {A: '1', B: '2'}\nbuild: {env: {B: '3'}}\nsecrets: [netrc, token, {id: key, env: KEY}, {id: pem, target: /x.pem, optional: true}]\nssh: true\n")
	require.Equal(t, []plan.Env{{Name: "B", Value: "0"}, {Name: "A", Value: "1"}}, app.AppendEnv([]plan.Env{{Name: "B", Value: "0"}}, app.BuildEnv(s)))
	require.Equal(t, []plan.Mount{
		{Kind: plan.MountSecret, Target: "/run/secrets/token", SecretID: "token"},
		{Kind: plan.MountSecretEnv, Target: "KEY", SecretID: "key"},
		{Kind: plan.MountSecret, Target: "/x.pem", SecretID: "pem", Optional: true},
	}, app.SecretMounts(s, func(s spec.Secret) bool { return app.BareSecret(s, "netrc") }))
	require.Equal(t, []plan.Mount{{Kind: plan.MountSSH, Target: app.SSHAgent, SecretID: "default"}}, app.SSHMounts(s))
	require.Empty(t, app.SSHMounts(parse(t, "")))
	require.Equal(t, plan.Base{Image: "cc", Packages: []string{"a", "b"}, Asked: "packages"}, app.WithPackages(plan.Base{Image: "cc"}, []string{"b", "a"}, "packages"))
}

func TestFiles(t *testing.T) {
	f := app.Files{FS: fstest.MapFS{"a/empty": {}, "big": {Data: make([]byte, 17<<20)}}}
	data, err := f.Read("a/empty")
	require.NoError(t, err)
	require.Equal(t, []byte{}, data)
	data, err = f.Read("none")
	require.NoError(t, err)
	require.Nil(t, data)
	_, err = f.Read("big")
	require.ErrorContains(t, err, "larger than 16 MiB")
	require.True(t, f.Exists("a") && f.IsDir("a") && f.IsFile("a/empty") && !f.IsFile("a") && !f.IsDir("a/empty") && !f.Exists("b"))

	require.Equal(t, "../c", app.Relative("a/b", "a/c"))
	require.Equal(t, ".", app.Relative("a", "a"))
	require.True(t, app.Within(".", "a") && app.Within("a", "a/b") && !app.Within("a", "ab"))
	for target, ok := range map[string]bool{"../x": true, "../../x": false, "/x": false, `C:\x`: false, `..\x`: true} {
		_, in := app.InContext("a", target)
		require.Equal(t, ok, in, target)
	}
	for pattern, want := range map[string]string{
		"a/*": "a/b a/bc", "**": "a a/b a/bc a/b/c x/a/b", "**/b": "a/b x/a/b", "a/**": "a a/b a/bc a/b/c", "**/a/**": "a a/b a/bc a/b/c x/a/b",
		"a/**/c": "a/b/c", "**/?": "a a/b a/b/c x/a/b", "[": "", "a/b*": "a/b a/bc",
	} {
		var matches []string
		for _, name := range []string{"a", "a/b", "a/bc", "a/b/c", "x/a/b"} {
			if app.MatchGlob(pattern, name) {
				matches = append(matches, name)
			}
		}
		require.Equal(t, want, strings.Join(matches, " "), pattern)
	}
	require.False(t, app.MatchGlob(strings.Repeat("**/a/", 500)+"b", strings.Repeat("a/", 2000)+"c"))
	require.Equal(t, `\!a/\[b\]`, app.EscapePattern("!a/[b]"))
	require.Equal(t, "a\nb", app.Listed([]string{"a", "b"}))
	require.Contains(t, app.Listed(make([]string, 22)), "… and 2 more")
}

func TestMembers(t *testing.T) {
	files := app.Files{FS: fstest.MapFS{
		"package.json": {}, "a/package.json": {}, "a/b/package.json": {}, "a/node_modules/x/package.json": {}, "c/package.json": {}, "d/other": {},
		"root/package.json": {}, "root/e/package.json": {},
	}}
	any := func(string) bool { return true }
	for _, tt := range []struct {
		root  string
		most  int
		match func(string) bool
		want  []string
		all   bool
	}{
		{".", 9, any, []string{"a", "a/b", "c", "root", "root/e"}, true},
		{".", 5, any, []string{"a", "a/b", "c", "root", "root/e"}, true},
		{".", 2, any, []string{"a", "a/b"}, false},
		{".", 9, func(rel string) bool { return rel == "a/b" || rel == "d" }, []string{"a/b"}, true},
		{"root", 9, func(rel string) bool { return rel == "e" }, []string{"root/e"}, true},
		{"none", 9, any, nil, true},
	} {
		got, all := app.Members(files, tt.root, "package.json", []string{"node_modules"}, tt.most, tt.match)
		require.Equal(t, tt.want, got)
		require.Equal(t, tt.all, all)
	}
}
