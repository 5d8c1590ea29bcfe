package golang

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	modpath "golang.org/x/mod/module"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// The stages' names, which --target and progress show.
const (
	depsStage     = "deps"
	generateStage = "generate"
	testStage     = "test"
	buildStage    = "build"
)

// Where things lie in the build containers.
const (
	sourceDir   = "/src"
	moduleCache = "/go/pkg/mod"
	buildCache  = "/root/.cache/go-build"
	// proxyCache keeps downloaded modules between builds, in the layout of a
	// module proxy.
	proxyCache = "/var/cache/go-mod"
	// privateCache does so for a project with private modules alone: who builds
	// another has perhaps no right to see them.
	privateCache = "/var/cache/go-mod-private"
	outDir       = "/out"
)

// downloadSecrets are the variables of the go command that say where modules
// come from. They are secrets: they may hold passwords, and where a module was
// downloaded from does not change it.
var downloadSecrets = []string{"GOAUTH", "GOINSECURE", "GONOPROXY", "GONOSUMDB", "GOPRIVATE", "GOPROXY", "GOSUMDB"}

// builder makes the plan out of the decisions.
type builder struct {
	*project
	toolchain toolchain
	programs  programs
}

// tests says which tests there are and whether they run.
type tests struct {
	run   bool
	files int
}

// tests decides whether the tests run before the image is built.
func (b *builder) tests() (tests, spec.Problems) {
	var t tests
	for _, m := range b.modules {
		t.files += b.src.walk(m).tests
	}
	test := b.spec.Test
	switch {
	case test == nil:
	case test.Command != nil || t.files > 0:
		t.run = true
	default:
		return t, spec.Problems{b.spec.Warning("test", "test: the project has no test files", "remove the line, or name a command that tests the project")}
	}
	return t, nil
}

func tags(s *spec.Spec) []string {
	var list []string
	for _, t := range s.Build.Tags {
		list = append(list, strings.FieldsFunc(t, func(r rune) bool { return r == ',' || r == ' ' })...)
	}
	return list
}

func (b *builder) workDir() string { return path.Join(sourceDir, b.dir) }

// buildBase is the base of the stages that run the project's code or compile it.
func (b *builder) buildBase(cross bool) plan.Base {
	base := app.WithPackages(b.toolBase(), b.spec.Build.Packages, "build.packages")
	if b.spec.Build.CGO && cross {
		base.Cross = "cross-"
	}
	return base
}

// toolBase is the base of the stages that have no need of the packages that the
// build asks for.
func (b *builder) toolBase() plan.Base {
	base := plan.Base{Image: "go", Version: b.toolchain.version, Variant: "build"}
	if b.spec.Build.CGO {
		base.Variant = "build-cgo"
	}
	return base
}

// runBase is what the image stands on: the C library is for programs that are
// linked with it, and for packages, most of which are programs and libraries
// that are. Their own copy of it would be larger, and shared with no other image.
func (b *builder) runBase() plan.Base {
	base := plan.Base{Image: "static", Version: app.Debian}
	switch {
	case b.spec.Build.CGO:
		base.Image = "cc"
	case len(b.spec.Packages) > 0:
		base.Image = "base"
	}
	return app.WithPackages(base, b.spec.Packages, "packages")
}

// download says whether there are modules to download.
func (b *builder) download() bool { return b.vendored == "" && len(b.external()) > 0 }

func (b *builder) stages(t tests) []plan.Stage {
	var stages []plan.Stage
	if b.download() {
		stages = append(stages, b.deps())
	}
	if len(b.spec.Build.Generate) > 0 {
		stages = append(stages, b.generate())
	}
	if t.run {
		stages = append(stages, b.test())
	}
	stages = append(stages, b.compile())
	if b.spec.Build.CGO {
		stages = append(stages, b.libraries())
	}
	return stages
}

// goEnv is the environment of every go command.
func (b *builder) goEnv() []plan.Env {
	mod, work := "readonly", "off"
	if b.vendored != "" {
		mod = "vendor"
	}
	if b.work != nil {
		work = path.Join(sourceDir, b.work.dir, "go.work")
	}
	return []plan.Env{
		{Name: "GOFLAGS", Value: "-mod=" + mod},
		{Name: "GOMODCACHE", Value: moduleCache},
		{Name: "GOTOOLCHAIN", Value: "local"},
		{Name: "GOWORK", Value: work},
		{Name: "HOME", Value: "/root"},
	}
}

