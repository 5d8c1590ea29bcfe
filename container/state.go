package container

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/containerd/containerd/v2/pkg/archive"
	"github.com/gofrs/flock"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/birdhouse-build/birdhouse/image"
)

// state is the directory of unpacked images and running containers:
//
//	lock                 shared while a container is made, exclusive while cleaning
//	IMAGE/               the unpacked image, by the digest of its manifest
//	IMAGE.lock           shared while a container uses IMAGE, exclusive while unpacking
//	IMAGE.tmp/           an image that is being unpacked
//	containers/ID/       a container; its file lock is held by the process it belongs to
//
// All locks are the kernel's: a killed process holds none, so that what it left
// is known as such.
type state struct {
	dir     string
	runtime runtime
}

const (
	lockFile   = "lock"
	lockSuffix = ".lock"
	tmpSuffix  = ".tmp"
	lockPoll   = 20 * time.Millisecond
)

func openState(dir string, rt runtime) (*state, error) {
	// The mode keeps other users from the setuid programs of images.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	if err := os.MkdirAll(filepath.Join(dir, "containers"), 0o700); err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("opening %s: %w", dir, err)
	}
	return &state{dir: abs, runtime: rt}, nil
}

// clean removes containers whose process was killed, images half unpacked and
// unpacked images that the store has no more. It does nothing while another
// process makes a container.
func (s *state) clean(ctx context.Context, store *image.Store) error {
	l := flock.New(filepath.Join(s.dir, lockFile))
	ok, err := l.TryLock()
	if err != nil {
		return fmt.Errorf("locking %s: %w", s.dir, err)
	}
	if !ok {
		return nil
	}
	defer l.Close()
	if err := s.cleanContainers(ctx); err != nil {
		return fmt.Errorf("removing what a killed container left: %w", err)
	}
	if err := s.cleanImages(store); err != nil {
		return fmt.Errorf("removing unpacked images: %w", err)
	}
	return nil
}

func (s *state) cleanContainers(ctx context.Context) error {
	entries, err := os.ReadDir(filepath.Join(s.dir, "containers"))
	if err != nil {
		return err
	}
	for _, e := range entries {
		dir := filepath.Join(s.dir, "containers", e.Name())
		own := flock.New(filepath.Join(dir, lockFile))
		ok, err := own.TryLock()
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		s.runtime.delete(ctx, filepath.Join(dir, "runtime"), e.Name())
		err = removeAll(dir)
		_ = own.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *state) cleanImages(store *image.Store) error {
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, e := range entries {
		hex, isLock := strings.CutSuffix(e.Name(), lockSuffix)
		if !isLock {
			continue
		}
		_, err := store.Resolve("sha256:" + hex)
		known := err == nil
		if err != nil && !errors.Is(err, image.ErrNotFound) {
			continue
		}
		l := flock.New(filepath.Join(s.dir, e.Name()))
		ok, err := l.TryLock()
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		err = removeAll(filepath.Join(s.dir, hex+tmpSuffix))
		if err == nil && !known {
			err = errors.Join(removeAll(filepath.Join(s.dir, hex)), os.Remove(filepath.Join(s.dir, e.Name())))
		}
		_ = l.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// create makes the directory of a new container of img and unpacks img unless
// that was done before.
func (s *state) create(ctx context.Context, store *image.Store, img v1.Image) (_ *container, err error) {
	shared := flock.New(filepath.Join(s.dir, lockFile))
	if _, err := shared.TryRLockContext(ctx, lockPoll); err != nil {
		return nil, fmt.Errorf("locking %s: %w", s.dir, err)
	}
	defer shared.Close()

	c := &container{state: s, id: "birdhouse-" + strings.ToLower(rand.Text())}
	c.dir = filepath.Join(s.dir, "containers", c.id)
	defer func() {
		if err != nil {
			err = errors.Join(err, c.remove())
		}
	}()
	if err := os.Mkdir(c.dir, 0o700); err != nil {
		return nil, fmt.Errorf("making a container: %w", err)
	}
	c.lock = flock.New(filepath.Join(c.dir, lockFile))
	if err := c.lock.Lock(); err != nil {
		return nil, fmt.Errorf("locking %s: %w", c.dir, err)
	}

	digest, err := img.Digest()
	if err != nil {
		return nil, err
	}
	c.image = digest.Hex
	c.imageLock = flock.New(filepath.Join(s.dir, c.image+lockSuffix))
	for {
		if _, err := c.imageLock.TryRLockContext(ctx, lockPoll); err != nil {
			return nil, fmt.Errorf("locking the unpacked image: %w", err)
		}
		_, err := os.Stat(filepath.Join(s.dir, c.image))
		if err == nil {
			return c, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err := c.imageLock.Unlock(); err != nil {
			return nil, err
		}
		if err := s.unpack(ctx, store, img, c.image); err != nil {
			return nil, fmt.Errorf("unpacking the image: %w", err)
		}
	}
}

// unpack applies the layers of img, unless another process does that first.
func (s *state) unpack(ctx context.Context, store *image.Store, img v1.Image, name string) (err error) {
	l := flock.New(filepath.Join(s.dir, name+lockSuffix))
	if _, err := l.TryLockContext(ctx, lockPoll); err != nil {
		return err
	}
	defer l.Close()
	target, tmp := filepath.Join(s.dir, name), filepath.Join(s.dir, name+tmpSuffix)
	if _, err := os.Stat(target); err == nil {
		return nil
	}
	release, err := store.Hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := removeAll(tmp); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, removeAll(tmp))
		}
	}()
	if err := os.Mkdir(tmp, 0o755); err != nil {
		return err
	}
	// The mode of the image's root is not the umask's business.
	if err := os.Chmod(tmp, 0o755); err != nil {
		return err
	}
	layers, err := img.Layers()
	if err != nil {
		return err
	}
	config, err := img.ConfigFile()
	if err != nil {
		return err
	}
	if len(config.RootFS.DiffIDs) != len(layers) {
		return fmt.Errorf("the manifest has %d layers, the configuration %d", len(layers), len(config.RootFS.DiffIDs))
	}
	for i, layer := range layers {
		if err := apply(ctx, tmp, layer, config.RootFS.DiffIDs[i]); err != nil {
			return fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	return os.Rename(tmp, target)
}

// apply writes one layer over those before it, with its whiteouts, and checks
// that its content is what the image says.
func apply(ctx context.Context, dir string, layer v1.Layer, want v1.Hash) error {
	rc, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer rc.Close()
	hash := sha256.New()
	stream := io.TeeReader(rc, hash)
	if _, err := archive.Apply(ctx, dir, stream); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return err
	}
	if got := fmt.Sprintf("sha256:%x", hash.Sum(nil)); got != want.String() {
		return fmt.Errorf("its content is %s, not %s as the image says", got, want)
	}
	return nil
}

// removeAll removes a tree that other processes may still be leaving.
func removeAll(dir string) error {
	err := os.RemoveAll(dir)
	for range 10 {
		if err == nil {
			return nil
		}
		time.Sleep(lockPoll)
		err = os.RemoveAll(dir)
	}
	return err
}
