//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// report is docs/bench.md.
func report(t *testing.T, w *world, m measured, all []contestant) string {
	t.Helper()
	var s strings.Builder
	fmt.Fprintf(&s, `# Measurements

Written by `+"`make bench`"+`: one run, side by side, contestants taking turns; medians of %d (cold: %d) in seconds of the whole client
process, the push to a registry on the same machine included. %d cores, Go %s, %s. The program is bench/testdata/app: a router,
structured logs, metrics; 13 modules. Everybody has a buildkitd (v0.33.1, one configuration) and caches of their own.

`, *rounds, *cold, runtime.NumCPU(), w.goBase.Version, time.Now().UTC().Format(time.DateOnly))

	s.WriteString("| case |")
	for _, c := range all {
		fmt.Fprintf(&s, " %s |", c.name)
	}
	s.WriteString("\n|---|" + strings.Repeat("--:|", len(all)) + "\n")
	for _, kase := range []string{caseCold, caseSame, caseLine, caseModule} {
		fmt.Fprintf(&s, "| %s |", kase)
		for _, c := range all {
			if len(m[kase][c.name]) == 0 {
				s.WriteString(" – |")
				continue
			}
			fmt.Fprintf(&s, " %.2f |", median(m[kase][c.name]).Seconds())
		}
		s.WriteString("\n")
	}
	s.WriteString("\n")
	for _, c := range all {
		fmt.Fprintf(&s, "- **%s**: %s\n", c.name, c.note)
	}

	ratio := func(kase, who, peer string) string {
		if len(m[kase][who]) == 0 || len(m[kase][peer]) == 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f", float64(median(m[kase][who]))/float64(median(m[kase][peer])))
	}
	s.WriteString("\n| ratio | measured | aim |\n|---|--:|--:|\n")
	for _, r := range []struct{ kase, who, peer, aim string }{
		{caseSame, "birdhouse", "Dockerfile, `# syntax`", "0.80"},
		{caseSame, "birdhouse build --addr", "Dockerfile", "0.80"},
		{caseLine, "birdhouse", "Dockerfile, `# syntax`", "0.80"},
		{caseLine, "birdhouse build --addr", "Dockerfile", "0.80"},
		{caseSame, "birdhouse", "ko", "1.00"},
		{caseLine, "birdhouse", "ko", "1.00"},
		{caseSame, "birdhouse build", "birdhouse", "1.50"},
	} {
		fmt.Fprintf(&s, "| %s: %s to %s | %s | %s |\n", r.kase, r.who, r.peer, ratio(r.kase, r.who, r.peer), r.aim)
	}

	frontend, err := os.Stat(filepath.Join(harness.Root(t), "dist", "linux_amd64", "frontend"))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&s, `
| size | MB | aim |
|---|--:|--:|
| frontend binary | %.1f | 20 |
| frontend image, compressed | %.1f | 8 |
| HTTP hello image (testdata/go/hello), compressed | %.2f | 2.4 |
`, mb(frontend.Size()), mb(imageSize(t, w.frontend)), mb(helloSize(t, w)))
	return s.String()
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// imageSize is the sum of the layers as they are in the registry.
func imageSize(t *testing.T, ref string) int64 {
	t.Helper()
	img, err := crane.Pull(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	var n int64
	for _, l := range manifest.Layers {
		n += l.Size
	}
	return n
}

func helloSize(t *testing.T, w *world) int64 {
	t.Helper()
	ref := w.registry + "/hello:1"
	harness.Run(t, harness.SharedBuildkitd(t).Buildctl(t, w.gateway(filepath.Join(harness.Root(t), "testdata", "go", "hello"), ref)...))
	return imageSize(t, ref)
}
