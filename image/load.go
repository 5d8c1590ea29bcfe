package image

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// stored is an image of the store. It holds manifest and configuration, so
// that it stays valid when a tag moves.
type stored struct {
	layout           layout.Path
	mediaType        string
	manifest, config []byte
	layers           []ocispecs.Descriptor
}

func (s *Store) load(d ocispecs.Descriptor) (v1.Image, error) {
	raw, err := s.document(d)
	if err != nil {
		return nil, err
	}
	var m ocispecs.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("manifest %s: %w", d.Digest, err)
	}
	config, err := s.document(m.Config)
	if err != nil {
		return nil, err
	}
	img, err := partial.CompressedToImage(&stored{
		layout: s.layout(), mediaType: d.MediaType, manifest: raw, config: config, layers: m.Layers,
	})
	if err != nil {
		return nil, err
	}
	if _, err := checked(img); err != nil {
		return nil, err
	}
	return img, nil
}

// checked returns the configuration of an image whose manifest and
// configuration agree. Both come from outside.
func checked(img v1.Image) (*v1.ConfigFile, error) {
	m, err := img.Manifest()
	if err != nil {
		return nil, fmt.Errorf("reading manifest: %w", err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		return nil, fmt.Errorf("reading configuration: %w", err)
	}
	if m == nil || config == nil {
		return nil, errors.New("the image has no manifest or configuration")
	}
	if len(config.RootFS.DiffIDs) != len(m.Layers) {
		return nil, fmt.Errorf("the manifest has %d layers, the configuration %d", len(m.Layers), len(config.RootFS.DiffIDs))
	}
	return config, nil
}

func (i *stored) RawManifest() ([]byte, error)   { return i.manifest, nil }
func (i *stored) RawConfigFile() ([]byte, error) { return i.config, nil }

func (i *stored) MediaType() (types.MediaType, error) { return types.MediaType(i.mediaType), nil }

func (i *stored) LayerByDigest(h v1.Hash) (partial.CompressedLayer, error) {
	for _, d := range i.layers {
		if d.Digest.String() == h.String() {
			return storedLayer{i.layout, h, d}, nil
		}
	}
	return nil, fmt.Errorf("layer %s: %w", h, fs.ErrNotExist)
}

type storedLayer struct {
	layout layout.Path
	hash   v1.Hash
	desc   ocispecs.Descriptor
}

func (l storedLayer) Digest() (v1.Hash, error)           { return l.hash, nil }
func (l storedLayer) Compressed() (io.ReadCloser, error) { return l.layout.Blob(l.hash) }
func (l storedLayer) Size() (int64, error)               { return l.desc.Size, nil }
func (l storedLayer) MediaType() (types.MediaType, error) {
	return types.MediaType(l.desc.MediaType), nil
}
func (l storedLayer) Descriptor() (*v1.Descriptor, error) {
	return &v1.Descriptor{MediaType: types.MediaType(l.desc.MediaType), Size: l.desc.Size, Digest: l.hash}, nil
}
