package deb822

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func all(t *testing.T, text string, fields ...string) ([]Paragraph, error) {
	t.Helper()
	r := NewReader(strings.NewReader(text), fields...)
	var ps []Paragraph
	for {
		p, err := r.Next()
		if err == io.EOF {
			return ps, nil
		}
		if err != nil {
			return ps, err
		}
		ps = append(ps, p)
	}
}

func TestParagraphs(t *testing.T) {
	ps, err := all(t, "\n\n# a comment\nPackage: a\r\nDescription: short\n long\n .\n  more\n#between\n\tend\n\n \n\nPACKAGE:b\nEmpty:\n")
	require.NoError(t, err)
	require.Equal(t, []Paragraph{
		{"package": "a", "description": "short\nlong\n.\nmore\nend"},
		{"package": "b", "empty": ""},
	}, ps)
}

func TestOnlyTheFieldsAskedFor(t *testing.T) {
	ps, err := all(t, "Package: a\nTag: x,\n y\nSize: 3\n\nTag: only\n", "package", "size")
	require.NoError(t, err)
	require.Equal(t, []Paragraph{{"package": "a", "size": "3"}, {}}, ps)
}

func TestMalformed(t *testing.T) {
	for text, want := range map[string]string{
		" continues nothing\n": "line 1: a continuation with no field before it",
		"A: 1\nno colon\n":     `line 2: "no colon" is not "Field: value"`,
		"two words: 1\n":       `line 1: "two words: 1" is not "Field: value"`,
		": value\n":            `line 1: ": value" is not "Field: value"`,
		"A: 1\na: 2\n":         "line 2: a second a in one paragraph",
		"A: 1\n\nB: " + strings.Repeat("x", MaxLine) + "\n": "line 3: longer than",
	} {
		_, err := all(t, text)
		require.ErrorContains(t, err, want)
	}
}

func FuzzReader(f *testing.F) {
	f.Add("Package: a\n b\n\nC: d")
	f.Fuzz(func(t *testing.T, text string) {
		r := NewReader(strings.NewReader(text))
		for {
			p, err := r.Next()
			if err != nil {
				return
			}
			for name := range p {
				if name == "" || strings.ContainsAny(name, " \t\n:") {
					t.Fatalf("field name %q", name)
				}
			}
		}
	})
}
