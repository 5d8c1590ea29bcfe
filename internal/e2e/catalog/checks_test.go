package catalog_test

import (
	"context"
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/client"
	"github.com/moby/buildkit/client/llb"
	gwclient "github.com/moby/buildkit/frontend/gateway/client"
	"github.com/moby/buildkit/session"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
	"github.com/tonistiigi/fsutil"
	"golang.org/x/sync/errgroup"

	"github.com/birdhouse-build/birdhouse/catalog"
	"github.com/birdhouse-build/birdhouse/catalog/define"
	"github.com/birdhouse-build/birdhouse/frontend"
	"github.com/birdhouse-build/birdhouse/internal/harness"
	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
	"github.com/birdhouse-build/birdhouse/steps/check"
)

// machine is the platform that the tests run on, foreign one that they do not.
var machine, foreign = func() (ocispecs.Platform, ocispecs.Platform) {
	other := map[string]string{"amd64": "arm64", "arm64": "amd64"}
	return ocispecs.Platform{OS: "linux", Architecture: runtime.GOARCH}, ocispecs.Platform{OS: "linux", Architecture: other[runtime.GOARCH]}
}()

// checkCatalog solves the states on the shared BuildKit and returns what their
// commands printed. The catalog has this machine's lock.
func checkCatalog(t *testing.T, c *catalog.Catalog, states func(context.Context, *birdllb.Catalog) ([]llb.State, error)) (string, error) {
	t.Helper()
	mirror, err := catalog.ParseMirror(harness.Mirror(t))
	if err != nil {
		t.Fatal(err)
	}
	locations, err := catalog.MachineLocations(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	daemon, err := client.New(t.Context(), harness.SharedBuildkitd(t).Address)
	if err != nil {
		t.Fatal(err)
	}
	defer daemon.Close()

	build := func(ctx context.Context, gw gwclient.Client) (*gwclient.Result, error) {
		o := birdllb.Options{Caps: gw.BuildOpts().LLBCaps, Build: machine}
		var err error
		if o.Steps, err = frontend.StepsFromLocal(ctx, gw, machine); err != nil {
			return nil, err
		}
		list, err := states(ctx, &birdllb.Catalog{Catalog: c, Mirror: mirror, Locations: locations, Options: o})
		if err != nil {
			return nil, err
		}
		var eg errgroup.Group // that lets each check say what it finds
		for _, st := range list {
			def, err := st.Marshal(ctx)
			if err != nil {
				return nil, err
			}
			eg.Go(func() error {
				_, err := gw.Solve(ctx, gwclient.SolveRequest{Definition: def.ToPB(), Evaluate: true})
				return err
			})
		}
		return gwclient.NewResult(), eg.Wait()
	}
	var log strings.Builder
	var read sync.WaitGroup
	progress := make(chan *client.SolveStatus)
	read.Go(func() {
		for s := range progress {
			for _, l := range s.Logs {
				log.Write(l.Data)
			}
		}
	})
	_, err = daemon.Build(t.Context(), client.SolveOpt{
		LocalMounts: map[string]fsutil.FS{frontend.StepsLocal: harness.StepsPrograms(t)},
		Session:     []session.Attachable{harness.SecretProvider(t)},
	}, "", build, progress)
	read.Wait()
	return log.String(), err
}

// lockedCatalog is the catalog with this machine's lock.
func lockedCatalog(t *testing.T) *catalog.Catalog {
	t.Helper()
	c, err := catalog.Open(harness.Lock(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var allImages = flag.Bool("all-images", false, "check every image of the catalog, which takes long")

// checkedEachTime says whether an image is checked each time: of every language the
// newest version, to run programs on and to build them; of the images of Debian's own
// parts those of the suite that is the default, and of the other suites the one that
// has all those parts. `birdhouse catalog publish` checks all.
func checkedEachTime(c *catalog.Catalog, b plan.Base) bool {
	versions := c.Versions(b.Image)
	switch {
	case *allImages:
		return true
	case len(versions) == 0:
		return b.Version == app.Debian || b.Image == "cc" && b.Variant == ""
	case b.Version != versions[len(versions)-1]:
		return false
	}
	return b.Variant == "" || b.Variant == "build"
}

// On this machine's platform images are started, on the other only looked through.
func TestCatalogImagesPassTheirChecks(t *testing.T) {
	c := lockedCatalog(t)
	for _, b := range c.Bases() {
		if !checkedEachTime(c, b) {
			continue
		}
		t.Run(b.String(), func(t *testing.T) {
			out, err := checkCatalog(t, c, func(ctx context.Context, c *birdllb.Catalog) ([]llb.State, error) {
				var all []llb.State
				for _, p := range []ocispecs.Platform{machine, foreign} {
					// Not every module proxy has Go's toolchains of other platforms.
					if p.Architecture == foreign.Architecture && b.Image == "go" {
						continue
					}
					states, err := c.Checks(ctx, b, p)
					if err != nil {
						return nil, err
					}
					all = append(all, states...)
				}
				return all, nil
			})
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			// Two images may be of the same layers: then the second's checks are not
			// run again, and print nothing.
			t.Log(out)
		})
	}
}

// All that is wrong with an image is said at once, each on a line.
func TestCatalogChecksFindDefects(t *testing.T) {
	// What a shell does to the image cc in /image, and the line that comes of it.
	defects := []struct{ do, want string }{
		{"cp /etc/group /image/usr/bin/su; chmod 4755 /image/usr/bin/su", "/usr/bin/su: it is setuid; take that bit away"},
		{"mkdir -m 2755 /image/var/mail", "/var/mail: it is setgid; take that bit away"},
		{"mkdir -m 777 /image/open", "/open: everybody may write to it (mode 0777); take that right away"},
		{"chmod 755 /image/tmp", "/tmp: it has the mode 0755"},
		{"ln -s ../nowhere /image/usr/lib/link", "/usr/lib/link: it is a symlink to ../nowhere, where nothing is; leave the link out too"},
		{"cp /usr/bin/busybox /image/usr/share/helper", "/usr/share/helper: by its content it is busybox; leave it out"},
		{"ln -s ../lib/os-release /image/usr/bin/apt", "/usr/bin/apt: it has the name of a package manager; leave it out"},
		{"mknod /image/dev/null c 1 3", "/dev/null: it is a device node; leave it out"},
		{"mkfifo /image/run/pipe", "/run/pipe: it is a named pipe; leave it out"},
		{"chown 1000:50 /image/etc/passwd", "/etc/passwd: it belongs to 1000:50, not to 0:0"},
		{"rm /image/usr/lib/*/libgcc_s.so.1", "it needs the library libgcc_s.so.1, which the image does not have; add the package libgcc-s1"},
		{"rm -r /image/home/nonroot", "/home/nonroot: it is not there, and should belong to 65532:65532"},
	}
	c := lockedCatalog(t)
	out, err := checkCatalog(t, c, func(ctx context.Context, c *birdllb.Catalog) ([]llb.State, error) {
		image, err := c.Base(ctx, plan.Base{Image: "cc", Version: "13"}, machine)
		if err != nil {
			return nil, err
		}
		tools, err := c.Base(ctx, plan.Base{Image: "static", Version: "13", With: []string{"shell"}}, machine)
		if err != nil {
			return nil, err
		}
		script := "set -e"
		for _, d := range defects {
			script += "\n" + d.do
		}
		spoilt := tools.State.Run(llb.Args([]string{"/usr/bin/sh", "-c", script})).AddMount("/image", image.State)
		files, err := c.CheckFiles(spoilt, check.Spec{Owners: map[string]int{"/home/nonroot": 65532}}, "look through it")
		return []llb.State{files}, err
	})
	if err == nil {
		t.Fatalf("nothing was wrong\n%s", out)
	}
	for _, d := range defects {
		if !strings.Contains(out, d.want) {
			t.Errorf("%s: nothing says %q", d.do, d.want)
		}
	}
	if want := fmt.Sprintf("the image has %d problems", len(defects)); !strings.Contains(out, want) {
		t.Errorf("not %q, but\n%s", want, out)
	}
}

// What the definitions leave out of an image, its checks miss.
func TestCatalogChecksFindGapsInDefinitions(t *testing.T) {
	for name, c := range map[string]struct {
		base plan.Base
		// Files are looked at alike on every platform; only this machine's images
		// are started.
		platform ocispecs.Platform
		change   func(*define.Layer) // of the layer of that name
		want     []string
	}{
		"a library": {
			plan.Base{Image: "cc", Version: "13"}, foreign,
			func(l *define.Layer) { l.Exclude = append(l.Exclude, "usr/lib/*/libgcc_s.so.1") },
			[]string{"it needs the library libgcc_s.so.1, which the image does not have; add the package libgcc-s1"},
		},
		"time zones, services and certificates": {
			plan.Base{Image: "base", Version: "13"}, machine,
			func(l *define.Layer) {
				l.CABundle = false
				l.Exclude = append(l.Exclude, "usr/share/zoneinfo/America/**", "etc/services")
			},
			[]string{
				"/usr/share/zoneinfo/posixrules: it is a symlink to America/New_York, where nothing is",
				"certificates: does not work", "names of hosts: does not work", "the time zone America/New_York: does not work",
			},
		},
		"DNS": {
			plan.Base{Image: "base", Version: "13"}, machine,
			func(l *define.Layer) {
				l.Files = slices.Clone(l.Files)
				for i, f := range l.Files {
					l.Files[i].Content = strings.ReplaceAll(f.Content, "hosts: files dns", "hosts: files")
				}
			},
			[]string{"bird.test: Name or service not known", "names in DNS: does not work"},
		},
		"a shell": {
			plan.Base{Image: "base", Version: "13"}, foreign,
			func(l *define.Layer) {
				if l.Name == "libc" {
					l.On = append(l.On, "shell")
				}
			},
			[]string{"/usr/bin/busybox: by its content it is busybox; leave it out"},
		},
		"a link": {
			plan.Base{Image: "base", Version: "13"}, foreign,
			func(l *define.Layer) {
				if l.Name == "static" {
					l.Files = append(slices.Clone(l.Files), define.File{Path: "/usr/lib/link", Link: "nowhere"})
				}
			},
			[]string{"/usr/lib/link: it is a symlink to nowhere, where nothing is"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			lock, err := catalog.ReadLock(harness.Lock(t))
			if err != nil {
				t.Fatal(err)
			}
			defs, err := catalog.Definitions()
			if err != nil {
				t.Fatal(err)
			}
			for i := range defs.Layers {
				c.change(&defs.Layers[i])
			}
			changed, err := catalog.New(defs, lock)
			if err != nil {
				t.Fatal(err)
			}
			out, err := checkCatalog(t, changed, func(ctx context.Context, bc *birdllb.Catalog) ([]llb.State, error) {
				return bc.Checks(ctx, c.base, c.platform)
			})
			if err == nil {
				t.Errorf("nothing was wrong\n%s", out)
			}
			for _, want := range c.want {
				if !strings.Contains(out, want) {
					t.Errorf("nothing says %q:\n%s", want, out)
				}
			}
		})
	}
}
