// Package plan is the plain data between a language and the build graph: what
// to run, what to keep, and what the image says about itself.
//
// A Plan is pure: the same descriptor and the same project files give the same
// Plan, with no network, no clock and no map order in it, so its JSON form is a
// golden file and `birdhouse plan` prints exactly what a build will do. It does
// not depend on the target platform; where a value must, it names one of the
// placeholders below, which the graph builder replaces.
package plan

// Placeholders that the graph builder replaces in Step.Args, Step.Env values,
// Mount.CacheID and Copy.Source. They have the meaning of the Dockerfile's automatic
// platform arguments.
const (
	TargetOS      = "${TARGETOS}"
	TargetArch    = "${TARGETARCH}"
	TargetVariant = "${TARGETVARIANT}"
	BuildArch     = "${BUILDARCH}"
)

// StepsProgram is where the steps program (cmd/steps) lies in a Step that asks
// for it by naming this path as its first argument.
const StepsProgram = "/run/birdhouse/steps"

// Plan says how one image is built.
type Plan struct {
	// Language is the descriptor's language.
	Language string `json:"language"`
	// Facts are the decisions made and where each came from, in the order in
	// which people want to read them.
	Facts []Fact `json:"facts"`
	// Stages run tools. A stage only uses stages before it.
	Stages []Stage `json:"stages"`
	// Run is the base of the image.
	Run Base `json:"run"`
	// Layers are added to Run, from the least to the most likely to change.
	Layers []Layer `json:"layers"`
	// Image is the image's configuration.
	Image Image `json:"image"`
	// Smoke starts the finished image inside the build; nil for no check.
	Smoke *Smoke `json:"smoke,omitempty"`
}

// Fact is one decision: `version 1.26.8, from go.mod:3`.
type Fact struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	// Source is where the value came from: "birdhouse.yaml:3", "go.mod:3 says
	// 1.24 or newer; newest in the catalog", "the only main package".
	Source string `json:"source"`
}

// Base names an image of the catalog.
type Base struct {
	// Image is the catalog's repository: "static", "cc", "go".
	Image string `json:"image"`
	// Version is the tag without its suffix: "13", "1.26.8".
	Version string `json:"version"`
	// Variant is the tag's suffix: "" for a run image, "build", "build-cgo".
	Variant string `json:"variant,omitempty"`
	// With are sets of Debian packages that the catalog defines, added as
	// layers of their own: "git".
	With []string `json:"with,omitempty"`
	// Cross is the prefix of one more set, added for a target platform whose
	// architecture is not the build machine's: "cross-" adds "cross-arm64" when
	// arm64 is built on amd64. Only for PerPlatform stages; may be empty.
	Cross string `json:"cross,omitempty"`
	// Packages are Debian packages to add with all that they need, as a layer of
	// their own, sorted. Where Cross adds a set, libraries among them are for the
	// target platform.
	Packages []string `json:"packages,omitempty"`
	// Asked is the path of the descriptor's key that asked for Packages.
	Asked string `json:"asked,omitempty"`
}

// String returns the reference as a catalog names it: "go:1.26.8-build".
func (b Base) String() string {
	s := b.Image + ":" + b.Version
	if b.Variant != "" {
		s += "-" + b.Variant
	}
	return s
}

// Stage is a sequence of commands on one root file system. Its name is API:
// `--target`, `--no-cache-filter` and progress output use it.
type Stage struct {
	Name string `json:"name"`
	// Base is the root file system; it always has the build machine's platform.
	Base Base `json:"base"`
	// Steps run in order; each sees what those before it wrote.
	Steps []Step `json:"steps"`
	// PerPlatform stages run once for each target platform, the others once in
	// a build.
	PerPlatform bool `json:"perPlatform,omitempty"`
	// Native says why a PerPlatform stage runs programs of the target platform:
	// "better-sqlite3 compiles C code when it is installed". Another platform
	// than the build machine's is refused with it. Empty for stages that can make
	// files for any platform.
	Native string `json:"native,omitempty"`
	// Assembled stages run in the image's own root file system, for the target platform,
	// in place of one of Base: the run base and all layers before the first that copies
	// from the stage, with the image's environment. So the stage can learn of the
	// program how it runs. It is writable, and what is written beside outputs is thrown
	// away.
	Assembled bool `json:"assembled,omitempty"`
	// Gate stages have no result that is used: the image is not built unless
	// they succeed. They have one output mount, which stays empty.
	Gate bool `json:"gate,omitempty"`
}

