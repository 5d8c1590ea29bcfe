package publish

import (
	"archive/tar"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"

	"github.com/klauspost/compress/gzip"
	"github.com/moby/buildkit/client"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/steps/embedded"
)

// source has the source of the frontend image: what `go build ./cmd/frontend`
// needs of this module, and the descriptor birdhouse.yaml. `make` writes it, so
// that an installed command can build the frontend that belongs to it. The README is
// there so that the package compiles before that.
//
//go:embed all:source
var source embed.FS

// sourceArchive is in source.
const sourceArchive = "source/frontend.tar.gz"

// maxSource bounds the source in bytes.
const maxSource = 64 << 20

// FrontendRepository is the name of the frontend image below the prefix.
const FrontendRepository = "birdhouse"

// frontendMajor is the tag that syntax lines name. It changes when descriptors that
// were valid no longer are.
const frontendMajor = "1"

// frontendBase is the base of a Go program, which the frontend does without.
const frontendBase = "static:13"

// Frontend builds the frontend image, with a lock that has where the catalog's
// images are published, from the source that this command carries, and pushes it.
// It is built with birdhouse itself. Version is the command's.
func Frontend(ctx context.Context, o Options, lock *catalog.Lock, version string, request func(dir string) (client.SolveOpt, error)) (*Image, error) {
	r, err := newRun(Options{
		Client: o.Client, Status: o.Status, Catalog: o.Catalog, Steps: o.Steps, Prefix: o.Prefix,
		Platforms: o.Platforms, Compression: o.Compression, Dir: o.Dir,
	})
	if err != nil {
		return nil, err
	}
	img, err := r.publishFrontend(ctx, lock, version, request)
	if err != nil {
		return nil, fmt.Errorf("the frontend image: %w", err)
	}
	return img, nil
}

func (r *run) publishFrontend(ctx context.Context, lock *catalog.Lock, version string, request func(dir string) (client.SolveOpt, error)) (*Image, error) {
	dir, err := os.MkdirTemp(r.Dir, "frontend-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := writeSource(dir, lock); err != nil {
		return nil, err
	}
	if err := r.keepPlatforms(ctx); err != nil {
		return nil, err
	}
	r.Request = func() (client.SolveOpt, error) {
		opt, err := request(dir)
		if err == nil {
			// Certificates and time zones are for programs that need them: a frontend
			// has no network and every build fetches it.
			opt.FrontendAttrs["context:"+frontendBase] = "docker-image://scratch"
		}
		return opt, err
	}
	// For the same reason it is compressed as well as can be; it is small.
	level := ""
	if r.Compression == "gzip" {
		level = "9"
	}
	b, err := r.solve(ctx, FrontendRepository+":"+frontendMajor, r.Compression, level, r.frontend.Build)
	if err != nil {
		return nil, err
	}
	defer b.remove()
	tags := catalog.Tags{Moving: []string{frontendMajor}}
	if v := versionTag(version); v != "" && v != frontendMajor {
		tags.Moving = append(tags.Moving, v)
	}
	img, err := r.deliver(ctx, FrontendRepository, tags, b)
	if err != nil {
		return nil, err
	}
	img.Ref = FrontendRepository + ":" + frontendMajor
	return img, nil
}

// notInTag is what a version may have and a tag may not.
var notInTag = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

// versionTag makes a tag of the command's version: "1.4.0" of "v1.4.0".
func versionTag(version string) string {
	if m := regexp.MustCompile(`^v([0-9].*)$`).FindStringSubmatch(version); m != nil {
		version = m[1]
	}
	version = notInTag.ReplaceAllString(version, "_")
	return version[:min(len(version), 128)]
}

// writeSource writes the project whose image is the frontend: the source, the
// steps programs that this command has in it, which are the same for every
// client so that they share caches, and the lock.
func writeSource(dir string, lock *catalog.Lock) error {
	data, err := source.ReadFile(sourceArchive)
	if errors.Is(err, fs.ErrNotExist) {
		return errors.New("this build of birdhouse does not have the frontend's source in it: run `make` in its own source, which puts it there")
	}
	if err != nil {
		return err
	}
	if err := unpack(data, dir); err != nil {
		return fmt.Errorf("unpacking the source: %w", err)
	}
	for _, arch := range embedded.Architectures() {
		program, err := embedded.Program(arch)
		if err != nil {
			return err
		}
		if err := writeFile(filepath.Join(dir, "dist", "linux_"+arch, "steps"), bytes.NewReader(program), 0o755); err != nil {
			return err
		}
	}
	text, err := lock.Bytes()
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, "dist", "catalog.lock"), bytes.NewReader(text), 0o644)
}

// unpack writes the regular files of an archive below dir.
func unpack(data []byte, dir string) error {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return err
	}
	files := tar.NewReader(io.LimitReader(z, maxSource))
	for {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg || !filepath.IsLocal(h.Name) {
			return fmt.Errorf("%q is no regular file of the source", h.Name)
		}
		if err := writeFile(filepath.Join(dir, h.Name), files, 0o644); err != nil {
			return err
		}
	}
}

// writeFile replaces a file.
func writeFile(file string, from io.Reader, mode fs.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	if _, err := io.Copy(f, from); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
