package catalog_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
)

func TestLockIsWrittenAndRead(t *testing.T) {
	lock := smallLock()
	data, err := lock.Bytes()
	require.NoError(t, err)
	golden(t, "small.lock", data)
	file := filepath.Join(t.TempDir(), "catalog.lock")
	require.NoError(t, lock.Write(file))
	got, err := catalog.ReadLock(file)
	require.NoError(t, err)
	require.Equal(t, lock, got)

	// Over another, of another mode, through a link.
	link := filepath.Join(t.TempDir(), "link")
	require.NoError(t, os.Symlink(file, link))
	lock.Time = lock.Time.Add(time.Hour)
	require.NoError(t, lock.Write(link))
	got, err = catalog.ReadLock(file)
	require.NoError(t, err)
	require.Equal(t, lock, got)
	info, err := os.Lstat(link)
	require.NoError(t, err)
	require.NotZero(t, info.Mode()&os.ModeSymlink)
	info, err = os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o644), info.Mode())
}

func TestEmptyLockIsJSON(t *testing.T) {
	l := &catalog.Lock{Schema: catalog.LockSchema, Time: smallLock().Time, Suites: map[string]catalog.LockedSuite{"7": {Layers: map[string]map[string][]catalog.LockedPackage{"x": {"amd64": nil}}}}}
	data, err := l.Bytes()
	require.NoError(t, err)
	require.True(t, json.Valid(data), "%s", data)
}

func TestLockThatCannotBeWrittenLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "catalog.lock")
	require.NoError(t, os.Mkdir(file, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(file, "keep"), nil, 0o600))
	require.ErrorContains(t, smallLock().Write(file), "writing the catalog's lock")
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, entries, 1, "no temporary file stays")
	require.ErrorContains(t, smallLock().Write(filepath.Join(dir, "no", "folder")), "writing the catalog's lock")
}

func TestLocksThatAreRefused(t *testing.T) {
	good, err := smallLock().Bytes()
	require.NoError(t, err)
	for _, tt := range []struct{ name, old, new, want string }{
		{"not JSON", "{", "{{", "reading the catalog's lock x.lock"},
		{"another schema", `"schema": 2`, `"schema": 1`, "it has the schema 1, this program reads 2; `birdhouse catalog update FILE` writes a new one"},
		{"a newer schema", `"schema": 2`, `"schema": 3`, "it has the schema 3, this program reads 2; a newer birdhouse has written it"},
		{"no schema", `"schema": 2,`, ``, "it is no lock: it has no schema"},
		{"unknown key", `"schema": 2`, `"schema": 2, "more": 1`, "more"},
		{"no time", `"2026-11-20T02:11:10Z",` + "\n" + `  "suites"`, `"0001-01-01T00:00:00Z", "suites"`, "it has no time"},
		{"more text", "\n}\n", "\n}\n{}", "after top-level value"},
		{"path that climbs", `pool/main/libc6_amd64.deb`, `pool/../../x.deb`, "is not a path in the archive"},
		{"path elsewhere", `pool/main/libc6_amd64.deb`, `dists/x.deb`, "is not a path in the archive"},
		{"path with a query", `pool/main/libc6_amd64.deb`, `pool/x.deb?a`, "is not a path in the archive"},
		{"checksum", strings.Repeat("0a", 32), "0a", "is not a SHA-256 checksum"},
		{"size", `"size":10`, `"size":0`, "0 is not a size"},
		{"archive", `"archive":"debian","path"`, `"archive":"mine","path"`, `"mine" is not an archive`},
		{"name", `"name":"libc6"`, `"name":"../libc6"`, "that is not the name of a package"},
		{"version", `"2.41-12+deb7u4"`, `"2 41"`, `"2 41" is not a version`},
		{"architecture", `"architecture":"amd64"`, `"architecture":"i386"`, `it is for "i386"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bad := strings.Replace(string(good), tt.old, tt.new, 1)
			require.NotEqual(t, string(good), bad)
			_, err := catalog.ParseLock("x.lock", []byte(bad))
			require.ErrorContains(t, err, tt.want)
		})
	}
	_, err = catalog.ReadLock(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = catalog.Open(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzParseLock(f *testing.F) {
	good, err := smallLock().Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"schema":1}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := catalog.ParseLock("x", data)
		if err != nil {
			return
		}
		again, err := l.Bytes()
		if err != nil {
			return
		}
		if _, err := catalog.ParseLock("x", again); err != nil {
			t.Fatalf("what was read and written cannot be read: %v\n%s", err, again)
		}
	})
}

func TestChanges(t *testing.T) {
	from, to := smallLock(), smallLock()
	require.True(t, catalog.Compare(from, to).Empty())
	require.Equal(t, "", catalog.Compare(from, to).Text())

	to.Time = to.Time.AddDate(0, 0, 7)
	layers := to.Suites["7"].Layers
	for _, arch := range []string{"amd64", "arm64"} {
		layers["static"][arch][2].Version = "2026g-0+deb7u1"
		layers["boot"][arch][0].SHA256 = strings.Repeat("ff", 32)
	}
	added := layers["libc"]["arm64"][0]
	added.Name, added.NeededBy = "libnew", []string{"libc6"}
	layers["libc"]["arm64"] = append(layers["libc"]["arm64"], added)
	layers["libc"]["amd64"][0].Version = "2.41-12+deb7u5"
	delete(layers, "cross")
	require.Equal(t, ""+
		"boot:7    go      amd64 arm64    1.24.4-1 (another file)\n"+
		"cross:7   cross   amd64        - 1\n"+
		"libc:7    libc6   amd64          2.41-12+deb7u4 -> 2.41-12+deb7u5\n"+
		"libc:7    libnew  arm64        + 2.41-12+deb7u4  (needed by libc6)\n"+
		"static:7  zones   amd64 arm64    2026f-0+deb7u1 -> 2026g-0+deb7u1\n"+
		"3 changed, 1 added, 1 removed; from 2026-11-20 to 2026-11-27\n", catalog.Compare(from, to).Text())

	release := func(v, digest string) map[string]map[string]catalog.LockedArchive {
		files := []catalog.ArchiveFile{{Location: "npm", Path: v + ".tgz", Digest: digest, Size: 1}}
		return map[string]map[string]catalog.LockedArchive{"node": {"24": {Version: v, Files: map[string][]catalog.ArchiveFile{"amd64": files, "arm64": files}}}}
	}
	was, is := smallLock(), smallLock()
	was.Archives, is.Archives = release("24.20.0", "a"), release("24.21.0", "b")
	require.Equal(t, "node:24  node  amd64 arm64    24.20.0 -> 24.21.0\n1 changed, 0 added, 0 removed; from 2026-11-20 to 2026-11-20\n",
		catalog.Compare(was, is).Text())
	is.Archives = release("24.20.0", "b")
	require.Contains(t, catalog.Compare(was, is).Text(), "24.20.0 (another file)")
	is.Archives = release("24.20.0", "a")
	require.True(t, catalog.Compare(was, is).Empty())

	first := catalog.Compare(nil, from)
	require.Contains(t, first.Text(), "static:7  zones         amd64 arm64  + 2026f-0+deb7u1\n")
	require.Contains(t, first.Text(), "added, 0 removed; to 2026-11-20\n")
}
