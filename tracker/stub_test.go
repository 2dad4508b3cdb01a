package tracker

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// stub is a remote node that does as the test says.
type stub struct {
	krpc.NodeInfo
	asked [krpc.NumMethods]int
}

// stubs are remote nodes that know each other, and the one member that asks them.
type stubs struct {
	w    *world
	m    *member
	list []*stub

	// answer, if set, changes the reply r to the query q; an r.ErrorCode makes it
	// an error. silent is a method that is not answered.
	answer func(s *stub, q, r *krpc.Message)
	silent krpc.Method
}

// newStubs returns n stubs that give tokens and store.
func newStubs(t *testing.T, n int, answer func(s *stub, q, r *krpc.Message)) *stubs {
	t.Helper()
	ss := &stubs{w: emptyWorld(t, simnet.Addr), answer: answer}
	var nodes []byte
	for i := range n {
		s := &stub{NodeInfo: krpc.NodeInfo{ID: krpc.RandomID(ss.w.rng), Addr: simnet.Addr(1000 + i)}}
		nodes = krpc.AppendNode(nodes, s.NodeInfo)
		ss.list = append(ss.list, s)
		ss.w.net.Host(s.Addr, func(_ time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) {
			var q krpc.Message
			if q.Decode(b) != nil || q.Kind != krpc.KindQuery {
				return
			}
			if s.asked[q.Method]++; q.Method == ss.silent {
				return
			}
			r := &krpc.Message{Kind: krpc.KindReply, TID: q.TID, HasID: true, ID: s.ID}
			if q.Method == krpc.MethodFindNode || q.Method == krpc.MethodGetPeers {
				r.Nodes = nodes
			}
			if q.Method == krpc.MethodGetPeers {
				r.Token = []byte("token")
			}
			if ss.answer != nil {
				ss.answer(s, &q, r)
			}
			if r.ErrorCode != 0 {
				r.Kind = krpc.KindError
			}
			out.Push(from, r.Append(out.Buffer()))
		})
	}
	ss.m = ss.w.add(Config{}, ss.list[0].Addr)
	ss.w.clock.Run(time.Minute)
	for _, s := range ss.list {
		s.asked = [krpc.NumMethods]int{}
	}
	return ss
}

// asked returns the stubs that were asked m, closest to target first.
func (ss *stubs) asked(m krpc.Method, target krpc.ID) (asked []*stub) {
	for _, s := range ss.list {
		if s.asked[m] > 0 {
			asked = append(asked, s)
		}
	}
	slices.SortFunc(asked, func(a, b *stub) int { return krpc.CompareDistance(a.ID, b.ID, target) })
	return asked
}
