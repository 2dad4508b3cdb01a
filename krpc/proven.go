package krpc

import (
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"sync/atomic"
	"time"
)

const (
	// DefaultProvenCells is 512 KiB of memory, and more than the nodes that anybody deals with
	// within provenAge.
	DefaultProvenCells = 65536
	// provenAge is for how long an address counts as proven: nodes in a routing table are asked
	// for a sign of life after a quarter of an hour, clients announce twice an hour.
	provenAge = 30 * time.Minute

	provenWays    = 4  // cells that an address may take
	provenTagBits = 32 // of a cell, above its time
)

// Proven remembers who has shown lately to be at his address: who answered a query of ours, or
// sent back a token that only he was given. All others may be somebody else's victim, in whose
// name a flood of queries has replies sent to him. An address is an IPv4 address or an IPv6 /48,
// which is what a site has: its 65 536 /64 would fill all of the memory.
//
// It is a hash table of fixed size, keyed with a secret. Of the four cells that an address may
// take, that of the oldest proof gives way to a new one. Nobody gets in without a proof, and one
// in a thousand million others is mistaken for somebody who has.
//
// The nil Proven remembers nobody. A Proven takes no lock, allocates nothing after its first use,
// and is safe for concurrent use.
type Proven struct {
	key   SipKey
	sets  [][provenWays]atomic.Uint64 // above a tag of the address's hash, below it the second of the proof, from 1 on
	mask  uint64
	epoch epoch
}

// NewProven returns a Proven with so many cells of 8 bytes, rounded up to a power of two, at
// least 4. The key is drawn from r, see NewSipKey.
func NewProven(cells int, r *rand.Rand) *Proven {
	sets := 1 << bits.Len(uint(max(0, cells-1)/provenWays))
	return &Proven{key: NewSipKey(r), sets: make([][provenWays]atomic.Uint64, sets), mask: uint64(sets - 1)}
}

// Add takes note that a has proved its address at now.
func (p *Proven) Add(a netip.Addr, now time.Time) {
	if p == nil {
		return
	}
	h := p.hash(a)
	set, second := &p.sets[h&p.mask], p.second(now)
	at, oldest := 0, uint64(1<<provenTagBits)
	for i := range set {
		word := set[i].Load()
		if word>>provenTagBits == h>>provenTagBits {
			at = i
			break
		}
		if s := word & (1<<provenTagBits - 1); s < oldest {
			at, oldest = i, s
		}
	}
	// Two who write at the same time may cost one of them his place: he will prove it again.
	if word := h>>provenTagBits<<provenTagBits | second; set[at].Load() != word {
		set[at].Store(word)
	}
}

// Has tells whether a has proved its address lately.
func (p *Proven) Has(a netip.Addr, now time.Time) bool {
	return p != nil && p.has(p.hash(a), now)
}

// has is Has for an address of which the hash is known.
func (p *Proven) has(h uint64, now time.Time) bool {
	set, second := &p.sets[h&p.mask], p.second(now)
	for i := range set {
		if word := set[i].Load(); word>>provenTagBits == h>>provenTagBits && fresh(word, second) {
			return true
		}
	}
	return false
}

// fresh tells whether the proof in a cell is recent enough at second.
func fresh(word, second uint64) bool {
	at := word & (1<<provenTagBits - 1)
	return at > 0 && at+uint64(provenAge/time.Second) >= second
}

func (p *Proven) hash(a netip.Addr) uint64 {
	site, v4 := sourceWords(a)
	return p.key.sumWords(site&^0xffff, v4)
}

func (p *Proven) second(now time.Time) uint64 {
	return 1 + uint64(p.epoch.elapsed(now)/time.Second)
}

// Cells returns the number of cells, 0 for a nil Proven.
func (p *Proven) Cells() int {
	if p == nil {
		return 0
	}
	return provenWays * len(p.sets)
}

// Known returns the number of addresses that are proven at now. It reads all cells, so it is for
// a metrics scrape, not for a packet.
func (p *Proven) Known(now time.Time) (n int) {
	if p == nil {
		return 0
	}
	second := p.second(now)
	for i := range p.sets {
		for j := range p.sets[i] {
			if fresh(p.sets[i][j].Load(), second) {
				n++
			}
		}
	}
	return n
}
