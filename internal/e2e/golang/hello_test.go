package golang_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// The program of the README: its answers, its image, its end.
func TestGoHello(t *testing.T) {
	name, out := e2etest.Build(t, e2etest.Sample(t, "go/hello"))
	for _, want := range []string{name + "  linux/amd64  sha256:", "static       rarely", "application  always", e2etest.GoVersion(t, "") + ", static, stripped", "2 layers"} {
		if !strings.Contains(out, want) {
			t.Errorf("the build does not say %q:\n%s", want, out)
		}
	}
	img := e2etest.Stored(t, name, "")
	goSample{name: "hello"}.check(t, img, "amd64")
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c := config.Config
	if !slices.Equal(c.Entrypoint, []string{"/app/hello"}) || len(c.Cmd) > 0 || c.WorkingDir != "/" || c.StopSignal != "" || len(c.Labels) > 0 {
		t.Errorf("the image starts %q %q in %q, stops with %q, has labels %v", c.Entrypoint, c.Cmd, c.WorkingDir, c.StopSignal, c.Labels)
	}
	if _, ok := c.ExposedPorts["8080/tcp"]; !ok || len(c.ExposedPorts) != 1 {
		t.Errorf("the image exposes %v", c.ExposedPorts)
	}
	if !config.Created.IsZero() && config.Created.Unix() != 0 {
		t.Errorf("the image is of %s", config.Created)
	}
	if n := len(config.RootFS.DiffIDs); n != 2 {
		t.Errorf("the image has %d layers, want the base and the application", n)
	}

	t.Run("files", func(t *testing.T) {
		files := e2etest.Files(t, img)
		// nonroot's home is nonroot's.
		home, ok := files["home/nonroot"]
		if !ok || home.Uid != 65532 || home.Gid != 65532 || home.FileInfo().Mode().Perm() != 0o700 {
			t.Errorf("nonroot's home is %+v", home.Header)
		}
		delete(files, "home/nonroot")
		got := e2etest.Modes(t, files)
		var strange []string
		for _, name := range slices.Sorted(maps.Keys(got)) {
			if !expected.MatchString(name) {
				strange = append(strange, got[name]+" "+name)
			}
			// Whatever is executable is a program: there is one.
			if f := files[name]; f.FileInfo().Mode().IsRegular() && f.Mode&0o111 != 0 && name != "app/hello" {
				t.Errorf("the image has another program: %s %s", got[name], name)
			}
			if f := files[name]; f.Mode&0o002 != 0 && name != "tmp" && f.Linkname == "" {
				t.Errorf("everybody may write to %s", name)
			}
		}
		if strange != nil {
			t.Errorf("the image has files that nobody expects:\n%s", strings.Join(strange, "\n"))
		}
	})

	t.Run("answers", func(t *testing.T) {
		s := e2etest.Start(t, name, "--read-only")
		if got := s.Get(t, "/"); got != "hello" {
			t.Errorf("/ answers %q", got)
		}
		if got := s.Get(t, "/tz"); got != "1970-01-01T12:00:00+12:00" {
			t.Errorf("/tz answers %q", got)
		}
		if n, err := strconv.Atoi(s.Get(t, "/ca")); err != nil || n < 100 {
			t.Errorf("/ca answers %d, %v", n, err)
		}
		s.Ends(t, 128+15)
	})

	t.Run("again", func(t *testing.T) {
		_, out := e2etest.Build(t, e2etest.Sample(t, "go/hello"))
		for _, step := range []string{"[build] go build .", "[smoke] start the image and check it"} {
			if !e2etest.IsCached(out, step) {
				t.Errorf("nothing has changed, but %s was done again:\n%s", step, out)
			}
		}
		first, _ := img.Digest()
		if second, _ := e2etest.Stored(t, e2etest.ImageName(t), "").Digest(); first != second {
			t.Errorf("the same project in another folder is %s, was %s", second, first)
		}
	})
}

// expected are the files of an image on the static base with one program.
var expected = regexp.MustCompile(`^(` + strings.Join([]string{
	`app(/hello)?`,
	`bin|sbin|lib|lib64`, // links
	`dev|proc|sys|run|tmp|root|home`,
	`usr|usr/(bin|sbin|lib|lib64|share)|usr/lib/os-release`,
	`etc(/(debian_version|ethertypes|group|host\.conf|mime\.types|nsswitch\.conf|os-release|passwd|protocols|rpc|services))?`,
	`etc/ssl(/certs(/ca-certificates\.crt)?)?`,
	`usr/share/common-licenses(/[^/]+)?`,
	`usr/share/doc(/[^/]+(/copyright)?)?`,
	`usr/share/zoneinfo(/.*)?`,
	`var|var/(cache|lib|log|run|lib/misc)`,
	`var/lib/dpkg(/status\.d(/[^/]+)?)?`,
}, "|") + `)$`)

