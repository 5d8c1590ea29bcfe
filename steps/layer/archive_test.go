package layer

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Packages of the real archive, through this machine's own mirror and in the
// versions of this day, give what dpkg-deb makes of them.
func TestRealPackages(t *testing.T) {
	if testing.Short() {
		t.Skip("needs network")
	}
	dir := t.TempDir()
	names := []string{"base-files", "libc6", "libstdc++6", "zlib1g", "tzdata", "ca-certificates", "git", "perl-base"}
	run := func(name string, args ...string) error {
		cmd := exec.Command(name, args...)
		cmd.Dir = dir
		if output, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, output)
		}
		return nil
	}
	download := append([]string{"download"}, names...)
	if err := run("apt-get", download...); err != nil {
		if err := run("apt-get", "update"); err != nil {
			t.Fatal(err)
		}
		if err := run("apt-get", download...); err != nil {
			t.Fatal(err)
		}
	}
	var spec Spec
	theirs := filepath.Join(t.TempDir(), "theirs")
	for _, name := range names {
		found, err := filepath.Glob(filepath.Join(dir, name+"_*.deb"))
		if err != nil || len(found) != 1 {
			t.Fatalf("%s: %v, %v", name, found, err)
		}
		content, err := os.ReadFile(found[0])
		if err != nil {
			t.Fatal(err)
		}
		spec.Packages = append(spec.Packages, Package{Path: found[0], SHA256: fmt.Sprintf("%x", sha256.Sum256(content))})
		if err := run("dpkg-deb", "-x", found[0], theirs); err != nil {
			t.Fatal(err)
		}
	}
	ours := mustBuild(t, spec)
	// Content and links alone: modes, owners and times are ours to decide.
	content := func(root string) []string {
		var lines []string
		for _, line := range listing(t, root, false) {
			if name, content, ok := strings.Cut(line, ` "`); ok {
				name, _, _ = strings.Cut(name, " ")
				line = fmt.Sprintf("%s %x", name, sha256.Sum256([]byte(content)))
			} else if !strings.Contains(line, " -> ") {
				line, _, _ = strings.Cut(line, " ")
			} else {
				line, _, _ = strings.Cut(line, " changed at ")
			}
			lines = append(lines, line)
		}
		return lines
	}
	a, b := content(ours), content(theirs)
	if len(a) < 500 {
		t.Errorf("only %d files", len(a))
	}
	for _, line := range a {
		if _, found := slices.BinarySearch(b, line); !found {
			t.Errorf("only here: %s", line)
		}
	}
	for _, line := range b {
		if _, found := slices.BinarySearch(a, line); !found {
			t.Errorf("only dpkg-deb has: %s", line)
		}
	}

	// What an image is made of: trimmed, with the bundle, on top of others.
	spec.Lower, spec.CABundle = true, true
	spec.Exclude = []string{"usr/share/doc/**", "usr/share/man/**", "usr/share/ca-certificates/**"}
	trimmed := mustBuild(t, spec)
	bundle, err := os.ReadFile(filepath.Join(trimmed, caBundlePath))
	if n := strings.Count(string(bundle), "BEGIN CERTIFICATE"); err != nil || n < 100 {
		t.Errorf("the bundle has %d certificates, %v", n, err)
	}
	for _, line := range listing(t, trimmed, true) {
		name, _, _ := strings.Cut(line, " ")
		if strings.HasPrefix(name, "lib/") || strings.HasPrefix(name, "bin/") || strings.HasPrefix(name, "usr/share/man") ||
			strings.Contains(attributes(line), "changed at") || strings.Contains(attributes(line), "owned by") {
			t.Errorf("unwanted: %.120s", line)
		}
	}
	if _, err := os.Stat(filepath.Join(trimmed, "usr/share/doc/tzdata/copyright")); err != nil {
		t.Error(err)
	}
}
