package descriptor

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/project"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Planner plans projects on this machine as the frontend would in a build.
type Planner struct {
	// Catalog has the base images.
	Catalog langs.Catalog
	// Args are the build arguments given.
	Args map[string]string
	// Revision is the source revision, "" when it is not known.
	Revision string
}

// Result is what planning gives: a plan, or problems of severity error.
type Result struct {
	Plan     *plan.Plan
	Problems spec.Problems
	// Sources are the files that problems are in, as Problems.Text takes them.
	Sources map[string][]byte
}

// Text is the problems for people, "" when there are none.
func (r *Result) Text() string { return r.Problems.Sorted().Text(r.Sources) }

// Plan plans the image of a target for the project in dir: an entry of the
// descriptor's images or a stage; "" and "run" are the descriptor's own image.
func (p Planner) Plan(dir string, f *File, target string) (*Result, error) {
	files, err := open(dir, f)
	if err != nil {
		return nil, err
	}
	return p.plan(files, f, target)
}

// Check plans every image of the descriptor, or only that of the target unless
// it is "". The result has all problems and no plan. The top level is no image of
// its own where it only has what the images share: where there are images and it
// does not say what to build.
func (p Planner) Check(dir string, f *File, target string) (*Result, error) {
	files, err := open(dir, f)
	if err != nil {
		return nil, err
	}
	targets := []string{target}
	if s, _ := spec.Parse(f.Name, f.Data, langs.Names()); s != nil && target == "" && len(s.Images) > 0 {
		targets = slices.Sorted(maps.Keys(s.Images))
		if s.Has("package") {
			targets = append(targets, "")
		}
	}
	all := &Result{Sources: map[string][]byte{}}
	for _, target := range targets {
		r, err := p.plan(files, f, target)
		if err != nil {
			return nil, err
		}
		for _, problem := range r.Problems {
			if !slices.Contains(all.Problems, problem) {
				all.Problems = append(all.Problems, problem)
			}
		}
		maps.Copy(all.Sources, r.Sources)
	}
	return all, nil
}

func open(dir string, f *File) (fs.FS, error) {
	ignore := f.Ignore
	if ignore == nil {
		var err error
		if ignore, _, err = project.Ignore(filepath.Join(dir, ".dockerignore")); err != nil {
			return nil, err
		}
	}
	return project.Open(dir, ignore)
}

func (p Planner) plan(files fs.FS, f *File, target string) (*Result, error) {
	r := &Result{Sources: map[string][]byte{"": f.Data}}
	defer func() { r.readSources(files) }()

	s, problems := spec.Parse(f.Name, f.Data, langs.Names())
	r.Problems = problems
	if s == nil || problems.HasErrors() {
		return r, nil
	}
	if _, ok := s.Images[target]; ok {
		s, problems = s.For(target)
		r.Problems = append(r.Problems, problems...)
		if problems.HasErrors() {
			return r, nil
		}
		target = ""
	}
	problems = langs.Expand(s, p.Args, p.Revision)
	r.Problems = append(r.Problems, problems...)
	if problems.HasErrors() {
		return r, nil
	}
	language, ok := langs.ByName(s.Language)
	if !ok {
		return nil, fmt.Errorf("language %q: there is %s", s.Language, strings.Join(langs.Names(), ", "))
	}
	planned, problems := language.Plan(s, files, p.Catalog.Versions(language.Name()))
	r.Problems = append(r.Problems, problems...)
	if problems.HasErrors() {
		return r, nil
	}
	r.Problems = append(r.Problems, langs.EndOfLife(s, planned, p.Catalog)...)
	stage := func(s plan.Stage) bool { return s.Name == target }
	if target != "" && target != "run" && !slices.ContainsFunc(planned.Stages, stage) {
		_, problems := s.For(target)
		r.Problems = append(r.Problems, problems...)
		return r, nil
	}
	if missing := missingCopies(s, files); len(missing) > 0 {
		r.Problems = append(r.Problems, missing...)
		return r, nil
	}
	r.Plan = planned
	return r, nil
}

// missingCopies are the problems of files to copy that the build would not find.
func missingCopies(s *spec.Spec, files fs.FS) spec.Problems {
	var problems spec.Problems
	for i, c := range s.Copy {
		name := path.Clean("/" + c.Source)[1:]
		if name == "" {
			continue
		}
		_, err := fs.Stat(files, name)
		if err == nil {
			continue
		}
		key, hint := fmt.Sprintf("copy[%d]", i), ""
		message := fmt.Sprintf("%s: there is no %q in the build context", key, c.Source)
		var pe *fs.PathError
		if errors.Is(err, fs.ErrNotExist) {
			hint = "files that .dockerignore excludes are not there"
		} else if errors.As(err, &pe) {
			message = key + ": " + pe.Err.Error()
		}
		problems = append(problems, s.Problem(key, message, hint))
	}
	return problems
}

// readSources reads the project files that problems are in. One that cannot be
// read has no excerpt, which is all it is for.
func (r *Result) readSources(files fs.FS) {
	for _, p := range r.Problems {
		if _, ok := r.Sources[p.File]; ok {
			continue
		}
		if data, err := fs.ReadFile(files, p.File); err == nil {
			r.Sources[p.File] = data
		}
	}
}