// offlineEnv is goEnv for commands that must not download, with the user's own
// variables.
func (b *builder) offlineEnv(more ...plan.Env) []plan.Env {
	cgo := "0"
	if b.spec.Build.CGO {
		cgo = "1"
	}
	env := append(b.goEnv(),
		plan.Env{Name: "CGO_ENABLED", Value: cgo},
		plan.Env{Name: "GOCACHE", Value: buildCache},
		plan.Env{Name: "GOPROXY", Value: "off"})
	env = append(env, more...)
	user := app.BuildEnv(b.spec)
	for _, name := range downloadSecrets {
		delete(user, name)
	}
	return app.AppendEnv(env, user)
}

// downloadEnv says whether a variable of build.env is one that the download of
// modules reads. The others stay out of that step: it would run again when they
// change.
func downloadEnv(name string) bool {
	switch strings.ToUpper(name) {
	case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY":
		return true
	}
	return strings.HasPrefix(name, "GO") || strings.HasPrefix(name, "GIT_") || strings.HasPrefix(name, "SSH_")
}

// private says whether the descriptor prepares for modules that are fetched
// from their repositories, which takes git.
func (b *builder) private() bool {
	for _, secret := range b.spec.Secrets {
		if isNetrc(secret) {
			return true
		}
	}
	return b.spec.SSH != "" || b.spec.Build.Env["GOPRIVATE"] != ""
}

func isNetrc(s spec.Secret) bool { return app.BareSecret(s, "netrc") }

func (b *builder) deps() plan.Stage {
	env := append(b.goEnv(), b.sshEnv()...)
	user := map[string]string{}
	for k, v := range b.spec.Build.Env {
		if downloadEnv(k) {
			user[k] = v
		}
	}
	proxies, save := "file://"+proxyCache+",", proxyCache
	caches := []plan.Mount{{Kind: plan.MountCache, Target: proxyCache, CacheID: "birdhouse-go-mod"}}
	if b.private() {
		proxies, save = proxies+"file://"+privateCache+",", privateCache
		caches = append(caches, plan.Mount{Kind: plan.MountCache, Target: privateCache, CacheID: "birdhouse-go-mod-private-" + b.modules[0].path()})
	}
	step := plan.Step{
		Name: "go mod download",
		Args: []string{
			plan.StepsProgram, "exec",
			// What one build downloaded, the next takes from the cache: it is the
			// first module proxy, before those that the user or Go names.
			"--ask", "GOPROXY=go env GOPROXY",
			"--prepend", "GOPROXY=" + proxies,
			"--save", moduleCache + "/cache/download=" + save,
			// The archives are in the cache, their content is unpacked: the layer
			// needs neither them nor clones of repositories.
			"--remove", moduleCache + "/cache=vcs",
			"--remove", moduleCache + "/cache/download=sumdb",
			"--remove", moduleCache + "/cache/download=**/*.zip",
			"--", "go", "mod", "download",
		},
		Env:     app.AppendEnv(env, user),
		Dir:     b.workDir(),
		Network: true,
		Mounts: slices.Concat([]plan.Mount{
			{Kind: plan.MountSource, Target: sourceDir, Include: b.moduleFiles()},
			{Kind: plan.MountOutput, Target: moduleCache},
		}, caches, b.downloadMounts()),
		Hint: "a module that is not public needs its host in build.env.GOPRIVATE, and the secret netrc or ssh: true; a proxy of your own is set with GOPROXY",
	}
	base := b.toolBase()
	base.Variant = "build"
	if b.private() {
		base.With = []string{"git"}
		step.Hint = "is the secret given (--secret id=netrc,src=FILE) or the agent forwarded (--ssh default), and does build.env.GOPRIVATE name the module's host?"
	}
	return plan.Stage{Name: depsStage, Base: base, Steps: []plan.Step{step}}
}

