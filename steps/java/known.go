package java

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"sync"

	"github.com/birdhouse-build/birdhouse/steps/java/javaspec"
)

// known is what was found in libraries, kept from one build to the next: an edit of the
// program changes none of them, and reading their classes takes longer than compiling it.
type known struct {
	file string
	lock sync.Mutex
	kept kept
	// used are the libraries of this build, all that is kept for the next one.
	used map[string]libraryFindings
}

// kept is the file, in JSON. What was found with another steps program, Java or JDK counts
// for nothing.
type kept struct {
	Key       string                     `json:"key"`
	Libraries map[string]libraryFindings `json:"libraries"`
}

// libraryFindings is what findings have of code that is not the program's own.
type libraryFindings struct {
	Modules     map[string]string `json:"modules,omitempty"`
	Requires    []requirement     `json:"requires,omitempty"`
	Provided    []string          `json:"provided,omitempty"`
	TLS         bool              `json:"tls,omitempty"`
	FileSystems bool              `json:"fileSystems,omitempty"`
}

// maxKnown bounds the file: a library takes some hundred bytes.
const maxKnown = 16 << 20

// openKnown reads what earlier builds found. A file that is missing, damaged or of something
// else is as good as none. It returns nil, which knows nothing, when the specification names no cache.
func openKnown(spec javaspec.Spec) (*known, error) {
	if spec.Cache == "" {
		return nil, nil
	}
	key, err := knownKey(spec)
	if err != nil {
		return nil, err
	}
	k := &known{file: path.Join(spec.Cache, "libraries.json"), used: map[string]libraryFindings{}}
	if f, err := os.Open(k.file); err == nil {
		defer f.Close()
		text, err := readAtMost(f, maxKnown)
		if err != nil || json.Unmarshal(text, &k.kept) != nil || k.kept.Key != key {
			k.kept = kept{}
		}
	}
	k.kept.Key = key
	return k, nil
}

// knownKey is what findings depend on beside the library.
func knownKey(spec javaspec.Spec) (string, error) {
	h := sha256.New()
	for _, file := range []string{"/proc/self/exe", path.Join(spec.Home, "release")} {
		f, err := os.Open(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a JDK need not have one
		}
		if err != nil {
			return "", err
		}
		_, err = io.Copy(h, f)
		f.Close()
		if err != nil {
			return "", err
		}
	}
	modules, err := os.Stat(path.Join(spec.Home, "lib/modules"))
	if err != nil {
		return "", err
	}
	fmt.Fprintf(h, "Java %d, modules of %d bytes", spec.Java, modules.Size())
	return hex.EncodeToString(h.Sum(nil)), nil
}

// id of a library is what it is called and what is in it; "" if the program's own code, which
// changes, is to be looked at each time.
func (k *known) id(u unit) (string, error) {
	if k == nil || u.own || u.dir != "" || u.jar.content == nil {
		return "", nil
	}
	h := sha256.New()
	fmt.Fprintf(h, "%q ", u.jar.name)
	if _, err := io.Copy(h, io.NewSectionReader(u.jar.content, 0, u.jar.size)); err != nil {
		return "", fmt.Errorf("reading %s: %w", u.jar.name, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

func (k *known) find(id string) *findings {
	l, ok := k.kept.Libraries[id]
	if !ok {
		return nil
	}
	k.keep(id, l)
	f := newFindings()
	maps.Copy(f.modules, l.Modules)
	for _, name := range l.Provided {
		f.provided[name] = true
	}
	f.requires, f.tls, f.fileSystems = l.Requires, l.TLS, l.FileSystems
	return f
}

func (k *known) add(id string, f *findings) {
	k.keep(id, libraryFindings{
		Modules: f.modules, Requires: f.requires, Provided: slices.Sorted(maps.Keys(f.provided)), TLS: f.tls, FileSystems: f.fileSystems,
	})
}

func (k *known) keep(id string, l libraryFindings) {
	k.lock.Lock()
	defer k.lock.Unlock()
	k.used[id] = l
}

// save writes what the next build will want to know. It appears whole or not at all.
func (k *known) save() error {
	if k == nil {
		return nil
	}
	text, err := json.Marshal(kept{k.kept.Key, k.used})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(path.Dir(k.file), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(k.file+".new", text, 0o644); err != nil {
		return err
	}
	return os.Rename(k.file+".new", k.file)
}
