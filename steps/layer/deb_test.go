package layer

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
	"golang.org/x/sys/unix"
)

// entry is one entry of a package's data.tar; a directory if its name ends in
// a slash, a symlink with link, else a file.
type entry struct {
	name    string
	content string
	link    string
	mode    int64
	flag    byte
	pax     map[string]string
}

func tarOf(t testing.TB, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Linkname: e.link, Mode: e.mode, Typeflag: e.flag, Size: int64(len(e.content)),
			Uid: 1000, Gid: 50, PAXRecords: e.pax}
		if h.Typeflag == 0 {
			switch {
			case strings.HasSuffix(e.name, "/"):
				h.Typeflag = tar.TypeDir
			case e.link != "":
				h.Typeflag = tar.TypeSymlink
			default:
				h.Typeflag = tar.TypeReg
			}
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			h = &tar.Header{Typeflag: e.flag, PAXRecords: e.pax}
		} else if h.Mode == 0 {
			h.Mode = map[byte]int64{tar.TypeDir: 0o755, tar.TypeSymlink: 0o777}[h.Typeflag]
			if h.Mode == 0 {
				h.Mode = 0o644
			}
		}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, e.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func arOf(members ...[2]string) []byte {
	b := []byte(arMagic)
	for _, m := range members {
		b = fmt.Appendf(b, "%-16s%-12d%-6d%-6d%-8o%-10d`\n%s", m[0], 0, 0, 0, 0o644, len(m[1]), m[1])
		if len(m[1])%2 == 1 {
			b = append(b, '\n')
		}
	}
	return b
}

func compress(t testing.TB, ending string, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser
	var err error
	switch ending {
	case "":
		return b
	case ".gz":
		w = gzip.NewWriter(&out)
	case ".xz":
		w, err = xz.NewWriter(&out)
	case ".zst":
		w, err = zstd.NewWriter(&out)
	case "blocks.xz":
		w, err = xz.WriterConfig{BlockSize: int64(len(b)/5) + 1}.NewWriter(&out)
	default:
		t.Fatalf("no compression %q", ending)
	}
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func control(name string) string {
	return "Package: " + name + "\nVersion: 1.0-1\nArchitecture: all\nDescription: a test\n with a second line\n"
}

// debOf makes a .deb with members compressed as the ending says.
func debOf(t testing.TB, name, ending string, entries []entry) []byte {
	t.Helper()
	member := strings.TrimPrefix(ending, "blocks")
	return arOf(
		[2]string{"debian-binary", "2.0\n"},
		[2]string{"control.tar" + member, string(compress(t, ending, tarOf(t, []entry{{name: "./"}, {name: "./control", content: control(name)}})))},
		[2]string{"data.tar" + member, string(compress(t, ending, tarOf(t, entries)))},
	)
}

// save writes a package file and returns it with its checksum.
func save(t testing.TB, content []byte) Package {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "*.deb")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(content); err != nil {
		t.Fatal(err)
	}
	return Package{Path: f.Name(), SHA256: fmt.Sprintf("%x", sha256.Sum256(content))}
}

func pack(t testing.TB, name string, entries ...entry) Package {
	t.Helper()
	return save(t, debOf(t, name, ".gz", entries))
}

// listing describes a tree: one line a file with its mode, owner, time, links
// and content, in order. Records of packages, and the folders that hold them,
// are left out unless they are asked for.
func listing(t testing.TB, root string, records bool) []string {
	t.Helper()
	var lines []string
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		inside, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		if !records && (inside == "var" || strings.HasPrefix(statusDir+"/", inside+"/") || strings.HasPrefix(inside, statusDir)) {
			return nil
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		line, end := fmt.Sprintf("%s %o", inside, st.Mode&0o7777), ""
		switch d.Type() {
		case fs.ModeDir:
			line = fmt.Sprintf("%s/ %o", inside, st.Mode&0o7777)
		case fs.ModeSymlink:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			line = inside + " -> " + target
		case 0:
			content, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			end = fmt.Sprintf(" %q", content)
			if st.Nlink > 1 {
				line += fmt.Sprintf(" (%d links)", st.Nlink)
			}
		default:
			line += " is a " + d.Type().String()
		}
		if os.Geteuid() == 0 && (st.Uid != 0 || st.Gid != 0) {
			line += fmt.Sprintf(" owned by %d:%d", st.Uid, st.Gid)
		}
		if st.Mtim.Sec != 0 || st.Mtim.Nsec != 0 {
			line += fmt.Sprintf(" changed at %d.%09d", st.Mtim.Sec, st.Mtim.Nsec)
		}
		lines = append(lines, line+end)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(lines)
	return lines
}

func mustBuild(t testing.TB, spec Spec) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "out")
	if err := Build(spec, out); err != nil {
		t.Fatal(err)
	}
	// So that the test can remove it, whoever runs it.
	t.Cleanup(func() {
		_ = filepath.WalkDir(out, func(name string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				_ = os.Chmod(name, 0o700)
			}
			return nil
		})
	})
	return out
}

// attributes is a line of a listing without the content.
func attributes(line string) string {
	line, _, _ = strings.Cut(line, ` "`)
	return line
}

// expect compares a tree with lines as listing writes them; the root itself is
// left out.
func expect(t *testing.T, out string, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(listing(t, out, false), func(line string) bool { return strings.HasPrefix(line, "./") })
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func sectionOf(b []byte) *io.SectionReader {
	return io.NewSectionReader(bytes.NewReader(b), 0, int64(len(b)))
}
