package lock

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/python/toml"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Stale says that a lock was not made from the manifest as it is now. The tools write a hash of
// what matters in the manifest into their locks, which is computed here as they do, by
// all of their versions' ways; uv.lock and pylock.toml have none, and are never stale by
// this; uv.lock repeats what manifests ask for, which a planner may compare.
func (l *Lock) Stale(m Manifest) spec.Problems {
	var digests []string
	switch l.Format {
	case Poetry:
		digests = poetryDigests(m.Root)
	case PDM:
		digests = pdmDigests(m.Root)
	case Pipfile:
		digests = pipfileDigests(m.Root, l.sources)
	}
	if l.digest == "" || len(digests) == 0 || slices.Contains(digests, l.digest) {
		return nil
	}
	p := app.FileProblem(l.File, fmt.Sprintf("it was not made from %s as it is now: a requirement was changed after the lock", m.File), "run: "+l.relock())
	p.Range = spec.Range{Start: spec.Position{Line: l.digestLine, Column: 1}, End: spec.Position{Line: l.digestLine, Column: 1}}
	return spec.Problems{p}
}

// object is a table on the way to JSON; its values are objects, lists, *toml.Value, strings
// and nil.
type object map[string]any

type list []any

// poetryDigests are those of Locker._get_content_hash of poetry 1 and 2; the second is without
// dependency groups, as before poetry 2.3.
func poetryDigests(root *toml.Value) []string {
	var digests []string
	for _, groups := range []*toml.Value{root.Get("dependency-groups"), nil} {
		project, poetry := object{}, object{}
		for _, key := range []string{"requires-python", "dependencies", "optional-dependencies"} {
			if v := root.Get("project", key); v != nil {
				project[key] = v
			}
		}
		modern := len(project) > 0 || len(groups.Keys()) > 0
		for _, key := range []string{"dependencies", "source", "extras", "dev-dependencies", "group"} {
			v := root.Get("tool", "poetry", key)
			switch {
			case v != nil:
				poetry[key] = v
			case key != "group" && !modern:
				poetry[key] = nil
			}
		}
		content := poetry
		if modern {
			content = object{"tool": object{"poetry": poetry}}
			if len(project) > 0 {
				content["project"] = project
			}
			if len(groups.Keys()) > 0 {
				content["dependency-groups"] = groups
			}
		}
		digests = appendDigest(digests, content, ", ", ": ")
	}
	return digests
}

// pdmDigests are those of PyProject.content_hash of pdm: since 2.13 the table "resolution" counts
// whole, before that its overrides alone. A workspace's hash takes the members' files in as well; those
// are not known here.
func pdmDigests(root *toml.Value) []string {
	settings := root.Get("tool", "pdm")
	if len(settings.Get("workspace", "members").List()) > 0 {
		return nil
	}
	or := func(v *toml.Value, otherwise any) any {
		if v == nil {
			return otherwise
		}
		return v
	}
	dev := object{}
	for _, groups := range []*toml.Value{root.Get("dependency-groups"), settings.Get("dev-dependencies")} {
		for _, name := range groups.Keys() {
			all, _ := dev[requirement.Name(name)].(list)
			for _, e := range groups.Get(name).List() {
				all = append(all, e)
			}
			if all == nil {
				all = list{}
			}
			dev[requirement.Name(name)] = all
		}
	}
	content := object{
		"sources":               or(settings.Get("source"), list{}),
		"dependencies":          or(root.Get("project", "dependencies"), list{}),
		"dev-dependencies":      dev,
		"optional-dependencies": or(root.Get("project", "optional-dependencies"), object{}),
		"requires-python":       or(root.Get("project", "requires-python"), ""),
		"resolution":            or(settings.Get("resolution"), object{}),
	}
	digests := appendDigest(nil, content, ", ", ": ")
	delete(content, "resolution")
	content["overrides"] = or(settings.Get("resolution", "overrides"), object{})
	return appendDigest(digests, content, ", ", ": ")
}

// pipfileDigests are those of Pipfile.get_hash of plette, and of pipenv since it writes names in
// their normal form. A Pipfile without sources counts with the one that pipenv
// writes into the lock.
func pipfileDigests(root *toml.Value, sources []any) []string {
	var digests []string
	for _, normal := range []bool{true, false} {
		section := func(v *toml.Value) object {
			o := object{}
			for _, key := range v.Keys() {
				name := key
				if normal {
					name = requirement.Name(key)
				}
				o[name] = v.Get(key)
			}
			return o
		}
		meta := object{"sources": any(list(sources)), "requires": object{}}
		if v := root.Get("source"); v != nil {
			meta["sources"] = v
		}
		if v := root.Get("requires"); v != nil {
			meta["requires"] = v
		}
		content := object{"_meta": meta, "default": section(root.Get("packages")), "develop": section(root.Get("dev-packages"))}
		for _, key := range root.Keys() {
			if !slices.Contains([]string{"source", "packages", "dev-packages", "requires", "scripts", "pipfile", "pipenv", "default", "develop"}, key) {
				content[key] = section(root.Get(key))
			}
		}
		digests = appendDigest(digests, content, ",", ":")
	}
	return digests
}

