package layer

import (
	"archive/tar"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	mathrand "math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func TestUnpack(t *testing.T) {
	out := mustBuild(t, Spec{Packages: []Package{pack(t, "one",
		entry{name: "./"},
		entry{name: "./etc/"},
		entry{name: "./etc/one.conf", content: "x"},
		entry{name: "./tmp/", mode: 0o1777},
		entry{name: "./var/tmp/", mode: 0o1777},
		entry{name: "./root/", mode: 0o700},
		entry{name: "./srv/", mode: 0o2775},
		entry{name: "./usr/bin/su", content: "su", mode: 0o6755},
		entry{name: "./usr/bin/open", content: "open", mode: 0o777},
		entry{name: "./usr/bin/sticky", content: "s", mode: 0o1755},
		entry{name: "./usr/bin/hard", link: "./usr/bin/open", flag: tar.TypeLink},
		entry{name: "./usr/bin/soft", link: "open"},
		entry{name: "./usr/bin/absolute", link: "/etc/alternatives/x"},
		entry{name: "./usr/share/closed/", mode: 0o555},
		entry{name: "./usr/share/closed/file", content: "", mode: 0o444},
	)}})
	expect(t, out,
		"etc/ 755", `etc/one.conf 644 "x"`,
		"tmp/ 1777",
		"var/tmp/ 1775",
		"root/ 700",
		"srv/ 775",
		"usr/ 755", "usr/bin/ 755",
		`usr/bin/su 755 "su"`,
		`usr/bin/open 775 (2 links) "open"`,
		`usr/bin/hard 775 (2 links) "open"`,
		`usr/bin/sticky 755 "s"`,
		"usr/bin/soft -> open",
		"usr/bin/absolute -> /etc/alternatives/x",
		"usr/share/ 755", "usr/share/closed/ 555", `usr/share/closed/file 444 ""`,
	)
	if info, err := os.Stat(out); err != nil || info.Mode().Perm() != 0o755 || info.ModTime().Unix() != 0 {
		t.Errorf("the root is %v, %v", info, err)
	}
}

func TestCompressions(t *testing.T) {
	big := make([]byte, 600<<10) // several chunks
	mathrand.NewChaCha8([32]byte{1}).Read(big)
	for _, ending := range []string{"", ".gz", ".xz", ".zst", "blocks.xz"} {
		p := save(t, debOf(t, "one", ending, []entry{{name: "big", content: string(big)}, {name: "last", content: "x"}}))
		out := mustBuild(t, Spec{Packages: []Package{p}})
		got, err := os.ReadFile(filepath.Join(out, "big"))
		if err != nil || !bytes.Equal(got, big) {
			t.Errorf("%q: content differs, error %v", ending, err)
		}
		if _, err := os.Stat(filepath.Join(out, "last")); err != nil {
			t.Errorf("%q: %v", ending, err)
		}
	}
}

// The blocks of an xz stream are found: without this the test above would pass
// with everything decoded in one go.
func TestBlocksAreSplit(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789"), 1000)
	data := compress(t, "blocks.xz", content)
	m := memberOf("data.tar.xz", data)
	if n := len(split(m)); n != 5 {
		t.Errorf("split into %d parts, want 5", n)
	}
	// Whatever is odd about the stream is left to the decoder.
	for at := 0; at < len(data); at += 5 {
		odd := bytes.Clone(data)
		odd[at] ^= 0x40
		d, contents := startDecoder([]member{memberOf("data.tar.xz", odd)})
		var b bytes.Buffer
		_, err := b.ReadFrom(contents[0])
		d.close()
		// The decoder skips a byte that has no meaning.
		if err == nil && !bytes.Equal(b.Bytes(), content) {
			t.Fatalf("no error, but other content with byte %d of %d changed", at, len(data))
		}
	}
	for size := 0; size < len(data); size += 5 {
		d, contents := startDecoder([]member{memberOf("data.tar.xz", data[:size])})
		var b bytes.Buffer
		_, err := b.ReadFrom(contents[0])
		d.close()
		if err == nil {
			t.Fatalf("no error with %d of %d bytes", size, len(data))
		}
	}
}

