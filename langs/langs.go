// Package langs says what a language is to birdhouse, and which there are.
//
// A language reads a descriptor and a project and returns a plan. It knows
// nothing of BuildKit and nothing of other languages: adding one is a folder
// here and a line in All.
package langs

import (
	"io/fs"

	"github.com/birdhouse-build/birdhouse/langs/golang"
	"github.com/birdhouse-build/birdhouse/langs/java"
	"github.com/birdhouse-build/birdhouse/langs/node"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/python"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Language plans images for the projects of one language.
type Language interface {
	// Name is the value of the descriptor's `language` key.
	Name() string
	// Files returns patterns (.dockerignore's syntax, relative to the
	// context) of the project files that Plan reads for this descriptor.
	Files(s *spec.Spec) []string
	// Plan decides how the project is built. Versions are the language's
	// versions in the catalog, oldest first. It returns a plan or at least one
	// problem of severity error; warnings come with either.
	Plan(s *spec.Spec, project fs.FS, versions []string) (*plan.Plan, spec.Problems)
	// Detect reports whether the project is of this language, by which file
	// ("go.mod"), and the descriptor's text for it: keys after `language:`,
	// commented, the fewest that are right. Files for it match Files of an
	// empty descriptor.
	Detect(project fs.FS) (Detected, bool)
}

// Detected is what Detect found.
type Detected = spec.Detected

// All are the languages, in the order in which they are detected.
func All() []Language {
	return []Language{golang.Language{}, java.Language{}, python.Language{}, node.Language{}}
}

// ByName returns the language of that name.
func ByName(name string) (Language, bool) {
	for _, l := range All() {
		if l.Name() == name {
			return l, true
		}
	}
	return nil, false
}

// Names are the names of all languages, in the order of All.
func Names() []string {
	var names []string
	for _, l := range All() {
		names = append(names, l.Name())
	}
	return names
}
