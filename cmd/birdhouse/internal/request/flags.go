// Package request turns the flags of `birdhouse build`, which have the names and
// the meaning that docker buildx build gives them, into a BuildKit solve.
package request

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/platforms"
	"github.com/distribution/reference"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/cmd/buildctl/build"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/go-csvvalue"
)

// Flags are the flags as they are written.
type Flags struct {
	// Context is a folder, a URL of a git repository or an archive, or "-" for
	// an archive on standard input.
	Context string
	// File is the descriptor, "" to look for it, "-" for standard input; it may be
	// a URL (http, https).
	File          string
	Tags          []string
	Target        string
	Platforms     []string
	BuildArgs     []string
	Secrets       []string
	SSH           []string
	Labels        []string
	Annotations   []string
	NoCache       bool
	NoCacheFilter []string
	Pull          bool
	CacheFrom     []string
	CacheTo       []string
	Push          bool
	Load          bool
	Outputs       []string
	BuildContexts []string
	AddHosts      []string
	Network       string
	ShmSize       string
	Ulimits       []string
	CgroupParent  string
	Allow         []string
	Attest        []string
	Provenance    string
	SBOM          string
	// Call is "build" or "", or the request to make instead of a build:
	// "check", "outline", "targets", with ",format=json".
	Call string
}

// Call is a question to the frontend in place of a build.
type Call struct {
	// Name is BuildKit's name of the request: "lint", "outline", "targets".
	Name string
	JSON bool
}

func parseCall(s string) (*Call, error) {
	name, rest, more := strings.Cut(s, ",")
	c := &Call{Name: name}
	if more {
		switch rest {
		case "format=json":
			c.JSON = true
		case "format=text":
		default:
			return nil, fmt.Errorf("--call %s: after the comma comes format=json or nothing", s)
		}
	}
	switch name {
	case "", "build":
		return nil, nil
	case "check", "lint":
		c.Name = "lint"
	case "outline", "targets":
	default:
		return nil, fmt.Errorf("--call %s: there is build, check, outline and targets", s)
	}
	return c, nil
}

// parsePairs reads KEY=VALUE flags; the last of a key counts. A KEY without a
// value takes it from the environment and is left out if it is not there, or,
// without fromEnv, has the value "".
func parsePairs(flag string, values []string, fromEnv bool) (map[string]string, error) {
	pairs := map[string]string{}
	for _, s := range values {
		key, value, ok := strings.Cut(s, "=")
		if key == "" {
			return nil, fmt.Errorf("%s %q: write KEY=VALUE", flag, s)
		}
		if !ok && fromEnv {
			if value, ok = os.LookupEnv(key); !ok {
				continue
			}
		}
		pairs[key] = value
	}
	return pairs, nil
}

// BuildArgs reads --build-arg.
func BuildArgs(values []string) (map[string]string, error) {
	return parsePairs("--build-arg", values, true)
}

func parsePlatforms(values []string) (string, error) {
	var all []string
	for _, v := range values {
		for _, s := range strings.Split(v, ",") {
			s = strings.TrimSpace(s)
			if s == "" {
				continue
			}
			p := platforms.DefaultSpec()
			if s != "local" {
				var err error
				if p, err = platforms.Parse(s); err != nil {
					return "", fmt.Errorf("--platform %s: %w", s, err)
				}
			}
			if name := platforms.FormatAll(platforms.Normalize(p)); !slices.Contains(all, name) {
				all = append(all, name)
			}
		}
	}
	return strings.Join(all, ","), nil
}

