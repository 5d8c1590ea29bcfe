package request

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"github.com/containerd/continuity"
	"github.com/moby/buildkit/exporter/containerimage/exptypes"
)

// Digest is the digest of the image that was built, "" where the output is none:
// of its manifest or index; of its configuration where docker has it, which
// knows images by that.
func (o *Outputs) Digest(response map[string]string) string {
	if d := response[exptypes.ExporterImageConfigDigestKey]; d != "" && o.Loaded {
		return d
	}
	return response[exptypes.ExporterImageDigestKey]
}

// WriteMetadata writes what the builder answered as a JSON object, with the keys
// of buildx's --metadata-file.
func WriteMetadata(path string, response map[string]string) error {
	out := map[string]any{}
	for key, value := range response {
		out[key] = value
		data, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			continue
		}
		var object map[string]any
		var list []map[string]any
		if json.Unmarshal(data, &object) == nil && len(object) > 0 || json.Unmarshal(data, &list) == nil && len(list) > 0 {
			out[key] = json.RawMessage(data)
		}
	}
	data, err := json.MarshalIndent(out, "", "  ")
	if err != nil {
		return err
	}
	if err := continuity.AtomicWriteFile(path, data, 0o644); err != nil {
		return fmt.Errorf("--metadata-file: %w", err)
	}
	return nil
}

// WriteImageID writes the image's digest to a file (--iidfile).
func WriteImageID(path, digest string) error {
	if err := continuity.AtomicWriteFile(path, []byte(digest), 0o644); err != nil {
		return fmt.Errorf("--iidfile: %w", err)
	}
	return nil
}
