package spec

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// composeSpelling are keys of Compose that people write from habit.
var composeSpelling = map[string]string{
	"command":     "cmd",
	"environment": "env",
	"ports":       "expose",
	"stop_signal": "stopsignal",
	"working_dir": "workdir",
}

// field is a key of a mapping that is a struct.
type field struct {
	key         string
	index       []int
	typ         reflect.Type
	description string
	// languages are those that have the key, none for all.
	languages []string
	rule      string
	min       int
}

// fieldsOf returns the keys of a struct in the order of its fields.
func fieldsOf(t reflect.Type) []field {
	var fields []field
	for _, f := range reflect.VisibleFields(t) {
		key := f.Tag.Get("yaml")
		if key == "" || key == ",inline" || !f.IsExported() {
			continue
		}
		entries, _ := strconv.Atoi(f.Tag.Get("min"))
		fields = append(fields, field{
			key: key, index: f.Index, typ: f.Type,
			description: f.Tag.Get("desc"), languages: strings.Fields(f.Tag.Get("lang")),
			rule: f.Tag.Get("check"), min: entries,
		})
	}
	return fields
}

// keysOf returns the keys of a struct.
func keysOf(t reflect.Type) []string {
	var keys []string
	for _, f := range fieldsOf(t) {
		keys = append(keys, f.key)
	}
	return keys
}

// place is a value to read.
type place struct {
	// key is nil for the entries of lists.
	key, node *yaml.Node
	// path names the value: "images.worker.expose[0]".
	path string
	// rule and min are those of the field that it belongs to.
	rule string
	min  int
}

// entry is an entry of the list at a place.
func (p place) entry(i int) place {
	return place{node: p.node.Content[i], path: fmt.Sprintf("%s[%d]", p.path, i), rule: p.rule}
}

// join appends a key to a path.
func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// reader is a type that reads itself: those that have more than one form.
// at.node is neither an alias nor null.
type reader interface {
	read(d *decoder, at place)
}

// value reads the value at a place into v, which can be set.
func (d *decoder) value(v reflect.Value, at place) {
	if at.node.Kind == yaml.AliasNode {
		return // Reported already.
	}
	d.spec.ranges[at.path] = d.source.node(at.node)
	line := at.node.Line
	if at.key != nil {
		line = at.key.Line
	}
	d.spec.lines[at.path] = line

	if at.node.Kind == yaml.ScalarNode && at.node.Tag == "!!null" {
		marked := at.node
		if at.node.Value == "" && at.key != nil {
			marked = at.key
		}
		hint := "write one, or remove the line"
		if v.Kind() == reflect.String && strings.Contains(at.path, ".") {
			hint += `; "" is the empty text`
		}
		d.add(d.source.node(marked), at.path+" has no value", hint)
		return
	}
	if r, ok := v.Addr().Interface().(reader); ok {
		r.read(d, at)
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if turnedOff(v, at.node) {
			return
		}
		p := reflect.New(v.Type().Elem())
		d.value(p.Elem(), at)
		// A check of keys that could not be read would only add noise.
		if _, ok := p.Interface().(reader); ok || at.node.Kind == yaml.MappingNode {
			v.Set(p)
		}
	case reflect.Struct:
		d.structure(v, at)
	case reflect.Slice:
		d.list(v, at)
	case reflect.Map:
		d.mapping(v, at)
	case reflect.String:
		if text, ok := d.scalar(at); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		if on, ok := d.boolean(at, "write true or false"); ok {
			v.SetBool(on)
		}
	case reflect.Int:
		d.integer(v, at)
	default:
		panic("spec: no way to read a " + v.Type().String())
	}
}

// turnedOff is `test: false` and its like, which is the same as no such key.
func turnedOff(v reflect.Value, n *yaml.Node) bool {
	switch v.Type() {
	case reflect.TypeFor[*Test](), reflect.TypeFor[*Static](), reflect.TypeFor[*Bundle]():
		on, ok := boolean(n)
		return ok && !on
	}
	return false
}

