// Command frontend is the entry point of the frontend image: BuildKit starts it
// for a descriptor whose syntax line names that image, and speaks the gateway
// protocol with it on its standard input and output.
package main

import (
	"fmt"
	"os"
	"runtime/debug"

	"github.com/moby/buildkit/frontend/gateway/grpcclient"
	"github.com/moby/buildkit/util/appcontext"
	_ "github.com/moby/buildkit/util/grpcutil/encoding/proto"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/frontend"
)

// lockPath is the catalog's lock in the frontend image. The one that is built into
// other programs is not in this one.
const lockPath = "/catalog.lock"

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "birdhouse: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	// This process lives for one build and ends before it has used much.
	debug.SetGCPercent(800)
	opening := catalog.Opening(func() (*catalog.Catalog, error) { return catalog.Open(lockPath) })
	f := frontend.New(frontend.Options{Catalog: opening, Steps: frontend.StepsFromFrontendImage})
	return grpcclient.RunFromEnvironment(appcontext.Context(), f.Build)
}
