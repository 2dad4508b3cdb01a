package mainline

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// start is the time at which every world begins.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is a Network in virtual time.
type world struct {
	*Network
	clock     *simnet.Clock
	net       *simnet.Network
	announces int // that its nodes have accepted

	targets   *rand.Rand // draws info-hashes, the same for all subjects
	rng       *rand.Rand // chooses nodes
	pairDelay simnet.LatencyFunc
	subjects  int

	asked   krpc.ID         // the info-hash that was asked for last
	nearest []krpc.NodeInfo // to it
	scratch []int
}

// world returns a world for p in which nothing has happened yet.
func (n *Network) world(p Policy) *world {
	cfg := &n.cfg
	link := simnet.Link{Loss: cfg.Loss}
	if p.Lossless {
		link.Loss = 0
	}
	w := &world{
		Network:   n,
		clock:     simnet.NewClock(start),
		targets:   rand.New(rand.NewPCG(cfg.Seed, 1)),
		rng:       rand.New(rand.NewPCG(cfg.Seed, 3)),
		pairDelay: simnet.LognormalRTT(cfg.MedianRTT, cfg.P95RTT, cfg.Seed),
	}
	link.Latency = w.delay
	w.net = simnet.NewNetwork(w.clock, rand.New(rand.NewPCG(cfg.Seed, 2)), link)
	w.net.Crowd(w.member)
	return w
}

// delay is the simnet.LatencyFunc of the world.
func (w *world) delay(from, to netip.AddrPort, r *rand.Rand) time.Duration {
	d := w.pairDelay(from, to, r)
	for _, a := range [...]netip.AddrPort{from, to} {
		if i, ok := w.at[a]; ok && w.nodes[i].slow > 0 {
			return w.nodes[i].slow / 2 * time.Duration(950+r.IntN(151)) / 1000
		}
	}
	return d
}

// holders returns Closest, of which it remembers the last answer.
func (w *world) holders(target krpc.ID) []krpc.NodeInfo {
	if w.nearest == nil || w.asked != target {
		w.asked, w.nearest = target, w.Closest(target)
	}
	return w.nearest
}

// holds tells whether node i has peers of ih.
func (w *world) holds(i int, ih krpc.ID) bool {
	x := &w.nodes[i]
	return slices.ContainsFunc(w.holders(ih), func(c krpc.NodeInfo) bool { return c.Addr == x.addr }) &&
		w.chance(w.cfg.Holds, drawHolds, uint64(i), prefixOf(ih))
}

// contacts returns node i's contacts closest to target.
func (w *world) contacts(i int, target krpc.ID) []krpc.NodeInfo {
	w.scratch = w.closest(w.scratch[:0], i, target)
	list := make([]krpc.NodeInfo, len(w.scratch))
	for j, y := range w.scratch {
		list[j] = krpc.NodeInfo{ID: w.nodes[y].id, Addr: w.nodes[y].addr}
	}
	return list
}

// livingNode draws a node that does as it should, and is not slow.
func (w *world) livingNode() int {
	for {
		i := w.rng.IntN(len(w.nodes))
		if x := &w.nodes[i]; x.kind == willing && x.slow == 0 {
			return i
		}
	}
}
