// Package publish builds the images of the catalog and brings them to a registry,
// with the frontend image that uses them, or compares those that are there with
// what the catalog says.
package publish

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/buildkit/client"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/sbom"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// Options say what is published, and with what.
type Options struct {
	Client *client.Client
	// Request returns the options of a new solve, with a session of its own.
	Request func() (client.SolveOpt, error)
	// Status returns a channel for a solve's progress, which the solve closes.
	Status  func(name string) chan *client.SolveStatus
	Catalog *catalog.Catalog
	Steps   frontend.StepsFunc
	// Prefix is REGISTRY/PREFIX.
	Prefix string
	// Images are those to publish; what they lie on is published, too.
	Images []plan.Base
	// Platforms are those of every image.
	Platforms []ocispecs.Platform
	// Compression is "gzip" or "zstd".
	Compression string
	// Revision tells dated tags of one day apart; "" for the first.
	Revision string
	// Source is the value of the annotation org.opencontainers.image.source, ""
	// for none.
	Source string
	// Jobs is how many images are built at once.
	Jobs int
	// Dir is a folder for images that wait to be pushed; they are removed.
	Dir string
}

// What happened to an image.
const (
	// Pushed is an image that the registry did not have.
	Pushed = "pushed"
	// Tagged is one that it had under another tag.
	Tagged = "tagged"
	// Present is one that it had under all its tags.
	Present = "present"
	// Same is a published image that equals the one built.
	Same = "same"
	// Differs is one that does not.
	Differs = "differs"
	// Missing is one that the registry does not have.
	Missing = "missing"
	// Measured is one that was built and goes nowhere.
	Measured = "built"
)

// Image is what became of an image.
type Image struct {
	// Ref is "python:3.13-build", Name what the registry calls it.
	Ref  string `json:"ref"`
	Name string `json:"name,omitempty"`
	// Digest is of the index in the registry.
	Digest string `json:"digest,omitempty"`
	// Tags lead to it.
	Tags      []string   `json:"tags,omitempty"`
	Platforms []Platform `json:"platforms"`
	Status    string     `json:"status"`
	// Why says what differs.
	Why []string `json:"why,omitempty"`
}

// MovedError is a dated tag that leads to another image than the one that was built.
type MovedError struct {
	Tag  string
	Have string
	// Why says what differs.
	Why []string
}

func (e *MovedError) Error() string {
	return fmt.Sprintf("%s is another image already (%s): %s\n"+
		"a dated tag is never moved: lock anew, with birdhouse catalog update, or publish this one beside it, with --revision 2",
		e.Tag, e.Have, strings.Join(e.Why, "; "))
}

// run is one command's work.
type run struct {
	Options
	registry *registry
	frontend *frontend.Frontend
	slots    chan struct{}
	tasks    map[string]*task
}

// task is one image.
type task struct {
	base plan.Base
	// below is the task of the image that it lies on, by architecture.
	below map[string]*task
	done  chan struct{}

	// Set when done is closed.
	image  *Image
	failed bool
}

// Images builds images and pushes them. The result has all that were published,
// in the catalog's order, also when there is an error: an image that fails keeps
// none from being published but those that lie on it.
func Images(ctx context.Context, o Options) ([]Image, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	return r.all(ctx, r.publish)
}

// Verify builds images and compares them with what the registry has.
func Verify(ctx context.Context, o Options) ([]Image, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	return r.all(ctx, r.verify)
}

// Measure builds images for their sizes.
func Measure(ctx context.Context, o Options) ([]Image, error) {
	r, err := newRun(o)
	if err != nil {
		return nil, err
	}
	return r.all(ctx, func(ctx context.Context, t *task) (*Image, error) {
		b, err := r.build(ctx, t, r.how())
		if err != nil {
			return nil, err
		}
		defer b.remove()
		return &Image{Ref: t.base.String(), Platforms: b.platforms, Status: Measured}, nil
	})
}

