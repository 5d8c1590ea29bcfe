package image

import (
	"context"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// RegistryName reads the full name of an image in a registry, with a tag or a
// digest. Registries on this machine are spoken to in plain HTTP.
func RegistryName(full string) (name.Reference, error) {
	var options []name.Option
	if host, _, _ := strings.Cut(full, "/"); loopback(host) {
		options = append(options, name.Insecure)
	}
	return name.ParseReference(full, options...)
}

// RegistryOptions are how registries are spoken to: credentials come from docker's
// config.json, certificates from the machine; plain HTTP is spoken to this machine
// alone.
func RegistryOptions(ctx context.Context) []remote.Option {
	return []remote.Option{
		remote.WithContext(ctx),
		remote.WithAuthFromKeychain(authn.DefaultKeychain),
		remote.WithTransport(onlyLocalHTTP{remote.DefaultTransport}),
		remote.WithUserAgent("birdhouse"),
	}
}
