package machine_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/machine"
)

func secret(t *testing.T, id string) string {
	t.Helper()
	data, err := machine.Secrets().GetSecret(context.Background(), id)
	if err != nil {
		require.ErrorIs(t, err, secrets.ErrNotFound)
		return "none"
	}
	return string(data)
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	return name
}

// bare is a machine on which nothing is set.
func bare(t *testing.T) (home string) {
	t.Helper()
	home = t.TempDir()
	for _, name := range append([]string{"XDG_CONFIG_HOME", "GOENV", "NETRC", "SSL_CERT_FILE"}, machine.GoNames...) {
		t.Setenv(name, "")
	}
	t.Setenv("HOME", home)
	return home
}

func TestGoSettings(t *testing.T) {
	home := bare(t)
	require.Equal(t, "none", secret(t, "GOPROXY"))

	file := write(t, filepath.Join(home, ".config", "go", "env"), "GOPRIVATE=example.com/*\nGOPROXY=https://file.example\n")
	require.Equal(t, "https://file.example", secret(t, "GOPROXY"))
	require.Equal(t, "example.com/*", secret(t, "GOPRIVATE"))

	t.Setenv("GOPROXY", "https://env.example")
	require.Equal(t, "https://env.example", secret(t, "GOPROXY"))

	t.Setenv("GOENV", "off")
	require.Equal(t, "none", secret(t, "GOPRIVATE"))
	t.Setenv("GOENV", file)
	require.Equal(t, "example.com/*", secret(t, "GOPRIVATE"))

	t.Setenv("AWS_SECRET", "x")
	require.Equal(t, "none", secret(t, "AWS_SECRET"), "only what is listed leaves the machine")
}

func TestNpmRegistry(t *testing.T) {
	home := bare(t)
	for _, name := range []string{"NPM_CONFIG_REGISTRY", "npm_config_registry", "NPM_CONFIG_USERCONFIG"} {
		t.Setenv(name, "")
	}
	require.Equal(t, "none", secret(t, machine.NpmRegistry))
	write(t, filepath.Join(home, ".npmrc"), "fund=false\n@a:registry=https://scope.example\nregistry = https://file.example/\n//file.example/:_authToken=x\n")
	require.Equal(t, "https://file.example/", secret(t, machine.NpmRegistry))
	t.Setenv("npm_config_registry", "https://env.example/")
	require.Equal(t, "https://env.example/", secret(t, machine.NpmRegistry))
}

func TestFiles(t *testing.T) {
	home := bare(t)
	require.Equal(t, "none", secret(t, machine.Netrc))
	write(t, filepath.Join(home, ".netrc"), "machine a")
	require.Equal(t, "machine a", secret(t, machine.Netrc))

	require.Equal(t, "none", secret(t, machine.MavenSettings))
	write(t, filepath.Join(home, ".m2", "settings.xml"), "<settings/>")
	require.Equal(t, "<settings/>", secret(t, machine.MavenSettings))

	t.Setenv("SSL_CERT_FILE", write(t, filepath.Join(home, "ca.pem"), "PEM"))
	require.Equal(t, "PEM", secret(t, machine.CA))

	t.Setenv("SSL_CERT_FILE", write(t, filepath.Join(home, "big.pem"), strings.Repeat("x", secretsprovider.MaxSecretSize+1)))
	_, err := machine.Secrets().GetSecret(context.Background(), machine.CA)
	require.ErrorContains(t, err, "big.pem")
}

func TestProxies(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"} {
		t.Setenv(name, "")
		t.Setenv(strings.ToLower(name), "")
	}
	require.Empty(t, machine.Proxies())
	t.Setenv("http_proxy", "http://lower")
	t.Setenv("HTTPS_PROXY", "http://upper")
	t.Setenv("https_proxy", "http://not this")
	require.Equal(t, map[string]string{"HTTP_PROXY": "http://lower", "HTTPS_PROXY": "http://upper"}, machine.Proxies())
}

func TestRevision(t *testing.T) {
	bare(t)
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=n", "-c", "user.email=e@example.com"}, args...)...)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, string(out))
	}
	revision, source := machine.Revision(context.Background(), dir)
	require.Empty(t, revision)
	require.Empty(t, source)

	git("init", "-q")
	revision, _ = machine.Revision(context.Background(), dir)
	require.Empty(t, revision, "no commit yet")

	file := write(t, filepath.Join(dir, "sub", "a"), "1")
	git("add", ".")
	git("commit", "-q", "-m", "one")
	git("remote", "add", "origin", "https://user:password@example.com/shop/api.git")
	revision, source = machine.Revision(context.Background(), filepath.Join(dir, "sub"))
	require.Regexp(t, "^[0-9a-f]{40}$", revision)
	require.Equal(t, "https://example.com/shop/api.git", source)

	write(t, filepath.Join(dir, "new"), "not known to git")
	clean, _ := machine.Revision(context.Background(), dir)
	require.Equal(t, revision, clean)
	write(t, file, "2")
	dirty, _ := machine.Revision(context.Background(), dir)
	require.Equal(t, revision+"-dirty", dirty)
}
