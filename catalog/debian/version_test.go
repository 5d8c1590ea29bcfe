package debian

import (
	"os/exec"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// ordered are versions from the oldest to the newest.
var ordered = []string{
	"~~", "~~a", "~", "0~0", "0", "0.1~rc1-1", "0.1-1~deb13u1", "0.1-1", "0.1-1+b1", "0.1-1+deb13u1", "0.1-1+deb13u2", "0.1-1+deb13u10",
	"0.1-2", "0.1a-1", "0.1+dfsg-1", "0.1.1-1", "0.2~", "0.2", "0.10", "0.010.1", "1.2.3-4-5", "9", "09.1",
	"20250419000000000000000000000000000000000000001", "20250419000000000000000000000000000000000000002",
	"1:0.0.1", "1:0.1", "2:0", "10:0",
}

func TestVersionsAreOrdered(t *testing.T) {
	for i, a := range ordered {
		for j, b := range ordered {
			c := CompareVersions(a, b)
			switch {
			case i < j:
				require.Negative(t, c, "%s < %s", a, b)
			case i > j:
				require.Positive(t, c, "%s > %s", a, b)
			default:
				require.Zero(t, c, "%s = %s", a, b)
			}
		}
	}
	for _, same := range [][2]string{{"1.0", "0:1.0"}, {"1.0", "1.0-0"}, {"1.00", "1.0"}, {"1.a", "1.a0"}} {
		require.Zero(t, CompareVersions(same[0], same[1]), "%s = %s", same[0], same[1])
	}
}

// dpkg itself agrees.
func TestVersionsAreOrderedAsByDpkg(t *testing.T) {
	if testing.Short() {
		t.Skip("needs dpkg")
	}
	for i, a := range ordered[3:] {
		for _, b := range ordered[3:][i+1:] {
			require.NoError(t, exec.Command("dpkg", "--compare-versions", a, "lt", b).Run(), "%s < %s", a, b)
		}
	}
}

func TestVersionsThatAreNone(t *testing.T) {
	for _, v := range []string{"", "-1", "1-", "a:1", ":1", "1 2", "1\n", "1/2", "1(", "é"} {
		require.Error(t, checkVersion(v), "%q", v)
	}
	for _, v := range append(slices.Clone(ordered), "1.2.3-4", "2:6.3.0+dfsg-3", "1:1.3.dfsg+really1.3.1-1+b1") {
		require.NoError(t, checkVersion(v), "%q", v)
	}
}

func FuzzCompareVersions(f *testing.F) {
	f.Add("1:1.2~rc1-3", "1.2+b1", "0")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		ab, bc, ac := CompareVersions(a, b), CompareVersions(b, c), CompareVersions(a, c)
		if CompareVersions(a, a) != 0 || (ab < 0) != (CompareVersions(b, a) > 0) {
			t.Fatalf("%q and %q are not ordered", a, b)
		}
		if ab <= 0 && bc <= 0 && ac > 0 {
			t.Fatalf("%q <= %q <= %q, but not the first and the last", a, b, c)
		}
	})
}
