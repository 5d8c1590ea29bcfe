package main

import (
	"archive/tar"
	"bufio"
	"bytes"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// runner is the built command, a registry on this machine and a root of its own.
type runner struct {
	program, root, image string
}

func newRunner(t *testing.T) runner {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and runc")
	}
	dir := t.TempDir()
	t.Setenv("DOCKER_CONFIG", dir)
	r := runner{program: filepath.Join(dir, "birdhouse"), root: filepath.Join(dir, "root")}
	goBuild(t, r.program, ".")
	probe := filepath.Join(dir, "probe")
	goBuild(t, probe, "../../container/testdata/probe")

	srv := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(srv.Close)
	r.image = strings.TrimPrefix(srv.URL, "http://") + "/probe:1"
	ref, err := name.ParseReference(r.image)
	require.NoError(t, err)
	require.NoError(t, remote.Write(ref, probeImage(t, probe)))
	return r
}

func goBuild(t *testing.T, out, pkg string) {
	t.Helper()
	cmd := exec.Command("go", "build", "-o", out, pkg)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	text, err := cmd.CombinedOutput()
	require.NoError(t, err, string(text))
}

func probeImage(t *testing.T, program string) v1.Image {
	t.Helper()
	data, err := os.ReadFile(program)
	require.NoError(t, err)
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	for name, content := range map[string][]byte{"probe": data, "text": []byte("x")} {
		mode := int64(0o755)
		if name == "text" {
			mode = 0o644
		}
		require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), Typeflag: tar.TypeReg}))
		_, err = w.Write(content)
		require.NoError(t, err)
	}
	require.NoError(t, w.Close())
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(buf.Bytes())), nil })
	require.NoError(t, err)
	img, err := mutate.AppendLayers(empty.Image, layer)
	require.NoError(t, err)
	f, err := img.ConfigFile()
	require.NoError(t, err)
	f = f.DeepCopy()
	f.OS, f.Architecture = "linux", runtime.GOARCH
	f.Config = v1.Config{Entrypoint: []string{"/probe"}, User: "65532:65532"}
	img, err = mutate.ConfigFile(img, f)
	require.NoError(t, err)
	return img
}

func (r runner) command(args ...string) *exec.Cmd {
	return exec.Command(r.program, append([]string{"run", "--root", r.root}, args...)...)
}

// run returns what the command prints and its exit code.
func (r runner) run(t *testing.T, args ...string) (out, errOut string, code int) {
	t.Helper()
	cmd := r.command(args...)
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// start waits until the program says that it is ready.
func (r runner) start(t *testing.T, args ...string) (*exec.Cmd, *bufio.Reader) {
	t.Helper()
	cmd := r.command(args...)
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	cmd.Stderr = os.Stderr
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	out := bufio.NewReader(stdout)
	line, err := out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "ready\n", line)
	return cmd, out
}

func (r runner) containers(t *testing.T) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(r.root, "run", "containers", "*"))
	require.NoError(t, err)
	return found
}

