package udp

import (
	"encoding/binary"
	"net"
	"net/netip"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// sockaddrLen is the length in bytes of an IPv6 address as the kernel has it;
// an IPv4 one is shorter.
const sockaddrLen = unix.SizeofSockaddrInet6

// sockaddr is a struct sockaddr_in or sockaddr_in6. Both begin with the family
// in the machine's byte order and the port in the network's.
type sockaddr [sockaddrLen]byte

// addrPort returns the address, without a zone, and the index of the interface
// that a link-local address belongs to, otherwise 0.
func (a *sockaddr) addrPort() (netip.AddrPort, uint32) {
	port := binary.BigEndian.Uint16(a[2:])
	switch binary.NativeEndian.Uint16(a[:]) {
	case unix.AF_INET:
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte(a[4:])), port), 0
	case unix.AF_INET6:
		ip := netip.AddrFrom16([16]byte(a[8:]))
		return netip.AddrPortFrom(ip, port), binary.NativeEndian.Uint32(a[24:])
	}
	return netip.AddrPort{}, 0
}

// set makes a the address to, on the interface of index scope if it is
// link-local, and returns the length of the struct. It returns 0 if a socket of
// the family cannot send there.
func (a *sockaddr) set(to netip.AddrPort, scope uint32, v6 bool) int {
	ip := to.Addr()
	binary.BigEndian.PutUint16(a[2:], to.Port())
	switch {
	case !v6 && (ip.Is4() || ip.Is4In6()):
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET)
		as4 := ip.As4()
		copy(a[4:], as4[:])
		return unix.SizeofSockaddrInet4
	case v6 && ip.Is6() && !ip.Is4In6():
		binary.NativeEndian.PutUint16(a[:], unix.AF_INET6)
		as16 := ip.As16()
		copy(a[8:], as16[:])
		binary.NativeEndian.PutUint32(a[24:], scope)
		return unix.SizeofSockaddrInet6
	}
	return 0
}

// zoneIndex returns the index of the interface that a zone names.
func zoneIndex(zone string) (uint32, error) {
	if index, err := strconv.ParseUint(zone, 10, 32); err == nil {
		return uint32(index), nil
	}
	ifc, err := net.InterfaceByName(zone)
	if err != nil {
		return 0, syscall.ENODEV
	}
	return uint32(ifc.Index), nil
}

// zoneNames names the zones of link-local sources as package net does, by the
// interface, so that the address of a reply equals the one that was asked. It
// remembers the last: to ask the system allocates, and so does WithZone, but
// only neighbours on the link can have it done.
type zoneNames struct {
	index uint32
	last  string
}

func (z *zoneNames) name(index uint32) string {
	if z.index != index {
		z.index, z.last = index, strconv.FormatUint(uint64(index), 10)
		if ifc, err := net.InterfaceByIndex(int(index)); err == nil {
			z.last = ifc.Name
		}
	}
	return z.last
}
