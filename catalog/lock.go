package catalog

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// LockSchema is the version of the lock's form that this program reads and
// writes.
const LockSchema = 2

// maxLock bounds the size in bytes of a lock that is read.
const maxLock = 64 << 20

// Lock pins every package of the catalog.
type Lock struct {
	Schema int `json:"schema"`
	// Time is the newest date of the sources.
	Time time.Time `json:"time"`
	// Suites are the releases of Debian, by the version that images are named
	// for: "13".
	Suites map[string]LockedSuite `json:"suites"`
	// Archives are what is no Debian package, by name and by the version that
	// images are named for: "node", "24".
	Archives map[string]map[string]LockedArchive `json:"archives,omitempty"`
	// Published is where the images of this lock can be had; may be nil.
	Published *Published `json:"published,omitempty"`
}

// LockedSuite is a release of Debian at a moment.
type LockedSuite struct {
	Sources []LockedSource `json:"sources"`
	// Layers are the packages by the name of the layer and the architecture,
	// sorted by name.
	Layers map[string]map[string][]LockedPackage `json:"layers"`
}

// LockedSource is a verified suite of an archive.
type LockedSource struct {
	Archive string `json:"archive"`
	Suite   string `json:"suite"`
	// InRelease is the SHA-256 checksum of its InRelease file, in hex.
	InRelease string    `json:"inRelease"`
	Date      time.Time `json:"date"`
	// Signer is the fingerprint of the key that signed it.
	Signer string `json:"signer"`
	// Indices are the package indices that InRelease lists, by architecture.
	Indices map[string]LockedIndex `json:"indices"`
}

// Date is the newest date of the sources of a release of Debian ("13"): one that is older
// than others, such as one that an update kept, may have packages that its archive has
// dropped by the time of the lock. It is the lock's own time for one without sources.
func (l *Lock) Date(suite string) time.Time {
	var date time.Time
	for _, s := range l.Suites[suite].Sources {
		if s.Date.After(date) {
			date = s.Date
		}
	}
	if date.IsZero() {
		return l.Time
	}
	return date
}

// LockedIndex is a package index as the archive has it, compressed.
type LockedIndex struct {
	// Path is the path below the suite's folder: "main/binary-amd64/Packages.xz".
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	// Size is in bytes.
	Size int64 `json:"size"`
}

// IndexPath returns the path, below the archive's URL, of a suite's index for an
// architecture by its checksum, where it stays for some time after a newer one
// came (https://wiki.debian.org/DebianRepository/Format#Acquire-By-Hash); ""
// when the lock has none.
func (s LockedSource) IndexPath(arch string) string {
	ix, ok := s.Indices[arch]
	if !ok {
		return ""
	}
	return path.Join("dists", s.Suite, path.Dir(ix.Path), "by-hash/SHA256", ix.SHA256)
}

// LockedArchive is a release of something that is no Debian package.
type LockedArchive struct {
	// Version is the full version: "24.21.0".
	Version string `json:"version"`
	// Files are by architecture, in the order in which locations are tried.
	Files map[string][]ArchiveFile `json:"files"`
}

// LockedPackage is a package and why it is there.
type LockedPackage struct {
	Package
	// NeededBy are the packages of the layer that depend on it, sorted.
	NeededBy []string `json:"neededBy,omitempty"`
}

// ReadLock reads a lock from a file.
func ReadLock(file string) (*Lock, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading the catalog's lock: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxLock+1))
	if err != nil {
		return nil, fmt.Errorf("reading the catalog's lock: %w", err)
	}
	return ParseLock(file, data)
}

// ParseLock reads a lock; file is the name that errors show. Unknown keys and
// values that cannot be are errors.
func ParseLock(file string, data []byte) (*Lock, error) {
	fail := func(err error) (*Lock, error) {
		return nil, fmt.Errorf("reading the catalog's lock %s: %w", file, err)
	}
	if len(data) > maxLock {
		return fail(fmt.Errorf("it is larger than %d bytes", maxLock))
	}
	l := &Lock{}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := dec.Decode(l)
	if _, end := dec.Token(); err != nil || l.Schema != LockSchema || end != io.EOF {
		return fail(misread(data, err))
	}
	if err := l.check(); err != nil {
		return fail(err)
	}
	return l, nil
}

