package python

import (
	"fmt"
	"path"
	"slices"
	"sort"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/python/lock"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	"github.com/birdhouse-build/birdhouse/steps/exec"
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
		{Name: "PYTHONHASHSEED", Value: "0"},
		{Name: "UV_CACHE_DIR", Value: uvCache},
		{Name: "UV_LINK_MODE", Value: "copy"},
		{Name: "UV_NO_INSTALLER_METADATA", Value: "1"},
		{Name: "UV_NO_PROGRESS", Value: "1"},
		{Name: "UV_PYTHON", Value: b.runtime.interpreter()},
	}
}

// makeVenv makes an environment.
func (b *builder) makeVenv(dir string) []string {
	return []string{"uv", "venv", "--quiet", "--no-project", "--python", b.runtime.interpreter(), dir}
}

// venvLeftovers are what is in an environment that no program reads, as patterns.
var venvLeftovers = []string{
	"include", "share/man", "bin/activate*", "bin/deactivate*", "bin/pydoc.bat", ".lock", ".gitignore", "CACHEDIR.TAG",
}

// interpreterFiles are patterns of what an environment has beside its packages, which the
// one that holds the dependencies has already.
var interpreterFiles = []string{"bin/python*", "pyvenv.cfg", "lib64"}

// install is the stage that installs dependencies: those that the image has, or those
// of the tests as well.
func (b *builder) install(stage string) plan.Stage {
	tests := stage == testDepsStage
	if !b.installs() && !tests {
		return plan.Stage{
			Name: stage, Base: b.catalogImage("build"),
			Steps: []plan.Step{{
				Name: "uv venv", Args: execArgs(nil, venvLeftovers, b.makeVenv(venvDir)), Env: b.uvEnv(), Dir: "/",
				Mounts: []plan.Mount{{Kind: plan.MountOutput, Target: venvDir}},
			}},
		}
	}
	var before [][]string
	var name string
	var args []string
	var files plan.Mount
	env := b.uvEnv()
	switch {
	case b.tool.name == uvTool:
		name, args = b.syncCommand(tests)
		env = append(env, plan.Env{Name: "UV_PROJECT_ENVIRONMENT", Value: venvDir})
		files = b.uvManifests()
	case b.resolvesSource():
		before = [][]string{b.makeVenv(venvDir)}
		name, args = b.pipCommand(tests)
		files = plan.Mount{Kind: plan.MountFiles, Target: at(b.root), Files: b.indexSettings()}
	default:
		before = [][]string{b.makeVenv(venvDir)}
		name, args = b.pipCommand(tests)
		files = b.requirementFiles(tests)
	}
	if tests {
		name += " (for tests)"
	}
	out := b.download(stage, name, env, before, args, files, b.deps.pure || tests, nil, b.deps.places)
	if b.resolvesSource() {
		out.Steps[0].Mounts = append(out.Steps[0].Mounts, plan.Mount{Kind: plan.MountStage, Target: metadataDir, From: metadataStage})
	}
	return out
}

// download is a stage that installs packages into an environment.
func (b *builder) download(stage, name string, env []plan.Env, before [][]string, args []string, files plan.Mount, pure bool, remove []string, places []place) plan.Stage {
	out := plan.Stage{Name: stage, Base: b.catalogImage("build")}
	step := plan.Step{
		Name: name, Env: b.downloadEnv(env), Dir: at(b.root), Network: true,
		Mounts: append([]plan.Mount{
			{Kind: plan.MountOutput, Target: venvDir},
			{Kind: plan.MountCache, Target: uvCache, CacheID: b.cacheID()},
			files,
		}, b.downloadMounts()...),
		Hint: b.installHint(),
	}
	switch {
	case len(b.spec.Build.SDist) > 0 && remove == nil:
		out.Base, out.PerPlatform = b.compilerBase(), true
		out.Native = fmt.Sprintf("%s is compiled from its source", strings.Join(b.spec.Build.SDist, ", "))
		if stage == testDepsStage {
			out.PerPlatform, out.Native = false, ""
		}
	case !pure:
		out.PerPlatform = true
		step.PlatformEnv = map[string][]plan.Env{
			"amd64": {{Name: targetPlatform, Value: "x86_64-" + b.runtime.glibc()}},
			"arm64": {{Name: targetPlatform, Value: "aarch64-" + b.runtime.glibc()}},
		}
		args = append(args, "--python-platform=${"+targetPlatform+"}")
	}
	if b.deps.git && out.Base.Variant != compilerVariant {
		out.Base.With = []string{"git"}
	}
	for i := range before {
		before[i] = b.withPipConfig(before[i])
	}
	args = b.withPipConfig(args)
	if stage != testDepsStage {
		args, step.Blame = b.blame(args, places)
	}
	optional := b.optionalVariables(step.Mounts)
	if stage != testDepsStage && b.bytecode() {
		cache := ""
		if !b.runsForeign() {
			cache = bytecodeCache
			step.Mounts = append(step.Mounts, b.bytecodeMount())
		}
		before, args = append(before, args), b.compileInstalled(cache)
	}
	step.Mounts = append(step.Mounts, programs())
	step.Args = execArgs(before, append(slices.Clone(venvLeftovers), remove...), args, optional...)
	out.Steps = []plan.Step{step}
	return out
}

