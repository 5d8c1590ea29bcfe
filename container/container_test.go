package container

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/containerd/console"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// house returns a root whose store has the probe's image as "probe".
func house(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root and runc")
	}
	root := t.TempDir()
	keep(t, root, "probe", probeImage(t))
	return root
}

type outcome struct {
	code        int
	err         error
	out, errOut string
}

func runWith(t *testing.T, root string, o Options) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out, errOut bytes.Buffer
	o.Root, o.Stdout, o.Stderr = root, &out, &errOut
	if o.Image == "" {
		o.Image = "probe"
	}
	code, err := Run(ctx, o)
	return outcome{code, err, out.String(), errOut.String()}
}

func runOK(t *testing.T, root string, o Options) string {
	t.Helper()
	r := runWith(t, root, o)
	require.NoError(t, r.err, r.errOut)
	require.Equal(t, 0, r.code, r.errOut)
	return r.out
}

// nothingLeft checks that no container, mount or half-unpacked image stays.
func nothingLeft(t *testing.T, root string) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "run", "containers"))
	require.NoError(t, err)
	assert.Empty(t, entries)
	tmp, err := filepath.Glob(filepath.Join(root, "run", "*.tmp"))
	require.NoError(t, err)
	assert.Empty(t, tmp)
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	require.NoError(t, err)
	assert.NotContains(t, string(mounts), root)
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }

func TestRunAsTheImageSays(t *testing.T) {
	root := house(t)
	got := lines(runOK(t, root, Options{}))
	assert.Contains(t, got, "args from-cmd")
	assert.Contains(t, got, "cwd /work/dir")
	assert.Contains(t, got, "uid 65532 gid 0 groups [0]")
	assert.Contains(t, got, "host true")
	assert.Contains(t, got, "env PATH=/bin")
	assert.Contains(t, got, "env COLOR=red")
	assert.Contains(t, got, "env HOME=/")
	nothingLeft(t, root)
}

func TestRunAsTheUserSays(t *testing.T) {
	root := house(t)
	t.Setenv("FROM_HERE", "here")
	file := filepath.Join(t.TempDir(), "env")
	require.NoError(t, os.WriteFile(file, []byte("# comment\nFILE=1\nBOTH=file\nFROM_HERE\nNOT_SET_HERE\n"), 0o600))
	got := lines(runOK(t, root, Options{
		Args: []string{"show", "a", "-e"}, Env: []string{"COLOR=blue", "BOTH=flag", "PATH"}, EnvFiles: []string{file},
		User: "bird", WorkDir: "/else/where",
	}))
	assert.Contains(t, got, "args a,-e")
	assert.Contains(t, got, "cwd /else/where")
	assert.Contains(t, got, "uid 1000 gid 1001 groups [1001 1002]")
	assert.Contains(t, got, "env COLOR=blue")
	assert.Contains(t, got, "env FILE=1")
	assert.Contains(t, got, "env BOTH=flag")
	assert.Contains(t, got, "env FROM_HERE=here")
	assert.Contains(t, got, "env PATH="+os.Getenv("PATH"))
	assert.Contains(t, got, "env HOME=/home/bird")
	assert.NotContains(t, strings.Join(got, "\n"), "NOT_SET_HERE")
}

func TestRunIsConfined(t *testing.T) {
	root := house(t)
	status := runOK(t, root, Options{Args: []string{"status"}})
	assert.Regexp(t, `(?m)^NoNewPrivs:\t1$`, status)
	assert.Regexp(t, `(?m)^CapEff:\t0+$`, status)
	assert.Regexp(t, `(?m)^CapBnd:\t00000000a80425fb$`, status)
	assert.Regexp(t, `(?m)^Pid:\t1$`, status)
	rt, err := findRuntime(context.Background(), "")
	require.NoError(t, err)
	if rt.seccomp {
		assert.Regexp(t, `(?m)^Seccomp:\t2$`, status)
	}
	asRoot := runOK(t, root, Options{Args: []string{"status"}, User: "0:0"})
	assert.Regexp(t, `(?m)^CapEff:\t00000000a80425fb$`, asRoot)
	r := runWith(t, root, Options{Args: []string{"write", "/proc/sys/kernel/domainname", "x"}, User: "0"})
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "read-only file system")
}

