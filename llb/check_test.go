package llb_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/checks"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// realCatalog makes the images of the catalog that is built in.
func realCatalog(t *testing.T) *birdllb.Catalog {
	t.Helper()
	c, err := catalog.Default()
	if err != nil {
		t.Fatal(err)
	}
	return &birdllb.Catalog{
		Catalog:   c,
		Mirror:    catalog.Mirror{Debian: "http://mirror.test/debian", Security: "http://mirror.test/security"},
		Locations: catalog.Locations{"nodejs": "http://node.test", "npm": "http://npm.test"},
		Options:   birdllb.Options{Steps: llb.Image("registry.test/steps"), Caps: caps(), Build: amd64, Epoch: epoch},
	}
}

// Every image of the catalog is looked through on every platform, and started on
// the machine's own.
func TestEveryImageIsChecked(t *testing.T) {
	c := realCatalog(t)
	rules, err := checks.Read()
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range c.Catalog.Bases() {
		if _, ok := rules.Probe(b.Image, b.Variant); !ok {
			t.Errorf("%s: catalog/checks/checks.yaml has no probe for it", b)
			continue
		}
		for _, p := range []ocispecs.Platform{amd64, arm64} {
			states, err := c.Checks(context.Background(), b, p)
			if err != nil {
				t.Errorf("%s: %v", b, err)
				continue
			}
			text := dump(t, states[0])
			if !strings.Contains(text, `"check" "--root"`) {
				t.Errorf("%s for %s is not looked through:\n%s", b, p.Architecture, text)
			}
			other := p.Architecture != c.Build.Architecture
			if other != strings.Contains(text, "it is not started: this machine is linux/amd64") {
				t.Errorf("%s for %s: is it said whether it is started?\n%s", b, p.Architecture, text)
			}
			if other != (len(states) == 1) && !strings.Contains(text, "has nothing to compile") {
				t.Errorf("%s for %s: %d checks", b, p.Architecture, len(states))
			}
			if len(states) == 1 {
				continue
			}
			text = dump(t, states[1])
			_, start, ok := strings.Cut(text, "] start it")
			if !ok || !regexp.MustCompile(`(?s)^\n    args "/run/birdhouse/steps" "smoke" .*\n    user 65532\n.*    network none\n    mount / from [0-9.]+ read-only\n.*mount /tmp tmpfs`).MatchString(start) {
				t.Errorf("%s is not started as it should be:\n%s", b, text)
			}
		}
	}
}
