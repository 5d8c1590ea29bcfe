package python

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// runtime is the version of Python.
type runtime struct {
	// version is one of the catalog's: "3.13".
	version string
	// source is where it came from, for people.
	source string
}

// interpreter is the program in the base images, which virtual environments link to.
func (r runtime) interpreter() string { return "/usr/bin/python" + r.version }

// sitePackages is where an environment has its packages, below its folder.
func (r runtime) sitePackages() string { return "lib/python" + r.version + "/site-packages" }

// maxPatch is more than any release line of Python has had.
const maxPatch = 40

// fits says whether a release of a line meets the conditions. The catalog's versions
// are lines, "3.13": their newest release is what the images have.
func fits(version string, s requirement.Specifier) bool {
	if strings.Count(version, ".") > 1 {
		v, err := requirement.ParseVersion(version)
		return err == nil && s.Contains(v)
	}
	for patch := range maxPatch {
		if v, err := requirement.ParseVersion(fmt.Sprintf("%s.%d", version, patch)); err == nil && s.Contains(v) {
			return true
		}
	}
	return false
}

// versionFiles are those that version managers of Python read; runtime.txt is
// Heroku's (https://devcenter.heroku.com/articles/python-runtimes).
var versionFiles = []app.VersionFile{
	{Name: ".python-version", Line: app.WholeLine},
	{Name: ".tool-versions", Line: app.ToolLine("python")},
	{Name: "mise.toml", Line: miseTool}, {Name: ".mise.toml", Line: miseTool},
	{Name: "runtime.txt", Line: app.WholeLine},
}

var miseLine = regexp.MustCompile(`^\s*"?python"?\s*=\s*\[?\s*["']([^"']+)["']`)

// miseTool reads `python = "3.13"` of mise.toml.
func miseTool(line string) string {
	if m := miseLine.FindStringSubmatch(line); m != nil {
		return m[1]
	}
	return ""
}

var plainVersion = regexp.MustCompile(`^(?:c?python)?[-@]?([0-9]+)(?:\.([0-9]+|\*|x)(?:\.([0-9]+|\*|x))?)?$`)

// chooseVersion decides the version: what the descriptor says, the files of version
// managers, Pipfile, else the newest that requires-python allows.
func (b *builder) chooseVersion() (runtime, spec.Problems) {
	versions := b.versions
	if len(versions) == 0 {
		return runtime{}, spec.Problems{b.spec.Problem("version", "the catalog has no Python", "")}
	}
	ask, problems := b.askedVersion()
	if problems.HasErrors() {
		return runtime{}, problems
	}
	there := "there are " + strings.Join(versions, ", ")
	bounds := b.bounds()
	if ask != nil {
		version, bad := resolve(ask, versions, there)
		if bad != nil {
			return runtime{}, spec.Problems{*bad}
		}
		for _, bound := range bounds {
			if !fits(version, bound.specifier) {
				return runtime{}, spec.Problems{ask.Problem(fmt.Sprintf("Python %s is not what %s asks for (%s)", version, bound.source, bound.text), "write a version that fits, or change "+bound.key)}
			}
		}
		source := ask.Source
		if ask.Text != version {
			source = fmt.Sprintf("%s says %s; the catalog's newest of that line", ask.Source, ask.Text)
		}
		return runtime{version, source}, nil
	}
	for i := len(versions) - 1; i >= 0; i-- {
		ok := true
		for _, bound := range bounds {
			ok = ok && fits(versions[i], bound.specifier)
		}
		if !ok {
			continue
		}
		source := "the newest in the catalog"
		if len(bounds) > 0 {
			source = fmt.Sprintf("%s says %s; the newest in the catalog that fits", bounds[0].source, bounds[0].text)
		}
		return runtime{versions[i], source}, nil
	}
	var said []string
	for _, bound := range bounds {
		said = append(said, bound.text)
	}
	return runtime{}, spec.Problems{bounds[0].problem(fmt.Sprintf("%s: no Python of the catalog is in %s", bounds[0].key, strings.Join(said, " and ")), there)}
}

