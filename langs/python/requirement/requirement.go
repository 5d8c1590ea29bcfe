// Package requirement reads what Python projects say they need: versions and
// conditions on them (PEP 440), requirements with markers (PEP 508), names (PEP
// 503) and the requirements files of pip, with the line of everything in them.
//
// Texts come from projects, which are not trusted: sizes and depths are bounded,
// and URLs with passwords are found.
package requirement

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
)

// maxText bounds one requirement, in bytes; those with hundreds of hashes are
// shorter, and the hashes are no part of it.
const maxText = 64 << 10

// Name returns a name in the normal form of PEP 503, which says that two names are
// the same: "Flask_SQLAlchemy" is flask-sqlalchemy.
func Name(name string) string {
	var b strings.Builder
	separated := false
	for _, r := range strings.ToLower(name) {
		if r == '-' || r == '_' || r == '.' {
			separated = true
			continue
		}
		if separated {
			b.WriteByte('-')
			separated = false
		}
		b.WriteRune(r)
	}
	if separated {
		b.WriteByte('-')
	}
	return b.String()
}

// ValidName says whether a text is a name of a package or an extra: ASCII letters
// and digits with ".", "-" and "_" between them.
func ValidName(name string) bool {
	return name != "" && nameLength(name) == len(name)
}

// nameLength is the length of the name that text begins with, 0 for none.
func nameLength(text string) int {
	end := 0
	for i := range len(text) {
		switch c := text[i]; {
		case c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9':
			end = i + 1
		case c == '.' || c == '-' || c == '_':
			if i == 0 {
				return 0
			}
		default:
			return end
		}
	}
	return end
}

// Requirement is one requirement of PEP 508:
// https://packaging.python.org/en/latest/specifications/dependency-specifiers/.
type Requirement struct {
	// Name is in the normal form. It is empty only in lines of a requirements file
	// that are a URL or a path alone.
	Name string
	// Extras are in the normal form, sorted.
	Extras    []string
	Specifier Specifier
	// URL is what stands behind "@": "git+https://example.com/a.git@v1"; Specifier is
	// empty then.
	URL    string
	Marker Marker
}

// SyntaxError says what is wrong in a text and where.
type SyntaxError struct {
	// Offset counts bytes from the start of the text.
	Offset int
	// Message says what is wrong and, where it can be told, what to write instead.
	Message string
}

// Error implements error.
func (e *SyntaxError) Error() string { return e.Message }

func syntaxError(offset int, format string, args ...any) *SyntaxError {
	return &SyntaxError{Offset: offset, Message: fmt.Sprintf(format, args...)}
}

// Parse reads a requirement: `uvicorn[standard] >=0.30,<1 ; python_version >= "3.9"`.
// Errors are of type *SyntaxError.
func Parse(text string) (Requirement, error) {
	if len(text) > maxText {
		return Requirement{}, syntaxError(0, "the requirement is longer than %d KiB", maxText>>10)
	}
	r, err := parse(text)
	if err != nil {
		return Requirement{}, err
	}
	return r, nil
}

func parse(text string) (r Requirement, err *SyntaxError) {
	at := skipSpace(text, 0)
	n := nameLength(text[at:])
	if n == 0 {
		return r, syntaxError(at, "a requirement begins with a name, as in flask>=3: %q", shorten(text[at:]))
	}
	r.Name = Name(text[at : at+n])
	at = skipSpace(text, at+n)

	if at < len(text) && text[at] == '[' {
		if r.Extras, at, err = parseExtras(text, at); err != nil {
			return r, err
		}
		at = skipSpace(text, at)
	}

	if at < len(text) && text[at] == '@' {
		at = skipSpace(text, at+1)
		end := at
		for end < len(text) && !isSpace(text[end]) {
			end++
		}
		if r.URL = text[at:end]; r.URL == "" {
			return r, syntaxError(at, "no URL follows @")
		}
		rest := skipSpace(text, end)
		if rest < len(text) && text[rest] != ';' {
			return r, syntaxError(rest, "%q follows the URL: a marker begins with a semicolon", shorten(text[rest:]))
		}
		return r.withMarker(text, rest)
	}

	start, end := at, len(text)
	if i := strings.IndexByte(text[at:], ';'); i >= 0 {
		end = at + i
	}
	conditions := text[start:end]
	if trimmed := strings.TrimSpace(conditions); strings.HasPrefix(trimmed, "(") && strings.HasSuffix(trimmed, ")") {
		conditions = trimmed[1 : len(trimmed)-1]
	}
	specifier, e := ParseSpecifier(conditions)
	if e != nil {
		return r, syntaxError(start, "%s: %v", r.Name, e)
	}
	r.Specifier = specifier
	return r.withMarker(text, end)
}

