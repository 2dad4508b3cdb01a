package kademlia

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// sample returns the share of the keyspace up to the k-th closest of n random ids.
func sample(r *rand.Rand, n, k int) float64 {
	closest := make([]float64, 0, k+1)
	for range n {
		x := r.Float64()
		i := len(closest)
		for closest = append(closest, x); i > 0 && closest[i-1] > x; i-- {
			closest[i], closest[i-1] = closest[i-1], closest[i]
		}
		closest = closest[:min(len(closest), k)]
	}
	return closest[k-1]
}

// Few lookups tell the size without bias, many with little error.
func TestSizeEstimate(t *testing.T) {
	const nodes, k = 500, 8
	rng := testRand(1)
	for _, tt := range []struct {
		lookups, rounds int
		bias, spread    float64
	}{
		{1, 4000, .02, .45}, {4, 1000, .02, .25}, {1000, 20, .02, .04},
	} {
		var sum, squares float64
		for range tt.rounds {
			var s netSize
			for range tt.lookups {
				s.add(sample(rng, nodes, k))
			}
			off := s.nodes(k)/nodes - 1
			sum += off
			squares += off * off
		}
		n := float64(tt.rounds)
		bias, spread := sum/n, math.Sqrt(squares/n)
		t.Logf("%d lookups: bias %+.3f, spread %.3f", tt.lookups, bias, spread)
		if math.Abs(bias) > tt.bias || spread > tt.spread {
			t.Errorf("%d lookups: bias %+.3f, spread %.3f; want at most %v and %v", tt.lookups, bias, spread, tt.bias, tt.spread)
		}
	}
}

// One lookup alone tells something too, unless it found hardly anybody.
func TestSizeEstimateOfOneLookup(t *testing.T) {
	var closest []Contact
	for i := range 8 {
		closest = append(closest, Contact{NodeInfo: krpc.NodeInfo{ID: krpc.ID{0x80 + byte(i) + 1}}})
	}
	// The eighth is at 8/256 of the keyspace.
	if got := EstimateSize(krpc.ID{0x80}, closest); got != 7*32 {
		t.Errorf("%v nodes, want %d", got, 7*32)
	}
	for n := range 2 {
		if got := EstimateSize(krpc.ID{0x80}, closest[:n]); got != 0 {
			t.Errorf("%v nodes from %d, want 0", got, n)
		}
	}
}

// After the network has grown or shrunk, the estimate follows.
func TestSizeEstimateFollows(t *testing.T) {
	rng := testRand(1)
	var s netSize
	for _, nodes := range []float64{500, 5000, 500} {
		for range 6 * sizeWindow {
			s.add(sample(rng, 500, 8) * 500 / nodes)
		}
		if got := s.nodes(8); math.Abs(got/nodes-1) > .15 {
			t.Errorf("%.0f nodes, %.0f estimated", nodes, got)
		}
	}
}

// Lookups for info-hashes and for the own id say nothing of the size.
func TestSizeRestsOnRandomTargets(t *testing.T) {
	l := newLab(t)
	l.network(20)
	n := l.node(simnet.Addr(60), nil)
	lookup := func(kind LookupKind, target krpc.ID) int {
		n.Lookup(Lookup{Kind: kind, Target: target})
		l.clock.Run(time.Minute)
		return n.Stats().SizeLookups
	}
	if s := n.Stats(); s.NetworkSize != 0 || s.SizeLookups != 0 {
		t.Errorf("%.0f nodes from %d lookups at the start", s.NetworkSize, s.SizeLookups)
	}
	lookup(LookupFindNode, krpc.ID{1}) // finds nobody
	n.Ping(simnet.Addr(0), func(PingResult, error) {})
	l.clock.Run(time.Second)
	for kind := range LookupKind(numLookupKinds) {
		random := kind == LookupUpkeep || kind == LookupFindNode || kind == LookupSample
		if !random && lookup(kind, krpc.ID{2}) != 0 {
			t.Errorf("a lookup of kind %v counts", kind)
		}
	}
	if lookup(LookupUpkeep, n.ID()) != 0 {
		t.Error("a lookup for the own id counts")
	}
	if lookup(LookupUpkeep, krpc.ID{3}) != 1 || lookup(LookupFindNode, krpc.ID{0x84}) != 2 || lookup(LookupSample, krpc.ID{0x44}) != 3 {
		t.Error("a lookup for a random target does not count")
	}
	if s := n.Stats(); s.NetworkSize < 10 || s.NetworkSize > 40 {
		t.Errorf("%.1f nodes, want some 20", s.NetworkSize)
	}
}
