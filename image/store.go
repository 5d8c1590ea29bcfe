package image

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/containerd/continuity"
	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/opencontainers/go-digest"
	"github.com/opencontainers/image-spec/specs-go"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// ErrNotFound says that an image is not in the store.
var ErrNotFound = errors.New("not in the image store")

const (
	// annotationContainerdName is the name that containerd reads from a layout
	// (github.com/containerd/containerd/v2/core/images, AnnotationImageName).
	annotationContainerdName = "io.containerd.image.name"
	// annotationReference marks what belongs to another manifest, such as a
	// provenance attestation (BuildKit, docs/attestations/attestation-storage.md).
	annotationReference = "vnd.docker.reference.type"

	indexLock   = "index.lock"
	writersLock = "writers.lock"

	// maxDocument bounds manifests, indexes and configurations.
	maxDocument = 32 << 20
	// maxDepth bounds indexes inside indexes.
	maxDepth = 4
)

// Store keeps images in an OCI image layout directory
// (https://github.com/opencontainers/image-spec/blob/main/image-layout.md).
// Any number of processes may use one directory at the same time.
type Store struct {
	dir string
}

// Entry is a name in the store and the image that it stands for.
type Entry struct {
	// Name is the short form people use, "shop/api:1.4"; "" for an image kept
	// by its digest alone.
	Name string
	// Descriptor is of an image manifest or of an index of several platforms.
	Descriptor ocispecs.Descriptor
}

