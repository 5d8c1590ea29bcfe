package update_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/debian/archive"
	"github.com/birdhouse-build/birdhouse/catalog/define"
	"github.com/birdhouse-build/birdhouse/catalog/internal/archivetest"
	"github.com/birdhouse-build/birdhouse/catalog/update"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/layer"
)

const definitions = `
architectures: {amd64: {gnu: x86}, arm64: {gnu: arm}}
suites:
  "7":
    component: main
    sources:
      - {archive: debian, suite: stone}
      - {archive: debian, suite: stone-updates}
      - {archive: debian-security, suite: stone-security}
trim: {exclude: ["usr/share/man/**"]}
layers:
  - {name: static, what: "files {files}", packages: [files], without: [scripts]}
  - {name: libc, on: [static], what: "libc {libc}", packages: [libc, libc-locale]}
  - {name: tool, on: [libc], with: true, what: "tool", packages: ["tool-{gnu}"], exclude: [usr/doc/**]}
images:
  static: {layers: [static], config: {user: "1"}}
  base: {layers: [libc], config: {user: "1"}}
`

func read(t *testing.T, text string) *define.Definitions {
	t.Helper()
	defs, err := define.Read([]byte(text))
	require.NoError(t, err)
	return defs
}

// stone are the suites of an archive for the definitions.
func stone() []archivetest.Suite {
	return []archivetest.Suite{
		{Name: "stone", Date: archivetest.Now.AddDate(0, -3, 0), Packages: []archivetest.Package{
			{Name: "files", Version: "7", Arch: "all", Control: []string{"Pre-Depends: scripts | other"}, Files: map[string]string{"etc/os": "stone\n", "usr/share/man/x": "man"}},
			{Name: "libc", Version: "1:2.0-1", Control: []string{"Depends: files", "Breaks: libc-locale (<< 1:2)"}, Files: map[string]string{"usr/lib/libc.so": "old"}},
			{Name: "libc", Version: "1:2.0-1", Arch: "arm64", Control: []string{"Depends: files"}},
			{Name: "libc-locale", Version: "1:2.0-1", Arch: "all", Control: []string{"Depends: libc (>= 1:2.0~rc1), libc (<< 1:3)"}, Files: map[string]string{"usr/lib/locale": "C"}},
			{Name: "tool-x86", Version: "3.0~rc1", Control: []string{"Depends: libc"}},
			{Name: "tool-x86", Version: "3.0", Control: []string{"Depends: libc"}, Files: map[string]string{"usr/bin/tool": "tool", "usr/doc/tool": "x"}},
			{Name: "tool-arm", Version: "3.0", Arch: "arm64", Control: []string{"Depends: libc"}},
		}},
		{Name: "stone-updates", Date: archivetest.Now.AddDate(0, 0, -1), ValidUntil: archivetest.Now.AddDate(0, 0, 6), ByHash: true, Packages: []archivetest.Package{
			{Name: "files", Version: "6", Arch: "all"},
		}},
		{Name: "stone-security", ValidUntil: archivetest.Now.AddDate(0, 0, 7), ByHash: true, Packages: []archivetest.Package{
			{Name: "libc", Version: "1:2.0-1+deb7u1", Control: []string{"Depends: files"}, Files: map[string]string{"usr/lib/libc.so": "fixed"}},
		}},
	}
}

func options(t *testing.T, a *archivetest.Archive) update.Options {
	t.Helper()
	return update.Options{
		Mirror:      catalog.Mirror{Debian: a.URL, Security: a.URL},
		Keys:        a.Keys(t),
		Now:         func() time.Time { return archivetest.Now },
		Definitions: read(t, definitions),
		HTTP:        http.DefaultClient,
	}
}

