package engine

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

func TestRoomLeft(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := &state{dir: t.TempDir(), limit: limit{max: 8000}}
	used := disk(s.dir).used
	// Far from what else is written to this disk meanwhile.
	const other = 100 << 30
	s.limit.max = 8 * other
	fits := usage{Total: other, Disk: used + other, Max: s.limit.max, Time: now.Unix() - 60}
	for name, c := range map[string]struct {
		change func(*usage, *state)
		want   bool
	}{
		"below the limit":         {func(*usage, *state) {}, true},
		"nearly at the limit":     {func(u *usage, _ *state) { u.Total = 7 * other }, false},
		"the disk grew":           {func(u *usage, _ *state) { u.Disk, u.Total = used-7*other, 0 }, false},
		"another limit":           {func(u *usage, _ *state) { u.Max-- }, false},
		"too long ago":            {func(u *usage, _ *state) { u.Time -= 2 * 24 * 3600 }, false},
		"in the future":           {func(u *usage, _ *state) { u.Time += 3600 }, false},
		"the last was killed":     {func(_ *usage, s *state) { s.killed = true }, false},
		"the disk is nearly full": {func(_ *usage, s *state) { s.limit.free = 1 << 60 }, false},
	} {
		u, s := fits, *s
		c.change(&u, &s)
		b, err := json.Marshal(u)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(s.usageFile(), b, 0o600); err != nil {
			t.Fatal(err)
		}
		if got := s.roomLeft(now); got != c.want {
			t.Errorf("%s: room left %v, want %v", name, got, c.want)
		}
	}
	if err := os.WriteFile(s.usageFile(), []byte(`{"total":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.roomLeft(now) {
		t.Error("room left according to half a file")
	}
	if err := os.Remove(s.usageFile()); err != nil {
		t.Fatal(err)
	}
	if s.roomLeft(now) {
		t.Error("room left according to no file")
	}
}
