package layer

import (
	"archive/tar"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Whatever a package holds: no panic, nothing changed outside of the output,
// nothing in it that must not be in an image, and nothing at all after an error.
func FuzzPackage(f *testing.F) {
	for _, ending := range []string{"", ".gz", ".xz", ".zst", "blocks.xz"} {
		f.Add(debOf(f, "one", ending, []entry{
			{name: "./usr/bin/"}, {name: "./usr/bin/x", content: strings.Repeat("x", 600), mode: 0o4755},
			{name: "./bin", link: "usr/bin"}, {name: "./bin/y", content: "y"},
			{name: "./z", link: "./usr/bin/x", flag: tar.TypeLink}}))
	}
	f.Add(debOf(f, "up", "", []entry{{name: "../outside/evil", content: "x"}}))
	f.Add(debOf(f, "link", "", []entry{{name: "a", link: "../outside"}, {name: "a/evil", content: "x"}}))
	f.Add(debOf(f, "absolute", "", []entry{{name: "a", link: "/"}, {name: "a/outside/evil", content: "x"}}))
	f.Add(debOf(f, "device", "", []entry{{name: "null", flag: tar.TypeChar}}))
	f.Fuzz(func(t *testing.T, deb []byte) { checkBuild(t, false, deb) })
}

// The same for the archive within, which a change of the package seldom reaches
// without breaking what is around it.
func FuzzData(f *testing.F) {
	f.Add(tarOf(f, []entry{{name: "./usr/bin/"}, {name: "./usr/bin/x", content: "x", mode: 0o4777}, {name: "./bin", link: "usr/bin"}, {name: "./bin/y", content: "y"}}), true)
	f.Add(tarOf(f, []entry{{name: "../outside/evil", content: "x"}}), false)
	f.Add(tarOf(f, []entry{{name: "a", link: "b/.."}, {name: "b", link: "."}, {name: "a/../evil", content: "x"}}), false)
	f.Add(tarOf(f, []entry{{name: "lib/x", content: "x"}, {name: "lib/y", link: "lib/x", flag: tar.TypeLink}}), true)
	f.Fuzz(func(t *testing.T, data []byte, lower bool) {
		// A checksum that does not match would end it at the first entry.
		for at := 0; at+512 <= len(data); at += 512 {
			if slices.ContainsFunc(data[at:at+512], func(b byte) bool { return b != 0 }) && string(data[at+257:at+262]) == "ustar" {
				fixTarChecksum(data[at:])
			}
		}
		checkBuild(t, lower, arOf([2]string{"debian-binary", "2.0\n"},
			[2]string{"control.tar", string(tarOf(t, []entry{{name: "control", content: control("fuzz")}}))},
			[2]string{"data.tar", string(data)}))
	})
}

func checkBuild(t *testing.T, lower bool, deb []byte) {
	checkSpec(t, Spec{Packages: []Package{save(t, deb)}, Lower: lower, Exclude: []string{"usr/share/**"}})
}

func checkSpec(t *testing.T, spec Spec) {
	dir := t.TempDir()
	outside, out := filepath.Join(dir, "outside"), filepath.Join(dir, "out")
	if err := os.Mkdir(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := listing(t, outside, true)
	err := build(spec, out, limits{bytes: 1 << 20, entries: 100})
	if after := listing(t, outside, true); !slices.Equal(before, after) {
		t.Errorf("outside changed: %q, was %q", after, before)
	}
	if names, _ := os.ReadDir(dir); len(names) > 2 {
		t.Errorf("there is more beside the output: %v", names)
	}
	if err != nil {
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%v was left behind after %v", left, err)
		}
		return
	}
	// Read modes alone: directories need not be readable.
	_ = filepath.WalkDir(out, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			t.Fatal(err)
		}
		inside, err := filepath.Rel(out, name)
		if err != nil {
			t.Fatal(err)
		}
		mode := info.Mode()
		if mode&(fs.ModeSetuid|fs.ModeSetgid|fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket|fs.ModeIrregular) != 0 {
			t.Errorf("%s has the mode %v", inside, mode)
		}
		if mode.Type() != fs.ModeSymlink && mode.Perm()&0o002 != 0 && inside != "tmp" {
			t.Errorf("%s has the mode %v: everybody may write to it", inside, mode)
		}
		if info.ModTime().UnixNano() != 0 {
			t.Errorf("%s changed at %v", inside, info.ModTime())
		}
		// So that the test can remove it, whoever runs it.
		if d.IsDir() {
			_ = os.Chmod(name, 0o700)
		}
		return nil
	})
}
