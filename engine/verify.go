package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"os"
)

// The format of bbolt's files (go.etcd.io/bbolt, internal/common: page.go, meta.go,
// bucket.go). All numbers are in the machine's byte order.
const (
	boltMagic   = 0xED0CDAED
	boltVersion = 2

	boltBranch, boltLeaf, boltMeta, boltFreelist = 0x01, 0x02, 0x04, 0x10
	boltBucketFlag                               = 0x01 // of a leaf's element
	boltNoFreelist                               = ^uint64(0)

	boltHeader = 16 // of a page: id, flags, count, overflow
	boltBucket = 16 // root page, sequence number
	boltMetaAt = 56 // offset of the checksum in a meta page's content

	boltMaxDepth = 64
)

// verifyDatabase reads all that holds a bbolt database together: pages, their
// order, the list of free ones. It returns an errDatabase where something makes no
// sense. The library's own check is of no use for that: it believes what pages
// say about their sizes and about each other, so that on a damaged one it
// faults, in a goroutine of its own, or runs forever.
func verifyDatabase(file string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	v := &verifier{data: data}
	if err := v.database(); err != nil {
		return fmt.Errorf("%w: %w", errDatabase, err)
	}
	return nil
}

type verifier struct {
	data     []byte
	pageSize uint64
	// pages is how many pages are in use or free; those behind are unused.
	pages uint64
	// seen are the pages found so far.
	seen []bool
}

func (v *verifier) database() error {
	root, freelist, err := v.meta()
	if err != nil {
		return err
	}
	if size := uint64(len(v.data)); v.pages > size/v.pageSize {
		return fmt.Errorf("it has %d of %d pages", size/v.pageSize, v.pages)
	}
	v.seen = make([]bool, v.pages)
	if err := v.mark(0, 0); err != nil {
		return err
	}
	if err := v.mark(1, 0); err != nil {
		return err
	}
	if err := v.tree(root, nil, nil, 0); err != nil {
		return err
	}
	if freelist == boltNoFreelist {
		return nil
	}
	if err := v.free(freelist); err != nil {
		return err
	}
	for id, seen := range v.seen {
		if !seen {
			return fmt.Errorf("page %d is neither in use nor free", id)
		}
	}
	return nil
}

// meta reads the newer of the two pages that describe the database.
func (v *verifier) meta() (root, freelist uint64, err error) {
	le := binary.NativeEndian
	newest := uint64(0)
	// The second page lies behind the first, whose size it knows.
	for at := range []int{0, 1} {
		start := at * os.Getpagesize()
		if len(v.data) < start+boltHeader+boltMetaAt+8 {
			continue
		}
		m := v.data[start+boltHeader:][:boltMetaAt+8]
		sum := fnv.New64a()
		_, _ = sum.Write(m[:boltMetaAt])
		size := uint64(le.Uint32(m[8:]))
		txid := le.Uint64(m[48:])
		if le.Uint32(m) != boltMagic || le.Uint32(m[4:]) != boltVersion || le.Uint64(m[boltMetaAt:]) != sum.Sum64() ||
			size < 512 || size > 1<<20 || txid < newest {
			continue
		}
		newest, v.pageSize, root, freelist, v.pages = txid, size, le.Uint64(m[16:]), le.Uint64(m[32:]), le.Uint64(m[40:])
	}
	if v.pageSize == 0 || v.pages < 2 {
		return 0, 0, fmt.Errorf("it has no valid description of itself")
	}
	return root, freelist, nil
}

// mark notes that a page and those that continue it are in use or free, which
// they can be once.
func (v *verifier) mark(id, overflow uint64) error {
	if id >= v.pages || overflow >= v.pages-id {
		return fmt.Errorf("page %d is beyond the end", id)
	}
	for i := id; i <= id+overflow; i++ {
		if v.seen[i] {
			return fmt.Errorf("page %d is used twice", i)
		}
		v.seen[i] = true
	}
	return nil
}

// page is the content of a page behind its header, with what the header says.
func (v *verifier) page(id uint64) (content []byte, flags, count uint64, err error) {
	if id >= v.pages {
		return nil, 0, 0, fmt.Errorf("page %d is beyond the end", id)
	}
	le := binary.NativeEndian
	start := id * v.pageSize
	h := v.data[start:]
	overflow := uint64(le.Uint32(h[12:]))
	if le.Uint64(h) != id {
		return nil, 0, 0, fmt.Errorf("page %d says it is page %d", id, le.Uint64(h))
	}
	if err := v.mark(id, overflow); err != nil {
		return nil, 0, 0, err
	}
	return h[boltHeader : (overflow+1)*v.pageSize], uint64(le.Uint16(h[8:])), uint64(le.Uint16(h[10:])), nil
}

