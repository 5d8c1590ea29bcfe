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
	"sync"
	"time"

	"go.yaml.in/yaml/v4"
)

// Definitions are the content of catalog.yaml; docs/catalog.md describes it.
type Definitions struct {
	// Architectures have, by name ("amd64"), the values of placeholders.
	Architectures map[string]map[string]string `yaml:"architectures"`
	// Suites are the releases of Debian, by the version that images are named
	// for: "13".
	Suites map[string]Suite `yaml:"suites"`
	// Prefer says which real package stands for a virtual one.
	Prefer map[string]string `yaml:"prefer"`
	// Scripts are packages, real or virtual, that others need for their maintainer
	// scripts alone, which never run.
	Scripts []string `yaml:"scripts"`
	// Archives are what is no Debian package, by the name that layers have for it.
	Archives map[string]Archive `yaml:"archives"`
	// Trim is left out of every package.
	Trim Trim `yaml:"trim"`
	// Debug are the layers that a -debug image has on top of the run image.
	Debug  []string         `yaml:"debug"`
	Layers []Layer          `yaml:"layers"`
	Images map[string]Image `yaml:"images"`

	// replacers are those of places that were asked for, by Place: making one takes longer
	// than all that it then replaces.
	replacers sync.Map
}

// Suite says where the packages of a release come from.
type Suite struct {
	Component string   `yaml:"component"`
	Sources   []Source `yaml:"sources"`
	// Values are those of placeholders.
	Values map[string]string `yaml:"values"`
}

// Source is a suite of an archive. Archive is "debian" or "debian-security".
type Source struct {
	Archive string `yaml:"archive"`
	Suite   string `yaml:"suite"`
	// GraceDays is how many days after its expiry the suite's Release file is
	// still accepted.
	GraceDays int `yaml:"graceDays"`
}

// Grace returns GraceDays as a duration.
func (s Source) Grace() time.Duration { return time.Duration(s.GraceDays) * 24 * time.Hour }

// Trim has patterns of paths to leave out, and exceptions from them.
type Trim struct {
	Exclude []string `yaml:"exclude"`
	Keep    []string `yaml:"keep"`
}

// Layer is a set of packages, an archive's files or what a command makes, that
// becomes one layer of images.
type Layer struct {
	// Name may have the placeholder {version}: there is one layer for each
	// version of the images that name it so.
	Name string `yaml:"name"`
	// On are the layers that it lies on; they are defined before it.
	On []string `yaml:"on"`
	// With says that a build may add the layer to an image by its name.
	With bool `yaml:"with"`
	// Architectures are those that have the layer; empty for all. On the others
	// it adds nothing. Suites are likewise those of Debian, Versions those of the
	// image.
	Architectures []string `yaml:"architectures"`
	Suites        []string `yaml:"suites"`
	Versions      []string `yaml:"versions"`
	// What is a line for people, in which {PACKAGE} stands for a version.
	What string `yaml:"what"`
	// Packages are those in the layer, Without the dependencies that are not.
	Packages []string `yaml:"packages"`
	Without  []string `yaml:"without"`
	// Closure says that what Packages depend on is in the layer, too.
	Closure bool `yaml:"closure"`
	// Archive names something that is no Debian package, at the version of the
	// image: "node". Take says which of its files the layer has.
	Archive string `yaml:"archive"`
	Take    []Take `yaml:"take"`
	// Strip says that ELF files lose their symbol tables and debug sections, and
	// Headers that those of the archive lose other exported names than it says, too.
	Strip   bool     `yaml:"strip"`
	Headers *Headers `yaml:"headers"`
	// Make is set for a layer that a command makes.
	Make     *Make    `yaml:"make"`
	CABundle bool     `yaml:"caBundle"`
	Exclude  []string `yaml:"exclude"`
	Keep     []string `yaml:"keep"`
	Files    []File   `yaml:"files"`
	Links    []Links  `yaml:"links"`
	// PerSuite has what comes to the lists of the same name in one suite.
	PerSuite map[string]PerSuite `yaml:"perSuite"`
}

