package publish

import (
	"archive/tar"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
)

// lockName is the lock's file in the frontend image.
const lockName = "catalog.lock"

// maxLock bounds a frontend image's layer, unpacked, in bytes.
const maxLock = 256 << 20

// Known returns what is published at the prefix: the images given and, of the same
// lock, those that were published before. These are what the lock itself says, and
// what the frontend image there knows, as far as the registry still has them.
func Known(ctx context.Context, o Options, images []Image) (*catalog.Published, error) {
	reg := newRegistry(o.Prefix)
	earlier := map[string]string{}
	frontend, err := reg.frontend(ctx)
	if err != nil {
		return nil, err
	}
	if frontend != nil {
		lock, err := frontend.lock()
		if err != nil {
			return nil, err
		}
		if lock != nil && lock.Published != nil && lock.Published.Prefix == o.Prefix && lock.Same(o.Catalog.Lock()) {
			maps.Copy(earlier, lock.Published.Images)
		}
	}
	if p := o.Catalog.Lock().Published; p != nil && p.Prefix == o.Prefix {
		maps.Copy(earlier, p.Images)
	}
	all := o.Catalog.Architectures()
	known := &catalog.Published{Prefix: o.Prefix, Images: map[string]string{}}
	for _, img := range images {
		known.Add(img.Ref, img.Digest, architectures(img.Platforms), all)
		delete(earlier, img.Ref)
	}
	for _, ref := range o.Catalog.Refs() {
		digest := earlier[ref]
		if digest == "" {
			continue
		}
		repository, _, _ := strings.Cut(ref, ":")
		tag, err := reg.tag(repository, "any")
		if err != nil {
			return nil, err
		}
		have, err := reg.get(ctx, tag.Context().Digest(digest))
		if err != nil {
			return nil, err
		}
		if have != nil {
			known.Add(ref, digest, architectures(have.platforms), all)
		}
	}
	return known, nil
}

func architectures(all []Platform) []string {
	var out []string
	for _, p := range all {
		out = append(out, archOf(p.Platform))
	}
	return out
}

// frontend returns the frontend image that is there, nil for none.
func (r *registry) frontend(ctx context.Context) (*there, error) {
	tag, err := r.tag(FrontendRepository, frontendMajor)
	if err != nil {
		return nil, err
	}
	have, err := r.get(ctx, tag)
	if err != nil || have == nil || len(have.platforms) == 0 {
		return nil, err
	}
	return have, nil
}

// lock reads the lock in a frontend image; nil for an image that has none that this
// program reads.
func (t *there) lock() (*catalog.Lock, error) {
	idx, err := t.ImageIndex()
	if err != nil {
		return nil, err
	}
	digest, err := v1.NewHash(t.platforms[0].Digest)
	if err != nil {
		return nil, err
	}
	img, err := idx.Image(digest)
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, err
	}
	for _, l := range slices.Backward(layers) {
		data, err := fileOf(l, lockName)
		if err != nil {
			return nil, err
		}
		if data == nil {
			continue
		}
		lock, err := catalog.ParseLock(lockName, data)
		if err != nil {
			return nil, nil
		}
		return lock, nil
	}
	return nil, nil
}

// fileOf returns the content of a file in the root folder of a layer; nil for none.
func fileOf(l v1.Layer, name string) ([]byte, error) {
	r, err := l.Uncompressed()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	files := tar.NewReader(io.LimitReader(r, maxLock))
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag == tar.TypeReg && strings.TrimPrefix(h.Name, "./") == name {
			return io.ReadAll(files)
		}
	}
}

// keepPlatforms adds the platforms that the frontend image is there for: it runs where
// builds run, whatever the platforms of the images.
func (r *run) keepPlatforms(ctx context.Context) error {
	have, err := r.registry.frontend(ctx)
	if err != nil || have == nil {
		return err
	}
	for _, p := range have.platforms {
		platform, err := platforms.Parse(p.Platform)
		if err != nil {
			return err
		}
		arch := platform.Architecture
		if slices.Contains(r.Catalog.Architectures(), arch) && !slices.Contains(r.architectures(), arch) {
			r.Platforms = append(slices.Clone(r.Platforms), platforms.Normalize(platform))
		}
	}
	slices.SortFunc(r.Platforms, func(a, b ocispecs.Platform) int { return strings.Compare(a.Architecture, b.Architecture) })
	return nil
}

func (r *run) architectures() []string {
	var out []string
	for _, p := range r.Platforms {
		out = append(out, p.Architecture)
	}
	return out
}
