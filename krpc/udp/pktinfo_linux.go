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

	canChooseSource = true
)

func (c *control) bytes() *byte { return (*byte)(unsafe.Pointer(c)) }

// asSource turns c, of which the kernel wrote n bytes when a datagram came, into
// what makes the replies leave from the address that the datagram came to. It
// returns nil where that is for the kernel to choose.
//
// The interface is erased, so that a reply takes the route to its destination;
// a link-local source means nothing without it.
func (c *control) asSource(n int) *control {
	switch {
	case c.isIPv4(n):
		clear(c.info[:4]) // ipi_ifindex; ipi_spec_dst follows
		return c
	case c.isIPv6(n):
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

// destination returns the address that a datagram came to, if c, of which the
// kernel wrote n bytes then, has it.
func (c *control) destination(n int) netip.Addr {
	switch {
	case c.isIPv4(n):
		return netip.AddrFrom4([4]byte(c.info[8:12])) // ipi_addr
	case c.isIPv6(n):
		return netip.AddrFrom16([16]byte(c.info[:16]))
	}
	return netip.Addr{}
}

func (c *control) isIPv4(n int) bool {
	return n >= headerLen+unix.SizeofInet4Pktinfo &&
		c.header.Level == unix.IPPROTO_IP && c.header.Type == unix.IP_PKTINFO
}

func (c *control) isIPv6(n int) bool {
	return n >= headerLen+unix.SizeofInet6Pktinfo &&
		c.header.Level == unix.IPPROTO_IPV6 && c.header.Type == unix.IPV6_PKTINFO
}

// leaveFrom makes c what has a datagram leave from source.
func (c *control) leaveFrom(source netip.Addr) {
	*c = control{}
	if source.Is4() {
		ip := source.As4()
		c.header.Level, c.header.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		c.header.SetLen(headerLen + unix.SizeofInet4Pktinfo)
		copy(c.info[4:], ip[:]) // ipi_spec_dst
		return
	}
	ip := source.As16()
	c.header.Level, c.header.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	c.header.SetLen(headerLen + unix.SizeofInet6Pktinfo)
	copy(c.info[:], ip[:])
}
