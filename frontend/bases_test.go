package frontend_test

import (
	"errors"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/solver/pb"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

const (
	publishedPrefix = "registry.test/bases"
	publishedDigest = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	// runConfig and buildConfig are what published images say.
	runConfig   = `{"os":"linux","architecture":"amd64","config":{"User":"65532","Env":["PATH=/bin"]},"history":[{"created_by":"birdhouse: static (rarely)"}]}`
	buildConfig = `{"os":"linux","architecture":"amd64","config":{"User":"0","Env":["PATH=/usr/local/go/bin:/bin","HOME=/root"]}}`
)

// published is the catalog with images that are to be had in a registry, and what
// that answers.
func published(t *testing.T, refs map[string]string) (*catalog.Catalog, map[string]string) {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	p := &catalog.Published{Prefix: publishedPrefix, Images: map[string]string{}}
	registry := map[string]string{}
	for ref, config := range refs {
		p.Images[ref] = publishedDigest
		registry[publishedPrefix+"/"+ref+"@"+publishedDigest] = config
	}
	defs, err := catalog.Definitions()
	if err != nil {
		t.Fatal(err)
	}
	with, err := catalog.New(defs, c.Lock().WithPublished(p))
	if err != nil {
		t.Fatal(err)
	}
	return with, registry
}

// graph is what was solved: the sources, and the names of all steps.
type graph struct {
	sources, steps []string
}

func graphOf(t *testing.T, f *fake) graph {
	t.Helper()
	var g graph
	for _, def := range f.solved {
		for _, meta := range def.Metadata {
			g.steps = append(g.steps, meta.GetDescription()["llb.customname"])
		}
		for _, dt := range def.Def {
			op := &pb.Op{}
			if err := op.UnmarshalVT(dt); err != nil {
				t.Fatal(err)
			}
			if s := op.GetSource(); s != nil {
				g.sources = append(g.sources, s.Identifier)
			}
		}
	}
	return g
}

func has(list []string, part string) bool {
	return slices.ContainsFunc(list, func(s string) bool { return strings.Contains(s, part) })
}

// goVersion is the Go that a project of the samples is built with.
func goVersion(t *testing.T, c *catalog.Catalog) string {
	t.Helper()
	versions := c.Versions("go")
	return versions[len(versions)-1]
}

// A published base is the registry's, by its digest, and nothing of it is made anew;
// what the catalog does not say to be published is made as ever.
func TestPublishedBases(t *testing.T) {
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	toolchain := "go:" + goVersion(t, c) + "-build"
	for _, tt := range []struct {
		name       string
		refs       map[string]string
		only       map[string][]string
		has, lacks []string
	}{
		{"nothing is", nil, nil, []string{"fetch tzdata", "install go"}, []string{"docker-image://"}},
		{"the run image is", map[string]string{"static:13": runConfig}, nil,
			[]string{"docker-image://" + publishedPrefix + "/static:13@" + publishedDigest, "install go"}, nil},
		{"both are", map[string]string{"static:13": runConfig, toolchain: buildConfig}, nil,
			[]string{"docker-image://" + publishedPrefix + "/" + toolchain + "@" + publishedDigest}, []string{"fetch tzdata", "install go"}},
		{"the build image is for another machine", map[string]string{"static:13": runConfig, toolchain: buildConfig}, map[string][]string{toolchain: {"arm64"}, "static:13": {"amd64"}},
			[]string{"docker-image://" + publishedPrefix + "/static:13@" + publishedDigest, "install go"}, []string{publishedPrefix + "/" + toolchain}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{files: sample(t, "go/deps")}
			with := c
			if tt.refs != nil {
				with, f.registry = published(t, tt.refs)
				with.Lock().Published.Only = tt.only
			}
			res, err := buildWith(t, f, with)
			if err != nil {
				t.Fatal(err)
			}
			g := graphOf(t, f)
			all := slices.Concat(g.sources, g.steps)
			for _, want := range tt.has {
				if !has(all, want) {
					t.Errorf("there is no %q in\n%s", want, strings.Join(all, "\n"))
				}
			}
			for _, lacks := range tt.lacks {
				if has(all, lacks) {
					t.Errorf("there is %q", lacks)
				}
			}
			if config := string(res.Metadata[exptypes.ExporterImageConfigKey]); !strings.Contains(config, "birdhouse: static (rarely)") {
				t.Errorf("the history does not begin with the base's: %s", config)
			}
		})
	}
}

