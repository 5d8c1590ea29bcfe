package layer

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io"
	"slices"
	"strings"
)

// publicNames are what code may use of what a program exports: the words of the headers
// that are written to it, and the names that it has from the beginning.
type publicNames struct {
	words map[string]bool
	// whole are C names, and C++ namespaces of which everything is public.
	whole map[string]bool
	word  []byte
}

func newPublicNames(whole []string) *publicNames {
	p := &publicNames{words: map[string]bool{}, whole: map[string]bool{}}
	for _, name := range whole {
		p.whole[name] = true
	}
	return p
}

// maxIdentifier bounds the length of a word; one that is longer is not collected.
const maxIdentifier = 256

func (p *publicNames) Write(text []byte) (int, error) {
	for _, c := range text {
		switch {
		case c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z'):
			p.end()
		case len(p.word) <= maxIdentifier:
			p.word = append(p.word, c)
		}
	}
	return len(text), nil
}

// end ends a file: its last word does not go on in the next one.
func (p *publicNames) end() {
	if n := len(p.word); n > 0 && n <= maxIdentifier {
		p.words[string(p.word)] = true
	}
	p.word = p.word[:0]
}

// has says whether code that includes the headers can need a symbol by its name: they
// declare a C name, and of a C++ name, mangled as
// https://itanium-cxx-abi.github.io/cxx-abi/abi.html#mangling says, all parts up to its
// arguments. Kept is also what is not understood, and what C leaves to its
// implementation (names with an underscore at their beginning).
//
// What the compiler has made of the standard library's templates is not needed: other
// code has its own, or has it from that library. Of what there must be only one of in
// a process, unique symbols, it takes what is there first.
func (p *publicNames) has(symbol string, bind elf.SymBind) bool {
	const unique = elf.STB_LOOS // STB_GNU_UNIQUE
	rest, mangled := strings.CutPrefix(symbol, "_Z")
	if !mangled {
		return strings.HasPrefix(symbol, "_") || p.declares(symbol) || p.whole[symbol]
	}
	// A table or guard variable of something.
	for _, kind := range []string{"TV", "TT", "TI", "TS", "TC", "TH", "TW", "GV", "GR"} {
		if of, ok := strings.CutPrefix(rest, kind); ok {
			rest = of
			break
		}
	}
	// Local to a function, nested, and the qualifiers of a method.
	rest = strings.TrimLeft(rest, "ZNrVKRO")
	if strings.HasPrefix(rest, "S") {
		return bind == unique
	}
	for known, name := true, ""; ; name += "::" {
		part, more, ok := sourceName(rest)
		if !ok {
			return known
		}
		if name += part; p.whole[name] {
			return true
		}
		known = known && p.declares(part)
		rest = more
	}
}

// declares says whether the headers declare a name: it is one of their words, or a macro
// joins it of words and arguments, as OpenSSL's make X509_free (name##_free),
// PEM_read_bio_X509 (PEM_read_bio_##name) and i2d_X509_NDEF (i2d_##name##_NDEF).
func (p *publicNames) declares(name string) bool {
	if p.words[name] || p.ends(name) {
		return true
	}
	for i := range len(name) {
		if rest := name[i+1:]; name[i] == '_' && p.words[name[:i+1]] && (p.words[rest] || p.ends(rest)) {
			return true
		}
	}
	return false
}

// ends says whether a name is a word and what a macro adds.
func (p *publicNames) ends(name string) bool {
	for i := range len(name) {
		if name[i] == '_' && p.words[name[i:]] && p.words[name[:i]] {
			return true
		}
	}
	return false
}

// sourceName reads a name with its length before it, as mangled names have it.
func sourceName(s string) (name, rest string, ok bool) {
	n, digits := 0, 0
	for digits < len(s) && digits < 6 && s[digits] >= '0' && s[digits] <= '9' {
		n = 10*n + int(s[digits]-'0')
		digits++
	}
	if digits == 0 || n == 0 || n > len(s)-digits {
		return "", s, false
	}
	return s[digits : digits+n], s[digits+n:], true
}

