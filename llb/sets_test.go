package llb_test

import (
	"strings"
	"testing"

	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// A source to copy may name the architecture, so that one descriptor has files
// for several.
func TestCopyOfAnArchitecture(t *testing.T) {
	p := planOf(t, "../testdata/go/hello")
	p.Layers = append([]plan.Layer{{Name: "assets", Copies: []plan.Copy{{Source: "dist/" + plan.TargetArch + "/tool", Target: "/tool"}}}}, p.Layers...)
	for _, platform := range []ocispecs.Platform{amd64, {OS: "linux", Architecture: "arm64"}} {
		g, err := birdllb.Convert(t.Context(), p, options(platform, caps()))
		if err != nil {
			t.Fatal(err)
		}
		if text, want := dump(t, g.Image), "dist/"+platform.Architecture+"/tool"; !strings.Contains(text, want) || strings.Contains(text, plan.TargetArch) {
			t.Errorf("the graph for %s lacks %q:\n%s", platform.Architecture, want, text)
		}
	}
}

// A stage in the assembled image has the layers before its own, and the image's
// environment.
func TestAssembledStage(t *testing.T) {
	p := planOf(t, "../testdata/go/hello")
	p.Image.Env = append(p.Image.Env, plan.Env{Name: "FROM_IMAGE", Value: "yes"})
	p.Stages = append(p.Stages, plan.Stage{
		Name: "learn", Assembled: true, PerPlatform: true, Native: "it starts the program",
		Steps: []plan.Step{{Name: "learn", Args: []string{"/app/learn"}, Dir: "/app", Mounts: []plan.Mount{{Kind: plan.MountOutput, Target: "/out"}}}},
	})
	p.Layers = append(p.Layers,
		plan.Layer{Name: "learnt", Copies: []plan.Copy{{Stage: "learn", Source: "/", Target: "/app"}}},
		plan.Layer{Name: "after", Files: []plan.File{{Path: "/after", Content: "x", Mode: 0o644}}})
	for name, c := range map[string]apicaps.CapSet{"merge": caps(), "copies": caps(pb.CapMergeOp)} {
		t.Run(name, func(t *testing.T) {
			g, err := birdllb.Convert(t.Context(), p, options(amd64, c))
			if err != nil {
				t.Fatal(err)
			}
			text := dump(t, g.Stages["learn"])
			for want, there := range map[string]bool{"layer application": true, "FROM_IMAGE=yes": true, "static:13": true, "layer learnt": false, "layer after": false} {
				if strings.Contains(text, want) != there {
					t.Errorf("the stage's graph has %q: %v, want %v:\n%s", want, !there, there, text)
				}
			}
			if text := dump(t, g.Image); !strings.Contains(text, "layer learnt") || !strings.Contains(text, "/app/learn") {
				t.Errorf("the image's graph has no layer of the stage:\n%s", text)
			}
		})
	}
	_, err := birdllb.Convert(t.Context(), p, options(arm64, caps()))
	if err == nil || !strings.Contains(err.Error(), "it starts the program") {
		t.Errorf("for another architecture: %v", err)
	}
}