// misread is why a text is no lock that this program reads: it is no JSON or of
// another schema, whatever else is wrong with it.
func misread(data []byte, err error) error {
	var head struct {
		Schema int `json:"schema"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return err
	}
	if head.Schema != LockSchema {
		return &SchemaError{Schema: head.Schema}
	}
	return err
}

// SchemaError is a lock of another form than this program reads.
type SchemaError struct {
	// Schema is the lock's; 0 for what is no lock.
	Schema int
}

func (e *SchemaError) Error() string {
	switch {
	case e.Schema > LockSchema:
		return fmt.Sprintf("it has the schema %d, this program reads %d; a newer birdhouse has written it", e.Schema, LockSchema)
	case e.Schema < 1:
		return "it is no lock: it has no schema"
	}
	return fmt.Sprintf("it has the schema %d, this program reads %d; `birdhouse catalog update FILE` writes a new one", e.Schema, LockSchema)
}

var (
	digestForm  = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	integrity   = regexp.MustCompile(`^(sha512-[A-Za-z0-9+/]{86}==)?$`)
	wordForm    = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$`)
	packageName = regexp.MustCompile(`^[a-z0-9][a-z0-9+.-]{1,127}$`)
	versionForm = regexp.MustCompile(`^[0-9A-Za-z.+~:_-]{1,256}$`)
)

