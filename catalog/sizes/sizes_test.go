package sizes

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestWriteAndRead(t *testing.T) {
	want := &Table{Lock: time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC), Images: map[string]map[string]Size{"static:13": {"amd64": {Gzip: 2, Zstd: 1}}}}
	file := filepath.Join(t.TempDir(), "sizes.json")
	if err := want.Write(file); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if _, err := parse([]byte("[]")); err == nil {
		t.Error("a list is read as a table")
	}
}

// Images that were measured have a size for every architecture and compression.
func TestDefault(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for ref, arches := range table.Images {
		for arch, size := range arches {
			if size.Gzip <= 0 || size.Zstd <= 0 {
				t.Errorf("%s for %s has the sizes %+v", ref, arch, size)
			}
		}
	}
}
