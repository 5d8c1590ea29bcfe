package missing

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExplain(t *testing.T) {
	home := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(home, "release"), []byte("JAVA_VERSION=\"25\"\nMODULES=\"java.base java.xml\"\n"), 0o644))
	java := filepath.Join(home, "bin", "java")
	for _, c := range []struct{ name, program, printed, class, module string }{
		{"by the virtual machine", java, "Exception in thread \"main\" java.lang.NoClassDefFoundError: java/sql/Driver\n\tat Main.main(Main.java:3)\n", "java.sql.Driver", "java.sql"},
		{"by a class loader", java, "Caused by: java.lang.ClassNotFoundException: com.sun.net.httpserver.HttpServer", "com.sun.net.httpserver.HttpServer", "jdk.httpserver"},
		{"in a sentence", java, "failed: java.lang.ClassNotFoundException: java.util.logging.Logger; nested\n", "java.util.logging.Logger", "java.logging"},
		{"the one that Java should have", java, "java.lang.NoClassDefFoundError: com/example/Lib\njava.lang.NoClassDefFoundError: javax/naming/Context\n", "javax.naming.Context", "java.naming"},
		{"one that is there", java, "java.lang.NoClassDefFoundError: javax/xml/parsers/SAXParser\n", "", ""},
		{"a library's", java, "java.lang.NoClassDefFoundError: com/example/Lib\n", "", ""},
		{"of no package", java, "java.lang.NoClassDefFoundError: Lib\n", "", ""},
		{"another error", java, "java.sql.SQLException: no driver\n", "", ""},
		{"another program", filepath.Join(home, "bin", "node"), "java.lang.NoClassDefFoundError: java/sql/Driver\n", "", ""},
		{"another Java", "/nowhere/bin/java", "java.lang.NoClassDefFoundError: java/sql/Driver\n", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := Explain(c.program, []byte(c.printed))
			if c.class == "" {
				require.Empty(t, got)
				return
			}
			require.Contains(t, got, "the class "+c.class+" is of the module "+c.module+",")
			all := []string{"java.base", "java.xml", c.module}
			slices.Sort(all)
			require.Contains(t, got, "build: {jlink: ["+strings.Join(all, ", ")+"]}")
		})
	}
}

// The table has what the machine's own Java says of itself.
func TestPackages(t *testing.T) {
	if testing.Short() {
		t.Skip("it starts Java for each module")
	}
	java, err := exec.LookPath("java")
	require.NoError(t, err, "tools/setup.sh installs one")
	out, err := exec.Command(java, "--list-modules").Output()
	require.NoError(t, err)
	for _, module := range strings.Fields(string(out)) {
		module, _, _ = strings.Cut(module, "@")
		if module == "java.base" || !strings.HasPrefix(module, "java.") {
			continue // each of the others costs a start of Java as well
		}
		out, err := exec.Command(java, "--describe-module", module).Output()
		require.NoError(t, err)
		for line := range strings.Lines(string(out)) {
			if words := strings.Fields(line); len(words) == 2 && words[0] == "exports" {
				require.Equal(t, module, moduleOf(words[1]+".Any"), "package %s", words[1])
			}
		}
	}
}
