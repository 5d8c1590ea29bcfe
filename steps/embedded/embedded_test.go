package embedded

import (
	"bytes"
	"debug/elf"
	"strings"
	"testing"
)

func TestProgram(t *testing.T) {
	if _, err := Program("mips"); err == nil || !strings.Contains(err.Error(), "linux/mips") {
		t.Errorf("got the error %v", err)
	}
	if _, err := Program("../README.md"); err == nil {
		t.Error("no error for a path")
	}
	machines := map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}
	for _, arch := range Architectures() {
		program, err := Program(arch)
		if err != nil {
			// Units are tested before anything is built, too.
			if !strings.Contains(err.Error(), "run `make`") {
				t.Errorf("%s: the error does not say how to build: %v", arch, err)
			}
			continue
		}
		f, err := elf.NewFile(bytes.NewReader(program))
		if err != nil || f.Machine != machines[arch] {
			t.Errorf("%s: %v, %v", arch, f, err)
			continue
		}
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				t.Errorf("%s: it is not static", arch)
			}
		}
	}
}
