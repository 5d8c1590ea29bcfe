package llb

import (
	"context"
	"fmt"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/smoke"
)

// image assembles the image: the run base and the plan's layers, by copies
// alone, so that no program runs in it and no emulation is needed.
func (g *graph) image(ctx context.Context) (llb.State, error) {
	return g.assemble(ctx, g.plan.Layers, g.gates, "assemble the image")
}

// before is the image as it is before the first layer with something of a stage.
func (g *graph) before(ctx context.Context, stage string) (*Base, error) {
	layers := g.plan.Layers
	first := slices.IndexFunc(layers, func(l plan.Layer) bool {
		return slices.ContainsFunc(l.Copies, func(c plan.Copy) bool { return c.Stage == stage })
	})
	if first >= 0 {
		layers = layers[:first]
	}
	st, err := g.assemble(ctx, layers, nil, "assemble the image for "+stage)
	return &Base{State: st, Config: g.config()}, err
}

// assemble puts layers on the run base, the last of them not before the gates.
func (g *graph) assemble(ctx context.Context, add []plan.Layer, until []llb.State, name string) (llb.State, error) {
	merge := g.Caps.Supports(pb.CapMergeOp) == nil
	st := g.run.State
	var layers []llb.State
	for i, l := range add {
		from := llb.Scratch()
		if !merge {
			from = st
		}
		var gates []llb.State
		if i == len(add)-1 {
			gates = until
		}
		layer, err := g.layer(ctx, from, l, gates)
		if err != nil {
			return llb.Scratch(), fmt.Errorf("layer %s: %w", l.Name, err)
		}
		st = layer
		layers = append(layers, layer)
	}
	if !merge {
		return st, nil
	}
	return g.stack(g.run.State, layers, g.prefixed(name)), nil
}

// layer puts the layer's files onto from. The gates' empty outputs are copied as
// well: they add nothing, and the layer is not made unless they succeed.
//
// A copy changes the time of the folder that it copies into, and a folder that it
// makes has the copy's mode on some servers. Where that can be, the folders are
// made first and all is copied once more, which sets the times.
func (g *graph) layer(ctx context.Context, from llb.State, l plan.Layer, gates []llb.State) (llb.State, error) {
	project := slices.ContainsFunc(l.Copies, func(c plan.Copy) bool { return c.Stage == "" && !ours(c.Target) })
	// Files of the project may go anywhere: into folders of the base, whose owner
	// and mode must stay, and through its links. So they are copied onto it, and
	// what that changed is the layer.
	start := llb.Scratch()
	switch {
	case project && g.Caps.Supports(pb.CapDiffOp) == nil:
		start = g.run.State
	case project:
		start = from
	}

	var action *llb.FileAction
	add := func(src llb.State, source, target string, info *llb.CopyInfo) {
		if action == nil {
			action = llb.Copy(src, source, target, info)
		} else {
			action = action.Copy(src, source, target, info)
		}
	}
	for _, gate := range gates {
		add(gate, "/", "/", &llb.CopyInfo{CopyDirContentsOnly: true, CreatedTime: &g.Epoch})
	}
	asked, hint := "", ""
	for _, c := range l.Copies {
		c.Source = g.expand.Replace(c.Source)
		src, err := g.copySource(ctx, c)
		if err != nil {
			return llb.Scratch(), err
		}
		if dir := path.Dir(path.Clean("/" + c.Target)); dir != "/" && !g.symbolicModes() {
			made := []llb.MkdirOption{llb.WithParents(true), llb.WithCreatedTime(g.Epoch)}
			if action == nil {
				action = llb.Mkdir(dir, 0o755, made...)
			} else {
				action = action.Mkdir(dir, 0o755, made...)
			}
		}
		add(src, c.Source, c.Target, &llb.CopyInfo{
			Mode:                g.mode(c),
			FollowSymlinks:      true,
			CopyDirContentsOnly: true,
			CreateDestPath:      true,
			IncludePatterns:     c.Include,
			ExcludePatterns:     c.Exclude,
			ChownOpt:            owner(),
			CreatedTime:         &g.Epoch,
		})
		if asked = c.Asked; c.Stage == "" {
			hint = missingHint
		}
	}
	action = g.write(action, l.Files)
	if action == nil {
		return llb.Scratch(), fmt.Errorf("it has no files")
	}
	name := g.prefixed("layer " + l.Name)
	constraints := g.constraints("run", asked, name, hint)
	merge := g.Caps.Supports(pb.CapMergeOp) == nil
	if len(l.Copies) == 1 && len(l.Files) == 0 && !project && merge && g.symbolicModes() && !slices.ContainsFunc(l.Copies[0].Include, below) {
		return from.File(action, constraints...), nil
	}
	st := start.File(action, constraints...)
	options := []llb.ConstraintsOpt{llb.Platform(g.Build), llb.WithCaps(g.Caps), llb.WithCustomName(name + ": set times")}
	if project {
		if g.Caps.Supports(pb.CapDiffOp) != nil {
			return st, nil
		}
		st = llb.Diff(start, st, options...)
	}
	return from.File(llb.Copy(st, "/", "/", &llb.CopyInfo{CopyDirContentsOnly: true, CreatedTime: &g.Epoch}), options...), nil
}

