package python

import (
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/requirement"
)

// compileNeeds are the Debian packages with what well-known source distributions are compiled
// against; pg_config is a program of Perl's.
var compileNeeds = map[string]string{
	"cairocffi": "libcairo2-dev", "dbus-python": "libdbus-1-dev libglib2.0-dev pkgconf", "gssapi": "libkrb5-dev", "kerberos": "libkrb5-dev", "lxml": "libxml2-dev libxslt1-dev",
	"mysqlclient": "libmariadb-dev pkgconf", "pillow": "libjpeg-dev zlib1g-dev", "psycopg-c": "libpq-dev perl-base", "psycopg2": "libpq-dev perl-base", "pycairo": "libcairo2-dev pkgconf",
	"pycups": "libcups2-dev", "pycurl": "libcurl4-openssl-dev", "pyodbc": "unixodbc-dev", "python-ldap": "libldap-dev libsasl2-dev", "xmlsec": "libxmlsec1-dev pkgconf",
}

// sdistHint says which Debian packages the packages of build.sdist are compiled against, as
// far as they are known and build.packages does not have them.
func (b *builder) sdistHint() string {
	missing := b.compilePackages(b.spec.Build.SDist)
	if len(missing) == 0 {
		return ""
	}
	return "it is compiled against what Debian has in\nbuild: {packages: [" + strings.Join(missing, ", ") + "]}\n"
}

// compilePackages are the Debian packages that packages are compiled against, as far as they
// are known and build.packages does not have them, sorted.
func (b *builder) compilePackages(names []string) []string {
	var missing []string
	for _, name := range names {
		for _, pkg := range strings.Fields(compileNeeds[requirement.Name(name)]) {
			if !slices.Contains(b.spec.Build.Packages, pkg) && !slices.Contains(missing, pkg) {
				missing = append(missing, pkg)
			}
		}
	}
	slices.Sort(missing)
	return missing
}
