//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/crane"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// ratio is a contestant's time in a case by another's, and the aim.
type ratio struct{ kase, who, peer, aim string }

// ratios are those of every language.
var ratios = []ratio{
	{caseSame, birdhouse, syntaxLine, "0.80"},
	{caseSame, birdhouseAddr, dockerfile, "0.80"},
	{caseLine, birdhouse, syntaxLine, "0.80"},
	{caseLine, birdhouseAddr, dockerfile, "0.80"},
	{caseDependency, birdhouse, syntaxLine, "0.80"},
	{caseDependency, birdhouseAddr, dockerfile, "0.80"},
	{caseSame, birdhouseAlone, birdhouse, "1.50"},
}

// languageReport is a language's part of docs/bench.md.
func languageReport(t *testing.T, p *program, m measured, all []contestant, places map[string]place, moved map[string]int64) string {
	t.Helper()
	var s strings.Builder
	fmt.Fprintf(&s, "%s, %d cores, %s; medians of %d (cold: %d). The program is bench/testdata/%s/app: %s.\n\n",
		p.build.base, runtime.NumCPU(), time.Now().UTC().Format(time.DateOnly), *rounds, *cold, p.name, p.program)

	s.WriteString("| case |")
	for _, c := range all {
		fmt.Fprintf(&s, " %s |", c.name)
	}
	s.WriteString("\n|---|" + strings.Repeat("--:|", len(all)) + "\n")
	row := func(name string, cell func(c contestant) string) {
		fmt.Fprintf(&s, "| %s |", name)
		for _, c := range all {
			fmt.Fprintf(&s, " %s |", cell(c))
		}
		s.WriteString("\n")
	}
	for _, kase := range append([]string{caseCold}, warm...) {
		row(kase, func(c contestant) string {
			if len(m[kase][c.name]) == 0 {
				return "–"
			}
			return fmt.Sprintf("%.2f", median(m[kase][c.name]).Seconds())
		})
	}
	row("image, MB", func(c contestant) string { return fmt.Sprintf("%.2f", mb(size(layers(t, places[c.name].image)))) })
	row("pushed after one source line changed, kB", func(c contestant) string { return fmt.Sprintf("%.1f", float64(moved[c.name])/1e3) })
	if p.starts {
		root := state(t)
		row("start to the first answer, s", func(c contestant) string {
			return fmt.Sprintf("%.2f", p.start(t, root, places[c.name].image).Seconds())
		})
	}
	s.WriteString("\n")
	for _, c := range all {
		fmt.Fprintf(&s, "- **%s**: %s\n", c.name, c.note)
	}

	s.WriteString("\n| ratio | measured | aim |\n|---|--:|--:|\n")
	for _, r := range slices.Concat(ratios, p.ratios) {
		got := "–"
		if len(m[r.kase][r.who]) > 0 && len(m[r.kase][r.peer]) > 0 {
			got = fmt.Sprintf("%.2f", float64(median(m[r.kase][r.who]))/float64(median(m[r.kase][r.peer])))
		}
		fmt.Fprintf(&s, "| %s: %s to %s | %s | %s |\n", r.kase, r.who, r.peer, got, r.aim)
	}

	ref := p.registry + "/hello/" + p.name
	hello := filepath.Join(harness.Root(t), "testdata", filepath.FromSlash(p.hello))
	harness.Run(t, harness.SharedBuildkitd(t).Buildctl(t, p.gateway(hello, hello, ref)...))
	fmt.Fprintf(&s, "\n| size, compressed | MB | aim |\n|---|--:|--:|\n| %s (testdata/%s) | %.2f | %s |\n", p.helloWhat, p.hello, mb(size(layers(t, ref))), p.helloAim)
	return s.String()
}

// frontendReport is what no language owns.
func frontendReport(t *testing.T, w *world) string {
	t.Helper()
	binary, err := os.Stat(filepath.Join(harness.Root(t), "dist", "linux_amd64", "frontend"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`| size | MB | aim |
|---|--:|--:|
| frontend binary | %.1f | 20 |
| frontend image, compressed | %.1f | 8 |
`, mb(binary.Size()), mb(size(layers(t, w.frontend))))
}

func mb(n int64) float64 { return float64(n) / 1e6 }

// layers are an image's as they are in the registry.
func layers(t *testing.T, ref string) []v1.Descriptor {
	t.Helper()
	img, err := crane.Pull(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return manifest.Layers
}

// without are the layers that are not among others.
func without(layers, others []v1.Descriptor) []v1.Descriptor {
	return slices.DeleteFunc(slices.Clone(layers), func(l v1.Descriptor) bool {
		return slices.ContainsFunc(others, func(o v1.Descriptor) bool { return o.Digest == l.Digest })
	})
}

// size is the sum of the layers, compressed, in bytes.
func size(layers []v1.Descriptor) int64 {
	var n int64
	for _, l := range layers {
		n += l.Size
	}
	return n
}

// start returns how long an image takes from `birdhouse run`, which has it in its store
// in root, to its first answer: the median of five.
func (p *program) start(t *testing.T, root, image string) time.Duration {
	t.Helper()
	var took []time.Duration
	for i := range 6 {
		port := e2etest.FreePort(t)
		begin := time.Now()
		server := e2etest.Serve(t, port, p.command(t, "--root", root, "run", "-e", fmt.Sprintf("PORT=%d", port), image))
		if i > 0 { // the first is pulled
			took = append(took, time.Since(begin))
		}
		server.Stop(t)
	}
	return median(took)
}

// answers checks that what was measured is the program.
func answers(t *testing.T, l language, ref string) {
	t.Helper()
	img, err := crane.Pull(ref)
	if err != nil {
		t.Fatal(err)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(config.Config.Entrypoint, l.entrypoint) {
		t.Errorf("entrypoint is %q, want %q", config.Config.Entrypoint, l.entrypoint)
	}
	if got := len(layers(t, ref)); got != l.layers {
		t.Errorf("%d layers, want %d", got, l.layers)
	}
}
