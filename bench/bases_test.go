//go:build bench

package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/containerd/platforms"
	"github.com/google/go-containerregistry/pkg/crane"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	buildctl "github.com/moby/buildkit/cmd/buildctl/build"
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
	steps, err := fsutil.NewFS(filepath.Join(harness.Root(t), "steps", "embedded", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	var specs []string
	for option := range slices.Chunk(harness.Secrets(t), 2) {
		specs = append(specs, option[1])
	}
	secrets, err := buildctl.ParseSecret(specs)
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
		LocalMounts: map[string]fsutil.FS{frontend.StepsLocal: steps},
		Session:     []session.Attachable{secrets},
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
