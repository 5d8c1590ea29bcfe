// Package catalog is the catalog of base images: its definitions, the lock that
// pins their packages, and the mirrors that have these packages. It holds data
// alone; package llb turns it into a build graph, package update makes a lock.
package catalog

import (
	_ "embed"
	"fmt"
	"go/version"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/birdhouse-build/birdhouse/catalog/define"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/layer"
)

// Image is a base image for one architecture, ready to be built.
type Image struct {
	// Ref is its name: "static:13", "go:1.26.8-build".
	Ref string
	// Layers are its layers, lowest first. Equal layers of several images are
	// equal values.
	Layers []Layer
	// Config is what the image's configuration says.
	Config Config
}

// Layer is one layer of a base image. It has either packages or a toolchain.
type Layer struct {
	// Name is "static", "libc", "cc", "git", "toolchain".
	Name string
	// What is a line for people: "CA 20250419, time zones 2026b".
	What string
	// Packages are the Debian packages to fetch, in the order of Spec.Packages.
	Packages []Package
	// Spec is what the step does with them; the Path of its packages is empty,
	// since the graph decides where they are mounted. Of a toolchain it only has
	// Exclude, patterns of paths in /usr/local/go.
	Spec layer.Spec
	// GoToolchain is the Go release to install in /usr/local/go through Go's own
	// toolchain mechanism, run by the bootstrap go that Bootstrap unpacks; ""
	// for a layer of packages.
	GoToolchain string
	// Bootstrap are the layers, lowest first, of the root file system in which
	// the bootstrap go runs to install GoToolchain, as `go` in /usr/bin; they
	// have the build machine's architecture and are no part of the image.
	Bootstrap []Layer
}

// Package is a locked Debian package.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	// Archive is "debian" or "debian-security".
	Archive string `json:"archive"`
	// Path is the path in that archive: "pool/main/t/tzdata/tzdata_2026b-0+deb13u1_all.deb".
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Config is the part of an image's configuration that a base sets.
type Config struct {
	// Env are NAME=VALUE, in order.
	Env        []string
	User       string
	WorkingDir string
}

//go:embed catalog.yaml
var definitionsFile []byte

//go:embed catalog.lock
var lockFile []byte

// Catalog has the definitions of the base images and a lock for them.
type Catalog struct {
	defs *define.Definitions
	lock *Lock
}

// Default returns the catalog that is built in.
func Default() (*Catalog, error) {
	lock, err := ParseLock("catalog.lock", lockFile)
	if err != nil {
		return nil, err
	}
	return fromLock(lock)
}

// Open returns the built-in definitions with the lock in a file.
func Open(lockPath string) (*Catalog, error) {
	lock, err := ReadLock(lockPath)
	if err != nil {
		return nil, err
	}
	return fromLock(lock)
}

func fromLock(lock *Lock) (*Catalog, error) {
	defs, err := Definitions()
	if err != nil {
		return nil, err
	}
	return New(defs, lock)
}

// Definitions returns the built-in definitions.
func Definitions() (*define.Definitions, error) { return define.Read(definitionsFile) }

// New returns a catalog. A lock that does not have exactly the packages that
// the definitions list is an error.
func New(defs *define.Definitions, lock *Lock) (*Catalog, error) {
	c := &Catalog{defs: defs, lock: lock}
	for _, suite := range defs.SuiteNames() {
		for _, arch := range defs.ArchitectureNames() {
			for _, l := range defs.Layers {
				if !l.For(arch) {
					continue
				}
				if _, err := c.layer(suite, arch, l); err != nil {
					return nil, fmt.Errorf("the lock does not fit the catalog's definitions: %w; `birdhouse catalog update FILE` writes one that does", err)
				}
			}
		}
	}
	return c, nil
}

// Lock returns the catalog's lock, which must not be changed.
func (c *Catalog) Lock() *Lock { return c.lock }

// Locked returns the time to which the archive's suites were followed: the
// newest date of those that the lock was made from.
func (c *Catalog) Locked() time.Time { return c.lock.Time }

// Architectures returns the names of the architectures that there are images
// for, sorted.
func (c *Catalog) Architectures() []string { return c.defs.ArchitectureNames() }

// Versions returns the versions of a language's images, oldest first; nil for
// a language of which the catalog has none.
func (c *Catalog) Versions(language string) []string {
	return slices.Clone(c.defs.Images[language].Versions)
}

