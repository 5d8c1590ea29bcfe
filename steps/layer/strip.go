package layer

import (
	"bytes"
	"crypto/md5"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"syscall"
)

// strip strips the ELF files that packages and archives brought. It comes after
// all are unpacked, so that equal files of two packages are compared as they came.
// Public are, by archive, the names of what its files export that are left, if not all.
func (t *tree) strip(public map[string]*publicNames) error {
	for _, name := range slices.Sorted(maps.Keys(t.nodes)) {
		n := t.nodes[name]
		if n.kind != regular || n.pkg == "" {
			continue
		}
		if err := t.stripFile(name, n, public[n.pkg]); err != nil {
			return fmt.Errorf("/%s: %w", name, err)
		}
	}
	return nil
}

func (t *tree) stripFile(name string, n *node, public *publicNames) error {
	f, err := t.root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	changed := false
	if plan := planStrip(f, info.Size()); plan != nil {
		if err := t.rewrite(name, n, plan); err != nil {
			return err
		}
		changed = true
	}
	if public != nil {
		if plan := planExports(f, public); plan != nil {
			if err := t.rewrite(name, n, plan); err != nil {
				return err
			}
			changed = true
		}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); !changed && (!ok || st.Nlink < 2) {
		return nil
	}
	// Another name of the file may be what it was stripped by.
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	hash := md5.New()
	if _, err := io.CopyBuffer(hash, struct{ io.Reader }{f}, t.buf); err != nil {
		return err
	}
	copy(n.md5[:], hash.Sum(nil))
	return nil
}

// rewrite changes a file in place: it may have other names.
func (t *tree) rewrite(name string, n *node, plan *stripped) (err error) {
	// Its mode may forbid its owner to write.
	if err := t.root.Chmod(name, 0o600); err != nil {
		return err
	}
	w, err := t.root.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() {
		if e := w.Close(); err == nil {
			err = e
		}
	}()
	if err := plan.apply(w, t.buf); err != nil {
		return err
	}
	return w.Chmod(n.mode)
}

// stripped says how to strip an ELF file in place.
type stripped struct {
	// moves copy parts of the file towards its beginning, in order; then
	// pieces are written, and the file is cut, if it has a size.
	moves  []move
	pieces []piece
	size   int64
}

type move struct{ from, to, size int64 }

type piece struct {
	at   int64
	data []byte
}

func (s *stripped) apply(f interface {
	io.ReaderAt
	io.WriterAt
	Truncate(int64) error
}, buf []byte) error {
	for _, m := range s.moves {
		for done := int64(0); done < m.size; {
			n := min(int64(len(buf)), m.size-done)
			if _, err := f.ReadAt(buf[:n], m.from+done); err != nil {
				return err
			}
			if _, err := f.WriteAt(buf[:n], m.to+done); err != nil {
				return err
			}
			done += n
		}
	}
	for _, p := range s.pieces {
		if _, err := f.WriteAt(p.data, p.at); err != nil {
			return err
		}
	}
	if s.size == 0 {
		return nil
	}
	return f.Truncate(s.size)
}

// readProgram reads an ELF program or library; nil for what is none.
func readProgram(r io.ReaderAt) *elf.File {
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := r.ReadAt(magic, 0); err != nil || string(magic) != elf.ELFMAG {
		return nil
	}
	f, err := elf.NewFile(r)
	if err != nil || f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil
	}
	return f
}

// debugSections are the beginnings of names of sections that only linkers and
// debuggers read. Such a section is only dropped if it is not loaded.
var debugSections = []string{
	".comment", ".debug", ".gdb_index", ".gnu.build.attributes", ".gnu.debuglto_", ".gnu.lto_", ".gnu_debug", ".line", ".stab", ".zdebug",
}

