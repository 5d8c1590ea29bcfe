// Package archivetest makes small Debian archives for tests: packages, indices
// and Release files, signed by a key of its own, served over HTTP.
package archivetest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"path"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/stretchr/testify/require"
	"github.com/ulikunitz/xz"
)

// Now is the time in these archives.
var Now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// Package is a package to make.
type Package struct {
	Name, Version string
	// Arch is "amd64" unless set.
	Arch string
	// Control has more fields, as "Depends: libc6".
	Control []string
	// Files are the content by path.
	Files map[string]string
	// Tar is the package's data.tar in place of Files, for what no packer makes.
	Tar []byte
}

// Suite is a suite of an archive, with what its Release file says.
type Suite struct {
	// Name is the folder in dists, Codename what the Release file says, the same
	// unless set.
	Name, Codename string
	// Date is Now unless set. ValidUntil may be zero.
	Date, ValidUntil time.Time
	// ByHash offers indices by their checksums, and only so.
	ByHash bool
	// Index is the form of the Packages files: ".xz" unless set, ".gz", "none".
	Index string
	// Signer is the archive's own key unless set.
	Signer   *openpgp.Entity
	Packages []Package
	// Corrupt changes the text of the Release file after it was signed.
	Corrupt func(inRelease string) string
}

// NewKey returns a key that signs.
func NewKey(t testing.TB) *openpgp.Entity {
	t.Helper()
	key, err := openpgp.NewEntity("Test Archive", "", "archive@example.com", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return Now.AddDate(-1, 0, 0) },
	})
	require.NoError(t, err)
	return key
}

// Archive is a served archive, of all suites in one folder.
type Archive struct {
	// URL is its base URL.
	URL string
	Key *openpgp.Entity

	mu       sync.Mutex
	files    map[string][]byte
	requests []string
	handle   func(w http.ResponseWriter, r *http.Request, data []byte) bool
}

// Start serves an archive with these suites until the test ends.
func Start(t testing.TB, suites ...Suite) *Archive {
	t.Helper()
	a := &Archive{Key: NewKey(t), files: map[string][]byte{}}
	a.Publish(t, suites...)
	srv := httptest.NewServer(a)
	t.Cleanup(srv.Close)
	a.URL = srv.URL
	return a
}

// Publish replaces all that the archive has.
func (a *Archive) Publish(t testing.TB, suites ...Suite) {
	t.Helper()
	files := map[string][]byte{}
	for _, s := range suites {
		if s.Signer == nil {
			s.Signer = a.Key
		}
		s.write(t, files)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.files = files
}

// Handle is called for each file before it is served; true means that it has
// answered.
func (a *Archive) Handle(f func(w http.ResponseWriter, r *http.Request, data []byte) bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.handle = f
}

// Requests returns the paths asked for so far.
func (a *Archive) Requests() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.requests)
}

// Keys returns the armored public key.
func (a *Archive) Keys(t testing.TB) []byte { return Armor(t, a.Key) }

// Armor returns an armored public key.
func Armor(t testing.TB, key *openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := armor.Encode(&b, openpgp.PublicKeyType, nil)
	require.NoError(t, err)
	require.NoError(t, key.Serialize(w))
	require.NoError(t, w.Close())
	return b.Bytes()
}

func (a *Archive) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	data, ok := a.files[strings.TrimPrefix(r.URL.Path, "/")]
	a.requests = append(a.requests, r.URL.Path)
	handle := a.handle
	a.mu.Unlock()
	if handle != nil && handle(w, r, data) {
		return
	}
	if !ok {
		http.NotFound(w, r)
		return
	}
	_, _ = w.Write(data)
}

