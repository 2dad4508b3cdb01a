package tracker

import (
	"bytes"
	"math"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// chiSquare returns how far counts are from uniform, in standard deviations of
// the statistic.
func chiSquare(counts []int, total int) float64 {
	mean := float64(total) / float64(len(counts))
	sum := 0.0
	for _, n := range counts {
		sum += (float64(n) - mean) * (float64(n) - mean) / mean
	}
	free := float64(len(counts) - 1)
	return (sum - free) / math.Sqrt(2*free)
}

func TestSampleIsUniform(t *testing.T) {
	const peers, k, rounds = 150, 20, 10_000
	for name, o := range map[string]SampleOptions{
		"all": {Max: k}, "leechers": {Max: k, NoSeed: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
			for n := range peers {
				mustAnnounce(t, s, ih, publicPeer(2*n), false, start)
				if o.NoSeed {
					mustAnnounce(t, s, ih, publicPeer(2*n+1), true, start)
				}
			}
			single := make([]int, peers)
			pairs := make([]int, peers/2) // how often 2i and 2i+1 come together
			var dst []byte
			for range rounds {
				dst = s.Sample(dst[:0], ih, o, start)
				var in [peers]bool
				for p := range (&krpc.Message{Values: dst}).EachPeer {
					a := p.Addr().As4()
					n := (int(a[1])<<8 + int(a[2])) / 2
					if in[n] {
						t.Fatalf("peer %d is twice in one sample", n)
					}
					in[n] = true
					single[n]++
				}
				if len(dst) != 8*k {
					t.Fatalf("%d bytes, want %d peers", len(dst), k)
				}
				for i := range pairs {
					if in[2*i] && in[2*i+1] {
						pairs[i]++
					}
				}
			}
			if x := chiSquare(single, k*rounds); math.Abs(x) > 4 {
				t.Errorf("peers: chi-square is off by %.1f deviations", x)
			}
			together := 0
			for _, n := range pairs {
				together += n
			}
			want := float64(rounds*len(pairs)*k*(k-1)) / float64(peers*(peers-1))
			if math.Abs(float64(together)-want) > 5*math.Sqrt(want) {
				t.Errorf("%d pairs, want about %.0f", together, want)
			}
			if x := chiSquare(pairs, together); math.Abs(x) > 4 {
				t.Errorf("pairs: chi-square is off by %.1f deviations", x)
			}
		})
	}
}

func TestSampleRepeatsItselfForASeed(t *testing.T) {
	run := func() []byte {
		s := newSwarms(SwarmsConfig{})
		for n := range 4000 {
			mustAnnounce(t, s, hashOf(n%40), publicPeer(n), false, start)
		}
		var dst []byte
		for n := range 40 {
			dst = s.Sample(dst, hashOf(n), SampleOptions{Max: 10}, start)
		}
		return dst
	}
	if !bytes.Equal(run(), run()) {
		t.Error("two runs with the same seed differ")
	}
}

func TestSampleSkipsTheExpired(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
	for n := range 200 {
		mustAnnounce(t, s, ih, publicPeer(n), n%2 == 0, start.Add(time.Duration(n/2)*time.Minute/2))
	}
	now := start.Add(70 * time.Minute) // 100 announced over 45 minutes ago
	for _, p := range peersOf(s, ih, SampleOptions{}, now) {
		if a := p.Addr().As4(); a[2] < 98 {
			t.Errorf("%v has expired", p)
		}
	}
	seeds, leechers := s.Count(ih, now)
	if seeds != leechers || seeds < 50 || seeds > 51 {
		t.Errorf("%d seeds and %d leechers, want 50 each", seeds, leechers)
	}
	if got := peersOf(s, ih, SampleOptions{NoSeed: true}, now); len(got) != leechers {
		t.Errorf("%d leechers sampled, want %d", len(got), leechers)
	}
}

func TestRefreshAndSampleAllocateNothing(t *testing.T) {
	s, ih := newSwarms(SwarmsConfig{}), hashOf(1)
	for n := range 2000 {
		mustAnnounce(t, s, ih, publicPeer(n), n%3 == 0, start)
	}
	dst, n := make([]byte, 0, krpc.MaxReply), 0
	for name, f := range map[string]func(){
		"refresh":     func() { mustAnnounce(t, s, ih, publicPeer(n), false, start) },
		"replacement": func() { mustAnnounce(t, s, ih, publicPeer(2000+n), false, start) },
		"full":        func() { s.Full(ih, publicPeer(n).Addr(), start) },
		"sample":      func() { s.Sample(dst, ih, SampleOptions{Max: 80}, start) },
		"leechers":    func() { s.Sample(dst, ih, SampleOptions{Max: 80, NoSeed: true}, start) },
		"count":       func() { s.Count(ih, start) },
		"stats":       func() { s.Stats() },
	} {
		f()
		if allocs := testing.AllocsPerRun(100, func() { n++; f() }); allocs != 0 {
			t.Errorf("%s: %v allocations", name, allocs)
		}
	}
}

// What a get_peers asks in one is what Sample and Full say.
func TestSampleAndFull(t *testing.T) {
	s := newSwarms(SwarmsConfig{MaxHashes: 1, MaxPeersPerSubnet: 1})
	mustAnnounce(t, s, hashOf(1), publicPeer(1), false, start)
	neighbour := publicPeer(1).Addr().Next()
	for _, c := range []struct {
		hash  int
		asker netip.Addr
	}{{1, publicPeer(1).Addr()}, {1, publicPeer(2).Addr()}, {1, neighbour}, {2, publicPeer(2).Addr()}, {1, netip.Addr{}}, {2, netip.Addr{}}} {
		wantFull := c.asker.IsValid() && s.Full(hashOf(c.hash), c.asker, start)
		o := SampleOptions{Max: 8}
		peers, full := s.SampleAndFull(nil, hashOf(c.hash), o, c.asker, start)
		if want := s.Sample(nil, hashOf(c.hash), o, start); string(peers) != string(want) || full != wantFull {
			t.Errorf("hash %d, asker %v: %q and %v, want %q and %v", c.hash, c.asker, peers, full, want, wantFull)
		}
	}
	if !s.Full(hashOf(2), neighbour, start) || !s.Full(hashOf(1), neighbour, start) {
		t.Error("the scenario wants a store that is full for some")
	}
}