// moduleFiles are the files that the download depends on, as patterns.
func (b *builder) moduleFiles() []string {
	var files []string
	add := func(name string) {
		if b.files.Exists(name) {
			files = append(files, app.EscapePattern(name))
		}
	}
	if b.work != nil {
		add(path.Join(b.work.dir, "go.work"))
		add(path.Join(b.work.dir, "go.work.sum"))
	}
	for _, m := range b.allModules() {
		add(m.name())
		add(path.Join(m.dir, "go.sum"))
	}
	sort.Strings(files)
	return files
}

// downloadMounts are the secrets of the download.
func (b *builder) downloadMounts() []plan.Mount {
	netrc := plan.Mount{Kind: plan.MountSecret, Target: "/root/.netrc", SecretID: "netrc", Optional: true}
	given := map[string]bool{}
	var mounts []plan.Mount
	for _, s := range b.spec.Secrets {
		if isNetrc(s) {
			netrc.Optional = s.Optional
		}
		if s.Env != "" {
			given[s.Env] = true
		}
	}
	mounts = append(mounts, netrc)
	for _, name := range downloadSecrets {
		if _, set := b.spec.Build.Env[name]; !set && !given[name] {
			mounts = append(mounts, plan.Mount{Kind: plan.MountSecretEnv, Target: name, SecretID: name, Optional: true})
		}
	}
	return slices.Concat(mounts, b.secretMounts(), app.SSHMounts(b.spec))
}

// secretMounts are the descriptor's secrets but netrc, which only the download
// gets.
func (b *builder) secretMounts() []plan.Mount { return app.SecretMounts(b.spec, isNetrc) }

// sshEnv makes git use the forwarded agent for the hosts of private modules.
func (b *builder) sshEnv() []plan.Env {
	env := app.SSHEnv(b.spec)
	if env == nil {
		return nil
	}
	hosts := b.privateHosts()
	env = append(env, plan.Env{Name: "GIT_CONFIG_COUNT", Value: strconv.Itoa(len(hosts))})
	for i, host := range hosts {
		env = append(env,
			plan.Env{Name: fmt.Sprintf("GIT_CONFIG_KEY_%d", i), Value: "url.ssh://git@" + host + "/.insteadOf"},
			plan.Env{Name: fmt.Sprintf("GIT_CONFIG_VALUE_%d", i), Value: "https://" + host + "/"})
	}
	return env
}

