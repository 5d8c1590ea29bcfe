package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/docker/go-units"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/spf13/cobra"
	"github.com/tonistiigi/fsutil"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/builder"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/failure"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/machine"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/progress"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/request"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/image"
	"github.com/birdhouse-build/birdhouse/steps/embedded"
)

// buildFlags are the flags of build.
type buildFlags struct {
	request.Flags
	progress     string
	quiet        bool
	check        bool
	metadataFile string
	idFile       string
	catalog      string
	debug        bool
	builder      builder.Options
}

func newBuildCommand() *cobra.Command {
	var f buildFlags
	cmd := &cobra.Command{
		Use:   "build [PATH | URL | -]",
		Short: "Build the image of a project",
		Long: "build builds the image of the project in a folder (by default this one), in a git\n" +
			"repository, or in an archive. Without an output the image is kept under its name\n" +
			"on this machine, where `birdhouse run` and `birdhouse inspect` find it.",
		Example: "  birdhouse build -t shop/api:1.4 .\n" +
			"  birdhouse build -t registry.example.com/api:1.4 --platform linux/amd64,linux/arm64 --push .\n" +
			"  birdhouse build -o type=oci,dest=api.tar .",
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			f.Context = oneArg(args, ".")
			f.builder.Engine.Root = rootDir(cmd)
			f.builder.Addr = cmp.Or(f.builder.Addr, os.Getenv("BUILDKIT_HOST"))
			return build(cmd, f)
		},
	}
	f.register(cmd)
	return cmd
}

func (f *buildFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringVarP(&f.File, "file", "f", "", "the descriptor `file` or its URL (default: PATH/birdhouse.yaml); - for standard input")
	flags.StringArrayVarP(&f.Tags, "tag", "t", nil, "`name` of the image, [REGISTRY/]NAME[:TAG]")
	flags.StringVar(&f.Target, "target", "", "an image of the descriptor's `images`, or a stage of the build")
	flags.StringArrayVar(&f.Platforms, "platform", defaultPlatforms(), "`platform` of the image, such as linux/arm64; several with commas")
	flags.StringArrayVar(&f.BuildArgs, "build-arg", nil, "a build argument, `KEY=VALUE`, or KEY from the environment")
	flags.StringArrayVar(&f.BuildContexts, "build-context", nil, "an input in place of a base image or for a name, `NAME=FOLDER`, NAME=docker-image://…, NAME=oci-layout://…, NAME=URL")
	flags.StringArrayVar(&f.Secrets, "secret", nil, "a `secret` for the build: id=NAME[,src=FILE|,env=VARIABLE]")
	flags.StringArrayVar(&f.SSH, "ssh", nil, "SSH `agent` or keys for the build: default|ID[=SOCKET|KEY[,KEY]]")
	flags.StringArrayVar(&f.Labels, "label", nil, "a label of the image, `KEY=VALUE`")
	flags.StringArrayVar(&f.Annotations, "annotation", nil, "an annotation of the image's manifest, `[TYPE:]KEY=VALUE`")

	flags.StringArrayVarP(&f.Outputs, "output", "o", nil, "where the `result` goes: a folder, - or type=local|tar|oci|docker|image|registry,dest=PATH")
	flags.BoolVar(&f.Push, "push", false, "push the image to its registry")
	flags.BoolVar(&f.Load, "load", false, "give the image to docker")
	flags.StringVar(&f.metadataFile, "metadata-file", "", "write what was built to a JSON `file`")
	flags.StringVar(&f.idFile, "iidfile", "", "write the image's digest to a `file`")

	flags.BoolVar(&f.NoCache, "no-cache", false, "use nothing that was built before")
	flags.StringArrayVar(&f.NoCacheFilter, "no-cache-filter", nil, "use nothing that was built before for a `stage`")
	flags.BoolVar(&f.Pull, "pull", false, "ask registries for newer images even if there is one here")
	flags.StringArrayVar(&f.CacheFrom, "cache-from", nil, "take the build cache from `source`: IMAGE or type=registry|local|…")
	flags.StringArrayVar(&f.CacheTo, "cache-to", nil, "save the build cache in `destination`: IMAGE or type=registry|local|inline|…")

	flags.StringVar(&f.progress, "progress", "auto", "`how` progress is shown: auto, tty, plain, quiet, rawjson")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "print the image's digest and nothing else")
	flags.StringVar(&f.Call, "call", "build", "ask instead of building: `check`, outline, targets; with ,format=json")
	flags.BoolVar(&f.check, "check", false, "the same as --call=check")

	flags.StringArrayVar(&f.AddHosts, "add-host", nil, "a name in the build's network, `HOST:IP`; the IP host-gateway is this machine")
	flags.StringVar(&f.Network, "network", "default", "the build's `network`: default, none, host")
	flags.StringVar(&f.ShmSize, "shm-size", "", "`size` of /dev/shm in the build")
	flags.StringArrayVar(&f.Ulimits, "ulimit", nil, "a `limit` in the build, such as nofile=1024:2048")
	flags.StringVar(&f.CgroupParent, "cgroup-parent", "", "the `cgroup` above the build's processes")
	flags.StringArrayVar(&f.Allow, "allow", nil, "allow the build an `entitlement`: network.host, security.insecure")
	flags.StringArrayVar(&f.Attest, "attest", nil, "add an `attestation`: type=provenance|sbom,…")
	flags.StringVar(&f.Provenance, "provenance", "", "the same as --attest=type=provenance; `true` or mode=max")
	flags.StringVar(&f.SBOM, "sbom", "", "the same as --attest=type=sbom; `true` or generator=IMAGE")
	flags.Lookup("provenance").NoOptDefVal = "true"
	flags.Lookup("sbom").NoOptDefVal = "true"

	registerBuilder(cmd, &f.builder)
	registerCatalog(cmd, &f.catalog)
	flags.BoolVar(&f.debug, "debug", false, "print the engine's own log")
}

