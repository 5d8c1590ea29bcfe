//go:build bench

package bench

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// world is what all builds share.
type world struct {
	registry string
	// frontend is ours as an image, dockerfile the Dockerfile frontend, as a syntax
	// line names it.
	frontend, dockerfile string
	secrets              []string
	// archives say where the archives of bases are, as build arguments.
	archives  []string
	mirror    catalog.Mirror
	locations catalog.Locations
	lock      string
	birdhouse string
}

func newWorld(t *testing.T) *world {
	w := &world{
		registry:  harness.Registry(t),
		secrets:   harness.Secrets(t),
		birdhouse: harness.Birdhouse(t),
		lock:      harness.Lock(t),
	}
	var err error
	if w.mirror, err = catalog.ParseMirror(harness.Mirror(t)); err != nil {
		t.Fatal(err)
	}
	if w.locations, err = catalog.MachineLocations(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.archives = []string{"BIRDHOUSE_DEBIAN_MIRROR=" + w.mirror.String()}
	for _, k := range catalog.LocationKinds {
		if at := w.locations[k.Name]; at != "" {
			w.archives = append(w.archives, k.Argument+"="+at)
		}
	}
	w.secret(t, "NPM_CONFIG_REGISTRY", w.locations["npm"])
	// What this machine's virtual machines trust, which birdhouse makes of the bundle of
	// certificates, and Maven's settings.
	for id, file := range map[string]string{"cacerts": "/etc/ssl/certs/java/cacerts", "settings.xml": filepath.Join(os.Getenv("HOME"), ".m2", "settings.xml")} {
		if _, err := os.Stat(file); err == nil {
			w.secrets = append(w.secrets, "--secret", "id="+id+",src="+file)
		}
	}
	for _, name := range []string{"UV_DEFAULT_INDEX", "UV_INDEX", "UV_INSECURE_HOST"} {
		w.secret(t, name, os.Getenv(name))
	}
	w.frontend = harness.FrontendImage(t, harness.SharedBuildkitd(t), w.registry)
	w.dockerfile = dockerfileFrontend(t, w.registry)
	return w
}

// secret gives builds a setting of the machine, where it is set.
func (w *world) secret(t *testing.T, id, value string) {
	t.Helper()
	if value == "" {
		return
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	w.secrets = append(w.secrets, "--secret", fmt.Sprintf(`id=%s,"src=%s"`, id, file))
}

// command is the birdhouse command, with the catalog that all use.
func (w *world) command(t *testing.T, args ...string) *exec.Cmd {
	cmd := exec.Command(w.birdhouse, args...)
	cmd.Env = append(os.Environ(), "BIRDHOUSE_CATALOG="+w.lock, "DOCKER_CONFIG="+t.TempDir(), "BUILDKIT_HOST=")
	return cmd
}

// program is a language's program in this world.
type program struct {
	*world
	language
	// build is the base of the stage that compiles, run that of the image.
	build, run pushed
	// more are those of other stages, and what peers start from, by their names.
	more map[string]pushed
	// made are the files of the program as it is and with each change, since what
	// a package manager does takes its time.
	made map[edit]map[string][]byte
}

// pushed is a base in the registry, by digest: builds on it ask nothing about a tag.
type pushed struct {
	base plan.Base
	// plain is without the sets that birdhouse puts on top, full with them.
	plain, full string
}

func newProgram(t *testing.T, w *world, l language) *program {
	p := &program{world: w, language: l, more: map[string]pushed{}, made: map[edit]map[string][]byte{}}
	cmd := w.command(t, "plan", "--format", "json", p.source(t))
	cmd.Stderr = os.Stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("birdhouse plan: %v", err)
	}
	var got plan.Plan
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("birdhouse plan: %v", err)
	}
	baseOf := func(stage string) plan.Base {
		i := slices.IndexFunc(got.Stages, func(s plan.Stage) bool { return s.Name == stage })
		if i < 0 {
			t.Fatalf("the plan has no stage %s", stage)
		}
		return got.Stages[i].Base
	}
	push := func(base plan.Base) pushed {
		full := pushBase(t, w, base)
		plain := full
		if len(base.With) > 0 {
			base.With = nil
			plain = pushBase(t, w, base)
		}
		return pushed{base: base, plain: plain, full: full}
	}
	p.build, p.run = push(baseOf(l.stage)), push(got.Run)
	for name, stage := range l.stages {
		p.more[name] = push(baseOf(stage))
	}
	for name, base := range l.bases {
		p.more[name] = push(base)
	}
	return p
}

// source is the program as it is in the repository.
func (l language) source(t *testing.T) string {
	return filepath.Join(harness.Root(t), "bench", "testdata", l.name, "app")
}
