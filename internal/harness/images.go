package harness

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/moby/buildkit/cmd/buildctl/build"
	"github.com/moby/buildkit/session"
	"github.com/tonistiigi/fsutil"

	"github.com/birdhouse-build/birdhouse/catalog"
)

// lockAge is how long a lock that was made for tests is used: a mirror drops
// packages some time after they were replaced, and days later at the earliest.
const lockAge = 6 * time.Hour

// Lock returns the path of a catalog lock made from this machine's mirror, whose
// packages are there for sure. Its folder has nothing else in it.
func Lock(t testing.TB) string {
	t.Helper()
	birdhouse := Birdhouse(t)
	path, err := makeLock(birdhouse)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

var makeLock = func() func(string) (string, error) {
	var once sync.Once
	var path string
	var err error
	return func(birdhouse string) (string, error) {
		once.Do(func() { path, err = freshLock(birdhouse) })
		return path, err
	}
}()

// freshLock keeps the lock for other test processes until it is old or the
// command, and so perhaps the catalog's definitions, is newer.
func freshLock(birdhouse string) (string, error) {
	root, err := findRoot()
	if err != nil {
		return "", err
	}
	path := filepath.Join(root, ".tools", "catalog", "catalog.lock")
	unlock, err := lock(filepath.Join(root, ".tools", "catalog.lock.lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	program, err := os.Stat(birdhouse)
	if err != nil {
		return "", err
	}
	if kept, err := os.Stat(path); err == nil && kept.ModTime().After(program.ModTime()) && time.Since(kept.ModTime()) < lockAge {
		return path, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	if out, err := output(exec.Command(birdhouse, "catalog", "update", path)); err != nil {
		return "", fmt.Errorf("birdhouse catalog update: %w\n%s", err, out)
	}
	// The command leaves a lock alone that is up to date.
	now := time.Now()
	return path, os.Chtimes(path, now, now)
}

// Mirror returns the mirror of Debian's archive that this machine uses, in the
// form of the frontend's build argument BIRDHOUSE_DEBIAN_MIRROR.
func Mirror(t testing.TB) string {
	t.Helper()
	needs(t)
	m, ok := catalog.MachineMirror()
	if !ok {
		t.Fatal("this machine has no mirror of Debian's archive: set BIRDHOUSE_DEBIAN_MIRROR")
	}
	return m.String()
}

// CABundle returns the path of the machine's bundle of CA certificates.
func CABundle(t testing.TB) string {
	t.Helper()
	for _, path := range []string{os.Getenv("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt"} {
		if path != "" && exists(path) {
			return path
		}
	}
	t.Fatal("this machine has no bundle of CA certificates: run `make setup`")
	return ""
}

// Secrets returns the --secret options, alike for buildctl, buildx and
// birdhouse, that give a build this machine's CA certificates and its settings
// for fetching Go modules, as the birdhouse command does by itself.
func Secrets(t testing.TB) []string {
	t.Helper()
	args := []string{"--secret", "id=ca,src=" + CABundle(t)}
	out, err := exec.Command("go", "env", "-json", "GOPROXY", "GONOPROXY", "GOSUMDB", "GONOSUMDB", "GOPRIVATE", "GOINSECURE", "GOAUTH").Output()
	if err != nil {
		t.Fatalf("go env: %v", err)
	}
	var env map[string]string
	if err := json.Unmarshal(out, &env); err != nil {
		t.Fatalf("go env: %v", err)
	}
	dir := t.TempDir()
	for name, value := range env {
		if value == "" {
			continue
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(value), 0o600); err != nil {
			t.Fatal(err)
		}
		// The option's value is CSV, and the path has the test's name in it.
		args = append(args, "--secret", fmt.Sprintf(`id=%s,"src=%s"`, name, path))
	}
	// Map order is no order.
	pairs := slices.Collect(slices.Chunk(args, 2))
	slices.SortFunc(pairs, slices.Compare)
	return slices.Concat(pairs...)
}

// SecretProvider gives a build through BuildKit's client what Secrets are options for.
func SecretProvider(t testing.TB) session.Attachable {
	t.Helper()
	var specs []string
	for option := range slices.Chunk(Secrets(t), 2) {
		specs = append(specs, option[1])
	}
	secrets, err := build.ParseSecret(specs)
	if err != nil {
		t.Fatal(err)
	}
	return secrets
}

// StepsPrograms is the folder of the steps programs, for frontend.StepsLocal.
func StepsPrograms(t testing.TB) fsutil.FS {
	t.Helper()
	Birdhouse(t) // makes them
	programs, err := fsutil.NewFS(filepath.Join(Root(t), "steps", "embedded", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	return programs
}

// FrontendImage builds the frontend image with the repository's Dockerfile on b,
// with the catalog lock of this machine, for this machine's architecture alone,
// pushes it to a registry ("127.0.0.1:43210") and returns its name, as a syntax
// line has it: "127.0.0.1:43210/birdhouse:1".
func FrontendImage(t testing.TB, b *BuildKit, registry string) string {
	t.Helper()
	lock := Lock(t) // builds dist/, too
	root := Root(t)
	ref := registry + "/birdhouse:1"
	Run(t, b.Buildctl(t, "build", "--frontend", "dockerfile.v0",
		"--local", "context="+root, "--local", "dockerfile="+root,
		"--local", "catalog="+filepath.Dir(lock), "--opt", "context:catalog=local:catalog",
		"--opt", "build-arg:SOURCE_DATE_EPOCH=0",
		"--output", "type=image,name="+ref+",push=true,rewrite-timestamp=true"))
	return ref
}

// SharedRoot returns the birdhouse state directory that the tests of this
// package share, so that base images are made once.
var SharedRoot = share(func(t testing.TB) (string, func() error) {
	t.Helper()
	dir := stateDir(t, "root")
	return filepath.Join(dir, "root"), func() error { return removeState(dir) }
})
