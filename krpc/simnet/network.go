package simnet

import (
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// Network carries datagrams between hosts in virtual time. Both families are
// one network; a host has one address of either.
//
// Not safe for concurrent use: it belongs to the goroutine that runs its clock.
type Network struct {
	clock   *Clock
	rng     *rand.Rand
	link    Link
	hosts   map[netip.AddrPort]*Host             // by the address that others send to
	member  func(netip.AddrPort) krpc.PacketFunc // nil: no crowd
	crowd   Host                                 // the member that is delivered to
	groupOf func(netip.AddrPort) int             // nil: whole
	passes  func(from, to netip.AddrPort) bool   // nil: everything
	pool    pool
	out     outbox
	trace   trace
}

// NewNetwork returns a network without hosts. All chance is drawn from rng,
// which the network does not share with other goroutines but may with other
// users on this one; link describes the way between any two hosts.
func NewNetwork(clock *Clock, rng *rand.Rand, link Link) *Network {
	n := &Network{clock: clock, rng: rng, link: link, hosts: make(map[netip.AddrPort]*Host)}
	n.trace.hash = traceSeed
	return n
}

// SetLink changes the conditions for the datagrams sent from now on.
func (n *Network) SetLink(link Link) { n.link = link }

// Host attaches a host to the network. deliver is called from the event of each
// datagram that arrives at addr, never from within Send. It may be nil, and set by SetDeliver before
// anything arrives.
//
// It panics if addr is not a single host's address and port or is taken: the
// program has laid out its network wrongly.
func (n *Network) Host(addr netip.AddrPort, deliver krpc.PacketFunc) *Host {
	h := &Host{net: n, addr: unmap(addr), deliver: deliver}
	n.register(h.addr, h)
	return h
}

// register makes h the receiver of what is sent to addr.
func (n *Network) register(addr netip.AddrPort, h *Host) {
	if !isUnicast(addr) {
		panic("simnet: Host: not a host's address: " + addr.String())
	}
	if n.hosts[addr] != nil {
		panic("simnet: Host: address in use: " + addr.String())
	}
	n.hosts[addr] = h
}

// send takes one datagram as far as the network's edge: it is dropped there or
// put on its way, perhaps twice.
func (n *Network) send(h *Host, to netip.AddrPort, b []byte) {
	n.trace.sent(len(b))
	from := h.addr
	if h.down {
		n.record(hostDown, from, to, b)
		return
	}
	if h.nat != nil {
		var ok bool
		if from, ok = h.nat.outbound(to); !ok {
			n.record(natDropped, h.addr, to, b)
			return
		}
	}
	if n.parted(from, to) {
		n.record(partitioned, from, to, b)
		return
	}
	if n.stops(from, to) {
		n.record(filtered, from, to, b)
		return
	}
	link := &n.link
	if h.link != nil {
		link = h.link
	}
	if chance(link.Loss, n.rng) {
		n.record(lost, from, to, b)
		return
	}
	n.launch(link, from, to, b)
	if chance(link.Duplicate, n.rng) {
		n.trace.stats.Duplicated++
		n.launch(link, from, to, b)
	}
}

// delay draws the time that one datagram takes.
func (n *Network) delay(link *Link, from, to netip.AddrPort) time.Duration {
	d := link.latency(from, to, n.rng)
	if chance(link.Reorder, n.rng) {
		n.trace.stats.Reordered++
		d += link.reorderDelay(n.rng)
	}
	return d
}

// receiver returns the host that a datagram arrives at, or what stops it.
func (n *Network) receiver(from, to netip.AddrPort) (*Host, fate) {
	if n.parted(from, to) {
		return nil, partitioned
	}
	if n.stops(from, to) {
		return nil, filtered
	}
	h := n.hosts[to]
	if h == nil {
		h = n.memberAt(to)
	}
	switch {
	case h == nil:
		return nil, noHost
	case h.down:
		return nil, hostDown
	case h.nat != nil && !h.nat.admits(from, to):
		return nil, natDropped
	}
	return h, delivered
}

// chance is true with probability p. It draws nothing if p is 0, so that an
// ideal network is quick.
func chance(p float64, r *rand.Rand) bool { return p > 0 && r.Float64() < p }

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

func isUnicast(a netip.AddrPort) bool {
	ip := a.Addr()
	return ip.IsValid() && a.Port() != 0 && !ip.IsUnspecified() && !ip.IsMulticast()
}