func parseSecret(s string) (secretsprovider.Source, error) {
	var secret secretsprovider.Source
	fields, err := csvvalue.Fields(s, nil)
	if err != nil {
		return secret, fmt.Errorf("--secret %q: %w", s, err)
	}
	kind := ""
	for _, field := range fields {
		key, value, ok := strings.Cut(field, "=")
		if !ok {
			return secret, fmt.Errorf("--secret %q: %q is not key=value; write id=NAME,src=FILE or id=NAME,env=VARIABLE", s, field)
		}
		switch strings.ToLower(key) {
		case "type":
			if value != "file" && value != "env" {
				return secret, fmt.Errorf("--secret %q: type is file or env", s)
			}
			kind = value
		case "id":
			secret.ID = value
		case "source", "src":
			secret.FilePath = value
		case "env":
			secret.Env = value
		default:
			return secret, fmt.Errorf("--secret %q: unknown key %q; there is id, src, env and type", s, key)
		}
	}
	if secret.ID == "" {
		return secret, fmt.Errorf("--secret %q: it has no id; write id=NAME,src=FILE", s)
	}
	if kind == "env" && secret.Env == "" {
		secret.Env, secret.FilePath = secret.FilePath, ""
	}
	return secret, nil
}

// parseCache reads --cache-from and --cache-to. The cache of GitHub's actions is
// passed over where there is none, so that one command line works everywhere.
func parseCache(flag string, values []string, parse func([]string) ([]client.CacheOptionsEntry, error)) ([]client.CacheOptionsEntry, error) {
	var all []client.CacheOptionsEntry
	for _, s := range values {
		if s == "" {
			continue
		}
		fields, err := csvvalue.Fields(s, nil)
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", flag, s, err)
		}
		full := s
		if len(fields) == 1 && !strings.Contains(s, "=") {
			full = "type=registry,ref=" + s
		}
		if !slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(strings.ToLower(f), "type=") }) && full == s {
			return nil, fmt.Errorf("%s %q: it has no type; write type=registry,ref=NAME or type=local,…", flag, s)
		}
		if slices.Contains(fields, "type=gha") && os.Getenv("ACTIONS_RUNTIME_TOKEN") == "" {
			continue
		}
		entries, err := parse([]string{full})
		if err != nil {
			return nil, fmt.Errorf("%s %q: %w", flag, s, err)
		}
		all = append(all, entries...)
	}
	return all, nil
}

func parseCacheFrom(values []string) ([]client.CacheOptionsEntry, error) {
	all, err := parseCache("--cache-from", values, build.ParseImportCache)
	// As in BuildKit, a cache that is not there yet is none. BuildKit would make
	// the folder, though.
	return slices.DeleteFunc(all, func(c client.CacheOptionsEntry) bool {
		_, err := os.Stat(c.Attrs["src"])
		return c.Type == "local" && c.Attrs["src"] != "" && errors.Is(err, fs.ErrNotExist)
	}), err
}

func parseCacheTo(values []string) ([]client.CacheOptionsEntry, error) {
	return parseCache("--cache-to", values, build.ParseExportCache)
}

// annotationType is the part before the colon: index, manifest[linux/amd64].
var annotationType = regexp.MustCompile(`^([a-z-]+)(?:\[([A-Za-z0-9_/-]+)\])?$`)

// parseAnnotations returns the attributes of the exporters.
func parseAnnotations(values []string) (map[string]string, error) {
	attrs := map[string]string{}
	for _, s := range values {
		key, value, ok := strings.Cut(s, "=")
		if !ok || key == "" {
			return nil, fmt.Errorf("--annotation %q: write KEY=VALUE or TYPE:KEY=VALUE", s)
		}
		types, name, ok := strings.Cut(key, ":")
		if !ok {
			attrs[exptypes.AnnotationKey{Key: key}.String()] = value
			continue
		}
		for _, t := range strings.Split(types, ",") {
			groups := annotationType.FindStringSubmatch(t)
			if groups == nil {
				return nil, fmt.Errorf("--annotation %q: %q is not a type with an optional [PLATFORM]", s, t)
			}
			switch groups[1] {
			case exptypes.AnnotationIndex, exptypes.AnnotationIndexDescriptor, exptypes.AnnotationManifest, exptypes.AnnotationManifestDescriptor:
			default:
				return nil, fmt.Errorf("--annotation %q: unknown type %q; there is manifest, index, manifest-descriptor and index-descriptor", s, groups[1])
			}
			var platform *ocispecs.Platform
			if groups[2] != "" {
				p, err := platforms.Parse(groups[2])
				if err != nil {
					return nil, fmt.Errorf("--annotation %q: %w", s, err)
				}
				platform = &p
			}
			attrs[exptypes.AnnotationKey{Type: groups[1], Platform: platform, Key: name}.String()] = value
		}
	}
	return attrs, nil
}