// resolve returns the catalog's version for what was asked.
func resolve(a *app.Asked, versions []string, there string) (string, *spec.Problem) {
	fail := func(message, hint string) (string, *spec.Problem) {
		pr := a.Problem(message, hint)
		return "", &pr
	}
	newest := func(ok func(v string) bool) string {
		for i := len(versions) - 1; i >= 0; i-- {
			if ok(versions[i]) {
				return versions[i]
			}
		}
		return ""
	}
	text := strings.ToLower(strings.TrimSpace(a.Text))
	for _, other := range []string{"pypy", "graalpy", "miniconda", "anaconda", "miniforge", "mambaforge", "stackless", "jython", "micropython"} {
		if strings.HasPrefix(text, other) {
			return fail(fmt.Sprintf("%s is not supported: the images have CPython", a.Text), "name a version of CPython; "+there)
		}
	}
	var found string
	m := plainVersion.FindStringSubmatch(text)
	switch {
	case m != nil && (m[2] == "" || m[2] == "*" || m[2] == "x"):
		found = newest(func(v string) bool { return strings.HasPrefix(v, m[1]+".") })
	case m != nil:
		line := m[1] + "." + m[2]
		found = newest(func(v string) bool {
			return v == line || v == line+"."+m[3] || strings.HasPrefix(v, line+".") && m[3] == ""
		})
	case strings.ContainsAny(text, "<>=~!"):
		s, err := requirement.ParseSpecifier(text)
		if err != nil {
			return fail(err.Error(), there)
		}
		found = newest(func(v string) bool { return fits(v, s) })
	default:
		return fail(fmt.Sprintf("%q is not a version of Python", a.Text), there)
	}
	if found == "" {
		return fail(fmt.Sprintf("Python %s is not in the catalog", strings.TrimPrefix(text, "python-")), there)
	}
	return found, nil
}

// askedVersion finds the version that the descriptor or a file names, nil when none
// does.
func (p *project) askedVersion() (*app.Asked, spec.Problems) {
	found, problems := app.AskedVersion(p.spec, p.files, p.app.dir, versionFiles)
	if problems.HasErrors() || found != nil {
		return found, problems
	}
	if p.pipfile == nil {
		return nil, nil
	}
	for _, key := range []string{"python_full_version", "python_version"} {
		v := p.pipfile.Get("requires", key)
		if text := v.String(); text != "" && text != "*" {
			name := path.Join(p.root, "Pipfile")
			return &app.Asked{
				Text: text, Source: fmt.Sprintf("%s:%d", name, v.Line()),
				Problem: func(message, hint string) spec.Problem { return valueProblem(name, v, key+": "+message, hint) },
			}, nil
		}
	}
	return nil, nil
}

// bound is a condition on the version of Python that a manifest states.
type bound struct {
	specifier requirement.Specifier
	// key is what states it, text the condition, source its place.
	key, text, source string
	problem           func(message, hint string) spec.Problem
}

// bounds are the conditions of the program, of its workspace, and of the lock file.
func (b *builder) bounds() []bound {
	all := slices.Clone(b.app.bounds())
	if b.top != b.app {
		all = append(all, b.top.bounds()...)
	}
	if b.lock != nil && !b.lock.RequiresPython.IsZero() {
		all = append(all, bound{
			specifier: b.lock.RequiresPython, key: "requires-python", text: b.lock.RequiresPython.String(),
			source:  fmt.Sprintf("%s:%d", b.tool.file, b.lock.PythonLine),
			problem: func(message, hint string) spec.Problem { return b.lockProblem(b.lock.PythonLine, message, hint) },
		})
	}
	return all
}

// bounds are those of one manifest.
func (m *member) bounds() []bound {
	if m.pyproject == nil {
		return nil
	}
	return m.python
}
