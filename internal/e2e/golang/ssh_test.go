package golang_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// A module in a git repository that only an SSH key opens. The forge is a web
// server that says where the repository is, on port 443, and an SSH server on
// port 22, as GOPRIVATE's hosts are: they and the build have a network of their
// own with nothing but a loopback interface, so that this machine's ports are left
// alone and it is certain that nothing else is asked.
func TestGoPrivateSSH(t *testing.T) {
	const host, repository, mod = "code.corp.example.test", "/team/lib", "code.corp.example.test/team/lib"
	dir := e2etest.Sample(t, "go/private-ssh")
	repositories := t.TempDir()
	e2etest.Write(t, filepath.Join(dir, "go.sum"), bareRepository(t, filepath.Join(repositories, repository), mod, "v1.0.0"))
	agent, key := e2etest.SSHAgent(t)
	certificate, bundle := serverCertificate(t, host)
	// Of a socket's path, which is in it, 107 bytes count: t.TempDir has a long one.
	temp, err := os.MkdirTemp("", "ssh")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(temp)
	env := []string{"HOME=" + t.TempDir(), "SSL_CERT_FILE=" + trusting(t, bundle), "TMPDIR=" + temp}
	name := e2etest.ImageName(t) + ":" + unheard()

	stranger := e2etest.StartAgent(t)
	build := func(flags ...string) *exec.Cmd {
		args := append([]string{"build", "-t", name, "--progress=plain", "--add-host", host + ":127.0.0.1", dir}, flags...)
		return with(e2etest.Birdhouse(t, args...), env...)
	}
	// What the build needs of the outside, it has after one with the same bases,
	// which are made with the same hosts.
	hello := e2etest.Sample(t, "go/hello")
	descriptor, err := os.ReadFile(filepath.Join(dir, "birdhouse.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	e2etest.Write(t, filepath.Join(hello, "birdhouse.yaml"), string(descriptor))
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", name, "--add-host", host+":127.0.0.1", "--ssh", "default="+stranger, hello))
	harness.Run(t, e2etest.Birdhouse(t, "image", "rm", name))
	out := harness.RunFails(t, build())
	for _, want := range []string{"ssh", "birdhouse.yaml"} {
		if !strings.Contains(out, want) {
			t.Errorf("nothing says %q:\n%s", want, out)
		}
	}
	notStored(t, name)

	git := &e2etest.GitServer{Root: repositories, Key: key, Host: e2etest.NewHostKey(t)}
	empty := build("--ssh", "default="+stranger)
	open := build("--ssh", "default="+agent)
	var refused, built []byte
	err = alone(func() error {
		l, err := net.Listen("tcp", "127.0.0.1:22")
		if err != nil {
			return err
		}
		defer l.Close()
		web, err := tls.Listen("tcp", "127.0.0.1:443", &tls.Config{Certificates: []tls.Certificate{certificate}})
		if err != nil {
			return err
		}
		defer web.Close()
		go git.Serve(l)
		go func() {
			_ = http.Serve(web, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				fmt.Fprintf(w, `<meta name="go-import" content="%s git https://%[1]s">`, mod)
			}))
		}()
		// An agent without the key is refused.
		if refused, err = empty.CombinedOutput(); err == nil {
			return fmt.Errorf("without the key it was built:\n%s", refused)
		}
		if built, err = open.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, built)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(refused, []byte("Permission denied (publickey)")) || !bytes.Contains(refused, []byte("--ssh default")) {
		t.Errorf("that the key was refused is not said:\n%s", refused)
	}
	if git.Fetched.Load() == 0 {
		t.Errorf("the repository was not fetched:\n%s", built)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("the builds have left %v in the folder for temporary files, %v", left, err)
	}
	if got := e2etest.Answer(t, name, nil); got != "from a repository" {
		t.Errorf("the program prints %q", got)
	}
	goSample{name: "ssh"}.check(t, e2etest.Stored(t, name, ""), "amd64")
}

// alone runs f, and the processes that it starts, in a network namespace that has
// a loopback interface alone.
func alone(f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and with it the
		// namespace.
		runtime.LockOSThread()
		done <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("making a network namespace: %w", err)
			}
			s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
			if err != nil {
				return err
			}
			defer unix.Close(s)
			lo, err := unix.NewIfreq("lo")
			if err != nil {
				return err
			}
			lo.SetUint16(unix.IFF_UP)
			if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, lo); err != nil {
				return fmt.Errorf("starting the loopback interface: %w", err)
			}
			return f()
		}()
	}()
	return <-done
}

// bareRepository makes a git repository with a module of one version and returns
// its lines for go.sum.
func bareRepository(t *testing.T, bare, path, version string) string {
	t.Helper()
	dir := t.TempDir()
	e2etest.Write(t, filepath.Join(dir, "go.mod"), "module "+path+"\n\ngo 1.25\n")
	e2etest.Write(t, filepath.Join(dir, "lib.go"), "// Package lib has a text.\npackage lib\n\n// Text is a text.\nconst Text = \"from a repository\"\n")
	sum := goSum(t, dir, path, version)
	for _, args := range [][]string{
		{"-C", dir, "init", "-q", "-b", "main"},
		{"-C", dir, "add", "."},
		{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-q", "-m", "first"},
		{"-C", dir, "tag", version},
		{"clone", "-q", "--bare", dir, bare},
	} {
		harness.Run(t, exec.Command("git", args...))
	}
	return sum
}

// serverCertificate is a certificate that signs itself, for a host, and its PEM.
func serverCertificate(t *testing.T, host string) (tls.Certificate, []byte) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: host}, DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IsCA: true, BasicConstraintsValid: true,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, certificatePEM(raw)
}

func certificatePEM(raw []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: raw})
}
