package llb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client/llb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/image/note"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/resolve"
)

// Catalog makes base images inside the build's own graph: packages fetched by
// URL and checksum, unpacked by the steps program. The checksum is the cache
// key, so another mirror gives the same vertices.
type Catalog struct {
	Catalog *catalog.Catalog
	// Mirror is where packages are fetched; the zero one stands for Debian's snapshot
	// archive, at the date at which each release of Debian was locked.
	Mirror catalog.Mirror
	// Locations are where archives are fetched that are no Debian packages.
	Locations catalog.Locations
	// Read builds what has to be known before the graph is complete: which
	// packages a descriptor's need.
	Read ReadFunc
	// Chosen is told of choices between packages that the key asked of the
	// descriptor brought; may be nil.
	Chosen func(asked string, choice resolve.Choice)
	// Options are those of the build; Bases, Source and Target are not used.
	Options

	// asked is the descriptor's key that operations are for.
	asked string
}

// Base implements Bases. Packages are unpacked on the build platform, for any
// target: nothing of the target runs.
func (c *Catalog) Base(_ context.Context, b plan.Base, platform ocispecs.Platform) (*Base, error) {
	if platform.OS != "linux" {
		return nil, fmt.Errorf("base %s: platform %s: images are for linux only", b, platforms.Format(platform))
	}
	img, err := c.Catalog.Image(b, platform.Architecture, c.Build.Architecture)
	if err != nil {
		return nil, err
	}
	st, err := c.layers(img.Ref, img.Layers)
	if err != nil {
		return nil, fmt.Errorf("base %s: %w", img.Ref, err)
	}
	config := dockerspec.DockerOCIImage{}
	config.Created = &c.Epoch
	config.Platform = ocispecs.Platform{OS: platform.OS, Architecture: platform.Architecture, Variant: platform.Variant}
	config.Config.Env = img.Config.Env
	config.Config.User = img.Config.User
	config.Config.WorkingDir = img.Config.WorkingDir
	config.Config.Cmd = img.Config.Cmd
	for _, l := range img.Layers {
		config.History = append(config.History, note.Note{Name: l.Name, Changes: "rarely", What: l.What}.History(c.Epoch))
	}
	return &Base{State: st, Config: config}, nil
}

func (c *Catalog) layers(ref string, layers []catalog.Layer) (llb.State, error) {
	var states []llb.State
	for _, l := range layers {
		st, err := c.layer(ref, l)
		if err != nil {
			return llb.Scratch(), fmt.Errorf("layer %s: %w", l.Name, err)
		}
		states = append(states, st)
	}
	if len(states) == 0 {
		return llb.Scratch(), nil
	}
	return stack(states[0], states[1:], c.Caps, c.Build, c.Epoch, "[base "+ref+"] join layers"), nil
}

// constraints are the options of an operation that makes a base.
func (c *Catalog) constraints(name string, more ...llb.ConstraintsOpt) []llb.ConstraintsOpt {
	return append(c.Options.constraints("base", c.asked, name, ""), more...)
}

// layer makes a layer. More are options of the step that unpacks its packages.
func (c *Catalog) layer(ref string, l catalog.Layer, more ...llb.RunOption) (llb.State, error) {
	switch {
	case l.GoToolchain != "":
		return c.goToolchain(ref, l)
	case l.Make != nil:
		return c.made(ref, l)
	}
	const specDir, packages, out = "/run/birdhouse-layer", "/run/birdhouse-packages", "/out"
	group := llb.ProgressGroup("birdhouse-"+shortHash([]string{l.Name, architecture(l)}), "[base "+ref+"] fetch the layer "+l.Name, true)

	spec := l.Spec
	spec.Packages = append(spec.Packages[:0:0], spec.Packages...)
	if len(spec.Packages) != len(l.Packages) {
		return llb.Scratch(), fmt.Errorf("%d packages to unpack, %d locked", len(spec.Packages), len(l.Packages))
	}
	var mounts []llb.RunOption
	for i, p := range l.Packages {
		dir := fmt.Sprintf("%s/%03d", packages, i)
		spec.Packages[i].Path = dir + "/package.deb"
		spec.Packages[i].SHA256 = p.SHA256
		constraints := c.constraints(fmt.Sprintf("[base %s] fetch %s %s", ref, p.Name, p.Version), group)
		st := llb.HTTP(c.mirror(l.Locked).URL(p), httpOptions(
			append(constraints, llb.WithDescription(c.fetchDescription(l, p))),
			llb.Checksum(digest.NewDigestFromEncoded(digest.SHA256, p.SHA256)),
			llb.Filename("package.deb"))...)
		mounts = append(mounts, llb.AddMount(dir, st, llb.Readonly))
	}
	archives, archiveMounts, err := c.archives(ref, l, "/run/birdhouse-archive", group)
	if err != nil {
		return llb.Scratch(), err
	}
	spec.Archives, mounts = archives, append(append(mounts, archiveMounts...), more...)
	dt, err := json.Marshal(spec)
	if err != nil {
		return llb.Scratch(), err
	}
	specState := llb.Scratch().File(llb.Mkfile("/spec.json", 0o444, dt, llb.WithCreatedTime(c.Epoch)),
		c.constraints(fmt.Sprintf("[base %s] write the list of %s", ref, l.Name), group)...)

	opts := append([]llb.RunOption{
		llb.Args([]string{plan.StepsProgram, "layer", specDir + "/spec.json", out}),
		llb.Dir("/"),
		llb.Network(llb.NetModeNone),
		llb.AddMount(path.Dir(plan.StepsProgram), c.Steps, llb.Readonly),
		llb.AddMount(specDir, specState, llb.Readonly),
	}, mounts...)
	what := fmt.Sprintf("%s (%d packages)", l.Name, len(l.Packages))
	if l.Archive != nil && len(l.Packages) == 0 {
		what = fmt.Sprintf("%s %s", l.Archive.Name, l.Archive.Version)
	}
	for _, co := range c.constraints(fmt.Sprintf("[base %s] unpack %s", ref, what)) {
		opts = append(opts, co)
	}
	return llb.Scratch().Run(opts...).AddMount(out, llb.Scratch()), nil
}

