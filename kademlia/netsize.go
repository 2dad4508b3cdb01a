package kademlia

import (
	"encoding/binary"
	"math"

	"github.com/kadnode/kadnode/krpc"
)

// sizeWindow is how many lookups the estimate of the network's size rests on in the
// long run. A few hours of upkeep fill it; random targets then leave an error of some
// 2 %.
const sizeWindow = 256

// netSize estimates how many nodes there are, us excluded, from how close the
// closest to random targets are.
//
// Ids are uniform, so the distance x to the k-th closest of N nodes, as a share of the
// keyspace, is the k-th order statistic of N uniform numbers: N·x has the gamma
// distribution of shape k, and where the closer ones are tells no more. Over L lookups
// the most likely N is L·k / Σx, and (L·k-1) / Σx is without bias. Both sums are
// decayed, so that the estimate follows the network. It is not safe for concurrent use.
type netSize struct {
	lookups  float64 // L
	distance float64 // Σx
}

// add takes in the distance of the k-th closest, as a share of the keyspace.
func (s *netSize) add(x float64) {
	const keep = 1 - 1./sizeWindow
	s.lookups = s.lookups*keep + 1
	s.distance = s.distance*keep + x
}

// nodes returns the estimate for lookups that end at k nodes; 0: not known yet.
func (s *netSize) nodes(k int) float64 {
	if s.distance == 0 {
		return 0
	}
	return (s.lookups*float64(k) - 1) / s.distance
}

// EstimateSize estimates how many nodes there are from one lookup for a random target:
// closest are the nodes that it ended at, closest first, as many as it was to find. The
// error is large, some 40 % for eight of them. 0: fewer than two tell nothing.
func EstimateSize(target krpc.ID, closest []Contact) float64 {
	var s netSize
	k := len(closest)
	if k < 2 {
		return 0
	}
	s.add(keyspaceShare(closest[k-1].ID.Distance(target)))
	return s.nodes(k)
}

// maxOwnBits is how many bits a target of upkeep may share with our own id to count as random. Who
// has ids next to ours has us look up targets there all the time, of which he is the neighbourhood.
const maxOwnBits = 4

// gauge lets a lookup that ran to its end tell the size of the network, and whose ids are bound,
// if its target was random: those of upkeep, find_node and samples, but not near to our own id.
// Info-hashes come again and again, and some draw crowds of nodes that watch or hide them,
// which nobody can place at a target not drawn yet.
func (n *Node) gauge(l *Lookup, closest []Contact) {
	self := n.table.self
	if !l.random(self) || l.Kind == LookupUpkeep && l.Target.CommonPrefixLen(self) > maxOwnBits || len(closest) < n.cfg.K {
		return
	}
	x, bound := keyspaceShare(closest[n.cfg.K-1].ID.Distance(l.Target)), 0
	for _, c := range closest[:n.cfg.K] {
		if ValidID(c.ID, c.Addr.Addr()) {
			bound++
		}
	}
	n.size.add(x)
	n.sample.add(x, bound, n.table.at(n.now()).second())
	n.table.strict = n.sample.mostBound(n.cfg.K)
	if n.suspicion != nil && n.settle(n.suspicion) {
		n.suspicion = nil
	}
}

// random tells whether the target of l was drawn for it, by a node whose id is self.
func (l *Lookup) random(self krpc.ID) bool {
	return l.Target != self && (l.Kind == LookupUpkeep || l.Kind == LookupFindNode || l.Kind == LookupSample)
}

// keyspaceShare returns distance d as a share of the keyspace.
func keyspaceShare(d krpc.ID) float64 {
	return math.Ldexp(float64(binary.BigEndian.Uint64(d[:8])), -64)
}
