package tracker

import (
	"math"
	"sync"
	"time"
)

// The rhythm of Expire. What has expired is never handed out, so it is only
// about memory, and packets that wait matter more: for a shard, or for the only
// core, which a call has for 2 ms if all swarms are full and lose half of their peers.
const (
	sweepVisits = 256                   // swarms a call, about
	sweepHold   = 64                    // swarms for which a lock is held
	sweepPause  = 25 * time.Millisecond // between the calls of a round
	sweepRest   = time.Minute           // between rounds, at least
)

// sweep is where Expire is on its round through the shards.
type sweep struct {
	mu       sync.Mutex
	shard    int
	pos      int    // the swarms below it in the shard are still to be visited
	earliest uint32 // the tick at which a peer seen in this round expires first
}

// begin begins a round at tick t. What is announced behind its back during the
// round expires a lifetime from now at the earliest.
func (r *sweep) begin(t, life uint32) {
	r.shard, r.pos, r.earliest = 0, math.MaxInt, t+life+1
}

// Expire gives back the memory of expired peers. A call does a bounded amount of
// work, and holds no lock for more than a few swarms at a time. It returns when
// to call it again: shortly during a round through the store, and when the next
// peer expires, but a minute at least, after one.
func (s *Swarms) Expire(now time.Time) (next time.Time) {
	t, r := s.tick(now), &s.sweep
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.shard == len(s.shards) {
		r.begin(t, s.limits.life)
	}
	for visits := 0; visits < sweepVisits && r.shard < len(s.shards); visits++ {
		visits += s.shards[r.shard].sweep(r, t)
		if r.pos == 0 {
			r.shard, r.pos = r.shard+1, math.MaxInt
		}
	}
	if r.shard < len(s.shards) {
		return now.Add(sweepPause)
	}
	next = s.epoch.Add(time.Duration(r.earliest) * tickLength)
	if rested := now.Add(sweepRest); next.Before(rested) {
		return rested
	}
	return next
}

// sweep visits up to sweepHold swarms and returns their number. It goes
// downwards, because remove fills a gap with the last swarm: one that was
// visited already, or is new.
func (sh *shard) sweep(r *sweep, t uint32) (visits int) {
	sh.mu.Lock()
	defer sh.mu.Unlock()
	sh.victims = nil // the replay, if there was one, has ended
	r.pos = min(r.pos, len(sh.swarms))
	for ; r.pos > 0 && visits < sweepHold; visits++ {
		r.pos--
		sw := sh.swarms[r.pos]
		if sw.dead(t, sh.limits.life) {
			sh.removeDead(sw)
			continue
		}
		for f := range sw.peers {
			a := &sw.peers[f]
			sh.trim(sw, family(f), t)
			before := a.tally()
			a.shrink()
			sh.settle(family(f), before, a.tally())
			if a.len() > 0 {
				r.earliest = min(r.earliest, a.tick(0)+sh.limits.life+1)
			}
		}
	}
	return visits
}
