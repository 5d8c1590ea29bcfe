package java

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// jdk is the newest JDK of this machine, and its version.
func jdk(t *testing.T) (home string, version int) {
	t.Helper()
	javac, err := exec.LookPath("javac")
	if err != nil {
		if testing.Short() {
			t.Skip("there is no javac")
		}
		t.Fatal("there is no javac; tools/setup.sh installs one")
	}
	javac, err = filepath.EvalSymlinks(javac)
	require.NoError(t, err)
	home = filepath.Dir(filepath.Dir(javac))
	release, err := os.ReadFile(home + "/release")
	require.NoError(t, err)
	for line := range strings.Lines(string(release)) {
		if v, ok := strings.CutPrefix(line, `JAVA_VERSION="`); ok {
			major, _, _ := strings.Cut(strings.Trim(v, "\"\n"), ".")
			require.NoError(t, json.Unmarshal([]byte(major), &version))
		}
	}
	require.GreaterOrEqual(t, version, 17)
	return home, version
}

// compile compiles sources, by their paths, and returns the files of classes.
func compile(t *testing.T, sources map[string]string, classPath ...string) map[string][]byte {
	t.Helper()
	return compileWith(t, nil, sources, classPath...)
}

func compileWith(t *testing.T, options []string, sources map[string]string, classPath ...string) map[string][]byte {
	t.Helper()
	home, _ := jdk(t)
	src, out := t.TempDir(), t.TempDir()
	args := append([]string{"-d", out, "-cp", strings.Join(append([]string{out}, classPath...), ":")}, options...)
	for name, text := range sources {
		file := filepath.Join(src, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		args = append(args, file)
	}
	text, err := exec.Command(home+"/bin/javac", args...).CombinedOutput()
	require.NoError(t, err, string(text))
	files := map[string][]byte{}
	require.NoError(t, walk(out, func(rel, file string) error {
		content, err := os.ReadFile(file)
		files[rel] = content
		return err
	}))
	return files
}

// entry is a file of a jar; a name that ends in a slash is a folder.
type entry struct {
	name    string
	content []byte
}

func entries(files map[string][]byte) []entry {
	var list []entry
	for name, content := range files {
		list = append(list, entry{name, content})
	}
	slices.SortFunc(list, func(a, b entry) int { return strings.Compare(a.name, b.name) })
	return list
}

func text(name, content string) entry { return entry{name, []byte(content)} }

// manifestOf is a manifest with the lines.
func manifestOf(lines ...string) entry {
	return text("META-INF/MANIFEST.MF", "Manifest-Version: 1.0\r\n"+strings.Join(append(lines, ""), "\r\n")+"\r\n")
}

// zipped is an archive as a build tool makes one, with the time of the day.
func zipped(t *testing.T, list ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, e := range list {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate, Modified: time.Now(), Comment: "made today"}
		if strings.HasSuffix(e.name, ".jar") {
			h.Method = zip.Store
		}
		w, err := z.CreateHeader(h)
		require.NoError(t, err)
		_, err = w.Write(e.content)
		require.NoError(t, err)
	}
	require.NoError(t, z.Close())
	return b.Bytes()
}

// project is a folder with what a build left in it.
type project struct {
	t    *testing.T
	dir  string
	spec javaspec.Spec
	// said is what the step told.
	said string
	out  string
}

func newProject(t *testing.T) *project {
	t.Helper()
	home, version := jdk(t)
	dir := t.TempDir()
	return &project{t: t, dir: dir, spec: javaspec.Spec{
		Java: version, Home: home, Project: dir, Built: dir + "/target", Layers: slices.Clone(order),
	}}
}