// PerSuite are additions to a layer in one suite.
type PerSuite struct {
	Packages []string `yaml:"packages"`
	Without  []string `yaml:"without"`
	Exclude  []string `yaml:"exclude"`
	Keep     []string `yaml:"keep"`
	Files    []File   `yaml:"files"`
}

// Make is a command that writes a layer to /out.
type Make struct {
	// Root are the layers of the command's root file system, with all that they
	// lie on; they have the build machine's architecture.
	Root []string `yaml:"root"`
	// Target are layers of the image's architecture, with all that they lie on,
	// that the command sees at /target; read-only.
	Target []string `yaml:"target"`
	Args   []string `yaml:"args"`
	Env    []string `yaml:"env"`
	// Network lets the command reach the network.
	Network bool `yaml:"network"`
}

// Archive says where something is to be had that is no Debian package.
type Archive struct {
	// Lines are the release lines for the versions of images, where these are not
	// the same: of npm "11" for Node's "24". The newest release of the line is
	// locked.
	Lines map[string]string `yaml:"lines"`
	// Locations are where it is to be had, in the order in which they are tried.
	Locations []Location `yaml:"locations"`
	// StripComponents is how many leading elements of paths in it do not count.
	StripComponents int `yaml:"stripComponents"`
	// PURL is its package URL (https://github.com/package-url/purl-spec) and CPE
	// its name in databases of vulnerabilities, both with {release} for the
	// version. With a CPE it is recorded in the image.
	PURL string `yaml:"purl"`
	CPE  string `yaml:"cpe"`
}

// Location is a kind of place that has archives, and what they are called there.
type Location struct {
	// Kind is one of catalog.LocationKinds.
	Kind string `yaml:"kind"`
	// Name is, of kind "npm", the name of a package, and of kind "nodejs" the end
	// of the name of a release's files: "linux-x64".
	Name string `yaml:"name"`
	// Signers are, of kind "nodejs", the fingerprints of the primary OpenPGP keys
	// that may sign a release's checksums, in upper case.
	Signers []string `yaml:"signers"`
}

// fingerprint is the form of a version 4 key's,
// https://www.rfc-editor.org/rfc/rfc9580#section-5.5.4.2.
var fingerprint = regexp.MustCompile(`^[0-9A-F]{40}$`)

// Headers are the C and C++ headers that say what others need of what a program
// exports.
type Headers struct {
	// In is the folder with them in the archive, a path as Take's From is.
	In string `yaml:"in"`
	// Also are C names and C++ namespaces that other headers have.
	Also []string `yaml:"also"`
}

// Take takes a file or folder out of an archive: From is the path there, without
// the leading elements that do not count, "." for all of it, To the path in the
// layer.
type Take struct {
	From string `yaml:"from"`
	To   string `yaml:"to"`
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
	// Layers and Config are those of the image with no variant, which programs
	// run on; without layers there is none.
	Layers []string `yaml:"layers"`
	Config Config   `yaml:"config"`
	// Suite is the release of Debian for an image whose versions are a
	// language's; empty for one whose versions are the releases. Suites has
	// other releases, by the version.
	Suite  string            `yaml:"suite"`
	Suites map[string]string `yaml:"suites"`
	// Versions are the language's, oldest first.
	Versions []string `yaml:"versions"`
	// EndOfLife is the day from which on a version gets no fixes: "2026-04-30".
	EndOfLife map[string]string `yaml:"endOfLife"`
	// Release is the package or archive whose version is the image's full
	// version: "python{version}-minimal".
	Release  string             `yaml:"release"`
	Variants map[string]Variant `yaml:"variants"`
	// Foreign are sets of layers that a build may add as they are for another
	// architecture, as NAME-ARCH. For their own they add nothing.
	Foreign map[string][]string `yaml:"foreign"`
	// Go is set for images with a Go toolchain.
	Go *Go `yaml:"go"`
}

// Variant is an image with a suffix to its tag.
type Variant struct {
	Layers []string `yaml:"layers"`
	Config Config   `yaml:"config"`
	// Run says that programs run on it: there is one with -debug as well.
	Run bool `yaml:"run"`
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
	Cmd     []string `yaml:"cmd"`
}

