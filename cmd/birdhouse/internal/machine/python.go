package machine

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/python/toml"
)

// PipConfig is the id of the secret that holds pip's configuration file.
const PipConfig = "pip.conf"

// PythonNames are the settings that say where packages of the Python index come from: pip's own,
// and those of uv, which builds install with
// (https://docs.astral.sh/uv/reference/environment/). Where uv is set to nothing, it gets what pip
// is set to.
var PythonNames = []string{
	"PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST",
	"UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "UV_INSECURE_HOST",
}

// indexCredentials are the variables of uv with the credentials of an index that a project
// names.
var indexCredentials = regexp.MustCompile(`^UV_INDEX_[A-Z0-9_]+_(USERNAME|PASSWORD)$`)

// pipKeys are what the variables are called in pip's configuration:
// https://pip.pypa.io/en/stable/topics/configuration/.
var pipKeys = map[string]string{
	"PIP_INDEX_URL": "index-url", "PIP_EXTRA_INDEX_URL": "extra-index-url", "PIP_TRUSTED_HOST": "trusted-host", "PIP_FIND_LINKS": "find-links",
}

// uvKeys are what uv's variables were called before, and what pip calls them.
var uvKeys = map[string]struct{ old, pip string }{
	"UV_DEFAULT_INDEX": {"UV_INDEX_URL", "PIP_INDEX_URL"},
	"UV_INDEX":         {"UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"},
	"UV_FIND_LINKS":    {"", "PIP_FIND_LINKS"},
	"UV_INSECURE_HOST": {"", "PIP_TRUSTED_HOST"},
}

// pythonSetting returns one of PythonNames, or the credentials of an index.
func pythonSetting(name string) (string, bool) {
	if indexCredentials.MatchString(name) {
		v := os.Getenv(name)
		return v, v != ""
	}
	if !slices.Contains(PythonNames, name) {
		return "", false
	}
	if pipKeys[name] != "" {
		return pipSetting(name)
	}
	key := uvKeys[name]
	for _, variable := range []string{name, key.old} {
		if v := os.Getenv(variable); variable != "" && v != "" {
			return v, true
		}
	}
	if v := uvConfig(name); v != "" {
		return v, true
	}
	v, ok := pipSetting(key.pip)
	if name == "UV_FIND_LINKS" {
		// Folders of this machine are not there in a build.
		v = strings.Join(slices.DeleteFunc(strings.Fields(v), func(link string) bool { return !strings.Contains(link, "://") || strings.HasPrefix(link, "file:") }), " ")
		ok = v != ""
	}
	return v, ok
}

// pipSetting returns a setting of pip: the environment, else the configuration files, of which
// the last that has it counts.
func pipSetting(name string) (string, bool) {
	if v := os.Getenv(name); v != "" {
		return v, true
	}
	found := ""
	for _, file := range pipFiles() {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		if v := iniValue(data, pipKeys[name]); v != "" {
			found = v
		}
	}
	return found, found != ""
}

// pipFiles are pip's configuration files, the most general first.
func pipFiles() []string {
	files := []string{"/etc/xdg/pip/pip.conf", "/etc/pip.conf"}
	if home, err := os.UserHomeDir(); err == nil {
		files = append(files, filepath.Join(home, ".pip", "pip.conf"))
	}
	if dir, err := os.UserConfigDir(); err == nil {
		files = append(files, filepath.Join(dir, "pip", "pip.conf"))
	}
	if dir := os.Getenv("VIRTUAL_ENV"); dir != "" {
		files = append(files, filepath.Join(dir, "pip.conf"))
	}
	switch file := os.Getenv("PIP_CONFIG_FILE"); file {
	case "":
	case os.DevNull:
		return nil
	default:
		files = append(files, file)
	}
	return files
}

// iniValue returns a key of the section [install], else of [global]. A value goes on in lines
// that are indented; its lines are joined with blanks.
func iniValue(data []byte, key string) string {
	values := map[string]string{}
	section, current := "", ""
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := lines.Text()
		trimmed := strings.TrimSpace(line)
		switch {
		case trimmed == "" || trimmed[0] == '#' || trimmed[0] == ';':
		case trimmed[0] == '[' && strings.HasSuffix(trimmed, "]"):
			section, current = trimmed[1:len(trimmed)-1], ""
		case current != "" && (line[0] == ' ' || line[0] == '\t'):
			values[current] = strings.TrimSpace(values[current] + " " + trimmed)
		default:
			i := strings.IndexAny(line, "=:")
			if i < 0 {
				current = ""
				continue
			}
			name := strings.ReplaceAll(strings.ToLower(strings.TrimSpace(line[:i])), "_", "-")
			current = section + "." + name
			values[current] = strings.TrimSpace(line[i+1:])
		}
	}
	for _, section := range []string{"install", "global"} {
		if v := values[section+"."+key]; v != "" {
			return v
		}
	}
	return ""
}

// uvConfig returns a setting of uv's configuration files, of which the most special that has it
// counts: https://docs.astral.sh/uv/concepts/configuration-files/.
func uvConfig(name string) string {
	var files []string
	if file := os.Getenv("UV_CONFIG_FILE"); file != "" {
		files = []string{file}
	} else {
		if dir, err := os.UserConfigDir(); err == nil {
			files = append(files, filepath.Join(dir, "uv", "uv.toml"))
		}
		files = append(files, "/etc/uv/uv.toml")
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		root, err := toml.Parse(data)
		if err != nil {
			continue
		}
		if v := uvValue(root, name); v != "" {
			return v
		}
	}
	return ""
}

func uvValue(root *toml.Value, name string) string {
	var all []string
	switch name {
	case "UV_DEFAULT_INDEX", "UV_INDEX":
		byDefault := name == "UV_DEFAULT_INDEX"
		for _, index := range root.Get("index").List() {
			u := index.Get("url").String()
			if index.Get("default").True() != byDefault || u == "" || index.Get("explicit").True() {
				continue
			}
			if n := index.Get("name").String(); n != "" {
				u = n + "=" + u
			}
			all = append(all, u)
		}
		if byDefault && len(all) == 0 {
			return root.Get("index-url").String()
		}
		if !byDefault && len(all) == 0 {
			all = root.Get("extra-index-url").Strings()
		}
	case "UV_INSECURE_HOST":
		all = root.Get("allow-insecure-host").Strings()
	}
	return strings.Join(all, " ")
}
