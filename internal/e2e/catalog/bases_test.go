package catalog_test

import (
	"archive/tar"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// publishBase builds an image of the catalog for both architectures, with its
// checks, on the shared BuildKit, pushes it, and returns a function that reads it.
func publishBase(t *testing.T, c *catalog.Catalog, base plan.Base) func(t *testing.T, arch string) v1.Image {
	t.Helper()
	return publishBaseOn(t, harness.SharedBuildkitd(t), c, base, true)
}

// publishBaseOn does it on another daemon, with or without the image's checks.
func publishBaseOn(t *testing.T, b *harness.BuildKit, c *catalog.Catalog, base plan.Base, check bool) func(t *testing.T, arch string) v1.Image {
	t.Helper()
	ref := harness.PushBase(t, b, harness.Registry(t), harness.Base{Catalog: c, Base: base, Platforms: []string{"linux/amd64", "linux/arm64"}, Check: check})
	return func(t *testing.T, arch string) v1.Image {
		t.Helper()
		parsed, err := name.ParseReference(ref, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(parsed, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
}

// Two daemons that know nothing of each other make the same image, byte for byte,
// where programs take part in the making: Python compiles its library, Java links
// its runtime, Node's program is rewritten.
func TestCatalogImagesAreReproducible(t *testing.T) {
	c := lockedCatalog(t)
	other := harness.Buildkitd(t)
	for _, base := range []plan.Base{{Image: "python", Version: "3.13"}, {Image: "java", Version: "21"}, {Image: "node", Version: "24"}} {
		t.Run(base.String(), func(t *testing.T) {
			one, two := publishBase(t, c, base), publishBaseOn(t, other, c, base, false)
			for _, arch := range []string{"amd64", "arm64"} {
				a, err := one(t, arch).Digest()
				if err != nil {
					t.Fatal(err)
				}
				b, err := two(t, arch).Digest()
				if err != nil {
					t.Fatal(err)
				}
				if a != b {
					t.Errorf("%s: %s and %s", arch, a, b)
				}
			}
		})
	}
}

// regular are the contents of the regular files among members.
func regular(members map[string]e2etest.Member) map[string][]byte {
	files := map[string][]byte{}
	for name, m := range members {
		if m.Typeflag == tar.TypeReg {
			files[name] = m.Data
		}
	}
	return files
}

func layersSize(t *testing.T, image v1.Image) (size int64) {
	t.Helper()
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range manifest.Layers {
		size += l.Size
	}
	return size
}
