package tracker

import (
	"testing"
	"time"
)

// round calls Expire until its round is over and returns when the next is due.
func round(t *testing.T, s *Swarms, now time.Time) (next time.Time) {
	t.Helper()
	for range 10_000 {
		next = s.Expire(now)
		if !next.After(now) {
			t.Fatalf("Expire at %v wants to be called again at %v", now, next)
		}
		if next.Sub(now) > sweepPause {
			return next
		}
		now = next
	}
	t.Fatal("Expire's round has no end")
	return next
}

func TestExpireOfAnEmptyStoreSleepsForALifetime(t *testing.T) {
	s := newSwarms(SwarmsConfig{})
	if d := round(t, s, start).Sub(start); d < 45*time.Minute {
		t.Errorf("called again after %v", d)
	}
}

func TestExpireFollowsTheNextPeerDue(t *testing.T) {
	s := newSwarms(SwarmsConfig{})
	mustAnnounce(t, s, hashOf(1), publicPeer(1), true, start)
	mustAnnounce(t, s, hashOf(2), publicPeer(2), false, start.Add(20*time.Minute))

	next := round(t, s, start.Add(30*time.Minute))
	if d := next.Sub(start); d < 45*time.Minute || d > 46*time.Minute {
		t.Fatalf("the first is due after %v, want 45 minutes", d)
	}
	wantPeers(t, s, hashOf(1), next.Add(-tickLength), publicPeer(1).String())
	next = round(t, s, next)
	if st := s.Stats(); st.Hashes != 1 || st.Expired != 1 || st.Seeds4 != 0 {
		t.Fatalf("stats %+v, want the first peer gone with its swarm", st)
	}
	if d := next.Sub(start); d < 65*time.Minute || d > 66*time.Minute {
		t.Fatalf("the second is due after %v, want 65 minutes", d)
	}
	round(t, s, next)
	if st := s.Stats(); st.Hashes != 0 || st.Peers4 != 0 || st.Bytes != 0 {
		t.Errorf("stats %+v, want an empty store", st)
	}
}

func TestExpireRestsBetweenRounds(t *testing.T) {
	s := newSwarms(SwarmsConfig{})
	for n := range 100 {
		mustAnnounce(t, s, hashOf(n), publicPeer(n), false, start.Add(time.Duration(n)*time.Second))
	}
	now := start.Add(45*time.Minute + 40*time.Second)
	if d := round(t, s, now).Sub(now); d != sweepRest {
		t.Errorf("the next round is %v later, want %v", d, sweepRest)
	}
}

func TestExpireIsIncremental(t *testing.T) {
	const hashes = 10_000
	s := newSwarms(SwarmsConfig{})
	for n := range hashes {
		mustAnnounce(t, s, hashOf(n), publicPeer(n), false, start)
	}
	now, calls := start.Add(46*time.Minute), 0
	for held := hashes; held > 0; calls++ {
		now = s.Expire(now)
		left := s.Stats().Hashes
		if held-left > sweepVisits+sweepHold {
			t.Fatalf("one call removed %d swarms", held-left)
		}
		held = left
	}
	if calls < hashes/(sweepVisits+sweepHold) || calls > 2*hashes/sweepVisits {
		t.Errorf("%d calls for %d swarms", calls, hashes)
	}
}

func TestExpireMissesNothingThatChangesMeanwhile(t *testing.T) {
	s := newSwarms(SwarmsConfig{Shards: 1})
	for n := range 5000 {
		mustAnnounce(t, s, hashOf(n), publicPeer(n), false, start)
	}
	now := start.Add(46 * time.Minute)
	for n := 5000; ; n++ {
		next := s.Expire(now)
		mustAnnounce(t, s, hashOf(n), publicPeer(n), false, now)
		mustAnnounce(t, s, hashOf(n-5000), publicPeer(n), false, now) // revives one
		if next.Sub(now) > sweepPause {
			break
		}
		now = next
	}
	if st := s.Stats(); st.Expired != 5000 || st.Hashes != st.Peers4 {
		t.Errorf("stats %+v, want the 5000 old peers gone", st)
	}
}

func TestExpireShrinksArrays(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
	for n := range 1000 {
		mustAnnounce(t, s, ih, publicPeer(n), false, start)
	}
	later := start.Add(40 * time.Minute)
	for n := range 10 {
		mustAnnounce(t, s, ih, publicPeer(n), false, later)
	}
	now := start.Add(46 * time.Minute)
	round(t, s, now)
	if st := s.Stats(); st.Peers4 != 10 || st.Bytes != int64(hashCost+roomFor(10*width4)) {
		t.Errorf("stats %+v, want 10 peers in a small array", st)
	}
	if n := len(peersOf(s, ih, SampleOptions{}, now)); n != 10 {
		t.Errorf("%d peers left, want 10", n)
	}
}

func TestSwarmsBearClocksThatDisagree(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
	mustAnnounce(t, s, ih, publicPeer(1), false, start.Add(time.Minute))
	mustAnnounce(t, s, ih, publicPeer(2), false, start)                           // a batch that was slow
	mustAnnounce(t, s, hashOf(2), publicPeer(3), false, start.Add(-24*time.Hour)) // before the epoch
	wantPeers(t, s, ih, start, publicPeer(1).String(), publicPeer(2).String())
	round(t, s, start)
	if n := s.Stats().Peers4; n != 3 {
		t.Errorf("%d peers, want 3", n)
	}
	// Nobody asked for ten days: longer than a stamp can tell.
	if got := peersOf(s, ih, SampleOptions{}, start.Add(10*24*time.Hour)); len(got) != 0 {
		t.Errorf("ten days later there are %v", got)
	}
}
