package frontend

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/frontend/dockerui"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/result"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// PredicateSPDX is the in-toto predicate type of an SPDX document,
// https://github.com/in-toto/attestation/blob/main/spec/predicates/spdx.md.
const PredicateSPDX = "https://spdx.dev/Document"

// BaseImage is a request for an image of the catalog by itself, to be published.
type BaseImage struct {
	Base plan.Base
	// Index are the annotations of the index.
	Index map[string]string
	// Manifest returns the annotations of the manifest for an architecture; may
	// be nil.
	Manifest func(arch string) map[string]string
	// SBOM returns the SPDX document, as JSON, of the image for an architecture.
	// It becomes an attestation as it is: the lock knows what is in an image, so
	// nothing is scanned. May be nil.
	SBOM func(arch string) ([]byte, error)
	// Check has the image's files looked through and its program started: there is
	// no result unless all is well.
	Check bool
}

// BuildBase returns the gateway's build function for a base image: one result for
// each platform that the client asks for, in any case as an index. Everything in it
// is as old as the epoch. The client's options are those of Build that are not
// about a descriptor.
func (f *Frontend) BuildBase(image BaseImage) gwclient.BuildFunc {
	return func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
		b := &build{Frontend: f, client: c, opts: c.BuildOpts().Opts, epoch: time.Unix(0, 0).UTC()}
		return b.base(ctx, image)
	}
}

func (b *build) base(ctx context.Context, image BaseImage) (*gwclient.Result, error) {
	var err error
	if b.catalog, err = b.Catalog(); err != nil {
		return nil, err
	}
	if b.ui, err = dockerui.NewClient(b.client); err != nil {
		return nil, err
	}
	b.ui.MultiPlatformRequested = true
	if len(b.ui.TargetPlatforms) == 0 {
		b.ui.TargetPlatforms = b.ui.BuildPlatforms[:1]
	}
	o, err := b.options(ctx)
	if err != nil {
		return nil, err
	}
	bases, err := b.definitions(o)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	attestations := map[string]gwclient.Attestation{}
	rb, err := b.ui.Build(ctx, func(ctx context.Context, platform *ocispecs.Platform, _ int) (*dockerui.BuildResult, error) {
		p := platforms.Normalize(*platform)
		found, err := bases.Base(ctx, image.Base, p)
		if err != nil {
			return nil, err
		}
		out := &dockerui.BuildResult{Image: &found.Config, Epoch: &b.epoch}
		out.Image.RootFS = ocispecs.RootFS{Type: "layers"}
		eg, ctx := errgroup.WithContext(ctx)
		eg.Go(func() error {
			var err error
			out.Reference, err = b.evaluate(ctx, found.State)
			return err
		})
		if image.Check {
			checks, err := bases.Checks(ctx, image.Base, p)
			if err != nil {
				return nil, err
			}
			for _, check := range checks {
				eg.Go(func() error {
					_, err := b.evaluate(ctx, check)
					return err
				})
			}
		}
		if image.SBOM != nil {
			eg.Go(func() error {
				a, err := b.sbom(ctx, image, p, o)
				if err != nil {
					return fmt.Errorf("the list of what is in %s for %s: %w", image.Base, p.Architecture, err)
				}
				mu.Lock()
				defer mu.Unlock()
				attestations[platforms.FormatAll(p)] = a
				return nil
			})
		}
		return out, eg.Wait()
	})
	if err != nil {
		return nil, err
	}
	for k, v := range image.Index {
		rb.AddMeta(exptypes.AnnotationIndexKey(k), []byte(v))
	}
	for _, p := range b.ui.TargetPlatforms {
		p = platforms.Normalize(p)
		if a, ok := attestations[platforms.FormatAll(p)]; ok {
			rb.AddAttestation(platforms.FormatAll(p), a)
		}
		if image.Manifest != nil {
			for k, v := range image.Manifest(p.Architecture) {
				rb.AddMeta(exptypes.AnnotationManifestKey(&p, k), []byte(v))
			}
		}
	}
	return rb.Finalize()
}

// sbom makes the attestation of what an image is made of.
func (b *build) sbom(ctx context.Context, image BaseImage, p ocispecs.Platform, o birdllb.Options) (gwclient.Attestation, error) {
	const file = "/sbom.spdx.json"
	doc, err := image.SBOM(p.Architecture)
	if err != nil {
		return gwclient.Attestation{}, err
	}
	st := birdllb.Document(file, doc, o, fmt.Sprintf("[base %s] list what is in it for %s", image.Base, p.Architecture))
	ref, err := b.evaluate(ctx, st)
	if err != nil {
		return gwclient.Attestation{}, err
	}
	return gwclient.Attestation{
		Kind:     gwpb.AttestationKind_InToto,
		Metadata: map[string][]byte{result.AttestationReasonKey: []byte(result.AttestationReasonSBOM)},
		Ref:      ref,
		Path:     file,
		InToto:   result.InTotoAttestation{PredicateType: PredicateSPDX},
	}, nil
}
