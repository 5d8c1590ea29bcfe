package e2e_test

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// contents is what makes two images the same: configuration and layers. The
// manifest's media types are the exporter's.
type contents struct {
	Config string
	Layers []string
}

func pulled(t *testing.T, ref string) contents {
	t.Helper()
	return contentsOf(t, pull(t, ref))
}

func pull(t *testing.T, ref string) v1.Image {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(r, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func contentsOf(t *testing.T, img v1.Image) contents {
	t.Helper()
	m, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	c := contents{Config: m.Config.Digest.String()}
	for _, l := range m.Layers {
		c.Layers = append(c.Layers, l.Digest.String())
	}
	return c
}

// syntax puts the frontend on a project's syntax line.
func syntax(t *testing.T, dir, frontend string) {
	t.Helper()
	path := filepath.Join(dir, "birdhouse.yaml")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\n")
	write(t, path, "# syntax="+frontend+"\n"+rest)
}

func isCached(out, step string) bool {
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

// One descriptor, four clients, one image: byte for byte, from clean caches and
// from different directories.
func TestClientsAgree(t *testing.T) {
	registry := harness.Registry(t)
	daemon := harness.Buildkitd(t)
	frontend := harness.FrontendImage(t, daemon, registry)
	mirror := "BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t)
	secrets := harness.Secrets(t)
	images := map[string]contents{}

	t.Run("buildctl", func(t *testing.T) {
		dir := sample(t, "go/hello")
		args := append([]string{
			"build", "--frontend", "gateway.v0", "--opt", "source=" + frontend,
			"--local", "context=" + dir, "--local", "dockerfile=" + dir,
			"--opt", "build-arg:" + mirror,
			"--output", "type=image,name=" + registry + "/buildctl,push=true",
		}, secrets...)
		harness.Run(t, daemon.Buildctl(t, args...))
		images["buildctl"] = pulled(t, registry+"/buildctl")
	})

	t.Run("buildx", func(t *testing.T) {
		dir := sample(t, "go/hello")
		syntax(t, dir, frontend)
		buildx := daemon.Buildx(t)
		args := func(more ...string) []string {
			return slices.Concat([]string{"build", "--provenance=false", "--progress=plain", "--build-arg", mirror}, secrets, more)
		}
		out := harness.Run(t, buildx.Command(args("-f", filepath.Join(dir, "birdhouse.yaml"), "-t", registry+"/buildx", "--push", dir)...))
		images["buildx"] = pulled(t, registry+"/buildx")
		if !isCached(out, "[build] go build") {
			t.Errorf("the same project in another folder, through another client, was compiled again:\n%s", out)
		}

		// The same text saved as Dockerfile needs no -f.
		if err := os.Rename(filepath.Join(dir, "birdhouse.yaml"), filepath.Join(dir, "Dockerfile")); err != nil {
			t.Fatal(err)
		}
		harness.Run(t, buildx.Command(args("-t", registry+"/dockerfile", "--push", dir)...))
		images["dockerfile"] = pulled(t, registry+"/dockerfile")

		t.Run("check and call", func(t *testing.T) {
			if out := harness.Run(t, buildx.Command("build", "--check", dir)); !strings.Contains(out, "no warnings found") {
				t.Errorf("--check: %s", out)
			}
			if out := harness.Run(t, buildx.Command("build", "--call=targets", dir)); !strings.Contains(out, "build") || !strings.Contains(out, "run (default)") {
				t.Errorf("--call=targets: %s", out)
			}
			if out := harness.Run(t, buildx.Command("build", "--call=outline", dir)); !strings.Contains(out, "a go program on static:13") {
				t.Errorf("--call=outline: %s", out)
			}
			write(t, filepath.Join(dir, "Dockerfile"), "# syntax="+frontend+"\nlanguage: go\nversoin: 1.26\n")
			out := harness.RunFails(t, buildx.Command("build", "--check", dir))
			for _, want := range []string{`unknown key "versoin"`, `did you mean "version"?`, "Dockerfile:3"} {
				if !strings.Contains(out, want) {
					t.Errorf("--check lacks %q:\n%s", want, out)
				}
			}
		})
	})

	t.Run("birdhouse", func(t *testing.T) {
		dir := sample(t, "go/hello")
		root := t.TempDir() // a clean cache
		harness.Run(t, birdhouseIn(t, root, "build", "-t", registry+"/birdhouse", "--push", "--progress=plain", dir))
		images["birdhouse"] = pulled(t, registry+"/birdhouse")
	})

	t.Run("birdhouse with a remote BuildKit", func(t *testing.T) {
		dir := sample(t, "go/hello")
		cmd := birdhouse(t, "build", "--addr", daemon.Address, "-t", registry+"/remote", "--push", "--progress=plain", dir)
		out := harness.Run(t, cmd)
		images["remote"] = pulled(t, registry+"/remote")
		if !isCached(out, "[build] go build") {
			t.Errorf("what docker built is not in the cache for birdhouse:\n%s", out)
		}
	})

	for client, got := range images {
		if diff := cmp.Diff(images["buildctl"], got); diff != "" {
			t.Errorf("the image that %s built is another than buildctl's:\n%s", client, diff)
		}
	}
}

// A real Docker Engine 20.10: an old BuildKit with no MergeOp. The same files,
// by copies, and docker run starts them.
func TestDockerEngine(t *testing.T) {
	registry := harness.Registry(t)
	daemon := harness.SharedBuildkitd(t)
	frontend := harness.FrontendImage(t, daemon, registry)
	docker := harness.DockerEngine(t).Client(t)
	dir := sample(t, "go/hello")
	syntax(t, dir, frontend)
	args := slices.Concat([]string{
		"buildx", "build", "--network=host", "--progress=plain",
		"--build-arg", "BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t),
		"-f", filepath.Join(dir, "birdhouse.yaml"), "-t", "hello", dir,
	}, harness.Secrets(t))
	out := harness.Run(t, docker(args...))
	if strings.Contains(out, "merging") {
		t.Errorf("this engine has MergeOp, so the test shows nothing:\n%s", out)
	}
	port := freePort(t)
	s := serve(t, port, docker("run", "--rm", "--network=host", "--read-only", "-e", "PORT="+strconv.Itoa(port), "hello"))
	if got := s.get(t, "/"); got != "hello" {
		t.Errorf("the program answers %q", got)
	}
	if got := s.get(t, "/tz"); !strings.HasPrefix(got, "1970-01-01T1") {
		t.Errorf("a time in Auckland: %q", got)
	}
	if d := s.stop(t); d > 5*time.Second {
		t.Errorf("SIGTERM took %s", d)
	}

	var inspected []struct {
		Config struct {
			User       string
			Entrypoint []string
		}
		RootFS struct{ Layers []string }
	}
	if err := json.Unmarshal([]byte(harness.Run(t, docker("inspect", "hello"))), &inspected); err != nil {
		t.Fatal(err)
	}
	c := inspected[0].Config
	if !strings.HasPrefix(c.User, "65532") || !slices.Equal(c.Entrypoint, []string{"/app/hello"}) {
		t.Errorf("the image runs %v as %q", c.Entrypoint, c.User)
	}

	// The files are those that a server with MergeOp makes.
	saved := filepath.Join(t.TempDir(), "saved.tar")
	harness.Run(t, docker("save", "-o", saved, "hello"))
	copied, err := tarball.ImageFromPath(saved, nil)
	if err != nil {
		t.Fatal(err)
	}
	harness.Run(t, birdhouse(t, "build", "-t", registry+"/merged", "--push", "--progress=plain", dir))
	if diff := cmp.Diff(filesOf(t, pull(t, registry+"/merged")), filesOf(t, copied)); diff != "" {
		t.Errorf("the engine's files differ from those of a server with MergeOp:\n%s", diff)
	}
}

// filesOf describes every file of an image: type, mode, owner, time, content.
func filesOf(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	r := mutate.Extract(img)
	defer r.Close()
	out := map[string]string{}
	for tr := tar.NewReader(r); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.New()
		if _, err := io.Copy(sum, tr); err != nil {
			t.Fatal(err)
		}
		// Old engines write the type into the mode as well.
		out[strings.Trim(path.Clean("/"+h.Name), "/")] = fmt.Sprintf("%c %#o %d:%d %d %s %x",
			h.Typeflag, h.Mode&0o7777, h.Uid, h.Gid, h.ModTime.Unix(), h.Linkname, sum.Sum(nil)[:8])
	}
}
