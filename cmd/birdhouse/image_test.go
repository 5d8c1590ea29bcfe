package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/image"
)

func TestImages(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	root := t.TempDir()
	t.Setenv("BIRDHOUSE_ROOT", root)
	host := strings.TrimPrefix(server.URL, "http://")
	store, err := image.OpenStore(filepath.Join(root, "images"))
	require.NoError(t, err)
	pull := func(ref string) string {
		img, err := random.Image(5000, 2)
		require.NoError(t, err)
		config, err := img.ConfigFile()
		require.NoError(t, err)
		config = config.DeepCopy()
		config.OS, config.Architecture = "linux", "amd64"
		img, err = mutate.ConfigFile(img, config)
		require.NoError(t, err)
		r, err := name.ParseReference(host + "/" + ref)
		require.NoError(t, err)
		require.NoError(t, remote.Write(r, img))
		_, err = store.Pull(t.Context(), host+"/"+ref, image.PullOptions{})
		require.NoError(t, err)
		digest, err := img.Digest()
		require.NoError(t, err)
		return digest.String()
	}

	out, errs, code := command(t, "image", "ls")
	require.Zero(t, code, errs)
	require.Empty(t, out)
	out, _, _ = command(t, "image", "ls", "--format", "json")
	require.Equal(t, "[]\n", out)

	a, b := pull("a:1"), pull("b:2")
	out, errs, code = command(t, "image", "ls")
	require.Zero(t, code, errs)
	require.Regexp(t, "^"+regexp.QuoteMeta(host)+`/a:1  linux/amd64  `+a+`  [0-9.]+ kB\n`+regexp.QuoteMeta(host)+`/b:2  linux/amd64  `+b+`  [0-9.]+ kB\n$`, out)
	out, _, _ = command(t, "image", "ls", "--format", "json")
	var images []keptImage
	require.NoError(t, json.Unmarshal([]byte(out), &images))
	require.Len(t, images, 2)
	require.Equal(t, a, images[0].Digest)
	require.Greater(t, images[0].Size, int64(10000))

	// A damaged one is listed as such, and can be removed.
	hash, err := v1.NewHash(a)
	require.NoError(t, err)
	blob := filepath.Join(root, "images", "blobs", hash.Algorithm, hash.Hex)
	require.NoError(t, os.Truncate(blob, 3))
	out, errs, code = command(t, "image", "ls")
	require.Zero(t, code, errs)
	require.Contains(t, out, "damaged")
	require.Contains(t, out, b)

	out, errs, code = command(t, "image", "rm", host+"/a:1", "nowhere")
	require.Equal(t, 1, code)
	require.Regexp(t, `^removed `+regexp.QuoteMeta(host)+`/a:1\n[0-9.]+ kB freed\n$`, out)
	require.Contains(t, errs, `image "nowhere" is not in the image store`)
	require.NoFileExists(t, blob)

	out, errs, code = command(t, "image", "rm", b)
	require.Zero(t, code, errs)
	require.Contains(t, out, "freed")
	left, err := os.ReadDir(filepath.Join(root, "images", "blobs", "sha256"))
	require.NoError(t, err)
	require.Empty(t, left)
	_, errs, code = command(t, "image", "rm", b)
	require.Equal(t, 1, code)
	require.Contains(t, errs, "not in the image store, which has no images")
}
