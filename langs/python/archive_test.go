package python_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Archives of the project are installed, whichever file names them. A plan is made without
// them: they are none of the files that it reads.
func TestArchives(t *testing.T) {
	const (
		project = "[project]\nname = \"birds\"\nversion = \"1\"\nrequires-python = \">=3.11\"\ndependencies = [\"tiny\"]\n"
		hash    = "3d7652415e5df43b95dcc8e81ed80094d3cc547637c8311e463845e2c2282d10"
		archive = "my wheels/tiny-1.0-py3-none-any.whl"
	)
	for _, one := range [][]string{
		{"requirements.txt", "tiny @ file:my%20wheels/tiny-1.0-py3-none-any.whl\n"},
		{"pylock.toml", "lock-version = \"1.0\"\n[[packages]]\nname = \"tiny\"\nversion = \"1.0\"\narchive = { path = \"" + archive + "\", hashes = { sha256 = \"" + hash + "\" } }\n"},
		{"uv.lock", "version = 1\nrequires-python = \">=3.11\"\n\n[[package]]\nname = \"birds\"\nversion = \"1\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"tiny\" }]\n\n" +
			"[package.metadata]\nrequires-dist = [{ name = \"tiny\", path = \"" + archive + "\" }]\n\n" +
			"[[package]]\nname = \"tiny\"\nversion = \"1.0\"\nsource = { path = \"" + archive + "\" }\nwheels = [{ filename = \"tiny-1.0-py3-none-any.whl\", hash = \"sha256:" + hash + "\" }]\n", "pyproject.toml", project},
	} {
		r := planFor(t, "language: python\n", files(append(one, "main.py", "")...))
		require.NotNil(t, r.Plan, r.Text)
		deps := stage(t, r.Plan, "deps")
		var includes []string
		for _, m := range deps.Steps[0].Mounts {
			includes = append(includes, m.Include...)
		}
		require.Contains(t, includes, archive)
		if one[0] == "uv.lock" {
			// --no-install-local leaves archives out.
			require.Contains(t, steps(deps), "--no-install-workspace --no-install-package birds --no-default-groups")
			continue
		}
		require.Equal(t, "tiny @ file:///src/my%20wheels/tiny-1.0-py3-none-any.whl\n", requirementsOf(t, deps))
	}
	// Without a lock it is not known what is in them.
	r := planFor(t, "language: python\n", files("main.py", "", "pyproject.toml", project+"[tool.uv.sources]\ntiny = { path = \""+archive+"\" }\n"))
	require.Contains(t, r.Text, "pyproject.toml:7:17: tiny comes from another place than the default index")
}
