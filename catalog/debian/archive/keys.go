package archive

import (
	"bytes"
	"embed"
	"fmt"
	"io"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
)

// The public keys that sign Debian's archive, one file a key, as the package
// debian-archive-keyring has them; keys/README.md has their fingerprints.
//
//go:embed keys/*.asc
var keyFiles embed.FS

// DebianKeys returns the public keys of Debian's archive.
var DebianKeys = sync.OnceValues(func() (openpgp.EntityList, error) {
	names, err := keyFiles.ReadDir("keys")
	if err != nil {
		return nil, err
	}
	var all openpgp.EntityList
	for _, n := range names {
		data, err := keyFiles.ReadFile("keys/" + n.Name())
		if err != nil {
			return nil, err
		}
		keys, err := ReadKeys(data)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", n.Name(), err)
		}
		all = append(all, keys...)
	}
	return all, nil
})

// ReadKeys reads armored OpenPGP public keys, one block or several.
func ReadKeys(armored []byte) (openpgp.EntityList, error) {
	const begin = "-----BEGIN PGP PUBLIC KEY BLOCK-----"
	var all openpgp.EntityList
	for rest := armored; ; {
		i := bytes.Index(rest, []byte(begin))
		if i < 0 {
			break
		}
		block, err := armor.Decode(bytes.NewReader(rest[i:]))
		if err != nil {
			return nil, fmt.Errorf("reading an OpenPGP key: %w", err)
		}
		// The checksum is verified at the end of the body.
		body, err := io.ReadAll(block.Body)
		if err != nil {
			return nil, fmt.Errorf("reading an OpenPGP key: %w", err)
		}
		keys, err := openpgp.ReadKeyRing(bytes.NewReader(body))
		if err != nil {
			return nil, fmt.Errorf("reading an OpenPGP key: %w", err)
		}
		all = append(all, keys...)
		rest = rest[i+len(begin):]
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("no OpenPGP public key found; it begins with %q", begin)
	}
	return all, nil
}
