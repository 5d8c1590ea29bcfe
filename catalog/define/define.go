// Package define reads the definitions of the base images: which Debian
// packages make which layer, what of them is left out, and which layers make
// which image. Versions and checksums are not in them, but in the lock.
package define

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Definitions are the content of catalog.yaml.
type Definitions struct {
	// Architectures have, by name ("amd64"), the values of the placeholders in
	// names of packages and patterns.
	Architectures map[string]map[string]string `yaml:"architectures"`
	// Suites are the releases of Debian, by the version that images are named
	// for: "13".
	Suites map[string]Suite `yaml:"suites"`
	// Trim is left out of every package.
	Trim   Trim             `yaml:"trim"`
	Layers []Layer          `yaml:"layers"`
	Images map[string]Image `yaml:"images"`
}

// Suite says where the packages of a release come from.
type Suite struct {
	Component string   `yaml:"component"`
	Sources   []Source `yaml:"sources"`
}

// Source is a suite of an archive. Archive is "debian" or "debian-security".
type Source struct {
	Archive string `yaml:"archive"`
	Suite   string `yaml:"suite"`
}

// Trim has patterns of paths to leave out, and exceptions from them.
type Trim struct {
	Exclude []string `yaml:"exclude"`
	Keep    []string `yaml:"keep"`
}

// Layer is a set of packages that becomes one layer of images.
type Layer struct {
	Name string `yaml:"name"`
	// On are the layers that it lies on; they are defined before it.
	On []string `yaml:"on"`
	// With says that a build may add the layer to an image by its name.
	With bool `yaml:"with"`
	// Architectures are those that have the layer; empty for all. On the others
	// it adds nothing.
	Architectures []string `yaml:"architectures"`
	// What is a line for people, in which {PACKAGE} stands for a version.
	What string `yaml:"what"`
	// Packages are those in the layer, Without the dependencies that are not.
	Packages []string `yaml:"packages"`
	Without  []string `yaml:"without"`
	CABundle bool     `yaml:"caBundle"`
	Exclude  []string `yaml:"exclude"`
	Keep     []string `yaml:"keep"`
	Files    []File   `yaml:"files"`
	Links    []Links  `yaml:"links"`
}

// File is a file, folder or symlink that a layer adds.
type File struct {
	Path    string `yaml:"path"`
	Mode    string `yaml:"mode"`
	Content string `yaml:"content"`
	Link    string `yaml:"link"`
	Dir     bool   `yaml:"dir"`
	Owner   int    `yaml:"owner"`
}

// Links are symlinks in Dir that all lead to To.
type Links struct {
	Dir   string   `yaml:"dir"`
	To    string   `yaml:"to"`
	Names []string `yaml:"names"`
}

// Image is a repository of images.
type Image struct {
	// Layers and Config are those of the image with no variant; without layers
	// there is none.
	Layers []string `yaml:"layers"`
	Config Config   `yaml:"config"`
	// Suite is the release of Debian for an image whose versions are a
	// language's; empty for one whose versions are the releases.
	Suite string `yaml:"suite"`
	// Versions are the language's, oldest first.
	Versions []string           `yaml:"versions"`
	Variants map[string]Variant `yaml:"variants"`
	// Go is set for images with a Go toolchain.
	Go *Go `yaml:"go"`
}

// Variant is an image with a suffix to its tag.
type Variant struct {
	Layers []string `yaml:"layers"`
	Config Config   `yaml:"config"`
}

// Go says how to install a Go toolchain.
type Go struct {
	// Bootstrap are the layers with the go command that installs it.
	Bootstrap []string `yaml:"bootstrap"`
	// Exclude are patterns of what is left out of it.
	Exclude []string `yaml:"exclude"`
}

// Config is the part of the image's configuration that it sets.
type Config struct {
	User    string   `yaml:"user"`
	Workdir string   `yaml:"workdir"`
	Env     []string `yaml:"env"`
}

// Read reads definitions. Unknown and repeated keys, names that lead nowhere
// and malformed patterns are errors.
func Read(data []byte) (*Definitions, error) {
	d := &Definitions{}
	if err := yaml.Load(data, d, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, fmt.Errorf("reading the catalog's definitions: %w", err)
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("reading the catalog's definitions: %w", err)
	}
	return d, nil
}

// Layer returns the layer of a name.
func (d *Definitions) Layer(name string) (Layer, bool) {
	i := slices.IndexFunc(d.Layers, func(l Layer) bool { return l.Name == name })
	if i < 0 {
		return Layer{}, false
	}
	return d.Layers[i], true
}

// Stack returns the layers named and all that they lie on, lowest first: in the
// order of the definitions. Layers that the architecture does not have are left
// out.
func (d *Definitions) Stack(arch string, names ...string) []Layer {
	in := map[string]bool{}
	for todo := slices.Clone(names); len(todo) > 0; todo = todo[1:] {
		if l, ok := d.Layer(todo[0]); ok && !in[l.Name] && l.For(arch) {
			in[l.Name] = true
			todo = append(todo, l.On...)
		}
	}
	var stack []Layer
	for _, l := range d.Layers {
		if in[l.Name] {
			stack = append(stack, l)
		}
	}
	return stack
}

