// Package layer makes one layer of a base image out of Debian packages: the
// step that runs inside the build, and the specification that it reads.
package layer

// Spec is what a layer holds. It is data: it comes as JSON, and the same Spec
// and packages give the same files, byte for byte.
type Spec struct {
	// Packages are the .deb files, in the order in which they are unpacked.
	Packages []Package `json:"packages,omitempty"`
	// Exclude are patterns of paths that are left out (path.Match per element,
	// ** for any number of elements, also none), Keep the exceptions from them.
	// The paths are those in the layer: below usr/ if Lower moves them there.
	// A directory whose content is all left out is left out too. Files named
	// usr/share/doc/PACKAGE/copyright are always kept.
	Exclude []string `json:"exclude,omitempty"`
	Keep    []string `json:"keep,omitempty"`
	// Files are written after the packages, in place of what those have there.
	Files []File `json:"files,omitempty"`
	// CABundle joins the certificates of the packages, which lie in
	// /usr/share/ca-certificates, to /etc/ssl/certs/ca-certificates.crt, whether
	// or not they are left out themselves.
	CABundle bool `json:"caBundle,omitempty"`
	// Lower says that the layer is unpacked for use above others: directories
	// that are symlinks in Debian's merged /usr (/bin, /lib, /lib64, /sbin) are
	// written to /usr.
	Lower bool `json:"lower,omitempty"`
}

// Package is a .deb file. Path is where the step finds it.
type Package struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// File is a file, directory or symlink that the layer adds.
type File struct {
	Path string `json:"path"`
	// Mode is the permission bits with sticky, in octal: "0644", "1777".
	Mode    string `json:"mode,omitempty"`
	Content string `json:"content,omitempty"`
	// Link is the target of a symlink.
	Link string `json:"link,omitempty"`
	// Dir makes a directory.
	Dir bool `json:"dir,omitempty"`
	// Owner is the user and group that owns it.
	Owner int `json:"owner,omitempty"`
}