func TestMergedUsr(t *testing.T) {
	p := pack(t, "one",
		entry{name: "./lib/"},
		entry{name: "./lib/x86_64-linux-gnu/"},
		entry{name: "./lib/x86_64-linux-gnu/libone.so.1.2", content: "one"},
		entry{name: "./lib/x86_64-linux-gnu/libone.so.1", link: "libone.so.1.2"},
		entry{name: "./lib/x86_64-linux-gnu/hard", link: "./lib/x86_64-linux-gnu/libone.so.1.2", flag: tar.TypeLink},
		entry{name: "./lib64", link: "usr/lib64"},
		entry{name: "./lib64/ld.so", link: "/lib/x86_64-linux-gnu/ld.so"},
		entry{name: "./libexec/x", content: "not merged"},
		entry{name: "./sbin/", mode: 0o755},
	)
	above := mustBuild(t, Spec{Lower: true, Packages: []Package{p}})
	expect(t, above,
		"usr/ 755", "usr/lib/ 755", "usr/lib/x86_64-linux-gnu/ 755",
		`usr/lib/x86_64-linux-gnu/libone.so.1.2 644 (2 links) "one"`,
		`usr/lib/x86_64-linux-gnu/hard 644 (2 links) "one"`,
		"usr/lib/x86_64-linux-gnu/libone.so.1 -> libone.so.1.2",
		"usr/lib64/ 755", "usr/lib64/ld.so -> /lib/x86_64-linux-gnu/ld.so",
		"libexec/ 755", `libexec/x 644 "not merged"`,
		"usr/sbin/ 755",
	)
	// The lowest layer has the symlinks, and what follows goes through them.
	base := pack(t, "base",
		entry{name: "./lib", link: "usr/lib"},
		entry{name: "./lib64", link: "usr/lib64"},
		entry{name: "./sbin", link: "/usr/sbin"},
		entry{name: "./usr/lib/"},
	)
	lowest := mustBuild(t, Spec{Packages: []Package{base, pack(t, "two",
		entry{name: "./lib/"}, entry{name: "./lib/two", content: "2"},
		entry{name: "./sbin/"}, entry{name: "./sbin/tool", content: "t"},
		entry{name: "./lib64/ld.so", content: "ld"},
	)}})
	expect(t, lowest,
		"lib -> usr/lib", "lib64 -> usr/lib64", "sbin -> /usr/sbin",
		"usr/ 755", "usr/lib/ 755", `usr/lib/two 644 "2"`,
		"usr/lib64/ 755", `usr/lib64/ld.so 644 "ld"`,
		"usr/sbin/ 755", `usr/sbin/tool 644 "t"`,
	)
	// The layer's own files may be the symlinks, where a package has only an
	// empty directory.
	own := mustBuild(t, Spec{
		Packages: []Package{pack(t, "base", entry{name: "./lib/"}, entry{name: "./bin/"})},
		Files:    []File{{Path: "/lib", Link: "usr/lib"}, {Path: "/bin", Link: "usr/bin"}},
	})
	expect(t, own, "lib -> usr/lib", "bin -> usr/bin")
	raised := mustBuild(t, Spec{Lower: true, Files: []File{{Path: "/lib", Link: "usr/lib"}, {Path: "/lib/x", Content: "x"}}})
	expect(t, raised, "lib -> usr/lib", "usr/ 755", "usr/lib/ 755", `usr/lib/x 644 "x"`)
}

func TestExclude(t *testing.T) {
	p := []Package{pack(t, "one",
		entry{name: "./usr/share/doc/one/"},
		entry{name: "./usr/share/doc/one/copyright", content: "c"},
		entry{name: "./usr/share/doc/one/changelog.gz", content: "log"},
		entry{name: "./usr/share/doc/two", link: "one"},
		entry{name: "./usr/share/man/", mode: 0o750},
		entry{name: "./usr/share/man/man1/"},
		entry{name: "./usr/share/man/man1/one.1", content: "man"},
		entry{name: "./usr/share/locale/"},
		entry{name: "./usr/share/locale/de/"},
		entry{name: "./usr/share/locale/de/one.mo", content: "mo"},
		entry{name: "./usr/share/locale/en/"},
		entry{name: "./usr/share/locale/en/one.mo", content: "mo"},
		entry{name: "./usr/share/empty/"},
		entry{name: "./var/cache/one/"},
		entry{name: "./var/cache/one/x.bin", content: "bin"},
	)}
	out := mustBuild(t, Spec{
		Packages: p,
		Exclude:  []string{"/usr/share/doc/**", "usr/share/man/**", "usr/share/locale/*/*.mo", "**/*.bin"},
		Keep:     []string{"usr/share/locale/en/**"},
	})
	expect(t, out,
		"usr/ 755", "usr/share/ 755", "usr/share/doc/ 755",
		"usr/share/doc/one/ 755", `usr/share/doc/one/copyright 644 "c"`, "usr/share/doc/two -> one",
		"usr/share/locale/ 755", "usr/share/locale/en/ 755", `usr/share/locale/en/one.mo 644 "mo"`,
		"usr/share/empty/ 755",
	)
	// A directory that is left out gives its mode to what is kept in it.
	kept := mustBuild(t, Spec{Packages: p, Exclude: []string{"**"}, Keep: []string{"usr/share/man/man1/*"}})
	expect(t, kept, "usr/ 755", "usr/share/ 755", "usr/share/doc/ 755",
		"usr/share/doc/one/ 755", `usr/share/doc/one/copyright 644 "c"`, "usr/share/doc/two -> one",
		"usr/share/man/ 750", "usr/share/man/man1/ 755", `usr/share/man/man1/one.1 644 "man"`)
}