// Root names the root file system, for people.
func (s Stage) Root() string {
	if s.Assembled {
		return "the image"
	}
	return s.Base.String()
}

// Step is one process in a build container.
type Step struct {
	// Name is what progress shows: "go build ./cmd/api".
	Name string `json:"name"`
	// Args is the command; no shell is involved.
	Args []string `json:"args"`
	Env  []Env    `json:"env,omitempty"`
	// PlatformEnv adds variables for some target platforms, by "arch/variant", or by
	// "arch@arch" of target and build machine: {"arm/v7": [{GOARM 7}]}. Args may name
	// them as ${NAME}.
	PlatformEnv map[string][]Env `json:"platformEnv,omitempty"`
	Dir         string           `json:"dir"`
	// Network is false for a step that runs with no network but loopback.
	Network bool    `json:"network,omitempty"`
	Mounts  []Mount `json:"mounts,omitempty"`
	// Asked is the path of the descriptor's key that asked for this step
	// ("test", "build.generate"), so that its failure points there. Empty: the
	// `language` key.
	Asked string `json:"asked,omitempty"`
	// Hint is what to try when the step fails, shown with the error; may be empty.
	// [NAME] in it becomes the name that Blame has for the exit code.
	Hint string `json:"hint,omitempty"`
	// Blame is what exit codes from FirstBlame on stand for: "requirements.txt:3: flask==3.0".
	// It is in no cache key.
	Blame []string `json:"blame,omitempty"`
}

// FirstBlame is the exit code of a Step that stands for the first of its Blame: above those of
// programs and signals.
const FirstBlame = 160

// Env is one environment variable.
type Env struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// MountKind says what a Mount shows.
type MountKind string

// The kinds of mount.
const (
	// MountSource is the project (the build context), read-only, narrowed by
	// Include and Exclude. Include makes it a transfer of its own, keyed by
	// those files alone.
	MountSource MountKind = "source"
	// MountStage is the output of an earlier stage, read-only.
	MountStage MountKind = "stage"
	// MountFiles is a directory with Files and, beside them, the project's files
	// that match Include; read-only. It is keyed by its content.
	MountFiles MountKind = "files"
	// MountOutput is an empty writable directory whose content is the result
	// of the stage. Several outputs of one stage have different names. With
	// From set it starts with that stage's output, with the project when From is
	// "source", or as MountFiles when From is "files".
	MountOutput MountKind = "output"
	// MountCache is a directory kept between builds on one builder, shared by
	// concurrent steps.
	MountCache MountKind = "cache"
	// MountSecret is a file that the user passes with --secret; never in a
	// cache key, a layer or the image.
	MountSecret MountKind = "secret"
	// MountSecretEnv is a secret as the environment variable Target.
	MountSecretEnv MountKind = "secretEnv"
	// MountSSH is the user's SSH agent (--ssh).
	MountSSH MountKind = "ssh"
	// MountTmpfs is a file system in memory.
	MountTmpfs MountKind = "tmpfs"
	// MountRun is the root file system of the run base, for the target
	// platform, with no Layers on it; read-only.
	MountRun MountKind = "run"
)

// Mount is one mount of a Step.
type Mount struct {
	Kind   MountKind `json:"kind"`
	Target string    `json:"target"`
	// From is the stage for MountStage and MountOutput.
	From string `json:"from,omitempty"`
	// Output is the name of an output, "" for a stage's only one.
	Output string `json:"output,omitempty"`
	// Path selects a directory of what is mounted; "" for all of it.
	Path string `json:"path,omitempty"`
	// CacheID identifies a cache; it must name the language and, where the
	// content depends on it, the architecture.
	CacheID string `json:"cacheID,omitempty"`
	// Locked caches are used by one step at a time.
	Locked bool `json:"locked,omitempty"`
	// SecretID is the secret's or SSH agent's id.
	SecretID string `json:"secretID,omitempty"`
	// Optional secrets and agents may be missing.
	Optional bool `json:"optional,omitempty"`
	// Large says that a MountStage is too much to be read for a cache key: the step
	// runs again whenever the stage does, and not only when what that wrote differs.
	Large bool `json:"large,omitempty"`
	// Writable lets a step write into a MountSource, MountStage or MountFiles;
	// what it writes is thrown away after the step.
	Writable bool `json:"writable,omitempty"`
	// Include and Exclude are patterns of .dockerignore's syntax, for
	// MountSource and MountFiles. Exclude comes on top of the project's own
	// ignore file.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Files are those of MountFiles; they replace the project's.
	Files []File `json:"files,omitempty"`
}

