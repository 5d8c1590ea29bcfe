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
	*app.Asked
	// prefix is what comes before a version where this one is written: "go" in a
	// toolchain line, which takes full versions alone.
	prefix string
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
		pr := ask.Problem(fmt.Sprintf("Go %s is older than %s asks for (go %s)", full, leastSource, least),
			fmt.Sprintf("write %s or newer, or nothing: then the newest release is taken", least))
		return toolchain{}, append(problems, pr)
	}
	problems = append(problems, ask.warnOld(full, versions)...)
	tc := toolchain{version: full, source: ask.Source}
	if full != ask.Text {
		tc.source += " says " + ask.Text + "; its newest release"
	}
	return tc, problems
}

// resolve returns the full version for what was asked.
func (a *asked) resolve(versions []string) (string, *spec.Problem) {
	fail := func(message, hint string) (string, *spec.Problem) {
		pr := a.Problem(message, hint)
		return "", &pr
	}
	if !versionForm.MatchString(a.Text) {
		return fail(fmt.Sprintf("%q is not a version of Go", a.Text), "write a minor version such as 1.26, or a full one such as 1.26.8")
	}
	full := strings.Count(a.Text, ".") == 2 || strings.ContainsAny(a.Text, "rb")
	first := version.Lang("go" + oldest)
	if full {
		first = "go" + oldest
	}
	if a.Text != "1" && version.Compare("go"+a.Text, first) < 0 {
		return fail(fmt.Sprintf("Go %s is too old: the first that can be had is %s", a.Text, oldest),
			"newer releases build old modules as well: leave the version out, or write a newer one")
	}
	if full {
		return a.Text, nil
	}
	stable := stableVersions(versions)
	for i := len(stable) - 1; i >= 0; i-- {
		if strings.HasPrefix(stable[i], a.Text+".") {
			return stable[i], nil
		}
	}
	return fail(fmt.Sprintf("Go %s is not in the catalog", a.Text),
		fmt.Sprintf("there are %s; any other release can be named in full, such as %s", strings.Join(minors(stable), ", "), fullVersion(a.Text)))
}

// supported is how many releases get security fixes, the newest ones: see
// https://go.dev/doc/devel/release#policy.
const supported = 2

// warnOld warns about a version that lacks security fixes: one of a release that
// gets none any more, or one that its release has a newer one of.
func (a *asked) warnOld(full string, versions []string) spec.Problems {
	warn := func(message, hint string) spec.Problems {
		pr := a.Problem(message, hint)
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

// versionFiles are those that version managers of Go read.
var versionFiles = []app.VersionFile{{Name: ".go-version", Line: app.WholeLine}, {Name: ".tool-versions", Line: golangTool}}

// askedVersion finds the version that the descriptor or a file names, nil when
// none does.
func (p *project) askedVersion() (*asked, spec.Problems) {
	found, problems := app.AskedVersion(p.spec, p.files, p.dir, versionFiles)
	if problems.HasErrors() {
		return nil, problems
	}
	if found != nil {
		found.Text = strings.TrimPrefix(found.Text, "go")
		return &asked{Asked: found}, nil
	}
	file, tc := p.modules[0].name(), p.modules[0].file.Toolchain
	if p.work != nil {
		file, tc = path.Join(p.work.dir, "go.work"), p.work.file.Toolchain
	}
	if tc == nil || tc.Name == "default" {
		return nil, nil
	}
	return &asked{&app.Asked{
		Text:   strings.TrimPrefix(tc.Name, "go"),
		Source: fmt.Sprintf("%s:%d", file, tc.Syntax.Start.Line),
		Problem: func(message, hint string) spec.Problem {
			return lineProblem(file, tc.Syntax, "toolchain: "+message, hint)
		},
	}, "go"}, nil
}

// golangTool reads a line of .tool-versions. "latest" is what is taken anyway.
func golangTool(line string) string {
	if v := app.ToolLine("golang", "go")(line); v != "latest" {
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
