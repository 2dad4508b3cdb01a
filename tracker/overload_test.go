package tracker

import (
	"cmp"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
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

// A node that tracks more than its send rate allows finds peers as soon as an idle one.
func TestSearchesDoNotWaitForAnnounces(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	for _, rate := range []float64{20, 1000} {
		w := newWorld(t, 200, Config{})
		ih := w.randomHash()
		for range 5 {
			w.announce(w.any(), ih, AnnounceOptions{Port: 6881})
		}
		w.change = func(c *kademlia.NodeConfig) { c.Pacer = krpc.NewPacer(rate, int(rate)) }
		m := w.add(Config{}, w.any().addr, w.any().addr, w.any().addr)
		w.clock.Run(5 * time.Minute)
		firstPeer := func() (slowest time.Duration) {
			for range 10 {
				began, first := w.clock.Now(), time.Duration(0)
				m.FindPeers(ih, func(netip.AddrPort) { first = cmp.Or(first, w.clock.Now().Sub(began)) }, func(PeersResult) {})
				w.clock.Run(3 * time.Second)
				if first == 0 {
					t.Fatalf("at a rate of %v: no peer", rate)
				}
				slowest = max(slowest, first)
			}
			return slowest
		}
		idle := firstPeer()
		for range 3000 {
			w.mustTrack(m, w.randomHash(), AnnounceOptions{Port: 6881})
		}
		w.clock.Run(10 * time.Second)
		busy := firstPeer()
		t.Logf("at a rate of %v: the first peer after %v, and after %v beside announces", rate, idle, busy)
		if busy > 2*idle || m.node.Stats().Endpoint.Refused > 0 {
			t.Errorf("at a rate of %v: too late, or refused", rate)
		}
	}
}
