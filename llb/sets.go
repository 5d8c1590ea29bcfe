package llb

import (
	"fmt"
	"path"
	"reflect"
	"slices"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/image/note"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// WithSets puts what b.With asks for on an image that stands for b without it: a
// published one, or one that the user gave. Added are the layers of the sets, and of
// what they lie on, that the catalog's own b without sets does not have.
func (c *Catalog) WithSets(base *Base, b plan.Base, platform ocispecs.Platform) (*Base, error) {
	if len(b.With) == 0 {
		return base, nil
	}
	missing, err := c.setLayers(b, platform)
	if err != nil {
		return nil, err
	}
	if len(missing) == 0 {
		return base, nil
	}
	var states []llb.State
	out := &Base{Config: base.Config}
	out.Config.History = slices.Clone(base.Config.History)
	for _, l := range missing {
		st, err := c.layer(b.String(), l)
		if err != nil {
			return nil, fmt.Errorf("base %s: layer %s: %w", b, l.Name, err)
		}
		states = append(states, st)
		out.Config.History = append(out.Config.History, note.Note{Name: l.Name, Changes: "rarely", What: l.What}.History(c.Epoch))
	}
	out.State = stack(base.State, states, c.Caps, c.Build, c.Epoch, "[base "+b.String()+"] join layers")
	return out, nil
}

func (c *Catalog) setLayers(b plan.Base, platform ocispecs.Platform) ([]catalog.Layer, error) {
	if platform.OS != "linux" {
		return nil, fmt.Errorf("base %s: platform %s: images are for linux only", b, platforms.Format(platform))
	}
	all, err := c.Catalog.Image(b, platform.Architecture, c.Build.Architecture)
	if err != nil {
		return nil, err
	}
	b.With = nil
	own, err := c.Catalog.Image(b, platform.Architecture, c.Build.Architecture)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all.Layers, func(l catalog.Layer) bool {
		return slices.ContainsFunc(own.Layers, func(o catalog.Layer) bool { return reflect.DeepEqual(l, o) })
	}), nil
}

// Document is a state with one file, at an absolute path.
func Document(file string, data []byte, o Options, name string) llb.State {
	return llb.Scratch().File(llb.Mkfile(path.Clean(file), 0o444, data, llb.WithCreatedTime(o.Epoch)),
		llb.Platform(o.Build), llb.WithCaps(o.Caps), llb.WithCustomName(name))
}
