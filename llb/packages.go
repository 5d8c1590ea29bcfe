package llb

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/image/note"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/resolve"
)

// ReadFunc builds a state and returns a file of it, of at most limit bytes.
type ReadFunc func(ctx context.Context, st llb.State, name string, limit int) ([]byte, error)

// maxAnswer bounds the list of packages that are found; a thousand are half a
// megabyte.
const maxAnswer = 4 << 20

// PackagesError is that packages cannot be added to a base.
type PackagesError struct {
	// Asked is the path of the descriptor's key that asked for them.
	Asked    string
	Problems []resolve.Problem
}

func (e *PackagesError) Error() string {
	var lines []string
	for _, p := range e.Problems {
		lines = append(lines, e.Asked+": "+p.Text)
	}
	return strings.Join(lines, "\n")
}

// WithPackages puts the packages that b asks for, with all that they need and
// that is not there yet, on an image that stands for b: as a layer of their own.
// What is there the catalog's own b says. Which packages that are the steps
// program finds out, as a part of the build that is cached like any other.
func (c *Catalog) WithPackages(ctx context.Context, base *Base, b plan.Base, platform ocispecs.Platform) (*Base, error) {
	if len(b.Packages) == 0 {
		return base, nil
	}
	asked := *c
	asked.asked = b.Asked
	return asked.withPackages(ctx, base, b, platform)
}

func (c *Catalog) withPackages(ctx context.Context, base *Base, b plan.Base, platform ocispecs.Platform) (*Base, error) {
	img, err := c.Catalog.Image(b, platform.Architecture, c.Build.Architecture)
	if err != nil {
		return nil, err
	}
	found, answer, err := c.resolve(ctx, b, img, platform.Architecture)
	if err != nil {
		return nil, err
	}
	for _, choice := range found.Choices {
		if c.Chosen != nil {
			c.Chosen(b.Asked, choice)
		}
	}
	out := &Base{Config: base.Config}
	out.Config.History = slices.Clone(base.Config.History)
	var states []llb.State
	// Libraries of another machine first: where both have the same file, that of
	// the machine that runs counts.
	for _, arch := range []string{crossTarget(b), platform.Architecture} {
		var packages []catalog.Package
		var names []string
		for _, p := range found.Packages {
			other := p.Architecture != platform.Architecture && p.Architecture != "all"
			if other != (arch != platform.Architecture) {
				continue
			}
			packages = append(packages, catalog.Package{
				Name: p.Name, Version: p.Version, Architecture: p.Architecture,
				Archive: p.Archive, Path: p.Path, SHA256: p.SHA256, Size: p.Size,
			})
			if p.Asked {
				names = append(names, p.Name)
			}
		}
		if len(packages) == 0 {
			continue
		}
		l, err := c.Catalog.PackageLayer(img.Suite, arch, packages, names)
		if err != nil {
			return nil, fmt.Errorf("base %s: %s: the list of packages found: %w", b, b.Asked, err)
		}
		// With the answer beside its packages the layer depends on it, so that a cache
		// that is exported has both: else every machine would look for packages itself.
		st, err := c.layer(img.Ref, l, llb.AddMount("/run/birdhouse-answer", answer, llb.Readonly))
		if err != nil {
			return nil, err
		}
		states = append(states, st)
		out.Config.History = append(out.Config.History, note.Note{Name: l.Name, Changes: "rarely", What: l.What}.History(c.Epoch))
	}
	out.State = stack(base.State, states, c.Caps, c.Build, c.Epoch, "[base "+img.Ref+"] join layers")
	return out, nil
}

// crossTarget is the architecture that a build base has a cross compiler for,
// which libraries among its packages are for; "" for none.
func crossTarget(b plan.Base) string {
	for _, set := range b.With {
		if arch, ok := strings.CutPrefix(set, b.Cross); ok && b.Cross != "" {
			return arch
		}
	}
	return ""
}

