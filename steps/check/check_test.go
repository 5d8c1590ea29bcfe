package check

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// What the cases put into a root file system: a file with its mode, a folder, a
// symlink.
type (
	file struct {
		mode    fs.FileMode
		content string
	}
	folder fs.FileMode
	link   string
)

const plain = fs.FileMode(0o644)

// program is an ELF program with a dynamic linker, if it is not "", and texts.
func program(linker string, texts ...string) file {
	var b bytes.Buffer
	order := binary.LittleEndian
	header := elf.Header64{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
		Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: 1,
	}
	prog := elf.Prog64{Type: uint32(elf.PT_NULL)}
	if linker != "" {
		prog = elf.Prog64{Type: uint32(elf.PT_INTERP), Off: 64 + 56, Filesz: uint64(len(linker) + 1)}
	}
	_ = binary.Write(&b, order, header)
	_ = binary.Write(&b, order, prog)
	b.WriteString(linker + "\x00")
	b.WriteString(strings.Join(texts, "\x00"))
	return file{0o755, b.String()}
}

// library is an ELF library that is linked against others.
func library(needed ...string) file {
	texts, dynamic := []byte{0}, []elf.Dyn64{}
	for _, n := range needed {
		dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_NEEDED), Val: uint64(len(texts))})
		texts = append(append(texts, n...), 0)
	}
	const at = 64 + 2*56
	dynamic = append(dynamic, elf.Dyn64{Tag: int64(elf.DT_STRTAB), Val: at}, elf.Dyn64{Tag: int64(elf.DT_STRSZ), Val: uint64(len(texts))}, elf.Dyn64{})
	size := uint64(at + len(texts) + 16*len(dynamic))
	var b bytes.Buffer
	for _, part := range []any{
		elf.Header64{
			Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
			Type:  uint16(elf.ET_DYN), Machine: uint16(elf.EM_X86_64), Version: uint32(elf.EV_CURRENT),
			Ehsize: 64, Phoff: 64, Phentsize: 56, Phnum: 2,
		},
		elf.Prog64{Type: uint32(elf.PT_LOAD), Filesz: size, Memsz: size},
		elf.Prog64{Type: uint32(elf.PT_DYNAMIC), Off: uint64(at + len(texts)), Vaddr: uint64(at + len(texts)), Filesz: uint64(16 * len(dynamic))},
		texts, dynamic,
	} {
		_ = binary.Write(&b, binary.LittleEndian, part)
	}
	return file{0o644, b.String()}
}

var (
	dash       = program("", "getopts", "unalias", "readonly", "umask")
	theBusybox = program("", "BusyBox v1.37.0", "multi-call binary", "getopts", "unalias", "readonly", "umask", "dpkg-deb", "/var/lib/dpkg")
)

