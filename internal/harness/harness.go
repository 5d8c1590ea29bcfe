// Package harness starts what tests with real engines need: a registry, a
// BuildKit daemon, a Docker engine, their clients, and our own command and
// frontend image. Only tests import it.
//
// Everything here skips under -short and fails, naming the make target that
// helps, where a program is missing. What a test starts ends with it, leaving no
// process, mount or file; what tests of a package share (Shared…) ends with the
// package, which for that calls Main from its TestMain.
package harness

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/gofrs/flock"
)

// needs skips a -short test.
func needs(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("needs root / network")
	}
}

// Root returns the folder of the repository: the nearest one up from the working
// directory that has a Makefile next to a go.mod.
func Root(t testing.TB) string {
	t.Helper()
	root, err := findRoot()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

var findRoot = sync.OnceValues(func() (string, error) {
	wd, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := wd; ; dir = filepath.Dir(dir) {
		if exists(filepath.Join(dir, "go.mod")) && exists(filepath.Join(dir, "Makefile")) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("finding the repository: no go.mod next to a Makefile in %s or above", wd)
		}
	}
})

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Tool returns the path of a program that `make tools` puts into .tools/bin.
func Tool(t testing.TB, name string) string {
	t.Helper()
	needs(t)
	path := filepath.Join(Root(t), ".tools", "bin", name)
	if !exists(path) {
		t.Fatalf("%s is missing: run `make tools`", path)
	}
	return path
}

// system returns the path of a program of the machine.
func system(t testing.TB, name string) string {
	t.Helper()
	needs(t)
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	// A user's PATH may lack the administrator's folders, where daemons are.
	for _, dir := range []string{"/usr/local/sbin", "/usr/sbin", "/sbin"} {
		if path := filepath.Join(dir, name); exists(path) {
			return path
		}
	}
	t.Fatalf("%s is missing: run `make setup`", name)
	return ""
}

// Birdhouse returns the path of the command, up to date with the tree.
func Birdhouse(t testing.TB) string {
	t.Helper()
	needs(t)
	if err := makeBuild(); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(Root(t), "dist", "birdhouse")
}

// makeBuild brings dist/ up to date, once in a process and one process at a time.
var makeBuild = sync.OnceValue(func() error {
	root, err := findRoot()
	if err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(root, ".tools", "build.lock"))
	if err != nil {
		return err
	}
	defer unlock()
	out, err := exec.Command("make", "-s", "-C", root, "build").CombinedOutput()
	if err != nil {
		return fmt.Errorf("make build: %w\n%s", err, out)
	}
	return nil
})

// lock waits for the lock of that name, which other test processes respect.
func lock(path string) (unlock func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	l := flock.New(path)
	if err := l.Lock(); err != nil {
		return nil, fmt.Errorf("locking %s: %w", path, err)
	}
	return func() { _ = l.Unlock() }, nil
}

// Run runs a command and returns what it printed on both outputs. It fails the
// test when the command does.
func Run(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := output(cmd)
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return out
}

// RunFails runs a command that must exit with a code other than 0 and returns
// what it printed on both outputs.
func RunFails(t testing.TB, cmd *exec.Cmd) string {
	t.Helper()
	out, err := output(cmd)
	if err == nil {
		t.Fatalf("%s: succeeded, and should have failed\n%s", strings.Join(cmd.Args, " "), out)
	}
	if _, exited := err.(*exec.ExitError); !exited {
		t.Fatalf("%s: %v\n%s", strings.Join(cmd.Args, " "), err, out)
	}
	return out
}

func output(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// shared are the functions that stop what the tests of this process share, in
// the order of starting.
var shared struct {
	sync.Mutex
	main bool
	stop []func() error
}

// Main runs the tests of a package, stops what they shared, and exits.
func Main(m *testing.M) {
	shared.main = true
	code := m.Run()
	for _, stop := range shared.stop {
		if err := stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// share returns a function that starts something at its first call, to be
// stopped by Main.
func share[T any](start func(testing.TB) (T, func() error)) func(testing.TB) T {
	var (
		value   T
		started bool
	)
	return func(t testing.TB) T {
		t.Helper()
		needs(t)
		shared.Lock()
		defer shared.Unlock()
		if !shared.main {
			t.Fatal("a package that shares daemons calls harness.Main from its TestMain")
		}
		if !started {
			v, stop := start(t)
			value, started = v, true
			shared.stop = append(shared.stop, stop)
		}
		return value
	}
}

// stateDir makes a folder for a daemon's state, locked while this process lives.
// Its path is short, since a Unix socket's may have 107 bytes. What processes that
// were killed left behind is removed first.
func stateDir(t testing.TB, name string) string {
	t.Helper()
	// Nobody sweeps between the making of a folder and its lock.
	unlock, err := lock(filepath.Join(os.TempDir(), "birdhouse-tests.lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	if err := sweep(); err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "bh-"+name+"-")
	if err != nil {
		t.Fatal(err)
	}
	release, err := lock(stateLock(dir))
	if err != nil {
		t.Fatal(err)
	}
	// A lock that nothing refers to is let go of when it is collected.
	held.Lock()
	defer held.Unlock()
	held.locks = append(held.locks, release)
	return dir
}

// held are the locks of this process's state folders.
var held struct {
	sync.Mutex
	locks []func()
}

// stateLock is the file of a state folder that its process has locked. The kernel
// lets go of it when the process ends, however that is.
func stateLock(dir string) string { return filepath.Join(dir, "lock") }

// sweep removes the state folders whose process has ended.
func sweep() error {
	locks, err := filepath.Glob(stateLock(filepath.Join(os.TempDir(), "bh-*")))
	if err != nil {
		return err
	}
	for _, path := range locks {
		l := flock.New(path)
		free, err := l.TryLock()
		if err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("locking %s: %w", path, err)
		}
		if !free {
			continue
		}
		err = removeState(filepath.Dir(path))
		_ = l.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}
