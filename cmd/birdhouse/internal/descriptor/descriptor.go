// Package descriptor finds, reads, plans and writes descriptors of projects on
// this machine, with no builder.
package descriptor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"github.com/moby/buildkit/frontend/dockerfile/parser"

	"github.com/birdhouse-build/birdhouse/langs/project"
)

// Names are the names of a descriptor, the preferred one first.
var Names = []string{"birdhouse.yaml", "birdhouse.yml"}

// dockerfile may be a descriptor too, when its syntax line says so.
const dockerfile = "Dockerfile"

// MaxSize is the largest descriptor, in bytes, that is read. The parser's own
// limit is lower; this one keeps a device or a huge file from filling memory.
const MaxSize = 16 << 20

// File is a descriptor.
type File struct {
	// Path is where it lies, "" when it is no file.
	Path string
	// Name is the last part of the path.
	Name string
	Data []byte
	// Ignore is the ignore file beside it that is for it alone (its name with
	// ".dockerignore" added), nil where there is none.
	Ignore []byte
}

// ReadBounded reads a descriptor, of MaxSize bytes at most.
func ReadBounded(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxSize {
		return nil, fmt.Errorf("it is larger than %d MB", MaxSize>>20)
	}
	return data, nil
}

// fetchTimeout is how long a descriptor may take to come over the network.
const fetchTimeout = time.Minute

// Fetch reads the descriptor at a URL (http, https). Proxies and certificates are
// the machine's; a user in the URL is sent, and shown in no error.
func Fetch(ctx context.Context, address string) (*File, error) {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the descriptor: %w", err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, fmt.Errorf("reading the descriptor: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("reading the descriptor: %s says %s", req.URL.Redacted(), res.Status)
	}
	data, err := ReadBounded(res.Body)
	if err != nil {
		return nil, fmt.Errorf("reading the descriptor %s: %w", req.URL.Redacted(), err)
	}
	file := &File{Name: path.Base(req.URL.Path), Data: data}
	if !fs.ValidPath(file.Name) || file.Name == "." {
		file.Name = Names[0]
	}
	return file, nil
}

// Find reads the descriptor of the project in dir. File is its path, relative to
// the working directory; "" looks in dir for one of Names, then for a Dockerfile
// whose syntax line names birdhouse.
func Find(dir, file string) (*File, error) {
	if file != "" {
		f, err := read(file)
		if errors.Is(err, fs.ErrNotExist) {
			if other := filepath.Join(dir, file); dir != "" && !filepath.IsAbs(file) && exists(other) {
				return nil, fmt.Errorf("reading the descriptor: there is no %s; -f is relative to the working directory: did you mean -f %s?", file, other)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading the descriptor: %w", err)
		}
		return f, nil
	}
	if err := CheckFolder(dir); err != nil {
		return nil, err
	}
	for _, name := range Names {
		f, err := read(filepath.Join(dir, name))
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("reading the descriptor: %w", err)
		}
	}
	if f, err := read(filepath.Join(dir, dockerfile)); err == nil {
		if syntax, _, _, ok := parser.DetectSyntax(f.Data); ok && strings.Contains(syntax, "birdhouse") {
			return f, nil
		}
		return nil, fmt.Errorf("there is no %s in %s, and its %s is not for birdhouse: no syntax line names it; birdhouse init writes a descriptor", Names[0], shown(dir), dockerfile)
	}
	return nil, fmt.Errorf("there is no %s in %s; birdhouse init writes one, or name it with -f", Names[0], shown(dir))
}

// CheckFolder returns an error when dir is no folder, which a project is.
func CheckFolder(dir string) error {
	switch info, err := os.Stat(cmp.Or(dir, ".")); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no folder %s; name the project's", dir)
	case err != nil:
		return fmt.Errorf("finding the project: %w", err)
	case !info.IsDir():
		return fmt.Errorf("%s is a file; name the project's folder, and the descriptor with -f", dir)
	}
	return nil
}

func read(path string) (*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%s is a folder; name the file in it", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := ReadBounded(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	file := &File{Path: path, Name: filepath.Base(path), Data: data}
	if file.Ignore, _, err = project.Ignore(path + ".dockerignore"); err != nil {
		return nil, err
	}
	return file, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func shown(dir string) string {
	if dir == "." || dir == "" {
		return "this folder"
	}
	return dir
}