func TestRunCommand(t *testing.T) {
	r := newRunner(t)

	t.Run("pulls once and passes on what is the program's", func(t *testing.T) {
		out, errOut, code := r.run(t, "--rm", "-e", "A=1", "-u", "7:8", "-w", "/somewhere", r.image, "show", "-e", "--read-only")
		require.Equal(t, 0, code, errOut)
		assert.Contains(t, out, "args -e,--read-only\n")
		assert.Contains(t, out, "uid 7 gid 8 groups [8]\n")
		assert.Contains(t, out, "cwd /somewhere\n")
		assert.Contains(t, out, "env A=1\n")
		assert.Contains(t, errOut, "pulling "+r.image)
		_, errOut, code = r.run(t, r.image, "show")
		assert.Equal(t, 0, code)
		assert.Empty(t, errOut, "the second time the store has it")
	})

	t.Run("exit codes", func(t *testing.T) {
		for _, want := range []int{0, 1, 3, 143} {
			_, errOut, code := r.run(t, r.image, "exit", strconv.Itoa(want))
			assert.Equal(t, want, code)
			assert.Empty(t, errOut, "the program's failure is its own to explain")
		}
		for want, args := range map[int][]string{
			125: {"-u", "nobody-knows", r.image},
			126: {"--entrypoint", "/text", r.image},
			127: {"--entrypoint", "missing", r.image},
		} {
			_, errOut, code := r.run(t, args...)
			assert.Equal(t, want, code, args)
			assert.Contains(t, errOut, "birdhouse: running "+r.image+": ")
		}
		for _, args := range [][]string{{}, {"--no-such-flag", r.image}, {"-v", "name:/x", r.image}, {"--env-file", "/nowhere", r.image}} {
			_, errOut, code := r.run(t, args...)
			assert.Equal(t, 125, code, args)
			assert.Contains(t, errOut, "birdhouse: ")
		}
	})

	t.Run("input", func(t *testing.T) {
		cmd := r.command("-i", r.image, "echo")
		cmd.Stdin = strings.NewReader("through a pipe")
		out, err := cmd.Output()
		require.NoError(t, err)
		assert.Equal(t, "through a pipe", string(out))
	})

	t.Run("read-only and volumes", func(t *testing.T) {
		dir := t.TempDir()
		require.NoError(t, os.Chmod(dir, 0o777))
		_, errOut, code := r.run(t, "--read-only", "-v", dir+":/out", r.image, "write", "/out/file", "x")
		assert.Equal(t, 0, code, errOut)
		assert.FileExists(t, filepath.Join(dir, "file"))
		_, errOut, code = r.run(t, "--read-only", "-u", "0", r.image, "write", "/file", "x")
		assert.Equal(t, 1, code)
		assert.Contains(t, errOut, "read-only file system")
	})

	t.Run("signals", func(t *testing.T) {
		cmd, out := r.start(t, r.image, "trap")
		for sig, want := range map[syscall.Signal]string{syscall.SIGINT: "got interrupt\n", syscall.SIGUSR1: "got user defined signal 1\n"} {
			require.NoError(t, cmd.Process.Signal(sig))
			line, err := out.ReadString('\n')
			require.NoError(t, err)
			assert.Equal(t, want, line)
		}
		require.NoError(t, cmd.Process.Signal(syscall.SIGTERM))
		rest, err := io.ReadAll(out)
		require.NoError(t, err)
		assert.Equal(t, "got terminated\n", string(rest))
		_ = cmd.Wait()
		assert.Equal(t, 7, cmd.ProcessState.ExitCode())
		assert.Empty(t, r.containers(t))
	})

	t.Run("killed", func(t *testing.T) {
		cmd, out := r.start(t, r.image, "ignore")
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
		assert.Len(t, r.containers(t), 1)
		_, errOut, code := r.run(t, r.image, "exit", "0")
		assert.Equal(t, 0, code, errOut)
		assert.Empty(t, r.containers(t), "the next run cleans")
		ended := make(chan struct{})
		go func() { _, _ = io.ReadAll(out); close(ended) }()
		select {
		case <-ended:
		case <-time.After(10 * time.Second):
			t.Fatal("the killed run's program still runs")
		}
	})
}

func TestRunFlagsAreDockers(t *testing.T) {
	f := newRunCommand().Flags()
	for name, short := range map[string]string{
		"env": "e", "env-file": "", "entrypoint": "", "user": "u", "workdir": "w", "volume": "v", "read-only": "",
		"tty": "t", "interactive": "i", "platform": "", "rm": "",
	} {
		flag := f.Lookup(name)
		if assert.NotNil(t, flag, name) {
			assert.Equal(t, short, flag.Shorthand, name)
			assert.NotEmpty(t, flag.Usage, name)
		}
	}
}
