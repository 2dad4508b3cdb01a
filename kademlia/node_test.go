package kademlia

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

func TestPing(t *testing.T) {
	l := newLab(t)
	n := l.node(simnet.Addr(0), nil)
	s := l.stranger(simnet.Addr(1))
	r := s.ask(simnet.Addr(0), packet(krpc.MethodPing, func(m *krpc.Message) { m.TID = []byte("\x00tid of odd length\xff") }))
	if r == nil || r.Kind != krpc.KindReply || r.ID != n.ID() || string(r.TID) != "\x00tid of odd length\xff" {
		t.Fatalf("reply %+v", r)
	}
	if r.IP != simnet.Addr(1) || string(r.Version) != "KN\x00\x01" {
		t.Errorf("ip %v, v %q", r.IP, r.Version)
	}
}

// Who asks gets a reply or an error, and not the message with an error for a reply.
func TestErrorIsNoReply(t *testing.T) {
	l := newLab(t)
	n, s := l.node(simnet.Addr(0), nil), l.stranger(simnet.Addr(1))
	s.answer = func(*krpc.Message) *krpc.Message { return &krpc.Message{Kind: krpc.KindError, ErrorCode: 202} }
	done := false
	n.Query(krpc.NodeInfo{Addr: simnet.Addr(1)}, krpc.MethodPing, nil, func(r *krpc.Message, _ time.Duration, err error) {
		var refused *krpc.Error
		if done = true; r != nil || !errors.As(err, &refused) || refused.Code != 202 {
			t.Errorf("ended with %+v, %v", r, err)
		}
	})
	if l.clock.Run(time.Second); !done {
		t.Error("it has not ended")
	}
}

func TestRepliesByMethod(t *testing.T) {
	l := newLab(t)
	nodes := l.network(20)
	s := l.stranger(simnet.Addr(50))
	target := func(m *krpc.Message) { m.HasTarget = true }
	for _, tt := range []struct {
		name, datagram string
		code           int64 // 0: a reply with nodes; -1: silence
	}{
		{"find_node", packet(krpc.MethodFindNode, target), 0},
		{"get, which nobody handles", packet(krpc.MethodGet, target), 0},
		{"unknown with target", "d1:ad2:id20:abcdefghij01234567896:target20:mnopqrstuvwxyz123456e1:q4:vote1:t2:aa1:y1:qe", 0},
		{"unknown with info_hash", "d1:ad2:id20:abcdefghij01234567899:info_hash20:mnopqrstuvwxyz123456e1:q4:vote1:t2:aa1:y1:qe", 0},
		{"unknown", "d1:ad2:id20:abcdefghij0123456789e1:q4:vote1:t2:aa1:y1:qe", 204},
		{"find_node without target", packet(krpc.MethodFindNode, nil), 203},
		{"short target", "d1:ad2:id20:abcdefghij01234567896:target3:abce1:q9:find_node1:t2:aa1:y1:qe", 203},
		{"no arguments", "d1:q4:ping1:t2:aa1:y1:qe", 203},
		{"arguments of another type", "d1:ai1e1:q4:ping1:t2:aa1:y1:qe", 203},
		{"short id", "d1:ad2:id2:abe1:q4:ping1:t2:aa1:y1:qe", 203},
		{"unsorted, with trailing bytes", "d1:t2:aa1:y1:q1:q4:ping1:ad2:id20:abcdefghij0123456789eegarbage", 0},
		{"our own id", packet(krpc.MethodPing, func(m *krpc.Message) { m.ID = nodes[3].ID() }), -1},
		{"no dictionary", "l1:ae", -1},
		{"torn", "d1:ad2:id20:abcdefghij", -1},
		{"no tid", "d1:ad2:id20:abcdefghij0123456789e1:q4:ping1:y1:qe", -1},
		{"a reply to nothing", "d1:rd2:id20:abcdefghij0123456789e1:t4:abcd1:y1:re", -1},
		{"an error to nothing", "d1:eli201e1:xe1:t4:abcd1:y1:ee", -1},
	} {
		r := s.ask(simnet.Addr(3), tt.datagram)
		switch {
		case tt.code < 0:
			if r != nil {
				t.Errorf("%s: answered with %+v", tt.name, r)
			}
		case r == nil:
			t.Errorf("%s: no answer", tt.name)
		case tt.code == 0:
			if r.Kind != krpc.KindReply || r.ID != nodes[3].ID() || r.Method == krpc.MethodFindNode && len(r.Nodes) != 8*26 {
				t.Errorf("%s: %+v", tt.name, r)
			}
		case r.Kind != krpc.KindError || r.ErrorCode != tt.code || string(r.TID) != "aa":
			t.Errorf("%s: kind %c, code %d, want error %d", tt.name, r.Kind, r.ErrorCode, tt.code)
		}
	}
}

