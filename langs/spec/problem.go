package spec

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Position is a place in a file: line and column count from 1, columns in
// bytes. The zero Position is unknown.
type Position struct {
	Line   int `json:"line"`
	Column int `json:"column"`
}

// Range is a piece of text, End exclusive and on the same line or a later one.
type Range struct {
	Start Position `json:"start"`
	End   Position `json:"end"`
}

// Severity says whether a problem stops the build.
type Severity string

// The severities.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
)

// Problem is something wrong in the descriptor or in a file of the project.
type Problem struct {
	Severity Severity `json:"severity"`
	// File is the file's path in the project; "" is the descriptor.
	File string `json:"file,omitempty"`
	// Name is what the descriptor is called, as given to Parse; it is shown
	// when File is "".
	Name string `json:"-"`
	// Range is the text to mark; zero when the problem is of the whole file.
	Range Range `json:"range"`
	// Message says what is wrong, in one line: `unknown key "versoin"`.
	Message string `json:"message"`
	// Hint says what to write instead; may have several lines, may be empty:
	// `did you mean "version"?`.
	Hint string `json:"hint,omitempty"`
}

// Problems are all that were found, in the order of the file.
type Problems []Problem

// HasErrors says whether a problem stops the build.
func (p Problems) HasErrors() bool {
	return slices.ContainsFunc(p, func(one Problem) bool { return one.Severity != Warning })
}

// Sorted returns the problems in the order in which people read them: those of
// the descriptor first, then file by file, each from its top. Of equal ones
// only one is left.
func (p Problems) Sorted() Problems {
	sorted := slices.Clone(p)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(
			strings.Compare(a.File, b.File),
			cmp.Compare(a.Range.Start.Line, b.Range.Start.Line),
			cmp.Compare(a.Range.Start.Column, b.Range.Start.Column),
			strings.Compare(a.Message, b.Message),
		)
	})
	return slices.Compact(sorted)
}

// Error lists the problems, one a line, with no excerpts: see Text.
func (p Problems) Error() string {
	var lines []string
	for _, one := range p {
		lines = append(lines, one.heading())
	}
	return strings.Join(lines, "\n")
}

// file is the name to show.
func (p Problem) file() string {
	return cmp.Or(p.File, p.Name, "birdhouse.yaml")
}

// heading is the problem's first line: file:line:column: message.
func (p Problem) heading() string {
	var b strings.Builder
	b.WriteString(visible(p.file()))
	if at := p.Range.Start; at.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", at.Line, at.Column)
	}
	b.WriteString(": ")
	if p.Severity == Warning {
		b.WriteString("warning: ")
	}
	b.WriteString(visible(p.Message))
	return b.String()
}
