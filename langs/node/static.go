package node

import (
	"fmt"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// staticSite is a site whose files need no Node.
type staticSite struct {
	// dir is the folder that is served, below the package's; "" is the package's.
	dir, source string
	// fallback is the file for paths that are not there, "" for none.
	fallback, fallbackSource string
	// immutable are folders below dir whose files have a hash in their names.
	immutable []string
	// hashed is a regular expression for the paths of more such files, "" for none.
	hashed string
	// htmlNames says that the page /about is the file about.html.
	htmlNames bool
}

const (
	// siteImage is the base of sites.
	siteImage = "web"
	sitePort  = "8080/tcp"
)

// chooseSite decides whether the image serves files without Node.
func (b *builder) chooseSite() spec.Problems {
	s := b.spec
	asked := s.Build.Static
	if asked == nil && b.framework.static == "" {
		return nil
	}
	if asked == nil && b.ownStart() {
		return nil
	}
	site := &staticSite{dir: b.framework.static, source: "what " + b.framework.name + " builds", fallback: b.framework.fallback, fallbackSource: "paths are the browser's", immutable: b.framework.immutable, hashed: b.framework.hashed, htmlNames: b.framework.htmlNames}
	if asked != nil {
		if asked.Dir != "" || b.framework.static == "" {
			site.dir, site.source = asked.Dir, s.Where("build.static")
		}
		switch asked.Fallback {
		case "":
		case "false":
			site.fallback = ""
		default:
			site.fallback, site.fallbackSource = strings.TrimPrefix(path.Clean(string(asked.Fallback)), "/"), s.Where("build.static.fallback")
		}
	}
	if site.dir == "" && len(s.Build.Output) > 0 {
		site.dir, site.source = s.Build.Output[0], s.Where("build.output")
	}
	b.site = site
	if site.dir == "" {
		var lines []string
		for _, dir := range []string{"dist", "build", "out", "public", "_site", "www"} {
			if b.files.IsFile(path.Join(b.app.dir, dir, "index.html")) {
				lines = append(lines, "build: {static: "+dir+"}")
			}
		}
		hint := "write the folder that the build makes, such as\nbuild: {static: dist}"
		if len(lines) > 0 {
			hint = "write one of\n" + app.Listed(lines)
		}
		return spec.Problems{s.Problem("build.static", "build.static: nothing says which folder is the site", hint)}
	}
	if b.script == "" && !b.files.IsFile(path.Join(b.app.dir, site.dir, "index.html")) {
		return spec.Problems{s.Problem("build.static", fmt.Sprintf("build.static: there is no %s, and no build script that writes it", path.Join(b.app.dir, site.dir, "index.html")),
			"name the folder that has it, or add a build script to package.json; check that .dockerignore does not exclude it")}
	}
	for key, given := range map[string]bool{"entrypoint": len(s.Entrypoint) > 0, "cmd": len(s.Cmd) > 0, "build.bundle": s.Build.Bundle != nil, "init": s.Init.Set} {
		if given {
			return spec.Problems{s.Problem(key, key+": a site is served by the image's own server, and there is no Node in it", "remove it, or build.static")}
		}
	}
	return nil
}

// siteLayers are those of a site: what the server is told, files whose names change
// with their content, all others.
func (b *builder) siteLayers() []plan.Layer {
	from := plan.Copy{Stage: buildStage, Source: "/site", Target: app.Dir}
	if b.script == "" {
		from = plan.Copy{Source: path.Join(b.app.dir, b.site.dir), Target: app.Dir, Exclude: []string{"**/.env", "**/.env.*", "**/.git"}}
	}
	layers := app.Assets(b.spec)
	layers = append(layers, plan.Layer{
		Name: "server", Changes: "rarely", What: siteConfig + "  how the files are served",
		Files: b.siteFiles(),
	})
	if len(b.site.immutable) > 0 {
		hashed := from
		for _, dir := range b.site.immutable {
			hashed.Include = append(hashed.Include, app.EscapePattern(dir)+"/**")
			from.Exclude = append(from.Exclude, app.EscapePattern(dir))
		}
		layers = append(layers, plan.Layer{Name: "static", Changes: "often", What: "files with a hash in their names", Copies: []plan.Copy{hashed}})
	}
	return append(layers, plan.Layer{Name: "application", Changes: "always", What: app.Dir + "  the site", Copies: []plan.Copy{from}})
}
