package kademlia

import (
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

// The nodes close to a target tell the dead there from the slow. Nearly all neighbours of a
// living node list it. They drop a dead one each at its own time, so that some still list
// it and some do not: on the mainline DHT, about half.

// hearsay is the list of nodes that a candidate replied with.
type hearsay struct {
	names []krpc.ID
	last  krpc.ID // of these, the farthest from the target
}

// says takes note of the nodes that n has named.
func (l *lookup) says(n krpc.NodeInfo, names []krpc.ID) {
	if c := l.find(n); c != nil && len(names) > 0 {
		last := slices.MaxFunc(names, func(a, b krpc.ID) int { return krpc.CompareDistance(a, b, l.target) })
		c.hearsay = &hearsay{names, last}
	}
}

// wouldName tells whether c would have named id if it knew it: it has named its whole bucket
// for id, and farther nodes. Otherwise that bucket may just be full of others.
func (l *lookup) wouldName(c *candidate, id krpc.ID) bool {
	if c.state != replied || c.hearsay == nil {
		return false
	}
	bits := c.last.CommonPrefixLen(l.target)
	return bits < id.CommonPrefixLen(l.target) && bits <= c.node.ID.CommonPrefixLen(l.target)
}

// doubtful tells whether too many of x's neighbours do not name it: two at least, and more
// than a quarter.
func (l *lookup) doubtful(x *candidate) bool {
	asked, missed := 0, 0
	for i := range l.candidates {
		if c := &l.candidates[i]; c != x && l.wouldName(c, x.node.ID) {
			asked++
			if !slices.Contains(c.names, x.node.ID) {
				missed++
			}
		}
	}
	return missed >= 2 && 4*missed > asked
}
