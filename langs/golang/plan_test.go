package golang_test

import (
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/golang"
	"github.com/birdhouse-build/birdhouse/langs/internal/plantest"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

const program = "package main\n\nfunc main() {}\n"

func gomod(lines string) string { return "module example.test/app\n\n" + lines + "\n" }

func TestVersion(t *testing.T) {
	tests := []struct {
		name       string
		descriptor string
		project    fstest.MapFS
		want       string // version and source, or a part of the problem
	}{
		{"the go line is a minimum", "", files("go.mod", gomod("go 1.26")), "1.27.4 go.mod:3 says 1.26 or newer; newest in the catalog"},
		{"no go line", "", files("go.mod", gomod("")), "1.27.4 go.mod says 1.16 or newer; newest in the catalog"},
		{"minor", "version: 1.26", files("go.mod", gomod("go 1.25")), "1.26.8 birdhouse.yaml:2 says 1.26; its newest release"},
		{"full", "version: 1.26.7", files("go.mod", gomod("go 1.25")), "1.26.7 birdhouse.yaml:2"},
		{"not in the catalog, but full", "version: 1.25.3", files("go.mod", gomod("go 1.25")), "1.25.3 birdhouse.yaml:2"},
		{"release candidate", "version: 1.28rc1", files("go.mod", gomod("go 1.25")), "1.28rc1 birdhouse.yaml:2"},
		{"major", "version: 1", files("go.mod", gomod("go 1.25")), "1.27.4 birdhouse.yaml:2 says 1; its newest release"},
		{"minor that is not there", "version: 1.22", files("go.mod", gomod("go 1.21")), "Go 1.22 is not in the catalog"},
		{"no version", "version: latest", files("go.mod", gomod("go 1.21")), `"latest" is not a version of Go`},
		{"leading zero", "version: 1.026", files("go.mod", gomod("go 1.21")), "is not a version of Go"},
		{"too old", "version: 1.9", files("go.mod", gomod("go 1.9")), "Go 1.9 is too old: the first that can be had is 1.21.0"},
		{"too old, a candidate", "version: 1.21rc2", files("go.mod", gomod("go 1.20")), "is too old"},
		{"lower than go.mod", "version: 1.25", files("go.mod", gomod("go 1.26.0")), "Go 1.25.11 is older than go.mod:3 asks for (go 1.26.0)"},
		{"lower than a replaced module", "version: 1.25", files(
			"go.mod", gomod("go 1.24\n\nrequire example.test/lib v0.0.0\n\nreplace example.test/lib => ./lib"),
			"lib/go.mod", "module example.test/lib\n\ngo 1.26\n"), "older than lib/go.mod:3"},
		{".go-version", "", files("go.mod", gomod("go 1.25"), ".go-version", "go1.26.7\n"), "1.26.7 .go-version:1"},
		{".go-version before .tool-versions", "", files("go.mod", gomod("go 1.25"), ".go-version", "# ours\n1.26\n", ".tool-versions", "golang 1.25.1\n"), "1.26.8 .go-version:2 says 1.26; its newest release"},
		{".tool-versions", "", files("go.mod", gomod("go 1.25"), ".tool-versions", "nodejs 24\ngo 1.26.7 system\n"), "1.26.7 .tool-versions:2"},
		{".tool-versions of the system", "", files("go.mod", gomod("go 1.25"), ".tool-versions", "golang system\n"), "1.27.4 go.mod:3"},
		{"the descriptor before files", "version: 1.25", files("go.mod", gomod("go 1.25"), ".go-version", "1.26.7\n"), "1.25.11 birdhouse.yaml:2"},
		{"broken .go-version", "", files("go.mod", gomod("go 1.25"), ".go-version", "newest\n"), ".go-version:1:1: \"newest\" is not a version of Go"},
		{".go-version above dir", "dir: app", files("app/go.mod", gomod("go 1.25"), ".go-version", "1.26.7\n", "app/main.go", program), "1.26.7 .go-version:1"},
		{"toolchain", "", files("go.mod", gomod("go 1.25\n\ntoolchain go1.26.7")), "1.26.7 go.mod:5"},
		{"toolchain default", "", files("go.mod", gomod("go 1.25\n\ntoolchain default")), "1.27.4 go.mod:3"},
		{"toolchain of a vendor", "", files("go.mod", gomod("go 1.25\n\ntoolchain go1.26.7-acme")), `go.mod:5:1: toolchain: "1.26.7-acme" is not a version of Go`},
		{"toolchain of a workspace", "", files("go.mod", gomod("go 1.25\n\ntoolchain go1.26.7"), "go.work", "go 1.25\n\ntoolchain go1.26.8\n\nuse .\n"), "1.26.8 go.work:3"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, ok := tt.project["app/main.go"]; !ok {
				tt.project["main.go"] = &fstest.MapFile{Data: []byte(program)}
			}
			r := planFor(t, "language: go\n"+tt.descriptor+"\n", tt.project, "")
			if r.Plan == nil {
				require.Contains(t, r.Text, tt.want)
				return
			}
			f := fact(t, r.Plan, "version")
			require.Contains(t, f.Value+" "+f.Source, tt.want)
			require.Equal(t, f.Value, stage(t, r.Plan, "build").Base.Version)
		})
	}
}

