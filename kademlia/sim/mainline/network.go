package mainline

import (
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// k is the size of a bucket, of a list of nodes, and of the neighbourhood of an
// info-hash that has its peers.
const k = 8

// kind is how a node behaves.
type kind uint8

const (
	willing   kind = iota // as it should
	misnamed              // answers with another id than it is known by
	refusing              // answers all with an error
	pingsOnly             // answers pings only
	numLive
	dead
	stale // an id that a node had once
)

// node is an entry that others may list.
type node struct {
	id         krpc.ID
	addr       netip.AddrPort
	kind       kind
	valuesOnly bool
	slow       time.Duration // round-trip time with anybody; 0: that of the pair
}

// Network is the nodes of the emulated DHT. Nothing in it changes, so that every
// policy meets the same one.
type Network struct {
	cfg    Config
	nodes  []node                 // all that are listed, by id
	prefix []uint64               // the first bits of their ids
	at     map[netip.AddrPort]int // index of the live node at an address
}

// New returns the network that cfg describes.
func New(cfg Config) *Network {
	n := &Network{cfg: cfg}
	rng := rand.New(rand.NewPCG(cfg.Seed, 0))
	listed := float64(cfg.Nodes) * cfg.KnowLive / (1 - cfg.Dead - cfg.Stale)
	numDead, numStale := int(listed*cfg.Dead/cfg.KnowDead), int(listed*cfg.Stale/cfg.KnowDead)
	for i := range cfg.Nodes {
		n.nodes = append(n.nodes, n.born(simnet.Addr(i), rng))
	}
	for i := range numDead {
		n.nodes = append(n.nodes, node{id: krpc.RandomID(rng), addr: simnet.Addr(cfg.Nodes + i), kind: dead})
	}
	for range numStale {
		n.nodes = append(n.nodes, node{id: krpc.RandomID(rng), addr: simnet.Addr(rng.IntN(cfg.Nodes)), kind: stale})
	}
	slices.SortFunc(n.nodes, func(a, b node) int { return a.id.Compare(b.id) })
	n.prefix = make([]uint64, len(n.nodes))
	n.at = make(map[netip.AddrPort]int, cfg.Nodes)
	for i := range n.nodes {
		n.prefix[i] = prefixOf(n.nodes[i].id)
		if n.nodes[i].kind < numLive {
			n.at[n.nodes[i].addr] = i
		}
	}
	return n
}

// born draws a node that lives.
func (n *Network) born(addr netip.AddrPort, rng *rand.Rand) node {
	x := node{id: krpc.RandomID(rng), addr: addr, valuesOnly: rng.Float64() < n.cfg.ValuesOnly}
	if rng.Float64() < n.cfg.Bad {
		x.kind = misnamed + kind(rng.IntN(int(numLive-misnamed)))
	}
	if rng.Float64() < n.cfg.Slow {
		more := time.Duration(rng.ExpFloat64() * float64(n.cfg.SlowMean)).Round(time.Microsecond)
		x.slow = min(n.cfg.SlowFrom+more, n.cfg.SlowMax)
	}
	return x
}

// stranger returns the i-th address that no node of the network has or had.
func (n *Network) stranger(i int) netip.AddrPort { return simnet.Addr(len(n.nodes) + i) }

// Closest returns the k nodes closest to target that live and do as they should,
// closest first: those that hold the peers of an info-hash.
func (n *Network) Closest(target krpc.ID) []krpc.NodeInfo {
	var near []krpc.NodeInfo
	for shared := bits.Len(uint(len(n.nodes))); len(near) < k && shared >= 0; shared-- {
		near = near[:0]
		s := n.spanOf(prefixOf(target), shared)
		for _, x := range n.nodes[s.lo:s.hi] {
			if x.kind == willing {
				near = append(near, krpc.NodeInfo{ID: x.id, Addr: x.addr})
			}
		}
	}
	slices.SortFunc(near, func(a, b krpc.NodeInfo) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	return near[:min(len(near), k)]
}

// span is a range of Network.nodes.
type span struct{ lo, hi int }

func prefixOf(id krpc.ID) uint64 { return binary.BigEndian.Uint64(id[:8]) }

// spanOf returns the nodes whose ids share the first shared bits, at most 64, with
// prefix.
func (n *Network) spanOf(prefix uint64, shared int) span {
	free := ^uint64(0) >> shared
	lo, _ := slices.BinarySearch(n.prefix, prefix&^free)
	size, found := slices.BinarySearch(n.prefix[lo:], prefix|free)
	if found {
		size++
	}
	return span{lo, lo + size}
}
