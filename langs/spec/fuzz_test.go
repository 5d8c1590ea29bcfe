package spec_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Whatever the file: no panic, problems that lie in it and can be shown, the
// same answer twice, and nothing accepted that the schema refuses.
func FuzzParse(f *testing.F) {
	for _, folder := range []string{"good", "bad"} {
		for _, data := range samples(f, folder) {
			f.Add(data)
		}
	}
	valid := schema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		s, problems := spec.Parse("birdhouse.yaml", data, languages)
		inside(t, data, problems)
		shown := problems.Text(map[string][]byte{"": data})
		if (len(problems) == 0) != (shown == "") {
			t.Errorf("%d problems, and the text is %q", len(problems), shown)
		}
		if strings.ContainsAny(shown, "\x00\x1b\r") {
			t.Errorf("control characters in %q", shown)
		}
		again, _ := spec.Parse("birdhouse.yaml", data, languages)
		if diff := cmp.Diff(s, again, cmp.AllowUnexported(spec.Spec{})); diff != "" {
			t.Error(diff)
		}
		if s == nil {
			if !problems.HasErrors() {
				t.Error("no Spec and no error")
			}
			return
		}
		s.Expand(spec.Vars{Version: "1", Revision: "2", Args: s.Args})
		for name := range s.Images {
			if _, problems := s.For(name); problems != nil {
				t.Error(problems)
			}
		}
		if problems.HasErrors() {
			return
		}
		var n yaml.Node
		if err := yaml.Unmarshal(bytes.TrimPrefix(data, []byte("\uFEFF")), &n); err != nil {
			t.Fatal(err)
		}
		if err := valid.Validate(asEditor(n.Content[0])); err != nil {
			t.Error(err)
		}
	})
}

// Templates never make more text than their bound, and never fail quietly.
func FuzzExpand(f *testing.F) {
	f.Add("{{.Version}} {{ .Args.A }}", "1", "x")
	f.Add(`{{"{{"}}.Version}}`, "1", "x")
	f.Add("{{.Args.B}}", "", "")
	f.Add("{{{.Version}}}", "{{", "}}")
	f.Add("}}{{", "1", "")
	f.Fuzz(func(t *testing.T, text, version, arg string) {
		s := spec.Spec{Language: "go", Image: spec.Image{Env: spec.StringMap{"X": text}}}
		problems := s.Expand(spec.Vars{Version: version, Args: map[string]string{"A": arg}})
		switch got := s.Env["X"]; {
		case problems.HasErrors() && got != text:
			t.Errorf("%v, and %q became %q", problems, text, got)
		case !problems.HasErrors() && !strings.Contains(text, "{{") && got != text:
			t.Errorf("%q became %q", text, got)
		case len(got) > len(text)+128<<10:
			t.Errorf("%d bytes", len(got))
		}
	})
}
