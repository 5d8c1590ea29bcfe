package engine

import (
	"encoding/json"
	"os"
	"testing"
	"time"
)

func TestRoomLeft(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	s := &state{dir: t.TempDir(), limit: limit{max: 8000, free: 1000}}
	d := diskSpace{total: 50000, used: 20000, free: 30000}
	fits := usage{Total: 1000, Disk: 19000, Max: 8000, Time: now.Unix() - 60}
	for name, c := range map[string]struct {
		change func(*usage, *state)
		want   bool
	}{
		"below the limit":         {func(*usage, *state) {}, true},
		"nearly at the limit":     {func(u *usage, _ *state) { u.Total = 6000 }, false},
		"the disk grew":           {func(u *usage, _ *state) { u.Disk = 14000 }, false},
		"another limit":           {func(u *usage, _ *state) { u.Max-- }, false},
		"too long ago":            {func(u *usage, _ *state) { u.Time -= 2 * 24 * 3600 }, false},
		"in the future":           {func(u *usage, _ *state) { u.Time += 3600 }, false},
		"the last was killed":     {func(_ *usage, s *state) { s.killed = true }, false},
		"the disk is nearly full": {func(_ *usage, s *state) { s.limit.free = 30001 }, false},
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
		if got := s.roomLeft(d, now); got != c.want {
			t.Errorf("%s: room left %v, want %v", name, got, c.want)
		}
	}
	if err := os.WriteFile(s.usageFile(), []byte(`{"total":`), 0o600); err != nil {
		t.Fatal(err)
	}
	if s.roomLeft(d, now) {
		t.Error("room left according to half a file")
	}
	if err := os.Remove(s.usageFile()); err != nil {
		t.Fatal(err)
	}
	if s.roomLeft(d, now) {
		t.Error("room left according to no file")
	}
}
