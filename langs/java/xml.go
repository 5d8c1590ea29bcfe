package java

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Bounds of an XML document: far more than any pom has.
const (
	maxElements = 200_000
	maxDepth    = 200
)

// element is an XML element: its name without namespace, its own text and the elements in
// it. A nil element has no text and no children.
type element struct {
	name string
	// text is without the blanks around it.
	text string
	// line is where the text begins, or the element where it has none; from 1.
	line     int
	children []*element
}

// syntaxError is what is wrong with an XML document, and where.
type syntaxError struct {
	line    int
	message string
}

func (e *syntaxError) Error() string { return fmt.Sprintf("line %d: %s", e.line, e.message) }

// parseXML reads a document's root element. The error is a *syntaxError.
func parseXML(data []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))))
	d.CharsetReader = charset
	root := &element{}
	open := []*element{root}
	for count := 0; ; {
		line, _ := d.InputPos()
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			var se *xml.SyntaxError
			if errors.As(err, &se) {
				return nil, &syntaxError{se.Line, se.Msg}
			}
			return nil, &syntaxError{line, err.Error()}
		}
		at := open[len(open)-1]
		switch t := token.(type) {
		case xml.StartElement:
			if count++; count > maxElements || len(open) > maxDepth {
				return nil, &syntaxError{line, "it is larger than any file of this kind is"}
			}
			e := &element{name: t.Name.Local, line: line}
			at.children = append(at.children, e)
			open = append(open, e)
		case xml.EndElement:
			at.text = strings.TrimSpace(at.text)
			open = open[:len(open)-1]
		case xml.CharData:
			if text := string(t); strings.TrimSpace(text) != "" && len(open) > 1 {
				if at.text == "" {
					blank := text[:len(text)-len(strings.TrimLeft(text, " \t\r\n"))]
					at.line = line + strings.Count(blank, "\n")
				}
				at.text += text
			}
		}
	}
	if len(root.children) != 1 {
		return nil, &syntaxError{1, "it is empty"}
	}
	return root.children[0], nil
}

// charset reads the encodings that poms have beside UTF-8: each byte of ISO 8859-1 is the
// character of that number.
func charset(label string, input io.Reader) (io.Reader, error) {
	switch strings.ToLower(label) {
	case "us-ascii", "ascii":
		return input, nil
	case "iso-8859-1", "iso8859-1", "latin1", "windows-1252", "cp1252", "iso-8859-15":
		data, err := io.ReadAll(input)
		if err != nil {
			return nil, err
		}
		var b strings.Builder
		for _, c := range data {
			b.WriteRune(rune(c))
		}
		return strings.NewReader(b.String()), nil
	}
	return nil, fmt.Errorf("the encoding %s is not known: write it as UTF-8", label)
}

// get follows names down from an element: the first child of each name. It is nil when
// there is none.
func (e *element) get(names ...string) *element {
	for _, name := range names {
		if e == nil {
			return nil
		}
		var next *element
		for _, c := range e.children {
			if c.name == name {
				next = c
				break
			}
		}
		e = next
	}
	return e
}

// all are the children of a name.
func (e *element) all(name string) []*element {
	if e == nil {
		return nil
	}
	var found []*element
	for _, c := range e.children {
		if c.name == name {
			found = append(found, c)
		}
	}
	return found
}

// string is the text, "" for none.
func (e *element) string() string {
	if e == nil {
		return ""
	}
	return e.text
}
