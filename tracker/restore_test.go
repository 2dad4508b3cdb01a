package tracker

import (
	"math/rand/v2"
	"testing"
	"time"
)

// manySwarms returns records of so many swarms with a peer each, in no order, and how many ticks
// after the start each was used. All of that is within a lifetime before now.
func manySwarms(n int) (log []logged, used []uint32, now time.Time) {
	const ticks = 30_000
	log, used = make([]logged, n), make([]uint32, n)
	for i, h := range rand.New(rand.NewPCG(*seed, 5)).Perm(n) {
		ih, p := hashOf(h), makePeerKey(publicPeer(h))
		used[h] = uint32(h * ticks / n)
		at := unixTick(start) + used[h]
		log[i] = logged{start, appendSwarmRecord(nil, v4, &ih, at, at, p.entry[:width4])}
	}
	return log, used, start.Add(ticks * tickLength)
}

// smaller returns the configuration of a store that has room for so many swarms of a peer.
func smaller(swarms int, bytes bool) SwarmsConfig {
	cfg := SwarmsConfig{Shards: 1, Lifetime: maxLifetime, MaxHashes: swarms}
	if bytes {
		cfg.MaxHashes, cfg.MaxBytes = 1<<30, int64(swarms*(hashCost+roomFor(width4)))
	}
	return cfg
}

// A store that has become smaller keeps what was used last, whatever the order of the records.
// For each swarm that is too many it does not search through all: that would take minutes.
func TestASmallerStoreTakesWhatWasUsedLast(t *testing.T) {
	const before, after = 100_000, 40_000
	log, used, now := manySwarms(before)
	for _, bytes := range []bool{false, true} {
		began := time.Now()
		s := restarted(t, smaller(after, bytes), log, now)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("it took %v", took)
		}
		checkRestored(t, s)
		sh := &s.shards[0]
		if n := len(sh.swarms); n < after || n > after+after/restoreSlack {
			t.Errorf("%d swarms, want %d or a little more", n, after)
		}
		least := uint32(1 << 31)
		for _, sw := range sh.swarms {
			least = min(least, sw.used)
		}
		for n, u := range used {
			ih := hashOf(n)
			if u += s.tick(start); u > least && sh.peek(&ih) == nil {
				t.Fatalf("swarm %d has gone: it was used at %d, others stay of %d", n, u, least)
			}
		}
		if len(sh.victims) > 2*len(sh.swarms) {
			t.Errorf("%d victims of %d swarms", len(sh.victims), len(sh.swarms))
		}
		for s.Expire(now).Sub(now) == sweepPause {
		}
		if sh.victims != nil {
			t.Error("what only a replay needs is still there")
		}
	}
}

// What is used, removed and added in the middle of a replay changes who gives way.
func TestVictimsFollowWhatChanges(t *testing.T) {
	const room, swarms = 50, 200
	r := rand.New(rand.NewPCG(*seed, 6))
	s := NewSwarms(SwarmsConfig{Rand: r, Shards: 1, MaxHashes: room}, start)
	sh := &s.shards[0]
	for n := range 20_000 {
		now, h := start.Add(time.Duration(n/100)*tickLength), hashOf(r.IntN(swarms))
		ago := now.Add(-time.Duration(r.IntN(100)) * tickLength)
		switch r.IntN(4) {
		case 0:
			_ = s.Announce(h, publicPeer(n%swarms), false, now)
		case 1:
			s.Full(h, publicPeer(n).Addr(), now)
		default:
			log := []logged{{ago, appendPeerRecord(nil, &h, publicPeer(n%swarms), false)}}
			replay(t, s, log, now)
		}
		if n%1000 == 0 && len(sh.swarms) > 0 {
			sh.remove(sh.swarms[r.IntN(len(sh.swarms))])
		}
		if len(sh.victims) > 2*room {
			t.Fatalf("%d victims of %d swarms", len(sh.victims), room)
		}
		if victim := sh.longestUnused(); victim != nil {
			for _, sw := range sh.swarms {
				if sw.used < victim.used {
					t.Fatalf("one used at %d is to give way, and not the one used at %d", victim.used, sw.used)
				}
			}
		}
	}
	checkRestored(t, s)
}

// BenchmarkReplaySmaller replays a million swarms into a store with room for a tenth.
func BenchmarkReplaySmaller(b *testing.B) {
	log, _, now := manySwarms(1_000_000)
	b.ReportAllocs()
	for b.Loop() {
		restarted(b, smaller(100_000, false), log, now)
	}
}
