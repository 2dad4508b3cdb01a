package kademlia

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// family makes the nodes of one program, one at each address; change may adjust
// their configurations.
func (l *lab) family(addrs []netip.AddrPort, change func(i int, c *NodeConfig)) []*Node {
	l.t.Helper()
	var nodes []*Node
	for i, a := range addrs {
		nodes = append(nodes, l.node(a, func(c *NodeConfig) {
			c.Siblings = nodes
			if change != nil {
				change(i, c)
			}
		}))
	}
	return nodes
}

// ports returns count addresses that differ in their port alone.
func ports(a netip.Addr, count int) []netip.AddrPort {
	var out []netip.AddrPort
	for i := range count {
		out = append(out, netip.AddrPortFrom(a, uint16(6881+i)))
	}
	return out
}

// expectApart fails the test if two of nodes share more than so many leading bits.
func expectApart(t *testing.T, nodes []*Node, bits int) {
	t.Helper()
	for i, a := range nodes {
		for _, b := range nodes[:i] {
			if shared := a.ID().CommonPrefixLen(b.ID()); shared > bits {
				t.Errorf("%v and %v share %d bits, want at most %d", a.ID(), b.ID(), shared, bits)
			}
		}
	}
}

// The ids of one program are spread evenly, within what BEP 42 leaves.
func TestSiblingsAreFarApart(t *testing.T) {
	for _, tt := range []struct {
		name  string
		addrs []netip.AddrPort
		bits  int // that two of them share at most
	}{
		{"local", ports(netip.MustParseAddr("10.0.0.1"), 4), 1},
		{"many local ones", ports(netip.MustParseAddr("10.0.0.1"), 32), 5},
		{"one public address", ports(simnet.Addr(3).Addr(), 8), 2},
		// The eight prefixes of an IPv6 network share two bits.
		{"one public IPv6 address", ports(simnet.Addr6(3).Addr(), 8), 4},
		{"both families", []netip.AddrPort{simnet.Addr(3), simnet.Addr6(3), simnet.Addr(4), simnet.Addr6(4)}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			nodes := newLab(t).family(tt.addrs, nil)
			expectApart(t, nodes, tt.bits)
			for i, n := range nodes {
				if !ValidID(n.ID(), tt.addrs[i].Addr()) {
					t.Errorf("id %v is not one for %v", n.ID(), tt.addrs[i])
				}
				if len(n.siblings) != len(nodes)-1 || slices.Contains(n.siblings, n) {
					t.Errorf("%d siblings of %d nodes", len(n.siblings), len(nodes))
				}
			}
		})
	}
}

// A saved id is kept, near to a sibling's or not, unless it is a sibling's: the state
// was copied.
func TestRestoredSiblings(t *testing.T) {
	public := simnet.Addr(3).Addr()
	id := SecureID(public, testRand(1))
	near := id
	near[18]++
	for _, tt := range []struct {
		name string
		addr netip.Addr // listened on
		at   netip.Addr // that the ids were for
	}{
		{"local", netip.MustParseAddr("10.0.0.1"), netip.Addr{}},
		{"public", public, public},
		{"local, seen at a public one", netip.MustParseAddr("10.0.0.1"), public},
	} {
		saved := []krpc.ID{id, near, id}
		nodes := newLab(t).family(ports(tt.addr, 3), func(i int, c *NodeConfig) {
			c.State = NodeState{IDs: []AddrID{{tt.at, saved[i]}}}
		})
		if nodes[0].ID() != id || nodes[1].ID() != near {
			t.Errorf("%s: the ids are not the saved ones", tt.name)
		}
		expectApart(t, []*Node{nodes[0], nodes[2]}, 2)
		if !ValidID(nodes[2].ID(), tt.at) {
			t.Errorf("%s: id %v is not one for %v", tt.name, nodes[2].ID(), tt.at)
		}
		if ids := nodes[2].State().IDs; len(ids) != 1 || ids[0].ID != nodes[2].ID() {
			t.Errorf("%s: ids to save: %v", tt.name, ids)
		}
	}
}

// Siblings behind one NAT learn the same external address, and stay apart.
func TestSiblingsThatMoveStayApart(t *testing.T) {
	l := newLab(t)
	l.network(30)
	outside, inside := ports(simnet.Addr(40).Addr(), 4), ports(netip.MustParseAddr("10.0.0.2"), 4)
	var nodes []*Node
	for i := range inside {
		var n *Node
		host := l.net.NATHost(outside[i], inside[i], simnet.FullCone, time.Hour,
			func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) { n.Deliver(now, from, b, out) })
		cfg := NodeConfig{Transport: host, Clock: l.clock, Rand: testRand(uint64(i) + 50), Siblings: nodes}
		l.via(simnet.Addr(0))(&cfg)
		var err error
		if n, err = NewNode(cfg); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.Start()
	}
	l.clock.Run(10 * time.Minute)
	expectApart(t, nodes, 2)
	for _, n := range nodes {
		if s := n.Stats(); s.ExternalAddr != outside[0].Addr() || !ValidID(n.ID(), s.ExternalAddr) || s.IDChanges != 1 {
			t.Errorf("id %v at %v after %d changes", n.ID(), s.ExternalAddr, s.IDChanges)
		}
	}
}

// A token is good at the node that gave it alone.
func TestTokensOfSiblings(t *testing.T) {
	nodes := newLab(t).family(ports(simnet.Addr(3).Addr(), 4), nil)
	asker, target := simnet.Addr(9).Addr(), krpc.ID{1}
	for i, giver := range nodes {
		token := giver.AppendToken(nil, asker, target)
		for j, n := range nodes {
			if n.ValidToken(token, asker, target) != (i == j) {
				t.Errorf("the token of node %d at node %d: %t", i, j, i != j)
			}
		}
	}
}
