package golang_test

import (
	"io/fs"
	"testing"

	"github.com/birdhouse-build/birdhouse/langs"
	"github.com/birdhouse-build/birdhouse/langs/golang"
	"github.com/birdhouse-build/birdhouse/langs/internal/plantest"
)

const samples = "../../testdata/go"

// versions are those of a small catalog.
var versions = []string{"1.21.13", "1.24.13", "1.25.11", "1.26.7", "1.26.8", "1.27.3", "1.27.4", "1.28rc1"}

// Of projects and plans.
var files, fact, stage, value = plantest.Files, plantest.Fact, plantest.Stage, plantest.Value

var _ langs.Language = golang.Language{}

// planFor plans an image of a descriptor, "" for its own.
func planFor(t *testing.T, descriptor string, project fs.FS, image string) plantest.Result {
	t.Helper()
	return plantest.For(t, golang.Language{}, versions, descriptor, project, image)
}

func TestSamples(t *testing.T) {
	plantest.Samples(t, samples, 30, func(t *testing.T, descriptor string, project fs.FS) plantest.Result {
		return planFor(t, descriptor, project, "")
	})
}
