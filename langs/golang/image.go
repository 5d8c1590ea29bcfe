package golang

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// image is the image's configuration.
func (b *builder) image() (plan.Image, spec.Problems) {
	s, image := b.spec, app.Image(b.spec)
	var problems spec.Problems
	names := b.programs.names
	switch {
	case len(image.Entrypoint) > 0:
		if pr := b.checkEntrypoint(image.Entrypoint[0]); pr != nil {
			problems = append(problems, *pr)
		}
	case len(names) == 1:
		image.Entrypoint = []string{path.Join(app.Dir, names[0])}
	case len(names) > 1:
		var lines []string
		for _, n := range names {
			lines = append(lines, fmt.Sprintf("entrypoint: [%q]", path.Join(app.Dir, n)))
		}
		problems = append(problems, s.Problem("package",
			fmt.Sprintf("the image has %d programs, and nothing says which one it runs", len(names)), "add one of\n"+strings.Join(lines, "\n")))
	}
	return image, problems
}

// checkEntrypoint reports an entrypoint in /app that nothing puts there.
func (b *builder) checkEntrypoint(program string) *spec.Problem {
	if !strings.HasPrefix(program, app.Dir+"/") || len(b.programs.names) == 0 {
		return nil
	}
	var there []string
	for _, n := range b.programs.names {
		there = append(there, path.Join(app.Dir, n))
	}
	for _, p := range there {
		if p == program {
			return nil
		}
	}
	if app.Copied(b.spec, program) {
		return nil
	}
	pr := b.spec.Problem("entrypoint", fmt.Sprintf("entrypoint: the image will not have %s", program), "it will have "+strings.Join(there, ", "))
	return &pr
}

// layers are the image's own: files of the project, then the programs, which
// change with every edit.
func (b *builder) layers() []plan.Layer {
	mode := uint32(0o555)
	layer := plan.Layer{Name: "application", Changes: "always"}
	var programs []string
	for _, n := range b.programs.names {
		target := path.Join(app.Dir, n)
		layer.Copies = append(layer.Copies, plan.Copy{Stage: buildStage, Source: "/" + n, Target: target, Mode: &mode})
		programs = append(programs, target)
	}
	linked := "static"
	if b.spec.Build.CGO {
		linked = "cgo"
	}
	layer.What = fmt.Sprintf("%s  go%s, %s, stripped", strings.Join(programs, ", "), b.toolchain.version, linked)
	return append(app.Assets(b.spec), layer)
}

// facts are the decisions, in the order in which they are read.
func (b *builder) facts(image plan.Image, t tests) []plan.Fact {
	s := b.spec
	facts := app.NewFacts(s)
	add := facts.Add
	add("version", b.toolchain.version, b.toolchain.source)
	if b.work != nil {
		add("workspace", strconv.Itoa(len(b.mainModules()))+" modules", path.Join(b.work.dir, "go.work"))
	}
	for _, m := range b.modules {
		add("module", m.path(), fmt.Sprintf("%s:%d", m.name(), m.file.Module.Syntax.Start.Line))
	}
	add("package", strings.Join(b.patterns(b.programs.dirs), " "), b.programs.source)
	switch n := len(b.external()); {
	case b.vendored != "":
		add("modules", "vendored", path.Join(b.vendored, "modules.txt"))
	case n == 0:
		add("modules", "none", "nothing to download")
	default:
		add("modules", strconv.Itoa(n), "downloaded again when a go.mod or go.sum changes")
	}
	if list := tags(s); len(list) > 0 {
		add("tags", strings.Join(list, ","), s.Where("build.tags"))
	}
	if len(s.Build.LDFlags) > 0 {
		add("ldflags", "-s -w "+strings.Join(s.Build.LDFlags, " "), s.Where("build.ldflags"))
	}
	if len(s.Build.Flags) > 0 {
		add("flags", strings.Join(s.Build.Flags, " "), s.Where("build.flags"))
	}
	if len(s.Build.Generate) > 0 {
		add("generate", strings.Join(s.Build.Generate, " "), s.Where("build.generate"))
	}
	for _, dir := range b.programs.dirs {
		if profile := path.Join(dir, "default.pgo"); b.files.Exists(profile) {
			add("profile", b.pattern(dir)+"/default.pgo", "found beside the program")
		}
	}
	if len(s.Build.Packages) > 0 {
		add("build packages", strings.Join(b.buildBase(false).Packages, " "), s.Where("build.packages"))
	}
	base := b.runBase()
	switch {
	case s.Build.CGO:
		add("base", base.String(), s.Where("build.cgo")+": cgo needs the C library")
	case len(base.Packages) > 0:
		add("base", base.String(), s.Where("packages")+": packages need the C library")
	default:
		add("base", base.String(), "the program is static")
	}
	if len(base.Packages) > 0 {
		add("packages", strings.Join(base.Packages, " "), s.Where("packages"))
	}
	switch {
	case t.run && s.Test.Command != nil:
		add("test", strings.Join(s.Test.Command, " "), s.Where("test"))
	case t.run:
		add("test", fmt.Sprintf("go vet and go test, %s", app.Count(t.files, "test file")), s.Where("test"))
	case t.files > 0:
		add("test", "no", fmt.Sprintf("add `test: true` to run %s before the image", app.Count(t.files, "test file")))
	default:
		add("test", "no", "there are no test files")
	}
	facts.Image(image, "the program")
	return facts.List
}
