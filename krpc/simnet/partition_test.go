package simnet

import (
	"net/netip"
	"testing"
)

func TestPartitionAndHeal(t *testing.T) {
	w := newWorld(1, Link{})
	a, b, c := w.inbox(Addr(0)), w.inbox(Addr(1)), w.inbox(Addr(2))

	send(t, a, Addr(1), "in flight when the network is cut")
	w.Partition(func(addr netip.AddrPort) int {
		if addr == Addr(1) {
			return 1
		}
		return 0
	})
	send(t, a, Addr(1), "across")
	b.expect(t)
	send(t, b, Addr(0), "back across")
	a.expect(t)
	send(t, a, Addr(2), "inside")
	c.expect(t, "inside")

	send(t, a, Addr(1), "just before it heals")
	w.Heal()
	send(t, a, Addr(1), "whole again")
	b.expect(t, "whole again")

	if s := w.Stats(); s.Partitioned != 4 || s.Delivered != 2 || s.InFlight != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestPartitionReplacesPartition(t *testing.T) {
	w := newWorld(1, Link{})
	a, b, c := w.inbox(Addr(0)), w.inbox(Addr(1)), w.inbox(Addr(2))
	without := func(lone netip.AddrPort) func(netip.AddrPort) int {
		return func(addr netip.AddrPort) int {
			if addr == lone {
				return 1
			}
			return 0
		}
	}
	w.Partition(without(Addr(1)))
	w.Partition(without(Addr(2)))
	send(t, a, Addr(1), "x")
	b.expect(t, "x")
	send(t, a, Addr(2), "y")
	c.expect(t)
}

func TestPartitionSeesThePublicAddress(t *testing.T) {
	w := newWorld(1, Link{})
	b := w.inbox(Addr(1))
	natted := w.natted(Addr(2), FullCone)
	w.Partition(func(addr netip.AddrPort) int {
		if addr == private {
			t.Error("asked for the group of a private address")
		}
		return 0
	})
	send(t, natted, Addr(1), "x")
	b.expect(t, "x")
}
