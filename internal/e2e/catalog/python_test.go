package catalog_test

import (
	"bytes"
	"context"
	"debug/elf"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// The image passes its checks and has its size; for another architecture it is made
// here, with the same bytecode.
func TestCatalogPython(t *testing.T) {
	image := publishBase(t, lockedCatalog(t), plan.Base{Image: "python", Version: "3.13"})
	size := layersSize(t, image(t, machine.Architecture))
	t.Logf("python:3.13: %.2f MB", float64(size)/1e6)
	if size > 17_500_000 {
		t.Errorf("python:3.13 has %d bytes, more than 17.5 MB", size)
	}

	here, there := regular(e2etest.Files(t, image(t, machine.Architecture))), regular(e2etest.Files(t, image(t, foreign.Architecture)))
	bytecode := 0
	for name, content := range here {
		if !strings.HasSuffix(name, ".pyc") || strings.Contains(name, "_sysconfigdata_") {
			continue
		}
		bytecode++
		if !bytes.Equal(there[name], content) {
			t.Errorf("%s is another one, or none, for %s", name, foreign.Architecture)
		}
		// https://peps.python.org/pep-0552/: by a hash that is not checked.
		if flags := string(content[4:8]); flags != "\x01\x00\x00\x00" {
			t.Errorf("%s has the flags %x", name, flags)
		}
	}
	if bytecode < 300 {
		t.Errorf("only %d files have bytecode", bytecode)
	}
	program, err := elf.NewFile(bytes.NewReader(there["usr/bin/python3.13"]))
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[foreign.Architecture]; program.Machine != want {
		t.Errorf("for %s it is for %s", foreign.Architecture, program.Machine)
	}
}

// Every version starts as a user that may write nothing, with all that its
// library needs, and from its bytecode.
func TestCatalogPythonRuns(t *testing.T) {
	const program = `
import asyncio, bz2, ctypes, datetime, decimal, hashlib, json, lzma, os, sqlite3, ssl, sys, urllib.request, uuid, xml.etree.ElementTree, zlib, zoneinfo
assert os.getuid() == 65532, os.getuid()
assert len(ssl.create_default_context().get_ca_certs()) > 100
assert sqlite3.connect(":memory:").execute("select json('[1]')").fetchone() == ("[1]",)
assert lzma.decompress(lzma.compress(b"x")) == bz2.decompress(bz2.compress(b"x")) == zlib.decompress(zlib.compress(b"x"))
assert ctypes.CDLL("libstdc++.so.6")
assert datetime.datetime(2026, 7, 1, tzinfo=zoneinfo.ZoneInfo("Europe/Berlin")).utcoffset().seconds == 7200
async def one(): return 1
assert asyncio.run(one()) == 1
assert sys.getfilesystemencoding() == "utf-8"
assert os.path.exists(json.__cached__), json.__cached__
print("started Python", sys.version.split()[0])
`
	c := lockedCatalog(t)
	out, err := checkCatalog(t, c, func(ctx context.Context, bases *birdllb.Catalog) ([]llb.State, error) {
		var all []llb.State
		for _, v := range c.Versions("python") {
			image, err := bases.Base(ctx, plan.Base{Image: "python", Version: v}, machine)
			if err != nil {
				return nil, err
			}
			// A root that is read-only has its mount points beforehand.
			root := image.State.File(llb.Mkdir("/proc", 0o755).Mkdir("/dev", 0o755).Mkdir("/sys", 0o755).Mkdir("/out", 0o755).Mkfile("/etc/resolv.conf", 0o644, nil).Mkfile("/etc/hosts", 0o644, nil), llb.IgnoreCache)
			all = append(all, root.Run(llb.Args([]string{"/usr/bin/python3", "-c", program}), llb.AddEnv("LANG", "C.UTF-8"),
				llb.User(image.Config.Config.User), llb.ReadonlyRootFS(), llb.Network(llb.NetModeNone)).AddMount("/out", llb.Scratch()))
		}
		return all, nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, v := range c.Versions("python") {
		if !strings.Contains(out, "started Python "+v+".") {
			t.Errorf("Python %s did not start:\n%s", v, out)
		}
	}
}

// With the full build image a module of C is compiled and started, by pip from
// its sources and in an environment that uv makes.
func TestCatalogPythonCompiles(t *testing.T) {
	const script = `set -e
python3 -m venv /tmp/a
uv venv --quiet /tmp/b
printf '#include <Python.h>\nstatic PyMethodDef m[] = {{0}};\nstatic struct PyModuleDef d = {PyModuleDef_HEAD_INIT, "native", "from C", -1, m};\nPyMODINIT_FUNC PyInit_native(void) { return PyModule_Create(&d); }\n' > /tmp/native.c
gcc -shared -fPIC $(python3 -c 'import sysconfig; print("-I" + sysconfig.get_path("include"), "-I" + sysconfig.get_path("platinclude"))') -o /tmp/native.so /tmp/native.c
cd /tmp
for env in a b; do $env/bin/python -c 'import native; print(native.__doc__)'; done
a/bin/pip --version
git --version
`
	base := plan.Base{Image: "python", Version: "3.13", Variant: "build-full"}
	out, err := checkCatalog(t, lockedCatalog(t), func(ctx context.Context, c *birdllb.Catalog) ([]llb.State, error) {
		image, err := c.Base(ctx, base, machine)
		if err != nil {
			return nil, err
		}
		opts := []llb.RunOption{llb.Args([]string{"/usr/bin/sh", "-c", script}), llb.Network(llb.NetModeNone), llb.IgnoreCache}
		for _, env := range image.Config.Config.Env {
			name, value, _ := strings.Cut(env, "=")
			opts = append(opts, llb.AddEnv(name, value))
		}
		return []llb.State{image.State.Run(opts...).AddMount("/out", llb.Scratch())}, nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"pip ", "git version "} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	if strings.Count(out, "from C\n") != 2 {
		t.Errorf("the module was not started twice:\n%s", out)
	}
}
