package failure_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"syscall"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/failure"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

const descriptor = "language: go\ntest: [go, nosuch]\n"

func at(line, start, end int32) *errdefs.Source {
	return &errdefs.Source{
		Info: &pb.SourceInfo{Filename: "birdhouse.yaml", Data: []byte(descriptor)},
		Ranges: []*pb.Range{{
			Start: &pb.Position{Line: line, Character: start},
			End:   &pb.Position{Line: line, Character: end},
		}},
	}
}

func TestText(t *testing.T) {
	problem := spec.Problem{
		Severity: spec.Error, Message: "no such program", Hint: "write another",
		Range: spec.Range{Start: spec.Position{Line: 2, Column: 12}, End: spec.Position{Line: 2, Column: 18}},
	}
	for _, test := range []struct {
		name string
		err  error
		want string
	}{
		{"plain", errors.New("it is broken"), "birdhouse: it is broken\n"},
		{"nothing to say", failure.Reported, ""},
		{"BuildKit's layers", fmt.Errorf("failed to solve: failed to run Build function: %w", errors.New("rpc error: code = Unknown desc = it is broken")), "birdhouse: it is broken\n"},
		{"BuildKit's layers in between", errors.New("failed to copy to tar: rpc error: code = Unknown desc = mkdir /x: read-only file system"), "birdhouse: failed to copy to tar: mkdir /x: read-only file system\n"},
		{"not logged in", errors.New("failed to push localhost:5000/app:1: unexpected status: 401 Unauthorized"),
			"birdhouse: failed to push localhost:5000/app:1: unexpected status: 401 Unauthorized\n    birdhouse has docker's credentials: `docker login localhost:5000`, or an entry for it in ~/.docker/config.json\n"},
		{"a step, with the line that asked for it", errdefs.WithSource(errors.New("[test] go nosuch failed with exit code 2\ntry this"), at(2, 6, 18)),
			"birdhouse.yaml:2:7: [test] go nosuch failed with exit code 2\n" +
				"  1 | language: go\n" +
				"  2 | test: [go, nosuch]\n" +
				"    |       ^^^^^^^^^^^^ try this\n" +
				"1 problem, nothing was built\n"},
		{"a message that has places", errdefs.WithSource(errors.New("birdhouse.yaml:2:7: wrong\n    try this"), at(2, 6, 18)),
			"birdhouse.yaml:2\n--------------------\n   1 |     language: go\n   2 | >>> test: [go, nosuch]\n   3 |     \n--------------------\n" +
				"birdhouse: birdhouse.yaml:2:7: wrong\n    try this\n"},
		{"problems", &failure.ProblemsError{Problems: spec.Problems{problem}, Sources: map[string][]byte{"": []byte(descriptor)}},
			"birdhouse.yaml:2:12: no such program\n" +
				"  1 | language: go\n" +
				"  2 | test: [go, nosuch]\n" +
				"    |            ^^^^^^ write another\n" +
				"1 problem, nothing was built\n"},
		{"a source without a place", errdefs.WithSource(errors.New("it is broken"), &errdefs.Source{Info: &pb.SourceInfo{Filename: "a"}}), "birdhouse: it is broken\n"},
	} {
		t.Run(test.name, func(t *testing.T) {
			require.Equal(t, test.want, failure.Text(test.err))
		})
	}
}

func TestWarning(t *testing.T) {
	src := at(2, 0, 4)
	got := failure.Warning(client.VertexWarning{Short: []byte("old"), Detail: [][]byte{[]byte("write new")}, SourceInfo: src.Info, Range: src.Ranges})
	require.Equal(t, "birdhouse.yaml:2:1: warning: old\n  1 | language: go\n  2 | test: [go, nosuch]\n    | ^^^^ write new\n", got)
	require.Contains(t, failure.Warning(client.VertexWarning{Short: []byte("old")}), "warning: old\n")
}

func TestExitCode(t *testing.T) {
	require.Equal(t, 0, failure.ExitCode(nil))
	require.Equal(t, 1, failure.ExitCode(errors.New("x")))
	require.Equal(t, 1, failure.ExitCode(failure.Reported))
	require.Equal(t, 130, failure.ExitCode(fmt.Errorf("x: %w", &failure.Interrupted{Code: 130})))
}

func TestCause(t *testing.T) {
	ctx, cancel := context.WithCancelCause(context.Background())
	broken := errors.New("it is broken")
	require.Equal(t, broken, failure.Cause(ctx, broken))
	cancel(&failure.Interrupted{Code: 128 + int(syscall.SIGTERM)})
	require.NoError(t, failure.Cause(ctx, nil))
	require.Equal(t, 143, failure.ExitCode(failure.Cause(ctx, broken)))
}

func TestWriteJSON(t *testing.T) {
	var b bytes.Buffer
	require.NoError(t, failure.WriteJSON(&b, errors.New("a\nb")))
	require.Equal(t, "{\"error\":{\"message\":\"a\\nb\"}}\n", b.String())

	b.Reset()
	require.NoError(t, failure.WriteJSON(&b, &failure.ProblemsError{Problems: spec.Problems{{Severity: spec.Error, Message: "m"}}}))
	require.JSONEq(t, `{"error":{"message":"birdhouse.yaml: m","problems":[{"severity":"error","range":{"start":{"line":0,"column":0},"end":{"line":0,"column":0}},"message":"m"}]}}`, b.String())
}