func TestFindNodeNamesTheClosest(t *testing.T) {
	l := newLab(t)
	nodes := l.network(30)
	s := l.stranger(simnet.Addr(50))
	want := nodes[7]
	r := s.ask(simnet.Addr(3), packet(krpc.MethodFindNode, func(m *krpc.Message) { m.HasTarget, m.Target = true, want.ID() }))
	var first krpc.NodeInfo
	for n := range r.EachNode {
		first = n
		break
	}
	if first.ID != want.ID() || first.Addr != want.LocalAddr() {
		t.Errorf("the first node is %v, want %v", first, want.ID())
	}
}

func TestReadOnlyNodeAsksButDoesNotAnswer(t *testing.T) {
	l := newLab(t)
	l.network(10)
	n := l.node(simnet.Addr(20), func(c *NodeConfig) {
		l.via(simnet.Addr(0))(c)
		c.ReadOnly = true
	})
	s := l.stranger(simnet.Addr(21))
	n.Start()
	l.clock.Run(time.Minute)
	if !n.Joined() {
		t.Error("has not joined")
	}
	if r := s.ask(simnet.Addr(20), packet(krpc.MethodPing, nil)); r != nil {
		t.Errorf("answered with %+v", r)
	}
	var asked bool
	s.answer = func(q *krpc.Message) *krpc.Message {
		asked = q.ReadOnly
		return pong(s.id)(q)
	}
	n.Ping(simnet.Addr(21), func(PingResult, error) {})
	l.clock.Run(time.Second)
	if !asked {
		t.Error("its query lacks ro")
	}
}

// Nodes of both families serve each other's nodes on request, and one that knows
// only IPv4 nodes finds IPv6 ones through them (BEP 32).
func TestFamiliesHelpEachOther(t *testing.T) {
	l := newLab(t)
	var v4, v6 []*Node
	for i := range 15 {
		a, b := l.node(simnet.Addr(i), l.via(simnet.Addr(0))), l.node(simnet.Addr6(i), nil)
		if i < 14 {
			l.via(simnet.Addr6(0))(&b.cfg)
		} else {
			l.via(simnet.Addr(0))(&b.cfg) // no IPv6 bootstrap node at all
		}
		a.siblings, b.siblings = []*Node{b}, []*Node{a}
		a.Start()
		b.Start()
		v4, v6 = append(v4, a), append(v6, b)
		l.clock.Run(2 * time.Second)
	}
	l.clock.Run(5 * time.Minute)
	if s := v6[14].Stats(); s.Nodes() < 8 {
		t.Errorf("the IPv6 node without bootstrap knows %d others", s.Nodes())
	}
	s := l.stranger(simnet.Addr(60))
	for _, tt := range []struct {
		want   krpc.Want
		n4, n6 int
	}{
		{0, 8, -1},
		{krpc.WantN4, 8, -1},
		{krpc.WantN6, -1, 8},
		{krpc.WantN4 | krpc.WantN6, 8, 8},
	} {
		r := s.ask(v4[2].LocalAddr(), packet(krpc.MethodFindNode, func(m *krpc.Message) { m.HasTarget, m.Want = true, tt.want }))
		if r == nil || listed(r.Nodes, 26) != tt.n4 || listed(r.Nodes6, 38) != tt.n6 {
			t.Errorf("want %b: %d and %d nodes", tt.want, listed(r.Nodes, 26), listed(r.Nodes6, 38))
		}
	}
}

