package engine

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/sys/mountinfo"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
)

// helperEnv makes the test binary another process with an engine: its value is
// "open ROOT" or "sleep ROOT PROBEDIR MARK".
const helperEnv = "ENGINE_TEST_HELPER"

func TestMain(m *testing.M) {
	if args := strings.Fields(os.Getenv(helperEnv)); len(args) > 0 {
		if err := helper(args); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func helper(args []string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt)
	go func() { <-interrupted; stop() }()

	e, err := Open(ctx, Options{Root: args[1], Notice: func(msg string) { fmt.Println(msg) }})
	if err != nil {
		return err
	}
	fmt.Println("open")
	if args[0] == "sleep" {
		err = sleepBuild(ctx, e, args[2], args[3], func() { fmt.Println("sleeping") })
	} else {
		<-ctx.Done()
	}
	return errors.Join(err, e.Close())
}

// needsRoot skips tests that start containers in a short run.
func needsRoot(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root")
	}
}

func open(t *testing.T, o Options) *Engine {
	t.Helper()
	e, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	return e
}

// probeDir is a folder with the program testdata/probe, linked statically, in it.
func probeDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "probe"), "./testdata/probe")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("building the probe: %v: %s", err, out)
	}
	return dir
}

// probe is a root file system with nothing but the probe in it.
func probe() llb.State {
	return llb.Scratch().File(llb.Copy(llb.Local("probe"), "/probe", "/probe"))
}

func folder(t *testing.T, name, dir string) map[string]fsutil.FS {
	t.Helper()
	f, err := fsutil.NewFS(dir)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]fsutil.FS{name: f}
}

// solve builds st and returns its files, by path.
func solve(ctx context.Context, e *Engine, st llb.State, o client.SolveOpt) (map[string]string, error) {
	def, err := st.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	var buf bytes.Buffer
	o.Exports = []client.ExportEntry{{Type: client.ExporterTar, Output: output(&buf)}}
	c, err := e.Client(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if _, err := c.Solve(ctx, def, o, nil); err != nil {
		return nil, err
	}
	return tarFiles(&buf)
}

func tarFiles(r io.Reader) (map[string]string, error) {
	files := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(tr)
		if err != nil {
			return nil, err
		}
		files[h.Name] = string(b)
	}
}

func output(w io.Writer) func(map[string]string) (io.WriteCloser, error) {
	return func(map[string]string) (io.WriteCloser, error) { return nopCloser{w}, nil }
}

type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }

