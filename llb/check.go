package llb

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/checks"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/check"
	"github.com/birdhouse-build/birdhouse/steps/smoke"
)

// Checks returns the checks of a base image, each a state with no files that is
// to be solved before the image is published: one looks through its files, one
// starts it. An image for another platform than the build's is not started,
// since nothing emulates it; its first check's name says so.
func (c *Catalog) Checks(ctx context.Context, b plan.Base, platform ocispecs.Platform) ([]llb.State, error) {
	rules, err := checks.Read()
	if err != nil {
		return nil, err
	}
	base, err := c.Base(ctx, b, platform)
	if err != nil {
		return nil, err
	}
	img, err := c.Catalog.Image(b, platform.Architecture, c.Build.Architecture)
	if err != nil {
		return nil, err
	}
	spec := check.Spec{Tools: checks.Tools(b.Variant), Dangling: rules.Dangling, Libraries: rules.Libraries, Owners: owners(img)}
	stage := fmt.Sprintf("[check %s %s]", b, platforms.Format(platform))
	started, why, err := c.started(ctx, rules, b, img, platform, stage)
	if err != nil {
		return nil, fmt.Errorf("base %s: the program to start: %w", b, err)
	}
	name := stage + " look through its files"
	if started == nil {
		name += "; it is not started: " + why
	}
	files, err := c.CheckFiles(base.State, spec, name)
	if err != nil {
		return nil, err
	}
	if started == nil {
		return []llb.State{files}, nil
	}
	return []llb.State{files, *started}, nil
}

// started is the image started with its probe, or nil with the reason.
func (c *Catalog) started(ctx context.Context, rules *checks.Checks, b plan.Base, img *catalog.Image, platform ocispecs.Platform, stage string) (*llb.State, string, error) {
	p, ok := rules.Probe(b.Image, b.Variant)
	if !ok {
		return nil, "there is no program for it", nil
	}
	if platform.Architecture != c.Build.Architecture {
		return nil, "this machine is " + platforms.Format(c.Build), nil
	}
	mounts := map[string]llb.State{}
	var err error
	if mounts[probeFiles], err = c.probeFiles(p, stage); err != nil {
		return nil, "", err
	}
	if p.Compile != nil {
		root, err := c.compileRoot(ctx, b, img, *p.Compile)
		if err != nil {
			return nil, "", err
		}
		if root == nil {
			return nil, "the catalog has nothing to compile a program for it with", nil
		}
		mounts[probeOut] = c.compile(*root, *p.Compile, mounts[probeFiles], b.Version, stage)
	}
	on := b
	if p.On != "" {
		on = plan.Base{Image: p.On, Version: img.Suite}
	}
	base, err := c.Base(ctx, on, c.Build)
	if err != nil {
		return nil, "", err
	}
	env := slices.Clone(base.Config.Config.Env)
	for _, e := range expandProbe(p.Env, b.Version) {
		name, value, _ := strings.Cut(e, "=")
		env = setEnv(env, name, value)
	}
	st, err := c.start(base.State, start{
		spec: smoke.Spec{
			Args: expandProbe(p.Args, b.Version), Env: env, Dir: "/",
			Output: checks.Success, TimeoutSeconds: 600,
		},
		user:    "65532",
		mounts:  mounts,
		stage:   stage,
		options: c.constraints(stage + " start it"),
	})
	return &st, "", err
}

// owners are the paths of an image that the definitions give to another user
// than root.
func owners(img *catalog.Image) map[string]int {
	out := map[string]int{}
	for _, l := range img.Layers {
		for _, f := range l.Spec.Files {
			if f.Owner != 0 {
				out[f.Path] = f.Owner
			}
		}
	}
	return out
}

