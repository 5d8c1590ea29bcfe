"""Uses what the images "python:V-build" and, with "full" as its second argument,
"python:V-build-full" have: virtual environments, pip, uv, a shell, git, and what
builds modules in C. The first argument is the version that is wanted."""

import os
import subprocess
import sys
import sysconfig

VERSION = sys.argv[1]

MODULE = """
#include <Python.h>
static PyObject *answer(PyObject *self, PyObject *args) { return PyLong_FromLong(42); }
static PyMethodDef methods[] = {{"answer", answer, METH_NOARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "module", NULL, -1, methods};
PyMODINIT_FUNC PyInit_module(void) { return PyModule_Create(&module); }
"""

PROJECT = """
[project]
name = "project"
version = "1.0"
"""


def run(*args):
    return subprocess.run(args, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


assert "%d.%d" % sys.version_info[:2] == VERSION, sys.version

# pip, in a virtual environment that Python itself makes.
run(sys.executable, "-m", "venv", "/tmp/venv")
assert run("/tmp/venv/bin/pip", "--version").endswith("(python %s)" % VERSION)
assert run("/tmp/venv/bin/python", "-c", "import sys; print(sys.prefix)") == "/tmp/venv"
assert run("pip3", "--version").endswith("(python %s)" % VERSION)

# uv, which finds this Python and needs no other.
os.mkdir("/tmp/project")
with open("/tmp/project/pyproject.toml", "w") as f:
    f.write(PROJECT + 'requires-python = "==%s.*"\n' % VERSION)
run("uv", "lock", "--offline", "--quiet", "--project", "/tmp/project")
run("uv", "sync", "--offline", "--quiet", "--project", "/tmp/project")
assert run("/tmp/project/.venv/bin/python", "-c", "import sys; print(%r %% sys.version_info[:2])" % "%d.%d") == VERSION

assert run("sh", "-c", "echo hello | sed s/h/H/") == "Hello"

if sys.argv[2:] == ["full"]:
    assert run("git", "--version").startswith("git version")
    with open("/tmp/module.c", "w") as f:
        f.write(MODULE)
    suffix = sysconfig.get_config_var("EXT_SUFFIX")
    run("gcc", "-shared", "-fPIC", "-I" + sysconfig.get_path("include"), "-o", "/tmp/module" + suffix, "/tmp/module.c")
    sys.path.insert(0, "/tmp")
    import module

    assert module.answer() == 42
    run("g++", "--version")

print("everything works")
