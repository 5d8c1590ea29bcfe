package classfile

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// compile compiles a file and returns the classes by name.
func compile(t *testing.T, sources map[string]string) map[string][]byte {
	t.Helper()
	javac, err := exec.LookPath("javac")
	if err != nil {
		if testing.Short() {
			t.Skip("there is no javac")
		}
		t.Fatal("there is no javac; tools/setup.sh installs one")
	}
	dir, out := t.TempDir(), t.TempDir()
	args := []string{"-d", out}
	for name, text := range sources {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		args = append(args, file)
	}
	text, err := exec.Command(javac, args...).CombinedOutput()
	require.NoError(t, err, string(text))
	files, err := filepath.Glob(out + "/*.class")
	require.NoError(t, err)
	classes := map[string][]byte{}
	for _, f := range files {
		data, err := os.ReadFile(f)
		require.NoError(t, err)
		classes[strings.TrimSuffix(filepath.Base(f), ".class")] = data
	}
	return classes
}

const source = `
interface Face { static void main(String[] a) {} }
class Plain { public static void main(String... a) {} }
class Several { public static void main(String[] a) {} void main() {} }
class NoArgs { static void main() {} }
class Instance { void main() {} }
class Arg { int x = 1; public void main(String[] a) {} }
class Built { Built(int x) {} void main() {} }
class Hidden { private Hidden() {} void main() {} }
class HiddenStatic { private HiddenStatic() {} static void main(String[] a) {} }
abstract class Abstract { void main() {} }
class Private { private static void main(String[] a) {} }
class Result { public static int main(String[] a) { return 0; } }
class Other { public static void main(String a) {} long l = 5L; double d = 2.5; }
class Uses {
	java.util.List<java.sql.Driver[]> generic;
	@Deprecated java.rmi.Remote[][] array(javax.naming.Context c) throws java.io.IOException { return null; }
	Object o() { return java.awt.Point[].class; }
	String s() { return "javax.script.ScriptEngine"; }
	void call() throws Exception { Class.forName("x"); }
}
`

func TestParse(t *testing.T) {
	classes := compile(t, map[string]string{"All.java": source})
	want := map[string][2]bool{ // main, instance main
		"Face": {true, false}, "Plain": {true, false}, "Several": {true, false}, "NoArgs": {false, true}, "Instance": {false, true}, "Arg": {false, true},
		"Built": {}, "Hidden": {}, "HiddenStatic": {false, true}, "Abstract": {}, "Private": {}, "Result": {}, "Other": {}, "Uses": {},
	}
	for name, mains := range want {
		c, err := Parse(classes[name])
		require.NoError(t, err, name)
		require.Equal(t, name, c.Name)
		require.Equal(t, "java/lang/Object", c.Super)
		require.GreaterOrEqual(t, Java(c.Major), 17)
		require.Equal(t, c.Major, Major(Java(c.Major)))
		require.False(t, c.Preview)
		require.Equal(t, mains, [2]bool{c.Main, c.InstanceMain}, name)
	}
	c, err := Parse(classes["Uses"])
	require.NoError(t, err)
	var names, texts []string
	c.References(func(name []byte) { names = append(names, string(name)) })
	for _, n := range []string{"java/util/List", "java/sql/Driver", "java/rmi/Remote", "javax/naming/Context", "java/io/IOException", "java/awt/Point", "java/lang/Deprecated", "java/lang/Class"} {
		require.Contains(t, names, n)
	}
	require.NotContains(t, names, "javax/script/ScriptEngine")
	c.Strings(func(text []byte) { texts = append(texts, string(text)) })
	slices.Sort(texts)
	require.Equal(t, []string{"javax.script.ScriptEngine", "x"}, texts)
	require.True(t, c.Calls("java/lang/Class", "forName"))
	require.False(t, c.Calls("java/lang/Class", "getName"))
	require.False(t, c.Calls("java/lang/ClassLoader", "forName"))
}

func TestModule(t *testing.T) {
	classes := compile(t, map[string]string{"module-info.java": "module m.n { requires transitive java.sql; requires static java.desktop; requires java.net.http; }"})
	c, err := Parse(classes["module-info"])
	require.NoError(t, err)
	require.Equal(t, "m.n", c.Module.Name)
	slices.Sort(c.Module.Requires)
	require.Equal(t, []string{"java.base", "java.net.http", "java.sql"}, c.Module.Requires)
}

func TestTypes(t *testing.T) {
	for text, want := range map[string][]string{
		"Ljava/util/Map<Ljava/lang/String;TK;>;": {"java/util/Map", "java/lang/String"},
		"([[La/B$C;I)V":                          {"a/B$C"},
		"LNoPackage;":                            nil,
		"Lcut/off":                               nil,
		"Hello, Lovely/World of ; text":          nil,
		"LLLa/b/C;":                              {"LLa/b/C"},
		"":                                       nil,
	} {
		var got []string
		types([]byte(text), func(name []byte) { got = append(got, string(name)) })
		require.Equal(t, want, got, text)
	}
}

// A file that is cut off anywhere is an error, and nothing else.
func TestCut(t *testing.T) {
	classes := compile(t, map[string]string{"All.java": source})
	classes["module-info"] = compile(t, map[string]string{"module-info.java": "module m { requires java.sql; }"})["module-info"]
	for _, name := range []string{"Uses", "Other", "module-info"} {
		data := classes[name]
		for n := range data {
			if c, err := Parse(data[:n]); err == nil {
				// Attributes of the class are at the end, and are not read.
				require.NotEqual(t, "module-info", name)
				require.Equal(t, name, c.Name)
				c.References(func([]byte) {})
			}
		}
		_, err := Parse(data[:len(data)/2])
		require.Error(t, err)
	}
	_, err := Parse([]byte("PK\x03\x04"))
	require.EqualError(t, err, "it does not begin as a class file does")
	bad := bytes.Clone(classes["Other"])
	bad[10] = 99
	_, err = Parse(bad)
	require.EqualError(t, err, "constant 1 is of the unknown kind 99")
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("\xca\xfe\xba\xbe\x00\x00\x00\x41\x00\x03\x07\x00\x02\x01\x00\x01A\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse(data)
		if err != nil {
			return
		}
		c.References(func(name []byte) {})
		c.Strings(func(text []byte) {})
		c.Calls("java/lang/Class", "forName")
	})
}
