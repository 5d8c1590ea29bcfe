package progress_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/util/progress/progressui"
	"github.com/moby/buildkit/util/progress/progresswriter"
	"github.com/opencontainers/go-digest"
	"github.com/stretchr/testify/require"
	"google.golang.org/grpc"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/progress"
)

func TestMode(t *testing.T) {
	t.Setenv("BUILDKIT_PROGRESS", "")
	for _, test := range []struct {
		flag, env string
		quiet     bool
		want      progressui.DisplayMode
		err       string
	}{
		{"auto", "", false, progressui.AutoMode, ""},
		{"auto", "plain", false, progressui.PlainMode, ""},
		{"tty", "plain", false, progressui.TtyMode, ""},
		{"none", "", false, progressui.QuietMode, ""},
		{"auto", "", true, progressui.QuietMode, ""},
		{"plain", "", true, "", "contradict"},
		{"fancy", "", false, "", "there is auto"},
	} {
		t.Setenv("BUILDKIT_PROGRESS", test.env)
		got, err := progress.Mode(test.flag, test.quiet)
		if test.err != "" {
			require.ErrorContains(t, err, test.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, test.want, got, "%+v", test)
	}
}

// login is a part of a session that has something to say.
type login struct{ log progresswriter.Logger }

func (l *login) Register(*grpc.Server)              {}
func (l *login) SetLogger(to progresswriter.Logger) { l.log = to }

func step(name string) *client.SolveStatus {
	now := time.Unix(1, 0)
	return &client.SolveStatus{Vertexes: []*client.Vertex{{Digest: digest.FromString(name), Name: name, Started: &now, Completed: &now}}}
}

func TestDisplay(t *testing.T) {
	path := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(path)
	require.NoError(t, err)
	defer out.Close()
	d, err := progress.Start(out, progressui.PlainMode)
	require.NoError(t, err)
	l := &login{}
	d.Attach([]session.Attachable{l})

	d.Status() <- step("compile")
	l.log(step("log in"))
	d.Status() <- &client.SolveStatus{Warnings: []*client.VertexWarning{{Short: []byte("old")}}}
	close(d.Status())
	warnings, err := d.Wait()
	require.NoError(t, err)
	require.Len(t, warnings, 1)
	require.Equal(t, "old", string(warnings[0].Short))
	l.log(step("too late")) // does not hang

	text, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Contains(t, string(text), "compile")
	require.Contains(t, string(text), "log in")
}

func TestNoTerminal(t *testing.T) {
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	require.NoError(t, err)
	defer out.Close()
	_, err = progress.Start(out, progressui.TtyMode)
	require.ErrorContains(t, err, "--progress tty")
}

func TestNotice(t *testing.T) {
	for mode, want := range map[progressui.DisplayMode]string{
		progressui.AutoMode:    "waiting\n",
		progressui.QuietMode:   "",
		progressui.RawJSONMode: "{\"warnings\":[{\"level\":1,\"short\":\"d2FpdGluZw==\"}]}\n",
	} {
		path := filepath.Join(t.TempDir(), "out")
		out, err := os.Create(path)
		require.NoError(t, err)
		progress.Notice(out, mode)("waiting")
		require.NoError(t, out.Close())
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, want, string(text))
	}
}
