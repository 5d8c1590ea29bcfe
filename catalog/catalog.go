// Package catalog is the catalog of base images: its definitions, the lock that
// pins their packages, and the mirrors that have these packages. It holds data
// alone; package llb turns it into a build graph, package update makes a lock.
package catalog

import (
	"cmp"
	_ "embed"
	"fmt"
	"go/version"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/birdhouse-build/birdhouse/catalog/define"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/layer/layerspec"
)

// Image is a base image for one architecture, ready to be built.
type Image struct {
	// Ref is its name: "static:13", "go:1.26.8-build".
	Ref string
	// Suite is the release of Debian that it is made of: "13".
	Suite string
	// FullVersion is the version of what the image is for, "3.13.5" of
	// python:3.13; "" for an image of no language.
	FullVersion string
	// Layers are its layers, lowest first. Equal layers of several images are
	// equal values.
	Layers []Layer
	// Config is what the image's configuration says.
	Config Config
}

// Layer is one layer of a base image. It has packages, an archive and files, or
// a toolchain, or it is made by a command.
type Layer struct {
	// Name is "static", "libc", "cc", "git", "toolchain", "python-3.13".
	Name string
	// What is a line for people: "CA 20250419, time zones 2026b".
	What string
	// Packages are the Debian packages to fetch, in the order of Spec.Packages.
	Packages []Package
	// Locked is the date of the release of Debian that they are of, as it was locked:
	// the newest date of its suites. Snapshot has them as of then.
	Locked time.Time
	// Archive is what the layer has that is no Debian package; may be nil.
	Archive *Archive
	// Spec is what the step does with them; the Path of its packages and archives,
	// and the Digest of the latter, are empty, since the graph decides where they
	// come from and are mounted. Of a toolchain it only has
	// Exclude, patterns of paths in /usr/local/go, and of a layer that is made
	// Exclude, patterns of paths in it.
	Spec layerspec.Spec
	// Make is the command that makes the layer; nil for all others.
	Make *Make
	// GoToolchain is the Go release to install in /usr/local/go through Go's own
	// toolchain mechanism, run by the bootstrap go that Bootstrap unpacks; ""
	// for a layer of packages. GoArchitecture is the toolchain's.
	GoToolchain    string
	GoArchitecture string
	// Bootstrap are the layers, lowest first, of the root file system in which
	// the bootstrap go runs to install GoToolchain, as `go` in /usr/bin; they
	// have the build machine's architecture and are no part of the image.
	Bootstrap []Layer
}

// Make is a command that writes a layer to the folder /out. Its output has the
// same bytes whichever machine runs it.
type Make struct {
	// Root are the layers, lowest first, of the command's root file system; they
	// have the build machine's architecture.
	Root []Layer
	// Target are layers of the image's architecture, lowest first, that the
	// command sees at /target.
	Target []Layer
	// Args is the command, Env its environment as NAME=VALUE, in order.
	Args, Env []string
	// Network says that the command needs the network.
	Network bool
}

// Archive is a locked release of something that is no Debian package.
type Archive struct {
	// Name is what the definitions call it, "node", and Version its full
	// version, "24.21.0".
	Name, Version string
	// PURL is its package URL, CPE its name in databases of vulnerabilities, ""
	// for none.
	PURL, CPE string
	// Files are where it can be had, in the order in which the locations are
	// tried.
	Files []ArchiveFile
}

// ArchiveFile is an archive at one kind of location.
type ArchiveFile struct {
	// Location is the kind: "nodejs", "npm".
	Location string `json:"location"`
	// Path is the path below the location's URL.
	Path string `json:"path"`
	// Digest is the SHA-256 checksum, by which builds know the file: "sha256:…".
	Digest string `json:"digest"`
	// Integrity is the checksum that the location itself has for it, when that
	// is another one, in the form of https://www.w3.org/TR/SRI/: "sha512-…".
	Integrity string `json:"integrity,omitempty"`
	Size      int64  `json:"size"`
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
	// Cmd is the command of a container that names none; may be nil.
	Cmd []string
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
	return open(BuiltInLock)
}

