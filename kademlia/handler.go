package kademlia

import (
	"net/netip"

	"github.com/kadnode/kadnode/krpc"
)

var errMethodUnknown = &krpc.Error{Code: krpc.CodeMethodUnknown, Text: "method unknown"}

// ServeKRPC implements krpc.Handler. It answers ping and find_node itself, the
// methods that Handle was called for by their handlers, and any other that names
// a target as find_node, so that lookups of methods to come pass through us.
func (n *Node) ServeKRPC(rq *krpc.Request) error {
	q := &rq.Query
	self := n.view.Load().self
	if n.cfg.ReadOnly || q.ID == self {
		return krpc.ErrDrop
	}
	rq.Reply.HasID, rq.Reply.ID = true, self
	err := n.serve(rq)
	if !q.ReadOnly {
		n.heard(rq)
	}
	return err
}

// serve makes the reply, but for the id.
func (n *Node) serve(rq *krpc.Request) error {
	q := &rq.Query
	switch h := n.handlers[q.Method]; {
	case h != nil:
		return h(n, rq)
	case q.Method == krpc.MethodPing:
	case q.HasTarget:
		n.AddNodes(rq, q.Target)
	case q.HasInfoHash:
		n.AddNodes(rq, q.InfoHash)
	default:
		return errMethodUnknown
	}
	rq.MakeRoom(0)
	return nil
}

// AddNodes puts the nodes closest to target into the reply to rq, of the families
// that the query wants (BEP 32), and fewer if it has to be brief. It allocates nothing.
func (n *Node) AddNodes(rq *krpc.Request, target krpc.ID) {
	want := rq.Query.Want
	if want == 0 {
		want = krpc.WantN4
		if n.v6 {
			want = krpc.WantN6
		}
	}
	k := n.cfg.K
	if want == krpc.WantN4|krpc.WantN6 {
		k = min(k, DefaultK) // both lists have to fit into krpc.MaxReply
	}
	if want&krpc.WantN4 != 0 {
		rq.Reply.Nodes = n.closestOf(false, rq.Scratch(krpc.Node4Len*k), target, k)
	}
	if want&krpc.WantN6 != 0 {
		rq.Reply.Nodes6 = n.closestOf(true, rq.Scratch(krpc.Node6Len*k), target, k)
	}
	if rq.Brief() {
		rq.MakeRoom(briefReserve)
	}
}

// briefReserve is what a brief reply has room for beside nodes: a token, and the numbers that go
// with samples and items.
const briefReserve = 60

// closestOf appends the closest nodes of a family: our own, or a sibling's.
func (n *Node) closestOf(v6 bool, dst []byte, target krpc.ID, k int) []byte {
	if v6 == n.v6 {
		return n.view.Load().appendClosest(dst, target, k)
	}
	for _, s := range n.siblings {
		if s.v6 == v6 {
			return s.view.Load().appendClosest(dst, target, k)
		}
	}
	return dst
}

// AppendToken appends a write token to dst with which the node at a may store at
// target for the next five to ten minutes.
func (n *Node) AppendToken(dst []byte, a netip.Addr, target krpc.ID) []byte {
	return n.tokens.issue(dst, a, target)
}

// ValidToken tells whether AppendToken gave token out to a for target lately. It
// counts those that were not.
func (n *Node) ValidToken(token []byte, a netip.Addr, target krpc.ID) bool {
	ok := n.tokens.valid(token, a, target)
	if !ok {
		n.counters.tokensRefused.Add(1)
	}
	return ok
}
