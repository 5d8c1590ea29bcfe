package app

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// CheckedDir is ProjectDir, with a problem where it is no folder of the context; files names what
// the folder should have: "Node's files".
func CheckedDir(s *spec.Spec, project Files, files string) (string, spec.Problems) {
	dir := ProjectDir(s)
	if !fs.ValidPath(dir) {
		return "", spec.Problems{s.Problem("dir", fmt.Sprintf("dir: %q leaves the build context", s.Dir), "write a folder inside the build context, such as services/api")}
	}
	if dir != "." && !project.IsDir(dir) {
		return "", spec.Problems{s.Problem("dir", fmt.Sprintf("dir: %q is not a folder with %s in the build context", s.Dir, files), "check that .dockerignore does not exclude it")}
	}
	return dir, nil
}

// Members are the folders below root, itself not among them, that have a file named
// manifest and match (by their path from root), from the top down; what folders of an ignored
// name have in them does not count. There are at most most of them: all is false where there
// are more.
func Members(project Files, root, manifest string, ignored []string, most int, match func(rel string) bool) (dirs []string, all bool) {
	var walk func(dir string) bool
	walk = func(dir string) bool {
		entries, err := fs.ReadDir(project, dir)
		if err != nil {
			return true
		}
		for _, e := range entries {
			if e.Name() != manifest || dir == root || !match(Relative(root, dir)) {
				continue
			}
			if len(dirs) == most {
				return false
			}
			dirs = append(dirs, dir)
		}
		for _, e := range entries {
			if e.IsDir() && !slices.Contains(ignored, e.Name()) && !walk(path.Join(dir, e.Name())) {
				return false
			}
		}
		return true
	}
	all = walk(root)
	return dirs, all
}

// MatchGlob says whether a path matches a pattern of a workspace's members: path.Match for each
// part, and ** for any number of parts. It takes time in proportion to the product of their lengths.
func MatchGlob(pattern, name string) bool {
	globs, parts := strings.Split(pattern, "/"), strings.Split(name, "/")
	// star is the last ** and from where the name goes on behind it: all that a match
	// further on needs is to try the next part there.
	g, star, from := 0, -1, 0
	for p := 0; p < len(parts); {
		if g < len(globs) && globs[g] == "**" {
			star, from = g, p
			g++
			continue
		}
		if g < len(globs) {
			if ok, err := path.Match(globs[g], parts[p]); err == nil && ok {
				g, p = g+1, p+1
				continue
			}
		}
		if star < 0 {
			return false
		}
		from++
		g, p = star+1, from
	}
	for g < len(globs) && globs[g] == "**" {
		g++
	}
	return g == len(globs)
}
