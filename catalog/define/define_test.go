package define

import (
	"os"
	"strings"
	"testing"

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
