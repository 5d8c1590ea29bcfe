package spec

import (
	"sort"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// source finds places in the descriptor's text. The YAML library counts columns
// in characters and knows where a value starts but not where it ends; a Range
// counts bytes and has both.
type source struct {
	text string
	// starts are the offsets of the lines.
	starts []int
	// columns are the offsets of the characters in lines that are not ASCII;
	// ASCII lines have an empty entry. Kept, because one line may hold the
	// whole file and every node of it asks.
	columns map[int][]int
}

func newSource(text string) *source {
	s := &source{text: text, starts: []int{0}, columns: map[int][]int{}}
	for i := 0; i < len(text); i++ {
		if text[i] == '\n' {
			s.starts = append(s.starts, i+1)
		}
	}
	return s
}

// line returns the text of a line, counted from 1, without its end.
func (s *source) line(number int) string {
	end := len(s.text)
	if number < len(s.starts) {
		end = s.starts[number] - 1
	}
	return strings.TrimSuffix(s.text[s.starts[number-1]:end], "\r")
}

// offset returns where a line and a column counted in characters are. Places
// outside the text become the nearest one in it.
func (s *source) offset(line, column int) int {
	line = min(max(line, 1), len(s.starts))
	text := s.line(line)
	columns, known := s.columns[line]
	if !known {
		if strings.IndexFunc(text, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
			for i := range text {
				columns = append(columns, i)
			}
		}
		s.columns[line] = columns
	}
	at := max(column-1, 0)
	switch {
	case columns == nil:
		at = min(at, len(text))
	case at < len(columns):
		at = columns[at]
	default:
		at = len(text)
	}
	return s.starts[line-1] + at
}

// position is the place of an offset.
func (s *source) position(offset int) Position {
	line := sort.SearchInts(s.starts, offset+1)
	column := min(offset-s.starts[line-1], len(s.line(line)))
	return Position{Line: line, Column: column + 1}
}

// between is the range of two offsets.
func (s *source) between(start, end int) Range {
	return Range{Start: s.position(start), End: s.position(max(start, end))}
}

// node is the range of a node's text.
func (s *source) node(n *yaml.Node) Range {
	start := s.offset(n.Line, n.Column)
	return s.between(start, s.end(n, start))
}

// token is the range of the characters up to the next space: an anchor, an
// alias or a tag, where a node has one.
func (s *source) token(n *yaml.Node) Range {
	start := s.offset(n.Line, n.Column)
	return s.between(start, start+len(word(s.text[start:])))
}

// end returns the offset behind the last character of a node. Of text in
// several lines that is not quoted it is the end of the first line, which is
// all that a message can mark.
func (s *source) end(n *yaml.Node, start int) int {
	text := s.text[start:]
	switch n.Kind {
	case yaml.ScalarNode:
		switch {
		case n.Style&yaml.DoubleQuotedStyle != 0 && strings.HasPrefix(text, `"`):
			for i := 1; i < len(text); i++ {
				switch text[i] {
				case '\\':
					i++
				case '"':
					return start + i + 1
				}
			}
		case n.Style&yaml.SingleQuotedStyle != 0 && strings.HasPrefix(text, "'"):
			for i := 1; i < len(text); i++ {
				if text[i] != '\'' {
					continue
				}
				if !strings.HasPrefix(text[i+1:], "'") {
					return start + i + 1
				}
				i++
			}
		case n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0:
			return start + len(word(text))
		case !strings.Contains(n.Value, "\n") && strings.HasPrefix(text, n.Value):
			return start + len(n.Value)
		}
		return start + len(firstLine(text))
	case yaml.SequenceNode, yaml.MappingNode:
		end := start
		if count := len(n.Content); count > 0 {
			last := n.Content[count-1]
			at := s.offset(last.Line, last.Column)
			end = max(end, s.end(last, at))
		} else if n.Style&yaml.FlowStyle != 0 && text != "" {
			end++
		}
		if n.Style&yaml.FlowStyle != 0 {
			return s.closing(end)
		}
		return end
	default:
		return start + len(word(text))
	}
}

// closing returns the offset behind the bracket that closes a list or mapping
// whose last entry ends at an offset, or that offset when there is none.
func (s *source) closing(offset int) int {
	for i := offset; i < len(s.text); i++ {
		switch s.text[i] {
		case ']', '}':
			return i + 1
		case ' ', '\t', '\r', '\n', ',', ':', '?':
		case '#':
			for i+1 < len(s.text) && s.text[i+1] != '\n' {
				i++
			}
		default:
			return offset
		}
	}
	return offset
}

// word is the text up to the first blank or line end.
func word(text string) string {
	if i := strings.IndexAny(text, " \t\r\n"); i >= 0 {
		return text[:i]
	}
	return text
}

// firstLine is the first line of a text without a comment at its end.
func firstLine(text string) string {
	if i := strings.IndexByte(text, '\n'); i >= 0 {
		text = text[:i]
	}
	if i := strings.Index(text, " #"); i >= 0 {
		text = text[:i]
	}
	return strings.TrimRight(text, " \t\r")
}
