package requirement

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Version is a version of PEP 440:
// https://packaging.python.org/en/latest/specifications/version-specifiers/.
// The zero Version is "0".
type Version struct {
	epoch   uint64
	release []uint64
	// pre is "a", "b", "rc" or "".
	pre       string
	preNumber uint64
	// post and dev are one more than their number, 0 for none.
	post, dev uint64
	local     []string
}

// maxNumber leaves room for one more.
const maxNumber = 1<<63 - 1

// ParseVersion reads a version in any spelling that PEP 440 allows: "1.0-RC.1" is
// 1.0rc1.
func ParseVersion(text string) (Version, error) {
	p := versionReader{rest: strings.ToLower(strings.TrimSpace(text))}
	v := p.version()
	if p.err == nil && p.rest != "" {
		p.err = fmt.Errorf("unexpected %q", p.rest)
	}
	if p.err != nil {
		return Version{}, fmt.Errorf("%q is not a version: %w", shorten(text), p.err)
	}
	return v, nil
}

type versionReader struct {
	rest string
	err  error
}

// number takes digits; false when there are none.
func (p *versionReader) number() (uint64, bool) {
	digits := len(p.rest) - len(strings.TrimLeft(p.rest, "0123456789"))
	if digits == 0 {
		return 0, false
	}
	n, err := strconv.ParseUint(p.rest[:digits], 10, 64)
	if err != nil || n > maxNumber {
		p.err = errors.New("a number is too large")
	}
	p.rest = p.rest[digits:]
	return n, true
}

// label takes one of the words, with separators around it and a number behind it,
// which is 0 when it is not there.
func (p *versionReader) label(words ...string) (word string, number uint64, ok bool) {
	rest := p.separator(p.rest)
	for _, w := range words {
		after, found := strings.CutPrefix(rest, w)
		if !found {
			continue
		}
		p.rest = after
		if numbered := p.separator(after); numbered != after {
			if numbered == "" || numbered[0] < '0' || numbered[0] > '9' {
				// The separator belongs to what follows: 1.0a.dev1.
				return w, 0, true
			}
			p.rest = numbered
		}
		number, _ = p.number()
		return w, number, true
	}
	return "", 0, false
}

func (*versionReader) separator(s string) string {
	if s != "" && strings.ContainsRune("-_.", rune(s[0])) {
		return s[1:]
	}
	return s
}