// A version that lacks security fixes is built, with a warning at its place.
func TestOldVersionWarning(t *testing.T) {
	for _, tt := range []struct {
		name, descriptor string
		project          fstest.MapFS
		want             string // "" for no warning
	}{
		{"none", "", files("go.mod", gomod("go 1.25")), ""},
		{"newest", "version: 1.27", files("go.mod", gomod("go 1.25")), ""},
		{"the one before", "version: 1.26", files("go.mod", gomod("go 1.25")), ""},
		{"its newest patch", "version: 1.26.8", files("go.mod", gomod("go 1.25")), ""},
		{"newer than the catalog", "version: 1.27.9", files("go.mod", gomod("go 1.25")), ""},
		{"a candidate of the next", "version: 1.28rc1", files("go.mod", gomod("go 1.25")), ""},
		{"old", "version: 1.25", files("go.mod", gomod("go 1.25")),
			"birdhouse.yaml:2:10: warning: version: Go 1.25 gets no security fixes any more\n  1 | language: go\n  2 | version: 1.25\n    |          ^^^^\n    | write 1.27 or 1.26, which do, or nothing: then the newest release is taken\n"},
		{"old, in full", "version: 1.25.11", files("go.mod", gomod("go 1.25")), "birdhouse.yaml:2:10: warning: version: Go 1.25 gets no security fixes any more"},
		{"old, and not in the catalog", "version: 1.23.2", files("go.mod", gomod("go 1.23")), "Go 1.23 gets no security fixes any more"},
		{"old patch", "version: 1.26.7", files("go.mod", gomod("go 1.25")),
			"birdhouse.yaml:2:10: warning: version: Go 1.26.7 lacks the fixes up to 1.26.8\n  1 | language: go\n  2 | version: 1.26.7\n    |          ^^^^^^ write 1.26, or nothing: then the newest release is taken\n"},
		{"a candidate of one that is out", "version: 1.27rc1", files("go.mod", gomod("go 1.25")), "Go 1.27rc1 lacks the fixes up to 1.27.4"},
		{".go-version", "", files("go.mod", gomod("go 1.25"), ".go-version", "# ours\n1.25\n"), ".go-version:2:1: warning: Go 1.25 gets no security fixes any more"},
		{".tool-versions", "", files("go.mod", gomod("go 1.25"), ".tool-versions", "golang 1.26.7\n"), ".tool-versions:1:8: warning: Go 1.26.7 lacks the fixes up to 1.26.8"},
		{"toolchain", "", files("go.mod", gomod("go 1.24\n\ntoolchain go1.24.3")),
			"go.mod:5:1: warning: toolchain: Go 1.24 gets no security fixes any more\n  5 | toolchain go1.24.3\n    | ^^^^^^^^^^^^^^^^^^\n    | write go1.27.4 or go1.26.8, which do, or nothing: then the newest release is taken\n"},
		{"toolchain, old patch", "", files("go.mod", gomod("go 1.25\n\ntoolchain go1.26.7")), "^ write go1.26.8, or nothing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.project["main.go"] = &fstest.MapFile{Data: []byte(program)}
			r := planFor(t, "language: go\n"+tt.descriptor+"\n", tt.project, "")
			require.NotNil(t, r.Plan, r.Text)
			if tt.want == "" {
				require.NotContains(t, r.Text, "fixes")
				return
			}
			require.Contains(t, r.Text, tt.want)
		})
	}
}

