package llb

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/langs/plan"
)

const (
	// caSecret is the id of the secret that holds the CA certificates to trust
	// in a build, and caBundle where Debian's programs look for them.
	caSecret = "ca"
	caBundle = "/etc/ssl/certs/ca-certificates.crt"

	// gateOutput is where a gate's empty output is mounted.
	gateOutput = "/run/birdhouse-gate"
)

// stage adds the commands of a stage and records its outputs.
func (g *graph) stage(ctx context.Context, s plan.Stage) error {
	on, how := g, ""
	if s.Native != "" && g.Target.Architecture != g.Build.Architecture {
		if !g.emulates(g.Target) {
			return fmt.Errorf("building for %s on %s: %s, and there is no compiler for the other architecture: build on a machine of that architecture, or have this one emulate it (binfmt_misc and qemu)",
				platforms.Format(g.Target), platforms.Format(g.Build), s.Native)
		}
		emulated := *g
		emulated.Build = g.Target
		on, how = &emulated, " (emulated)"
	}
	if s.Base.Cross != "" && g.Target.Architecture != g.Build.Architecture {
		s.Base.With = append(slices.Clone(s.Base.With), s.Base.Cross+g.Target.Architecture)
	}
	var base *Base
	var err error
	if s.Assembled {
		base, err = g.before(ctx, s.Name)
	} else {
		base, err = g.Bases.Base(ctx, s.Base, on.Build)
	}
	if err != nil {
		return err
	}
	root := base.State
	for _, e := range base.Config.Config.Env {
		name, value, _ := strings.Cut(e, "=")
		root = root.AddEnv(name, value)
	}
	outputs := map[string]llb.State{}
	for i, step := range s.Steps {
		stage := s.Name
		if len(s.Steps) > 1 {
			stage = fmt.Sprintf("%s %d/%d", s.Name, i+1, len(s.Steps))
		}
		if s.PerPlatform && g.PrefixPlatform {
			stage = platforms.Format(g.Target) + " " + stage
		}
		name := fmt.Sprintf("[%s] %s%s", stage, step.Name, how)
		root, err = on.step(ctx, s.Name, step, name, root, outputs, s.Gate && i == len(s.Steps)-1)
		if err != nil {
			return fmt.Errorf("%s: %w", step.Name, err)
		}
	}
	g.outputs[s.Name] = outputs
	if s.Gate {
		for _, n := range slices.Sorted(maps.Keys(outputs)) {
			g.gates = append(g.gates, outputs[n])
		}
	}
	return nil
}

// emulates says whether the server runs programs of a platform that is not its own.
func (o Options) emulates(p ocispecs.Platform) bool {
	return slices.ContainsFunc(o.Emulated, func(e ocispecs.Platform) bool {
		e = platforms.Normalize(e)
		return e.OS == p.OS && e.Architecture == p.Architecture && e.Variant == p.Variant
	})
}

// step adds one command to root and its results to outputs.
func (g *graph) step(ctx context.Context, stage string, s plan.Step, name string, root llb.State, outputs map[string]llb.State, gate bool) (llb.State, error) {
	env, particular := g.env(s)
	var named []string
	for _, e := range particular {
		named = append(named, "${"+e.Name+"}", e.Value)
	}
	byName := strings.NewReplacer(named...)
	args := make([]string, 0, len(s.Args))
	for _, a := range s.Args {
		args = append(args, g.expand.Replace(byName.Replace(a)))
	}
	opts := []llb.RunOption{llb.Args(args), llb.Dir(s.Dir)}
	for _, e := range env {
		opts = append(opts, llb.AddEnv(e.Name, g.expand.Replace(e.Value)))
	}
	if slices.Contains(args, plan.StepsProgram) {
		opts = append(opts, g.steps())
	}
	opts = append(opts, g.network(s.Network)...)
	for _, c := range g.constraints(stage, s.Asked, name, s.Hint) {
		opts = append(opts, c)
	}
	if len(s.Blame) > 0 {
		opts = append(opts, llb.WithDescription(map[string]string{DescriptionBlame: strings.Join(s.Blame, "\n")}))
	}

	written := map[string]plan.Mount{}
	sources := map[string]llb.State{}
	for _, m := range s.Mounts {
		if m.Kind == plan.MountOutput {
			from, err := g.outputStart(ctx, m, outputs)
			if err != nil {
				return root, err
			}
			written[m.Target], sources[m.Target] = m, from
			continue
		}
		opt, err := g.mount(ctx, m)
		if err != nil {
			return root, err
		}
		opts = append(opts, opt...)
	}
	if gate && len(written) == 0 {
		written[gateOutput], sources[gateOutput] = plan.Mount{}, llb.Scratch()
	}
	run := root.Run(opts...)
	for _, target := range slices.Sorted(maps.Keys(written)) {
		outputs[written[target].Output] = run.AddMount(target, sources[target])
	}
	return run.Root(), nil
}

