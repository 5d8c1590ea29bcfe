package node_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// What the image has is what is installed for the build without what only that
// needs, or an installation of its own where that may not be the same.
func TestInstalledOnce(t *testing.T) {
	const (
		apart    = "deps prod build"
		manifest = `{"scripts": {"build": "b", "start": "node server.js"}, "dependencies": {"a": "1.0.0"}, "devDependencies": {"b": "1.0.0"}}`
		root     = `"": {"dependencies": {"a": "1.0.0"}, "devDependencies": {"b": "1.0.0"}}, `
		a        = `"node_modules/a": {"version": "1.0.0"}, `
		b        = `"node_modules/b": {"version": "1.0.0", "dev": true}`
	)
	for _, tt := range []struct {
		name, packages string
		descriptor     string
		manifest       string
		more           []string
		// want are the patterns of what the layer leaves out, or apart.
		want string
	}{
		{name: "one", packages: a + b, want: "node_modules/b"},
		{name: "what it needs, below it and beside it", packages: a + `"node_modules/b": {"version": "1.0.0", "dev": true, "dependencies": {"c": "1", "d": "1"}},
			"node_modules/b/node_modules/c": {"version": "1.0.0", "dev": true}, "node_modules/d": {"version": "1.0.0", "dev": true}`, want: "node_modules/b node_modules/d"},
		{name: "a scope", packages: `"node_modules/a": {"version": "1.0.0", "dependencies": {"@s/x": "1"}}, "node_modules/@s/x": {"version": "1.0.0"},
			"node_modules/b": {"version": "1.0.0", "dev": true, "dependencies": {"@s/y": "1", "@t/y": "1", "@t/z": "1"}}, "node_modules/@s/y": {"version": "1.0.0", "dev": true},
			"node_modules/@t/y": {"version": "1.0.0", "dev": true}, "node_modules/@t/z": {"version": "1.0.0", "dev": true}`,
			want: "node_modules/@s/y node_modules/@t node_modules/b"},
		{name: "programs", packages: `"node_modules/a": {"version": "1.0.0", "bin": {"a": "a.js"}}, "node_modules/b": {"version": "1.0.0", "dev": true, "bin": {"b": "b.js", "b2": "b.js"}}`,
			want: "node_modules/.bin/b node_modules/.bin/b2 node_modules/b"},
		{name: "programs of the build alone", packages: a + `"node_modules/b": {"version": "1.0.0", "dev": true, "bin": "b.js"}`, want: "node_modules/.bin node_modules/b"},
		{name: "a name with signs", packages: a + `"node_modules/b": {"version": "1.0.0", "dev": true, "dependencies": {"x[1]": "1"}}, "node_modules/x[1]": {"version": "1.0.0", "dev": true}`,
			want: `node_modules/b node_modules/x\[1\]`},
		{name: "for another system", packages: `"node_modules/a": {"version": "1.0.0", "optionalDependencies": {"@s/m": "1"}}, "node_modules/@s/m": {"version": "1.0.0", "optional": true, "os": ["darwin"]},
			"node_modules/b": {"version": "1.0.0", "dev": true, "dependencies": {"@s/x": "1"}}, "node_modules/@s/x": {"version": "1.0.0", "dev": true}`,
			want: "node_modules/@s node_modules/b"},

		{name: "programs of one name", packages: `"node_modules/a": {"version": "1.0.0", "bin": {"x": "a.js"}}, "node_modules/b": {"version": "1.0.0", "dev": true, "bin": {"x": "b.js"}}`, want: apart},
		{name: "an install script", packages: a + `"node_modules/b": {"version": "1.0.0", "dev": true, "hasInstallScript": true}`, want: apart},
		{name: "the project's install script", packages: a + b, manifest: strings.Replace(manifest, `"build"`, `"postinstall": "node x.js", "build"`, 1), want: apart},
		{name: "for one processor", packages: `"node_modules/a": {"version": "1.0.0", "cpu": ["x64"]}, ` + b, want: apart + " libraries"},
		{name: "from git", packages: a + `"node_modules/b": {"version": "1.0.0", "dev": true, "resolved": "git+ssh://git@example.test/b.git#0"}`, want: apart},
		{name: "a link", packages: a + `"node_modules/b": {"resolved": "b", "link": true}, "b": {"version": "1.0.0", "dev": true}`, manifest: strings.Replace(manifest, `"b": "1.0.0"`, `"b": "file:b"`, 1), want: apart},
		{name: "marks that say otherwise", packages: a + `"node_modules/b": {"version": "1.0.0"}`, want: apart},
		{name: "marks that say less", packages: `"node_modules/a": {"version": "1.0.0", "dev": true}, ` + b, want: apart},
		{name: "no path of npm's", packages: a + b + `, "/x": {"version": "1.0.0", "dev": true}`, want: apart},
		{name: "a path that leads out", packages: a + b + `, "node_modules/../x": {"version": "1.0.0", "dev": true}`, want: apart},
		{name: "another layout", packages: a + b, more: []string{".npmrc", "fund=false\ninstall-strategy=linked\n"}, want: apart},
		{name: "another setting", packages: a + b, more: []string{".npmrc", "fund=false\n"}, want: "node_modules/b"},
		{name: "another layout by a variable", packages: a + b, descriptor: "build: {env: {NPM_CONFIG_INSTALL_STRATEGY: linked}}", want: apart},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.manifest == "" {
				tt.manifest = manifest
			}
			project := files(append([]string{"package.json", tt.manifest, "server.js", "", "b/package.json", "{}", "package-lock.json",
				`{"lockfileVersion": 3, "packages": {` + root + tt.packages + `}}`}, tt.more...)...)
			r := planFor(t, "language: node\n"+tt.descriptor+"\n", project)
			require.NotNil(t, r.Plan, r.Text)
			if strings.HasPrefix(tt.want, apart) {
				require.Equal(t, tt.want, stageNames(r.Plan))
				require.Equal(t, "prod", layer(t, r.Plan, "dependencies").Copies[0].Stage)
				return
			}
			require.Equal(t, "deps build", stageNames(r.Plan))
			from := layer(t, r.Plan, "dependencies").Copies[0]
			require.Equal(t, "deps", from.Stage)
			var left []string
			for _, pattern := range from.Exclude {
				if strings.HasPrefix(pattern, "node_modules/") {
					left = append(left, pattern)
				}
			}
			require.Equal(t, tt.want, strings.Join(left, " "))
		})
	}
}
