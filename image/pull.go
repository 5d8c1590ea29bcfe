package image

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/errdefs"
	"github.com/containerd/platforms"
	"github.com/docker/go-units"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sync/errgroup"
)

// PullOptions say what to pull and how. The zero value pulls the image for
// this machine, silently.
type PullOptions struct {
	// Platform is the one to pull; nil is this machine's.
	Platform *ocispecs.Platform
	// Log gets a line about what is pulled; nil is silent.
	Log io.Writer
}

// Pull fetches an image of one platform from its registry into the store and
// names it ref there. Credentials come from docker's config.json, certificates
// from the machine; plain HTTP is spoken to this machine alone. Every byte is
// checked against its digest, and the name is given only when all are there.
func (s *Store) Pull(ctx context.Context, ref string, o PullOptions) (v1.Image, error) {
	img, err := s.pull(ctx, ref, o)
	if err != nil {
		return nil, fmt.Errorf("pulling %s: %w", ref, err)
	}
	return img, nil
}

func (s *Store) pull(ctx context.Context, ref string, o PullOptions) (v1.Image, error) {
	full, dgst, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	parsed, err := remoteName(full, dgst)
	if err != nil {
		return nil, err
	}

	w, err := s.Writer(ctx)
	if err != nil {
		return nil, err
	}
	defer w.Close()

	remoteImage, err := fetch(ctx, ref, parsed, o.Platform)
	if err != nil {
		return nil, err
	}
	d, err := copyImage(ctx, w.Content(), remoteImage, ref, o.Log)
	if err != nil {
		return nil, err
	}
	if dgst != "" {
		err = w.Tag(d)
	} else {
		err = w.Tag(d, full)
	}
	if err != nil {
		return nil, err
	}
	return s.load(d)
}

// Remote returns the images that a registry has by a name, with a tag, a digest or
// both, of which the digest counts: one for each platform, in the order of their
// index. Their layers are not read. Credentials and certificates are as for Pull.
func Remote(ctx context.Context, ref string) ([]v1.Image, error) {
	all, err := remoteImages(ctx, ref)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", ref, err)
	}
	return all, nil
}

func remoteImages(ctx context.Context, ref string) ([]v1.Image, error) {
	full, dgst, err := parseRef(ref)
	if err != nil {
		return nil, err
	}
	parsed, err := remoteName(full, dgst)
	if err != nil {
		return nil, err
	}
	desc, err := remote.Get(parsed, RegistryOptions(ctx)...)
	if err != nil {
		return nil, err
	}
	if !isIndex(string(desc.MediaType)) {
		img, err := desc.Image()
		if err != nil {
			return nil, err
		}
		return []v1.Image{img}, nil
	}
	idx, have, err := indexed(desc)
	if err != nil {
		return nil, err
	}
	var all []v1.Image
	for _, d := range have {
		img, err := imageOf(idx, d)
		if err != nil {
			return nil, err
		}
		all = append(all, img)
	}
	return all, nil
}

// remoteName is what a registry is asked for: a digest where there is one.
func remoteName(full string, dgst digest.Digest) (name.Reference, error) {
	if full == "" {
		return nil, errors.New("a digest alone does not say from which registry; write NAME@DIGEST")
	}
	if dgst != "" {
		full += "@" + dgst.String()
	}
	return RegistryName(full)
}

// indexed are the images of an index.
func indexed(desc *remote.Descriptor) (v1.ImageIndex, []ocispecs.Descriptor, error) {
	idx, err := desc.ImageIndex()
	if err != nil {
		return nil, nil, err
	}
	m, err := idx.IndexManifest()
	if err != nil {
		return nil, nil, fmt.Errorf("reading index: %w", err)
	}
	var have []ocispecs.Descriptor
	for _, d := range m.Manifests {
		c := descriptor(d)
		if c.Platform != nil && isImage(c) && isManifest(c.MediaType) {
			have = append(have, c)
		}
	}
	return idx, have, nil
}

func imageOf(idx v1.ImageIndex, d ocispecs.Descriptor) (v1.Image, error) {
	h, err := v1.NewHash(d.Digest.String())
	if err != nil {
		return nil, err
	}
	return idx.Image(h)
}

