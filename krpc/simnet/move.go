package simnet

import "net/netip"

// Move gives h another address, as a provider does with its customers: it sends from there
// from now on, and what is still on its way to the old address arrives nowhere, or at the next
// host there. Behind a NAT it is the public address that changes, and all flows end. Nobody
// is told, h included; its LocalAddr is the new address unless it is behind a NAT.
//
// It panics like Network.Host, and if h is closed.
func (h *Host) Move(to netip.AddrPort) {
	to = unmap(to)
	if h.closed {
		panic("simnet: Move: host is closed")
	}
	if to.Addr().Is4() != h.addr.Addr().Is4() {
		panic("simnet: Move: address of the other family: " + to.String())
	}
	if h.nat != nil {
		h.nat.move(to)
		return
	}
	h.net.register(to, h)
	delete(h.net.hosts, h.addr)
	h.addr = to
}

// move gives the NAT another public address.
func (t *nat) move(public netip.AddrPort) {
	if t.kind != Symmetric {
		t.host.net.register(public, t.host)
	}
	t.close()
	t.public = public
}
