//go:build bench

package bench

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// pushBase builds a base image of the catalog, pushes it, and returns its name
// by digest, so that builds on it ask the registry nothing about a tag.
func pushBase(t *testing.T, w *world, base plan.Base) string {
	t.Helper()
	c, err := catalog.Open(w.lock)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := crane.Digest(harness.PushBase(t, harness.SharedBuildkitd(t), w.registry, harness.Base{Catalog: c, Base: base, Platforms: []string{"linux/" + runtime.GOARCH}}))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s/%s@%s", w.registry, base.Image, digest)
}

// dockerfileFrontend builds BuildKit's Dockerfile frontend, of the version that
// the daemon has, pushes its image and returns its name.
func dockerfileFrontend(t *testing.T, registry string) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "dockerfile-frontend")
	build := exec.Command("go", "build", "-ldflags", "-s -w", "-o", program, "github.com/moby/buildkit/frontend/dockerfile/cmd/dockerfile-frontend")
	build.Dir = filepath.Join(harness.Root(t), "tools", "buildkit")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	harness.Run(t, build)
	text, err := os.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	if err := w.WriteHeader(&tar.Header{Name: "dockerfile-frontend", Mode: 0o755, Size: int64(len(text))}); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(archive.Bytes())), nil
	})
	if err != nil {
		t.Fatal(err)
	}
	img, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		t.Fatal(err)
	}
	diff, err := layer.DiffID()
	if err != nil {
		t.Fatal(err)
	}
	img, err = mutate.ConfigFile(img, &v1.ConfigFile{
		OS: "linux", Architecture: runtime.GOARCH,
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{diff}},
		Config: v1.Config{
			Entrypoint: []string{"/dockerfile-frontend"},
			Labels: map[string]string{
				"moby.buildkit.frontend.network.none": "true",
				"moby.buildkit.frontend.caps":         "moby.buildkit.frontend.inputs,moby.buildkit.frontend.subrequests,moby.buildkit.frontend.contexts",
			},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ref := registry + "/dockerfile:1"
	if err := crane.Push(img, ref); err != nil {
		t.Fatal(err)
	}
	return ref
}
