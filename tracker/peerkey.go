package tracker

import (
	"encoding/binary"
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// family is an index: the peers of IPv4 and of IPv6 are kept apart (BEP 32).
type family uint8

const (
	v4 family = iota
	v6
	families
)

// The length of an entry of a peerArray: the compact address of BEP 5 and
// BEP 32, then two bytes of stamp.
const (
	width4   = 4 + 2 + stampLen
	width6   = 16 + 2 + stampLen
	stampLen = 2
)

// width is the length of the family's entries.
func (f family) width() int {
	if f == v4 {
		return width4
	}
	return width6
}

// site returns the bits of the first 8 bytes of an entry that tell the /24 or the /48.
func (f family) site() uint64 {
	if f == v4 {
		return subnetBits4
	}
	return siteBits6
}

// peerKey is a peer's address in the form in which a peerArray is searched.
type peerKey struct {
	entry  [width6]byte // the entry to be, its stamp still zero
	family family
	addr   netip.Addr

	head    uint64 // the first 8 bytes: all of an IPv4 entry, the /64 of IPv6
	tail    uint64 // the next 8 bytes of an IPv6 address
	subnet  uint64 // the bits of head that tell the /24 or the /64
	site    uint64 // the bits of head that tell the /24 or the /48
	address uint64 // the bits of head that are of the address
}

// The bits of an entry, read as a little-endian integer.
const (
	subnetBits4 = 1<<24 - 1
	addrBits4   = 1<<32 - 1
	siteBits6   = 1<<48 - 1
)

func makePeerKey(peer netip.AddrPort) (p peerKey) {
	b := krpc.AppendCompactAddr(p.entry[:0], peer)
	p.addr = peer.Addr()
	p.head = binary.LittleEndian.Uint64(p.entry[0:])
	p.subnet, p.site, p.address = subnetBits4, subnetBits4, addrBits4
	if len(b)+stampLen == width6 {
		p.family = v6
		p.tail = binary.LittleEndian.Uint64(p.entry[8:])
		p.subnet, p.site, p.address = ^uint64(0), siteBits6, ^uint64(0)
	}
	return p
}

// local reports whether the caps on an address and a subnet pass p over.
func (p *peerKey) local() bool { return krpc.Class(p.addr) == krpc.AddrClassLocal }

// neighbours is what an array holds near an address.
type neighbours struct {
	found  int // the index of the very peer, or -1
	ip     int // peers of the same address
	oldest int // the index of the longest unheard of these, or -1
	subnet int // peers of the same /24 or /64
	site   int // peers of the same /24 or /48
}

// scan looks for p and its neighbours. The counts are complete only if p is not
// found. It is a linear scan, since an array of 2 000 IPv4 peers is 16 KB,
// which takes a microsecond to read, and an index would double its size.
func (a *peerArray) scan(p *peerKey) neighbours {
	n := neighbours{found: -1, oldest: -1}
	w := p.family.width()
	for off := a.nextIn(p, p.site, 0); off < len(a.b); off = a.nextIn(p, p.site, off+w) {
		n.site++
		e := a.b[off : off+w]
		if (binary.LittleEndian.Uint64(e)^p.head)&p.subnet != 0 {
			continue
		}
		n.subnet++
		if (binary.LittleEndian.Uint64(e)^p.head)&p.address != 0 ||
			p.family == v6 && binary.LittleEndian.Uint64(e[8:]) != p.tail {
			continue
		}
		if n.ip++; n.ip == 1 {
			n.oldest = off / w
		}
		if [2]byte(e[w-4:]) == [2]byte(p.entry[w-4:]) {
			n.found = off / w
			return n
		}
	}
	return n
}

// nextIn returns the offset of the first entry from off on that is in p's network, of which
// these are the bits, or len(a.b). It is where a scan spends its time.
func (a *peerArray) nextIn(p *peerKey, network uint64, off int) int {
	b, head := a.b, p.head
	if p.family == v4 {
		for ; off <= len(b)-width4; off += width4 {
			if (binary.LittleEndian.Uint64(b[off:])^head)&network == 0 {
				return off
			}
		}
		return len(b)
	}
	for ; off <= len(b)-width6; off += width6 {
		if (binary.LittleEndian.Uint64(b[off:])^head)&network == 0 {
			return off
		}
	}
	return len(b)
}
