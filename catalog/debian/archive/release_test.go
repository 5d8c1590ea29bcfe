package archive_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog/debian"
	"github.com/birdhouse-build/birdhouse/catalog/debian/archive"
	"github.com/birdhouse-build/birdhouse/catalog/internal/archivetest"
)

var fetcher = &archive.Fetcher{Wait: time.Millisecond}

func packages() []archivetest.Package {
	return []archivetest.Package{
		{Name: "aa", Version: "1:1.0~rc1-1", Control: []string{"Depends: bb"}},
		{Name: "bb", Version: "2", Arch: "all"},
		{Name: "cc", Version: "3", Arch: "arm64"},
	}
}

// read fetches the suite "stone" and returns the package "aa" of it.
func read(t *testing.T, a *archivetest.Archive) (*archive.Release, *debian.Package, error) {
	t.Helper()
	keys, err := archive.ReadKeys(a.Keys(t))
	require.NoError(t, err)
	r, err := archive.FetchRelease(context.Background(), fetcher, a.URL, "stone", keys, archivetest.Now, 0)
	if err != nil {
		return nil, nil, err
	}
	text, err := r.Index(context.Background(), fetcher, "main", "amd64")
	if err != nil {
		return r, nil, err
	}
	ix := debian.NewIndex("amd64")
	if err := ix.Add(text, "debian"); err != nil {
		return r, nil, err
	}
	res, err := ix.Resolve(debian.Query{Names: []string{"aa"}})
	if err != nil {
		return r, nil, err
	}
	require.Len(t, res.Packages, 2)
	return r, res.Packages[0].Package, nil
}

func TestSuiteIsRead(t *testing.T) {
	for _, byHash := range []bool{false, true} {
		for _, form := range []string{".xz", ".gz", "none"} {
			t.Run(fmt.Sprintf("%s byHash=%t", form, byHash), func(t *testing.T) {
				a := archivetest.Start(t, archivetest.Suite{
					Name: "stone", Packages: packages(), Index: form, ByHash: byHash, ValidUntil: archivetest.Now.Add(time.Hour),
				})
				r, p, err := read(t, a)
				require.NoError(t, err)
				require.Equal(t, "stone", r.Codename)
				require.Equal(t, archivetest.Now, r.Date)
				require.Equal(t, fmt.Sprintf("%X", a.Key.PrimaryKey.Fingerprint), r.Signer)
				require.Equal(t, "1:1.0~rc1-1", p.Version)
				require.Equal(t, "pool/main/a/aa/aa_1.0~rc1-1_amd64.deb", p.Path)
				deb, err := fetcher.Get(context.Background(), a.URL+"/"+p.Path, p.Size)
				require.NoError(t, err)
				require.Equal(t, p.SHA256, archivetest.Sum(deb))
				hashed := strings.Contains(strings.Join(a.Requests(), " "), "/by-hash/SHA256/")
				require.Equal(t, byHash, hashed)
			})
		}
	}
}

func TestByHashFallsBack(t *testing.T) {
	a := archivetest.Start(t, archivetest.Suite{Name: "stone", Packages: packages()})
	// A mirror that says that it has indices by their checksums, but has not.
	release := archivetest.Suite{Name: "stone", Packages: packages(), ByHash: true, Signer: a.Key}
	b := archivetest.Start(t, release)
	b.Key = a.Key
	a.Handle(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
		if strings.HasSuffix(r.URL.Path, "InRelease") {
			b.ServeHTTP(w, r)
			return true
		}
		return false
	})
	_, _, err := read(t, a)
	require.NoError(t, err)
	require.Contains(t, strings.Join(a.Requests(), " "), "/by-hash/SHA256/")
}

