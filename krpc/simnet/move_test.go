package simnet

import "testing"

func TestMovedHostIsAtItsNewAddress(t *testing.T) {
	w := newWorld(1, Link{})
	a, b := w.inbox(Addr(0)), w.inbox(Addr(1))
	send(t, a, Addr(1), "on its way")
	send(t, b, Addr(0), "from the old address")
	b.Move(Addr(2))
	a.expect(t, "from the old address")
	send(t, b, Addr(0), "from the new one")
	send(t, a, Addr(1), "to the old one")
	a.expect(t, "from the new one")
	if got := a.got[0].from; got != Addr(2) || b.LocalAddr() != Addr(2) {
		t.Errorf("from %v, LocalAddr %v, want %v", got, b.LocalAddr(), Addr(2))
	}
	send(t, a, Addr(2), "to the new one")
	b.expect(t, "to the new one")
	if s := w.Stats(); s.NoHost != 2 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}

	next := w.inbox(Addr(1)) // the old address is free
	send(t, a, Addr(1), "to the next host there")
	next.expect(t, "to the next host there")
	b.Close()
	w.Host(Addr(2), nil)
}

func TestNATMovesWithoutItsFlows(t *testing.T) {
	for _, kind := range []NATKind{PortRestricted, Symmetric} {
		w := newWorld(1, Link{})
		a, b := w.inbox(Addr(0)), w.natted(Addr(1), kind)
		send(t, b, Addr(0), "out")
		a.expect(t, "out")
		b.Move(Addr(2))
		send(t, a, Addr(1), "to the old address")
		send(t, a, Addr(2), "before it has sent from there")
		b.expect(t)
		send(t, b, Addr(0), "out again")
		a.expect(t, "out again")
		if got := a.got[0].from; got != Addr(2) || b.LocalAddr() != private {
			t.Errorf("%v: from %v, LocalAddr %v", kind, got, b.LocalAddr())
		}
		send(t, a, Addr(2), "in")
		b.expect(t, "in")
		w.inbox(Addr(1)) // the old address is free
	}
}

func TestMoveToNoPlacePanics(t *testing.T) {
	w := newWorld(1, Link{})
	h, closed := w.Host(Addr(0), nil), w.Host(Addr(1), nil)
	closed.Close()
	w.Host(Addr(2), nil)
	for name, f := range map[string]func(){
		"taken":  func() { h.Move(Addr(2)) },
		"family": func() { h.Move(Addr6(0)) },
		"closed": func() { closed.Move(Addr(3)) },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			f()
		}()
	}
	if h.LocalAddr() != Addr(0) {
		t.Errorf("moved to %v all the same", h.LocalAddr())
	}
}