// appendDigest adds the SHA-256 of the JSON that Python's json.dumps(sort_keys=True) writes. What
// Python cannot write, such as times, no tool has made a lock of.
func appendDigest(digests []string, content any, comma, colon string) []string {
	w := &jsonWriter{comma: comma, colon: colon}
	w.value(content)
	if w.failed {
		return digests
	}
	sum := sha256.Sum256([]byte(w.String()))
	return append(digests, hex.EncodeToString(sum[:]))
}

// jsonWriter writes JSON byte for byte as Python does.
type jsonWriter struct {
	strings.Builder
	comma, colon string
	failed       bool
}

func (w *jsonWriter) value(v any) {
	switch v := v.(type) {
	case nil:
		w.WriteString("null")
	case string:
		w.text(v)
	case bool:
		w.WriteString(strconv.FormatBool(v))
	case object:
		w.object(slices.Collect(maps.Keys(v)), func(key string) any { return v[key] })
	case map[string]any:
		w.value(object(v))
	case []any:
		w.value(list(v))
	case list:
		w.list(len(v), func(i int) any { return v[i] })
	case *toml.Value:
		w.toml(v)
	default:
		w.failed = true
	}
}

func (w *jsonWriter) toml(v *toml.Value) {
	switch v.Kind() {
	case toml.Table:
		w.object(slices.Clone(v.Keys()), func(key string) any { return v.Get(key) })
	case toml.Array:
		w.list(len(v.List()), func(i int) any { return v.List()[i] })
	case toml.String:
		w.text(v.Text())
	case toml.Bool:
		w.WriteString(v.Text())
	case toml.Integer:
		n, err := strconv.ParseInt(strings.ReplaceAll(v.Text(), "_", ""), 0, 64)
		w.failed = w.failed || err != nil
		w.WriteString(strconv.FormatInt(n, 10))
	case toml.Float:
		f, err := strconv.ParseFloat(strings.ReplaceAll(v.Text(), "_", ""), 64)
		w.failed = w.failed || err != nil
		w.WriteString(pythonFloat(f))
	default:
		w.failed = true
	}
}

func (w *jsonWriter) object(keys []string, get func(string) any) {
	slices.Sort(keys)
	w.WriteByte('{')
	for i, key := range keys {
		if i > 0 {
			w.WriteString(w.comma)
		}
		w.text(key)
		w.WriteString(w.colon)
		w.value(get(key))
	}
	w.WriteByte('}')
}

func (w *jsonWriter) list(n int, get func(int) any) {
	w.WriteByte('[')
	for i := range n {
		if i > 0 {
			w.WriteString(w.comma)
		}
		w.value(get(i))
	}
	w.WriteByte(']')
}

// text writes a string in ASCII.
func (w *jsonWriter) text(s string) {
	w.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			w.WriteByte('\\')
			w.WriteRune(r)
		case r == '\n':
			w.WriteString(`\n`)
		case r == '\r':
			w.WriteString(`\r`)
		case r == '\t':
			w.WriteString(`\t`)
		case r == '\b':
			w.WriteString(`\b`)
		case r == '\f':
			w.WriteString(`\f`)
		case r >= 0x10000:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(w, `\u%04x\u%04x`, high, low)
		case r < ' ' || r > '~':
			fmt.Fprintf(w, `\u%04x`, r)
		default:
			w.WriteRune(r)
		}
	}
	w.WriteByte('"')
}

// pythonFloat is Python's repr of a number.
func pythonFloat(f float64) string {
	switch text := strconv.FormatFloat(f, 'e', -1, 64); text {
	case "+Inf":
		return "Infinity"
	case "-Inf":
		return "-Infinity"
	case "NaN":
		return "NaN"
	default:
		_, exponent, _ := strings.Cut(text, "e")
		if n, err := strconv.Atoi(exponent); err == nil && (n < -4 || n >= 16) {
			return text
		}
	}
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if !strings.Contains(text, ".") {
		text += ".0"
	}
	return text
}
