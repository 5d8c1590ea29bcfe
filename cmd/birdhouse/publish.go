package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/containerd/platforms"
	"github.com/docker/go-units"
	"github.com/moby/buildkit/client"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/spf13/cobra"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/sizes"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/builder"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/failure"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/progress"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/publish"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/request"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// catalogBuild are the flags of the commands that build images of the catalog.
type catalogBuild struct {
	builder     builder.Options
	catalog     string
	progress    string
	quiet       bool
	format      string
	platforms   []string
	args        []string
	compression string
	jobs        int
}

func (f *catalogBuild) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.SortFlags = false
	flags.StringArrayVar(&f.platforms, "platform", nil, "`platform` of the images; several with commas (default: all of the catalog)")
	flags.StringArrayVar(&f.args, "build-arg", nil, "a build argument, `KEY=VALUE`, such as a mirror")
	flags.StringVar(&f.progress, "progress", "auto", "`how` progress is shown: auto, tty, plain, quiet, rawjson")
	flags.BoolVarP(&f.quiet, "quiet", "q", false, "show no progress")
	flags.IntVar(&f.jobs, "jobs", 4, "how many images are built at once")
	registerBuilder(cmd, &f.builder)
	registerCatalog(cmd, &f.catalog)
	registerFormat(cmd, &f.format)
}

func (f *catalogBuild) registerCompression(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.compression, "compression", "gzip", "`how` layers are compressed: gzip, zstd")
}

// catalogRun is a command that builds images of the catalog, under way.
type catalogRun struct {
	publish.Options
	// project returns the options of a solve for the project in a folder.
	project func(dir string) (client.SolveOpt, error)
}

// run prepares, connects, has do do its work, and shows how it goes.
func (f *catalogBuild) run(cmd *cobra.Command, prefix string, images []string, do func(context.Context, *catalogRun) error) (err error) {
	if err := checkFormat(f.format); err != nil {
		return err
	}
	if f.compression != "gzip" && f.compression != "zstd" {
		return fmt.Errorf("--compression %s: there is gzip and zstd", f.compression)
	}
	if prefix != "" {
		if err := catalog.CheckPrefix(prefix); err != nil {
			return err
		}
	}
	mode, err := progress.Mode(f.progress, f.quiet)
	if err != nil {
		return err
	}
	c, err := openCatalog(f.catalog)
	if err != nil {
		return err
	}
	bases, err := selectBases(c, images)
	if err != nil {
		return err
	}
	targets, err := f.targets(c)
	if err != nil {
		return err
	}
	f.builder.Engine.Root = rootDir(cmd)
	f.builder.Addr = cmp.Or(f.builder.Addr, os.Getenv("BUILDKIT_HOST"))
	f.builder.Engine.Notice = progress.Notice(os.Stderr, mode)

	defer func() { err = asMode(mode, err) }()
	ctx, stop := interruptible(cmd.Context())
	defer stop()
	defer func() { err = failure.Cause(ctx, err) }()
	b, err := builder.Connect(ctx, f.builder)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := b.Close(); err == nil {
			err = cerr
		}
	}()
	dir, err := os.MkdirTemp("", "birdhouse-publish-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	display, err := progress.Start(os.Stderr, mode)
	if err != nil {
		return err
	}
	inputs := request.Inputs{
		Remote:       f.builder.Addr != "",
		DebianMirror: debianMirror,
		// Once for all images: it may have to ask npm.
		Locations: sync.OnceValues(func() (catalog.Locations, error) { return catalog.MachineLocations(ctx) }),
		StepsName: frontend.StepsLocal,
		Steps:     stepsFolder(f.builder.Addr),
	}
	r := &catalogRun{
		Options: publish.Options{
			Client:  b.Client,
			Request: func() (client.SolveOpt, error) { return request.Plain(request.Flags{BuildArgs: f.args}, inputs) },
			Status:  display.Part,
			Catalog: c, Steps: frontend.StepsFromLocal,
			Prefix: prefix, Images: bases, Platforms: targets, Compression: f.compression,
			Jobs: f.jobs, Dir: dir,
		},
		project: func(dir string) (client.SolveOpt, error) {
			r, err := request.New(ctx, request.Flags{Context: dir, BuildArgs: f.args}, inputs)
			if err != nil {
				return client.SolveOpt{}, err
			}
			return r.Solve, nil
		},
	}
	err = do(ctx, r)
	display.Finish()
	if _, derr := display.Wait(); err == nil {
		err = derr
	}
	return err
}

