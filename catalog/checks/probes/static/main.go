// Command static uses what the image "static" has, and what every other lies on:
// certificates, time zones, names of hosts and users, types of files. The folder
// in its only argument has a certificate authority, and a certificate of it for
// localhost. It ends with a line for each thing that does not work.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

const bundle = "/etc/ssl/certs/ca-certificates.crt"

func main() {
	failed := false
	for _, c := range []struct {
		name  string
		check func() error
	}{
		{"user", checkUser},
		{"files", checkFiles},
		{"certificates", checkCertificates},
		{"TLS", func() error { return checkTLS(os.Args[1]) }},
		{"time zones", checkZones},
		{"names of hosts", checkHosts},
		{"names in DNS", checkDNS},
		{"types of files", checkTypes},
	} {
		if err := c.check(); err != nil {
			fmt.Printf("%s: %v\n", c.name, err)
			failed = true
		}
	}
	if failed {
		os.Exit(1)
	}
	fmt.Println("everything works")
}

func checkUser() error {
	if os.Getuid() != 65532 {
		return fmt.Errorf("it runs as %d", os.Getuid())
	}
	u, err := user.Current()
	if err != nil {
		return err
	}
	if u.Username != "nonroot" || u.HomeDir != "/home/nonroot" {
		return fmt.Errorf("/etc/passwd says %s, %s", u.Username, u.HomeDir)
	}
	return nil
}

func checkFiles() error {
	if err := os.WriteFile("/home/nonroot/file", nil, 0o600); !errors.Is(err, syscall.EROFS) {
		return fmt.Errorf("writing to the root file system: %v, and it should be read-only", err)
	}
	return os.WriteFile("/tmp/file", []byte("x"), 0o600)
}

func checkCertificates() error {
	text, err := os.ReadFile(bundle)
	if err != nil {
		return err
	}
	n := 0
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return fmt.Errorf("certificate %d of %s: %w", n+1, bundle, err)
		}
		// With no roots given, those of the system are used.
		if _, err := cert.Verify(x509.VerifyOptions{CurrentTime: cert.NotBefore.Add(time.Hour), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
			return fmt.Errorf("%s is not trusted: %w", cert.Subject, err)
		}
		n++
	}
	if n <= 100 {
		return fmt.Errorf("%s has %d certificates", bundle, n)
	}
	return nil
}

// checkTLS connects to a server whose certificate the bundle does not vouch for.
func checkTLS(dir string) error {
	cert, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return err
	}
	defer l.Close()
	go serve(l)
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		return err
	}
	get := func(roots *x509.CertPool) (string, error) {
		c, err := tls.Dial("tcp", "localhost:"+port, &tls.Config{RootCAs: roots})
		if err != nil {
			return "", err
		}
		defer c.Close()
		text, err := io.ReadAll(c)
		return string(text), err
	}
	var unknown x509.UnknownAuthorityError
	if _, err := get(nil); !errors.As(err, &unknown) {
		return fmt.Errorf("a server that nobody vouches for: %v, and it should not be trusted", err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return err
	}
	pool.AppendCertsFromPEM(ca)
	if text, err := get(pool); err != nil || text != "hello" {
		return fmt.Errorf("a server whose authority was added: %q, %v", text, err)
	}
	return nil
}

func serve(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = io.WriteString(c, "hello")
		c.Close()
	}
}

func checkZones() error {
	at := time.Date(2024, 7, 1, 12, 0, 0, 0, time.UTC)
	for name, want := range map[string]int{"Europe/Berlin": 2 * 3600, "America/New_York": -4 * 3600, "Asia/Kolkata": 5*3600 + 1800} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			return err
		}
		if _, offset := at.In(zone).Zone(); offset != want {
			return fmt.Errorf("%s is %d seconds off UTC on %s, not %d", name, offset, at, want)
		}
	}
	return nil
}

func checkHosts() error {
	addrs, err := net.DefaultResolver.LookupHost(context.Background(), "localhost")
	if err != nil {
		return err
	}
	if !slices.Contains(addrs, "127.0.0.1") {
		return fmt.Errorf("localhost is %v", addrs)
	}
	return nil
}

// checkDNS finds a name that only a name server of its own knows. Whether Go asks
// one at all is said by /etc/nsswitch.conf.
func checkDNS() error {
	server, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer server.Close()
	go serveDNS(server)
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", server.LocalAddr().String())
	}}
	addrs, err := resolver.LookupIP(context.Background(), "ip4", "bird.test.")
	if err != nil {
		return err
	}
	if len(addrs) != 1 || addrs[0].String() != "192.0.2.1" {
		return fmt.Errorf("bird.test is %v", addrs)
	}
	return nil
}

// serveDNS answers each query with the address 192.0.2.1.
func serveDNS(server net.PacketConn) {
	message := make([]byte, 512)
	for {
		n, from, err := server.ReadFrom(message)
		if err != nil {
			return
		}
		end := 12 + bytes.IndexByte(message[12:n], 0) + 1 + 4 // of the question
		res := append(slices.Clone(message[:2]),              // the query's number
			0x81, 0x80, // a response; recursion is desired and available
			0, 1, 0, 1, 0, 0, 0, 0) // a question, an answer
		res = append(res, message[12:end]...)
		res = append(res,
			0xc0, 12, // the name that was asked for
			0, 1, 0, 1, // an address of the Internet
			0, 0, 0, 60, // for a minute
			0, 4, 192, 0, 2, 1)
		_, _ = server.WriteTo(res, from)
	}
}

func checkTypes() error {
	if got := mime.TypeByExtension(".odt"); got != "application/vnd.oasis.opendocument.text" {
		return fmt.Errorf("a file .odt is of the type %q", got)
	}
	return nil
}
