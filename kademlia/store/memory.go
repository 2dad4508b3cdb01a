package store

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/kadnode/kadnode/kademlia/schedule"
	"github.com/kadnode/kadnode/krpc"
)

// entryCost is the memory of an item beside its bytes, in bytes: an entry (176) and
// an Item (112) as the allocator serves them, a slot of memory.entries (29, at the
// worst load factor of 7/16 just after the map grew), two of memory.charges (41 each),
// and a place in both queues (8 each, at worst a quarter of them idle).
const entryCost = 176 + 112 + (29+2*41)*16/7 + 2*10

// cost returns what an item is charged. The allocator rounds up by an eighth at most.
func cost(it *Item) int { return entryCost + it.size()*9/8 }

// memory is the shelf of one node, in memory. It does nothing but look up and file
// under its lock: whoever puts has verified the item and copied it before.
//
// When limits.bytes is reached, the item goes whose target is farthest from the
// node's id, and of those equally far the one stored least recently; but only for
// one that is nearer. Nearer means a longer common prefix.
type memory struct {
	limits *limits

	mu sync.RWMutex // guards what follows
	// All but self and the counts is zero while the shelf is empty: an idle one
	// costs nothing, and what a flood made the maps grow to, which a map never gives
	// back, goes with it.
	entries  map[krpc.ID]*entry // by target
	rows     []row              // by the length of the prefix shared with self
	expiries schedule.Queue[*entry]
	dues     schedule.Queue[*entry]
	charges  charges
	bytes    int // charged, at most limits.bytes
	mutable  int // entries

	self             krpc.ID // the node's id, as of the last put
	rng              rand.PCG
	evicted, expired uint64
}

func newMemory(l *limits, rng *rand.Rand) *memory {
	m := &memory{limits: l}
	m.rng.Seed(rng.Uint64(), rng.Uint64())
	return m
}

// entry is an item of a memory, whose lock guards it; the item never changes.
type entry struct {
	target   krpc.ID
	item     *Item
	from     payer     // whom it is charged to
	received time.Time // when it was last put

	expires    schedule.Due[*entry]
	due        schedule.Due[*entry] // when this node republishes it
	prev, next *entry               // in its row
}

func (e *entry) expired(now time.Time) bool { return !e.expires.At.After(now) }

func (s *memory) get(target krpc.ID, now time.Time) (it *Item, left time.Duration, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	e := s.entries[target]
	if e == nil || e.expired(now) {
		return nil, 0, false
	}
	return e.item, e.expires.At.Sub(now), true
}

func (s *memory) take(o offer, verified *Item) (outcome, *krpc.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.weigh(&o, verified)
	return c.what, err
}

// change is what an offer has changed.
type change struct {
	what    outcome
	entry   *entry // if it was stored or refreshed
	evicted *entry // those that gave way, joined by their next
}

// weigh is take under the lock.
func (s *memory) weigh(o *offer, verified *Item) (change, *krpc.Error) {
	e := s.held(o)
	grows := cost(&o.item)
	if e != nil {
		if err := o.conflict(e.item); err != nil {
			return change{}, err
		}
		grows -= cost(e.item)
	}
	switch {
	case o.life <= 0:
		return change{what: ignored}, nil
	case e != nil && e.item.Seq == o.item.Seq && (verified != nil || bytes.Equal(e.item.Sig, o.item.Sig)):
		s.refresh(e, o)
		return change{what: refreshed, entry: e}, nil
	}
	if err := s.refuse(e, o, grows); err != nil || verified == nil {
		return change{what: unverified}, err
	}
	evicted := s.makeRoom(grows)
	e = s.file(e, o, verified)
	s.refresh(e, o)
	return change{stored, e, evicted}, nil
}

// held returns the entry at o's target, or nil, after what has to be done now and then.
func (s *memory) held(o *offer) *entry {
	s.arrange(o.self)
	s.forget(o.now, sweepAlong)
	e := s.entries[o.target]
	if e != nil && e.expired(o.now) {
		s.expire(e)
		return nil
	}
	return e
}

// refuse applies the bounds to o, which is to take the place of e, if that is set,
// and so many bytes more.
func (s *memory) refuse(e *entry, o *offer, grows int) *krpc.Error {
	if grows > s.room(o.target) {
		return errFull
	}
	if e == nil {
		return s.charges.refuse(o.from, s.limits)
	}
	return nil
}

// file has e hold it, which o offers; a nil e is made.
func (s *memory) file(e *entry, o *offer, it *Item) *entry {
	if e == nil {
		e = s.add(o)
	} else {
		s.book(e, -1)
	}
	e.item = it
	s.book(e, 1)
	return e
}

// add returns an entry for o that has yet to get its item.
func (s *memory) add(o *offer) *entry {
	if s.entries == nil {
		s.entries, s.charges = make(map[krpc.ID]*entry), make(charges)
	}
	e := &entry{target: o.target, from: o.from}
	e.expires.Of, e.due.Of = e, e
	s.entries[e.target] = e
	s.expiries.Push(&e.expires)
	s.dues.Push(&e.due)
	s.row(e.target).push(e)
	s.charges.add(e.from, 1)
	return e
}

// book adds what e holds to the books, or with a sign of -1 takes it off.
func (s *memory) book(e *entry, sign int) {
	bytes := sign * cost(e.item)
	s.bytes += bytes
	s.row(e.target).bytes += bytes
	if e.item.Mutable() {
		s.mutable += sign
	}
}

// refresh notes that e was put again by o. That never shortens its life.
func (s *memory) refresh(e *entry, o *offer) {
	e.received = o.now
	if expires := o.now.Add(o.life); expires.After(e.expires.At) {
		s.expiries.Move(&e.expires, expires)
	}
	s.dues.Move(&e.due, o.now.Add(s.republishAfter()))
	r := s.row(e.target)
	r.remove(e)
	r.push(e)
}

// remove takes e off the shelf.
func (s *memory) remove(e *entry) {
	s.book(e, -1)
	s.row(e.target).remove(e)
	s.expiries.Remove(&e.expires)
	s.dues.Remove(&e.due)
	s.charges.add(e.from, -1)
	delete(s.entries, e.target)
	if len(s.entries) == 0 {
		s.entries, s.charges, s.rows, s.expiries, s.dues = nil, nil, nil, nil, nil
	}
}
