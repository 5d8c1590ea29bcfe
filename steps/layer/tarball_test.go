package layer

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// archiveOf saves an archive and returns it with its checksum.
func archiveOf(t testing.TB, content []byte, strip int, take ...Take) Archive {
	t.Helper()
	p := save(t, content)
	return Archive{Path: p.Path, Name: "example 1.0", Digest: "sha256:" + p.SHA256, StripComponents: strip, Take: take}
}

// zipOf makes a zip archive of entries as tarOf has them.
func zipOf(t testing.TB, entries []entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		mode := fs.FileMode(e.mode)
		content := e.content
		switch {
		case e.flag == tar.TypeFifo:
			mode |= fs.ModeNamedPipe
		case e.flag == tar.TypeChar:
			mode |= fs.ModeDevice | fs.ModeCharDevice
		case strings.HasSuffix(e.name, "/"):
			mode |= fs.ModeDir
		case e.link != "":
			mode |= fs.ModeSymlink
			content = e.link
		}
		h.SetMode(mode)
		f, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

var release = []entry{
	{name: "tool-v1/"},
	{name: "tool-v1/LICENSE", content: "licence", mode: 0o664},
	{name: "tool-v1/README.md", content: "not taken"},
	{name: "tool-v1/bin/", mode: 0o2775},
	{name: "tool-v1/bin/tool", content: "program", mode: 0o4775},
	{name: "tool-v1/bin/manage", link: "../lib/manage/cli.js"},
	{name: "tool-v1/lib/manage/cli.js", content: "script", mode: 0o711},
	{name: "tool-v1/lib/manage/data.json", content: "{}", mode: 0o600},
	{name: "tool-v1/lib/manage/docs/x.md", content: "docs"},
}

func TestArchive(t *testing.T) {
	take := []Take{
		{From: "bin", To: "/usr/local/bin"},
		{From: "lib/manage", To: "/usr/local/lib/manage"},
		{From: "lib/manage/data.json", To: "/etc/manage.json"},
		{From: "LICENSE", To: "/usr/share/doc/tool/copyright"},
	}
	kinds := map[string][]byte{"zip": zipOf(t, release)}
	for _, ending := range []string{"", ".gz", ".xz", ".zst", "blocks.xz"} {
		kinds["tar"+ending] = compress(t, ending, tarOf(t, release))
	}
	for name, content := range kinds {
		t.Run(name, func(t *testing.T) {
			// No setuid file, no group that writes, whatever the archive says.
			expect(t, mustBuild(t, Spec{Archives: []Archive{archiveOf(t, content, 1, take...)}, Exclude: []string{"usr/local/lib/manage/docs/**"}}),
				"usr/ 755", "usr/local/ 755", "usr/local/bin/ 755", "usr/local/lib/ 755", "usr/local/lib/manage/ 755",
				`usr/local/bin/tool 755 "program"`, "usr/local/bin/manage -> ../lib/manage/cli.js",
				`usr/local/lib/manage/cli.js 755 "script"`,
				"etc/ 755", `etc/manage.json 644 "{}"`,
				"usr/share/ 755", "usr/share/doc/ 755", "usr/share/doc/tool/ 755", `usr/share/doc/tool/copyright 644 "licence"`,
			)
			all := archiveOf(t, content, 1, Take{From: ".", To: "/opt"})
			sum := sha512.Sum512(content)
			all.Digest = fmt.Sprintf("sha512:%x", sum)
			expect(t, mustBuild(t, Spec{Archives: []Archive{all}}),
				"opt/ 755", `opt/LICENSE 644 "licence"`, `opt/README.md 644 "not taken"`,
				"opt/bin/ 755", `opt/bin/tool 755 "program"`, "opt/bin/manage -> ../lib/manage/cli.js",
				"opt/lib/ 755", "opt/lib/manage/ 755", `opt/lib/manage/cli.js 755 "script"`, `opt/lib/manage/data.json 644 "{}"`,
				"opt/lib/manage/docs/ 755", `opt/lib/manage/docs/x.md 644 "docs"`)
		})
	}
}

// An archive stands beside packages, with hard links, headers that say nothing of
// files, and a second archive.
func TestArchiveWithPackages(t *testing.T) {
	data := tarOf(t, []entry{
		{flag: tar.TypeXGlobalHeader, pax: map[string]string{"comment": "x"}},
		{name: "a/one", content: "one", mode: 0o755},
		{name: "a/same", link: "a/one", flag: tar.TypeLink},
	})
	out := mustBuild(t, Spec{
		Lower:    true,
		Packages: []Package{pack(t, "lib", entry{name: "./lib/libx.so", content: "x"})},
		Archives: []Archive{
			archiveOf(t, zipOf(t, []entry{{name: "wheel/tool", content: "tool", mode: 0o755}}), 1, Take{From: "tool", To: "/bin/tool"}),
			archiveOf(t, data, 1, Take{From: ".", To: "/opt"}),
		},
	})
	expect(t, out, "usr/ 755", "usr/lib/ 755", `usr/lib/libx.so 644 "x"`, "usr/bin/ 755", `usr/bin/tool 755 "tool"`,
		"opt/ 755", `opt/one 755 (2 links) "one"`, `opt/same 755 (2 links) "one"`)
	if records, err := os.ReadDir(filepath.Join(out, statusDir)); err != nil || len(records) != 2 {
		t.Errorf("an archive is recorded as a package: %v, %v", records, err)
	}
}

func TestArchiveErrors(t *testing.T) {
	whole := compress(t, ".gz", tarOf(t, release))
	everything := Take{From: ".", To: "/"}
	changed := func(change func(*Archive)) Archive {
		a := archiveOf(t, whole, 1, everything)
		change(&a)
		return a
	}
	cases := map[string]struct {
		archive Archive
		want    string
	}{
		"checksum":         {changed(func(a *Archive) { a.Digest = "sha256:" + strings.Repeat("0", 64) }), "checksum does not match"},
		"checksum 512":     {changed(func(a *Archive) { a.Digest = "sha512:" + strings.Repeat("0", 128) }), "checksum does not match"},
		"short checksum":   {changed(func(a *Archive) { a.Digest = "sha512:" + strings.Repeat("0", 64) }), "is not a checksum"},
		"weak checksum":    {changed(func(a *Archive) { a.Digest = "sha1:" + strings.Repeat("0", 40) }), "is not a checksum"},
		"no checksum":      {changed(func(a *Archive) { a.Digest = "" }), "is not a checksum"},
		"missing":          {changed(func(a *Archive) { a.Path += "x" }), "no such file"},
		"nothing to take":  {changed(func(a *Archive) { a.Take = nil }), "nothing to take"},
		"negative":         {changed(func(a *Archive) { a.StripComponents = -1 }), "leading elements"},
		"not there":        {changed(func(a *Archive) { a.Take = []Take{everything, {From: "bin/node", To: "/node"}} }), `it has no "bin/node"`},
		"not so deep":      {changed(func(a *Archive) { a.StripComponents = 7 }), `it has no "."`},
		"takes above":      {changed(func(a *Archive) { a.Take = []Take{{From: "../x", To: "/x"}} }), "not a relative and clean path"},
		"takes absolute":   {changed(func(a *Archive) { a.Take = []Take{{From: "/x", To: "/x"}} }), "not a relative and clean path"},
		"puts above":       {changed(func(a *Archive) { a.Take = []Take{{From: "bin", To: "/../x"}} }), "not an absolute and clean path"},
		"puts relative":    {changed(func(a *Archive) { a.Take = []Take{{From: "bin", To: "x"}} }), "not an absolute and clean path"},
		"no archive":       {archiveOf(t, []byte(strings.Repeat("hello ", 200)), 0, everything), "neither a tar archive"},
		"empty":            {archiveOf(t, nil, 0, everything), "neither a tar archive"},
		"cut gzip":         {archiveOf(t, whole[:len(whole)-3], 1, everything), "unexpected EOF"},
		"gzip of no tar":   {archiveOf(t, compress(t, ".gz", bytes.Repeat([]byte("x"), 2000)), 0, everything), "tar"},
		"cut zip":          {archiveOf(t, zipOf(t, release)[:400], 1, everything), "zip"},
		"climbing":         {archiveOf(t, tarOf(t, []entry{{name: "a/../../x", content: "x"}}), 0, everything), `an element ".."`},
		"climbing later":   {archiveOf(t, tarOf(t, []entry{{name: "a/x", content: "x"}, {name: "../b", content: "x"}}), 0, Take{From: "a", To: "/a"}), `an element ".."`},
		"absolute":         {archiveOf(t, tarOf(t, []entry{{name: "/etc/x", content: "x"}}), 0, everything), "absolute"},
		"climbing zip":     {archiveOf(t, zipOf(t, []entry{{name: "../x", content: "x"}}), 0, everything), `an element ".."`},
		"backslash in zip": {archiveOf(t, zipOf(t, []entry{{name: `..\x`, content: "x"}}), 0, everything), `has a \`},
		"symlink out":      {archiveOf(t, tarOf(t, []entry{{name: "a", link: "../../etc"}}), 0, everything), "leads out"},
		"symlink moved":    {archiveOf(t, tarOf(t, []entry{{name: "a/b/c", link: "../../x"}}), 0, Take{From: "a/b", To: "/"}), "leads out"},
		"through symlink":  {archiveOf(t, tarOf(t, []entry{{name: "a", link: "../.."}, {name: "a/b", content: "x"}}), 0, Take{From: ".", To: "/x"}), "leads out"},
		"symlink in zip":   {archiveOf(t, zipOf(t, []entry{{name: "a", link: "../../etc"}}), 0, everything), "leads out"},
		"long symlink":     {archiveOf(t, zipOf(t, []entry{{name: "a", link: strings.Repeat("x/", 3000)}}), 0, everything), "is not a path"},
		"hard link out":    {archiveOf(t, tarOf(t, []entry{{name: "a", link: "../../etc/passwd", flag: tar.TypeLink}}), 0, everything), "hard link"},
		"hard link left":   {archiveOf(t, tarOf(t, []entry{{name: "x/a", content: "a"}, {name: "y/b", link: "x/a", flag: tar.TypeLink}}), 0, Take{From: "y", To: "/"}), "not taken"},
		"device":           {archiveOf(t, tarOf(t, []entry{{name: "x/null", flag: tar.TypeChar}}), 0, Take{From: "y", To: "/"}), "device node"},
		"fifo":             {archiveOf(t, tarOf(t, []entry{{name: "x", flag: tar.TypeFifo}}), 0, everything), "fifo"},
		"device in zip":    {archiveOf(t, zipOf(t, []entry{{name: "x", flag: tar.TypeChar}}), 0, everything), "device node"},
		"fifo in zip":      {archiveOf(t, zipOf(t, []entry{{name: "x", flag: tar.TypeFifo}}), 0, everything), "fifo"},
		"twice":            {archiveOf(t, tarOf(t, []entry{{name: "x", content: "1"}, {name: "x", content: "2"}}), 0, everything), "twice"},
		"on top of itself": {archiveOf(t, tarOf(t, []entry{{name: "x", content: "1"}, {name: "y", content: "2"}}), 0, Take{From: "x", To: "/x"}, Take{From: "y", To: "/x"}), "twice"},
		"the root":         {archiveOf(t, tarOf(t, []entry{{name: "x", content: "1"}}), 0, Take{From: "x", To: "/"}), "only a directory"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			out := t.TempDir()
			err := Build(Spec{Packages: []Package{pack(t, "one", entry{name: "p", content: "p"})}, Archives: []Archive{c.archive}}, out)
			if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), "archive example 1.0") {
				t.Errorf("got the error %v, want %q in it", err, c.want)
			}
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("%v was left behind", left)
			}
		})
	}
	// Nothing is unpacked, of packages either, before all is verified.
	missing := filepath.Join(t.TempDir(), "out")
	bad := changed(func(a *Archive) { a.Digest = "sha256:" + strings.Repeat("0", 64) })
	if err := Build(Spec{Archives: []Archive{archiveOf(t, whole, 1, everything), bad}}, missing); err == nil {
		t.Error("no error")
	}
	if _, err := os.Stat(missing); !os.IsNotExist(err) {
		t.Errorf("the layer was begun: %v", err)
	}
}

// A small archive of much is stopped, whether or not it is taken.
func TestArchiveLimits(t *testing.T) {
	bomb := []entry{{name: "skip/zeros", content: strings.Repeat("\x00", 4<<20)}, {name: "a", content: "a"}}
	take := Take{From: "a", To: "/a"}
	for name, a := range map[string]Archive{
		"tar": archiveOf(t, compress(t, ".gz", tarOf(t, bomb)), 0, take),
		// What is not taken of a zip archive is not even read.
		"zip": archiveOf(t, zipOf(t, bomb), 0, Take{From: "skip", To: "/skip"}),
	} {
		for _, max := range []limits{{bytes: 1 << 20, entries: 10}, {bytes: 1 << 30, entries: 1}} {
			out := t.TempDir()
			if err := build(Spec{Archives: []Archive{a}}, out, max); err == nil || !strings.Contains(err.Error(), "more than") {
				t.Errorf("%s, %+v: got the error %v", name, max, err)
			}
			if left, _ := os.ReadDir(out); len(left) > 0 {
				t.Errorf("%s: %v was left behind", name, left)
			}
		}
	}
}

// Whatever an archive holds: as for packages.
func FuzzArchive(f *testing.F) {
	f.Add(tarOf(f, release))
	f.Add(compress(f, ".gz", tarOf(f, release)))
	f.Add(zipOf(f, release))
	f.Add(zipOf(f, []entry{{name: "a", link: "../outside"}, {name: "a/evil", content: "x"}}))
	f.Add(tarOf(f, []entry{{name: "a/b", link: "../../outside"}, {name: "a/b/evil", content: "x"}}))
	f.Fuzz(func(t *testing.T, content []byte) {
		a := Archive{Path: save(t, content).Path, Name: "fuzz", Digest: fmt.Sprintf("sha256:%x", sha256.Sum256(content)), StripComponents: 1,
			Take: []Take{{From: ".", To: "/opt"}, {From: "bin", To: "/"}}}
		checkSpec(t, Spec{Archives: []Archive{a}, Strip: true})
	})
}