func newRun(o Options) (*run, error) {
	r := &run{
		Options:  o,
		registry: newRegistry(o.Prefix),
		frontend: frontend.New(frontend.Options{Catalog: o.Catalog.Opened, Steps: o.Steps}),
		slots:    make(chan struct{}, max(o.Jobs, 1)),
		tasks:    map[string]*task{},
	}
	for _, b := range o.Images {
		if _, err := r.task(b); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// task returns the task of an image, and plans those of the images below.
func (r *run) task(b plan.Base) (*task, error) {
	if t, ok := r.tasks[b.String()]; ok {
		return t, nil
	}
	t := &task{base: b, below: map[string]*task{}, done: make(chan struct{})}
	for _, p := range r.Platforms {
		below, ok, err := r.Catalog.Below(b, p.Architecture)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		if t.below[p.Architecture], err = r.task(below); err != nil {
			return nil, err
		}
	}
	r.tasks[b.String()] = t
	return t, nil
}

// all does all tasks, those at once that do not wait for another.
func (r *run) all(ctx context.Context, do func(context.Context, *task) (*Image, error)) ([]Image, error) {
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := map[string]error{}
	for _, t := range r.tasks {
		wg.Go(func() {
			defer close(t.done)
			for _, below := range t.below {
				<-below.done
				t.failed = t.failed || below.failed
			}
			if t.failed {
				return
			}
			r.slots <- struct{}{}
			defer func() { <-r.slots }()
			err := ctx.Err()
			if err == nil {
				t.image, err = do(ctx, t)
			}
			if err != nil {
				t.failed = true
				mu.Lock()
				defer mu.Unlock()
				failed[t.base.String()] = fmt.Errorf("%s: %w", t.base, err)
			}
		})
	}
	wg.Wait()
	if err := ctx.Err(); err != nil {
		return r.images(), err
	}
	var errs []error
	for _, ref := range slices.Sorted(maps.Keys(failed)) {
		errs = append(errs, failed[ref])
	}
	return r.images(), errors.Join(errs...)
}

// images are those that are done, in the catalog's order.
func (r *run) images() []Image {
	var all []Image
	for _, b := range r.Catalog.Bases() {
		if t := r.tasks[b.String()]; t != nil && t.image != nil {
			all = append(all, *t.image)
		}
	}
	return all
}

// how are the choices that an image's digests depend on, besides the catalog.
type how struct {
	compression, source, prefix string
	// check has the image checked; its digests are the same without.
	check bool
}

func (r *run) how() how { return how{compression: r.Compression, source: r.Source, prefix: r.Prefix} }

// build builds an image.
func (r *run) build(ctx context.Context, t *task, h how) (*built, error) {
	release, err := r.Catalog.Release(t.base)
	if err != nil {
		return nil, err
	}
	request := frontend.BaseImage{
		Base:  t.base,
		Check: h.check,
		Index: annotations(t.base, release, h.source),
		Manifest: func(arch string) map[string]string {
			a := annotations(t.base, release, h.source)
			if below := t.below[arch]; below != nil {
				for _, p := range below.image.Platforms {
					if archOf(p.Platform) == arch {
						a[ocispecs.AnnotationBaseImageName] = h.prefix + "/" + below.base.String()
						a[ocispecs.AnnotationBaseImageDigest] = p.Digest
					}
				}
			}
			return a
		},
		SBOM: func(arch string) ([]byte, error) {
			img, err := r.Catalog.Image(t.base, arch, arch)
			if err != nil {
				return nil, err
			}
			return sbom.SPDX(img, sbom.Options{Suite: img.Suite, Architecture: arch, Created: r.Catalog.Locked()})
		},
	}
	return r.solve(ctx, t.base.String(), h.compression, "", r.frontend.BuildBase(request))
}

// annotations are those of an image, whatever its platform. Nothing in them
// depends on when and where it is built.
func annotations(b plan.Base, release, source string) map[string]string {
	a := map[string]string{
		ocispecs.AnnotationTitle:   b.String(),
		ocispecs.AnnotationVersion: release,
		ocispecs.AnnotationCreated: time.Unix(0, 0).UTC().Format(time.RFC3339),
	}
	if source != "" {
		a[ocispecs.AnnotationSource] = source
	}
	return a
}

// archOf is the architecture of "linux/arm64".
func archOf(platform string) string {
	p, err := platforms.Parse(platform)
	if err != nil {
		return ""
	}
	return p.Architecture
}

// publish builds an image and pushes it.
func (r *run) publish(ctx context.Context, t *task) (*Image, error) {
	tags, err := r.Catalog.Tags(t.base, r.Revision)
	if err != nil {
		return nil, err
	}
	h := r.how()
	h.check = true
	b, err := r.build(ctx, t, h)
	if err != nil {
		return nil, err
	}
	defer b.remove()
	img, err := r.deliver(ctx, t.base.Image, tags, b)
	if err != nil {
		return nil, err
	}
	img.Ref = t.base.String()
	return img, nil
}

// deliver sees to it that tags lead to an image. Attestations say when an image
// was built, so two indexes are the same image when their platforms' manifests
// are: what the registry has of these stays, and is the one that tags lead to.
//
// The order makes an interruption harmless: first the content, then the dated tag,
// which decides, then those that move.
func (r *run) deliver(ctx context.Context, repository string, tags catalog.Tags, b *built) (*Image, error) {
	type state struct {
		tag  name.Tag
		have *there
	}
	var states []state
	var same *there
	for _, s := range tags.All() {
		tag, err := r.registry.tag(repository, s)
		if err != nil {
			return nil, err
		}
		have, err := r.registry.get(ctx, tag)
		if err != nil {
			return nil, err
		}
		if have != nil && covers(have.platforms, b.platforms) {
			if same == nil {
				same = have
			}
		} else if have != nil && s == tags.Dated {
			return nil, &MovedError{Tag: tag.String(), Have: have.Digest.String(), Why: differences(have.platforms, b.platforms)}
		}
		states = append(states, state{tag, have})
	}

	img := &Image{Status: Present, Tags: tags.All(), Platforms: b.platforms}
	var to remote.Taggable
	if same != nil {
		to, img.Digest, img.Platforms = same.Descriptor, same.Digest.String(), same.platforms
	} else {
		if err := r.registry.push(ctx, states[0].tag.Context(), b); err != nil {
			return nil, err
		}
		to, img.Digest, img.Status = b.index, b.desc.Digest.String(), Pushed
	}
	img.Name = states[len(tags.All())-1].tag.Context().String()
	for _, s := range states {
		if s.have != nil && s.have.Digest.String() == img.Digest {
			continue
		}
		if err := r.registry.move(ctx, s.tag, to); err != nil {
			return nil, err
		}
		if img.Status == Present {
			img.Status = Tagged
		}
	}
	return img, nil
}

// differences says in which platforms two images differ.
func differences(have, built []Platform) []string {
	var why []string
	if len(have) == 0 {
		return []string{"it is no image of several platforms"}
	}
	for _, b := range built {
		i := slices.IndexFunc(have, func(h Platform) bool { return h.Platform == b.Platform })
		switch {
		case i < 0:
			why = append(why, b.Platform+" is missing there")
		case have[i].Digest != b.Digest:
			why = append(why, fmt.Sprintf("%s is %s there and %s here", b.Platform, have[i].Digest, b.Digest))
		}
	}
	return why
}
