package builder

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What BuildKit leaves goes, and the folder with it; a folder with something in it,
// which may be a mount of the cache, stays.
func TestTempFolder(t *testing.T) {
	for name, full := range map[string]bool{"files and empty folders": false, "a full folder": true} {
		t.Run(name, func(t *testing.T) {
			before := t.TempDir()
			t.Setenv("TMPDIR", before)
			tidy, err := tempFolder()
			if err != nil {
				t.Fatal(err)
			}
			dir := os.TempDir()
			if filepath.Dir(dir) != before {
				t.Fatalf("temporary files are made in %s, not in a folder of %s", dir, before)
			}
			mount := filepath.Join(dir, "buildkit-mount1")
			err = errors.Join(
				os.WriteFile(filepath.Join(dir, "1"), nil, 0o600),
				os.Mkdir(filepath.Join(dir, ".buildkit-ssh-sock1"), 0o711),
				os.Mkdir(mount, 0o700))
			want := []string(nil)
			if full {
				file := filepath.Join(mount, "file")
				err = errors.Join(err, os.WriteFile(file, nil, 0o600))
				want = []string{dir, mount, file}
			}
			if err != nil {
				t.Fatal(err)
			}
			tidy()
			if got := os.TempDir(); got != before {
				t.Errorf("afterwards temporary files are made in %s, not in %s", got, before)
			}
			var left []string
			for _, pattern := range []string{"*", "*/*", "*/*/*"} {
				paths, err := filepath.Glob(filepath.Join(before, pattern))
				if err != nil {
					t.Fatal(err)
				}
				left = append(left, paths...)
			}
			if !slices.Equal(left, want) {
				t.Errorf("left are %q, want %q", left, want)
			}
		})
	}
}
