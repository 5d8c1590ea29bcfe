package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/containerd/containerd/v2/core/snapshots/storage"
	"github.com/containerd/errdefs"
	"github.com/moby/sys/mountinfo"
	specs "github.com/opencontainers/runtime-spec/specs-go"
	"github.com/sirupsen/logrus"
)

// repair removes what a killed process left behind: its containers, whose
// processes may still run, and its mounts, which hold files of the cache and the
// secrets that its steps had. The databases need no help.
func repair(dir, runtime string, killed bool) error {
	left, err := leftContainers(dir)
	if err != nil {
		return err
	}
	if !killed && len(left) == 0 {
		return nil
	}
	logrus.Warnf("the last process that used %s was killed; removing %d of its containers", dir, len(left))
	var temporary []string
	for _, bundle := range left {
		temporary = append(temporary, temporaryMounts(dir, bundle)...)
	}
	for _, bundle := range left {
		removeContainer(runtime, filepath.Base(bundle))
	}
	if err := unmountLeft(dir, temporary); err != nil {
		return fmt.Errorf("unmounting what a killed process left: %w", err)
	}
	for _, bundle := range left {
		if err := os.RemoveAll(bundle); err != nil {
			return err
		}
	}
	return nil
}

// leftContainers are the bundles of containers in the executor's folder. A
// bundle is named as its container.
func leftContainers(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, "executor"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var bundles []string
	for _, e := range entries {
		if e.IsDir() {
			bundles = append(bundles, filepath.Join(dir, "executor", e.Name()))
		}
	}
	return bundles, nil
}

// removeContainers ends the containers that are left at closing time.
func (s *state) removeContainers() {
	left, err := leftContainers(s.dir)
	if err != nil {
		logrus.Warn(err)
	}
	for _, bundle := range left {
		removeContainer(s.runtime, filepath.Base(bundle))
	}
}

// removeContainer kills the container's processes. There may be no such
// container any more, so a failure is only logged.
func removeContainer(runtime, id string) {
	ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, runtime, "delete", "--force", id).CombinedOutput()
	if err != nil {
		logrus.Warnf("removing container %s: %v: %s", id, err, out)
	}
}

// temporaryMounts are the folders made for a container outside of the state
// folder, as BuildKit names them: for mounts, and for secrets on a tmpfs of
// their own.
func temporaryMounts(dir, bundle string) []string {
	b, err := os.ReadFile(filepath.Join(bundle, "config.json"))
	if err != nil {
		return nil // killed before it was written, so nothing was started
	}
	var spec specs.Spec
	if err := json.Unmarshal(b, &spec); err != nil {
		return nil
	}
	var temporary []string
	for _, m := range spec.Mounts {
		for d := m.Source; filepath.Dir(d) != d; d = filepath.Dir(d) {
			name := filepath.Base(d)
			made := strings.HasPrefix(name, "buildkit-mount") || strings.HasPrefix(name, "buildkit-secrets")
			if made && !strings.HasPrefix(dir+"/", d+"/") {
				temporary = append(temporary, d)
			}
		}
	}
	return temporary
}

// unmountLeft unmounts the temporary folders, all mounts below dir, and all
// overlays made of folders below dir, wherever they are.
func unmountLeft(dir string, temporary []string) error {
	below := dir + "/"
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		return !(strings.HasPrefix(m.Mountpoint, below) ||
			slices.Contains(temporary, m.Mountpoint) ||
			m.FSType == "overlay" && strings.Contains(m.VFSOptions, "="+below)), false
	})
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) { // the last mounted first
		if err := syscall.Unmount(m.Mountpoint, syscall.MNT_DETACH); err != nil && !errors.Is(err, syscall.EINVAL) {
			return fmt.Errorf("%s: %w", m.Mountpoint, err)
		}
		if !strings.HasPrefix(m.Mountpoint, below) {
			_ = os.Remove(m.Mountpoint) // at worst an empty folder stays
		}
	}
	return nil
}

// removeUnknownSnapshots removes the folders of snapshots that the snapshotter's
// database does not have. One that was made and not recorded yet is in the way of the
// next, which gets the same number; one whose removal was not finished takes space
// for good.
func removeUnknownSnapshots(dir string) error {
	entries, err := os.ReadDir(filepath.Join(dir, "snapshots"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	store, err := storage.NewMetaStore(filepath.Join(dir, "metadata.db"))
	if err != nil {
		return err
	}
	defer store.Close()
	var known map[string]string
	err = store.WithTransaction(context.Background(), false, func(ctx context.Context) (err error) {
		known, err = storage.IDMap(ctx)
		return err
	})
	if err != nil && !errdefs.IsNotFound(err) {
		return err
	}
	for _, e := range entries {
		if _, ok := known[e.Name()]; ok {
			continue
		}
		if err := os.RemoveAll(filepath.Join(dir, "snapshots", e.Name())); err != nil {
			return fmt.Errorf("removing what a killed process left: %w", err)
		}
	}
	return nil
}
