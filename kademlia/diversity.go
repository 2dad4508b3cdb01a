package kademlia

import (
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// subnetOf returns the network that one party is taken to own: a /24 of IPv4 or
// a /64 of IPv6. Tables and lookups hold one node of each, so that many nodes
// need many networks (Wang and Kangasharju, GLOBECOM 2012).
func subnetOf(a netip.Addr) netip.Prefix {
	bits := 24
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits)
	return p
}

// diverse tells whether the limits on addresses and networks hold for a. Local
// addresses are free of them: a private swarm sits in one network, and a test
// network on one host.
func diverse(a netip.Addr) bool { return krpc.Class(a) == krpc.AddrClassPublic }

// usable tells whether a node or a peer at a can be believed to exist: local
// addresses only if the network is said to be local.
func usable(a netip.AddrPort, allowLocal bool) bool {
	if a.Port() == 0 || a.Addr().Zone() != "" {
		return false
	}
	switch krpc.Class(a.Addr()) {
	case krpc.AddrClassPublic:
		return true
	case krpc.AddrClassLocal:
		return allowLocal
	default:
		return false
	}
}