func TestPrograms(t *testing.T) {
	tests := []struct {
		name       string
		descriptor string
		project    fstest.MapFS
		want       string // package, source and binaries, or a part of the problem
	}{
		{"root before others", "", files("main.go", program, "cmd/x/main.go", program), ". (the main package in the project's folder) /app/app"},
		{"the only one", "", files("app.go", "package app\n", "cmd/x/main.go", program), "./cmd/x (the only main package) /app/x"},
		{"tools are no product", "", files("cmd/x/main.go", program, "internal/tools/gen/main.go", program, "hack/y/main.go", program), "./cmd/x (the only main package)"},
		{"only tools", "", files("tools/gen/main.go", program), "package: ./tools/gen"},
		{"named as the module", "", files("cmd/app/main.go", program, "cmd/z/main.go", program), "./cmd/app (the main package named as the module)"},
		{"two", "", files("cmd/y/main.go", program, "cmd/z/main.go", program), "package: ./cmd/y\n    | package: ./cmd/z"},
		{"tests only", "", files("main_test.go", program), "there is no main package"},
		{"ignored by a constraint", "", files("gen.go", "//go:build ignore\n\n"+program, "cmd/x/main.go", program), "./cmd/x"},
		{"for a tag that is asked for", "build: {tags: special}", files("main.go", "//go:build special\n\n"+program, "cmd/x/main.go", program), ". (the main package"},
		{"for a newer Go", "", files("main.go", "//go:build go1.99\n\n"+program, "cmd/x/main.go", program), "./cmd/x"},
		{"for one architecture", "", files("main_arm64.go", program), ". (the main package"},
		{"for another system", "", files("main_windows.go", program, "cmd/x/main.go", program), "./cmd/x"},
		{"an ignore directive", "", files("go.mod", gomod("go 1.25\n\nignore ./old"), "old/main.go", program, "cmd/x/main.go", program), "./cmd/x"},
		{"an ignored name", "", files("go.mod", gomod("go 1.25\n\nignore attic"), "a/attic/main.go", program, "cmd/x/main.go", program), "./cmd/x"},
		{"does not parse", "", files("main.go", "package", "cmd/x/main.go", program), "./cmd/x"},

		{"given", "package: ./cmd/y", files("cmd/y/main.go", program, "cmd/z/main.go", program), "./cmd/y (birdhouse.yaml:2) /app/y"},
		{"given, for no product", "package: ./tools/gen", files("cmd/y/main.go", program, "tools/gen/main.go", program), "./tools/gen (birdhouse.yaml:2) /app/gen"},
		{"an import path", "package: example.test/app/cmd/y", files("cmd/y/main.go", program, "cmd/z/main.go", program), "./cmd/y (birdhouse.yaml:2)"},
		{"a major version", "package: ./cmd/y/v2", files("cmd/y/v2/main.go", program), "./cmd/y/v2 (birdhouse.yaml:2) /app/y"},
		{"unsorted, twice", "package: [./cmd/z, ./cmd/y, ./cmd/z/]\nentrypoint: [/app/z]", files("cmd/y/main.go", program, "cmd/z/main.go", program), "./cmd/y ./cmd/z (birdhouse.yaml:2) /app/y /app/z"},
		{"all", "package: ./...\nentrypoint: [/app/z]", files("cmd/y/main.go", program, "tools/z/main.go", program, "lib/lib.go", "package lib\n"), "./cmd/y ./tools/z"},
		{"no ./", "package: cmd/y", files("cmd/y/main.go", program), `did you mean "./cmd/y"?`},
		{"not there", "package: ./cmd/nowhere", files("a/main.go", program, "b/main.go", program), "the main packages are\n    | package: ./a\n    | package: ./b"},
		{"outside", "package: ../y", files("main.go", program), "outside"},
		{"absolute", "package: /src/y", files("main.go", program), "is absolute"},
		{"dots in the middle", "package: ./.../y", files("main.go", program), "may only stand at the end"},
		{"of another module", "package: ./sub/y", files("main.go", program, "sub/go.mod", "module example.test/sub\n", "sub/y/main.go", program), "dir: sub"},
		{"nothing for Linux", "package: ./y", files("main.go", program, "y/main_windows.go", program), "no Go files to build for Linux"},
		{"same names", "package: [./a/x, ./b/x]\nentrypoint: [/app/x]", files("a/x/main.go", program, "b/x/main.go", program), "both make a program named x"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, ok := tt.project["go.mod"]; !ok {
				tt.project["go.mod"] = &fstest.MapFile{Data: []byte(gomod("go 1.25"))}
			}
			r := planFor(t, "language: go\n"+tt.descriptor+"\n", tt.project, "")
			if r.Plan == nil {
				require.Contains(t, r.Text, tt.want)
				return
			}
			f := fact(t, r.Plan, "package")
			got := f.Value + " (" + f.Source + ")"
			for _, c := range r.Plan.Layers[len(r.Plan.Layers)-1].Copies {
				require.Equal(t, "build", c.Stage)
				require.Equal(t, uint32(0o555), *c.Mode)
				got += " " + c.Target
			}
			require.Contains(t, got, tt.want)
			require.NotContains(t, tt.want, "package:", "an error was expected")
		})
	}
}

func TestImages(t *testing.T) {
	data, err := os.ReadFile(samples + "/images/birdhouse.yaml")
	require.NoError(t, err)
	project := os.DirFS(samples + "/images")
	web, worker := planFor(t, string(data), project, ""), planFor(t, string(data), project, "worker")
	require.Equal(t, []string{"/app/web"}, web.Plan.Image.Entrypoint)
	require.Equal(t, []string{"/app/worker"}, worker.Plan.Image.Entrypoint)
	require.Equal(t, []string{"-once"}, worker.Plan.Image.Cmd)
}

// What the download depends on is what makes it run again: module files, no
// sources, and no variable that it does not read.
func TestDownloadInputs(t *testing.T) {
	project := files(
		"go.mod", gomod("go 1.25\n\nrequire (\n\texample.test/lib v0.0.0\n\texample.test/other v1.2.3\n)\n\nreplace example.test/lib => ./lib"),
		"go.sum", "", "main.go", program, "lib/go.mod", "module example.test/lib\n", "lib/lib.go", "package lib\n",
		"unused/go.mod", "module example.test/unused\n")
	descriptor := "language: go\nargs: {CHANNEL: x}\nbuild: {env: {GOPROXY: 'https://proxy.example.test', COLOR: red}}\n"
	deps := stage(t, planFor(t, descriptor, project, "").Plan, "deps")
	require.Len(t, deps.Steps, 1)
	step := deps.Steps[0]
	require.True(t, step.Network)
	require.Equal(t, plan.Mount{Kind: plan.MountSource, Target: "/src", Include: []string{"go.mod", "go.sum", "lib/go.mod"}}, step.Mounts[0])
	require.Equal(t, "https://proxy.example.test", value(step.Env, "GOPROXY"))
	require.Empty(t, value(step.Env, "COLOR"))
	require.Empty(t, value(step.Env, "CHANNEL"))
	secrets := map[string]bool{}
	for _, m := range step.Mounts {
		if m.Kind == plan.MountSecretEnv {
			secrets[m.Target] = m.Optional
		}
	}
	require.True(t, secrets["GONOPROXY"])
	require.NotContains(t, secrets, "GOPROXY", "the descriptor's own value counts")

	build := stage(t, planFor(t, descriptor, project, "").Plan, "build").Steps[0]
	require.False(t, build.Network)
	require.Equal(t, "off", value(build.Env, "GOPROXY"))
	require.Equal(t, "red", value(build.Env, "COLOR"))
	require.Equal(t, "x", value(build.Env, "CHANNEL"))
}