func TestCloseEndsEverything(t *testing.T) {
	l := newLab(t)
	nodes := l.network(10)
	n := nodes[0]
	var lookup, ping, late error
	n.Lookup(Lookup{Target: krpc.ID{1}, Done: func(r LookupResult) { lookup = r.Err }})
	n.Ping(simnet.Addr(77), func(_ PingResult, err error) { ping = err })
	n.Close()
	n.Close()
	n.Lookup(Lookup{Target: krpc.ID{1}, Done: func(r LookupResult) { late = r.Err }})
	for name, err := range map[string]error{"lookup": lookup, "ping": ping, "lookup after Close": late} {
		if !errors.Is(err, krpc.ErrClosed) {
			t.Errorf("%s ended with %v", name, err)
		}
	}
	sent := n.Stats().Endpoint.Methods
	l.clock.Run(3 * time.Hour)
	for m, s := range n.Stats().Endpoint.Methods {
		if s.QueriesOut != sent[m].QueriesOut {
			t.Errorf("%v: asked after Close", krpc.Method(m))
		}
	}
}

func TestLookupCanBeStopped(t *testing.T) {
	l := newLab(t)
	nodes := l.network(10)
	var got []error
	stop := nodes[0].Lookup(Lookup{Target: krpc.ID{1}, Done: func(r LookupResult) { got = append(got, r.Err) }})
	stop()
	stop()
	l.clock.Run(time.Minute)
	if len(got) != 1 || got[0] != ErrStopped {
		t.Errorf("Done was called with %v", got)
	}
}

func TestLookupVisitsBeforeItIsDone(t *testing.T) {
	l := newLab(t)
	nodes := l.network(20)
	var visited int
	var res *LookupResult
	nodes[0].Lookup(Lookup{
		Target: krpc.ID{1},
		Visit: func(from krpc.NodeInfo, r *krpc.Message) {
			if res != nil || r.ID != from.ID || len(r.Nodes) == 0 {
				t.Error("a visit out of place")
			}
			visited++
		},
		Done: func(r LookupResult) { res = &r },
	})
	l.clock.Run(time.Minute)
	if res == nil || res.Err != nil || visited < 8 || res.Replies != visited || len(res.Closest) != 8 {
		t.Errorf("%d visits, result %+v", visited, res)
	}
}

// bittorrent-dht names all that it knows, in no order, and forgets nobody: here sixty ids that were
// once at one address, before the node that is there.
func TestLongRepliesAreReadToTheEnd(t *testing.T) {
	l := newLab(t)
	there := krpc.RandomID(testRand(1000))
	l.stranger(simnet.Addr(2)).answer = pong(there)
	talker := l.stranger(simnet.Addr(1))
	var names []byte
	for i := range uint64(60) {
		at := netip.AddrPortFrom(simnet.Addr(3).Addr(), uint16(1000+i))
		names = krpc.AppendNode(names, krpc.NodeInfo{ID: krpc.RandomID(testRand(i)), Addr: at})
	}
	names = krpc.AppendNode(names, krpc.NodeInfo{ID: there, Addr: simnet.Addr(2)})
	talker.answer = func(*krpc.Message) *krpc.Message {
		return &krpc.Message{Kind: krpc.KindReply, HasID: true, ID: talker.id, Nodes: names}
	}
	n := l.node(simnet.Addr(0), l.via(simnet.Addr(1)))
	n.Start()
	l.clock.Run(time.Minute)
	if size := n.view.Load().size; size != 2 {
		t.Errorf("%d contacts, want the talker and the one that it names last", size)
	}
}
