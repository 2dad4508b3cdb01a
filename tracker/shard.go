package tracker

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/kadnode/kadnode/krpc"
)

// hashCost is the memory of an info-hash beside its arrays, in bytes: a swarm
// (112) and an entry of the LRU's list (96) as the allocator serves them, a slot
// of the LRU's map (33, at the worst load factor of 7/16 just after it grew), one of
// shard.owners (9, likewise, if all have other owners) and one of shard.swarms (8, at worst
// a quarter of them idle).
const hashCost = 112 + 96 + (33+9)*16/7 + 10

// shard is a store of its own, for the info-hashes that fall to it.
type shard struct {
	limits *limits
	hashes *atomic.Int64 // in all shards
	key    *krpc.SipKey

	mu sync.Mutex
	// lru orders the swarms by their last announce or lookup. Like swarms it is
	// nil while the shard is empty: an idle store costs nothing, and what a flood
	// made the map grow to, which a map never gives back, goes with it.
	lru    *simplelru.LRU[krpc.ID, *swarm]
	swarms []*swarm        // the same ones in no order, to walk them piecemeal
	owners map[owner]int32 // how many of them each has
	// victims are the same ones again while a replay has them give way; nil otherwise.
	victims victims
	rng     rand.PCG
	marks   []uint64 // sample's scratch
	// filters are kept for scrapes, ordered by when they were made; nil until
	// there are some.
	filters *simplelru.LRU[krpc.ID, *filters]

	bytes  int // charged for swarms and arrays, at most limits.bytes
	peers  [families]int
	seeds  [families]int
	counts counts
}

// counts are the events that a shard counts.
type counts struct {
	refusedFull, refusedSubnet, replaced, evicted, expired, scrapesRefused uint64
}

func (sh *shard) announce(ih *krpc.ID, p *peerKey, seed bool, t uint32) error {
	sw := sh.find(ih, t)
	if sw == nil {
		if err := sh.makeRoomForHash(p, t); err != nil {
			return sh.refuse(err)
		}
		sw = sh.add(ih, t)
		sh.own(sw, p)
	}
	a := &sw.peers[p.family]
	sh.trim(sw, p.family, t)
	near := a.scan(p)
	drop, err := sh.admit(sw, p, near, t)
	switch {
	case err != nil:
		return sh.refuse(err)
	case drop >= 0 && near.found < 0:
		sh.counts.replaced++
		if head, found := sh.ownersAmong(sw, p.family, drop, 1); found {
			defer sh.release(sw, p.family, head) // when p is there, which may be of the same network
		}
	}
	before := a.tally()
	if drop >= 0 {
		a.drop(drop)
	}
	a.push(p, seed, t)
	sh.settle(p.family, before, a.tally())
	return nil
}

// full tells whether an announce of p to sw, or to a new swarm if that is nil, would be
// refused.
func (sh *shard) full(sw *swarm, p *peerKey, t uint32) bool {
	var err error
	if sw == nil {
		err = sh.makeRoomForHash(p, t)
	} else {
		a := &sw.peers[p.family]
		sh.trim(sw, p.family, t)
		if near := a.scan(p); near.ip == 0 {
			_, err = sh.admit(sw, p, near, t)
		}
	}
	return sh.refuse(err) != nil
}

// admit applies the bounds to p, whose neighbours in sw are given. It returns
// the index of the entry whose place p takes, or -1 if there is room for one
// more.
func (sh *shard) admit(sw *swarm, p *peerKey, near neighbours, t uint32) (drop int, err error) {
	a := &sw.peers[p.family]
	if drop, err = sh.place(a, p, near); drop < 0 && err == nil {
		err = sh.makeRoom(0, a.growth(), t)
	}
	return drop, err
}

// place is admit with the bounds of the swarm alone.
func (sh *shard) place(a *peerArray, p *peerKey, near neighbours) (drop int, err error) {
	switch {
	case near.found >= 0:
		return near.found, nil
	case near.ip >= sh.limits.perIP && !p.local():
		return near.oldest, nil
	case (near.subnet >= sh.limits.perSubnet || near.site >= siteSubnets*sh.limits.perSubnet) && !p.local():
		return -1, ErrSubnetFull
	case a.len() >= sh.limits.peers:
		return 0, nil
	}
	return -1, nil
}

// refuse counts err by its reason, and returns it.
func (sh *shard) refuse(err error) error {
	switch err {
	case ErrFull:
		sh.counts.refusedFull++
	case ErrSubnetFull:
		sh.counts.refusedSubnet++
	}
	return err
}