// BuiltInLock returns the lock that is built in, whether or not it fits the
// definitions.
func BuiltInLock() (*Lock, error) { return ParseLock("catalog.lock", lockFile) }

// Open returns the built-in definitions with the lock in a file.
func Open(lockPath string) (*Catalog, error) {
	return open(func() (*Lock, error) { return ReadLock(lockPath) })
}

// open reads the lock and the definitions at the same time: a build waits for both.
func open(read func() (*Lock, error)) (*Catalog, error) {
	var defs *define.Definitions
	var failed error
	var defined sync.WaitGroup
	defined.Go(func() { defs, failed = Definitions() })
	lock, err := read()
	defined.Wait()
	if err = cmp.Or(err, failed); err != nil {
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
			for _, used := range defs.Used(suite, arch) {
				if _, err := c.layer(used.Place, used.Layer); err != nil {
					return nil, fmt.Errorf("the lock does not fit the catalog's definitions: %w; `birdhouse catalog update FILE` writes one that does", err)
				}
			}
		}
	}
	return c, nil
}

// Opened returns the catalog as those who wait for one ask for it.
func (c *Catalog) Opened() (*Catalog, error) { return c, nil }

// Opening opens a catalog beside what else there is to do, and returns what waits for it.
func Opening(open func() (*Catalog, error)) func() (*Catalog, error) {
	opened := sync.OnceValues(open)
	go opened()
	return opened
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

// EndOfLife returns the day from which on a version of a language gets no more
// fixes, "2026-04-30", where the catalog knows of one.
func (c *Catalog) EndOfLife(language, version string) (date string, ok bool) {
	date, ok = c.defs.Images[language].EndOfLife[version]
	return date, ok
}

// Prefer says which real package stands for a virtual one that several provide.
func (c *Catalog) Prefer() map[string]string { return maps.Clone(c.defs.Prefer) }

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
				for _, variant := range c.defs.Variants(im) {
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

// Sets returns the names of the layers that a base's With may add, sorted. Some
// are for some releases of Debian only.
func (c *Catalog) Sets() []string {
	sets := []string{}
	for _, suite := range c.defs.SuiteNames() {
		sets = append(sets, c.sets(suite)...)
	}
	slices.Sort(sets)
	return slices.Compact(sets)
}

func (c *Catalog) sets(suite string) []string {
	var out []string
	for _, l := range c.defs.Layers {
		if l.With && (len(l.Suites) == 0 || slices.Contains(l.Suites, suite)) {
			out = append(out, l.Name)
		}
	}
	slices.Sort(out)
	return out
}

// Image returns a base image for an architecture ("amd64", "arm64"), made on a
// machine of the architecture build. A set in With brings the layers that it
// lies on; one that the architecture does not need adds nothing. Errors name
// what there is.
func (c *Catalog) Image(b plan.Base, arch, build string) (*Image, error) {
	img, err := c.image(b, arch, build)
	if err != nil {
		return nil, fmt.Errorf("base image %s: %w", b, err)
	}
	return img, nil
}

func (c *Catalog) image(b plan.Base, arch, build string) (*Image, error) {
	if c.defs.Architectures[arch] == nil {
		return nil, fmt.Errorf("no images for the architecture %q; there are %s", arch, list(c.Architectures()))
	}
	if c.defs.Architectures[build] == nil {
		return nil, fmt.Errorf("no images can be made on the architecture %q; they can on %s", build, list(c.Architectures()))
	}
	def, ok := c.defs.Images[b.Image]
	if !ok {
		return nil, fmt.Errorf("the catalog has no image %q; there are %s", b.Image, list(slices.Sorted(maps.Keys(c.defs.Images))))
	}
	at := define.Place{Arch: arch}
	var err error
	if at.Suite, at.Version, err = c.suite(b, def); err != nil {
		return nil, err
	}
	names, top, config, ok := c.defs.Variant(def, b.Variant)
	if !ok {
		var there []string
		for _, variant := range c.defs.Variants(def) {
			there = append(there, plan.Base{Image: b.Image, Version: b.Version, Variant: variant}.String())
		}
		return nil, fmt.Errorf("the catalog has no such variant; there are %s", list(there))
	}
	names = slices.Clone(names)
	var foreign []Layer
	for _, set := range b.With {
		if layers, of, ok := c.foreign(def, set); ok {
			if of == arch {
				continue
			}
			there, err := c.stack(define.Place{Suite: at.Suite, Arch: of, Version: at.Version}, build, layers, nil)
			if err != nil {
				return nil, err
			}
			for _, l := range there {
				l.Name += "-" + of
				l.What += ", for " + of
				foreign = append(foreign, l)
			}
			continue
		}
		if l, ok := c.defs.Layer(set); !ok || !l.With || len(l.Suites) > 0 && !slices.Contains(l.Suites, at.Suite) {
			return nil, fmt.Errorf("the catalog has no package set %q; there are %s", set, list(append(c.sets(at.Suite), c.foreignSets(def)...)))
		}
		names = append(names, set)
	}
	img := &Image{Ref: b.String(), Suite: at.Suite, Config: Config{
		Env: c.defs.Expand(at, config.Env), User: config.User, WorkingDir: config.Workdir,
	}}
	if config.Cmd != nil {
		img.Config.Cmd = c.defs.Expand(at, config.Cmd)
	}
	if img.Layers, err = c.stack(at, build, names, top); err != nil {
		return nil, err
	}
	img.Layers = append(img.Layers, foreign...)
	if def.Go != nil {
		boot, err := c.stack(define.Place{Suite: at.Suite, Arch: build}, build, def.Go.Bootstrap, nil)
		if err != nil {
			return nil, err
		}
		img.Layers = append(img.Layers, Layer{
			Name:           "toolchain",
			What:           "go" + b.Version,
			Spec:           layerspec.Spec{Exclude: slices.Clone(def.Go.Exclude)},
			GoToolchain:    b.Version,
			GoArchitecture: arch,
			Bootstrap:      boot,
		})
	}
	img.FullVersion = c.fullVersion(at, def, img.Layers)
	return img, nil
}

// foreign are the layers of a set, "jmods-arm64", and the architecture that it is for;
// false for one that is none of the image's.
func (c *Catalog) foreign(def define.Image, set string) (layers []string, arch string, ok bool) {
	for _, arch := range c.Architectures() {
		if name, ok := strings.CutSuffix(set, "-"+arch); ok && def.Foreign[name] != nil {
			return def.Foreign[name], arch, true
		}
	}
	return nil, "", false
}

// foreignSets are the names of an image's foreign sets, sorted.
func (c *Catalog) foreignSets(def define.Image) []string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(def.Foreign)) {
		for _, arch := range c.Architectures() {
			out = append(out, name+"-"+arch)
		}
	}
	return out
}

