package catalog_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	spdxjson "github.com/spdx/tools-golang/json"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/internal/harness"
)

// watched is a registry behind a proxy that notes what is written to it.
type watched struct {
	addr string

	mu     sync.Mutex
	writes []string
	// seen is told of every write before it reaches the registry; may be nil.
	seen func(method, path string)
}

func watchedRegistry(t *testing.T) *watched {
	t.Helper()
	w := &watched{}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: harness.Registry(t)})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.mu.Lock()
			w.writes = append(w.writes, r.Method+" "+r.URL.String())
			seen := w.seen
			w.mu.Unlock()
			if seen != nil {
				seen(r.Method, r.URL.Path)
			}
		}
		proxy.ServeHTTP(rw, r)
	}))
	t.Cleanup(server.Close)
	w.addr = server.Listener.Addr().String()
	return w
}

// written returns what was written since the last call.
func (w *watched) written() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	out := w.writes
	w.writes = nil
	return out
}

// blobs are the digests of the blobs among writes, by repository: each is
// committed by one request.
func blobs(writes []string) []string {
	var out []string
	for _, line := range writes {
		if _, digest, ok := strings.Cut(line, "digest="); ok {
			repository, _, _ := strings.Cut(strings.TrimPrefix(line, "PUT "), "/blobs/")
			out = append(out, repository+" "+digest)
		}
	}
	slices.Sort(out)
	return out
}

// publication is what the commands print as JSON.
type publication struct {
	Images   []publishedImage
	Frontend *publishedImage
}

type publishedImage struct {
	Ref, Digest, Status string
	Tags, Why           []string
	Platforms           []struct {
		Platform, Digest string
		Size             int64
	}
}

// image is the one of a reference.
func (p publication) image(t *testing.T, ref string) publishedImage {
	t.Helper()
	i := slices.IndexFunc(p.Images, func(img publishedImage) bool { return img.Ref == ref })
	if i < 0 {
		t.Fatalf("there is no %s in %+v", ref, p)
	}
	return p.Images[i]
}

func (p publication) statuses() map[string]string {
	out := map[string]string{}
	for _, img := range p.Images {
		out[img.Ref] = img.Status
	}
	return out
}

// publishing runs a command of the catalog, which is to end with a code.
func publishing(t *testing.T, code int, args ...string) (publication, string) {
	t.Helper()
	cmd := e2etest.Birdhouse(t, append([]string{"catalog"}, append(args, "--format", "json", "--progress", "plain")...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code {
		t.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, &errs, &out)
	}
	var p publication
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &p); err != nil {
			t.Fatalf("%v\n%s", err, &out)
		}
	}
	return p, errs.String()
}

func indexAt(t *testing.T, ref string) v1.ImageIndex {
	t.Helper()
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	idx, err := remote.Index(r)
	if err != nil {
		t.Fatal(err)
	}
	return idx
}

// manifests are the manifests of an index by platform, attestations by the digest
// of what they are about.
func manifests(t *testing.T, idx v1.ImageIndex) (platforms map[string]v1.Descriptor, attestations map[string]v1.Image) {
	t.Helper()
	m, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	platforms, attestations = map[string]v1.Descriptor{}, map[string]v1.Image{}
	for _, d := range m.Manifests {
		if about := d.Annotations["vnd.docker.reference.digest"]; about != "" {
			if attestations[about], err = idx.Image(d.Digest); err != nil {
				t.Fatal(err)
			}
			continue
		}
		platforms[d.Platform.String()] = d
	}
	return platforms, attestations
}

// statement is an in-toto statement.
type statement struct {
	PredicateType string `json:"predicateType"`
	Subject       []struct {
		Digest map[string]string `json:"digest"`
	} `json:"subject"`
	Predicate json.RawMessage `json:"predicate"`
}

// statements are those of an attestation manifest by the type of what they say.
func statements(t *testing.T, img v1.Image) map[string]statement {
	t.Helper()
	layers, err := img.Layers()
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]statement{}
	for _, l := range layers {
		r, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(r)
		r.Close()
		if err != nil {
			t.Fatal(err)
		}
		var s statement
		if err := json.Unmarshal(data, &s); err != nil {
			t.Fatal(err)
		}
		all[s.PredicateType] = s
	}
	return all
}