// registerBuilder adds the flags that say what builds.
func registerBuilder(cmd *cobra.Command, o *builder.Options) {
	flags := cmd.Flags()
	flags.StringVar(&o.Addr, "addr", "", "`address` of a BuildKit daemon to build on (default $BUILDKIT_HOST, else this process)")
	flags.StringVar(&o.CACert, "tlscacert", "", "CA certificate `file` for the daemon")
	flags.StringVar(&o.Cert, "tlscert", "", "client certificate `file` for the daemon")
	flags.StringVar(&o.Key, "tlskey", "", "client key `file` for the daemon")
	flags.StringVar(&o.ServerName, "tlsservername", "", "`name` in the daemon's certificate")
	flags.Var((*byteSize)(&o.Engine.MaxDiskBytes), "cache-size", "what the build cache may take, such as 50GB (default: the smaller of 20 GB and a fifth of the disk)")
}

// byteSize is a flag for a number of bytes, with a unit as docker's flags have it.
type byteSize int64

func (b *byteSize) Set(s string) error {
	n, err := units.RAMInBytes(s)
	if err != nil || n <= 0 {
		return errors.New("it is no size; write a number of bytes, or one with a unit such as 50GB")
	}
	*b = byteSize(n)
	return nil
}

func (b *byteSize) String() string {
	if *b == 0 {
		return ""
	}
	return strconv.FormatInt(int64(*b), 10)
}

func (b *byteSize) Type() string { return "size" }

// defaultPlatforms are those of docker's environment variable.
func defaultPlatforms() []string {
	if v := os.Getenv("DOCKER_DEFAULT_PLATFORM"); v != "" {
		return []string{v}
	}
	return nil
}

