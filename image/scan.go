package image

import (
	"archive/tar"
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"path"
	"regexp"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Kind says what a Finding is about.
type Kind string

// The kinds of finding. The first three are waste.
const (
	// KindHidden is a file that a later layer replaces or deletes.
	KindHidden Kind = "hidden"
	// KindRepeated is a file whose content a lower layer has as well.
	KindRepeated Kind = "repeated"
	// KindEmpty is a layer that adds nothing.
	KindEmpty Kind = "empty"
	// KindRoot is an image that runs as root.
	KindRoot Kind = "root"
	// KindSetuid is a file that runs with its owner's or group's rights.
	KindSetuid Kind = "setuid"
	// KindWritable is a file or directory that everybody may write.
	KindWritable Kind = "writable"
	// KindDevice is a device node.
	KindDevice Kind = "device"
	// KindTool is a shell or a package manager.
	KindTool Kind = "tool"
	// KindSecret is what looks like a key or a password; also where a later
	// layer hides it, since the bytes are in the image all the same.
	KindSecret Kind = "secret"
)

// Finding is something about an image that people should know.
type Finding struct {
	Kind Kind `json:"kind"`
	// Layer counts from 0, the lowest; -1 is the configuration.
	Layer int `json:"layer"`
	// Path is absolute in the image; "" for a whole layer.
	Path string `json:"path,omitempty"`
	// Bytes are wasted, uncompressed.
	Bytes   int64  `json:"bytes,omitempty"`
	Message string `json:"message"`
}

func (f Finding) waste() bool {
	return f.Kind == KindHidden || f.Kind == KindRepeated || f.Kind == KindEmpty
}

const (
	// repeatedMin is the size from which equal files of two layers are waste:
	// below it they are licences and empty modules.
	repeatedMin = 4096
	// secretMax is how much of a text file is searched for secrets.
	secretMax = 1 << 20
	// Bounds for images from elsewhere: files in an image and bytes in a layer.
	maxFiles      = 2_000_000
	maxLayerBytes = 256 << 30
)

// Inspect is Report with all layers read: it finds waste and risks.
func Inspect(ctx context.Context, img v1.Image, ref string) (*ReportData, error) {
	r, err := Report(img, ref)
	if err != nil {
		return nil, err
	}
	layers, err := img.Layers()
	if err != nil {
		return nil, fmt.Errorf("reading image %s: %w", ref, err)
	}
	s := &scan{files: map[string]file{}, contents: map[[sha256.Size]byte]location{}}
	s.config(r)
	for i, l := range layers {
		if err := s.layer(ctx, i, l, r.Layers[i].DiffID); err != nil {
			return nil, fmt.Errorf("reading layer %d of image %s: %w", i+1, ref, err)
		}
	}
	s.final()
	slices.SortStableFunc(s.findings, func(a, b Finding) int {
		if a.Layer != b.Layer {
			return a.Layer - b.Layer
		}
		if a.Path != b.Path {
			return strings.Compare(a.Path, b.Path)
		}
		return strings.Compare(string(a.Kind), string(b.Kind))
	})
	r.Scanned = true
	r.Findings = append(r.Findings, s.findings...)
	for _, f := range r.Findings {
		r.Waste += f.Bytes
	}
	return r, nil
}

// file is what the layers so far have at a path.
type file struct {
	layer    int
	typeflag byte
	mode     int64
	uid, gid int
	size     int64
}

type location struct {
	layer int
	path  string
}

type scan struct {
	files    map[string]file
	contents map[[sha256.Size]byte]location
	findings []Finding
}

func (s *scan) add(f Finding) { s.findings = append(s.findings, f) }

func (s *scan) config(r *ReportData) {
	user, _, _ := strings.Cut(r.User, ":")
	if user == "" || user == "0" || user == "root" {
		s.add(Finding{Kind: KindRoot, Layer: -1, Message: "the image runs as root"})
	}
	for _, e := range r.Env {
		name, value, _ := strings.Cut(e, "=")
		if value == "" {
			continue
		}
		if what := secretText([]byte(value)); what != "" {
			s.add(Finding{Kind: KindSecret, Layer: -1, Message: "the environment variable " + name + " has " + what})
		} else if secretName.MatchString(name) && !path.IsAbs(value) {
			s.add(Finding{Kind: KindSecret, Layer: -1, Message: "the environment variable " + name + " has a value"})
		}
	}
}

func (s *scan) layer(ctx context.Context, n int, l v1.Layer, diffID string) error {
	rc, err := l.Uncompressed()
	if err != nil {
		return err
	}
	defer rc.Close()
	hash := sha256.New()
	limited := &io.LimitedReader{R: rc, N: maxLayerBytes}
	stream := io.TeeReader(limited, hash)
	tr := tar.NewReader(stream)
	added := false
	// Whiteouts are about the layers below, in whatever order a layer's entries
	// come: its own files join the others at its end.
	own := map[string]file{}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		if len(s.files)+len(own) > maxFiles {
			return fmt.Errorf("the image has more than %d files", maxFiles)
		}
		p := path.Join("/", h.Name)
		if p == "/" {
			continue
		}
		dir, base := path.Split(p)
		if base == ".wh..wh..opq" {
			s.hide(n, path.Clean(dir), false)
			added = true
			continue
		}
		if name, ok := strings.CutPrefix(base, ".wh."); ok {
			s.hide(n, path.Join(dir, name), true)
			added = true
			continue
		}
		f := file{layer: n, typeflag: h.Typeflag, mode: h.Mode, uid: h.Uid, gid: h.Gid, size: h.Size}
		if h.Typeflag != tar.TypeReg {
			f.size = 0
		}
		old, there := s.files[p]
		if !there || old.typeflag != tar.TypeDir || f.typeflag != tar.TypeDir || old.mode != f.mode || old.uid != f.uid || old.gid != f.gid {
			added = true
		}
		if there && old.typeflag != tar.TypeDir {
			s.add(Finding{Kind: KindHidden, Layer: old.layer, Path: p, Bytes: old.size,
				Message: fmt.Sprintf("layer %d replaces it", n+1)})
			delete(s.files, p)
		} else if there && f.typeflag != tar.TypeDir {
			s.hide(n, p, true)
		}
		own[p] = f
		if h.Typeflag == tar.TypeReg {
			if err := s.content(n, p, h.Size, tr); err != nil {
				return err
			}
		}
	}
	if _, err := io.Copy(io.Discard, stream); err != nil {
		return err
	}
	if limited.N <= 0 {
		return fmt.Errorf("the layer has more than %d bytes", int64(maxLayerBytes))
	}
	if got := fmt.Sprintf("sha256:%x", hash.Sum(nil)); got != diffID {
		return fmt.Errorf("its content is %s, not %s as the image says", got, diffID)
	}
	for p, f := range own {
		s.files[p] = f
	}
	if !added {
		s.add(Finding{Kind: KindEmpty, Layer: n, Message: "the layer adds nothing"})
	}
	return nil
}

