package frontend_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/moby/buildkit/client/llb"
	"github.com/moby/buildkit/client/llb/sourceresolver"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	capspb "github.com/moby/buildkit/util/apicaps/pb"
	"github.com/moby/buildkit/util/grpcerrors"
	"github.com/moby/patternmatcher"
	digest "github.com/opencontainers/go-digest"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	fstypes "github.com/tonistiigi/fsutil/types"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/steps/resolve"
)

// fake is a gateway client over a project in memory. Graphs that have an exec
// are recorded, not run.
type fake struct {
	files fstest.MapFS
	opts  map[string]string
	// failing is part of the name of a step, why is what it fails with.
	failing string
	why     error
	// registry has the configurations of images by their names.
	registry map[string]string

	// answers are what steps that look for packages give, by a part of their name.
	answers map[string]string
	// without are capabilities that the server lacks.
	without []apicaps.CapID
	// emulated are platforms that the server runs programs of beside its own.
	emulated []ocispecs.Platform

	mu       sync.Mutex
	solved   []*pb.Definition
	warnings []string
}

func (f *fake) BuildOpts() gwclient.BuildOpts {
	return gwclient.BuildOpts{
		Opts:      f.opts,
		SessionID: "session",
		LLBCaps:   pb.Caps.CapSet(slices.DeleteFunc(pb.Caps.All(), func(c *capspb.APICap) bool { return slices.Contains(f.without, apicaps.CapID(c.ID)) })),
		Caps:      gwpb.Caps.CapSet(gwpb.Caps.All()),
		Workers:   []gwclient.WorkerInfo{{Platforms: append([]ocispecs.Platform{{OS: "linux", Architecture: "amd64"}}, f.emulated...)}},
	}
}

func (f *fake) Inputs(context.Context) (map[string]llb.State, error) { return nil, nil }

func (f *fake) ResolveImageConfig(_ context.Context, ref string, _ sourceresolver.Opt) (string, digest.Digest, []byte, error) {
	if config, ok := f.registry[ref]; ok {
		return ref, digest.FromString(config), []byte(config), nil
	}
	return "", "", nil, errors.New("no registry here")
}

func (f *fake) ResolveSourceMetadata(context.Context, *pb.SourceOp, sourceresolver.Opt) (*sourceresolver.MetaResponse, error) {
	return nil, errors.New("no registry here")
}

func (f *fake) NewContainer(context.Context, gwclient.NewContainerRequest) (gwclient.Container, error) {
	return nil, errors.New("no containers here")
}

func (f *fake) Warn(_ context.Context, _ digest.Digest, msg string, _ gwclient.WarnOpts) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.warnings = append(f.warnings, msg)
	return nil
}

func (f *fake) Solve(ctx context.Context, req gwclient.SolveRequest) (*gwclient.Result, error) {
	ref := &fakeRef{files: fstest.MapFS{}}
	recorded := false
	for _, dt := range req.Definition.Def {
		op := &pb.Op{}
		if err := op.UnmarshalVT(dt); err != nil {
			return nil, err
		}
		if op.GetExec() != nil {
			recorded = true
		}
		description := req.Definition.Metadata[digest.FromBytes(dt).String()].GetDescription()
		if f.failing != "" && strings.Contains(description["birdhouse.step"], f.failing) {
			places := req.Definition.Source.Locations[digest.FromBytes(dt).String()].GetLocations()
			if len(places) != 1 && f.files != nil {
				return nil, fmt.Errorf("%s has %d places in the descriptor", description["birdhouse.step"], len(places))
			}
			return nil, sent(ctx, &errdefs.SolveError{Solve: &errdefs.Solve{Description: description}, Err: f.why})
		}
		for part, answer := range f.answers {
			if strings.Contains(description["birdhouse.step"], part) {
				ref.files = fstest.MapFS{resolve.Answer: &fstest.MapFile{Data: []byte(answer)}}
			}
		}
		s := op.GetSource()
		if s == nil || !strings.HasPrefix(s.Identifier, "local://") && !strings.HasPrefix(s.Identifier, "git://") {
			continue
		}
		files, err := selected(f.files, s.Attrs)
		if err != nil {
			return nil, err
		}
		ref.files = files
	}
	if recorded {
		f.mu.Lock()
		f.solved = append(f.solved, req.Definition)
		f.mu.Unlock()
	}
	res := gwclient.NewResult()
	res.SetRef(ref)
	return res, nil
}

