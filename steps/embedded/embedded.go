// Package embedded holds the steps program (cmd/steps) for every architecture
// that a build machine may have, so that the command can offer it to a build
// without a registry. The files are made by `make`, reproducibly, and are the
// bytes that the frontend image has.
package embedded

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
)

// The pattern takes the committed README too, so that the package compiles
// before anything was built.
//
//go:embed all:bin
var bin embed.FS

// Architectures are those that Program knows, by their Go names, sorted.
func Architectures() []string { return []string{"amd64", "arm64"} }

// Program returns the steps program for linux on arch, a Go architecture name.
func Program(arch string) ([]byte, error) {
	program, err := bin.ReadFile("bin/steps_linux_" + arch)
	if errors.Is(err, fs.ErrNotExist) {
		for _, known := range Architectures() {
			if arch == known {
				return nil, fmt.Errorf("this build of birdhouse has no steps program for linux/%s in it: run `make` in its source, which builds cmd/steps before the rest", arch)
			}
		}
		return nil, fmt.Errorf("no steps program for linux/%s: builds run on linux/amd64 and linux/arm64", arch)
	}
	return program, err
}
