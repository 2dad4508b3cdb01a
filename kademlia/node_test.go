package kademlia

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
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

// A stranger enters the table when it has answered, not when it has asked, and
// one that says it is read-only never does (BEP 43).
func TestWhoEntersTheTable(t *testing.T) {
	l := newLab(t)
	n := l.node(simnet.Addr(0), nil)
	n.Start()
	mute, open, readOnly := l.stranger(simnet.Addr(1)), l.stranger(simnet.Addr(2)), l.stranger(simnet.Addr(3))
	open.answer, readOnly.answer = pong(open.id), pong(readOnly.id)
	for _, s := range []*stranger{mute, open, readOnly} {
		r := s.ask(simnet.Addr(0), packet(krpc.MethodPing, func(m *krpc.Message) {
			m.ID, m.ReadOnly = s.id, s == readOnly
		}))
		if r == nil {
			t.Error("no answer")
		}
	}
	l.clock.Run(time.Minute)
	if got := n.State().Contacts; len(got) != 1 || got[0].ID != open.id {
		t.Errorf("contacts: %v", got)
	}
	for _, m := range readOnly.heard {
		if m.Kind == krpc.KindQuery {
			t.Error("a read-only node was asked")
		}
	}
}

// Whoever asks a few questions gets the answers before he is asked himself.
func TestAnswersGoBeforeQuestions(t *testing.T) {
	l := newLab(t)
	n := l.node(simnet.Addr(0), nil)
	n.Start()
	s := l.stranger(simnet.Addr(1))
	for range 5 {
		s.host.Send(simnet.Addr(0), []byte(packet(krpc.MethodPing, func(m *krpc.Message) { m.ID = s.id })))
		l.clock.Run(10 * time.Millisecond)
	}
	l.clock.Run(time.Minute)
	if len(s.heard) < 6 {
		t.Fatalf("heard %d messages", len(s.heard))
	}
	for i, m := range s.heard {
		if (m.Kind == krpc.KindReply) != (i < 5) {
			t.Errorf("message %d is of kind %c", i, m.Kind)
		}
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

// A node without a network keeps trying, and joins once there is one; the waits
// grow, but not beyond a minute and a bit.
func TestJoinKeepsTrying(t *testing.T) {
	l := newLab(t)
	l.network(10)
	var attempts []time.Time
	var outcomes []error
	n := l.node(simnet.Addr(20), func(c *NodeConfig) {
		c.Bootstrap = func(done func([]netip.AddrPort, error)) {
			attempts = append(attempts, l.clock.Now())
			err := errors.New("no such host")
			var addrs []netip.AddrPort
			if len(attempts) > 12 {
				addrs, err = []netip.AddrPort{simnet.Addr(0)}, nil
			}
			l.clock.AfterFunc(time.Millisecond, func() { done(addrs, err) })
		}
		c.Joined = func(err error) { outcomes = append(outcomes, err) }
	})
	n.Start()
	if n.Joined() {
		t.Error("joined before anybody answered")
	}
	if !l.clock.RunUntil(n.Joined, time.Hour) {
		t.Fatal("never joined")
	}
	for i := 1; i < len(attempts); i++ {
		if wait := attempts[i].Sub(attempts[i-1]); wait > 80*time.Second {
			t.Errorf("waited %v before attempt %d", wait, i)
		}
	}
	if len(outcomes) < 12 || outcomes[0] == nil {
		t.Errorf("outcomes: %v", outcomes)
	}
}

// The first node of a network is found by those who come, and learns of them.
func TestFirstNodeLearnsOfOthers(t *testing.T) {
	l := newLab(t)
	nodes := l.network(12)
	if got := len(nodes[0].State().Contacts); got != 11 {
		t.Errorf("the first node knows %d of 11", got)
	}
}

// One bootstrap node that answers first, and knows nobody, decides nothing.
func TestNoBootstrapNodeIsReliedOn(t *testing.T) {
	l := newLab(t)
	l.network(20)
	liar := l.stranger(simnet.Addr(90))
	liar.answer = pong(liar.id)
	l.net.SetLink(simnet.Link{Latency: func(from, to netip.AddrPort, _ *rand.Rand) time.Duration {
		if from == simnet.Addr(90) || to == simnet.Addr(90) {
			return time.Millisecond
		}
		return 50 * time.Millisecond
	}})
	var toldWith int
	var n *Node
	n = l.node(simnet.Addr(30), func(c *NodeConfig) {
		l.via(simnet.Addr(90), simnet.Addr(0))(c)
		c.Joined = func(err error) {
			if toldWith == 0 {
				toldWith = len(n.State().Contacts)
			}
		}
	})
	n.Start()
	l.clock.Run(5 * time.Second)
	if toldWith < 8 {
		t.Errorf("told to have joined with %d contacts", toldWith)
	}
}

// A lost datagram costs a soft timeout, not a hard one.
func TestBootstrapPingIsRepeated(t *testing.T) {
	l := newLab(t)
	boot := l.stranger(simnet.Addr(0))
	pings := 0
	boot.answer = func(q *krpc.Message) *krpc.Message {
		if pings++; pings == 1 {
			return nil
		}
		return pong(boot.id)(q)
	}
	n := l.node(simnet.Addr(1), l.via(simnet.Addr(0)))
	n.Start()
	if !l.clock.RunUntil(n.Joined, 3*time.Second) {
		t.Error("not joined after 3 s")
	}
}

// Strangers of one network take one place among those to be verified, and a
// neighbour need not wait behind the others.
func TestFloodOfStrangersDoesNotKeepANeighbourOut(t *testing.T) {
	l := newLab(t)
	nodes := l.network(60)
	n := nodes[0]
	for i := range 200 {
		l.net.Host(netip.AddrPortFrom(simnet.Addr(500+i/100).Addr(), uint16(2000+i)), func(time.Time, netip.AddrPort, []byte, krpc.Outbox) {}).
			Send(simnet.Addr(0), []byte(packet(krpc.MethodPing, func(m *krpc.Message) { m.ID[0], m.ID[1] = n.ID()[0]^0x80, byte(i) })))
	}
	for i := range 200 {
		l.net.Host(simnet.Addr(700+i), func(time.Time, netip.AddrPort, []byte, krpc.Outbox) {}).
			Send(simnet.Addr(0), []byte(packet(krpc.MethodPing, func(m *krpc.Message) { m.ID[0], m.ID[1] = n.ID()[0]^0x80, byte(i) })))
	}
	l.clock.Run(time.Second)
	if s := n.Stats(); s.Verifying > maxDelayed+5 {
		t.Errorf("%d strangers wait", s.Verifying)
	}
	near := l.stranger(simnet.Addr(950))
	near.id = n.ID()
	near.id[19] ^= 1
	near.answer = pong(near.id)
	near.ask(simnet.Addr(0), packet(krpc.MethodPing, func(m *krpc.Message) { m.ID = near.id }))
	l.clock.Run(2 * eagerDelay)
	if !slices.Contains(n.State().Contacts, krpc.NodeInfo{ID: near.id, Addr: simnet.Addr(950)}) {
		t.Error("a neighbour was not let in")
	}
}

// A contact that does not say who it is, or says it is another, is none any more.
func TestContactThatNoLongerIdentifiesItself(t *testing.T) {
	l := newLab(t)
	for name, later := range map[string]*krpc.Message{
		"no id":      {Kind: krpc.KindReply},
		"our own id": {Kind: krpc.KindReply, HasID: true},
		"another's":  {Kind: krpc.KindReply, HasID: true, ID: krpc.ID{9}},
	} {
		n := l.node(simnet.Addr(200+l.count), nil)
		s := l.stranger(simnet.Addr(200 + l.count))
		l.count++
		s.answer = pong(s.id)
		n.Ping(s.host.LocalAddr(), func(PingResult, error) {})
		l.clock.Run(time.Second)
		if name == "our own id" {
			later.ID = n.ID()
		}
		s.answer = func(*krpc.Message) *krpc.Message { c := *later; return &c }
		contact := krpc.NodeInfo{ID: s.id, Addr: s.host.LocalAddr()}
		if !slices.Contains(n.State().Contacts, contact) {
			t.Fatal("it was never a contact")
		}
		n.Query(contact, krpc.MethodPing, nil, func(*krpc.Message, time.Duration, error) {})
		l.clock.Run(time.Second)
		if slices.Contains(n.State().Contacts, contact) {
			t.Errorf("%s: still handed out", name)
		}
	}
}

func TestBlockedContactsAreDropped(t *testing.T) {
	l := newLab(t)
	l.network(12)
	var list krpc.Blocklist
	n := l.node(simnet.Addr(30), func(c *NodeConfig) {
		l.via(simnet.Addr(0))(c)
		c.Blocklist = &list
	})
	n.Start()
	l.clock.Run(time.Minute)
	blocked := simnet.Addr(5)
	if _, err := list.Load(strings.NewReader(blocked.Addr().String())); err != nil {
		t.Fatal(err)
	}
	n.DropBlocked()
	l.clock.Run(time.Hour)
	for _, c := range n.State().Contacts {
		if c.Addr == blocked {
			t.Error("a blocked contact is still handed out")
		}
	}
	if got := len(n.State().Contacts); got < 10 {
		t.Errorf("%d contacts left", got)
	}
}

// What was restored and could not be asked yet is not forgotten by an early end.
func TestEarlyEndKeepsWhatWasRestored(t *testing.T) {
	l := newLab(t)
	nodes := l.network(20)
	state := nodes[5].State()
	state.Contacts = append(state.Contacts, krpc.NodeInfo{ID: krpc.ID{1}, Addr: simnet.Addr(400)}) // slow, or gone
	n := l.node(simnet.Addr(30), func(c *NodeConfig) { c.State = state })
	n.Start()
	l.clock.Run(time.Second)
	if got := len(n.State().Contacts); got < len(state.Contacts) {
		t.Errorf("%d of %d contacts would be saved", got, len(state.Contacts))
	}
	l.clock.Run(time.Minute)
	if slices.ContainsFunc(n.State().Contacts, func(c krpc.NodeInfo) bool { return c.Addr == simnet.Addr(400) }) {
		t.Error("a contact that never answered is kept")
	}
}

func TestRestartWithoutBootstrapNodes(t *testing.T) {
	l := newLab(t)
	nodes := l.network(20)
	state := nodes[5].State()
	nodes[5].Close()
	again := l.node(simnet.Addr(30), func(c *NodeConfig) {
		c.State = state
		l.via(simnet.Addr(99))(c) // nobody there
	})
	if diverse(simnet.Addr(30).Addr()) && again.ID() == state.IDs[0].ID {
		t.Error("the id of another address was kept")
	}
	again.Start()
	if !l.clock.RunUntil(again.Joined, 30*time.Second) {
		t.Fatal("not joined from the saved contacts")
	}
	same := l.node(netip.MustParseAddrPort("10.0.0.1:6881"), func(c *NodeConfig) { c.State = state })
	if same.ID() != state.IDs[0].ID {
		t.Error("the id is not the saved one")
	}
}

// A reply with another id than the one known, with our own, or with none is no
// reply of that node.
func TestRepliesThatDoNotCount(t *testing.T) {
	l := newLab(t)
	n := l.node(simnet.Addr(0), nil)
	s := l.stranger(simnet.Addr(1))
	for name, r := range map[string]*krpc.Message{
		"other id":    {Kind: krpc.KindReply, HasID: true, ID: krpc.ID{9}},
		"our own id":  {Kind: krpc.KindReply, HasID: true, ID: n.ID()},
		"no id":       {Kind: krpc.KindReply},
		"an error":    {Kind: krpc.KindError, ErrorCode: 202, ErrorText: []byte("busy")},
		"another tid": {Kind: krpc.KindReply, HasID: true, ID: s.id, TID: []byte("xxxx")},
	} {
		s.answer = func(*krpc.Message) *krpc.Message { c := *r; return &c }
		var err error
		n.Query(krpc.NodeInfo{ID: s.id, Addr: simnet.Addr(1)}, krpc.MethodPing, nil,
			func(_ *krpc.Message, _ time.Duration, e error) { err = e })
		l.clock.Run(time.Minute)
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if n.table.size() > 1 || n.table.size() == 1 && name != "other id" {
			t.Errorf("%s: %d contacts", name, n.table.size())
		}
		n.table = table{self: n.table.self, k: n.table.k, start: epoch, dirty: true}
	}
}

// The address that most of the network sees us at gives the id (BEP 42), and the
// node finds its new place.
func TestExternalAddressChangesTheID(t *testing.T) {
	l := newLab(t)
	nodes := l.network(30)
	inside := netip.MustParseAddrPort("10.0.0.2:6881")
	var n *Node
	host := l.net.NATHost(simnet.Addr(40), inside, simnet.FullCone, time.Hour,
		func(now time.Time, from netip.AddrPort, b []byte, out krpc.Outbox) { n.Deliver(now, from, b, out) })
	cfg := NodeConfig{Transport: host, Clock: l.clock, Rand: testRand(5)}
	l.via(simnet.Addr(0))(&cfg)
	n, err := NewNode(cfg)
	if err != nil {
		t.Fatal(err)
	}
	before := n.ID()
	n.Start()
	l.clock.Run(10 * time.Minute)
	if n.ID() == before || !ValidID(n.ID(), simnet.Addr(40).Addr()) {
		t.Errorf("id %v is not one for %v", n.ID(), simnet.Addr(40))
	}
	if s := n.Stats(); s.IDChanges != 1 || s.Nodes() < 20 {
		t.Errorf("%d id changes, %d contacts", s.IDChanges, s.Nodes())
	}
	known := 0
	for _, o := range nodes {
		for _, c := range o.State().Contacts {
			if c.Addr == simnet.Addr(40) && c.ID == n.ID() {
				known++
			}
		}
	}
	if known < 10 {
		t.Errorf("%d of 30 nodes know it by its new id", known)
	}
	if ids := n.State().IDs; len(ids) != 2 || ids[1].Addr != simnet.Addr(40).Addr() {
		t.Errorf("ids to save: %v", ids)
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

func listed(b []byte, size int) int {
	if b == nil {
		return -1
	}
	return len(b) / size
}

// A contact that has gone is handed out no more once that is known, and none goes
// while nothing at all is heard.
func TestEvictionStopsWhileNothingIsHeard(t *testing.T) {
	l := newLab(t)
	nodes := l.network(20)
	n := nodes[0]
	before := n.Stats()
	l.net.Partition(func(a netip.AddrPort) int {
		if a == simnet.Addr(0) {
			return 1
		}
		return 0
	})
	l.clock.Run(2 * time.Hour)
	if s := n.Stats(); s.Nodes() < before.Nodes()-3 {
		t.Errorf("%d contacts left of %d after an outage of our own", s.Nodes(), before.Nodes())
	}
	l.net.Heal()
	l.clock.Run(30 * time.Minute)
	if s := n.Stats(); s.Nodes() < before.Nodes()-1 {
		t.Errorf("%d contacts of %d after the outage", s.Nodes(), before.Nodes())
	}
	nodes[7].Close()
	l.net.Partition(func(a netip.AddrPort) int {
		if a == simnet.Addr(7) {
			return 1
		}
		return 0
	})
	l.clock.Run(2 * time.Hour)
	for _, c := range n.State().Contacts {
		if c.Addr == simnet.Addr(7) {
			t.Error("a node that has gone is still handed out")
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

func TestIdleTrafficHasNoConvoys(t *testing.T) {
	l := newLab(t)
	for i := range 60 { // all at one moment
		change := l.via(simnet.Addr(0))
		if i == 0 {
			change = nil
		}
		l.node(simnet.Addr(i), change).Start()
	}
	l.clock.Run(2 * time.Hour)
	var perMinute []uint64
	for range 60 {
		before := l.net.Stats().Sent
		l.clock.Run(time.Minute)
		perMinute = append(perMinute, l.net.Stats().Sent-before)
	}
	var sum, peak uint64
	for _, c := range perMinute {
		sum, peak = sum+c, max(peak, c)
	}
	t.Logf("packets a minute: mean %d, peak %d", sum/60, peak)
	if peak > 2*sum/60 {
		t.Errorf("peak of %d packets a minute, mean %d", peak, sum/60)
	}
}

func TestStateSurvivesItsSavedForm(t *testing.T) {
	l := newLab(t)
	l.network(20)
	v4 := l.node(simnet.Addr(30), l.via(simnet.Addr(0)))
	v4.Start()
	l.clock.Run(time.Minute)
	states := map[netip.AddrPort]NodeState{
		simnet.Addr(30): v4.State(),
		simnet.Addr6(1): {IDs: []AddrID{{ID: krpc.ID{7}}, {simnet.Addr6(1).Addr(), krpc.ID{8}}}, Contacts: []krpc.NodeInfo{{ID: krpc.ID{9}, Addr: simnet.Addr6(5)}}},
	}
	b, err := EncodeStates(states)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeStates(b)
	if err != nil || len(got) != 2 {
		t.Fatal(err, len(got))
	}
	again, err := EncodeStates(got)
	if err != nil || !bytes.Equal(b, again) {
		t.Errorf("%v: %q became %q", err, b, again)
	}
	if len(got[simnet.Addr(30)].Contacts) < 10 || got[simnet.Addr6(1)].IDs[1].Addr != simnet.Addr6(1).Addr() {
		t.Errorf("restored %+v", got)
	}
	for i := range b {
		if _, err := DecodeStates(b[:i]); err == nil {
			t.Fatalf("a file torn at %d of %d bytes was accepted", i, len(b))
		}
	}
	if _, err := DecodeStates([]byte("d5:nodesle7:versioni2ee")); err == nil {
		t.Error("a version from the future was accepted")
	}
}

func FuzzDecodeStates(f *testing.F) {
	b, err := EncodeStates(map[netip.AddrPort]NodeState{
		simnet.Addr(1): {IDs: []AddrID{{simnet.Addr(2).Addr(), krpc.ID{1}}}, Contacts: []krpc.NodeInfo{{ID: krpc.ID{9}, Addr: simnet.Addr(5)}}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("d5:nodesle7:versioni1ee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		states, err := DecodeStates(b)
		if err != nil {
			return
		}
		if b, err = EncodeStates(states); err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeStates(b); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
	})
}

// Nodes that start at once, all through one that knows nobody, get to know each
// other beyond their neighbourhoods.
func TestNetworkThatStartsThroughOneNode(t *testing.T) {
	l := newLab(t)
	var nodes []*Node
	for i := range 60 {
		n := l.node(simnet.Addr(i), l.via(simnet.Addr(0)))
		nodes = append(nodes, n)
		n.Start()
	}
	l.clock.Run(15 * time.Second)
	for i, n := range nodes {
		b := n.Stats().Buckets[0]
		if b.Good < 4 {
			t.Errorf("node %d knows %d nodes of the farther half", i, b.Good)
		}
	}
}