// selected are the files that a local source transfers.
func selected(files fstest.MapFS, attrs map[string]string) (fstest.MapFS, error) {
	list := attrs[pb.AttrIncludePatterns]
	if list == "" {
		list = attrs[pb.AttrFollowPaths]
	}
	if list == "" {
		return files, nil
	}
	patterns := strings.FieldsFunc(strings.Trim(list, "[]"), func(r rune) bool { return r == ',' || r == '"' })
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, err
	}
	out := fstest.MapFS{}
	for name, file := range files {
		ok, err := m.MatchesOrParentMatches(name)
		if err != nil {
			return nil, err
		}
		if ok {
			out[name] = file
		}
	}
	return out, nil
}

// sent is an error as the other side of a connection sees it.
func sent(ctx context.Context, err error) error {
	return grpcerrors.FromGRPC(grpcerrors.ToGRPC(ctx, err))
}

type fakeRef struct{ files fstest.MapFS }

func (r *fakeRef) ToState() (llb.State, error)    { return llb.Scratch(), nil }
func (r *fakeRef) Evaluate(context.Context) error { return nil }

func name(p string) string { return path.Join(".", path.Clean("/" + p)[1:]) }

func (r *fakeRef) ReadFile(_ context.Context, req gwclient.ReadRequest) ([]byte, error) {
	dt, err := r.files.ReadFile(name(req.Filename))
	if err != nil {
		return nil, fmt.Errorf("open %s: no such file or directory", req.Filename)
	}
	return dt, nil
}

func (r *fakeRef) StatFile(_ context.Context, req gwclient.StatRequest) (*fstypes.Stat, error) {
	info, err := r.files.Stat(name(req.Path))
	if err != nil {
		return nil, fmt.Errorf("stat %s: no such file or directory", req.Path)
	}
	return stat(info), nil
}

func (r *fakeRef) ReadDir(_ context.Context, req gwclient.ReadDirRequest) ([]*fstypes.Stat, error) {
	entries, err := r.files.ReadDir(name(req.Path))
	if err != nil {
		return nil, fmt.Errorf("open %s: no such file or directory", req.Path)
	}
	var out []*fstypes.Stat
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			return nil, err
		}
		out = append(out, stat(info))
	}
	return out, nil
}

func stat(info fs.FileInfo) *fstypes.Stat {
	return &fstypes.Stat{Path: info.Name(), Mode: uint32(info.Mode()), Size: info.Size()}
}

// sample is a project of testdata in memory.
func sample(t *testing.T, dir string) fstest.MapFS {
	t.Helper()
	files := fstest.MapFS{}
	root := filepath.Join("../testdata", dir)
	err := filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		dt, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, p)
		files[filepath.ToSlash(rel)] = &fstest.MapFile{Data: dt, Mode: 0o644}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func build(t *testing.T, f *fake) (*gwclient.Result, error) {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	return buildWith(t, f, c)
}

func buildWith(t *testing.T, f *fake, c *catalog.Catalog) (*gwclient.Result, error) {
	t.Helper()
	if f.opts == nil {
		f.opts = map[string]string{}
	}
	return frontend.New(frontend.Options{Catalog: c.Opened, Steps: frontend.StepsFromLocal}).Build(t.Context(), f)
}