// ours says whether a path is in the folder of programs, which no base has.
func ours(target string) bool {
	return target == appDir || strings.HasPrefix(target, appDir+"/")
}

// appDir is where languages put programs.
const appDir = "/app"

// missingHint is for a copy of a file that is not in the project.
const missingHint = "files that .dockerignore excludes are not there, nor is what a symbolic link out of the build context leads to"

// owner: root owns every file of an image: the program's user must not be able to
// change the program.
func owner() *llb.ChownOpt {
	return &llb.ChownOpt{User: &llb.UserOpt{UID: 0}, Group: &llb.UserOpt{UID: 0}}
}

func (g *graph) copySource(ctx context.Context, c plan.Copy) (llb.State, error) {
	if c.Stage != "" {
		return g.output(c.Stage, c.Output)
	}
	// Only the paths that are copied are transferred, so that another file's
	// edit is no reason to look at this layer again.
	p := path.Clean("/" + c.Source)[1:]
	if p == "" {
		return g.Source.State(ctx, nil, nil, "load the project")
	}
	return g.Source.Path(ctx, p, "load "+p)
}

// symbolicModes says whether the server knows modes as chmod(1) has them. The
// capability of that name is in no server's list; the one asked for came with the
// same release, BuildKit 0.17.
func (g *graph) symbolicModes() bool { return g.Caps.Supports(pb.CapGCFreeSpaceFilter) == nil }

// mode is the permission bits of a copy. A project's files have whatever bits
// the machine's umask left, which must not reach the image: only "executable"
// is kept of them.
func (g *graph) mode(c plan.Copy) *llb.ChmodOpt {
	symbolic := g.symbolicModes()
	switch {
	case c.Mode != nil && symbolic:
		m := *c.Mode
		return &llb.ChmodOpt{ModeStr: fmt.Sprintf("u=%s,g=%s,o=%s", bits(m>>6), bits(m>>3), bits(m))}
	case c.Mode != nil:
		return &llb.ChmodOpt{Mode: os.FileMode(*c.Mode)}
	case c.Stage == "" && symbolic:
		return &llb.ChmodOpt{ModeStr: "u=rwX,g=rX,o=rX"}
	default:
		return nil
	}
}

// bits writes one class's permission bits for chmod, with X (directories, and
// files that have an x already) where there is r but no x.
func bits(m uint32) string {
	s := ""
	if m&4 != 0 {
		s += "r"
	}
	if m&2 != 0 {
		s += "w"
	}
	switch {
	case m&1 != 0:
		s += "x"
	case m&4 != 0:
		s += "X"
	}
	return s
}

// smoke starts the image as its own user.
func (g *graph) smoke(image llb.State, config dockerspec.DockerOCIImage) (llb.State, error) {
	s, c := g.plan.Smoke, config.Config
	args := slices.Clone(c.Entrypoint)
	if s.Args != nil {
		args = append(args, s.Args...)
	} else {
		args = append(args, c.Cmd...)
	}
	env := slices.Clone(c.Env)
	for _, e := range s.Env {
		env = setEnv(env, e.Name, e.Value)
	}
	dir := c.WorkingDir
	if dir == "" {
		dir = "/"
	}
	var writable []string
	for v := range c.Volumes {
		writable = append(writable, path.Clean("/"+v))
	}
	return g.start(image, start{
		spec: smoke.Spec{
			Args: args, Env: env, Dir: dir,
			Port: s.Port, Path: s.Path, Status: s.Status,
			Output: s.Output, Exit: s.Exit, TimeoutSeconds: s.Timeout,
		},
		user:     c.User,
		writable: writable,
		stage:    g.prefixed("[smoke]"),
		options:  g.constraints("smoke", "smoke", g.prefixed("[smoke] start the image and check it"), ""),
	})
}

// below says whether a pattern of what is copied is of something in a folder that
// does not match itself. BuildKit makes such a folder when it comes to the first
// thing in it, which then changes the folder's time.
func below(pattern string) bool { return strings.Contains(pattern, "/") }
