package attack

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// What a naive lookup is made with.
const (
	naiveAlpha   = 3
	naiveTimeout = 2 * time.Second
	naiveQueries = 256       // at most, as a node's own
	naives       = 1_000_000 // where their addresses begin
)

// naive is a lookup as the paper has it (Maymounkov and Mazières, 2002, section 2.3), and no
// more: it believes whatever it is told. It shows what an attack does where there is no defence.
type naive struct {
	f        *Field
	net      *simnet.Host
	self     krpc.ID
	target   krpc.ID
	nodes    []naiveNode // closest first
	asked    int
	underWay int
	onPeer   func(netip.AddrPort)
	onEnd    func(*naive)
	over     bool
}

// naiveNode is a node that it has heard of.
type naiveNode struct {
	krpc.NodeInfo
	state naiveState
	token []byte
}

type naiveState uint8

const (
	naiveFresh naiveState = iota
	naiveAsked
	naiveReplied
	naiveFailed
)

// naively looks up target from an address of its own, with the contacts of h to start from.
func (f *Field) naively(h *sim.Host, target krpc.ID, onPeer func(netip.AddrPort), onEnd func(*naive)) *naive {
	l := &naive{f: f, self: krpc.RandomID(f.Rand), target: target, onPeer: onPeer, onEnd: onEnd}
	l.net = f.Net.Host(Networks(naives+f.naives), l.deliver)
	f.naives++
	for _, c := range h.Closest(target, kademlia.DefaultK) {
		l.add(c)
	}
	l.step()
	return l
}

// add takes note of a node: one that it knows by the same id and address it does not ask again.
func (l *naive) add(n krpc.NodeInfo) {
	at, _ := slices.BinarySearchFunc(l.nodes, n.ID, func(c naiveNode, id krpc.ID) int {
		return krpc.CompareDistance(c.ID, id, l.target)
	})
	if !slices.ContainsFunc(l.nodes, func(c naiveNode) bool { return c.NodeInfo == n }) {
		l.nodes = slices.Insert(l.nodes, at, naiveNode{NodeInfo: n})
	}
}

// step asks the next ones, and ends when the k closest that did not fail have replied.
func (l *naive) step() {
	replied := 0
	for i := range l.nodes {
		switch c := &l.nodes[i]; c.state {
		case naiveReplied:
			replied++
		case naiveFresh:
			if l.underWay < naiveAlpha && l.asked < naiveQueries {
				l.ask(i)
			}
		}
		if replied == kademlia.DefaultK {
			break
		}
	}
	if l.underWay == 0 && !l.over {
		l.over = true
		l.onEnd(l)
	}
}

// ask sends get_peers to the i-th node.
func (l *naive) ask(i int) {
	c := &l.nodes[i]
	c.state = naiveAsked
	l.asked++
	l.underWay++
	to := c.NodeInfo
	q := krpc.Message{
		Kind: krpc.KindQuery, Method: krpc.MethodGetPeers, TID: binary.BigEndian.AppendUint32(nil, uint32(l.asked)),
		HasID: true, ID: l.self, HasInfoHash: true, InfoHash: l.target,
	}
	_ = l.net.Send(to.Addr, q.Append(nil)) // what is not sent is not answered either
	l.f.Clock.AfterFunc(naiveTimeout, func() {
		if c := l.find(to.Addr, naiveAsked); c != nil {
			c.state = naiveFailed
			l.settle()
		}
	})
}

// settle takes note that a query is no longer under way.
func (l *naive) settle() {
	l.underWay--
	l.step()
}

func (l *naive) find(addr netip.AddrPort, state naiveState) *naiveNode {
	i := slices.IndexFunc(l.nodes, func(c naiveNode) bool { return c.Addr == addr && c.state == state })
	if i < 0 {
		return nil
	}
	return &l.nodes[i]
}

func (l *naive) deliver(_ time.Time, from netip.AddrPort, b []byte, _ krpc.Outbox) {
	var r krpc.Message
	if r.Decode(b) != nil || r.Kind != krpc.KindReply {
		return
	}
	c := l.find(from, naiveAsked)
	if c == nil || l.over {
		return
	}
	c.state, c.token = naiveReplied, slices.Clone(r.Token)
	for peer := range r.EachPeer {
		l.onPeer(peer)
	}
	for n := range r.EachNode {
		l.add(n)
	}
	l.settle()
}

// announce announces a peer at the k closest that have replied.
func (l *naive) announce(port uint16) {
	stored := 0
	for _, c := range l.nodes {
		if c.state != naiveReplied || stored == kademlia.DefaultK {
			continue
		}
		stored++
		q := krpc.Message{
			Kind: krpc.KindQuery, Method: krpc.MethodAnnouncePeer, TID: []byte("peer"), HasID: true, ID: l.self,
			HasInfoHash: true, InfoHash: l.target, Port: port, Token: c.token,
		}
		_ = l.net.Send(c.Addr, q.Append(nil))
	}
}