// env are the step's variables for the target platform, and those among them that
// are for this platform in particular.
func (g *graph) env(s plan.Step) (all, particular []plan.Env) {
	arch, variant := g.Target.Architecture, g.Target.Variant
	keys := []string{arch}
	if variant != "" {
		keys = append(keys, arch+"/"+variant)
	}
	if g.Build.Architecture != arch {
		keys = append(keys, arch+"@"+g.Build.Architecture)
	}
	for _, k := range keys {
		particular = append(particular, s.PlatformEnv[k]...)
	}
	return slices.Concat(s.Env, particular), particular
}

// steps mounts the steps program.
func (g *graph) steps() llb.RunOption {
	return llb.AddMount(path.Dir(plan.StepsProgram), g.Steps, llb.Readonly)
}

// network is what makes a command reach the network, or keeps it from it.
func (o Options) network(on bool) []llb.RunOption {
	opts := slices.Clone(o.Exec)
	if !on {
		return append(opts, llb.Network(llb.NetModeNone))
	}
	if o.Network != pb.NetMode_UNSET {
		opts = append(opts, llb.Network(o.Network))
	}
	if o.Proxy != nil {
		opts = append(opts, llb.WithProxy(*o.Proxy))
	}
	return append(opts, llb.AddSecret(caBundle, llb.SecretID(caSecret), llb.SecretOptional))
}

// outputStart is the state that an output mount begins with.
func (g *graph) outputStart(ctx context.Context, m plan.Mount, outputs map[string]llb.State) (llb.State, error) {
	if st, ok := outputs[m.Output]; ok {
		return st, nil
	}
	switch m.From {
	case "":
		return llb.Scratch(), nil
	case "source":
		return g.Source.State(ctx, m.Include, m.Exclude, "load the project")
	case plan.FromFiles:
		return g.files(ctx, m)
	default:
		return g.output(m.From, "")
	}
}

// files are the generated files of a mount on top of the project's. The project's
// are copied, so that the result is keyed by what is in them.
func (g *graph) files(ctx context.Context, m plan.Mount) (llb.State, error) {
	var action *llb.FileAction
	if len(m.Include) > 0 {
		src, err := g.Source.State(ctx, m.Include, m.Exclude, "load the project's manifests")
		if err != nil {
			return llb.Scratch(), err
		}
		action = llb.Copy(src, "/", "/", &llb.CopyInfo{CopyDirContentsOnly: true, ChownOpt: owner(), CreatedTime: &g.Epoch})
	}
	action = g.write(action, m.Files)
	if action == nil {
		return llb.Scratch(), nil
	}
	return llb.Scratch().File(action, llb.Platform(g.Build), llb.WithCaps(g.Caps), llb.WithCustomName("[internal] write the manifests")), nil
}

