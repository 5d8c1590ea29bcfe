package container

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	cfs "github.com/containerd/continuity/fs"
	"github.com/docker/cli/pkg/kvfile"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/sys/user"
	"github.com/opencontainers/runtime-spec/specs-go"
)

const (
	// defaultPath is the PATH that Docker sets where the image has none.
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// maxAccounts bounds the image's passwd and group files.
	maxAccounts = 16 << 20
)

// command returns what to run.
func command(c v1.Config, entrypoint *string, args []string) ([]string, error) {
	ep, cmd := c.Entrypoint, c.Cmd
	if entrypoint != nil {
		ep, cmd = nil, nil
		if *entrypoint != "" {
			ep = []string{*entrypoint}
		}
	}
	if len(args) > 0 {
		cmd = args
	}
	all := slices.Concat(ep, cmd)
	if len(all) == 0 || all[0] == "" {
		return nil, errors.New("the image says no command; write one after its name")
	}
	return all, nil
}

// userEnv returns what --env-file and --env say, in that order: NAME=VALUE, or
// NAME for a variable to leave out.
func userEnv(env, files []string, lookup func(string) (string, bool)) ([]string, error) {
	var all []string
	for _, f := range files {
		lines, err := kvfile.Parse(f, lookup)
		if err != nil {
			return nil, fmt.Errorf("--env-file: %w", err)
		}
		all = append(all, lines...)
	}
	for _, e := range env {
		name, _, hasValue := strings.Cut(e, "=")
		if name == "" {
			return nil, fmt.Errorf("--env %q has no name; write NAME=VALUE or NAME", e)
		}
		if strings.ContainsRune(e, 0) {
			return nil, fmt.Errorf("--env %s has a NUL byte", name)
		}
		if !hasValue {
			if value, ok := lookup(name); ok {
				e = name + "=" + value
			}
		}
		all = append(all, e)
	}
	return all, nil
}

// environment joins what every program gets, what the image says and what the
// user says; the later wins, in the place of the first.
func environment(imageEnv, userEnv []string, hostname, home string, tty bool) []string {
	env := []string{"PATH=" + defaultPath, "HOSTNAME=" + hostname}
	if tty {
		env = append(env, "TERM=xterm")
	}
	set := func(e string) {
		name, _, hasValue := strings.Cut(e, "=")
		i := slices.IndexFunc(env, func(old string) bool { return strings.HasPrefix(old, name+"=") })
		switch {
		case !hasValue && i >= 0:
			env = slices.Delete(env, i, i+1)
		case !hasValue:
		case i >= 0:
			env[i] = e
		default:
			env = append(env, e)
		}
	}
	for _, e := range imageEnv {
		set(e)
	}
	for _, e := range userEnv {
		set(e)
	}
	if !slices.ContainsFunc(env, func(e string) bool { return strings.HasPrefix(e, "HOME=") }) {
		env = append(env, "HOME="+home)
	}
	return env
}

func getenv(env []string, name string) string {
	for _, e := range env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// workDir returns the directory that the program starts in.
func workDir(imageDir, userDir string) (string, error) {
	if userDir != "" {
		if !path.IsAbs(userDir) {
			return "", fmt.Errorf("--workdir %q is not an absolute path", userDir)
		}
		return path.Clean(userDir), nil
	}
	return path.Join("/", imageDir), nil
}

// account resolves a user in the image's passwd and group.
func account(rootfs, spec string) (specs.User, string, error) {
	passwd, err := readInside(rootfs, "/etc/passwd")
	if err != nil {
		return specs.User{}, "", err
	}
	group, err := readInside(rootfs, "/etc/group")
	if err != nil {
		return specs.User{}, "", err
	}
	u, err := user.GetExecUser(spec, &user.ExecUser{Home: "/"}, bytes.NewReader(passwd), bytes.NewReader(group))
	if err != nil {
		return specs.User{}, "", fmt.Errorf("user %q: %w in the image; write numbers, UID:GID", spec, err)
	}
	home := u.Home
	if home == "" {
		home = "/"
	}
	// The primary group belongs to the supplementary ones, so that a program
	// cannot leave it (as the engines do it).
	out := specs.User{UID: uint32(u.Uid), GID: uint32(u.Gid), AdditionalGids: []uint32{uint32(u.Gid)}}
	for _, g := range u.Sgids {
		if !slices.Contains(out.AdditionalGids, uint32(g)) {
			out.AdditionalGids = append(out.AdditionalGids, uint32(g))
		}
	}
	return out, home, nil
}

// readInside reads a file of the image; none is no error. Links stay inside.
func readInside(rootfs, name string) ([]byte, error) {
	p, err := cfs.RootPath(rootfs, name)
	if err != nil {
		return nil, fmt.Errorf("reading the image's %s: %w", name, err)
	}
	info, err := os.Lstat(p)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the image's %s: %w", name, err)
	}
	if !info.Mode().IsRegular() || info.Size() > maxAccounts {
		return nil, fmt.Errorf("the image's %s is not a file of at most %d bytes", name, maxAccounts)
	}
	return os.ReadFile(p)
}

