package krpc

import (
	"crypto/sha1"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// The parameters of every filter (BEP 33).
const (
	bloomLen    = 256 // bytes
	bloomBits   = 8 * bloomLen
	bloomHashes = 2 // bits that an address sets
)

// Bloom is the filter in which a node tells which IP addresses it has stored, so
// that others can tell how many all nodes together have (BEP 33). Its bytes are
// those of Message.BFsd and Message.BFpe. The zero Bloom is empty. A Bloom is not
// safe for concurrent use.
type Bloom [bloomLen]byte

// bloomIndexes returns the bits that stand for a, an IPv4-mapped address being
// IPv4.
func bloomIndexes(a netip.Addr) [bloomHashes]uint16 {
	var hash [sha1.Size]byte
	if a = a.Unmap(); a.Is4() {
		b := a.As4()
		hash = sha1.Sum(b[:])
	} else {
		b := a.As16()
		hash = sha1.Sum(b[:])
	}
	return [bloomHashes]uint16{
		binary.LittleEndian.Uint16(hash[0:]) % bloomBits,
		binary.LittleEndian.Uint16(hash[2:]) % bloomBits,
	}
}

// Insert adds a. To add it again changes nothing. It allocates nothing, and takes
// a SHA-1.
func (f *Bloom) Insert(a netip.Addr) {
	for _, i := range bloomIndexes(a) {
		f[i/8] |= 1 << (i % 8)
	}
}

// Contains reports whether a was added. It may also be true for one that was not:
// by a chance of 1 in 1 100 with 32 addresses added, 1 in 2 with 1 250.
func (f *Bloom) Contains(a netip.Addr) bool {
	for _, i := range bloomIndexes(a) {
		if f[i/8]&(1<<(i%8)) == 0 {
			return false
		}
	}
	return true
}

// Union adds what was added to g.
func (f *Bloom) Union(g *Bloom) {
	for i := range f {
		f[i] |= g[i]
	}
}

// Estimate returns how many addresses were added, about: BEP 33's formula, which
// is good to a few per cent up to some 6 000. The formula has 0.5 for an empty
// filter and none for a full one; here they have 0 and the most, some 7 800.
func (f *Bloom) Estimate() float64 {
	ones := 0
	for i := 0; i < bloomLen; i += 8 {
		ones += bits.OnesCount64(binary.LittleEndian.Uint64(f[i:]))
	}
	zeros := max(1, bloomBits-ones)
	return math.Log(float64(zeros)/bloomBits) / (bloomHashes * math.Log1p(-1.0/bloomBits))
}
