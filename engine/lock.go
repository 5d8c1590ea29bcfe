package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/gofrs/flock"
)

const (
	lockPoll    = 25 * time.Millisecond
	lockPatient = 200 * time.Millisecond
)

// rootLock is the exclusive use of a root. The file holds its owner's process
// id while it is locked and is empty when its owner closed properly.
type rootLock struct {
	flock *flock.Flock
	path  string
	// killed says that the last owner never closed.
	killed bool
}

func lockRoot(ctx context.Context, root string, notice func(string)) (*rootLock, error) {
	l := &rootLock{path: filepath.Join(root, "lock")}
	l.flock = flock.New(l.path, flock.SetPermissions(0o600))
	start := time.Now()
	for {
		ok, err := l.flock.TryLock()
		if err != nil {
			return nil, fmt.Errorf("locking %s: %w", l.path, err)
		}
		if ok {
			break
		}
		if notice != nil && time.Since(start) >= lockPatient {
			notice(fmt.Sprintf("another birdhouse (pid %s) is using %s; waiting", owner(l.path), root))
			notice = nil
		}
		select {
		case <-ctx.Done():
			_ = l.flock.Close()
			return nil, fmt.Errorf("waiting for %s, in use by pid %s: %w", root, owner(l.path), context.Cause(ctx))
		case <-time.After(lockPoll):
		}
	}
	l.killed = owner(l.path) != "unknown"
	// Without room for the number there is no room for a build either; but the
	// engine says so better than this could.
	_ = os.WriteFile(l.path, []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600)
	return l, nil
}

// owner is the process id in the lock file.
func owner(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return "unknown"
	}
	pid := strings.TrimSpace(string(b))
	if _, err := strconv.Atoi(pid); err != nil {
		return "unknown"
	}
	return pid
}

// release lets the next process in, which cleans up first unless everything is
// in order. The file stays where it is: removing it would let two processes
// lock two files of the same name.
func (l *rootLock) release(inOrder bool) error {
	var err error
	if inOrder {
		err = os.Truncate(l.path, 0)
	}
	return errors.Join(err, l.flock.Close())
}
