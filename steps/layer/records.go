package layer

import (
	"bytes"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

const (
	statusDir    = "var/lib/dpkg/status.d"
	caBundlePath = "etc/ssl/certs/ca-certificates.crt"
	caSourceDir  = "usr/share/ca-certificates/"
)

// writeRecords writes what dpkg knows of each package: its control paragraph
// and the checksums of those of its files that are in the layer.
func (b *builder) writeRecords(packages []*opened) error {
	sums := map[string][]string{}
	for name, n := range b.tree.nodes {
		if n.kind == regular && n.pkg != "" {
			sums[n.pkg] = append(sums[n.pkg], name)
		}
	}
	for _, p := range packages {
		names := sums[p.name]
		slices.Sort(names)
		var list bytes.Buffer
		for _, name := range names {
			fmt.Fprintf(&list, "%x  %s\n", b.tree.nodes[name].md5, name)
		}
		record := path.Join(statusDir, p.name)
		if err := b.write(record, p.control); err != nil {
			return err
		}
		if err := b.write(record+".md5sums", list.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

func (b *builder) write(name string, content []byte) error {
	return b.tree.put(file{path: name, kind: regular, mode: 0o644, content: bytes.NewReader(content)})
}

// certificate is one file of the ca-certificates package.
type certificate struct {
	name string
	der  []byte
}

func isCertificate(name string) bool {
	return strings.HasPrefix(name, caSourceDir) && strings.HasSuffix(name, ".crt")
}

// addCertificate keeps a certificate for the bundle and returns its content to
// be read again.
func (b *builder) addCertificate(name string, size int64, content io.Reader) (io.Reader, error) {
	if size > 1<<20 {
		return nil, errors.New("a certificate larger than 1 MiB")
	}
	text, err := io.ReadAll(content)
	if err != nil {
		return nil, err
	}
	block, rest := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" || len(bytes.TrimSpace(rest)) != 0 {
		return nil, errors.New("it is not one certificate in PEM form")
	}
	// A parser of certificates would add a third to this program. What is
	// verified here, against the package's checksum, needs none: this finds
	// what a cut or a merged file looks like.
	var outer asn1.RawValue
	if rest, err := asn1.Unmarshal(block.Bytes, &outer); err != nil || len(rest) != 0 || outer.Tag != asn1.TagSequence {
		return nil, errors.New("the certificate's content is not DER")
	}
	b.certificates = append(b.certificates, certificate{name, block.Bytes})
	return bytes.NewReader(text), nil
}

// writeCABundle does what update-ca-certificates does, for all certificates.
func (b *builder) writeCABundle() error {
	if len(b.certificates) == 0 {
		return fmt.Errorf("no package has certificates in /%s; add ca-certificates", caSourceDir)
	}
	slices.SortFunc(b.certificates, func(x, y certificate) int { return strings.Compare(x.name, y.name) })
	var bundle bytes.Buffer
	for _, c := range b.certificates {
		if err := pem.Encode(&bundle, &pem.Block{Type: "CERTIFICATE", Bytes: c.der}); err != nil {
			return err
		}
	}
	return b.write(caBundlePath, bundle.Bytes())
}
