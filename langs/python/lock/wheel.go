package lock

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
)

// Wheel is a built package:
// https://packaging.python.org/en/latest/specifications/binary-distribution-format/.
type Wheel struct {
	// File is its name: "numpy-2.3.1-cp313-cp313-manylinux_2_28_x86_64.whl".
	File string
	// Size in bytes, 0 where the lock does not say it.
	Size int64

	python, abi, platform []string
}

// ParseWheel reads a wheel's name, of which the tags say where it runs.
func ParseWheel(file string) (Wheel, error) {
	stem, ok := strings.CutSuffix(file, ".whl")
	parts := strings.Split(stem, "-")
	if n := len(parts); !ok || n != 5 && n != 6 || len(file) > 1024 {
		return Wheel{}, fmt.Errorf("%q is not the name of a wheel", file)
	}
	tag := func(fromEnd int) []string { return strings.Split(strings.ToLower(parts[len(parts)-fromEnd]), ".") }
	return Wheel{File: file, python: tag(3), abi: tag(2), platform: tag(1)}, nil
}

// Platform says whether a wheel is for one kind of machine only.
func (w Wheel) Platform() bool { return !slices.Contains(w.platform, "any") }

// Fits says whether a wheel can be installed on a platform.
func (w Wheel) Fits(t Target) bool { return w.rank(t) >= 0 }

// rank is better the higher it is; negative for a wheel that does not fit.
func (w Wheel) rank(t Target) int {
	python, platform := w.pythonRank(t.Python), w.platformRank(t)
	if python < 0 || platform < 0 {
		return -1
	}
	return python*10000 + platform
}

// pythonRank prefers wheels for the very version to those with the stable interface and
// those to pure ones.
func (w Wheel) pythonRank(version string) int {
	v, err := requirement.ParseVersion(version)
	if err != nil {
		return -1
	}
	minor := int(v.Release(1))
	own := fmt.Sprintf("cp%d%d", v.Release(0), minor)
	best := -1
	for _, python := range w.python {
		for _, abi := range w.abi {
			digits := strings.TrimLeft(python, "abcdefghijklmnopqrstuvwxyz")
			implementation := python[:len(python)-len(digits)]
			if digits == "" || digits[0] != byte('0'+v.Release(0)) {
				continue
			}
			since, err := strconv.Atoi("0" + digits[1:])
			if err != nil || since > minor {
				continue
			}
			switch {
			case implementation == "cp" && abi == own && python == own:
				best = max(best, 1000)
			case implementation == "cp" && abi == "abi3":
				best = max(best, 500+since)
			case implementation == "cp" && abi == "none" && python == own:
				best = max(best, 400)
			case implementation == "py" && abi == "none":
				best = max(best, since)
			}
		}
	}
	return best
}

// machines are what the tags of platforms call architectures.
var machines = map[string]string{"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "arm": "armv7l", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"}

// oldNames are tags from before manylinux_X_Y: the versions of glibc that they mean.
var oldNames = map[string]int{"manylinux1": 5, "manylinux2010": 12, "manylinux2014": 17}

func (w Wheel) platformRank(t Target) int {
	var glibc int
	if _, err := fmt.Sscanf(t.Glibc, "2.%d", &glibc); err != nil {
		return -1
	}
	best := -1
	for _, platform := range w.platform {
		if platform == "any" {
			best = max(best, 0)
			continue
		}
		tag, ok := strings.CutSuffix(platform, "_"+machines[t.Arch])
		if !ok || machines[t.Arch] == "" {
			continue
		}
		needs, old := oldNames[tag]
		if tag == "linux" {
			best = max(best, 1)
		} else if minor, ok := strings.CutPrefix(tag, "manylinux_2_"); ok {
			n, err := strconv.Atoi(minor)
			needs, old = n, err == nil
		}
		if old && needs <= glibc {
			best = max(best, 10+needs)
		}
	}
	return best
}

// Wheel returns the wheel that is installed on a platform, the best of those that the
// lock lists; false when there is none.
func (p *Package) Wheel(t Target) (Wheel, bool) {
	best, rank := Wheel{}, -1
	for _, w := range p.Wheels {
		if r := w.rank(t); r > rank {
			best, rank = w, r
		}
	}
	return best, rank >= 0
}
