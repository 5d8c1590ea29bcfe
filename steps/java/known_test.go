package java

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What was found in libraries is used again while it is the same library, and no longer.
func TestKnownLibraries(t *testing.T) {
	p := newProject(t)
	p.spec.Cache = filepath.Join(p.dir, "cache")
	p.spec.Link = true
	p.file("target/birds-1.0.jar", birdsJar(t, manifestOf("Main-Class: com.example.Birds")))
	swing := func(name string) []byte {
		return zipped(t, entries(compile(t, map[string]string{name + ".java": "public class " + name + " { javax.swing.JButton button; }"}))...)
	}
	one := swing("One")
	p.classPath(p.file("repo/one-1.0.jar", one), p.file("repo/two-1.0.jar", swing("Two")))
	file := filepath.Join(p.spec.Cache, "libraries.json")
	linked := func() string {
		p.layers()
		text, err := os.ReadFile(filepath.Join(p.out, "link/jlink.args"))
		require.NoError(t, err)
		return string(text)
	}
	first := linked()
	require.Contains(t, first, "java.desktop")
	kept, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, 2, strings.Count(string(kept), "for javax.swing.JButton"))
	require.Equal(t, first, linked())

	// It is what is looked at: something else in it is believed.
	change := func(old, text string) {
		require.NoError(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(kept), old, text)), 0o644))
	}
	change("java.desktop", "java.rmi")
	require.NotContains(t, linked(), "java.desktop")

	// Unless the library is another one, which replaces what is not used any more.
	p.file("repo/one-1.0.jar", swing("Other"))
	require.Contains(t, linked(), "java.desktop")
	now, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Contains(t, string(now), "Other, for javax.swing.JButton")
	require.NotContains(t, string(now), "One, for")

	// Damaged, cut off, or of another steps program or JDK: as if there were none.
	p.file("repo/one-1.0.jar", one)
	for _, broken := range []string{"", string(kept[:len(kept)/2]), `{"key":"x",` + strings.ReplaceAll(string(kept[strings.Index(string(kept), `"libraries"`):]), "java.desktop", "java.rmi")} {
		require.NoError(t, os.WriteFile(file, []byte(broken), 0o644))
		require.Equal(t, first, linked())
		again, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, string(kept), string(again))
	}
}
