// Package golang plans images for Go programs: modules, workspaces and vendored
// ones, with or without cgo.
package golang

import (
	"io/fs"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Language is Go. It implements langs.Language.
type Language struct{}

// Name returns "go".
func (Language) Name() string { return "go" }

// Files returns patterns of the module files, the files that name a version of
// Go, and the Go sources of the project's folder: main packages are found by
// their package clauses, and imports tell whether a program needs cgo.
func (Language) Files(s *spec.Spec) []string {
	in := app.ProjectPattern(s)
	return []string{
		in + "**/*.go",
		in + "**/default.pgo",
		// Go looks for packages in neither.
		"!**/vendor",
		"!**/node_modules",
		"**/vendor/modules.txt",
		"**/go.mod",
		"**/go.sum",
		"**/go.work",
		"**/go.work.sum",
		"**/.go-version",
		"**/.tool-versions",
	}
}

// Plan decides how the project is built; see langs.Language.
func (Language) Plan(s *spec.Spec, files fs.FS, versions []string) (*plan.Plan, spec.Problems) {
	p, problems := load(s, files)
	if p == nil {
		return nil, problems
	}
	problems = append(problems, p.checkRequirements()...)

	tc, found := p.toolchain(versions)
	problems = append(problems, found...)
	p.src.release = tc.version

	programs, found := p.programs()
	if broken := p.src.problems(); len(broken) > 0 {
		found = broken // which is why the programs are not the right ones
	}
	problems = append(problems, found...)
	problems = append(problems, p.checkCGO(programs.dirs)...)
	problems = append(problems, checkBuildKeys(s)...)

	b := builder{project: p, toolchain: tc, programs: programs}
	tests, found := b.tests()
	problems = append(problems, found...)
	image, found := b.image()
	problems = append(problems, found...)
	smoke, found := app.Smoke(s)
	problems = append(problems, found...)
	problems = append(problems, p.warnCPULimits(tc, programs.dirs)...)
	if problems.HasErrors() {
		return nil, problems
	}

	return &plan.Plan{
		Language: s.Language,
		Facts:    b.facts(image, tests),
		Stages:   b.stages(tests),
		Run:      b.runBase(),
		Layers:   b.layers(),
		Image:    image,
		Smoke:    smoke,
	}, problems
}
