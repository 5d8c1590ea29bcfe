package app

import (
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Asked is a version that the user or a file of the project asks for.
type Asked struct {
	// Text is the version as it is written.
	Text string
	// Source is where it is written, for people: ".nvmrc:1".
	Source string
	// Problem reports something wrong with it, at its place.
	Problem func(message, hint string) spec.Problem
}

// VersionFile is a file in which version managers look for a version.
type VersionFile struct {
	Name string
	// Line returns the version in a line, "" when it names none.
	Line func(line string) string
}

// AskedVersion finds the version that the descriptor or else a file names: one in
// dir, or in the nearest folder above it in the context that has any. It is nil when
// none does.
func AskedVersion(s *spec.Spec, files Files, dir string, in []VersionFile) (*Asked, spec.Problems) {
	if s.Version != "" {
		return &Asked{
			Text: string(s.Version), Source: s.Where("version"),
			Problem: func(message, hint string) spec.Problem { return s.Problem("version", "version: "+message, hint) },
		}, nil
	}
	for ; ; dir = path.Dir(dir) {
		for _, f := range in {
			name := path.Join(dir, f.Name)
			data, err := files.Read(name)
			if err != nil {
				return nil, spec.Problems{Unreadable(name, err)}
			}
			for i, line := range strings.Split(string(data), "\n") {
				if text := f.Line(line); text != "" {
					return &Asked{
						Text: text, Source: fmt.Sprintf("%s:%d", name, i+1),
						Problem: func(message, hint string) spec.Problem {
							return LineProblem(name, i+1, line, text, message, hint)
						},
					}, nil
				}
			}
		}
		if dir == "." {
			return nil, nil
		}
	}
}

// WholeLine is the version in a line of a file that has nothing else, but for
// comments after a #.
func WholeLine(line string) string {
	line, _, _ = strings.Cut(line, "#")
	return strings.TrimSpace(line)
}

// ToolLine reads lines of .tool-versions, https://asdf-vm.com/manage/configuration.html:
// the first version of a tool that has one of the names. "system" and references to
// sources say nothing about a version.
func ToolLine(names ...string) func(line string) string {
	return func(line string) string {
		fields := strings.Fields(WholeLine(line))
		if len(fields) < 2 || !slices.Contains(names, fields[0]) {
			return ""
		}
		if v := fields[1]; v != "system" && !strings.ContainsAny(v, ":/") {
			return v
		}
		return ""
	}
}
