package python_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// Where nothing is locked, packages come from where the project says, and from nowhere else.
func TestUnlockedIndexes(t *testing.T) {
	const manifest = "[project]\nname = \"a\"\nversion = \"1\"\ndependencies = [\"robin\"]\n"
	r := planFor(t, "language: python\n", files("pyproject.toml", manifest+"[[tool.uv.index]]\nname = \"nest\"\nurl = \"https://index.example.com/simple\"\n", "main.py", ""))
	require.NotNil(t, r.Plan, r.Text)
	written := map[string]string{}
	for _, m := range stage(t, r.Plan, "deps").Steps[0].Mounts {
		for _, f := range m.Files {
			if m.Target != "/run/python" {
				written[f.Path] = f.Content
			}
		}
	}
	require.Equal(t, map[string]string{
		"requirements.txt": "robin\n",
		"pyproject.toml":   "[tool.uv]\nindex = [{\"name\" = \"nest\", \"url\" = \"https://index.example.com/simple\"}]\n",
	}, written)
	for _, source := range []string{`{ git = "https://git.example.com/robin" }`, `{ index = "nest" }`, `[{ url = "https://example.com/robin.whl" }]`} {
		r = planFor(t, "language: python\n", files("pyproject.toml", manifest+"[tool.uv.sources]\nrobin = "+source+"\n", "main.py", ""))
		require.Contains(t, r.Text, "pyproject.toml:6:", source)
		require.Contains(t, r.Text, "robin comes from another place than the default index", source)
		require.Contains(t, r.Text, "run `uv lock`", source)
	}
}

// What is compiled against libraries needs Debian's packages of them.
func TestSDistHint(t *testing.T) {
	for descriptor, want := range map[string]string{
		"build: {sdist: [psycopg2]}":                                   "build: {packages: [libpq-dev, perl-base]}",
		"build: {sdist: [PsycoPG2, lxml], packages: [libpq-dev]}":      "build: {packages: [libxml2-dev, libxslt1-dev, perl-base]}",
		"build: {sdist: [psycopg2], packages: [libpq-dev, perl-base]}": "",
	} {
		r := planFor(t, "language: python\n"+descriptor+"\n", files("requirements.txt", "psycopg2==2.9.11\nlxml==6.0.2\n", "main.py", ""))
		require.NotNil(t, r.Plan, r.Text)
		hint := stage(t, r.Plan, "deps").Steps[0].Hint
		if want == "" {
			require.NotContains(t, hint, "build: {packages:")
		}
		require.Contains(t, hint, want)
	}
}

// What only the project's own build system knows it is asked for without network; the
// installation, which has network, runs nothing of the project.
func TestMetadata(t *testing.T) {
	r := planFor(t, "language: python\nbuild: {extras: [Night_Songs]}\n", files("pyproject.toml", "[project]\nname = \"a\"\nversion = \"1\"\ndynamic = [\"dependencies\"]\n[project.optional-dependencies]\nnight-songs = []\n", "setup.py", "", "main.py", ""))
	require.NotNil(t, r.Plan, r.Text)
	require.Equal(t, []string{"build-system", "metadata", "deps"}, stageNames(r.Plan)[:3])
	ask := stage(t, r.Plan, "metadata").Steps[0]
	require.False(t, ask.Network)
	require.Equal(t, "night-songs", ask.Args[len(ask.Args)-1])
	for _, m := range stage(t, r.Plan, "deps").Steps[0].Mounts {
		require.NotEqual(t, plan.MountSource, m.Kind)
	}
	require.Contains(t, steps(stage(t, r.Plan, "deps")), "--requirements /opt/metadata/requirements.txt")
}
