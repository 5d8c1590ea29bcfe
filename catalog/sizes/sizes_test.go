package sizes

import (
	"os"
	"path"
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
	if got, err = Read(file); err != nil || !cmp.Equal(want, got) {
		t.Errorf("it reads %v, %v", got, err)
	}
	if got, err = Read(file + ".none"); err != nil || got.Images == nil || len(got.Images) > 0 {
		t.Errorf("without a file it reads %v, %v", got, err)
	}
	if _, err := parse([]byte("[]")); err == nil {
		t.Error("a list is read as a table")
	}
}

// What people choose the images for: none of these gets larger than this, in bytes, on
// any architecture, compressed with gzip.
func TestImagesAreSmall(t *testing.T) {
	table, err := Default()
	if err != nil {
		t.Fatal(err)
	}
	for pattern, most := range map[string]int64{
		"static:13": 500_000, "base:13": 2_700_000, "cc:13": 3_700_000, "python:3.13": 17_500_000, "node:24": 44_500_000,
		"java:21": 27_000_000, "java:21-jre": 72_000_000, "go:1.26.*-build": 56_000_000, "go:1.27.*-build": 56_000_000,
	} {
		measured := false
		for ref, arches := range table.Images {
			if ok, err := path.Match(pattern, ref); err != nil || !ok {
				continue
			}
			for arch, size := range arches {
				measured = true
				if size.Gzip > most {
					t.Errorf("%s for %s takes %d bytes, more than %d", ref, arch, size.Gzip, most)
				}
			}
		}
		if !measured {
			t.Errorf("%s was not measured", pattern)
		}
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
