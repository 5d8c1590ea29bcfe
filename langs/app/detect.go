package app

import (
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Candidates are the lines of a problem's hint that begin with a key, as comments of a
// descriptor.
func Candidates(hint, prefix string) []string {
	var lines []string
	for _, line := range strings.Split(hint, "\n") {
		if strings.HasPrefix(line, prefix) {
			lines = append(lines, "# "+line)
		}
	}
	return lines
}

// DetectedDirs is what is found of a project that lies in one of several folders: file is the one
// in the first that shows it.
func DetectedDirs(dirs []string, file string) spec.Detected {
	d := spec.Detected{File: path.Join(dirs[0], file), Lines: []string{"# Which project to build: one of"}}
	for _, dir := range dirs[:min(len(dirs), MaxListed)] {
		d.Lines = append(d.Lines, "# dir: "+dir)
	}
	return d
}