func TestSuitesThatAreRefused(t *testing.T) {
	now := archivetest.Now
	other := archivetest.NewKey(t)
	tests := []struct {
		name  string
		suite archivetest.Suite
		want  string
	}{
		{"unknown signer", archivetest.Suite{Signer: other}, "signed by none of the keys that are trusted"},
		{"changed after signing", archivetest.Suite{Corrupt: func(s string) string { return strings.Replace(s, "Suite: x", "Suite: y", 1) }}, "its signature is not valid"},
		{"no signature", archivetest.Suite{Corrupt: func(string) string { return "Codename: stone\n" }}, "it has no OpenPGP signature"},
		{"empty", archivetest.Suite{Corrupt: func(string) string { return "" }}, "it has no OpenPGP signature"},
		{"signature cut off", archivetest.Suite{Corrupt: func(s string) string { return s[:len(s)-60] }}, "verifying"},
		{"another suite", archivetest.Suite{Codename: "wood"}, `it is of the suite "wood", not of "stone"`},
		{"expired", archivetest.Suite{Date: now.AddDate(0, 0, -9), ValidUntil: now.AddDate(0, 0, -2)}, "it expired on 2026-02-27T12:00:00Z"},
		{"from the future", archivetest.Suite{Date: now.AddDate(0, 0, 2)}, "in the future: is this machine's clock right?"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.suite.Name, tt.suite.Packages = "stone", packages()
			a := archivetest.Start(t, tt.suite)
			_, _, err := read(t, a)
			require.ErrorContains(t, err, tt.want)
			require.ErrorContains(t, err, a.URL+"/dists/stone/InRelease")
			require.Len(t, a.Requests(), 1, "nothing else is fetched")
		})
	}
}

// What stands around the signed text is not read.
func TestOnlyTheSignedTextIsRead(t *testing.T) {
	a := archivetest.Start(t, archivetest.Suite{
		Name: "stone", Packages: packages(),
		Corrupt: func(s string) string { return "Codename: wood\nDate: never\n\n" + s + "\nCodename: wood\n" },
	})
	r, _, err := read(t, a)
	require.NoError(t, err)
	require.Equal(t, "stone", r.Codename)
}

func TestIndicesThatAreRefused(t *testing.T) {
	isIndex := func(r *http.Request) bool {
		return strings.Contains(r.URL.Path, "/binary-amd64/")
	}
	for _, byHash := range []bool{false, true} {
		a := archivetest.Start(t, archivetest.Suite{Name: "stone", Packages: packages(), ByHash: byHash})

		t.Run("wrong checksum", func(t *testing.T) {
			a.Handle(func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				if isIndex(r) {
					changed := append([]byte{}, data...)
					changed[len(changed)-1] ^= 1
					_, _ = w.Write(changed)
				}
				return isIndex(r)
			})
			_, _, err := read(t, a)
			require.ErrorContains(t, err, "but the signed Release says")
		})
		t.Run("shorter", func(t *testing.T) {
			a.Handle(func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				if isIndex(r) {
					_, _ = w.Write(data[:len(data)/2])
				}
				return isIndex(r)
			})
			_, _, err := read(t, a)
			require.ErrorContains(t, err, "is cut off")
		})
		t.Run("longer", func(t *testing.T) {
			a.Handle(func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				if isIndex(r) {
					_, _ = w.Write(append(append([]byte{}, data...), 0))
				}
				return isIndex(r)
			})
			_, _, err := read(t, a)
			require.ErrorContains(t, err, "it is larger than")
		})
		t.Run("the transfer breaks off each time", func(t *testing.T) {
			a.Handle(func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				if isIndex(r) {
					w.Header().Set("Content-Length", fmt.Sprint(len(data)))
					_, _ = w.Write(data[:len(data)/2])
				}
				return isIndex(r)
			})
			_, _, err := read(t, a)
			require.ErrorContains(t, err, "the transfer broke off after")
		})
		t.Run("gone", func(t *testing.T) {
			before := len(a.Requests())
			a.Handle(func(w http.ResponseWriter, r *http.Request, _ []byte) bool {
				if isIndex(r) {
					http.NotFound(w, r)
				}
				return isIndex(r)
			})
			_, _, err := read(t, a)
			require.ErrorContains(t, err, "the server answers 404 Not Found")
			require.LessOrEqual(t, len(a.Requests())-before, 3, "what is gone is not asked for again")
		})
	}
}

