package image

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/containerd/containerd/v2/core/content"
	"github.com/containerd/containerd/v2/plugins/content/local"
	ocispecs "github.com/opencontainers/image-spec/specs-go/v1"
)

// Writer adds images to a store. While it is open, nothing is deleted from
// the store, so that a blob that was found there stays there until it is tagged.
type Writer struct {
	store   *Store
	content ingest
	release func()
	// taken says that an image has lost a name to one that was written here.
	taken bool
}

// Writer opens the store for writing; it waits while the store is cleaned.
// Close must be called.
func (s *Store) Writer(ctx context.Context) (*Writer, error) {
	release, err := s.Hold(ctx)
	if err != nil {
		return nil, err
	}
	c, err := local.NewStore(s.dir)
	if err != nil {
		release()
		return nil, fmt.Errorf("opening image store %s: %w", s.dir, err)
	}
	return &Writer{store: s, content: ingest{c, rand.Text() + "-"}, release: release}, nil
}

// Content returns the place to write blobs to. It is what a client of BuildKit
// passes as client.ExportEntry{Type: "oci", Attrs: {"tar": "false"},
// OutputStore: w.Content()}.
func (w *Writer) Content() content.Store { return w.content }

// Tag is Store.Tag, for what was written.
func (w *Writer) Tag(d ocispecs.Descriptor, refs ...string) error {
	taken, err := w.store.tag(d, refs)
	w.taken = w.taken || taken
	return err
}

// Close ends writing and deletes what is unfinished and, when an image has lost
// its name to one that was written, what no image has any more. What was written
// and not tagged is garbage.
func (w *Writer) Close() error {
	defer func() {
		w.release()
		if w.taken {
			// A failure is none of what was written; the next one tries again.
			_, _ = w.store.GC()
		}
	}()
	ctx := context.Background()
	statuses, err := w.content.ListStatuses(ctx)
	for _, st := range statuses {
		if strings.HasPrefix(st.Ref, w.content.prefix) {
			err = errors.Join(err, w.content.Store.Abort(ctx, st.Ref))
		}
	}
	if err != nil {
		return fmt.Errorf("closing image store: %w", err)
	}
	return nil
}

// ingest gives each writer files of its own while it writes: the content store
// knows only the writers of its own process, so that two processes that write
// one blob at the same time would write one file.
type ingest struct {
	content.Store
	prefix string
}

func (i ingest) Writer(ctx context.Context, opts ...content.WriterOpt) (content.Writer, error) {
	var o content.WriterOpts
	for _, opt := range opts {
		if err := opt(&o); err != nil {
			return nil, err
		}
	}
	// A disk that was full, or a machine that lost its power, may have left less.
	if d := o.Desc; d.Digest != "" && d.Size > 0 {
		if info, err := i.Store.Info(ctx, d.Digest); err == nil && info.Size != d.Size {
			if err := i.Store.Delete(ctx, d.Digest); err != nil {
				return nil, fmt.Errorf("replacing damaged %s: %w", d.Digest, err)
			}
		}
	}
	return i.Store.Writer(ctx, append(opts, content.WithRef(i.prefix+o.Ref))...)
}

func (i ingest) Status(ctx context.Context, ref string) (content.Status, error) {
	return i.Store.Status(ctx, i.prefix+ref)
}

func (i ingest) Abort(ctx context.Context, ref string) error {
	return i.Store.Abort(ctx, i.prefix+ref)
}

// exportedDescriptor is BuildKit's exptypes.ExporterImageDescriptorKey.
const exportedDescriptor = "containerimage.descriptor"

// Exported returns the descriptor of the image that BuildKit's exporter wrote,
// from client.SolveResponse.ExporterResponse.
func Exported(response map[string]string) (ocispecs.Descriptor, error) {
	var d ocispecs.Descriptor
	encoded, ok := response[exportedDescriptor]
	if !ok {
		return d, errors.New("the builder did not say which image it made")
	}
	data, err := base64.StdEncoding.DecodeString(encoded)
	if err == nil {
		err = json.Unmarshal(data, &d)
	}
	if err != nil {
		return d, fmt.Errorf("reading which image the builder made: %w", err)
	}
	return d, nil
}
