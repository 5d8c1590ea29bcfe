package publish

import (
	"context"
	"strings"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// verify builds an image and compares its manifests with those that the registry
// has. A manifest has the digests of the configuration and of all layers, so that
// nothing else has to be looked at.
func (r *run) verify(ctx context.Context, t *task) (*Image, error) {
	ref := t.base.String()
	tag, err := r.registry.tag(t.base.Image, strings.TrimPrefix(ref, t.base.Image+":"))
	if err != nil {
		return nil, err
	}
	have, err := r.registry.get(ctx, tag)
	if err != nil {
		return nil, err
	}
	h := r.how()
	if have != nil {
		h = r.likewise(h, t, have)
	}
	b, err := r.build(ctx, t, h)
	if err != nil {
		return nil, err
	}
	defer b.remove()
	// What lies on this image lies on the one that was built, whatever the
	// registry has.
	img := &Image{Ref: ref, Name: tag.String(), Platforms: b.platforms}
	if have == nil {
		img.Status, img.Why = Missing, []string{"the registry does not have it"}
		return img, nil
	}
	img.Digest = have.Digest.String()
	img.Status, img.Why = Same, differences(have.platforms, b.platforms)
	if len(img.Why) > 0 {
		img.Status = Differs
	}
	return img, nil
}

// likewise builds an image as a published one was built: with its compression,
// and with those annotations that the command that published it was told. It may
// have been copied since from another registry, whose name these have.
func (r *run) likewise(h how, t *task, have *there) how {
	h.compression = "gzip"
	if have.zstd {
		h.compression = "zstd"
	}
	for _, p := range have.platforms {
		if s := p.annotations[ocispecs.AnnotationSource]; s != "" {
			h.source = s
		}
		if below := t.below[archOf(p.Platform)]; below != nil {
			if prefix, ok := strings.CutSuffix(p.annotations[ocispecs.AnnotationBaseImageName], "/"+below.base.String()); ok {
				h.prefix = prefix
			}
		}
	}
	return h
}