// fullVersion finds the version of what an image is for.
func (c *Catalog) fullVersion(at define.Place, def define.Image, layers []Layer) string {
	release := c.defs.Expand(at, []string{def.Release})[0]
	for _, l := range layers {
		if l.GoToolchain != "" {
			return l.GoToolchain
		}
		if l.Archive != nil && l.Archive.Name == release {
			return l.Archive.Version
		}
		pkgs := l.Packages
		if l.Make != nil {
			// What is made is of the version of what it is made of.
			for _, from := range l.Make.Target {
				pkgs = append(pkgs, from.Packages...)
			}
		}
		for _, p := range pkgs {
			if p.Name == release {
				return upstream(p.Version)
			}
		}
	}
	return ""
}

// goRelease is the form of a full Go version, https://go.dev/doc/toolchain#version.
var goRelease = regexp.MustCompile(`^[0-9]{1,3}\.[0-9]{1,4}(\.[0-9]{1,4}|(rc|beta)[0-9]{1,3})$`)

// suite returns the release of Debian that an image is made of, and the
// language's version.
func (c *Catalog) suite(b plan.Base, def define.Image) (suite, ofLanguage string, err error) {
	switch {
	case def.Go != nil:
		oldest := def.Versions[0]
		newest := def.Versions[len(def.Versions)-1]
		if !goRelease.MatchString(b.Version) || !version.IsValid("go"+b.Version) {
			return "", "", fmt.Errorf("%q is not a full Go version such as %s", b.Version, newest)
		}
		if version.Compare("go"+b.Version, version.Lang("go"+oldest)) < 0 {
			return "", "", fmt.Errorf("version %s is too old: %s.0 is the oldest that can be had", b.Version, strings.TrimPrefix(version.Lang("go"+oldest), "go"))
		}
		return def.Suite, b.Version, nil
	case def.Suite != "":
		if !slices.Contains(def.Versions, b.Version) {
			return "", "", fmt.Errorf("the catalog has no version %q of it; there are %s", b.Version, list(def.Versions))
		}
		return def.SuiteOf(b.Version), b.Version, nil
	default:
		if _, ok := c.defs.Suites[b.Version]; !ok {
			return "", "", fmt.Errorf("the catalog has no version %q of it; there are %s", b.Version, list(c.defs.SuiteNames()))
		}
		return b.Version, "", nil
	}
}

