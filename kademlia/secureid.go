package kademlia

import (
	"bytes"
	"hash/crc32"
	"math/rand/v2"
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// castagnoli is the CRC32C table that BEP 42 names.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// The bits of an address that bind an id (BEP 42).
var (
	secureMask4 = [4]byte{0x03, 0x0f, 0x3f, 0xff}
	secureMask6 = [8]byte{0x01, 0x03, 0x07, 0x0f, 0x1f, 0x3f, 0x7f, 0xff}
)

// securePrefix returns the checksum whose first 21 bits an id at ip begins with,
// for the number r that the id ends with.
func securePrefix(ip netip.Addr, r byte) uint32 {
	if ip.Is4() {
		b := ip.As4()
		for i := range b {
			b[i] &= secureMask4[i]
		}
		b[0] |= r & 7 << 5
		return checksum(b[:])
	}
	a := ip.As16()
	b := [8]byte(a[:8])
	for i := range b {
		b[i] &= secureMask6[i]
	}
	b[0] |= r & 7 << 5
	return checksum(b[:])
}

// checksum is crc32.Checksum, which would have its argument escape to the heap, of few bytes.
func checksum(b []byte) uint32 {
	crc := ^uint32(0)
	for _, v := range b {
		crc = castagnoli[byte(crc)^v] ^ crc>>8
	}
	return ^crc
}

// SecureID draws an id that BEP 42 allows a node at ip. For a local address any
// id is allowed.
func SecureID(ip netip.Addr, rng *rand.Rand) krpc.ID {
	ip = ip.Unmap()
	for try := 0; ; try++ {
		id := krpc.RandomID(rng)
		if ip.IsValid() && krpc.Class(ip) == krpc.AddrClassPublic {
			crc := securePrefix(ip, id[19])
			id[0], id[1] = byte(crc>>24), byte(crc>>16)
			id[2] = byte(crc>>8)&0xf8 | id[2]&7
		}
		// A reader that finds keys by substring (jech/dht, and so Transmission)
		// would take a "1:t" within an id for the transaction id. Without a colon
		// there is none. Where BEP 42 fixes one, the tries run out.
		if bytes.IndexByte(id[:], ':') < 0 || try == 64 {
			return id
		}
	}
}

// ValidID tells whether BEP 42 allows a node at ip to have this id. Local
// addresses are exempt.
func ValidID(id krpc.ID, ip netip.Addr) bool {
	ip = ip.Unmap()
	if krpc.Class(ip) != krpc.AddrClassPublic {
		return true
	}
	crc := securePrefix(ip, id[19])
	return id[0] == byte(crc>>24) && id[1] == byte(crc>>16) && id[2]&0xf8 == byte(crc>>8)&0xf8
}
