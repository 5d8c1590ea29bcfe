// Package spec is the descriptor: its keys, how it is read, and its JSON schema.
package spec

// Spec is a descriptor. The struct tags are the single source for the decoder
// and for the JSON schema: `yaml` is the key, `desc` its documentation, `lang`
// the only language that has it, `check` the rule that its value (or each of
// its values) must meet, `min` the fewest entries of a list or mapping.
type Spec struct {
	file string
	// ranges are the values' places by path, lines the lines of their keys.
	ranges map[string]Range
	lines  map[string]int

	Language string `yaml:"language" desc:"The project's language."`
	// Version is the scalar as it is written: 1.20 stays "1.20".
	Version Scalar     `yaml:"version" check:"word" desc:"The language's version: 1.26 is its newest patch release, 1.26.8 exactly that one. Without it, the project's own files decide."`
	Dir     string     `yaml:"dir" check:"folder" desc:"The project's folder inside the build context."`
	Package StringList `yaml:"package" check:"package" min:"1" desc:"What to build: for Go one main package or a list of them, such as ./cmd/api; for Node and Python a member of the workspace, by its name or its folder; for Java a module (:orders or its folder), or a jar or war that is there already."`
	Args    StringMap  `yaml:"args" check:"arg" desc:"Build arguments with their defaults: environment variables of the build, set with --build-arg, and {{.Args.NAME}} in templates."`

	Build Build `yaml:"build" desc:"How the program is built; nothing in here reaches the image."`

	Secrets []Secret `yaml:"secrets" desc:"Secrets that the build needs, given with --secret. They are mounted for the build alone."`
	SSH     SSH      `yaml:"ssh" desc:"Forward an SSH agent (--ssh) to the download of dependencies: true, or the agent's id."`
	Copy    []Copy   `yaml:"copy" desc:"Files of the project to add to the image: source:target[:mode]; ${TARGETARCH} in a source is the image's architecture."`

	Test  *Test  `yaml:"test" desc:"Run the project's tests before the image is built: true, or a command as a list."`
	Smoke *Smoke `yaml:"smoke" desc:"Start the finished image inside the build and check its answer."`

	Image `yaml:",inline"`

	// Images are several images from one descriptor, chosen with --target.
	// Keys that an entry leaves out are those of the top level.
	Images map[string]ImageOverride `yaml:"images" check:"image" min:"1" desc:"Several images from one descriptor, chosen with --target. Each key replaces that of the top level."`
}

// Image are the keys of the image configuration. Their names are those of the
// OCI image configuration and of the Dockerfile.
type Image struct {
	Packages    []string     `yaml:"packages" check:"debian" desc:"Debian packages to add to the image, with all that they need: [libpq5]. Their versions are those of the catalog's lock; their scripts do not run."`
	Entrypoint  Command      `yaml:"entrypoint" min:"1" desc:"The program that the image runs, as a list."`
	Cmd         Command      `yaml:"cmd" desc:"Default arguments of the entrypoint, as a list; docker run replaces them."`
	Init        Switch       `yaml:"init" lang:"node python" desc:"Start the program below a small init, which passes signals on and buries orphans: true unless said otherwise."`
	Env         StringMap    `yaml:"env" check:"env" desc:"Environment variables of the running program."`
	User        Scalar       `yaml:"user" check:"user" desc:"User and group, numeric: 65532 or 65532:65532."`
	WorkDir     string       `yaml:"workdir" check:"absolute" desc:"Working directory of the running program."`
	Expose      []Port       `yaml:"expose" desc:"Ports that the program listens on: 8080 or 53/udp."`
	Volumes     []string     `yaml:"volumes" check:"volume" desc:"Directories that hold data of the running program."`
	Labels      StringMap    `yaml:"labels" check:"label" desc:"Labels of the image configuration."`
	Annotations StringMap    `yaml:"annotations" check:"label" desc:"Annotations of the image manifest."`
	StopSignal  string       `yaml:"stopsignal" check:"signal" desc:"The signal that stops the program: SIGTERM unless said otherwise."`
	Healthcheck *Healthcheck `yaml:"healthcheck" desc:"How Docker checks the running container."`
}

// ImageOverride is an entry of `images`.
type ImageOverride struct {
	Package StringList `yaml:"package" check:"package" min:"1" desc:"What to build for this image."`
	Copy    []Copy     `yaml:"copy" desc:"Files of the project to add to this image, in place of those of the top level."`
	Smoke   *Smoke     `yaml:"smoke" desc:"Start this image inside the build and check its answer."`
	Image   `yaml:",inline"`
}

