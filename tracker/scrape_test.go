package tracker

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// scrape asks m for the filters of ih, and for nodes of the families wanted.
func (w *world) scrape(m *member, from netip.AddrPort, ih krpc.ID, want krpc.Want) *krpc.Message {
	w.t.Helper()
	r, length := w.ask(m, from, krpc.Message{
		Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih, Scrape: true, Want: want,
	})
	if r.Kind != krpc.KindReply || length > krpc.MaxReply {
		w.t.Fatalf("answered with %d bytes: %+v", length, r)
	}
	return r
}

// bloomOf returns the filter of addrs as Message has it.
func bloomOf(addrs ...string) []byte {
	var f krpc.Bloom
	for _, a := range addrs {
		f.Insert(netip.MustParseAddr(a))
	}
	return f[:]
}

func wantFilters(t *testing.T, r *krpc.Message, seeds, peers []byte) {
	t.Helper()
	if !slices.Equal(r.BFsd, seeds) || !slices.Equal(r.BFpe, peers) {
		t.Errorf("filters %x and %x, want %x and %x", r.BFsd, r.BFpe, seeds, peers)
	}
}

func TestScrapeTellsWhatWasAnnounced(t *testing.T) {
	w, ih := newWorld(t, 20, Config{}), hashOf(1)
	m, seed := w.any(), netip.MustParseAddrPort("91.1.2.3:50000")
	wantFilters(t, w.scrape(m, stranger, ih, 0), nil, nil) // nobody has announced it

	w.announceWith(m, stranger, ih, w.getPeers(m, stranger, ih).Token, nil)
	wantFilters(t, w.scrape(m, stranger, ih, 0), bloomOf(), bloomOf("90.1.2.3"))
	w.announceWith(m, seed, ih, w.getPeers(m, seed, ih).Token, func(q *krpc.Message) { q.Seed = true })
	mustAnnounce(t, m.swarms, ih, netip.MustParseAddrPort("[2a01::1]:1"), false, w.clock.Now())
	r := w.scrape(m, stranger, ih, 0)
	wantFilters(t, r, bloomOf("91.1.2.3"), bloomOf("90.1.2.3", "2a01::1"))
	if len(r.Nodes) != 8*krpc.Node4Len || len(r.Token) != kademlia.TokenLen || len(slices.Collect(r.EachPeer)) != 2 {
		t.Errorf("reply %+v, want nodes, a token and the IPv4 peers too", r)
	}
	if r := w.getPeers(m, stranger, ih); r.BFsd != nil || r.BFpe != nil {
		t.Error("filters that were not asked for")
	}
	// A peer that has completed is one no longer.
	w.announceWith(m, stranger, ih, w.getPeers(m, stranger, ih).Token, func(q *krpc.Message) { q.Seed = true })
	wantFilters(t, w.scrape(m, stranger, ih, 0), bloomOf("90.1.2.3", "91.1.2.3"), bloomOf("2a01::1"))
	if st := m.Stats(); st.Scrapes != 3 {
		t.Errorf("%d scrapes counted, want those 3 that had an answer", st.Scrapes)
	}

	w.clock.Run(46 * time.Minute)
	wantFilters(t, w.scrape(m, stranger, ih, 0), nil, nil)
}

// TestScrapeReplyIsFilledToTheBrim scrapes a node that knows more nodes of both
// families than fit beside the filters.
func TestScrapeReplyIsFilledToTheBrim(t *testing.T) {
	for name, c := range map[string]struct {
		addr, other func(int) netip.AddrPort
		size        int // of a peer
		k           int
	}{
		"IPv4":          {simnet.Addr, simnet.Addr6, 8, 8},
		"IPv6":          {simnet.Addr6, simnet.Addr, 21, 8},
		"IPv4, k of 20": {simnet.Addr, simnet.Addr6, 8, 20},
		"IPv6, k of 20": {simnet.Addr6, simnet.Addr, 21, 20},
	} {
		t.Run(name, func(t *testing.T) {
			w, m := newPair(t, c.addr, c.other, c.k)
			ih, from := hashOf(1), c.addr(77_777)
			for n := range 2000 {
				mustAnnounce(t, m.swarms, ih, c.addr(1000+n), n%2 == 0, w.clock.Now())
			}
			for tid := 1; tid <= 32; tid++ {
				want := krpc.Want(tid % 4)
				r, length := w.ask(m, from, krpc.Message{
					Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih, Scrape: true,
					TID: []byte(strings.Repeat("t", tid)), Want: want,
				})
				if len(r.BFsd) != bloomLen || len(r.BFpe) != bloomLen || r.Token == nil || length > krpc.MaxReply {
					t.Fatalf("tid of %d: %d bytes, %+v", tid, length, r)
				}
				own, others := r.Nodes, r.Nodes6
				ownLen, otherLen, otherWant := krpc.Node4Len, krpc.Node6Len, krpc.WantN6
				if m.node.Is6() {
					own, others, ownLen, otherLen, otherWant = others, own, otherLen, ownLen, krpc.WantN4
				}
				if want == otherWant {
					own, ownLen = others, otherLen
				}
				if len(own) != 8*ownLen || want == 3 && others != nil {
					t.Errorf("tid of %d, want %d: %d and %d bytes of nodes", tid, want, len(r.Nodes), len(r.Nodes6))
				}
				if c.size == 8 && want != otherWant && length <= krpc.MaxReply-c.size {
					t.Errorf("tid of %d, want %d: %d bytes, want as many peers as fit", tid, want, length)
				}
			}
		})
	}
}

