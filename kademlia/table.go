package kademlia

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync/atomic"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// questionableAge is how long a contact may be silent before it is pinged
	// (BEP 5).
	questionableAge = 15 * time.Minute
	// refreshAge is the longest that a bucket goes without a lookup in it (BEP 5).
	refreshAge = 15 * time.Minute
	// retryAge is the wait after a contact's first failure to answer a ping.
	retryAge = time.Minute

	// maxFails is how many queries in a row a contact may leave unanswered while
	// nobody waits for its place; with a replacement at hand it may leave none.
	maxFails = 3
	// maxSpares bounds the replacement cache of a bucket.
	maxSpares = 8
	// topBucket is the size of the farthest bucket. It halves from each bucket to
	// the next down to k, which saves the first hops of a lookup (Jimenez et al.,
	// "Sub-Second Lookups on a Large-Scale Kademlia-Based Overlay", P2P 2011).
	topBucket = 128
)

// table is the routing table of one node and one address family. Only nodes
// that have replied enter it. It is not safe for concurrent use; what readers on
// other goroutines need is in the view.
type table struct {
	self    krpc.ID
	k       int
	start   time.Time
	buckets []bucket // by common prefix length with self
	memory  memory   // of contacts that they have no place for
	dirty   bool     // the view is out of date

	networks networks // of what is live in buckets
	strict   bool     // most ids of the DHT are bound to addresses, see bound.go
}

// at returns now as the table keeps it.
func (t *table) at(now time.Time) instant { return instant(now.Sub(t.start)) }

func (t *table) capacity(i int) int { return max(t.k, topBucket>>min(i, 16)) }

// bucketOf returns the bucket for id, which is not self, growing the table as
// needed.
func (t *table) bucketOf(id krpc.ID, now time.Time) (int, *bucket) {
	i := t.self.CommonPrefixLen(id)
	if i >= cap(t.buckets) {
		t.buckets = append(make([]bucket, 0, i+3), t.buckets...) // the deepest ones are few
	}
	for len(t.buckets) <= i {
		t.buckets = append(t.buckets, bucket{idleAt: t.at(now) + instant(refreshAge/2)})
	}
	return i, &t.buckets[i]
}

func (t *table) size() int { return t.networks.size() }

