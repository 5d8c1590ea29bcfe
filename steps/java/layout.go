package java

import (
	"archive/zip"
	"fmt"
	"io"
	"os"
	"path"
	"slices"

	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// order is that of the layers.
var order = []string{javaspec.Dependencies, javaspec.Snapshots, javaspec.Modules, javaspec.Resources, javaspec.Classes}

// layout writes the files of the program into the folders of layers.
type layout struct {
	out    string
	layers []string
	roots  map[string]*os.Root
}

func newLayout(out string, layers []string) (*layout, error) {
	l := &layout{out: out, layers: layers, roots: map[string]*os.Root{}}
	for _, name := range layers {
		if !slices.Contains(order, name) {
			return nil, fmt.Errorf("the specification has the layer %q; there are %q", name, order)
		}
		if err := l.open(name); err != nil {
			return nil, err
		}
	}
	if !slices.Contains(layers, javaspec.Classes) {
		return nil, fmt.Errorf("the specification has no layer %q", javaspec.Classes)
	}
	return l, nil
}

func (l *layout) open(name string) error {
	dir := path.Join(l.out, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	l.roots[name] = root
	return nil
}

func (l *layout) close() {
	for _, r := range l.roots {
		r.Close()
	}
}

// layer is the layer that there is an output for: the one named, or the next one.
func (l *layout) layer(name string) string {
	for _, next := range order[slices.Index(order, name):] {
		if slices.Contains(l.layers, next) {
			return next
		}
	}
	return javaspec.Classes
}

// create makes a file, which is relative to the image's folder of the program.
func (l *layout) create(layer, name string) (*os.File, error) {
	root := l.roots[l.layer(layer)]
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return nil, err
	}
	return root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
}

// path is where a file is in the build.
func (l *layout) path(layer, name string) string {
	return path.Join(l.out, l.layer(layer), name)
}

// write writes a file with write.
func (l *layout) write(layer, name string, write func(io.Writer) error) error {
	f, err := l.create(layer, name)
	if err == nil {
		err = write(f)
		if closed := f.Close(); err == nil {
			err = closed
		}
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", name, err)
	}
	return nil
}

// copy copies a file of the build.
func (l *layout) copy(layer, name, from string) error {
	src, err := os.Open(from)
	if err != nil {
		return err
	}
	defer src.Close()
	return l.write(layer, name, func(w io.Writer) error {
		_, err := io.Copy(w, src)
		return err
	})
}

// unpack writes an entry of an archive.
func (l *layout) unpack(layer, name string, e *zip.File) error {
	src, err := e.Open()
	if err != nil {
		return fmt.Errorf("%s: %w", e.Name, err)
	}
	defer src.Close()
	return l.write(layer, name, func(w io.Writer) error {
		_, err := io.Copy(w, src)
		return err
	})
}

// normal writes a jar of the project's own as it would be wherever it was built.
func (l *layout) normal(layer, name string, j *jar) error {
	return l.write(layer, name, func(w io.Writer) error {
		return writeJar(w, j.entries, func(name string) string { return name })
	})
}
