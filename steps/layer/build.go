package layer

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/birdhouse-build/birdhouse/steps/internal/glob"
)

// limits bound what one layer may hold.
type limits struct {
	bytes   int64 // of all packages, decompressed, with what is left out
	entries int   // of all packages, with what is left out
}

// A JDK has 350 MB and 500 entries, a Go toolchain 330 MB and 15000, LLVM 1.5 GB.
var defaultLimits = limits{bytes: 8 << 30, entries: 1 << 20}

// Build unpacks spec into out, an empty or missing directory. It writes nothing
// before the checksums of all packages and archives are verified, nothing outside out, no
// device, fifo, setuid or setgid file and, but for /tmp, nothing that everybody
// may write. All files are owned by 0:0, or who spec says, if Build runs as
// root, and have the time 0. After an error out is empty.
//
// Package records are written to /var/lib/dpkg/status.d as
// https://github.com/GoogleContainerTools/distroless does, where scanners look
// for them. A copyright file is kept whatever Exclude says.
func Build(spec Spec, out string) error {
	return build(spec, out, defaultLimits)
}

func build(spec Spec, out string, max limits) (err error) {
	rules, err := parseRules(spec)
	if err != nil {
		return err
	}
	files, err := parseFiles(spec.Files)
	if err != nil {
		return err
	}
	packages, err := openPackages(spec.Packages)
	defer func() {
		for _, p := range packages {
			p.file.Close()
		}
	}()
	if err != nil {
		return err
	}
	archives, err := openArchives(spec.Archives)
	defer func() {
		for _, a := range archives {
			a.file.Close()
		}
	}()
	if err != nil {
		return err
	}

	if err := os.MkdirAll(out, 0o755); err != nil {
		return fmt.Errorf("making the layer's directory: %w", err)
	}
	tree, err := newTree(out, spec.Lower)
	if err != nil {
		return err
	}
	defer tree.close()
	defer func() {
		if err != nil {
			tree.empty()
		}
	}()

	b := &builder{tree: tree, rules: rules, max: max, caBundle: spec.CABundle}
	if err := b.unpackAll(packages, archives); err != nil {
		return err
	}
	if spec.Strip {
		public := map[string]*publicNames{}
		for _, a := range archives {
			public[a.name] = a.public
		}
		if err := tree.strip(public); err != nil {
			return fmt.Errorf("stripping programs and libraries: %w", err)
		}
	}
	if spec.CABundle {
		if err := b.writeCABundle(); err != nil {
			return fmt.Errorf("making /%s: %w", caBundlePath, err)
		}
	}
	for _, f := range files {
		if err := tree.put(f); err != nil {
			return fmt.Errorf("file %s of the layer: %w", f.path, err)
		}
	}
	if err := b.writeRecords(packages); err != nil {
		return fmt.Errorf("writing the package records: %w", err)
	}
	if err := tree.finish(); err != nil {
		return fmt.Errorf("finishing the layer: %w", err)
	}
	return nil
}

// opened is a package whose checksum is verified.
type opened struct {
	file *os.File
	path string
	*deb
}

// openPackages opens and verifies all packages. Those that it returns are to be
// closed, also with an error.
func openPackages(specs []Package) ([]*opened, error) {
	packages := make([]*opened, 0, len(specs))
	for _, s := range specs {
		f, err := os.Open(s.Path)
		if err != nil {
			return packages, fmt.Errorf("opening a package: %w", err)
		}
		packages = append(packages, &opened{file: f, path: s.Path})
	}
	// The file that is verified is the file that is read later, through the
	// same descriptor.
	errs := make([]error, len(specs))
	var verify sync.WaitGroup
	slots := make(chan struct{}, 8)
	for i, p := range packages {
		slots <- struct{}{}
		verify.Go(func() {
			defer func() { <-slots }()
			errs[i] = p.verify(specs[i].SHA256)
		})
	}
	verify.Wait()
	if err := errors.Join(errs...); err != nil {
		return packages, err
	}
	names := map[string]string{}
	for _, p := range packages {
		info, err := p.file.Stat()
		if err != nil {
			return packages, fmt.Errorf("package %s: %w", p.path, err)
		}
		if p.deb, err = openDeb(p.file, info.Size()); err != nil {
			return packages, fmt.Errorf("package %s: %w", p.path, err)
		}
		if other, twice := names[p.name]; twice {
			return packages, fmt.Errorf("package %s is there twice: %s and %s", p.name, other, p.path)
		}
		names[p.name] = p.path
	}
	return packages, nil
}

