package frontend

import (
	"context"
	"fmt"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/frontend/dockerui"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// bases are where base images come from: a named context that the client gave
// (--build-context go:1.26.8-build=docker-image://…), else the catalog's own
// definitions.
type bases struct {
	ui      *dockerui.Client
	catalog *birdllb.Catalog
	resolve string

	mu    sync.Mutex
	found map[string]*birdllb.Base
}

// bases finds base images with the options of the build.
func (b *build) bases(o birdllb.Options) (birdllb.Bases, error) {
	definitions, err := b.definitions(o)
	if err != nil {
		return nil, err
	}
	return &bases{
		ui:      b.ui,
		catalog: definitions,
		resolve: b.opts["image-resolve-mode"],
		found:   map[string]*birdllb.Base{},
	}, nil
}

// definitions makes base images of the catalog's definitions.
func (b *build) definitions(o birdllb.Options) (*birdllb.Catalog, error) {
	mirror := b.Catalog.SnapshotMirror()
	if s := b.ui.BuildArgs[ArgDebianMirror]; s != "" {
		var err error
		if mirror, err = catalog.ParseMirror(s); err != nil {
			return nil, fmt.Errorf("build argument %s: %w", ArgDebianMirror, err)
		}
	}
	return &birdllb.Catalog{Catalog: b.Catalog, Mirror: mirror, Options: o}, nil
}

// Base implements llb.Bases.
func (b *bases) Base(ctx context.Context, base plan.Base, platform ocispecs.Platform) (*birdllb.Base, error) {
	key := fmt.Sprint(base, base.With, platforms.FormatAll(platform))
	b.mu.Lock()
	defer b.mu.Unlock()
	if found := b.found[key]; found != nil {
		return found, nil
	}
	found, err := b.load(ctx, base, platform)
	if err != nil {
		return nil, err
	}
	b.found[key] = found
	return found, nil
}

func (b *bases) load(ctx context.Context, base plan.Base, platform ocispecs.Platform) (*birdllb.Base, error) {
	nc, err := b.ui.NamedContext(base.String(), dockerui.ContextOpt{Platform: &platform, ResolveMode: b.resolve})
	if err != nil {
		return nil, fmt.Errorf("base %s from its build context: %w", base, err)
	}
	if nc == nil {
		return b.catalog.Base(ctx, base, platform)
	}
	st, img, err := nc.Load(ctx)
	if err != nil {
		return nil, fmt.Errorf("base %s from its build context: %w", base, err)
	}
	out := &birdllb.Base{State: *st}
	if img != nil {
		out.Config = *img
	}
	return out, nil
}
