package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/tonistiigi/go-csvvalue"
	"golang.org/x/sys/unix"

	"github.com/birdhouse-build/birdhouse/catalog"
)

func TestMain(m *testing.M) { Main(m) }

func TestRegistryKeepsWhatIsPushed(t *testing.T) {
	needs(t)
	ref := Registry(t) + "/some/image:1"
	want, err := random.Image(1<<10, 2)
	if err != nil {
		t.Fatal(err)
	}
	if err := crane.Push(want, ref); err != nil {
		t.Fatal(err)
	}
	got, err := crane.Digest(ref)
	if err != nil {
		t.Fatal(err)
	}
	if digest, _ := want.Digest(); got != digest.String() {
		t.Errorf("pulled %s, pushed %s", got, digest)
	}
}

// leavesNothing starts a daemon in a test of its own, lets use work with it, and
// checks that the end of that test leaves no process, mount or file behind.
func leavesNothing(t *testing.T, use func(t *testing.T)) {
	t.Helper()
	// Shorter than t.TempDir's: containerd's sockets lie deep below it.
	tmp, err := os.MkdirTemp("", "t")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	t.Setenv("TMPDIR", tmp)
	t.Run("use", use)

	if left := processesNaming(t, tmp); len(left) > 0 {
		t.Errorf("left running:\n%s", strings.Join(left, "\n"))
	}
	mounts, err := mountsBelow(tmp)
	if err != nil {
		t.Fatal(err)
	}
	if len(mounts) > 0 {
		t.Errorf("left mounted: %q", mounts)
	}
	// Temporary folders of the test itself are gone by now, too.
	files, err := filepath.Glob(filepath.Join(tmp, "bh-*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) > 0 {
		t.Errorf("left behind: %q", files)
	}
}

// processesNaming returns the command lines of processes that have path in it.
func processesNaming(t *testing.T, path string) []string {
	t.Helper()
	procs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, p := range procs {
		if _, err := strconv.Atoi(p.Name()); err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", p.Name(), "cmdline"))
		if err != nil {
			continue // it ended
		}
		if s := strings.ReplaceAll(string(line), "\x00", " "); strings.Contains(s, path) {
			found = append(found, p.Name()+" "+s)
		}
	}
	return found
}

// writeProject writes files into a new folder.
func writeProject(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// scratch is a build that needs no base image.
var scratch = map[string]string{
	"Dockerfile": "FROM scratch\nCOPY hello.txt /\n",
	"hello.txt":  "hello\n",
}

func TestBuildkitd(t *testing.T) {
	needs(t)
	leavesNothing(t, func(t *testing.T) {
		b := Buildkitd(t)
		dir := writeProject(t, scratch)

		ref := Registry(t) + "/scratch:1"
		Run(t, b.Buildctl(t, "build", "--frontend", "dockerfile.v0", "--local", "context="+dir, "--local", "dockerfile="+dir,
			"--output", "type=image,name="+ref+",push=true"))
		checkHello(t, ref)

		ref = Registry(t) + "/scratch:2"
		Run(t, b.Buildx(t).Command("build", "--provenance=false", "--push", "-t", ref, dir))
		checkHello(t, ref)

		out := RunFails(t, b.Buildctl(t, "build", "--frontend", "dockerfile.v0", "--local", "context="+dir, "--local", "dockerfile="+dir, "--opt", "target=missing"))
		if !strings.Contains(out, "missing") {
			t.Errorf("the error does not name the missing target:\n%s", out)
		}
	})
}

// checkHello checks that the image holds hello.txt alone.
func checkHello(t *testing.T, ref string) {
	t.Helper()
	img, err := crane.Pull(ref)
	if err != nil {
		t.Fatal(err)
	}
	if got := list(t, img, "-t"); got != "hello.txt\n" {
		t.Errorf("%s holds %q, want hello.txt alone", ref, got)
	}
}

// list returns what tar says of the image's files.
func list(t *testing.T, img v1.Image, flags ...string) string {
	t.Helper()
	tarball := filepath.Join(t.TempDir(), "fs.tar")
	f, err := os.Create(tarball)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := crane.Export(img, f); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("tar", append(flags, "-f", tarball)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	return Run(t, cmd)
}

func TestSharedBuildkitdIsOne(t *testing.T) {
	first := SharedBuildkitd(t)
	if second := SharedBuildkitd(t); second != first {
		t.Errorf("two daemons: %s and %s", first.Address, second.Address)
	}
}

// TestSweep leaves state with something mounted in it, as a killed test does, and
// checks that the next daemon's start removes it, and no state in use.
func TestSweep(t *testing.T) {
	needs(t)
	t.Setenv("TMPDIR", t.TempDir())
	used := stateDir(t, "used")
	left := filepath.Join(os.TempDir(), "bh-left-1")
	if err := os.MkdirAll(filepath.Join(left, "root"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(stateLock(left), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("none", filepath.Join(left, "root"), "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	stateDir(t, "next")
	if exists(left) {
		t.Errorf("%s is still there", left)
	}
	if !exists(used) {
		t.Errorf("%s is gone, and is in use", used)
	}
}

func TestDockerEngine(t *testing.T) {
	needs(t)
	leavesNothing(t, func(t *testing.T) {
		docker := DockerEngine(t).Client(t)
		dir := writeProject(t, scratch)
		Run(t, docker("buildx", "build", "--load", "-t", "scratch:1", dir))

		ref := Registry(t) + "/scratch:1"
		Run(t, docker("tag", "scratch:1", ref))
		Run(t, docker("push", ref))
		checkHello(t, ref)
	})
}

func TestBirdhouseIsBuilt(t *testing.T) {
	out := Run(t, exec.Command(Birdhouse(t), "--help"))
	if !strings.Contains(out, "build") {
		t.Errorf("birdhouse --help does not speak of build:\n%s", out)
	}
}

func TestLockIsFreshAndComplete(t *testing.T) {
	path := Lock(t)
	c, err := catalog.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if age := time.Since(c.Locked()); age > 30*24*time.Hour {
		t.Errorf("the lock's packages are of %s, %s ago: does it come from this machine's mirror?", c.Locked(), age)
	}
	if again := Lock(t); again != path {
		t.Errorf("two locks: %s and %s", path, again)
	}
}

// TestFrontendImage checks what BuildKit and the frontend expect of the image:
// labels, programs, the lock, nothing else, and nothing of this machine.
func TestFrontendImage(t *testing.T) {
	b := SharedBuildkitd(t)
	ref := FrontendImage(t, b, Registry(t))
	img, err := crane.Pull(ref)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"/frontend"}; !slices.Equal(config.Config.Entrypoint, want) {
		t.Errorf("entrypoint is %q, want %q", config.Config.Entrypoint, want)
	}
	for label, want := range map[string]string{
		"moby.buildkit.frontend.network.none": "true",
		"moby.buildkit.frontend.caps": "moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests," +
			"moby.buildkit.frontend.contexts,moby.buildkit.frontend.gitquerystring,moby.buildkit.frontend.contexts.zstd",
	} {
		if got := config.Config.Labels[label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}

	files := strings.Split(strings.TrimSpace(list(t, img, "-tv", "--utc")), "\n")
	shape := regexp.MustCompile(`^(\S+) (\S+) +\d+ (\S+ \S+) (\S+)$`)
	var got []string
	for _, line := range files {
		got = append(got, shape.ReplaceAllString(line, "$1 $2 $3 $4"))
	}
	slices.Sort(got)
	want := []string{
		"-rw-r--r-- 0/0 1970-01-01 00:00 catalog.lock",
		"-rwxr-xr-x 0/0 1970-01-01 00:00 frontend",
		"-rwxr-xr-x 0/0 1970-01-01 00:00 steps",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}

	again, err := crane.Digest(FrontendImage(t, Buildkitd(t), Registry(t)))
	if err != nil {
		t.Fatal(err)
	}
	if digest, _ := img.Digest(); again != digest.String() {
		t.Errorf("built anew from an empty cache it is %s, was %s", again, digest)
	}
}

func TestSecretsAreNamedOnce(t *testing.T) {
	needs(t)
	args := Secrets(t)
	seen := map[string]bool{}
	for i := 0; i < len(args); i += 2 {
		fields, err := csvvalue.Fields(args[i+1], nil)
		if args[i] != "--secret" || err != nil || len(fields) != 2 || seen[fields[0]] {
			t.Fatalf("argument %d is %q %q: %v", i, args[i], args[i+1], err)
		}
		id := fields[0]
		file, ok := strings.CutPrefix(fields[1], "src=")
		if !ok {
			t.Errorf("no file in %q", args[i+1])
		}
		seen[id] = true
		if text, err := os.ReadFile(file); err != nil || len(text) == 0 {
			t.Errorf("%s: empty, or %v", id, err)
		}
	}
	if !seen["id=ca"] || !seen["id=GOPROXY"] {
		t.Errorf("no CA certificates or no module proxy in %q", args)
	}
}
