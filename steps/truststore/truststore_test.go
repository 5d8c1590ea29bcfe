package truststore

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	pkcs12 "software.sslmate.com/src/go-pkcs12"
)

// authority returns a CA certificate in DER.
func authority(t testing.TB, name pkix.Name) []byte {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: name, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func TestEncode(t *testing.T) {
	one := authority(t, pkix.Name{CommonName: "One", Organization: []string{"Örg"}})
	two := authority(t, pkix.Name{CommonName: "Same"})
	three := authority(t, pkix.Name{CommonName: "SAME"})
	none := authority(t, pkix.Name{})
	wide := authority(t, pkix.Name{CommonName: "😀"})
	bundle := "# One\n" + block("CERTIFICATE", one) +
		"text with -----BEGIN in it\r\n" + strings.ReplaceAll(block("CERTIFICATE", two), "\n", "\r\n") +
		block("X509 CERTIFICATE", three) + block("CERTIFICATE", one) + block("CERTIFICATE", none) +
		strings.TrimSpace(block("CERTIFICATE", wide))
	store, err := Encode([]byte(bundle))
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pkcs12.DecodeTrustStore(store, "")
	if err != nil {
		t.Fatal(err)
	}
	var got [][]byte
	for _, c := range certs {
		got = append(got, c.Raw)
	}
	if want := [][]byte{one, two, three, none, wide}; !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("got %d certificates, want each of the %d once, in order", len(got), len(want))
	}
	again, err := Encode([]byte(bundle))
	if err != nil || !bytes.Equal(store, again) {
		t.Errorf("a second run gave other bytes, %v", err)
	}

	list := aliasesOf(t, store)
	aliases := map[string]bool{}
	for _, a := range list {
		aliases[strings.ToLower(a)] = true
	}
	if len(aliases) != 5 {
		t.Errorf("Java would take some of the aliases %q for the same", list)
	}
	if !strings.HasPrefix(list[0], "CN=One,O=Örg ") {
		t.Errorf("the first alias is %q, want it to begin with the subject", list[0])
	}
}

// aliasesOf returns the aliases in a trust store, in order.
func aliasesOf(t *testing.T, store []byte) []string {
	t.Helper()
	// The attribute friendlyName, 1.2.840.113549.1.9.20, and its value.
	id := []byte{6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 20}
	var list []string
	for {
		_, after, found := bytes.Cut(store, id)
		if !found {
			return list
		}
		var set, text asn1.RawValue
		rest, err := asn1.Unmarshal(after, &set)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := asn1.Unmarshal(set.Bytes, &text); err != nil || text.Tag != asn1.TagBMPString {
			t.Fatalf("an alias of tag %d, %v", text.Tag, err)
		}
		var units []uint16
		for pair := range slices.Chunk(text.Bytes, 2) {
			units = append(units, uint16(pair[0])<<8|uint16(pair[1]))
		}
		list = append(list, string(utf16.Decode(units)))
		store = rest
	}
}

// The machine's own bundle has what test certificates do not: odd subjects,
// version 1, serial numbers of all sizes.
func TestMachineBundle(t *testing.T) {
	text, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt")
	if err != nil {
		t.Skip("this machine has no CA bundle at Debian's place")
	}
	store, err := Encode(text)
	if err != nil {
		t.Fatal(err)
	}
	certs, err := pkcs12.DecodeTrustStore(store, "")
	if err != nil {
		t.Fatal(err)
	}
	pool := map[string]bool{}
	for rest := text; ; {
		var b *pem.Block
		if b, rest = pem.Decode(rest); b == nil {
			break
		}
		pool[string(b.Bytes)] = true
	}
	if len(certs) != len(pool) || len(certs) == 0 {
		t.Errorf("the store has %d certificates, the bundle %d", len(certs), len(pool))
	}
}

