// Package catalog is the catalog of base images: its definitions, the lock that
// pins their packages, and the resolution of Debian packages that makes a lock.
// It holds data alone; package llb turns it into a build graph.
package catalog

import "github.com/birdhouse-build/birdhouse/steps/layer"

// Image is a base image for one architecture, ready to be built.
type Image struct {
	// Ref is its name: "static:13", "go:1.26.8-build".
	Ref string
	// Layers are its layers, lowest first. Equal layers of several images are
	// equal values.
	Layers []Layer
	// Config is what the image's configuration says.
	Config Config
}

// Layer is one layer of a base image. It has either packages or a toolchain.
type Layer struct {
	// Name is "static", "libc", "cc", "git", "toolchain".
	Name string
	// What is a line for people: "CA 20250419, time zones 2026b".
	What string
	// Packages are the Debian packages to fetch, in the order of Spec.Packages.
	Packages []Package
	// Spec is what the step does with them; the Path of its packages is empty,
	// since the graph decides where they are mounted.
	Spec layer.Spec
	// GoToolchain is the Go release to install in /usr/local/go through Go's own
	// toolchain mechanism, run by the bootstrap go that Bootstrap unpacks; ""
	// for a layer of packages.
	GoToolchain string
	// Bootstrap are the layers, lowest first, of the root file system in which
	// the bootstrap go runs to install GoToolchain; they have the build
	// machine's architecture and are no part of the image.
	Bootstrap []Layer
}

// Package is a locked Debian package.
type Package struct {
	Name         string `json:"name"`
	Version      string `json:"version"`
	Architecture string `json:"architecture"`
	// Archive is "debian" or "debian-security".
	Archive string `json:"archive"`
	// Path is the path in that archive: "pool/main/t/tzdata/tzdata_2026b-0+deb13u1_all.deb".
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
	Size   int64  `json:"size"`
}

// Config is the part of an image's configuration that a base sets.
type Config struct {
	// Env are NAME=VALUE, in order.
	Env        []string
	User       string
	WorkingDir string
}
