// Package truststore turns a bundle of CA certificates in PEM form, as most
// programs read it, into a trust store as Java reads it.
package truststore

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// maxBundle bounds the size of a bundle. Debian's has 220 KB.
const maxBundle = 16 << 20

// Make writes the trust store of all certificates in the file bundle to the file
// out, with mode 0644 and the time 0, and makes the folders above it. Either the
// whole file is there or, after an error, what was there before.
func Make(bundle, out string) error {
	text, err := read(bundle)
	if err != nil {
		return fmt.Errorf("reading the CA bundle: %w", err)
	}
	store, err := Encode(text)
	if err != nil {
		return fmt.Errorf("CA bundle %s: %w", bundle, err)
	}
	if err := write(out, store); err != nil {
		return fmt.Errorf("writing the trust store: %w", err)
	}
	return nil
}

// Encode returns the trust store of all certificates in a PEM bundle: PKCS #12
// (RFC 7292) without password, encryption or integrity check, which Java reads as
// lib/security/cacerts and as javax.net.ssl.trustStore, with any password or
// none. The same bundle gives the same bytes. A certificate that is in the bundle
// twice is in the store once; text around certificates is passed over. The
// alias of an entry is the certificate's subject and the start of its SHA-256.
//
// A bundle without certificates, one with anything else in PEM form, and one with
// a part that is cut or damaged are errors.
func Encode(bundle []byte) ([]byte, error) {
	ders, err := certificates(bundle)
	if err != nil {
		return nil, err
	}
	var entries []trusted
	seen := map[[sha256.Size]byte]bool{}
	for _, der := range ders {
		sum := sha256.Sum256(der.bytes)
		if seen[sum] {
			continue
		}
		seen[sum] = true
		subject, err := subject(der.bytes)
		if err != nil {
			return nil, fmt.Errorf("line %d: this is no X.509 certificate: %w", der.line, err)
		}
		// Java keeps one entry of those whose aliases differ in case alone, so
		// the checksum is what makes them different.
		alias := fmt.Sprintf("%x", sum[:8])
		if subject != "" {
			alias = subject + " " + alias
		}
		entries = append(entries, trusted{alias, der.bytes})
	}
	return encode(entries)
}

func read(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxBundle+1))
	if err == nil && len(text) > maxBundle {
		err = fmt.Errorf("%s has more than %d MiB", name, maxBundle>>20)
	}
	return text, err
}

// located is the content of a PEM block and the line at which it begins.
type located struct {
	bytes []byte
	line  int
}

var begin = []byte("-----BEGIN ")

// certificates returns the certificates of a bundle in its order.
func certificates(bundle []byte) ([]located, error) {
	if len(bytes.TrimSpace(bundle)) == 0 {
		return nil, errors.New("it is empty; it needs at least one certificate in PEM form")
	}
	var list []located
	for rest := bundle; ; {
		// pem.Decode passes over what it cannot read. Nothing may be lost so:
		// a certificate that is missing shows as a refused connection, later.
		start := nextBlock(rest)
		if start < 0 {
			break
		}
		line := 1 + bytes.Count(bundle[:len(bundle)-len(rest)+start], []byte("\n"))
		block, after := pem.Decode(rest[start:])
		if block == nil || nextBlock(rest[start+len(begin):len(rest)-len(after)]) >= 0 {
			return nil, fmt.Errorf("line %d: what begins here is cut or damaged: it is not base64 between a BEGIN and an END line of one name", line)
		}
		if block.Type != "CERTIFICATE" && block.Type != "X509 CERTIFICATE" {
			return nil, fmt.Errorf("line %d: it has a %.40q, and may only have certificates: take this part out", line, block.Type)
		}
		list = append(list, located{block.Bytes, line})
		rest = after
	}
	if len(list) == 0 {
		if bundle[0] == 0x30 {
			return nil, errors.New("it is binary (DER or PKCS #12), not PEM: convert it with `openssl x509 -inform der` or `openssl pkcs12 -nokeys`")
		}
		return nil, errors.New("it has no certificate in PEM form: no line begins with -----BEGIN CERTIFICATE-----")
	}
	return list, nil
}

// nextBlock returns where the next line that begins a PEM block starts, -1 if
// there is none.
func nextBlock(text []byte) int {
	for at := 0; ; {
		i := bytes.Index(text[at:], begin)
		if i < 0 {
			return -1
		}
		if at += i; at == 0 || text[at-1] == '\n' || text[at-1] == '\r' {
			return at
		}
		at += len(begin)
	}
}

// certificate is the outline of an X.509 certificate, RFC 5280 section 4.1.
// Java checks more when it uses one; package crypto/x509 checks more than Java,
// and would make the steps program a tenth larger.
type certificate struct {
	Signed struct {
		Version   int `asn1:"optional,explicit,default:0,tag:0"`
		Serial    asn1.RawValue
		Algorithm pkix.AlgorithmIdentifier
		Issuer    asn1.RawValue
		Validity  asn1.RawValue
		Subject   asn1.RawValue
		PublicKey asn1.RawValue
		// What follows is optional: identifiers and extensions.
	}
	Algorithm pkix.AlgorithmIdentifier
	Signature asn1.BitString
}

// subject returns the name of a certificate's subject on one line, "" if it has
// none that an alias can have.
func subject(der []byte) (string, error) {
	var c certificate
	if rest, err := asn1.Unmarshal(der, &c); err != nil {
		return "", err
	} else if len(rest) > 0 {
		return "", errors.New("something follows it")
	}
	for _, part := range []asn1.RawValue{c.Signed.Issuer, c.Signed.Validity, c.Signed.Subject, c.Signed.PublicKey} {
		if part.Class != asn1.ClassUniversal || part.Tag != asn1.TagSequence || !part.IsCompound {
			return "", errors.New("a part of it has another type")
		}
	}
	var sequence pkix.RDNSequence
	if rest, err := asn1.Unmarshal(c.Signed.Subject.FullBytes, &sequence); err != nil || len(rest) > 0 {
		return "", nil
	}
	name := sequence.String()
	// An alias is a BMPString.
	odd := func(r rune) bool { return r < ' ' || r > 0xffff || r == '\ufffd' }
	if len(name) > 1000 || strings.ContainsFunc(name, odd) {
		return "", nil
	}
	return name, nil
}

func write(name string, content []byte) (err error) {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".truststore-*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	epoch := time.Unix(0, 0)
	if err := os.Chtimes(f.Name(), epoch, epoch); err != nil {
		return err
	}
	return os.Rename(f.Name(), name)
}
