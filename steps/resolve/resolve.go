// Package resolve finds Debian packages and all that they need in package
// indices: the step that runs inside the build, the specification that it reads
// and the answer that it writes. It fetches nothing.
package resolve

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/birdhouse-build/birdhouse/catalog/debian"
)

// Answer is the name of the file that Run writes, a Result as JSON.
const Answer = "packages.json"

// Bounds of what is found.
const (
	maxPackages = 1000
	maxSize     = 4 << 30
	maxIndex    = 256 << 20
)

// Spec says which packages to find. It is data: the same Spec and indices give
// the same Result.
type Spec struct {
	// Names are the packages asked for.
	Names []string `json:"names"`
	// Machine is the one that the packages are for.
	Machine Machine `json:"machine"`
	// Target is another machine, which programs are built for on Machine: of the
	// packages asked for, libraries are found for it and tools for Machine. Nil
	// for none.
	Target *Machine `json:"target,omitempty"`
	// Without are names of packages that are left out though others need them.
	Without []string `json:"without,omitempty"`
	// Prefer says which real package stands for a virtual one that several
	// provide; of others it is the one with the highest priority.
	Prefer map[string]string `json:"prefer,omitempty"`
}

// Machine has what there is for an architecture.
type Machine struct {
	Architecture string `json:"architecture"`
	// Indices are read in this order: a version that several have is taken from
	// the first.
	Indices []Index `json:"indices"`
	// Have are the packages that are there already.
	Have []Have `json:"have,omitempty"`
}

// Index is a Packages file, as it is or compressed with xz or gzip.
type Index struct {
	// Path is where the step finds it.
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	// Archive is told of the packages in it.
	Archive string `json:"archive"`
}

// Have is a package that is there already.
type Have struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// Result is the answer: packages, or problems.
type Result struct {
	// Packages are those to add, sorted by architecture and name.
	Packages []Package `json:"packages,omitempty"`
	// Choices were made between packages that do the same.
	Choices []Choice `json:"choices,omitempty"`
	// Problems are why there are no packages.
	Problems []Problem `json:"problems,omitempty"`
}

// Package is a package to add.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	Archive      string `json:"archive"`
	// Path is the path in that archive.
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
	// Asked says that the specification names it.
	Asked bool `json:"asked,omitempty"`
	// NeededBy are the packages to add that depend on it, sorted.
	NeededBy []string `json:"neededBy,omitempty"`
}

// Choice is a package that was taken among several that provide the same.
type Choice struct {
	// Name is the package asked for that led to it.
	Name string `json:"name"`
	// NeededBy is the package that needs Virtual, which all of Of provide.
	NeededBy string   `json:"neededBy"`
	Virtual  string   `json:"virtual"`
	Taken    string   `json:"taken"`
	Of       []string `json:"of"`
}

// Problem is why a package cannot be had.
type Problem struct {
	// Name is the package asked for, "" when it is about all of them.
	Name string `json:"name,omitempty"`
	Text string `json:"text"`
	// Instead are packages that may have been meant, best first.
	Instead []string `json:"instead,omitempty"`
}

// Run writes the answer to a specification into the directory out, and a line
// for each package, which says why it is there, to log. What cannot be had is
// part of the answer; errors are about indices that cannot be read.
func Run(spec Spec, out string, log io.Writer) error {
	result, err := Resolve(spec)
	if err != nil {
		return err
	}
	for _, p := range result.Packages {
		why := "asked for"
		if len(p.NeededBy) > 0 {
			why = "needed by " + strings.Join(p.NeededBy, ", ")
		}
		if _, err := fmt.Fprintf(log, "%s %s (%s): %s\n", p.Name, p.Version, p.Architecture, why); err != nil {
			return fmt.Errorf("printing the packages: %w", err)
		}
	}
	data, err := json.Marshal(result)
	if err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	if err := os.WriteFile(filepath.Join(out, Answer), append(data, '\n'), 0o444); err != nil {
		return fmt.Errorf("writing the answer: %w", err)
	}
	return nil
}

