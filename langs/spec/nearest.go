package spec

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agext/levenshtein"
)

// Meant is the hint for a word that is none of the candidates: the nearest of them, otherwise what
// is given.
func Meant(word string, candidates []string, otherwise string) string {
	if near, ok := Nearest(word, candidates); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return otherwise
}

// Nearest returns the candidate that word most likely stands for, and whether
// there is one: case, "-" and "_" do not count, a few letters may differ, and
// one may be the beginning of the other. Of equally near ones it is the first.
func Nearest(word string, candidates []string) (string, bool) {
	const longest = 64 // Nobody mistypes more, and the distance costs its square.
	if word == "" || len(word) > longest {
		return "", false
	}
	plain := func(s string) string {
		return strings.NewReplacer("-", "", "_", "").Replace(strings.ToLower(s))
	}
	w := plain(word)
	best, distance := "", 1+min(3, (len(w)+2)/3)
	for _, c := range candidates {
		d := levenshtein.Distance(w, plain(c), nil)
		if d == 2 && letters(w) == letters(plain(c)) {
			d = 1 // Two letters in the wrong order are one mistake.
		}
		// Three letters wrong of four is another word.
		if d < distance && 2*d <= max(len(w), len(plain(c))) {
			best, distance = c, d
		}
	}
	if best != "" {
		return best, true
	}
	for _, c := range candidates {
		p := plain(c)
		if len(p) >= 2 && strings.HasPrefix(w, p) || len(w) >= 2 && strings.HasPrefix(p, w) {
			return c, true
		}
	}
	return "", false
}

// letters are the letters of a word in order.
func letters(word string) string {
	sorted := []rune(word)
	slices.Sort(sorted)
	return string(sorted)
}
