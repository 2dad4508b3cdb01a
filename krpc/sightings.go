package krpc

import (
	"math"
	"math/bits"
	"sync/atomic"
	"time"
)

const (
	sightingWays = 4 // cells that an address may take

	// A cell has the upper bits of the address's hash, below that for how many ticks it had been there at
	// its last sighting, and below that the tick of that, from 1 on: room for two years.
	sightingTick     = time.Second / 4
	sightingTagBits  = 26
	sightingForBits  = 10
	sightingTimeBits = 28
	sightingForMost  = 1<<sightingForBits - 1 // four minutes
)

// sighting is what a cell has.
type sighting uint64

func newSighting(tag, lasted, last uint64) sighting {
	return sighting(tag<<(64-sightingTagBits) | min(lasted, sightingForMost)<<sightingTimeBits | last)
}

func (c sighting) tag() uint64    { return uint64(c) >> (64 - sightingTagBits) }
func (c sighting) lasted() uint64 { return uint64(c) >> sightingTimeBits & sightingForMost }
func (c sighting) last() uint64   { return uint64(c) & (1<<sightingTimeBits - 1) }

// mark returns the number of the mark of the address, see Preferred.
func (c sighting) mark() uint32 { return uint32(c >> (64 - PreferredBits)) }

// fresh tells whether c is recent enough at tick.
func (c sighting) fresh(tick uint64) bool { return c.freshFor(tick, provenAge) }

// freshFor tells whether c is not older than age at tick.
func (c sighting) freshFor(tick uint64, age time.Duration) bool {
	return c.last() > 0 && c.last()+uint64(age/sightingTick) >= tick
}

// ticks returns for how many ticks the address, which is fresh, has been there.
func (c sighting) ticks(tick uint64) uint64 { return c.lasted() + tick - min(tick, c.last()) }

// since returns for how long the address, which is fresh, has been there. More than four minutes
// count as for ever.
func (c sighting) since(tick uint64) time.Duration {
	if n := c.ticks(tick); n < sightingForMost {
		return time.Duration(n) * sightingTick
	}
	return math.MaxInt64
}

// sightings remembers, by a hash of an address, who was seen within provenAge, and since when he has
// been without such a gap. It is a hash table of fixed size: of the four cells that an address may
// take, that of the oldest gives way to a new one. It takes no lock, and is safe for concurrent use.
type sightings struct {
	sets  [][sightingWays]atomic.Uint64 // each a sighting
	mask  uint64
	epoch epoch
}

// newSightings returns sightings with so many cells of 8 bytes, rounded up to a power of two, at
// least 4.
func newSightings(cells int) sightings {
	sets := 1 << bits.Len(uint(max(0, cells-1)/sightingWays))
	return sightings{sets: make([][sightingWays]atomic.Uint64, sets), mask: uint64(sets - 1)}
}

// add has the address with hash h be there at now, and takes the cell of the oldest if it has to.
func (s *sightings) add(h uint64, now time.Time) {
	if _, ok := s.touch(h, now); !ok {
		s.cell(h).Store(uint64(newSighting(sighting(h).tag(), 0, s.tick(now))))
	}
}

// join is add, but does not take the cell of anybody who has been there for as long as lasting says.
func (s *sightings) join(h uint64, now time.Time, lasting func(since time.Duration) bool) {
	cell, tick := s.cell(h), s.tick(now)
	if c := sighting(cell.Load()); c.tag() == sighting(h).tag() || !c.fresh(tick) || !lasting(c.since(tick)) {
		cell.Store(uint64(newSighting(sighting(h).tag(), 0, tick)))
	}
}

// restart has an address that is there count as one that has just come.
func (s *sightings) restart(h uint64, now time.Time) {
	if cell, c := s.find(h); cell != nil && c.fresh(s.tick(now)) {
		cell.Store(uint64(newSighting(c.tag(), 0, s.tick(now))))
	}
}

// cell returns the cell of the address with hash h; of the oldest sighting if it has none.
func (s *sightings) cell(h uint64) (oldest *atomic.Uint64) {
	set, last := &s.sets[h&s.mask], uint64(1<<sightingTimeBits)
	for i := range set {
		c := sighting(set[i].Load())
		if c.tag() == sighting(h).tag() {
			return &set[i]
		}
		if c.last() < last {
			oldest, last = &set[i], c.last()
		}
	}
	return oldest
}

// touch is add for an address that is there and fresh alone. It returns for how long it has been.
func (s *sightings) touch(h uint64, now time.Time) (since time.Duration, ok bool) {
	cell, old := s.find(h)
	tick := s.tick(now)
	if cell == nil || !old.fresh(tick) {
		return 0, false
	}
	// Two who write at the same time may cost one of them his place: he will come again.
	if renewed := newSighting(old.tag(), old.ticks(tick), tick); renewed != old {
		cell.Store(uint64(renewed))
	}
	return old.since(tick), true
}

// remove forgets an address.
func (s *sightings) remove(h uint64) {
	if cell, _ := s.find(h); cell != nil {
		cell.Store(0)
	}
}

// find returns the cell of the address with hash h, nil if it has none, and what is in it.
func (s *sightings) find(h uint64) (*atomic.Uint64, sighting) {
	set := &s.sets[h&s.mask]
	for i := range set {
		if c := sighting(set[i].Load()); c.tag() == sighting(h).tag() && c.last() > 0 {
			return &set[i], c
		}
	}
	return nil, 0
}

// since tells for how long the address with hash h has been there at now, if it is.
func (s *sightings) since(h uint64, now time.Time) (time.Duration, bool) {
	tick := s.tick(now)
	if _, c := s.find(h); c.fresh(tick) {
		return c.since(tick), true
	}
	return 0, false
}

// each calls do for who is there at now.
func (s *sightings) each(now time.Time, do func(c sighting, tick uint64)) {
	tick := s.tick(now)
	for i := range s.sets {
		for j := range s.sets[i] {
			if c := sighting(s.sets[i][j].Load()); c.fresh(tick) {
				do(c, tick)
			}
		}
	}
}

func (s *sightings) tick(now time.Time) uint64 {
	return 1 + uint64(s.epoch.elapsed(now)/sightingTick)%(1<<sightingTimeBits-1)
}

// cells returns the number of cells, 0 for nil.
func (s *sightings) cells() int {
	if s == nil {
		return 0
	}
	return sightingWays * len(s.sets)
}

// known returns the number of addresses that are there at now, 0 for nil. It reads all cells.
func (s *sightings) known(now time.Time) (n int) {
	if s == nil {
		return 0
	}
	s.each(now, func(sighting, uint64) { n++ })
	return n
}
