package catalog

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

const (
	// maxNPMRC bounds the size in bytes of a configuration file of npm.
	maxNPMRC = 1 << 20
	// npmTime is how long npm may take to tell its registry.
	npmTime = 20 * time.Second
)

// npmRegistry is the registry that npm uses on this machine, "" when there is
// neither configuration of it nor npm itself. It looks where npm looks
// (https://docs.npmjs.com/cli/configuring-npm/npmrc), but for a project's own file:
// base images are no project's. What npm's files do not say npm is asked for, which
// knows its default.
func npmRegistry(ctx context.Context) string {
	if s := npmVariable("registry"); s != "" {
		return s
	}
	home, _ := os.UserHomeDir()
	user := npmVariable("userconfig")
	if user == "" && home != "" {
		user = filepath.Join(home, ".npmrc")
	}
	files := []string{user}
	if global := npmVariable("globalconfig"); global != "" {
		files = append(files, global)
	} else {
		files = append(files, "/usr/local/etc/npmrc", "/usr/etc/npmrc", "/etc/npmrc")
	}
	for _, name := range files {
		if s := registryOfFile(name); s != "" {
			return s
		}
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, npmTime)
	defer cancel()
	cmd := exec.CommandContext(ctx, npm, "config", "get", "registry")
	// Not in the project, whose configuration does not count here.
	cmd.Dir = os.TempDir()
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}

// npmVariable is what the environment says of a setting of npm, whose variables
// are not sensitive to case.
func npmVariable(key string) string {
	for _, v := range os.Environ() {
		name, value, _ := strings.Cut(v, "=")
		if strings.EqualFold(name, "npm_config_"+key) && value != "" {
			return value
		}
	}
	return ""
}

// registryOfFile is the registry in a file of npm's configuration, "" when there
// is none or the file cannot be read. Other settings, such as passwords, are
// passed over.
func registryOfFile(name string) string {
	if name == "" {
		return ""
	}
	f, err := os.Open(name)
	if err != nil {
		return ""
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxNPMRC))
	if err != nil {
		return ""
	}
	return registryOf(data, os.LookupEnv)
}

var npmrcVariable = regexp.MustCompile(`\$\{([^}]+)\}`)

// registryOf reads the form that npm calls ini: KEY = VALUE a line, the last one
// counts, ${NAME} stands for a variable of the environment.
func registryOf(data []byte, env func(string) (string, bool)) string {
	registry := ""
	scan := bufio.NewScanner(bytes.NewReader(data))
	scan.Buffer(nil, maxNPMRC)
	for scan.Scan() {
		line := strings.TrimSpace(scan.Text())
		if strings.HasPrefix(line, "[") {
			break // what follows belongs to a section, which npm has none of
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(key) != "registry" {
			continue
		}
		value = strings.TrimSpace(value)
		if i := strings.IndexAny(value, ";#"); i > 0 && (value[i-1] == ' ' || value[i-1] == '\t') {
			value = strings.TrimSpace(value[:i])
		}
		value = strings.Trim(value, `"'`)
		registry = npmrcVariable.ReplaceAllStringFunc(value, func(s string) string {
			if v, ok := env(s[2 : len(s)-1]); ok {
				return v
			}
			return s
		})
	}
	return registry
}
