package checks

import (
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Authority returns the files ca.pem, cert.pem and key.pem: a certificate
// authority that nobody trusts, and its certificate, with the key, for localhost.
// They are the same each time. The keys are no secret: they are made of public
// text, and what they vouch for is a server that lives as long as a check.
func Authority() (map[string][]byte, error) {
	caKey := key("authority")
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "An authority that nobody trusts"},
		NotBefore: date(2000), NotAfter: date(2100),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(nil, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	// What was parsed has the identifier of its key, which the other refers to.
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return nil, fmt.Errorf("making a certificate authority: %w", err)
	}
	serverKey := key("server")
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: "localhost"},
		NotBefore: date(2000), NotAfter: date(2100),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	serverDER, err := x509.CreateCertificate(nil, server, ca, serverKey.Public(), caKey)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(serverKey)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return map[string][]byte{
		"ca.pem":   pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: caDER}),
		"cert.pem": pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: serverDER}),
		"key.pem":  pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}),
	}, nil
}

func key(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("birdhouse probe: " + name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func date(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
