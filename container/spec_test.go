package container

import (
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestSpec(t *testing.T) {
	for name, s := range map[string]settings{
		"plain": {
			Args: []string{"/app"}, Env: []string{"PATH=/bin"}, Cwd: "/", Hostname: "host", Cgroup: 2,
			User: specs.User{UID: 65532, GID: 65532, AdditionalGids: []uint32{65532}},
		},
		"root-tty-readonly": {
			Args: []string{"/app", "x"}, Env: []string{"PATH=/bin"}, Cwd: "/work", Hostname: "host", Cgroup: 1,
			ReadOnly: true, TTY: true, Size: &specs.Box{Width: 80, Height: 24},
			Mounts: []specs.Mount{
				bind("/host/deep", "/data/deep", "rprivate", true), bind("/host/data", "/data", "rslave", false),
			},
		},
		"no-cgroup": {Args: []string{"/app"}, Cwd: "/", Hostname: "host"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := json.MarshalIndent(newSpec(s), "", "  ")
			require.NoError(t, err)
			golden := filepath.Join("testdata", "spec", name+".json")
			if *update {
				require.NoError(t, os.MkdirAll(filepath.Dir(golden), 0o755))
				require.NoError(t, os.WriteFile(golden, append(got, '\n'), 0o644))
			}
			want, err := os.ReadFile(golden)
			require.NoError(t, err)
			assert.Equal(t, string(want), string(got)+"\n")
		})
	}
}

func TestCommand(t *testing.T) {
	sh, none := "/bin/sh", ""
	both := v1.Config{Entrypoint: []string{"/app", "-v"}, Cmd: []string{"serve"}}
	for _, c := range []struct {
		name       string
		config     v1.Config
		entrypoint *string
		args       []string
		want       []string
	}{
		{"as the image says", both, nil, nil, []string{"/app", "-v", "serve"}},
		{"arguments replace cmd", both, nil, []string{"x"}, []string{"/app", "-v", "x"}},
		{"entrypoint drops cmd", both, &sh, nil, []string{"/bin/sh"}},
		{"entrypoint and arguments", both, &sh, []string{"-c", "x"}, []string{"/bin/sh", "-c", "x"}},
		{"no entrypoint", both, &none, []string{"x"}, []string{"x"}},
		{"cmd alone", v1.Config{Cmd: []string{"a", "b"}}, nil, nil, []string{"a", "b"}},
		{"nothing", v1.Config{}, nil, nil, nil},
		{"nothing is left", both, &none, nil, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := command(c.config, c.entrypoint, c.args)
			assert.Equal(t, c.want, got)
			assert.Equal(t, c.want == nil, err != nil)
		})
	}
}

func TestEnvironment(t *testing.T) {
	here := map[string]string{"HERE": "1", "EMPTY": ""}
	lookup := func(name string) (string, bool) { v, ok := here[name]; return v, ok }
	file := filepath.Join(t.TempDir(), "env")
	require.NoError(t, os.WriteFile(file, []byte("\ufeff# comment\n\n  LEADING= a b \nQUOTED=\"x\"\nHERE\nNOWHERE\nEQ=a=b\n"), 0o600))

	asked, err := userEnv([]string{"A=1", "EMPTY", "GONE", "EQ=", "HOME=/elsewhere"}, []string{file}, lookup)
	require.NoError(t, err)
	got := environment([]string{"PATH=/bin", "GONE=x", "A=0"}, asked, "host", "/root", false)
	assert.Equal(t, []string{
		"PATH=/bin", "HOSTNAME=host", "A=1", "LEADING= a b ", `QUOTED="x"`, "HERE=1", "EQ=", "EMPTY=", "HOME=/elsewhere",
	}, got)
	assert.Equal(t, []string{"PATH=" + defaultPath, "HOSTNAME=h", "TERM=xterm", "HOME=/"}, environment(nil, nil, "h", "/", true))

	for _, bad := range []string{"=x", "", "A=\x00"} {
		_, err := userEnv([]string{bad}, nil, lookup)
		assert.ErrorContains(t, err, "--env", "%q", bad)
	}
	require.NoError(t, os.WriteFile(file, []byte("A B=1\n"), 0o600))
	_, err = userEnv(nil, []string{file}, lookup)
	assert.ErrorContains(t, err, "contains whitespaces")
}

func TestParseVolume(t *testing.T) {
	cwd, err := os.Getwd()
	require.NoError(t, err)
	for flag, want := range map[string]volume{
		"/a:/b":              {Source: "/a", Target: "/b", Propagation: "rprivate"},
		"/a/../c:/b/":        {Source: "/c", Target: "/b", Propagation: "rprivate"},
		"./a:/b:ro":          {Source: filepath.Join(cwd, "a"), Target: "/b", ReadOnly: true, Propagation: "rprivate"},
		"/a:/b:rslave,ro,z":  {Source: "/a", Target: "/b", ReadOnly: true, Propagation: "rslave"},
		"/anonymous/volume/": {Target: "/anonymous/volume", Propagation: "rprivate"},
	} {
		got, err := parseVolume(flag)
		require.NoError(t, err, flag)
		assert.Equal(t, want, got, flag)
	}
	for flag, want := range map[string]string{
		"data:/b":    "named volumes are not kept here; write a path of this machine, such as /srv/data or ./data",
		"/a:b":       `"b" is not an absolute path in the container`,
		"/a:/..":     "the container's / cannot be replaced",
		"/a:/b:rx":   `"rx" is not an option`,
		"/a:/b:ro:x": "write HOST-PATH:PATH",
		":/b":        "no path before the colon",
		"":           "not an absolute path",
	} {
		_, err := parseVolume(flag)
		assert.ErrorContains(t, err, want, flag)
	}
	_, err = parseVolumes([]string{"/a:/b", "/c:/b/"})
	assert.ErrorContains(t, err, "/b is mounted twice")
}

func TestAccount(t *testing.T) {
	root := t.TempDir()
	require.NoError(t, os.Mkdir(filepath.Join(root, "etc"), 0o755))
	outside := filepath.Join(t.TempDir(), "passwd")
	require.NoError(t, os.WriteFile(outside, []byte("spy:x:1:1::/:\n"), 0o644))

	u, home, err := account(root, "65532")
	require.NoError(t, err)
	assert.Equal(t, specs.User{UID: 65532, AdditionalGids: []uint32{0}}, u)
	assert.Equal(t, "/", home)
	u, _, err = account(root, "7:8")
	require.NoError(t, err)
	assert.Equal(t, specs.User{UID: 7, GID: 8, AdditionalGids: []uint32{8}}, u)
	_, _, err = account(root, "bird")
	assert.ErrorContains(t, err, `user "bird"`)

	// A link out of the image leads nowhere.
	require.NoError(t, os.Symlink(outside, filepath.Join(root, "etc", "passwd")))
	_, _, err = account(root, "spy")
	assert.ErrorContains(t, err, `user "spy"`)
}

func TestCgroupVersion(t *testing.T) {
	v1Line := "31 23 0:26 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n"
	for mountinfo, want := range map[string]int{
		"":                                   0,
		"22 1 8:1 / / rw - ext4 /dev/a rw\n": 0,
		v1Line:                               1,
		v1Line + "40 23 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n": 1,
		"40 23 0:30 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n":         2,
	} {
		assert.Equal(t, want, parseCgroupVersion(mountinfo), mountinfo)
	}
}