// withMarker reads the marker, which begins with the semicolon at an offset or is
// not there.
func (r Requirement) withMarker(text string, at int) (Requirement, *SyntaxError) {
	if at >= len(text) {
		return r, nil
	}
	m, err := parseMarker(text, at+1)
	r.Marker = m
	return r, err
}

// parseExtras reads "[a, b]" and returns the offset behind it.
func parseExtras(text string, at int) ([]string, int, *SyntaxError) {
	end := strings.IndexByte(text[at:], ']')
	if end < 0 {
		return nil, at, syntaxError(at, "the bracket is not closed: %q", shorten(text[at:]))
	}
	var extras []string
	inside := text[at+1 : at+end]
	for _, extra := range strings.Split(inside, ",") {
		extra = strings.TrimSpace(extra)
		if extra == "" && strings.TrimSpace(inside) == "" {
			break
		}
		if !ValidName(extra) {
			return nil, at, syntaxError(at, "%q is not the name of an extra", shorten(extra))
		}
		extras = append(extras, Name(extra))
	}
	slices.Sort(extras)
	return slices.Compact(extras), at + end + 1, nil
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func skipSpace(text string, at int) int {
	for at < len(text) && isSpace(text[at]) {
		at++
	}
	return at
}

// String returns the requirement in one form for all spellings; Parse reads it.
func (r Requirement) String() string {
	var b strings.Builder
	b.WriteString(r.Name)
	if len(r.Extras) > 0 {
		b.WriteString("[" + strings.Join(r.Extras, ",") + "]")
	}
	if r.URL != "" {
		if r.Name != "" {
			b.WriteString(" @ ")
		}
		b.WriteString(r.URL)
	}
	b.WriteString(r.Specifier.String())
	if !r.Marker.IsZero() {
		b.WriteString(" ; " + r.Marker.String())
	}
	return b.String()
}

// Credentials says whether a URL has a password or a token in it, as in
// "https://me:secret@index.example.com/simple". Variables in place of them, as in
// ${TOKEN}, are none, nor is a user of SSH.
func Credentials(text string) bool {
	_, rest, ok := strings.Cut(text, "://")
	if !ok {
		return false
	}
	if end := strings.IndexAny(rest, "/?#"); end >= 0 {
		rest = rest[:end]
	}
	i := strings.LastIndexByte(rest, '@')
	if i < 0 {
		return false
	}
	user, password, _ := strings.Cut(rest[:i], ":")
	if password != "" {
		return !isVariable(password)
	}
	scheme := strings.ToLower(text[:strings.Index(text, "://")])
	// A user of HTTP without a password is a token, unless it is the one that git
	// hosts have for everybody.
	return strings.HasSuffix(scheme, "http") || strings.HasSuffix(scheme, "https") && user != "git" && user != "" && !isVariable(user)
}

// isVariable says whether a text is one variable in the form that pip replaces.
func isVariable(text string) bool {
	name, ok := strings.CutPrefix(text, "${")
	if u, err := url.PathUnescape(text); !ok && err == nil {
		name, ok = strings.CutPrefix(u, "${")
	}
	return ok && strings.HasSuffix(name, "}")
}