func TestOnlyDownloadHasNetwork(t *testing.T) {
	entries, err := os.ReadDir(samples)
	require.NoError(t, err)
	for _, e := range entries {
		data, err := os.ReadFile(samples + "/" + e.Name() + "/birdhouse.yaml")
		if err != nil {
			continue
		}
		r := planFor(t, string(data), os.DirFS(samples+"/"+e.Name()), "")
		if r.Plan == nil {
			continue
		}
		for _, s := range r.Plan.Stages {
			for _, step := range s.Steps {
				require.Equal(t, s.Name == "deps", step.Network, "%s: %s", e.Name(), step.Name)
				for _, m := range step.Mounts {
					if m.SecretID == "netrc" {
						require.Equal(t, "deps", s.Name, "only the download gets netrc")
					}
				}
			}
		}
	}
}

func TestPrivateModules(t *testing.T) {
	mod := gomod("go 1.25\n\nrequire git.example.test/team/lib v1.0.0")
	project := files("go.mod", mod, "go.sum", "", "main.go", program)

	deps := stage(t, planFor(t, "language: go\n", project, "").Plan, "deps")
	require.Empty(t, deps.Base.With)
	require.Contains(t, deps.Steps[0].Mounts, plan.Mount{Kind: plan.MountSecret, Target: "/root/.netrc", SecretID: "netrc", Optional: true})

	deps = stage(t, planFor(t, "language: go\nsecrets: [netrc, {id: token, env: TOKEN}]\n", project, "").Plan, "deps")
	require.Equal(t, []string{"git"}, deps.Base.With)
	require.Contains(t, deps.Steps[0].Mounts, plan.Mount{Kind: plan.MountSecret, Target: "/root/.netrc", SecretID: "netrc"})
	require.Contains(t, deps.Steps[0].Mounts, plan.Mount{Kind: plan.MountSecretEnv, Target: "TOKEN", SecretID: "token"})

	r := planFor(t, "language: go\nssh: true\nbuild: {env: {GOPRIVATE: '*.example.test,code.acme.test/x'}}\n", project, "")
	deps = stage(t, r.Plan, "deps")
	env := deps.Steps[0].Env
	require.Equal(t, []string{"git"}, deps.Base.With)
	require.Equal(t, "2", value(env, "GIT_CONFIG_COUNT"))
	require.Equal(t, "url.ssh://git@code.acme.test/.insteadOf", value(env, "GIT_CONFIG_KEY_0"))
	require.Equal(t, "https://code.acme.test/", value(env, "GIT_CONFIG_VALUE_0"))
	require.Equal(t, "url.ssh://git@git.example.test/.insteadOf", value(env, "GIT_CONFIG_KEY_1"))
	require.Contains(t, value(env, "GIT_SSH_COMMAND"), "accept-new")
	mounts := deps.Steps[0].Mounts
	require.Equal(t, plan.Mount{Kind: plan.MountSSH, Target: value(env, "SSH_AUTH_SOCK"), SecretID: "default"}, mounts[len(mounts)-1])

	require.Contains(t, planFor(t, "language: go\nssh: true\n", project, "").Text, "warning: ssh: without GOPRIVATE")
}

// What a project with private modules downloads, no other project's build finds;
// public modules that others downloaded are not downloaded again.
func TestPrivateModulesAreKeptApart(t *testing.T) {
	project := files("go.mod", gomod("go 1.25\n\nrequire git.example.test/team/lib v1.0.0"), "go.sum", "", "main.go", program)
	caches := func(descriptor string) (ids map[string]string, saved, proxies string) {
		step := stage(t, planFor(t, "language: go\n"+descriptor, project, "").Plan, "deps").Steps[0]
		ids = map[string]string{}
		for _, m := range step.Mounts {
			if m.Kind == plan.MountCache {
				ids[m.Target] = m.CacheID
			}
		}
		for i, arg := range step.Args {
			switch arg {
			case "--save":
				_, saved, _ = strings.Cut(step.Args[i+1], "=")
			case "--prepend":
				proxies = step.Args[i+1]
			}
		}
		return ids, saved, proxies
	}
	ids, saved, _ := caches("")
	require.Equal(t, map[string]string{"/var/cache/go-mod": "birdhouse-go-mod"}, ids)
	require.Equal(t, "/var/cache/go-mod", saved)
	for _, descriptor := range []string{"secrets: [netrc]\n", "build: {env: {GOPRIVATE: git.example.test}}\n", "ssh: true\nbuild: {env: {GOPRIVATE: git.example.test}}\n"} {
		ids, saved, proxies := caches(descriptor)
		require.Equal(t, "birdhouse-go-mod", ids["/var/cache/go-mod"])
		require.Equal(t, "birdhouse-go-mod-private-example.test/app", ids[saved], descriptor)
		require.Equal(t, "GOPROXY=file:///var/cache/go-mod,file:///var/cache/go-mod-private,", proxies)
	}
}

