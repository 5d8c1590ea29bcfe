// Package frontend is birdhouse as a BuildKit frontend: it reads the
// descriptor, plans the image, has BuildKit solve the graph, and answers the
// subrequests of buildx. The frontend image and the birdhouse command run the
// same code.
package frontend

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/dockerui"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/solver/pb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/langs"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// Build arguments that birdhouse itself reads.
const (
	// ArgDebianMirror is where Debian packages are fetched from, in the form of
	// catalog.ParseMirror.
	ArgDebianMirror = "BIRDHOUSE_DEBIAN_MIRROR"
	argEpoch        = "SOURCE_DATE_EPOCH"
)

// Descriptors are the names that the descriptor has when the client names none.
var Descriptors = []string{"birdhouse.yaml", "birdhouse.yml", dockerui.DefaultDockerfileName}

// TargetRun is the target that is the image itself.
const TargetRun = "run"

// Options are what a Frontend stands on.
type Options struct {
	// Catalog returns the base images. It is asked for when the descriptor has been read:
	// reading a catalog takes as long as that does, and may have been begun before.
	Catalog func() (*catalog.Catalog, error)
	// Steps finds the steps program.
	Steps StepsFunc
}

// Frontend builds images.
type Frontend struct {
	Options
}

// New returns a frontend.
func New(o Options) *Frontend {
	return &Frontend{Options: o}
}

// Build is the gateway's build function (gateway/client.BuildFunc). Problems of
// the descriptor come back as one error that carries their places
// (solver/errdefs.Source).
func (f *Frontend) Build(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
	b := &build{Frontend: f, client: c}
	if err := b.read(ctx); err != nil {
		return nil, err
	}
	res, ok, err := b.ui.HandleSubrequest(ctx, b.requests())
	if err != nil {
		return nil, err
	}
	if ok {
		return res, nil
	}
	return b.solve(ctx)
}

// build is one request.
type build struct {
	*Frontend
	client gwclient.Client
	opts   map[string]string
	ui     *dockerui.Client
	source *dockerui.Source
	spec   *spec.Spec
	// problems of the descriptor, warnings included.
	problems spec.Problems
	epoch    time.Time
	// target is a stage to stop at, "" for the image.
	target  string
	project *project
	catalog *catalog.Catalog
	marshal sync.Mutex
}

// read reads the descriptor.
func (b *build) read(ctx context.Context) error {
	var err error
	names := Descriptors
	if name, ok := b.client.BuildOpts().Opts["filename"]; ok {
		names = []string{name}
	}
	for i, name := range names {
		c := withFilename{Client: b.client, name: name}
		b.opts = c.BuildOpts().Opts
		if b.ui, err = dockerui.NewClient(c); err != nil {
			return err
		}
		b.source, err = b.ui.ReadEntrypoint(ctx, "YAML")
		if err == nil {
			break
		}
		if !isNotExist(err) {
			return fmt.Errorf("reading the descriptor %s%s: %w", name, b.from(), err)
		}
		if i == len(names)-1 {
			return fmt.Errorf("no descriptor: there is no %s%s; a file with the line `language: go` is one (birdhouse init writes it)", strings.Join(names, ", "), b.from())
		}
	}
	if v, ok := b.ui.BuildArgs[argEpoch]; ok && v != "" {
		seconds, err := strconv.ParseInt(v, 10, 64)
		if err != nil || seconds < 0 {
			return fmt.Errorf("build argument %s: %q is not a time in seconds since 1970", argEpoch, v)
		}
		b.epoch = time.Unix(seconds, 0).UTC()
	} else {
		b.epoch = time.Unix(0, 0).UTC()
	}
	b.spec, b.problems = spec.Parse(b.source.Filename, b.source.Data, langs.Names())
	return nil
}

// prepare checks the descriptor, applies the target and the build arguments,
// and plans.
func (b *build) prepare(ctx context.Context) (*plan.Plan, error) {
	if b.problems.HasErrors() {
		return nil, b.problemError(b.problems)
	}
	if err := b.chooseTarget(); err != nil {
		return nil, err
	}
	more := langs.Expand(b.spec, b.ui.BuildArgs, b.opts["vcs:revision"])
	b.problems = append(b.problems, more...)
	if more.HasErrors() {
		return nil, b.problemError(b.problems)
	}
	lang, ok := langs.ByName(b.spec.Language)
	if !ok {
		return nil, fmt.Errorf("language %q: there is %s", b.spec.Language, strings.Join(langs.Names(), ", "))
	}
	var err error
	if b.project, err = b.openProject(ctx, lang.Files(b.spec)); err != nil {
		return nil, err
	}
	if b.catalog, err = b.Catalog(); err != nil {
		return nil, err
	}
	p, more := lang.Plan(b.spec, b.project, b.catalog.Versions(lang.Name()))
	b.problems = append(b.problems, more...)
	if err := b.project.failed(); err != nil {
		return nil, err
	}
	if b.problems.HasErrors() {
		return nil, b.problemError(b.problems)
	}
	if p == nil {
		return nil, errors.New("planning: no plan and no problem")
	}
	b.problems = append(b.problems, langs.EndOfLife(b.spec, p, b.catalog)...)
	return p, nil
}

