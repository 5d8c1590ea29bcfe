package node

import "slices"

// forPeople are what packages have for people, editors and those who work on them,
// and no program loads, as patterns.
var forPeople = []string{
	"**/node_modules/**/[Rr][Ee][Aa][Dd][Mm][Ee].md", "**/node_modules/**/[Rr][Ee][Aa][Dd][Mm][Ee].markdown", "**/node_modules/**/[Cc][Hh][Aa][Nn][Gg][Ee][Ll][Oo][Gg].md",
	"**/node_modules/**/[Hh][Ii][Ss][Tt][Oo][Rr][Yy].md", "**/node_modules/**/CHANGES.md", "**/node_modules/**/CONTRIBUTING.md", "**/node_modules/**/SECURITY.md", "**/node_modules/**/CODE_OF_CONDUCT.md",
	"**/node_modules/**/.github", "**/node_modules/**/.eslintrc", "**/node_modules/**/.eslintrc.*", "**/node_modules/**/.eslintignore", "**/node_modules/**/.nycrc", "**/node_modules/**/.editorconfig",
	"**/node_modules/**/.prettierrc*", "**/node_modules/**/.travis.yml", "**/node_modules/**/.npmignore", "**/node_modules/**/.jshintrc",
}

// declarations are what TypeScript's compiler alone reads.
var declarations = []string{"**/node_modules/**/*.d.ts", "**/node_modules/**/*.d.mts", "**/node_modules/**/*.d.cts"}

// trimmed are the patterns of what the image does without.
func (b *builder) trimmed() []string {
	if !b.spec.Build.Trim.Or(true) {
		return nil
	}
	if slices.ContainsFunc(b.prod, func(l *locked) bool { return l.name == "typescript" }) {
		return forPeople
	}
	return slices.Concat(forPeople, declarations)
}
