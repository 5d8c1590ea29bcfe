// Package llb turns plans into BuildKit build graphs (LLB): the stages that run
// tools, the base images made from Debian packages, and the image that is
// assembled from copies alone. It is the only package that builds graphs.
package llb

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/image/note"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// Keys of the description that operations carry, which BuildKit hands back with
// the error of a failed one.
const (
	// DescriptionStep is the step's name, for people.
	DescriptionStep = "birdhouse.step"
	// DescriptionHint is what to try when it fails.
	DescriptionHint = "birdhouse.hint"
	// DescriptionBlame is what exit codes from plan.FirstBlame on stand for, a line each.
	DescriptionBlame = "birdhouse.blame"
	// DescriptionURL is where a fetched file comes from, without credentials.
	DescriptionURL = "birdhouse.url"
)

// Base is a base image as a state, with its configuration. The configuration's
// history has one entry a layer.
type Base struct {
	State  llb.State
	Config dockerspec.DockerOCIImage
}

// Bases finds base images.
type Bases interface {
	// Base returns the named image for the platform. Equal arguments give
	// equal states.
	Base(ctx context.Context, b plan.Base, platform ocispecs.Platform) (*Base, error)
}

// Source is the project.
type Source interface {
	// State returns the project's files that match include (all when empty)
	// and not exclude, with the project's ignore file applied.
	State(ctx context.Context, include, exclude []string, name string) (llb.State, error)
	// Path returns a state that has at least this path of the project and, where
	// symbolic links lead to it, what they lead to.
	Path(ctx context.Context, path, name string) (llb.State, error)
}

// Options are what a conversion needs besides the plan.
type Options struct {
	Bases  Bases
	Source Source
	// Steps is a state that has the steps program for the build platform at
	// /steps.
	Steps llb.State
	// Caps are what the server can do.
	Caps apicaps.CapSet
	// Build is the platform that commands run on, Target the image's.
	Build, Target ocispecs.Platform
	// Emulated are the platforms whose programs the server runs as well.
	Emulated []ocispecs.Platform
	// PrefixPlatform names the target platform in progress output.
	PrefixPlatform bool
	// Epoch is the time of everything that is created.
	Epoch time.Time
	// Locate returns the place of a key of the descriptor, for errors; may be nil.
	Locate func(path string) llb.ConstraintsOpt
	// NoCache says whether the stage must run anew; may be nil.
	NoCache func(stage string) bool
	// CacheNamespace comes before the ids of cache mounts.
	CacheNamespace string
	// Exec are options of every command: extra hosts, limits.
	Exec []llb.RunOption
	// Network is the network of the steps that ask for one.
	Network pb.NetMode
	// Proxy reaches those steps without being part of any cache key; may be nil.
	Proxy *llb.ProxyEnv
}

// Graph is a plan as states.
type Graph struct {
	// Image is the finished image's file system.
	Image llb.State
	// Config is its configuration, complete with history.
	Config dockerspec.DockerOCIImage
	// Base is the run base's configuration.
	Base dockerspec.DockerOCIImage
	// Smoke is the check of the image; nil when the plan has none or the
	// target is not the build platform's.
	Smoke *llb.State
	// Stages are the results of the stages, by name; those of a stage with
	// several outputs are joined.
	Stages map[string]llb.State
}

// graph is a conversion under way.
type graph struct {
	Options
	plan *plan.Plan
	run  *Base
	// outputs by stage and output name.
	outputs map[string]map[string]llb.State
	gates   []llb.State
	expand  *strings.Replacer
}

// Convert builds the graph of a plan for one target platform.
func Convert(ctx context.Context, p *plan.Plan, o Options) (*Graph, error) {
	o.Build, o.Target = platforms.Normalize(o.Build), platforms.Normalize(o.Target)
	g := &graph{
		Options: o,
		plan:    p,
		outputs: map[string]map[string]llb.State{},
		expand: strings.NewReplacer(
			plan.TargetOS, o.Target.OS,
			plan.TargetArch, o.Target.Architecture,
			plan.TargetVariant, o.Target.Variant,
			plan.BuildArch, o.Build.Architecture,
		),
	}
	var err error
	if g.run, err = o.Bases.Base(ctx, p.Run, o.Target); err != nil {
		return nil, err
	}
	for _, s := range p.Stages {
		if err := g.stage(ctx, s); err != nil {
			return nil, fmt.Errorf("stage %s: %w", s.Name, err)
		}
	}
	image, err := g.image(ctx)
	if err != nil {
		return nil, err
	}
	out := &Graph{
		Image:  image,
		Config: g.config(),
		Base:   g.run.Config,
		Stages: map[string]llb.State{},
	}
	for _, s := range p.Stages {
		out.Stages[s.Name] = g.joined(s.Name)
	}
	// The check starts the program, so it is for the builder's own platform.
	if p.Smoke != nil && o.Target.OS == o.Build.OS && o.Target.Architecture == o.Build.Architecture {
		smoke, err := g.smoke(image, out.Config)
		if err != nil {
			return nil, err
		}
		out.Smoke = &smoke
	}
	return out, nil
}