// closestOfAll returns the up to count contacts closest to target, those that have failed
// included.
func (t *table) closestOfAll(target krpc.ID, count int) (list []contactRTT) {
	for i := range t.buckets {
		for j := range t.buckets[i].live {
			c := &t.buckets[i].live[j]
			list = append(list, contactRTT{c.info(), c.rtt})
		}
	}
	slices.SortFunc(list, func(a, b contactRTT) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	return list[:min(len(list), count)]
}

// responded takes note of a reply from n, which took rtt. It reports whether n is new
// in the table. Who finds no place there is remembered.
func (t *table) responded(n krpc.NodeInfo, rtt time.Duration, now time.Time) bool {
	if n.ID == t.self {
		return false
	}
	i, b := t.bucketOf(n.ID, now)
	if j := b.index(&n.ID, i); j >= 0 && b.live[j].at(n.Addr) { // and so it is not in the memory
		b.live[j].alive(t.at(now))
		b.live[j].rtt = millisOf(rtt)
		return false
	}
	c := newContact(n, millisOf(rtt), t.at(now))
	if t.enter(i, b, c) {
		t.memory.remove(n)
		return true
	}
	t.memory.add(n, c.rtt, t.at(now))
	return false
}

// enter gives c, which has just replied and is not live, the place in bucket i that is due to it.
// It reports whether it is a new one among the live.
func (t *table) enter(i int, b *bucket, c contact) bool {
	n := c.info()
	if old := b.find(&n.ID, i); old != nil {
		if old.at(n.Addr) {
			old.alive(c.seen.instant())
			old.rtt = c.rtt
			return false
		} else if old.answers() {
			// Whoever claims the id of a live contact has to wait until that fails.
			return false
		}
		t.remove(n.ID)
	}
	if !diverse(n.Addr.Addr()) || !t.admits(n) { // else nobody is known at this address
		t.dropAddr(n)
		if !t.admits(n) {
			return false
		}
	}
	if len(b.live) < t.capacity(i) {
		b.push(c, t.capacity(i))
		t.networks.add(&c)
		t.dirty = true
		return true
	}
	if j := worst(b.live); !b.live[j].answers() {
		t.replace(b, j, c)
		return true
	}
	if j := b.yields(c, t.k); j >= 0 {
		t.remember(b.live[j])
		t.replace(b, j, c)
		return true
	}
	if slices.ContainsFunc(b.spares, func(c contact) bool { return rivals(c.addr(), n.Addr.Addr()) || c.at(n.Addr) }) {
		return false
	}
	if len(b.spares) == maxSpares {
		b.spares = slices.Delete(b.spares, 0, 1)
	}
	b.spares = append(b.spares, c)
	return false
}

// remember keeps in mind a contact that loses its place to a better one.
func (t *table) remember(c contact) { t.memory.add(c.info(), c.rtt, c.seen.instant()) }

// answered takes note that n lives, but has not said who it is: it sent an error.
func (t *table) answered(n krpc.NodeInfo, now time.Time) {
	t.memory.remove(n) // Lookups have no use for it.
	if i := t.self.CommonPrefixLen(n.ID); i < len(t.buckets) {
		b := &t.buckets[i]
		if j := b.index(&n.ID, i); j >= 0 && b.live[j].at(n.Addr) {
			b.live[j].alive(t.at(now))
		}
	}
}

// queried takes note of a query from n. It reports whether n would be welcome:
// unknown, with room for it. A query alone lets nobody in, since its sender may
// be unreachable or not even exist.
func (t *table) queried(n krpc.NodeInfo, now time.Time) bool {
	if n.ID == t.self {
		return false
	}
	i, b := t.bucketOf(n.ID, now)
	if j := b.index(&n.ID, i); j >= 0 {
		if c := &b.live[j]; c.at(n.Addr) {
			c.seen = t.at(now).second()
		}
		return false
	}
	return t.wants(i, b, n)
}

// unknown tells whether n is not in the table and would enter it by a reply.
func (t *table) unknown(n krpc.NodeInfo, now time.Time) bool {
	if n.ID == t.self {
		return false
	}
	i, b := t.bucketOf(n.ID, now)
	return b.index(&n.ID, i) < 0 && t.wants(i, b, n)
}

// pinged takes note that the contact with this id is asked for a sign of life, so
// that it is not asked again before it could answer.
func (t *table) pinged(id krpc.ID, now time.Time) {
	i := t.self.CommonPrefixLen(id)
	b := &t.buckets[i]
	if j := b.index(&id, i); j >= 0 {
		b.live[j].tried = t.at(now).second()
	}
}

// probation lets the contact with this id be pinged again after verifyDelay.
func (t *table) probation(id krpc.ID, now time.Time) {
	if i := t.self.CommonPrefixLen(id); i < len(t.buckets) {
		b := &t.buckets[i]
		if j := b.index(&id, i); j >= 0 {
			b.live[j].seen = (t.at(now) + instant(verifyDelay-questionableAge)).second()
		}
	}
}

// neighbour tells whether id would be among the k closest to us.
func (t *table) neighbour(id krpc.ID) bool {
	closer := 0
	for i := t.self.CommonPrefixLen(id) + 1; i < len(t.buckets) && closer < t.k; i++ {
		closer += len(t.buckets[i].live)
	}
	return closer < t.k
}

// wants tells whether n, which is not in the table, would enter it by a reply.
func (t *table) wants(i int, b *bucket, n krpc.NodeInfo) bool {
	full := len(b.live) >= t.capacity(i) && (len(b.spares) > 0 || b.live[worst(b.live)].answers())
	return !full && t.admits(n)
}

// rivals tells whether only one of two addresses may have a place.
func rivals(a, b netip.Addr) bool {
	return subnetOf(a) == subnetOf(b) && diverse(a) && diverse(b)
}

// disowned takes note that somebody else answers at the contact n's address, or
// that nothing is to be had from there.
func (t *table) disowned(n krpc.NodeInfo) {
	t.memory.remove(n)
	if i := t.self.CommonPrefixLen(n.ID); i < len(t.buckets) {
		b := &t.buckets[i]
		if j := b.index(&n.ID, i); j >= 0 && b.live[j].at(n.Addr) {
			t.remove(n.ID)
		}
	}
}

// removeIf takes the contacts at the addresses out of which f picks.
func (t *table) removeIf(f func(netip.Addr) bool) {
	for i := range t.buckets {
		b := &t.buckets[i]
		out := func(c contact) bool { return f(c.addr()) }
		b.spares = slices.DeleteFunc(b.spares, out)
		before := len(b.live)
		b.live = slices.DeleteFunc(slices.Clone(b.live), func(c contact) bool {
			gone := out(c)
			if gone {
				t.networks.remove(&c)
			}
			return gone
		})
		if len(b.live) < before {
			b.keys, t.dirty = nil, true
		}
	}
	t.memory.removeIf(func(r *remembered) bool { return f(r.addr()) })
}

// dropAddr removes a contact at the very address of n that has another id: the
// node there has changed its own.
func (t *table) dropAddr(n krpc.NodeInfo) {
	addr := addressOf(n.Addr)
	for i := range t.buckets {
		for j := range t.buckets[i].live {
			if c := &t.buckets[i].live[j]; c.address == addr && c.id != n.ID {
				t.remove(c.id)
				return
			}
		}
	}
}

// failed takes note that the contact n left a query unanswered: it makes room
// for a replacement at once, or goes after maxFails without one.
func (t *table) failed(n krpc.NodeInfo, now time.Time) {
	if n.ID == t.self {
		return
	}
	t.memory.remove(n)
	i, b := t.bucketOf(n.ID, now)
	if j := indexID(b.spares, n.ID); j >= 0 && b.spares[j].at(n.Addr) {
		b.spares = slices.Delete(b.spares, j, j+1)
		return
	}
	j := b.index(&n.ID, i)
	if j < 0 || !b.live[j].at(n.Addr) {
		return
	}
	c := &b.live[j]
	fails := atomic.AddUint32(&c.fails, 1)
	c.tried = t.at(now).second()
	if t.promote(b, j) {
		return
	}
	if fails >= maxFails {
		t.remove(n.ID)
	}
}

// promote puts the best replacement in the place of b.live[j]: an id that BEP 42
// allows before others, then the newest.
func (t *table) promote(b *bucket, j int) bool {
	best := -1
	for i := range b.spares {
		c := &b.spares[i]
		if (best < 0 || c.secure || !b.spares[best].secure) && t.admits(c.info()) {
			best = i
		}
	}
	if best < 0 {
		return false
	}
	c := b.spares[best]
	b.spares = slices.Delete(b.spares, best, best+1)
	t.memory.remove(c.info())
	t.replace(b, j, c)
	return true
}

// replace puts c in the place of b.live[j], behind all that came before it.
func (t *table) replace(b *bucket, j int, c contact) {
	t.drop(b, j)
	b.live = append(b.live, c)
	t.networks.add(&c)
}

// drop removes b.live[j]. Views share the array, so that the change is made in a new one.
func (t *table) drop(b *bucket, j int) {
	t.networks.remove(&b.live[j])
	rest := make([]contact, 0, len(b.live))
	b.live = append(append(rest, b.live[:j]...), b.live[j+1:]...)
	b.keys = keysWithout(b.keys, j)
	t.dirty = true
}

// remove takes the contact with this id out of the table.
func (t *table) remove(id krpc.ID) {
	i := t.self.CommonPrefixLen(id)
	b := &t.buckets[i]
	if j := b.index(&id, i); j >= 0 {
		t.drop(b, j)
	}
	if j := indexID(b.spares, id); j >= 0 {
		b.spares = slices.Delete(b.spares, j, j+1)
	}
}

// pings returns up to limit contacts that are due for a ping, and when the next
// one will be.
func (t *table) pings(now time.Time, limit int) (due []krpc.NodeInfo, next time.Time) {
	late := t.at(now)
	first := late + instant(questionableAge)
	for i := range t.buckets {
		live := t.buckets[i].live
		for j := range live {
			at := live[j].pingDue()
			if at <= late && len(due) < limit {
				due = append(due, live[j].info())
				continue
			}
			first = min(first, at)
		}
	}
	return due, t.start.Add(time.Duration(first))
}

// idle returns a random id in each of the first depth buckets that has been without a lookup in it
// for too long, the longest first.
func (t *table) idle(now time.Time, depth int, rng *rand.Rand) []krpc.ID {
	var idle []int
	for i := range depth {
		if t.buckets[i].idleAt <= t.at(now) {
			idle = append(idle, i)
		}
	}
	slices.SortStableFunc(idle, func(i, j int) int { return cmp.Compare(t.buckets[i].idleAt, t.buckets[j].idleAt) })
	targets := make([]krpc.ID, len(idle))
	for at, i := range idle {
		targets[at] = idInBucket(t.self, i, rng)
	}
	return targets
}

// depth returns the number of buckets that are worth a lookup: down to the one in
// which the k closest contacts end. One contact says nothing of the depth, since it
// can have taken its id after ours.
func (t *table) depth() int {
	closer := 0
	for i := len(t.buckets) - 1; i > 0; i-- {
		if closer += len(t.buckets[i].live); closer >= t.k {
			return i + 1
		}
	}
	return min(1, len(t.buckets))
}

// lookedUp takes note of a lookup for target. Its bucket is idle after a random
// time of up to refreshAge: all are looked at when a node joins, and nodes may
// have joined together.
func (t *table) lookedUp(target krpc.ID, now time.Time, rng *rand.Rand) {
	if i := t.self.CommonPrefixLen(target); i < len(t.buckets) {
		wait := refreshAge/2 + time.Duration(rng.Int64N(int64(refreshAge/2)))
		t.buckets[i].idleAt = t.at(now) + instant(wait)
	}
}

// rebase moves the contacts to a table around a new id.
func (t *table) rebase(self krpc.ID, now time.Time) {
	old := t.buckets
	*t = table{self: self, k: t.k, start: t.start, memory: t.memory, dirty: true, strict: t.strict}
	for i := range old {
		for _, c := range slices.Concat(old[i].live, old[i].spares) {
			if c.id == self {
				continue
			}
			j, b := t.bucketOf(c.id, now)
			if len(b.live) < t.capacity(j) && t.admits(c.info()) {
				b.live = append(b.live, c)
				t.networks.add(&c)
				t.memory.remove(c.info()) // where it is if it was a spare
			} else if c.answers() {
				t.remember(c)
			}
		}
	}
}

// idInBucket draws an id that shares exactly the first i bits with self.
func idInBucket(self krpc.ID, i int, rng *rand.Rand) krpc.ID {
	id := krpc.RandomID(rng)
	for b := range i {
		mask := byte(0x80) >> (b % 8)
		id[b/8] = id[b/8]&^mask | self[b/8]&mask
	}
	if i < 8*krpc.IDLen {
		mask := byte(0x80) >> (i % 8)
		id[i/8] = id[i/8]&^mask | ^self[i/8]&mask
	}
	return id
}
