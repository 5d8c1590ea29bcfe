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

// Docker is a running Docker engine.
type Docker struct {
	// Host is the engine's address: "unix:///tmp/…/s".
	Host string
}

// DockerEngine starts the machine's Docker engine with empty state for this test.
// It has no bridge network, which would change the machine's packet filter:
// builds and containers that need a network are given --network=host.
func DockerEngine(t testing.TB) *Docker {
	t.Helper()
	e, d := startDocker(t)
	d.stopAfter(t)
	return e
}

// SharedDockerEngine returns the Docker engine that the tests of this package share.
var SharedDockerEngine = share(func(t testing.TB) (*Docker, func() error) {
	t.Helper()
	e, d := startDocker(t)
	return e, d.stop
})

func startDocker(t testing.TB) (*Docker, *daemon) {
	t.Helper()
	program, client := system(t, "dockerd"), system(t, "docker")
	system(t, "runc")
	dir := stateDir(t, "dockerd")
	// The machine's own settings, if it has a Docker engine, are not the test's.
	config := filepath.Join(dir, "daemon.json")
	if err := os.WriteFile(config, []byte("{}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	e := &Docker{Host: "unix://" + filepath.Join(dir, "s")}
	cmd := exec.Command(program,
		"--config-file", config,
		"--data-root", filepath.Join(dir, "data"),
		"--exec-root", filepath.Join(dir, "exec"),
		"--pidfile", filepath.Join(dir, "pid"),
		"--host", e.Host,
		"--bridge", "none", "--iptables=false", "--ip6tables=false",
		"--log-level", "warn")
	d := startDaemon(t, dir, cmd, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		out, err := exec.CommandContext(ctx, client, "--host", e.Host, "version").CombinedOutput()
		if err != nil {
			return fmt.Errorf("asking for its version: %w: %s", err, out)
		}
		return nil
	})
	return e, d
}

// Client returns a function that makes docker commands for this engine, buildx
// among them: Client(t)("buildx", "build", "--load", "."). They see none of the
// user's registry credentials.
func (e *Docker) Client(t testing.TB) func(args ...string) *exec.Cmd {
	t.Helper()
	program := system(t, "docker")
	config := t.TempDir()
	plugins := filepath.Join(config, "cli-plugins")
	if err := os.Mkdir(plugins, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(Tool(t, "buildx"), filepath.Join(plugins, "docker-buildx")); err != nil {
		t.Fatal(err)
	}
	env := environ([]string{"DOCKER_CONTEXT", "BUILDX_BUILDER", "BUILDX_CONFIG", "BUILDKIT_HOST"},
		"DOCKER_HOST="+e.Host, "DOCKER_CONFIG="+config)
	return func(args ...string) *exec.Cmd {
		cmd := exec.Command(program, args...)
		cmd.Env = env
		return cmd
	}
}
