package spec_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// languages are those of the tests.
var languages = []string{"go", "node", "java"}

// golden compares got with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}

// samples returns the descriptors of a folder of testdata by name.
func samples(t testing.TB, folder string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no samples in %s: %v", folder, err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[strings.TrimSuffix(file, ".yaml")] = data
	}
	return all
}

func TestBad(t *testing.T) {
	for name, data := range samples(t, "bad") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			_, problems := spec.Parse("birdhouse.yaml", data, languages)
			if !problems.HasErrors() {
				t.Error("no error")
			}
			inside(t, data, problems)
			golden(t, name+".txt", problems.Text(map[string][]byte{"": data}))
		})
	}
}

func TestGood(t *testing.T) {
	for name, data := range samples(t, "good") {
		t.Run(filepath.Base(name), func(t *testing.T) {
			s, problems := spec.Parse("birdhouse.yaml", data, languages)
			if problems.HasErrors() {
				t.Fatal(problems.Text(map[string][]byte{"": data}))
			}
			inside(t, data, problems)
			values, err := json.MarshalIndent(s, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", fmt.Sprintf("%s\n%s", values, problems.Text(map[string][]byte{"": data})))
		})
	}
}

// inside checks that the text that problems mark is in the file.
func inside(t *testing.T, data []byte, problems spec.Problems) {
	t.Helper()
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	lines := strings.Split(string(data), "\n")
	for _, p := range problems {
		if p.Range == (spec.Range{}) {
			continue
		}
		for _, at := range []spec.Position{p.Range.Start, p.Range.End} {
			if at.Line < 1 || at.Line > len(lines) || at.Column < 1 || at.Column > len(lines[at.Line-1])+1 {
				t.Errorf("%v is outside the file: %+v", at, p)
			}
		}
		s, e := p.Range.Start, p.Range.End
		if e.Line < s.Line || e.Line == s.Line && e.Column < s.Column {
			t.Errorf("a range ends before it begins: %+v", p)
		}
	}
}

func TestTooLarge(t *testing.T) {
	data := bytes.Repeat([]byte("# x\n"), 10<<20/4)
	s, problems := spec.Parse("birdhouse.yaml", data, languages)
	want := "birdhouse.yaml: the file has 10485760 bytes; a descriptor has at most 1048576\n" +
		"    is this the right file? -f names the descriptor\n1 problem, nothing was built\n"
	if got := problems.Text(nil); s != nil || got != want {
		t.Errorf("got %v and\n%s", s, got)
	}
}

// What a hostile file may cost: memory in proportion to its size.
func TestCost(t *testing.T) {
	var bomb strings.Builder
	bomb.WriteString("language: go\nlabels:\n  l0: &l0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := 1; i < 100; i++ {
		fmt.Fprintf(&bomb, "  l%d: &l%d [%s]\n", i, i, strings.Repeat(fmt.Sprintf("*l%d,", i-1), 10))
	}
	const large = 256 << 10
	repeat := func(text string) string { return strings.Repeat(text, large/len(text)) }
	for name, c := range map[string]struct {
		text string
		most uint64 // in MiB
	}{
		"aliases":         {bomb.String(), 8},
		"one line":        {"{language: go, env: {A: \"" + repeat("é") + "\"}}", 64},
		"entries":         {"language: go\ncmd:\n" + repeat("- \n"), 64},
		"keys":            {"language: go\nx: {" + repeat("é,") + "}", 64},
		"unknown keys":    {"language: go\n" + repeat("aaaa: 1\n"), 64},
		"long key":        {"language: go\n" + repeat("x") + ": 1", 64},
		"templates":       {"language: go\nenv: {A: \"" + repeat("{{.Version}}") + "\"}", 64},
		"comments":        {"language: go\n" + repeat("#\n"), 64},
		"open templates":  {"language: go\nenv: {A: \"" + repeat("{{") + "\"}", 64},
		"open brackets":   {"language: " + repeat("["), 64},
		"images and keys": {"language: go\nimages:\n" + strings.Repeat("  a: {}\n", 4000), 64},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, problems := spec.Parse("birdhouse.yaml", []byte(c.text), languages)
			shown := problems.Text(map[string][]byte{"": []byte(c.text)})
			runtime.ReadMemStats(&after)
			if used := (after.TotalAlloc - before.TotalAlloc) >> 20; used > c.most {
				t.Errorf("%d MiB allocated, want at most %d", used, c.most)
			}
			if len(problems) > 101 || len(shown) > 100<<10 {
				t.Errorf("%d problems in %d bytes", len(problems), len(shown))
			}
			if name != "comments" && name != "one line" && name != "templates" && !problems.HasErrors() {
				t.Error("no error")
			}
		})
	}
}
