package catalog_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// A -debug image is the run image with one more layer; nothing else differs.
func TestDebugImages(t *testing.T) {
	c, err := catalog.Default()
	require.NoError(t, err)
	seen := 0
	for _, b := range c.Bases() {
		of, ok := strings.CutSuffix(b.Variant, "debug")
		if !ok {
			continue
		}
		seen++
		for _, arch := range c.Architectures() {
			debug, err := c.Image(b, arch, "amd64")
			require.NoError(t, err)
			run, err := c.Image(plan.Base{Image: b.Image, Version: b.Version, Variant: strings.TrimSuffix(of, "-")}, arch, "amd64")
			require.NoError(t, err)
			n := len(run.Layers)
			require.Len(t, debug.Layers, n+1)
			require.Equal(t, run.Layers, debug.Layers[:n])
			require.Equal(t, "busybox-static", debug.Layers[n].Packages[0].Name)
			require.Equal(t, run.Config, debug.Config)
			require.Equal(t, run.FullVersion, debug.FullVersion)
		}
	}
	require.GreaterOrEqual(t, seen, 12)
}

// Images of a language and of none share their lower layers in each release of
// Debian.
func TestPythonImages(t *testing.T) {
	c, err := catalog.Default()
	require.NoError(t, err)
	require.Equal(t, []string{"3.11", "3.13", "3.14"}, c.Versions("python"))
	for v, suite := range map[string]string{"3.11": "12", "3.13": "13", "3.14": "14"} {
		img, err := c.Image(plan.Base{Image: "python", Version: v}, "arm64", "amd64")
		require.NoError(t, err)
		cc, err := c.Image(plan.Base{Image: "cc", Version: suite}, "arm64", "amd64")
		require.NoError(t, err)
		require.Equal(t, suite, img.Suite)
		require.Equal(t, cc.Layers, img.Layers[:len(cc.Layers)])
		require.True(t, strings.HasPrefix(img.FullVersion, v+"."), img.FullVersion)
		require.Equal(t, []string{"python3"}, img.Config.Cmd)

		// The bytecode is made by the building machine's Python, for the image's.
		made := img.Layers[len(img.Layers)-1]
		require.NotNil(t, made.Make)
		require.False(t, made.Make.Network)
		python := func(layers []catalog.Layer) string {
			for _, p := range layers[len(layers)-1].Packages {
				if p.Name == "python"+v+"-minimal" {
					return p.Architecture
				}
			}
			return "none"
		}
		require.Equal(t, "amd64", python(made.Make.Root))
		require.Equal(t, "arm64", python(made.Make.Target))
		require.Equal(t, img.Layers[:len(img.Layers)-1], made.Make.Target)
		require.Equal(t, "/usr/bin/python"+v, made.Make.Args[0])

		full, err := c.Image(plan.Base{Image: "python", Version: v, Variant: "build-full"}, "amd64", "amd64")
		require.NoError(t, err)
		var names []string
		for _, l := range full.Layers {
			names = append(names, l.Name)
		}
		require.Subset(t, names, []string{"shell", "git", "gcc", "python-" + v, "bytecode-" + v, "pip-" + v, "uv-" + v, "python-headers-" + v})
	}
	_, err = c.Image(plan.Base{Image: "python", Version: "3.12"}, "amd64", "amd64")
	require.EqualError(t, err, `base image python:3.12: the catalog has no version "3.12" of it; there are 3.11, 3.13, 3.14`)
	_, err = c.Image(plan.Base{Image: "python", Version: "3.13"}, "amd64", "riscv64")
	require.ErrorContains(t, err, `no images can be made on the architecture "riscv64"; they can on amd64, arm64`)
	_, err = c.Image(plan.Base{Image: "python", Version: "3.11", Variant: "build", With: []string{"cross-arm64"}}, "amd64", "amd64")
	require.ErrorContains(t, err, `the catalog has no package set "cross-arm64"; there are git, init, shell`, "that set is for another release of Debian")
}

func TestEndOfLife(t *testing.T) {
	c, err := catalog.Default()
	require.NoError(t, err)
	date, ok := c.EndOfLife("node", "20")
	require.True(t, ok)
	require.Equal(t, "2026-04-30", date)
	_, ok = c.EndOfLife("python", "3.13")
	require.False(t, ok)
}

// Which index each source of the lock had is known, for packages that a
// descriptor asks for.
func TestIndicesAreLocked(t *testing.T) {
	c, err := catalog.Default()
	require.NoError(t, err)
	for _, suite := range c.Lock().Suites {
		for _, source := range suite.Sources {
			for _, arch := range c.Architectures() {
				require.Regexp(t, `^dists/`+source.Suite+`/main/binary-`+arch+`/by-hash/SHA256/[0-9a-f]{64}$`, source.IndexPath(arch))
			}
			require.Empty(t, source.IndexPath("riscv64"))
		}
	}
}

// Modules of another architecture come on top of the image that links them, with the
// paths that name their architecture; for its own there is nothing to add.
func TestForeignSets(t *testing.T) {
	c, err := catalog.Default()
	require.NoError(t, err)
	b := plan.Base{Image: "java", Version: "21", Variant: "build-full"}
	alone, err := c.Image(b, "amd64", "amd64")
	require.NoError(t, err)
	b.With = []string{"jmods-arm64"}
	with, err := c.Image(b, "amd64", "amd64")
	require.NoError(t, err)
	n := len(alone.Layers)
	require.Len(t, with.Layers, n+1)
	require.Equal(t, alone.Layers, with.Layers[:n])
	added := with.Layers[n]
	require.Equal(t, "java-jmods-21-arm64", added.Name)
	require.NotEmpty(t, added.Packages)
	for _, p := range added.Packages {
		require.Equal(t, "arm64", p.Architecture, p.Name)
	}
	here, err := c.Image(b, "arm64", "amd64")
	require.NoError(t, err)
	b.With = nil
	own, err := c.Image(b, "arm64", "amd64")
	require.NoError(t, err)
	require.Equal(t, own.Layers, here.Layers)
	require.Equal(t, here.Layers[slices.IndexFunc(here.Layers, func(l catalog.Layer) bool { return l.Name == "java-jmods-21" })].Packages, added.Packages,
		"the same packages are locked once")

	b.With = []string{"jmods-riscv64"}
	_, err = c.Image(b, "amd64", "amd64")
	require.ErrorContains(t, err, `no package set "jmods-riscv64"; there are cross-amd64, cross-arm64, git, init, shell, jmods-amd64, jmods-arm64`)
	_, err = c.Image(plan.Base{Image: "cc", Version: "13", With: []string{"jmods-arm64"}}, "amd64", "amd64")
	require.ErrorContains(t, err, "no package set")
}
