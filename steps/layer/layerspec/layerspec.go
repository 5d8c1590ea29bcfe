// Package layerspec is the specification of a layer that package layer makes. It
// stands alone, so that who plans a layer has nothing in it that unpacks one.
package layerspec

// Spec is what a layer holds. It is data: it comes as JSON, and the same Spec,
// packages and archives give the same files, byte for byte.
type Spec struct {
	// Packages are the .deb files, in the order in which they are unpacked.
	Packages []Package `json:"packages,omitempty"`
	// Archives are unpacked after the packages.
	Archives []Archive `json:"archives,omitempty"`
	// Strip takes what only linkers and debuggers read out of the programs and
	// libraries of packages and archives: symbol tables, debugging information,
	// comments. What is loaded when they run stays as it is, byte for byte, but for
	// names that no Headers of an archive have.
	Strip bool `json:"strip,omitempty"`
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

// Archive is a tar archive, as it is or compressed with gzip, xz or zstd, or a
// zip archive: what it is, its content says. All files of it that may be executed
// have the mode 0755, others 0644, directories 0755.
type Archive struct {
	// Path is where the step finds it.
	Path string `json:"path"`
	// Name is what errors call it: "node 24.21.0".
	Name string `json:"name"`
	// Digest is its checksum: "sha256:HEX" or "sha512:HEX".
	Digest string `json:"digest"`
	// StripComponents is how many leading elements of each path in the archive do
	// not count, as tar's option of that name has it.
	StripComponents int `json:"stripComponents,omitempty"`
	// Take says what of the archive the layer has; of several that fit a path
	// the longest wins.
	Take []Take `json:"take"`
	// Headers says what others may need of what the archive's programs and libraries
	// export. If the layer is stripped, no other name of it is left.
	Headers *Headers `json:"headers,omitempty"`
}

// Headers are the C and C++ headers that code is compiled with which a program
// loads.
type Headers struct {
	// In is the path of the folder with them in the archive, as Take's From is.
	In string `json:"in"`
	// Also are C names and C++ namespaces that other headers have.
	Also []string `json:"also,omitempty"`
}

// Take takes a file or directory out of an archive.
type Take struct {
	// From is its path in the archive, without the elements that do not count;
	// "." is everything. An archive that has nothing there is an error.
	From string `json:"from"`
	// To is its absolute path in the layer.
	To string `json:"to"`
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