func mustSolve(t *testing.T, e *Engine, st llb.State, o client.SolveOpt) map[string]string {
	t.Helper()
	files, err := solve(t.Context(), e, st, o)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestReopen(t *testing.T) {
	needsRoot(t)
	root := filepath.Join(t.TempDir(), "root")
	st := llb.Scratch().File(llb.Mkfile("/bird", 0o644, []byte("wren")))
	for range 3 {
		start := time.Now()
		e, err := Open(t.Context(), Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		opened := time.Since(start)
		if got := mustSolve(t, e, st, client.SolveOpt{})["bird"]; got != "wren" {
			t.Errorf("built %q", got)
		}
		if _, err := Open(t.Context(), Options{Root: root}); err == nil || !strings.Contains(err.Error(), "close it first") {
			t.Errorf("a second engine at the same time: error %v", err)
		}
		solved := time.Since(start)
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		t.Logf("open %s, solve %s, close %s", opened, solved-opened, time.Since(start)-solved)
		if err := e.Close(); err != nil {
			t.Errorf("closing twice: %v", err)
		}
		if _, err := e.Client(t.Context()); err == nil {
			t.Error("a closed engine gives clients")
		}
	}
	if fi, err := os.Stat(root); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf("root %v, %v; want mode 0700", fi.Mode(), err)
	}
	if b, err := os.ReadFile(filepath.Join(root, "lock")); err != nil || len(b) != 0 {
		t.Errorf("lock file %q, %v after Close, want it empty", b, err)
	}
}

func TestExec(t *testing.T) {
	needsRoot(t)
	var log bytes.Buffer
	e := open(t, Options{Root: t.TempDir(), Log: &log})
	dir := probeDir(t)
	o := client.SolveOpt{LocalMounts: folder(t, "probe", dir)}

	out := mustSolve(t, e, probe().Run(llb.Args([]string{"/probe", "write", "/out", "tweet"})).Root(), o)
	if out["out"] != "tweet" {
		t.Errorf("the step wrote %q", out["out"])
	}

	// The host's interfaces and name servers by default, loopback ones included;
	// nothing but loopback without a network.
	resolv, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	ifs, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	net := mustSolve(t, e, probe().Run(llb.Args([]string{"/probe", "network", "/net"})).Root(), o)["net"]
	names, servers, _ := strings.Cut(net, "\n")
	if len(strings.Fields(names)) != len(ifs) {
		t.Errorf("interfaces %q, the host has %d", names, len(ifs))
	}
	for line := range strings.Lines(string(resolv)) {
		if strings.HasPrefix(line, "nameserver") && !strings.Contains(servers, strings.TrimSpace(line)) {
			t.Errorf("name servers %q, the host has %q", servers, line)
		}
	}
	none := mustSolve(t, e, probe().Run(llb.Args([]string{"/probe", "network", "/net"}), llb.Network(llb.NetModeNone)).Root(), o)["net"]
	if !strings.HasPrefix(none, "lo\n") {
		t.Errorf("interfaces without a network: %q, want only lo", none)
	}
	if !strings.Contains(log.String(), "msg=") {
		t.Error("the log is empty")
	}
}

func TestMergeDiff(t *testing.T) {
	needsRoot(t)
	e := open(t, Options{Root: t.TempDir()})
	a := llb.Scratch().File(llb.Mkfile("/a", 0o644, []byte("a")))
	ab := a.File(llb.Mkfile("/b", 0o644, []byte("b")))
	c := llb.Scratch().File(llb.Mkfile("/c", 0o644, []byte("c")))
	files := mustSolve(t, e, llb.Merge([]llb.State{llb.Diff(a, ab), c}), client.SolveOpt{})
	if len(files) != 2 || files["b"] != "b" || files["c"] != "c" {
		t.Errorf("files %v, want b and c", files)
	}
}

// image is a build function that gives st as an image for a platform.
func image(st llb.State, p ocispecs.Platform) gwclient.BuildFunc {
	return func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
		def, err := st.Marshal(ctx)
		if err != nil {
			return nil, err
		}
		res, err := c.Solve(ctx, gwclient.SolveRequest{Definition: def.ToPB()})
		if err != nil {
			return nil, err
		}
		config, err := json.Marshal(ocispecs.Image{Platform: p, RootFS: ocispecs.RootFS{Type: "layers"}})
		if err != nil {
			return nil, err
		}
		res.AddMeta("containerimage.config", config)
		return res, nil
	}
}

func build(t *testing.T, e *Engine, o client.SolveOpt, f gwclient.BuildFunc) *client.SolveResponse {
	t.Helper()
	c, err := e.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	resp, err := c.Build(t.Context(), o, "", f, nil)
	if err != nil {
		t.Fatal(err)
	}
	return resp
}

