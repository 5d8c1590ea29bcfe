package update

import (
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"golang.org/x/mod/semver"
	"golang.org/x/sync/errgroup"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/debian/archive"
	"github.com/birdhouse-build/birdhouse/catalog/define"
)

// Bounds of what locations answer, in bytes.
const (
	maxListing = 64 << 20
	maxRelease = 512 << 20
)

// releases finds the releases of one archive of the definitions at the locations
// that are known. It implements Archive.
type releases struct {
	name      string
	defs      *define.Definitions
	locations catalog.Locations
	// keys are armored public keys of those who sign releases.
	keys    []byte
	now     func() time.Time
	fetcher *archive.Fetcher

	mu      sync.Mutex
	sources map[string]source // by kind; made when they are needed
}

// source is a location as one archive sees it.
type source interface {
	// versions returns the versions of all releases for an architecture.
	versions(ctx context.Context, arch string) ([]string, error)
	// file returns the path below the location's URL of a release's file, and the
	// checksum that the location has for it, as "sha512-BASE64" or "sha256:HEX".
	file(ctx context.Context, arch, version string) (path, checksum string, err error)
}

// Lock implements Archive: it takes the newest release of the line that all known
// locations have for all architectures, so that the lock serves whoever knows one
// of them. With no location known, what was locked before stays.
func (r *releases) Lock(ctx context.Context, version string, arches []string, previous catalog.LockedArchive) (catalog.LockedArchive, error) {
	def := r.defs.Archives[r.name]
	kinds, sources, err := r.known()
	if err != nil {
		return catalog.LockedArchive{}, err
	}
	if len(kinds) == 0 {
		if previous.Version != "" {
			return previous, nil
		}
		for _, l := range def.Locations {
			kinds = append(kinds, l.Kind)
		}
		return catalog.LockedArchive{}, fmt.Errorf("no place is known that has it: name %s", catalog.DescribeLocations(kinds))
	}
	newest, err := newestOfAll(ctx, def.Line(version), kinds, arches, sources)
	if err != nil {
		return catalog.LockedArchive{}, err
	}
	// A location that lags behind takes no release back.
	if previous.Version != "" && semver.Compare("v"+newest, "v"+previous.Version) < 0 {
		return previous, nil
	}
	locked := catalog.LockedArchive{Version: newest, Files: map[string][]catalog.ArchiveFile{}}
	var writing sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	for _, arch := range arches {
		group.Go(func() error {
			var files []catalog.ArchiveFile
			for _, kind := range kinds {
				f, err := r.lockFile(ctx, kind, sources[kind], arch, newest, previous)
				if err != nil {
					return err
				}
				files = append(files, f)
			}
			writing.Lock()
			locked.Files[arch] = files
			writing.Unlock()
			return nil
		})
	}
	return locked, group.Wait()
}

// known returns the kinds of locations that are known, in order, and what they
// are. All versions share them, and so what they have listed.
func (r *releases) known() ([]string, map[string]source, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var kinds []string
	for _, l := range r.defs.Archives[r.name].Locations {
		base := r.locations[l.Kind]
		if base == "" {
			continue
		}
		kinds = append(kinds, l.Kind)
		if r.sources[l.Kind] != nil {
			continue
		}
		s, err := r.source(l, base)
		if err != nil {
			return nil, nil, err
		}
		if r.sources == nil {
			r.sources = map[string]source{}
		}
		r.sources[l.Kind] = s
	}
	return kinds, maps.Clone(r.sources), nil
}

func (r *releases) source(l define.Location, base string) (source, error) {
	names := map[string]string{}
	for _, arch := range r.defs.ArchitectureNames() {
		names[arch] = r.defs.Expand(define.Place{Arch: arch}, []string{l.Name})[0]
	}
	switch l.Kind {
	case "npm":
		return &npmSource{base: base, names: names, fetcher: r.fetcher, packages: map[string]npmPackage{}}, nil
	case "nodejs":
		keys, err := signers(r.keys, l.Signers)
		if err != nil {
			return nil, err
		}
		return &nodejsSource{base: base, names: names, keys: keys, now: r.now, fetcher: r.fetcher}, nil
	}
	return nil, fmt.Errorf("%q is no kind of location", l.Kind)
}