// findProgram checks that the image has the program, with errors that say more
// than the kernel's. mounted are the places that the image's own files do not
// show at; what lies there is left to the runtime.
func findProgram(rootfs string, args []string, cwd, pathVar string, mounted []string) error {
	name := args[0]
	var candidates []string
	if strings.Contains(name, "/") {
		if !path.IsAbs(name) {
			name = path.Join(cwd, name)
		}
		candidates = []string{name}
	} else {
		for _, dir := range filepath.SplitList(pathVar) {
			candidates = append(candidates, path.Join("/", dir, name))
		}
	}
	var denied error
	for _, c := range candidates {
		if below(mounted, c) {
			return nil
		}
		p, err := cfs.RootPath(rootfs, c)
		if err != nil {
			continue
		}
		info, err := os.Lstat(p)
		switch {
		case err != nil:
			continue
		case info.IsDir():
			denied = &startError{ExitNotExecutable, fmt.Errorf("%s is a directory", c)}
			continue
		case !info.Mode().IsRegular() || info.Mode()&0o111 == 0:
			denied = &startError{ExitNotExecutable, fmt.Errorf("%s is not executable", c)}
			continue
		}
		return findInterpreter(rootfs, c, p, mounted)
	}
	if denied != nil {
		return denied
	}
	if strings.Contains(name, "/") {
		return &startError{ExitNotFound, fmt.Errorf("the image has no %s", name)}
	}
	return &startError{ExitNotFound, fmt.Errorf("the image has no %q in its PATH (%s)", name, pathVar)}
}

// below says whether p lies in one of dirs.
func below(dirs []string, p string) bool {
	return slices.ContainsFunc(dirs, func(d string) bool { return p == d || strings.HasPrefix(p, d+"/") })
}

// findInterpreter checks what the kernel reports as a missing program: its
// dynamic loader or the interpreter of a script.
func findInterpreter(rootfs, name, p string, mounted []string) error {
	f, err := os.Open(p)
	if err != nil {
		return fmt.Errorf("reading the image's %s: %w", name, err)
	}
	defer f.Close()
	start := make([]byte, 256)
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return fmt.Errorf("reading the image's %s: %w", name, err)
	}
	start = start[:n]
	interpreter := ""
	switch {
	case bytes.HasPrefix(start, []byte("#!")):
		line, _, _ := bytes.Cut(start[2:], []byte("\n"))
		if fields := strings.Fields(string(line)); len(fields) > 0 {
			interpreter = fields[0]
		}
	case bytes.HasPrefix(start, []byte(elf.ELFMAG)):
		interpreter = elfInterpreter(f)
	default:
		return nil
	}
	if !path.IsAbs(interpreter) || below(mounted, interpreter) {
		return nil
	}
	q, err := cfs.RootPath(rootfs, interpreter)
	if err == nil {
		_, err = os.Lstat(q)
	}
	if err != nil {
		return &startError{ExitNotFound, fmt.Errorf("%s needs %s, which the image does not have", name, interpreter)}
	}
	return nil
}

// elfInterpreter returns the dynamic loader; "" for a static program and for a
// file that the kernel will refuse with a reason of its own.
func elfInterpreter(r io.ReaderAt) string {
	e, err := elf.NewFile(r)
	if err != nil {
		return ""
	}
	defer e.Close()
	for _, p := range e.Progs {
		if p.Type != elf.PT_INTERP || p.Filesz > 4096 {
			continue
		}
		data := make([]byte, p.Filesz)
		if _, err := p.ReadAt(data, 0); err != nil {
			return ""
		}
		return string(bytes.TrimRight(data, "\x00"))
	}
	return ""
}
