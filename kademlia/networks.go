package kademlia

import (
	"encoding/binary"
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

// networks says of the contacts of a table, without a look at them, what the limits on new ones
// ask for: that is asked with each reply, and the contacts are a hundred cache lines.
type networks struct {
	digests []uint32 // of the network of each contact, in no order
	bound   int      // contacts whose ids BEP 42 allows
}

// digest returns the 24 bits of a network of IPv4, or 48 folded to 32: two of IPv6 may have the same.
func digest(network [16]byte) uint32 {
	if [12]byte(network[:12]) == v4In6 {
		return binary.BigEndian.Uint32(network[12:])
	}
	return binary.BigEndian.Uint32(network[:]) ^ uint32(binary.BigEndian.Uint16(network[4:]))*0x9e3779b1
}

var v4In6 = [12]byte{10: 0xff, 11: 0xff}

// size returns the number of contacts.
func (s *networks) size() int { return len(s.digests) }

func (s *networks) add(c *contact) {
	s.digests = append(s.digests, digest(networkIn(c.ip)))
	if c.secure {
		s.bound++
	}
}

func (s *networks) remove(c *contact) {
	i := slices.Index(s.digests, digest(networkIn(c.ip)))
	last := len(s.digests) - 1
	s.digests[i] = s.digests[last]
	s.digests = s.digests[:last]
	if c.secure {
		s.bound--
	}
}

// has tells whether there is a contact in the network.
func (t *table) has(network [16]byte) bool {
	if !slices.Contains(t.networks.digests, digest(network)) {
		return false
	}
	for i := range t.buckets {
		for j := range t.buckets[i].live {
			if networkIn(t.buckets[i].live[j].ip) == network {
				return true
			}
		}
	}
	return false
}

// admits tells whether one more contact like n keeps to the limits: one of each network in the
// table, and if it is strict, so many whose ids are not bound that most still are. Buckets are many, and
// deep ones cost nothing: with one of a network in each, whoever has a few networks could be a
// large part of the table, and all of what is near to us.
func (t *table) admits(n krpc.NodeInfo) bool {
	if !diverse(n.Addr.Addr()) {
		return true
	}
	if t.has(networkIn(n.Addr.Addr().As16())) {
		return false
	}
	bound, all := t.networks.bound, t.size()
	return !t.strict || !areMost(bound, all) || areMost(bound, all+1) || ValidID(n.ID, n.Addr.Addr())
}