// structure reads a mapping with fixed keys.
func (d *decoder) structure(v reflect.Value, at place) {
	fields := fieldsOf(v.Type())
	if at.node.Kind != yaml.MappingNode {
		d.wrong(at, "a mapping", "write it with one of these keys below it: "+strings.Join(keysOf(v.Type()), ", "))
		return
	}
	find := func(key string) int {
		return slices.IndexFunc(fields, func(f field) bool { return f.key == key })
	}
	written := map[string]*yaml.Node{}
	for key, value := range d.pairs(at) {
		name := key.Value
		i := find(name)
		if ours := composeSpelling[name]; i < 0 && ours != "" {
			if i = find(ours); i >= 0 {
				name = ours
				d.report(Warning, d.source.node(key), fmt.Sprintf("%q is Compose's name of %q", key.Value, ours),
					fmt.Sprintf("write %q", ours))
			}
		}
		if i < 0 {
			d.unknown(v.Type(), at.path, key)
			continue
		}
		if !d.once(written, name, key) {
			continue
		}
		f := fields[i]
		path := join(at.path, f.key)
		if len(f.languages) > 0 && d.language != "" && !slices.Contains(f.languages, d.language) {
			d.add(d.source.node(key), fmt.Sprintf("%s is a key of %s, and the language is %s", path, listed(f.languages), d.language),
				"remove it")
			continue
		}
		d.value(v.FieldByIndex(f.index), place{key: key, node: value, path: path, rule: f.rule, min: f.min})
	}
}

// once reports a key that is written twice.
func (d *decoder) once(written map[string]*yaml.Node, name string, key *yaml.Node) bool {
	first, twice := written[name]
	if !twice {
		written[name] = key
		return true
	}
	what := quote(name)
	if key.Value != name {
		what += " (here: " + quote(key.Value) + ")"
	}
	d.add(d.source.node(key), fmt.Sprintf("the key %s is written twice", what),
		fmt.Sprintf("the first is on line %d; remove one of the two", first.Line))
	return false
}

// pairs are the keys and values of a mapping whose keys are plain text; others
// are reported.
func (d *decoder) pairs(at place) func(yield func(key, value *yaml.Node) bool) {
	return func(yield func(key, value *yaml.Node) bool) {
		content := at.node.Content
		for i := 0; i+1 < len(content); i += 2 {
			key, value := content[i], content[i+1]
			switch {
			case mergeKey(key) || key.Kind == yaml.AliasNode:
				// Reported already.
			case key.Kind != yaml.ScalarNode:
				if !d.bareTemplate(at) {
					d.add(d.source.node(key), "a key cannot be "+kind(key), "a key is one word, followed by a colon and a space")
				}
			case !yield(key, value):
				return
			}
		}
	}
}

// unknown reports a key that is not one of t's, with the key that was meant.
func (d *decoder) unknown(t reflect.Type, path string, key *yaml.Node) {
	keys := keysOf(t)
	message := fmt.Sprintf("unknown key %s", quote(key.Value))
	if path != "" {
		message += " in " + path
	}
	near, ok := Nearest(key.Value, keys)
	hint := ""
	switch elsewhere := paths(reflect.TypeFor[Spec](), "", key.Value); {
	case slices.Contains(elsewhere, key.Value):
		hint = "it is a key of the top level alone"
	case len(elsewhere) > 0:
		hint = "did you mean " + strings.Join(elsewhere, " or ") + "?"
	case ok:
		hint = fmt.Sprintf("did you mean %q?", near)
	case path == "" && key.Value == "services":
		hint = "this looks like a Compose file; a descriptor says how to build one program, and is what a service's `build.dockerfile` names"
	default:
		slices.Sort(keys)
		hint = "known keys: " + strings.Join(keys, ", ")
	}
	d.add(d.source.node(key), message, hint)
}

// paths returns where in the mappings of a type a key is known.
func paths(t reflect.Type, path, key string) []string {
	var found []string
	for _, f := range fieldsOf(t) {
		p := join(path, f.key)
		if f.key == key {
			found = append(found, p)
		}
		inner := f.typ
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		if inner.Kind() == reflect.Struct {
			found = append(found, paths(inner, p, key)...)
		}
	}
	return found
}

// list reads a list; each entry is read as the slice's element.
func (d *decoder) list(v reflect.Value, at place) {
	if at.node.Kind != yaml.SequenceNode {
		hint := "write it as a list: [a, b]"
		// Lists of something else than text have no entry that is true.
		if at.node.Kind == yaml.ScalarNode && (at.node.Tag != "!!bool" || v.Type().Elem() == reflect.TypeFor[string]()) {
			value := plain(at.node.Value)
			if at.node.Tag != "!!str" {
				value = shorten(at.node.Value)
			}
			hint = fmt.Sprintf("write: %s: [%s]", lastKey(at.path), value)
		}
		d.wrong(at, "a list", hint)
		return
	}
	if !d.enough(at) {
		return
	}
	// Never nil: an empty list is something else than no list.
	entries := reflect.MakeSlice(v.Type(), len(at.node.Content), len(at.node.Content))
	for i := range at.node.Content {
		d.value(entries.Index(i), at.entry(i))
	}
	v.Set(entries)
}