func (p *versionReader) version() (v Version) {
	p.rest = strings.TrimPrefix(p.rest, "v")
	n, ok := p.number()
	if !ok {
		p.err = errors.New("it does not begin with a number")
		return v
	}
	if rest, epoch := strings.CutPrefix(p.rest, "!"); epoch {
		v.epoch, p.rest = n, rest
		if n, ok = p.number(); !ok {
			p.err = errors.New("no number follows the epoch")
			return v
		}
	}
	v.release = append(v.release, n)
	for len(p.rest) > 1 && p.rest[0] == '.' && p.rest[1] >= '0' && p.rest[1] <= '9' {
		p.rest = p.rest[1:]
		n, _ = p.number()
		v.release = append(v.release, n)
	}
	if word, n, ok := p.label("alpha", "a", "beta", "b", "preview", "pre", "c", "rc"); ok {
		v.preNumber = n
		switch word[0] {
		case 'a', 'b':
			v.pre = word[:1]
		default:
			v.pre = "rc"
		}
	}
	if len(p.rest) > 1 && p.rest[0] == '-' && p.rest[1] >= '0' && p.rest[1] <= '9' {
		p.rest = p.rest[1:]
		n, _ = p.number()
		v.post = n + 1
	} else if _, n, ok := p.label("post", "rev", "r"); ok {
		v.post = n + 1
	}
	if _, n, ok := p.label("dev"); ok {
		v.dev = n + 1
	}
	if rest, local := strings.CutPrefix(p.rest, "+"); local {
		p.rest = ""
		for _, part := range strings.FieldsFunc(rest, func(r rune) bool { return strings.ContainsRune("-_.", r) }) {
			if n, err := strconv.ParseUint(part, 10, 64); err == nil {
				part = strconv.FormatUint(n, 10)
			}
			v.local = append(v.local, part)
		}
		plain := strings.Trim(rest, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == ""
		if ends := strings.Trim(rest, "-_."); ends == "" || ends != rest || !plain || strings.Contains(strings.NewReplacer("-", ".", "_", ".").Replace(rest), "..") {
			p.err = fmt.Errorf("%q is not a local version", "+"+rest)
		}
	}
	return v
}

// String returns the normal form.
func (v Version) String() string {
	var b strings.Builder
	if v.epoch > 0 {
		fmt.Fprintf(&b, "%d!", v.epoch)
	}
	b.WriteString(v.base())
	if v.pre != "" {
		fmt.Fprintf(&b, "%s%d", v.pre, v.preNumber)
	}
	if v.post > 0 {
		fmt.Fprintf(&b, ".post%d", v.post-1)
	}
	if v.dev > 0 {
		fmt.Fprintf(&b, ".dev%d", v.dev-1)
	}
	if len(v.local) > 0 {
		b.WriteString("+" + strings.Join(v.local, "."))
	}
	return b.String()
}

func (v Version) base() string {
	if len(v.release) == 0 {
		return "0"
	}
	parts := make([]string, len(v.release))
	for i, n := range v.release {
		parts[i] = strconv.FormatUint(n, 10)
	}
	return strings.Join(parts, ".")
}

// Release returns a number of the version's release, 0 where there is none: of 3.13
// the second (1) is 13 and the third (2) 0.
func (v Version) Release(i int) uint64 {
	if i < 0 || i >= len(v.release) {
		return 0
	}
	return v.release[i]
}

// Prerelease says whether the version is one for tests: alpha, beta, candidate or
// development.
func (v Version) Prerelease() bool { return v.pre != "" || v.dev > 0 }

// Compare orders versions: negative when v is older than w, 0 when they are the same,
// such as 1.0 and 1.0.0.
func (v Version) Compare(w Version) int {
	return cmp.Or(
		v.comparePublic(w),
		slices.CompareFunc(v.local, w.local, func(a, b string) int {
			x, aErr := strconv.ParseUint(a, 10, 64)
			y, bErr := strconv.ParseUint(b, 10, 64)
			switch {
			case aErr == nil && bErr == nil:
				return cmp.Compare(x, y)
			case aErr == nil:
				return 1
			case bErr == nil:
				return -1
			}
			return cmp.Compare(a, b)
		}))
}

// comparePublic leaves local versions out.
func (v Version) comparePublic(w Version) int {
	return cmp.Or(
		v.compareBase(w),
		cmp.Compare(v.stage(), w.stage()),
		cmp.Compare(v.preNumber, w.preNumber),
		cmp.Compare(v.post, w.post),
		// No dev is newer than any.
		cmp.Compare(v.dev-1, w.dev-1))
}

func (v Version) compareBase(w Version) int {
	if c := cmp.Compare(v.epoch, w.epoch); c != 0 {
		return c
	}
	for i := range max(len(v.release), len(w.release)) {
		if c := cmp.Compare(v.Release(i), w.Release(i)); c != 0 {
			return c
		}
	}
	return 0
}

// stage orders 1.0.dev1, 1.0a1, 1.0b1, 1.0rc1, 1.0.
func (v Version) stage() int {
	switch {
	case v.pre == "" && v.post == 0 && v.dev > 0:
		return 0
	case v.pre == "a":
		return 1
	case v.pre == "b":
		return 2
	case v.pre == "rc":
		return 3
	}
	return 4
}

// Specifier is a set of conditions on a version, all of which must hold:
// ">=3.9,!=3.10.*,<4". The zero Specifier allows every version.
type Specifier struct{ clauses []clause }

type clause struct {
	operator, text string
	version        Version
	// prefix is for ==1.2.*: the version is what stands before the star.
	prefix bool
}

// operators are in the order in which they are looked for.
var operators = []string{"===", "==", "~=", "!=", "<=", ">=", "<", ">"}

// ParseSpecifier reads conditions separated by commas; "" is every version.
func ParseSpecifier(text string) (Specifier, error) {
	var s Specifier
	if strings.TrimSpace(text) == "" {
		return s, nil
	}
	parts := strings.Split(text, ",")
	if last := len(parts) - 1; strings.TrimSpace(parts[last]) == "" {
		parts = parts[:last] // pip and uv allow a comma at the end
	}
	for _, part := range parts {
		c, err := parseClause(strings.TrimSpace(part))
		if err != nil {
			return Specifier{}, err
		}
		s.clauses = append(s.clauses, c)
	}
	return s, nil
}

func parseClause(text string) (clause, error) {
	i := slices.IndexFunc(operators, func(op string) bool { return strings.HasPrefix(text, op) })
	if i < 0 {
		return clause{}, fmt.Errorf("%q is not a condition on a version: %s", shorten(text), suggestClause(text))
	}
	c := clause{operator: operators[i]}
	c.text = strings.TrimSpace(text[len(c.operator):])
	if c.operator == "===" {
		if c.text == "" || strings.ContainsAny(c.text, " \t;)") {
			return clause{}, fmt.Errorf("%q is not a condition on a version: write ===1.2", shorten(text))
		}
		return c, nil
	}
	plain := c.text
	if c.operator == "==" || c.operator == "!=" {
		plain, c.prefix = strings.CutSuffix(c.text, ".*")
	} else if strings.HasSuffix(c.text, ".*") {
		return clause{}, fmt.Errorf("%q is not a condition on a version: a star goes with == and != only; write %s%s", shorten(text), c.operator, strings.TrimSuffix(c.text, ".*"))
	}
	var err error
	if c.version, err = ParseVersion(plain); err != nil {
		return clause{}, fmt.Errorf("%q is not a condition on a version: %w", shorten(text), errors.Unwrap(err))
	}
	v := c.version
	switch {
	case c.prefix && (v.pre != "" || v.post > 0 || v.dev > 0 || v.local != nil):
		err = errors.New("a star follows numbers only")
	case v.local != nil && c.operator != "==" && c.operator != "!=":
		err = errors.New("a local version, after +, goes with == and != only")
	case c.operator == "~=" && len(v.release) < 2:
		err = errors.New("~= needs two numbers at least, as in ~=1.4")
	}
	if err != nil {
		return clause{}, fmt.Errorf("%q is not a condition on a version: %w", shorten(text), err)
	}
	return c, nil
}

// suggestClause says what to write in place of what other tools write.
func suggestClause(text string) string {
	op := text[:len(text)-len(strings.TrimLeft(text, "=<>~^!"))]
	rest := strings.TrimSpace(text[len(op):])
	v, err := ParseVersion(strings.TrimSuffix(rest, ".*"))
	switch {
	case err != nil || rest == "":
		return "write an operator and a version, as in ==1.2 or >=1.2,<2"
	case op == "^":
		upper := v.Release(0) + 1
		if upper == 1 {
			return fmt.Sprintf("write >=%s,<0.%d", rest, v.Release(1)+1)
		}
		return fmt.Sprintf("write >=%s,<%d", rest, upper)
	case op == "~":
		return fmt.Sprintf("write >=%s,<%d.%d", rest, v.Release(0), v.Release(1)+1)
	}
	return "write ==" + rest
}

// IsZero says whether every version is allowed.
func (s Specifier) IsZero() bool { return len(s.clauses) == 0 }

// String returns the conditions in their order, with versions in the normal form.
func (s Specifier) String() string {
	parts := make([]string, len(s.clauses))
	for i, c := range s.clauses {
		text := c.version.String()
		switch {
		case c.operator == "===":
			text = c.text
		case c.prefix:
			text += ".*"
		}
		parts[i] = c.operator + text
	}
	return strings.Join(parts, ",")
}

// Exact returns the version of a specifier that allows one only, such as ==1.2.
func (s Specifier) Exact() (Version, bool) {
	for _, c := range s.clauses {
		if c.operator == "==" && !c.prefix {
			return c.version, true
		}
	}
	return Version{}, false
}

// Contains says whether a version meets every condition. Versions for tests are
// treated as all others: who chooses among versions must leave them out.
func (s Specifier) Contains(v Version) bool {
	for _, c := range s.clauses {
		if !c.contains(v) {
			return false
		}
	}
	return true
}

func (c clause) contains(v Version) bool {
	w := c.version
	switch c.operator {
	case "===":
		return strings.EqualFold(v.String(), c.text)
	case "==":
		return c.equal(v)
	case "!=":
		return !c.equal(v)
	case "<=":
		return v.comparePublic(w) <= 0
	case ">=":
		return v.comparePublic(w) >= 0
	case "~=":
		return v.comparePublic(w) >= 0 && hasPrefix(v, w, len(w.release)-1)
	case "<":
		return v.Compare(w) < 0 && (w.Prerelease() || !isPrereleaseOf(v, w))
	default: // ">"
		return v.comparePublic(w) > 0 && !isPostOf(v, w)
	}
}

// isPrereleaseOf says whether v is a version for tests of w, which is none itself: 1.0rc1 of
// 1.0, and 1.0.post1.dev2 of 1.0.post1.
func isPrereleaseOf(v, w Version) bool {
	return v.Prerelease() && v.compareBase(w) == 0 && v.post == w.post && (w.post == 0 || v.pre == "")
}

// isPostOf says whether v is w with corrections of its text: 1.0.post1 of 1.0.
func isPostOf(v, w Version) bool {
	return v.post > 0 && w.post == 0 && w.dev == 0 && v.compareBase(w) == 0 && v.pre == w.pre && v.preNumber == w.preNumber
}

func (c clause) equal(v Version) bool {
	switch {
	case c.prefix:
		return hasPrefix(v, c.version, len(c.version.release))
	case c.version.local == nil:
		return v.comparePublic(c.version) == 0
	}
	return v.Compare(c.version) == 0
}

// hasPrefix says whether the first n numbers of both releases are the same.
func hasPrefix(v, w Version, n int) bool {
	if v.epoch != w.epoch {
		return false
	}
	for i := range n {
		if v.Release(i) != w.Release(i) {
			return false
		}
	}
	return true
}

// shorten keeps messages readable whatever was in a file.
func shorten(text string) string {
	const most = 80
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