// planStrip says how to strip an ELF program or library, for any architecture:
// of what is not loaded, the symbol table, its names and its relocations, the
// debugging information and comments go; everything else keeps its bytes, and
// what is loaded its place. It returns nil for a file that has none of these, is
// no program or library, or has something that is not understood, such as data
// behind its end.
func planStrip(r io.ReaderAt, size int64) *stripped {
	f := readProgram(r)
	if f == nil {
		return nil
	}
	h, ok := readFileHeader(r, f)
	if !ok || len(f.Sections) < 2 {
		return nil
	}
	drop := sectionsToDrop(f, h.names)
	if !slices.Contains(drop, true) {
		return nil
	}

	// What is up to end stays where it is; last is the end of what is known.
	end := max(h.size, h.programs)
	for _, p := range f.Progs {
		if p.Off > 1<<48 || p.Filesz > 1<<48 {
			return nil
		}
		end = max(end, int64(p.Off+p.Filesz))
	}
	last := h.sections
	for i, s := range f.Sections {
		if s.Type == elf.SHT_NULL || s.Type == elf.SHT_NOBITS {
			continue
		}
		if s.Offset > 1<<48 || s.FileSize > 1<<48 {
			return nil
		}
		last = max(last, int64(s.Offset+s.FileSize))
		if s.Flags&elf.SHF_ALLOC != 0 {
			end = max(end, int64(s.Offset+s.FileSize))
			// Symbols name sections by number.
			if slices.Contains(drop[:i], true) {
				return nil
			}
		}
	}
	if max(last, end) != size {
		return nil
	}

	// The new numbers, names and places of the sections that are kept.
	out := &stripped{}
	number := make([]uint32, len(f.Sections))
	var kept []int
	for i := range f.Sections {
		if !drop[i] {
			number[i] = uint32(len(kept))
			kept = append(kept, i)
		}
	}
	names := []byte{0}
	nameAt := map[string]uint32{"": 0}
	for _, i := range kept {
		name := f.Sections[i].Name
		if _, there := nameAt[name]; !there {
			nameAt[name] = uint32(len(names))
			names = append(append(names, name...), 0)
		}
	}
	place := map[int]int64{}
	at := end
	var moved []int
	for _, i := range kept {
		s := f.Sections[i]
		place[i] = int64(s.Offset)
		switch {
		case i == h.names || s.Type == elf.SHT_NULL || s.Type == elf.SHT_NOBITS || int64(s.Offset+s.FileSize) <= end:
		case int64(s.Offset) < end:
			return nil
		default:
			moved = append(moved, i)
		}
	}
	slices.SortStableFunc(moved, func(a, b int) int {
		return int(int64(f.Sections[a].Offset>>1) - int64(f.Sections[b].Offset>>1))
	})
	for _, i := range moved {
		s := f.Sections[i]
		to, ok := align(at, s.Addralign)
		if !ok || to > int64(s.Offset) {
			return nil
		}
		out.moves = append(out.moves, move{int64(s.Offset), to, int64(s.FileSize)})
		out.fill(at, to)
		place[i], at = to, to+int64(s.FileSize)
	}
	place[h.names] = at
	out.pieces = append(out.pieces, piece{at, names})
	table, _ := align(at+int64(len(names)), uint64(h.word))
	out.fill(at+int64(len(names)), table)

	var headers bytes.Buffer
	for _, i := range kept {
		s := f.Sections[i]
		section := elf.Section64{
			Name: nameAt[s.Name], Type: uint32(s.Type), Flags: uint64(s.Flags), Addr: s.Addr, Off: uint64(place[i]),
			Size: s.FileSize, Addralign: s.Addralign, Entsize: s.Entsize, Info: s.Info,
		}
		if i == h.names {
			section.Size = uint64(len(names))
		}
		relocations := s.Type == elf.SHT_REL || s.Type == elf.SHT_RELA
		switch link := s.Link; {
		case int64(link) >= int64(len(drop)):
			return nil
		case !drop[link]:
			section.Link = number[link]
		case !relocations:
			return nil
		}
		if relocations || s.Flags&elf.SHF_INFO_LINK != 0 {
			if int64(s.Info) >= int64(len(drop)) || drop[s.Info] {
				return nil
			}
			section.Info = number[s.Info]
		}
		if s.Flags&elf.SHF_COMPRESSED != 0 || i == 0 && section != (elf.Section64{}) {
			return nil
		}
		h.encode(&headers, section)
	}
	out.pieces = append(out.pieces, piece{table, headers.Bytes()})
	out.pieces = append(out.pieces, h.fields(table, len(kept), number[h.names])...)
	out.size = table + int64(headers.Len())
	if out.size >= size {
		return nil
	}
	return out
}

// fill writes zeros.
func (s *stripped) fill(from, to int64) {
	if to > from {
		s.pieces = append(s.pieces, piece{from, make([]byte, to-from)})
	}
}

// align rounds up to an alignment that sections have: 0 and 1 are none, others
// are powers of two.
func align(at int64, to uint64) (int64, bool) {
	if to < 2 {
		return at, true
	}
	if to > 1<<16 || to&(to-1) != 0 {
		return 0, false
	}
	return (at + int64(to) - 1) &^ (int64(to) - 1), true
}

