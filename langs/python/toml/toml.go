// Package toml reads TOML files (https://toml.io/en/v1.1.0) as trees whose values
// know where they stand, for messages that show the line.
package toml

import (
	"fmt"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// The bounds of what is read: files of a project are not trusted.
const (
	maxSize  = 64 << 20
	maxDepth = 100
)

// Kind is what a value is.
type Kind int

// The kinds. Dates and times of all four sorts are one.
const (
	Table Kind = iota + 1
	Array
	String
	Integer
	Float
	Bool
	Time
)

// String is for messages: "a table".
func (k Kind) String() string {
	names := []string{"nothing", "a table", "an array", "a string", "an integer", "a number", "true or false", "a time"}
	if k < 0 || int(k) >= len(names) {
		return names[0]
	}
	return names[k]
}

// Value is a value of a file. All methods accept nil, which is what a key has that
// is not there.
type Value struct {
	kind  Kind
	text  string
	list  []*Value
	keys  []string
	byKey map[string]*Value
	at    spec.Range

	// closed tables and arrays are complete: inline ones. header says that a table's header has
	// been seen, which may come after those of its children.
	closed, header bool
}

// Error says where a file is not TOML.
type Error struct {
	Range   spec.Range
	Message string
}

// Error implements error: "line 3: expected '=' after key".
func (e *Error) Error() string {
	return fmt.Sprintf("line %d: %s", e.Range.Start.Line, e.Message)
}

// Parse reads a file, at most 64 MiB with tables nested at most 100 deep. The
// result is a table. Errors are of type *Error.
func Parse(data []byte) (*Value, error) {
	r := &reader{root: newTable(spec.Range{})}
	if len(data) > maxSize {
		return nil, &Error{Message: fmt.Sprintf("the file is larger than %d MiB", maxSize>>20)}
	}
	for i, c := range data {
		if c == '\n' {
			r.lines = append(r.lines, i)
		}
	}
	r.parser.Reset(data)
	current := r.root
	for r.parser.NextExpression() {
		var err *Error
		switch n := r.parser.Expression(); n.Kind {
		case unstable.Table:
			current, err = r.table(n)
		case unstable.ArrayTable:
			current, err = r.arrayTable(n)
		case unstable.KeyValue:
			err = r.keyValue(current, n, 0)
		}
		if err != nil {
			return nil, err
		}
	}
	if err := r.parser.Error(); err != nil {
		e := &Error{Message: err.Error()}
		if pe, ok := err.(*unstable.ParserError); ok {
			e.Range = r.slice(data, pe.Highlight)
		}
		return nil, e
	}
	return r.root, nil
}

type reader struct {
	parser unstable.Parser
	root   *Value
	// lines are the offsets of line feeds.
	lines []int
}

func newTable(at spec.Range) *Value {
	return &Value{kind: Table, byKey: map[string]*Value{}, at: at}
}

func (r *reader) position(offset int) spec.Position {
	line := sort.SearchInts(r.lines, offset)
	column := offset + 1
	if line > 0 {
		column = offset - r.lines[line-1]
	}
	return spec.Position{Line: line + 1, Column: column}
}

func (r *reader) span(raw unstable.Range) spec.Range {
	start := int(raw.Offset)
	return spec.Range{Start: r.position(start), End: r.position(start + int(raw.Length))}
}

// slice is the range of a part of data; the whole file's end where it is none.
func (r *reader) slice(data, part []byte) spec.Range {
	offset := cap(data) - cap(part)
	if offset < 0 || offset+len(part) > len(data) {
		offset, part = len(data), nil
	}
	return r.span(unstable.Range{Offset: uint32(offset), Length: uint32(len(part))})
}

// path returns the parts of a key and where it stands.
func (r *reader) path(it unstable.Iterator) (path []string, at spec.Range, err *Error) {
	for it.Next() {
		part := r.span(it.Node().Raw)
		if path == nil {
			at = part
		}
		at.End = part.End
		path = append(path, string(it.Node().Data))
		if len(path) > maxDepth {
			return nil, at, &Error{at, fmt.Sprintf("tables are nested more than %d deep", maxDepth)}
		}
	}
	return path, at, nil
}

// descend finds or makes the tables of a header's path.
func (r *reader) descend(from *Value, path []string, at spec.Range) (*Value, *Error) {
	for i, key := range path {
		next := from.byKey[key]
		switch {
		case next == nil:
			next = newTable(at)
			from.set(key, next)
		case next.kind == Array && !next.closed:
			next = next.list[len(next.list)-1]
		case next.kind != Table || next.closed:
			return nil, &Error{at, fmt.Sprintf("%s is %s already", strings.Join(path[:i+1], "."), next.kind)}
		}
		from = next
	}
	return from, nil
}

// header is where a line in brackets says that what follows belongs: in parent, by the last
// part of the path.
func (r *reader) header(n *unstable.Node) (parent *Value, path []string, at spec.Range, err *Error) {
	if path, at, err = r.path(n.Key()); err != nil {
		return nil, nil, at, err
	}
	parent, err = r.descend(r.root, path[:len(path)-1], at)
	return parent, path, at, err
}

func (r *reader) table(n *unstable.Node) (*Value, *Error) {
	parent, path, at, err := r.header(n)
	if err != nil {
		return nil, err
	}
	key := path[len(path)-1]
	t := parent.byKey[key]
	switch {
	case t == nil:
		t = newTable(at)
		parent.set(key, t)
	case t.kind != Table || t.closed || t.header:
		return nil, &Error{at, fmt.Sprintf("%s is there a second time", strings.Join(path, "."))}
	}
	t.header, t.at = true, at
	return t, nil
}

func (r *reader) arrayTable(n *unstable.Node) (*Value, *Error) {
	parent, path, at, err := r.header(n)
	if err != nil {
		return nil, err
	}
	key := path[len(path)-1]
	list := parent.byKey[key]
	switch {
	case list == nil:
		list = &Value{kind: Array, at: at}
		parent.set(key, list)
	case list.kind != Array || list.closed:
		return nil, &Error{at, fmt.Sprintf("%s is %s already", strings.Join(path, "."), list.kind)}
	}
	t := newTable(at)
	t.header = true
	list.list = append(list.list, t)
	return t, nil
}

func (r *reader) keyValue(table *Value, n *unstable.Node, depth int) *Error {
	path, at, err := r.path(n.Key())
	if err != nil {
		return err
	}
	value, err := r.value(n.Value(), at, depth+len(path))
	if err != nil {
		return err
	}
	for _, key := range path[:len(path)-1] {
		next := table.byKey[key]
		if next == nil {
			next = newTable(at)
			table.set(key, next)
		}
		if next.kind != Table || next.closed {
			return &Error{at, fmt.Sprintf("%s is %s already", key, next.kind)}
		}
		table = next
	}
	key := path[len(path)-1]
	if table.byKey[key] != nil {
		return &Error{at, fmt.Sprintf("%s is there a second time", strings.Join(path, "."))}
	}
	table.set(key, value)
	return nil
}

// value reads what follows a key, whose place is that of values which have none of
// their own: arrays.
func (r *reader) value(n *unstable.Node, at spec.Range, depth int) (*Value, *Error) {
	if depth > maxDepth {
		return nil, &Error{at, fmt.Sprintf("tables are nested more than %d deep", maxDepth)}
	}
	v := &Value{at: at, text: string(n.Data)}
	if n.Raw.Length > 0 {
		v.at = r.span(n.Raw)
	}
	switch n.Kind {
	case unstable.Array:
		v.kind, v.closed = Array, true
		for it := n.Children(); it.Next(); {
			e, err := r.value(it.Node(), v.at, depth+1)
			if err != nil {
				return nil, err
			}
			v.list = append(v.list, e)
		}
	case unstable.InlineTable:
		v.kind, v.byKey = Table, map[string]*Value{}
		for it := n.Children(); it.Next(); {
			if err := r.keyValue(v, it.Node(), depth); err != nil {
				return nil, err
			}
		}
		v.closed = true
	case unstable.String:
		v.kind = String
	case unstable.Integer:
		v.kind = Integer
	case unstable.Float:
		v.kind = Float
	case unstable.Bool:
		v.kind = Bool
	default:
		v.kind = Time
	}
	return v, nil
}

func (v *Value) set(key string, value *Value) {
	v.byKey[key] = value
	v.keys = append(v.keys, key)
}

// Kind returns what the value is, 0 for nil.
func (v *Value) Kind() Kind {
	if v == nil {
		return 0
	}
	return v.kind
}

// Range returns where the value stands: a table's header or, of a table or array that
// belongs to a key, an array's key, anything else itself.
func (v *Value) Range() spec.Range {
	if v == nil {
		return spec.Range{}
	}
	return v.at
}

// Line is the first line of Range.
func (v *Value) Line() int { return v.Range().Start.Line }

// Get returns what the keys lead to through tables, nil when a key is not there or
// a value on the way is no table.
func (v *Value) Get(keys ...string) *Value {
	for _, key := range keys {
		if v == nil {
			return nil
		}
		v = v.byKey[key]
	}
	return v
}

// Keys returns a table's keys in the order of the file.
func (v *Value) Keys() []string {
	if v == nil {
		return nil
	}
	return v.keys
}

// List returns an array's elements.
func (v *Value) List() []*Value {
	if v == nil {
		return nil
	}
	return v.list
}

// Text returns a string's content, of numbers, times, true and false their text in the file; ""
// for tables, arrays and nil.
func (v *Value) Text() string {
	if v == nil {
		return ""
	}
	return v.text
}

// String returns a string's content, "" for all else.
func (v *Value) String() string {
	if v.Kind() != String {
		return ""
	}
	return v.text
}

// Strings returns the strings of an array; other elements are left out.
func (v *Value) Strings() []string {
	var all []string
	for _, e := range v.List() {
		if e.kind == String {
			all = append(all, e.text)
		}
	}
	return all
}

// True says whether the value is `true`.
func (v *Value) True() bool { return v.Kind() == Bool && v.text == "true" }
