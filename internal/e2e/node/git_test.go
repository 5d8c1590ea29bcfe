package node_test

import (
	"net"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// A package of a git repository that asks who is there: the secret netrc opens it,
// and without one the error says how to give it.
func TestNodeGit(t *testing.T) {
	const user, password, sampleAddr = "bird", "a-password-of-a-test", "127.0.0.1:9481"
	dir := nodeProject(t, "git")
	root := t.TempDir()
	bareLib(t, root)
	git, err := exec.LookPath("git")
	if err != nil {
		t.Fatal(err)
	}
	repositories := &cgi.Handler{
		Path: git, Args: []string{"http-backend"},
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "HOME=" + root},
	}
	server := httptest.NewServer(e2etest.Asks(user, password, repositories))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	for _, name := range []string{"package.json", "package-lock.json"} {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		e2etest.Write(t, filepath.Join(dir, name), strings.ReplaceAll(string(text), sampleAddr, addr))
	}
	netrc := filepath.Join(t.TempDir(), "netrc")
	e2etest.Write(t, netrc, "")

	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", "--secret", "id=netrc,src="+netrc, dir))
	e2etest.Contains(t, out, "could not read Username for '"+server.URL+"'", "secrets: [netrc] and --secret id=netrc,src=$HOME/.netrc")

	e2etest.Write(t, netrc, "machine 127.0.0.1 login "+user+" password "+password+"\n")
	name, _ := e2etest.Build(t, dir, "--secret", "id=netrc,src="+netrc)
	p := e2etest.Start(t, name, "--read-only")
	if got := p.Get(t, "/"); got != "from a repository" {
		t.Errorf("the program answers %q", got)
	}
	p.Ends(t, 0, 143)
	img := e2etest.Stored(t, name, "")
	if _, modules := nodeFiles(t, img); len(modules) != 1 || modules[0] != "lib" {
		t.Errorf("the image has the packages %q", modules)
	}
	for name := range e2etest.Files(t, img) {
		if strings.Contains(name, "/.git") || strings.HasSuffix(name, ".netrc") {
			t.Errorf("the image has %s", name)
		}
	}

	// Who is not there any more is named.
	server.Close()
	e2etest.Contains(t, e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "--no-cache", "-t", "never", "--progress=plain", dir)), "Failed to connect to 127.0.0.1", "[prod] npm ci")
}

// A package of a git repository that only an SSH key opens: the agent that is
// forwarded has it, and one that has not is refused with the way to give it.
func TestNodeGitSSH(t *testing.T) {
	dir := nodeProject(t, "git")
	root := t.TempDir()
	bareLib(t, root)
	agent, key := e2etest.SSHAgent(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	git := &e2etest.GitServer{Root: root, Key: key, Host: e2etest.NewHostKey(t)}
	go git.Serve(l)
	for _, name := range []string{"package.json", "package-lock.json"} {
		e2etest.Edit(t, filepath.Join(dir, name), "git+http://127.0.0.1:9481", "git+ssh://git@"+l.Addr().String())
	}
	e2etest.Write(t, filepath.Join(dir, "birdhouse.yaml"), "language: node\nssh: true\n")

	out := e2etest.Fails(t, 1, e2etest.Birdhouse(t, "build", "-t", "never", "--progress=plain", "--ssh", "default="+e2etest.StartAgent(t), dir))
	e2etest.Contains(t, out, "Permission denied (publickey)", "ssh: true and --ssh default")

	name, out := e2etest.Build(t, dir, "--ssh", "default="+agent)
	if git.Fetched.Load() == 0 {
		t.Errorf("the repository was not fetched:\n%s", out)
	}
	p := e2etest.Start(t, name, "--read-only")
	if got := p.Get(t, "/"); got != "from a repository" {
		t.Errorf("the program answers %q", got)
	}
	p.Ends(t, 0, 143)
	for name := range e2etest.Files(t, e2etest.Stored(t, name, "")) {
		if strings.Contains(name, "/.git") || strings.Contains(name, ".ssh") {
			t.Errorf("the image has %s", name)
		}
	}
}

// bareLib makes the repository lib.git below root, with the commit that the sample's
// lock file names.
func bareLib(t *testing.T, root string) {
	t.Helper()
	work := filepath.Join(t.TempDir(), "lib")
	e2etest.Write(t, filepath.Join(work, "package.json"), "{\n  \"name\": \"lib\",\n  \"version\": \"1.0.0\",\n  \"main\": \"index.js\"\n}\n")
	e2etest.Write(t, filepath.Join(work, "index.js"), "exports.text = \"from a repository\";\n")
	for _, args := range [][]string{
		{"init", "-q", "-b", "main", work},
		{"-C", work, "add", "."},
		{"-C", work, "-c", "user.name=t", "-c", "user.email=t@example.test", "commit", "-q", "-m", "first"},
		{"-C", work, "tag", "v1.0.0"},
		{"clone", "-q", "--bare", work, filepath.Join(root, "lib.git")},
	} {
		cmd := exec.Command("git", args...)
		cmd.Env = append(os.Environ(), "HOME="+root, "GIT_CONFIG_NOSYSTEM=1", "GIT_AUTHOR_DATE=2001-01-01T00:00:00Z", "GIT_COMMITTER_DATE=2001-01-01T00:00:00Z")
		harness.Run(t, cmd)
	}
}
