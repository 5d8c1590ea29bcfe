//go:build bench

package bench

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	"github.com/tonistiigi/fsutil"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// pushBase builds a base image of the catalog, pushes it, and returns its name
// by digest, so that builds on it ask the registry nothing about a tag.
func pushBase(t *testing.T, b *harness.BuildKit, registry string, base plan.Base) string {
	t.Helper()
	ctx := t.Context()
	c, err := client.New(ctx, b.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()

	cat, err := catalog.Open(harness.Lock(t))
	if err != nil {
		t.Fatal(err)
	}
	mirror, err := catalog.ParseMirror(harness.Mirror(t))
	if err != nil {
		t.Fatal(err)
	}
	ref := registry + "/" + base.String()
	build := func(ctx context.Context, gw gwclient.Client) (*gwclient.Result, error) {
		platform := platforms.Normalize(platforms.DefaultSpec())
		program, err := frontend.StepsFromLocal(ctx, gw, platform)
		if err != nil {
			return nil, err
		}
		bases := &birdllb.Catalog{Catalog: cat, Mirror: mirror, Options: birdllb.Options{
			Steps: program, Caps: gw.BuildOpts().LLBCaps, Build: platform, Target: platform, Epoch: time.Unix(0, 0).UTC(),
		}}
		image, err := bases.Base(ctx, base, platform)
		if err != nil {
			return nil, err
		}
		def, err := image.State.Marshal(ctx, llb.Platform(platform))
		if err != nil {
			return nil, err
		}
		res, err := gw.Solve(ctx, gwclient.SolveRequest{Definition: def.ToPB()})
		if err != nil {
			return nil, err
		}
		config, err := json.Marshal(image.Config)
		if err != nil {
			return nil, err
		}
		res.AddMeta(exptypes.ExporterImageConfigKey, config)
		return res, nil
	}
	_, err = c.Build(ctx, client.SolveOpt{
		Exports:     []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{"name": ref, "push": "true"}}},
		LocalMounts: map[string]fsutil.FS{frontend.StepsLocal: harness.StepsPrograms(t)},
		Session:     []session.Attachable{harness.SecretProvider(t)},
	}, "", build, nil)
	if err != nil {
		t.Fatalf("building base %s: %v", base, err)
	}
	digest, err := crane.Digest(ref)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%s/%s@%s", registry, base.Image, digest)
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
