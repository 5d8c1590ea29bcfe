package lock

import (
	"strings"
	"testing"
)

func TestStale(t *testing.T) {
	for _, p := range projects {
		l := load(t, p.dir, p.lock)
		if l.Format == UV || l.Format == PyLock {
			if problems := l.Stale(Manifest{}); problems != nil {
				t.Errorf("%s: %v", p.dir, problems)
			}
			continue
		}
		text := string(read(t, p.dir, p.manifest))
		if l.digest == "" || l.digestLine == 0 {
			t.Errorf("%s: the lock has no hash of the manifest", p.dir)
		}
		for _, c := range []struct {
			what, old, new string
			stale          bool
		}{
			{"nothing", "", "", false},
			{"a comment", "", "\n# more\n", false},
			{"the version of the project", `version = "0.1.0"`, `version = "0.2.0"`, false},
			{"a requirement", "click", "click2", true},
			{"a requirement", "flask", "flask2", true},
			{"a group", "isort", "isort2", true},
			{"an extra", "redis", "redis2", true},
		} {
			changed := strings.Replace(text, c.old, c.new, 1)
			if c.old == "" {
				changed = text + c.new
			} else if changed == text {
				continue
			}
			problems := l.Stale(manifest(t, p.manifest, []byte(changed)))
			if (len(problems) > 0) != c.stale {
				t.Errorf("%s: with %s changed: %v", p.dir, c.what, problems)
			}
			if c.stale && (problems[0].File != p.lock || problems[0].Range.Start.Line != l.digestLine || problems[0].Hint != "run: "+l.relock()) {
				t.Errorf("%s: %+v", p.dir, problems[0])
			}
		}
	}
}

// TestDigests has manifests whose hashes poetry 1.8, poetry 2.5 (with and without dependency groups),
// pdm 2.29 and pipenv's plette computed.
func TestDigests(t *testing.T) {
	// ALL stands for a dependency of every kind that JSON has.
	all := func(s string) string {
		return s + "\n[tool.poetry.dependencies]\npython = \"^3.10\"\nodd = {version = \"1\", n = 1_000, f = [1.0, 1e16, 1.5e-7, 0.1, 123456789.25], ok = true, text = \"\\u00fc \\U0001F600 \\\\ \\\" \\t\\n\\u007f/\"}\n"
	}
	for _, c := range digestCases {
		text := c.text
		if rest, ok := strings.CutPrefix(text, "ALL"); ok {
			text = all(rest)
		}
		root := manifest(t, "x", []byte(text))
		var got []string
		switch c.tool {
		case Poetry:
			got = poetryDigests(root.Root)
		case PDM:
			got = pdmDigests(root.Root)
		case Pipfile:
			got = pipfileDigests(root.Root, nil)
		}
		if len(got) != 2 || got[c.variant] != c.want {
			t.Errorf("%s %d of %s: %q, want %s", c.tool, c.variant, c.text, got, c.want)
		}
	}
}