func TestWhatFailsOnceIsTriedAgain(t *testing.T) {
	a := archivetest.Start(t, archivetest.Suite{Name: "stone", Packages: packages()})
	seen := map[string]int{}
	a.Handle(func(w http.ResponseWriter, r *http.Request, data []byte) bool {
		seen[r.URL.Path]++
		switch seen[r.URL.Path] {
		case 1:
			http.Error(w, "busy", http.StatusServiceUnavailable)
			return true
		case 2:
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:1])
			return true
		}
		return false
	})
	_, _, err := read(t, a)
	require.NoError(t, err)
	require.Equal(t, 3, seen["/dists/stone/InRelease"])
}

func TestCancel(t *testing.T) {
	a := archivetest.Start(t, archivetest.Suite{Name: "stone", Packages: packages()})
	ctx, cancel := context.WithCancel(context.Background())
	a.Handle(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		cancel()
		http.Error(w, "busy", http.StatusServiceUnavailable)
		return true
	})
	slow := &archive.Fetcher{Wait: time.Hour}
	start := time.Now()
	_, err := slow.Get(ctx, a.URL+"/dists/stone/InRelease", 1<<20)
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(start), time.Minute)
}

func TestUnreachableMirror(t *testing.T) {
	a := archivetest.Start(t)
	gone := strings.Replace(a.URL, "127.0.0.1", "user:secret@127.0.0.1", 1)
	a.Handle(func(w http.ResponseWriter, _ *http.Request, _ []byte) bool {
		c, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			c.Close()
		}
		return true
	})
	_, err := fetcher.Get(context.Background(), gone+"/x", 10)
	require.ErrorContains(t, err, "fetching http://user:xxxxx@127.0.0.1")
	require.NotContains(t, err.Error(), "secret")
}

func TestArchitectureThatASuiteDoesNotHave(t *testing.T) {
	a := archivetest.Start(t, archivetest.Suite{Name: "stone", Packages: packages()})
	r, _, err := read(t, a)
	require.NoError(t, err)
	_, err = r.Index(context.Background(), fetcher, "main", "riscv64")
	require.EqualError(t, err, `the suite stone has no packages of "main" for riscv64`)
}

func TestDebiansKeys(t *testing.T) {
	keys, err := archive.DebianKeys()
	require.NoError(t, err)
	var got []string
	for _, k := range keys {
		got = append(got, fmt.Sprintf("%X", k.PrimaryKey.Fingerprint))
		require.Nil(t, k.PrivateKey)
	}
	require.Equal(t, []string{
		"B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8", // bookworm
		"05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0", // bookworm-security
		"4D64FEC119C2029067D6E791F8D2585B8783D481", // bookworm, release team
		"04B54C3CDCA79751B16BC6B5225629DF75B188BD", // trixie
		"5E04A1E3223A19A20706E20F9904613D4CCE68C6", // trixie-security
		"41587F7DB8C774BCCF131416762F67A0B2C39DE4", // trixie, release team
	}, got)
}

func TestKeysThatAreNone(t *testing.T) {
	a := archivetest.Start(t)
	key := a.Keys(t)
	_, err := archive.ReadKeys(nil)
	require.ErrorContains(t, err, "no OpenPGP public key found")
	_, err = archive.ReadKeys(key[:len(key)/2])
	require.Error(t, err)
	two, err := archive.ReadKeys(append(append([]byte{}, key...), archivetest.Armor(t, archivetest.NewKey(t))...))
	require.NoError(t, err)
	require.Len(t, two, 2)
}
