package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// The package managers.
const (
	npm  = "npm"
	pnpm = "pnpm"
	yarn = "yarn"
)

// tool is the package manager.
type tool struct {
	// name is npm, pnpm or yarn; "" when there is nothing to install.
	name string
	// version is a full one, "" for the npm of the build image.
	version string
	// hash is what packageManager says of its archive: "sha512.…", "" for none.
	hash string
	// berry is yarn 2 and newer.
	berry bool
	// file is the program of yarn in the project (yarnPath), "" for none.
	file string
	// lockFile is its path in the context, "" without dependencies.
	lockFile string
	// source is where the choice came from.
	source string
}

// String is what people call it: "pnpm 12.21.0".
func (t tool) String() string {
	if t.version == "" {
		return t.name
	}
	return t.name + " " + t.version
}

// lockCommand writes the lock file anew.
func (t tool) lockCommand() string {
	switch t.name {
	case npm:
		return "npm install --package-lock-only"
	case pnpm:
		return "pnpm install --lockfile-only"
	}
	if t.berry {
		return "yarn install --mode=update-lockfile"
	}
	return "yarn install"
}

func (t tool) major() uint64 {
	v, err := semver.NewVersion(t.version)
	if err != nil {
		return 0
	}
	return v.Major()
}

// yarnRelease is what `yarn set version` calls the program in the project.
var yarnRelease = regexp.MustCompile(`^yarn-([0-9]+)\.[0-9.]+(-[^/]*)?\.c?js$`)

// yarnMajor is the major version of yarn, also of one that is a file of the project;
// 0 when that file's name does not say.
func (b *builder) yarnMajor() uint64 {
	if m := yarnRelease.FindStringSubmatch(path.Base(b.tool.file)); b.tool.version == "" && m != nil {
		major, _ := strconv.ParseUint(m[1], 10, 64)
		return major
	}
	return b.tool.major()
}

// Versions that are installed where only a lock file tells which tool wrote it:
// the newest that write that form.
const (
	yarnClassic = "1.22.22"
	pnpmDefault = "10.34.9"
)

// berryVersions are versions of yarn by the `version` of `__metadata`.
var berryVersions = map[string]string{"4": "2.4.3", "6": "3.8.7", "8": "4.12.0", "10": "4.18.1"}

// lockNames are the lock files by tool, in the order in which they are looked for.
var lockNames = []struct{ file, tool string }{
	{"npm-shrinkwrap.json", npm},
	{"package-lock.json", npm},
	{"pnpm-lock.yaml", pnpm},
	{"yarn.lock", yarn},
	{"bun.lock", "bun"},
	{"bun.lockb", "bun"},
}

var managerForm = regexp.MustCompile(`^(npm|pnpm|yarn|bun)(?:@([0-9]+\.[0-9]+\.[0-9]+(?:-[0-9A-Za-z.-]+)?)(?:\+([a-z0-9]+)\.([0-9a-f]+))?)?$`)