// LockedPackages returns the packages of an image's layer for an architecture with what needs
// each of them.
func (c *Catalog) LockedPackages(img *Image, l Layer, arch string) []LockedPackage {
	locked := c.lock.Suites[img.Suite].Layers[l.Name][arch]
	var out []LockedPackage
	for _, p := range l.Packages {
		if i := slices.IndexFunc(locked, func(o LockedPackage) bool { return o.Package == p }); i >= 0 {
			out = append(out, locked[i])
		}
	}
	return out
}

// Layers returns the layers of a suite that are named, with all that they lie on,
// lowest first, for an architecture and made on another; none when the lock has
// not all of them, since no image of that suite does.
func (c *Catalog) Layers(suite, arch, build string, names ...string) ([]Layer, error) {
	for _, name := range names {
		if _, ok := c.lock.Suites[suite].Layers[name][arch]; !ok {
			return nil, nil
		}
	}
	return c.stack(define.Place{Suite: suite, Arch: arch}, build, names, nil)
}

// stack returns the layers named with all that they lie on and, above them
// all, those of top that are not among them.
func (c *Catalog) stack(at define.Place, build string, names, top []string) ([]Layer, error) {
	defs := c.defs.Stack(at, names...)
	for _, def := range c.defs.Stack(at, top...) {
		if !slices.ContainsFunc(defs, func(l define.Layer) bool { return l.Name == def.Name }) {
			defs = append(defs, def)
		}
	}
	var out []Layer
	for _, def := range defs {
		l, err := c.layer(at, def)
		if err != nil {
			return nil, err
		}
		if def.Make != nil {
			l.Make = &Make{Args: def.Make.Args, Env: def.Make.Env, Network: def.Make.Network}
			on := define.Place{Suite: at.Suite, Arch: build, Version: at.Version}
			if l.Make.Root, err = c.stack(on, build, def.Make.Root, nil); err != nil {
				return nil, err
			}
			if l.Make.Target, err = c.stack(at, build, def.Make.Target, nil); err != nil {
				return nil, err
			}
			for _, from := range l.Make.Target {
				l.What = versions(l.What, from.Packages)
			}
			if err := complete(l); err != nil {
				return nil, err
			}
		}
		out = append(out, l)
	}
	return out, nil
}

