package krpc

import (
	"math/rand/v2"
	"net/netip"
	"time"
)

const (
	// DefaultProvenCells is 512 KiB of memory, and more than the nodes that anybody deals with
	// within provenAge.
	DefaultProvenCells = 65536
	// provenAge is for how long an address counts as proven: nodes in a routing table are asked
	// for a sign of life after a quarter of an hour, clients announce twice an hour.
	provenAge = 30 * time.Minute
)

// Proven remembers who has shown lately to be at his address: who answered a query of ours, or
// sent back a token that only he was given. All others may be somebody else's victim, in whose
// name a flood of queries has replies sent to him. An address is an IPv4 address or an IPv6 /48,
// which is what a site has: its 65 536 /64 would fill all of the memory.
//
// Its hash is keyed with a secret. Nobody gets in without a proof, and one in ten million others is
// mistaken for somebody who has.
//
// The nil Proven remembers nobody. A Proven takes no lock, allocates nothing after its first use,
// and is safe for concurrent use.
type Proven struct {
	key          SipKey
	preferredKey PreferredKey
	sightings
}

// NewProven returns a Proven with so many cells of 8 bytes, rounded up to a power of two, at
// least 4. The key is drawn from r, see NewSipKey.
func NewProven(cells int, r *rand.Rand) *Proven {
	return &Proven{key: NewSipKey(r), preferredKey: newPreferredKey(r), sightings: newSightings(cells)}
}

// Add takes note that a has proved its address at now.
func (p *Proven) Add(a netip.Addr, now time.Time) {
	if p != nil {
		p.add(p.hash(a), now)
	}
}

// Has tells whether a has proved its address lately.
func (p *Proven) Has(a netip.Addr, now time.Time) bool {
	if p == nil {
		return false
	}
	_, ok := p.since(p.hash(a), now)
	return ok
}

// hash returns the hash of an address. Its upper bits are the number of its mark, see Preferred.
func (p *Proven) hash(a netip.Addr) uint64 {
	site, v4 := sourceWords(a)
	return p.key.sumWords(site&^0xffff, v4)>>PreferredBits | uint64(p.preferredKey.Mark(a))<<(64-PreferredBits)
}

// Cells returns the number of cells, 0 for a nil Proven.
func (p *Proven) Cells() int {
	if p == nil {
		return 0
	}
	return p.cells()
}

// Known returns the number of addresses that are proven at now. It reads all cells, so it is for
// a metrics scrape, not for a packet.
func (p *Proven) Known(now time.Time) int {
	if p == nil {
		return 0
	}
	return p.known(now)
}
