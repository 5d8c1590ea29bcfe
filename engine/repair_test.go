package engine

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/containerd/containerd/v2/plugins/snapshots/native"
)

// A process that is killed between making the folder of a snapshot and recording
// it leaves the folder in the way of the next one, and one that is killed while
// removing leaves a folder that nothing knows.
func TestRemoveUnknownSnapshots(t *testing.T) {
	dir := t.TempDir()
	if err := removeUnknownSnapshots(filepath.Join(dir, "none")); err != nil {
		t.Fatal(err)
	}
	sn, err := native.NewSnapshotter(dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sn.Prepare(t.Context(), "first", ""); err != nil {
		t.Fatal(err)
	}
	if err := sn.Close(); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(dir, "snapshots", "1", "kept")
	if err := os.WriteFile(kept, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"2", "new-123", "rm-7"} {
		left := filepath.Join(dir, "snapshots", name)
		if err := os.MkdirAll(filepath.Join(left, "fs"), 0o755); err != nil {
			t.Fatal(err)
		}
	}

	if err := removeUnknownSnapshots(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if err != nil || len(entries) != 1 {
		t.Errorf("left are %v, %v", entries, err)
	}
	if _, err := os.Stat(kept); err != nil {
		t.Errorf("a snapshot that is in use has lost its files: %v", err)
	}
	if sn, err = native.NewSnapshotter(dir); err != nil {
		t.Fatal(err)
	}
	defer sn.Close()
	if _, err := sn.Prepare(t.Context(), "second", ""); err != nil {
		t.Errorf("the next snapshot: %v", err)
	}
}
