package attack

import (
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/tracker"
)

// One host in ten, each in a network of its own, sends lookups astray: to hosts that are close
// to whatever is looked for (the trick of many crawlers), or to nobody.
func TestLookupsAreSentAstray(t *testing.T) {
	for name, play := range map[string]func(p *Party){
		"to those that are close to anything": func(p *Party) { p.Tactic = Shift },
		"to nobody":                           func(p *Party) { p.Tactic = Bury() },
		"to nobody, by ids that are bound":    BuryBound,
	} {
		t.Run(name, func(t *testing.T) {
			f := newField(t, 300)
			p := f.NewParty(Collude).Spread(len(f.Hosts)/9, Networks)
			play(p)
			for range 10 {
				p.Court(16, 50, time.Minute)
			}
			targets := f.Targets(100)
			t.Log("naive:", f.MeasureNaive(targets[:50], 2))
			o := f.Measure(targets[50:], 4)
			t.Log(o)
			wantFound(t, o, .99)
			if o.Queries > 60 {
				t.Errorf("a search takes %.1f queries, want 60 at most", o.Queries)
			}
			if _, most := f.TableShare(func(a netip.AddrPort) bool { return a.Port() == sybilPort && !p.Has(a) }); most > 0 {
				t.Error("a table has nodes that do not exist")
			}
		})
	}
}

// The same hosts name one victim to all who look for something (Sun, Torres and Rao, 2007).
func TestNobodyIsMadeToFlood(t *testing.T) {
	f := newField(t, 300)
	victim := Networks(77_777).Addr()
	p := f.NewParty(Accuse(victim)).Spread(len(f.Hosts)/9, Networks)
	for range 10 {
		p.Court(16, 50, time.Minute)
	}
	missed := f.Net.Stats().NoHost
	targets := f.Targets(100)
	naive := f.MeasureNaive(targets[:50], 2)
	perNaive := float64(f.Net.Stats().NoHost-missed) / float64(50+naive.Searches)
	missed = f.Net.Stats().NoHost
	o := f.Measure(targets[50:], 4)
	per := float64(f.Net.Stats().NoHost-missed) / float64(50+o.Searches)
	t.Logf("naive: %.1f datagrams at the victim for each lookup; %v", perNaive, naive)
	t.Logf("%.1f datagrams at the victim for each lookup; %v", per, o)
	if per > 2 {
		t.Errorf("%.1f datagrams at the victim for each lookup, want 2 at most", per)
	}
	wantFound(t, o, .99)
}

// Who answers with the id of whoever asks is nobody's contact.
func TestMirrorsAreNobody(t *testing.T) {
	f := newField(t, 200)
	p := f.NewParty(Mirror).Spread(len(f.Hosts)/9, Networks)
	for range 10 {
		p.Court(16, 50, time.Minute)
	}
	_, most := f.TableShare(p.Has)
	o := f.Measure(f.Targets(50), 2)
	t.Logf("%d queries came to the mirrors; they are %.1f %% of a table; %v", p.Heard, 100*most, o)
	if p.Heard == 0 || most > 0 {
		t.Errorf("%d queries came to the mirrors; a table has %.1f %% of them", p.Heard, 100*most)
	}
	wantFound(t, o, .99)
}

// A reflector sends back all that it gets. Our own packets are neither answered nor believed.
func TestReflectorsGetNoAnswer(t *testing.T) {
	f := newField(t, 100)
	in, out := 0, 0
	reflectors := make(map[netip.AddrPort]bool)
	for i := range 20 {
		addr := Networks(i)
		reflectors[addr] = true
		host := f.Net.Host(addr, func(_ time.Time, from netip.AddrPort, b []byte, o krpc.Outbox) {
			in++
			o.Push(from, append(o.Buffer(), b...))
		})
		for round := range 10 {
			f.Clock.AfterFunc(time.Duration(round)*time.Minute, func() {
				for _, h := range f.Hosts {
					q := krpc.Message{Kind: krpc.KindQuery, Method: krpc.MethodPing, TID: []byte("x"), HasID: true, ID: krpc.RandomID(f.Rand)}
					if host.Send(h.Addr, q.Append(nil)) == nil {
						out++
					}
				}
			})
		}
	}
	f.Clock.Run(20 * time.Minute)
	_, most := f.TableShare(func(a netip.AddrPort) bool { return reflectors[a] })
	t.Logf("%d pings of the reflectors brought %d datagrams, which they sent back; they are %.1f %% of a table", out, in, 100*most)
	// A reply to each ping, and a ping now and then to see who they are.
	if most > 0 || in < out || float64(in) > 1.5*float64(out) {
		t.Errorf("%d datagrams for %d pings; a table has %.1f %% reflectors", in, out, 100*most)
	}
}

// An attack is the same again for the same seed.
func TestAttacksRepeatThemselves(t *testing.T) {
	play := func(seed uint64) uint64 {
		f := NewField(sim.Config{Nodes: 60, Seed: seed}, tracker.SwarmsConfig{})
		p := f.NewParty(Shift).Spread(10, Networks)
		p.Crowd(krpc.RandomID(f.Rand), 10, func(i int) netip.AddrPort { return Networks(100 + i) })
		p.Court(8, 8, time.Minute)
		f.MeasureNaive(f.Targets(5), 1)
		f.Measure(f.Targets(5), 2)
		return f.Net.TraceHash()
	}
	first := play(*seed)
	if play(*seed) != first {
		t.Error("the second run was another one")
	}
	if play(*seed+1) == first {
		t.Error("another seed plays the same")
	}
}
