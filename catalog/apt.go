package catalog

import (
	"bufio"
	"bytes"
	"io"
	"io/fs"
	"net/url"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/catalog/deb822"
)

// aptSource is one place that apt gets packages from,
// https://manpages.debian.org/sources.list.
type aptSource struct {
	uri      string
	suite    string
	main     bool // has the component "main"
	signedBy string
}

// debianSuite matches the suites of Debian's own archives.
var debianSuite = regexp.MustCompile(`^(stable|oldstable|oldoldstable|testing|unstable|sid|bullseye|bookworm|trixie|forky|duke)(-updates|-proposed-updates|-security|/updates)?$`)

// maxSources bounds the size in bytes of one of apt's files.
const maxSources = 1 << 20

// aptMirror finds the mirror in apt's configuration, a file system with the
// content of /etc/apt. Files and entries that cannot be read are passed over, as
// is what is not Debian's own.
func aptMirror(etc fs.FS) (Mirror, bool) {
	files := []string{"sources.list"}
	for _, pattern := range []string{"sources.list.d/*.list", "sources.list.d/*.sources"} {
		names, err := fs.Glob(etc, pattern)
		if err == nil {
			files = append(files, names...)
		}
	}
	var all []aptSource
	for _, name := range files {
		data, err := readSmall(etc, name)
		if err != nil {
			continue
		}
		if path.Ext(name) == ".sources" {
			all = append(all, readSources(data)...)
		} else {
			all = append(all, readList(data)...)
		}
	}
	var m Mirror
	all = slices.DeleteFunc(all, func(s aptSource) bool { return !s.debians() })
	// Others publish for Debian's suites, too: a mirror of Debian is most likely
	// where the folder is named so.
	for _, sure := range []bool{true, false} {
		for _, s := range all {
			security := strings.HasSuffix(s.suite, "-security") || strings.HasSuffix(s.suite, "/updates")
			if sure && !strings.HasPrefix(path.Base(s.uri), "debian") {
				continue
			}
			if security && m.Security == "" {
				m.Security = s.uri
			}
			if !security && m.Debian == "" {
				m.Debian = s.uri
			}
		}
	}
	if m.Debian == "" {
		return Mirror{}, false
	}
	if m.Security == "" {
		m.Security = m.Debian + "-security"
	}
	return m, m.Check() == nil
}

// debians says whether a source has Debian's own packages. A source that is
// signed by a key file which is not Debian's keyring has others.
func (s aptSource) debians() bool {
	u, err := url.Parse(s.uri)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && s.main &&
		debianSuite.MatchString(s.suite) && (s.signedBy == "" || strings.Contains(s.signedBy, "debian-archive"))
}

// readList reads the form with one source a line:
// deb [option=value ...] URI suite component...
func readList(data []byte) []aptSource {
	var out []aptSource
	scan := bufio.NewScanner(bytes.NewReader(data))
	scan.Buffer(nil, maxSources)
	for scan.Scan() {
		line, _, _ := strings.Cut(scan.Text(), "#")
		kind, rest, _ := strings.Cut(strings.TrimSpace(strings.ReplaceAll(line, "\t", " ")), " ")
		if kind != "deb" {
			continue
		}
		rest = strings.TrimSpace(rest)
		signedBy := ""
		if inner, ok := strings.CutPrefix(rest, "["); ok {
			options, after, closed := strings.Cut(inner, "]")
			if !closed {
				continue
			}
			rest = after
			for _, o := range strings.Fields(options) {
				if v, ok := strings.CutPrefix(o, "signed-by="); ok {
					signedBy = v
				}
			}
		}
		f := strings.Fields(rest)
		if len(f) < 3 {
			continue
		}
		out = append(out, aptSource{
			uri: strings.TrimRight(f[0], "/"), suite: f[1], main: slices.Contains(f[2:], "main"), signedBy: signedBy,
		})
	}
	return out
}

// readSources reads the form with one source a paragraph.
func readSources(data []byte) []aptSource {
	var out []aptSource
	r := deb822.NewReader(bytes.NewReader(data))
	for {
		p, err := r.Next()
		if err != nil {
			return out
		}
		switch strings.ToLower(p["enabled"]) {
		case "no", "false", "0", "off", "disable", "without":
			continue
		}
		if !slices.Contains(strings.Fields(p["types"]), "deb") {
			continue
		}
		for _, uri := range strings.Fields(p["uris"]) {
			for _, suite := range strings.Fields(p["suites"]) {
				out = append(out, aptSource{
					uri: strings.TrimRight(uri, "/"), suite: suite,
					main: slices.Contains(strings.Fields(p["components"]), "main"), signedBy: p["signed-by"],
				})
			}
		}
	}
}

func readSmall(etc fs.FS, name string) ([]byte, error) {
	f, err := etc.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxSources))
}
