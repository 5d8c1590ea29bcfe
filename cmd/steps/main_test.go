package main

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/steps/check"
	"github.com/birdhouse-build/birdhouse/steps/layer"
	"github.com/birdhouse-build/birdhouse/steps/resolve"
	"github.com/birdhouse-build/birdhouse/steps/smoke"
)

func steps(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(context.Background(), args, nil, &out, &errs)
	return code, out.String(), errs.String()
}

func writeJSON(t *testing.T, v any) string {
	t.Helper()
	content, ok := v.(string)
	if !ok {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		content = string(b)
	}
	name := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(name, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

// emptyDeb is a package with no files.
func emptyDeb(t *testing.T) layer.Package {
	t.Helper()
	var control, data bytes.Buffer
	text := "Package: none\nVersion: 1\n"
	w := tar.NewWriter(&control)
	if err := w.WriteHeader(&tar.Header{Name: "./control", Typeflag: tar.TypeReg, Size: int64(len(text)), Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(w, text)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := tar.NewWriter(&data).Close(); err != nil {
		t.Fatal(err)
	}
	deb := []byte("!<arch>\n")
	for _, m := range []struct{ name, content string }{{"debian-binary", "2.0\n"}, {"control.tar", control.String()}, {"data.tar", data.String()}} {
		deb = fmt.Appendf(deb, "%-16s%-12d%-6d%-6d%-8o%-10d`\n%s", m.name, 0, 0, 0, 0o644, len(m.content), m.content)
	}
	name := filepath.Join(t.TempDir(), "none.deb")
	if err := os.WriteFile(name, deb, 0o644); err != nil {
		t.Fatal(err)
	}
	return layer.Package{Path: name, SHA256: fmt.Sprintf("%x", sha256.Sum256(deb))}
}

func TestLayer(t *testing.T) {
	out := t.TempDir()
	spec := writeJSON(t, layer.Spec{Packages: []layer.Package{emptyDeb(t)}, Files: []layer.File{{Path: "/etc/x", Content: "hello"}}})
	if code, _, stderr := steps(t, "layer", spec, out); code != 0 {
		t.Fatal(code, stderr)
	}
	if got, err := os.ReadFile(filepath.Join(out, "etc/x")); string(got) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := os.Stat(filepath.Join(out, "var/lib/dpkg/status.d/none")); err != nil {
		t.Error(err)
	}
}

func TestExec(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	t.Setenv("STEPS_TEST", "value")
	code, stdout, stderr := steps(t, "exec", "--ask", "ASKED=/bin/echo from a question", "--prepend", "STEPS_TEST=the ",
		"--save", src+"="+dst, "--remove", src+"=**/*.x", "--message", "not said",
		"--", "/bin/sh", "-c", `echo "$ASKED, $STEPS_TEST"; echo 1 > "$0/a.x"`, src)
	if code != 0 || stdout != "from a question, the value\n" || stderr != "" {
		t.Errorf("got %d, %q, %q", code, stdout, stderr)
	}
	if _, err := os.Stat(filepath.Join(dst, "a.x")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(src, "a.x")); err == nil {
		t.Error("it was not removed")
	}
	// The command's own exit code, and nothing said beside the message.
	if code, _, stderr := steps(t, "exec", "--message", "try this", "--", "/bin/sh", "-c", "exit 42"); code != 42 || stderr != "try this\n" {
		t.Errorf("got %d, %q", code, stderr)
	}
	if code, _, _ := steps(t, "exec", "--", "/bin/sh", "-c", "kill -TERM $$"); code != 128+15 {
		t.Errorf("got %d", code)
	}
}

func TestLibcheck(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "script"), []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	if code, _, stderr := steps(t, "libcheck", "--root", dir, dir); code != 0 || stderr != "" {
		t.Errorf("got %d, %q", code, stderr)
	}
	if testing.Short() {
		return
	}
	// The shell of this machine is linked against what an empty image lacks.
	code, _, stderr := steps(t, "libcheck", "--root", dir, "/bin/sh")
	if code != 1 || !strings.Contains(stderr, "/bin/sh: needs libc.so.6") || !strings.Contains(stderr, "the Debian package libc6 has it") || !strings.Contains(stderr, "2 libraries are missing; add to the descriptor: packages: [libc6]") {
		t.Errorf("got %d, %q", code, stderr)
	}
}

func TestCheck(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("an image's files are root's")
	}
	root := t.TempDir()
	if err := os.Chmod(root, 0o755); err != nil {
		t.Fatal(err)
	}
	spec := writeJSON(t, check.Spec{})
	if code, stdout, stderr := steps(t, "check", "--root", root, spec); code != 0 || stdout != "nothing wrong with 0 files, 0 of them programs and libraries\n" || stderr != "" {
		t.Errorf("got %d, %q, %q", code, stdout, stderr)
	}
	for _, name := range []string{"a", "b"} {
		if err := os.Symlink("nowhere", filepath.Join(root, name)); err != nil {
			t.Fatal(err)
		}
	}
	code, _, stderr := steps(t, "check", "--root", root, spec)
	if code != 1 || !strings.HasPrefix(stderr, "/a: it is a symlink to nowhere") || !strings.Contains(stderr, "\n/b: it is a symlink") || !strings.HasSuffix(stderr, "steps check: the image has 2 problems\n") {
		t.Errorf("got %d, %q", code, stderr)
	}
}

func TestResolve(t *testing.T) {
	index := "Package: aa\nVersion: 1\nArchitecture: amd64\nFilename: pool/aa.deb\nSize: 1\nSHA256: " + strings.Repeat("0", 64) + "\n"
	path := filepath.Join(t.TempDir(), "Packages")
	if err := os.WriteFile(path, []byte(index), 0o644); err != nil {
		t.Fatal(err)
	}
	spec := resolve.Spec{Names: []string{"aa"}, Machine: resolve.Machine{
		Architecture: "amd64",
		Indices:      []resolve.Index{{Path: path, SHA256: fmt.Sprintf("%x", sha256.Sum256([]byte(index))), Archive: "debian"}},
	}}
	out := t.TempDir()
	code, stdout, stderr := steps(t, "resolve", writeJSON(t, spec), out)
	if code != 0 || stdout != "aa 1 (amd64): asked for\n" {
		t.Errorf("exit code %d, %q, %q", code, stdout, stderr)
	}
	if got, err := os.ReadFile(filepath.Join(out, resolve.Answer)); !strings.Contains(string(got), `"path":"pool/aa.deb"`) {
		t.Errorf("the answer is %s, %v", got, err)
	}
	spec.Machine.Indices[0].SHA256 = strings.Repeat("0", 64)
	if code, _, stderr := steps(t, "resolve", writeJSON(t, spec), t.TempDir()); code != 1 || !strings.Contains(stderr, "the lock says 000") {
		t.Errorf("another index: exit code %d, %q", code, stderr)
	}
}

func TestSmoke(t *testing.T) {
	spec := writeJSON(t, smoke.Spec{Args: []string{"/bin/sh", "-c", "echo hello; exit 3"}, Exit: 3, Output: "hello"})
	if code, stdout, stderr := steps(t, "smoke", spec); code != 0 || !strings.Contains(stdout, "exit code 3") || stderr != "" {
		t.Errorf("got %d, %q, %q", code, stdout, stderr)
	}
	spec = writeJSON(t, smoke.Spec{Args: []string{"/bin/sh", "-c", "echo hello; exit 3"}})
	if code, _, stderr := steps(t, "smoke", spec); code != 1 || stderr != "the program printed:\nhello\nsteps smoke: wanted exit code 0, but the program ended with exit code 3\n" {
		t.Errorf("got %d, %q", code, stderr)
	}
}

func TestTruststore(t *testing.T) {
	// A certificate by its outline: what the step looks at.
	var outline struct {
		Signed struct {
			Serial                               int
			Algorithm                            pkix.AlgorithmIdentifier
			Issuer, Validity, Subject, PublicKey struct{}
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	outline.Algorithm.Algorithm = asn1.ObjectIdentifier{1, 3, 101, 112}
	outline.Signed.Algorithm = outline.Algorithm
	der, err := asn1.Marshal(outline)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	bundle, out := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "lib", "security", "cacerts")
	if err := os.WriteFile(bundle, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		t.Fatal(err)
	}
	if code, stdout, stderr := steps(t, "truststore", bundle, out); code != 0 || stdout != "" || stderr != "" {
		t.Fatal(code, stdout, stderr)
	}
	if store, err := os.ReadFile(out); err != nil || !bytes.Contains(store, der) {
		t.Errorf("the certificate is not in the store, %v", err)
	}
}

func TestJVM(t *testing.T) {
	t.Setenv("http_proxy", "http://proxy.example.com:3128")
	code, stdout, stderr := steps(t, "jvm", "--", "/bin/sh", "-c", `echo "$MAVEN_OPTS"; exit 42`)
	if code != 42 || !strings.Contains(stdout, "-Dhttp.proxyHost=proxy.example.com -Dhttp.proxyPort=3128") || stderr != "" {
		t.Errorf("got %d, %q, %q", code, stdout, stderr)
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct {
		code int
		args []string
		want string
	}{
		{2, nil, "steps layer SPEC OUT"},
		{2, []string{"fly"}, `no step "fly"`},
		{2, []string{"layer"}, "wrong arguments"},
		{2, []string{"exec"}, "wrong arguments"},
		{2, []string{"exec", "--save", "nothing", "--", "x"}, `"nothing" is not of the form`},
		{2, []string{"exec", "--remove", "/x=[", "--", "x"}, "syntax error in pattern"},
		{2, []string{"exec", "--unknown", "--", "x"}, "unknown"},
		{2, []string{"check", writeJSON(t, "{}")}, "wrong arguments"},
		{2, []string{"check", "--root", "/"}, "wrong arguments"},
		{1, []string{"check", "--root", "/nonexistent", writeJSON(t, "{}")}, "reading the root file system"},
		{2, []string{"libcheck", "/bin"}, "wrong arguments"},
		{2, []string{"libcheck", "--root", "/"}, "wrong arguments"},
		{2, []string{"smoke"}, "wrong arguments"},
		{2, []string{"truststore", "/bundle"}, "wrong arguments"},
		{1, []string{"truststore", "/nonexistent/bundle", "/nonexistent/out"}, "reading the CA bundle: open /nonexistent/bundle"},
		{1, []string{"exec", "--", "/nonexistent/tool"}, "running /nonexistent/tool"},
		{1, []string{"layer", "/nonexistent/spec", "/nonexistent/out"}, "reading the specification"},
		{1, []string{"layer", writeJSON(t, "{"), "/nonexistent/out"}, "unexpected EOF"},
		{1, []string{"layer", writeJSON(t, `{"colour": 1}`), "/nonexistent/out"}, `unknown field "colour"`},
		{1, []string{"layer", writeJSON(t, `{} {}`), "/nonexistent/out"}, "something follows"},
		{1, []string{"smoke", writeJSON(t, `{"args": []}`)}, "no program to start"},
		{2, []string{"java", "/spec"}, "wrong arguments"},
		{1, []string{"java", writeJSON(t, `{"java": 21, "home": "/nonexistent/java", "project": "/p", "built": "/p/target", "layers": ["classes"]}`), t.TempDir()}, "reading the modules of the JDK, /nonexistent/java/lib/modules"},
		{1, []string{"java", writeJSON(t, `{"java": 21, "built": "target", "layers": ["classes"]}`), t.TempDir()}, `"target", which is not absolute`},
		{2, []string{"jlink", "--home", "/jdk", "/out"}, "wrong arguments"},
		{1, []string{"jlink", "--home", "/jdk", "--of", "/jdk", "--args", "/args", "/out"}, `"/jdk" does not end in /java-VERSION`},
		{2, []string{"jvm", "--"}, "wrong arguments"},
		{2, []string{"aot"}, "wrong arguments"},
	} {
		code, stdout, stderr := steps(t, c.args...)
		if code != c.code || !strings.Contains(stderr, c.want) || stdout != "" {
			t.Errorf("%q: got %d, %q, %q; want %d and %q", c.args, code, stdout, stderr, c.code, c.want)
		}
	}
	if code, stdout, _ := steps(t, "--help"); code != 0 || stdout != usage {
		t.Errorf("help: got %d, %q", code, stdout)
	}
}

// The program is the same bytes wherever it is built, and small.
func TestReproducible(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the compiler")
	}
	elsewhere := t.TempDir()
	for _, dir := range []string{"cmd/steps", "steps", "catalog/deb822", "catalog/debian"} {
		if err := os.CopyFS(filepath.Join(elsewhere, dir), os.DirFS(filepath.Join("../..", dir))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(filepath.Join("../..", name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(elsewhere, name), content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	build := func(dir string) []byte {
		out := filepath.Join(t.TempDir(), "steps")
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", out, "./cmd/steps")
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS=linux", "GOARCH=amd64")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		program, err := os.ReadFile(out)
		if err != nil {
			t.Fatal(err)
		}
		return program
	}
	here := build("../..")
	if !bytes.Equal(here, build(elsewhere)) {
		t.Error("another directory gives another program")
	}
	if len(here) > 6_000_000 {
		t.Errorf("it has %d bytes, more than 6 MB: the frontend image carries it", len(here))
	}
}
