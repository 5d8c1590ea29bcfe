package frontend

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/client/llb"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/grpcerrors"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// ProblemsError is a descriptor or a project that cannot be built. Its message has
// a line for each problem and what to write instead. Clients that know no more
// than errors get the sources with the places marked as well (errdefs.Source).
type ProblemsError struct {
	// Problems are sorted; warnings may be among them.
	Problems spec.Problems
	// Sources are the texts of the files, as spec.Problems.Text takes them.
	Sources map[string][]byte

	text string
}

func (e *ProblemsError) Error() string { return e.text }

// problemError is the error for problems, with the sources that docker and
// buildctl print.
func (b *build) problemError(problems spec.Problems) error {
	problems = problems.Sorted()
	pe := &ProblemsError{Problems: problems, Sources: map[string][]byte{"": b.source.Data}, text: b.text(problems)}
	ranges := map[string][]*pb.Range{}
	for _, p := range problems {
		if p.Severity == spec.Error && p.Range.Start.Line > 0 {
			ranges[p.File] = append(ranges[p.File], protoRange(p.Range))
		}
		if p.File != "" {
			pe.Sources[p.File] = b.project.content(p.File)
		}
	}
	err := error(pe)
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
		if p.Severity == spec.Warning {
			b.warnOf(ctx, p)
		}
	}
}

func (b *build) warnOf(ctx context.Context, p spec.Problem) {
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
	e := &stepError{step: step, how: "failed", hint: solve.Description[birdllb.DescriptionHint], cause: err}
	var exit *gwpb.ExitError
	switch {
	case errors.As(err, &exit):
		e.how = fmt.Sprintf("failed with exit code %d", exit.ExitCode)
		blame := strings.Split(solve.Description[birdllb.DescriptionBlame], "\n")
		if i := int(exit.ExitCode) - plan.FirstBlame; i >= 0 && i < len(blame) && blame[i] != "" {
			e.how = "failed at " + blame[i]
			e.hint = strings.ReplaceAll(e.hint, "[NAME]", "["+blamed.FindStringSubmatch(blame[i])[1]+"]")
		}
	case solve.Description[birdllb.DescriptionURL] != "":
		e.how += ": " + fetchCause(err, solve.Description[birdllb.DescriptionURL])
	default:
		e.how += ": " + cause(err)
	}
	return e
}

// Messages of BuildKit's, which it has no types for.
var (
	otherDigest = regexp.MustCompile(`digest mismatch (sha256:[0-9a-f]{64}): (sha256:[0-9a-f]{64})$`)
	noSuchPath  = regexp.MustCompile(`"/([^"]+)": not found$`)
)

// blamed is the name of a package behind the place of a requirement.
var blamed = regexp.MustCompile(`^(?:.*?:\d+: )?([\w.-]*)`)

// fetchCause is why a file could not be fetched. BuildKit saves whatever an
// HTTP server answers, an error page too, and then compares the checksums.
func fetchCause(err error, url string) string {
	message := cause(err)
	if m := otherDigest.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("the checksum does not match: %s answered with something else, perhaps an error page, and nothing of it was used\ngot  %s\nwant %s", url, m[1], m[2])
	}
	if !strings.Contains(message, url) {
		message = url + ": " + message
	}
	return message
}

// cause is the message of what a vertex failed with.
func cause(err error) string {
	message := err.Error()
	if m := noSuchPath.FindStringSubmatch(message); m != nil {
		return fmt.Sprintf("there is no %q in the build context", m[1])
	}
	return message
}

type stepError struct {
	step, how, hint string
	cause           error
}

func (e *stepError) Error() string {
	s := e.step + " " + e.how
	if e.hint != "" {
		s += "\n" + e.hint
	}
	return s
}

func (e *stepError) Unwrap() error { return e.cause }

// GRPCStatus is what goes over the wire: without it, that would be the cause's
// own status, with the cause's message.
func (e *stepError) GRPCStatus() *status.Status {
	code := codes.Unknown
	if st, ok := grpcerrors.AsGRPCStatus(e.cause); ok && st != nil {
		code = st.Code()
	}
	return status.New(code, e.Error())
}
