package publish

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/image"
)

// Platform is an image of one platform.
type Platform struct {
	// Platform is "linux/arm64".
	Platform string `json:"platform"`
	// Digest is the manifest's.
	Digest string `json:"digest"`
	// Size is what the layers take, compressed, in bytes.
	Size int64 `json:"size"`

	annotations map[string]string
}

// built is an image in a folder of its own, as an OCI layout.
type built struct {
	dir       string
	desc      v1.Descriptor
	index     v1.ImageIndex
	platforms []Platform
}

// newStore makes the folder that an image is exported to.
func newStore(parent string) (dir string, store content.Store, err error) {
	if dir, err = os.MkdirTemp(parent, "image-"); err != nil {
		return "", nil, err
	}
	if store, err = local.NewStore(dir); err != nil {
		_ = os.RemoveAll(dir)
		return "", nil, err
	}
	return dir, store, nil
}

// openBuilt opens what a solve has exported to the folder.
func openBuilt(dir string, response map[string]string) (*built, error) {
	desc, err := image.Exported(response)
	if err != nil {
		return nil, err
	}
	root := ocispecs.Index{Versioned: specs.Versioned{SchemaVersion: 2}, MediaType: ocispecs.MediaTypeImageIndex, Manifests: []ocispecs.Descriptor{desc}}
	for file, v := range map[string]any{
		ocispecs.ImageIndexFile:  root,
		ocispecs.ImageLayoutFile: ocispecs.ImageLayout{Version: ocispecs.ImageLayoutVersion},
	} {
		data, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(dir, file), data, 0o600); err != nil {
			return nil, err
		}
	}
	b := &built{dir: dir}
	top, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, err
	}
	m, err := top.IndexManifest()
	if err != nil {
		return nil, err
	}
	b.desc = m.Manifests[0]
	if !b.desc.MediaType.IsIndex() {
		return nil, fmt.Errorf("the build gave a %s and no index", b.desc.MediaType)
	}
	if b.index, err = top.ImageIndex(b.desc.Digest); err != nil {
		return nil, err
	}
	b.platforms, _, err = platformsOf(b.index)
	return b, err
}

func (b *built) remove() { _ = os.RemoveAll(b.dir) }

// images are the images of all platforms, and attestations, which have the form
// of one.
func (b *built) images() ([]v1.Image, error) {
	m, err := b.index.IndexManifest()
	if err != nil {
		return nil, err
	}
	var all []v1.Image
	for _, d := range m.Manifests {
		img, err := b.index.Image(d.Digest)
		if err != nil {
			return nil, err
		}
		all = append(all, img)
	}
	return all, nil
}

// maxPlatforms bounds how many images of an index are looked at.
const maxPlatforms = 64

// platformsOf returns the images of an index, attestations left out, and whether
// their layers are compressed with zstd.
func platformsOf(idx v1.ImageIndex) (all []Platform, zstd bool, err error) {
	m, err := idx.IndexManifest()
	if err != nil {
		return nil, false, err
	}
	if len(m.Manifests) > maxPlatforms {
		return nil, false, fmt.Errorf("it has %d images, and %d at most are expected", len(m.Manifests), maxPlatforms)
	}
	for _, d := range m.Manifests {
		if !isPlatform(d) {
			continue
		}
		img, err := idx.Image(d.Digest)
		if err != nil {
			return nil, false, err
		}
		im, err := img.Manifest()
		if err != nil {
			return nil, false, err
		}
		p := Platform{Platform: d.Platform.String(), Digest: d.Digest.String(), annotations: im.Annotations}
		for _, l := range im.Layers {
			p.Size += l.Size
			zstd = zstd || strings.HasSuffix(string(l.MediaType), "+zstd")
		}
		all = append(all, p)
	}
	return all, zstd, nil
}

// isPlatform says whether an entry of an index is an image, and no attestation.
func isPlatform(d v1.Descriptor) bool {
	return d.MediaType.IsImage() && d.Platform != nil && d.Platform.OS != "unknown" && d.Annotations["vnd.docker.reference.type"] == ""
}