func TestRunLayersAndNames(t *testing.T) {
	root := house(t)
	got := lines(runOK(t, root, Options{Args: []string{"ls", "/etc"}}))
	assert.NotContains(t, got, "deleted")
	for _, name := range []string{"passwd", "hosts", "resolv.conf", "hostname"} {
		assert.Contains(t, got, name)
	}
	hosts, err := os.ReadFile("/etc/hosts")
	require.NoError(t, err)
	assert.Equal(t, string(hosts), runOK(t, root, Options{Args: []string{"cat", "/etc/hosts"}}))
	// By name in PATH, by a link, and with no entrypoint.
	for _, ep := range []string{"probe", "/bin/link", "../../bin/probe"} {
		assert.Equal(t, "no arguments\n", runOK(t, root, Options{Entrypoint: &ep}), "--entrypoint drops the image's cmd")
	}
	none := ""
	assert.Contains(t, runOK(t, root, Options{Entrypoint: &none, Args: []string{"/bin/probe", "show", "x"}}), "args x\n")
}

func TestRunWritesStayInTheContainer(t *testing.T) {
	root := house(t)
	runOK(t, root, Options{Args: []string{"write", "/open/file", "x"}})
	assert.Empty(t, runOK(t, root, Options{Args: []string{"ls", "/open"}}))
	r := runWith(t, root, Options{Args: []string{"write", "/open/file", "x"}, ReadOnly: true})
	assert.NoError(t, r.err)
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "read-only file system")
	runOK(t, root, Options{Args: []string{"write", "/data/file", "x"}, ReadOnly: true})
}

func TestRunVolumes(t *testing.T) {
	root := house(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o777))
	runOK(t, root, Options{Args: []string{"write", "/mnt/file", "hello"}, Volumes: []string{dir + ":/mnt"}})
	data, err := os.ReadFile(filepath.Join(dir, "file"))
	require.NoError(t, err)
	assert.Equal(t, "hello", string(data))
	assert.Equal(t, "hello", runOK(t, root, Options{Args: []string{"cat", "/one"}, Volumes: []string{dir + "/file:/one:ro"}}))

	r := runWith(t, root, Options{Args: []string{"write", "/mnt/file", "x"}, Volumes: []string{dir + ":/mnt:ro"}})
	assert.Equal(t, 1, r.code)
	assert.Contains(t, r.errOut, "read-only file system")

	// The image's own: its content comes along, and the next one starts anew.
	assert.Equal(t, "from the image", runOK(t, root, Options{Args: []string{"cat", "/data/seed"}}))
	runOK(t, root, Options{Args: []string{"write", "/data/more", "x"}})
	assert.Equal(t, "seed\n", runOK(t, root, Options{Args: []string{"ls", "/data"}}))
	runOK(t, root, Options{Args: []string{"write", "/fresh/file", "x"}})
	runOK(t, root, Options{Args: []string{"write", "/new/file", "x"}, Volumes: []string{"/new"}})
	assert.Equal(t, "file\n", runOK(t, root, Options{Args: []string{"ls", "/data"}, Volumes: []string{dir + ":/data"}}))

	missing := filepath.Join(dir, "made", "for-you")
	runOK(t, root, Options{Args: []string{"ls", "/mnt"}, Volumes: []string{missing + ":/mnt"}})
	assert.DirExists(t, missing)
	nothingLeft(t, root)
}