// enough reports a list or mapping with fewer entries than its field's `min`.
func (d *decoder) enough(at place) bool {
	entries := len(at.node.Content)
	if at.node.Kind == yaml.MappingNode {
		entries /= 2
	}
	if entries >= at.min {
		return true
	}
	d.add(d.source.node(at.node), at.path+" is empty", "write an entry, or remove the line")
	return false
}

// mapping reads a mapping whose keys are names.
func (d *decoder) mapping(v reflect.Value, at place) {
	if at.node.Kind != yaml.MappingNode {
		hint := asMapping(at)
		if v.Type().Elem().Kind() == reflect.Struct {
			hint = "write it as a mapping:\n" + lastKey(at.path) + ":\n  NAME:\n    " + keysOf(v.Type().Elem())[0] + ": …"
		}
		d.wrong(at, "a mapping", hint)
		return
	}
	if !d.enough(at) {
		return
	}
	entries := reflect.MakeMap(v.Type())
	written := map[string]*yaml.Node{}
	for key, node := range d.pairs(at) {
		name, bad := rules[at.rule].apply(key.Value)
		if bad != nil {
			d.add(d.source.node(key), fmt.Sprintf("%s: %s %s", at.path, quote(key.Value), bad.message), bad.hint)
			continue
		}
		if !d.once(written, name, key) {
			continue
		}
		entry := reflect.New(v.Type().Elem()).Elem()
		d.value(entry, place{key: key, node: node, path: join(at.path, name)})
		entries.SetMapIndex(reflect.ValueOf(name), entry)
	}
	v.Set(entries)
}

// asMapping is the hint for a list of K=V, which Docker and Compose accept, and
// for one K=V.
func asMapping(at place) string {
	const most = 10
	nodes := []*yaml.Node{at.node}
	if at.node.Kind == yaml.SequenceNode {
		nodes = at.node.Content
	}
	lines := []string{"write it as a mapping:", lastKey(at.path) + ":"}
	for i, n := range nodes {
		name, value, ok := strings.Cut(n.Value, "=")
		if i == most || n.Kind != yaml.ScalarNode || !ok || name == "" {
			break
		}
		lines = append(lines, "  "+plain(name)+": "+plain(value))
	}
	if len(lines) == 2 {
		lines = append(lines, "  NAME: value")
	}
	return strings.Join(lines, "\n")
}

// scalar reads text and applies the field's rule.
func (d *decoder) scalar(at place) (string, bool) {
	if at.node.Kind != yaml.ScalarNode {
		hint := ""
		if at.node.Kind == yaml.SequenceNode && len(at.node.Content) == 1 && at.node.Content[0].Kind == yaml.ScalarNode {
			hint = "write: " + plain(at.node.Content[0].Value)
		}
		d.wrong(at, "one value", hint)
		return "", false
	}
	text, bad := rules[at.rule].apply(at.node.Value)
	if bad != nil {
		d.add(d.source.node(at.node), fmt.Sprintf("%s: %s %s", at.path, quote(at.node.Value), bad.message), bad.hint)
		return "", false
	}
	if form := templateForm.FindString(text); form != "" && !expanded(at.path) {
		d.add(d.source.node(at.node), fmt.Sprintf("%s: %s is not replaced here", at.path, quote(form)),
			"templates are for "+strings.Join(expandedKeys, ", "))
		return "", false
	}
	return text, true
}

// boolean reads true or false.
func (d *decoder) boolean(at place, hint string) (bool, bool) {
	on, ok := boolean(at.node)
	if ok {
		return on, true
	}
	d.wrong(at, "true or false", booleanHint(at.node, hint))
	return false, false
}

// booleanHint says what to write for a value that others would read as true or
// false, otherwise what is given.
func booleanHint(n *yaml.Node, otherwise string) string {
	word := booleanWord(n)
	switch {
	case word != "":
	case n.Kind == yaml.ScalarNode && n.Value == "1":
		word = "true"
	case n.Kind == yaml.ScalarNode && n.Value == "0":
		word = "false"
	default:
		return otherwise
	}
	return "write: " + word
}

