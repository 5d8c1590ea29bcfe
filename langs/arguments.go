package langs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Build arguments that every descriptor knows.
const (
	// ArgVersion is {{.Version}} of templates.
	ArgVersion = "VERSION"
	// ArgRevision is {{.Revision}} of templates, where the client sends none.
	ArgRevision = "REVISION"
)

// Expand sets the declared build arguments to the values given and replaces the
// templates. Arguments that are neither declared nor predefined are problems.
// Revision is the source revision that the client knows, "" for none; the
// argument REVISION replaces it.
func Expand(s *spec.Spec, given map[string]string, revision string) spec.Problems {
	var problems spec.Problems
	known := append(slices.Sorted(maps.Keys(s.Args)), ArgVersion, ArgRevision)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if slices.Contains(known, name) || PredefinedArg(name) {
			continue
		}
		hint := spec.Meant(name, known, fmt.Sprintf("declare it:\nargs:\n  %s: \"\"", name))
		problems = append(problems, s.Problem("args", fmt.Sprintf("build argument %q is not declared", name), hint))
	}
	args := maps.Clone(s.Args)
	for name := range args {
		if v, ok := given[name]; ok {
			args[name] = v
		}
	}
	s.Args = args
	vars := spec.Vars{Version: "dev", Revision: "unknown", Args: args}
	for _, v := range []string{revision, given[ArgRevision]} {
		if v != "" {
			vars.Revision = v
		}
	}
	if v := given[ArgVersion]; v != "" {
		vars.Version = v
	}
	return append(problems, s.Expand(vars)...)
}

// PredefinedArg reports whether a build argument is one that every build takes
// without a declaration: proxies, BuildKit's own, birdhouse's own.
func PredefinedArg(name string) bool {
	switch strings.ToLower(name) {
	case "http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy":
		return true
	}
	return name == "SOURCE_DATE_EPOCH" || strings.HasPrefix(name, "BUILDKIT_") || strings.HasPrefix(name, "BIRDHOUSE_")
}
