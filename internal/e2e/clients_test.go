package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
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
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// One descriptor, four clients, one image: byte for byte, from different
// directories, built by the daemon and by birdhouse with a cache each.
func TestClientsAgree(t *testing.T) {
	registry := harness.Registry(t)
	daemon := harness.SharedBuildkitd(t)
	frontend := harness.FrontendImage(t, daemon, registry)
	mirror := "BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t)
	secrets := harness.Secrets(t)
	images := map[string]e2etest.Contents{}

	t.Run("buildctl", func(t *testing.T) {
		dir := e2etest.Sample(t, "go/hello")
		args := append([]string{
			"build", "--frontend", "gateway.v0", "--opt", "source=" + frontend,
			"--local", "context=" + dir, "--local", "dockerfile=" + dir,
			"--opt", "build-arg:" + mirror,
			"--output", "type=image,name=" + registry + "/buildctl,push=true",
		}, secrets...)
		harness.Run(t, daemon.Buildctl(t, args...))
		images["buildctl"] = e2etest.Pulled(t, registry+"/buildctl")
		out := harness.Run(t, daemon.Buildctl(t, append(args, "--progress=plain", "--opt", "no-cache=smoke")...))
		if !e2etest.IsCached(out, "[build] go build") || e2etest.IsCached(out, "[smoke] start the image") {
			t.Errorf("the smoke check alone was to run again:\n%s", out)
		}
	})

	t.Run("buildx", func(t *testing.T) {
		dir := e2etest.Sample(t, "go/hello")
		e2etest.Syntax(t, dir, frontend)
		buildx := daemon.Buildx(t)
		args := func(more ...string) []string {
			return slices.Concat([]string{"build", "--provenance=false", "--progress=plain", "--build-arg", mirror}, secrets, more)
		}
		out := harness.Run(t, buildx.Command(args("-f", filepath.Join(dir, "birdhouse.yaml"), "-t", registry+"/buildx", "--push", dir)...))
		images["buildx"] = e2etest.Pulled(t, registry+"/buildx")
		if !e2etest.IsCached(out, "[build] go build") {
			t.Errorf("the same project in another folder, through another client, was compiled again:\n%s", out)
		}

		out = harness.Run(t, buildx.Command(args("-f", filepath.Join(dir, "birdhouse.yaml"), "--no-cache-filter=build", "-t", registry+"/again", "--push", dir)...))
		images["buildx without a cache for the build"] = e2etest.Pulled(t, registry+"/again")
		if e2etest.IsCached(out, "[build] go build") || strings.Contains(out, "] install go") && !e2etest.IsCached(out, "] install go") {
			t.Errorf("the stage build alone was to run again:\n%s", out)
		}

		// The same text saved as Dockerfile needs no -f.
		if err := os.Rename(filepath.Join(dir, "birdhouse.yaml"), filepath.Join(dir, "Dockerfile")); err != nil {
			t.Fatal(err)
		}
		harness.Run(t, buildx.Command(args("-t", registry+"/dockerfile", "--push", dir)...))
		images["dockerfile"] = e2etest.Pulled(t, registry+"/dockerfile")

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
			e2etest.Write(t, filepath.Join(dir, "Dockerfile"), "# syntax="+frontend+"\nlanguage: go\nversoin: 1.26\n")
			out := harness.RunFails(t, buildx.Command("build", "--check", dir))
			for _, want := range []string{`unknown key "versoin"`, `did you mean "version"?`, "Dockerfile:3"} {
				if !strings.Contains(out, want) {
					t.Errorf("--check lacks %q:\n%s", want, out)
				}
			}
		})
	})

	t.Run("birdhouse", func(t *testing.T) {
		dir := e2etest.Sample(t, "go/hello")
		harness.Run(t, e2etest.Birdhouse(t, "build", "-t", registry+"/birdhouse", "--push", "--progress=plain", dir))
		images["birdhouse"] = e2etest.Pulled(t, registry+"/birdhouse")
	})

	t.Run("birdhouse with a remote BuildKit", func(t *testing.T) {
		dir := e2etest.Sample(t, "go/hello")
		cmd := e2etest.Birdhouse(t, "build", "--addr", daemon.Address, "-t", registry+"/remote", "--push", "--progress=plain", dir)
		out := harness.Run(t, cmd)
		images["remote"] = e2etest.Pulled(t, registry+"/remote")
		if !e2etest.IsCached(out, "[build] go build") {
			t.Errorf("what docker built is not in the cache for birdhouse:\n%s", out)
		}
	})

	for client, got := range images {
		if diff := cmp.Diff(images["buildctl"], got); diff != "" {
			t.Errorf("the image that %s built is another than buildctl's:\n%s", client, diff)
		}
	}
}

