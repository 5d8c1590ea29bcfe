package node

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// walkDepth is how deep below a package's folder Files names its code.
const walkDepth = 5

// seen says whether a file that is not found is really not there: deeper ones
// than Files names are not in sight, nor are those of a kind that it leaves out.
func seen(rel string) bool {
	return strings.Count(rel, "/") < walkDepth && slices.Contains(codeEndings, path.Ext(rel))
}

// codeEndings are the endings of what Node runs.
var codeEndings = []string{".js", ".cjs", ".mjs", ".ts", ".cts", ".mts"}

// typescript says whether Node has to strip types from a file.
func typescript(name string) bool {
	switch path.Ext(name) {
	case ".ts", ".cts", ".mts":
		return true
	}
	return false
}

// lineProblem is an error at a piece of a line, which counts from 1; without the
// piece in it, of the whole line.
func lineProblem(file string, number int, line, piece, message, hint string) spec.Problem {
	pr := app.FileProblem(file, message, hint)
	start := strings.Index(line, piece)
	if piece == "" || start < 0 {
		start, piece = 0, strings.TrimRight(line, " \t\r")
	}
	pr.Range = spec.Range{
		Start: spec.Position{Line: number, Column: start + 1},
		End:   spec.Position{Line: number, Column: start + len(piece) + 1},
	}
	return pr
}

// readDir lists the files in a folder by name.
func (p *project) readDir(dir string) ([]string, error) {
	entries, err := fs.ReadDir(p.files, dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if !e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
