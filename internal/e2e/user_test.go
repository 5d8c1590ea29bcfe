package e2e_test

import (
	"archive/tar"
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// output runs a command that must succeed, and returns its two outputs.
func output(t *testing.T, cmd *exec.Cmd) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, &out, &errs)
	}
	return out.String(), errs.String()
}

// From a program with no descriptor to a running image.
func TestFirstSteps(t *testing.T) {
	dir := e2etest.Sample(t, "go/hello")
	if err := os.Remove(filepath.Join(dir, "birdhouse.yaml")); err != nil {
		t.Fatal(err)
	}
	in := func(args ...string) *exec.Cmd {
		cmd := e2etest.Birdhouse(t, args...)
		cmd.Dir = dir
		return cmd
	}
	e2etest.Contains(t, e2etest.Fails(t, 1, in("build")), "birdhouse init writes one")

	out, _ := output(t, in("init"))
	e2etest.Contains(t, out, "birdhouse.yaml written, from go.mod:", "Next: birdhouse plan ., birdhouse build .")
	text, err := os.ReadFile(filepath.Join(dir, "birdhouse.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`^# syntax=\S+\n# yaml-language-server: \$schema=\S+\n\nlanguage: go\n$`).Match(text) {
		t.Errorf("init has written\n%s", text)
	}
	e2etest.Contains(t, e2etest.Fails(t, 1, in("init")), "birdhouse.yaml is there already; --force replaces it")
	output(t, in("init", "--force"))

	out, _ = output(t, in("plan"))
	e2etest.Contains(t, out, "language ", "birdhouse.yaml:4", "the main package in the project's folder", "go build .")
	out, _ = output(t, in("plan", "--format=json"))
	var plan struct{ Language string }
	if err := json.Unmarshal([]byte(out), &plan); err != nil || plan.Language != "go" {
		t.Errorf("the plan in JSON is %s, %v", out, err)
	}
	if out, errs := output(t, in("check")); out+errs != "" {
		t.Errorf("check says %q", out+errs)
	}

	out, _ = output(t, in("build"))
	if !regexp.MustCompile(`^hello  linux/\w+  sha256:[0-9a-f]{64}\n\n  layer +changes +size +what\n  static +rarely .*\n  application +always .*/app/hello  go1\.\S+, static, stripped\n  total +\d\.\d\d MB  2 layers.* \d+\.\d s\n$`).MatchString(out) {
		t.Errorf("the report is\n%s", out)
	}
	if got := e2etest.Start(t, "hello").Get(t, "/"); got != "hello" {
		t.Errorf("the program answers %q", got)
	}
}

func TestSchemaIsTheCommittedOne(t *testing.T) {
	out, _ := output(t, e2etest.Birdhouse(t, "schema"))
	want, err := os.ReadFile(filepath.Join(harness.Root(t), "docs/schema.json"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), out); diff != "" {
		t.Errorf("docs/schema.json is another: run make generate\n%s", diff)
	}
}

// What is on standard output and what on standard error, by --progress.
func TestProgress(t *testing.T) {
	dir := e2etest.Sample(t, "go/hello")
	root := harness.SharedRoot(t)
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "p", dir))
	want := digest(t, root, "p")

	out, errs := output(t, e2etest.Birdhouse(t, "build", "-t", "p", "--progress=plain", dir))
	e2etest.Contains(t, errs, "[build] go build .", "CACHED")
	e2etest.Contains(t, out, "p  linux/", want)

	for _, quiet := range []string{"--quiet", "--progress=quiet"} {
		out, errs = output(t, e2etest.Birdhouse(t, "build", "-t", "p", quiet, dir))
		if out != want+"\n" || errs != "" {
			t.Errorf("%s: %q, %q; want only the digest %s", quiet, out, errs, want)
		}
	}

	out, errs = output(t, e2etest.Birdhouse(t, "build", "-t", "p", "--progress=rawjson", dir))
	lines := 0
	for s := bufio.NewScanner(strings.NewReader(errs)); s.Scan(); lines++ {
		if !json.Valid(s.Bytes()) {
			t.Errorf("no JSON: %s", s.Text())
		}
	}
	if lines == 0 {
		t.Error("no progress")
	}
	var report struct {
		Digest string
		Names  []string
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Digest != want || !slices.Equal(report.Names, []string{"p"}) {
		t.Errorf("the report is %s, %v", out, err)
	}

	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: go\nversoin: 1\n")
	cmd := e2etest.Birdhouse(t, "build", "--progress=rawjson", dir)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
		t.Errorf("it ended with %v", err)
	}
	last := ""
	for s := bufio.NewScanner(&stderr); s.Scan(); {
		if last = s.Text(); !json.Valid(s.Bytes()) {
			t.Errorf("no JSON: %s", last)
		}
	}
	e2etest.Contains(t, last, `"problems":[`, `"line":2`, `unknown key \"versoin\"`)

	cmd = e2etest.Birdhouse(t, "build", "--quiet", dir)
	stdout.Reset()
	stderr.Reset()
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err == nil {
		t.Error("it was built")
	}
	if stdout.Len() > 0 || !strings.HasPrefix(stderr.String(), "birdhouse.yaml:2:1: ") {
		t.Errorf("quiet: %q, %q", &stdout, &stderr)
	}
}

