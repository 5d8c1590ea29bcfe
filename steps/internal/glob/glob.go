// Package glob matches slash-separated paths against the patterns that steps
// take: those of path.Match for one element, and ** for any number of elements,
// also none.
package glob

import (
	"fmt"
	"path"
	"strings"
)

// Pattern is a parsed pattern.
type Pattern struct {
	text     string
	elements []string
}

// Parse reads a pattern. A leading slash means nothing: patterns and paths are
// relative to the same place. A pattern that is empty, has an element "." or
// "..", or is malformed in the sense of path.Match is an error.
func Parse(text string) (Pattern, error) {
	trimmed := strings.TrimPrefix(text, "/")
	if trimmed == "" {
		return Pattern{}, fmt.Errorf("pattern %q is empty", text)
	}
	var elements []string
	for element := range strings.SplitSeq(trimmed, "/") {
		switch element {
		case "", ".", "..":
			return Pattern{}, fmt.Errorf("pattern %q: an element must not be %q", text, element)
		case "**":
			// Two in a row say no more than one, and cost time.
			if len(elements) > 0 && elements[len(elements)-1] == "**" {
				continue
			}
		}
		if _, err := path.Match(element, ""); err != nil {
			return Pattern{}, fmt.Errorf("pattern %q: %w", text, err)
		}
		elements = append(elements, element)
	}
	return Pattern{text: text, elements: elements}, nil
}

// ParseAll reads several patterns.
func ParseAll(texts []string) (Set, error) {
	set := make(Set, 0, len(texts))
	for _, text := range texts {
		p, err := Parse(text)
		if err != nil {
			return nil, err
		}
		set = append(set, p)
	}
	return set, nil
}

// Match reports whether the whole of name, a clean relative path, matches.
func (p Pattern) Match(name string) bool {
	return match(p.elements, strings.Split(name, "/"))
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// match is greedy with one point to return to, which is enough since ** is the
// only element that takes more than one: so it is linear in pattern times name.
func match(pattern, name []string) bool {
	p, n := 0, 0
	star, starName := -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == "**":
			star, starName = p, n
			p++
		case p < len(pattern) && matchElement(pattern[p], name[n]):
			p++
			n++
		case star >= 0:
			starName++
			p, n = star+1, starName
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == "**" {
		p++
	}
	return p == len(pattern)
}

func matchElement(pattern, name string) bool {
	ok, err := path.Match(pattern, name)
	return ok && err == nil
}

// Set is a list of patterns.
type Set []Pattern

// Match reports whether any pattern matches.
func (s Set) Match(name string) bool {
	elements := strings.Split(name, "/")
	for _, p := range s {
		if match(p.elements, elements) {
			return true
		}
	}
	return false
}
