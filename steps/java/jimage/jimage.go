// Package jimage reads which modules a Java runtime has, and which classes are in
// them, out of the file lib/modules of a JDK. The format is that of JDK 9 and later:
// https://github.com/openjdk/jdk/blob/master/src/java.base/share/native/libjimage/imageFile.hpp
package jimage

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/steps/java/classfile"
)

// Image is what a runtime has.
type Image struct {
	// packages has the module of each package, by its name as java/util.
	packages map[string]string
	// classes has all classes, as java/util/List.
	classes map[string]bool
	// requires has for each module those that it needs when it runs.
	requires map[string][]string
}

const (
	magic      = 0xcafedada
	headerSize = 28
	// maxIndex bounds what is read of the file: a JDK's has less than 3 MB.
	maxIndex = 64 << 20
	// maxDescription bounds the description of one module.
	maxDescription = 1 << 20
)

// The attributes of a location.
const (
	attrEnd = iota
	attrModule
	attrParent
	attrBase
	attrExtension
	attrOffset
	attrCompressed
	attrUncompressed
	attrCount
)

var errDamaged = errors.New("it is damaged or cut off")

// Open reads the index of a file lib/modules.
func Open(name string) (*Image, error) {
	im, err := open(name)
	if err != nil {
		return nil, fmt.Errorf("reading the modules of the JDK, %s: %w", name, err)
	}
	return im, nil
}

func open(name string) (*Image, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	header := make([]byte, headerSize)
	if _, err := io.ReadFull(f, header); err != nil {
		return nil, errDamaged
	}
	// Numbers are in the order of bytes of the machine, which is this one for all
	// that Debian has Java for.
	field := func(i int) int64 { return int64(binary.LittleEndian.Uint32(header[4*i:])) }
	if field(0) != magic || field(1)>>16 != 1 {
		return nil, errors.New("it has another format than that of JDK 9 to 25")
	}
	length, locations, strings := field(4), field(5), field(6)
	tables := 8 * length // redirections, offsets
	if tables+locations+strings > maxIndex {
		return nil, errDamaged
	}
	index := make([]byte, tables+locations+strings)
	if _, err := io.ReadFull(f, index); err != nil {
		return nil, errDamaged
	}
	r := &reader{
		file:      f,
		content:   headerSize + int64(len(index)),
		locations: index[tables : tables+locations],
		strings:   index[tables+locations:],
	}
	im := &Image{packages: map[string]string{}, classes: map[string]bool{}, requires: map[string][]string{}}
	for i := range length {
		at := binary.LittleEndian.Uint32(index[4*length+4*i:])
		if err := im.add(r, at); err != nil {
			return nil, err
		}
	}
	if len(im.requires["java.base"]) > 0 || im.packages["java/lang"] != "java.base" {
		return nil, errors.New("it has no module java.base")
	}
	return im, nil
}

type reader struct {
	file               io.ReaderAt
	content            int64
	locations, strings []byte
}

// location reads the attributes of a location.
func (r *reader) location(at uint32) (attrs [attrCount]int64, err error) {
	if int64(at) > int64(len(r.locations)) {
		return attrs, errDamaged
	}
	for b := r.locations[at:]; ; {
		if len(b) == 0 {
			return attrs, errDamaged
		}
		kind, n := b[0]>>3, int(b[0]&7)+1
		if kind == attrEnd {
			return attrs, nil
		}
		if kind >= attrCount || len(b) < 1+n {
			return attrs, errDamaged
		}
		var v int64
		for _, d := range b[1 : 1+n] {
			v = v<<8 | int64(d)
		}
		attrs[kind] = v
		b = b[1+n:]
	}
}

// text is a string of the index.
func (r *reader) text(at int64) (string, error) {
	if at < 0 || at >= int64(len(r.strings)) {
		return "", errDamaged
	}
	end := slices.Index(r.strings[at:], 0)
	if end < 0 {
		return "", errDamaged
	}
	return string(r.strings[at : at+int64(end)]), nil
}

// add notes the class at a location.
func (im *Image) add(r *reader, at uint32) error {
	attrs, err := r.location(at)
	if err != nil {
		return err
	}
	extension, err := r.text(attrs[attrExtension])
	if err != nil || extension != "class" {
		return err
	}
	module, err := r.text(attrs[attrModule])
	if err != nil {
		return err
	}
	parent, err := r.text(attrs[attrParent])
	if err != nil {
		return err
	}
	base, err := r.text(attrs[attrBase])
	switch {
	case err != nil:
		return err
	case module == "" || module == "modules" || module == "packages":
		return nil
	case parent == "" && base == "module-info":
		return im.describe(r, module, attrs)
	case parent != "":
		im.packages[parent] = module
		im.classes[parent+"/"+base] = true
	}
	return nil
}

// describe reads the description of a module.
func (im *Image) describe(r *reader, module string, attrs [attrCount]int64) error {
	if attrs[attrCompressed] != 0 {
		return errors.New("it is compressed, as that of no JDK is")
	}
	size := attrs[attrUncompressed]
	if size < 0 || size > maxDescription || attrs[attrOffset] < 0 {
		return errDamaged
	}
	data := make([]byte, size)
	if _, err := r.file.ReadAt(data, r.content+attrs[attrOffset]); err != nil {
		return errDamaged
	}
	c, err := classfile.Parse(data)
	if err != nil {
		return fmt.Errorf("module %s: %w", module, err)
	}
	if c.Module == nil {
		return errDamaged
	}
	im.requires[module] = c.Module.Requires
	return nil
}

// Has says whether there is a module of this name.
func (im *Image) Has(module string) bool {
	_, ok := im.requires[module]
	return ok
}

// Modules are the names of all modules, sorted.
func (im *Image) Modules() []string { return slices.Sorted(maps.Keys(im.requires)) }

// Module is the module that has the package of a class, named as java/util/List;
// "" when the runtime has no such package.
func (im *Image) Module(class []byte) string {
	for i := len(class) - 1; i > 0; i-- {
		if class[i] == '/' {
			return im.packages[string(class[:i])]
		}
	}
	return ""
}

// ModuleOf is the module that has exactly this class, named java.util.List or as
// java/util/List; "" for none.
func (im *Image) ModuleOf(class string) string {
	class = strings.ReplaceAll(class, ".", "/")
	if !im.classes[class] {
		return ""
	}
	return im.Module([]byte(class))
}

// Closure are the modules with all that they need, sorted. Those that there are not
// are left out.
func (im *Image) Closure(modules []string) []string {
	in := map[string]bool{}
	for todo := slices.Clone(modules); len(todo) > 0; todo = todo[1:] {
		if m := todo[0]; im.Has(m) && !in[m] {
			in[m] = true
			todo = append(todo, im.requires[m]...)
		}
	}
	return slices.Sorted(maps.Keys(in))
}
