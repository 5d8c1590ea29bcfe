package engine

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"testing"

	bolt "go.etcd.io/bbolt"
)

// fullDatabase makes a database of several hundred pages, with all that a page can
// be: branches, leaves, buckets in buckets, long values, free pages.
func fullDatabase(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "full.db")
	db, err := bolt.Open(file, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	fill := func(b *bolt.Bucket, n, size int) error {
		for i := range n {
			if err := b.Put(fmt.Appendf(nil, "key %06d", i), bytes.Repeat([]byte{byte(i)}, random.IntN(size)+1)); err != nil {
				return err
			}
		}
		return nil
	}
	err = db.Update(func(tx *bolt.Tx) error {
		for _, name := range []string{"links", "results", "long", "gone"} {
			b, err := tx.CreateBucket([]byte(name))
			if err != nil {
				return err
			}
			n, size := 700, 200
			if name == "long" {
				n, size = 10, 50_000
			}
			if err := fill(b, n, size); err != nil {
				return err
			}
			for i := range 40 {
				sub, err := b.CreateBucket(fmt.Appendf(nil, "sub %d", i))
				if err != nil {
					return err
				}
				if err := fill(sub, i*5, 60); err != nil { // the first ones are inline
					return err
				}
			}
		}
		return nil
	})
	if err == nil {
		err = db.Update(func(tx *bolt.Tx) error { return tx.DeleteBucket([]byte("gone")) })
	}
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

// use reads all of a database and writes into each of its buckets. What the library
// makes of damage (panics, faults) is an error.
func use(file string) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("panic: %v", r)
		}
	}()
	db, err := bolt.Open(file, 0o600, &bolt.Options{NoSync: true})
	if err != nil {
		return err
	}
	defer db.Close()
	var change func(b *bolt.Bucket) error
	change = func(b *bolt.Bucket) error {
		var keys, buckets [][]byte
		sum := 0
		err := b.ForEach(func(k, v []byte) error {
			for _, c := range v {
				sum += int(c)
			}
			if v == nil {
				buckets = append(buckets, bytes.Clone(k))
			} else {
				keys = append(keys, bytes.Clone(k))
			}
			return nil
		})
		for i, k := range keys {
			if err == nil && i%2 == 0 {
				err = b.Delete(k)
			}
		}
		for i := range 30 {
			if err == nil {
				err = b.Put(fmt.Appendf(nil, "new %d", i), make([]byte, 300))
			}
		}
		for _, k := range buckets {
			if err == nil {
				err = change(b.Bucket(k))
			}
		}
		return err
	}
	return db.Update(func(tx *bolt.Tx) error {
		return tx.ForEach(func(_ []byte, b *bolt.Bucket) error { return change(b) })
	})
}

// Whatever is damaged is found, or does no harm.
func TestVerifyDatabase(t *testing.T) {
	file := fullDatabase(t)
	if err := verifyDatabase(file); err != nil {
		t.Fatalf("a database in order: %v", err)
	}
	good, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	page := os.Getpagesize()
	pages := len(good) / page
	if pages < 200 {
		t.Fatalf("only %d pages", pages)
	}
	for range 3 {
		if err := use(file); err != nil {
			t.Fatal(err)
		}
		if err := verifyDatabase(file); err != nil {
			t.Fatalf("a database in order, in use: %v", err)
		}
	}
	later, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}

	random := rand.New(rand.NewPCG(3, 4))
	somewhere := func() int { return (2 + random.IntN(pages-2)) * page }
	damages := []struct {
		name string
		do   func(data []byte) []byte
	}{
		{"a page of noise", func(data []byte) []byte {
			at := somewhere()
			for i := range page {
				data[at+i] = byte(random.Uint32())
			}
			return data
		}},
		{"an empty page", func(data []byte) []byte { clear(data[somewhere():][:page]); return data }},
		{"noise in a header", func(data []byte) []byte { data[somewhere()+random.IntN(16)] ^= byte(1 + random.IntN(255)); return data }},
		{"noise in elements", func(data []byte) []byte {
			data[somewhere()+16+random.IntN(160)] ^= byte(1 + random.IntN(255))
			return data
		}},
		{"another page", func(data []byte) []byte { copy(data[somewhere():][:page], data[somewhere():]); return data }},
		// What a power cut leaves when a write of the library's was lost.
		{"a page of another time", func([]byte) []byte {
			at := somewhere()
			data := bytes.Clone(later)
			copy(data[at:][:page], good[at:])
			return data
		}},
		{"cut", func(data []byte) []byte { return data[:somewhere()] }},
	}
	for _, damage := range damages {
		t.Run(damage.name, func(t *testing.T) {
			found := 0
			for i := range 30 {
				if err := os.WriteFile(file, damage.do(bytes.Clone(good)), 0o600); err != nil {
					t.Fatal(err)
				}
				switch err := verifyDatabase(file); {
				case errors.Is(err, errDatabase):
					found++
				case err != nil:
					t.Fatal(err)
				default:
					if err := use(file); err != nil {
						t.Errorf("damage %d was not found: %v", i, err)
					}
				}
			}
			if found == 0 {
				t.Error("nothing was found")
			}
		})
	}
}
