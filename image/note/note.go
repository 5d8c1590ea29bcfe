// Package note is what birdhouse writes into an image's history about each
// layer, so that any tool (docker history, birdhouse inspect) can tell what a
// layer holds.
package note

import (
	"strings"
	"time"

	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Note describes one layer.
type Note struct {
	// Name is "static", "application".
	Name string `json:"name"`
	// Changes is how often it changes: "rarely", "sometimes", "always".
	Changes string `json:"changes"`
	// What is a line for people.
	What string `json:"what"`
}

const prefix = "birdhouse: "

// History returns the note as an entry of an image configuration's history.
func (n Note) History(created time.Time) ocispecs.History {
	return ocispecs.History{
		Created:   &created,
		CreatedBy: prefix + n.Name + " (" + n.Changes + ")",
		Comment:   n.What,
	}
}

// Parse reads a history entry back; false when birdhouse did not write it.
func Parse(h ocispecs.History) (Note, bool) {
	rest, ok := strings.CutPrefix(h.CreatedBy, prefix)
	if !ok {
		return Note{}, false
	}
	name, changes, ok := strings.Cut(strings.TrimSuffix(rest, ")"), " (")
	if !ok {
		return Note{}, false
	}
	return Note{Name: name, Changes: changes, What: h.Comment}, true
}
