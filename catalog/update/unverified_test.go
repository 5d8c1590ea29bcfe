package update_test

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/stretchr/testify/require"
	"github.com/tonistiigi/fsutil"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/internal/archivetest"
	"github.com/birdhouse-build/birdhouse/catalog/update"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// builder makes base images of a test's archive with a real BuildKit, whose cache
// has nothing of packages with other content.
type builder struct {
	client *client.Client
	steps  fsutil.FS
}

func newBuilder(t *testing.T) *builder {
	t.Helper()
	harness.Birdhouse(t) // makes the steps program
	steps, err := fsutil.NewFS(filepath.Join(harness.Root(t), "steps", "embedded", "bin"))
	require.NoError(t, err)
	c, err := client.New(t.Context(), harness.Buildkitd(t).Address)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return &builder{c, steps}
}

// outcome is what a build came to.
type outcome struct {
	// ran are the names of the operations that were begun, log is what their
	// commands printed.
	ran []string
	log string
	// files are the content of what was asked for.
	files map[string]string
	err   error
}

// build makes static:7 and reads files of it.
func (b *builder) build(t *testing.T, lock *catalog.Lock, o update.Options, files ...string) outcome {
	t.Helper()
	c, err := catalog.New(o.Definitions, lock)
	require.NoError(t, err)
	machine := ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}
	out := outcome{files: map[string]string{}}
	var read sync.WaitGroup
	progress := make(chan *client.SolveStatus)
	began := map[string]bool{}
	read.Go(func() {
		for s := range progress {
			for _, v := range s.Vertexes {
				if v.Started != nil && !v.Cached {
					began[v.Name] = true
				}
			}
			for _, l := range s.Logs {
				out.log += string(l.Data)
			}
		}
	})
	_, out.err = b.client.Build(t.Context(), client.SolveOpt{LocalMounts: map[string]fsutil.FS{frontend.StepsLocal: b.steps}}, "",
		func(ctx context.Context, gw gwclient.Client) (*gwclient.Result, error) {
			options := birdllb.Options{Caps: gw.BuildOpts().LLBCaps, Build: machine}
			if options.Steps, err = frontend.StepsFromLocal(ctx, gw, machine); err != nil {
				return nil, err
			}
			base, err := (&birdllb.Catalog{Catalog: c, Mirror: o.Mirror, Options: options}).Base(ctx, plan.Base{Image: "static", Version: "7"}, machine)
			if err != nil {
				return nil, err
			}
			def, err := base.State.Marshal(ctx, llb.Platform(machine))
			if err != nil {
				return nil, err
			}
			res, err := gw.Solve(ctx, gwclient.SolveRequest{Definition: def.ToPB(), Evaluate: true})
			if err != nil {
				return nil, err
			}
			for _, f := range files {
				data, err := res.Ref.ReadFile(ctx, gwclient.ReadRequest{Filename: f})
				if err != nil {
					return nil, err
				}
				out.files[f] = string(data)
			}
			return gwclient.NewResult(), nil
		}, progress)
	read.Wait()
	for name := range began {
		out.ran = append(out.ran, name)
	}
	return out
}

// flat are definitions with one layer of two packages.
const flat = `
architectures: {amd64: {}, arm64: {}}
suites: {"7": {component: main, sources: [{archive: debian, suite: stone}]}}
layers: [{name: static, what: "files {files}", packages: [files, more]}]
images: {static: {layers: [static]}}
`

// locked is an archive with the packages files and more, and a lock of it.
func locked(t *testing.T, files archivetest.Package) (*archivetest.Archive, update.Options, *catalog.Lock) {
	t.Helper()
	files.Name, files.Arch = "files", "all"
	if files.Version == "" {
		files.Version = "1"
	}
	a := archivetest.Start(t, archivetest.Suite{Name: "stone", Packages: []archivetest.Package{
		files, {Name: "more", Version: "2:1~rc1+b1", Arch: "all", Files: map[string]string{"etc/more": t.Name()}},
	}})
	o := options(t, a)
	o.Definitions = read(t, flat)
	lock, _, err := update.Run(t.Context(), o)
	require.NoError(t, err)
	return a, o, lock
}

// Nothing is unpacked of any package while one is not what the lock says, however
// the mirror came to serve it.
func TestNothingUnverifiedIsUnpacked(t *testing.T) {
	b := newBuilder(t)
	for name, serve := range map[string]func(w http.ResponseWriter, data []byte){
		"one byte differs": func(w http.ResponseWriter, data []byte) {
			changed := bytes.Clone(data)
			changed[len(changed)/2] ^= 1
			_, _ = w.Write(changed)
		},
		"it is another package": func(w http.ResponseWriter, _ []byte) {
			_, _ = w.Write(archivetest.Package{Name: "files", Version: "1", Arch: "all", Files: map[string]string{"etc/evil": "x"}}.Deb(t))
		},
		"something follows it": func(w http.ResponseWriter, data []byte) { _, _ = w.Write(append(bytes.Clone(data), 0)) },
		"it is cut off":        func(w http.ResponseWriter, data []byte) { _, _ = w.Write(data[:len(data)-100]) },
		"it is empty":          func(http.ResponseWriter, []byte) {},
		"the transfer breaks off": func(w http.ResponseWriter, data []byte) {
			w.Header().Set("Content-Length", fmt.Sprint(len(data)))
			_, _ = w.Write(data[:len(data)/2])
		},
		"it is a page of a portal": func(w http.ResponseWriter, _ []byte) { _, _ = w.Write([]byte("<html>Please log in</html>")) },
	} {
		t.Run(name, func(t *testing.T) {
			a, o, lock := locked(t, archivetest.Package{Files: map[string]string{"etc/name": name}})
			a.Handle(func(w http.ResponseWriter, r *http.Request, data []byte) bool {
				wrong := strings.Contains(r.URL.Path, "/files_")
				if wrong {
					serve(w, data)
				}
				return wrong
			})
			got := b.build(t, lock, o)
			require.Error(t, got.err)
			require.NotContains(t, strings.Join(got.ran, "\n"), "unpack")

			// The same lock and an honest mirror: it was the mirror.
			a.Handle(nil)
			got = b.build(t, lock, o, "etc/name", "etc/more")
			require.NoError(t, got.err, got.log)
			require.Equal(t, map[string]string{"etc/name": name, "etc/more": t.Name()}, got.files)
			require.Contains(t, strings.Join(got.ran, "\n"), "unpack static")
		})
	}
}