func (p *opened) verify(want string) error {
	if raw, err := hex.DecodeString(want); err != nil || len(raw) != sha256.Size {
		return fmt.Errorf("package %s: %q is not a SHA-256 checksum", p.path, want)
	}
	hash := sha256.New()
	if _, err := io.Copy(hash, p.file); err != nil {
		return fmt.Errorf("package %s: computing its checksum: %w", p.path, err)
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != strings.ToLower(want) {
		return fmt.Errorf("package %s: checksum does not match: it has SHA-256 %s, the lock says %s", p.path, got, want)
	}
	return nil
}

// rules say what of the packages is left out.
type rules struct{ exclude, keep glob.Set }

// Licences ask that their text goes with the program. A copyright file may lie
// behind a symlink to another package's folder.
const (
	copyrights     = "usr/share/doc/*/copyright"
	copyrightLinks = "usr/share/doc/*"
)

func parseRules(spec Spec) (r rules, err error) {
	if r.exclude, err = glob.ParseAll(spec.Exclude); err != nil {
		return r, fmt.Errorf("exclude: %w", err)
	}
	if r.keep, err = glob.ParseAll(append([]string{copyrights}, spec.Keep...)); err != nil {
		return r, fmt.Errorf("keep: %w", err)
	}
	return r, nil
}

var linkedCopyrights = func() glob.Pattern {
	p, err := glob.Parse(copyrightLinks)
	if err != nil {
		panic(err) // a constant
	}
	return p
}()

func (r rules) excluded(name string, symlink bool) bool {
	if !r.exclude.Match(name) || r.keep.Match(name) {
		return false
	}
	return !symlink || !linkedCopyrights.Match(name)
}

// builder unpacks packages into a tree.
type builder struct {
	tree         *tree
	rules        rules
	max          limits
	bytes        int64
	entries      int
	caBundle     bool
	certificates []certificate
}

func (b *builder) unpackAll(packages []*opened, archives []*openedArchive) error {
	var members []member
	for _, p := range packages {
		members = append(members, p.data)
	}
	for _, a := range archives {
		if a.zip == nil {
			members = append(members, a.tar)
		}
	}
	decoder, contents := startDecoder(members)
	defer decoder.close()
	next := func() *content {
		c := contents[0]
		contents = contents[1:]
		return c
	}
	for _, p := range packages {
		if err := b.unpack("data.tar", next(), func(h *tar.Header, r io.Reader) error { return b.entry(p.name, h, r) }); err != nil {
			return fmt.Errorf("package %s: %w", p.name, err)
		}
	}
	for _, a := range archives {
		var err error
		if a.zip != nil {
			err = b.unzip(a)
		} else {
			err = b.unpack("the archive", next(), func(h *tar.Header, r io.Reader) error { return b.archiveEntry(a, h, r) })
		}
		if err == nil {
			err = a.complete()
		}
		if err != nil {
			return fmt.Errorf("archive %s: %w", a.name, err)
		}
	}
	return nil
}

// counted fails when more than the limit is read.
type counted struct {
	r io.Reader
	b *builder
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	if c.b.bytes += int64(n); c.b.bytes > c.b.max.bytes {
		return 0, fmt.Errorf("the layer's packages unpack to more than %d bytes", c.b.max.bytes)
	}
	return n, err
}

// unpack gives each entry of a tar archive to a function.
func (b *builder) unpack(what string, r io.Reader, entry func(*tar.Header, io.Reader) error) error {
	r = counted{r, b}
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return fmt.Errorf("reading %s: %w", what, err)
		}
		if err := b.count(); err != nil {
			return err
		}
		if err := entry(header, archive); err != nil {
			return fmt.Errorf("unpacking %.200q: %w", header.Name, err)
		}
	}
	b.tree.endPackage()
	// What follows the archive is of no use, but what the compression says of
	// its integrity stands at the very end.
	if _, err := io.Copy(io.Discard, r); err != nil {
		return fmt.Errorf("reading the end of %s: %w", what, err)
	}
	return nil
}

// count counts an entry and fails when there are more than the limit.
func (b *builder) count() error {
	if b.entries++; b.entries > b.max.entries {
		return fmt.Errorf("the layer's packages have more than %d files", b.max.entries)
	}
	return nil
}