// signers returns those of the armored keys whose fingerprints are listed.
func signers(armored []byte, fingerprints []string) (openpgp.EntityList, error) {
	const way = "the public keys of Node's release team are at https://github.com/nodejs/release-keys: name a file with them, armored, with --node-keys or in BIRDHOUSE_NODE_KEYS"
	if len(armored) == 0 {
		return nil, errors.New("the release site's checksums are signed, and cannot be verified without keys; " + way)
	}
	all, err := archive.ReadKeys(armored)
	if err != nil {
		return nil, fmt.Errorf("the keys of Node's release team: %w", err)
	}
	listed := slices.DeleteFunc(all, func(k *openpgp.Entity) bool {
		return !slices.Contains(fingerprints, fmt.Sprintf("%X", k.PrimaryKey.Fingerprint))
	})
	if len(listed) == 0 {
		return nil, errors.New("none of the keys given is of Node's release team, as the definitions list them; " + way)
	}
	return listed, nil
}

// release is the form of a version that counts: prereleases do not.
var release = regexp.MustCompile(`^[0-9]{1,9}\.[0-9]{1,9}\.[0-9]{1,9}$`)

// newestOfAll returns the newest release of a line that all sources have for all
// architectures.
func newestOfAll(ctx context.Context, line string, kinds, arches []string, sources map[string]source) (string, error) {
	var common []string
	var newest []string // of each, for the error
	for i, kind := range kinds {
		for j, arch := range arches {
			all, err := sources[kind].versions(ctx, arch)
			if err != nil {
				return "", err
			}
			all = slices.DeleteFunc(all, func(v string) bool { return !release.MatchString(v) || line != "" && !strings.HasPrefix(v, line+".") })
			slices.SortFunc(all, func(a, b string) int { return semver.Compare("v"+a, "v"+b) })
			last := "none"
			if len(all) > 0 {
				last = all[len(all)-1]
			}
			newest = append(newest, fmt.Sprintf("%s for %s: %s", kind, arch, last))
			if i == 0 && j == 0 {
				common = all
			} else {
				common = slices.DeleteFunc(common, func(v string) bool { return !slices.Contains(all, v) })
			}
		}
	}
	if len(common) == 0 {
		return "", fmt.Errorf("there is no release of %q that all have (newest of %s)", line, strings.Join(newest, ", "))
	}
	return common[len(common)-1], nil
}

// lockFile downloads a file and verifies it against the location's own checksum,
// unless it was locked before.
func (r *releases) lockFile(ctx context.Context, kind string, s source, arch, version string, previous catalog.LockedArchive) (catalog.ArchiveFile, error) {
	path, checksum, err := s.file(ctx, arch, version)
	if err != nil {
		return catalog.ArchiveFile{}, err
	}
	f := catalog.ArchiveFile{Location: kind, Path: path}
	if strings.HasPrefix(checksum, "sha512-") {
		f.Integrity = checksum
	}
	for _, p := range previous.Files[arch] {
		if p.Location != kind || p.Path != path {
			continue
		}
		if p.Integrity != f.Integrity || f.Integrity == "" && p.Digest != checksum {
			return catalog.ArchiveFile{}, fmt.Errorf("%s is another file now than the one that is locked (%s): a release must not change; "+
				"find out why, or delete the lock to take what is there", s, path)
		}
		return p, nil
	}
	data, err := r.fetcher.Get(ctx, r.locations[kind]+"/"+path, maxRelease)
	if err != nil {
		return catalog.ArchiveFile{}, err
	}
	sum := sha256.Sum256(data)
	f.Digest, f.Size = "sha256:"+hex.EncodeToString(sum[:]), int64(len(data))
	got := f.Digest
	if f.Integrity != "" {
		sum := sha512.Sum512(data)
		got = "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
	}
	if got != checksum {
		return catalog.ArchiveFile{}, fmt.Errorf("%s: %s has %d bytes with the checksum %s, but its listing says %s", s, path, len(data), got, checksum)
	}
	return f, nil
}

// npmSource is a registry of npm packages,
// https://github.com/npm/registry/blob/main/docs/responses/package-metadata.md.
type npmSource struct {
	base    string
	names   map[string]string
	fetcher *archive.Fetcher

	mu       sync.Mutex
	packages map[string]npmPackage
}

// npmPackage is the part of a package's metadata that is read.
type npmPackage struct {
	Versions map[string]struct {
		Dist struct {
			Integrity string `json:"integrity"`
		} `json:"dist"`
	} `json:"versions"`
}

func (s *npmSource) String() string { return "the npm registry " + redacted(s.base) }

func (s *npmSource) get(ctx context.Context, arch string) (npmPackage, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := s.names[arch]
	if p, ok := s.packages[name]; ok {
		return p, nil
	}
	fetcher := *s.fetcher
	// The short form, which all installers ask for.
	fetcher.Accept = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8"
	data, err := fetcher.Get(ctx, s.base+"/"+name, maxListing)
	if err != nil {
		return npmPackage{}, err
	}
	var p npmPackage
	if err := json.Unmarshal(data, &p); err != nil {
		return npmPackage{}, fmt.Errorf("%s: what it says of the package %s cannot be read: %w", s, name, err)
	}
	s.packages[name] = p
	return p, nil
}

