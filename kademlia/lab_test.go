package kademlia

import (
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

// lab is a network with a few nodes and scripted strangers.
type lab struct {
	t     *testing.T
	clock *simnet.Clock
	net   *simnet.Network
	count int
}

func newLab(t *testing.T) *lab {
	clock := simnet.NewClock(epoch)
	return &lab{t: t, clock: clock, net: simnet.NewNetwork(clock, testRand(1), simnet.Link{})}
}

// node adds a node at addr; change may adjust its configuration.
func (l *lab) node(addr netip.AddrPort, change func(*NodeConfig)) *Node {
	l.t.Helper()
	l.count++
	var n *Node
	host := l.net.Host(addr, func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) { n.Deliver(now, from, b, out) })
	cfg := NodeConfig{Transport: host, Clock: l.clock, Rand: rand.New(rand.NewPCG(uint64(l.count), 7)), Version: "KN\x00\x01"}
	if change != nil {
		change(&cfg)
	}
	var err error
	if n, err = NewNode(cfg); err != nil {
		l.t.Fatal(err)
	}
	return n
}

// via makes the bootstrap function of the given addresses.
func (l *lab) via(addrs ...netip.AddrPort) func(*NodeConfig) {
	return func(c *NodeConfig) {
		c.Bootstrap = func(done func([]netip.AddrPort, error)) { l.clock.AfterFunc(0, func() { done(addrs, nil) }) }
	}
}

// network adds count joined nodes.
func (l *lab) network(count int) []*Node {
	l.t.Helper()
	var nodes []*Node
	for i := range count {
		change := l.via(simnet.Addr(0))
		if i == 0 {
			change = nil
		}
		n := l.node(simnet.Addr(i), change)
		n.Start()
		nodes = append(nodes, n)
		l.clock.Run(time.Second)
	}
	l.clock.Run(time.Minute)
	return nodes
}

// stranger is a party that says what the scenario wants, and hears all.
type stranger struct {
	l     *lab
	host  *simnet.Host
	id    krpc.ID
	heard []*krpc.Message
	// answer, if set, makes the reply to a query; nil: none.
	answer func(q *krpc.Message) *krpc.Message
}

func (l *lab) stranger(addr netip.AddrPort) *stranger {
	s := &stranger{l: l, id: krpc.RandomID(testRand(uint64(addr.Port()) + 99))}
	s.host = l.net.Host(addr, func(_ time.Time, from netip.AddrPort, b []byte, _ krpc.Outbox) {
		m := new(krpc.Message)
		if err := m.Decode(b); err != nil {
			l.t.Errorf("a node sent %q: %v", b, err)
			return
		}
		m = m.Clone()
		s.heard = append(s.heard, m)
		if m.Kind != krpc.KindQuery || s.answer == nil {
			return
		}
		if r := s.answer(m); r != nil {
			if r.TID == nil {
				r.TID = m.TID
			}
			s.host.Send(from, r.Append(nil))
		}
	})
	return s
}

// pong answers like a node of the id given.
func pong(id krpc.ID) func(*krpc.Message) *krpc.Message {
	return func(*krpc.Message) *krpc.Message {
		return &krpc.Message{Kind: krpc.KindReply, HasID: true, ID: id, Nodes: []byte{}}
	}
}

// ask sends a packet and returns what came back within a second; nil if nothing.
func (s *stranger) ask(to netip.AddrPort, packet string) *krpc.Message {
	s.l.t.Helper()
	s.heard = nil
	if err := s.host.Send(to, []byte(packet)); err != nil {
		s.l.t.Fatal(err)
	}
	s.l.clock.Run(time.Second)
	for _, m := range s.heard {
		if m.Kind != krpc.KindQuery {
			return m
		}
	}
	return nil
}

func packet(m krpc.Method, change func(*krpc.Message)) string {
	q := krpc.Message{Kind: krpc.KindQuery, Method: m, TID: []byte("aa"), HasID: true, ID: krpc.ID{1, 2, 3}}
	if change != nil {
		change(&q)
	}
	return string(q.Append(nil))
}

func listed(b []byte, size int) int {
	if b == nil {
		return -1
	}
	return len(b) / size
}
