package resolve_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"

	"github.com/birdhouse-build/birdhouse/steps/resolve"
)

// index writes a Packages file of paragraphs, to which the fields that do not
// matter are added, compressed by the ending of name.
func index(t *testing.T, name, arch, text string) resolve.Index {
	t.Helper()
	var b bytes.Buffer
	for _, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		pkg, _, _ := strings.Cut(strings.TrimPrefix(p, "Package: "), "\n")
		if !strings.Contains(p, "Version:") {
			p += "\nVersion: 1"
		}
		if !strings.Contains(p, "Architecture:") {
			p += "\nArchitecture: " + arch
		}
		b.WriteString(p + "\nFilename: pool/" + pkg + ".deb\nSize: 7\nSHA256: " + strings.Repeat("0", 64) + "\n\n")
	}
	packed := b.Bytes()
	switch filepath.Ext(name) {
	case ".gz":
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		_, _ = w.Write(packed)
		require.NoError(t, w.Close())
		packed = out.Bytes()
	case ".xz":
		var out bytes.Buffer
		w, err := xz.NewWriter(&out)
		require.NoError(t, err)
		_, _ = w.Write(packed)
		require.NoError(t, w.Close())
		packed = out.Bytes()
	}
	path := filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(path, packed, 0o600))
	sum := sha256.Sum256(packed)
	return resolve.Index{Path: path, SHA256: hex.EncodeToString(sum[:]), Archive: "debian"}
}

