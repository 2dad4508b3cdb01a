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

// siteLocal is RFC 3879's, deprecated yet in BEP 42's list.
var siteLocal = netip.MustParsePrefix("fec0::/10")

// Class returns the class of a. Local are loopback, private (RFC 1918), shared
// (CGNAT), link-local, site-local and unique local addresses. Invalid are the
// zero Addr, unspecified, 0.0.0.0/8, multicast, 240.0.0.0/4 and IPv4-mapped
// addresses: sockets and decoders unmap, so a mapped one is a second name for
// an address, made to be counted twice. The ranges for documentation and
// benchmarks (such as 192.0.2.0/24, 198.18.0.0/15, 2001:db8::/32) are public:
// test networks use them, and elsewhere they merely do not answer.
func Class(a netip.Addr) AddrClass {
	if a.Is4() {
		return class4(a.As4())
	}
	switch {
	case !a.IsValid(), a.Is4In6(), a.IsUnspecified(), a.IsMulticast():
		return AddrClassInvalid
	case a.IsLoopback(), a.IsPrivate(), a.IsLinkLocalUnicast(), siteLocal.Contains(a.WithZone("")):
		return AddrClassLocal
	}
	return AddrClassPublic
}

// class4 reads the bytes, since tables and lookups ask for every contact they compare.
func class4(b [4]byte) AddrClass {
	switch {
	case b[0] == 0, // RFC 1122
		b[0] >= 224: // multicast; RFC 1112, with the broadcast address
		return AddrClassInvalid
	case b[0] == 10, b[0] == 127,
		b[0] == 100 && b[1]&0xc0 == 64, // RFC 6598
		b[0] == 169 && b[1] == 254,
		b[0] == 172 && b[1]&0xf0 == 16,
		b[0] == 192 && b[1] == 168:
		return AddrClassLocal
	}
	return AddrClassPublic
}
