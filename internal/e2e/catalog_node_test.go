package e2e_test

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/tonistiigi/fsutil"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// nodeLimit is how large the image node:24 may be in bytes, compressed by
// BuildKit's own gzip, which leaves 3 % more of Node's program than GNU gzip does.
const nodeLimit = 45_500_000

// The image of Node is the official program, stripped, for both architectures;
// it starts and does what programs need of it as a part of its own build. The other
// architecture's is assembled without anything of it being run.
func TestCatalogNode(t *testing.T) {
	c := lockedCatalog(t)
	img := publishBase(t, c, plan.Base{Image: "node", Version: "24"})
	for arch, machine := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
		t.Run(arch, func(t *testing.T) {
			img := img(t, arch)
			config, err := img.ConfigFile()
			if err != nil {
				t.Fatal(err)
			}
			if config.Config.User != "65532" || !slices.Equal(config.Config.Cmd, []string{"node"}) {
				t.Errorf("its user is %q, its command %q", config.Config.User, config.Config.Cmd)
			}
			layers, err := img.Layers()
			if err != nil {
				t.Fatal(err)
			}
			var size int64
			for _, l := range layers {
				n, err := l.Size()
				if err != nil {
					t.Fatal(err)
				}
				size += n
			}
			t.Logf("%d bytes in %d layers", size, len(layers))
			if size > nodeLimit {
				t.Errorf("it has %d bytes compressed, more than %d", size, nodeLimit)
			}

			files := layerFiles(t, layers[len(layers)-1])
			f, err := elf.NewFile(bytes.NewReader(files["usr/local/bin/node"]))
			if err != nil {
				t.Fatalf("node is no program: %v", err)
			}
			if f.Machine != machine {
				t.Errorf("node is for %v", f.Machine)
			}
			for _, s := range f.Sections {
				if s.Type == elf.SHT_SYMTAB || strings.HasPrefix(s.Name, ".debug") || s.Name == ".comment" {
					t.Errorf("node is not stripped: it has %s", s.Name)
				}
			}
			if !bytes.Contains(files["usr/share/doc/node/copyright"], []byte("Permission is hereby granted")) {
				t.Error("its licence is not there")
			}
			var record struct {
				Packages []struct {
					Name, VersionInfo string
					ExternalRefs      []struct{ ReferenceLocator string }
				}
			}
			if err := json.Unmarshal(files["var/lib/db/sbom/node.spdx.json"], &record); err != nil {
				t.Fatalf("its record for scanners: %v", err)
			}
			release := c.Lock().Archives["node"]["24"].Version
			if p := record.Packages; len(p) != 1 || p[0].Name != "node" || p[0].VersionInfo != release || len(p[0].ExternalRefs) != 2 ||
				p[0].ExternalRefs[0].ReferenceLocator != "cpe:2.3:a:nodejs:node.js:"+release+":*:*:*:*:*:*:*" {
				t.Errorf("its record for scanners is %+v", p)
			}
			// Scanners that read programs know the version by this.
			if !bytes.Contains(files["usr/local/bin/node"], []byte("node.js/v"+release)) {
				t.Error("the program does not say its version where scanners look")
			}
			if len(files) != 3 {
				t.Errorf("its layer has %d files, not 3", len(files))
			}
		})
	}
}

// publishBase builds an image of the catalog for both architectures, with its
// checks, on the shared BuildKit, pushes it, and returns a function that reads it.
func publishBase(t *testing.T, c *catalog.Catalog, base plan.Base) func(t *testing.T, arch string) v1.Image {
	t.Helper()
	return publishBaseOn(t, harness.SharedBuildkitd(t), c, base, true)
}

// publishBaseOn does it on another daemon, with or without the image's checks.
func publishBaseOn(t *testing.T, b *harness.BuildKit, c *catalog.Catalog, base plan.Base, check bool) func(t *testing.T, arch string) v1.Image {
	t.Helper()
	harness.Birdhouse(t) // makes the steps program
	programs, err := fsutil.NewFS(filepath.Join(harness.Root(t), "steps", "embedded", "bin"))
	if err != nil {
		t.Fatal(err)
	}
	attrs := map[string]string{"platform": "linux/amd64,linux/arm64", "build-arg:" + frontend.ArgDebianMirror: harness.Mirror(t)}
	locations, err := catalog.MachineLocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range catalog.LocationKinds {
		if at := locations[k.Name]; at != "" {
			attrs["build-arg:"+k.Argument] = at
		}
	}
	daemon, err := client.New(t.Context(), b.Address)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()
	ref := harness.Registry(t) + "/" + base.Image + ":" + base.Version
	f := frontend.New(frontend.Options{Catalog: c, Steps: frontend.StepsFromLocal})
	progress := make(chan *client.SolveStatus)
	go func() {
		for range progress {
		}
	}()
	_, err = daemon.Build(t.Context(), client.SolveOpt{
		FrontendAttrs: attrs,
		LocalMounts:   map[string]fsutil.FS{frontend.StepsLocal: programs},
		Session:       []session.Attachable{secretsprovider.NewSecretProvider(secretStore(t))},
		Exports: []client.ExportEntry{{Type: client.ExporterImage, Attrs: map[string]string{
			"name": ref, "push": "true", "registry.insecure": "true", "oci-mediatypes": "true"}}},
	}, "", f.BuildBase(frontend.BaseImage{Base: base, Check: check}), progress)
	if err != nil {
		t.Fatal(err)
	}
	return func(t *testing.T, arch string) v1.Image {
		t.Helper()
		parsed, err := name.ParseReference(ref, name.Insecure)
		if err != nil {
			t.Fatal(err)
		}
		img, err := remote.Image(parsed, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}), remote.WithContext(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
		return img
	}
}

// layerFiles returns the regular files of a layer by their names.
func layerFiles(t *testing.T, l v1.Layer) map[string][]byte {
	t.Helper()
	r, err := l.Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	files := map[string][]byte{}
	archive := tar.NewReader(r)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeReg {
			if files[h.Name], err = io.ReadAll(archive); err != nil {
				t.Fatal(err)
			}
		}
	}
}
