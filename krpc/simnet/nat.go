package simnet

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

// NATKind says which datagrams a NAT lets in (RFC 3489, section 5).
type NATKind uint8

// The kinds of NAT, from the most to the least permissive. The first three send
// everything from one public address; Symmetric uses another port for each
// remote address and port.
const (
	FullCone          NATKind = iota // from anyone
	AddressRestricted                // from the IP addresses sent to
	PortRestricted                   // from the addresses and ports sent to
	Symmetric                        // the same, and only to the port used for them
)

const (
	// DefaultNATLifetime is how long a NAT remembers what was sent.
	DefaultNATLifetime = 90 * time.Second

	// MaxNATFlows is the number of remote addresses that a NAT remembers; the
	// one not sent to for the longest time makes room for another.
	MaxNATFlows = 1024

	minNATPort = 1024 // where a Symmetric NAT begins again after port 65535
)

// String returns the kind's name.
func (k NATKind) String() string {
	switch k {
	case FullCone:
		return "full cone"
	case AddressRestricted:
		return "address restricted"
	case PortRestricted:
		return "port restricted"
	case Symmetric:
		return "symmetric"
	}
	return fmt.Sprintf("NATKind(%d)", k)
}

// NATHost attaches a host behind a NAT. The host sees itself at private, others
// see it at public or, if kind is Symmetric, at that IP address and the ports
// from public's on. Datagrams get in by the rule of kind, and only until
// lifetime (0: DefaultNATLifetime) after the host last sent one that allows
// them; those that get in do not prolong it (RFC 4787, section 4.3: only the
// outbound refresh is required).
//
// private may be the same for many hosts: nobody can send to it. Hosts that
// share public's IP address have different ports of it and reach each other
// there. With private equal to public it is a host behind a stateful firewall.
//
// It panics like Host: on a public address that is taken, unless kind is
// Symmetric, and on one that is none.
func (n *Network) NATHost(public, private netip.AddrPort, kind NATKind, lifetime time.Duration, deliver krpc.PacketFunc) *Host {
	public, private = unmap(public), unmap(private)
	if !isUnicast(public) || !isUnicast(private) || public.Addr().Is4() != private.Addr().Is4() || kind > Symmetric {
		panic(fmt.Sprintf("simnet: NATHost: bad %s NAT from %s to %s", kind, private, public))
	}
	if lifetime <= 0 {
		lifetime = DefaultNATLifetime
	}
	h := &Host{net: n, addr: private, deliver: deliver}
	h.nat = &nat{host: h, kind: kind, public: public, lifetime: lifetime, flows: make(map[netip.AddrPort]*flow)}
	h.nat.ring.prev, h.nat.ring.next = &h.nat.ring, &h.nat.ring
	if kind != Symmetric {
		n.register(public, h)
	}
	return h
}

// nat is the NAT in front of one host.
type nat struct {
	host     *Host
	kind     NATKind
	public   netip.AddrPort // of a Symmetric NAT: the next port to try
	lifetime time.Duration
	flows    map[netip.AddrPort]*flow // by NATKind.key
	ring     flow                     // before the oldest and after the newest flow
}

// flow allows datagrams from where the host has sent to.
type flow struct {
	key        netip.AddrPort
	public     netip.AddrPort // to which they must be addressed
	expires    int64          // on the clock
	prev, next *flow          // ordered by expires
}

// key returns the part of a remote address that the NAT tells apart.
func (k NATKind) key(remote netip.AddrPort) netip.AddrPort {
	switch k {
	case FullCone:
		return netip.AddrPort{}
	case AddressRestricted:
		return netip.AddrPortFrom(remote.Addr(), 0)
	default:
		return remote
	}
}

// outbound remembers that the host sends to remote and returns the address that
// it appears at; false if a Symmetric NAT has no port left.
func (t *nat) outbound(remote netip.AddrPort) (netip.AddrPort, bool) {
	now := t.host.net.clock.now
	for t.ring.next != &t.ring && t.ring.next.expires <= now {
		t.forget(t.ring.next)
	}
	key := t.kind.key(remote)
	f := t.flows[key]
	if f != nil {
		f.unlink()
	} else if f = t.newFlow(key); f == nil {
		return netip.AddrPort{}, false
	}
	f.expires = t.host.net.clock.after(t.lifetime)
	f.linkBefore(&t.ring)
	return f.public, true
}

// admits reports whether a datagram to one of the public addresses gets in.
func (t *nat) admits(remote, public netip.AddrPort) bool {
	f := t.flows[t.kind.key(remote)]
	return f != nil && f.public == public && f.expires > t.host.net.clock.now
}

// newFlow returns a flow that is in the map but not yet in the ring.
func (t *nat) newFlow(key netip.AddrPort) *flow {
	if len(t.flows) >= MaxNATFlows {
		t.forget(t.ring.next)
	}
	f := &flow{key: key, public: t.public}
	if t.kind == Symmetric && !t.takePort(f) {
		return nil
	}
	t.flows[key] = f
	return f
}

// takePort gives f the next public port that nobody uses.
func (t *nat) takePort(f *flow) bool {
	hosts := t.host.net.hosts
	for range 1 << 16 {
		f.public = t.public
		next := max(t.public.Port()+1, minNATPort)
		t.public = netip.AddrPortFrom(t.public.Addr(), next)
		if hosts[f.public] == nil {
			hosts[f.public] = t.host
			return true
		}
	}
	return false
}

func (t *nat) forget(f *flow) {
	f.unlink()
	delete(t.flows, f.key)
	if t.kind == Symmetric {
		delete(t.host.net.hosts, f.public)
	}
}

func (t *nat) close() {
	for t.ring.next != &t.ring {
		t.forget(t.ring.next)
	}
	if t.kind != Symmetric {
		delete(t.host.net.hosts, t.public)
	}
}

func (f *flow) unlink() { f.prev.next, f.next.prev = f.next, f.prev }

func (f *flow) linkBefore(next *flow) {
	f.prev, f.next = next.prev, next
	f.prev.next, f.next.prev = f, f
}
