package python

import (
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// projectFiles show that a folder is a project of Python.
var projectFiles = []string{"pyproject.toml", "uv.lock", "requirements.txt", "Pipfile", "setup.py", "setup.cfg", "pylock.toml", "manage.py"}

// Detect reports whether the project has a manifest of Python, or a program without one; see
// langs.Language.
func (Language) Detect(files fs.FS) (spec.Detected, bool) {
	s := &spec.Spec{Language: "python"}
	p := &project{spec: s, files: app.Files{FS: files}}
	if file := p.shows("."); file != "" {
		return detected(s, files, file, nil), true
	}
	var dirs []string
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return spec.Detected{}, false
	}
	for _, e := range entries {
		if e.IsDir() && !slices.Contains(ignoredDirs, e.Name()) && !strings.HasPrefix(e.Name(), ".") && p.shows(e.Name()) != "" {
			dirs = append(dirs, e.Name())
		}
	}
	switch {
	case len(dirs) == 1:
		s.Dir = dirs[0]
		return detected(s, files, path.Join(dirs[0], p.shows(dirs[0])), []string{"dir: " + dirs[0]}), true
	case len(dirs) > 1:
		return app.DetectedDirs(dirs, p.shows(dirs[0])), true
	}
	if p.files.Exists("package.json") {
		return spec.Detected{}, false // a program for Node, with a script beside it
	}
	for _, name := range usualNames {
		if p.files.IsFile(name) {
			return detected(s, files, name, nil), true
		}
	}
	return spec.Detected{}, false
}

// shows is the file that shows that a folder is a project of Python, "" for none. A
// pyproject.toml alone may be one of tools' settings for a project of another language.
func (p *project) shows(dir string) string {
	for _, name := range projectFiles {
		if p.files.IsFile(path.Join(dir, name)) && (name != "pyproject.toml" || p.isProject(dir)) {
			return name
		}
	}
	return ""
}

// isProject says whether a pyproject.toml is that of a project, or is to be reported.
func (p *project) isProject(dir string) bool {
	m, problems := p.manifestIn(dir)
	if m == nil {
		return problems.HasErrors()
	}
	return m.name != "" || m.poetry || m.root.Get("build-system") != nil || m.root.Get("tool", "uv", "workspace") != nil
}

// detected writes the lines that the project's own files leave open.
func detected(s *spec.Spec, files fs.FS, file string, lines []string) spec.Detected {
	d := spec.Detected{File: file, Lines: lines}
	add := func(lines ...string) { d.Lines = append(d.Lines, lines...) }
	ask := func(problems spec.Problems, prefix, comment string) bool {
		for _, pr := range problems {
			if options := app.Candidates(pr.Hint, prefix); len(options) > 0 {
				add(append([]string{"", comment}, options...)...)
				return true
			}
		}
		return false
	}
	p, problems := load(s, files)
	if p == nil {
		ask(problems, "package: ", "# Which member of the workspace to build: remove the # of one line.")
		return d
	}
	b := &builder{project: p}
	b.tool, problems = p.chooseTool()
	if problems.HasErrors() {
		ask(problems, "build: {tool: ", "# There are two files that say what to install: delete one, or remove the # of one line.")
		return d
	}
	b.lock, problems = p.readLock(b.tool)
	b.runtime, b.versions = runtime{version: "3.13"}, []string{"3.13"}
	if problems.HasErrors() || b.readDependencies().HasErrors() || b.findOwn().HasErrors() {
		return d
	}
	if problems := b.chooseEntry(); problems.HasErrors() && !ask(problems, "entrypoint: ", "# What the image runs: remove the # of one line.") {
		add("", "# How the program is started, in its folder.", "# entrypoint: [python, main.py]")
	}
	if b.entry.serves {
		add("", "# The port that the server listens on: 8080 unless said otherwise.", "# expose: [8080]")
	}
	if b.testRunner() != "" {
		add("", "# Run the tests before the image is built.", "# test: true")
	}
	return d
}
