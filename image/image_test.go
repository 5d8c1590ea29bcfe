package image

import (
	"archive/tar"
	"bytes"
	"context"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/containerd/containerd/v2/core/content"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestMain(m *testing.M) {
	// A library's warning about file systems without verity.
	logrus.SetLevel(logrus.PanicLevel)
	if dir := os.Getenv("IMAGE_TEST_STORE"); dir != "" {
		os.Exit(tagInStore(dir, os.Getenv("IMAGE_TEST_PREFIX")))
	}
	os.Exit(m.Run())
}

// layer makes a layer of tar headers; a regular file's content is its Linkname.
func layer(t *testing.T, headers ...tar.Header) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, h := range headers {
		data := ""
		if h.Typeflag == 0 || h.Typeflag == tar.TypeReg {
			data, h.Linkname = h.Linkname, ""
			h.Typeflag, h.Size = tar.TypeReg, int64(len(data))
		}
		require.NoError(t, w.WriteHeader(&h))
		_, err := w.Write([]byte(data))
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	require.NoError(t, err)
	return l
}

func text(name, content string, mode int64) tar.Header {
	return tar.Header{Name: name, Linkname: content, Mode: mode}
}

func dir(name string, mode int64) tar.Header {
	return tar.Header{Name: name, Typeflag: tar.TypeDir, Mode: mode}
}

func noted(l v1.Layer, n Note) mutate.Addendum {
	h := n.History(time.Unix(0, 0).UTC())
	return mutate.Addendum{Layer: l, History: v1.History{Created: v1.Time{Time: *h.Created}, CreatedBy: h.CreatedBy, Comment: h.Comment}}
}

func withConfig(t *testing.T, img v1.Image, arch string, c v1.Config) v1.Image {
	t.Helper()
	f, err := img.ConfigFile()
	require.NoError(t, err)
	f = f.DeepCopy()
	f.OS, f.Architecture, f.Config = "linux", arch, c
	img, err = mutate.ConfigFile(img, f)
	require.NoError(t, err)
	return img
}

// small is an image of one file.
func small(t *testing.T, arch, content string) v1.Image {
	t.Helper()
	img, err := mutate.Append(empty.Image, noted(layer(t, text("file", content, 0o644)), Note{"application", "always", content}))
	require.NoError(t, err)
	return withConfig(t, img, arch, v1.Config{User: "65532"})
}

// put writes img into the store, without a name.
func put(t *testing.T, w *Writer, img v1.Image) ocispecs.Descriptor {
	t.Helper()
	d, err := copyImage(context.Background(), w.Content(), img, "test", nil)
	require.NoError(t, err)
	return d
}

// putIndex writes an index of several platforms.
func putIndex(t *testing.T, w *Writer, images ...v1.Image) ocispecs.Descriptor {
	t.Helper()
	var adds []mutate.IndexAddendum
	for _, img := range images {
		put(t, w, img)
		f, err := img.ConfigFile()
		require.NoError(t, err)
		adds = append(adds, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: f.OS, Architecture: f.Architecture}}})
	}
	idx := mutate.AppendManifests(empty.Index, adds...)
	raw, err := idx.RawManifest()
	require.NoError(t, err)
	d := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageIndex, Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	require.NoError(t, content.WriteBlob(context.Background(), w.Content(), "index", bytes.NewReader(raw), d))
	return d
}

func openStore(t *testing.T) (*Store, *Writer) {
	t.Helper()
	s, err := OpenStore(filepath.Join(t.TempDir(), "images"))
	require.NoError(t, err)
	w, err := s.Writer(context.Background())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, w.Close()) })
	return s, w
}

func TestNoteHistory(t *testing.T) {
	n := Note{Name: "application", Changes: "always", What: "/app/api  go1.26.8, static"}
	got, ok := ParseHistory(n.History(time.Unix(0, 0)))
	assert.True(t, ok)
	assert.Equal(t, n, got)
	for _, other := range []string{"", "RUN /bin/sh -c x", "birdhouse: x", "birdhouse:  (rarely)x", "a birdhouse: x (y)"} {
		_, ok := ParseHistory(ocispecs.History{CreatedBy: other})
		assert.False(t, ok, other)
	}
}
