// Package missing names the module of Java's own that a program has not found a class of.
package missing

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// packages has a line for each module of Java 17 to 25 but java.base, which no runtime
// lacks: its name, and the packages that it exports (`java --describe-module`).
//
//go:embed packages.txt
var packages string

// reports are what Java's virtual machine and its class loaders say of a class that is not
// there, before the class's name. They are looked for by hand: regular expressions would make
// the steps program larger by a twentieth.
var reports = []string{"NoClassDefFoundError: ", "ClassNotFoundException: "}

// Explain says which module the program lacks, by what it has printed, and what to write so
// that the image has it. It returns "" where that is not why it failed: program, the path of
// what was started, is no java in a runtime with a release file, as jlink writes one, or no
// class of a module that is not in this runtime was missed.
func Explain(program string, printed []byte) string {
	if filepath.Base(program) != "java" {
		return ""
	}
	release, err := os.ReadFile(filepath.Join(filepath.Dir(filepath.Dir(program)), "release"))
	if err != nil {
		return ""
	}
	linked := modules(string(release))
	if len(linked) == 0 {
		return ""
	}
	for line := range strings.Lines(string(printed)) {
		for _, report := range reports {
			_, rest, found := strings.Cut(line, report)
			if !found {
				continue
			}
			end := strings.IndexFunc(rest, func(r rune) bool { return r <= ' ' || strings.ContainsRune(":;,()\"'", r) })
			if end < 0 {
				end = len(rest)
			}
			class := strings.ReplaceAll(rest[:end], "/", ".")
			module := moduleOf(class)
			if module == "" || slices.Contains(linked, module) {
				continue
			}
			all := append(slices.Clone(linked), module)
			slices.Sort(all)
			return fmt.Sprintf("the class %s is of the module %s, which is not in the image's Java\nwrite it into birdhouse.yaml with the others, build: {jlink: [%s]}, or have all of them with build: {jlink: false}",
				class, module, strings.Join(all, ", "))
		}
	}
	return ""
}

// modules are those that a release file names.
func modules(release string) []string {
	for line := range strings.Lines(release) {
		if list, ok := strings.CutPrefix(line, "MODULES="); ok {
			return strings.Fields(strings.Trim(strings.TrimSpace(list), `"`))
		}
	}
	return nil
}

// moduleOf is the module that exports a class's package, "" for none.
func moduleOf(class string) string {
	end := strings.LastIndexByte(class, '.')
	if end < 0 {
		return ""
	}
	for line := range strings.Lines(packages) {
		words := strings.Fields(line)
		if slices.Contains(words[1:], class[:end]) {
			return words[0]
		}
	}
	return ""
}
