package node

import (
	"io/fs"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Detect reports whether the project has a package.json, or a program for Node
// without one; see langs.Language.
func (Language) Detect(files fs.FS) (spec.Detected, bool) {
	s := &spec.Spec{Language: "node"}
	p := &project{spec: s, files: app.Files{FS: files}}
	if p.files.Exists("package.json") {
		return detected(s, files, "package.json", nil), true
	}
	var dirs []string
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return spec.Detected{}, false
	}
	for _, e := range entries {
		if e.IsDir() && e.Name() != "node_modules" && !strings.HasPrefix(e.Name(), ".") && p.files.Exists(path.Join(e.Name(), "package.json")) {
			dirs = append(dirs, e.Name())
		}
	}
	switch {
	case len(dirs) == 1:
		s.Dir = dirs[0]
		return detected(s, files, path.Join(dirs[0], "package.json"), []string{"dir: " + dirs[0]}), true
	case len(dirs) > 1:
		return app.DetectedDirs(dirs, "package.json"), true
	}
	for _, name := range serverNames {
		if !strings.Contains(name, "/") && p.files.IsFile(name) {
			return spec.Detected{File: name}, true
		}
	}
	return spec.Detected{}, false
}

// detected writes the lines that the project's own files leave open.
func detected(s *spec.Spec, files fs.FS, file string, lines []string) spec.Detected {
	d := spec.Detected{File: file, Lines: lines}
	add := func(lines ...string) { d.Lines = append(d.Lines, lines...) }
	p, problems := load(s, files)
	if p == nil {
		for _, pr := range problems {
			if options := app.Candidates(pr.Hint, "package: "); len(options) > 0 {
				add(append([]string{"", "# Which package of the workspace to build: remove the # of one line."}, options...)...)
			}
		}
		return d
	}
	t, problems := p.chooseTool()
	for _, pr := range problems {
		if options := app.Candidates(pr.Hint, "build: {tool: "); len(options) > 0 {
			add(append([]string{"", "# There are two lock files: delete one, or remove the # of one line."}, options...)...)
		}
	}
	l, _ := p.loadLock(t)
	b := &builder{project: p, tool: t, lock: l}
	f, problems := p.chooseFramework()
	if problems.HasErrors() {
		return d
	}
	b.framework, b.script = f, p.buildScript()
	if f.static == "" {
		if _, problems := p.chooseStart(f, l, runtime{major: 24}, b.script); problems.HasErrors() {
			add("", "# How the program is started, in its folder.", "# entrypoint: [node, server.js]")
		}
		add("", "# The port that the program listens on.", "# expose: [3000]")
	}
	if p.app.manifest != nil && p.app.scripts["test"] != "" && !strings.Contains(p.app.scripts["test"], "no test specified") {
		add("", "# Run the tests before the image is built.", "# test: true")
	}
	return d
}