// What one package leaves out does not take an empty directory of another.
func TestEmptyDirectoryOfAnother(t *testing.T) {
	out := mustBuild(t, Spec{
		Packages: []Package{
			pack(t, "base", entry{name: "./var/"}, entry{name: "./var/cache/"}),
			pack(t, "one", entry{name: "./var/"}, entry{name: "./var/cache/"}, entry{name: "./var/cache/x", content: "x"}),
		},
		Exclude: []string{"var/cache/*"},
	})
	expect(t, out, "var/cache/ 755")
}

func TestTwoPackages(t *testing.T) {
	same := []entry{{name: "./usr/share/x", content: "same"}, {name: "./usr/link", link: "share"}, {name: "./usr/share/"}}
	out := mustBuild(t, Spec{Packages: []Package{pack(t, "one", same...), pack(t, "two", same...)}})
	expect(t, out, "usr/ 755", "usr/share/ 755", `usr/share/x 644 "same"`, "usr/link -> share")

	for name, other := range map[string]entry{
		"content":   {name: "./usr/share/x", content: "other"},
		"shorter":   {name: "./usr/share/x", content: "sam"},
		"longer":    {name: "./usr/share/x", content: "same."},
		"mode":      {name: "./usr/share/x", content: "same", mode: 0o755},
		"link":      {name: "./usr/link", link: "bin"},
		"kind":      {name: "./usr/share/x", link: "y"},
		"directory": {name: "./usr/share/x/"},
		"below":     {name: "./usr/share", content: "file"},
	} {
		err := Build(Spec{Packages: []Package{pack(t, "one", same...), pack(t, "two", other)}}, t.TempDir())
		if err == nil || !strings.Contains(err.Error(), "package two") || !strings.Contains(err.Error(), "package one has /usr/") {
			t.Errorf("%s: got the error %v, want one that names both packages", name, err)
		}
	}
}

func TestFiles(t *testing.T) {
	out := mustBuild(t, Spec{
		Packages: []Package{pack(t, "one",
			entry{name: "./etc/nsswitch.conf", content: "shipped"}, entry{name: "./etc/mtab", link: "/proc/mounts"},
			entry{name: "./run", link: "var/run"}, entry{name: "./etc/hard", link: "etc/nsswitch.conf", flag: tar.TypeLink})},
		Files: []File{
			{Path: "/etc/nsswitch.conf", Content: "ours"},
			{Path: "/etc/mtab", Content: "a file now"},
			{Path: "/etc/secret", Content: "s", Mode: "0600"},
			{Path: "/tmp", Dir: true, Mode: "1777"},
			{Path: "/home/nonroot", Dir: true, Mode: "0700", Owner: 65532},
			{Path: "/run/x", Content: "through the symlink"},
			{Path: "/usr/lib/ssl/cert.pem", Link: "/etc/ssl/certs/ca-certificates.crt"},
			{Path: "/empty"},
		},
	})
	home := "home/nonroot/ 700"
	if os.Geteuid() == 0 {
		home += " owned by 65532:65532"
	}
	expect(t, out,
		"etc/ 755", `etc/nsswitch.conf 644 "ours"`, `etc/hard 644 "shipped"`, `etc/mtab 644 "a file now"`, `etc/secret 600 "s"`,
		"tmp/ 1777", "home/ 755", home, "run -> var/run", "var/run/ 755", `var/run/x 644 "through the symlink"`,
		"usr/ 755", "usr/lib/ 755", "usr/lib/ssl/ 755", "usr/lib/ssl/cert.pem -> /etc/ssl/certs/ca-certificates.crt",
		`empty 644 ""`,
	)
	sums, err := os.ReadFile(filepath.Join(out, statusDir, "one.md5sums"))
	// The checksum of "shipped".
	if want := "2afc8d67c3f57f0b1bb5fd9b2e9fd0d4"; err != nil || strings.Contains(string(sums), "nsswitch") || !strings.HasSuffix(string(sums), "  etc/hard\n") || len(sums) != len(want)+len("  etc/hard\n") {
		t.Errorf("the record has %q, %v: want etc/hard alone, the others are not the package's any more", sums, err)
	}
}

