package requirement

import (
	"slices"
	"strings"
)

// Environment is where a program runs, by the variables of PEP 508: "python_version",
// "python_full_version", "sys_platform", "platform_machine" and so on. Those that are not in
// it are empty.
type Environment map[string]string

// Linux returns the environment of CPython in a container: version is Python's, such
// as "3.13.5", arch an architecture of OCI images: "amd64", "arm64". What the kernel
// says of itself (platform_release, platform_version) is not known before.
func Linux(version, arch string) Environment {
	machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64", "arm": "armv7l", "386": "i686"}[arch]
	if machine == "" {
		machine = arch
	}
	short := version
	if v, err := ParseVersion(version); err == nil {
		short = Version{release: []uint64{v.Release(0), v.Release(1)}}.String()
	}
	return Environment{
		"os_name":                        "posix",
		"sys_platform":                   "linux",
		"platform_system":                "Linux",
		"platform_machine":               machine,
		"platform_python_implementation": "CPython",
		"implementation_name":            "cpython",
		"implementation_version":         version,
		"python_version":                 short,
		"python_full_version":            version,
	}
}

// variables are those that a marker may name, by all their spellings.
var variables = map[string]string{
	"os_name": "os_name", "os.name": "os_name",
	"sys_platform": "sys_platform", "sys.platform": "sys_platform",
	"platform_system":  "platform_system",
	"platform_machine": "platform_machine", "platform.machine": "platform_machine",
	"platform_release": "platform_release",
	"platform_version": "platform_version", "platform.version": "platform_version",
	"platform_python_implementation": "platform_python_implementation", "platform.python_implementation": "platform_python_implementation", "python_implementation": "platform_python_implementation",
	"implementation_name": "implementation_name", "implementation_version": "implementation_version",
	"python_version": "python_version", "python_full_version": "python_full_version",
	"extra": "extra",
	// Sets, in pylock.toml: https://packaging.python.org/en/latest/specifications/pylock-toml/#packages-marker.
	"extras": "extras", "dependency_groups": "dependency_groups",
}

// versionVariables are compared as versions.
var versionVariables = []string{"python_version", "python_full_version", "implementation_version", "platform_release"}

// maxMarkerDepth bounds the brackets of a marker, maxMarkerTerms its comparisons.
const (
	maxMarkerDepth = 50
	maxMarkerTerms = 2000
)

// Marker is a condition on the environment. The zero Marker always holds.
type Marker struct{ root *condition }

// condition is a comparison, or others joined by "and" or "or".
type condition struct {
	join string
	all  []*condition

	left, right operand
	operator    string
}

type operand struct {
	variable, text string
}

// ParseMarker reads a marker: `sys_platform == "linux" and python_version < "3.11"`.
// An empty text always holds. Errors are of type *SyntaxError.
func ParseMarker(text string) (Marker, error) {
	if len(text) > maxText {
		return Marker{}, syntaxError(0, "the marker is longer than %d KiB", maxText>>10)
	}
	if strings.TrimSpace(text) == "" {
		return Marker{}, nil
	}
	m, err := parseMarker(text, 0)
	if err != nil {
		return Marker{}, err
	}
	return m, nil
}

func parseMarker(text string, at int) (Marker, *SyntaxError) {
	p := &markerReader{text: text, at: at}
	c, err := p.or(0)
	if err != nil {
		return Marker{}, err
	}
	if p.space(); p.at < len(text) {
		return Marker{}, syntaxError(p.at, "%q follows the marker: write and, or, or nothing", shorten(text[p.at:]))
	}
	return Marker{c}, nil
}

type markerReader struct {
	text  string
	at    int
	terms int
}

func (p *markerReader) space() { p.at = skipSpace(p.text, p.at) }

// word takes a keyword that is no part of a longer word.
func (p *markerReader) word(w string) bool {
	p.space()
	rest, ok := strings.CutPrefix(p.text[p.at:], w)
	if !ok || rest != "" && !strings.ContainsRune(" \t\r\n('\"", rune(rest[0])) {
		return false
	}
	p.at += len(w)
	return true
}

func (p *markerReader) or(depth int) (*condition, *SyntaxError) {
	return p.joined("or", depth, func() (*condition, *SyntaxError) {
		return p.joined("and", depth, func() (*condition, *SyntaxError) { return p.term(depth) })
	})
}

func (p *markerReader) joined(word string, depth int, next func() (*condition, *SyntaxError)) (*condition, *SyntaxError) {
	first, err := next()
	if err != nil {
		return nil, err
	}
	all := []*condition{first}
	for p.word(word) {
		c, err := next()
		if err != nil {
			return nil, err
		}
		all = append(all, c)
	}
	if len(all) == 1 {
		return first, nil
	}
	return &condition{join: word, all: all}, nil
}

func (p *markerReader) term(depth int) (*condition, *SyntaxError) {
	if p.terms++; depth > maxMarkerDepth || p.terms > maxMarkerTerms {
		return nil, syntaxError(p.at, "the marker has more than %d comparisons, or brackets more than %d deep", maxMarkerTerms, maxMarkerDepth)
	}
	p.space()
	if strings.HasPrefix(p.text[p.at:], "(") {
		open := p.at
		p.at++
		c, err := p.or(depth + 1)
		if err != nil {
			return nil, err
		}
		if p.space(); !strings.HasPrefix(p.text[p.at:], ")") {
			return nil, syntaxError(open, "the bracket is not closed: %q", shorten(p.text[open:]))
		}
		p.at++
		return c, nil
	}
	start := p.at
	c := &condition{}
	var err *SyntaxError
	if c.left, err = p.operand(); err != nil {
		return nil, err
	}
	if c.operator, err = p.operator(); err != nil {
		return nil, err
	}
	if c.right, err = p.operand(); err != nil {
		return nil, err
	}
	if c.left.variable == "" && c.right.variable == "" {
		return nil, syntaxError(start, "a marker compares a variable, such as python_version, with a text in quotes: %q", shorten(p.text[start:p.at]))
	}
	return c, nil
}