// Place is what placeholders and the presence of layers depend on. Version is
// the language's, empty for an image of no language.
type Place struct{ Suite, Arch, Version string }

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

// Layer returns the layer of a name, as it is written.
func (d *Definitions) Layer(name string) (Layer, bool) {
	i := slices.IndexFunc(d.Layers, func(l Layer) bool { return l.Name == name })
	if i < 0 {
		return Layer{}, false
	}
	return d.Layers[i], true
}

// Stack returns the layers named and all that they lie on, lowest first: in the
// order of the definitions. The names are written as in the definitions; what
// is returned has all placeholders of the place replaced, but for those in On
// and in Make's Root and Target, which name layers. Layers that the place does
// not have are left out.
func (d *Definitions) Stack(at Place, names ...string) []Layer {
	in := map[string]bool{}
	for todo := slices.Clone(names); len(todo) > 0; todo = todo[1:] {
		if l, ok := d.Layer(todo[0]); ok && !in[l.Name] && l.For(at) {
			in[l.Name] = true
			todo = append(todo, l.On...)
		}
	}
	var stack []Layer
	for _, l := range d.Layers {
		if in[l.Name] {
			stack = append(stack, d.at(l, at))
		}
	}
	return stack
}

// For says whether a place has the layer.
func (l Layer) For(at Place) bool {
	return (len(l.Architectures) == 0 || slices.Contains(l.Architectures, at.Arch)) &&
		(len(l.Suites) == 0 || slices.Contains(l.Suites, at.Suite)) &&
		(len(l.Versions) == 0 || slices.Contains(l.Versions, at.Version))
}

// Used is a layer at a place that has it.
type Used struct {
	Place
	// Layer has all placeholders replaced, as Stack returns it.
	Layer
	// Defined is the layer's name as it is written.
	Defined string
}

