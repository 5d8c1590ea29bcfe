package harness

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/google/go-containerregistry/pkg/v1/random"
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
	tarball := filepath.Join(t.TempDir(), "fs.tar")
	f, err := os.Create(tarball)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := crane.Export(img, f); err != nil {
		t.Fatal(err)
	}
	if out := Run(t, exec.Command("tar", "-tf", tarball)); out != "hello.txt\n" {
		t.Errorf("%s holds %q, want hello.txt alone", ref, out)
	}
}

func TestSharedBuildkitdIsOne(t *testing.T) {
	first := SharedBuildkitd(t)
	if second := SharedBuildkitd(t); second != first {
		t.Errorf("two daemons: %s and %s", first.Address, second.Address)
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
