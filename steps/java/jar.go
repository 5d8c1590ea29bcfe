package java

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"
)

// Bounds of an archive: nothing that is built comes near them, and one that was
// made to fill the machine is refused before it is unpacked.
const (
	maxEntries  = 1 << 19
	maxUnpacked = 4 << 30
	maxManifest = 1 << 20
	maxClass    = 64 << 20
	// maxNested bounds an archive in an archive that is looked at.
	maxNested = 512 << 20
)

// jar is an archive that is open. Its entries are those that Java sees: each name
// once.
type jar struct {
	// file is its path, name what messages call it.
	file, name string
	entries    []*zip.File
	by         map[string]*zip.File
	manifest   manifest
	closer     io.Closer
	// content is the archive itself; nil for a part of another.
	content io.ReaderAt
	size    int64
}

func openJar(file, name string) (*jar, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("it is not a file")
	}
	var j *jar
	if err == nil {
		j, err = readJar(f, info.Size(), name)
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	j.file, j.closer = file, f
	return j, nil
}

// readJar checks the directory of an archive.
func readJar(r io.ReaderAt, size int64, name string) (*jar, error) {
	z, err := zip.NewReader(r, size)
	if errors.Is(err, zip.ErrFormat) {
		return nil, errors.New("it is no jar: it is damaged or cut off, or another kind of file")
	}
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return nil, err
	}
	if len(z.File) > maxEntries {
		return nil, fmt.Errorf("it has %d entries, and may have %d", len(z.File), maxEntries)
	}
	j := &jar{name: name, content: r, size: size, by: make(map[string]*zip.File, len(z.File))}
	var total uint64
	for _, e := range z.File {
		if clean := strings.TrimSuffix(e.Name, "/"); !fs.ValidPath(clean) || clean == "." || strings.ContainsAny(clean, "\\\x00") {
			return nil, fmt.Errorf("its entry %q is not a path inside the jar", e.Name)
		}
		if e.UncompressedSize64 > maxUnpacked-total {
			return nil, fmt.Errorf("it unpacks to more than %d GiB", maxUnpacked>>30)
		}
		total += e.UncompressedSize64
		if j.by[e.Name] == nil {
			j.by[e.Name] = e
			j.entries = append(j.entries, e)
		}
	}
	if e := j.by["META-INF/MANIFEST.MF"]; e != nil {
		text, err := readEntry(e, maxManifest)
		if err != nil {
			return nil, err
		}
		j.manifest = parseManifest(text)
	}
	return j, nil
}

func (j *jar) Close() error {
	if j.closer == nil {
		return nil
	}
	return j.closer.Close()
}

// has says whether there is anything in a folder of the archive: "BOOT-INF/".
func (j *jar) has(dir string) bool {
	return slices.ContainsFunc(j.entries, func(e *zip.File) bool { return strings.HasPrefix(e.Name, dir) })
}

// hasClass says whether there is a class, as com.example.Main, below the folder "" or
// "BOOT-INF/classes/".
func (j *jar) hasClass(dir, class string) bool {
	return j.by[dir+strings.ReplaceAll(class, ".", "/")+".class"] != nil
}

func isDir(e *zip.File) bool { return strings.HasSuffix(e.Name, "/") }

// readEntry returns the content of an entry, which may have limit bytes.
func readEntry(e *zip.File, limit uint64) ([]byte, error) {
	if e.UncompressedSize64 > limit {
		return nil, fmt.Errorf("%s has %d bytes, and may have %d", e.Name, e.UncompressedSize64, limit)
	}
	r, err := e.Open()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", e.Name, err)
	}
	defer r.Close()
	// One byte more is read, so that the end, and with it the checksum, is seen.
	content := make([]byte, 0, e.UncompressedSize64+1)
	for {
		n, err := r.Read(content[len(content):cap(content)])
		content = content[:len(content)+n]
		switch {
		case err == io.EOF:
			return content, nil
		case err != nil:
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		case len(content) == cap(content):
			return nil, fmt.Errorf("%s: %w", e.Name, zip.ErrFormat)
		}
	}
}

// manifest has the attributes of a jar's main section, by the name in lower case.
type manifest map[string]string

func (m manifest) get(name string) string { return m[strings.ToLower(name)] }

// parseManifest reads the main section, as the JAR File Specification has it: a line
// that begins with a space goes on with the one before.
func parseManifest(text []byte) manifest {
	m := manifest{}
	text = bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n"))
	text = bytes.ReplaceAll(text, []byte("\r"), []byte("\n"))
	last := ""
	for line := range bytes.Lines(text) {
		line = bytes.TrimRight(line, "\n")
		switch {
		case len(line) == 0:
			return m
		case line[0] == ' ':
			if last != "" {
				m[last] += string(line[1:])
			}
		default:
			name, value, _ := strings.Cut(string(line), ":")
			last = strings.ToLower(name)
			m[last] = strings.TrimPrefix(value, " ")
		}
	}
	return m
}

// dosEpoch is 1 January 1980, the first day that an archive can name.
const dosEpoch = 1<<5 | 1

// rename is what an entry is called in a copy of the archive, "" to leave it out.
type rename func(name string) string

// writeJar writes the entries to w, with nothing of when and where they were made: in
// the order of names, with one time, without comments and extra fields. What is
// compressed stays as it is.
func writeJar(w io.Writer, entries []*zip.File, called rename) error {
	type one struct {
		name string
		*zip.File
	}
	var list []one
	for _, e := range entries {
		if name := called(e.Name); name != "" {
			list = append(list, one{name, e})
		}
	}
	slices.SortStableFunc(list, func(a, b one) int {
		if pa, pb := place(a.name), place(b.name); pa != pb {
			return pa - pb
		}
		return strings.Compare(a.name, b.name)
	})
	out := zip.NewWriter(w)
	for i, e := range list {
		if i > 0 && e.name == list[i-1].name {
			continue
		}
		if strings.HasSuffix(e.name, "/") {
			e.File = &zip.File{FileHeader: zip.FileHeader{Name: e.name, Flags: e.Flags}}
		}
		h := &zip.FileHeader{
			Name: e.name, Method: e.Method, Flags: e.Flags &^ 0x8, CreatorVersion: 20, ReaderVersion: 20,
			CRC32: e.CRC32, CompressedSize64: e.CompressedSize64, UncompressedSize64: e.UncompressedSize64,
		}
		//lint:ignore SA1019 of a header that is written raw, Modified counts for nothing
		h.ModifiedDate = dosEpoch
		to, err := out.CreateRaw(h)
		if err != nil {
			return err
		}
		if strings.HasSuffix(e.name, "/") {
			continue
		}
		from, err := e.OpenRaw()
		if err != nil {
			return err
		}
		if _, err := io.Copy(to, from); err != nil {
			return err
		}
	}
	return out.Close()
}

// place is where an entry stands: readers of streams expect the manifest first.
func place(name string) int {
	switch name {
	case "META-INF/":
		return 0
	case "META-INF/MANIFEST.MF":
		return 1
	}
	return 2
}

// signature says whether an entry is one of a signature of the jar.
func signature(name string) bool {
	dir, file := path.Split(name)
	switch strings.ToUpper(path.Ext(file)) {
	case ".SF", ".RSA", ".DSA", ".EC":
		return dir == "META-INF/"
	}
	return false
}
