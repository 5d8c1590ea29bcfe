package spec

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// The most text that templates make of a descriptor, in bytes: one value, and
// all of them. The kernel takes 128 KiB in one argument.
const (
	maxExpanded    = 128 << 10
	maxAllExpanded = 4 << 20
)

var (
	// templateForm is a template that works where templates do.
	templateForm = regexp.MustCompile(`\{\{\s*\.(?:Version|Revision|Args\.[A-Za-z_][A-Za-z0-9_]*)\s*\}\}`)
	name         = regexp.MustCompile(`^\{\{\s*\.(?:(Version|Revision)|Args\.([A-Za-z_][A-Za-z0-9_]*))\s*\}\}$`)
)

// expandedKeys are the keys whose values may hold templates.
var expandedKeys = []string{"annotations", "build.env", "build.ldflags", "build.properties", "cmd", "entrypoint", "env", "labels"}

// expanded says whether templates are replaced in the value at a path.
func expanded(path string) bool {
	if rest, ok := strings.CutPrefix(path, "images."); ok {
		// The name of an image may have dots in it.
		for _, key := range expandedKeys {
			if strings.Contains(rest, ".smoke.") {
				return false
			}
			if strings.HasSuffix(cutEntry(rest), "."+key) || strings.Contains(rest, "."+key+".") {
				return true
			}
		}
		return false
	}
	return slices.ContainsFunc(expandedKeys, func(key string) bool {
		return path == key || strings.HasPrefix(path, key+".") || strings.HasPrefix(path, key+"[")
	})
}

// cutEntry removes the number of a list's entry.
func cutEntry(path string) string {
	if i := strings.LastIndexByte(path, '['); i >= 0 {
		return path[:i]
	}
	return path
}

// Expand replaces {{.Version}}, {{.Revision}} and {{.Args.NAME}} in
// build.ldflags, build.env, env, labels, annotations, cmd and entrypoint, and
// {{"{{"}} by {{. It is called once: what it put in is not looked at again.
// Other names and forms are problems, values too long are, and then s is left
// as it was. Parse has reported those that do not depend on v.
func (s *Spec) Expand(v Vars) Problems {
	e := &expander{spec: s, vars: v}
	build, image := s.Build, e.image("", s.Image)
	build.LDFlags = e.list("build.ldflags", build.LDFlags)
	build.Env = e.strings("build.env", build.Env)
	build.Properties = e.strings("build.properties", build.Properties)
	images := maps.Clone(s.Images)
	for _, name := range slices.Sorted(maps.Keys(images)) {
		override := images[name]
		override.Image = e.image("images."+name+".", override.Image)
		images[name] = override
	}
	if e.problems.HasErrors() {
		return e.problems.Sorted()
	}
	s.Build, s.Image, s.Images = build, image, images
	return nil
}

type expander struct {
	spec     *Spec
	vars     Vars
	total    int
	problems Problems
}

func (e *expander) image(prefix string, i Image) Image {
	i.Entrypoint = e.list(prefix+"entrypoint", i.Entrypoint)
	i.Cmd = e.list(prefix+"cmd", i.Cmd)
	i.Env = e.strings(prefix+"env", i.Env)
	i.Labels = e.strings(prefix+"labels", i.Labels)
	i.Annotations = e.strings(prefix+"annotations", i.Annotations)
	return i
}

func (e *expander) list(path string, list []string) []string {
	list = slices.Clone(list)
	for i := range list {
		list[i] = e.text(fmt.Sprintf("%s[%d]", path, i), list[i])
	}
	return list
}

func (e *expander) strings(path string, m StringMap) StringMap {
	m = maps.Clone(m)
	for _, key := range m.Keys() {
		m[key] = e.text(path+"."+key, m[key])
	}
	return m
}

// text replaces the templates of one value.
func (e *expander) text(path, text string) string {
	if !strings.Contains(text, "{{") {
		return text
	}
	var b strings.Builder
	wrong := func(message, hint string) string {
		e.problems = append(e.problems, e.spec.Problem(path, cutEntry(path)+": "+message, hint))
		return text
	}
	const literal = `{{"{{"}}`
	for rest := text; rest != ""; {
		at := strings.Index(rest, "{{")
		if at < 0 {
			b.WriteString(rest)
			break
		}
		b.WriteString(rest[:at])
		rest = rest[at:]
		if tail, ok := strings.CutPrefix(rest, literal); ok {
			b.WriteString("{{")
			rest = tail
			continue
		}
		end := strings.Index(rest, "}}")
		if end < 0 || strings.ContainsAny(rest[len("{{"):end], "{}") {
			return wrong("a {{ without its }}", `write {{.Version}}, {{.Revision}} or {{.Args.NAME}}; for the text {{ itself, write `+literal)
		}
		form := rest[:end+len("}}")]
		value, message, hint := e.value(form)
		if message != "" {
			return wrong(message, hint)
		}
		if strings.HasPrefix(path, "build.ldflags") && strings.ContainsFunc(value, func(r rune) bool {
			return unicode.IsSpace(r) || r == '"' || r == '\''
		}) {
			return wrong(fmt.Sprintf("the value of %s has blanks or quotes in it: %s", quote(form), quote(value)),
				"the linker would read them as further flags; give a value without them")
		}
		if strings.ContainsRune(value, 0) {
			return wrong(fmt.Sprintf("the value of %s holds a NUL character", quote(form)), "give it without")
		}
		b.WriteString(value)
		if b.Len() > maxExpanded {
			return wrong(fmt.Sprintf("the text is longer than %d KiB once its templates are replaced", maxExpanded>>10), "give shorter values")
		}
		rest = rest[len(form):]
	}
	if e.total += b.Len(); e.total > maxAllExpanded {
		return wrong(fmt.Sprintf("all templates together make more than %d MiB of text", maxAllExpanded>>20), "give shorter values")
	}
	return b.String()
}

// value is what a template stands for, or what is wrong with it.
func (e *expander) value(form string) (value, message, hint string) {
	m := name.FindStringSubmatch(form)
	switch {
	case m == nil:
		return "", fmt.Sprintf("%s is not a template that birdhouse knows", quote(form)),
			"write {{.Version}}, {{.Revision}} or {{.Args.NAME}}"
	case m[1] == "Version":
		return e.vars.Version, "", ""
	case m[1] == "Revision":
		return e.vars.Revision, "", ""
	}
	if value, ok := e.vars.Args[m[2]]; ok {
		return value, "", ""
	}
	declared := slices.Sorted(maps.Keys(e.vars.Args))
	hint = "declare it, with its default:\nargs:\n  " + m[2] + ": value"
	if near, ok := Nearest(m[2], declared); ok {
		hint = fmt.Sprintf("did you mean {{.Args.%s}}?", near)
	}
	return "", fmt.Sprintf("%s: no such build argument is declared", quote(form)), hint
}
