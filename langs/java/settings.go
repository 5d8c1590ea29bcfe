package java

import (
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// checkSettings reports passwords in settings of Maven that lie in the project: they would
// be in every cache of the build.
func (p *project) checkSettings() spec.Problems {
	if p.maven == nil {
		return nil
	}
	names := []string{path.Join(p.maven.top.dir, "settings.xml")}
	if p.dir != p.maven.top.dir {
		names = append(names, path.Join(p.dir, "settings.xml"))
	}
	dir := path.Join(p.maven.top.dir, ".mvn")
	if entries, err := fs.ReadDir(p.files, dir); err == nil {
		for _, e := range entries {
			if strings.HasSuffix(e.Name(), ".xml") {
				names = append(names, path.Join(dir, e.Name()))
			}
		}
	}
	var problems spec.Problems
	for _, name := range names {
		data, err := p.files.Read(name)
		if err != nil {
			return append(problems, app.Unreadable(name, err))
		}
		if data == nil {
			continue
		}
		root, err := parseXML(data)
		if err != nil {
			continue // Maven tells, when it reads the file
		}
		for _, server := range root.get("servers").all("server") {
			for _, key := range []string{"password", "passphrase"} {
				e := server.get(key)
				// Other variables are the build's to fill in.
				if e == nil || e.text == "" || strings.Contains(e.text, "${") {
					continue
				}
				problems = append(problems, writtenSecret(name, e.line, key,
					"remove the file from the project and give it as a secret: secrets: [settings.xml], and --secret id=settings.xml,src=FILE\nor name a variable: <"+key+">${env.REPOSITORY_PASSWORD}</"+key+">, with secrets: [{id: REPOSITORY_PASSWORD, env: REPOSITORY_PASSWORD}]"))
			}
		}
	}
	return problems
}

// writtenSecret is the error for a password in a file of the project. It has no range: the
// line, which an error shows, has the password in it.
func writtenSecret(file string, line int, what, hint string) spec.Problem {
	return app.FileProblem(file, fmt.Sprintf("line %d: the %s of a repository is written into the file: whoever has the project, a build record or a cache can read it", line, what), hint)
}