// hide notes that layer n hides what lower layers have below p and, with self,
// at p.
func (s *scan) hide(n int, p string, self bool) {
	gone := func(q string, f file) {
		if f.typeflag != tar.TypeDir {
			s.add(Finding{Kind: KindHidden, Layer: f.layer, Path: q, Bytes: f.size,
				Message: fmt.Sprintf("layer %d deletes it", n+1)})
		}
		delete(s.files, q)
	}
	if f, ok := s.files[p]; ok && self {
		gone(p, f)
		if f.typeflag != tar.TypeDir {
			return
		}
	}
	below := strings.TrimSuffix(p, "/") + "/"
	for q, f := range s.files {
		if strings.HasPrefix(q, below) {
			gone(q, f)
		}
	}
}

// content reads a file: is it in a lower layer already, is it a secret?
func (s *scan) content(n int, p string, size int64, r io.Reader) error {
	hash := sha256.New()
	br := bufio.NewReaderSize(io.TeeReader(r, hash), 64<<10)
	what := secretFile(p)
	if start, _ := br.Peek(8000); what == "" && !bytes.Contains(start, []byte{0}) {
		text, err := io.ReadAll(io.LimitReader(br, secretMax))
		if err != nil {
			return err
		}
		what = secretText(text)
		if what == "" && path.Base(p) == ".npmrc" && bytes.Contains(text, []byte("_authToken=")) && !bytes.Contains(text, []byte("_authToken=${")) {
			what = "an npm token"
		}
	}
	if _, err := io.Copy(io.Discard, br); err != nil {
		return err
	}
	if what != "" && size > 0 {
		s.add(Finding{Kind: KindSecret, Layer: n, Path: p, Message: "has " + what})
	}
	if size < repeatedMin {
		return nil
	}
	sum := [sha256.Size]byte(hash.Sum(nil))
	first, there := s.contents[sum]
	if !there {
		s.contents[sum] = location{n, p}
	} else if first.layer != n && first.path != p {
		// The same path is found as hidden already.
		s.add(Finding{Kind: KindRepeated, Layer: n, Path: p, Bytes: size,
			Message: fmt.Sprintf("layer %d has it as %s", first.layer+1, first.path)})
	}
	return nil
}

