package spec_test

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.yaml.in/yaml/v4"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

func TestSchemaFile(t *testing.T) {
	data, err := spec.Schema()
	if err != nil {
		t.Fatal(err)
	}
	golden(t, filepath.Join("testdata", "schema.json"), string(data))
}

// schema returns the compiled schema.
func schema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	data, err := spec.Schema()
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	c := jsonschema.NewCompiler()
	if err := c.AddResource("birdhouse.json", document); err != nil {
		t.Fatal(err)
	}
	compiled, err := c.Compile("birdhouse.json")
	if err != nil {
		t.Fatal(err)
	}
	return compiled
}

// asEditor reads YAML as an editor does: scalars have the types of JSON.
func asEditor(n *yaml.Node) any {
	switch n.Kind {
	case yaml.SequenceNode:
		list := []any{}
		for _, c := range n.Content {
			list = append(list, asEditor(c))
		}
		return list
	case yaml.MappingNode:
		m := map[string]any{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = asEditor(n.Content[i+1])
		}
		return m
	}
	switch n.Tag {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int", "!!float":
		var number json.Number
		if json.Unmarshal([]byte(n.Value), &number) != nil {
			number = "0.5" // Of another form; only its type matters.
		}
		return number
	}
	return n.Value
}

// A schema cannot say these: what one key says about another, what needs the
// catalog of names, and YAML itself.
var decoderOnly = []string{
	"alias-unknown", "anchors", "binary", "bom-inside", "carriage-return", "control", "deep", "deep-block", "deep-block-2",
	"dockerfile", "next-line", "not-utf8", "nul", "nul-escape", "utf16", "tab", "tab-2", "tag-handle", "tags", "two-documents",
	"two-documents-2", "duplicate-key", "template-unquoted-2",
	// Values that depend on other values.
	"language-unknown", "language-unknown-2", "literal-secrets", "secrets-twice", "smoke", "templates", "healthcheck",
	"durations", "debian-packages-2", // Their limits.
}

func TestSchemaAgrees(t *testing.T) {
	s := schema(t)
	for name, data := range samples(t, "good") {
		var n yaml.Node
		if err := yaml.Unmarshal(bytes.TrimPrefix(data, []byte("\uFEFF")), &n); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asEditor(n.Content[0])); err != nil {
			t.Errorf("%s: the schema refuses what the decoder accepts: %v", name, err)
		}
	}
	for name, data := range samples(t, "bad") {
		if base := filepath.Base(name); slices.Contains(decoderOnly, base) || strings.HasPrefix(base, "syntax-") {
			continue
		}
		var n yaml.Node
		if err := yaml.Unmarshal(data, &n); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(n.Content) > 0 && s.Validate(asEditor(n.Content[0])) == nil {
			t.Errorf("%s: the schema accepts what the decoder refuses", name)
		}
	}
}

