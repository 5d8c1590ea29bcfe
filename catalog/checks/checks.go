// Package checks says what base images are checked for before they are
// published: what one may have that others may not, and the programs that show
// that they work. It holds data alone; package llb turns it into build steps.
package checks

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/birdhouse-build/birdhouse/steps/check"
)

//go:embed checks.yaml
var file []byte

//go:embed probes
var programs embed.FS

// Checks are the content of checks.yaml.
type Checks struct {
	// Dangling are patterns of symlinks that may lead nowhere.
	Dangling []string `yaml:"dangling"`
	// Libraries are patterns of folders that libraries are found in beside those
	// of the dynamic linker.
	Libraries []string `yaml:"libraries"`
	// Probes are by the image's name and variant: "static", "go-build-cgo".
	Probes map[string]Probe `yaml:"probes"`
}

// Probe is a program that shows that an image works.
type Probe struct {
	// Files are those of the program, named as below probes/.
	Files []string `yaml:"files"`
	// Compile makes the program; nil where there is nothing to compile.
	Compile *Compile `yaml:"compile"`
	// On is the image that runs what was compiled; "" is the image itself.
	On string `yaml:"on"`
	// Args start the program, with Env beside the image's own environment.
	Args []string `yaml:"args"`
	Env  []string `yaml:"env"`
}

// Compile is a command with its root file system: an image, layers, or, with
// neither, the image that is checked.
type Compile struct {
	Image   string   `yaml:"image"`
	Variant string   `yaml:"variant"`
	Layers  []string `yaml:"layers"`
	Args    []string `yaml:"args"`
	Env     []string `yaml:"env"`
}

// Success is what a probe prints when nothing is wrong.
const Success = "everything works"

// Read returns the checks that are built in.
func Read() (*Checks, error) { return parse(file) }

func parse(text []byte) (*Checks, error) {
	c := &Checks{}
	if err := yaml.Load(text, c, yaml.WithKnownFields(), yaml.WithUniqueKeys()); err != nil {
		return nil, fmt.Errorf("reading the catalog's checks: %w", err)
	}
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(c.Probes)) {
		if err := c.Probes[name].check(); err != nil {
			errs = append(errs, fmt.Errorf("reading the catalog's checks: probe %s: %w", name, err))
		}
	}
	return c, errors.Join(errs...)
}

func (p Probe) check() error {
	if len(p.Args) == 0 || len(p.Files) == 0 {
		return errors.New("it needs files and args")
	}
	for _, f := range p.Files {
		if _, err := fs.Stat(programs, path.Join("probes", f)); err != nil {
			return err
		}
	}
	switch c := p.Compile; {
	case c == nil && p.On != "":
		return errors.New("`on` needs something to compile")
	case c == nil:
	case len(c.Args) == 0:
		return errors.New("compile needs args")
	case c.Image != "" && len(c.Layers) > 0:
		return errors.New("compile has an image or layers, not both")
	}
	return nil
}

// Probe returns the probe of an image. It is not there for images that have
// none.
func (c *Checks) Probe(image, variant string) (Probe, bool) {
	variant, _ = strings.CutSuffix("-"+variant, "-debug")
	p, ok := c.Probes[strings.TrimSuffix(image+variant, "-")]
	return p, ok
}

// Content returns the probe's files, by the last element of their names.
func (p Probe) Content() (map[string][]byte, error) {
	out := map[string][]byte{}
	for _, name := range p.Files {
		text, err := programs.ReadFile(path.Join("probes", name))
		if err != nil {
			return nil, err
		}
		out[path.Base(name)] = text
	}
	return out, nil
}

// Tools returns which shells and package managers an image may have: one to
// build in any, one to look around in busybox, and all others none.
func Tools(variant string) check.Tools {
	switch {
	case variant == "build" || strings.HasPrefix(variant, "build-"):
		return check.AnyTools
	case variant == "debug" || strings.HasSuffix(variant, "-debug"):
		return check.BusyboxOnly
	}
	return check.NoTools
}
