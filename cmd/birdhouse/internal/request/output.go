package request

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/moby/buildkit/client"
	"github.com/tonistiigi/go-csvvalue"
	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// Outputs are where the result of a build goes. Nothing is visible there before
// Commit, except in a folder and in a registry, which BuildKit itself writes to.
type Outputs struct {
	// Exports are for the solve. The one for the local store, at index
	// StoreExport, lacks its OutputStore.
	Exports []client.ExportEntry
	// Keep says that the image goes to the local store.
	Keep bool
	// Pushed says that the image goes to a registry.
	Pushed bool
	// Loaded says that the image goes to docker.
	Loaded bool
	// Stdout says that an output is written to standard output.
	Stdout bool
	// Paths are the files and folders written, as they were named.
	Paths []string

	files  []*pendingFile
	docker *dockerLoad
	// store is the index of the export to the local store.
	store int
}

// UseStore sets the content store that an image to keep is written to.
func (o *Outputs) UseStore(s content.Store) {
	if o.Keep {
		o.Exports[o.store].OutputStore = s
	}
}

// Commit makes the outputs visible; it is called when the build has succeeded.
func (o *Outputs) Commit() error {
	for _, f := range o.files {
		if err := f.commit(); err != nil {
			o.Discard()
			return err
		}
	}
	return nil
}

// Discard removes what was not committed.
func (o *Outputs) Discard() {
	for _, f := range o.files {
		f.discard()
	}
}

// parseOutputs reads -o, --push and --load. Remote is true where the builder is
// a daemon with an image store of its own.
func parseOutputs(f Flags, stdout *os.File, remote bool) (*Outputs, error) {
	o := &Outputs{store: -1}
	annotations, err := parseAnnotations(f.Annotations)
	if err != nil {
		return nil, err
	}
	if err := checkTags(f.Tags); err != nil {
		return nil, err
	}
	keep := len(f.Outputs) == 0 && !f.Push && !f.Load
	for _, s := range f.Outputs {
		if s == "" {
			continue
		}
		typ, dest, attrs, err := parseOutput(s)
		if err != nil {
			return nil, fmt.Errorf("--output %q: %w", s, err)
		}
		if typ == "cacheonly" {
			continue
		}
		if f.Push && typ == client.ExporterImage {
			attrs["push"] = "true"
		}
		if typ == client.ExporterImage && !remote && !isTrue(attrs["push"]) {
			keep = true // without a daemon, the local store is the builder's
			continue
		}
		e := client.ExportEntry{Type: typ, Attrs: attrs}
		if err := o.destination(&e, dest, stdout); err != nil {
			return nil, fmt.Errorf("--output %q: %w", s, err)
		}
		o.Exports = append(o.Exports, e)
	}
	if f.Push && !o.has(func(e client.ExportEntry) bool { return e.Type == client.ExporterImage }) {
		o.Exports = append(o.Exports, client.ExportEntry{Type: client.ExporterImage, Attrs: map[string]string{"push": "true"}})
	}
	if f.Load && o.docker == nil {
		e := client.ExportEntry{Type: client.ExporterDocker, Attrs: map[string]string{}}
		if err := o.destination(&e, "", stdout); err != nil {
			return nil, fmt.Errorf("--load: %w", err)
		}
		o.Exports = append(o.Exports, e)
	}
	if keep {
		o.Keep, o.store = true, len(o.Exports)
		o.Exports = append(o.Exports, client.ExportEntry{Type: client.ExporterOCI, Attrs: map[string]string{"tar": "false"}})
	}

	stores := 0
	for i := range o.Exports {
		e := &o.Exports[i]
		maps.Copy(e.Attrs, annotations)
		switch e.Type {
		case client.ExporterImage, client.ExporterOCI, client.ExporterDocker:
			if len(f.Tags) > 0 {
				e.Attrs["name"] = strings.Join(f.Tags, ",")
			}
		}
		if e.Type == client.ExporterImage && isTrue(e.Attrs["push"]) {
			if e.Attrs["name"] == "" {
				return nil, errors.New("pushing needs to know where to: name the image with --tag REGISTRY/NAME:TAG")
			}
			if _, ok := e.Attrs["unpack"]; !ok {
				e.Attrs["unpack"] = "false" // it is only sent
			}
			o.Pushed = true
		}
		if i == o.store || (e.Type == client.ExporterOCI || e.Type == client.ExporterDocker) && e.OutputDir != "" {
			stores++
		}
	}
	if stores > 1 {
		return nil, errors.New("a build can write one OCI layout: drop one of the outputs of type image or with tar=false")
	}
	return o, nil
}