func build(cmd *cobra.Command, f buildFlags) (err error) {
	started := time.Now()
	mode, err := progress.Mode(f.progress, f.quiet)
	if err != nil {
		return err
	}
	if f.check {
		f.Call = "check"
	}
	defer func() { err = asMode(mode, err) }()
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	defer func() { err = failure.Cause(ctx, err) }()

	req, err := request.New(ctx, f.Flags, request.Inputs{
		Stdin:        cmd.InOrStdin(),
		Stdout:       os.Stdout,
		Remote:       f.builder.Addr != "",
		DebianMirror: debianMirror,
		Locations:    func() (catalog.Locations, error) { return catalog.MachineLocations(ctx) },
		StepsName:    frontend.StepsLocal,
		Steps:        stepsFolder(f.builder.Addr),
	})
	if err != nil {
		return err
	}
	// A file that is there stands for a build that has succeeded.
	for _, name := range []string{f.idFile, f.metadataFile} {
		if name == "" {
			continue
		}
		if err := os.Remove(name); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}

	f.builder.Engine.Notice = progress.Notice(os.Stderr, mode)
	if f.debug {
		f.builder.Engine.Log = os.Stderr
	}
	var b *builder.Builder
	connected := make(chan error, 1)
	go func() {
		var err error
		b, err = builder.Connect(ctx, f.builder)
		connected <- err
	}()
	bases := catalog.Opening(func() (*catalog.Catalog, error) { return openCatalog(f.catalog) })
	if req.WantsRevision() {
		req.SetRevision(machine.Revision(ctx, req.Dir))
	}
	if err := <-connected; err != nil {
		// What is wrong with the command itself is said first.
		_, wrong := bases()
		return cmp.Or(wrong, err)
	}
	defer func() {
		if cerr := b.Close(); err == nil {
			err = cerr
		}
	}()

	var kept *image.Writer
	var store *image.Store
	if req.Outputs.Keep {
		if store, err = image.OpenStore(filepath.Join(f.builder.Engine.Root, "images")); err != nil {
			return err
		}
		if kept, err = store.Writer(ctx); err != nil {
			return err
		}
		defer func() {
			if cerr := kept.Close(); err == nil {
				err = cerr
			}
		}()
		req.Outputs.UseStore(kept.Content())
	}

	defer req.Outputs.Discard()
	answer, err := solve(ctx, b.Client, req, frontend.New(frontend.Options{Catalog: bases, Steps: frontend.StepsFromLocal}), mode)
	if err != nil {
		return withProblems(err)
	}
	if req.Call != nil {
		return answer.call(cmd.OutOrStdout(), req.Call)
	}
	names := f.Tags
	if req.Outputs.Keep {
		desc, err := image.Exported(answer.response)
		if err != nil {
			return err
		}
		if len(names) == 0 {
			names = []string{req.LocalName()}
		}
		if err := kept.Tag(desc, names...); err != nil {
			return err
		}
	}
	if err := req.Outputs.Commit(); err != nil {
		return err
	}
	if f.metadataFile != "" {
		if err := request.WriteMetadata(f.metadataFile, answer.response); err != nil {
			return err
		}
	}
	if f.idFile != "" {
		if err := request.WriteImageID(f.idFile, req.Outputs.Digest(answer.response)); err != nil {
			return err
		}
	}
	out := cmd.OutOrStdout()
	if req.Outputs.Stdout {
		out = cmd.ErrOrStderr()
	}
	return report{
		mode: mode, outputs: req.Outputs, response: answer.response, warnings: answer.warnings,
		store: store, names: names, elapsed: time.Since(started),
	}.write(ctx, out, cmd.ErrOrStderr())
}

// withProblems returns, for an error about the descriptor or a file of the project,
// the problems themselves, which say more; other errors stay.
func withProblems(err error) error {
	var p *frontend.ProblemsError
	if errors.As(err, &p) {
		return &failure.ProblemsError{Problems: p.Problems, Sources: p.Sources}
	}
	return err
}

// answer is what a solve gives.
type answer struct {
	response map[string]string
	metadata map[string][]byte
	warnings []client.VertexWarning
}

// solve has the builder build, and shows how it goes.
func solve(ctx context.Context, c *client.Client, req *request.Request, fe *frontend.Frontend, mode progressui.DisplayMode) (*answer, error) {
	display, err := progress.Start(os.Stderr, mode)
	if err != nil {
		return nil, err
	}
	display.Attach(req.Solve.Session)
	out := &answer{}
	// The frontend runs in this process: its own error says more than what is left
	// of it after the way through the builder.
	var failed error
	res, err := c.Build(ctx, req.Solve, "birdhouse", func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
		res, err := fe.Build(ctx, c)
		if err != nil {
			failed = err
			return nil, err
		}
		out.metadata = res.Metadata
		return res, nil
	}, display.Status())
	warnings, derr := display.Wait()
	switch {
	case failed != nil:
		return nil, failed
	case err != nil:
		return nil, err
	case derr != nil:
		return nil, derr
	}
	out.response, out.warnings = res.ExporterResponse, warnings
	if out.response == nil {
		out.response = map[string]string{}
	}
	return out, nil
}

// call prints the answer to a question.
func (a *answer) call(w io.Writer, c *request.Call) error {
	text := a.metadata["result.txt"]
	if c.JSON {
		text = a.metadata["result.json"]
	}
	if _, err := fmt.Fprintln(w, strings.TrimRight(string(text), "\n")); err != nil {
		return err
	}
	if n, err := strconv.Atoi(string(a.metadata["result.statuscode"])); err == nil && n != 0 {
		return failure.Reported
	}
	return nil
}

// asMode shows an error as the progress mode has it: for machines as JSON.
func asMode(mode progressui.DisplayMode, err error) error {
	if err == nil || mode != progressui.RawJSONMode || errors.Is(err, failure.Reported) {
		return err
	}
	_ = failure.WriteJSON(os.Stderr, err)
	return &silent{err}
}

// silent is an error that was shown already.
type silent struct{ err error }

func (s *silent) Error() string        { return "" }
func (s *silent) Is(target error) bool { return target == error(failure.Reported) }
func (s *silent) ExitCode() int        { return failure.ExitCode(s.err) }