func TestBadSpecs(t *testing.T) {
	good := pack(t, "one", entry{name: "a", content: "a"})
	cases := map[string]struct {
		spec Spec
		want string
	}{
		"wrong checksum":   {Spec{Packages: []Package{{Path: good.Path, SHA256: strings.Repeat("0", 64)}}}, "checksum does not match"},
		"no checksum":      {Spec{Packages: []Package{{Path: good.Path, SHA256: ""}}}, "not a SHA-256"},
		"short checksum":   {Spec{Packages: []Package{{Path: good.Path, SHA256: good.SHA256[:62]}}}, "not a SHA-256"},
		"missing package":  {Spec{Packages: []Package{{Path: good.Path + "x", SHA256: good.SHA256}}}, "no such file"},
		"package twice":    {Spec{Packages: []Package{good, good}}, "package one is there twice"},
		"bad pattern":      {Spec{Exclude: []string{"a/[b"}}, "exclude: pattern"},
		"bad keep":         {Spec{Keep: []string{"../b"}}, "keep: pattern"},
		"relative file":    {Spec{Files: []File{{Path: "a"}}}, "absolute"},
		"climbing file":    {Spec{Files: []File{{Path: "/a/../../b"}}}, "absolute and clean"},
		"root file":        {Spec{Files: []File{{Path: "/", Dir: true}}}, "not the root"},
		"file twice":       {Spec{Files: []File{{Path: "/a"}, {Path: "/a"}}}, "twice"},
		"setuid file":      {Spec{Files: []File{{Path: "/a", Mode: "4755"}}}, "permission bits"},
		"no mode":          {Spec{Files: []File{{Path: "/a", Mode: "rwx"}}}, "permission bits"},
		"sticky file":      {Spec{Files: []File{{Path: "/a", Mode: "1755"}}}, "only a directory"},
		"link and content": {Spec{Files: []File{{Path: "/a", Link: "b", Content: "c"}}}, "only one of"},
		"link and mode":    {Spec{Files: []File{{Path: "/a", Link: "b", Mode: "0777"}}}, "no mode"},
		"climbing link":    {Spec{Files: []File{{Path: "/a/b", Link: "../../c"}}}, "leads out"},
		"owner":            {Spec{Files: []File{{Path: "/a", Owner: -1}}}, "no user"},
		"file over directory": {Spec{Packages: []Package{good, pack(t, "two", entry{name: "d/e", content: "e"})},
			Files: []File{{Path: "/d", Content: "file"}}}, "directory with files"},
		"file below file": {Spec{Packages: []Package{good}, Files: []File{{Path: "/a/b"}}}, "not a directory"},
		"no certificates": {Spec{Packages: []Package{good}, CABundle: true}, "add ca-certificates"},
	}
	for name, c := range cases {
		out := filepath.Join(t.TempDir(), "out")
		err := Build(c.spec, out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got the error %v, want %q in it", name, err, c.want)
		}
		if left, err := os.ReadDir(out); err == nil && len(left) > 0 {
			t.Errorf("%s: %v was left behind", name, left)
		}
	}
}

// Nothing of any package is unpacked unless all checksums match.
func TestVerifiesBeforeUnpacking(t *testing.T) {
	good := pack(t, "one", entry{name: "a", content: "a"})
	bad := pack(t, "two", entry{name: "b", content: "b"})
	content, err := os.ReadFile(bad.Path)
	if err != nil {
		t.Fatal(err)
	}
	content[len(content)-1] ^= 1
	if err := os.WriteFile(bad.Path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "out")
	if err := Build(Spec{Packages: []Package{good, bad}}, out); err == nil || !strings.Contains(err.Error(), bad.Path) {
		t.Errorf("got the error %v, want the package's path in it", err)
	}
	if _, err := os.Lstat(out); !os.IsNotExist(err) {
		t.Errorf("the output was touched: %v", err)
	}
}

