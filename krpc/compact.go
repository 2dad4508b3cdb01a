package krpc

import (
	"encoding/binary"
	"net/netip"
)

// The lengths of compact addresses, with and without a port (BEP 5, 32, 42).
const (
	ip4Len   = 4
	ip6Len   = 16
	portLen  = 2
	addr4Len = ip4Len + portLen
	addr6Len = ip6Len + portLen
)

// The lengths of an entry of Message.Nodes and Message.Nodes6 (BEP 5, BEP 32).
const (
	Node4Len = IDLen + addr4Len
	Node6Len = IDLen + addr6Len
)

// AppendCompactAddr appends the compact form of a to dst: 6 bytes for IPv4,
// IPv4-mapped IPv6 included, and 18 for any other address.
func AppendCompactAddr(dst []byte, a netip.AddrPort) []byte {
	if ip := a.Addr().Unmap(); ip.Is4() {
		b := ip.As4()
		dst = append(dst, b[:]...)
	} else {
		b := ip.As16()
		dst = append(dst, b[:]...)
	}
	return binary.BigEndian.AppendUint16(dst, a.Port())
}

// AppendNode appends the compact form of n to dst: 26 bytes for IPv4, fit for
// Message.Nodes, and 38 for IPv6, fit for Message.Nodes6 (BEP 5, BEP 32).
func AppendNode(dst []byte, n NodeInfo) []byte {
	return AppendCompactAddr(append(dst, n.ID[:]...), n.Addr)
}

// AppendPeer appends one element of Message.Values to dst: the bencoded string
// of a's 6 or 18 bytes (BEP 5, BEP 32).
func AppendPeer(dst []byte, a netip.AddrPort) []byte {
	if a.Addr().Unmap().Is4() {
		dst = append(dst, "6:"...)
	} else {
		dst = append(dst, "18:"...)
	}
	return AppendCompactAddr(dst, a)
}

// peerLen returns the length of what AppendPeer appends.
func peerLen(a netip.AddrPort) int {
	if a.Addr().Is4() || a.Addr().Is4In6() {
		return len("6:") + addr4Len
	}
	return len("18:") + addr6Len
}

// ParseCompactAddr reads an address of 6 or 18 bytes, or one of 4 or 16 bytes
// whose port was left out and is 0 then, as some nodes send in "ip" (BEP 42).
// IPv4-mapped IPv6 addresses are unmapped. It is false for any other length.
func ParseCompactAddr(b []byte) (netip.AddrPort, bool) {
	switch len(b) {
	case ip4Len:
		return netip.AddrPortFrom(netip.AddrFrom4([ip4Len]byte(b)), 0), true
	case ip6Len:
		return netip.AddrPortFrom(netip.AddrFrom16([ip6Len]byte(b)).Unmap(), 0), true
	case addr4Len:
		ip := netip.AddrFrom4([ip4Len]byte(b))
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[ip4Len:])), true
	case addr6Len:
		ip := netip.AddrFrom16([ip6Len]byte(b)).Unmap()
		return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[ip6Len:])), true
	}
	return netip.AddrPort{}, false
}

// reachable reports whether a datagram or a connection can be sent to a at all.
func reachable(a netip.AddrPort) bool {
	return a.Port() != 0 && !a.Addr().IsUnspecified()
}

// EachNode calls f with the nodes of Nodes and then of Nodes6 until it returns
// false; `for n := range m.EachNode` does the same. Left out are a torn entry
// at the end, port 0, unspecified addresses, and IPv4 ones in Nodes6 (BEP 32).
// It allocates nothing.
func (m *Message) EachNode(f func(NodeInfo) bool) {
	for b := m.Nodes; len(b) >= Node4Len; b = b[Node4Len:] {
		a, _ := ParseCompactAddr(b[IDLen:Node4Len])
		if reachable(a) && !f(NodeInfo{ID: ID(b[:IDLen]), Addr: a}) {
			return
		}
	}
	for b := m.Nodes6; len(b) >= Node6Len; b = b[Node6Len:] {
		a, _ := ParseCompactAddr(b[IDLen:Node6Len])
		if reachable(a) && a.Addr().Is6() && !f(NodeInfo{ID: ID(b[:IDLen]), Addr: a}) {
			return
		}
	}
}

// EachPeer calls f with the peers of Values until it returns false;
// `for a := range m.EachPeer` does the same. Left out are elements that are no
// strings of 6 or 18 bytes, port 0 and unspecified addresses. It allocates
// nothing.
func (m *Message) EachPeer(f func(netip.AddrPort) bool) {
	if m.PackedValues {
		for b := m.Values; len(b) >= addr4Len; b = b[addr4Len:] {
			if !yieldPeer(b[:addr4Len], f) {
				return
			}
		}
		return
	}
	s := scanner{b: m.Values}
	for s.pos < len(s.b) {
		if v, _ := s.strOrSkip(); !yieldPeer(v, f) {
			return
		}
	}
}

// yieldPeer calls f with the peer in b, if it is one. It returns false if f did.
func yieldPeer(b []byte, f func(netip.AddrPort) bool) bool {
	if len(b) != addr4Len && len(b) != addr6Len {
		return true
	}
	a, _ := ParseCompactAddr(b)
	return !reachable(a) || f(a)
}