// One mistake, or none, in each: what the decoder and the schema think of it.
func TestUnions(t *testing.T) {
	const yes, no = true, false
	s := schema(t)
	for text, want := range map[string]bool{
		"version: 1.20": yes, "version: '1.20'": yes, "version: 1": yes, "version: [1]": no, "version: a b": no,
		"package: ./a": yes, "package: [./a, b]": yes, "package: []": no, "package: {a: b}": no, "package: 3": yes, "package: true": no, "package: 'true'": yes, "build: {tags: false}": no, "dir: 2024": yes,
		"package: -x": no, "package: a/../b": no, "package: a..b": yes, "package: a/..": no, "package: ..": no, "packages: []": yes, "packages: [libpq5, g++, 7zip]": yes, "packages: libpq5": no, "packages: [LibPQ5]": no, "build: {packages: [a:b]}": no, "dir: ../x": no, "dir: /x": no, "dir: .": yes,
		"ssh: true": yes, "ssh: false": yes, "ssh: x": yes, "ssh: [x]": no, "ssh: a b": no, "ssh: 1": no, "ssh: '1'": yes,
		"test: true": yes, "test: [a]": yes, "test: a": no, "test: []": no, "test: 3": no, "test: {}": no, "test: '3'": no,
		"build: {generate: true}": yes, "build: {generate: ./a}": yes, "build: {generate: [./a]}": yes, "build: {generate: {}}": no, "build: {generate: 1}": no, "build: {generate: '1'}": yes,
		"build: {cgo: true}": yes, "build: {cgo: 1}": no, "build: {tag: x}": no, "build: {}": yes, "build: x": no,
		"cmd: [a, 1, true]": yes, "cmd: a": no, "cmd: 7": no, "cmd: []": yes, "entrypoint: []": no, "cmd: [[a]]": no, "cmd: [null]": no,
		"command: [a]": yes, "command: a": no, "images: {a: {command: [x]}}": yes, "build: {command: [a]}": no,
		"env: {A: 1, B: b, C: true}": yes, "env: {A: null}": no, "env: {A: [b]}": no, "env: [A=b]": no, "env: {A B: c}": no, "env: {}": yes,
		"args: {A-B: c}": no, "labels: {a.b/c: d}": yes,
		"user: 1": yes, "user: '1:2'": yes, "user: root": yes, "user: nobody": no, "user: -1": no, "user: 2147483648": no, "user: 1.5": no,
		"expose: [80, '53/udp']": yes, "expose: 80": no, "expose: [0]": no, "expose: [65536]": no, "expose: ['80:80']": no, "expose: [80/sctp]": no,
		"volumes: [/a]": yes, "volumes: [a]": no, "volumes: [/]": no, "workdir: x": no, "workdir: /": yes,
		"stopsignal: SIGTERM": yes, "stopsignal: 15": yes, "stopsignal: TERM": no, "stopsignal: 65": no, "stopsignal: SIGRTMIN+1": yes,
		"copy: [a:/b]": yes, "copy: ['a:/b:0644']": yes, "copy: ['a:/b:755']": yes, "copy: ['a:/b:4755']": no, "copy: [a]": no, "copy: ['a:b']": no, "copy: a:/b": no,
		"copy: ['../a:/b']": no, "copy: ['a/..:/b']": no, "copy: ['/a:/b']": no, "copy: ['*:/b']": no, "copy: ['a..b:/c..d']": yes,
		"secrets: [a]": yes, "secrets: [{id: a}]": yes, "secrets: [{id: a, env: B}]": yes, "secrets: [{env: B}]": no, "secrets: a": no,
		"secrets: [{id: a, env: B, target: /c}]": no, "secrets: [{id: a, target: c}]": no, "secrets: [{id: a, optional: x}]": no, "secrets: [a b]": no, "secrets: [[a]]": no,
		"smoke: {port: 80}": yes, "smoke: {port: '80'}": no, "smoke: {port: 0}": no, "smoke: {path: /, port: 1, status: 99}": no, "smoke: true": no,
		"smoke: {path: x, port: 1}": no, "smoke: {args: []}": yes, "smoke: {args: x}": no, "smoke: {output: ''}": no, "smoke: {port: 1, timeout: 3s}": yes,
		"smoke: {port: 1, timeout: 3}": no, "smoke: {port: 1, timeout: 1m30s}": yes, "smoke: {exit: 256}": no,
		"healthcheck: {test: [/a]}": yes, "healthcheck: {test: []}": no, "healthcheck: {test: a}": no, "healthcheck: {test: [/a], retries: 0}": no,
		"images: {a: {}}": yes, "images: {}": no, "images: {A: {}}": no, "images: {run: {}}": no, "images: {a: {version: 1}}": no, "images: [a]": no,
		"x: y": no, "version: null": no, "language: node": yes,
	} {
		full := "language: go\n" + text
		if strings.HasPrefix(text, "language:") {
			full = text
		}
		_, problems := spec.Parse("birdhouse.yaml", []byte(full), languages)
		if got := !problems.HasErrors(); got != want {
			t.Errorf("%s: the decoder accepts it: %v\n%v", text, got, problems)
		}
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(full), &n); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asEditor(n.Content[0])); (err == nil) != want {
			t.Errorf("%s: the schema accepts it: %v\n%v", text, err == nil, err)
		}
	}
	for text, want := range map[string]bool{"language: node\nbuild: {tags: x}": no, "language: node\nbuild: {env: {A: b}}": yes} {
		_, problems := spec.Parse("birdhouse.yaml", []byte(text), languages)
		var n yaml.Node
		if err := yaml.Unmarshal([]byte(text), &n); err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(asEditor(n.Content[0])); (err == nil) != want || problems.HasErrors() == want {
			t.Errorf("%s: schema %v, decoder %v", text, err, problems)
		}
	}
}
