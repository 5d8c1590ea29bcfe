package golang

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Detect reports whether the project has Go modules; see langs.Language.
func (Language) Detect(files fs.FS) (spec.Detected, bool) {
	s := &spec.Spec{Language: "go"}
	p := &project{spec: s, files: app.Files{FS: files}, dir: "."}
	p.src = newSources(p)
	switch {
	case p.files.Exists("go.work"):
		return detected(s, files, "go.work", nil), true
	case p.files.Exists("go.mod"):
		return detected(s, files, "go.mod", nil), true
	}
	dirs := p.findModules()
	if len(dirs) == 0 {
		return spec.Detected{}, false
	}
	if len(dirs) == 1 {
		s.Dir = dirs[0]
		return detected(s, files, path.Join(dirs[0], "go.mod"), []string{"dir: " + dirs[0]}), true
	}
	d := spec.Detected{File: path.Join(dirs[0], "go.mod"), Lines: []string{"# Which module to build: one of"}}
	for i, dir := range dirs {
		if i == app.MaxListed {
			d.Lines = append(d.Lines, fmt.Sprintf("# and %d more", len(dirs)-i))
			break
		}
		d.Lines = append(d.Lines, "# dir: "+dir)
	}
	return d, true
}

// detected writes the lines that the project's own files leave open.
func detected(s *spec.Spec, files fs.FS, file string, lines []string) spec.Detected {
	d := spec.Detected{File: file, Lines: lines}
	p, _ := load(s, files)
	if p == nil {
		return d
	}
	chosen, problems := p.chosenProgram()
	if problems.HasErrors() {
		var candidates []string
		mains := p.mains()
		for _, dir := range mains {
			if !p.side(dir) {
				candidates = append(candidates, dir)
			}
		}
		if len(candidates) == 0 {
			candidates = mains
		}
		if len(candidates) > 0 {
			d.Lines = append(d.Lines, "", "# Which program to build: remove the # of one line, or list several.")
		}
		for i, pattern := range p.patterns(candidates) {
			if i == app.MaxListed {
				d.Lines = append(d.Lines, fmt.Sprintf("# and %d more", len(candidates)-i))
				break
			}
			d.Lines = append(d.Lines, "# package: "+pattern)
		}
		chosen.dirs = candidates
	}
	if len(p.checkCGO(chosen.dirs)) > 0 {
		d.Lines = append(d.Lines, "", "# The program uses C.", "build:", "  cgo: true")
	}
	tests := 0
	for _, m := range p.modules {
		tests += p.src.walk(m).tests
	}
	if tests > 0 {
		d.Lines = append(d.Lines, "", "# Run the tests before the image is built.", "# test: true")
	}
	return d
}
