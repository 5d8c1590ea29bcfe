package golang

import (
	"bytes"
	"errors"
	"go/build/constraint"
	"strings"
)

// Package go/build, which chooses files as well, brings all of Go's parser, which
// would make the frontend larger by a fortieth. The test compares with it.

// platform is what build constraints are held against: the tags that are set.
type platform map[string]bool

func (p platform) has(tag string) bool {
	if tag == "boringcrypto" {
		tag = "goexperiment.boringcrypto" // its name since Go 1.19
	}
	return p[tag]
}

// compiles says whether a file is compiled by its name and its constraints. A
// file with constraints that are wrong is not.
func (p platform) compiles(name string, src []byte) bool {
	if !p.named(name) {
		return false
	}
	constraints, err := constraintsOf(src)
	if err != nil {
		return false
	}
	for _, c := range constraints {
		if !c.Eval(p.has) {
			return false
		}
	}
	return true
}

// named says whether the name of a file, such as open_linux_arm64.go, has no
// other system and no other architecture in it.
// See https://pkg.go.dev/cmd/go#hdr-Build_constraints.
func (p platform) named(file string) bool {
	name, _, _ := strings.Cut(file, ".")
	parts := strings.Split(name, "_")[1:] // what comes before is a name alone: linux.go is for all
	if n := len(parts); n > 0 && parts[n-1] == "test" {
		parts = parts[:n-1]
	}
	n := len(parts)
	switch {
	case n >= 2 && systems[parts[n-2]] && architectures[parts[n-1]]:
		return p.has(parts[n-2]) && p.has(parts[n-1])
	case n >= 1 && (systems[parts[n-1]] || architectures[parts[n-1]]):
		return p.has(parts[n-1])
	}
	return true
}

// What counts as a system and as an architecture in the name of a file, whether
// or not Go has it: see Go's internal/syslist.
var (
	systems = set(`aix android darwin dragonfly freebsd hurd illumos ios js linux nacl netbsd openbsd plan9 solaris wasip1 windows zos`)

	architectures = set(`386 amd64 amd64p32 arm armbe arm64 arm64be loong64 mips mipsle mips64 mips64le mips64p32 mips64p32le ppc ppc64 ppc64le
		riscv riscv64 s390 s390x sparc sparc64 wasm`)
)

func set(words string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(words) {
		m[w] = true
	}
	return m
}

// constraintsOf returns the build constraints of a file, all of which must hold:
// its //go:build line or, without one, its // +build lines, which count where
// only blank lines and other // comments precede them and a blank line follows.
func constraintsOf(src []byte) ([]constraint.Expr, error) {
	var build, plus, unfinished []constraint.Expr
	comment, ended := false, false // in a /* comment; after the leading // comments
lines:
	for line := range bytes.Lines(bytes.TrimPrefix(src, []byte("\ufeff"))) {
		text := string(bytes.TrimSpace(line))
		if text == "" && !ended {
			plus, unfinished = append(plus, unfinished...), nil
			continue
		}
		ended = ended || !strings.HasPrefix(text, "//")
		switch {
		case comment:
		case constraint.IsGoBuild(text):
			c, err := constraint.Parse(text)
			if err != nil {
				return nil, err
			}
			if build = append(build, c); len(build) > 1 {
				return nil, errors.New("there is more than one //go:build line")
			}
		case !ended && constraint.IsPlusBuild(text):
			// One that is wrong is passed over.
			if c, err := constraint.Parse(text); err == nil {
				unfinished = append(unfinished, c)
			}
		}
		for text != "" && (comment || !strings.HasPrefix(text, "//")) {
			found := false
			if comment {
				_, text, found = strings.Cut(text, "*/")
				comment = !found
			} else if text, comment = strings.CutPrefix(text, "/*"); !comment {
				break lines // here the code begins
			}
			text = strings.TrimSpace(text)
		}
	}
	if build != nil {
		return build, nil
	}
	return plus, nil
}