// parseOutput reads one -o as buildx does: key=value pairs, a folder's name
// alone, or "-" alone for an archive on standard output.
func parseOutput(s string) (typ, dest string, attrs map[string]string, err error) {
	attrs = map[string]string{}
	fields, err := csvvalue.Fields(s, nil)
	if err != nil {
		return "", "", nil, err
	}
	if len(fields) == 1 && fields[0] == s && !strings.HasPrefix(s, "type=") {
		if s == "-" {
			return client.ExporterTar, "-", attrs, nil
		}
		return client.ExporterLocal, s, attrs, nil
	}
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return "", "", nil, fmt.Errorf("%q is not key=value", field)
		}
		switch key = strings.TrimSpace(strings.ToLower(key)); key {
		case "type":
			typ = value
		case "dest":
			dest = value
		default:
			attrs[key] = value
		}
	}
	switch typ {
	case "":
		return "", "", nil, errors.New("it has no type; write type=local,dest=FOLDER or another type: tar, oci, docker, image, registry")
	case "registry":
		typ, attrs["push"] = client.ExporterImage, "true"
	case client.ExporterLocal, client.ExporterTar, client.ExporterOCI, client.ExporterDocker, client.ExporterImage, "cacheonly":
	default:
		return "", "", nil, fmt.Errorf("unknown type %q; there is local, tar, oci, docker, image and registry", typ)
	}
	return typ, dest, attrs, nil
}

func (o *Outputs) destination(e *client.ExportEntry, dest string, stdout *os.File) error {
	archive := true
	if v, ok := e.Attrs["tar"]; ok {
		if b, err := strconv.ParseBool(v); err == nil {
			archive = b
		}
	}
	folder := e.Type == client.ExporterLocal || !archive && (e.Type == client.ExporterOCI || e.Type == client.ExporterDocker)
	file := e.Type == client.ExporterTar || archive && (e.Type == client.ExporterOCI || e.Type == client.ExporterDocker)
	switch {
	case folder:
		if dest == "" || dest == "-" {
			return errors.New("it needs a folder: dest=FOLDER")
		}
		if info, err := os.Stat(dest); err == nil && !info.IsDir() {
			return fmt.Errorf("%s is a file; name a folder", dest)
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if err := checkWritable(dest); err != nil {
			return err
		}
		e.OutputDir = dest
		o.Paths = append(o.Paths, dest)
	case file && dest == "" && e.Type == client.ExporterDocker:
		docker, err := newDockerLoad()
		if err != nil {
			return err
		}
		o.docker, o.Loaded = docker, true
		e.Output = func(map[string]string) (io.WriteCloser, error) { return docker, nil }
	case file && (dest == "" || dest == "-"):
		if o.Stdout {
			return errors.New("another output goes to standard output already")
		}
		if stdout == nil || term.IsTerminal(int(stdout.Fd())) {
			return errors.New("an archive is not written to a terminal: name a file with dest=FILE, or redirect the output")
		}
		o.Stdout = true
		e.Output = func(map[string]string) (io.WriteCloser, error) { return keepOpen{stdout}, nil }
	case file:
		f, err := newPendingFile(dest)
		if err != nil {
			return err
		}
		o.files = append(o.files, f)
		o.Paths = append(o.Paths, dest)
		e.Output = func(map[string]string) (io.WriteCloser, error) { return f.open() }
	case dest != "":
		return fmt.Errorf("type %s writes to no file; leave dest out", e.Type)
	}
	return nil
}

func (o *Outputs) has(what func(client.ExportEntry) bool) bool {
	for _, e := range o.Exports {
		if what(e) {
			return true
		}
	}
	return false
}

func isTrue(s string) bool {
	b, _ := strconv.ParseBool(s)
	return b
}

type keepOpen struct{ io.Writer }

func (keepOpen) Close() error { return nil }

// pendingFile is written beside its place and moved there when it is complete.
type pendingFile struct {
	dest string
	temp *os.File
}

func newPendingFile(dest string) (*pendingFile, error) {
	info, err := os.Stat(dest)
	switch {
	case err == nil && info.IsDir():
		return nil, fmt.Errorf("%s is a folder; name a file", dest)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, err
	case err != nil || info.Mode().IsRegular():
		if err := checkWritable(filepath.Dir(dest)); err != nil {
			return nil, err
		}
	}
	return &pendingFile{dest: dest}, nil
}

// checkWritable returns an error when a folder, which need not be there yet,
// cannot be written to: better before the build than after it.
func checkWritable(dir string) error {
	for {
		err := unix.Access(dir, unix.W_OK|unix.X_OK)
		parent := filepath.Dir(dir)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, fs.ErrNotExist) && parent != dir:
			dir = parent
		default:
			return fmt.Errorf("writing to %s: %w", dir, err)
		}
	}
}

