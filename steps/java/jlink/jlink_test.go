package jlink

import (
	"bytes"
	"errors"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/steps/exec"
)

// linkable is a JDK of this machine under a name as in builds, and the file system in
// which it is recorded.
func linkable(t *testing.T) Options {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/jvm/*/jmods/java.base.jmod")
	require.NoError(t, err)
	if len(found) == 0 {
		if testing.Short() {
			t.Skip("there is no JDK with modules")
		}
		t.Fatal("there is no JDK with modules below /usr/lib/jvm; tools/setup.sh installs one")
	}
	jdk := filepath.Dir(filepath.Dir(found[0]))
	dir := t.TempDir()
	require.NoError(t, os.Symlink(jdk, dir+"/java-42"))
	for name, text := range map[string]string{
		"usr/share/doc/openjdk-42-jre-headless/copyright": "GPL\n",
		"var/lib/dpkg/status.d/openjdk-42-jdk-headless":   "Package: openjdk-42-jdk-headless\nSource: openjdk-42 (42.1)\nVersion: 42.1-1\nArchitecture: arm64\nDepends: libc6\nMaintainer: M\nDescription: JDK\n",
	} {
		file := filepath.Join(dir, "root", name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
	}
	require.NoError(t, os.WriteFile(dir+"/jlink.args", []byte("--add-modules\njava.base,java.rmi,jdk.compiler\n"), 0o644))
	return Options{Home: dir + "/java-42", Of: jdk, Args: dir + "/jlink.args", Root: dir + "/root"}
}

func TestLink(t *testing.T) {
	o, out := linkable(t), t.TempDir()
	var said bytes.Buffer
	o.Stdout, o.Stderr = &said, &said
	require.NoError(t, Link(t.Context(), o, out), said.String())
	home := filepath.Join(out, o.Home)
	list, err := osexec.Command(home+"/bin/java", "--list-modules").Output()
	require.NoError(t, err)
	require.Regexp(t, `(?s)^java\.base@[0-9.]+\n.*java\.rmi@.*jdk\.compiler@`, string(list))
	require.NotContains(t, string(list), "java.sql")
	commands, err := filepath.Glob(home + "/bin/*")
	require.NoError(t, err)
	require.Equal(t, []string{home + "/bin/java", home + "/bin/keytool"}, commands)
	require.NoFileExists(t, home+"/lib/ct.sym")
	store, err := os.Readlink(home + "/lib/security/cacerts")
	require.NoError(t, err)
	require.Equal(t, "/etc/ssl/certs/java/cacerts", store)
	require.NoDirExists(t, home+"/include")

	record, err := os.ReadFile(out + "/var/lib/dpkg/status.d/openjdk-42")
	require.NoError(t, err)
	require.Equal(t, "Package: openjdk-42\nSource: openjdk-42 (42.1)\nVersion: 42.1-1\nArchitecture: arm64\nMaintainer: M\n"+
		"Description: Java runtime, linked of some of the modules of openjdk-42-jdk-headless\n", string(record))
	sums, err := os.ReadFile(out + "/var/lib/dpkg/status.d/openjdk-42.md5sums")
	require.NoError(t, err)
	require.Contains(t, string(sums), "  usr/share/doc/openjdk-42/copyright\n")
	check := osexec.Command("md5sum", "--check", "--quiet", "--strict")
	check.Dir, check.Stdin = out, bytes.NewReader(sums)
	text, err := check.CombinedOutput()
	require.NoError(t, err, string(text))
	info, err := os.Stat(home + "/lib/modules")
	require.NoError(t, err)
	require.Zero(t, info.ModTime().Unix())
}

func TestLinkErrors(t *testing.T) {
	o := linkable(t)
	var said bytes.Buffer
	o.Stdout, o.Stderr = &said, &said
	require.NoError(t, os.WriteFile(o.Args, []byte("--add-modules\nno.such.module\n"), 0o644))
	err := Link(t.Context(), o, t.TempDir())
	var exit *exec.ExitError
	require.True(t, errors.As(err, &exit), "%v", err)
	require.Contains(t, said.String(), "no.such.module")

	o.Of = t.TempDir()
	require.ErrorContains(t, Link(t.Context(), o, t.TempDir()), "the modules of the image's architecture are not there")
	o.Home = strings.TrimSuffix(o.Home, "42") + "x"
	require.ErrorContains(t, Link(t.Context(), o, t.TempDir()), "does not end in /java-VERSION")
}
