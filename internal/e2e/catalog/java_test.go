package catalog_test

import (
	"bytes"
	"context"
	"debug/elf"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/moby/buildkit/client/llb"

	"github.com/birdhouse-build/birdhouse/internal/e2e/e2etest"
	"github.com/birdhouse-build/birdhouse/langs/plan"
	birdllb "github.com/birdhouse-build/birdhouse/llb"
)

// javaLimits are how large the images may be in bytes, compressed.
var javaLimits = map[string]int64{"": 27_000_000, "jre": 72_000_000}

// The linked runtime and the whole one, for both architectures: as a part of their
// own build they start as 65532 on a read-only root, and do what programs need of
// them; the other architecture's is linked without anything of it being run.
func TestCatalogJava(t *testing.T) {
	c := lockedCatalog(t)
	for _, variant := range []string{"", "jre"} {
		base := plan.Base{Image: "java", Version: "21", Variant: variant}
		published := publishBase(t, c, base)
		for arch, want := range map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64} {
			t.Run(base.String()+" "+arch, func(t *testing.T) {
				img := published(t, arch)
				size := layersSize(t, img)
				t.Logf("%d bytes", size)
				if size > javaLimits[variant] {
					t.Errorf("it has %d bytes compressed, more than %d", size, javaLimits[variant])
				}
				config, err := img.ConfigFile()
				if err != nil {
					t.Fatal(err)
				}
				if config.Config.User != "65532" || !slices.Contains(config.Config.Env, "JAVA_HOME=/usr/lib/jvm/java-21") {
					t.Errorf("its user is %q, its environment %q", config.Config.User, config.Config.Env)
				}

				home, record := "usr/lib/jvm/java-21", "var/lib/dpkg/status.d/openjdk-21"
				if variant == "jre" {
					home += "-openjdk-" + arch
					record += "-jre-headless"
				}
				files := regular(e2etest.Files(t, img))
				for _, name := range []string{home + "/release", home + "/lib/server/libjvm.so", home + "/bin/java", record, record + ".md5sums", "etc/ssl/certs/java/cacerts"} {
					if files[name] == nil {
						t.Fatalf("there is no %s", name)
					}
				}
				for _, name := range []string{home + "/lib/server/libjvm.so", home + "/bin/java"} {
					f, err := elf.NewFile(bytes.NewReader(files[name]))
					if err != nil {
						t.Fatalf("%s is no program: %v", name, err)
					}
					if f.Machine != want {
						t.Errorf("%s is for %v", name, f.Machine)
					}
				}
				release := string(files[home+"/release"])
				machine := map[string]string{"amd64": "x86_64", "arm64": "aarch64"}[arch]
				if !strings.Contains(release, `OS_ARCH="`+machine+`"`) || !strings.Contains(release, `IMPLEMENTOR="Debian"`) {
					t.Errorf("the release file is\n%s", release)
				}
				version := regexp.MustCompile(`(?m)^JAVA_VERSION="([0-9.]+)"$`).FindStringSubmatch(release)
				if version == nil || !strings.HasPrefix(version[1], "21.") {
					t.Fatalf("the release file has no version\n%s", release)
				}
				// What scanners compare with Debian's advisories.
				text := "\n" + string(files[record])
				for _, want := range []string{"\nSource: openjdk-21\n", "\nVersion: " + version[1] + "+", "\nArchitecture: " + arch + "\n"} {
					if !strings.Contains(text, want) {
						t.Errorf("%s has no %q:\n%s", record, want, text)
					}
				}
				if sums := string(files[record+".md5sums"]); !regexp.MustCompile(`(?m)^[0-9a-f]{32}  ` + home + `/lib/server/libjvm\.so$`).MatchString(sums) {
					t.Errorf("%s.md5sums does not have libjvm.so:\n%.500s", record, sums)
				}
				if _, has := slices.BinarySearch(modules(release), "java.desktop"); has != (variant == "jre") {
					t.Errorf("its modules are %q", modules(release))
				}
			})
		}
	}
}

// modules returns the modules that a release file names, sorted.
func modules(release string) []string {
	_, rest, _ := strings.Cut(release, "\nMODULES=\"")
	list, _, _ := strings.Cut(rest, "\"")
	names := strings.Fields(list)
	slices.Sort(names)
	return names
}

// The release of another suite, on this machine alone.
func TestCatalogJava17(t *testing.T) {
	c := lockedCatalog(t)
	out, err := checkCatalog(t, c, func(ctx context.Context, c *birdllb.Catalog) ([]llb.State, error) {
		return c.Checks(ctx, plan.Base{Image: "java", Version: "17"}, machine)
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
