package sbom

import (
	"bytes"
	"maps"
	"strings"
	"testing"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"

	"github.com/birdhouse-build/birdhouse/catalog"
)

var image = &catalog.Image{Ref: "go:1.26.8-build", Layers: []catalog.Layer{
	{Name: "static", Packages: []catalog.Package{
		{Name: "tzdata", Version: "2026b-0+deb13u1", Architecture: "all", SHA256: strings.Repeat("1", 64)},
		{Name: "base-files", Version: "1:13.8+deb13u2", Architecture: "amd64", SHA256: strings.Repeat("2", 64)},
	}},
	// The same package again is no second one.
	{Name: "again", Packages: []catalog.Package{
		{Name: "tzdata", Version: "2026b-0+deb13u1", Architecture: "all", SHA256: strings.Repeat("1", 64)},
	}},
	{Name: "toolchain", GoToolchain: "1.26.8"},
	{Name: "node-24", Archive: &catalog.Archive{Name: "node", Version: "24.21.0", PURL: "pkg:generic/node@24.21.0", CPE: "cpe:2.3:a:nodejs:node.js:24.21.0:*:*:*:*:*:*:*", Files: []catalog.ArchiveFile{
		{Location: "one", Digest: "sha256:" + strings.Repeat("3", 64)}, {Location: "two", Digest: "sha512:" + strings.Repeat("4", 128)},
	}}},
	// What is made of packages: of one that is in the image, too, and of one that is not.
	{Name: "jre", Make: &catalog.Make{Target: []catalog.Layer{{Name: "jdk", Packages: []catalog.Package{
		{Name: "tzdata", Version: "2026b-0+deb13u1", Architecture: "all", SHA256: strings.Repeat("1", 64)},
		{Name: "openjdk-21", Version: "21.0.9+10-1", Architecture: "amd64", SHA256: strings.Repeat("5", 64)},
	}}}}},
}}

var options = Options{Suite: "13", Architecture: "amd64", Created: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}

// What a reader of SPDX finds in the document is what the image is made of.
func TestSPDX(t *testing.T) {
	data, err := SPDX(image, options)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := spdxjson.Read(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
	var got []string
	ids := map[string]bool{}
	for _, p := range doc.Packages {
		line := p.PackageName + " " + p.PackageVersion
		for _, r := range p.PackageExternalReferences {
			line += " " + r.RefType + " " + r.Locator
		}
		for _, c := range p.PackageChecksums {
			line += " " + string(c.Algorithm) + ":" + c.Value[:1]
		}
		got = append(got, strings.TrimSpace(line))
		if ids[string(p.PackageSPDXIdentifier)] {
			t.Errorf("the identifier %s is there twice", p.PackageSPDXIdentifier)
		}
		ids[string(p.PackageSPDXIdentifier)] = true
	}
	want := []string{
		"go:1.26.8-build",
		"base-files 1:13.8+deb13u2 purl pkg:deb/debian/base-files@1:13.8%2Bdeb13u2?arch=amd64&distro=debian-13 SHA256:2",
		"go 1.26.8 purl pkg:golang/stdlib@1.26.8",
		"node 24.21.0 purl pkg:generic/node@24.21.0 cpe23Type cpe:2.3:a:nodejs:node.js:24.21.0:*:*:*:*:*:*:* SHA256:3 SHA512:4",
		"openjdk-21 21.0.9+10-1 purl pkg:deb/debian/openjdk-21@21.0.9%2B10-1?arch=amd64&distro=debian-13 SHA256:5",
		"tzdata 2026b-0+deb13u1 purl pkg:deb/debian/tzdata@2026b-0%2Bdeb13u1?arch=all&distro=debian-13 SHA256:1",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("packages:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	kinds := map[string]int{}
	for _, r := range doc.Relationships {
		kinds[r.Relationship]++
	}
	if want := map[string]int{"DESCRIBES": 1, "CONTAINS": 4, "GENERATED_FROM": 1}; !maps.Equal(kinds, want) {
		t.Errorf("relationships %v, want %v", kinds, want)
	}
	if doc.CreationInfo.Created != "2026-11-22T08:00:00Z" || doc.DocumentName != "go:1.26.8-build for linux/amd64" {
		t.Errorf("created %s, name %q", doc.CreationInfo.Created, doc.DocumentName)
	}
}

// The name of a document is its content's: equal ones are equal, others differ.
func TestSame(t *testing.T) {
	first, err := SPDX(image, options)
	if err != nil {
		t.Fatal(err)
	}
	again, err := SPDX(image, options)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(first, again) {
		t.Error("two documents of one image differ")
	}
	later := options
	later.Created = later.Created.Add(time.Hour)
	other, err := SPDX(image, later)
	if err != nil {
		t.Fatal(err)
	}
	line := func(data []byte) string {
		for _, l := range strings.Split(string(data), "\n") {
			if strings.Contains(l, "documentNamespace") {
				return l
			}
		}
		return ""
	}
	if line(first) == "" || line(first) == line(other) {
		t.Errorf("namespaces %q and %q", line(first), line(other))
	}
}