// Build are the keys of the build.
type Build struct {
	Env      StringMap  `yaml:"env" check:"env" desc:"Environment variables of the build, never in the image."`
	Tags     StringList `yaml:"tags" check:"word" lang:"go" desc:"Go build tags."`
	LDFlags  StringList `yaml:"ldflags" lang:"go" desc:"Flags for Go's linker, added to -s -w; {{.Version}} and {{.Revision}} are replaced."`
	Flags    StringList `yaml:"flags" lang:"go" desc:"Further flags for go build."`
	CGO      bool       `yaml:"cgo" lang:"go" desc:"Compile with cgo, against the C library of the cc base."`
	Generate Generate   `yaml:"generate" check:"package" lang:"go" desc:"Run go generate ./... before the build: true, or the packages."`
	Packages []string   `yaml:"packages" check:"debian" desc:"Debian packages that the build needs, with all that they need: [libpq-dev]. They are no part of the image."`

	Tool    Scalar     `yaml:"tool" check:"word" lang:"node python java" desc:"What installs dependencies, where the project's files leave it open: npm, pnpm or yarn, and pnpm@12.21.0 names a version; for Python which lock file counts: uv, pylock, poetry, pdm, pipenv or requirements; for Java maven or gradle."`
	Script  Scalar     `yaml:"script" check:"text" lang:"node" desc:"The script of package.json that builds the program: build, if there is one, unless said otherwise; false for none."`
	Output  StringList `yaml:"output" check:"folder" min:"1" lang:"node python" desc:"The files and folders that the image gets of the project once it is built; without it, all but sources of TypeScript, tests and what serves development."`
	Static  *Static    `yaml:"static" lang:"node" desc:"Serve the files that the build makes, without Node: true, or their folder, or options."`
	Bundle  *Bundle    `yaml:"bundle" check:"text" lang:"node" desc:"Make one file of the program and its dependencies: true, or a list of the packages whose computed requires may stay as they are."`
	Trim    Switch     `yaml:"trim" lang:"node" desc:"Leave out of the image what packages have for people and editors: READMEs, change logs, declarations of types, settings of tools: true unless said otherwise."`
	Network bool       `yaml:"network" lang:"node python" desc:"Let the build script, or build.run, reach the network."`

	Groups   StringList     `yaml:"groups" check:"word" min:"1" lang:"python" desc:"Groups of dependencies that the image gets, beside the program's own: [prod]."`
	Extras   StringList     `yaml:"extras" check:"word" min:"1" lang:"python" desc:"Extras of the project that the image gets: [postgres]."`
	SDist    StringList     `yaml:"sdist" check:"word" min:"1" lang:"python" desc:"Dependencies that are compiled from their sources, as they have no wheel that fits: [psycopg2]. All others are wheels."`
	Bytecode Switch         `yaml:"bytecode" lang:"python" desc:"Compile bytecode, which a program that may not write cannot make: true unless said otherwise."`
	Install  Switch         `yaml:"install" lang:"python" desc:"Install the project as a package: true when pyproject.toml has a build-system unless said otherwise; false runs its files where they are."`
	Run      []BuildCommand `yaml:"run" min:"1" lang:"python" desc:"Commands to run in the project before the image gets it, with its dependencies and without network: a list for each, or a text for the build image's shell."`

	Main       Scalar     `yaml:"main" check:"word" lang:"java" desc:"The class that is started, where the project leaves it open: com.example.Main."`
	Profiles   StringList `yaml:"profiles" check:"word" min:"1" lang:"java" desc:"Profiles of Maven that are active in the build: [prod]."`
	Properties StringMap  `yaml:"properties" check:"property" lang:"java" desc:"Properties of the build: -Dname=value for Maven, -Pname=value for Gradle."`
	JLink      JLink      `yaml:"jlink" check:"word" lang:"java" desc:"Link a runtime of the modules that the program needs: true unless said otherwise; false takes the whole runtime; a list names the modules: [java.base, java.sql]."`
	AOT        bool       `yaml:"aot" lang:"java" desc:"Start the program in the build once and keep what Java learns of it, for a faster start; Java 25 or newer. Two builds are not the same byte for byte."`
}

// Scalar is a YAML scalar as it is written, never turned into a number.
type Scalar string

// StringList is a string or a list of strings.
type StringList []string

// Command is a list of arguments. A string would be a shell command; images
// have no shell, so it is refused with the list to write.
type Command []string

