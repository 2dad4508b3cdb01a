package store

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/kademlia"
	"github.com/kadnode/kadnode/kademlia/sim"
	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// stub is a remote node that does as the test says.
type stub struct {
	krpc.NodeInfo
	gets []krpc.Message
	puts []krpc.Message
}

// stubs are remote nodes that know each other, closest to the target first, and a
// client that asks them.
type stubs struct {
	*world
	client *Items
	list   []*stub
	// answer changes the reply r to the query q, a get or a put, to stub i; an
	// r.ErrorCode makes it an error, an r.Kind of 0 silence.
	answer func(i int, q, r *krpc.Message)
	// raw, if set, returns the reply to a get instead.
	raw func(i int, q *krpc.Message) []byte
}

// newStubs returns n stubs that give tokens and store.
func newStubs(t testing.TB, n int, target krpc.ID, answer func(i int, q, r *krpc.Message)) *stubs {
	t.Helper()
	ss := &stubs{world: emptyWorld(t, sim.Config{}), answer: answer}
	for i := range n {
		id := krpc.RandomID(ss.Rand)
		id[0] = target[0] // closer than the client
		ss.list = append(ss.list, &stub{NodeInfo: krpc.NodeInfo{ID: id, Addr: simnet.Addr(1000 + i)}})
	}
	slices.SortFunc(ss.list, func(a, b *stub) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	var nodes []byte
	for _, s := range ss.list {
		nodes = krpc.AppendNode(nodes, s.NodeInfo)
	}
	for i, s := range ss.list {
		ss.Net.Host(s.Addr, func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			var q krpc.Message
			if q.Decode(b) == nil && q.Kind == krpc.KindQuery {
				if reply := ss.reply(i, q.Clone(), nodes); reply != nil {
					out.Push(from, append(out.Buffer(), reply...))
				}
			}
		})
	}
	ss.join(simnet.Addr(0))
	return ss
}

// join adds the client.
func (ss *stubs) join(addr netip.AddrPort) {
	ss.t.Helper()
	var n *kademlia.Node
	host := ss.Net.Host(addr, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
		n.Deliver(now, from, b, out)
	})
	n, err := kademlia.NewNode(kademlia.NodeConfig{
		Transport: host, Clock: ss.Clock, Rand: rand.New(rand.NewPCG(1, 2)),
		Bootstrap: func(done func([]netip.AddrPort, error)) {
			ss.Clock.AfterFunc(0, func() { done([]netip.AddrPort{ss.list[0].Addr}, nil) })
		},
	})
	if err != nil {
		ss.t.Fatal(err)
	}
	ss.client = New([]*kademlia.Node{n}, Config{Rand: rand.New(rand.NewPCG(3, 4))})
	n.Start()
	ss.Clock.Run(time.Minute)
}

func (ss *stubs) reply(i int, q *krpc.Message, nodes []byte) []byte {
	s := ss.list[i]
	r := &krpc.Message{Kind: krpc.KindReply, TID: q.TID, HasID: true, ID: s.ID}
	switch q.Method {
	case krpc.MethodFindNode:
		r.Nodes = nodes
	case krpc.MethodGet:
		if s.gets = append(s.gets, *q); ss.raw != nil {
			return ss.raw(i, q)
		}
		r.Nodes, r.Token = nodes, []byte("token")
		ss.answer(i, q, r)
	case krpc.MethodPut:
		s.puts = append(s.puts, *q)
		ss.answer(i, q, r)
	}
	switch {
	case r.Kind == 0:
		return nil
	case r.ErrorCode != 0:
		r.Kind = krpc.KindError
	}
	return r.Append(nil)
}

// puts returns which stubs were asked to put.
func (ss *stubs) puts() (asked []int) {
	for i, s := range ss.list {
		if len(s.puts) > 0 {
			asked = append(asked, i)
		}
	}
	return asked
}

// serve has r carry it as the reply of a node that keeps it for so long; a negative
// ttl is left out.
func serve(q, r *krpc.Message, it Item, ttl int64) {
	if q.Method != krpc.MethodGet {
		return
	}
	r.HasSeq, r.Seq = it.Mutable(), it.Seq
	r.HasTTL, r.TTL = ttl >= 0, ttl
	if !q.HasSeq || it.Seq > q.Seq {
		r.V, r.K, r.Sig = it.V, it.K, it.Sig
	}
}
