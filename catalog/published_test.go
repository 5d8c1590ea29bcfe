package catalog_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

var digest = "sha256:" + strings.Repeat("4e", 32)

func TestPublished(t *testing.T) {
	lock := smallLock().WithPublished(&catalog.Published{Prefix: "localhost:5000/team/bases", Images: map[string]string{
		"static:7": digest, "go:1.26.11-build": digest,
	}, Only: map[string][]string{"go:1.26.11-build": {"amd64"}}})
	require.Nil(t, smallLock().Published)
	text, err := lock.Bytes()
	require.NoError(t, err)
	read, err := catalog.ParseLock("lock", text)
	require.NoError(t, err)
	require.Equal(t, lock, read)

	c, err := catalog.New(smallDefinitions(t), read)
	require.NoError(t, err)
	ref, ok := c.Published(plan.Base{Image: "go", Version: "1.26.11", Variant: "build", With: []string{"tool"}}, "amd64")
	require.True(t, ok)
	require.Equal(t, "localhost:5000/team/bases/go:1.26.11-build@"+digest, ref)
	_, ok = c.Published(plan.Base{Image: "go", Version: "1.26.11", Variant: "build"}, "arm64")
	require.False(t, ok, "it is there for amd64 only")
	_, ok = c.Published(plan.Base{Image: "static", Version: "7"}, "arm64")
	require.True(t, ok)
	_, ok = c.Published(plan.Base{Image: "go", Version: "1.26.8", Variant: "build"}, "amd64")
	require.False(t, ok)
	_, ok = small(t).Published(plan.Base{Image: "static", Version: "7"}, "amd64")
	require.False(t, ok)
}

func TestPublishedForSomeArchitectures(t *testing.T) {
	p := &catalog.Published{Images: map[string]string{}}
	all := []string{"amd64", "arm64"}
	p.Add("static:7", digest, []string{"arm64", "amd64"}, all)
	require.Nil(t, p.Only)
	p.Add("go:1-build", digest, []string{"s390x", "amd64"}, all)
	require.Equal(t, map[string][]string{"go:1-build": {"amd64"}}, p.Only)
	p.Add("go:1-build", digest, all, all)
	require.Empty(t, p.Only)
	require.Len(t, p.Images, 2)
}

// A lock is input: what is published ends up in references of images.
func TestPublishedThatIsRefused(t *testing.T) {
	for name, p := range map[string]catalog.Published{
		"an empty prefix":     {Images: map[string]string{"static:7": digest}},
		"a prefix with @":     {Prefix: "localhost:5000/a@b", Images: map[string]string{"static:7": digest}},
		"a prefix with a tag": {Prefix: "localhost:5000/a:b", Images: map[string]string{"static:7": digest}},
		"a prefix with ..":    {Prefix: "localhost:5000/../a", Images: map[string]string{"static:7": digest}},
		"an upper-case path":  {Prefix: "localhost:5000/A", Images: map[string]string{"static:7": digest}},
		"a slash at the end":  {Prefix: "localhost:5000/a/", Images: map[string]string{"static:7": digest}},
		"no images":           {Prefix: "localhost:5000/a"},
		"no tag":              {Prefix: "localhost:5000/a", Images: map[string]string{"static": digest}},
		"a path as image":     {Prefix: "localhost:5000/a", Images: map[string]string{"../static:7": digest}},
		"only of nothing":     {Prefix: "localhost:5000/a", Images: map[string]string{"static:7": digest}, Only: map[string][]string{"base:7": {"amd64"}}},
		"no architecture":     {Prefix: "localhost:5000/a", Images: map[string]string{"static:7": digest}, Only: map[string][]string{"static:7": {"a b"}}},
		"no digest":           {Prefix: "localhost:5000/a", Images: map[string]string{"static:7": "7"}},
		"another digest":      {Prefix: "localhost:5000/a", Images: map[string]string{"static:7": digest + "\n"}},
	} {
		t.Run(name, func(t *testing.T) {
			text, err := smallLock().WithPublished(&p).Bytes()
			require.NoError(t, err)
			_, err = catalog.ParseLock("lock", text)
			require.ErrorContains(t, err, "published: ")
		})
	}
	for _, prefix := range []string{"registry.example.com", "registry.example.com/a/b-c", "127.0.0.1:80/a", "[::1]:5000/a", "localhost/a_b/c.d"} {
		require.NoError(t, catalog.CheckPrefix(prefix), prefix)
	}
}

func TestTags(t *testing.T) {
	c := small(t)
	for _, tt := range []struct {
		base     plan.Base
		revision string
		want     []string
	}{
		{plan.Base{Image: "static", Version: "7"}, "", []string{"7-20261120", "7"}},
		{plan.Base{Image: "static", Version: "7"}, "2", []string{"7-20261120.2", "7"}},
		{plan.Base{Image: "go", Version: "1.26.11", Variant: "build"}, "", []string{"1.26.11-20261120-build", "1.26.11-build", "1.26-build"}},
		// An older patch release is not what 1.26 stands for.
		{plan.Base{Image: "go", Version: "1.26.8", Variant: "build"}, "", []string{"1.26.8-20261120-build", "1.26.8-build"}},
	} {
		tags, err := c.Tags(tt.base, tt.revision)
		require.NoError(t, err)
		require.Equal(t, tt.want, tags.All())
	}
	require.Equal(t, []string{"1"}, catalog.Tags{Moving: []string{"1"}}.All())
	_, err := c.Tags(plan.Base{Image: "none", Version: "7"}, "")
	require.ErrorContains(t, err, "none")
}

func TestBelow(t *testing.T) {
	c := small(t)
	for _, tt := range []struct{ image, version, variant, want string }{
		{"static", "7", "", ""},
		{"base", "7", "", "static:7"},
		{"go", "1.26.11", "build", "static:7"},
	} {
		below, ok, err := c.Below(plan.Base{Image: tt.image, Version: tt.version, Variant: tt.variant}, "arm64")
		require.NoError(t, err)
		require.Equal(t, tt.want != "", ok)
		if ok {
			require.Equal(t, tt.want, below.String())
		}
	}
}
