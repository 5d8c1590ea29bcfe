package debian

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// index makes an index of paragraphs, to which the fields that do not matter
// are added.
func index(t *testing.T, text string) *Index {
	t.Helper()
	ix := NewIndex("amd64")
	var b strings.Builder
	for _, p := range strings.Split(strings.TrimSpace(text), "\n\n") {
		if !strings.Contains(p, "Version:") {
			p += "\nVersion: 1"
		}
		if !strings.Contains(p, "Architecture:") {
			p += "\nArchitecture: amd64"
		}
		b.WriteString(p + "\nFilename: pool/x.deb\nSize: 1\nSHA256: " + strings.Repeat("0", 64) + "\n\n")
	}
	require.NoError(t, ix.Add(strings.NewReader(b.String()), "debian"))
	return ix
}

// names tells what was found: "a 1, b 2 <- a".
func names(r *Resolution) string {
	var out []string
	for _, p := range r.Packages {
		s := p.Name + " " + p.Version
		if len(p.NeededBy) > 0 {
			s += " <- " + strings.Join(p.NeededBy, " ")
		}
		if p.Asked {
			s += " !"
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

func TestResolve(t *testing.T) {
	tests := []struct {
		name, index string
		query       Query
		want        string
	}{
		{"nothing needed", "Package: aa", Query{Names: []string{"aa"}}, "aa 1 !"},
		{
			"a chain, before and after", "Package: aa\nPre-Depends: bb\nDepends: cc,\n dd\n\nPackage: bb\nDepends: cc\n\nPackage: cc\n\nPackage: dd\nArchitecture: all",
			Query{Names: []string{"aa"}}, "aa 1 !, bb 1 <- aa, cc 1 <- aa bb, dd 1 <- aa",
		},
		{"a cycle", "Package: aa\nDepends: bb\n\nPackage: bb\nDepends: aa", Query{Names: []string{"aa"}}, "aa 1 <- bb !, bb 1 <- aa"},
		{"itself", "Package: aa\nProvides: vv\nDepends: vv", Query{Names: []string{"aa"}}, "aa 1 !"},
		{
			"the newest, by epochs and tildes", "Package: aa\nVersion: 2.0\n\nPackage: aa\nVersion: 1:1.0~rc1\n\nPackage: aa\nVersion: 1:1.0\n\nPackage: aa\nVersion: 1:1.0~rc2",
			Query{Names: []string{"aa"}}, "aa 1:1.0 !",
		},
		{
			"not the newest, where an older one is asked for", "Package: aa\nDepends: bb (<< 2)\n\nPackage: bb\nVersion: 2\n\nPackage: bb\nVersion: 1.9\n\nPackage: bb\nVersion: 1.8",
			Query{Names: []string{"aa"}}, "aa 1 !, bb 1.9 <- aa",
		},
		{"the first alternative", "Package: aa\nDepends: bb | cc\n\nPackage: bb\n\nPackage: cc", Query{Names: []string{"aa"}}, "aa 1 !, bb 1 <- aa"},
		{"the alternative that there is", "Package: aa\nDepends: bb (>= 2) | cc\n\nPackage: bb\n\nPackage: cc", Query{Names: []string{"aa"}}, "aa 1 !, cc 1 <- aa"},
		{"the alternative that is asked for", "Package: aa\nDepends: bb | cc\n\nPackage: bb\n\nPackage: cc", Query{Names: []string{"aa", "cc"}}, "aa 1 !, cc 1 <- aa !"},
		{"a virtual package with one provider", "Package: aa\nDepends: vv\n\nPackage: bb\nProvides: vv", Query{Names: []string{"aa"}}, "aa 1 !, bb 1 <- aa"},
		{
			"a virtual package with a preference", "Package: aa\nDepends: vv\n\nPackage: bb\nProvides: vv\n\nPackage: cc\nProvides: vv",
			Query{Names: []string{"aa"}, Prefer: map[string]string{"vv": "cc"}}, "aa 1 !, cc 1 <- aa",
		},
		{
			"a virtual package, given up for a real alternative", "Package: aa\nDepends: vv | dd\n\nPackage: bb\nProvides: vv\n\nPackage: cc\nProvides: vv\n\nPackage: dd",
			Query{Names: []string{"aa"}}, "aa 1 !, dd 1 <- aa",
		},
		{
			"a provided version", "Package: aa\nDepends: vv (>= 2)\n\nPackage: bb\nProvides: vv (= 3)\n\nPackage: cc\nProvides: vv",
			Query{Names: []string{"aa"}}, "aa 1 !, bb 1 <- aa",
		},
		{"qualified names", "Package: aa\nDepends: bb:any, cc:amd64\n\nPackage: bb\n\nPackage: cc", Query{Names: []string{"aa"}}, "aa 1 !, bb 1 <- aa, cc 1 <- aa"},
		{"left out", "Package: aa\nDepends: bb | cc\n\nPackage: cc", Query{Names: []string{"aa"}, Without: []string{"bb"}}, "aa 1 !"},
		{
			"a conflict with the name that it provides itself", "Package: aa\nProvides: vv\nConflicts: vv",
			Query{Names: []string{"aa"}}, "aa 1 !",
		},
		{
			"no conflict with an older version", "Package: aa\nBreaks: bb (<< 1)\n\nPackage: bb",
			Query{Names: []string{"aa", "bb"}}, "aa 1 !, bb 1 !",
		},
		{"recommended ones are not taken", "Package: aa\nRecommends: bb\n\nPackage: bb", Query{Names: []string{"aa"}}, "aa 1 !"},
		{"packages for others are not seen", "Package: aa\n\nPackage: aa\nVersion: 2\nArchitecture: arm64", Query{Names: []string{"aa"}}, "aa 1 !"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := index(t, tt.index).Resolve(tt.query)
			require.NoError(t, err)
			require.Equal(t, tt.want, names(r))
		})
	}
}

func TestWhatIsThereAlreadyIsNotTaken(t *testing.T) {
	ix := index(t, "Package: aa\nDepends: bb, vv\n\nPackage: bb\nProvides: vv\nDepends: cc\n\nPackage: cc")
	lower, err := ix.Resolve(Query{Names: []string{"bb"}, Without: []string{"cc"}})
	require.NoError(t, err)
	require.Equal(t, map[string][]string{"cc": {"bb"}}, lower.LeftOut)
	r, err := ix.Resolve(Query{Names: []string{"aa"}, Have: []*Package{lower.Packages[0].Package}})
	require.NoError(t, err)
	require.Equal(t, "aa 1 !", names(r))
}

func TestResolveFails(t *testing.T) {
	tests := []struct {
		name, index string
		query       Query
		want        string
	}{
		{"unknown", "Package: aa", Query{Names: []string{"bb"}}, `the archive has no package "bb" for amd64`},
		{"virtual", "Package: aa\nProvides: vv\n\nPackage: bb\nProvides: vv", Query{Names: []string{"vv"}}, "vv is a virtual package: name one that provides it: aa, bb"},
		{"missing", "Package: aa\nDepends: bb | cc (>= 2)\n\nPackage: cc", Query{Names: []string{"aa"}}, "aa needs bb | cc (>= 2), which the archive does not have"},
		{
			"ambiguous", "Package: aa\nDepends: vv\n\nPackage: cc\nProvides: vv\n\nPackage: bb\nProvides: vv\n\nPackage: bb\nVersion: 2\nProvides: vv",
			Query{Names: []string{"aa"}}, "aa needs vv, which several packages provide: prefer one of bb, cc",
		},
		{
			"two versions", "Package: aa\nDepends: cc (= 1), bb\n\nPackage: bb\nDepends: cc (= 2)\n\nPackage: cc\nVersion: 1\n\nPackage: cc\nVersion: 2",
			Query{Names: []string{"aa"}}, "bb needs cc (= 2), but cc 1 is taken already",
		},
		{"conflict", "Package: aa\nConflicts: bb\n\nPackage: bb", Query{Names: []string{"aa", "bb"}}, "aa 1 conflicts with bb 1"},
		{"conflict with what a package provides", "Package: aa\nConflicts: vv\n\nPackage: bb\nProvides: vv", Query{Names: []string{"aa", "bb"}}, "aa 1 conflicts with bb 1"},
		{"breaks", "Package: aa\nBreaks: bb (<= 1)\n\nPackage: bb", Query{Names: []string{"aa", "bb"}}, "aa 1 conflicts with bb 1"},
		{"another architecture", "Package: aa\nDepends: bb:arm64\n\nPackage: bb", Query{Names: []string{"aa"}}, "aa needs bb:arm64, which the archive does not have"},
		{"malformed", "Package: aa\nDepends: bb (~ 1)", Query{Names: []string{"aa"}}, `the dependencies of aa 1: "bb (~ 1)" is not a relation`},
		{"malformed conflict", "Package: aa\nConflicts: bb (", Query{Names: []string{"aa"}}, `the conflicts of aa 1: "bb (" is not a relation`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := index(t, tt.index).Resolve(tt.query)
			require.ErrorContains(t, err, tt.want)
		})
	}
}

func TestConflictWithALowerLayer(t *testing.T) {
	ix := index(t, "Package: aa\n\nPackage: bb\nConflicts: aa")
	lower, err := ix.Resolve(Query{Names: []string{"aa"}})
	require.NoError(t, err)
	_, err = ix.Resolve(Query{Names: []string{"bb"}, Have: []*Package{lower.Packages[0].Package}})
	require.ErrorContains(t, err, "bb 1 conflicts with aa 1")
}

func TestTheFirstArchiveThatHasAVersionWins(t *testing.T) {
	ix := NewIndex("amd64")
	text := "Package: aa\nVersion: 1\nArchitecture: amd64\nSize: 1\nSHA256: " + strings.Repeat("0", 64) + "\nFilename: pool/"
	require.NoError(t, ix.Add(strings.NewReader(text+"first.deb\n"), "debian"))
	require.NoError(t, ix.Add(strings.NewReader(text+"second.deb\n"), "debian-security"))
	r, err := ix.Resolve(Query{Names: []string{"aa"}})
	require.NoError(t, err)
	require.Equal(t, "pool/first.deb", r.Packages[0].Path)
	require.Equal(t, "debian", r.Packages[0].Archive)
}

func TestMalformedIndex(t *testing.T) {
	good := map[string]string{
		"Package": "aa", "Version": "1", "Architecture": "amd64", "Size": "1", "SHA256": strings.Repeat("0", 64), "Filename": "pool/a.deb",
	}
	for field, values := range map[string][]string{
		"Package":  {"", "a", "A a", "../a", "-a", "a/b"},
		"Version":  {"", "1 2", "x:1"},
		"Size":     {"", "0", "-1", "x", "99999999999999999999"},
		"SHA256":   {"", "00", strings.Repeat("G", 64)},
		"Filename": {"", "/etc/passwd", "../a.deb", "pool/../../a.deb", "a//b", "pool/a b", "pool/a?b", "pool/a#b", "pool/%2e%2e/a", `pool\a`},
		"Provides": {"a (b)", "vv (>> )"},
	} {
		for _, v := range values {
			var b strings.Builder
			for name, value := range good {
				if name != field {
					b.WriteString(name + ": " + value + "\n")
				}
			}
			b.WriteString(field + ": " + v + "\n")
			require.Error(t, NewIndex("amd64").Add(strings.NewReader(b.String()), "debian"), "%s: %q", field, v)
		}
	}
}

func FuzzResolve(f *testing.F) {
	f.Add("bb (>= 1) | cc, vv:any", "aa (= 1)", "vv (= 2)")
	f.Fuzz(func(t *testing.T, depends, conflicts, provides string) {
		if strings.ContainsAny(depends+conflicts+provides, "\n\r") {
			return
		}
		text := "Package: aa\nDepends: " + depends + "\n\nPackage: bb\nConflicts: " + conflicts + "\nProvides: " + provides + "\n\nPackage: cc\nDepends: " + depends
		ix := NewIndex("amd64")
		common := "\nVersion: 1\nArchitecture: amd64\nFilename: pool/x.deb\nSize: 1\nSHA256: " + strings.Repeat("0", 64)
		if ix.Add(strings.NewReader(strings.ReplaceAll(text, "\n\n", common+"\n\n")+common), "debian") != nil {
			return
		}
		r, err := ix.Resolve(Query{Names: []string{"aa"}})
		if err == nil && (len(r.Packages) == 0 || len(r.Packages) > 3) {
			t.Fatalf("%d packages", len(r.Packages))
		}
	})
}