func (p *markerReader) operand() (operand, *SyntaxError) {
	p.space()
	rest := p.text[p.at:]
	if rest == "" {
		return operand{}, syntaxError(p.at, "the marker ends where a variable or a text in quotes is expected")
	}
	if quote := rest[0]; quote == '"' || quote == '\'' {
		end := strings.IndexByte(rest[1:], quote)
		if end < 0 {
			return operand{}, syntaxError(p.at, "the quote is not closed: %q", shorten(rest))
		}
		p.at += end + 2
		return operand{text: rest[1 : end+1]}, nil
	}
	end := strings.IndexFunc(rest, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '.'
	})
	if end < 0 {
		end = len(rest)
	}
	name, ok := variables[rest[:end]]
	if !ok {
		if end == 0 {
			end = len(rest)
		}
		return operand{}, syntaxError(p.at, "%q is not a variable of markers; texts are written in quotes", shorten(rest[:end]))
	}
	p.at += end
	return operand{variable: name}, nil
}

func (p *markerReader) operator() (string, *SyntaxError) {
	p.space()
	for _, op := range operators {
		if strings.HasPrefix(p.text[p.at:], op) {
			p.at += len(op)
			return op, nil
		}
	}
	if p.word("in") {
		return "in", nil
	}
	if p.word("not") && p.word("in") {
		return "not in", nil
	}
	return "", syntaxError(p.at, "%q is not an operator: write one of == != < <= > >= ~= in, not in", shorten(p.text[p.at:]))
}

// IsZero says whether the marker always holds because there is none.
func (m Marker) IsZero() bool { return m.root == nil }

// String returns the marker in one form for all spellings; "" when it is zero.
func (m Marker) String() string {
	if m.root == nil {
		return ""
	}
	return m.root.String()
}

func (c *condition) String() string {
	if c.join == "" {
		return c.left.String() + " " + c.operator + " " + c.right.String()
	}
	parts := make([]string, len(c.all))
	for i, one := range c.all {
		parts[i] = one.String()
		if one.join == "or" && c.join == "and" || one.join == c.join {
			parts[i] = "(" + parts[i] + ")"
		}
	}
	return strings.Join(parts, " "+c.join+" ")
}

func (o operand) String() string {
	switch {
	case o.variable != "":
		return o.variable
	case strings.Contains(o.text, `"`):
		return "'" + o.text + "'"
	}
	return `"` + o.text + `"`
}

// Holds says whether the marker holds in an environment, where extras are those that
// were asked for: `extra == "a"` says that a is one of them, as uv decides it. Groups are for
// dependency_groups in pylock.toml.
func (m Marker) Holds(env Environment, extras, groups []string) bool {
	return m.root == nil || m.root.holds(&scope{env, extras, groups})
}

// Names says whether the marker has a variable in it: "extra".
func (m Marker) Names(variable string) bool {
	return m.root != nil && m.root.names(variable)
}

func (c *condition) names(variable string) bool {
	return c.left.variable == variable || c.right.variable == variable ||
		slices.ContainsFunc(c.all, func(one *condition) bool { return one.names(variable) })
}

type scope struct {
	env            Environment
	extras, groups []string
}

func (c *condition) holds(s *scope) bool {
	switch c.join {
	case "and":
		return !slices.ContainsFunc(c.all, func(one *condition) bool { return !one.holds(s) })
	case "or":
		return slices.ContainsFunc(c.all, func(one *condition) bool { return one.holds(s) })
	}
	if set, value, ok := s.set(c); ok {
		has := slices.ContainsFunc(set, func(v string) bool { return Name(v) == Name(value) }) || value == "" && len(set) == 0
		return has == (c.operator == "==" || c.operator == "in")
	}
	left, right := s.value(c.left), s.value(c.right)
	if slices.Contains(versionVariables, c.left.variable) {
		if holds, ok := compareVersions(left, c.operator, right); ok {
			return holds
		}
	} else if slices.Contains(versionVariables, c.right.variable) {
		// "3.9" <= python_version.
		if turned, ok := map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}[c.operator]; ok {
			if holds, ok := compareVersions(right, turned, left); ok {
				return holds
			}
		}
	}
	switch c.operator {
	case "==", "===":
		return left == right
	case "!=":
		return left != right
	case "<":
		return left < right
	case "<=":
		return left <= right
	case ">":
		return left > right
	case ">=":
		return left >= right
	case "in":
		return strings.Contains(right, left)
	case "not in":
		return !strings.Contains(right, left)
	}
	return false
}

// set returns the names that a comparison with extras or groups is about, and the
// one that is looked for in them.
func (s *scope) set(c *condition) (set []string, value string, ok bool) {
	for _, o := range [][2]operand{{c.left, c.right}, {c.right, c.left}} {
		switch o[0].variable {
		case "extra", "extras":
			return s.extras, o[1].text, true
		case "dependency_groups":
			return s.groups, o[1].text, true
		}
	}
	return nil, "", false
}

func (s *scope) value(o operand) string {
	if o.variable == "" {
		return o.text
	}
	return s.env[o.variable]
}

// compareVersions is not ok when the texts are no versions.
func compareVersions(left, operator, right string) (holds, ok bool) {
	v, err := ParseVersion(left)
	if err != nil {
		return false, false
	}
	if operator == "in" || operator == "not in" {
		return false, false
	}
	c, err := parseClause(operator + right)
	if err != nil {
		return false, false
	}
	return c.contains(v), true
}
