package publish

import (
	"context"
	"strings"

	"github.com/containerd/platforms"
	"github.com/moby/buildkit/client"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
)

// solve builds something as an index in a folder of its own. Level is the level of
// compression, "" for the builder's own.
func (r *run) solve(ctx context.Context, name, compression, level string, build gwclient.BuildFunc) (*built, error) {
	opt, err := r.Request()
	if err != nil {
		return nil, err
	}
	var all []string
	for _, p := range r.Platforms {
		all = append(all, platforms.FormatAll(p))
	}
	opt.FrontendAttrs["platform"] = strings.Join(all, ",")
	// Always an index, also of one platform.
	opt.FrontendAttrs["multi-platform"] = "true"
	opt.FrontendAttrs["attest:provenance"] = "type=provenance,mode=min,version=v1"
	dir, store, err := newStore(r.Dir)
	if err != nil {
		return nil, err
	}
	attrs := map[string]string{"tar": "false", "oci-mediatypes": "true", "name": r.Prefix + "/" + name}
	if r.Prefix == "" {
		delete(attrs, "name")
	}
	if compression != "" {
		// A builder that has a layer in another compression already would take that.
		attrs["compression"], attrs["force-compression"] = compression, "true"
	}
	if level != "" {
		attrs["compression-level"] = level
	}
	opt.Exports = []client.ExportEntry{{Type: client.ExporterOCI, Attrs: attrs, OutputStore: store}}
	// What the function itself says tells more than what is left of it after its way
	// through the builder.
	var failed error
	res, err := r.Client.Build(ctx, opt, "birdhouse", func(ctx context.Context, c gwclient.Client) (*gwclient.Result, error) {
		res, err := build(ctx, c)
		if err != nil {
			failed = err
		}
		return res, err
	}, r.Status(name))
	var b *built
	switch {
	case failed != nil:
		err = failed
	case err == nil:
		b, err = openBuilt(dir, res.ExporterResponse)
	}
	if err != nil {
		(&built{dir: dir}).remove()
		return nil, err
	}
	return b, nil
}
