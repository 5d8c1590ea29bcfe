package request_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/stretchr/testify/require"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/cmd/birdhouse/internal/request"
)

// newProject is a folder with a descriptor.
func newProject(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "My App_2")
	require.NoError(t, os.Mkdir(dir, 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "birdhouse.yaml"), []byte("language: go\n"), 0o644))
	return dir
}

func inputs() request.Inputs {
	return request.Inputs{
		Stdin:     strings.NewReader(""),
		StepsName: "steps",
		Steps:     request.Memory(func() (map[string][]byte, error) { return nil, nil }),
	}
}

// bare is an environment that sets nothing.
func bare(t *testing.T) {
	t.Helper()
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "FTP_PROXY", "ALL_PROXY", "SOURCE_DATE_EPOCH", "ACTIONS_RUNTIME_TOKEN"} {
		t.Setenv(name, "")
		t.Setenv(strings.ToLower(name), "")
	}
	t.Setenv("DOCKER_CONFIG", t.TempDir())
}

func TestFrontendOptions(t *testing.T) {
	bare(t)
	t.Setenv("FROM_ENV", "value")
	for _, test := range []struct {
		name  string
		flags request.Flags
		want  map[string]string
	}{
		{"nothing", request.Flags{}, map[string]string{}},
		{"target and platforms", request.Flags{Target: "worker", Platforms: []string{"linux/amd64,linux/arm64", "linux/arm64/v8"}},
			map[string]string{"target": "worker", "platform": "linux/amd64,linux/arm64"}},
		{"arguments", request.Flags{BuildArgs: []string{"A=1", "B=x=y", "FROM_ENV", "NOT_IN_ENV", "A=2"}},
			map[string]string{"build-arg:A": "2", "build-arg:B": "x=y", "build-arg:FROM_ENV": "value"}},
		{"labels", request.Flags{Labels: []string{"a=1", "b"}}, map[string]string{"label:a": "1", "label:b": ""}},
		{"no cache", request.Flags{NoCache: true, Pull: true}, map[string]string{"no-cache": "", "image-resolve-mode": "pull"}},
		{"no cache for stages", request.Flags{NoCacheFilter: []string{"deps", "build"}}, map[string]string{"no-cache": "deps,build"}},
		{"network", request.Flags{Network: "none", AddHosts: []string{"db:10.0.0.1", "six=[::1]", "here:host-gateway"}, ShmSize: "64m", Ulimits: []string{"nofile=1:2"}, CgroupParent: "g"},
			map[string]string{"force-network-mode": "none", "add-hosts": "db=10.0.0.1,six=::1,here=127.0.0.1", "shm-size": "67108864", "ulimit": "nofile=1:2", "cgroup-parent": "g"}},
		{"attestations", request.Flags{Provenance: "mode=max", SBOM: "true"},
			map[string]string{"attest:provenance": "type=provenance,mode=max", "attest:sbom": "type=sbom"}},
		{"attestations off", request.Flags{Attest: []string{"type=sbom"}, SBOM: "false", Provenance: "false"}, map[string]string{}},
		{"a base from elsewhere", request.Flags{BuildContexts: []string{"static:13=docker-image://example.com/static:13", "docs=https://example.com/docs.git#main"}},
			map[string]string{"context:static:13": "docker-image://example.com/static:13", "context:docs": "https://example.com/docs.git#main"}},
		{"a question", request.Flags{Call: "check"},
			map[string]string{"requestid": "frontend.lint", "frontend.caps": "moby.buildkit.frontend.subrequests"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.flags.Context = newProject(t)
			r, err := request.New(t.Context(), test.flags, inputs())
			require.NoError(t, err)
			test.want["filename"] = "birdhouse.yaml"
			require.Equal(t, test.want, r.Solve.FrontendAttrs)
			require.Contains(t, r.Solve.LocalMounts, "context")
			require.Contains(t, r.Solve.LocalMounts, "dockerfile")
			require.Contains(t, r.Solve.LocalMounts, "steps")
		})
	}
}

