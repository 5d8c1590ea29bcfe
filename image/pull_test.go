package image

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// serve starts a registry; wrap may change what it answers.
func serve(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	h := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	if wrap != nil {
		h = wrap(h)
	}
	srv := httptest.NewServer(h)
	t.Cleanup(srv.Close)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	return strings.TrimPrefix(srv.URL, "http://")
}

func push(t *testing.T, ref string, img v1.Image) {
	t.Helper()
	r, err := name.ParseReference(ref)
	require.NoError(t, err)
	require.NoError(t, remote.Write(r, img))
}

func TestPull(t *testing.T) {
	host := serve(t, nil)
	s, _ := openStore(t)
	ctx := context.Background()
	want := small(t, "amd64", "pulled")
	push(t, host+"/team/app:1", want)

	var out bytes.Buffer
	p := &ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	img, err := s.Pull(ctx, host+"/team/app:1", PullOptions{Platform: p, Log: &out})
	require.NoError(t, err)
	require.NoError(t, validate.Image(img))
	assert.Equal(t, []string{host + "/team/app:1"}, names(t, s))
	assert.Contains(t, out.String(), "pulling "+host+"/team/app:1: 1 layers")
	h, err := want.Digest()
	require.NoError(t, err)
	kept, err := s.Image(host+"/team/app:1", nil)
	require.NoError(t, err)
	got, err := kept.Digest()
	require.NoError(t, err)
	assert.Equal(t, h, got)

	_, err = s.Pull(ctx, host+"/team/app@"+h.String(), PullOptions{})
	require.NoError(t, err)
	_, err = s.Pull(ctx, host+"/team/missing", PullOptions{})
	assert.ErrorContains(t, err, "pulling "+host+"/team/missing: ")
	_, err = s.Pull(ctx, h.String(), PullOptions{})
	assert.ErrorContains(t, err, "a digest alone does not say from which registry")
}

// What a registry has, without a store: by tag, by digest, of several platforms.
func TestRemote(t *testing.T) {
	host := serve(t, nil)
	ctx := context.Background()
	one := small(t, "amd64", "one")
	push(t, host+"/app:1", one)
	h, err := one.Digest()
	require.NoError(t, err)
	for _, ref := range []string{"/app:1", "/app@" + h.String(), "/app:gone@" + h.String()} {
		images, err := Remote(ctx, host+ref)
		require.NoError(t, err)
		require.Len(t, images, 1)
		got, err := images[0].Digest()
		require.NoError(t, err)
		assert.Equal(t, h, got)
	}

	index := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: small(t, "arm64", "a"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}},
		mutate.IndexAddendum{Add: small(t, "amd64", "b"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: small(t, "amd64", "attestation"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
	r, err := name.ParseReference(host + "/both")
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(r, index))
	images, err := Remote(ctx, host+"/both")
	require.NoError(t, err)
	var arches []string
	for _, img := range images {
		config, err := img.ConfigFile()
		require.NoError(t, err)
		arches = append(arches, config.Architecture)
	}
	assert.Equal(t, []string{"arm64", "amd64"}, arches)

	_, err = Remote(ctx, host+"/missing")
	assert.ErrorContains(t, err, "reading "+host+"/missing: ")
	_, err = Remote(ctx, h.String())
	assert.ErrorContains(t, err, "a digest alone does not say from which registry")
}

func TestPullPlatform(t *testing.T) {
	host := serve(t, nil)
	s, _ := openStore(t)
	idx := mutate.AppendManifests(empty.Index,
		mutate.IndexAddendum{Add: small(t, "s390x", "s"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}},
		mutate.IndexAddendum{Add: small(t, "riscv64", "r"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "riscv64"}}},
		mutate.IndexAddendum{Add: small(t, "", "a"), Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"}}})
	r, err := name.ParseReference(host + "/app")
	require.NoError(t, err)
	require.NoError(t, remote.WriteIndex(r, idx))

	img, err := s.Pull(context.Background(), host+"/app", PullOptions{Platform: &ocispecs.Platform{OS: "linux", Architecture: "riscv64"}})
	require.NoError(t, err)
	f, err := img.ConfigFile()
	require.NoError(t, err)
	assert.Equal(t, "riscv64", f.Architecture)
	_, err = s.Pull(context.Background(), host+"/app", PullOptions{})
	assert.ErrorContains(t, err, "only for linux/s390x, linux/riscv64")
}

// TestPullWrongContent has a registry that changes a byte of what it sends.
func TestPullWrongContent(t *testing.T) {
	want := small(t, "amd64", "right")
	m, err := want.Manifest()
	require.NoError(t, err)
	h, err := want.Digest()
	require.NoError(t, err)
	for what, part := range map[string]struct{ path, ref string }{
		"layer":    {m.Layers[0].Digest.String(), ":1"},
		"config":   {m.Config.Digest.String(), ":1"},
		"manifest": {"manifests/" + h.String(), "@" + h.String()},
	} {
		t.Run(what, func(t *testing.T) {
			lie := false
			host := serve(t, func(next http.Handler) http.Handler {
				return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if !lie || r.Method != http.MethodGet || !strings.HasSuffix(r.URL.Path, part.path) {
						next.ServeHTTP(w, r)
						return
					}
					rec := httptest.NewRecorder()
					next.ServeHTTP(rec, r)
					body := rec.Body.Bytes()
					body[len(body)/2] ^= 1
					for k, v := range rec.Header() {
						w.Header()[k] = v
					}
					w.WriteHeader(rec.Code)
					_, _ = w.Write(body)
				})
			})
			push(t, host+"/app:1", want)
			lie = true
			s, w := openStore(t)
			_, err := s.Pull(context.Background(), host+"/app"+part.ref, PullOptions{Platform: &ocispecs.Platform{OS: "linux", Architecture: "amd64"}})
			require.Error(t, err)
			assert.Empty(t, names(t, s), "no name for what is not whole")
			require.NoError(t, w.Close())
			_, err = s.GC()
			require.NoError(t, err)
			blobs, err := os.ReadDir(filepath.Join(s.Dir(), "blobs", "sha256"))
			require.NoError(t, err)
			assert.Empty(t, blobs)
		})
	}
}