func TestRunExitCodes(t *testing.T) {
	root := house(t)
	for _, code := range []int{1, 3, 125, 126, 127, 255} {
		r := runWith(t, root, Options{Args: []string{"exit", strconv.Itoa(code)}})
		require.NoError(t, r.err)
		assert.Equal(t, code, r.code)
	}
	for _, c := range []struct {
		entrypoint string
		code       int
		message    string
	}{
		{"/nothing", ExitNotFound, "the image has no /nothing"},
		{"nothing", ExitNotFound, `no "nothing" in its PATH (/bin)`},
		{"/not-executable", ExitNotExecutable, "/not-executable is not executable"},
		{"/etc", ExitNotExecutable, "/etc is a directory"},
		{"/script", ExitNotFound, "/script needs /bin/missing"},
		// Found by the runtime, in a directory of this machine.
		{"/mnt/nothing", ExitNotFound, "/mnt/nothing"},
		{"/mnt/no", ExitNotExecutable, "ermission denied"},
	} {
		dir := t.TempDir()
		require.NoError(t, os.WriteFile(filepath.Join(dir, "no"), []byte("x"), 0o644))
		r := runWith(t, root, Options{Entrypoint: &c.entrypoint, Volumes: []string{dir + ":/mnt"}})
		require.ErrorContains(t, r.err, c.message, r.errOut)
		assert.Equal(t, c.code, r.code, c.entrypoint)
	}
	garbage := "/garbage"
	r := runWith(t, root, Options{Entrypoint: &garbage})
	assert.NotEqual(t, 0, r.code)
	assert.Contains(t, r.errOut+fmt.Sprint(r.err), "exec format error")
	nothingLeft(t, root)
}

func TestRunRefuses(t *testing.T) {
	root := house(t)
	none, bare := "", configured(t, probeImage(t), v1.Config{})
	keep(t, root, "bare", bare)
	f, err := bare.ConfigFile()
	require.NoError(t, err)
	f = f.DeepCopy()
	f.Architecture = "s390x"
	foreign, err := mutate.ConfigFile(bare, f)
	require.NoError(t, err)
	keep(t, root, "foreign", foreign)
	for _, c := range []struct {
		o       Options
		message string
	}{
		{Options{Image: "bare"}, "the image says no command"},
		{Options{Entrypoint: &none}, "the image says no command"},
		{Options{Image: "foreign"}, "the image is for linux/s390x, this machine runs linux/"},
		{Options{Image: "probe", Platform: "linux/s390x"}, "not there for linux/s390x, only for linux/"},
		{Options{User: "nobody-knows"}, `user "nobody-knows"`},
		{Options{WorkDir: "relative"}, `--workdir "relative" is not an absolute path`},
		{Options{Volumes: []string{"name:/mnt"}}, "named volumes are not kept here"},
		{Options{Volumes: []string{"/tmp:/"}}, "the container's / cannot be replaced"},
		{Options{EnvFiles: []string{"/nowhere"}}, "--env-file"},
		{Options{TTY: true, Interactive: true, Stdin: strings.NewReader("")}, "needs a terminal"},
		{Options{Image: "UPPER"}, "not an image name"},
		{Options{Image: "127.0.0.1:1/app"}, "is not in the image store, which has "}, {Options{Image: "127.0.0.1:1/app"}, "pulling 127.0.0.1:1/app"},
		{Options{Runtime: "/nowhere/runc"}, "/nowhere/runc"},
	} {
		r := runWith(t, root, c.o)
		require.ErrorContains(t, r.err, c.message, r.errOut)
		assert.Equal(t, ExitFailed, r.code)
	}
	t.Setenv("PATH", t.TempDir())
	r := runWith(t, root, Options{})
	require.ErrorContains(t, r.err, "neither runc nor crun is in PATH")
	nothingLeft(t, root)
}

// started is a run in the background.
type started struct {
	signals chan os.Signal
	out     *os.File
	cancel  context.CancelFunc
	code    chan outcome
}