// fetch gets the manifest for p.
func fetch(ctx context.Context, ref string, parsed name.Reference, p *ocispecs.Platform) (v1.Image, error) {
	desc, err := remote.Get(parsed, RegistryOptions(ctx)...)
	if err != nil {
		return nil, err
	}
	if !isIndex(string(desc.MediaType)) {
		return desc.Image()
	}
	idx, have, err := indexed(desc)
	if err != nil {
		return nil, err
	}
	chosen, ok := best(have, p)
	if !ok {
		want := platforms.DefaultSpec()
		if p != nil {
			want = *p
		}
		return nil, wrongPlatform(ref, want, have)
	}
	return imageOf(idx, chosen)
}

// copyImage writes all of img, the manifest last, and returns its descriptor.
func copyImage(ctx context.Context, cs content.Store, img v1.Image, ref string, log io.Writer) (ocispecs.Descriptor, error) {
	if _, err := checked(img); err != nil {
		return ocispecs.Descriptor{}, err
	}
	m, err := img.Manifest()
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	layers, err := img.Layers()
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	if log != nil {
		var total int64
		for _, l := range m.Layers {
			total += l.Size
		}
		fmt.Fprintf(log, "pulling %s: %d layers, %s\n", ref, len(layers), units.HumanSize(float64(total)))
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for i, l := range layers {
		g.Go(func() error {
			return writeBlob(gctx, cs, descriptor(m.Layers[i]), l.Compressed)
		})
	}
	if err := g.Wait(); err != nil {
		return ocispecs.Descriptor{}, err
	}
	config, err := img.RawConfigFile()
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	if err := writeBlob(ctx, cs, descriptor(m.Config), opener(config)); err != nil {
		return ocispecs.Descriptor{}, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	mt, err := img.MediaType()
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	d := ocispecs.Descriptor{MediaType: string(mt), Digest: digest.FromBytes(raw), Size: int64(len(raw))}
	return d, writeBlob(ctx, cs, d, opener(raw))
}

func opener(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(string(data))), nil }
}

// writeBlob copies what is not there yet; a content of another digest or size
// is an error and leaves nothing.
func writeBlob(ctx context.Context, cs content.Store, d ocispecs.Descriptor, open func() (io.ReadCloser, error)) error {
	if info, err := cs.Info(ctx, d.Digest); err == nil {
		if info.Size == d.Size {
			return nil
		}
		if err := cs.Delete(ctx, d.Digest); err != nil {
			return fmt.Errorf("replacing damaged %s: %w", d.Digest, err)
		}
	}
	r, err := open()
	if err != nil {
		return fmt.Errorf("fetching %s: %w", d.Digest, err)
	}
	defer r.Close()
	w, err := content.OpenWriter(ctx, cs, content.WithRef("pull-"+d.Digest.String()), content.WithDescriptor(d))
	if errdefs.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("storing %s: %w", d.Digest, err)
	}
	defer w.Close()
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("fetching %s: %w", d.Digest, err)
	}
	if err := w.Commit(ctx, d.Size, d.Digest); err != nil && !errdefs.IsAlreadyExists(err) {
		return fmt.Errorf("storing %s: %w", d.Digest, err)
	}
	return nil
}

func descriptor(d v1.Descriptor) ocispecs.Descriptor {
	o := ocispecs.Descriptor{
		MediaType: string(d.MediaType), Digest: digest.Digest(d.Digest.String()), Size: d.Size, Annotations: d.Annotations,
	}
	if p := d.Platform; p != nil {
		o.Platform = &ocispecs.Platform{
			Architecture: p.Architecture, OS: p.OS, OSVersion: p.OSVersion, OSFeatures: p.OSFeatures, Variant: p.Variant,
		}
	}
	return o
}

// onlyLocalHTTP refuses plain HTTP to other machines. The registry client
// would try it for names of private networks.
type onlyLocalHTTP struct{ next http.RoundTripper }

func (t onlyLocalHTTP) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme != "https" && !loopback(r.URL.Host) {
		return nil, fmt.Errorf("%s would be asked over plain HTTP, which is accepted from this machine alone", r.URL.Host)
	}
	return t.next.RoundTrip(r)
}

func loopback(host string) bool {
	if h, _, err := net.SplitHostPort(host); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
