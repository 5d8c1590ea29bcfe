package golang

import (
	"fmt"
	"path"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs/app"
	"github.com/birdhouse-build/birdhouse/langs/spec"
)

// cgoPackage is a package that does not work without cgo: without it some do
// not compile, others compile and fail when the program runs.
type cgoPackage struct {
	// path is its import path; packages below it count as well.
	path string
	// instead is what does the same in pure Go, "" for nothing known.
	instead string
}

// cgoPackages are those in wide use, by their own documentation.
var cgoPackages = []cgoPackage{
	// Databases.
	{"github.com/mattn/go-sqlite3", "modernc.org/sqlite"},
	{"gorm.io/driver/sqlite", "github.com/glebarez/sqlite"},
	{"github.com/golang-migrate/migrate/v4/database/sqlite3", "github.com/golang-migrate/migrate/v4/database/sqlite"},
	{"github.com/mutecomm/go-sqlcipher", ""},
	{"crawshaw.io/sqlite", "zombiezen.com/go/sqlite"},
	{"github.com/marcboeker/go-duckdb", ""},
	{"github.com/duckdb/duckdb-go", ""},
	{"github.com/godror/godror", "github.com/sijms/go-ora/v2"},
	{"github.com/mattn/go-oci8", "github.com/sijms/go-ora/v2"},
	{"github.com/ibmdb/go_ibm_db", ""},
	{"github.com/alexbrainman/odbc", ""},
	{"github.com/linxGnu/grocksdb", "github.com/cockroachdb/pebble"},
	{"github.com/tecbot/gorocksdb", "github.com/cockroachdb/pebble"},
	{"github.com/jmhodges/levigo", "github.com/syndtr/goleveldb"},
	{"github.com/bmatsuo/lmdb-go", "go.etcd.io/bbolt"},
	{"github.com/PowerDNS/lmdb-go", "go.etcd.io/bbolt"},
	// Messages.
	{"github.com/confluentinc/confluent-kafka-go/kafka", "github.com/twmb/franz-go"},
	{"github.com/confluentinc/confluent-kafka-go/v2/kafka", "github.com/twmb/franz-go"},
	{"gopkg.in/confluentinc/confluent-kafka-go.v1/kafka", "github.com/twmb/franz-go"},
	{"github.com/pebbe/zmq4", "github.com/go-zeromq/zmq4"},
	{"github.com/ibm-messaging/mq-golang", ""},
	// Images, documents, sound.
	{"github.com/h2non/bimg", "github.com/disintegration/imaging"},
	{"gopkg.in/h2non/bimg.v1", "github.com/disintegration/imaging"},
	{"github.com/davidbyttow/govips", "github.com/disintegration/imaging"},
	{"github.com/cshum/vipsgen", "github.com/disintegration/imaging"},
	{"github.com/gographics/imagick", "github.com/disintegration/imaging"},
	{"gopkg.in/gographics/imagick.v2", "github.com/disintegration/imaging"},
	{"gopkg.in/gographics/imagick.v3", "github.com/disintegration/imaging"},
	{"github.com/chai2010/webp", "golang.org/x/image/webp"},
	{"github.com/kolesa-team/go-webp", "golang.org/x/image/webp"},
	{"gocv.io/x/gocv", ""},
	{"github.com/otiai10/gosseract", ""},
	{"github.com/klippa-app/go-pdfium/single_threaded", "github.com/klippa-app/go-pdfium/webassembly"},
	{"github.com/gen2brain/go-fitz", "github.com/klippa-app/go-pdfium/webassembly"},
	{"gopkg.in/hraban/opus.v2", ""},
	{"github.com/gordonklaus/portaudio", ""},
	{"github.com/asticode/go-astiav", ""},
	// Engines of other languages, models.
	{"github.com/bytecodealliance/wasmtime-go", "github.com/tetratelabs/wazero"},
	{"github.com/wasmerio/wasmer-go/wasmer", "github.com/tetratelabs/wazero"},
	{"rogchap.com/v8go", "github.com/dop251/goja"},
	{"github.com/aarzilli/golua", "github.com/yuin/gopher-lua"},
	{"github.com/smacker/go-tree-sitter", ""},
	{"github.com/tree-sitter/go-tree-sitter", ""},
	{"github.com/tensorflow/tensorflow/tensorflow/go", ""},
	{"github.com/wamuir/graft/tensorflow", ""},
	{"github.com/yalue/onnxruntime_go", ""},
	// Systems.
	{"github.com/libgit2/git2go", "github.com/go-git/go-git/v5"},
	{"github.com/libvirt/libvirt-go", "github.com/digitalocean/go-libvirt"},
	{"libvirt.org/go/libvirt", "github.com/digitalocean/go-libvirt"},
	{"libvirt.org/libvirt-go", "github.com/digitalocean/go-libvirt"},
	{"github.com/google/gopacket/pcap", "github.com/google/gopacket/pcapgo"},
	{"github.com/gopacket/gopacket/pcap", "github.com/gopacket/gopacket/pcapgo"},
	{"github.com/seccomp/libseccomp-golang", "github.com/elastic/go-seccomp-bpf"},
	{"github.com/coreos/go-systemd/sdjournal", ""},
	{"github.com/coreos/go-systemd/v22/sdjournal", ""},
	{"github.com/ceph/go-ceph", ""},
	{"github.com/NVIDIA/go-nvml", ""},
	{"github.com/miekg/pkcs11", ""},
	{"github.com/flier/gohs", ""},
	// Encodings.
	{"github.com/DataDog/zstd", "github.com/klauspost/compress/zstd"},
	{"github.com/valyala/gozstd", "github.com/klauspost/compress/zstd"},
	{"github.com/lestrrat-go/libxml2", "github.com/beevik/etree"},
	// Windows on a screen.
	{"github.com/webview/webview_go", ""},
	{"github.com/zserge/webview", ""},
	{"github.com/go-gl/gl", ""},
	{"github.com/go-gl/glfw", ""},
}

