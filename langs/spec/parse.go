package spec

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
	"go.yaml.in/yaml/v4/plugin/loaderlimits"
)

const (
	// maxSize is the largest descriptor that is read. Real ones have one page.
	maxSize = 1 << 20
	// maxDepth is how deep a descriptor may nest; ours needs five levels.
	maxDepth = 32
	// maxNodes is how many keys and values a descriptor may have.
	maxNodes = 10_000
	// maxProblems is how many problems are shown.
	maxProblems = 100

	byteOrderMark = "\uFEFF"
)

// Parse reads a descriptor: one YAML document in UTF-8. File is its name as
// people know it, languages are the values that `language` may have. It
// returns every problem of the file, in the file's order; the Spec is complete
// when none of them is an error, holds what could be read when some are, and
// is nil when the file is not a YAML mapping.
func Parse(file string, data []byte, languages []string) (*Spec, Problems) {
	d := &decoder{
		name:      file,
		languages: languages,
		aliases:   map[string]bool{},
		spec:      &Spec{file: file, ranges: map[string]Range{}, lines: map[string]int{}},
	}
	root := d.document(data)
	if root == nil {
		return nil, d.sorted()
	}
	d.root(root)
	return d.spec, d.sorted()
}

// decoder reads one descriptor.
type decoder struct {
	name      string
	languages []string
	source    *source
	spec      *Spec
	// language is the descriptor's, once it is known to be a valid one.
	language string
	// aliases are those reported.
	aliases  map[string]bool
	problems Problems
}

// add records an error; the range is that of the text to mark.
func (d *decoder) add(at Range, message, hint string) {
	d.report(Error, at, message, hint)
}

func (d *decoder) report(severity Severity, at Range, message, hint string) {
	d.problems = append(d.problems, Problem{
		Severity: severity, Name: d.name, Range: at, Message: message, Hint: hint,
	})
}

// sorted are the problems to show.
func (d *decoder) sorted() Problems {
	all := d.problems.Sorted()
	if len(all) <= maxProblems {
		return all
	}
	shown := slices.Clip(all[:maxProblems])
	severity := Warning
	if all[maxProblems:].HasErrors() {
		severity = Error
	}
	return append(shown, Problem{
		Severity: severity, Name: d.name, Range: shown[maxProblems-1].Range,
		Message: fmt.Sprintf("more than %d problems; the others are not shown", maxProblems),
	})
}

// document parses the YAML and returns the descriptor's mapping, or nil after a
// problem.
func (d *decoder) document(data []byte) *yaml.Node {
	if len(data) > maxSize {
		d.add(Range{}, fmt.Sprintf("the file has %d bytes; a descriptor has at most %d", len(data), maxSize),
			"is this the right file? -f names the descriptor")
		return nil
	}
	text := strings.TrimPrefix(string(data), byteOrderMark)
	d.source = newSource(text)
	if !d.characters(text) || d.dockerfile(text) {
		return nil
	}

	nodes, err := load(text)
	if err != nil {
		d.syntax(err)
		return nil
	}
	// A document of nothing is a null without text.
	if len(nodes) == 0 || len(nodes) == 1 && nodes[0].Content[0].Kind == yaml.ScalarNode && nodes[0].Content[0].Value == "" {
		message := "the descriptor is empty"
		if strings.TrimSpace(text) != "" {
			message = "the descriptor has no keys"
		}
		d.add(Range{}, message, d.languageHint())
		return nil
	}
	if len(nodes) > 1 {
		second := d.source.position(d.source.offset(nodes[1].Line, nodes[1].Column))
		d.add(Range{Start: second, End: second}, "a second YAML document begins here",
			"a descriptor is one document: remove what follows, or put it into a file of its own; several images go under `images`")
		return nil
	}
	root := nodes[0].Content[0]
	if countNodes(root) > maxNodes {
		d.add(Range{}, fmt.Sprintf("the file has more than %d keys and values", maxNodes), "is this the right file? -f names the descriptor")
		return nil
	}
	if d.refuse(root); root.Kind != yaml.MappingNode {
		d.add(d.source.node(root), "the descriptor is "+kind(root)+" where `key: value` lines are wanted", d.languageHint())
		return nil
	}
	return root
}

// load parses the text's first two documents.
func load(text string) (documents []*yaml.Node, err error) {
	// The file is not trusted and the library is large.
	defer func() {
		if r := recover(); r != nil {
			documents, err = nil, fmt.Errorf("the YAML parser failed: %v", r)
		}
	}()
	loader, err := yaml.NewLoader(strings.NewReader(text),
		yaml.WithPlugin(loaderlimits.New(loaderlimits.DepthValue(maxDepth))))
	if err != nil {
		return nil, err
	}
	for len(documents) < 2 {
		n := new(yaml.Node)
		if err := loader.Load(n); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return nil, err
		}
		if n.Kind != yaml.DocumentNode || len(n.Content) != 1 {
			return nil, errors.New("the YAML parser returned no document")
		}
		documents = append(documents, n)
	}
	return documents, nil
}

