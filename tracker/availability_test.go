package tracker_test

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// trackedWorld is a world with a tracker on every node.
type trackedWorld struct {
	*sim.World
	trackers map[*kademlia.Node]*tracker.Tracker
}

func newTrackedWorld(nodes int, seed uint64, ipv6 bool) *trackedWorld {
	w := &trackedWorld{trackers: make(map[*kademlia.Node]*tracker.Tracker)}
	w.World = sim.Build(sim.Config{Nodes: nodes, Seed: seed, IPv6: ipv6, Setup: func(n *kademlia.Node) {
		rng := rand.New(rand.NewPCG(seed, uint64(len(w.trackers))+1<<32))
		w.trackers[n] = tracker.New([]*kademlia.Node{n}, tracker.Config{Swarms: tracker.SwarmsConfig{Shards: 1, Rand: rng}})
	}}, 50*time.Millisecond, 8*time.Minute)
	return w
}

func (w *trackedWorld) random() *tracker.Tracker { return w.trackers[w.RandomHost().Node] }

// share starts one trial every 50 ms, waits for all to end, and returns the share
// of those that succeeded.
func (w *trackedWorld) share(trials int, trial func(i int, end func(ok bool))) float64 {
	ended, succeeded := 0, 0
	for i := range trials {
		w.Clock.AfterFunc(time.Duration(i)*50*time.Millisecond, func() {
			trial(i, func(ok bool) {
				ended++
				if ok {
					succeeded++
				}
			})
		})
	}
	w.Clock.RunUntil(func() bool { return ended == trials }, time.Hour)
	return float64(succeeded) / float64(trials)
}

// held tells whether a node that is up has a peer of ih.
func (w *trackedWorld) held(ih krpc.ID) bool {
	for _, h := range w.Hosts {
		if !h.Down && w.trackers[h.Node].Holds(ih) {
			return true
		}
	}
	return false
}

// What is announced at one node is found from any other, also at once after half
// of the nodes have gone: as long as one of those that stored it is left.
func TestAnnouncedPeersAreFound(t *testing.T) {
	nodes, trials := 500, 300
	if tracker.RaceEnabled {
		nodes, trials = 150, 100
	}
	testAnnouncedPeers(t, newTrackedWorld(nodes, *tracker.Seed, false), trials)
	testAnnouncedPeers(t, newTrackedWorld(nodes, *tracker.Seed, true), trials)
}

// Half the nodes gone leave one of eight in all but 1 of 256 cases. It takes a
// large world for the cases to be independent.
func TestAnnouncedPeersAreFoundInALargeNetwork(t *testing.T) {
	if testing.Short() || tracker.RaceEnabled {
		t.Skip("builds a world of 3 000 nodes")
	}
	if found := testAnnouncedPeers(t, newTrackedWorld(3000, *tracker.Seed, false), 1000); found < .99 {
		t.Errorf("found %.1f%%, want at least 99%%", 100*found)
	}
}

// testAnnouncedPeers returns the share of trials in which a peer is found after
// half the nodes have gone.
func testAnnouncedPeers(t *testing.T, w *trackedWorld, trials int) float64 {
	t.Helper()
	t.Logf("%d nodes, -seed=%d", len(w.Hosts), *tracker.Seed)
	hashes := make([]krpc.ID, trials)
	for i := range hashes {
		hashes[i] = krpc.RandomID(w.Rand)
	}
	stored := 0
	announced := w.share(trials, func(i int, end func(bool)) {
		w.random().AnnouncePeer(hashes[i], tracker.AnnounceOptions{Port: 1000}, nil, func(r tracker.AnnounceResult) {
			stored += r.Stored
			end(r.Stored > 0)
		})
	})
	find := func(i int, end func(bool)) {
		found := false
		w.random().FindPeers(hashes[i], func(p netip.AddrPort) { found = found || p.Port() == 1000 },
			func(tracker.PeersResult) { end(found) })
	}
	before := w.share(trials, find)
	w.KillShare(.5)
	held := 0
	for _, ih := range hashes {
		if w.held(ih) {
			held++
		}
	}
	possible := float64(held) / float64(trials)
	after := w.share(trials, find)
	t.Logf("announced %.1f%%, at %.2f nodes each; found %.1f%%, after half the nodes have gone %.1f%% of %.1f%% that are left",
		100*announced, float64(stored)/float64(trials), 100*before, 100*after, 100*possible)
	if announced < 1 || before < 1 || after < .99*possible {
		t.Error("want all announced, all found, and then 99% of what is left")
	}
	return after
}
