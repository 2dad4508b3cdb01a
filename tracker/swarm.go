package tracker

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"sort"

	"github.com/kadnode/kadnode/krpc"
)

// swarm holds the peers of one info-hash. Its shard's lock guards it.
type swarm struct {
	id    krpc.ID
	pos   int32  // its index in shard.swarms; gone: it was removed
	used  uint32 // the tick of the last announce or lookup
	owner owner
	peers [families]peerArray
}

const gone = -1

func (sw *swarm) removed() bool { return sw.pos == gone }

func (sw *swarm) empty() bool { return sw.peers[v4].len()+sw.peers[v6].len() == 0 }

// dead reports whether every peer of sw has expired at tick t.
func (sw *swarm) dead(t, life uint32) bool {
	return sw.peers[v4].dead(t, life) && sw.peers[v6].dead(t, life)
}

// peerArray holds the peers of one family, in the order in which they were last
// announced: the expired ones are always the first, and the one to replace is
// always the front. An entry is the peer's compact address as it goes over the
// wire and a stamp of two bytes: the low 15 bits of the tick at which it was
// announced, and whether it is a seed.
//
// A stamp means something only beside last, from which it is counted back. That
// is never ambiguous: whoever sets last trims first, so that no entry is older
// than a lifetime then, and a lifetime is shorter than 2^15 ticks. It holds
// however long the array is left alone.
type peerArray struct {
	b     []byte
	last  uint32 // the tick of the last entry
	seeds uint32 // the number of entries that are seeds
	width uint32 // of an entry
}

const (
	seedBit   = 1 << 15
	stampMask = seedBit - 1 // the bits of a stamp that tell the tick
)

// tally is what a shard sums up over its arrays.
type tally struct{ peers, seeds, bytes int }

func (a *peerArray) tally() tally { return tally{a.len(), int(a.seeds), cap(a.b)} }

// len returns the number of entries, expired ones included.
func (a *peerArray) len() int {
	if a.width == width4 { // to divide by constants, which is quicker
		return len(a.b) / width4
	}
	return len(a.b) / width6
}

// stamp returns the stamp of entry i.
func (a *peerArray) stamp(i int) uint32 {
	w := int(a.width)
	return uint32(binary.LittleEndian.Uint16(a.b[i*w+w-stampLen:]))
}

// tick returns the tick at which entry i was announced.
func (a *peerArray) tick(i int) uint32 { return a.last - (a.last-a.stamp(i))&stampMask }

// expired reports whether what was announced at tick then is to be forgotten at
// t. Ticks are coarse: a peer lives for at least its lifetime, and at most two
// ticks longer. t may be before then, since callers' clocks race.
func expired(then, t, life uint32) bool { return int64(t)-int64(then) > int64(life) }

func (a *peerArray) dead(t, life uint32) bool {
	return len(a.b) == 0 || expired(a.last, t, life)
}

// stale returns the number of entries that have expired at tick t.
func (a *peerArray) stale(t, life uint32) int {
	switch {
	case len(a.b) == 0 || !expired(a.tick(0), t, life):
		return 0
	case expired(a.last, t, life):
		return a.len()
	}
	return sort.Search(a.len(), func(i int) bool { return !expired(a.tick(i), t, life) })
}

// trim removes the first n entries, which are those that have expired.
func (a *peerArray) trim(n int) {
	a.seeds -= uint32(a.seedsAmong(n))
	a.b = a.b[:copy(a.b, a.b[n*int(a.width):])]
}

// seedsAmong returns the number of seeds among the first n entries.
func (a *peerArray) seedsAmong(n int) (seeds int) {
	for i := range n {
		seeds += int(a.stamp(i) / seedBit)
	}
	return seeds
}

// drop removes entry i.
func (a *peerArray) drop(i int) {
	w := int(a.width)
	a.seeds -= a.stamp(i) / seedBit
	a.b = a.b[:i*w+copy(a.b[i*w:], a.b[(i+1)*w:])]
}

// push appends p, announced at tick t. The array must have been trimmed at t.
func (a *peerArray) push(p *peerKey, seed bool, t uint32) {
	if len(a.b) > 0 {
		t = max(t, a.last) // keeps the order where callers' clocks race
	}
	a.last = t
	if seed {
		a.seeds++
	}
	if a.growth() > 0 {
		a.resize(roomFor(len(a.b) + int(a.width)))
	}
	a.b = append(a.b, p.entry[:a.width-stampLen]...)
	a.b = binary.LittleEndian.AppendUint16(a.b, makeStamp(t, seed))
}

func makeStamp(t uint32, seed bool) uint16 {
	stamp := uint16(t & stampMask)
	if seed {
		stamp |= seedBit
	}
	return stamp
}

// insert is push for a peer that was perhaps announced before others that are there.
func (a *peerArray) insert(p *peerKey, seed bool, t uint32) {
	a.push(p, seed, t)
	if t == a.last {
		return
	}
	w, end := int(a.width), a.len()-1
	i := sort.Search(end, func(i int) bool { return a.tick(i) > t })
	copy(a.b[(i+1)*w:], a.b[i*w:end*w])
	e := a.b[i*w : (i+1)*w]
	copy(e, p.entry[:])
	binary.LittleEndian.PutUint16(e[w-stampLen:], makeStamp(t, seed))
}

// growth returns the bytes of memory that one more entry will take.
func (a *peerArray) growth() int {
	need := len(a.b) + int(a.width)
	if need <= cap(a.b) {
		return 0
	}
	return roomFor(need) - cap(a.b)
}

// shrink gives back memory if at least half of it lies idle.
func (a *peerArray) shrink() {
	switch {
	case len(a.b) == 0:
		a.b = nil
	case roomFor(len(a.b)) <= cap(a.b)/2:
		a.resize(roomFor(len(a.b)))
	}
}

func (a *peerArray) resize(room int) {
	a.b = append(slices.Grow([]byte(nil), room), a.b...)
}

// liveEntries are copies of the entries of a swarm that have not expired, to be read without
// its lock.
type liveEntries [families][]byte

func (e *liveEntries) load(sw *swarm, t, life uint32) {
	for f := range sw.peers {
		a := &sw.peers[f]
		e[f] = append(e[f][:0], a.b[a.stale(t, life)*int(a.width):]...)
	}
}

// roomFor returns the capacity of an array of n bytes, n > 0: the next 2^i or
// 3*2^i from 16 on. Go's allocator serves just these without rounding up, so
// that what is charged for an array is what it takes.
func roomFor(n int) int {
	n = max(n, 16)
	room := 1 << bits.Len(uint(n-1))
	if n <= room/4*3 {
		return room / 4 * 3
	}
	return room
}
