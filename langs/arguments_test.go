package langs_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/langs"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

func TestExpand(t *testing.T) {
	const text = "language: go\nargs:\n  CHANNEL: stable\nenv:\n  V: \"{{.Version}} {{.Revision}} {{.Args.CHANNEL}}\"\n"
	for _, test := range []struct {
		name     string
		given    map[string]string
		revision string
		want     string
	}{
		{"defaults", nil, "", "dev unknown stable"},
		{"given", map[string]string{"VERSION": "1.2", "CHANNEL": "beta"}, "abc", "1.2 abc beta"},
		{"an argument replaces the client's revision", map[string]string{"REVISION": "def"}, "abc", "dev def stable"},
		{"predefined", map[string]string{"HTTP_PROXY": "x", "SOURCE_DATE_EPOCH": "0", "BUILDKIT_INLINE_CACHE": "1", "BIRDHOUSE_DEBIAN_MIRROR": "y"}, "", "dev unknown stable"},
	} {
		t.Run(test.name, func(t *testing.T) {
			s, problems := spec.Parse("birdhouse.yaml", []byte(text), langs.Names())
			require.Empty(t, problems)
			require.Empty(t, langs.Expand(s, test.given, test.revision))
			require.Equal(t, test.want, s.Env["V"])
		})
	}
}

func TestExpandRejectsUndeclared(t *testing.T) {
	s, problems := spec.Parse("birdhouse.yaml", []byte("language: go\nargs:\n  CHANNEL: stable\n"), langs.Names())
	require.Empty(t, problems)
	problems = langs.Expand(s, map[string]string{"CHANEL": "x", "WHAT_IS_THIS": "y"}, "")
	require.Len(t, problems, 2)
	require.True(t, problems.HasErrors())
	require.Equal(t, `did you mean "CHANNEL"?`, problems[0].Hint)
	require.Contains(t, problems[1].Hint, "declare it")
}
