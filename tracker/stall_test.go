package tracker

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// maxStall is for how long nothing that the store does may hold up a packet.
const maxStall = 5 * time.Millisecond

// TestExpiryOfAMillionPeersHoldsUpNobody measures the longest call while they expire. A
// call of Expire counts as a whole, as if there were no core but the one that it has. One
// of three tries has to do: what else runs on the machine delays some calls.
func TestExpiryOfAMillionPeersHoldsUpNobody(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("measures the time that it takes to forget 1 000 000 peers")
	}
	for _, shape := range []struct {
		name          string
		hashes, peers int
		refreshed     int // of the peers of each swarm, so that they stay
	}{
		{"swarms of 100", 10_000, 100, 0},
		{"half of each swarm of 100", 10_000, 100, 50},
		{"half of each swarm of 2000", 500, 2000, 1000},
		{"swarms of 5", 190_000, 5, 0},
	} {
		t.Run(shape.name, func(t *testing.T) {
			longest := maxStall + 1
			for try := 0; try < 3 && longest > maxStall; try++ {
				s := newSwarms(SwarmsConfig{MaxHashesPerSubnet: 1_000_000})
				for n := range shape.peers {
					at := start
					if n >= shape.peers-shape.refreshed {
						at = start.Add(20 * time.Minute)
					}
					for h := range shape.hashes {
						mustAnnounce(t, s, hashOf(h), publicPeer(n), n%3 == 0, at)
					}
				}
				expiring, serving := longestCalls(t, s, shape.hashes, start.Add(46*time.Minute))
				if left := s.Stats().Peers4; left > (shape.refreshed+2)*shape.hashes {
					t.Fatalf("%d peers are left", left)
				}
				t.Logf("at most %v for a call of Expire, %v for an announce or a sample", expiring, serving)
				longest = max(expiring, serving)
			}
			if longest > maxStall {
				t.Errorf("held up for %v", longest)
			}
		})
	}
}

// longestCalls goes through a round of Expire, and announces and samples as the swarms
// expire.
func longestCalls(t *testing.T, s *Swarms, hashes int, now time.Time) (expiring, serving time.Duration) {
	t.Helper()
	buf := make([]byte, 0, krpc.MaxDatagram)
	for n := 0; ; {
		began := time.Now()
		next := s.Expire(now)
		expiring = max(expiring, time.Since(began))
		if next.Sub(now) > sweepPause {
			return expiring, serving
		}
		now = next
		for range 64 { // a batch of the socket
			ih, peer := hashOf(n*7919%hashes), publicPeer(70_000)
			n++
			began := time.Now()
			_, _ = s.SampleAndFull(buf, ih, SampleOptions{Max: 50}, peer.Addr(), now)
			mustAnnounce(t, s, ih, peer, false, now)
			serving = max(serving, time.Since(began))
		}
	}
}
