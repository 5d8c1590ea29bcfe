package exec

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/birdhouse-build/birdhouse/steps/internal/glob"
)

// Command is one of several commands of a step.
type Command struct {
	// Dir is its working directory; "" is the step's own.
	Dir string `json:"dir,omitempty"`
	// Args is the command and its arguments.
	Args []string `json:"args"`
}

// ParseCommand reads a Command from JSON.
func ParseCommand(s string) (Command, error) {
	var c Command
	if err := strict(s, &c); err != nil {
		return Command{}, fmt.Errorf("%q is not a command: %w", s, err)
	}
	if len(c.Args) == 0 {
		return Command{}, fmt.Errorf("%q is not a command: it has no args", s)
	}
	return c, nil
}

// Collection is what to copy of what a command wrote: a file, or a directory
// with all that is in it. Files become 0644, or 0755 where one may execute them,
// directories 0755; links stay links.
type Collection struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Root is what links may not lead out of; "" is From.
	Root string `json:"root,omitempty"`
	// Optional says that From may be missing.
	Optional bool `json:"optional,omitempty"`
	// Include and Exclude are patterns relative to From; without Include all is
	// copied. An excluded directory is left out with all that is in it.
	Include []string `json:"include,omitempty"`
	Exclude []string `json:"exclude,omitempty"`

	include, exclude glob.Set
}

// ParseCollection reads a Collection from JSON.
func ParseCollection(s string) (Collection, error) {
	var c Collection
	if err := strict(s, &c); err != nil {
		return Collection{}, fmt.Errorf("%q is not what to collect: %w", s, err)
	}
	if c.From == "" || c.To == "" {
		return Collection{}, fmt.Errorf("%q is not what to collect: from or to is missing", s)
	}
	if c.Root == "" {
		c.Root = c.From
	}
	var err error
	if c.include, err = glob.ParseAll(c.Include); err != nil {
		return Collection{}, err
	}
	c.exclude, err = glob.ParseAll(c.Exclude)
	return c, err
}

func strict(s string, v any) error {
	d := json.NewDecoder(strings.NewReader(s))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the value")
	}
	return nil
}

// collect copies what c asks for.
func collect(c Collection) error {
	info, err := os.Lstat(c.From)
	if errors.Is(err, fs.ErrNotExist) {
		if c.Optional {
			return nil
		}
		return fmt.Errorf("%s is not there: the command did not write it", c.From)
	}
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return c.entry(c.From, c.To, info)
	}
	return filepath.WalkDir(c.From, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(c.From, name)
		if err != nil {
			return err
		}
		if rel != "." && c.exclude.Match(rel) {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			// Made when something is in it.
			return nil
		}
		if len(c.include) > 0 && !c.include.Match(rel) {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return c.entry(name, filepath.Join(c.To, rel), info)
	})
}

// entry copies one file or link.
func (c Collection) entry(from, to string, info fs.FileInfo) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return err
	}
	switch mode := info.Mode(); {
	case mode&fs.ModeSymlink != 0:
		return c.link(from, to)
	case mode.IsRegular():
		return copyRegular(from, to, mode)
	default:
		return fmt.Errorf("%s is neither a file, a folder nor a link (%s)", from, mode.Type())
	}
}

func (c Collection) link(from, to string) error {
	target, err := os.Readlink(from)
	if err != nil {
		return err
	}
	leads := target
	if !path.IsAbs(target) {
		leads = path.Join(path.Dir(from), target)
	}
	if path.IsAbs(target) || leads != c.Root && !strings.HasPrefix(leads, strings.TrimSuffix(c.Root, "/")+"/") {
		return fmt.Errorf("%s is a symbolic link to %s, which is not in %s: put the file itself there", from, target, c.Root)
	}
	if err := os.Remove(to); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(target, to)
}

func copyRegular(from, to string, mode fs.FileMode) (err error) {
	r, err := os.Open(from)
	if err != nil {
		return err
	}
	defer r.Close()
	bits := fs.FileMode(0o644)
	if mode&0o111 != 0 {
		bits = 0o755
	}
	w, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, bits)
	if err != nil {
		return err
	}
	if _, err = io.Copy(w, r); err == nil {
		err = w.Chmod(bits) // whatever the umask
	}
	return errors.Join(err, w.Close())
}

// commands are those of o.Before and the last one.
func (o Options) commands() []Command {
	return append(slices.Clone(o.Before), Command{Args: o.Args})
}
