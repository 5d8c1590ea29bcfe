package catalog

import (
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseMirror(t *testing.T) {
	for in, want := range map[string]Mirror{
		"http://mirror.example.com/debian":               {"http://mirror.example.com/debian", "http://mirror.example.com/debian-security"},
		" https://mirror.example.com/debian/ ":           {"https://mirror.example.com/debian", "https://mirror.example.com/debian-security"},
		"http://a.example.com/d http://b.example.com/s/": {"http://a.example.com/d", "http://b.example.com/s"},
		"http://user:word@mirror.example.com:8080/x":     {"http://user:word@mirror.example.com:8080/x", "http://user:word@mirror.example.com:8080/x-security"},
	} {
		got, err := ParseMirror(in)
		require.NoError(t, err)
		require.Equal(t, want, got)
		again, err := ParseMirror(got.String())
		require.NoError(t, err)
		require.Equal(t, got, again)
	}
	for _, in := range []string{
		"", "mirror.example.com/debian", "ftp://mirror.example.com/debian", "http://", "http:///debian", "file:///srv/debian",
		"http://a.example.com/ x", "http://a.example.com/?x=1", "http://a.example.com/#x", "http://a b c",
		"http://a.example.com/ http://b.example.com/ http://c.example.com/",
	} {
		_, err := ParseMirror(in)
		require.Error(t, err, "%q", in)
	}
	require.Equal(t, "", Mirror{}.String())
}

func TestURLs(t *testing.T) {
	m := Mirror{"http://a.example.com/debian", "http://b.example.com/sec"}
	require.Equal(t, "http://a.example.com/debian/pool/x.deb", m.URL(Package{Archive: "debian", Path: "pool/x.deb"}))
	require.Equal(t, "http://b.example.com/sec/pool/x.deb", m.URL(Package{Archive: "debian-security", Path: "pool/x.deb"}))

	c := &Catalog{lock: &Lock{Time: time.Date(2026, 11, 20, 14, 30, 5, 0, time.UTC)}}
	snapshot := c.SnapshotMirror()
	require.NoError(t, snapshot.Check())
	require.Regexp(t, `^http://[^/]+/archive/debian/20261121T023005Z$`, snapshot.Debian)
	require.Regexp(t, `^http://[^/]+/archive/debian-security/20261121T023005Z$`, snapshot.Security)
}

// A release of Debian that is older in the lock than another, as one that an update
// kept, is fetched as it was then: since then packages of it were dropped.
func TestLockedDateOfEachRelease(t *testing.T) {
	day := func(d int) time.Time { return time.Date(2026, 11, d, 8, 0, 0, 0, time.UTC) }
	l := &Lock{Time: day(20), Suites: map[string]LockedSuite{
		"13": {Sources: []LockedSource{{Date: day(2)}, {Date: day(20)}, {Date: day(19)}}},
		"14": {Sources: []LockedSource{{Date: day(3), Indices: map[string]LockedIndex{"amd64": {Path: "main/binary-amd64/Packages.xz", SHA256: "00"}}}}},
		"15": {},
	}}
	for suite, want := range map[string]time.Time{"13": day(20), "14": day(3), "15": day(20)} {
		require.Equal(t, want, l.Date(suite), suite)
	}
	c := &Catalog{lock: l}
	indices, err := c.Indices("14", "amd64")
	require.NoError(t, err)
	require.Equal(t, day(3), indices[0].Locked)
	require.Regexp(t, `^http://[^/]+/archive/debian/20261103T200000Z$`, Snapshot(indices[0].Locked).Debian)
}

func TestMirrorOfTheEnvironment(t *testing.T) {
	t.Setenv(MirrorVariable, "http://mirror.example.com/debian")
	m, ok := MachineMirror()
	require.True(t, ok)
	require.Equal(t, "http://mirror.example.com/debian-security", m.Security)
	t.Setenv(MirrorVariable, "nonsense")
	m, ok = MachineMirror()
	require.True(t, ok, "a wrong value is not passed over")
	require.ErrorContains(t, m.Check(), `the Debian mirror "nonsense" is not an http or https URL`)
}

func TestMirrorOfApt(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  Mirror
	}{
		{"one line a source", map[string]string{"sources.list": `
# deb http://no.example.com/debian trixie main
deb-src http://no.example.com/debian trixie main
deb cdrom:[Debian 13]/ trixie main
deb	http://mirror.example.com/debian/	trixie  contrib main # comment
deb http://mirror.example.com/debian trixie-updates main
deb [arch=amd64 signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://security.example.com/ trixie-security main
`}, Mirror{"http://mirror.example.com/debian", "http://security.example.com"}},
		{"a paragraph a source", map[string]string{"sources.list.d/debian.sources": `
Types: deb deb-src
# a comment
URIs: http://mirror.example.com/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: http://mirror.example.com/debian-security
Suites: bookworm-security
Components: main
`}, Mirror{"http://mirror.example.com/debian", "http://mirror.example.com/debian-security"}},
		{"disabled ones are passed over", map[string]string{"sources.list.d/debian.sources": `
Enabled: no
Types: deb
URIs: http://no.example.com/debian
Suites: trixie
Components: main

Enabled: yes
Types: deb
URIs: https://mirror.example.com/debian
Suites: trixie
Components: main
`}, Mirror{"https://mirror.example.com/debian", "https://mirror.example.com/debian-security"}},
		{"others' packages for Debian are passed over", map[string]string{
			"sources.list.d/a.list":         "deb [signed-by=/etc/apt/keyrings/a.gpg] https://a.example.com/linux/debian trixie main\ndeb https://a.example.com/debian trixie stable\n",
			"sources.list.d/b.list":         "deb https://b.example.com/tools trixie main\n",
			"sources.list.d/debian.sources": "Types: deb\nURIs: http://mirror.example.com/debian\nSuites: trixie\nComponents: main\n",
			"sources.list.d/z.list":         "deb http://z.example.com/debian jammy main\n",
		}, Mirror{"http://mirror.example.com/debian", "http://mirror.example.com/debian-security"}},
		{"a mirror with another name", map[string]string{
			"sources.list": "deb http://mirror.example.com/repos/deb13 trixie main\ndeb http://mirror.example.com/repos/deb13-sec trixie-security main\n",
		}, Mirror{"http://mirror.example.com/repos/deb13", "http://mirror.example.com/repos/deb13-sec"}},
		{"none", map[string]string{"sources.list": "deb http://archive.example.com/ubuntu jammy main\n"}, Mirror{}},
		{"malformed", map[string]string{"sources.list": "deb\ndeb [x http://a\ndeb http://\n", "sources.list.d/x.sources": "nonsense\n"}, Mirror{}},
		{"nothing", nil, Mirror{}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			etc := fstest.MapFS{}
			for name, text := range tt.files {
				etc[name] = &fstest.MapFile{Data: []byte(text)}
			}
			got, ok := aptMirror(etc)
			require.Equal(t, tt.want, got)
			require.Equal(t, tt.want != Mirror{}, ok)
		})
	}
}

func TestUpstreamVersion(t *testing.T) {
	for in, want := range map[string]string{
		"2026f-0+deb13u1": "2026f", "20250419+deb13u1": "20250419", "1:10.0p1-7+deb13u4": "10.0p1", "2.41-12": "2.41",
		"2:6.3.0+dfsg-3": "6.3.0", "1:1.3.dfsg+really1.3.1-1+b1": "1.3.1", "1:1.37.0-6+b9": "1.37.0", "13.8": "13.8",
	} {
		require.Equal(t, want, upstream(in), in)
	}
}
