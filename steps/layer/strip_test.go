package layer

import (
	"archive/tar"
	"bytes"
	"crypto/md5"
	"debug/elf"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sect is a section of a made ELF file; alloc ones lie in its one segment.
type sect struct {
	name   string
	kind   elf.SectionType
	flags  elf.SectionFlag
	data   string
	link   int
	info   int
	align  int
	before int // bytes of nothing before it
}

// elfOf makes a file of a header, one loaded segment that ends with the last
// alloc section, the sections in order and, at its end, their table.
func elfOf(class elf.Class, data elf.Data, kind elf.Type, sections []sect) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if data == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	header, program, entry := 64, 56, 64
	if class == elf.ELFCLASS32 {
		header, program, entry = 52, 32, 40
	}
	names := "\x00"
	for _, s := range sections {
		names += s.name + "\x00"
	}
	body := make([]byte, header+program)
	var table bytes.Buffer
	put := func(v any) {
		if err := binary.Write(&table, order, v); err != nil {
			panic(err)
		}
	}
	section := func(s elf.Section64) {
		if class == elf.ELFCLASS64 {
			put(s)
			return
		}
		put(elf.Section32{Name: s.Name, Type: s.Type, Flags: uint32(s.Flags), Addr: uint32(s.Addr), Off: uint32(s.Off),
			Size: uint32(s.Size), Link: s.Link, Info: s.Info, Addralign: uint32(s.Addralign), Entsize: uint32(s.Entsize)})
	}
	section(elf.Section64{})
	end := len(body)
	shstrtab := 0
	for i, s := range sections {
		if s.name == ".shstrtab" {
			s.data, shstrtab = names, i+1
		}
		body = append(body, make([]byte, s.before)...)
		section(elf.Section64{
			Name: uint32(strings.Index(names, "\x00"+s.name+"\x00") + 1), Type: uint32(s.kind), Flags: uint64(s.flags),
			Off: uint64(len(body)), Size: uint64(len(s.data)), Link: uint32(s.link), Info: uint32(s.info), Addralign: uint64(s.align),
		})
		body = append(body, s.data...)
		if s.flags&elf.SHF_ALLOC != 0 {
			end = len(body)
		}
	}
	at := len(body)
	body = append(body, table.Bytes()...)

	var head bytes.Buffer
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(class), byte(data), byte(elf.EV_CURRENT)}
	write := func(v any) {
		if err := binary.Write(&head, order, v); err != nil {
			panic(err)
		}
	}
	count, flags := uint16(len(sections)+1), uint32(elf.PF_R)
	if class == elf.ELFCLASS64 {
		write(elf.Header64{Ident: ident, Type: uint16(kind), Machine: uint16(elf.EM_PPC64), Version: 1, Phoff: uint64(header), Shoff: uint64(at),
			Ehsize: uint16(header), Phentsize: uint16(program), Phnum: 1, Shentsize: uint16(entry), Shnum: count, Shstrndx: uint16(shstrtab)})
		write(elf.Prog64{Type: uint32(elf.PT_LOAD), Flags: flags, Filesz: uint64(end), Memsz: uint64(end)})
	} else {
		write(elf.Header32{Ident: ident, Type: uint16(kind), Machine: uint16(elf.EM_PPC), Version: 1, Phoff: uint32(header), Shoff: uint32(at),
			Ehsize: uint16(header), Phentsize: uint16(program), Phnum: 1, Shentsize: uint16(entry), Shnum: count, Shstrndx: uint16(shstrtab)})
		write(elf.Prog32{Type: uint32(elf.PT_LOAD), Flags: flags, Filesz: uint32(end), Memsz: uint32(end)})
	}
	copy(body, head.Bytes())
	return body
}

