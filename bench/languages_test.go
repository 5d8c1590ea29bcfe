//go:build bench

package bench

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// language is what is measured for one language: its program, testdata/NAME/app,
// beside the best Dockerfile for it, and how people change it. All else is the
// same for all.
//
// The Dockerfile has the arguments BUILD and RUN: the base of the stage that
// compiles, and that of the image.
type language struct {
	// name is the folder; title the heading of its part of docs/bench.md.
	name, title string
	// program says what the program is.
	program string
	// stage is the one of the plan whose base is BUILD.
	stage string
	// stages are more of them, by the argument of the Dockerfile that is their base.
	stages map[string]string
	// bases are what peers start from where that is not the base of the image, by a name.
	bases map[string]plan.Base
	// entrypoint and layers are the image's, so that what is measured is known to
	// be the program.
	entrypoint []string
	layers     int
	// complete finishes the program's files, for what must not stand in a
	// repository; may be nil.
	complete func(t *testing.T, w *world, files map[string][]byte)
	// line changes a line of the source.
	line change
	// dependency adds one.
	dependency change
	// peers take part beside the contestants that every language has.
	peers []contestant
	// ratios are wanted beside those of every language.
	ratios []ratio
	// starts says that the time to the program's first answer is measured, too.
	starts bool
	// hello is a small program in testdata whose image's size is wanted, with what
	// it is and the aim in MB.
	hello, helloWhat, helloAim string
}

// change is an edit of the program. VALUE in it is another one of values each
// time, so that no cache knows the result.
type change struct {
	values []string
	// replace has, by file, pairs of what there is and what to write instead.
	replace map[string][2]string
	// add are files to add.
	add map[string]string
	// command does the rest in the program's folder, as people do; may be nil.
	command []string
}

var rounded = []string{"1", "2", "3", "4", "5", "6", "7", "8"}

