package attack

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

var seed = flag.Uint64("seed", 1, "seed of the simulated worlds")

// newField builds a field of so many nodes. With fewer, attackers were more of the world than they
// are meant to be, and the race detector has nothing to find in one goroutine.
func newField(t *testing.T, nodes int) *Field {
	t.Helper()
	wantFullSize(t)
	t.Logf("-seed=%d", *seed)
	return NewField(sim.Config{Nodes: nodes, Seed: *seed}, tracker.SwarmsConfig{})
}

func wantFullSize(t *testing.T) {
	t.Helper()
	if raceEnabled || testing.Short() {
		t.Skip("a world of full size: run it without -race and -short")
	}
}

// One host in ten is a Sybil, spread over the keyspace, and all are at 64 addresses in four
// networks (Wang and Kangasharju, GLOBECOM 2012).
func TestHorizontalSybil(t *testing.T) {
	f := newField(t, 1000)
	f.Clock.Run(30 * time.Minute)
	p := f.NewParty(Collude).Spread(len(f.Hosts)/9, Cramped(64, 4))
	for range 10 {
		p.Court(16, 50, 2*time.Minute)
	}
	mean, most := f.TableShare(p.Has)
	t.Logf("of the contacts in a table %.2f %% are Sybils, at most %.2f %%", 100*mean, 100*most)
	if most > .02 {
		t.Errorf("a table has %.2f %% Sybils, want at most 2 %%", 100*most)
	}
	targets := f.Targets(100)
	t.Log("naive:", f.MeasureNaive(targets[:50], 2))
	o := f.Measure(targets[50:], 4)
	t.Log(o)
	wantFound(t, o, .99)
}

// A site has 65 536 networks of IPv6. They count as one.
func TestSiteIsOneNetwork(t *testing.T) {
	wantFullSize(t)
	t.Logf("-seed=%d", *seed)
	f := NewField(sim.Config{Nodes: 200, Seed: *seed, IPv6: true}, tracker.SwarmsConfig{})
	targets := f.Targets(1)
	p := f.NewParty(Collude).Spread(len(f.Hosts)/2, Site)
	p.Crowd(targets[0], len(f.Hosts)/2, func(i int) netip.AddrPort { return Site(len(p.Hosts)) })
	for range 10 {
		p.Court(16, 50, time.Minute)
	}
	mean, most := f.TableShare(p.Has)
	o := f.Measure(targets, 100)
	t.Logf("of the contacts in a table %.2f %% are Sybils, at most %.2f %%; %v", 100*mean, 100*most, o)
	for _, h := range f.Hosts {
		if n := TableShare(h, p.Has) * float64(len(h.State().Contacts)); n > 1 {
			t.Fatalf("a table has %.0f contacts of one site", n)
		}
	}
	wantFound(t, o, .99)
}

// The same hosts are all next to one key.
func TestVerticalSybilFromFewNetworks(t *testing.T) {
	f := newField(t, 400)
	targets := f.Targets(2)
	p := f.NewParty(Collude)
	for _, target := range targets {
		p.Crowd(target, len(f.Hosts)/18, func(i int) netip.AddrPort { return Cramped(64, 4)(len(p.Hosts)) })
	}
	for range 10 {
		p.Court(16, 50, time.Minute)
	}
	t.Log("naive:", f.MeasureNaive(targets[:1], 100))
	o := f.Measure(targets[1:], 200)
	t.Log(o)
	wantFound(t, o, .99)
}

// Half as many hosts as there are nodes, each in a network of its own, are around one key: a thousand
// by ids of their choice, and five hundred by ids that BEP 42 allows, which in so small a DHT are near
// enough.
func TestVerticalSybilFromAThousandNetworks(t *testing.T) {
	for _, tt := range []struct {
		ids    string
		nodes  int
		crowd  func(p *Party, target krpc.ID, n int, at func(int) netip.AddrPort) *Party
		alarms int // of 100 searches, at least
	}{
		{"at will", 2000, (*Party).Crowd, 95},
		{"bound", 1000, (*Party).CrowdBound, 20}, // they are four times as many there as the honest
	} {
		t.Run(tt.ids, func(t *testing.T) {
			f := newField(t, tt.nodes)
			targets := f.Targets(1)
			p := tt.crowd(f.NewParty(Collude), targets[0], len(f.Hosts)/2, Networks)
			p.Court(16, 5, time.Minute)
			p.Court(16, 5, 4*time.Minute)
			t.Log("naive:", f.MeasureNaive(targets, 100))
			o := f.Measure(targets, 100)
			t.Log(o)
			wantFound(t, o, .95)
			if o.Alarms < tt.alarms {
				t.Errorf("%d of 100 searches raised the alarm, want %d", o.Alarms, tt.alarms)
			}
		})
	}
}

func wantFound(t *testing.T, o Outcome, share float64) {
	t.Helper()
	if o.Share() < share {
		t.Errorf("%.1f %% found, want at least %.0f %%", 100*o.Share(), 100*share)
	}
}

// BEP 42 leaves eight beginnings of an id to an address, so that places next to a key cost
// networks: in a DHT of ten million nodes the eight closest share some 20 bits with it.
func TestBoundIDsCostNetworks(t *testing.T) {
	const targets, networks, shared = 8, 1000, 21 // BEP 42 binds so many bits
	rng, one, all := rand.New(rand.NewPCG(*seed, 0)), 0, 0
	for range targets {
		id := krpc.RandomID(rng)
		for i := range networks {
			ip := Networks(i).Addr().As4()
			for host := range 256 {
				ip[3] = byte(host)
				for r := range byte(8) {
					id[krpc.IDLen-1] = r
					if kademlia.ValidID(id, netip.AddrFrom4(ip)) {
						all++
						if host == 1 {
							one++
						}
					}
				}
			}
		}
	}
	t.Logf("%d networks have %.2f ids that share %d bits with a key, one host in each %.3f",
		networks, float64(all)/targets, shared, float64(one)/targets)
	if mean := float64(all) / targets; mean > 2 {
		t.Errorf("%.2f ids next to a key, want one", mean)
	}
}
