package layer

import (
	"archive/tar"
	"archive/zip"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// openedArchive is an archive whose checksum is verified. It is a tar archive
// or a zip archive.
type openedArchive struct {
	name  string
	file  *os.File
	tar   member
	zip   *zip.Reader
	strip int
	take  []taking
	// headers is the folder with headers, "" without, and public what they name.
	headers string
	public  *publicNames
}

// taking is something to take, its paths relative and clean, and whether it was
// there.
type taking struct {
	from, to string
	seen     bool
}

// openArchives opens and verifies all archives. Those that it returns are to be
// closed, also with an error.
func openArchives(specs []Archive) ([]*openedArchive, error) {
	var archives []*openedArchive
	for _, s := range specs {
		a, err := newArchive(s)
		if err != nil {
			return archives, fmt.Errorf("archive %s: %w", s.Name, err)
		}
		if a.file, err = os.Open(s.Path); err != nil {
			return archives, fmt.Errorf("archive %s: %w", s.Name, err)
		}
		archives = append(archives, a)
		// What is verified is what is read later, through the same descriptor.
		if err := verifyDigest(a.file, s.Digest); err != nil {
			return archives, fmt.Errorf("archive %s: %s: %w", s.Name, s.Path, err)
		}
		if err := a.open(); err != nil {
			return archives, fmt.Errorf("archive %s: %s: %w", s.Name, s.Path, err)
		}
	}
	return archives, nil
}

func newArchive(s Archive) (*openedArchive, error) {
	if s.StripComponents < 0 || len(s.Take) == 0 {
		return nil, errors.New("it says nothing to take, or less than no leading elements to strip")
	}
	a := &openedArchive{name: s.Name, strip: s.StripComponents}
	for _, t := range s.Take {
		from, err := entryName(t.From)
		if err != nil || from != path.Clean(t.From) {
			return nil, fmt.Errorf("%q is not a relative and clean path to take", t.From)
		}
		if !path.IsAbs(t.To) || path.Clean(t.To) != t.To {
			return nil, fmt.Errorf("%q is not an absolute and clean path to put %q at", t.To, t.From)
		}
		to := "."
		if t.To != "/" {
			if to, err = entryName(t.To[1:]); err != nil {
				return nil, fmt.Errorf("putting %q at %q: %w", t.From, t.To, err)
			}
		}
		a.take = append(a.take, taking{from: from, to: to})
	}
	if s.Headers != nil {
		in, err := entryName(s.Headers.In)
		if err != nil || in != path.Clean(s.Headers.In) {
			return nil, fmt.Errorf("%q is not a relative and clean path of headers", s.Headers.In)
		}
		a.headers, a.public = in, newPublicNames(s.Headers.Also)
	}
	return a, nil
}

func verifyDigest(r io.Reader, want string) error {
	algorithm, sum, _ := strings.Cut(want, ":")
	var h hash.Hash
	switch algorithm {
	case "sha256":
		h = sha256.New()
	case "sha512":
		h = sha512.New()
	}
	if raw, err := hex.DecodeString(sum); h == nil || err != nil || len(raw) != h.Size() {
		return fmt.Errorf("%q is not a checksum of the form sha256:HEX or sha512:HEX", want)
	}
	if _, err := io.Copy(h, r); err != nil {
		return fmt.Errorf("computing its checksum: %w", err)
	}
	if got := algorithm + ":" + hex.EncodeToString(h.Sum(nil)); got != strings.ToLower(want) {
		return fmt.Errorf("checksum does not match: it has %s, the lock says %s", got, want)
	}
	return nil
}

// open finds out what kind of archive it is.
func (a *openedArchive) open() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	size := info.Size()
	head := make([]byte, 512)
	n, err := a.file.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	begins := func(magic string) bool { return strings.HasPrefix(string(head[:n]), magic) }
	ending := ""
	switch {
	case begins("\x1f\x8b"):
		ending = ".gz"
	case begins("\xfd7zXZ\x00"):
		ending = ".xz"
	case begins("\x28\xb5\x2f\xfd"):
		ending = ".zst"
	case begins("PK\x03\x04"):
		a.zip, err = zip.NewReader(a.file, size)
		return err
	case n < len(head) || string(head[257:262]) != "ustar":
		return errors.New("it is neither a tar archive (also .gz, .xz, .zst) nor a zip archive")
	}
	a.tar = member{"archive.tar" + ending, io.NewSectionReader(a.file, 0, size)}
	return nil
}

