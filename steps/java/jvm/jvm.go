// Package jvm runs Maven or Gradle so that their virtual machines trust what the
// build trusts and go through its proxy: Java reads neither a bundle of certificates
// nor the variables that other programs do.
package jvm

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/birdhouse-build/birdhouse/steps/exec"
	"github.com/birdhouse-build/birdhouse/steps/truststore"
)

// Where builds have the certificates to trust: a secret may be mounted over the bundle,
// and Java's store is what Debian's packages of Java read.
const (
	bundle = "/etc/ssl/certs/ca-certificates.crt"
	store  = "/etc/ssl/certs/java/cacerts"
	mounts = "/proc/self/mountinfo"
)

// Options say what to run.
type Options struct {
	// Args is the command, Env its environment as NAME=VALUE.
	Args, Env      []string
	Stdin          io.Reader
	Stdout, Stderr io.Writer
}

// Run runs the command. The error is an *exec.ExitError if it failed.
func Run(ctx context.Context, o Options) error {
	mounted, err := isMounted(mounts, bundle)
	if err != nil {
		return err
	}
	if mounted {
		// The container is thrown away: nothing of it is in the image.
		if err := truststore.Make(bundle, store); err != nil {
			return err
		}
	}
	return exec.Run(ctx, exec.Options{Args: o.Args, Env: environment(o.Env), Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr})
}

// isMounted says whether something is mounted at a path, after proc(5).
func isMounted(table, name string) (bool, error) {
	f, err := os.Open(table)
	if err != nil {
		return false, fmt.Errorf("looking for certificates to trust: %w", err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 4 && fields[4] == name {
			return true, nil
		}
	}
	return false, lines.Err()
}

// launchers are the variables by which Maven and Gradle give options to their virtual
// machines.
var launchers = []string{"MAVEN_OPTS", "GRADLE_OPTS"}

// environment appends what the proxy's variables say to those of Maven and Gradle.
func environment(env []string) []string {
	values := map[string]string{}
	for _, e := range env {
		name, value, _ := strings.Cut(e, "=")
		values[name] = value
	}
	either := func(name string) string {
		if v := values[strings.ToLower(name)]; v != "" {
			return v
		}
		return values[name]
	}
	options := proxyOptions(either("HTTP_PROXY"), either("HTTPS_PROXY"), either("NO_PROXY"))
	if len(options) == 0 {
		return env
	}
	for _, name := range launchers {
		all := strings.Join(options, " ")
		if values[name] != "" {
			all = values[name] + " " + all
		}
		env = append(env, name+"="+all)
	}
	return env
}

// proxyOptions are Java's properties for proxies,
// https://docs.oracle.com/en/java/javase/21/docs/api/java.base/java/net/doc-files/net-properties.html.
// A proxy that cannot be one of Java's is passed over, as programs do.
func proxyOptions(http, https, no string) []string {
	var options []string
	for _, p := range []struct{ scheme, url string }{{"http", http}, {"https", https}} {
		proxy, ok := parseProxy(p.url)
		if !ok {
			continue
		}
		options = append(options, "-D"+p.scheme+".proxyHost="+proxy.host, "-D"+p.scheme+".proxyPort="+proxy.port)
		if proxy.user != "" {
			options = append(options, "-D"+p.scheme+".proxyUser="+proxy.user, "-D"+p.scheme+".proxyPassword="+proxy.password)
		}
	}
	if len(options) == 0 {
		return nil
	}
	return append(options,
		"-Dhttp.nonProxyHosts="+strings.Join(direct(no), "|"),
		// Java would send no password to a proxy that it reaches a server by TLS through.
		"-Djdk.http.auth.tunneling.disabledSchemes=",
		// Maven's own transport asks for Java's properties only when told to.
		"-Daether.connector.http.useSystemProperties=true",
	)
}

type proxy struct{ host, port, user, password string }

// parseProxy reads [SCHEME://][USER[:PASSWORD]@]HOST[:PORT].
func parseProxy(url string) (proxy, bool) {
	var p proxy
	scheme, rest, ok := strings.Cut(url, "://")
	if !ok {
		scheme, rest = "http", url
	}
	p.port = "80"
	if strings.EqualFold(scheme, "https") {
		p.port = "443"
	}
	rest, _, _ = strings.Cut(rest, "/")
	if at := strings.LastIndexByte(rest, '@'); at >= 0 {
		user, password, _ := strings.Cut(rest[:at], ":")
		p.user, p.password, rest = unescape(user), unescape(password), rest[at+1:]
	}
	p.host = rest
	if colon := strings.LastIndexByte(rest, ':'); colon > strings.LastIndexByte(rest, ']') {
		p.host, p.port = rest[:colon], rest[colon+1:]
	}
	p.host = strings.Trim(p.host, "[]")
	odd := strings.ContainsAny(p.host+p.port+p.user+p.password, " \t\r\n\"'`$\\*?")
	return p, p.host != "" && p.port != "" && !odd && !strings.HasPrefix(strings.ToLower(scheme), "socks")
}

// unescape replaces %40 by @ and its like.
func unescape(s string) string {
	var out strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if hi, lo := hex(s[i+1]), hex(s[i+2]); hi >= 0 && lo >= 0 {
				out.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func hex(b byte) int { return strings.IndexByte("0123456789abcdef", b|0x20) }

// direct are the hosts to reach without a proxy, as Java has them: a domain stands for
// itself and all below it. Networks cannot be said.
func direct(no string) []string {
	hosts := []string{"localhost", "127.*", "[::1]"}
	for _, one := range strings.FieldsFunc(no, func(r rune) bool { return r == ',' || r == ' ' }) {
		if name, port, ok := strings.Cut(one, ":"); ok && !strings.Contains(port, ":") {
			one = name
		}
		if strings.ContainsAny(one, "/|\"'`$\\") {
			continue
		}
		switch rest, dot := strings.CutPrefix(one, "."); {
		case one == "*":
			return []string{"*"}
		case dot || strings.HasPrefix(one, "*."):
			hosts = append(hosts, "*."+strings.TrimPrefix(rest, "*."))
		case strings.Contains(one, ":"):
			hosts = append(hosts, "["+strings.Trim(one, "[]")+"]")
		case one != "":
			hosts = append(hosts, one, "*."+one)
		}
	}
	return hosts
}