func TestWorkspaceMember(t *testing.T) {
	project := files(
		"go.work", "go 1.25\n\nuse ./api\nuse ./lib\n",
		"api/go.mod", "module example.test/api\n\ngo 1.25\n\nrequire example.test/lib v0.0.0\n\nreplace example.test/lib => ../lib\n", "api/main.go", program,
		"lib/go.mod", "module example.test/lib\n\ngo 1.25\n", "lib/main.go", program, "lib/lib_test.go", "package main\n",
		"other/go.mod", "module example.test/other\n\ngo 1.25\n", "other/main.go", program)

	r := planFor(t, "language: go\ndir: api\ntest: true\n", project, "")
	build := stage(t, r.Plan, "build").Steps[0]
	require.Equal(t, "/src/api", build.Dir)
	require.Equal(t, "/src/go.work", value(build.Env, "GOWORK"))
	require.Contains(t, r.Text, "warning: test: the project has no test files", "those of lib are not the project's")

	require.Contains(t, planFor(t, "language: go\ndir: other\n", project, "").Text, "the module in other is not part of the workspace")
	r = planFor(t, "language: go\ndir: other\nbuild: {env: {GOWORK: 'off'}}\n", project, "")
	require.Equal(t, "off", value(stage(t, r.Plan, "build").Steps[0].Env, "GOWORK"))

	require.Contains(t, planFor(t, "language: go\n", project, "").Text, "package: ./api")

	delete(project, "lib/go.mod")
	require.Contains(t, planFor(t, "language: go\ndir: api\n", project, "").Text, "go.work:4:1: use ./lib: there is no lib/go.mod")
	project["go.work"].Data = []byte("go 1.25\n\nuse ../x\n")
	require.Contains(t, planFor(t, "language: go\ndir: api\n", project, "").Text, "use ../x is outside of the build context")
	project["go.work"].Data = []byte("go 1.25\n\nuses ./api\n")
	require.Contains(t, planFor(t, "language: go\ndir: api\n", project, "").Text, "go.work:3:1: unknown directive: uses")
}

// Go asks for the go.mod of a module of the workspace when another requires it
// by a version and nothing replaces it.
func TestWorkspaceUnpublished(t *testing.T) {
	project := files(
		"go.work", "go 1.25\n\nuse ./api\nuse ./lib\n",
		"api/go.mod", "module example.test/api\n\ngo 1.25\n\nrequire example.test/lib v0.0.0\n", "api/main.go", program,
		"lib/go.mod", "module example.test/lib\n\ngo 1.25\n")
	text := planFor(t, "language: go\n", project, "").Text
	require.Contains(t, text, "api/go.mod:5:1: example.test/lib v0.0.0 is not a published version")
	require.Contains(t, text, "replace example.test/lib => ../lib")
}

func TestVendorOfWorkspace(t *testing.T) {
	project := files(
		"go.work", "go 1.25\n\nuse ./api\n",
		"api/go.mod", "module example.test/api\n\ngo 1.25\n\nrequire example.test/lib v1.0.0\n", "api/go.sum", "", "api/main.go", program)
	require.Equal(t, "deps", planFor(t, "language: go\n", project, "").Plan.Stages[0].Name)

	project["vendor/modules.txt"] = &fstest.MapFile{Data: []byte("# example.test/lib v1.0.0\n")}
	require.Equal(t, "deps", planFor(t, "language: go\n", project, "").Plan.Stages[0].Name, "made by go mod vendor, not by go work vendor")

	project["vendor/modules.txt"] = &fstest.MapFile{Data: []byte("## workspace\n# example.test/lib v1.0.0\n")}
	r := planFor(t, "language: go\n", project, "")
	require.Equal(t, "build", r.Plan.Stages[0].Name)
	require.Equal(t, "-mod=vendor", value(r.Plan.Stages[0].Steps[0].Env, "GOFLAGS"))
}

