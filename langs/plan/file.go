package plan

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
)

// File is a generated file.
type File struct {
	// Path is relative to the mount's target, absolute in a layer.
	Path string
	// Content may be up to MaxContent bytes long.
	Content string
	// Mode is the permission bits.
	Mode uint32
}

// MaxContent bounds the content of a File: it is a part of the build graph,
// which is sent whole.
const MaxContent = 4 << 20

// shown is the longest content that a plan's JSON form has in full.
const shown = 2048

// MarshalJSON writes path, mode and content; of a long content its size and its
// SHA-256.
func (f File) MarshalJSON() ([]byte, error) {
	out := struct {
		Path    string `json:"path"`
		Mode    uint32 `json:"mode"`
		Content string `json:"content,omitempty"`
		Size    int    `json:"size,omitempty"`
		SHA256  string `json:"sha256,omitempty"`
	}{Path: f.Path, Mode: f.Mode, Content: f.Content}
	if len(f.Content) > shown {
		sum := sha256.Sum256([]byte(f.Content))
		out.Content, out.Size, out.SHA256 = "", len(f.Content), hex.EncodeToString(sum[:])
	}
	return json.Marshal(out)
}
