package krpc

import (
	"math"
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

	provenWays = 4 // cells that an address may take

	// A cell has the upper bits of the address's hash, below that for how many ticks it had been proven at its
	// last proof, and below that the tick of that, from 1 on: room for two years.
	provenTick     = time.Second / 4
	provenTagBits  = 26
	provenForBits  = 10
	provenTimeBits = 28
	provenForMost  = 1<<provenForBits - 1 // four minutes
)

// proof is what a cell has.
type proof uint64

func newProof(tag, lasted, last uint64) proof {
	return proof(tag<<(64-provenTagBits) | min(lasted, provenForMost)<<provenTimeBits | last)
}

func (p proof) tag() uint64    { return uint64(p) >> (64 - provenTagBits) }
func (p proof) lasted() uint64 { return uint64(p) >> provenTimeBits & provenForMost }
func (p proof) last() uint64   { return uint64(p) & (1<<provenTimeBits - 1) }

// mark returns the number of the mark of the address, see Preferred.
func (p proof) mark() uint32 { return uint32(p >> (64 - PreferredBits)) }

// fresh tells whether p is recent enough at tick.
func (p proof) fresh(tick uint64) bool { return p.freshFor(tick, provenAge) }

// freshFor tells whether p is not older than age at tick.
func (p proof) freshFor(tick uint64, age time.Duration) bool {
	return p.last() > 0 && p.last()+uint64(age/provenTick) >= tick
}

// lasting returns for how long the address had been proven at its last proof. More than four minutes
// count as for ever.
func (p proof) lasting() time.Duration {
	if p.lasted() == provenForMost {
		return math.MaxInt64
	}
	return time.Duration(p.lasted()) * provenTick
}

// renewed is p proved once more.
func (p proof) renewed(tick uint64) proof {
	if p.fresh(tick) {
		return newProof(p.tag(), p.lasted()+tick-min(tick, p.last()), tick)
	}
	return newProof(p.tag(), 0, tick)
}

// Proven remembers who has shown lately to be at his address: who answered a query of ours, or
// sent back a token that only he was given. All others may be somebody else's victim, in whose
// name a flood of queries has replies sent to him. An address is an IPv4 address or an IPv6 /48,
// which is what a site has: its 65 536 /64 would fill all of the memory.
//
// It is a hash table of fixed size, keyed with a secret. Of the four cells that an address may
// take, that of the oldest proof gives way to a new one. Nobody gets in without a proof, and one
// in ten million others is mistaken for somebody who has.
//
// The nil Proven remembers nobody. A Proven takes no lock, allocates nothing after its first use,
// and is safe for concurrent use.
type Proven struct {
	key          SipKey
	preferredKey PreferredKey
	sets         [][provenWays]atomic.Uint64 // each a proof
	mask         uint64
	epoch        epoch
}

// NewProven returns a Proven with so many cells of 8 bytes, rounded up to a power of two, at
// least 4. The key is drawn from r, see NewSipKey.
func NewProven(cells int, r *rand.Rand) *Proven {
	sets := 1 << bits.Len(uint(max(0, cells-1)/provenWays))
	return &Proven{
		key: NewSipKey(r), preferredKey: newPreferredKey(r),
		sets: make([][provenWays]atomic.Uint64, sets), mask: uint64(sets - 1),
	}
}

// Add takes note that a has proved its address at now.
func (p *Proven) Add(a netip.Addr, now time.Time) {
	if p != nil {
		p.add(p.hash(a), now)
	}
}

// add is Add for an address of which the hash is known.
func (p *Proven) add(h uint64, now time.Time) {
	if _, ok := p.touch(h, now); !ok {
		p.cell(h).Store(uint64(newProof(proof(h).tag(), 0, p.tick(now))))
	}
}

// join is add, but does not take the cell of anybody who has been there for as long as lasting says.
func (p *Proven) join(h uint64, now time.Time, lasting func(since time.Duration) bool) {
	cell, tick := p.cell(h), p.tick(now)
	if c := proof(cell.Load()); c.tag() == proof(h).tag() || !c.fresh(tick) || !lasting(c.renewed(tick).lasting()) {
		cell.Store(uint64(newProof(proof(h).tag(), 0, tick)))
	}
}

// restart has an address that is there count as one that has just come.
func (p *Proven) restart(h uint64, now time.Time) {
	if cell, c := p.find(h); cell != nil && c.fresh(p.tick(now)) {
		cell.Store(uint64(newProof(c.tag(), 0, p.tick(now))))
	}
}

// cell returns the cell of the address with hash h; of the oldest proof if it has none.
func (p *Proven) cell(h uint64) (oldest *atomic.Uint64) {
	set, last := &p.sets[h&p.mask], uint64(1<<provenTimeBits)
	for i := range set {
		c := proof(set[i].Load())
		if c.tag() == proof(h).tag() {
			return &set[i]
		}
		if c.last() < last {
			oldest, last = &set[i], c.last()
		}
	}
	return oldest
}

// touch is add for an address that is there and fresh alone. It returns for how long it has been, as
// since does.
func (p *Proven) touch(h uint64, now time.Time) (since time.Duration, ok bool) {
	cell, old := p.find(h)
	tick := p.tick(now)
	if cell == nil || !old.fresh(tick) {
		return 0, false
	}
	// Two who write at the same time may cost one of them his place: he will prove it again.
	renewed := old.renewed(tick)
	if renewed != old {
		cell.Store(uint64(renewed))
	}
	return renewed.lasting(), true
}

// remove forgets an address.
func (p *Proven) remove(h uint64) {
	if cell, _ := p.find(h); cell != nil {
		cell.Store(0)
	}
}

// find returns the cell of the address with hash h, nil if it has none, and what is in it.
func (p *Proven) find(h uint64) (*atomic.Uint64, proof) {
	set := &p.sets[h&p.mask]
	for i := range set {
		if c := proof(set[i].Load()); c.tag() == proof(h).tag() && c.last() > 0 {
			return &set[i], c
		}
	}
	return nil, 0
}

// Has tells whether a has proved its address lately.
func (p *Proven) Has(a netip.Addr, now time.Time) bool {
	if p == nil {
		return false
	}
	_, ok := p.since(p.hash(a), now)
	return ok
}

// since tells for how long the address with hash h has been proven at now, as lasting does, if it is.
func (p *Proven) since(h uint64, now time.Time) (time.Duration, bool) {
	_, c := p.find(h)
	tick := p.tick(now)
	return c.renewed(tick).lasting(), c.fresh(tick)
}

// hash returns the hash of an address. Its upper bits are the number of its mark, see Preferred.
func (p *Proven) hash(a netip.Addr) uint64 {
	site, v4 := sourceWords(a)
	return p.key.sumWords(site&^0xffff, v4)>>PreferredBits | uint64(p.preferredKey.Mark(a))<<(64-PreferredBits)
}

func (p *Proven) tick(now time.Time) uint64 {
	return 1 + uint64(p.epoch.elapsed(now)/provenTick)%(1<<provenTimeBits-1)
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
	tick := p.tick(now)
	for i := range p.sets {
		for j := range p.sets[i] {
			if proof(p.sets[i][j].Load()).fresh(tick) {
				n++
			}
		}
	}
	return n
}
