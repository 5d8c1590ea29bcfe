package java

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
)

// port is where a program listens, and where that is said.
type port struct{ number, source string }

// webLibraries are what a Spring Boot or Quarkus program has when it is a server.
var webLibraries = []string{
	"spring-boot-starter-web", "spring-boot-starter-webmvc", "spring-boot-starter-webflux", "spring-boot-starter-jersey", "spring-boot-starter-data-rest",
	"spring-boot-starter-graphql", "spring-boot-starter-web-services",
	"quarkus-rest", "quarkus-resteasy", "quarkus-vertx-http", "quarkus-undertow", "quarkus-reactive-routes", "quarkus-resteasy-reactive", "quarkus-smallrye-graphql",
}

// serverLibrary says whether a library is one of these, or one that builds on them.
func serverLibrary(name string) bool {
	return slices.Contains(webLibraries, name) || strings.HasPrefix(name, "quarkus-rest") && !strings.Contains(name, "client")
}

var (
	portProperty = regexp.MustCompile(`^\s*(?:server|quarkus\.http)\.port\s*[=:]\s*(?:\$\{[^:}]*:)?([0-9]+)\}?\s*$`)
	portSection  = regexp.MustCompile(`^(?:server|quarkus):`)
	portKey      = regexp.MustCompile(`^\s+port:\s*(?:\$\{[^:}]*:)?([0-9]+)\}?\s*$`)
)

// settingsFiles are those of Spring Boot and Quarkus.
var settingsFiles = []string{"application.properties", "application.yml", "application.yaml"}

// findPort is the port that a Spring Boot or Quarkus server listens on: what its settings
// say, or the one that these have; nil for other programs.
func (p *project) findPort() *port {
	dir := ""
	switch {
	case p.maven != nil && p.maven.app.serves():
		dir = p.maven.app.dir
	case p.gradle != nil && p.gradle.app.serves():
		dir = p.gradle.app.dir
	default:
		return nil
	}
	for _, name := range settingsFiles {
		file := path.Join(dir, "src/main/resources", name)
		data, err := p.files.Read(file)
		if err != nil {
			continue // the build reads it, or not
		}
		inside := false
		for i, line := range strings.Split(string(data), "\n") {
			m := portProperty.FindStringSubmatch(line)
			if strings.HasPrefix(line, "---") {
				break // the rest holds for a profile
			}
			if line != "" && line[0] != ' ' && line[0] != '#' {
				inside = portSection.MatchString(line)
			}
			if m == nil && inside {
				m = portKey.FindStringSubmatch(line)
			}
			if m != nil && m[1] != "0" {
				return &port{m[1], fmt.Sprintf("%s:%d", file, i+1)}
			}
		}
	}
	return &port{"8080", "the server's own port"}
}

// serves says whether the program is a server of Spring Boot or Quarkus.
func (p *pom) serves() bool {
	if !p.uses(bootPlugin) && !p.uses(quarkusPlugin) && p.packaging() != "quarkus" {
		return false
	}
	return slices.ContainsFunc(p.dependencies(), func(d dependency) bool { return d.runs() && serverLibrary(d.artifactID) })
}

var libraryName = regexp.MustCompile(`:((?:spring-boot-starter|quarkus)-[a-z-]+)`)

// serves says whether the program is a server of Spring Boot or Quarkus.
func (m *module) serves() bool {
	if m.task != "bootJar" && m.task != "bootWar" && m.task != "quarkusBuild" || m.build == nil {
		return false
	}
	return slices.ContainsFunc(m.build.lines, func(line string) bool {
		f := libraryName.FindStringSubmatch(line)
		return f != nil && serverLibrary(f[1])
	})
}