// text is a result in short: "amd64 aa 1 !, amd64 bb 2 <- aa".
func text(r *resolve.Result) string {
	var out []string
	for _, p := range r.Packages {
		s := p.Architecture + " " + p.Name + " " + p.Version
		if p.Asked {
			s += " !"
		}
		if len(p.NeededBy) > 0 {
			s += " <- " + strings.Join(p.NeededBy, " ")
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

const archive = `Package: libpq5
Version: 17.6-0+deb13u1
Depends: libc6 (>= 2.38), libssl3t64 (>= 3.0.0), debconf (>= 0.5) | debconf-2.0, mail-transport-agent, gcc-14-base

Package: libssl3t64
Version: 3.5.4-1~deb13u1
Provides: libssl3 (= 3.5.4-1~deb13u1)
Depends: libc6 (>= 2.34), openssl-provider-legacy

Package: openssl-provider-legacy
Depends: libssl3 (>= 3.4)
Priority: important

Package: libc6
Version: 2.41-12
Depends: libgcc-s1

Package: gcc-14-base
Version: 14.2.0-19

Package: exim4
Provides: mail-transport-agent
Priority: optional

Package: aa-mta
Provides: mail-transport-agent
Priority: extra

Package: postfix
Provides: mail-transport-agent

Package: loop-a
Depends: loop-b

Package: loop-b
Depends: loop-a

Package: broken
Depends: libpq5 (>= 99)

Package: rival
Conflicts: libpq5 (<< 1:0)

Package: sqlite3
Depends: libsqlite3-0

Package: libsqlite3-0

Package: libsqlite3-dev
Depends: libsqlite3-0`

func spec(t *testing.T, names ...string) resolve.Spec {
	return resolve.Spec{
		Names:   names,
		Without: []string{"debconf"},
		Machine: resolve.Machine{
			Architecture: "amd64",
			Indices:      []resolve.Index{index(t, "Packages.xz", "amd64", archive)},
			// gcc-14-base is of another version than the index has.
			Have: []resolve.Have{{Name: "libc6", Version: "2.41-12"}, {Name: "gcc-14-base", Version: "14.2.0-20"}},
		},
	}
}

func TestPackagesAndAllThatTheyNeed(t *testing.T) {
	r, err := resolve.Resolve(spec(t, "libpq5"))
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Equal(t, "amd64 exim4 1 <- libpq5, amd64 libpq5 17.6-0+deb13u1 !, amd64 libssl3t64 3.5.4-1~deb13u1 <- libpq5 openssl-provider-legacy, "+
		"amd64 openssl-provider-legacy 1 <- libssl3t64", text(r))
	require.Equal(t, []resolve.Choice{{
		Name: "libpq5", NeededBy: "libpq5", Virtual: "mail-transport-agent", Taken: "exim4", Of: []string{"aa-mta", "exim4", "postfix"},
	}}, r.Choices, "the others have a lower priority, or none")
	require.Equal(t, resolve.Package{
		Name: "libpq5", Version: "17.6-0+deb13u1", Architecture: "amd64", Archive: "debian", Path: "pool/libpq5.deb",
		SHA256: strings.Repeat("0", 64), Size: 7, Asked: true,
	}, r.Packages[1])
}

func TestWhatIsThereAddsNothing(t *testing.T) {
	r, err := resolve.Resolve(spec(t, "libc6"))
	require.NoError(t, err)
	require.Equal(t, &resolve.Result{}, r)

	r, err = resolve.Resolve(spec(t, "libc6", "sqlite3", "libsqlite3-0", "loop-b"))
	require.NoError(t, err)
	require.Equal(t, "amd64 libsqlite3-0 1 ! <- sqlite3, amd64 loop-a 1 <- loop-b, amd64 loop-b 1 ! <- loop-a, amd64 sqlite3 1 !", text(r))
}

func TestNewerPackagesOfLaterIndicesWin(t *testing.T) {
	s := spec(t, "libpq5")
	s.Machine.Indices = append(s.Machine.Indices,
		index(t, "Packages.gz", "amd64", "Package: libpq5\nVersion: 1:1.0~rc1\n\nPackage: libssl3t64\nVersion: 3.5.4-1"),
		index(t, "Packages", "amd64", "Package: libpq5\nVersion: 1:1.0~rc2\nDepends: libssl3t64"))
	s.Machine.Indices[2].Archive = "debian-security"
	r, err := resolve.Resolve(s)
	require.NoError(t, err)
	require.Equal(t, "amd64 libpq5 1:1.0~rc2 !, amd64 libssl3t64 3.5.4-1 <- libpq5", text(r))
	require.Equal(t, "debian-security", r.Packages[0].Archive)
}

func TestProblemsAreAnswers(t *testing.T) {
	tests := []struct {
		name  string
		names []string
		want  []resolve.Problem
	}{
		{"unknown, all of them", []string{"libpq4", "nothing-like-it", "sqlite3-dev", "libpq5"}, []resolve.Problem{
			{Name: "libpq4", Text: `the archive has no package "libpq4" for amd64`, Instead: []string{"libpq5"}},
			{Name: "nothing-like-it", Text: `the archive has no package "nothing-like-it" for amd64`},
			{Name: "sqlite3-dev", Text: `the archive has no package "sqlite3-dev" for amd64`, Instead: []string{"libsqlite3-dev", "sqlite3"}},
		}},
		{"virtual", []string{"mail-transport-agent"}, []resolve.Problem{{
			Name: "mail-transport-agent", Instead: []string{"aa-mta", "exim4", "postfix"},
			Text: "mail-transport-agent is a virtual package: name one that provides it: aa-mta, exim4, postfix",
		}}},
		{"a dependency that is not there", []string{"sqlite3", "broken"}, []resolve.Problem{{
			Name: "broken", Text: "broken needs libpq5 (>= 99), which the archive does not have",
		}}},
		{"a conflict", []string{"libpq5", "rival"}, []resolve.Problem{{
			Name: "rival", Text: "rival 1 conflicts with libpq5 17.6-0+deb13u1",
		}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := resolve.Resolve(spec(t, tt.names...))
			require.NoError(t, err)
			require.Equal(t, &resolve.Result{Problems: tt.want}, r)
		})
	}
}

func TestNewerThanWhatIsThere(t *testing.T) {
	s := spec(t, "aa")
	s.Machine.Indices = append(s.Machine.Indices, index(t, "Packages", "amd64", "Package: aa\nDepends: libc6 (>= 2.42)\n\nPackage: libc6\nVersion: 2.42"))
	r, err := resolve.Resolve(s)
	require.NoError(t, err)
	require.Equal(t, &resolve.Result{Problems: []resolve.Problem{{Name: "aa", Text: "aa needs libc6 (>= 2.42), but libc6 2.41-12 is there already"}}}, r)
}

// For another machine libraries are that machine's, tools this one's.
func TestTarget(t *testing.T) {
	const packages = `Package: libfoo-dev
Multi-Arch: same
Depends: libfoo1 (= 1), libc6-dev | libc-dev, foo-tools, python3:any

Package: libfoo1
Multi-Arch: same
Depends: libc6 (>= 1)

Package: libold-dev
Section: libdevel
Depends: libfoo1, foo-data

Package: foo-tools
Multi-Arch: foreign
Depends: libfoo1, foo-data

Package: foo-data
Architecture: all

Package: python3
Multi-Arch: allowed

Package: nasm

Package: libc6
Multi-Arch: same

Package: libc6-dev
Multi-Arch: same
Depends: libc6`
	s := resolve.Spec{
		Names: []string{"libfoo-dev", "libold-dev", "nasm", "only-here", "gcc"},
		Machine: resolve.Machine{
			Architecture: "amd64",
			Indices:      []resolve.Index{index(t, "Packages", "amd64", packages+"\n\nPackage: only-here\n\nPackage: gcc")},
			Have:         []resolve.Have{{Name: "libc6", Version: "1"}, {Name: "gcc", Version: "1"}},
		},
		Target: &resolve.Machine{
			Architecture: "arm64",
			Indices:      []resolve.Index{index(t, "Packages", "arm64", packages+"\n\nPackage: gcc")},
			Have:         []resolve.Have{{Name: "libc6", Version: "2.41-12cross1"}, {Name: "libc6-dev", Version: "2.41-12cross1"}},
		},
	}
	r, err := resolve.Resolve(s)
	require.NoError(t, err)
	require.Empty(t, r.Problems)
	require.Equal(t, strings.Join([]string{
		"all foo-data 1 <- foo-tools",
		"amd64 foo-tools 1",
		"amd64 libfoo1 1 <- foo-tools",
		"amd64 nasm 1 !",
		"amd64 only-here 1 !",
		"amd64 python3 1",
		"arm64 libfoo-dev 1 !",
		"arm64 libfoo1 1 <- libfoo-dev libold-dev",
		"arm64 libold-dev 1 !",
	}, ", "), text(r))
}

func TestUnreadableIndices(t *testing.T) {
	s := spec(t, "aa")
	good := s.Machine.Indices[0]
	cut, err := os.ReadFile(good.Path)
	require.NoError(t, err)
	sum := sha256.Sum256(cut[:len(cut)/2])
	half := filepath.Join(t.TempDir(), "half")
	require.NoError(t, os.WriteFile(half, cut[:len(cut)/2], 0o600))
	for _, tt := range []struct {
		name  string
		index resolve.Index
		want  string
	}{
		{"another checksum", resolve.Index{Path: good.Path, SHA256: strings.Repeat("0", 64)}, "it has the SHA-256 checksum " + good.SHA256 + ", the lock says 000"},
		{"not there", resolve.Index{Path: "/nowhere"}, "/nowhere: no such file"},
		{"cut off", resolve.Index{Path: half, SHA256: hex.EncodeToString(sum[:])}, "reading the package index"},
		{"malformed", index(t, "Packages", "amd64", "Package: aa\nnonsense"), `"nonsense" is not`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s.Machine.Indices = []resolve.Index{tt.index}
			_, err := resolve.Resolve(s)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestUnreadableIndexOfTheTarget(t *testing.T) {
	s := spec(t, "sqlite3")
	s.Target = &resolve.Machine{Architecture: "arm64", Indices: []resolve.Index{{Path: "/nowhere"}}}
	_, err := resolve.Resolve(s)
	require.ErrorContains(t, err, "reading the package index /nowhere")
}

func TestBounds(t *testing.T) {
	var b strings.Builder
	for i := range 1001 {
		b.WriteString("Package: a" + strings.Repeat("b", i%100) + "-" + strings.Repeat("c", i/100+1) + "\nDepends: big\n\n")
	}
	b.WriteString("Package: big")
	s := spec(t)
	s.Machine.Indices = []resolve.Index{index(t, "Packages", "amd64", b.String())}
	for _, p := range strings.Split(b.String(), "\n") {
		if name, ok := strings.CutPrefix(p, "Package: "); ok && name != "big" {
			s.Names = append(s.Names, name)
		}
	}
	r, err := resolve.Resolve(s)
	require.NoError(t, err)
	require.Equal(t, []resolve.Problem{{Text: "they need 1002 packages; at most 1000 are added to an image"}}, r.Problems)
	require.Empty(t, r.Packages)
}

func TestRunWritesTheAnswerAndSaysWhy(t *testing.T) {
	out := t.TempDir()
	var log bytes.Buffer
	s := spec(t, "sqlite3")
	require.NoError(t, resolve.Run(s, out, &log))
	require.Equal(t, "libsqlite3-0 1 (amd64): needed by sqlite3\nsqlite3 1 (amd64): asked for\n", log.String())
	data, err := os.ReadFile(filepath.Join(out, resolve.Answer))
	require.NoError(t, err)
	got, err := resolve.Parse(data)
	require.NoError(t, err)
	want, err := resolve.Resolve(s)
	require.NoError(t, err)
	require.Equal(t, want, got)

	_, err = resolve.Parse([]byte(`{"packages":[{"nam":"x"}]}`))
	require.ErrorContains(t, err, `unknown field "nam"`)
	_, err = resolve.Parse([]byte(`{"packages":[` + strings.TrimSuffix(strings.Repeat("{},", 1001), ",") + `]}`))
	require.ErrorContains(t, err, "more than the 1000 allowed")
}
