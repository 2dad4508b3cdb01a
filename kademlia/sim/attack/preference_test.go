package attack

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc/simnet"
	"github.com/kadnode/kadnode/tracker"
)

// Attackers with ids that BEP 42 allows answer at once. They are preferred, within a bound: half of
// the buckets that are wider than k, where who was there first stays (Chan-Tin et al. on made-up
// latencies).
func TestQuickAnswersGainLittle(t *testing.T) {
	wantFullSize(t)
	t.Logf("-seed=%d", *seed)
	play := func(nodes int, share float64, quick bool) (float64, Outcome) {
		var p *Party
		lognormal := simnet.LognormalRTT(90*time.Millisecond, 350*time.Millisecond, *seed)
		latency := func(from, to netip.AddrPort, r *rand.Rand) time.Duration {
			if quick && p != nil && (p.Has(from) || p.Has(to)) {
				return time.Millisecond
			}
			return lognormal(from, to, r)
		}
		f := NewField(sim.Config{Nodes: nodes, Seed: *seed, Link: simnet.Link{Latency: latency}}, tracker.SwarmsConfig{})
		f.Clock.Run(30 * time.Minute)
		p = f.NewParty(Collude)
		p.SpreadBound(int(float64(len(f.Hosts))*share/(1-share)), Networks)
		for range 10 {
			p.Court(8, 40, 2*time.Minute)
		}
		mean, _ := f.TableShare(p.Has)
		o := f.Measure(f.Targets(50), 2)
		t.Logf("%.0f %% attackers, quick %t: %.1f %% of a table; %v", 100*share, quick, 100*mean, o)
		return mean, o
	}
	before, _ := play(300, .1, false)
	mean, o := play(300, .1, true)
	if mean > before+.1 {
		t.Errorf("%.1f %% of a table are quick attackers, %.1f %% slow ones", 100*mean, 100*before)
	}
	wantFound(t, o, .99)
	if raceEnabled || testing.Short() {
		return
	}
	before, _ = play(200, .5, false)
	if mean, _ = play(200, .5, true); mean > before+.1 {
		t.Errorf("%.1f %% of a table are quick attackers, %.1f %% slow ones", 100*mean, 100*before)
	}
}

// Attackers tell everybody that he is seen at another address, for him to change his id and so
// to lose his place.
func TestVotesOnTheAddress(t *testing.T) {
	lie := netip.MustParseAddr("99.98.97.96")
	for _, tt := range []struct {
		name  string
		share float64 // of all nodes
		at    func(int) netip.AddrPort
		most  int // nodes that may be misled
	}{
		{"64 addresses in 4 networks", .5, Cramped(64, 4), 0},
		{"a network each, three in ten", .3, Networks, 0},
		{"a network each, half", .5, Networks, 1000}, // which is more than the rules are for
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newField(t, 150)
			p := f.NewParty(Mislead(lie))
			p.Spread(int(float64(len(f.Hosts))*tt.share/(1-tt.share)), tt.at)
			for range 30 {
				p.Court(16, 20, 2*time.Minute)
			}
			f.Measure(f.Targets(100), 1)
			changes, misled := uint64(0), 0
			for _, h := range f.Hosts {
				s := h.Stats()
				changes += s.IDChanges
				if s.ExternalAddr == lie {
					misled++
				}
			}
			t.Logf("%d queries came to the attackers; %d of %d nodes are misled, %d ids changed in an hour", p.Heard, misled, len(f.Hosts), changes)
			if misled > tt.most || changes > uint64(6*len(f.Hosts)) { // one in ten minutes
				t.Errorf("%d of %d nodes are misled, %d ids changed in an hour", misled, len(f.Hosts), changes)
			}
		})
	}
}
