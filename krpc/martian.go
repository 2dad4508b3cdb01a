package krpc

import "net/netip"

// AddrClass says who can be reached at an address.
type AddrClass uint8

const (
	// AddrClassInvalid is an address that no node has: it is neither stored,
	// nor handed on, nor sent to.
	AddrClassInvalid AddrClass = iota
	// AddrClassLocal is an address with a meaning only on the host, link or site:
	// good between nodes that share it, hostile or mistaken from the outside.
	AddrClassLocal
	// AddrClassPublic is any other address.
	AddrClassPublic
)

// The ranges that netip has no predicate for.
var (
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")     // RFC 1122
	carrierNAT  = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	reserved4   = netip.MustParsePrefix("240.0.0.0/4")   // RFC 1112, with the broadcast address
	siteLocal   = netip.MustParsePrefix("fec0::/10")     // RFC 3879, deprecated yet in BEP 42's list
)

// Class returns the class of a. Local are loopback, private (RFC 1918), shared
// (CGNAT), link-local, site-local and unique local addresses. Invalid are the
// zero Addr, unspecified, 0.0.0.0/8, multicast, 240.0.0.0/4 and IPv4-mapped
// addresses: sockets and decoders unmap, so a mapped one is a second name for
// an address, made to be counted twice. The ranges for documentation and
// benchmarks (such as 192.0.2.0/24, 198.18.0.0/15, 2001:db8::/32) are public:
// test networks use them, and elsewhere they merely do not answer.
func Class(a netip.Addr) AddrClass {
	switch {
	case !a.IsValid(), a.Is4In6(), a.IsUnspecified(), a.IsMulticast(),
		thisNetwork.Contains(a), reserved4.Contains(a):
		return AddrClassInvalid
	case a.IsLoopback(), a.IsPrivate(), a.IsLinkLocalUnicast(),
		carrierNAT.Contains(a), siteLocal.Contains(a.WithZone("")):
		return AddrClassLocal
	}
	return AddrClassPublic
}
