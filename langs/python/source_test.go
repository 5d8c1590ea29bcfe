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
	r := planFor(t, "language: python\n", files("main.py", "", "requirements.txt", "-r more/requirements.txt\n", "more/requirements.txt", "--no-index\n--find-links ../wheels\ntiny\n"))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, "--no-index\n--find-links /src/wheels\ntiny\n", requirementsOf(t, stage(t, r.Plan, "deps")))
	require.Equal(t, []string{"wheels"}, stage(t, r.Plan, "deps").Steps[0].Mounts[2].Include)
	// Without a lock it is not known what is in them.
	r = planFor(t, "language: python\n", files("main.py", "", "pyproject.toml", project+"[tool.uv.sources]\ntiny = { path = \""+archive+"\" }\n"))
	require.Contains(t, r.Text, "pyproject.toml:7:17: tiny comes from another place than the default index")
}

// What is built from source is asked for.
func TestGit(t *testing.T) {
	const (
		repository = "git+https://example.com/tiny.git@aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		manifest   = "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"tiny @ " + repository + "\"]\n"
		locked     = "lock-version = \"1.0\"\n[[packages]]\nname = \"tiny\"\nvcs = { type = \"git\", url = \"https://example.com/tiny.git\", commit-id = \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" }\n"
	)
	for _, one := range [][]string{
		{"requirements.txt", "\ntiny @ " + repository + "\n", "requirements.txt:2:1: tiny"},
		{"requirements.txt", "-e " + repository + "#egg=tiny\n", "requirements.txt:1:1: tiny"},
		{"requirements.txt", repository + "\n", "write NAME @ git+https://"},
		{"pyproject.toml", manifest, "pyproject.toml:4:17: tiny"},
		{"pylock.toml", locked, "pylock.toml:2:1: tiny"},
	} {
		project := files("main.py", "", one[0], one[1])
		r := planFor(t, "language: python\n", project)
		require.Nil(t, r.Plan, one[1])
		require.Contains(t, r.Text, one[2])
		require.Contains(t, r.Text, " comes from a git repository")
		if r = planFor(t, "language: python\nbuild: {sdist: [tiny]}\n", project); one[2] != "write NAME @ git+https://" {
			require.NotNil(t, r.Plan, r.Text)
			require.Equal(t, "build-full", stage(t, r.Plan, "deps").Base.Variant)
		}
	}
	// An archive on a server is a wheel, or source.
	archive := "lock-version = \"1.0\"\n[[packages]]\nname = \"tiny\"\nversion = \"1.0\"\narchive = { url = \"https://example.com/tiny-1.0"
	hash := "\", hashes = { sha256 = \"3d7652415e5df43b95dcc8e81ed80094d3cc547637c8311e463845e2c2282d10\" } }\n"
	r := planFor(t, "language: python\n", files("main.py", "", "pylock.toml", archive+"-py3-none-any.whl"+hash))
	require.NotNil(t, r.Plan, r.Text)
	r = planFor(t, "language: python\n", files("main.py", "", "pylock.toml", archive+".tar.gz"+hash))
	require.Contains(t, r.Text, "build: {sdist: [tiny]}")
}

// A file that the descriptor starts is in the image, though its name is that of a test; commands
// of frameworks that serve nothing are not refused.
func TestOwnCommand(t *testing.T) {
	r := planFor(t, "language: python\nentrypoint: [python, test_birds.py]\n", files("test_birds.py", "", "main.py", ""))
	require.NotContains(t, stage(t, r.Plan, "build").Steps[0].Mounts[0].Exclude, "**/test_*.py")
	r = planFor(t, "language: python\nentrypoint: [flask, --app, birds, db, upgrade]\n", files("birds.py", "", "requirements.txt", "flask\n"))
	require.NotNil(t, r.Plan, r.Text)
	r = planFor(t, "language: python\nentrypoint: [python, -m, flask, --app, birds, run]\n", files("birds.py", "", "requirements.txt", "flask\n"))
	require.Contains(t, r.Text, "flask run is for development")
}

// A package that is another for each kind of machine is one layer, though only one of them is
// large.
func TestLargeForOneMachine(t *testing.T) {
	const hash = "sha256:3d7652415e5df43b95dcc8e81ed80094d3cc547637c8311e463845e2c2282d10"
	torch := func(version, machine, size string) string {
		return "[[package]]\nname = \"torch\"\nversion = \"" + version + "\"\nsource = { registry = \"https://index.example.com/simple\" }\n" +
			"wheels = [{ url = \"https://index.example.com/torch-" + version + "-cp313-cp313-manylinux_2_28_" + machine + ".whl\", hash = \"" + hash + "\", size = " + size + " }]\n\n"
	}
	r := planFor(t, "language: python\nversion: 3.13\n", files("main.py", "", "pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"torch\"]\n",
		"uv.lock", "version = 1\nrequires-python = \">=3.11\"\n\n"+torch("2.9", "aarch64", "1000")+torch("2.9+cu128", "x86_64", "900000000")+
			"[[package]]\nname = \"a\"\nversion = \"1\"\nsource = { virtual = \".\" }\ndependencies = [{ name = \"torch\", version = \"2.9\", marker = \"platform_machine == 'aarch64'\" }, { name = \"torch\", version = \"2.9+cu128\", marker = \"platform_machine == 'x86_64'\" }]\n\n"+
			"[package.metadata]\nrequires-dist = [{ name = \"torch\" }]\n"))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, []string{"torch", "dependencies", "application"}, layerNames(r.Plan))
	require.Equal(t, "torch==2.9 ; platform_machine == \"aarch64\" \\\n    --hash="+hash+"\n"+"torch==2.9+cu128 ; platform_machine == \"x86_64\" \\\n    --hash="+hash+"\n", requirementsOf(t, stage(t, r.Plan, "deps-torch")))
	require.True(t, stage(t, r.Plan, "deps-torch").PerPlatform)
}
