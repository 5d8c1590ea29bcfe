package harness

import (
	"strings"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/tonistiigi/fsutil"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// Base is a request for an image of the catalog.
type Base struct {
	Catalog *catalog.Catalog
	Base    plan.Base
	// Platforms are those of the image: "linux/amd64".
	Platforms []string
	// Check has the image checked.
	Check bool
}

// PushBase builds an image of the catalog on b, pushes it to a registry
// ("127.0.0.1:43210") and returns its name: "127.0.0.1:43210/python:3.13". What it is
// made of comes from where this machine gets it.
func PushBase(t testing.TB, b *BuildKit, registry string, base Base) string {
	t.Helper()
	attrs := map[string]string{"platform": strings.Join(base.Platforms, ","), "build-arg:" + frontend.ArgDebianMirror: Mirror(t)}
	locations, err := catalog.MachineLocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range catalog.LocationKinds {
		if at := locations[k.Name]; at != "" {
			attrs["build-arg:"+k.Argument] = at
		}
	}
	daemon, err := client.New(t.Context(), b.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	ref := registry + "/" + base.Base.String()
	f := frontend.New(frontend.Options{Catalog: base.Catalog.Opened, Steps: frontend.StepsFromLocal})
	_, err = daemon.Build(t.Context(), client.SolveOpt{
		FrontendAttrs: attrs,
		LocalMounts:   map[string]fsutil.FS{frontend.StepsLocal: StepsPrograms(t)},
		Session:       []session.Attachable{SecretProvider(t)},
		Exports: []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{
			"name": ref, "push": "true", "registry.insecure": "true", "oci-mediatypes": "true"}}},
	}, "", f.BuildBase(frontend.BaseImage{Base: base.Base, Check: base.Check}), nil)
	if err != nil {
		t.Fatalf("building base %s: %v", base.Base, err)
	}
	return ref
}
