package spec_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// parse returns the spec of a descriptor without errors.
func parse(t *testing.T, text string) *spec.Spec {
	t.Helper()
	s, problems := spec.Parse("app.yaml", []byte(text), languages)
	if problems.HasErrors() {
		t.Fatal(problems.Text(map[string][]byte{"": []byte(text)}))
	}
	return s
}

const manyImages = `language: go
version: 1.26
build:
  tags: [a, b]
cmd: [top]
env:
  A: "1"
expose: [80]
command: []
images:
  worker:
    cmd: [work]
    env: {B: "2"}
    expose: []
  api: {}
`

func TestPlaces(t *testing.T) {
	text := strings.Replace(manyImages, "command: []\n", "ports_: 1\n", 1)
	s, problems := spec.Parse("app.yaml", []byte(text), languages)
	if len(problems) != 1 {
		t.Fatal(problems)
	}
	for path, want := range map[string]struct {
		has    bool
		where  string
		marked string
	}{
		"language":          {true, "app.yaml:1", "go"},
		"build.tags":        {true, "app.yaml:4", "[a, b]"},
		"build.tags[1]":     {true, "app.yaml:4", "b"},
		"build.cgo":         {false, "app.yaml:3", "tags: [a, b]"},
		"build.tags[7]":     {false, "app.yaml:4", "[a, b]"},
		"env.A":             {true, "app.yaml:7", `"1"`},
		"env.C":             {false, "app.yaml:6", `A: "1"`},
		"images.worker.cmd": {true, "app.yaml:12", "[work]"},
		"images.api.cmd":    {false, "app.yaml:15", "{}"},
		"user":              {false, "app.yaml:1", "go"},
	} {
		t.Run(path, func(t *testing.T) {
			if got := s.Has(path); got != want.has {
				t.Errorf("Has is %v", got)
			}
			if got := s.Where(path); got != want.where {
				t.Errorf("Where is %s, want %s", got, want.where)
			}
			r := s.Range(path)
			line := strings.Split(text, "\n")[r.Start.Line-1]
			if got := line[r.Start.Column-1 : r.End.Column-1]; got != want.marked {
				t.Errorf("Range is %q, want %q", got, want.marked)
			}
		})
	}
	if s.File() != "app.yaml" {
		t.Errorf("File is %q", s.File())
	}
	if got := s.Warning("cmd", "m", "h"); got.Severity != spec.Warning || got.Name != "app.yaml" || got.Range != s.Range("cmd") {
		t.Errorf("Warning is %+v", got)
	}
	var none spec.Spec
	if none.Has("x") || none.Where("x") != "birdhouse.yaml" || none.Range("x") != (spec.Range{}) {
		t.Error("the empty Spec has places")
	}
}

func TestFor(t *testing.T) {
	s := parse(t, strings.Replace(manyImages, "command: []\n", "", 1))
	worker, problems := s.For("worker")
	if problems != nil {
		t.Fatal(problems)
	}
	if !slices.Equal(worker.Cmd, []string{"work"}) || len(worker.Expose) != 0 || !worker.Has("expose") ||
		!cmp.Equal(worker.Env, spec.StringMap{"B": "2"}) || worker.Images != nil {
		t.Errorf("got %+v", worker)
	}
	if worker.Has("env.A") || !worker.Has("env.B") || worker.Has("expose[0]") || worker.Where("cmd") != s.Where("images.worker.cmd") {
		t.Error("paths do not mean the image's values")
	}
	if worker.Version != "1.26" || worker.Where("version") != "app.yaml:2" {
		t.Error("the top level is lost")
	}
	api, problems := s.For("api")
	if problems != nil || !slices.Equal(api.Cmd, []string{"top"}) {
		t.Errorf("got %+v, %v", api, problems)
	}
	if top, problems := s.For(""); problems != nil || !slices.Equal(top.Cmd, []string{"top"}) {
		t.Errorf("got %+v, %v", top, problems)
	}
	if !slices.Equal(s.Cmd, []string{"top"}) || !s.Has("env.A") || len(s.Images) != 2 {
		t.Error("For changed the descriptor")
	}
	for image, hint := range map[string]string{
		"wroker": `did you mean "worker"?`,
		"zzz":    "there are: api, worker",
	} {
		one, problems := s.For(image)
		if one != nil || len(problems) != 1 || problems[0].Hint != hint {
			t.Errorf("got %v", problems)
		}
	}
	_, problems = parse(t, "language: go").For("x")
	if len(problems) != 1 || !strings.Contains(problems[0].Hint, "--target") {
		t.Errorf("got %v", problems)
	}
}