// targets are the platforms to build for.
func (f *catalogBuild) targets(c *catalog.Catalog) ([]ocispecs.Platform, error) {
	var names []string
	for _, v := range f.platforms {
		for _, s := range strings.Split(v, ",") {
			names = append(names, strings.TrimSpace(s))
		}
	}
	if len(names) == 0 {
		for _, arch := range c.Architectures() {
			names = append(names, "linux/"+arch)
		}
	}
	var targets []ocispecs.Platform
	for _, name := range names {
		p, err := platforms.Parse(name)
		if err != nil {
			return nil, fmt.Errorf("--platform %s: %w", name, err)
		}
		p = platforms.Normalize(p)
		if p.OS != "linux" || p.Variant != "" || !slices.Contains(c.Architectures(), p.Architecture) {
			return nil, fmt.Errorf("--platform %s: the catalog has images for linux/%s", name, strings.Join(c.Architectures(), ", linux/"))
		}
		if !slices.ContainsFunc(targets, func(t ocispecs.Platform) bool { return t.Architecture == p.Architecture }) {
			targets = append(targets, p)
		}
	}
	// The order is part of an index's digest.
	slices.SortFunc(targets, func(a, b ocispecs.Platform) int { return strings.Compare(a.Architecture, b.Architecture) })
	return targets, nil
}

// selectBases are the images of the catalog that were named by reference or by
// repository; all when none was.
func selectBases(c *catalog.Catalog, names []string) ([]plan.Base, error) {
	found := map[string]bool{}
	var out []plan.Base
	for _, b := range c.Bases() {
		wanted := len(names) == 0
		for _, name := range names {
			if name == b.String() || name == b.Image {
				wanted, found[name] = true, true
			}
		}
		if wanted {
			out = append(out, b)
		}
	}
	for _, name := range names {
		if !found[name] {
			return nil, fmt.Errorf("the catalog has no image %q; birdhouse catalog list names those it has", name)
		}
	}
	return out, nil
}

func newCatalogPublishCommand() *cobra.Command {
	var f catalogBuild
	var revision, source, save string
	var noFrontend bool
	cmd := &cobra.Command{
		Use:   "publish REGISTRY/PREFIX [IMAGE]...",
		Short: "Build the base images, or those named, and push them with the frontend that uses them",
		Long: "publish builds every image of the catalog, or those named and what they lie on, for all\n" +
			"platforms, and pushes them: PREFIX/python:3.13, with the full version as :3.13.5, and as\n" +
			":3.13.5-20261122, the date of the lock, which is never moved. Each has a list of its parts (SPDX)\n" +
			"and a provenance attestation. Then it builds the frontend image, whose catalog names these\n" +
			"images by digest, and pushes it as PREFIX/birdhouse:1. What the registry has is not pushed\n" +
			"again, so an interrupted publish is simply run again. What was published before with the same\n" +
			"lock the frontend still knows, so that images can be published one after the other.",
		Example: "  birdhouse catalog publish registry.example.com/bases\n" +
			"  birdhouse catalog publish registry.example.com/bases python node:24 --compression zstd",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if revision != "" && !isNumber(revision) {
				return fmt.Errorf("--revision %s: write a number, such as 2", revision)
			}
			report := publishReport{Prefix: args[0], Images: []publish.Image{}}
			unpublished := ""
			err := f.run(cmd, args[0], args[1:], func(ctx context.Context, r *catalogRun) error {
				r.Revision, r.Source = revision, source
				report.Lock = r.Catalog.Locked().UTC()
				images, err := publish.Images(ctx, r.Options)
				report.Images = append(report.Images, images...)
				if err != nil {
					return err
				}
				published, err := publish.Known(ctx, r.Options, images)
				if err != nil {
					return err
				}
				if all := len(r.Catalog.Refs()); len(published.Images) < all {
					unpublished = fmt.Sprintf("of the catalog's %d images %d are published with this lock: builds make the others from their definitions, until they are published, too",
						all, len(published.Images))
				}
				lock := r.Catalog.Lock().WithPublished(published)
				if save != "" {
					if err := lock.Write(save); err != nil {
						return err
					}
				}
				if noFrontend {
					return nil
				}
				report.Frontend, err = publish.Frontend(ctx, r.Options, lock, version, r.project)
				return err
			})
			if err == nil && unpublished != "" {
				notes(cmd.ErrOrStderr())(unpublished)
			}
			// What was published is said also when something was not.
			if len(report.Images) > 0 || err == nil {
				err = errors.Join(err, report.write(cmd.OutOrStdout(), f.format))
			}
			return err
		},
	}
	flags := cmd.Flags()
	f.register(cmd)
	f.registerCompression(cmd)
	flags.StringVar(&revision, "revision", "", "`number` that tells dated tags of one day apart: 2 makes :3.13.5-20261122.2")
	flags.StringVar(&source, "source", "", "`URL` of the source, for the annotation org.opencontainers.image.source")
	flags.StringVar(&save, "save", "", "write the lock, with the digests of what is published, to a `file` for --catalog")
	flags.BoolVar(&noFrontend, "no-frontend", false, "push no frontend image")
	return cmd
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789") == "" && len(s) < 10
}

