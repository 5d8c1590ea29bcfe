// Package failure turns the error that ends a command into what people and
// machines see, and into an exit code.
package failure

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"

	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// Interrupted is the cause of a context that a signal ended.
type Interrupted struct {
	// Code is the exit code: 128 and the signal's number.
	Code int
}

func (i *Interrupted) Error() string { return "interrupted" }

// ExitCode is the exit code for the signal.
func (i *Interrupted) ExitCode() int { return i.Code }

// Reported is an error that has been shown already; only its exit code is left.
var Reported = &reported{}

type reported struct{}

func (*reported) Error() string { return "" }

// ExitCode returns the exit code for an error: that which the error names itself
// by a method ExitCode, else 1; 0 for none.
func ExitCode(err error) int {
	var coded interface{ ExitCode() int }
	switch {
	case err == nil:
		return 0
	case errors.As(err, &coded):
		return coded.ExitCode()
	}
	return 1
}

// Cause replaces the errors of a cancelled context, which come in many words, by
// what cancelled it.
func Cause(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil {
		if i := (*Interrupted)(nil); errors.As(context.Cause(ctx), &i) {
			return i
		}
	}
	return err
}

// ProblemsError is a descriptor or project that cannot be built.
type ProblemsError struct {
	Problems spec.Problems
	// Sources are the files that they are in, as spec.Problems.Text takes them.
	Sources map[string][]byte
}

func (e *ProblemsError) Error() string { return e.Problems.Error() }

// Text is an error for people. Problems come with the lines they are in; so does
// the failure of a step, with the line that asked for it. It ends with a line
// end, unless it is empty.
func Text(err error) string {
	var problems *ProblemsError
	if errors.As(err, &problems) {
		return problems.Problems.Text(problems.Sources)
	}
	message := Message(err)
	if message == "" {
		return ""
	}
	sources := slices.DeleteFunc(errdefs.Sources(err), func(s *errdefs.Source) bool {
		return s.Info == nil || len(s.Ranges) == 0 || s.Ranges[0].Start == nil || s.Ranges[0].End == nil
	})
	if len(sources) == 1 && !strings.HasPrefix(message, sources[0].Info.Filename+":") {
		first, rest, _ := strings.Cut(message, "\n")
		p := spec.Problem{Severity: spec.Error, File: sources[0].Info.Filename, Range: place(sources[0].Ranges[0]), Message: first, Hint: rest}
		return spec.Problems{p}.Text(map[string][]byte{p.File: sources[0].Info.Data})
	}
	// The message says itself what is where, more than once perhaps.
	var b strings.Builder
	for _, s := range sources {
		_ = s.Print(&b)
	}
	b.WriteString("birdhouse: " + message + "\n")
	return b.String()
}

// place is a range in the terms of a descriptor: columns count from 1.
func place(r *pb.Range) spec.Range {
	return spec.Range{
		Start: spec.Position{Line: int(r.Start.Line), Column: int(r.Start.Character) + 1},
		End:   spec.Position{Line: int(r.End.Line), Column: int(r.End.Character) + 1},
	}
}

// rpcStatus is what gRPC puts before each message that came over a connection.
var rpcStatus = regexp.MustCompile(`rpc error: code = \w+ desc = `)

// refused finds the registry that a push was refused by.
var refused = regexp.MustCompile(`failed to push ([^/\s]+)/\S+: .*(401 Unauthorized|403 Forbidden|denied|authorization failed|insufficient_scope)`)

// hint is what to do about an error of BuildKit's, on a line of its own.
func hint(message string) string {
	if m := refused.FindStringSubmatch(message); m != nil {
		return "\n    birdhouse has docker's credentials: `docker login " + m[1] + "`, or an entry for it in ~/.docker/config.json"
	}
	return ""
}

// Message is the error without what BuildKit's layers have put before it.
func Message(err error) string {
	message := rpcStatus.ReplaceAllString(strings.TrimSpace(err.Error()), "")
	for {
		cut := message
		for _, prefix := range []string{"failed to run Build function: ", "failed to solve: "} {
			cut = strings.TrimPrefix(cut, prefix)
		}
		if cut == message {
			return message + hint(message)
		}
		message = cut
	}
}

// WriteJSON writes an error as one line of JSON: {"error":{"message":…,
// "problems":[…]}}.
func WriteJSON(w io.Writer, err error) error {
	var out struct {
		Error struct {
			Message  string        `json:"message"`
			Problems spec.Problems `json:"problems,omitempty"`
		} `json:"error"`
	}
	out.Error.Message = Message(err)
	var problems *ProblemsError
	if errors.As(err, &problems) {
		out.Error.Problems = problems.Problems
	}
	return json.NewEncoder(w).Encode(out)
}

// Warning is a warning of the builder for people, with the line it is about.
func Warning(w client.VertexWarning) string {
	p := spec.Problem{Severity: spec.Warning, Message: strings.TrimSpace(string(w.Short))}
	var details []string
	for _, d := range w.Detail {
		details = append(details, strings.TrimSpace(string(d)))
	}
	p.Hint = strings.Join(details, "\n")
	sources := map[string][]byte{}
	if w.SourceInfo != nil {
		p.File = w.SourceInfo.Filename
		sources[p.File] = w.SourceInfo.Data
		if len(w.Range) > 0 && w.Range[0].Start != nil && w.Range[0].End != nil {
			p.Range = place(w.Range[0])
		}
	}
	return spec.Problems{p}.Text(sources)
}
