package harness

import (
	"io"
	"log"
	"net/http/httptest"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry starts a registry in this process, on plain HTTP, and returns its
// address, as images there are named: "127.0.0.1:43210".
func Registry(t testing.TB) string {
	t.Helper()
	server := httptest.NewServer(registry.New(
		registry.Logger(log.New(io.Discard, "", 0)),
		registry.WithBlobHandler(registry.NewDiskBlobHandler(t.TempDir())),
	))
	t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}