// {{.Version}} is the build argument VERSION, {{.Revision}} the commit's, and a
// declared argument has its default.
func TestGoLinkerFlags(t *testing.T) {
	dir := e2etest.Sample(t, "go/ldflags")
	git := func(args ...string) string {
		cmd := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=t", "-c", "user.email=t@example.test"}, args...)...)
		return strings.TrimSpace(harness.Run(t, cmd))
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-q", "-m", "first")
	revision := git("rev-parse", "HEAD")

	name, _ := e2etest.Build(t, dir, "--build-arg", "VERSION=1.2.3")
	if got, want := e2etest.Answer(t, name, nil), "1.2.3 "+revision+" stable"; got != want {
		t.Errorf("the program prints %q, want %q", got, want)
	}
	img := e2etest.Stored(t, name, "")
	goSample{name: "ldflags"}.check(t, img, "amd64")
	if config, err := img.ConfigFile(); err != nil || config.Config.Labels["org.opencontainers.image.version"] != "1.2.3" {
		t.Errorf("the image's labels are %v, %v", config.Config.Labels, err)
	}

	name, _ = e2etest.Build(t, dir, "--build-arg", "VERSION=1.2.4", "--build-arg", "CHANNEL=beta", "--build-arg", "REVISION=abc")
	if got := e2etest.Answer(t, name, nil); got != "1.2.4 abc beta" {
		t.Errorf("the program prints %q with build arguments", got)
	}
	out := harness.RunFails(t, e2etest.Birdhouse(t, "build", "-t", "nothing", "--build-arg", "CHANEL=beta", dir))
	if !strings.Contains(out, `"CHANEL"`) || !strings.Contains(out, `"CHANNEL"`) {
		t.Errorf("an unknown build argument is not explained:\n%s", out)
	}
	notStored(t, "nothing")
}

// Two images of one descriptor have their base in common.
func TestGoImagesShare(t *testing.T) {
	dir := e2etest.Sample(t, "go/images")
	var bases []string
	for _, target := range []string{"run", "worker"} {
		harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "share-"+target, "--progress=plain", "--target", target, dir))
		layers, err := e2etest.Stored(t, "share-"+target, "").Layers()
		if err != nil {
			t.Fatal(err)
		}
		digest, err := layers[0].Digest()
		if err != nil || len(layers) != 2 {
			t.Fatalf("%d layers, %v", len(layers), err)
		}
		bases = append(bases, digest.String())
	}
	if bases[0] != bases[1] {
		t.Errorf("the bases differ: %v", bases)
	}
	out := harness.RunFails(t, e2etest.Birdhouse(t, "build", "-t", "nothing", "--target", "wroker", dir))
	if !strings.Contains(out, `did you mean "worker"?`) {
		t.Errorf("a target that is not there is not explained:\n%s", out)
	}
}

// Files that the descriptor adds keep the folders of the base as they are.
func TestGoCopiedFiles(t *testing.T) {
	dir := e2etest.Sample(t, "go/tests")
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), `language: go
copy:
  - etc/app.conf:/etc/app.conf:0600
  - etc/app.conf:/opt/app/shared.conf:0444
  - etc/app.conf:/tmp/app.conf
  - etc/app.conf:/home/nonroot/app.conf
  - etc/app.conf:/bin/app.conf
  - etc:/srv/etc:0444
  - etc/script:/srv/script
`)
	e2etest.Write(t, filepath.Join(dir, "etc/script"), "not to be run\n")
	if err := os.Chmod(filepath.Join(dir, "etc/script"), 0o755); err != nil {
		t.Fatal(err)
	}
	name, _ := e2etest.Build(t, dir)
	img := e2etest.Stored(t, name, "")
	if got := e2etest.Answer(t, name, nil); got != "3" {
		t.Errorf("the program prints %q", got)
	}
	files := e2etest.Files(t, img)
	for name, want := range map[string]string{
		"etc/app.conf":          "0:0 -rw-------",
		"etc":                   "0:0 drwxr-xr-x",
		"opt":                   "0:0 drwxr-xr-x",
		"opt/app":               "0:0 drwxr-xr-x",
		"opt/app/shared.conf":   "0:0 -r--r--r--",
		"tmp":                   "0:0 dtrwxrwxrwx",
		"tmp/app.conf":          "0:0 -rw-r--r--",
		"home":                  "0:0 drwxr-xr-x",
		"home/nonroot":          "65532:65532 drwx------",
		"home/nonroot/app.conf": "0:0 -rw-r--r--",
		"app":                   "0:0 drwxr-xr-x",
		"bin":                   "0:0 Lrwxrwxrwx", // to usr/bin
		"usr/bin/app.conf":      "0:0 -rw-r--r--",
		"srv/etc":               "0:0 drwxr-xr-x",
		"srv/etc/app.conf":      "0:0 -r--r--r--",
		"srv/script":            "0:0 -rwxr-xr-x",
	} {
		f, ok := files[name]
		if !ok {
			t.Errorf("the image has no /%s", name)
			continue
		}
		if got := fmt.Sprintf("%d:%d %s", f.Uid, f.Gid, f.FileInfo().Mode()); got != want {
			t.Errorf("%s is %s, want %s", path.Join("/", name), got, want)
		}
	}
	for name, f := range files {
		if f.ModTime.Unix() != 0 {
			t.Errorf("/%s is of %s", name, f.ModTime)
		}
	}

	// Another umask, another time: the same image.
	first, _ := img.Digest()
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if err := os.Chmod(path, info.Mode()&^0o077|info.Mode()&0o700>>3); err != nil {
			return err
		}
		return os.Chtimes(path, time.Time{}, time.Unix(1e9, 0))
	})
	if err != nil {
		t.Fatal(err)
	}
	e2etest.Build(t, dir)
	if second, _ := e2etest.Stored(t, name, "").Digest(); first != second {
		t.Errorf("with another umask the image is %s, was %s", second, first)
	}
}
