package frontend

import (
	"context"
	"maps"
	"slices"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerui"
	"github.com/moby/buildkit/frontend/subrequests/lint"
	"github.com/moby/buildkit/frontend/subrequests/outline"
	"github.com/moby/buildkit/frontend/subrequests/targets"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// requests answers buildx's --check and --call. All three are answered: buildx
// takes a refusal for an old Dockerfile frontend and would try a newer one on
// the YAML.
func (b *build) requests() dockerui.RequestHandler {
	return dockerui.RequestHandler{
		Outline:     b.outline,
		ListTargets: b.targets,
		Lint:        b.lint,
	}
}

func (b *build) location(path string) *pb.Location {
	return &pb.Location{SourceIndex: 0, Ranges: []*pb.Range{protoRange(b.spec.Range(path))}}
}

// outline lists what the build can be given: arguments, secrets, SSH agents.
func (b *build) outline(ctx context.Context) (*outline.Outline, error) {
	p, err := b.prepare(ctx)
	if err != nil {
		return nil, err
	}
	o := &outline.Outline{
		Name:        b.ui.Target,
		Description: "a " + p.Language + " program on " + p.Run.String(),
		Sources:     [][]byte{b.source.Data},
	}
	if o.Name == "" {
		o.Name = TargetRun
	}
	for _, name := range b.spec.Args.Keys() {
		o.Args = append(o.Args, outline.Arg{Name: name, Value: b.spec.Args[name], Location: b.location("args." + name)})
	}
	secrets, agents := map[string]bool{}, map[string]bool{}
	for _, s := range p.Stages {
		for _, st := range s.Steps {
			for _, m := range st.Mounts {
				switch m.Kind {
				case plan.MountSecret, plan.MountSecretEnv:
					secrets[m.SecretID] = secrets[m.SecretID] || !m.Optional
				case plan.MountSSH:
					agents[m.SecretID] = agents[m.SecretID] || !m.Optional
				}
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(secrets)) {
		o.Secrets = append(o.Secrets, outline.Secret{Name: id, Required: secrets[id]})
	}
	for _, id := range slices.Sorted(maps.Keys(agents)) {
		o.SSH = append(o.SSH, outline.SSH{Name: id, Required: agents[id]})
	}
	return o, nil
}

// targets lists what --target takes.
func (b *build) targets(ctx context.Context) (*targets.List, error) {
	p, err := b.prepare(ctx)
	if err != nil {
		return nil, err
	}
	l := &targets.List{Sources: [][]byte{b.source.Data}}
	l.Targets = append(l.Targets, targets.Target{
		Name: TargetRun, Default: true, Description: "the image", Base: p.Run.String(), Location: b.location("language"),
	})
	for _, name := range slices.Sorted(maps.Keys(b.spec.Images)) {
		l.Targets = append(l.Targets, targets.Target{
			Name: name, Description: "an image of its own", Base: p.Run.String(), Location: b.location("images." + name),
		})
	}
	for _, s := range p.Stages {
		l.Targets = append(l.Targets, targets.Target{
			Name: s.Name, Description: "what this stage produces", Base: s.Root(), Location: b.location("language"),
		})
	}
	return l, nil
}

// lint reports every problem without building.
func (b *build) lint(ctx context.Context) (*lint.LintResults, error) {
	results := &lint.LintResults{}
	index := results.AddSource(b.source.SourceMap)
	_, err := b.prepare(ctx)
	if err != nil && len(errdefs.Sources(err)) == 0 && !b.problems.HasErrors() {
		return nil, err
	}
	for _, p := range b.problems.Sorted() {
		rule := "DescriptorWarning"
		if p.Severity == spec.Error {
			rule = "DescriptorError"
		}
		detail := p.Message
		if p.File != "" {
			detail = p.File + ": " + detail
		}
		if p.Hint != "" {
			detail += ": " + p.Hint
		}
		var location []parser.Range
		if p.File == "" && p.Range.Start.Line > 0 {
			location = []parser.Range{{
				Start: parser.Position{Line: p.Range.Start.Line, Character: p.Range.Start.Column - 1},
				End:   parser.Position{Line: p.Range.End.Line, Character: p.Range.End.Column - 1},
			}}
		}
		results.AddWarning(rule, p.Message, "", detail, index, location)
	}
	return results, nil
}
