package frontend

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/moby/buildkit/frontend/dockerui"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	gwpb "github.com/moby/buildkit/frontend/gateway/pb"
	"github.com/moby/buildkit/util/urlutil"
	"github.com/moby/patternmatcher/ignorefile"
	fstypes "github.com/tonistiigi/fsutil/types"

	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// maxProjectFile bounds what is read of one project file: manifests are small,
// and the gateway sends a file in one message.
const maxProjectFile = 8 << 20

// project is the part of the project that planning reads, fetched through the
// gateway.
type project struct {
	// ctx is that of the build; fs.FS has no place for one.
	ctx    context.Context
	ref    gwclient.Reference
	source birdllb.Source

	mu    sync.Mutex
	dirs  map[string][]fs.DirEntry
	files map[string][]byte
	// err is the first failure that is not the project's.
	err error
}

var (
	_ fs.FS         = (*project)(nil)
	_ fs.ReadFileFS = (*project)(nil)
	_ fs.ReadDirFS  = (*project)(nil)
	_ fs.StatFS     = (*project)(nil)
)

// openProject fetches the files that match the patterns.
func (b *build) openProject(ctx context.Context, patterns []string) (*project, error) {
	remote, err := b.remoteContext(ctx)
	if err != nil {
		return nil, err
	}
	ignore := b.ui.DockerIgnorePatterns
	if remote {
		ignore = b.remoteIgnore()
	}
	source := &birdllb.Local{
		Context:    b.ui.MainContext,
		Ignore:     ignore,
		Remote:     remote,
		Descriptor: path.Clean(b.opts["filename"]),
		Build:      b.ui.BuildPlatforms[0],
	}
	st, err := source.State(ctx, patterns, nil, "load the project's manifests")
	if err != nil {
		return nil, err
	}
	def, err := st.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	res, err := b.client.Solve(ctx, gwclient.SolveRequest{Definition: def.ToPB(), Evaluate: true})
	if err != nil {
		return nil, fmt.Errorf("loading the project: %w", err)
	}
	ref, err := res.SingleRef()
	if err != nil {
		return nil, err
	}
	return &project{
		ctx: ctx, ref: ref, source: source,
		dirs: map[string][]fs.DirEntry{}, files: map[string][]byte{},
	}, nil
}

// remoteIgnore reads the patterns of the ignore file of a context that is no
// directory of the client's: a project is the same wherever it comes from. (BuildKit
// itself has them for directories alone.)
func (b *build) remoteIgnore() func(ctx context.Context) ([]string, error) {
	var once sync.Once
	var patterns []string
	var failed error
	return func(ctx context.Context) ([]string, error) {
		once.Do(func() { patterns, failed = b.readRemoteIgnore(ctx) })
		return patterns, failed
	}
}

func (b *build) readRemoteIgnore(ctx context.Context) ([]string, error) {
	st, err := b.ui.MainContext(ctx)
	if err != nil {
		return nil, err
	}
	def, err := st.Marshal(ctx)
	if err != nil {
		return nil, err
	}
	res, err := b.client.Solve(ctx, gwclient.SolveRequest{Definition: def.ToPB()})
	if err != nil {
		return nil, fmt.Errorf("loading the project: %w", err)
	}
	ref, err := res.SingleRef()
	if err != nil {
		return nil, err
	}
	// As for a directory, a file for this descriptor alone comes before that for all.
	for _, name := range []string{path.Clean(b.opts["filename"]) + dockerignore, dockerignore} {
		data, err := dockerui.ReadFile(ctx, ref, name)
		if isNotExist(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("reading %s of the project: %w", name, err)
		}
		patterns, err := ignorefile.ReadAll(bytes.NewReader(data))
		if err != nil {
			return nil, fmt.Errorf("reading %s of the project: %w", name, err)
		}
		return patterns, nil
	}
	return nil, nil
}

const dockerignore = ".dockerignore"

// remoteContext reports whether the build context is no directory of the
// client's: a git repository, an archive, or an input of another build.
func (b *build) remoteContext(ctx context.Context) (bool, error) {
	key := dockerui.DefaultLocalNameContext
	if v, ok := b.opts["contextkey"]; ok {
		key = v
	}
	if _, ok, _ := dockerui.DetectGitContext(b.opts[key], nil); ok {
		return true, nil
	}
	if _, _, ok := dockerui.DetectHTTPContext(b.opts[key]); ok {
		return true, nil
	}
	caps := b.client.BuildOpts().Caps
	if caps.Supports(gwpb.CapFrontendInputs) != nil {
		return false, nil
	}
	inputs, err := b.client.Inputs(ctx)
	if err != nil {
		return false, fmt.Errorf("reading the frontend's inputs: %w", err)
	}
	_, ok := inputs[dockerui.DefaultLocalNameContext]
	return ok, nil
}

// from says for a message where a context comes from that is neither a directory
// nor an archive of the client's.
func (b *build) from() string {
	key := dockerui.DefaultLocalNameContext
	if v, ok := b.opts["contextkey"]; ok {
		key = v
	}
	address := b.opts[key]
	_, git, _ := dockerui.DetectGitContext(address, nil)
	_, _, http := dockerui.DetectHTTPContext(address)
	if !git && !http || strings.HasPrefix(address, uploaded) {
		return ""
	}
	return " in " + urlutil.RedactCredentials(address)
}

// uploaded is what the addresses of archives begin with that clients have
// (BuildKit's session/upload).
const uploaded = "http://buildkit-session/"

// failed is the first error that says nothing about the project: a lost
// connection, a canceled build.
func (p *project) failed() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// content is what was read of a file, nil when it was not.
func (p *project) content(name string) []byte {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.files[path.Clean(name)]
}

