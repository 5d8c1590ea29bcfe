// Package debian reads the package indices of Debian's archive and finds the
// packages that others need. It follows
// https://wiki.debian.org/DebianRepository/Format and chapters 5 and 7 of
// https://www.debian.org/doc/debian-policy/.
package debian

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/mikelolasagasti/xz"

	"github.com/birdhouse-build/birdhouse/catalog/deb822"
)

// IsPackageName says whether a name is one that Debian's policy allows, 5.6.1,
// and has at most 128 characters. This package is in the steps program, which
// regular expressions would make larger by a twentieth.
func IsPackageName(name string) bool {
	const alphanumeric = "abcdefghijklmnopqrstuvwxyz0123456789"
	return len(name) >= 2 && len(name) <= 128 && strings.Contains(alphanumeric, name[:1]) &&
		strings.Trim(name, alphanumeric+"+.-") == ""
}

// isSHA256 says whether text is a checksum in lower case.
func isSHA256(text string) bool {
	sum, err := hex.DecodeString(text)
	return err == nil && len(sum) == sha256.Size && text == strings.ToLower(text)
}

// Package is a package in an index.
type Package struct {
	Name         string
	Version      string
	Architecture string // "amd64", "all"
	// Path is where it is, below the mirror's URL: "pool/main/t/tzdata/tzdata_2026b-0+deb13u1_all.deb".
	Path   string
	SHA256 string
	Size   int64
	// Archive is what the Index was told when the package was added.
	Archive string

	depends   string // Pre-Depends and Depends; read when they matter
	conflicts string // Conflicts and Breaks
	provides  []clause
	priority  int    // 0 is the highest
	multiArch string // "same", "foreign", "allowed" or ""
	section   string // "libs", "libdevel"
}

// library says whether a package is one of those that programs are linked with,
// or that they are compiled against: it belongs to the machine that a program is
// for, and can lie beside the same package for another machine
// (https://wiki.debian.org/Multiarch/HOWTO). Tools belong to the machine that
// they run on.
func (p *Package) library() bool {
	if p.Architecture == "all" {
		return false
	}
	return p.multiArch == "same" || p.multiArch == "" && (p.section == "libs" || p.section == "libdevel")
}

// priorities are those of https://www.debian.org/doc/debian-policy/ch-archive.html#priorities,
// the highest first.
var priorities = []string{"required", "important", "standard", "optional", "extra"}

// Index is what is known of the packages for one architecture, of one suite or
// several.
type Index struct {
	arch      string
	byName    map[string][]*Package // newest first
	providers map[string][]*Package
}

// NewIndex returns an empty index of packages for an architecture, and those
// for all.
func NewIndex(arch string) *Index {
	return &Index{arch: arch, byName: map[string][]*Package{}, providers: map[string][]*Package{}}
}

// maxUnpacked bounds the size in bytes of an index's text. The largest of Debian's
// own has 57 MB.
const maxUnpacked = 1 << 30

// Unpack returns the text of an index file, which may be compressed with xz or
// gzip: what it begins with tells.
func Unpack(file io.Reader) (io.Reader, error) {
	packed := bufio.NewReader(file)
	magic, err := packed.Peek(6)
	if err != nil && err != io.EOF {
		return nil, err
	}
	var text io.Reader = packed
	switch {
	case bytes.HasPrefix(magic, []byte("\xfd7zXZ\x00")):
		text, err = xz.NewReader(packed, xz.DefaultDictMax)
	case bytes.HasPrefix(magic, []byte("\x1f\x8b")):
		text, err = gzip.NewReader(packed)
	default:
		err = nil
	}
	if err != nil {
		return nil, err
	}
	return &bounded{text, maxUnpacked}, nil
}

// bounded fails when more than left bytes are read.
type bounded struct {
	r    io.Reader
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, errors.New("the index is too large when unpacked")
	}
	return n, err
}

// Add reads an unpacked index.
func (ix *Index) Add(r io.Reader, archive string) error {
	rd := deb822.NewReader(r, "package", "version", "architecture", "filename", "sha256", "size",
		"pre-depends", "depends", "provides", "conflicts", "breaks", "priority", "multi-arch", "section")
	for {
		p, err := rd.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a package index: %w", err)
		}
		pkg, err := readPackage(p, archive)
		if err != nil {
			return fmt.Errorf("reading a package index: package %.80q: %w", p["package"], err)
		}
		if pkg.Architecture == ix.arch || pkg.Architecture == "all" {
			ix.add(pkg)
		}
	}
}

func (ix *Index) add(p *Package) {
	same := ix.byName[p.Name]
	i := sort.Search(len(same), func(i int) bool { return CompareVersions(same[i].Version, p.Version) <= 0 })
	if i < len(same) && CompareVersions(same[i].Version, p.Version) == 0 {
		// The suite that was added first has it already.
		return
	}
	same = append(same, nil)
	copy(same[i+1:], same[i:])
	same[i] = p
	ix.byName[p.Name] = same
	for _, c := range p.provides {
		for _, v := range c {
			ix.providers[v.name] = append(ix.providers[v.name], p)
		}
	}
}

func readPackage(p deb822.Paragraph, archive string) (*Package, error) {
	pkg := &Package{
		Name: p["package"], Version: p["version"], Architecture: p["architecture"],
		Path: p["filename"], SHA256: p["sha256"], Archive: archive,
	}
	if !IsPackageName(pkg.Name) {
		return nil, errors.New("that is not the name of a package")
	}
	if err := checkVersion(pkg.Version); err != nil {
		return nil, err
	}
	if !isSHA256(pkg.SHA256) {
		return nil, fmt.Errorf("%.80q is not a SHA-256 checksum", pkg.SHA256)
	}
	var err error
	pkg.Size, err = strconv.ParseInt(p["size"], 10, 64)
	if err != nil || pkg.Size <= 0 {
		return nil, fmt.Errorf("%.40q is not a size", p["size"])
	}
	if err := CheckPath(pkg.Path); err != nil {
		return nil, err
	}
	pkg.depends = p["pre-depends"] + "," + p["depends"]
	pkg.conflicts = p["conflicts"] + "," + p["breaks"]
	pkg.multiArch, pkg.section = p["multi-arch"], p["section"]
	if pkg.priority = slices.Index(priorities, p["priority"]); pkg.priority < 0 {
		pkg.priority = len(priorities)
	}
	if pkg.provides, err = parseRelations(p["provides"]); err != nil {
		return nil, fmt.Errorf("provides: %w", err)
	}
	return pkg, nil
}

// CheckPath says whether a path of a package stays below the mirror's URL.
func CheckPath(p string) error {
	if p == "" || path.Clean(p) != p || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") ||
		strings.ContainsAny(p, "\\?#%\x00\n ") {
		return fmt.Errorf("%.120q is not a path in the archive", p)
	}
	return nil
}

// newest returns the newest package of a name that satisfies the relation.
func (ix *Index) newest(r relation) *Package {
	for _, p := range ix.byName[r.name] {
		if r.satisfiedBy(p) {
			return p
		}
	}
	return nil
}

// Has says whether there is a package of a name.
func (ix *Index) Has(name string) bool { return len(ix.byName[name]) > 0 }

// Installed returns a package that is there already, for Query.Have. One of a
// version that the index does not have provides what the newest one does.
func (ix *Index) Installed(name, version string) *Package {
	for _, p := range ix.byName[name] {
		if p.Version == version {
			return p
		}
	}
	installed := &Package{Name: name, Version: version, Architecture: ix.arch}
	if p := ix.newest(relation{name: name}); p != nil {
		installed.provides = p.provides
	}
	return installed
}
