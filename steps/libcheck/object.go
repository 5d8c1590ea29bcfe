package libcheck

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"
)

// object is what the dynamic linker reads of a program or library.
type object struct {
	at      located
	machine elf.Machine
	class   elf.Class
	order   elf.Data
	// interpreter is the dynamic linker of a program, "" for others.
	interpreter    string
	soname         string
	needed         []string
	rpath, runpath []string
}

const (
	maxDynamic = 1 << 20
	maxStrings = 64 << 20
)

// readObject reads an ELF program or library; nil for any other file.
func readObject(host string) (*object, error) {
	info, err := os.Stat(host)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, nil
	}
	r, err := os.Open(host)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != elf.ELFMAG {
		return nil, nil
	}
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, err
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, nil
	}
	o := &object{machine: f.Machine, class: f.Class, order: f.Data}
	for _, p := range f.Progs {
		if p.Type != elf.PT_INTERP {
			continue
		}
		text, err := segment(p, 4096)
		if err != nil {
			return nil, fmt.Errorf("its dynamic linker's name: %w", err)
		}
		o.interpreter = string(bytes.TrimRight(text, "\x00"))
	}
	if err := o.readDynamic(f); err != nil {
		return nil, fmt.Errorf("its dynamic section: %w", err)
	}
	return o, nil
}

// readDynamic reads the dynamic segment as the dynamic linker does, by the
// program headers: section headers, which debug/elf goes by, may be stripped.
func (o *object) readDynamic(f *elf.File) error {
	var dynamic *elf.Prog
	for _, p := range f.Progs {
		if p.Type == elf.PT_DYNAMIC {
			dynamic = p
		}
	}
	if dynamic == nil {
		return nil
	}
	table, err := segment(dynamic, maxDynamic)
	if err != nil {
		return err
	}
	type entry struct {
		tag   elf.DynTag
		value uint64
	}
	var entries []entry
	var stringsAt, stringsSize uint64
	for len(table) > 0 {
		tag, value, rest, ok := dynamicEntry(table, f.Class, f.ByteOrder)
		if !ok || tag == elf.DT_NULL {
			break
		}
		table = rest
		switch tag {
		case elf.DT_STRTAB:
			stringsAt = value
		case elf.DT_STRSZ:
			stringsSize = value
		case elf.DT_NEEDED, elf.DT_SONAME, elf.DT_RPATH, elf.DT_RUNPATH:
			entries = append(entries, entry{tag, value})
		}
	}
	if len(entries) == 0 {
		return nil
	}
	text, err := loaded(f, stringsAt, stringsSize)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.value >= uint64(len(text)) {
			return errors.New("a name lies outside of its string table")
		}
		name, _, ok := bytes.Cut(text[e.value:], []byte{0})
		if !ok {
			return errors.New("a name does not end within its string table")
		}
		s := string(name)
		switch e.tag {
		case elf.DT_NEEDED:
			o.needed = append(o.needed, s)
		case elf.DT_SONAME:
			o.soname = s
		case elf.DT_RPATH:
			o.rpath = strings.Split(s, ":")
		case elf.DT_RUNPATH:
			o.runpath = strings.Split(s, ":")
		}
	}
	return nil
}

func dynamicEntry(b []byte, class elf.Class, order binary.ByteOrder) (tag elf.DynTag, value uint64, rest []byte, ok bool) {
	if class == elf.ELFCLASS64 {
		if len(b) < 16 {
			return 0, 0, nil, false
		}
		return elf.DynTag(order.Uint64(b)), order.Uint64(b[8:]), b[16:], true
	}
	if len(b) < 8 {
		return 0, 0, nil, false
	}
	return elf.DynTag(order.Uint32(b)), uint64(order.Uint32(b[4:])), b[8:], true
}

// segment reads what of a segment is in the file.
func segment(p *elf.Prog, max uint64) ([]byte, error) {
	if p.Filesz > max {
		return nil, fmt.Errorf("it has %d bytes, more than %d", p.Filesz, max)
	}
	b := make([]byte, p.Filesz)
	if _, err := p.ReadAt(b, 0); err != nil {
		return nil, err
	}
	return b, nil
}

// loaded reads memory of the program as it is in the file.
func loaded(f *elf.File, address, size uint64) ([]byte, error) {
	if size > maxStrings {
		return nil, fmt.Errorf("its string table has %d bytes", size)
	}
	for _, p := range f.Progs {
		if p.Type != elf.PT_LOAD || address < p.Vaddr || address-p.Vaddr > p.Filesz || size > p.Filesz-(address-p.Vaddr) {
			continue
		}
		r := io.NewSectionReader(p, int64(address-p.Vaddr), int64(size))
		b, err := io.ReadAll(r)
		if err == nil && uint64(len(b)) != size {
			err = io.ErrUnexpectedEOF
		}
		return b, err
	}
	return nil, errors.New("its string table is in no segment of the file")
}

// expand replaces what ld.so(8) calls rpath token expansion, and drops entries
// that are relative to a working directory, which say nothing of an image.
func (o *object) expand() {
	lib, platform := "lib", ""
	if t := triplets[o.machine]; len(t) > 0 {
		lib = "lib/" + t[0]
		platform, _, _ = strings.Cut(t[0], "-")
	}
	replace := strings.NewReplacer(
		"${ORIGIN}", path.Dir(o.at.path), "$ORIGIN", path.Dir(o.at.path),
		"${LIB}", lib, "$LIB", lib, "${PLATFORM}", platform, "$PLATFORM", platform)
	for _, list := range []*[]string{&o.rpath, &o.runpath} {
		var dirs []string
		for _, dir := range *list {
			if dir = replace.Replace(dir); path.IsAbs(dir) {
				dirs = append(dirs, path.Clean(dir))
			}
		}
		*list = dirs
	}
	for i, name := range o.needed {
		o.needed[i] = replace.Replace(name)
	}
}

func readBounded(name string, max int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, max))
}
