// Package image holds what happens to an image after it was built: the store
// that keeps images on this machine, pulling into it, and the report that says
// what is in an image.
package image

import (
	"regexp"
	"time"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Note says what a layer is for. It travels in the image's history, so that a
// report can be made from the image alone.
type Note struct {
	// Name is "base", "application".
	Name string
	// Changes is how often the layer changes: "rarely", "sometimes", "always".
	Changes string
	// What is a line for people: "/app/api  go1.26.8, static, stripped".
	What string
}

var createdBy = regexp.MustCompile(`^birdhouse: ([^()]+) \(([^()]*)\)$`)

// History returns the note as an entry of an image's history.
func (n Note) History(created time.Time) ocispecs.History {
	return ocispecs.History{
		Created:   &created,
		CreatedBy: "birdhouse: " + n.Name + " (" + n.Changes + ")",
		Comment:   n.What,
	}
}

// ParseHistory returns the note of an entry that Note.History made, and false
// for one that others made.
func ParseHistory(h ocispecs.History) (Note, bool) {
	m := createdBy.FindStringSubmatch(h.CreatedBy)
	if m == nil {
		return Note{}, false
	}
	return Note{Name: m[1], Changes: m[2], What: h.Comment}, true
}
