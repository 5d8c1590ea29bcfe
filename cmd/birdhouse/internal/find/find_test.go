package find_test

import (
	"io"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/find"
	"github.com/birdhouse-build/birdhouse/image"
)

func newImage(t *testing.T, arch string) v1.Image {
	t.Helper()
	img, err := random.Image(64, 1)
	require.NoError(t, err)
	config, err := img.ConfigFile()
	require.NoError(t, err)
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", arch
	img, err = mutate.ConfigFile(img, config)
	require.NoError(t, err)
	return img
}

func digest(t *testing.T, img v1.Image) string {
	t.Helper()
	d, err := img.Digest()
	require.NoError(t, err)
	return d.String()
}

func TestLayout(t *testing.T) {
	s390x, riscv := newImage(t, "s390x"), newImage(t, "riscv64")
	index := mutate.AppendManifests(empty.Index, mutate.IndexAddendum{Add: s390x}, mutate.IndexAddendum{Add: riscv})
	attestation := mutate.IndexAddendum{Add: newImage(t, "amd64"), Descriptor: v1.Descriptor{Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest"}}}
	top := mutate.AppendManifests(empty.Index, attestation, mutate.IndexAddendum{Add: index})
	dir := filepath.Join(t.TempDir(), "layout")
	_, err := layout.Write(dir, top)
	require.NoError(t, err)
	images := t.TempDir()

	for platform, want := range map[string]v1.Image{"linux/riscv64": riscv, "linux/s390x": s390x, "": s390x} {
		got, err := find.Image(t.Context(), images, dir, platform, io.Discard)
		require.NoError(t, err, platform)
		require.Equal(t, digest(t, want), digest(t, got), platform)
	}
	_, err = find.Image(t.Context(), images, dir, "linux/mips64", io.Discard)
	require.ErrorContains(t, err, "only for linux/s390x, linux/riscv64")
	_, err = find.Image(t.Context(), images, dir, "a b", io.Discard)
	require.ErrorContains(t, err, "--platform a b")
}

func TestNamesWithoutARegistryAreLocal(t *testing.T) {
	for _, ref := range []string{"app", "shop/api:1.4"} {
		_, err := find.Image(t.Context(), t.TempDir(), ref, "", io.Discard)
		require.ErrorIs(t, err, image.ErrNotFound, ref)
	}
	_, err := find.Image(t.Context(), t.TempDir(), "127.0.0.1:1/app", "", io.Discard)
	require.ErrorContains(t, err, "pulling 127.0.0.1:1/app")
}