func TestMachineSettings(t *testing.T) {
	bare(t)
	t.Setenv("https_proxy", "http://proxy")
	t.Setenv("HTTP_PROXY", "http://other")
	t.Setenv("SOURCE_DATE_EPOCH", "12")
	in := inputs()
	in.DebianMirror = func() string { return "http://mirror" }

	r, err := request.New(t.Context(), request.Flags{Context: newProject(t), BuildArgs: []string{"http_proxy=mine"}}, in)
	require.NoError(t, err)
	require.Equal(t, map[string]string{
		"filename": "birdhouse.yaml", "build-arg:http_proxy": "mine", "build-arg:HTTPS_PROXY": "http://proxy",
		"build-arg:SOURCE_DATE_EPOCH": "12", "build-arg:BIRDHOUSE_DEBIAN_MIRROR": "http://mirror",
	}, r.Solve.FrontendAttrs)

	r, err = request.New(t.Context(), request.Flags{Context: newProject(t), BuildArgs: []string{"SOURCE_DATE_EPOCH=1", "BIRDHOUSE_DEBIAN_MIRROR=http://mine"}}, in)
	require.NoError(t, err)
	require.Equal(t, "1", r.Solve.FrontendAttrs["build-arg:SOURCE_DATE_EPOCH"])
	require.Equal(t, "http://mine", r.Solve.FrontendAttrs["build-arg:BIRDHOUSE_DEBIAN_MIRROR"])
}

// Where Node comes from is only asked when the descriptor may mean Node: npm may
// have to be started for it.
func TestLocations(t *testing.T) {
	bare(t)
	asked := 0
	in := inputs()
	in.Locations = func() (catalog.Locations, error) {
		asked++
		return catalog.Locations{"npm": "https://npm.example.com", "nodejs": "https://node.example.com"}, nil
	}
	dir := newProject(t)
	_, err := request.New(t.Context(), request.Flags{Context: dir}, in)
	require.NoError(t, err)
	require.Zero(t, asked)

	require.NoError(t, os.WriteFile(filepath.Join(dir, "birdhouse.yaml"), []byte("language: node\n"), 0o644))
	r, err := request.New(t.Context(), request.Flags{Context: dir, BuildArgs: []string{"BIRDHOUSE_NODE_MIRROR=https://mine.example.com"}}, in)
	require.NoError(t, err)
	require.Equal(t, 1, asked)
	require.Equal(t, "https://npm.example.com", r.Solve.FrontendAttrs["build-arg:BIRDHOUSE_NPM_REGISTRY"])
	require.Equal(t, "https://mine.example.com", r.Solve.FrontendAttrs["build-arg:BIRDHOUSE_NODE_MIRROR"])

	in.Locations = func() (catalog.Locations, error) { return nil, errors.New("no URL") }
	_, err = request.New(t.Context(), request.Flags{Context: dir}, in)
	require.ErrorContains(t, err, "where this machine gets Node from: no URL")
}

func TestOutputs(t *testing.T) {
	bare(t)
	docker := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(docker, "docker"), []byte("#!/bin/sh\ncat >\"$0.in\"\n"), 0o755))
	t.Setenv("PATH", docker)
	dir := t.TempDir()
	file := filepath.Join(dir, "sub", "image.tar")

	type export struct {
		typ   string
		attrs map[string]string
		dir   string
	}
	for _, test := range []struct {
		name   string
		flags  request.Flags
		remote bool
		want   []export
		keep   bool
	}{
		{"none: kept", request.Flags{Tags: []string{"a", "b:1"}}, false,
			[]export{{"oci", map[string]string{"tar": "false", "name": "a,b:1"}, ""}}, true},
		{"push", request.Flags{Tags: []string{"h.example/a"}, Push: true}, false,
			[]export{{"image", map[string]string{"push": "true", "unpack": "false", "name": "h.example/a"}, ""}}, false},
		{"registry", request.Flags{Outputs: []string{"type=registry,name=h.example/a"}}, false,
			[]export{{"image", map[string]string{"push": "true", "unpack": "false", "name": "h.example/a"}, ""}}, false},
		{"image without a daemon", request.Flags{Outputs: []string{"type=image"}}, false,
			[]export{{"oci", map[string]string{"tar": "false"}, ""}}, true},
		{"image on a daemon", request.Flags{Outputs: []string{"type=image,name=a"}}, true,
			[]export{{"image", map[string]string{"name": "a"}, ""}}, false},
		{"push and folder", request.Flags{Tags: []string{"h.example/a"}, Push: true, Outputs: []string{dir}}, false,
			[]export{{"local", map[string]string{}, dir}, {"image", map[string]string{"push": "true", "unpack": "false", "name": "h.example/a"}, ""}}, false},
		{"archive", request.Flags{Outputs: []string{"type=oci,dest=" + file + ",compression=zstd"}}, false,
			[]export{{"oci", map[string]string{"compression": "zstd"}, ""}}, false},
		{"layout", request.Flags{Outputs: []string{"type=oci,tar=false,dest=" + dir}}, false,
			[]export{{"oci", map[string]string{"tar": "false"}, dir}}, false},
		{"load", request.Flags{Tags: []string{"a"}, Load: true}, false,
			[]export{{"docker", map[string]string{"name": "a"}, ""}}, false},
		{"nothing but the cache", request.Flags{Outputs: []string{"type=cacheonly"}}, false, nil, false},
		{"annotations", request.Flags{Annotations: []string{"a=1", "index:b=2", "manifest[linux/amd64]:c=3"}}, false,
			[]export{{"oci", map[string]string{"tar": "false", "annotation.a": "1", "annotation-index.b": "2", "annotation-manifest[linux/amd64].c": "3"}, ""}}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.flags.Context = newProject(t)
			in := inputs()
			in.Remote = test.remote
			r, err := request.New(t.Context(), test.flags, in)
			require.NoError(t, err)
			var got []export
			for _, e := range r.Solve.Exports {
				got = append(got, export{e.Type, e.Attrs, e.OutputDir})
			}
			require.Equal(t, test.want, got)
			require.Equal(t, test.keep, r.Outputs.Keep)
			require.NoDirExists(t, filepath.Dir(file), "nothing is written before the build")
		})
	}
}