// Resolve answers a specification.
func Resolve(spec Spec) (*Result, error) {
	// Reading takes seconds, most of it decompression on one core.
	var libraries *debian.Index
	var haveLibraries []*debian.Package
	var failed error
	var reading sync.WaitGroup
	if spec.Target != nil {
		reading.Go(func() { libraries, haveLibraries, failed = spec.Target.read() })
	}
	index, have, err := spec.Machine.read()
	reading.Wait()
	if err := cmp.Or(err, failed); err != nil {
		return nil, err
	}
	var found finding
	query := debian.Query{Without: spec.Without, Prefer: spec.Prefer, Choose: true}
	names := spec.Names
	if spec.Target != nil {
		// What only this machine has is a tool.
		onlyHere := func(name string) bool { return !libraries.Has(name) && index.Has(name) }
		names = slices.DeleteFunc(slices.Clone(spec.Names), onlyHere)
		cross := query
		cross.Names, cross.Have, cross.Cross = names, haveLibraries, true
		tools := found.add(libraries, cross, names)
		names = append(slices.DeleteFunc(slices.Clone(spec.Names), func(name string) bool { return !onlyHere(name) }), tools...)
	}
	query.Names, query.Have = names, have
	found.add(index, query, spec.Names)
	return found.result(), nil
}

// finding is a result under way.
type finding struct{ Result }

// add adds what answers the query, and returns the tools that it leaves to
// another one. Names that are there already add nothing.
func (f *finding) add(ix *debian.Index, q debian.Query, asked []string) (tools []string) {
	q.Names = slices.DeleteFunc(slices.Clone(q.Names), func(name string) bool {
		return slices.ContainsFunc(q.Have, func(p *debian.Package) bool { return p.Name == name })
	})
	r, err := ix.Resolve(q)
	if err != nil {
		f.problems(err)
		return nil
	}
	for _, p := range r.Packages {
		f.Packages = append(f.Packages, Package{
			Name: p.Name, Version: p.Version, Architecture: p.Architecture,
			Archive: p.Archive, Path: p.Path, SHA256: p.SHA256, Size: p.Size,
			Asked: slices.Contains(asked, p.Name), NeededBy: p.NeededBy,
		})
	}
	for _, c := range r.Chosen {
		f.Choices = append(f.Choices, Choice{Name: c.For, NeededBy: c.NeededBy, Virtual: c.Virtual, Taken: c.Taken, Of: c.Of})
	}
	return r.Tools
}

// problems adds the errors of a resolution.
func (f *finding) problems(err error) {
	if several, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range several.Unwrap() {
			f.problems(e)
		}
		return
	}
	p := Problem{Text: err.Error()}
	if known := (*debian.Problem)(nil); errors.As(err, &known) {
		p.Name, p.Instead = known.Name, known.Instead
	}
	f.Problems = append(f.Problems, p)
}

// result is the answer: within bounds, and no packages beside problems.
func (f *finding) result() *Result {
	size := int64(0)
	for _, p := range f.Packages {
		size += min(p.Size, maxSize)
	}
	switch {
	case len(f.Packages) > maxPackages:
		f.Problems = append(f.Problems, Problem{Text: fmt.Sprintf("they need %d packages; at most %d are added to an image", len(f.Packages), maxPackages)})
	case size > maxSize:
		f.Problems = append(f.Problems, Problem{Text: fmt.Sprintf("they need packages of %d bytes together; at most %d are added to an image", size, int64(maxSize))})
	}
	if len(f.Problems) > 0 {
		return &Result{Problems: f.Problems}
	}
	slices.SortFunc(f.Packages, func(a, b Package) int {
		return strings.Compare(a.Architecture+" "+a.Name, b.Architecture+" "+b.Name)
	})
	return &f.Result
}

// read reads the machine's indices, and finds in them what is there.
func (m Machine) read() (*debian.Index, []*debian.Package, error) {
	ix := debian.NewIndex(m.Architecture)
	for _, i := range m.Indices {
		if err := i.addTo(ix); err != nil {
			return nil, nil, fmt.Errorf("reading the package index %s: %w", i.Path, err)
		}
	}
	var have []*debian.Package
	for _, h := range m.Have {
		have = append(have, ix.Installed(h.Name, h.Version))
	}
	return ix, have, nil
}

// addTo verifies an index and adds its packages to ix.
func (i Index) addTo(ix *debian.Index) error {
	f, err := os.Open(i.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.Copy(hash, io.LimitReader(f, maxIndex+1))
	if err != nil {
		return err
	}
	if n > maxIndex {
		return fmt.Errorf("it has more than %d bytes", int64(maxIndex))
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != i.SHA256 {
		return fmt.Errorf("it has the SHA-256 checksum %s, the lock says %s", got, i.SHA256)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	text, err := debian.Unpack(f)
	if err != nil {
		return err
	}
	return ix.Add(text, i.Archive)
}

// Parse reads an answer. What it says of packages is not checked.
func Parse(data []byte) (*Result, error) {
	var r Result
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return nil, err
	}
	if len(r.Packages) > maxPackages {
		return nil, fmt.Errorf("it has %d packages, more than the %d allowed", len(r.Packages), maxPackages)
	}
	return &r, nil
}
