// Package python plans images for Python programs: uv, pylock.toml, Poetry, PDM,
// Pipenv and requirements files, packages and workspaces, WSGI and ASGI
// applications on servers for production, and plain scripts.
package python

import (
	"io/fs"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Language is Python. It implements langs.Language.
type Language struct{}

// Name returns "python".
func (Language) Name() string { return "python" }

// walkDepth is how deep below the project's folder Files names its code.
const walkDepth = 4

// Files returns patterns of the manifests, lock files and requirements, the files of
// version managers, and the code near the project's folder: which files are there,
// and what they define, tells what is started.
func (Language) Files(s *spec.Spec) []string {
	patterns := []string{
		"**/pyproject.toml", "**/uv.lock", "**/uv.toml", "**/pylock.toml", "**/poetry.lock", "**/poetry.toml", "**/pdm.lock", "**/Pipfile", "**/Pipfile.lock",
		"**/*requirements*.txt", "**/*constraints*.txt", "**/requirements/**/*.txt", "**/requirements/**/*.in", "**/requirements.in",
		"**/setup.py", "**/setup.cfg", "**/.python-version", "**/.tool-versions", "**/mise.toml", "**/.mise.toml", "**/runtime.txt",
		"**/environment.yml", "**/environment.yaml", "**/conda-lock.yml", "**/pixi.toml", "**/pip.conf", "**/gunicorn.conf.py",
	}
	in := app.ProjectPattern(s)
	// Requirements files may have any name.
	patterns = append(patterns, in+"*.txt", in+"*.in")
	if tool := string(s.Build.Tool); strings.HasSuffix(tool, ".txt") {
		if name, ok := app.InContext(app.ProjectDir(s), tool); ok {
			patterns = append(patterns, app.EscapePattern(name))
		}
	}
	for depth := range walkDepth {
		patterns = append(patterns, in+strings.Repeat("*/", depth)+"*.py")
	}
	return append(patterns, "!**/.venv", "!**/venv", "!**/site-packages", "!**/node_modules", "!**/.git", "!**/__pycache__")
}

// Plan decides how the project is built; see langs.Language.
func (Language) Plan(s *spec.Spec, files fs.FS, versions []string) (*plan.Plan, spec.Problems) {
	p, problems := load(s, files)
	if p == nil {
		return nil, problems
	}
	problems = append(problems, p.checkSettings()...)
	b := &builder{project: p, versions: versions}
	var found spec.Problems
	b.tool, found = p.chooseTool()
	problems = append(problems, found...)
	if !found.HasErrors() {
		b.lock, found = p.readLock(b.tool)
		problems = append(problems, found...)
	}
	b.runtime, found = b.chooseVersion()
	problems = append(problems, found...)
	if problems.HasErrors() {
		return nil, problems
	}
	problems = append(problems, b.decide()...)
	problems = append(problems, app.Reserved(s, reservedEnv)...)
	if problems.HasErrors() {
		return nil, problems
	}
	image, found := b.image()
	problems = append(problems, found...)
	smoke, found := b.smoke(image)
	problems = append(problems, found...)
	if problems.HasErrors() {
		return nil, problems
	}
	return &plan.Plan{
		Language: s.Language,
		Facts:    b.facts(image),
		Stages:   b.stages(),
		Run:      b.runBase(),
		Layers:   b.layers(),
		Image:    image,
		Smoke:    smoke,
	}, problems
}
