package tracker

import (
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc/simnet"
)

// TestAnOverloadedNodeFindsAndAnnounces is about a node that is asked twice as much as it
// can answer: half of what comes is dropped, replies to its own queries too. Here that
// half is lost on the way out, which is the same for who waits for the replies.
func TestAnOverloadedNodeFindsAndAnnounces(t *testing.T) {
	const trials = 50
	w := newWorld(t, 200, Config{})
	busy := w.members[7]
	busy.host.SetLink(simnet.Link{Latency: simnet.LognormalRTT(90*time.Millisecond, 350*time.Millisecond, *seed), Loss: .5})
	var slowest time.Duration
	found, stored := 0, 0
	for range trials {
		ih, other := w.randomHash(), w.any()
		if res := w.announce(other, ih, AnnounceOptions{Port: 6881}); res.Stored < 7 { // busy may be the eighth
			t.Fatalf("stored at %d", res.Stored)
		}
		began := w.clock.Now()
		if peers, _ := w.find(busy, ih); len(peers) == 1 {
			found++
		}
		slowest = max(slowest, w.clock.Now().Sub(began))
		stored += w.announce(busy, w.randomHash(), AnnounceOptions{Port: 6881}).Stored
	}
	t.Logf("found in %d of %d lookups, the slowest of %v; announces confirmed by %.1f nodes", found, trials, slowest, float64(stored)/trials)
	if found < trials {
		t.Error("some have found nothing")
	}
	if slowest > 15*time.Second {
		t.Error("some took too long")
	}
	if stored < 3*trials {
		t.Error("few have confirmed an announce")
	}
}
