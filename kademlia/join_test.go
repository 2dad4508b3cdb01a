package kademlia

import (
	"errors"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/kadnode/kadnode/krpc"
	"github.com/kadnode/kadnode/krpc/simnet"
)

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

// A node that has joined and loses all of its contacts, here for having been unplugged for
// a while, does not wait for its neighbourhood to be looked up again.
func TestJoinsAgainWhenAllContactsAreLost(t *testing.T) {
	l := newLab(t)
	l.network(12)
	attempts := 0
	n := l.node(simnet.Addr(20), func(c *NodeConfig) {
		c.Bootstrap = func(done func([]netip.AddrPort, error)) {
			attempts++
			l.clock.AfterFunc(0, func() { done([]netip.AddrPort{simnet.Addr(0)}, nil) })
		}
	})
	n.Start()
	l.clock.Run(10 * time.Minute)
	before := attempts
	l.net.Partition(func(a netip.AddrPort) int {
		if a == simnet.Addr(20) {
			return 1
		}
		return 0
	})
	for i := range uint64(4) {
		n.Lookup(Lookup{Target: krpc.RandomID(testRand(i)), Kind: LookupFindNode})
	}
	alone := func() bool { st := n.Stats(); return st.Nodes() == 0 }
	if !l.clock.RunUntil(alone, time.Minute) {
		st := n.Stats()
		t.Fatalf("%d contacts are left", st.Nodes())
	}
	l.clock.Run(5 * time.Minute)
	if attempts < before+4 || attempts > before+20 {
		t.Errorf("%d attempts in vain within 5 minutes", attempts-before)
	}
	l.net.Heal()
	l.clock.Run(90 * time.Second)
	if got := len(n.State().Contacts); got < DefaultK {
		t.Errorf("%d contacts after it was plugged in again", got)
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