func TestCGO(t *testing.T) {
	require_ := func(lines string) string { return gomod("go 1.25\n\nrequire (\n" + lines + "\n)") }
	importing := func(paths ...string) string {
		return "package main\n\nimport (\n\t_ \"" + strings.Join(paths, "\"\n\t_ \"") + "\"\n)\n\nfunc main() {}\n"
	}
	tests := []struct {
		name    string
		project fstest.MapFS
		refused string
	}{
		{"imported", files("go.mod", require_("github.com/mattn/go-sqlite3 v1.14.22"), "main.go", importing("github.com/mattn/go-sqlite3")), "modernc.org/sqlite"},
		{"its driver imported", files("go.mod", require_("gorm.io/driver/sqlite v1.5.0"), "main.go", importing("gorm.io/driver/sqlite")), "github.com/glebarez/sqlite"},
		{"a package below", files("go.mod", require_("github.com/davidbyttow/govips/v2 v2.16.0"), "main.go", importing("github.com/davidbyttow/govips/v2/vips")), "does not work without cgo"},
		{"no alternative", files("go.mod", require_("gocv.io/x/gocv v0.40.0"), "main.go", importing("gocv.io/x/gocv")), "build with cgo"},
		{"another package of it", files("go.mod", require_("github.com/google/gopacket v1.1.19"), "main.go", importing("github.com/google/gopacket/layers")), ""},
		{"the package of it", files("go.mod", require_("github.com/google/gopacket v1.1.19"), "main.go", importing("github.com/google/gopacket/pcap")), "pcapgo"},
		{"indirect", files("go.mod", require_("github.com/mattn/go-sqlite3 v1.14.22 // indirect"), "main.go", program), ""},
		{"by a test", files("go.mod", require_("github.com/mattn/go-sqlite3 v1.14.22"), "main.go", program, "main_test.go", importing("github.com/mattn/go-sqlite3")), ""},
		{"by a program that is not built", files("go.mod", require_("github.com/mattn/go-sqlite3 v1.14.22"), "main.go", program, "cmd/x/main.go", importing("github.com/mattn/go-sqlite3")), ""},
		{"with cgo alone", files("go.mod", require_("github.com/mattn/go-sqlite3 v1.14.22"), "main.go", program, "db.go", "//go:build cgo\n\n"+importing("github.com/mattn/go-sqlite3")), ""},
		{"replaced", files("go.mod", require_("github.com/mattn/go-sqlite3 v1.14.22")+"\nreplace github.com/mattn/go-sqlite3 => example.test/pure v1.0.0\n", "main.go", importing("github.com/mattn/go-sqlite3")), ""},
		{"through a replaced module", files("go.mod", gomod("go 1.25\n\nrequire example.test/lib v0.0.0\n\nreplace example.test/lib => ./lib"),
			"main.go", importing("example.test/lib"), "lib/go.mod", "module example.test/lib\n\nrequire github.com/mattn/go-sqlite3 v1.14.22\n",
			"lib/lib.go", "package lib\n\nimport _ \"github.com/mattn/go-sqlite3\"\n"), "lib/lib.go:3:10: github.com/mattn/go-sqlite3"},
		{"own C", files("go.mod", gomod("go 1.25"), "main.go", "package main\n\nimport \"C\"\n\nfunc main() {}\n"), `the program imports "C"`},
		{"own C with a substitute", files("go.mod", gomod("go 1.25"), "main.go", program, "c.go", "package main\n\nimport \"C\"\n", "pure.go", "//go:build !cgo\n\npackage main\n"), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.project["go.sum"] = &fstest.MapFile{}
			r := planFor(t, "language: go\npackage: .\n", tt.project, "")
			if tt.refused == "" {
				require.NotNil(t, r.Plan, r.Text)
			} else {
				require.Nil(t, r.Plan)
				require.Contains(t, r.Text, tt.refused)
				require.Contains(t, r.Text, "cgo: true")
			}

			r = planFor(t, "language: go\npackage: .\nbuild: {cgo: true}\n", tt.project, "")
			require.NotNil(t, r.Plan, r.Text)
			require.Equal(t, "cc:13", r.Plan.Run.String())
			build := stage(t, r.Plan, "build")
			require.Equal(t, plan.Base{Image: "go", Version: "1.27.4", Variant: "build-cgo", Cross: "cross-"}, build.Base)
			require.Equal(t, "1", value(build.Steps[0].Env, "CGO_ENABLED"))
			require.Equal(t, "aarch64-linux-gnu-gcc", value(build.Steps[0].PlatformEnv["arm64"], "CC"))
			require.Equal(t, "x86_64-linux-gnu-gcc", value(build.Steps[0].PlatformEnv["amd64/v3"], "CC"))
			require.Equal(t, "v3", value(build.Steps[0].PlatformEnv["amd64/v3"], "GOAMD64"))
			require.True(t, stage(t, r.Plan, "libraries").Gate)
		})
	}
}

