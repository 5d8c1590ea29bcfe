package engine

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/moby/buildkit/executor"
	resourcestypes "github.com/moby/buildkit/executor/resources/types"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/network"
)

// hostNetwork is an executor that says "host" where a step names no network.
// It is the host's either way; but only by that name does it get the host's
// name servers when they listen on loopback, as systemd-resolved's and
// dnsmasq's do. Without it they are replaced with public ones.
type hostNetwork struct{ executor.Executor }

func (h hostNetwork) Run(ctx context.Context, id string, root executor.Mount, mounts []executor.Mount, p executor.ProcessInfo, started chan<- struct{}) (resourcestypes.Recorder, error) {
	if p.Meta.NetMode == pb.NetMode_UNSET {
		p.Meta.NetMode = pb.NetMode_HOST
	}
	return h.Executor.Run(ctx, id, root, mounts, p, started)
}

// containers counts the containers that are not deleted yet. The executor
// deletes some in the background, after the build has its answer; it closes a
// container's network when that is done, and this listens there.
type containers struct {
	mu   sync.Mutex
	n    int
	none chan struct{} // closed while n is 0
}

func newContainers() *containers {
	c := &containers{none: make(chan struct{})}
	close(c.none)
	return c
}

func (c *containers) add() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == 0 {
		c.none = make(chan struct{})
	}
	c.n++
}

func (c *containers) done() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n--
	if c.n == 0 {
		close(c.none)
	}
}

// wait returns when there are no containers, or an error after the timeout.
func (c *containers) wait(timeout time.Duration) error {
	c.mu.Lock()
	none := c.none
	c.mu.Unlock()
	select {
	case <-none:
		return nil
	case <-time.After(timeout):
		return fmt.Errorf("containers still running after %s", timeout)
	}
}

// tracked gives the provider whose networks count as containers.
func (c *containers) tracked(p network.Provider) network.Provider {
	return &trackedProvider{p, c}
}

type trackedProvider struct {
	network.Provider
	containers *containers
}

func (p *trackedProvider) New(ctx context.Context, hostname string, o network.NamespaceOptions) (network.Namespace, error) {
	ns, err := p.Provider.New(ctx, hostname, o)
	if err != nil {
		return nil, err
	}
	p.containers.add()
	return &trackedNamespace{Namespace: ns, containers: p.containers}, nil
}

type trackedNamespace struct {
	network.Namespace
	containers *containers
	once       sync.Once
}

func (n *trackedNamespace) Close() error {
	err := n.Namespace.Close()
	n.once.Do(n.containers.done)
	return err
}
