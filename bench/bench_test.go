//go:build bench

package bench

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

var (
	rounds   = flag.Int("rounds", 7, "how often each warm case is measured, at most 8")
	cold     = flag.Int("cold", 3, "how often the cold case is measured, at least once")
	only     = flag.String("language", "", "measure this language alone; the others' parts of the file stay")
	who      = flag.String("contestants", "", "measure these alone, separated by semicolons")
	out      = flag.String("out", "", "the file for the tables, from the repository's root")
	progress = flag.Bool("progress", false, "print what builds print")
)

func TestMain(m *testing.M) { harness.Main(m) }

// The cases, in the table's order.
const (
	caseCold       = "cold"
	caseSame       = "no change"
	caseLine       = "one source line changed"
	caseDependency = "one dependency added"
)

// warm are the cases that follow one another in a round.
var warm = []string{caseSame, caseLine, caseDependency}

// measured are the times by case and contestant.
type measured map[string]map[string][]time.Duration

func (m measured) add(t *testing.T, kase, who string, d time.Duration) {
	t.Logf("%-26s %-26s %s", kase, who, d.Round(time.Millisecond))
	if m[kase] == nil {
		m[kase] = map[string][]time.Duration{}
	}
	m[kase][who] = append(m[kase][who], d)
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	if len(s)%2 == 1 {
		return s[len(s)/2]
	}
	return (s[len(s)/2-1] + s[len(s)/2]) / 2
}

func TestBench(t *testing.T) {
	w := newWorld(t)
	doc := document{}
	measure := 0
	for _, l := range languages {
		if *only != "" && *only != l.name {
			continue
		}
		measure++
		t.Run(l.name, func(t *testing.T) {
			doc[l.title] = bench(t, newProgram(t, w, l))
		})
	}
	if measure == 0 {
		t.Fatalf("no language %q", *only)
	}
	if t.Failed() {
		return
	}
	doc[frontendTitle] = frontendReport(t, w)
	if *out == "" {
		return
	}
	path := *out
	if !filepath.IsAbs(path) {
		path = filepath.Join(harness.Root(t), path)
	}
	old, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(doc.over(string(old))), 0o644); err != nil {
		t.Fatal(err)
	}
}

// bench measures a program and returns its part of the document.
func bench(t *testing.T, p *program) string {
	m := measured{}
	all := slices.Concat(contestants, p.peers)
	if *who != "" {
		all = slices.DeleteFunc(all, func(c contestant) bool { return !slices.Contains(strings.Split(*who, ";"), c.name) })
	}
	// The last cold build's caches are what the warm cases begin with.
	places := map[string]place{}
	for round := range *cold {
		for i := range all {
			c := all[(i+round)%len(all)]
			first := func(t *testing.T) {
				at := newPlace(t, p, c, fmt.Sprintf("round%d-%d", round, i))
				p.edit(t, at.dir, edit{})
				m.add(t, caseCold, c.name, run(t, c.command(t, p, at)))
				places[c.name] = at
			}
			if round == *cold-1 {
				first(t)
				continue
			}
			if !t.Run("cold", first) { // whose daemon ends with it
				t.FailNow()
			}
		}
	}
	moved := map[string]int64{}
	for round := range *rounds {
		for i := range all {
			c := all[(i+round)%len(all)]
			at := places[c.name]
			build := func() time.Duration { return run(t, c.command(t, p, at)) }
			build() // leaves what the round before changed
			before := layers(t, at.image)
			for _, kase := range warm {
				e := edit{}
				if change, ok := p.changes()[kase]; ok {
					e = edit{kase, change.values[round%len(change.values)]}
				}
				p.edit(t, at.dir, e)
				m.add(t, kase, c.name, build())
				if kase == caseLine {
					moved[c.name] = size(without(layers(t, at.image), before))
				}
			}
			p.edit(t, at.dir, edit{})
		}
	}
	for _, c := range all {
		run(t, c.command(t, p, places[c.name]))
	}
	if at, ok := places[birdhouse]; ok {
		answers(t, p.language, at.image)
	}
	report := languageReport(t, p, m, all, places, moved)
	t.Log("\n" + report)
	return report
}

// newPlace is an empty one.
func newPlace(t *testing.T, p *program, c contestant, name string) place {
	at := place{state: state(t), dir: filepath.Join(t.TempDir(), "app"), image: fmt.Sprintf("%s/%s/%s/app", p.registry, p.name, name)}
	if !c.daemonless {
		at.daemon = harness.Buildkitd(t)
	}
	return at
}

// state makes a folder for a contestant's caches.
func state(t *testing.T) string {
	dir, err := os.MkdirTemp("", "bh-bench-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// run returns how long the command took, from its start to its end.
func run(t *testing.T, cmd *exec.Cmd) time.Duration {
	t.Helper()
	start := time.Now()
	said := harness.Run(t, cmd)
	took := time.Since(start)
	if *progress {
		t.Log(said)
	}
	return took
}
