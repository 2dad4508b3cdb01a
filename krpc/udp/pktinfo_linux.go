package udp

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// control is a control message with the local address of a datagram: a struct
// in_pktinfo or in6_pktinfo after its header. Nothing pads between the two.
type control struct {
	header unix.Cmsghdr
	info   [controlInfo]byte
}

const (
	controlInfo = 24 // in6_pktinfo, rounded up as CMSG_SPACE rounds it
	controlLen  = int(unsafe.Sizeof(control{}))
	headerLen   = int(unsafe.Sizeof(unix.Cmsghdr{}))
)

func (c *control) bytes() *byte { return (*byte)(unsafe.Pointer(c)) }

// asSource turns c, of which the kernel wrote n bytes when a datagram came, into
// what makes the replies leave from the address that the datagram came to. It
// returns nil where that is for the kernel to choose.
//
// The interface is erased, so that a reply takes the route to its destination;
// a link-local source means nothing without it.
func (c *control) asSource(n int) *control {
	h := &c.header
	switch {
	case n >= headerLen+unix.SizeofInet4Pktinfo &&
		h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO:
		clear(c.info[:4]) // ipi_ifindex; ipi_spec_dst follows
		return c
	case n >= headerLen+unix.SizeofInet6Pktinfo &&
		h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO:
		ip := netip.AddrFrom16([16]byte(c.info[:16])) // ipi6_addr; ipi6_ifindex follows
		if ip.IsMulticast() {
			return nil
		}
		if !ip.IsLinkLocalUnicast() {
			clear(c.info[16:20])
		}
		return c
	}
	return nil
}
