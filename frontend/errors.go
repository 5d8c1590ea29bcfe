package frontend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"

	"github.com/birdhouse-build/birdhouse/langs/spec"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// problemError is the error for problems: one line each with its position and
// what to write, and the sources with the places marked, which docker, buildctl
// and birdhouse print.
func (b *build) problemError(problems spec.Problems) error {
	problems = problems.Sorted()
	err := errors.New(b.text(problems))
	ranges := map[string][]*pb.Range{}
	for _, p := range problems {
		if p.Severity == spec.Error && p.Range.Start.Line > 0 {
			ranges[p.File] = append(ranges[p.File], protoRange(p.Range))
		}
	}
	for _, file := range slices.Sorted(maps.Keys(ranges)) {
		info := b.sourceInfo()
		if file != "" {
			data := b.project.content(file)
			if data == nil {
				continue
			}
			info = &pb.SourceInfo{Filename: file, Data: data}
		}
		err = errdefs.WithSource(err, &errdefs.Source{Info: info, Ranges: ranges[file]})
	}
	return err
}

// text has a line for each problem, then what to write instead. Clients print the
// marked sources themselves.
func (b *build) text(problems spec.Problems) string {
	var lines []string
	for _, p := range problems {
		if p.Severity != spec.Error {
			continue
		}
		at := p.File
		if at == "" {
			at = b.source.Filename
		}
		if p.Range.Start.Line > 0 {
			at = fmt.Sprintf("%s:%d:%d", at, p.Range.Start.Line, p.Range.Start.Column)
		}
		lines = append(lines, at+": "+p.Message)
		if p.Hint != "" {
			lines = append(lines, "    "+strings.ReplaceAll(p.Hint, "\n", "\n    "))
		}
	}
	return strings.Join(lines, "\n")
}

func (b *build) sourceInfo() *pb.SourceInfo {
	return &pb.SourceInfo{
		Data:       b.source.Data,
		Filename:   b.source.Filename,
		Language:   b.source.Language,
		Definition: b.source.Definition.ToPB(),
	}
}

func protoRange(r spec.Range) *pb.Range {
	return &pb.Range{
		Start: &pb.Position{Line: int32(r.Start.Line), Character: int32(max(r.Start.Column-1, 0))},
		End:   &pb.Position{Line: int32(r.End.Line), Character: int32(max(r.End.Column-1, 0))},
	}
}

// locate is the place of a descriptor's key, for an operation.
func (b *build) locate(path string) llb.ConstraintsOpt {
	return b.source.Location([]*pb.Range{protoRange(b.spec.Range(path))})
}

// warn sends the warnings to the client.
func (b *build) warn(ctx context.Context) {
	for _, p := range b.problems.Sorted() {
		if p.Severity != spec.Warning {
			continue
		}
		opts := gwclient.WarnOpts{}
		if p.File == "" && p.Range.Start.Line > 0 {
			opts.Range = []*pb.Range{protoRange(p.Range)}
		}
		for _, line := range strings.Split(p.Hint, "\n") {
			if line != "" {
				opts.Detail = append(opts.Detail, []byte(line))
			}
		}
		msg := p.Message
		if p.File != "" {
			msg = p.File + ": " + msg
		}
		b.source.Warn(ctx, msg, opts)
	}
}

// stepError says which step failed, in the descriptor's terms. The error it
// wraps keeps the place in the descriptor and the output's tail.
func (b *build) stepError(err error) error {
	var solve *errdefs.SolveError
	if !errors.As(err, &solve) || solve.Solve == nil {
		return err
	}
	step := solve.Description[birdllb.DescriptionStep]
	if step == "" {
		return err
	}
	how := "failed"
	var exit *gwpb.ExitError
	if errors.As(err, &exit) {
		how = fmt.Sprintf("failed with exit code %d", exit.ExitCode)
	}
	return &stepError{step: step, how: how, hint: solve.Description[birdllb.DescriptionHint], cause: err}
}

type stepError struct {
	step, how, hint string
	cause           error
}

func (e *stepError) Error() string {
	s := e.step + " " + e.how
	if e.how == "failed" {
		s += ": " + e.cause.Error()
	}
	if e.hint != "" {
		s += "\n" + e.hint
	}
	return s
}

func (e *stepError) Unwrap() error { return e.cause }