func TestNotEmpty(t *testing.T) {
	out := t.TempDir()
	if err := os.WriteFile(filepath.Join(out, "mine"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := Build(Spec{}, out); err == nil || !strings.Contains(err.Error(), "not empty") {
		t.Errorf("got the error %v", err)
	}
	if _, err := os.Stat(filepath.Join(out, "mine")); err != nil {
		t.Error("what was there is gone")
	}
}

// Every way out of the directory that an archive can try, and everything that
// has no place in an image.
func TestTraps(t *testing.T) {
	file := entry{name: "before", content: "x"}
	cases := map[string]struct {
		entries []entry
		want    string
	}{
		"up":                        {[]entry{{name: "../outside/evil", content: "x"}}, `an element ".."`},
		"up inside":                 {[]entry{{name: "./a/../../outside/evil", content: "x"}}, `an element ".."`},
		"absolute":                  {[]entry{{name: "/outside/evil", content: "x"}}, "absolute"},
		"only slash":                {[]entry{{name: "/", flag: tar.TypeDir}}, "absolute"},
		"symlink up":                {[]entry{{name: "a", link: "../outside"}, {name: "a/evil", content: "x"}}, "leads out"},
		"symlink deep up":           {[]entry{{name: "a/b/c", link: "../../../outside"}}, "leads out"},
		"symlink down and up":       {[]entry{{name: "a", link: "b/../../outside"}}, "leads out"},
		"symlink through a symlink": {[]entry{{name: "a/b/"}, {name: "l", link: "a/b"}, {name: "m", link: "l/../.."}}, "leads out"},
		"physical climb":            {[]entry{{name: "x", link: "."}, {name: "y", link: "x/../outside"}, {name: "y/evil", content: "x"}}, "leads out of the layer through a symlink"},
		"symlink loop":              {[]entry{{name: "a", link: "b"}, {name: "b", link: "a"}, {name: "a/evil", content: "x"}}, "loop"},
		"directory at a loop":       {[]entry{{name: "a", link: "a"}, {name: "a/"}}, "loop"},
		"empty symlink":             {[]entry{{name: "a", flag: tar.TypeSymlink}}, "not a path"},
		"hard link up":              {[]entry{{name: "a", link: "../outside/secret", flag: tar.TypeLink}}, `an element ".."`},
		"hard link absolute":        {[]entry{{name: "a", link: "/etc/passwd", flag: tar.TypeLink}}, "absolute"},
		"hard link to nothing":      {[]entry{{name: "a", link: "b", flag: tar.TypeLink}}, "does not have"},
		"hard link to a symlink":    {[]entry{{name: "b", link: "/etc/passwd"}, {name: "a", link: "b", flag: tar.TypeLink}}, "not a file of the same package"},
		"hard link to a directory":  {[]entry{{name: "b/"}, {name: "a", link: "b", flag: tar.TypeLink}}, "not a file of the same package"},
		"hard link to itself":       {[]entry{file, {name: "before", link: "before", flag: tar.TypeLink}}, "twice"},
		"character device":          {[]entry{{name: "dev/null", flag: tar.TypeChar}}, "device node"},
		"block device":              {[]entry{{name: "dev/sda", flag: tar.TypeBlock}}, "device node"},
		"fifo":                      {[]entry{{name: "pipe", flag: tar.TypeFifo}}, "fifo"},
		"other type":                {[]entry{{name: "s", flag: tar.TypeCont}}, "tar entry of type"},
		"file twice":                {[]entry{{name: "a", content: "1"}, {name: "a", content: "1"}}, "twice"},
		"file below a file":         {[]entry{{name: "a", content: "1"}, {name: "a/b", content: "1"}}, "not a directory"},
		"file as root":              {[]entry{{name: "./.", content: "1"}}, "root"},
		"double slash":              {[]entry{{name: "a//b", content: "1"}}, `an element ""`},
		"dot inside":                {[]entry{{name: "a/./b", content: "1"}}, `an element "."`},
		"newline":                   {[]entry{{name: "a\nb", content: "1"}}, "control character"},
		"long element":              {[]entry{{name: strings.Repeat("a", 256), content: "1"}}, "longer than 255"},
		"long path":                 {[]entry{{name: strings.Repeat("a/", 2100) + "b", content: "1"}}, "longer than 4096"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			outside := filepath.Join(dir, "outside")
			if err := os.Mkdir(outside, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(outside, "secret"), []byte("s"), 0o600); err != nil {
				t.Fatal(err)
			}
			out := filepath.Join(dir, "out")
			err := Build(Spec{Packages: []Package{pack(t, "evil", append([]entry{file}, c.entries...)...)}}, out)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "package evil") {
				t.Errorf("got the error %v, want %q in it", err, c.want)
			}
			left, err := os.ReadDir(out)
			if err != nil || len(left) > 0 {
				t.Errorf("%v was left behind, %v", left, err)
			}
			if entries, err := os.ReadDir(outside); err != nil || len(entries) != 1 {
				t.Errorf("outside now has %v, %v", entries, err)
			}
			var st syscall.Stat_t
			if err := syscall.Stat(filepath.Join(outside, "secret"), &st); err != nil || st.Nlink != 1 || st.Mode&0o777 != 0o600 {
				t.Errorf("the file outside changed: %+v, %v", st, err)
			}
		})
	}
}