// For says whether an architecture has the layer.
func (l Layer) For(arch string) bool {
	return len(l.Architectures) == 0 || slices.Contains(l.Architectures, arch)
}

// Expand replaces the placeholders of an architecture in each string.
func (d *Definitions) Expand(arch string, list []string) []string {
	out := make([]string, len(list))
	for i, s := range list {
		for _, name := range slices.Sorted(maps.Keys(d.Architectures[arch])) {
			s = strings.ReplaceAll(s, "{"+name+"}", d.Architectures[arch][name])
		}
		out[i] = s
	}
	return out
}

// ArchitectureNames returns the names of the architectures, sorted.
func (d *Definitions) ArchitectureNames() []string {
	return slices.Sorted(maps.Keys(d.Architectures))
}

// SuiteNames returns the names of the suites, sorted.
func (d *Definitions) SuiteNames() []string { return slices.Sorted(maps.Keys(d.Suites)) }

var placeholder = regexp.MustCompile(`\{[^}]*\}`)

func (d *Definitions) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(d.Architectures) == 0 || len(d.Suites) == 0 || len(d.Layers) == 0 || len(d.Images) == 0 {
		fail("architectures, suites, layers and images must not be empty")
	}
	for _, name := range d.SuiteNames() {
		s := d.Suites[name]
		if s.Component == "" || len(s.Sources) == 0 {
			fail("suite %q needs a component and sources", name)
		}
		for _, src := range s.Sources {
			if src.Archive != "debian" && src.Archive != "debian-security" || src.Suite == "" {
				fail("suite %q: a source has the archive debian or debian-security, and a suite", name)
			}
		}
	}
	d.checkPatterns(fail, "trim", slices.Concat(d.Trim.Exclude, d.Trim.Keep))
	seen := map[string]bool{}
	for _, l := range d.Layers {
		if l.Name == "" || seen[l.Name] {
			fail("the name of layer %q is empty or used twice", l.Name)
		}
		for _, on := range l.On {
			if !seen[on] {
				fail("layer %q lies on %q, which is not defined before it", l.Name, on)
			}
		}
		seen[l.Name] = true
		d.checkLayer(fail, l)
	}
	for _, name := range slices.Sorted(maps.Keys(d.Images)) {
		d.checkImage(fail, name, d.Images[name])
	}
	return errors.Join(errs...)
}

func (d *Definitions) checkLayer(fail func(string, ...any), l Layer) {
	for _, a := range l.Architectures {
		if d.Architectures[a] == nil {
			fail("layer %q is for %q, which is not an architecture", l.Name, a)
		}
	}
	if len(l.Packages) == 0 {
		fail("layer %q has no packages", l.Name)
	}
	d.checkPatterns(fail, "layer "+l.Name, slices.Concat(l.Exclude, l.Keep))
	for _, list := range [][]string{l.Packages, l.Without} {
		for i, p := range list {
			if slices.Index(list, p) != i {
				fail("layer %q names the package %q twice", l.Name, p)
			}
		}
	}
	for _, p := range l.Without {
		if slices.Contains(l.Packages, p) {
			fail("layer %q both has %q and leaves it out", l.Name, p)
		}
	}
	for _, f := range l.Files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path {
			fail("layer %q: the path %q must be absolute and clean", l.Name, f.Path)
		}
		if _, err := strconv.ParseUint(f.Mode, 8, 12); err != nil && f.Link == "" {
			fail("layer %q: the mode %q of %s is not octal", l.Name, f.Mode, f.Path)
		}
	}
}

// checkPatterns also finds placeholders that no architecture has.
func (d *Definitions) checkPatterns(fail func(string, ...any), where string, patterns []string) {
	for _, arch := range d.ArchitectureNames() {
		for _, p := range d.Expand(arch, patterns) {
			if _, err := path.Match(p, ""); err != nil || !relative(p) || placeholder.MatchString(p) {
				fail("%s: %q is not a pattern of a relative path", where, p)
			}
		}
	}
}

func (d *Definitions) checkImage(fail func(string, ...any), name string, im Image) {
	layers := slices.Clone(im.Layers)
	for _, v := range slices.Sorted(maps.Keys(im.Variants)) {
		if len(im.Variants[v].Layers) == 0 {
			fail("image %q: the variant %q has no layers", name, v)
		}
		layers = append(layers, im.Variants[v].Layers...)
	}
	if im.Go != nil {
		if len(im.Go.Bootstrap) == 0 || im.Suite == "" || len(im.Versions) == 0 {
			fail("image %q needs go.bootstrap, a suite and versions", name)
		}
		layers = append(layers, im.Go.Bootstrap...)
	}
	if len(layers) == 0 {
		fail("image %q has no layers", name)
	}
	for _, l := range layers {
		if _, ok := d.Layer(l); !ok {
			fail("image %q has the layer %q, which is not defined", name, l)
		}
	}
	if _, ok := d.Suites[im.Suite]; !ok && im.Suite != "" {
		fail("image %q is of the suite %q, which is not defined", name, im.Suite)
	}
}

func relative(p string) bool {
	return p != "" && !path.IsAbs(p) && path.Clean(p) == p && p != ".." && !strings.HasPrefix(p, "../")
}
