package tracker

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

func TestAnnouncedOnOneFoundFromAny(t *testing.T) {
	w := newWorld(t, 60, Config{})
	ih, m := w.randomHash(), w.members[7]
	w.mustAnnounce(m, ih, AnnounceOptions{Port: 4001})
	for _, other := range w.members {
		w.wantFound(other, ih, m.at(4001))
	}
	w.wantFound(w.any(), w.randomHash())
}

func TestFoundInTheIPv6DHT(t *testing.T) {
	w := emptyWorld(t, simnet.Addr6)
	w.grow(30, Config{})
	ih, m := w.randomHash(), w.members[7]
	w.mustAnnounce(m, ih, AnnounceOptions{Port: 4001})
	w.wantFound(w.members[20], ih, m.at(4001))
}

func TestFoundAfterHalfOfTheNodesHaveGone(t *testing.T) {
	w := newWorld(t, 100, Config{})
	ih, m := w.randomHash(), w.members[0]
	w.mustAnnounce(m, ih, AnnounceOptions{Port: 4001})
	for range 50 {
		w.kill(w.any())
	}
	for range 10 {
		w.wantFound(w.any(), ih, m.at(4001))
	}
}

func TestForgottenAfter45Minutes(t *testing.T) {
	w := newWorld(t, 30, Config{})
	ih, m := w.randomHash(), w.members[3]
	w.mustAnnounce(m, ih, AnnounceOptions{Port: 4001})
	w.clock.Run(44 * time.Minute)
	w.wantFound(w.any(), ih, m.at(4001))
	w.clock.Run(2 * time.Minute)
	for _, m := range w.members {
		if st := m.Stats().Swarms; st.Hashes != 0 || st.Bytes != 0 {
			t.Fatalf("expired, yet still there: %+v", st)
		}
	}
	w.wantFound(w.any(), ih)
}

func TestOwnStoreComesFirst(t *testing.T) {
	w := newWorld(t, 20, Config{})
	ih, m := w.randomHash(), w.any()
	mustAnnounce(t, m.swarms, ih, publicPeer(1), false, w.clock.Now())
	mustAnnounce(t, m.swarms, ih, simnet.Addr6(1), false, w.clock.Now()) // not of our family
	var first netip.AddrPort
	stop := m.FindPeers(ih, func(p netip.AddrPort) { first = p }, func(PeersResult) {})
	if first != publicPeer(1) {
		t.Errorf("found %v before any reply, want our own %v", first, publicPeer(1))
	}
	stop()
}

func TestBothFamiliesAreSearched(t *testing.T) {
	v4, v6 := emptyWorld(t, simnet.Addr), emptyWorld(t, simnet.Addr6)
	v6.clock, v6.net = v4.clock, v4.net
	v4.grow(20, Config{})
	v6.grow(20, Config{})
	ih := v4.randomHash()
	v4.mustAnnounce(v4.members[1], ih, AnnounceOptions{Port: 4})
	v6.mustAnnounce(v6.members[1], ih, AnnounceOptions{Port: 6})

	m4, m6 := v4.newMember(Config{}, v4.any().addr), v6.newMember(Config{}, v6.any().addr)
	nodes := []*kademlia.Node{m4.node, m6.node}
	both := new(member)
	both.run(Config{Swarms: SwarmsConfig{Rand: v4.rng}}, nodes...)
	for _, n := range nodes {
		n.Start()
	}
	v4.clock.Run(time.Minute)
	v4.wantFound(both, ih, v4.members[1].at(4), v6.members[1].at(6))
	if _, res := v4.find(both, ih); len(res.Lookups) != 2 || res.Lookups[0].Replies == 0 || res.Lookups[1].Replies == 0 {
		t.Errorf("lookups %+v", res.Lookups)
	}
	res := v4.announce(both, ih, AnnounceOptions{ImpliedPort: true})
	if res.Stored != 16 || res.Peers != 2 {
		t.Errorf("%d nodes have stored the peer, want 8 of each family; %d peers seen, want 2", res.Stored, res.Peers)
	}
	v6.wantFound(v6.members[5], ih, v6.members[1].at(6), m6.addr)
}

func TestPeersAreSifted(t *testing.T) {
	good := []netip.AddrPort{publicPeer(1), publicPeer(2), simnet.Addr6(3)}
	s := newStubs(t, 10, func(_ *stub, q, r *krpc.Message) {
		for _, p := range append(slices.Clone(good), publicPeer(1),
			netip.MustParseAddrPort("10.1.2.3:6881"), netip.MustParseAddrPort("127.0.0.1:6881"),
			netip.MustParseAddrPort("224.0.0.1:6881"), netip.MustParseAddrPort("20.1.2.3:0"),
			netip.MustParseAddrPort("[fe80::1]:6881"), netip.MustParseAddrPort("[::]:6881"),
		) {
			r.Values = krpc.AppendPeer(r.Values, p)
		}
	})
	s.w.wantFound(s.m, s.w.randomHash(), good...)
}

func TestPeersAreBounded(t *testing.T) {
	w := newWorld(t, 1, Config{})
	s, n := &search{t: w.any().Tracker, peers: map[netip.AddrPort]struct{}{}}, 0
	s.onPeer = func(netip.AddrPort) { n++ }
	for i := range 12_000 {
		s.addPeers(w.any().node, &krpc.Message{Values: krpc.AppendPeer(nil, publicPeer(i))})
	}
	if n != maxPeers || len(s.peers) != maxPeers {
		t.Errorf("%d peers passed on and %d kept, want %d", n, len(s.peers), maxPeers)
	}
}

func TestStoppedSearchEndsAtOnce(t *testing.T) {
	w := newWorld(t, 30, Config{})
	ended := 0
	stop := w.any().FindPeers(w.randomHash(), func(netip.AddrPort) {}, func(res PeersResult) {
		ended++
		if res.Lookups[0].Err != kademlia.ErrStopped {
			t.Errorf("ended with %v", res.Lookups[0].Err)
		}
	})
	w.clock.Run(50 * time.Millisecond)
	stop()
	stop()
	if ended != 1 {
		t.Fatalf("the result came %d times", ended)
	}
	w.clock.Run(time.Minute)
	if ended != 1 {
		t.Errorf("the result came %d times", ended)
	}
}

func TestSearchCanBeStoppedFromItsCallback(t *testing.T) {
	w := newWorld(t, 30, Config{})
	ih := w.randomHash()
	for _, m := range w.members[:10] {
		w.mustAnnounce(m, ih, AnnounceOptions{Port: 4001})
	}
	peers, ended := 0, false
	var stop func()
	stop = w.members[20].FindPeers(ih, func(netip.AddrPort) {
		peers++
		if stop != nil {
			stop()
		}
	}, func(PeersResult) { ended = true })
	w.clock.Run(time.Minute)
	if !ended || peers == 0 {
		t.Errorf("ended %v with %d peers", ended, peers)
	}
}

func TestSearchOfAClosedNode(t *testing.T) {
	w := newWorld(t, 10, Config{})
	m := w.any()
	m.node.Close()
	if _, res := w.find(m, w.randomHash()); res.Lookups[0].Err != krpc.ErrClosed {
		t.Errorf("ended with %v, want ErrClosed", res.Lookups[0].Err)
	}
	if res := w.announce(m, w.randomHash(), AnnounceOptions{Port: 1}); res.Asked != 0 || res.Lookups[0].Err != krpc.ErrClosed {
		t.Errorf("result %+v", res)
	}
}
