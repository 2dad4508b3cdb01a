package store

import (
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
)

const (
	// minCopyLife is the life for which a copy is worth a datagram.
	minCopyLife = time.Minute
	// updateLife is what an update of an item has to live if nobody said how long the
	// newer one has. Its publisher should put it again within that time (BEP 44).
	updateLife = time.Hour
	// maxSpreading bounds the stores under way that gets leave behind; beyond that a get
	// leaves none.
	maxSpreading = 64
)

// spread leaves the network in a better state than the get found it in. left is what
// the item has to live; 0: nobody knows.
//
// No copy outlives the one that it is made of, so that reading never keeps an item that
// its publisher has given up.
func (f *finding) spread(left time.Duration) {
	older := left
	if older == 0 {
		older = updateLife
	}
	f.items.renewHeld(f.best, f.target, older)
	for i := range f.Results {
		if f.Results[i].Err == nil || f.foundBy(i) {
			f.update(i, older)
			f.cache(i, left)
		}
	}
}

// foundBy tells whether lookup i came upon the item. If not, and it was ended early, its
// closest nodes are not close.
func (f *finding) foundBy(i int) bool {
	for j := range f.holders {
		if h := &f.holders[j]; h.node == i && h.item == f.best {
			return true
		}
	}
	return false
}

// update gives the item to those of the closest nodes that have an older one.
func (f *finding) update(i int, life time.Duration) {
	var older []kademlia.Contact
	for _, c := range f.Results[i].Willing {
		if h := f.holder(i, c.NodeInfo); h != nil && !h.lied && h.seq < f.best.Seq {
			older = append(older, c)
		}
	}
	f.give(i, older, life, &f.items.counters.updates)
}

// cache gives a copy to the closest node that replied without the item, as Kademlia does
// along the path of a lookup. Its life halves with each node between that one and the
// target (Maymounkov and Mazières, 2002, section 2.3), so that what many read spreads and
// what few read stays where it is looked for.
func (f *finding) cache(i int, left time.Duration) {
	for _, c := range f.Results[i].Willing {
		if f.holder(i, c.NodeInfo) == nil {
			f.give(i, []kademlia.Contact{c}, left>>c.Rank, &f.items.counters.copies)
			return
		}
	}
}

// give has the nodes to store the item for so long, and adds those that do to count.
func (f *finding) give(i int, to []kademlia.Contact, life time.Duration, count *atomic.Uint64) {
	under := &f.items.counters.spreading
	if len(to) == 0 || life < minCopyLife {
		return
	}
	if under.Add(1) > maxSpreading {
		under.Add(-1)
		return
	}
	it := f.best
	f.items.nodes[i].Store(to, kademlia.Store{
		Method: krpc.MethodPut,
		Fill:   func(m *krpc.Message, _ krpc.NodeInfo) { it.fillPut(m, f.target, life) },
		Lookup: f.lookup(i),
		Done: func(res kademlia.StoreResult) {
			under.Add(-1)
			count.Add(uint64(res.Stored))
		},
	})
}

// renewHeld replaces older versions of it on our own shelves.
func (s *Items) renewHeld(it *Item, target krpc.ID, life time.Duration) {
	now := s.clock.Now()
	for i := range s.shelves {
		if held, _, ok := s.shelves[i].get(target, now); ok && held.Seq < it.Seq {
			s.shelves[i].take(offer{item: *it, target: target, life: life, self: s.nodes[i].ID(), now: now}, it.clone())
		}
	}
}
