package image

import (
	"archive/tar"
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// clean is an image as birdhouse makes them.
func cleanImage(t *testing.T) v1.Image {
	img, err := mutate.Append(empty.Image,
		noted(layer(t, dir("etc/", 0o755), text("etc/ssl/certs/ca-certificates.crt", strings.Repeat("certificate ", 999), 0o644), dir("tmp/", 0o1777)),
			Note{"base", "rarely", "static:13 (CA 2026-10, time zones)"}),
		noted(layer(t, dir("app/", 0o755), text("app/api", "\x7fELF\x00"+strings.Repeat("code", 5000), 0o555)),
			Note{"application", "always", "/app/api  go1.26.8, static, stripped"}))
	require.NoError(t, err)
	return withConfig(t, img, "amd64", v1.Config{
		User: "65532:65532", WorkingDir: "/app", Entrypoint: []string{"/app/api"}, Cmd: []string{"--name", "a b", ""},
		Env: []string{"PATH=/usr/bin:/bin"}, ExposedPorts: map[string]struct{}{"8080/tcp": {}, "53/udp": {}},
		Volumes: map[string]struct{}{"/data": {}}, Labels: map[string]string{"b": "2", "a": "1"}, StopSignal: "SIGINT",
	})
}

// wasteful is an image with one of everything that a scan finds.
func wasteful(t *testing.T) v1.Image {
	big := strings.Repeat("0123456789", 500)
	img, err := mutate.Append(empty.Image,
		mutate.Addendum{History: v1.History{CreatedBy: "/bin/sh -c #(nop)  CMD [\"sh\"]", EmptyLayer: true}},
		mutate.Addendum{Layer: layer(t, dir("bin/", 0o755), text("bin/sh", "\x7fELF\x00sh", 0o755), text("bin/su", "\x7fELF\x00su", 0o4755),
			dir("cache/", 0o755), text("cache/a", big+"a", 0o644), text("cache/deep/b", big+"b", 0o644), text("replaced", "old", 0o644),
			dir("opaque/", 0o755), text("opaque/x", "xx", 0o644), text("twice", big+"twice", 0o644)),
			History: v1.History{CreatedBy: "RUN /bin/sh -c apt-get update &&   apt-get install -y --no-install-recommends build-essential curl # buildkit"}},
		mutate.Addendum{Layer: layer(t, dir("bin/", 0o755)), History: v1.History{CreatedBy: "WORKDIR /bin"}},
		mutate.Addendum{Layer: layer(t, text(".wh.cache", "", 0o644), text("replaced", "new", 0o666), text("opaque/.wh..wh..opq", "", 0o644),
			text("opaque/y", "y", 0o644), text("copies/twice", big+"twice", 0o644), dir("open/", 0o777),
			tar.Header{Name: "dev/null", Typeflag: tar.TypeChar, Mode: 0o666},
			text("root/.netrc", "machine x password y", 0o600), text("usr/bin/apt-get", "\x7fELF\x00apt", 0o755)),
			History: v1.History{CreatedBy: "COPY . . # buildkit"}},
		mutate.Addendum{Layer: layer(t,
			text("keys/id", "-----BEGIN OPENSSH PRIVATE KEY-----\n"+strings.Repeat("QUJD", 20)+"\n-----END OPENSSH PRIVATE KEY-----\n", 0o600),
			text("keys/mention", "a line like -----BEGIN PRIVATE KEY----- is no key", 0o644),
			text("aws.txt", "id = AKIA"+"ABCDEFGHIJKLMNOP", 0o644), text("root/.wh..netrc", "", 0o644),
			text("lib/code.so", "\x7fELF\x00 AKIA"+"ABCDEFGHIJKLMNOP", 0o644), text("npm/.npmrc", "//r/:_authToken=abc", 0o600),
			text("npm2/.npmrc", "//r/:_authToken=${TOKEN}", 0o600)), History: v1.History{CreatedBy: "evil \x1b[31m"}})
	require.NoError(t, err)
	return withConfig(t, img, "arm64", v1.Config{Cmd: []string{"sh"}, Env: []string{
		"DB_PASSWORD=hunter2", "DB_PASSWORD_FILE=/run/secrets/db", "TOKEN_FILE=x", "API_KEY=", "SECRET=/run/secret",
		"URL=https://user:" + "hunter22@example.com/", "EVIL=\x1b]0;x\x07",
	}})
}

func TestReportGoldens(t *testing.T) {
	ctx := context.Background()
	built, err := Report(cleanImage(t), "shop/api:1.4")
	require.NoError(t, err)
	built.Elapsed = 1900 * time.Millisecond
	inspected, err := Inspect(ctx, cleanImage(t), "shop/api:1.4")
	require.NoError(t, err)
	waste, err := Inspect(ctx, wasteful(t), "wasteful")
	require.NoError(t, err)
	for name, r := range map[string]*ReportData{"built": built, "inspected": inspected, "wasteful": waste} {
		var out, machine bytes.Buffer
		require.NoError(t, r.Text(&out))
		require.NoError(t, r.JSON(&machine))
		assert.NotContains(t, out.String(), "\x1b", "an image does not write to the terminal")
		golden(t, name+".txt", out.Bytes())
		golden(t, name+".json", machine.Bytes())
	}
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, got, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	assert.Equal(t, string(want), string(got), name)
}

func TestInspectFindings(t *testing.T) {
	r, err := Inspect(context.Background(), wasteful(t), "wasteful")
	require.NoError(t, err)
	got := map[Kind][]string{}
	for _, f := range r.Findings {
		got[f.Kind] = append(got[f.Kind], f.Path)
	}
	assert.Equal(t, map[Kind][]string{
		KindHidden:   {"/cache/a", "/cache/deep/b", "/opaque/x", "/replaced", "/root/.netrc"},
		KindRepeated: {"/copies/twice"},
		KindEmpty:    {""},
		KindRoot:     {""},
		KindSetuid:   {"/bin/su"},
		KindWritable: {"/open", "/replaced"},
		KindDevice:   {"/dev/null"},
		KindTool:     {"/bin/sh", "/usr/bin/apt-get"},
		KindSecret:   {"", "", "/root/.netrc", "/aws.txt", "/keys/id", "/npm/.npmrc"},
	}, got)
	assert.EqualValues(t, 2*5001+2+3+20+5005, r.Waste)

	r, err = Inspect(context.Background(), cleanImage(t), "clean")
	require.NoError(t, err)
	assert.Empty(t, r.Findings)
}

func TestInspectChecksContent(t *testing.T) {
	img := small(t, "amd64", "a")
	f, err := img.ConfigFile()
	require.NoError(t, err)
	f = f.DeepCopy()
	f.RootFS.DiffIDs[0].Hex = strings.Repeat("0", 64)
	lying, err := mutate.ConfigFile(img, f)
	require.NoError(t, err)
	_, err = Inspect(context.Background(), lying, "x")
	assert.ErrorContains(t, err, "reading layer 1 of image x: its content is sha256:")

	f.RootFS.DiffIDs = nil
	short, err := mutate.ConfigFile(img, f)
	require.NoError(t, err)
	_, err = Report(short, "x")
	assert.ErrorContains(t, err, "the manifest has 1 layers, the configuration 0")

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = Inspect(ctx, img, "x")
	assert.ErrorIs(t, err, context.Canceled)
}

func TestReportOddHistory(t *testing.T) {
	img := small(t, "amd64", "a")
	f, err := img.ConfigFile()
	require.NoError(t, err)
	f = f.DeepCopy()
	f.History = append(f.History, v1.History{CreatedBy: "one too many"})
	odd, err := mutate.ConfigFile(img, f)
	require.NoError(t, err)
	r, err := Report(odd, "x")
	require.NoError(t, err)
	assert.Equal(t, "-", r.Layers[0].Name)
	assert.Empty(t, r.Layers[0].What)
}

func TestSize(t *testing.T) {
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 3100: "3.1 kB", 99_900: "99.9 kB", 460_000: "0.46 MB", 2_170_000: "2.17 MB", 1_200_000_000: "1.20 GB"} {
		assert.Equal(t, want, Size(n))
	}
}