func (p *pendingFile) open() (io.WriteCloser, error) {
	if info, err := os.Stat(p.dest); err == nil && !info.Mode().IsRegular() {
		// A pipe or a device is written to as it is.
		return os.OpenFile(p.dest, os.O_WRONLY, 0)
	}
	dir := filepath.Dir(p.dest)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	p.discard()
	temp, err := os.CreateTemp(dir, "."+filepath.Base(p.dest)+".*")
	if err != nil {
		return nil, err
	}
	p.temp = temp
	return temp, nil
}

func (p *pendingFile) commit() error {
	if p.temp == nil {
		return nil
	}
	err := os.Chmod(p.temp.Name(), 0o644)
	if err == nil {
		err = os.Rename(p.temp.Name(), p.dest)
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", p.dest, err)
	}
	p.temp = nil
	return nil
}

func (p *pendingFile) discard() {
	if p.temp != nil {
		_ = p.temp.Close()
		_ = os.Remove(p.temp.Name())
		p.temp = nil
	}
}

// dockerLoad is `docker load`, started with the first byte.
type dockerLoad struct {
	path   string
	cmd    *exec.Cmd
	pipe   io.WriteCloser
	stderr bytes.Buffer
	done   func() error
}

func newDockerLoad() (*dockerLoad, error) {
	path, err := exec.LookPath("docker")
	if err != nil {
		return nil, errors.New("there is no docker command on PATH; without this output the image is kept locally, and birdhouse run starts it")
	}
	return &dockerLoad{path: path}, nil
}

func (d *dockerLoad) Write(p []byte) (int, error) {
	if d.cmd == nil {
		cmd := exec.Command(d.path, "load")
		cmd.Stderr = &d.stderr
		pipe, err := cmd.StdinPipe()
		if err == nil {
			err = cmd.Start()
		}
		if err != nil {
			return 0, fmt.Errorf("starting docker load: %w", err)
		}
		d.cmd, d.pipe, d.done = cmd, pipe, sync.OnceValue(cmd.Wait)
	}
	n, err := d.pipe.Write(p)
	if err != nil {
		if failed := d.wait(); failed != nil {
			err = failed // what docker says tells more than a broken pipe
		}
	}
	return n, err
}

// Close ends the input and waits until docker has the image.
func (d *dockerLoad) Close() error {
	if d.cmd == nil {
		return nil
	}
	_ = d.pipe.Close()
	return d.wait()
}

func (d *dockerLoad) wait() error {
	if err := d.done(); err != nil {
		return fmt.Errorf("docker load: %w: %s", err, strings.TrimSpace(d.stderr.String()))
	}
	return nil
}
