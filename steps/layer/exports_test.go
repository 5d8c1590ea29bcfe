package layer

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestHeaders(t *testing.T) {
	p := newPublicNames(nil)
	for _, piece := range []string{"#define A1 _b(", "cde", "fg) // ", strings.Repeat("x", maxIdentifier+1) + " h"} {
		if _, err := p.Write([]byte(piece)); err != nil {
			t.Fatal(err)
		}
	}
	p.end()
	_, _ = p.Write([]byte("i"))
	p.end()
	if got := slices.Sorted(maps.Keys(p.words)); !slices.Equal(got, []string{"A1", "_b", "cdefg", "define", "h", "i"}) {
		t.Errorf("got %q", got)
	}
}

// public are names for tests.
func public(words string, whole ...string) *publicNames {
	p := newPublicNames(whole)
	_, _ = p.Write([]byte(words))
	p.end()
	return p
}

func TestPublicNames(t *testing.T) {
	p := public("napi_create v8 Isolate GetCurrent Emit node X509 free name##_free d2i_##name i2d_##name##_NDEF X509", "inspector", "v8::base", "whole_c")
	for symbol, want := range map[string]bool{
		"napi_create":                       true,
		"X509_free":                         true,
		"d2i_X509":                          true,
		"X509_other":                        false,
		"i2d_X509_NDEF":                     true,
		"i2d_X509_free":                     true,
		"X509_NDEF":                         true,
		"X509_d2i":                          false,
		"free_X509":                         false,
		"X509_X509_X509":                    false,
		"X509free":                          false,
		"napi_other":                        false,
		"_IO_stdin_used":                    true, // the C library's
		"_ZN2v87Isolate10GetCurrentEv":      true,
		"_ZNK2v87Isolate10GetCurrentEv":     true,
		"_ZN2v87IsolateC1Ev":                true, // up to what is no name
		"_ZN2v88internal7IsolateC1Ev":       false,
		"_ZN4node4EmitERKSt6vectorIiSaIiEE": true, // whatever it takes
		"_ZTVN2v87IsolateE":                 true,
		"_ZTIN2v86HiddenE":                  false,
		"_ZGVZN2v87Isolate3GetEvE4once":     false,
		"_ZZN2v87Isolate10GetCurrentEvE4o":  true,
		"_ZThn16_N2v86HiddenD1Ev":           true, // not understood
		"_ZdlPv":                            true,
		"_Z4Emitv":                          true,
		"_Z6Hiddenv":                        false,
		"_ZNSt6vectorIiSaIiEE4swapERS1_":    false,
		"_ZSt4swapIiEvRT_S1_":               false,
		"_ZN2v8999999999999999999x":         true,
		"_ZN2v80x":                          true,
		"_ZN2v89Isolate":                    true,
		"_Z":                                true,
		"":                                  false,
	} {
		if got := p.has(symbol, elf.STB_WEAK); got != want {
			t.Errorf("%s: %v", symbol, got)
		}
	}
	if !p.has("_ZZNSt3tagvE1x", elf.STB_LOOS) {
		t.Error("what there must be one of in a process is not kept")
	}
}

// exporting makes a file that exports names, found by a table with few buckets.
// Those named in needs are not defined in it; those in referred have a relocation.
func exporting(data elf.Data, names, needs, referred []string) []byte {
	var order binary.ByteOrder = binary.LittleEndian
	if data == elf.ELFDATA2MSB {
		order = binary.BigEndian
	}
	const buckets, words, shift = 3, 2, 5
	defined := slices.Clone(names)
	slices.SortStableFunc(defined, func(a, b string) int { return int(gnuHash(a)%buckets) - int(gnuHash(b)%buckets) })
	all := slices.Concat(needs, defined)
	var symbols, hashes, filter, relocations bytes.Buffer
	put := func(b *bytes.Buffer, v any) {
		if err := binary.Write(b, order, v); err != nil {
			panic(err)
		}
	}
	text := "\x00libneeded.so\x00"
	put(&symbols, elf.Sym64{})
	for i, name := range all {
		s := elf.Sym64{Name: uint32(len(text)), Info: elf.ST_INFO(elf.STB_GLOBAL, elf.STT_FUNC)}
		if at := strings.Index(text, name+"\x00"); at >= 0 {
			s.Name = uint32(at) // as linkers do it
		} else {
			text += name + "\x00"
		}
		if i >= len(needs) {
			s.Shndx, s.Value, s.Size = 3, uint64(0x1000+16*i), 16
		}
		put(&symbols, s)
		if slices.Contains(referred, name) {
			put(&relocations, elf.Rela64{Off: 0x2000, Info: elf.R_INFO(uint32(i+1), 6)})
		}
	}
	var bloom [words]uint64
	var heads [buckets]uint32
	for i, name := range defined {
		h := gnuHash(name)
		bloom[h/64%words] |= 1<<(h%64) | 1<<(h>>shift%64)
		b := h % buckets
		if heads[b] == 0 {
			heads[b] = uint32(1 + len(needs) + i)
		}
		last := uint32(0)
		if i == len(defined)-1 || gnuHash(defined[i+1])%buckets != b {
			last = 1
		}
		put(&hashes, h&^1|last)
	}
	put(&filter, []uint32{buckets, uint32(1 + len(needs)), words, shift})
	put(&filter, bloom)
	put(&filter, heads)
	var dynamic bytes.Buffer
	put(&dynamic, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: 1})
	put(&dynamic, elf.Dyn64{})
	return elfOf(elf.ELFCLASS64, data, elf.ET_DYN, []sect{
		{name: ".gnu.hash", kind: elf.SHT_GNU_HASH, flags: elf.SHF_ALLOC, data: filter.String() + hashes.String(), link: 2, align: 8},
		{name: ".dynsym", kind: elf.SHT_DYNSYM, flags: elf.SHF_ALLOC, data: symbols.String(), link: 3, info: 1, align: 8},
		{name: ".dynstr", kind: elf.SHT_STRTAB, flags: elf.SHF_ALLOC, data: text},
		{name: ".rela.dyn", kind: elf.SHT_RELA, flags: elf.SHF_ALLOC, data: relocations.String(), link: 2, align: 8},
		{name: ".dynamic", kind: elf.SHT_DYNAMIC, flags: elf.SHF_ALLOC, data: dynamic.String(), link: 3, align: 8},
		{name: ".shstrtab", kind: elf.SHT_STRTAB},
	})
}

