package image

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

func names(t *testing.T, s *Store) []string {
	t.Helper()
	entries, err := s.List()
	require.NoError(t, err)
	var all []string
	for _, e := range entries {
		all = append(all, e.Name)
	}
	return all
}

func TestStoreNames(t *testing.T) {
	s, w := openStore(t)
	a, b := put(t, w, small(t, "amd64", "a")), put(t, w, small(t, "amd64", "b"))
	require.NoError(t, w.Tag(a, "app", "registry.example.com:5000/team/app:1.4"))
	require.NoError(t, s.Tag(b, "other:2"))
	assert.Equal(t, []string{"app:latest", "other:2", "registry.example.com:5000/team/app:1.4"}, names(t, s))

	for _, ref := range []string{"app", "app:latest", "library/app", "registry.example.com:5000/team/app:1.4",
		a.Digest.String(), a.Digest.Encoded(), a.Digest.Encoded()[:12], "whatever@" + a.Digest.String()} {
		d, err := s.Resolve(ref)
		require.NoError(t, err, ref)
		assert.Equal(t, a.Digest, d.Digest, ref)
	}

	// A tag moves; the other names of the image stay.
	require.NoError(t, s.Tag(b, "app"))
	d, err := s.Resolve("app:latest")
	require.NoError(t, err)
	assert.Equal(t, b.Digest, d.Digest)
	assert.Len(t, names(t, s), 3)

	require.NoError(t, s.Remove("app"))
	assert.Equal(t, []string{"other:2", "registry.example.com:5000/team/app:1.4"}, names(t, s))
	_, err = s.Resolve("app")
	require.ErrorIs(t, err, ErrNotFound)
	require.ErrorContains(t, err, `image "app" is not in the image store, which has other:2, registry.example.com:5000/team/app:1.4`)
	require.NoError(t, s.Remove(a.Digest.String()))
	assert.Equal(t, []string{"other:2"}, names(t, s))

	// By digest alone, once.
	require.NoError(t, s.Tag(a))
	require.NoError(t, s.Tag(a))
	assert.Equal(t, []string{"other:2", ""}, names(t, s))

	for _, bad := range []string{"", "UPPER", "a b", "../x", "app@" + a.Digest.String(), a.Digest.String()} {
		assert.Error(t, s.Tag(a, bad), bad)
	}
	_, err = s.Resolve("UPPER")
	assert.ErrorContains(t, err, `"UPPER" is not an image name`)
}

func TestStoreIsAnOCILayout(t *testing.T) {
	s, w := openStore(t)
	require.NoError(t, w.Tag(put(t, w, small(t, "amd64", "a")), "registry.example.com/app"))
	idx, err := layout.ImageIndexFromPath(s.Dir())
	require.NoError(t, err)
	require.NoError(t, validate.Index(idx))
	m, err := idx.IndexManifest()
	require.NoError(t, err)
	require.Len(t, m.Manifests, 1)
	assert.Equal(t, map[string]string{
		"org.opencontainers.image.ref.name": "registry.example.com/app:latest",
		"io.containerd.image.name":          "registry.example.com/app:latest",
	}, m.Manifests[0].Annotations)

	again, err := OpenStore(s.Dir())
	require.NoError(t, err)
	assert.Equal(t, names(t, s), names(t, again))
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir(), "oci-layout"), []byte(`{"imageLayoutVersion":"9"}`), 0o644))
	_, err = OpenStore(s.Dir())
	assert.ErrorContains(t, err, `does not say imageLayoutVersion "1.0.0"`)
}

func TestStorePlatforms(t *testing.T) {
	s, w := openStore(t)
	amd, arm := small(t, "amd64", "amd"), small(t, "arm64", "arm")
	require.NoError(t, w.Tag(putIndex(t, w, amd, arm), "both"))
	require.NoError(t, w.Tag(put(t, w, small(t, "s390x", "big")), "foreign"))

	ps, err := s.Platforms("both")
	require.NoError(t, err)
	assert.Equal(t, []ocispecs.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}}, ps)
	for _, want := range []string{"amd64", "arm64"} {
		img, err := s.Image("both", &ocispecs.Platform{OS: "linux", Architecture: want})
		require.NoError(t, err)
		f, err := img.ConfigFile()
		require.NoError(t, err)
		assert.Equal(t, want, f.Architecture)
		require.NoError(t, validate.Image(img))
	}
	_, err = s.Image("both", &ocispecs.Platform{OS: "linux", Architecture: "riscv64"})
	assert.EqualError(t, err, "image both is not there for linux/riscv64, only for linux/amd64, linux/arm64")
	img, err := s.Image("foreign", nil)
	require.NoError(t, err, "with no platform asked for, what there is")
	f, err := img.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "s390x", f.Architecture)

	// A manifest inside an index has a digest, too.
	h, err := arm.Digest()
	require.NoError(t, err)
	img, err = s.Image(h.String(), nil)
	require.NoError(t, err)
	got, err := img.Digest()
	require.NoError(t, err)
	assert.Equal(t, h, got)
	assert.ErrorContains(t, s.Remove(h.String()), "a part of another image")
}

