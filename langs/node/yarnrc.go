package node

import (
	"io/fs"
	"path"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// yarnSettings are those of .yarnrc.yml that a build cares about:
// https://yarnpkg.com/configuration/yarnrc.
type yarnSettings struct {
	Linker    string `yaml:"nodeLinker"`
	Path      string `yaml:"yarnPath"`
	Cache     string `yaml:"cacheFolder"`
	Global    *bool  `yaml:"enableGlobalCache"`
	Scripts   *bool  `yaml:"enableScripts"`
	ESMLoader *bool  `yaml:"pnpEnableEsmLoader"`
	Plugins   []any  `yaml:"plugins"`
	Supported any    `yaml:"supportedArchitectures"`
}

// pnp says whether yarn makes .pnp.cjs in place of node_modules.
func (s yarnSettings) pnp() bool { return s.Linker == "" || s.Linker == "pnp" }

// focuses says whether yarn 2 or 3 knows `workspaces focus`, which is a plugin
// there.
func (s yarnSettings) focuses() bool {
	for _, plugin := range s.Plugins {
		text := ""
		switch p := plugin.(type) {
		case string:
			text = p
		case map[string]any:
			for _, v := range p {
				if one, ok := v.(string); ok {
					text += " " + one
				}
			}
		}
		if strings.Contains(text, "workspace-tools") {
			return true
		}
	}
	return false
}

func (p *project) yarnSettings() (yarnSettings, spec.Problems) {
	var s yarnSettings
	name := path.Join(p.root, ".yarnrc.yml")
	data, err := p.files.Read(name)
	if err != nil {
		return s, spec.Problems{app.Unreadable(name, err)}
	}
	if err := yaml.Unmarshal(data, &s); err != nil {
		return s, spec.Problems{yamlProblem(name, err)}
	}
	return s, nil
}

func fsValid(name string) bool { return fs.ValidPath(name) }
