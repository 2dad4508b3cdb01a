package simnet

import (
	"net/netip"
	"testing"
	"time"
)

var private = netip.MustParseAddrPort("192.168.0.2:6881")

func (w *world) natted(public netip.AddrPort, kind NATKind) *inbox {
	i := &inbox{clock: w.clock}
	i.Host = w.NATHost(public, private, kind, 0, i.receive)
	return i
}

func withPort(a netip.AddrPort, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr(), port)
}

// Each kind of NAT is asked by the host it has sent to, from another port of
// that host's address, and by a stranger.
func TestNATRules(t *testing.T) {
	public, known, stranger := Addr(0), Addr(1), Addr(2)
	for _, c := range []struct {
		kind                  NATKind
		otherPort, fromAnyone bool
	}{
		{FullCone, true, true},
		{AddressRestricted, true, false},
		{PortRestricted, false, false},
		{Symmetric, false, false},
	} {
		t.Run(c.kind.String(), func(t *testing.T) {
			w := newWorld(1, Link{})
			host := w.natted(public, c.kind)
			a, otherPort, b := w.inbox(known), w.inbox(withPort(known, 7000)), w.inbox(stranger)
			ask := func(from *inbox, admitted bool) {
				t.Helper()
				send(t, from, public, "incoming")
				if admitted {
					host.expect(t, "incoming")
				} else {
					host.expect(t)
				}
			}
			if host.LocalAddr() != private {
				t.Errorf("local address %v, want %v", host.LocalAddr(), private)
			}
			ask(a, false)
			send(t, host, known, "outgoing")
			a.expect(t, "outgoing")
			if a.got[0].from != public {
				t.Errorf("appears as %v, want %v", a.got[0].from, public)
			}
			ask(a, true)
			ask(otherPort, c.otherPort)
			ask(b, c.fromAnyone)

			// What is let in does not keep the door open; what goes out does.
			w.clock.Run(DefaultNATLifetime/2 - time.Second)
			ask(a, true)
			w.clock.Run(DefaultNATLifetime / 2)
			ask(a, false)
			send(t, host, known, "again")
			a.expect(t, "again")
			send(t, a, a.got[0].from, "welcome")
			host.expect(t, "welcome")
			ask(b, c.fromAnyone)
			if s := w.Stats(); s.NATDropped == 0 || s.NoHost > 0 && c.kind != Symmetric {
				t.Errorf("stats %+v", s)
			}
		})
	}
}

func TestConeIsOnePortAndSymmetricIsMany(t *testing.T) {
	for kind := FullCone; kind <= Symmetric; kind++ {
		w := newWorld(1, Link{})
		host := w.natted(Addr(0), kind)
		seen := map[netip.AddrPort]bool{}
		for i := 1; i <= 10; i++ {
			remote := w.inbox(Addr(i))
			for range 2 { // the second datagram uses the port of the first
				send(t, host, Addr(i), "x")
				remote.expect(t, "x")
				seen[remote.got[0].from] = true
			}
		}
		want := 1
		if kind == Symmetric {
			want = 10
		}
		if len(seen) != want {
			t.Errorf("%s: seen at %d addresses, want %d", kind, len(seen), want)
		}
	}
}

func TestSymmetricPortIsForOneRemoteOnly(t *testing.T) {
	w := newWorld(1, Link{})
	host, a, b := w.natted(Addr(0), Symmetric), w.inbox(Addr(1)), w.inbox(Addr(2))
	send(t, host, Addr(1), "x")
	a.expect(t, "x")
	send(t, host, Addr(2), "x")
	b.expect(t, "x")
	send(t, b, a.got[0].from, "to the port used for a") // as b learns it from a
	host.expect(t)
	send(t, b, b.got[0].from, "to its own")
	host.expect(t, "to its own")
}

func TestHostsBehindOneAddress(t *testing.T) {
	w := newWorld(1, Link{})
	public := Addr(0)
	first, second := w.natted(public, FullCone), w.natted(withPort(public, 6882), PortRestricted)
	symmetric := w.natted(public, Symmetric) // 6881 and 6882 are taken
	remote := w.inbox(Addr(1))
	for i, h := range []*inbox{first, second, symmetric} {
		send(t, h, Addr(1), "x")
		remote.expect(t, "x")
		if want := withPort(public, 6881+uint16(i)); remote.got[0].from != want {
			t.Errorf("host %d appears as %v, want %v", i, remote.got[0].from, want)
		}
	}
	send(t, second, public, "hairpin")
	first.expect(t, "hairpin")
	if first.got[0].from != withPort(public, 6882) {
		t.Errorf("hairpin from %v", first.got[0].from)
	}
	send(t, first, private, "to a private address")
	second.expect(t)
}

