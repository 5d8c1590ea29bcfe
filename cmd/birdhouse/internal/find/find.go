// Package find opens an image by whatever name people have for it.
package find

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/platforms"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"

	"github.com/birdhouse-build/birdhouse/image"
)

// Image opens the image that ref names: one of the local store in the folder
// images, an OCI layout in a folder, or one in a registry, which is then fetched
// into the store. Platform is OS/ARCH[/VARIANT]; "" is this machine's or, where
// there is none for it, the first. Log gets a line about what is fetched.
func Image(ctx context.Context, images, ref, platform string, log io.Writer) (v1.Image, error) {
	var p *ocispecs.Platform
	if platform != "" {
		parsed, err := platforms.Parse(platform)
		if err != nil {
			return nil, fmt.Errorf("--platform %s: %w", platform, err)
		}
		p = &parsed
	}
	if info, err := os.Stat(filepath.Join(ref, ocispecs.ImageIndexFile)); err == nil && info.Mode().IsRegular() {
		return fromLayout(ref, p)
	}
	store, err := image.OpenStore(images)
	if err != nil {
		return nil, err
	}
	img, err := store.Image(ref, p)
	if !errors.Is(err, image.ErrNotFound) || !inRegistry(ref) {
		return img, err
	}
	return store.Pull(ctx, ref, image.PullOptions{Platform: p, Log: log})
}

// inRegistry reports whether a name says in which registry it is. Others are of
// the local store alone: nothing is fetched because of a typing error.
func inRegistry(ref string) bool {
	host, _, ok := strings.Cut(ref, "/")
	return ok && (strings.ContainsAny(host, ".:") || host == "localhost")
}

// fromLayout opens the image of a layout that is for p.
func fromLayout(dir string, p *ocispecs.Platform) (v1.Image, error) {
	index, err := layout.ImageIndexFromPath(dir)
	if err != nil {
		return nil, fmt.Errorf("reading the OCI layout %s: %w", dir, err)
	}
	var all []choice
	if err := choices(index, &all, 0); err != nil {
		return nil, fmt.Errorf("reading the OCI layout %s: %w", dir, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("there is no image in the OCI layout %s", dir)
	}
	want := platforms.DefaultSpec()
	if p != nil {
		want = *p
	}
	match := platforms.Only(want)
	var names []string
	for _, c := range all {
		if match.Match(c.platform) {
			return c.image, nil
		}
		names = append(names, platforms.Format(c.platform))
	}
	if p == nil {
		return all[0].image, nil
	}
	return nil, fmt.Errorf("the OCI layout %s has no image for %s, only for %s", dir, platforms.Format(*p), strings.Join(names, ", "))
}

type choice struct {
	image    v1.Image
	platform ocispecs.Platform
}

// maxDepth bounds indexes inside indexes.
const maxDepth = 4

func choices(index v1.ImageIndex, all *[]choice, depth int) error {
	if depth > maxDepth {
		return errors.New("indexes are nested too deep")
	}
	m, err := index.IndexManifest()
	if err != nil {
		return err
	}
	for _, d := range m.Manifests {
		switch {
		case d.Annotations["vnd.docker.reference.type"] != "":
			continue // an attestation
		case d.MediaType.IsIndex():
			child, err := index.ImageIndex(d.Digest)
			if err != nil {
				return err
			}
			if err := choices(child, all, depth+1); err != nil {
				return err
			}
		case d.MediaType.IsImage():
			img, err := index.Image(d.Digest)
			if err != nil {
				return err
			}
			config, err := img.ConfigFile()
			if err != nil {
				return err
			}
			*all = append(*all, choice{img, platforms.Normalize(ocispecs.Platform{OS: config.OS, Architecture: config.Architecture, Variant: config.Variant})})
		}
	}
	return nil
}
