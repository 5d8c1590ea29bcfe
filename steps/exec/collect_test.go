package exec

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func collection(t *testing.T, c Collection) Collection {
	t.Helper()
	text, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := ParseCollection(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestCollect(t *testing.T) {
	src, out := t.TempDir(), t.TempDir()
	write(t, src, "a/index.js", "a/index.ts", "a/deep/x.js", "a/node_modules/y/z.js", "b.json")
	if err := os.Chmod(filepath.Join(src, "a/deep/x.js"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("../b.json", filepath.Join(src, "a/b.json")); err != nil {
		t.Fatal(err)
	}
	o := command(t, "print")
	o.Collect = []Collection{
		collection(t, Collection{From: src + "/a", To: out + "/app", Root: src, Exclude: []string{"**/*.ts", "node_modules"}}),
		collection(t, Collection{From: src + "/b.json", To: out + "/b.json"}),
		collection(t, Collection{From: src + "/c", To: out + "/c", Optional: true}),
		collection(t, Collection{From: src + "/a", To: out + "/some", Include: []string{"deep/**"}}),
	}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(files(t, out), " "), "app/b.json app/deep/x.js app/index.js b.json some/deep/x.js"; got != want {
		t.Errorf("collected %s, not %s", got, want)
	}
	for name, want := range map[string]os.FileMode{"app/index.js": 0o644, "app/deep/x.js": 0o755} {
		if info, err := os.Stat(filepath.Join(out, name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
}

func TestCollectRefuses(t *testing.T) {
	src, out := t.TempDir(), t.TempDir()
	write(t, src, "a/index.js")
	for link, target := range map[string]string{"absolute": "/etc/passwd", "up": "../../x", "sibling": "../.." + src + "x"} {
		dir := filepath.Join(src, link)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(target, filepath.Join(dir, "link")); err != nil {
			t.Fatal(err)
		}
	}
	for from, want := range map[string]string{
		"/absolute": "is a symbolic link to /etc/passwd, which is not in",
		"/up":       "is a symbolic link to ../../x",
		"/sibling":  "is a symbolic link to",
		"/nothing":  "is not there: the command did not write it",
	} {
		o := command(t, "print")
		o.Collect = []Collection{collection(t, Collection{From: src + from, To: out, Root: src})}
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", from, err)
		}
	}
	for _, text := range []string{`{}`, `{"from":"/a"}`, `{"from":"/a","to":"/b","x":1}`, `{"from":"/a","to":"/b"} x`, `{"from":"/a","to":"/b","exclude":["[a"]}`} {
		if _, err := ParseCollection(text); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}

func TestOptional(t *testing.T) {
	o := command(t, "env", "ONE=", "TWO=2", "THREE=")
	o.Optional = []string{"ONE", "TWO"}
	env, err := environment(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(env[1:], " "); got != "TWO=2 THREE=" {
		t.Errorf("the command gets %s", got)
	}
}

func TestMkdir(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "there/file")
	o := command(t, "print")
	o.Mkdir = []string{dir + "/there", dir + "/new/below"}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(dir + "/new/below"); err != nil || !info.IsDir() {
		t.Error(info, err)
	}
	if got := files(t, dir); len(got) != 1 || got[0] != "there/file" {
		t.Error(got)
	}
}

func TestBefore(t *testing.T) {
	o := command(t, "print", "ANSWER=x")
	o.Before = []Command{{Args: o.Args}, {Dir: t.TempDir(), Args: o.Args}}
	if err := Run(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	if got := o.Stdout.(*bytes.Buffer).String(); strings.Count(got, "x") != 3 {
		t.Errorf("printed %q", got)
	}
	o = command(t, "fail")
	o.Before = []Command{{Args: o.Args}}
	o.Args = []string{"/nothing"}
	if err := Run(t.Context(), o); err == nil || err.Error() != "exit code 7" {
		t.Errorf("the first command's failure is %v", err)
	}
	for _, text := range []string{`{}`, `[]`, `{"args":["a"],"x":1}`} {
		if _, err := ParseCommand(text); err == nil {
			t.Errorf("%s is accepted", text)
		}
	}
}
