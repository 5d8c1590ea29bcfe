// Package builder connects to what builds: BuildKit in this process, or a daemon.
package builder

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"

	"github.com/moby/buildkit/client"
	// The address schemes of buildctl.
	_ "github.com/moby/buildkit/client/connhelper/dockercontainer"
	_ "github.com/moby/buildkit/client/connhelper/kubepod"
	_ "github.com/moby/buildkit/client/connhelper/nerdctlcontainer"
	_ "github.com/moby/buildkit/client/connhelper/podmancontainer"
	_ "github.com/moby/buildkit/client/connhelper/ssh"

	"github.com/birdhouse-build/birdhouse/engine"
)

// Options say which builder.
type Options struct {
	// Addr is a daemon's address, as buildctl takes it; "" is this process.
	Addr string
	// ServerName, CACert, Cert and Key are for TLS to the daemon; may be empty.
	ServerName, CACert, Cert, Key string
	// Engine is for the builder in this process.
	Engine engine.Options
}

// Builder is a connection.
type Builder struct {
	*client.Client
	engine *engine.Engine
	// tidy ends what tempFolder began.
	tidy func()
}

// dialing finds the cause in gRPC's message about a connection that was not made.
var dialing = regexp.MustCompile(`desc = "transport: Error while dialing: (.*)"`)

// Connect connects, and starts the engine if it is to build.
func Connect(ctx context.Context, o Options) (*Builder, error) {
	if o.Addr == "" {
		tidy, err := tempFolder()
		if err != nil {
			return nil, err
		}
		e, err := engine.Open(ctx, o.Engine)
		if err != nil {
			tidy()
			return nil, err
		}
		c, err := e.Client(ctx)
		if err != nil {
			_ = e.Close()
			tidy()
			return nil, err
		}
		return &Builder{c, e, tidy}, nil
	}
	var opts []client.ClientOpt
	if o.CACert != "" {
		opts = append(opts, client.WithServerConfig(o.ServerName, o.CACert))
	} else if o.ServerName != "" {
		opts = append(opts, client.WithServerConfigSystem(o.ServerName))
	}
	if o.Cert != "" || o.Key != "" {
		opts = append(opts, client.WithCredentials(o.Cert, o.Key))
	}
	c, err := client.New(ctx, o.Addr, opts...)
	if err != nil {
		return nil, fmt.Errorf("connecting to BuildKit at %s: %w", o.Addr, err)
	}
	if _, err := c.Info(ctx); err != nil {
		_ = c.Close()
		if m := dialing.FindStringSubmatch(err.Error()); m != nil {
			err = fmt.Errorf("%s; is buildkitd running there?", m[1])
		}
		return nil, fmt.Errorf("connecting to BuildKit at %s: %w", o.Addr, err)
	}
	return &Builder{Client: c}, nil
}

// tempFolder gives this process a folder of its own for temporary files: BuildKit
// does not remove all of its own, such as the folder of each SSH socket. What it
// returns removes the folder. Its path is short, as a socket's has to be.
func tempFolder() (tidy func(), err error) {
	const variable = "TMPDIR"
	before, set := os.LookupEnv(variable)
	dir, err := os.MkdirTemp("", "birdhouse-")
	if err != nil {
		return nil, fmt.Errorf("making a folder for temporary files: %w; TMPDIR names another place for it", err)
	}
	err = os.Setenv(variable, dir)
	return func() {
		if set {
			_ = os.Setenv(variable, before)
		} else {
			_ = os.Unsetenv(variable)
		}
		// One by one, and no folder with something in it: what could not be
		// unmounted is a part of the cache.
		left, _ := os.ReadDir(dir)
		for _, entry := range left {
			_ = os.Remove(filepath.Join(dir, entry.Name()))
		}
		_ = os.Remove(dir)
	}, err
}

// Close ends the connection and the engine.
func (b *Builder) Close() error {
	err := b.Client.Close()
	if b.engine != nil {
		err = b.engine.Close()
		b.tidy()
	}
	return err
}
