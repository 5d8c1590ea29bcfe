package e2etest

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/image"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// Contents is what makes two images the same: the digests of configuration and
// layers. The manifest's media types are the exporter's.
type Contents struct {
	Config string
	Layers []string
}

// Pulled are the contents of an image for amd64 in a registry (Pull).
func Pulled(t testing.TB, ref string) Contents {
	t.Helper()
	return ContentsOf(t, Pull(t, ref))
}

// Pull is an image for amd64 in a registry on plain HTTP: "127.0.0.1:43210/app:1".
func Pull(t testing.TB, ref string) v1.Image {
	t.Helper()
	return PullFor(t, ref, "amd64")
}

// PullFor is Pull for another architecture ("arm64").
func PullFor(t testing.TB, ref, arch string) v1.Image {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(r, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// ContentsOf are the contents of an image.
func ContentsOf(t testing.TB, img v1.Image) Contents {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	c := Contents{Config: m.Config.Digest.String()}
	for _, l := range m.Layers {
		c.Layers = append(c.Layers, l.Digest.String())
	}
	return c
}

// Stored is an image of the shared store, for an architecture if one is named.
func Stored(t testing.TB, name, arch string) v1.Image {
	t.Helper()
	store, err := image.OpenStore(filepath.Join(harness.SharedRoot(t), "images"))
	if err != nil {
		t.Fatal(err)
	}
	var p *ocispecs.Platform
	if arch != "" {
		p = &ocispecs.Platform{OS: "linux", Architecture: arch}
	}
	img, err := store.Image(name, p)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// Member is a file of a layer.
type Member struct {
	*tar.Header
	Data []byte
}

// Members are the files of a layer by their paths, without slashes at the ends.
func Members(t testing.TB, from interface {
	Uncompressed() (io.ReadCloser, error)
}) map[string]Member {
	t.Helper()
	r, err := from.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	out := map[string]Member{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			// What cannot read a layer ends the archive, and then fails.
			if _, err := io.Copy(io.Discard, r); err != nil {
				t.Fatal(err)
			}
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.Trim(h.Name, "/")] = Member{h, data}
	}
}

// flat is an image as if it had one layer.
type flat struct{ v1.Image }

func (f flat) Uncompressed() (io.ReadCloser, error) { return mutate.Extract(f.Image), nil }

// Files are the Members of a whole image as it is when its layers lie on one another.
func Files(t testing.TB, img v1.Image) map[string]Member {
	t.Helper()
	return Members(t, flat{img})
}

// Modes are the types and permissions of files ("-r-xr-xr-x") by their paths. All
// must be root's, not setuid or setgid, of the epoch.
func Modes(t testing.TB, files map[string]Member) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, f := range files {
		if f.Uid != 0 || f.Gid != 0 {
			t.Errorf("%s belongs to %d:%d", name, f.Uid, f.Gid)
		}
		if f.Mode&0o6000 != 0 {
			t.Errorf("%s is setuid or setgid", name)
		}
		if f.ModTime.Unix() != 0 {
			t.Errorf("%s is of %s", name, f.ModTime)
		}
		out[name] = f.FileInfo().Mode().String()
	}
	return out
}

// Content is the content of an image's file ("app/hello"), which must be there.
func Content(t testing.TB, img v1.Image, path string) []byte {
	t.Helper()
	f, ok := Files(t, img)[path]
	if !ok {
		t.Fatalf("the image has no %s", path)
	}
	return f.Data
}

// Machines are the architectures of the machine code in a folder of an image: a path
// without a leading slash.
func Machines(t testing.TB, img v1.Image, folder string) []elf.Machine {
	t.Helper()
	var all []elf.Machine
	for name, f := range Files(t, img) {
		if !strings.HasPrefix(name, folder) || !strings.HasPrefix(string(f.Data), elf.ELFMAG) {
			continue
		}
		program, err := elf.NewFile(bytes.NewReader(f.Data))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all = append(all, program.Machine)
	}
	slices.Sort(all)
	return slices.Compact(all)
}
