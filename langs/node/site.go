package node

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// The server of sites is lighttpd: https://redmine.lighttpd.net/projects/lighttpd/wiki.
const (
	siteServer = "/usr/sbin/lighttpd"
	siteConfig = "/etc/lighttpd/lighttpd.conf"
	// healthFile answers for /healthz, unless the site has a file of this name.
	healthFile = "/usr/share/web/healthz.txt"
)

// siteImage is the configuration of an image that serves files.
func (b *builder) siteImage(image plan.Image) (plan.Image, spec.Problems) {
	// At SIGTERM lighttpd ends at once: with 1 when connections were open, which is
	// nothing that went wrong. At its other errors it ends with 255.
	image.Entrypoint = []string{initPath, "-e", "1", "--", siteServer, "-D", "-f", siteConfig}
	image.Cmd = nil
	if image.StopSignal == "" {
		// It first answers who has asked, and takes no more.
		image.StopSignal = "SIGINT"
	}
	if len(image.Expose) == 0 {
		image.Expose = []string{sitePort}
	}
	return image, nil
}

// siteFiles are the server's configuration and what it answers for /healthz.
func (b *builder) siteFiles() []plan.File {
	port := app.FirstPort(b.spec.Expose)
	if port == 0 {
		port, _ = strconv.Atoi(strings.TrimSuffix(sitePort, "/tcp"))
	}
	return []plan.File{
		{Path: siteConfig, Mode: 0o444, Content: b.site.config(port)},
		{Path: healthFile, Mode: 0o444, Content: "ok\n"},
	}
}

// config is the server's configuration: types, caching by names, compression, a
// health path, and what answers for paths that are not there.
func (s *staticSite) config(port int) string {
	var c strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&c, format+"\n", args...) }
	line(`server.modules = ("mod_rewrite", "mod_access", "mod_alias", "mod_setenv", "mod_deflate")`)
	line(`server.document-root = %s`, quote(app.Dir))
	line(`server.port = %d`, port)
	line(`server.tag = ""`)
	line(`server.errorlog = "/dev/stderr"`)
	// Of an answer that it compresses it keeps what is above 64 KiB in a file, which on
	// a read-only file system only shared memory takes.
	line(`server.upload-dirs = ("/tmp", "/dev/shm")`)
	line(`server.feature-flags = ("server.graceful-shutdown-timeout" => 1)`)
	line(`server.follow-symlink = "disable"`)
	line(`server.range-requests = "enable"`)
	line(`server.max-request-size = 64`)
	line(`index-file.names = ("index.html")`)
	// Files of an image all have the same time: who asks whether one has changed
	// would hear no for ever. So nobody is told to ask.
	line(`static-file.etags = "disable"`)
	line(`deflate.mimetypes = ("text/", "application/javascript", "application/json", "application/manifest+json", "application/wasm", "application/xml", "image/svg+xml", "font/ttf")`)
	line(`deflate.allowed-encodings = ("br", "gzip")`)
	line(`alias.url = ("/healthz" => %s)`, quote(healthFile))
	line(`$HTTP["url"] =~ "/\.(?!well-known/)" { url.access-deny = ("") }`)
	const always = `"X-Content-Type-Options" => "nosniff", "Last-Modified" => "", "Cache-Control" => `
	line(`setenv.set-response-header = (%s"no-cache")`, always)
	kept := func(paths string) {
		line(`$HTTP["url"] =~ "%s" { setenv.set-response-header = (%s"public, max-age=31536000, immutable") }`, paths, always)
	}
	if len(s.immutable) > 0 {
		var folders []string
		for _, dir := range s.immutable {
			folders = append(folders, regexpQuote(dir))
		}
		kept("^/(" + strings.Join(folders, "|") + ")/")
	}
	if s.hashed != "" {
		kept(s.hashed)
	}
	if s.fallback != "" {
		// Files that browsers ask for by name are not there, and no page.
		line(`$HTTP["url"] !~ "^/healthz$|\.(css|gif|ico|jpe?g|js|json|map|mjs|png|svg|txt|wasm|webp|woff2?|xml)$" { url.rewrite-if-not-file = ("^" => %s) }`, quote("/"+s.fallback))
	} else {
		if s.htmlNames {
			line(`$HTTP["url"] !~ "^/healthz$|\.[A-Za-z0-9]+$|/$" { url.rewrite-if-not-file = ("^([^?]+)(\?.*)?$" => "$1.html$2") }`)
		}
		// 404.html with its status; a handler's would be 200.
		line(`server.errorfile-prefix = %s`, quote(app.Dir+"/"))
	}
	line(`mimetype.assign = (`)
	for _, t := range mimeTypes {
		line(`  %s => %s,`, quote(t[0]), quote(t[1]))
	}
	line(`  "" => "application/octet-stream"`)
	line(`)`)
	return c.String()
}

// quote is text as lighttpd reads it.
func quote(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func regexpQuote(dir string) string {
	return strings.NewReplacer(".", `\.`, "+", `\+`).Replace(path.Clean(dir))
}

// mimeTypes are those of what sites are made of, by the ends of names.
var mimeTypes = [][2]string{
	{".html", "text/html; charset=utf-8"}, {".htm", "text/html; charset=utf-8"}, {".css", "text/css; charset=utf-8"},
	{".js", "application/javascript"}, {".mjs", "application/javascript"}, {".json", "application/json"}, {".map", "application/json"},
	{".webmanifest", "application/manifest+json"}, {".wasm", "application/wasm"}, {".xml", "application/xml"}, {".rss", "application/rss+xml"},
	{".atom", "application/atom+xml"}, {".txt", "text/plain; charset=utf-8"}, {".md", "text/markdown; charset=utf-8"}, {".csv", "text/csv; charset=utf-8"},
	{".pdf", "application/pdf"}, {".svg", "image/svg+xml"}, {".png", "image/png"}, {".jpg", "image/jpeg"}, {".jpeg", "image/jpeg"}, {".gif", "image/gif"},
	{".webp", "image/webp"}, {".avif", "image/avif"}, {".ico", "image/x-icon"}, {".woff2", "font/woff2"}, {".woff", "font/woff"}, {".ttf", "font/ttf"},
	{".otf", "font/otf"}, {".mp4", "video/mp4"}, {".webm", "video/webm"}, {".mp3", "audio/mpeg"}, {".ogg", "audio/ogg"}, {".wav", "audio/wav"},
	{".zip", "application/zip"}, {".gz", "application/gzip"},
}
