package sim

import (
	"flag"
	"math"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc/simnet"
)

var (
	seed    = flag.Uint64("seed", 1, "seed of the simulated worlds")
	largest = flag.Int("largest", 4000, "nodes of the largest world of TestLookupsEndAtTheClosestNodes")
)

// withoutRace skips a test of a large world under the race detector, which finds nothing in one
// goroutine, and makes fifteen seconds of one.
func withoutRace(t *testing.T) {
	t.Helper()
	if raceEnabled {
		t.Skip("a world in one goroutine")
	}
}

// build returns a settled world and says how to have it again.
func build(t *testing.T, cfg Config) *World {
	t.Helper()
	withoutRace(t)
	cfg.Seed = *seed
	t.Logf("%d nodes, -seed=%d", cfg.Nodes, *seed)
	return Build(cfg, 20*time.Millisecond, 8*time.Minute)
}

func measure(t *testing.T, w *World, lookups int, wantExact float64) Report {
	t.Helper()
	r := w.MeasureLookups(lookups)
	t.Log(r)
	if r.ExactShare() < wantExact {
		t.Errorf("%.2f%% of the lookups end at the true closest nodes, want %.0f%%", 100*r.ExactShare(), 100*wantExact)
	}
	return r
}

// sizes are the worlds to measure.
func sizes() []int {
	if testing.Short() {
		return []int{200, 2000}
	}
	return []int{100, 1000, *largest}
}

// A lookup ends at the k closest nodes there are, and its hops grow with the
// logarithm of the number of nodes. After nearly a third of them has gone without
// a word, and with 2 % of the datagrams lost each way, it still does.
func TestLookupsEndAtTheClosestNodes(t *testing.T) {
	const lookups = 1000
	var hops []float64
	for _, n := range sizes() {
		w := build(t, Config{Nodes: n})
		r := measure(t, w, lookups, .99)
		hops = append(hops, r.Hops)
		if n >= 1000 {
			checkSizeFromLookups(t, w)
		}
		t.Logf("c = hops / log2(N) = %.3f", r.Hops/math.Log2(float64(n)))

		w.KillShare(.3)
		link := w.Link()
		link.Loss = .02
		w.Net.SetLink(link)
		measure(t, w, lookups, .97)
	}
	// Ten times the nodes cost log2(10) times as many hops as twice the nodes do.
	for i, n := range sizes()[1:] {
		c := (hops[i+1] - hops[i]) / math.Log2(float64(n)/float64(sizes()[i]))
		t.Logf("hops for each doubling of the nodes: %.3f", c)
		if c < .15 || c > .40 {
			t.Errorf("%.3f hops for each doubling of the nodes, want 0.15 to 0.40", c)
		}
	}
}

func TestLookupsOverIPv6(t *testing.T) {
	measure(t, build(t, Config{Nodes: 300, IPv6: true}), 300, .99)
}

func TestLookupsWithTheBucketsOfThePaper(t *testing.T) {
	w := build(t, Config{Nodes: 300, K: 20})
	measure(t, w, 300, .97)
}

// Every node knows its neighbourhood soon after it has joined.
func TestNetworkThatStartsAtOnce(t *testing.T) {
	withoutRace(t)
	w := New(Config{Seed: *seed})
	for range 200 {
		w.Grow()
	}
	w.Clock.Run(3 * time.Minute)
	measure(t, w, 300, .95)
	w.Clock.Run(20 * time.Minute)
	measure(t, w, 300, .99)
}

// A node that starts when half of its network has just gone finds its place, and
// does not wait for the dead one after another.
func TestColdStartAmongTheDead(t *testing.T) {
	w := build(t, Config{Nodes: 300})
	w.KillShare(.5)
	var took []time.Duration
	for range 30 {
		h, began := w.Grow(), w.Clock.Now()
		if !w.Clock.RunUntil(h.Joined, time.Minute) {
			t.Fatal("not joined within a minute")
		}
		took = append(took, w.Clock.Now().Sub(began))
	}
	slices.Sort(took)
	t.Logf("joined after %v, at most %v", took[len(took)/2], took[len(took)-1])
	if took[len(took)/2] > 2*time.Second {
		t.Errorf("half of the nodes took more than %v to join", took[len(took)/2])
	}
}

// A network that was cut in two is one again after the cut is mended.
func TestPartitionHeals(t *testing.T) {
	w := build(t, Config{Nodes: 200})
	side := make(map[netip.AddrPort]int)
	for i, h := range w.Hosts {
		side[h.Addr] = i % 2
	}
	w.Net.Partition(func(a netip.AddrPort) int { return side[a] })
	w.Clock.Run(20 * time.Minute)
	w.Net.Heal()
	w.Clock.Run(time.Hour)
	measure(t, w, 300, .98)
}

// Nodes that cannot be reached from outside ask, but nobody hands them out.
func TestNodesBehindNATsAreNotHandedOut(t *testing.T) {
	w := build(t, Config{Nodes: 200})
	hidden := make(map[netip.AddrPort]bool)
	for i := range 3 * len(w.Hosts) / 10 {
		hidden[w.GrowBehindNAT(simnet.PortRestricted).Addr] = true
		w.Clock.Run(time.Duration(i) * time.Second)
	}
	w.Clock.Run(30 * time.Minute)
	contacts, bad := 0, 0
	for _, h := range w.Hosts {
		for _, c := range h.State().Contacts {
			contacts++
			if hidden[c.Addr] {
				bad++
			}
		}
	}
	t.Logf("%d of %d contacts are behind a NAT", bad, contacts)
	if share := float64(bad) / float64(contacts); share > .05 {
		t.Errorf("%.1f%% of the contacts are behind a NAT, want at most 5%%", 100*share)
	}
}

// The same seed gives the same datagrams at the same times; another one does not.
func TestWorldRepeatsItself(t *testing.T) {
	run := func(seed uint64) uint64 {
		w := Build(Config{Nodes: 60, Seed: seed, Link: simnet.Link{Loss: .01, Duplicate: .01, Reorder: .05}}, time.Second, 30*time.Minute)
		w.KillShare(.2)
		w.MeasureLookups(50)
		return w.Net.TraceHash()
	}
	first := run(*seed)
	t.Logf("trace hash %016x", first)
	if second := run(*seed); second != first {
		t.Errorf("the second run has the trace hash %016x", second)
	}
	if run(*seed+1) == first {
		t.Error("another seed has the same trace hash")
	}
}

func BenchmarkLookup(b *testing.B) {
	w := Build(Config{Nodes: 300, Seed: 1}, 50*time.Millisecond, 10*time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		w.Lookup(w.RandomHost(), w.RandomHost().ID())
	}
}
