package debian

import (
	"fmt"
	"strings"
)

// CompareVersions orders two package versions as dpkg does: negative when a is
// older than b, 0 when they are equal, positive when a is newer. The rules are
// at https://www.debian.org/doc/debian-policy/ch-controlfields.html#version.
// Numbers may have any length.
func CompareVersions(a, b string) int {
	ea, ua, ra := splitVersion(a)
	eb, ub, rb := splitVersion(b)
	if c := comparePart(ea, eb); c != 0 {
		return c
	}
	if c := comparePart(ua, ub); c != 0 {
		return c
	}
	return comparePart(ra, rb)
}

// checkVersion says what is wrong with a version, by Debian's rules.
func checkVersion(v string) error {
	epoch, upstream, revision := splitVersion(v)
	ok := upstream != "" && strings.Trim(epoch, "0123456789") == ""
	if strings.Contains(v, ":") && epoch == "" {
		ok = false
	}
	if strings.HasSuffix(v, "-") {
		ok = false
	}
	for _, s := range []string{upstream, revision} {
		for i := 0; i < len(s); i++ {
			if !isDigit(s[i]) && !isLetter(s[i]) && !strings.ContainsRune(".+-~:_", rune(s[i])) {
				ok = false
			}
		}
	}
	if !ok {
		return fmt.Errorf("%.80q is not a package version", v)
	}
	return nil
}

func splitVersion(v string) (epoch, upstream, revision string) {
	if e, rest, ok := strings.Cut(v, ":"); ok {
		epoch, v = e, rest
	}
	if i := strings.LastIndexByte(v, '-'); i >= 0 {
		return epoch, v[:i], v[i+1:]
	}
	return epoch, v, ""
}

// comparePart compares by turns a run of non-digits, in which "~" sorts before
// the end and letters before other characters, and a number.
func comparePart(a, b string) int {
	for a != "" || b != "" {
		for (a != "" && !isDigit(a[0])) || (b != "" && !isDigit(b[0])) {
			if c := rank(a) - rank(b); c != 0 {
				return c
			}
			// The ranks are equal, so neither has ended and neither is a digit.
			a, b = a[1:], b[1:]
		}
		var na, nb string
		na, a = number(a)
		nb, b = number(b)
		if c := len(na) - len(nb); c != 0 {
			return c
		}
		if c := strings.Compare(na, nb); c != 0 {
			return c
		}
	}
	return 0
}

func rank(s string) int {
	switch {
	case s == "" || isDigit(s[0]):
		return 0
	case s[0] == '~':
		return -1
	case isLetter(s[0]):
		return int(s[0])
	default:
		return int(s[0]) + 256
	}
}

func number(s string) (digits, rest string) {
	i := 0
	for i < len(s) && isDigit(s[i]) {
		i++
	}
	return strings.TrimLeft(s[:i], "0"), s[i:]
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isLetter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' }
