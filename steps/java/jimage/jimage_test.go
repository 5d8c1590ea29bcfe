package jimage

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// homes are the JDKs of this machine.
func homes(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/usr/lib/jvm/*/lib/modules")
	require.NoError(t, err)
	var out []string
	for _, f := range files {
		home := filepath.Dir(filepath.Dir(f))
		if info, err := os.Lstat(home); err == nil && info.IsDir() {
			out = append(out, home)
		}
	}
	if len(out) == 0 {
		if testing.Short() {
			t.Skip("there is no JDK")
		}
		t.Fatal("there is no JDK below /usr/lib/jvm; tools/setup.sh installs one")
	}
	return out
}

// What is read is what Java says of itself.
func TestOpen(t *testing.T) {
	for _, home := range homes(t) {
		t.Run(filepath.Base(home), func(t *testing.T) {
			im, err := Open(home + "/lib/modules")
			require.NoError(t, err)
			out, err := exec.Command(home+"/bin/java", "--list-modules").Output()
			require.NoError(t, err)
			var want []string
			for line := range strings.Lines(string(out)) {
				name, _, _ := strings.Cut(strings.TrimSpace(line), "@")
				want = append(want, name)
			}
			slices.Sort(want)
			require.Equal(t, want, im.Modules())
			require.Equal(t, "java.sql", im.Module([]byte("java/sql/Driver")))
			require.Equal(t, "java.base", im.Module([]byte("java/util/NoSuch")), "packages count, not classes")
			require.Empty(t, im.Module([]byte("com/example/Main")))
			require.Empty(t, im.Module([]byte("Main")))
			require.Equal(t, "java.naming", im.ModuleOf("javax.naming.Context"))
			require.Empty(t, im.ModuleOf("javax.naming.NoSuch"))
			require.Equal(t, []string{"java.base", "java.logging", "java.sql", "java.transaction.xa", "java.xml"}, im.Closure([]string{"java.sql", "no.such"}))
		})
	}
}

func TestOpenRefusesDamagedFiles(t *testing.T) {
	home := homes(t)[0]
	good := make([]byte, 4<<20)
	f, err := os.Open(home + "/lib/modules")
	require.NoError(t, err)
	defer f.Close()
	_, err = f.Read(good)
	require.NoError(t, err)
	field := func(i int) int { return int(binary.LittleEndian.Uint32(good[4*i:])) }
	index := headerSize + 8*field(4) + field(5) + field(6)
	for name, data := range map[string][]byte{
		"empty":         {},
		"another file":  bytes.Repeat([]byte("PK\x03\x04"), 100),
		"cut off":       good[:1000],
		"huge tables":   append(slices.Clone(good[:16]), bytes.Repeat([]byte{0xff}, 100)...),
		"no content":    good[:index],
		"bad locations": slices.Concat(good[:1<<20], bytes.Repeat([]byte{0xff}, 3<<20)),
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "modules")
			require.NoError(t, os.WriteFile(file, data, 0o644))
			_, err := Open(file)
			require.ErrorContains(t, err, "reading the modules of the JDK, "+file)
		})
	}
}
