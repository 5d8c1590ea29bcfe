package llb

import (
	"fmt"
	"net/url"
	"time"

	"github.com/moby/buildkit/client/llb"
	digest "github.com/opencontainers/go-digest"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/steps/layer/layerspec"
)

// archives are the mounts of a layer's archive, which is no Debian package, and
// what of the layer's specification depends on where it comes from.
func (c *Catalog) archives(ref string, l catalog.Layer, dir string, group llb.ConstraintsOpt) ([]layerspec.Archive, []llb.RunOption, error) {
	if l.Archive == nil {
		return nil, nil, nil
	}
	if len(l.Spec.Archives) != 1 {
		return nil, nil, fmt.Errorf("%d archives to unpack, 1 locked", len(l.Spec.Archives))
	}
	file, from, err := c.Locations.File(*l.Archive)
	if err != nil {
		return nil, nil, err
	}
	spec := l.Spec.Archives[0]
	spec.Path, spec.Digest = dir+"/archive", file.Digest
	constraints := c.constraints(fmt.Sprintf("[base %s] fetch %s %s", ref, l.Archive.Name, l.Archive.Version), group)
	st := llb.HTTP(from, httpOptions(
		append(constraints, llb.WithDescription(c.archiveDescription(*l.Archive, file, from))),
		llb.Checksum(digest.Digest(file.Digest)),
		llb.Filename("archive"))...)
	return []layerspec.Archive{spec}, []llb.RunOption{llb.AddMount(dir, st, llb.Readonly)}, nil
}

// archiveDescription is for the error of an archive that cannot be had.
func (c *Catalog) archiveDescription(a catalog.Archive, file catalog.ArchiveFile, from string) map[string]string {
	if u, err := url.Parse(from); err == nil {
		from = u.Redacted()
	}
	hint := fmt.Sprintf("%s %s was locked on %s", a.Name, a.Version, c.Catalog.Locked().UTC().Format(time.DateOnly))
	if kind, ok := catalog.LocationKindNamed(file.Location); ok {
		hint += fmt.Sprintf(", and %s that has the same file can take the place of this one, with --build-arg %s=URL", kind.What, kind.Argument)
	}
	return map[string]string{
		DescriptionURL:  from,
		DescriptionHint: hint + "\nor lock anew, with `birdhouse catalog update FILE` and --catalog FILE",
	}
}
