package simnet

import (
	"net/netip"
	"testing"
	"time"
)

func TestFilterIsOfOneDirection(t *testing.T) {
	w := newWorld(1, Link{})
	a, b := w.inbox(Addr(0)), w.inbox(Addr(1))
	send(t, b, Addr(0), "on its way when the filter comes")
	w.Filter(func(from, _ netip.AddrPort) bool { return from != Addr(1) })
	send(t, b, Addr(0), "from the one that is not heard")
	a.expect(t)
	send(t, a, Addr(1), "to it")
	b.expect(t, "to it")
	w.Filter(nil)
	send(t, b, Addr(0), "again")
	a.expect(t, "again")
	if s := w.Stats(); s.Filtered != 2 || s.Delivered != 2 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestOneWayCutsAShareOfTheWays(t *testing.T) {
	const hosts = 300
	passes := OneWay(.2, 7)
	cut, both := 0, 0
	for i := range hosts {
		for j := range i {
			there, back := passes(Addr(i), Addr(j)), passes(Addr(j), Addr(i))
			if !there {
				cut++
			}
			if !back {
				cut++
			}
			if !there && !back {
				both++
			}
			if passes(withPort(Addr(i), 1), Addr(j)) != there {
				t.Fatal("another port of a host has another way")
			}
		}
	}
	pairs := float64(hosts * (hosts - 1) / 2)
	if s := float64(cut) / pairs / 2; s < .19 || s > .21 {
		t.Errorf("%.3f of the ways are cut, want 0.2", s)
	}
	if s := float64(both) / pairs; s < .03 || s > .05 {
		t.Errorf("%.3f of the pairs are cut both ways, want 0.04", s)
	}
	for share, want := range map[float64]bool{0: true, 1: false} {
		if got := OneWay(share, 1)(Addr(0), Addr(1)); got != want {
			t.Errorf("a share of %v: %t", share, got)
		}
	}
}

func TestFilterDoesNotAllocate(t *testing.T) {
	w := newWorld(1, Link{Corrupt: .1})
	a := w.Host(Addr(0), nil)
	w.inbox(Addr(1))
	w.Filter(OneWay(1, 1))
	if allocs := testing.AllocsPerRun(100, func() { send(t, a, Addr(1), "") }); allocs > 0 {
		t.Errorf("%v allocations for a datagram that is stopped", allocs)
	}
	w.clock.Run(time.Second)
}
