package publish

import (
	"archive/tar"
	"bytes"
	"io"
	"log"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	testregistry "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
)

// push puts an index with an image for each architecture under a tag, and returns its
// digest.
func push(t *testing.T, ref string, arches []string, layers ...v1.Layer) string {
	t.Helper()
	var idx v1.ImageIndex = empty.Index
	for _, arch := range arches {
		img, err := random.Image(10, 1)
		require.NoError(t, err)
		img, err = mutate.AppendLayers(img, layers...)
		require.NoError(t, err)
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{Add: img, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	tag, err := name.NewTag(ref, name.Insecure)
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(tag, idx))
	digest, err := idx.Digest()
	require.NoError(t, err)
	return digest.String()
}

// lockLayer is the layer of a frontend image with a lock.
func lockLayer(t *testing.T, lock *catalog.Lock) v1.Layer {
	t.Helper()
	text, err := lock.Bytes()
	require.NoError(t, err)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	require.NoError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "catalog.lock", Mode: 0o644, Size: int64(len(text))}))
	_, err = w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil })
	require.NoError(t, err)
	return l
}

// What was published before, with the same lock at the same place, is still known when
// a few images are published.
func TestKnown(t *testing.T) {
	server := httptest.NewServer(testregistry.New(testregistry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	prefix := strings.TrimPrefix(server.URL, "http://") + "/bases"
	both := []string{"amd64", "arm64"}
	c, err := catalog.Default()
	require.NoError(t, err)
	ask := func(c *catalog.Catalog, arches ...string) *catalog.Published {
		t.Helper()
		now := []Image{{Ref: "static:13", Digest: "sha256:" + strings.Repeat("5a", 32)}}
		for _, arch := range arches {
			now[0].Platforms = append(now[0].Platforms, Platform{Platform: "linux/" + arch})
		}
		known, err := Known(t.Context(), Options{Catalog: c, Prefix: prefix}, now)
		require.NoError(t, err)
		require.Equal(t, prefix, known.Prefix)
		require.Equal(t, now[0].Digest, known.Images["static:13"])
		return known
	}
	require.Len(t, ask(c, both...).Images, 1, "nothing is there")
	require.Equal(t, map[string][]string{"static:13": {"arm64"}}, ask(c, "arm64").Only)

	gone := "sha256:" + strings.Repeat("60", 32)
	published := &catalog.Published{Prefix: prefix, Images: map[string]string{
		"static:13":   push(t, prefix+"/static:13", both),
		"base:13":     push(t, prefix+"/base:13", both),
		"cc:13":       push(t, prefix+"/cc:13", []string{"amd64"}),
		"python:3.13": gone,
		"other:1":     push(t, prefix+"/other:1", both), // not of the catalog any more
	}}
	lock := c.Lock().WithPublished(published)
	frontend := prefix + "/birdhouse:1"
	push(t, frontend, []string{"arm64"}, lockLayer(t, lock))
	known := ask(c, both...)
	delete(known.Images, "static:13")
	require.Equal(t, map[string]string{"base:13": published.Images["base:13"], "cc:13": published.Images["cc:13"]}, known.Images)
	require.Equal(t, map[string][]string{"cc:13": {"amd64"}}, known.Only)

	// The frontend runs where builds run: what it is there for, it stays there for.
	r := &run{Options: Options{Catalog: c, Platforms: []ocispecs.Platform{{OS: "linux", Architecture: "amd64"}}}, registry: newRegistry(prefix)}
	require.NoError(t, r.keepPlatforms(t.Context()))
	require.Equal(t, both, r.architectures())

	// Of another lock, or at another place, it is something else.
	other := c.Lock().WithPublished(published)
	other.Time = other.Time.Add(time.Hour)
	push(t, frontend, both, lockLayer(t, other))
	require.Len(t, ask(c, both...).Images, 1)
	push(t, frontend, both, lockLayer(t, c.Lock().WithPublished(&catalog.Published{Prefix: prefix + "2", Images: published.Images})))
	require.Len(t, ask(c, both...).Images, 1)
	push(t, frontend, both)
	require.Len(t, ask(c, both...).Images, 1, "an image without a lock")

	// What the lock in use says counts also without a frontend.
	defs, err := catalog.Definitions()
	require.NoError(t, err)
	saved, err := catalog.New(defs, lock)
	require.NoError(t, err)
	require.Len(t, ask(saved, both...).Images, 3)
}
