package update_test

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"io"
	"io/fs"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	securejoin "github.com/cyphar/filepath-securejoin"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/debian/archive"
	"github.com/birdhouse-build/birdhouse/catalog/update"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/layer"
	"github.com/birdhouse-build/birdhouse/steps/libcheck"
)

// The archive as it is at this moment, from this machine's mirror.
var real = sync.OnceValues(func() (*catalog.Lock, error) {
	m, _ := catalog.MachineMirror()
	locations, err := catalog.MachineLocations(context.Background())
	if err != nil {
		return nil, err
	}
	known, err := catalog.BuiltInLock()
	if err != nil {
		return nil, err
	}
	lock, _, err := update.Run(context.Background(), update.Options{Mirror: m, Locations: locations, Known: known})
	return lock, err
})

func realCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a mirror of Debian")
	}
	lock, err := real()
	require.NoError(t, err)
	defs, err := catalog.Definitions()
	require.NoError(t, err)
	c, err := catalog.New(defs, lock)
	require.NoError(t, err)
	return c
}

func TestRealArchiveCanBeLocked(t *testing.T) {
	c := realCatalog(t)
	require.WithinDuration(t, time.Now(), c.Locked(), 15*24*time.Hour, "the mirror is followed")
	for _, suite := range c.Lock().Suites {
		require.Len(t, suite.Sources, 3)
		for _, source := range suite.Sources {
			require.Len(t, source.Indices, len(c.Architectures()))
		}
	}
	built, err := catalog.Default()
	require.NoError(t, err)
	t.Logf("what an update would change now:\n%s", catalog.Compare(built.Lock(), c.Lock()).Text())
}

// The sizes that images may have, in bytes, compressed by gzip as a registry
// gets them; the sum of the image's layers.
var sizes = map[string]int64{"static": 500_000, "base": 2_700_000, "cc": 3_700_000}

func TestRealRunImages(t *testing.T) {
	c := realCatalog(t)
	for _, arch := range c.Architectures() {
		for _, name := range []string{"static", "base", "cc"} {
			t.Run(name+"/"+arch, func(t *testing.T) {
				img, err := c.Image(plan.Base{Image: name, Version: "13"}, arch, arch)
				require.NoError(t, err)
				root, size := build(t, img.Layers, arch)
				t.Logf("%s %s: %.2f MB", name, arch, float64(size)/1e6)
				require.LessOrEqual(t, size, sizes[name])
				checkRoot(t, root)
				require.FileExists(t, filepath.Join(root, "etc/ssl/certs/ca-certificates.crt"))
				require.FileExists(t, filepath.Join(root, "usr/share/zoneinfo/Europe/Berlin"))
				require.NoFileExists(t, filepath.Join(root, "usr/bin/sh"))
				for _, p := range img.Layers[len(img.Layers)-1].Packages {
					require.FileExists(t, filepath.Join(root, "var/lib/dpkg/status.d", p.Name))
					_, err := os.Stat(filepath.Join(root, "usr/share/doc", p.Name, "copyright"))
					require.NoError(t, err)
				}
			})
		}
	}
}

// Every set that a build image may have, on both architectures.
func TestRealBuildSets(t *testing.T) {
	c := realCatalog(t)
	for _, arch := range c.Architectures() {
		t.Run(arch, func(t *testing.T) {
			img, err := c.Image(plan.Base{Image: "go", Version: "1.26.11", Variant: "build-cgo", With: c.Sets()}, arch, arch)
			require.NoError(t, err)
			top := img.Layers[len(img.Layers)-1]
			require.Equal(t, "1.26.11", top.GoToolchain)
			root, size := build(t, img.Layers[:len(img.Layers)-1], arch)
			t.Logf("git, shell, gcc and the cross compiler on %s: %.2f MB", arch, float64(size)/1e6)
			checkRoot(t, root)
			for _, bin := range []string{"git", "ssh", "sh", "gcc", "g++", "ld", "pkg-config", "aarch64-linux-gnu-gcc", "x86_64-linux-gnu-g++"} {
				_, err := os.Stat(filepath.Join(root, "usr/bin", bin))
				require.NoError(t, err)
			}
			boot, size := build(t, top.Bootstrap, arch)
			t.Logf("the bootstrap's root on %s: %.2f MB", arch, float64(size)/1e6)
			checkRoot(t, boot)
			if arch == runtime.GOARCH {
				mount(t, root)
				mount(t, boot)
				runTools(t, root)
				// Go's telemetry would write there from a process of its own,
				// while the test's end removes the folder.
				telemetry := filepath.Join(boot, "root/.config/go/telemetry")
				require.NoError(t, os.MkdirAll(telemetry, 0o755))
				require.NoError(t, os.WriteFile(filepath.Join(telemetry, "mode"), []byte("off 2026-01-01\n"), 0o644))
				require.Contains(t, inRoot(t, boot, "go", "version"), "go version go1.")
			}
		})
	}
}

