package catalog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRegistryOfNPMRC(t *testing.T) {
	env := func(name string) (string, bool) {
		v, ok := map[string]string{"HOST": "npm.example.com", "EMPTY": ""}[name]
		return v, ok
	}
	for _, tt := range []struct{ file, want string }{
		{"", ""},
		{"registry=https://npm.example.com/", "https://npm.example.com/"},
		{"; registry=https://a.example.com\n# registry=https://b.example.com\n  registry = https://c.example.com/npm  \n", "https://c.example.com/npm"},
		{"registry=https://a.example.com\r\nregistry=https://b.example.com\r\n", "https://b.example.com"},
		{`registry="https://a.example.com/" ; ours`, "https://a.example.com/"},
		{"@scope:registry=https://a.example.com\n//a.example.com/:_authToken=secret\nstrict-ssl\n", ""},
		{"registry=https://${HOST}/${EMPTY}${NONE}", "https://npm.example.com/${NONE}"},
		{"[section]\nregistry=https://a.example.com\n", ""},
		{"registry=https://a.example.com/#fragment\n", "https://a.example.com/#fragment"},
	} {
		require.Equal(t, tt.want, registryOf([]byte(tt.file), env), tt.file)
	}
}

func TestMachineLocations(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(content), 0o755))
		return path
	}
	t.Setenv("HOME", dir)
	t.Setenv("PATH", dir)
	for _, name := range []string{"BIRDHOUSE_NPM_REGISTRY", "BIRDHOUSE_NODE_MIRROR", "NODEJS_ORG_MIRROR", "NPM_CONFIG_REGISTRY", "npm_config_registry", "NPM_CONFIG_USERCONFIG", "npm_config_userconfig"} {
		t.Setenv(name, "")
	}
	global := write("global", "")
	t.Setenv("NPM_CONFIG_GLOBALCONFIG", global)
	check := func(want Locations) {
		t.Helper()
		got, err := MachineLocations(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
	check(Locations{})

	// Each beats those before it.
	write("npm", "#!/bin/sh\n[ \"$*\" = 'config get registry' ] && echo https://npm.example.com/\n")
	check(Locations{"npm": "https://npm.example.com"})
	write("global", "registry=https://global.example.com\n")
	check(Locations{"npm": "https://global.example.com"})
	write(".npmrc", "registry=https://user.example.com/npm/\n")
	check(Locations{"npm": "https://user.example.com/npm"})
	t.Setenv("NPM_CONFIG_USERCONFIG", write("other", "registry=https://other.example.com\n"))
	check(Locations{"npm": "https://other.example.com"})
	t.Setenv("npm_config_registry", "https://variable.example.com")
	check(Locations{"npm": "https://variable.example.com"})
	t.Setenv("BIRDHOUSE_NPM_REGISTRY", "http://127.0.0.1:4873/")
	t.Setenv("NODEJS_ORG_MIRROR", "https://node.example.com/dist/")
	check(Locations{"npm": "http://127.0.0.1:4873", "nodejs": "https://node.example.com/dist"})
	t.Setenv("BIRDHOUSE_NODE_MIRROR", "https://node.example.com/other")
	check(Locations{"npm": "http://127.0.0.1:4873", "nodejs": "https://node.example.com/other"})

	t.Setenv("BIRDHOUSE_NODE_MIRROR", "node.example.com")
	_, err := MachineLocations(t.Context())
	require.EqualError(t, err, `BIRDHOUSE_NODE_MIRROR: "node.example.com" is not an http or https URL such as https://packages.example.com/npm`)
}

func TestLocationsFile(t *testing.T) {
	a := Archive{Name: "node", Version: "24.21.0", Files: []ArchiveFile{
		{Location: "nodejs", Path: "v24.21.0/node.tar.xz"}, {Location: "npm", Path: "node/-/node-24.21.0.tgz"}}}
	file, at, err := Locations{"npm": "https://npm.example.com", "nodejs": "https://node.example.com/dist"}.File(a)
	require.NoError(t, err)
	require.Equal(t, "nodejs", file.Location)
	require.Equal(t, "https://node.example.com/dist/v24.21.0/node.tar.xz", at)
	_, at, err = Locations{"npm": "https://npm.example.com"}.File(a)
	require.NoError(t, err)
	require.Equal(t, "https://npm.example.com/node/-/node-24.21.0.tgz", at)
	_, _, err = Locations{}.File(a)
	require.EqualError(t, err, "node 24.21.0 comes from a site with Node's releases or an npm registry: set the build argument BIRDHOUSE_NODE_MIRROR or BIRDHOUSE_NPM_REGISTRY to its URL, "+
		"or for the birdhouse command the variable NODEJS_ORG_MIRROR or NPM_CONFIG_REGISTRY; where it is fetched from does not matter, its checksum is in the catalog's lock")
}
