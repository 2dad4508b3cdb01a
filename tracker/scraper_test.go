package tracker

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// findScrape scrapes ih from m and waits for the outcome.
func (w *world) findScrape(m *member, ih krpc.ID) (res ScrapeResult) {
	w.t.Helper()
	ended := 0
	m.FindScrape(ih, func(r ScrapeResult) { res = r; ended++ })
	if !w.clock.RunUntil(func() bool { return ended > 0 }, time.Minute) || ended != 1 {
		w.t.Fatalf("%d results after a minute", ended)
	}
	return res
}

func wantScrape(t *testing.T, got ScrapeResult, seeds, peers, nodes, legacy int) {
	t.Helper()
	if got.Seeds != seeds || got.Peers != peers || got.Nodes != nodes || got.Legacy != legacy {
		t.Errorf("%d seeds, %d peers, %d nodes and %d legacy ones, want %d, %d, %d and %d",
			got.Seeds, got.Peers, got.Nodes, got.Legacy, seeds, peers, nodes, legacy)
	}
}

// setFilters puts the filters of these numbers of publicPeer into r.
func setFilters(r *krpc.Message, seeds, peers []int) {
	filter := func(list []int) []byte {
		var f krpc.Bloom
		for _, n := range list {
			f.Insert(publicPeer(n).Addr())
		}
		return f[:]
	}
	r.BFsd, r.BFpe = filter(seeds), filter(peers)
}

// rank returns how many stubs are closer to target.
func (ss *stubs) rank(s *stub, target krpc.ID) (n int) {
	for _, o := range ss.list {
		if krpc.CompareDistance(o.ID, s.ID, target) < 0 {
			n++
		}
	}
	return n
}

func TestScrapeUnitesTheClosest(t *testing.T) {
	ih := krpc.RandomID(rand.New(rand.NewPCG(*seed, 7)))
	var ss *stubs
	ss = newStubs(t, 16, func(s *stub, q, r *krpc.Message) {
		if q.Method != krpc.MethodGetPeers || q.InfoHash != ih {
			return
		}
		if !q.Scrape {
			t.Error("asked without scrape")
		}
		if n := ss.rank(s, ih); n < 8 {
			setFilters(r, []int{n, 100}, []int{200 + n, 300 + n, 400}) // of two seeds and three peers, one of them everywhere
		} else {
			setFilters(r, numbers(1000, 1100), numbers(2000, 2100))
		}
	})
	res := ss.w.findScrape(ss.m, ih)
	wantScrape(t, res, 9, 17, 8, 0)
	if len(res.Lookups) != 1 || res.Lookups[0].Err != nil {
		t.Errorf("lookups %+v", res.Lookups)
	}
	if st := ss.m.node.Stats(); !slices.ContainsFunc(st.Lookups, func(l kademlia.LookupStats) bool { return l.Kind == kademlia.LookupScrape }) {
		t.Error("the lookup is not counted as a scrape")
	}
}

func TestScrapeDoesNotBelieveAFullFilter(t *testing.T) {
	for name, spoil := range map[string]func(r *krpc.Message){
		"of seeds": func(r *krpc.Message) { r.BFsd = slices.Repeat([]byte{0xff}, bloomLen) },
		"of peers": func(r *krpc.Message) { r.BFpe = slices.Repeat([]byte{0xff}, bloomLen) },
		"of 7 000": func(r *krpc.Message) { setFilters(r, numbers(0, 7000), nil) },
	} {
		t.Run(name, func(t *testing.T) {
			liars := 0
			ss := newStubs(t, 8, func(_ *stub, q, r *krpc.Message) {
				if !q.Scrape {
					return
				}
				setFilters(r, numbers(0, 5), numbers(10, 20))
				if liars++; liars <= 3 {
					spoil(r)
				}
			})
			wantScrape(t, ss.w.findScrape(ss.m, ss.w.randomHash()), 5, 10, 5, 0)
		})
	}
}

