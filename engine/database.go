package engine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	bolt "go.etcd.io/bbolt"
)

// cacheDatabase knows which step gives which snapshot. It can be lost alone:
// what it knew is built again, and the snapshots that nothing knows of are
// removed some day.
const cacheDatabase = "cache.db"

// historyDatabase would have records of builds; it is always empty.
const historyDatabase = "history.db"

// databases belong together: each knows the others' keys.
var databases = []string{"containerdmeta.db", "metadata_v2.db", "snapshots/metadata.db"}

// errDatabase says that a database is damaged.
var errDatabase = errors.New("damaged database")

// checkDatabases returns an errDatabase when the databases in dir cannot be used.
// Some are opened late and while a lock is held, so that finding out then would
// end in a crash or a deadlock. Whole reads all of them, which takes as long as
// they are large (about 1 ms for each MB).
func checkDatabases(dir string, whole bool) error {
	found := 0
	var missing error
	for _, name := range databases {
		switch err := checkDatabase(filepath.Join(dir, name), whole); {
		case errors.Is(err, fs.ErrNotExist):
			missing = fmt.Errorf("%w: there is no %s", errDatabase, name)
		case err != nil:
			return fmt.Errorf("%s: %w", name, err)
		default:
			found++
		}
	}
	if missing == nil {
		return nil
	}
	if found == 0 {
		snapshots, err := os.ReadDir(filepath.Join(dir, "snapshots/snapshots"))
		if len(snapshots) == 0 && (err == nil || errors.Is(err, fs.ErrNotExist)) {
			return nil // a new folder
		}
	}
	return missing
}

// checkCacheDatabase removes the cache database when it cannot be used and
// returns why.
func checkCacheDatabase(dir string, whole bool) (damage, err error) {
	file := filepath.Join(dir, cacheDatabase)
	err = checkDatabase(file, whole)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case errors.Is(err, errDatabase):
		return err, os.Remove(file)
	}
	return nil, err
}

// checkDatabase reads a database's own description and, if whole, all that holds
// it together. The library panics where something makes no sense.
func checkDatabase(file string, whole bool) (err error) {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	if info.Size() == 0 {
		return fmt.Errorf("%w: it is empty", errDatabase)
	}
	if whole {
		return verifyDatabase(file)
	}
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", errDatabase, r)
		}
	}()
	db, err := bolt.Open(file, 0o600, &bolt.Options{ReadOnly: true})
	if err != nil {
		if errors.As(err, new(*fs.PathError)) || errors.As(err, new(syscall.Errno)) {
			return err // of the disk
		}
		return fmt.Errorf("%w: %w", errDatabase, err)
	}
	defer db.Close()
	tx, err := db.Begin(false)
	if err != nil {
		return fmt.Errorf("%w: %w", errDatabase, err)
	}
	defer func() { _ = tx.Rollback() }()
	// Pages beyond the end of the file are a fault of the processor, not an error.
	if tx.Size() > info.Size() {
		return fmt.Errorf("%w: it has %d of %d bytes", errDatabase, info.Size(), tx.Size())
	}
	return nil
}

// sealFile says how the databases were left by the last process that closed them.
const sealFile = "databases.closed"

// seal describes the databases in dir: the run of the machine, since what was
// written before a power cut may be lost, and the files' sizes and times, which
// change when something else writes to them.
func seal(dir string) string {
	boot, _ := os.ReadFile(bootID) // empty where there is none
	var b strings.Builder
	b.Write(boot)
	for _, name := range append([]string{cacheDatabase}, databases...) {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil {
			fmt.Fprintf(&b, "%s %d %d\n", name, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}

// sealed reports whether the databases are as they were left.
func sealed(dir string) bool {
	left, err := os.ReadFile(filepath.Join(dir, sealFile))
	return err == nil && string(left) == seal(dir)
}
