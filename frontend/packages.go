package frontend

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/moby/buildkit/client/llb"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"

	"github.com/birdhouse-build/birdhouse/langs/spec"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
	"github.com/birdhouse-build/birdhouse/steps/resolve"
)

// readFile builds a state and reads a file of it: llb.ReadFunc.
func (b *build) readFile(ctx context.Context, st llb.State, name string, limit int) ([]byte, error) {
	ref, err := b.evaluate(ctx, st)
	if err != nil {
		return nil, err
	}
	data, err := ref.ReadFile(ctx, gwclient.ReadRequest{Filename: name, Range: &gwclient.FileRange{Length: limit + 1}})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", name, err)
	}
	if len(data) > limit {
		return nil, fmt.Errorf("reading %s: it has more than %d bytes", name, limit)
	}
	return data, nil
}

// packageProblems turns packages that cannot be had into problems of the
// descriptor, each at the name that asked for it; other errors stay.
func (b *build) packageProblems(err error) error {
	var e *birdllb.PackagesError
	if !errors.As(err, &e) {
		return err
	}
	var problems spec.Problems
	for _, p := range e.Problems {
		hint := ""
		if len(p.Instead) > 0 {
			hint = "did you mean " + either(p.Instead) + "?"
		}
		problems = append(problems, b.spec.Problem(b.packagePath(e.Asked, p.Name), e.Asked+": "+p.Text, hint))
	}
	return b.problemError(problems)
}

// either is a choice between names, cut when it is long.
func either(names []string) string {
	const most = 10
	if len(names) == 1 {
		return names[0]
	}
	if len(names) > most {
		return strings.Join(names[:most], ", ") + " or another"
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// packagePath is the path of the entry that names a package, of the whole list
// when none does.
func (b *build) packagePath(asked, name string) string {
	names := b.spec.Packages
	if asked == "build.packages" {
		names = b.spec.Build.Packages
	}
	if i := slices.Index(names, name); i >= 0 {
		return fmt.Sprintf("%s[%d]", asked, i)
	}
	return asked
}

// chosen returns a function that warns of each choice between packages once: a
// base is made for several platforms and stages.
func (b *build) chosen(ctx context.Context) func(asked string, c resolve.Choice) {
	var mu sync.Mutex
	told := map[string]bool{}
	return func(asked string, c resolve.Choice) {
		message := fmt.Sprintf("%s: %s needs %s, which several packages provide: %s is taken", asked, c.NeededBy, c.Virtual, c.Taken)
		mu.Lock()
		known := told[message]
		told[message] = true
		mu.Unlock()
		if !known {
			b.warnOf(ctx, b.spec.Warning(b.packagePath(asked, c.Name), message, "for another one, name it as well: "+either(c.Of)))
		}
	}
}