// Bases returns all images by name, version and variant, those with no language
// first, then by name, oldest version first.
func (c *Catalog) Bases() []plan.Base {
	var out []plan.Base
	for _, ofLanguage := range []bool{false, true} {
		for _, name := range slices.Sorted(maps.Keys(c.defs.Images)) {
			im := c.defs.Images[name]
			if (im.Suite != "") != ofLanguage {
				continue
			}
			for _, v := range c.versions(im) {
				for _, variant := range variants(im) {
					out = append(out, plan.Base{Image: name, Version: v, Variant: variant})
				}
			}
		}
	}
	return out
}

// Refs returns the references of all images, "static:13", in the order of Bases.
func (c *Catalog) Refs() []string {
	var out []string
	for _, b := range c.Bases() {
		out = append(out, b.String())
	}
	return out
}

// Sets returns the names of the layers that a base's With may add, sorted.
func (c *Catalog) Sets() []string {
	var out []string
	for _, l := range c.defs.Layers {
		if l.With {
			out = append(out, l.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Image returns a base image for an architecture ("amd64", "arm64"). A set in
// With brings the layers that it lies on; one that the architecture does not
// need adds nothing. Errors name what there is.
func (c *Catalog) Image(b plan.Base, arch string) (*Image, error) {
	img, err := c.image(b, arch)
	if err != nil {
		return nil, fmt.Errorf("base image %s: %w", b, err)
	}
	return img, nil
}

func (c *Catalog) image(b plan.Base, arch string) (*Image, error) {
	if c.defs.Architectures[arch] == nil {
		return nil, fmt.Errorf("no images for the architecture %q; there are %s", arch, list(c.Architectures()))
	}
	def, ok := c.defs.Images[b.Image]
	if !ok {
		return nil, fmt.Errorf("the catalog has no image %q; there are %s", b.Image, list(slices.Sorted(maps.Keys(c.defs.Images))))
	}
	suite, err := c.suite(b, def)
	if err != nil {
		return nil, err
	}
	names, config := def.Layers, def.Config
	if b.Variant != "" || len(names) == 0 {
		v, ok := def.Variants[b.Variant]
		if !ok {
			var there []string
			for _, variant := range variants(def) {
				there = append(there, plan.Base{Image: b.Image, Version: b.Version, Variant: variant}.String())
			}
			return nil, fmt.Errorf("the catalog has no such variant; there are %s", list(there))
		}
		names, config = v.Layers, v.Config
	}
	names = slices.Clone(names)
	for _, set := range b.With {
		if l, ok := c.defs.Layer(set); !ok || !l.With {
			return nil, fmt.Errorf("the catalog has no package set %q; there are %s", set, list(c.Sets()))
		}
		names = append(names, set)
	}
	img := &Image{Ref: b.String(), Config: Config{Env: slices.Clone(config.Env), User: config.User, WorkingDir: config.Workdir}}
	if img.Layers, err = c.stack(suite, arch, names); err != nil {
		return nil, err
	}
	if def.Go != nil {
		boot, err := c.stack(suite, arch, def.Go.Bootstrap)
		if err != nil {
			return nil, err
		}
		img.Layers = append(img.Layers, Layer{
			Name:        "toolchain",
			What:        "go" + b.Version,
			Spec:        layer.Spec{Exclude: slices.Clone(def.Go.Exclude)},
			GoToolchain: b.Version,
			Bootstrap:   boot,
		})
	}
	return img, nil
}

// goRelease is the form of a full Go version, https://go.dev/doc/toolchain#version.
var goRelease = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,4}(\.[0-9]{1,4}|(rc|beta)[0-9]{1,3})$`)

// suite returns the release of Debian that an image is made of.
func (c *Catalog) suite(b plan.Base, def define.Image) (string, error) {
	switch {
	case def.Go != nil:
		oldest := def.Versions[0]
		newest := def.Versions[len(def.Versions)-1]
		if !goRelease.MatchString(b.Version) || !version.IsValid("go"+b.Version) {
			return "", fmt.Errorf("%q is not a full Go version such as %s", b.Version, newest)
		}
		if version.Compare("go"+b.Version, version.Lang("go"+oldest)) < 0 {
			return "", fmt.Errorf("version %s is too old: %s.0 is the oldest that can be had", b.Version, strings.TrimPrefix(version.Lang("go"+oldest), "go"))
		}
		return def.Suite, nil
	case def.Suite != "":
		if !slices.Contains(def.Versions, b.Version) {
			return "", fmt.Errorf("the catalog has no version %q of it; there are %s", b.Version, list(def.Versions))
		}
		return def.Suite, nil
	default:
		if _, ok := c.defs.Suites[b.Version]; !ok {
			return "", fmt.Errorf("the catalog has no version %q of it; there are %s", b.Version, list(c.defs.SuiteNames()))
		}
		return b.Version, nil
	}
}

func (c *Catalog) stack(suite, arch string, names []string) ([]Layer, error) {
	var out []Layer
	for _, def := range c.defs.Stack(arch, names...) {
		l, err := c.layer(suite, arch, def)
		if err != nil {
			return nil, err
		}
		out = append(out, l)
	}
	return out, nil
}

func (c *Catalog) layer(suite, arch string, def define.Layer) (Layer, error) {
	pkgs, err := c.packages(suite, arch, def)
	if err != nil {
		return Layer{}, err
	}
	l := Layer{
		Name:     def.Name,
		What:     c.defs.Expand(arch, []string{def.What})[0],
		Packages: pkgs,
		Spec: layer.Spec{
			Exclude:  c.defs.Expand(arch, slices.Concat(c.defs.Trim.Exclude, def.Exclude)),
			Keep:     c.defs.Expand(arch, slices.Concat(c.defs.Trim.Keep, def.Keep)),
			CABundle: def.CABundle,
			Lower:    len(def.On) > 0,
		},
	}
	for _, p := range pkgs {
		l.What = strings.ReplaceAll(l.What, "{"+p.Name+"}", upstream(p.Version))
		l.Spec.Packages = append(l.Spec.Packages, layer.Package{SHA256: p.SHA256})
	}
	if strings.ContainsAny(l.What, "{}") {
		return Layer{}, fmt.Errorf("it has no version for %q of the layer %s", l.What, def.Name)
	}
	for _, f := range def.Files {
		l.Spec.Files = append(l.Spec.Files, layer.File{Path: f.Path, Mode: f.Mode, Content: f.Content, Link: f.Link, Dir: f.Dir, Owner: f.Owner})
	}
	for _, links := range def.Links {
		for _, name := range links.Names {
			l.Spec.Files = append(l.Spec.Files, layer.File{Path: links.Dir + "/" + name, Link: links.To})
		}
	}
	return l, nil
}

// packages returns the locked packages of a layer in the order in which the
// definitions list them.
func (c *Catalog) packages(suite, arch string, def define.Layer) ([]Package, error) {
	locked := c.lock.Suites[suite].Layers[def.Name][arch]
	names := c.defs.Expand(arch, def.Packages)
	var out []Package
	for _, name := range names {
		i := slices.IndexFunc(locked, func(p LockedPackage) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("it has no package %s in the layer %s of %s for %s", name, def.Name, suite, arch)
		}
		out = append(out, locked[i].Package)
	}
	for _, p := range locked {
		if !slices.Contains(names, p.Name) {
			return nil, fmt.Errorf("it has the package %s in the layer %s of %s for %s", p.Name, def.Name, suite, arch)
		}
	}
	return out, nil
}

func (c *Catalog) versions(im define.Image) []string {
	if im.Suite == "" {
		return c.defs.SuiteNames()
	}
	return im.Versions
}

// variants returns the suffixes of an image, "" first where there is an image
// with none.
func variants(im define.Image) []string {
	var out []string
	if len(im.Layers) > 0 {
		out = append(out, "")
	}
	return append(out, slices.Sorted(maps.Keys(im.Variants))...)
}

// upstream is a version without epoch and Debian's own part, as people know it:
// "2026f" of "2026f-0+deb13u1", "20250419" of "20250419+deb13u1".
func upstream(v string) string {
	if _, rest, ok := strings.Cut(v, ":"); ok {
		v = rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		v = v[:i]
	}
	if _, rest, ok := strings.Cut(v, "+really"); ok {
		v = rest
	}
	for _, mark := range []string{"+deb", "~deb", "+dfsg", ".dfsg"} {
		v, _, _ = strings.Cut(v, mark)
	}
	return v
}

func list(names []string) string { return strings.Join(names, ", ") }
