package golang

import (
	"bytes"
	"go/build"
	"go/parser"
	"go/token"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// goBuild says whether package go/build takes a file for amd64, without cgo.
func goBuild(t *testing.T, name string, src []byte) bool {
	t.Helper()
	c := build.Context{
		GOOS: "linux", GOARCH: "amd64", Compiler: "gc", BuildTags: []string{"red", "boringcrypto"}, ReleaseTags: []string{"go1.1", "go1.2"},
		OpenFile: func(string) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(src)), nil },
	}
	ok, err := c.MatchFile(".", name)
	return ok && err == nil
}

var amd64 = platform{"linux": true, "unix": true, "gc": true, "amd64": true, "red": true, "boringcrypto": true, "go1.1": true, "go1.2": true}

// compare holds what this package reads of a file's head against what Go's own
// packages read.
func compare(t *testing.T, name string, src []byte) {
	t.Helper()
	require.Equal(t, goBuild(t, name, src), amd64.compiles(name, src), "%s is compiled", name)

	f, err := parser.ParseFile(token.NewFileSet(), name, src, parser.PackageClauseOnly)
	clause, ok := packageClause(name, src)
	require.Equal(t, err == nil, ok, "the package clause of %s: %v", name, err)
	if ok {
		require.Equal(t, f.Name.Name, clause, name)
	}

	set := token.NewFileSet()
	f, err = parser.ParseFile(set, name, src, parser.ImportsOnly)
	found, ok := importsOf(name, src)
	require.Equal(t, err == nil, ok, "the imports of %s: %v", name, err)
	if !ok {
		return
	}
	var want []importSpec
	for _, i := range f.Imports {
		p, err := strconv.Unquote(i.Path.Value)
		require.NoError(t, err, name)
		want = append(want, importSpec{path: p, file: name, from: set.Position(i.Path.Pos()), to: set.Position(i.Path.End())})
	}
	require.Equal(t, want, found, name)
}

func TestHeadsAsGoReadsThem(t *testing.T) {
	const code = "package main\n\nimport \"fmt\"\n"
	heads := map[string]bool{ // whether it is compiled
		code:                                               true,
		"\ufeff//go:build linux\n" + code:                  true,
		"\ufeff//go:build plan9\n" + code:                  false,
		"//go:build red && go1.2\n" + code:                 true,
		"//go:build go1.3\n" + code:                        false,
		"//go:build boringcrypto\n" + code:                 false,
		"//go:build unix && gc && !cgo && !race\n" + code:  true,
		"//go:build cgo\n" + code:                          false,
		"//go:build linux &&\n" + code:                     false,
		"//go:build linux\n//go:build amd64\n" + code:      false,
		"//go:build\n" + code:                              false,
		"//go:builder plan9\n" + code:                      true,
		"// +build plan9\n" + code:                         true, // no blank line follows
		"// +build plan9\n\n" + code:                       false,
		"// +build plan9 linux,amd64\n\n" + code:           true,
		"// +build linux\n// +build arm64\n\n" + code:      false,
		"// +build linux,,\n\n" + code:                     false,
		"//go:build linux\n// +build plan9\n\n" + code:     true,
		"/* x */\n// +build plan9\n\n" + code:              true,
		"/* x\n//go:build plan9\n*/\n" + code:              true,
		"/* x */ //go:build plan9\n" + code:                true,
		"/* x */ /* y */\n//go:build plan9\n" + code:       false,
		"/* x\n\ny */ // z\n  //go:build plan9\r\n" + code: false,
		"package main // x\n//go:build plan9\n":            true,
		"/**/ package main\n//go:build plan9\n":            true,
		"// x\n":                                           true,
		"":                                                 true,
		"/* x":                                             true,
		"package main\nimport (\n\tf \"fmt\"; . \"os\"\n\t_ `io`)\nimport \"C\"\nfunc main() {}\n": true,
		"package main; import (\n)\nimport\n\"fmt\"":                                               true,
		"package main\n//line other.go:7\nimport \"fmt\"\n":                                        true,
		"package main\nimport fmt\n":                                                               true,
		"package main\nimport (\n\"fmt\" \"os\")\n":                                                true,
		"package main\nimport (\n\"fmt\"\n":                                                        true,
		"package main\nimport \"fmt\n":                                                             true,
		"package main\nimport (\"fmt\") \"os\"\n":                                                  true,
		"package func\n":                true,
		"package main func main() {}\n": true,
		"func main() {}\n":              true,
	}
	for src, compiled := range heads {
		t.Run(src, func(t *testing.T) {
			compare(t, "a.go", []byte(src))
			require.Equal(t, compiled, amd64.compiles("a.go", []byte(src)))
		})
	}
	names := map[string]bool{
		"linux.go": true, "plan9.go": true, "a_linux.go": true, "a_plan9.go": false, "a_linux_amd64.go": true, "a_linux_arm64.go": false, "a_plan9_amd64.go": false,
		"a_amd64_linux.go": true, "a_arm64_linux.go": true, "a_arm64be.go": false, "a_unix.go": true, "a_b_windows.x.go": false, "_plan9.go": false, "a_red.go": true,
		"windows_amd64.go": true, "plan9_linux.go": true, "a_plan9_test.go": false, "a_test.go": true, "a__plan9.go": false,
	}
	for name, compiled := range names {
		require.Equal(t, compiled, amd64.named(name), name)
		if name[0] != '_' { // one that begins so is never looked at
			compare(t, name, []byte(code))
		}
	}
}

// TestHeadsOfGo compares on Go's own sources, which have all kinds of constraints.
func TestHeadsOfGo(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	compiled, left := 0, 0
	for _, dir := range []string{"crypto", "debug", "go/build", "internal", "net", "os", "runtime", "syscall"} {
		err := filepath.WalkDir(filepath.Join(strings.TrimSpace(string(root)), "src", dir), func(name string, e fs.DirEntry, err error) error {
			base := filepath.Base(name)
			if err != nil || e.IsDir() || filepath.Ext(name) != ".go" || base[0] == '_' || base[0] == '.' {
				return err
			}
			src, err := os.ReadFile(name)
			require.NoError(t, err)
			compare(t, base, src)
			if amd64.compiles(base, src) {
				compiled++
			} else {
				left++
			}
			return nil
		})
		require.NoError(t, err)
	}
	require.Greater(t, compiled, 500)
	require.Greater(t, left, 500)
}