// cgoOnly returns the entry for an import path.
func cgoOnly(importPath string) (cgoPackage, bool) {
	for _, c := range cgoPackages {
		if importPath == c.path || strings.HasPrefix(importPath, c.path+"/") {
			return c, true
		}
	}
	return cgoPackage{}, false
}

const cgoHint = "build with cgo, on the cc base, with\nbuild:\n  cgo: true"

// checkCGO refuses programs that need cgo when the descriptor does not ask for
// it: those whose own files do, and those that import a package known to.
func (p *project) checkCGO(mains []string) spec.Problems {
	if p.spec.Build.CGO {
		return nil
	}
	var problems spec.Problems
	for _, dir := range mains {
		if pr := p.onlyCGOFiles(dir); pr != nil {
			problems = append(problems, *pr)
		}
	}
	if !p.mayNeedCGO() {
		return problems
	}
	replaced := p.replacements()
	seen, reported := map[string]bool{}, map[string]bool{}
	queue := append([]string(nil), mains...)
	for len(queue) > 0 {
		dir := queue[0]
		queue = queue[1:]
		if seen[dir] {
			continue
		}
		seen[dir] = true
		for _, i := range p.src.imports(dir) {
			if sub, ok := p.folder(i.path); ok {
				// Sources outside of the project's folder are not read.
				if app.Within(p.dir, sub) {
					queue = append(queue, sub)
				}
				continue
			}
			c, ok := cgoOnly(i.path)
			if !ok || reported[c.path] || isReplaced(replaced, i.path) {
				continue
			}
			reported[c.path] = true
			hint := cgoHint
			if c.instead != "" {
				hint = fmt.Sprintf("use %s, which is pure Go, or %s", c.instead, cgoHint)
			}
			problems = append(problems, importProblem(i, i.path+" does not work without cgo", hint))
		}
	}
	return problems
}

// isReplaced says whether the module of a package is replaced by another.
func isReplaced(all map[string][]replacement, importPath string) bool {
	for mod := importPath; mod != "."; mod = path.Dir(mod) {
		if len(all[mod]) > 0 {
			return true
		}
	}
	return false
}

// mayNeedCGO says whether a module requires, for itself, one that has packages
// known to need cgo. Without it no source has to be read.
func (p *project) mayNeedCGO() bool {
	for _, m := range p.allModules() {
		for _, r := range m.file.Require {
			if r.Indirect {
				continue
			}
			for _, c := range cgoPackages {
				mod := r.Mod.Path
				if c.path == mod || strings.HasPrefix(c.path, mod+"/") || strings.HasPrefix(mod, c.path+"/") {
					return true
				}
			}
		}
	}
	return false
}

// onlyCGOFiles reports a package of which nothing is left without cgo: files
// that import "C" are not compiled then.
func (p *project) onlyCGOFiles(dir string) *spec.Problem {
	var first *importSpec
	for _, name := range p.src.goFiles(dir) {
		if !p.src.matches(dir, name, true) {
			continue
		}
		uses := false
		for _, i := range p.src.fileImports(dir, name) {
			if i.path == "C" {
				uses = true
				if first == nil {
					first = &i
				}
			}
		}
		if !uses && p.src.matches(dir, name, false) {
			return nil
		}
	}
	if first == nil {
		return nil
	}
	pr := importProblem(*first, "the program imports \"C\", which takes cgo", cgoHint)
	return &pr
}

func importProblem(i importSpec, message, hint string) spec.Problem {
	pr := app.FileProblem(i.file, message, hint)
	pr.Range = spec.Range{
		Start: spec.Position{Line: i.from.Line, Column: i.from.Column},
		End:   spec.Position{Line: i.to.Line, Column: i.to.Column},
	}
	return pr
}