// entry puts one entry of a package, or of an archive under its name, into the
// tree.
func (b *builder) entry(pkg string, header *tar.Header, content io.Reader) error {
	shipped, err := entryName(header.Name)
	if err != nil {
		return err
	}
	for key := range header.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return errors.New("it is a sparse file, which packages do not have")
		}
	}
	// Sticky is the only one of the special bits that is kept, and only where
	// it does not widen what others may do.
	perm := header.FileInfo().Mode().Perm()
	f := file{pkg: pkg, path: b.tree.merge(shipped), mode: perm &^ 0o002}
	switch header.Typeflag {
	case tar.TypeDir:
		f.kind = directory
		if header.Mode&0o1000 != 0 {
			f.mode |= os.ModeSticky
		}
		if f.path == "tmp" {
			f.mode |= perm & 0o002
		}
	case tar.TypeReg:
		f.kind, f.content = regular, content
	case tar.TypeSymlink:
		f.kind, f.link = symlink, header.Linkname
		if b.tree.isMerge(shipped, f.link) {
			return nil
		}
	case tar.TypeLink:
		target, err := entryName(header.Linkname)
		if err != nil {
			return fmt.Errorf("hard link: %w", err)
		}
		f.kind, f.link = hardLink, target
	default:
		return fmt.Errorf("it is a %s, which an image must not have", typeName(header.Typeflag))
	}
	if f.path == "." {
		if f.kind != directory {
			return errors.New("only a directory can be the root")
		}
		return nil
	}

	if b.caBundle && f.kind == regular && isCertificate(f.path) {
		if f.content, err = b.addCertificate(f.path, header.Size, content); err != nil {
			return err
		}
	}
	if b.rules.excluded(f.path, f.kind == symlink) {
		b.tree.leaveOut(f)
		return nil
	}
	return b.tree.add(f)
}

// entryName returns the clean relative path that a name in an archive stands
// for, "." for the root.
func entryName(name string) (string, error) {
	if len(name) > 4096 {
		return "", errors.New("the path is longer than 4096 bytes")
	}
	if strings.HasPrefix(name, "/") {
		return "", errors.New("the path is absolute")
	}
	trimmed := strings.TrimSuffix(name, "/")
	for trimmed != "." && strings.HasPrefix(trimmed, "./") {
		trimmed = strings.TrimPrefix(trimmed, "./")
	}
	if trimmed == "." || trimmed == "" && name != "" {
		return ".", nil
	}
	for element := range strings.SplitSeq(trimmed, "/") {
		switch {
		case element == "" || element == "." || element == "..":
			return "", fmt.Errorf("the path has an element %q", element)
		case len(element) > 255:
			return "", errors.New("the path has an element longer than 255 bytes")
		}
	}
	// The records of a package are lines of text.
	if strings.ContainsFunc(trimmed, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", errors.New("the path has a control character")
	}
	return trimmed, nil
}

func typeName(flag byte) string {
	switch flag {
	case tar.TypeChar, tar.TypeBlock:
		return "device node"
	case tar.TypeFifo:
		return "fifo"
	case tar.TypeGNUSparse:
		return "sparse file"
	}
	return fmt.Sprintf("tar entry of type %q", flag)
}

// parseFiles checks the files that a layer adds and sorts them so that what
// lies in a directory comes after it.
func parseFiles(specs []File) ([]file, error) {
	var files []file
	seen := map[string]bool{}
	for _, s := range specs {
		fail := func(format string, args ...any) ([]file, error) {
			return nil, fmt.Errorf("file %q of the layer: %s", s.Path, fmt.Sprintf(format, args...))
		}
		if !path.IsAbs(s.Path) || path.Clean(s.Path) != s.Path || s.Path == "/" {
			return fail("the path must be absolute and clean, and not the root")
		}
		name, err := entryName(s.Path[1:])
		if err != nil {
			return fail("%v", err)
		}
		if seen[name] {
			return fail("it is there twice")
		}
		seen[name] = true
		if s.Owner < 0 || s.Owner > math.MaxInt32 {
			return fail("%d is no user", s.Owner)
		}
		f := file{path: name, mode: 0o644, owner: s.Owner}
		switch {
		case s.Dir && s.Link != "" || (s.Dir || s.Link != "") && s.Content != "":
			return fail("it can be only one of a directory, a symlink and a file with content")
		case s.Dir:
			f.kind, f.mode = directory, 0o755
		case s.Link != "":
			f.kind, f.link = symlink, s.Link
			if s.Mode != "" {
				return fail("a symlink has no mode")
			}
		default:
			f.kind, f.content = regular, strings.NewReader(s.Content)
		}
		if s.Mode != "" {
			mode, err := strconv.ParseUint(s.Mode, 8, 16)
			if err != nil || mode > 0o1777 {
				return fail("the mode %q is not permission bits in octal, such as 0644 or 1777", s.Mode)
			}
			f.mode = os.FileMode(mode & 0o777)
			if mode&0o1000 != 0 {
				if !s.Dir {
					return fail("only a directory can be sticky")
				}
				f.mode |= os.ModeSticky
			}
		}
		files = append(files, f)
	}
	slices.SortFunc(files, func(a, b file) int { return strings.Compare(a.path, b.path) })
	return files, nil
}