func (p *project) fail(op, name string, err error) error {
	if isNotExist(err) {
		return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	if strings.Contains(err.Error(), "not a directory") || strings.Contains(err.Error(), "is a directory") {
		return &fs.PathError{Op: op, Path: name, Err: err}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = fmt.Errorf("reading %s of the project: %w", name, err)
	}
	return &fs.PathError{Op: op, Path: name, Err: err}
}

// Open implements fs.FS.
func (p *project) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return &dir{info: fileInfo{name: ".", mode: fs.ModeDir | 0o755}, project: p, path: "."}, nil
	}
	info, err := p.stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return &dir{info: info, project: p, path: name}, nil
	}
	dt, err := p.ReadFile(name)
	if err != nil {
		return nil, err
	}
	info.size = int64(len(dt))
	return &file{info: info, Reader: bytes.NewReader(dt)}, nil
}

// Stat implements fs.StatFS: a file need not be read, nor be small, to be there.
func (p *project) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	if name == "." {
		return fileInfo{name: ".", mode: fs.ModeDir | 0o755}, nil
	}
	return p.stat(name)
}

// stat finds a file in its directory's listing: one request for a directory,
// not one for each file, and links are seen as such.
func (p *project) stat(name string) (fileInfo, error) {
	entries, err := p.ReadDir(path.Dir(name))
	if err != nil {
		return fileInfo{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	base := path.Base(name)
	i := sort.Search(len(entries), func(i int) bool { return entries[i].Name() >= base })
	if i == len(entries) || entries[i].Name() != base {
		return fileInfo{}, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	info := entries[i].(fileInfo)
	if info.mode&fs.ModeSymlink == 0 {
		return info, nil
	}
	// The gateway follows links inside the project; one that leaves it ends at
	// nothing.
	target := path.Join(path.Dir(name), info.link)
	if path.IsAbs(info.link) || target == ".." || strings.HasPrefix(target, "../") {
		return fileInfo{}, &fs.PathError{Op: "stat", Path: name, Err: fmt.Errorf("%s is a symbolic link to %s, outside the project: put the file itself there", name, info.link)}
	}
	st, err := p.ref.StatFile(p.ctx, gwclient.StatRequest{Path: name})
	if err != nil {
		return fileInfo{}, p.fail("stat", name, err)
	}
	followed := newFileInfo(st)
	followed.name = base
	if followed.mode&fs.ModeSymlink != 0 {
		followed.mode = 0o644
	}
	return followed, nil
}

// ReadFile implements fs.ReadFileFS.
func (p *project) ReadFile(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	if dt := p.content(name); dt != nil {
		return dt, nil
	}
	info, err := p.stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("is a directory")}
	}
	if info.size > maxProjectFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("it has %d bytes; more than %d are not read", info.size, int64(maxProjectFile))}
	}
	dt, err := p.ref.ReadFile(p.ctx, gwclient.ReadRequest{Filename: name, Range: &gwclient.FileRange{Length: maxProjectFile + 1}})
	if err != nil {
		return nil, p.fail("read", name, err)
	}
	if len(dt) > maxProjectFile {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fmt.Errorf("more than %d bytes are not read", int64(maxProjectFile))}
	}
	if dt == nil {
		dt = []byte{}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.files[name] = dt
	return dt, nil
}

// ReadDir implements fs.ReadDirFS; entries are sorted by name.
func (p *project) ReadDir(name string) ([]fs.DirEntry, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	p.mu.Lock()
	entries, ok := p.dirs[name]
	p.mu.Unlock()
	if ok {
		return entries, nil
	}
	stats, err := p.ref.ReadDir(p.ctx, gwclient.ReadDirRequest{Path: name})
	if err != nil {
		return nil, p.fail("readdir", name, err)
	}
	entries = make([]fs.DirEntry, 0, len(stats))
	for _, st := range stats {
		entries = append(entries, newFileInfo(st))
	}
	sort.Slice(entries, func(i, j int) bool { return entries[i].Name() < entries[j].Name() })
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dirs[name] = entries
	return entries, nil
}

// fileInfo is both fs.FileInfo and fs.DirEntry.
type fileInfo struct {
	name string
	link string
	mode fs.FileMode
	size int64
}

func newFileInfo(st *fstypes.Stat) fileInfo {
	return fileInfo{name: path.Base(st.Path), link: st.Linkname, mode: fs.FileMode(st.Mode), size: st.Size}
}

func (i fileInfo) Name() string               { return i.name }
func (i fileInfo) Size() int64                { return i.size }
func (i fileInfo) Mode() fs.FileMode          { return i.mode }
func (i fileInfo) ModTime() time.Time         { return time.Time{} }
func (i fileInfo) IsDir() bool                { return i.mode.IsDir() }
func (i fileInfo) Sys() any                   { return nil }
func (i fileInfo) Type() fs.FileMode          { return i.mode.Type() }
func (i fileInfo) Info() (fs.FileInfo, error) { return i, nil }

type file struct {
	info fileInfo
	*bytes.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

type dir struct {
	info    fileInfo
	project *project
	path    string
	read    int
}

func (d *dir) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *dir) Close() error               { return nil }
func (d *dir) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.path, Err: fmt.Errorf("is a directory")}
}

func (d *dir) ReadDir(n int) ([]fs.DirEntry, error) {
	entries, err := d.project.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	rest := entries[min(d.read, len(entries)):]
	if n > 0 {
		if len(rest) == 0 {
			return nil, io.EOF
		}
		rest = rest[:min(n, len(rest))]
	}
	d.read += len(rest)
	return rest, nil
}
