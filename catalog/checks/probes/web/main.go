// Command web uses what the image "web" has: lighttpd, which reads a
// configuration, serves a file, compresses it, and ends when it is told to.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const address = "127.0.0.1:8080"

const config = `
server.modules = ("mod_setenv", "mod_rewrite", "mod_deflate")
server.document-root = "%[1]s"
server.bind = "127.0.0.1"
server.port = 8080
server.upload-dirs = ("/tmp")
server.feature-flags = ("server.h2proto" => "disable", "server.h2c" => "disable")
index-file.names = ("index.html")
mimetype.assign = (".html" => "text/html")
setenv.set-response-header = ("Cache-Control" => "no-cache")
deflate.mimetypes = ("text/")
deflate.allowed-encodings = ("br", "zstd", "gzip")
url.rewrite-if-not-file = ("^" => "/index.html")
`

func main() {
	if err := check(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("everything works")
}

func check() error {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		return err
	}
	page := bytes.Repeat([]byte("a page "), 1000)
	file := filepath.Join(dir, "lighttpd.conf")
	if err := errors.Join(os.WriteFile(filepath.Join(dir, "index.html"), page, 0o644), os.WriteFile(file, fmt.Appendf(nil, config, dir), 0o644)); err != nil {
		return err
	}
	cmd := exec.Command("lighttpd", "-D", "-f", file)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for _, encoding := range []string{"", "gzip", "br", "zstd"} {
		if err := get(encoding, page, ended); err != nil {
			return fmt.Errorf("a page in the encoding %q: %w", encoding, err)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case err := <-ended:
		// Where a connection is not quite closed yet, lighttpd ends with 1.
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
			return nil
		}
		if err != nil {
			return fmt.Errorf("after SIGTERM: %w", err)
		}
		return nil
	case <-time.After(5 * time.Second):
		return errors.New("it did not end within 5 s of SIGTERM")
	}
}

// get asks for a path that has no file.
func get(encoding string, page []byte, ended <-chan error) error {
	req, err := http.NewRequest(http.MethodGet, "http://"+address+"/nothing", nil)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}, Timeout: 10 * time.Second}
	req.Header.Set("Accept-Encoding", encoding)
	res, err := client.Do(req)
	for range 100 {
		if err == nil {
			break
		}
		select {
		case err := <-ended:
			return fmt.Errorf("lighttpd ended: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
		res, err = client.Do(req)
	}
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	h := res.Header
	if res.StatusCode != http.StatusOK || h.Get("Content-Type") != "text/html" || h.Get("Cache-Control") != "no-cache" {
		return fmt.Errorf("%s: %v", res.Status, h)
	}
	if got := strings.TrimSpace(h.Get("Content-Encoding")); got != encoding {
		return fmt.Errorf("it came in %q", got)
	}
	if encoding == "" && !bytes.Equal(body, page) || encoding != "" && len(body) >= len(page)/10 {
		return fmt.Errorf("it has %d bytes of %d", len(body), len(page))
	}
	return nil
}
