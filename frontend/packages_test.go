package frontend_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/solver/errdefs"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/apicaps"
	dockerspec "github.com/moby/docker-image-spec/specs-go/v1"
	digest "github.com/opencontainers/go-digest"

	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/image/note"
	"github.com/birdhouse-build/birdhouse/steps/layer"
	"github.com/birdhouse-build/birdhouse/steps/resolve"
)

// found is an answer with these packages: "amd64 libsqlite3-0 3.46.1-7 !", with
// the mark for those that were asked for.
func found(packages ...string) string {
	var r resolve.Result
	for _, p := range packages {
		f := strings.Fields(p)
		sum := string(digest.FromString(p).Encoded())
		r.Packages = append(r.Packages, resolve.Package{
			Name: f[1], Version: f[2], Architecture: f[0], Archive: "debian-security", Path: "pool/" + f[1] + "_" + f[0] + ".deb", SHA256: sum, Size: 1, Asked: len(f) > 3,
		})
	}
	data, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// op is an operation with what progress calls it.
type op struct {
	*pb.Op
	name, step string
	places     []*pb.Location
}

func ops(t *testing.T, def *pb.Definition) []op {
	t.Helper()
	var out []op
	for _, dt := range def.Def {
		o := op{Op: &pb.Op{}}
		if err := o.UnmarshalVT(dt); err != nil {
			t.Fatal(err)
		}
		dgst := digest.FromBytes(dt).String()
		description := def.Metadata[dgst].GetDescription()
		o.name, o.step = description["llb.customname"], description["birdhouse.step"]
		o.places = def.Source.GetLocations()[dgst].GetLocations()
		out = append(out, o)
	}
	return out
}

// written is the content of the only file that operations of a name write.
func written(t *testing.T, list []op, name string, into any) {
	t.Helper()
	for _, o := range list {
		if o.name == name {
			if err := json.Unmarshal(o.GetFile().Actions[0].GetMkfile().Data, into); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no operation %q", name)
}

func packagesProject(t *testing.T) *fake {
	t.Helper()
	return &fake{files: sample(t, "go/packages"), opts: map[string]string{}, answers: map[string]string{
		"packages for libsqlite3-0":   found("all sqlite-data 1", "amd64 libsqlite3-0 3.46.1-7+deb13u1 !", "amd64 libz 2"),
		"packages for libsqlite3-dev": found("amd64 libsqlite3-0 3.46.1-7", "amd64 libsqlite3-dev 3.46.1-7 !"),
	}}
}

func TestPackages(t *testing.T) {
	for _, without := range [][]apicaps.CapID{nil, {pb.CapMergeOp, pb.CapDiffOp}} {
		f := packagesProject(t)
		f.without = without
		res, err := build(t, f)
		if err != nil {
			t.Fatal(err)
		}
		if len(f.warnings) != 0 {
			t.Errorf("warnings: %q", f.warnings)
		}
		// One graph for each list of packages, one for the image.
		if len(f.solved) != 3 {
			t.Fatalf("%d graphs solved", len(f.solved))
		}
		for i, want := range []struct {
			base, names string
			line        int32
		}{{"cc:13", "libsqlite3-0", 6}, {"go:", "libsqlite3-dev", 5}} {
			list := ops(t, f.solved[i])
			var steps, indices int
			for _, o := range list {
				if o.GetExec() != nil {
					steps++
					if !strings.HasPrefix(o.name, "[base "+want.base) || !strings.HasSuffix(o.name, "find the packages for "+want.names) {
						t.Errorf("the step is called %q", o.name)
					}
					if o.GetExec().Network != pb.NetMode_NONE || o.Platform.Architecture != "amd64" {
						t.Errorf("%s: network %s on %s", o.name, o.GetExec().Network, o.Platform.Architecture)
					}
					if len(o.places) != 1 || o.places[0].Ranges[0].Start.Line != want.line {
						t.Errorf("%s is placed at %v, not on line %d", o.name, o.places, want.line)
					}
				}
				if s := o.GetSource(); s != nil && strings.Contains(s.Identifier, "/by-hash/SHA256/") {
					indices++
					sum := strings.TrimPrefix(s.Attrs[pb.AttrHTTPChecksum], "sha256:")
					if !strings.HasSuffix(s.Identifier, sum) || sum == "" {
						t.Errorf("the index %s has the checksum %q", s.Identifier, sum)
					}
				}
			}
			if steps != 1 || indices != 3 {
				t.Errorf("%d steps and %d indices for %s", steps, indices, want.names)
			}
			var spec resolve.Spec
			for _, o := range list {
				if strings.HasSuffix(o.name, "write the names of packages") {
					written(t, list, o.name, &spec)
				}
			}
			if fmt.Sprint(spec.Names) != "["+want.names+"]" || len(spec.Machine.Indices) != 3 || spec.Target != nil || !slices.Contains(spec.Without, "debconf") {
				t.Errorf("the specification is %+v", spec)
			}
			if !slices.ContainsFunc(spec.Machine.Have, func(h resolve.Have) bool { return h.Name == "libc6" && h.Version != "" }) {
				t.Errorf("%s has no libc6: %v", want.base, spec.Machine.Have)
			}
		}

		list := ops(t, f.solved[2])
		var unpack layer.Spec
		written(t, list, "[base cc:13] write the list of packages", &unpack)
		if len(unpack.Packages) != 3 || !unpack.Lower || !slices.Contains(unpack.Exclude, "usr/share/man/**") {
			t.Errorf("the layer is %+v", unpack)
		}
		if !slices.ContainsFunc(list, func(o op) bool {
			s := o.GetSource()
			return s != nil && strings.Contains(s.Identifier, "/debian-security/") && strings.HasSuffix(s.Identifier, "/pool/libsqlite3-0_amd64.deb")
		}) {
			t.Error("the package is not fetched from its archive")
		}
		// What is in the image's graph is in a cache that is exported.
		for _, names := range []string{"libsqlite3-0", "libsqlite3-dev"} {
			if !slices.ContainsFunc(list, func(o op) bool { return strings.HasSuffix(o.name, "find the packages for "+names) }) {
				t.Errorf("the image's graph does not have the search for %s", names)
			}
		}
		var config dockerspec.DockerOCIImage
		if err := json.Unmarshal(res.Metadata[exptypes.ExporterImageConfigKey], &config); err != nil {
			t.Fatal(err)
		}
		var notes []string
		for _, h := range config.History {
			if n, ok := note.Parse(h); ok {
				notes = append(notes, n.Name+": "+n.What)
			}
		}
		if len(notes) != 5 || notes[3] != "packages: libsqlite3-0 3.46.1, with sqlite-data, libz" || !strings.HasPrefix(notes[4], "application") {
			t.Errorf("the layers are %q", notes)
		}
	}
}

// What the base has already is no layer.
func TestPackagesThatAreThere(t *testing.T) {
	f := packagesProject(t)
	f.answers["packages for libsqlite3-0"] = found()
	if _, err := build(t, f); err != nil {
		t.Fatal(err)
	}
	for _, o := range ops(t, f.solved[2]) {
		if strings.Contains(o.name, "[base cc:13] unpack packages") {
			t.Errorf("%q for no packages", o.name)
		}
	}
}

// For another architecture the image's packages are that one's, and so are the
// libraries of the build.
func TestPackagesForAnotherArchitecture(t *testing.T) {
	f := packagesProject(t)
	f.opts["platform"] = "linux/arm64"
	f.files["birdhouse.yaml"] = &fstest.MapFile{Data: []byte("language: go\npackages: [libsqlite3-0]\nbuild: {cgo: true, packages: [libsqlite3-dev]}\n")}
	f.answers["packages for libsqlite3-0"] = found("arm64 libsqlite3-0 3.46.1-7 !")
	f.answers["packages for libsqlite3-dev"] = found("amd64 libtool 1", "arm64 libsqlite3-dev 3.46.1-7 !")
	if _, err := build(t, f); err != nil {
		t.Fatal(err)
	}
	if len(f.solved) != 3 {
		t.Fatalf("%d graphs solved", len(f.solved))
	}
	targets := map[string]int{}
	for _, def := range f.solved[:2] {
		list := ops(t, def)
		for _, o := range list {
			if !strings.HasSuffix(o.name, "write the names of packages") {
				continue
			}
			var spec resolve.Spec
			written(t, list, o.name, &spec)
			key := spec.Machine.Architecture
			if spec.Target != nil {
				key += " for " + spec.Target.Architecture
				if !slices.ContainsFunc(spec.Target.Have, func(h resolve.Have) bool { return h.Name == "libc6-dev" }) {
					t.Errorf("the cross compiler has no libc6-dev: %v", spec.Target.Have)
				}
			}
			targets[key+" "+spec.Names[0]]++
		}
	}
	if fmt.Sprint(targets) != "map[amd64 for arm64 libsqlite3-dev:1 arm64 libsqlite3-0:1]" {
		t.Errorf("what was looked for: %v", targets)
	}
	unpacked := map[string]int{}
	for _, o := range ops(t, f.solved[2]) {
		if o.GetExec() != nil && strings.Contains(o.name, "unpack packages") {
			unpacked[o.name]++
			if o.Platform.Architecture != "amd64" {
				t.Errorf("%s runs on %s", o.name, o.Platform.Architecture)
			}
		}
	}
	if len(unpacked) == 0 {
		t.Error("no packages are unpacked")
	}
}

// What cannot be had is marked where it is asked for, all at once.
func TestPackageProblems(t *testing.T) {
	f := packagesProject(t)
	f.files["birdhouse.yaml"] = &fstest.MapFile{Data: []byte("language: go\nbuild: {cgo: true}\npackages:\n  - libsqlite3-0\n  - libsqlite\n  - libpq4\n")}
	f.answers = map[string]string{"packages for libpq4, libsqlite, libsqlite3-0": `{"problems":[
		{"name":"libpq4","text":"the archive has no package \"libpq4\" for amd64","instead":["libpq5"]},
		{"name":"libsqlite","text":"x","instead":["a","b","c"]},
		{"text":"they need 1001 packages"}]}`}
	_, err := build(t, f)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`birdhouse.yaml:6:5: packages: the archive has no package "libpq4" for amd64`, "did you mean libpq5?",
		"birdhouse.yaml:5:5: packages: x", "did you mean a, b or c?", "birdhouse.yaml:4:3: packages: they need 1001 packages",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
	if sources := errdefs.Sources(err); len(sources) != 1 || len(sources[0].Ranges) != 3 {
		t.Errorf("sources: %+v", sources)
	}
	var problems *frontend.ProblemsError
	if !errors.As(err, &problems) {
		t.Errorf("%T is no list of problems", err)
	}
}

// A choice that the step made is told once, whatever number of platforms.
func TestPackageChoice(t *testing.T) {
	f := packagesProject(t)
	f.answers["packages for libsqlite3-0"] = strings.TrimSuffix(found("all data 1"), "}") +
		`,"choices":[{"name":"libsqlite3-0","neededBy":"mutt","virtual":"mail-transport-agent","taken":"exim4","of":["exim4","postfix"]}]}`
	f.opts["platform"] = "linux/amd64,linux/arm64"
	if _, err := build(t, f); err != nil {
		t.Fatal(err)
	}
	want := "packages: mutt needs mail-transport-agent, which several packages provide: exim4 is taken"
	if len(f.warnings) != 1 || f.warnings[0] != want {
		t.Errorf("warnings: %q", f.warnings)
	}
}

// The answer comes out of a container: it is believed no more than a lock.
func TestPackageAnswersThatAreWrong(t *testing.T) {
	for name, tt := range map[string]struct{ answer, want string }{
		"no JSON":              {"{", "reading the list of packages found"},
		"an unknown field":     {`{"package":[]}`, `unknown field "package"`},
		"a path that leaves":   {strings.Replace(found("amd64 aa 1"), `"pool/`, `"../`, 1), "is not a path in the archive"},
		"another archive":      {strings.Replace(found("amd64 aa 1"), "debian-security", "evil", 1), "is not an archive"},
		"another architecture": {found("s390x aa 1"), "s390x"},
		"no checksum":          {strings.Replace(found("amd64 aa 1"), `"sha256":"`, `"sha256":"zz`, 1), "is not a SHA-256 checksum"},
		"too large":            {strings.Repeat(" ", 5<<20), "more than 4194304 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			f := packagesProject(t)
			f.answers["packages for libsqlite3-0"] = tt.answer
			if _, err := build(t, f); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("the error is %v, want %q", err, tt.want)
			}
		})
	}
}

// An index that is gone says how old the lock is and what to do.
func TestPackageIndexIsGone(t *testing.T) {
	f := packagesProject(t)
	f.failing, f.why = "fetch the list of packages of trixie-security", fmt.Errorf("invalid response status 404")
	_, err := build(t, f)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"invalid response status 404", "when the catalog was locked", "birdhouse catalog update", "--build-arg BIRDHOUSE_DEBIAN_MIRROR="} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %q:\n%v", want, err)
		}
	}
}