// Several platforms in one build: an index in the registry whose images are the
// same through every client, and are what a build for one platform gives.
func TestPlatformsThroughClients(t *testing.T) {
	registry := harness.Registry(t)
	daemon := harness.SharedBuildkitd(t)
	frontend := harness.FrontendImage(t, daemon, registry)
	mirror := "BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t)
	secrets := harness.Secrets(t)
	const both = "linux/amd64,linux/arm64"
	dir := e2etest.Sample(t, "go/hello")
	e2etest.Syntax(t, dir, frontend)

	harness.Run(t, daemon.Buildctl(t, append([]string{
		"build", "--frontend", "gateway.v0", "--opt", "source=" + frontend,
		"--local", "context=" + dir, "--local", "dockerfile=" + dir, "--opt", "platform=" + both,
		"--opt", "build-arg:" + mirror, "--output", "type=image,name=" + registry + "/buildctl,push=true",
	}, secrets...)...))
	harness.Run(t, daemon.Buildx(t).Command(slices.Concat([]string{
		"build", "--provenance=false", "--platform", both, "--build-arg", mirror,
		"-f", filepath.Join(dir, "birdhouse.yaml"), "-t", registry + "/buildx", "--push", dir}, secrets)...))
	for name, addr := range map[string][]string{"birdhouse": nil, "remote": {"--addr", daemon.Address}} {
		ref := registry + "/" + name
		out, _ := output(t, e2etest.Birdhouse(t, slices.Concat([]string{"build", "--platform", both, "-t", ref, "--push", dir}, addr)...))
		for _, arch := range []string{"amd64", "arm64"} {
			img := e2etest.PullFor(t, ref, arch)
			hash, err := img.Digest()
			if err != nil {
				t.Fatal(err)
			}
			if want := regexp.MustCompile(regexp.QuoteMeta(ref) + "  linux/" + arch + "  " + hash.String() + `\n\n  layer +changes +size +what\n  static .*\n  application .*/app/hello`); !want.MatchString(out) {
				t.Errorf("%s: the report lacks %s:\n%s", name, arch, out)
			}
		}
		e2etest.Contains(t, out, "\npushed "+ref+"  sha256:")
	}
	harness.Run(t, e2etest.Birdhouse(t, "build", "--platform", "linux/arm64", "-t", registry+"/one", "--push", dir))

	for _, arch := range []string{"amd64", "arm64"} {
		want := e2etest.ContentsOf(t, e2etest.PullFor(t, registry+"/buildctl", arch))
		for _, client := range []string{"buildx", "birdhouse", "remote"} {
			if diff := cmp.Diff(want, e2etest.ContentsOf(t, e2etest.PullFor(t, registry+"/"+client, arch))); diff != "" {
				t.Errorf("the image for %s that %s built is another than buildctl's:\n%s", arch, client, diff)
			}
		}
		e2etest.CheckGoProgram(t, e2etest.Content(t, e2etest.PullFor(t, registry+"/buildctl", arch), "app/hello"), arch, e2etest.GoVersion(t, ""), false, nil)
	}
	if diff := cmp.Diff(e2etest.ContentsOf(t, e2etest.PullFor(t, registry+"/one", "arm64")), e2etest.ContentsOf(t, e2etest.PullFor(t, registry+"/birdhouse", "arm64"))); diff != "" {
		t.Errorf("built for one platform the image is another:\n%s", diff)
	}
}

