// Package app is what the images of all languages have in common, and what every
// language needs to read a project: the image's configuration, its check, the files
// that are copied into it, secrets, and problems in the project's files.
package app

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

const (
	// Dir is where an image has its program.
	Dir = "/app"
	// User is the user and group that programs run as unless told otherwise.
	User = "65532:65532"
	// Debian is the release that run images are made of, unless their language's
	// version is of another.
	Debian = "13"

	// smokeSeconds is how long a smoke check waits unless told otherwise.
	smokeSeconds = 30
)

// Image is the image's configuration as the descriptor has it, with the defaults of
// all languages: not root, in /. Without `entrypoint` it has none.
func Image(s *spec.Spec) plan.Image {
	image := plan.Image{
		Entrypoint: s.Entrypoint,
		Cmd:        s.Cmd,
		Env:        Pairs(s.Env),
		User:       string(s.User),
		WorkingDir: s.WorkDir,
		Volumes:    s.Volumes,
		Labels:     Pairs(s.Labels),
		StopSignal: s.StopSignal,

		Annotations: Pairs(s.Annotations),
	}
	for _, p := range s.Expose {
		image.Expose = append(image.Expose, string(p))
	}
	if image.User == "" {
		image.User = User
	}
	if image.WorkingDir == "" {
		image.WorkingDir = "/"
	}
	if h := s.Healthcheck; h != nil {
		image.Healthcheck = &plan.Healthcheck{
			Test: h.Test, Interval: int64(h.Interval), Timeout: int64(h.Timeout),
			StartPeriod: int64(h.StartPeriod), Retries: h.Retries,
		}
	}
	return image
}

// Smoke is the check of the finished image, nil when the descriptor has none. A path
// or status without a port is asked for on the first exposed one.
func Smoke(s *spec.Spec) (*plan.Smoke, spec.Problems) {
	c := s.Smoke
	if c == nil {
		return nil, nil
	}
	smoke := &plan.Smoke{
		Env: Pairs(c.Env), Port: c.Port, Path: c.Path, Status: c.Status, Output: c.Output, Exit: c.Exit,
		Timeout: int((int64(c.Timeout) + 1e9 - 1) / 1e9),
	}
	if c.Args != nil {
		smoke.Args = append([]string{}, *c.Args...)
	}
	if smoke.Timeout == 0 {
		smoke.Timeout = smokeSeconds
	}
	asks := c.Path != "" || c.Status != 0
	if smoke.Port == 0 && asks {
		smoke.Port = FirstPort(s.Expose)
	}
	if smoke.Port == 0 && asks {
		return nil, spec.Problems{s.Problem("smoke", "smoke: there is no port to ask", "add port to it, or expose: [8080] to the descriptor")}
	}
	if smoke.Path != "" && smoke.Status == 0 {
		smoke.Status = 200
	}
	return smoke, nil
}

// FirstPort is the first TCP port of expose, 0 for none.
func FirstPort(ports []spec.Port) int {
	for _, p := range ports {
		number, protocol, _ := strings.Cut(string(p), "/")
		if n, err := strconv.Atoi(number); err == nil && (protocol == "" || protocol == "tcp") {
			return n
		}
	}
	return 0
}

// Assets is the layer of the files that `copy` asks for; no layer without it.
func Assets(s *spec.Spec) []plan.Layer {
	if len(s.Copy) == 0 {
		return nil
	}
	assets := plan.Layer{Name: "assets", Changes: "sometimes"}
	var targets []string
	for i, c := range s.Copy {
		assets.Copies = append(assets.Copies, plan.Copy{Source: c.Source, Target: c.Target, Mode: c.Mode, Asked: fmt.Sprintf("copy[%d]", i)})
		targets = append(targets, c.Target)
	}
	assets.What = strings.Join(targets, ", ")
	return []plan.Layer{assets}
}

// Copied says whether `copy` puts something at a path of the image.
func Copied(s *spec.Spec, file string) bool {
	return slices.ContainsFunc(s.Copy, func(c spec.Copy) bool {
		target := path.Clean(c.Target)
		return target == "/" || target == file || strings.HasPrefix(file, target+"/")
	})
}

// WithPackages adds Debian packages to a base; asked is the key that asks for them.
func WithPackages(base plan.Base, names []string, asked string) plan.Base {
	if len(names) > 0 {
		base.Packages, base.Asked = slices.Sorted(slices.Values(names)), asked
	}
	return base
}

// Facts collects decisions, in the order in which they are read.
type Facts struct {
	spec *spec.Spec
	// List are the facts so far.
	List []plan.Fact
}

// NewFacts begins with the language.
func NewFacts(s *spec.Spec) *Facts {
	f := &Facts{spec: s}
	f.Add("language", s.Language, s.Where("language"))
	return f
}

// Add adds a fact.
func (f *Facts) Add(name, value, source string) {
	f.List = append(f.List, plan.Fact{Name: name, Value: value, Source: source})
}

// Given is where a key that has a default is written, otherwise what is given.
func (f *Facts) Given(key, otherwise string) string {
	if f.spec.Has(key) {
		return f.spec.Where(key)
	}
	return otherwise
}

// Image adds what the image runs, and as whom. Entrypoint is where the entrypoint
// came from when the descriptor has none.
func (f *Facts) Image(image plan.Image, entrypoint string) {
	f.Add("entrypoint", strings.Join(image.Entrypoint, " "), f.Given("entrypoint", entrypoint))
	if len(image.Cmd) > 0 {
		f.Add("cmd", strings.Join(image.Cmd, " "), f.spec.Where("cmd"))
	}
	f.Add("user", image.User, f.Given("user", "the default, not root"))
	if len(image.Expose) > 0 {
		f.Add("expose", strings.Join(image.Expose, " "), f.Given("expose", "the server's own port"))
	}
}

// Count is a number of things in words: "1 test file", "2 test files".
func Count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
