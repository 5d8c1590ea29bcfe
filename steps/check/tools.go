package check

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// tool is what a program is by its content.
type tool string

const (
	noTool  tool = ""
	busybox tool = "busybox"
	shell   tool = "a shell"
)

// signs tell a program by texts that are all in it. The first that fits counts,
// so busybox, which also is a shell, comes before shells.
//
// A POSIX shell has these commands built in, whatever its name:
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/V3_chap01.html#tag_18_06_02.
// No library or interpreter in Debian has all their names. Others are known by a
// text of their own.
var signs = []struct {
	tool  tool
	texts []string
}{
	{busybox, []string{"BusyBox v", "multi-call binary"}},
	{shell, []string{"getopts", "readonly", "umask", "unalias"}},
	{shell, []string{"getopts", "readonly", "umask", "OPTARG"}},
	{shell, []string{"Toybox ", "multicall binary"}},
	{shell, []string{"/etc/csh.cshrc"}},
	{shell, []string{"__fish_", "fish_color_"}}, // programs that write completions for fish have the first
	{shell, []string{"Exit from sash"}},
	{"a part of apt", []string{"libapt-pkg.so"}},
	{"a part of dpkg", []string{"dpkg-deb", "/var/lib/dpkg"}},
	{"a part of rpm", []string{"librpm.so"}},
	{"a part of apk", []string{"/lib/apk/db"}},
}

// identify reads a program to its end.
func identify(r io.Reader) (tool, error) {
	const chunk, longest = 1 << 20, 32
	seen := make([][]bool, len(signs))
	for i := range signs {
		seen[i] = make([]bool, len(signs[i].texts))
	}
	buf := make([]byte, 0, chunk+longest)
	for {
		n, err := io.ReadFull(r, buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		for i, sign := range signs {
			for j, text := range sign.texts {
				seen[i][j] = seen[i][j] || bytes.Contains(buf, []byte(text))
			}
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			return noTool, err
		}
		// A text may lie across the border of two chunks.
		buf = buf[:copy(buf[:cap(buf)], buf[len(buf)-longest:])]
	}
	for i, sign := range signs {
		if !slices.Contains(seen[i], false) {
			return sign.tool, nil
		}
	}
	return noTool, nil
}

// Names that only such programs have. A file counts if it can be started, a
// link always.
var (
	shells = words(`ash bash busybox csh dash elvish fish ksh ksh93 lksh mksh oksh pdksh posh pwsh rbash rzsh sash sh tcsh toybox xonsh yash zsh`)
	// Those of languages are scripts, which only their names tell.
	managers = words(`apk apt apt-cache apt-get apt-key aptitude brew bundle cargo conda corepack dnf dpkg dpkg-deb easy_install gem gradle guix
		microdnf mvn nix nix-env npm npx opkg pacman pdm pipenv pipx pnpm pnpx poetry rpm snap uv uvx yarn yarnpkg yum zypper`)
)

// isPip says whether a name is one of pip's or of what came before it: pip,
// pip3, pip3.13, easy_install-3.8.
func isPip(base string) bool {
	version, ok := strings.CutPrefix(base, "pip")
	if !ok {
		version, ok = strings.CutPrefix(base, "easy_install-")
	}
	return ok && strings.Trim(version, "0123456789.") == ""
}

func words(s string) []string { return strings.Fields(s) }

// libraries are files that package managers consist of, wherever they lie.
var libraryFiles = []struct{ suffix, what string }{
	{"/node_modules/corepack/package.json", "a package manager (corepack)"},
	{"/node_modules/npm/package.json", "a package manager (npm)"},
	{"/node_modules/pnpm/package.json", "a package manager (pnpm)"},
	{"/node_modules/yarn/package.json", "a package manager (yarn)"},
	{"/pip/__main__.py", "a package manager (pip)"},
}

// toolByName tells what a path stands for, "" for nothing of the kind.
func toolByName(name string, mode fs.FileMode) string {
	for _, l := range libraryFiles {
		if strings.HasSuffix("/"+name, l.suffix) {
			return l.what
		}
	}
	if path.Ext(name) == ".whl" && strings.HasPrefix(path.Base(name), "pip-") {
		return "a package manager (pip)"
	}
	if mode&fs.ModeSymlink == 0 && (!mode.IsRegular() || mode&0o111 == 0) {
		return ""
	}
	switch base := path.Base(name); {
	case slices.Contains(shells, base):
		return "a shell"
	case slices.Contains(managers, base) || isPip(base):
		return "a package manager"
	}
	return ""
}
