// Package builder connects to what builds: BuildKit in this process, or a daemon.
package builder

import (
	"context"
	"fmt"
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
}

// dialing finds the cause in gRPC's message about a connection that was not made.
var dialing = regexp.MustCompile(`desc = "transport: Error while dialing: (.*)"`)

// Connect connects, and starts the engine if it is to build.
func Connect(ctx context.Context, o Options) (*Builder, error) {
	if o.Addr == "" {
		e, err := engine.Open(ctx, o.Engine)
		if err != nil {
			return nil, err
		}
		c, err := e.Client(ctx)
		if err != nil {
			_ = e.Close()
			return nil, err
		}
		return &Builder{c, e}, nil
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
	return &Builder{c, nil}, nil
}

// Close ends the connection and the engine.
func (b *Builder) Close() error {
	err := b.Client.Close()
	if b.engine != nil {
		return b.engine.Close()
	}
	return err
}
