package python

import (
	"path"

	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// compileBytecode compiles what is Python in a folder, which has another path in the image, into
// bytecode that is not compared with its source (https://peps.python.org/pep-0552/), on all
// processors. It imports next to nothing, as compileall takes longer to start than for a
// small program. What a cache has is taken from there: the same source at the same path is
// the same bytecode. What does not compile is an error, or left alone, as much is in packages
// that is Python of another version or a template.
const compileBytecode = `import _imp, _warnings, os, sys
from _blake2 import blake2b
from importlib._bootstrap_external import MAGIC_NUMBER, _code_to_hash_pyc, cache_from_source

folder, shown, cache, strict = sys.argv[1:]
_warnings.filters.insert(0, ("ignore", None, Warning, None, 0))

def write(path, data):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    part = path + "." + os.urandom(8).hex()
    with open(part, "wb") as f:
        f.write(data)
    os.replace(part, path)

def bytecode(source, name):
    key = blake2b(b"\0".join([sys.version.encode(), os.fsencode(name), source]), digest_size=32).hexdigest()
    kept = os.path.join(cache, key[:2], key)
    try:
        with open(kept, "rb") as f:
            data = f.read()
        if cache and blake2b(data[64:]).digest() == data[:64]:
            return data[64:]
    except OSError:
        pass
    code = compile(source, name, "exec", dont_inherit=True, optimize=0)
    data = _code_to_hash_pyc(code, _imp.source_hash(int.from_bytes(MAGIC_NUMBER, "little"), source), False)
    if cache:
        write(kept, blake2b(data).digest() + data)
    return data

def work(paths):
    failed = False
    for path in paths:
        with open(path, "rb") as f:
            source = f.read()
        try:
            data = bytecode(source, shown + path[len(folder):])
        except (SyntaxError, ValueError, RecursionError) as err:
            if strict:
                failed = True
                print("%s:%s: %s" % (os.path.relpath(path, folder), getattr(err, "lineno", None) or 1, getattr(err, "msg", None) or err), file=sys.stderr)
            continue
        write(cache_from_source(path, optimization=""), data)
    return failed

paths = []
for parent, folders, names in os.walk(folder):
    paths += [os.path.join(parent, n) for n in names if n.endswith(".py") and os.path.isfile(os.path.join(parent, n))]
paths.sort()
many = len(os.sched_getaffinity(0)) if len(paths) > 64 else 1
workers = []
for i in range(1, many):
    pid = os.fork()
    if pid == 0:
        failed = True
        try:
            failed = work(paths[i::many])
        finally:
            sys.stderr.flush()
            os._exit(failed)
    workers.append(pid)
failed = work(paths[::many])
for pid in workers:
    failed = os.waitpid(pid, 0)[1] != 0 or failed
sys.exit(failed)
`

// Where build containers have programs of ours, and the bytecode of earlier builds.
const (
	programsDir   = "/run/python"
	compileFile   = "compile.py"
	findFile      = "find.py"
	bytecodeCache = "/root/.cache/bytecode"
)

// programs are those in programsDir: one compiles, one finds the package that is to blame.
func programs() plan.Mount {
	return plan.Mount{Kind: plan.MountFiles, Target: programsDir, Files: []plan.File{
		{Path: compileFile, Mode: 0o644, Content: compileBytecode}, {Path: findFile, Mode: 0o644, Content: findPackage},
	}}
}

// compileCommand compiles the bytecode of a folder, which is shown in the image.
func (b *builder) compileCommand(folder, shown, cache, strict string) []string {
	return []string{b.runtime.interpreter(), "-SP", path.Join(programsDir, compileFile), folder, shown, cache, strict}
}

// compileInstalled compiles the bytecode of an environment's packages.
func (b *builder) compileInstalled(cache string) []string {
	packages := path.Join(venvDir, b.runtime.sitePackages())
	return b.compileCommand(packages, packages, cache, "")
}

// bytecodeMount is the cache of bytecode. Steps that run programs of the project or of its
// packages have none of it: nobody may write there what others' images get.
func (b *builder) bytecodeMount() plan.Mount {
	return plan.Mount{Kind: plan.MountCache, Target: bytecodeCache, CacheID: b.cacheID() + "-bytecode"}
}

// runsForeign says whether an installation runs programs of packages, as building one from its
// source does.
func (b *builder) runsForeign() bool {
	return len(b.spec.Build.SDist) > 0 || b.deps.git
}
