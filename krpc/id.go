package krpc

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/bits"
	"math/rand/v2"
	"net/netip"
)

// IDLen is the length of an ID in bytes.
const IDLen = 20

// ID is a point of the 160-bit keyspace: a node id, an info-hash or the target
// of a lookup (BEP 5).
type ID [IDLen]byte

// NodeInfo is a node's id and the address that it answers at (BEP 5, "contact
// information for nodes"). Addr is never an IPv4-mapped IPv6 address.
type NodeInfo struct {
	ID   ID
	Addr netip.AddrPort
}

// ParseID reads an ID from 40 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 2*IDLen {
		return ID{}, fmt.Errorf("krpc: id %q: want %d hexadecimal digits", s, 2*IDLen)
	}
	if _, err := hex.Decode(id[:], []byte(s)); err != nil {
		return ID{}, fmt.Errorf("krpc: id %q: %w", s, err)
	}
	return id, nil
}

// RandomID returns an ID drawn from r.
func RandomID(r *rand.Rand) ID {
	var id ID
	for i := 0; i < IDLen; i += 4 {
		v := r.Uint32()
		id[i], id[i+1], id[i+2], id[i+3] = byte(v>>24), byte(v>>16), byte(v>>8), byte(v)
	}
	return id
}

// String returns the 40 hexadecimal digits of id.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Distance returns the XOR distance between id and other.
func (id ID) Distance(other ID) ID {
	for i := range id {
		id[i] ^= other[i]
	}
	return id
}

// Compare orders ids as big-endian integers; distances compare the same way.
func (id ID) Compare(other ID) int { return bytes.Compare(id[:], other[:]) }

// CommonPrefixLen returns the number of leading bits, 0 to 160, that id and
// other share. It is the index of the k-bucket of other in id's table.
func (id ID) CommonPrefixLen(other ID) int {
	for i := range id {
		if x := id[i] ^ other[i]; x != 0 {
			return 8*i + bits.LeadingZeros8(x)
		}
	}
	return 8 * IDLen
}

// CompareDistance returns a negative number if a is closer to target than b is,
// zero if they are the same, and a positive one otherwise.
func CompareDistance(a, b, target ID) int {
	for i := range target {
		if x, y := a[i]^target[i], b[i]^target[i]; x != y {
			return int(x) - int(y)
		}
	}
	return 0
}