func TestFilesAppearWhenTheBuildHasSucceeded(t *testing.T) {
	bare(t)
	file := filepath.Join(t.TempDir(), "out", "image.tar")
	flags := request.Flags{Context: newProject(t), Outputs: []string{"type=oci,dest=" + file}}

	write := func() *request.Request {
		r, err := request.New(t.Context(), flags, inputs())
		require.NoError(t, err)
		w, err := r.Solve.Exports[0].Output(nil)
		require.NoError(t, err)
		_, err = io.WriteString(w, "content")
		require.NoError(t, err)
		require.NoError(t, w.Close())
		require.NoFileExists(t, file)
		return r
	}
	write().Outputs.Discard()
	left, err := os.ReadDir(filepath.Dir(file))
	require.NoError(t, err)
	require.Empty(t, left)

	require.NoError(t, write().Outputs.Commit())
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, "content", string(data))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o644), info.Mode())
}

func TestLoad(t *testing.T) {
	bare(t)
	bin := t.TempDir()
	t.Setenv("PATH", bin+":/bin:/usr/bin")
	docker := filepath.Join(bin, "docker")
	write := func(script string) io.WriteCloser {
		require.NoError(t, os.WriteFile(docker, []byte("#!/bin/sh\n"+script), 0o755))
		r, err := request.New(t.Context(), request.Flags{Context: newProject(t), Load: true, Tags: []string{"a"}}, inputs())
		require.NoError(t, err)
		require.True(t, r.Outputs.Loaded)
		w, err := r.Solve.Exports[0].Output(nil)
		require.NoError(t, err)
		return w
	}
	w := write("cat > $0.$1\n")
	_, err := io.WriteString(w, "image")
	require.NoError(t, err)
	require.NoError(t, w.Close())
	data, err := os.ReadFile(docker + ".load")
	require.NoError(t, err)
	require.Equal(t, "image", string(data))

	w = write("cat >/dev/null; echo no daemon >&2; exit 1\n")
	_, err = io.WriteString(w, "image")
	require.NoError(t, err)
	require.ErrorContains(t, w.Close(), "no daemon")
}

func TestCaches(t *testing.T) {
	bare(t)
	cache, none := t.TempDir(), filepath.Join(t.TempDir(), "none")
	r, err := request.New(t.Context(), request.Flags{
		Context:   newProject(t),
		CacheFrom: []string{"user/app:cache", "type=local,src=" + cache, "type=local,src=" + none, "type=gha"},
		CacheTo:   []string{"type=registry,ref=user/app:cache,mode=max", "type=gha"},
		BuildArgs: []string{"BUILDKIT_INLINE_CACHE=1"},
	}, inputs())
	require.NoError(t, err)
	require.Equal(t, []client.CacheOptionsEntry{
		{Type: "registry", Attrs: map[string]string{"ref": "user/app:cache"}},
		{Type: "local", Attrs: map[string]string{"src": cache}},
	}, r.Solve.CacheImports)
	require.Equal(t, []client.CacheOptionsEntry{
		{Type: "inline", Attrs: map[string]string{}},
		{Type: "registry", Attrs: map[string]string{"ref": "user/app:cache", "mode": "max"}},
	}, r.Solve.CacheExports)
}