// privateHosts are the hosts that GOPRIVATE names, and those of required modules
// that it matches by a pattern.
func (b *builder) privateHosts() []string {
	patterns := b.spec.Build.Env["GOPRIVATE"]
	found := map[string]bool{}
	for _, pattern := range strings.Split(patterns, ",") {
		host, _, _ := strings.Cut(strings.TrimSpace(pattern), "/")
		if host != "" && !strings.ContainsAny(host, `*?[\`) {
			found[host] = true
		}
	}
	for mod := range b.external() {
		if modpath.MatchPrefixPatterns(patterns, mod) {
			host, _, _ := strings.Cut(mod, "/")
			found[host] = true
		}
	}
	var hosts []string
	for h := range found {
		hosts = append(hosts, h)
	}
	sort.Strings(hosts)
	return hosts
}

// gitFiles are never part of a Go package: go:embed refuses them. Without them a
// commit alone changes nothing.
var gitFiles = []string{"**/.git"}

// sourceMounts are the project, downloaded modules and the compiler's cache.
func (b *builder) sourceMounts(writable bool) []plan.Mount {
	source := plan.Mount{Kind: plan.MountSource, Target: sourceDir, Exclude: gitFiles, Writable: writable}
	if len(b.spec.Build.Generate) > 0 {
		source = plan.Mount{Kind: plan.MountStage, Target: sourceDir, From: generateStage, Writable: writable}
	}
	return append([]plan.Mount{source}, b.toolMounts()...)
}

func (b *builder) toolMounts() []plan.Mount {
	var mounts []plan.Mount
	if b.download() {
		mounts = append(mounts, plan.Mount{Kind: plan.MountStage, Target: moduleCache, From: depsStage, Large: true})
	}
	mounts = append(mounts, plan.Mount{Kind: plan.MountCache, Target: buildCache, CacheID: "birdhouse-go-build-" + plan.BuildArch})
	return append(mounts, b.secretMounts()...)
}

func (b *builder) generate() plan.Stage {
	packages := []string(b.spec.Build.Generate)
	return plan.Stage{
		Name: generateStage,
		Base: b.buildBase(false),
		Steps: []plan.Step{{
			Name:   "go generate " + strings.Join(packages, " "),
			Args:   append(append([]string{"go", "generate"}, b.tagFlags()...), packages...),
			Env:    b.offlineEnv(),
			Dir:    b.workDir(),
			Mounts: append([]plan.Mount{{Kind: plan.MountOutput, Target: sourceDir, From: "source", Exclude: gitFiles}}, b.toolMounts()...),
			Asked:  "build.generate",
			Hint:   "generators run without network: they must be programs of the project, of its modules (go run, go tool) or of the build image",
		}},
	}
}

func (b *builder) tagFlags() []string {
	if t := tags(b.spec); len(t) > 0 {
		return []string{"-tags=" + strings.Join(t, ",")}
	}
	return nil
}

func (b *builder) test() plan.Stage {
	step := func(name string, args []string) plan.Step {
		return plan.Step{
			Name: name, Args: args, Env: b.offlineEnv(), Dir: b.workDir(),
			Mounts: append(b.sourceMounts(true), plan.Mount{Kind: plan.MountOutput, Target: outDir}),
			Asked:  "test",
			Hint:   "the image is built when the tests pass; they run as root, without network but loopback",
		}
	}
	stage := plan.Stage{Name: testStage, Base: b.buildBase(false), Gate: true}
	if command := b.spec.Test.Command; command != nil {
		stage.Steps = []plan.Step{step(strings.Join(command, " "), command)}
		return stage
	}
	var patterns []string
	for _, m := range b.modules {
		patterns = append(patterns, strings.TrimSuffix(b.pattern(m.dir), "/.")+"/...")
	}
	for _, command := range []string{"vet", "test"} {
		args := append(append([]string{"go", command}, b.tagFlags()...), patterns...)
		stage.Steps = append(stage.Steps, step("go "+command+" "+strings.Join(patterns, " "), args))
	}
	return stage
}

func (b *builder) compile() plan.Stage {
	args := []string{"go", "build", "-trimpath", "-buildvcs=false"}
	args = append(args, b.tagFlags()...)
	args = append(args, "-ldflags="+strings.Join(append([]string{"-s", "-w"}, b.spec.Build.LDFlags...), " "))
	args = append(args, b.spec.Build.Flags...)
	args = append(args, "-o", outDir+"/")
	args = append(args, b.patterns(b.programs.dirs)...)

	asked := ""
	if len(b.spec.Package) > 0 {
		asked = "package"
	}
	return plan.Stage{
		Name: buildStage,
		Base: b.buildBase(true),
		Steps: []plan.Step{{
			Name:        "go build " + strings.Join(b.patterns(b.programs.dirs), " "),
			Args:        args,
			Env:         b.offlineEnv(plan.Env{Name: "GOARCH", Value: plan.TargetArch}, plan.Env{Name: "GOOS", Value: plan.TargetOS}),
			PlatformEnv: b.platformEnv(),
			Dir:         b.workDir(),
			Mounts:      append(b.sourceMounts(false), plan.Mount{Kind: plan.MountOutput, Target: outDir}),
			Asked:       asked,
			Hint:        "files that .dockerignore excludes are not there, //go:embed and default.pgo included; go mod tidy repairs go.mod and go.sum",
		}},
		PerPlatform: true,
	}
}

// platformEnv are the variables that differ between platforms: the levels of
// https://go.dev/doc/install/source#environment, and for cgo the C compilers,
// whose full names Debian's native ones have as well, and where pkg-config finds
// the libraries of packages.
func (b *builder) platformEnv() map[string][]plan.Env {
	env := map[string][]plan.Env{
		"amd64/v2": {{Name: "GOAMD64", Value: "v2"}},
		"amd64/v3": {{Name: "GOAMD64", Value: "v3"}},
		"amd64/v4": {{Name: "GOAMD64", Value: "v4"}},
		"arm/v5":   {{Name: "GOARM", Value: "5"}},
		"arm/v6":   {{Name: "GOARM", Value: "6"}},
		"arm/v7":   {{Name: "GOARM", Value: "7"}},
	}
	if !b.spec.Build.CGO {
		return env
	}
	for arch, triplet := range map[string]string{"amd64": "x86_64-linux-gnu", "arm64": "aarch64-linux-gnu"} {
		for _, platform := range []string{arch, arch + "/v2", arch + "/v3", arch + "/v4"} {
			if platform != arch && arch != "amd64" {
				continue
			}
			vars := []plan.Env{{Name: "CC", Value: triplet + "-gcc"}, {Name: "CXX", Value: triplet + "-g++"}}
			if len(b.spec.Build.Packages) > 0 {
				vars = append(vars, plan.Env{Name: "PKG_CONFIG_LIBDIR", Value: "/usr/lib/" + triplet + "/pkgconfig:/usr/lib/pkgconfig:/usr/share/pkgconfig"})
			}
			for _, c := range vars {
				if _, set := b.spec.Build.Env[c.Name]; !set {
					env[platform] = append(env[platform], c)
				}
			}
		}
	}
	return env
}

// libraries checks that the run image has the shared libraries of the program.
func (b *builder) libraries() plan.Stage {
	return app.Libraries(b.toolBase(), plan.Mount{Kind: plan.MountStage, Target: outDir, From: buildStage}, "build.cgo",
		"the run image has the C and C++ libraries alone: add the packages that have others, or link them statically (build.ldflags: -extldflags=-static and the like)")
}

// reservedEnv are variables that the plan decides, with the key to use instead.
var reservedEnv = map[string]string{
	"CGO_ENABLED": "build.cgo says whether cgo is used",
	"GOARCH":      "--platform says what to build for",
	"GOCACHE":     "",
	"GOENV":       "",
	"GOFLAGS":     "build.flags and build.tags add flags to go build",
	"GOMODCACHE":  "",
	"GOOS":        "--platform says what to build for",
	"GOPATH":      "",
	"GOROOT":      "version says which Go builds",
	"GOTOOLCHAIN": "version says which Go builds",
	"HOME":        "",
}

// reservedFlags are flags of go build that the plan decides.
var reservedFlags = map[string]string{
	"C":        "dir names the project's folder",
	"buildvcs": "version and revision come by build.ldflags: -X main.version={{.Version}}",
	"ldflags":  "build.ldflags adds flags for the linker",
	"mod":      "modules are read from vendor/ when it is there, else downloaded as go.sum says",
	"o":        "the program is /app/ and its package's name",
	"tags":     "build.tags adds build tags",
	"trimpath": "paths are always trimmed",
}

// checkBuildKeys reports keys of build that contradict the plan.
func checkBuildKeys(s *spec.Spec) spec.Problems {
	reserved := reservedEnv
	if s.Build.Env["GOWORK"] != "off" {
		reserved = maps.Clone(reserved)
		reserved["GOWORK"] = "the workspace is that of the project's go.work; only \"off\" may be said here"
	}
	problems := app.Reserved(s, reserved)
	for i, flag := range s.Build.Flags {
		name, _, _ := strings.Cut(strings.TrimLeft(flag, "-"), "=")
		if i == 0 && !strings.HasPrefix(flag, "-") {
			problems = append(problems, s.Problem("build.flags[0]", fmt.Sprintf("build.flags: %q is not a flag", flag), "package names what to build"))
			continue
		}
		if hint, reserved := reservedFlags[name]; reserved && strings.HasPrefix(flag, "-") {
			problems = append(problems, s.Problem(fmt.Sprintf("build.flags[%d]", i), fmt.Sprintf("build.flags: -%s is set by the build itself", name), hint))
		}
	}
	if s.SSH != "" && s.Build.Env["GOPRIVATE"] == "" {
		problems = append(problems, s.Warning("ssh", "ssh: without GOPRIVATE no module is fetched by ssh",
			"name the hosts of your private modules with\nbuild:\n  env:\n    GOPRIVATE: git.example.com"))
	}
	return problems
}