func (s Suite) write(t testing.TB, files map[string][]byte) {
	t.Helper()
	index := map[string]*bytes.Buffer{"amd64": {}, "arm64": {}}
	for _, p := range s.Packages {
		if p.Arch == "" {
			p.Arch = "amd64"
		}
		deb := p.Deb(t)
		_, noEpoch, found := strings.Cut(p.Version, ":")
		if !found {
			noEpoch = p.Version
		}
		file := fmt.Sprintf("pool/main/%s/%s/%s_%s_%s.deb", p.Name[:1], p.Name, p.Name, noEpoch, p.Arch)
		files[file] = deb
		for arch, b := range index {
			if p.Arch == arch || p.Arch == "all" {
				fmt.Fprintf(b, "%sFilename: %s\nSize: %d\nSHA256: %s\nDescription: a package\n with a long text\n\n", p.control(), file, len(deb), Sum(deb))
			}
		}
	}
	var list strings.Builder
	for _, arch := range slices.Sorted(maps.Keys(index)) {
		name, data := pack(t, s.Index, index[arch].Bytes())
		rel := "main/binary-" + arch + "/Packages" + name
		fmt.Fprintf(&list, " %s %d %s\n", Sum(data), len(data), rel)
		if s.ByHash {
			rel = path.Dir(rel) + "/by-hash/SHA256/" + Sum(data)
		}
		files["dists/"+s.Name+"/"+rel] = data
	}
	if s.Date.IsZero() {
		s.Date = Now
	}
	if s.Codename == "" {
		s.Codename = s.Name
	}
	const form = "Mon, 02 Jan 2006 15:04:05 UTC"
	release := "Origin: Test\nSuite: x\nCodename: " + s.Codename + "\nDate: " + s.Date.Format(form) + "\n"
	if !s.ValidUntil.IsZero() {
		release += "Valid-Until: " + s.ValidUntil.Format(form) + "\n"
	}
	if s.ByHash {
		release += "Acquire-By-Hash: yes\n"
	}
	release += "SHA256:\n" + list.String()
	signed := Sign(t, s.Signer, release)
	if s.Corrupt != nil {
		signed = s.Corrupt(signed)
	}
	files["dists/"+s.Name+"/InRelease"] = []byte(signed)
}

// Sign returns a text with a signature.
func Sign(t testing.TB, key *openpgp.Entity, text string) string {
	t.Helper()
	var b bytes.Buffer
	w, err := clearsign.Encode(&b, key.PrivateKey, &packet.Config{Time: func() time.Time { return Now }})
	require.NoError(t, err)
	_, err = w.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func pack(t testing.TB, form string, data []byte) (ext string, out []byte) {
	t.Helper()
	var b bytes.Buffer
	switch form {
	case "none":
		return "", data
	case ".gz":
		w := gzip.NewWriter(&b)
		_, err := w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return form, b.Bytes()
	}
	w, err := xz.NewWriter(&b)
	require.NoError(t, err)
	_, err = w.Write(data)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return ".xz", b.Bytes()
}

func (p Package) control() string {
	s := fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nMaintainer: Test <test@example.com>\n", p.Name, p.Version, p.Arch)
	for _, c := range p.Control {
		s += c + "\n"
	}
	return s
}

// Deb returns the package's file: an ar archive of debian-binary, control.tar.gz
// and data.tar.xz, https://manpages.debian.org/deb.5.
func (p Package) Deb(t testing.TB) []byte {
	t.Helper()
	_, control := pack(t, ".gz", tarOf(t, map[string]string{"control": p.control() + "Description: a package\n"}))
	content := p.Tar
	if content == nil {
		content = tarOf(t, p.Files)
	}
	_, data := pack(t, ".xz", content)
	var b bytes.Buffer
	b.WriteString("!<arch>\n")
	for _, m := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", control}, {"data.tar.xz", data}} {
		fmt.Fprintf(&b, "%-16s%-12d%-6d%-6d%-8s%-10d`\n", m.name, 0, 0, 0, "100644", len(m.data))
		b.Write(m.data)
		if len(m.data)%2 == 1 {
			b.WriteByte('\n')
		}
	}
	return b.Bytes()
}

func tarOf(t testing.TB, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	dirs := map[string]bool{}
	add := func(h *tar.Header, content string) {
		h.Format = tar.FormatGNU
		require.NoError(t, w.WriteHeader(h))
		_, err := w.Write([]byte(content))
		require.NoError(t, err)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		for i, c := range name {
			if dir := name[:i]; c == '/' && !dirs[dir] {
				dirs[dir] = true
				add(&tar.Header{Name: "./" + dir + "/", Typeflag: tar.TypeDir, Mode: 0o755}, "")
			}
		}
		add(&tar.Header{Name: "./" + name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(files[name]))}, files[name])
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}

// Sum is a SHA-256 checksum in hex.
func Sum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