// FromFiles is the From of a MountOutput that starts with files.
const FromFiles = "files"

// Layer is one layer of the image, made by copies alone.
type Layer struct {
	// Name says what it holds: "application".
	Name string `json:"name"`
	// Changes says how often people change it: "rarely", "sometimes", "always".
	Changes string `json:"changes"`
	// What is a line for people: "/app/api  go1.26.8, static, stripped".
	What   string `json:"what"`
	Copies []Copy `json:"copies,omitempty"`
	// Files are generated; their paths are absolute.
	Files []File `json:"files,omitempty"`
}

// Copy puts files into a layer. They are owned by root and get fixed times.
type Copy struct {
	// Stage is where the files come from; "" is the project.
	Stage string `json:"stage,omitempty"`
	// Output is the name of the stage's output.
	Output string `json:"output,omitempty"`
	// Source is a path in it; a directory stands for its content.
	Source string `json:"source"`
	// Target is the absolute path in the image.
	Target string `json:"target"`
	// Include and Exclude narrow what is copied of a directory; patterns of
	// .dockerignore's syntax without exceptions, relative to Source. What only
	// leads to excluded files is not copied.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`
	// Mode replaces the permission bits of files and, with x where r is set,
	// of directories; nil keeps what the source has.
	Mode *uint32 `json:"mode,omitempty"`
	// Asked is as in Step.
	Asked string `json:"asked,omitempty"`
}

// Image is the image configuration, after
// https://github.com/opencontainers/image-spec/blob/main/config.md, and Docker's
// healthcheck. Empty values keep what the base says.
type Image struct {
	Entrypoint  []string     `json:"entrypoint,omitempty"`
	Cmd         []string     `json:"cmd,omitempty"`
	Env         []Env        `json:"env,omitempty"`
	User        string       `json:"user,omitempty"`
	WorkingDir  string       `json:"workingDir,omitempty"`
	Expose      []string     `json:"expose,omitempty"`
	Volumes     []string     `json:"volumes,omitempty"`
	Labels      []Env        `json:"labels,omitempty"`
	Annotations []Env        `json:"annotations,omitempty"`
	StopSignal  string       `json:"stopSignal,omitempty"`
	Healthcheck *Healthcheck `json:"healthcheck,omitempty"`
}

// Healthcheck is Docker's extension of the image configuration. Durations are
// in nanoseconds, as there; 0 is the engine's default.
type Healthcheck struct {
	Test        []string `json:"test"`
	Interval    int64    `json:"interval,omitempty"`
	Timeout     int64    `json:"timeout,omitempty"`
	StartPeriod int64    `json:"startPeriod,omitempty"`
	Retries     int      `json:"retries,omitempty"`
}

// Smoke is the check that starts the finished image. With Port, it waits until
// the port accepts a connection or, with Path, until an HTTP GET of it answers
// Status. Without Port, the program runs to its end and Exit and Output are
// compared.
type Smoke struct {
	// Args are added to the image's entrypoint in place of its cmd; nil keeps cmd.
	Args []string `json:"args,omitempty"`
	Env  []Env    `json:"env,omitempty"`
	Port int      `json:"port,omitempty"`
	Path string   `json:"path,omitempty"`
	// Status is the HTTP status wanted, 200 unless said otherwise.
	Status int `json:"status,omitempty"`
	// Output must be a part of what the program printed or of the HTTP body.
	Output string `json:"output,omitempty"`
	Exit   int    `json:"exit,omitempty"`
	// Timeout in seconds.
	Timeout int `json:"timeout"`
}
