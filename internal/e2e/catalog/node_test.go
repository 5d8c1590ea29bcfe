package catalog_test

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/langs/plan"
)

// nodeLimit is how large the image node:24 may be in bytes, compressed.
const nodeLimit = 44_500_000

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
			size := layersSize(t, img)
			t.Logf("%d bytes in %d layers", size, len(layers))
			if size > nodeLimit {
				t.Errorf("it has %d bytes compressed, more than %d", size, nodeLimit)
			}

			files := regular(e2etest.Members(t, layers[len(layers)-1]))
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
