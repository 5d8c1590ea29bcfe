package golang

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

const (
	appDir      = "/app"
	defaultUser = "65532:65532"
	// smokeSeconds is how long a smoke check waits unless told otherwise.
	smokeSeconds = 30
)

// image is the image's configuration.
func (b *builder) image() (plan.Image, spec.Problems) {
	s := b.spec
	image := plan.Image{
		Entrypoint: s.Entrypoint,
		Cmd:        s.Cmd,
		Env:        pairs(s.Env),
		User:       string(s.User),
		WorkingDir: s.WorkDir,
		Volumes:    s.Volumes,
		Labels:     pairs(s.Labels),
		StopSignal: s.StopSignal,

		Annotations: pairs(s.Annotations),
	}
	for _, p := range s.Expose {
		image.Expose = append(image.Expose, string(p))
	}
	if image.User == "" {
		image.User = defaultUser
	}
	if image.WorkingDir == "" {
		image.WorkingDir = "/"
	}
	if h := s.Healthcheck; h != nil {
		image.Healthcheck = &plan.Healthcheck{
			Test: h.Test, Interval: int64(h.Interval), Timeout: int64(h.Timeout),
			StartPeriod: int64(h.StartPeriod), Retries: h.Retries,
		}
	}

	var problems spec.Problems
	names := b.programs.names
	switch {
	case len(image.Entrypoint) > 0:
		if pr := b.checkEntrypoint(image.Entrypoint[0]); pr != nil {
			problems = append(problems, *pr)
		}
	case len(names) == 1:
		image.Entrypoint = []string{path.Join(appDir, names[0])}
	case len(names) > 1:
		var lines []string
		for _, n := range names {
			lines = append(lines, fmt.Sprintf("entrypoint: [%q]", path.Join(appDir, n)))
		}
		problems = append(problems, s.Problem("package",
			fmt.Sprintf("the image has %d programs, and nothing says which one it runs", len(names)), "add one of\n"+strings.Join(lines, "\n")))
	}
	return image, problems
}

// checkEntrypoint reports an entrypoint in /app that nothing puts there.
func (b *builder) checkEntrypoint(program string) *spec.Problem {
	if !strings.HasPrefix(program, appDir+"/") || len(b.programs.names) == 0 {
		return nil
	}
	var there []string
	for _, n := range b.programs.names {
		there = append(there, path.Join(appDir, n))
	}
	for _, p := range there {
		if p == program {
			return nil
		}
	}
	for _, c := range b.spec.Copy {
		if target := path.Clean(c.Target); target == "/" || target == program || strings.HasPrefix(program, target+"/") {
			return nil
		}
	}
	pr := b.spec.Problem("entrypoint", fmt.Sprintf("entrypoint: the image will not have %s", program), "it will have "+strings.Join(there, ", "))
	return &pr
}

func pairs(m spec.StringMap) []plan.Env {
	var list []plan.Env
	for _, k := range m.Keys() {
		list = append(list, plan.Env{Name: k, Value: m[k]})
	}
	return list
}

// smoke is the check of the finished image. A path or status without a port is
// asked for on the first exposed one.
func (b *builder) smoke() (*plan.Smoke, spec.Problems) {
	s := b.spec.Smoke
	if s == nil {
		return nil, nil
	}
	smoke := &plan.Smoke{
		Env: pairs(s.Env), Port: s.Port, Path: s.Path, Status: s.Status, Output: s.Output, Exit: s.Exit,
		Timeout: int((int64(s.Timeout) + 1e9 - 1) / 1e9),
	}
	if s.Args != nil {
		smoke.Args = append([]string{}, *s.Args...)
	}
	if smoke.Timeout == 0 {
		smoke.Timeout = smokeSeconds
	}
	asks := s.Path != "" || s.Status != 0
	if smoke.Port == 0 && asks {
		smoke.Port = firstPort(b.spec.Expose)
	}
	if smoke.Port == 0 && asks {
		return nil, spec.Problems{b.spec.Problem("smoke", "smoke: there is no port to ask", "add port to it, or expose: [8080] to the descriptor")}
	}
	if smoke.Path != "" && smoke.Status == 0 {
		smoke.Status = 200
	}
	return smoke, nil
}

// firstPort is the first TCP port of expose, 0 for none.
func firstPort(ports []spec.Port) int {
	for _, p := range ports {
		number, protocol, _ := strings.Cut(string(p), "/")
		if n, err := strconv.Atoi(number); err == nil && (protocol == "" || protocol == "tcp") {
			return n
		}
	}
	return 0
}

// layers are the image's own: files of the project, then the programs, which
// change with every edit.
func (b *builder) layers() []plan.Layer {
	var layers []plan.Layer
	if len(b.spec.Copy) > 0 {
		assets := plan.Layer{Name: "assets", Changes: "sometimes"}
		var targets []string
		for i, c := range b.spec.Copy {
			assets.Copies = append(assets.Copies, plan.Copy{Source: c.Source, Target: c.Target, Mode: c.Mode, Asked: fmt.Sprintf("copy[%d]", i)})
			targets = append(targets, c.Target)
		}
		assets.What = strings.Join(targets, ", ")
		layers = append(layers, assets)
	}
	mode := uint32(0o555)
	app := plan.Layer{Name: "application", Changes: "always"}
	var programs []string
	for _, n := range b.programs.names {
		target := path.Join(appDir, n)
		app.Copies = append(app.Copies, plan.Copy{Stage: buildStage, Source: "/" + n, Target: target, Mode: &mode})
		programs = append(programs, target)
	}
	linked := "static"
	if b.spec.Build.CGO {
		linked = "cgo"
	}
	app.What = fmt.Sprintf("%s  go%s, %s, stripped", strings.Join(programs, ", "), b.toolchain.version, linked)
	return append(layers, app)
}

// facts are the decisions, in the order in which they are read.
func (b *builder) facts(image plan.Image, t testing) []plan.Fact {
	s := b.spec
	var facts []plan.Fact
	add := func(name, value, source string) {
		facts = append(facts, plan.Fact{Name: name, Value: value, Source: source})
	}
	// given is for keys that have a default.
	given := func(key, otherwise string) string {
		if s.Has(key) {
			return s.Where(key)
		}
		return otherwise
	}
	add("language", s.Language, s.Where("language"))
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
		if profile := path.Join(dir, "default.pgo"); b.exists(profile) {
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
		add("test", fmt.Sprintf("go vet and go test, %s", count(t.files, "test file")), s.Where("test"))
	case t.files > 0:
		add("test", "no", fmt.Sprintf("add `test: true` to run %s before the image", count(t.files, "test file")))
	default:
		add("test", "no", "there are no test files")
	}
	add("entrypoint", strings.Join(image.Entrypoint, " "), given("entrypoint", "the program"))
	if len(image.Cmd) > 0 {
		add("cmd", strings.Join(image.Cmd, " "), s.Where("cmd"))
	}
	add("user", image.User, given("user", "the default, not root"))
	if len(image.Expose) > 0 {
		add("expose", strings.Join(image.Expose, " "), s.Where("expose"))
	}
	return facts
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
