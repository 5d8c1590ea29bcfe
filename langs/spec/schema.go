package spec

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// schemer is a type with more than one form: see reader.
type schemer interface {
	schema(f field) object
}

// Schema returns the JSON Schema (draft 2020-12) of descriptors, for editors,
// indented and always the same. It is made from the types that Parse reads
// into: what Parse accepts it accepts, and it rejects what a schema can tell.
func Schema() ([]byte, error) {
	root := structSchema(reflect.TypeFor[Spec]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "birdhouse descriptor"
	root["required"] = []string{"language"}
	owners := map[string]object{}
	onlyFor(reflect.TypeFor[Spec](), nil, owners)
	var names []string
	var conditions []object
	for _, owner := range slices.Sorted(maps.Keys(owners)) {
		languages := strings.Fields(owner)
		names = append(names, languages...)
		conditions = append(conditions, object{
			"if":   object{"properties": object{"language": object{"not": object{"enum": languages}}}},
			"then": owners[owner],
		})
	}
	slices.Sort(names)
	root["properties"].(object)["language"].(object)["examples"] = slices.Compact(names)
	root["allOf"] = conditions

	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(root); err != nil {
		return nil, fmt.Errorf("writing the JSON schema: %w", err)
	}
	return b.Bytes(), nil
}

// onlyFor collects, for the languages that own keys, the schema that refuses them.
// Those of one key are joined with blanks.
func onlyFor(t reflect.Type, path []string, owners map[string]object) {
	for _, f := range fieldsOf(t) {
		at := append(slices.Clone(path), f.key)
		if len(f.languages) > 0 {
			owner := strings.Join(f.languages, " ")
			if owners[owner] == nil {
				owners[owner] = object{}
			}
			inner := owners[owner]
			for _, key := range at[:len(at)-1] {
				inner = child(child(inner, "properties"), key)
			}
			child(inner, "properties")[f.key] = false
		}
		if f.typ.Kind() == reflect.Struct {
			onlyFor(f.typ, at, owners)
		}
	}
}

func child(o object, key string) object {
	if o[key] == nil {
		o[key] = object{}
	}
	return o[key].(object)
}

// structSchema is the schema of a mapping with fixed keys.
func structSchema(t reflect.Type) object {
	properties := object{}
	for _, f := range fieldsOf(t) {
		property := valueSchema(f.typ, f)
		property["description"] = f.description
		properties[f.key] = property
	}
	for theirs, ours := range composeSpelling {
		if known, ok := properties[ours]; ok && properties[theirs] == nil {
			old := maps.Clone(known.(object))
			old["deprecated"] = true
			old["description"] = fmt.Sprintf("Compose's name of %q.", ours)
			properties[theirs] = old
		}
	}
	return object{"type": "object", "additionalProperties": false, "properties": properties}
}

// valueSchema is the schema of a field's value.
func valueSchema(t reflect.Type, f field) object {
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if s, ok := reflect.Zero(t).Interface().(schemer); ok {
		return s.schema(f)
	}
	switch t.Kind() {
	case reflect.Struct:
		return structSchema(t)
	case reflect.Slice:
		return listSchema(valueSchema(t.Elem(), field{rule: f.rule}), f.min)
	case reflect.Map:
		schema := object{
			"type":                 "object",
			"propertyNames":        rules[f.rule].schema,
			"additionalProperties": valueSchema(t.Elem(), field{}),
		}
		if f.min > 0 {
			schema["minProperties"] = f.min
		}
		return schema
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int:
		limits := integerRules[f.rule]
		return object{"type": "integer", "minimum": limits.min, "maximum": limits.max}
	default:
		return textSchema(f.rule)
	}
}

// textSchema is the schema of a scalar that is read as it is written: 1.20 is
// text to the decoder, and a number to an editor.
func textSchema(rule string) object {
	schema := object{"type": []string{"string", "number", "boolean"}}
	maps.Copy(schema, rules[rule].schema)
	return schema
}

func listSchema(entry object, least int) object {
	schema := object{"type": "array", "items": entry}
	if least > 0 {
		schema["minItems"] = least
	}
	return schema
}
