package node_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs/internal/plantest"
	"github.com/birdhouse-build/birdhouse/langs/node"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

const samples = "../../testdata/node"

// versions are those of a small catalog.
var versions = []string{"20", "22", "24", "26"}

// Of projects and plans.
var files, fact, stage, value = plantest.Files, plantest.Fact, plantest.Stage, plantest.Value

func planFor(t testing.TB, descriptor string, project fs.FS) plantest.Result {
	t.Helper()
	return plantest.For(t, node.Language{}, versions, descriptor, project, "")
}

func TestSamples(t *testing.T) {
	plantest.Samples(t, samples, 0, func(t *testing.T, descriptor string, project fs.FS) plantest.Result {
		return planFor(t, descriptor, project)
	})
}

const server = "require('node:http').createServer((q, s) => s.end('hello')).listen(3000)\n"

func TestVersion(t *testing.T) {
	for _, tt := range []struct {
		name       string
		descriptor string
		project    fstest.MapFS
		want       string
	}{
		{"lts by name", "", files(".nvmrc", "lts/lithium\n"), "26 .nvmrc:1 says lts/lithium"},
		{"nothing said", "", files(), "26 the newest with long-term support in the catalog"},
		{"descriptor", "version: 24", files(), "24 birdhouse.yaml:2"},
		{"descriptor, in full", "version: 24.3.0", files(), "24 birdhouse.yaml:2 says 24.3.0; the catalog's newest of that line"},
		{"descriptor, not there", "version: 18", files(), "birdhouse.yaml:2:10: version: Node 18 is not in the catalog"},
		{"descriptor, no version", "version: newest", files(), `version: "newest" is not a version of Node`},
		{".nvmrc", "", files(".nvmrc", "v22\n"), "22 .nvmrc:1"},
		{".nvmrc lts", "", files(".nvmrc", "lts/jod\n"), "22 .nvmrc:1 says lts/jod"},
		{".nvmrc lts/*", "", files(".nvmrc", "lts/*\n"), "26 .nvmrc:1"},
		{".nvmrc before .node-version", "", files(".nvmrc", "22", ".node-version", "24"), "22 .nvmrc:1"},
		{".node-version", "", files(".node-version", "# ours\n24.1.0\n"), "24 .node-version:2 says 24.1.0"},
		{".tool-versions", "", files(".tool-versions", "golang 1.26\nnodejs 22.1.0\n"), "22 .tool-versions:2 says 22.1.0"},
		{"mise.toml", "", files("mise.toml", "[tools]\nnode = \"24\"\n"), "24 mise.toml:2"},
		{"broken .nvmrc", "", files(".nvmrc", "newest\n"), `.nvmrc:1:1: "newest" is not a version of Node`},
		{"engines", "", files("package.json", `{"engines": {"node": ">=20 <25"}}`), "24 package.json:1 says >=20 <25"},
		{"engines that nothing is in", "", files("package.json", "{\n  \"engines\": {\"node\": \"18.x\"}\n}"), "package.json:2:23: engines.node: no Node of the catalog is in 18.x"},
		{"volta", "", files("package.json", `{"volta": {"node": "22.4.1"}, "engines": {"node": ">=20"}}`), "22 package.json:1 says 22.4.1"},
		{"devEngines", "", files("package.json", `{"devEngines": {"runtime": {"name": "node", "version": "^24.1"}}}`), "24 package.json:1 says ^24.1"},
		{"descriptor against engines", "version: 20", files("package.json", `{"engines": {"node": ">=22"}}`), "20 birdhouse.yaml:2"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.project["server.js"] = &fstest.MapFile{Data: []byte(server)}
			r := planFor(t, "language: node\n"+tt.descriptor+"\n", tt.project)
			if r.Plan == nil {
				require.Contains(t, r.Text, tt.want)
				return
			}
			f := fact(t, r.Plan, "version")
			require.Contains(t, f.Value+" "+f.Source, tt.want)
			require.Equal(t, f.Value, r.Plan.Run.Version)
		})
	}
	r := planFor(t, "language: node\nversion: 20\n", files("package.json", `{"engines": {"node": ">=22"}}`, "server.js", ""))
	require.Contains(t, r.Text, "warning: version: Node 20 is not what package.json:1 asks for (>=22)")
}