// tree verifies a page and those below it. Its keys must be from least on and
// before next; nil is no limit.
func (v *verifier) tree(id uint64, least, next []byte, depth int) error {
	if depth > boltMaxDepth {
		return fmt.Errorf("page %d lies too deep", id)
	}
	content, flags, count, err := v.page(id)
	if err != nil {
		return err
	}
	switch flags {
	case boltLeaf:
		return v.leaf(id, content, count, least, next, depth)
	case boltBranch:
		return v.branch(id, content, count, least, next, depth)
	}
	return fmt.Errorf("page %d is of an unknown kind %#x", id, flags)
}

// branchElement and leafElement are the sizes of what pages have for each key.
const branchElement, leafElement = 16, 16

func (v *verifier) branch(id uint64, content []byte, count uint64, least, next []byte, depth int) error {
	le := binary.NativeEndian
	if count == 0 || count*branchElement > uint64(len(content)) {
		return fmt.Errorf("page %d has %d elements", id, count)
	}
	keys := make([][]byte, count)
	for i := range keys {
		e := content[i*branchElement:]
		var ok bool
		if keys[i], ok = part(e, uint64(le.Uint32(e)), uint64(le.Uint32(e[4:]))); !ok {
			return fmt.Errorf("page %d: element %d is beyond its end", id, i)
		}
	}
	if err := ordered(id, keys, least, next); err != nil {
		return err
	}
	for i, key := range keys {
		before := next
		if i+1 < len(keys) {
			before = keys[i+1]
		}
		if err := v.tree(le.Uint64(content[i*branchElement+8:]), key, before, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func (v *verifier) leaf(id uint64, content []byte, count uint64, least, next []byte, depth int) error {
	le := binary.NativeEndian
	if count*leafElement > uint64(len(content)) {
		return fmt.Errorf("page %d has %d elements", id, count)
	}
	keys := make([][]byte, count)
	for i := range keys {
		e := content[i*leafElement:]
		at, ksize, vsize := uint64(le.Uint32(e[4:])), uint64(le.Uint32(e[8:])), uint64(le.Uint32(e[12:]))
		key, ok := part(e, at, ksize)
		value, fits := part(e, at+ksize, vsize)
		if !ok || !fits {
			return fmt.Errorf("page %d: element %d is beyond its end", id, i)
		}
		keys[i] = key
		if le.Uint32(e)&boltBucketFlag == 0 {
			continue
		}
		if err := v.bucket(id, value, depth); err != nil {
			return err
		}
	}
	return ordered(id, keys, least, next)
}

// bucket verifies a bucket in a leaf page: it has pages of its own, or a small
// one is in the value itself.
func (v *verifier) bucket(id uint64, value []byte, depth int) error {
	le := binary.NativeEndian
	if len(value) < boltBucket {
		return fmt.Errorf("page %d has a bucket of %d bytes", id, len(value))
	}
	if root := le.Uint64(value); root != 0 {
		return v.tree(root, nil, nil, depth+1)
	}
	if len(value) < boltBucket+boltHeader || depth > boltMaxDepth {
		return fmt.Errorf("page %d has a bucket of %d bytes", id, len(value))
	}
	inline := value[boltBucket:]
	if flags := le.Uint16(inline[8:]); flags != boltLeaf {
		return fmt.Errorf("page %d has a bucket of an unknown kind %#x", id, flags)
	}
	return v.leaf(id, inline[boltHeader:], uint64(le.Uint16(inline[10:])), nil, nil, depth+1)
}

// free reads the list of free pages.
func (v *verifier) free(id uint64) error {
	le := binary.NativeEndian
	content, flags, count, err := v.page(id)
	if err != nil {
		return err
	}
	if flags != boltFreelist {
		return fmt.Errorf("page %d is of kind %#x and should list the free pages", id, flags)
	}
	if count == 0xFFFF { // Then there are more, and the first is their number.
		count, content = le.Uint64(content), content[8:]
	}
	if count > uint64(len(content))/8 {
		return fmt.Errorf("page %d lists %d free pages", id, count)
	}
	for i := range count {
		if err := v.mark(le.Uint64(content[i*8:]), 0); err != nil {
			return err
		}
	}
	return nil
}

// part is a part of a page; false when it is not within it.
func part(data []byte, at, size uint64) ([]byte, bool) {
	if at > uint64(len(data)) || size > uint64(len(data))-at {
		return nil, false
	}
	return data[at:][:size], true
}

// ordered says whether keys are sorted, from least on and before next.
func ordered(id uint64, keys [][]byte, least, next []byte) error {
	for i, key := range keys {
		if i > 0 && bytes.Compare(keys[i-1], key) >= 0 || i == 0 && bytes.Compare(key, least) < 0 || next != nil && bytes.Compare(key, next) >= 0 {
			return fmt.Errorf("page %d: key %d is not in order", id, i)
		}
	}
	return nil
}
