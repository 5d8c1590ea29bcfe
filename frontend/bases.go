package frontend

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/frontend/dockerui"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// bases are where base images come from: a named context that the client gave
// (--build-context go:1.26.8-build=docker-image://…), else the registry where the
// lock says that they are published, else the catalog's own definitions. Whichever
// it is, sets come on top from the definitions, and packages on top of these.
type bases struct {
	client  gwclient.Client
	ui      *dockerui.Client
	catalog *birdllb.Catalog
	resolve string

	mu    sync.Mutex
	found map[string]*loading
}

// loading is a base that is loaded once. It may take a part of the build, which
// others need not wait for.
type loading struct {
	once sync.Once
	base *birdllb.Base
	err  error
}

// bases finds base images with the options of the build.
func (b *build) bases(ctx context.Context, o birdllb.Options) (birdllb.Bases, error) {
	definitions, err := b.definitions(o)
	if err != nil {
		return nil, err
	}
	definitions.Read = b.readFile
	definitions.Chosen = b.chosen(ctx)
	return &bases{
		client:  b.client,
		ui:      b.ui,
		catalog: definitions,
		resolve: b.opts["image-resolve-mode"],
		found:   map[string]*loading{},
	}, nil
}

// definitions makes base images of the catalog's definitions.
func (b *build) definitions(o birdllb.Options) (*birdllb.Catalog, error) {
	var mirror catalog.Mirror
	if s := b.ui.BuildArgs[ArgDebianMirror]; s != "" {
		var err error
		if mirror, err = catalog.ParseMirror(s); err != nil {
			return nil, fmt.Errorf("build argument %s: %w", ArgDebianMirror, err)
		}
	}
	locations := catalog.Locations{}
	for _, k := range catalog.LocationKinds {
		if s := b.ui.BuildArgs[k.Argument]; s != "" {
			var err error
			if locations[k.Name], err = catalog.ParseLocation(s); err != nil {
				return nil, fmt.Errorf("build argument %s: %w", k.Argument, err)
			}
		}
	}
	return &birdllb.Catalog{Catalog: b.catalog, Mirror: mirror, Locations: locations, Options: o}, nil
}

// Base implements llb.Bases.
func (b *bases) Base(ctx context.Context, base plan.Base, platform ocispecs.Platform) (*birdllb.Base, error) {
	key := fmt.Sprint(base, base.With, base.Packages, base.Asked, platforms.FormatAll(platform))
	b.mu.Lock()
	found := b.found[key]
	if found == nil {
		found = &loading{}
		b.found[key] = found
	}
	b.mu.Unlock()
	found.once.Do(func() {
		found.base, found.err = b.load(ctx, base, platform)
		if found.err == nil {
			found.base, found.err = b.catalog.WithPackages(ctx, found.base, base, platform)
		}
	})
	return found.base, found.err
}

// load returns a base with its sets, without packages.
func (b *bases) load(ctx context.Context, base plan.Base, platform ocispecs.Platform) (*birdllb.Base, error) {
	found, err := b.replaced(ctx, base, platform)
	if err != nil {
		return nil, fmt.Errorf("base %s from its build context: %w", base, err)
	}
	if found == nil {
		if found, err = b.published(ctx, base, platform); err != nil {
			return nil, fmt.Errorf("base %s where it is published: %w", base, err)
		}
	}
	if found == nil {
		return b.catalog.Base(ctx, base, platform)
	}
	return b.catalog.WithSets(found, base, platform)
}

// replaced is the image that the user gave in the place of a base; nil for none.
func (b *bases) replaced(ctx context.Context, base plan.Base, platform ocispecs.Platform) (*birdllb.Base, error) {
	nc, err := b.ui.NamedContext(base.String(), dockerui.ContextOpt{Platform: &platform, ResolveMode: b.resolve})
	if err != nil || nc == nil {
		return nil, err
	}
	st, img, err := nc.Load(ctx)
	if err != nil {
		return nil, err
	}
	out := &birdllb.Base{State: *st}
	if img != nil {
		out.Config = *img
	}
	return out, nil
}

// published is the image as the lock says where it is published; nil for one that
// is not. It is named by its digest, so whatever answers cannot give another.
func (b *bases) published(ctx context.Context, base plan.Base, platform ocispecs.Platform) (*birdllb.Base, error) {
	ref, ok := b.catalog.Catalog.Published(base, platform.Architecture)
	if !ok {
		return nil, nil
	}
	_, _, config, err := b.client.ResolveImageConfig(ctx, ref, sourceresolver.Opt{
		LogName:  fmt.Sprintf("[base %s] find %s", base, ref),
		ImageOpt: &sourceresolver.ResolveImageOpt{Platform: &platform, ResolveMode: b.resolve},
	})
	if err != nil {
		return nil, err
	}
	out := &birdllb.Base{State: llb.Image(ref, llb.Platform(platform), llb.WithCustomName(fmt.Sprintf("[base %s] %s", base, ref)))}
	if err := json.Unmarshal(config, &out.Config); err != nil {
		return nil, fmt.Errorf("reading the configuration of %s: %w", ref, err)
	}
	return out, nil
}