func TestOneLine(t *testing.T) {
	f := &fake{files: sample(t, "go/hello")}
	f.files["birdhouse.yaml"] = &fstest.MapFile{Data: []byte("language: go\n")}
	res, err := build(t, f)
	if err != nil {
		t.Fatal(err)
	}
	config := string(res.Metadata[exptypes.ExporterImageConfigKey])
	for _, want := range []string{`"User":"65532`, `"Entrypoint":["/app/hello"]`, `"architecture":"amd64"`, `"created":"1970-01-01T00:00:00Z"`} {
		if !strings.Contains(config, want) {
			t.Errorf("the configuration lacks %s: %s", want, config)
		}
	}
	if len(f.solved) != 1 {
		t.Errorf("%d graphs solved for one image", len(f.solved))
	}
}

// A file that the plan only names may be larger than any that it reads.
func TestLargeFile(t *testing.T) {
	f := &fake{files: sample(t, "java/jar")}
	f.files["dist/birds.jar"] = &fstest.MapFile{Data: make([]byte, 64<<20), Mode: 0o644}
	if _, err := build(t, f); err != nil {
		t.Fatal(err)
	}
	delete(f.files, "dist/birds.jar")
	if _, err := build(t, f); err == nil || !strings.Contains(err.Error(), "dist/birds.jar") {
		t.Errorf("without the file: %v", err)
	}
}

// The descriptor has the name the client says, or one of ours.
func TestDescriptorName(t *testing.T) {
	files := sample(t, "go/hello")
	delete(files, "birdhouse.yaml")
	for _, tt := range []struct {
		file, opt string
		ok        bool
	}{
		{"birdhouse.yaml", "", true},
		{"birdhouse.yml", "", true},
		{"Dockerfile", "", true},
		{"deploy/app.yaml", "deploy/app.yaml", true},
		{"birdhouse.yaml", "other.yaml", false},
	} {
		f := &fake{files: fstest.MapFS{}, opts: map[string]string{}}
		for k, v := range files {
			f.files[k] = v
		}
		f.files[tt.file] = &fstest.MapFile{Data: []byte("language: go\n")}
		if tt.opt != "" {
			f.opts["filename"] = tt.opt
		}
		_, err := build(t, f)
		if (err == nil) != tt.ok {
			t.Errorf("descriptor %s, asked for %q: %v", tt.file, tt.opt, err)
		}
		if err != nil && !strings.Contains(err.Error(), "no descriptor: there is no other.yaml") {
			t.Errorf("unclear: %v", err)
		}
	}
}

// Every problem is reported at once, with its place.
func TestProblems(t *testing.T) {
	f := &fake{files: sample(t, "go/hello")}
	f.files["birdhouse.yaml"] = &fstest.MapFile{Data: []byte("language: go\nversoin: 1.26\nexpose: [-1]\n")}
	_, err := build(t, f)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"birdhouse.yaml:2:1", `"versoin"`, `"version"`, "birdhouse.yaml:3:10"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	sources := errdefs.Sources(err)
	if len(sources) != 1 || len(sources[0].Ranges) != 2 {
		t.Fatalf("sources: %+v", sources)
	}
	if len(f.solved) != 0 {
		t.Error("something was built")
	}
	var problems *frontend.ProblemsError
	if !errors.As(err, &problems) || len(problems.Problems) != 2 || !strings.HasPrefix(string(problems.Sources[""]), "language") {
		t.Errorf("the error has no problems: %#v", problems)
	}
}

// A problem in a project file marks that file.
func TestProjectProblem(t *testing.T) {
	f := &fake{files: sample(t, "go/hello")}
	f.files["birdhouse.yaml"] = &fstest.MapFile{Data: []byte("language: go\n")}
	f.files["go.mod"] = &fstest.MapFile{Data: []byte("module example.test/hello\n\nrequire (\n")}
	_, err := build(t, f)
	if err == nil {
		t.Fatal("no error")
	}
	sources := errdefs.Sources(err)
	if len(sources) != 1 || sources[0].Info.Filename != "go.mod" {
		t.Errorf("%v\nsources: %+v", err, sources)
	}
}

func TestBuildArguments(t *testing.T) {
	f := &fake{files: sample(t, "go/hello"), opts: map[string]string{"build-arg:VERSOIN": "1", "build-arg:HTTP_PROXY": "http://proxy.test", "build-arg:BUILDKIT_INLINE_CACHE": "1"}}
	_, err := build(t, f)
	if err == nil || !strings.Contains(err.Error(), `"VERSOIN" is not declared`) || !strings.Contains(err.Error(), `"VERSION"`) {
		t.Errorf("%v", err)
	}
}

