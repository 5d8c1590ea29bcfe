package aot

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// java is a stand-in for the virtual machine: a shell script that has the path of the
// cache in $cache, and the program's file of arguments in $file.
func java(t *testing.T, script string) (Options, *bytes.Buffer) {
	t.Helper()
	dir := t.TempDir()
	head := "#!/bin/sh\ncache=${1#-XX:AOTCacheOutput=}\nfile=${3#@}\n"
	require.NoError(t, os.WriteFile(dir+"/java", []byte(head+script), 0o755))
	require.NoError(t, os.WriteFile(dir+"/jvm.args", []byte("-Xmx1g\n-XX:AOTCache=/app/app.aot\n-XX:AOTMode=auto\n-cp\n/app/app.jar\nMain\n"), 0o644))
	require.NoError(t, os.WriteFile(dir+"/tcp", []byte("  sl  local_address rem_address   st\n   0: 0100007F:1F90 00000000:0000 01 0\n"), 0o644))
	var said bytes.Buffer
	return Options{
		Java: dir + "/java", ArgsFile: dir + "/jvm.args", Args: []string{"--birds"}, Settle: 10 * time.Millisecond, Limit: 5 * time.Second,
		TCP: []string{dir + "/tcp", dir + "/tcp6"}, Stdout: &said, Stderr: &said,
	}, &said
}

func TestTrain(t *testing.T) {
	for name, tt := range map[string]struct{ script, want string }{
		"ends":           {script: `echo "$2 $4"; cat "$file"; echo learnt > "$cache"`},
		"ends so":        {script: `echo learnt > "$cache"; exit 3`, want: "the program did not start: it ended with exit status 3"},
		"does not start": {script: `echo Exception; exit 1`, want: "the program did not start, so that nothing could be learnt of it: it ended with exit status 1"},
		"writes nothing": {script: `true`, want: "the virtual machine wrote nothing of what it learnt"},
		"listens":        {script: `trap 'echo learnt > "$cache"; exit 143' TERM; echo '1: 0 0 0A' >> "${0%java}tcp"; while :; do sleep 0.05; done`},
		"runs on":        {script: `trap 'echo learnt > "$cache"; exit 143' TERM; while :; do sleep 0.05; done`},
		"halts":          {script: `trap 'exit 143' TERM; while :; do sleep 0.05; done`, want: "the program does not end on SIGTERM, or ends without its shutdown"},
	} {
		t.Run(name, func(t *testing.T) {
			o, said := java(t, tt.script)
			if name == "runs on" || name == "halts" {
				o.Limit = 100 * time.Millisecond
			}
			out := t.TempDir()
			began := time.Now()
			err := Train(t.Context(), o, out)
			require.Less(t, time.Since(began), 4*time.Second, "it is told to end once it listens")
			if tt.want != "" {
				require.ErrorContains(t, err, tt.want)
				return
			}
			require.NoError(t, err)
			content, err := os.ReadFile(filepath.Join(out, "app.aot"))
			require.NoError(t, err)
			require.Equal(t, "learnt\n", string(content))
			if name == "ends" {
				require.Equal(t, "-Dspring.context.exit=onRefresh --birds\n-Xmx1g\n-cp\n/app/app.jar\nMain\n", said.String())
			}
		})
	}
	o, _ := java(t, "")
	o.ArgsFile += ".gone"
	require.ErrorContains(t, Train(t.Context(), o, t.TempDir()), "reading how the program is started")
}
