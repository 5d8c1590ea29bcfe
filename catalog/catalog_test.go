package catalog_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/define"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

var updateGolden = flag.Bool("update", false, "write the golden files")

func smallDefinitions(t *testing.T) *define.Definitions {
	t.Helper()
	data, err := os.ReadFile("testdata/small.yaml")
	require.NoError(t, err)
	defs, err := define.Read(data)
	require.NoError(t, err)
	return defs
}

// smallLock is a lock for the definitions in testdata.
func smallLock() *catalog.Lock {
	locked := func(name, version, arch string) catalog.LockedPackage {
		return catalog.LockedPackage{Package: catalog.Package{
			Name: name, Version: version, Architecture: arch, Archive: "debian",
			Path: "pool/main/" + name + "_" + arch + ".deb", SHA256: strings.Repeat("0a", 32), Size: 10,
		}}
	}
	both := func(name, version string) map[string][]catalog.LockedPackage {
		return map[string][]catalog.LockedPackage{"amd64": {locked(name, version, "amd64")}, "arm64": {locked(name, version, "arm64")}}
	}
	static := both("certs", "20250419+deb7u1")
	for arch := range static {
		static[arch] = append(static[arch], locked("files", "7.1", arch), locked("zones", "2026f-0+deb7u1", "all"))
	}
	static["amd64"][0].Archive = "debian-security"
	date := time.Date(2026, 11, 20, 2, 11, 10, 0, time.UTC)
	return &catalog.Lock{
		Schema: catalog.LockSchema, Time: date,
		Suites: map[string]catalog.LockedSuite{"7": {
			Sources: []catalog.LockedSource{{Archive: "debian", Suite: "stone", InRelease: strings.Repeat("1b", 32), Date: date, Signer: "ABCD", Indices: map[string]catalog.LockedIndex{
				"amd64": {Path: "main/binary-amd64/Packages.xz", SHA256: strings.Repeat("2c", 32), Size: 20},
				"arm64": {Path: "main/binary-arm64/Packages.xz", SHA256: strings.Repeat("3d", 32), Size: 30},
			}}},
			Layers: map[string]map[string][]catalog.LockedPackage{
				"static": static,
				"libc":   both("libc6", "2.41-12+deb7u4"),
				"tool":   {"amd64": {locked("tool-x86-64", "1:2.0-1", "amd64")}, "arm64": {locked("tool-aarch64", "1:2.0-1", "arm64")}},
				"cross":  {"amd64": {locked("cross", "1", "amd64")}},
				"boot":   both("go", "1.24.4-1"),
			},
		}},
	}
}

func small(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.New(smallDefinitions(t), smallLock())
	require.NoError(t, err)
	return c
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *updateGolden {
		require.NoError(t, os.WriteFile(file, got, 0o644))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(want), string(got))
}

func TestImages(t *testing.T) {
	c := small(t)
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetIndent("", "  ")
	for _, im := range []struct {
		base plan.Base
		arch string
	}{
		{plan.Base{Image: "static", Version: "7"}, "amd64"},
		{plan.Base{Image: "base", Version: "7"}, "arm64"},
		{plan.Base{Image: "go", Version: "1.26.11", Variant: "build", With: []string{"cross"}}, "amd64"},
		{plan.Base{Image: "go", Version: "1.22.0", Variant: "build", With: []string{"cross", "tool"}}, "arm64"},
	} {
		img, err := c.Image(im.base, im.arch, "amd64")
		require.NoError(t, err)
		require.NoError(t, enc.Encode(img))
		for _, l := range img.Layers {
			require.Len(t, l.Spec.Packages, len(l.Packages))
		}
	}
	golden(t, "images.json", out.Bytes())
}

func TestLayersOfImagesAreTheSame(t *testing.T) {
	c := small(t)
	static, err := c.Image(plan.Base{Image: "static", Version: "7"}, "amd64", "amd64")
	require.NoError(t, err)
	base, err := c.Image(plan.Base{Image: "base", Version: "7"}, "amd64", "amd64")
	require.NoError(t, err)
	goImage, err := c.Image(plan.Base{Image: "go", Version: "1.26.11", Variant: "build"}, "amd64", "amd64")
	require.NoError(t, err)
	require.Equal(t, static.Layers[0], base.Layers[0])
	require.Equal(t, static.Layers[0], goImage.Layers[0])
	require.Equal(t, static.Layers[0], goImage.Layers[1].Bootstrap[0])
}