func TestErrors(t *testing.T) {
	bare(t)
	t.Setenv("PATH", t.TempDir())
	dir := newProject(t)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("x"), 0o600))
	empty := t.TempDir()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	gone := server.URL + "/birdhouse.yaml"
	plainDockerfile := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(plainDockerfile, "Dockerfile"), []byte("FROM scratch\n"), 0o644))

	for _, test := range []struct {
		name  string
		flags request.Flags
		want  string
	}{
		{"no folder", request.Flags{Context: filepath.Join(empty, "none")}, "there is no folder"},
		{"a file for a folder", request.Flags{Context: filepath.Join(dir, "birdhouse.yaml")}, "name the project's folder"},
		{"no descriptor", request.Flags{Context: empty}, "birdhouse init writes one"},
		{"another's Dockerfile", request.Flags{Context: plainDockerfile}, "no syntax line names it"},
		{"-f relative to the wrong folder", request.Flags{Context: dir, File: "birdhouse.yaml"}, "did you mean -f " + filepath.Join(dir, "birdhouse.yaml")},
		{"-f a folder", request.Flags{Context: dir, File: empty}, "is a folder"},
		{"stdin twice", request.Flags{Context: "-", File: "-"}, "both the descriptor and the context"},
		{"stdin no archive", request.Flags{Context: "-"}, "no tar archive"},
		{"platform", request.Flags{Platforms: []string{"linux/am d64"}}, "--platform"},
		{"argument", request.Flags{BuildArgs: []string{"=x"}}, "write KEY=VALUE"},
		{"secret without id", request.Flags{Secrets: []string{"src=" + dir}}, "it has no id"},
		{"secret key", request.Flags{Secrets: []string{"id=a,file=b"}}, `unknown key "file"`},
		{"secret file", request.Flags{Secrets: []string{"id=a,src=" + filepath.Join(empty, "none")}}, "no such file"},
		{"tag", request.Flags{Tags: []string{"Upper/Case"}}, "in lower case"},
		{"tag digest", request.Flags{Tags: []string{"a@sha256:" + strings.Repeat("0", 64)}}, "cannot be named by a digest"},
		{"push without a name", request.Flags{Push: true}, "--tag REGISTRY/NAME:TAG"},
		{"load without docker", request.Flags{Load: true}, "no docker command"},
		{"output type", request.Flags{Outputs: []string{"type=zip,dest=a"}}, `unknown type "zip"`},
		{"output without type", request.Flags{Outputs: []string{"dest=a,x=y"}}, "it has no type"},
		{"output folder is a file", request.Flags{Outputs: []string{filepath.Join(dir, "secret")}}, "name a folder"},
		{"output file is a folder", request.Flags{Outputs: []string{"type=tar,dest=" + dir}}, "name a file"},
		{"output in a file", request.Flags{Outputs: []string{filepath.Join(dir, "secret", "x")}}, "not a directory"},
		{"output file in a file", request.Flags{Outputs: []string{"type=tar,dest=" + filepath.Join(dir, "secret", "x", "y.tar")}}, "not a directory"},
		{"two layouts", request.Flags{Outputs: []string{"type=image", "type=oci,tar=false,dest=" + empty}}, "one OCI layout"},
		{"no cache twice", request.Flags{NoCache: true, NoCacheFilter: []string{"a"}}, "drop one"},
		{"cache", request.Flags{CacheTo: []string{"ref=a,mode=max"}}, "it has no type"},
		{"network", request.Flags{Network: "bridge"}, "default, none and host"},
		{"descriptor that is not there", request.Flags{File: gone}, "404 Not Found"},
		{"descriptor of nobody", request.Flags{File: "http://127.0.0.1:1/birdhouse.yaml"}, "reading the descriptor: "},
		{"host", request.Flags{AddHosts: []string{"a:b"}}, "not an IP address"},
		{"entitlement", request.Flags{Allow: []string{"everything"}}, "--allow"},
		{"build context", request.Flags{BuildContexts: []string{"a"}}, "NAME=FOLDER"},
		{"build context folder", request.Flags{BuildContexts: []string{"a=" + filepath.Join(empty, "none")}}, "no such file"},
		{"build context layout", request.Flags{BuildContexts: []string{"a=oci-layout://" + empty}}, "no OCI layout"},
		{"call", request.Flags{Call: "what"}, "check, outline and targets"},
		{"call with an output", request.Flags{Call: "check", Push: true}, "build nothing"},
		{"attest", request.Flags{Attest: []string{"type=x"}}, "provenance or sbom"},
		{"annotation", request.Flags{Annotations: []string{"what:a=b"}}, "unknown type"},
		{"ssh", request.Flags{SSH: []string{"a=/x,/y,raw=true"}}, "--ssh"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if test.flags.Context == "" {
				test.flags.Context = dir
			}
			_, err := request.New(t.Context(), test.flags, inputs())
			require.ErrorContains(t, err, test.want)
		})
	}
}

