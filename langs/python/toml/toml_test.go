package toml

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const sample = `title = "a \u00e9"
[project]
name = 'demo'
dependencies = [
  "flask>=3",
  "gunicorn", # why
]
dynamic.version = true

[tool.x]
size = 1_000
ratio = 1e3
day = 2026-01-02
inline = { a = 1, b.c = [ { d = "e" } ] }

[[package]]
name = "one"
[package.metadata]
x = "1"
[[package]]
name = "two"
[[package.wheels]]
url = """
multi
line"""

[tool]
late = false
`

func TestParse(t *testing.T) {
	root, err := Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	packages := root.Get("package").List()
	if len(packages) != 2 {
		t.Fatalf("%d packages", len(packages))
	}
	for _, c := range []struct {
		value *Value
		kind  Kind
		text  string
		line  int
	}{
		{root.Get("title"), String, "a é", 1},
		{root.Get("project"), Table, "", 2},
		{root.Get("project", "name"), String, "demo", 3},
		{root.Get("project", "dependencies"), Array, "", 4},
		{root.Get("project", "dependencies").List()[1], String, "gunicorn", 6},
		{root.Get("project", "dynamic", "version"), Bool, "true", 8},
		{root.Get("tool", "x", "size"), Integer, "1_000", 11},
		{root.Get("tool", "x", "ratio"), Float, "1e3", 12},
		{root.Get("tool", "x", "day"), Time, "2026-01-02", 13},
		{root.Get("tool", "x", "inline", "b", "c").List()[0].Get("d"), String, "e", 14},
		{packages[0], Table, "", 16},
		{packages[0].Get("metadata", "x"), String, "1", 19},
		{packages[1].Get("wheels").List()[0].Get("url"), String, "multi\nline", 23},
		{root.Get("tool"), Table, "", 27},
		{root.Get("nothing", "at", "all"), 0, "", 0},
	} {
		if c.value.Kind() != c.kind || c.value.Text() != c.text || c.value.Line() != c.line {
			t.Errorf("%s %q at line %d, want %s %q at line %d", c.value.Kind(), c.value.Text(), c.value.Line(), c.kind, c.text, c.line)
		}
	}
	if got := fmt.Sprint(root.Keys(), root.Get("project", "dependencies").Strings()); got != "[title project tool package] [flask>=3 gunicorn]" {
		t.Error(got)
	}
	if at := root.Get("project", "dependencies").List()[0].Range(); at.Start.Column != 3 || at.End.Column != 13 {
		t.Errorf("at %v", at)
	}
	if root.Get("tool", "late").True() || !root.Get("project", "dynamic", "version").True() {
		t.Error("a boolean was misread")
	}
}

func TestErrors(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"a = 1\na = 2", "line 2: a is there a second time"},
		{"[a]\nb = 1\n[a]\n", "line 3: a is there a second time"},
		{"[a]\n[a.b]\n[[a.b]]", "line 3: a.b is a table already"},
		{"[[a]]\n[a]", "line 2: a is there a second time"},
		{"a = []\n[[a]]", "line 2: a is an array already"},
		{"a = {b = 1}\n[a.c]", "line 2: a is a table already"},
		{"a = {b = 1}\na.c = 2", "line 2: a is a table already"},
		{"a = 1\n[a.b]", "line 2: a is an integer already"},
		{"x = 1\nname = ", "line 2: expected value, not end of input"},
		{"x = 1\nname \"y\"\n", "line 2: expected '=' after key"},
		{"x = [1,\n2", "line 2: array is incomplete"},
		{"a = " + strings.Repeat("[", 200) + strings.Repeat("]", 200), "line 1: tables are nested more than 100 deep"},
		{strings.Repeat("a.", 200) + "b = 1", "line 1: tables are nested more than 100 deep"},
		{"a = " + strings.Repeat("[", 1<<20), "line 1: arrays and inline tables are nested more than the maximum of 10000 levels deep"},
	} {
		_, err := Parse([]byte(c.text))
		var e *Error
		if !errors.As(err, &e) || e.Error() != c.want {
			t.Errorf("%.40q: %v, want %s", c.text, err, c.want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte("[[a]]\n[a.b]\nc.d=[{}]\n[[a]]"))
	f.Add([]byte("a=\"\\x\""))
	f.Fuzz(func(t *testing.T, data []byte) {
		root, err := Parse(data)
		if (root == nil) == (err == nil) {
			t.Fatal("neither a tree nor an error, or both")
		}
		lines := bytes.Count(data, []byte("\n")) + 1
		var e *Error
		if errors.As(err, &e) && e.Range.Start.Line > lines {
			t.Fatalf("an error at line %d of %d", e.Range.Start.Line, lines)
		}
		var walk func(v *Value)
		walk = func(v *Value) {
			if v.Line() > lines {
				t.Fatalf("a value at line %d of %d", v.Line(), lines)
			}
			for _, e := range v.List() {
				walk(e)
			}
			for _, k := range v.Keys() {
				walk(v.Get(k))
			}
		}
		walk(root)
	})
}
