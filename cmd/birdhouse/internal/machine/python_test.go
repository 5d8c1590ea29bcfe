package machine_test

import (
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/machine"
)

// noPython is a machine on which neither pip nor uv is set to anything by its environment.
func noPython(t *testing.T) (home string) {
	t.Helper()
	home = bare(t)
	for _, name := range append([]string{"PIP_FIND_LINKS", "PIP_CONFIG_FILE", "VIRTUAL_ENV", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_CONFIG_FILE"}, machine.PythonNames...) {
		t.Setenv(name, "")
	}
	return home
}

func TestPythonSettings(t *testing.T) {
	home := noPython(t)
	t.Setenv("PIP_CONFIG_FILE", "/dev/null")
	require.Equal(t, "none", secret(t, "UV_DEFAULT_INDEX"))
	require.Equal(t, "none", secret(t, "PIP_INDEX_URL"))

	// What pip is set to is what uv gets.
	t.Setenv("PIP_CONFIG_FILE", "")
	write(t, filepath.Join(home, ".config", "pip", "pip.conf"),
		"[global]\nindex-url = https://global.example/simple\nextra-index-url =\n    https://one.example/simple\n    https://two.example/simple\n# no\ntrusted_host: old.example\n[list]\nindex-url = https://no.example\n")
	require.Equal(t, "https://global.example/simple", secret(t, "PIP_INDEX_URL"))
	require.Equal(t, "https://global.example/simple", secret(t, "UV_DEFAULT_INDEX"))
	require.Equal(t, "https://one.example/simple https://two.example/simple", secret(t, "UV_INDEX"))
	require.Equal(t, "old.example", secret(t, "UV_INSECURE_HOST"))

	write(t, filepath.Join(home, "own.conf"), "[install]\nindex-url = https://own.example/simple\n")
	t.Setenv("PIP_CONFIG_FILE", filepath.Join(home, "own.conf"))
	require.Equal(t, "https://own.example/simple", secret(t, "UV_DEFAULT_INDEX"))
	t.Setenv("PIP_INDEX_URL", "https://pip.example/simple")
	require.Equal(t, "https://pip.example/simple", secret(t, "UV_DEFAULT_INDEX"))

	// Folders of this machine are not there in a build.
	t.Setenv("PIP_FIND_LINKS", "/opt/wheels https://links.example/ file:///srv")
	require.Equal(t, "https://links.example/", secret(t, "UV_FIND_LINKS"))
	t.Setenv("PIP_FIND_LINKS", "/opt/wheels")
	require.Equal(t, "none", secret(t, "UV_FIND_LINKS"))

	// uv's own settings count before pip's.
	write(t, filepath.Join(home, ".config", "uv", "uv.toml"), "[[index]]\nname = \"ours\"\nurl = \"https://uv.example/simple\"\ndefault = true\n[[index]]\nurl = \"https://more.example/simple\"\n")
	require.Equal(t, "ours=https://uv.example/simple", secret(t, "UV_DEFAULT_INDEX"))
	require.Equal(t, "https://more.example/simple", secret(t, "UV_INDEX"))
	t.Setenv("UV_INDEX_URL", "https://old.example/simple")
	require.Equal(t, "https://old.example/simple", secret(t, "UV_DEFAULT_INDEX"))
	t.Setenv("UV_DEFAULT_INDEX", "https://env.example/simple")
	require.Equal(t, "https://env.example/simple", secret(t, "UV_DEFAULT_INDEX"))

	// Credentials of an index that a project names, and nothing else of the environment.
	t.Setenv("UV_INDEX_OURS_PASSWORD", "secret")
	t.Setenv("UV_PUBLISH_TOKEN", "token")
	require.Equal(t, "secret", secret(t, "UV_INDEX_OURS_PASSWORD"))
	require.Equal(t, "none", secret(t, "UV_INDEX_OTHER_PASSWORD"))
	require.Equal(t, "none", secret(t, "UV_PUBLISH_TOKEN"))
}

func TestPipConfig(t *testing.T) {
	home := noPython(t)
	t.Setenv("PIP_CONFIG_FILE", "/dev/null")
	require.Equal(t, "none", secret(t, machine.PipConfig))
	t.Setenv("PIP_CONFIG_FILE", write(t, filepath.Join(home, "pip.conf"), "[global]\n"))
	require.Equal(t, "[global]\n", secret(t, machine.PipConfig))
}