// found says whether a linker finds a name in a file's table.
func found(t testing.TB, file []byte, name string) bool {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	h, err := f.SectionByType(elf.SHT_GNU_HASH).Data()
	if err != nil {
		t.Fatal(err)
	}
	number := func(i uint32) uint32 { return f.ByteOrder.Uint32(h[4*i:]) }
	buckets, first, words, shift := number(0), number(1), number(2), number(3)
	hash := gnuHash(name)
	filter := f.ByteOrder.Uint64(h[16+8*(hash/64%words):])
	if (filter>>(hash%64))&(filter>>(hash>>shift%64))&1 == 0 {
		return false
	}
	heads := 4 + 2*words
	for i := number(heads + hash%buckets); i != 0; i++ {
		at := number(heads + buckets + i - first)
		if at|1 == hash|1 && symbols[i-1].Name == name && symbols[i-1].Section != elf.SHN_UNDEF {
			return true
		}
		if at&1 == 1 {
			break
		}
	}
	return false
}

// forgotten takes names out of a file in memory; false when it is left alone.
func forgotten(t testing.TB, file []byte, p *publicNames) ([]byte, bool) {
	t.Helper()
	return changed(t, file, planExports(bytes.NewReader(file), p), make([]byte, 64))
}

func TestExportsMade(t *testing.T) {
	kept := []string{"api", "api_two", "_reserved", "_ZN3api4callEv", "table"}
	// "inner_api" ends as "api" does, "x.libneeded.so" as the library's name.
	gone := []string{"hidden", "inner_api", "x.libneeded.so", "_ZN3api6hiddenEv", "other", "more", "less"}
	needs := []string{"malloc", "hidden_need"}
	words := public("api api_two call")
	for _, data := range []elf.Data{elf.ELFDATA2LSB, elf.ELFDATA2MSB} {
		file := exporting(data, slices.Concat(gone, kept), needs, []string{"malloc", "table"})
		for _, name := range slices.Concat(kept, gone) {
			if !found(t, file, name) {
				t.Fatalf("the example lacks %s", name)
			}
		}
		out, ok := forgotten(t, file, words)
		if !ok {
			t.Fatalf("%v: left alone", data)
		}
		for _, name := range kept {
			if !found(t, out, name) {
				t.Errorf("%v: %s is not found", data, name)
			}
		}
		for _, name := range gone {
			if found(t, out, name) {
				t.Errorf("%v: %s is still found", data, name)
			}
		}
		f, err := elf.NewFile(bytes.NewReader(out))
		if err != nil {
			t.Fatal(err)
		}
		if libraries, err := f.ImportedLibraries(); err != nil || !slices.Equal(libraries, []string{"libneeded.so"}) {
			t.Errorf("%v: it needs %q, %v", data, libraries, err)
		}
		if imported, err := f.ImportedSymbols(); err != nil || len(imported) != 2 || imported[0].Name != "malloc" || imported[1].Name != "hidden_need" {
			t.Errorf("%v: it imports %v, %v", data, imported, err)
		}
		for _, name := range []string{"hidden\x00", "other", "inner"} {
			if bytes.Contains(out, []byte(name)) {
				t.Errorf("%v: the name %s is still there", data, name)
			}
		}
		if len(out) != len(file) {
			t.Errorf("%v: %d bytes, it had %d", data, len(out), len(file))
		}
		if again, ok := forgotten(t, out, words); ok && !bytes.Equal(again, out) {
			t.Errorf("%v: not done once", data)
		}
	}
	for name, file := range map[string][]byte{
		"nothing to hide":    exporting(elf.ELFDATA2LSB, kept, needs, []string{"table"}),
		"nothing exported":   elfOf(elf.ELFCLASS64, elf.ELFDATA2LSB, elf.ET_EXEC, madeSections()),
		"32 bits":            elfOf(elf.ELFCLASS32, elf.ELFDATA2LSB, elf.ET_EXEC, madeSections()),
		"a script":           []byte("#!/bin/sh\nexit\n"),
		"nothing":            nil,
		"another hash table": bytes.Replace(exporting(elf.ELFDATA2LSB, gone, needs, nil), []byte{3, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 5}, []byte{3, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, 5}, 1),
	} {
		if _, ok := forgotten(t, file, words); ok {
			t.Errorf("%s: changed", name)
		}
	}
}

