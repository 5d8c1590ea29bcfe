package request

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	"github.com/distribution/reference"
	"github.com/docker/cli/cli/config"
	"github.com/docker/go-units"
	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/ociindex"
	"github.com/moby/buildkit/cmd/buildctl/build"
	"github.com/moby/buildkit/frontend/dockerfile/dfgitutil"
	"github.com/moby/buildkit/session"
	"github.com/moby/buildkit/session/auth/authprovider"
	"github.com/moby/buildkit/session/secrets"
	"github.com/moby/buildkit/session/secrets/secretsprovider"
	"github.com/moby/buildkit/session/sshforward/sshprovider"
	"github.com/moby/buildkit/session/upload/uploadprovider"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/buildkit/util/entitlements"
	"github.com/opencontainers/go-digest"
	"github.com/tonistiigi/fsutil"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/descriptor"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/machine"
)

// Inputs are what a request takes from the process and from the other parts of
// the program.
type Inputs struct {
	Stdin  io.Reader
	Stdout *os.File
	// Remote is true where the builder is a daemon.
	Remote bool
	// DebianMirror is the machine's mirror of Debian packages, "" for none.
	DebianMirror func() string
	// Locations are where this machine gets archives from that are no Debian
	// packages; nil for nowhere.
	Locations func() (catalog.Locations, error)
	// StepsName and Steps are the local directory with the steps programs.
	StepsName string
	Steps     fsutil.FS
}

// Request is a build to be solved.
type Request struct {
	Solve   client.SolveOpt
	Outputs *Outputs
	// Call is a question in place of a build; nil for a build.
	Call *Call
	// Dir is the folder that is the build context, "" when it is no folder.
	Dir string
	// Descriptor is the descriptor as it was found, nil for one that only the
	// builder sees.
	Descriptor *descriptor.File
}

// Build arguments that the command sets itself.
const (
	argEpoch  = "SOURCE_DATE_EPOCH"
	argMirror = "BIRDHOUSE_DEBIAN_MIRROR"
	argInline = "BUILDKIT_INLINE_CACHE"
)