// runTools starts what the build sets are for.
func runTools(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, os.WriteFile(filepath.Join(root, "tmp/a.c"), []byte("#include <stdio.h>\n#include <math.h>\n#include <linux/fs.h>\nint main(int n, char **a) { printf(\"%g from C\\n\", sqrt(16.0 * n)); }\n"), 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(root, "tmp/b.cc"), []byte("#include <iostream>\n#include <string>\nint main() { std::string s = \"C++\"; std::cout << \"from \" << s << std::endl; }\n"), 0o600))
	inRoot(t, root, "gcc", "-O2", "-fopenmp", "-o", "/tmp/a", "/tmp/a.c", "-lm")
	require.Equal(t, "4 from C\n", inRoot(t, root, "/tmp/a"))
	inRoot(t, root, "gcc", "-static", "-o", "/tmp/static", "/tmp/a.c", "-lm")
	require.Equal(t, "4 from C\n", inRoot(t, root, "/tmp/static"))
	inRoot(t, root, "g++", "-o", "/tmp/b", "/tmp/b.cc")
	require.Equal(t, "from C++\n", inRoot(t, root, "/tmp/b"))
	cross, machine := "aarch64-linux-gnu-", elf.EM_AARCH64
	if runtime.GOARCH == "arm64" {
		cross, machine = "x86_64-linux-gnu-", elf.EM_X86_64
	}
	inRoot(t, root, cross+"gcc", "-o", "/tmp/ca", "/tmp/a.c", "-lm")
	inRoot(t, root, cross+"g++", "-o", "/tmp/cb", "/tmp/b.cc")
	for _, name := range []string{"ca", "cb"} {
		f, err := elf.Open(filepath.Join(root, "tmp", name))
		require.NoError(t, err)
		require.Equal(t, machine, f.Machine)
		require.NoError(t, f.Close())
	}
	require.Contains(t, inRoot(t, root, "pkg-config", "--version"), ".")
	require.Equal(t, "Hello\n", inRoot(t, root, "sh", "-c", "echo hello | sed s/h/H/"))

	inRoot(t, root, "git", "init", "-q", "/tmp/repo")
	inRoot(t, root, "git", "-C", "/tmp/repo", "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "--allow-empty", "-m", "first")
	inRoot(t, root, "git", "clone", "-q", "file:///tmp/repo", "/tmp/clone")
	// Nobody listens there, which is for the https and ssh programs to find out.
	require.Contains(t, inRoot(t, root, "sh", "-c", "git ls-remote https://127.0.0.1:1/x 2>&1; true"), "Failed to connect")
	require.Contains(t, inRoot(t, root, "sh", "-c", "GIT_SSH_COMMAND='ssh -o BatchMode=yes' git ls-remote ssh://git@127.0.0.1:1/x 2>&1; true"), "Connection refused")
}

// mount gives a root file system what every container has.
func mount(t *testing.T, root string) {
	t.Helper()
	for name, minor := range map[string]uint32{"null": 3, "zero": 5, "urandom": 9} {
		require.NoError(t, unix.Mknod(filepath.Join(root, "dev", name), unix.S_IFCHR|0o666, int(unix.Mkdev(1, minor))))
	}
	proc := filepath.Join(root, "proc")
	require.NoError(t, unix.Mount("proc", proc, "proc", unix.MS_RDONLY, ""))
	t.Cleanup(func() { require.NoError(t, unix.Unmount(proc, unix.MNT_DETACH)) })
}

// inRoot runs a program in a root file system and returns what it prints.
func inRoot(t *testing.T, root string, args ...string) string {
	t.Helper()
	program := args[0]
	if !path.IsAbs(program) {
		program = "/usr/bin/" + program
	}
	cmd := &exec.Cmd{
		Path: program, Args: args, Dir: "/",
		Env:         []string{"PATH=/usr/bin", "HOME=/root", "GOTOOLCHAIN=local"},
		SysProcAttr: &syscall.SysProcAttr{Chroot: root},
	}
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%v: %s", args, out)
	return string(out)
}