// Packages that the archive's own key vouches for may be wrong all the same: they
// end the build with a line that says what is wrong, and nothing comes of them.
func TestHostilePackages(t *testing.T) {
	b := newBuilder(t)
	archive := func(headers ...tar.Header) []byte {
		var out bytes.Buffer
		w := tar.NewWriter(&out)
		for _, h := range append([]tar.Header{{Name: "./before", Typeflag: tar.TypeReg, Mode: 0o644}}, headers...) {
			require.NoError(t, w.WriteHeader(&h))
			_, err := w.Write(make([]byte, h.Size))
			require.NoError(t, err)
		}
		require.NoError(t, w.Close())
		return out.Bytes()
	}
	huge := archive(tar.Header{Name: "./huge", Typeflag: tar.TypeReg, Mode: 0o644, Size: 1})
	copy(huge[512+124:], "77777777777\x00") // 8 GiB, of which one byte is there
	checksum(huge[512:1024])
	sparse := archive(tar.Header{Name: "./sparse", Typeflag: tar.TypeReg, Mode: 0o644})
	sparse[512+156] = tar.TypeGNUSparse
	copy(sparse[512+257:], "ustar  \x00")
	checksum(sparse[512:1024])
	for name, c := range map[string]struct {
		data []byte
		want string
	}{
		"a path that climbs out":     {archive(tar.Header{Name: "./../../etc/evil", Typeflag: tar.TypeReg, Mode: 0o644}), `unpacking "./../../etc/evil": the path has an element ".."`},
		"an absolute path":           {archive(tar.Header{Name: "/etc/evil", Typeflag: tar.TypeReg, Mode: 0o644}), `unpacking "/etc/evil": the path is absolute`},
		"a link that climbs out":     {archive(tar.Header{Name: "./a", Typeflag: tar.TypeSymlink, Linkname: "../../etc"}), `the symlink's target "../../etc" leads out of the layer`},
		"a hard link out":            {archive(tar.Header{Name: "./a", Typeflag: tar.TypeLink, Linkname: "../run/birdhouse/steps"}), `hard link: the path has an element ".."`},
		"a hard link to nothing":     {archive(tar.Header{Name: "./a", Typeflag: tar.TypeLink, Linkname: "./b"}), "hard link to /b, which the layer does not have"},
		"a character device":         {archive(tar.Header{Name: "./dev/null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}), "it is a device node, which an image must not have"},
		"a block device":             {archive(tar.Header{Name: "./dev/sda", Typeflag: tar.TypeBlock, Mode: 0o666, Devmajor: 8}), "it is a device node, which an image must not have"},
		"a fifo":                     {archive(tar.Header{Name: "./pipe", Typeflag: tar.TypeFifo, Mode: 0o666}), "it is a fifo, which an image must not have"},
		"a sparse file":              {sparse, "unpacking \"./sparse\": it is a sparse file"},
		"a file larger than it says": {huge, "unexpected EOF"},
		"the end is cut off":         {huge[:700], "reading data.tar"},
		"no archive":                 {[]byte(strings.Repeat("no archive ", 100)), "reading data.tar"},
	} {
		t.Run(name, func(t *testing.T) {
			_, o, lock := locked(t, archivetest.Package{Tar: c.data})
			got := b.build(t, lock, o)
			require.Error(t, got.err)
			require.Contains(t, got.log, "package files: ")
			require.Contains(t, got.log, c.want)
		})
	}
}

// What packages may have: hard links within, and rights that are taken away.
func TestUnusualPackages(t *testing.T) {
	b := newBuilder(t)
	var data bytes.Buffer
	w := tar.NewWriter(&data)
	for _, h := range []tar.Header{
		{Name: "./etc/", Typeflag: tar.TypeDir, Mode: 0o2777},
		{Name: "./etc/name", Typeflag: tar.TypeReg, Mode: 0o6777, Size: 4, Uid: 1000, Gid: 1000},
		{Name: "./etc/linked", Typeflag: tar.TypeLink, Linkname: "./etc/name"},
		{Name: "./etc/soft", Typeflag: tar.TypeSymlink, Linkname: "/etc/linked"},
	} {
		require.NoError(t, w.WriteHeader(&h))
		if h.Size > 0 {
			_, err := w.Write([]byte("text"))
			require.NoError(t, err)
		}
	}
	require.NoError(t, w.Close())
	_, o, lock := locked(t, archivetest.Package{Version: "3:1.0~rc1-2+b1", Tar: data.Bytes()})
	got := b.build(t, lock, o, "etc/name", "etc/linked", "etc/soft")
	require.NoError(t, got.err, got.log)
	require.Equal(t, map[string]string{"etc/name": "text", "etc/linked": "text", "etc/soft": "text"}, got.files)
}

func checksum(header []byte) {
	copy(header[148:156], "        ")
	sum := 0
	for _, b := range header {
		sum += int(b)
	}
	copy(header[148:156], fmt.Sprintf("%06o\x00 ", sum))
}
