package engine

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func TestDefaultRoot(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", "/somewhere/data")
	if got, want := DefaultRoot(), "/somewhere/data/birdhouse"; got != want {
		t.Errorf("DefaultRoot() = %q, want %q", got, want)
	}
	t.Setenv("XDG_DATA_HOME", "")
	t.Setenv("HOME", "/home/wren")
	if got, want := DefaultRoot(), "/home/wren/.local/share/birdhouse"; got != want {
		t.Errorf("DefaultRoot() = %q, want %q", got, want)
	}
}

func TestFindRuntime(t *testing.T) {
	bin := t.TempDir()
	t.Setenv("PATH", bin)
	_, err := findRuntime("")
	if err == nil || !strings.Contains(err.Error(), "apt install runc") || !strings.Contains(err.Error(), "crun") {
		t.Errorf("without a runtime: error %v, want one that says what to install", err)
	}
	if _, err := findRuntime("youki"); err == nil || !strings.Contains(err.Error(), `"youki"`) {
		t.Errorf("with a missing runtime: error %v, want one that names it", err)
	}
	old := filepath.Join(bin, "crun")
	script(t, old, "echo --root")
	for _, name := range []string{"", old} {
		if _, err := findRuntime(name); err == nil || !strings.Contains(err.Error(), "--keep") || !strings.Contains(err.Error(), old) {
			t.Errorf("with a crun that is too old: error %v", err)
		}
	}
	// Found in their order, whatever else there is.
	for i := len(runtimes) - 1; i >= 0; i-- {
		path := filepath.Join(bin, runtimes[i])
		script(t, path, "echo --keep")
		if got, err := findRuntime(""); err != nil || got != path {
			t.Errorf("findRuntime() = %q, %v, want %q", got, err, path)
		}
	}
	if got, err := findRuntime(filepath.Join(bin, "crun")); err != nil || got != filepath.Join(bin, "crun") {
		t.Errorf("findRuntime(path) = %q, %v", got, err)
	}
}

func script(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
}

func TestCheckUser(t *testing.T) {
	if err := checkUser(0); err != nil {
		t.Error(err)
	}
	if err := checkUser(1000); err == nil || !strings.Contains(err.Error(), "--addr") || !strings.Contains(err.Error(), "1000") {
		t.Errorf("error %v, want one that says what to do", err)
	}
}

func TestOpenRefusesNegativeLimit(t *testing.T) {
	root := filepath.Join(t.TempDir(), "root")
	_, err := Open(context.Background(), Options{Root: root, MaxDiskBytes: -1})
	if err == nil || !strings.Contains(err.Error(), "negative") {
		t.Errorf("error %v, want one about the negative limit", err)
	}
	if _, err := os.Stat(root); !os.IsNotExist(err) {
		t.Errorf("the root was made for nothing (%v)", err)
	}
}

func TestDiskLimit(t *testing.T) {
	dir := t.TempDir()
	total := disk(dir).total
	if total == 0 {
		t.Fatal("the disk of the temporary folder has no size")
	}
	if l := diskLimit(0, dir); l.max != min(20e9, total/100*20) {
		t.Errorf("default limit %d on a disk of %d", l.max, total)
	}
	l := diskLimit(8000, dir)
	if l.max != 8000 || l.reserved != 2000 {
		t.Errorf("limit %+v, want 8000 and a quarter of it reserved", l)
	}
	if l := diskLimit(0, filepath.Join(dir, "nowhere")); l.max != 20e9 {
		t.Errorf("limit %d on an unknown disk, want 20 GB", l.max)
	}
}

func TestIsDiskFull(t *testing.T) {
	_, err := os.ReadFile("/nowhere")
	if isDiskFull(err) {
		t.Errorf("%v counts as a full disk", err)
	}
	full := &os.PathError{Op: "write", Path: "x", Err: os.NewSyscallError("write", syscall.ENOSPC)}
	if !isDiskFull(full) {
		t.Errorf("%v does not count as a full disk", full)
	}
	once := diskFull("/root", full)
	if twice := diskFull("/root", once); twice.Error() != once.Error() || !strings.Contains(once.Error(), "/root") {
		t.Errorf("%v, then %v", once, twice)
	}
}

func TestContainersWait(t *testing.T) {
	c := newContainers()
	if err := c.wait(1e9); err != nil {
		t.Error(err)
	}
	c.add()
	c.add()
	c.done()
	if err := c.wait(1e6); err == nil {
		t.Error("no error with a container running")
	}
	c.done()
	if err := c.wait(1e9); err != nil {
		t.Error(err)
	}
}
