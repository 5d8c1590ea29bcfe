package node

import (
	"io/fs"
	"path"
	"slices"
	"strings"
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
