package attack

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// gullible is a table as it should not be: whoever asks is let in at once, and pushes out who
// was there before.
type gullible struct {
	self    krpc.ID
	buckets [8*krpc.IDLen + 1][]krpc.NodeInfo
}

func (g *gullible) heard(n krpc.NodeInfo) {
	b := &g.buckets[g.self.CommonPrefixLen(n.ID)]
	if slices.Contains(*b, n) {
		return
	}
	if *b = append(*b, n); len(*b) > kademlia.DefaultK {
		*b = (*b)[1:]
	}
}

func (g *gullible) share(of func(netip.AddrPort) bool) float64 {
	all, n := 0, 0
	for _, b := range g.buckets {
		for _, c := range b {
			if all++; of(c.Addr) {
				n++
			}
		}
	}
	return float64(n) / float64(all)
}

// Two hundred hosts of as many networks want to be all that a node knows (Prünster et al.,
// USENIX Security 2021). Half are near to it, half anywhere. They ask it again and again, and are
// quicker than anybody else.
func TestEclipseOfANode(t *testing.T) {
	f := newField(t, 300)
	f.Clock.Run(30 * time.Minute)
	victim := f.Hosts[7]
	g := gullible{self: victim.ID()}
	for _, c := range victim.State().Contacts {
		g.heard(c)
	}
	p := f.NewParty(Collude).Spread(100, Networks)
	p.Crowd(victim.ID(), 100, func(int) netip.AddrPort { return Networks(len(p.Hosts)) })
	for range 30 {
		for _, h := range p.Hosts {
			p.Ask(h, victim.Addr)
			g.heard(h.NodeInfo)
		}
		f.Clock.Run(2 * time.Minute)
	}
	share := TableShare(victim, p.Has)
	t.Logf("attackers are %.0f %% of the contacts; of a gullible table %.0f %%", 100*share, 100*g.share(p.Has))
	if share > .5 {
		t.Errorf("%.0f %% of the table are attackers, want at most half", 100*share)
	}
	f.SearchFrom(victim)
	o := f.Measure(f.Targets(100), 1)
	t.Log(o)
	wantFound(t, o, .99)
}

// A newcomer is told of three bootstrap nodes. Two of them belong to an attacker, who names his
// own hosts alone.
func TestEclipseOfANewcomer(t *testing.T) {
	f := newField(t, 300)
	p := f.NewParty(Collude).Spread(100, Networks)
	alone := f.Newcomer(Networks(1000), p.Hosts[0].Addr)
	wary := f.Newcomer(Networks(1001), p.Hosts[0].Addr, p.Hosts[1].Addr, f.Hosts[0].Addr)
	f.Clock.Run(30 * time.Minute)
	for _, tt := range []struct {
		name  string
		h     *sim.Host
		found float64
	}{{"one bootstrap node, the attacker's", alone, 0}, {"one of three is honest", wary, .99}} {
		f.SearchFrom(tt.h)
		o := f.Measure(f.Targets(100), 1)
		t.Logf("%s: attackers are %.0f %% of the contacts; %v", tt.name, 100*TableShare(tt.h, p.Has), o)
		wantFound(t, o, tt.found)
	}
	if share := TableShare(wary, p.Has); share > .5 {
		t.Errorf("%.0f %% of the table are attackers, want at most half", 100*share)
	}
}

// Hosts behind a NAT look as if they could be reached, to whoever pings them as soon as they have
// asked.
func TestNATIllusion(t *testing.T) {
	f := newField(t, 200)
	eager := f.NewParty(func(p *Party, h *Host, from netip.AddrPort, _, _ *krpc.Message) bool {
		p.Ask(h, from)
		return true
	}).Spread(1, Networks)
	eager.Court(16, 200, time.Minute)
	clear(eager.Replied)
	hidden := make(map[netip.AddrPort]bool)
	for range 3 * len(f.Hosts) / 7 {
		hidden[f.GrowBehindNAT(simnet.PortRestricted).Addr] = true
		f.Clock.Run(5 * time.Second)
	}
	f.Clock.Run(30 * time.Minute)
	fooled := 0
	for addr := range eager.Replied {
		if hidden[addr] {
			fooled++
		}
	}
	mean, most := f.TableShare(func(a netip.AddrPort) bool { return hidden[a] })
	t.Logf("of those that answered an eager node %d of %d are behind a NAT; of the contacts in a table %.2f %%, at most %.1f %%",
		fooled, len(eager.Replied), 100*mean, 100*most)
	if fooled == 0 || mean > .02 {
		t.Errorf("%.2f %% of the contacts are behind a NAT, want 2 %% at most", 100*mean)
	}
}
