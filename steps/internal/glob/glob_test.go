package glob

import "testing"

func TestMatch(t *testing.T) {
	cases := []struct {
		pattern, name string
		want          bool
	}{
		{"usr/share/man", "usr/share/man", true},
		{"/usr/share/man", "usr/share/man", true},
		{"usr/share/man", "usr/share/man/man1", false},
		{"usr/share/man/**", "usr/share/man/man1/ls.1.gz", true},
		{"usr/share/man/**", "usr/share/man", true},
		{"usr/share/man/**", "usr/share/manual", false},
		{"usr/share/doc/*/copyright", "usr/share/doc/tzdata/copyright", true},
		{"usr/share/doc/*/copyright", "usr/share/doc/a/b/copyright", false},
		{"**/*.zip", "a.zip", true},
		{"**/*.zip", "a/b/c.zip", true},
		{"**/*.zip", "a/b/c.zip.tmp", false},
		{"**/test/**/*.pyc", "usr/lib/test/a/test/b.pyc", true},
		{"**/test/**/*.pyc", "usr/lib/test/b.pyc", true},
		{"**/test/**/*.pyc", "usr/lib/tests/b.pyc", false},
		{"a/**/b/**/c", "a/b/x/b/y/c", true},
		{"a/**/b/**/c", "a/x/c", false},
		{"**", "a/b", true},
		{"**/**/a", "x/y/a", true},
		{"lib[0-9]", "lib6", true},
		{"lib[0-9]", "libx", false},
		{"*", "a/b", false},
	}
	for _, c := range cases {
		p, err := Parse(c.pattern)
		if err != nil {
			t.Fatalf("Parse(%q): %v", c.pattern, err)
		}
		if got := p.Match(c.name); got != c.want {
			t.Errorf("%q matches %q: got %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{"", "/", "a//b", "../a", "a/./b", "[a", `a\`} {
		if p, err := Parse(text); err == nil {
			t.Errorf("Parse(%q) = %q, want an error", text, p)
		}
	}
}

// A pattern with many ** must not take exponential time.
func TestManyStars(t *testing.T) {
	pattern, name := "", ""
	for range 30 {
		pattern += "**/a/"
		name += "a/"
	}
	p, err := Parse(pattern + "b")
	if err != nil {
		t.Fatal(err)
	}
	if p.Match(name + name + name + "c") {
		t.Error("matched a name that does not end in b")
	}
}