func sectionsToDrop(f *elf.File, names int) []bool {
	drop := make([]bool, len(f.Sections))
	for i, s := range f.Sections {
		if i == 0 || i == names || s.Flags&elf.SHF_ALLOC != 0 {
			continue
		}
		switch s.Type {
		case elf.SHT_SYMTAB:
			drop[i] = true
			// Its names, unless it shares them.
			if l := int(s.Link); l > 0 && l < len(f.Sections) && l != names && f.Sections[l].Type == elf.SHT_STRTAB && f.Sections[l].Flags&elf.SHF_ALLOC == 0 {
				drop[l] = true
			}
		case elf.SHT_SYMTAB_SHNDX, elf.SHT_REL, elf.SHT_RELA:
			drop[i] = true
		default:
			drop[i] = drop[i] || slices.ContainsFunc(debugSections, func(p string) bool { return strings.HasPrefix(s.Name, p) })
		}
	}
	return drop
}

// fileHeader is what the file's header says and debug/elf does not tell.
type fileHeader struct {
	class elf.Class
	order binary.ByteOrder
	// word is 4 or 8, the size of an address.
	word int
	// size is the header's own; programs and sections are the ends of the two
	// tables.
	size, programs, sections int64
	// names is the number of the section with the names of sections.
	names int
}

func readFileHeader(r io.ReaderAt, f *elf.File) (fileHeader, bool) {
	h := fileHeader{class: f.Class, order: f.ByteOrder, word: 8}
	var raw elf.Header64
	switch h.class {
	case elf.ELFCLASS64:
		h.size = int64(binary.Size(raw))
		if err := binary.Read(io.NewSectionReader(r, 0, h.size), h.order, &raw); err != nil {
			return h, false
		}
	case elf.ELFCLASS32:
		var small elf.Header32
		h.word, h.size = 4, int64(binary.Size(small))
		if err := binary.Read(io.NewSectionReader(r, 0, h.size), h.order, &small); err != nil {
			return h, false
		}
		raw = elf.Header64{
			Phoff: uint64(small.Phoff), Shoff: uint64(small.Shoff), Phentsize: small.Phentsize, Phnum: small.Phnum,
			Shentsize: small.Shentsize, Shnum: small.Shnum, Shstrndx: small.Shstrndx,
		}
	default:
		return h, false
	}
	if raw.Phoff > 1<<48 || raw.Shoff > 1<<48 || int(raw.Shentsize) != h.sectionSize() ||
		int(raw.Shnum) != len(f.Sections) || int(raw.Phnum) != len(f.Progs) || int(raw.Shstrndx) >= len(f.Sections) || raw.Shstrndx == 0 {
		return h, false
	}
	h.names = int(raw.Shstrndx)
	if raw.Phnum > 0 {
		h.programs = int64(raw.Phoff) + int64(raw.Phnum)*int64(raw.Phentsize)
	}
	h.sections = int64(raw.Shoff) + int64(raw.Shnum)*int64(raw.Shentsize)
	return h, f.Sections[h.names].Flags&elf.SHF_ALLOC == 0
}

func (h fileHeader) sectionSize() int {
	if h.class == elf.ELFCLASS32 {
		return binary.Size(elf.Section32{})
	}
	return binary.Size(elf.Section64{})
}

// encode writes a section header.
func (h fileHeader) encode(w *bytes.Buffer, s elf.Section64) {
	var v any = s
	if h.class == elf.ELFCLASS32 {
		v = elf.Section32{
			Name: s.Name, Type: s.Type, Flags: uint32(s.Flags), Addr: uint32(s.Addr), Off: uint32(s.Off), Size: uint32(s.Size),
			Link: s.Link, Info: s.Info, Addralign: uint32(s.Addralign), Entsize: uint32(s.Entsize),
		}
	}
	if err := binary.Write(w, h.order, v); err != nil {
		panic(err) // a value of fixed size, to memory
	}
}

// fields are the header's fields for the table of sections.
func (h fileHeader) fields(table int64, count int, names uint32) []piece {
	number := func(at int64, size int, v uint64) piece {
		b := make([]byte, 8)
		switch size {
		case 2:
			h.order.PutUint16(b, uint16(v))
		case 4:
			h.order.PutUint32(b, uint32(v))
		default:
			h.order.PutUint64(b, v)
		}
		return piece{at, b[:size]}
	}
	if h.class == elf.ELFCLASS32 {
		return []piece{number(0x20, 4, uint64(table)), number(0x30, 2, uint64(count)), number(0x32, 2, uint64(names))}
	}
	return []piece{number(0x28, 8, uint64(table)), number(0x3c, 2, uint64(count)), number(0x3e, 2, uint64(names))}
}