// madeSections are 1 .dynsym, 2 .dynstr, 3 .text, 4 .rela.plt, 5 .comment,
// 6 .payload, 7 .debug_info, 8 .rela.text, 9 .symtab, 10 .strtab, 11 .shstrtab,
// 12 .last.
func madeSections() []sect {
	return []sect{
		{name: ".dynsym", kind: elf.SHT_DYNSYM, flags: elf.SHF_ALLOC, data: strings.Repeat("\x00", 48), link: 2, info: 1, align: 8},
		{name: ".dynstr", kind: elf.SHT_STRTAB, flags: elf.SHF_ALLOC, data: "\x00"},
		{name: ".text", kind: elf.SHT_PROGBITS, flags: elf.SHF_ALLOC, data: "the program", align: 4},
		{name: ".rela.plt", kind: elf.SHT_RELA, flags: elf.SHF_ALLOC | elf.SHF_INFO_LINK, data: "relocations", link: 9, info: 3},
		{name: ".comment", kind: elf.SHT_PROGBITS, data: "made by hand", before: 5},
		{name: ".payload", kind: elf.SHT_PROGBITS, data: "kept data", align: 16, before: 4096},
		{name: ".debug_info", kind: elf.SHT_PROGBITS, data: strings.Repeat("debug", 500)},
		{name: ".rela.text", kind: elf.SHT_RELA, data: "for linkers", link: 9, info: 3},
		{name: ".symtab", kind: elf.SHT_SYMTAB, data: strings.Repeat("\x00", 480), link: 10, align: 8},
		{name: ".strtab", kind: elf.SHT_STRTAB, data: "\x00names"},
		{name: ".shstrtab", kind: elf.SHT_STRTAB},
		{name: ".last", kind: elf.SHT_NOTE, data: "last"},
	}
}

// stripBytes strips in memory; false when the file is left alone.
func stripBytes(t testing.TB, file []byte) ([]byte, bool) {
	t.Helper()
	// A small buffer, so that what moves a little overlaps itself.
	return changed(t, file, planStrip(bytes.NewReader(file), int64(len(file))), make([]byte, 7))
}

// changed is a file after what a plan says; false when there is none.
func changed(t testing.TB, file []byte, plan *stripped, buf []byte) ([]byte, bool) {
	t.Helper()
	if plan == nil {
		return file, false
	}
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := plan.apply(f, buf); err != nil {
		t.Fatal(err)
	}
	out, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return out, true
}

func TestStripMade(t *testing.T) {
	for _, class := range []elf.Class{elf.ELFCLASS32, elf.ELFCLASS64} {
		for _, data := range []elf.Data{elf.ELFDATA2LSB, elf.ELFDATA2MSB} {
			for _, kind := range []elf.Type{elf.ET_EXEC, elf.ET_DYN} {
				whole := elfOf(class, data, kind, madeSections())
				out, ok := stripBytes(t, whole)
				if !ok {
					t.Errorf("%v %v %v: left alone", class, data, kind)
					continue
				}
				checkStripped(t, whole, out)
				f, err := elf.NewFile(bytes.NewReader(out))
				if err != nil {
					t.Fatal(err)
				}
				var got []string
				for _, s := range f.Sections[1:] {
					content := ""
					if s.Type != elf.SHT_DYNSYM && s.Name != ".shstrtab" && s.Name != ".dynstr" {
						b, err := s.Data()
						if err != nil {
							t.Fatal(err)
						}
						content = string(b)
					}
					got = append(got, fmt.Sprintf("%s %d %d %s", s.Name, s.Link, s.Info, content))
				}
				want := []string{".dynsym 2 1 ", ".dynstr 0 0 ", ".text 0 0 the program", ".rela.plt 0 3 relocations",
					".payload 0 0 kept data", ".shstrtab 0 0 ", ".last 0 0 last"}
				if !slices.Equal(got, want) {
					t.Errorf("%v %v %v: got %q, want %q", class, data, kind, got, want)
				}
				if p := f.Section(".payload"); p.Offset%16 != 0 || p.Offset > 512 {
					t.Errorf("%v %v %v: .payload is at %d", class, data, kind, p.Offset)
				}
				if again, ok := stripBytes(t, out); ok {
					t.Errorf("%v %v %v: stripped twice, from %d to %d bytes", class, data, kind, len(out), len(again))
				}
				if bytes.Contains(out, []byte("made by hand")) || bytes.Contains(out, []byte(".symtab")) {
					t.Errorf("%v %v %v: something is left", class, data, kind)
				}
			}
		}
	}
}

