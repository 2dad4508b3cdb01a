package kademlia

import (
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// The networks that one party is taken to own: a /24 of IPv4 and, since every site gets one
// for the asking, a /48 of IPv6. A table, a lookup and the memory hold one node of each, so
// that many nodes need many networks (Wang and Kangasharju, GLOBECOM 2012).
const (
	networkBits4 = 24
	networkBits6 = 48
)

// subnetOf returns the network of a.
func subnetOf(a netip.Addr) netip.Prefix {
	bits := networkBits4
	if a.Is6() {
		bits = networkBits6
	}
	p, _ := a.Prefix(bits)
	return p
}

// networkIn returns the address ip, IPv4 in its IPv4-mapped form, without the bits that tell
// hosts of a network apart.
func networkIn(ip [16]byte) (network [16]byte) {
	bits := networkBits6
	if netip.AddrFrom16(ip).Is4In6() {
		bits = 96 + networkBits4
	}
	copy(network[:], ip[:bits/8])
	return network
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
