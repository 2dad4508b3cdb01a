package kademlia

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// alone makes a node with an empty table that remembers the strangers.
func (l *lab) alone(change func(*NodeConfig), remembered ...*stranger) *Node {
	n := l.node(simnet.Addr(0), change)
	n.mu.Lock()
	defer n.unlock()
	for _, s := range remembered {
		n.table.memory.add(krpc.NodeInfo{ID: s.id, Addr: s.host.LocalAddr()}, 100, n.table.at(n.now()))
	}
	return n
}

// answering returns a stranger with an id of its own.
func (l *lab) answering(i int) *stranger {
	s := l.stranger(simnet.Addr(i))
	s.id = known(i).ID
	s.answer = pong(s.id)
	return s
}

// asked counts the queries that s has heard.
func (s *stranger) asked() int {
	queries := 0
	for _, m := range s.heard {
		if m.Kind == krpc.KindQuery {
			queries++
		}
	}
	return queries
}

// run makes a lookup to its end.
func (l *lab) run(n *Node, cfg Lookup) (res LookupResult) {
	cfg.Done = func(r LookupResult) { res = r }
	n.Lookup(cfg)
	l.clock.Run(30 * time.Second)
	return res
}

func TestLookupStartsFromWhomWeRemember(t *testing.T) {
	l := newLab(t)
	known, far := l.answering(1), l.answering(2)
	n := l.alone(nil, known)
	n.table.responded(krpc.NodeInfo{ID: far.id, Addr: simnet.Addr(2)}, 0, epoch)
	res := l.run(n, Lookup{Target: known.id, Kind: LookupGetPeers})
	if len(res.Closest) != 2 || res.Closest[0].ID != known.id || res.Hops != 1 {
		t.Errorf("%+v", res)
	}
}

// Upkeep is about the table.
func TestUpkeepStartsFromTheTable(t *testing.T) {
	l := newLab(t)
	known, far := l.answering(1), l.answering(2)
	n := l.alone(nil, known)
	n.table.responded(krpc.NodeInfo{ID: far.id, Addr: simnet.Addr(2)}, 0, epoch)
	l.run(n, Lookup{Target: known.id})
	if known.asked() != 0 || far.asked() == 0 {
		t.Errorf("%d queries to who is remembered, %d to the contact", known.asked(), far.asked())
	}
}

func TestNodesAreForgotten(t *testing.T) {
	for name, answer := range map[string]func(*krpc.Message) *krpc.Message{
		"silent":       nil,
		"another id":   pong(krpc.ID{9}),
		"errors alone": refuse,
	} {
		l := newLab(t)
		s, other := l.answering(1), l.answering(2)
		s.answer = answer
		n := l.alone(nil, s)
		n.table.responded(krpc.NodeInfo{ID: other.id, Addr: simnet.Addr(2)}, 0, epoch)
		l.run(n, Lookup{Target: s.id, Kind: LookupFindNode})
		if got := n.table.memory.closest(s.id, 1, 0); len(got) != 0 && got[0].id == s.id {
			t.Errorf("%s: still remembered", name)
		}
	}
}

func refuse(*krpc.Message) *krpc.Message {
	return &krpc.Message{Kind: krpc.KindError, ErrorCode: krpc.CodeServer, ErrorText: []byte("no")}
}

func TestDropBlockedForgets(t *testing.T) {
	l := newLab(t)
	s := l.stranger(simnet.Addr(1))
	var list krpc.Blocklist
	n := l.alone(func(c *NodeConfig) { c.Blocklist = &list }, s)
	if _, err := list.Load(strings.NewReader(simnet.Addr(1).Addr().String())); err != nil {
		t.Fatal(err)
	}
	n.DropBlocked()
	if st := n.Stats(); st.Remembered != 0 || st.MaxRemembered != DefaultMemory {
		t.Errorf("%d of %d remembered", st.Remembered, st.MaxRemembered)
	}
}

// A lookup that somebody waits for is wide until a first value is found.
func TestWideLookupNarrowsAtTheFirstValue(t *testing.T) {
	reserved := netip.MustParseAddrPort("240.0.0.1:1")
	for _, tt := range []struct {
		name         string
		wide         bool
		method       krpc.Method
		reply        *krpc.Message
		first, later int // queries under way
	}{
		{"a peer", true, krpc.MethodGetPeers, &krpc.Message{Values: krpc.AppendPeer(nil, simnet.Addr(77))}, 8, 3},
		{"an item", true, krpc.MethodGet, &krpc.Message{V: []byte("1:v")}, 8, 3},
		{"a peer where an item is wanted", true, krpc.MethodGet, &krpc.Message{Values: krpc.AppendPeer(nil, simnet.Addr(77))}, 8, 8},
		{"a peer at a reserved address", true, krpc.MethodGetPeers, &krpc.Message{Values: krpc.AppendPeer(nil, reserved)}, 8, 8},
		{"no value", true, krpc.MethodGetPeers, &krpc.Message{}, 8, 8},
		{"nobody waits", false, krpc.MethodGetPeers, &krpc.Message{}, 3, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := newLab(t)
			n := l.node(simnet.Addr(0), nil)
			n.mu.Lock()
			defer n.unlock()
			for i := range 20 {
				n.table.responded(at(100+i), 0, epoch)
			}
			tr := n.lookup(Lookup{Wide: tt.wide, Kind: LookupGetPeers, Method: tt.method, Fill: func(*krpc.Message) {}})
			if got := tr.l.queries; got != tt.first {
				t.Errorf("%d queries under way, want %d", got, tt.first)
			}
			tr.replied(at(100), tt.reply)
			if tr.l.alpha != tt.later {
				t.Errorf("alpha is %d after the reply, want %d", tr.l.alpha, tt.later)
			}
			if tr.l.sated {
				t.Error("sated by one reply, which may be a lie")
			}
			tr.replied(at(101), tt.reply)
			if want := tt.later < tt.first && tt.method == krpc.MethodGetPeers; tr.l.sated != want {
				t.Errorf("sated by two: %t, want %t", tr.l.sated, want)
			}
		})
	}
}
