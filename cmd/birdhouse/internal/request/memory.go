package request

import (
	"bytes"
	"context"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"sync"

	"github.com/tonistiigi/fsutil"
	"github.com/tonistiigi/fsutil/types"
)

// Memory returns a folder in memory that a build can have as a local directory.
// Its files, by name, are made when the build first asks for the folder.
func Memory(files func() (map[string][]byte, error)) fsutil.FS {
	return &memory{load: sync.OnceValues(files)}
}

type memory struct {
	load func() (map[string][]byte, error)
}

var checksums = crc32.MakeTable(crc32.Castagnoli)

// Walk implements fsutil.FS. Target is "" or "/" for all files, or one of them.
func (m *memory) Walk(ctx context.Context, target string, fn fs.WalkDirFunc) error {
	files, err := m.load()
	if err != nil {
		return err
	}
	target = strings.TrimPrefix(path.Clean("/"+target), "/")
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if target != "" && name != target {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		data := files[name]
		stat := &types.Stat{
			Path: name,
			Mode: 0o755,
			Size: int64(len(data)),
			// BuildKit fetches a file again when its time or size has changed, so
			// the time follows the content. It reaches no cache key and no image.
			ModTime: int64(crc32.Checksum(data, checksums)) * 1e9,
		}
		if err := fn(name, &fsutil.DirEntryInfo{Stat: stat}, nil); err != nil {
			return err
		}
	}
	return nil
}

// Open implements fsutil.FS.
func (m *memory) Open(name string) (io.ReadCloser, error) {
	files, err := m.load()
	if err != nil {
		return nil, err
	}
	data, ok := files[name]
	if !ok {
		return nil, &os.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return io.NopCloser(bytes.NewReader(data)), nil
}