// joined is everything that a stage produced.
func (g *graph) joined(stage string) llb.State {
	outputs := g.outputs[stage]
	names := slices.Sorted(maps.Keys(outputs))
	states := make([]llb.State, 0, len(names))
	for _, n := range names {
		states = append(states, outputs[n])
	}
	if len(states) == 0 {
		return llb.Scratch()
	}
	return g.stack(states[0], states[1:], "join the outputs of "+stage)
}

// constraints are the options of an operation of this stage: the name that
// progress and errors show, the descriptor's key that asked for it ("" for
// `language`), and what to try when it fails.
func (o Options) constraints(stage, asked, name, hint string) []llb.ConstraintsOpt {
	opts := []llb.ConstraintsOpt{
		llb.Platform(o.Build),
		llb.WithCaps(o.Caps),
		llb.WithCustomName(name),
	}
	if o.Locate != nil {
		if asked == "" {
			asked = "language"
		}
		opts = append(opts, o.Locate(asked))
	}
	description := map[string]string{DescriptionStep: name}
	if hint != "" {
		description[DescriptionHint] = hint
	}
	opts = append(opts, llb.WithDescription(description))
	if o.NoCache != nil && o.NoCache(stage) {
		opts = append(opts, llb.IgnoreCache)
	}
	return opts
}

// prefixed is a name in progress output, with the target platform before it where
// there are several.
func (o Options) prefixed(name string) string {
	if o.PrefixPlatform {
		return "[" + platforms.Format(o.Target) + "] " + name
	}
	return name
}

// stack puts layers on a base. With MergeOp each stays a layer of its own that
// does not depend on those below; without, copies give the same files.
func (g *graph) stack(base llb.State, layers []llb.State, name string) llb.State {
	return stack(base, layers, g.Caps, g.Build, g.Epoch, name)
}

func stack(base llb.State, layers []llb.State, caps apicaps.CapSet, build ocispecs.Platform, epoch time.Time, name string) llb.State {
	if len(layers) == 0 {
		return base
	}
	opts := []llb.ConstraintsOpt{llb.Platform(build), llb.WithCaps(caps), llb.WithCustomName(name)}
	if caps.Supports(pb.CapMergeOp) == nil {
		return llb.Merge(append([]llb.State{base}, layers...), opts...)
	}
	st := base
	for _, l := range layers {
		st = st.File(llb.Copy(l, "/", "/", &llb.CopyInfo{
			CopyDirContentsOnly: true,
			CreatedTime:         &epoch,
		}), opts...)
	}
	return st
}

// config is the image's configuration: the base's, then the plan's.
func (g *graph) config() dockerspec.DockerOCIImage {
	img := g.run.Config
	img.Created = &g.Epoch
	img.Author = ""
	img.Platform = ocispecs.Platform{
		OS:           g.Target.OS,
		Architecture: g.Target.Architecture,
		Variant:      g.Target.Variant,
	}
	img.RootFS = ocispecs.RootFS{Type: "layers"}
	img.History = slices.Clone(g.run.Config.History)
	for _, l := range g.plan.Layers {
		img.History = append(img.History, note.Note{Name: l.Name, Changes: l.Changes, What: l.What}.History(g.Epoch))
	}

	p, c := g.plan.Image, &img.Config
	c.Env = slices.Clone(c.Env)
	for _, e := range p.Env {
		c.Env = setEnv(c.Env, e.Name, e.Value)
	}
	if p.Entrypoint != nil {
		c.Entrypoint, c.Cmd = p.Entrypoint, nil
	}
	if p.Cmd != nil {
		c.Cmd = p.Cmd
	}
	if p.User != "" {
		c.User = p.User
	}
	if p.WorkingDir != "" {
		c.WorkingDir = p.WorkingDir
	}
	if p.StopSignal != "" {
		c.StopSignal = p.StopSignal
	}
	c.ExposedPorts = union(c.ExposedPorts, p.Expose)
	c.Volumes = union(c.Volumes, p.Volumes)
	if len(p.Labels) > 0 {
		c.Labels = maps.Clone(c.Labels)
		if c.Labels == nil {
			c.Labels = map[string]string{}
		}
		for _, l := range p.Labels {
			c.Labels[l.Name] = l.Value
		}
	}
	if h := p.Healthcheck; h != nil {
		c.Healthcheck = &dockerspec.HealthcheckConfig{
			Test:        h.Test,
			Interval:    time.Duration(h.Interval),
			Timeout:     time.Duration(h.Timeout),
			StartPeriod: time.Duration(h.StartPeriod),
			Retries:     h.Retries,
		}
	}
	return img
}

// setEnv sets a variable where it stands, or at the end.
func setEnv(env []string, name, value string) []string {
	for i, e := range env {
		if n, _, _ := strings.Cut(e, "="); n == name {
			env[i] = name + "=" + value
			return env
		}
	}
	return append(env, name+"="+value)
}

func union(set map[string]struct{}, add []string) map[string]struct{} {
	if len(add) == 0 {
		return set
	}
	out := maps.Clone(set)
	if out == nil {
		out = map[string]struct{}{}
	}
	for _, a := range add {
		out[a] = struct{}{}
	}
	return out
}
