package python

import (
	"encoding/json"
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// The second output of the installation: native modules, and the libraries that came
// with them.
const (
	librariesOutput = "libraries"
	librariesDir    = "/libraries"
)

// targetPlatform is the variable that names the image's platform in uv's words.
const targetPlatform = "BIRDHOUSE_PLATFORM"

// glibc is the newest of the C library, in uv's words, that wheels for a version of
// Python may need: that of the Debian release that its image is made of, or the newest
// that uv knows.
func (r runtime) glibc() string {
	if r.version == "3.11" {
		return "manylinux_2_36"
	}
	return "manylinux_2_40"
}

// uvEnv is the environment of uv.
func (b *builder) uvEnv() []plan.Env {
	return []plan.Env{
		{Name: "HOME", Value: "/root"},
		{Name: "PATH", Value: searchPath},
		{Name: "PYC_INVALIDATION_MODE", Value: "UNCHECKED_HASH"},
		{Name: "PYTHONHASHSEED", Value: "0"},
		{Name: "UV_CACHE_DIR", Value: uvCache},
		{Name: "UV_LINK_MODE", Value: "copy"},
		{Name: "UV_NO_INSTALLER_METADATA", Value: "1"},
		{Name: "UV_NO_PROGRESS", Value: "1"},
		{Name: "UV_PYTHON", Value: b.runtime.interpreter()},
	}
}

// command is a command of the steps program's exec.
func command(args ...string) string { return compactJSON(exec.Command{Args: args}) }

// makeVenv makes an environment.
func (b *builder) makeVenv(dir string) []string {
	return []string{"uv", "venv", "--quiet", "--no-project", "--python", b.runtime.interpreter(), dir}
}

// venvLeftovers are what is in an environment that no program reads, as patterns.
var venvLeftovers = []string{
	"bin/activate*", "bin/deactivate*", "bin/pydoc.bat", ".lock", ".gitignore", "CACHEDIR.TAG",
}

// install is the stage that installs dependencies: those that the image has, or those
// of the tests as well.
func (b *builder) install(stage string) plan.Stage {
	tests := stage == testDepsStage
	step := plan.Step{
		Env: b.downloadEnv(b.uvEnv()), Dir: sourceDir, Network: true,
		Mounts: []plan.Mount{
			{Kind: plan.MountOutput, Target: venvDir},
			{Kind: plan.MountCache, Target: uvCache, CacheID: b.cacheID()},
		},
		Hint: b.installHint(),
	}
	out := plan.Stage{Name: stage, Base: plan.Base{Image: "python", Version: b.runtime.version, Variant: "build"}, PerPlatform: true}
	if !tests && b.installs() {
		step.Mounts = append(step.Mounts, plan.Mount{Kind: plan.MountOutput, Target: librariesDir, Output: librariesOutput})
	}
	var args, before []string
	switch {
	case !b.installs() && !tests:
		step.Name, args = "uv venv", b.makeVenv(venvDir)
	case b.tool.name == uvTool:
		step.Name, args = b.syncCommand(tests)
		step.Env = append(step.Env, plan.Env{Name: "UV_PROJECT_ENVIRONMENT", Value: venvDir})
		step.Mounts = append(step.Mounts, b.uvManifests())
	default:
		before = b.makeVenv(venvDir)
		step.Name, args = b.pipCommand(tests)
		step.Mounts = append(step.Mounts, b.requirementFiles(tests))
	}
	if b.installs() || tests {
		if b.bytecode() && !tests {
			args = append(args, "--compile-bytecode")
		}
		if len(b.spec.Build.SDist) > 0 {
			out.Base = b.compilerBase()
			out.Native = fmt.Sprintf("%s is compiled from its source", strings.Join(b.spec.Build.SDist, ", "))
		} else {
			step.PlatformEnv = map[string][]plan.Env{
				"amd64": {{Name: targetPlatform, Value: "x86_64-" + b.runtime.glibc()}},
				"arm64": {{Name: targetPlatform, Value: "aarch64-" + b.runtime.glibc()}},
			}
			args = append(args, "--python-platform=${"+targetPlatform+"}")
			if b.deps.git {
				out.Base.With = []string{"git"}
			}
		}
		step.Mounts = append(step.Mounts, b.downloadMounts()...)
	}
	wrapped := []string{plan.StepsProgram, "exec"}
	if before != nil {
		wrapped = append(wrapped, "--before", command(before...))
	}
	if !tests && b.installs() {
		wrapped = append(wrapped, "--collect", compactJSON(exec.Collection{
			From: venvDir, To: librariesDir, Root: venvDir, Include: []string{"lib/**/*.so", "lib/**/*.so.*", "bin/*"},
			Exclude: []string{"bin/python*", "lib64"},
		}))
	}
	for _, pattern := range venvLeftovers {
		wrapped = append(wrapped, "--remove", venvDir+"="+pattern)
	}
	for _, name := range b.optionalVariables(step.Mounts) {
		wrapped = append(wrapped, "--optional", name)
	}
	step.Args = append(append(wrapped, "--"), args...)
	out.Steps = []plan.Step{step}
	return out
}

// syncCommand is what installs by uv's lock file, all but what the project itself
// consists of.
func (b *builder) syncCommand(tests bool) (name string, args []string) {
	args = []string{"uv", "sync", "--frozen", "--no-install-project", "--no-install-workspace", "--no-install-local"}
	name = "uv sync --frozen"
	if tests {
		args = append(args, "--all-groups")
	} else {
		args = append(args, "--no-default-groups")
		name += " --no-default-groups"
	}
	if b.app != b.top {
		args = append(args, "--package", b.app.name)
	}
	for _, g := range b.spec.Build.Groups {
		if !tests {
			args = append(args, "--group", g)
		}
	}
	for _, e := range b.spec.Build.Extras {
		args = append(args, "--extra", e)
	}
	args = append(args, "--no-build")
	for _, n := range b.spec.Build.SDist {
		args = append(args, "--no-binary-package", n)
	}
	return name, args
}

// pipCommand is what installs by requirements.
func (b *builder) pipCommand(tests bool) (name string, args []string) {
	args = []string{"uv", "pip", "install", "--python", venvDir + "/bin/python", "--only-binary", ":all:"}
	for _, n := range b.spec.Build.SDist {
		args = append(args, "--no-binary", n)
	}
	if b.deps.hashes && !tests {
		args = append(args, "--require-hashes")
	}
	if b.deps.complete {
		args = append(args, "--no-deps")
	}
	args = append(args, "--requirements", requirementsFile)
	if b.deps.constraints != "" {
		args = append(args, "--constraints", constraintsFile)
	}
	return "uv pip install --requirements " + path.Base(b.tool.file), args
}

// The files that the planner writes for uv, in sourceDir.
const (
	requirementsFile = "requirements.txt"
	constraintsFile  = "constraints.txt"
)

// requirementFiles are the requirements without comments, and without what the project
// itself consists of: an edit of those installs nothing.
func (b *builder) requirementFiles(tests bool) plan.Mount {
	text := b.deps.text
	if tests {
		text += b.deps.testText
	}
	mount := plan.Mount{Kind: plan.MountFiles, Target: sourceDir, Files: []plan.File{{Path: requirementsFile, Mode: 0o644, Content: text}}}
	if b.deps.constraints != "" {
		mount.Files = append(mount.Files, plan.File{Path: constraintsFile, Mode: 0o644, Content: b.deps.constraints})
	}
	return mount
}

// uvManifests are the files that decide about what uv installs.
func (b *builder) uvManifests() plan.Mount {
	include := []string{app.EscapePattern(b.tool.file)}
	for _, m := range append([]*member{b.top}, b.members...) {
		if m.pyproject != nil {
			include = append(include, app.EscapePattern(m.file))
		}
	}
	if name := path.Join(b.root, "uv.toml"); b.files.Exists(name) {
		include = append(include, app.EscapePattern(name))
	}
	sort.Strings(include)
	return plan.Mount{Kind: plan.MountFiles, Target: sourceDir, Include: include, Exclude: slices.Clone(neverRead), Path: b.root, Writable: true}
}

// cacheID names the cache of downloads. That of private packages is kept apart: who
// builds another project has perhaps no right to see them.
func (b *builder) cacheID() string {
	id := "birdhouse-python-uv"
	if b.private() {
		id += "-private-" + b.app.title()
	}
	return id
}

// The ids of secrets with credentials and settings of indexes.
const (
	netrcSecret = "netrc"
	pipSecret   = "pip.conf"
)

// indexVariables are the settings of uv that say where packages come from:
// https://docs.astral.sh/uv/reference/environment/. The command takes them from the
// machine's configuration of uv and pip.
var indexVariables = []string{"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_INSECURE_HOST"}

// downloadSecret says whether a secret is for downloads alone.
func downloadSecret(s spec.Secret) bool {
	return app.BareSecret(s, netrcSecret) || app.BareSecret(s, pipSecret) || s.Target == "" && (s.Env == "" || s.Env == s.ID) && indexSecret(s.ID)
}

// indexSecret says whether a variable is one of those that indexes are set with.
func indexSecret(name string) bool {
	return slices.Contains(indexVariables, name) || strings.HasPrefix(name, "UV_INDEX_")
}

// private says whether the descriptor prepares for packages that not everybody may have.
func (b *builder) private() bool {
	return b.spec.SSH != "" || slices.ContainsFunc(b.spec.Secrets, downloadSecret)
}

// downloadMounts are the secrets of downloads: what the machine is set to, and what the
// descriptor asks for.
func (b *builder) downloadMounts() []plan.Mount {
	netrc := plan.Mount{Kind: plan.MountSecret, Target: "/root/.netrc", SecretID: netrcSecret, Optional: true}
	variables := map[string]bool{}
	for _, name := range append(slices.Clone(indexVariables), b.indexCredentials()...) {
		variables[name] = true
	}
	for _, name := range b.deps.variables {
		variables[name] = true
	}
	var mounts []plan.Mount
	for _, s := range b.spec.Secrets {
		switch {
		case app.BareSecret(s, netrcSecret):
			netrc.Optional = s.Optional
		case downloadSecret(s):
			variables[s.ID] = s.Optional
		}
	}
	mounts = append(mounts, netrc)
	names := make([]string, 0, len(variables))
	for name := range variables {
		_, set := b.spec.Build.Env[name]
		_, arg := b.spec.Args[name]
		given := slices.ContainsFunc(b.spec.Secrets, func(s spec.Secret) bool { return s.Env == name && s.ID != name })
		if !set && !arg && !given {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	for _, name := range names {
		mounts = append(mounts, plan.Mount{Kind: plan.MountSecretEnv, Target: name, SecretID: name, Optional: variables[name]})
	}
	mounts = append(mounts, b.secrets()...)
	return append(mounts, app.SSHMounts(b.spec)...)
}

// indexCredentials are the variables that have the credentials of the indexes that
// pyproject.toml names: https://docs.astral.sh/uv/concepts/indexes/#providing-credentials-directly.
func (b *builder) indexCredentials() []string {
	var names []string
	for _, m := range []*member{b.top, b.app} {
		if m.pyproject == nil {
			continue
		}
		for _, index := range m.root.Get("tool", "uv", "index").List() {
			name := strings.Map(func(r rune) rune {
				if r >= 'a' && r <= 'z' {
					return r - 'a' + 'A'
				}
				if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
					return r
				}
				return '_'
			}, index.Get("name").String())
			if name != "" {
				names = append(names, "UV_INDEX_"+name+"_USERNAME", "UV_INDEX_"+name+"_PASSWORD")
			}
		}
	}
	sort.Strings(names)
	return slices.Compact(names)
}

// optionalVariables are those that uv must not see empty, as those of secrets are that
// nobody has given.
func (b *builder) optionalVariables(mounts []plan.Mount) []string {
	var names []string
	for _, m := range mounts {
		if m.Kind == plan.MountSecretEnv && m.Optional {
			names = append(names, m.Target)
		}
	}
	return names
}

// downloadNames are what the names of variables begin with that decide about an
// installation. The others stay out of it: it would run again when they change.
var downloadNames = []string{
	"UV_", "PIP_", "GIT_", "SSH_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY",
	"CC", "CXX", "CFLAGS", "CPPFLAGS", "LDFLAGS", "MAKEFLAGS", "PKG_CONFIG", "CMAKE", "SETUPTOOLS_", "PG_CONFIG", "MYSQLCLIENT_",
}

// downloadEnv adds the variables that installations read.
func (b *builder) downloadEnv(env []plan.Env) []plan.Env {
	user := map[string]string{}
	for k, v := range app.BuildEnv(b.spec) {
		if slices.ContainsFunc(downloadNames, func(prefix string) bool { return strings.HasPrefix(strings.ToUpper(k), prefix) }) || slices.Contains(b.deps.variables, k) {
			user[k] = v
		}
	}
	if b.spec.SSH != "" {
		env = append(env,
			plan.Env{Name: "GIT_SSH_COMMAND", Value: "ssh -o BatchMode=yes -o ControlMaster=no -o StrictHostKeyChecking=accept-new"},
			plan.Env{Name: "SSH_AUTH_SOCK", Value: app.SSHAgent})
	}
	return app.AppendEnv(env, user)
}

func (b *builder) installHint() string {
	hint := "a package that has no wheel for Python " + b.runtime.version + " is compiled with build: {sdist: [NAME]}; another version: is perhaps one that it has wheels for\n" +
		"private packages need credentials: secrets: [netrc], and --secret id=netrc,src=$HOME/.netrc"
	if c := lockCommands[b.tool.name]; c != "" {
		hint += fmt.Sprintf("\nwhere %s is not that of the project, `%s` writes it anew", b.tool.file, c)
	}
	return hint
}

// compactJSON writes JSON in one line; what it is given can be written.
func compactJSON(v any) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(err)
	}
	return strings.TrimSpace(b.String())
}