func TestDescriptorFromStandardInput(t *testing.T) {
	bare(t)
	in := inputs()
	in.Stdin = strings.NewReader("language: go\n")
	r, err := request.New(t.Context(), request.Flags{Context: t.TempDir(), File: "-"}, in)
	require.NoError(t, err)
	require.Equal(t, "dockerfile", r.Solve.FrontendAttrs["dockerfilekey"])
	f, err := r.Solve.LocalMounts["dockerfile"].Open("birdhouse.yaml")
	require.NoError(t, err)
	data, err := io.ReadAll(f)
	require.NoError(t, err)
	require.Equal(t, "language: go\n", string(data))
}

// A daemon's host is not this one.
func TestHostGatewayOfADaemon(t *testing.T) {
	bare(t)
	in := inputs()
	in.Remote = true
	_, err := request.New(t.Context(), request.Flags{Context: newProject(t), AddHosts: []string{"here:host-gateway"}}, in)
	require.ErrorContains(t, err, "write it in place of host-gateway")
}

func TestDescriptorFromURL(t *testing.T) {
	bare(t)
	user := ""
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ = r.BasicAuth()
		switch r.URL.Path {
		case "/huge":
			_, _ = w.Write(make([]byte, 17<<20))
		case "/":
			http.Redirect(w, r, "/deploy/app.yaml", http.StatusFound)
		default:
			_, _ = io.WriteString(w, "language: go\n")
		}
	}))
	defer server.Close()
	for url, name := range map[string]string{"/deploy/app.yaml": "app.yaml", "/": "birdhouse.yaml", "/x/%2e%2e": "birdhouse.yaml"} {
		for _, where := range []string{t.TempDir(), "https://example.com/app.git"} {
			r, err := request.New(t.Context(), request.Flags{Context: where, File: server.URL + url}, inputs())
			require.NoError(t, err)
			require.Equal(t, "dockerfile", r.Solve.FrontendAttrs["dockerfilekey"])
			require.Equal(t, name, r.Solve.FrontendAttrs["filename"])
			require.Equal(t, "language: go\n", string(r.Descriptor.Data))
		}
	}
	_, err := request.New(t.Context(), request.Flags{Context: t.TempDir(), File: server.URL + "/huge"}, inputs())
	require.ErrorContains(t, err, "it is larger than 16 MB")
	secret := strings.Replace(server.URL, "://", "://bird:tits-and-w4rblers@", 1)
	_, err = request.New(t.Context(), request.Flags{Context: t.TempDir(), File: secret + "/huge"}, inputs())
	require.Equal(t, "bird", user)
	require.NotContains(t, err.Error(), "w4rblers")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = request.New(ctx, request.Flags{Context: t.TempDir(), File: server.URL + "/"}, inputs())
	require.ErrorIs(t, err, context.Canceled)
}

func TestContextsThatAreNoFolder(t *testing.T) {
	bare(t)
	for _, url := range []string{"https://example.com/app.git#v1:sub", "https://example.com/app.tar.gz", "git@example.com:app.git"} {
		r, err := request.New(t.Context(), request.Flags{Context: url, File: "deploy/birdhouse.yaml", SSH: []string{"default=" + emptyKey(t)}}, inputs())
		require.NoError(t, err, url)
		require.Equal(t, url, r.Solve.FrontendAttrs["context"])
		require.Equal(t, "deploy/birdhouse.yaml", r.Solve.FrontendAttrs["filename"])
		require.NotContains(t, r.Solve.LocalMounts, "context")
		require.Equal(t, "image", r.LocalName())
	}

	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: "go.mod", Mode: 0o644, Format: tar.FormatUSTAR}))
	require.NoError(t, w.Close())
	in := inputs()
	in.Stdin = &archive
	r, err := request.New(t.Context(), request.Flags{Context: "-"}, in)
	require.NoError(t, err)
	require.Contains(t, r.Solve.FrontendAttrs["context"], "http://buildkit-session/")
}

