package llb

import (
	"encoding/json"
	"maps"
	"path"
	"slices"

	"github.com/moby/buildkit/client/llb"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/smoke"
)

// start says what of an image to start, to see whether it works.
type start struct {
	spec smoke.Spec
	user string
	// writable are the folders that can be written to, beside /tmp.
	writable []string
	// mounts are what the program finds beside the image, by folder.
	mounts map[string]llb.State
	// stage comes before the names of the operations that prepare it; options
	// are those of the one that starts the program.
	stage   string
	options []llb.ConstraintsOpt
}

// start starts an image in its own root file system, read-only, with no network
// but loopback. The state has no files.
func (o Options) start(image llb.State, s start) (llb.State, error) {
	dt, err := json.Marshal(s.spec)
	if err != nil {
		return llb.Scratch(), err
	}
	const specDir = "/run/birdhouse-smoke"
	writable := append(slices.Clone(s.writable), "/tmp")
	slices.Sort(writable)
	writable = slices.Compact(writable)
	mounted := slices.Sorted(maps.Keys(s.mounts))

	// A read-only root needs its mount points beforehand; they belong to the
	// check, not to the image.
	points := llb.Mkdir(path.Dir(plan.StepsProgram), 0o755, llb.WithParents(true), llb.WithCreatedTime(o.Epoch))
	for _, dir := range append([]string{specDir, "/etc", "/proc", "/dev", "/sys", path.Join("/", s.spec.Dir), gateOutput}, mounted...) {
		points = points.Mkdir(dir, 0o755, llb.WithParents(true), llb.WithCreatedTime(o.Epoch))
	}
	for _, file := range []string{"/etc/resolv.conf", "/etc/hosts"} {
		points = points.Mkfile(file, 0o644, nil, llb.WithCreatedTime(o.Epoch))
	}
	for _, w := range writable {
		points = points.Mkdir(w, 0o1777, llb.WithParents(true), llb.WithCreatedTime(o.Epoch))
	}
	root := image.File(points, llb.Platform(o.Build), llb.WithCaps(o.Caps), llb.WithCustomName(s.stage+" add mount points"))

	spec := llb.Scratch().File(llb.Mkfile("/spec.json", 0o444, dt, llb.WithCreatedTime(o.Epoch)),
		llb.Platform(o.Build), llb.WithCaps(o.Caps), llb.WithCustomName(s.stage+" write the check"))
	opts := []llb.RunOption{
		llb.Args([]string{plan.StepsProgram, "smoke", specDir + "/spec.json"}),
		llb.Dir("/"),
		llb.ReadonlyRootFS(),
		llb.AddMount(path.Dir(plan.StepsProgram), o.Steps, llb.Readonly),
		llb.AddMount(specDir, spec, llb.Readonly),
	}
	if s.user != "" {
		opts = append(opts, llb.User(s.user))
	}
	opts = append(opts, o.network(false)...)
	for _, dir := range mounted {
		opts = append(opts, llb.AddMount(dir, s.mounts[dir], llb.Readonly))
	}
	for _, w := range writable {
		opts = append(opts, llb.AddMount(w, llb.Scratch(), llb.Tmpfs()))
	}
	for _, co := range s.options {
		opts = append(opts, co)
	}
	return root.Run(opts...).AddMount(gateOutput, llb.Scratch()), nil
}