// checkStripped: what is loaded is where it was, byte for byte, and the file
// ends with the table of its sections.
func checkStripped(t testing.TB, before, after []byte) {
	t.Helper()
	old, err := elf.NewFile(bytes.NewReader(before))
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.NewFile(bytes.NewReader(after))
	if err != nil {
		t.Fatalf("what is left is no ELF file: %v", err)
	}
	if f.FileHeader.Type != old.FileHeader.Type || f.Entry != old.Entry || f.Machine != old.Machine || len(f.Progs) != len(old.Progs) {
		t.Fatalf("the header changed: %+v, was %+v", f.FileHeader, old.FileHeader)
	}
	header := uint64(64)
	if f.Class == elf.ELFCLASS32 {
		header = 52
	}
	for i, p := range old.Progs {
		if f.Progs[i].ProgHeader != p.ProgHeader {
			t.Errorf("program header %d is %+v, was %+v", i, f.Progs[i].ProgHeader, p.ProgHeader)
		}
		from := max(p.Off, header)
		if end := p.Off + p.Filesz; end > from && !bytes.Equal(before[from:end], after[from:end]) {
			t.Errorf("segment %d changed", i)
		}
	}
	for _, s := range f.Sections {
		if s.Flags&elf.SHF_ALLOC == 0 {
			continue
		}
		if o := old.Section(s.Name); o == nil || o.Offset != s.Offset || o.Addr != s.Addr || o.Size != s.Size || o.Type != s.Type || o.Addralign != s.Addralign || o.Entsize != s.Entsize {
			t.Errorf("section %s changed: %+v, was %+v", s.Name, s, o)
		}
	}
	if f.Section(".symtab") != nil {
		t.Error("it still has a symbol table")
	}
}

func TestStripLeavesAlone(t *testing.T) {
	with := func(change func(s []sect) []sect) []byte {
		return elfOf(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_EXEC, change(madeSections()))
	}
	whole := with(func(s []sect) []sect { return s })
	if _, ok := stripBytes(t, whole); !ok {
		t.Fatal("the example itself is left alone")
	}
	patched := func(at int, b ...byte) []byte {
		out := bytes.Clone(whole)
		copy(out[at:], b)
		return out
	}
	for name, file := range map[string][]byte{
		"empty":                   {},
		"short":                   []byte("\x7fELF"),
		"script":                  []byte("#!/bin/sh\n" + strings.Repeat("true\n", 100)),
		"object":                  elfOf(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_REL, madeSections()),
		"core":                    elfOf(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_CORE, madeSections()),
		"data behind its end":     append(bytes.Clone(whole), "payload"...),
		"cut":                     whole[:len(whole)-1],
		"no class":                patched(4, 7),
		"nothing to strip":        elfOf(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_EXEC, append(madeSections()[:3], sect{name: ".shstrtab", kind: elf.SHT_STRTAB})),
		"no names":                patched(0x3e, 0, 0),
		"names beyond":            patched(0x3e, 200, 0),
		"another size of headers": patched(0x3a, 72, 0),
		"segment of everything":   patched(64+32, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f),
		"loaded behind what goes": with(func(s []sect) []sect { s[4], s[2] = s[2], s[4]; s[3].info = 5; return s }),
		"linked to what goes":     with(func(s []sect) []sect { s[5].link = 9; return s }),
		"linked beyond":           with(func(s []sect) []sect { s[5].link = 99; return s }),
		"relocates what goes":     with(func(s []sect) []sect { s[3].info = 7; return s }),
		"compressed and not debug": with(func(s []sect) []sect {
			s[5].flags = elf.SHF_COMPRESSED
			s[5].data = strings.Repeat("\x01\x00\x00\x00\x00\x00\x00\x00", 4)
			return s
		}),
		"alignment of three":         with(func(s []sect) []sect { s[5].align = 3; return s }),
		"alignment beyond its place": with(func(s []sect) []sect { s[5].align = 1 << 15; return s }),
	} {
		if out, ok := stripBytes(t, file); ok {
			t.Errorf("%s: stripped to %d bytes", name, len(out))
		}
	}
}

