package indexer

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sort"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
	"github.com/kadnode/kadnode/tracker"
)

var seed = flag.Uint64("seed", 1, "seed of the simulated worlds")

// world is a world of nodes with a tracker each.
type world struct {
	t testing.TB
	*sim.World
	v6     bool
	hashes map[krpc.ID]struct{} // that are stored
}

// newWorld returns a settled world in which each of so many info-hashes is stored at
// the eight nodes closest to it.
func newWorld(t testing.TB, nodes, hashes int, v6 bool) *world {
	t.Helper()
	if raceEnabled {
		t.Skip("a world in one goroutine")
	}
	t.Logf("%d nodes, %d info-hashes, -seed=%d", nodes, hashes, *seed)
	w := &world{t: t, v6: v6, hashes: make(map[krpc.ID]struct{})}
	attached := uint64(0)
	w.World = sim.Build(sim.Config{Nodes: nodes, Seed: *seed, IPv6: v6, Setup: func(n *kademlia.Node) {
		attached++
		tracker.New([]*kademlia.Node{n}, tracker.Config{
			Swarms: tracker.SwarmsConfig{Shards: 1, Rand: rand.New(rand.NewPCG(*seed, attached+1<<32))},
		})
	}}, 20*time.Millisecond, 4*time.Minute)
	w.store(hashes)
	return w
}

// smallWorld is newWorld with five info-hashes a node.
func smallWorld(t testing.TB, nodes int, v6 bool) *world {
	t.Helper()
	return newWorld(t, nodes, 5*nodes, v6)
}

// store announces info-hashes to the nodes that are truly closest to each.
func (w *world) store(hashes int) {
	w.t.Helper()
	hosts := slices.Clone(w.Hosts)
	slices.SortFunc(hosts, func(a, b *sim.Host) int { return a.ID().Compare(b.ID()) })
	for i := range hashes {
		ih, peer := krpc.RandomID(w.Rand), w.addr(1_000_000+i)
		w.hashes[ih] = struct{}{}
		for _, h := range closest(hosts, ih, kademlia.DefaultK) {
			w.announce(h, ih, peer)
		}
	}
}

func (w *world) addr(i int) netip.AddrPort {
	if w.v6 {
		return simnet.Addr6(i)
	}
	return simnet.Addr(i)
}

// closest returns the k of hosts, which are sorted, that are closest to target: in the
// smallest part of the keyspace around it that has k of them.
func closest(hosts []*sim.Host, target krpc.ID, k int) []*sim.Host {
	part := hosts
	for z := (zone{}); len(part) > k; {
		z.bits++
		z.prefix = top(target) >> (64 - z.bits) << (64 - z.bits)
		from := sort.Search(len(part), func(i int) bool { return top(part[i].ID()) >= z.prefix })
		to := sort.Search(len(part), func(i int) bool { return z.isBefore(part[i].ID()) })
		if to-from < k {
			break
		}
		part = part[from:to]
	}
	part = slices.Clone(part)
	slices.SortFunc(part, func(a, b *sim.Host) int { return krpc.CompareDistance(a.ID(), b.ID(), target) })
	return part[:min(len(part), k)]
}

// announce delivers an announce_peer of a read-only node, which leaves no trace but the
// peer.
func (w *world) announce(h *sim.Host, ih krpc.ID, peer netip.AddrPort) {
	w.t.Helper()
	q := krpc.Message{
		Kind: krpc.KindQuery, TID: []byte("aa"), Method: krpc.MethodAnnouncePeer, ReadOnly: true,
		HasID: true, ID: krpc.ID{1}, HasInfoHash: true, InfoHash: ih, Port: peer.Port(),
		Token: h.AppendToken(nil, peer.Addr(), ih),
	}
	var out outbox
	h.Deliver(w.Clock.Now(), peer, q.Append(nil), &out)
	var r krpc.Message
	if err := r.Decode(out.sent); err != nil || r.Kind != krpc.KindReply {
		w.t.Fatalf("announce answered with %q: %v", out.sent, err)
	}
}

// outbox keeps the last datagram that was pushed.
type outbox struct {
	buf  [krpc.MaxDatagram]byte
	sent []byte
}

func (o *outbox) Buffer() []byte                  { return o.buf[:0] }
func (o *outbox) Push(_ netip.AddrPort, b []byte) { o.sent = b }

// run is one run of a sweep, with what it has found.
type run struct {
	*Indexer
	w     *world
	found map[krpc.ID]int // how often
	ended bool
	err   error
}

// sweep starts a sweep from the first node of the world.
func (w *world) sweep(edit func(*Config)) *run {
	w.t.Helper()
	r := &run{w: w, found: make(map[krpc.ID]int)}
	cfg := Config{
		Node: w.Hosts[0].Node, Rand: rand.New(rand.NewPCG(*seed, 99)),
		OnSample: func(ih krpc.ID) {
			if r.ended {
				w.t.Error("an info-hash came after the end")
			}
			r.found[ih]++
		},
		OnDone: func(err error) {
			if r.ended {
				w.t.Error("ended twice")
			}
			r.ended, r.err = true, err
		},
	}
	if edit != nil {
		edit(&cfg)
	}
	var err error
	if r.Indexer, err = New(cfg); err != nil {
		w.t.Fatal(err)
	}
	r.Start()
	return r
}

// toEnd runs the sweep to its end and returns its last figures.
func (r *run) toEnd() Progress {
	r.w.t.Helper()
	began := r.w.Clock.Now()
	if !r.w.Clock.RunUntil(func() bool { return r.ended }, 6*time.Hour) {
		r.w.t.Fatalf("not ended after six hours: %+v", r.Progress())
	}
	if r.err != nil {
		r.w.t.Fatal(r.err)
	}
	p := r.Progress()
	r.w.t.Logf("%v: %+v", r.w.Clock.Now().Sub(began).Round(time.Second), p)
	return p
}

// foundShare returns the share of the stored info-hashes that runs have found.
func (w *world) foundShare(runs ...*run) float64 {
	n := 0
	for ih := range w.hashes {
		if slices.ContainsFunc(runs, func(r *run) bool { return r.found[ih] > 0 }) {
			n++
		}
	}
	return float64(n) / float64(len(w.hashes))
}

// asked returns how often the nodes were asked for samples: on average, and at most.
func (w *world) asked() (mean float64, most uint64) {
	sum := uint64(0)
	for _, h := range w.Hosts {
		st := h.Stats()
		n := st.Endpoint.Methods[krpc.MethodSampleInfohashes].QueriesIn
		sum += n
		most = max(most, n)
	}
	return float64(sum) / float64(len(w.Hosts)), most
}
