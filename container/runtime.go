package container

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"time"
)

// runtime is an OCI runtime: a program with runc's command line.
type runtime struct {
	path string
	// seccomp says that it was built with support for system call filters.
	seccomp bool
}

func findRuntime(ctx context.Context, path string) (runtime, error) {
	if path == "" {
		for _, name := range []string{"runc", "crun"} {
			if p, err := exec.LookPath(name); err == nil {
				path = p
				break
			}
		}
		if path == "" {
			return runtime{}, errors.New("neither runc nor crun is in PATH: install one of them (on Debian: apt-get install runc)")
		}
	}
	out, err := exec.CommandContext(ctx, path, "--version").CombinedOutput()
	if err != nil {
		if ctx.Err() != nil {
			return runtime{}, context.Cause(ctx)
		}
		return runtime{}, fmt.Errorf("asking %s for its version: %w: %s", path, err, bytes.TrimSpace(out))
	}
	// runc prints the version of libseccomp, crun a list of features.
	has := bytes.Contains(out, []byte("libseccomp")) || bytes.Contains(out, []byte("+SECCOMP"))
	return runtime{path: path, seccomp: has && kernelHasSeccomp()}, nil
}

func kernelHasSeccomp() bool {
	data, err := os.ReadFile("/proc/self/status")
	return err == nil && bytes.Contains(data, []byte("\nSeccomp:"))
}

// delete ends and forgets a container; one that is not there is no error.
func (r runtime) delete(ctx context.Context, state, id string) {
	// When Run's context has ended there is still something to clean up.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 20*time.Second)
	defer cancel()
	if _, err := os.Stat(state); err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		goruntime.LockOSThread() // never unlocked: the thread ends here
		if ownMounts() == nil {
			_ = exec.CommandContext(ctx, r.path, "--root", state, "delete", "--force", id).Run()
		}
	}()
	<-done
}

// failure turns what the runtime logged into an error with docker's exit code.
func failure(log string, cause error) error {
	message := lastError(log)
	if message == "" {
		return &startError{ExitFailed, fmt.Errorf("starting the container: %w", cause)}
	}
	code := ExitFailed
	lower := strings.ToLower(message)
	switch {
	case strings.Contains(lower, "executable file not found"),
		strings.Contains(lower, "exec") && strings.Contains(lower, "no such file or directory"):
		code = ExitNotFound
	case strings.Contains(lower, "exec") && (strings.Contains(lower, "permission denied") ||
		strings.Contains(lower, "is a directory") || strings.Contains(lower, "exec format error")):
		code = ExitNotExecutable
	}
	return &startError{code, fmt.Errorf("starting the container: %s", message)}
}

func lastError(log string) string {
	data, err := os.ReadFile(log)
	if err != nil {
		return ""
	}
	last := ""
	for sc := bufio.NewScanner(bytes.NewReader(data)); sc.Scan(); {
		var line struct{ Level, Msg string }
		if json.Unmarshal(sc.Bytes(), &line) == nil && line.Level != "info" && line.Level != "debug" && line.Level != "warning" && line.Msg != "" {
			last = line.Msg
		}
	}
	return last
}

// cgroupVersion is what this thread sees.
func cgroupVersion() (int, error) {
	// Not self: a thread may have mounts of its own.
	data, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return 0, fmt.Errorf("reading what is mounted: %w", err)
	}
	return parseCgroupVersion(string(data)), nil
}

// parseCgroupVersion is 2 for the unified hierarchy, 1 for the older ones and 0
// where none is mounted, from the lines of proc_pid_mountinfo(5).
func parseCgroupVersion(mountinfo string) int {
	version := 0
	for _, line := range strings.Split(mountinfo, "\n") {
		before, after, ok := strings.Cut(line, " - ")
		if !ok {
			continue
		}
		fields, types := strings.Fields(before), strings.Fields(after)
		if len(fields) < 5 || len(types) < 1 {
			continue
		}
		switch {
		case types[0] == "cgroup2" && fields[4] == "/sys/fs/cgroup":
			return 2
		case types[0] == "cgroup":
			version = 1
		}
	}
	return version
}
