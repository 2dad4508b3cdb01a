package mainline

import (
	"flag"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
)

var (
	nodes   = flag.Int("nodes", 10_000, "nodes of the emulated networks")
	lookups = flag.Int("lookups", 1000, "lookups to measure")
	seed    = flag.Uint64("seed", 1, "seed of the emulated networks")
	gone    = flag.Float64("dead", -1, "share of the listed contacts that are dead; below 0: as measured")
	loss    = flag.Float64("loss", -1, "share of the datagrams lost each way; below 0: as measured")
	cold    = flag.Bool("cold", false, "measure a cold start of libtorrent, too")
)

// scaled returns how many to make of n: under the race detector a quarter.
func scaled(n int) int {
	if raceEnabled {
		return n / 4
	}
	return n
}

// measured returns the network to measure in, as the flags have it.
func measured(like func(nodes int, seed uint64) Config) Config {
	c := like(*nodes, *seed)
	if *gone >= 0 {
		c.Dead = *gone
	}
	if *loss >= 0 {
		c.Loss = *loss
	}
	return c
}

// run measures the policies in the network that cfg describes and says how to have
// it again.
func run(t *testing.T, cfg Config, policies ...Policy) []Report {
	t.Helper()
	reports := Run(cfg, scaled(*lookups), policies...)
	t.Logf("-nodes=%d -lookups=%d -seed=%d -dead=%g -loss=%g\n%s",
		cfg.Nodes, scaled(*lookups), cfg.Seed, cfg.Dead, cfg.Loss, Table(reports))
	return reports
}

func between[T float64 | time.Duration](t *testing.T, what string, have, low, high T) {
	t.Helper()
	if have < low || have > high {
		t.Errorf("%s: %v, want %v to %v", what, have, low, high)
	}
}

// narrow is a node whose lookups are not wide at first.
func narrow(c *kademlia.NodeConfig) { c.AlphaFirst = kademlia.DefaultAlpha }

// A warm node against libtorrent in the same network. That is a yardstick: if it leaves
// the range it was found in, the network has changed.
func TestLookups(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	r := run(t, measured(Measured), KadNode("kadnode", nil), KadNode("kadnode --alpha-first 3", narrow),
		Libtorrent(), LibtorrentAlone(), Oracle())
	node, narrow, lt, alone := r[0], r[1], r[2], r[3]
	for _, n := range []Report{node, narrow} {
		compare(t, n, lt)
		compare(t, n, alone)
	}
	if *gone >= 0 || *loss >= 0 {
		return // what is wanted is so for the network as it was measured
	}
	atMost(t, "first peer at p50, of the policy alone", of(node.FirstPeer.P50, alone.FirstPeer.P50), .5)
	between(t, "found", min(node.Found, narrow.Found), .998, 1)
	atMost(t, "end at p50", of(node.End.P50, lt.End.P50), .1)
	atMost(t, "queries", node.Queries/lt.Queries, 1.3)
	between(t, "of the 8 closest", node.Reached, 7.6, 8)
	atMost(t, "narrow: first peer at p50", of(narrow.FirstPeer.P50, alone.FirstPeer.P50), .8)
	atMost(t, "narrow: queries", narrow.Queries/alone.Queries, .8)
	if many() {
		atMost(t, "first peer at p50", of(node.FirstPeer.P50, lt.FirstPeer.P50), .8)
		atMost(t, "first peer at p99", of(node.FirstPeer.P99, lt.FirstPeer.P99), .75)
		atMost(t, "first peer at p99, of the policy alone", of(node.FirstPeer.P99, alone.FirstPeer.P99), .5)
	}
	between(t, "libtorrent: first peer", lt.FirstPeer.P50, 40*time.Millisecond, 240*time.Millisecond)
	between(t, "libtorrent: end", lt.End.P50, 15*time.Second, 17*time.Second)
	between(t, "libtorrent: queries", lt.Queries, 20, 50)
	between(t, "libtorrent: of the 8 closest", lt.Reached, 7.3, 7.7)
	between(t, "libtorrent: found", lt.Found, .98, 1)
	between(t, "its policy alone: first peer", alone.FirstPeer.P50, 130*time.Millisecond, 350*time.Millisecond)
	between(t, "its policy alone: queries", alone.Queries, 25, 50)
	between(t, "its policy alone: of the 8 closest", alone.Reached, 7.3, 7.7)
}

// The same where half of the contacts are dead and a tenth of the datagrams is lost.
func TestLookupsInAHostileNetwork(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	r := run(t, measured(Hostile), KadNode("kadnode", nil), Libtorrent())
	compare(t, r[0], r[1])
	atMost(t, "first peer at p50", of(r[0].FirstPeer.P50, r[1].FirstPeer.P50), .85)
	if many() {
		atMost(t, "first peer at p50", of(r[0].FirstPeer.P50, r[1].FirstPeer.P50), .65)
	}
	between(t, "found", r[0].Found, .995, 1)
	between(t, "of the 8 closest", r[0].Reached, 7, 8)
}

// many tells whether so many lookups are measured that a few slow ones do not decide, and
// that the node comes to know its network: its memory grows from one to the next.
func many() bool { return scaled(*lookups) >= 1000 }

func of(a, b time.Duration) float64 { return float64(a) / float64(b) }

func atMost(t *testing.T, what string, ratio, most float64) {
	t.Helper()
	if ratio > most {
		t.Errorf("%s: %.2f of the yardstick, want %.2f at most", what, ratio, most)
	}
}

func compare(t *testing.T, node, yardstick Report) {
	t.Helper()
	t.Logf("%s of %s: first peer %.2f at p50 and %.2f at p99, end %.3f at p50, queries %.2f", node.Policy, yardstick.Policy,
		of(node.FirstPeer.P50, yardstick.FirstPeer.P50), of(node.FirstPeer.P99, yardstick.FirstPeer.P99),
		of(node.End.P50, yardstick.End.P50), node.Queries/yardstick.Queries)
}

// From nothing but one address to the first peer.
func TestColdStart(t *testing.T) {
	n := New(measured(Measured))
	took := n.ColdStart(KadNode("kadnode", nil))
	t.Logf("kadnode: %v", took)
	between(t, "cold start", took, 0, 1500*time.Millisecond)
	if *cold {
		t.Logf("libtorrent: %v", n.ColdStart(Libtorrent()))
	}
}

// The same seed gives the same datagrams at the same times; another one does not.
func TestRunsRepeatThemselves(t *testing.T) {
	if raceEnabled {
		t.Skip("in one goroutine the race detector finds nothing")
	}
	hashes := func(seed uint64) (h [2]uint64) {
		for i, r := range Run(Hostile(1000, seed), 50, KadNode("kadnode", nil), Libtorrent()) {
			h[i] = r.TraceHash
		}
		return h
	}
	first := hashes(*seed)
	t.Logf("trace hashes %016x", first)
	if second := hashes(*seed); second != first {
		t.Errorf("the second run has the trace hashes %016x", second)
	}
	if other := hashes(*seed + 1); other[0] == first[0] || other[1] == first[1] {
		t.Error("another seed has the same trace hash")
	}
}

func BenchmarkLookup(b *testing.B) {
	n := New(Measured(10_000, 1))
	w := n.world(Policy{})
	at := w.settle(KadNode("kadnode", nil))
	at.join()
	b.ReportAllocs()
	for b.Loop() {
		at.lookUp(w.nodes[w.rng.IntN(len(w.nodes))].id)
	}
}