func TestStoreRefusesWhatIsIncomplete(t *testing.T) {
	s, w := openStore(t)
	d := put(t, w, small(t, "amd64", "a"))
	img, err := s.load(d)
	require.NoError(t, err)
	m, err := img.Manifest()
	require.NoError(t, err)
	layer := digest.Digest(m.Layers[0].Digest.String())
	require.NoError(t, w.Content().Delete(context.Background(), layer))
	assert.ErrorContains(t, w.Tag(d, "app"), layer.String()+" is missing")
	assert.ErrorContains(t, w.Tag(ocispecs.Descriptor{Digest: "sha256:../../x"}, "app"), "invalid")
	assert.Empty(t, names(t, s))
}

func TestStoreDamaged(t *testing.T) {
	s, w := openStore(t)
	d := put(t, w, small(t, "amd64", "a"))
	require.NoError(t, w.Tag(d, "app"))
	data, err := os.ReadFile(s.blob(d.Digest))
	require.NoError(t, err)
	require.NoError(t, os.Chmod(s.blob(d.Digest), 0o644))
	data[10] ^= 1
	require.NoError(t, os.WriteFile(s.blob(d.Digest), data, 0o644))
	_, err = s.Image("app", nil)
	assert.ErrorContains(t, err, "the image store is damaged: "+s.blob(d.Digest))
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir(), "index.json"), []byte("{"), 0o644))
	_, err = s.List()
	assert.ErrorContains(t, err, "index.json is damaged")
	assert.ErrorContains(t, err, "remove it")
	_, err = OpenStore(s.Dir())
	assert.ErrorContains(t, err, "index.json is damaged")
	require.NoError(t, w.Close())
	_, err = s.GC()
	assert.Error(t, err, "nothing is deleted when it is not known what is in use")
	assert.FileExists(t, s.blob(d.Digest))
}

func TestStoreRepairsWhatIsCutShort(t *testing.T) {
	s, w := openStore(t)
	img := small(t, "amd64", "a")
	d := put(t, w, img)
	require.NoError(t, w.Tag(d, "app"))
	require.NoError(t, os.Truncate(s.blob(d.Digest), 10))
	_, err := s.Image("app", nil)
	require.ErrorContains(t, err, "has 10 bytes")
	require.ErrorContains(t, w.Tag(d, "app"), "has 10 bytes")
	require.NoError(t, w.Tag(put(t, w, img), "app"))
	_, err = s.Image("app", nil)
	require.NoError(t, err)
	require.NoError(t, w.Close())
}

