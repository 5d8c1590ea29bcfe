//go:build bench

package bench

import (
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// contestant is a way to build and push a program.
type contestant struct {
	name, note string
	// command builds the project at a place and pushes it.
	command func(t *testing.T, p *program, at place) *exec.Cmd
	// daemonless contestants keep their cache in the place's state.
	daemonless bool
}

// place is what a contestant has for itself, so that nobody finds what somebody
// else has built, transferred or pushed.
type place struct {
	// daemon is nil for the daemonless.
	daemon *harness.BuildKit
	// state is a folder for caches, dir the project, image what is pushed.
	state, dir, image string
}

// The contestants of every language.
const (
	birdhouse       = "birdhouse"
	birdhousePulled = "birdhouse, bases pulled"
	syntaxLine      = "Dockerfile, `# syntax`"
	dockerfile      = "Dockerfile"
	birdhouseAddr   = "birdhouse build --addr"
	birdhouseAlone  = "birdhouse build"
)

var contestants = []contestant{
	{name: birdhouse, note: "`buildctl build --frontend gateway.v0`, bases made from archives in the same build",
		command: func(t *testing.T, p *program, at place) *exec.Cmd {
			return at.daemon.Buildctl(t, p.gateway(at.dir, at.dir, at.image)...)
		}},
	{name: birdhousePulled, note: "the same, bases from the registry by digest (`--opt context:…`), as the Dockerfile has them",
		command: func(t *testing.T, p *program, at place) *exec.Cmd {
			args := p.gateway(at.dir, at.dir, at.image)
			used := []pushed{p.build, p.run}
			for name := range p.stages {
				used = append(used, p.more[name])
			}
			for _, b := range used {
				args = append(args, "--opt", "context:"+b.base.String()+"=docker-image://"+b.plain)
			}
			return at.daemon.Buildctl(t, args...)
		}},
	{name: syntaxLine, note: "the Dockerfile beside the program with BuildKit's own Dockerfile frontend as an image, which is what a `# syntax` line does; bases from the registry by digest",
		command: func(t *testing.T, p *program, at place) *exec.Cmd {
			return at.daemon.Buildctl(t, append(p.dockerfileBuild(t, at), "--frontend", "gateway.v0", "--opt", "source="+p.dockerfile)...)
		}},
	{name: dockerfile, note: "the same file with the frontend that is compiled into the daemon, which needs no container of its own",
		command: func(t *testing.T, p *program, at place) *exec.Cmd {
			return at.daemon.Buildctl(t, append(p.dockerfileBuild(t, at), "--frontend", "dockerfile.v0")...)
		}},
	{name: birdhouseAddr, note: "the command on a daemon, the frontend inside the command",
		command: func(t *testing.T, p *program, at place) *exec.Cmd {
			return p.command(t, "--root", at.state, "build", "--addr", at.daemon.Address, "--progress", "plain", "--push", "-t", at.image, at.dir)
		}},
	{name: birdhouseAlone, note: "the command with no daemon; the whole process, with the start and the end of its engine", daemonless: true,
		command: func(t *testing.T, p *program, at place) *exec.Cmd {
			return p.command(t, "--root", at.state, "build", "--progress", "plain", "--push", "-t", at.image, at.dir)
		}},
}

// gateway are buildctl's arguments for birdhouse's frontend as an image, of the folders of a program and
// of its descriptor.
func (w *world) gateway(dir, descriptor, image string) []string {
	args := []string{"build", "--frontend", "gateway.v0", "--opt", "source=" + w.frontend,
		"--local", "context=" + dir, "--local", "dockerfile=" + descriptor, "--opt", "filename=birdhouse.yaml",
		"--output", "type=image,push=true,name=" + image}
	for _, arg := range w.archives {
		args = append(args, "--opt", "build-arg:"+arg)
	}
	return append(args, w.secrets...)
}

// dockerfileBuild are buildctl's arguments for the Dockerfile but the frontend.
func (p *program) dockerfileBuild(t *testing.T, at place) []string {
	args := []string{"build",
		"--local", "context=" + at.dir, "--local", "dockerfile=" + filepath.Dir(p.source(t)),
		"--opt", "build-arg:BUILD=" + p.build.full, "--opt", "build-arg:RUN=" + p.run.full,
		"--output", "type=image,push=true,name=" + at.image}
	for name := range p.stages {
		args = append(args, "--opt", "build-arg:"+name+"="+p.more[name].full)
	}
	return slices.Concat(args, p.secrets)
}