// OpenStore opens the store in dir, and creates it when there is none.
func OpenStore(dir string) (*Store, error) {
	s := &Store{dir: dir}
	if err := os.MkdirAll(filepath.Join(dir, ocispecs.ImageBlobsDir, "sha256"), 0o755); err != nil {
		return nil, fmt.Errorf("opening image store: %w", err)
	}
	err := s.locked(func() error {
		data, err := os.ReadFile(s.path(ocispecs.ImageLayoutFile))
		switch {
		case err == nil:
			var l ocispecs.ImageLayout
			if err := json.Unmarshal(data, &l); err != nil || l.Version != ocispecs.ImageLayoutVersion {
				return fmt.Errorf("%s does not say imageLayoutVersion %q", s.path(ocispecs.ImageLayoutFile), ocispecs.ImageLayoutVersion)
			}
		case errors.Is(err, fs.ErrNotExist):
			if err := s.write(ocispecs.ImageLayoutFile, ocispecs.ImageLayout{Version: ocispecs.ImageLayoutVersion}); err != nil {
				return err
			}
		default:
			return err
		}
		_, err = os.Stat(s.path(ocispecs.ImageIndexFile))
		if errors.Is(err, fs.ErrNotExist) {
			return s.write(ocispecs.ImageIndexFile, emptyIndex())
		}
		if err == nil {
			_, err = s.index() // better known before a build than after it
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("opening image store: %w", err)
	}
	return s, nil
}

// Dir returns the directory of the layout.
func (s *Store) Dir() string { return s.dir }

// List returns the images by name, those without a name last.
func (s *Store) List() ([]Entry, error) {
	idx, err := s.index()
	if err != nil {
		return nil, err
	}
	entries := make([]Entry, 0, len(idx.Manifests))
	for _, d := range idx.Manifests {
		entries = append(entries, Entry{Name: familiar(d.Annotations[ocispecs.AnnotationRefName]), Descriptor: d})
	}
	sort.SliceStable(entries, func(i, j int) bool {
		a, b := entries[i], entries[j]
		if (a.Name == "") != (b.Name == "") {
			return b.Name == ""
		}
		if a.Name != b.Name {
			return a.Name < b.Name
		}
		return a.Descriptor.Digest < b.Descriptor.Digest
	})
	return entries, nil
}

// Resolve finds an image by its name ("app", "app:1", "host/app@sha256:…"), its
// digest ("sha256:…") or at least 12 digits of that. The error of a name that
// is not there matches ErrNotFound and says which names there are.
func (s *Store) Resolve(ref string) (ocispecs.Descriptor, error) {
	idx, err := s.index()
	if err != nil {
		return ocispecs.Descriptor{}, err
	}
	name, dgst, nameErr := parseRef(ref)
	if dgst != "" {
		if d, ok := s.find(idx.Manifests, func(d digest.Digest) bool { return d == dgst }, 0); ok {
			return d, nil
		}
		return ocispecs.Descriptor{}, s.notFound(ref, idx)
	}
	if nameErr == nil {
		for _, d := range idx.Manifests {
			if d.Annotations[ocispecs.AnnotationRefName] == name {
				return d, nil
			}
		}
	}
	if isHex(ref) && len(ref) >= 12 {
		if d, ok := s.find(idx.Manifests, func(d digest.Digest) bool { return strings.HasPrefix(d.Encoded(), ref) }, 0); ok {
			return d, nil
		}
	}
	if nameErr != nil {
		return ocispecs.Descriptor{}, nameErr
	}
	return ocispecs.Descriptor{}, s.notFound(ref, idx)
}

// Image returns the image that ref (as for Resolve) stands for. Of an image of
// several platforms it is the one for p; with p nil it is the one for this
// machine or, when there is none, the first. Manifest and configuration are
// checked against their digests; layers are read when they are asked for.
func (s *Store) Image(ref string, p *ocispecs.Platform) (v1.Image, error) {
	d, err := s.Resolve(ref)
	if err != nil {
		return nil, err
	}
	d, err = s.choose(ref, d, p)
	if err != nil {
		return nil, err
	}
	img, err := s.load(d)
	if err != nil {
		return nil, fmt.Errorf("reading image %s: %w", ref, err)
	}
	return img, nil
}

// Platforms returns the platforms that ref (as for Resolve) has images for, in
// the order of its index.
func (s *Store) Platforms(ref string) ([]ocispecs.Platform, error) {
	d, err := s.Resolve(ref)
	if err != nil {
		return nil, err
	}
	manifests, err := s.manifests(d, 0)
	if err != nil {
		return nil, fmt.Errorf("reading image %s: %w", ref, err)
	}
	var ps []ocispecs.Platform
	for _, m := range manifests {
		ps = append(ps, *m.Platform)
	}
	return ps, nil
}

// Tag makes each of refs a name of d, and takes the name from the image that
// had it. Without refs d is kept by its digest alone. All that d refers to must
// be in the store. The names change together or not at all.
func (s *Store) Tag(d ocispecs.Descriptor, refs ...string) error {
	_, err := s.tag(d, refs)
	return err
}

// tag says whether it took a name from another image.
func (s *Store) tag(d ocispecs.Descriptor, refs []string) (taken bool, err error) {
	names := make([]string, 0, len(refs))
	for _, ref := range refs {
		name, err := tagName(ref)
		if err != nil {
			return false, err
		}
		names = append(names, name)
	}
	if len(names) == 0 {
		names = []string{""}
	}
	err = s.change(func(idx *ocispecs.Index) error {
		if err := s.complete(d, 0); err != nil {
			return fmt.Errorf("adding image %s to the store: %w", d.Digest, err)
		}
		for _, name := range names {
			kept := idx.Manifests[:0]
			for _, m := range idx.Manifests {
				old := m.Annotations[ocispecs.AnnotationRefName]
				if old != name || name == "" && m.Digest != d.Digest {
					kept = append(kept, m)
				} else if m.Digest != d.Digest {
					taken = true
				}
			}
			e := d
			e.Annotations = map[string]string{}
			for k, v := range d.Annotations {
				e.Annotations[k] = v
			}
			delete(e.Annotations, ocispecs.AnnotationRefName)
			delete(e.Annotations, annotationContainerdName)
			if name != "" {
				e.Annotations[ocispecs.AnnotationRefName] = name
				e.Annotations[annotationContainerdName] = name
			}
			idx.Manifests = append(kept, e)
		}
		return nil
	})
	return taken && err == nil, err
}

// Remove takes a name from the store, or all names of a digest. The image's
// bytes stay until GC.
func (s *Store) Remove(ref string) error {
	d, err := s.Resolve(ref)
	if err != nil {
		return err
	}
	name := d.Annotations[ocispecs.AnnotationRefName]
	if n, dgst, err := parseRef(ref); err != nil || dgst != "" || n != name {
		name = "" // asked for by digest
	}
	return s.change(func(idx *ocispecs.Index) error {
		kept := idx.Manifests[:0]
		for _, m := range idx.Manifests {
			if name != "" && m.Annotations[ocispecs.AnnotationRefName] == name || name == "" && m.Digest == d.Digest {
				continue
			}
			kept = append(kept, m)
		}
		if len(kept) == len(idx.Manifests) {
			return fmt.Errorf("removing %s: it is a part of another image; remove that by its name", ref)
		}
		idx.Manifests = kept
		return nil
	})
}

// Hold keeps GC from deleting anything until release is called.
func (s *Store) Hold(ctx context.Context) (release func(), err error) {
	l := flock.New(s.path(writersLock))
	if _, err := l.TryRLockContext(ctx, 20*time.Millisecond); err != nil {
		return nil, fmt.Errorf("locking image store %s: %w", s.dir, err)
	}
	return func() { _ = l.Close() }, nil
}

// GC deletes the blobs that no image refers to and what killed processes left
// behind, and returns the bytes freed. It does nothing while another process
// writes to the store or holds it.
func (s *Store) GC() (freed int64, err error) {
	w := flock.New(s.path(writersLock))
	ok, err := w.TryLock()
	if err != nil {
		return 0, fmt.Errorf("locking image store %s: %w", s.dir, err)
	}
	if !ok {
		return 0, nil
	}
	defer w.Close()
	err = s.locked(func() error {
		idx, err := s.index()
		if err != nil {
			return err
		}
		live := map[digest.Digest]bool{}
		for _, d := range idx.Manifests {
			if err := s.mark(d, live, 0); err != nil {
				return err
			}
		}
		n, err := s.sweep(live)
		freed = n
		return err
	})
	if err != nil {
		return freed, fmt.Errorf("cleaning image store: %w", err)
	}
	return freed, nil
}

func (s *Store) mark(d ocispecs.Descriptor, live map[digest.Digest]bool, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: indexes are nested too deep", d.Digest)
	}
	live[d.Digest] = true
	children, err := s.children(d)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, c := range children {
		if err := s.mark(c, live, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) sweep(live map[digest.Digest]bool) (freed int64, err error) {
	blobs := s.path(ocispecs.ImageBlobsDir)
	algorithms, err := os.ReadDir(blobs)
	if err != nil {
		return 0, err
	}
	for _, alg := range algorithms {
		files, err := os.ReadDir(filepath.Join(blobs, alg.Name()))
		if err != nil {
			return freed, err
		}
		for _, f := range files {
			if live[digest.NewDigestFromEncoded(digest.Algorithm(alg.Name()), f.Name())] {
				continue
			}
			if info, err := f.Info(); err == nil {
				freed += info.Size()
			}
			if err := os.RemoveAll(filepath.Join(blobs, alg.Name(), f.Name())); err != nil {
				return freed, err
			}
		}
	}
	// Nobody writes now, so what is unfinished stays so.
	if err := os.RemoveAll(s.path("ingest")); err != nil {
		return freed, err
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return freed, err
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), ".tmp-") {
			if err := os.Remove(s.path(f.Name())); err != nil {
				return freed, err
			}
		}
	}
	return freed, nil
}

func (s *Store) path(name string) string { return filepath.Join(s.dir, name) }

func (s *Store) layout() layout.Path { return layout.Path(s.dir) }

// locked runs f while no other process changes the index.
func (s *Store) locked(f func() error) error {
	l := flock.New(s.path(indexLock))
	if err := l.Lock(); err != nil {
		return err
	}
	defer l.Close()
	return f()
}

func (s *Store) change(f func(*ocispecs.Index) error) error {
	return s.locked(func() error {
		idx, err := s.index()
		if err != nil {
			return err
		}
		if err := f(&idx); err != nil {
			return err
		}
		sort.SliceStable(idx.Manifests, func(i, j int) bool {
			a, b := idx.Manifests[i], idx.Manifests[j]
			if x, y := a.Annotations[ocispecs.AnnotationRefName], b.Annotations[ocispecs.AnnotationRefName]; x != y {
				return x < y
			}
			return a.Digest < b.Digest
		})
		if err := s.write(ocispecs.ImageIndexFile, idx); err != nil {
			return fmt.Errorf("writing image store's index: %w", err)
		}
		return nil
	})
}

func (s *Store) write(name string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return continuity.AtomicWriteFile(s.path(name), append(data, '\n'), 0o644)
}

func emptyIndex() ocispecs.Index {
	return ocispecs.Index{
		Versioned: specs.Versioned{SchemaVersion: 2},
		MediaType: ocispecs.MediaTypeImageIndex,
		Manifests: []ocispecs.Descriptor{},
	}
}

func (s *Store) index() (ocispecs.Index, error) {
	data, err := os.ReadFile(s.path(ocispecs.ImageIndexFile))
	if err != nil {
		return ocispecs.Index{}, err
	}
	var idx ocispecs.Index
	if err := json.Unmarshal(data, &idx); err != nil {
		return ocispecs.Index{}, fmt.Errorf("%s is damaged: %w; remove it, and build or pull the images again", s.path(ocispecs.ImageIndexFile), err)
	}
	return idx, nil
}

func (s *Store) notFound(ref string, idx ocispecs.Index) error {
	var names []string
	for _, d := range idx.Manifests {
		if n := familiar(d.Annotations[ocispecs.AnnotationRefName]); n != "" {
			names = append(names, n)
		}
	}
	if len(names) == 0 {
		return fmt.Errorf("image %q is %w, which has no images", ref, ErrNotFound)
	}
	sort.Strings(names)
	const most = 8
	more := ""
	if len(names) > most {
		more = fmt.Sprintf(" and %d more", len(names)-most)
		names = names[:most]
	}
	return fmt.Errorf("image %q is %w, which has %s%s", ref, ErrNotFound, strings.Join(names, ", "), more)
}

// find looks for a manifest or index, at any depth.
func (s *Store) find(ds []ocispecs.Descriptor, want func(digest.Digest) bool, depth int) (ocispecs.Descriptor, bool) {
	if depth > maxDepth {
		return ocispecs.Descriptor{}, false
	}
	for _, d := range ds {
		if want(d.Digest) {
			return d, true
		}
	}
	for _, d := range ds {
		if !isIndex(d.MediaType) {
			continue
		}
		children, err := s.children(d)
		if err != nil {
			continue
		}
		if f, ok := s.find(children, want, depth+1); ok {
			return f, true
		}
	}
	return ocispecs.Descriptor{}, false
}

// children returns what a manifest or an index refers to.
func (s *Store) children(d ocispecs.Descriptor) ([]ocispecs.Descriptor, error) {
	if !isIndex(d.MediaType) && !isManifest(d.MediaType) {
		return nil, nil
	}
	data, err := s.document(d)
	if err != nil {
		return nil, err
	}
	var doc struct {
		Manifests []ocispecs.Descriptor `json:"manifests"`
		Config    *ocispecs.Descriptor  `json:"config"`
		Layers    []ocispecs.Descriptor `json:"layers"`
	}
	if err := json.Unmarshal(data, &doc); err != nil {
		return nil, fmt.Errorf("%s: %w", d.Digest, err)
	}
	var all []ocispecs.Descriptor
	if isIndex(d.MediaType) {
		all = doc.Manifests
	} else {
		if doc.Config != nil {
			all = append(all, *doc.Config)
		}
		all = append(all, doc.Layers...)
	}
	for _, c := range all {
		if err := c.Digest.Validate(); err != nil {
			return nil, fmt.Errorf("%s: %q: %w", d.Digest, c.Digest, err)
		}
	}
	return all, nil
}

// document reads a small blob and checks its digest.
func (s *Store) document(d ocispecs.Descriptor) ([]byte, error) {
	if err := d.Digest.Validate(); err != nil {
		return nil, fmt.Errorf("%q: %w", d.Digest, err)
	}
	if d.Size > maxDocument {
		return nil, fmt.Errorf("%s has %d bytes; at most %d are accepted", d.Digest, d.Size, maxDocument)
	}
	info, err := os.Lstat(s.blob(d.Digest))
	if err != nil {
		return nil, err
	}
	if info.Size() != d.Size {
		return nil, s.damaged(d, fmt.Sprintf("has %d bytes, not %d", info.Size(), d.Size))
	}
	h, err := v1.NewHash(d.Digest.String())
	if err != nil {
		return nil, err
	}
	data, err := s.layout().Bytes(h)
	if err != nil {
		return nil, err
	}
	if got := d.Digest.Algorithm().FromBytes(data); got != d.Digest {
		return nil, s.damaged(d, fmt.Sprintf("has the content of %s", got))
	}
	return data, nil
}

func (s *Store) blob(d digest.Digest) string {
	return filepath.Join(s.dir, ocispecs.ImageBlobsDir, d.Algorithm().String(), d.Encoded())
}

func (s *Store) damaged(d ocispecs.Descriptor, how string) error {
	return fmt.Errorf("the image store is damaged: %s %s; remove it, and build or pull the image again", s.blob(d.Digest), how)
}

// complete says whether all that d refers to is there.
func (s *Store) complete(d ocispecs.Descriptor, depth int) error {
	if depth > maxDepth {
		return fmt.Errorf("%s: indexes are nested too deep", d.Digest)
	}
	if err := d.Digest.Validate(); err != nil {
		return fmt.Errorf("%q: %w", d.Digest, err)
	}
	info, err := os.Lstat(s.blob(d.Digest))
	if err != nil {
		return fmt.Errorf("%s %s is missing", d.MediaType, d.Digest)
	}
	if info.Size() != d.Size {
		return s.damaged(d, fmt.Sprintf("has %d bytes, not %d", info.Size(), d.Size))
	}
	children, err := s.children(d)
	if err != nil {
		return err
	}
	for _, c := range children {
		if err := s.complete(c, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// manifests returns the image manifests of d, each with its platform.
func (s *Store) manifests(d ocispecs.Descriptor, depth int) ([]ocispecs.Descriptor, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("%s: indexes are nested too deep", d.Digest)
	}
	if isManifest(d.MediaType) {
		if d.Platform == nil {
			p, err := s.platform(d)
			if err != nil {
				return nil, err
			}
			d.Platform = p
		}
		return []ocispecs.Descriptor{d}, nil
	}
	if !isIndex(d.MediaType) {
		return nil, fmt.Errorf("%s is a %s, not an image", d.Digest, d.MediaType)
	}
	children, err := s.children(d)
	if err != nil {
		return nil, err
	}
	var all []ocispecs.Descriptor
	for _, c := range children {
		if !isImage(c) {
			continue
		}
		ms, err := s.manifests(c, depth+1)
		if err != nil {
			return nil, err
		}
		all = append(all, ms...)
	}
	return all, nil
}

// platform reads the platform of a manifest from its configuration.
func (s *Store) platform(d ocispecs.Descriptor) (*ocispecs.Platform, error) {
	children, err := s.children(d)
	if err != nil {
		return nil, err
	}
	if len(children) == 0 {
		return nil, fmt.Errorf("%s has no configuration", d.Digest)
	}
	data, err := s.document(children[0])
	if err != nil {
		return nil, err
	}
	var p ocispecs.Platform
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("%s: %w", children[0].Digest, err)
	}
	return &p, nil
}

func (s *Store) choose(ref string, d ocispecs.Descriptor, p *ocispecs.Platform) (ocispecs.Descriptor, error) {
	manifests, err := s.manifests(d, 0)
	if err != nil {
		return d, fmt.Errorf("reading image %s: %w", ref, err)
	}
	if len(manifests) == 0 {
		return d, fmt.Errorf("%s is an index without images", ref)
	}
	if m, ok := best(manifests, p); ok {
		return m, nil
	}
	if p == nil {
		return manifests[0], nil
	}
	return d, wrongPlatform(ref, *p, manifests)
}

// best chooses the manifest that suits p best; nil is this machine.
func best(manifests []ocispecs.Descriptor, p *ocispecs.Platform) (ocispecs.Descriptor, bool) {
	want := platforms.DefaultSpec()
	if p != nil {
		want = platforms.Normalize(*p)
	}
	m := platforms.Only(want)
	found := -1
	for i, d := range manifests {
		if d.Platform == nil || !m.Match(*d.Platform) {
			continue
		}
		if found < 0 || m.Less(*d.Platform, *manifests[found].Platform) {
			found = i
		}
	}
	if found < 0 {
		return ocispecs.Descriptor{}, false
	}
	return manifests[found], true
}

func wrongPlatform(ref string, want ocispecs.Platform, have []ocispecs.Descriptor) error {
	var names []string
	for _, d := range have {
		if d.Platform != nil {
			names = append(names, platforms.Format(*d.Platform))
		}
	}
	return fmt.Errorf("image %s is not there for %s, only for %s", ref, platforms.Format(want), strings.Join(names, ", "))
}

func isIndex(mediaType string) bool {
	return mediaType == ocispecs.MediaTypeImageIndex || mediaType == "application/vnd.docker.distribution.manifest.list.v2+json"
}

func isManifest(mediaType string) bool {
	return mediaType == ocispecs.MediaTypeImageManifest || mediaType == "application/vnd.docker.distribution.manifest.v2+json"
}

// isImage leaves out what an index holds beside images, such as attestations.
func isImage(d ocispecs.Descriptor) bool {
	if d.Annotations[annotationReference] != "" || d.Platform != nil && d.Platform.OS == "unknown" {
		return false
	}
	return isIndex(d.MediaType) || isManifest(d.MediaType)
}

// parseRef returns the full name of ref or, when it has one, its digest.
func parseRef(ref string) (name string, d digest.Digest, err error) {
	if strings.HasPrefix(ref, "sha256:") && isHex(strings.TrimPrefix(ref, "sha256:")) {
		d, err := digest.Parse(ref)
		if err != nil {
			return "", "", fmt.Errorf("%q is not a digest: %w", ref, err)
		}
		return "", d, nil
	}
	if len(ref) == 64 && isHex(ref) {
		return "", digest.NewDigestFromEncoded(digest.SHA256, ref), nil
	}
	named, err := reference.ParseNormalizedNamed(ref)
	if err != nil {
		return "", "", fmt.Errorf("%q is not an image name: %w", ref, err)
	}
	if d, ok := named.(reference.Digested); ok {
		return named.Name(), d.Digest(), nil
	}
	return reference.TagNameOnly(named).String(), "", nil
}

// tagName returns the full form of a name that an image can be given.
func tagName(ref string) (string, error) {
	name, d, err := parseRef(ref)
	if err != nil {
		return "", err
	}
	if d != "" {
		return "", fmt.Errorf("%q cannot name an image: it has a digest; write a name and a tag", ref)
	}
	return name, nil
}

func familiar(name string) string {
	named, err := reference.ParseNormalizedNamed(name)
	if err != nil {
		return name
	}
	return reference.FamiliarString(named)
}

func isHex(s string) bool {
	for _, c := range s {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return s != ""
}