// gitOverHTTP serves a repository over HTTP that has a folder's files in app/, on the
// branch main, and returns its URL and the commit.
func gitOverHTTP(t *testing.T, dir string) (url, commit string) {
	t.Helper()
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	work := filepath.Join(root, "work")
	if err := os.CopyFS(filepath.Join(work, "app"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(git, append([]string{"-c", "user.name=bird", "-c", "user.email=bird@example.test"}, args...)...)
		cmd.Env = append(os.Environ(), "HOME="+root, "GIT_CONFIG_NOSYSTEM=1")
		return strings.TrimSpace(harness.Run(t, cmd))
	}
	run("init", "-q", "-b", "main", work)
	run("-C", work, "add", "-A", "-f")
	run("-C", work, "commit", "-q", "-m", "a bird")
	run("clone", "-q", "--bare", work, filepath.Join(root, "repos", "birds.git"))
	server := httptest.NewServer(&cgi.Handler{
		Path: git, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + filepath.Join(root, "repos"), "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root},
	})
	t.Cleanup(server.Close)
	return server.URL + "/birds.git", run("-C", work, "rev-parse", "HEAD")
}

// archived is a folder as a tar archive, compressed.
func archived(t *testing.T, dir string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	if err := errors.Join(w.AddFS(os.DirFS(dir)), w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A project is the same wherever it comes from: a folder, a git repository, an
// archive from a server or from standard input.
func TestContextsFromElsewhere(t *testing.T) {
	registry := harness.Registry(t)
	daemon := harness.SharedBuildkitd(t)
	frontend := harness.FrontendImage(t, daemon, registry)
	mirror := "BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t)
	secrets := harness.Secrets(t)
	dir := e2etest.Sample(t, "go/embed")
	e2etest.Syntax(t, dir, frontend)
	// Of no part of the image, as the ignore file says, which is the project's own.
	e2etest.Write(t, filepath.Join(dir, ".dockerignore"), "pages/draft*\n")
	e2etest.Write(t, filepath.Join(dir, "pages", "draft.html"), "not for everybody")
	repository, commit := gitOverHTTP(t, dir)
	archive := archived(t, dir)
	files := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/app.tar.gz":
			_, _ = w.Write(archive)
		case "/birdhouse.yaml":
			http.ServeFile(w, r, filepath.Join(dir, "birdhouse.yaml"))
		default:
			http.NotFound(w, r)
		}
	}))
	defer files.Close()

	images := map[string]e2etest.Contents{}
	build := func(name, context string, stdin []byte, flags ...string) {
		t.Helper()
		ref := registry + "/" + name
		cmd := e2etest.Birdhouse(t, slices.Concat([]string{"build", "-t", ref, "--push", "--progress=plain"}, flags, []string{context})...)
		cmd.Stdin = bytes.NewReader(stdin)
		harness.Run(t, cmd)
		images[name] = e2etest.Pulled(t, ref)
	}
	build("folder", dir, nil)
	build("branch", repository+"#main:app", nil)
	build("commit", repository+"?subdir=app&commit="+commit, nil)
	build("archive", files.URL+"/app.tar.gz", nil)
	build("stdin", "-", archive)
	build("another-descriptor", repository+"#main:app", nil, "-f", files.URL+"/birdhouse.yaml")
	build("remote", repository+"#main:app", nil, "--addr", daemon.Address)
	build("remote-stdin", "-", archive, "--addr", daemon.Address)

	for name, context := range map[string]string{"buildctl-git": repository + "#main:app", "buildctl-archive": files.URL + "/app.tar.gz"} {
		harness.Run(t, daemon.Buildctl(t, append([]string{
			"build", "--frontend", "gateway.v0", "--opt", "source=" + frontend, "--opt", "context=" + context,
			"--opt", "build-arg:" + mirror, "--output", "type=image,name=" + registry + "/" + name + ",push=true",
		}, secrets...)...))
		images[name] = e2etest.Pulled(t, registry+"/"+name)
	}
	buildx := daemon.Buildx(t)
	for name, context := range map[string]string{"buildx-git": repository + "#main:app", "buildx-stdin": "-"} {
		cmd := buildx.Command(slices.Concat([]string{"build", "--provenance=false", "--build-arg", mirror, "--build-arg", "BUILDKIT_SYNTAX=" + frontend,
			"-f", "birdhouse.yaml", "-t", registry + "/" + name, "--push", context}, secrets)...)
		cmd.Stdin = bytes.NewReader(archive)
		harness.Run(t, cmd)
		images[name] = e2etest.Pulled(t, registry+"/"+name)
	}
	for name, got := range images {
		if diff := cmp.Diff(images["folder"], got); diff != "" {
			t.Errorf("%s: the image is another than the folder's:\n%s", name, diff)
		}
	}

	// What is not there is said, and where it was looked for.
	for _, test := range []struct {
		context string
		want    []string
	}{
		{repository + "#nobranch", []string{"nobranch"}},
		{repository + "#main", []string{"no descriptor", "birdhouse.yaml"}},
		{repository + "#main:nowhere", []string{"nowhere"}},
		{files.URL + "/none.tar.gz", []string{"none.tar.gz", "404"}},
		{files.URL + "/birdhouse.yaml", []string{"there is no go.mod in the build context"}},
	} {
		out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", test.context))
		e2etest.Contains(t, out, test.want...)
		for _, n := range e2etest.Noise {
			if strings.Contains(e2etest.Said(out), n) {
				t.Errorf("%s: %q in:\n%s", test.context, n, out)
			}
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
	dir := e2etest.Sample(t, "go/hello")
	e2etest.Syntax(t, dir, frontend)
	args := slices.Concat([]string{
		"buildx", "build", "--network=host", "--progress=plain",
		"--build-arg", "BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t),
		"-f", filepath.Join(dir, "birdhouse.yaml"), "-t", "hello", dir,
	}, harness.Secrets(t))
	out := harness.Run(t, docker(args...))
	if strings.Contains(out, "merging") {
		t.Errorf("this engine has MergeOp, so the test shows nothing:\n%s", out)
	}
	port := e2etest.FreePort(t)
	s := e2etest.Serve(t, port, docker("run", "--rm", "--network=host", "--read-only", "-e", "PORT="+strconv.Itoa(port), "hello"))
	if got := s.Get(t, "/"); got != "hello" {
		t.Errorf("the program answers %q", got)
	}
	if got := s.Get(t, "/tz"); !strings.HasPrefix(got, "1970-01-01T1") {
		t.Errorf("a time in Auckland: %q", got)
	}
	if d := s.Stop(t); d > 5*time.Second {
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
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", registry+"/merged", "--push", "--progress=plain", dir))
	if diff := cmp.Diff(filesOf(t, e2etest.Pull(t, registry+"/merged")), filesOf(t, copied)); diff != "" {
		t.Errorf("the engine's files differ from those of a server with MergeOp:\n%s", diff)
	}
}

// filesOf describes every file of an image: type, mode, owner, time, content.
func filesOf(t *testing.T, img v1.Image) map[string]string {
	t.Helper()
	out := map[string]string{}
	for name, f := range e2etest.Files(t, img) {
		sum := sha256.Sum256(f.Data)
		// Old engines write the type into the mode as well.
		out[name] = fmt.Sprintf("%c %#o %d:%d %d %s %x",
			f.Typeflag, f.Mode&0o7777, f.Uid, f.Gid, f.ModTime.Unix(), f.Linkname, sum[:8])
	}
	return out
}
