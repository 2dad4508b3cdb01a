package simnet

import (
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// Crowd has member answer at all addresses that have no host: it returns what
// takes the datagrams for addr, or nil if nobody is there. What a member pushes
// to its Outbox leaves from addr; it can send nothing else. Crowd replaces an
// earlier crowd.
//
// It is for networks most of whose hosts only answer: a member takes no memory,
// and is not made before somebody asks it.
func (n *Network) Crowd(member func(addr netip.AddrPort) krpc.PacketFunc) { n.member = member }

// memberAt returns the member of the crowd at addr, nil if there is none. It is
// valid until the next call.
func (n *Network) memberAt(addr netip.AddrPort) *Host {
	if n.member == nil {
		return nil
	}
	deliver := n.member(addr)
	if deliver == nil {
		return nil
	}
	n.crowd = Host{net: n, addr: addr, deliver: deliver}
	return &n.crowd
}
