package golang

import (
	"fmt"
	"go/version"
	"path"
	"regexp"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// oldest is the first release that Go's own toolchain mechanism serves.
const oldest = "1.21.0"

// toolchain is the release of Go to build with.
type toolchain struct {
	// version is a full one: "1.26.8".
	version string
	// source is where it came from, for people.
	source string
}

// asked is a version that the user or a file of the project asks for.
type asked struct {
	text   string
	source string
	// prefix is what comes before a version where this one is written: "go" in a
	// toolchain line, which takes full versions alone.
	prefix string
	// problem reports something wrong with it, at its place.
	problem func(message, hint string) spec.Problem
}

var versionForm = regexp.MustCompile(`^1(\.(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)|(rc|beta)[1-9][0-9]*)?)?$`)

// minimum is the newest of the go lines of the modules that are compiled from
// source here, and the file and line that say so.
func (p *project) minimum() (v, source string) {
	consider := func(line *modfile.Go, file string) {
		if line == nil || v != "" && version.Compare("go"+line.Version, "go"+v) <= 0 {
			return
		}
		v = line.Version
		source = fmt.Sprintf("%s:%d", file, line.Syntax.Start.Line)
	}
	for _, m := range p.modules {
		consider(m.file.Go, m.name())
	}
	for _, m := range p.others {
		consider(m.file.Go, m.name())
	}
	if p.work != nil {
		consider(p.work.file.Go, path.Join(p.work.dir, "go.work"))
	}
	if v == "" {
		v, source = "1.16", p.modules[0].name()
	}
	return v, source
}

// toolchain decides the version: what the descriptor says, the files of version
// managers, the toolchain line, else the newest that the go line allows.
func (p *project) toolchain(versions []string) (toolchain, spec.Problems) {
	least, leastSource := p.minimum()
	ask, problems := p.askedVersion()
	if problems.HasErrors() {
		return toolchain{}, problems
	}
	if ask == nil {
		stable := stableVersions(versions)
		if len(stable) == 0 || version.Compare("go"+stable[len(stable)-1], "go"+least) < 0 {
			newest := "none"
			if len(stable) > 0 {
				newest = stable[len(stable)-1]
			}
			pr := p.spec.Problem("version", fmt.Sprintf("%s asks for Go %s; the newest in the catalog is %s", leastSource, least, newest),
				"a newer catalog may have it; any release can be named in full:\nversion: "+fullVersion(least))
			return toolchain{}, append(problems, pr)
		}
		return toolchain{
			version: stable[len(stable)-1],
			source:  fmt.Sprintf("%s says %s or newer; newest in the catalog", leastSource, least),
		}, problems
	}

	full, pr := ask.resolve(versions)
	if pr != nil {
		return toolchain{}, append(problems, *pr)
	}
	if version.Compare("go"+full, "go"+least) < 0 {
		pr := ask.problem(fmt.Sprintf("Go %s is older than %s asks for (go %s)", full, leastSource, least),
			fmt.Sprintf("write %s or newer, or nothing: then the newest release is taken", least))
		return toolchain{}, append(problems, pr)
	}
	problems = append(problems, ask.warnOld(full, versions)...)
	tc := toolchain{version: full, source: ask.source}
	if full != ask.text {
		tc.source += " says " + ask.text + "; its newest release"
	}
	return tc, problems
}

// resolve returns the full version for what was asked.
func (a *asked) resolve(versions []string) (string, *spec.Problem) {
	fail := func(message, hint string) (string, *spec.Problem) {
		pr := a.problem(message, hint)
		return "", &pr
	}
	if !versionForm.MatchString(a.text) {
		return fail(fmt.Sprintf("%q is not a version of Go", a.text), "write a minor version such as 1.26, or a full one such as 1.26.8")
	}
	full := strings.Count(a.text, ".") == 2 || strings.ContainsAny(a.text, "rb")
	first := version.Lang("go" + oldest)
	if full {
		first = "go" + oldest
	}
	if a.text != "1" && version.Compare("go"+a.text, first) < 0 {
		return fail(fmt.Sprintf("Go %s is too old: the first that can be had is %s", a.text, oldest),
			"newer releases build old modules as well: leave the version out, or write a newer one")
	}
	if full {
		return a.text, nil
	}
	stable := stableVersions(versions)
	for i := len(stable) - 1; i >= 0; i-- {
		if strings.HasPrefix(stable[i], a.text+".") {
			return stable[i], nil
		}
	}
	return fail(fmt.Sprintf("Go %s is not in the catalog", a.text),
		fmt.Sprintf("there are %s; any other release can be named in full, such as %s", strings.Join(minors(stable), ", "), fullVersion(a.text)))
}

// supported is how many releases get security fixes, the newest ones: see
// https://go.dev/doc/devel/release#policy.
const supported = 2

// warnOld warns about a version that lacks security fixes: one of a release that
// gets none any more, or one that its release has a newer one of.
func (a *asked) warnOld(full string, versions []string) spec.Problems {
	warn := func(message, hint string) spec.Problems {
		pr := a.problem(message, hint)
		pr.Severity = spec.Warning
		return spec.Problems{pr}
	}
	newest := map[string]string{} // of each release
	releases := stableVersions(versions)
	for _, v := range releases {
		newest[version.Lang("go"+v)] = v
	}
	write := func(release string) string {
		if a.prefix != "" {
			return a.prefix + newest["go"+release]
		}
		return release
	}
	all := minors(releases)
	if len(all) > supported {
		all = all[len(all)-supported:]
	}
	release := version.Lang("go" + full)
	switch {
	case len(all) == supported && version.Compare(release, "go"+all[0]) < 0:
		var names []string
		for i := range all {
			names = append(names, write(all[len(all)-1-i]))
		}
		return warn(fmt.Sprintf("Go %s gets no security fixes any more", strings.TrimPrefix(release, "go")),
			fmt.Sprintf("write %s, which do, or nothing: then the newest release is taken", strings.Join(names, " or ")))
	case newest[release] != "" && version.Compare("go"+full, "go"+newest[release]) < 0:
		return warn(fmt.Sprintf("Go %s lacks the fixes up to %s", full, newest[release]),
			fmt.Sprintf("write %s, or nothing: then the newest release is taken", write(strings.TrimPrefix(release, "go"))))
	}
	return nil
}

// askedVersion finds the version that the descriptor or a file names, nil when
// none does.
func (p *project) askedVersion() (*asked, spec.Problems) {
	s := p.spec
	if s.Version != "" {
		return &asked{
			text:    strings.TrimPrefix(string(s.Version), "go"),
			source:  s.Where("version"),
			problem: func(message, hint string) spec.Problem { return s.Problem("version", "version: "+message, hint) },
		}, nil
	}
	for dir := p.dir; ; dir = path.Dir(dir) {
		for _, f := range []struct {
			name  string
			parse func(string) string
		}{{".go-version", wholeLine}, {".tool-versions", golangTool}} {
			name := path.Join(dir, f.name)
			data, err := p.files.Read(name)
			if err != nil {
				return nil, spec.Problems{app.Unreadable(name, err)}
			}
			for i, line := range strings.Split(string(data), "\n") {
				text := f.parse(line)
				if text == "" {
					continue
				}
				at := strings.Index(line, text) + 1
				where := spec.Range{Start: spec.Position{Line: i + 1, Column: at}, End: spec.Position{Line: i + 1, Column: at + len(text)}}
				return &asked{
					text:   strings.TrimPrefix(text, "go"),
					source: fmt.Sprintf("%s:%d", name, i+1),
					problem: func(message, hint string) spec.Problem {
						pr := app.FileProblem(name, message, hint)
						pr.Range = where
						return pr
					},
				}, nil
			}
		}
		if dir == "." {
			break
		}
	}
	file, tc := p.modules[0].name(), p.modules[0].file.Toolchain
	if p.work != nil {
		file, tc = path.Join(p.work.dir, "go.work"), p.work.file.Toolchain
	}
	if tc == nil || tc.Name == "default" {
		return nil, nil
	}
	return &asked{
		text:   strings.TrimPrefix(tc.Name, "go"),
		source: fmt.Sprintf("%s:%d", file, tc.Syntax.Start.Line),
		prefix: "go",
		problem: func(message, hint string) spec.Problem {
			return lineProblem(file, tc.Syntax, "toolchain: "+message, hint)
		},
	}, nil
}

// wholeLine reads a line of .go-version.
func wholeLine(line string) string {
	line, _, _ = strings.Cut(line, "#")
	return strings.TrimSpace(line)
}

// golangTool reads a line of .tool-versions: the first version of golang or go.
// "system" and references to sources say nothing about a version.
func golangTool(line string) string {
	fields := strings.Fields(wholeLine(line))
	if len(fields) < 2 || fields[0] != "golang" && fields[0] != "go" {
		return ""
	}
	if v := fields[1]; v != "system" && v != "latest" && !strings.ContainsAny(v, ":/") {
		return v
	}
	return ""
}

// stableVersions leaves out pre-releases.
func stableVersions(versions []string) []string {
	var stable []string
	for _, v := range versions {
		if !strings.ContainsAny(v, "rb") {
			stable = append(stable, v)
		}
	}
	return stable
}

// minors returns the minor versions of a sorted list of releases.
func minors(versions []string) []string {
	var list []string
	for _, v := range versions {
		minor := strings.TrimPrefix(version.Lang("go"+v), "go")
		if len(list) == 0 || list[len(list)-1] != minor {
			list = append(list, minor)
		}
	}
	return list
}

// fullVersion makes an example of a release out of a minor version.
func fullVersion(v string) string {
	if strings.Count(v, ".") == 1 && !strings.ContainsAny(v, "rb") {
		return v + ".0"
	}
	return v
}

// warnCPULimits warns about programs whose language version leaves the CPU
// limits of a container unseen: Go 1.25 and later respect them only in modules
// that say go 1.25 or newer. See https://go.dev/doc/godebug.
func (p *project) warnCPULimits(tc toolchain, mains []string) spec.Problems {
	if _, set := p.spec.Env["GOMAXPROCS"]; set || tc.version == "" {
		return nil
	}
	// In a workspace its own go and godebug lines count, not those of a module.
	file, line, debug := p.modules[0].name(), p.modules[0].file.Go, p.modules[0].file.Godebug
	if p.work != nil {
		file, line, debug = path.Join(p.work.dir, "go.work"), p.work.file.Go, p.work.file.Godebug
	}
	language := "1.16"
	if line != nil {
		language = line.Version
	}
	if version.Compare("go"+language, "go1.25") >= 0 {
		return nil
	}
	if version.Compare("go"+tc.version, "go1.25") >= 0 {
		for _, d := range debug {
			if d.Key == "containermaxprocs" || d.Key == "default" && version.Compare(d.Value, "go1.25") >= 0 {
				return nil
			}
		}
		for _, dir := range mains {
			if p.src.mentions(dir, "//go:debug containermaxprocs=") {
				return nil
			}
		}
	}
	for _, m := range p.modules {
		for _, r := range m.file.Require {
			if r.Mod.Path == "go.uber.org/automaxprocs" {
				return nil
			}
		}
	}
	pr := spec.Problem{
		Severity: spec.Warning, File: file,
		Message: fmt.Sprintf("go %s: the program will not see the CPU limit of its container (GOMAXPROCS is the machine's number of CPUs)", language),
		Hint:    "write go 1.25 or newer, or add the line\ngodebug containermaxprocs=1",
	}
	if version.Compare("go"+tc.version, "go1.25") < 0 {
		pr.Hint = "build with Go 1.25 or newer and write go 1.25, or set GOMAXPROCS where it runs"
	}
	if line != nil {
		pr.Range = lineRange(line.Syntax)
	}
	return spec.Problems{pr}
}