// A catalog is published, published again, verified, tampered with.
func TestPublish(t *testing.T) {
	registry := watchedRegistry(t)
	prefix := registry.addr + "/team/bases"
	lock, err := catalog.ReadLock(harness.Lock(t))
	if err != nil {
		t.Fatal(err)
	}
	dated := "13-" + lock.Time.UTC().Format("20060102")

	// cc lies on base, and that on static.
	first, _ := publishing(t, 0, "publish", prefix, "static:13", "cc:13", "--no-frontend")
	if diff := cmp.Diff(map[string]string{"static:13": "pushed", "base:13": "pushed", "cc:13": "pushed"}, first.statuses()); diff != "" {
		t.Fatal(diff)
	}
	writes := registry.written()
	if sent := blobs(writes); len(sent) == 0 || len(slices.Compact(slices.Clone(sent))) != len(sent) {
		t.Errorf("blobs were sent twice: %q", sent)
	}

	t.Run("tags and annotations", func(t *testing.T) {
		on := map[string]string{"base": "static", "cc": "base"}
		for _, image := range []string{"static", "base", "cc"} {
			idx := indexAt(t, prefix+"/"+image+":13")
			digest, _ := idx.Digest()
			if other, _ := indexAt(t, prefix+"/"+image+":"+dated).Digest(); other != digest {
				t.Errorf("%s:%s is %s, and :13 is %s", image, dated, other, digest)
			}
			m, err := idx.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			if m.Annotations["org.opencontainers.image.title"] != image+":13" || m.Annotations["org.opencontainers.image.created"] != "1970-01-01T00:00:00Z" {
				t.Errorf("%s: the index has the annotations %v", image, m.Annotations)
			}
			platforms, _ := manifests(t, idx)
			if len(platforms) != 2 {
				t.Fatalf("%s is for %v", image, platforms)
			}
			for p, d := range platforms {
				img, err := idx.Image(d.Digest)
				if err != nil {
					t.Fatal(err)
				}
				im, err := img.Manifest()
				if err != nil {
					t.Fatal(err)
				}
				base, digest := "", ""
				if on[image] != "" {
					base = prefix + "/" + on[image] + ":13"
					below, _ := manifests(t, indexAt(t, base))
					digest = below[p].Digest.String()
				}
				if got := im.Annotations["org.opencontainers.image.base.name"]; got != base {
					t.Errorf("%s for %s lies on %q, want %q", image, p, got, base)
				}
				if got := im.Annotations["org.opencontainers.image.base.digest"]; got != digest {
					t.Errorf("%s for %s lies on %q, want %q", image, p, got, digest)
				}
				config, err := img.ConfigFile()
				if err != nil {
					t.Fatal(err)
				}
				if config.Config.User != "65532" || len(config.Config.Labels) != 0 || config.Created.Unix() != 0 {
					t.Errorf("%s for %s has the configuration %+v of %s", image, p, config.Config, config.Created)
				}
			}
		}
	})

	t.Run("attestations", func(t *testing.T) {
		platforms, attestations := manifests(t, indexAt(t, prefix+"/cc:13"))
		for p, d := range platforms {
			if attestations[d.Digest.String()] == nil {
				t.Fatalf("%s has no attestations", p)
			}
			all := statements(t, attestations[d.Digest.String()])
			sbom, ok := all["https://spdx.dev/Document"]
			if !ok {
				t.Fatalf("%s has no list of parts among %d attestations", p, len(all))
			}
			for kind, s := range all {
				if len(s.Subject) == 0 || s.Subject[0].Digest["sha256"] != d.Digest.Hex {
					t.Errorf("%s: %s is about %v, not %s", p, kind, s.Subject, d.Digest)
				}
			}
			doc, err := spdxjson.Read(bytes.NewReader(sbom.Predicate))
			if err != nil {
				t.Fatal(err)
			}
			_, arch, _ := strings.Cut(p, "/")
			got := map[string]string{}
			for _, part := range doc.Packages {
				for _, r := range part.PackageExternalReferences {
					got[part.PackageName] = r.Locator
				}
			}
			for _, layer := range []string{"static", "libc", "cc"} {
				for _, want := range lock.Suites["13"].Layers[layer][arch] {
					locator := got[want.Name]
					if !strings.HasPrefix(locator, "pkg:deb/debian/"+strings.ReplaceAll(want.Name, "+", "%2B")+"@") || !strings.Contains(locator, "arch="+want.Architecture) {
						t.Errorf("%s: %s %s is listed as %q", p, want.Name, want.Version, locator)
					}
					delete(got, want.Name)
				}
			}
			if len(got) > 0 {
				t.Errorf("%s: there is no such package in the lock: %v", p, got)
			}
			if provenance, ok := all["https://slsa.dev/provenance/v1"]; !ok || !bytes.Contains(provenance.Predicate, []byte("buildDefinition")) {
				t.Errorf("%s has no provenance: %s", p, provenance.Predicate)
			}
		}
	})

	t.Run("again", func(t *testing.T) {
		again, _ := publishing(t, 0, "publish", prefix, "static:13", "cc:13", "--no-frontend")
		if diff := cmp.Diff(map[string]string{"static:13": "present", "base:13": "present", "cc:13": "present"}, again.statuses()); diff != "" {
			t.Error(diff)
		}
		if writes := registry.written(); len(writes) > 0 {
			t.Errorf("a second publish has written %q", writes)
		}
		for _, img := range again.Images {
			if was := first.image(t, img.Ref).Digest; img.Digest != was {
				t.Errorf("%s is %s, and was %s", img.Ref, img.Digest, was)
			}
		}
	})

	t.Run("a tag that is gone", func(t *testing.T) {
		// A new date of the lock is the same: the image is there under other tags.
		again, _ := publishing(t, 0, "publish", prefix, "static:13", "--no-frontend", "--revision", "2")
		if got := again.image(t, "static:13"); got.Status != "tagged" || got.Digest != first.image(t, "static:13").Digest {
			t.Errorf("got %+v", got)
		}
		if writes := registry.written(); len(writes) != 1 || !strings.HasSuffix(writes[0], "/static/manifests/"+dated+".2") {
			t.Errorf("a further tag has written %q", writes)
		}
	})

	t.Run("verify", func(t *testing.T) {
		same, _ := publishing(t, 0, "verify", prefix, "cc:13")
		if diff := cmp.Diff(map[string]string{"static:13": "same", "base:13": "same", "cc:13": "same"}, same.statuses()); diff != "" {
			t.Error(diff)
		}
		if writes := registry.written(); len(writes) > 0 {
			t.Errorf("verify has written %q", writes)
		}

		// One file more in the image for one platform, under the same tag.
		at, _ := name.NewTag(prefix+"/base:13", name.Insecure)
		original, err := remote.Get(at)
		if err != nil {
			t.Fatal(err)
		}
		idx := indexAt(t, at.String())
		platforms, _ := manifests(t, idx)
		arm, err := idx.Image(platforms["linux/arm64"].Digest)
		if err != nil {
			t.Fatal(err)
		}
		more, err := random.Layer(100, "application/vnd.oci.image.layer.v1.tar+gzip")
		if err != nil {
			t.Fatal(err)
		}
		if arm, err = mutate.AppendLayers(arm, more); err != nil {
			t.Fatal(err)
		}
		tampered := mutate.AppendManifests(mutate.RemoveManifests(idx, func(d v1.Descriptor) bool { return d.Digest == platforms["linux/arm64"].Digest }),
			mutate.IndexAddendum{Add: arm, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64"}}})
		if err := remote.WriteIndex(at, tampered); err != nil {
			t.Fatal(err)
		}
		registry.written()
		other, errs := publishing(t, 1, "verify", prefix, "cc:13")
		if diff := cmp.Diff(map[string]string{"static:13": "same", "base:13": "differs", "cc:13": "same"}, other.statuses()); diff != "" {
			t.Error(diff)
		}
		for _, img := range other.Images {
			if img.Ref == "base:13" && (len(img.Why) != 1 || !strings.HasPrefix(img.Why[0], "linux/arm64 is sha256:")) {
				t.Errorf("what differs is %q", img.Why)
			}
		}
		if !strings.Contains(errs, "1 of 3 images are not what the lock of ") || !strings.Contains(errs, ": base:13") {
			t.Errorf("the message is\n%s", errs)
		}
		// Publishing mends a tag that moves, with the image that the dated one has.
		mended, _ := publishing(t, 0, "publish", prefix, "base:13", "--no-frontend")
		if got := mended.statuses()["base:13"]; got != "tagged" {
			t.Errorf("the image is %s", got)
		}
		if digest, _ := indexAt(t, at.String()).Digest(); digest != original.Digest {
			t.Errorf("%s is %s, and was %s", at, digest, original.Digest)
		}
	})

	t.Run("a dated tag that is another image", func(t *testing.T) {
		at, _ := name.NewTag(prefix+"/static:"+dated, name.Insecure)
		other, err := random.Index(100, 1, 1)
		if err != nil {
			t.Fatal(err)
		}
		if err := remote.WriteIndex(at, other); err != nil {
			t.Fatal(err)
		}
		before, _ := indexAt(t, prefix+"/static:13").Digest()
		registry.written()
		_, errs := publishing(t, 1, "publish", prefix, "static:13", "--no-frontend")
		for _, want := range []string{at.String() + " is another image already", "a dated tag is never moved", "birdhouse catalog update", "--revision 2"} {
			if !strings.Contains(errs, want) {
				t.Errorf("the message lacks %q:\n%s", want, errs)
			}
		}
		if writes := registry.written(); len(writes) > 0 {
			t.Errorf("it was refused, and has written %q", writes)
		}
		digest, _ := other.Digest()
		if now, _ := indexAt(t, at.String()).Digest(); now != digest {
			t.Errorf("the dated tag has moved to %s", now)
		}
		if now, _ := indexAt(t, prefix+"/static:13").Digest(); now != before {
			t.Errorf("the other tag has moved to %s", now)
		}
	})
}

// Images that one builder has published, compressed with zstd, are the same on another:
// here in the command's own process, and on a daemon that knows nothing of it.
func TestPublishOnDaemon(t *testing.T) {
	prefix := harness.Registry(t) + "/bases"
	publishing(t, 0, "publish", prefix, "static:13", "--compression", "zstd", "--no-frontend")
	idx := indexAt(t, prefix+"/static:13")
	platforms, _ := manifests(t, idx)
	for p, d := range platforms {
		img, err := idx.Image(d.Digest)
		if err != nil {
			t.Fatal(err)
		}
		m, err := img.Manifest()
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range m.Layers {
			if !strings.HasSuffix(string(l.MediaType), "+zstd") {
				t.Errorf("%s: a layer is %s", p, l.MediaType)
			}
		}
	}
	same, _ := publishing(t, 0, "verify", prefix, "static:13", "--addr", harness.SharedBuildkitd(t).Address)
	if got := same.statuses()["static:13"]; got != "same" {
		t.Errorf("on a daemon the image is %s: %v", got, same.image(t, "static:13").Why)
	}
	// With gzip it is another image, and the dated tag keeps the first.
	_, errs := publishing(t, 1, "publish", prefix, "static:13", "--no-frontend", "--addr", harness.SharedBuildkitd(t).Address)
	if !strings.Contains(errs, "a dated tag is never moved") {
		t.Errorf("the message is\n%s", errs)
	}
}

// The image of a language has tags by its full version, -debug has its layers and one
// more, and their lists of parts name what is no Debian package.
func TestPublishLanguage(t *testing.T) {
	prefix := harness.Registry(t) + "/bases"
	p, _ := publishing(t, 0, "publish", prefix, "node:24", "node:24-debug", "--platform", "linux/amd64", "--no-frontend")
	lock, err := catalog.ReadLock(harness.Lock(t))
	if err != nil {
		t.Fatal(err)
	}
	release := lock.Archives["node"]["24"].Version
	day := lock.Time.UTC().Format("20060102")
	layers := map[string][]string{}
	for _, variant := range []string{"", "-debug"} {
		ref := "node:24" + variant
		img := p.image(t, ref)
		want := []string{release + "-" + day + variant, release + variant, "24" + variant}
		if got := slices.Sorted(slices.Values(img.Tags)); !slices.Equal(got, slices.Sorted(slices.Values(want))) {
			t.Errorf("%s has the tags %q, want %q", ref, got, want)
		}
		for _, tag := range want {
			digest, err := indexAt(t, prefix+"/node:"+tag).Digest()
			if err != nil || digest.String() != img.Digest {
				t.Errorf("%s leads to %s (%v), not %s", tag, digest, err, img.Digest)
			}
		}
		layers[variant] = e2etest.Pulled(t, prefix+"/"+ref).Layers

		platforms, attestations := manifests(t, indexAt(t, prefix+"/"+ref))
		sbom := statements(t, attestations[platforms["linux/amd64"].Digest.String()])["https://spdx.dev/Document"]
		if locator := "pkg:generic/node@" + release; !bytes.Contains(sbom.Predicate, []byte(locator)) {
			t.Errorf("the list of parts of %s has no %s", ref, locator)
		}
	}
	if n := len(layers[""]); n < 3 || len(layers["-debug"]) != n+1 || !slices.Equal(layers["-debug"][:n], layers[""]) {
		t.Errorf("-debug has the layers %v above those of the image, %v", layers["-debug"], layers[""])
	}
}

// A publish that was killed in the middle is run again, sends what is missing, and
// ends as one that was not.
func TestPublishInterrupted(t *testing.T) {
	registry := watchedRegistry(t)
	prefix := registry.addr + "/bases"
	args := []string{"catalog", "publish", prefix, "static:13", "--no-frontend", "--progress", "plain"}
	cmd := e2etest.Birdhouse(t, args...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	var once sync.Once
	registry.mu.Lock()
	registry.seen = func(method, path string) {
		// The layers are there then, and no manifest.
		if method == http.MethodPut && strings.Contains(path, "/manifests/") {
			once.Do(func() { _ = cmd.Process.Kill() })
		}
	}
	registry.mu.Unlock()
	if err := cmd.Run(); err == nil {
		t.Fatalf("it was not interrupted:\n%s", &out)
	}
	registry.mu.Lock()
	registry.seen = nil
	registry.mu.Unlock()
	tag, _ := name.NewTag(prefix+"/static:13", name.Insecure)
	if _, err := remote.Get(tag); err == nil {
		t.Errorf("%s leads somewhere already", tag)
	}
	// What was on its way when it ended may not be there.
	before := slices.DeleteFunc(blobs(registry.written()), func(b string) bool {
		_, digest, _ := strings.Cut(b, " ")
		digest, _ = url.QueryUnescape(digest)
		l, err := remote.Layer(tag.Context().Digest(digest))
		if err == nil {
			var ok bool
			ok, err = partial.Exists(l)
			return err != nil || !ok
		}
		return true
	})
	if len(before) < 2 {
		t.Fatalf("%d blobs were there at the end, and should have been the layers:\n%s", len(before), &out)
	}

	again, _ := publishing(t, 0, "publish", prefix, "static:13", "--no-frontend")
	for _, b := range blobs(registry.written()) {
		if slices.Contains(before, b) {
			t.Errorf("%s was sent again", b)
		}
	}
	if got := again.statuses()["static:13"]; got != "pushed" {
		t.Errorf("the image is %s", got)
	}
	same, _ := publishing(t, 0, "verify", prefix, "static:13")
	if got := same.statuses()["static:13"]; got != "same" {
		t.Errorf("the image that was published in two goes is %s", got)
	}
}

// Wherever a publish is cut off, in the middle of a layer, between an image and its tags
// or between images, the same command ends as one that was not: with the same tags, which
// lead to the same images.
func TestPublishInterruptedAnywhere(t *testing.T) {
	registry := watchedRegistry(t)
	images := []string{"static:13", "base:13"}
	publish := func(prefix string) []string { return append([]string{"publish", prefix, "--no-frontend"}, images...) }
	// What a base lies on is named with the prefix, so manifests differ between prefixes.
	tagged := func(prefix string) map[string]e2etest.Contents {
		out := map[string]e2etest.Contents{}
		for _, image := range images {
			repository, _, _ := strings.Cut(image, ":")
			repo, err := name.NewRepository(prefix+"/"+repository, name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			tags, err := remote.List(repo)
			if err != nil {
				t.Fatal(err)
			}
			for _, tag := range tags {
				if strings.HasPrefix(tag, "sha256-") {
					continue // what is attached to a manifest, where a registry has no list of it
				}
				for _, arch := range []string{"amd64", "arm64"} {
					out[repository+":"+tag+" "+arch] = e2etest.ContentsOf(t, e2etest.PullFor(t, repo.Tag(tag).Name(), arch))
				}
			}
		}
		return out
	}
	publishing(t, 0, publish(registry.addr+"/whole")...)
	whole := tagged(registry.addr + "/whole")
	if len(whole) < 8 {
		t.Fatalf("only these tags: %v", whole)
	}
	// Manifests with their tags are written for every prefix, layers only for the first.
	isManifest := func(write string) bool { return strings.Contains(write, "/manifests/") }
	manifests := len(slices.DeleteFunc(registry.written(), func(w string) bool { return !isManifest(w) }))
	for i, at := range []int{0, manifests / 4, manifests / 2, manifests - 1} {
		t.Run(fmt.Sprintf("manifest %d of %d", at, manifests), func(t *testing.T) {
			prefix := fmt.Sprintf("%s/cut%d", registry.addr, i)
			cmd := e2etest.Birdhouse(t, append([]string{"catalog"}, append(publish(prefix), "--progress", "plain")...)...)
			left := at
			registry.mu.Lock()
			registry.seen = func(_, path string) {
				registry.mu.Lock()
				defer registry.mu.Unlock()
				if isManifest(path) {
					left--
				}
				if left < 0 || at == 0 {
					_ = cmd.Process.Kill() // of 0 at the first layer
				}
			}
			registry.mu.Unlock()
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("it was not interrupted:\n%s", out)
			}
			registry.mu.Lock()
			registry.seen = nil
			registry.mu.Unlock()
			publishing(t, 0, publish(prefix)...)
			if diff := cmp.Diff(whole, tagged(prefix)); diff != "" {
				t.Errorf("what is there at the end is not what there should be:\n%s", diff)
			}
		})
	}
}

// The frontend that is published takes the bases that are, by digest, and builds what
// one that knows of none builds.
func TestPublishedFrontend(t *testing.T) {
	registry := harness.Registry(t)
	prefix := registry + "/bases"
	saved := filepath.Join(t.TempDir(), "published.lock")
	p, _ := publishing(t, 0, "publish", prefix, "static:13", "--platform", "linux/amd64", "--save", saved)
	if p.Frontend == nil || p.Frontend.Status != "pushed" || !slices.Contains(p.Frontend.Tags, "1") {
		t.Fatalf("the frontend is %+v", p.Frontend)
	}
	frontend := prefix + "/birdhouse:1"
	img := e2etest.Pull(t, frontend)
	const most = 8_000_000
	if size := p.Frontend.Platforms[0].Size; size > most {
		t.Errorf("the frontend image takes %d bytes, more than %d", size, most)
	}
	config, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.Labels["moby.buildkit.frontend.network.none"] != "true" || !strings.Contains(config.Config.Labels["moby.buildkit.frontend.caps"], "moby.buildkit.frontend.contexts") {
		t.Errorf("the frontend's labels are %v", config.Config.Labels)
	}
	files := regular(e2etest.Files(t, img))
	// Caches are shared between clients only if it is the same program.
	steps, err := os.ReadFile(filepath.Join(harness.Root(t), "dist", "linux_amd64", "steps"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(files["steps"], steps) {
		t.Errorf("the steps program in the image has %d bytes and is not the command's, of %d", len(files["steps"]), len(steps))
	}
	// A dialer that is given a name, even "localhost", links all that looks up names:
	// a twentieth of the program.
	if bytes.Contains(steps, []byte("net.(*Resolver).")) {
		t.Error("the steps program has a resolver of names")
	}
	lock, err := catalog.ParseLock("catalog.lock", files["catalog.lock"])
	if err != nil {
		t.Fatal(err)
	}
	want := &catalog.Published{Prefix: prefix, Images: map[string]string{"static:13": p.image(t, "static:13").Digest}, Only: map[string][]string{"static:13": {"amd64"}}}
	if diff := cmp.Diff(want, lock.Published); diff != "" {
		t.Errorf("the frontend's lock: %s", diff)
	}
	if text, err := os.ReadFile(saved); err != nil || !bytes.Equal(text, files["catalog.lock"]) {
		t.Errorf("the lock that was saved is another: %v", err)
	}

	daemon := harness.SharedBuildkitd(t)
	dir := e2etest.Sample(t, "go/hello")
	out := harness.Run(t, daemon.Buildctl(t, append([]string{
		"build", "--progress=plain", "--frontend", "gateway.v0", "--opt", "source=" + frontend,
		"--local", "context=" + dir, "--local", "dockerfile=" + dir,
		"--opt", "build-arg:BIRDHOUSE_DEBIAN_MIRROR=" + harness.Mirror(t),
		"--output", "type=image,name=" + registry + "/from-published,push=true",
	}, harness.Secrets(t)...)...))
	if used := prefix + "/static:13@" + p.image(t, "static:13").Digest; !strings.Contains(out, used) {
		t.Errorf("the build has not used %s:\n%s", used, out)
	}
	harness.Run(t, e2etest.Birdhouse(t, "build", "--progress=plain", "-t", registry+"/from-definitions", "--push", e2etest.Sample(t, "go/hello")))
	if diff := cmp.Diff(e2etest.Pulled(t, registry+"/from-definitions"), e2etest.Pulled(t, registry+"/from-published")); diff != "" {
		t.Errorf("the image built on published bases is another:\n%s", diff)
	}

	again, _ := publishing(t, 0, "publish", prefix, "static:13", "--platform", "linux/amd64")
	if again.Frontend == nil || again.Frontend.Status != "present" || again.Frontend.Digest != p.Frontend.Digest {
		t.Errorf("published again, the frontend is %+v", again.Frontend)
	}
}
