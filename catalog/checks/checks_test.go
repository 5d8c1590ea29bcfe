package checks

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/steps/check"
)

func TestRead(t *testing.T) {
	c, err := Read()
	require.NoError(t, err)
	for name, p := range c.Probes {
		files, err := p.Content()
		require.NoError(t, err, name)
		require.Len(t, files, len(p.Files), "%s: two files have the same name", name)
	}
}

func TestChecksThatAreRefused(t *testing.T) {
	for text, want := range map[string]string{
		"probes: {a: {files: [base.c]}}":                                                            "probe a: it needs files and args",
		"probes: {a: {args: [x]}}":                                                                  "probe a: it needs files and args",
		"probes: {a: {args: [x], files: [none.c]}}":                                                 "probe a: open probes/none.c: file does not exist",
		"probes: {a: {args: [x], files: [base.c], on: static}}":                                     "`on` needs something to compile",
		"probes: {a: {args: [x], files: [base.c], compile: {image: go}}}":                           "compile needs args",
		"probes: {a: {args: [x], files: [base.c], compile: {args: [x], image: go, layers: [gcc]}}}": "an image or layers, not both",
		"probes: {a: {args: [x]}, b: {files: [base.c]}}":                                            "probe b: it needs",
		"colours: []": "colours",
	} {
		_, err := parse([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
}

func TestProbeOfAnImage(t *testing.T) {
	c := &Checks{Probes: map[string]Probe{"a": {On: "of a"}, "a-jre": {On: "of a-jre"}, "b-build": {On: "of b-build"}}}
	for _, tt := range []struct{ image, variant, want string }{
		{"a", "", "of a"}, {"a", "debug", "of a"}, {"a", "jre", "of a-jre"}, {"a", "jre-debug", "of a-jre"}, {"b", "build", "of b-build"},
		{"b", "", ""}, {"a", "build", ""}, {"c", "debug", ""},
	} {
		p, ok := c.Probe(tt.image, tt.variant)
		require.Equal(t, tt.want, p.On, "%s %s", tt.image, tt.variant)
		require.Equal(t, tt.want != "", ok)
	}
}

func TestTools(t *testing.T) {
	for variant, want := range map[string]check.Tools{
		"": check.NoTools, "jre": check.NoTools, "debug": check.BusyboxOnly, "jre-debug": check.BusyboxOnly,
		"build": check.AnyTools, "build-full": check.AnyTools, "builder": check.NoTools,
	} {
		require.Equal(t, want, Tools(variant), variant)
	}
}

func TestAuthority(t *testing.T) {
	files, err := Authority()
	require.NoError(t, err)
	again, err := Authority()
	require.NoError(t, err)
	require.Equal(t, files, again, "the graph is the same each time")
	_, err = tls.X509KeyPair(files["cert.pem"], files["key.pem"])
	require.NoError(t, err)
	block, _ := pem.Decode(files["cert.pem"])
	cert, err := x509.ParseCertificate(block.Bytes)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	_, err = cert.Verify(x509.VerifyOptions{DNSName: "localhost", Roots: roots})
	require.ErrorAs(t, err, &x509.UnknownAuthorityError{})
	require.True(t, roots.AppendCertsFromPEM(files["ca.pem"]))
	for _, name := range []string{"localhost", "127.0.0.1"} {
		_, err = cert.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: time.Date(2090, 1, 1, 0, 0, 0, 0, time.UTC)})
		require.NoError(t, err)
	}
}
