package frontend

import (
	"context"
	"errors"
	"fmt"

	"github.com/moby/buildkit/client/llb"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// StepsFunc returns a state that has the steps program for the platform at
// /steps. Whichever it is, the file is copied onto scratch, so that its content
// alone is the key of what it makes: docker and the birdhouse command share
// cache entries, and a new frontend does not rebuild bases.
type StepsFunc func(ctx context.Context, c gwclient.Client, build ocispecs.Platform) (llb.State, error)

// StepsLocal is the name of the local directory in which the birdhouse command
// offers the steps programs, as StepsFile names them.
const StepsLocal = "birdhouse-steps"

// StepsFile is the name of the steps program for an architecture in StepsLocal.
func StepsFile(arch string) string { return "steps_linux_" + arch }

// StepsFromLocal takes the steps program from the client's StepsLocal.
func StepsFromLocal(_ context.Context, c gwclient.Client, build ocispecs.Platform) (llb.State, error) {
	file := StepsFile(build.Architecture)
	st := llb.Local(StepsLocal,
		llb.SessionID(c.BuildOpts().SessionID),
		llb.IncludePatterns([]string{file}),
		llb.SharedKeyHint(StepsLocal+"-"+build.Architecture),
		llb.WithCustomName("[internal] load the steps program"))
	return birdllb.StepsProgram(st, "/"+file, build), nil
}

// StepsFromFrontendImage takes the steps program from the frontend's own image,
// where it lies at /steps.
func StepsFromFrontendImage(_ context.Context, c gwclient.Client, build ocispecs.Platform) (llb.State, error) {
	if cf, ok := c.(interface {
		CurrentFrontend() (*llb.State, error)
	}); ok {
		st, err := cf.CurrentFrontend()
		if err != nil {
			return llb.Scratch(), fmt.Errorf("finding the frontend's own image: %w", err)
		}
		if st != nil {
			return birdllb.StepsProgram(*st, "/steps", build), nil
		}
	}
	// Servers before BuildKit 0.12 do not tell a frontend which image it is;
	// they do tell under which name it was asked for.
	ref := c.BuildOpts().Opts["source"]
	if ref == "" {
		return llb.Scratch(), errors.New("finding the frontend's own image: the server names none")
	}
	return birdllb.StepsProgram(llb.Image(ref, llb.Platform(build), llb.WithCustomName("[internal] load the steps program")), "/steps", build), nil
}