// characters reports text that is not UTF-8 and characters that YAML does not
// allow or that some editors take for the end of a line and others do not.
func (d *decoder) characters(text string) bool {
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		at := d.source.between(i, i+size)
		switch {
		case r == utf8.RuneError && size == 1:
			hint := "save the file as UTF-8"
			if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
				hint = "the file is UTF-16; save it as UTF-8"
			}
			d.add(at, fmt.Sprintf("the byte 0x%02x is not UTF-8", text[i]), hint)
			return false
		case r == '\r' && !strings.HasPrefix(text[i+1:], "\n"):
			d.add(at, "a carriage return alone does not end a line", `end lines with \n or \r\n`)
			return false
		case r == 0:
			d.add(at, "the file holds a NUL byte", "a descriptor is text; is this the right file?")
			return false
		case r != '\n' && r != '\r' && r != '\t' && unicode.IsControl(r),
			r == '\u2028', r == '\u2029', r == '\uFEFF', r&0xFFFE == 0xFFFE:
			d.add(at, fmt.Sprintf("the character %U is not allowed", r),
				fmt.Sprintf(`remove it, or write it as "\u%04x" in double quotes`, r))
			return false
		}
		i += size
	}
	return true
}

var (
	dockerfileLine = regexp.MustCompile(`^(?i:from|arg)[ \t]+[^:\s]`)
	yamlKeyLine    = regexp.MustCompile(`^[^\s#]+:(\s|$)`)
)

// dockerfile reports a Dockerfile: as YAML its errors would make no sense.
func (d *decoder) dockerfile(text string) bool {
	for number := 1; number <= len(d.source.starts); number++ {
		line := d.source.line(number)
		if trimmed := strings.TrimSpace(line); trimmed == "" || trimmed[0] == '#' {
			continue
		}
		if !dockerfileLine.MatchString(line) || yamlKeyLine.MatchString(line) {
			return false
		}
		start := d.source.starts[number-1]
		d.add(d.source.between(start, start+len(firstLine(line))), "this is a Dockerfile, not a descriptor",
			d.languageHint()+"\nto build the Dockerfile itself, remove the # syntax line that names birdhouse")
		return true
	}
	return false
}

// languageHint is the shortest descriptor.
func (d *decoder) languageHint() string {
	return "a descriptor's shortest form is one line: " + d.languageLine()
}

// languageLine is the line to write, with the languages that there are.
func (d *decoder) languageLine() string {
	if len(d.languages) == 0 {
		return "language: NAME"
	}
	line := "language: " + d.languages[0]
	if others := d.languages[1:]; len(others) > 0 {
		line += " (or " + strings.Join(others, ", ") + ")"
	}
	return line
}

// countNodes counts a node and those in it, without following aliases.
func countNodes(n *yaml.Node) int {
	count := 1
	for _, c := range n.Content {
		count += countNodes(c)
	}
	return count
}

// refuse reports what YAML has and descriptors do not: anchors, aliases, merge
// keys and tags, each alias once. It never follows an alias.
func (d *decoder) refuse(n *yaml.Node) {
	const writeOut = "write the value out where it is needed"
	switch {
	case n.Kind == yaml.AliasNode:
		if d.aliases[n.Value] {
			return // One is enough of each, some files have thousands.
		}
		d.aliases[n.Value] = true
		d.add(d.source.token(n), fmt.Sprintf("the alias %s is not allowed", quote("*"+n.Value)), writeOut)
		return
	case n.Anchor != "":
		d.add(d.source.token(n), fmt.Sprintf("the anchor %s is not allowed", quote("&"+n.Anchor)), writeOut)
	case n.Style&yaml.TaggedStyle != 0:
		d.add(d.source.token(n), fmt.Sprintf("the tag %s is not allowed", quote(n.Tag)),
			"remove it; text that looks like a number goes in quotes")
	}
	if n.Kind == yaml.ScalarNode && strings.ContainsRune(n.Value, 0) {
		d.add(d.source.node(n), "a value cannot hold a NUL character", `remove the \0`)
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 0 && mergeKey(c) {
			d.add(d.source.node(c), "the merge key << is not allowed", "write the keys out where they are needed")
		}
		d.refuse(c)
	}
}

func mergeKey(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag == "!!merge"
}

