package node

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

var (
	// tokenLine are the settings that hold credentials, in .npmrc and .yarnrc:
	// https://docs.npmjs.com/cli/configuring-npm/npmrc#auth-related-configuration.
	tokenLine = regexp.MustCompile(`(?i)(_authToken|_auth|_password|:certfile|:keyfile)["']?\s*[= ]\s*(\S.*?)\s*$`)
	// yarnToken is the same in .yarnrc.yml.
	yarnToken = regexp.MustCompile(`(?i)^\s*["']?(npmAuthToken|npmAuthIdent)["']?\s*:\s*(\S.*?)\s*$`)
	variable  = regexp.MustCompile(`\$\{([A-Za-z_][A-Za-z0-9_]*)(?:[?]|:?-[^}]*)?\}`)
)

// checkTokens reports credentials that stand in a file of the project, and returns
// the names of the variables that its files take credentials from.
func (p *project) checkTokens() (variables []string, problems spec.Problems) {
	dirs := []string{p.root}
	if p.app.dir != p.root {
		dirs = append(dirs, p.app.dir)
	}
	for _, dir := range dirs {
		for _, f := range []struct {
			name string
			line *regexp.Regexp
		}{{".npmrc", tokenLine}, {".yarnrc", tokenLine}, {".yarnrc.yml", yarnToken}} {
			name := path.Join(dir, f.name)
			data, err := p.files.Read(name)
			if err != nil {
				problems = append(problems, app.Unreadable(name, err))
				continue
			}
			for i, line := range strings.Split(string(data), "\n") {
				if trimmed := strings.TrimSpace(line); strings.HasPrefix(trimmed, "#") || strings.HasPrefix(trimmed, ";") {
					continue
				}
				for _, m := range variable.FindAllStringSubmatch(line, -1) {
					variables = append(variables, m[1])
				}
				m := f.line.FindStringSubmatch(strings.TrimRight(line, "\r"))
				if m == nil || strings.Contains(m[2], "${") {
					continue
				}
				if strings.HasSuffix(strings.ToLower(m[1]), "file") {
					continue
				}
				// Without a range: the line, which an error shows, has the secret in it.
				problems = append(problems, app.FileProblem(name, fmt.Sprintf("line %d: %s is written into the file: whoever has the project, a build record or a cache can read it", i+1, m[1]),
					"withdraw the token, remove the line, and write in the descriptor:\nsecrets: [npmrc]\nthen build with --secret id=npmrc,src=$HOME/.npmrc; or write ${NPM_TOKEN} in place of the token, and\nsecrets: [{id: NPM_TOKEN, env: NPM_TOKEN}]"))
			}
		}
	}
	slices.Sort(variables)
	return slices.Compact(variables), problems
}