// An absolute symlink is followed within the layer.
func TestAbsoluteSymlinkStaysInside(t *testing.T) {
	out := mustBuild(t, Spec{Packages: []Package{pack(t, "one",
		entry{name: "var/run", link: "/run"}, entry{name: "var/run/x", content: "x"}, entry{name: "var/run/lock/"})}})
	expect(t, out, "var/run -> /run", "run/ 755", `run/x 644 "x"`, "run/lock/ 755")
}

// A file of gigabytes takes few bytes where the archive may leave out holes,
// in either form that tar knows.
func TestSparse(t *testing.T) {
	old := tarOf(t, []entry{{name: "huge", content: strings.Repeat("x", 512)}})
	copy(old[257:], "ustar  \x00") // GNU's magic
	old[156] = tar.TypeGNUSparse
	for at, number := range map[int]int64{386: 1<<32 - 512, 398: 512, 483: 1 << 32} {
		copy(old[at:], fmt.Sprintf("%011o\x00", number))
	}
	clear(old[345:386])
	fixTarChecksum(old)

	records := ""
	for _, r := range []string{"GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=huge", "GNU.sparse.realsize=1099511627776"} {
		records += fmt.Sprintf("%d %s\n", len(r)+4, r)
	}
	pax := tarOf(t, []entry{{name: "PaxHeaders/x", content: records}})
	pax[156] = tar.TypeXHeader
	fixTarChecksum(pax)
	sparseMap := "1\n1099511627264\n512\n"
	data := tarOf(t, []entry{{name: "huge", content: sparseMap + strings.Repeat("\x00", 512-len(sparseMap)) + strings.Repeat("x", 512)}})

	for name, stream := range map[string][]byte{"GNU": old, "PAX": append(pax[:1024:1024], data...)} {
		deb := arOf([2]string{"debian-binary", "2.0\n"},
			[2]string{"control.tar", string(tarOf(t, []entry{{name: "control", content: control("sparse")}}))},
			[2]string{"data.tar", string(stream)})
		out := t.TempDir()
		if err := Build(Spec{Packages: []Package{save(t, deb)}}, out); err == nil || !strings.Contains(err.Error(), "it is a sparse file") {
			t.Errorf("%s: got the error %v", name, err)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: %v was left behind", name, left)
		}
	}
}

func fixTarChecksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header[:512] {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}

func TestLimits(t *testing.T) {
	p := pack(t, "one", entry{name: "a", content: strings.Repeat("\x00", 1<<20)}, entry{name: "b", content: "x"})
	for name, c := range map[string]struct {
		max  limits
		want string
	}{
		"bytes":   {limits{bytes: 1 << 19, entries: 10}, "more than 524288 bytes"},
		"entries": {limits{bytes: 1 << 30, entries: 1}, "more than 1 files"},
	} {
		out := t.TempDir()
		// What is left out counts too: it is decompressed all the same.
		err := build(Spec{Packages: []Package{p}, Exclude: []string{"a"}}, out, c.max)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got the error %v, want %q in it", name, err, c.want)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: %v was left behind", name, left)
		}
	}
}

