package kademlia

import (
	"sync/atomic"

	"github.com/kadnode/kadnode/krpc"
)

// bucket holds the contacts that share a given number of leading bits with us.
// Old ones that still live are never evicted for new ones (Maymounkov and
// Mazières, 2002, section 2.2), but for two things: an id that BEP 42 does not allow gives way
// to one that it allows, and in a bucket that is wider than k, the younger half may give way to
// others twice as quick (Jimenez et al., 2011).
type bucket struct {
	live   []contact // in the order in which they came
	keys   []uint64  // see sortedKeys; of the first of live, until the next view
	spares []contact // the replacement cache: verified, newest last
	// idleAt is when the bucket wants a lookup with a target in it, unless there is
	// one before.
	idleAt instant
}

// push adds c to the live, of which there are fewer than most. It makes room for some more at
// a time, not for twice as many: few networks fill the wide buckets.
func (b *bucket) push(c contact, most int) {
	if n := len(b.live); n == cap(b.live) {
		room := min(n+n/8+4, most)
		b.live = append(make([]contact, 0, room), b.live...)
	}
	b.live = append(b.live, c)
}

// yields returns the index of the contact that gives way to c although it lives; -1 if there is
// none. Whoever can choose his id is not helped by being quick.
func (b *bucket) yields(c contact, k int) int {
	if c.secure {
		for j := len(b.live) - 1; j >= 0; j-- {
			if !b.live[j].secure {
				return j
			}
		}
	}
	if j := slowest(b.live, max(k, len(b.live)/2)); j >= 0 && c.secure == b.live[j].secure && c.quickerThan(&b.live[j]) {
		return j
	}
	return -1
}

// index returns the index of the live contact with this id in b, the i-th bucket; -1 if there is
// none.
func (b *bucket) index(id *krpc.ID, i int) int {
	if j := indexByKey(b.keys, b.live, id, i); j >= 0 {
		return j
	}
	if j := indexID(b.live[len(b.keys):], *id); j >= 0 {
		return len(b.keys) + j
	}
	return -1
}

// find returns the contact with this id in b, the i-th bucket, live or a spare; nil if there is
// none.
func (b *bucket) find(id *krpc.ID, i int) *contact {
	if j := b.index(id, i); j >= 0 {
		return &b.live[j]
	}
	if j := indexID(b.spares, *id); j >= 0 {
		return &b.spares[j]
	}
	return nil
}

func indexID(list []contact, id krpc.ID) int {
	for i := range list {
		if list[i].id == id {
			return i
		}
	}
	return -1
}

// worst returns the index of the contact to give up first: the most failures,
// then the id that BEP 42 does not allow.
func worst(list []contact) int {
	w := 0
	for i := range list {
		a, b := atomic.LoadUint32(&list[i].fails), atomic.LoadUint32(&list[w].fails)
		if a > b || a == b && !list[i].secure && list[w].secure {
			w = i
		}
	}
	return w
}

// slowest returns the index of the slowest contact but for those that have been here
// the longest, so many, whom nobody may push out; -1 if there are no others.
func slowest(list []contact, oldest int) int {
	s := -1
	for i := oldest; i < len(list); i++ {
		if s < 0 || list[i].rtt > list[s].rtt {
			s = i
		}
	}
	return s
}