func TestTargets(t *testing.T) {
	f := &fake{files: sample(t, "go/hello"), opts: map[string]string{"target": "biuld"}}
	_, err := build(t, f)
	if err == nil || !strings.Contains(err.Error(), `did you mean "build"?`) {
		t.Errorf("%v", err)
	}
	f = &fake{files: sample(t, "go/hello"), opts: map[string]string{"target": "build"}}
	res, err := build(t, f)
	if err != nil {
		t.Fatal(err)
	}
	if c := string(res.Metadata[exptypes.ExporterImageConfigKey]); strings.Contains(c, "Entrypoint") {
		t.Errorf("a stage's result has an entrypoint: %s", c)
	}
}

func TestPlatforms(t *testing.T) {
	f := &fake{files: sample(t, "go/hello"), opts: map[string]string{"platform": "linux/amd64,linux/arm64"}}
	res, err := build(t, f)
	if err != nil {
		t.Fatal(err)
	}
	ids := slices.Sorted(func(yield func(string) bool) {
		for k := range res.Refs {
			if !yield(k) {
				return
			}
		}
	})
	if !slices.Equal(ids, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("built for %v", ids)
	}
	for p, want := range map[string]string{"windows/amd64": "images are for linux only", "linux/riscv64": "there are amd64, arm64"} {
		f := &fake{files: sample(t, "go/hello"), opts: map[string]string{"platform": p}}
		if _, err := build(t, f); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("platform %s: %v", p, err)
		}
	}
}

// An addon that compiles is compiled for another platform where the server runs that
// one's programs, and else named.
func TestEmulation(t *testing.T) {
	f := &fake{files: sample(t, "node/compiled"), opts: map[string]string{"platform": "linux/arm64", "build-arg:BIRDHOUSE_NPM_REGISTRY": "https://npm.test"}}
	f.files["birdhouse.yaml"] = &fstest.MapFile{Data: []byte("language: node\n")}
	if _, err := build(t, f); err == nil || !strings.Contains(err.Error(), "cpu-features may compile native code") || !strings.Contains(err.Error(), "qemu") {
		t.Errorf("without emulation: %v", err)
	}
	f.emulated = []ocispecs.Platform{{OS: "linux", Architecture: "arm64"}, {OS: "linux", Architecture: "riscv64"}}
	if _, err := build(t, f); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, def := range f.solved {
		for _, dt := range def.Def {
			op := &pb.Op{}
			if err := op.UnmarshalVT(dt); err != nil {
				t.Fatal(err)
			}
			if name := def.Metadata[digest.FromBytes(dt).String()].Description["birdhouse.step"]; op.GetExec() != nil && op.Platform.GetArchitecture() == "arm64" {
				names = append(names, name)
			}
		}
	}
	slices.Sort(names)
	if names = slices.Compact(names); !slices.Equal(names, []string{"[prod] npm ci --omit=dev (emulated)"}) {
		t.Errorf("for arm64 run %q", names)
	}
}

// buildx asks for these; a refusal makes it try a Dockerfile frontend instead.
func TestSubrequests(t *testing.T) {
	for request, want := range map[string]string{
		"frontend.outline":              `"description": "a go program on static:13"`,
		"frontend.targets":              `"name": "build"`,
		"frontend.lint":                 `"warnings"`,
		"frontend.subrequests.describe": "frontend.outline",
	} {
		f := &fake{files: sample(t, "go/hello"), opts: map[string]string{"requestid": request, "frontend.caps": "moby.buildkit.frontend.subrequests"}}
		res, err := build(t, f)
		if err != nil {
			t.Errorf("%s: %v", request, err)
			continue
		}
		if got := string(res.Metadata["result.json"]); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s: %s", request, want, got)
		}
		if len(f.solved) != 0 {
			t.Errorf("%s built something", request)
		}
	}
}