// execArgs has the steps program run commands, the last of which makes an environment or
// installs into it, and remove what it leaves there. Optional are variables that
// must not be seen empty.
func execArgs(before [][]string, remove, args []string, optional ...string) []string {
	all := []string{plan.StepsProgram, "exec"}
	for _, c := range before {
		all = append(all, "--before", app.JSON(exec.Command{Args: c}))
	}
	for _, pattern := range remove {
		all = append(all, "--remove", venvDir+"="+pattern)
	}
	for _, name := range optional {
		all = append(all, "--optional", name)
	}
	return append(append(all, "--"), args...)
}

// largeStage is the name of the stage that installs a large package.
func largeStage(l large) string { return "deps-" + l.name }

// installLarge is the stage that installs a large package by itself: it is installed again
// when its own version changes, and not when another's does.
func (b *builder) installLarge(l large) plan.Stage {
	args := b.pipArgs([]string{"--no-deps", "--require-hashes"})
	files := plan.Mount{Kind: plan.MountFiles, Target: at(b.root), Files: []plan.File{{Path: requirementsFile, Mode: 0o644, Content: l.text}}}
	return b.download(largeStage(l), "uv pip install "+l.name, b.uvEnv(), [][]string{b.makeVenv(venvDir)}, args, files, l.pure, interpreterFiles, b.deps.placesOf(l.name))
}