// Used returns the layers that images of the suite have on an architecture, may
// be given, or are made with, each once and after those that it lies on.
func (d *Definitions) Used(suite, arch string) []Used {
	versions := map[string][]string{} // of the layers by name, as it is written
	mark := func(version string, names []string) {
		at := Place{suite, arch, version}
		for todo := slices.Clone(names); len(todo) > 0; todo = todo[1:] {
			l, ok := d.Layer(todo[0])
			// A layer with no version in its name is the same for all.
			v := version
			if !versioned(l.Name) {
				v = ""
			}
			if !ok || !l.For(at) || slices.Contains(versions[l.Name], v) {
				continue
			}
			versions[l.Name] = append(versions[l.Name], v)
			todo = append(todo, l.On...)
			if l.Make != nil {
				todo = append(todo, slices.Concat(l.Make.Root, l.Make.Target)...)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Images)) {
		im := d.Images[name]
		for _, v := range im.In(suite) {
			mark(v, im.layers())
			mark(v, d.Debug)
		}
	}
	for _, l := range d.Layers {
		if l.With {
			mark("", []string{l.Name})
		}
	}
	var out []Used
	for _, l := range d.Layers {
		for _, v := range versions[l.Name] {
			at := Place{suite, arch, v}
			out = append(out, Used{at, d.at(l, at), l.Name})
		}
	}
	return out
}

// In returns the language's versions that are made of a suite, oldest first; of
// an image of no language the one version "".
func (im Image) In(suite string) []string {
	if im.Suite == "" {
		return []string{""}
	}
	var out []string
	for _, v := range im.Versions {
		if im.SuiteOf(v) == suite {
			out = append(out, v)
		}
	}
	return out
}

// SuiteOf returns the release of Debian that a version is made of.
func (im Image) SuiteOf(version string) string {
	switch s, ok := im.Suites[version]; {
	case ok:
		return s
	case im.Suite == "":
		return version
	}
	return im.Suite
}

// layers are the names of all layers of all variants.
func (im Image) layers() []string {
	out := slices.Clone(im.Layers)
	for _, v := range slices.Sorted(maps.Keys(im.Variants)) {
		out = append(out, im.Variants[v].Layers...)
	}
	for _, name := range slices.Sorted(maps.Keys(im.Foreign)) {
		out = append(out, im.Foreign[name]...)
	}
	if im.Go != nil {
		out = append(out, im.Go.Bootstrap...)
	}
	return out
}

// Line returns the release line of an archive for a version of an image.
func (a Archive) Line(version string) string {
	if line, ok := a.Lines[version]; ok {
		return line
	}
	return version
}

// Release replaces the placeholder for an archive's full version.
func Release(s, version string) string { return strings.ReplaceAll(s, releasePlaceholder, version) }

// Expand replaces the placeholders of a place in each string.
func (d *Definitions) Expand(at Place, list []string) []string {
	replace := d.replacer(at)
	out := make([]string, len(list))
	for i, s := range list {
		out[i] = replace(s)
	}
	return out
}

// replacer replaces the placeholders of a place. Most strings have none, and every
// build looks at all of them when it reads the definitions.
func (d *Definitions) replacer(at Place) func(string) string {
	if made, ok := d.replacers.Load(at); ok {
		return made.(func(string) string)
	}
	var pairs []string
	for _, values := range []map[string]string{d.Architectures[at.Arch], d.Suites[at.Suite].Values} {
		for _, name := range slices.Sorted(maps.Keys(values)) {
			pairs = append(pairs, "{"+name+"}", values[name])
		}
	}
	if at.Version != "" {
		pairs = append(pairs, versionPlaceholder, at.Version)
	}
	values := strings.NewReplacer(pairs...)
	replace := func(s string) string {
		if !strings.Contains(s, "{") {
			return s
		}
		return values.Replace(s)
	}
	d.replacers.Store(at, replace)
	return replace
}

// at returns a layer as it is at a place.
func (d *Definitions) at(l Layer, at Place) Layer {
	replace := d.replacer(at)
	expand := func(lists ...[]string) []string {
		var out []string
		for _, s := range slices.Concat(lists...) {
			out = append(out, replace(s))
		}
		return out
	}
	here := l.PerSuite[at.Suite]
	l.PerSuite = nil
	l.Name, l.What = replace(l.Name), replace(l.What)
	l.Packages = expand(l.Packages, here.Packages)
	l.Without = expand(l.Without, here.Without)
	l.Exclude = expand(l.Exclude, here.Exclude)
	l.Keep = expand(l.Keep, here.Keep)
	l.Files = slices.Concat(l.Files, here.Files)
	for i, f := range l.Files {
		f.Path, f.Content, f.Link = replace(f.Path), replace(f.Content), replace(f.Link)
		l.Files[i] = f
	}
	l.Links = slices.Clone(l.Links)
	for i, links := range l.Links {
		l.Links[i] = Links{Dir: replace(links.Dir), To: replace(links.To), Names: expand(links.Names)}
	}
	if l.Make != nil {
		m := *l.Make
		m.Args, m.Env = expand(m.Args), expand(m.Env)
		l.Make = &m
	}
	return l
}

// ArchitectureNames returns the names of the architectures, sorted.
func (d *Definitions) ArchitectureNames() []string {
	return slices.Sorted(maps.Keys(d.Architectures))
}

// SuiteNames returns the names of the suites, sorted.
func (d *Definitions) SuiteNames() []string { return slices.Sorted(maps.Keys(d.Suites)) }

const (
	versionPlaceholder = "{version}"
	releasePlaceholder = "{release}"
)

func versioned(name string) bool { return strings.Contains(name, versionPlaceholder) }

var (
	placeholder = regexp.MustCompile(`\{[^}]*\}`)
	valueName   = regexp.MustCompile(`^[a-z][a-zA-Z0-9]*$`)
)

func (d *Definitions) check() error {
	var errs []error
	fail := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if len(d.Architectures) == 0 || len(d.Suites) == 0 || len(d.Layers) == 0 || len(d.Images) == 0 {
		fail("architectures, suites, layers and images must not be empty")
	}
	d.checkSuites(fail)
	for _, suite := range d.SuiteNames() {
		for _, arch := range d.ArchitectureNames() {
			checkPatterns(fail, "trim", d.Expand(Place{Suite: suite, Arch: arch}, slices.Concat(d.Trim.Exclude, d.Trim.Keep)))
		}
	}
	d.checkArchives(fail)
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
		if l.Make != nil {
			for _, other := range slices.Concat(l.Make.Root, l.Make.Target) {
				if !seen[other] {
					fail("layer %q is made with %q, which is not defined before it", l.Name, other)
				}
			}
		}
		seen[l.Name] = true
		d.checkLayer(fail, l)
	}
	for _, name := range d.Debug {
		if !seen[name] || versioned(name) {
			fail("debug has the layer %q, which is not defined for all versions", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(d.Images)) {
		d.checkImage(fail, name, d.Images[name])
	}
	return errors.Join(unique(errs)...)
}

// unique leaves what holds for several places said once.
func unique(errs []error) []error {
	seen := map[string]bool{}
	return slices.DeleteFunc(errs, func(err error) bool {
		was := seen[err.Error()]
		seen[err.Error()] = true
		return was
	})
}

func (d *Definitions) checkSuites(fail func(string, ...any)) {
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
		for _, arch := range d.ArchitectureNames() {
			for value := range s.Values {
				if _, twice := d.Architectures[arch][value]; twice {
					fail("suite %q: {%s} is a value of the architecture %s, too", name, value, arch)
				}
			}
			for _, values := range []map[string]string{s.Values, d.Architectures[arch]} {
				for _, value := range slices.Sorted(maps.Keys(values)) {
					if !valueName.MatchString(value) || value == "version" {
						fail("{%s} cannot be the name of a value", value)
					}
				}
			}
		}
	}
}

func (d *Definitions) checkArchives(fail func(string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(d.Archives)) {
		a := d.Archives[name]
		if len(a.Locations) == 0 || a.StripComponents < 0 {
			fail("archive %q needs locations, and no less than no leading elements to strip", name)
		}
		if !strings.Contains(a.PURL, releasePlaceholder) || a.CPE != "" && !strings.Contains(a.CPE, releasePlaceholder) {
			fail("archive %q: purl and cpe name the version by {release}", name)
		}
		for i, l := range a.Locations {
			if slices.IndexFunc(a.Locations, func(o Location) bool { return o.Kind == l.Kind }) != i {
				fail("archive %q has the location %q twice", name, l.Kind)
			}
			if (l.Kind == "nodejs") != (len(l.Signers) > 0) {
				fail("archive %q: the location nodejs, and no other, has signers", name)
			}
			for _, s := range l.Signers {
				if !fingerprint.MatchString(s) {
					fail("archive %q: %q is no fingerprint of an OpenPGP key, 40 hexadecimal digits in upper case", name, s)
				}
			}
			for _, arch := range d.ArchitectureNames() {
				if n := d.Expand(Place{Arch: arch}, []string{l.Name})[0]; n == "" || placeholder.MatchString(n) {
					fail("archive %q: %q is no name at the location %q", name, l.Name, l.Kind)
				}
			}
		}
	}
}

func (d *Definitions) checkLayer(fail func(string, ...any), l Layer) {
	for _, a := range l.Architectures {
		if d.Architectures[a] == nil {
			fail("layer %q is for %q, which is not an architecture", l.Name, a)
		}
	}
	for _, s := range slices.Concat(l.Suites, slices.Sorted(maps.Keys(l.PerSuite))) {
		if _, ok := d.Suites[s]; !ok {
			fail("layer %q is for %q, which is not a suite", l.Name, s)
		}
	}
	if (versioned(l.Name) || len(l.Versions) > 0) && l.With {
		fail("layer %q has a version, so that no build can add it by its name", l.Name)
	}
	if l.Archive != "" && !versioned(l.Name) {
		fail("layer %q has an archive, so its name needs {version}", l.Name)
	}
	if !versioned(l.Name) {
		lower := l.On
		if l.Make != nil {
			lower = slices.Concat(lower, l.Make.Root, l.Make.Target)
		}
		if slices.ContainsFunc(lower, versioned) {
			fail("layer %q needs a layer with {version}, so its name needs it, too", l.Name)
		}
	}
	if _, ok := d.Archives[l.Archive]; l.Archive != "" && !ok {
		fail("layer %q has the archive %q, which is not defined", l.Name, l.Archive)
	}
	if (l.Archive != "") != (len(l.Take) > 0) {
		fail("layer %q needs both an archive and what to take of it, or none of them", l.Name)
	}
	if l.Headers != nil && (l.Archive == "" || !l.Strip || !relative(l.Headers.In)) {
		fail("layer %q: headers are in a folder of an archive, by its relative path, and need strip", l.Name)
	}
	for _, t := range l.Take {
		if t.From != "." && !relative(t.From) || !path.IsAbs(t.To) || path.Clean(t.To) != t.To {
			fail("layer %q: takes %q to %q, not a relative path to an absolute one", l.Name, t.From, t.To)
		}
	}
	packages := len(l.Packages) > 0 || len(l.PerSuite) > 0
	switch {
	case l.Make != nil && (packages || l.Archive != "" || l.CABundle || l.Strip || len(l.Files) > 0 || len(l.Links) > 0):
		fail("layer %q is made by a command, so it has nothing else", l.Name)
	case l.Make != nil && (len(l.Make.Args) == 0 || len(l.Make.Root) == 0):
		fail("layer %q: make needs args and a root", l.Name)
	case l.Make == nil && !packages && l.Archive == "" && len(l.Files) == 0 && len(l.Links) == 0:
		fail("layer %q has no packages, archive, files or command", l.Name)
	}
	for _, suite := range d.SuiteNames() {
		for _, arch := range d.ArchitectureNames() {
			at := Place{Suite: suite, Arch: arch}
			if versioned(l.Name) {
				at.Version = "1"
			}
			if len(l.Versions) > 0 {
				at.Version = l.Versions[0]
			}
			if l.For(at) {
				checkLayerAt(fail, l.Name, suite, d.at(l, at))
			}
		}
	}
}

// checkLayerAt checks a layer whose placeholders are replaced.
func checkLayerAt(fail func(string, ...any), name, suite string, l Layer) {
	checkPatterns(fail, "layer "+name, slices.Concat(l.Exclude, l.Keep))
	for _, list := range [][]string{l.Packages, l.Without} {
		for i, p := range list {
			if slices.Index(list, p) != i {
				fail("layer %q names the package %q twice", name, p)
			}
			if placeholder.MatchString(p) || p == "" {
				fail("layer %q has the package %q: a placeholder has no value in the suite %s", name, p, suite)
			}
		}
	}
	for _, p := range l.Without {
		if slices.Contains(l.Packages, p) {
			fail("layer %q both has %q and leaves it out", name, p)
		}
	}
	for _, f := range l.Files {
		if !path.IsAbs(f.Path) || path.Clean(f.Path) != f.Path || placeholder.MatchString(f.Path+f.Link) {
			fail("layer %q: the path %q must be absolute and clean", name, f.Path)
		}
		if _, err := strconv.ParseUint(f.Mode, 8, 12); err != nil && f.Link == "" {
			fail("layer %q: the mode %q of %s is not octal", name, f.Mode, f.Path)
		}
	}
	for _, links := range l.Links {
		for _, s := range append([]string{links.Dir, links.To}, links.Names...) {
			if placeholder.MatchString(s) || s == "" {
				fail("layer %q: %q is no part of a link", name, s)
			}
		}
	}
}

// checkPatterns checks patterns whose placeholders are replaced: one that is left
// has no value.
func checkPatterns(fail func(string, ...any), where string, patterns []string) {
	for _, p := range patterns {
		if _, err := path.Match(p, ""); err != nil || !relative(p) || placeholder.MatchString(p) {
			fail("%s: %q is not a pattern of a relative path", where, p)
		}
	}
}

func (d *Definitions) checkImage(fail func(string, ...any), name string, im Image) {
	for _, v := range slices.Sorted(maps.Keys(im.Variants)) {
		if len(im.Variants[v].Layers) == 0 {
			fail("image %q: the variant %q has no layers", name, v)
		}
		if v == "" || v == debug || strings.HasSuffix(v, "-"+debug) {
			fail("image %q: a variant cannot be named %q", name, v)
		}
	}
	for _, set := range slices.Sorted(maps.Keys(im.Foreign)) {
		if len(im.Foreign[set]) == 0 {
			fail("image %q: the foreign set %q has no layers", name, set)
		}
		for _, arch := range d.ArchitectureNames() {
			if _, has := d.Layer(set + "-" + arch); has {
				fail("image %q: the foreign set %q for %s has the name of a layer", name, set, arch)
			}
		}
	}
	if im.Go != nil && (len(im.Go.Bootstrap) == 0 || im.Suite == "") {
		fail("image %q needs go.bootstrap, a suite and versions", name)
	}
	if im.Suite != "" && len(im.Versions) == 0 || im.Suite == "" && len(im.Versions)+len(im.Suites) > 0 {
		fail("image %q needs both a suite and versions, or none of them", name)
	}
	layers := im.layers()
	if len(layers) == 0 {
		fail("image %q has no layers", name)
	}
	for _, l := range layers {
		if _, ok := d.Layer(l); !ok {
			fail("image %q has the layer %q, which is not defined", name, l)
		}
		if versioned(l) && im.Suite == "" {
			fail("image %q has the layer %q, but no versions", name, l)
		}
	}
	if _, ok := d.Suites[im.Suite]; !ok && im.Suite != "" {
		fail("image %q is of the suite %q, which is not defined", name, im.Suite)
	}
	for _, v := range slices.Sorted(maps.Keys(im.Suites)) {
		if _, ok := d.Suites[im.Suites[v]]; !ok {
			fail("image %q is of the suite %q, which is not defined", name, im.Suites[v])
		}
	}
	for _, v := range slices.Concat(slices.Sorted(maps.Keys(im.Suites)), slices.Sorted(maps.Keys(im.EndOfLife))) {
		if !slices.Contains(im.Versions, v) {
			fail("image %q has no version %q", name, v)
		}
	}
	for _, v := range slices.Sorted(maps.Keys(im.EndOfLife)) {
		if _, err := time.Parse(time.DateOnly, im.EndOfLife[v]); err != nil {
			fail("image %q: the end of life of %s, %q, is no day such as 2026-04-30", name, v, im.EndOfLife[v])
		}
	}
}

// debug is the variant of a run image that has the layers of Debug on top.
const debug = "debug"

// Variants returns the suffixes of an image, "" first where there is an image
// with none.
func (d *Definitions) Variants(im Image) []string {
	var out []string
	if len(im.Layers) > 0 {
		out = append(out, "")
		if len(d.Debug) > 0 {
			out = append(out, debug)
		}
	}
	for _, v := range slices.Sorted(maps.Keys(im.Variants)) {
		out = append(out, v)
		if im.Variants[v].Run && len(d.Debug) > 0 {
			out = append(out, v+"-"+debug)
		}
	}
	return out
}

// Variant returns an image's layers, those of Debug to be put on top, and its
// configuration; false when there is no such variant.
func (d *Definitions) Variant(im Image, variant string) (layers, top []string, config Config, ok bool) {
	if !slices.Contains(d.Variants(im), variant) {
		return nil, nil, Config{}, false
	}
	if variant == debug {
		variant, top = "", d.Debug
	} else if v, found := strings.CutSuffix(variant, "-"+debug); found {
		variant, top = v, d.Debug
	}
	if variant == "" {
		return im.Layers, top, im.Config, true
	}
	v := im.Variants[variant]
	return v.Layers, top, v.Config, true
}

func relative(p string) bool {
	return p != "" && !path.IsAbs(p) && path.Clean(p) == p && p != ".." && !strings.HasPrefix(p, "../")
}