func TestUpdate(t *testing.T) {
	a := archivetest.Start(t, stone()...)
	o := options(t, a)
	lock, changes, err := update.Run(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, archivetest.Now, lock.Time)
	require.True(t, changes.From.IsZero())
	require.Equal(t, ""+
		"libc:7    libc         amd64        + 1:2.0-1+deb7u1  (needed by libc-locale)\n"+
		"libc:7    libc         arm64        + 1:2.0-1  (needed by libc-locale)\n"+
		"libc:7    libc-locale  amd64 arm64  + 1:2.0-1\n"+
		"static:7  files        amd64 arm64  + 7\n"+
		"tool:7    tool-arm     arm64        + 3.0\n"+
		"tool:7    tool-x86     amd64        + 3.0\n"+
		"0 changed, 6 added, 0 removed; to 2026-03-01\n", changes.Text())
	require.Equal(t, "debian-security", lock.Suites["7"].Layers["libc"]["amd64"][0].Archive)
	require.Len(t, lock.Suites["7"].Sources, 3)
	data, err := lock.Bytes()
	require.NoError(t, err)
	require.NotContains(t, string(data), strings.TrimPrefix(a.URL, "http://"), "no host is in the lock")

	// The same again is the same, byte for byte.
	o.Previous = lock
	again, changes, err := update.Run(context.Background(), o)
	require.NoError(t, err)
	require.True(t, changes.Empty())
	same, err := again.Bytes()
	require.NoError(t, err)
	require.Equal(t, string(data), string(same))

	// And it can be built.
	file := filepath.Join(t.TempDir(), "catalog.lock")
	require.NoError(t, lock.Write(file))
	read, err := catalog.ReadLock(file)
	require.NoError(t, err)
	c, err := catalog.New(o.Definitions, read)
	require.NoError(t, err)
	img, err := c.Image(plan.Base{Image: "base", Version: "7", With: []string{"tool"}}, "amd64", "amd64")
	require.NoError(t, err)
	var what []string
	content := map[string]string{}
	for _, l := range img.Layers {
		what = append(what, l.What)
		spec := l.Spec
		for i, p := range l.Packages {
			deb, err := (&archive.Fetcher{}).Get(context.Background(), o.Mirror.URL(p), p.Size)
			require.NoError(t, err)
			spec.Packages[i].Path = filepath.Join(t.TempDir(), "a.deb")
			require.NoError(t, os.WriteFile(spec.Packages[i].Path, deb, 0o600))
		}
		out := filepath.Join(t.TempDir(), "out")
		require.NoError(t, layer.Build(spec, out))
		for _, f := range []string{"etc/os", "usr/lib/libc.so", "usr/lib/locale", "usr/bin/tool", "usr/share/man/x", "usr/doc/tool"} {
			if data, err := os.ReadFile(filepath.Join(out, f)); err == nil {
				content[f] = string(data)
			}
		}
	}
	require.Equal(t, []string{"files 7", "libc 2.0", "tool"}, what)
	require.Equal(t, map[string]string{"etc/os": "stone\n", "usr/lib/libc.so": "fixed", "usr/lib/locale": "C", "usr/bin/tool": "tool"}, content)
}

func TestUpdateThatIsRefused(t *testing.T) {
	change := func(i int, f func(s *archivetest.Suite)) []archivetest.Suite {
		suites := stone()
		f(&suites[i])
		return suites
	}
	for _, tt := range []struct {
		name   string
		suites []archivetest.Suite
		old    string
		new    string
		want   string
	}{
		{"a dependency is not listed", nil, "packages: [libc, libc-locale]", "packages: [libc-locale]", "layer libc of 7 for amd64: libc-locale needs libc (%d bytes), which is neither listed nor left out"},
		{"nothing needs what is left out", nil, "without: [scripts]", "without: [scripts, shell]", "layer static leaves out shell, which nothing in it needs"},
		{"a dependency is missing", nil, "without: [scripts]", "without: []", "layer static of 7 for amd64: files needs scripts | other, which the archive does not have"},
		{"a package is missing", nil, `"tool-{gnu}"`, "tool-x86", `layer tool of 7 for arm64: the archive has no package "tool-x86" for arm64`},
		{"a conflict with a lower layer", change(0, func(s *archivetest.Suite) {
			s.Packages[5].Control = append(s.Packages[5].Control, "Conflicts: files (>= 7)")
		}), "", "", "layer tool of 7 for amd64: tool-x86 3.0 conflicts with files 7"},
		{"expired", change(2, func(s *archivetest.Suite) {
			s.Date, s.ValidUntil = archivetest.Now.AddDate(0, 0, -9), archivetest.Now.AddDate(0, 0, -2)
		}), "", "", "stone-security/InRelease: it expired on 2026-02-27T12:00:00Z, 2 days ago: the mirror has stopped following the suite; use another mirror"},
		{"another signer", change(1, func(s *archivetest.Suite) { s.Signer = archivetest.NewKey(t) }), "", "", "stone-updates/InRelease: it is signed by none of the keys that are trusted"},
		{"a suite is gone", stone()[:2], "", "", "stone-security/InRelease: the server answers 404 Not Found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.suites == nil {
				tt.suites = stone()
			}
			a := archivetest.Start(t, tt.suites...)
			o := options(t, a)
			changed := strings.Replace(definitions, tt.old, tt.new, 1)
			o.Definitions = read(t, changed)
			lock, changes, err := update.Run(context.Background(), o)
			require.Nil(t, lock)
			require.True(t, changes.Empty())
			require.ErrorContains(t, err, "updating the catalog: ")
			before, after, _ := strings.Cut(tt.want, "%d")
			require.ErrorContains(t, err, before)
			require.ErrorContains(t, err, after)
		})
	}
}

