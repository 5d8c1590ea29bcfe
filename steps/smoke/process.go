package smoke

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// process is the program under check.
type process struct {
	pid    int
	output *tail
	// ended is closed when the program has ended, after status is set and its
	// output has arrived.
	ended  chan struct{}
	status unix.WaitStatus
}

// start starts the program in a process group of its own, with no input.
func start(spec Spec) (*process, error) {
	program, err := find(spec)
	if err != nil {
		return nil, err
	}
	// An empty pipe, since an image need not have a /dev/null.
	stdin, none, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer stdin.Close()
	none.Close()
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer w.Close()
	child, err := os.StartProcess(program, spec.Args, &os.ProcAttr{
		Dir:   spec.Dir,
		Env:   append([]string{}, spec.Env...), // nil would be our own
		Files: []*os.File{stdin, w, w},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		r.Close()
		var pathError *fs.PathError
		if errors.As(err, &pathError) {
			err = pathError.Err
		}
		if _, statErr := os.Stat(filepath.Join("/", program)); errors.Is(err, syscall.ENOENT) && statErr == nil {
			err = errors.New("the file is there, but not the dynamic linker or interpreter that it names")
		}
		return nil, err
	}
	p := &process{pid: child.Pid, output: newTail(spec.Output), ended: make(chan struct{})}
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		defer r.Close()
		_, _ = io.Copy(p.output, r)
	}()
	go p.reap(drained)
	return p, nil
}

// find returns the program's path, by the PATH that it will have itself.
func find(spec Spec) (string, error) {
	name := spec.Args[0]
	if strings.Contains(name, "/") {
		return name, nil
	}
	list := "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	for _, v := range spec.Env {
		if value, ok := strings.CutPrefix(v, "PATH="); ok {
			list = value
		}
	}
	for _, dir := range filepath.SplitList(list) {
		candidate := filepath.Join(dir, name)
		if info, err := os.Stat(candidate); err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0 {
			return candidate, nil
		}
	}
	return "", fmt.Errorf("it is not in the PATH %s", list)
}

// reap waits for children until the program has ended: as process 1 we inherit
// those that it leaves behind.
func (p *process) reap(drained <-chan struct{}) {
	for {
		var status unix.WaitStatus
		pid, err := unix.Wait4(-1, &status, 0, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return
		}
		if pid != p.pid {
			continue
		}
		p.status = status
		// A child of the program may hold its output open.
		select {
		case <-drained:
		case <-time.After(drain):
		}
		close(p.ended)
		return
	}
}

// kill ends the program and what it started, at once.
func (p *process) kill() {
	_ = unix.Kill(-p.pid, unix.SIGKILL)
	<-p.ended
}

// stop asks the program to end; it reports false if it had to be killed.
func (p *process) stop() bool {
	select {
	case <-p.ended:
		return true
	default:
	}
	_ = unix.Kill(p.pid, unix.SIGTERM)
	select {
	case <-p.ended:
		return true
	case <-time.After(grace):
		return false
	}
}

func (p *process) howEnded() string {
	if p.status.Signaled() {
		return fmt.Sprintf("signal %d (%s)", int(p.status.Signal()), p.status.Signal())
	}
	return fmt.Sprintf("exit code %d", p.status.ExitStatus())
}

// maxTail is how much of the program's output is kept.
const maxTail = 64 << 10

// tail keeps the end of what is written to it, and looks for a text in all of it.
type tail struct {
	mu      sync.Mutex
	wanted  []byte
	found   bool
	overlap []byte // the end of what was searched, where the text may begin
	buf     []byte
	dropped int64
}

func newTail(wanted string) *tail {
	return &tail{wanted: []byte(wanted), found: wanted == ""}
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.found {
		t.overlap = append(t.overlap, b...)
		t.found = bytes.Contains(t.overlap, t.wanted)
		t.overlap = bytes.Clone(t.overlap[max(0, len(t.overlap)-len(t.wanted)+1):])
	}
	t.buf = append(t.buf, b...)
	if extra := len(t.buf) - maxTail; extra > 0 {
		t.buf = append(t.buf[:0], t.buf[extra:]...)
		t.dropped += int64(extra)
	}
	return len(b), nil
}

// has reports whether the text was written.
func (t *tail) has() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.found
}

// bytes returns what is kept.
func (t *tail) bytes() []byte {
	t.mu.Lock()
	defer t.mu.Unlock()
	return bytes.Clone(t.buf)
}

func (t *tail) print(w io.Writer) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.buf) == 0 {
		fmt.Fprintln(w, "the program printed nothing")
		return
	}
	if t.dropped > 0 {
		fmt.Fprintf(w, "the program printed (the first %d bytes are left out):\n", t.dropped)
	} else {
		fmt.Fprintln(w, "the program printed:")
	}
	_, _ = w.Write(t.buf)
	if t.buf[len(t.buf)-1] != '\n' {
		fmt.Fprintln(w)
	}
}
