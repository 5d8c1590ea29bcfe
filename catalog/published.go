package catalog

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"go/version"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// Published says where the images of a lock can be had, made. Builds take these
// instead of making them.
type Published struct {
	// Prefix is what comes before "/python:3.13" in the name of an image:
	// "registry.example.com/bases".
	Prefix string `json:"prefix"`
	// Images are the digests, "sha256:…", of the images' indexes by reference:
	// "python:3.13-build".
	Images map[string]string `json:"images"`
	// Only are the architectures of those that are not there for all, sorted.
	Only map[string][]string `json:"only,omitempty"`
}

// Add adds an image that is there for some architectures of those that the catalog
// has, which are sorted.
func (p *Published) Add(ref, digest string, architectures, all []string) {
	p.Images[ref] = digest
	there := slices.DeleteFunc(slices.Clone(all), func(arch string) bool { return !slices.Contains(architectures, arch) })
	if len(there) == len(all) {
		delete(p.Only, ref)
		return
	}
	if p.Only == nil {
		p.Only = map[string][]string{}
	}
	p.Only[ref] = there
}

var (
	indexDigest = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	imageRef    = regexp.MustCompile(`^[a-z0-9]+(?:[._-][a-z0-9]+)*:[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
	// prefixForm is a registry and a path, as
	// https://github.com/distribution/reference has them; a port, but no tag.
	prefixForm = regexp.MustCompile(`^[a-zA-Z0-9.-]+(?::[0-9]{1,5})?(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$|^\[[0-9a-f:.]+\](?::[0-9]{1,5})?(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
)

// CheckPrefix returns an error for what cannot be a Published.Prefix.
func CheckPrefix(prefix string) error {
	if !prefixForm.MatchString(prefix) {
		return fmt.Errorf("%.200q is not REGISTRY/PREFIX, such as registry.example.com/bases: a registry and a path in lower case, with no tag", prefix)
	}
	return nil
}

func (p *Published) check() error {
	if p == nil {
		return nil
	}
	if err := CheckPrefix(p.Prefix); err != nil {
		return fmt.Errorf("published: %w", err)
	}
	if len(p.Images) == 0 {
		return errors.New("published: it names no images")
	}
	for _, ref := range slices.Sorted(maps.Keys(p.Images)) {
		if !imageRef.MatchString(ref) {
			return fmt.Errorf("published: %.200q is not the name of an image with its tag", ref)
		}
		if !indexDigest.MatchString(p.Images[ref]) {
			return fmt.Errorf("published: %s: %.100q is not a digest, sha256:…", ref, p.Images[ref])
		}
	}
	for _, ref := range slices.Sorted(maps.Keys(p.Only)) {
		if p.Images[ref] == "" {
			return fmt.Errorf("published: only: %.200q is no image that is published", ref)
		}
		for _, arch := range p.Only[ref] {
			if !wordForm.MatchString(arch) {
				return fmt.Errorf("published: only: %s: %.40q is no architecture", ref, arch)
			}
		}
	}
	return nil
}

// Published returns the reference, "registry.example.com/bases/python:3.13@sha256:…",
// under which the image, without sets and packages of b, is published for an
// architecture; false when it is not.
func (c *Catalog) Published(b plan.Base, arch string) (string, bool) {
	if c.lock.Published == nil {
		return "", false
	}
	digest, ok := c.lock.Published.Images[b.String()]
	if only, some := c.lock.Published.Only[b.String()]; !ok || some && !slices.Contains(only, arch) {
		return "", false
	}
	return c.lock.Published.Prefix + "/" + b.String() + "@" + digest, true
}

// WithPublished returns the lock with another Published; nil for none.
func (l *Lock) WithPublished(p *Published) *Lock {
	out := *l
	out.Published = p
	return &out
}

// Same says whether two locks pin the same, wherever it is published.
func (l *Lock) Same(other *Lock) bool {
	a, err := l.WithPublished(nil).Bytes()
	if err != nil {
		return false
	}
	b, err := other.WithPublished(nil).Bytes()
	return err == nil && bytes.Equal(a, b)
}

// Tags are the tags of a published image, without its repository.
type Tags struct {
	// Moving lead to the newest image: first the one that builds ask for,
	// "3.13-build", then "3.13.5-build".
	Moving []string
	// Dated leads to one image for ever: "3.13.5-20261122-build"; "" for none.
	Dated string
}

// All are all of them, the dated one first where there is one.
func (t Tags) All() []string {
	if t.Dated == "" {
		return slices.Clone(t.Moving)
	}
	return append([]string{t.Dated}, t.Moving...)
}

// Tags returns the tags of an image. A language's have its full version, too. The
// date is the lock's; revision, "" or "2", tells images apart that have the same.
func (c *Catalog) Tags(b plan.Base, revision string) (Tags, error) {
	full, err := c.Release(b)
	if err != nil {
		return Tags{}, err
	}
	// A tag has no "+": Java's 21.0.9+10 is 21.0.9_10, as others write it.
	full = strings.ReplaceAll(full, "+", "_")
	suffix := ""
	if b.Variant != "" {
		suffix = "-" + b.Variant
	}
	t := Tags{Moving: []string{b.Version + suffix}}
	if full != b.Version {
		t.Moving = append(t.Moving, full+suffix)
	}
	// Go's versions are full ones in the catalog; people ask for 1.26, too.
	if short := c.short(b); short != "" {
		t.Moving = append(t.Moving, short+suffix)
	}
	t.Dated = full + "-" + c.Locked().UTC().Format("20060102")
	if revision != "" {
		t.Dated += "." + revision
	}
	t.Dated += suffix
	return t, nil
}

// Release returns the full version of what an image is for: "3.13.5" for
// python:3.13; its own version where there is no other.
func (c *Catalog) Release(b plan.Base) (string, error) {
	b.With = nil
	arch := c.Architectures()[0]
	img, err := c.Image(b, arch, arch)
	if err != nil {
		return "", err
	}
	return cmp.Or(img.FullVersion, b.Version), nil
}

// short is 1.26 for the newest go:1.26.N in the catalog, else "".
func (c *Catalog) short(b plan.Base) string {
	if c.defs.Images[b.Image].Go == nil {
		return ""
	}
	lang := version.Lang("go" + b.Version)
	for _, v := range c.Versions(b.Image) {
		if version.Lang("go"+v) == lang && version.Compare("go"+v, "go"+b.Version) > 0 {
			return ""
		}
	}
	return strings.TrimPrefix(lang, "go")
}

// Below returns the image of the catalog that another one lies on: the one whose
// layers are most of its lowest. ok is false for an image that lies on none.
func (c *Catalog) Below(b plan.Base, arch string) (below plan.Base, ok bool, err error) {
	img, err := c.Image(b, arch, arch)
	if err != nil {
		return plan.Base{}, false, err
	}
	most := 0
	for _, other := range c.Bases() {
		o, err := c.Image(other, arch, arch)
		if err != nil {
			return plan.Base{}, false, err
		}
		n := len(o.Layers)
		if n > most && n < len(img.Layers) && reflect.DeepEqual(o.Layers, img.Layers[:n]) {
			below, ok, most = other, true, n
		}
	}
	return below, ok, nil
}
