package kademlia

import (
	"net/netip"
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

// idTries bounds the ids that are drawn to find one far from our siblings'. BEP 42
// leaves eight prefixes for an address; so many draws miss one of them once in some
// 5000 times.
const idTries = 64

// newID draws an id for an external address: of several, the one farthest from our
// siblings' (BEP 45). Neighbours of one program would be several of the k closest to a
// target, and hold the same swarms in the same memory.
func (n *Node) newID(addr netip.Addr) krpc.ID {
	best := SecureID(addr, n.rng)
	for range idTries {
		shared := n.sharedWithSiblings(best)
		if shared <= 0 {
			break // as far as can be
		}
		if id := SecureID(addr, n.rng); n.sharedWithSiblings(id) < shared {
			best = id
		}
	}
	return best
}

// sharedWithSiblings returns the number of leading bits that id shares with that of
// the nearest sibling; -1 without siblings. It reads their published views: a node
// never waits for another's lock while it holds its own.
func (n *Node) sharedWithSiblings(id krpc.ID) int {
	shared := -1
	for _, s := range n.siblings {
		shared = max(shared, s.ID().CommonPrefixLen(id))
	}
	return shared
}

// mayHave tells whether id can be ours at an external address: BEP 42 allows it, and
// no sibling has it, as one with a copied state would.
func (n *Node) mayHave(id krpc.ID, addr netip.Addr) bool {
	return ValidID(id, addr) && !slices.ContainsFunc(n.siblings, func(s *Node) bool { return s.ID() == id })
}
