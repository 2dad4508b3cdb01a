package tracker

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

var seed = flag.Uint64("seed", 1, "seed of the simulated worlds")

// world is a network of nodes that have joined each other, each with a tracker.
type world struct {
	t       testing.TB
	clock   *simnet.Clock
	net     *simnet.Network
	rng     *rand.Rand
	members []*member
	addr    func(int) netip.AddrPort
	change  func(*kademlia.NodeConfig) // of new members; may be nil
}

type member struct {
	*Tracker
	swarms *Swarms // its store, if that is one
	node   *kademlia.Node
	addr   netip.AddrPort
	host   *simnet.Host
}

func emptyWorld(t testing.TB, addr func(int) netip.AddrPort) *world {
	t.Helper()
	t.Logf("seed %d", *seed)
	w := &world{t: t, clock: simnet.NewClock(start), rng: rand.New(rand.NewPCG(*seed, 0)), addr: addr}
	w.net = simnet.NewNetwork(w.clock, rand.New(rand.NewPCG(*seed, 1)), simnet.Link{
		Latency: simnet.LognormalRTT(90*time.Millisecond, 350*time.Millisecond, *seed),
	})
	return w
}

// newWorld returns a world of size members.
func newWorld(t testing.TB, size int, cfg Config) *world {
	t.Helper()
	w := emptyWorld(t, simnet.Addr)
	w.grow(size, cfg)
	return w
}

// grow adds members that join through others, and lets them settle.
func (w *world) grow(size int, cfg Config) {
	w.t.Helper()
	for range size {
		if len(w.members) == 0 {
			w.add(cfg)
		} else {
			w.add(cfg, w.any().addr, w.any().addr, w.any().addr)
		}
		w.clock.Run(200 * time.Millisecond)
	}
	w.clock.Run(5 * time.Minute)
}

// add adds a member that joins through the given nodes.
func (w *world) add(cfg Config, bootstrap ...netip.AddrPort) *member {
	w.t.Helper()
	m := w.newMember(cfg, bootstrap...)
	w.members = append(w.members, m)
	m.node.Start()
	m.Start()
	return m
}

func (w *world) newMember(cfg Config, bootstrap ...netip.AddrPort) *member {
	w.t.Helper()
	i := len(w.members)
	m := &member{addr: w.addr(i)}
	m.host = w.net.Host(m.addr, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		m.node.Deliver(now, from, b, out)
	})
	nc := kademlia.NodeConfig{
		Transport: m.host, Clock: w.clock, Version: "KN01", Rand: rand.New(rand.NewPCG(*seed, uint64(i)+100)),
	}
	if len(bootstrap) > 0 {
		nc.Bootstrap = func(done func([]netip.AddrPort, error)) {
			w.clock.AfterFunc(0, func() { done(bootstrap, nil) })
		}
	}
	if w.change != nil {
		w.change(&nc)
	}
	var err error
	if m.node, err = kademlia.NewNode(nc); err != nil {
		w.t.Fatal(err)
	}
	cfg.Swarms.Shards = 1
	cfg.Swarms.Rand = rand.New(rand.NewPCG(*seed, uint64(i)+100_000))
	m.run(cfg, m.node)
	return m
}

// run gives m a tracker.
func (m *member) run(cfg Config, nodes ...*kademlia.Node) {
	m.Tracker = New(nodes, cfg)
	m.swarms, _ = m.store.(*Swarms)
}

// any returns a random member that is up.
func (w *world) any() *member { return w.members[w.rng.IntN(len(w.members))] }

// kill ends a member without a word to anybody.
func (w *world) kill(m *member) {
	w.members = slices.DeleteFunc(w.members, func(o *member) bool { return o == m })
	m.host.Close()
	m.Close()
	m.node.Close()
}

// announce announces ih from m and waits for the outcome.
func (w *world) announce(m *member, ih krpc.ID, o AnnounceOptions) (res AnnounceResult) {
	w.t.Helper()
	done := false
	if _, err := m.AnnouncePeer(ih, o, nil, func(r AnnounceResult) { res, done = r, true }); err != nil {
		w.t.Fatal(err)
	}
	if !w.clock.RunUntil(func() bool { return done }, time.Minute) {
		w.t.Fatal("the announce has not ended after a minute")
	}
	return res
}

// mustAnnounce is announce where k nodes are there to store the peer.
func (w *world) mustAnnounce(m *member, ih krpc.ID, o AnnounceOptions) {
	w.t.Helper()
	if res := w.announce(m, ih, o); res.Stored != m.node.K() || res.Asked != res.Stored || len(res.Failures) > 0 {
		w.t.Fatalf("%d nodes of %d have stored the peer, failures %v", res.Stored, res.Asked, res.Failures)
	}
}

// find looks up the peers of ih from m.
func (w *world) find(m *member, ih krpc.ID) (peers []netip.AddrPort, res PeersResult) {
	w.t.Helper()
	done := false
	m.FindPeers(ih, func(p netip.AddrPort) {
		if done {
			w.t.Error("a peer came after the result")
		}
		peers = append(peers, p)
	}, func(r PeersResult) { res, done = r, true })
	if !w.clock.RunUntil(func() bool { return done }, time.Minute) {
		w.t.Fatal("the lookup has not ended after a minute")
	}
	if len(peers) != res.Peers {
		w.t.Errorf("%d peers, but the result says %d", len(peers), res.Peers)
	}
	return peers, res
}

// wantFound checks that m finds exactly these peers of ih.
func (w *world) wantFound(m *member, ih krpc.ID, want ...netip.AddrPort) {
	w.t.Helper()
	got, _ := w.find(m, ih)
	slices.SortFunc(got, netip.AddrPort.Compare)
	slices.SortFunc(want, netip.AddrPort.Compare)
	if !slices.Equal(got, want) {
		w.t.Errorf("at %v found %v, want %v", w.clock.Now().Sub(start), got, want)
	}
}

// holders returns the members that have peers of ih in their store.
func (w *world) holders(ih krpc.ID) (holders []*member) {
	for _, m := range w.members {
		if seeds, leechers := m.swarms.Count(ih, w.clock.Now()); seeds+leechers > 0 {
			holders = append(holders, m)
		}
	}
	return holders
}

func (w *world) randomHash() krpc.ID { return krpc.RandomID(w.rng) }

// at returns m's address with another port.
func (m *member) at(port uint16) netip.AddrPort { return netip.AddrPortFrom(m.addr.Addr(), port) }
