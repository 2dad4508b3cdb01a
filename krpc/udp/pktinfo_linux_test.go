package udp

import (
	"encoding/binary"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// arrived is the control message of a datagram that came to ip by interface 7.
func arrived(ip netip.Addr) (c control, n int) {
	at := 16 // ipi6_ifindex follows the address
	if ip.Is4() {
		n = headerLen + unix.SizeofInet4Pktinfo
		c.header.Level, c.header.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		copy(c.info[4:], ip.AsSlice())
		at = 0
	} else {
		n = headerLen + unix.SizeofInet6Pktinfo
		c.header.Level, c.header.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
		copy(c.info[:], ip.AsSlice())
	}
	binary.NativeEndian.PutUint32(c.info[at:], 7)
	c.header.SetLen(n)
	return c, n
}

func TestReplySource(t *testing.T) {
	for _, tc := range []struct {
		ip     string
		usable bool
		iface  uint32
	}{
		{"192.0.2.1", true, 0},
		{"2001:db8::1", true, 0},
		{"fe80::1", true, 7},
		{"ff02::1", false, 0},
	} {
		ip := netip.MustParseAddr(tc.ip)
		c, n := arrived(ip)
		got := c.asSource(n)
		if (got != nil) != tc.usable {
			t.Errorf("%s: usable %v, want %v", ip, got != nil, tc.usable)
		}
		if got == nil {
			continue
		}
		address, index := got.info[:16], got.info[16:20]
		if ip.Is4() {
			address, index = got.info[4:8], got.info[:4]
		}
		if string(address) != string(ip.AsSlice()) {
			t.Errorf("%s: address %x", ip, address)
		}
		if i := binary.NativeEndian.Uint32(index); i != tc.iface {
			t.Errorf("%s: interface %d, want %d", ip, i, tc.iface)
		}
		if c.asSource(n-1) != nil || c.asSource(0) != nil {
			t.Errorf("%s: a message cut short is usable", ip)
		}
	}
}