// newPair returns a world with many nodes of two families, and a member that has
// a sibling in the other one.
func newPair(t testing.TB, addr, other func(int) netip.AddrPort, k int) (*world, *member) {
	t.Helper()
	w, o := emptyWorld(t, addr), emptyWorld(t, other)
	o.clock, o.net = w.clock, w.net
	w.grow(25, Config{})
	o.grow(25, Config{})
	m := &member{addr: addr(100)}
	for i, to := range []*world{w, o} {
		at := to.addr(100)
		var n *kademlia.Node
		cfg := kademlia.NodeConfig{
			Transport: w.net.Host(at, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) { n.Deliver(now, from, b, out) }),
			Clock:     w.clock, Version: "KN01", K: k, Rand: rand.New(rand.NewPCG(*seed, uint64(i)+500)),
			Bootstrap: func(done func([]netip.AddrPort, error)) {
				w.clock.AfterFunc(0, func() { done([]netip.AddrPort{to.any().addr, to.any().addr}, nil) })
			},
		}
		if i == 1 {
			cfg.Siblings = []*kademlia.Node{m.node}
		}
		var err error
		if n, err = kademlia.NewNode(cfg); err != nil {
			t.Fatal(err)
		}
		if i == 0 {
			m.node = n
			continue
		}
		m.run(Config{Swarms: SwarmsConfig{Rand: w.rng}}, m.node, n)
		m.node.Start()
		n.Start()
	}
	w.clock.Run(5 * time.Minute)
	return w, m
}

// BenchmarkServeScrape is to be compared with BenchmarkServe/get_peers. The
// filters of the larger swarms are kept.
func BenchmarkServeScrape(b *testing.B) {
	for _, peers := range []int{0, 10, smallSwarm, 100, 2000} {
		b.Run(fmt.Sprint(peers), func(b *testing.B) {
			w, m, ih := benchNode(b, peers)
			packet := packetOf(krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih, Scrape: true})
			now, out := w.clock.Now(), new(outbox)
			b.ReportAllocs()
			for b.Loop() {
				m.node.Deliver(now, stranger, packet, out)
			}
		})
	}
}

// FuzzServe delivers any datagram to a node of both families with a full swarm:
// whatever it is, it is answered with a message that is not too long, or not at
// all.
func FuzzServe(f *testing.F) {
	w, m := newPair(f, simnet.Addr, simnet.Addr6, kademlia.DefaultK)
	ih := hashOf(1)
	for n := range 2000 {
		mustAnnounce(f, m.swarms, ih, publicPeer(n), n%2 == 0, w.clock.Now())
		mustAnnounce(f, m.swarms, ih, simnet.Addr6(n), n%2 == 0, w.clock.Now())
	}
	for want := range krpc.Want(4) {
		for _, scrape := range []bool{false, true} {
			q := krpc.Message{Method: krpc.MethodGetPeers, HasInfoHash: true, InfoHash: ih, Scrape: scrape, NoSeed: scrape, Want: want}
			f.Add(packetOf(q), false)
			q.InfoHash = hashOf(2)
			f.Add(packetOf(q), true)
		}
	}
	f.Add(packetOf(krpc.Message{
		Method: krpc.MethodAnnouncePeer, HasInfoHash: true, InfoHash: ih, Port: 1, Seed: true,
		Token: m.node.AppendToken(nil, stranger.Addr(), ih),
	}), false)
	f.Fuzz(func(t *testing.T, b []byte, v6 bool) {
		n, from := m.nodes[0], stranger
		if v6 {
			n, from = m.nodes[1], simnet.Addr6(77_777)
		}
		var out outbox
		n.Deliver(w.clock.Now(), from, b, &out)
		if out.sent == nil {
			return
		}
		var r krpc.Message
		if err := r.Decode(out.sent); err != nil || r.Malformed != 0 || r.Kind == krpc.KindQuery {
			t.Errorf("answered with %q: %v, malformed %b", out.sent, err, r.Malformed)
		}
		if len(out.sent) > krpc.MaxReply || (r.BFsd == nil) != (r.BFpe == nil) {
			t.Errorf("answered with %d bytes: %+v", len(out.sent), r)
		}
	})
}