func TestExpand(t *testing.T) {
	text := `language: go
args: {CHANNEL: stable}
build:
  ldflags: -X v={{.Version}} -X c={{ .Args.CHANNEL }}
  env: {R: "{{.Revision}}"}
cmd: ['{{.Version}}{{.Version}}', '{{"{{"}}.Version}}', plain]
entrypoint: ['/{{.Revision}}']
env: {A: "{{.Args.CHANNEL}}"}
labels: {l: "{{.Version}}"}
annotations: {a: "{{.Version}}"}
images: {w: {env: {B: "{{.Version}}"}}}
`
	vars := spec.Vars{Version: "v1", Revision: "abc", Args: map[string]string{"CHANNEL": "{{.Version}}"}}
	s := parse(t, text)
	if problems := s.Expand(vars); problems != nil {
		t.Fatal(problems)
	}
	got := fmt.Sprint(s.Build.LDFlags, s.Build.Env, s.Cmd, s.Entrypoint, s.Env, s.Labels, s.Annotations, s.Images["w"].Env)
	want := "[-X v=v1 -X c={{.Version}}] map[R:abc] [v1v1 {{.Version}} plain] [/abc] map[A:{{.Version}}] map[l:v1] map[a:v1] map[B:v1]"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}

	for name, c := range map[string]struct {
		vars spec.Vars
		want string
	}{
		"flags in the version": {spec.Vars{Version: "1 -extld=x", Args: vars.Args}, "app.yaml:4:12: build.ldflags: the value of \"{{.Version}}\" has blanks"},
		"argument not given":   {spec.Vars{}, "app.yaml:4:12: build.ldflags: \"{{ .Args.CHANNEL }}\": no such build argument"},
		"too long":             {spec.Vars{Version: strings.Repeat("x", 100<<10), Args: vars.Args}, "app.yaml:6:7: cmd: the text is longer than 128 KiB"},
		"NUL":                  {spec.Vars{Revision: "\x00", Args: vars.Args}, "app.yaml:5:12: build.env.R: the value of \"{{.Revision}}\" holds a NUL"},
	} {
		t.Run(name, func(t *testing.T) {
			s := parse(t, text)
			problems := s.Expand(c.vars)
			if !problems.HasErrors() || !strings.HasPrefix(problems.Error(), c.want) {
				t.Errorf("got %v", problems)
			}
			if s.Labels["l"] != "{{.Version}}" {
				t.Error("half expanded")
			}
		})
	}

	many := parse(t, "language: go\ncmd: ["+strings.Repeat("'{{.Version}}', ", 100)+"]\n")
	problems := many.Expand(spec.Vars{Version: strings.Repeat("x", 100<<10)})
	if !strings.Contains(problems.Error(), "all templates together") {
		t.Errorf("got %v", problems)
	}
}

func TestNearest(t *testing.T) {
	keys := []string{"language", "version", "env", "cmd", "entrypoint", "workdir", "stopsignal", "go", "args"}
	for word, want := range map[string]string{
		"versoin": "version", "lang": "language", "WORKDIR": "workdir", "stop-signal": "stopsignal", "enviroment": "env",
		"golang": "go", "entry": "entrypoint", "evn": "env", "cmmd": "cmd", "arg": "args",
		"zzz": "", "": "", "base": "", "x": "", strings.Repeat("version", 100): "",
	} {
		if got, ok := spec.Nearest(word, keys); got != want || ok != (want != "") {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestProblems(t *testing.T) {
	at := func(line, column int) spec.Range {
		return spec.Range{Start: spec.Position{Line: line, Column: column}, End: spec.Position{Line: line, Column: column + 1}}
	}
	problems := spec.Problems{
		{Severity: spec.Warning, File: "go.mod", Range: at(1, 1), Message: "d"},
		{Severity: spec.Warning, Range: at(2, 2), Message: "c", Name: "x.yaml"},
		{Severity: spec.Warning, Range: at(2, 1), Message: "b\x1b[31m"},
		{Severity: spec.Warning, Message: "a", Hint: "one\ntwo"},
		{Severity: spec.Warning, Range: at(2, 1), Message: "b\x1b[31m"},
	}.Sorted()
	want := "birdhouse.yaml: warning: a\n    one\n    two\nbirdhouse.yaml:2:1: warning: b\uFFFD[31m\n" +
		"x.yaml:2:2: warning: c\ngo.mod:1:1: warning: d\n  1 | m\n    | ^\n"
	if got := problems.Text(map[string][]byte{"go.mod": []byte("m")}); got != want {
		t.Errorf("got\n%s", got)
	}
	if problems.HasErrors() {
		t.Error("warnings are errors")
	}
	problems[0].Severity = spec.Error
	if got := problems.Text(nil); !problems.HasErrors() || !strings.HasSuffix(got, "\n1 problem and 3 warnings, nothing was built\n") {
		t.Errorf("got\n%s", got)
	}
	if got := (spec.Problems)(nil).Text(nil); got != "" {
		t.Errorf("got %q", got)
	}
	// Places that are not in the file are no reason to fail.
	for _, r := range []spec.Range{at(9, 9), at(1, 9), {Start: spec.Position{Line: 1, Column: 3}, End: spec.Position{Line: 1, Column: 1}}, {Start: spec.Position{Line: -1}}} {
		spec.Problems{{Range: r, Message: "m"}}.Text(map[string][]byte{"": []byte("é\n")})
	}
}
