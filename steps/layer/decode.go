package layer

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
	"github.com/mikelolasagasti/xz"
)

const (
	// maxWindow bounds the memory of one decoder; xz -9 needs 64 MiB, zstd
	// --ultra -22 128 MiB.
	maxWindow = 128 << 20
	// A part decodes ahead of its reader by chunkSize*chunks bytes: a whole
	// block as dpkg-deb makes them (24 MiB), so that blocks decode side by side.
	chunkSize = 256 << 10
	chunks    = 112
)

// decompress returns the content of a member by the ending of its name.
func decompress(m member) (io.Reader, error) {
	switch path.Ext(m.name) {
	case ".tar":
		return m, nil
	case ".gz":
		return gzip.NewReader(m)
	case ".xz":
		return xz.NewReader(m, maxWindow)
	case ".zst":
		z, err := zstd.NewReader(m, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	}
	return nil, fmt.Errorf("its compression is not supported: .gz, .xz, .zst and none are")
}

// part is a piece of a member's content that decodes on its own. The content
// is that of all parts in order.
type part struct {
	open func() (io.Reader, error)
	out  chan []byte // closed at the end, after err is set
	err  error
}

func newPart(open func() (io.Reader, error)) *part {
	return &part{open: open, out: make(chan []byte, chunks)}
}

// split returns the parts of a member: an xz stream of several blocks, which is
// what dpkg-deb makes of all but small packages, has as many; everything else
// has one.
func split(m member) []*part {
	if path.Ext(m.name) == ".xz" {
		if blocks, ok := xzBlocks(m.SectionReader); ok {
			parts := make([]*part, len(blocks))
			for i, b := range blocks {
				parts[i] = newPart(func() (io.Reader, error) { return xz.NewReader(b, maxWindow) })
			}
			return parts
		}
	}
	return []*part{newPart(func() (io.Reader, error) { return decompress(m) })}
}

// decoder decodes the parts of many members ahead of their readers.
//
// Tokens are taken in the order in which the parts are read, and given back
// when a part has been read: so what is being read always has one, and memory
// is bounded.
type decoder struct {
	tokens chan struct{}
	stop   chan struct{}
	work   sync.WaitGroup
	pool   sync.Pool
}

// startDecoder begins to decode members; contents are to be read in order.
func startDecoder(members []member) (*decoder, []*content) {
	d := &decoder{
		tokens: make(chan struct{}, min(runtime.GOMAXPROCS(0), 8)+1),
		stop:   make(chan struct{}),
	}
	d.pool.New = func() any { b := make([]byte, chunkSize); return &b }
	contents := make([]*content, len(members))
	for i, m := range members {
		contents[i] = &content{decoder: d, parts: split(m)}
	}
	d.work.Go(func() {
		for _, c := range contents {
			for _, p := range c.parts {
				select {
				case d.tokens <- struct{}{}:
				case <-d.stop:
					return
				}
				d.work.Go(func() { d.run(p) })
			}
		}
	})
	return d, contents
}

// close stops all work and waits for its end.
func (d *decoder) close() {
	close(d.stop)
	d.work.Wait()
}

func (d *decoder) run(p *part) {
	defer close(p.out)
	r, err := p.open()
	if err != nil {
		p.err = err
		return
	}
	if c, ok := r.(io.Closer); ok {
		defer c.Close()
	}
	for {
		buf := (*d.pool.Get().(*[]byte))[:chunkSize]
		n, err := fill(r, buf)
		if n > 0 {
			select {
			case p.out <- buf[:n]:
			case <-d.stop:
				return
			}
		}
		if err != nil {
			if err != io.EOF {
				p.err = err
			}
			return
		}
	}
}

// fill is io.ReadFull that keeps the reader's own error: a decoder's
// io.ErrUnexpectedEOF must not pass for a short last chunk.
func fill(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var m int
		m, err = r.Read(b[n:])
		n += m
	}
	return n, err
}

// content reads the parts of one member in order.
type content struct {
	decoder *decoder
	parts   []*part
	buf     []byte // what is left of the chunk
	chunk   []byte
}

func (c *content) Read(b []byte) (int, error) {
	for len(c.buf) == 0 {
		if c.chunk != nil {
			chunk := c.chunk[:chunkSize]
			c.decoder.pool.Put(&chunk)
			c.chunk = nil
		}
		if len(c.parts) == 0 {
			return 0, io.EOF
		}
		chunk, ok := <-c.parts[0].out
		if !ok {
			if err := c.parts[0].err; err != nil {
				return 0, err
			}
			<-c.decoder.tokens
			c.parts = c.parts[1:]
			continue
		}
		c.chunk, c.buf = chunk, chunk
	}
	n := copy(b, c.buf)
	c.buf = c.buf[n:]
	return n, nil
}