// report is what is said at the end of a build.
type report struct {
	mode     progressui.DisplayMode
	outputs  *request.Outputs
	response map[string]string
	warnings []client.VertexWarning
	store    *image.Store
	names    []string
	elapsed  time.Duration
}

func (r report) write(ctx context.Context, out, errs io.Writer) error {
	switch r.mode {
	case progressui.QuietMode:
		if digest := r.outputs.Digest(r.response); digest != "" {
			fmt.Fprintln(out, digest)
		}
		return nil
	case progressui.RawJSONMode:
		return r.json(ctx, out)
	}
	for _, w := range r.warnings {
		fmt.Fprint(errs, failure.Warning(w))
	}
	fmt.Fprintln(errs)
	images, err := r.images(ctx)
	if err != nil && r.outputs.Keep {
		return err
	}
	for i, img := range images {
		if i > 0 {
			fmt.Fprintln(out)
		}
		if err := img.Text(out); err != nil {
			return err
		}
	}
	if r.outputs.Keep {
		for _, name := range r.names[1:] {
			fmt.Fprintf(out, "  also %s\n", name)
		}
	}
	built := r.response[exptypes.ExporterImageDigestKey]
	took := fmt.Sprintf("%.1f s", r.elapsed.Seconds())
	if r.outputs.Pushed {
		if len(images) > 0 {
			fmt.Fprintln(out)
		}
		fmt.Fprintf(out, "pushed %s  %s  %s\n", strings.Join(r.pushed(), ", "), built, took)
		if err != nil { // The build has succeeded all the same.
			fmt.Fprintf(errs, "its layers are not shown: %v\n", err)
		}
	}
	if r.outputs.Loaded {
		fmt.Fprintf(out, "given to docker: %s  %s  %s\n", strings.Join(r.names, ", "), built, took)
	}
	for _, path := range r.outputs.Paths {
		fmt.Fprintf(out, "written to %s  %s%s\n", path, spaced(built), took)
	}
	return nil
}

func spaced(s string) string {
	if s == "" {
		return ""
	}
	return s + "  "
}

// json is the report for machines: one object on standard output.
func (r report) json(ctx context.Context, out io.Writer) error {
	v := struct {
		Digest string              `json:"digest,omitempty"`
		Names  []string            `json:"names,omitempty"`
		Images []*image.ReportData `json:"images,omitempty"`
		Paths  []string            `json:"paths,omitempty"`
	}{Digest: r.outputs.Digest(r.response), Names: r.names, Paths: r.outputs.Paths}
	var err error
	if v.Images, err = r.images(ctx); err != nil && r.outputs.Keep {
		return err
	}
	return json.NewEncoder(out).Encode(v)
}

// pushed are the names that the image has in registries.
func (r report) pushed() []string {
	return strings.Split(r.response[exptypes.ExporterImageNameKey], ",")
}

// registryTimeout is how long a registry may take to say what was pushed to it.
const registryTimeout = 15 * time.Second

// images describes what was kept or else pushed, an image for each platform.
func (r report) images(ctx context.Context) ([]*image.ReportData, error) {
	var built []v1.Image
	var name string
	switch {
	case r.outputs.Keep:
		name = r.names[0]
		platforms, err := r.store.Platforms(name)
		if err != nil {
			return nil, err
		}
		for _, p := range platforms {
			img, err := r.store.Image(name, &p)
			if err != nil {
				return nil, err
			}
			built = append(built, img)
		}
	case r.outputs.Pushed:
		ctx, cancel := context.WithTimeout(ctx, registryTimeout)
		defer cancel()
		name = r.pushed()[0]
		var err error
		if built, err = image.Remote(ctx, name+"@"+r.response[exptypes.ExporterImageDigestKey]); err != nil {
			return nil, err
		}
	}
	var all []*image.ReportData
	for _, img := range built {
		data, err := image.Report(img, name)
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	if len(all) > 0 && r.outputs.Keep {
		all[len(all)-1].Elapsed = r.elapsed
	}
	return all, nil
}

// debianMirror is the machine's mirror of Debian packages.
func debianMirror() string {
	if m, ok := catalog.MachineMirror(); ok {
		return m.String()
	}
	return ""
}

// stepsFolder holds the steps programs: for this process as the builder that of
// its architecture, for a daemon, which may have another, all that are built in.
func stepsFolder(addr string) fsutil.FS {
	arches := []string{runtime.GOARCH}
	if addr != "" {
		arches = embedded.Architectures()
	}
	return request.Memory(func() (map[string][]byte, error) {
		files := map[string][]byte{}
		for _, arch := range arches {
			data, err := embedded.Program(arch)
			if err != nil {
				return nil, err
			}
			files[frontend.StepsFile(arch)] = data
		}
		return files, nil
	})
}
