package tracker

import (
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// restoreSlack is by which part a shard may be larger than its bound after a restart. A snapshot
// takes a while, and what goes in one place meanwhile comes in another: of a store that was
// full, it has a little more than there ever was at a time.
const restoreSlack = 32

// restore stores the entries of a swarm again that have not expired. The last of them was
// announced at a tick since 1970, and the swarm was used at one.
func (s *Swarms) restore(ih *krpc.ID, f family, entries []byte, last, used uint32, now time.Time) error {
	age := age1970(last, now)
	if age > s.limits.life {
		return nil
	}
	t := s.tick(now)
	r := restoring{now: t, age: age, used: t - min(age, age1970(used, now), t)}
	sh := s.shard(ih)
	sh.mu.Lock()
	defer sh.mu.Unlock()
	return sh.restore(ih, f, entries, r)
}

// age1970 returns how many ticks ago a tick since 1970 was; 0 if the clock was set back since.
func age1970(then uint32, now time.Time) uint32 {
	return uint32(max(0, int64(unixTick(now))-int64(then)))
}

// restoring says what ticks there are for entries to be restored.
type restoring struct {
	now  uint32
	age  uint32 // for how many the last entry has been announced
	used uint32 // when the swarm was, not before that
}

func (sh *shard) restore(ih *krpc.ID, f family, entries []byte, r restoring) error {
	sw := sh.restoreSwarm(ih, f, r)
	if sw == nil {
		return nil // there is no room
	}
	w, a := f.width(), &sw.peers[f]
	sh.trim(sw, f, r.now)
	sh.reserve(f, a, len(entries)/w)
	newest := lastStamp(entries)
	for e := entries; len(e) > 0; e = e[w:] {
		stamp := lastStamp(e[:w])
		age := r.age + uint32(newest-stamp)&stampMask
		addr, _ := krpc.ParseCompactAddr(e[:w-stampLen])
		p := makePeerKey(addr)
		if p.family != f || addr.Port() == 0 {
			return errRecord
		}
		if age <= sh.limits.life {
			sh.restorePeer(sw, &p, stamp&seedBit != 0, r.now-min(age, r.now), r)
		}
	}
	return nil
}

// restoreSwarm returns the swarm of ih, which it adds if there is none; nil if there is no
// room. Swarms that were used longer ago give way.
func (sh *shard) restoreSwarm(ih *krpc.ID, f family, r restoring) *swarm {
	sw := sh.peek(ih)
	if sw != nil && sw.dead(r.now, sh.limits.life) {
		sh.removeDead(sw) // or it would be the first to give way to its own peers
		sw = nil
	}
	if sw == nil {
		if !sh.makeWay(1, hashCost+roomFor(f.width()), r.used) {
			return nil
		}
		return sh.add(ih, r.used)
	}
	if r.used > sw.used {
		sw.used = r.used
		sh.lru.Get(*ih) // it is now the newest
	}
	return sw
}

// makeWay is makeRoom for what is restored: what was used longest ago goes, if that was before
// used. The LRU does not know, as records come in another order than calls.
func (sh *shard) makeWay(hashes, bytes int, used uint32) bool {
	for !sh.fits(hashes, bytes-sh.limits.bytes/restoreSlack) {
		victim := sh.longestUnused()
		if victim == nil || victim.used >= used {
			return false
		}
		sh.counts.evicted++
		sh.remove(victim)
	}
	return true
}

// reserve takes memory for n more entries at once, if there is some left.
func (sh *shard) reserve(f family, a *peerArray, n int) {
	n = min(n, sh.limits.peers-a.len())
	if n <= 0 {
		return
	}
	room := roomFor(len(a.b) + n*int(a.width))
	if room <= cap(a.b) || !sh.fits(0, room-cap(a.b)) {
		return
	}
	before := a.tally()
	a.resize(room)
	sh.settle(f, before, a.tally())
}

// restorePeer stores a peer that was announced at tick t, unless it is there and as fresh, or
// has no place because others that are fresher have it.
func (sh *shard) restorePeer(sw *swarm, p *peerKey, seed bool, t uint32, r restoring) {
	a := &sw.peers[p.family]
	near := a.scan(p)
	drop, err := sh.place(a, p, near)
	switch {
	case err != nil && near.subnet >= sh.limits.perSubnet:
		drop = a.nextIn(p, p.subnet, 0) / int(a.width)
	case err != nil:
		drop = a.nextIn(p, p.site, 0) / int(a.width)
	case drop < 0 && !sh.makeWay(0, a.growth(), r.used):
		drop = 0
	}
	if drop >= 0 && (a.len() == 0 || a.tick(drop) > t) {
		return
	}
	sh.ownRestored(sw, p)
	before := a.tally()
	if drop >= 0 {
		a.drop(drop)
	}
	a.insert(p, seed, t)
	sh.settle(p.family, before, a.tally())
}