// tree makes a root file system that has nothing wrong but for what is given.
func tree(t *testing.T, files map[string]any) string {
	t.Helper()
	root := t.TempDir()
	all := map[string]any{
		"tmp":            folder(fs.ModeSticky | 0o777),
		"home/nonroot":   folder(0o700),
		"etc/passwd":     file{plain, "root:x:0:0::/:/sbin/nologin\n"},
		"etc/mtab":       link("/proc/mounts"),
		"bin":            link("usr/bin"),
		"usr/bin/app":    program("", "getopts", "umask"),
		"usr/share/text": file{plain, "getopts unalias readonly umask"},
		"usr/share/a":    link("../../usr/share/b"),
		"usr/share/b":    link("/bin/../share/text"),
	}
	for name, what := range files {
		all[name] = what
	}
	for name, what := range all {
		at := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch what := what.(type) {
		case file:
			if err = os.WriteFile(at, []byte(what.content), 0o600); err == nil {
				err = os.Chmod(at, what.mode)
			}
		case folder:
			if err = os.MkdirAll(at, 0o755); err == nil {
				err = os.Chmod(at, fs.FileMode(what))
			}
		case link:
			err = os.Symlink(string(what), at)
		case func(string) error:
			err = what(at)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// mine takes the user that runs the tests for root.
func mine(info fs.FileInfo) (uint32, uint32) {
	uid, gid := ownerOf(info)
	if info.Name() == "nonroot" {
		return 65532, 65532
	}
	return uid - uint32(os.Getuid()), gid - uint32(os.Getgid())
}

var spec = Spec{Owners: map[string]int{"/home/nonroot": 65532}}

func TestCheck(t *testing.T) {
	with := func(change func(*Spec)) Spec {
		s := spec
		change(&s)
		return s
	}
	toolsAre := func(tools Tools) Spec { return with(func(s *Spec) { s.Tools = tools }) }
	const leaveOut = "; leave it out: an image to run programs in has no use for it, but an attacker has"
	cases := map[string]struct {
		files map[string]any
		spec  Spec
		want  []string
	}{
		"nothing wrong": {nil, spec, nil},
		"setuid":        {map[string]any{"usr/bin/su": file{0o755 | fs.ModeSetuid, ""}}, spec, []string{"/usr/bin/su: it is setuid; take that bit away, or leave the file out"}},
		"setgid, a file and a folder": {map[string]any{"usr/bin/wall": file{0o755 | fs.ModeSetgid, ""}, "var/mail": folder(0o775 | fs.ModeSetgid)}, spec,
			[]string{"/usr/bin/wall: it is setgid; take that bit away, or leave the file out", "/var/mail: it is setgid; take that bit away, or leave the file out"}},
		"writable file": {map[string]any{"etc/open": file{0o666, ""}}, spec, []string{"/etc/open: everybody may write to it (mode 0666); take that right away; only /tmp is for all"}},
		"writable folder, sticky or not": {map[string]any{"srv": folder(0o777), "var/tmp": folder(0o777 | fs.ModeSticky)}, spec,
			[]string{"/srv: everybody may write to it (mode 0777); take that right away; only /tmp is for all", "/var/tmp: everybody may write to it (mode 1777); take that right away; only /tmp is for all"}},
		"tmp that is not sticky": {map[string]any{"tmp": folder(0o777)}, spec, []string{"/tmp: it has the mode 0777, so that not everybody can use it, each for his own files; give it the mode 1777"}},
		"tmp that is closed":     {map[string]any{"tmp": folder(0o755 | fs.ModeSticky)}, spec, []string{"/tmp: it has the mode 1755, so that not everybody can use it, each for his own files; give it the mode 1777"}},
		"dangling links": {map[string]any{
			"usr/lib/a": link("b"), "usr/lib/loop": link("loop"), "usr/lib/through": link("../share/text/x"), "usr/lib/outside": link("/" + os.Args[0]),
		}, spec, []string{
			"/usr/lib/a: it is a symlink to b, where nothing is; leave the link out too, or, if a package ships it so, list it under `dangling` of the checks",
			"/usr/lib/loop: it is a symlink to loop, where nothing is; …", "/usr/lib/outside: it is a symlink to …", "/usr/lib/through: it is a symlink to ../share/text/x, where nothing is; …"}},
		"dangling links that a package ships": {map[string]any{"usr/lib/a": link("b"), "usr/lib/c": link("d")}, with(func(s *Spec) { s.Dangling = []string{"usr/**/a"} }),
			[]string{"/usr/lib/c: it is a symlink to d, …"}},
		"shell":                    {map[string]any{"usr/bin/dash": dash}, spec, []string{"/usr/bin/dash: by its content it is a shell" + leaveOut}},
		"shell by another name":    {map[string]any{"usr/libexec/helper": dash}, spec, []string{"/usr/libexec/helper: by its content it is a shell" + leaveOut}},
		"shell that cannot be run": {map[string]any{"usr/share/x": file{0o444, dash.content}}, spec, []string{"/usr/share/x: by its content it is a shell" + leaveOut}},
		"shell by its name alone":  {map[string]any{"usr/bin/mksh": file{0o755, "#!/usr/bin/app\n"}, "usr/share/sh": file{plain, "about shells"}}, spec, []string{"/usr/bin/mksh: it has the name of a shell" + leaveOut}},
		"shell as a link":          {map[string]any{"usr/bin/sh": link("app")}, spec, []string{"/usr/bin/sh: it has the name of a shell" + leaveOut}},
		"shell with its links":     {map[string]any{"usr/bin/x": dash, "usr/bin/sh": link("x")}, spec, []string{"/usr/bin/x: by its content it is a shell" + leaveOut}},
		"busybox in a run image":   {map[string]any{"usr/bin/box": theBusybox, "usr/bin/sh": link("box")}, spec, []string{"/usr/bin/box: by its content it is busybox" + leaveOut}},
		"busybox in a debug image": {map[string]any{"usr/bin/busybox": theBusybox, "usr/bin/sh": link("busybox"), "usr/bin/dpkg": link("/bin/busybox")}, toolsAre(BusyboxOnly), nil},
		"another in a debug image": {map[string]any{"usr/bin/busybox": dash, "usr/bin/sh": link("busybox")}, toolsAre(BusyboxOnly), []string{"/usr/bin/busybox: by its content it is a shell" + leaveOut}},
		"link past busybox":        {map[string]any{"usr/bin/busybox": theBusybox, "usr/bin/sh": link("app")}, toolsAre(BusyboxOnly), []string{"/usr/bin/sh: it has the name of a shell" + leaveOut}},
		"all tools in a build image": {map[string]any{"usr/bin/dash": dash, "usr/bin/apt": program("", "libapt-pkg.so.7"), "usr/bin/npm": link("app")},
			toolsAre(AnyTools), nil},
		"package managers by content": {map[string]any{
			"usr/bin/a": program("", "libapt-pkg.so.7"), "usr/bin/b": program("", "dpkg-deb", "/var/lib/dpkg"),
			"usr/bin/c": program("", "librpm.so.10"), "usr/bin/d": program("", "/lib/apk/db"),
		}, spec, []string{
			"/usr/bin/a: by its content it is a part of apt" + leaveOut, "/usr/bin/b: by its content it is a part of dpkg" + leaveOut,
			"/usr/bin/c: by its content it is a part of rpm" + leaveOut, "/usr/bin/d: by its content it is a part of apk" + leaveOut}},
		"package managers by name": {map[string]any{
			"usr/bin/pip3.13": file{0o755, "#!/usr/bin/python3\n"}, "usr/bin/npm": link("../lib/npm.js"), "usr/lib/npm.js": file{plain, ""},
			"usr/lib/node_modules/npm/package.json": file{plain, "{}"}, "usr/lib/python3/dist-packages/pip/__main__.py": file{plain, ""},
			"usr/lib/python3.13/ensurepip/_bundled/pip-25.1-py3-none-any.whl": file{plain, ""},
		}, spec, []string{
			"/usr/bin/npm: it has the name of a package manager" + leaveOut, "/usr/bin/pip3.13: it has the name of a package manager" + leaveOut,
			"/usr/lib/node_modules/npm/package.json: it has the name of a package manager (npm)" + leaveOut,
			"/usr/lib/python3.13/ensurepip/_bundled/pip-25.1-py3-none-any.whl: it has the name of a package manager (pip)" + leaveOut,
			"/usr/lib/python3/dist-packages/pip/__main__.py: it has the name of a package manager (pip)" + leaveOut}},
		"pipe and socket": {map[string]any{
			"run/pipe":   func(at string) error { return unix.Mkfifo(at, 0o644) },
			"run/socket": func(at string) error { return unix.Mknod(at, unix.S_IFSOCK|0o644, 0) },
		}, spec, []string{
			"/run/pipe: it is a named pipe; leave it out: containers get their devices from the runtime", "/run/socket: it is a socket; …"}},
		"missing dynamic linker": {map[string]any{"usr/bin/x": program("/lib64/ld-linux-x86-64.so.2")}, spec,
			[]string{"/usr/bin/x: it needs the dynamic linker /lib64/ld-linux-x86-64.so.2, which the image does not have; add the package libc6, or leave the file out"}},
		"damaged program": {map[string]any{"usr/bin/x": file{0o755, dash.content[:40]}}, spec, []string{"/: reading …"}},
		"missing owned path": {nil, with(func(s *Spec) { s.Owners = map[string]int{"/home/nonroot": 65532, "/home/other": 7} }),
			[]string{"/home/other: it is not there, and should belong to 7:7; add it to a layer"}},
		"another's folder": {nil, Spec{}, []string{"/home/nonroot: it belongs to 65532:65532, not to 0:0; set the owner where the layer is made"}},
		"all at once": {map[string]any{"a": file{0o755 | fs.ModeSetuid | fs.ModeSetgid, dash.content}, "b": link("c")}, spec, []string{
			"/a: by its content …", "/a: it is setgid; …", "/a: it is setuid; …", "/b: it is a symlink …"}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			problems, _, err := run(tree(t, c.files), c.spec, mine)
			if err != nil {
				t.Fatal(err)
			}
			same := func(p Problem, want string) bool {
				if start, ok := strings.CutSuffix(want, "…"); ok {
					return strings.HasPrefix(p.String(), start)
				}
				return p.String() == want
			}
			if !slices.EqualFunc(problems, c.want, same) {
				t.Errorf("got\n%v\nwant\n%s", problems, strings.Join(c.want, "\n"))
			}
		})
	}
}

func TestSummary(t *testing.T) {
	_, got, err := run(tree(t, nil), spec, mine)
	if want := (Summary{Files: 7, Programs: 1}); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// A library is missing unless it lies where the image's programs look for it.
func TestLibraries(t *testing.T) {
	root := tree(t, map[string]any{
		"usr/lib/jvm/a/lib/libjava.so":       library("libjvm.so"),
		"usr/lib/jvm/a/lib/server/libjvm.so": library(),
		"usr/lib/b/libb.so":                  library("libssl.so.3", "libnone.so.1"),
	})
	missing := []string{
		"/usr/lib/b/libb.so: it needs the library libnone.so.1, which the image does not have; add the package that has it, or leave the file out",
		"/usr/lib/b/libb.so: it needs the library libssl.so.3, which the image does not have; add the package libssl3t64, or leave the file out",
	}
	java := "/usr/lib/jvm/a/lib/libjava.so: it needs the library libjvm.so, which the image does not have; add the package that has it, or leave the file out"
	for _, c := range []struct {
		libraries []string
		want      []string
	}{
		{[]string{"usr/lib/jvm/*/lib/server"}, missing},
		{[]string{"usr/lib/jvm/*/lib/client"}, append(slices.Clone(missing), java)},
		{nil, append(slices.Clone(missing), java)},
	} {
		s := spec
		s.Libraries = c.libraries
		problems, _, err := run(root, s, mine)
		if err != nil || !slices.EqualFunc(problems, c.want, func(p Problem, want string) bool { return p.String() == want }) {
			t.Errorf("%v: got %v, %v", c.libraries, problems, err)
		}
	}
}

// What only root can make.
func TestDevicesAndCapabilities(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	// cap_net_bind_service+ep in the form of version 2, linux/capability.h.
	capability := []byte{1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	root := tree(t, map[string]any{
		"dev/null": func(at string) error { return unix.Mknod(at, unix.S_IFCHR|0o600, int(unix.Mkdev(1, 3))) },
		"dev/loop": func(at string) error { return unix.Mknod(at, unix.S_IFBLK|0o600, int(unix.Mkdev(7, 200))) },
		"usr/bin/ping": func(at string) error {
			if err := os.WriteFile(at, nil, 0o755); err != nil {
				return err
			}
			return unix.Lsetxattr(at, "security.capability", capability, 0)
		},
		"etc/theirs": func(at string) error {
			if err := os.WriteFile(at, nil, 0o644); err != nil {
				return err
			}
			return os.Lchown(at, 1000, 50)
		},
	})
	if err := os.Lchown(filepath.Join(root, "home/nonroot"), 65532, 65532); err != nil {
		t.Fatal(err)
	}
	problems, _, err := Check(root, spec)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range problems {
		got = append(got, p.Path+": "+p.What)
	}
	want := []string{
		"/dev/loop: it is a device node", "/dev/null: it is a device node", "/etc/theirs: it belongs to 1000:50, not to 0:0",
		"/usr/bin/ping: it has capabilities (the attribute security.capability)",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrors(t *testing.T) {
	root := tree(t, nil)
	for name, c := range map[string]struct {
		root string
		spec Spec
		want string
	}{
		"no root":    {root + "/none", Spec{}, "reading the root file system"},
		"file":       {root + "/etc/passwd", Spec{}, "is not a directory"},
		"pattern":    {root, Spec{Dangling: []string{"["}}, "dangling: "},
		"no pattern": {root, Spec{Libraries: []string{"a/../b"}}, "libraries: "},
		"tools":      {root, Spec{Tools: "some"}, `tools: "some" is none of`},
	} {
		if _, _, err := Check(c.root, c.spec); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got the error %v", name, err)
		}
	}
}

// A sign may lie across the border of what is read at once.
func TestIdentify(t *testing.T) {
	for _, before := range []int{0, 1<<20 - 5, 1 << 20, 1<<20 + 28, 3<<20 - 3} {
		text := strings.Repeat("x", before) + "getopts unalias readonly umask"
		if got, err := identify(strings.NewReader(text)); err != nil || got != "a shell" {
			t.Errorf("after %d bytes: got %q, %v", before, got, err)
		}
		if got, err := identify(strings.NewReader(text[:len(text)-1])); err != nil || got != noTool {
			t.Errorf("after %d bytes, not all of it: got %q, %v", before, got, err)
		}
	}
}

// The shells of this machine are found, and its other programs are not.
func TestRealPrograms(t *testing.T) {
	if testing.Short() {
		t.Skip("reads this machine's programs")
	}
	for name, want := range map[string]tool{
		"dash": "a shell", "bash": "a shell", "apt-get": "a part of apt", "dpkg": "a part of dpkg",
		"ls": noTool, "git": noTool, "openssl": noTool, "perl": noTool, "runc": noTool, "gcc": noTool,
	} {
		at, err := exec.LookPath(name)
		if err != nil {
			t.Logf("%s: %v", name, err)
			continue
		}
		f, err := os.Open(at)
		if err != nil {
			t.Fatal(err)
		}
		got, err := identify(f)
		f.Close()
		if err != nil || got != want {
			t.Errorf("%s: got %q, %v, want %q", at, got, err, want)
		}
	}
}
