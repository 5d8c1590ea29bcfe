package spec

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
)

// Reference returns the descriptor's keys as a page of Markdown, from the same
// struct tags as the decoder and the schema.
func Reference() []byte {
	var b bytes.Buffer
	b.WriteString("# The descriptor\n\n")
	b.WriteString("<!-- written by `make generate`; the text is in langs/spec/spec.go -->\n\n")
	b.WriteString("A YAML file, `birdhouse.yaml` unless `-f` says otherwise. The shortest is complete: `language: go`. ")
	b.WriteString("An unknown key is an error. Anchors, aliases and merge keys are not read.\n\n")
	b.WriteString("Docker reads the frontend's image from the first line, `# syntax=REGISTRY/birdhouse:1`. ")
	b.WriteString("Templates in `build.ldflags`, `build.env`, `build.properties`, `env`, `labels`, `annotations`, `cmd` and `entrypoint` know `{{.Version}}` ")
	b.WriteString("(`--build-arg VERSION=…`), `{{.Revision}}` (the source revision) and `{{.Args.NAME}}`.\n\n")
	b.WriteString("| key | value | what it is |\n|---|---|---|\n")
	referenceRows(&b, reflect.TypeFor[Spec](), "")
	return b.Bytes()
}

func referenceRows(b *bytes.Buffer, t reflect.Type, prefix string) {
	for _, f := range fieldsOf(t) {
		typ := f.typ
		if typ.Kind() == reflect.Pointer {
			typ = typ.Elem()
		}
		text := f.description
		if len(f.languages) > 0 {
			var names []string
			for _, l := range f.languages {
				names = append(names, "`"+l+"`")
			}
			text = "For " + listed(names) + " alone. " + text
		}
		fmt.Fprintf(b, "| `%s%s` | %s | %s |\n", prefix, f.key, valueName(typ), strings.ReplaceAll(text, "|", "\\|"))
		switch inner, name := below(typ); {
		case inner == nil:
		case inner == reflect.TypeFor[ImageOverride]():
			fmt.Fprintf(b, "| `%s%s%s.…` | | `package`, `copy`, `smoke`, and the keys of the image from `packages` to `healthcheck` |\n", prefix, f.key, name)
		default:
			referenceRows(b, inner, prefix+f.key+name+".")
		}
	}
}

// below is the struct whose keys stand below a value, with what stands between.
func below(t reflect.Type) (reflect.Type, string) {
	switch t.Kind() {
	case reflect.Struct:
		if len(fieldsOf(t)) > 0 {
			return t, ""
		}
	case reflect.Slice:
		if e := t.Elem(); e.Kind() == reflect.Struct && len(fieldsOf(e)) > 0 {
			return e, "[]"
		}
	case reflect.Map:
		if e := t.Elem(); e.Kind() == reflect.Struct {
			return e, ".NAME"
		}
	}
	return nil, ""
}

// valueName says in a few words what a value of the type looks like.
func valueName(t reflect.Type) string {
	switch t {
	case reflect.TypeFor[StringList]():
		return "text or list"
	case reflect.TypeFor[Command]():
		return "list"
	case reflect.TypeFor[BuildCommand]():
		return "texts or lists"
	case reflect.TypeFor[StringMap]():
		return "names with values"
	case reflect.TypeFor[SSH]():
		return "`true` or an id"
	case reflect.TypeFor[Generate](), reflect.TypeFor[Test](), reflect.TypeFor[Bundle]():
		return "`true` or a list"
	case reflect.TypeFor[JLink]():
		return "`true`, `false` or a list"
	case reflect.TypeFor[Static]():
		return "`true`, a folder or keys"
	case reflect.TypeFor[Switch]():
		return "`true` or `false`"
	case reflect.TypeFor[Duration]():
		return "duration (`30s`)"
	case reflect.TypeFor[Port]():
		return "port"
	case reflect.TypeFor[Copy]():
		return "`source:target[:mode]`"
	}
	switch t.Kind() {
	case reflect.Bool:
		return "`true` or `false`"
	case reflect.Int:
		return "number"
	case reflect.Slice:
		return "list of " + strings.TrimPrefix(valueName(t.Elem()), "list of ")
	case reflect.Map:
		return "names with keys"
	case reflect.Struct:
		return "keys"
	default:
		return "text"
	}
}
