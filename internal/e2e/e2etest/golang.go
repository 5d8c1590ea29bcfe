package e2etest

import (
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// GoVersion is the newest Go in the catalog whose version begins with the prefix
// ("1.25.", or "" for any), as Go says it: "go1.25.3".
func GoVersion(t testing.TB, prefix string) string {
	t.Helper()
	c, err := catalog.Open(harness.Lock(t))
	if err != nil {
		t.Fatal(err)
	}
	versions := c.Versions("go")
	for _, v := range slices.Backward(versions) {
		if strings.HasPrefix(v, prefix) {
			return "go" + v
		}
	}
	t.Fatalf("the catalog has no Go %s: there are %v", prefix, versions)
	return ""
}

// CheckGoProgram checks a binary: its architecture, that it is stripped, static
// unless it has C in it, and what the compiler noted in it: its version ("go1.26.8")
// and the settings that `go version -m` names, with those that every program has.
func CheckGoProgram(t testing.TB, program []byte, arch, version string, cgo bool, settings map[string]string) {
	t.Helper()
	f, err := elf.NewFile(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	machine := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}[arch]
	if f.Machine != machine {
		t.Errorf("the program is for %s, want %s", f.Machine, machine)
	}
	for _, s := range f.Sections {
		if s.Name == ".symtab" || strings.HasPrefix(s.Name, ".debug") || strings.HasPrefix(s.Name, ".zdebug") {
			t.Errorf("the program is not stripped: it has %s", s.Name)
		}
	}
	libraries, err := f.ImportedLibraries()
	if err != nil && !cgo {
		t.Fatal(err)
	}
	if (len(libraries) > 0) != cgo {
		t.Errorf("with cgo %v the program needs the libraries %v", cgo, libraries)
	}

	info, err := buildinfo.Read(bytes.NewReader(program))
	if err != nil {
		t.Fatal(err)
	}
	if info.GoVersion != version {
		t.Errorf("the program was compiled by %s, want %s", info.GoVersion, version)
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
		if strings.HasPrefix(s.Key, "vcs") {
			t.Errorf("the program knows of its repository: %s=%s", s.Key, s.Value)
		}
	}
	want := map[string]string{"-trimpath": "true", "CGO_ENABLED": "0", "GOOS": "linux", "GOARCH": arch}
	for k, v := range settings {
		want[k] = v
	}
	for k, v := range want {
		if got[k] != v {
			t.Errorf("the program was built with %s=%s, want %s", k, got[k], v)
		}
	}
}