// mirror is where packages are fetched from that were locked at a date.
func (c *Catalog) mirror(locked time.Time) catalog.Mirror {
	if c.Mirror == (catalog.Mirror{}) {
		return catalog.Snapshot(locked)
	}
	return c.Mirror
}

// fetchDescription is for the error of a layer's package that cannot be had.
func (c *Catalog) fetchDescription(l catalog.Layer, p catalog.Package) map[string]string {
	from := c.mirror(l.Locked).URL(p)
	if u, err := url.Parse(from); err == nil {
		from = u.Redacted()
	}
	return map[string]string{
		DescriptionURL: from,
		DescriptionHint: fmt.Sprintf("the catalog's packages are those of %s, when it was locked, and a mirror drops a package some time after a newer one came\n"+
			"either lock anew, with `birdhouse catalog update FILE` and --catalog FILE, or fetch from the snapshot archive, which keeps them, with --build-arg BIRDHOUSE_DEBIAN_MIRROR=%q",
			l.Locked.UTC().Format(time.DateOnly), catalog.Snapshot(l.Locked)),
	}
}

// made is a layer that a command of the build machine's architecture makes. The
// command is the same for every target, and so must be what it writes.
func (c *Catalog) made(ref string, l catalog.Layer) (llb.State, error) {
	const target, out = "/target", "/out"
	root, err := c.layers(ref, l.Make.Root)
	if err != nil {
		return llb.Scratch(), err
	}
	args := []string{plan.StepsProgram, "exec"}
	for _, pattern := range l.Spec.Exclude {
		args = append(args, "--remove", out+"="+pattern)
	}
	args = append(append(args, "--normalize", out, "--"), l.Make.Args...)
	opts := []llb.RunOption{
		llb.Args(args),
		llb.Dir("/"),
		llb.AddMount(path.Dir(plan.StepsProgram), c.Steps, llb.Readonly),
	}
	for _, env := range l.Make.Env {
		name, value, _ := strings.Cut(env, "=")
		opts = append(opts, llb.AddEnv(name, value))
	}
	if len(l.Make.Target) > 0 {
		st, err := c.layers(ref, l.Make.Target)
		if err != nil {
			return llb.Scratch(), err
		}
		opts = append(opts, llb.AddMount(target, st, llb.Readonly))
	}
	opts = append(opts, c.network(l.Make.Network)...)
	if l.Make.Network {
		secrets, err := c.registrySecrets("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
		if err != nil {
			return llb.Scratch(), err
		}
		opts = append(opts, secrets...)
	}
	for _, co := range c.constraints(fmt.Sprintf("[base %s] make %s", ref, l.Name)) {
		opts = append(opts, co)
	}
	return root.Run(opts...).AddMount(out, llb.Scratch()), nil
}

// registrySecrets are the settings of package registries, as the tools know
// them, that reach a command without being part of a cache key: variables of
// these names, and a .netrc for a registry that asks for a password.
func (c *Catalog) registrySecrets(names ...string) ([]llb.RunOption, error) {
	opts := []llb.RunOption{llb.AddSecret("/root/.netrc", llb.SecretID("netrc"), llb.SecretOptional)}
	for _, id := range names {
		m, err := c.secretEnv(plan.Mount{Kind: plan.MountSecretEnv, Target: id, SecretID: id, Optional: true})
		if err != nil {
			return nil, err
		}
		opts = append(opts, m...)
	}
	return opts, nil
}

// goToolchain installs a Go release through Go's own toolchain mechanism
// (https://go.dev/doc/toolchain): the bootstrap go downloads it as a module,
// verifies it against the checksum database and, asked for its version, has
// proved that it runs. One for another architecture is downloaded and verified in
// the same way, and what the go command does after that is done by copies: see
// cmd/go/internal/toolchain in Go's sources.
func (c *Catalog) goToolchain(ref string, l catalog.Layer) (llb.State, error) {
	root, err := c.layers(ref, l.Bootstrap)
	if err != nil {
		return llb.Scratch(), err
	}
	const cache = "/go/pkg/mod"
	module := fmt.Sprintf("golang.org/toolchain@v0.0.1-go%s.linux-%s", l.GoToolchain, l.GoArchitecture)
	dir := "/" + module
	foreign := l.GoArchitecture != c.Build.Architecture
	command, toolchain := []string{"go", "version"}, "go"+l.GoToolchain
	if foreign {
		command, toolchain = []string{"go", "mod", "download", module}, "local"
	}
	args := []string{plan.StepsProgram, "exec",
		"--message", "the Go toolchain " + l.GoToolchain + " could not be installed: is it a released version, and does the module proxy answer (with a password: --secret id=netrc,src=FILE)?"}
	args = append(args, "--remove", cache+"=cache")
	for _, pattern := range l.Spec.Exclude {
		args = append(args, "--remove", cache+dir+"="+pattern)
	}
	args = append(append(args, "--"), command...)
	opts := []llb.RunOption{
		llb.Args(args),
		llb.Dir("/"),
		llb.AddEnv("PATH", "/usr/lib/go/bin:/usr/lib/go-1.24/bin:/usr/bin:/bin"),
		llb.AddEnv("HOME", "/root"),
		llb.AddEnv("GOPATH", "/go"),
		llb.AddEnv("GOTOOLCHAIN", toolchain),
		llb.AddMount(path.Dir(plan.StepsProgram), c.Steps, llb.Readonly),
	}
	opts = append(opts, c.network(true)...)
	secrets, err := c.registrySecrets("GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOINSECURE", "GOAUTH")
	if err != nil {
		return llb.Scratch(), err
	}
	opts = append(opts, secrets...)
	for _, co := range c.constraints(fmt.Sprintf("[base %s] install go%s", ref, l.GoToolchain)) {
		opts = append(opts, co)
	}
	out := root.Run(opts...).AddMount(cache, llb.Scratch())
	const goroot = "/usr/local/go"
	info := llb.CopyInfo{CopyDirContentsOnly: true, CreateDestPath: true, ChownOpt: owner(), CreatedTime: &c.Epoch}
	add := llb.Copy(out, dir, goroot, &info)
	if foreign {
		// A module's zip keeps no right to execute, and no go.mod below its root.
		executable := info
		executable.Mode = &llb.ChmodOpt{Mode: 0o555}
		scripts := executable
		scripts.CopyDirContentsOnly, scripts.AllowWildcard, scripts.AllowEmptyWildcard = false, true, true
		add = add.Copy(out, dir+"/bin", goroot+"/bin", &executable).
			Copy(out, dir+"/pkg/tool", goroot+"/pkg/tool", &executable).
			Copy(out, dir+"/lib/wasm/go_*_exec", goroot+"/lib/wasm/", &scripts).
			Copy(out, dir+"/src/_go.mod", goroot+"/src/go.mod", &llb.CopyInfo{ChownOpt: owner(), CreatedTime: &c.Epoch}).
			Copy(out, dir+"/src/cmd/_go.mod", goroot+"/src/cmd/go.mod", &llb.CopyInfo{ChownOpt: owner(), CreatedTime: &c.Epoch})
	}
	return llb.Scratch().File(add, c.constraints(fmt.Sprintf("[base %s] add go%s", ref, l.GoToolchain))...), nil
}

func architecture(l catalog.Layer) string {
	for _, p := range l.Packages {
		if p.Architecture != "all" {
			return p.Architecture
		}
	}
	return "all"
}

func httpOptions(constraints []llb.ConstraintsOpt, opts ...llb.HTTPOption) []llb.HTTPOption {
	for _, c := range constraints {
		opts = append(opts, c)
	}
	return opts
}

func shortHash(parts []string) string {
	sum := sha256.Sum256([]byte(strings.Join(parts, "\x00")))
	return hex.EncodeToString(sum[:6])
}

var _ Bases = (*Catalog)(nil)

// StepsProgram returns a state that has nothing but the steps program, at
// /steps, so that its content is the key of what it makes.
func StepsProgram(from llb.State, file string, build ocispecs.Platform) llb.State {
	mode := &llb.ChmodOpt{Mode: 0o555}
	epoch := time.Unix(0, 0).UTC()
	return llb.Scratch().File(llb.Copy(from, file, "/steps", &llb.CopyInfo{
		Mode:        mode,
		ChownOpt:    owner(),
		CreatedTime: &epoch,
	}), llb.Platform(build), llb.WithCustomName("[internal] take the steps program"))
}
