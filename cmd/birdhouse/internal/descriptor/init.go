package descriptor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/birdhouse-build/birdhouse/langs"
)

// What a new descriptor says in its first lines unless told otherwise.
const (
	// Syntax is the frontend image.
	Syntax = "birdhouse:1"
	// SchemaURL is where editors find the JSON schema.
	SchemaURL = "https://raw.githubusercontent.com/birdhouse-build/birdhouse/main/docs/schema.json"
)

// InitOptions say what a new descriptor is to be.
type InitOptions struct {
	// Language is chosen where a project is of several; "" detects it.
	Language string
	// Syntax and Schema replace the constants unless empty.
	Syntax, Schema string
}

// Init returns the text of a descriptor for the project in dir, and what it was
// made from: "go.mod". It was planned: building it is possible as far as that can
// be known without a builder. Problems are those of the plan; with errors among
// them the text is not to be written.
func Init(dir string, p Planner, o InitOptions) (text []byte, from string, r *Result, err error) {
	if o.Syntax == "" {
		o.Syntax = Syntax
	}
	if o.Schema == "" {
		o.Schema = SchemaURL
	}
	for _, s := range []string{o.Syntax, o.Schema} {
		if strings.ContainsAny(s, " \t\r\n") {
			return nil, "", nil, fmt.Errorf("%q has white space in it", s)
		}
	}
	language, found, err := detect(dir, o.Language)
	if err != nil {
		return nil, "", nil, err
	}

	// BuildKit reads directives from the first lines alone and stops at the first
	// line that is none: the syntax line comes before the editor's.
	lines := []string{
		"# syntax=" + o.Syntax,
		"# yaml-language-server: $schema=" + o.Schema,
		"",
		"language: " + language,
	}
	lines = append(lines, found.Lines...)
	text = []byte(strings.TrimRight(strings.Join(lines, "\n"), "\n") + "\n")

	f := &File{Name: Names[0], Path: filepath.Join(dir, Names[0]), Data: text}
	r, err = p.Plan(dir, f, "")
	return text, found.File, r, err
}

func detect(dir, language string) (string, langs.Detected, error) {
	files, err := open(dir, &File{})
	if err != nil {
		return "", langs.Detected{}, err
	}
	type match struct {
		name  string
		found langs.Detected
	}
	var matches []match
	for _, l := range langs.All() {
		if language != "" && l.Name() != language {
			continue
		}
		if d, ok := l.Detect(files); ok {
			matches = append(matches, match{l.Name(), d})
		}
	}
	switch {
	case len(matches) == 1:
		return matches[0].name, matches[0].found, nil
	case len(matches) > 1:
		var names []string
		for _, m := range matches {
			names = append(names, fmt.Sprintf("%s (%s)", m.name, m.found.File))
		}
		return "", langs.Detected{}, fmt.Errorf("the project in %s is of several languages, %s: choose one with --language", shown(dir), strings.Join(names, ", "))
	}
	if language != "" {
		if _, ok := langs.ByName(language); !ok {
			return "", langs.Detected{}, fmt.Errorf("--language %s: there is %s", language, strings.Join(langs.Names(), ", "))
		}
		return "", langs.Detected{}, fmt.Errorf("there is no project of the language %s in %s", language, shown(dir))
	}
	return "", langs.Detected{}, fmt.Errorf("there is no project in %s that birdhouse knows; the languages are %s, and the folder is the one with go.mod or the like in it", shown(dir), strings.Join(langs.Names(), ", "))
}

// WriteNew writes a new descriptor. Unless force is set, it does not replace a
// file. The file is complete or not there.
func WriteNew(path string, text []byte, force bool) error {
	err := writeNew(path, text, force)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already; --force replaces it", path)
	}
	if err != nil {
		return fmt.Errorf("writing the descriptor: %w", err)
	}
	return nil
}

func writeNew(path string, text []byte, force bool) error {
	temp, err := os.CreateTemp(filepath.Dir(path), ".birdhouse-*")
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	_, err = temp.Write(text)
	if err == nil {
		err = temp.Chmod(0o644)
	}
	if cerr := temp.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return err
	}
	if force {
		return os.Rename(temp.Name(), path)
	}
	// A link, unlike a rename, fails where a file is. Not every file system has it.
	if err := os.Link(temp.Name(), path); err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	}
	return os.Rename(temp.Name(), path)
}