func TestBadArchives(t *testing.T) {
	good := debOf(t, "one", ".gz", []entry{{name: "a", content: "a"}})
	goodControl := string(tarOf(t, []entry{{name: "control", content: control("one")}}))
	data := string(tarOf(t, []entry{{name: "a", content: "a"}}))
	binary := [2]string{"debian-binary", "2.0\n"}
	withControl := func(text string) []byte {
		return arOf(binary, [2]string{"control.tar", string(tarOf(t, []entry{{name: "control", content: text}}))}, [2]string{"data.tar", data})
	}
	header := len(arMagic) + 60 + 4
	cases := map[string]struct {
		deb  []byte
		want string
	}{
		"empty":            {nil, "ar archive"},
		"not ar":           {[]byte("hello world, this is not one"), "ar archive"},
		"no members":       {[]byte(arMagic), "debian-binary"},
		"cut header":       {good[:len(arMagic)+30], "within a member's header"},
		"cut member":       {good[:len(good)-20], "cut off"},
		"bad magic":        {append(append(bytes.Clone(good[:header]), bytes.Repeat([]byte("x"), 60)...), good[header+60:]...), "no member's header"},
		"negative size":    {bytes.Replace(good, []byte("4         `"), []byte("-4        `"), 1), "the size"},
		"huge size":        {bytes.Replace(good, []byte("4         `"), []byte("9999999999`"), 1), "cut off"},
		"format 3":         {arOf([2]string{"debian-binary", "3.0\n"}), "format"},
		"no control":       {arOf(binary, [2]string{"data.tar", data}), `"control.tar"`},
		"no data":          {arOf(binary, [2]string{"control.tar", goodControl}), `"data.tar"`},
		"order":            {arOf(binary, [2]string{"data.tar", data}, [2]string{"control.tar", goodControl}), `"control.tar"`},
		"other name":       {arOf(binary, [2]string{"control.tar", goodControl}, [2]string{"data.tarx", data}), `"data.tar"`},
		"compression":      {arOf(binary, [2]string{"control.tar", goodControl}, [2]string{"data.tar.bz2", data}), "not supported"},
		"not gzip":         {arOf(binary, [2]string{"control.tar.gz", goodControl}, [2]string{"data.tar", data}), "gzip"},
		"not xz":           {arOf(binary, [2]string{"control.tar", goodControl}, [2]string{"data.tar.xz", data}), "xz"},
		"not zstd":         {arOf(binary, [2]string{"control.tar", goodControl}, [2]string{"data.tar.zst", data}), "magic"},
		"not tar":          {arOf(binary, [2]string{"control.tar", goodControl}, [2]string{"data.tar", strings.Repeat("x", 1024)}), "tar"},
		"empty control":    {arOf(binary, [2]string{"control.tar", string(tarOf(t, nil))}, [2]string{"data.tar", data}), "no control file"},
		"no package":       {withControl("Version: 1\n"), "not a package name"},
		"climbing package": {withControl("Package: ../../etc/x\nVersion: 1\n"), "not a package name"},
		"no version":       {withControl("Package: one\n"), "no version"},
		"two paragraphs":   {withControl(control("one") + "\n" + control("two")), "more than one paragraph"},
		"no field":         {withControl("Package: one\nVersion: 1\nnonsense\n"), "no field"},
		"many members":     {arOf(slices.Repeat([][2]string{binary}, 20)...), "more than 16"},
	}
	for name, c := range cases {
		out := t.TempDir()
		p := save(t, c.deb)
		err := Build(Spec{Packages: []Package{p}}, out)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got the error %v, want %q in it", name, err, c.want)
		}
		if left, _ := os.ReadDir(out); len(left) > 0 {
			t.Errorf("%s: %v was left behind", name, left)
		}
	}
}

// A package whose data ends early or is damaged is an error even where the tar
// archive within is whole.
func TestDamagedData(t *testing.T) {
	entries := []entry{{name: "a", content: "a"}}
	for _, ending := range []string{".gz", ".xz", ".zst"} {
		data := compress(t, ending, tarOf(t, entries))
		for name, damaged := range map[string][]byte{
			"cut":     data[:len(data)-3],
			"changed": append(bytes.Clone(data[:len(data)-3]), data[len(data)-3]^0xff, data[len(data)-2], data[len(data)-1]),
		} {
			if ending == ".zst" && name == "changed" {
				// zstd's checksum is the last four bytes.
				damaged = bytes.Clone(data)
				damaged[len(damaged)-1] ^= 0xff
			}
			deb := arOf([2]string{"debian-binary", "2.0\n"},
				[2]string{"control.tar", string(tarOf(t, []entry{{name: "control", content: control("one")}}))},
				[2]string{"data.tar" + ending, string(damaged)})
			out := t.TempDir()
			if err := Build(Spec{Packages: []Package{save(t, deb)}}, out); err == nil {
				t.Errorf("%s %s: no error", ending, name)
			}
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("%s %s: %v was left behind", ending, name, left)
			}
		}
	}
}

// Members that the format lets stand between and behind the three are skipped.
func TestOtherMembers(t *testing.T) {
	deb := arOf([2]string{"debian-binary/", "2.0\n"}, [2]string{"_odd", "x"},
		[2]string{"control.tar", string(tarOf(t, []entry{{name: "control", content: control("one")}}))},
		[2]string{"_more", "xy"},
		[2]string{"data.tar", string(tarOf(t, []entry{{name: "a", content: "a"}}))},
		[2]string{"signature", "z"})
	expect(t, mustBuild(t, Spec{Packages: []Package{save(t, deb)}}), `a 644 "a"`)
}

