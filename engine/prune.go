package engine

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/moby/buildkit/client"
	"github.com/sirupsen/logrus"
)

// limit is what the cache may take, in bytes.
type limit struct {
	max int64
	// free is what should stay free on the disk, as long as the cache can keep
	// reserved.
	free, reserved int64
}

const (
	defaultMaxBytes   = 20e9
	defaultMaxPercent = 20
	defaultFreeBytes  = 1e9
)

// diskLimit fills in the defaults. Besides its limit, the cache gives way on a
// disk that is nearly full (1 GB or 1 % left), down to a quarter of its limit.
func diskLimit(maxBytes int64, root string) limit {
	l := limit{max: maxBytes, free: defaultFreeBytes}
	if total := disk(root).total; total > 0 {
		l.free = min(l.free, total/100)
		if l.max == 0 {
			l.max = min(defaultMaxBytes, total/100*defaultMaxPercent)
		}
	}
	if l.max == 0 {
		l.max = defaultMaxBytes
	}
	l.reserved = l.max / 4
	return l
}

// diskSpace is in bytes; all zero if the disk does not say.
type diskSpace struct{ total, used, free int64 }

func disk(path string) diskSpace {
	var st syscall.Statfs_t
	if err := syscall.Statfs(path, &st); err != nil {
		return diskSpace{}
	}
	return diskSpace{
		total: int64(st.Blocks) * st.Bsize,
		used:  int64(st.Blocks-st.Bfree) * st.Bsize,
		free:  int64(st.Bavail) * st.Bsize,
	}
}

// usage is what the last look at the whole cache found, kept in a file: looking
// means a walk through every cache mount, which may take as long as a build.
type usage struct {
	// Total is the size of the cache, Disk what was used of the disk, in bytes.
	Total int64 `json:"total"`
	Disk  int64 `json:"disk"`
	Max   int64 `json:"max"`
	// Time is in seconds since the epoch.
	Time int64 `json:"time"`
}

const usageAge = 24 * time.Hour

// roomLeft says that the cache is surely below its limit: even if everything
// that was written to the disk since the last look had gone into it. d is the
// disk's state now.
func (s *state) roomLeft(d diskSpace, now time.Time) bool {
	b, err := os.ReadFile(s.usageFile())
	if s.killed || err != nil || d.free < s.limit.free {
		return false
	}
	var u usage
	if json.Unmarshal(b, &u) != nil || u.Max != s.limit.max {
		return false
	}
	if age := now.Sub(time.Unix(u.Time, 0)); age < 0 || age > usageAge {
		return false
	}
	grown := max(0, d.used-u.Disk)
	return u.Total+grown+s.limit.max/8 < s.limit.max
}

func (s *state) usageFile() string { return filepath.Join(s.dir, "usage.json") }

// prune brings the cache down to its limit, if it is not surely below it.
func (s *state) prune(ctx context.Context) error {
	start := time.Now()
	if s.roomLeft(disk(s.dir), start) {
		return nil
	}
	ch := make(chan client.UsageInfo)
	done := make(chan int)
	go func() {
		n := 0
		for range ch {
			n++
		}
		done <- n
	}()
	policy := client.PruneInfo{MaxUsedSpace: s.limit.max, MinFreeSpace: s.limit.free, ReservedSpace: s.limit.reserved}
	all := policy
	all.All = true // the frontends' images too, if the rest was not enough
	err := s.worker.Prune(ctx, ch, policy, all)
	close(ch)
	if n := <-done; n > 0 {
		err = errors.Join(err, s.cache.ReleaseUnreferenced(ctx))
		logrus.Infof("removed %d records from the build cache in %s", n, time.Since(start))
	}
	if err != nil {
		return err
	}
	return s.saveUsage(ctx, start)
}

func (s *state) saveUsage(ctx context.Context, now time.Time) error {
	records, err := s.worker.DiskUsage(ctx, client.DiskUsageInfo{})
	if err != nil {
		return err
	}
	u := usage{Disk: disk(s.dir).used, Max: s.limit.max, Time: now.Unix()}
	for _, r := range records {
		if !r.Shared {
			u.Total += r.Size
		}
	}
	b, err := json.Marshal(u)
	if err != nil {
		return err
	}
	if err := os.WriteFile(s.usageFile(), b, 0o600); err != nil {
		// On a full disk. What is there does not parse, so the next Close looks again.
		logrus.Warn(err)
	}
	return nil
}
