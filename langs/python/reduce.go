package python

import (
	"fmt"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/toml"
)

// keptProject are the keys of [project] that decide what uv installs by a lock file. The
// others, the version among them, may change without a new installation.
var keptProject = []string{"name", "requires-python", "dependencies", "optional-dependencies"}

// reduced is the pyproject.toml with what decides about the installation alone, as uv reads
// it with a lock file. It is always the same for the same content.
func (m *pyproject) reduced() string {
	var b strings.Builder
	if project := m.root.Get("project"); project != nil {
		b.WriteString("[project]\nversion = \"0\"\n")
		for _, key := range keptProject {
			if v := project.Get(key); v != nil {
				fmt.Fprintf(&b, "%s = %s\n", key, encodeTOML(v))
			}
		}
	}
	for _, path := range [][]string{{"dependency-groups"}, {"build-system"}, {"tool", "uv"}} {
		v := m.root.Get(path...)
		if v.Kind() != toml.Table {
			continue
		}
		fmt.Fprintf(&b, "[%s]\n", strings.Join(path, "."))
		for _, key := range slices.Sorted(slices.Values(v.Keys())) {
			fmt.Fprintf(&b, "%s = %s\n", quoteTOML(key), encodeTOML(v.Get(key)))
		}
	}
	return b.String()
}

// encodeTOML writes a value in one line; keys are sorted.
func encodeTOML(v *toml.Value) string {
	switch v.Kind() {
	case toml.String:
		return quoteTOML(v.Text())
	case toml.Array:
		var all []string
		for _, e := range v.List() {
			all = append(all, encodeTOML(e))
		}
		return "[" + strings.Join(all, ", ") + "]"
	case toml.Table:
		var all []string
		for _, key := range slices.Sorted(slices.Values(v.Keys())) {
			all = append(all, quoteTOML(key)+" = "+encodeTOML(v.Get(key)))
		}
		return "{" + strings.Join(all, ", ") + "}"
	}
	return v.Text()
}

// quoteTOML writes a basic string: https://toml.io/en/v1.0.0#string.
func quoteTOML(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r < 0x20 || r == 0x7f:
			fmt.Fprintf(&b, "\\u%04X", r)
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}