// The outputs of docker buildx build.
func TestOutputs(t *testing.T) {
	dir, out := e2etest.Sample(t, "go/hello"), t.TempDir()
	path := func(name string) string { return filepath.Join(out, name) }
	built := func(args ...string) string {
		t.Helper()
		text, _ := output(t, e2etest.Birdhouse(t, append(append([]string{"build", "-t", "o", "--label", "a=b"}, args...), dir)...))
		return text
	}

	e2etest.Contains(t, built("-o", path("files")), "written to "+path("files"))
	program, err := os.Stat(path("files/app/hello"))
	if err != nil || program.Mode().Perm() != 0o555 {
		t.Errorf("the program is %v, %v", program, err)
	}

	// Several at once, and what was built in files.
	built("-o", "type=tar,dest="+path("files.tar"), "-o", "type=oci,dest="+path("oci.tar"), "-o", "type=docker,dest="+path("docker.tar"), "-o", "type=oci,tar=false,dest="+path("oci"),
		"--metadata-file", path("metadata.json"), "--iidfile", path("id"))
	found := false
	f, err := os.Open(path("files.tar"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for tr := tar.NewReader(f); ; {
		h, err := tr.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found = found || strings.TrimPrefix(h.Name, "./") == "app/hello"
	}
	if !found {
		t.Error("the archive of files lacks the program")
	}
	img, err := tarball.ImageFromPath(path("docker.tar"), nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.Labels["a"] != "b" || config.Config.User != "65532:65532" {
		t.Errorf("the image's configuration is %+v", config.Config)
	}
	index, err := layout.ImageIndexFromPath(path("oci"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := index.IndexManifest()
	if err != nil || len(m.Manifests) != 1 {
		t.Fatalf("the layout has %+v, %v", m, err)
	}
	if info, err := os.Stat(path("oci.tar")); err != nil || info.Size() < 1e6 {
		t.Errorf("the archive is %v, %v", info, err)
	}
	want := m.Manifests[0].Digest.String()
	id, err := os.ReadFile(path("id"))
	if err != nil || string(id) != want {
		t.Errorf("the file with the image's digest has %s, %v; want %s", id, err, want)
	}
	data, err := os.ReadFile(path("metadata.json"))
	if err != nil {
		t.Fatal(err)
	}
	var metadata map[string]any
	if err := json.Unmarshal(data, &metadata); err != nil || metadata["containerimage.digest"] != want || metadata["image.name"] != "o" && metadata["image.name"] != "docker.io/library/o:latest" {
		t.Errorf("metadata %s, %v", data, err)
	}

	// To standard output, and the report beside it.
	cmd := e2etest.Birdhouse(t, "build", "-o", "-", dir)
	archive, errs := output(t, cmd)
	if _, err := tar.NewReader(strings.NewReader(archive)).Next(); err != nil {
		t.Errorf("no archive on standard output: %v", err)
	}
	e2etest.Contains(t, errs, "[build] go build .")
}

// Pushed, and started from the registry on a machine that has nothing.
func TestPushAndRun(t *testing.T) {
	registry := harness.Registry(t)
	dir := e2etest.Sample(t, "go/hello")
	ref := strings.Replace(registry, "127.0.0.1", "localhost", 1) + "/team/hello:1"
	out, _ := output(t, e2etest.Birdhouse(t, "build", "-t", ref, "-t", ref+".2", "--push", dir))
	e2etest.Contains(t, out, "pushed "+ref, "sha256:")
	if diff := cmp.Diff(e2etest.Pulled(t, ref), e2etest.Pulled(t, ref+".2")); diff != "" {
		t.Errorf("the second name is another image:\n%s", diff)
	}
	e2etest.Fails(t, 1, e2etest.Birdhouse(t, "inspect", "team/hello:1")) // pushed alone
	root := t.TempDir()
	port := e2etest.FreePort(t)
	s := e2etest.Serve(t, port, e2etest.BirdhouseIn(t, root, "run", "-e", fmt.Sprintf("PORT=%d", port), ref))
	if got := s.Get(t, "/"); got != "hello" {
		t.Errorf("the program answers %q", got)
	}
	s.Stop(t)
	e2etest.Contains(t, harness.Run(t, e2etest.BirdhouseIn(t, root, "inspect", ref)), "no waste, no findings")
}

// A machine with no cache of its own builds nothing that is in the one it imports.
func TestImportedCache(t *testing.T) {
	dir, cache := e2etest.Sample(t, "go/deps"), t.TempDir()
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "deps", "--cache-to", "type=local,dest="+cache+",mode=max", "--progress=plain", dir))
	root := t.TempDir()
	none := filepath.Join(t.TempDir(), "none")
	out := harness.Run(t, e2etest.BirdhouseIn(t, root, "build", "-t", "deps", "--cache-from", "type=local,src="+none, "--cache-from", "type=local,src="+cache, "--progress=plain", dir))
	for _, step := range []string{"[deps] ", "[build] go build .", "assemble the image"} {
		if !e2etest.IsCached(out, step) {
			t.Errorf("%s ran again:\n%s", step, out)
		}
	}
	if strings.Contains(out, "unpack static") && !e2etest.IsCached(out, "unpack static") {
		t.Errorf("the base was made again:\n%s", out)
	}
	if a, b := digest(t, harness.SharedRoot(t), "deps"), digest(t, root, "deps"); a != b {
		t.Errorf("built %s, from the cache %s", a, b)
	}
	if _, err := os.Stat(none); err == nil {
		t.Error("the cache that is not there was made")
	}
}

// Nothing is taken from the cache, and the image is the same.
func TestNoCache(t *testing.T) {
	dir, root := e2etest.Sample(t, "go/hello"), harness.SharedRoot(t)
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "once", "--progress=plain", dir))
	out := harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "twice", "--no-cache", "--progress=plain", dir))
	for _, step := range []string{"] unpack static", "] install go", "[build] go build .", "[smoke] start the image"} {
		if !strings.Contains(out, step) || e2etest.IsCached(out, step) {
			t.Errorf("%q did not run again:\n%s", step, out)
		}
	}
	if a, b := digest(t, root, "once"), digest(t, root, "twice"); a != b {
		t.Errorf("built %s, and without a cache %s", a, b)
	}
}

// Stages that are named run again, and no others; the image is the same.
func TestNoCacheFilter(t *testing.T) {
	dir, root := e2etest.Sample(t, "go/tests"), harness.SharedRoot(t)
	steps := map[string][]string{
		"test":  {"[test 1/2] go vet ./...", "[test 2/2] go test ./..."},
		"build": {"[build] go build ."},
	}
	harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "all", "--progress=plain", dir))
	for filter, again := range map[string][]string{"test": {"test"}, "BUILD": {"build"}, "build,test": {"build", "test"}, "nothing": nil} {
		out := harness.Run(t, e2etest.Birdhouse(t, "build", "-t", "some", "--no-cache-filter", filter, "--progress=plain", dir))
		for stage, names := range steps {
			for _, name := range names {
				ran := strings.Contains(out, name) && !e2etest.IsCached(out, name)
				if want := slices.Contains(again, stage); ran != want {
					t.Errorf("--no-cache-filter %s: %s has run: %v, want %v\n%s", filter, name, ran, want, out)
				}
			}
		}
		if a, b := digest(t, root, "all"), digest(t, root, "some"); a != b {
			t.Errorf("--no-cache-filter %s: built %s, before %s", filter, b, a)
		}
	}
}
