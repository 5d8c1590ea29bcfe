package golang

import (
	"go/scanner"
	"go/token"
	"strconv"
)

// What is read of a file's head, the package clause and the imports, needs Go's
// scanner alone.

// importSpec is an import with its place.
type importSpec struct {
	path string
	file string
	from token.Position
	to   token.Position
}

// packageClause returns the name in the package clause of a file, false when the
// file does not begin with one.
func packageClause(file string, src []byte) (string, bool) {
	return readHead(file, src).clause()
}

// importsOf returns the imports of a file in their order, false when the package
// clause or an import is not Go.
func importsOf(file string, src []byte) ([]importSpec, bool) {
	h := readHead(file, src)
	if _, ok := h.clause(); !ok {
		return nil, false
	}
	var found []importSpec
	one := func() bool {
		if h.token == token.IDENT || h.token == token.PERIOD {
			h.next()
		}
		if h.token != token.STRING {
			return false
		}
		p, err := strconv.Unquote(h.text)
		if err != nil {
			p = ""
		}
		found = append(found, importSpec{path: p, file: file, from: h.file.Position(h.pos), to: h.file.Position(h.pos + token.Pos(len(h.text)))})
		h.next()
		return true
	}
	for h.take(token.IMPORT) {
		if !h.take(token.LPAREN) {
			if !one() || !h.take(token.SEMICOLON) {
				return nil, false
			}
			continue
		}
		for !h.take(token.RPAREN) {
			if !one() || h.token != token.RPAREN && !h.take(token.SEMICOLON) {
				return nil, false
			}
		}
		if !h.take(token.SEMICOLON) {
			return nil, false
		}
	}
	return found, !h.broken
}

// head reads the head of a file, a token ahead.
type head struct {
	scanner scanner.Scanner
	file    *token.File
	// broken is set by what is no token.
	broken bool

	token token.Token
	pos   token.Pos
	text  string
}

func readHead(file string, src []byte) *head {
	h := &head{file: token.NewFileSet().AddFile(file, -1, len(src))}
	h.scanner.Init(h.file, src, func(token.Position, string) { h.broken = true }, 0)
	h.next()
	return h
}

func (h *head) next() { h.pos, h.token, h.text = h.scanner.Scan() }

// take goes past a token of a kind, false when there is another.
func (h *head) take(kind token.Token) bool {
	if h.token != kind {
		return false
	}
	h.next()
	return true
}

func (h *head) clause() (string, bool) {
	if !h.take(token.PACKAGE) {
		return "", false
	}
	name := h.text
	return name, h.take(token.IDENT) && h.take(token.SEMICOLON) && !h.broken
}