// chooseTarget applies --target: an entry of `images`, or a stage.
func (b *build) chooseTarget() error {
	t := b.ui.Target
	switch {
	case t == "" || t == TargetRun:
		return nil
	case hasImage(b.spec, t):
		s, problems := b.spec.For(t)
		b.problems = append(b.problems, problems...)
		if problems.HasErrors() {
			return b.problemError(b.problems)
		}
		b.spec = s
	default:
		b.target = t
	}
	return nil
}

func hasImage(s *spec.Spec, name string) bool {
	_, ok := s.Images[name]
	return ok
}

// solve plans and builds, for every platform.
func (b *build) solve(ctx context.Context) (*gwclient.Result, error) {
	p, err := b.prepare(ctx)
	if err != nil {
		return nil, err
	}
	b.warn(ctx)
	if err := b.checkTarget(p); err != nil {
		return nil, err
	}
	o, err := b.options(ctx)
	if err != nil {
		return nil, err
	}
	rb, err := b.ui.Build(ctx, func(ctx context.Context, platform *ocispecs.Platform, _ int) (*dockerui.BuildResult, error) {
		o := o
		o.Target = o.Build
		if platform != nil {
			o.Target = *platform
		}
		return b.platform(ctx, p, o)
	})
	if err != nil {
		return nil, err
	}
	if b.target == "" {
		for _, a := range p.Image.Annotations {
			if err := rb.EachPlatform(ctx, func(_ context.Context, _ string, pl ocispecs.Platform) error {
				key := exptypes.AnnotationManifestKey(nil, a.Name)
				if b.ui.MultiPlatformRequested {
					key = exptypes.AnnotationManifestKey(&pl, a.Name)
				}
				rb.AddMeta(key, []byte(a.Value))
				return nil
			}); err != nil {
				return nil, err
			}
		}
	}
	return rb.Finalize()
}

// checkTarget reports a --target that is no stage.
func (b *build) checkTarget(p *plan.Plan) error {
	if b.target == "" {
		return nil
	}
	var names []string
	for _, s := range p.Stages {
		if s.Name == b.target {
			return nil
		}
		names = append(names, s.Name)
	}
	names = append(names, TargetRun)
	names = append(names, slices.Sorted(maps.Keys(b.spec.Images))...)
	msg := fmt.Sprintf("target %q: there is %s", b.target, strings.Join(names, ", "))
	if near, ok := spec.Nearest(b.target, names); ok {
		msg += fmt.Sprintf("; did you mean %q?", near)
	}
	return errors.New(msg)
}

// platform builds the image, or the target stage, for the options' platform.
func (b *build) platform(ctx context.Context, p *plan.Plan, o birdllb.Options) (*dockerui.BuildResult, error) {
	g, err := birdllb.Convert(ctx, p, o)
	if err != nil {
		return nil, b.packageProblems(err)
	}
	out := &dockerui.BuildResult{Epoch: &b.epoch}
	if b.target != "" {
		st := g.Stages[b.target]
		out.Image = stageConfig(g.Config)
		if out.Reference, err = b.evaluate(ctx, st); err != nil {
			return nil, err
		}
		return out, nil
	}
	out.Image, out.BaseImage = &g.Config, &g.Base
	if len(b.ui.Labels) > 0 {
		// The map may be the base's, which other platforms share.
		labels := maps.Clone(out.Image.Config.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, b.ui.Labels)
		out.Image.Config.Labels = labels
	}
	// The check and the image are solved at once; what they share is built once.
	eg, ctx := errgroup.WithContext(ctx)
	eg.Go(func() error {
		var err error
		out.Reference, err = b.evaluate(ctx, g.Image)
		return err
	})
	if g.Smoke != nil {
		eg.Go(func() error {
			_, err := b.evaluate(ctx, *g.Smoke)
			return err
		})
	}
	return out, eg.Wait()
}

// stageConfig is the configuration of a stage's result: files, no program.
func stageConfig(img dockerspec.DockerOCIImage) *dockerspec.DockerOCIImage {
	out := &dockerspec.DockerOCIImage{}
	out.Created = img.Created
	out.Platform = img.Platform
	out.RootFS = ocispecs.RootFS{Type: "layers"}
	return out
}

// serverPlatforms are those whose programs the server runs: its own, and those that
// its kernel has an emulator for.
func (b *build) serverPlatforms() []ocispecs.Platform {
	if workers := b.client.BuildOpts().Workers; len(workers) > 0 {
		return workers[0].Platforms
	}
	return nil
}

