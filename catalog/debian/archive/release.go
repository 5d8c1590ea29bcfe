// Package archive reads Debian's package archive over HTTP: it verifies a suite's
// signed Release file and gets the package indices that this lists, each by its
// checksum. It follows https://wiki.debian.org/DebianRepository/Format.
package archive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	pgperrors "github.com/ProtonMail/go-crypto/openpgp/errors"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/birdhouse-build/birdhouse/catalog/deb822"
	"github.com/birdhouse-build/birdhouse/catalog/debian"
)

var sha256Hex = regexp.MustCompile(`^[0-9a-f]{64}$`)

// Bounds of what a mirror is believed. Debian's own are 0.14 MB and 9.7 MB.
const (
	maxInRelease = 8 << 20
	maxIndex     = 256 << 20
)

// clockSkew is how far in the future a Release file may be dated.
const clockSkew = 6 * time.Hour

// Release is a verified Release file: the signed list of a suite's indices
// (https://wiki.debian.org/DebianRepository/Format#A.22Release.22_files).
type Release struct {
	// Codename is the suite's: "trixie-security".
	Codename string
	Date     time.Time
	// ValidUntil is zero for a suite that does not expire.
	ValidUntil time.Time
	// SHA256 is that of the whole InRelease file, in hex.
	SHA256 string
	// Signer is the fingerprint of the key that signed it, in hex.
	Signer string

	byHash bool
	files  map[string]file
	url    string // of the directory it is in
}

type file struct {
	sha256 string
	size   int64
}

// FetchRelease gets and verifies the InRelease file of a suite. The base is
// the mirror's URL: "http://mirror.example.com/debian". The signature must be
// of one of the keys, the file must be of the suite asked for, and now must lie
// between its date and its expiry, or at most grace after that.
func FetchRelease(ctx context.Context, f *Fetcher, base, suite string, keys openpgp.EntityList, now time.Time, grace time.Duration) (*Release, error) {
	dir := strings.TrimRight(base, "/") + "/dists/" + suite
	data, err := f.Get(ctx, dir+"/InRelease", maxInRelease)
	if err != nil {
		return nil, err
	}
	r, err := readRelease(data, suite, keys, now, grace)
	if err != nil {
		return nil, fmt.Errorf("verifying %s/InRelease: %w", dir, err)
	}
	r.url = dir
	return r, nil
}

// ExpiredError is a Release file that is no longer accepted.
type ExpiredError struct {
	Suite      string
	ValidUntil time.Time
	// Age is how long ago that was, Grace how long it may be.
	Age, Grace time.Duration
}

func (e *ExpiredError) Error() string {
	s := fmt.Sprintf("it expired on %s, %s", e.ValidUntil.Format(time.RFC3339), daysAgo(e.Age))
	if e.Grace > 0 {
		s += fmt.Sprintf(", and for %s it is accepted up to %d days", e.Suite, int(e.Grace.Hours()/24))
	}
	return s + ": the mirror has stopped following the suite"
}

func daysAgo(d time.Duration) string {
	switch n := int(d.Hours() / 24); n {
	case 0:
		return "today"
	case 1:
		return "a day ago"
	default:
		return fmt.Sprintf("%d days ago", n)
	}
}

func readRelease(data []byte, suite string, keys openpgp.EntityList, now time.Time, grace time.Duration) (*Release, error) {
	text, signer, err := Signed(data, keys, now)
	if err != nil {
		return nil, err
	}
	p, err := deb822.NewReader(bytes.NewReader(text)).Next()
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	r := &Release{
		Codename: p["codename"],
		SHA256:   hex.EncodeToString(sum[:]),
		Signer:   signer,
		byHash:   p["acquire-by-hash"] == "yes",
	}
	// A mirror could answer with another suite's file, rightly signed.
	if r.Codename != suite && p["suite"] != suite {
		return nil, fmt.Errorf("it is of the suite %q, not of %q", r.Codename, suite)
	}
	if r.Date, err = releaseTime(p["date"]); err != nil {
		return nil, fmt.Errorf("its date: %w", err)
	}
	if r.Date.After(now.Add(clockSkew)) {
		return nil, fmt.Errorf("it is dated %s, in the future: is this machine's clock right?", r.Date.Format(time.RFC3339))
	}
	if v := p["valid-until"]; v != "" {
		if r.ValidUntil, err = releaseTime(v); err != nil {
			return nil, fmt.Errorf("its expiry: %w", err)
		}
		if now.After(r.ValidUntil.Add(grace)) {
			return nil, &ExpiredError{Suite: suite, ValidUntil: r.ValidUntil, Age: now.Sub(r.ValidUntil), Grace: grace}
		}
	}
	if r.files, err = releaseFiles(p["sha256"]); err != nil {
		return nil, err
	}
	return r, nil
}

