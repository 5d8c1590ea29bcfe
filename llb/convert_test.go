package llb_test

import (
	"bytes"
	"context"
	"flag"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	capspb "github.com/moby/buildkit/util/apicaps/pb"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/image/note"
	"github.com/birdhouse-build/birdhouse/langs"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// versions are the catalog's for a test: goldens do not depend on the real one.
var versions = map[string][]string{
	"go":     {"1.24.13", "1.25.14", "1.26.11", "1.27.4"},
	"node":   {"20", "22", "24", "26"},
	"python": {"3.11", "3.13", "3.14"},
	"java":   {"17", "21", "25"},
}

var (
	amd64 = ocispecs.Platform{OS: "linux", Architecture: "amd64"}
	arm64 = ocispecs.Platform{OS: "linux", Architecture: "arm64"}
	epoch = time.Unix(0, 0).UTC()
)

// named are bases that are images of their names.
type named struct{}

func (named) Base(_ context.Context, b plan.Base, p ocispecs.Platform) (*birdllb.Base, error) {
	ref := "registry.test/" + b.String()
	if len(b.With) > 0 {
		ref += "-with-" + strings.Join(b.With, "-")
	}
	if len(b.Packages) > 0 {
		ref += "-and-" + strings.Join(b.Packages, "-")
	}
	img := dockerspec.DockerOCIImage{}
	img.Platform = p
	img.Config.User = "65532"
	img.Config.Env = []string{"PATH=/usr/local/go/bin:/usr/bin"}
	img.History = []ocispecs.History{note.Note{Name: b.Image, Changes: "rarely", What: "base"}.History(epoch)}
	return &birdllb.Base{State: llb.Image(ref, llb.Platform(p)), Config: img}, nil
}

// folder is a source that is a local directory.
type folder struct{}

func (folder) State(_ context.Context, include, exclude []string, name string) (llb.State, error) {
	opts := []llb.LocalOption{llb.WithCustomName(name)}
	if len(include) > 0 {
		opts = append(opts, llb.IncludePatterns(include))
	}
	if len(exclude) > 0 {
		opts = append(opts, llb.ExcludePatterns(exclude))
	}
	return llb.Local("context", opts...), nil
}

func (folder) Path(_ context.Context, path, name string) (llb.State, error) {
	return llb.Local("context", llb.WithCustomName(name), llb.FollowPaths([]string{path})), nil
}

func caps(without ...apicaps.CapID) apicaps.CapSet {
	var list []*capspb.APICap
	for _, c := range pb.Caps.All() {
		if !slices.Contains(without, apicaps.CapID(c.ID)) {
			list = append(list, c)
		}
	}
	return pb.Caps.CapSet(list)
}

func options(target ocispecs.Platform, c apicaps.CapSet) birdllb.Options {
	return birdllb.Options{
		Bases: named{}, Source: folder{}, Steps: llb.Image("registry.test/steps"),
		Caps: c, Build: amd64, Target: target, Epoch: epoch,
	}
}

func planOf(t *testing.T, dir string) *plan.Plan {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, "birdhouse.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, problems := spec.Parse("birdhouse.yaml", data, langs.Names())
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	if p := s.Expand(spec.Vars{Version: "1.2.3", Revision: "abc", Args: s.Args}); p.HasErrors() {
		t.Fatal(p)
	}
	l, _ := langs.ByName(s.Language)
	p, problems := l.Plan(s, os.DirFS(dir), versions[s.Language])
	if problems.HasErrors() {
		t.Fatal(problems)
	}
	return p
}

func marshal(t *testing.T, st llb.State) *llb.Definition {
	t.Helper()
	def, err := st.Marshal(t.Context(), llb.Platform(amd64))
	if err != nil {
		t.Fatal(err)
	}
	return def
}

func dump(t *testing.T, st llb.State) string {
	t.Helper()
	var b bytes.Buffer
	if err := birdllb.Dump(&b, marshal(t, st)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// samples are the sample projects that have a plan.
func samples(t *testing.T) []string {
	t.Helper()
	plans, err := filepath.Glob("../testdata/*/*/plan.json")
	if err != nil || len(plans) == 0 {
		t.Fatalf("no samples with a plan: %v", err)
	}
	dirs := make([]string, len(plans))
	for i, p := range plans {
		dirs[i] = filepath.Dir(p)
	}
	return dirs
}

func TestGraphGoldens(t *testing.T) {
	for _, dir := range samples(t) {
		t.Run(filepath.Base(filepath.Dir(dir))+"/"+filepath.Base(dir), func(t *testing.T) {
			g, err := birdllb.Convert(t.Context(), planOf(t, dir), options(arm64, caps()))
			if err != nil {
				t.Fatal(err)
			}
			got := dump(t, g.Image)
			golden := filepath.Join(dir, "graph.txt")
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Errorf("the graph is not %s (go test ./llb -update rewrites it):\n%s", golden, diff)
			}
		})
	}
}

// ops are a definition's operations with the names they show.
func ops(t *testing.T, def *llb.Definition) map[string]*pb.Op {
	t.Helper()
	out := map[string]*pb.Op{}
	for _, dt := range def.Def {
		op := &pb.Op{}
		if err := op.UnmarshalVT(dt); err != nil {
			t.Fatal(err)
		}
		if op.Op != nil {
			out[def.Metadata[digest.FromBytes(dt)].Description["llb.customname"]+"\x00"+string(digest.FromBytes(dt))] = op
		}
	}
	return out
}

// Nothing runs in the image: whatever is built for another architecture needs
// no emulation of it.
func TestNothingRunsOnTheTarget(t *testing.T) {
	for _, dir := range samples(t) {
		g, err := birdllb.Convert(t.Context(), planOf(t, dir), options(arm64, caps()))
		if err != nil {
			t.Fatal(err)
		}
		for name, op := range ops(t, marshal(t, g.Image)) {
			if op.GetExec() != nil && op.Platform.Architecture != "amd64" {
				t.Errorf("%s: %s runs on %s", dir, name, op.Platform.Architecture)
			}
		}
	}
}

// Without MergeOp the image is made by copies, and nothing else is different.
func TestNoMergeOp(t *testing.T) {
	for _, dir := range samples(t) {
		p := planOf(t, dir)
		g, err := birdllb.Convert(t.Context(), p, options(amd64, caps(pb.CapMergeOp)))
		if err != nil {
			t.Fatal(err)
		}
		for name, op := range ops(t, marshal(t, g.Image)) {
			if op.GetMerge() != nil {
				t.Errorf("%s: %s needs MergeOp", dir, name)
			}
		}
		merged, err := birdllb.Convert(t.Context(), p, options(amd64, caps()))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(merged.Config, g.Config); diff != "" {
			t.Errorf("%s: the configuration depends on MergeOp:\n%s", dir, diff)
		}
	}
}

// A server that cannot tell files from folders in a mode makes the folders first:
// the program's mode would be theirs.
func TestFoldersWithoutSymbolicModes(t *testing.T) {
	for _, tt := range []struct {
		dir  string
		want []string
	}{
		{"../testdata/go/hello", []string{"mkdir /app mode 0755", "to /app/hello mode 0555", "layer application: set times"}},
		{"../testdata/go/tests", []string{"mkdir /etc mode 0755", "to /etc/app.conf mode 0444", "mkdir /app mode 0755"}},
	} {
		g, err := birdllb.Convert(t.Context(), planOf(t, tt.dir), options(amd64, caps(pb.CapMergeOp, pb.CapDiffOp, pb.CapGCFreeSpaceFilter)))
		if err != nil {
			t.Fatal(err)
		}
		text := dump(t, g.Image)
		for _, want := range tt.want {
			if !strings.Contains(text, want) {
				t.Errorf("%s: the graph lacks %q:\n%s", tt.dir, want, text)
			}
		}
		if strings.Contains(text, "mode u=") || strings.Contains(text, " diff ") {
			t.Errorf("%s: the graph needs more than the server has:\n%s", tt.dir, text)
		}
	}
}

// A history entry describes each layer.
func TestHistory(t *testing.T) {
	p := planOf(t, "../testdata/go/hello")
	g, err := birdllb.Convert(t.Context(), p, options(amd64, caps()))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := len(g.Config.History), 1+len(p.Layers); got != want {
		t.Fatalf("%d history entries for %d layers", got, want)
	}
	n, ok := note.Parse(g.Config.History[len(g.Config.History)-1])
	if !ok || n.Name != "application" || n.What != p.Layers[len(p.Layers)-1].What {
		t.Errorf("the last layer's note is %+v, %v", n, ok)
	}
	for _, h := range g.Config.History {
		if !h.Created.Equal(epoch) {
			t.Errorf("%s was created at %s, not at the epoch", h.CreatedBy, h.Created)
		}
	}
}

func TestSmokeRunsOnTheBuildersPlatformAlone(t *testing.T) {
	p := planOf(t, "../testdata/go/hello")
	p.Smoke = &plan.Smoke{Port: 8080, Path: "/", Timeout: 30}
	native, err := birdllb.Convert(t.Context(), p, options(amd64, caps()))
	if err != nil {
		t.Fatal(err)
	}
	if native.Smoke == nil {
		t.Fatal("no check for the builder's platform")
	}
	text := dump(t, *native.Smoke)
	for _, want := range []string{"user 65532", "network none", `"/run/birdhouse/steps" "smoke"`, "mount /tmp tmpfs"} {
		if !strings.Contains(text, want) {
			t.Errorf("the check lacks %q:\n%s", want, text)
		}
	}
	foreign, err := birdllb.Convert(t.Context(), p, options(arm64, caps()))
	if err != nil {
		t.Fatal(err)
	}
	if foreign.Smoke != nil {
		t.Error("the check would run on an architecture that the builder does not have")
	}
}

// A stage that only checks is part of the image's graph, and adds nothing to it.
func TestGateIsInTheGraph(t *testing.T) {
	p := &plan.Plan{
		Language: "go",
		Run:      plan.Base{Image: "static", Version: "13"},
		Stages: []plan.Stage{
			{Name: "test", Gate: true, Base: plan.Base{Image: "go", Version: "1.27.4", Variant: "build"},
				Steps: []plan.Step{{Name: "go vet", Args: []string{"go", "vet"}, Dir: "/src"}, {Name: "go test", Args: []string{"go", "test"}, Dir: "/src"}}},
			{Name: "build", Base: plan.Base{Image: "go", Version: "1.27.4", Variant: "build"},
				Steps: []plan.Step{{Name: "go build", Args: []string{"go", "build"}, Dir: "/src", Mounts: []plan.Mount{{Kind: plan.MountOutput, Target: "/out"}}}}},
		},
		Layers: []plan.Layer{{Name: "application", Copies: []plan.Copy{{Stage: "build", Source: "/app", Target: "/app/app"}}}},
	}
	g, err := birdllb.Convert(t.Context(), p, options(amd64, caps()))
	if err != nil {
		t.Fatal(err)
	}
	var found bool
	for name, op := range ops(t, marshal(t, g.Image)) {
		found = found || strings.HasPrefix(name, "[test 2/2] go test\x00") && op.GetExec() != nil
	}
	if !found {
		t.Errorf("the test stage is not in the image's graph:\n%s", dump(t, g.Image))
	}
	if len(g.Config.History) != 2 {
		t.Errorf("%d history entries for two layers", len(g.Config.History))
	}
}

// An edit of the source leaves the download's vertex alone: its inputs are the
// manifests, by content.
func TestSourceEditLeavesDependenciesAlone(t *testing.T) {
	p := planOf(t, "../testdata/go/deps")
	g, err := birdllb.Convert(t.Context(), p, options(amd64, caps()))
	if err != nil {
		t.Fatal(err)
	}
	deps := ops(t, marshal(t, g.Stages["deps"]))
	var manifests []string
	for _, op := range deps {
		if s := op.GetSource(); s != nil && s.Identifier == "local://context" {
			manifests = append(manifests, s.Attrs[pb.AttrIncludePatterns])
		}
	}
	if len(manifests) != 1 || manifests[0] == "" {
		t.Fatalf("the download sees %q of the project", manifests)
	}
	if strings.Contains(manifests[0], "*.go") || strings.Contains(manifests[0], "main.go") {
		t.Errorf("the download depends on sources: %s", manifests[0])
	}
}

// An edit of the program leaves Node's installations alone: they see manifests
// that are a part of the graph, and nothing of the project.
func TestSourceEditLeavesInstallationsAlone(t *testing.T) {
	for _, dir := range samples(t) {
		p := planOf(t, dir)
		if p.Language != "node" {
			continue
		}
		g, err := birdllb.Convert(t.Context(), p, options(amd64, caps()))
		if err != nil {
			t.Fatal(err)
		}
		for _, stage := range []string{"package-manager", "deps", "prod"} {
			st, ok := g.Stages[stage]
			if !ok {
				continue
			}
			for _, op := range ops(t, marshal(t, st)) {
				if s := op.GetSource(); s != nil && strings.HasPrefix(s.Identifier, "local://") {
					patterns := s.Attrs[pb.AttrIncludePatterns]
					if patterns == "" || strings.Contains(patterns, ".js") || strings.Contains(patterns, "package.json") {
						t.Errorf("%s: %s sees %q of the project", dir, stage, patterns)
					}
				}
			}
		}
	}
}

// Another platform's image is refused where something compiles, by its name.
func TestNativeStage(t *testing.T) {
	p := &plan.Plan{
		Language: "node", Run: plan.Base{Image: "node", Version: "24"},
		Stages: []plan.Stage{{Name: "prod", PerPlatform: true, Native: "bcrypt may compile native code", Base: plan.Base{Image: "node", Version: "24", Variant: "build-full"},
			Steps: []plan.Step{{Name: "npm ci", Args: []string{"npm", "ci"}, Dir: "/", Mounts: []plan.Mount{{Kind: plan.MountOutput, Target: "/out"}}}}}},
		Layers: []plan.Layer{{Name: "dependencies", Copies: []plan.Copy{{Stage: "prod", Source: "/", Target: "/app"}}}},
	}
	if _, err := birdllb.Convert(t.Context(), p, options(amd64, caps())); err != nil {
		t.Error(err)
	}
	_, err := birdllb.Convert(t.Context(), p, options(arm64, caps()))
	if err == nil || !strings.Contains(err.Error(), "building for linux/arm64 on linux/amd64: bcrypt may compile native code") {
		t.Error(err)
	}
}

// Where the server runs programs of the other platform as well, what compiles is
// run as the other platform's, on its base, and by its name in progress output.
func TestNativeStageIsEmulated(t *testing.T) {
	p := &plan.Plan{
		Language: "node", Run: plan.Base{Image: "node", Version: "24"},
		Stages: []plan.Stage{
			{Name: "deps", Base: plan.Base{Image: "node", Version: "24", Variant: "build"},
				Steps: []plan.Step{{Name: "npm ci", Args: []string{"npm", "ci"}, Dir: "/", Mounts: []plan.Mount{{Kind: plan.MountOutput, Target: "/out"}}}}},
			{Name: "prod", PerPlatform: true, Native: "bcrypt may compile native code", Base: plan.Base{Image: "node", Version: "24", Variant: "build-full"},
				Steps: []plan.Step{{
					Name: "npm ci --omit=dev", Args: []string{"npm", "ci"}, Dir: "/",
					PlatformEnv: map[string][]plan.Env{"arm64": {{Name: "cpu", Value: "arm64"}}, "arm64@amd64": {{Name: "foreign", Value: "true"}}},
					Mounts:      []plan.Mount{{Kind: plan.MountOutput, Target: "/out"}},
				}}},
		},
		Layers: []plan.Layer{{Name: "dependencies", Copies: []plan.Copy{{Stage: "prod", Source: "/", Target: "/app"}, {Stage: "deps", Source: "/", Target: "/app"}}}},
	}
	o := options(arm64, caps())
	o.Emulated = []ocispecs.Platform{amd64, {OS: "linux", Architecture: "arm", Variant: "v7"}, {OS: "linux", Architecture: "arm64", Variant: "v8"}}
	g, err := birdllb.Convert(t.Context(), p, o)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for key, op := range ops(t, marshal(t, g.Image)) {
		if e := op.GetExec(); e != nil && e.Meta.Args[0] == "npm" {
			name, _, _ := strings.Cut(key, "\x00")
			found[name] = op.Platform.Architecture
			if slices.Contains(e.Meta.Env, "foreign=true") {
				t.Errorf("%s runs as on another machine: %q", name, e.Meta.Env)
			}
		}
	}
	if want := map[string]string{"[deps] npm ci": "amd64", "[prod] npm ci --omit=dev (emulated)": "arm64"}; !maps.Equal(found, want) {
		t.Errorf("commands run as %v, want %v", found, want)
	}
}

// Arguments may name a variable of the platform; files are copied and written.
func TestPlatformArguments(t *testing.T) {
	p := &plan.Plan{
		Language: "node", Run: plan.Base{Image: "node", Version: "24"},
		Stages: []plan.Stage{{Name: "prod", PerPlatform: true, Base: plan.Base{Image: "node", Version: "24", Variant: "build"},
			Steps: []plan.Step{{
				Name: "install", Args: []string{"pnpm", "--cpu=${cpu}"}, Dir: "/",
				PlatformEnv: map[string][]plan.Env{"amd64": {{Name: "cpu", Value: "x64"}}, "arm64": {{Name: "cpu", Value: "arm64"}}, "arm64@amd64": {{Name: "foreign", Value: "1"}}},
				Mounts: []plan.Mount{
					{Kind: plan.MountFiles, Target: "/etc/x", Path: "x", Files: []plan.File{{Path: "x", Content: "y", Mode: 0o600}}},
					{Kind: plan.MountOutput, Target: "/out", From: plan.FromFiles, Include: []string{".npmrc"}, Files: []plan.File{{Path: "a/b", Content: "c", Mode: 0o644}}},
				},
			}}}},
		Layers: []plan.Layer{{Name: "dependencies", Copies: []plan.Copy{{Stage: "prod", Source: "/", Target: "/app", Include: []string{"a/**"}}}, Files: []plan.File{{Path: "/etc/z", Content: "z", Mode: 0o444}}}},
	}
	g, err := birdllb.Convert(t.Context(), p, options(arm64, caps()))
	if err != nil {
		t.Fatal(err)
	}
	text := dump(t, g.Image)
	for _, want := range []string{`"--cpu=arm64"`, "env cpu=arm64", "env foreign=1", "write /x mode 0600", "path x read-only", "write /a/b mode 0644", `include "a/**"`, "write /etc/z mode 0444"} {
		if !strings.Contains(text, want) {
			t.Errorf("the graph lacks %q:\n%s", want, text)
		}
	}
}

// Secrets are mounts: their ids may be in a graph, nothing else of them.
func TestNetworkStepsTrustTheCASecret(t *testing.T) {
	p := planOf(t, "../testdata/go/deps")
	g, err := birdllb.Convert(t.Context(), p, options(amd64, caps()))
	if err != nil {
		t.Fatal(err)
	}
	for name, op := range ops(t, marshal(t, g.Image)) {
		e := op.GetExec()
		if e == nil {
			continue
		}
		var ca bool
		for _, m := range e.Mounts {
			ca = ca || m.MountType == pb.MountType_SECRET && m.SecretOpt.ID == "ca" && m.SecretOpt.Optional
		}
		if network := e.Network != pb.NetMode_NONE; network != ca {
			t.Errorf("%s: network %v, CA secret %v", name, network, ca)
		}
	}
}
