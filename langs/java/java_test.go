package java

import (
	"io/fs"
	"testing"

	"github.com/birdhouse-build/birdhouse/langs/internal/plantest"
)

// versions are those of the tests' catalog.
var versions = []string{"17", "21", "25"}

func planFor(t *testing.T, descriptor string, project fs.FS) plantest.Result {
	t.Helper()
	return plantest.For(t, Language{}, versions, descriptor, project, "")
}

func TestSamples(t *testing.T) {
	plantest.Samples(t, "../../testdata/java", 8, planFor)
}
