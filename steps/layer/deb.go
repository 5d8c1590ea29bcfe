package layer

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/catalog/debian"
)

// maxControl bounds what a package's control.tar may hold once decompressed.
const maxControl = 32 << 20

// deb is an opened .deb file, after
// https://manpages.debian.org/trixie/dpkg-dev/deb.5.en.html.
type deb struct {
	name    string // the Package field
	control []byte // the control paragraph, ending in one newline
	data    member
}

// member is one file of the ar archive.
type member struct {
	name string
	*io.SectionReader
}

// openDeb reads the structure of a .deb and its control file; the data stays
// unread.
func openDeb(r io.ReaderAt, size int64) (*deb, error) {
	members, err := readAr(r, size)
	if err != nil {
		return nil, err
	}
	if len(members) == 0 || members[0].name != "debian-binary" {
		return nil, errors.New(`not a Debian package: the first member of the archive must be "debian-binary"`)
	}
	version := make([]byte, 16)
	n, err := members[0].ReadAt(version, 0)
	if err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading debian-binary: %w", err)
	}
	if !bytes.HasPrefix(version[:n], []byte("2.")) {
		return nil, fmt.Errorf("package format %q is not supported, only 2.x is", bytes.TrimSpace(version[:n]))
	}
	// The format lets members whose names begin with _ stand between the three
	// that count, and anything after them.
	rest := members[1:]
	next := func(prefix string) (member, error) {
		for len(rest) > 0 && strings.HasPrefix(rest[0].name, "_") {
			rest = rest[1:]
		}
		if len(rest) == 0 || !strings.HasPrefix(rest[0].name+".", prefix+".") {
			return member{}, fmt.Errorf("not a Debian package: no member %q where it must be", prefix)
		}
		m := rest[0]
		rest = rest[1:]
		return m, nil
	}
	control, err := next("control.tar")
	if err != nil {
		return nil, err
	}
	data, err := next("data.tar")
	if err != nil {
		return nil, err
	}
	d := &deb{data: data}
	if err := d.readControl(control); err != nil {
		return nil, fmt.Errorf("reading %s: %w", control.name, err)
	}
	return d, nil
}

const arMagic = "!<arch>\n"

// readAr lists the members of an ar archive in the form dpkg writes: no
// extended names, decimal sizes, each member on an even offset.
func readAr(r io.ReaderAt, size int64) ([]member, error) {
	magic := make([]byte, len(arMagic))
	if _, err := r.ReadAt(magic, 0); err != nil || string(magic) != arMagic {
		return nil, errors.New("not a Debian package: it does not begin as an ar archive does")
	}
	var members []member
	header := make([]byte, 60)
	for at := int64(len(arMagic)); at < size; {
		if len(members) == 16 {
			return nil, errors.New("ar archive: more than 16 members")
		}
		if _, err := r.ReadAt(header, at); err != nil {
			return nil, errors.New("ar archive: it ends within a member's header")
		}
		if header[58] != '`' || header[59] != '\n' {
			return nil, fmt.Errorf("ar archive: no member's header at offset %d", at)
		}
		name := strings.TrimSuffix(strings.TrimRight(string(header[:16]), " "), "/")
		digits := strings.TrimRight(string(header[48:58]), " ")
		length, err := strconv.ParseUint(digits, 10, 40)
		if err != nil {
			return nil, fmt.Errorf("ar archive: member %q has the size %q", name, digits)
		}
		at += int64(len(header))
		if int64(length) > size-at {
			return nil, fmt.Errorf("ar archive: member %q is cut off: it has %d of %d bytes", name, size-at, length)
		}
		members = append(members, member{name, io.NewSectionReader(r, at, int64(length))})
		at += int64(length) + int64(length)&1
	}
	return members, nil
}

func (d *deb) readControl(m member) error {
	r, err := decompress(m)
	if err != nil {
		return err
	}
	limited := &io.LimitedReader{R: r, N: maxControl}
	archive := tar.NewReader(limited)
	for {
		header, err := archive.Next()
		switch {
		case limited.N <= 0:
			return fmt.Errorf("it unpacks to more than %d MiB", maxControl>>20)
		case err == io.EOF:
			return errors.New("it holds no control file")
		case err != nil:
			return err
		}
		if header.Typeflag != tar.TypeReg || path.Clean(header.Name) != "control" {
			continue
		}
		if header.Size > 1<<20 {
			return errors.New("the control file is larger than 1 MiB")
		}
		text, err := io.ReadAll(archive)
		if err != nil {
			return err
		}
		return d.parseControl(text)
	}
}

// parseControl keeps the paragraph as it is, having made sure that it is one:
// scanners read it as the package's record.
func (d *deb) parseControl(text []byte) error {
	text = bytes.TrimSpace(text)
	fields := map[string]string{}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if len(bytes.TrimSpace(line)) == 0 {
			return errors.New("the control file has more than one paragraph")
		}
		if line[0] == ' ' || line[0] == '\t' || line[0] == '#' {
			continue
		}
		key, value, ok := bytes.Cut(line, []byte(":"))
		if !ok {
			return fmt.Errorf("the control file has a line that is no field: %.80q", line)
		}
		fields[strings.ToLower(string(key))] = string(bytes.TrimSpace(value))
	}
	d.name = fields["package"]
	// The name is a file's name later.
	if !debian.IsPackageName(d.name) {
		return fmt.Errorf("the control file names the package %.80q, which is not a package name", d.name)
	}
	if fields["version"] == "" {
		return errors.New("the control file has no version")
	}
	d.control = append(bytes.Clone(text), '\n')
	return nil
}