var languages = []language{
	{
		name: "go", title: "Go",
		program:    "a router, structured logs, metrics; 13 modules",
		stage:      "build",
		entrypoint: []string{"/app/app"}, layers: 2,
		line: change{values: rounded, replace: map[string][2]string{"main.go": {`revision = "0"`, `revision = "VALUE"`}}},
		dependency: change{
			values:  []string{"v1.6.0", "v1.5.0", "v1.4.0", "v1.3.1", "v1.3.0", "v1.2.0", "v1.1.5", "v1.1.4"},
			add:     map[string]string{"added.go": "package main\n\nimport \"github.com/google/uuid\"\n\nvar instance = uuid.NewString()\n\nfunc init() { _ = instance }\n"},
			command: []string{"go", "get", "github.com/google/uuid@VALUE"},
		},
		peers: []contestant{{
			name: "ko", note: "v0.19.1, no SBOM, base from the registry by digest; the compiler is on the machine already, and there is no test, check or sandbox around the build", daemonless: true,
			command: func(t *testing.T, p *program, at place) *exec.Cmd {
				cmd := exec.Command(harness.Tool(t, "ko"), "build", "--bare", "--sbom=none", "--insecure-registry", "--platform=linux/amd64", ".")
				cmd.Dir = at.dir
				cmd.Env = append(os.Environ(),
					"KO_DOCKER_REPO="+at.image, "KO_DEFAULTBASEIMAGE="+p.run.full,
					"GOCACHE="+filepath.Join(at.state, "build"), "GOMODCACHE="+filepath.Join(at.state, "mod"), "KOCACHE="+filepath.Join(at.state, "ko"),
					"GOFLAGS=-modcacherw", "GOTOOLCHAIN=local", "PATH="+filepath.Join(goroot(t, p.build.base.Version), "bin")+":"+os.Getenv("PATH"), "DOCKER_CONFIG="+t.TempDir())
				return cmd
			}}},
		ratios: []ratio{
			{caseSame, "birdhouse", "ko", "1.00"},
			{caseLine, "birdhouse", "ko", "1.00"},
		},
		hello: "go/hello", helloWhat: "HTTP hello image", helloAim: "2.4",
	},
	{
		name: "node", title: "Node",
		program:    "TypeScript compiled by tsc, Express, a database, metrics, logs; 153 packages, 138 of them for the running program",
		stage:      "build",
		entrypoint: []string{"/usr/bin/tini", "--", "/usr/local/bin/node", "dist/main.js"}, layers: 8,
		complete: resolvedLock,
		line:     change{values: rounded, replace: map[string][2]string{"src/main.ts": {`revision = "0"`, `revision = "VALUE"`}}},
		dependency: change{
			values:  []string{"5.1.9", "5.1.8", "5.1.7", "5.1.6", "5.1.5", "5.1.4", "5.1.3", "5.1.2"},
			add:     map[string]string{"src/added.ts": "import { nanoid } from \"nanoid\";\n\nexport const instance = nanoid();\n"},
			command: []string{"npm", "install", "nanoid@VALUE", "--save-exact", "--package-lock-only", "--omit-lockfile-registry-resolved=false", "--no-audit"},
		},
		hello: "node/express", helloWhat: "Express image", helloAim: "46",
	},
	{
		name: "python", title: "Python",
		program:    "FastAPI on uvicorn, a database, a cache, metrics, logs; 31 packages, 8 of them with machine code",
		stage:      "build",
		entrypoint: []string{"/usr/bin/tini", "--", "/app/.venv/bin/python", "-m", "uvicorn", "--host", "0.0.0.0", "--port", "8080", "app.main:app"}, layers: 8,
		line: change{values: rounded, replace: map[string][2]string{"app/main.py": {`revision = "0"`, `revision = "VALUE"`}}},
		dependency: change{
			values: []string{
				"4.15.0 --hash=sha256:1dd098483eb1c7ee8e32eb2e99ad1910baefa4b75c3aff3a82f4d78688993b10 --hash=sha256:b1186eb9f5a9749cd9cb8565aee77919dd7c8d076161cf44d70e59e3301e1769",
				"4.14.0 --hash=sha256:2fa092705ea640d605c435b1ca82b2866a1b601cdf96f076d70b79a855eba90d --hash=sha256:d57701248d040ad456092820e6fde56c930f17749956ac47f4f655c0c547bfff",
				"4.13.0 --hash=sha256:78f79e68f76f0b04d711c4e55d32bebef5be387148862cb1ef83d2b58e7935a0 --hash=sha256:b810820b31891813b1673e8fec7f1ed3312061eab2f26e3fa192c393d11ed25f",
				"4.12.3 --hash=sha256:2cbf6370af06568fa6d2da77c86edb7886f3160ecd19ee1ffef07979efc597f6 --hash=sha256:8430be3a615106fdfceb0b2c1b41c4c98c6b0fc5cc59663a5539b111dd325fb0",
				"4.12.2 --hash=sha256:ce0715740e9caacc982bb89098182cf8ded3552693a433311c6a4ce6f4e12a2c --hash=sha256:e4e44dced598b7e03487f3b1c6fd5b1146c30ea55a110e71d5d4bca3e094259e",
				"4.12.1 --hash=sha256:1338ba97415c96556758a6e2f65977ed406dddf4620d4c6db9bbdfd07f0f1232 --hash=sha256:86014ca5c52675dffa1d404491952f1f5bf03b07c175a51891a343daebf01fea",
				"4.12.0 --hash=sha256:106a7436a2d545d742c147c469716b3a08424aa143a82103630147c489a89f48 --hash=sha256:87ff7b43591370b12a1d103c9405849d911d4b039ed22d80b718b62c76eec8a3",
				"4.11.0 --hash=sha256:b53caaec8532bcb2fff70c8826f904c35943f8cecaca29d272d9df38092736c0 --hash=sha256:e66f36020a2d5a974c504bd2555cf770621dbdbb6d82f94a6857c0b1ea2608be",
			},
			replace: map[string][2]string{
				"requirements.in":  {"httpx\n", "httpx\nhumanize\n"},
				"requirements.txt": {"\nidna==", "\nhumanize==VALUE\nidna=="},
			},
			add: map[string]string{"app/added.py": "from humanize import naturalsize\n\nlargest = naturalsize(1 << 20)\n"},
		},
		hello: "python/flask", helloWhat: "Flask and gunicorn image", helloAim: "21",
	},
	{
		name: "java", title: "Java",
		program:    "Spring Boot with a database, validation, metrics; 50 libraries",
		stage:      "build",
		stages:     map[string]string{"LINK": "runtime"},
		bases:      map[string]plan.Base{"java": {Image: "java", Version: "25", Variant: "jre"}},
		entrypoint: []string{"/usr/lib/jvm/java-25/bin/java", "@/app/jvm.args"}, layers: 9,
		line: change{values: rounded, replace: map[string][2]string{"src/main/java/com/example/birds/BirdsApplication.java": {`REVISION = "0"`, `REVISION = "VALUE"`}}},
		dependency: change{
			values: []string{"1.21.2", "1.21.1", "1.20.1", "1.19.1", "1.18.3", "1.18.1", "1.17.2", "1.17.1"},
			replace: map[string][2]string{
				"pom.xml": {"    <!-- more -->\n", "    <dependency>\n      <groupId>org.jsoup</groupId>\n      <artifactId>jsoup</artifactId>\n      <version>VALUE</version>\n    </dependency>\n"},
			},
			add: map[string]string{"src/main/java/com/example/birds/Added.java": "package com.example.birds;\n\nfinal class Added {\n    static final String TITLE = org.jsoup.Jsoup.parse(\"<title>birds</title>\").title();\n}\n"},
		},
		starts: true,
		peers: []contestant{{
			name: "birdhouse, `build.aot`", note: "birdhouse with `build: {aot: true}`: every build starts the program once, and keeps its classes as they are then",
			command: func(t *testing.T, p *program, at place) *exec.Cmd {
				descriptor := filepath.Join(at.state, "descriptor")
				write(t, descriptor, map[string][]byte{"birdhouse.yaml": []byte("language: java\nbuild: {aot: true}\n")})
				return at.daemon.Buildctl(t, p.gateway(at.dir, descriptor, at.image)...)
			},
		}, {
			name: "Jib", note: "jib-maven-plugin 3.5.1, its base the catalog's java:25-jre from the registry by digest; Maven, the JDK and the repository are on the machine already, and there is no sandbox around the build", daemonless: true,
			command: func(t *testing.T, p *program, at place) *exec.Cmd {
				cmd := exec.Command("mvn", "-B", "-ntp", "-Dmaven.test.skip=true", "-Dmaven.repo.local="+filepath.Join(at.state, "m2"),
					"-Djib.from.image="+p.more["java"].full, "-Djib.to.image="+at.image, "-Djib.allowInsecureRegistries=true", "-DsendCredentialsOverHttp=true",
					"-Djib.baseImageCache="+filepath.Join(at.state, "base"), "-Djib.applicationCache="+filepath.Join(at.state, "layers"), "-Djib.disableUpdateChecks=true",
					"compile", "com.google.cloud.tools:jib-maven-plugin:3.5.1:build")
				cmd.Dir = at.dir
				cmd.Env = append(os.Environ(), "JAVA_HOME="+jdk(t, "25"), "DOCKER_CONFIG="+t.TempDir())
				return cmd
			}}},
		hello: "java/hello", helloWhat: "JDK HTTP server image", helloAim: "24",
	},
}

// jdk is where the machine has a JDK of that version: Jib compiles with it.
func jdk(t *testing.T, version string) string {
	t.Helper()
	found, err := filepath.Glob("/usr/lib/jvm/*" + version + "*/bin/javac")
	if err != nil || len(found) == 0 {
		t.Fatalf("Jib needs a JDK %s in /usr/lib/jvm", version)
	}
	return filepath.Dir(filepath.Dir(found[0]))
}

// goroot is where a release of Go is: ko compiles with the machine's, and gets the
// one that the others have.
func goroot(t *testing.T, version string) string {
	t.Helper()
	env := exec.Command("go", "env", "GOROOT")
	env.Env = append(os.Environ(), "GOTOOLCHAIN=go"+version)
	root, err := env.Output()
	if err != nil {
		t.Fatalf("go env GOROOT of go%s: %v", version, err)
	}
	return strings.TrimSpace(string(root))
}
