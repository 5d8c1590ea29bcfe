// Package depcheck holds the rules about which package may import which. They
// keep the parts apart that must change apart; there is no code here.
package depcheck

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const (
	module   = "github.com/birdhouse-build/birdhouse"
	buildkit = "github.com/moby/buildkit"
)

// serverSide are the parts of BuildKit that build, as opposed to those that
// describe builds and talk about them. Everything below a path belongs to it.
var serverSide = []string{
	"cache", "cmd/buildkitd", "control", "executor", "exporter", "hack", "snapshot", "solver", "source", "worker",
	"frontend/gateway/container", "frontend/gateway/forwarder", "util/network",
}

// clientParts are the packages below a server-side path that hold definitions
// alone, which clients and frontends need.
var clientParts = []string{
	"cache/remotecache/v1/types", "cmd/buildkitd/config", "exporter/containerimage/exptypes", "exporter/containerimage/image", "exporter/exptypes",
	"exporter/attestation", "exporter/util/epoch", "solver/errdefs", "solver/llbsolver/provenance/types", "solver/pb", "solver/result", "source/types",
}

// pkg is what `go list -json` says of a package.
type pkg struct {
	ImportPath string
	Imports    []string
	Deps       []string
	Standard   bool
}

// list returns the packages that match patterns, without tests, as they are on
// Linux and built as published; it fails when there are none.
func list(t *testing.T, patterns ...string) []pkg {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-tags=grpcnotrace", "-json=ImportPath,Imports,Deps,Standard"}, patterns...)...)
	cmd.Env = append(cmd.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list %s: %v\n%s", strings.Join(patterns, " "), err, &stderr)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		err := dec.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
	if len(pkgs) == 0 {
		t.Fatalf("no package matches %s: the rule checks nothing", strings.Join(patterns, " "))
	}
	return pkgs
}

// within reports whether path is one of the roots or below one.
func within(path string, roots ...string) bool {
	return slices.ContainsFunc(roots, func(root string) bool {
		return path == root || strings.HasPrefix(path, root+"/")
	})
}

func below(prefix string, paths []string) []string {
	var full []string
	for _, p := range paths {
		full = append(full, prefix+"/"+p)
	}
	return full
}

func isServerSide(path string) bool {
	return within(path, below(buildkit, serverSide)...) && !within(path, below(buildkit, clientParts)...)
}

// TestRules checks each rule on the imports, or on all that is reached by them.
func TestRules(t *testing.T) {
	rules := []struct {
		name string
		// packages are the patterns of `go list`, and except those that the rule
		// does not bind.
		packages []string
		except   []string
		// direct rules are about what a package itself imports; the others about
		// all that it reaches.
		direct bool
		// bans reports whether from may not import to.
		bans func(from, to string) bool
		// breaks is an import that the rule must catch.
		breaks [2]string
	}{
		{
			name:     "languages know nothing of BuildKit",
			packages: []string{module + "/langs/..."},
			bans:     func(_, to string) bool { return within(to, buildkit) },
			breaks:   [2]string{module + "/langs/golang", buildkit + "/client/llb"},
		},
		{
			name:     "a language knows no other",
			packages: []string{module + "/langs/..."},
			except:   []string{module + "/langs"},
			direct:   true,
			bans: func(from, to string) bool {
				rest, ok := strings.CutPrefix(to, module+"/langs/")
				if !ok || within(rest, "app", "spec", "plan", "project") {
					return to == module+"/langs"
				}
				language, _, _ := strings.Cut(rest, "/")
				return !within(from, module+"/langs/"+language)
			},
			breaks: [2]string{module + "/langs/golang", module + "/langs/node/npm"},
		},
		{
			name:     "the descriptor and the plan stand alone",
			packages: []string{module + "/langs/spec/...", module + "/langs/plan/..."},
			direct:   true,
			bans: func(from, to string) bool {
				root := module + "/langs/plan"
				if within(from, module+"/langs/spec") {
					root = module + "/langs/spec"
				}
				return within(to, module) && !within(to, root)
			},
			breaks: [2]string{module + "/langs/plan", module + "/langs/spec"},
		},
		{
			name:     "only llb builds graphs, and frontend names sources",
			packages: []string{module + "/..."},
			except:   []string{module + "/llb", module + "/frontend"},
			direct:   true,
			bans:     func(_, to string) bool { return within(to, buildkit+"/client/llb") },
			breaks:   [2]string{module + "/cmd/birdhouse", buildkit + "/client/llb"},
		},
		{
			name:     "only engine imports BuildKit's server side",
			packages: []string{module + "/..."},
			except:   []string{module + "/engine"},
			direct:   true,
			bans:     func(_, to string) bool { return isServerSide(to) },
			breaks:   [2]string{module + "/cmd/birdhouse", buildkit + "/solver/llbsolver"},
		},
		{
			name:     "the frontend image stays small: it does not reach engine",
			packages: []string{module + "/cmd/frontend"},
			bans: func(_, to string) bool {
				return within(to, module+"/engine") || within(to, below(buildkit, []string{"control", "worker", "solver/llbsolver/ops", "executor/runcexecutor"})...)
			},
			breaks: [2]string{module + "/cmd/frontend", module + "/engine"},
		},
		{
			// Each makes it larger by a fiftieth or more: templates call methods by
			// name, so that the linker leaves out none, and go/build and go/doc bring
			// Go's parser.
			name:     "the frontend image stays small: it has neither templates nor Go's parser",
			packages: []string{module + "/cmd/frontend"},
			bans: func(_, to string) bool {
				return slices.Contains([]string{"text/template", "html/template", "go/parser", "go/build", "go/doc"}, to)
			},
			breaks: [2]string{module + "/cmd/frontend", "go/parser"},
		},
		{
			name:     "the steps program reaches neither BuildKit nor HTTP, and has no regular expressions, which are large",
			packages: []string{module + "/cmd/steps"},
			bans:     func(_, to string) bool { return within(to, buildkit, "net/http", "regexp") },
			breaks:   [2]string{module + "/cmd/steps", "net/http"},
		},
		{
			name:     "the catalog and the image store build nothing",
			packages: []string{module + "/catalog/...", module + "/image/...", module + "/container/..."},
			bans: func(_, to string) bool {
				return within(to, buildkit, module+"/engine", module+"/llb", module+"/frontend")
			},
			breaks: [2]string{module + "/catalog", module + "/llb"},
		},
		{
			name:     "programs have no helpers of tests in them",
			packages: []string{module + "/cmd/..."},
			bans: func(_, to string) bool {
				return within(to, module+"/internal", "testing", "github.com/stretchr/testify", "github.com/google/go-cmp", "github.com/google/go-containerregistry/pkg/registry") ||
					within(to, module) && strings.HasSuffix(to, "test")
			},
			breaks: [2]string{module + "/cmd/birdhouse", module + "/internal/harness"},
		},
	}
	for _, rule := range rules {
		t.Run(rule.name, func(t *testing.T) {
			if !rule.bans(rule.breaks[0], rule.breaks[1]) {
				t.Errorf("the rule allows %s to import %s", rule.breaks[0], rule.breaks[1])
			}
			for _, p := range list(t, rule.packages...) {
				if slices.Contains(rule.except, p.ImportPath) {
					continue
				}
				reached := p.Deps
				if rule.direct {
					reached = p.Imports
				}
				for _, to := range reached {
					if rule.bans(p.ImportPath, to) {
						t.Errorf("%s may not import %s", p.ImportPath, to)
					}
				}
			}
		})
	}
}

// TestServerSideNamesExist checks that the names above are BuildKit's: a rule
// about packages that have gone checks nothing.
func TestServerSideNamesExist(t *testing.T) {
	reached := list(t, "-deps", module+"/engine/...")
	for _, part := range []string{"control", "executor", "solver", "worker", "cache", "snapshot"} {
		if !slices.ContainsFunc(reached, func(p pkg) bool { return isServerSide(p.ImportPath) && within(p.ImportPath, buildkit+"/"+part) }) {
			t.Errorf("engine does not reach %s/%s: is it named otherwise now?", buildkit, part)
		}
	}
}