// isText reports whether a value is text, with quotes or without, and not a
// number, say.
func isText(n *yaml.Node) bool {
	return n.Kind == yaml.ScalarNode && n.Tag != "!!bool" && n.Tag != "!!int" && n.Tag != "!!float"
}

// booleanWord is true or false for words that older YAML reads as such.
func booleanWord(n *yaml.Node) string {
	if n.Kind == yaml.ScalarNode {
		switch strings.ToLower(n.Value) {
		case "true", "yes", "on", "y":
			return "true"
		case "false", "no", "off", "n":
			return "false"
		}
	}
	return ""
}

// orBoolean reads true or false where other forms are allowed too, and says
// whether it was a boolean; yes and no are reported.
func (d *decoder) orBoolean(at place) (on, is bool) {
	if booleanWord(at.node) == "" {
		return false, false
	}
	on, _ = d.boolean(at, "")
	return on, true
}

func boolean(n *yaml.Node) (on, ok bool) {
	if n.Kind != yaml.ScalarNode || n.Tag != "!!bool" {
		return false, false
	}
	switch strings.ToLower(n.Value) {
	case "true":
		return true, true
	case "false":
		return false, true
	}
	return false, false
}

var decimal = regexp.MustCompile(`^-?(0|[1-9][0-9]{0,8})$`)

// integer reads a whole number within the limits of the field's rule.
func (d *decoder) integer(v reflect.Value, at place) {
	limits := integerRules[at.rule]
	hint := fmt.Sprintf("write a whole number from %d to %d", limits.min, limits.max)
	if at.node.Kind != yaml.ScalarNode {
		d.wrong(at, "a number", hint)
		return
	}
	number, err := strconv.Atoi(at.node.Value)
	fits := err == nil && number >= limits.min && number <= limits.max && decimal.MatchString(at.node.Value)
	switch {
	case fits && at.node.Tag != "!!int":
		d.wrong(at, "a number", "write it without quotes: "+at.node.Value)
	case !fits:
		d.add(d.source.node(at.node), fmt.Sprintf("%s: %s is not %s", at.path, quote(at.node.Value), limits.what), hint)
	default:
		v.SetInt(int64(number))
	}
}

// wrong reports a value of the wrong kind.
func (d *decoder) wrong(at place, wanted, hint string) {
	if d.bareTemplate(at) {
		return
	}
	d.add(d.source.node(at.node), fmt.Sprintf("%s is %s where %s is wanted", at.path, kind(at.node), wanted), hint)
}

// bareTemplate reports {{.Version}} without quotes, which YAML reads as a
// mapping in a mapping.
func (d *decoder) bareTemplate(at place) bool {
	start := d.source.offset(at.node.Line, at.node.Column)
	if at.node.Kind != yaml.MappingNode || !strings.HasPrefix(d.source.text[start:], "{{") {
		return false
	}
	d.add(d.source.node(at.node), at.path+": a value that begins with {{ needs quotes",
		"write: "+strconv.Quote(shorten(d.source.text[start:d.source.end(at.node, start)])))
	return true
}

// kind names a node's kind in a message.
func kind(n *yaml.Node) string {
	switch n.Kind {
	case yaml.SequenceNode:
		return "a list"
	case yaml.MappingNode:
		return "a mapping"
	case yaml.AliasNode:
		return "an alias"
	}
	switch n.Tag {
	case "!!bool":
		return n.Value
	case "!!int", "!!float":
		return "the number " + shorten(n.Value)
	case "!!null":
		return "empty"
	}
	return "the text " + quote(n.Value)
}

// shorten cuts long text from the file for a message.
func shorten(text string) string {
	const most = 60
	if utf8.RuneCountInString(text) <= most {
		return text
	}
	return string([]rune(text)[:most]) + "…"
}

// quote is text from the file in a message.
func quote(text string) string {
	return strconv.Quote(shorten(text))
}

var plainText = regexp.MustCompile(`^[A-Za-z_./][A-Za-z0-9_./=@+-]*(:[A-Za-z0-9_./=@+-]+)*$`)

// plain is text as YAML: with quotes where it would be read as something else.
func plain(text string) string {
	switch strings.ToLower(text) {
	case "true", "false", "null", "yes", "no", "on", "off", "y", "n":
	default:
		if plainText.MatchString(text) && len(text) <= 60 {
			return text
		}
	}
	return quote(text)
}

// lastKey is the last key of a path, without the number of an entry.
func lastKey(path string) string {
	path, _, _ = strings.Cut(path[strings.LastIndex(path, ".")+1:], "[")
	return path
}
