package kademlia

import (
	"encoding/binary"
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

// address is an address and a port, 18 bytes without pointers, where netip.AddrPort takes 32:
// there are many of them, and they are compared often. Zones have no place: nobody is usable
// at one.
type address struct {
	ip   [16]byte // IPv4 in its IPv4-mapped form
	port uint16
}

func addressOf(a netip.AddrPort) address { return address{a.Addr().As16(), a.Port()} }

func (a *address) addr() netip.Addr { return netip.AddrFrom16(a.ip).Unmap() }

func (a *address) addrPort() netip.AddrPort { return netip.AddrPortFrom(a.addr(), a.port) }

func (a *address) at(b netip.AddrPort) bool { return a.port == b.Port() && a.ip == b.Addr().As16() }

// compact is a node's id and address, 38 bytes.
type compact struct {
	id krpc.ID
	address
}

func compactOf(n krpc.NodeInfo) compact { return compact{n.ID, addressOf(n.Addr)} }

func (c *compact) info() krpc.NodeInfo { return krpc.NodeInfo{ID: c.id, Addr: c.addrPort()} }

// is tells whether c is n.
func (c *compact) is(n krpc.NodeInfo) bool { return c.id == n.ID && c.at(n.Addr) }

// appendCompact appends what krpc.AppendNode does for info, without taking the address
// apart and together again.
func (c *compact) appendCompact(dst []byte) []byte {
	dst = append(dst, c.id[:]...)
	if binary.LittleEndian.Uint64(c.ip[:]) == 0 && binary.LittleEndian.Uint32(c.ip[8:]) == 0xffff_0000 {
		dst = append(dst, c.ip[12:]...)
	} else {
		dst = append(dst, c.ip[:]...)
	}
	return binary.BigEndian.AppendUint16(dst, c.port)
}