// An edit of the descriptor compiles nothing: it is no part of the program.
func TestDescriptorIsNoSource(t *testing.T) {
	f := &fake{files: sample(t, "go/hello")}
	if _, err := build(t, f); err != nil {
		t.Fatal(err)
	}
	var found bool
	for _, dt := range f.solved[0].Def {
		op := &pb.Op{}
		if err := op.UnmarshalVT(dt); err != nil {
			t.Fatal(err)
		}
		if s := op.GetSource(); s != nil && s.Identifier == "local://context" && s.Attrs[pb.AttrIncludePatterns] == "" {
			found = true
			if !strings.Contains(s.Attrs[pb.AttrExcludePatterns], `"birdhouse.yaml"`) {
				t.Errorf("the sources are all but %s", s.Attrs[pb.AttrExcludePatterns])
			}
		}
	}
	if !found {
		t.Error("no sources in the graph")
	}
}

// No secret's content and no machine setting is part of a graph.
// Without a descriptor the message says where it was looked for, without passwords.
func TestNoDescriptorInARepository(t *testing.T) {
	f := &fake{files: fstest.MapFS{"go.mod": {}}, opts: map[string]string{"context": "https://bird:tits@example.test/app.git#main"}}
	_, err := build(t, f)
	if err == nil || !strings.Contains(err.Error(), "Dockerfile in https://xxxxx:xxxxx@example.test/app.git#main; a file") {
		t.Errorf("got %v", err)
	}
	f.opts = map[string]string{"context": "context"}
	if _, err = build(t, f); err == nil || !strings.Contains(err.Error(), "Dockerfile; a file") {
		t.Errorf("got %v", err)
	}
}

// A project has the same files when it comes from a repository: its ignore file
// counts there, too.
func TestIgnoreFileOfARepository(t *testing.T) {
	for _, name := range []string{".dockerignore", "birdhouse.yaml.dockerignore"} {
		f := &fake{files: sample(t, "go/hello"), opts: map[string]string{"context": "https://example.test/app.git#main"}}
		f.files[name] = &fstest.MapFile{Data: []byte("drafts\n!drafts/good\n")}
		if _, err := build(t, f); err != nil {
			t.Fatal(err)
		}
		copies := 0
		for _, def := range f.solved {
			git := map[string]bool{}
			for _, dt := range def.Def {
				op := &pb.Op{}
				if err := op.UnmarshalVT(dt); err != nil {
					t.Fatal(err)
				}
				if s := op.GetSource(); s != nil && strings.HasPrefix(s.Identifier, "git://") {
					git[digest.FromBytes(dt).String()] = true
				}
				for i, in := range op.Inputs {
					if !git[in.Digest] {
						continue
					}
					if op.GetFile() == nil {
						t.Errorf("input %d of %T is the repository as it is", i, op.Op)
						continue
					}
					for _, a := range op.GetFile().Actions {
						copies++
						if got := a.GetCopy().ExcludePatterns; len(got) < 2 || got[0] != "drafts" || got[1] != "!drafts/good" {
							t.Errorf("a copy of the repository leaves out %q", got)
						}
					}
				}
			}
		}
		if copies == 0 {
			t.Errorf("%s: nothing is copied of the repository", name)
		}
	}
}

func TestMirrorIsNoKey(t *testing.T) {
	keys := func(mirror string) []string {
		f := &fake{files: sample(t, "go/hello"), opts: map[string]string{"build-arg:" + frontend.ArgDebianMirror: mirror}}
		if _, err := build(t, f); err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, dt := range f.solved[0].Def {
			op := &pb.Op{}
			if err := op.UnmarshalVT(dt); err != nil {
				t.Fatal(err)
			}
			if s := op.GetSource(); s != nil && strings.HasPrefix(s.Identifier, "http") {
				if s.Attrs[pb.AttrHTTPChecksum] == "" {
					t.Errorf("%s is fetched without a checksum", s.Identifier)
				}
				out = append(out, s.Attrs[pb.AttrHTTPChecksum]+" "+s.Attrs[pb.AttrHTTPFilename])
			}
		}
		slices.Sort(out)
		return out
	}
	a, b := keys("http://one.test/debian"), keys("http://two.test/debian http://two.test/security")
	if len(a) == 0 || !slices.Equal(a, b) {
		t.Errorf("the mirror changes what is fetched: %v, %v", a, b)
	}
}