func TestPackages(t *testing.T) {
	project := files("go.mod", gomod("go 1.25\n\nrequire example.test/lib v1.0.0"), "go.sum", "", "main.go", program, "main_test.go", "package main\n")
	run := plan.Base{Version: "13", Packages: []string{"git", "tini"}, Asked: "packages"}
	build := plan.Base{Image: "go", Version: "1.27.4", Variant: "build", Packages: []string{"libpq-dev", "protobuf-compiler"}, Asked: "build.packages"}

	r := planFor(t, "language: go\npackages: [tini, git]\ntest: true\nbuild: {packages: [protobuf-compiler, libpq-dev], generate: true}\n", project, "")
	require.NotNil(t, r.Plan, r.Text)
	run.Image = "base"
	require.Equal(t, run, r.Plan.Run, "packages have programs and libraries, which need the C library")
	require.Equal(t, plan.Fact{Name: "base", Value: "base:13", Source: "birdhouse.yaml:2: packages need the C library"}, fact(t, r.Plan, "base"))
	require.Equal(t, plan.Fact{Name: "packages", Value: "git tini", Source: "birdhouse.yaml:2"}, fact(t, r.Plan, "packages"))
	require.Equal(t, plan.Fact{Name: "build packages", Value: "libpq-dev protobuf-compiler", Source: "birdhouse.yaml:4"}, fact(t, r.Plan, "build packages"))
	for _, name := range []string{"generate", "test", "build"} {
		require.Equal(t, build, stage(t, r.Plan, name).Base, name)
	}
	require.Empty(t, stage(t, r.Plan, "deps").Base.Packages, "another package is no reason to download modules again")
	require.Empty(t, value(stage(t, r.Plan, "build").Steps[0].PlatformEnv["arm64"], "PKG_CONFIG_LIBDIR"))

	r = planFor(t, "language: go\npackages: [tini, git]\nbuild: {cgo: true, packages: [protobuf-compiler, libpq-dev]}\n", project, "")
	require.NotNil(t, r.Plan, r.Text)
	run.Image, build.Variant, build.Cross = "cc", "build-cgo", "cross-"
	require.Equal(t, run, r.Plan.Run)
	require.Equal(t, build, stage(t, r.Plan, "build").Base)
	require.Equal(t, "/usr/lib/aarch64-linux-gnu/pkgconfig:/usr/lib/pkgconfig:/usr/share/pkgconfig",
		value(stage(t, r.Plan, "build").Steps[0].PlatformEnv["arm64"], "PKG_CONFIG_LIBDIR"))
	require.Empty(t, stage(t, r.Plan, "libraries").Base.Packages)

	r = planFor(t, "language: go\npackages: []\n", project, "")
	require.Equal(t, plan.Base{Image: "static", Version: "13"}, r.Plan.Run)
}

func TestSmoke(t *testing.T) {
	project := files("go.mod", gomod("go 1.25"), "main.go", program)
	tests := []struct {
		descriptor string
		want       plan.Smoke
	}{
		{"expose: [53/udp, 8080]\nsmoke: {path: /healthz}", plan.Smoke{Port: 8080, Path: "/healthz", Status: 200, Timeout: 30}},
		{"expose: [8080]\nsmoke: {port: 8080, timeout: 1500ms}", plan.Smoke{Port: 8080, Timeout: 2}},
		{"expose: [8080]\nsmoke: {port: 9090, path: /, status: 404, output: gone}", plan.Smoke{Port: 9090, Path: "/", Status: 404, Output: "gone", Timeout: 30}},
		{"expose: [8080]\nsmoke: {args: [-version], output: v1}", plan.Smoke{Args: []string{"-version"}, Output: "v1", Timeout: 30}},
		{"expose: [8080]\nsmoke: {exit: 0}", plan.Smoke{Timeout: 30}},
		{"smoke: {output: x, exit: 3, env: {B: '2', A: '1'}}", plan.Smoke{Output: "x", Exit: 3, Timeout: 30, Env: []plan.Env{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}}}},
	}
	for _, tt := range tests {
		r := planFor(t, "language: go\n"+tt.descriptor+"\n", project, "")
		require.NotNil(t, r.Plan, r.Text)
		require.Equal(t, tt.want, *r.Plan.Smoke, tt.descriptor)
	}
}

func TestImageConfiguration(t *testing.T) {
	project := files("go.mod", gomod("go 1.25"), "main.go", program)
	r := planFor(t, `language: go
entrypoint: [/app/app, --serve]
cmd: [--port, "80"]
env: {B: "2", A: "1"}
user: 1000
workdir: /data
expose: [80, 53/udp]
volumes: [/data]
labels: {b: "2", a: "1"}
annotations: {c: "3"}
stopsignal: SIGINT
healthcheck: {test: [/app/app, --health], interval: 5s, retries: 2}
copy: ["conf:/etc/app:0444", "LICENSE:/licenses/LICENSE"]
`, project, "")
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, plan.Image{
		Entrypoint: []string{"/app/app", "--serve"}, Cmd: []string{"--port", "80"},
		Env:  []plan.Env{{Name: "A", Value: "1"}, {Name: "B", Value: "2"}},
		User: "1000", WorkingDir: "/data", Expose: []string{"80/tcp", "53/udp"}, Volumes: []string{"/data"},
		Labels: []plan.Env{{Name: "a", Value: "1"}, {Name: "b", Value: "2"}}, Annotations: []plan.Env{{Name: "c", Value: "3"}},
		StopSignal:  "SIGINT",
		Healthcheck: &plan.Healthcheck{Test: []string{"/app/app", "--health"}, Interval: 5e9, Retries: 2},
	}, r.Plan.Image)
	mode := uint32(0o444)
	require.Equal(t, plan.Layer{
		Name: "assets", Changes: "sometimes", What: "/etc/app, /licenses/LICENSE",
		Copies: []plan.Copy{
			{Source: "conf", Target: "/etc/app", Mode: &mode, Asked: "copy[0]"},
			{Source: "LICENSE", Target: "/licenses/LICENSE", Asked: "copy[1]"},
		},
	}, r.Plan.Layers[0])
	require.Equal(t, "application", r.Plan.Layers[1].Name)
}

