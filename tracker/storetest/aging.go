package storetest

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/tracker"
)

var agingScenarios = []scenario{
	{"a peer lives for its lifetime", testLifetime},
	{"what has expired is given back", testExpire},
	{"time stands still", testStandstill},
	{"time goes back", testBackwards},
	{"a long time passes", testLongTime},
}

func testLifetime(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{Lifetime: time.Hour})
	s.announce(hash(1), false, peer(1))
	s.announce(hash(2), false, peer(1))
	s.now = start.Add(40 * time.Minute)
	s.announce(hash(1), true, peer(2))
	s.now = start.Add(time.Hour)
	s.want(hash(1), peer(1), peer(2))
	s.want(hash(2), peer(1))
	s.now = start.Add(time.Hour + slack)
	s.want(hash(1), peer(2)) // a lookup has prolonged no life
	s.want(hash(2))
	s.now = start.Add(100 * time.Minute)
	s.want(hash(1), peer(2))
	s.now = start.Add(100*time.Minute + slack)
	s.want(hash(1))
}

func testExpire(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{Lifetime: time.Hour})
	for n := range 1000 {
		s.announce(hash(n), n%2 == 0, peer(n), peer(n+1))
	}
	s.now = start.Add(30 * time.Minute)
	s.announce(hash(5), false, peer(1))
	s.expire()
	if st := s.Stats(); st.Hashes != 1000 || st.Peers4 != 2001 {
		t.Fatalf("before they expire: %+v", st)
	}
	s.now = start.Add(time.Hour + slack)
	s.expire()
	if st := s.Stats(); st.Hashes != 1 || s.Hashes() != 1 || st.Peers4 != 1 || st.Seeds4 != 0 {
		t.Fatalf("of one that has not expired: %+v", st)
	}
	s.want(hash(5), peer(1))
	s.now = start.Add(91*time.Minute + slack)
	s.expire()
	if st := s.Stats(); st.Hashes != 0 || s.Hashes() != 0 || st.Peers4 != 0 || st.Bytes != 0 {
		t.Errorf("when all have expired: %+v", st)
	}
}

func testStandstill(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{MaxPeers: 20})
	for range 3 {
		s.announce(hash(1), false, peers(0, 30)...)
		s.expire()
		s.now = start
	}
	s.want(hash(1), peers(10, 30)...)
}

// Calls of two sockets come with times out of order, and clocks are set back.
func testBackwards(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{Lifetime: time.Hour})
	s.now = start.Add(time.Minute)
	s.announce(hash(1), false, peer(1))
	s.now = start
	s.announce(hash(1), true, peer(2))
	s.announce(hash(2), false, peer(3))
	s.want(hash(1), peer(1), peer(2))
	s.now = start.Add(-10 * time.Minute)
	s.announce(hash(2), false, peer(4))
	s.want(hash(1), peer(1), peer(2))
	s.now = start
	s.want(hash(2), peer(3), peer(4))
	s.now = start.Add(time.Hour + time.Minute + slack)
	s.want(hash(1))
	s.want(hash(2))
}

func testLongTime(t testing.TB, open Open) {
	s := newSubject(t, open, tracker.SwarmsConfig{})
	s.announce(hash(1), false, peer(1))
	s.announce(hash(2), false, peer(1))
	s.now = start.Add(400 * 24 * time.Hour)
	s.want(hash(1))
	s.announce(hash(1), false, peer(2))
	s.want(hash(1), peer(2))
	s.want(hash(2))
}
