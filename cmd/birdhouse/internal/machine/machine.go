// Package machine reads what this machine is set to and a build may use without
// the image or a cache key depending on it: certificates, proxies, Go's module
// settings, where npm, pip and Maven get packages from, the project's revision in git.
package machine

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
)

// The ids of the files that Secrets holds; the others are the names of GoNames and PythonNames, and
// variables with the credentials of an index.
const (
	// CA is the bundle of CA certificates that this machine trusts.
	CA = "ca"
	// Netrc is the user's .netrc.
	Netrc = "netrc"
	// MavenSettings is the user's settings of Maven: mirrors, repositories, credentials.
	MavenSettings = "settings.xml"
	// NpmRegistry is the URL of the registry of npm packages.
	NpmRegistry = "NPM_CONFIG_REGISTRY"
)

// GoNames are the settings of the go command that say where modules come from
// and how they are checked; https://go.dev/ref/mod#environment-variables.
var GoNames = []string{"GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOAUTH"}

// caFiles are where distributions keep the bundle, as in Go's crypto/x509
// (root_linux.go).
var caFiles = []string{
	"/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt",
	"/etc/ssl/ca-bundle.pem",
	"/etc/pki/tls/cacert.pem",
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
	"/etc/ssl/cert.pem",
}

// Secrets are this machine's settings as BuildKit secrets. What is not set is
// not found, which a build takes as its own default. Files are read when a
// build asks for them.
func Secrets() secrets.SecretStore { return store{} }

type store struct{}

// GetSecret implements secrets.SecretStore.
func (store) GetSecret(_ context.Context, id string) ([]byte, error) {
	switch id {
	case CA:
		return first(caBundle())
	case Netrc:
		return first(netrc())
	case MavenSettings:
		return first(mavenSettings())
	case PipConfig:
		files := pipFiles()
		slices.Reverse(files)
		return first(files)
	}
	if v, ok := pythonSetting(id); ok {
		return []byte(v), nil
	}
	if id == NpmRegistry {
		if v, ok := npmRegistry(); ok {
			return []byte(v), nil
		}
	}
	for _, name := range GoNames {
		if name != id {
			continue
		}
		if v, ok := goSetting(name); ok {
			return []byte(v), nil
		}
	}
	return nil, secrets.ErrNotFound
}

// first returns the first of the files that exists.
func first(files []string) ([]byte, error) {
	for _, name := range files {
		f, err := os.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		data, err := io.ReadAll(io.LimitReader(f, secretsprovider.MaxSecretSize+1))
		if err != nil {
			return nil, err
		}
		if len(data) > secretsprovider.MaxSecretSize {
			return nil, fmt.Errorf("passing %s to the build: it is larger than the %d bytes that BuildKit allows for a secret", name, secretsprovider.MaxSecretSize)
		}
		return data, nil
	}
	return nil, secrets.ErrNotFound
}

func caBundle() []string {
	if name := os.Getenv("SSL_CERT_FILE"); name != "" {
		return []string{name}
	}
	return caFiles
}

func netrc() []string {
	if name := os.Getenv("NETRC"); name != "" {
		return []string{name}
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(home, ".netrc")}
}

// mavenSettings is where Maven looks for the user's settings;
// https://maven.apache.org/settings.html.
func mavenSettings() []string {
	home, err := os.UserHomeDir()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(home, ".m2", "settings.xml")}
}

// goSetting returns a setting as `go env` would: the environment, else the file
// that `go env -w` writes.
func goSetting(name string) (string, bool) {
	if v := os.Getenv(name); v != "" {
		return v, true
	}
	file := os.Getenv("GOENV")
	if file == "off" {
		return "", false
	}
	if file == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return "", false
		}
		file = filepath.Join(dir, "go", "env")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		key, value, ok := strings.Cut(strings.TrimSpace(lines.Text()), "=")
		if ok && key == name && value != "" {
			return value, true
		}
	}
	return "", false
}

// npmRegistry returns the registry that npm is set to: the environment, else the
// user's .npmrc; https://docs.npmjs.com/cli/using-npm/config.
func npmRegistry() (string, bool) {
	for _, name := range []string{NpmRegistry, strings.ToLower(NpmRegistry)} {
		if v := os.Getenv(name); v != "" {
			return v, true
		}
	}
	file := os.Getenv("NPM_CONFIG_USERCONFIG")
	if file == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", false
		}
		file = filepath.Join(home, ".npmrc")
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return "", false
	}
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		key, value, ok := strings.Cut(lines.Text(), "=")
		value = strings.Trim(strings.TrimSpace(value), `"'`)
		if ok && strings.TrimSpace(key) == "registry" && value != "" && !strings.Contains(value, "${") {
			return value, true
		}
	}
	return "", false
}

// proxyNames are the build arguments that BuildKit keeps out of cache keys.
var proxyNames = []string{"HTTP_PROXY", "HTTPS_PROXY", "FTP_PROXY", "NO_PROXY", "ALL_PROXY"}

// Proxies returns the proxies in the environment by upper-case name. The
// lower-case variable counts where the upper-case one is not set.
func Proxies() map[string]string {
	found := map[string]string{}
	for _, name := range proxyNames {
		if v := os.Getenv(name); v != "" {
			found[name] = v
		} else if v := os.Getenv(strings.ToLower(name)); v != "" {
			found[name] = v
		}
	}
	return found
}