// chooseTool decides which package manager installs the dependencies.
func (p *project) chooseTool() (tool, spec.Problems) {
	if p.top.manifest == nil {
		return tool{}, nil
	}
	var t tool
	var problems spec.Problems
	at := func(message, hint string) spec.Problem {
		return p.spec.Problem("build.tool", "build.tool: "+message, hint)
	}
	said := string(p.spec.Build.Tool)
	switch {
	case said != "":
		t.source = p.spec.Where("build.tool")
	case p.top.manager != "":
		said = p.top.manager
		t.source = p.top.where("packageManager")
		at = func(message, hint string) spec.Problem {
			return p.top.problem([]string{"packageManager"}, "packageManager: "+message, hint)
		}
	case p.top.text("devEngines", "packageManager", "name") != "":
		said = p.top.text("devEngines", "packageManager", "name")
		t.source = p.top.where("devEngines", "packageManager", "name")
		at = func(message, hint string) spec.Problem {
			return p.top.problem([]string{"devEngines", "packageManager", "name"}, "devEngines.packageManager: "+message, hint)
		}
		if v := p.top.text("devEngines", "packageManager", "version"); v != "" {
			if _, err := semver.StrictNewVersion(v); err == nil {
				said += "@" + v
			}
		}
	}
	if said != "" {
		m := managerForm.FindStringSubmatch(said)
		if m == nil {
			return t, spec.Problems{at(fmt.Sprintf("%q is no package manager with its version", said), "write npm, pnpm or yarn, and a full version such as pnpm@12.21.0")}
		}
		if t.name, t.version = m[1], m[2]; m[3] != "" {
			t.hash = m[3] + "." + m[4]
		}
		if t.name == "bun" {
			return t, spec.Problems{at("bun is not supported", bunHint)}
		}
	}
	if !p.installs() {
		if t.name == "" {
			t.name, t.source = npm, "nothing to install"
		}
		t.lockFile = ""
		if t.name == yarn {
			p.yarnVersion(&t, nil)
		}
		if t.name == pnpm && t.version == "" {
			t.version = pnpmDefault
		}
		return t, nil
	}

	found := p.lockFiles()
	own := slices.DeleteFunc(slices.Clone(found), func(f string) bool { return lockTool(f) != t.name })
	switch {
	case t.name == "" && len(found) == 0:
		return t, spec.Problems{p.noLock()}
	case t.name == "" && len(found) > 1:
		var lines []string
		for _, f := range found {
			if name := lockTool(f); name != "bun" {
				lines = append(lines, "build: {tool: "+name+"}       # reads "+path.Base(f))
			}
		}
		return t, spec.Problems{p.spec.Problem("build", fmt.Sprintf("there are two lock files, %s, and nothing says which one counts", strings.Join(found, " and ")),
			"delete the one that is not used, or add one of\n"+app.Listed(lines))}
	case t.name == "":
		t.name, t.lockFile, t.source = lockTool(found[0]), found[0], found[0]
		if t.name == "bun" {
			return t, spec.Problems{app.FileProblem(found[0], "this is a lock file of bun, which is not supported", bunHint)}
		}
	case len(own) == 0:
		hint := fmt.Sprintf("run `%s` and commit the file; check that .dockerignore does not exclude it", t.lockCommand())
		message := fmt.Sprintf("%s is to install the dependencies, and there is no lock file of it", t.name)
		if len(found) > 0 {
			message += fmt.Sprintf("; there is %s", strings.Join(found, " and "))
			hint = fmt.Sprintf("name the tool that wrote it (build: {tool: %s}), or: %s", lockTool(found[0]), hint)
		}
		return t, spec.Problems{at(message, hint)}
	default:
		t.lockFile = own[0]
		for _, f := range found {
			if lockTool(f) != t.name {
				pr := app.FileProblem(f, fmt.Sprintf("the file is not read: %s installs the dependencies (%s)", t.name, t.source), "delete it")
				pr.Severity = spec.Warning
				problems = append(problems, pr)
			}
		}
	}
	problems = append(problems, p.toolVersion(&t)...)
	return t, problems
}

const bunHint = "npm, pnpm and yarn are: delete bun's lock file, and run `npm install --package-lock-only`, `pnpm install --lockfile-only` or `yarn install`"

func lockTool(file string) string {
	for _, l := range lockNames {
		if path.Base(file) == l.file {
			return l.tool
		}
	}
	return ""
}

// lockFiles are the lock files in the root, one for each tool.
func (p *project) lockFiles() []string {
	var found []string
	for _, l := range lockNames {
		name := path.Join(p.root, l.file)
		if _, err := fs.Stat(p.files, name); errors.Is(err, fs.ErrNotExist) || len(found) > 0 && lockTool(found[len(found)-1]) == l.tool {
			continue
		}
		found = append(found, name)
	}
	return found
}

// noLock explains what is missing; a lock file further up belongs to a project
// that this one is no member of.
func (p *project) noLock() spec.Problem {
	for dir := p.root; dir != "."; {
		dir = path.Dir(dir)
		for _, l := range lockNames {
			if p.files.Exists(path.Join(dir, l.file)) {
				return app.FileProblem(p.top.file, fmt.Sprintf("there is no lock file in %s; the one in %s is of another project, as its workspaces do not name this folder", app.Describe(p.root), app.Describe(dir)),
					fmt.Sprintf("add the folder to the workspaces of %s, or give this project a lock file of its own", path.Join(dir, "package.json")))
			}
		}
	}
	return app.FileProblem(p.top.file, "there is no lock file, so nobody knows which versions of the dependencies to install",
		"run one of\nnpm install --package-lock-only\npnpm install --lockfile-only\nyarn install\nand commit what it writes; check that .dockerignore does not exclude it")
}

