package catalog_test

import (
	"archive/tar"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/tonistiigi/fsutil"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/frontend"
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
	attrs := map[string]string{"platform": "linux/amd64,linux/arm64", "build-arg:" + frontend.ArgDebianMirror: harness.Mirror(t)}
	locations, err := catalog.MachineLocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range catalog.LocationKinds {
		if at := locations[k.Name]; at != "" {
			attrs["build-arg:"+k.Argument] = at
		}
	}
	daemon, err := client.New(t.Context(), b.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	ref := harness.Registry(t) + "/" + base.Image + ":" + base.Version
	f := frontend.New(frontend.Options{Catalog: c, Steps: frontend.StepsFromLocal})
	progress := make(chan *client.SolveStatus)
	go func() {
		for range progress {
		}
	}()
	_, err = daemon.Build(t.Context(), client.SolveOpt{
		FrontendAttrs: attrs,
		LocalMounts:   map[string]fsutil.FS{frontend.StepsLocal: harness.StepsPrograms(t)},
		Session:       []session.Attachable{harness.SecretProvider(t)},
		Exports: []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{
			"name": ref, "push": "true", "registry.insecure": "true", "oci-mediatypes": "true"}}},
	}, "", f.BuildBase(frontend.BaseImage{Base: base, Check: check}), progress)
	if err != nil {
		t.Fatal(err)
	}
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

// sameBase checks that two builds of an image gave the same, byte for byte.
func sameBase(t *testing.T, one, two func(t *testing.T, arch string) v1.Image) {
	t.Helper()
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