// options are those of this build, for any target platform.
func (b *build) options(ctx context.Context) (birdllb.Options, error) {
	o := birdllb.Options{
		Caps:           b.client.BuildOpts().LLBCaps,
		Build:          platforms.Normalize(b.ui.BuildPlatforms[0]),
		Emulated:       b.serverPlatforms(),
		PrefixPlatform: b.ui.MultiPlatformRequested,
		Epoch:          b.epoch,
		NoCache:        b.ui.IsNoCache,
		CacheNamespace: b.ui.CacheIDNamespace,
		Network:        b.ui.NetworkMode,
		Proxy:          proxy(b.ui.BuildArgs),
	}
	if b.project != nil {
		o.Source, o.Locate = b.project.source, b.locate
	}
	for _, h := range b.ui.ExtraHosts {
		o.Exec = append(o.Exec, llb.AddExtraHost(h.Host, h.IP))
	}
	if o.Caps.Supports(pb.CapExecMetaUlimit) == nil {
		for _, u := range b.ui.Ulimits {
			o.Exec = append(o.Exec, llb.AddUlimit(llb.UlimitName(u.Name), u.Soft, u.Hard))
		}
	}
	if b.ui.ShmSize > 0 && o.Caps.Supports(pb.CapExecMountTmpfsSize) == nil {
		o.Exec = append(o.Exec, llb.AddMount("/dev/shm", llb.Scratch(), llb.Tmpfs(llb.TmpfsSize(b.ui.ShmSize))))
	}
	if b.ui.CgroupParent != "" && o.Caps.Supports(pb.CapExecMetaCgroupParent) == nil {
		o.Exec = append(o.Exec, llb.WithCgroupParent(b.ui.CgroupParent))
	}
	if r := b.ui.LinuxResources; r != nil && o.Caps.Supports(pb.CapExecMetaLinuxResources) == nil {
		o.Exec = append(o.Exec, llb.WithLinuxResources(llb.LinuxResources{
			Memory: r.Memory, MemorySwap: r.MemorySwap,
			CPUShares: r.CpuShares, CPUPeriod: r.CpuPeriod, CPUQuota: r.CpuQuota,
			CpusetCpus: r.CpusetCpus, CpusetMems: r.CpusetMems,
		}))
	}
	var err error
	if o.Steps, err = b.Steps(ctx, b.client, o.Build); err != nil {
		return o, err
	}
	o.Bases, err = b.bases(ctx, o)
	return o, err
}

// proxy are the proxies that the client sent as build arguments.
func proxy(args map[string]string) *llb.ProxyEnv {
	var p llb.ProxyEnv
	for _, k := range slices.Sorted(maps.Keys(args)) {
		switch strings.ToLower(k) {
		case "http_proxy":
			p.HTTPProxy = args[k]
		case "https_proxy":
			p.HTTPSProxy = args[k]
		case "ftp_proxy":
			p.FTPProxy = args[k]
		case "no_proxy":
			p.NoProxy = args[k]
		case "all_proxy":
			p.AllProxy = args[k]
		}
	}
	if p == (llb.ProxyEnv{}) {
		return nil
	}
	return &p
}

// evaluate solves a state. Its errors say which step failed and what to try.
func (b *build) evaluate(ctx context.Context, st llb.State) (gwclient.Reference, error) {
	// Graphs of one build share operations, which marshalling sorts in place.
	b.marshal.Lock()
	def, err := st.Marshal(ctx, llb.WithCaps(b.client.BuildOpts().LLBCaps))
	b.marshal.Unlock()
	if err != nil {
		return nil, fmt.Errorf("marshalling the build graph: %w", err)
	}
	graph := def.ToPB()
	oncePlaced(graph.Source)
	res, err := b.client.Solve(ctx, gwclient.SolveRequest{
		Definition:   graph,
		Evaluate:     true,
		CacheImports: b.ui.CacheImports,
	})
	if err != nil {
		return nil, b.stepError(err)
	}
	return res.SingleRef()
}

// oncePlaced leaves of the places of an operation each once. Operations that are
// built several times and then found to be the same, such as those of packages
// that two base images share, would be shown as often in an error.
func oncePlaced(source *pb.Source) {
	for _, places := range source.GetLocations() {
		var once []*pb.Location
		for _, l := range places.Locations {
			if !slices.ContainsFunc(once, l.EqualVT) {
				once = append(once, l)
			}
		}
		places.Locations = once
	}
}

// withFilename is a client whose build asked for a descriptor by name.
type withFilename struct {
	gwclient.Client
	name string
}

func (w withFilename) BuildOpts() gwclient.BuildOpts {
	o := w.Client.BuildOpts()
	o.Opts = maps.Clone(o.Opts)
	if o.Opts == nil {
		o.Opts = map[string]string{}
	}
	o.Opts["filename"] = w.name
	return o
}

// isNotExist reports whether a file was missing. Over the gateway only the
// message is left of the error.
func isNotExist(err error) bool {
	return err != nil && (errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "no such file or directory"))
}
