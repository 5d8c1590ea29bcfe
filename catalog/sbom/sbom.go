// Package sbom writes down what a base image is made of as an SPDX document. It
// knows that from the lock, so nothing is scanned, and the same lock gives the
// same document.
package sbom

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	spdxjson "github.com/spdx/tools-golang/json"
	"github.com/spdx/tools-golang/spdx/v2/common"
	spdx "github.com/spdx/tools-golang/spdx/v2/v2_3"

	"github.com/birdhouse-build/birdhouse/catalog"
)

// namespace is the beginning of the documents' names, which are made unique by
// their content.
const namespace = "https://github.com/birdhouse-build/birdhouse/spdx/"

// Options are what the document says besides the packages.
type Options struct {
	// Suite is the release of Debian, "13", that tells scanners which advisories
	// are meant.
	Suite string
	// Architecture is the image's.
	Architecture string
	// Created is the document's time: the lock's.
	Created time.Time
}

// component is one thing in the image.
type component struct {
	name, version string
	purl, cpe     string
	sums          []common.Checksum
	layer         string
	// made says that the layer was made from it: not its files are in the image,
	// but what a command made of them.
	made bool
}

// SPDX returns the document, SPDX 2.3 as JSON
// (https://spdx.github.io/spdx-spec/v2.3/): the image, and in it every Debian package
// and archive with version, checksum of the file it came in, and package URL.
func SPDX(img *catalog.Image, o Options) ([]byte, error) {
	components := components(img, o)
	image := element("Image-" + img.Ref)
	doc := &spdx.Document{
		SPDXVersion:    spdx.Version,
		DataLicense:    spdx.DataLicense,
		SPDXIdentifier: "DOCUMENT",
		DocumentName:   img.Ref + " for linux/" + o.Architecture,
		CreationInfo: &spdx.CreationInfo{
			Creators: []common.Creator{{CreatorType: "Tool", Creator: "birdhouse"}},
			Created:  o.Created.UTC().Format(time.RFC3339),
		},
		Packages: []*spdx.Package{{
			PackageName:             img.Ref,
			PackageSPDXIdentifier:   image,
			PackageDownloadLocation: "NOASSERTION",
			PrimaryPackagePurpose:   "CONTAINER",
		}},
		Relationships: []*spdx.Relationship{{
			RefA: common.MakeDocElementID("", "DOCUMENT"), RefB: common.MakeDocElementID("", string(image)), Relationship: "DESCRIBES",
		}},
	}
	for _, c := range components {
		id := element("Package-" + c.name + "-" + c.version)
		p := &spdx.Package{
			PackageName:             c.name,
			PackageSPDXIdentifier:   id,
			PackageVersion:          c.version,
			PackageDownloadLocation: "NOASSERTION",
			PackageChecksums:        c.sums,
			PackageLicenseConcluded: "NOASSERTION",
			PackageLicenseDeclared:  "NOASSERTION",
			PackageCopyrightText:    "NOASSERTION",
			PackageSourceInfo:       "layer " + c.layer,
			PackageExternalReferences: []*spdx.PackageExternalReference{{
				Category: common.CategoryPackageManager, RefType: common.TypePackageManagerPURL, Locator: c.purl,
			}},
		}
		if c.cpe != "" {
			p.PackageExternalReferences = append(p.PackageExternalReferences, &spdx.PackageExternalReference{
				Category: common.CategorySecurity, RefType: common.TypeSecurityCPE23Type, Locator: c.cpe,
			})
		}
		doc.Packages = append(doc.Packages, p)
		doc.Relationships = append(doc.Relationships, &spdx.Relationship{
			RefA: common.MakeDocElementID("", string(image)), RefB: common.MakeDocElementID("", string(id)), Relationship: c.relationship(),
		})
	}
	data, err := encode(doc)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(data)
	doc.DocumentNamespace = namespace + url.PathEscape(img.Ref) + "/" + o.Architecture + "/" + hex.EncodeToString(sum[:])
	return encode(doc)
}

func encode(doc *spdx.Document) ([]byte, error) {
	var b bytes.Buffer
	if err := spdxjson.Write(doc, &b, spdxjson.Indent(" ")); err != nil {
		return nil, fmt.Errorf("writing the SPDX document %s: %w", doc.DocumentName, err)
	}
	return b.Bytes(), nil
}

func (c component) relationship() string {
	if c.made {
		return "GENERATED_FROM"
	}
	return "CONTAINS"
}

// components are sorted by name, each once: layers may share a package, and what a
// layer was made from may be in the image, too.
func components(img *catalog.Image, o Options) []component {
	var all []component
	for _, l := range img.Layers {
		all = append(all, layerComponents(l, o)...)
	}
	for _, l := range img.Layers {
		if l.Make == nil {
			continue
		}
		for _, from := range l.Make.Target {
			for _, c := range layerComponents(from, o) {
				c.layer, c.made = l.Name, true
				all = append(all, c)
			}
		}
	}
	slices.SortStableFunc(all, func(a, b component) int {
		return cmp.Or(strings.Compare(a.name, b.name), strings.Compare(a.version, b.version))
	})
	return slices.CompactFunc(all, func(a, b component) bool { return a.name == b.name && a.version == b.version })
}

func layerComponents(l catalog.Layer, o Options) []component {
	var all []component
	for _, p := range l.Packages {
		all = append(all, component{
			name: p.Name, version: p.Version, layer: l.Name,
			sums: []common.Checksum{{Algorithm: common.SHA256, Value: p.SHA256}},
			purl: fmt.Sprintf("pkg:deb/debian/%s@%s?arch=%s&distro=debian-%s",
				escape(p.Name), escape(p.Version), url.QueryEscape(p.Architecture), url.QueryEscape(o.Suite)),
		})
	}
	if a := l.Archive; a != nil {
		c := component{name: a.Name, version: a.Version, layer: l.Name, purl: a.PURL, cpe: a.CPE}
		for _, f := range a.Files {
			algorithm, sum, _ := strings.Cut(f.Digest, ":")
			c.sums = append(c.sums, common.Checksum{Algorithm: common.ChecksumAlgorithm(strings.ToUpper(algorithm)), Value: sum})
		}
		all = append(all, c)
	}
	if l.GoToolchain != "" {
		all = append(all, component{
			name: "go", version: l.GoToolchain, layer: l.Name,
			// The name under which advisories about Go's standard library and
			// commands are found.
			purl: "pkg:golang/stdlib@" + escape(l.GoToolchain),
		})
	}
	return all
}

// escape writes a part of a package URL,
// https://github.com/package-url/purl-spec: a version's "+" is %2B there.
func escape(s string) string {
	return strings.ReplaceAll(url.PathEscape(s), "+", "%2B")
}

// element is an identifier of SPDX: letters, digits, dots and hyphens.
func element(s string) common.ElementID {
	var b strings.Builder
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '.', c == '-':
			b.WriteByte(c)
		default:
			// What is escaped stays different from anything else.
			fmt.Fprintf(&b, "-%02x-", c)
		}
	}
	return common.ElementID(b.String())
}
