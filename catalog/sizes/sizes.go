// Package sizes knows how large the images of the catalog were when they were last
// measured: what people download, before they build or publish anything.
package sizes

import (
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
)

// Table has the sizes of images.
type Table struct {
	// Lock is the time of the lock that the images were made from.
	Lock time.Time `json:"lock"`
	// Images are by reference, "python:3.13", and architecture.
	Images map[string]map[string]Size `json:"images"`
}

// Size is what the layers of an image take, in bytes, by their compression.
type Size struct {
	Gzip int64 `json:"gzip"`
	Zstd int64 `json:"zstd"`
}

//go:embed sizes.json
var builtIn []byte

// Default returns the table that is built in, which `birdhouse catalog measure`
// has written.
func Default() (*Table, error) {
	t, err := parse(builtIn)
	if err != nil {
		return nil, fmt.Errorf("reading the images' sizes: %w", err)
	}
	return t, nil
}

// Read returns the table in a file; an empty one when there is no file.
func Read(file string) (*Table, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		data, err = []byte("{}"), nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the images' sizes: %w", err)
	}
	t, err := parse(data)
	if err != nil {
		return nil, fmt.Errorf("reading the images' sizes from %s: %w", file, err)
	}
	return t, nil
}

func parse(data []byte) (*Table, error) {
	t := &Table{}
	if err := json.Unmarshal(data, t); err != nil {
		return nil, err
	}
	if t.Images == nil {
		t.Images = map[string]map[string]Size{}
	}
	return t, nil
}

// Write writes the table to a file, sorted.
func (t *Table) Write(file string) error {
	data, err := json.MarshalIndent(t, "", "  ")
	if err == nil {
		err = os.WriteFile(file, append(data, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing the images' sizes: %w", err)
	}
	return nil
}