// The command of the image, or the problem, for start scripts and their like.
func TestStart(t *testing.T) {
	const node = "/usr/bin/tini -- /usr/local/bin/node "
	for _, tt := range []struct {
		name, manifest string
		more           []string
		descriptor     string
		want           string
	}{
		{name: "plain", manifest: `{"scripts": {"start": "node server.js"}}`, want: node + "server.js"},
		{name: "arguments", manifest: `{"scripts": {"start": "node server.js --port 80 'a b'"}}`, want: node + "server.js | --port 80 a b"},
		{name: "flags", manifest: `{"scripts": {"start": "node -r ./x.js --max-old-space-size=100 --import ./y.mjs server"}}`, want: node + "-r ./x.js --max-old-space-size=100 --import ./y.mjs server.js"},
		{name: "variables", manifest: `{"scripts": {"start": "PORT=80 NAME=\"a b\" node ./server.js"}}`, want: node + "server.js | PORT=80 NAME=a b"},
		{name: "cross-env", manifest: `{"scripts": {"start": "cross-env NODE_ENV=staging PORT=80 node server.js"}}`, want: node + "server.js | NODE_ENV=staging PORT=80"},
		{name: "echo before", manifest: `{"scripts": {"start": "echo starting $PORT && node server.js"}}`, want: `"echo starting $PORT && node server.js" needs a shell`},
		{name: "plain echo before", manifest: `{"scripts": {"start": "echo starting && node server.js"}}`, want: node + "server.js"},
		{name: "the build before", manifest: `{"scripts": {"build": "mkdir x", "start": "npm run build && node server.js"}}`, want: node + "server.js"},
		{name: "another script", manifest: `{"scripts": {"start": "npm run serve", "serve": "A=1 node server.js"}}`, want: node + "server.js | A=1"},
		{name: "scripts in a circle", manifest: `{"scripts": {"start": "npm run a", "a": "npm start"}}`, want: "the scripts call each other"},
		{name: "migration before", manifest: `{"scripts": {"start": "prisma migrate deploy && node server.js"}}`, want: `it runs "prisma migrate deploy" before the program`},
		{name: "the line to write", manifest: `{"scripts": {"start": "prisma migrate deploy && node server.js"}}`, want: "entrypoint: [node, server.js]"},
		{name: "variable", manifest: `{"scripts": {"start": "node server.js --port $PORT"}}`, want: "needs a shell, and the image has none"},
		{name: "two programs", manifest: `{"scripts": {"start": "node server.js & node worker.js"}}`, want: "needs a shell"},
		{name: "pipe", manifest: `{"scripts": {"start": "node server.js | pino-pretty"}}`, want: "needs a shell"},
		{name: "redirection", manifest: `{"scripts": {"start": "node server.js > log"}}`, want: "needs a shell"},
		{name: "glob", manifest: `{"scripts": {"start": "node *.js"}}`, want: "needs a shell"},
		{name: "no shell at all", manifest: `{"scripts": {"start": "node 'server.js"}}`, want: "is not a command that can be read"},
		{name: "nodemon", manifest: `{"scripts": {"start": "nodemon server.js"}}`, want: "nodemon is not for an image: it watches files"},
		{name: "watch", manifest: `{"scripts": {"start": "node --watch server.js"}}`, want: "--watch is for development"},
		{name: "eval", manifest: `{"scripts": {"start": "node -e 'x()'"}}`, want: "starts no file"},
		{name: "missing file", manifest: "{\n  \"scripts\": {\n    \"start\": \"node serv.js\"\n  }\n}", want: "package.json:3:14: scripts.start: there is no serv.js, and no build script that writes it"},
		{name: "unknown program", manifest: `{"scripts": {"start": "serveit"}}`, want: "serveit is no program of a dependency that the image has"},
		{name: "main", manifest: `{"main": "./server.js"}`, want: node + "server.js"},
		{name: "main without ending", manifest: `{"main": "lib"}`, more: []string{"lib/index.js", ""}, want: node + "lib/index.js"},
		{name: "bin", manifest: `{"name": "@a/tool", "bin": "server.js"}`, want: node + "server.js"},
		{name: "bin before main, which others import", manifest: `{"name": "tool", "bin": "server.js", "main": "x.js"}`, want: node + "server.js"},
		{name: "bin with the package's name", manifest: `{"name": "@a/tool", "bin": {"tool": "server.js", "_tool": "x.js"}}`, want: node + "server.js"},
		{name: "two names of one bin", manifest: `{"name": "@a/tool", "bin": {"a": "x.js", "b": "x.js"}}`, want: node + "x.js"},
		{name: "bin without ending, which is not in sight", manifest: `{"name": "tool", "bin": "./dist/bin/tool"}`, want: node + "dist/bin/tool"},
		{name: "two bins", manifest: `{"name": "@a/tool", "bin": {"a": "x.js", "b": "y.mjs"}}`, want: node + "server.js"},
		{name: "usual name", manifest: `{}`, want: node + "server.js"},
		{name: "two usual names", manifest: `{}`, more: []string{"server.mjs", ""}, want: "there are 2 files that could be the program (server.js, server.mjs)"},
		{name: "entrypoint", manifest: `{}`, descriptor: "entrypoint: [node, --enable-source-maps, server.js]", want: node + "--enable-source-maps server.js"},
		{name: "entrypoint that is not there", manifest: `{}`, descriptor: "entrypoint: [node, serv.js]", want: "birdhouse.yaml:2:13: entrypoint: the image will not have /app/serv.js"},
		{name: "cmd", manifest: `{}`, descriptor: "cmd: [node, server.js]", want: "/usr/bin/tini -- | /usr/local/bin/node server.js"},
		{name: "cmd, arguments", manifest: `{"scripts": {"start": "node server.js a"}}`, descriptor: "cmd: [b]", want: node + "server.js | b"},
		{name: "no init", manifest: `{}`, descriptor: "init: false", want: "/usr/local/bin/node server.js"},
		{name: "workdir", manifest: `{}`, descriptor: "workdir: /data", want: node + "/app/server.js"},
		{name: "outside", manifest: `{"main": "../x.js"}`, want: "is outside of the project"},
		{name: "absolute", manifest: `{"scripts": {"start": "node /home/me/server.js"}}`, want: "is a path of a machine"},
		{name: "TypeScript", manifest: `{"scripts": {"start": "node server.ts"}}`, more: []string{"server.ts", ""}, want: node + "server.ts"},
		{name: "TypeScript, too old", manifest: `{"scripts": {"start": "node server.ts"}}`, more: []string{"server.ts", ""}, descriptor: "version: 20", want: "Node 20 does not run TypeScript, and the program is server.ts"},
		{name: "ts-node", manifest: `{"scripts": {"start": "ts-node server.ts"}}`, more: []string{"server.ts", ""}, want: "ts-node is no dependency of the running program"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			project := files(append([]string{"package.json", tt.manifest, "server.js", server, "x.js", "", "y.mjs", ""}, tt.more...)...)
			r := planFor(t, "language: node\n"+tt.descriptor+"\n", project)
			if r.Plan == nil {
				require.Contains(t, r.Text, tt.want)
				return
			}
			got := strings.Join(r.Plan.Image.Entrypoint, " ")
			if len(r.Plan.Image.Cmd) > 0 {
				got += " | " + strings.Join(r.Plan.Image.Cmd, " ")
			}
			var env []string
			for _, e := range r.Plan.Image.Env {
				if e != (plan.Env{Name: "NODE_ENV", Value: "production"}) {
					env = append(env, e.Name+"="+e.Value)
				}
			}
			if len(env) > 0 {
				got += " | " + strings.Join(env, " ")
			}
			require.Equal(t, tt.want, got)
		})
	}
}

func TestBare(t *testing.T) {
	r := planFor(t, "language: node\n", files("server.js", server))
	require.NotNil(t, r.Plan, r.Text)
	require.Empty(t, r.Plan.Stages)
	require.Len(t, r.Plan.Layers, 1)
	r = planFor(t, "language: node\n", files("hello.mjs", server))
	require.Equal(t, "hello.mjs", r.Plan.Image.Entrypoint[len(r.Plan.Image.Entrypoint)-1])
	r = planFor(t, "language: node\n", files("a.js", "", "b.js", ""))
	require.Contains(t, r.Text, "nothing says how the program in the build context is started")
	require.Contains(t, r.Text, "entrypoint: [node, FILE.js]")
}
