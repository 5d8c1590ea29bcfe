package jvm

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEnvironment(t *testing.T) {
	const common = "-Djdk.http.auth.tunneling.disabledSchemes= -Daether.connector.http.useSystemProperties=true"
	const local = "-Dhttp.nonProxyHosts=localhost|127.*|[::1]"
	for name, tt := range map[string]struct {
		env  []string
		want string
	}{
		"none":      {nil, ""},
		"one":       {[]string{"HTTP_PROXY=http://proxy.example.com:3128"}, "-Dhttp.proxyHost=proxy.example.com -Dhttp.proxyPort=3128 " + local + " " + common},
		"password":  {[]string{"HTTPS_PROXY=http://me:p%40ss@proxy:1"}, "-Dhttps.proxyHost=proxy -Dhttps.proxyPort=1 -Dhttps.proxyUser=me -Dhttps.proxyPassword=p@ss " + local + " " + common},
		"ports":     {[]string{"http_proxy=proxy", "https_proxy=https://[2001:db8::1]/"}, "-Dhttp.proxyHost=proxy -Dhttp.proxyPort=80 -Dhttps.proxyHost=2001:db8::1 -Dhttps.proxyPort=443 " + local + " " + common},
		"lower":     {[]string{"HTTP_PROXY=http://a:1", "http_proxy=http://b:2"}, "-Dhttp.proxyHost=b -Dhttp.proxyPort=2 " + local + " " + common},
		"socks":     {[]string{"HTTP_PROXY=socks5://a:1"}, ""},
		"odd":       {[]string{"HTTP_PROXY=http://a b:1"}, ""},
		"no option": {[]string{"HTTPS_PROXY=http://u:$(id)@a:1"}, ""},
		"direct": {
			[]string{"HTTP_PROXY=http://a:1", "NO_PROXY=example.com,.example.org,*.example.net, 10.0.0.0/8,host:8080,::1"},
			"-Dhttp.proxyHost=a -Dhttp.proxyPort=1 " + local + "|example.com|*.example.com|*.example.org|*.example.net|host|*.host|[::1] " + common,
		},
		"all direct": {[]string{"HTTP_PROXY=http://a:1", "NO_PROXY=x,*"}, "-Dhttp.proxyHost=a -Dhttp.proxyPort=1 -Dhttp.nonProxyHosts=* " + common},
	} {
		t.Run(name, func(t *testing.T) {
			got := environment(append(tt.env, "MAVEN_OPTS=-Xmx1g"))
			if tt.want == "" {
				require.Equal(t, append(tt.env, "MAVEN_OPTS=-Xmx1g"), got)
				return
			}
			require.Equal(t, append(tt.env, "MAVEN_OPTS=-Xmx1g", "MAVEN_OPTS=-Xmx1g "+tt.want, "GRADLE_OPTS="+tt.want), got)
		})
	}
}

func TestIsMounted(t *testing.T) {
	table := filepath.Join(t.TempDir(), "mountinfo")
	require.NoError(t, os.WriteFile(table, []byte("36 35 98:0 /mnt1 / rw,noatime - ext3 /dev/root rw\n37 36 0:5 /x /etc/ssl/certs/ca-certificates.crt ro - tmpfs tmpfs rw\n"), 0o644))
	is, err := isMounted(table, bundle)
	require.NoError(t, err)
	require.True(t, is)
	is, err = isMounted(table, "/etc/ssl/certs")
	require.NoError(t, err)
	require.False(t, is)
	_, err = isMounted(table+".gone", bundle)
	require.ErrorContains(t, err, "looking for certificates to trust")
}

// The last of two variables of one name is the one that counts.
func TestRun(t *testing.T) {
	var out, errs bytes.Buffer
	err := Run(t.Context(), Options{
		Args: []string{"/bin/sh", "-c", `echo "$MAVEN_OPTS"; echo oh >&2; exit 7`},
		Env:  []string{"PATH=/usr/bin:/bin", "MAVEN_OPTS=-Xmx1g", "HTTP_PROXY=http://a:1"}, Stdout: &out, Stderr: &errs,
	})
	require.EqualError(t, err, "exit code 7")
	require.True(t, strings.HasPrefix(out.String(), "-Xmx1g -Dhttp.proxyHost=a -Dhttp.proxyPort=1 "), out.String())
	require.Equal(t, "oh\n", errs.String())
}
