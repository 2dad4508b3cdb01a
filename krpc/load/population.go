package load

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/krpc"
)

const (
	// askers is how many addresses the load comes from.
	askers = 64
	// depth is how many buckets of the node's table are filled: about those of a
	// node of the mainline DHT.
	depth = 20
	// widest and narrowest are the sizes of the farthest bucket and the deep ones
	// that are filled: those of the widest tables there are.
	widest, narrowest = 128, 8
	// replyNodes is how many nodes our nodes name.
	replyNodes = 8
)

// node is one of ours. Its port is that of the generator.
type node struct {
	addr netip.Addr // the zero Addr: what the kernel chooses
	id   krpc.ID
	met  bool // the node under test has asked it something
}

// newNodes returns n more nodes, each in a /16 of its own as far as these go.
func (g *Generator) newNodes(n int, id func(i int) krpc.ID) []node {
	first, list := len(g.byAddr), make([]node, n)
	for i := range list {
		j := first + i
		list[i] = node{id: id(i), addr: netip.AddrFrom4([4]byte{127, byte(1 + j%250), byte(1 + j/250), 7})}
		g.byAddr[list[i].addr] = &list[i]
	}
	return list
}

// populate has nodes enough to fill its table make themselves known to the node, and
// returns when it takes no more of them.
func (g *Generator) populate(ctx context.Context) error {
	const (
		pause = 100 * time.Millisecond
		quiet = 8 // rounds without news after which the table is full
		most  = 150
	)
	var ids []krpc.ID
	for i := range depth {
		for range max(widest>>i, narrowest) * 5 / 4 {
			ids = append(ids, g.idAt(i))
		}
	}
	g.population = g.newNodes(len(ids), func(i int) krpc.ID { return ids[i] })
	for rounds, calm := 0, 0; rounds < most && calm < quiet; rounds++ {
		before := g.met()
		k := &knock{g: g}
		if err := g.drive(ctx, k, pace{inFlight: 16, lasts: pause, linger: true}); err != nil {
			return err
		}
		if calm++; g.met() > before || k.short {
			calm = 0
		}
	}
	return nil
}

// met returns how many of the population the node under test has asked something.
func (g *Generator) met() (n int) {
	for i := range g.population {
		if g.population[i].met {
			n++
		}
	}
	return n
}

// idAt draws an id that has exactly the first i bits of the server's.
func (g *Generator) idAt(i int) krpc.ID {
	id := krpc.RandomID(g.rng)
	for b := range i + 1 {
		mask := byte(0x80) >> (b % 8)
		id[b/8] = id[b/8]&^mask | g.server[b/8]&mask
	}
	id[i/8] ^= byte(0x80) >> (i % 8)
	return id
}

// knock is the job of one round: everybody asks for the nodes around a random target.
type knock struct {
	g     *Generator
	next  int
	short bool // a reply had less than eight nodes
}

func (k *knock) ask(s *slot, b []byte) []byte {
	if k.next == len(k.g.population) {
		return nil
	}
	s.resident, s.asker, s.kind = true, k.next, FindNode
	k.next++
	var target krpc.ID
	k.g.randomID(&target)
	return k.g.templates[FindNode].fill(b, &k.g.population[s.asker].id, &target)
}

func (k *knock) answered(_ *slot, m *krpc.Message, _ int, _ time.Duration) {
	k.short = k.short || len(m.Nodes) < replyNodes*krpc.Node4Len
}

func (k *knock) lost(*slot) {}

var (
	ourToken         = []byte("load")
	errMethodUnknown = []byte("method unknown")
)

// serve answers a query of the node under test to ours at at.
func (g *Generator) serve(at netip.Addr, q *krpc.Message) {
	n := g.byAddr[at]
	if n == nil {
		n = &g.askers[0]
	}
	n.met = true
	r := krpc.Message{Kind: krpc.KindReply, TID: q.TID, HasID: true, ID: n.id}
	switch q.Method {
	case krpc.MethodFindNode:
		r.Nodes = g.closest(q.Target)
	case krpc.MethodGetPeers:
		r.Nodes, r.Token = g.closest(q.InfoHash), ourToken
	case krpc.MethodPing, krpc.MethodAnnouncePeer:
	default:
		r.Kind, r.HasID, r.ErrorCode, r.ErrorText = krpc.KindError, false, krpc.CodeMethodUnknown, errMethodUnknown
	}
	g.client.Push(at, g.cfg.Target, r.Append(g.client.Buffer()))
}

// closest returns the compact infos of those of the population that are closest to
// target. It allocates: the node asks little once its table is full.
func (g *Generator) closest(target krpc.ID) []byte {
	near := make([]*node, len(g.population))
	for i := range g.population {
		near[i] = &g.population[i]
	}
	slices.SortFunc(near, func(a, b *node) int { return krpc.CompareDistance(a.id, b.id, target) })
	list := make([]byte, 0, replyNodes*krpc.Node4Len)
	for _, n := range near[:min(len(near), replyNodes)] {
		list = krpc.AppendNode(list, krpc.NodeInfo{
			ID: n.id, Addr: netip.AddrPortFrom(n.addr, g.client.LocalAddr().Port()),
		})
	}
	return list
}