// Of the xz format, https://tukaani.org/xz/xz-file-format.txt, this reads the
// index alone: it says where the blocks are. Each is then given to the decoder
// as a stream of one block, whose index repeats what the index of the whole
// said, so that sizes are verified as they would be in one go.
const (
	xzHeaderSize = 12
	xzFooterSize = 12
	// Blocks larger than this are decoded in one go, as are streams with more
	// blocks than xzMaxBlocks or with something odd about them: the decoder
	// then says what.
	xzMaxBlock  = 256 << 20
	xzMaxBlocks = 1 << 14
)

// xzBlocks returns each block of a stream as a stream of its own; false when
// the stream has fewer than two or is not a plain one.
func xzBlocks(r *io.SectionReader) ([]io.Reader, bool) {
	size := r.Size()
	if size < xzHeaderSize+xzFooterSize || size%4 != 0 {
		return nil, false
	}
	header := make([]byte, xzHeaderSize)
	footer := make([]byte, xzFooterSize)
	if !readAt(r, header, 0) || !readAt(r, footer, size-xzFooterSize) ||
		string(header[:6]) != "\xfd7zXZ\x00" || string(footer[10:]) != "YZ" ||
		binary.LittleEndian.Uint32(footer) != crc32.ChecksumIEEE(footer[4:10]) {
		return nil, false
	}
	indexSize := (int64(binary.LittleEndian.Uint32(footer[4:])) + 1) * 4
	indexAt := size - xzFooterSize - indexSize
	if indexSize > 32*xzMaxBlocks || indexAt < xzHeaderSize {
		return nil, false
	}
	index := make([]byte, indexSize)
	if !readAt(r, index, indexAt) {
		return nil, false
	}
	records, err := parseXZIndex(index)
	if err != nil || len(records) < 2 {
		return nil, false
	}
	var blocks []io.Reader
	at := int64(xzHeaderSize)
	for _, record := range records {
		padded := int64(record.unpadded+3) &^ 3
		if padded > indexAt-at {
			return nil, false
		}
		blocks = append(blocks, io.MultiReader(
			bytes.NewReader(header), io.NewSectionReader(r, at, padded), bytes.NewReader(record.tail(footer[8:10]))))
		at += padded
	}
	return blocks, at == indexAt
}

func readAt(r io.ReaderAt, b []byte, at int64) bool {
	n, err := r.ReadAt(b, at)
	return n == len(b) && (err == nil || err == io.EOF)
}

// xzRecord is one block's sizes, in bytes.
type xzRecord struct{ unpadded, uncompressed uint64 }

func parseXZIndex(index []byte) ([]xzRecord, error) {
	bad := errors.New("xz: index is corrupt")
	body, sum := index[:len(index)-4], index[len(index)-4:]
	if len(body) < 2 || body[0] != 0 || binary.LittleEndian.Uint32(sum) != crc32.ChecksumIEEE(body) {
		return nil, bad
	}
	rest := body[1:]
	number := func() (uint64, bool) {
		v, n := binary.Uvarint(rest)
		if n <= 0 {
			return 0, false
		}
		rest = rest[n:]
		return v, true
	}
	count, ok := number()
	if !ok || count > xzMaxBlocks {
		return nil, bad
	}
	records := make([]xzRecord, count)
	for i := range records {
		unpadded, ok1 := number()
		uncompressed, ok2 := number()
		if !ok1 || !ok2 || unpadded == 0 || unpadded > xzMaxBlock || uncompressed > xzMaxBlock {
			return nil, bad
		}
		records[i] = xzRecord{unpadded, uncompressed}
	}
	return records, nil
}

// tail returns the index and footer of a stream of this block alone.
func (b xzRecord) tail(flags []byte) []byte {
	index := []byte{0, 1}
	index = binary.AppendUvarint(index, b.unpadded)
	index = binary.AppendUvarint(index, b.uncompressed)
	for len(index)%4 != 0 {
		index = append(index, 0)
	}
	index = binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(index))
	fields := binary.LittleEndian.AppendUint32(nil, uint32(len(index)/4-1))
	fields = append(fields, flags...)
	tail := binary.LittleEndian.AppendUint32(index, crc32.ChecksumIEEE(fields))
	return append(append(tail, fields...), "YZ"...)
}
