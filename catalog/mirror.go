package catalog

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"time"
)

// MirrorVariable is the environment variable that names the mirror, in the form
// that ParseMirror reads.
const MirrorVariable = "BIRDHOUSE_DEBIAN_MIRROR"

// snapshotArchive is Debian's public archive of every state that its archives
// had, https://wiki.debian.org/SnapshotDebianOrg. Packages are verified by their
// checksums, wherever they come from.
const snapshotArchive = "http://snapshot.debian.org/archive"

// snapshotDelay is how long after a suite's date the snapshot archive surely
// has it: it looks at the archives every six hours.
const snapshotDelay = 12 * time.Hour

// Mirror has the URLs, without a slash at the end, of Debian's archive and of
// its security archive.
type Mirror struct{ Debian, Security string }

// ParseMirror reads "URL" or "URL SECURITY-URL". With one URL the security
// archive is expected beside the other, with "-security" at the end of its name,
// as mirrors have it: http://mirror.example.com/debian and
// http://mirror.example.com/debian-security.
func ParseMirror(s string) (Mirror, error) {
	m := parseMirror(s)
	if len(strings.Fields(s)) > 2 {
		return Mirror{}, fmt.Errorf("the Debian mirror %q is not \"URL\" or \"URL SECURITY-URL\"", s)
	}
	if err := m.Check(); err != nil {
		return Mirror{}, err
	}
	return m, nil
}

func parseMirror(s string) Mirror {
	f := strings.Fields(s)
	var m Mirror
	if len(f) > 0 {
		m.Debian = strings.TrimRight(f[0], "/")
		m.Security = m.Debian + "-security"
	}
	if len(f) > 1 {
		m.Security = strings.TrimRight(f[1], "/")
	}
	return m
}

// Check says what is wrong with a mirror.
func (m Mirror) Check() error {
	for _, s := range []string{m.Debian, m.Security} {
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || strings.ContainsAny(s, " \t\n") {
			return fmt.Errorf("the Debian mirror %q is not an http or https URL such as http://mirror.example.com/debian", s)
		}
	}
	return nil
}

// String returns the mirror as ParseMirror reads it; "" for none.
func (m Mirror) String() string {
	switch m.Security {
	case "":
		return m.Debian
	case m.Debian + "-security":
		return m.Debian
	}
	return m.Debian + " " + m.Security
}

// Base returns the URL of an archive, "debian" or "debian-security".
func (m Mirror) Base(archive string) string {
	if archive == "debian-security" {
		return m.Security
	}
	return m.Debian
}

// URL returns where the mirror has a package.
func (m Mirror) URL(p Package) string { return m.Base(p.Archive) + "/" + p.Path }

// SnapshotMirror returns Debian's public snapshot archive at the time of the
// lock. It has the packages of all suites that were as new as the lock: see Layer.Locked.
func (c *Catalog) SnapshotMirror() Mirror { return Snapshot(c.lock.Time) }

// Snapshot returns Debian's public snapshot archive, which keeps all packages that
// its archives ever had, as suites of a date were.
func Snapshot(date time.Time) Mirror {
	at := date.Add(snapshotDelay).UTC().Format("20060102T150405Z")
	return Mirror{
		Debian:   snapshotArchive + "/debian/" + at,
		Security: snapshotArchive + "/debian-security/" + at,
	}
}

// MachineMirror returns the mirror of this machine: what the environment
// variable MirrorVariable says, or what apt is configured to use for Debian's
// own suites; false when there is neither. What the variable says is not
// checked: see Mirror.Check.
func MachineMirror() (Mirror, bool) {
	if s := os.Getenv(MirrorVariable); strings.TrimSpace(s) != "" {
		return parseMirror(s), true
	}
	return aptMirror(os.DirFS("/etc/apt"))
}