// installs says whether there is anything to install: dependencies of a program, or,
// where one is built or tested, of that.
func (p *project) installs() bool {
	code := p.buildScript() != "" || p.spec.Test != nil
	return slices.ContainsFunc(p.packages(), func(m *member) bool {
		return m.manifest != nil && (len(m.shipped()) > 0 || code && len(m.all()) > 0)
	})
}

// toolVersion decides the version where only the tool's name is known.
func (p *project) toolVersion(t *tool) spec.Problems {
	switch t.name {
	case pnpm:
		if t.version == "" {
			t.version = pnpmDefault
			t.source += "; pnpm 9 to 12 read it alike, packageManager in package.json names a version"
		} else if t.major() < 9 {
			return spec.Problems{p.toolProblem(*t, fmt.Sprintf("pnpm %s is too old", t.version), "write 9.0.0 or newer, with the lock file that it writes")}
		}
	case yarn:
		data, err := p.files.Read(t.lockFile)
		if err != nil {
			return spec.Problems{app.Unreadable(t.lockFile, err)}
		}
		return p.yarnVersion(t, data)
	}
	return nil
}

func (p *project) toolProblem(t tool, message, hint string) spec.Problem {
	if p.spec.Build.Tool != "" {
		return p.spec.Problem("build.tool", "build.tool: "+message, hint)
	}
	if p.top.manager != "" {
		return p.top.problem([]string{"packageManager"}, "packageManager: "+message, hint)
	}
	return app.FileProblem(t.lockFile, message, hint)
}

var metadataVersion = regexp.MustCompile(`(?m)^__metadata:\r?\n(?:[ #].*\n)*?  version: "?([0-9]+)`)

// yarnVersion tells yarn 1 from its successors, by the lock file or the version.
func (p *project) yarnVersion(t *tool, data []byte) spec.Problems {
	t.berry = bytes.HasPrefix(data, []byte("__metadata:")) || bytes.Contains(data, []byte("\n__metadata:")) || len(data) == 0 && t.major() >= 2
	if t.version != "" && len(data) > 0 && t.berry != (t.major() >= 2) {
		form := "1"
		if t.berry {
			form = "2 or newer"
		}
		return spec.Problems{p.toolProblem(*t, fmt.Sprintf("yarn %s does not read %s, which yarn %s wrote", t.version, t.lockFile, form), "name the version that wrote it, or run `yarn install` with this one")}
	}
	if !t.berry {
		if t.version == "" {
			t.version = yarnClassic
		}
		return nil
	}
	settings, problems := p.yarnSettings()
	if problems.HasErrors() {
		return problems
	}
	if settings.Path != "" {
		file := path.Join(p.root, settings.Path)
		if !fsValid(file) {
			return spec.Problems{app.FileProblem(path.Join(p.root, ".yarnrc.yml"), fmt.Sprintf("yarnPath: %s is outside of the build context", settings.Path), "put the file into the project, or remove the line and name the version with packageManager")}
		}
		if !p.files.Exists(file) {
			return spec.Problems{app.FileProblem(path.Join(p.root, ".yarnrc.yml"), fmt.Sprintf("yarnPath: there is no %s", file), "commit it, and check that .dockerignore does not exclude it")}
		}
		t.file = file
	}
	if t.version == "" {
		m := metadataVersion.FindSubmatch(data)
		if m == nil || berryVersions[string(m[1])] == "" {
			if t.file != "" {
				return nil
			}
			return spec.Problems{app.FileProblem(t.lockFile, "nothing says which version of yarn wrote the lock file", `name it in package.json: "packageManager": "yarn@4.18.1"`)}
		}
		if t.file == "" {
			t.version = berryVersions[string(m[1])]
			t.source += "; its form is that of yarn " + t.version
		}
	}
	return problems
}