// Signed returns the text of a file that has an OpenPGP signature in itself
// (https://www.rfc-editor.org/rfc/rfc9580#section-7) and the fingerprint of the
// primary key of the signer, which has to be one of the keys. Whatever stands outside
// of the text is dropped.
func Signed(data []byte, keys openpgp.EntityList, now time.Time) (text []byte, signer string, err error) {
	block, _ := clearsign.Decode(data)
	if block == nil {
		return nil, "", errors.New("it has no OpenPGP signature")
	}
	key, err := block.VerifySignature(keys, &packet.Config{Time: func() time.Time { return now }})
	switch {
	case errors.Is(err, pgperrors.ErrUnknownIssuer):
		return nil, "", errors.New("it is signed by none of the keys that are trusted")
	case err != nil:
		return nil, "", fmt.Errorf("its signature is not valid: %w", err)
	}
	return block.Plaintext, strings.ToUpper(hex.EncodeToString(key.PrimaryKey.Fingerprint)), nil
}

func releaseTime(s string) (time.Time, error) {
	t, err := time.Parse("Mon, _2 Jan 2006 15:04:05 MST", s)
	if err != nil {
		return time.Time{}, fmt.Errorf("%.60q is not a time as in \"Sat, 15 Nov 2025 09:36:45 UTC\"", s)
	}
	return t.UTC(), nil
}

func releaseFiles(list string) (map[string]file, error) {
	files := map[string]file{}
	for _, line := range strings.Split(strings.TrimSpace(list), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("its list of files has the line %.80q", line)
		}
		size, err := strconv.ParseInt(f[1], 10, 64)
		if err != nil || size < 0 || !sha256Hex.MatchString(f[0]) {
			return nil, fmt.Errorf("its list of files has the line %.80q", line)
		}
		files[f[2]] = file{f[0], size}
	}
	if len(files) == 0 {
		return nil, errors.New("it lists no files with SHA-256 checksums")
	}
	return files, nil
}

// Index gets the index of a component's packages for an architecture ("amd64"),
// verifies it, and unpacks it while it is read from: debian.Index reads it.
func (r *Release) Index(ctx context.Context, f *Fetcher, component, arch string) (io.Reader, error) {
	file, err := r.IndexFile(component, arch)
	if err != nil {
		return nil, err
	}
	data, err := r.fetch(ctx, f, file.Path)
	if err != nil {
		return nil, err
	}
	text, err := debian.Unpack(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("unpacking %s/%s: %w", r.url, file.Path, err)
	}
	return text, nil
}

// fetch gets one of the files that the Release lists and checks its size and
// checksum.
func (r *Release) fetch(ctx context.Context, f *Fetcher, name string) ([]byte, error) {
	want := r.files[name]
	if want.size > maxIndex {
		return nil, fmt.Errorf("%s/%s has %d bytes, more than the %d allowed", r.url, name, want.size, int64(maxIndex))
	}
	url := r.url + "/" + name
	data, err := []byte(nil), error(nil)
	if r.byHash {
		// The file of this Release, even when the mirror gets a new one meanwhile.
		data, err = f.Get(ctx, r.url+"/"+name[:strings.LastIndexByte(name, '/')+1]+"by-hash/SHA256/"+want.sha256, want.size)
	}
	if gone := (*StatusError)(nil); !r.byHash || errors.As(err, &gone) && gone.Status == 404 {
		data, err = f.Get(ctx, url, want.size)
	}
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != want.size {
		return nil, fmt.Errorf("%s is cut off: it has %d of %d bytes", url, len(data), want.size)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != want.sha256 {
		return nil, fmt.Errorf("%s has the SHA-256 checksum %x, but the signed Release says %s", url, sum, want.sha256)
	}
	return data, nil
}
