package machine

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// gitTime is how long git may take: a revision is not worth a slow build.
const gitTime = 5 * time.Second

// Revision returns the commit of the git work tree that holds dir, with
// "-dirty" added when a file that git knows has changed, and the URL of the
// remote "origin" without a password. Both are "" where there is no git, no
// work tree or no commit.
func Revision(ctx context.Context, dir string) (revision, source string) {
	if !inWorkTree(dir) {
		return "", ""
	}
	ctx, cancel := context.WithTimeout(ctx, gitTime)
	defer cancel()
	revision, ok := git(ctx, dir, "rev-parse", "--verify", "HEAD")
	if !ok {
		return "", ""
	}
	if changed, ok := git(ctx, dir, "status", "--porcelain", "--untracked-files=no"); ok && changed != "" {
		revision += "-dirty"
	}
	if source, ok = git(ctx, dir, "config", "--get", "remote.origin.url"); ok {
		source = withoutUser(source)
	}
	return revision, source
}

// inWorkTree spares the start of git where there is none.
func inWorkTree(dir string) bool {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return false
	}
	for {
		if _, err := os.Lstat(filepath.Join(dir, ".git")); err == nil {
			return true
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return false
		}
		dir = parent
	}
}

// git runs a command that only reads. A work tree is untrusted: no program that
// its configuration names is started.
func git(ctx context.Context, dir string, args ...string) (string, bool) {
	args = append([]string{"-C", dir, "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null"}, args...)
	cmd := exec.CommandContext(ctx, "git", args...)
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "LC_ALL=C")
	out, err := cmd.Output()
	return strings.TrimSpace(string(out)), err == nil
}

// withoutUser drops the credentials of an HTTP URL.
func withoutUser(url string) string {
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok || scheme == "ssh" {
		return url
	}
	host, path, _ := strings.Cut(rest, "/")
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
	}
	return scheme + "://" + host + "/" + path
}
