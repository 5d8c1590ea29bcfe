package libcheck

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// binaryFile describes a program or library of as few bytes as the dynamic
// linker reads: an ELF header, program headers, the dynamic section and its
// strings, and no section headers, as if all that can be were stripped.
type binaryFile struct {
	machine          elf.Machine // x86-64 unless said otherwise
	interpreter      string
	soname           string
	needed           []string
	rpath, runpath   string
	class32, big     bool
	typ              elf.Type // ET_DYN unless said otherwise
	stringsElsewhere bool     // a string table outside of the file
}

func (b binaryFile) bytes(t testing.TB) []byte {
	t.Helper()
	if b.machine == 0 {
		b.machine = elf.EM_X86_64
	}
	if b.typ == 0 {
		b.typ = elf.ET_DYN
	}
	var order binary.AppendByteOrder = binary.LittleEndian
	data := elf.ELFDATA2LSB
	if b.big {
		order, data = binary.BigEndian, elf.ELFDATA2MSB
	}
	word := func(out []byte, v uint64) []byte {
		if b.class32 {
			return order.AppendUint32(out, uint32(v))
		}
		return order.AppendUint64(out, v)
	}
	class, headerSize, progSize := elf.ELFCLASS64, 64, 56
	if b.class32 {
		class, headerSize, progSize = elf.ELFCLASS32, 52, 32
	}

	text := []byte{0}
	name := func(s string) uint64 {
		at := len(text)
		text = append(append(text, s...), 0)
		return uint64(at)
	}
	var dynamic []byte
	entry := func(tag elf.DynTag, v uint64) { dynamic = word(word(dynamic, uint64(tag)), v) }
	for _, n := range b.needed {
		entry(elf.DT_NEEDED, name(n))
	}
	for _, e := range []struct {
		tag elf.DynTag
		s   string
	}{{elf.DT_SONAME, b.soname}, {elf.DT_RPATH, b.rpath}, {elf.DT_RUNPATH, b.runpath}} {
		if e.s != "" {
			entry(e.tag, name(e.s))
		}
	}
	interpreter := append([]byte(b.interpreter), 0)

	// Loaded at another address than the offset in the file, as real ones are.
	const base = 0x10000
	at := headerSize + 3*progSize
	stringsAt := at + len(interpreter)
	address := uint64(base + stringsAt)
	if b.stringsElsewhere {
		address = 0x7fffffff
	}
	entry(elf.DT_STRTAB, address)
	entry(elf.DT_STRSZ, uint64(len(text)))
	entry(elf.DT_NULL, 0)
	dynamicAt := stringsAt + len(text)
	size := dynamicAt + len(dynamic)

	out := append([]byte(elf.ELFMAG), byte(class), byte(data), byte(elf.EV_CURRENT))
	out = append(out, make([]byte, elf.EI_NIDENT-len(out))...)
	out = order.AppendUint16(out, uint16(b.typ))
	out = order.AppendUint16(out, uint16(b.machine))
	out = order.AppendUint32(out, uint32(elf.EV_CURRENT))
	out = word(word(word(out, 0), uint64(headerSize)), 0) // entry, program headers, section headers
	out = order.AppendUint32(out, 0)
	for _, v := range []int{headerSize, progSize, 3, 0, 0, 0} {
		out = order.AppendUint16(out, uint16(v))
	}
	prog := func(typ elf.ProgType, offset, length int) {
		out = order.AppendUint32(out, uint32(typ))
		if !b.class32 {
			out = order.AppendUint32(out, uint32(elf.PF_R))
		}
		out = word(word(word(out, uint64(offset)), uint64(base+offset)), uint64(base+offset))
		out = word(word(out, uint64(length)), uint64(length))
		if b.class32 {
			out = order.AppendUint32(out, uint32(elf.PF_R))
		}
		out = word(out, 1)
	}
	prog(elf.PT_LOAD, 0, size)
	if b.interpreter == "" {
		prog(elf.PT_NULL, 0, 0)
	} else {
		prog(elf.PT_INTERP, at, len(interpreter))
	}
	if len(b.needed)+len(b.soname) == 0 {
		prog(elf.PT_NULL, 0, 0)
	} else {
		prog(elf.PT_DYNAMIC, dynamicAt, len(dynamic))
	}
	out = append(append(append(out, interpreter...), text...), dynamic...)
	if len(out) != size {
		t.Fatalf("%d bytes, not %d", len(out), size)
	}
	return out
}

// image makes a directory of binaryFiles, texts (string) and symlinks (link).
type link string