// What packages need comes in by itself where a layer says so, in each release of
// Debian from its own archive; a release that mirrors follow less closely may be
// past its expiry.
func TestClosures(t *testing.T) {
	suites := append(stone(), archivetest.Suite{
		Name: "iron", Date: archivetest.Now.AddDate(0, 0, -9), ValidUntil: archivetest.Now.AddDate(0, 0, -2),
		Packages: []archivetest.Package{
			{Name: "files", Version: "8", Arch: "all", Control: []string{"Pre-Depends: scripts"}},
			{Name: "tool8", Version: "1", Arch: "all", Control: []string{"Depends: files, libtool8, docs | more-docs, mail-agent"}},
			{Name: "libtool8", Version: "1", Arch: "all", Control: []string{"Depends: libdeep"}},
			{Name: "libdeep", Version: "1", Arch: "all"},
			{Name: "docs", Version: "1", Arch: "all"},
			{Name: "postman", Version: "1", Arch: "all", Control: []string{"Provides: mail-agent"}},
			{Name: "pigeon", Version: "1", Arch: "all", Control: []string{"Provides: mail-agent"}},
		},
	})
	a := archivetest.Start(t, suites...)
	o := options(t, a)
	text := strings.Replace(definitions, "trim:", `  "8": {component: main, values: {n: "8"}, sources: [{archive: debian, suite: iron, graceDays: 3}]}
prefer: {mail-agent: pigeon}
trim:`, 1)
	text = strings.Replace(text, "{name: tool, on: [libc]", `{name: tool, suites: ["7"], on: [libc]`, 1)
	text = strings.Replace(text, "{name: libc, on: [static]", `{name: libc, suites: ["7"], on: [static]`, 1)
	text = strings.Replace(text, "images:", `  - {name: made, suites: ["8"], on: [static], with: true, closure: true, packages: ["tool{n}"], without: [docs]}
images:`, 1)
	o.Definitions = read(t, text)
	lock, _, err := update.Run(context.Background(), o)
	require.NoError(t, err)
	names := func(list []catalog.LockedPackage) (out []string) {
		for _, p := range list {
			out = append(out, p.Name+" "+strings.Join(p.NeededBy, ","))
		}
		return out
	}
	layers := lock.Suites["8"].Layers
	require.Equal(t, []string{"libdeep libtool8", "libtool8 tool8", "pigeon tool8", "tool8 "}, names(layers["made"]["amd64"]))
	require.Equal(t, "8", layers["static"]["arm64"][0].Version)
	require.NotContains(t, layers, "tool")
	require.NotContains(t, lock.Suites["7"].Layers, "made")
	for suite, sources := range map[string]int{"7": 3, "8": 1} {
		require.Len(t, lock.Suites[suite].Sources, sources)
		for _, s := range lock.Suites[suite].Sources {
			require.Equal(t, "main/binary-arm64/Packages.xz", s.Indices["arm64"].Path)
			data, err := (&archive.Fetcher{}).Get(context.Background(), a.URL+"/dists/"+s.Suite+"/"+s.Indices["arm64"].Path, s.Indices["arm64"].Size)
			if s.Suite == "stone" || s.Suite == "iron" { // the others have it by its checksum alone
				require.NoError(t, err)
				require.Equal(t, s.Indices["arm64"].SHA256, archivetest.Sum(data))
			} else {
				data, err = (&archive.Fetcher{}).Get(context.Background(), a.URL+"/"+s.IndexPath("arm64"), s.Indices["arm64"].Size)
				require.NoError(t, err)
				require.Equal(t, s.Indices["arm64"].SHA256, archivetest.Sum(data))
			}
		}
	}

	c, err := catalog.New(o.Definitions, lock)
	require.NoError(t, err)
	img, err := c.Image(plan.Base{Image: "static", Version: "8", With: []string{"made"}}, "arm64", "amd64")
	require.NoError(t, err)
	var inLayer []string
	for _, p := range img.Layers[1].Packages {
		inLayer = append(inLayer, p.Name)
	}
	require.Equal(t, []string{"tool8", "libdeep", "libtool8", "pigeon"}, inLayer, "what the definitions list comes first")
	_, err = c.Image(plan.Base{Image: "static", Version: "7", With: []string{"made"}}, "arm64", "amd64")
	require.ErrorContains(t, err, `no package set "made"; there are tool`)

	// It is said that it is past its expiry.
	var notes []string
	o.Notice = func(s string) { notes = append(notes, s) }
	_, _, err = update.Run(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, []string{"the mirror's iron of Debian 8 expired on 2026-02-27; as it is in development, it is accepted until 2026-03-02"}, notes)

	// Past the grace it is refused.
	o.Definitions = read(t, strings.Replace(text, "graceDays: 3", "graceDays: 1", 1))
	_, _, err = update.Run(context.Background(), o)
	require.ErrorContains(t, err, "release 8 of Debian: verifying "+a.URL+"/dists/iron/InRelease: it expired on 2026-02-27T12:00:00Z, 2 days ago, "+
		"and for iron it is accepted up to 1 days: the mirror has stopped following the suite; use another mirror")
	require.NotContains(t, err.Error(), "--keep", "there is nothing to keep")

	// What was locked of it can be kept, while the others are followed.
	o.Previous = lock
	_, _, err = update.Run(context.Background(), o)
	require.ErrorContains(t, err, "use another mirror, or keep what is locked of Debian 8, with --keep 8")
	newer := stone()
	newer[2].Packages[0].Version = "1:2.0-1+deb7u2"
	a.Publish(t, newer...) // without iron
	o.Keep = []string{"8"}
	kept, changes, err := update.Run(context.Background(), o)
	require.NoError(t, err)
	require.Equal(t, lock.Suites["8"], kept.Suites["8"])
	require.Len(t, changes.Packages, 1)
	require.Equal(t, "1:2.0-1+deb7u2", changes.Packages[0].New)

	o.Definitions = read(t, strings.Replace(text, "without: [docs]", "without: [docs, libdeep]", 1))
	o.Definitions.Layers[3].Packages = append(o.Definitions.Layers[3].Packages, "docs")
	_, _, err = update.Run(context.Background(), o)
	require.ErrorContains(t, err, "release 8 of Debian cannot be kept as it is locked")
	o.Keep = []string{"9"}
	_, _, err = update.Run(context.Background(), o)
	require.ErrorContains(t, err, "keeping Debian 9: there is only 7, 8")
	o.Keep, o.Previous = []string{"8"}, nil
	_, _, err = update.Run(context.Background(), o)
	require.ErrorContains(t, err, "keeping Debian 8: the lock has no packages of it")
}