func TestImagesThatThereAreNot(t *testing.T) {
	c := small(t)
	for _, tt := range []struct {
		base plan.Base
		arch string
		want string
	}{
		{plan.Base{Image: "statik", Version: "7"}, "amd64", `base image statik:7: the catalog has no image "statik"; there are base, go, static`},
		{plan.Base{Image: "static", Version: "8"}, "amd64", `base image static:8: the catalog has no version "8" of it; there are 7`},
		{plan.Base{Image: "static", Version: "7", Variant: "debug"}, "amd64", `base image static:7-debug: the catalog has no such variant; there are static:7`},
		{plan.Base{Image: "go", Version: "1.26.11"}, "amd64", `base image go:1.26.11: the catalog has no such variant; there are go:1.26.11-build`},
		{plan.Base{Image: "static", Version: "7"}, "riscv64", `base image static:7: no images for the architecture "riscv64"; there are amd64, arm64`},
		{plan.Base{Image: "static", Version: "7", With: []string{"libc"}}, "amd64", `base image static:7: the catalog has no package set "libc"; there are cross, tool`},
		{plan.Base{Image: "go", Version: "1.20.14", Variant: "build"}, "amd64", `base image go:1.20.14-build: version 1.20.14 is too old: 1.21.0 is the oldest that can be had`},
		{plan.Base{Image: "go", Version: "1.26", Variant: "build"}, "amd64", `base image go:1.26-build: "1.26" is not a full Go version such as 1.26.11`},
		{plan.Base{Image: "go", Version: "1.26.11; rm", Variant: "build"}, "amd64", `is not a full Go version such as 1.26.11`},
		{plan.Base{Image: "go", Version: "", Variant: "build"}, "amd64", `"" is not a full Go version such as 1.26.11`},
	} {
		_, err := c.Image(tt.base, tt.arch, "amd64")
		require.ErrorContains(t, err, tt.want)
	}
	for _, v := range []string{"1.21.0", "1.26.11", "1.27rc2", "1.99.0", "2.0.0"} {
		_, err := c.Image(plan.Base{Image: "go", Version: v, Variant: "build"}, "amd64", "amd64")
		require.NoError(t, err, v)
	}
}

func TestLockThatDoesNotFit(t *testing.T) {
	lock := smallLock()
	lock.Suites["7"].Layers["libc"]["arm64"][0].Name = "libc7"
	_, err := catalog.New(smallDefinitions(t), lock)
	require.EqualError(t, err, "the lock does not fit the catalog's definitions: it has no package libc6 in the layer libc of 7 for arm64; `birdhouse catalog update FILE` writes one that does")

	lock = smallLock()
	amd64 := lock.Suites["7"].Layers["static"]["amd64"]
	lock.Suites["7"].Layers["libc"]["amd64"] = append(lock.Suites["7"].Layers["libc"]["amd64"], amd64[0])
	_, err = catalog.New(smallDefinitions(t), lock)
	require.ErrorContains(t, err, "it has the package certs in the layer libc of 7 for amd64")
}

// The built-in catalog has what the frontend and the languages rely on.
// A layer that a command makes has the version of what it is made of.
func TestVersionOfWhatIsMade(t *testing.T) {
	c, err := catalog.Default()
	require.NoError(t, err)
	img, err := c.Image(plan.Base{Image: "java", Version: "21"}, "arm64", "amd64")
	require.NoError(t, err)
	require.Regexp(t, `^21\.0\.[0-9.]+\+[0-9]+$`, img.FullVersion)
	runtime := img.Layers[len(img.Layers)-1]
	require.Equal(t, "Java "+img.FullVersion+", modules for web services", runtime.What)
	require.Equal(t, []string{"java-jdk-21"}, withPackage(runtime.Make.Root, "openjdk-21-jdk-headless", "amd64"), "jlink runs on the build machine")
	require.Equal(t, []string{"java-jmods-21"}, withPackage(runtime.Make.Target, "openjdk-21-jdk-headless", "arm64"), "it links what the image is for")
	require.Equal(t, []string{"PATH=/usr/lib/jvm/java-21/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", "JAVA_HOME=/usr/lib/jvm/java-21"}, img.Config.Env)
}