// start runs a container and waits for its line "ready…".
func start(t *testing.T, root string, o Options) (*started, string) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s := &started{signals: make(chan os.Signal, 8), out: r, cancel: cancel, code: make(chan outcome, 1)}
	o.Root, o.Image, o.Stdout, o.Stderr, o.Signals = root, "probe", w, w, s.signals
	go func() {
		code, err := Run(ctx, o)
		_ = w.Close()
		s.code <- outcome{code: code, err: err}
	}()
	t.Cleanup(func() { cancel(); _ = r.Close() })
	return s, s.line(t)
}

func (s *started) line(t *testing.T) string {
	t.Helper()
	var line []byte
	for b := make([]byte, 1); ; {
		if n, err := s.out.Read(b); n == 0 || err != nil {
			t.Fatalf("output ended after %q: %v", line, err)
		}
		if b[0] == '\n' {
			return strings.TrimRight(string(line), "\r")
		}
		line = append(line, b[0])
	}
}

func (s *started) end(t *testing.T) outcome {
	t.Helper()
	select {
	case r := <-s.code:
		return r
	case <-time.After(30 * time.Second):
		t.Fatal("the container does not end")
		return outcome{}
	}
}

func TestRunPassesSignalsOn(t *testing.T) {
	root := house(t)
	s, _ := start(t, root, Options{Args: []string{"trap"}})
	for _, c := range []struct {
		sig  syscall.Signal
		want string
	}{{syscall.SIGUSR1, "got user defined signal 1"}, {syscall.SIGHUP, "got hangup"}, {syscall.SIGINT, "got interrupt"}, {syscall.SIGTERM, "got terminated"}} {
		s.signals <- c.sig
		assert.Equal(t, c.want, s.line(t))
	}
	r := s.end(t)
	require.NoError(t, r.err)
	assert.Equal(t, 7, r.code)
	nothingLeft(t, root)
}