func TestRecords(t *testing.T) {
	out := mustBuild(t, Spec{
		Packages: []Package{pack(t, "libone1.0+x",
			entry{name: "./lib/one", content: "hello"}, entry{name: "./usr/share/man/one.1", content: "man"},
			entry{name: "./usr/one", link: "lib/one"}, entry{name: "./a", content: ""})},
		Lower:   true,
		Exclude: []string{"usr/share/man/**"},
	})
	for name, want := range map[string]string{
		"libone1.0+x":         control("libone1.0+x"),
		"libone1.0+x.md5sums": "d41d8cd98f00b204e9800998ecf8427e  a\n5d41402abc4b2a76b9719d911017c592  usr/lib/one\n",
	} {
		got, err := os.ReadFile(filepath.Join(out, "var/lib/dpkg/status.d", name))
		if err != nil || string(got) != want {
			t.Errorf("%s is %q, %v; want %q", name, got, err, want)
		}
	}
}

func certificatePEM(t *testing.T, name string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	template.Subject.CommonName = name
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestCABundle(t *testing.T) {
	const dir = "usr/share/ca-certificates/mozilla/"
	one, two := certificatePEM(t, "one"), certificatePEM(t, "two")
	spec := Spec{
		CABundle: true,
		Exclude:  []string{"usr/share/ca-certificates/**"},
		Packages: []Package{pack(t, "ca-certificates",
			entry{name: dir + "b.crt", content: two},
			// No newline at its end: two certificates must not share a line.
			entry{name: dir + "a.crt", content: strings.TrimSuffix(one, "\n")},
			entry{name: dir + "README", content: "not one"})},
	}
	out := mustBuild(t, spec)
	bundle, err := os.ReadFile(filepath.Join(out, "etc/ssl/certs/ca-certificates.crt"))
	if err != nil || string(bundle) != one+two {
		t.Errorf("the bundle is %q, %v", bundle, err)
	}
	if pool := x509.NewCertPool(); !pool.AppendCertsFromPEM(bundle) {
		t.Error("the bundle has no certificates")
	}
	if _, err := os.Stat(filepath.Join(out, "usr")); !os.IsNotExist(err) {
		t.Errorf("the single files are there: %v", err)
	}
	spec.Exclude = nil
	kept, err := os.ReadFile(filepath.Join(mustBuild(t, spec), dir, "a.crt"))
	if err != nil || string(kept) != strings.TrimSuffix(one, "\n") {
		t.Errorf("the single file is %q, %v", kept, err)
	}

	for name, content := range map[string]string{
		"empty":       "",
		"text":        "hello",
		"key":         strings.ReplaceAll(one, "CERTIFICATE", "PRIVATE KEY"),
		"two in one":  one + two,
		"cut":         one[:len(one)/2],
		"not DER":     string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: []byte("hello")})),
		"more behind": one + "hello",
	} {
		p := pack(t, "ca-certificates", entry{name: dir + "x.crt", content: content})
		if err := Build(Spec{CABundle: true, Packages: []Package{p}}, t.TempDir()); err == nil || !strings.Contains(err.Error(), "x.crt") {
			t.Errorf("%s: got the error %v, want one that names the file", name, err)
		}
	}
}

// Two builds, at different times and with another umask, are equal in all that
// a layer records.
func TestDeterminism(t *testing.T) {
	var packages []Package
	for i := range 10 {
		entries := []entry{{name: "./usr/"}, {name: fmt.Sprintf("./usr/p%02d/", i), mode: 0o555}, {name: "./tmp/", mode: 0o1777}}
		for j := range 20 {
			name := fmt.Sprintf("./usr/p%02d/f%02d", i, j)
			entries = append(entries, entry{name: name, content: strings.Repeat(name, j*50)},
				entry{name: name + ".link", link: fmt.Sprintf("f%02d", j)},
				entry{name: name + ".hard", link: name, flag: tar.TypeLink})
		}
		packages = append(packages, save(t, debOf(t, fmt.Sprintf("p%02d", i), []string{"", ".gz", ".xz", ".zst", "blocks.xz"}[i%5], entries)))
	}
	spec := Spec{Packages: packages, Files: []File{{Path: "/usr/p00/own", Content: "x"}, {Path: "/home", Dir: true}}, Exclude: []string{"**/f13"}, Keep: nil}
	// A hard link to a file that is left out is an error; leave out both.
	spec.Exclude = append(spec.Exclude, "**/f13.hard")
	first := listing(t, mustBuild(t, spec), true)
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	second := listing(t, mustBuild(t, spec), true)
	if !slices.Equal(first, second) {
		t.Error("two builds of one layer differ")
	}
	if len(first) < 500 {
		t.Errorf("only %d files were compared", len(first))
	}
	for _, line := range first {
		if a := attributes(line); strings.Contains(a, "changed at") || strings.Contains(a, "owned by") {
			t.Fatalf("not pinned: %.200s", line)
		}
	}
}

func memberOf(name string, b []byte) member {
	return member{name, sectionOf(b)}
}