func (l *Lock) check() error {
	if l.Time.IsZero() {
		return errors.New("it has no time")
	}
	for _, suite := range slices.Sorted(maps.Keys(l.Suites)) {
		for _, src := range l.Suites[suite].Sources {
			if err := src.check(); err != nil {
				return fmt.Errorf("suite %q: source %.40q: %w", suite, src.Suite, err)
			}
		}
		layers := l.Suites[suite].Layers
		for _, name := range slices.Sorted(maps.Keys(layers)) {
			for _, arch := range slices.Sorted(maps.Keys(layers[name])) {
				for _, p := range layers[name][arch] {
					if err := p.check(arch); err != nil {
						return fmt.Errorf("suite %q: package %.80q for %.20q: %w", suite, p.Name, arch, err)
					}
				}
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(l.Archives)) {
		for _, v := range slices.Sorted(maps.Keys(l.Archives[name])) {
			if err := l.Archives[name][v].check(); err != nil {
				return fmt.Errorf("archive %.40q %.20q: %w", name, v, err)
			}
		}
	}
	return l.Published.check()
}

func (s LockedSource) check() error {
	if s.Archive != "debian" && s.Archive != "debian-security" {
		return fmt.Errorf("%.40q is not an archive: debian or debian-security", s.Archive)
	}
	if !wordForm.MatchString(s.Suite) {
		return errors.New("that is not the name of a suite")
	}
	for _, arch := range slices.Sorted(maps.Keys(s.Indices)) {
		ix := s.Indices[arch]
		switch {
		case !cleanPath(ix.Path):
			return fmt.Errorf("index for %.20q: %.120q is not a path in the archive", arch, ix.Path)
		case !isSHA256(ix.SHA256):
			return fmt.Errorf("index for %.20q: %.80q is not a SHA-256 checksum", arch, ix.SHA256)
		case ix.Size <= 0 || ix.Size > maxPackage:
			return fmt.Errorf("index for %.20q: %d is not a size from 1 to %d bytes", arch, ix.Size, int64(maxPackage))
		}
	}
	return nil
}

func (a LockedArchive) check() error {
	if !versionForm.MatchString(a.Version) {
		return fmt.Errorf("%.80q is not a version", a.Version)
	}
	for _, arch := range slices.Sorted(maps.Keys(a.Files)) {
		for _, f := range a.Files[arch] {
			switch {
			case !wordForm.MatchString(f.Location):
				return fmt.Errorf("%.40q is not a kind of location", f.Location)
			case !cleanPath(f.Path):
				return fmt.Errorf("%.120q is not a path at a location", f.Path)
			case !digestForm.MatchString(f.Digest):
				return fmt.Errorf("%.150q is not a checksum as sha256:…, by which builds know a file", f.Digest)
			case !integrity.MatchString(f.Integrity):
				return fmt.Errorf("%.150q is not a checksum as sha512-…", f.Integrity)
			case f.Size <= 0 || f.Size > maxPackage:
				return fmt.Errorf("%d is not a size from 1 to %d bytes", f.Size, int64(maxPackage))
			}
		}
	}
	return nil
}

// isSHA256 says whether a text is a checksum in lower-case hexadecimal digits. Every
// build asks it of every package.
func isSHA256(s string) bool {
	return len(s) == 2*sha256.Size && strings.Trim(s, "0123456789abcdef") == ""
}

// cleanPath says whether a path stays below a URL that it is added to.
func cleanPath(p string) bool {
	return p != "" && p != ".." && !path.IsAbs(p) && path.Clean(p) == p && !strings.HasPrefix(p, "../") &&
		!strings.ContainsAny(p, "\\?#% \n\x00")
}

// maxPackage bounds the size in bytes of a package.
const maxPackage = 2 << 30

func (p Package) check(arch string) error {
	switch {
	case !packageName.MatchString(p.Name):
		return errors.New("that is not the name of a package")
	case !versionForm.MatchString(p.Version):
		return fmt.Errorf("%.80q is not a version", p.Version)
	case p.Architecture != arch && p.Architecture != "all":
		return fmt.Errorf("it is for %.20q", p.Architecture)
	case p.Archive != "debian" && p.Archive != "debian-security":
		return fmt.Errorf("%.40q is not an archive: debian or debian-security", p.Archive)
	case !strings.HasPrefix(p.Path, "pool/") || !cleanPath(p.Path):
		return fmt.Errorf("%.120q is not a path in the archive", p.Path)
	case !isSHA256(p.SHA256):
		return fmt.Errorf("%.80q is not a SHA-256 checksum", p.SHA256)
	case p.Size <= 0 || p.Size > maxPackage:
		return fmt.Errorf("%d is not a size from 1 to %d bytes", p.Size, int64(maxPackage))
	}
	return nil
}

// Bytes returns the lock's text: JSON, sorted, a line for each package, so that
// two locks can be compared line by line.
func (l *Lock) Bytes() ([]byte, error) {
	w := &lockWriter{}
	keys := []string{"schema", "time", "suites"}
	if len(l.Archives) > 0 {
		keys = append(keys, "archives")
	}
	if l.Published != nil {
		keys = append(keys, "published")
	}
	w.object("", keys, func(indent, key string) {
		switch key {
		case "schema":
			w.value(l.Schema)
		case "time":
			w.value(l.Time.UTC())
		case "suites":
			w.object(indent, sortedKeys(l.Suites), func(indent, suite string) { w.suite(indent, l.Suites[suite]) })
		case "archives":
			w.object(indent, sortedKeys(l.Archives), func(indent, name string) {
				w.object(indent, sortedKeys(l.Archives[name]), func(indent, v string) { w.archive(indent, l.Archives[name][v]) })
			})
		case "published":
			w.published(indent, l.Published)
		}
	})
	w.WriteByte('\n')
	return w.Bytes(), w.err
}

// lockWriter writes objects and lists with a line for each element, and an
// element of a list in one line.
type lockWriter struct {
	bytes.Buffer
	err error
}

func (w *lockWriter) suite(indent string, s LockedSuite) {
	w.object(indent, []string{"sources", "layers"}, func(indent, key string) {
		if key == "sources" {
			writeList(w, indent, s.Sources)
			return
		}
		w.object(indent, sortedKeys(s.Layers), func(indent, layer string) {
			w.object(indent, sortedKeys(s.Layers[layer]), func(indent, arch string) { writeList(w, indent, s.Layers[layer][arch]) })
		})
	})
}

func (w *lockWriter) archive(indent string, a LockedArchive) {
	w.object(indent, []string{"version", "files"}, func(indent, key string) {
		if key == "version" {
			w.value(a.Version)
			return
		}
		w.object(indent, sortedKeys(a.Files), func(indent, arch string) { writeList(w, indent, a.Files[arch]) })
	})
}

func (w *lockWriter) published(indent string, p *Published) {
	keys := []string{"prefix", "images"}
	if len(p.Only) > 0 {
		keys = append(keys, "only")
	}
	w.object(indent, keys, func(indent, key string) {
		switch key {
		case "prefix":
			w.value(p.Prefix)
		case "images":
			w.object(indent, sortedKeys(p.Images), func(_, ref string) { w.value(p.Images[ref]) })
		case "only":
			w.object(indent, sortedKeys(p.Only), func(_, ref string) { w.value(p.Only[ref]) })
		}
	})
}

// object writes an object that begins in a line with this indentation.
func (w *lockWriter) object(indent string, keys []string, member func(indent, key string)) {
	w.WriteString("{\n")
	for i, key := range keys {
		w.WriteString(indent + "  ")
		w.value(key)
		w.WriteString(": ")
		member(indent+"  ", key)
		w.endLine(i, len(keys))
	}
	w.WriteString(indent + "}")
}

func writeList[T any](w *lockWriter, indent string, list []T) {
	w.WriteString("[\n")
	for i, v := range list {
		w.WriteString(indent + "  ")
		w.value(v)
		w.endLine(i, len(list))
	}
	w.WriteString(indent + "]")
}

func (w *lockWriter) endLine(i, n int) {
	if i < n-1 {
		w.WriteByte(',')
	}
	w.WriteByte('\n')
}

// value writes one of our own types in one line, which cannot fail but for a year
// beyond 9999.
func (w *lockWriter) value(v any) {
	var line bytes.Buffer
	enc := json.NewEncoder(&line)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		w.err = err
	}
	w.WriteString(strings.TrimSuffix(line.String(), "\n"))
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// Write writes the lock to a file, all or nothing.
func (l *Lock) Write(file string) error {
	if err := l.write(file); err != nil {
		return fmt.Errorf("writing the catalog's lock: %w", err)
	}
	return nil
}

func (l *Lock) write(file string) (err error) {
	data, err := l.Bytes()
	if err != nil {
		return err
	}
	// A symlink stays one; what it leads to is replaced.
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err = f.Write(data); err != nil {
		return err
	}
	if err = f.Chmod(0o644); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
