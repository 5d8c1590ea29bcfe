package java

import (
	"io/fs"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Detect reports whether the project has a pom or Gradle's files; see langs.Language.
func (Language) Detect(files fs.FS) (spec.Detected, bool) {
	s := &spec.Spec{Language: "java"}
	p := &project{spec: s, files: app.Files{FS: files}, dir: "."}
	if file := p.shown("."); file != "" {
		return detected(s, files, file, nil), true
	}
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return spec.Detected{}, false
	}
	var dirs []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") && e.Name() != "node_modules" && p.shown(e.Name()) != "" {
			dirs = append(dirs, e.Name())
		}
	}
	switch {
	case len(dirs) == 1:
		s.Dir = dirs[0]
		return detected(s, files, p.shown(dirs[0]), []string{"dir: " + dirs[0]}), true
	case len(dirs) > 1:
		return app.DetectedDirs(dirs, path.Base(p.shown(dirs[0]))), true
	}
	return spec.Detected{}, false
}

// shown is the file that shows that a folder is a project of Java, "" for none.
func (p *project) shown(dir string) string {
	for _, tool := range []string{mavenTool, gradleTool} {
		if file := p.shows(dir, tool); file != "" {
			return file
		}
	}
	return ""
}

// detected writes the lines that the project's own files leave open.
func detected(s *spec.Spec, files fs.FS, file string, lines []string) spec.Detected {
	d := spec.Detected{File: file, Lines: lines}
	add := func(lines ...string) { d.Lines = append(d.Lines, lines...) }
	p, problems := load(s, files)
	if p == nil {
		for _, pr := range problems {
			if options := app.Candidates(pr.Hint, "package: "); len(options) > 0 {
				add(append([]string{"", "# Which module to build: remove the # of one line."}, options...)...)
				break
			}
			if options := app.Candidates(pr.Hint, "build: {tool: "); len(options) > 0 {
				add(append([]string{"", "# Both can build the project: delete the files of one, or remove the # of one line."}, options...)...)
				break
			}
		}
		return d
	}
	add("", "# The port that the program listens on.", "# expose: [8080]")
	add("", "# Run the tests before the image is built.", "# test: true")
	return d
}
