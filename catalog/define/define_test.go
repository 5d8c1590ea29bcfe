package define

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func names(layers []Layer) string {
	var out []string
	for _, l := range layers {
		out = append(out, l.Name)
	}
	return strings.Join(out, " ")
}

func small(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../testdata/small.yaml")
	require.NoError(t, err)
	return string(data)
}

func TestStack(t *testing.T) {
	d, err := Read([]byte(small(t)))
	require.NoError(t, err)
	amd64 := Place{Suite: "7", Arch: "amd64"}
	require.Equal(t, "static libc tool cross", names(d.Stack(amd64, "cross")))
	require.Equal(t, "static libc tool cross", names(d.Stack(amd64, "cross", "static", "tool")))
	require.Equal(t, "", names(d.Stack(Place{Suite: "7", Arch: "arm64"}, "cross")), "nor what it lies on")
	require.Equal(t, "static", names(d.Stack(amd64, "static", "unknown")))
	require.Equal(t, []string{"lib-aarch64/{x}"}, d.Expand(Place{Suite: "7", Arch: "arm64"}, []string{"lib-{gnu}/{x}"}))
}

func TestDefinitionsThatAreRefused(t *testing.T) {
	text := small(t)
	for _, tt := range []struct{ name, old, new, want string }{
		{"unknown key", "caBundle: true", "cabundle: true", "cabundle"},
		{"key twice", "    caBundle: true", "    caBundle: true\n    caBundle: true", "caBundle"},
		{"two documents", "architectures:", "---\n{}\n---\narchitectures:", "document"},
		{"layer twice", "name: libc", "name: static", `the name of layer "static" is empty or used twice`},
		{"on an unknown layer", "on: [libc]", "on: [libd]", `layer "tool" lies on "libd", which is not defined before it`},
		{"unknown architecture", "architectures: [amd64]", "architectures: [i386]", `layer "cross" is for "i386", which is not an architecture`},
		{"no packages", "packages: [libc6]", "packages: []", `layer "libc" has no packages`},
		{"package twice", "packages: [libc6]", "packages: [libc6, libc6]", `layer "libc" names the package "libc6" twice`},
		{"both in and out", "without: [shell-scripts]", "without: [zones]", `layer "static" both has "zones" and leaves it out`},
		{"absolute pattern", "exclude: [usr/share/man/**]", "exclude: [/usr/share/man/**]", `trim: "/usr/share/man/**" is not a pattern`},
		{"malformed pattern", "exclude: [usr/share/man/**]", "exclude: ['usr/[']", `trim: "usr/[" is not a pattern`},
		{"unknown placeholder", "usr/lib/{triplet}/gconv/**", "usr/lib/{tuple}/gconv/**", `"usr/lib/{tuple}/gconv/**" is not a pattern`},
		{"relative file", "path: /etc/passwd", "path: etc/passwd", `the path "etc/passwd" must be absolute and clean`},
		{"file that climbs", "path: /etc/passwd", "path: /etc/../../passwd", `must be absolute and clean`},
		{"mode", `mode: "0644"`, `mode: "0648"`, `the mode "0648" of /etc/passwd is not octal`},
		{"unknown archive", "archive: debian,", "archive: mine,", `suite "7": a source has the archive debian or debian-security`},
		{"no component", "component: main", "component: ''", `suite "7" needs a component and sources`},
		{"image of an unknown layer", "layers: [libc]", "layers: [libd]", `image "base" has the layer "libd", which is not defined`},
		{"image with no layers", "layers: [libc]", "layers: []", `image "base" has no layers`},
		{"image of an unknown suite", `suite: "7"`, `suite: "8"`, `image "go" is of the suite "8", which is not defined`},
		{"go with no bootstrap", "bootstrap: [boot]", "bootstrap: []", `image "go" needs go.bootstrap, a suite and versions`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(text, tt.old, tt.new, 1)
			require.NotEqual(t, text, bad)
			_, err := Read([]byte(bad))
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, "reading the catalog's definitions: ")
		})
	}
	_, err := Read(nil)
	require.Error(t, err)
}