func (s *npmSource) versions(ctx context.Context, arch string) ([]string, error) {
	p, err := s.get(ctx, arch)
	if err != nil {
		return nil, err
	}
	var out []string
	for v := range p.Versions {
		out = append(out, v)
	}
	return out, nil
}

// integrity is a SHA-512 checksum as https://www.w3.org/TR/SRI/ writes it.
var integrity = regexp.MustCompile(`^sha512-[A-Za-z0-9+/]{86}==$`)

func (s *npmSource) file(ctx context.Context, arch, version string) (path, checksum string, err error) {
	p, err := s.get(ctx, arch)
	if err != nil {
		return "", "", err
	}
	name := s.names[arch]
	for hash := range strings.FieldsSeq(p.Versions[version].Dist.Integrity) {
		if integrity.MatchString(hash) {
			// Where all registries have it, wherever they say that it is.
			return fmt.Sprintf("%s/-/%s-%s.tgz", name, name[strings.LastIndexByte(name, '/')+1:], version), hash, nil
		}
	}
	return "", "", fmt.Errorf("%s has no sha512 checksum for %s %s", s, name, version)
}

// nodejsSource is a site with Node's releases: a list of them in index.json, and
// a folder for each with the signed checksums of its files in SHASUMS256.txt.asc. The
// list is believed as the site has it.
type nodejsSource struct {
	base    string
	names   map[string]string
	keys    openpgp.EntityList
	now     func() time.Time // nil is the machine's clock
	fetcher *archive.Fetcher

	mu   sync.Mutex
	list []nodejsRelease
}

type nodejsRelease struct {
	Version string   `json:"version"` // "v24.21.0"
	Files   []string `json:"files"`   // "linux-x64", "headers", …
}

func (s *nodejsSource) String() string { return "the site " + redacted(s.base) }

func (s *nodejsSource) versions(ctx context.Context, arch string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		data, err := s.fetcher.Get(ctx, s.base+"/index.json", maxListing)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(data, &s.list); err != nil {
			return nil, fmt.Errorf("%s: its list of releases, index.json, cannot be read: %w", s, err)
		}
	}
	var out []string
	for _, r := range s.list {
		if slices.Contains(r.Files, s.names[arch]) {
			out = append(out, strings.TrimPrefix(r.Version, "v"))
		}
	}
	return out, nil
}

func (s *nodejsSource) file(ctx context.Context, arch, version string) (path, checksum string, err error) {
	folder := "v" + version
	name := fmt.Sprintf("node-v%s-%s.tar.xz", version, s.names[arch])
	const sums = "SHASUMS256.txt.asc"
	data, err := s.fetcher.Get(ctx, s.base+"/"+folder+"/"+sums, maxListing)
	if err != nil {
		return "", "", err
	}
	now := time.Now
	if s.now != nil {
		now = s.now
	}
	text, _, err := archive.Signed(data, s.keys, now())
	if err != nil {
		return "", "", fmt.Errorf("%s: verifying %s of %s: %w", s, sums, folder, err)
	}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) == 2 && f[1] == name {
			if raw, err := hex.DecodeString(f[0]); err != nil || len(raw) != sha256.Size {
				return "", "", fmt.Errorf("%s: its %s has no SHA-256 checksum for %s: %.80q", s, sums, name, f[0])
			}
			return folder + "/" + name, "sha256:" + strings.ToLower(f[0]), nil
		}
	}
	return "", "", fmt.Errorf("%s: its %s of %s does not name %s", s, sums, folder, name)
}

func redacted(s string) string {
	if u, err := url.Parse(s); err == nil {
		return u.Redacted()
	}
	return s
}

// secureRedirects is a client that follows no redirect away from https: what a
// location says of its releases is believed because of it.
func secureRedirects(client *http.Client) *http.Client {
	if client == nil {
		client = archive.DefaultClient
	}
	c := *client
	follow := c.CheckRedirect
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		switch {
		case via[0].URL.Scheme == "https" && req.URL.Scheme != "https":
			return fmt.Errorf("it redirects to %s, which is not https", req.URL.Redacted())
		case follow != nil:
			return follow(req, via)
		case len(via) >= 10:
			return errors.New("stopped after 10 redirects")
		}
		return nil
	}
	return &c
}
