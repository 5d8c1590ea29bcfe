package spec

import (
	"cmp"
	"fmt"
	"strings"
)

// Paths name values: keys joined by dots, entries of lists by their number from
// 0: "build.tags", "expose[0]", "env.PORT", "images.worker.cmd". Compose's
// spellings have the paths of ours.

// File is the descriptor's name, as given to Parse.
func (s *Spec) File() string { return s.file }

// Has says whether the value at a path is written in the descriptor.
func (s *Spec) Has(path string) bool {
	_, ok := s.ranges[path]
	return ok
}

// Range is where the value at a path is written; or, if it is not, the value
// around it, or that of `language`.
func (s *Spec) Range(path string) Range {
	return s.ranges[s.nearest(path)]
}

// Where is file:line of the key that has the value at a path: "birdhouse.yaml:3".
// It looks further like Range, and is the file alone when nothing is found.
func (s *Spec) Where(path string) string {
	file := cmp.Or(s.file, "birdhouse.yaml")
	if line, ok := s.lines[s.nearest(path)]; ok {
		return fmt.Sprintf("%s:%d", file, line)
	}
	return file
}

// nearest is the path itself, the longest path around it that is written, or
// "language".
func (s *Spec) nearest(path string) string {
	for path != "" {
		if s.Has(path) {
			return path
		}
		path = path[:max(strings.LastIndexAny(path, ".["), 0)]
	}
	return "language"
}

// Problem is an error in the value at a path. The message is one line and names
// the key; the hint says what to write instead.
func (s *Spec) Problem(path, message, hint string) Problem {
	return Problem{Severity: Error, Name: s.file, Range: s.Range(path), Message: message, Hint: hint}
}

// Warning is a Problem that does not stop the build.
func (s *Spec) Warning(path, message, hint string) Problem {
	p := s.Problem(path, message, hint)
	p.Severity = Warning
	return p
}