// planExports says how to take out of a program or library, for any architecture of
// 64 bits, what it exports to others under names that are not public: of symbols that
// are defined there and that nothing in the file refers to. Their entries become zeros,
// so that all symbols keep their numbers, the names that are left come together, and
// the table that they are found by is made to fit; no section changes its place or
// size. It returns nil for a file that has nothing of this, or something that is not
// understood.
func planExports(r io.ReaderAt, public *publicNames) *stripped {
	f := readProgram(r)
	if f == nil || f.Class != elf.ELFCLASS64 || f.SectionByType(elf.SHT_HASH) != nil {
		return nil
	}
	x, ok := readExports(f)
	if !ok {
		return nil
	}
	referred, ok := x.referred(f)
	if !ok {
		return nil
	}
	// Data of a library that the program has copied may have several names, of which
	// its relocation has one.
	copied := map[uint64]bool{}
	for i, s := range x.named {
		copied[s.Value] = copied[s.Value] || s.Section != elf.SHN_UNDEF && referred[i+1]
	}
	drop := make([]bool, x.count())
	for i, s := range x.named {
		drop[i+1] = s.Section != elf.SHN_UNDEF && !copied[s.Value] && !public.has(s.Name, elf.ST_BIND(s.Info))
	}
	if !slices.Contains(drop, true) || !x.forget(drop) || !x.rehash(drop) {
		return nil
	}
	return &stripped{pieces: x.pieces()}
}

// exports are the sections by which others find what a file exports.
type exports struct {
	order binary.ByteOrder
	// named are the symbols but for the first, which is none.
	named                          []elf.Symbol
	symbols, names, hash, versions table
	// index is the number of the section of symbols.
	index int
	// others are texts that stand among the names and are none of a symbol.
	others []string
}

type table struct {
	section *elf.Section
	data    []byte
}

// pieces are the tables as they are to be written.
func (x *exports) pieces() []piece {
	var pieces []piece
	for _, t := range []table{x.symbols, x.names, x.hash, x.versions} {
		if t.section != nil {
			pieces = append(pieces, piece{int64(t.section.Offset), t.data})
		}
	}
	return pieces
}

const symbolSize = elf.Sym64Size

func (x *exports) count() int { return len(x.named) + 1 }

func readExports(f *elf.File) (*exports, bool) {
	x := &exports{order: f.ByteOrder}
	read := func(s *elf.Section) (table, bool) {
		if s == nil || s.Flags&elf.SHF_ALLOC == 0 || s.Flags&elf.SHF_COMPRESSED != 0 {
			return table{}, false
		}
		data, err := s.Data()
		return table{s, data}, err == nil
	}
	x.index = slices.IndexFunc(f.Sections, func(s *elf.Section) bool { return s.Type == elf.SHT_DYNSYM })
	if x.index < 0 || int64(f.Sections[x.index].Link) >= int64(len(f.Sections)) {
		return nil, false
	}
	var ok [3]bool
	x.symbols, ok[0] = read(f.Sections[x.index])
	x.names, ok[1] = read(f.Sections[f.Sections[x.index].Link])
	x.hash, ok[2] = read(f.SectionByType(elf.SHT_GNU_HASH))
	if slices.Contains(ok[:], false) {
		return nil, false
	}
	var err error
	if x.named, err = f.DynamicSymbols(); err != nil || len(x.symbols.data) != x.count()*symbolSize {
		return nil, false
	}
	for _, tag := range []elf.DynTag{elf.DT_NEEDED, elf.DT_SONAME, elf.DT_RPATH, elf.DT_RUNPATH} {
		texts, err := f.DynString(tag)
		if err != nil {
			return nil, false
		}
		x.others = append(x.others, texts...)
	}
	if s := f.SectionByType(elf.SHT_GNU_VERSYM); s != nil {
		var there bool
		if x.versions, there = read(s); !there || len(x.versions.data) != 2*x.count() {
			return nil, false
		}
		defined, err := f.DynamicVersions()
		if err != nil {
			return nil, false
		}
		for _, v := range defined {
			x.others = append(append(x.others, v.Name), v.Deps...)
		}
		needed, err := f.DynamicVersionNeeds()
		if err != nil {
			return nil, false
		}
		for _, v := range needed {
			x.others = append(x.others, v.Name)
			for _, d := range v.Needs {
				x.others = append(x.others, d.Dep)
			}
		}
	}
	return x, true
}

// referred are the symbols that relocations of the file name by their number.
func (x *exports) referred(f *elf.File) ([]bool, bool) {
	const size, info = 24, 8 // of Elf64_Rela, and where in it r_info is
	out := make([]bool, x.count())
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 || s.Type != elf.SHT_REL && s.Type != elf.SHT_RELA {
			continue
		}
		data, err := s.Data()
		if err != nil || s.Type == elf.SHT_REL || int(s.Link) != x.index || len(data)%size != 0 {
			return nil, false
		}
		for ; len(data) > 0; data = data[size:] {
			symbol := elf.R_SYM64(x.order.Uint64(data[info:]))
			if int64(symbol) >= int64(len(out)) {
				return nil, false
			}
			out[symbol] = true
		}
	}
	return out, true
}