// Files that other names or packages have too are stripped once, and what is
// recorded of them is what is there.
func TestStripLayer(t *testing.T) {
	whole := elfOf(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_EXEC, madeSections())
	want, ok := stripBytes(t, whole)
	if !ok {
		t.Fatal("the example is left alone")
	}
	object := string(elfOf(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_REL, madeSections()))
	spec := Spec{Strip: true, Packages: []Package{
		pack(t, "one",
			entry{name: "./bin/program", content: string(whole), mode: 0o555},
			entry{name: "./bin/again", link: "./bin/program", flag: tar.TypeLink},
			entry{name: "./lib/crt1.o", content: object},
			entry{name: "./bin/script", content: "#!/bin/sh\n", mode: 0o755}),
		// What two packages have is compared as it came.
		pack(t, "two", entry{name: "./bin/program", content: string(whole), mode: 0o555}),
	}, Archives: []Archive{archiveOf(t, tarOf(t, []entry{{name: "node", content: string(whole), mode: 0o755}}), 0, Take{From: "node", To: "/bin/node"})},
		Files: []File{{Path: "/own", Content: string(whole)}}}
	files := []string{"bin/ 755", "lib/ 755", `bin/script 755 "#!/bin/sh\n"`, fmt.Sprintf("lib/crt1.o 644 %q", object), fmt.Sprintf("own 644 %q", whole)}
	out := mustBuild(t, spec)
	expect(t, out, append(files,
		fmt.Sprintf("bin/program 555 (2 links) %q", want), fmt.Sprintf("bin/again 555 (2 links) %q", want), fmt.Sprintf("bin/node 755 %q", want))...)
	records, err := os.ReadFile(filepath.Join(out, statusDir, "one.md5sums"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"bin/program", "bin/again"} {
		if line := fmt.Sprintf("%x  %s\n", md5.Sum(want), file); !strings.Contains(string(records), line) {
			t.Errorf("the record is %q, want %q in it", records, line)
		}
	}
	spec.Strip = false
	expect(t, mustBuild(t, spec), append(files,
		fmt.Sprintf("bin/program 555 (2 links) %q", whole), fmt.Sprintf("bin/again 555 (2 links) %q", whole), fmt.Sprintf("bin/node 755 %q", whole))...)
}

// compareSections: what binutils leaves, this leaves, but for comments.
func compareSections(t *testing.T, theirs, ours string) {
	t.Helper()
	content := func(name string) map[string]string {
		f, err := elf.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		out := map[string]string{}
		for _, s := range f.Sections {
			if s.Type == elf.SHT_NULL || s.Name == ".shstrtab" || s.Name == ".comment" {
				continue
			}
			h := md5.New()
			if s.Type != elf.SHT_NOBITS {
				if _, err := io.Copy(h, s.Open()); err != nil {
					t.Fatal(err)
				}
			}
			out[s.Name] = fmt.Sprintf("%v %v %x %x %x %d %x", s.Type, s.Flags, s.Addr, s.Size, s.Addralign, s.Info, h.Sum(nil))
		}
		return out
	}
	a, b := content(theirs), content(ours)
	if len(a) < 5 {
		t.Errorf("only %d sections", len(a))
	}
	for name, want := range a {
		if b[name] != want {
			t.Errorf("%s: %s is %s, binutils has %s", ours, name, b[name], want)
		}
	}
	for name := range b {
		if _, there := a[name]; !there {
			t.Errorf("%s: %s is left, not by binutils", ours, name)
		}
	}
}

// What compilers make, with everything that a debugger wants, is left as
// binutils leaves it, and runs.
func TestStripCompiled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a compiler")
	}
	dir := t.TempDir()
	files := map[string]string{
		"lib.c":   "#include <stdio.h>\n__thread int calls; static int seen[9];\nint twice(int n) { seen[n % 9]++; calls++; printf(\"%d\\n\", 2 * n); return seen[n % 9]; }\n",
		"main.c":  "int twice(int);\nint main(void) { return twice(21) - 1; }\n",
		"main.go": "package main\n\nfunc main() {\n\tdefer func() { println(recover().(error).Error()) }()\n\tvar none []int\n\tprintln(none[41])\n}\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"gcc", "-g3", "-shared", "-fPIC", "-o", "libtwice.so", "lib.c"},
		{"gcc", "-g", "-gz", "-o", "dynamic", "main.c", "-L.", "-ltwice", "-Wl,-rpath,$ORIGIN"},
		{"gcc", "-g", "-static", "-o", "static", "main.c", "lib.c"},
		{"gcc", "-g", "-static-pie", "-o", "static-pie", "main.c", "lib.c"},
		{"gcc", "-g", "-no-pie", "-Wl,--emit-relocs", "-o", "relocs", "main.c", "lib.c"},
		{"go", "build", "-o", "go", "main.go"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, output)
		}
	}
	wants := map[string]string{"libtwice.so": "", "dynamic": "42\n", "static": "42\n", "static-pie": "42\n", "relocs": "42\n",
		"go": "runtime error: index out of range [41] with length 0\n"}
	names := slices.Sorted(maps.Keys(wants))
	var entries []entry
	for _, name := range names {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry{name: name, content: string(content), mode: 0o755})
	}
	out := mustBuild(t, Spec{Strip: true, Packages: []Package{pack(t, "compiled", entries...)}})
	for _, name := range names {
		whole, ours := filepath.Join(dir, name), filepath.Join(out, name)
		if name == "relocs" {
			// It has a table that goes before one that stays.
			if fileSize(t, whole) != fileSize(t, ours) {
				t.Errorf("%s: not left alone", name)
			}
		} else {
			theirs := filepath.Join(t.TempDir(), name)
			if output, err := exec.Command("strip", "--strip-all", "-o", theirs, whole).CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			compareSections(t, theirs, ours)
			// binutils also cuts what a linker added to a segment to align its end.
			if a, b := fileSize(t, ours), fileSize(t, theirs); a > b+64 {
				t.Errorf("%s: it has %d bytes, binutils leaves %d", name, a, b)
			}
		}
		if wants[name] == "" {
			continue
		}
		if output, err := exec.Command(ours).CombinedOutput(); err != nil || string(output) != wants[name] {
			t.Errorf("%s: %v, %q", name, err, output)
		}
	}
}

func fileSize(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Whatever a file is, it is left alone, or what is left of it is a whole ELF
// file whose loaded parts are the same.
func FuzzStrip(f *testing.F) {
	for _, class := range []elf.Class{elf.ELFCLASS32, elf.ELFCLASS64} {
		f.Add(elfOf(class, elf.ELFDATA2LSB, elf.ET_DYN, madeSections()))
		f.Add(elfOf(class, elf.ELFDATA2MSB, elf.ET_EXEC, madeSections()))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		if out, ok := stripBytes(t, file); ok {
			if len(out) >= len(file) {
				t.Errorf("%d bytes became %d", len(file), len(out))
			}
			f, err := elf.NewFile(bytes.NewReader(out))
			if err != nil {
				t.Fatalf("what is left is no ELF file: %v", err)
			}
			for i, p := range f.Progs {
				if end := p.Off + p.Filesz; p.Filesz > 0 && p.Off >= 64 && !bytes.Equal(file[p.Off:end], out[p.Off:end]) {
					t.Errorf("segment %d changed", i)
				}
			}
		}
	})
}
