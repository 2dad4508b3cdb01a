package kademlia

import (
	"encoding/binary"
	"math/bits"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// DefaultMemory is how many contacts a node remembers beside its table.
	DefaultMemory = 32768
	// memoryAge is how long a contact that was not heard of is worth a query: on the
	// mainline DHT most nodes stay for longer.
	memoryAge = time.Hour
	// memoryWays is the least number of contacts of a full set.
	memoryWays = 16
	// maxMemory is the most that a node may be told to remember: 2 GB.
	maxMemory = 1 << 24
)

// remembered is a contact that answered lately, 44 bytes without pointers.
type remembered struct {
	compact
	rtt  millis
	seen second // of its last answer
}

// place is what only one contact of the memory may have: its network or, where networks are
// not told apart, its address.
func (r *remembered) place() address {
	if !diverse(r.addr()) {
		return r.address
	}
	return address{networkIn(r.ip), 0}
}

func (r *remembered) stale(now instant) bool { return now-r.seen.instant() >= instant(memoryAge) }

// memory keeps contacts that have answered lately and that the routing table has no
// place for. A lookup hears of many more nodes than k-buckets hold, and the next one
// starts the closer to its target the more of them are known. What is in the memory is
// handed to nobody. The zero memory remembers nothing; it is not safe for concurrent
// use.
//
// One of a network is remembered, whatever ids it answers with: else a single host could be
// near to every target, and the 65 536 /64 of a site all the more.
//
// Sets hold the contacts whose ids begin with the same bits, so that those closest to a
// target are in the set that the target would be in, then in the one beside that, and so
// on. Their number follows that of the contacts: it costs what it holds, some 100 bytes each.
type memory struct {
	sets    [][]remembered // by the leading bits of the id; in each the last to answer is the last
	maxSets int            // a power of two; 0: remember nothing
	ways    int            // most contacts of a set
	count   int
	places  map[address]uint32 // where the contact is: its id begins so
}

// newMemory returns a memory of up to max contacts, or a few less.
func newMemory(max int) memory {
	if max <= 0 {
		return memory{}
	}
	max = min(max, maxMemory)
	m := memory{sets: make([][]remembered, 1), maxSets: 1, places: make(map[address]uint32)}
	for 2*m.maxSets*memoryWays <= max {
		m.maxSets *= 2
	}
	m.ways = max / m.maxSets
	return m
}

// limit returns the most contacts that there can be.
func (m *memory) limit() int { return m.maxSets * m.ways }

// index returns the index of the set for id.
func (m *memory) index(id krpc.ID) int { return m.indexOf(beginning(id)) }

// beginning returns the bits of id that sets are told apart by.
func beginning(id krpc.ID) uint32 { return binary.BigEndian.Uint32(id[:4]) }

func (m *memory) indexOf(beginning uint32) int {
	return int(uint64(beginning) << bits.TrailingZeros(uint(len(m.sets))) >> 32)
}

// add takes note that n has just answered, after rtt. Somebody else in its network, or
// with its id, who has answered lately keeps the place.
func (m *memory) add(n krpc.NodeInfo, rtt millis, now instant) {
	if m.maxSets == 0 {
		return
	}
	r := remembered{compactOf(n), rtt, now.second()}
	if !m.vacate(&r, now) {
		return
	}
	i := m.index(r.id)
	if len(m.sets[i]) == m.ways && m.grow(now) {
		m.add(n, rtt, now)
		return
	}
	if set := m.sets[i]; len(set) == m.ways {
		delete(m.places, set[0].place())
		copy(set, set[1:])
		m.sets[i], m.count = set[:m.ways-1], m.count-1
	}
	m.count++
	m.sets[i] = append(m.sets[i], r)
	m.places[r.place()] = beginning(r.id)
}

// vacate forgets who was in the place of r, or had its id, before. It reports false if they
// are to stay.
func (m *memory) vacate(r *remembered, now instant) bool {
	own := r.place()
	at := []int{m.index(r.id)}
	if b, taken := m.places[own]; taken && m.indexOf(b) != at[0] {
		at = append(at, m.indexOf(b))
	}
	for _, i := range at {
		rival := func(o *remembered) bool { return o.id == r.id || o.place() == own }
		m.deleteFrom(i, func(o *remembered) bool { return o.address == r.address || rival(o) && o.stale(now) })
		for j := range m.sets[i] {
			if rival(&m.sets[i][j]) {
				return false
			}
		}
	}
	return true
}

// grow makes room by half or more, unless there are as many sets as there may be or most
// of the room is free: then the ids of one set have come close by themselves.
func (m *memory) grow(now instant) bool {
	crowded := func() bool { return 2*m.count >= len(m.sets)*m.ways }
	if len(m.sets) == m.maxSets || !crowded() {
		return false
	}
	m.removeIf(func(r *remembered) bool { return r.stale(now) })
	if crowded() {
		m.resize(2 * len(m.sets))
	}
	return true
}

// expire forgets who has not answered for long, and gives back the room that is not needed.
// It is for upkeep, since it goes over all contacts.
func (m *memory) expire(now instant) {
	m.removeIf(func(r *remembered) bool { return r.stale(now) })
	for len(m.sets) > 1 && 8*m.count < len(m.sets)*m.ways {
		m.resize(len(m.sets) / 2)
	}
}

// resize spreads the contacts over so many sets. Where fewer have to hold them, the last ones
// find no room.
func (m *memory) resize(sets int) {
	old := m.sets
	m.sets = make([][]remembered, sets)
	for _, set := range old {
		for _, r := range set {
			i := m.index(r.id)
			if len(m.sets[i]) == m.ways {
				delete(m.places, r.place())
				m.count--
				continue
			}
			m.sets[i] = append(m.sets[i], r)
		}
	}
}

// remove forgets the contact n.
func (m *memory) remove(n krpc.NodeInfo) {
	if m.count > 0 {
		m.deleteFrom(m.index(n.ID), func(r *remembered) bool { return r.is(n) })
	}
}

// removeIf forgets the contacts that f picks.
func (m *memory) removeIf(f func(*remembered) bool) {
	for i := range m.sets {
		m.deleteFrom(i, f)
	}
}

// deleteFrom forgets the contacts of a set that f picks.
func (m *memory) deleteFrom(i int, f func(*remembered) bool) {
	set := m.sets[i]
	kept := set[:0]
	for j := range set {
		if f(&set[j]) {
			delete(m.places, set[j].place())
		} else {
			kept = append(kept, set[j])
		}
	}
	m.sets[i] = kept
	m.count -= len(set) - len(kept)
}

// closest returns the up to n contacts closest to target, closest first.
func (m *memory) closest(target krpc.ID, n int, now instant) []remembered {
	if m.count == 0 {
		return nil
	}
	out := make([]remembered, 0, n+m.ways)
	first := m.index(target)
	for i := range m.sets {
		begun := len(out)
		for _, r := range m.sets[first^i] {
			if !r.stale(now) {
				out = append(out, r)
			}
		}
		slices.SortFunc(out[begun:], func(a, b remembered) int { return krpc.CompareDistance(a.id, b.id, target) })
		if len(out) >= n {
			return out[:n]
		}
	}
	return out
}