// emptyKey is a socket for --ssh that nobody is asked for.
func emptyKey(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "s")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	l, err := net.Listen("unix", filepath.Join(dir, "a"))
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}

func TestLocalName(t *testing.T) {
	bare(t)
	r, err := request.New(t.Context(), request.Flags{Context: newProject(t)}, inputs())
	require.NoError(t, err)
	require.Equal(t, "my-app-2", r.LocalName())
}

func TestRevisionIsAskedForOnlyWhereItCounts(t *testing.T) {
	bare(t)
	dir := newProject(t)
	r, err := request.New(t.Context(), request.Flags{Context: dir}, inputs())
	require.NoError(t, err)
	require.False(t, r.WantsRevision())

	r, err = request.New(t.Context(), request.Flags{Context: dir, Provenance: "true"}, inputs())
	require.NoError(t, err)
	require.True(t, r.WantsRevision())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "birdhouse.yaml"), []byte("language: go\nlabels: {r: \"{{.Revision}}\"}\n"), 0o644))
	r, err = request.New(t.Context(), request.Flags{Context: dir}, inputs())
	require.NoError(t, err)
	require.True(t, r.WantsRevision())
	r.SetRevision("abc", "")
	require.Equal(t, "abc", r.Solve.FrontendAttrs["vcs:revision"])
	require.NotContains(t, r.Solve.FrontendAttrs, "vcs:source")
}

func TestOCILayoutContext(t *testing.T) {
	bare(t)
	layout := t.TempDir()
	dgst := "sha256:" + strings.Repeat("a", 64)
	index := `{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"` + dgst + `","size":2,"annotations":{"org.opencontainers.image.ref.name":"v1"}}]}`
	require.NoError(t, os.WriteFile(filepath.Join(layout, "index.json"), []byte(index), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(layout, "oci-layout"), []byte(`{"imageLayoutVersion":"1.0.0"}`), 0o644))
	for _, ref := range []string{layout + ":v1", layout, layout + "@" + dgst} {
		r, err := request.New(t.Context(), request.Flags{Context: newProject(t), BuildContexts: []string{"static:13=oci-layout://" + ref}}, inputs())
		require.NoError(t, err, ref)
		require.Equal(t, "oci-layout://context0@"+dgst, r.Solve.FrontendAttrs["context:static:13"])
		require.Contains(t, r.Solve.OCIStores, "context0")
	}
}

func TestMemory(t *testing.T) {
	walk := func(files map[string][]byte) (names []string, times []int64) {
		m := request.Memory(func() (map[string][]byte, error) { return files, nil })
		require.NoError(t, m.Walk(context.Background(), "", func(p string, e fs.DirEntry, err error) error {
			require.NoError(t, err)
			info, err := e.Info()
			require.NoError(t, err)
			require.Equal(t, int64(len(files[p])), info.Size())
			names, times = append(names, p), append(times, info.ModTime().Unix())
			return nil
		}))
		return names, times
	}
	names, times := walk(map[string][]byte{"b": []byte("1"), "a": []byte("2")})
	require.Equal(t, []string{"a", "b"}, names)
	_, same := walk(map[string][]byte{"b": []byte("1"), "a": []byte("2")})
	require.Equal(t, times, same)
	_, changed := walk(map[string][]byte{"b": []byte("3"), "a": []byte("2")})
	require.NotEqual(t, times, changed)

	var one []string
	m := request.Memory(func() (map[string][]byte, error) { return map[string][]byte{"a": nil, "ab": nil}, nil })
	for _, target := range []string{"ab", "none"} {
		require.NoError(t, m.Walk(context.Background(), target, func(p string, _ fs.DirEntry, _ error) error {
			one = append(one, p)
			return nil
		}))
	}
	require.Equal(t, []string{"ab"}, one)

	_, err := m.Open("none")
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestMetadata(t *testing.T) {
	file := filepath.Join(t.TempDir(), "m.json")
	require.NoError(t, request.WriteMetadata(file, map[string]string{
		"containerimage.digest":     "sha256:aa",
		"containerimage.descriptor": "eyJzaXplIjoxfQ==",
		"image.name":                "a",
	}))
	data, err := os.ReadFile(file)
	require.NoError(t, err)
	var got map[string]any
	require.NoError(t, json.Unmarshal(data, &got))
	require.Equal(t, map[string]any{
		"containerimage.digest":     "sha256:aa",
		"containerimage.descriptor": map[string]any{"size": 1.0},
		"image.name":                "a",
	}, got)
}