// rich has what testdata/small.yaml has not.
const rich = `
architectures: {amd64: {gnu: x86}, arm64: {gnu: arm}}
suites:
  "7": {component: main, values: {cc: "12", t: ""}, sources: [{archive: debian, suite: stone}]}
  "8": {component: main, values: {cc: "14", t: t64}, sources: [{archive: debian, suite: iron, graceDays: 3}]}
debug: [shell]
layers:
  - {name: static, packages: [files], perSuite: {"7": {packages: [links], files: [{path: /bin, link: usr/bin}]}}}
  - {name: shell, on: [static], with: true, packages: [busybox]}
  - {name: cc, on: [static], packages: ["gcc-{cc}-{gnu}", "libssl{t}"]}
  - {name: "tool-{version}", on: [cc], packages: ["tool{version}"], links: [{dir: /usr/bin, to: "tool{version}", names: [tool]}]}
  - name: "made-{version}"
    on: ["tool-{version}"]
    make: {root: ["tool-{version}", shell], target: ["tool-{version}"], args: ["/usr/bin/tool{version}", "{gnu}"], env: ["V={version}"]}
  - {name: new, on: [static], with: true, suites: ["8"], packages: [new]}
images:
  static: {layers: [static]}
  tool:
    suite: "8"
    suites: {"1": "7"}
    versions: ["1", "2"]
    endOfLife: {"1": "2026-04-30"}
    release: "tool{version}"
    layers: ["made-{version}"]
    variants:
      build: {layers: ["tool-{version}"]}
      more: {layers: ["tool-{version}"], run: true}
`

func TestPlaces(t *testing.T) {
	d, err := Read([]byte(rich))
	require.NoError(t, err)
	stack := d.Stack(Place{"7", "arm64", "1"}, "made-{version}", "new")
	require.Equal(t, "static cc tool-1 made-1", names(stack), "new is in another suite")
	require.Equal(t, []string{"files", "links"}, stack[0].Packages)
	require.Equal(t, []File{{Path: "/bin", Link: "usr/bin"}}, stack[0].Files)
	require.Equal(t, []string{"gcc-12-arm", "libssl"}, stack[1].Packages)
	require.Equal(t, []Links{{Dir: "/usr/bin", To: "tool1", Names: []string{"tool"}}}, stack[2].Links)
	require.Equal(t, &Make{
		Root: []string{"tool-{version}", "shell"}, Target: []string{"tool-{version}"},
		Args: []string{"/usr/bin/tool1", "arm"}, Env: []string{"V=1"},
	}, stack[3].Make)

	stack = d.Stack(Place{"8", "amd64", "2"}, "made-{version}", "new")
	require.Equal(t, "static cc tool-2 made-2 new", names(stack))
	require.Equal(t, []string{"files"}, stack[0].Packages)
	require.Empty(t, stack[0].Files)
	require.Equal(t, []string{"gcc-14-x86", "libsslt64"}, stack[1].Packages)
	require.Equal(t, 72*time.Hour, d.Suites["8"].Sources[0].Grace())
}

// Only what something uses is locked: a layer once for each version.
func TestUsed(t *testing.T) {
	d, err := Read([]byte(rich))
	require.NoError(t, err)
	used := func(suite string) string {
		var out []Layer
		for _, u := range d.Used(suite, "amd64") {
			require.Equal(t, Place{suite, "amd64", u.Version}, u.Place)
			require.Equal(t, u.Version != "", strings.HasSuffix(u.Defined, "-{version}"))
			out = append(out, u.Layer)
		}
		return names(out)
	}
	require.Equal(t, "static shell cc tool-1 made-1", used("7"))
	require.Equal(t, "static shell cc tool-2 made-2 new", used("8"))
	// Without the image nothing needs the compiler.
	delete(d.Images, "tool")
	require.Equal(t, "static shell", used("7"))
}