// parseAttests returns the frontend options for --attest, --provenance and --sbom.
// None is on unless asked for: an attestation tells when and where an image was
// built, so that no two are equal.
func parseAttests(f Flags) (map[string]string, error) {
	all := slices.Clone(f.Attest)
	for kind, value := range map[string]string{"provenance": f.Provenance, "sbom": f.SBOM} {
		if value == "" {
			continue
		}
		if b, err := strconv.ParseBool(value); err == nil {
			value = "disabled=" + strconv.FormatBool(!b)
		}
		all = append(all, "type="+kind+","+value)
	}
	opts := map[string]string{}
	for _, s := range all {
		fields, err := csvvalue.Fields(s, nil)
		if err != nil {
			return nil, fmt.Errorf("--attest %q: %w", s, err)
		}
		kind, disabled := "", false
		var rest []string
		for _, field := range fields {
			key, value, ok := strings.Cut(field, "=")
			if !ok {
				return nil, fmt.Errorf("--attest %q: %q is not key=value", s, field)
			}
			switch strings.ToLower(strings.TrimSpace(key)) {
			case "type":
				kind = value
			case "disabled":
				if disabled, err = strconv.ParseBool(value); err != nil {
					return nil, fmt.Errorf("--attest %q: disabled is true or false", s)
				}
			default:
				if strings.ContainsAny(field, `,"`) {
					field = `"` + strings.ReplaceAll(field, `"`, `""`) + `"`
				}
				rest = append(rest, field)
			}
		}
		if kind != "provenance" && kind != "sbom" {
			return nil, fmt.Errorf("--attest %q: type is provenance or sbom", s)
		}
		delete(opts, "attest:"+kind)
		if !disabled {
			opts["attest:"+kind] = strings.Join(append([]string{"type=" + kind}, rest...), ",")
		}
	}
	return opts, nil
}

// hostGateway stands for the address of the machine that builds.
const hostGateway = "host-gateway"

// parseHosts returns the frontend option for --add-host: HOST:IP or HOST=IP. In
// place of an address, host-gateway stands for this machine, whose network steps
// have; a daemon does not say which address it has for its own.
func parseHosts(values []string, remote bool) (string, error) {
	var all []string
	for _, v := range values {
		host, ips, ok := strings.Cut(v, "=")
		if !ok {
			host, ips, ok = strings.Cut(v, ":")
		}
		if !ok || host == "" {
			return "", fmt.Errorf("--add-host %q: write HOST:IP", v)
		}
		for _, ip := range strings.Split(ips, ",") {
			ip = strings.TrimSuffix(strings.TrimPrefix(ip, "["), "]")
			if ip == hostGateway && remote {
				return "", fmt.Errorf("--add-host %q: a daemon does not tell the address of its host: write it in place of %s", v, hostGateway)
			}
			if ip == hostGateway {
				ip = "127.0.0.1"
			}
			if net.ParseIP(ip) == nil {
				return "", fmt.Errorf("--add-host %q: %q is not an IP address", v, ip)
			}
			all = append(all, host+"="+ip)
		}
	}
	return strings.Join(all, ","), nil
}

func checkTags(tags []string) error {
	for _, tag := range tags {
		ref, err := reference.ParseNormalizedNamed(tag)
		if err != nil {
			return fmt.Errorf("--tag %q: %w; write [REGISTRY/]NAME[:TAG], in lower case", tag, err)
		}
		if _, ok := ref.(reference.Digested); ok {
			return fmt.Errorf("--tag %q: an image cannot be named by a digest; write [REGISTRY/]NAME[:TAG]", tag)
		}
	}
	return nil
}