// syntax reports an error of the YAML parser in our words.
func (d *decoder) syntax(err error) {
	var loadErr *yaml.LoadError
	if !errors.As(err, &loadErr) || loadErr.Mark.Line == 0 {
		d.add(Range{}, "this is not YAML: "+err.Error(), "")
		return
	}
	mark, context := loadErr.Mark, loadErr.ContextMark
	message, hint := "this is not YAML: "+loadErr.Message, ""
	if loadErr.ContextMsg != "" {
		message += " " + loadErr.ContextMsg
	}
	place := mark

	switch text := loadErr.Message; {
	case d.indentedByTab(mark.Line) || d.indentedByTab(context.Line):
		line := mark.Line
		if !d.indentedByTab(line) {
			line = context.Line
		}
		start := d.source.starts[line-1]
		d.add(d.source.between(start, start+len(indentation(d.source.line(line)))),
			"a tab in the indentation", "use spaces")
		return
	case strings.Contains(text, "unknown anchor"):
		d.add(d.source.token(&yaml.Node{Line: mark.Line, Column: mark.Column}),
			"aliases are not allowed", "write the value out where it is needed; text that begins with * goes in quotes")
		return
	case strings.Contains(text, "depth"):
		message, hint = fmt.Sprintf("the file nests deeper than %d levels", maxDepth), "no key needs more than five"
	case strings.Contains(text, "mapping values are not allowed"):
		message = `": " cannot stand here`
		hint = `put a value that holds ": " in quotes; otherwise look at the indentation of this line and the one before`
	case strings.Contains(text, "could not find expected ':'"):
		message, hint, place = "this line is not `key: value`", "is the colon missing, or the space behind it?", context
	case strings.Contains(text, "cannot start any token"):
		message = "no value can begin with this character"
		hint = "put the value in quotes"
	case strings.Contains(text, "unexpected end of stream"), strings.Contains(text, "unexpected document indicator"):
		message, hint, place = "the quote that begins here is not closed", "close it; a quote inside single quotes is written twice", context
	case strings.Contains(text, "expected ',' or ']'"):
		message, hint, place = "the list that begins here is not closed", "close it with ], and put commas between its entries", context
	case strings.Contains(text, "expected ',' or '}'"):
		message, hint, place = "the mapping that begins here is not closed", "close it with }, and put commas between its entries", context
	case strings.Contains(text, "did not find expected key"), strings.Contains(text, "expected '-' indicator"),
		strings.Contains(text, "block sequence entries are not allowed"):
		message = "this line does not fit those before it"
		hint = "look at its indentation: keys of one mapping, and the - of one list, begin in the same column"
	case strings.Contains(text, "unknown escape character"):
		message = "this escape is not known"
		hint = `write \\ for a backslash, or use single quotes`
	case strings.Contains(text, "undefined tag handle"):
		message, hint = "a tag is not allowed", "remove it; text that begins with ! goes in quotes"
	}
	if place.Line == 0 {
		place = mark
	}
	start := d.source.offset(place.Line, place.Column)
	end := start + len(firstLine(d.source.text[start:]))
	if line := d.source.line(min(max(place.Line, 1), len(d.source.starts))); strings.Contains(line, "{{") {
		hint = "put a value that holds {{ }} in quotes"
	}
	d.add(d.source.between(start, end), message, hint)
}

func indentation(line string) string {
	return line[:len(line)-len(strings.TrimLeft(line, " \t"))]
}

func (d *decoder) indentedByTab(line int) bool {
	return line >= 1 && line <= len(d.source.starts) && strings.Contains(indentation(d.source.line(line)), "\t")
}

// root reads the descriptor's mapping.
func (d *decoder) root(n *yaml.Node) {
	d.findLanguage(n)
	d.structure(reflect.ValueOf(d.spec).Elem(), place{node: n})
	for _, p := range d.spec.check() {
		d.report(p.Severity, p.Range, p.Message, p.Hint)
	}
}

// findLanguage sets the language before the other keys are read, because some
// belong to one language alone; and reports a wrong or missing one.
func (d *decoder) findLanguage(root *yaml.Node) {
	misspelt := false
	for i := 0; i+1 < len(root.Content); i += 2 {
		key, value := root.Content[i], root.Content[i+1]
		if near, ok := Nearest(key.Value, d.topKeys()); ok && near == "language" && key.Value != "language" {
			misspelt = true
		}
		if key.Kind != yaml.ScalarNode || key.Value != "language" {
			continue
		}
		if value.Kind != yaml.ScalarNode || value.Tag == "!!null" {
			return // Reported with the other values.
		}
		if slices.Contains(d.languages, value.Value) {
			d.language = value.Value
			return
		}
		hint := "write one of: " + strings.Join(d.languages, ", ")
		if near, ok := Nearest(value.Value, d.languages); ok {
			hint = fmt.Sprintf("did you mean %q?", near)
		}
		d.add(d.source.node(value), fmt.Sprintf("language: %s is not a language that birdhouse knows", quote(value.Value)), hint)
		return
	}
	if misspelt {
		return
	}
	at := d.source.node(root)
	d.add(Range{Start: at.Start, End: at.Start}, "the key `language` is missing",
		"write: "+d.languageLine())
}

func (d *decoder) topKeys() []string {
	return keysOf(reflect.TypeFor[Spec]())
}
