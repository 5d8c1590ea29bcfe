// Package deb822 reads the paragraphs of Debian's control files: Packages
// indices, Release files and apt's .sources files. The format is described at
// https://manpages.debian.org/deb822.
package deb822

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxLine is the length in bytes of the longest line that is read. The longest
// in Debian's archive are dependency lists of some ten thousand bytes.
const MaxLine = 1 << 20

// Paragraph is one paragraph. The names of its fields are in lower case, since
// the format does not distinguish. The lines of a value that continues are
// joined by "\n", each without the white space around it.
type Paragraph map[string]string

// Reader reads paragraphs one after the other.
type Reader struct {
	scan *bufio.Scanner
	keep map[string]bool
	line int
}

// NewReader returns a reader of r. With fields, only those are kept; their
// names are in lower case.
func NewReader(r io.Reader, fields ...string) *Reader {
	scan := bufio.NewScanner(r)
	scan.Buffer(make([]byte, 0, 64<<10), MaxLine)
	rd := &Reader{scan: scan}
	if len(fields) > 0 {
		rd.keep = make(map[string]bool, len(fields))
		for _, f := range fields {
			rd.keep[f] = true
		}
	}
	return rd
}

// Next returns the next paragraph, or io.EOF after the last. Errors name the
// line.
func (r *Reader) Next() (Paragraph, error) {
	var p Paragraph
	seen := false
	field, kept := "", false
	for r.scan.Scan() {
		r.line++
		text := strings.TrimRight(r.scan.Text(), " \t\r")
		switch {
		case text == "":
			if seen {
				return p, nil
			}
			continue
		case text[0] == '#':
			continue
		case text[0] == ' ' || text[0] == '\t':
			if field == "" {
				return nil, fmt.Errorf("line %d: a continuation with no field before it", r.line)
			}
			if kept {
				p[field] += "\n" + strings.TrimSpace(text)
			}
			continue
		}
		name, value, ok := strings.Cut(text, ":")
		if !ok || name == "" || strings.ContainsAny(name, " \t") {
			return nil, fmt.Errorf("line %d: %.60q is not \"Field: value\"", r.line, text)
		}
		field = strings.ToLower(name)
		kept = r.keep == nil || r.keep[field]
		if p == nil {
			p = make(Paragraph)
		}
		seen = true
		if !kept {
			continue
		}
		if _, twice := p[field]; twice {
			return nil, fmt.Errorf("line %d: a second %s in one paragraph", r.line, name)
		}
		p[field] = strings.TrimSpace(value)
	}
	if err := r.scan.Err(); err != nil {
		if errors.Is(err, bufio.ErrTooLong) {
			err = fmt.Errorf("longer than %d bytes", MaxLine)
		}
		return nil, fmt.Errorf("line %d: %w", r.line+1, err)
	}
	if !seen {
		return nil, io.EOF
	}
	return p, nil
}
