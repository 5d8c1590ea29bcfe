package llb_test

import (
	"strings"
	"testing"

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