// Nodes without BEP 33 tell of peers, some of which others know for seeds. One of
// them does not sift them.
func TestScrapeCountsThePeersOfLegacyNodes(t *testing.T) {
	n := 0
	ss := newStubs(t, 8, func(_ *stub, q, r *krpc.Message) {
		if !q.Scrape {
			return
		}
		switch n++; {
		case n%4 == 0:
			setFilters(r, []int{1, 2}, []int{3})
		case n%4 == 1:
			for _, peer := range []int{1, 3, 4, 5} {
				r.Values = krpc.AppendPeer(r.Values, publicPeer(peer))
			}
			r.Values = krpc.AppendPeer(r.Values, netip.AddrPortFrom(publicPeer(5).Addr(), 9))
			r.Values = krpc.AppendPeer(r.Values, netip.MustParseAddrPort("10.1.2.3:6881"))
			r.Values = krpc.AppendPeer(r.Values, netip.MustParseAddrPort("127.0.0.1:6881"))
		}
	})
	wantScrape(t, ss.w.findScrape(ss.m, ss.w.randomHash()), 2, 3, 2, 2)
}

func TestScrapeTakesInOurOwnStore(t *testing.T) {
	ss := newStubs(t, 8, func(_ *stub, q, r *krpc.Message) {
		if q.Scrape {
			setFilters(r, []int{1}, []int{2})
		}
	})
	ih := ss.w.randomHash()
	mustAnnounce(t, ss.m.swarms, ih, publicPeer(1), true, ss.w.clock.Now())
	mustAnnounce(t, ss.m.swarms, ih, publicPeer(3), true, ss.w.clock.Now())
	mustAnnounce(t, ss.m.swarms, ih, publicPeer(4), false, ss.w.clock.Now())
	wantScrape(t, ss.w.findScrape(ss.m, ih), 2, 2, 8, 0)
}

func TestScrapeOfBothFamilies(t *testing.T) {
	w, m := newPair(t, simnet.Addr, simnet.Addr6, kademlia.DefaultK)
	ih := w.randomHash()
	for i := range 10 {
		w.announce(m, ih, AnnounceOptions{Port: uint16(1 + i)}) // one host of both families
	}
	w.announce(w.members[3], ih, AnnounceOptions{Port: 1, Seed: true})
	res := w.findScrape(m, ih)
	if res.Seeds != 1 || res.Peers != 2 || res.Nodes < 14 || res.Nodes > 16 || len(res.Lookups) != 2 {
		t.Errorf("result %+v, want a seed, two peers, and nodes of both families", res)
	}
}

func TestScrapeOfNothing(t *testing.T) {
	w := newWorld(t, 20, Config{})
	wantScrape(t, w.findScrape(w.any(), w.randomHash()), 0, 0, 0, 0)
}

func TestStoppedScrapeTellsWhatItHas(t *testing.T) {
	w, ih := newWorld(t, 20, Config{}), hashOf(1)
	m, ended := w.any(), 0
	mustAnnounce(t, m.swarms, ih, publicPeer(1), true, w.clock.Now())
	stop := m.FindScrape(ih, func(res ScrapeResult) {
		ended++
		wantScrape(t, res, 1, 0, 0, 0)
		if res.Lookups[0].Err != kademlia.ErrStopped {
			t.Errorf("ended with %v", res.Lookups[0].Err)
		}
	})
	w.clock.Run(time.Millisecond)
	stop()
	stop()
	w.clock.Run(time.Minute)
	if ended != 1 {
		t.Errorf("the result came %d times", ended)
	}
}

func TestScrapeWaits(t *testing.T) {
	inBubble(t, 12, func(t *testing.T, trackers []*Tracker) {
		announceFrom(t, trackers[:5], hashOf(1))
		res, err := trackers[7].Scrape(t.Context(), hashOf(1))
		if err != nil || res.Seeds != 0 || res.Peers != 5 || res.Nodes != 8 {
			t.Errorf("%+v, %v", res, err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Millisecond)
		defer cancel()
		for range 2 { // the second time it is too late to begin with
			if res, err := trackers[7].Scrape(ctx, hashOf(1)); err != context.DeadlineExceeded {
				t.Errorf("%+v, %v", res, err)
			}
		}
		if n := trackers[7].nodes[0].Stats().ActiveLookups; n != 0 {
			t.Errorf("%d lookups go on", n)
		}
		trackers[7].nodes[0].Close()
		if _, err := trackers[7].Scrape(t.Context(), hashOf(1)); err != krpc.ErrClosed {
			t.Errorf("of a closed node: %v", err)
		}
	})
	inBubble(t, 1, func(t *testing.T, trackers []*Tracker) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := trackers[0].Scrape(ctx, hashOf(1)); !errors.Is(err, kademlia.ErrNotJoined) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with nobody to ask: %v", err)
		}
	})
}
