package truststore

import (
	"encoding/asn1"
	"unicode/utf16"
)

// What follows writes PKCS #12 (RFC 7292) as Java's trust stores are: one
// SafeContents of certificate bags, each with a name and Java's mark for a
// trusted certificate, neither encrypted nor signed. The libraries that write it
// bring all of package crypto/x509 with them, which would make the steps program
// a tenth larger; the test compares with one of them, byte for byte.

var (
	oidData         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}          // PKCS #7 data
	oidCertBag      = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}  // RFC 7292, 4.2
	oidX509         = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}      // x509Certificate
	oidFriendlyName = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 20}         // RFC 2985
	oidTrusted      = asn1.ObjectIdentifier{2, 16, 840, 1, 113894, 746875, 1, 1} // Java's trustedKeyUsage
	oidAnyUsage     = asn1.ObjectIdentifier{2, 5, 29, 37, 0}                     // anyExtendedKeyUsage
)

type pfx struct {
	Version  int
	AuthSafe contentInfo
}

type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content []byte `asn1:"tag:0,explicit"`
}

type safeBag struct {
	ID         asn1.ObjectIdentifier
	Value      certBag     `asn1:"tag:0,explicit"`
	Attributes []attribute `asn1:"set"`
}

type certBag struct {
	ID   asn1.ObjectIdentifier
	Data []byte `asn1:"tag:0,explicit"`
}

type attribute struct {
	ID     asn1.ObjectIdentifier
	Values []asn1.RawValue `asn1:"set"`
}

// trusted is a certificate, DER, and its alias, without characters above U+FFFF.
type trusted struct {
	alias string
	der   []byte
}

// encode returns the store of the certificates, in their order.
func encode(certificates []trusted) ([]byte, error) {
	usage, err := asn1.Marshal(oidAnyUsage)
	if err != nil {
		return nil, err
	}
	bags := make([]safeBag, 0, len(certificates))
	for _, c := range certificates {
		var name []byte
		for _, unit := range utf16.Encode([]rune(c.alias)) {
			name = append(name, byte(unit>>8), byte(unit))
		}
		bags = append(bags, safeBag{
			ID:    oidCertBag,
			Value: certBag{oidX509, c.der},
			Attributes: []attribute{
				{oidTrusted, []asn1.RawValue{{FullBytes: usage}}},
				{oidFriendlyName, []asn1.RawValue{{Tag: asn1.TagBMPString, Bytes: name}}},
			},
		})
	}
	contents, err := asn1.Marshal(bags)
	if err != nil {
		return nil, err
	}
	safe, err := asn1.Marshal([]contentInfo{{oidData, contents}})
	if err != nil {
		return nil, err
	}
	return asn1.Marshal(pfx{3, contentInfo{oidData, safe}})
}