// write adds files, and the folders that they are in, to a file action, which may
// be nil. Files are in the order of the plan.
func (g *graph) write(action *llb.FileAction, files []plan.File) *llb.FileAction {
	made := map[string]bool{"/": true}
	for _, f := range files {
		name := path.Join("/", f.Path)
		if dir := path.Dir(name); !made[dir] {
			made[dir] = true
			options := []llb.MkdirOption{llb.WithParents(true), llb.WithCreatedTime(g.Epoch)}
			if action == nil {
				action = llb.Mkdir(dir, 0o755, options...)
			} else {
				action = action.Mkdir(dir, 0o755, options...)
			}
		}
		if action == nil {
			action = llb.Mkfile(name, os.FileMode(f.Mode), []byte(f.Content), llb.WithCreatedTime(g.Epoch))
		} else {
			action = action.Mkfile(name, os.FileMode(f.Mode), []byte(f.Content), llb.WithCreatedTime(g.Epoch))
		}
	}
	return action
}

func (g *graph) output(stage, output string) (llb.State, error) {
	st, ok := g.outputs[stage][output]
	if !ok {
		return llb.Scratch(), fmt.Errorf("stage %q has no output %q before this step", stage, output)
	}
	return st, nil
}

func (g *graph) mount(ctx context.Context, m plan.Mount) ([]llb.RunOption, error) {
	var sub []llb.MountOption
	if m.Path != "" {
		sub = append(sub, llb.SourcePath(m.Path))
	}
	readonly := append([]llb.MountOption{llb.Readonly}, sub...)
	if m.Writable {
		readonly[0] = llb.ForceNoOutput
	}
	switch m.Kind {
	case plan.MountSource:
		name := "load the project"
		if len(m.Include) > 0 {
			name = "load the project's manifests"
		}
		st, err := g.Source.State(ctx, m.Include, m.Exclude, name)
		if err != nil {
			return nil, err
		}
		return []llb.RunOption{llb.AddMount(m.Target, st, readonly...)}, nil
	case plan.MountFiles:
		st, err := g.files(ctx, m)
		if err != nil {
			return nil, err
		}
		return []llb.RunOption{llb.AddMount(m.Target, st, readonly...)}, nil
	case plan.MountStage:
		st, err := g.output(m.From, m.Output)
		if err != nil {
			return nil, err
		}
		if m.Large && g.Caps.Supports(pb.CapExecMountContentCache) == nil {
			readonly = append(readonly, llb.ContentCache(llb.MountContentCacheOff))
		}
		return []llb.RunOption{llb.AddMount(m.Target, st, readonly...)}, nil
	case plan.MountRun:
		return []llb.RunOption{llb.AddMount(m.Target, g.run.State, readonly...)}, nil
	case plan.MountCache:
		sharing := llb.CacheMountShared
		if m.Locked {
			sharing = llb.CacheMountLocked
		}
		id := g.CacheNamespace + "/" + g.expand.Replace(m.CacheID)
		return []llb.RunOption{llb.AddMount(m.Target, llb.Scratch(), llb.AsPersistentCacheDir(id, sharing))}, nil
	case plan.MountTmpfs:
		return []llb.RunOption{llb.AddMount(m.Target, llb.Scratch(), llb.Tmpfs())}, nil
	case plan.MountSecret:
		return []llb.RunOption{llb.AddSecret(m.Target, secretOptions(m, llb.SecretID(m.SecretID))...)}, nil
	case plan.MountSecretEnv:
		return g.secretEnv(m)
	case plan.MountSSH:
		opts := []llb.SSHOption{llb.SSHID(m.SecretID)}
		if m.Target != "" {
			opts = append(opts, llb.SSHSocketTarget(m.Target))
		}
		if m.Optional {
			opts = append(opts, llb.SSHOptional)
		}
		return []llb.RunOption{llb.AddSSHSocket(opts...)}, nil
	}
	return nil, fmt.Errorf("mount %s: unknown kind %q", m.Target, m.Kind)
}

