package indexer

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// maxBits bounds the length of a zone's prefix.
	maxBits = 40
	// cellNodes is how many nodes a cell has, at most on average: as many as a node knows
	// of its neighbourhood, and a reply names. maxPerCell bounds them, so that a liar who
	// names more and more nodes takes no place but in the cells that they are in, and
	// the zone comes to an end.
	cellNodes  = 8
	maxPerCell = 8 * cellNodes
	// maxPerHost bounds the nodes of a zone at one address or in one /64, so that a liar
	// cannot have a victim asked at all its ports. Local networks are free of it.
	maxPerHost = 8
)

// top returns the first 64 bits of id. No zone or cell has a longer prefix.
func top(id krpc.ID) uint64 { return binary.BigEndian.Uint64(id[:8]) }

// zone is the ids that begin with the same bits.
type zone struct {
	prefix uint64 // with zeros after the bits
	bits   int
}

// zoneAt returns the zone that starts at prefix and is the given part of the keyspace
// at most, if there are to be so many.
func zoneAt(prefix uint64, parts float64) zone {
	n := int(math.Ceil(math.Log2(max(parts, 1))))
	n = min(n, maxBits)
	return zone{prefix, max(n, 64-bits.TrailingZeros64(prefix))} // it cannot be wider than that
}

func (z zone) contains(id krpc.ID) bool { return (top(id)^z.prefix)>>(64-z.bits) == 0 }

// isBefore tells whether id is in a later zone.
func (z zone) isBefore(id krpc.ID) bool { return top(id) > z.prefix && !z.contains(id) }

// next returns where the next zone starts; false if z is the last.
func (z zone) next() (prefix uint64, ok bool) {
	prefix = z.prefix + 1<<(64-z.bits)
	return prefix, prefix != 0
}

// share returns the part of the keyspace that z is.
func (z zone) share() float64 { return math.Ldexp(1, -z.bits) }

// start returns the part of the keyspace that is before z.
func (z zone) start() float64 { return math.Ldexp(float64(z.prefix), -64) }

// random returns an id of the zone.
func (z zone) random(rng *rand.Rand) krpc.ID {
	id := krpc.RandomID(rng)
	binary.BigEndian.PutUint64(id[:8], z.prefix|top(id)&(1<<(64-z.bits)-1))
	return id
}

// node is a node of the zone that was heard of.
type node struct {
	krpc.NodeInfo
	tries    int
	asked    time.Time // the last time
	blamed   bool      // was silent while others answered
	pardoned bool
	answered bool
	until    time.Time // when it may be asked again; zero: it was not visited
}

// area is the zone under way. It is divided into cells.
type area struct {
	zone
	expected float64 // nodes
	nodes    map[krpc.ID]*node
	addrs    map[netip.AddrPort]struct{} // of nodes
	hosts    map[netip.Addr]int          // nodes at public ones, or in their /64
	visited  int
	answered int64
	lookedUp bool
	cellBits int
	known    []int // nodes of each cell
	aimed    []int // queries aimed at each cell, and last at the next zone
}

// newArea returns zone z of a network of so many nodes.
func newArea(z zone, nodes float64) *area {
	// A checkpoint that nobody has written can say anything; zones have no more.
	a := &area{
		zone: z, expected: min(nodes*z.share(), 2*maxAim),
		nodes: make(map[krpc.ID]*node), addrs: make(map[netip.AddrPort]struct{}), hosts: make(map[netip.Addr]int),
	}
	a.cellBits = int(math.Ceil(math.Log2(max(1, a.expected/cellNodes))))
	a.known = make([]int, 1<<a.cellBits)
	a.aimed = make([]int, 1<<a.cellBits, 1<<a.cellBits+1)
	if _, more := z.next(); more {
		a.aimed = append(a.aimed, 0)
	}
	return a
}

// add takes n in and returns it. It returns nil for a node that is known, since an id
// has the address that is named first and an address the id, and false for one that
// finds no room.
func (a *area) add(n krpc.NodeInfo) (nd *node, room bool) {
	if a.nodes[n.ID] != nil {
		return nil, true
	}
	if _, taken := a.addrs[n.Addr]; taken {
		return nil, true
	}
	cell := a.cell(n.ID)
	host, limited := hostOf(n.Addr.Addr())
	if a.known[cell] >= maxPerCell || limited && a.hosts[host] >= maxPerHost {
		return nil, false
	}
	a.known[cell]++
	if limited {
		a.hosts[host]++
	}
	nd = &node{NodeInfo: n}
	a.nodes[n.ID], a.addrs[n.Addr] = nd, struct{}{}
	return nd, true
}

// max returns how many nodes are taken in, at most.
func (a *area) max() int { return maxPerCell * len(a.known) }

// hostOf returns the address that one party is taken to have, and whether it is public.
func hostOf(a netip.Addr) (host netip.Addr, public bool) {
	if a.Is6() {
		p, _ := a.Prefix(64)
		host = p.Addr()
	} else {
		host = a
	}
	return host, krpc.Class(a) == krpc.AddrClassPublic
}

// target returns what to ask the node with this id for: an id of the cell that the fewest
// queries were aimed at, the node's own or the closest to it if there are several.
//
// To ask every node for its own neighbours would not do: where a part of the keyspace
// has more than k nodes and each half of it fewer, these name each other and nobody
// else. The cells lead out of there, give each node of the zone some eight chances to
// be named, and have it named by those who know best. The next zone counts as the
// farthest cell, for its seeds.
func (a *area) target(id krpc.ID, rng *rand.Rand) krpc.ID {
	own, cells := a.cell(id), 1<<a.cellBits
	best := own
	for i, n := range a.aimed {
		if n < a.aimed[best] || n == a.aimed[best] && i < cells && i^own < best^own {
			best = i
		}
	}
	a.aimed[best]++
	if best == cells {
		next, _ := a.next()
		return zone{next, max(a.bits, 64-bits.TrailingZeros64(next))}.random(rng)
	}
	bits := a.bits + a.cellBits
	return zone{a.prefix | uint64(best)<<(64-bits), bits}.random(rng)
}

// cell returns the number of the cell of the zone that id is in or, if it is of another
// zone, would be in.
func (a *area) cell(id krpc.ID) int {
	return int(top(id) << a.bits >> (64 - a.cellBits))
}