// file writes a file of the project and returns its path.
func (p *project) file(name string, content []byte) string {
	p.t.Helper()
	file := filepath.Join(p.dir, name)
	require.NoError(p.t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(p.t, os.WriteFile(file, content, 0o644))
	return file
}

// classPath has the build's class path in a file.
func (p *project) classPath(libs ...string) {
	p.t.Helper()
	p.spec.ClassPath = p.file("target/classpath", []byte(strings.Join(libs, ":")))
}

func (p *project) run() error {
	p.t.Helper()
	p.out = p.t.TempDir()
	var said bytes.Buffer
	err := Run(p.spec, p.out, &said)
	p.said = said.String()
	return err
}

// layers runs the step, and returns the files of each layer.
func (p *project) layers() map[string][]string {
	p.t.Helper()
	require.NoError(p.t, p.run())
	layers := map[string][]string{}
	require.NoError(p.t, walk(p.out, func(rel, file string) error {
		layer, name, _ := strings.Cut(rel, "/")
		layers[layer] = append(layers[layer], name)
		info, err := os.Stat(file)
		require.NoError(p.t, err)
		require.Equal(p.t, os.FileMode(0o644), info.Mode(), rel)
		require.Equal(p.t, int64(0), info.ModTime().Unix(), rel)
		return nil
	}))
	return layers
}

// args are the lines of the file of arguments.
func (p *project) args() []string {
	p.t.Helper()
	layer := p.spec.Layers[slices.IndexFunc(p.spec.Layers, func(l string) bool { return l == javaspec.Resources || l == javaspec.Classes })]
	content, err := os.ReadFile(filepath.Join(p.out, layer, "jvm.args"))
	require.NoError(p.t, err)
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}

// modules are those of the runtime.
func (p *project) modules() []string {
	p.t.Helper()
	content, err := os.ReadFile(filepath.Join(p.out, "link/jlink.args"))
	require.NoError(p.t, err)
	lines := strings.Split(string(content), "\n")
	require.Len(p.t, lines, 3)
	require.Equal(p.t, "--add-modules", lines[0])
	return strings.Split(lines[1], ",")
}

// start starts what was laid out, as the image would, and returns what it prints.
func (p *project) start(args ...string) string {
	p.t.Helper()
	app := p.t.TempDir()
	for _, layer := range p.spec.Layers {
		require.NoError(p.t, os.CopyFS(app, os.DirFS(filepath.Join(p.out, layer))))
	}
	content, err := os.ReadFile(app + "/jvm.args")
	require.NoError(p.t, err)
	require.NoError(p.t, os.WriteFile(app+"/jvm.args", bytes.ReplaceAll(content, []byte("/app/"), []byte(app+"/")), 0o644))
	cmd := exec.Command(p.spec.Home+"/bin/java", append([]string{"@" + app + "/jvm.args"}, args...)...)
	out, err := cmd.CombinedOutput()
	require.NoError(p.t, err, string(out))
	return string(out)
}

const birds = `package com.example; public class Birds { public static void main(String[] args) throws Exception {
	System.out.print(new String(Birds.class.getResourceAsStream("/birds.txt").readAllBytes()) + String.join(" ", args)); } }`

// fixtures are classes that are compiled once for all tests: the compiler's start is
// what takes time. Of each library there is a class with a method.
func fixtures() map[string]string {
	sources := map[string]string{"com/example/Birds.java": birds}
	for _, class := range []string{"a.A", "b.B", "c.C", "com.example.core.Core", "core.Core", "d.D", "generated.G", "lib.Lib", "mode.Mode", "one.One", "other.Other", "ours.Ours", "snap.Snap", "x.X"} {
		pkg, name := class[:strings.LastIndex(class, ".")], class[strings.LastIndex(class, ".")+1:]
		sources[strings.ReplaceAll(class, ".", "/")+".java"] = "package " + pkg + "; public class " + name + " { public static String sing() { return \"tweet\"; } }"
	}
	return sources
}

var compiled map[string][]byte

// class is the file of a fixture's class.
func class(t *testing.T, name string) entry {
	t.Helper()
	if compiled == nil {
		compiled = compile(t, fixtures())
	}
	file := strings.ReplaceAll(name, ".", "/") + ".class"
	require.Contains(t, compiled, file)
	return entry{file, compiled[file]}
}

// library is a jar with one class.
func library(t *testing.T, name string) []byte {
	t.Helper()
	return zipped(t, class(t, name))
}
