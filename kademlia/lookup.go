package kademlia

import (
	"net/netip"
	"slices"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxCandidates bounds the nodes that a lookup keeps in mind; the farthest
	// goes first.
	maxCandidates = 128
	// maxFromReply bounds the nodes taken from one reply: the largest lists that
	// honest nodes send have 20.
	maxFromReply = 20
	// maxQueries ends a lookup that somebody feeds with ever closer nodes.
	maxQueries = 256
)

// candidateState is how far a lookup has come with a candidate.
type candidateState uint8

const (
	fresh   candidateState = iota // not asked yet
	asked                         // within its soft timeout
	stalled                       // past it
	resent                        // asked once more, within the soft timeout again
	silent                        // past that too: a late reply still counts
	replied
	failed
)

// candidate is a node that a lookup has heard of.
type candidate struct {
	node  krpc.NodeInfo
	state candidateState
	depth int // hops from our own table: 1 for a contact of ours
	token []byte
}

// lookup is the state of one iterative lookup (Maymounkov and Mazières, 2002,
// section 2.3): which of the nodes heard of to ask next, and when it is over. It
// knows no clock and no socket, and is not safe for concurrent use.
//
// At most alpha queries are under way, counted only among the nodes closest to
// the target, so that a reply with closer nodes is followed up at once. A query
// past its soft timeout frees its slot without blame; if it is among the k
// closest it is sent once more, since it may just have been lost. The lookup ends
// when the k closest nodes that did not fail have replied.
type lookup struct {
	target     krpc.ID
	k, alpha   int
	candidates []candidate // closest first
	queries    int
}

func newLookup(target krpc.ID, k, alpha int) *lookup {
	return &lookup{target: target, k: k, alpha: alpha}
}

// add takes note of a node, depth hops away. It reports false if the node is
// known, too far, or in the network of another candidate: of two in one network
// the closer one is kept, but none that was asked gives way.
func (l *lookup) add(n krpc.NodeInfo, depth int) bool {
	at, found := slices.BinarySearchFunc(l.candidates, n.ID, func(c candidate, id krpc.ID) int {
		return krpc.CompareDistance(c.node.ID, id, l.target)
	})
	if found || at == maxCandidates {
		return false
	}
	if i := l.rival(n.Addr); i >= 0 {
		if l.candidates[i].state != fresh || i < at {
			return false
		}
		l.candidates = slices.Delete(l.candidates, i, i+1)
	}
	if len(l.candidates) == maxCandidates {
		i := l.expendable()
		if i < at {
			return false
		}
		l.candidates = slices.Delete(l.candidates, i, i+1)
	}
	l.candidates = slices.Insert(l.candidates, at, candidate{node: n, depth: depth})
	return true
}

// rival returns the index of a live candidate at the same address, or in the
// same network where that matters; -1 if there is none.
func (l *lookup) rival(a netip.AddrPort) int {
	network, apart := subnetOf(a.Addr()), diverse(a.Addr())
	return slices.IndexFunc(l.candidates, func(c candidate) bool {
		if c.state == failed || c.state == silent {
			return false
		}
		return c.node.Addr == a || apart && network.Contains(c.node.Addr.Addr())
	})
}

// expendable returns the index of the farthest candidate that nothing is under
// way for; -1 if there is none.
func (l *lookup) expendable() int {
	for i := len(l.candidates) - 1; i >= 0; i-- {
		if s := l.candidates[i].state; s == fresh || s == failed {
			return i
		}
	}
	return -1
}

// next returns the node to ask next, marked as asked, and whether it is asked
// again; ok is false if there is none for now.
func (l *lookup) next() (n krpc.NodeInfo, again, ok bool) {
	if l.queries >= maxQueries {
		return n, false, false
	}
	done, underWay, front := 0, 0, 0
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.state != failed && c.state != silent {
			front++
		}
		switch c.state {
		case replied:
			if done++; done == l.k {
				return n, false, false
			}
		case asked:
			if underWay++; underWay == l.alpha {
				return n, false, false
			}
		case stalled:
			if front <= l.k {
				c.state = resent
				l.queries++
				return c.node, true, true
			}
		case fresh:
			c.state = asked
			l.queries++
			return c.node, false, true
		}
	}
	return n, false, false
}

// over tells whether the lookup has ended: the k closest nodes have replied, and
// no closer one may still do so soon.
func (l *lookup) over() bool {
	done, front := 0, 0
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.state != failed && c.state != silent {
			front++
		}
		switch c.state {
		case replied:
			if done++; done == l.k {
				return true
			}
		case asked, resent:
			return false
		case fresh:
			if l.queries < maxQueries {
				return false
			}
		case stalled:
			if front <= l.k && l.queries < maxQueries {
				return false
			}
		}
	}
	return true
}

// find returns the candidate with n's id and address, or nil.
func (l *lookup) find(n krpc.NodeInfo) *candidate {
	for i := range l.candidates {
		if c := &l.candidates[i]; c.node == n {
			return c
		}
	}
	return nil
}

// replied takes note of n's reply and returns n's depth. A nil token means that n
// stores nothing for us. It reports false if n was not asked, or has replied.
func (l *lookup) replied(n krpc.NodeInfo, token []byte) (depth int, ok bool) {
	c := l.find(n)
	if c == nil || c.state == replied || c.state == fresh {
		return 0, false
	}
	c.state, c.token = replied, token
	return c.depth, true
}

// stalled takes note that a query to n has passed its soft timeout.
func (l *lookup) stalled(n krpc.NodeInfo) {
	c := l.find(n)
	if c == nil {
		return
	}
	switch c.state {
	case asked:
		c.state = stalled
	case resent:
		c.state = silent
	}
}

// failed takes note that n will not reply, or did so with another id.
func (l *lookup) failed(n krpc.NodeInfo) {
	if c := l.find(n); c != nil && c.state != replied {
		c.state = failed
	}
}

// closest returns the up to k closest nodes that have replied, closest first.
func (l *lookup) closest() []Contact {
	out := make([]Contact, 0, l.k)
	for i := range l.candidates {
		c := &l.candidates[i]
		if c.state != replied {
			continue
		}
		out = append(out, Contact{NodeInfo: c.node, Token: c.token, Hops: c.depth})
		if len(out) == l.k {
			break
		}
	}
	return out
}
