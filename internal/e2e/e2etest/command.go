package e2etest

import (
	"bytes"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// Said is what a command printed without BuildKit's progress, whose lines begin
// with the number of a step, and without its summary of the failed step.
func Said(out string) string {
	var kept []string
	inSummary := false
	for _, line := range strings.Split(out, "\n") {
		switch {
		case line == "------":
			inSummary = !inSummary
		case inSummary, line == "", progressLine.MatchString(line):
		default:
			kept = append(kept, line)
		}
	}
	return strings.Join(append(kept, ""), "\n")
}

var progressLine = regexp.MustCompile(`^#\d+ `)

// Noise is what BuildKit's layers put into messages.
var Noise = []string{"rpc error", "failed to solve", "failed to run Build function", "panic:", "goroutine ", "desc = "}

// Fails runs a command that must exit with a code, and returns what it printed.
func Fails(t testing.TB, code int, cmd *exec.Cmd) string {
	t.Helper()
	out := harness.RunFails(t, cmd)
	if got := cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("%s: exit code %d, want %d\n%s", strings.Join(cmd.Args, " "), got, code, out)
	}
	return out
}

// Contains checks that what was printed has all the parts in it.
func Contains(t testing.TB, out string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(out, p) {
			t.Errorf("%q is missing in:\n%s", p, out)
		}
	}
}

// IsCached reports whether plain progress says that the step was taken from the
// cache. The step is named by a part of its name.
func IsCached(out, step string) bool {
	id := ""
	for _, line := range strings.Split(out, "\n") {
		number, rest, ok := strings.Cut(line, " ")
		if ok && strings.Contains(rest, step) {
			id = number
		}
		if ok && number == id && strings.TrimSpace(rest) == "CACHED" {
			return true
		}
	}
	return false
}

// Birdhouse is a birdhouse command on the state that the package's tests share
// (harness.SharedRoot), with this machine's lock of the catalog.
func Birdhouse(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	return BirdhouseIn(t, harness.SharedRoot(t), args...)
}

// BirdhouseIn is a birdhouse command on another state directory.
func BirdhouseIn(t testing.TB, root string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(harness.Birdhouse(t), args...)
	cmd.Env = append(os.Environ(), "BIRDHOUSE_ROOT="+root, "BIRDHOUSE_CATALOG="+harness.Lock(t))
	return cmd
}

// Build builds the image of a project with birdhouse and returns its name in
// the shared store, and what the build printed.
func Build(t testing.TB, dir string, args ...string) (name, out string) {
	t.Helper()
	name = ImageName(t)
	args = append([]string{"build", "-t", name, "--progress=plain"}, args...)
	return name, harness.Run(t, Birdhouse(t, append(args, dir)...))
}

// ImageName makes an image's name of the test's, the same at every call.
func ImageName(t testing.TB) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= '0' && r <= '9', r == '/':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '.'
	}, t.Name())
	for strings.Contains(name, "..") {
		name = strings.ReplaceAll(name, "..", ".")
	}
	return strings.Trim(strings.NewReplacer("/.", "/", "./", "/").Replace(name), ".")
}

// Answer runs an image of the shared store, with flags of birdhouse run and arguments
// of the program, and returns what that prints, without white space at the ends. The program must end
// with exit code 0.
func Answer(t testing.TB, name string, flags []string, args ...string) string {
	t.Helper()
	cmd := Birdhouse(t, slices.Concat([]string{"run"}, flags, []string{name}, args)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", cmd, err, out, &stderr)
	}
	return strings.TrimSpace(string(out))
}