// publishReport is what publish says at its end.
type publishReport struct {
	Prefix   string          `json:"prefix"`
	Lock     time.Time       `json:"lock"`
	Images   []publish.Image `json:"images"`
	Frontend *publish.Image  `json:"frontend,omitempty"`
}

func (r publishReport) write(out io.Writer, format string) error {
	if format == "json" {
		return writeJSON(out, r)
	}
	images := r.Images
	if r.Frontend != nil {
		images = append(slices.Clone(images), *r.Frontend)
	}
	return writeImages(out, images)
}

// writeImages prints a line for each image.
func writeImages(out io.Writer, images []publish.Image) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, img := range images {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", img.Status, cmp.Or(img.Name, img.Ref), platformSizes(img.Platforms), img.Digest)
		if len(img.Tags) > 0 {
			fmt.Fprintf(w, "\t  :%s\n", strings.Join(img.Tags, " :"))
		}
		for _, why := range img.Why {
			fmt.Fprintf(w, "\t  %s\n", why)
		}
	}
	return w.Flush()
}

// platformSizes is "amd64 0.46 MB, arm64 0.46 MB".
func platformSizes(all []publish.Platform) string {
	var out []string
	for _, p := range all {
		out = append(out, strings.TrimPrefix(p.Platform, "linux/")+" "+units.HumanSizeWithPrecision(float64(p.Size), 3))
	}
	return strings.Join(out, ", ")
}

func newCatalogVerifyCommand() *cobra.Command {
	f := catalogBuild{compression: "gzip"}
	cmd := &cobra.Command{
		Use:   "verify REGISTRY/PREFIX [IMAGE]...",
		Short: "Build the published base images, or those named, again and compare them",
		Long: "verify builds the images of the catalog, or those named, from the lock and compares the\n" +
			"digests with those that REGISTRY/PREFIX has. It changes nothing. The lock has to be the one\n" +
			"that they were published from. An image that differs, or is missing, makes it fail.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			report := publishReport{Prefix: args[0], Images: []publish.Image{}}
			err := f.run(cmd, args[0], args[1:], func(ctx context.Context, r *catalogRun) error {
				report.Lock = r.Catalog.Locked().UTC()
				images, err := publish.Verify(ctx, r.Options)
				report.Images = append(report.Images, images...)
				return err
			})
			if len(report.Images) > 0 || err == nil {
				err = errors.Join(err, report.write(cmd.OutOrStdout(), f.format))
			}
			if err != nil {
				return err
			}
			var other []string
			for _, img := range report.Images {
				if img.Status != publish.Same {
					other = append(other, img.Ref)
				}
			}
			if len(other) > 0 {
				return fmt.Errorf("%d of %d images are not what the lock of %s gives: %s",
					len(other), len(report.Images), report.Lock.Format(time.DateOnly), strings.Join(other, ", "))
			}
			return nil
		},
	}
	f.register(cmd)
	return cmd
}

func newCatalogMeasureCommand() *cobra.Command {
	f := catalogBuild{compression: "gzip"}
	var file string
	cmd := &cobra.Command{
		Use:   "measure [IMAGE]...",
		Short: "Build the base images, or those named, and print how large they are",
		RunE: func(cmd *cobra.Command, args []string) error {
			table := &sizes.Table{Images: map[string]map[string]sizes.Size{}}
			if file != "" {
				var err error
				if table, err = sizes.Read(file); err != nil {
					return err
				}
			}
			var images []publish.Image
			err := f.run(cmd, "", args, func(ctx context.Context, r *catalogRun) error {
				if !table.Lock.Equal(r.Catalog.Locked()) {
					table.Images = map[string]map[string]sizes.Size{}
				}
				table.Lock = r.Catalog.Locked().UTC()
				for _, compression := range []string{"gzip", "zstd"} {
					r.Compression = compression
					all, err := publish.Measure(ctx, r.Options)
					if err != nil {
						return err
					}
					if compression == "gzip" {
						images = all
					}
					record(table, all, compression)
				}
				return nil
			})
			if err != nil {
				return err
			}
			if file != "" {
				if err := table.Write(file); err != nil {
					return err
				}
			}
			if f.format == "json" {
				return writeJSON(cmd.OutOrStdout(), table)
			}
			return writeImages(cmd.OutOrStdout(), images)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&file, "write", "", "write the sizes to a `file`, beside those of other images that it has of the same lock")
	return cmd
}

// record notes the sizes of images.
func record(table *sizes.Table, images []publish.Image, compression string) {
	for _, img := range images {
		if table.Images[img.Ref] == nil {
			table.Images[img.Ref] = map[string]sizes.Size{}
		}
		for _, p := range img.Platforms {
			arch := strings.TrimPrefix(p.Platform, "linux/")
			size := table.Images[img.Ref][arch]
			if compression == "gzip" {
				size.Gzip = p.Size
			} else {
				size.Zstd = p.Size
			}
			table.Images[img.Ref][arch] = size
		}
	}
}