// The sets that a build asks for are on a base that is published, or that the user
// gave, as well as on the catalog's own.
func TestSetsOnOtherBases(t *testing.T) {
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	toolchain := "go:" + goVersion(t, c) + "-build"
	wanted := func(t *testing.T, f *fake) {
		t.Helper()
		g := graphOf(t, f)
		for _, want := range []string{"fetch git ", "fetch busybox-static ", "unpack git ("} {
			if !has(g.steps, want) {
				t.Errorf("the build asks for git, and there is no %q in\n%s", want, strings.Join(g.steps, "\n"))
			}
		}
		if has(g.steps, "install go") {
			t.Error("the toolchain is installed, which the base has")
		}
	}
	t.Run("published", func(t *testing.T) {
		f := &fake{files: sample(t, "go/private")}
		with, registry := published(t, map[string]string{"static:13": runConfig, toolchain: buildConfig})
		f.registry = registry
		if _, err := buildWith(t, f, with); err != nil {
			t.Fatal(err)
		}
		wanted(t, f)
	})
	t.Run("given", func(t *testing.T) {
		const given = "registry.test/own/go:1"
		f := &fake{
			files:    sample(t, "go/private"),
			opts:     map[string]string{"context:" + toolchain: "docker-image://" + given},
			registry: map[string]string{given: buildConfig},
		}
		if _, err := build(t, f); err != nil {
			t.Fatal(err)
		}
		if g := graphOf(t, f); !has(g.sources, given) {
			t.Errorf("the base that was given is not used: %q", g.sources)
		}
		wanted(t, f)
	})
	// The user's own comes before a published one.
	t.Run("given and published", func(t *testing.T) {
		const given = "registry.test/own/static:1"
		f := &fake{files: sample(t, "go/deps"), opts: map[string]string{"context:static:13": "docker-image://" + given}}
		with, registry := published(t, map[string]string{"static:13": runConfig})
		f.registry = registry
		f.registry[given] = runConfig
		if _, err := buildWith(t, f, with); err != nil {
			t.Fatal(err)
		}
		if g := graphOf(t, f); !has(g.sources, given) || has(g.sources, publishedPrefix) {
			t.Errorf("the sources are %q", g.sources)
		}
	})
}

// A registry that does not have what the lock says is an error that names the image.
func TestPublishedBaseIsGone(t *testing.T) {
	with, _ := published(t, map[string]string{"static:13": runConfig})
	_, err := buildWith(t, &fake{files: sample(t, "go/deps")}, with)
	if err == nil || !strings.Contains(err.Error(), "base static:13 where it is published: no registry here") {
		t.Errorf("got %v", err)
	}
}

// A base image by itself has a result, a configuration, annotations and the list of
// its parts for every platform.
func TestBuildBase(t *testing.T) {
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{opts: map[string]string{"platform": "linux/amd64,linux/arm64"}}
	request := frontend.BaseImage{
		Base:     plan.Base{Image: "static", Version: "13"},
		Index:    map[string]string{"org.opencontainers.image.title": "static:13"},
		Manifest: func(arch string) map[string]string { return map[string]string{"for": arch} },
		SBOM:     func(arch string) ([]byte, error) { return []byte("sbom of " + arch), nil },
	}
	res, err := frontend.New(frontend.Options{Catalog: c.Opened, Steps: frontend.StepsFromLocal}).BuildBase(request)(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(res.Refs)); !slices.Equal(got, []string{"linux/amd64", "linux/arm64"}) {
		t.Errorf("results for %q", got)
	}
	for key, want := range map[string]string{
		"annotation-index.org.opencontainers.image.title": "static:13",
		"annotation-manifest[linux/amd64].for":            "amd64",
		"annotation-manifest[linux/arm64].for":            "arm64",
	} {
		if got := string(res.Metadata[key]); got != want {
			t.Errorf("%s is %q, want %q; there is %q", key, got, want, slices.Sorted(maps.Keys(res.Metadata)))
		}
	}
	for _, p := range []string{"linux/amd64", "linux/arm64"} {
		config := string(res.Metadata[exptypes.ExporterImageConfigKey+"/"+p])
		for _, want := range []string{`"User":"65532"`, `"created":"1970-01-01T00:00:00Z"`, "birdhouse: static (rarely)"} {
			if !strings.Contains(config, want) {
				t.Errorf("%s: the configuration lacks %s: %s", p, want, config)
			}
		}
		// A label would be inherited by the images of applications.
		if strings.Contains(config, "org.opencontainers") {
			t.Errorf("%s: the configuration has labels: %s", p, config)
		}
		if a := res.Attestations[p]; len(a) != 1 || a[0].Kind != gwpb.AttestationKind_InToto || a[0].InToto.PredicateType != frontend.PredicateSPDX {
			t.Errorf("%s: attestations %+v", p, a)
		}
	}

	// Checks are solved beside the image, and one that fails leaves no result.
	request.Check = true
	if _, err := frontend.New(frontend.Options{Catalog: c.Opened, Steps: frontend.StepsFromLocal}).BuildBase(request)(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	if g := graphOf(t, f); !has(g.steps, "look through its files") {
		t.Errorf("nothing looks through the files: %q", g.steps)
	}
	failing := &fake{opts: f.opts, failing: "look through its files", why: errors.New("a setuid file")}
	if _, err := frontend.New(frontend.Options{Catalog: c.Opened, Steps: frontend.StepsFromLocal}).BuildBase(request)(t.Context(), failing); err == nil || !strings.Contains(err.Error(), "a setuid file") {
		t.Errorf("the check that failed gave %v", err)
	}
	request.Check = false
	request.SBOM = func(string) ([]byte, error) { return nil, io.ErrUnexpectedEOF }
	if _, err := frontend.New(frontend.Options{Catalog: c.Opened, Steps: frontend.StepsFromLocal}).BuildBase(request)(t.Context(), f); err == nil {
		t.Error("an image was made without the list of its parts")
	}
}
