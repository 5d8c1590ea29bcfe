package request

import (
	"context"
	"testing"

	"github.com/moby/buildkit/session/secrets"
	"github.com/stretchr/testify/require"
)

type store map[string]string

func (s store) GetSecret(_ context.Context, id string) ([]byte, error) {
	if v, ok := s[id]; ok {
		return []byte(v), nil
	}
	return nil, secrets.ErrNotFound
}

func TestTheUsersSecretsComeFirst(t *testing.T) {
	both := secretStores{store{"netrc": "mine"}, store{"netrc": "the machine's", "ca": "PEM"}}
	for id, want := range map[string]string{"netrc": "mine", "ca": "PEM"} {
		got, err := both.GetSecret(context.Background(), id)
		require.NoError(t, err)
		require.Equal(t, want, string(got))
	}
	_, err := both.GetSecret(context.Background(), "other")
	require.ErrorIs(t, err, secrets.ErrNotFound)
}