// forget clears the entries of symbols and writes the names of the others anew, around
// the texts that are none of a symbol: other sections know where those are.
func (x *exports) forget(drop []bool) bool {
	taken := make([]bool, len(x.names.data))
	for _, text := range x.others {
		if text == "" {
			continue
		}
		for from := 0; ; from++ {
			at := bytes.Index(x.names.data[from:], append([]byte(text), 0))
			if at < 0 {
				break
			}
			from += at
			for b := from; b <= from+len(text); b++ {
				taken[b] = true
			}
		}
	}
	for b := range x.names.data {
		if !taken[b] {
			x.names.data[b] = 0
		}
	}
	places, ok := x.lay(taken, drop)
	if !ok {
		return false
	}
	for i := 1; i < x.count(); i++ {
		entry := x.symbols.data[i*symbolSize : (i+1)*symbolSize]
		if !drop[i] {
			x.order.PutUint32(entry, places[x.named[i-1].Name])
			continue
		}
		clear(entry)
		if x.versions.section != nil {
			clear(x.versions.data[2*i : 2*i+2])
		}
	}
	return true
}

// lay writes the names of the symbols that are left where nothing is taken, and returns
// where each is; false when there is no room. As linkers have it, a name
// that another one ends with is not there twice.
func (x *exports) lay(taken, drop []bool) (map[string]uint32, bool) {
	places := map[string]uint32{"": 0}
	var names []string
	for i, s := range x.named {
		if _, there := places[s.Name]; !there && !drop[i+1] {
			places[s.Name] = 0
			names = append(names, s.Name)
		}
	}
	// By their ends, the longer one first.
	slices.SortFunc(names, func(a, b string) int {
		i, j := len(a), len(b)
		for ; i > 0 && j > 0; i, j = i-1, j-1 {
			if a[i-1] != b[j-1] {
				return int(a[i-1]) - int(b[j-1])
			}
		}
		return j - i
	})
	at, last := 1, ""
	for _, name := range names {
		if strings.HasSuffix(last, name) {
			places[name] = places[last] + uint32(len(last)-len(name))
			continue
		}
		for {
			if at+len(name) >= len(taken) {
				return nil, false
			}
			n := slices.Index(taken[at:at+len(name)+1], true)
			if n < 0 {
				break
			}
			at += n + 1
		}
		copy(x.names.data[at:], name)
		places[name] = uint32(at)
		at, last = at+len(name)+1, name
	}
	return places, true
}

// rehash makes the table of hashes fit
// (https://sourceware.org/legacy-ml/binutils/2006-10/msg00377.html): a Bloom filter,
// the first symbol of each bucket, and for each symbol its hash, whose lowest bit ends
// a bucket. Symbols keep their numbers, so a bucket may have some that are cleared: a
// hash of 0 with a name that is empty.
func (x *exports) rehash(drop []bool) bool {
	const header, word = 16, 8
	h := x.hash.data
	if len(h) < header {
		return false
	}
	buckets, first := int64(x.order.Uint32(h)), int64(x.order.Uint32(h[4:]))
	words, shift := int64(x.order.Uint32(h[8:])), x.order.Uint32(h[12:])
	hashes := header + words*word + buckets*4
	if words == 0 || words&(words-1) != 0 || first < 1 || first > int64(x.count()) || int64(len(h)) != hashes+4*(int64(x.count())-first) {
		return false
	}
	filter, heads, chain := h[header:header+words*word], h[header+words*word:hashes], h[hashes:]

	clear(filter)
	for i := first; i < int64(x.count()); i++ {
		if drop[i] {
			last := x.order.Uint32(chain[4*(i-first):]) & 1
			x.order.PutUint32(chain[4*(i-first):], last)
			continue
		}
		hash := gnuHash(x.named[i-1].Name)
		if x.order.Uint32(chain[4*(i-first):])|1 != hash|1 {
			return false
		}
		at := word * (int64(hash/64) & (words - 1))
		x.order.PutUint64(filter[at:], x.order.Uint64(filter[at:])|1<<(hash%64)|1<<((hash>>shift)%64))
	}
	for b := range buckets {
		head := int64(x.order.Uint32(heads[4*b:]))
		if head == 0 {
			continue
		}
		left := false
		for i := head; ; i++ {
			if i < first || i >= int64(x.count()) {
				return false
			}
			left = left || !drop[i]
			if x.order.Uint32(chain[4*(i-first):])&1 == 1 {
				break
			}
		}
		if !left {
			x.order.PutUint32(heads[4*b:], 0)
		}
	}
	return true
}

func gnuHash(name string) uint32 {
	h := uint32(5381)
	for i := range len(name) {
		h = h*33 + uint32(name[i])
	}
	return h
}
