package publish

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"golang.org/x/sync/errgroup"

	"github.com/birdhouse-build/birdhouse/image"
)

// registry has the images below one prefix.
type registry struct {
	prefix string

	// known are the layers that a repository has, so that another one of the
	// same registry can have them without a transfer.
	mu    sync.Mutex
	known map[v1.Hash]name.Repository
}

func newRegistry(prefix string) *registry {
	return &registry{prefix: prefix, known: map[v1.Hash]name.Repository{}}
}

// tag is the reference of a tag below the prefix.
func (r *registry) tag(repository, tag string) (name.Tag, error) {
	ref, err := image.RegistryName(r.prefix + "/" + repository + ":" + tag)
	if err != nil {
		return name.Tag{}, err
	}
	t, ok := ref.(name.Tag)
	if !ok {
		return name.Tag{}, fmt.Errorf("%s is no tag", ref)
	}
	return t, nil
}

// there is an image that the registry has.
type there struct {
	*remote.Descriptor
	// platforms are the manifests' digests and sizes; nil for what is no index.
	platforms []Platform
	zstd      bool
}

// get returns what a tag leads to, nil when it leads to nothing.
func (r *registry) get(ctx context.Context, ref name.Reference) (*there, error) {
	desc, err := remote.Get(ref, image.RegistryOptions(ctx)...)
	var answer *transport.Error
	if errors.As(err, &answer) && answer.StatusCode == http.StatusNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking for %s: %w", ref, err)
	}
	found := &there{Descriptor: desc}
	if !desc.MediaType.IsIndex() {
		return found, nil
	}
	idx, err := desc.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	if found.platforms, found.zstd, err = platformsOf(idx); err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	return found, nil
}

// push sends an index and what it consists of, as far as the repository does not
// have it, without a tag.
func (r *registry) push(ctx context.Context, repository name.Repository, b *built) error {
	pusher, err := remote.NewPusher(image.RegistryOptions(ctx)...)
	if err != nil {
		return err
	}
	images, err := b.images()
	if err != nil {
		return err
	}
	eg, egctx := errgroup.WithContext(ctx)
	eg.SetLimit(4)
	for _, img := range images {
		layers, err := img.Layers()
		if err != nil {
			return err
		}
		for _, l := range layers {
			eg.Go(func() error { return r.upload(egctx, pusher, repository, l) })
		}
	}
	if err := eg.Wait(); err != nil {
		return err
	}
	return pusher.Push(ctx, repository.Digest(b.desc.Digest.String()), b.index)
}

// upload sends a layer, or has the registry take it from a repository that has it.
func (r *registry) upload(ctx context.Context, pusher *remote.Pusher, repository name.Repository, l v1.Layer) error {
	digest, err := l.Digest()
	if err != nil {
		return err
	}
	r.mu.Lock()
	from, ok := r.known[digest]
	r.mu.Unlock()
	if ok && from != repository {
		l = &remote.MountableLayer{Layer: l, Reference: from.Digest(digest.String())}
	}
	if err := pusher.Upload(ctx, repository, l); err != nil {
		return fmt.Errorf("pushing the layer %s: %w", digest, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.known[digest]; !ok {
		r.known[digest] = repository
	}
	return nil
}

// move has a tag lead to an image that the repository has.
func (r *registry) move(ctx context.Context, tag name.Tag, to remote.Taggable) error {
	if err := remote.Tag(tag, to, image.RegistryOptions(ctx)...); err != nil {
		return fmt.Errorf("tagging %s: %w", tag, err)
	}
	return nil
}

// covers reports whether an image has all the platforms wanted, as they are.
func covers(have, want []Platform) bool {
	for _, w := range want {
		if !slices.ContainsFunc(have, func(h Platform) bool { return h.Platform == w.Platform && h.Digest == w.Digest }) {
			return false
		}
	}
	return len(want) > 0
}
