package python

import (
	"path"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
)

// askMetadata asks the build system of the project in the working directory what it depends on
// (https://peps.python.org/pep-0517/) and writes that to a requirements file, with the
// markers of extras decided.
const askMetadata = `import email, importlib, os, re, sys, tempfile, tomllib, zipfile
out, extras = sys.argv[1], sys.argv[2:]
system = {}
if os.path.exists("pyproject.toml"):
    with open("pyproject.toml", "rb") as f:
        system = tomllib.load(f).get("build-system", {})
sys.path[:0] = [os.path.abspath(p) for p in system.get("backend-path", [])]
module, _, member = system.get("build-backend", "setuptools.build_meta:__legacy__").partition(":")
backend = importlib.import_module(module)
for part in filter(None, member.split(".")):
    backend = getattr(backend, part)
folder = tempfile.mkdtemp()
if hasattr(backend, "prepare_metadata_for_build_wheel"):
    with open(os.path.join(folder, backend.prepare_metadata_for_build_wheel(folder), "METADATA"), "rb") as f:
        text = f.read()
else:
    with zipfile.ZipFile(os.path.join(folder, backend.build_wheel(folder))) as wheel:
        text = wheel.read(next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA")))
def decide(m):
    return 'python_version %s "0"' % (">=" if re.sub("[-_.]+", "-", m[1]).lower() in extras else "<")
needs = email.message_from_bytes(text).get_all("Requires-Dist", [])
with open(out, "w") as f:
    f.writelines(sorted(re.sub("extra *== *['\"]([^'\"]+)['\"]", decide, str(n)) + "\n" for n in needs))
`

// asked is the package whose build system knows what the program depends on.
func (b *builder) asked() *own {
	dir := path.Dir(b.tool.file)
	for _, o := range b.own {
		if o.dir == dir {
			return o
		}
	}
	return &own{dir: dir, pyproject: b.app.pyproject, requires: buildSystem(b.app.pyproject)}
}

// metadata is the stage that asks the project's build system what it depends on, without
// network: what a setup.py finds there would be another thing each time.
func (b *builder) metadata() plan.Stage {
	o := b.asked()
	_, names := b.backendNames()
	backend := path.Join(backendDir, names[o.backend()])
	args := []string{backend + "/bin/python", "-P", "-c", askMetadata, path.Join(metadataDir, requirementsFile)}
	for _, e := range b.spec.Build.Extras {
		args = append(args, requirement.Name(e))
	}
	return plan.Stage{Name: metadataStage, Base: b.base(), Steps: []plan.Step{{
		Name: "ask " + path.Base(b.tool.file) + " for dependencies", Args: args, Dir: at(o.dir),
		Env: b.offlineEnv([]plan.Env{{Name: "HOME", Value: "/root"}, {Name: "PATH", Value: searchPath}, {Name: "PYTHONDONTWRITEBYTECODE", Value: "1"}, {Name: "PYTHONHASHSEED", Value: "0"}}),
		Mounts: append([]plan.Mount{
			b.sources(),
			{Kind: plan.MountStage, Target: backend, From: backendStage, Output: names[o.backend()]},
			{Kind: plan.MountOutput, Target: metadataDir},
		}, b.secrets()...),
		Hint: "it runs without network, and may not read any: what an image needs must not depend on the day; write the dependencies into pyproject.toml:\n[project]\ndependencies = [\"NAME\"]\nor into a requirements.txt",
	}}}
}