// build makes the layers and unpacks them over each other. It returns the root
// and the sum of the layers' compressed sizes.
func build(t *testing.T, layers []catalog.Layer, arch string) (root string, size int64) {
	t.Helper()
	root = t.TempDir()
	for _, l := range layers {
		out, ok := built[l.Name+arch]
		if !ok {
			out = filepath.Join(scratch(t), l.Name+"-"+arch)
			spec := l.Spec
			spec.Packages = slices.Clone(spec.Packages)
			for i, file := range download(t, l.Packages) {
				spec.Packages[i].Path = file
			}
			start := time.Now()
			require.NoError(t, layer.Build(spec, out))
			t.Logf("layer %s (%s): %d packages, unpacked in %s", l.Name, l.What, len(l.Packages), time.Since(start).Round(time.Millisecond))
			built[l.Name+arch] = out
		}
		n := compressed(t, out)
		t.Logf("layer %s: %.2f MB", l.Name, float64(n)/1e6)
		size += n
		overlay(t, out, root)
	}
	return root, size
}

// scratch is a folder that outlives the test, for what others use as well.
func scratch(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "birdhouse-catalog-")
	require.NoError(t, err)
	scratchDirs = append(scratchDirs, dir)
	return dir
}

var (
	scratchDirs []string
	built       = map[string]string{} // folder by layer and architecture
)

func TestMain(m *testing.M) {
	code := m.Run()
	for _, dir := range scratchDirs {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func download(t *testing.T, pkgs []catalog.Package) []string {
	t.Helper()
	m, _ := catalog.MachineMirror()
	dir := t.TempDir()
	files := make([]string, len(pkgs))
	f := &archive.Fetcher{Client: http.DefaultClient}
	var group errgroup.Group
	group.SetLimit(6)
	for i, p := range pkgs {
		group.Go(func() error {
			data, err := f.Get(context.Background(), m.URL(p), p.Size)
			if err != nil {
				return err
			}
			if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != p.SHA256 {
				t.Errorf("%s has another checksum than the lock", p.Name)
			}
			files[i] = filepath.Join(dir, path.Base(p.Path))
			return os.WriteFile(files[i], data, 0o600)
		})
	}
	require.NoError(t, group.Wait())
	return files
}

// compressed is the size of the folder as a layer: a tar file, compressed by
// gzip at its default level.
func compressed(t *testing.T, dir string) int64 {
	t.Helper()
	var n counter
	gz := gzip.NewWriter(&n)
	tw := tar.NewWriter(gz)
	require.NoError(t, filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(p); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		h.Name, _ = filepath.Rel(dir, p)
		h.Uname, h.Gname = "", ""
		if err := tw.WriteHeader(h); err != nil || !info.Mode().IsRegular() {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(tw, f)
		return err
	}))
	require.NoError(t, tw.Close())
	require.NoError(t, gz.Close())
	return int64(n)
}

type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}

// overlay puts a layer over the root with hard links. No layer may replace what
// a lower one has.
func overlay(t *testing.T, from, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(from, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == from {
			return err
		}
		rel, _ := filepath.Rel(from, p)
		to := filepath.Join(root, rel)
		there, statErr := os.Lstat(to)
		switch {
		case d.IsDir() && statErr == nil && there.IsDir():
			return nil
		case statErr == nil:
			t.Errorf("two layers have /%s", rel)
			return nil
		case d.IsDir():
			return os.Mkdir(to, 0o755)
		case d.Type()&fs.ModeSymlink != 0:
			link, err := os.Readlink(p)
			if err != nil {
				return err
			}
			return os.Symlink(link, to)
		default:
			return os.Link(p, to)
		}
	}))
}

// checkRoot looks for symlinks that lead nowhere and for ELF files that do not
// find their interpreter or libraries.
func checkRoot(t *testing.T, root string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || p == root {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		info, err := d.Info()
		require.NoError(t, err)
		if info.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
			t.Errorf("/%s is setuid or setgid", rel)
		}
		if info.Mode().Perm()&0o002 != 0 && d.Type()&fs.ModeSymlink == 0 && rel != "tmp" {
			t.Errorf("/%s may be written by everybody", rel)
		}
		if d.Type()&fs.ModeSymlink != 0 && !leadsSomewhere(root, rel) {
			t.Errorf("/%s leads nowhere", rel)
		}
		return nil
	}))
	var dirs []string
	for _, dir := range []string{"usr/bin", "usr/lib", "usr/libexec"} {
		if _, err := os.Stat(filepath.Join(root, dir)); err == nil {
			dirs = append(dirs, filepath.Join(root, dir))
		}
	}
	missing, err := libcheck.Check(root, dirs)
	require.NoError(t, err)
	require.Empty(t, missing)
}

// leadsSomewhere says whether a symlink has a target inside root, or below /run,
// which the container runtime fills.
func leadsSomewhere(root, rel string) bool {
	target, err := securejoin.SecureJoin(root, rel)
	if err != nil {
		return false
	}
	_, err = os.Stat(target)
	return err == nil || strings.HasPrefix(target, filepath.Join(root, "run"))
}