// A program that a compiler has made goes on to run, plugins find what its headers name,
// and the data that it shares with the C library stays shared.
func TestExportsCompiled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a compiler")
	}
	dir := t.TempDir()
	for name, content := range map[string]string{
		"main.c": `#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
int api_call(void) { return 20; }
int api_cpp(void) __asm__("_ZN3api4callEv");
int api_cpp(void) { return 22; }
int hidden(void) { return 1; }
int hidden_as_well(void) { return 2; }
int main(int argc, char **argv) {
	setenv("TZ", "XYZ-3", 1); tzset();
	printf("%ld\n", timezone);
	void *p = dlopen(argv[1], RTLD_NOW);
	if (!p) { puts(dlerror()); return 3; }
	printf("%d\n", ((int (*)(void))dlsym(p, "answer"))());
	return 0;
}
`,
		"good.c": "#include <time.h>\nint api_call(void), api_cpp(void) __asm__(\"_ZN3api4callEv\");\nint answer(void) { return timezone == -10800 ? api_call() + api_cpp() : 0; }\n",
		"bad.c":  "int hidden(void);\nint answer(void) { return hidden(); }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{
		{"gcc", "-O1", "-no-pie", "-rdynamic", "-o", "copies", "main.c", "-ldl"},
		{"gcc", "-O1", "-pie", "-fPIE", "-rdynamic", "-o", "pie", "main.c", "-ldl"},
		{"gcc", "-shared", "-fPIC", "-o", "good.so", "good.c"},
		{"gcc", "-shared", "-fPIC", "-o", "bad.so", "bad.c"},
	} {
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Dir = dir
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, output)
		}
	}
	for _, program := range []string{"copies", "pie"} {
		content, err := os.ReadFile(filepath.Join(dir, program))
		if err != nil {
			t.Fatal(err)
		}
		archive := archiveOf(t, tarOf(t, []entry{
			{name: "v1/include/api.h", content: "int api_call(void); namespace api { int call(); }"},
			{name: "v1/bin/" + program, content: string(content), mode: 0o755},
		}), 1, Take{From: "bin", To: "/bin"})
		archive.Headers = &Headers{In: "include"}
		ours := filepath.Join(mustBuild(t, Spec{Strip: true, Archives: []Archive{archive}}), "bin", program)
		for plugin, want := range map[string]string{"good.so": "-10800\n42\n", "bad.so": "-10800\n" + filepath.Join(dir, "bad.so") + ": undefined symbol: hidden\n"} {
			if output, _ := exec.Command(ours, filepath.Join(dir, plugin)).CombinedOutput(); string(output) != want {
				t.Errorf("%s with %s: %q", program, plugin, output)
			}
		}
		// Without headers nothing is hidden.
		archive.Headers = nil
		ours = filepath.Join(mustBuild(t, Spec{Strip: true, Archives: []Archive{archive}}), "bin", program)
		if output, err := exec.Command(ours, filepath.Join(dir, "bad.so")).CombinedOutput(); err != nil || string(output) != "-10800\n1\n" {
			t.Errorf("%s without headers: %v, %q", program, err, output)
		}
	}
}

// Whatever a file is, it is left alone, or keeps its size and all but the tables.
func FuzzExports(f *testing.F) {
	words := public("api call")
	for _, data := range []elf.Data{elf.ELFDATA2LSB, elf.ELFDATA2MSB} {
		f.Add(exporting(data, []string{"api", "inner_api", "hidden"}, []string{"malloc"}, []string{"malloc"}))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		out, ok := forgotten(t, file, words)
		if !ok {
			return
		}
		if len(out) != len(file) {
			t.Fatalf("%d bytes became %d", len(file), len(out))
		}
		if _, err := elf.NewFile(bytes.NewReader(file)); err != nil {
			t.Fatalf("no ELF file was changed: %v", err)
		}
	})
}