// pidOf is the process of the only container; the runtime writes it a moment
// after the program has started.
func pidOf(t *testing.T, root string) (pid int) {
	t.Helper()
	require.Eventually(t, func() bool {
		names, err := filepath.Glob(filepath.Join(root, "run", "containers", "*", "pid"))
		if err != nil || len(names) != 1 {
			return false
		}
		data, err := os.ReadFile(names[0])
		if err != nil {
			return false
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil
	}, 10*time.Second, 10*time.Millisecond)
	return pid
}

func TestRunKilled(t *testing.T) {
	root := house(t)
	s, _ := start(t, root, Options{Args: []string{"sleep"}})
	pid := pidOf(t, root)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	r := s.end(t)
	require.NoError(t, r.err)
	assert.Equal(t, 137, r.code)
	nothingLeft(t, root)
}

func TestRunCancelled(t *testing.T) {
	root := house(t)
	s, _ := start(t, root, Options{Args: []string{"ignore"}})
	s.cancel()
	r := s.end(t)
	require.ErrorIs(t, r.err, context.Canceled)
	assert.Equal(t, 137, r.code)
	nothingLeft(t, root)
}

func TestRunSignalBeforeTheProgram(t *testing.T) {
	root := house(t)
	signals := make(chan os.Signal, 1)
	signals <- syscall.SIGINT
	r := runWith(t, root, Options{Args: []string{"ignore"}, Signals: signals})
	require.ErrorContains(t, r.err, "SIGINT before the program started")
	assert.Equal(t, 130, r.code)
}

func TestRunListensOnTheMachine(t *testing.T) {
	root := house(t)
	s, ready := start(t, root, Options{Args: []string{"listen", "127.0.0.1:0"}})
	c, err := net.DialTimeout("tcp", strings.TrimPrefix(ready, "ready "), 5*time.Second)
	require.NoError(t, err)
	defer c.Close()
	var answer bytes.Buffer
	_, err = answer.ReadFrom(c)
	require.NoError(t, err)
	assert.Equal(t, "hello from the container", answer.String())
	assert.Equal(t, 0, s.end(t).code)
}

func TestRunInput(t *testing.T) {
	root := house(t)
	r := runWith(t, root, Options{Args: []string{"echo"}, Interactive: true, Stdin: strings.NewReader("some input")})
	require.NoError(t, r.err)
	assert.Equal(t, "some input", r.out)
	assert.Equal(t, "end of input\n", r.errOut)
	r = runWith(t, root, Options{Args: []string{"echo"}, Stdin: strings.NewReader("some input")})
	assert.Empty(t, r.out, "without -i there is no input")
}

func TestRunTerminal(t *testing.T) {
	root := house(t)
	assert.Equal(t, "tty true term xterm\r\n", runOK(t, root, Options{Args: []string{"tty"}, TTY: true}))

	master, name, err := console.NewPty()
	require.NoError(t, err)
	defer master.Close()
	slave, err := os.OpenFile(name, os.O_RDWR|syscall.O_NOCTTY, 0)
	require.NoError(t, err)
	defer slave.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var mu sync.Mutex
	var out bytes.Buffer
	go func() {
		buf := make([]byte, 1024)
		for {
			n, err := master.Read(buf)
			mu.Lock()
			out.Write(buf[:n])
			mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	code := make(chan outcome, 1)
	go func() {
		c, err := Run(ctx, Options{Root: root, Image: "probe", Args: []string{"trap"}, TTY: true, Interactive: true, Stdin: slave, Stdout: slave, Stderr: slave})
		code <- outcome{code: c, err: err}
	}()
	shows := func(text string) {
		require.Eventually(t, func() bool {
			mu.Lock()
			defer mu.Unlock()
			return strings.Contains(out.String(), text)
		}, 30*time.Second, 10*time.Millisecond, text)
	}
	shows("ready")
	_, err = master.Write([]byte{3}) // Ctrl-C, for the container's own terminal
	require.NoError(t, err)
	shows("got interrupt")
	cancel()
	assert.Equal(t, 137, (<-code).code)
}

func TestRunInParallel(t *testing.T) {
	root := house(t)
	var g errgroup.Group
	for i := range 6 {
		g.Go(func() error {
			var out bytes.Buffer
			code, err := Run(context.Background(), Options{Root: root, Image: "probe", Args: []string{"show", strconv.Itoa(i)}, Stdout: &out, Stderr: &out})
			if err != nil || code != 0 || !strings.Contains(out.String(), fmt.Sprintf("args %d\n", i)) {
				return fmt.Errorf("run %d: code %d: %w: %s", i, code, err, out.String())
			}
			return nil
		})
	}
	require.NoError(t, g.Wait())
	nothingLeft(t, root)
	unpacked, err := filepath.Glob(filepath.Join(root, "run", "*", "bin", "probe"))
	require.NoError(t, err)
	assert.Len(t, unpacked, 1, "one image, unpacked once")
}

// TestMain is also the process that killedRun kills.
func TestMain(m *testing.M) {
	if root := os.Getenv("CONTAINER_TEST_ROOT"); root != "" {
		_, _ = Run(context.Background(), Options{
			Root: root, Image: "probe", Args: []string{os.Getenv("CONTAINER_TEST_ARG")}, Stdout: os.Stdout, Stderr: os.Stderr,
		})
		return
	}
	// A library's warning about file systems without verity.
	logrus.SetLevel(logrus.PanicLevel)
	os.Exit(m.Run())
}

// killedRun kills a process in the middle of Run and returns the program's pid.
func killedRun(t *testing.T, root, arg string) int {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "CONTAINER_TEST_ROOT="+root, "CONTAINER_TEST_ARG="+arg)
	r, w, err := os.Pipe()
	require.NoError(t, err)
	defer r.Close()
	cmd.Stdout, cmd.Stderr = w, w
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	_ = w.Close()
	buf := make([]byte, 5)
	_, err = r.Read(buf)
	require.NoError(t, err)
	require.Equal(t, "ready", string(buf))
	pid := pidOf(t, root)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	return pid
}

func gone(t *testing.T, pid int) {
	t.Helper()
	require.Eventually(t, func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH }, 10*time.Second, 10*time.Millisecond)
}

func TestRunAfterKill(t *testing.T) {
	root := house(t)
	gone(t, killedRun(t, root, "trap")) // is asked to end
	pid := killedRun(t, root, "ignore")
	require.NoError(t, syscall.Kill(pid, 0), "the program ignores that its run ended")

	runOK(t, root, Options{})
	nothingLeft(t, root)
	gone(t, pid)
}

// TestRunWithoutOverlay runs where an overlay cannot be: on another one.
func TestRunWithoutOverlay(t *testing.T) {
	if testing.Short() {
		t.Skip("needs root and runc")
	}
	dir := t.TempDir()
	for _, name := range []string{"lower", "upper", "work", "root"} {
		require.NoError(t, os.Mkdir(filepath.Join(dir, name), 0o755))
	}
	root := filepath.Join(dir, "root")
	require.NoError(t, unix.Mount("overlay", root, "overlay", 0,
		fmt.Sprintf("lowerdir=%s/lower,upperdir=%s/upper,workdir=%s/work", dir, dir, dir)))
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(root, 0)) })
	keep(t, root, "probe", probeImage(t))
	s, _ := start(t, root, Options{Args: []string{"trap"}})
	copies, err := filepath.Glob(filepath.Join(root, "run", "containers", "*", "rootfs", "bin", "probe"))
	require.NoError(t, err)
	assert.Len(t, copies, 1, "the image is copied")
	s.signals <- syscall.SIGTERM
	assert.Equal(t, 7, s.end(t).code)
	runOK(t, root, Options{Args: []string{"write", "/open/file", "x"}})
	assert.Empty(t, runOK(t, root, Options{Args: []string{"ls", "/open"}}))
}