// BuildCommand is a command of the build: a list of arguments, or a text, which
// becomes /bin/sh -c TEXT: images to build with have a shell.
type BuildCommand []string

// StringMap is a mapping of scalars. Iterate it in the order of Keys.
type StringMap map[string]string

// Secret is an entry of `secrets`: an id, or {id, env} or {id, target}.
// "netrc" alone is mounted as root's .netrc.
type Secret struct {
	ID       string `yaml:"id" check:"id" desc:"The id given with --secret id=."`
	Env      string `yaml:"env" check:"arg" desc:"The environment variable that holds it."`
	Target   string `yaml:"target" check:"absolute" desc:"The file that holds it; /run/secrets/ID unless said otherwise."`
	Optional bool   `yaml:"optional" desc:"Build without it when it is not given."`
}

// SSH is `ssh: true` or `ssh: ID`; "" when not asked for, "default" for true.
type SSH string

// Copy is an entry of `copy`.
type Copy struct {
	Source string
	// Target is absolute.
	Target string
	// Mode is the permission bits, nil to keep the source's.
	Mode *uint32
}

// Port is an entry of `expose`, normalised: "8080/tcp".
type Port string

// Generate is `generate: true` (["./..."]), a package or a list of packages.
type Generate []string

// Static is `static: true`, a folder, or options; `static: false` is nil.
type Static struct {
	Dir      string `yaml:"dir" check:"folder" desc:"The folder of the project that the build makes."`
	Fallback Scalar `yaml:"fallback" check:"text" desc:"The file that answers for paths that are not there: index.html for applications that route in the browser; false for none."`
}

// Bundle is `bundle: true` or the packages whose computed requires may stay;
// `bundle: false` is nil.
type Bundle struct {
	Packages StringList
}

// JLink is `jlink: false` (Off), or the modules of the runtime; `jlink: true` has
// neither.
type JLink struct {
	Off     bool
	Modules StringList
}

// Switch is a boolean that knows whether it was written.
type Switch struct {
	Set, On bool
}

// Or returns the value written, or another one when none is.
func (s Switch) Or(otherwise bool) bool {
	if s.Set {
		return s.On
	}
	return otherwise
}

// Test is `test: true` (Command nil) or a command; `test: false` is nil.
type Test struct {
	Command []string
}

// Smoke is the check of the finished image.
type Smoke struct {
	Args    *Command  `yaml:"args" desc:"Arguments in place of cmd, as a list."`
	Env     StringMap `yaml:"env" check:"env" desc:"Further environment variables for this check."`
	Port    int       `yaml:"port" check:"port" desc:"Wait until the program listens on this TCP port."`
	Path    string    `yaml:"path" check:"urlpath" desc:"Ask for this path by HTTP; on port, or the first of expose."`
	Status  int       `yaml:"status" check:"status" desc:"The HTTP status wanted: 200 unless said otherwise."`
	Output  string    `yaml:"output" check:"text" desc:"Text that the program must print, or that the answer must hold."`
	Exit    int       `yaml:"exit" check:"exit" desc:"The exit code wanted when no port is waited for: 0 unless said otherwise."`
	Timeout Duration  `yaml:"timeout" check:"second" desc:"How long to wait: 30s unless said otherwise."`
}

// Duration is a duration as Go writes it (1m30s), in nanoseconds.
type Duration int64

// Healthcheck is Docker's health check. It needs no shell and no curl: test is
// a program of the image.
type Healthcheck struct {
	Test        Command  `yaml:"test" min:"1" desc:"The command, as a list; a program of the image."`
	Interval    Duration `yaml:"interval" check:"millisecond" desc:"Time between two checks."`
	Timeout     Duration `yaml:"timeout" check:"millisecond" desc:"Time that a check may take."`
	StartPeriod Duration `yaml:"start_period" check:"millisecond" desc:"Time for the program to start, in which failures do not count."`
	Retries     int      `yaml:"retries" check:"count" desc:"Failures in a row that make the container unhealthy."`
}

// Detected is what a language found in a project that has no descriptor.
type Detected struct {
	// File is the project file that shows the language: "go.mod".
	File string
	// Lines are the descriptor's lines after `language:`, comments included.
	Lines []string
}

// The functions below are the package's interface to languages and commands.

// Vars are the values that templates may name.
type Vars struct {
	// Version is {{.Version}}: the build argument VERSION, or "dev".
	Version string
	// Revision is {{.Revision}}: the source revision that the client sent, the
	// build argument REVISION, or "unknown".
	Revision string
	// Args are the declared build arguments with the values given.
	Args map[string]string
}
