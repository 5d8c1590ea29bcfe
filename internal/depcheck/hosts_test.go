package depcheck

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// hosts are the registries and archives that packages are fetched from, their
// labels apart so that this file does not name them.
var hosts = [][]string{
	{"proxy", "golang", "org"}, {"sum", "golang", "org"}, {"index", "golang", "org"}, {"goproxy", "io"}, {"goproxy", "cn"},
	{"registry", "npmjs", "org"}, {"registry", "npmjs", "com"}, {"registry", "yarnpkg", "com"}, {"npm", "pkg", "github", "com"},
	{"pypi", "org"}, {"files", "pythonhosted", "org"},
	{"repo", "maven", "apache", "org"}, {"repo1", "maven", "org"}, {"repo", "maven", "org"}, {"central", "sonatype", "com"},
	{"crates", "io"}, {"static", "rust-lang", "org"},
	{"deb", "debian", "org"}, {"ftp", "debian", "org"}, {"security", "debian", "org"}, {"snapshot", "debian", "org"}, {"httpredir", "debian", "org"},
	{"nodejs", "org", "dist"}, {"plugins", "gradle", "org"}, {"services", "gradle", "org"},
	{"registry-1", "docker", "io"}, {"index", "docker", "io"},
}

// snapshot is the one host that the tree may name, in one file: where a lock's
// packages are kept for good.
var (
	snapshot     = strings.Join([]string{"snapshot", "debian", "org"}, ".")
	snapshotHome = "catalog/"
)

// name joins the labels; "dist" is no label but a path.
func name(labels []string) string {
	if labels[len(labels)-1] == "dist" {
		return strings.Join(labels[:len(labels)-1], ".") + "/dist"
	}
	return strings.Join(labels, ".")
}

// names returns the hosts that text has in it. A longer host that ends or begins
// with another one's name counts as that one.
func names(text []byte) []string {
	var found []string
	for _, labels := range hosts {
		if n := name(labels); bytes.Contains(text, []byte(n)) {
			found = append(found, n)
		}
	}
	return found
}

func TestNames(t *testing.T) {
	first := name(hosts[0])
	if got := names([]byte("GOPROXY=https://" + first + ",direct")); len(got) != 1 || got[0] != first {
		t.Errorf("found %q, want %s alone", got, first)
	}
	if got := names([]byte("registry.example.com/birdhouse:1")); got != nil {
		t.Errorf("found %q where there is none", got)
	}
}

// TestTreeNamesNoHost checks every file of the tree: mirrors come from the
// machine's configuration or the environment, never from us.
func TestTreeNamesNoHost(t *testing.T) {
	root := filepath.Join("..", "..")
	cmd := exec.Command("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
	cmd.Dir = root
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("git ls-files: %v", err)
	}
	files := strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")
	if len(files) < 10 {
		t.Fatalf("%d files in the tree: is this the tree?", len(files))
	}
	var homes []string
	for _, file := range files {
		path := filepath.Join(root, file)
		info, err := os.Lstat(path)
		if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
			continue // removed and not yet committed, or a link
		}
		text, err := os.ReadFile(path)
		if err != nil {
			t.Error(err)
			continue
		}
		for _, n := range names(text) {
			if n == snapshot && strings.HasPrefix(file, snapshotHome) {
				homes = append(homes, file)
				continue
			}
			t.Errorf("%s names %s", file, n)
		}
	}
	if len(homes) > 1 {
		t.Errorf("%s is a constant of one file, and stands in %q", snapshot, homes)
	}
}