// secretEnv makes a secret an environment variable, where the server can.
func (o Options) secretEnv(m plan.Mount) ([]llb.RunOption, error) {
	if o.Caps.Supports(pb.CapExecSecretEnv) != nil {
		if m.Optional {
			return nil, nil
		}
		return nil, fmt.Errorf("secret %s as an environment variable needs a newer BuildKit (0.9 or later): give it as a file instead, with `target:`", m.SecretID)
	}
	return []llb.RunOption{llb.AddSecret(m.Target, secretOptions(m, llb.SecretID(m.SecretID), llb.SecretAsEnv(true))...)}, nil
}

func secretOptions(m plan.Mount, opts ...llb.SecretOption) []llb.SecretOption {
	if m.Optional {
		opts = append(opts, llb.SecretOptional)
	}
	return opts
}

var _ Source = (*Local)(nil)

// Local is a Source that is a directory of the client's.
type Local struct {
	// Context returns the whole build context with further options applied:
	// dockerui's Client.MainContext.
	Context func(ctx context.Context, opts ...llb.LocalOption) (*llb.State, error)
	// Ignore are the patterns of the project's ignore file. Of a directory of the
	// client's Context has applied them already, and an exclusion must repeat them,
	// since options replace one another.
	Ignore func(ctx context.Context) ([]string, error)
	// Remote is true when the context is no directory of the client's but a
	// state of its own (a git repository, an archive), to which Context's
	// options do not apply.
	Remote bool
	// Descriptor is the descriptor's path in the context. It is no part of the
	// program: an edit of it is no reason to compile.
	Descriptor string
	// Build is as in Options.
	Build ocispecs.Platform
}

// State implements Source.
func (l *Local) State(ctx context.Context, include, exclude []string, name string) (llb.State, error) {
	if len(include) == 0 && l.Descriptor != "" {
		exclude = append(slices.Clone(exclude), l.Descriptor)
	}
	var opts []llb.LocalOption
	if !l.Remote {
		opts = append(opts, llb.WithCustomName("[internal] "+name))
		if len(include) > 0 {
			// A hint of its own keeps this transfer from throwing away what
			// the whole project's transfer has on the server, and the reverse.
			opts = append(opts, llb.IncludePatterns(include), llb.SharedKeyHint("birdhouse-"+shortHash(include)))
		}
		if len(exclude) > 0 {
			ignored, err := l.Ignore(ctx)
			if err != nil {
				return llb.Scratch(), err
			}
			opts = append(opts, llb.ExcludePatterns(append(slices.Clone(ignored), exclude...)))
		}
	}
	st, err := l.Context(ctx, opts...)
	if err != nil {
		return llb.Scratch(), err
	}
	if l.Remote {
		return l.part(ctx, *st, include, exclude, name)
	}
	return *st, nil
}

// part is what a state that is no directory of the client's has of the project.
func (l *Local) part(ctx context.Context, st llb.State, include, exclude []string, name string) (llb.State, error) {
	ignored, err := l.Ignore(ctx)
	if err != nil {
		return llb.Scratch(), err
	}
	exclude = slices.Concat(ignored, exclude)
	if len(include)+len(exclude) == 0 {
		return st, nil
	}
	return llb.Scratch().File(llb.Copy(st, "/", "/", &llb.CopyInfo{
		CopyDirContentsOnly: true,
		IncludePatterns:     include,
		ExcludePatterns:     exclude,
	}), llb.Platform(l.Build), llb.WithCustomName("[internal] "+name)), nil
}

// Path implements Source.
func (l *Local) Path(ctx context.Context, path, name string) (llb.State, error) {
	var opts []llb.LocalOption
	if !l.Remote {
		paths := []string{path}
		opts = append(opts, llb.WithCustomName("[internal] "+name), llb.FollowPaths(paths), llb.SharedKeyHint("birdhouse-"+shortHash(paths)))
	}
	st, err := l.Context(ctx, opts...)
	if err != nil {
		return llb.Scratch(), err
	}
	if l.Remote {
		return l.part(ctx, *st, nil, nil, name)
	}
	return *st, nil
}