// stripped returns the name of an entry without the leading elements that do not
// count; false when it has no more than those.
func (a *openedArchive) stripped(name string) (string, bool) {
	for range a.strip {
		_, rest, ok := strings.Cut(name, "/")
		if !ok {
			return "", false
		}
		name = rest
	}
	return name, true
}

// inside says whether a name is that of a file or folder, or of something below it.
func inside(name, of string) bool {
	return of == "." || name == of || strings.HasPrefix(name, of+"/")
}

// place returns where an entry of the archive goes; false when it is not taken.
func (a *openedArchive) place(name string) (string, bool) {
	name, ok := a.stripped(name)
	if !ok {
		return "", false
	}
	var best *taking
	for i, t := range a.take {
		if inside(name, t.from) && (best == nil || best.from == "." || len(t.from) > len(best.from)) {
			best = &a.take[i]
		}
	}
	if best == nil {
		return "", false
	}
	best.seen = true
	if best.from != "." {
		name = strings.TrimPrefix(strings.TrimPrefix(name, best.from), "/")
	}
	return path.Join(best.to, name), true
}

// complete fails when something to take was not there.
func (a *openedArchive) complete() error {
	for _, t := range a.take {
		if !t.seen {
			return fmt.Errorf("it has no %q (after %d leading elements of its paths)", t.from, a.strip)
		}
	}
	if a.public != nil && len(a.public.words) == 0 {
		return fmt.Errorf("it has no headers in %q (after %d leading elements of its paths)", a.headers, a.strip)
	}
	return nil
}

// archiveEntry puts one entry of an archive into the tree, if it is taken. What
// an archive must not have it must not have elsewhere either.
func (b *builder) archiveEntry(a *openedArchive, header *tar.Header, content io.Reader) error {
	mode := int64(0o644)
	switch header.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir:
		mode = 0o755
	case tar.TypeReg:
		if header.Mode&0o111 != 0 {
			mode = 0o755
		}
	case tar.TypeSymlink, tar.TypeLink:
	default:
		return fmt.Errorf("it is a %s, which an image must not have", typeName(header.Typeflag))
	}
	name, err := entryName(header.Name)
	if err != nil {
		return err
	}
	if in, ok := a.stripped(name); ok && a.public != nil && header.Typeflag == tar.TypeReg && inside(in, a.headers) {
		content = io.TeeReader(content, a.public)
		// Whoever takes the file, too, has read it by then.
		defer a.public.end()
		if _, taken := a.place(name); !taken {
			_, err := io.Copy(io.Discard, content)
			return err
		}
	}
	to, taken := a.place(name)
	if !taken {
		return nil
	}
	moved := *header
	moved.Name, moved.Mode = to, mode
	if header.Typeflag == tar.TypeLink {
		target, err := entryName(header.Linkname)
		if err != nil {
			return fmt.Errorf("hard link: %w", err)
		}
		if moved.Linkname, taken = a.place(target); !taken {
			return fmt.Errorf("hard link to %q, which is not taken", target)
		}
	}
	return b.entry(a.name, &moved, content)
}

// maxZipLink bounds the size in bytes of a symlink's target.
const maxZipLink = 4096

// unzip puts the files of a zip archive into the tree.
func (b *builder) unzip(a *openedArchive) error {
	for _, f := range a.zip.File {
		if err := b.count(); err != nil {
			return err
		}
		if err := b.unzipFile(a, f); err != nil {
			return fmt.Errorf("unpacking %.200q: %w", f.Name, err)
		}
	}
	b.tree.endPackage()
	return nil
}

// unzipFile reads one file as if it stood in a tar archive.
func (b *builder) unzipFile(a *openedArchive, f *zip.File) error {
	if strings.Contains(f.Name, `\`) {
		return errors.New(`the path has a \`)
	}
	mode := f.Mode()
	header := &tar.Header{Name: f.Name, Mode: int64(mode.Perm())}
	r, err := f.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	content := counted{r, b}
	switch mode.Type() {
	case 0:
		header.Typeflag, header.Size = tar.TypeReg, int64(f.UncompressedSize64)
	case fs.ModeDir:
		header.Typeflag = tar.TypeDir
	case fs.ModeSymlink:
		target, err := io.ReadAll(io.LimitReader(content, maxZipLink+1))
		if err != nil {
			return err
		}
		header.Typeflag, header.Linkname = tar.TypeSymlink, string(target)
	case fs.ModeNamedPipe:
		header.Typeflag = tar.TypeFifo
	default:
		header.Typeflag = tar.TypeChar
	}
	return b.archiveEntry(a, header, content)
}