func TestCPULimitWarning(t *testing.T) {
	const warning = "will not see the CPU limit"
	for _, tt := range []struct {
		name, descriptor string
		project          fstest.MapFS
		warned           bool
	}{
		{"old line", "", files("go.mod", gomod("go 1.24.5")), true},
		{"new line", "", files("go.mod", gomod("go 1.25")), false},
		{"godebug", "", files("go.mod", gomod("go 1.24\n\ngodebug containermaxprocs=1")), false},
		{"default", "", files("go.mod", gomod("go 1.24\n\ngodebug default=go1.26")), false},
		{"in the source", "", files("go.mod", gomod("go 1.24"), "debug.go", "//go:debug containermaxprocs=1\npackage main\n"), false},
		{"by hand", "env: {GOMAXPROCS: '2'}", files("go.mod", gomod("go 1.24")), false},
		{"old toolchain", "version: 1.24", files("go.mod", gomod("go 1.24\n\ngodebug containermaxprocs=1")), true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.project["main.go"] = &fstest.MapFile{Data: []byte(program)}
			r := planFor(t, "language: go\n"+tt.descriptor+"\n", tt.project, "")
			require.NotNil(t, r.Plan)
			require.Equal(t, tt.warned, strings.Contains(r.Text, warning), r.Text)
		})
	}
}

func TestNoModule(t *testing.T) {
	for _, tt := range []struct {
		name, descriptor string
		project          fstest.MapFS
		want             string
	}{
		{"nothing", "", files("README.md", ""), "there is no go.mod in the build context"},
		{"elsewhere", "", files("a/go.mod", gomod(""), "b/go.mod", gomod("")), "dir: a\n    | dir: b"},
		{"no such dir", "dir: a", files("go.mod", gomod("")), "is not a folder"},
		{"a package is no project", "dir: cmd/x", files("go.mod", gomod(""), "cmd/x/main.go", program), "package: ./cmd/x"},
		{"no module line", "", files("go.mod", "go 1.25\n"), "the file has no module line"},
		{"replaced by nothing", "", files("go.mod", gomod("require example.test/x v1.0.0\n\nreplace example.test/x => ./x")), "there is no x/go.mod"},
		{"replaced by an absolute path", "", files("go.mod", gomod("require example.test/x v1.0.0\n\nreplace example.test/x => /home/me/x")), "outside of the build context"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := planFor(t, "language: go\n"+tt.descriptor+"\n", tt.project, "")
			require.Nil(t, r.Plan)
			require.Contains(t, r.Text, tt.want)
		})
	}
}

// What an unused replace directive points to is of no interest to Go either.
func TestUnusedReplace(t *testing.T) {
	r := planFor(t, "language: go\n", files("go.mod", gomod("go 1.25\n\nreplace example.test/x => ../x"), "main.go", program), "")
	require.NotNil(t, r.Plan, r.Text)
}

func TestDetect(t *testing.T) {
	tests := []struct {
		name    string
		project fstest.MapFS
		file    string
		lines   string
	}{
		{"nothing", files("package.json", "{}"), "", ""},
		{"one program", files("go.mod", gomod("go 1.25"), "main.go", program), "go.mod", ""},
		{"two programs", files("go.mod", gomod("go 1.25"), "cmd/a/main.go", program, "cmd/b/main.go", program), "go.mod", "# package: ./cmd/a\n# package: ./cmd/b"},
		{"tests", files("go.mod", gomod("go 1.25"), "main.go", program, "main_test.go", "package main\n"), "go.mod", "# test: true"},
		{"workspace", files("go.work", "go 1.25\nuse ./a\n", "a/go.mod", gomod("go 1.25"), "a/main.go", program), "go.work", ""},
		{"below", files("a/go.mod", gomod("go 1.25"), "a/main.go", program), "a/go.mod", "dir: a"},
		{"several below", files("a/go.mod", gomod("go 1.25"), "b/go.mod", gomod("go 1.25")), "a/go.mod", "# dir: a\n# dir: b"},
		{"cgo", files("go.mod", gomod("go 1.25"), "main.go", "package main\n\nimport \"C\"\n\nfunc main() {}\n"), "go.mod", "build:\n  cgo: true"},
		{"broken", files("go.mod", "modul x"), "go.mod", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			d, ok := golang.Language{}.Detect(tt.project)
			require.Equal(t, tt.file != "", ok)
			require.Equal(t, tt.file, d.File)
			text := strings.Join(d.Lines, "\n")
			if tt.lines == "" {
				require.Empty(t, text)
			}
			require.Contains(t, text, tt.lines)
			_, problems := spec.Parse("birdhouse.yaml", []byte("language: go\n"+text+"\n"), []string{"go"})
			require.Empty(t, problems, "what init writes must be right")
		})
	}
}

func TestFilesThatCannotBeRead(t *testing.T) {
	for _, name := range []string{"go.mod", "go.sum", "main.go", "more.go", "lib/lib.go", ".go-version"} {
		t.Run(name, func(t *testing.T) {
			project := files("go.mod", gomod("go 1.25"), "go.sum", "", "main.go", program, "more.go", "package main\n", "lib/lib.go", "package lib\n", ".go-version", "1.26.8\n")
			project[name].Mode |= fs.ModeSymlink
			r := planFor(t, "language: go\n", plantest.Linked{MapFS: project, Name: name}, "")
			require.Nil(t, r.Plan)
			require.Equal(t, name+": the file cannot be read: it is a link out of the project\n1 problem, nothing was built\n", r.Text)
		})
	}
}