// New makes a request of flags. Files that they name are checked here, so that a
// wrong name is an error before anything is started; those that an output names
// are not touched. A descriptor with a URL is fetched.
func New(ctx context.Context, f Flags, in Inputs) (*Request, error) {
	r := &Request{Solve: client.SolveOpt{
		FrontendAttrs: map[string]string{},
		LocalMounts:   map[string]fsutil.FS{in.StepsName: in.Steps},
		OCIStores:     map[string]content.Store{},
	}}
	var err error
	if r.Call, err = parseCall(f.Call); err != nil {
		return nil, err
	}
	if r.Call != nil {
		if f.Push || f.Load || len(f.Outputs) > 0 {
			return nil, errors.New("--call and --check build nothing: drop --push, --load and --output")
		}
		r.Outputs = &Outputs{}
		r.Solve.Internal = true
		r.Solve.FrontendAttrs["requestid"] = "frontend." + r.Call.Name
		r.Solve.FrontendAttrs["frontend.caps"] = "moby.buildkit.frontend.subrequests"
	} else if r.Outputs, err = parseOutputs(f, in.Stdout, in.Remote); err != nil {
		return nil, err
	}
	r.Solve.Exports = r.Outputs.Exports

	if err := r.descriptor(ctx, f, in); err != nil {
		return nil, err
	}
	for _, step := range []func(Flags, Inputs) error{r.context, r.options, r.arguments, r.namedContexts, r.caches, r.session} {
		if err := step(f, in); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// Plain makes the options of a solve that has no project and no descriptor, with
// what this machine has for it: arguments, secrets, credentials.
func Plain(f Flags, in Inputs) (client.SolveOpt, error) {
	r := &Request{Outputs: &Outputs{}, Solve: client.SolveOpt{
		FrontendAttrs: map[string]string{},
		LocalMounts:   map[string]fsutil.FS{in.StepsName: in.Steps},
		OCIStores:     map[string]content.Store{},
	}}
	for _, step := range []func(Flags, Inputs) error{r.options, r.arguments, r.caches, r.session} {
		if err := step(f, in); err != nil {
			return client.SolveOpt{}, err
		}
	}
	return r.Solve, nil
}

// descriptor reads a descriptor that is no file: from standard input or a URL.
func (r *Request) descriptor(ctx context.Context, f Flags, in Inputs) error {
	var file *descriptor.File
	switch {
	case f.File == "-" && f.Context == "-":
		return errors.New("both the descriptor and the context are to come from standard input: put one of them in a file")
	case f.File == "-":
		data, err := descriptor.ReadBounded(in.Stdin)
		if err != nil {
			return fmt.Errorf("reading the descriptor from standard input: %w", err)
		}
		file = &descriptor.File{Name: descriptor.Names[0], Data: data}
	case isHTTP(f.File):
		var err error
		if file, err = descriptor.Fetch(ctx, f.File); err != nil {
			return err
		}
	default:
		return nil
	}
	r.setDescriptor(file)
	r.Solve.FrontendAttrs["dockerfilekey"] = "dockerfile"
	return nil
}

// context sets the build context and the descriptor.
func (r *Request) context(f Flags, in Inputs) error {
	opts := r.Solve.FrontendAttrs
	info, err := os.Stat(f.Context)
	switch {
	case f.Context == "-":
		stdin := bufio.NewReaderSize(in.Stdin, 1024)
		if head, _ := stdin.Peek(1024); !isArchive(head) {
			return errors.New("the context from standard input is no tar archive; to build with a descriptor from there, write -f - and the project's folder")
		}
		up := uploadprovider.New()
		opts["context"] = up.Add(io.NopCloser(stdin))
		r.Solve.Session = append(r.Solve.Session, up)
		return r.remoteDescriptor(f)
	case err == nil && info.IsDir():
		return r.localContext(f)
	case isRemote(f.Context):
		opts["context"] = f.Context
		return r.remoteDescriptor(f)
	default:
		return descriptor.CheckFolder(f.Context)
	}
}

func (r *Request) localContext(f Flags) error {
	root, err := fsutil.NewFS(f.Context)
	if err != nil {
		return fmt.Errorf("opening the project: %w", err)
	}
	r.Dir = f.Context
	r.Solve.LocalMounts["context"] = root
	r.Solve.SharedKey = sharedKey(f.Context)
	if r.Descriptor != nil {
		return nil
	}
	file, err := descriptor.Find(f.Context, f.File)
	if err != nil {
		return err
	}
	r.setDescriptor(file)
	return nil
}

// remoteDescriptor names the descriptor in a context that is not here.
func (r *Request) remoteDescriptor(f Flags) error {
	switch {
	case r.Descriptor != nil || f.File == "":
		return nil
	case filepath.IsAbs(f.File):
		file, err := descriptor.Find("", f.File)
		if err != nil {
			return err
		}
		r.setDescriptor(file)
		r.Solve.FrontendAttrs["dockerfilekey"] = "dockerfile"
	default:
		r.Solve.FrontendAttrs["filename"] = f.File
	}
	return nil
}

// setDescriptor offers the descriptor as it was read, and the ignore file that
// goes with it, and nothing else of their folder.
func (r *Request) setDescriptor(file *descriptor.File) {
	r.Descriptor = file
	files := map[string][]byte{file.Name: file.Data}
	if file.Ignore != nil {
		files[file.Name+".dockerignore"] = file.Ignore
	}
	r.Solve.LocalMounts["dockerfile"] = Memory(func() (map[string][]byte, error) { return files, nil })
	r.Solve.FrontendAttrs["filename"] = file.Name
}

// options sets what the frontend is asked for.
func (r *Request) options(f Flags, in Inputs) error {
	opts := r.Solve.FrontendAttrs
	if f.Target != "" {
		opts["target"] = f.Target
	}
	platforms, err := parsePlatforms(f.Platforms)
	if err != nil {
		return err
	}
	if platforms != "" {
		opts["platform"] = platforms
	}
	switch {
	case f.NoCache && len(f.NoCacheFilter) > 0:
		return errors.New("--no-cache is for all stages and --no-cache-filter for some: drop one")
	case f.NoCache:
		opts["no-cache"] = ""
	case len(f.NoCacheFilter) > 0:
		opts["no-cache"] = strings.Join(f.NoCacheFilter, ",")
	}
	if f.Pull {
		opts["image-resolve-mode"] = pb.AttrImageResolveModeForcePull
	}
	labels, err := parsePairs("--label", f.Labels, false)
	if err != nil {
		return err
	}
	for k, v := range labels {
		opts["label:"+k] = v
	}
	attests, err := parseAttests(f)
	if err != nil {
		return err
	}
	maps.Copy(opts, attests)
	hosts, err := parseHosts(f.AddHosts, in.Remote)
	if err != nil {
		return err
	}
	if hosts != "" {
		opts["add-hosts"] = hosts
	}
	if f.ShmSize != "" {
		n, err := units.RAMInBytes(f.ShmSize)
		if err != nil {
			return fmt.Errorf("--shm-size %s: %w", f.ShmSize, err)
		}
		opts["shm-size"] = strconv.FormatInt(n, 10)
	}
	var ulimits []string
	for _, s := range f.Ulimits {
		u, err := units.ParseUlimit(s)
		if err != nil {
			return fmt.Errorf("--ulimit %s: %w", s, err)
		}
		ulimits = append(ulimits, u.String())
	}
	if len(ulimits) > 0 {
		opts["ulimit"] = strings.Join(ulimits, ",")
	}
	if f.CgroupParent != "" {
		opts["cgroup-parent"] = f.CgroupParent
	}
	if err := build.ValidateAllow(f.Allow); err != nil {
		return fmt.Errorf("--allow: %w", err)
	}
	r.Solve.AllowedEntitlements = slices.Clone(f.Allow)
	switch f.Network {
	case "", "default":
	case "none":
		opts["force-network-mode"] = f.Network
	case "host":
		opts["force-network-mode"] = f.Network
		r.Solve.AllowedEntitlements = append(r.Solve.AllowedEntitlements, entitlements.EntitlementNetworkHost.String())
	default:
		return fmt.Errorf("--network %s: there is default, none and host", f.Network)
	}
	return nil
}

// arguments sets build arguments: the user's, then those of this machine that
// the user has not set.
func (r *Request) arguments(f Flags, in Inputs) error {
	args, err := BuildArgs(f.BuildArgs)
	if err != nil {
		return err
	}
	for name, value := range machine.Proxies() {
		if _, ok := args[name]; !ok && args[strings.ToLower(name)] == "" {
			args[name] = value
		}
	}
	if _, ok := args[argEpoch]; !ok {
		if v := os.Getenv(argEpoch); v != "" {
			args[argEpoch] = v
		}
	}
	if _, ok := args[argMirror]; !ok && in.DebianMirror != nil {
		if m := in.DebianMirror(); m != "" {
			args[argMirror] = m
		}
	}
	if err := r.locations(args, in); err != nil {
		return err
	}
	for k, v := range args {
		r.Solve.FrontendAttrs["build-arg:"+k] = v
	}
	if isTrue(args[argInline]) {
		r.Solve.CacheExports = append(r.Solve.CacheExports, client.CacheOptionsEntry{Type: "inline", Attrs: map[string]string{}})
	}
	return nil
}

// locations sets where archives of base images come from, which are all for Node.
// To find out may start npm, so it is not asked when no part of the descriptor can
// mean Node.
func (r *Request) locations(args map[string]string, in Inputs) error {
	if in.Locations == nil || r.Descriptor != nil && !bytes.Contains(r.Descriptor.Data, []byte("node")) {
		return nil
	}
	known, err := in.Locations()
	if err != nil {
		return fmt.Errorf("where this machine gets Node from: %w", err)
	}
	for _, k := range catalog.LocationKinds {
		if _, given := args[k.Argument]; !given && known[k.Name] != "" {
			args[k.Argument] = known[k.Name]
		}
	}
	return nil
}

// namedContexts sets --build-context.
func (r *Request) namedContexts(f Flags, _ Inputs) error {
	for _, s := range f.BuildContexts {
		name, value, ok := strings.Cut(s, "=")
		if !ok || value == "" {
			return fmt.Errorf("--build-context %q: write NAME=FOLDER, NAME=docker-image://IMAGE, NAME=oci-layout://FOLDER or NAME=URL", s)
		}
		named, err := reference.ParseNormalizedNamed(name)
		if err != nil {
			return fmt.Errorf("--build-context %q: %w", s, err)
		}
		name = strings.TrimSuffix(reference.FamiliarString(named), ":latest")
		if err := r.namedContext(name, value); err != nil {
			return fmt.Errorf("--build-context %q: %w", s, err)
		}
	}
	return nil
}

func (r *Request) namedContext(name, value string) error {
	opts := r.Solve.FrontendAttrs
	if layout, ok := strings.CutPrefix(value, "oci-layout://"); ok {
		dir, dgst, err := parseLayout(layout)
		if err != nil {
			return err
		}
		store, err := local.NewStore(dir)
		if err != nil {
			return err
		}
		id := fmt.Sprintf("context%d", len(r.Solve.OCIStores))
		r.Solve.OCIStores[id] = store
		opts["context:"+name] = "oci-layout://" + id + "@" + dgst.String()
		return nil
	}
	if strings.HasPrefix(value, "docker-image://") || isRemote(value) {
		opts["context:"+name] = value
		return nil
	}
	dir, err := fsutil.NewFS(value)
	if err != nil {
		return err
	}
	mount := name
	if _, taken := r.Solve.LocalMounts[mount]; taken || mount == "context" || mount == "dockerfile" {
		mount = "_" + name
	}
	r.Solve.LocalMounts[mount] = dir
	opts["context:"+name] = "local:" + mount
	opts["sharedkey:localdir:"+name] = sharedKey(value)
	return nil
}

// parseLayout reads FOLDER[:TAG][@DIGEST] and finds the digest of the tag.
func parseLayout(s string) (dir string, dgst digest.Digest, err error) {
	dir, tag := s, "latest"
	if i := strings.LastIndexByte(dir, '@'); i >= 0 {
		if dgst, err = digest.Parse(dir[i+1:]); err != nil {
			return "", "", err
		}
		dir = dir[:i]
	}
	if i := strings.LastIndexByte(dir, ':'); i >= 0 && reference.TagRegexp.MatchString(dir[i+1:]) && !strings.Contains(dir[i:], "/") {
		dir, tag = dir[:i], dir[i+1:]
	}
	if _, err := os.Stat(filepath.Join(dir, "index.json")); err != nil {
		return "", "", fmt.Errorf("%s is no OCI layout: %w", dir, err)
	}
	if dgst != "" {
		return dir, dgst, nil
	}
	index := ociindex.NewStoreIndex(dir)
	desc, err := index.Get(tag)
	if err == nil && desc == nil {
		desc, err = index.GetSingle()
	}
	switch {
	case err != nil:
		return "", "", err
	case desc == nil:
		return "", "", fmt.Errorf("%s has several images and none with the tag %q: write %s:TAG", dir, tag, dir)
	}
	return dir, desc.Digest, desc.Digest.Validate()
}

// caches sets --cache-from and --cache-to.
func (r *Request) caches(f Flags, _ Inputs) error {
	from, err := parseCacheFrom(f.CacheFrom)
	if err != nil {
		return err
	}
	to, err := parseCacheTo(f.CacheTo)
	if err != nil {
		return err
	}
	r.Solve.CacheImports = from
	r.Solve.CacheExports = append(r.Solve.CacheExports, to...)
	return nil
}

// session sets what the builder may ask this process for while it builds.
func (r *Request) session(f Flags, _ Inputs) error {
	var user []secretsprovider.Source
	for _, s := range f.Secrets {
		secret, err := parseSecret(s)
		if err != nil {
			return err
		}
		user = append(user, secret)
	}
	store, err := secretsprovider.NewStore(user)
	if err != nil {
		return fmt.Errorf("--secret: %w", withoutStat(err))
	}

	sshFlags := f.SSH
	if g, ok, _ := dfgitutil.ParseGitRef(f.Context); len(sshFlags) == 0 && r.Dir == "" && ok && isSSH(g.Remote) {
		sshFlags = []string{"default"}
	}
	if len(sshFlags) > 0 {
		agents, err := build.ParseSSH(sshFlags)
		if err != nil {
			return fmt.Errorf("--ssh: %w", err)
		}
		provider, err := sshprovider.NewSSHAgentProvider(agents)
		if err != nil {
			return fmt.Errorf("--ssh: %w", err)
		}
		r.Solve.Session = append(r.Solve.Session, provider)
	}
	r.Solve.Session = append(r.Solve.Session,
		secretsprovider.NewSecretProvider(secretStores{store, machine.Secrets()}),
		registryAuth())
	return nil
}

// withoutStat is the error of a file without what a library has put before it, which
// says the same.
func withoutStat(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe
	}
	return err
}

// registryAuth gives the builder credentials of docker's config.json.
func registryAuth() session.Attachable {
	return authprovider.NewDockerAuthProvider(authprovider.DockerAuthProviderConfig{
		AuthConfigProvider: authprovider.LoadAuthConfig(config.LoadDefaultConfigFile(os.Stderr)),
	})
}

// secretStores asks one after the other: the user's secrets come before the
// machine's.
type secretStores []secrets.SecretStore

// GetSecret implements secrets.SecretStore.
func (s secretStores) GetSecret(ctx context.Context, id string) ([]byte, error) {
	for _, store := range s {
		data, err := store.GetSecret(ctx, id)
		if err == nil || !errors.Is(err, secrets.ErrNotFound) {
			return data, err
		}
	}
	return nil, secrets.ErrNotFound
}

// WantsRevision reports whether the git revision can make a difference, since
// git is not asked for nothing.
func (r *Request) WantsRevision() bool {
	if r.Dir == "" {
		return false
	}
	_, provenance := r.Solve.FrontendAttrs["attest:provenance"]
	return provenance || r.Descriptor != nil && bytes.Contains(r.Descriptor.Data, []byte("Revision"))
}

// SetRevision tells the frontend the git revision; "" says nothing.
func (r *Request) SetRevision(revision, source string) {
	if revision != "" {
		r.Solve.FrontendAttrs["vcs:revision"] = revision
	}
	if source != "" {
		r.Solve.FrontendAttrs["vcs:source"] = source
	}
}

// LocalName is the name of an image in the local store that was given none: the
// project folder's, made fit for an image.
func (r *Request) LocalName() string {
	const unknown = "image"
	if r.Dir == "" {
		return unknown
	}
	abs, err := filepath.Abs(r.Dir)
	if err != nil {
		return unknown
	}
	var b strings.Builder
	for _, c := range strings.ToLower(filepath.Base(abs)) {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			b.WriteRune(c)
		} else if s := b.String(); s != "" && !strings.HasSuffix(s, "-") {
			b.WriteByte('-')
		}
	}
	name := strings.Trim(b.String(), "-")
	if _, err := reference.ParseNormalizedNamed(name); err != nil {
		return unknown
	}
	return name
}

// sharedKey identifies a folder, so that BuildKit sends only what has changed in
// it since the last build.
func sharedKey(dir string) string {
	abs, err := filepath.Abs(dir)
	if err != nil {
		abs = dir
	}
	sum := sha256.Sum256([]byte(abs))
	return filepath.Base(abs) + ":" + hex.EncodeToString(sum[:8])
}

func isHTTP(s string) bool {
	return strings.HasPrefix(s, "http://") || strings.HasPrefix(s, "https://")
}

func isRemote(s string) bool {
	if isHTTP(s) {
		return true
	}
	_, ok, _ := dfgitutil.ParseGitRef(s)
	return ok
}

func isSSH(remote string) bool {
	return strings.HasPrefix(remote, "ssh://") || !strings.Contains(remote, "://") && strings.Contains(remote, "@")
}

// isArchive knows the formats of an archive that BuildKit unpacks.
func isArchive(head []byte) bool {
	for _, magic := range []string{"BZh", "\x1f\x8b\x08", "\xfd7zXZ\x00", "\x28\xb5\x2f\xfd"} {
		if bytes.HasPrefix(head, []byte(magic)) {
			return true
		}
	}
	return len(head) > 262 && string(head[257:262]) == "ustar"
}