// final looks at the files that a container sees.
func (s *scan) final() {
	for p, f := range s.files {
		add := func(k Kind, message string) {
			s.add(Finding{Kind: k, Layer: f.layer, Path: p, Message: message})
		}
		switch f.typeflag {
		case tar.TypeReg, tar.TypeLink:
			if f.mode&0o4000 != 0 {
				add(KindSetuid, "runs as its owner (setuid)")
			} else if f.mode&0o2000 != 0 {
				add(KindSetuid, "runs as its group (setgid)")
			}
			if f.mode&0o002 != 0 {
				add(KindWritable, "everybody may write it")
			}
		case tar.TypeDir:
			if f.mode&0o002 != 0 && f.mode&0o1000 == 0 {
				add(KindWritable, "everybody may write and delete in it (no sticky bit)")
			}
		case tar.TypeChar, tar.TypeBlock:
			add(KindDevice, "is a device")
		}
		if what, ok := tools[path.Base(p)]; ok && f.typeflag != tar.TypeDir && inPath(p) {
			add(KindTool, "is a "+what)
		}
	}
}

func inPath(p string) bool {
	switch path.Dir(p) {
	case "/bin", "/sbin", "/usr/bin", "/usr/sbin", "/usr/local/bin", "/usr/local/sbin", "/busybox":
		return true
	}
	return false
}

var tools = func() map[string]string {
	m := map[string]string{}
	for what, names := range map[string]string{
		"shell":           "sh bash dash ash zsh ksh mksh csh tcsh fish busybox toybox",
		"package manager": "apt apt-get dpkg apk yum dnf microdnf rpm zypper pacman opkg pip pip3 uv poetry conda npm npx yarn pnpm corepack gem",
	} {
		for _, n := range strings.Fields(names) {
			m[n] = what
		}
	}
	return m
}()

var (
	secretName  = regexp.MustCompile(`(?i)(^|_)(password|passwd|secret|token|api_?key|private_?key|access_?key|credentials)$`)
	privateKey  = regexp.MustCompile(`-----BEGIN ([A-Z]+ )*PRIVATE KEY( BLOCK)?-----\s+[A-Za-z0-9+/=:,\- \r\n]{40}`)
	secretForms = []struct {
		what string
		re   *regexp.Regexp
	}{
		{"a private key", privateKey},
		{"an AWS access key", regexp.MustCompile(`\b(AKIA|ASIA)[0-9A-Z]{16}\b`)},
		{"a GitHub token", regexp.MustCompile(`\b(gh[pousr]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{82})\b`)},
		{"a GitLab token", regexp.MustCompile(`\bglpat-[A-Za-z0-9_\-]{20}\b`)},
		{"a Slack token", regexp.MustCompile(`\bxox[abprs]-[A-Za-z0-9\-]{20,}\b`)},
		{"a password in a URL", regexp.MustCompile(`\bhttps?://[A-Za-z0-9._~%\-]+:[A-Za-z0-9._~%!$&'*+,;=\-]{6,}@[A-Za-z0-9]`)},
	}
)

// secretText names what looks like a secret in a text.
func secretText(text []byte) string {
	for _, f := range secretForms {
		if f.re.Match(text) {
			return f.what
		}
	}
	return ""
}

// secretFile names what files of this name hold.
func secretFile(p string) string {
	dir, base := path.Base(path.Dir(p)), path.Base(p)
	switch {
	case base == ".netrc" || base == "_netrc":
		return "passwords for machines (.netrc)"
	case base == ".git-credentials":
		return "passwords for git"
	case base == ".pypirc":
		return "passwords for a package index"
	case base == "config.json" && dir == ".docker" || base == ".dockercfg":
		return "passwords for registries"
	case base == "credentials" && dir == ".aws":
		return "keys of a cloud account"
	case dir == ".ssh" && (strings.HasPrefix(base, "id_")) && !strings.HasSuffix(base, ".pub"):
		return "a private key"
	}
	return ""
}