// syncCommand is what installs by uv's lock file, all but what the project itself
// consists of.
func (b *builder) syncCommand(tests bool) (name string, args []string) {
	args = []string{"uv", "sync", "--frozen", "--no-install-project", "--no-install-workspace"}
	if len(b.deps.files) == 0 {
		args = append(args, "--no-install-local")
	} else {
		// That flag leaves archives out as well.
		for _, p := range b.lock.Packages {
			if p.Source.Kind == lock.Directory || p.Source.Kind == lock.Virtual {
				args = append(args, "--no-install-package", p.Name)
			}
		}
	}
	name = "uv sync --frozen"
	switch {
	case tests && b.top.root.Get("tool", "uv", "conflicts") != nil:
		// The groups that uv installs by itself are those that go together.
	case tests:
		args = append(args, "--all-groups")
	default:
		args = append(args, "--no-default-groups")
		name += " --no-default-groups"
		for _, g := range b.spec.Build.Groups {
			args = append(args, "--group", g)
		}
		for _, l := range b.deps.large {
			args = append(args, "--no-install-package", l.name)
		}
	}
	if b.app != b.top {
		args = append(args, "--package", b.app.name)
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

// pipArgs is uv's installation of requirements with further flags.
func (b *builder) pipArgs(flags []string) []string {
	args := append([]string{"uv", "pip", "install", "--python", venvDir + "/bin/python", "--only-binary", ":all:"}, flags...)
	if b.lock != nil {
		for _, index := range b.deps.indexes {
			args = append(args, "--index", index)
		}
		if len(b.deps.indexes) > 0 {
			// Every package is known by its hash, so any index that has it is right.
			args = append(args, "--index-strategy", "unsafe-best-match")
		}
	}
	return append(args, "--requirements", requirementsFile)
}

// pipCommand is what installs by requirements.
func (b *builder) pipCommand(tests bool) (name string, args []string) {
	var flags []string
	for _, n := range b.spec.Build.SDist {
		flags = append(flags, "--no-binary", n)
	}
	if b.deps.hashes && !tests {
		flags = append(flags, "--require-hashes")
	}
	if b.deps.complete {
		flags = append(flags, "--no-deps")
	}
	if b.deps.constraints != "" {
		flags = append(flags, "--constraints", constraintsFile)
	}
	args = b.pipArgs(flags)
	if b.resolvesSource() {
		args[len(args)-1] = path.Join(metadataDir, requirementsFile)
	}
	return "uv pip install --requirements " + path.Base(b.tool.file), args
}

// The files that the planner writes for uv, in the folder of the lock file.
const (
	requirementsFile = "requirements.txt"
	constraintsFile  = "constraints.txt"
)

// requirementFiles are the requirements without comments, and without what the project
// itself consists of: an edit of those installs nothing.
func (b *builder) requirementFiles(tests bool) plan.Mount {
	text := b.deps.text
	if tests {
		text = b.deps.testText
	}
	mount := plan.Mount{Kind: plan.MountFiles, Target: at(b.root), Files: []plan.File{{Path: requirementsFile, Mode: 0o644, Content: text}}}
	if b.deps.constraints != "" {
		mount.Files = append(mount.Files, plan.File{Path: constraintsFile, Mode: 0o644, Content: b.deps.constraints})
	}
	mount.Files = append(mount.Files, b.indexSettings()...)
	if len(b.deps.files) > 0 {
		// Archives of the project, by their paths in the context.
		mount.Target = sourceDir
		for i := range mount.Files {
			mount.Files[i].Path = path.Join(b.root, mount.Files[i].Path)
		}
		for _, name := range b.deps.files {
			mount.Include = append(mount.Include, app.EscapePattern(name))
		}
	}
	return mount
}

// indexSettings is a pyproject.toml with uv's settings of the project's alone, where nothing
// is locked: with the indexes, their names, by which uv finds credentials, and what versions
// may be chosen.
func (b *builder) indexSettings() []plan.File {
	m := b.top.pyproject
	if b.tool.name != unlocked && b.tool.name != uvTool || m == nil {
		return nil
	}
	var text strings.Builder
	for _, key := range keptSettings {
		if v := m.root.Get("tool", "uv", key); v != nil {
			fmt.Fprintf(&text, "%s = %s\n", key, encodeTOML(v))
		}
	}
	if text.Len() == 0 {
		return nil
	}
	return []plan.File{{Path: "pyproject.toml", Mode: 0o644, Content: "[tool.uv]\n" + text.String()}}
}

// keptSettings are the settings of uv that say where packages come from and which:
// https://docs.astral.sh/uv/reference/settings/.
var keptSettings = []string{
	"constraint-dependencies", "exclude-newer", "extra-index-url", "find-links", "index", "index-strategy", "index-url", "no-index",
	"override-dependencies", "prerelease", "resolution",
}

// uvManifests are the files that decide about what uv installs, and nothing else of them: another
// version of the project, or another setting of a tool, installs nothing.
func (b *builder) uvManifests() plan.Mount {
	mount := plan.Mount{Kind: plan.MountFiles, Target: sourceDir, Include: []string{app.EscapePattern(b.tool.file)}}
	for _, m := range append([]*member{b.top}, b.members...) {
		if m.pyproject != nil {
			mount.Files = append(mount.Files, plan.File{Path: m.file, Mode: 0o644, Content: m.reduced()})
		}
	}
	for _, name := range b.deps.files {
		mount.Include = append(mount.Include, app.EscapePattern(name))
	}
	if name := path.Join(b.root, "uv.toml"); b.files.Exists(name) {
		mount.Include = append(mount.Include, app.EscapePattern(name))
	}
	return mount
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
		case app.BareSecret(s, pipSecret):
			mounts = append(mounts, plan.Mount{Kind: plan.MountSecret, Target: pipConfig, SecretID: pipSecret, Optional: s.Optional})
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

// pipConfig is where pip looks for its configuration.
const pipConfig = "/root/.config/pip/pip.conf"

// readPipConfig sets uv's variables to what pip's configuration says, and runs a command: uv
// does not read that file.
const readPipConfig = `import configparser, os, sys
config = configparser.ConfigParser(interpolation=None)
config.read("` + pipConfig + `")
for variable, key in ("UV_DEFAULT_INDEX", "index-url"), ("UV_INDEX", "extra-index-url"), ("UV_INSECURE_HOST", "trusted-host"):
    for section in "install", "global":
        for name, value in config.items(section) if config.has_section(section) else ():
            if name.replace("_", "-") == key and not os.environ.get(variable):
                os.environ[variable] = " ".join(value.split())
os.execvp(sys.argv[1], sys.argv[1:])
`

// withPipConfig has a command know the indexes of pip's configuration, where the descriptor
// has the secret.
func (b *builder) withPipConfig(args []string) []string {
	if !slices.ContainsFunc(b.spec.Secrets, func(s spec.Secret) bool { return app.BareSecret(s, pipSecret) }) {
		return args
	}
	return append([]string{b.runtime.interpreter(), "-c", readPipConfig}, args...)
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
	return app.AppendEnv(append(env, app.SSHEnv(b.spec)...), user)
}

func (b *builder) installHint() string {
	hint := "private packages need credentials: secrets: [netrc], and --secret id=netrc,src=$HOME/.netrc"
	if b.lock == nil || b.tool.name == pipenvTool {
		// Other locks say which wheels there are.
		hint = "a package that has no wheel for Python " + b.runtime.version + " is compiled with build: {sdist: [NAME]}, or has one for another `version`\n" + hint
	}
	if c := lockCommands[b.tool.name]; c != "" {
		hint += fmt.Sprintf("\nwhere %s is not that of the project, `%s` writes it anew", b.tool.file, c)
	}
	return b.sdistHint() + hint
}