// makeRoomForHash is makeRoom for a swarm with p alone in it.
func (sh *shard) makeRoomForHash(p *peerKey, t uint32) error {
	if !sh.mayOwn(p) {
		return ErrSubnetFull
	}
	return sh.makeRoom(1, hashCost+roomFor(p.family.width()), t)
}

// makeRoom evicts until so many info-hashes and bytes more fit within the
// bounds, but nothing that is in use: not what find has just returned.
func (sh *shard) makeRoom(hashes, bytes int, t uint32) error {
	for !sh.fits(hashes, bytes) {
		if len(sh.swarms) == 0 {
			return ErrFull
		}
		_, victim, _ := sh.lru.GetOldest()
		switch {
		case victim.dead(t, sh.limits.life):
			sh.removeDead(victim)
		case expired(victim.used, t, sh.limits.idle):
			sh.counts.evicted++
			sh.remove(victim)
		default:
			return ErrFull
		}
	}
	return nil
}

// fits tells whether so many info-hashes and bytes more are within the bounds.
func (sh *shard) fits(hashes, bytes int) bool {
	return len(sh.swarms)+hashes <= sh.limits.hashes && sh.bytes+bytes <= sh.limits.bytes
}

// peek returns the swarm of ih, or nil.
func (sh *shard) peek(ih *krpc.ID) *swarm {
	if sh.lru == nil {
		return nil
	}
	sw, _ := sh.lru.Peek(*ih)
	return sw
}

// find returns the swarm of ih, or nil, and counts as its use. A swarm that is
// dead is removed instead, with the memory of its arrays.
func (sh *shard) find(ih *krpc.ID, t uint32) *swarm {
	if sh.lru == nil {
		return nil
	}
	sw, ok := sh.lru.Get(*ih)
	if !ok {
		return nil
	}
	if sw.dead(t, sh.limits.life) {
		sh.removeDead(sw)
		return nil
	}
	sw.used = t
	return sw
}

// add adds an empty swarm, for which there must be room.
func (sh *shard) add(ih *krpc.ID, t uint32) *swarm {
	if sh.lru == nil {
		// The error is for sizes below 1. The size is never exceeded: eviction
		// is makeRoom's.
		sh.lru, _ = simplelru.NewLRU[krpc.ID, *swarm](max(1, sh.limits.hashes), nil)
	}
	sw := &swarm{id: *ih, pos: int32(len(sh.swarms)), used: t}
	sw.peers[v4].width = width4
	sw.peers[v6].width = width6
	sh.lru.Add(*ih, sw)
	sh.swarms = append(sh.swarms, sw)
	sh.addVictim(sw)
	sh.hashes.Add(1)
	sh.bytes += hashCost
	return sw
}

// removeDead removes a swarm whose peers have all expired.
func (sh *shard) removeDead(sw *swarm) {
	sh.counts.expired += uint64(sw.peers[v4].len() + sw.peers[v6].len())
	sh.remove(sw)
}

func (sh *shard) remove(sw *swarm) {
	for f := range sw.peers {
		sh.settle(family(f), sw.peers[f].tally(), tally{})
	}
	sh.hashes.Add(-1)
	sh.bytes -= hashCost
	end := len(sh.swarms) - 1
	last := sh.swarms[end]
	sh.swarms[sw.pos], last.pos = last, sw.pos
	sh.swarms[end] = nil
	sh.swarms = sh.swarms[:end]
	sw.pos = gone
	sh.lru.Remove(sw.id)
	sh.forgetFilters(&sw.id)
	sh.disown(sw)
	if end == 0 {
		sh.lru, sh.swarms, sh.owners, sh.victims, sh.filters = nil, nil, nil, nil, nil
	}
}

// trim removes the expired peers of a family from one of the shard's swarms.
func (sh *shard) trim(sw *swarm, f family, t uint32) {
	a := &sw.peers[f]
	n := a.stale(t, sh.limits.life)
	if n == 0 {
		return
	}
	head, found := sh.ownersAmong(sw, f, 0, n)
	before := a.tally()
	a.trim(n)
	sh.settle(f, before, a.tally())
	sh.counts.expired += uint64(n)
	if found {
		sh.release(sw, f, head)
	}
}

// settle books the change of one of the shard's arrays.
func (sh *shard) settle(f family, before, after tally) {
	sh.peers[f] += after.peers - before.peers
	sh.seeds[f] += after.seeds - before.seeds
	sh.bytes += after.bytes - before.bytes
}
