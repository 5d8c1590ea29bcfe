package e2etest

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// StartAgent starts an ssh-agent with no keys and returns its socket.
func StartAgent(t testing.TB) string {
	t.Helper()
	// A Unix socket's path is short.
	dir, err := os.MkdirTemp("", "bh-agent-")
	if err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "s")
	cmd := exec.Command("ssh-agent", "-D", "-a", socket)
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting ssh-agent: %v: run `make setup`", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = os.RemoveAll(dir)
	})
	for range 500 {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			return socket
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("ssh-agent does not listen")
	return ""
}

// SSHAgent starts an agent with a new key and returns its socket and the key.
func SSHAgent(t testing.TB) (socket string, key ssh.PublicKey) {
	t.Helper()
	socket = StartAgent(t)
	file := filepath.Join(t.TempDir(), "id")
	harness.Run(t, exec.Command("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", file))
	add := exec.Command("ssh-add", "-q", file)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	harness.Run(t, add)
	text, err := os.ReadFile(file + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	if key, _, _, _, err = ssh.ParseAuthorizedKey(text); err != nil {
		t.Fatal(err)
	}
	return socket, key
}

// GitServer serves the repositories below root to the owner of key, over SSH.
type GitServer struct {
	// Root has the repositories; Key is who may read them, Host the server's own.
	Root string
	Key  ssh.PublicKey
	Host ssh.Signer
	// Fetched counts the times that somebody has read one.
	Fetched atomic.Int32
}

// Serve answers until the listener is closed.
func (g *GitServer) Serve(l net.Listener) {
	config := &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, key ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(key.Marshal(), g.Key.Marshal()) {
				return nil, errors.New("unknown key")
			}
			return nil, nil
		},
	}
	config.AddHostKey(g.Host)
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go g.connection(conn, config)
	}
}

// NewHostKey is a key for an SSH server.
func NewHostKey(t testing.TB) ssh.Signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

func (g *GitServer) connection(conn net.Conn, config *ssh.ServerConfig) {
	defer conn.Close()
	server, channels, requests, err := ssh.NewServerConn(conn, config)
	if err != nil {
		return
	}
	defer server.Close()
	go ssh.DiscardRequests(requests)
	for c := range channels {
		if c.ChannelType() != "session" || server.User() != "git" {
			_ = c.Reject(ssh.Prohibited, "git alone")
			continue
		}
		channel, requests, err := c.Accept()
		if err != nil {
			return
		}
		go g.session(channel, requests)
	}
}

func (g *GitServer) session(channel ssh.Channel, requests <-chan *ssh.Request) {
	defer channel.Close()
	for r := range requests {
		var command struct{ Text string }
		path, ok := "", false
		if r.Type == "exec" && ssh.Unmarshal(r.Payload, &command) == nil {
			path, ok = strings.CutPrefix(command.Text, "git-upload-pack '")
		}
		if !ok {
			_ = r.Reply(r.Type == "env", nil)
			continue
		}
		_ = r.Reply(true, nil)
		g.Fetched.Add(1)
		cmd := exec.Command("git", "upload-pack", filepath.Join(g.Root, filepath.Clean("/"+strings.TrimSuffix(path, "'"))))
		cmd.Stdout, cmd.Stderr = channel, channel.Stderr()
		in, err := cmd.StdinPipe()
		if err != nil {
			return
		}
		go func() {
			_, _ = io.Copy(in, channel)
			_ = in.Close()
		}()
		status := struct{ Code uint32 }{}
		if err := cmd.Run(); err != nil {
			status.Code = 1
		}
		_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(&status))
		return
	}
}