// CheckFiles looks through the files of an image, for any platform. The state
// has no files.
func (c *Catalog) CheckFiles(image llb.State, spec check.Spec, name string) (llb.State, error) {
	const specDir, root = "/run/birdhouse-check", "/run/birdhouse-image"
	dt, err := json.Marshal(spec)
	if err != nil {
		return llb.Scratch(), err
	}
	opts := []llb.RunOption{
		llb.Args([]string{plan.StepsProgram, "check", "--root", root, specDir + "/spec.json"}),
		llb.Dir("/"),
		llb.AddMount(path.Dir(plan.StepsProgram), c.Steps, llb.Readonly),
		llb.AddMount(specDir, Document("/spec.json", dt, c.Options, name+": write what is expected"), llb.Readonly),
		llb.AddMount(root, image, llb.Readonly),
	}
	return llb.Scratch().Run(append(opts, c.checkOptions(name)...)...).AddMount(gateOutput, llb.Scratch()), nil
}

func (c *Catalog) checkOptions(name string) []llb.RunOption {
	opts := c.network(false)
	for _, co := range c.constraints(name) {
		opts = append(opts, co)
	}
	return opts
}

// Where a probe finds its files, and what was compiled of them.
const (
	probeFiles = "/run/birdhouse-probe"
	probeOut   = "/run/birdhouse-probe-out"
)

func expandProbe(list []string, version string) []string {
	replace := strings.NewReplacer("{files}", probeFiles, "{out}", probeOut, "{version}", version)
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = replace.Replace(s)
	}
	return out
}

// compile makes a probe's program.
func (c *Catalog) compile(root llb.State, cc checks.Compile, files llb.State, version, stage string) llb.State {
	for _, e := range expandProbe(cc.Env, version) {
		name, value, _ := strings.Cut(e, "=")
		root = root.AddEnv(name, value)
	}
	opts := append([]llb.RunOption{
		llb.Args(expandProbe(cc.Args, version)),
		llb.Dir("/tmp"),
		llb.AddMount(probeFiles, files, llb.Readonly),
	}, c.checkOptions(stage+" compile a program")...)
	return root.Run(opts...).AddMount(probeOut, llb.Scratch())
}

// probeFiles is a state with the program's files and the certificates that it
// may use.
func (c *Catalog) probeFiles(p checks.Probe, stage string) (llb.State, error) {
	content, err := p.Content()
	if err != nil {
		return llb.Scratch(), err
	}
	certificates, err := checks.Authority()
	if err != nil {
		return llb.Scratch(), err
	}
	maps.Copy(content, certificates)
	var action *llb.FileAction
	for _, name := range slices.Sorted(maps.Keys(content)) {
		if action == nil {
			action = llb.Mkfile("/"+name, 0o444, content[name], llb.WithCreatedTime(c.Epoch))
		} else {
			action = action.Mkfile("/"+name, 0o444, content[name], llb.WithCreatedTime(c.Epoch))
		}
	}
	return llb.Scratch().File(action, c.constraints(stage+" write the program")...), nil
}

// compileRoot is the root file system in which a probe is compiled, with its
// environment; nil where the catalog has not what it takes.
func (c *Catalog) compileRoot(ctx context.Context, b plan.Base, img *catalog.Image, cc checks.Compile) (*llb.State, error) {
	if len(cc.Layers) > 0 {
		layers, err := c.Catalog.Layers(img.Suite, c.Build.Architecture, c.Build.Architecture, cc.Layers...)
		if err != nil || len(layers) == 0 {
			return nil, err
		}
		st, err := c.layers(img.Ref, layers)
		st = st.AddEnv("PATH", "/usr/bin:/bin")
		return &st, err
	}
	in := b
	if cc.Image != "" {
		in = plan.Base{Image: cc.Image, Version: b.Version, Variant: cc.Variant}
		if cc.Image != b.Image {
			versions := c.Catalog.Versions(cc.Image)
			if len(versions) == 0 {
				return nil, nil
			}
			in.Version = versions[len(versions)-1]
		}
	}
	base, err := c.Base(ctx, in, c.Build)
	if err != nil {
		return nil, err
	}
	st := base.State
	for _, e := range base.Config.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		st = st.AddEnv(name, value)
	}
	return &st, nil
}