func TestRunForgetsOldImages(t *testing.T) {
	root := house(t)
	runOK(t, root, Options{})
	first, err := filepath.Glob(filepath.Join(root, "run", "*", "bin", "probe"))
	require.NoError(t, err)
	require.Len(t, first, 1)
	// Half an image, as a killed process leaves it.
	broken := strings.Repeat("ab", 32)
	require.NoError(t, os.Mkdir(filepath.Join(root, "run", broken+tmpSuffix), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(root, "run", broken+lockSuffix), nil, 0o600))

	img := configured(t, probeImage(t), v1.Config{Entrypoint: []string{"/bin/probe", "show"}})
	keep(t, root, "probe", img)
	runOK(t, root, Options{})
	assert.NoFileExists(t, first[0])
	nothingLeft(t, root)
	locks, err := filepath.Glob(filepath.Join(root, "run", "*"+lockSuffix))
	require.NoError(t, err)
	assert.Len(t, locks, 1)
}

func TestRunDamagedLayer(t *testing.T) {
	root := house(t)
	img := probeImage(t)
	other := layer(t, entry{name: "other", content: []byte("x"), mode: 0o644})
	f, err := img.ConfigFile()
	require.NoError(t, err)
	f = f.DeepCopy()
	diffID, err := other.DiffID()
	require.NoError(t, err)
	f.RootFS.DiffIDs[1] = diffID
	img, err = mutate.ConfigFile(img, f)
	require.NoError(t, err)
	keep(t, root, "probe", img)
	r := runWith(t, root, Options{})
	require.ErrorContains(t, r.err, "layer 2: its content is")
	assert.Equal(t, ExitFailed, r.code)
	nothingLeft(t, root)
	unpacked, err := filepath.Glob(filepath.Join(root, "run", "*", "etc"))
	require.NoError(t, err)
	assert.Empty(t, unpacked)
}

func TestCleanWhileAnotherRuns(t *testing.T) {
	root := house(t)
	s, _ := start(t, root, Options{Args: []string{"trap"}})
	runOK(t, root, Options{})
	s.signals <- syscall.SIGTERM
	assert.Equal(t, "got terminated", s.line(t))
	assert.Equal(t, 7, s.end(t).code)
	nothingLeft(t, root)
}