func image(t testing.TB, files map[string]any) string {
	t.Helper()
	root := t.TempDir()
	for name, what := range files {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch what := what.(type) {
		case binaryFile:
			err = os.WriteFile(at, what.bytes(t), 0o755)
		case string:
			err = os.WriteFile(at, []byte(what), 0o644)
		case link:
			err = os.Symlink(string(what), at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const ld = "/lib64/ld-linux-x86-64.so.2"

// cc is a root file system as the catalog's, with a merged /usr.
func cc(extra map[string]any) map[string]any {
	files := map[string]any{
		"lib":                            link("usr/lib"),
		"lib64":                          link("/usr/lib64"), // absolute: it must not lead to the machine's
		"usr/lib64/ld-linux-x86-64.so.2": link("../lib/x86_64-linux-gnu/ld-linux-x86-64.so.2"),
		"usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2": binaryFile{soname: "ld-linux-x86-64.so.2"},
		"usr/lib/x86_64-linux-gnu/libc.so.6":            binaryFile{soname: "libc.so.6", interpreter: ld, needed: []string{"ld-linux-x86-64.so.2"}},
		"usr/lib/x86_64-linux-gnu/libz.so.1":            link("libz.so.1.3"),
		"usr/lib/x86_64-linux-gnu/libz.so.1.3":          binaryFile{soname: "libz.so.1", needed: []string{"libc.so.6"}},
	}
	for name, what := range extra {
		files[name] = what
	}
	return files
}

func TestCheck(t *testing.T) {
	program := func(needed ...string) binaryFile { return binaryFile{interpreter: ld, needed: needed} }
	library := func(needed ...string) binaryFile { return binaryFile{soname: "x", needed: needed} }
	withRunpath := func(b binaryFile, dir string) binaryFile { b.runpath = dir; return b }
	withRpath := func(b binaryFile, dir string) binaryFile { b.rpath = dir; return b }
	cases := map[string]struct {
		root map[string]any // on top of cc
		out  map[string]any // laid over it, checked
		want []string       // "file needs library [package] [other machine]"
	}{
		"static":             {nil, map[string]any{"api": binaryFile{typ: elf.ET_EXEC}}, nil},
		"all there":          {nil, map[string]any{"api": program("libz.so.1", "libc.so.6")}, nil},
		"not ELF":            {nil, map[string]any{"script": "#!/bin/sh\n", "empty": "", "short": "\x7fE"}, nil},
		"object file":        {nil, map[string]any{"x.o": binaryFile{typ: elf.ET_REL, needed: []string{"nothing.so"}}}, nil},
		"missing":            {nil, map[string]any{"api": program("libsqlite3.so.0", "libc.so.6")}, []string{"api needs libsqlite3.so.0 [libsqlite3-0]"}},
		"two files":          {nil, map[string]any{"a": program("libpq.so.5"), "b/c": library("libfoo.so.9", "libssl.so.3")}, []string{"a needs libpq.so.5 [libpq5]", "b/c needs libfoo.so.9", "b/c needs libssl.so.3 [libssl3t64]"}},
		"of a library":       {map[string]any{"usr/lib/libodd.so.1": library("libfoo.so.1")}, map[string]any{"api": program("libodd.so.1")}, []string{"ROOT/usr/lib/libodd.so.1 needs libfoo.so.1"}},
		"dangling symlink":   {map[string]any{"usr/lib/libodd.so.1": link("libodd.so.1.0")}, map[string]any{"api": program("libodd.so.1")}, []string{"api needs libodd.so.1"}},
		"symlink out":        {map[string]any{"usr/lib/libodd.so.1": link("../../../../../../../../../../bin/true")}, map[string]any{"api": program("libodd.so.1")}, []string{"api needs libodd.so.1"}},
		"directory":          {map[string]any{"usr/lib/libodd.so.1/x": "x"}, map[string]any{"api": program("libodd.so.1")}, []string{"api needs libodd.so.1"}},
		"text":               {map[string]any{"usr/lib/libodd.so.1": "INPUT(libodd.so.2)"}, map[string]any{"api": program("libodd.so.1")}, []string{"api needs libodd.so.1"}},
		"interpreter":        {nil, map[string]any{"api": binaryFile{interpreter: "/lib/ld-musl-x86_64.so.1", needed: []string{"libc.musl-x86_64.so.1"}}}, []string{"api needs /lib/ld-musl-x86_64.so.1", "api needs libc.musl-x86_64.so.1"}},
		"other machine":      {nil, map[string]any{"api": binaryFile{machine: elf.EM_AARCH64, interpreter: "/lib/ld-linux-aarch64.so.1", needed: []string{"libc.so.6"}}}, []string{"api needs /lib/ld-linux-aarch64.so.1 [libc6]", "api needs libc.so.6 [libc6]"}},
		"library of another": {map[string]any{"usr/lib/libodd.so.1": binaryFile{machine: elf.EM_AARCH64, soname: "libodd.so.1"}}, map[string]any{"api": program("libodd.so.1")}, []string{"api needs libodd.so.1 (/lib/libodd.so.1)"}},
		"library of 32 bits": {map[string]any{"usr/lib/libodd.so.1": binaryFile{class32: true, soname: "libodd.so.1"}}, map[string]any{"api": program("libodd.so.1")}, []string{"api needs libodd.so.1 (/lib/libodd.so.1)"}},
		"passed over for the right one": {map[string]any{"usr/lib/x86_64-linux-gnu/libodd.so.1": binaryFile{machine: elf.EM_386, class32: true, soname: "x"}, "usr/lib/libodd.so.1": library()},
			map[string]any{"api": program("libodd.so.1")}, nil},
		"runpath":             {map[string]any{"opt/x/libodd.so.1": library()}, map[string]any{"api": withRunpath(program("libodd.so.1"), "/nowhere:/opt/x")}, nil},
		"rpath":               {map[string]any{"opt/x/libodd.so.1": library()}, map[string]any{"api": withRpath(program("libodd.so.1"), "/opt/x")}, nil},
		"origin":              {nil, map[string]any{"app/bin/api": withRunpath(program("libodd.so.1"), "$ORIGIN/../lib"), "app/lib/libodd.so.1": library()}, nil},
		"origin with braces":  {nil, map[string]any{"app/api": withRunpath(program("libodd.so.1"), "${ORIGIN}/lib"), "app/lib/libodd.so.1": library()}, nil},
		"origin of a library": {nil, map[string]any{"api": program("libc.so.6"), "m/ext.so": withRunpath(library("libodd.so.1"), "$ORIGIN/../m.libs"), "m.libs/libodd.so.1": library("libc.so.6")}, nil},
		"lib token":           {map[string]any{"opt/lib/x86_64-linux-gnu/libodd.so.1": library()}, map[string]any{"api": withRunpath(program("libodd.so.1"), "/opt/$LIB")}, nil},
		"runpath is not for others": {map[string]any{"opt/x/liba.so": library("libb.so"), "opt/x/libb.so": library()},
			map[string]any{"api": withRunpath(program("liba.so"), "/opt/x")}, []string{"ROOT/opt/x/liba.so needs libb.so"}},
		"rpath is for others too": {map[string]any{"opt/x/liba.so": library("libb.so"), "opt/x/libb.so": library()},
			map[string]any{"api": withRpath(program("liba.so"), "/opt/x")}, nil},
		"rpath not with runpath": {map[string]any{"opt/x/liba.so": library()}, map[string]any{"api": withRpath(withRunpath(program("liba.so"), "/nowhere"), "/opt/x")}, []string{"api needs liba.so"}},
		"loaded by another":      {map[string]any{"opt/x/liba.so": library(), "opt/y/libb.so": library("liba.so")}, map[string]any{"api": withRunpath(program("liba.so", "libb.so"), "/opt/x:/opt/y")}, nil},
		"relative runpath":       {nil, map[string]any{"libodd.so.1": library(), "api": withRunpath(program("libodd.so.1"), ".:")}, []string{"api needs libodd.so.1"}},
		"path":                   {map[string]any{"opt/x/liba.so": library()}, map[string]any{"api": program("/opt/x/liba.so", "/opt/x/libb.so")}, []string{"api needs /opt/x/libb.so"}},
		"cycle":                  {map[string]any{"usr/lib/liba.so": library("libb.so"), "usr/lib/libb.so": library("liba.so")}, map[string]any{"api": program("liba.so")}, nil},
		"over the image":         {nil, map[string]any{"api": program("libodd.so.1"), "usr/lib/x86_64-linux-gnu/libodd.so.1": library()}, nil},
		"configured": {map[string]any{"etc/ld.so.cache": "x", "etc/ld.so.conf.d/x.conf": "# mine\n/opt/x # here\ninclude y\n", "opt/x/liba.so": library()},
			map[string]any{"api": program("liba.so")}, nil},
		"configured without a cache": {map[string]any{"etc/ld.so.conf.d/x.conf": "/opt/x\n", "opt/x/liba.so": library()},
			map[string]any{"api": program("liba.so")}, []string{"api needs liba.so"}},
		"big-endian": {map[string]any{"lib/ld64.so.1": binaryFile{}}, map[string]any{"api": binaryFile{machine: elf.EM_S390, big: true, interpreter: "/lib/ld64.so.1", needed: []string{"libgmp.so.10"}}},
			[]string{"api needs /lib/ld64.so.1 [libc6] (/lib/ld64.so.1)", "api needs libgmp.so.10 [libgmp10]"}},
		"32 bits": {map[string]any{"usr/lib/arm-linux-gnueabihf/libc.so.6": binaryFile{machine: elf.EM_ARM, class32: true, soname: "libc.so.6"}},
			map[string]any{"api": binaryFile{machine: elf.EM_ARM, class32: true, needed: []string{"libc.so.6"}}}, nil},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			files := cc(c.root)
			for name := range c.root {
				// The case's own /lib is the merged one.
				if rest, ok := strings.CutPrefix(name, "lib/"); ok {
					files["usr/lib/"+rest] = files[name]
					delete(files, name)
				}
			}
			root, out := image(t, files), image(t, c.out)
			missing, err := Check(root, []string{out})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, m := range missing {
				line := strings.NewReplacer(root, "ROOT", out+"/", "").Replace(m.File) + " needs " + m.Library
				if m.Package != "" {
					line += " [" + m.Package + "]"
				}
				if m.OtherMachine != "" {
					line += " (" + m.OtherMachine + ")"
				}
				got = append(got, line)
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
}

// Files may be given one by one, and lie in the image itself.
func TestModules(t *testing.T) {
	root := image(t, cc(nil))
	library := func(needed ...string) binaryFile { return binaryFile{soname: "x", needed: needed} }
	a := image(t, map[string]any{
		"site/a/_a.so":           library("libc.so.6", "libpq.so.5"),
		"site/torch/lib/libt.so": library("libcuda.so.1"),
	})
	b := image(t, map[string]any{"site/b/b.abi3.so": library("libt.so", "libz.so.1")})
	missing, err := Modules(root, []string{a, b}, []string{"**/_*.so", "**/*.abi3.so"})
	if err != nil {
		t.Fatal(err)
	}
	// What only a library is linked against that others load is not asked for, and what is
	// there under another path counts.
	if len(missing) != 1 || missing[0].Library != "libpq.so.5" || missing[0].File != filepath.Join(a, "site/a/_a.so") {
		t.Errorf("missing are %v", missing)
	}
	if _, err := Modules(root, []string{a}, []string{"["}); err == nil {
		t.Error("a pattern that is none was taken")
	}
}

func TestPaths(t *testing.T) {
	root := image(t, cc(map[string]any{
		"app/bin/api":         binaryFile{interpreter: ld, needed: []string{"libodd.so.1"}, runpath: "$ORIGIN/../lib"},
		"app/lib/libodd.so.1": binaryFile{soname: "libodd.so.1"},
		"app/bin/other":       binaryFile{interpreter: ld, needed: []string{"libodd.so.1"}},
		"app/link":            link("bin/api"),
	}))
	for _, c := range []struct {
		paths []string
		want  int
	}{
		{[]string{root + "/app/bin/api"}, 0},
		{[]string{root + "/app/link"}, 1}, // its $ORIGIN is where it is
		{[]string{root + "/app/bin/other"}, 1},
		{[]string{root}, 1},
		{[]string{root + "/app/bin/other", root + "/app"}, 1},
	} {
		missing, err := Check(root, c.paths)
		if err != nil || len(missing) != c.want {
			t.Errorf("%q: got %v, %v, want %d", c.paths, missing, err, c.want)
		}
	}
	for _, c := range [][]string{nil, {root + "/nothing"}} {
		if _, err := Check(root, c); err == nil {
			t.Errorf("%q: no error", c)
		}
	}
	for _, r := range []string{root + "/nothing", root + "/app/link"} {
		if _, err := Check(r, []string{root}); err == nil {
			t.Errorf("root %s: no error", r)
		}
	}
}

func TestMessages(t *testing.T) {
	for _, c := range []struct {
		m    Missing
		want string
	}{
		{Missing{File: "/out/api", Library: "libpq.so.5", Package: "libpq5"}, "/out/api: needs libpq.so.5, which the image does not have; the Debian package libpq5 has it"},
		{Missing{File: "/out/api", Library: ld, Interpreter: true, Package: "libc6"}, "needs the dynamic linker " + ld},
		{Missing{File: "/out/api", Library: "/lib/ld-musl-x86_64.so.1", Interpreter: true}, "built for musl (Alpine)"},
		{Missing{File: "/out/api", Library: "libx.so", OtherMachine: "/usr/lib/libx.so"}, "(/usr/lib/libx.so is for another architecture)"},
		{Missing{File: "/out/api", Library: "libx.so"}, "`apt-file search libx.so`"},
	} {
		if got := c.m.String(); !strings.Contains(got, c.want) {
			t.Errorf("got %q, want %q in it", got, c.want)
		}
	}
}

func TestPackageOf(t *testing.T) {
	for library, want := range map[string]string{
		"libssl.so.3": "libssl3t64", "libicuuc.so.76": "libicu76", "libicui18n.so.72": "libicu72", "libicu.so": "",
		ld: "libc6", "libnothing.so.1": "",
	} {
		if got := packageOf(library); got != want {
			t.Errorf("%s: got %q, want %q", library, got, want)
		}
	}
}

// A broken file is an error, whatever is broken, and never a panic.
func TestDamaged(t *testing.T) {
	whole := binaryFile{interpreter: ld, needed: []string{"libc.so.6"}, runpath: "/x"}.bytes(t)
	root := image(t, cc(nil))
	check := func(content []byte) error {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
		_, err := Check(root, []string{file})
		return err
	}
	if err := check(whole); err != nil {
		t.Fatal(err)
	}
	for size := 4; size < len(whole); size++ {
		if err := check(whole[:size]); err == nil {
			t.Errorf("no error with %d of %d bytes", size, len(whole))
		}
	}
	if err := check(binaryFile{needed: []string{"x"}, stringsElsewhere: true}.bytes(t)); err == nil || !strings.Contains(err.Error(), "in no segment") {
		t.Errorf("got the error %v", err)
	}
	for at := range whole {
		for _, v := range []byte{0, 0x7f, 0xff} {
			changed := bytes.Clone(whole)
			changed[at] = v
			_ = check(changed) // not to panic is all that is asked of it
		}
	}
}

func FuzzObject(f *testing.F) {
	f.Add(binaryFile{interpreter: ld, needed: []string{"libc.so.6"}, runpath: "/x:$ORIGIN"}.bytes(f))
	f.Add(binaryFile{class32: true, big: true, soname: "a", rpath: "/x"}.bytes(f))
	root := image(f, cc(nil))
	f.Fuzz(func(t *testing.T, content []byte) {
		file := filepath.Join(t.TempDir(), "file")
		if err := os.WriteFile(file, content, 0o755); err != nil {
			t.Fatal(err)
		}
		missing, err := Check(root, []string{file})
		if err != nil && len(missing) > 0 {
			t.Error("both a result and an error")
		}
	})
}

// What a compiler makes of it, against the system's own libraries.
func TestCompiled(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a compiler")
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		t.Fatal("this test needs gcc: ", err)
	}
	dir := t.TempDir()
	compile := func(args ...string) {
		t.Helper()
		cmd := exec.Command(gcc, args...)
		cmd.Dir = dir
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("gcc %v: %v\n%s", args, err, output)
		}
	}
	for name, text := range map[string]string{"lib.c": "int answer(void) { return 42; }\n", "main.c": "int answer(void); int main(void) { return answer() - 42; }\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "out/lib"), 0o755); err != nil {
		t.Fatal(err)
	}
	compile("-shared", "-fPIC", "-Wl,-soname,libanswer.so.1", "-o", "out/lib/libanswer.so.1", "lib.c")
	for name, flags := range map[string][]string{
		"runpath": {"-Wl,--enable-new-dtags", "-Wl,-rpath,$ORIGIN/lib"},
		"rpath":   {"-Wl,--disable-new-dtags", "-Wl,-rpath,$ORIGIN/lib"},
		"lost":    nil,
	} {
		compile(append(flags, "-o", "out/"+name, "main.c", "out/lib/libanswer.so.1")...)
		missing, err := Check("/", []string{filepath.Join(dir, "out", name)})
		if err != nil {
			t.Fatal(err)
		}
		// The dynamic linker is the judge.
		ran := exec.Command(filepath.Join(dir, "out", name)).Run()
		if (ran == nil) != (len(missing) == 0) {
			t.Errorf("%s: missing %v, but it ran with %v", name, missing, ran)
		}
		empty, err := Check(t.TempDir(), []string{filepath.Join(dir, "out")})
		if err != nil || !slices.ContainsFunc(empty, func(m Missing) bool { return m.Interpreter }) {
			t.Errorf("%s in an empty image: %v, %v", name, empty, err)
		}
	}
}
