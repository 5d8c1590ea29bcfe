// Package node plans images for Node programs: npm, pnpm and yarn, workspaces,
// TypeScript, the usual frameworks, sites that need no Node, and native addons.
package node

import (
	"io/fs"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Language is Node. It implements langs.Language.
type Language struct{}

// Name returns "node".
func (Language) Name() string { return "node" }

// Files returns patterns of the manifests, lock files and settings of package
// managers, the configuration of frameworks, and the code near the project's
// folder: which files are there tells what is started.
func (Language) Files(s *spec.Spec) []string {
	patterns := []string{
		"**/package.json", "**/package-lock.json", "**/npm-shrinkwrap.json", "**/pnpm-lock.yaml", "**/yarn.lock", "**/bun.lock", "**/bun.lockb",
		"**/pnpm-workspace.yaml", "**/.npmrc", "**/.yarnrc", "**/.yarnrc.yml", "**/.yarn/releases", "**/.pnpmfile.cjs", "**/.pnpmfile.mjs",
		"**/.nvmrc", "**/.node-version", "**/.tool-versions", "**/mise.toml", "**/.mise.toml",
		"**/angular.json", "**/tsconfig.json", "**/index.html", "**/turbo.json",
	}
	in := app.ProjectPattern(s)
	for _, ending := range codeEndings {
		for depth := range walkDepth {
			patterns = append(patterns, in+strings.Repeat("*/", depth)+"*"+ending)
		}
	}
	return append(patterns, "!**/node_modules", "!**/.git")
}

// Plan decides how the project is built; see langs.Language.
func (Language) Plan(s *spec.Spec, files fs.FS, versions []string) (*plan.Plan, spec.Problems) {
	p, problems := load(s, files)
	if p == nil {
		return nil, problems
	}
	variables, found := p.checkTokens()
	problems = append(problems, found...)
	b := &builder{project: p, variables: variables}
	b.runtime, found = p.chooseVersion(versions)
	problems = append(problems, found...)
	b.tool, found = p.chooseTool()
	problems = append(problems, found...)
	if !found.HasErrors() {
		b.lock, found = p.loadLock(b.tool)
		problems = append(problems, found...)
	}
	if problems.HasErrors() {
		return nil, problems
	}
	problems = append(problems, b.decide()...)
	problems = append(problems, app.Reserved(s, reservedEnv)...)
	image, found := b.image()
	problems = append(problems, found...)
	smoke, found := b.smoke()
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
