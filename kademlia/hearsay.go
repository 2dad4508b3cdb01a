package kademlia

import (
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

// The nodes close to a target tell the dead there from the slow. Nearly all neighbours of a
// living node list it. They drop a dead one each at its own time, so that some still list
// it and some do not: on the mainline DHT, about half.

// minWitnesses is how many neighbours can vouch for a node.
const minWitnesses = 3

// hearsay is the list of nodes that a candidate replied with.
type hearsay struct {
	names []krpc.ID
	last  krpc.ID // of these, the farthest from the target
}

// says takes note of the nodes that n has named.
func (l *lookup) says(n krpc.NodeInfo, names []krpc.ID) {
	if c := l.find(n); c != nil && len(names) > 0 {
		last := slices.MaxFunc(names, func(a, b krpc.ID) int { return krpc.CompareDistance(a, b, l.target) })
		if c.answer == nil {
			c.answer = new(answer)
		}
		c.answer.hearsay = hearsay{names, last}
	}
}

// wouldName tells whether c would have named id if it knew it: it has named its whole bucket
// for id, and farther nodes. Otherwise that bucket may just be full of others.
func (l *lookup) wouldName(c *candidate, id krpc.ID) bool {
	if c.state != replied || c.answer == nil || len(c.answer.names) == 0 {
		return false
	}
	bits := c.answer.last.CommonPrefixLen(l.target)
	return bits < id.CommonPrefixLen(l.target) && bits <= c.id.CommonPrefixLen(l.target)
}

// witnesses returns how many of x's neighbours would have named it, and how many of them have not.
func (l *lookup) witnesses(x *candidate) (asked, missed int) {
	for i := range l.candidates {
		if c := &l.candidates[i]; c != x && l.wouldName(c, x.id) {
			asked++
			if !slices.Contains(c.answer.names, x.id) {
				missed++
			}
		}
	}
	return asked, missed
}

// doubtful tells whether too many of x's neighbours do not name it, a quarter of them: it is dead,
// most likely, if it has not answered in time.
func (l *lookup) doubtful(x *candidate) bool {
	asked, missed := l.witnesses(x)
	return missed > 0 && 4*missed >= asked
}

// vouched tells whether all of x's neighbours name it, and there are some: it is slow, most
// likely, if it has not answered in time.
func (l *lookup) vouched(x *candidate) bool {
	asked, missed := l.witnesses(x)
	return missed == 0 && asked >= minWitnesses
}