// withPackage returns the names of the layers that have a package for an
// architecture.
func withPackage(layers []catalog.Layer, name, arch string) []string {
	var names []string
	for _, l := range layers {
		for _, p := range l.Packages {
			if p.Name == name && p.Architecture == arch {
				names = append(names, l.Name)
			}
		}
	}
	return names
}

func TestDefault(t *testing.T) {
	c, err := catalog.Default()
	require.NoError(t, err)
	require.Equal(t, []string{"amd64", "arm64"}, c.Architectures())
	require.Equal(t, []string{"1.21.13", "1.22.12", "1.23.12", "1.24.13", "1.25.14", "1.26.11", "1.27.4"}, c.Versions("go"))
	require.Nil(t, c.Versions("cobol"))
	require.Equal(t, []string{"cross-amd64", "cross-arm64", "git", "init", "shell"}, c.Sets())
	refs := c.Refs()
	require.Equal(t, []string{"base:12", "base:12-debug", "base:13"}, refs[:3])
	require.Subset(t, refs, []string{"static:13", "static:13-debug", "cc:13", "go:1.21.13-build", "go:1.21.13-build-cgo"})
	require.NotContains(t, refs, "go:1.27.4-debug", "nothing runs on it")
	for _, arch := range c.Architectures() {
		for _, b := range c.Bases() {
			img, err := c.Image(b, arch, arch)
			require.NoError(t, err)
			require.Equal(t, "static", img.Layers[0].Name)
			require.Equal(t, "base-files", img.Layers[0].Packages[0].Name, "it has the links of the merged /usr")
			user := "65532"
			if strings.HasPrefix(b.Variant, "build") {
				user = "0"
			}
			if b.Image == "go" {
				require.Equal(t, b.Version, img.Layers[len(img.Layers)-1].GoToolchain)
			}
			require.Equal(t, user, img.Config.User)
			for _, l := range img.Layers {
				require.NotContains(t, l.What, "{", "all versions in %q are known", l.What)
				for _, p := range l.Packages {
					require.Contains(t, []string{arch, "all"}, p.Architecture)
				}
			}
		}
	}
	build, err := c.Image(plan.Base{Image: "go", Version: "1.26.11", Variant: "build", With: []string{"git"}}, "amd64", "amd64")
	require.NoError(t, err)
	var names []string
	for _, l := range build.Layers {
		names = append(names, l.Name)
	}
	require.Equal(t, []string{"static", "libc", "zlib", "shell", "libs", "git", "toolchain"}, names)
	require.Regexp(t, `^CA 20\d{6}, time zones 20\d\d[a-z]$`, build.Layers[0].What)
}

// Where cross compilers are not needed they add nothing.
func TestCrossCompilers(t *testing.T) {
	c, err := catalog.Default()
	require.NoError(t, err)
	for arch, other := range map[string]string{"amd64": "arm64", "arm64": "amd64"} {
		img, err := c.Image(plan.Base{Image: "go", Version: "1.26.11", Variant: "build-cgo", With: []string{"cross-" + arch}}, arch, arch)
		require.NoError(t, err)
		require.False(t, slices.ContainsFunc(img.Layers, func(l catalog.Layer) bool { return strings.HasPrefix(l.Name, "cross-") }))
		img, err = c.Image(plan.Base{Image: "go", Version: "1.26.11", Variant: "build-cgo", With: []string{"cross-" + other}}, arch, arch)
		require.NoError(t, err)
		require.Equal(t, "cross-"+other, img.Layers[len(img.Layers)-2].Name)
	}
}

// The lock in the tree is as this program writes it, and names no host.
func TestLockInTheTree(t *testing.T) {
	data, err := os.ReadFile("catalog.lock")
	require.NoError(t, err)
	lock, err := catalog.ParseLock("catalog.lock", data)
	require.NoError(t, err)
	written, err := lock.Bytes()
	require.NoError(t, err)
	require.Equal(t, string(data), string(written))
	require.NotContains(t, string(data), "://")
	require.NotContains(t, string(data), "debian.org")
}

// The frontend has the catalog, but neither verifies signatures nor resolves
// dependencies.
func TestCatalogIsSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	require.NoError(t, err)
	for _, not := range []string{"/openpgp", "/catalog/debian", "/catalog/update", "net/http"} {
		require.NotContains(t, string(out), not)
	}
}
