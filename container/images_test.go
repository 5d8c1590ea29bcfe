package container

import (
	"archive/tar"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/containerd/containerd/v2/core/content"

	"github.com/birdhouse-build/birdhouse/image"
)

// entry is a file of a test's image: a directory without content and link.
type entry struct {
	name    string
	content []byte
	link    string
	mode    int64
	uid     int
}

func layer(t *testing.T, entries ...entry) v1.Layer {
	t.Helper()
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.uid, Gid: e.uid, Size: int64(len(e.content)), Typeflag: tar.TypeReg}
		switch {
		case e.link != "":
			h.Typeflag, h.Linkname, h.Size = tar.TypeSymlink, e.link, 0
		case e.content == nil:
			h.Typeflag = tar.TypeDir
		}
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write(e.content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	require.NoError(t, err)
	return l
}

var buildProbe = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "probe")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	out := filepath.Join(dir, "probe")
	cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", out, "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	return os.ReadFile(out)
})

func probe(t *testing.T) []byte {
	t.Helper()
	data, err := buildProbe()
	require.NoError(t, err)
	return data
}

// probeImage is an image of the probe, with accounts, a volume and a file that
// a layer deletes.
func probeImage(t *testing.T) v1.Image {
	t.Helper()
	img, err := mutate.AppendLayers(empty.Image,
		layer(t,
			entry{name: "etc/", mode: 0o755},
			entry{name: "etc/passwd", content: []byte("root:x:0:0:root:/root:/bin/sh\nbird:x:1000:1001::/home/bird:/bin/sh\n"), mode: 0o644},
			entry{name: "etc/group", content: []byte("root:x:0:\nnest:x:1001:\ntree:x:1002:bird\n"), mode: 0o644},
			entry{name: "etc/deleted", content: []byte("x"), mode: 0o644},
			entry{name: "open/", mode: 0o777},
			entry{name: "data/", mode: 0o750, uid: 65532},
			entry{name: "data/seed", content: []byte("from the image"), mode: 0o640, uid: 65532},
			entry{name: "not-executable", content: []byte("x"), mode: 0o644},
			entry{name: "script", content: []byte("#!/bin/missing\n"), mode: 0o755},
			entry{name: "garbage", content: []byte("neither ELF nor script"), mode: 0o755},
		),
		layer(t,
			entry{name: "etc/.wh.deleted", content: []byte{}, mode: 0o644},
			entry{name: "bin/", mode: 0o755},
			entry{name: "bin/probe", content: probe(t), mode: 0o755},
			entry{name: "bin/link", link: "/bin/probe", mode: 0o777},
		))
	require.NoError(t, err)
	return configured(t, img, v1.Config{
		Entrypoint: []string{"/bin/probe"}, Cmd: []string{"show", "from-cmd"}, User: "65532", WorkingDir: "/work/dir",
		Env: []string{"PATH=/bin", "COLOR=red"}, Volumes: map[string]struct{}{"/data": {}, "/fresh": {}},
	})
}

func configured(t *testing.T, img v1.Image, c v1.Config) v1.Image {
	t.Helper()
	f, err := img.ConfigFile()
	require.NoError(t, err)
	f = f.DeepCopy()
	f.Config, f.OS, f.Architecture = c, "linux", goruntime.GOARCH
	img, err = mutate.ConfigFile(img, f)
	require.NoError(t, err)
	return img
}

// keep puts img into the store of root under ref.
func keep(t *testing.T, root, ref string, img v1.Image) {
	t.Helper()
	ctx := context.Background()
	store, err := image.OpenStore(filepath.Join(root, "images"))
	require.NoError(t, err)
	w, err := store.Writer(ctx)
	require.NoError(t, err)
	defer w.Close()
	put := func(mediaType string, data []byte) ocispecs.Descriptor {
		d := ocispecs.Descriptor{MediaType: mediaType, Digest: digest.FromBytes(data), Size: int64(len(data))}
		require.NoError(t, content.WriteBlob(ctx, w.Content(), d.Digest.String(), bytes.NewReader(data), d))
		return d
	}
	layers, err := img.Layers()
	require.NoError(t, err)
	for _, l := range layers {
		rc, err := l.Compressed()
		require.NoError(t, err)
		var buf bytes.Buffer
		_, err = buf.ReadFrom(rc)
		require.NoError(t, err)
		put("", buf.Bytes())
	}
	config, err := img.RawConfigFile()
	require.NoError(t, err)
	put("", config)
	raw, err := img.RawManifest()
	require.NoError(t, err)
	mt, err := img.MediaType()
	require.NoError(t, err)
	require.NoError(t, w.Tag(put(string(mt), raw), ref))
}
