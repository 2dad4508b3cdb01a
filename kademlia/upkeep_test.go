package kademlia

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

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

func TestAllAreToldOfANewContact(t *testing.T) {
	l := newLab(t)
	n := l.node(simnet.Addr(0), nil)
	var told []string
	for _, name := range []string{"first", "second"} {
		n.OnContact(func(c krpc.NodeInfo) { told = append(told, name+" "+c.Addr.String()) })
	}
	n.Start()
	s := l.stranger(simnet.Addr(1))
	s.answer = pong(s.id)
	s.ask(simnet.Addr(0), packet(krpc.MethodPing, func(m *krpc.Message) { m.ID = s.id }))
	l.clock.Run(time.Minute)
	addr := simnet.Addr(1).String()
	if !slices.Equal(told, []string{"first " + addr, "second " + addr}) {
		t.Errorf("told: %v", told)
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

func TestIdleTrafficHasNoConvoys(t *testing.T) {
	if raceEnabled {
		t.Skip("it is about numbers, and one goroutine")
	}
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

// After an outage in which all contacts have failed, a lookup does not wait until one of
// them is pinged again.
func TestLookupAfterAnOutageAsksThoseThatFailed(t *testing.T) {
	l := newLab(t)
	nodes := l.network(6)
	n, host := nodes[5], nodes[5].cfg.Transport.(*simnet.Host)
	host.SetDown(true)
	for range 4 {
		n.Lookup(Lookup{Target: nodes[0].ID()})
		l.clock.Run(12 * time.Second)
	}
	if got := n.Closest(nodes[0].ID(), 8); len(got) > 0 {
		t.Fatalf("%d contacts have not failed", len(got))
	}
	host.SetDown(false)
	var res LookupResult
	n.Lookup(Lookup{Target: nodes[0].ID(), Done: func(r LookupResult) { res = r }})
	l.clock.Run(5 * time.Second)
	if len(res.Closest) != 5 {
		t.Errorf("found %d of 5 nodes with %d queries", len(res.Closest), res.Queries)
	}
}
