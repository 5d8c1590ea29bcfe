package exec

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestNormalize(t *testing.T) {
	out := t.TempDir()
	write(t, out, "usr/lib/a", "usr/bin/b", "usr/bin/c")
	for name, mode := range map[string]fs.FileMode{"usr": 0o700, "usr/lib/a": 0o600, "usr/bin/b": 0o4711, "usr/bin/c": 0o666} {
		// Not os.FileMode's own bit for setuid, which is another one.
		if err := syscall.Chmod(filepath.Join(out, name), uint32(mode)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("../lib/a", filepath.Join(out, "usr/bin/link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/nowhere", filepath.Join(out, "usr/dangling")); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		for _, name := range []string{"usr", "usr/lib/a", "usr/bin/link"} {
			if err := os.Lchown(filepath.Join(out, name), 1234, 1234); err != nil {
				t.Fatal(err)
			}
		}
	}
	o := command(t, "ok")
	o.Remove = []Removal{removal(t, out+"=**/c")}
	o.Normalize = []string{out}
	if err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	want := map[string]fs.FileMode{
		".": fs.ModeDir | 0o755, "usr": fs.ModeDir | 0o755, "usr/lib": fs.ModeDir | 0o755, "usr/bin": fs.ModeDir | 0o755,
		"usr/lib/a": 0o644, "usr/bin/b": 0o755, "usr/bin/link": fs.ModeSymlink | 0o777, "usr/dangling": fs.ModeSymlink | 0o777,
	}
	err := filepath.WalkDir(out, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(out, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		if mode, ok := want[rel]; !ok || info.Mode() != mode {
			t.Errorf("%s has the mode %s, want %s", rel, info.Mode(), mode)
		}
		delete(want, rel)
		if !info.ModTime().Equal(time.Unix(0, 0)) {
			t.Errorf("%s has the time %s", rel, info.ModTime())
		}
		if stat := info.Sys().(*syscall.Stat_t); os.Geteuid() == 0 && (stat.Uid != 0 || stat.Gid != 0) {
			t.Errorf("%s is owned by %d:%d", rel, stat.Uid, stat.Gid)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for name := range want {
		t.Errorf("%s is gone", name)
	}
}

func TestNormalizeThatIsRefused(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(dir string) error
		want string
	}{
		{"fifo", func(dir string) error { return syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600) }, "/pipe is neither a file, a directory nor a symlink"},
		{"link that climbs", func(dir string) error { return os.Symlink("a/../../etc", filepath.Join(dir, "link")) }, "the symlink /link leads to a/../../etc, out of the layer"},
		{"nothing there", func(dir string) error { return os.Remove(dir) }, "no such file or directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "out")
			if err := errors.Join(os.Mkdir(dir, 0o755), tt.make(dir)); err != nil {
				t.Fatal(err)
			}
			o := command(t, "ok")
			o.Normalize = []string{dir}
			err := Run(context.Background(), o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "what the command wrote to "+dir) {
				t.Errorf("got the error %v, want %q", err, tt.want)
			}
		})
	}
}
