package kademlia

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// closestShares returns the distances of the m closest of n random ids, in order: each is the
// least of those that are left.
func closestShares(r *rand.Rand, n, m int) []float64 {
	shares, left := make([]float64, 0, m), 1.
	for i := range min(m, n) {
		left *= math.Pow(1-r.Float64(), 1/float64(n-i))
		shares = append(shares, 1-left)
	}
	return shares
}

// surveyed returns the sample of a node that has looked up random targets in a network of n.
func surveyed(r *rand.Rand, n, k int) (s sizeSample) {
	for range len(s.last) {
		s.add(closestShares(r, n, k)[k-1], 0, 0)
	}
	return s
}

// alarms tells whether a lookup that ends at nodes at these distances would find a crowd: it looks
// at k of them, and at more if these are doubtful.
func alarms(s *sizeSample, shares []float64, k int) (doubtful, alarm bool) {
	for reach := 1; ; {
		c := s.crowding(shares[:min(reach*k, len(shares))], k, minSample)
		if c.chance < crowdChance {
			return true, true
		}
		closer := closerLook(reach, c.chance)
		if closer == reach {
			return reach > 1, false
		}
		reach = closer
	}
}

var crowdNetworks = []int{100, 1000, 10_000, 1_000_000, 10_000_000}

// In honest networks of any size not one lookup in 100 000 finds a crowd, and one in a hundred or
// so looks closer.
func TestHonestNetworksHaveNoCrowds(t *testing.T) {
	rounds := 100_000
	if testing.Short() || raceEnabled {
		rounds = 20_000
	}
	for i, nodes := range crowdNetworks {
		const k, lookups = DefaultK, 4 // for each sample
		r := testRand(uint64(i))
		var doubts, falseAlarms int
		for range rounds / lookups {
			s := surveyed(r, nodes, k)
			for range lookups {
				doubtful, alarm := alarms(&s, closestShares(r, nodes, farReach*k), k)
				if doubtful {
					doubts++
				}
				if alarm {
					falseAlarms++
				}
			}
		}
		t.Logf("%d nodes: of %d lookups %d looked closer, %d were false alarms", nodes, rounds, doubts, falseAlarms)
		if falseAlarms > rounds/100_000 || doubts > rounds/50 {
			t.Errorf("%d nodes: too many", nodes)
		}
	}
}

// Attackers that hide a key are closer to it than all others, or they would not.
func TestCrowdsAreFound(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
	const k, rounds = DefaultK, 4000
	for i, nodes := range crowdNetworks[1:] {
		for _, tt := range []struct {
			name      string
			attackers int
			reach     float64 // how far they go, as a share of the distance of the closest honest node
			want      float64
		}{
			{"20 close to the key", 20, .25, .999},
			{"20 within half of the closest", 20, .5, .995},
			{"20 as far out as they can", 20, 1, .98},
			{"50 as far out as they can", 50, 1, .9999},
			{"1000 as far out as they can", 1000, 1, 1},
			{"10 within a quarter of the closest", 10, .25, .85},
		} {
			r := testRand(uint64(i))
			found := 0
			for range rounds {
				s := surveyed(r, nodes, k)
				shares := closestShares(r, nodes, farReach*k)
				reach := shares[0] * tt.reach
				for range tt.attackers {
					shares = append(shares, r.Float64()*reach)
				}
				slices.Sort(shares)
				if _, alarm := alarms(&s, shares, k); alarm {
					found++
				}
			}
			share := float64(found) / rounds
			t.Logf("%d nodes, %s: found in %.2f%% of %d", nodes, tt.name, 100*share, rounds)
			if share < tt.want {
				t.Errorf("%d nodes, %s: found in %.4f, want %v", nodes, tt.name, share, tt.want)
			}
		}
	}
}

// The tail is that of the beta distribution.
func TestBetaTail(t *testing.T) {
	for _, tt := range []struct {
		a, b int
		x    float64
		want float64
	}{
		{1, 10, .01, 1 - math.Pow(.99, 10)},
		{10, 1, .5, math.Pow(.5, 10)},
		{2, 3, .2, 1 - math.Pow(.8, 4) - 4*.2*math.Pow(.8, 3)},
		{8, 128, 0, 0},
		{8, 128, .5, 1}, // above the mean
		{8, 128, math.NaN(), 1},
	} {
		if got := betaTail(tt.a, tt.b, tt.x); math.Abs(got-tt.want) > 1e-5*tt.want {
			t.Errorf("up to %v by beta(%d, %d): %v, want %v", tt.x, tt.a, tt.b, got, tt.want)
		}
	}
	if p := betaTail(24, 128, 1e-9); p <= 0 && p > 1e-100 {
		t.Errorf("far out: %v", p)
	}
}

// Who has not looked around yet suspects nobody, and who has forgets what was long ago.
func TestCrowdsNeedASample(t *testing.T) {
	r, close := testRand(1), make([]float64, 24)
	var s sizeSample
	for range minSample - 1 {
		s.add(sample(r, 1000, 8), 0, 0)
	}
	if _, alarm := alarms(&s, close, 8); alarm {
		t.Errorf("an alarm after %d lookups", s.n)
	}
	s.add(sample(r, 1000, 8), 0, 0)
	if _, alarm := alarms(&s, close, 8); !alarm {
		t.Errorf("no alarm after %d lookups", s.n)
	}
	for range 100 {
		s = surveyed(r, 50, 8)
		for range len(s.last) {
			s.add(sample(r, 5000, 8), 0, 0)
		}
		if _, alarm := alarms(&s, closestShares(r, 5000, 24), 8); alarm {
			t.Error("an alarm since the network has grown")
		}
	}
}
