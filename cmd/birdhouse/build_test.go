package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// built is the built command with a root and a catalog lock of its own.
type built struct {
	t       *testing.T
	program string
	root    string
	env     []string
}

// run returns both outputs and the exit code.
func (b built) run(args ...string) (stdout, stderr string, code int) {
	b.t.Helper()
	var out, errs bytes.Buffer
	cmd := b.command(args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		b.t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

func (b built) command(args ...string) *exec.Cmd {
	cmd := exec.Command(b.program, args...)
	cmd.Env = b.env
	return cmd
}

// must is run of what succeeds.
func (b built) must(args ...string) string {
	b.t.Helper()
	out, errs, code := b.run(args...)
	require.Zero(b.t, code, "birdhouse %s\n%s%s", strings.Join(args, " "), out, errs)
	return out
}

// TestBuild builds samples without a daemon. Its parts share a root, and so what
// was built before them.
func TestBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root / network")
	}
	b := built{t: t, program: harness.Birdhouse(t), root: t.TempDir()}
	b.env = append(os.Environ(), "BIRDHOUSE_ROOT="+b.root, "BIRDHOUSE_CATALOG="+harness.Lock(t), "BUILDKIT_HOST=", "SOURCE_DATE_EPOCH=", "DOCKER_CONFIG="+t.TempDir())
	hello := filepath.Join(harness.Root(t), "testdata", "go", "hello")

	out := b.must("build", "-t", "shop/hello:1", "-t", "shop/hello:latest", "--progress", "plain", hello)
	require.Regexp(t, `(?s)^shop/hello:1  linux/\w+  sha256:[0-9a-f]{64}\n\n  layer +changes +size +what\n  static +rarely .*\n  application +always .*/app/hello.*\n  total +[0-9.]+ MB  2 layers +[0-9.]+ s\n  also shop/hello:latest\n$`, out)
	digest := strings.TrimSpace(b.must("build", "-q", "-t", "shop/hello:1", hello))
	require.Contains(t, out, digest, "nothing has changed")

	t.Run("inspect", func(t *testing.T) {
		require.Contains(t, b.must("inspect", "shop/hello"), "2 layers, no waste, no findings")
		require.Contains(t, b.must("inspect", digest), digest)
		require.Equal(t, digest, field(t, b.must("inspect", "--format", "json", "shop/hello:1"), "digest"))
	})

	t.Run("without a name", func(t *testing.T) {
		require.True(t, strings.HasPrefix(b.must("build", hello), "hello  linux/"))
		require.Contains(t, b.must("inspect", "hello"), digest)
	})

	t.Run("push", func(t *testing.T) {
		dir := t.TempDir()
		ref := harness.Registry(t) + "/hello:2"
		out := b.must("build", "-t", ref, "--push", "--metadata-file", filepath.Join(dir, "metadata"), "--iidfile", filepath.Join(dir, "id"), hello)
		require.Regexp(t, `(?s)^`+regexp.QuoteMeta(ref)+`  linux/\w+  `+digest+`\n\n  layer +changes +size +what\n  static +rarely .*\n  application +always .*/app/hello.*\n  total +[0-9.]+ MB  2 layers\n\npushed `+regexp.QuoteMeta(ref)+`  `+digest+`  [0-9.]+ s\n$`, out)

		parsed, err := name.ParseReference(ref)
		require.NoError(t, err)
		pushed, err := remote.Get(parsed)
		require.NoError(t, err)
		require.Equal(t, digest, pushed.Digest.String(), "the same image through another output")
		metadata := read(t, dir, "metadata")
		require.Equal(t, digest, field(t, metadata, "containerimage.digest"))
		require.Equal(t, ref, field(t, metadata, "image.name"))
		require.NotEmpty(t, field(t, metadata, "containerimage.config.digest"))
		require.Equal(t, digest, read(t, dir, "id"))

		require.Contains(t, b.must("inspect", "--root", t.TempDir(), ref), "no waste", "from the registry")
	})

	t.Run("outputs", func(t *testing.T) {
		dir := t.TempDir()
		out := b.must("build", "-o", "type=oci,dest="+filepath.Join(dir, "sub", "image.tar"), hello)
		require.True(t, strings.HasPrefix(out, "written to "+filepath.Join(dir, "sub", "image.tar")+"  "+digest), out)
		require.Contains(t, members(t, strings.NewReader(read(t, dir, "sub/image.tar"))), "index.json")

		b.must("build", "-o", filepath.Join(dir, "files"), hello)
		require.FileExists(t, filepath.Join(dir, "files", "app", "hello"))

		b.must("build", "-o", "type=oci,tar=false,dest="+filepath.Join(dir, "layout"), hello)
		require.Contains(t, b.must("inspect", filepath.Join(dir, "layout")), digest)

		stdout, stderr, code := b.run("build", "-o", "-", hello)
		require.Zero(t, code, stderr)
		require.Contains(t, members(t, strings.NewReader(stdout)), "app/hello")

		left, err := filepath.Glob(filepath.Join(dir, "sub", ".*"))
		require.NoError(t, err)
		require.Empty(t, left)
	})

	t.Run("progress for machines", func(t *testing.T) {
		stdout, stderr, code := b.run("build", "--progress", "rawjson", hello)
		require.Zero(t, code, stderr)
		require.Equal(t, digest, field(t, stdout, "digest"))
		lines := bufio.NewScanner(strings.NewReader(stderr))
		lines.Buffer(nil, 1<<20)
		n := 0
		for ; lines.Scan(); n++ {
			require.True(t, json.Valid(lines.Bytes()), lines.Text())
		}
		require.NotZero(t, n)
	})

	t.Run("questions", func(t *testing.T) {
		require.Contains(t, b.must("build", "--call", "targets", hello), "run")
		require.Contains(t, b.must("build", "--call", "outline,format=json", hello), `"name": "run"`)
		b.must("build", "--check", hello)
	})

	t.Run("problems", func(t *testing.T) {
		project := files(t, with(goProject, "birdhouse.yaml", "language: go\nversoin: 1.26\nexpose: [-1]\n"))
		dir := t.TempDir()
		stdout, stderr, code := b.run("build", "-o", "type=oci,dest="+filepath.Join(dir, "image.tar"), "--iidfile", filepath.Join(dir, "id"), project)
		require.Equal(t, 1, code)
		require.Empty(t, stdout)
		require.Contains(t, stderr, "  2 | versoin: 1.26\n    | ^^^^^^^ did you mean \"version\"?\n")
		require.Contains(t, stderr, "2 problems, nothing was built\n")
		require.Equal(t, 1, strings.Count(stderr, "unknown key"), "they are shown once")
		left, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, left)

		_, stderr, code = b.run("build", "--progress", "rawjson", project)
		require.Equal(t, 1, code)
		lines := strings.Split(strings.TrimSpace(stderr), "\n")
		require.Contains(t, lines[len(lines)-1], `"problems":[{`)
	})

	t.Run("a failing test", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "id"), []byte("of an image before"), 0o644))
		_, stderr, code := b.run("build", "-t", "broken", "--iidfile", filepath.Join(dir, "id"), filepath.Join(harness.Root(t), "testdata", "go", "testfail"))
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "test")
		require.Contains(t, stderr, "1 problem, nothing was built")
		require.NoFileExists(t, filepath.Join(dir, "id"))
		_, stderr, code = b.run("inspect", "broken")
		require.Equal(t, 1, code)
		require.Contains(t, stderr, "not in the image store")
	})

	t.Run("interrupted", func(t *testing.T) {
		for _, after := range []time.Duration{10 * time.Millisecond, 150 * time.Millisecond, 600 * time.Millisecond, 3 * time.Second} {
			dir := t.TempDir()
			cmd := b.command("build", "--progress", "plain", "--no-cache", "-o", "type=oci,dest="+filepath.Join(dir, "image.tar"), hello)
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			require.NoError(t, cmd.Start())
			time.Sleep(after)
			require.NoError(t, cmd.Process.Signal(syscall.SIGINT))
			begin := time.Now()
			err := cmd.Wait()
			require.Less(t, time.Since(begin), 20*time.Second)
			require.Error(t, err, out.String())
			status := cmd.ProcessState.Sys().(syscall.WaitStatus)
			if status.Signaled() { // before the program could ask to be told
				require.Equal(t, syscall.SIGINT, status.Signal())
			} else {
				require.Equal(t, 130, status.ExitStatus(), out.String())
				require.True(t, strings.HasSuffix(out.String(), "birdhouse: interrupted\n"), out.String())
			}
			left, err := os.ReadDir(dir)
			require.NoError(t, err)
			require.Empty(t, left)
		}
		require.Equal(t, digest, strings.TrimSpace(b.must("build", "-q", hello)), "the next build works")
	})
}

// field returns a string of a JSON object.
func field(t *testing.T, text, name string) string {
	t.Helper()
	var object map[string]any
	require.NoError(t, json.Unmarshal([]byte(text), &object), text)
	s, _ := object[name].(string)
	return s
}

func read(t *testing.T, dir, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(file)))
	require.NoError(t, err)
	return string(data)
}

// members are the names in an archive.
func members(t *testing.T, archive io.Reader) []string {
	t.Helper()
	var names []string
	r := tar.NewReader(archive)
	for {
		h, err := r.Next()
		if err == io.EOF {
			return names
		}
		require.NoError(t, err)
		names = append(names, h.Name)
	}
}
