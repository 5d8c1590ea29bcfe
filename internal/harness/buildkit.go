package harness

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// BuildKit is a running BuildKit daemon.
type BuildKit struct {
	// Address is what clients dial: "unix:///tmp/…/s".
	Address string
}

// buildkitdConfig has the host's network in builds, since CNI plugins are not
// part of Debian's runc, and no garbage collection, since tests count on the cache.
// Registries on loopback addresses are spoken to in plain HTTP without being named.
const buildkitdConfig = `
[worker.oci]
  enabled = true
  networkMode = "host"
  gc = false
[worker.containerd]
  enabled = false
`

// Buildkitd starts a BuildKit daemon with an empty cache for this test.
func Buildkitd(t testing.TB) *BuildKit {
	t.Helper()
	b, d := startBuildkitd(t)
	d.stopAfter(t)
	return b
}

// SharedBuildkitd returns the BuildKit daemon that the tests of this package share.
var SharedBuildkitd = share(func(t testing.TB) (*BuildKit, func() error) {
	t.Helper()
	b, d := startBuildkitd(t)
	return b, d.stop
})

func startBuildkitd(t testing.TB) (*BuildKit, *daemon) {
	t.Helper()
	program, buildctl := Tool(t, "buildkitd"), Tool(t, "buildctl")
	system(t, "runc")
	dir := stateDir(t, "buildkitd")
	config := filepath.Join(dir, "buildkitd.toml")
	if err := os.WriteFile(config, []byte(buildkitdConfig), 0o644); err != nil {
		t.Fatal(err)
	}
	b := &BuildKit{Address: "unix://" + filepath.Join(dir, "s")}
	cmd := exec.Command(program, "--config", config, "--root", filepath.Join(dir, "root"), "--addr", b.Address)
	d := startDaemon(t, dir, cmd, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, buildctl, "--addr", b.Address, "debug", "workers").CombinedOutput()
		if err != nil {
			return fmt.Errorf("asking for its workers: %w: %s", err, out)
		}
		return nil
	})
	return b, d
}

// Buildctl returns a buildctl command for this daemon; args start with the
// subcommand. It sees none of the user's registry credentials.
func (b *BuildKit) Buildctl(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(Tool(t, "buildctl"), append([]string{"--addr", b.Address}, args...)...)
	cmd.Env = environ([]string{"BUILDKIT_HOST"}, "DOCKER_CONFIG="+t.TempDir())
	return cmd
}

// Buildx is a buildx client with a builder of the remote driver.
type Buildx struct {
	program string
	env     []string
}

// Buildx returns a buildx client whose only builder is this daemon.
func (b *BuildKit) Buildx(t testing.TB) *Buildx {
	t.Helper()
	x := &Buildx{
		program: Tool(t, "buildx"),
		env:     environ([]string{"DOCKER_HOST", "DOCKER_CONTEXT", "BUILDKIT_HOST"}, "DOCKER_CONFIG="+t.TempDir(), "BUILDX_CONFIG="+t.TempDir()),
	}
	Run(t, x.Command("create", "--name", "birdhouse", "--driver", "remote", b.Address))
	x.env = append(x.env, "BUILDX_BUILDER=birdhouse")
	return x
}

// Command returns a buildx command: Command("build", "-f", "birdhouse.yaml", ".").
func (x *Buildx) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(x.program, args...)
	cmd.Env = x.env
	return cmd
}
