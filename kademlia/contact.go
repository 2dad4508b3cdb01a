package kademlia

import (
	"net/netip"
	"sync/atomic"

	"github.com/kadnode/kadnode/krpc"
)

// instant is a time in nanoseconds since the table was made. It does not follow
// the system's clock when that is set.
type instant int64

// contact is an entry of the routing table, 64 bytes without pointers. Views of
// the table share the memory of its contacts: id, ip and port never change once
// an entry is there, fails is atomic, and the rest belongs to the table.
type contact struct {
	id     krpc.ID
	ip     [16]byte // IPv4 in its IPv4-mapped form
	port   uint16
	secure bool    // BEP 42 allows this id at this address
	fails  uint32  // atomic: queries unanswered since the last reply
	seen   instant // of the last reply, or query if it ever replied
	tried  instant // of the last ping or failure
}

func newContact(n krpc.NodeInfo, now instant) contact {
	return contact{
		id:     n.ID,
		ip:     n.Addr.Addr().As16(),
		port:   n.Addr.Port(),
		secure: ValidID(n.ID, n.Addr.Addr()),
		seen:   now,
	}
}

func (c *contact) addr() netip.Addr { return netip.AddrFrom16(c.ip).Unmap() }

func (c *contact) info() krpc.NodeInfo {
	return krpc.NodeInfo{ID: c.id, Addr: netip.AddrPortFrom(c.addr(), c.port)}
}

func (c *contact) at(a netip.AddrPort) bool {
	return c.port == a.Port() && c.ip == a.Addr().As16()
}

// alive takes note of an answer.
func (c *contact) alive(now instant) {
	atomic.StoreUint32(&c.fails, 0)
	c.seen = now
}

// answers tells whether nothing speaks against the contact being alive.
func (c *contact) answers() bool { return atomic.LoadUint32(&c.fails) == 0 }

// questionable is what BEP 5 calls a node that was silent for 15 minutes.
func (c *contact) questionable(now instant) bool {
	return now-c.seen >= instant(questionableAge)
}

// pingDue returns when a contact that stays silent is to be pinged: once it is
// questionable, and then at intervals that double with each failure.
func (c *contact) pingDue() instant {
	wait := instant(retryAge) << min(atomic.LoadUint32(&c.fails), 4)
	return max(c.seen+instant(questionableAge), c.tried+wait)
}