func TestNATForgetsTheOldestFlowWhenFull(t *testing.T) {
	for _, kind := range []NATKind{AddressRestricted, PortRestricted, Symmetric} {
		w := newWorld(1, Link{})
		host := w.natted(Addr(0), kind)
		a, b := w.inbox(Addr(1)), w.inbox(Addr(2))
		send(t, host, Addr(1), "x")
		a.expect(t, "x")
		send(t, host, Addr(2), "x")
		b.expect(t, "x")
		send(t, host, Addr(1), "refreshed")
		for i := range MaxNATFlows - 1 {
			send(t, host, Addr(100+i), "x")
		}
		if n := len(host.nat.flows); n != MaxNATFlows {
			t.Fatalf("%s: %d flows, want %d", kind, n, MaxNATFlows)
		}
		send(t, b, b.got[0].from, "forgotten")
		host.expect(t)
		send(t, a, a.got[0].from, "remembered")
		host.expect(t, "remembered")
	}
}

func TestExpiredFlowsAndPortsAreGivenBack(t *testing.T) {
	w := newWorld(1, Link{})
	host := w.natted(Addr(0), Symmetric)
	for i := range 100 {
		send(t, host, Addr(1+i), "x")
	}
	w.clock.Run(DefaultNATLifetime)
	send(t, host, Addr(1), "x")
	if len(host.nat.flows) != 1 || len(w.hosts) != 1 {
		t.Errorf("%d flows and %d ports in use, want 1 and 1", len(host.nat.flows), len(w.hosts))
	}
	host.Close()
	if len(w.hosts) != 0 {
		t.Errorf("%d ports in use by a closed host", len(w.hosts))
	}
}

func TestNATWithoutPortsDropsWhatLeaves(t *testing.T) {
	w := newWorld(1, Link{})
	public := Addr(0)
	for port := 1; port <= 65535; port++ {
		w.hosts[withPort(public, uint16(port))] = &Host{}
	}
	host := w.natted(public, Symmetric)
	send(t, host, Addr(1), "x")
	if s := w.Stats(); s.NATDropped != 1 || len(host.nat.flows) != 0 {
		t.Errorf("stats %+v, %d flows", s, len(host.nat.flows))
	}
	delete(w.hosts, withPort(public, 2000))
	remote := w.inbox(Addr(1))
	send(t, host, Addr(1), "x")
	remote.expect(t, "x")
	if remote.got[0].from.Port() != 2000 {
		t.Errorf("from %v, want the free port 2000", remote.got[0].from)
	}
}

func TestFirewallIsANATWithoutTranslation(t *testing.T) {
	w := newWorld(1, Link{})
	host := &inbox{clock: w.clock}
	host.Host = w.NATHost(Addr(0), Addr(0), PortRestricted, 30*time.Second, host.receive)
	a := w.inbox(Addr(1))
	send(t, a, Addr(0), "unasked")
	host.expect(t)
	send(t, host, Addr(1), "x")
	a.expect(t, "x")
	w.clock.Run(25 * time.Second)
	send(t, a, Addr(0), "within 30 s")
	host.expect(t, "within 30 s")
	w.clock.Run(5 * time.Second)
	send(t, a, Addr(0), "after 30 s")
	host.expect(t)
	host.Close()
	w.Host(Addr(0), nil) // the address is free again
}

func TestNATHostPanics(t *testing.T) {
	w := newWorld(1, Link{})
	w.natted(Addr(0), FullCone)
	for name, f := range map[string]func(){
		"address in use":  func() { w.natted(Addr(0), PortRestricted) },
		"no public":       func() { w.natted(netip.AddrPort{}, Symmetric) },
		"two families":    func() { w.natted(Addr6(0), Symmetric) },
		"unknown kind":    func() { w.natted(Addr(1), Symmetric+1) },
		"private port 0":  func() { w.NATHost(Addr(1), withPort(private, 0), Symmetric, 0, nil) },
		"plain duplicate": func() { w.Host(Addr(0), nil) },
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
}