func TestOCIExportOfAnotherPlatform(t *testing.T) {
	needsRoot(t)
	e := open(t, Options{Root: t.TempDir()})
	arm := ocispecs.Platform{OS: "linux", Architecture: "arm64"}
	st := llb.Scratch().Platform(arm).File(llb.Mkfile("/bird", 0o644, []byte("wren")))
	var buf bytes.Buffer
	build(t, e, client.SolveOpt{Exports: []client.ExportEntry{{Type: client.ExporterOCI, Output: output(&buf)}}}, image(st, arm))
	files, err := tarFiles(&buf)
	if err != nil {
		t.Fatal(err)
	}
	var index ocispecs.Index
	if err := json.Unmarshal([]byte(files["index.json"]), &index); err != nil {
		t.Fatal(err)
	}
	if len(index.Manifests) != 1 {
		t.Fatalf("index %s", files["index.json"])
	}
	var manifest ocispecs.Manifest
	if err := json.Unmarshal([]byte(files["blobs/sha256/"+index.Manifests[0].Digest.Encoded()]), &manifest); err != nil {
		t.Fatal(err)
	}
	var config ocispecs.Image
	if err := json.Unmarshal([]byte(files["blobs/sha256/"+manifest.Config.Digest.Encoded()]), &config); err != nil {
		t.Fatal(err)
	}
	if config.Architecture != "arm64" || len(manifest.Layers) != 1 {
		t.Errorf("architecture %q, %d layers; want arm64, 1", config.Architecture, len(manifest.Layers))
	}
}

