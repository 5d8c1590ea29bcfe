package exec

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	osexec "os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The test program is also the command that is run: told by this variable.
const role = "STEPS_EXEC_TEST_ROLE"

func TestMain(m *testing.M) {
	switch os.Getenv(role) {
	case "":
		os.Exit(m.Run())
	case "fail":
		os.Exit(7)
	case "kill":
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {}
	case "sleep":
		time.Sleep(time.Minute)
	case "print":
		os.Stdout.WriteString("  " + os.Getenv("ANSWER") + "\n")
	case "env":
		os.Stdout.WriteString(os.Getenv("ONE") + "|" + os.Getenv("TWO"))
	}
	os.Exit(0)
}

func command(t *testing.T, what string, env ...string) Options {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return Options{Args: []string{self}, Env: append([]string{role + "=" + what}, env...), Stdout: new(bytes.Buffer), Stderr: new(bytes.Buffer)}
}

func write(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, f := range files {
		name := filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte("content of "+filepath.Base(f)), 0o444); err != nil {
			t.Fatal(err)
		}
	}
}

// files lists all but directories, sorted.
func files(t *testing.T, dir string) []string {
	t.Helper()
	var names []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}

func removal(t *testing.T, s string) Removal {
	t.Helper()
	r, err := ParseRemoval(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestSaveAndRemove(t *testing.T) {
	src, dst := t.TempDir(), filepath.Join(t.TempDir(), "cache", "go-mod")
	write(t, src, "a/@v/v1.zip", "a/@v/v1.mod", "a/@v/list", "a/@v/v1.lock", "a/@v/v1.tmp123", "b/c/d/v2.zip", "vcs/x/y")
	if err := os.Chmod(filepath.Join(src, "vcs/x"), 0o555); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(src, "link.zip")); err != nil {
		t.Fatal(err)
	}
	write(t, dst, "a/@v/v1.mod", "other")
	if err := os.Chmod(filepath.Join(dst, "a/@v/v1.mod"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dst, "a/@v/v1.mod"), []byte("there before"), 0o644); err != nil {
		t.Fatal(err)
	}

	o := command(t, "ok")
	o.Save = []Pair{{src, dst}, {filepath.Join(src, "missing"), filepath.Join(dst, "never")}}
	o.Remove = []Removal{removal(t, src+"=vcs"), removal(t, src+"=**/*.zip"), removal(t, src+"/missing=**")}
	if err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if got, want := files(t, dst), []string{"a/@v/v1.mod", "a/@v/v1.zip", "b/c/d/v2.zip", "other", "vcs/x/y"}; !slices.Equal(got, want) {
		t.Errorf("saved %q, want %q", got, want)
	}
	if got, _ := os.ReadFile(filepath.Join(dst, "a/@v/v1.mod")); string(got) != "there before" {
		t.Errorf("a file of the cache was replaced: %q", got)
	}
	if got, _ := os.ReadFile(filepath.Join(dst, "b/c/d/v2.zip")); string(got) != "content of v2.zip" {
		t.Errorf("saved %q", got)
	}
	if got, want := files(t, src), []string{"a/@v/list", "a/@v/v1.lock", "a/@v/v1.mod", "a/@v/v1.tmp123"}; !slices.Equal(got, want) {
		t.Errorf("left %q, want %q", got, want)
	}
	if _, err := os.Stat("/etc/passwd"); err != nil {
		t.Error("what a removed symlink led to is gone")
	}
	if _, err := os.Lstat(filepath.Join(src, "vcs")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the folder is there: %v", err)
	}
}

// A cache that other builds write to must not lead what is saved elsewhere.
func TestSaveStaysInCache(t *testing.T) {
	src, dst, outside := t.TempDir(), t.TempDir(), t.TempDir()
	write(t, src, "a/x")
	if err := os.Symlink(outside, filepath.Join(dst, "a")); err != nil {
		t.Fatal(err)
	}
	o := command(t, "ok")
	o.Save = []Pair{{src, dst}}
	if err := Run(context.Background(), o); err == nil || !strings.Contains(err.Error(), "saving") {
		t.Errorf("got the error %v", err)
	}
	if got := files(t, outside); len(got) > 0 {
		t.Errorf("%q was written outside", got)
	}
}

func TestRemoveDoesNotFollow(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	write(t, outside, "x.zip")
	if err := os.Symlink(outside, filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	o := command(t, "ok")
	o.Remove = []Removal{removal(t, dir+"=**/*.zip"), removal(t, dir+"=link/x.zip")}
	if err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if got := files(t, outside); len(got) != 1 {
		t.Errorf("outside has %q", got)
	}
	if got := files(t, dir); len(got) != 1 {
		t.Errorf("inside has %q", got)
	}
	o.Remove = []Removal{removal(t, dir+"=link")}
	if err := Run(context.Background(), o); err != nil {
		t.Fatal(err)
	}
	if got := files(t, dir); len(got) != 0 {
		t.Errorf("inside has %q", got)
	}
	if got := files(t, outside); len(got) != 1 {
		t.Errorf("outside has %q", got)
	}
}

// After a failure nothing is saved or removed.
func TestFailure(t *testing.T) {
	for what, want := range map[string]ExitError{"fail": {Code: 7}, "kill": {128 + 9, syscall.SIGKILL}} {
		src, dst := t.TempDir(), t.TempDir()
		write(t, src, "a")
		o := command(t, what)
		o.Save, o.Remove, o.Message = []Pair{{src, dst}}, []Removal{removal(t, src+"=**")}, "is the proxy reached?"
		var exit *ExitError
		if err := Run(context.Background(), o); !errors.As(err, &exit) || *exit != want {
			t.Errorf("%s: got the error %v, want %v", what, err, &want)
		}
		if got := o.Stderr.(*bytes.Buffer).String(); got != "is the proxy reached?\n" {
			t.Errorf("%s: said %q", what, got)
		}
		if len(files(t, src)) != 1 || len(files(t, dst)) != 0 {
			t.Errorf("%s: files moved: %q, %q", what, files(t, src), files(t, dst))
		}
	}
}

// The reason is the last thing to read, whatever a program says after it.
func TestRepeat(t *testing.T) {
	var stdout, stderr bytes.Buffer
	err := Run(t.Context(), Options{
		Args:   []string{"sh", "-c", "echo out; echo 'error Missing: a' >&2; printf 'error Mis' >&2; printf 'sing: b\r\nusage\n' >&2; yes 'Missing: c' | head -n 50; exit 3"},
		Env:    []string{"PATH=" + os.Getenv("PATH")},
		Repeat: []string{"Missing: ", "Invalid: "},
		Stdout: &stdout, Stderr: &stderr, Message: "run x",
	})
	var exit *ExitError
	if !errors.As(err, &exit) || exit.Code != 3 {
		t.Fatal(err)
	}
	if n := strings.Count(stdout.String(), "\n"); n != 51 {
		t.Errorf("%d lines are passed on", n)
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	if tail := lines[3:]; len(tail) != 23 || tail[20] != "error Missing: a" || tail[21] != "error Missing: b" || tail[22] != "run x" {
		t.Errorf("%q", lines)
	}

	stderr.Reset()
	if err := Run(t.Context(), Options{Args: []string{"sh", "-c", "echo Missing: a"}, Env: []string{"PATH=" + os.Getenv("PATH")}, Repeat: []string{"Missing: "}, Stdout: &stdout, Stderr: &stderr}); err != nil || stderr.Len() > 0 {
		t.Errorf("%v %q", err, &stderr)
	}
}

func TestNoCommand(t *testing.T) {
	var exit *ExitError
	err := Run(context.Background(), Options{Args: []string{"/nonexistent/tool"}, Stderr: new(bytes.Buffer)})
	if err == nil || errors.As(err, &exit) || !strings.Contains(err.Error(), "/nonexistent/tool") {
		t.Errorf("got the error %v", err)
	}
	if err := Run(context.Background(), Options{}); err == nil {
		t.Error("no error without a command")
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	o, began := command(t, "sleep"), time.Now()
	if err := Run(ctx, o); err == nil {
		t.Error("no error")
	}
	if d := time.Since(began); d > 20*time.Second {
		t.Errorf("it took %v", d)
	}
}

func TestEnvironment(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	ask := "/usr/bin/env " + role + "=print " + self
	if _, err := osexec.LookPath("/usr/bin/env"); err != nil {
		t.Fatal(err)
	}
	cases := []struct {
		env          []string
		ask, prepend []Pair
		want         string
	}{
		{nil, nil, nil, "|"},
		{[]string{"ONE=1", "ANSWER=a"}, []Pair{{"ONE", ask}, {"TWO", ask}}, nil, "1|a"},
		{[]string{"ONE=", "ANSWER=a b=c"}, []Pair{{"ONE", ask}}, []Pair{{"ONE", "file:///x,"}, {"TWO", "=y"}}, "file:///x,a b=c|=y"},
		{[]string{"ONE=first", "ONE=last"}, nil, []Pair{{"ONE", "x"}}, "xlast|"},
		// What a question learns, the next one's command has.
		{[]string{"ANSWER="}, []Pair{{"ANSWER", "/usr/bin/env " + role + "=env ONE=42 " + self}, {"TWO", ask}}, nil, "|42|"},
	}
	for i, c := range cases {
		o := command(t, "env", c.env...)
		o.Ask, o.Prepend = c.ask, c.prepend
		if err := Run(context.Background(), o); err != nil {
			t.Fatal(err)
		}
		if got := o.Stdout.(*bytes.Buffer).String(); got != c.want {
			t.Errorf("case %d: got %q, want %q", i, got, c.want)
		}
	}
	for _, failing := range []string{"/usr/bin/env " + role + "=fail " + self, "/nonexistent/tool", " "} {
		o := command(t, "env")
		o.Ask = []Pair{{"ONE", failing}}
		var exit *ExitError
		err := Run(context.Background(), o)
		if err == nil || !strings.Contains(err.Error(), "ONE") {
			t.Errorf("%s: got the error %v", failing, err)
		}
		// The exit code of the question is not the command's.
		if errors.As(err, &exit) {
			t.Errorf("%s: the failed question passes for the command", failing)
		}
	}
}

func TestParse(t *testing.T) {
	if p, err := ParsePair("GOPROXY=file:///a=b,"); err != nil || p != (Pair{"GOPROXY", "file:///a=b,"}) {
		t.Errorf("got %v, %v", p, err)
	}
	for _, s := range []string{"", "a", "=b", "a="} {
		if _, err := ParsePair(s); err == nil {
			t.Errorf("ParsePair(%q): no error", s)
		}
	}
	for _, s := range []string{"a", "a=[", "a=../b", "a=/"} {
		if _, err := ParseRemoval(s); err == nil {
			t.Errorf("ParseRemoval(%q): no error", s)
		}
	}
}

// Two builds that save the same files at the same time both succeed, and what
// is there is whole at any moment.
func TestSaveConcurrently(t *testing.T) {
	src, dst := t.TempDir(), t.TempDir()
	for i := range 50 {
		write(t, src, filepath.Join("m", string(rune('a'+i%26)), "f"+strings.Repeat("x", i)))
	}
	errs := make(chan error)
	for range 4 {
		go func() { errs <- save(src, dst) }()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if got, want := files(t, dst), files(t, src); !slices.Equal(got, want) {
		t.Errorf("saved %q, want %q", got, want)
	}
	for _, name := range files(t, dst) {
		if got, _ := os.ReadFile(filepath.Join(dst, name)); string(got) != "content of "+filepath.Base(name) {
			t.Errorf("%s holds %q", name, got)
		}
	}
}