// layer returns a layer whose placeholders are replaced, but for its Make.
func (c *Catalog) layer(at define.Place, def define.Layer) (Layer, error) {
	if def.Make != nil {
		return Layer{Name: def.Name, What: def.What, Spec: layerspec.Spec{Exclude: def.Exclude}}, nil
	}
	pkgs, err := c.packages(at, def)
	if err != nil {
		return Layer{}, err
	}
	l := Layer{
		Name:     def.Name,
		What:     def.What,
		Packages: pkgs,
		Locked:   c.lock.Date(at.Suite),
		Spec: layerspec.Spec{
			Exclude:  append(c.defs.Expand(at, c.defs.Trim.Exclude), def.Exclude...),
			Keep:     append(c.defs.Expand(at, c.defs.Trim.Keep), def.Keep...),
			CABundle: def.CABundle,
			Lower:    len(def.On) > 0,
			Strip:    def.Strip,
		},
	}
	l.What = versions(l.What, pkgs)
	for _, p := range pkgs {
		l.Spec.Packages = append(l.Spec.Packages, layerspec.Package{SHA256: p.SHA256})
	}
	if def.Archive != "" {
		if l.Archive, err = c.archive(at, def.Archive); err != nil {
			return Layer{}, err
		}
		l.Spec.Archives = []layerspec.Archive{{
			Name:            l.Archive.Name + " " + l.Archive.Version,
			StripComponents: c.defs.Archives[def.Archive].StripComponents,
			Headers:         (*layerspec.Headers)(def.Headers),
		}}
		for _, t := range def.Take {
			l.Spec.Archives[0].Take = append(l.Spec.Archives[0].Take, layerspec.Take(t))
		}
		if l.Archive.CPE != "" {
			record, err := l.Archive.record()
			if err != nil {
				return Layer{}, err
			}
			l.Spec.Files = append(l.Spec.Files, record)
		}
		l.What = strings.ReplaceAll(l.What, "{"+def.Archive+"}", l.Archive.Version)
	}
	if err := complete(l); err != nil {
		return Layer{}, err
	}
	for _, f := range def.Files {
		l.Spec.Files = append(l.Spec.Files, layerspec.File{Path: f.Path, Mode: f.Mode, Content: f.Content, Link: f.Link, Dir: f.Dir, Owner: f.Owner})
	}
	for _, links := range def.Links {
		for _, name := range links.Names {
			l.Spec.Files = append(l.Spec.Files, layerspec.File{Path: links.Dir + "/" + name, Link: links.To})
		}
	}
	return l, nil
}

// versions replaces the packages' names in braces by their versions.
func versions(what string, pkgs []Package) string {
	for _, p := range pkgs {
		what = strings.ReplaceAll(what, "{"+p.Name+"}", upstream(p.Version))
	}
	return what
}

// complete fails for a layer that names a package of which there is no version.
func complete(l Layer) error {
	if strings.ContainsAny(l.What, "{}") {
		return fmt.Errorf("it has no version for %q of the layer %s", l.What, l.Name)
	}
	return nil
}

// archive returns a locked archive for a place.
func (c *Catalog) archive(at define.Place, name string) (*Archive, error) {
	locked, ok := c.lock.Archives[name][at.Version]
	files := locked.Files[at.Arch]
	if !ok || len(files) == 0 {
		return nil, fmt.Errorf("it has no %s %s for %s", name, at.Version, at.Arch)
	}
	def := c.defs.Archives[name]
	return &Archive{
		Name: name, Version: locked.Version, Files: files,
		PURL: define.Release(def.PURL, locked.Version), CPE: define.Release(def.CPE, locked.Version),
	}, nil
}

// packages returns the locked packages of a layer: first those that the
// definitions list, in their order, then what else belongs to them.
func (c *Catalog) packages(at define.Place, def define.Layer) ([]Package, error) {
	locked := c.lock.Suites[at.Suite].Layers[def.Name][at.Arch]
	var out []Package
	for _, name := range def.Packages {
		i := slices.IndexFunc(locked, func(p LockedPackage) bool { return p.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("it has no package %s in the layer %s of %s for %s", name, def.Name, at.Suite, at.Arch)
		}
		out = append(out, locked[i].Package)
	}
	for _, p := range locked {
		if slices.Contains(def.Packages, p.Name) {
			continue
		}
		if !def.Closure {
			return nil, fmt.Errorf("it has the package %s in the layer %s of %s for %s", p.Name, def.Name, at.Suite, at.Arch)
		}
		out = append(out, p.Package)
	}
	return out, nil
}

func (c *Catalog) versions(im define.Image) []string {
	if im.Suite == "" {
		return c.defs.SuiteNames()
	}
	return im.Versions
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