func TestBadBundles(t *testing.T) {
	good := block("CERTIFICATE", authority(t, pkix.Name{CommonName: "One"}))
	lines := strings.SplitAfter(good, "\n")
	der, _ := pem.Decode([]byte(good))
	for name, c := range map[string]struct{ bundle, want string }{
		"empty":            {"", "it is empty"},
		"only space":       {" \n\t\n", "it is empty"},
		"no PEM":           {"hello\n", "no certificate in PEM form"},
		"HTML":             {"<html>-----BEGIN CERTIFICATE-----</html>", "no certificate in PEM form"},
		"DER":              {string(der.Bytes), "openssl"},
		"key":              {good + block("PRIVATE KEY", []byte("x")), `it has a "PRIVATE KEY"`},
		"trusted form":     {block("TRUSTED CERTIFICATE", der.Bytes), `it has a "TRUSTED CERTIFICATE"`},
		"cut":              {good + strings.Join(lines[:3], ""), "cut or damaged"},
		"cut in front":     {strings.Join(lines[:3], "") + good, "line 1: what begins here is cut or damaged"},
		"not base64":       {good + strings.Replace(good, lines[1], "!"+lines[1], 1), "cut or damaged"},
		"other end":        {strings.Replace(good, "END CERT", "END X", 1), "cut or damaged"},
		"not DER":          {good + block("CERTIFICATE", []byte("hello")), "no X.509 certificate"},
		"other DER":        {block("CERTIFICATE", []byte{0x30, 0}), "no X.509 certificate"},
		"certificate, cut": {block("CERTIFICATE", der.Bytes[:len(der.Bytes)-1]), "no X.509 certificate"},
		"more follows":     {block("CERTIFICATE", append(slices.Clone(der.Bytes), 0)), "something follows"},
		"nothing in it":    {block("CERTIFICATE", nil), "no X.509 certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			store, err := Encode([]byte(c.bundle))
			if err == nil || !strings.Contains(err.Error(), c.want) || store != nil {
				t.Errorf("got %d bytes and the error %v, want %q in it", len(store), err, c.want)
			}
		})
	}
	// The line is that of what is wrong.
	_, err := Encode([]byte("a\nb\n" + good + block("PUBLIC KEY", []byte("x"))))
	if want := fmt.Sprintf("line %d: ", 3+strings.Count(good, "\n")); err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got the error %v, want it at %s", err, want)
	}
}

func TestMake(t *testing.T) {
	dir := t.TempDir()
	bundle, out := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "a", "b", "cacerts")
	if err := os.WriteFile(bundle, []byte(block("CERTIFICATE", authority(t, pkix.Name{CommonName: "One"}))), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(bundle, out); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(out)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != 0o644 || info.ModTime().Unix() != 0 {
		t.Errorf("mode %v, time %v, want 0644 and the epoch", info.Mode(), info.ModTime())
	}
	before, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}

	// After an error, what was there is there, and nothing else.
	if err := os.WriteFile(bundle, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Make(bundle, out); err == nil || !strings.Contains(err.Error(), bundle) {
		t.Errorf("got the error %v, want one that names the bundle", err)
	}
	if after, err := os.ReadFile(out); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the trust store has changed, %v", err)
	}
	if err := Make(filepath.Join(dir, "none"), out); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("got the error %v, want one that names the missing file", err)
	}
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(large, maxBundle+1); err != nil {
		t.Fatal(err)
	}
	if err := Make(large, out); err == nil || !strings.Contains(err.Error(), "more than 16 MiB") {
		t.Errorf("got the error %v", err)
	}
	if files, err := os.ReadDir(filepath.Dir(out)); err != nil || len(files) != 1 {
		t.Errorf("beside the trust store are %v, %v", files, err)
	}
}

func FuzzEncode(f *testing.F) {
	one := block("CERTIFICATE", authority(f, pkix.Name{CommonName: "One"}))
	f.Add([]byte(one))
	f.Add([]byte(one + one[:40]))
	f.Add([]byte("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"))
	f.Fuzz(func(t *testing.T, bundle []byte) {
		store, err := Encode(bundle)
		if (err == nil) != (len(store) > 0) {
			t.Errorf("%d bytes and the error %v", len(store), err)
		}
	})
}

// The store has the bytes that a library for PKCS #12 writes.
func TestSameAsLibrary(t *testing.T) {
	var list []trusted
	var entries []pkcs12.TrustStoreEntry
	for _, alias := range []string{"one", "CN=Ö 2 0011aabb", strings.Repeat("long ", 60)} {
		der := authority(t, pkix.Name{CommonName: alias[:3]})
		list = append(list, trusted{alias, der})
		entries = append(entries, pkcs12.TrustStoreEntry{Cert: &x509.Certificate{Raw: der}, FriendlyName: alias})
	}
	for n := range len(list) + 1 {
		got, err := encode(list[:n])
		if err != nil {
			t.Fatal(err)
		}
		want, err := pkcs12.Passwordless.EncodeTrustStoreEntries(entries[:n], "")
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%d certificates:\ngot  %x\nwant %x", n, got, want)
		}
	}
}