// All that is wrong with the definitions is said at once.
func TestEveryProblemIsNamed(t *testing.T) {
	a := archivetest.Start(t, stone()...)
	o := options(t, a)
	o.Definitions = read(t, strings.Replace(strings.Replace(definitions, "packages: [libc, libc-locale]", "packages: [libc-locale]", 1), `"tool-{gnu}"`, "tool-x86", 1))
	_, _, err := update.Run(context.Background(), o)
	require.ErrorContains(t, err, "layer libc of 7 for amd64")
	require.ErrorContains(t, err, "layer libc of 7 for arm64")
	require.ErrorContains(t, err, "layer tool of 7 for arm64")
}

func TestMirrorThatLagsBehindTheLock(t *testing.T) {
	a := archivetest.Start(t, stone()...)
	o := options(t, a)
	lock, _, err := update.Run(context.Background(), o)
	require.NoError(t, err)
	older := stone()
	older[1].Date = archivetest.Now.AddDate(0, 0, -2)
	a.Publish(t, older...)
	o.Previous = lock
	_, _, err = update.Run(context.Background(), o)
	require.ErrorContains(t, err, "the mirror's stone-updates is of 2026-02-27T12:00:00Z, but the lock is already of 2026-02-28T12:00:00Z")
}

func TestAWrongMirrorIsNotAsked(t *testing.T) {
	a := archivetest.Start(t, stone()...)
	o := options(t, a)
	o.Mirror.Debian = "nonsense"
	_, _, err := update.Run(context.Background(), o)
	require.ErrorContains(t, err, `the Debian mirror "nonsense" is not an http or https URL`)
	require.Empty(t, a.Requests())

	o = options(t, a)
	o.Keys = []byte("nonsense")
	_, _, err = update.Run(context.Background(), o)
	require.ErrorContains(t, err, "no OpenPGP public key found")
	require.Empty(t, a.Requests())

	// Without keys of its own it has to be Debian's archive.
	o = options(t, a)
	o.Keys = nil
	_, _, err = update.Run(context.Background(), o)
	require.ErrorContains(t, err, "signed by none of the keys that are trusted")
	require.False(t, slices.ContainsFunc(a.Requests(), func(p string) bool { return !strings.HasSuffix(p, "/InRelease") }))
}