func TestVariants(t *testing.T) {
	d, err := Read([]byte(rich))
	require.NoError(t, err)
	im := d.Images["tool"]
	require.Equal(t, []string{"", "debug", "build", "more", "more-debug"}, d.Variants(im))
	layers, top, _, ok := d.Variant(im, "more-debug")
	require.True(t, ok)
	require.Equal(t, []string{"tool-{version}"}, layers)
	require.Equal(t, []string{"shell"}, top)
	_, _, _, ok = d.Variant(im, "build-debug")
	require.False(t, ok, "nothing runs on a build image")
	require.Equal(t, []string{"1"}, im.In("7"))
	require.Equal(t, []string{"2"}, im.In("8"))
}

func TestRichDefinitionsThatAreRefused(t *testing.T) {
	for _, tt := range []struct{ name, old, new, want string }{
		{"suite of a layer", `suites: ["8"], packages`, `suites: ["9"], packages`, `layer "new" is for "9", which is not a suite`},
		{"perSuite", `perSuite: {"7"`, `perSuite: {"9"`, `layer "static" is for "9", which is not a suite`},
		{"no value", `"gcc-{cc}-{gnu}"`, `"gcc-{c}-{gnu}"`, `layer "cc" has the package "gcc-{c}-x86": a placeholder has no value`},
		{"version without a name for it", `name: "tool-{version}", on: [cc]`, `name: tool, on: [cc]`, `layer "tool" has the package "tool{version}": a placeholder has no value`},
		{"on a version", `name: new, on: [static]`, `name: new, on: ["tool-{version}"]`, `layer "new" needs a layer with {version}, so its name needs it, too`},
		{"a version to add", `with: true, suites: ["8"]`, `with: true, architectures: [arm65], suites: ["8"]`, `layer "new" is for "arm65", which is not an architecture`},
		{"made with nothing", `args: ["/usr/bin/tool{version}", "{gnu}"], `, ``, `layer "made-{version}": make needs args and a root`},
		{"made with what comes later", `root: ["tool-{version}", shell]`, `root: [new]`, `layer "made-{version}" is made with "new", which is not defined before it`},
		{"made and packages", `    on: ["tool-{version}"]`, `    on: ["tool-{version}"]` + "\n    packages: [x]", `layer "made-{version}" is made by a command, so it has nothing else`},
		{"value twice", `values: {cc: "12", t: ""}`, `values: {gnu: "12", cc: "1", t: ""}`, `suite "7": {gnu} is a value of the architecture amd64, too`},
		{"value of a name that is taken", `values: {cc: "12", t: ""}`, `values: {version: "12", cc: "1", t: ""}`, `{version} cannot be the name of a value`},
		{"debug", "debug: [shell]", `debug: ["tool-{version}"]`, `debug has the layer "tool-{version}", which is not defined for all versions`},
		{"variant by rule", "more: {layers", "debug: {layers", `image "tool": a variant cannot be named "debug"`},
		{"end of an unknown version", `endOfLife: {"1"`, `endOfLife: {"3"`, `image "tool" has no version "3"`},
		{"end that is no day", `"2026-04-30"`, `"April"`, `image "tool": the end of life of 1, "April", is no day such as 2026-04-30`},
		{"suite of a version", `suites: {"1": "7"}`, `suites: {"1": "9"}`, `image "tool" is of the suite "9", which is not defined`},
		{"versions of no language", `static: {layers: [static]}`, `static: {layers: [static], versions: ["1"]}`, `image "static" needs both a suite and versions, or none of them`},
		{"version of no language", `static: {layers: [static]}`, `static: {layers: ["tool-{version}"]}`, `image "static" has the layer "tool-{version}", but no versions`},
		{"empty layer", `{name: new, on: [static], with: true, suites: ["8"], packages: [new]}`, `{name: new}`, `layer "new" has no packages, archive, files or command`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(rich, tt.old, tt.new, 1)
			require.NotEqual(t, rich, bad)
			_, err := Read([]byte(bad))
			require.ErrorContains(t, err, tt.want)
		})
	}
}