// What BuildKit says about a failed step, in words of the descriptor.
func TestStepErrors(t *testing.T) {
	other, want := "sha256:"+strings.Repeat("a", 64), "sha256:"+strings.Repeat("b", 64)
	mirror := "http://user:hush@mirror.test/debian"
	for _, test := range []struct {
		name, failing string
		why           error
		wants         []string
	}{
		{"a tool", "go build", &gwpb.ExitError{ExitCode: 3, Err: errors.New("process did not complete successfully: exit code: 3")},
			[]string{"[build] go build . failed with exit code 3\n", ".dockerignore"}},
		{"another package", "fetch media-types", fmt.Errorf("digest mismatch %s: %s", other, want),
			[]string{"fetch media-types", "the checksum does not match", "http://user:xxxxx@mirror.test/debian/pool/", "got  " + other, "want " + want, "`birdhouse catalog update FILE`", "BIRDHOUSE_DEBIAN_MIRROR", "when it was locked"}},
		{"no mirror", "fetch media-types", errors.New("dial tcp: connection refused"),
			[]string{"fetch media-types", "failed: http://user:xxxxx@mirror.test/debian/pool/", "media-types_", ".deb: dial tcp: connection refused", "`birdhouse catalog update FILE`"}},
		{"no file to copy", "layer assets", errors.New(`failed to compute cache key: failed to calculate checksum of ref x::y: "/nope": not found`),
			[]string{`layer assets failed: there is no "nope" in the build context`, ".dockerignore", "symbolic link"}},
		{"anything else", "layer assets", errors.New("no space left on device"), []string{"layer assets failed: no space left on device"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			f := &fake{files: sample(t, "go/hello"), failing: test.failing, why: test.why,
				opts: map[string]string{"build-arg:BIRDHOUSE_DEBIAN_MIRROR": mirror}}
			text := string(f.files["birdhouse.yaml"].Data) + "copy: [nope:/nope]\n"
			f.files["birdhouse.yaml"] = &fstest.MapFile{Data: []byte(text)}
			_, err := build(t, f)
			if err == nil {
				t.Fatal("it was built")
			}
			// The frontend's client sees what comes back through the daemon.
			for _, err := range []error{err, sent(t.Context(), err), sent(t.Context(), fmt.Errorf("more: %w", err))} {
				for _, want := range test.wants {
					if !strings.Contains(err.Error(), want) {
						t.Errorf("the message lacks %q:\n%s", want, err)
					}
				}
				if strings.Contains(err.Error(), "hush") {
					t.Errorf("the message has the mirror's password:\n%s", err)
				}
			}
		})
	}
}

// An installation that fails says which requirement it was.
func TestBlame(t *testing.T) {
	for code, wants := range map[uint32][]string{
		plan.FirstBlame + 1: {"[deps] uv pip install --requirements requirements.txt failed at requirements.txt:2: gunicorn==23.0.0\n", "build: {sdist: [gunicorn]}"},
		plan.FirstBlame + 2: {"failed with exit code 162\n", "build: {sdist: [NAME]}"},
		1:                   {"failed with exit code 1\n", "build: {sdist: [NAME]}"},
	} {
		f := &fake{files: sample(t, "python/flask"), failing: "uv pip install", why: &gwpb.ExitError{ExitCode: code, Err: errors.New("process did not complete successfully")}}
		_, err := build(t, f)
		if err == nil {
			t.Fatal("it was built")
		}
		for _, err := range []error{err, sent(t.Context(), err)} {
			for _, want := range wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("code %d: the message lacks %q:\n%s", code, want, err)
				}
			}
		}
	}
}
