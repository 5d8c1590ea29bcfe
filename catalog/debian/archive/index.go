package archive

import "fmt"

// IndexFile is a package index as a Release file lists it.
type IndexFile struct {
	// Path is below the suite's folder: "main/binary-amd64/Packages.xz".
	Path   string
	SHA256 string
	// Size is in bytes.
	Size int64
}

// IndexFile returns the file that Index gets.
func (r *Release) IndexFile(component, arch string) (IndexFile, error) {
	name := component + "/binary-" + arch + "/Packages"
	for _, ext := range []string{".xz", ".gz", ""} {
		if f, ok := r.files[name+ext]; ok {
			return IndexFile{name + ext, f.sha256, f.size}, nil
		}
	}
	return IndexFile{}, fmt.Errorf("the suite %s has no packages of %q for %s", r.Codename, component, arch)
}