// tagInStore is what the processes of TestStoreConcurrentTags do.
func tagInStore(dir, prefix string) int {
	s, err := OpenStore(dir)
	if err == nil {
		var d ocispecs.Descriptor
		if d, err = s.Resolve("base"); err == nil {
			for i := range 20 {
				if err = s.Tag(d, fmt.Sprintf("%s:%d", prefix, i), "shared"); err != nil {
					break
				}
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func TestStoreConcurrentTags(t *testing.T) {
	s, w := openStore(t)
	require.NoError(t, w.Tag(put(t, w, small(t, "amd64", "a")), "base"))
	var g errgroup.Group
	for p := range 3 {
		g.Go(func() error {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), "IMAGE_TEST_STORE="+s.Dir(), fmt.Sprintf("IMAGE_TEST_PREFIX=process%d", p))
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%w: %s", err, out)
			}
			return nil
		})
	}
	for p := range 3 {
		g.Go(func() error {
			if tagInStore(s.Dir(), fmt.Sprintf("routine%d", p)) != 0 {
				return fmt.Errorf("routine %d failed", p)
			}
			return nil
		})
	}
	g.Go(func() error {
		for range 50 {
			if _, err := s.List(); err != nil {
				return err
			}
		}
		return nil
	})
	require.NoError(t, g.Wait())
	assert.Len(t, names(t, s), 6*20+2)
	left, err := filepath.Glob(filepath.Join(s.Dir(), ".tmp-*"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestStoreGC(t *testing.T) {
	s, w := openStore(t)
	kept := putIndex(t, w, small(t, "amd64", "kept"), small(t, "arm64", "kept, too"))
	require.NoError(t, w.Tag(kept, "kept"))
	put(t, w, small(t, "amd64", "never tagged"))
	old := put(t, w, small(t, "amd64", "old"))
	require.NoError(t, w.Tag(old, "app"))
	require.NoError(t, w.Tag(put(t, w, small(t, "amd64", "new")), "app"))

	// What a killed process leaves.
	cw, err := content.OpenWriter(context.Background(), w.Content(), content.WithRef("half"))
	require.NoError(t, err)
	_, err = cw.Write([]byte("half a layer"))
	require.NoError(t, err)
	require.NoError(t, cw.Close())
	require.NoError(t, os.WriteFile(filepath.Join(s.Dir(), ".tmp-index.json123"), []byte("{"), 0o644))

	freed, err := s.GC()
	require.NoError(t, err)
	assert.Zero(t, freed, "not while somebody writes")
	assert.FileExists(t, s.blob(old.Digest))

	w.release() // as the kernel does for a killed process
	freed, err = s.GC()
	require.NoError(t, err)
	assert.Positive(t, freed)
	assert.NoFileExists(t, s.blob(old.Digest))
	assert.NoFileExists(t, filepath.Join(s.Dir(), ".tmp-index.json123"))
	assert.NoDirExists(t, filepath.Join(s.Dir(), "ingest"))
	idx, err := layout.ImageIndexFromPath(s.Dir())
	require.NoError(t, err)
	require.NoError(t, validate.Index(idx))
	blobs, err := os.ReadDir(filepath.Join(s.Dir(), "blobs", "sha256"))
	require.NoError(t, err)
	assert.Len(t, blobs, 1+2*3+3, "an index, three images of a manifest, a configuration and a layer")
	freed, err = s.GC()
	require.NoError(t, err)
	assert.Zero(t, freed)

	w2, err := s.Writer(context.Background())
	require.NoError(t, err)
	defer w2.Close()
	require.NoError(t, w2.Tag(put(t, w2, small(t, "amd64", "after")), "after"))
}

// Whoever builds one name a hundred times has one image.
func TestReplacedImagesGo(t *testing.T) {
	s, w := openStore(t)
	old := put(t, w, small(t, "amd64", "old"))
	require.NoError(t, w.Tag(old, "app", "kept"))
	require.NoError(t, w.Close())
	replace := func(name, content string) ocispecs.Descriptor {
		w, err := s.Writer(context.Background())
		require.NoError(t, err)
		d := put(t, w, small(t, "amd64", content))
		require.NoError(t, w.Tag(d, name))
		require.NoError(t, w.Close())
		return d
	}
	first := replace("app", "first")
	assert.FileExists(t, s.blob(old.Digest), "it has another name")

	busy, err := s.Hold(context.Background())
	require.NoError(t, err)
	second := replace("app", "second")
	assert.FileExists(t, s.blob(first.Digest), "not while somebody uses the store")
	busy()
	replace("app", "second")
	assert.FileExists(t, s.blob(first.Digest), "nothing has changed")
	replace("app", "third")
	assert.NoFileExists(t, s.blob(first.Digest))
	assert.NoFileExists(t, s.blob(second.Digest))
	replace("kept", "fourth")
	assert.NoFileExists(t, s.blob(old.Digest))
	blobs, err := os.ReadDir(filepath.Join(s.Dir(), "blobs", "sha256"))
	require.NoError(t, err)
	assert.Len(t, blobs, 2*3)
}

func TestWriterCloseDeletesWhatIsUnfinished(t *testing.T) {
	s, w := openStore(t)
	other, err := s.Writer(context.Background())
	require.NoError(t, err)
	for _, x := range []*Writer{w, other} {
		cw, err := content.OpenWriter(context.Background(), x.Content(), content.WithRef("same"))
		require.NoError(t, err, "two writers of one blob do not get in each other's way")
		_, err = cw.Write([]byte("x"))
		require.NoError(t, err)
		require.NoError(t, cw.Close())
	}
	require.NoError(t, w.Close())
	left, err := os.ReadDir(filepath.Join(s.Dir(), "ingest"))
	require.NoError(t, err)
	assert.Len(t, left, 1)
	require.NoError(t, other.Close())
	left, err = os.ReadDir(filepath.Join(s.Dir(), "ingest"))
	require.NoError(t, err)
	assert.Empty(t, left)
}

func TestWriterVerifies(t *testing.T) {
	s, w := openStore(t)
	d := ocispecs.Descriptor{Digest: digest.FromString("right"), Size: 5}
	err := content.WriteBlob(context.Background(), w.Content(), "x", strings.NewReader("wrong"), d)
	require.Error(t, err)
	assert.NoFileExists(t, s.blob(d.Digest))
}

func TestExported(t *testing.T) {
	want := ocispecs.Descriptor{MediaType: ocispecs.MediaTypeImageManifest, Digest: digest.FromString("x"), Size: 3}
	data, err := json.Marshal(want)
	require.NoError(t, err)
	got, err := Exported(map[string]string{"containerimage.descriptor": base64.StdEncoding.EncodeToString(data)})
	require.NoError(t, err)
	assert.Equal(t, want, got)
	_, err = Exported(nil)
	assert.ErrorContains(t, err, "did not say")
	_, err = Exported(map[string]string{"containerimage.descriptor": "%"})
	assert.ErrorContains(t, err, "reading which image")
}
