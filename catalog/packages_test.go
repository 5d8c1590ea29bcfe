package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
)

func TestIndices(t *testing.T) {
	c, err := catalog.New(smallDefinitions(t), smallLock())
	require.NoError(t, err)
	got, err := c.Indices("7", "arm64")
	require.NoError(t, err)
	sum := strings.Repeat("3d", 32)
	require.Equal(t, []catalog.Index{{
		Archive: "debian", Suite: "stone", SHA256: sum, Path: "dists/stone/main/binary-arm64/by-hash/SHA256/" + sum,
		Locked: smallLock().Time,
	}}, got)
	m := catalog.Mirror{Debian: "http://mirror.test/debian", Security: "http://mirror.test/security"}
	require.Equal(t, "http://mirror.test/debian/"+got[0].Path, m.IndexURL(got[0]))

	_, err = c.Indices("7", "s390x")
	require.ErrorContains(t, err, "the lock does not say which packages stone has for s390x; `birdhouse catalog update FILE`")
	_, err = c.Indices("8", "amd64")
	require.ErrorContains(t, err, `no release "8"`)
}

func TestPackageLayer(t *testing.T) {
	c, err := catalog.New(smallDefinitions(t), smallLock())
	require.NoError(t, err)
	pkg := func(name, version string) catalog.Package {
		return catalog.Package{
			Name: name, Version: version, Architecture: "arm64", Archive: "debian",
			Path: "pool/main/" + name + ".deb", SHA256: strings.Repeat("4e", 32), Size: 1,
		}
	}
	l, err := c.PackageLayer("7", "arm64", []catalog.Package{pkg("libldap2", "2.6.10+dfsg-1"), pkg("libpq5", "17.6-0+deb13u1"), pkg("zlib1g", "1:1.3")}, []string{"libpq5"})
	require.NoError(t, err)
	require.Equal(t, "packages", l.Name)
	require.Equal(t, "libpq5 17.6, with libldap2, zlib1g", l.What)
	require.Equal(t, []string{"usr/share/man/**"}, l.Spec.Exclude)
	require.Equal(t, []string{"usr/share/doc/*/copyright"}, l.Spec.Keep)
	require.True(t, l.Spec.Lower)
	require.Len(t, l.Spec.Packages, 3)

	var many []catalog.Package
	for i := range 40 {
		many = append(many, pkg(fmt.Sprintf("lib%02d", i), "1"))
	}
	l, err = c.PackageLayer("7", "arm64", many, []string{"lib39"})
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(l.What, "lib39 1, with lib00, lib01, "), l.What)
	require.True(t, strings.HasSuffix(l.What, ", lib22 and 16 more"), l.What)

	bad := pkg("libpq5", "1")
	bad.Path = "pool/../../x"
	_, err = c.PackageLayer("7", "arm64", []catalog.Package{bad}, nil)
	require.ErrorContains(t, err, "is not a path in the archive")
	_, err = c.PackageLayer("7", "amd64", []catalog.Package{pkg("libpq5", "1")}, nil)
	require.ErrorContains(t, err, `it is for "arm64"`)
}