// resolve finds the packages that b asks for, and returns the state of the answer as
// well.
func (c *Catalog) resolve(ctx context.Context, b plan.Base, img *catalog.Image, arch string) (*resolve.Result, llb.State, error) {
	none := llb.Scratch()
	if c.Read == nil {
		return nil, none, errors.New("packages can be found in a build alone")
	}
	const specDir, indices, out = "/run/birdhouse-resolve", "/run/birdhouse-indices", "/out"
	spec := resolve.Spec{Names: b.Packages, Without: c.Catalog.Scripts(), Prefer: c.Catalog.Prefer()}
	var mounts []llb.RunOption
	machine := func(arch string) (resolve.Machine, error) {
		m := resolve.Machine{Architecture: arch}
		list, err := c.Catalog.Indices(img.Suite, arch)
		if err != nil {
			return m, err
		}
		for _, ix := range list {
			dir := fmt.Sprintf("%s/%s-%s", indices, ix.Suite, arch)
			mounts = append(mounts, llb.AddMount(dir, c.index(img.Ref, ix, arch), llb.Readonly))
			m.Indices = append(m.Indices, resolve.Index{Path: dir + "/Packages", SHA256: ix.SHA256, Archive: ix.Archive})
		}
		return m, nil
	}
	var err error
	if spec.Machine, err = machine(arch); err != nil {
		return nil, none, err
	}
	target := crossTarget(b)
	if target != "" {
		m, err := machine(target)
		if err != nil {
			return nil, none, err
		}
		spec.Target = &m
	}
	for _, l := range img.Layers {
		for _, p := range l.Packages {
			spec.Machine.Have = append(spec.Machine.Have, resolve.Have{Name: p.Name, Version: p.Version})
			// A cross compiler comes with the C library of its target.
			if name, ok := strings.CutSuffix(p.Name, "-"+target+"-cross"); ok && target != "" {
				spec.Target.Have = append(spec.Target.Have, resolve.Have{Name: name, Version: p.Version})
			}
		}
	}
	dt, err := json.Marshal(spec)
	if err != nil {
		return nil, none, err
	}
	specState := llb.Scratch().File(llb.Mkfile("/spec.json", 0o444, dt, llb.WithCreatedTime(c.Epoch)),
		c.constraints(fmt.Sprintf("[base %s] write the names of packages", img.Ref))...)
	opts := append([]llb.RunOption{
		llb.Args([]string{plan.StepsProgram, "resolve", specDir + "/spec.json", out}),
		llb.Dir("/"),
		llb.Network(llb.NetModeNone),
		llb.AddMount(path.Dir(plan.StepsProgram), c.Steps, llb.Readonly),
		llb.AddMount(specDir, specState, llb.Readonly),
	}, mounts...)
	name := fmt.Sprintf("[base %s] find the packages for %s", img.Ref, strings.Join(b.Packages, ", "))
	if target != "" {
		name += " (libraries for " + target + ")"
	}
	for _, co := range c.constraints(name) {
		opts = append(opts, co)
	}
	answer := llb.Scratch().Run(opts...).AddMount(out, llb.Scratch())
	data, err := c.Read(ctx, answer, resolve.Answer, maxAnswer)
	if err != nil {
		return nil, none, err
	}
	found, err := resolve.Parse(data)
	if err != nil {
		return nil, none, fmt.Errorf("base %s: %s: reading the list of packages found: %w", b, b.Asked, err)
	}
	if len(found.Problems) > 0 {
		return nil, none, &PackagesError{Asked: b.Asked, Problems: found.Problems}
	}
	return found, answer, nil
}

// index is a package index as a source, at /Packages.
func (c *Catalog) index(ref string, ix catalog.Index, arch string) llb.State {
	from := c.mirror(ix.Locked).IndexURL(ix)
	shown := from
	if u, err := url.Parse(from); err == nil {
		shown = u.Redacted()
	}
	constraints := append(c.constraints(fmt.Sprintf("[base %s] fetch the list of packages of %s for %s", ref, ix.Suite, arch)),
		llb.WithDescription(map[string]string{
			DescriptionURL: shown,
			DescriptionHint: fmt.Sprintf("packages are looked for among those of %s, when the catalog was locked, and a mirror drops its lists of a day some days later\n"+
				"either lock anew, with `birdhouse catalog update FILE` and --catalog FILE, or fetch from the snapshot archive, which keeps them, with --build-arg BIRDHOUSE_DEBIAN_MIRROR=%q",
				ix.Locked.UTC().Format(time.DateOnly), catalog.Snapshot(ix.Locked)),
		}))
	return llb.HTTP(from, httpOptions(constraints,
		llb.Checksum(digest.NewDigestFromEncoded(digest.SHA256, ix.SHA256)),
		llb.Filename("Packages"))...)
}