func TestRegistry(t *testing.T) {
	needsRoot(t)
	srv := httptest.NewServer(registry.New())
	t.Cleanup(srv.Close)
	_, port, _ := strings.Cut(strings.TrimPrefix(srv.URL, "http://"), ":")
	amd := ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	mounts := folder(t, "probe", probeDir(t))
	st := probe().Run(llb.Args([]string{"/probe", "write", "/bird", "wren"}), llb.WithCustomName("the bird")).Root()
	localCache := t.TempDir()
	for _, host := range []string{"localhost:" + port, "127.0.0.1:" + port} {
		name := host + "/a/house:1"
		pusher, err := Open(t.Context(), Options{Root: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		resp := build(t, pusher, client.SolveOpt{
			LocalMounts: mounts,
			Exports:     []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{"name": name, "push": "true"}}},
			CacheExports: []client.CacheOptionsEntry{
				{Type: "registry", Attrs: map[string]string{"ref": host + "/a/cache", "mode": "max"}},
				{Type: "local", Attrs: map[string]string{"dest": localCache, "mode": "max"}},
				{Type: "inline"},
			},
		}, image(st, amd))
		if resp.ExporterResponse["containerimage.digest"] == "" {
			t.Errorf("no digest in %v", resp.ExporterResponse)
		}
		if err := pusher.Close(); err != nil {
			t.Fatal(err)
		}
		// Another engine, so that nothing comes out of a cache.
		puller, err := Open(t.Context(), Options{Root: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		if got := mustSolve(t, puller, llb.Image(name), client.SolveOpt{}); got["bird"] != "wren" {
			t.Errorf("pulled %v from %s", got, name)
		}
		if err := puller.Close(); err != nil {
			t.Error(err)
		}
		for _, from := range []client.CacheOptionsEntry{
			{Type: "registry", Attrs: map[string]string{"ref": host + "/a/cache"}},
			{Type: "registry", Attrs: map[string]string{"ref": name}}, // inline
			{Type: "local", Attrs: map[string]string{"src": localCache}},
		} {
			e, err := Open(t.Context(), Options{Root: t.TempDir()})
			if err != nil {
				t.Fatal(err)
			}
			if !wasCached(t, e, st, client.SolveOpt{LocalMounts: mounts, CacheImports: []client.CacheOptionsEntry{from}}) {
				t.Errorf("the cache %v was not used", from)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// wasCached builds st and says whether the vertex named "the bird" was cached.
func wasCached(t *testing.T, e *Engine, st llb.State, o client.SolveOpt) bool {
	t.Helper()
	def, err := st.Marshal(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	status := make(chan *client.SolveStatus)
	cached := make(chan bool)
	go func() {
		hit := false
		for s := range status {
			for _, v := range s.Vertexes {
				hit = hit || v.Cached && v.Name == "the bird"
			}
		}
		cached <- hit
	}()
	if _, err := c.Solve(t.Context(), def, o, status); err != nil {
		t.Fatal(err)
	}
	return <-cached
}

func TestDockerfileWithProvenance(t *testing.T) {
	needsRoot(t)
	e := open(t, Options{Root: t.TempDir()})
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\nCOPY Dockerfile /bird\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	mounts := folder(t, "context", dir)
	mounts["dockerfile"] = mounts["context"]
	c, err := e.Client(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	var buf bytes.Buffer
	_, err = c.Solve(t.Context(), nil, client.SolveOpt{
		Frontend:      "dockerfile.v0",
		FrontendAttrs: map[string]string{"attest:provenance": "mode=max"},
		LocalMounts:   mounts,
		Exports:       []client.ExportEntry{{Type: client.ExporterOCI, Output: output(&buf)}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	files, err := tarFiles(&buf)
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, content := range files {
		found = found || strings.Contains(content, "https://slsa.dev/provenance/")
	}
	if !found {
		t.Error("no provenance in the image")
	}
}

// sleepBuild runs a step that sleeps, with a secret; started is called once it does.
func sleepBuild(ctx context.Context, e *Engine, probeDir, mark string, started func()) error {
	f, err := fsutil.NewFS(probeDir)
	if err != nil {
		return err
	}
	st := probe().Run(llb.Args([]string{"/probe", "sleep", mark}), llb.AddSecret("/secret", llb.SecretID("s")),
		llb.AddMount("/cache", llb.Scratch(), llb.AsPersistentCacheDir("c", llb.CacheMountShared))).Root()
	def, err := st.Marshal(ctx)
	if err != nil {
		return err
	}
	c, err := e.Client(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	status := make(chan *client.SolveStatus)
	go func() {
		for s := range status {
			for _, l := range s.Logs {
				if strings.Contains(string(l.Data), "sleeping") {
					started()
				}
			}
		}
	}()
	_, err = c.Solve(ctx, def, client.SolveOpt{
		LocalMounts: map[string]fsutil.FS{"probe": f},
		Session:     []session.Attachable{secretsprovider.FromMap(map[string][]byte{"s": []byte("hush")})},
	}, status)
	return err
}

// processes are the ids of processes with mark in their arguments, the
// test's own helpers left out.
func processes(t *testing.T, mark string) []int {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var pids []int
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		cmd, err := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		if err == nil && bytes.Contains(cmd, []byte("\x00"+mark+"\x00")) {
			pids = append(pids, pid)
		}
	}
	return pids
}

// leftovers are containers, bundles and mounts of the root.
func leftovers(t *testing.T, root string) []string {
	t.Helper()
	var left []string
	bundles, err := filepath.Glob(filepath.Join(root, "buildkit/*/executor/*/config.json"))
	if err != nil {
		t.Fatal(err)
	}
	left = append(left, bundles...)
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if strings.HasPrefix(m.Mountpoint, root+"/") || strings.Contains(m.VFSOptions, root+"/") ||
			strings.HasPrefix(m.Mountpoint, os.TempDir()+"/buildkit-secrets") {
			left = append(left, m.Mountpoint)
		}
	}
	runtime, err := findRuntime("")
	if err != nil {
		t.Fatal(err)
	}
	list, err := exec.Command(runtime, "list", "--format", "json").Output()
	if err != nil {
		t.Fatal(err)
	}
	var containers []struct{ ID, Bundle string }
	if err := json.Unmarshal(list, &containers); err != nil {
		t.Fatal(err)
	}
	for _, c := range containers {
		if strings.HasPrefix(c.Bundle, root+"/") {
			left = append(left, "container "+c.ID)
		}
	}
	return left
}

func TestCancelLeavesNothing(t *testing.T) {
	needsRoot(t)
	t.Setenv("TMPDIR", t.TempDir())
	root, dir := t.TempDir(), probeDir(t)
	for name, cancelFirst := range map[string]bool{"cancelled": true, "closed": false} {
		e, err := Open(t.Context(), Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		started, result := make(chan bool, 1), make(chan error)
		mark := "mark-" + filepath.Base(root) + name
		go func() { result <- sleepBuild(ctx, e, dir, mark, func() { started <- true }) }()
		select {
		case <-started:
		case err := <-result:
			t.Fatal(err)
		}
		if len(processes(t, mark)) == 0 {
			t.Fatal("no process with the mark: the test looks for the wrong thing")
		}
		if cancelFirst {
			cancel()
			if err := <-result; err == nil {
				t.Error("a cancelled build succeeded")
			}
		}
		start := time.Now()
		if err := e.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(start); d > stopTimeout {
			t.Errorf("Close took %s", d)
		}
		if !cancelFirst {
			if err := <-result; err == nil {
				t.Error("a build succeeded on a closed engine")
			}
		}
		if pids := processes(t, mark); len(pids) > 0 {
			t.Errorf("%s: processes %v still run", name, pids)
		}
		if left := leftovers(t, root); len(left) > 0 {
			t.Errorf("%s: left behind %q", name, left)
		}
	}
}

// startHelper runs this test binary as another process with an engine.
func startHelper(t *testing.T, args ...string) (*exec.Cmd, *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), helperEnv+"="+strings.Join(args, " "))
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	return cmd, bufio.NewScanner(out)
}

func expectLine(t *testing.T, s *bufio.Scanner, want string) {
	t.Helper()
	if !s.Scan() {
		t.Fatalf("the helper ended before it said %q: %v", want, s.Err())
	}
	if !strings.Contains(s.Text(), want) {
		t.Fatalf("the helper said %q, want %q", s.Text(), want)
	}
}

func TestLock(t *testing.T) {
	needsRoot(t)
	root := t.TempDir()
	first, firstOut := startHelper(t, "open", root)
	expectLine(t, firstOut, "open")

	// A second process says that it waits, and can be interrupted.
	second, secondOut := startHelper(t, "open", root)
	expectLine(t, secondOut, fmt.Sprintf("another birdhouse (pid %d) is using %s; waiting", first.Process.Pid, root))
	if err := second.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	expectLine(t, secondOut, fmt.Sprintf("error: waiting for %s, in use by pid %d: ", root, first.Process.Pid))
	if err := second.Wait(); err == nil {
		t.Error("the interrupted process succeeded")
	}

	// A third gets in when the first is done, having said once that it waits.
	said := make(chan string, 10)
	opened := make(chan error, 1)
	var e *Engine
	go func() {
		var err error
		e, err = Open(t.Context(), Options{Root: root, Notice: func(msg string) { said <- msg }})
		opened <- err
	}()
	<-said
	if err := first.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := <-opened; err != nil {
		t.Fatal(err)
	}
	if len(said) > 0 {
		t.Errorf("it said a second time %q", <-said)
	}
	if err := first.Wait(); err != nil {
		t.Error(err)
	}
	if b, _ := os.ReadFile(filepath.Join(root, "lock")); strings.TrimSpace(string(b)) != strconv.Itoa(os.Getpid()) {
		t.Errorf("lock file %q, want this process's id", b)
	}
	if err := e.Close(); err != nil {
		t.Error(err)
	}
}

func TestKilled(t *testing.T) {
	needsRoot(t)
	t.Setenv("TMPDIR", t.TempDir())
	root, dir := t.TempDir(), probeDir(t)
	mark := "mark-" + filepath.Base(root)
	helper, out := startHelper(t, "sleep", root, dir, mark)
	expectLine(t, out, "open")
	expectLine(t, out, "sleeping")
	if err := helper.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = helper.Wait() // says that it was killed
	left := strings.Join(leftovers(t, root), " ")
	for _, kind := range []string{"container ", "config.json", "buildkit-secrets", "/rootfs"} {
		if !strings.Contains(left, kind) {
			t.Fatalf("the killed process left no %q: the test looks for the wrong thing in %q", kind, left)
		}
	}

	e := open(t, Options{Root: root})
	if pids := processes(t, mark); len(pids) > 0 {
		t.Errorf("processes %v still run", pids)
	}
	if left := leftovers(t, root); len(left) > 0 {
		t.Errorf("left behind %q", left)
	}
	o := client.SolveOpt{LocalMounts: folder(t, "probe", dir)}
	if got := mustSolve(t, e, probe().Run(llb.Args([]string{"/probe", "write", "/out", "tweet"})).Root(), o); got["out"] != "tweet" {
		t.Errorf("the next build gives %v", got)
	}
}

func TestDamagedDatabases(t *testing.T) {
	needsRoot(t)
	root := t.TempDir()
	st := llb.Scratch().File(llb.Mkfile("/bird", 0o644, []byte("wren")))
	junk := func(f string) error { return os.WriteFile(f, bytes.Repeat([]byte("no"), 20000), 0o600) }
	cut := func(size int64) func(string) error {
		return func(f string) error { return os.Truncate(f, size) }
	}
	// Pages inside are read when they are needed, which would be too late.
	inside := func(f string) error {
		data, err := os.ReadFile(f)
		if err != nil {
			return err
		}
		for i := 4 * os.Getpagesize(); i < len(data); i++ {
			data[i] = 'x'
		}
		return os.WriteFile(f, data, 0o600)
	}
	for _, damage := range []struct {
		name string
		do   func(file string) error
	}{
		{"junk", junk}, {"removed", os.Remove}, {"emptied", cut(0)}, {"cut at 100", cut(100)}, {"cut at 4096", cut(4096)}, {"cut at 8192", cut(8192)}, {"cut at 20000", cut(20000)}, {"overwritten", inside},
	} {
		for _, name := range append([]string{cacheDatabase}, databases...) {
			t.Run(damage.name+" "+name, func(t *testing.T) {
				e, err := Open(t.Context(), Options{Root: root})
				if err != nil {
					t.Fatal(err)
				}
				mustSolve(t, e, st, client.SolveOpt{})
				if err := e.Close(); err != nil {
					t.Fatal(err)
				}
				files, err := filepath.Glob(filepath.Join(root, "buildkit/*", name))
				if err != nil || len(files) != 1 {
					t.Fatalf("files %q, %v", files, err)
				}
				if err := verifyDatabase(files[0]); err != nil {
					t.Errorf("a database in order: %v", err)
				}
				dir := strings.TrimSuffix(files[0], name)
				if !sealed(dir) {
					t.Error("databases in order would be read as a whole at each start")
				}
				if err := damage.do(files[0]); err != nil {
					t.Fatal(err)
				}
				if sealed(dir) {
					t.Error("damaged databases would not be read as a whole")
				}
				var notice string
				e, err = Open(t.Context(), Options{Root: root, Notice: func(msg string) { notice += msg }})
				if err != nil {
					t.Fatal(err)
				}
				if told := strings.Contains(notice, "is damaged"); told == (damage.name == "removed" && name == cacheDatabase) {
					t.Errorf("the user is told %q", notice)
				}
				if got, err := solve(t.Context(), e, st, client.SolveOpt{}); err != nil || got["bird"] != "wren" {
					t.Errorf("the next build gives %v, %v", got, err)
				}
				if err := e.Close(); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

func TestPrune(t *testing.T) {
	needsRoot(t)
	root, dir := t.TempDir(), probeDir(t)
	fill := func(limit int64) int64 {
		e, err := Open(t.Context(), Options{Root: root, MaxDiskBytes: limit})
		if err != nil {
			t.Fatal(err)
		}
		mustSolve(t, e, probe().Run(llb.Args([]string{"/probe", "fill", "/big", "30"})).Root(), client.SolveOpt{LocalMounts: folder(t, "probe", dir)})
		if err := e.Close(); err != nil {
			t.Fatal(err)
		}
		return folderSize(t, root)
	}
	if size := fill(1e9); size < 30e6 {
		t.Fatalf("below the limit: %d bytes in the root, want the 30 MB that were built", size)
	}
	if size := fill(10e6); size > 15e6 {
		t.Errorf("above the limit of 10 MB: %d bytes in the root", size)
	}
	if size := fill(1e9); size < 30e6 {
		t.Errorf("below the limit again: %d bytes in the root", size)
	}
}

func folderSize(t *testing.T, dir string) int64 {
	t.Helper()
	var size int64
	err := filepath.WalkDir(dir, func(_ string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		size += fi.Size()
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return size
}

func TestFullDisk(t *testing.T) {
	needsRoot(t)
	root, dir := t.TempDir(), probeDir(t)
	if err := syscall.Mount("tmpfs", root, "tmpfs", 0, "size=64m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	o := client.SolveOpt{LocalMounts: folder(t, "probe", dir)}
	run := func(megabytes string) error {
		e, err := Open(t.Context(), Options{Root: root})
		if err != nil {
			t.Fatal(err)
		}
		_, err = solve(t.Context(), e, probe().Run(llb.Args([]string{"/probe", "fill", "/big", megabytes})).Root(), o)
		if err := e.Close(); err != nil {
			t.Errorf("closing on a full disk: %v", err)
		}
		return err
	}
	for _, step := range []struct {
		megabytes string
		full      bool
	}{{"100", true}, {"5", false}, {"101", true}, {"6", false}} {
		err := run(step.megabytes)
		if !step.full && err != nil {
			t.Errorf("%s MB: %v", step.megabytes, err)
		}
		if step.full && (err == nil || !strings.Contains(err.Error(), diskFullText) || !strings.Contains(err.Error(), root)) {
			t.Errorf("%s MB: error %v, want one that says which disk is full", step.megabytes, err)
		}
	}

	// So full that not even the databases can be opened.
	if err := os.RemoveAll(filepath.Join(root, "buildkit")); err != nil {
		t.Fatal(err)
	}
	junk := filepath.Join(root, "junk")
	if err := os.WriteFile(junk, make([]byte, 100<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filling the disk: %v", err)
	}
	_, err := Open(t.Context(), Options{Root: root})
	if err == nil || !strings.Contains(err.Error(), diskFullText) {
		t.Errorf("opening on a full disk: error %v", err)
	}
	if err := os.Remove(junk); err != nil {
		t.Fatal(err)
	}
	if err := run("5"); err != nil {
		t.Errorf("with room again: %v", err)
	}
}

func TestNativeSnapshotter(t *testing.T) {
	needsRoot(t)
	// Overlayfs does not go on top of overlayfs.
	lower, upper, root := t.TempDir(), t.TempDir(), t.TempDir()
	for _, d := range []string{"up", "work"} {
		if err := os.Mkdir(filepath.Join(upper, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s,upperdir=%s/up,workdir=%s/work", lower, upper, upper)
	if err := syscall.Mount("overlay", root, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(root, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	var log bytes.Buffer
	e := open(t, Options{Root: root, Log: &log})
	if !strings.Contains(log.String(), "overlayfs does not work") {
		t.Errorf("the log does not say that layers are copied: %s", log.String())
	}
	a := llb.Scratch().File(llb.Mkfile("/a", 0o644, []byte("a")))
	st := llb.Merge([]llb.State{a, probe()}).Run(llb.Args([]string{"/probe", "write", "/out", "tweet"})).Root()
	if got := mustSolve(t, e, st, client.SolveOpt{LocalMounts: folder(t, "probe", probeDir(t))}); got["out"] != "tweet" || got["a"] != "a" {
		t.Errorf("built %v", got)
	}
}

func BenchmarkOpenClose(b *testing.B) {
	root := b.TempDir()
	for b.Loop() {
		e, err := Open(b.Context(), Options{Root: root})
		if err != nil {
			b.Fatal(err)
		}
		if err := e.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