func TestPullCredentials(t *testing.T) {
	host := serve(t, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if u, p, _ := r.BasicAuth(); r.Method == http.MethodGet && (u != "bird" || p != "house") {
				w.Header().Set("WWW-Authenticate", "Basic")
				w.WriteHeader(http.StatusUnauthorized)
				return
			}
			next.ServeHTTP(w, r)
		})
	})
	config := `{"auths":{"` + host + `":{"auth":"YmlyZDpob3VzZQ=="}}}`
	require.NoError(t, os.WriteFile(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json"), []byte(config), 0o600))
	r, err := name.ParseReference(host + "/app")
	require.NoError(t, err)
	img := small(t, "amd64", "secret")
	require.NoError(t, remote.Write(r, img, remote.WithAuthFromKeychain(authn.DefaultKeychain)))

	s, _ := openStore(t)
	_, err = s.Pull(context.Background(), host+"/app", PullOptions{Platform: &ocispecs.Platform{OS: "linux", Architecture: "amd64"}})
	require.NoError(t, err)
	require.NoError(t, os.Remove(filepath.Join(os.Getenv("DOCKER_CONFIG"), "config.json")))
	_, err = s.Pull(context.Background(), host+"/app", PullOptions{})
	assert.ErrorContains(t, err, "401")
}

func TestPlainHTTPStaysHere(t *testing.T) {
	asked := false
	rt := onlyLocalHTTP{roundTripper(func(*http.Request) (*http.Response, error) {
		asked = true
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})}
	for url, want := range map[string]bool{
		"http://localhost:5000/v2/": true, "http://127.0.0.2/v2/": true, "http://[::1]:5000/v2/": true, "https://example.com/v2/": true,
		"http://example.com/v2/": false, "http://10.0.0.1:5000/v2/": false, "http://registry.local/v2/": false, "http://localhost.example.com/": false,
	} {
		asked = false
		req, err := http.NewRequest(http.MethodGet, url, nil)
		require.NoError(t, err)
		res, err := rt.RoundTrip(req)
		if err == nil {
			require.NoError(t, res.Body.Close())
		}
		assert.Equal(t, want, err == nil, url)
		assert.Equal(t, want, asked, url)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
