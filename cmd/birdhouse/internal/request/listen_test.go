package request_test

import (
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// listen makes a Unix socket.
func listen(t *testing.T, path string) string {
	t.Helper()
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return path
}
